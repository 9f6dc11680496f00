//! Stage 6: the log of disclosures. What is to leave goes in as a payload and comes out as [`Recorded`], once its
//! record is on disk.
//!
//! Two levels. Outer *leaves* of 256 bytes say what went from which school to which recipient, and hold nothing of a
//! person. Inner *rows* of 64 bytes, one per person in a chunk, are bound to their leaf by a salted Merkle root, so
//! that rows can be erased later and the leaf still verifies. Both go into one append-only file with one
//! `fdatasync` for all exchanges that wait; see [`wal`] for the bytes on disk.
//!
//! For others to check the outer level, there are the formats of C2SP: the tree as files in [`tile`], commitments to it
//! in [`checkpoint`], signed as a [`note`], and what one entry's reader gets in [`proof`].
#![warn(clippy::wildcard_enum_match_arm)]

mod calendar;
pub mod checkpoint;
mod commit;
mod log;
pub mod merkle;
pub mod note;
mod passage;
pub mod proof;
mod prune;
mod publish;
mod read;
mod record;
mod recover;
mod retain;
pub mod rollup;
pub mod rowfile;
mod seal;
pub mod seal_proof;
mod standing;
pub mod storage;
pub mod tile;
mod verify;
pub mod wal;

pub use calendar::Month;
pub use log::{Disclosure, Error, Log, Site, Stats, Submitted};
pub use read::{OpenRows, Reader, ShowChunk, Wanted};
pub use record::{KeptOut, Leaf, LeafKind, Outcome, OutcomeStatus, Position, Row, RowOutcome, Subject};
pub use retain::{Due, DueMonth, Erased, Retention, due};
pub use verify::{Against, Finding, FindingKind, Report, VerifyError, verify};

/// A `T` whose disclosure is on record. Only [`Log::record`] and its blocking twin make one.
///
/// ```compile_fail,E0451
/// use sluis::disclosure::{Position, Recorded};
/// let forged = Recorded { position: Position(0), payload: "never written down" };
/// ```
#[must_use = "what is on record and not sent has to be recorded as failed"]
pub struct Recorded<T> {
    position: Position,
    payload: T,
}

impl<T> Recorded<T> {
    /// The place of its leaf in the log.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What may leave.
    pub fn inner(&self) -> &T {
        &self.payload
    }

    /// What may leave, to be sent.
    pub fn into_inner(self) -> T {
        self.payload
    }
}
