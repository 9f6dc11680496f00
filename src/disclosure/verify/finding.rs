//! What is said of a log that was verified.

use std::{fmt, io, path::PathBuf};

use crate::disclosure::{record::Position, wal::Damage};

/// What a log that is intact holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The name of the log.
    pub origin: String,
    /// Leaves that are there.
    pub leaves: u64,
    /// Leaves before them, which a rule has let go of.
    pub pruned: u64,
    /// Of these, under the signed checkpoint.
    pub signed: u64,
    /// Rows that are there.
    pub rows: u64,
    /// Rows that a rule or a person's right has erased.
    pub erased: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Deliveries of which nobody knows how they ended.
    pub unknown_outcomes: u64,
    /// Deliveries without any outcome yet: under way, or broken off by a crash that no start has tidied up.
    pub open: u64,
    /// Days of schools that are sealed.
    pub seals: u64,
    /// Summaries of rows that are gone.
    pub summaries: u64,
    /// Root of RFC 6962 over the leaves, in hexadecimal.
    pub root: String,
}

/// What is wrong with a part of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// It is not what was written.
    Altered,
    /// It does not belong there.
    Foreign,
    /// It was there and is gone.
    Missing,
    /// It ends in the middle of a record.
    Torn,
}

impl FindingKind {
    /// A word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Foreign => "foreign",
            Self::Missing => "missing",
            Self::Torn => "torn",
        }
    }
}

/// A place where the log is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// The record it is about.
    pub position: Position,
    /// What is wrong.
    pub kind: FindingKind,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, position, kind } = self;
        write!(f, "{}: byte {offset}: record {} is {}", file.display(), position.0, kind.as_str())
    }
}

/// Why a log is not intact.
#[derive(Debug)]
pub enum VerifyError {
    /// Records are altered, missing, torn or foreign.
    Tampered(Finding),
    /// The checkpoint it is held against speaks of leaves that have gone by rule since.
    TooOld {
        /// The checkpoint.
        copy: PathBuf,
        /// Its size.
        size: u64,
        /// The first leaf that is still there.
        minimum: u64,
    },
    /// It cannot be read at all.
    Unreadable(PathBuf, io::ErrorKind),
}

impl VerifyError {
    /// 1 for a log found wanting, 2 for one that cannot be read.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Tampered(_) => 1,
            Self::TooOld { .. } | Self::Unreadable(..) => 2,
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tampered(finding) => finding.fmt(f),
            Self::TooOld { copy, size, minimum } => write!(
                f,
                "{}: is of {size} records, and those before {minimum} have gone by rule since; hold the log against a newer one",
                copy.display()
            ),
            Self::Unreadable(file, kind) => write!(f, "{}: cannot be read ({kind})", file.display()),
        }
    }
}

impl std::error::Error for VerifyError {}

impl From<Damage> for FindingKind {
    fn from(damage: Damage) -> Self {
        match damage {
            Damage::Altered => Self::Altered,
            Damage::Foreign => Self::Foreign,
            Damage::Missing => Self::Missing,
            Damage::Torn => Self::Torn,
        }
    }
}
