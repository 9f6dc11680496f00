//! Erases the rows of one person; the rest stays provable.

use std::io::{Read, Seek, Write};

use super::{Block, Entry, Form, Handle, RowFile, RowFileError, write::FileWriter};

impl<R: Read + Seek> RowFile<R> {
    /// Writes the file anew without the rows of one person, and says how many those were. All roots stay what they are:
    /// of an erased row the two leaf hashes remain, and the salt of its block, which would give the nonces under them,
    /// makes way for the nonces of the other rows. Nothing is erased before the caller has put the new file, synced,
    /// in place of the old one, and the old one's salts are gone from backups too.
    ///
    /// What nobody can infer from what remains, with or without the log key: the tag that the recipient's pseudonym leads
    /// to, the MAC of the content, and which fields left or stayed, but for what the leaf says of all its rows together.
    /// The two hashes are of unknown nonces of 128 bits, so that not even a right guess at all of the row can be
    /// confirmed by them.
    ///
    /// What can be inferred:
    ///
    /// - *that* a row was erased, in the chunk of which leaf and at which index; so to which recipient, when, under
    ///   which agreement, and from its neighbours its number in the source document. If documents list pupils in a
    ///   known order, that hints at who. As the rows of a person stand together in the order, it also shows which
    ///   erased rows were of one person;
    /// - fields that the leaf has in its unions and none of the rows that are left has. For a chunk of one row that
    ///   is all of them;
    /// - *for a holder of the log key*, the place in the order by handle. It can make the handle of a person it has in
    ///   mind and look whether an erased row stands where that handle belongs. Handles are spread evenly: among *n*
    ///   persons, another erased one stands in that same place with a chance of about 1 in *n*. So a hit is a strong
    ///   hint, and no hit is proof that nothing of this person was erased here. Without the key the place says
    ///   nothing. What ends this is destroying the key of the epoch, or the whole file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is not what was written, or the new one cannot be written. What was written
    /// until then is no file.
    pub fn erase<W: Write>(&mut self, handle: &Handle, out: W) -> Result<u32, RowFileError> {
        let mut writer = FileWriter::new(out, self.head).map_err(RowFileError::Write)?;
        let mut count = 0;
        // By reading everything rather than by the order: a row that stands in a wrong place is erased as well.
        for block in self.blocks() {
            let (block, erased) = without(block?, handle);
            count += erased;
            writer.block(&block).map_err(RowFileError::Write)?;
        }
        writer.finish(&self.order, self.foot.erased + count, self.foot.root).map_err(RowFileError::Write)?;
        Ok(count)
    }
}

/// The block without the rows of a person, and how many those were.
fn without(block: Block, handle: &Handle) -> (Block, u32) {
    let mut count = 0;
    let entries = block
        .entries()
        .iter()
        .map(|entry| match entry {
            Entry::Kept { row, .. } if row.handle == *handle => {
                count += 1;
                entry.erased()
            }
            Entry::Erased { .. } | Entry::Kept { .. } => entry.clone(),
        })
        .collect();
    match count {
        0 => (block, 0),
        _ => (Block { position: block.position, form: Form::Nonced(entries) }, count),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{
        Chunk,
        samples::{chunk, log, open, sealed},
    };

    fn chunks() -> [Chunk; 3] {
        [chunk(3, &[7, 1, 7]), chunk(5, &[1, 4]), chunk(8, &[7])]
    }

    fn erase(bytes: &[u8], handle: u8) -> (Vec<u8>, u32) {
        let mut out = Vec::new();
        let count = open(bytes).erase(&[handle; 16], &mut out).unwrap();
        (out, count)
    }

    #[test]
    fn one_goes_and_the_others_stay() {
        let (before, sealed) = sealed(&chunks());
        let (after, count) = erase(&before, 7);
        assert_eq!(count, 3);
        let mut file = open(&after);
        let log = log(&chunks());
        file.verify(&mut |position| log.get(&position).copied()).unwrap();
        assert_eq!((file.root(), file.len(), file.erased()), (sealed.root, 6, 3));
        assert_eq!(file.find(&[7; 16]).unwrap(), []);
        for handle in [1, 4] {
            assert_eq!(file.find(&[handle; 16]).unwrap(), open(&before).find(&[handle; 16]).unwrap());
        }
        for gone in [[7; 16], [3; 16], [8; 16]] {
            assert!(
                !after.windows(16).any(|window| window == gone),
                "the handle, or the salt of a block with it"
            );
        }
        assert!(after.windows(16).any(|window| window == [5; 16]), "the salt of a block without it");
    }

    #[test]
    fn one_after_the_other_until_nothing_is_left() {
        let (mut bytes, sealed) = sealed(&chunks());
        let log = log(&chunks());
        for (handle, count, left) in [(1, 2, 4), (4, 1, 3), (7, 3, 0), (7, 0, 0)] {
            let (after, erased) = erase(&bytes, handle);
            assert_eq!(erased, count);
            let mut file = open(&after);
            file.verify(&mut |position| log.get(&position).copied()).unwrap();
            assert_eq!(file.root(), sealed.root);
            assert_eq!(file.rows().count(), left);
            bytes = after;
        }
    }

    #[test]
    fn nobody_there_nothing_changed() {
        let (before, _) = sealed(&chunks());
        assert_eq!(erase(&before, 2), (before, 0));
    }
}
