//! One writer, one `fdatasync` for all that wait.
//!
//! Callers hand their records to the writer's thread and wait. The writer takes all that is there, appends it in one
//! write, syncs once, and only then answers. After a failed write or sync nobody knows what is on disk: the log is
//! poisoned, and every call fails until the process starts anew and has read the log.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::oneshot;

use super::{
    Recorded, merkle,
    record::{Leaf, LeafKind, Outcome, OutcomeStatus, Position, Row},
    storage::{DirStorage, Storage, is_segment},
    wal::{Damage, End, HEADER, Head, MAX_ROWS, SEGMENT_BYTES, Scanner, Step, segment_name},
};
use crate::clock::Clock;

/// The head is written at most so long after a commit.
const HEAD_AFTER: Duration = Duration::from_secs(1);
/// A batch is closed once it has so many bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// Records that may wait for the writer.
const QUEUE: usize = 1024;

/// Why something is not on record. Nothing that was to leave may leave.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log on disk is damaged; `sluis log verify` names where.
    #[error(
        "the log is damaged in {file} at byte {offset}; run `sluis log verify` and restore it from a copy"
    )]
    Damaged {
        /// The segment.
        file: String,
        /// Where in it.
        offset: u64,
    },
    /// Another process has the log open.
    #[error("another sluis process has the log open; stop it first, or use another data directory")]
    Locked,
    /// Reading the log when it was opened.
    #[error("the log cannot be opened ({})", .0.kind())]
    Open(#[source] io::Error),
    /// An earlier write failed.
    #[error("an earlier write to the log failed; free or mend the disk and restart sluis")]
    Poisoned,
    /// More than 256 rows.
    #[error("a chunk has more than 256 rows")]
    Rows,
    /// This write failed, as it did for all that shared it.
    #[error("the log cannot be written ({0})")]
    Write(io::ErrorKind),
}

/// What is about to leave: the leaf, without what the log fills in itself, and its rows.
#[derive(Debug)]
pub struct Disclosure {
    /// Kind, parties, ids, times. `rows`, unions and `inner_root` are filled in.
    pub leaf: Leaf,
    /// At most 256.
    pub rows: Vec<Row>,
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

struct Request {
    leaf: Leaf,
    salt: [u8; 32],
    rows: Vec<u8>,
    answer: oneshot::Sender<Result<Position, Error>>,
}

/// The log, open for writing. Clones share it.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Mutex<Option<mpsc::SyncSender<Request>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    counters: Arc<Counters>,
    random: SystemRandom,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Inner {
    fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
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
    /// an outcome get one that says unknown; both are recorded.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`], [`Error::Damaged`] for any other damage, [`Error::Open`] and [`Error::Write`].
    pub fn open(directory: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let storage = DirStorage::open(directory).map_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock { Error::Locked } else { Error::Open(error) }
        })?;
        Self::open_on(Box::new(storage), &clock)
    }

    /// Opens the log on a storage.
    ///
    /// # Errors
    ///
    /// As [`Log::open`].
    pub fn open_on(mut storage: Box<dyn Storage>, clock: &Arc<dyn Clock>) -> Result<Self, Error> {
        let found = recover(storage.as_mut())?;
        let counters = Arc::new(Counters::default());
        let mut writer = Writer {
            storage,
            end: found.end,
            length: found.length,
            buffer: Vec::new(),
            counters: Arc::clone(&counters),
            head_due: None,
        };
        let now = clock.now_ms();
        let mut opening = Vec::new();
        if found.cut > 0 {
            let mut leaf = Leaf::new(LeafKind::Recovery);
            leaf.released = found.cut;
            opening.push(leaf);
        }
        opening.extend(found.open.into_values().map(|(leaf, chunks)| unknown_outcome(&leaf, chunks)));
        opening.push(Leaf::new(LeafKind::Start));
        for leaf in &mut opening {
            (leaf.start_ms, leaf.end_ms) = (now, now);
        }
        writer.commit_leaves(&opening).map_err(|error| Error::Write(error.kind()))?;
        writer.write_head().map_err(|error| Error::Write(error.kind()))?;

        let (queue, waiting) = mpsc::sync_channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("disclosure-log".into())
            .spawn(move || writer.run(&waiting))
            .map_err(Error::Open)?;
        Ok(Self {
            inner: Arc::new(Inner {
                queue: Mutex::new(Some(queue)),
                writer: Mutex::new(Some(writer)),
                counters,
                random: SystemRandom::new(),
            }),
        })
    }

    /// Puts a disclosure on record. When this returns, it is on disk.
    ///
    /// # Errors
    ///
    /// When it is not; the payload is gone then.
    pub async fn record<T>(&self, disclosure: Disclosure, payload: T) -> Result<Recorded<T>, Error> {
        let answer = self.submit(disclosure)?;
        let position = answer.await.map_err(|_| Error::Poisoned)??;
        Ok(Recorded { position, payload })
    }

    /// As [`Log::record`], for threads that may wait. Panics inside an async context.
    ///
    /// # Errors
    ///
    /// As [`Log::record`].
    pub fn record_blocking<T>(&self, disclosure: Disclosure, payload: T) -> Result<Recorded<T>, Error> {
        let answer = self.submit(disclosure)?;
        let position = answer.blocking_recv().map_err(|_| Error::Poisoned)??;
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

    /// As [`Log::note`], for threads that may wait.
    ///
    /// # Errors
    ///
    /// As [`Log::note`].
    pub fn note_blocking(&self, leaf: Leaf) -> Result<Position, Error> {
        Ok(self.record_blocking(Disclosure { leaf, rows: Vec::new() }, ())?.position())
    }

    /// Whether the next record has a chance.
    pub fn is_writable(&self) -> bool {
        !self.inner.counters.poisoned.load(Ordering::Acquire)
    }

    /// What has been done so far.
    pub fn stats(&self) -> Stats {
        let counters = &self.inner.counters;
        Stats {
            commits: counters.commits.load(Ordering::Relaxed),
            records: counters.records.load(Ordering::Relaxed),
            rows: counters.rows.load(Ordering::Relaxed),
        }
    }

    /// Writes what waits, and the head. Later records fail.
    pub fn close(&self) {
        self.inner.close();
    }

    fn submit(&self, disclosure: Disclosure) -> Result<oneshot::Receiver<Result<Position, Error>>, Error> {
        let Disclosure { mut leaf, rows } = disclosure;
        if rows.len() > MAX_ROWS {
            return Err(Error::Rows);
        }
        let mut salt = [0; 32];
        let mut bytes = Vec::with_capacity(rows.len() * Row::SIZE);
        if !rows.is_empty() {
            self.inner.random.fill(&mut salt).map_err(|_| Error::Write(io::ErrorKind::Other))?;
            (leaf.released, leaf.withheld) = (0, 0);
            for row in &rows {
                leaf.released |= row.released;
                leaf.withheld |= row.withheld;
                bytes.extend_from_slice(&row.to_bytes());
            }
            leaf.inner_root = merkle::inner_root(&salt, bytes.chunks_exact(Row::SIZE));
        }
        leaf.rows = u32::try_from(rows.len()).expect("at most 256");
        let (answer, receiver) = oneshot::channel();
        let queue = self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.filter(|_| self.is_writable()).ok_or(Error::Poisoned)?;
        queue.send(Request { leaf, salt, rows: bytes, answer }).map_err(|_| Error::Poisoned)?;
        Ok(receiver)
    }
}

fn unknown_outcome(delivery: &Leaf, chunks: u32) -> Leaf {
    let mut leaf = delivery.clone();
    leaf.kind = LeafKind::Outcome;
    leaf.rows = 0;
    (leaf.chunk, leaf.flags) = (0, delivery.flags & Leaf::INBOUND);
    leaf.payload_mac = [0; 16];
    leaf.with_outcome(Outcome { status: OutcomeStatus::Unknown, http_status: 0, chunks, bytes: 0 })
}

/// What was on disk.
struct Found {
    end: End,
    /// Length of the open segment; none when one has to be made.
    length: Option<u64>,
    /// Bytes cut off a torn end.
    cut: u64,
    /// Deliveries without outcome: first leaf and number of chunks.
    open: HashMap<[u8; 8], (Leaf, u32)>,
}

fn recover(storage: &mut dyn Storage) -> Result<Found, Error> {
    let segments = storage.segments().map_err(Error::Open)?;
    let mut end = End::default();
    let mut open: HashMap<[u8; 8], (Leaf, u32)> = HashMap::new();
    let mut length = None;
    let mut cut = 0;
    let head = read_head(storage)?;
    for (index, name) in segments.iter().enumerate() {
        let newest = index + 1 == segments.len();
        let damaged = |offset| Error::Damaged { file: name.clone(), offset };
        if !is_segment(name) {
            return Err(damaged(0));
        }
        let source = io::BufReader::with_capacity(256 * 1024, storage.read(name).map_err(Error::Open)?);
        let mut scanner = match Scanner::open(source, &end).map_err(Error::Open)? {
            Ok(scanner) => scanner,
            // The crash came between making the segment and writing its header.
            Err(Damage::Torn) if newest => {
                storage.resume(name, 0).map_err(|error| Error::Write(error.kind()))?;
                length = Some(0);
                break;
            }
            Err(_) => return Err(damaged(0)),
        };
        let mut good = HEADER as u64;
        loop {
            match scanner.step(&mut end).map_err(Error::Open)? {
                Step::End => break,
                Step::Frame(frame) => {
                    good = frame.end;
                    note_delivery(&mut open, frame.leaf);
                }
                Step::Damaged(Damage::Torn, at) if newest => {
                    cut = file_length(storage, name)?.saturating_sub(at);
                    break;
                }
                Step::Damaged(_, at) => return Err(damaged(at)),
            }
        }
        if newest {
            storage.resume(name, good).map_err(|error| Error::Write(error.kind()))?;
            length = Some(good);
        }
    }
    if let Some(head) = head {
        let lost = end.tree.size() < head.size
            || (end.tree.size() == head.size && (end.tree.root() != head.root || end.link != head.link));
        if lost {
            return Err(Error::Damaged {
                file: segments.last().cloned().unwrap_or_else(|| "wal".into()),
                offset: 0,
            });
        }
    }
    Ok(Found { end, length, cut, open })
}

fn read_head(storage: &dyn Storage) -> Result<Option<Head>, Error> {
    use io::Read;
    match storage.read("head") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Open(error)),
        Ok(source) => {
            let mut text = Vec::new();
            source.take(4096).read_to_end(&mut text).map_err(Error::Open)?;
            match Head::parse(&text) {
                Some(head) => Ok(Some(head)),
                None => Err(Error::Damaged { file: "head".into(), offset: 0 }),
            }
        }
    }
}

fn file_length(storage: &dyn Storage, name: &str) -> Result<u64, Error> {
    io::copy(&mut storage.read(name).map_err(Error::Open)?, &mut io::sink()).map_err(Error::Open)
}

fn note_delivery(open: &mut HashMap<[u8; 8], (Leaf, u32)>, leaf: Leaf) {
    match leaf.kind {
        LeafKind::Disclosure => open.entry(leaf.span_id).or_insert((leaf, 0)).1 += 1,
        LeafKind::Outcome => drop(open.remove(&leaf.span_id)),
        LeafKind::AgreementActivated
        | LeafKind::DaySeal
        | LeafKind::KeyEpoch
        | LeafKind::LogRead
        | LeafKind::Notice
        | LeafKind::Recovery
        | LeafKind::RetentionErase
        | LeafKind::ReviewAttestation
        | LeafKind::RollUp
        | LeafKind::Start
        | LeafKind::Withheld => {}
    }
}

struct Writer {
    storage: Box<dyn Storage>,
    end: End,
    length: Option<u64>,
    buffer: Vec<u8>,
    counters: Arc<Counters>,
    head_due: Option<Instant>,
}

impl Writer {
    fn run(mut self, waiting: &mpsc::Receiver<Request>) {
        loop {
            let first = match self.head_due {
                None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => waiting.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match first {
                Ok(first) => {
                    if !self.commit(first, waiting) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.write_head();
                    return;
                }
            }
            if self.head_due.is_some_and(|due| due <= Instant::now()) && self.write_head().is_err() {
                self.counters.poisoned.store(true, Ordering::Release);
                return;
            }
        }
    }

    /// Commits all that waits. False when the log is poisoned.
    fn commit(&mut self, first: Request, waiting: &mpsc::Receiver<Request>) -> bool {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(request) = next {
            bytes += request.rows.len() + Leaf::SIZE;
            batch.push(request);
            next = if bytes < BATCH_BYTES { waiting.try_recv().ok() } else { None };
        }
        let before = self.end.clone();
        let positions: Vec<_> = batch
            .iter()
            .map(|request| {
                let position = self.end.next();
                self.end.frame(&request.leaf, &request.salt, &request.rows, &mut self.buffer);
                position
            })
            .collect();
        let written = self.write(&before);
        let rows: usize = batch.iter().map(|request| request.rows.len() / Row::SIZE).sum();
        match written {
            Ok(()) => {
                self.counters.commits.fetch_add(1, Ordering::Relaxed);
                self.counters.records.fetch_add(batch.len() as u64, Ordering::Relaxed);
                self.counters.rows.fetch_add(rows as u64, Ordering::Relaxed);
                for (request, position) in batch.into_iter().zip(positions) {
                    // Whoever asked may have gone away; its record stays, and start-up calls it unknown.
                    let _ = request.answer.send(Ok(position));
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

    fn commit_leaves(&mut self, leaves: &[Leaf]) -> io::Result<()> {
        let before = self.end.clone();
        for leaf in leaves {
            self.end.frame(leaf, &[0; 32], &[], &mut self.buffer);
        }
        self.write(&before)?;
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters.records.fetch_add(leaves.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Appends the buffer, in a new segment when the open one is full, and syncs.
    fn write(&mut self, before: &End) -> io::Result<()> {
        let frames = std::mem::take(&mut self.buffer);
        if self.length.is_none_or(|length| length >= SEGMENT_BYTES) {
            self.storage.create(&segment_name(before.next()))?;
            self.length = Some(0);
        }
        if self.length == Some(0) {
            self.storage.append(&before.header())?;
            self.length = Some(HEADER as u64);
        }
        self.storage.append(&frames)?;
        // Only when this returns has anything in the batch happened.
        self.storage.sync()?;
        self.length = self.length.map(|length| length + frames.len() as u64);
        self.head_due = Some(self.head_due.unwrap_or_else(|| Instant::now() + HEAD_AFTER));
        self.buffer = frames;
        self.buffer.clear();
        Ok(())
    }

    fn write_head(&mut self) -> io::Result<()> {
        self.head_due = None;
        self.storage.replace("head", self.end.head().as_bytes())
    }
}
