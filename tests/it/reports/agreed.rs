//! What a school agreed with whom: the overview, the register, the paragraph for the privacy statement.

use std::fs;

use super::{agreed, json, ok, report};

#[test]
fn what_was_agreed_is_told_as_it_stands() {
    let home = agreed();
    let told = json(&home, "ontvangers", &[], "");
    let validity: Vec<(&str, &str)> = told["report"]["agreements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["product"].as_str().unwrap(), entry["validity"].as_str().unwrap()))
        .collect();
    let expected = [
        ("Rekenroute", "in-force"),
        ("Taal <b>Actief</b>", "in-force"),
        ("Schrijven", "future"),
        ("Lezen", "ended"),
    ];
    assert_eq!(validity, expected);
    // What is for everybody is no more than that.
    let out = ok(report(&home, "ontvangers", &["--format", "json"], ""));
    assert!(
        !out.contains("lek@noordzee.example") && !out.contains("sha256") && !out.contains("author"),
        "{out}"
    );
    let told = json(&home, "verwerkingsregister", &[], "");
    let entry = &told["report"]["agreements"][0];
    assert_eq!(entry["terms"]["breach_contact"], "lek@noordzee.example");
    assert_eq!(entry["persons"], serde_json::json!(["leerlingen", "leerkrachten"]));
    assert!(
        entry["fields"]
            .as_array()
            .unwrap()
            .iter()
            .any(|field| { field["field"] == "leerling.geboortedatum" && field["treatment"] == "year" })
    );
    let check = |name: &str, expected: &[&str], not: &[&str]| {
        let text = ok(report(&home, name, &[], ""));
        for part in expected {
            assert!(text.contains(part), "{part} in {text}");
        }
        for part in not {
            assert!(!text.contains(part), "{part} in {text}");
        }
    };
    check(
        "ontvangers",
        &[
            "geldt nu, tot en met 31 juli 2099",
            "beëindigd op 31 juli 2021",
            "gaat in op 1 augustus 2098",
            "Overeenkomsten die zijn beëindigd",
            "ontvanger: Uitgeverij Noordzee (Noordzee B.V.)",
            "bewaren: scores: tot 2 jaar na",
            "bewaren: niet vastgelegd",
            "werken mee: Mailbird (e-mail; Verenigde Staten)",
            "soorten gegevens: Contactgegevens, Onderwijsdeelnemernummer (alleen als code)",
        ],
        &["lek@noordzee.example"],
    );
    check(
        "verwerkingsregister",
        &[
            "verwerkingsverantwoordelijke: Stichting De Sluizen",
            "contact en functionaris gegevensbescherming: fg@sluizen.example",
            "betrokkenen: leerlingen, leerkrachten",
            "Geboortedatum (alleen het jaar)",
            "bijzondere gegevens: worden niet verstrekt",
            "buiten de EER: ja, Verenigde Staten; waarborg: standaardbepalingen",
            "contact bij een datalek: niet vastgelegd",
            "Pseudoniemen:",
            "Beveiligde verbinding:",
            "Bewijsbaar logboek:",
        ],
        &[],
    );
    check(
        "privacyverklaring",
        &["Uitgeverij Noordzee (Noordzee B.V.), voor Rekenroute", "Bewaren: niet vastgelegd.", "Uw rechten"],
        &["Lezen", "Schrijven"],
    );
    assert_eq!(home.run(&["report", "ontvangers", "--school", "99XX"]).code, 2);
    // What somebody has to approve of first is not in force.
    home.edit("agreements/zuidzee-2020-08-01.toml", |text| {
        text.replace("\n[release]", "author = \"a\"\n[release]")
    });
    check("ontvangers", &["wacht op goedkeuring", "Overeenkomsten die wachten op goedkeuring"], &[]);
    check("privacyverklaring", &["voor Rekenroute"], &["Taal"]);
    // Without any agreement in force nothing is promised.
    for id in ["noordzee", "zuidzee"] {
        fs::remove_file(home.path(&format!("agreements/{id}-2020-08-01.toml"))).unwrap();
    }
    check(
        "privacyverklaring",
        &["geeft op dit moment via Sluis geen gegevens aan leveranciers"],
        &["Uw rechten"],
    );
    check("ontvangers", &["Er geldt nu geen overeenkomst"], &[]);
}
