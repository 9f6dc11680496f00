//! From the chunks of a day to a sealed file.

use std::{
    fmt,
    io::{self, Write},
};

use jiff::civil::Date;

use super::{Block, Form, Handle, Head, write::FileWriter};
use crate::disclosure::{
    merkle::{Hash, root_of},
    record::{Position, Row},
    wal::MAX_ROWS,
};

/// The rows of one leaf, as the write-ahead log has them. Printed without them.
#[derive(Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The leaf.
    pub position: Position,
    /// Its salt.
    pub salt: [u8; 32],
    /// Its rows, at least one.
    pub rows: Vec<Row>,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({}, {} rows)", self.position.0, self.rows.len())
    }
}

/// Why a day could not be sealed. What was written until then is no file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The BRIN is none.
    #[error("not a BRIN")]
    Brin,
    /// A chunk does not come after the one before it.
    #[error("record {} does not follow the one before it", .0.0)]
    Order(Position),
    /// A chunk has no rows, or more than 256.
    #[error("record {} has no rows, or too many", .0.0)]
    RowCount(Position),
    /// There are more rows than a file can number.
    #[error("too many rows for one file")]
    TooManyRows,
    /// Writing failed.
    #[error("cannot write the row file")]
    Write(#[source] io::Error),
}

/// A file of rows that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Root over all rows in the order of their handles.
    pub root: Hash,
    /// Rows.
    pub rows: u32,
    /// Leaves they belong to.
    pub blocks: u32,
    /// Length of the file.
    pub bytes: u64,
}

impl Sealed {
    /// Writes the file of a day from its chunks, which come by position.
    ///
    /// # Errors
    ///
    /// As [`Sealer::push`] and [`Sealer::finish`].
    pub fn build<W: Write>(
        out: W,
        brin: &str,
        day: Date,
        chunks: impl IntoIterator<Item = Chunk>,
    ) -> Result<Self, BuildError> {
        let mut sealer = Sealer::new(out, brin, day)?;
        chunks.into_iter().try_for_each(|chunk| sealer.push(chunk))?;
        sealer.finish()
    }
}

/// Writes the file of a day, chunk by chunk. Holds 52 bytes for each row: what the sort and the seal tree need.
pub struct Sealer<W> {
    writer: FileWriter<W>,
    last: Option<Position>,
    blocks: u32,
    /// Handle and number of each row.
    keys: Vec<(Handle, u32)>,
    /// Seal leaf hash of each row, by number.
    leaves: Vec<Hash>,
}

impl<W: Write> Sealer<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// When the BRIN is none, or writing fails.
    pub fn new(out: W, brin: &str, day: Date) -> Result<Self, BuildError> {
        let head = Head::new(brin, day).ok_or(BuildError::Brin)?;
        let writer = FileWriter::new(out, head).map_err(BuildError::Write)?;
        Ok(Self { writer, last: None, blocks: 0, keys: Vec::new(), leaves: Vec::new() })
    }

    /// Adds the rows of the next leaf.
    ///
    /// # Errors
    ///
    /// When it does not come after the one before it, has no rows or too many, or writing fails.
    pub fn push(&mut self, chunk: Chunk) -> Result<(), BuildError> {
        let Chunk { position, salt, rows } = chunk;
        if self.last.is_some_and(|last| last >= position) {
            return Err(BuildError::Order(position));
        }
        if !(1..=MAX_ROWS).contains(&rows.len()) {
            return Err(BuildError::RowCount(position));
        }
        let first = u32::try_from(self.keys.len()).map_err(|_| BuildError::TooManyRows)?;
        // Numbers and their count both fit in 32 bits.
        first.checked_add(MAX_ROWS as u32).ok_or(BuildError::TooManyRows)?;
        self.keys.extend(rows.iter().map(|row| row.handle).zip(first..));
        let block = Block { position, form: Form::Salted { salt, rows } };
        self.leaves.extend(block.entries().iter().map(super::Entry::seal_leaf));
        self.writer.block(&block).map_err(BuildError::Write)?;
        self.last = Some(position);
        self.blocks += 1;
        Ok(())
    }

    /// Sorts, and writes the rest. Syncing is up to the caller.
    ///
    /// # Errors
    ///
    /// When writing fails.
    pub fn finish(mut self) -> Result<Sealed, BuildError> {
        // No two are equal, so that an unstable sort gives one order only.
        self.keys.sort_unstable();
        let order: Vec<u32> = self.keys.iter().map(|&(_, number)| number).collect();
        let root = seal_root(&self.leaves, &order);
        let bytes = self.writer.finish(&order, 0, root).map_err(BuildError::Write)?;
        let rows = u32::try_from(order.len()).expect("counted on the way");
        Ok(Sealed { root, rows, blocks: self.blocks, bytes })
    }
}

/// The seal root, of seal leaf hashes by number and the order by handle.
pub(super) fn seal_root(leaves: &[Hash], order: &[u32]) -> Hash {
    let sorted: Vec<Hash> = order.iter().map(|&number| leaves[number as usize]).collect();
    root_of(&sorted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        super::samples::{DAY, chunk, sealed},
        *,
    };

    fn refused(brin: &str, chunks: &[Chunk]) -> BuildError {
        Sealed::build(Vec::new(), brin, DAY, chunks.iter().cloned()).unwrap_err()
    }

    #[test]
    fn what_is_no_day_is_refused() {
        assert!(matches!(refused("99de", &[]), BuildError::Brin));
        let (one, two) = (chunk(1, &[1]), chunk(2, &[1]));
        assert!(matches!(refused("99DE", &[two, one.clone()]), BuildError::Order(Position(1))));
        assert!(matches!(refused("99DE", &[one.clone(), one]), BuildError::Order(Position(1))));
        assert!(matches!(refused("99DE", &[chunk(1, &[])]), BuildError::RowCount(Position(1))));
        assert!(matches!(refused("99DE", &[chunk(1, &[0; 257])]), BuildError::RowCount(Position(1))));
    }

    #[test]
    fn the_root_is_over_the_rows_by_handle_and_then_as_logged() {
        let chunks = [chunk(1, &[3, 1]), chunk(2, &[1, 2])];
        let seal = |chunk: &Chunk, index: usize| {
            let Chunk { position, salt, rows } = chunk.clone();
            Block { position, form: Form::Salted { salt, rows } }.entries()[index].seal_leaf()
        };
        let [first, second] = &chunks;
        let sorted = [seal(first, 1), seal(second, 0), seal(second, 1), seal(first, 0)];
        assert_eq!(sealed(&chunks).1.root, root_of(&sorted));
    }

    #[test]
    fn a_day_without_rows_has_the_root_of_nothing() {
        let (_, sealed) = sealed(&[]);
        assert_eq!((sealed.rows, sealed.blocks, sealed.root), (0, 0, root_of(&[])));
    }

    #[test]
    fn a_writer_that_fails_is_an_error() {
        let mut little = [0; 100];
        let built = Sealed::build(&mut little[..], "99DE", DAY, [chunk(1, &[1])]);
        assert!(matches!(built, Err(BuildError::Write(_))));
    }
}
