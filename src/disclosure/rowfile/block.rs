//! The rows of one leaf, in either form, and what they hash to.

use std::{borrow::Cow, fmt};

use ring::hmac;

use super::{Handle, Located, array_at, u32_at, u64_at};
use crate::disclosure::{
    merkle::{Hash, hash},
    record::{Position, Row},
    wal::MAX_ROWS,
};

/// The rows of one leaf. Printed without them.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    /// The leaf.
    pub position: Position,
    /// The rows.
    pub form: Form,
}

/// How a block holds its rows.
#[derive(Clone, PartialEq, Eq)]
pub enum Form {
    /// After an erasure: the salt is gone, as it would give the nonce of the erased row.
    Nonced(Vec<Entry>),
    /// As they were written.
    Salted {
        /// Gives the nonces of all rows.
        salt: [u8; 32],
        /// The rows.
        rows: Vec<Row>,
    },
}

/// A row with what ties it to its roots.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    /// It was erased, and its nonces with it: the hashes say nothing of it to anyone.
    Erased {
        /// Its hash under the inner root.
        inner: Hash,
        /// Its hash under the seal root.
        seal: Hash,
    },
    /// It is there.
    Kept {
        /// Makes its hash under the inner root unguessable.
        inner_nonce: [u8; 16],
        /// Makes its hash under the seal root unguessable.
        seal_nonce: [u8; 16],
        /// The row.
        row: Row,
    },
}

/// The hash of a row under its inner root.
pub(in crate::disclosure) fn inner_leaf(nonce: &[u8; 16], row: &[u8; Row::SIZE]) -> Hash {
    hash(&[&[0], nonce, row])
}

/// The hash of a row under the seal root.
pub(in crate::disclosure) fn seal_leaf(nonce: &[u8; 16], handle: &Handle, inner: &Hash) -> Hash {
    hash(&[&[0], nonce, handle, inner])
}

impl Entry {
    /// Its hash under the inner root.
    pub fn inner_leaf(&self) -> Hash {
        match self {
            Self::Erased { inner, .. } => *inner,
            Self::Kept { inner_nonce, row, .. } => inner_leaf(inner_nonce, &row.to_bytes()),
        }
    }

    /// Its hash under the seal root.
    pub fn seal_leaf(&self) -> Hash {
        match self {
            Self::Erased { seal, .. } => *seal,
            Self::Kept { seal_nonce, row, .. } => seal_leaf(seal_nonce, &row.handle, &self.inner_leaf()),
        }
    }

    /// The row, unless it is erased.
    pub fn row(&self) -> Option<&Row> {
        match self {
            Self::Erased { .. } => None,
            Self::Kept { row, .. } => Some(row),
        }
    }

    /// The same entry without its row and nonces.
    pub(super) fn erased(&self) -> Self {
        Self::Erased { inner: self.inner_leaf(), seal: self.seal_leaf() }
    }
}

fn nonced(salt: &[u8; 32], rows: &[Row]) -> Vec<Entry> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt);
    let nonce = |index: u32, label: &[u8]| {
        let mut context = hmac::Context::with_key(&key);
        context.update(&index.to_le_bytes());
        context.update(label);
        array_at(context.sign().as_ref(), 0)
    };
    (0..)
        .zip(rows)
        .map(|(index, row)| Entry::Kept {
            inner_nonce: nonce(index, b""),
            seal_nonce: nonce(index, b"seal"),
            row: row.clone(),
        })
        .collect()
}

const SALTED: u8 = 1;
const NONCED: u8 = 2;
const KEPT: usize = 32 + Row::SIZE;
const ERASED: usize = 64;

/// The part of a block before its rows.
pub(super) struct BlockHead {
    pub(super) position: Position,
    pub(super) rows: usize,
    salted: bool,
    /// The salt, or a bit for each row.
    detail: [u8; 32],
}

impl BlockHead {
    pub(super) const SIZE: usize = 48;

    /// Reads its bytes; nothing where they are of no block. The checksum is not looked at.
    pub(super) fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let rows = usize::from(u16::from_le_bytes(array_at(bytes, 6)));
        let salted = match (bytes[4], bytes[5]) {
            (SALTED, 0) => true,
            (NONCED, 0) => false,
            _ => return None,
        };
        let head = Self { position: Position(u64_at(bytes, 8)), rows, salted, detail: array_at(bytes, 16) };
        let known = (1..=MAX_ROWS).contains(&rows) && (salted || (rows..MAX_ROWS).all(|row| !head.bit(row)));
        known.then_some(head)
    }

    fn bit(&self, row: usize) -> bool {
        self.detail[row / 8] >> (row % 8) & 1 == 1
    }

    fn erased(&self, row: usize) -> bool {
        !self.salted && self.bit(row)
    }

    fn length(&self) -> usize {
        self.start(self.rows)
    }

    /// Where in the block an entry begins.
    fn start(&self, row: usize) -> usize {
        match self.salted {
            true => Self::SIZE + row * Row::SIZE,
            false => {
                let erased = (0..row).filter(|&row| self.bit(row)).count();
                Self::SIZE + row * KEPT - erased * (KEPT - ERASED)
            }
        }
    }

    /// The head of a block, where these bytes are all of it and what was written.
    pub(super) fn check(bytes: &[u8]) -> Option<Self> {
        let head = Self::from_bytes(bytes.first_chunk()?)?;
        let whole = bytes.len() == head.length() && u32_at(bytes, 0) == crc32fast::hash(&bytes[4..]);
        whole.then_some(head)
    }

    /// A row of the block whose bytes these are; nothing for an erased one.
    pub(super) fn row(&self, index: usize, bytes: &[u8]) -> Option<Row> {
        Row::from_bytes(&array_at(bytes, self.row_at(index)?))
    }

    /// Where in the block a row, and so its handle, is; nothing for an erased one.
    pub(super) fn row_at(&self, row: usize) -> Option<usize> {
        let nonces = if self.salted { 0 } else { KEPT - Row::SIZE };
        (!self.erased(row)).then(|| self.start(row) + nonces)
    }
}

/// Bytes that a block of so many rows can have.
pub(super) fn lengths(rows: u32) -> std::ops::RangeInclusive<u64> {
    let rows = u64::from(rows);
    let length = |each: usize| BlockHead::SIZE as u64 + rows * each as u64;
    length(Row::SIZE.min(ERASED))..=length(KEPT)
}

impl Block {
    /// Number of rows, erased ones too.
    #[expect(clippy::len_without_is_empty, reason = "no block is empty")]
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Nonced(entries) => entries.len(),
            Form::Salted { rows, .. } => rows.len(),
        }
    }

    /// The row at an index, unless it is erased or not there.
    pub fn row(&self, index: usize) -> Option<&Row> {
        match &self.form {
            Form::Nonced(entries) => entries.get(index)?.row(),
            Form::Salted { rows, .. } => rows.get(index),
        }
    }

    /// The rows that are there.
    pub fn rows(&self) -> impl Iterator<Item = Located> + '_ {
        (0..).zip(0..self.len()).filter_map(|(index, at)| {
            self.row(at).map(|row| Located { position: self.position, index, row: row.clone() })
        })
    }

    /// All rows with their nonces, or what is left of them.
    pub fn entries(&self) -> Cow<'_, [Entry]> {
        match &self.form {
            Form::Nonced(entries) => Cow::Borrowed(entries),
            Form::Salted { salt, rows } => Cow::Owned(nonced(salt, rows)),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let rows = u16::try_from(self.len()).expect("a block has at most 256 rows");
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[
            match self.form {
                Form::Nonced(_) => NONCED,
                Form::Salted { .. } => SALTED,
            },
            0,
        ]);
        out.extend_from_slice(&rows.to_le_bytes());
        out.extend_from_slice(&self.position.0.to_le_bytes());
        match &self.form {
            Form::Salted { salt, rows } => {
                out.extend_from_slice(salt);
                rows.iter().for_each(|row| out.extend_from_slice(&row.to_bytes()));
            }
            Form::Nonced(entries) => {
                let mut erased = [0; 32];
                for (index, entry) in entries.iter().enumerate() {
                    erased[index / 8] |= u8::from(entry.row().is_none()) << (index % 8);
                }
                out.extend_from_slice(&erased);
                for entry in entries {
                    match entry {
                        Entry::Erased { inner, seal } => {
                            out.extend_from_slice(inner);
                            out.extend_from_slice(seal);
                        }
                        Entry::Kept { inner_nonce, seal_nonce, row } => {
                            out.extend_from_slice(inner_nonce);
                            out.extend_from_slice(seal_nonce);
                            out.extend_from_slice(&row.to_bytes());
                        }
                    }
                }
            }
        }
        let crc = crc32fast::hash(&out[start + 4..]);
        out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }

    /// The block whose bytes these are, of which [`BlockHead::check`] gave the head.
    pub(super) fn decode(head: &BlockHead, bytes: &[u8]) -> Option<Self> {
        let rows = 0..head.rows;
        let form = match head.salted {
            true => Form::Salted {
                salt: head.detail,
                rows: rows.map(|index| head.row(index, bytes)).collect::<Option<_>>()?,
            },
            false => {
                let entry = |index| {
                    let at = head.start(index);
                    Some(match head.erased(index) {
                        true => Entry::Erased { inner: array_at(bytes, at), seal: array_at(bytes, at + 32) },
                        false => Entry::Kept {
                            inner_nonce: array_at(bytes, at),
                            seal_nonce: array_at(bytes, at + 16),
                            row: head.row(index, bytes)?,
                        },
                    })
                };
                Form::Nonced(rows.map(entry).collect::<Option<_>>()?)
            }
        };
        Some(Self { position: head.position, form })
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.form {
            Form::Nonced(_) => "nonced",
            Form::Salted { .. } => "salted",
        };
        write!(f, "Block({}, {} rows, {form})", self.position.0, self.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        super::samples::{chunk, log},
        *,
    };
    use crate::disclosure::merkle::{leaf_hash, root_of};

    fn block(handles: &[u8]) -> Block {
        let chunk = chunk(9, handles);
        Block { position: chunk.position, form: Form::Salted { salt: chunk.salt, rows: chunk.rows } }
    }

    /// Every other row erased.
    fn nonced(handles: &[u8]) -> Block {
        let block = block(handles);
        let mut entries = block.entries().into_owned();
        entries.iter_mut().step_by(2).for_each(|entry| *entry = entry.erased());
        let form = Form::Nonced(entries);
        Block { position: block.position, form }
    }

    fn decoded(bytes: &[u8]) -> Option<Block> {
        Block::decode(&BlockHead::check(bytes)?, bytes)
    }

    fn bytes(block: &Block) -> Vec<u8> {
        let mut bytes = Vec::new();
        block.encode(&mut bytes);
        bytes
    }

    #[test]
    fn both_forms_come_back() {
        let all: Vec<u8> = (0..=255).collect();
        for handles in [&[5][..], &[5, 5, 5], &all] {
            for block in [block(handles), nonced(handles)] {
                assert_eq!(decoded(&bytes(&block)).unwrap(), block);
            }
        }
    }

    #[test]
    fn both_forms_have_the_inner_root_of_the_log_and_one_seal() {
        let handles = [1, 2, 3, 4, 5];
        let (salted, nonced) = (block(&handles), nonced(&handles));
        let inner: Vec<_> = nonced.entries().iter().map(Entry::inner_leaf).collect();
        assert_eq!(root_of(&inner), log(&[chunk(9, &handles)])[&Position(9)].inner_root);
        for (before, after) in salted.entries().iter().zip(nonced.entries().iter()) {
            assert_eq!(before.inner_leaf(), after.inner_leaf());
            assert_eq!(before.seal_leaf(), after.seal_leaf());
        }
    }

    #[test]
    fn hashes_are_those_of_the_table() {
        let block = block(&[1, 2]);
        let Form::Salted { salt, rows } = &block.form else { unreachable!() };
        let key = hmac::Key::new(hmac::HMAC_SHA256, salt);
        let inner_nonce = &hmac::sign(&key, b"\x01\0\0\0").as_ref()[..16].to_vec();
        let seal_nonce = &hmac::sign(&key, b"\x01\0\0\0seal").as_ref()[..16].to_vec();
        let inner = leaf_hash(&[inner_nonce, &rows[1].to_bytes()[..]].concat());
        assert_eq!(block.entries()[1].inner_leaf(), inner);
        let seal = leaf_hash(&[seal_nonce, &rows[1].handle[..], &inner].concat());
        assert_eq!(block.entries()[1].seal_leaf(), seal);
    }

    #[test]
    fn an_erased_row_leaves_its_hashes_and_nothing_else() {
        let bytes = bytes(&nonced(&[0xa1, 0xa2, 0xa3]));
        assert_eq!(bytes.len(), 48 + 64 + 96 + 64);
        assert_eq!(bytes[16..18], [0b101, 0]);
        for gone in [[0xa1; 16], [0xa3; 16], [9; 16]] {
            assert!(!bytes.windows(16).any(|window| window == gone), "a handle or the salt");
        }
    }

    #[test]
    fn what_is_not_of_the_format_is_refused() {
        let mended = |at: usize, value: u8| {
            let mut bytes = bytes(&nonced(&[1, 2, 3]));
            bytes[at] = value;
            let crc = crc32fast::hash(&bytes[4..]).to_le_bytes();
            bytes[..4].copy_from_slice(&crc);
            decoded(&bytes)
        };
        assert!(mended(16, 0b101).is_some());
        for (at, value) in
            [(4, 0), (4, 1), (4, 3), (5, 1), (6, 0), (6, 2), (6, 4), (7, 1), (7, 2), (16, 0b1101), (47, 128)]
        {
            assert!(mended(at, value).is_none(), "byte {at}");
        }
        assert!(decoded(&[0; 47]).is_none());
    }

    #[test]
    fn nothing_of_a_row_is_printed() {
        assert_eq!(format!("{:?}", block(&[0xaa])), "Block(9, 1 rows, salted)");
    }
}
