//! What was sent about one person, as data, with the values that would leave now.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;

use super::{agreed, assert_no_secrets, delivered, jip, json, ok, report, rows, school, texts};

#[test]
fn what_was_sent_is_there_as_data() {
    let (home, _) = delivered();
    let rows = rows(&home);
    for key in ["100001", "100002", "100003"] {
        let handle = json(&home, "inzage", &[], key)["report"]["handles"][0][1].as_str().unwrap().to_owned();
        let told = json(&home, "dataportabiliteit", &[], key);
        assert!(
            told["report"]["note"].as_str().unwrap().contains("bewaart niet wat er in de gegevens stond")
        );
        let mut found = BTreeMap::new();
        for recipient in told["report"]["recipients"].as_array().unwrap() {
            assert!(recipient.get("now").is_none());
            for product in recipient["products"].as_array().unwrap() {
                for delivery in product["deliveries"].as_array().unwrap() {
                    let id = recipient["recipient"]["id"].as_str().unwrap();
                    found.insert(delivery["position"].as_u64().unwrap(), (id, &product["product"], delivery));
                }
            }
        }
        let own: Vec<&Value> = rows.iter().filter(|row| row["handle"] == handle).collect();
        assert_eq!(found.len(), own.len());
        for row in &own {
            let (recipient, product, delivery) = found[&row["position"].as_u64().unwrap()];
            assert_eq!(recipient, row["recipient"]);
            assert_eq!(*product, if recipient == "noordzee" { "Rekenroute" } else { "Taal <b>Actief</b>" });
            assert_eq!(delivery["recorded"], row["recorded"]);
            assert_eq!(delivery["fields"], row["released"]);
            assert_eq!(delivery["agreement"]["id"], row["agreement"]);
        }
        let csv = ok(report(&home, "dataportabiliteit", &["--format", "csv"], key));
        let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
        assert!(lines[0].starts_with("record,recipient,recipient_name,product,"), "{}", lines[0]);
        assert!(lines.iter().all(|line| line.split(',').count() == 17), "no cell here needs quotes");
        for (line, row) in lines[1..].iter().zip(&own) {
            let fields = texts(&row["released"]);
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!((cells[0], cells[5]), ("delivery", "out"));
            assert_eq!(cells[14].split(' ').collect::<BTreeSet<_>>(), fields);
        }
        assert_eq!(lines.len(), own.len() + 1);
    }
}

/// The values that would leave are those that leave, wherever the person stands in the feed.
#[test]
fn with_a_feed_there_are_the_values_that_would_leave_now() {
    let home = agreed();
    let others: Vec<String> = (0..600)
        .map(|i| {
            format!(
                "<leerling key=\"{}\"><roepnaam>Ander</roepnaam><groep key=\"g1\"/></leerling>",
                300_000 + i
            )
        })
        .collect();
    let jip = jip();
    let mut pupils: Vec<&str> = others.iter().map(String::as_str).collect();
    // One without a usable key is in the feed and does not leave: places in and out differ.
    pupils.insert(3, "<leerling><roepnaam>Niemand</roepnaam></leerling>");
    pupils.insert(300, &jip);
    fs::write(home.path("feed.xml"), school(&pupils)).unwrap();
    let values = |told: &Value, id: &str| -> BTreeMap<String, String> {
        let recipients = told["report"]["recipients"].as_array().unwrap();
        let recipient = recipients.iter().find(|one| one["recipient"]["id"] == id).unwrap();
        let values = recipient["now"]["values"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        values.map(|value| (text(&value["field"]), text(&value["value"]))).collect()
    };
    let told = json(&home, "dataportabiliteit", &["--feed", "feed.xml"], "100001");
    let recipients = told["report"]["recipients"].as_array().unwrap();
    assert_eq!(recipients.len(), 2, "those with an agreement in force");
    assert!(told["report"]["note_now"].is_string());
    let found = values(&told, "noordzee");
    let ran = home.minimise_file("99DE", &home.path("feed.xml"));
    let left = ok(ran);
    let own = left.split("<leerling ").find(|pupil| pupil.contains(">Jip<")).unwrap();
    let own = own.split("</leerling>").next().unwrap();
    for (field, value) in &found {
        let place = if field.starts_with("leerling.") { own } else { &left };
        assert!(place.contains(&format!("\"{value}\"")) || place.contains(&format!(">{value}<")), "{field}");
    }
    for (field, value) in [
        ("leerling.achternaam", "Jansen"),
        ("leerling.roepnaam", "Jip"),
        ("leerling.geboortedatum", "2018-01-01"),
        ("groep.naam", "Groep 4a"),
    ] {
        assert_eq!(found[field], value);
    }
    assert_eq!(own.matches("</").count() + own.matches("/>").count() + 2, found.len() - 2 - 1, "and no more");
    assert!(!found.contains_key("leerling.bsn"));
    let other = values(&told, "zuidzee");
    assert_ne!(other["leerling.eckid"], found["leerling.eckid"], "another pseudonym for another recipient");

    let told = json(&home, "dataportabiliteit", &["--feed", "feed.xml", "--leerkracht"], "200001");
    assert_eq!(values(&told, "noordzee")["leerkracht.achternaam"], "Juf");
    // Nobody of that name: nothing would leave, and nothing has.
    let told = json(&home, "dataportabiliteit", &["--feed", "feed.xml"], "100009");
    assert_eq!(told["report"]["recipients"], Value::Array(Vec::new()));
    fs::write(home.path("stuk.xml"), &school(&pupils)[..3000]).unwrap();
    for feed in ["stuk.xml", "weg.xml"] {
        let ran = report(&home, "dataportabiliteit", &["--feed", feed], "100001");
        assert!(ran.code == 2 && ran.out.is_empty() && ran.err.contains("the feed cannot be"), "{}", ran.err);
        assert_no_secrets(&ran.err);
    }
    // A page and a table hold them too; nothing of the sort is left behind.
    for form in ["html", "csv", "text"] {
        let out = ok(report(&home, "dataportabiliteit", &["--feed", "feed.xml", "--format", form], "100001"));
        assert!(out.contains("Jansen") && !out.contains("999990019") && !out.contains("100001"), "{out}");
    }
}
