//! One writer, one `fdatasync` for all that wait.
//!
//! Callers hand their records to the writer's thread and wait. The writer takes all that is there, appends it in one
//! write, syncs once, and only then answers. A few seconds later at most it puts the leaves into tiles and signs a
//! checkpoint. After a failed write or sync nobody knows what is on disk: the log is poisoned, and every call fails
//! until the process starts anew and has read the log.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use jiff::civil::Date;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::oneshot;

use super::{
    Recorded, merkle,
    note::{Signer, Verifier},
    publish::Publishing,
    record::{Leaf, LeafKind, Position, Row, Subject},
    recover::{Found, Segment, recover},
    retain::{Due, Erased, Retainer, Retention},
    rowfile::Handle,
    seal::{Sealer, State, Work},
    standing::{self, Replaced, Replacing, standing_name},
    storage::{DirStorage, Storage},
    wal::{End, HEADER, MAX_ROWS, SEGMENT_BYTES, segment_name},
};
use crate::clock::{Clock, day_of};

/// A checkpoint is begun at most so long after a commit.
const PUBLISH_AFTER: Duration = Duration::from_secs(5);
/// A batch is closed once it has so many bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// Records that may wait for the writer.
const QUEUE: usize = 1024;
/// How long a record that nobody waits for waits for others to be written with.
const COMPANY: Duration = Duration::from_millis(10);

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

#[derive(Debug, Default)]
struct Counters {
    commits: AtomicU64,
    records: AtomicU64,
    rows: AtomicU64,
    poisoned: AtomicBool,
}

/// A leaf and its rows, ready to be written.
struct Entry {
    leaf: Leaf,
    salt: [u8; 32],
    rows: Vec<u8>,
}

/// What one caller wants on record, and waits for.
struct Request {
    entries: Vec<Entry>,
    answer: oneshot::Sender<Result<Position, Error>>,
}

enum Job {
    Record(Request),
    /// Records that waited for company got none.
    Flush,
    /// Segments whose rows are in sealed files.
    Sealed(Vec<String>),
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

/// Hands records to the writer.
#[derive(Clone)]
pub(super) struct Recorder {
    queue: Arc<Mutex<Option<mpsc::SyncSender<Job>>>>,
    company: Company,
    counters: Arc<Counters>,
}

/// Requests that are written with the next that are.
type Company = Arc<Mutex<Vec<Request>>>;

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
        drop(self.recorder.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
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
        let opening = found.opening();
        let Found { end, length, last_ms, segments, sealed, publisher, .. } = found;
        let counters = Arc::new(Counters::default());
        let company = Company::default();
        let (sealer, work) = mpsc::channel();
        let retention = site.retention;
        let poisons = Poisons(Arc::clone(&counters));
        let publishing =
            Publishing::start(publisher, Arc::clone(&storage), site, poisons).map_err(Error::Open)?;
        let mut writer = Writer {
            storage: Arc::clone(&storage),
            clock: Arc::clone(&clock),
            end,
            length,
            segments,
            last_ms,
            buffer: Vec::new(),
            company: Arc::clone(&company),
            counters: Arc::clone(&counters),
            publishing,
            publish_due: None,
            sealer: sealer.clone(),
        };
        let failed = |error: io::Error| Error::Write(error.kind());
        writer.commit_leaves(&opening).map_err(failed)?;
        writer.publish_whole().map_err(failed)?;
        writer.announce(day_of(writer.last_ms));

        let (queue, waiting) = mpsc::sync_channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("disclosure-log".into())
            .spawn(move || writer.run(&waiting))
            .map_err(Error::Open)?;
        let recorder = Recorder { queue: Arc::new(Mutex::new(Some(queue))), company, counters };
        let standing: Replacing = Arc::new(Mutex::new(Some(Arc::clone(&storage))));
        let retainer = Retainer {
            storage,
            recorder: recorder.clone(),
            retention,
            standing: Arc::clone(&standing),
            stop: Arc::default(),
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
        let recorder = &self.inner.recorder;
        let (answer, mut written) = oneshot::channel();
        let entries = vec![entry(Disclosure { leaf, rows: Vec::new() })?];
        recorder.company.lock().unwrap_or_else(PoisonError::into_inner).push(Request { entries, answer });
        if let Ok(written) = tokio::time::timeout(COMPANY, &mut written).await {
            return written.map_err(|_| Error::Poisoned)?;
        }
        recorder.send(Job::Flush)?;
        written.await.map_err(|_| Error::Poisoned)?
    }

    /// As [`Log::note`], for threads that may wait.
    ///
    /// # Errors
    ///
    /// As [`Log::note`].
    pub fn note_blocking(&self, leaf: Leaf) -> Result<Position, Error> {
        Ok(self.record_blocking(Disclosure { leaf, rows: Vec::new() }, ())?.position())
    }

    /// Lets go of all that is due by the retention of the site, which also happens by itself, once a day. Says what went
    /// since the log was opened. Waits; not for async contexts.
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
                recorder.counters.poisoned.store(true, Ordering::Release);
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
        let counters = &self.inner.recorder.counters;
        Stats {
            commits: counters.commits.load(Ordering::Relaxed),
            records: counters.records.load(Ordering::Relaxed),
            rows: counters.rows.load(Ordering::Relaxed),
        }
    }

    /// Writes what waits, and a checkpoint. Later records fail.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Recorder {
    fn is_writable(&self) -> bool {
        !self.counters.poisoned.load(Ordering::Acquire)
    }

    pub(super) fn record_blocking(&self, disclosure: Disclosure) -> Result<Position, Error> {
        self.submit([disclosure])?.blocking_recv().map_err(|_| Error::Poisoned)?
    }

    /// Says that these segments are no longer needed for their rows.
    pub(super) fn sealed(&self, segments: Vec<String>) -> Result<(), Error> {
        self.send(Job::Sealed(segments))
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.filter(|_| self.is_writable()).ok_or(Error::Poisoned)?;
        queue.send(job).map_err(|_| Error::Poisoned)
    }

    fn submit(
        &self,
        disclosures: impl IntoIterator<Item = Disclosure>,
    ) -> Result<oneshot::Receiver<Result<Position, Error>>, Error> {
        let entries = disclosures.into_iter().map(entry).collect::<Result<_, _>>()?;
        let (answer, receiver) = oneshot::channel();
        self.send(Job::Record(Request { entries, answer }))?;
        Ok(receiver)
    }
}

/// Fills in what follows from the rows.
fn entry(disclosure: Disclosure) -> Result<Entry, Error> {
    let Disclosure { mut leaf, rows } = disclosure;
    if rows.len() > MAX_ROWS || (!rows.is_empty() && leaf.kind != LeafKind::Disclosure) {
        return Err(Error::Rows);
    }
    let mut salt = [0; 32];
    let mut bytes = Vec::with_capacity(rows.len() * Row::SIZE);
    if !rows.is_empty() {
        SystemRandom::new().fill(&mut salt).map_err(|_| Error::Write(io::ErrorKind::Other))?;
        (leaf.released, leaf.withheld) = (0, 0);
        leaf.flags &= !Leaf::STAFF;
        if rows[0].subject == Subject::Leerkracht {
            leaf.flags |= Leaf::STAFF;
        }
        for row in &rows {
            if !leaf.is_about(row.subject) {
                return Err(Error::Rows);
            }
            leaf.released |= row.released;
            leaf.withheld |= row.withheld;
            bytes.extend_from_slice(&row.to_bytes());
        }
        leaf.inner_root = merkle::inner_root(&salt, bytes.chunks_exact(Row::SIZE));
        leaf.rows = u32::try_from(rows.len()).expect("at most 256");
    }
    Ok(Entry { leaf, salt, rows: bytes })
}

/// A thread of the log that panics has it take no more records, and say so.
#[cfg_attr(test, derive(Default))]
pub(super) struct Poisons(Arc<Counters>);

impl Poisons {
    /// No more records are taken.
    pub(super) fn poison(&self) {
        self.0.poisoned.store(true, Ordering::Release);
    }
}

impl Drop for Poisons {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.poison();
        }
    }
}

struct Writer {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    end: End,
    length: Option<u64>,
    segments: Vec<Segment>,
    /// When the last record was made. Positions and times go the same way, whatever the clock does.
    last_ms: u64,
    buffer: Vec<u8>,
    company: Company,
    counters: Arc<Counters>,
    publishing: Publishing,
    publish_due: Option<Instant>,
    sealer: mpsc::Sender<Work>,
}

impl Writer {
    fn run(mut self, waiting: &mpsc::Receiver<Job>) {
        let poisons = Poisons(Arc::clone(&self.counters));
        loop {
            let first = match self.publish_due {
                None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => waiting.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            let done = match first {
                Ok(Job::Record(first)) => self.commit(Some(first), waiting),
                Ok(Job::Flush) => self.commit(None, waiting),
                Ok(Job::Sealed(segments)) => self.drop_segments(&segments).is_ok(),
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.commit(None, waiting) && self.publish_whole().is_ok();
                    return;
                }
            };
            let due = self.publish_due.is_some_and(|due| due <= Instant::now());
            if !done || (due && self.publish().is_err()) {
                poisons.poison();
            }
            // It may be the publisher that failed.
            if self.counters.poisoned.load(Ordering::Acquire) {
                return;
            }
        }
    }

    /// Commits all that waits. False when the log is poisoned.
    fn commit(&mut self, first: Option<Request>, waiting: &mpsc::Receiver<Job>) -> bool {
        let mut batch = std::mem::take(&mut *self.company.lock().unwrap_or_else(PoisonError::into_inner));
        batch.extend(first);
        let mut bytes = 0;
        let mut sealed = Vec::new();
        while bytes < BATCH_BYTES {
            match waiting.try_recv() {
                Ok(Job::Record(request)) => {
                    bytes += request.entries.iter().map(|entry| entry.rows.len() + Leaf::SIZE).sum::<usize>();
                    batch.push(request);
                }
                Ok(Job::Sealed(segments)) => sealed.extend(segments),
                Ok(Job::Flush) => {}
                Err(_) => break,
            }
        }
        if batch.is_empty() && sealed.is_empty() {
            return true;
        }
        let entries = batch.iter_mut().flat_map(|request| &mut request.entries);
        let written = self.write(entries.map(|entry| {
            let Entry { leaf, salt, rows } = entry;
            (leaf, &*salt, rows.as_slice())
        }));
        match written.and_then(|first| self.drop_segments(&sealed).map(|()| first)) {
            Ok(first) => {
                let entries = batch.iter().flat_map(|request| &request.entries);
                let rows: usize = entries.map(|entry| entry.rows.len() / Row::SIZE).sum();
                self.counters.rows.fetch_add(rows as u64, Ordering::Relaxed);
                let mut position = first.0;
                for Request { entries, answer } in batch {
                    // Whoever asked may have gone away; its record stays, and start-up calls it unknown.
                    let _ = answer.send(Ok(Position(position)));
                    position += entries.len() as u64;
                }
                true
            }
            Err(error) => {
                self.counters.poisoned.store(true, Ordering::Release);
                for request in batch {
                    let _ = request.answer.send(Err(Error::Write(error.kind())));
                }
                false
            }
        }
    }

    fn commit_leaves(&mut self, leaves: &[Leaf]) -> io::Result<Position> {
        let mut leaves = leaves.to_vec();
        self.write(leaves.iter_mut().map(|leaf| (leaf, &[0; 32], [].as_slice())))
    }

    /// Stamps and appends records, in a new segment when the open one is full or its day is over, and syncs. Gives the
    /// position of the first.
    fn write<'r>(
        &mut self,
        records: impl Iterator<Item = (&'r mut Leaf, &'r [u8; 32], &'r [u8])>,
    ) -> io::Result<Position> {
        let now = self.clock.now_ms().max(self.last_ms);
        self.last_ms = now;
        self.rotate(day_of(now))?;
        let first = self.end.next();
        let mut frames = std::mem::take(&mut self.buffer);
        for (leaf, salt, rows) in records {
            leaf.end_ms = now;
            if leaf.start_ms == 0 {
                leaf.start_ms = now;
            }
            self.end.frame(leaf, salt, rows, &mut frames);
            self.publishing.push(&leaf.to_bytes());
        }
        self.storage.append(&frames)?;
        // Only when this returns has anything in the batch happened.
        self.storage.sync()?;
        self.length = self.length.map(|length| length + frames.len() as u64);
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.records.fetch_add(self.end.next().0 - first.0, Ordering::Relaxed);
        self.publish_due = Some(self.publish_due.unwrap_or_else(|| Instant::now() + PUBLISH_AFTER));
        frames.clear();
        self.buffer = frames;
        Ok(first)
    }

    /// Makes sure that the open segment is of this day and has room.
    fn rotate(&mut self, today: Date) -> io::Result<()> {
        let room = self.length.is_some_and(|length| length < SEGMENT_BYTES);
        let of_today = self.segments.last().is_some_and(|open| open.day.is_none_or(|day| day == today));
        if !room || !of_today {
            let name = format!("wal/{}", segment_name(self.end.next()));
            self.storage.create(&name)?;
            self.length = Some(0);
            self.segments.push(Segment { name, day: Some(today) });
            self.announce(today);
        }
        if self.length == Some(0) {
            self.storage.append(&self.end.header())?;
            self.length = Some(HEADER as u64);
        }
        if let Some(open) = self.segments.last_mut() {
            open.day = Some(today);
        }
        Ok(())
    }

    /// Tells the sealer of the segments whose day is over, and of the day of the open one.
    fn announce(&self, today: Date) {
        let past = self.segments.iter().filter(|segment| segment.day.is_some_and(|day| day < today));
        // When the sealer is gone, the log is being closed; the next start tells it.
        let _ = self.sealer.send(Work::Past { segments: past.cloned().collect(), open: today });
    }

    /// Has the leaves put into tiles and a checkpoint signed. Records go on meanwhile, until the next is due.
    fn publish(&mut self) -> io::Result<()> {
        self.publish_due = None;
        self.publishing.begin(&self.end.tree)
    }

    /// The same, and waits until it is done.
    fn publish_whole(&mut self) -> io::Result<()> {
        self.publish()?;
        self.publishing.wait()
    }

    /// Removes segments whose rows are in sealed files, once their leaves are under a checkpoint.
    fn drop_segments(&mut self, names: &[String]) -> io::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        self.publish_whole()?;
        for name in names {
            let open = self.segments.last().is_some_and(|open| open.name == *name);
            if !open {
                self.storage.remove(name)?;
                self.segments.retain(|segment| segment.name != *name);
            }
        }
        Ok(())
    }
}
