//! The log for reading, beside a process that may be writing it.
//!
//! Nothing is checked here beyond what it takes to read; [`verify`](super::verify()) does that.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    io::{self, BufReader, Read, Seek, SeekFrom},
    ops::{Range, RangeInclusive},
    path::Path,
    sync::Arc,
};

use jiff::civil::Date;

use super::{
    checkpoint::Checkpoint,
    merkle::{Hash, inclusion_proof, root_at},
    proof::TlogProof,
    prune::Minimum,
    publish::{CHECKPOINT_BYTES, read_tile},
    record::{Leaf, Position},
    retain::month_of_roll_up,
    rollup::{Month, RollUp, RollUpRow},
    rowfile::{Handle, Located, RowFile},
    seal::row_file_name,
    standing::{self, standing_name},
    storage::{DirStorage, Source, Storage, read_small},
    tile::{TileKind, TileName, TileReader},
    wal::{End, Frame, Scanner, Step},
};
use crate::{
    clock::{day_of, day_start_ms},
    keys::is_brin,
};

/// The day of a file of rows, by its name.
pub(super) fn day_of_row_file(name: &str) -> Option<Date> {
    name.strip_suffix(".rows")?.parse().ok()
}

/// A bundle that was read last: its number and its leaves.
type Bundle = (u64, Vec<Leaf>);

/// How much of a leaf is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The leaf alone.
    Leaf,
    /// Not even the leaf.
    Nothing,
    /// The leaf with its rows.
    Rows,
}

/// Takes a leaf and what was asked of it.
pub type ShowChunk<'s> = dyn FnMut(Position, &Leaf, &[Located]) -> io::Result<()> + 's;

/// A file of rows, open.
pub type OpenRows = RowFile<Box<dyn Source>>;

/// A log as it was when it was opened for reading; what is recorded later may show or not.
pub struct Reader {
    storage: Arc<dyn Storage>,
    /// The signed checkpoint, word for word.
    note: String,
    /// Leaves in tiles.
    published: u64,
    /// Of these, the first that is there.
    minimum: u64,
    bundle: RefCell<Option<Bundle>>,
    segments: RefCell<Vec<Segment>>,
}

/// A segment of the write-ahead log, held open: one that goes while it is read can be read to its end. None while it
/// is being read.
type Segment = (String, Option<Box<dyn Source>>);

/// Bytes of a leaf in a bundle: its length stands before it.
const ENTRY: usize = 2 + Leaf::SIZE;

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl Reader {
    /// Opens the log in a folder.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be read.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Self::on(Arc::new(DirStorage::read_only(directory)))
    }

    /// Opens the log on a storage.
    ///
    /// Segments first, then the checkpoint: what is in none that could be opened any more was put under a checkpoint
    /// before it went, and so is under the one that is read after.
    pub(super) fn on(storage: Arc<dyn Storage>) -> io::Result<Self> {
        let mut segments = Vec::new();
        for name in storage.list("wal")? {
            match storage.open(&format!("wal/{name}")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => segments.push((name, Some(opened?))),
            }
        }
        let note = read_small(storage.as_ref(), "checkpoint", CHECKPOINT_BYTES)?;
        let note = String::from_utf8(note.ok_or(io::ErrorKind::NotFound)?).map_err(|_| invalid())?;
        let checkpoint = Self::parse_checkpoint(&note)?;
        let minimum = Minimum::read(storage.as_ref())?.index.min(checkpoint.size);
        Ok(Self {
            storage,
            note,
            published: checkpoint.size,
            minimum,
            bundle: RefCell::new(None),
            segments: RefCell::new(segments),
        })
    }

    /// What stands for a school, word for word; nothing when nothing was ever said.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn standing(directory: &Path, brin: &str) -> io::Result<Option<Vec<u8>>> {
        standing::read(&DirStorage::read_only(directory), &standing_name(brin))
    }

    /// The schools there are rows of, by BRIN.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn schools(&self) -> io::Result<BTreeSet<String>> {
        let mut schools: BTreeSet<_> =
            self.storage.list("rows")?.into_iter().filter(|name| is_brin(name)).collect();
        self.tail(&mut |_, frame| {
            if !frame.rows.is_empty() {
                schools.extend(std::str::from_utf8(&frame.leaf.brin()).map(str::to_owned));
            }
            Ok(())
        })?;
        Ok(schools)
    }

    /// The days of a school whose rows are sealed, in order.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn sealed_days(&self, brin: &str) -> io::Result<Vec<Date>> {
        let names = self.storage.list(&format!("rows/{brin}"))?;
        Ok(names.iter().filter_map(|name| day_of_row_file(name)).collect())
    }

    /// The sealed rows of a school and day; none when they are not sealed, or gone.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn row_file(&self, brin: &str, day: Date) -> io::Result<Option<OpenRows>> {
        let source = match self.storage.open(&row_file_name(brin, day)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        RowFile::open(source).map(Some).map_err(|_| invalid())
    }

    /// Leaves with the proof that they are under the checkpoint that was published last; the leaf itself travels as
    /// what is extra.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or is not under that checkpoint yet.
    pub fn prove(&self, positions: impl IntoIterator<Item = Position>) -> io::Result<Vec<(Leaf, TlogProof)>> {
        let tiles = TileReader::new(self.published, |name: &str| read_tile(self.storage.as_ref(), name));
        let prove = |position: Position| {
            let path = inclusion_proof(&tiles, position.0, self.published)?;
            let leaf = self.leaf(position)?.ok_or_else(invalid)?;
            let extra = leaf.to_bytes().to_vec();
            Ok((leaf, TlogProof { index: position.0, extra, path, checkpoint: self.note.clone() }))
        };
        positions.into_iter().map(prove).collect()
    }

    /// The checkpoint that was published last. Whoever wants to know who signed it verifies the log.
    ///
    /// # Errors
    ///
    /// Never, for a log that could be opened.
    pub fn checkpoint(&self) -> io::Result<Checkpoint> {
        Self::parse_checkpoint(&self.note)
    }

    /// What a signed checkpoint says, whoever signed it.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn parse_checkpoint(note: &str) -> io::Result<Checkpoint> {
        let text = note.split_inclusive("\n\n").next().and_then(|text| text.strip_suffix('\n'));
        text.ok_or_else(invalid)?.parse().map_err(|_| invalid())
    }

    /// The root over the first so many leaves, as a checkpoint of that size has it.
    ///
    /// # Errors
    ///
    /// When tiles do not reach that far, or cannot be read.
    pub fn root_at(&self, size: u64) -> io::Result<Hash> {
        if size > self.published {
            return Err(invalid());
        }
        let tiles = TileReader::new(self.published, |name: &str| read_tile(self.storage.as_ref(), name));
        root_at(&tiles, size)
    }

    /// How many leaves were recorded before an instant, as far as they are in tiles and still there.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn size_before(&self, ms: u64) -> io::Result<u64> {
        let bundle = self.first_bundle(ms)?;
        if bundle * 256 >= self.published {
            return Ok(self.published);
        }
        let leaves = self.read_bundle(bundle)?;
        Ok(bundle * 256 + leaves.iter().take_while(|leaf| leaf.end_ms < ms).count() as u64)
    }

    /// Shows each leaf that is in tiles from a position on, in order.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn published_from(&self, from: Position, show: &mut dyn FnMut(Position, &Leaf)) -> io::Result<()> {
        self.published_leaves(from.0..self.published, show)
    }

    /// Leaves in tiles; there may be more in the write-ahead log.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// The first leaf that is there: those before it have gone by rule.
    pub fn minimum(&self) -> u64 {
        self.minimum
    }

    /// One leaf; none when the log does not reach that far, or no longer does.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn leaf(&self, position: Position) -> io::Result<Option<Leaf>> {
        if position.0 < self.minimum {
            return Ok(None);
        }
        if position.0 < self.published {
            let number = position.0 / 256;
            let mut kept = self.bundle.borrow_mut();
            if kept.as_ref().is_none_or(|(have, _)| *have != number) {
                *kept = Some((number, self.read_bundle(number)?));
            }
            let leaves = kept.as_ref().map_or(&[][..], |(_, leaves)| leaves);
            return Ok(leaves.get((position.0 % 256) as usize).cloned());
        }
        let mut found = None;
        self.tail(&mut |at, frame| {
            if at == position {
                found = Some(frame.leaf.clone());
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// One leaf that is in tiles, read by itself: whoever looks up many that lie far apart has no use for their
    /// neighbours.
    pub(crate) fn published_leaf(&self, position: Position) -> io::Result<Option<Leaf>> {
        if !(self.minimum..self.published).contains(&position.0) {
            return Ok(None);
        }
        let name = TileName::of(TileKind::Entries, position.0 / 256, self.published).ok_or_else(invalid)?;
        let mut bundle = match self.storage.open(&name.to_string()) {
            // The full one may have come in its place since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.storage.open(&name.full().to_string())?
            }
            opened => opened?,
        };
        let mut entry = [0; ENTRY];
        bundle.seek(SeekFrom::Start(position.0 % 256 * ENTRY as u64))?;
        bundle.read_exact(&mut entry)?;
        let (length, leaf) = entry.split_first_chunk().ok_or_else(invalid)?;
        let leaf = leaf.try_into().map_err(|_| invalid())?;
        let whole = usize::from(u16::from_be_bytes(*length)) == Leaf::SIZE;
        whole.then(|| Leaf::from_bytes(leaf)).flatten().map(Some).ok_or_else(invalid)
    }

    fn read_bundle(&self, number: u64) -> io::Result<Vec<Leaf>> {
        let reader = TileReader::new(self.published, |name: &str| read_tile(self.storage.as_ref(), name));
        let entries = reader.bundle(number)?.into_iter().map(|entry| {
            let bytes: [u8; Leaf::SIZE] = entry.try_into().map_err(|_| invalid())?;
            Leaf::from_bytes(&bytes).ok_or_else(invalid)
        });
        entries.collect()
    }

    /// Shows each leaf from a position on, in order.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn leaves(&self, from: Position, show: &mut dyn FnMut(Position, &Leaf)) -> io::Result<()> {
        self.published_leaves(from.0..self.published, show)?;
        self.tail(&mut |position, frame| {
            if position.0 >= self.published && position >= from {
                show(position, &frame.leaf);
            }
            Ok(())
        })
    }

    /// Shows each of these leaves that is in tiles, in order.
    pub(crate) fn published_leaves(
        &self,
        range: Range<u64>,
        show: &mut dyn FnMut(Position, &Leaf),
    ) -> io::Result<()> {
        let range = range.start.max(self.minimum)..range.end.min(self.published);
        for number in range.start / 256..range.end.div_ceil(256) {
            for (position, leaf) in (number * 256..).zip(&self.read_bundle(number)?) {
                if range.contains(&position) {
                    show(Position(position), leaf);
                }
            }
        }
        Ok(())
    }

    /// How many leaves stand in full bundles of which all were recorded before this instant, and before whatever the
    /// write-ahead log still holds.
    pub(super) fn whole_bundles_before(&self, ms: u64) -> io::Result<u64> {
        let last = (self.published / 256).min(self.tail_start()? / 256);
        Ok(self.first_bundle(ms)?.min(last) * 256)
    }

    /// Shows, in order, the leaves that were recorded on these days and are wanted, each with what is asked of it: its
    /// rows are those that are not erased.
    ///
    /// One pass: a leaf is read once, the rows of a day from one file per school, and nothing is kept.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or cannot be shown.
    pub fn chunks(
        &self,
        days: &RangeInclusive<Date>,
        wanted: &dyn Fn(&Leaf) -> Wanted,
        show: &mut ShowChunk<'_>,
    ) -> io::Result<()> {
        let from = day_start_ms(*days.start());
        let until = days.end().tomorrow().map_or(u64::MAX, day_start_ms);
        let mut files = DayFiles { reader: self, day: Date::MIN, open: HashMap::new() };
        let tail = self.tail_start()?;
        let bundles = self.published.div_ceil(256);
        'published: for number in self.first_bundle(from)?..bundles {
            for (index, leaf) in self.read_bundle(number)?.iter().enumerate() {
                let position = number * 256 + index as u64;
                if position >= tail || leaf.end_ms >= until {
                    break 'published;
                }
                match if leaf.end_ms < from { Wanted::Nothing } else { wanted(leaf) } {
                    Wanted::Leaf => show(Position(position), leaf, &[])?,
                    Wanted::Nothing => {}
                    Wanted::Rows => {
                        let rows = files.rows(Position(position), leaf)?.unwrap_or_default();
                        show(Position(position), leaf, &rows)?;
                    }
                }
            }
        }
        self.tail(&mut |position, frame| {
            let leaf = &frame.leaf;
            if !(from..until).contains(&leaf.end_ms) {
                return Ok(());
            }
            match wanted(leaf) {
                Wanted::Leaf => show(position, leaf, &[]),
                Wanted::Nothing => Ok(()),
                Wanted::Rows => {
                    let own = || {
                        let rows = (0..).zip(&frame.rows);
                        rows.map(|(index, row)| Located { position, index, row: row.clone() }).collect()
                    };
                    show(position, leaf, &files.rows(position, leaf)?.unwrap_or_else(own))
                }
            }
        })
    }

    /// The first bundle with a leaf that was recorded at this instant or later: times go the way of positions.
    fn first_bundle(&self, ms: u64) -> io::Result<u64> {
        let (mut low, mut high) = (self.minimum / 256, self.published.div_ceil(256));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.read_bundle(middle)?.last().is_some_and(|leaf| leaf.end_ms < ms) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The first position the write-ahead log held when this was opened.
    fn tail_start(&self) -> io::Result<u64> {
        let mut first = u64::MAX;
        self.each_segment(&mut |mut segment| {
            if let Ok((position, _)) = Scanner::beginning(&mut segment)? {
                first = first.min(position);
            }
            Ok(true)
        })?;
        Ok(first)
    }

    /// Hands over each segment at its beginning, in order, until told that it is enough.
    fn each_segment(&self, take: &mut dyn FnMut(&mut Box<dyn Source>) -> io::Result<bool>) -> io::Result<()> {
        let count = self.segments.borrow().len();
        for place in 0..count {
            let (name, held) = {
                let (name, held) = &mut self.segments.borrow_mut()[place];
                (name.clone(), held.take())
            };
            let mut segment = match held {
                Some(held) => held,
                // Whoever takes it asks for another of it.
                None => self.storage.open(&format!("wal/{name}"))?,
            };
            segment.seek(SeekFrom::Start(0))?;
            let more = take(&mut segment);
            self.segments.borrow_mut()[place].1 = Some(segment);
            if !more? {
                break;
            }
        }
        Ok(())
    }

    /// Shows each row of a school on these days; of one person, where a handle is given.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn rows(
        &self,
        brin: &str,
        days: &RangeInclusive<Date>,
        handle: Option<&[u8; 16]>,
        show: &mut dyn FnMut(Located),
    ) -> io::Result<()> {
        let code: [u8; 4] = brin.as_bytes().try_into().map_err(|_| invalid())?;
        let mut sealed = Vec::new();
        for name in self.storage.list(&format!("rows/{brin}"))? {
            let Some(day) = day_of_row_file(&name) else { continue };
            sealed.push(day);
            if !days.contains(&day) {
                continue;
            }
            let Some(mut file) = self.row_file(brin, day)? else { continue };
            match handle {
                Some(handle) => file.find(handle).map_err(|_| invalid())?.into_iter().for_each(&mut *show),
                None => file.rows().try_for_each(|row| row.map(&mut *show)).map_err(|_| invalid())?,
            }
        }
        self.tail(&mut |position, frame| {
            let day = day_of(frame.leaf.end_ms);
            if frame.leaf.brin() != code || !days.contains(&day) || sealed.contains(&day) {
                return Ok(());
            }
            for (index, row) in (0..).zip(&frame.rows) {
                if handle.is_none_or(|handle| row.handle == *handle) {
                    show(Located { position, index, row: row.clone() });
                }
            }
            Ok(())
        })
    }

    /// What is left of one person in the months of a school whose rows have gone, by month.
    ///
    /// # Errors
    ///
    /// When a summary cannot be read.
    pub fn summaries(&self, brin: &str, handle: &Handle) -> io::Result<Vec<RollUpRow>> {
        let mut found = Vec::new();
        self.summarised(brin, &mut |month| found.extend_from_slice(month.find(handle)))?;
        Ok(found)
    }

    /// Shows what is left of each month of a school whose rows have gone, in order.
    ///
    /// # Errors
    ///
    /// When a summary cannot be read.
    pub fn summarised(&self, brin: &str, show: &mut dyn FnMut(&RollUp)) -> io::Result<()> {
        // Between the summary of a month and the end of its rows, both are there: then the rows tell more.
        let with_rows: BTreeSet<Month> = self.sealed_days(brin)?.into_iter().map(Month::of).collect();
        for name in self.storage.list(&format!("rollup/{brin}"))? {
            if month_of_roll_up(&name).is_some_and(|month| !with_rows.contains(&month)) {
                let source = self.storage.open(&format!("rollup/{brin}/{name}"))?;
                show(&RollUp::read(source).map_err(|_| invalid())?);
            }
        }
        Ok(())
    }

    /// Shows each frame of the write-ahead log, as far as it is whole.
    fn tail(&self, show: &mut dyn FnMut(Position, &Frame) -> io::Result<()>) -> io::Result<()> {
        self.each_segment(&mut |segment| {
            let Ok((first, link)) = Scanner::beginning(segment)? else { return Ok(false) };
            segment.seek(SeekFrom::Start(0))?;
            let source = BufReader::with_capacity(256 * 1024, segment);
            let Ok(mut scanner) = Scanner::open(source, &End::at(first, link))? else {
                return Err(invalid());
            };
            for position in (first..).map(Position) {
                match scanner.skim(position)? {
                    Step::Frame(frame) => show(position, &frame)?,
                    Step::End | Step::Damaged(..) => break,
                }
            }
            Ok(true)
        })
    }
}

/// The files of one day's rows, one per school, kept open while the day lasts.
struct DayFiles<'r> {
    reader: &'r Reader,
    day: Date,
    open: HashMap<[u8; 4], Option<OpenRows>>,
}

impl DayFiles<'_> {
    /// The sealed rows of a leaf; none when its day has no file.
    fn rows(&mut self, position: Position, leaf: &Leaf) -> io::Result<Option<Vec<Located>>> {
        if leaf.rows == 0 {
            return Ok(Some(Vec::new()));
        }
        let day = day_of(leaf.end_ms);
        if day != self.day {
            self.day = day;
            self.open.clear();
        }
        let file = match self.open.entry(leaf.brin()) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let brin = leaf.brin();
                let brin =
                    std::str::from_utf8(&brin).ok().filter(|brin| is_brin(brin)).ok_or_else(invalid)?;
                entry.insert(self.reader.row_file(brin, day)?)
            }
        };
        file.as_mut().map(|file| file.at(position).map_err(|_| invalid())).transpose()
    }
}
