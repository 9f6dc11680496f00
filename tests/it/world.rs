//! What tests of the log stand in: days that are put as they are needed, disks that are watched.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use jiff::civil::Date;
use sluis::{
    clock::{Clock, day_start_ms},
    disclosure::storage::{DirStorage, Source, Storage},
};

/// A clock that stands where it was put, and can be put elsewhere.
#[derive(Debug)]
pub(crate) struct Hands(AtomicU64);

impl Hands {
    /// Eight in the morning of a day.
    pub(crate) fn at(day: Date) -> Arc<Self> {
        let clock = Arc::new(Self(AtomicU64::new(0)));
        clock.put(day);
        clock
    }

    pub(crate) fn put(&self, day: Date) {
        self.0.store(day_start_ms(day) + 8 * 3_600_000, SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(i64::try_from(self.0.load(SeqCst)).unwrap()).unwrap()
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// What a log asks of a [`Watched`] disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// It has opened a file.
    Open,
    /// It is about to put a file in place.
    Put,
}

type Watch = Box<dyn Fn(Call, &str) + Send + Sync>;

/// A disk of which each call is told to somebody, with the name of the file, who may take his time.
pub(crate) struct Watched(DirStorage, Watch);

impl Watched {
    pub(crate) fn new(disk: DirStorage, watch: impl Fn(Call, &str) + Send + Sync + 'static) -> Self {
        Self(disk, Box::new(watch))
    }
}

impl Storage for Watched {
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

    fn write(&self, name: &str, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        self.0.write(name, fill)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
}
