//! From tiles to hashes and entries.

use std::{cell::RefCell, fmt, io};

use super::{TileKind, TileName, WIDTH, read_bundle, read_tile};
use crate::disclosure::merkle::{self, Hash, Hashes};

/// Tiles kept: two for each level of any log there will be.
const CACHED: usize = 16;

/// Reads the tree of a log at one size from its tiles. What it reads is believed: check what you make of it against the
/// root of a checkpoint.
pub struct TileReader<F> {
    size: u64,
    read: F,
    /// The tiles used last, latest first.
    cache: RefCell<Vec<(TileName, Vec<Hash>)>>,
}

impl<F: Fn(&str) -> io::Result<Vec<u8>>> TileReader<F> {
    /// The log when it had `size` entries, for which a checkpoint was made.
    pub fn new(size: u64, read: F) -> Self {
        Self { size, read, cache: RefCell::default() }
    }

    /// Entries in the log.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The entries of a bundle: [`WIDTH`] of them, and what is left in the last.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is malformed; [`io::ErrorKind::InvalidInput`] when the log has no such bundle.
    pub fn bundle(&self, index: u64) -> io::Result<Vec<Vec<u8>>> {
        let name = TileName::of(TileKind::Entries, index, self.size).ok_or_else(outside)?;
        read_bundle(&self.read, name)
    }

    /// One entry. Reads its whole bundle; for many entries, read bundles.
    ///
    /// # Errors
    ///
    /// As [`TileReader::bundle`].
    pub fn entry(&self, index: u64) -> io::Result<Vec<u8>> {
        let width = u64::from(WIDTH);
        self.bundle(index / width)?.into_iter().nth((index % width) as usize).ok_or_else(outside)
    }
}

impl<F: Fn(&str) -> io::Result<Vec<u8>>> Hashes for TileReader<F> {
    fn hash(&self, level: u8, index: u64) -> io::Result<Hash> {
        let end = (u128::from(index) + 1).checked_shl(level.into());
        if level >= 64 || end.is_none_or(|end| end > self.size.into()) {
            return Err(outside());
        }
        // The subtree stands on 2^height hashes of the tile below it.
        let (kind, height) = (TileKind::Hashes(level / 8), level % 8);
        let first = index << height;
        let name = TileName::of(kind, first / u64::from(WIDTH), self.size).ok_or_else(outside)?;
        let mut cache = self.cache.borrow_mut();
        match cache.iter().position(|(cached, _)| *cached == name) {
            Some(place) => cache[..=place].rotate_right(1),
            None => {
                let hashes = read_tile(&self.read, name)?;
                cache.truncate(CACHED - 1);
                cache.insert(0, (name, hashes));
            }
        }
        let start = (first % u64::from(WIDTH)) as usize;
        Ok(merkle::root_of(&cache[0].1[start..start + (1 << height)]))
    }
}

impl<F> fmt::Debug for TileReader<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TileReader").field("size", &self.size).finish_non_exhaustive()
    }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "outside the log")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A tile of level 0 with 256 hashes, whatever its name.
    fn tile(_: &str) -> io::Result<Vec<u8>> {
        Ok(vec![5; 256 * 32])
    }

    #[test]
    fn only_full_subtrees_of_the_tree_have_a_hash() {
        let reader = TileReader::new(512, tile);
        assert!(reader.hash(0, 511).is_ok());
        assert!(reader.hash(7, 3).is_ok());
        for (level, index) in [(0, 512), (7, 4), (9, 1), (10, 0), (63, 1), (64, 0), (255, u64::MAX)] {
            let error = reader.hash(level, index).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{level} {index}");
        }
    }

    #[test]
    fn the_full_tile_stands_in_for_a_partial_one() {
        let asked = RefCell::new(Vec::new());
        let reader = TileReader::new(300, |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            if name.contains(".p/") { Err(io::ErrorKind::NotFound.into()) } else { tile(name) }
        });
        assert_eq!(reader.hash(0, 299).unwrap(), [5; 32]);
        assert_eq!(*asked.borrow(), ["tile/0/001.p/44", "tile/0/001"]);
        assert!(reader.hash(0, 300).is_err(), "though the full tile has it");
    }

    #[test]
    fn a_tile_of_another_width_is_refused() {
        let reader = TileReader::new(300, tile);
        assert_eq!(reader.hash(0, 299).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let reader = TileReader::new(300, |_: &str| Ok(vec![5; 44 * 32 + 1]));
        assert_eq!(reader.hash(0, 299).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn other_errors_do_not_lead_to_the_full_tile() {
        let reader = TileReader::new(300, |name: &str| {
            if name.contains(".p/") { Err(io::ErrorKind::PermissionDenied.into()) } else { tile(name) }
        });
        assert_eq!(reader.hash(0, 299).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn tiles_are_read_once_while_they_are_in_use() {
        let reads = Cell::new(0);
        let reader = TileReader::new(256 * 20, |name: &str| {
            reads.set(reads.get() + 1);
            tile(name)
        });
        for index in 0..256 * 16 {
            reader.hash(0, index).unwrap();
        }
        assert_eq!(reads.get(), 16);
        reader.hash(0, 0).unwrap();
        assert_eq!(reads.get(), 16);
        reader.hash(0, 256 * 16).unwrap();
        reader.hash(0, 1).unwrap();
        assert_eq!(reads.get(), 17);
        // The one that was not used for the longest time has made place.
        reader.hash(0, 256).unwrap();
        assert_eq!(reads.get(), 18);
    }
}
