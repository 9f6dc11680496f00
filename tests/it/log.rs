//! The disclosure log: what it survives, and what it notices.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use jiff::civil::{Date, date};
use ring::digest;
use sluis::{
    clock::Clock,
    disclosure::{
        Against, Disclosure, Error, FindingKind, Leaf, LeafKind, Log, Outcome, OutcomeStatus, Position,
        Reader, Recorded, Report, Retention, Row, Site, Subject, VerifyError,
        note::Signer,
        storage::{
            DirStorage,
            testing::{Call, Failing, FaultyStorage, Watched},
        },
        verify,
    },
    keys::{KeyStatus, Purpose, key_epoch},
};
use zeroize::Zeroizing;

use crate::world::{Hands, copy_tree};

const MONDAY: Date = date(2026, 11, 23);

fn clock() -> Arc<dyn Clock> {
    Hands::at(MONDAY)
}

/// A log with its copy of the checkpoint beside it, and a key that is always the same.
fn site(dir: &Path) -> Site {
    let signer = Signer::new("sluis.example/log", Zeroizing::new([7; 32])).unwrap();
    Site {
        directory: dir.join("data"),
        copy: dir.join("elsewhere/checkpoint"),
        signer,
        earlier: Vec::new(),
        retention: Retention::default(),
    }
}

fn open(dir: &Path) -> Result<Log, Error> {
    open_at(dir, clock())
}

fn open_at(dir: &Path, clock: Arc<dyn Clock>) -> Result<Log, Error> {
    Log::open(site(dir), clock)
}

fn open_faulty(dir: &Path, storage: FaultyStorage<DirStorage>) -> Result<Log, Error> {
    Log::open_on(Arc::new(storage), site(dir), clock())
}

fn dir_storage(dir: &Path) -> DirStorage {
    DirStorage::open(&site(dir).directory).unwrap()
}

fn leaves(dir: &Path) -> Vec<(Position, Leaf)> {
    let mut leaves = Vec::new();
    let reader = Reader::open(&site(dir).directory).unwrap();
    reader.leaves(Position(0), &mut |position, leaf| leaves.push((position, leaf.clone()))).unwrap();
    leaves
}

fn disclosure(delivery: u8, chunk: u32, rows: u32) -> Disclosure {
    let mut leaf = Leaf::new(LeafKind::Disclosure);
    leaf.controller = Leaf::controller_code("99DE", "00");
    leaf.span_id = [delivery; 8];
    leaf.chunk = chunk;
    let rows = (0..rows).map(|number| {
        let mut row = Row::new(Subject::Leerling, number);
        row.handle = [delivery; 16];
        row.released = 1 << (number % 40);
        row
    });
    Disclosure { leaf, rows: rows.collect() }
}

fn sent(delivery: u8) -> Leaf {
    let mut leaf = Leaf::new(LeafKind::Outcome);
    leaf.span_id = [delivery; 8];
    leaf.with_outcome(Outcome { status: OutcomeStatus::Sent, http_status: 200, chunks: 2, bytes: 9 })
}

/// Two deliveries of two chunks, one after the other.
fn write_some(log: &Log) {
    for delivery in [1, 2] {
        for chunk in 0..2 {
            let _ = log.record_blocking(disclosure(delivery, chunk, 3), ()).unwrap();
        }
        log.note_blocking(sent(delivery)).unwrap();
    }
}

fn written() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    write_some(&log);
    log.close();
    dir
}

/// Held against the copy of its checkpoint too.
fn check(dir: &Path) -> Result<Report, VerifyError> {
    let Site { directory, copy, .. } = site(dir);
    verify(&directory, &Against { key: None, copy: Some(copy) }, &mut |_, _| {})
}

fn segment(dir: &Path) -> PathBuf {
    fs::read_dir(dir.join("data/wal")).unwrap().next().unwrap().unwrap().path()
}

/// Offsets at which frames begin, and the end.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut offsets = vec![56];
    while *offsets.last().unwrap() < bytes.len() {
        let at = *offsets.last().unwrap();
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        offsets.push(at + 48 + length);
    }
    offsets
}

#[test]
fn an_untouched_log_is_intact() {
    let dir = written();
    let report = check(dir.path()).unwrap();
    assert_eq!((report.leaves, report.rows, report.deliveries), (7, 12, 2));
    assert_eq!((report.unknown_outcomes, report.open), (0, 0));
    assert_eq!((report.signed, report.origin.as_str()), (7, "sluis.example/log"));
    let kinds: Vec<_> = leaves(dir.path()).iter().map(|(_, leaf)| (leaf.kind, leaf.rows)).collect();
    assert_eq!(kinds[..2], [(LeafKind::Start, 0), (LeafKind::Disclosure, 3)]);
}

#[test]
fn any_flipped_bit_is_found() {
    let dir = written();
    let path = segment(dir.path());
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        match check(dir.path()) {
            Err(VerifyError::Tampered(finding)) => assert_eq!(finding.file, path, "byte {at}"),
            other => panic!("byte {at}: {other:?}"),
        }
    }
    fs::write(&path, &good).unwrap();
    for name in ["checkpoint", "log.vkey", "tile/0/000.p/7", "tile/entries/000.p/7"] {
        let file = dir.path().join("data").join(name);
        let good = fs::read(&file).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, &bad).unwrap();
            match check(dir.path()) {
                Err(VerifyError::Tampered(finding)) => {
                    let named = if name == "log.vkey" { finding.file.exists() } else { finding.file == file };
                    assert!(named, "byte {at} of {name}: {finding}");
                }
                other => panic!("byte {at} of {name}: {other:?}"),
            }
        }
        fs::write(&file, &good).unwrap();
    }
    check(dir.path()).unwrap();
}

#[test]
fn each_kind_of_tampering_is_named() {
    let dir = written();
    let path = segment(dir.path());
    let good = fs::read(&path).unwrap();
    let at = frames(&good);
    let cut = |from: usize, to: usize| [&good[..at[from]], &good[at[to]..]].concat();
    let swapped = [&good[..at[2]], &good[at[3]..at[4]], &good[at[2]..at[3]], &good[at[4]..]].concat();
    let doubled = [&good[..at[3]], &good[at[2]..at[3]], &good[at[3]..]].concat();
    for (what, bytes, kind) in [
        ("the first record dropped", cut(0, 1), FindingKind::Missing),
        ("a record in the middle dropped", cut(2, 3), FindingKind::Missing),
        ("the last record dropped", good[..at[6]].to_vec(), FindingKind::Missing),
        ("all records dropped", good[..at[0]].to_vec(), FindingKind::Missing),
        ("two records swapped", swapped, FindingKind::Missing),
        ("a record repeated", doubled, FindingKind::Foreign),
        ("cut inside a record", good[..at[6] + 100].to_vec(), FindingKind::Torn),
        ("cut inside the header", good[..30].to_vec(), FindingKind::Torn),
        ("bytes added", [&good[..], b"meer"].concat(), FindingKind::Torn),
        (
            "zeros over the end",
            [&good[..at[6]], &vec![0; good.len() - at[6]][..]].concat(),
            FindingKind::Altered,
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        match check(dir.path()) {
            Err(VerifyError::Tampered(finding)) => assert_eq!(finding.kind, kind, "{what}: {finding}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    fs::write(&path, &good).unwrap();
    fs::write(dir.path().join("data/wal/notitie.txt"), "x").unwrap();
    assert!(matches!(check(dir.path()), Err(VerifyError::Tampered(f)) if f.kind == FindingKind::Foreign));
    fs::remove_file(dir.path().join("data/wal/notitie.txt")).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(matches!(check(dir.path()), Err(VerifyError::Tampered(f)) if f.kind == FindingKind::Missing));
    fs::write(&path, &good).unwrap();
    fs::remove_file(dir.path().join("data/checkpoint")).unwrap();
    assert!(matches!(check(dir.path()), Err(VerifyError::Tampered(f)) if f.kind == FindingKind::Missing));
    fs::remove_dir_all(dir.path().join("data")).unwrap();
    let error = check(dir.path()).unwrap_err();
    assert!(matches!(error, VerifyError::Unreadable(..)));
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn a_chunk_is_about_pupils_or_about_teachers() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let mut mixed = disclosure(1, 0, 3);
    mixed.rows[1].subject = Subject::Leerkracht;
    assert!(matches!(log.record_blocking(mixed, ()), Err(Error::Rows)));
    let mut staff = disclosure(1, 0, 3);
    staff.rows.iter_mut().for_each(|row| row.subject = Subject::Leerkracht);
    let mut pupils = disclosure(1, 1, 3);
    // What the leaf says of its rows is for the log to say.
    pupils.leaf.flags = Leaf::LAST | Leaf::STAFF;
    for disclosure in [staff, pupils] {
        let _ = log.record_blocking(disclosure, ()).unwrap();
    }
    log.note_blocking(sent(1)).unwrap();
    log.close();
    let flags: Vec<u8> = leaves(dir.path())
        .iter()
        .filter(|(_, leaf)| leaf.kind == LeafKind::Disclosure)
        .map(|(_, leaf)| leaf.flags)
        .collect();
    assert_eq!(flags, [Leaf::STAFF, Leaf::LAST]);
    check(dir.path()).unwrap();
}

/// Whoever rewrites the whole file, links and checksums included, still does not match what was signed.
#[test]
fn a_log_written_anew_does_not_match_its_checkpoint() {
    let (dir, other) = (written(), tempfile::tempdir().unwrap());
    let log = open(other.path()).unwrap();
    write_some(&log);
    log.close();
    fs::copy(segment(other.path()), segment(dir.path())).unwrap();
    assert!(matches!(check(dir.path()), Err(VerifyError::Tampered(f)) if f.kind == FindingKind::Altered));
}

/// Whoever rewrites a row, with all links and checksums from there on, is found: a log that is opened goes on, and the day is
/// not sealed.
#[test]
fn a_row_written_anew_is_found_by_verification_and_never_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Hands::at(MONDAY);
    let log = open_at(dir.path(), Arc::<Hands>::clone(&clock)).unwrap();
    write_some(&log);
    log.close();

    let path = segment(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    let at = frames(&bytes);
    let tag = at[1] + 304 + 32 + 16;
    bytes[tag] ^= 1;
    let mut link = bytes[at[0] + 16..at[0] + 48].to_vec();
    for range in at[1..].windows(2) {
        let frame = &mut bytes[range[0]..range[1]];
        link.extend_from_slice(&frame[48..]);
        link = digest::digest(&digest::SHA256, &link).as_ref().to_vec();
        frame[16..48].copy_from_slice(&link);
        let crc = crc32fast::hash(&frame[8..]);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
    }
    fs::write(&path, bytes).unwrap();

    let altered = |found: Result<Report, VerifyError>| match found {
        Err(VerifyError::Tampered(finding)) => {
            assert_eq!((finding.kind, finding.file), (FindingKind::Altered, path.clone()));
        }
        other => panic!("{other:?}"),
    };
    altered(check(dir.path()));
    let log = open_at(dir.path(), Arc::<Hands>::clone(&clock)).unwrap();
    clock.put(MONDAY.tomorrow().unwrap());
    write_some(&log);
    log.close();
    assert!(!dir.path().join("data/rows").exists());
    altered(check(dir.path()));
}

#[test]
fn damage_is_not_written_over() {
    let dir = written();
    let path = segment(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[400] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(open(dir.path()), Err(Error::Damaged { .. })));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_torn_end_is_cut_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let _ = log.record_blocking(disclosure(1, 0, 3), ()).unwrap();
    log.close();
    let path = segment(dir.path());
    let good = fs::read(&path).unwrap();
    let at = frames(&good);
    // A crash in the middle of the next write: half a frame.
    fs::write(&path, [&good[..], &good[at[1]..at[1] + 200]].concat()).unwrap();
    assert!(matches!(check(dir.path()), Err(VerifyError::Tampered(f)) if f.kind == FindingKind::Torn));
    open(dir.path()).unwrap().close();
    let report = check(dir.path()).unwrap();
    let leaves = leaves(dir.path());
    assert_eq!(report.unknown_outcomes, 1, "the delivery that was under way");
    let (_, recovery) = leaves.iter().find(|(_, leaf)| leaf.kind == LeafKind::Recovery).unwrap();
    assert_eq!(recovery.released, 200, "the bytes that were cut off");
}

#[test]
fn one_process_has_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(Error::Locked)));
    log.close();
    drop(log);
    open(dir.path()).unwrap();
}

/// Three days, of which the first two are sealed. Gives what was handed out as recorded, and nothing after a failure.
fn three_days(log: Result<Log, Error>, clock: &Hands) -> Vec<(Position, (u8, u32))> {
    let mut recorded = Vec::new();
    let Ok(log) = log else { return recorded };
    let mut failed = false;
    for day in 0..3 {
        clock.put(MONDAY.saturating_add(jiff::Span::new().days(day)));
        for delivery in [1, 2] {
            for chunk in 0..2 {
                match log.record_blocking(disclosure(delivery, chunk, 3), (delivery, chunk)) {
                    Ok(one) => {
                        assert!(!failed, "a poisoned log records nothing");
                        recorded.push((one.position(), one.into_inner()));
                    }
                    Err(_) => failed = true,
                }
            }
            failed |= log.note_blocking(sent(delivery)).is_err();
        }
    }
    assert!(!failed || !log.is_writable());
    log.close();
    recorded
}

/// The disk fails at every step in turn, with the failing step written, half written or not. Whatever was handed out
/// as recorded is there afterwards, and the log opens and verifies.
#[test]
fn a_failing_disk_loses_nothing_that_was_released() {
    let steps = {
        let dir = quick_dir();
        let storage = FaultyStorage::counting(dir_storage(dir.path()));
        let steps = storage.steps();
        let clock = Hands::at(MONDAY);
        let log = Log::open_on(Arc::new(storage), site(dir.path()), Arc::<Hands>::clone(&clock));
        assert_eq!(three_days(log, &clock).len(), 12);
        steps.load(SeqCst)
    };
    assert!(steps > 50, "{steps} steps");
    for failing in [Failing::Half, Failing::NotPersisted, Failing::Persisted] {
        for at in 0..steps {
            let dir = quick_dir();
            let error = if at % 2 == 0 { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
            let storage = FaultyStorage::new(dir_storage(dir.path()), at, failing, error);
            let clock = Hands::at(MONDAY);
            let log = Log::open_on(Arc::new(storage), site(dir.path()), Arc::<Hands>::clone(&clock));
            let recorded = three_days(log, &clock);
            // The next start puts in order what can be, and says so; twice, for what the first left to the second.
            for _ in 0..2 {
                let log = open_at(dir.path(), Arc::<Hands>::clone(&clock));
                log.unwrap_or_else(|error| panic!("{failing:?} at step {at}: {error}")).close();
                check(dir.path()).unwrap_or_else(|error| panic!("{failing:?} at step {at}: {error}"));
            }
            let found: Vec<_> = leaves(dir.path())
                .into_iter()
                .filter(|(_, leaf)| leaf.kind == LeafKind::Disclosure)
                .map(|(position, leaf)| (position, (leaf.span_id[0], leaf.chunk)))
                .collect();
            for one in recorded {
                assert!(found.contains(&one), "{failing:?} at step {at}: {one:?} was released and is gone");
            }
        }
    }
}

#[test]
fn exchanges_that_wait_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FaultyStorage::counting(dir_storage(dir.path()));
    let syncs = storage.syncs();
    let log = open_faulty(dir.path(), storage).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for delivery in 0..64 {
            let log = log.clone();
            tasks.push(tokio::spawn(async move {
                for chunk in 0..20 {
                    let _ = log.record(disclosure(delivery, chunk, 2), ()).await.unwrap();
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    let stats = log.stats();
    log.close();
    assert_eq!(stats.rows, 64 * 20 * 2);
    assert!(syncs.load(SeqCst) < 64 * 20, "{} syncs", syncs.load(SeqCst));
    assert_eq!(check(dir.path()).unwrap().open, 64);
}

#[test]
fn no_record_waits_for_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let ((begins, begun), (go_on, on)) = (mpsc::channel(), mpsc::channel::<()>());
    let on = Mutex::new(on);
    // The second that is put in place is the first after the log was opened: it waits until all else is done.
    let puts = Mutex::new(0);
    let disk = Watched::new(dir_storage(dir.path()), move |call, name| {
        if (call, name) == (Call::Put, "checkpoint") {
            let mut puts = puts.lock().unwrap();
            *puts += 1;
            if *puts == 2 {
                begins.send(()).unwrap();
                on.lock().unwrap().recv().unwrap();
            }
        }
    });
    let log = Log::open_on(Arc::new(disk), site(dir.path()), clock()).unwrap();
    let _ = log.record_blocking(disclosure(3, 0, 3), ()).unwrap();
    begun.recv().unwrap();
    let (writes, written) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            write_some(&log);
            writes.send(()).unwrap();
        });
        // Shorter than until the next is due.
        let written = written.recv_timeout(Duration::from_secs(4));
        go_on.send(()).unwrap();
        written.expect("records wait for the checkpoint");
    });
    log.close();
    let report = check(dir.path()).unwrap();
    assert_eq!(leaves(dir.path()).iter().filter(|(_, leaf)| leaf.rows > 0).count(), 5);
    assert_eq!(report.open, 1, "{report:?}");
}

/// A reload says which keys are in force, and there may be one each minute.
#[test]
fn for_the_keys_in_force_the_log_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let disk = Watched::new(dir_storage(dir.path()), move |call, name| {
        if call == Call::Open && name.starts_with("wal/") {
            counted.fetch_add(1, SeqCst);
        }
    });
    let log = Log::open_on(Arc::new(disk), site(dir.path()), clock()).unwrap();
    let key = |epoch| key_epoch("99DE", Purpose::Log, epoch, KeyStatus::Current);
    let before = reads.load(SeqCst);
    log.note_key_epochs(vec![key(1)]).unwrap();
    let once = reads.load(SeqCst);
    assert!(once > before);
    for keys in [vec![key(1)], vec![key(1), key(2)], vec![key(2), key(2)]] {
        log.note_key_epochs(keys).unwrap();
    }
    assert_eq!(reads.load(SeqCst), once);
    log.close();
    let noted = leaves(dir.path()).into_iter().filter(|(_, leaf)| leaf.kind == LeafKind::KeyEpoch);
    assert_eq!(noted.map(|(_, leaf)| leaf.log_epoch).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_is_handed_over_together_shares_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let before = log.stats();
    let handed_over =
        log.submit(vec![(disclosure(1, 0, 2), "first"), (disclosure(1, 1, 3), "second")]).unwrap();
    assert_eq!(handed_over.len(), 2);
    let recorded = handed_over.recorded_blocking().unwrap();
    let after = log.stats();
    assert_eq!((after.commits, after.records, after.rows), (before.commits + 1, before.records + 2, 5));
    let positions: Vec<_> = recorded.iter().map(Recorded::position).collect();
    let payloads: Vec<_> = recorded.into_iter().map(Recorded::into_inner).collect();
    assert_eq!(payloads, ["first", "second"]);
    log.close();
    let chunks: Vec<_> = leaves(dir.path()).into_iter().filter(|(_, leaf)| leaf.rows > 0).collect();
    assert_eq!(chunks.iter().map(|(position, _)| *position).collect::<Vec<_>>(), positions);
    assert_eq!(chunks.iter().map(|(_, leaf)| (leaf.chunk, leaf.rows)).collect::<Vec<_>>(), [(0, 2), (1, 3)]);
    assert!(log.submit(vec![(disclosure(2, 0, 1), ())]).is_err(), "a closed log takes nothing");
}

#[test]
fn what_nothing_waits_for_is_written_with_the_next_or_alone_or_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let before = log.stats().commits;
        let (outcome, next) = tokio::join!(log.note_soon(sent(1)), log.record(disclosure(2, 0, 1), ()));
        assert_eq!(outcome.unwrap().0 + 1, next.unwrap().position().0, "in the order in which they came");
        assert_eq!(log.stats().commits, before + 1);
        log.note_soon(sent(2)).await.unwrap();
        assert_eq!(log.stats().commits, before + 2, "nobody came");
        let given_up = tokio::time::timeout(Duration::ZERO, log.note_soon(sent(3))).await;
        assert!(given_up.is_err(), "it waits");
    });
    log.close();
    let spans: Vec<_> = leaves(dir.path()).iter().map(|(_, leaf)| leaf.span_id[0]).collect();
    assert_eq!(spans[spans.len() - 4..], [1, 2, 2, 3]);
    assert!(runtime.block_on(log.note_soon(sent(4))).is_err());
}

/// Hours of school: three days with two deliveries each, and a fourth that goes on.
fn four_days(dir: &Path) -> Arc<Hands> {
    let clock = Hands::at(MONDAY);
    let log = open_at(dir, Arc::<Hands>::clone(&clock)).unwrap();
    for day in 0..4 {
        clock.put(MONDAY.saturating_add(jiff::Span::new().days(day)));
        write_some(&log);
    }
    log.close();
    clock
}

fn files(dir: &Path, folder: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir.join("data").join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn days_that_are_over_are_sealed() {
    let dir = tempfile::tempdir().unwrap();
    four_days(dir.path());
    // Closing waits for the sealer, which was told of each day when the next began.
    assert_eq!(files(dir.path(), "rows/99DE"), ["2026-11-23.rows", "2026-11-24.rows", "2026-11-25.rows"]);
    assert_eq!(files(dir.path(), "wal").len(), 1, "what is in sealed files has left the write-ahead log");
    let report = check(dir.path()).unwrap();
    assert_eq!((report.seals, report.rows, report.deliveries), (3, 48, 8));
    let reader = Reader::open(&site(dir.path()).directory).unwrap();
    let mut found = Vec::new();
    let days = MONDAY..=MONDAY.tomorrow().unwrap();
    reader.rows("99DE", &days, Some(&[2; 16]), &mut |row| found.push(row.position)).unwrap();
    assert_eq!(found.len(), 12, "two days, two chunks of three rows of one handle each");
    let mut all = 0;
    reader.rows("99DE", &(Date::MIN..=Date::MAX), None, &mut |_| all += 1).unwrap();
    assert_eq!(all, 48);
}

/// A folder in memory where the machine has one: a matrix of crashes syncs thousands of times.
fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A log that was put back from a backup does not go on as if nothing had been.
#[test]
fn a_log_put_back_from_a_backup_shows() {
    let dir = written();
    let (data, backup) = (dir.path().join("data"), dir.path().join("backup"));
    copy_tree(&data, &backup);
    let log = open(dir.path()).unwrap();
    log.note_blocking(Leaf::new(LeafKind::LogRead)).unwrap();
    log.close();
    let restore = || {
        fs::remove_dir_all(&data).unwrap();
        copy_tree(&backup, &data);
    };
    restore();
    assert!(matches!(open(dir.path()), Err(Error::RolledBack { has: 7, had: 9 })));
    assert!(matches!(check(dir.path()), Err(VerifyError::Tampered(f)) if f.kind == FindingKind::Missing));
    // Without the copy it opens, and has that on record; with the copy put back it is another log.
    let copy = site(dir.path()).copy;
    let kept = fs::read(&copy).unwrap();
    fs::remove_file(&copy).unwrap();
    let log = open(dir.path()).unwrap();
    write_some(&log);
    log.close();
    let recovery = leaves(dir.path()).into_iter().find(|(_, leaf)| leaf.kind == LeafKind::Recovery).unwrap();
    assert_eq!(recovery.1.status, 1, "the copy was gone");
    fs::write(&copy, kept).unwrap();
    assert!(matches!(open(dir.path()), Err(Error::Damaged { .. })));
    assert!(matches!(check(dir.path()), Err(VerifyError::Tampered(f)) if f.kind == FindingKind::Foreign));
}

/// Two processes that go on from the same log cannot both sign for it.
#[test]
fn two_that_go_on_from_one_log_do_not_both_sign() {
    let dir = written();
    copy_tree(&dir.path().join("data"), &dir.path().join("clone"));
    let first = open(dir.path()).unwrap();
    let twin = Site { directory: dir.path().join("clone"), ..site(dir.path()) };
    // The first has opened the log, which is a record; the clone is behind that.
    assert!(matches!(Log::open(twin, clock()), Err(Error::RolledBack { .. })));
    first.close();
}

/// A copy of another log's checkpoint is not written over.
#[test]
fn a_copy_belongs_to_one_log() {
    let dir = written();
    let other = Site {
        directory: dir.path().join("other"),
        copy: site(dir.path()).copy,
        signer: Signer::new("sluis.example/other", Zeroizing::new([8; 32])).unwrap(),
        earlier: Vec::new(),
        retention: Retention::default(),
    };
    assert!(matches!(Log::open(other, clock()), Err(Error::ForeignCopy)));
}

/// Every way to tamper with each part of a log of four days: what is found, and where.
#[test]
fn tampering_with_sealed_days_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    four_days(dir.path());
    let good = dir.path().join("good");
    copy_tree(&dir.path().join("data"), &good);
    let data = dir.path().join("data");
    let mut named = Vec::new();
    let mut tampered = |what: &str, file: &str, act: &dyn Fn(&Path)| {
        fs::remove_dir_all(&data).unwrap();
        copy_tree(&good, &data);
        act(&data.join(file));
        match check(dir.path()) {
            Err(VerifyError::Tampered(finding)) => {
                assert!(finding.file.starts_with(&data), "{what} {file}: {finding}");
                named.push(format!("{what} {file}: {}", finding.kind.as_str()));
            }
            other => panic!("{what} {file}: {other:?}"),
        }
    };
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(path, bytes).unwrap();
    };
    let cut = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    let segment = format!("wal/{}", files(dir.path(), "wal")[0]);
    for file in
        ["checkpoint", "tile/0/000.p/28", "tile/entries/000.p/28", "rows/99DE/2026-11-24.rows", &segment]
    {
        tampered("edit", file, &flip);
        tampered("truncate", file, &cut);
        tampered("drop", file, &|path| fs::remove_file(path).unwrap());
    }
    let swap = |other: &'static str| {
        move |path: &Path| {
            let other = path.with_file_name(other);
            let (one, two) = (fs::read(path).unwrap(), fs::read(&other).unwrap());
            fs::write(path, two).unwrap();
            fs::write(other, one).unwrap();
        }
    };
    tampered("swap", "rows/99DE/2026-11-24.rows", &swap("2026-11-23.rows"));
    tampered("roll back", "checkpoint", &|path| {
        fs::write(path, "sluis.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n").unwrap();
    });
    // Two entries of a bundle change places.
    tampered("reorder", "tile/entries/000.p/28", &|path| {
        let mut bytes = fs::read(path).unwrap();
        let (one, two) = (bytes[258..516].to_vec(), bytes[516..774].to_vec());
        bytes[258..516].copy_from_slice(&two);
        bytes[516..774].copy_from_slice(&one);
        fs::write(path, bytes).unwrap();
    });
    assert_eq!(named.len(), 18, "{named:#?}");
}
