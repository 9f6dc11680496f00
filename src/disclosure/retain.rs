//! What the log lets go of: rows whose time is over, summaries of persons who have long gone, all there is of one
//! person who has a right to that, and, where a rule says so, the [oldest leaves](super::prune).
//!
//! Rows go a month of a school at a time. Each step is on record before it is done, and each can be done again:
//!
//! 1. every row of the month is held against its leaf and its day's seal: what was altered or taken away stays as it
//!    is, to be found, since an erasure would hide it;
//! 2. a roll-up is made of them and put on record, as below;
//! 3. an erasure of the month is put on record;
//! 4. the files go. After a crash from here on, what is left of them is removed and never summarised: it is not the
//!    month.
//!
//! A roll-up is replaced so that one of two files is the one on record, whenever a crash comes: the new one is written
//! beside the old one, as `<yyyy-mm>.next`; its leaf is recorded; it takes the old one's place. One without rows leaves
//! no file.
//!
//! | leaf | flags | start | released | rows | inner root | agreement | activity version |
//! |---|---|---|---|---|---|---|---|
//! | roll-up | 0 | first day of the month | 0 | summaries | root over them | SHA-256 over the roots of what it was made from: the seals of the days, in order, or the roll-up before it | 0 |
//! | erasure | 0 | first day of the month | last day, ms since 1970 | rows | 0 | 0 | `detail_days` |
//! | erasure | [`Leaf::PERSON`] | the day | 0 | rows of the person | 0 | 0 | 0 |
//!
//! All of this is done by the thread that seals days, one thing after the other.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io::{self, BufReader, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::{Span, civil::Date};
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    Error,
    commit::Recorder,
    log::Disclosure,
    merkle::{Hash, hash},
    prune::minimum_for,
    read::{Reader, day_of_row_file},
    record::{Leaf, LeafKind, Position},
    rollup::{Month, RollUp, RollUpError, Source, roll_up},
    rowfile::{ExpectedBlock, Handle, RowFile, RowFileError},
    seal::row_file_name,
    standing::Replacing,
    storage::{self, DirStorage, Storage},
};
use crate::clock::{day_of, day_start_ms};

/// How long the log keeps what it holds of persons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Rows, in days after the last day of their month: 400.
    pub detail_days: u16,
    /// Summaries of a person, in days after the person was last in a delivery: 730.
    pub rollup_days: u16,
    /// Leaves, in days after they were recorded; none: they stay.
    pub leaf_days: Option<u16>,
}

impl Default for Retention {
    /// A school year and the weeks in which it is accounted for; and two years after a person was last seen.
    fn default() -> Self {
        Self { detail_days: 400, rollup_days: 730, leaf_days: None }
    }
}

impl Retention {
    /// Months that end before this day are due.
    fn detail_from(&self, today: Date) -> Date {
        today.saturating_sub(Span::new().days(self.detail_days))
    }

    /// Persons last seen before this day are due.
    fn rollup_from(&self, today: Date) -> Date {
        today.saturating_sub(Span::new().days(self.rollup_days))
    }

    /// Leaves that were recorded before this day are due.
    fn leaves_from(&self, today: Date) -> Option<(Date, u16)> {
        self.leaf_days.map(|days| (today.saturating_sub(Span::new().days(days)), days))
    }
}

/// What is due, or was and is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Rows, which are summarised and erased.
    pub months: Vec<DueMonth>,
    /// Summaries of persons last seen too long ago.
    pub summaries: u64,
    /// The oldest leaves, in whole bundles.
    pub leaves: u64,
}

/// A month of a school whose rows are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueMonth {
    /// BRIN of the school.
    pub brin: String,
    /// The month.
    pub month: Month,
    /// Days with rows.
    pub days: Vec<Date>,
    /// Rows.
    pub rows: u64,
}

/// What was erased of one person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Days of which rows were erased.
    pub days: u64,
    /// Rows.
    pub rows: u64,
    /// Summaries.
    pub summaries: u64,
    /// Rows that are still there: their day is not over, or not sealed yet.
    pub unsealed: u64,
}

/// What is due in the log in a folder, beside a process that may be writing it. Days that are over and not yet sealed
/// are not counted.
///
/// # Errors
///
/// When it cannot be read.
pub fn due(directory: &Path, retention: Retention, today: Date) -> Result<Due, Error> {
    let storage: Arc<dyn Storage> = Arc::new(DirStorage::read_only(directory));
    let months = months_due(storage.as_ref(), retention.detail_from(today))?;
    let mut summaries = 0;
    for brin in storage.list("rollup").map_err(Error::Open)? {
        let school = School::read(storage.as_ref(), &brin)?;
        let gone = school.gone(storage.as_ref(), retention.rollup_from(today))?;
        let rows = school.rollups.iter().flat_map(RollUp::rows);
        summaries += rows.filter(|row| gone.has(&row.handle, row.last)).count() as u64;
    }
    let mut leaves = 0;
    if let Some((from, _)) = retention.leaves_from(today) {
        let reader = Reader::on(Arc::clone(&storage)).map_err(Error::Open)?;
        let rows_from = retention.detail_from(today);
        let minimum = minimum_for(storage.as_ref(), &reader, from, rows_from).map_err(Error::Open)?;
        leaves = minimum.saturating_sub(reader.minimum());
    }
    Ok(Due { months, summaries, leaves })
}

/// Lets go of what is due.
pub(super) struct Retainer {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) recorder: Recorder,
    pub(super) retention: Retention,
    /// Held while what stands for a school is replaced.
    pub(super) standing: Replacing,
    /// Set when the log is being closed: the month under way is the last.
    pub(super) stop: Arc<AtomicBool>,
    /// Key epochs that are on record; none: the log has not been read for them yet.
    pub(super) key_epochs: Option<HashSet<KeyEpoch>>,
}

/// What tells leaves of key epochs apart: school, epochs, and whether the key came into force or was destroyed.
type KeyEpoch = ([u8; 8], u16, u16, u8);

fn key_epoch(leaf: &Leaf) -> KeyEpoch {
    (leaf.controller, leaf.pseudonym_epoch, leaf.log_epoch, leaf.status)
}

/// The roll-up of a school and month.
pub(super) fn roll_up_name(brin: &str, month: Month) -> String {
    format!("rollup/{brin}/{month}.rollup")
}

/// The one that is to take its place.
pub(super) fn next_name(brin: &str, month: Month) -> String {
    format!("rollup/{brin}/{month}.next")
}

/// The month of a roll-up, by its name.
pub(super) fn month_of_roll_up(name: &str) -> Option<Month> {
    Month::parse(name.strip_suffix(".rollup")?)
}

/// The month of one that is to take the place of another.
pub(super) fn month_of_next(name: &str) -> Option<Month> {
    Month::parse(name.strip_suffix(".next")?)
}

fn damaged(file: &str) -> Error {
    Error::Damaged { file: file.into(), offset: 0 }
}

fn code_of(brin: &str) -> Result<[u8; 4], Error> {
    brin.as_bytes().try_into().map_err(|_| damaged(&format!("rows/{brin}")))
}

fn row_file_error(file: &str, error: RowFileError) -> Error {
    if let RowFileError::Read(error) = error { Error::Open(error) } else { damaged(file) }
}

type Rows = RowFile<BufReader<Box<dyn storage::Source>>>;

fn open_rows(storage: &dyn Storage, name: &str) -> Result<Rows, Error> {
    let source = match storage.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged(name)),
        opened => opened.map_err(Error::Open)?,
    };
    RowFile::open(BufReader::with_capacity(256 * 1024, source)).map_err(|error| row_file_error(name, error))
}

/// Reads a roll-up whose rows lead to its root.
pub(super) fn read_roll_up(storage: &dyn Storage, name: &str) -> Result<RollUp, Error> {
    let source = storage.open(name).map_err(Error::Open)?;
    match RollUp::read(source).and_then(|rollup| rollup.verify().map(|()| rollup)) {
        Err(RollUpError::Read(error)) => Err(Error::Open(error)),
        read => read.map_err(|_| damaged(name)),
    }
}

/// The days of a school of which there are files of rows.
fn days_of(storage: &dyn Storage, brin: &str) -> Result<Vec<Date>, Error> {
    let names = storage.list(&format!("rows/{brin}")).map_err(Error::Open)?;
    Ok(names.iter().filter_map(|name| day_of_row_file(name)).collect())
}

fn months_due(storage: &dyn Storage, from: Date) -> Result<Vec<DueMonth>, Error> {
    let mut due = Vec::new();
    for brin in storage.list("rows").map_err(Error::Open)? {
        let mut months: BTreeMap<Month, Vec<Date>> = BTreeMap::new();
        for day in days_of(storage, &brin)? {
            let month = Month::of(day);
            if month.last() < from {
                months.entry(month).or_default().push(day);
            }
        }
        for (month, days) in months {
            let mut rows = 0;
            for &day in &days {
                let file = open_rows(storage, &row_file_name(&brin, day))?;
                rows += u64::from(file.len() - file.erased());
            }
            due.push(DueMonth { brin: brin.clone(), month, days, rows });
        }
    }
    Ok(due)
}

/// The roll-ups of a school.
struct School {
    brin: String,
    rollups: Vec<RollUp>,
}

/// Persons of a school who were last seen too long ago.
struct Gone {
    handles: HashSet<Handle>,
    from: Date,
}

impl Gone {
    fn has(&self, handle: &Handle, last: Date) -> bool {
        // Persons who could not be told apart share a handle of zeros. As somebody always has it, each row counts by
        // itself.
        if *handle == Handle::default() { last < self.from } else { self.handles.contains(handle) }
    }
}

impl School {
    fn read(storage: &dyn Storage, brin: &str) -> Result<Self, Error> {
        let names = storage.list(&format!("rollup/{brin}")).map_err(Error::Open)?;
        let months = names.iter().filter_map(|name| month_of_roll_up(name));
        let rollups = months.map(|month| read_roll_up(storage, &roll_up_name(brin, month)));
        Ok(Self { brin: brin.into(), rollups: rollups.collect::<Result<_, _>>()? })
    }

    fn gone(&self, storage: &dyn Storage, from: Date) -> Result<Gone, Error> {
        let mut last: HashMap<Handle, Date> = HashMap::new();
        for row in self.rollups.iter().flat_map(RollUp::rows) {
            let seen = last.entry(row.handle).or_insert(row.last);
            *seen = row.last.max(*seen);
        }
        let mut handles: HashSet<Handle> =
            last.into_iter().filter(|(_, last)| *last < from).map(|(handle, _)| handle).collect();
        for day in days_of(storage, &self.brin)? {
            if handles.is_empty() {
                break;
            }
            let name = row_file_name(&self.brin, day);
            let mut file = open_rows(storage, &name)?;
            let mut back = HashSet::new();
            for handle in &handles {
                if !file.find(handle).map_err(|error| row_file_error(&name, error))?.is_empty() {
                    back.insert(*handle);
                }
            }
            handles.retain(|handle| !back.contains(handle));
        }
        Ok(Gone { handles, from })
    }
}

/// What the leaves say of the days and months of schools.
#[derive(Default)]
struct Said {
    seals: BTreeMap<([u8; 4], Date), (Hash, u32)>,
    erased: HashSet<([u8; 4], Month)>,
    /// Roots of the newest roll-ups.
    rollups: HashMap<([u8; 4], Month), Hash>,
}

impl Said {
    fn note(&mut self, leaf: &Leaf) {
        let day = day_of(leaf.start_ms);
        let month = (leaf.brin(), Month::of(day));
        if leaf.kind == LeafKind::DaySeal {
            self.seals.insert((leaf.brin(), day), (leaf.inner_root, leaf.rows));
        } else if leaf.kind == LeafKind::RollUp {
            self.rollups.insert(month, leaf.inner_root);
        } else if leaf.kind == LeafKind::RetentionErase && leaf.flags & Leaf::PERSON == 0 {
            self.erased.insert(month);
        }
    }
}

impl Retainer {
    /// The days of which there are rows of any school.
    pub(super) fn days_with_rows(&self) -> Result<BTreeSet<Date>, Error> {
        let mut days = BTreeSet::new();
        for brin in self.storage.list("rows").map_err(Error::Open)? {
            days.extend(days_of(self.storage.as_ref(), &brin)?);
        }
        Ok(days)
    }

    /// Lets go of all that is due. `unsealed` is the first day that still has rows in the write-ahead log: its month
    /// is not complete.
    ///
    /// What cannot be done does not stop the rest; the first reason is given when all else is done.
    pub(super) fn retain(&self, today: Date, unsealed: Date, done: &mut Due) -> Result<(), Error> {
        self.settle()?;
        let mut months = months_due(self.storage.as_ref(), self.retention.detail_from(today))?;
        months.retain(|due| due.month.last() < unsealed);
        let mut failed = None;
        let said = if months.is_empty() { Said::default() } else { self.said()? };
        for due in months {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            match self.month(&due, &said) {
                Ok(()) => done.months.push(due),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        for brin in self.storage.list("rollup").map_err(Error::Open)? {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            match self.summaries(&brin, self.retention.rollup_from(today)) {
                Ok(summaries) => done.summaries += summaries,
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        for brin in self.storage.list("baseline").map_err(Error::Open)? {
            // Nothing was delivered for as long as rows are kept.
            let unused = days_of(self.storage.as_ref(), &brin)?.is_empty() && today > unsealed;
            if unused && self.storage.list(&format!("rollup/{brin}")).is_ok_and(|months| !months.is_empty()) {
                self.storage
                    .remove(&format!("baseline/{brin}"))
                    .map_err(|error| Error::Write(error.kind()))?;
            }
        }
        if let Some((from, days)) = self.retention.leaves_from(today) {
            match self.prune(from, days) {
                Ok(leaves) => done.leaves += leaves,
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Everything the leaves say, from the first to the newest.
    fn said(&self) -> Result<Said, Error> {
        let mut said = Said::default();
        self.scan(&mut |leaf| said.note(leaf))?;
        Ok(said)
    }

    /// Shows every leaf there is when this begins.
    ///
    /// What the writer puts into tiles and drops from the write-ahead log meanwhile is fetched from the tiles.
    fn scan(&self, show: &mut dyn FnMut(&Leaf)) -> Result<(), Error> {
        let mut done = None;
        loop {
            let reader = self.reader()?;
            if done.is_some_and(|done| reader.published() <= done) {
                return Ok(());
            }
            let mut next = done.unwrap_or(0).max(reader.minimum());
            let from = Position(next);
            let mut follow = |position: Position, leaf: &Leaf| {
                if position.0 == next {
                    next += 1;
                    show(leaf);
                }
            };
            reader.leaves(from, &mut follow).map_err(Error::Open)?;
            done = Some(next);
        }
    }

    /// Records each of these leaves of key epochs, unless one like it is there. The log is read for it once: nobody else
    /// puts any there meanwhile.
    pub(super) fn note_key_epochs(&mut self, leaves: Vec<Leaf>) -> Result<(), Error> {
        let mut known = match self.key_epochs.take() {
            Some(known) => known,
            None => {
                let mut known = HashSet::new();
                self.scan(&mut |leaf| {
                    if leaf.kind == LeafKind::KeyEpoch {
                        known.insert(key_epoch(leaf));
                    }
                })?;
                known
            }
        };
        let noted = leaves
            .into_iter()
            .filter(|leaf| known.insert(key_epoch(leaf)))
            .try_for_each(|leaf| self.record(leaf));
        // After a failure the log takes no more records; what is in there is not known then.
        self.key_epochs = noted.is_ok().then_some(known);
        noted
    }

    fn month(&self, due: &DueMonth, said: &Said) -> Result<(), Error> {
        let DueMonth { brin, month, days, .. } = due;
        let code = code_of(brin)?;
        if !said.erased.contains(&(code, *month)) {
            let rows = self.summarise(due, code, said)?;
            let mut leaf = Leaf::new(LeafKind::RetentionErase);
            leaf.controller = Leaf::controller_code(brin, "");
            leaf.start_ms = day_start_ms(month.first());
            leaf.released = day_start_ms(month.last());
            leaf.rows = rows;
            leaf.activity_version = self.retention.detail_days.into();
            self.record(leaf)?;
        }
        for &day in days {
            self.storage.remove(&row_file_name(brin, day)).map_err(|error| Error::Write(error.kind()))?;
        }
        Ok(())
    }

    /// Puts the roll-up of a month on record. Gives the number of its rows that are there.
    fn summarise(&self, due: &DueMonth, code: [u8; 4], said: &Said) -> Result<u32, Error> {
        let DueMonth { brin, month, days, .. } = due;
        let reader = self.reader()?;
        let seals: BTreeMap<Date, (Hash, u32)> = said
            .seals
            .range((code, month.first())..=(code, month.last()))
            .map(|(&(_, day), &seal)| (day, seal))
            .collect();
        if let Some(day) = days.iter().find(|day| !seals.contains_key(day)) {
            return Err(damaged(&row_file_name(brin, *day)));
        }
        let (mut rows, mut count, mut roots) = (Vec::new(), 0, Vec::new());
        for (&day, &seal) in &seals {
            let name = row_file_name(brin, day);
            let mut file = open_rows(self.storage.as_ref(), &name)?;
            if file.brin() != brin || file.day() != day || (file.root(), file.len()) != seal {
                return Err(damaged(&name));
            }
            let mut sources = HashMap::new();
            let mut expected = |position: Position| {
                let leaf = reader.leaf(position).ok().flatten();
                let leaf = leaf.filter(|leaf| leaf.has_rows_of(code, day))?;
                sources.insert(position, Source::new(&leaf, day));
                Some(ExpectedBlock::from(&leaf))
            };
            file.verify(&mut expected).map_err(|error| row_file_error(&name, error))?;
            let of_day: Result<Vec<_>, _> =
                file.rows().map(|row| row.map(|row| (sources[&row.position], row.row))).collect();
            rows.extend(roll_up(of_day.map_err(|error| row_file_error(&name, error))?));
            count += file.len() - file.erased();
            roots.push(seal.0);
        }
        let built = RollUp::build(brin, *month, salt()?, rows);
        let roots: Vec<&[u8]> = roots.iter().map(<[u8; 32]>::as_slice).collect();
        self.replace(&built.map_err(|_| damaged(&roll_up_name(brin, *month)))?, hash(&roots), [0; 32])?;
        Ok(count)
    }

    /// Removes summaries of persons last seen before a day.
    fn summaries(&self, brin: &str, from: Date) -> Result<u64, Error> {
        let school = School::read(self.storage.as_ref(), brin)?;
        let gone = school.gone(self.storage.as_ref(), from)?;
        self.remove(school, [0; 32], &|handle, last| gone.has(handle, last))
    }

    /// Removes rows from the roll-ups of a school, on behalf of an account where it is not by rule, and says how many.
    fn remove(
        &self,
        school: School,
        account: [u8; 32],
        goes: &dyn Fn(&Handle, Date) -> bool,
    ) -> Result<u64, Error> {
        let mut removed = 0;
        for rollup in school.rollups {
            if rollup.rows().iter().any(|row| goes(&row.handle, row.last)) {
                let before = rollup.root();
                let (rest, count) = rollup.prune(salt()?, |handle, last| !goes(handle, last));
                self.replace(&rest, hash(&[&before]), account)?;
                removed += count as u64;
            }
        }
        Ok(removed)
    }

    /// Puts a roll-up in the place of the one there is. `made_from` is the SHA-256 over the roots of what it was made
    /// from: the seals of its days, or the roll-up before it.
    fn replace(&self, rollup: &RollUp, made_from: Hash, account: [u8; 32]) -> Result<(), Error> {
        self.write(&next_name(rollup.brin(), rollup.month()), rollup)?;
        let mut leaf = Leaf::new(LeafKind::RollUp);
        leaf.controller = Leaf::controller_code(rollup.brin(), "");
        leaf.start_ms = day_start_ms(rollup.month().first());
        leaf.rows = u32::try_from(rollup.rows().len()).expect("a school has fewer summaries in a month");
        leaf.inner_root = rollup.root();
        leaf.agreement = made_from;
        leaf.certificate = account;
        self.record(leaf)?;
        self.put_in_place(rollup)
    }

    fn put_in_place(&self, rollup: &RollUp) -> Result<(), Error> {
        let (brin, month) = (rollup.brin(), rollup.month());
        let remove = |name: &str| self.storage.remove(name).map_err(|error| Error::Write(error.kind()));
        if rollup.rows().is_empty() {
            remove(&roll_up_name(brin, month))?;
        } else {
            self.write(&roll_up_name(brin, month), rollup)?;
        }
        remove(&next_name(brin, month))
    }

    fn write(&self, name: &str, rollup: &RollUp) -> Result<(), Error> {
        let fill = &mut |out: &mut dyn Write| rollup.write(out).map_err(io::Error::other);
        self.storage.write(name, fill).map_err(|error| Error::Write(error.kind()))
    }

    /// Finishes what a crash left: a roll-up that is on record takes its place, one that is not goes.
    fn settle(&self) -> Result<(), Error> {
        let mut left = Vec::new();
        for brin in self.storage.list("rollup").map_err(Error::Open)? {
            let names = self.storage.list(&format!("rollup/{brin}")).map_err(Error::Open)?;
            left.extend(names.iter().filter_map(|name| Some((brin.clone(), month_of_next(name)?))));
        }
        if left.is_empty() {
            return Ok(());
        }
        let said = self.said()?;
        for (brin, month) in left {
            let name = next_name(&brin, month);
            let newest = said.rollups.get(&(code_of(&brin)?, month));
            match read_roll_up(self.storage.as_ref(), &name) {
                Ok(rollup) if newest == Some(&rollup.root()) => self.put_in_place(&rollup)?,
                Err(Error::Open(error)) => return Err(Error::Open(error)),
                _ => self.storage.remove(&name).map_err(|error| Error::Write(error.kind()))?,
            }
        }
        Ok(())
    }

    /// Erases all there is of a person of a school, whose handles these are: one for each log key. On behalf of an
    /// account, or of none.
    pub(super) fn erase(&self, brin: &str, handles: &[Handle], account: [u8; 32]) -> Result<Erased, Error> {
        self.settle()?;
        let storage = self.storage.as_ref();
        let mut erased = Erased::default();
        for day in days_of(storage, brin)? {
            let name = row_file_name(brin, day);
            for handle in handles {
                let found = open_rows(storage, &name)?.find(handle);
                let rows = found.map_err(|error| row_file_error(&name, error))?.len();
                if rows == 0 {
                    continue;
                }
                let mut leaf = Leaf::new(LeafKind::RetentionErase);
                leaf.flags = Leaf::PERSON;
                leaf.controller = Leaf::controller_code(brin, "");
                leaf.start_ms = day_start_ms(day);
                leaf.certificate = account;
                leaf.rows = u32::try_from(rows).expect("a file numbers its rows in 32 bits");
                // On record first: a file never has more rows erased than the log says.
                self.record(leaf)?;
                let fill = &mut |out: &mut dyn Write| {
                    let mut file = open_rows(storage, &name).map_err(io::Error::other)?;
                    file.erase(handle, out).map(drop).map_err(io::Error::other)
                };
                storage.write(&name, fill).map_err(|error| Error::Write(error.kind()))?;
                erased.rows += rows as u64;
                erased.days += 1;
            }
        }
        let school = School::read(storage, brin)?;
        erased.summaries = self.remove(school, account, &|handle, _| handles.contains(handle))?;
        // What the next delivery is compared with has handles too. Without it that one is a first.
        storage.remove(&format!("baseline/{brin}")).map_err(|error| Error::Write(error.kind()))?;
        // No file has any more; whatever is found now is in the write-ahead log.
        let reader = self.reader()?;
        for handle in handles {
            let left =
                reader.rows(brin, &(Date::MIN..=Date::MAX), Some(handle), &mut |_| erased.unsealed += 1);
            left.map_err(Error::Open)?;
        }
        Ok(erased)
    }

    pub(super) fn reader(&self) -> Result<Reader, Error> {
        Reader::on(Arc::clone(&self.storage)).map_err(Error::Open)
    }

    pub(super) fn record(&self, leaf: Leaf) -> Result<(), Error> {
        self.recorder.record_blocking(Disclosure { leaf, rows: Vec::new() }).map(|_| ())
    }
}

fn salt() -> Result<[u8; 32], Error> {
    let mut salt = [0; 32];
    SystemRandom::new().fill(&mut salt).map_err(|_| Error::Write(io::ErrorKind::Other))?;
    Ok(salt)
}
