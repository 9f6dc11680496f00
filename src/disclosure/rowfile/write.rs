//! Head, blocks, index and foot, in one pass.

use std::io::{self, Write};

use super::{Block, Foot, Head, Place, order_width};
use crate::disclosure::merkle::Hash;

/// Writes a file. Who uses it answers for the order of the blocks and of the rows.
pub(super) struct FileWriter<W> {
    out: W,
    offset: u64,
    directory: Vec<Place>,
    rows: u32,
    buffer: Vec<u8>,
}

impl<W: Write> FileWriter<W> {
    pub(super) fn new(mut out: W, head: Head) -> io::Result<Self> {
        out.write_all(&head.to_bytes())?;
        Ok(Self { out, offset: Head::SIZE as u64, directory: Vec::new(), rows: 0, buffer: Vec::new() })
    }

    pub(super) fn block(&mut self, block: &Block) -> io::Result<()> {
        self.buffer.clear();
        block.encode(&mut self.buffer);
        self.out.write_all(&self.buffer)?;
        self.directory.push(Place { position: block.position, offset: self.offset, first: self.rows });
        self.offset += self.buffer.len() as u64;
        self.rows += u32::try_from(block.len()).expect("a block has at most 256 rows");
        Ok(())
    }

    /// Writes what comes after the blocks. Says how long the file is.
    pub(super) fn finish(mut self, order: &[u32], erased: u32, root: Hash) -> io::Result<u64> {
        let index = &mut self.buffer;
        index.clear();
        for place in &self.directory {
            index.extend_from_slice(&place.to_bytes());
        }
        let width = order_width(self.rows);
        for number in order {
            index.extend_from_slice(&number.to_le_bytes()[..width]);
        }
        let foot = Foot {
            blocks: u32::try_from(self.directory.len())
                .expect("no block is empty, and rows are counted in 32 bits"),
            rows: self.rows,
            erased,
            index_crc: crc32fast::hash(index),
            root,
        };
        self.out.write_all(index)?;
        self.out.write_all(&foot.to_bytes())?;
        self.out.flush()?;
        Ok(self.offset + (index.len() + Foot::SIZE) as u64)
    }
}
