//! Whether a file still holds what its leaves answer for.

use std::io::{Read, Seek};

use super::{Handle, Located, RowFile, RowFileError, seal::seal_root};
use crate::disclosure::{
    merkle::{Hash, root_of},
    record::{Leaf, Position, Subject},
};

/// What a leaf says of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedBlock {
    /// Root over them.
    pub inner_root: Hash,
    /// Their number.
    pub rows: u32,
    /// Union of their released masks.
    pub released: u64,
    /// Union of their withheld masks.
    pub withheld: u64,
    /// Whose data they are about.
    pub subject: Subject,
}

impl From<&Leaf> for ExpectedBlock {
    fn from(leaf: &Leaf) -> Self {
        let Leaf { inner_root, rows, released, withheld, .. } = *leaf;
        let subject = if leaf.is_about(Subject::Leerling) { Subject::Leerling } else { Subject::Leerkracht };
        Self { inner_root, rows, released, withheld, subject }
    }
}

impl<R: Read + Seek> RowFile<R> {
    /// Re-computes everything. `expected` gives what the log says of the leaf at a position, and nothing where that is
    /// no leaf with rows of this school and day. It is asked once for each block, so that the caller knows afterwards
    /// which leaves of the day are not here; and the caller compares [`RowFile::root`] with the one in the log.
    ///
    /// Of erased rows it knows no masks and no handle: a block with one is not held to the masks of its leaf, and the
    /// order is checked among the rows that are there. The roots cover both as they were.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn verify(
        &mut self,
        expected: &mut dyn FnMut(Position) -> Option<ExpectedBlock>,
    ) -> Result<(), RowFileError> {
        let mut handles: Vec<Option<Handle>> = Vec::with_capacity(self.order.len());
        let mut leaves: Vec<Hash> = Vec::with_capacity(self.order.len());
        for block in self.blocks() {
            let block = block?;
            let position = block.position;
            let expected = expected(position).ok_or(RowFileError::Unknown(position))?;
            if expected.rows as usize != block.len() {
                return Err(RowFileError::RowCount(position));
            }
            let entries = block.entries();
            let inner: Vec<_> = entries.iter().map(super::Entry::inner_leaf).collect();
            if root_of(&inner) != expected.inner_root {
                return Err(RowFileError::InnerRoot(position));
            }
            let rows: Vec<Located> = block.rows().collect();
            let released = rows.iter().fold(0, |union, located| union | located.row.released);
            let withheld = rows.iter().fold(0, |union, located| union | located.row.withheld);
            if rows.len() == block.len() && (released, withheld) != (expected.released, expected.withheld) {
                return Err(RowFileError::Unions(position));
            }
            if rows.iter().any(|located| located.row.subject != expected.subject) {
                return Err(RowFileError::Subject(position));
            }
            handles.extend(entries.iter().map(|entry| entry.row().map(|row| row.handle)));
            leaves.extend(entries.iter().map(super::Entry::seal_leaf));
        }
        self.check_order(&handles)?;
        let erased = handles.iter().filter(|handle| handle.is_none()).count();
        if erased != self.foot.erased as usize {
            return Err(RowFileError::Foot);
        }
        if seal_root(&leaves, &self.order) != self.foot.root {
            return Err(RowFileError::SealRoot);
        }
        Ok(())
    }

    fn check_order(&self, handles: &[Option<Handle>]) -> Result<(), RowFileError> {
        let mut last = None;
        for &number in &self.order {
            let Some(handle) = handles[number as usize] else { continue };
            if last.is_some_and(|last| last >= (handle, number)) {
                return Err(RowFileError::Order(self.directory[self.locate(number).0].position));
            }
            last = Some((handle, number));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{collections::HashMap, io::Cursor};

    use super::{
        super::{
            Chunk, Head,
            samples::{DAY, chunk, log, open, sealed},
            write::FileWriter,
        },
        *,
    };

    fn chunks() -> [Chunk; 2] {
        [chunk(3, &[7, 1]), chunk(5, &[1, 4])]
    }

    fn check(bytes: &[u8], log: &HashMap<Position, ExpectedBlock>) -> Result<(), RowFileError> {
        RowFile::open(Cursor::new(bytes))?.verify(&mut |position| log.get(&position).copied())
    }

    #[test]
    fn each_fault_has_its_name() {
        let (bytes, _) = sealed(&chunks());
        check(&bytes, &log(&chunks())).unwrap();
        let named = |change: fn(&mut ExpectedBlock)| {
            let mut log = log(&chunks());
            change(log.get_mut(&Position(5)).unwrap());
            check(&bytes, &log).unwrap_err()
        };
        assert!(matches!(named(|leaf| leaf.inner_root[0] ^= 1), RowFileError::InnerRoot(Position(5))));
        assert!(matches!(named(|leaf| leaf.rows += 1), RowFileError::RowCount(Position(5))));
        assert!(matches!(named(|leaf| leaf.released ^= 1), RowFileError::Unions(Position(5))));
        assert!(matches!(named(|leaf| leaf.withheld ^= 1), RowFileError::Unions(Position(5))));
        assert!(matches!(
            named(|leaf| leaf.subject = Subject::Leerkracht),
            RowFileError::Subject(Position(5))
        ));
        let mut log = log(&chunks());
        log.remove(&Position(3));
        assert!(matches!(check(&bytes, &log), Err(RowFileError::Unknown(Position(3)))));
    }

    #[test]
    fn every_bit_counts() {
        let (sealed, _) = sealed(&chunks());
        let mut erased = Vec::new();
        open(&sealed).erase(&[1; 16], &mut erased).unwrap();
        let log = log(&chunks());
        for bytes in [sealed, erased] {
            check(&bytes, &log).unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(check(&bytes, &log).is_err(), "bit {bit}");
            }
        }
    }

    /// Writes what a thorough forger would: all checksums are right.
    fn forged(chunks: &[Chunk], order: &[u32], root: Hash) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = FileWriter::new(&mut out, Head::new("99DE", DAY).unwrap()).unwrap();
        let (bytes, _) = sealed(chunks);
        open(&bytes).blocks().for_each(|block| writer.block(&block.unwrap()).unwrap());
        writer.finish(order, 0, root).unwrap();
        out
    }

    #[test]
    fn right_checksums_do_not_help_a_forger() {
        let log = log(&chunks());
        let (_, honest) = sealed(&chunks());
        let order = [1, 2, 3, 0];
        check(&forged(&chunks(), &order, honest.root), &log).unwrap();

        let mut altered = chunks();
        altered[1].rows[0].tag[0] ^= 1;
        assert!(matches!(
            check(&forged(&altered, &order, honest.root), &log),
            Err(RowFileError::InnerRoot(Position(5)))
        ));
        // Handle 7 before all others; then the rows of handle 1 the other way round.
        let forgery = forged(&chunks(), &[0, 1, 2, 3], honest.root);
        assert!(matches!(check(&forgery, &log), Err(RowFileError::Order(Position(3)))));
        let forgery = forged(&chunks(), &[2, 1, 3, 0], honest.root);
        assert!(matches!(check(&forgery, &log), Err(RowFileError::Order(Position(3)))));
        let forgery = forged(&chunks(), &order, [0; 32]);
        assert!(matches!(check(&forgery, &log), Err(RowFileError::SealRoot)));
    }
}
