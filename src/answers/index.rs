//! Every delivery and every refusal, in the order in which they began: what pages about the whole log are made from.
//!
//! One entry of fixed size for each, in a scratch file in the folder of the log that is unlinked as soon as it is there:
//! it dies with the process, so there is nothing to repair, to keep or to leave behind, and memory stays flat however long
//! the log is. It is filled from leaves that are published ([`DeliveryIndex::catch_up`]); the log publishes them some
//! seconds after they are recorded.
//!
//! Deliberately absent: persons. An entry holds what leaves hold, and no leaf is about a person.

mod entry;
mod sums;

use std::{
    collections::{BinaryHeap, HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io,
    ops::RangeInclusive,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::{Mutex, PoisonError, RwLock},
};

use jiff::civil::Date;
use ring::digest;

use super::{ALWAYS, Fields};
use crate::{
    catalogue::{Person, catalogue},
    clock::day_start_ms,
    disclosure::{Leaf, LeafKind, Position, Reader},
};

pub use entry::{Entry, How};
pub use sums::{By, Sum};

/// Entries that are read at once.
const BLOCK: usize = 4096;
/// Deliveries that have begun and not ended, at most; of an older one the outcome is looked for no more.
const OPEN: usize = 65_536;

/// Which deliveries are asked for. What is left out is not asked for.
#[derive(Debug, Clone)]
pub struct Filter {
    /// BRINs; none: all schools.
    pub schools: Option<Vec<String>>,
    /// The days on which they began.
    pub days: RangeInclusive<Date>,
    /// Id of the recipient.
    pub recipient: Option<String>,
    /// Name of a field that left, or stayed.
    pub field: Option<String>,
    /// How they ended.
    pub how: Option<How>,
    /// Ids of agreements.
    pub agreements: Option<Vec<String>>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { schools: None, days: ALWAYS, recipient: None, field: None, how: None, agreements: None }
    }
}

/// A filter in the words of entries.
struct Wanted {
    schools: Option<HashSet<[u8; 4]>>,
    ms: RangeInclusive<u64>,
    recipient: Option<[u8; 12]>,
    field: Option<(Fields, u64)>,
    how: Option<How>,
    activities: Option<HashSet<[u8; 16]>>,
}

impl Wanted {
    fn of(filter: &Filter) -> Self {
        let brin = |brin: &String| brin.as_bytes().first_chunk().copied().unwrap_or_default();
        let last = filter.days.end().tomorrow().map_or(u64::MAX, day_start_ms).saturating_sub(1);
        let field = filter.field.as_deref().and_then(|name| catalogue().find(name));
        Self {
            schools: filter.schools.as_ref().map(|schools| schools.iter().map(brin).collect()),
            ms: day_start_ms(*filter.days.start())..=last,
            recipient: filter.recipient.as_deref().map(Leaf::recipient_code),
            field: filter.field.as_ref().map(|_| {
                let kind = field.map(|field| catalogue().record(field.record).person);
                let fields = match kind {
                    Some(Some(Person::Leerkracht)) => Fields::Leerkracht,
                    Some(Some(Person::Leerling)) => Fields::Leerling,
                    Some(None) | None => Fields::Results,
                };
                (fields, field.map_or(0, |field| field.mask()))
            }),
            how: filter.how,
            activities: filter
                .agreements
                .as_ref()
                .map(|agreements| agreements.iter().map(|id| Leaf::activity_code(id)).collect()),
        }
    }

    fn takes(&self, entry: &Entry) -> bool {
        self.ms.contains(&entry.start_ms)
            && self.recipient.is_none_or(|recipient| entry.recipient == recipient)
            && self.schools.as_ref().is_none_or(|schools| schools.contains(&entry.brin()))
            && self.how.is_none_or(|how| entry.how == how)
            && self.activities.as_ref().is_none_or(|activities| activities.contains(&entry.activity))
            && self.field.is_none_or(|(fields, mask)| {
                let (released, withheld) = entry.masks(fields);
                (released | withheld) & mask != 0
            })
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// The newest.
    Newest,
    /// Those that began before this position.
    Before(Position),
    /// Those that began after it, nearest first cut off.
    After(Position),
}

/// A part of a list, newest first.
#[derive(Debug)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Whether there are newer ones.
    pub newer: bool,
    /// Whether there are older ones.
    pub older: bool,
}

/// Where the index is.
#[derive(Default)]
struct Reached {
    /// The next leaf.
    next: u64,
    /// Entries by the span of a delivery that has not ended.
    open: HashMap<[u8; 8], u64>,
}

/// The index.
pub struct DeliveryIndex {
    file: File,
    /// Entries that can be read.
    count: RwLock<u64>,
    reached: Mutex<Reached>,
}

impl DeliveryIndex {
    /// An empty one, in the folder of a log.
    ///
    /// # Errors
    ///
    /// When there can be no file.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let path = directory.join(format!(".index-{}", std::process::id()));
        let mut options = OpenOptions::new();
        // One of a process of this number that was killed between the two lines.
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        fs::remove_file(&path)?;
        Ok(Self { file, count: RwLock::new(0), reached: Mutex::default() })
    }

    /// Goes on to the last leaf that is published. One at a time; readers are not held up.
    ///
    /// # Errors
    ///
    /// When the log cannot be read, or the file not written. Then it goes on from the same place the next time.
    pub fn catch_up(&self, reader: &Reader) -> io::Result<()> {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = self.count();
        let mut failed = Ok(());
        let mut pending: Vec<Entry> = Vec::new();
        let until = reader.published();
        let from = reached.next;
        reader.published_from(Position(from), &mut |position, leaf| {
            if failed.is_ok() {
                failed = self.take(&mut reached, &mut count, &mut pending, position, leaf);
            }
        })?;
        failed?;
        self.put(&mut count, &mut pending)?;
        reached.next = until.max(from);
        *self.count.write().unwrap_or_else(PoisonError::into_inner) = count;
        Ok(())
    }

    fn count(&self) -> u64 {
        *self.count.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Entries in it.
    pub fn len(&self) -> u64 {
        self.count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Writes entries that are new, in one go.
    fn put(&self, count: &mut u64, pending: &mut Vec<Entry>) -> io::Result<()> {
        let bytes: Vec<u8> = pending.iter().flat_map(Entry::to_bytes).collect();
        self.file.write_all_at(&bytes, *count * Entry::SIZE as u64)?;
        *count += pending.len() as u64;
        pending.clear();
        Ok(())
    }

    fn take(
        &self,
        reached: &mut Reached,
        count: &mut u64,
        pending: &mut Vec<Entry>,
        position: Position,
        leaf: &Leaf,
    ) -> io::Result<()> {
        match leaf.kind {
            LeafKind::Disclosure | LeafKind::Outcome => {}
            LeafKind::Withheld => {
                pending.push(Entry::begin(position, leaf));
                return if pending.len() < BLOCK { Ok(()) } else { self.put(count, pending) };
            }
            _ => return Ok(()),
        }
        let place = match reached.open.get(&leaf.span_id) {
            Some(&place) => place,
            // Of a delivery whose first leaves have gone by rule nothing can be told but how it ended.
            None if leaf.kind == LeafKind::Outcome => return Ok(()),
            None => {
                if reached.open.len() >= OPEN {
                    reached.open.clear();
                }
                let place = *count + pending.len() as u64;
                reached.open.insert(leaf.span_id, place);
                pending.push(Entry::begin(position, leaf));
                return if pending.len() < BLOCK { Ok(()) } else { self.put(count, pending) };
            }
        };
        if leaf.kind == LeafKind::Outcome {
            reached.open.remove(&leaf.span_id);
        }
        match place.checked_sub(*count) {
            Some(waiting) => pending[waiting as usize].add(position, leaf),
            None => {
                let mut entry = self.read(place)?;
                entry.add(position, leaf);
                self.file.write_all_at(&entry.to_bytes(), place * Entry::SIZE as u64)?;
            }
        }
        Ok(())
    }

    fn read(&self, place: u64) -> io::Result<Entry> {
        let mut bytes = [0; Entry::SIZE];
        self.file.read_exact_at(&mut bytes, place * Entry::SIZE as u64)?;
        Ok(Entry::from_bytes(&bytes))
    }

    /// The first entry that began at an instant or later.
    fn place_of(&self, is_before: impl Fn(&Entry) -> bool) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(&self.read(middle)?) { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// The entries that can be of these days. They began in order of position, and were recorded in order of time; the
    /// start of one can lie before that of an earlier one by as long as an exchange may last.
    fn places(&self, wanted: &Wanted) -> io::Result<std::ops::Range<u64>> {
        let from = self.place_of(|entry| entry.recorded_ms < *wanted.ms.start())?;
        Ok(from..self.count())
    }

    /// Shows entries of a range, forward, until told that it is enough.
    fn each(&self, range: std::ops::Range<u64>, show: &mut dyn FnMut(Entry) -> bool) -> io::Result<()> {
        let mut bytes = vec![0; BLOCK * Entry::SIZE];
        let mut place = range.start;
        while place < range.end {
            let count = (range.end - place).min(BLOCK as u64) as usize;
            let block = &mut bytes[..count * Entry::SIZE];
            self.file.read_exact_at(block, place * Entry::SIZE as u64)?;
            for entry in block.as_chunks::<{ Entry::SIZE }>().0 {
                if !show(Entry::from_bytes(entry)) {
                    return Ok(());
                }
            }
            place += count as u64;
        }
        Ok(())
    }

    /// The same, backward.
    fn each_back(&self, range: std::ops::Range<u64>, show: &mut dyn FnMut(Entry) -> bool) -> io::Result<()> {
        let mut bytes = vec![0; BLOCK * Entry::SIZE];
        let mut end = range.end;
        while end > range.start {
            let count = (end - range.start).min(BLOCK as u64) as usize;
            let block = &mut bytes[..count * Entry::SIZE];
            self.file.read_exact_at(block, (end - count as u64) * Entry::SIZE as u64)?;
            for entry in block.as_chunks::<{ Entry::SIZE }>().0.iter().rev() {
                if !show(Entry::from_bytes(entry)) {
                    return Ok(());
                }
            }
            end -= count as u64;
        }
        Ok(())
    }

    /// Shows every delivery that fits, oldest first.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or one cannot be shown.
    pub fn list(&self, filter: &Filter, show: &mut dyn FnMut(&Entry) -> io::Result<()>) -> io::Result<()> {
        let wanted = Wanted::of(filter);
        let mut shown = Ok(());
        self.each(self.places(&wanted)?, &mut |entry| {
            if wanted.takes(&entry) {
                shown = show(&entry);
            }
            shown.is_ok() && entry.start_ms <= wanted.last_start()
        })?;
        shown
    }

    /// A part of the list of those that fit, newest first.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn page(&self, filter: &Filter, cursor: Cursor, count: usize) -> io::Result<Page> {
        let wanted = Wanted::of(filter);
        let all = self.places(&wanted)?;
        let at = |position: Position| self.place_of(|entry| entry.first < position);
        let mut entries = Vec::new();
        let mut take = |entry: Entry| {
            if wanted.takes(&entry) {
                entries.push(entry);
            }
            entries.len() <= count
        };
        match cursor {
            Cursor::Newest => self.each_back(all, &mut take)?,
            Cursor::Before(position) => self.each_back(all.start..at(position)?.max(all.start), &mut take)?,
            Cursor::After(position) => {
                self.each(at(Position(position.0 + 1))?.max(all.start)..all.end, &mut take)?;
            }
        }
        let more = entries.len() > count;
        entries.truncate(count);
        Ok(match cursor {
            Cursor::Newest => Page { entries, newer: false, older: more },
            Cursor::Before(_) => Page { entries, newer: true, older: more },
            Cursor::After(_) => {
                entries.reverse();
                Page { entries, newer: more, older: true }
            }
        })
    }

    /// The delivery or refusal with this leaf as its first.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn one(&self, first: Position) -> io::Result<Option<Entry>> {
        let place = self.place_of(|entry| entry.first < first)?;
        if place >= self.count() {
            return Ok(None);
        }
        Ok(Some(self.read(place)?).filter(|entry| entry.first == first))
    }

    /// Sums over all that fit.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn sums(&self, filter: &Filter, by: By) -> io::Result<Vec<Sum>> {
        let mut sums = sums::Sums::new(by);
        self.list(filter, &mut |entry| {
            sums.add(entry);
            Ok(())
        })?;
        Ok(sums.finish())
    }

    /// A sample that nobody chooses: of all that fit, those `count` whose SHA-256 over `seed` and the position of the
    /// first leaf (eight bytes, highest first) comes first, in order of position. And how many there were to choose
    /// from.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn sample(&self, filter: &Filter, seed: &[u8; 32], count: usize) -> io::Result<(Vec<Entry>, u64)> {
        let mut best: BinaryHeap<(Vec<u8>, u64)> = BinaryHeap::new();
        let mut all = 0;
        self.list(filter, &mut |entry| {
            all += 1;
            let mut text = [0; 40];
            text[..32].copy_from_slice(seed);
            text[32..].copy_from_slice(&entry.first.0.to_be_bytes());
            best.push((digest::digest(&digest::SHA256, &text).as_ref().to_vec(), entry.first.0));
            if best.len() > count {
                best.pop();
            }
            Ok(())
        })?;
        let mut positions: Vec<u64> = best.into_iter().map(|(_, position)| position).collect();
        positions.sort_unstable();
        let mut entries = Vec::with_capacity(positions.len());
        for position in positions {
            entries.extend(self.one(Position(position))?);
        }
        Ok((entries, all))
    }
}

/// The longest an exchange may last, by the range of `limits.exchange_ms`.
const LONGEST_MS: u64 = 86_400_000;

impl Wanted {
    /// Entries that began later than this cannot be followed by one that fits.
    fn last_start(&self) -> u64 {
        self.ms.end().saturating_add(LONGEST_MS)
    }
}
