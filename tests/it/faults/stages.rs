//! The steps that are no system call: what the stages read, write and put on record, each failing at every place.

use std::{
    io::{self, ErrorKind, Read, Write},
    path::Path,
    sync::{Arc, atomic::Ordering::SeqCst},
};

use sluis::{
    clock::{Clock, SystemClock},
    config::Config,
    delivery::{Asked, Delivery},
    disclosure::{
        Against, Log, OutcomeStatus, Position, Reader, Site,
        note::Signer,
        storage::{
            DirStorage, Storage,
            testing::{Failing, FaultyStorage},
        },
        verify,
    },
    exchange::disclose,
    standing::Ledger,
};
use zeroize::Zeroizing;

use super::calls::pupils;
use crate::{documents::feed, home::Home, served::PUPILS};

/// What a receiver got; it takes so many bytes at a time, and fails at one of its writes.
struct Receiver {
    got: Vec<u8>,
    writes: usize,
    fails_at: usize,
}

/// Bytes that a receiver takes at a time.
const TAKES: usize = 997;

impl Receiver {
    fn new(fails_at: usize) -> Self {
        Self { got: Vec::new(), writes: 0, fails_at }
    }
}

impl Write for &mut Receiver {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        if self.writes >= self.fails_at {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(TAKES);
        self.got.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A document that breaks off after so many bytes.
struct Broken<'d>(&'d [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(ErrorKind::ConnectionAborted.into()),
            read => Ok(read),
        }
    }
}

struct Bench {
    config: Config,
    clock: Arc<dyn Clock>,
    _home: Home,
}

impl Bench {
    fn new() -> Self {
        let home = Home::new();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let config = Config::load(&home.path("sluis.toml"), clock.as_ref()).unwrap();
        Self { config, clock, _home: home }
    }

    fn delivery(&self) -> Delivery {
        let asked = Asked {
            school: self.config.school("99DE").unwrap(),
            dependance: None,
            recipient: self.config.recipient("noordzee").unwrap(),
            expected: None,
            transaction: uuid::Uuid::now_v7(),
            certificate: [0; 32],
        };
        Delivery::decide(&self.config, &Ledger::reading(&self.config.data), &asked, &self.clock).unwrap()
    }

    /// On a disk that is memory, where there is one: it syncs often.
    fn directory() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
    }

    fn site(dir: &Path) -> Site {
        Site {
            directory: dir.join("data"),
            copy: dir.join("checkpoint"),
            signer: Signer::new("sluis.example/log", Zeroizing::new([7; 32])).unwrap(),
            earlier: Vec::new(),
            retention: sluis::disclosure::Retention::default(),
        }
    }
}

/// Rows on record by now, and how the last delivery that has an outcome ended.
fn on_record(dir: &Path) -> (usize, Option<OutcomeStatus>) {
    let (mut rows, mut last) = (0, None);
    let reader = Reader::open(&dir.join("data")).unwrap();
    reader
        .leaves(Position(0), &mut |_, leaf| {
            rows += leaf.rows as usize;
            last = leaf.outcome().map(|outcome| outcome.status).or(last);
        })
        .unwrap();
    (rows, last)
}

fn persons(got: &[u8]) -> usize {
    let text = std::str::from_utf8(got).unwrap();
    text.matches("</leerling>").count() + text.matches("</leerkracht>").count()
}

#[test]
fn a_source_that_fails_at_any_byte() {
    let (bench, dir) = (Bench::new(), Bench::directory());
    let log = Log::open(Bench::site(dir.path()), Arc::clone(&bench.clock)).unwrap();
    let (small, large) = (feed(PUPILS), pupils());
    for (document, step) in [(&small, 1), (&large, 499)] {
        let mut whole = Receiver::new(usize::MAX);
        disclose(&bench.delivery(), &log, document.as_bytes(), None, &mut whole).unwrap();
        // All of it, and an error where its end should be, is no document either.
        for at in (0..document.len()).step_by(step).chain([document.len()]) {
            let before = on_record(dir.path()).0;
            let mut receiver = Receiver::new(usize::MAX);
            let done =
                disclose(&bench.delivery(), &log, Broken(&document.as_bytes()[..at]), None, &mut receiver);
            assert!(done.is_err(), "after {at} of {} bytes", document.len());
            let got = &receiver.got;
            assert!(
                whole.got.starts_with(got) && got.len() < whole.got.len(),
                "after {at} bytes: it looks whole"
            );
            let (rows, last) = on_record(dir.path());
            assert!(persons(got) <= rows - before, "after {at} bytes");
            assert!(got.is_empty() || last == Some(OutcomeStatus::Failed), "after {at} bytes: {last:?}");
        }
    }
    log.close();
}

#[test]
fn a_receiver_that_fails_at_any_write() {
    let (bench, dir) = (Bench::new(), Bench::directory());
    let log = Log::open(Bench::site(dir.path()), Arc::clone(&bench.clock)).unwrap();
    let document = pupils();
    let mut whole = Receiver::new(usize::MAX);
    disclose(&bench.delivery(), &log, document.as_bytes(), None, &mut whole).unwrap();
    assert!(whole.writes > 20, "{}", whole.writes);
    for at in 1..=whole.writes {
        let before = on_record(dir.path()).0;
        let mut receiver = Receiver::new(at);
        let done = disclose(&bench.delivery(), &log, document.as_bytes(), None, &mut receiver);
        assert!(done.is_err(), "at write {at}");
        assert_eq!(receiver.writes, at, "it is not written to again");
        assert!(whole.got.starts_with(&receiver.got), "at write {at}");
        let (rows, last) = on_record(dir.path());
        assert!(persons(&receiver.got) <= rows - before, "at write {at}");
        assert_eq!(last, Some(OutcomeStatus::Failed), "at write {at}");
    }
    log.close();
}

#[test]
fn a_disk_that_fails_at_any_step() {
    let bench = Bench::new();
    let document = pupils();
    // Opens the log, discloses, discloses again, closes.
    let run = |dir: &Path, storage: Arc<dyn Storage>| {
        let Ok(log) = Log::open_on(storage, Bench::site(dir), Arc::clone(&bench.clock)) else {
            return Vec::new();
        };
        let received = (0..2).map(|_| {
            let mut receiver = Receiver::new(usize::MAX);
            let done = disclose(&bench.delivery(), &log, document.as_bytes(), None, &mut receiver).is_ok();
            (receiver.got, done)
        });
        let received = received.collect();
        log.close();
        received
    };
    let open = |dir: &Path| DirStorage::open(&dir.join("data")).unwrap();
    let dir = Bench::directory();
    let storage = FaultyStorage::counting(open(dir.path()));
    let steps = storage.steps();
    let whole = run(dir.path(), Arc::new(storage));
    assert!(whole.iter().all(|(got, done)| *done && persons(got) == super::calls::PUPILS));
    let steps = steps.load(SeqCst);
    assert!(steps > 10, "{steps} steps");
    for failing in [Failing::Half, Failing::NotPersisted, Failing::Persisted] {
        for error in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::TimedOut] {
            for at in 0..steps {
                let what = format!("{failing:?}, {error} at step {at}");
                let dir = Bench::directory();
                let storage = FaultyStorage::new(open(dir.path()), at, failing, error);
                let received = run(dir.path(), Arc::new(storage));
                // A start puts in order what there is to be put in order.
                let log = Log::open(Bench::site(dir.path()), Arc::clone(&bench.clock));
                log.unwrap_or_else(|error| panic!("{what}: {error}")).close();
                let Site { directory, copy, .. } = Bench::site(dir.path());
                verify(&directory, &Against { key: None, copy: Some(copy) }, &mut |_, _| {})
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
                let got: usize = received.iter().map(|(got, _)| persons(got)).sum();
                assert!(got <= on_record(dir.path()).0, "{what}: {got} received");
                for (got, done) in received {
                    assert!(whole[0].0.starts_with(&got), "{what}");
                    assert_eq!(done, got.len() == whole[0].0.len(), "{what}: {} bytes", got.len());
                }
            }
        }
    }
}
