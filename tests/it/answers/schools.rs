//! Two schools whose pupils have the same key are not mixed up in any answer.

use std::fs;

use serde_json::Value;

use super::{JANNEKE, JIP, MONDAY, TUESDAY, deliver_of, json, pupils, report, timeless};
use crate::{home::Home, served::attribute};

/// Jip of 99DE on Monday and Tuesday, and another pupil of 99DF with the same key and BSN on Tuesday; with the document
/// of each school.
fn two_schools() -> (Home, [String; 2]) {
    let home = timeless();
    home.edit("sluis.toml", |text| text + "\n[[school]]\nbrin = \"99DF\"\nname = \"De Sluiswachter\"\n");
    let agreement = fs::read_to_string(home.path("agreements/99DE-noordzee-rekenroute.toml")).unwrap();
    fs::write(home.path("agreements/99DF.toml"), agreement.replace("99DE", "99DF")).unwrap();
    assert_eq!(home.run(&["keys", "new", "--school", "99DF"]).code, 0);
    deliver_of(&home, "99DE", MONDAY, &pupils(&[JIP]));
    let one = deliver_of(&home, "99DE", TUESDAY, &pupils(&[JIP, JANNEKE]));
    let other = deliver_of(&home, "99DF", TUESDAY, &pupils(&[JIP]).replace("99DE", "99DF"));
    (home, [one, other])
}

fn days(home: &Home, school: &str, by: &str, given: &str) -> Vec<Value> {
    let found = report(home, &["inzage", "--school", school, "--by", by], given);
    assert_eq!(found["school"]["brin"], school);
    found["deliveries"].as_array().unwrap().iter().map(|one| one["day"].clone()).collect()
}

#[test]
fn pupils_of_two_schools_with_the_same_key_are_two() {
    let (home, [one, other]) = two_schools();
    let [eckid, elsewhere] = [&one, &other].map(|got| attribute(got, "leerling", "eckid"));
    let [token, token_elsewhere] = [&one, &other].map(|got| attribute(got, "leerling", "key"));
    assert!(eckid != elsewhere && token != token_elsewhere);
    for (by, given, given_elsewhere) in [("key", "100001", "100001"), ("eckid", eckid, elsewhere)] {
        assert_eq!(days(&home, "99DE", by, given), ["2026-09-07", "2026-09-08"], "{by}");
        assert_eq!(days(&home, "99DF", by, given_elsewhere), ["2026-09-08"], "{by}");
    }
    let inzage = ["report", "inzage", "--school", "99DE", "--by"];
    let ran = home.run_with(&[&inzage[..], &["eckid"]].concat(), elsewhere);
    assert!(ran.code == 1 && ran.err.contains("was given this pseudonym"), "{}", ran.err);

    let received = report(&home, &["leverancier", "--recipient", "noordzee"], "");
    let schools = received["schools"].as_array().unwrap();
    let counts = schools.iter().map(|school| {
        let count = |name: &str| school[name].as_u64().unwrap();
        (school["school"]["brin"].as_str().unwrap(), count("sent"), count("pupils"))
    });
    assert_eq!(counts.collect::<Vec<_>>(), [("99DE", 2, 2), ("99DF", 1, 1)]);

    for given in [[eckid, elsewhere], [token, token_elsewhere]] {
        let leak = |more: &[&str]| {
            let found =
                report(&home, &[&["lek", "--recipient", "noordzee"], more].concat(), &given.join("\n"));
            let affected = found["affected"].as_array().unwrap().iter();
            let affected: Vec<_> = affected
                .map(|one| {
                    (one["school"]["brin"].as_str().unwrap().to_owned(), one["deliveries"].as_u64().unwrap())
                })
                .collect();
            (found["known"].as_u64().unwrap(), found["unknown"].as_u64().unwrap(), affected)
        };
        let [here, there] = [("99DE".to_owned(), 2), ("99DF".to_owned(), 1)];
        assert_eq!(leak(&[]), (2, 0, vec![here.clone(), there.clone()]));
        assert_eq!(leak(&["--school", "99DE"]), (1, 1, vec![here]));
        assert_eq!(leak(&["--school", "99DF"]), (1, 1, vec![there]));
    }

    // What was corrected at one school is none of the other's business, nor is a feed of the other a feed of this one.
    let now = pupils(&[JIP]).replace("Jip", "Jippie");
    fs::write(home.path("99DE.xml"), &now).unwrap();
    fs::write(home.path("99DF.xml"), pupils(&[JIP]).replace("99DE", "99DF")).unwrap();
    for (school, feed, expected) in
        [("99DE", "99DE.xml", "older"), ("99DF", "99DF.xml", "current"), ("99DF", "99DE.xml", "unknown")]
    {
        let words = ["correctie", "--school", school, "--by", "key", "--feed", feed];
        let found = report(&home, &words, "100001");
        let holders = found["holders"].as_array().unwrap();
        assert_eq!(holders.len(), 1);
        assert_eq!(holders[0]["holds"], expected, "{school} against {feed}");
    }
}

#[test]
fn evidence_and_erasure_are_of_one_school() {
    let (home, _) = two_schools();
    let ran = home.run_with(
        &["report", "inzage", "--school", "99DF", "--by", "key", "--proof", "bewijs", "--format", "json"],
        "100001",
    );
    assert_eq!(json(&ran)["report"]["deliveries"].as_array().unwrap().len(), 1);
    let verified = home.run(&["log", "verify-proof", "bewijs", "--key", "data/log.vkey"]);
    assert!(verified.code == 0 && verified.out.contains("1 regel over deze persoon"), "{verified:?}");
    assert!(!verified.out.contains("2026-09-07"), "a day on which only the other school had deliveries");

    let ran = home.run_with(&["log", "erase", "--school", "99DE", "--by", "key"], "100001");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let (notice, erased) = ran.out.split_once('\n').unwrap();
    assert!(notice.contains("  noordzee  on record under "), "{notice}");
    assert_eq!(erased, "2 rows and 0 summaries erased\n");
    assert!(days(&home, "99DE", "key", "100001").is_empty());
    assert_eq!(days(&home, "99DE", "key", "100002"), ["2026-09-08"], "Janneke is still there");
    assert_eq!(days(&home, "99DF", "key", "100001"), ["2026-09-08"], "so is the other school's pupil");
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}
