//! One writer, one `fdatasync` for all that wait.
//!
//! Callers hand their records to the writer's thread and wait. The writer takes all that is there, appends it in one
//! write, syncs once, and only then answers. A few seconds later at most it puts the leaves into tiles and signs a
//! checkpoint. After a failed write or sync nobody knows what is on disk: the log is poisoned, and every call fails
//! until the process starts anew and has read the log.

use std::{
    io,
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
    log::{Disclosure, Error, Site, Stats},
    merkle,
    publish::Publishing,
    record::{Leaf, LeafKind, Position, Row, Subject},
    recover::{Found, Segment},
    seal::Work,
    storage::Storage,
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

/// Hands records to the writer.
#[derive(Clone)]
pub(super) struct Recorder {
    queue: Arc<Mutex<Option<mpsc::SyncSender<Job>>>>,
    company: Company,
    counters: Arc<Counters>,
}

/// Requests that are written with the next that are.
type Company = Arc<Mutex<Vec<Request>>>;

impl Recorder {
    pub(super) fn is_writable(&self) -> bool {
        !self.counters.poisoned.load(Ordering::Acquire)
    }

    pub(super) fn record_blocking(&self, disclosure: Disclosure) -> Result<Position, Error> {
        self.submit([disclosure])?.blocking_recv().map_err(|_| Error::Poisoned)?
    }

    /// A leaf that is written with what others have on record next, or by itself when that takes too long.
    pub(super) async fn note_soon(&self, leaf: Leaf) -> Result<Position, Error> {
        let (answer, mut written) = oneshot::channel();
        let entries = vec![entry(Disclosure { leaf, rows: Vec::new() })?];
        self.company.lock().unwrap_or_else(PoisonError::into_inner).push(Request { entries, answer });
        if let Ok(written) = tokio::time::timeout(COMPANY, &mut written).await {
            return written.map_err(|_| Error::Poisoned)?;
        }
        self.send(Job::Flush)?;
        written.await.map_err(|_| Error::Poisoned)?
    }

    /// No more records are taken.
    pub(super) fn poison(&self) {
        self.counters.poisoned.store(true, Ordering::Release);
    }

    /// What the writer has done so far.
    pub(super) fn stats(&self) -> Stats {
        Stats {
            commits: self.counters.commits.load(Ordering::Relaxed),
            records: self.counters.records.load(Ordering::Relaxed),
            rows: self.counters.rows.load(Ordering::Relaxed),
        }
    }

    /// Nothing more is handed over; the writer ends once it has written what was.
    pub(super) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
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

    /// Hands records to the writer, which says where the first of them is once they are on disk.
    pub(super) fn submit(
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

/// Puts in order what was found, with a checkpoint over it, and starts the writer.
pub(super) fn start(
    mut found: Found,
    storage: Arc<dyn Storage>,
    site: Site,
    clock: Arc<dyn Clock>,
    sealer: mpsc::Sender<Work>,
) -> Result<(Recorder, JoinHandle<()>), Error> {
    let opening = found.opening();
    let Found { end, length, last_ms, segments, publisher, .. } = found;
    let counters = Arc::new(Counters::default());
    let company = Company::default();
    let poisons = Poisons(Arc::clone(&counters));
    let publishing =
        Publishing::start(publisher, Arc::clone(&storage), site, poisons).map_err(Error::Open)?;
    let mut writer = Writer {
        storage,
        clock,
        end,
        length,
        segments,
        last_ms,
        buffer: Vec::new(),
        company: Arc::clone(&company),
        counters: Arc::clone(&counters),
        publishing,
        publish_due: None,
        sealer,
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
    Ok((Recorder { queue: Arc::new(Mutex::new(Some(queue))), company, counters }, writer))
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
