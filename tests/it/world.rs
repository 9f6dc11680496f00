//! What tests of the log stand in: days that are put as they are needed.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use jiff::civil::Date;
use sluis::clock::{Clock, day_start_ms};

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
