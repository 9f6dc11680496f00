//! What is on disk when a log is opened, put in order: tiles under the last checkpoint, and the write-ahead log after
//! them.

use std::{
    collections::{HashMap, HashSet},
    io::{self, BufReader},
};

use jiff::civil::Date;

use super::{
    Error, Site,
    checkpoint::Checkpoint,
    publish::Publisher,
    record::{Leaf, LeafKind, Outcome, OutcomeStatus},
    standing::{self, OnRecord},
    storage::Storage,
    wal::{Damage, End, HEADER, Scanner, Step, is_segment},
};
use crate::clock::day_of;

/// A segment, and the day of what is in it.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) name: String,
    /// None when there is nothing in it yet.
    pub(super) day: Option<Date>,
}

/// What was on disk.
pub(super) struct Found {
    pub(super) end: End,
    /// Length of the open segment; none when one has to be made.
    pub(super) length: Option<u64>,
    /// Bytes cut off a torn end.
    pub(super) cut: u64,
    /// Whether the copy of the checkpoint was gone.
    pub(super) copy_missing: bool,
    /// Deliveries without outcome: first leaf and number of chunks.
    pub(super) open: HashMap<[u8; 8], (Leaf, u32)>,
    /// When the last record was made.
    pub(super) last_ms: u64,
    pub(super) segments: Vec<Segment>,
    /// Newest hashes of what stands for a school.
    pub(super) standing: OnRecord,
    /// Schools and days that have a seal.
    pub(super) sealed: HashSet<([u8; 4], Date)>,
    pub(super) publisher: Publisher,
}

/// Reads the log and makes it ready to be written on.
///
/// # Errors
///
/// [`Error::Damaged`] for whatever is not as it was written, a torn end of the newest segment apart;
/// [`Error::RolledBack`] where the copy of the checkpoint knows of more than there is.
pub(super) fn recover(storage: &dyn Storage, site: &Site) -> Result<Found, Error> {
    let (publisher, last) = Publisher::open(storage, site)?;
    let copy = publisher.copy();
    let names = storage.list("wal").map_err(Error::Open)?;
    let size = last.as_ref().map_or(0, |checkpoint| checkpoint.size);
    if names.is_empty() && size > 0 {
        return Err(Error::Damaged { file: "wal".into(), offset: 0 });
    }
    let mut found = Found {
        end: End::default(),
        length: None,
        cut: 0,
        copy_missing: size > 0 && copy.is_none(),
        open: HashMap::new(),
        last_ms: 0,
        segments: Vec::new(),
        standing: OnRecord::new(),
        sealed: HashSet::new(),
        publisher,
    };
    // Each checkpoint has to be met on the way, with the root it says.
    let mut expected: Vec<Checkpoint> = last.into_iter().chain(copy).collect();
    expected.sort_by_key(|checkpoint| checkpoint.size);
    for (index, name) in names.iter().enumerate() {
        found.segment(storage, name, index == 0, index + 1 == names.len(), &mut expected)?;
    }
    found.meet(&mut expected, "checkpoint")?;
    match expected.first() {
        None => Ok(found),
        Some(checkpoint) => Err(Error::RolledBack { has: found.end.tree.size(), had: checkpoint.size }),
    }
}

impl Found {
    fn segment(
        &mut self,
        storage: &dyn Storage,
        name: &str,
        oldest: bool,
        newest: bool,
        expected: &mut Vec<Checkpoint>,
    ) -> Result<(), Error> {
        let path = format!("wal/{name}");
        let damaged = |offset| Error::Damaged { file: path.clone(), offset };
        if !is_segment(name) {
            return Err(damaged(0));
        }
        let reader = || Ok(BufReader::with_capacity(256 * 1024, storage.open(&path)?));
        let torn_header = |found: &mut Self| {
            // The crash came between making the segment and writing its header.
            storage.resume(&path, 0).map_err(|error| Error::Write(error.kind()))?;
            found.length = Some(0);
            found.segments.push(Segment { name: path.clone(), day: None });
            Ok(())
        };
        if oldest {
            match Scanner::beginning(&mut reader().map_err(Error::Open)?).map_err(Error::Open)? {
                Ok((first, link)) => {
                    self.end = End { tree: self.publisher.tree_at(storage, first)?, link };
                }
                Err(Damage::Torn) if newest => return torn_header(self),
                Err(_) => return Err(damaged(0)),
            }
        }
        let mut scanner =
            match Scanner::open(reader().map_err(Error::Open)?, &self.end).map_err(Error::Open)? {
                Ok(scanner) => scanner,
                Err(Damage::Torn) if newest => return torn_header(self),
                Err(_) => return Err(damaged(0)),
            };
        let mut good = HEADER as u64;
        let mut day = None;
        loop {
            self.meet(expected, &path)?;
            // What a checkpoint is signed over was on disk before it was signed, with rows that lead to their root.
            let signed = self.end.tree.size() < self.publisher.size();
            let step = if signed { scanner.follow(&mut self.end) } else { scanner.step(&mut self.end) };
            match step.map_err(Error::Open)? {
                Step::End => break,
                Step::Frame(frame) => {
                    good = frame.end;
                    day.get_or_insert_with(|| day_of(frame.leaf.end_ms));
                    self.last_ms = self.last_ms.max(frame.leaf.end_ms);
                    if self.end.tree.size() > self.publisher.size() {
                        self.publisher.push(&frame.leaf.to_bytes());
                    }
                    self.note(frame.leaf);
                }
                Step::Damaged(Damage::Torn, at) if newest => {
                    self.cut = file_length(storage, &path)?.saturating_sub(at);
                    break;
                }
                Step::Damaged(_, at) => return Err(damaged(at)),
            }
        }
        self.segments.push(Segment { name: path.clone(), day });
        if newest {
            storage.resume(&path, good).map_err(|error| Error::Write(error.kind()))?;
            self.length = Some(good);
        }
        Ok(())
    }

    /// Takes off the list each checkpoint the log has come to, if it has its root.
    fn meet(&self, expected: &mut Vec<Checkpoint>, file: &str) -> Result<(), Error> {
        while expected.first().is_some_and(|checkpoint| checkpoint.size == self.end.tree.size()) {
            let checkpoint = expected.remove(0);
            if checkpoint.root != self.end.tree.root() {
                return Err(Error::Damaged { file: file.into(), offset: 0 });
            }
        }
        Ok(())
    }

    fn note(&mut self, leaf: Leaf) {
        standing::note(&mut self.standing, &leaf);
        match leaf.kind {
            LeafKind::Disclosure => self.open.entry(leaf.span_id).or_insert((leaf, 0)).1 += 1,
            LeafKind::Outcome => drop(self.open.remove(&leaf.span_id)),
            LeafKind::DaySeal => {
                self.sealed.insert((leaf.brin(), day_of(leaf.start_ms)));
            }
            LeafKind::Account
            | LeafKind::AgreementActivated
            | LeafKind::Drift
            | LeafKind::Hold
            | LeafKind::KeyEpoch
            | LeafKind::LogRead
            | LeafKind::Notice
            | LeafKind::Pruned
            | LeafKind::Recovery
            | LeafKind::RetentionErase
            | LeafKind::ReviewAttestation
            | LeafKind::Right
            | LeafKind::RollUp
            | LeafKind::Start
            | LeafKind::Withheld => {}
        }
    }

    /// What has to be recorded before anything else is: what was mended, and that the log was opened.
    pub(super) fn opening(&mut self) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        if self.cut > 0 || self.copy_missing {
            let mut leaf = Leaf::new(LeafKind::Recovery);
            leaf.released = self.cut;
            leaf.status = u8::from(self.copy_missing);
            leaves.push(leaf);
        }
        leaves.extend(self.open.drain().map(|(_, (leaf, chunks))| unknown_outcome(&leaf, chunks)));
        leaves.push(Leaf::new(LeafKind::Start));
        leaves
    }
}

fn unknown_outcome(delivery: &Leaf, chunks: u32) -> Leaf {
    let mut leaf = delivery.clone();
    leaf.kind = LeafKind::Outcome;
    leaf.rows = 0;
    (leaf.chunk, leaf.flags) = (0, delivery.flags & Leaf::INBOUND);
    leaf.payload_mac = [0; 16];
    leaf.with_outcome(Outcome { status: OutcomeStatus::Unknown, http_status: 0, chunks, bytes: 0 })
}

fn file_length(storage: &dyn Storage, name: &str) -> Result<u64, Error> {
    storage.open(name).and_then(|mut source| source.seek(io::SeekFrom::End(0))).map_err(Error::Open)
}
