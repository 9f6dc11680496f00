//! An index of deliveries: one entry of a fixed size for each delivery and each refusal, in the order of the log.
//!
//! The log is read by day and by position; a page of deliveries of one supplier, a total of a quarter or a sample to
//! review would each read all of it. The index holds what such questions ask, one entry of 184 bytes for all leaves of
//! a delivery, in a file that has no name: it is made in the log's folder, unlinked at once, and gone with the process.
//! So there is nothing to repair and nothing that could disagree with the log; a start makes it anew, from the published
//! leaves alone and without a row. Memory does not grow with the log, but for the deliveries under way.
//!
//! - [`DeliveryIndex::catch_up`] follows the log. One follows at a time; any number ask meanwhile, and see each entry as it
//!   was or as it is.
//! - [`DeliveryIndex::page`], [`DeliveryIndex::one`], [`DeliveryIndex::of_transaction`], [`DeliveryIndex::count`],
//!   [`DeliveryIndex::sums`] and [`DeliveryIndex::sample`] ask. All wait for the disk, and are for threads that may.
//! - Who may see what is up to the caller, who says so in [`Filter::schools`].
//!
//! What is recorded shows here once it is published, which is five seconds later at most. Of a delivery whose first leaf
//! has gone by rule nothing shows any more, whether the index saw it or not. A delivery belongs to the day on which its
//! first part was put on record, in the Netherlands.

mod entry;
mod filter;
mod query;
mod sample;
mod scratch;
mod sums;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};

pub use entry::{Ending, Entry, Persons};
pub use filter::{Agreements, FieldFilter, Filter, How};
pub use query::{Cursor, Page};
pub use sums::{By, FieldSum, Key, Sum};

use crate::disclosure::{Leaf, LeafKind, Position, Reader};
use scratch::Scratch;

/// Bundles that are read before what they say is written.
const BUNDLES: u64 = 16;

/// See the [module](self).
pub struct DeliveryIndex {
    scratch: Scratch,
    known: RwLock<Known>,
    following: Mutex<Following>,
}

/// How far it is.
#[derive(Default)]
struct Known {
    /// The first position it has not seen.
    covered: u64,
    /// The first position the log has.
    minimum: u64,
    /// Entries.
    count: u64,
    /// Of these, as many of which the log has not all leaves any more.
    gone: u64,
    marks: HashMap<Matter, Mark>,
}

/// What a mark is of: kind and status of leaves, and their school.
type Matter = (u8, u8, [u8; 4]);

/// Where the newest leaf of a kind is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The leaf.
    pub position: Position,
    /// When it was recorded, ms since 1970.
    pub recorded_ms: u64,
}

/// What is needed to go on.
#[derive(Default)]
struct Following {
    /// Deliveries without an outcome, by span: the number of the entry, and what it says so far.
    open: HashMap<[u8; 8], (u64, Entry)>,
    /// Not all that was followed is in the file: what is there means nothing.
    broken: bool,
}

/// What a part of the log changes.
struct Changes {
    /// The number of the first new entry.
    first: u64,
    new: Vec<[u8; Entry::SIZE]>,
    /// Entries that were there.
    old: BTreeMap<u64, [u8; Entry::SIZE]>,
    marks: Vec<(Matter, Mark)>,
}

impl DeliveryIndex {
    /// An empty index, in the folder of a log.
    ///
    /// # Errors
    ///
    /// When its file cannot be made there.
    pub fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self { scratch: Scratch::new(directory)?, known: RwLock::default(), following: Mutex::default() })
    }

    /// Goes on from where it was to the end of what is published. Of a log that was not read before, that takes about
    /// a second for a million deliveries. Whoever comes while another is at it waits.
    ///
    /// # Errors
    ///
    /// When the log cannot be read, or the file not written. What was known is known still, or will be made anew the
    /// next time.
    pub fn catch_up(&self, reader: &Reader) -> io::Result<()> {
        let mut following = self.following();
        if following.broken {
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known::default();
            *following = Following::default();
        }
        self.forget(reader.minimum(), &mut following)?;
        let mut leaves = Vec::new();
        loop {
            let from = self.covered().max(reader.minimum());
            let until = ((from / 256 + BUNDLES) * 256).min(reader.published());
            if from >= until {
                return Ok(());
            }
            leaves.clear();
            reader
                .published_leaves(from..until, &mut |position, leaf| leaves.push((position, leaf.clone())))?;
            // From here to the end, a failure leaves the one behind the other.
            following.broken = true;
            let mut changes = Changes {
                first: self.known().count,
                new: Vec::new(),
                old: BTreeMap::new(),
                marks: Vec::new(),
            };
            for (position, leaf) in &leaves {
                following.take(*position, leaf, &mut changes);
            }
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            self.scratch.write(changes.first, changes.new.as_flattened())?;
            for (number, entry) in &changes.old {
                self.scratch.write(*number, entry)?;
            }
            known.marks.extend(changes.marks);
            known.count += changes.new.len() as u64;
            known.covered = until;
            drop(known);
            following.broken = false;
        }
    }

    /// The first position that is not seen yet; what the log has from there on does not show.
    pub fn covered(&self) -> u64 {
        self.known().covered
    }

    /// The newest leaf of a kind that is not about a delivery, such as [`LeafKind::DaySeal`], [`LeafKind::LogRead`] or
    /// [`LeafKind::ReviewAttestation`]; of one school and with one status, where those are given.
    pub fn latest(&self, kind: LeafKind, status: Option<u8>, school: Option<[u8; 4]>) -> Option<Mark> {
        let known = self.known();
        let wanted = |&(of_kind, of_status, of_school): &Matter| {
            of_kind == kind as u8
                && status.is_none_or(|status| status == of_status)
                && school.is_none_or(|school| school == of_school)
        };
        let marks = known.marks.iter().filter(|(key, _)| wanted(key)).map(|(_, &mark)| mark);
        marks.max().filter(|mark| mark.position.0 >= known.minimum)
    }

    /// Leaves out what has gone by rule, and takes it off the disk: a process that runs for long keeps nothing for longer
    /// than the log does.
    fn forget(&self, minimum: u64, following: &mut Following) -> io::Result<()> {
        if minimum == self.known().minimum {
            return Ok(());
        }
        following.open.retain(|_, (_, entry)| entry.first.0 >= minimum);
        let gone = self.first_entry(|entry| entry.first() < minimum)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever is in the middle of a question passes blank entries over.
        self.scratch.blank(known.gone..gone)?;
        (known.minimum, known.gone) = (minimum, gone);
        Ok(())
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn following(&self) -> MutexGuard<'_, Following> {
        self.following.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Following {
    /// Takes a leaf into account.
    fn take(&mut self, position: Position, leaf: &Leaf, changes: &mut Changes) {
        match leaf.kind {
            LeafKind::Disclosure => {
                let next = changes.first + changes.new.len() as u64;
                let known = self.open.get_mut(&leaf.span_id);
                let (number, entry) = match known {
                    Some((number, entry)) => {
                        entry.add(position, leaf);
                        (*number, &*entry)
                    }
                    // The beginning has gone by rule.
                    None if leaf.chunk > 0 => return,
                    None => {
                        let mut entry = Entry::begin(position, leaf);
                        entry.add(position, leaf);
                        (next, &self.open.entry(leaf.span_id).insert_entry((next, entry)).into_mut().1)
                    }
                };
                changes.put(number, entry);
            }
            LeafKind::Outcome => {
                let Some((number, mut entry)) = self.open.remove(&leaf.span_id) else { return };
                entry.end(position, leaf);
                changes.put(number, &entry);
            }
            LeafKind::Withheld => {
                let mut entry = Entry::begin(position, leaf);
                entry.refuse(leaf);
                changes.put(changes.first + changes.new.len() as u64, &entry);
            }
            kind => {
                let mark = Mark { position, recorded_ms: leaf.end_ms };
                changes.marks.push(((kind as u8, leaf.status, leaf.brin()), mark));
            }
        }
    }
}

impl Changes {
    fn put(&mut self, number: u64, entry: &Entry) {
        let bytes = entry.to_bytes();
        match number.checked_sub(self.first) {
            None => drop(self.old.insert(number, bytes)),
            Some(place) if place == self.new.len() as u64 => self.new.push(bytes),
            Some(place) => self.new[place as usize] = bytes,
        }
    }
}
