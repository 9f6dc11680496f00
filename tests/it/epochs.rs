//! Which keys came into force is on record: of each school and key once, however often the gateway starts.

use sluis::disclosure::LeafKind;

use crate::{
    documents::feed,
    home::Home,
    served::{FakeLas, Served},
};

const ON_RECORD: &str = "keys in force are on record";

/// School, epoch of the pseudonym key, epoch of the log key: one of the two is zero.
type Epoch = (&'static str, u16, u16);

/// The key epochs in the log, as often as they are there.
fn on_record(home: &Home) -> Vec<(String, u16, u16)> {
    let leaves = home.leaves();
    let epochs = leaves.iter().filter(|leaf| leaf.kind == LeafKind::KeyEpoch);
    let mut epochs: Vec<_> = epochs
        .map(|leaf| {
            assert_eq!(leaf.status, 1, "in force");
            (String::from_utf8(leaf.brin().to_vec()).unwrap(), leaf.pseudonym_epoch, leaf.log_epoch)
        })
        .collect();
    epochs.sort_unstable();
    epochs
}

fn assert_on_record(home: &Home, expected: &[Epoch]) {
    let expected: Vec<_> = expected.iter().map(|&(brin, a, b)| (brin.to_owned(), a, b)).collect();
    assert_eq!(on_record(home), expected);
}

fn started(home: &Home) -> Served {
    let served = Served::spawn(home.sluis(&["serve"]));
    served.wait_for(ON_RECORD);
    served
}

/// Makes the next key; says whether it was put on record there and then.
fn rotate(home: &Home, brin: &str, purpose: &str) -> bool {
    let ran = home.run(&["keys", "rotate", "--school", brin, "--purpose", purpose]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    !ran.err.contains("not on record yet")
}

#[test]
fn each_key_that_came_into_force_is_on_record_once() {
    let home = Home::new();
    home.edit("sluis.toml", |text| text + "\n[[school]]\nbrin = \"99DF\"\nname = \"De Sluiswachter\"\n");
    assert_eq!(home.run(&["keys", "new", "--school", "99DF"]).code, 0);
    Served::configure(&home, &FakeLas::answering(feed("")), "");

    let mut expected = vec![("99DE", 0, 1), ("99DE", 1, 0), ("99DF", 0, 1), ("99DF", 1, 0)];
    for start in 1..=3 {
        started(&home).stop();
        assert_eq!(on_record(&home).len(), expected.len(), "start {start}");
    }
    assert_on_record(&home, &expected);

    // While the gateway has the log nobody else can put a key on record: its next start does.
    let served = started(&home);
    assert!(!rotate(&home, "99DE", "log"));
    served.stop();
    assert_on_record(&home, &expected);
    started(&home).stop();
    expected.insert(1, ("99DE", 0, 2));
    assert_on_record(&home, &expected);

    // So does a reload; neither the next one nor a start after a kill does it again.
    let served = started(&home);
    assert!(!rotate(&home, "99DF", "pseudonym"));
    for _ in 0..2 {
        served.signal("-HUP");
        served.wait_for(ON_RECORD);
    }
    served.kill();
    expected.push(("99DF", 2, 0));
    started(&home).stop();
    assert_on_record(&home, &expected);

    // What was put on record when it was made is not put there again.
    assert!(rotate(&home, "99DE", "log"));
    started(&home).stop();
    expected.insert(2, ("99DE", 0, 3));
    assert_on_record(&home, &expected);
    let ran = home.run(&["log", "verify", "data"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}
