//! One night of a country on record: 2.4 million pupils, each to ten suppliers, is 24 million rows.
//!
//! Straight onto the log, as 64 exchanges at once would: 100,000 deliveries of 240 pupils, each with its outcome. Then
//! the log is opened anew, the day ends, and the rows of 10,000 schools are sealed. Prints rows a second, bytes on disk
//! for each row, the highest memory of the process and how long a release waited for the disk. `-- --short` does a
//! hundredth.
#![allow(clippy::print_stdout, reason = "the table is what this is for")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure may as well panic")]

mod common;

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use common::{is_short, mib, peak};
use jiff::civil::date;
use sluis::{
    clock::{Clock, day_start_ms},
    disclosure::{
        Disclosure, Leaf, LeafKind, Log, Outcome, OutcomeStatus, Retention, Row, RowOutcome, Site, Subject,
        note::Signer,
    },
};
use zeroize::Zeroizing;

const EXCHANGES: u64 = 64;
const PUPILS: u32 = 240;
const SUPPLIERS: u64 = 10;

#[derive(Debug)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(i64::try_from(self.0.load(SeqCst)).unwrap()).unwrap()
    }
}

fn main() {
    let schools: u64 = if is_short() { 100 } else { 10_000 };
    let deliveries = schools * SUPPLIERS;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let clock = Arc::new(Hands(AtomicU64::new(day_start_ms(date(2026, 9, 1)) + 3_600_000)));
    let open = || {
        let site = Site {
            directory: dir.path().join("data"),
            copy: dir.path().join("checkpoint"),
            signer: Signer::new("sluis.example/night", Zeroizing::new([1; 32])).unwrap(),
            earlier: Vec::new(),
            retention: Retention::default(),
        };
        Log::open(site, Arc::<Hands>::clone(&clock)).unwrap()
    };
    let log = open();

    let began = Instant::now();
    let next = AtomicU64::new(0);
    let mut waits: Vec<Duration> = thread::scope(|scope| {
        let workers: Vec<_> = (0..EXCHANGES)
            .map(|_| {
                scope.spawn(|| {
                    let mut waits = Vec::new();
                    loop {
                        let delivery = next.fetch_add(1, SeqCst);
                        if delivery >= deliveries {
                            return waits;
                        }
                        waits.push(deliver(&log, delivery, delivery % schools));
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let written = began.elapsed();
    let stats = log.stats();

    log.close();
    let closed = Instant::now();
    let log = open();
    let opened = closed.elapsed();

    // The first record of the next day closes this one.
    let over = Instant::now();
    clock.0.store(day_start_ms(date(2026, 9, 2)), SeqCst);
    log.note_blocking(Leaf::new(LeafKind::LogRead)).unwrap();
    log.close();
    let sealed = written + over.elapsed();

    waits.sort_unstable();
    let wait = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    let rows = stats.rows as f64;
    println!(
        "| rows | written s | opened s | sealed s | rows/s | bytes/row on disk | peak MiB | wait p50 ms | wait p99 ms | records a sync |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    println!(
        "| {} | {:.1} | {:.1} | {:.1} | {:.0} | {:.2} | {:.0} | {:.1} | {:.1} | {:.1} |",
        stats.rows,
        written.as_secs_f64(),
        opened.as_secs_f64(),
        sealed.as_secs_f64(),
        rows / sealed.as_secs_f64(),
        size_of_folder(&dir.path().join("data")) as f64 / rows,
        mib(peak()),
        wait(0.5),
        wait(0.99),
        stats.records as f64 / stats.commits as f64,
    );
}

/// One delivery of one chunk; how long it waited to be released.
fn deliver(log: &Log, delivery: u64, school: u64) -> Duration {
    let brin = format!("{:02}{}{}", school % 100, letter(school / 100), letter(school / 2600));
    let mut leaf = Leaf::new(LeafKind::Disclosure);
    leaf.controller = Leaf::controller_code(&brin, "00");
    leaf.recipient = Leaf::recipient_code(&(delivery / 10_000).to_string());
    leaf.span_id = delivery.to_le_bytes();
    leaf.flags = Leaf::LAST;
    let rows = (0..PUPILS).map(|number| {
        let mut row = Row::new(Subject::Leerling, number);
        // As good as random, and the same for the same pupil.
        let seed = (school * 1000 + u64::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        row.handle[..8].copy_from_slice(&seed.to_be_bytes());
        row.handle[8..].copy_from_slice(&seed.rotate_left(29).to_be_bytes());
        row.tag = (seed ^ delivery).to_le_bytes();
        row.released = 0x1F;
        row.withheld = 0xFFE0;
        row.outcome = RowOutcome::Released;
        row
    });
    let disclosure = Disclosure { leaf: leaf.clone(), rows: rows.collect() };
    let began = Instant::now();
    let recorded = log.record_blocking(disclosure, ()).unwrap();
    let waited = began.elapsed();
    recorded.into_inner();
    leaf.kind = LeafKind::Outcome;
    (leaf.rows, leaf.flags) = (0, 0);
    let outcome = Outcome { status: OutcomeStatus::Sent, http_status: 200, chunks: 1, bytes: 100_000 };
    log.note_blocking(leaf.with_outcome(outcome)).unwrap();
    waited
}

fn letter(number: u64) -> char {
    char::from(b'A' + u8::try_from(number % 26).unwrap())
}

fn size_of_folder(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { size_of_folder(&path) } else { fs::metadata(path).unwrap().len() })
        .sum()
}
