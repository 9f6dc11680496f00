//! The front of the log: leaves whose time is over go, and the tree over them stays as it was.
//!
//! After c2sp.org/tlog-tiles, "Pruning": the log has a *minimum index*, a multiple of 256 here, and the bundles and tiles
//! that end at or before it go. What is left gives every later leaf, the root of every later size, and every proof
//! among them; whoever holds a proof of an earlier leaf can still hold it against any later checkpoint.
//!
//! A leaf stays while anything that is there needs it: rows that are not erased, records in the write-ahead log. One that
//! still holds whatever its age (a roll-up in its place, a key, an agreement) is recorded anew before it goes. Each step
//! is on record before it is done, and can be done again:
//!
//! 1. what still holds is recorded anew;
//! 2. a `pruned` leaf: the minimum index in the place of `released`, the root of the tree at that size in that of the
//!    inner root, the first day that is kept as `start`, the rule's days as activity version;
//! 3. the file `minimum`: the minimum index, and from where on files below it may still be there;
//! 4. those files go, and the second number becomes the first.

use std::{collections::BTreeMap, io, ops::Range, sync::PoisonError};

use jiff::civil::Date;

use super::{
    Error,
    checkpoint::parse_number,
    merkle::{Hash, root_at},
    publish::read_tile,
    read::{Reader, day_of_row_file},
    record::{Leaf, LeafKind, Position},
    retain::{Retainer, read_roll_up, roll_up_name},
    rollup::Month,
    standing::{hash_of, standing_name},
    storage::{Storage, read_small},
    tile::{TileName, TileReader, WIDTH},
};
use crate::clock::{day_of, day_start_ms};

/// The file with the minimum index, beside the checkpoint; a log that was never pruned has none.
pub(super) const MINIMUM: &str = "minimum";

/// From which leaf on the log is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Minimum {
    /// The first leaf that is.
    pub(super) index: u64,
    /// Files from this one on may still be there, though they are below it.
    swept: u64,
}

impl Minimum {
    /// Reads it; [`io::ErrorKind::InvalidData`] when the file is not as it was written.
    pub(super) fn read(storage: &dyn Storage) -> io::Result<Self> {
        let Some(bytes) = read_small(storage, MINIMUM, 64)? else { return Ok(Self::default()) };
        let lines =
            std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n')?.split_once('\n'));
        let numbers = lines.and_then(|(index, swept)| Some((parse_number(index)?, parse_number(swept)?)));
        let (index, swept) = numbers.ok_or(io::ErrorKind::InvalidData)?;
        let whole = |index: u64| index.is_multiple_of(WIDTH.into());
        if swept <= index && whole(index) && whole(swept) {
            Ok(Self { index, swept })
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    fn write(self, storage: &dyn Storage) -> io::Result<()> {
        storage.put(&[(MINIMUM.into(), format!("{}\n{}\n", self.index, self.swept).into_bytes())])
    }
}

/// The minimum index that a log may have in which leaves from a day on are kept, once the rows of all months that end
/// before another day have gone.
pub(super) fn minimum_for(
    storage: &dyn Storage,
    reader: &Reader,
    from: Date,
    rows_from: Date,
) -> io::Result<u64> {
    let mut first = from;
    for brin in storage.list("rows")? {
        let days = storage.list(&format!("rows/{brin}"))?;
        let days = days.iter().filter_map(|name| day_of_row_file(name));
        first = days.filter(|day| Month::of(*day).last() >= rows_from).fold(first, Date::min);
    }
    reader.whole_bundles_before(day_start_ms(first))
}

/// What a leaf that holds whatever its age is about: of two about the same, the newer holds.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Matter {
    /// A key: its school, epochs and what is said of it.
    Key([u8; 8], u16, u16, u8),
    /// The summary of a school and month.
    RollUp([u8; 4], Month),
    /// All that stands for a school.
    Standing([u8; 4]),
}

impl Retainer {
    /// Lets go of the leaves from before a day. Gives how many went.
    pub(super) fn prune(&self, from: Date, days: u16) -> Result<u64, Error> {
        let storage = self.storage.as_ref();
        let reader = self.reader()?;
        let had = reader.minimum();
        let index = minimum_for(storage, &reader, from, Date::MIN).map_err(Error::Open)?;
        if index > had {
            {
                // Nothing is replaced between being found in its place and being said anew: the newest leaf is what holds.
                let _alone = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
                for leaf in self.still_holding(&reader, had..index)? {
                    self.record(leaf)?;
                }
            }
            let tiles = TileReader::new(reader.published(), |name: &str| read_tile(storage, name));
            let mut leaf = Leaf::new(LeafKind::Pruned);
            leaf.start_ms = day_start_ms(from);
            leaf.released = index;
            leaf.inner_root = root_at(&tiles, index).map_err(Error::Open)?;
            leaf.activity_version = days.into();
            self.record(leaf)?;
            let swept = Minimum::read(storage).map_err(Error::Open)?.swept;
            Minimum { index, swept }.write(storage).map_err(|error| Error::Write(error.kind()))?;
        }
        self.sweep().map_err(|error| Error::Write(error.kind()))?;
        Ok(index.saturating_sub(had))
    }

    /// Removes the files below the minimum index, also those that a crash has left.
    fn sweep(&self) -> io::Result<()> {
        let storage = self.storage.as_ref();
        let Minimum { index, swept } = Minimum::read(storage)?;
        if swept == index {
            return Ok(());
        }
        for name in TileName::all_between(swept, index) {
            storage.remove(&name.to_string())?;
            storage.remove(&name.partials())?;
        }
        Minimum { index, swept: index }.write(storage)
    }

    /// The leaves among these that still hold.
    fn still_holding(&self, reader: &Reader, range: Range<u64>) -> Result<Vec<Leaf>, Error> {
        let mut newest: BTreeMap<Matter, Leaf> = BTreeMap::new();
        let mut follow = |_: Position, leaf: &Leaf| {
            if let Some(matter) = Matter::of(leaf) {
                newest.insert(matter, leaf.clone());
            }
        };
        reader.published_leaves(range, &mut follow).map_err(Error::Open)?;
        let mut holding = Vec::new();
        for (matter, leaf) in newest {
            if self.is_in_place(&matter, &leaf.inner_root)? {
                holding.push(leaf);
            }
        }
        Ok(holding)
    }

    /// Whether what a leaf is about still is as the leaf says: a later leaf may have changed it.
    fn is_in_place(&self, matter: &Matter, root: &Hash) -> Result<bool, Error> {
        match matter {
            Matter::Key(..) => Ok(true),
            Matter::RollUp(code, month) => {
                let name = roll_up_name(&String::from_utf8_lossy(code), *month);
                match read_roll_up(self.storage.as_ref(), &name) {
                    Ok(rollup) => Ok(rollup.root() == *root),
                    Err(Error::Open(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                    Err(error) => Err(error),
                }
            }
            Matter::Standing(code) => {
                let name = standing_name(&String::from_utf8_lossy(code));
                Ok(hash_of(self.storage.as_ref(), &name).map_err(Error::Open)? == Some(*root))
            }
        }
    }
}

impl Matter {
    fn of(leaf: &Leaf) -> Option<Self> {
        if leaf.kind == LeafKind::KeyEpoch {
            return Some(Self::Key(leaf.controller, leaf.pseudonym_epoch, leaf.log_epoch, leaf.status));
        }
        if leaf.kind == LeafKind::RollUp {
            return Some(Self::RollUp(leaf.brin(), Month::of(day_of(leaf.start_ms))));
        }
        leaf.kind.carries_standing().then(|| Self::Standing(leaf.brin()))
    }
}
