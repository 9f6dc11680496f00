//! THE PATH: one disclosure, from the bytes of a pupil administration to the bytes a recipient gets.
//!
//! ```text
//! source → decode → policy → pseudonym → encode → log → egress → recipient
//! ```
//!
//! The only file that knows every stage. Who asks, and how the answer travels, is [`gateway`](crate::gateway)'s
//! business, or that of the command that reads a file.

use std::io::{self, Read, Write};

use crate::{
    decode::{self, Charset, DecodeError, decode},
    delivery::Delivery,
    disclosure::{self, Disclosure, Leaf, LeafKind, Log, Outcome, OutcomeStatus},
    egress::Egress,
    minimise::{self, Chunk, Minimiser, Outlet, Refusal, Summary},
};

/// Sends what `delivery` allows of `source` to `receiver`, each part on record before it leaves.
///
/// # Errors
///
/// Whatever goes wrong ends in nothing more leaving: the receiver is dropped unfinished, and a delivery of which
/// something had left is on record as failed.
pub fn disclose<R: Read, W: Write>(
    delivery: &Delivery,
    log: &Log,
    source: R,
    charset: Option<Charset>,
    receiver: W,
) -> Result<Disclosed<W>, Error> {
    let recorder = Recorder { log, delivery, egress: Egress::new(receiver), chunks: 0 };
    // Policy, pseudonym and encode: tokens in, chunks of what may leave out.
    let mut minimiser = Minimiser::new(delivery.scope(), recorder);
    let done = decode(source, charset, delivery.limits(), &mut minimiser)
        .map_err(Error::from)
        .and_then(|()| Ok(minimiser.finish()?));
    let (summary, Recorder { egress, chunks, .. }) = minimiser.into_parts();
    let bytes = egress.bytes();
    match done {
        Ok(()) => Ok(Disclosed { summary, receiver: egress.into_receiver(), chunks, bytes }),
        Err(error) => {
            let leaf = if chunks > 0 {
                let outcome = Outcome { status: OutcomeStatus::Failed, http_status: 0, chunks, bytes };
                Some(delivery.leaf(LeafKind::Outcome).with_outcome(outcome))
            } else {
                error.is_by_policy().then(|| delivery.leaf(LeafKind::Withheld))
            };
            // If even this cannot be written, the next start records the outcome as unknown.
            let _ = leaf.map(|leaf| log.note_blocking(leaf));
            Err(error)
        }
    }
}

/// Puts each chunk on record, and only then lets it out.
struct Recorder<'d, W> {
    log: &'d Log,
    delivery: &'d Delivery,
    egress: Egress<W>,
    chunks: u32,
}

impl<W: Write> Outlet for Recorder<'_, W> {
    type Error = Error;

    fn chunk(&mut self, chunk: Chunk) -> Result<(), Error> {
        let mut leaf = self.delivery.leaf(LeafKind::Disclosure);
        leaf.chunk = self.chunks;
        leaf.flags = if chunk.last { Leaf::LAST } else { 0 };
        let mut mac = self.delivery.log_keys().content_mac();
        mac.update(chunk.document.as_bytes());
        leaf.payload_mac = mac.finish();
        let disclosure = Disclosure { leaf, rows: chunk.rows };
        let recorded = self.log.record_blocking(disclosure, chunk.document).map_err(Error::Log)?;
        self.chunks += 1;
        self.egress.deliver(recorded).map_err(|error| Error::Receiver(error.kind()))
    }
}

/// A document that was disclosed whole.
pub struct Disclosed<W> {
    /// What it came to.
    pub summary: Summary,
    /// To be finished by the caller, who then calls [`Delivery::ended`].
    pub receiver: W,
    /// Chunks that left.
    pub chunks: u32,
    /// Bytes that left.
    pub bytes: u64,
}

impl<W> Disclosed<W> {
    /// The receiver, and all else.
    pub fn split(self) -> (W, Disclosed<()>) {
        let Self { summary, receiver, chunks, bytes } = self;
        (receiver, Disclosed { summary, receiver: (), chunks, bytes })
    }
}

/// What ended a disclosure. None holds anything of the document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The document is not as it should be.
    #[error(transparent)]
    Decode(DecodeError),
    /// It could not be put on record.
    #[error("the disclosure could not be put on record: {0}")]
    Log(disclosure::Error),
    /// The recipient takes no more.
    #[error("the receiver broke off ({0})")]
    Receiver(io::ErrorKind),
    /// The document is one of which nothing may leave.
    #[error(transparent)]
    Refused(Refusal),
}

impl Error {
    /// Whether it was policy that refused, not a fault of the document or of a machine.
    pub fn is_by_policy(&self) -> bool {
        matches!(self, Self::Refused(Refusal::Nothing | Refusal::SchoolMissing | Refusal::SchoolOther))
    }
}

impl From<minimise::Error<Error>> for Error {
    fn from(error: minimise::Error<Error>) -> Self {
        match error {
            minimise::Error::Outlet(error) => error,
            minimise::Error::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

impl From<decode::Error<minimise::Error<Error>>> for Error {
    fn from(error: decode::Error<minimise::Error<Error>>) -> Self {
        match error {
            decode::Error::Decode(error) => Self::Decode(error),
            decode::Error::Sink(error) => error.into(),
        }
    }
}
