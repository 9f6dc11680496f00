//! The rows of one school on one day, sealed: `rows/<BRIN>/<yyyy-mm-dd>.rows`.
//!
//! Once a day is over, its rows move from the write-ahead log to such a file. It keeps them in the blocks in which they
//! were written, so that each block still answers for the inner root of its leaf, and adds an order by handle: it
//! finds a person without reading everything, and its *seal root* over all rows in that order can show that a person
//! has no more rows that day. The seal root goes into the log as a leaf of its own.
//!
//! What is known only at the end stands at the end, so that a file is written in one pass. Numbers are little-endian.
//!
//! | part | bytes | |
//! |---|---|---|
//! | head | 24 | |
//! | blocks | | one for each leaf, by position |
//! | directory | 20 each | one for each block |
//! | order | 2 each, or 4 | one for each row; 2 while there are fewer than 65,536 |
//! | foot | 52 | |
//!
//! | head | bytes | |
//! |---|---|---|
//! | 0 | 8 | `SLUISROW` |
//! | 8 | 4, 4 | format version 1, CRC-32 of the bytes from 16 to the end of the head |
//! | 16 | 4, 4 | BRIN, day as yyyymmdd |
//!
//! | block | bytes | |
//! |---|---|---|
//! | 0 | 4 | CRC-32 of everything after it in the block |
//! | 4 | 1, 1 | form, zero |
//! | 6 | 2 | rows, 1 to 256 |
//! | 8 | 8 | position of the leaf |
//! | 16 | 32 | form 1, salted: the salt. Form 2, nonced: a bit for each row, set where it is erased, lowest first |
//! | 48 | 64 each | salted: the row |
//! | 48 | 96 each | nonced: inner nonce 16, seal nonce 16, row |
//! | | 64 each | nonced and erased: inner leaf hash, seal leaf hash, and nothing else |
//!
//! | directory | bytes | |
//! |---|---|---|
//! | 0 | 8, 8, 4 | position of the leaf, offset of the block, number of its first row in the file |
//!
//! The order lists the numbers of all rows, as they stand in the blocks, sorted by handle and then by number. An erased
//! row keeps the place it had.
//!
//! | foot | bytes | |
//! |---|---|---|
//! | 0 | 4, 4, 4 | blocks, rows, erased rows |
//! | 12 | 4 | CRC-32 of directory and order |
//! | 16 | 32 | seal root |
//! | 48 | 4 | CRC-32 of the foot before it |
//!
//! All hashes follow from the salt of a block and the index *i* of a row in it, as u32. The inner ones are those of
//! [`merkle::inner_root`](super::merkle::inner_root).
//!
//! | what | how |
//! |---|---|
//! | inner nonce | first 16 bytes of HMAC-SHA-256(salt, i) |
//! | inner leaf hash | SHA-256(0 ‖ inner nonce ‖ row) |
//! | seal nonce | first 16 bytes of HMAC-SHA-256(salt, i ‖ `seal`) |
//! | seal leaf hash | SHA-256(0 ‖ seal nonce ‖ handle ‖ inner leaf hash) |
//! | seal root | root of RFC 6962 over the seal leaf hashes, in the order by handle |
//!
//! Deliberately absent: file names, syncing and deleting, which are up to whoever owns the folder; and keys, so that a
//! person is always given as a handle.

mod block;
mod erase;
mod open;
mod seal;
mod verify;
mod write;

use std::io;

use jiff::civil::Date;

use super::{
    calendar::{day_number, day_of_number},
    merkle::Hash,
    record::{Position, Row},
};
use crate::keys::is_brin;

pub use block::{Block, Entry, Form};
pub use open::RowFile;
pub use seal::{BuildError, Chunk, Sealed, Sealer};
pub use verify::ExpectedBlock;

/// Stands for a person.
pub type Handle = [u8; 16];

pub(super) use block::{inner_leaf, seal_leaf};

/// A row, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its leaf in the log.
    pub position: Position,
    /// Its index in the chunk of that leaf, from 0.
    pub index: u32,
    /// The row.
    pub row: Row,
}

/// What is wrong with a file of rows, or kept it from being read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowFileError {
    /// A block is not what was written.
    #[error("the rows of record {} are altered", .0.0)]
    Block(Position),
    /// The foot is missing or not what was written, or the file does not add up to what it says.
    #[error("the end of the row file is missing or altered")]
    Foot,
    /// It is no file of rows, or one of another version.
    #[error("not a row file of this version")]
    Foreign,
    /// The head is not what was written.
    #[error("the head of the row file is altered")]
    Head,
    /// Directory or order are not what was written.
    #[error("the index of the row file is altered")]
    Index,
    /// The rows are not those the leaf answers for.
    #[error("the rows of record {} do not lead to its root", .0.0)]
    InnerRoot(Position),
    /// A row does not stand where its handle belongs.
    #[error("a row of record {} is out of order", .0.0)]
    Order(Position),
    /// Reading failed.
    #[error("cannot read the row file")]
    Read(#[source] io::Error),
    /// The leaf has another number of rows.
    #[error("record {} has another number of rows", .0.0)]
    RowCount(Position),
    /// The rows and their order do not lead to the seal root.
    #[error("the row file does not lead to its seal root")]
    SealRoot,
    /// A row is of a pupil where the leaf says teachers, or the other way round.
    #[error("record {} has rows of others than it says", .0.0)]
    Subject(Position),
    /// The masks of the rows do not add up to those of the leaf.
    #[error("the masks of record {} are not those of its rows", .0.0)]
    Unions(Position),
    /// The log has no leaf with rows at this position.
    #[error("record {} is not one with rows of this school and day", .0.0)]
    Unknown(Position),
    /// Writing the new file failed.
    #[error("cannot write the row file")]
    Write(#[source] io::Error),
}

impl RowFileError {
    /// The leaf whose rows it is about, where it is about one.
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Block(position)
            | Self::InnerRoot(position)
            | Self::Order(position)
            | Self::RowCount(position)
            | Self::Subject(position)
            | Self::Unions(position)
            | Self::Unknown(position) => Some(*position),
            Self::Foot
            | Self::Foreign
            | Self::Head
            | Self::Index
            | Self::Read(_)
            | Self::SealRoot
            | Self::Write(_) => None,
        }
    }
}

const MAGIC: &[u8; 8] = b"SLUISROW";
const FORMAT: u32 = 1;

/// What a file says about itself before its blocks.
#[derive(Clone, Copy)]
struct Head {
    brin: [u8; 4],
    day: Date,
}

impl Head {
    const SIZE: usize = 24;

    /// Nothing where the BRIN is none.
    fn new(brin: &str, day: Date) -> Option<Self> {
        let brin = Some(brin).filter(|brin| is_brin(brin))?.as_bytes().try_into().ok()?;
        Some(Self { brin, day })
    }

    fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.brin);
        bytes[20..].copy_from_slice(&day_number(self.day).to_le_bytes());
        let crc = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; Self::SIZE]) -> Result<Self, RowFileError> {
        if bytes[..8] != *MAGIC || bytes[8..12] != FORMAT.to_le_bytes() {
            return Err(RowFileError::Foreign);
        }
        let day = day_of_number(u32_at(bytes, 20)).ok_or(RowFileError::Head)?;
        let brin = std::str::from_utf8(&bytes[16..20]).ok();
        let head = brin.and_then(|brin| Self::new(brin, day)).ok_or(RowFileError::Head)?;
        if head.to_bytes() == *bytes { Ok(head) } else { Err(RowFileError::Head) }
    }
}

/// What a file says about itself after everything else.
#[derive(Clone, Copy)]
struct Foot {
    blocks: u32,
    rows: u32,
    erased: u32,
    index_crc: u32,
    root: Hash,
}

impl Foot {
    const SIZE: usize = 52;

    fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        for (at, number) in [self.blocks, self.rows, self.erased, self.index_crc].into_iter().enumerate() {
            bytes[4 * at..4 * at + 4].copy_from_slice(&number.to_le_bytes());
        }
        bytes[16..48].copy_from_slice(&self.root);
        let crc = crc32fast::hash(&bytes[..48]);
        bytes[48..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let foot = Self {
            blocks: u32_at(bytes, 0),
            rows: u32_at(bytes, 4),
            erased: u32_at(bytes, 8),
            index_crc: u32_at(bytes, 12),
            root: array_at(bytes, 16),
        };
        (foot.to_bytes() == *bytes && foot.erased <= foot.rows).then_some(foot)
    }

    /// Bytes for each row in the order.
    fn width(&self) -> usize {
        order_width(self.rows)
    }
}

fn order_width(rows: u32) -> usize {
    if rows < 65_536 { 2 } else { 4 }
}

/// Where a block is.
#[derive(Clone, Copy)]
struct Place {
    position: Position,
    offset: u64,
    /// Number in the file of its first row.
    first: u32,
}

impl Place {
    const SIZE: usize = 20;

    fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.position.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..].copy_from_slice(&self.first.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self { position: Position(u64_at(bytes, 0)), offset: u64_at(bytes, 8), first: u32_at(bytes, 16) }
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range has this length")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(in crate::disclosure) mod samples {
    use std::{collections::HashMap, io::Cursor};

    use super::{Chunk, ExpectedBlock, RowFile, Sealed};
    use crate::disclosure::{
        merkle,
        record::{Position, Row, Subject},
    };

    pub(in crate::disclosure) const DAY: jiff::civil::Date = jiff::civil::Date::constant(2026, 10, 5);

    /// A chunk whose rows have handles of this one byte each.
    pub(in crate::disclosure) fn chunk(position: u64, handles: &[u8]) -> Chunk {
        let rows = (0..).zip(handles).map(|(number, &handle)| {
            let mut row = Row::new(Subject::Leerling, number);
            row.handle = [handle; 16];
            row.tag = [handle ^ 0xff; 8];
            row.released = 1 << (handle % 64);
            row
        });
        Chunk { position: Position(position), salt: [position as u8; 32], rows: rows.collect() }
    }

    pub(in crate::disclosure) fn sealed(chunks: &[Chunk]) -> (Vec<u8>, Sealed) {
        let mut bytes = Vec::new();
        let sealed = Sealed::build(&mut bytes, "99DE", DAY, chunks.iter().cloned()).unwrap();
        (bytes, sealed)
    }

    pub(in crate::disclosure) fn open(bytes: &[u8]) -> RowFile<Cursor<&[u8]>> {
        RowFile::open(Cursor::new(bytes)).unwrap()
    }

    /// What the log says of these chunks.
    pub(in crate::disclosure) fn log(chunks: &[Chunk]) -> HashMap<Position, ExpectedBlock> {
        let expected = chunks.iter().map(|Chunk { position, salt, rows }| {
            let bytes: Vec<_> = rows.iter().map(Row::to_bytes).collect();
            let expected = ExpectedBlock {
                inner_root: merkle::inner_root(salt, bytes.iter().map(<[u8; 64]>::as_slice)),
                rows: u32::try_from(rows.len()).unwrap(),
                released: rows.iter().fold(0, |union, row| union | row.released),
                withheld: rows.iter().fold(0, |union, row| union | row.withheld),
                subject: Subject::Leerling,
            };
            (*position, expected)
        });
        expected.collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::samples::*;

    #[test]
    fn everything_is_where_the_tables_say() {
        let (bytes, sealed) = sealed(&[chunk(3, &[7, 1]), chunk(0x0504, &[1])]);
        assert_eq!(sealed.bytes, bytes.len() as u64);
        assert_eq!(bytes[..12], *b"SLUISROW\x01\0\0\0");
        assert_eq!(bytes[16..20], *b"99DE");
        assert_eq!(bytes[20..24], 20261005_u32.to_le_bytes());
        let first = &bytes[24..24 + 48 + 2 * 64];
        assert_eq!(first[4..16], [1, 0, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(first[16..48], [3; 32]);
        assert_eq!(first[48..64], [7; 16]);
        assert_eq!(first[112..128], [1; 16]);
        let index = &bytes[24 + first.len() + 48 + 64..];
        assert_eq!(index[..20], [3, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(index[20..40], [4, 5, 0, 0, 0, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
        // Handle 1 in the first block, handle 1 in the second, handle 7.
        assert_eq!(index[40..46], [1, 0, 2, 0, 0, 0]);
        let foot = &index[46..];
        assert_eq!(foot[..12], [2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(foot[16..48], sealed.root);
        assert_eq!(foot.len(), 52);
    }

    #[test]
    fn a_full_block_costs_less_than_three_bytes_a_row() {
        let handles: Vec<u8> = (0..=255).collect();
        let chunks: Vec<_> = (0..12).map(|position| chunk(position, &handles)).collect();
        let (bytes, sealed) = sealed(&chunks);
        let overhead = bytes.len() as f64 / f64::from(sealed.rows) - 64.0;
        assert!(overhead < 3.0, "{overhead}");
    }
}
