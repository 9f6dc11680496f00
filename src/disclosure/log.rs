//! The log as the rest of the gateway has it in hand.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
};

use tokio::sync::oneshot;

use super::{
    Recorded,
    commit::{self, Recorder},
    note::{Signer, Verifier},
    record::{Leaf, Position, Row},
    recover::recover,
    retain::{Due, Erased, Retainer, Retention},
    rowfile::Handle,
    seal::{Sealer, State},
    standing::{self, Replaced, Replacing, standing_name},
    storage::{DirStorage, Storage},
};
use crate::clock::Clock;

/// Where a log lives, and who signs for it.
#[derive(Debug)]
pub struct Site {
    /// Its folder.
    pub directory: PathBuf,
    /// The file that holds the last checkpoint a second time, outside the folder: a log that was put back from a
    /// backup is behind it.
    pub copy: PathBuf,
    /// Signs its checkpoints; its name is that of the log.
    pub signer: Signer,
    /// Keys that signed for it before: what they signed last is still believed when it is opened.
    pub earlier: Vec<Verifier>,
    /// How long it keeps what it holds of persons.
    pub retention: Retention,
}

/// Why something is not on record. Nothing that was to leave may leave.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log on disk is damaged; `sluis log verify` names where.
    #[error(
        "the log is damaged in {file} at byte {offset}; run `sluis log verify` and restore it from a copy"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
    },
    /// The copy of the checkpoint is of another log, or signed by another key.
    #[error("the copy of the checkpoint is of another log; give each log a copy of its own (log.copy)")]
    ForeignCopy,
    /// Another process has the log open.
    #[error("another sluis process has the log open; stop it first, or use another data directory")]
    Locked,
    /// Reading the log when it was opened.
    #[error("the log cannot be opened ({})", .0.kind())]
    Open(#[source] io::Error),
    /// An earlier write failed.
    #[error("an earlier write to the log failed; free or mend the disk and restart sluis")]
    Poisoned,
    /// The log has fewer records than the copy of its checkpoint says.
    #[error(
        "the log has {has} records and had {had}: it was put back from an older copy; put back the newest one"
    )]
    RolledBack {
        /// Records there are.
        has: u64,
        /// Records there were.
        had: u64,
    },
    /// More than 256 rows, rows of pupils and of teachers, or rows with a record that is no disclosure.
    #[error("only a disclosure has rows, at most 256 of them, of pupils or of teachers")]
    Rows,
    /// This write failed, as it did for all that shared it.
    #[error("the log cannot be written ({0})")]
    Write(io::ErrorKind),
}

/// What is about to leave: the leaf, without what the log fills in itself, and its rows.
#[derive(Debug)]
pub struct Disclosure {
    /// Kind, parties, ids, times. `rows`, unions, `inner_root` and [`Leaf::STAFF`] are filled in.
    pub leaf: Leaf,
    /// At most 256, all of pupils or all of teachers.
    pub rows: Vec<Row>,
}

/// Payloads whose disclosures the log was handed.
#[must_use]
pub struct Submitted<T> {
    answer: oneshot::Receiver<Result<Position, Error>>,
    payloads: Vec<T>,
}

impl<T> Submitted<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.payloads.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }

    /// As [`Submitted::recorded`], for threads that may wait. Panics inside an async context.
    ///
    /// # Errors
    ///
    /// As [`Submitted::recorded`].
    pub fn recorded_blocking(self) -> Result<Vec<Recorded<T>>, Error> {
        let first = self.answer.blocking_recv().map_err(|_| Error::Poisoned)??;
        Ok(recorded(first, self.payloads))
    }

    /// The payloads, once their disclosures are on disk.
    ///
    /// # Errors
    ///
    /// When they are not; the payloads are gone then.
    pub async fn recorded(self) -> Result<Vec<Recorded<T>>, Error> {
        let first = self.answer.await.map_err(|_| Error::Poisoned)??;
        Ok(recorded(first, self.payloads))
    }
}

fn recorded<T>(first: Position, payloads: Vec<T>) -> Vec<Recorded<T>> {
    let positions = (first.0..).map(Position);
    positions.zip(payloads).map(|(position, payload)| Recorded { position, payload }).collect()
}

/// What the writer has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Syncs that made records durable.
    pub commits: u64,
    /// Leaves.
    pub records: u64,
    /// Rows.
    pub rows: u64,
}

/// The log, open for writing. Clones share it.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    recorder: Recorder,
    /// Held while what stands for a school is read or replaced; none once the log is closed.
    standing: Replacing,
    sealer: Mutex<Option<Sealer>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    retention: Retention,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Inner {
    fn close(&self) {
        drop(self.standing.lock().unwrap_or_else(PoisonError::into_inner).take());
        // The sealer first: what it is at still has to be recorded.
        drop(self.sealer.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.recorder.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A writer that panicked has poisoned itself; there is nothing left to tell anyone.
            let _ = writer.join();
        }
    }
}

impl Log {
    /// Opens the log in a folder, making it when there is none.
    ///
    /// What a crash left behind is put in order: a torn record at the very end is cut off, and deliveries without
    /// an outcome get one that says unknown; both are recorded. Days that are over are sealed in the background.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`], [`Error::Damaged`] for any other damage, [`Error::RolledBack`], [`Error::ForeignCopy`],
    /// [`Error::Open`] and [`Error::Write`].
    pub fn open(site: Site, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let storage = DirStorage::open(&site.directory).map_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock { Error::Locked } else { Error::Open(error) }
        })?;
        Self::open_on(Arc::new(storage), site, clock)
    }

    /// Opens the log on a storage.
    ///
    /// # Errors
    ///
    /// As [`Log::open`].
    pub fn open_on(storage: Arc<dyn Storage>, site: Site, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let mut found = recover(storage.as_ref(), &site)?;
        standing::settle(storage.as_ref(), &found.standing)?;
        let (sealed, retention) = (std::mem::take(&mut found.sealed), site.retention);
        let (sealer, work) = mpsc::channel();
        let (recorder, writer) =
            commit::start(found, Arc::clone(&storage), site, Arc::clone(&clock), sealer.clone())?;
        let standing: Replacing = Arc::new(Mutex::new(Some(Arc::clone(&storage))));
        let retainer = Retainer {
            storage,
            recorder: recorder.clone(),
            retention,
            standing: Arc::clone(&standing),
            stop: Arc::default(),
            key_epochs: None,
        };
        let sealer = Sealer::start(retainer, sealer, work, sealed, clock).map_err(Error::Open)?;
        Ok(Self {
            inner: Arc::new(Inner {
                recorder,
                standing,
                sealer: Mutex::new(Some(sealer)),
                writer: Mutex::new(Some(writer)),
                retention,
            }),
        })
    }

    /// Puts a disclosure on record. When this returns, it is on disk.
    ///
    /// # Errors
    ///
    /// When it is not; the payload is gone then.
    pub async fn record<T>(&self, disclosure: Disclosure, payload: T) -> Result<Recorded<T>, Error> {
        let answer = self.inner.recorder.submit([disclosure])?;
        let position = answer.await.map_err(|_| Error::Poisoned)??;
        Ok(Recorded { position, payload })
    }

    /// Hands disclosures to the log, which writes them in this order and syncs once. Does not wait.
    ///
    /// # Errors
    ///
    /// When the log takes none; the payloads are gone then.
    pub fn submit<T>(&self, disclosures: Vec<(Disclosure, T)>) -> Result<Submitted<T>, Error> {
        let (disclosures, payloads): (Vec<_>, Vec<_>) = disclosures.into_iter().unzip();
        let answer = self.inner.recorder.submit(disclosures)?;
        Ok(Submitted { answer, payloads })
    }

    /// As [`Log::record`], for threads that may wait. Panics inside an async context.
    ///
    /// # Errors
    ///
    /// As [`Log::record`].
    pub fn record_blocking<T>(&self, disclosure: Disclosure, payload: T) -> Result<Recorded<T>, Error> {
        let position = self.inner.recorder.record_blocking(disclosure)?;
        Ok(Recorded { position, payload })
    }

    /// Puts a leaf without rows or payload on record.
    ///
    /// # Errors
    ///
    /// When it is not on disk.
    pub async fn note(&self, leaf: Leaf) -> Result<Position, Error> {
        Ok(self.record(Disclosure { leaf, rows: Vec::new() }, ()).await?.position())
    }

    /// As [`Log::note`], for what nothing waits to leave for: it is written with what others have on record next, within
    /// some milliseconds, and has no sync to itself unless there is nothing else to write.
    ///
    /// # Errors
    ///
    /// When it is not on disk.
    pub async fn note_soon(&self, leaf: Leaf) -> Result<Position, Error> {
        self.inner.recorder.note_soon(leaf).await
    }

    /// As [`Log::note`], for threads that may wait.
    ///
    /// # Errors
    ///
    /// As [`Log::note`].
    pub fn note_blocking(&self, leaf: Leaf) -> Result<Position, Error> {
        Ok(self.record_blocking(Disclosure { leaf, rows: Vec::new() }, ())?.position())
    }

    /// Whether what is due may go by itself: the days went by that the clock says went by. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn is_clock_believed(&self) -> Result<bool, Error> {
        self.ask(|state| Ok(state.unbelieved()?.is_none()))
    }

    /// Lets go of all that is due by the retention of the site, which also happens by itself, once a day, while the clock
    /// [is believed](Self::is_clock_believed). Says what went since the log was opened. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When something due is still there: [`Error::Damaged`] for what is not as it was written, which stays so that it
    /// is found.
    pub fn retain(&self) -> Result<Due, Error> {
        self.ask(State::retain)
    }

    /// Erases all there is of one person of a school, given the handles by which any log key knows the person. Waits; not
    /// for async contexts.
    ///
    /// # Errors
    ///
    /// When something of the person may still be there, other than what [`Erased::unsealed`] counts.
    pub fn erase_person(&self, brin: &str, handles: Vec<Handle>) -> Result<Erased, Error> {
        self.erase_person_for(brin, handles, [0; 32])
    }

    /// The same, on behalf of an account of the review app: its code goes into the leaves that say so.
    ///
    /// # Errors
    ///
    /// As [`Log::erase_person`].
    pub fn erase_person_for(
        &self,
        brin: &str,
        handles: Vec<Handle>,
        account: [u8; 32],
    ) -> Result<Erased, Error> {
        let brin = brin.to_owned();
        self.ask(move |state| state.retainer.erase(&brin, &handles, account))
    }

    /// Records each of these leaves of key epochs, unless one like it is on record. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When one is not on disk.
    pub fn note_key_epochs(&self, leaves: Vec<Leaf>) -> Result<(), Error> {
        self.ask(move |state| state.retainer.note_key_epochs(leaves))
    }

    /// How long it keeps what it holds of persons.
    pub fn retention(&self) -> Retention {
        self.inner.retention
    }

    /// What stands for a school; nothing when nothing was ever said.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn standing(&self, brin: &str) -> Result<Option<Vec<u8>>, Error> {
        let storage = self.inner.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let storage = storage.as_ref().ok_or(Error::Poisoned)?;
        standing::read(storage.as_ref(), &standing_name(brin)).map_err(Error::Open)
    }

    /// Puts bytes in the place of what stands for a school, and a leaf that says so on record. The leaf's kind is one of
    /// those that change what stands. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When it is not on record; then what stood before still stands. When it is and could not be put in its place, the
    /// log takes no more records until the next start, which puts it there.
    pub fn stand(&self, brin: &str, bytes: &[u8], leaf: Leaf) -> Result<(), Error> {
        debug_assert!(leaf.kind.carries_standing());
        let storage = self.inner.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let storage = storage.as_ref().ok_or(Error::Poisoned)?;
        let recorder = &self.inner.recorder;
        let record = |leaf| recorder.record_blocking(Disclosure { leaf, rows: Vec::new() }).map(|_| ());
        standing::replace(storage.as_ref(), brin, bytes, leaf, record).map_err(|failed| match failed {
            Replaced::Half(error) => {
                recorder.poison();
                error
            }
            Replaced::Not(error) => error,
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut State) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let sealer = self.inner.sealer.lock().unwrap_or_else(PoisonError::into_inner);
        sealer.as_ref().ok_or(Error::Poisoned)?.ask(task)
    }

    /// Whether the next record has a chance.
    pub fn is_writable(&self) -> bool {
        self.inner.recorder.is_writable()
    }

    /// What has been done so far.
    pub fn stats(&self) -> Stats {
        self.inner.recorder.stats()
    }

    /// Writes what waits, and a checkpoint. Later records fail.
    pub fn close(&self) {
        self.inner.close();
    }
}
