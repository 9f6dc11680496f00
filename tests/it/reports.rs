//! Reports for people and machines: what they count is what the log exports, and a page is no more than a page.

mod agreed; // the overview, the register, the paragraph
mod documents; // the same, as PDF
mod pages; // one file that asks for nothing and runs nothing
mod portable; // what was sent, as data

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
};

use jiff::{
    Timestamp,
    civil::{Date, date},
};
use serde_json::Value;
use sluis::{
    clock::{Clock, SystemClock, day_of},
    config::Config,
    delivery::{Asked, Delivery},
    disclosure::{LeafKind, Log},
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

/// What no report may hold unless it is the person's own data: keys, a BSN, an ECK iD, names.
const SECRETS: &[&str] = &[
    "100001",
    "100002",
    "100003",
    "200001",
    "999990019",
    "ketenid.nl",
    "Jansen",
    "Jip",
    "Janneke",
    "Vries",
    "Teun",
    "Juf",
];
const REPORTS: &[&str] =
    &["inzage", "datalek", "dataportabiliteit", "ontvangers", "privacyverklaring", "verwerkingsregister"];

fn jip() -> String {
    let eckid = format!("https://ketenid.nl/pilot/{}", "a1".repeat(64));
    format!(
        "<leerling eckid=\"{eckid}\" key=\"100001\"><achternaam>Jansen</achternaam><roepnaam>Jip</roepnaam>\
         <geboortedatum>2018-03-04</geboortedatum><groep key=\"g1\"/><bsn>999990019</bsn></leerling>"
    )
}
const JANNEKE: &str =
    "<leerling key=\"100002\"><achternaam>Vries</achternaam><roepnaam>Janneke</roepnaam></leerling>";
const TEUN: &str = "<leerling key=\"100003\"><roepnaam>Teun</roepnaam></leerling>";

fn school(pupils: &[&str]) -> String {
    feed(&format!(
        "<groepen><groep key=\"g1\"><naam>Groep 4a</naam><jaargroep>4</jaargroep></groep></groepen>\
         <leerlingen>{}</leerlingen><leerkrachten><leerkracht key=\"200001\"><achternaam>Juf</achternaam>\
         <groepen><groep key=\"g1\"/></groepen></leerkracht></leerkrachten>",
        pupils.concat()
    ))
}

/// Two recipients in force, of which one has a name and a product to break a page with; one agreement that ended and one
/// that is to come.
fn agreed() -> Home {
    let home = Home::new();
    let recipient = |id: &str, name: &str| {
        format!(
            "\n[[recipient]]\nid = \"{id}\"\nname = \"{name}\"\ncertificate = {{ subject_alt_name = \"{id}.example\" }}\n"
        )
    };
    home.edit("sluis.toml", |text| {
        let text = text.replace("detail_days = 400", "detail_days = 3650");
        text.replace("rollup_days = 730", "rollup_days = 3650")
            + &recipient("zuidzee", "Zuidzee & Zn. <script>alert('x')</script>")
            + &recipient("westzee", "Westzee B.V.")
    });
    let path = "agreements/99DE-noordzee-rekenroute.toml";
    let template = fs::read_to_string(home.path(path)).unwrap();
    let valid = template.lines().find(|line| line.starts_with("valid")).unwrap().to_owned();
    let with = |id: &str, product: &str, from: &str, until: &str, more: &str| {
        let text = template.replace(&valid, &format!("valid = {{ from = {from}, until = {until} }}"));
        let text = text.replace("\"Rekenroute\"", &format!("\"{product}\""));
        let text = text.replace("99DE-noordzee-rekenroute", &format!("99DE-{id}-{from}"));
        let text = text.replace("\"noordzee\"", &format!("\"{id}\""));
        let text = text.replace("\n[release]", &format!("{more}\n[release]"));
        fs::write(home.path(&format!("agreements/{id}-{from}.toml")), text).unwrap();
    };
    fs::remove_file(home.path(path)).unwrap();
    let terms = "parties = { school = \"Stichting De Sluizen\", recipient = \"Noordzee B.V.\" }\n\
         contact = { school = \"fg@sluizen.example\", recipient = \"privacy@noordzee.example\" }\n\
         breach_contact = \"lek@noordzee.example\"\n\
         keeps = [{ what = \"scores\", months = 24, after = \"uitschrijving\" }]\n\
         sub_processors = [{ name = \"Mailbird\", does = \"e-mail\", location = [\"US\"] }]\n\
         location = [\"NL\", \"DE\"]\nsafeguard = { kind = \"standaardbepalingen\" }\n";
    with("noordzee", "Rekenroute", "2020-08-01", "2099-07-31", terms);
    with("zuidzee", "Taal <b>Actief</b>", "2020-08-01", "2099-07-31", "");
    with("westzee", "Lezen", "2020-08-01", "2021-07-31", "");
    with("westzee", "Schrijven", "2098-08-01", "2099-07-31", "");
    home
}

/// The same, with deliveries of three days. Gives what noordzee got last.
fn delivered() -> (Home, String) {
    let home = agreed();
    let jip = jip();
    let mut got = String::new();
    for (day, recipient, pupils) in [
        (MONDAY, "noordzee", &[&jip, JANNEKE][..]),
        (MONDAY, "zuidzee", &[&jip]),
        (TUESDAY, "noordzee", &[JANNEKE, TEUN]),
        (TUESDAY, "zuidzee", &[TEUN, &jip]),
        (WEDNESDAY, "noordzee", &[TEUN, JANNEKE, &jip]),
    ] {
        got = deliver(&home, day, recipient, &school(pupils));
    }
    (home, got)
}

fn deliver(home: &Home, day: Date, recipient: &str, document: &str) -> String {
    let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
    let clock: Arc<dyn Clock> = Hands::at(day);
    let log = Log::open(config.log_site(), clock.clone()).unwrap();
    let asked = Asked {
        school: config.school("99DE").unwrap(),
        dependance: None,
        recipient: config.recipient(recipient).unwrap(),
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

fn report(home: &Home, name: &str, more: &[&str], input: &str) -> Ran {
    home.run_with(&words(name, more), input)
}

fn words<'w>(name: &'w str, more: &[&'w str]) -> Vec<&'w str> {
    let about = match name {
        "correctie" | "inzage" | "dataportabiliteit" => &["--school", "99DE", "--by", "key"][..],
        "datalek" | "lek" | "leverancier" => &["--recipient", "noordzee"],
        _ => &["--school", "99DE"],
    };
    [&["report", name], about, more].concat()
}

fn ok(ran: Ran) -> String {
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

fn json(home: &Home, name: &str, more: &[&str], input: &str) -> Value {
    let out = ok(report(home, name, &[more, &["--format", "json"]].concat(), input));
    serde_json::from_str::<Value>(&out).unwrap()
}

/// The rows of an export that left, each with all of its line.
fn rows(home: &Home) -> Vec<Value> {
    let out = ok(home.run(&["log", "export", "data", "--format", "jsonl"]));
    let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["record"] == "row" && line["outcome"] == "released").collect()
}

fn texts(value: &Value) -> BTreeSet<&str> {
    value.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

fn assert_no_secrets(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn an_inzage_counts_what_the_log_exports() {
    let (home, _) = delivered();
    let rows = rows(&home);
    for key in ["100001", "100002", "100003"] {
        let told = json(&home, "inzage", &[], key);
        let report = &told["report"];
        let handle = report["handles"][0][1].as_str().unwrap();
        let own: Vec<&Value> = rows.iter().filter(|row| row["handle"] == handle).collect();
        let deliveries = report["deliveries"].as_array().unwrap();
        assert!(!own.is_empty() && deliveries.len() == own.len(), "{key}");
        for (delivery, row) in deliveries.iter().zip(&own) {
            assert_eq!(delivery["position"], row["position"]);
            assert_eq!(delivery["recipient"]["id"], row["recipient"]);
            assert_eq!(delivery["transaction"], row["transaction"]);
            assert_eq!(delivery["agreement"]["id"], row["agreement"]);
            assert_eq!(delivery["released"], row["released"]);
            assert_eq!(delivery["withheld"], row["withheld"]);
        }
        let page = ok(report_page(&home, "inzage", key));
        let text = ok(report_text(&home, key));
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        own.iter().for_each(|row| *times.entry(row["recipient"].as_str().unwrap()).or_default() += 1);
        for times in times.values() {
            for out in [&page, &text] {
                assert!(out.contains(&format!("{times} keer, ")), "{times} in {out}");
            }
        }
        assert!(page.contains(&format!("2. Alle verstrekkingen ({})", own.len())), "{page}");
        assert_eq!(page.matches("class=\"many\"").count(), 1);
    }
    // What was agreed, and what was not, is told with it.
    let told = json(&home, "inzage", &[], "100001");
    let agreements = told["report"]["agreements"].as_array().unwrap();
    assert_eq!(agreements.len(), 2);
    assert_eq!(agreements[0]["terms"]["keeps"][0]["months"], 24);
    assert_eq!(agreements[0]["third_countries"], serde_json::json!(["US"]));
    assert_eq!(agreements[1]["terms"]["contact"], Value::Null);
    assert_eq!(told["report"]["automated_decisions"], false);
    let text = ok(report(&home, "inzage", &[], "100001"));
    for expected in [
        "doel: Verstrekken en ter beschikking stellen van (digitale) leermiddelen",
        "ontvanger bewaart: scores: tot 2 jaar na de dag waarop de leerling van school gaat",
        "ontvanger bewaart: niet vastgelegd",
        "land van opslag: Nederland en Duitsland",
        "buiten de EER: ja, Verenigde Staten; waarborg: standaardbepalingen",
        "buiten de EER: niet vastgelegd",
        "bron: de leerlingadministratie van de school",
        "3650 dagen na het einde van hun maand",
        "Sluis neemt geen besluiten over personen",
        "Rectificatie",
        "Verwijdering",
        "Beperking",
        "Bezwaar",
        "Intrekken van toestemming",
        "contact over privacy en FG: fg@sluizen.example",
        "Postbus 93374, 2509 AJ Den Haag",
        "Westzee B.V. (Schrijven)",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
}

fn report_text(home: &Home, key: &str) -> Ran {
    report(home, "inzage", &[], key)
}

fn report_page(home: &Home, name: &str, input: &str) -> Ran {
    report(home, name, &["--format", "html"], input)
}

/// Since 1970 in milliseconds.
fn ms(row: &Value) -> u64 {
    let recorded: Timestamp = row["recorded"].as_str().unwrap().parse().unwrap();
    u64::try_from(recorded.as_millisecond()).unwrap()
}

/// What a breach report says, against rows counted here.
fn assert_breach(report: &Value, rows: &[&Value]) {
    let persons = |subject: &str| {
        let own = rows.iter().filter(|row| row["subject"] == subject);
        own.map(|row| row["handle"].as_str().unwrap()).collect::<BTreeSet<_>>()
    };
    assert_eq!(report["pupils"], persons("leerling").len());
    assert_eq!(report["staff"], persons("leerkracht").len());
    let deliveries: BTreeSet<&str> = rows.iter().map(|row| row["delivery"].as_str().unwrap()).collect();
    assert_eq!(report["deliveries"], deliveries.len());
    assert_eq!(report["first_ms"].as_u64(), rows.iter().map(|row| ms(row)).min());
    assert_eq!(report["last_ms"].as_u64(), rows.iter().map(|row| ms(row)).max());
    let mut fields: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        for field in texts(&row["released"]) {
            fields.entry(field).or_default().insert(row["handle"].as_str().unwrap());
        }
    }
    let told: BTreeMap<&str, usize> = report["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| (field["field"].as_str().unwrap(), field["persons"].as_u64().unwrap() as usize))
        .collect();
    assert_eq!(told, fields.iter().map(|(&field, persons)| (field, persons.len())).collect());
}

#[test]
fn a_breach_counts_what_the_log_exports() {
    let (home, got) = delivered();
    let rows = rows(&home);
    let noordzee = |days: &[Date]| -> Vec<&Value> {
        let own = rows.iter().filter(|row| row["recipient"] == "noordzee" && days.contains(&day_of(ms(row))));
        own.collect()
    };
    for (more, days) in [
        (&[][..], &[MONDAY, TUESDAY, WEDNESDAY][..]),
        (&["--school", "99DE"], &[MONDAY, TUESDAY, WEDNESDAY]),
        (&["--from", "2026-09-08"], &[TUESDAY, WEDNESDAY]),
        (&["--until", "2026-09-07"], &[MONDAY]),
        (&["--from", "2026-09-08", "--until", "2026-09-08"], &[TUESDAY]),
    ] {
        let told = json(&home, "datalek", more, "");
        let report = &told["report"];
        assert_eq!(report["listed"], Value::Null);
        assert_breach(report, &noordzee(days));
        assert_eq!(report["schools"].as_array().unwrap().len(), 1);
        assert_eq!(report["schools"][0]["pupils"], report["pupils"]);
        assert_eq!(report["agreements"][0]["terms"]["breach_contact"], "lek@noordzee.example");
        assert_eq!(report["special"], false);
    }
    let none = json(&home, "datalek", &["--until", "2026-09-06"], "");
    assert_eq!((&none["report"]["pupils"], &none["report"]["first_ms"]), (&0.into(), &Value::Null));
    assert_eq!(report(&home, "datalek", &["--school", "99XX"], "").code, 2);
    assert_eq!(report(&home, "datalek", &["--from", "2026-09-08", "--until", "2026-09-01"], "").code, 2);

    // The pseudonyms of the pupil who came last, a token of the one before, and one that nobody was given.
    let pupil = |at: usize, name: &str| {
        let pupil = got.split("<leerling ").nth(at).unwrap();
        pupil.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let list = format!("{}\n{}\n{}\n", pupil(3, "eckid"), pupil(2, "key"), "0".repeat(128));
    let told = json(&home, "datalek", &["--pseudonyms"], &list);
    assert_eq!(
        told["report"]["listed"],
        serde_json::json!({ "given": 3, "known": 2, "unknown": 1, "untraceable": 0 })
    );
    let handles = ["100001", "100002"].map(|key| {
        let told = json(&home, "inzage", &[], key);
        told["report"]["handles"][0][1].as_str().unwrap().to_owned()
    });
    let own = |row: &&&Value| handles.iter().any(|handle| row["handle"] == **handle);
    let all = noordzee(&[MONDAY, TUESDAY, WEDNESDAY]);
    assert_breach(&told["report"], &all.iter().filter(own).copied().collect::<Vec<_>>());
    // The same persons as `lek` has one by one.
    let leak = json(&home, "lek", &[], &list);
    assert_eq!(leak["report"]["affected"].as_array().unwrap().len(), 2);

    let text = ok(report(&home, "datalek", &[], ""));
    for expected in [
        "aantal leerlingen: 3",
        "aantal leerkrachten: 1",
        "verstrekkingen: 3",
        "eerste verstrekking: 7 september 2026",
        "laatste verstrekking: 9 september 2026",
        "meldpunt datalekken: lek@noordzee.example",
        "Interne melding: binnen 24 uur",
        "Melding aan de Autoriteit Persoonsgegevens: binnen 72 uur",
        "burgerservicenummer (BSN): nee, niet verstrekt",
        "De ECK iD is vervangen door een",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let page = ok(report_page(&home, "datalek", ""));
    for (name, number) in [("Aantal leerlingen", 3), ("Aantal leerkrachten", 1), ("Verstrekkingen", 3)] {
        assert!(page.contains(&format!("<dt>{name}</dt><dd>{number}</dd>")), "{name} in {page}");
    }
    let roepnaam = "Roepnaam</th><td>leerling</td><td>Contactgegevens</td><td>3</td>";
    assert!(page.contains(roepnaam), "{roepnaam} in {page}");
}

/// Months whose rows have gone by the retention rule are part of a breach, and of a leak.
#[test]
fn a_breach_reaches_as_far_as_the_summaries() {
    let home = agreed();
    home.edit("sluis.toml", |text| text.replace("detail_days = 3650", "detail_days = 400"));
    let first = SystemClock.today().saturating_sub(jiff::Span::new().days(500)).first_of_month();
    let jip = jip();
    deliver(&home, first, "noordzee", &school(&[&jip, JANNEKE]));
    deliver(&home, first, "zuidzee", &school(&[TEUN]));
    let got = deliver(&home, SystemClock.today(), "noordzee", &school(&[&jip]));
    assert_eq!(home.run(&["log", "retain"]).code, 0);
    let told = json(&home, "datalek", &[], "");
    let report = &told["report"];
    assert_eq!((&report["pupils"], &report["staff"]), (&2.into(), &1.into()), "{report}");
    assert_eq!(report["summarised"], true);
    assert_eq!(day_of(report["first_ms"].as_u64().unwrap()), first);
    assert_eq!(report["agreements"].as_array().unwrap().len(), 1);
    let eckid = got.split("eckid=\"").nth(1).unwrap().split('"').next().unwrap();
    let leak = json(&home, "lek", &[], eckid);
    let affected = &leak["report"]["affected"];
    assert_eq!(affected.as_array().unwrap().len(), 1);
    assert_eq!(affected[0]["deliveries"], 2);
    assert_eq!(day_of(affected[0]["first_ms"].as_u64().unwrap()), first);
    let portable = json(&home, "dataportabiliteit", &[], "100002");
    let product = &portable["report"]["recipients"][0]["products"][0];
    assert_eq!((&product["product"], &product["months"][0]["times"]), (&"Rekenroute".into(), &1.into()));
}

#[test]
fn no_report_holds_what_it_is_not_asked_for() {
    let (home, _) = delivered();
    for name in REPORTS {
        for form in ["html", "json", "text"] {
            let ran = report(&home, name, &["--format", form], "100001");
            assert_no_secrets(&(ok(ran)));
        }
    }
    assert_no_secrets(&ok(report(&home, "dataportabiliteit", &["--format", "csv"], "100001")));
}

#[test]
fn a_reading_is_on_record_and_what_needs_none_is_not() {
    let (home, _) = delivered();
    let readings = || {
        let leaves = home.leaves();
        let own = leaves.iter().filter(|leaf| leaf.kind == LeafKind::LogRead);
        own.map(|leaf| (leaf.status, Uuid::from_bytes(leaf.transaction).to_string())).collect::<Vec<_>>()
    };
    for (name, kind) in [("inzage", 1), ("datalek", 3), ("dataportabiliteit", 6)] {
        let before = readings().len();
        let told = json(&home, name, &[], "100001");
        let page = ok(report_page(&home, name, "100001"));
        let after = readings();
        assert_eq!(after.len(), before + 2);
        assert_eq!(after[before], (kind, told["reference"].as_str().unwrap().to_owned()));
        assert_eq!(after[before + 1].0, kind);
        assert!(page.contains(&after[before + 1].1), "the reference is on the page");
    }
    // While another process has the log, those that read it are refused and the others are there.
    let before = home.leaves().len();
    let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
    let log = Log::open(config.log_site(), Arc::new(SystemClock)).unwrap();
    for name in ["inzage", "datalek", "dataportabiliteit"] {
        let ran = report(&home, name, &[], "100001");
        assert!(ran.code == 1 && ran.out.is_empty() && ran.err.contains("takes no requests"), "{}", ran.err);
    }
    for name in ["ontvangers", "privacyverklaring", "verwerkingsregister"] {
        assert_eq!(json(&home, name, &[], "")["reference"], Value::Null);
    }
    log.close();
    assert_eq!(home.leaves().len() - before, 1, "that the log was opened, by this test");
}

/// Whoever objected got nothing sent; that deliveries held it back is told, and is no delivery.
#[test]
fn what_was_held_back_is_not_counted_as_sent() {
    let home = agreed();
    let jip = jip();
    deliver(&home, SystemClock.today(), "noordzee", &school(&[&jip, JANNEKE]));
    let words =
        ["rights", "add", "--kind", "bezwaar", "--decided-by", "ouder", "--by", "key", "--school", "99DE"];
    assert_eq!(home.run_with(&words, "100001").code, 0);
    deliver(&home, SystemClock.today(), "noordzee", &school(&[&jip, JANNEKE]));
    let text = ok(report_text(&home, "100001"));
    let expected = "hoe vaak: 1 keer, op ";
    assert!(text.contains(expected), "{expected} in {text}");
    assert!(text.contains("; 1 keer is alles over deze persoon tegengehouden"), "{text}");
    let portable = json(&home, "dataportabiliteit", &[], "100001");
    let deliveries = &portable["report"]["recipients"][0]["products"][0]["deliveries"];
    assert_eq!(deliveries.as_array().unwrap().len(), 1);
    let all = rows(&home);
    let breach = json(&home, "datalek", &[], "");
    assert_breach(&breach["report"], &all.iter().collect::<Vec<_>>());
    // Nor would anything leave now.
    fs::write(home.path("feed.xml"), school(&[&jip])).unwrap();
    let told = json(&home, "dataportabiliteit", &["--feed", "feed.xml"], "100001");
    assert_eq!(told["report"]["recipients"][0]["now"], Value::Null);
}
