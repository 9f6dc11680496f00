//! What stands, on a disk that fails at every step in turn: it is as it was or as it was to be, and the log says which.

use std::{
    io::ErrorKind,
    path::Path,
    sync::{Arc, atomic::Ordering::SeqCst},
};

use jiff::civil::date;
use sluis::{
    disclosure::{
        Against, Error, Leaf, LeafKind, Log, Retention, Site,
        note::Signer,
        storage::{
            DirStorage,
            testing::{Failing, FaultyStorage},
        },
        verify,
    },
    standing::{DecidedBy, HexHandle, Ledger, Right, RightKind, Scope},
};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::world::{Hands, copy_tree};

fn site(dir: &Path) -> Site {
    Site {
        directory: dir.join("data"),
        copy: dir.join("elsewhere/checkpoint"),
        signer: Signer::new("sluis.example/log", Zeroizing::new([7; 32])).unwrap(),
        earlier: Vec::new(),
        retention: Retention::default(),
    }
}

fn open(dir: &Path) -> Result<Log, Error> {
    Log::open(site(dir), Hands::at(date(2026, 11, 25)))
}

fn enter(log: &Log, person: u8) -> bool {
    let right = Right {
        kind: RightKind::Bezwaar,
        scope: Scope::All,
        handles: vec![HexHandle([person; 16])],
        epoch: 1,
        decided_by: DecidedBy::Ouder,
        entered_ms: 1,
        reference: Uuid::nil(),
    };
    Ledger::of(log.clone())
        .change("99DE", Leaf::new(LeafKind::Right), |standing| Ok(standing.enter(right)?))
        .is_ok()
}

/// How many rights stand, as a start finds them.
fn standing(log: &Log) -> usize {
    Ledger::of(log.clone()).school("99DE").unwrap().load().rights().len()
}

fn assert_intact(dir: &Path, what: &str) {
    let Site { directory, copy, .. } = site(dir);
    verify(&directory, &Against { key: None, copy: Some(copy) }, &mut |_, _| {})
        .unwrap_or_else(|error| panic!("{what}: {error}"));
}

#[test]
fn a_crash_leaves_what_stood_or_what_was_to_stand() {
    let before = tempfile::tempdir().unwrap();
    let log = open(before.path()).unwrap();
    assert!(enter(&log, 1));
    log.close();
    let copy = || {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        copy_tree(before.path(), dir.path());
        let storage = DirStorage::open(&dir.path().join("data")).unwrap();
        (dir, storage)
    };
    let run = |dir: &Path, storage: FaultyStorage<DirStorage>| {
        let log = Log::open_on(Arc::new(storage), site(dir), Hands::at(date(2026, 11, 25))).ok()?;
        let entered = enter(&log, 2);
        // Whoever was told that it failed is not told that a later one holds.
        let later = enter(&log, 3);
        log.close();
        Some((entered, later))
    };
    let (whole, storage) = copy();
    let storage = FaultyStorage::counting(storage);
    let steps = storage.steps();
    assert_eq!(run(whole.path(), storage), Some((true, true)));
    let steps = steps.load(SeqCst);
    assert!(steps > 10, "{steps} steps");
    let mut seen = [false; 3];
    for failing in [Failing::Half, Failing::NotPersisted, Failing::Persisted] {
        for at in 0..steps {
            let what = format!("{failing:?} at step {at}");
            let (dir, storage) = copy();
            let told = run(dir.path(), FaultyStorage::new(storage, at, failing, ErrorKind::StorageFull));
            let log = open(dir.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
            let stands = standing(&log);
            let promised = match told {
                Some((true, true)) => 3,
                Some((true, false)) => 2,
                Some((false, _)) | None => 1,
            };
            assert!((promised..=3).contains(&stands), "{what}: {stands} stand, and {promised} were promised");
            seen[stands - 1] = true;
            log.close();
            assert_intact(dir.path(), &what);
        }
    }
    assert_eq!(seen, [true; 3], "each of them came about");
}

/// A file that was put back from a backup is not the one the log speaks of.
#[test]
fn what_stood_before_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    assert!(enter(&log, 1));
    let path = dir.path().join("data/standing/99DE.json");
    let old = std::fs::read(&path).unwrap();
    assert!(enter(&log, 2));
    log.close();
    std::fs::write(&path, old).unwrap();
    let refused = open(dir.path()).err();
    assert!(
        matches!(&refused, Some(Error::Damaged { file, .. }) if file == "standing/99DE.json"),
        "{refused:?}"
    );
}
