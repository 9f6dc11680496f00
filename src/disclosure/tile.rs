//! The files of a log after c2sp.org/tlog-tiles: their names, their bytes, and how they are written and read.
//!
//! A *tile* has 256 neighbouring hashes of every eighth level of the tree; a *bundle* has the 256 entries under a tile
//! of level 0. Both are immutable. At the right edge of the tree they are *partial*: files of their own, whose names
//! end in their width, and which the full ones replace later.
//!
//! Nothing here opens a file: [`TileWriter`] says what to write, and reading goes through a function from a name to
//! bytes. It answers [`io::ErrorKind::NotFound`] where there is no such file.

use std::{fmt, io, str::FromStr};

use super::merkle::Hash;

mod reader;
mod writer;

pub use reader::TileReader;
pub use writer::{TileFiles, TileWriter};

/// Hashes in a full tile, and entries in a full bundle.
pub const WIDTH: u16 = 256;

/// Why something is not a part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// Bundles hold entries of up to 65,535 bytes.
    #[error("an entry is longer than 65535 bytes")]
    EntryTooLong,
    /// A bundle does not hold the entries it should, and those alone.
    #[error("a bundle of entries is malformed")]
    MalformedBundle,
    /// No tile or bundle has this name.
    #[error("not the name of a tile")]
    MalformedName,
    /// A tile does not hold the hashes it should, and those alone.
    #[error("a tile is malformed")]
    MalformedTile,
}

impl From<TileError> for io::Error {
    fn from(error: TileError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Entries: a bundle.
    Entries,
    /// Hashes over 256^level entries each: a tile.
    Hashes(u8),
}

impl TileKind {
    /// The kinds of files that a log of this size has.
    fn all(size: u64) -> impl Iterator<Item = Self> {
        let tiles = (0..).map(Self::Hashes).take_while(move |kind| kind.count(size) > 0);
        std::iter::once(Self::Entries).chain(tiles)
    }

    /// How many entries or hashes of this kind a log of this size has.
    fn count(self, size: u64) -> u64 {
        match self {
            Self::Entries => size,
            Self::Hashes(level) => size.checked_shr(8 * u32::from(level)).unwrap_or(0),
        }
    }
}

/// The name of a tile or bundle, below the log's prefix: `tile/<level>/<index>`, `tile/entries/<index>`, and `.p/<width>`
/// after it when it is partial. Three digits of the index make a path element, and all but the last begin with an x.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileName {
    kind: TileKind,
    index: u64,
    width: u16,
}

impl TileName {
    /// The name of a file in a log of this size; none when it would be empty.
    pub fn of(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        let before = index.saturating_mul(WIDTH.into());
        let width = kind.count(size).saturating_sub(before).min(WIDTH.into()) as u16;
        (width > 0).then_some(Self { kind, index, width })
    }

    /// The partial file at the right edge of a log of this size, where there is one.
    fn edge(kind: TileKind, size: u64) -> Option<Self> {
        Self::of(kind, kind.count(size) / u64::from(WIDTH), size)
    }

    /// The same file, full.
    #[must_use]
    pub fn full(self) -> Self {
        Self { width: WIDTH, ..self }
    }

    /// What it holds.
    pub fn kind(self) -> TileKind {
        self.kind
    }

    /// Its place among those of its kind, counted from 0.
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds; [`WIDTH`] when it is full.
    pub fn width(self) -> u16 {
        self.width
    }

    /// The full files of a log that end after one index, and at or before another; both are multiples of [`WIDTH`].
    pub(super) fn all_between(after: u64, until: u64) -> impl Iterator<Item = Self> {
        TileKind::all(until).flat_map(move |kind| {
            let full = move |size: u64| kind.count(size) / u64::from(WIDTH);
            (full(after)..full(until)).map(move |index| Self { kind, index, width: WIDTH })
        })
    }

    /// The folder of all partial files that the full one replaces.
    pub fn partials(self) -> String {
        format!("{}.p", self.full())
    }
}

impl fmt::Display for TileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn leading(f: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
            if index == 0 {
                return Ok(());
            }
            leading(f, index / 1000)?;
            write!(f, "x{:03}/", index % 1000)
        }
        match self.kind {
            TileKind::Entries => f.write_str("tile/entries/")?,
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        leading(f, self.index / 1000)?;
        write!(f, "{:03}", self.index % 1000)?;
        if self.width < WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for TileName {
    type Err = TileError;

    fn from_str(text: &str) -> Result<Self, TileError> {
        // Numbers may be written in more ways than one; only ours is a name.
        parse(text).filter(|name| name.to_string() == text).ok_or(TileError::MalformedName)
    }
}

fn parse(text: &str) -> Option<TileName> {
    let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => TileKind::Entries,
        level => TileKind::Hashes(level.parse().ok().filter(|&level| level < 64)?),
    };
    let (groups, width) = match rest.split_once(".p/") {
        Some((groups, width)) => (groups, width.parse().ok().filter(|width| (1..WIDTH).contains(width))?),
        None => (rest, WIDTH),
    };
    let mut index = 0u64;
    for group in groups.split('/') {
        let group: u64 = group.trim_start_matches('x').parse().ok()?;
        index = index.checked_mul(1000)?.checked_add(group)?;
    }
    Some(TileName { kind, index, width })
}

/// Appends an entry to a bundle.
///
/// # Errors
///
/// [`TileError::EntryTooLong`]; the bundle is as it was.
pub fn bundle_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), TileError> {
    let length = u16::try_from(entry.len()).map_err(|_| TileError::EntryTooLong)?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of a bundle of this width.
///
/// # Errors
///
/// [`TileError::MalformedBundle`] unless it has that many entries and nothing after them.
pub fn unbundle(mut bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::with_capacity(width.into());
    for _ in 0..width {
        let (length, rest) = bundle.split_first_chunk().ok_or(TileError::MalformedBundle)?;
        let length = u16::from_be_bytes(*length).into();
        let (entry, rest) = rest.split_at_checked(length).ok_or(TileError::MalformedBundle)?;
        entries.push(entry);
        bundle = rest;
    }
    if bundle.is_empty() { Ok(entries) } else { Err(TileError::MalformedBundle) }
}

/// Reads a file; where a partial one is gone, the full one that has replaced it. Says which.
fn fetch(read: impl Fn(&str) -> io::Result<Vec<u8>>, name: TileName) -> io::Result<(Vec<u8>, TileName)> {
    match read(&name.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && name.width < WIDTH => {
            Ok((read(&name.full().to_string())?, name.full()))
        }
        found => Ok((found?, name)),
    }
}

/// The hashes of a tile, as many as its name says.
fn read_tile(read: impl Fn(&str) -> io::Result<Vec<u8>>, name: TileName) -> io::Result<Vec<Hash>> {
    let (bytes, found) = fetch(read, name)?;
    let (hashes, rest) = bytes.as_chunks();
    if hashes.len() != usize::from(found.width) || !rest.is_empty() {
        return Err(TileError::MalformedTile.into());
    }
    Ok(hashes[..name.width.into()].to_vec())
}

/// The entries of a bundle, as many as its name says.
fn read_bundle(read: impl Fn(&str) -> io::Result<Vec<u8>>, name: TileName) -> io::Result<Vec<Vec<u8>>> {
    let (bytes, found) = fetch(read, name)?;
    let entries = unbundle(&bytes, found.width)?;
    Ok(entries.into_iter().take(name.width.into()).map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_and_read() {
        let check = |kind, index, width, text: &str| {
            let name = TileName { kind, index, width };
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse(), Ok(name));
        };
        check(TileKind::Hashes(0), 0, 256, "tile/0/000");
        check(TileKind::Hashes(0), 999, 1, "tile/0/999.p/1");
        check(TileKind::Hashes(63), 1000, 255, "tile/63/x001/000.p/255");
        check(TileKind::Hashes(1), 1_234_067, 256, "tile/1/x001/x234/067");
        check(TileKind::Entries, 1_234_067, 17, "tile/entries/x001/x234/067.p/17");
        check(TileKind::Entries, u64::MAX, 256, "tile/entries/x018/x446/x744/x073/x709/x551/615");
    }

    #[test]
    fn other_spellings_are_no_names() {
        for text in [
            "",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001/x002",
            "tile/0/xx001/002",
            "tile/0/+01",
            "tile/00/001",
            "tile/+1/001",
            "tile/64/001",
            "tile/data/001",
            "tile/0/001.p/0",
            "tile/0/001.p/01",
            "tile/0/001.p/256",
            "tile/0/001.p",
            "tile/0/001/",
            "/tile/0/001",
            "tile/0/../001",
            "tile/entries/x018/x446/x744/x073/x709/x551/616",
        ] {
            assert_eq!(text.parse::<TileName>(), Err(TileError::MalformedName), "{text}");
        }
    }

    #[test]
    fn a_log_of_70000_entries_has_the_tiles_of_the_standard() {
        let full = |kind: TileKind| kind.count(70_000) / 256;
        let edge = |kind| TileName::edge(kind, 70_000).map(|name| name.to_string());
        let kinds: Vec<_> = TileKind::all(70_000).collect();
        assert_eq!(kinds[..2], [TileKind::Entries, TileKind::Hashes(0)]);
        assert_eq!(kinds.iter().map(|&kind| full(kind)).collect::<Vec<_>>(), [273, 273, 1, 0]);
        assert_eq!(edge(kinds[0]).unwrap(), "tile/entries/273.p/112");
        assert_eq!(edge(kinds[1]).unwrap(), "tile/0/273.p/112");
        assert_eq!(edge(kinds[2]).unwrap(), "tile/1/001.p/17");
        assert_eq!(edge(kinds[3]).unwrap(), "tile/2/000.p/1");
        assert_eq!(TileName::edge(TileKind::Hashes(0), 256), None);
        assert_eq!(TileName::of(TileKind::Hashes(0), 274, 70_000), None);
        assert_eq!(TileName::of(TileKind::Hashes(63), u64::MAX, u64::MAX), None);
        assert_eq!(TileKind::all(0).collect::<Vec<_>>(), [TileKind::Entries]);
    }

    #[test]
    fn a_bundle_is_its_entries_and_nothing_else() {
        let mut bundle = Vec::new();
        let long = vec![7; 65_535];
        for entry in [b"".as_slice(), b"abc", &long] {
            bundle_entry(&mut bundle, entry).unwrap();
        }
        assert_eq!(bundle[..7], *b"\0\0\0\x03abc");
        assert_eq!(unbundle(&bundle, 3).unwrap(), [b"".as_slice(), b"abc", &long]);
        assert_eq!(unbundle(&[], 0), Ok(Vec::new()));
        let malformed = Err(TileError::MalformedBundle);
        assert_eq!(unbundle(&bundle, 2), malformed);
        assert_eq!(unbundle(&bundle, 4), malformed);
        assert_eq!(unbundle(&bundle[..bundle.len() - 1], 3), malformed);
        assert_eq!(unbundle(b"\0", 1), malformed);
        assert_eq!(bundle_entry(&mut bundle, &[0; 65_536]), Err(TileError::EntryTooLong));
        assert_eq!(unbundle(&bundle, 3).unwrap().len(), 3);
    }
}
