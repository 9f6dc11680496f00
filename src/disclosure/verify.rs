//! Re-computes a log from its bytes, without keys, without writing, and beside a running process.

use std::{
    collections::HashMap,
    fmt, fs,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use super::{
    record::{Leaf, LeafKind, OutcomeStatus, Position, Row},
    storage::{is_segment, list_segments},
    wal::{Damage, End, Head, Scanner, Step},
};

/// What a log that is intact holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Leaves.
    pub leaves: u64,
    /// Rows.
    pub rows: u64,
    /// Deliveries.
    pub deliveries: u64,
    /// Deliveries of which nobody knows how they ended.
    pub unknown_outcomes: u64,
    /// Deliveries without any outcome yet: under way, or broken off by a crash that no start has tidied up.
    pub open: u64,
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
    /// The record that should be there.
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
    /// It cannot be read at all.
    Unreadable(PathBuf, io::ErrorKind),
}

impl VerifyError {
    /// 1 for a log found wanting, 2 for one that cannot be read.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Tampered(_) => 1,
            Self::Unreadable(..) => 2,
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tampered(finding) => finding.fmt(f),
            Self::Unreadable(file, kind) => write!(f, "{}: cannot be read ({kind})", file.display()),
        }
    }
}

impl std::error::Error for VerifyError {}

/// Re-computes the log in a folder and says what it holds.
///
/// `progress` is told the bytes done and the bytes in all. A log that is longer than its head is in order: the head
/// is written after the records.
///
/// # Errors
///
/// The first thing that is wrong; what follows damage cannot be judged.
pub fn verify(directory: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, VerifyError> {
    read(directory, progress, &mut |_, _, _| {})
}

/// As [`verify`], and shows each record on the way, once it has been checked.
///
/// # Errors
///
/// As [`verify`]; records shown before the error are in order as far as they go.
pub fn read(
    directory: &Path,
    progress: &mut dyn FnMut(u64, u64),
    show: &mut dyn FnMut(Position, &Leaf, &[Row]),
) -> Result<Report, VerifyError> {
    let unreadable = |path: &Path, error: &io::Error| VerifyError::Unreadable(path.to_owned(), error.kind());
    let wal = directory.join("wal");
    let head_file = directory.join("head");
    // Read before the segments: while a process writes, it can only be behind them.
    let head = match read_small(&head_file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(&head_file, &error)),
    };
    let names = list_segments(directory).map_err(|error| unreadable(&wal, &error))?;
    let finding = |file: PathBuf, offset, position, kind| {
        VerifyError::Tampered(Finding { file, offset, position, kind })
    };
    let Some(head) = head else {
        return Err(match names.is_empty() {
            true => unreadable(&head_file, &io::ErrorKind::NotFound.into()),
            false => finding(head_file, 0, Position(0), FindingKind::Missing),
        });
    };
    let Some(head) = Head::parse(&head) else {
        return Err(finding(head_file, 0, Position(0), FindingKind::Altered));
    };

    let mut total = 0;
    for name in &names {
        let path = wal.join(name);
        total += fs::metadata(&path).map_err(|error| unreadable(&path, &error))?.len();
    }
    let mut done = 0;
    let mut end = End::default();
    let mut report =
        Report { leaves: 0, rows: 0, deliveries: 0, unknown_outcomes: 0, open: 0, root: String::new() };
    let mut deliveries = Deliveries::default();
    let mut root_at_head = (head.size == 0).then(|| (end.tree.root(), end.link));
    for name in &names {
        let path = wal.join(name);
        if !is_segment(name) {
            return Err(finding(path, 0, end.next(), FindingKind::Foreign));
        }
        let file = fs::File::open(&path).map_err(|error| unreadable(&path, &error))?;
        let source = BufReader::with_capacity(256 * 1024, file);
        let mut scanner = match Scanner::open(source, &end).map_err(|error| unreadable(&path, &error))? {
            Ok(scanner) => scanner,
            Err(damage) => return Err(finding(path, 0, end.next(), damage.into())),
        };
        let mut offset = 0;
        loop {
            let position = end.next();
            match scanner.step(&mut end).map_err(|error| unreadable(&path, &error))? {
                Step::End => break,
                Step::Damaged(damage, at) => return Err(finding(path, at, position, damage.into())),
                Step::Frame(frame) => {
                    if end.tree.size() == head.size {
                        root_at_head = Some((end.tree.root(), end.link));
                    }
                    report.leaves += 1;
                    report.rows += frame.rows.len() as u64;
                    if !deliveries.follow(&frame.leaf, &mut report) {
                        return Err(finding(path, offset, position, FindingKind::Foreign));
                    }
                    show(position, &frame.leaf, &frame.rows);
                    done += frame.end - offset;
                    offset = frame.end;
                    progress(done, total);
                }
            }
        }
    }
    match root_at_head {
        None => Err(finding(wal, 0, end.next(), FindingKind::Missing)),
        Some(state) if state == (head.root, head.link) => {
            report.open = deliveries.open.len() as u64;
            report.root = hex::encode(end.tree.root());
            Ok(report)
        }
        Some(_) => Err(finding(head_file, 0, Position(head.size), FindingKind::Altered)),
    }
}

fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(4096).read_to_end(&mut text)?;
    Ok(text)
}

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

/// Deliveries under way: chunks so far, by span.
#[derive(Default)]
struct Deliveries {
    open: HashMap<[u8; 8], u32>,
}

impl Deliveries {
    /// Whether the leaf fits what came before it.
    fn follow(&mut self, leaf: &Leaf, report: &mut Report) -> bool {
        match leaf.kind {
            LeafKind::Disclosure => {
                let chunks = self.open.entry(leaf.span_id).or_insert_with(|| {
                    report.deliveries += 1;
                    0
                });
                let next = leaf.chunk == *chunks;
                *chunks += 1;
                next
            }
            LeafKind::Outcome => {
                let unknown = leaf.outcome().is_some_and(|outcome| outcome.status == OutcomeStatus::Unknown);
                report.unknown_outcomes += u64::from(unknown);
                self.open.remove(&leaf.span_id).is_some()
            }
            LeafKind::AgreementActivated
            | LeafKind::DaySeal
            | LeafKind::KeyEpoch
            | LeafKind::LogRead
            | LeafKind::Notice
            | LeafKind::Recovery
            | LeafKind::RetentionErase
            | LeafKind::ReviewAttestation
            | LeafKind::RollUp
            | LeafKind::Start
            | LeafKind::Withheld => true,
        }
    }
}
