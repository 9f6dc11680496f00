//! What the log lets go of, and that it still verifies afterwards.

use std::{
    fs::{self, File},
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering::SeqCst, mpsc},
    time::Duration,
};

use jiff::civil::{Date, date};
use sluis::disclosure::{
    Against, Disclosure, Due, Error, FindingKind, Leaf, LeafKind, Log, Outcome, OutcomeStatus, Position,
    Reader, Report, Retention, Row, Site, Subject, VerifyError, due,
    note::Signer,
    rollup::{About, RollUp, RollUpRow},
    rowfile::RowFile,
    storage::{
        DirStorage,
        testing::{Call, Failing, FaultyStorage, Watched},
    },
    verify,
};
use zeroize::Zeroizing;

use crate::world::{Hands, copy_tree};

/// The day on which each test looks back on the months before it.
const TODAY: Date = date(2027, 3, 1);
/// September, October and November are due on that day.
const SHORT: Retention = Retention { detail_days: 60, rollup_days: 730, leaf_days: None };
/// So are persons who were last seen before December.
const SHORTER: Retention = Retention { detail_days: 60, rollup_days: 90, leaf_days: None };
/// In everything.
const STAYS: [u8; 16] = [1; 16];
/// In everything too.
const ASKS: [u8; 16] = [2; 16];
/// In September only.
const LEAVES: [u8; 16] = [3; 16];

fn site(dir: &Path, retention: Retention) -> Site {
    let signer = Signer::new("sluis.example/log", Zeroizing::new([7; 32])).unwrap();
    Site {
        directory: dir.join("data"),
        copy: dir.join("elsewhere/checkpoint"),
        signer,
        earlier: Vec::new(),
        retention,
    }
}

fn open(dir: &Path, retention: Retention, day: Date) -> Log {
    Log::open(site(dir, retention), Hands::at(day)).unwrap()
}

fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn deliver(log: &Log, handles: &[[u8; 16]]) {
    let mut leaf = Leaf::new(LeafKind::Disclosure);
    leaf.controller = Leaf::controller_code("99DE", "00");
    leaf.recipient = Leaf::recipient_code("noordzee");
    leaf.span_id = [5; 8];
    let rows = (0..).zip(handles).map(|(number, handle)| {
        let mut row = Row::new(Subject::Leerling, number);
        row.handle = *handle;
        row.released = 1 << handle[0];
        row
    });
    let mut ended = leaf.clone();
    ended.kind = LeafKind::Outcome;
    let sent = Outcome { status: OutcomeStatus::Sent, http_status: 200, chunks: 1, bytes: 9 };
    let _ = log.record_blocking(Disclosure { leaf, rows: rows.collect() }, ()).unwrap();
    log.note_blocking(ended.with_outcome(sent)).unwrap();
}

/// Half a school year: two days in each month from September to February, and nothing after that.
fn half_a_year() -> tempfile::TempDir {
    let dir = quick_dir();
    let clock = Hands::at(date(2026, 9, 2));
    let log = Log::open(site(dir.path(), Retention::default()), Arc::<Hands>::clone(&clock)).unwrap();
    for month in 0..6 {
        for day in [2, 9] {
            clock.put(date(2026, 9, day).saturating_add(jiff::Span::new().months(month)));
            deliver(&log, if month == 0 { &[ASKS, LEAVES, STAYS, ASKS] } else { &[STAYS, ASKS] });
        }
    }
    log.close();
    dir
}

fn check(dir: &Path) -> Result<Report, VerifyError> {
    let Site { directory, copy, .. } = site(dir, SHORT);
    verify(&directory, &Against { key: None, copy: Some(copy) }, &mut |_, _| {})
}

fn finding(dir: &Path) -> (FindingKind, String) {
    match check(dir) {
        Err(VerifyError::Tampered(finding)) => {
            let file = finding.file.strip_prefix(dir.join("data")).unwrap();
            (finding.kind, file.to_str().unwrap().to_owned())
        }
        other => panic!("{other:?}"),
    }
}

fn files(dir: &Path, folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir.join("data").join(folder)) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn roll_up(dir: &Path, month: &str) -> Vec<RollUpRow> {
    let file = File::open(dir.join(format!("data/rollup/99DE/{month}.rollup"))).unwrap();
    RollUp::read(file).unwrap().rows().to_vec()
}

/// Positions of the rows of a person.
fn rows_of(dir: &Path, handle: &[u8; 16]) -> Vec<Position> {
    let mut found = Vec::new();
    let reader = Reader::open(&dir.join("data")).unwrap();
    reader.rows("99DE", &(Date::MIN..=Date::MAX), Some(handle), &mut |row| found.push(row.position)).unwrap();
    found
}

fn retain(dir: &Path, retention: Retention, day: Date) -> Due {
    let log = open(dir, retention, day);
    let gone = log.retain().unwrap();
    log.close();
    gone
}

#[test]
fn months_that_are_due_become_roll_ups() {
    let dir = half_a_year();
    let before = rows_of(dir.path(), &STAYS);
    let coming = due(&dir.path().join("data"), SHORT, TODAY).unwrap();
    let gone = retain(dir.path(), SHORT, TODAY);
    assert_eq!(gone, coming, "a dry run says what goes");
    let months: Vec<_> = gone.months.iter().map(|due| (due.month.to_string(), due.rows)).collect();
    assert_eq!(months, [("2026-09".into(), 8), ("2026-10".into(), 4), ("2026-11".into(), 4)]);
    assert_eq!(files(dir.path(), "rows/99DE").len(), 6, "{:?}", files(dir.path(), "rows/99DE"));
    assert_eq!(files(dir.path(), "rollup/99DE"), ["2026-09.rollup", "2026-10.rollup", "2026-11.rollup"]);

    let row = |handle: [u8; 16], count| RollUpRow {
        handle,
        recipient: Leaf::recipient_code("noordzee"),
        agreement: [0; 7],
        about: About::Leerling,
        first: date(2026, 9, 2),
        last: date(2026, 9, 9),
        count,
        released: 1 << handle[0],
        withheld: 0,
    };
    assert_eq!(roll_up(dir.path(), "2026-09"), [row(STAYS, 2), row(ASKS, 4), row(LEAVES, 2)]);
    let report = check(dir.path()).unwrap();
    assert_eq!((report.rows, report.erased, report.summaries, report.seals), (12, 16, 7, 12));
    assert_eq!(rows_of(dir.path(), &STAYS), before[6..], "what is not due is as it was");

    // Once is enough.
    let again = retain(dir.path(), SHORT, TODAY);
    assert_eq!(again, Due::default());
    assert_eq!(check(dir.path()).unwrap().leaves, report.leaves + 1, "that it was opened, and nothing else");
}

#[test]
fn persons_who_have_long_gone_leave_the_roll_ups() {
    let dir = half_a_year();
    retain(dir.path(), SHORT, TODAY);
    let coming = due(&dir.path().join("data"), SHORTER, TODAY).unwrap();
    let gone = retain(dir.path(), SHORTER, TODAY);
    assert_eq!((gone.summaries, gone.months.len()), (1, 0), "those who are in newer rows stay");
    assert_eq!(gone, coming);
    let handles: Vec<_> = roll_up(dir.path(), "2026-09").iter().map(|row| row.handle).collect();
    assert_eq!(handles, [STAYS, ASKS]);
    assert_eq!(check(dir.path()).unwrap().summaries, 6);

    // Years later nothing is left of anyone, and all of it is accounted for.
    let gone = retain(dir.path(), SHORT, date(2029, 6, 1));
    assert_eq!(gone.months.len(), 3);
    assert_eq!(files(dir.path(), "rows/99DE"), [""; 0]);
    assert_eq!(files(dir.path(), "rollup/99DE"), [""; 0]);
    let report = check(dir.path()).unwrap();
    assert_eq!((report.rows, report.erased, report.summaries), (0, 28, 0));
}

fn leaves(dir: &Path) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let reader = Reader::open(&dir.join("data")).unwrap();
    reader.leaves(Position(0), &mut |_, leaf| leaves.push(leaf.clone())).unwrap();
    leaves
}

#[test]
fn one_person_goes_and_the_others_stay() {
    let dir = half_a_year();
    retain(dir.path(), SHORT, TODAY);
    let before = rows_of(dir.path(), &STAYS);
    let log = open(dir.path(), SHORT, TODAY);
    let size = leaves(dir.path()).len();
    let erased = log.erase_person_for("99DE", vec![ASKS, [9; 16]], [5; 32]).unwrap();
    assert_eq!((erased.days, erased.rows, erased.summaries, erased.unsealed), (6, 6, 3, 0));
    log.close();
    let said = leaves(dir.path()).split_off(size);
    assert!(!said.is_empty() && said.iter().all(|leaf| leaf.certificate == [5; 32]), "for whom it was done");
    assert_eq!(rows_of(dir.path(), &ASKS), []);
    assert_eq!(rows_of(dir.path(), &STAYS), before);
    let handles: Vec<_> = roll_up(dir.path(), "2026-09").iter().map(|row| row.handle).collect();
    assert_eq!(handles, [STAYS, LEAVES]);
    let report = check(dir.path()).unwrap();
    assert_eq!((report.rows, report.erased, report.summaries), (6, 22, 4));
    for folder in ["rows/99DE", "rollup/99DE"] {
        for name in files(dir.path(), folder) {
            let bytes = fs::read(dir.path().join("data").join(folder).join(&name)).unwrap();
            assert!(!bytes.windows(16).any(|window| window == ASKS), "{name}");
        }
    }
    // What is left falls due in its turn.
    let gone = retain(dir.path(), SHORT, date(2027, 8, 1));
    assert_eq!(gone.months.iter().map(|due| due.rows).sum::<u64>(), 6);
    assert_eq!(roll_up(dir.path(), "2027-01").len(), 1);
    let report = check(dir.path()).unwrap();
    assert_eq!((report.rows, report.erased), (0, 28));
}

/// The write-ahead log is not written anew; what is in it goes once its day is sealed.
#[test]
fn rows_of_today_are_counted_and_go_tomorrow() {
    let dir = half_a_year();
    let clock = Hands::at(TODAY);
    let log = Log::open(site(dir.path(), Retention::default()), Arc::<Hands>::clone(&clock)).unwrap();
    deliver(&log, &[ASKS, STAYS]);
    let erased = log.erase_person("99DE", vec![ASKS]).unwrap();
    assert_eq!((erased.rows, erased.unsealed), (14, 1));
    log.close();
    check(dir.path()).unwrap();
    let log = open(dir.path(), Retention::default(), TODAY.tomorrow().unwrap());
    let erased = log.erase_person("99DE", vec![ASKS]).unwrap();
    assert_eq!((erased.rows, erased.unsealed), (1, 0));
    log.close();
    assert_eq!(rows_of(dir.path(), &ASKS), []);
    check(dir.path()).unwrap();
}

/// What is due by a clock that jumped stays until a week of days has borne it out, or somebody has it erased.
#[test]
fn a_clock_that_jumped_erases_nothing_by_itself() {
    const JUMPED: Date = date(2028, 9, 4);
    let dir = half_a_year();
    let clock = Hands::at(JUMPED);
    let log = Log::open(site(dir.path(), SHORT), Arc::<Hands>::clone(&clock)).unwrap();
    for day in 0..7 {
        clock.put(JUMPED.saturating_add(jiff::Span::new().days(day)));
        deliver(&log, &[STAYS]);
        // The sealer does one thing after the other: once it answers, what it does by itself is done.
        assert_eq!(log.is_clock_believed().unwrap(), day == 6);
        assert_eq!(files(dir.path(), "rollup/99DE").is_empty(), day < 6, "{day}");
    }
    log.close();
    let left = files(dir.path(), "rows/99DE");
    assert!(left.len() == 6 && left.iter().all(|name| name.starts_with("2028-09")), "{left:?}");
    check(dir.path()).unwrap();

    let dir = half_a_year();
    let log = open(dir.path(), SHORT, JUMPED);
    assert!(!log.is_clock_believed().unwrap());
    assert_eq!(log.retain().unwrap().months.len(), 6);
    log.close();
    check(dir.path()).unwrap();
}

/// A gateway that was idle for months has its last day in the write-ahead log until something is recorded again.
#[test]
fn a_month_that_is_not_sealed_to_its_end_waits() {
    let dir = quick_dir();
    let clock = Hands::at(date(2026, 11, 2));
    let log = Log::open(site(dir.path(), SHORT), Arc::<Hands>::clone(&clock)).unwrap();
    deliver(&log, &[STAYS]);
    clock.put(date(2026, 11, 9));
    deliver(&log, &[STAYS]);
    // Waits until the first day is sealed.
    log.retain().unwrap();
    clock.put(TODAY);
    assert_eq!(log.retain().unwrap(), Due::default());
    log.close();
    assert_eq!(files(dir.path(), "rows/99DE"), ["2026-11-02.rows"]);
    let gone = retain(dir.path(), SHORT, TODAY);
    assert_eq!(gone.months.iter().map(|due| due.rows).collect::<Vec<_>>(), [2]);
    assert_eq!(roll_up(dir.path(), "2026-11")[0].count, 2);
    check(dir.path()).unwrap();
}

fn erase_behind_its_back(dir: &Path, name: &str, handle: &[u8; 16]) {
    let path = dir.join("data").join(name);
    let mut file = RowFile::open(File::open(&path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    assert_eq!(file.erase(handle, &mut bytes).unwrap(), 1);
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_erasure_that_is_not_on_record_is_found() {
    let dir = half_a_year();
    let name = "rows/99DE/2026-12-02.rows";
    let log = open(dir.path(), SHORT, TODAY);
    log.retain().unwrap();
    log.erase_person("99DE", vec![ASKS]).unwrap();
    log.close();
    check(dir.path()).unwrap();
    erase_behind_its_back(dir.path(), name, &STAYS);
    assert_eq!(finding(dir.path()), (FindingKind::Altered, name.into()));
}

/// Whoever takes something away or changes it, and then waits until it is due, does not get it covered.
#[test]
fn what_was_tampered_with_is_not_erased_as_if_it_were_due() {
    let name = "rows/99DE/2026-10-02.rows";
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[100] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let removed: (&dyn Fn(&Path), _) = (&|path| fs::remove_file(path).unwrap(), FindingKind::Missing);
    for (act, kind) in [removed, (&flip, FindingKind::Altered)] {
        let dir = half_a_year();
        act(&dir.path().join("data").join(name));
        let log = open(dir.path(), SHORT, TODAY);
        assert!(matches!(log.retain(), Err(Error::Damaged { file, .. }) if file == name));
        log.close();
        assert_eq!(
            files(dir.path(), "rollup/99DE"),
            ["2026-09.rollup", "2026-11.rollup"],
            "the rest is done"
        );
        assert_eq!(finding(dir.path()), (kind, name.into()));
    }
}

#[test]
fn roll_ups_are_held_against_the_log() {
    let dir = half_a_year();
    retain(dir.path(), SHORT, TODAY);
    let path = dir.path().join("data/rollup/99DE/2026-09.rollup");
    let first = fs::read(&path).unwrap();
    let log = open(dir.path(), SHORT, TODAY);
    log.erase_person("99DE", vec![ASKS]).unwrap();
    log.close();
    let newest = fs::read(&path).unwrap();
    let name = || "rollup/99DE/2026-09.rollup".to_owned();
    let mut altered = newest.clone();
    altered[120] ^= 1;
    for bytes in [&first, &altered] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(finding(dir.path()), (FindingKind::Altered, name()));
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(finding(dir.path()), (FindingKind::Missing, name()));
    fs::write(&path, &newest).unwrap();
    for foreign in ["rollup/99DE/2026-12.rollup", "rollup/99DE/briefje", "rollup/99XX/2026-09.rollup"] {
        let path = dir.path().join("data").join(foreign);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &newest).unwrap();
        assert_eq!(finding(dir.path()), (FindingKind::Foreign, foreign.into()));
        fs::remove_file(path).unwrap();
    }
    check(dir.path()).unwrap();
}

/// What a log holds once all is done: names of files, and the rows of roll-ups.
fn holds(dir: &Path) -> (Vec<String>, Vec<Vec<RollUpRow>>, Vec<Position>) {
    let rollups = files(dir, "rollup/99DE");
    let rollups = rollups.iter().map(|name| roll_up(dir, name.strip_suffix(".rollup").unwrap()));
    (files(dir, "rows/99DE"), rollups.collect(), rows_of(dir, &STAYS))
}

/// The disk fails at every step of an act in turn. The next start goes on where it ended, and comes out at the same.
fn crash_at_every_step(before: &Path, retention: Retention, act: &dyn Fn(&Log) -> Result<(), Error>) {
    let run = |dir: &Path, storage: FaultyStorage<DirStorage>| {
        let log = Log::open_on(Arc::new(storage), site(dir, retention), Hands::at(TODAY));
        if let Ok(log) = log {
            let _ = act(&log);
            log.close();
        }
    };
    let copy = || {
        let dir = quick_dir();
        copy_tree(before, dir.path());
        let storage = DirStorage::open(&dir.path().join("data")).unwrap();
        (dir, storage)
    };
    let (whole, storage) = copy();
    let storage = FaultyStorage::counting(storage);
    let steps = storage.steps();
    run(whole.path(), storage);
    check(whole.path()).unwrap();
    let steps = steps.load(SeqCst);
    assert!(steps > 20, "{steps} steps");
    for failing in [Failing::Half, Failing::NotPersisted, Failing::Persisted] {
        for at in 0..steps {
            let (dir, storage) = copy();
            let error = std::io::ErrorKind::StorageFull;
            run(dir.path(), FaultyStorage::new(storage, at, failing, error));
            // Whatever a torn end of the write-ahead log may look like, files of rows and roll-ups are in order.
            if let Err(VerifyError::Tampered(finding)) = check(dir.path()) {
                let file = finding.file.display().to_string();
                let of_rows = file.contains("/rows/") || file.contains("/rollup/");
                assert!(!of_rows, "{failing:?} at step {at}: {finding}");
            }
            let log = open(dir.path(), retention, TODAY);
            act(&log).unwrap_or_else(|error| panic!("{failing:?} at step {at}: {error}"));
            log.close();
            check(dir.path()).unwrap_or_else(|error| panic!("{failing:?} at step {at}: {error}"));
            assert_eq!(holds(dir.path()), holds(whole.path()), "{failing:?} at step {at}");
        }
    }
}

#[test]
fn a_crash_in_retention_loses_nothing_that_is_not_due() {
    let dir = half_a_year();
    crash_at_every_step(dir.path(), SHORTER, &|log| log.retain().map(drop));
}

#[test]
fn a_crash_in_an_erasure_is_made_good_by_the_next() {
    let dir = half_a_year();
    retain(dir.path(), SHORT, TODAY);
    crash_at_every_step(dir.path(), SHORT, &|log| log.erase_person("99DE", vec![ASKS]).map(drop));
}

/// Rows of September are due on that day, and no later ones.
const LONGER: Retention = Retention { detail_days: 150, rollup_days: 730, leaf_days: None };
/// Rows go after two months, leaves after three.
const PRUNED: Retention = Retention { leaf_days: Some(90), ..SHORT };

/// Half a year with so many records a day that the tree has tiles of two levels, and a roll-up among the oldest.
fn busy_half_a_year() -> tempfile::TempDir {
    let dir = quick_dir();
    let clock = Hands::at(date(2026, 3, 2));
    let log = Log::open(site(dir.path(), LONGER), Arc::<Hands>::clone(&clock)).unwrap();
    deliver(&log, &[STAYS, LEAVES]);
    log.stand("99DE", b"what stands for years", Leaf::new(LeafKind::Right)).unwrap();
    log.close();
    fs::copy(dir.path().join("elsewhere/checkpoint"), dir.path().join("first")).unwrap();
    let log = Log::open(site(dir.path(), LONGER), Arc::<Hands>::clone(&clock)).unwrap();
    for month in 0..6 {
        for day in [2, 9] {
            clock.put(date(2026, 9, day).saturating_add(jiff::Span::new().months(month)));
            log.retain().unwrap();
            let mut epoch = Leaf::new(LeafKind::KeyEpoch);
            (epoch.log_epoch, epoch.status) = (1, 1);
            log.note_key_epochs(vec![epoch]).unwrap();
            deliver(&log, &[STAYS, ASKS]);
            for _ in 0..128 {
                log.note_blocking(Leaf::new(LeafKind::LogRead)).unwrap();
            }
        }
    }
    log.close();
    assert_eq!(files(dir.path(), "rollup/99DE")[0], "2026-03.rollup");
    dir
}

/// Of each kind that holds whatever its age, how many leaves there are.
fn holding(dir: &Path) -> [usize; 3] {
    let mut counted = [0; 3];
    let reader = Reader::open(&dir.join("data")).unwrap();
    let mut count = |_, leaf: &Leaf| match leaf.kind {
        LeafKind::KeyEpoch => counted[0] += 1,
        LeafKind::Right => counted[2] += 1,
        LeafKind::RollUp if leaf.start_ms < sluis::clock::day_start_ms(date(2026, 4, 1)) => counted[1] += 1,
        _ => {}
    };
    reader.leaves(Position(0), &mut count).unwrap();
    counted
}

#[test]
fn the_oldest_leaves_go_and_the_rest_verifies() {
    let dir = busy_half_a_year();
    let kept = dir.path().join("kept");
    fs::copy(dir.path().join("elsewhere/checkpoint"), &kept).unwrap();
    let (earlier, proof) = {
        let reader = Reader::open(&dir.path().join("data")).unwrap();
        (reader.published(), reader.prove([Position(3)]).unwrap().remove(0).1)
    };
    assert_eq!(holding(dir.path()), [1, 1, 1]);
    let coming = due(&dir.path().join("data"), PRUNED, TODAY).unwrap();
    let gone = retain(dir.path(), PRUNED, TODAY);
    assert_eq!(gone, coming, "a dry run says what goes");
    assert_eq!(gone.leaves, 768, "whole bundles of September, October and November");
    assert_eq!(holding(dir.path()), [1, 1, 1], "recorded anew");
    assert!(files(dir.path(), "tile/entries").iter().all(|name| name.as_str() >= "003"));
    assert!(files(dir.path(), "tile/0").iter().all(|name| name.as_str() >= "003"));

    let report = check(dir.path()).unwrap();
    assert_eq!(report.pruned, 768);
    let reader = Reader::open(&dir.path().join("data")).unwrap();
    assert_eq!((reader.minimum(), reader.leaf(Position(767)).unwrap()), (768, None));
    assert!(reader.leaf(Position(768)).unwrap().is_some());
    let mut first = None;
    reader.leaves(Position(0), &mut |position, _| first = first.or(Some(position))).unwrap();
    assert_eq!(first, Some(Position(768)));
    // What was proven stays proven, and later leaves are proven as before.
    let known = [site(dir.path(), PRUNED).signer.verifier().clone()];
    assert_eq!(proof.verify(&proof.extra, &known).unwrap().size, earlier);
    let (leaf, later) = reader.prove([Position(768)]).unwrap().remove(0);
    later.verify(&leaf.to_bytes(), &known).unwrap();
    assert!(reader.prove([Position(767)]).is_err());
    // A checkpoint from before is still one that the log goes on from.
    let against = |copy: &Path| Against { key: None, copy: Some(copy.to_owned()) };
    let data = dir.path().join("data");
    verify(&data, &against(&kept), &mut |_, _| {}).unwrap();

    // The next one has nothing to do, and what comes later goes in its turn.
    assert_eq!(retain(dir.path(), PRUNED, TODAY).leaves, 0);
    let gone = retain(dir.path(), PRUNED, date(2027, 9, 1));
    assert_eq!(gone.leaves % 256, 0);
    assert!(gone.leaves > 0);
    let report = check(dir.path()).unwrap();
    assert_eq!(report.pruned, 768 + gone.leaves);
    assert!(!dir.path().join("data/tile/0/000").exists());
    let error = verify(&data, &against(&dir.path().join("first")), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, VerifyError::TooOld { minimum, .. } if minimum == report.pruned), "{error}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn what_is_missing_at_the_front_is_what_the_log_says() {
    let dir = busy_half_a_year();
    let data = dir.path().join("data");
    let whole = quick_dir();
    copy_tree(dir.path(), whole.path());
    retain(dir.path(), PRUNED, TODAY);
    let minimum = data.join("minimum");
    let said = fs::read(&minimum).unwrap();
    assert_eq!(said, b"768\n768\n");
    for (text, kind, file) in [
        ("1024\n1024\n", FindingKind::Foreign, "minimum"),
        ("768\n", FindingKind::Altered, "minimum"),
        ("700\n700\n", FindingKind::Altered, "minimum"),
        ("768\n1024\n", FindingKind::Altered, "minimum"),
        ("999936\n999936\n", FindingKind::Altered, "minimum"),
        ("512\n512\n", FindingKind::Missing, "tile/entries/002"),
    ] {
        fs::write(&minimum, text).unwrap();
        assert_eq!(finding(dir.path()), (kind, file.into()), "{text:?}");
    }
    fs::remove_file(&minimum).unwrap();
    assert_eq!(finding(dir.path()), (FindingKind::Missing, "tile/entries/000".into()));
    fs::write(&minimum, &said).unwrap();
    check(dir.path()).unwrap();
    // Taking off the front of a log by hand is no pruning.
    fs::write(whole.path().join("data/minimum"), "256\n256\n").unwrap();
    fs::remove_file(whole.path().join("data/tile/entries/000")).unwrap();
    fs::remove_file(whole.path().join("data/tile/0/000")).unwrap();
    assert_eq!(finding(whole.path()), (FindingKind::Foreign, "minimum".into()));
}

#[test]
fn leaves_stay_while_rows_need_them() {
    let dir = busy_half_a_year();
    // Leaves are due sooner than rows here, which a configuration is not allowed to say.
    let gone = retain(dir.path(), Retention { leaf_days: Some(31), ..LONGER }, TODAY);
    assert!(gone.months.iter().all(|due| due.month.to_string() == "2026-09"), "{gone:?}");
    assert_eq!(gone.leaves, 256, "September's alone");
    check(dir.path()).unwrap();
    assert_eq!(rows_of(dir.path(), &STAYS).len(), 10);
}

#[test]
fn a_crash_while_leaves_go_is_made_good_by_the_next() {
    let dir = busy_half_a_year();
    crash_at_every_step(dir.path(), PRUNED, &|log| log.retain().map(drop));
}

/// What stands is said anew before its leaf goes. Replaced between being found and being said, the old one would be the
/// newest on record.
#[test]
fn what_stands_can_change_while_leaves_go() {
    let dir = busy_half_a_year();
    let disk = DirStorage::open(&dir.path().join("data")).unwrap();
    let ((looked, now), (done, changed)) = (mpsc::channel::<()>(), mpsc::channel::<()>());
    let changed = Mutex::new(changed);
    let looks = Arc::new(Mutex::new(None));
    let next = Arc::clone(&looks);
    let disk = Watched::new(disk, move |call, name| {
        if (call, name) == (Call::Open, "standing/99DE.json") && next.lock().unwrap().take().is_some() {
            looked.send(()).unwrap();
            // Whoever replaces it has to wait for us, so that it does not come to an end before we go on.
            let _ = changed.lock().unwrap().recv_timeout(Duration::from_millis(500));
        }
    });
    let log = Log::open_on(Arc::new(disk), site(dir.path(), PRUNED), Hands::at(TODAY)).unwrap();
    *looks.lock().unwrap() = Some(());
    std::thread::scope(|scope| {
        let log = &log;
        scope.spawn(move || {
            now.recv().unwrap();
            log.stand("99DE", b"what stands from now on", Leaf::new(LeafKind::Right)).unwrap();
            let _ = done.send(());
        });
        assert_eq!(log.retain().unwrap().leaves, 768);
    });
    log.close();
    drop(log);
    check(dir.path()).unwrap();
    open(dir.path(), PRUNED, TODAY).close();
}
