//! The seam between the log and the disk.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// A file open for reading.
pub trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// What the log asks of a disk. Names are paths inside the log's folder, with `/` between their parts.
///
/// Duties: what [`Storage::append`] wrote is durable once [`Storage::sync`] has returned; what [`Storage::put`] and
/// [`Storage::write`] made is whole and durable under its name once they have returned, and under that name stands
/// nothing half-written at any moment; so is the absence of what [`Storage::remove`] took away. One process at a time,
/// and one thread that appends.
pub trait Storage: Send + Sync {
    /// Names of what stands directly in a folder, sorted; none when there is no such folder.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Opens a file for reading from its beginning.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be read.
    fn open(&self, name: &str) -> io::Result<Box<dyn Source>>;

    /// Makes a segment, durably, and appends to it from now on.
    ///
    /// # Errors
    ///
    /// When it exists or cannot be made.
    fn create(&self, name: &str) -> io::Result<()>;

    /// Cuts a segment to a length, durably, and appends to it from now on.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or cut.
    fn resume(&self, name: &str, length: u64) -> io::Result<()>;

    /// Appends to the segment made or resumed last.
    ///
    /// # Errors
    ///
    /// When not all was written; how much was is unknown.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was appended durable.
    ///
    /// # Errors
    ///
    /// When it is unknown whether all of it is.
    fn sync(&self) -> io::Result<()>;

    /// Puts small files in place, each whole or not at all, in this order.
    ///
    /// # Errors
    ///
    /// When it is unknown which of them are there.
    fn put(&self, files: &[(String, Vec<u8>)]) -> io::Result<()>;

    /// Puts a file in place that `fill` writes.
    ///
    /// # Errors
    ///
    /// When it could not be written; what stood under the name is still there.
    fn write(&self, name: &str, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()>;

    /// Removes a file, or a folder with all that is in it; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// When it may still be there.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Reads a small file whole; nothing when there is none.
///
/// # Errors
///
/// When it cannot be read, or has more than `limit` bytes.
pub(super) fn read_small(storage: &dyn Storage, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let source = match storage.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Some(bytes))
}

/// How long another process may keep the lock, and how often is looked.
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_AGAIN: Duration = Duration::from_millis(20);

/// A folder on disk. Its log is held by one process; whoever only reads does not take the lock.
pub struct DirStorage {
    directory: PathBuf,
    segment: Mutex<Option<File>>,
    /// Held until dropped.
    _lock: Option<File>,
}

impl DirStorage {
    /// Opens or makes the folder, and takes its lock.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when another process holds it; otherwise as the file system says.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory.join("wal"))?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join("lock"))?;
        // A process that is being replaced lets go of it within moments, and so does a child between fork and exec.
        let until = Instant::now() + LOCK_WAIT;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(fs::TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(LOCK_AGAIN),
                Err(fs::TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        sync_directory(directory)?;
        Ok(Self { directory: directory.to_owned(), segment: Mutex::new(None), _lock: Some(lock) })
    }

    /// The folder for reading, beside a process that may be writing.
    pub fn read_only(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), segment: Mutex::new(None), _lock: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn with_segment<T>(&self, act: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
        let mut segment = self.segment.lock().unwrap_or_else(PoisonError::into_inner);
        act(segment.as_mut().ok_or_else(|| io::Error::other("no segment is open"))?)
    }

    /// The folder a file stands in, made where it is missing, each level durable in the one above.
    fn parent(&self, path: &Path) -> io::Result<PathBuf> {
        let folder = path.parent().unwrap_or(&self.directory).to_owned();
        let mut missing = Vec::new();
        let mut at = folder.as_path();
        while !at.is_dir() {
            missing.push(at.to_owned());
            at = at.parent().ok_or(io::ErrorKind::NotFound)?;
        }
        for folder in missing.iter().rev() {
            fs::DirBuilder::new().mode(0o700).create(folder)?;
            sync_directory(folder.parent().unwrap_or(&self.directory))?;
        }
        Ok(folder)
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Beside the file it is to become; readers know the ending and pass it over.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Writes a file that no reader sees before it is whole, and puts it in place of another.
///
/// The rename is durable once the folder has been synced, which is left to the caller.
fn place(path: &Path, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let temporary = temporary(path);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let mut file = BufWriter::with_capacity(256 * 1024, file);
    fill(&mut file)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    fs::rename(&temporary, path)
}

/// Puts a small file in place of another, durably, anywhere on the machine.
///
/// # Errors
///
/// When it could not be written.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    place(path, &mut |out| out.write_all(bytes))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync_directory(folder.unwrap_or(Path::new(".")))
}

impl Storage for DirStorage {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".new") {
                names.insert(name);
            }
        }
        Ok(names.into_iter().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        Ok(Box::new(File::open(self.path(name))?))
    }

    fn create(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        let folder = self.parent(&path)?;
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        file.sync_all()?;
        sync_directory(&folder)?;
        *self.segment.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    fn resume(&self, name: &str, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().read(true).append(true).open(self.path(name))?;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
            file.sync_all()?;
        }
        *self.segment.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.with_segment(|segment| segment.write_all(bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.with_segment(|segment| segment.sync_data())
    }

    fn put(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for (name, bytes) in files {
            let path = self.path(name);
            folders.insert(self.parent(&path)?);
            place(&path, &mut |out| out.write_all(bytes))?;
        }
        folders.iter().try_for_each(|folder| sync_directory(folder))
    }

    fn write(&self, name: &str, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let path = self.path(name);
        let folder = self.parent(&path)?;
        place(&path, fill)?;
        sync_directory(&folder)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => sync_directory(path.parent().unwrap_or(&self.directory)),
        }
    }
}

/// Disks that fail on demand and that are watched, for tests.
pub mod testing {
    use std::{
        io::{self, Write},
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering::SeqCst},
        },
    };

    use super::{Source, Storage};

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

        /// `act` is told whether to do all of it, or half.
        fn step(&self, act: impl FnOnce(&S, bool) -> io::Result<()>) -> io::Result<()> {
            let step = self.steps.fetch_add(1, SeqCst);
            if step < self.fail_at {
                return act(&self.inner, true);
            }
            if step == self.fail_at {
                match self.failing {
                    Failing::Half => drop(act(&self.inner, false)),
                    Failing::NotPersisted => {}
                    Failing::Persisted => drop(act(&self.inner, true)),
                }
            }
            Err(self.error.into())
        }
    }

    impl<S: Storage> Storage for FaultyStorage<S> {
        fn list(&self, folder: &str) -> io::Result<Vec<String>> {
            self.inner.list(folder)
        }

        fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
            self.inner.open(name)
        }

        fn create(&self, name: &str) -> io::Result<()> {
            self.step(|inner, _| inner.create(name))
        }

        fn resume(&self, name: &str, length: u64) -> io::Result<()> {
            self.step(|inner, _| inner.resume(name, length))
        }

        fn append(&self, bytes: &[u8]) -> io::Result<()> {
            self.step(|inner, whole| inner.append(if whole { bytes } else { &bytes[..bytes.len() / 2] }))
        }

        fn sync(&self) -> io::Result<()> {
            self.syncs.fetch_add(1, SeqCst);
            self.step(|inner, _| inner.sync())
        }

        /// Each file is a step of its own.
        fn put(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
            files.iter().try_for_each(|file| {
                self.step(|inner, whole| {
                    // A file is there whole or not at all.
                    if whole { inner.put(std::slice::from_ref(file)) } else { Ok(()) }
                })
            })
        }

        fn write(
            &self,
            name: &str,
            fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
        ) -> io::Result<()> {
            self.step(|inner, whole| if whole { inner.write(name, fill) } else { Ok(()) })
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.step(|inner, whole| if whole { inner.remove(name) } else { Ok(()) })
        }
    }

    /// What is asked of a [`Watched`] disk.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Call {
        /// It has opened a file.
        Open,
        /// It is about to put a file in place.
        Put,
    }

    type Watch = Box<dyn Fn(Call, &str) + Send + Sync>;

    /// A disk of which these calls are told to somebody, with the name of the file, who may take his time.
    pub struct Watched<S>(S, Watch);

    impl<S: Storage> Watched<S> {
        /// Has `watch` told.
        pub fn new(inner: S, watch: impl Fn(Call, &str) + Send + Sync + 'static) -> Self {
            Self(inner, Box::new(watch))
        }
    }

    impl<S: Storage> Storage for Watched<S> {
        fn list(&self, folder: &str) -> io::Result<Vec<String>> {
            self.0.list(folder)
        }

        fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
            let opened = self.0.open(name);
            (self.1)(Call::Open, name);
            opened
        }

        fn create(&self, name: &str) -> io::Result<()> {
            self.0.create(name)
        }

        fn resume(&self, name: &str, length: u64) -> io::Result<()> {
            self.0.resume(name, length)
        }

        fn append(&self, bytes: &[u8]) -> io::Result<()> {
            self.0.append(bytes)
        }

        fn sync(&self) -> io::Result<()> {
            self.0.sync()
        }

        fn put(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
            files.iter().for_each(|(name, _)| (self.1)(Call::Put, name));
            self.0.put(files)
        }

        fn write(
            &self,
            name: &str,
            fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
        ) -> io::Result<()> {
            self.0.write(name, fill)
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.0.remove(name)
        }
    }
}
