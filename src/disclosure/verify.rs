//! Re-computes a log from its bytes, without secret keys, without writing, and beside a running process.

mod finding;

pub use finding::{Finding, FindingKind, Report, VerifyError};

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use jiff::civil::Date;

use super::{
    Error,
    checkpoint::Checkpoint,
    merkle::{Hash, Tree, root_at},
    note::Verifier,
    prune::{MINIMUM, Minimum},
    publish::read_tile,
    read::{Reader, day_of_row_file},
    record::{Leaf, LeafKind, OutcomeStatus, Position},
    retain::{month_of_next, month_of_roll_up, next_name, read_roll_up, roll_up_name},
    rollup::{Month, RollUp},
    rowfile::{ExpectedBlock, RowFile, RowFileError},
    standing::{self, standing_name},
    storage::{DirStorage, Storage},
    tile::{TileKind, TileName, TileReader, TileWriter},
    wal::{End, Scanner, Step, is_segment},
};
use crate::clock::day_of;

/// The file with the public key of a log, beside its checkpoint.
pub(super) const PUBLIC_KEY: &str = "log.vkey";

/// What a log is held against besides itself.
#[derive(Debug, Default, Clone)]
pub struct Against {
    /// The key it must be signed with; none: the one that lies beside it, which shows no more than that all of it was
    /// signed with the same.
    pub key: Option<Verifier>,
    /// A checkpoint kept elsewhere, which the log must hold all of.
    pub copy: Option<PathBuf>,
}

/// Re-computes the log in a folder and says what it holds.
///
/// `progress` is told the leaves done and the leaves in all.
///
/// # Errors
///
/// The first thing that is wrong; what follows damage cannot be judged.
pub fn verify(
    directory: &Path,
    against: &Against,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, VerifyError> {
    Verification::begin(directory, against)?.run(progress)
}

struct Verification {
    directory: PathBuf,
    storage: DirStorage,
    checkpoint: Checkpoint,
    reader: Reader,
    /// Positions of leaves whose rows were found, where they were.
    found: HashSet<u64>,
    /// Sealed files.
    files: HashMap<([u8; 4], Date), RowsFound>,
    report: Report,
    deliveries: Deliveries,
    /// The checkpoint kept elsewhere, until the log has come to it.
    copy: Option<Checkpoint>,
    /// Its file.
    compared: Option<PathBuf>,
    /// Where the log has another root than the checkpoint kept elsewhere.
    forked: Option<Position>,
    /// The size at which the checkpoint kept elsewhere cannot be compared: what it speaks of has gone by rule.
    too_old: Option<Position>,
    /// Leaves whose rows were not found, one for each school and day.
    absent: HashMap<([u8; 4], Date), Position>,
    seals: HashMap<([u8; 4], Date), (Hash, u32)>,
    /// Rows of one person that are on record as erased, by school and day.
    persons: HashMap<([u8; 4], Date), u64>,
    /// The newest roll-up of each school and month: where it is on record, its root and number of rows.
    rollups: HashMap<([u8; 4], Month), (Position, Hash, u32)>,
    /// The newest hash of what stands for each school, and where it is on record.
    standing: HashMap<[u8; 4], (Position, Hash)>,
}

/// A file of rows that holds what its leaves answer for.
struct RowsFound {
    root: Hash,
    rows: u32,
    erased: u32,
}

impl Verification {
    fn begin(directory: &Path, against: &Against) -> Result<Self, VerifyError> {
        let at = |name: &str| directory.join(name);
        let unreadable = |name: &str, error: &io::Error| VerifyError::Unreadable(at(name), error.kind());
        let small = |name: &str| match read_small(&at(name)) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory.join("wal").is_dir() => {
                Err(VerifyError::Tampered(Finding {
                    file: at(name),
                    offset: 0,
                    position: Position(0),
                    kind: FindingKind::Missing,
                }))
            }
            Err(error) => Err(unreadable(name, &error)),
        };
        let altered = |name: &str| {
            let kind = FindingKind::Altered;
            VerifyError::Tampered(Finding { file: at(name), offset: 0, position: Position(0), kind })
        };
        let note = small("checkpoint")?;
        let verifier = match &against.key {
            Some(key) => key.clone(),
            None => {
                let text = String::from_utf8(small(PUBLIC_KEY)?).ok();
                let line = text.as_deref().and_then(|text| text.strip_suffix('\n'));
                line.and_then(|line| line.parse().ok()).ok_or_else(|| altered(PUBLIC_KEY))?
            }
        };
        let checkpoint =
            Checkpoint::open(&note, std::slice::from_ref(&verifier)).map_err(|_| altered("checkpoint"))?;
        let copy = match &against.copy {
            None => None,
            Some(path) => {
                let note =
                    read_small(path).map_err(|error| VerifyError::Unreadable(path.clone(), error.kind()))?;
                let opened = Checkpoint::open(&note, std::slice::from_ref(&verifier));
                Some(opened.map_err(|_| {
                    let (file, position, kind) = (path.clone(), Position(0), FindingKind::Foreign);
                    VerifyError::Tampered(Finding { file, offset: 0, position, kind })
                })?)
            }
        };
        let minimum = match Minimum::read(&DirStorage::read_only(directory)) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(altered(MINIMUM)),
            Ok(minimum) if minimum.index > checkpoint.size => return Err(altered(MINIMUM)),
            read => read.map_err(|error| unreadable(MINIMUM, &error))?,
        };
        let reader = Reader::open(directory).map_err(|error| unreadable("checkpoint", &error))?;
        let report = Report {
            origin: checkpoint.origin.clone(),
            leaves: 0,
            pruned: minimum.index,
            signed: checkpoint.size,
            rows: 0,
            erased: 0,
            deliveries: 0,
            unknown_outcomes: 0,
            open: 0,
            seals: 0,
            summaries: 0,
            root: String::new(),
        };
        Ok(Self {
            directory: directory.to_owned(),
            storage: DirStorage::read_only(directory),
            checkpoint,
            copy,
            compared: against.copy.clone(),
            forked: None,
            too_old: None,
            reader,
            found: HashSet::new(),
            files: HashMap::new(),
            report,
            deliveries: Deliveries::default(),
            absent: HashMap::new(),
            seals: HashMap::new(),
            persons: HashMap::new(),
            rollups: HashMap::new(),
            standing: HashMap::new(),
        })
    }

    fn run(mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, VerifyError> {
        // Rows first, each held against a leaf; then the leaves, each held against the tiles, the checkpoint, and what
        // came before it.
        self.row_files()?;
        let end = self.write_ahead()?;
        self.leaves(end.tree.size(), progress)?;
        self.seals()?;
        self.roll_ups()?;
        self.standing()?;
        self.report.open = self.deliveries.open.len() as u64;
        self.report.root = hex::encode(end.tree.root());
        Ok(self.report)
    }

    fn finding(&self, file: &str, offset: u64, position: Position, kind: FindingKind) -> VerifyError {
        VerifyError::Tampered(Finding { file: self.directory.join(file), offset, position, kind })
    }

    fn unreadable(&self, file: &str, error: &io::Error) -> VerifyError {
        VerifyError::Unreadable(self.directory.join(file), error.kind())
    }

    /// A leaf of the tiles. What is wrong with a bundle is named when its turn comes.
    fn leaf(&self, position: Position) -> Option<Leaf> {
        self.reader.leaf(position).ok().flatten()
    }

    fn row_files(&mut self) -> Result<(), VerifyError> {
        for brin in self.storage.list("rows").map_err(|error| self.unreadable("rows", &error))? {
            let folder = format!("rows/{brin}");
            let names = self.storage.list(&folder).map_err(|error| self.unreadable(&folder, &error))?;
            for name in names {
                let path = format!("{folder}/{name}");
                let foreign = self.finding(&path, 0, Position(0), FindingKind::Foreign);
                let (Some(day), Ok(code)) = (day_of_row_file(&name), <[u8; 4]>::try_from(brin.as_bytes()))
                else {
                    return Err(foreign);
                };
                let source = self.storage.open(&path).map_err(|error| self.unreadable(&path, &error))?;
                let mut file = RowFile::open(BufReader::with_capacity(256 * 1024, source))
                    .map_err(|error| self.row_file(&path, &error))?;
                if file.brin() != brin || file.day() != day {
                    return Err(foreign);
                }
                let mut positions = Vec::new();
                let mut pruned = None;
                let mut expected = |position: Position| {
                    if position.0 < self.report.pruned {
                        pruned = Some(position);
                    }
                    let leaf = self.leaf(position)?;
                    positions.push(position.0);
                    leaf.has_rows_of(code, day).then(|| ExpectedBlock::from(&leaf))
                };
                let verified = file.verify(&mut expected);
                if let Some(position) = pruned {
                    // No leaf goes while rows need it.
                    return Err(self.finding(MINIMUM, 0, position, FindingKind::Foreign));
                }
                verified.map_err(|error| self.row_file(&path, &error))?;
                self.found.extend(positions);
                self.report.rows += u64::from(file.len() - file.erased());
                self.report.erased += u64::from(file.erased());
                let found = RowsFound { root: file.root(), rows: file.len(), erased: file.erased() };
                self.files.insert((code, day), found);
            }
        }
        Ok(())
    }

    fn row_file(&self, path: &str, error: &RowFileError) -> VerifyError {
        if let RowFileError::Read(error) = error {
            return self.unreadable(path, error);
        }
        let kind = match error {
            RowFileError::Foreign | RowFileError::Unknown(_) => FindingKind::Foreign,
            RowFileError::RowCount(_) => FindingKind::Missing,
            RowFileError::Foot => FindingKind::Torn,
            RowFileError::Block(_)
            | RowFileError::Head
            | RowFileError::Index
            | RowFileError::InnerRoot(_)
            | RowFileError::Order(_)
            | RowFileError::Read(_)
            | RowFileError::SealRoot
            | RowFileError::Subject(_)
            | RowFileError::Unions(_)
            | RowFileError::Write(_) => FindingKind::Altered,
        };
        self.finding(path, 0, error.position().unwrap_or(Position(0)), kind)
    }

    /// Follows the write-ahead log. Gives the end of the whole log.
    fn write_ahead(&mut self) -> Result<End, VerifyError> {
        let names = self.storage.list("wal").map_err(|error| self.unreadable("wal", &error))?;
        let size = self.checkpoint.size;
        let Some(oldest) = names.first().cloned() else {
            return Err(self.finding("wal", 0, Position(size), FindingKind::Missing));
        };
        let mut end = self.beginning(&format!("wal/{oldest}"))?;
        let mut met = end.tree.size() == size && end.tree.root() == self.checkpoint.root;
        self.meet_copy(&end.tree);
        for name in &names {
            let path = format!("wal/{name}");
            if !is_segment(name) {
                return Err(self.finding(&path, 0, end.next(), FindingKind::Foreign));
            }
            let source = self.storage.open(&path).map_err(|error| self.unreadable(&path, &error))?;
            let source = BufReader::with_capacity(256 * 1024, source);
            let mut scanner =
                match Scanner::open(source, &end).map_err(|error| self.unreadable(&path, &error))? {
                    Ok(scanner) => scanner,
                    Err(damage) => return Err(self.finding(&path, 0, end.next(), damage.into())),
                };
            loop {
                let position = end.next();
                match scanner.step(&mut end).map_err(|error| self.unreadable(&path, &error))? {
                    Step::End => break,
                    Step::Damaged(damage, at) => {
                        return Err(self.finding(&path, at, position, damage.into()));
                    }
                    Step::Frame(frame) => {
                        self.meet_copy(&end.tree);
                        if end.tree.size() == size {
                            met = end.tree.root() == self.checkpoint.root;
                        }
                        let sealed = !frame.rows.is_empty() && !self.found.insert(position.0);
                        self.report.rows += if sealed { 0 } else { frame.rows.len() as u64 };
                        if position.0 < size && self.leaf(position).as_ref() != Some(&frame.leaf) {
                            // Which of the two is altered shows when the tiles are held against the checkpoint.
                            met = false;
                        }
                    }
                }
            }
        }
        let known = self.copy.as_ref().map_or(size, |copy| size.max(copy.size));
        if end.tree.size() < known {
            return Err(self.finding("wal", 0, end.next(), FindingKind::Missing));
        }
        if !met {
            // Tiles that disagree with the checkpoint are named first: they may be what the start was taken from.
            self.tiles()?;
            return Err(self.finding(&format!("wal/{oldest}"), 0, Position(0), FindingKind::Altered));
        }
        if let (Some(Position(size)), Some(path)) = (self.too_old, &self.compared) {
            return Err(VerifyError::TooOld { copy: path.clone(), size, minimum: self.report.pruned });
        }
        if let Some(position) = self.forked {
            // All of it fits together, and still it is not the log that was.
            return Err(self.finding("checkpoint", 0, position, FindingKind::Foreign));
        }
        Ok(end)
    }

    /// Holds the log against the checkpoint kept elsewhere, when it has come that far.
    fn meet_copy(&mut self, tree: &Tree) {
        let Some(copy) = self.copy.take_if(|copy| copy.size <= tree.size()) else { return };
        let root = if copy.size == tree.size() {
            Ok(tree.root())
        } else {
            let tiles = TileReader::new(self.checkpoint.size, |name: &str| read_tile(&self.storage, name));
            root_at(&tiles, copy.size)
        };
        match root {
            Ok(root) if root == copy.root => {}
            Err(_) if copy.size < self.report.pruned => self.too_old = Some(Position(copy.size)),
            _ => self.forked = Some(Position(copy.size)),
        }
    }

    /// The state of the log where the oldest segment begins, from tiles.
    fn beginning(&self, path: &str) -> Result<End, VerifyError> {
        let source = self.storage.open(path).map_err(|error| self.unreadable(path, &error))?;
        let begins = Scanner::beginning(&mut BufReader::new(source));
        let (first, link) = match begins.map_err(|error| self.unreadable(path, &error))? {
            Ok(begins) => begins,
            Err(damage) => return Err(self.finding(path, 0, Position(0), damage.into())),
        };
        if first > self.checkpoint.size {
            return Err(self.finding("wal", 0, Position(self.checkpoint.size), FindingKind::Missing));
        }
        let tiles = TileReader::new(self.checkpoint.size, |name: &str| read_tile(&self.storage, name));
        match Tree::restore(&tiles, first) {
            Ok(tree) => Ok(End { tree, link }),
            Err(_) => {
                self.tiles()?;
                Err(self.finding("tile", 0, Position(first), FindingKind::Missing))
            }
        }
    }

    /// Holds bundles against tiles, and both against the checkpoint.
    fn tiles(&self) -> Result<(), VerifyError> {
        let size = self.checkpoint.size;
        let minimum = self.report.pruned;
        let begun = TileWriter::resume(minimum, size, |name| read_tile(&self.storage, name));
        let mut writer =
            begun.map_err(|_| self.finding("tile", 0, Position(minimum), FindingKind::Missing))?;
        // The first tile that is not what the bundles make of it.
        let mut wrong: Option<(TileName, FindingKind)> = None;
        let mut compare = |files: Vec<(String, Vec<u8>)>| {
            for (name, bytes) in files {
                let Ok(tile) = name.parse::<TileName>() else { continue };
                if wrong.is_some() || tile.kind() == TileKind::Entries {
                    continue;
                }
                match read_tile(&self.storage, &name) {
                    Ok(found) if found == bytes => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        // The full one may have come in its place since.
                        let full = read_tile(&self.storage, &tile.full().to_string());
                        if !full.is_ok_and(|full| full.starts_with(&bytes)) {
                            wrong = Some((tile, FindingKind::Missing));
                        }
                    }
                    _ => wrong = Some((tile, FindingKind::Altered)),
                }
            }
        };
        for number in minimum / 256..size.div_ceil(256) {
            let name = TileName::of(TileKind::Entries, number, size).expect("the log reaches that far");
            let position = Position(number * 256);
            let reader = TileReader::new(size, |name: &str| read_tile(&self.storage, name));
            let entries = reader.bundle(number).map_err(|error| {
                let gone = error.kind() == io::ErrorKind::NotFound;
                let kind = if gone { FindingKind::Missing } else { FindingKind::Altered };
                self.finding(&name.to_string(), 0, position, kind)
            })?;
            for (index, entry) in entries.iter().enumerate() {
                let leaf = <&[u8; Leaf::SIZE]>::try_from(entry.as_slice()).ok().and_then(Leaf::from_bytes);
                if leaf.is_none() {
                    let position = Position(position.0 + index as u64);
                    return Err(self.finding(&name.to_string(), 0, position, FindingKind::Altered));
                }
                writer.push(entry).expect("a leaf is shorter than 64 KiB");
            }
            compare(writer.take_full());
        }
        let tree = writer.tree();
        compare(writer.checkpoint().files);
        match (wrong, tree.root() == self.checkpoint.root) {
            (None, true) => Ok(()),
            // The bundles are what was signed, so it is the tile.
            (Some((tile, kind)), true) => Err(self.finding(&tile.to_string(), 0, first_of(tile), kind)),
            (Some((tile, _)), false) => {
                let position = self.first_difference(tile);
                let bundle = TileName::of(TileKind::Entries, position.0 / 256, size);
                let file = bundle.map_or_else(|| "tile/entries".into(), |name| name.to_string());
                Err(self.finding(&file, (position.0 % 256) * 258, position, FindingKind::Altered))
            }
            (None, false) => Err(self.finding("checkpoint", 0, Position(size), FindingKind::Altered)),
        }
    }

    /// The first entry whose hash is not the one in the tiles of the lowest level, from a tile that differs.
    fn first_difference(&self, tile: TileName) -> Position {
        let reader = TileReader::new(self.checkpoint.size, |name: &str| read_tile(&self.storage, name));
        let first = first_of(tile);
        for position in first.0.max(self.report.pruned)..self.checkpoint.size {
            use super::merkle::{Hashes, leaf_hash};
            let entry = reader.entry(position).map(|entry| leaf_hash(&entry));
            match (entry, reader.hash(0, position)) {
                (Ok(entry), Ok(hash)) if entry == hash => {}
                _ => return Position(position),
            }
        }
        first
    }

    /// Every leaf in order: whether tiles and checkpoint hold it, and whether it fits what came before.
    fn leaves(&mut self, total: u64, progress: &mut dyn FnMut(u64, u64)) -> Result<(), VerifyError> {
        self.tiles()?;
        let mut last_ms = 0;
        let mut misfit = None;
        let Self {
            reader, report, deliveries, found, files, absent, seals, persons, rollups, standing, ..
        } = self;
        let mut erased: Vec<Leaf> = Vec::new();
        let mut pruned: Option<(Position, Leaf)> = None;
        let read = reader.leaves(Position(0), &mut |position, leaf| {
            report.leaves += 1;
            if report.leaves == 1 && report.pruned > 0 {
                deliveries.begun_before = leaf.end_ms;
            }
            let fits = deliveries.follow(leaf, report) && leaf.end_ms >= last_ms;
            if !fits && misfit.is_none() {
                misfit = Some(position);
            }
            last_ms = leaf.end_ms;
            let key = (leaf.brin(), day_of(leaf.end_ms));
            if leaf.rows > 0 && leaf.kind == LeafKind::Disclosure && !found.contains(&position.0) {
                absent.entry(key).or_insert(position);
            }
            if leaf.kind.carries_standing() {
                standing.insert(leaf.brin(), (position, leaf.inner_root));
            }
            let day = || day_of(leaf.start_ms);
            if leaf.kind == LeafKind::DaySeal {
                report.seals += 1;
                seals.insert((leaf.brin(), day()), (leaf.inner_root, leaf.rows));
            } else if leaf.kind == LeafKind::RollUp {
                let newest = (position, leaf.inner_root, leaf.rows);
                rollups.insert((leaf.brin(), Month::of(day())), newest);
            } else if leaf.kind == LeafKind::RetentionErase && leaf.flags & Leaf::PERSON != 0 {
                *persons.entry((leaf.brin(), day())).or_default() += u64::from(leaf.rows);
            } else if leaf.kind == LeafKind::RetentionErase {
                erased.push(leaf.clone());
            } else if leaf.kind == LeafKind::Pruned {
                pruned = Some((position, leaf.clone()));
            }
            progress(position.0 + 1, total);
        });
        // An erasure says of which school, from which day until which, whatever was there is gone.
        for leaf in erased {
            let (from, until) = (day_of(leaf.start_ms), day_of(leaf.released));
            let covered =
                |(brin, day): &([u8; 4], Date)| *brin == leaf.brin() && (from..=until).contains(day);
            absent.retain(|key, _| !covered(key));
            seals.retain(|key, (_, rows)| {
                let gone = covered(key) && !files.contains_key(key);
                report.erased += if gone { u64::from(*rows) } else { 0 };
                !gone
            });
        }
        read.map_err(|error| self.unreadable("tile/entries", &error))?;
        self.front(pruned)?;
        match (misfit, self.absent.iter().min_by_key(|(_, position)| **position)) {
            (Some(position), _) => Err(self.finding("tile/entries", 0, position, FindingKind::Foreign)),
            (None, Some((&(brin, day), &position))) => {
                let name = format!("rows/{}/{day}.rows", String::from_utf8_lossy(&brin));
                Err(self.finding(&name, 0, position, FindingKind::Missing))
            }
            (None, None) => Ok(()),
        }
    }

    /// What is missing at the front of the log is what the newest record of it says.
    fn front(&self, pruned: Option<(Position, Leaf)>) -> Result<(), VerifyError> {
        let minimum = self.report.pruned;
        let (position, leaf) = match pruned {
            // Between the record and the file a crash may have come, and then nothing has gone yet.
            Some((position, leaf)) if minimum <= leaf.released => (position, leaf),
            None if minimum == 0 => return Ok(()),
            _ => return Err(self.finding(MINIMUM, 0, Position(minimum), FindingKind::Foreign)),
        };
        let tiles = TileReader::new(self.checkpoint.size, |name: &str| read_tile(&self.storage, name));
        match root_at(&tiles, leaf.released) {
            Ok(root) if root == leaf.inner_root => Ok(()),
            _ => Err(self.finding("tile/entries", 0, position, FindingKind::Altered)),
        }
    }

    /// Each seal has its file, with the root and number of rows that it says; and each file has no more rows erased than
    /// are on record as such.
    fn seals(&self) -> Result<(), VerifyError> {
        for (key, file) in &self.files {
            if u64::from(file.erased) > self.persons.get(key).copied().unwrap_or(0) {
                let name = format!("rows/{}/{}.rows", String::from_utf8_lossy(&key.0), key.1);
                return Err(self.finding(&name, 0, Position(0), FindingKind::Altered));
            }
        }
        for ((brin, day), seal) in &self.seals {
            let name = format!("rows/{}/{day}.rows", String::from_utf8_lossy(brin));
            match self.files.get(&(*brin, *day)) {
                None => return Err(self.finding(&name, 0, Position(0), FindingKind::Missing)),
                Some(file) if (file.root, file.rows) != *seal => {
                    return Err(self.finding(&name, 0, Position(0), FindingKind::Altered));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// What stands for each school is the newest on record. What is to take its place comes before its leaf.
    fn standing(&self) -> Result<(), VerifyError> {
        let unreadable = |name: &str, error: &io::Error| self.unreadable(name, error);
        for name in self.storage.list("standing").map_err(|error| unreadable("standing", &error))? {
            let known = standing::school_of(&name)
                .is_some_and(|(brin, next)| next || self.standing.keys().any(|code| code == brin.as_bytes()));
            if !known {
                return Err(self.finding(&format!("standing/{name}"), 0, Position(0), FindingKind::Foreign));
            }
        }
        for (code, &(position, root)) in &self.standing {
            let brin = String::from_utf8_lossy(code);
            let hash = |name: &str| {
                standing::hash_of(&self.storage, name).map_err(|error| self.unreadable(name, &error))
            };
            let name = standing_name(&brin);
            let found = hash(&name)?;
            if found != Some(root) && hash(&standing::next_name(&brin))? != Some(root) {
                let kind = if found.is_some() { FindingKind::Altered } else { FindingKind::Missing };
                return Err(self.finding(&name, 0, position, kind));
            }
        }
        Ok(())
    }

    /// Each roll-up is the newest on record of its school and month. One that a crash has kept from its place may
    /// still stand beside it.
    fn roll_ups(&mut self) -> Result<(), VerifyError> {
        let unreadable = |name: &str, error: &io::Error| self.unreadable(name, error);
        for brin in self.storage.list("rollup").map_err(|error| unreadable("rollup", &error))? {
            let folder = format!("rollup/{brin}");
            for name in self.storage.list(&folder).map_err(|error| unreadable(&folder, &error))? {
                let path = format!("{folder}/{name}");
                let month = month_of_roll_up(&name).or_else(|| month_of_next(&name));
                let key = <[u8; 4]>::try_from(brin.as_bytes()).ok().zip(month);
                let known = key.is_some_and(|key| self.rollups.contains_key(&key));
                // One that is to take another's place comes before its leaf.
                let next = key.is_some() && month_of_next(&name).is_some();
                if !known && !next {
                    return Err(self.finding(&path, 0, Position(0), FindingKind::Foreign));
                }
            }
        }
        for (&(brin, month), &(position, root, rows)) in &self.rollups {
            let brin = String::from_utf8_lossy(&brin);
            let path = roll_up_name(&brin, month);
            let read = |name: &str| read_roll_up(&self.storage, name);
            let fits =
                |rollup: &RollUp| rollup.root() == root && rollup.brin() == brin && rollup.month() == month;
            if read(&next_name(&brin, month)).is_ok_and(|next| fits(&next)) {
                self.report.summaries += u64::from(rows);
                continue;
            }
            match read(&path) {
                Ok(rollup) if fits(&rollup) => self.report.summaries += u64::from(rows),
                Err(Error::Open(error)) if error.kind() == io::ErrorKind::NotFound => {
                    if rows > 0 {
                        return Err(self.finding(&path, 0, position, FindingKind::Missing));
                    }
                }
                Err(Error::Open(error)) => return Err(self.unreadable(&path, &error)),
                _ => return Err(self.finding(&path, 0, position, FindingKind::Altered)),
            }
        }
        Ok(())
    }
}

/// The first entry below a tile.
fn first_of(tile: TileName) -> Position {
    match tile.kind() {
        TileKind::Entries => Position(tile.index() * 256),
        TileKind::Hashes(level) => {
            Position(tile.index().checked_shl(8 * (u32::from(level) + 1)).unwrap_or(0))
        }
    }
}

fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(64 * 1024).read_to_end(&mut text)?;
    Ok(text)
}

/// Deliveries under way: chunks so far, by span.
#[derive(Default)]
struct Deliveries {
    open: HashMap<[u8; 8], u32>,
    /// Of a delivery that began before this instant, the first chunks may have gone by rule.
    begun_before: u64,
}

impl Deliveries {
    /// Whether the leaf fits what came before it.
    fn follow(&mut self, leaf: &Leaf, report: &mut Report) -> bool {
        match leaf.kind {
            LeafKind::Disclosure => {
                let early = leaf.start_ms < self.begun_before;
                let chunks = self.open.entry(leaf.span_id).or_insert_with(|| {
                    report.deliveries += 1;
                    if early { leaf.chunk } else { 0 }
                });
                let next = leaf.chunk == *chunks;
                *chunks += 1;
                next
            }
            LeafKind::Outcome => {
                let unknown = leaf.outcome().is_some_and(|outcome| outcome.status == OutcomeStatus::Unknown);
                report.unknown_outcomes += u64::from(unknown);
                self.open.remove(&leaf.span_id).is_some() || leaf.start_ms < self.begun_before
            }
            LeafKind::Account
            | LeafKind::AgreementActivated
            | LeafKind::DaySeal
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
            | LeafKind::Withheld => true,
        }
    }
}
