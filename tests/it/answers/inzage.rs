//! What a person is told: what went where, and who cannot be found.

use std::{fs, sync::Arc};

use serde_json::Value;
use sluis::{
    clock::{Clock, SystemClock},
    config::Config,
    disclosure::Log,
};

use super::{
    JANNEKE, JIP, always, assert_no_secrets, attribute, deliver, inzage, json, pupils, readings, three_days,
};
use crate::home::Home;

#[test]
fn a_person_is_told_what_went_where() {
    let (home, got) = three_days();
    let ran = inzage(&home, "key", " 100001 \n", &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_no_secrets(&(ran.out.clone() + &ran.err));
    for expected in [
        "Uitgeverij Noordzee",
        "2 keer, van 7 september 2026 tot en met 9 september 2026",
        "overeenkomst: 99DE-noordzee-rekenroute v1\n  product: Rekenroute\n  doel: Verstrekken en ter",
        "grondslag: uitvoering van een overeenkomst",
        "soorten gegevens: Contactgegevens",
        "verstrekt: Sleutel van de leerling in het LAS (als code), ECK iD of pseudoniem, Achternaam",
        "achtergehouden: BSN",
        "verzonden",
        "Autoriteit Persoonsgegevens",
    ] {
        assert!(ran.out.contains(expected), "{expected} in {}", ran.out);
    }
    let by_key = json(&inzage(&home, "key", "100001", &["--format", "json"]));
    let deliveries = by_key["report"]["deliveries"].as_array().unwrap();
    assert_eq!(deliveries.len(), 2);
    assert_eq!(deliveries[1]["day"], "2026-09-09");
    assert_eq!(deliveries[1]["outcome"], "sent");
    assert_eq!(deliveries[1]["recipient"]["id"], "noordzee");
    assert!(deliveries[1]["released"].as_array().unwrap().contains(&"leerling.roepnaam".into()));
    assert!(deliveries[1]["withheld"].as_array().unwrap().contains(&"leerling.bsn".into()));

    // The pseudonym that noordzee got, the handle, and a number that only a feed ties to the key: all the same person.
    fs::write(home.path("feed.xml"), pupils(&[JANNEKE, JIP])).unwrap();
    let handle = by_key["report"]["handles"][0][1].as_str().unwrap();
    for (by, given, more) in [
        ("eckid", attribute(&got, "eckid", 0), &[][..]),
        ("handle", handle, &[]),
        ("pgn", "999990019", &["--feed", "feed.xml"]),
        ("pgn", "９９９９９００１９", &["--feed", "feed.xml"]),
    ] {
        let found = inzage(&home, by, given, &[more, &["--format", "json"]].concat());
        assert_eq!(json(&found)["report"]["deliveries"], by_key["report"]["deliveries"], "{by}");
        assert_no_secrets(&(found.out + &found.err));
    }
    let tuesday = ["--from", "2026-09-08", "--until", "2026-09-08", "--format", "json"];
    assert_eq!(
        json(&inzage(&home, "key", "100001", &tuesday))["report"]["deliveries"],
        Value::Array(Vec::new())
    );
    assert_eq!(readings(&home), [1; 7], "each reading is on record, refused ones too");
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

#[test]
fn who_cannot_be_found_is_said() {
    let (home, got) = three_days();
    fs::write(home.path("feed.xml"), pupils(&[JANNEKE])).unwrap();
    fs::write(home.path("other.xml"), pupils(&[JIP]).replace("99DE", "99DF")).unwrap();
    let (authority, digits) = attribute(&got, "eckid", 0).rsplit_once('/').unwrap();
    let foreign = format!("{authority}/{}", digits.replace('a', "b"));
    for (by, given, more, code, expected) in [
        (
            "pgn",
            "999990019",
            &[][..],
            2,
            "by their key in the pupil administration (--by key); give that, or a feed",
        ),
        ("pgn", "999990019", &["--feed", "feed.xml"], 1, "not in the feed"),
        ("pgn", "999990019", &["--feed", "other.xml"], 2, "about another school"),
        ("pgn", "999990019", &["--feed", "weg.xml"], 2, "cannot be read"),
        ("pgn", "999990018", &[], 2, "not of the form"),
        ("eckid", foreign.as_str(), &[], 1, "was given this pseudonym"),
        ("handle", "12", &[], 2, "not of the form"),
        ("key", "", &[], 2, "one identifier on standard input"),
        ("key", "100001\n100002\n", &[], 2, "one identifier on standard input"),
    ] {
        let ran = inzage(&home, by, given, more);
        assert_eq!(ran.code, code, "{by}: {}", ran.err);
        assert!(ran.err.contains(expected), "{expected} in {}", ran.err);
        assert!(ran.out.is_empty());
        assert_no_secrets(&ran.err);
    }
    let ran = home.run_with(&["report", "inzage", "--school", "99XX", "--by", "key"], "100001");
    assert_eq!(ran.code, 2, "{}", ran.err);
}

#[test]
fn what_is_read_is_on_record_or_not_read() {
    let (home, _) = three_days();
    let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
    let log = Log::open(config.log_site(), Arc::new(SystemClock)).unwrap();
    let ran = inzage(&home, "key", "100001", &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("takes no requests"), "{}", ran.err);
    log.close();
}

/// When the rows of a month have gone by the retention rule, an inzage still tells who got what.
#[test]
fn what_is_summarised_still_answers() {
    let home = Home::new();
    always(&home);
    let day = SystemClock.today().saturating_sub(jiff::Span::new().days(500)).first_of_month();
    for day in [day, day.tomorrow().unwrap()] {
        deliver(&home, day, &pupils(&[JIP, JANNEKE]));
    }
    let before = inzage(&home, "key", "100001", &[]);
    assert!(before.code == 0 && before.out.contains("2 keer, van"), "{}", before.out);
    let ran = home.run(&["log", "retain"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
    let after = inzage(&home, "key", "100001", &[]);
    let span = format!("Uitgeverij Noordzee: 2 keer, van {} ", day.day());
    for part in ["Eerdere maanden, samengevat", &span, "Roepnaam", "BSN"] {
        assert!(after.code == 0 && after.out.contains(part), "{part} in {}", after.out);
    }
    assert!(!after.out.contains("Alle verstrekkingen"), "{}", after.out);
}
