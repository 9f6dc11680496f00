//! A connection whose peer takes nothing or next to nothing, or goes on sending after the last answer.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use crate::bridge::Pace;

/// After the last answer, what still comes in is read so long: a peer that is still sending when its connection is
/// closed gets a reset, and the answer that told it why is lost.
const LINGER: Duration = Duration::from_secs(1);
/// And so many bytes of it.
const LINGER_BYTES: usize = 32 * 1024 * 1024;

/// A stream of which a write that makes no progress is an error after `idle`, and so is one that makes too little of it
/// while it is waited for. Hyper itself waits for ever.
///
/// It stands below TLS, where every byte the peer takes shows.
pub(super) struct Stall<S> {
    stream: S,
    idle: Duration,
    pace: Pace,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Stall<S> {
    pub(super) fn new(stream: S, idle: Duration, bytes_per_second: u64) -> Self {
        Self { stream, idle, pace: Pace::new(idle, bytes_per_second), waiting: None, linger: None }
    }

    fn progress(
        &mut self,
        context: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(wrote) = wrote {
            let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            return Poll::Ready(match wrote {
                Ok(bytes) if !self.pace.keeps_up(waited, bytes as u64) => Err(io::ErrorKind::TimedOut.into()),
                wrote => wrote,
            });
        }
        let waiting = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(self.idle))));
        ready!(waiting.1.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stall<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stall<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.progress(context, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.progress(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// A socket has nothing to flush, so this tells nothing of progress.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        let (until, bytes) = this.linger.get_or_insert_with(|| (Box::pin(sleep(LINGER)), 0));
        let mut discarded = [0; 8 * 1024];
        while *bytes < LINGER_BYTES && until.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut discarded);
            match ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *bytes += buffer.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(20), future).await.expect("it does not wait for ever")
        })
    }

    #[test]
    fn a_peer_that_takes_nothing_is_an_error_and_one_that_is_slow_is_not() {
        block_on(async {
            let (ours, theirs) = duplex(16);
            let mut ours = Stall::new(ours, Duration::from_millis(30), 1);
            let failed = ours.write_all(&[0; 1024]).await.expect_err("nothing is taken");
            assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
            drop(theirs);

            let (ours, mut theirs) = duplex(16);
            let mut ours = Stall::new(ours, Duration::from_secs(1), 1);
            let reading = tokio::spawn(async move {
                let mut bytes = [0; 16];
                let mut total = 0;
                while total < 1024 {
                    // Sooner than the time-out each, later than it all together.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    total += theirs.read(&mut bytes).await.expect("it stays open");
                }
            });
            ours.write_all(&[0; 1024]).await.expect("it is taken, slowly");
            reading.await.expect("it does not panic");
        });
    }

    #[test]
    fn a_peer_that_takes_a_little_now_and_then_is_an_error_too() {
        block_on(async {
            let (ours, mut theirs) = duplex(16);
            let mut ours = Stall::new(ours, Duration::from_millis(200), 1_000_000);
            tokio::spawn(async move {
                // Never as long as the time-out, and far too slow all together.
                while theirs.read_u8().await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            let failed = ours.write_all(&[0; 1024 * 1024]).await.expect_err("it takes years");
            assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn what_comes_after_the_last_answer_is_read_to_its_end() {
        block_on(async {
            let (ours, mut theirs) = duplex(16);
            let mut ours = Stall::new(ours, Duration::from_secs(60), 1);
            let closing = tokio::spawn(async move { ours.shutdown().await });
            theirs.write_all(&[0; 4096]).await.expect("it is read all the same");
            drop(theirs);
            closing.await.expect("it does not panic").expect("it closes");
        });
    }
}
