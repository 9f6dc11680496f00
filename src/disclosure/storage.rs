//! The seam between the log and the disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// What the log asks of a disk. Names are file names inside the log's folder.
///
/// Duties: what [`Storage::append`] wrote is durable once [`Storage::sync`] has returned; a file that was created, and
/// one that was put in place by [`Storage::replace`], survive a crash under their name once the call has returned;
/// nothing else is written. One writer at a time.
pub trait Storage: Send {
    /// Names of all segments, sorted.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    fn segments(&self) -> io::Result<Vec<String>>;

    /// Opens a file for reading from its beginning.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be read.
    fn read(&self, name: &str) -> io::Result<Box<dyn Read>>;

    /// Makes a segment, durably, and appends to it from now on.
    ///
    /// # Errors
    ///
    /// When it exists or cannot be made.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Cuts a segment to a length, durably, and appends to it from now on.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or cut.
    fn resume(&mut self, name: &str, length: u64) -> io::Result<()>;

    /// Appends to the segment made or resumed last.
    ///
    /// # Errors
    ///
    /// When not all was written; how much was is unknown.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was appended durable.
    ///
    /// # Errors
    ///
    /// When it is unknown whether all of it is.
    fn sync(&mut self) -> io::Result<()>;

    /// Puts a small file in place of another, whole or not at all.
    ///
    /// # Errors
    ///
    /// When it is unknown which of the two is there.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
}

/// A folder on disk, held by one process.
pub struct DirStorage {
    directory: PathBuf,
    wal: PathBuf,
    segment: Option<File>,
    /// Held until dropped.
    _lock: File,
}

impl DirStorage {
    /// Opens or makes the folder, and takes its lock.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when another process holds it; otherwise as the file system says.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let wal = directory.join("wal");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&wal)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        sync_directory(directory)?;
        Ok(Self { directory: directory.to_owned(), wal, segment: None, _lock: lock })
    }

    fn segment(&mut self) -> io::Result<&mut File> {
        self.segment.as_mut().ok_or_else(|| io::Error::other("no segment is open"))
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

impl Storage for DirStorage {
    fn segments(&self) -> io::Result<Vec<String>> {
        list_segments(&self.directory)
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read>> {
        let path = if is_segment(name) { self.wal.join(name) } else { self.directory.join(name) };
        Ok(Box::new(File::open(path)?))
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let path = self.wal.join(name);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        file.sync_all()?;
        sync_directory(&self.wal)?;
        self.segment = Some(file);
        Ok(())
    }

    fn resume(&mut self, name: &str, length: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).append(true).open(self.wal.join(name))?;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
            file.sync_all()?;
        }
        file.seek(SeekFrom::End(0))?;
        self.segment = Some(file);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.segment()?.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.segment()?.sync_data()
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.directory.join(format!("{name}.new"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, self.directory.join(name))?;
        sync_directory(&self.directory)
    }
}

/// Names of the segments of a log folder, sorted.
pub(super) fn list_segments(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory.join("wal"))? {
        let name = entry?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Whether a name is one of a segment.
pub(super) fn is_segment(name: &str) -> bool {
    name.strip_suffix(".wal")
        .is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// A disk that fails on demand, for tests.
pub mod testing {
    use std::{
        io::{self, Read},
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering::SeqCst},
        },
    };

    use super::Storage;

    /// What becomes of the step that fails.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Failing {
        /// Half of what was to be written is there.
        Half,
        /// Nothing of it is there.
        NotPersisted,
        /// All of it is there, and the caller is told otherwise.
        Persisted,
    }

    /// Counts the writing steps of a storage and fails at one of them and all that follow.
    pub struct FaultyStorage<S> {
        inner: S,
        steps: Arc<AtomicU64>,
        syncs: Arc<AtomicU64>,
        fail_at: u64,
        failing: Failing,
        error: io::ErrorKind,
    }

    impl<S: Storage> FaultyStorage<S> {
        /// Fails at writing step `fail_at`, counted from 0.
        pub fn new(inner: S, fail_at: u64, failing: Failing, error: io::ErrorKind) -> Self {
            Self { inner, steps: Arc::default(), syncs: Arc::default(), fail_at, failing, error }
        }

        /// Never fails; counts.
        pub fn counting(inner: S) -> Self {
            Self::new(inner, u64::MAX, Failing::NotPersisted, io::ErrorKind::Other)
        }

        /// Writing steps so far, shared with the storage.
        pub fn steps(&self) -> Arc<AtomicU64> {
            Arc::clone(&self.steps)
        }

        /// Syncs so far, shared with the storage.
        pub fn syncs(&self) -> Arc<AtomicU64> {
            Arc::clone(&self.syncs)
        }

        fn step(&mut self, act: impl FnOnce(&mut S, bool) -> io::Result<()>) -> io::Result<()> {
            let step = self.steps.fetch_add(1, SeqCst);
            if step < self.fail_at {
                return act(&mut self.inner, true);
            }
            if step == self.fail_at {
                match self.failing {
                    Failing::Half => drop(act(&mut self.inner, false)),
                    Failing::NotPersisted => {}
                    Failing::Persisted => drop(act(&mut self.inner, true)),
                }
            }
            Err(self.error.into())
        }
    }

    impl<S: Storage> Storage for FaultyStorage<S> {
        fn segments(&self) -> io::Result<Vec<String>> {
            self.inner.segments()
        }

        fn read(&self, name: &str) -> io::Result<Box<dyn Read>> {
            self.inner.read(name)
        }

        fn create(&mut self, name: &str) -> io::Result<()> {
            self.step(|inner, _| inner.create(name))
        }

        fn resume(&mut self, name: &str, length: u64) -> io::Result<()> {
            self.step(|inner, _| inner.resume(name, length))
        }

        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.step(|inner, whole| inner.append(if whole { bytes } else { &bytes[..bytes.len() / 2] }))
        }

        fn sync(&mut self) -> io::Result<()> {
            self.syncs.fetch_add(1, SeqCst);
            self.step(|inner, _| inner.sync())
        }

        fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
            self.step(|inner, _| inner.replace(name, bytes))
        }
    }
}
