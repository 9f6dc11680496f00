//! Between the network, which waits without a thread, and the stages, which read and write like files.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, Read, Write},
    pin::{Pin, pin},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::egress::Take;

/// Frames that may wait between the two sides. Each holds on to as much as was read at once, up to 64 KiB.
const WAITING: usize = 1;
/// Frames of an answer that may wait. They are parts of what waits in memory anyhow.
const ANSWER_WAITING: usize = 8;
/// Bytes of a frame of an answer. A receiver is idle when it takes no frame in time: the larger they are, the more a
/// slow but steady one looks like one that has stopped.
const FRAME: usize = 32 * 1024;

/// What a reader is told when nobody waits for the rest: an error that no source has of its own.
pub const UNWANTED: io::ErrorKind = io::ErrorKind::NotConnected;

/// Bytes of a body that are waited for before a thread begins to read. As many may wait between the two sides.
const AHEAD: usize = 320 * 1024;
/// And how long they are waited for.
const SLOW: Duration = Duration::from_millis(20);

/// How long, and how slow, a body may be on its way.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The longest wait for the next frame.
    pub idle: Duration,
    /// The least that comes in while it is waited for, over each stretch of `idle`. What a slow receiver holds up does
    /// not count.
    pub bytes_per_second: u64,
    /// When the whole must have ended.
    pub until: Instant,
}

/// Whether a peer keeps up: over each stretch of waiting for it as long as `idle`, enough has to pass.
pub(crate) struct Pace {
    idle: Duration,
    bytes_per_second: u64,
    waited: Duration,
    passed: u64,
}

impl Pace {
    pub(crate) fn new(idle: Duration, bytes_per_second: u64) -> Self {
        Self { idle, bytes_per_second, waited: Duration::ZERO, passed: 0 }
    }

    /// So many bytes passed after it was waited for so long. False when that is too slow.
    pub(crate) fn keeps_up(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.passed += bytes;
        if self.waited < self.idle || bytes == 0 {
            return true;
        }
        let milliseconds = u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX);
        let least = self.bytes_per_second.saturating_mul(milliseconds) / 1000;
        let enough = self.passed >= least;
        (self.waited, self.passed) = (Duration::ZERO, 0);
        enough
    }
}

/// Reads a body that arrives over the network, from a thread that may wait.
///
/// It ends only where the body ended. A transfer that breaks off, takes too long or is larger than allowed is an
/// error, and so is a pump that went away.
pub struct BodyReader {
    /// What came before anybody read.
    ahead: VecDeque<Result<Bytes, io::ErrorKind>>,
    frames: mpsc::Receiver<Result<Bytes, io::ErrorKind>>,
    current: Bytes,
    ended: bool,
}

impl BodyReader {
    /// Begins to read. `total` is the most bytes; once `unwanted` is cancelled nobody waits for the rest.
    pub fn new(body: Incoming, patience: Patience, total: u64, unwanted: CancellationToken) -> Self {
        let (sender, frames) = mpsc::channel(WAITING);
        tokio::spawn(pump(body, patience, total, unwanted, sender));
        Self { ahead: VecDeque::new(), frames, current: Bytes::new(), ended: false }
    }

    /// As [`BodyReader::new`], once the body has ended or its first 320 KiB are there: a thread that reads a small
    /// body waits for nothing. One that comes slowly is not waited for.
    pub async fn begin<B>(body: B, patience: Patience, total: u64, unwanted: CancellationToken) -> Self
    where
        B: HttpBody<Data = Bytes, Error: Send> + Send + Unpin + 'static,
    {
        Self::begin_within(SLOW, body, patience, total, unwanted).await
    }

    async fn begin_within<B>(
        slow: Duration,
        body: B,
        patience: Patience,
        total: u64,
        unwanted: CancellationToken,
    ) -> Self
    where
        B: HttpBody<Data = Bytes, Error: Send> + Send + Unpin + 'static,
    {
        let (sender, mut frames) = mpsc::channel(WAITING);
        let mut pump = Box::pin(pump(body, patience, total, unwanted, sender));
        let (mut ahead, mut bytes, mut pumping) = (VecDeque::new(), 0, true);
        let mut slow = pin!(sleep(slow));
        while bytes < AHEAD {
            let item = tokio::select! {
                biased;
                item = frames.recv() => item,
                () = pump.as_mut(), if pumping => {
                    pumping = false;
                    continue;
                }
                () = slow.as_mut() => break,
            };
            let Some(item) = item else { break };
            bytes += item.as_ref().map_or(0, Bytes::len);
            ahead.push_back(item);
        }
        if pumping {
            tokio::spawn(pump);
        }
        Self { ahead, frames, current: Bytes::new(), ended: false }
    }
}

/// An empty frame marks the end: a closed channel alone does not.
async fn pump<B: HttpBody<Data = Bytes> + Unpin>(
    mut body: B,
    patience: Patience,
    total: u64,
    unwanted: CancellationToken,
    sender: mpsc::Sender<Result<Bytes, io::ErrorKind>>,
) {
    let Patience { idle, bytes_per_second, until } = patience;
    let mut left = total;
    let mut pace = Pace::new(idle, bytes_per_second);
    loop {
        // Nothing is read that there is no room for.
        let Ok(room) = sender.reserve().await else { return };
        let began = Instant::now();
        let next = tokio::select! {
            biased;
            () = unwanted.cancelled() => {
                room.send(Err(UNWANTED));
                return;
            }
            next = timeout_at(until.min(began + idle), body.frame()) => next,
        };
        let mut item = match next {
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
        let bytes = item.as_ref().map_or(0, |data| data.len() as u64);
        left -= bytes;
        if !pace.keeps_up(began.elapsed(), bytes) {
            item = Err(io::ErrorKind::TimedOut);
        }
        let last = item.as_ref().map_or(true, Bytes::is_empty);
        room.send(item);
        if last {
            return;
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() && !self.ended {
            match self.ahead.pop_front().or_else(|| self.frames.blocking_recv()) {
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

    /// Has `connection` cancelled when the transfer is broken off. A body is not asked again while what it gave
    /// before waits to be written, so an error from it alone may never be noticed.
    pub(crate) fn break_with(&self, connection: &CancellationToken) {
        if let Self::Stream(body) = self {
            let _ = body.fate.connection.set(connection.clone());
            if body.fate.is_broken() {
                connection.cancel();
            }
        }
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

/// How a transfer ends. Decided once, by whoever is first: the network takes the end, or the writer breaks it off. So
/// what is on record as broken off was never closed as if it were whole, nor the other way round.
#[derive(Default)]
struct Fate {
    decided: AtomicU8,
    /// Frames the network has taken.
    taken: AtomicU64,
    connection: OnceLock<CancellationToken>,
}

impl Fate {
    const OPEN: u8 = 0;
    const WHOLE: u8 = 1;
    const BROKEN: u8 = 2;

    fn decide(&self, fate: u8) -> bool {
        self.decided.compare_exchange(Self::OPEN, fate, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The network has all of it. False when it was broken off before.
    fn end(&self) -> bool {
        self.decide(Self::WHOLE)
    }

    /// Nothing more is sent. False when it had ended before.
    fn break_off(&self) -> bool {
        let broken = self.decide(Self::BROKEN);
        if broken && let Some(connection) = self.connection.get() {
            connection.cancel();
        }
        broken
    }

    fn is_broken(&self) -> bool {
        self.decided.load(Ordering::SeqCst) == Self::BROKEN
    }
}

/// The network's end of an answer.
pub struct AnswerBody {
    frames: mpsc::Receiver<Bytes>,
    fate: Arc<Fate>,
    ended: bool,
    /// Told when the last frame has been taken.
    delivered: Option<oneshot::Sender<()>>,
    /// Tells whoever reads for it that nobody waits any more.
    _wanted: Option<DropGuard>,
}

impl AnswerBody {
    /// The same, which gives up `wanted` when it is dropped.
    pub fn wanted(mut self, wanted: DropGuard) -> Self {
        self._wanted = Some(wanted);
        self
    }
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
        // Broken off is said at once, whatever still waits.
        let next = if this.fate.is_broken() { None } else { ready!(this.frames.poll_recv(context)) };
        match next {
            Some(data) if !data.is_empty() => {
                this.fate.taken.fetch_add(1, Ordering::Relaxed);
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            Some(_) if this.fate.end() => {
                this.ended = true;
                if let Some(delivered) = this.delivered.take() {
                    let _ = delivered.send(());
                }
                return Poll::Ready(None);
            }
            // The writer gave up, or went away without saying that this was all.
            Some(_) | None => {}
        }
        this.fate.break_off();
        this.ended = true;
        Poll::Ready(Some(Err(Aborted)))
    }
}

/// The stages' end of an answer. Dropped before [`BodyWriter::finish`], it breaks the transfer off.
pub struct BodyWriter {
    frames: mpsc::Sender<Bytes>,
    fate: Arc<Fate>,
    delivered: oneshot::Receiver<()>,
    runtime: tokio::runtime::Handle,
    idle: Duration,
    until: Instant,
}

/// An answer's two ends. `idle` is the longest a receiver may take nothing, `until` when it must have taken all. To be
/// called on the runtime.
pub fn answer(idle: Duration, until: Instant) -> (BodyWriter, AnswerBody) {
    let (sender, frames) = mpsc::channel(ANSWER_WAITING);
    let (done, delivered) = oneshot::channel();
    let fate = Arc::new(Fate::default());
    let runtime = tokio::runtime::Handle::current();
    let writer = BodyWriter { frames: sender, fate: Arc::clone(&fate), delivered, runtime, idle, until };
    (writer, AnswerBody { frames, fate, ended: false, delivered: Some(done), _wanted: None })
}

impl BodyWriter {
    async fn send(&self, data: Bytes) -> io::Result<()> {
        // Mostly there is room.
        let data = match self.frames.try_send(data) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(mpsc::error::TrySendError::Full(data)) => data,
        };
        let until = self.until.min(Instant::now() + self.idle);
        match timeout_at(until, self.frames.send(data)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Says that this was all, and waits until it has been taken. True when it was; false when the receiver went away
    /// or took nothing for too long: then it never gets the end.
    pub async fn end(mut self) -> bool {
        if self.send(Bytes::new()).await.is_err() {
            return false;
        }
        let (delivered, fate) = (&mut self.delivered, &self.fate);
        let (idle, until) = (self.idle, self.until);
        let taken = loop {
            let before = fate.taken.load(Ordering::Relaxed);
            match timeout_at(until.min(Instant::now() + idle), &mut *delivered).await {
                Ok(taken) => break taken.is_ok(),
                // What waits before the end is taken frame by frame.
                Err(_) if fate.taken.load(Ordering::Relaxed) > before && Instant::now() < until => {}
                Err(_) => break false,
            }
        };
        // It may have been taken after all, just now.
        taken || !self.fate.break_off()
    }

    /// As [`BodyWriter::end`], for threads that may wait. Panics inside an async context.
    pub fn finish(self) -> bool {
        let runtime = self.runtime.clone();
        runtime.block_on(self.end())
    }
}

impl Take for BodyWriter {
    async fn take(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            self.send(bytes.split_to(bytes.len().min(FRAME))).await?;
        }
        Ok(())
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        self.fate.break_off();
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(FRAME)];
        // An empty frame is the mark of the end.
        if !bytes.is_empty() {
            self.runtime.block_on(self.send(Bytes::copy_from_slice(bytes)))?;
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

/// A request's body, read as far as it is wanted.
pub struct RequestBody {
    body: Incoming,
    patience: Patience,
    pace: Pace,
    read: Vec<u8>,
    ended: bool,
}

impl RequestBody {
    /// Nothing of it has been read yet.
    pub fn new(body: Incoming, patience: Patience) -> Self {
        let pace = Pace::new(patience.idle, patience.bytes_per_second);
        Self { body, patience, pace, read: Vec::new(), ended: false }
    }

    /// Reads on to the end, or until more than `most` bytes are there. True when it ended.
    ///
    /// # Errors
    ///
    /// [`BodyError::Broken`] and [`BodyError::TooSlow`].
    pub async fn read(&mut self, most: usize) -> Result<bool, BodyError> {
        while !self.ended && self.read.len() <= most {
            let began = Instant::now();
            let next = timeout_at(self.patience.until.min(began + self.patience.idle), self.body.frame());
            let Some(frame) = next.await.map_err(|_| BodyError::TooSlow)? else {
                self.ended = true;
                break;
            };
            // Trailers say nothing that Sluis needs.
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            if !self.pace.keeps_up(began.elapsed(), data.len() as u64) {
                return Err(BodyError::TooSlow);
            }
            self.read.extend_from_slice(&data);
        }
        Ok(self.read.len() <= most)
    }

    /// The least that it is going to be, as its head says.
    pub fn at_least(&self) -> u64 {
        self.body.size_hint().lower().saturating_add(self.read.len() as u64)
    }

    /// What was read so far.
    pub fn so_far(&self) -> &[u8] {
        &self.read
    }

    /// The same, to go on with.
    pub fn into_bytes(self) -> Bytes {
        self.read.into()
    }
}

/// Reads a whole body of at most `most` bytes.
///
/// # Errors
///
/// [`BodyError`].
pub async fn read_body(body: Incoming, most: usize, patience: Patience) -> Result<Bytes, BodyError> {
    let mut body = RequestBody::new(body, patience);
    if body.at_least() > most as u64 || !body.read(most).await? {
        return Err(BodyError::TooLarge);
    }
    Ok(body.into_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A body that gives what it has and then waits for ever, or a little before each.
    struct Drip(VecDeque<&'static [u8]>, Option<Duration>, Option<Pin<Box<tokio::time::Sleep>>>);

    impl HttpBody for Drip {
        type Data = Bytes;
        type Error = Aborted;

        fn poll_frame(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
            let this = self.get_mut();
            if let Some(pause) = this.1 {
                let pause = this.2.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
                ready!(pause.as_mut().poll(context));
                this.2 = None;
            }
            match this.0.pop_front() {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(data))))),
                None => Poll::Pending,
            }
        }
    }

    /// A body that ends when it has given what it has.
    struct Ends(Drip);

    impl HttpBody for Ends {
        type Data = Bytes;
        type Error = Aborted;

        fn poll_frame(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
            let drip = &mut self.get_mut().0;
            if drip.0.is_empty() { Poll::Ready(None) } else { Pin::new(drip).poll_frame(context) }
        }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
    }

    /// What the reader of a pump is told at the end, and how many frames came before.
    fn pumped(
        body: Drip,
        patience: Patience,
        unwanted: &CancellationToken,
    ) -> (usize, Option<io::ErrorKind>) {
        let unwanted = unwanted.clone();
        runtime().block_on(async move {
            let (sender, mut frames) = mpsc::channel(WAITING);
            tokio::spawn(pump(body, patience, 1 << 20, unwanted, sender));
            let mut count = 0;
            while let Some(item) = frames.recv().await {
                match item {
                    Ok(_) => count += 1,
                    Err(kind) => return (count, Some(kind)),
                }
            }
            (count, None)
        })
    }

    #[test]
    fn a_source_is_left_when_nobody_waits_or_when_it_drips() {
        let far = Instant::now() + LONG;
        let patience = Patience { idle: LONG, bytes_per_second: 1, until: far };
        let unwanted = CancellationToken::new();
        unwanted.cancel();
        let drip = |pause| Drip(VecDeque::from(vec![&b"x"[..]; 1000]), pause, None);
        assert_eq!(pumped(drip(None), patience, &unwanted), (0, Some(UNWANTED)));

        let pause = Some(Duration::from_millis(2));
        let slow = Patience { idle: Duration::from_millis(100), bytes_per_second: 1_000_000, until: far };
        let (frames, ended) = pumped(drip(pause), slow, &CancellationToken::new());
        assert!(
            frames < 1000 && ended == Some(io::ErrorKind::TimedOut),
            "each frame is in time, all are too slow"
        );

        let over = Patience { until: Instant::now() + Duration::from_millis(50), ..patience };
        let (frames, ended) = pumped(drip(pause), over, &CancellationToken::new());
        assert!(frames < 1000 && ended == Some(io::ErrorKind::TimedOut), "there is an end to the whole");
    }

    #[test]
    fn a_small_body_is_there_before_it_is_read_and_a_slow_one_is_not_waited_for() {
        let patience = Patience { idle: LONG, bytes_per_second: 1, until: Instant::now() + LONG };
        let begin = |runtime: &tokio::runtime::Runtime, within, pause| {
            let body = Ends(Drip(VecDeque::from(vec![&b"x"[..]; 100]), pause, None));
            let unwanted = CancellationToken::new();
            runtime.block_on(BodyReader::begin_within(within, body, patience, 1 << 20, unwanted))
        };
        let mut text = String::new();
        let mut small = begin(&runtime(), LONG, None);
        // The runtime is gone: nobody could bring more.
        small.read_to_string(&mut text).expect("all of it, and its end");
        assert_eq!(text.len(), 100);

        let runtime = runtime();
        let mut slow = begin(&runtime, SLOW, Some(Duration::from_millis(2)));
        assert!(slow.ahead.len() < 100);
        slow.read_to_string(&mut text).expect("the rest comes");
        assert_eq!(text.len(), 200);

        let broken = runtime.block_on(async {
            let drip = Drip(VecDeque::from([&b"xx"[..]]), None, None);
            BodyReader::begin(drip, patience, 1, CancellationToken::new()).await
        });
        assert_eq!(broken.ahead, [Err(io::ErrorKind::FileTooLarge)]);
    }

    #[test]
    fn a_receiver_gets_the_end_or_the_record_says_that_it_did_not() {
        let runtime = runtime();
        let _entered = runtime.enter();
        let (mut writer, mut body) = answer(Duration::from_millis(20), Instant::now() + LONG);
        writer.write_all(b"first").expect("there is room");
        assert!(!writer.finish(), "nobody takes anything");
        let frame = runtime.block_on(body.frame()).expect("it does not end");
        assert!(frame.is_err(), "neither what waited nor the end is given out any more");

        let (mut writer, mut body) = answer(LONG, Instant::now() + LONG);
        writer.write_all(b"first").expect("there is room");
        let finish = std::thread::spawn(move || writer.finish());
        assert!(runtime.block_on(body.frame()).is_some_and(|frame| frame.is_ok()));
        assert!(runtime.block_on(body.frame()).is_none(), "the end");
        assert!(finish.join().expect("it does not panic"));
    }

    #[test]
    fn breaking_off_reaches_a_connection_that_asks_for_nothing() {
        let runtime = runtime();
        let _entered = runtime.enter();
        for before in [true, false] {
            let (writer, body) = answer(LONG, Instant::now() + LONG);
            let (body, connection) = (Body::Stream(body), CancellationToken::new());
            let mut writer = Some(writer);
            if before {
                writer.take();
            }
            body.break_with(&connection);
            assert_eq!(connection.is_cancelled(), before);
            drop(writer);
            assert!(connection.is_cancelled());
        }
    }

    #[test]
    fn a_chunk_is_taken_in_small_frames() {
        let runtime = runtime();
        let _entered = runtime.enter();
        let (mut writer, mut body) = answer(LONG, Instant::now() + LONG);
        let writing =
            std::thread::spawn(move || writer.write_all(&vec![0; 512 * 1024]).map(|()| writer.finish()));
        let mut total = 0;
        while let Some(frame) = runtime.block_on(body.frame()) {
            let data = frame.expect("it is whole").into_data().expect("no trailers");
            assert!(data.len() <= 64 * 1024);
            total += data.len();
        }
        assert_eq!(total, 512 * 1024);
        assert!(writing.join().expect("it does not panic").expect("all was taken"));
    }
    #[test]
    fn what_waits_whole_is_taken_as_it_lies() {
        let runtime = runtime();
        let document = Bytes::from(vec![7; 512 * 1024]);
        let lies = document.as_ptr_range();
        runtime.block_on(async {
            let (mut writer, mut body) = answer(LONG, Instant::now() + LONG);
            let writing = async move {
                writer.take(document).await.expect("it is taken");
                writer.end().await
            };
            let reading = async {
                let mut total = 0;
                while let Some(frame) = body.frame().await {
                    let data = frame.expect("it is whole").into_data().expect("no trailers");
                    assert!(data.len() <= FRAME && lies.contains(&data.as_ptr()), "parts, and no copies");
                    total += data.len();
                }
                total
            };
            assert_eq!(tokio::join!(writing, reading), (true, 512 * 1024));
        });
    }
}
