//! A connection of TCP of which it can be told that its peer has gone, also while nothing of it is read.
//!
//! Hyper reads no further than the body it hands on is wanted. A request that waits before its body is read would wait
//! for a client that hung up long ago.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use rustix::net::{Shutdown, shutdown};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A connection.
pub(super) struct Socket(Arc<TcpStream>);

/// Whether the peer of a connection is still there. Keeps nothing open.
#[derive(Clone)]
pub struct Presence(Weak<TcpStream>);

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(stream))
    }

    pub(super) fn presence(&self) -> Presence {
        Presence(Arc::downgrade(&self.0))
    }
}

impl Presence {
    /// Returns once the peer has closed its side, whatever it sent before that has not been read. Where the system does
    /// not tell, never.
    pub async fn gone(&self) {
        let Some(stream) = self.0.upgrade() else { return };
        // That there is something to read is no news here: urgent data, which is never sent, and the end are asked for.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = stream.ready(tokio::io::Interest::PRIORITY).await;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        std::future::pending::<()>().await;
        drop(stream);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
            }
        }
    }
}

impl Socket {
    fn poll_put(
        &self,
        context: &mut Context<'_>,
        put: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match put(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                put => return Poll::Ready(put),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_put(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_put(context, |stream| stream.try_write_vectored(parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A socket has nothing to flush.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shutdown(self.0.as_ref(), Shutdown::Write).map_err(io::Error::from))
    }
}
