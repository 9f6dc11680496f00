//! A person is found by whatever the school knows persons by, teachers too, and across the keys of the log.

use std::fs;

use serde_json::Value;
use sluis::{clock::SystemClock, config::Config, disclosure::Log};

use super::{MONDAY, TUESDAY, WEDNESDAY, deliver, inzage, json, report, timeless};
use crate::{
    documents::feed,
    home::{Home, Ran},
    served::attribute,
};

/// An ECK iD as the Nummervoorziening gives them out.
fn official(digit: char) -> String {
    format!("https://ketenid.nl/201703/{}", digit.to_string().repeat(128))
}

fn identified_by(home: &Home, identity: &str) {
    home.edit("sluis.toml", |text| {
        text.replace("brin = \"99DE\"", &format!("brin = \"99DE\"\nidentity = \"{identity}\""))
    });
}

/// The feed's own ECK iDs go to noordzee.
fn passes_eckids(home: &Home) {
    home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
        text.replace("domain = \"recipient\"", "domain = \"pass-eckid\"")
    });
}

fn leerling(attributes: &str, roepnaam: &str, inside: &str) -> String {
    format!("<leerling {attributes}><roepnaam>{roepnaam}</roepnaam>{inside}</leerling>")
}

/// A feed with a teacher, whose key is that of a pupil as well.
fn with_teacher(pupils: &[&str], achternaam: &str) -> String {
    let eckid = official('f');
    feed(&format!(
        "<leerlingen>{}</leerlingen><leerkrachten><leerkracht key=\"100001\" eckid=\"{eckid}\">\
         <achternaam>{achternaam}</achternaam></leerkracht></leerkrachten>",
        pupils.concat()
    ))
}

/// Days with something of the person, whether that may not be all, and the names of the fields.
fn told(home: &Home, by: &str, given: &str, more: &[&str]) -> (Vec<String>, bool, String) {
    let found = json(&inzage(home, by, given, &[more, &["--format", "json"]].concat()));
    let found = &found["report"];
    let deliveries = found["deliveries"].as_array().unwrap();
    let days = deliveries.iter().map(|one| one["day"].as_str().unwrap().to_owned()).collect();
    let fields: Vec<_> = deliveries
        .iter()
        .flat_map(|one| [&one["released"], &one["withheld"]])
        .flat_map(|names| names.as_array().unwrap())
        .map(|name| name.as_str().unwrap())
        .collect();
    (days, found["partial"].as_bool().unwrap(), fields.join(" "))
}

const ALL: &[&str] = &["2026-09-07", "2026-09-08"];
const FEED: &[&str] = &["--feed", "feed.xml"];
const TEACHER: &[&str] = &["--leerkracht"];
const TEACHER_FEED: &[&str] = &["--leerkracht", "--feed", "feed.xml"];

/// By what, what, and how else it is asked; the days on which something of the person went out, and whether the log may
/// have more of the person than that.
type Question<'q> = (&'q str, &'q str, &'q [&'q str], &'q [&'q str], bool);

fn check(home: &Home, questions: &[Question<'_>]) {
    for &(by, given, more, days, partial) in questions {
        let (found, is_partial, fields) = told(home, by, given, more);
        assert_eq!(
            (found, is_partial),
            (days.iter().map(ToString::to_string).collect(), partial),
            "{by} {more:?}"
        );
        let others = if more.contains(&"--leerkracht") { "leerling." } else { "leerkracht." };
        assert!(!fields.contains(others), "{by} {more:?}: {fields}");
        let text = inzage(home, by, given, more);
        assert_eq!(text.out.contains("Niet volledig"), partial, "{by} {more:?}: {}", text.out);
        assert!(!text.out.contains(given), "{by}: {}", text.out);
    }
}

fn refused(ran: &Ran, code: i32, expected: &str) {
    assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{}", ran.err);
    assert!(ran.err.contains(expected), "{expected} in {}", ran.err);
}

fn leak(home: &Home, lines: &[&str]) -> Value {
    report(home, &["lek", "--recipient", "noordzee"], &lines.join("\n"))
}

/// Given, known, unknown, untraceable, handles.
fn counts(leak: &Value) -> [u64; 5] {
    let count = |name: &str| leak[name].as_u64().unwrap();
    let affected = leak["affected"].as_array().unwrap().len() as u64;
    [count("given"), count("known"), count("unknown"), count("untraceable"), affected]
}

/// What noordzee holds of a person, held against a feed.
fn holds(home: &Home, by: &str, given: &str, more: &[&str], feed: &str) -> String {
    fs::write(home.path("now.xml"), feed).unwrap();
    let words = ["correctie", "--school", "99DE", "--by", by, "--feed", "now.xml"];
    let found = report(home, &[&words, more].concat(), given);
    let holders = found["holders"].as_array().unwrap();
    assert_eq!(holders.len(), 1, "{found}");
    holders[0]["holds"].as_str().unwrap().to_owned()
}

#[test]
fn a_teacher_is_found_and_is_not_the_pupil_of_the_same_key() {
    let home = timeless();
    let jip = leerling("key=\"100001\"", "Jip", "<bsn>999990019</bsn>");
    let document = with_teacher(&[&jip], "Testina");
    deliver(&home, MONDAY, &document);
    let got = deliver(&home, TUESDAY, &document);
    fs::write(home.path("feed.xml"), &document).unwrap();
    let (eckid, token) = (attribute(&got, "leerkracht", "eckid"), attribute(&got, "leerkracht", "key"));
    let by_key = json(&inzage(&home, "key", "100001", &["--leerkracht", "--format", "json"]));
    let handle = by_key["report"]["handles"][0][1].as_str().unwrap();
    check(
        &home,
        &[
            ("key", "100001", TEACHER, ALL, false),
            ("eckid", eckid, TEACHER, ALL, false),
            ("eckid", eckid, TEACHER_FEED, ALL, false),
            ("eckid", &official('f'), TEACHER_FEED, ALL, false),
            ("handle", handle, TEACHER, ALL, false),
        ],
    );
    for (more, own, other) in
        [(TEACHER, "leerkracht.achternaam", "leerling."), (&[], "leerling.roepnaam", "leerkracht.")]
    {
        let (days, _, fields) = told(&home, "key", "100001", more);
        assert!(days == ALL && fields.contains(own) && !fields.contains(other), "{fields}");
    }
    let by_key = "key in the pupil administration (--by key)";
    refused(&inzage(&home, "eckid", &official('f'), TEACHER), 2, by_key);
    refused(&inzage(&home, "eckid", &official('f'), FEED), 1, "not in the feed");
    refused(&inzage(&home, "pgn", "999990019", TEACHER_FEED), 1, "not in the feed");

    let received = report(&home, &["leverancier", "--recipient", "noordzee"], "");
    let school = &received["schools"][0];
    assert_eq!((&school["pupils"], &school["staff"]), (&1.into(), &1.into()));
    let fields = school["fields"].as_array().unwrap();
    let name = fields.iter().find(|field| field["field"] == "leerkracht.achternaam").unwrap();
    assert_eq!((&name["released"], &name["withheld"]), (&2.into(), &0.into()));

    // Both what stood in for the ECK iD and what stood in for the key: one person, and neither is unknown.
    let leaked = leak(&home, &[eckid, eckid.rsplit('/').next().unwrap(), token]);
    assert_eq!(counts(&leaked), [3, 3, 0, 0, 1]);
    let one = &leaked["affected"][0];
    assert_eq!(
        (&one["handle"], &one["pupil"], &one["deliveries"]),
        (&handle.into(), &false.into(), &2.into())
    );
    let text = home.run_with(&["report", "lek", "--recipient", "noordzee"], token);
    assert!(text.out.contains("leerkracht") && text.out.contains("Van 1 handle heeft"), "{}", text.out);

    let holds = |feed: &str| holds(&home, "key", "100001", TEACHER, feed);
    assert_eq!(holds(&document), "current");
    assert_eq!(holds(&with_teacher(&[&jip], "Testini")), "older");
    assert_eq!(holds(&feed(&format!("<leerlingen>{jip}</leerlingen>"))), "nothing", "the teacher has left");
}

#[test]
fn where_persons_are_known_by_eckid() {
    let home = timeless();
    identified_by(&home, "eckid");
    let (jip, janneke) = (official('1'), official('2'));
    let pupil = |eckid: &str, key: &str, roepnaam: &str| {
        leerling(&format!("key=\"{key}\" eckid=\"{eckid}\""), roepnaam, "<bsn>999990019</bsn>")
    };
    // The LAS gave Jip another key: it is the same person.
    let both = |key: &str, roepnaam: &str| {
        with_teacher(&[&pupil(&jip, key, roepnaam), &pupil(&janneke, "100002", "Janneke")], "Testina")
    };
    let first = deliver(&home, MONDAY, &both("900001", "Jip"));
    passes_eckids(&home);
    let second = deliver(&home, TUESDAY, &both("100001", "Jip"));
    fs::write(home.path("feed.xml"), both("100001", "Jip")).unwrap();
    let (own, token) = (attribute(&first, "leerling", "eckid"), attribute(&first, "leerling", "key"));
    assert_eq!(attribute(&second, "leerling", "eckid"), jip);
    check(
        &home,
        &[
            ("eckid", &jip, &[], ALL, true),
            ("eckid", &jip, FEED, ALL, false),
            ("eckid", own, &[], ALL, true),
            ("key", "100001", FEED, ALL, false),
            ("pgn", "999990019", FEED, ALL, false),
            ("eckid", &official('f'), TEACHER, ALL, false),
            ("key", "100001", TEACHER_FEED, ALL, false),
            // Nobody has it, and it has the form: the log has nothing of it.
            ("eckid", &official('9'), &[], &[], true),
        ],
    );
    for (by, given, more) in
        [("key", "100001", &[][..]), ("pgn", "999990019", &[]), ("key", "100001", TEACHER)]
    {
        refused(&inzage(&home, by, given, more), 2, "by their ECK iD (--by eckid)");
    }
    // A code that stood in for a key leads to a key, and the log goes by ECK iDs.
    let leaked = leak(&home, &[&jip, own, token, &official('9'), "onzin"]);
    assert_eq!(counts(&leaked), [5, 2, 2, 1, 1]);
    let text = home.run_with(&["report", "lek", "--recipient", "noordzee"], token);
    assert!(text.out.contains("Niet te herleiden: 1."), "{}", text.out);

    assert_eq!(holds(&home, "eckid", &jip, &[], &both("100001", "Jip")), "current");
    assert_eq!(holds(&home, "key", "100001", &[], &both("100001", "Jippie")), "older");
    assert_eq!(holds(&home, "eckid", &official('f'), TEACHER, &both("100001", "Jip")), "current");
}

/// What passed is in the log only as one of the fields, so of whom it is cannot be told; that is not the same as that
/// the recipient never had it.
#[test]
fn an_eckid_that_passed_where_persons_are_known_by_key_cannot_be_traced() {
    let home = timeless();
    passes_eckids(&home);
    let jip = leerling(&format!("key=\"100001\" eckid=\"{}\"", official('1')), "Jip", "");
    let got = deliver(&home, MONDAY, &feed(&format!("<leerlingen>{jip}</leerlingen>")));
    let token = attribute(&got, "leerling", "key");
    assert_eq!(counts(&leak(&home, &[&official('1'), token, "onzin"])), [3, 1, 1, 1, 1]);
}

#[test]
fn where_persons_are_known_by_pgn() {
    let home = timeless();
    identified_by(&home, "pgn");
    let jip = leerling("key=\"100001\"", "Jip", "<bsn>999990019</bsn>");
    let daan = leerling("key=\"100002\"", "Daan", "<onderwijsnummer>100000004</onderwijsnummer>");
    // Noor had no BSN on Monday.
    let number = "<onderwijsnummer>101222331</onderwijsnummer>";
    let noor = |more: &str| leerling("key=\"100003\"", "Noor", &format!("{more}{number}"));
    let bsn = "<bsn>111222333</bsn>";
    let all = |noor: String| with_teacher(&[&jip, &daan, &noor], "Testina");
    let before = deliver(&home, MONDAY, &all(noor("")));
    let before = super::attribute(&before, "eckid", 2);
    let got = deliver(&home, TUESDAY, &all(noor(bsn)));
    fs::write(home.path("feed.xml"), all(noor(bsn))).unwrap();
    let (own, token) = (attribute(&got, "leerling", "eckid"), attribute(&got, "leerling", "key"));
    check(
        &home,
        &[
            ("pgn", "999990019", &[], ALL, true),
            ("pgn", "999990019", FEED, ALL, false),
            ("pgn", "100000004", &[], ALL, true),
            ("pgn", "100000004", FEED, ALL, false),
            ("key", "100002", FEED, ALL, false),
            ("eckid", own, &[], ALL, true),
            ("eckid", own, FEED, ALL, false),
            ("pgn", "111222333", &[], &ALL[1..], true),
            ("pgn", "101222331", &[], &ALL[..1], true),
            ("pgn", "111222333", FEED, ALL, false),
            ("pgn", "101222331", FEED, ALL, false),
            ("eckid", before, &[], &ALL[..1], true),
            ("eckid", before, FEED, ALL, false),
            // Whoever has left is in no feed, and still in the log.
            ("pgn", "999990020", FEED, &[], true),
            // Teachers have no PGN.
            ("key", "100001", TEACHER, ALL, false),
            ("eckid", &official('f'), TEACHER_FEED, ALL, false),
        ],
    );
    refused(&inzage(&home, "key", "100001", &[]), 2, "by their PGN (--by pgn)");
    for by in [("pgn", "999990019"), ("eckid", &official('f'))] {
        refused(&inzage(&home, by.0, by.1, TEACHER), 2, "key in the pupil administration (--by key)");
    }
    refused(&inzage(&home, "pgn", "100000005", &[]), 2, "not of the form");
    let found = inzage(&home, "pgn", "111222333", FEED);
    assert!(!(found.out + &found.err).contains("101222331"), "the other number is not told");

    let teacher = attribute(&got, "leerkracht", "key");
    assert_eq!(counts(&leak(&home, &[own, token, teacher])), [3, 2, 0, 1, 2]);
    assert_eq!(holds(&home, "pgn", "101222331", &[], &all(noor(bsn))), "current");
    assert_eq!(holds(&home, "pgn", "999990019", &[], &all(noor(bsn)).replace("Jip", "Jippie")), "older");
    assert_eq!(holds(&home, "key", "100001", TEACHER, &all(noor(bsn))), "current");
}

/// Makes the next key with the command, which leaves it to the next start to put that on record: the log is in use, and
/// the days of the test stay the days they are.
fn rotate(home: &Home, purpose: &str) {
    let site = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap().log_site();
    let log = Log::open(site, super::Hands::at(MONDAY)).unwrap();
    assert_eq!(home.run(&["keys", "rotate", "--school", "99DE", "--purpose", purpose]).code, 0);
    log.close();
}

#[test]
fn a_person_is_found_across_the_keys_of_the_log() {
    let home = timeless();
    let jip = leerling("key=\"100001\"", "Jip", "<bsn>999990019</bsn>");
    let document = with_teacher(&[&jip], "Testina");
    let first = deliver(&home, MONDAY, &document);
    rotate(&home, "log");
    let second = deliver(&home, TUESDAY, &document);
    rotate(&home, "log");
    rotate(&home, "pseudonym");
    let third = deliver(&home, WEDNESDAY, &document);
    fs::write(home.path("feed.xml"), &document).unwrap();
    let [old, same, new] = [&first, &second, &third].map(|got| attribute(got, "leerling", "eckid"));
    assert!(old == same && old != new);

    let by_key = json(&inzage(&home, "key", "100001", &["--format", "json"]));
    let handles = by_key["report"]["handles"].as_array().unwrap();
    let mut epochs: Vec<_> = handles.iter().map(|one| one[0].as_u64().unwrap()).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, [1, 2, 3]);
    let handle = handles.iter().find(|one| one[0] == 2).unwrap()[1].as_str().unwrap();
    let all: &[&str] = &["2026-09-07", "2026-09-08", "2026-09-09"];
    check(
        &home,
        &[
            ("key", "100001", &[], all, false),
            ("key", "100001", TEACHER, all, false),
            ("pgn", "999990019", FEED, all, false),
            // Without the person's identifier, rows lead as far as the pseudonym was in use.
            ("eckid", old, &[], &all[..2], true),
            ("eckid", new, &[], &all[2..], true),
            ("eckid", old, FEED, all, false),
            ("eckid", new, FEED, all, false),
            ("handle", handle, &[], &all[1..2], true),
        ],
    );
    let proof = inzage(&home, "key", "100001", &["--proof", "bewijs"]);
    assert_eq!(proof.code, 0, "{}", proof.err);
    let verified = home.run(&["log", "verify-proof", "bewijs", "--key", "data/log.vkey"]);
    assert_eq!(verified.out.matches("1 regel over deze persoon, en niet meer").count(), 3, "{verified:?}");

    // The code of Monday still leads to the key, and so to every handle; the pseudonym to those of its time.
    let token = attribute(&first, "leerling", "key");
    for (lines, known, expected) in
        [(&[old][..], 1, &[1, 2][..]), (&[token], 1, &[1, 2, 3]), (&[old, new, token], 3, &[1, 2, 3])]
    {
        let leaked = leak(&home, lines);
        let count = lines.len() as u64;
        assert_eq!(counts(&leaked), [count, known, 0, 0, expected.len() as u64]);
        let affected = leaked["affected"].as_array().unwrap();
        assert!(affected.iter().all(|one| one["deliveries"] == 1));
        let mut epochs: Vec<_> = affected.iter().map(|one| one["epoch"].as_u64().unwrap()).collect();
        epochs.sort_unstable();
        assert_eq!(epochs, expected);
    }
    // Another key is no correction.
    assert_eq!(holds(&home, "key", "100001", &[], &document), "current");
    assert_eq!(holds(&home, "key", "100001", TEACHER, &document), "current");
    assert_eq!(holds(&home, "key", "100001", &[], &document.replace("Jip", "Jippie")), "older");

    let ran = home.run(&["keys", "destroy", "--school", "99DE", "--purpose", "log", "--epoch", "1"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    check(&home, &[("key", "100001", &[], &all[1..], false), ("eckid", old, &[], &all[1..2], true)]);
}
