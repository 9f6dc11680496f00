//! What the log answers: reports, evidence, exports, from a log of several days.

mod collector; // traces are posted, or it is said that they were not
mod evidence; // for whoever does not take our word
mod export; // lines, and Logboek Dataverwerkingen
mod identities; // whatever persons are known by, and whatever keys were rotated
mod inzage; // what went where about a person
mod recipients; // what one received, leaked, holds
mod results; // what came back for a pupil
mod schools; // what is alike at two schools is not the same

use std::sync::Arc;

use jiff::civil::{Date, date};
use serde_json::Value;
use sluis::{
    clock::{Clock, SystemClock, day_of},
    config::Config,
    delivery::{Asked, Delivery},
    disclosure::{Leaf, LeafKind, Log, Position, Reader, Wanted},
    exchange::disclose,
    standing::Ledger,
};
use uuid::Uuid;

use crate::{
    documents::feed,
    home::{Home, Ran},
    world::Hands,
};

const MONDAY: Date = date(2026, 9, 7);
const TUESDAY: Date = date(2026, 9, 8);
const WEDNESDAY: Date = date(2026, 9, 9);

const JIP: &str = "<leerling key=\"100001\"><achternaam>Jansen</achternaam><roepnaam>Jip</roepnaam><bsn>999990019</bsn></leerling>";
const JIPPIE: &str = "<leerling key=\"100001\"><achternaam>Jansen</achternaam><roepnaam>Jippie</roepnaam><bsn>999990019</bsn></leerling>";
const JANNEKE: &str =
    "<leerling key=\"100002\"><achternaam>Vries</achternaam><roepnaam>Janneke</roepnaam></leerling>";
/// What no answer may hold.
const SECRETS: &[&str] = &["100001", "100002", "999990019", "Jansen", "Jip", "Janneke"];

fn pupils(pupils: &[&str]) -> String {
    feed(&format!("<leerlingen>{}</leerlingen>", pupils.concat()))
}

/// A home whose log has Jip on Monday and Wednesday and Janneke on all three days; gives what noordzee got last.
fn three_days() -> (Home, String) {
    let home = timeless();
    let mut got = String::new();
    for (day, feed) in [
        (MONDAY, pupils(&[JIP, JANNEKE])),
        (TUESDAY, pupils(&[JANNEKE])),
        (WEDNESDAY, pupils(&[JIP, JANNEKE])),
    ] {
        got = deliver(&home, day, &feed);
    }
    (home, got)
}

/// A home for deliveries on fixed days, though the commands go by the machine's clock: an agreement that is in force on
/// all of them, and nothing that falls due.
fn timeless() -> Home {
    let home = Home::new();
    always(&home);
    home.edit("sluis.toml", |text| {
        text.replace("detail_days = 400", "detail_days = 3650")
            .replace("rollup_days = 730", "rollup_days = 3650")
    });
    home
}

/// An agreement that is in force whenever the test runs.
fn always(home: &Home) {
    home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
        let valid = text.lines().find(|line| line.starts_with("valid")).unwrap().to_owned();
        text.replace(&valid, "valid = { from = 2020-08-01, until = 2099-07-31 }")
    });
}

fn deliver(home: &Home, day: Date, document: &str) -> String {
    deliver_of(home, "99DE", day, document)
}

fn deliver_of(home: &Home, brin: &str, day: Date, document: &str) -> String {
    let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
    let clock: Arc<dyn Clock> = Hands::at(day);
    let log = Log::open(config.log_site(), clock.clone()).unwrap();
    let asked = Asked {
        school: config.school(brin).unwrap(),
        dependance: None,
        recipient: config.recipient("noordzee").unwrap(),
        expected: None,
        transaction: Uuid::now_v7(),
        certificate: [0; 32],
    };
    let delivery = Delivery::decide(&config, &Ledger::reading(&config.data), &asked, &clock)
        .unwrap_or_else(|reason| panic!("{reason}"));
    let done = disclose(&delivery, &log, document.as_bytes(), None, Vec::new());
    let disclosed = done.unwrap_or_else(|error| panic!("{error}"));
    delivery.ended(&log, &disclosed, true, 0).unwrap();
    log.close();
    String::from_utf8(disclosed.receiver).unwrap()
}

fn inzage(home: &Home, by: &str, input: &str, more: &[&str]) -> Ran {
    home.run_with(&[&["report", "inzage", "--school", "99DE", "--by", by], more].concat(), input)
}

/// What a report says, in JSON.
fn report(home: &Home, words: &[&str], input: &str) -> Value {
    let ran = home.run_with(&[&["report"], words, &["--format", "json"]].concat(), input);
    json(&ran)["report"].clone()
}

fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

fn assert_no_secrets(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// The value of an attribute of the pupil at this place in a document.
fn attribute<'d>(document: &'d str, name: &str, at: usize) -> &'d str {
    let pupil = document.split("<leerling ").nth(at + 1).unwrap();
    pupil.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap()
}

fn readings(home: &Home) -> Vec<u8> {
    let mut readings = Vec::new();
    let reader = Reader::open(&home.path("data")).unwrap();
    let each = &mut |_, leaf: &Leaf| {
        if leaf.kind == LeafKind::LogRead {
            readings.push(leaf.status);
        }
    };
    reader.leaves(Position(0), each).unwrap();
    readings
}

/// Days are found by halving, whether their leaves are in tiles, in the write-ahead log or in both.
#[test]
fn the_leaves_of_some_days_are_those_of_a_full_reading() {
    let home = Home::new();
    let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
    let hands = Hands::at(MONDAY);
    let log = Log::open(config.log_site(), Arc::clone(&hands) as Arc<dyn Clock>).unwrap();
    for day in [MONDAY, TUESDAY, WEDNESDAY] {
        hands.put(day);
        for _ in 0..230 {
            log.note_blocking(Leaf::new(LeafKind::Withheld)).unwrap();
        }
    }
    let check = || {
        let reader = Reader::open(&config.data).unwrap();
        let mut all = Vec::new();
        reader.leaves(Position(0), &mut |position, leaf| all.push((position, day_of(leaf.end_ms)))).unwrap();
        assert!(all.len() > 690);
        let before = date(2026, 9, 1);
        for (from, until) in [
            (MONDAY, MONDAY),
            (TUESDAY, TUESDAY),
            (WEDNESDAY, WEDNESDAY),
            (MONDAY, WEDNESDAY),
            (before, before),
            (before, TUESDAY),
            (date(2026, 10, 1), date(2026, 10, 2)),
        ] {
            let mut found = Vec::new();
            let show = &mut |position, leaf: &Leaf, _: &[_]| {
                found.push((position, day_of(leaf.end_ms)));
                Ok(())
            };
            reader.chunks(&(from..=until), &|_| Wanted::Leaf, show).unwrap();
            let expected = all.iter().filter(|(_, day)| (from..=until).contains(day));
            assert!(expected.eq(&found), "{from} to {until}");
        }
    };
    check();
    log.close();
    check();
}
