//! A file without a name.

use std::{
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use super::Entry;

/// Its name for the moment it has one. Whoever reads the folder passes this ending over.
const NAME: &str = "index.new";

/// Entries on disk, by number.
pub(super) struct Scratch(File);

impl Scratch {
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let path = directory.join(NAME);
        let unlink = || match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        loop {
            match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                // A crash left it, or another process is as far as this one: it has its file open, and needs no name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => unlink()?,
                made => {
                    let file = made?;
                    unlink()?;
                    return Ok(Self(file));
                }
            }
        }
    }

    /// Writes entries, the first of which has this number.
    pub(super) fn write(&self, number: u64, entries: &[u8]) -> io::Result<()> {
        self.0.write_all_at(entries, number * Entry::SIZE as u64)
    }

    /// Leaves nothing of these entries.
    pub(super) fn blank(&self, numbers: Range<u64>) -> io::Result<()> {
        static BLANK: [[u8; Entry::SIZE]; 256] = [[0; Entry::SIZE]; 256];
        for first in numbers.clone().step_by(BLANK.len()) {
            let many = (numbers.end - first).min(BLANK.len() as u64) as usize;
            self.write(first, BLANK[..many].as_flattened())?;
        }
        Ok(())
    }

    /// Reads entries, the first of which has this number.
    pub(super) fn read(&self, number: u64, entries: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(entries, number * Entry::SIZE as u64)
    }
}
