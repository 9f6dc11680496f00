//! What a recipient received, who is affected when it leaks, and who holds an older value.

use std::fs;

use serde_json::Value;

use super::{JANNEKE, JIP, JIPPIE, assert_no_secrets, attribute, inzage, json, pupils, readings, three_days};

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
    let found = json(&home.run_with(&arguments, &list));
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
    let bare = home.run_with(&["report", "lek", "--recipient", "noordzee", "--school", "99DE"], digits);
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
        let found = json(&home.run_with(&[&arguments, more].concat(), "100001"));
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
