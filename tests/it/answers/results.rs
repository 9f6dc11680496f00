//! Results that a supplier brought: told to whom they are about, and nothing that the supplier received.

use std::fs;

use serde_json::Value;

use super::{JANNEKE, JIP, always, assert_no_secrets, export::export, inzage, json, pupils, report};
use crate::{
    home::Home,
    results::inside,
    served::{ASK, FakeLas, Served, attribute, post, request, write_xml},
};

/// A gateway that has passed a feed with Jip and Janneke, and results of Jip back; gives Jip's pseudonym too.
fn with_results(identity: &str) -> (Home, String) {
    let home = Home::new();
    always(&home);
    home.edit("sluis.toml", |text| {
        text.replace("brin = \"99DE\"", &format!("brin = \"99DE\"\nidentity = \"{identity}\""))
    });
    let janneke = JANNEKE.replace("</leerling>", "<bsn>111222333</bsn></leerling>");
    let document = pupils(&[JIP, &janneke]);
    fs::write(home.path("feed.xml"), &document).unwrap();
    let las = FakeLas::at_once(move |request, stream| {
        let confirmation = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
             <leerresultaten_bevestiging xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerresultaten\"/></s:Body>\
             </s:Envelope>";
        write_xml(stream, if request.contains("leerresultaten_verzoek") { confirmation } else { &document });
    });
    let served = Served::start(&home, &las);
    let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
    let eckid = attribute(&got.text, "leerling", "eckid").to_owned();
    let results = inside(attribute(&got.text, "leerling", "key"));
    let got = post(&home, &served, &request(&home, "leerresultaten_verzoek", &results));
    assert_eq!(got.status, 200, "{}", got.text);
    served.stop();
    (home, eckid)
}

fn is_results(delivery: &Value) -> bool {
    let fields = delivery["released"].as_array().unwrap();
    let of_results = fields.iter().filter(|name| name.as_str().unwrap().starts_with("toetsafname.")).count();
    assert!(of_results == 0 || of_results == fields.len(), "{delivery}");
    assert_eq!(of_results > 0, delivery["results"].as_bool().unwrap(), "{delivery}");
    of_results > 0
}

/// In each delivery of an inzage: whether it was one of results.
fn told(home: &Home, by: &str, given: &str, more: &[&str]) -> Vec<bool> {
    let found = json(&inzage(home, by, given, &[more, &["--format", "json"]].concat()));
    found["report"]["deliveries"].as_array().unwrap().iter().map(is_results).collect()
}

#[test]
fn results_are_told_to_whom_they_are_about_and_were_not_received() {
    let (home, eckid) = with_results("las-key");
    assert_eq!(told(&home, "key", "100001", &[]), [false, true]);
    assert_eq!(told(&home, "key", "100002", &[]), [false], "Janneke had none");
    let text = inzage(&home, "key", "100001", &[]);
    let part = "Uitgeverij Noordzee: leerresultaten aan de school\n  hoe vaak: 1 keer";
    assert!(text.out.contains(part) && !text.out.contains("Niet volledig"), "{}", text.out);
    assert_no_secrets(&text.out);

    let received = report(&home, &["leverancier", "--recipient", "noordzee"], "");
    let school = &received["schools"][0];
    assert_eq!((&school["sent"], &school["pupils"]), (&1.into(), &2.into()));
    let fields = school["fields"].as_array().unwrap();
    assert!(fields.iter().all(|field| field["field"].as_str().unwrap().starts_with("leerling.")), "{school}");

    let leaked = report(&home, &["lek", "--recipient", "noordzee"], &eckid);
    assert_eq!(leaked["affected"][0]["deliveries"], 1, "{leaked}");
    assert_eq!(told(&home, "eckid", &eckid, &[]), [false, true]);

    let handle = json(&inzage(&home, "key", "100001", &["--format", "json"]));
    let handle = handle["report"]["handles"][0][1].as_str().unwrap().to_owned();
    let lines = export(&home, "jsonl", &[]);
    let lines: Vec<Value> = lines.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let own = lines.iter().filter(|line| line["handle"] == handle.as_str());
    assert_eq!(own.map(|line| line["direction"].as_str().unwrap()).collect::<Vec<_>>(), ["out", "in"]);

    let list =
        report(&home, &["correctie", "--school", "99DE", "--by", "key", "--feed", "feed.xml"], "100001");
    let holders = list["holders"].as_array().unwrap();
    assert_eq!(holders.len(), 1);
    assert_eq!(holders[0]["holds"], "current", "what was brought is not what was received");
}

/// Results stand under the key. Whoever asks by another identifier is told that they may be missing, or gives a feed.
#[test]
fn where_pseudonyms_are_not_made_from_keys_a_feed_leads_to_the_results() {
    let (home, eckid) = with_results("pgn");
    assert_eq!(told(&home, "pgn", "999990019", &[]), [false]);
    let text = inzage(&home, "pgn", "999990019", &[]);
    assert!(text.out.contains("Niet volledig\n") && text.out.contains("leerresultaten"), "{}", text.out);
    assert_no_secrets(&text.out);
    for (by, given) in [("pgn", "999990019"), ("key", "100001"), ("eckid", &eckid)] {
        assert_eq!(told(&home, by, given, &["--feed", "feed.xml"]), [false, true], "{by}");
        let text = inzage(&home, by, given, &["--feed", "feed.xml"]);
        assert!(!text.out.contains("Niet volledig"), "{}", text.out);
    }
    assert_eq!(told(&home, "pgn", "111222333", &["--feed", "feed.xml"]), [false], "Janneke had none");

    // Nor is a part of the person that cannot be looked up taken for gone.
    let erase = |more: &[&str]| {
        home.run_with(&[&["log", "erase", "--school", "99DE", "--by", "pgn"], more].concat(), "999990019")
    };
    let ran = erase(&[]);
    assert!(ran.code == 1 && ran.err.contains("the log may have more of this person"), "{}", ran.err);
    let ran = erase(&["--feed", "feed.xml"]);
    assert!(!ran.err.contains("may have more"), "{}", ran.err);
}
