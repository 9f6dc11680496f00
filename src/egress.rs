//! Stage 7: the one way out. What leaves Sluis leaves here, and here only what is on record is taken.

use std::{
    future::Future,
    io::{self, Write},
};

use bytes::Bytes;

use crate::disclosure::Recorded;

/// Takes what leaves without a thread that waits.
pub trait Take {
    /// Takes all of it.
    ///
    /// # Errors
    ///
    /// When it takes no more.
    fn take(&mut self, bytes: Bytes) -> impl Future<Output = io::Result<()>> + Send;
}

/// The way out to one receiver, for one document.
pub struct Egress<W> {
    receiver: W,
    bytes: u64,
}

impl<W: Take> Egress<W> {
    /// As [`Egress::deliver`], without a thread that waits.
    ///
    /// # Errors
    ///
    /// As [`Egress::deliver`].
    pub async fn send(&mut self, document: Recorded<String>) -> io::Result<()> {
        let document = Bytes::from(document.into_inner());
        let length = document.len() as u64;
        self.receiver.take(document).await?;
        self.bytes += length;
        Ok(())
    }
}

impl<W: Write> Egress<W> {
    /// Sends what is on record.
    ///
    /// # Errors
    ///
    /// When the receiver takes no more. What was sent before stays sent; the caller must abort the transfer, not end
    /// it, so that the receiver knows it is not whole.
    pub fn deliver(&mut self, document: Recorded<String>) -> io::Result<()> {
        let document = document.into_inner();
        self.receiver.write_all(document.as_bytes())?;
        self.bytes += document.len() as u64;
        Ok(())
    }
}

impl<W> Egress<W> {
    /// A way out to `receiver`.
    pub fn new(receiver: W) -> Self {
        Self { receiver, bytes: 0 }
    }

    /// Bytes sent so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives the receiver back, to end the document or abort it.
    pub fn into_receiver(self) -> W {
        self.receiver
    }
}

/// Results on record, on their way to a pupil administration. Made of what is recorded, and of nothing else.
pub struct OnRecord(Bytes);

impl OnRecord {
    /// Takes what is on record.
    pub fn new(document: Recorded<String>) -> Self {
        Self(document.into_inner().into())
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.0
    }
}
