//! The log for reading, beside a process that may be writing it.
//!
//! Nothing is checked here beyond what it takes to read; [`verify`](super::verify()) does that.

use std::{
    cell::RefCell,
    io::{self, BufReader},
    ops::RangeInclusive,
    path::Path,
    sync::Arc,
};

use jiff::civil::Date;

use super::{
    checkpoint::Checkpoint,
    publish::{CHECKPOINT_BYTES, read_tile},
    record::{Leaf, Position},
    rowfile::{Located, RowFile},
    storage::{DirStorage, Storage, read_small},
    tile::TileReader,
    wal::{End, Frame, Scanner, Step},
};
use crate::clock::day_of;

/// The day of a file of rows, by its name.
pub(super) fn day_of_row_file(name: &str) -> Option<Date> {
    name.strip_suffix(".rows")?.parse().ok()
}

/// A bundle that was read last: its number and its leaves.
type Bundle = (u64, Vec<Leaf>);

/// A log as it was when it was opened for reading; what is recorded later may show or not.
pub struct Reader {
    storage: Arc<dyn Storage>,
    /// Leaves in tiles.
    published: u64,
    bundle: RefCell<Option<Bundle>>,
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl Reader {
    /// Opens the log in a folder.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be read.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Self::on(Arc::new(DirStorage::read_only(directory)))
    }

    /// Opens the log on a storage.
    pub(super) fn on(storage: Arc<dyn Storage>) -> io::Result<Self> {
        let note = read_small(storage.as_ref(), "checkpoint", CHECKPOINT_BYTES)?;
        let note = String::from_utf8(note.ok_or(io::ErrorKind::NotFound)?).map_err(|_| invalid())?;
        // Read for its size alone; whoever wants to know who signed it verifies the log.
        let text = note.split_inclusive("\n\n").next().and_then(|text| text.strip_suffix('\n'));
        let checkpoint: Checkpoint = text.ok_or_else(invalid)?.parse().map_err(|_| invalid())?;
        Ok(Self { storage, published: checkpoint.size, bundle: RefCell::new(None) })
    }

    /// Leaves in tiles; there may be more in the write-ahead log.
    pub fn published(&self) -> u64 {
        self.published
    }

    /// One leaf; none when the log does not reach that far.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn leaf(&self, position: Position) -> io::Result<Option<Leaf>> {
        if position.0 < self.published {
            let number = position.0 / 256;
            let mut kept = self.bundle.borrow_mut();
            if kept.as_ref().is_none_or(|(have, _)| *have != number) {
                *kept = Some((number, self.read_bundle(number)?));
            }
            let leaves = kept.as_ref().map_or(&[][..], |(_, leaves)| leaves);
            return Ok(leaves.get((position.0 % 256) as usize).cloned());
        }
        let mut found = None;
        self.tail(&mut |at, frame| {
            if at == position {
                found = Some(frame.leaf.clone());
            }
        })?;
        Ok(found)
    }

    fn read_bundle(&self, number: u64) -> io::Result<Vec<Leaf>> {
        let reader = TileReader::new(self.published, |name: &str| read_tile(self.storage.as_ref(), name));
        let entries = reader.bundle(number)?.into_iter().map(|entry| {
            let bytes: [u8; Leaf::SIZE] = entry.try_into().map_err(|_| invalid())?;
            Leaf::from_bytes(&bytes).ok_or_else(invalid)
        });
        entries.collect()
    }

    /// Shows each leaf from a position on, in order.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn leaves(&self, from: Position, show: &mut dyn FnMut(Position, &Leaf)) -> io::Result<()> {
        for number in from.0 / 256..self.published.div_ceil(256) {
            for (index, leaf) in self.read_bundle(number)?.iter().enumerate() {
                let position = number * 256 + index as u64;
                if position >= from.0 {
                    show(Position(position), leaf);
                }
            }
        }
        self.tail(&mut |position, frame| {
            if position.0 >= self.published && position >= from {
                show(position, &frame.leaf);
            }
        })
    }

    /// Shows each row of a school on these days; of one person, where a handle is given.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn rows(
        &self,
        brin: &str,
        days: &RangeInclusive<Date>,
        handle: Option<&[u8; 16]>,
        show: &mut dyn FnMut(Located),
    ) -> io::Result<()> {
        let code: [u8; 4] = brin.as_bytes().try_into().map_err(|_| invalid())?;
        let mut sealed = Vec::new();
        for name in self.storage.list(&format!("rows/{brin}"))? {
            let Some(day) = day_of_row_file(&name) else { continue };
            sealed.push(day);
            if !days.contains(&day) {
                continue;
            }
            let source = BufReader::new(self.storage.open(&format!("rows/{brin}/{name}"))?);
            let mut file = RowFile::open(source).map_err(|_| invalid())?;
            match handle {
                Some(handle) => file.find(handle).map_err(|_| invalid())?.into_iter().for_each(&mut *show),
                None => file.rows().try_for_each(|row| row.map(&mut *show)).map_err(|_| invalid())?,
            }
        }
        self.tail(&mut |position, frame| {
            let day = day_of(frame.leaf.end_ms);
            if frame.leaf.brin() != code || !days.contains(&day) || sealed.contains(&day) {
                return;
            }
            for (index, row) in (0..).zip(&frame.rows) {
                if handle.is_none_or(|handle| row.handle == *handle) {
                    show(Located { position, index, row: row.clone() });
                }
            }
        })
    }

    /// Shows each frame of the write-ahead log, as far as it is whole.
    fn tail(&self, show: &mut dyn FnMut(Position, &Frame)) -> io::Result<()> {
        for name in self.storage.list("wal")? {
            let open = || {
                Ok::<_, io::Error>(BufReader::with_capacity(
                    256 * 1024,
                    self.storage.open(&format!("wal/{name}"))?,
                ))
            };
            let mut head = match open() {
                // It went between being listed and being opened: its rows are in sealed files.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            let Ok((first, link)) = Scanner::beginning(&mut head)? else { return Ok(()) };
            let mut end = End::at(first, link);
            let Ok(mut scanner) = Scanner::open(open()?, &end)? else { return Err(invalid()) };
            loop {
                let position = end.next();
                match scanner.step(&mut end)? {
                    Step::Frame(frame) => show(position, &frame),
                    Step::End | Step::Damaged(..) => break,
                }
            }
        }
        Ok(())
    }
}
