//! What the log answers: reports, evidence, exports, from a log of several days.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::Stdio,
    sync::Arc,
    thread,
};

use jiff::civil::{Date, date};
use serde_json::Value;
use sluis::{
    clock::{Clock, SystemClock, day_of},
    config::Config,
    delivery::{Asked, Delivery},
    disclosure::{Leaf, LeafKind, Log, Position, Reader, Wanted},
    exchange::disclose,
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
    let home = Home::new();
    always(&home);
    // The days are fixed and the commands go by the machine's clock: nothing is to fall due.
    home.edit("sluis.toml", |text| {
        text.replace("detail_days = 400", "detail_days = 3650")
            .replace("rollup_days = 730", "rollup_days = 3650")
    });
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

/// An agreement that is in force whenever the test runs.
fn always(home: &Home) {
    home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
        let valid = text.lines().find(|line| line.starts_with("valid")).unwrap().to_owned();
        text.replace(&valid, "valid = { from = 2020-08-01, until = 2099-07-31 }")
    });
}

fn deliver(home: &Home, day: Date, document: &str) -> String {
    let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
    let clock: Arc<dyn Clock> = Hands::at(day);
    let log = Log::open(config.log_site(), clock.clone()).unwrap();
    let asked = Asked {
        school: config.school("99DE").unwrap(),
        dependance: None,
        recipient: config.recipient("noordzee").unwrap(),
        expected: None,
        transaction: Uuid::now_v7(),
        certificate: [0; 32],
    };
    let delivery = Delivery::decide(&config, &asked, &clock).unwrap_or_else(|reason| panic!("{reason}"));
    let done = disclose(&delivery, &log, document.as_bytes(), None, Vec::new());
    let disclosed = done.unwrap_or_else(|error| panic!("{error}"));
    delivery.ended(&log, &disclosed, true, 0).unwrap();
    log.close();
    String::from_utf8(disclosed.receiver).unwrap()
}

fn run_with(home: &Home, arguments: &[&str], input: &str) -> Ran {
    let mut command = home.sluis(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses before it reads is no failure here.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Ran::from(child.wait_with_output().unwrap())
}

fn inzage(home: &Home, by: &str, input: &str, more: &[&str]) -> Ran {
    run_with(home, &[&["report", "inzage", "--school", "99DE", "--by", by], more].concat(), input)
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
    let ran = run_with(&home, &["report", "inzage", "--school", "99XX", "--by", "key"], "100001");
    assert_eq!(ran.code, 2, "{}", ran.err);
}

#[test]
fn what_is_read_is_on_record_or_not_read() {
    let (home, _) = three_days();
    let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
    let log = Log::open(config.log_site(), Arc::new(SystemClock)).unwrap();
    let ran = inzage(&home, "key", "100001", &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("stop `sluis serve`"), "{}", ran.err);
    log.close();
}

fn verify_proof(home: &Home, folder: &str, key: bool) -> Ran {
    let key: &[&str] = if key { &["--key", "data/log.vkey"] } else { &[] };
    home.run(&[&["log", "verify-proof", folder], key].concat())
}

#[test]
fn evidence_convinces_without_the_log() {
    let (home, _) = three_days();
    let ran = inzage(&home, "key", "100001", &["--proof", "bewijs"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("bewijs van 3 dagen"), "{}", ran.err);
    // Elsewhere, with nothing but the folder and a key.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(home.path("bewijs"), elsewhere.path().join("bewijs")).unwrap();
    let folder = elsewhere.path().join("bewijs");
    let ran = verify_proof(&home, folder.to_str().unwrap(), true);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for expected in [
        "logboek sluis.example/log",
        "2026-09-07  1 regel over deze persoon, en niet meer",
        "2026-09-08  geen regels over deze persoon, en niet meer",
        "2026-09-09  1 regel over deze persoon, en niet meer",
    ] {
        assert!(ran.out.contains(expected), "{expected} in {}", ran.out);
    }
    assert!(!ran.out.contains("sleutel uit de map zelf"));
    let own = verify_proof(&home, folder.to_str().unwrap(), false);
    assert!(own.code == 0 && own.out.contains("sleutel uit de map zelf"), "{}", own.out);
    assert_no_secrets(
        &fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path().display().to_string()).collect::<String>(),
    );

    // Any byte of any proof, and any proof left out.
    let mut proofs = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let good = fs::read(&path).unwrap();
        assert_no_secrets(&String::from_utf8_lossy(&good));
        if name == "LEESMIJ.txt" || name == "log.vkey" {
            continue;
        }
        proofs += 1;
        fs::remove_file(&path).unwrap();
        assert_eq!(verify_proof(&home, folder.to_str().unwrap(), true).code, 2, "{name}");
        // In a proof of a leaf, what follows the log's own signature may be that of anyone.
        for at in (0..good.len()).step_by(good.len() / 6) {
            let mut bad = good.clone();
            bad[at] = if bad[at] == b'0' { b'1' } else { b'0' };
            fs::write(&path, &bad).unwrap();
            let code = verify_proof(&home, folder.to_str().unwrap(), true).code;
            assert!(code == 1 || code == 2 || name == "manifest.json", "{name} at {at}");
        }
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(proofs, 1 + 3 + 3 + 2, "manifest, rows and seal of each day, two disclosures");
    // Of another handle, nothing is shown to be absent.
    let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
    let handle = serde_json::from_str::<Value>(&manifest).unwrap()["handles"][0].as_str().unwrap().to_owned();
    fs::write(folder.join("manifest.json"), manifest.replace(&handle, &"0".repeat(32))).unwrap();
    assert_eq!(verify_proof(&home, folder.to_str().unwrap(), true).code, 1);
    fs::write(folder.join("manifest.json"), manifest.replace(".tlog-proof", "/../../x")).unwrap();
    assert_eq!(verify_proof(&home, folder.to_str().unwrap(), true).code, 2, "files elsewhere are not opened");
    // Another log's key.
    let other = Home::new();
    assert_eq!(other.minimise("99DE", pupils(&[JIP]).as_bytes()).code, 0);
    fs::write(folder.join("manifest.json"), &manifest).unwrap();
    assert_eq!(verify_proof(&other, folder.to_str().unwrap(), true).code, 1);
    assert_eq!(verify_proof(&home, "nergens", true).code, 2);
}

#[test]
fn a_day_that_is_not_over_has_no_evidence_yet() {
    let home = Home::new();
    always(&home);
    assert_eq!(home.minimise("99DE", pupils(&[JIP]).as_bytes()).code, 0);
    let ran = inzage(&home, "key", "100001", &["--proof", "bewijs"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("is nog niet verzegeld"), "{}", ran.err);
    assert!(ran.out.contains("2. Alle verstrekkingen (1)"), "though it is told: {}", ran.out);
    let ran = verify_proof(&home, "bewijs", true);
    assert!(ran.code == 0 && ran.out.contains("nog niet verzegeld"), "{} {}", ran.out, ran.err);
    let again = inzage(&home, "key", "100001", &["--proof", "bewijs"]);
    assert!(again.code == 2 && again.err.contains("is not empty"), "{}", again.err);
}

#[test]
fn what_a_recipient_received_is_counted() {
    let (home, _) = three_days();
    let report = |more: &[&str]| {
        home.run(&[&["report", "leverancier", "--recipient", "noordzee", "--format", "json"], more].concat())
    };
    let all = json(&report(&[]));
    let school = &all["report"]["schools"][0];
    for (key, expected) in [("sent", 3), ("failed", 0), ("unknown", 0), ("pupils", 2), ("staff", 0)] {
        assert_eq!(school[key], expected, "{key} in {school}");
    }
    let field = |name: &str| {
        let fields = school["fields"].as_array().unwrap();
        let found = fields.iter().find(|field| field["field"] == name).unwrap();
        (found["released"].as_u64().unwrap(), found["withheld"].as_u64().unwrap())
    };
    assert_eq!(field("leerling.roepnaam"), (5, 0));
    assert_eq!(field("leerling.bsn"), (0, 2));
    let tuesday = json(&report(&["--from", "2026-09-08", "--until", "2026-09-08"]));
    assert_eq!(tuesday["report"]["schools"][0]["pupils"], 1);
    assert_eq!(tuesday["report"]["schools"][0]["sent"], 1);
    let before = json(&report(&["--until", "2026-09-06"]));
    assert_eq!(before["report"]["schools"], Value::Array(Vec::new()));
    let text = home.run(&["report", "leverancier", "--recipient", "noordzee"]);
    assert!(text.out.contains("3 verstrekkingen: 3 verzonden, 0 afgebroken"), "{}", text.out);
    assert!(text.out.contains("leerling.roepnaam"), "{}", text.out);
    assert_no_secrets(&text.out);
    assert_eq!(home.run(&["report", "leverancier", "--recipient", "zuidzee"]).code, 2);
    assert_eq!(report(&["--from", "2026-09-08", "--until", "2026-09-01"]).code, 2);
    assert_eq!(readings(&home), [2; 4]);
}

#[test]
fn a_leak_is_traced_to_those_affected() {
    let (home, got) = three_days();
    let uri = attribute(&got, "eckid", 0);
    let digits = uri.rsplit('/').next().unwrap();
    let token = attribute(&got, "key", 1);
    let list = format!("{uri}\n{uri}\n\n{token}\n{}\nonzin\n", "0".repeat(128));
    let arguments = ["report", "lek", "--recipient", "noordzee", "--format", "json"];
    let found = json(&run_with(&home, &arguments, &list));
    let report = &found["report"];
    assert_eq!((&report["given"], &report["known"], &report["unknown"]), (&4.into(), &2.into(), &2.into()));
    let affected = report["affected"].as_array().unwrap();
    let deliveries = affected.iter().map(|one| one["deliveries"].as_u64().unwrap());
    let mut deliveries: Vec<_> = deliveries.collect();
    deliveries.sort_unstable();
    assert_eq!(deliveries, [2, 3], "Jip and Janneke");
    // The handle of the report leads on to what went where.
    let one = affected.iter().find(|one| one["deliveries"] == 2).unwrap();
    let handle = one["handle"].as_str().unwrap();
    let told = json(&inzage(&home, "handle", handle, &["--format", "json"]));
    assert_eq!(told["report"]["deliveries"].as_array().unwrap().len(), 2);
    let bare = run_with(&home, &["report", "lek", "--recipient", "noordzee", "--school", "99DE"], digits);
    assert!(
        bare.out.contains("Opgegeven pseudoniemen: 1; bij deze ontvanger bekend: 1, onbekend: 0"),
        "{}",
        bare.out
    );
    assert!(!bare.out.contains(digits) && bare.out.contains(handle), "{}", bare.out);
    assert_no_secrets(&bare.out);
}

#[test]
fn who_holds_an_older_value_is_on_the_list() {
    let (home, _) = three_days();
    let list = |feed: &[&str], more: &[&str]| {
        fs::write(home.path("feed.xml"), pupils(feed)).unwrap();
        let arguments = ["report", "correctie", "--school", "99DE", "--by", "key", "--format", "json"];
        let found = json(&run_with(&home, &[&arguments, more].concat(), "100001"));
        let holders = found["report"]["holders"].as_array().unwrap().clone();
        assert_eq!(holders.len(), 1);
        assert_eq!(holders[0]["recipient"]["id"], "noordzee");
        holders[0]["holds"].as_str().unwrap().to_owned()
    };
    let feed = ["--feed", "feed.xml"];
    assert_eq!(list(&[], &[]), "unknown");
    assert_eq!(list(&[JANNEKE, JIP], &feed), "current");
    assert_eq!(list(&[JIPPIE, JANNEKE], &feed), "older");
    assert_eq!(list(&[JANNEKE], &feed), "nothing", "the person has left");
}

fn export(home: &Home, format: &str, more: &[&str]) -> Ran {
    home.run(&[&["log", "export", "data", "--format", format], more].concat())
}

#[test]
fn the_log_is_exported_as_lines() {
    let (home, _) = three_days();
    // A recipient whose id a spreadsheet would take for a formula cannot be configured; a refusal is in the log too.
    fs::write(home.path("other.xml"), pupils(&[JIP]).replace("99DE", "99DF")).unwrap();
    assert_eq!(home.minimise_file("99DE", &home.path("other.xml")).code, 3);
    let lines = export(&home, "jsonl", &[]);
    assert_eq!(lines.code, 0, "{}", lines.err);
    assert_no_secrets(&lines.out);
    let records: Vec<Value> = lines.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |kind: &str| records.iter().filter(|record| record["record"] == kind).count();
    assert_eq!(count("row"), 5);
    assert_eq!((count("outcome"), count("refusal")), (3, 1));
    let delivered = records.iter().filter(|record| record["record"] == "delivery");
    assert_eq!(delivered.map(|record| record["rows"].as_u64().unwrap()).sum::<u64>(), 5);
    let positions: Vec<_> = records.iter().map(|record| record["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted(), "in the order of the log");
    let row = records.iter().find(|record| record["record"] == "row").unwrap();
    assert_eq!((&row["recipient"], &row["subject"]), (&"noordzee".into(), &"leerling".into()));
    assert!(row["released"].as_array().unwrap().contains(&"leerling.roepnaam".into()));
    assert!(row["recorded"].as_str().unwrap().starts_with("2026-09-07T"), "{row}");

    let csv = export(&home, "csv", &[]);
    assert_eq!(csv.code, 0, "{}", csv.err);
    let table: Vec<Vec<&str>> =
        csv.out.split_terminator("\r\n").map(|line| line.split(',').collect()).collect();
    assert_eq!(table.len(), records.len() + 1);
    assert!(table.iter().all(|line| line.len() == 20), "no cell here needs quotes");
    for (line, record) in table[1..].iter().zip(&records) {
        assert_eq!(line[0], record["record"]);
        assert_eq!(line[15], record["handle"].as_str().unwrap_or_default());
    }
    let tuesday =
        export(&home, "jsonl", &["--from", "2026-09-08", "--until", "2026-09-08", "--school", "99DE"]);
    assert_eq!(tuesday.out.matches("\"record\":\"row\"").count(), 1, "{}", tuesday.out);
    assert_eq!(readings(&home), [5; 3]);
    assert_eq!(export(&home, "jsonl", &["--school", "99XX"]).code, 2);
    assert_eq!(export(&home, "jsonl", &["--otlp", "http://127.0.0.1:1"]).code, 2);
}

#[test]
fn an_export_needs_the_configuration_of_its_log() {
    let (home, _) = three_days();
    let (other, elsewhere) = (Home::new(), tempfile::tempdir().unwrap());
    let data = home.path("data").display().to_string();
    let run =
        |arguments: &[&str]| Ran::from(home.sluis(arguments).current_dir(elsewhere.path()).output().unwrap());
    assert_eq!(run(&["log", "export", &data, "--format", "csv"]).code, 0, "the one beside it is found");
    let config = other.path("sluis.toml").display().to_string();
    let ran = run(&["log", "export", &data, "--format", "csv", "--config", &config]);
    assert!(ran.code == 2 && ran.err.contains("is not the log of the configuration"), "{}", ran.err);
    fs::rename(home.path("data"), elsewhere.path().join("bare")).unwrap();
    let ran = run(&["log", "export", "bare", "--format", "csv"]);
    assert!(ran.code == 2 && ran.err.contains("--config"), "{}", ran.err);
}

/// All spans of requests, one request a line.
fn spans(requests: &str) -> Vec<Value> {
    let requests = requests.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    requests
        .flat_map(|request| request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone())
        .collect()
}

fn attribute_of<'s>(span: &'s Value, key: &str) -> Option<&'s str> {
    let attributes = span["attributes"].as_array().unwrap();
    attributes.iter().find(|one| one["key"] == key)?["value"]["stringValue"].as_str()
}

#[test]
fn there_is_a_line_for_each_data_subject() {
    let (home, _) = three_days();
    let ran = export(&home, "ldv", &["--register", "https://school.example/register/"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_no_secrets(&ran.out);
    let found = spans(&ran.out);
    let ids: HashSet<&str> = found.iter().map(|span| span["spanId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), found.len(), "each id once");
    let mut subjects = 0;
    for span in &found {
        let hex = |key: &str, digits: usize| {
            let text = span[key].as_str().unwrap();
            text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        assert!(hex("traceId", 32) && hex("spanId", 16), "{span}");
        if let Some(parent) = span["parentSpanId"].as_str() {
            assert!(ids.contains(parent), "a parent that is there: {span}");
        }
        let start: u64 = span["startTimeUnixNano"].as_str().unwrap().parse().unwrap();
        let end: u64 = span["endTimeUnixNano"].as_str().unwrap().parse().unwrap();
        assert!(start > 0 && start <= end && start.is_multiple_of(1_000_000));
        assert!(span["kind"].is_u64() && span["status"].is_object());
        assert!(!span["name"].as_str().unwrap().is_empty());
        let activity = attribute_of(span, "dpl.core.processing_activity_id").unwrap();
        assert!(
            activity.starts_with("https://school.example/register/") && activity.ends_with("/1"),
            "{activity}"
        );
        let known =
            ["dpl.core.processing_activity_id", "dpl.core.data_subject_id", "dpl.core.data_subject_id_type"];
        let attributes = span["attributes"].as_array().unwrap();
        assert!(
            attributes.iter().all(|one| known.contains(&one["key"].as_str().unwrap())),
            "nothing unadopted"
        );
        if let Some(subject) = attribute_of(span, "dpl.core.data_subject_id") {
            subjects += 1;
            assert_eq!(subject.len(), 32);
            let kind = attribute_of(span, "dpl.core.data_subject_id_type").unwrap();
            assert_eq!(kind, "https://sluis.example/betrokkene");
        }
    }
    assert_eq!(subjects, 5);
    assert_eq!(spans(&export(&home, "ldv", &["--register", "https://school.example/register"]).out), found);
}

/// A collector that answers each request in turn, and gives what it was posted.
fn collector(
    answers: Vec<(&'static str, &'static str)>,
) -> (String, thread::JoinHandle<Vec<(String, String)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let mut posted = Vec::new();
        for (status, answer) in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
            }
            let length = head
                .to_ascii_lowercase()
                .split("content-length: ")
                .nth(1)
                .map(|rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            let mut body = vec![0; length.unwrap()];
            reader.read_exact(&mut body).unwrap();
            posted.push((head, String::from_utf8(body).unwrap()));
            let length = answer.len();
            write!(
                reader.into_inner(),
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
            )
            .unwrap();
        }
        posted
    });
    (url, thread)
}

#[test]
fn a_collector_gets_every_span_or_it_is_said() {
    let home = Home::new();
    always(&home);
    let many: String = (0..1500)
        .map(|i| format!("<leerling key=\"{}\"><roepnaam>J</roepnaam></leerling>", 300_000 + i))
        .collect();
    deliver(&home, MONDAY, &feed(&format!("<leerlingen>{many}</leerlingen>")));
    let printed = spans(&export(&home, "ldv", &[]).out);
    assert!(printed.len() > 1500);

    let (url, thread) = collector(vec![("200 OK", "{}"), ("200 OK", "{\"partialSuccess\":{}}")]);
    let ran = export(&home, "ldv", &["--otlp", &url]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    assert!(ran.err.contains(&format!("{} spans taken", printed.len())), "{}", ran.err);
    let posted = thread.join().unwrap();
    for (head, _) in &posted {
        assert!(head.starts_with("POST /v1/traces HTTP/1.1") && head.contains("application/json"), "{head}");
    }
    let bodies: Vec<_> = posted.into_iter().map(|(_, body)| body).collect();
    assert_eq!(spans(&bodies.join("\n")), printed);
    assert!(bodies.iter().all(|body| spans(body).len() <= 1000));

    for (status, answer, expected) in [
        ("200 OK", "{\"partialSuccess\":{\"rejectedSpans\":\"7\"}}", "rejected 7 of"),
        ("200 OK", "{\"partialSuccess\":{\"rejectedSpans\":7}}", "rejected 7 of"),
        ("503 Service Unavailable", "", "status 503"),
        ("302 Found", "", "status 302"),
    ] {
        // One request: what failed is not tried again, and nothing follows it.
        let (url, thread) = collector(vec![(status, answer)]);
        let ran = export(&home, "ldv", &["--otlp", &url]);
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains(expected), "{expected} in {}", ran.err);
        assert_eq!(thread.join().unwrap().len(), 1);
    }
    for (url, expected) in [
        ("http://collector.example", "loopback only"),
        ("https://collector.example", "--ca"),
        ("ftp://127.0.0.1", "neither http"),
    ] {
        let ran = export(&home, "ldv", &["--otlp", url]);
        assert!(ran.code == 2 && ran.err.contains(expected), "{}", ran.err);
    }
    assert_eq!(export(&home, "ldv", &["--otlp", "http://127.0.0.1:1"]).code, 1);
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
