//! Between the network, which waits without a thread, and the stages, which read and write like files.

use std::{
    fmt,
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::{mpsc, oneshot};

/// Frames that may wait between the two sides.
const WAITING: usize = 4;

/// Reads a body that arrives over the network, from a thread that may wait.
///
/// It ends only where the body ended. A transfer that breaks off, takes too long between two frames or is larger than
/// allowed is an error, and so is a pump that went away.
pub struct BodyReader {
    frames: mpsc::Receiver<Result<Bytes, io::ErrorKind>>,
    current: Bytes,
    ended: bool,
}

impl BodyReader {
    /// Begins to read. `idle` is the longest wait for the next frame, `total` the most bytes.
    pub fn new(body: Incoming, idle: Duration, total: u64) -> Self {
        let (sender, frames) = mpsc::channel(WAITING);
        tokio::spawn(pump(body, idle, total, sender));
        Self { frames, current: Bytes::new(), ended: false }
    }
}

/// An empty frame marks the end: a closed channel alone does not.
async fn pump(
    mut body: Incoming,
    idle: Duration,
    total: u64,
    sender: mpsc::Sender<Result<Bytes, io::ErrorKind>>,
) {
    let mut left = total;
    loop {
        let item = match tokio::time::timeout(idle, body.frame()).await {
            Err(_) => Err(io::ErrorKind::TimedOut),
            Ok(None) => Ok(Bytes::new()),
            Ok(Some(Err(_))) => Err(io::ErrorKind::ConnectionAborted),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if data.is_empty() => continue,
                Ok(data) if data.len() as u64 > left => Err(io::ErrorKind::FileTooLarge),
                Ok(data) => Ok(data),
                // Trailers say nothing that Sluis needs.
                Err(_) => continue,
            },
        };
        let last = item.as_ref().map_or(true, Bytes::is_empty);
        left -= item.as_ref().map_or(0, |data| data.len() as u64);
        if sender.send(item).await.is_err() || last {
            return;
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() && !self.ended {
            match self.frames.blocking_recv() {
                None => return Err(io::ErrorKind::BrokenPipe.into()),
                Some(Err(kind)) => return Err(kind.into()),
                Some(Ok(data)) => {
                    self.ended = data.is_empty();
                    self.current = data;
                }
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// The transfer was broken off on purpose: its receiver must not take it for whole.
#[derive(Debug)]
pub struct Aborted;

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the transfer was broken off")
    }
}

impl std::error::Error for Aborted {}

/// The body of an answer.
pub enum Body {
    /// All of it, at once.
    Full(Bytes),
    /// As it comes.
    Stream(AnswerBody),
}

impl Body {
    /// A body that is known whole.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(bytes.into())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// The network's end of an answer.
pub struct AnswerBody {
    frames: mpsc::Receiver<Bytes>,
    ended: bool,
    /// Told when the last frame has been taken.
    delivered: Option<oneshot::Sender<()>>,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        match ready!(this.frames.poll_recv(context)) {
            // The writer went away without saying that this was all.
            None => {
                this.ended = true;
                Poll::Ready(Some(Err(Aborted)))
            }
            Some(data) if data.is_empty() => {
                this.ended = true;
                if let Some(delivered) = this.delivered.take() {
                    let _ = delivered.send(());
                }
                Poll::Ready(None)
            }
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
        }
    }
}

/// The stages' end of an answer. Dropped before [`BodyWriter::finish`], it breaks the transfer off.
pub struct BodyWriter {
    frames: mpsc::Sender<Bytes>,
    delivered: oneshot::Receiver<()>,
    runtime: tokio::runtime::Handle,
    idle: Duration,
}

/// An answer's two ends. `idle` is the longest a receiver may take nothing. To be called on the runtime.
pub fn answer(idle: Duration) -> (BodyWriter, AnswerBody) {
    let (sender, frames) = mpsc::channel(WAITING);
    let (done, delivered) = oneshot::channel();
    let writer = BodyWriter { frames: sender, delivered, runtime: tokio::runtime::Handle::current(), idle };
    (writer, AnswerBody { frames, ended: false, delivered: Some(done) })
}

impl BodyWriter {
    fn send(&self, data: Bytes) -> io::Result<()> {
        let sent = self.runtime.block_on(tokio::time::timeout(self.idle, self.frames.send(data)));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Says that this was all, and waits until it has been taken. True when it was; false when the receiver went away
    /// or took nothing for too long.
    pub fn finish(self) -> bool {
        if self.send(Bytes::new()).is_err() {
            return false;
        }
        let Self { frames, delivered, runtime, idle } = self;
        let taken = runtime.block_on(tokio::time::timeout(idle, delivered));
        drop(frames);
        matches!(taken, Ok(Ok(())))
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An empty frame is the mark of the end.
        if !bytes.is_empty() {
            self.send(Bytes::copy_from_slice(bytes))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a request's body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// The transfer broke off.
    Broken,
    /// Larger than allowed.
    TooLarge,
    /// Not there in time.
    TooSlow,
}

/// Reads a whole body of at most `max` bytes, within a time.
///
/// # Errors
///
/// [`BodyError`].
pub async fn read_body(mut body: Incoming, max: usize, within: Duration) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > max as u64 {
        return Err(BodyError::TooLarge);
    }
    let collect = async {
        let mut all = Vec::new();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() {
                if all.len() + data.len() > max {
                    return Err(BodyError::TooLarge);
                }
                all.extend_from_slice(&data);
            }
        }
        Ok(Bytes::from(all))
    };
    tokio::time::timeout(within, collect).await.map_err(|_| BodyError::TooSlow)?
}
