//! Real messages against the official schemas, where `SLUIS_REFERENCE` names a folder that holds both.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::home::Home;

const SMALLE_SET: &[(&str, &str)] = &[
    ("leerling.achternaam", "pass"),
    ("leerling.voorvoegsel", "pass"),
    ("leerling.roepnaam", "pass"),
    ("leerling.geboortedatum", "pass"),
    ("leerling.jaargroep", "pass"),
    ("leerling.groep", "pass"),
    ("leerling.samengestelde_groepen", "pass"),
    ("groep.naam", "pass"),
    ("groep.jaargroep", "pass"),
    ("samengestelde_groep.naam", "pass"),
    ("leerkracht.achternaam", "pass"),
    ("leerkracht.voorvoegsel", "pass"),
    ("leerkracht.roepnaam", "pass"),
    ("leerkracht.emailadres", "pass"),
    ("leerkracht.groepen", "pass"),
    ("leerkracht.groepen.rol", "pass"),
    ("leerkracht.groepen.rolomschrijving", "pass"),
];

fn reference() -> Option<PathBuf> {
    let folder = std::env::var_os("SLUIS_REFERENCE").map(PathBuf::from)?;
    folder.join("samples/uwlr").is_dir().then_some(folder)
}

/// The message of an envelope, as a document of its own, in the namespace the UWLR schema validates.
fn message(output: &str) -> String {
    let namespace = "http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens";
    match output.split_once("<soapenv:Body>") {
        Some((_, rest)) => rest.split_once("</soapenv:Body>").unwrap().0.to_owned(),
        None => {
            let (_, rest) = output.split_once("<EDEX").unwrap();
            let (_, rest) = rest.split_once('>').unwrap();
            let inside = rest.split_once("</EDEX>").unwrap().0;
            format!(
                "<leerlinggegevens_antwoord xmlns=\"{namespace}\"><leerlinggegevens>{inside}</leerlinggegevens>\
                 </leerlinggegevens_antwoord>"
            )
        }
    }
}

fn assert_valid(message: &str, schema: &Path, sample: &Path) {
    let file = tempfile::Builder::new().suffix(".xml").tempfile().unwrap();
    std::fs::write(file.path(), message).unwrap();
    let ran = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .arg(schema)
        .arg(file.path())
        .output();
    let ran = ran.expect("xmllint is installed by tests/run");
    assert!(
        ran.status.success(),
        "{}: {}\n{message}",
        sample.display(),
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// Values of the source that the agreement does not name, and that stand nowhere else in it.
const UNNAMED: &[&str] = &[
    "999990019",
    "100000004",
    "999990020",
    "10042100124",
    "133456785",
    "13345678512",
    "2731",
    "0321",
    "0019",
    "100001",
    "#003",
    "aaaaaaaaaa",
    "eckid_L",
    "LL_1234",
    "fictie.testman",
    "Fictie Voorbeeld",
    "Ismaël",
    "9999XX",
    "B-9999",
    "6971VB",
    "foto",
    "FictiefLAS",
    "Voorbeeld Auteur",
    "author",
    "comments",
    "Vestiging",
    "Hoofdlocatie",
    "juf Testina",
    "This is class",
    "dinsdagmiddag",
    "mutatiedatum",
    "Opmerking",
    "jtestina",
    "Manusje",
    "41323",
];

#[test]
fn real_messages_come_out_valid_and_small() {
    let Some(reference) = reference() else {
        return; // tests/run says so
    };
    let schemas = reference.join("reference/uwlr-2.2/Schemas");
    let plain = schemas.join("UWLR_Leerlinggegevens_v2p2.xsd");
    let profile = schemas.join("Profiel smalle set/Profiel_Smalle_set_UWLR_Leerlinggegevens_v2p2.xsd");
    let mut seen = 0;
    for folder in ["samples/uwlr", "samples/edexml"] {
        for entry in std::fs::read_dir(reference.join(folder)).unwrap() {
            let sample = entry.unwrap().path();
            let name = sample.file_name().unwrap().to_str().unwrap();
            if !(name.contains("antwoord") || name.starts_with("EDEXML")) {
                let ran = Home::of_school("99ZZ").minimise_file("99ZZ", &sample);
                assert!(ran.code != 0 && ran.out.is_empty(), "{name} is no feed: {ran:?}");
                continue;
            }
            let brin = if name.contains("testcorrect") { "99DE" } else { "99ZZ" };
            let home = Home::new();
            home.release(SMALLE_SET);
            let home = if brin == "99DE" { home } else { rename(home, brin) };
            let ran = home.minimise_file(brin, &sample);
            assert_eq!(ran.code, 0, "{name}: {}", ran.err);
            let message = message(&ran.out);
            assert_valid(&message, &plain, &sample);
            if message.contains("leerlinggegevens_antwoord") {
                assert_valid(&message, &profile, &sample);
            }
            let plain_values = strip_pseudonyms(&ran.out);
            for value in UNNAMED {
                assert!(!plain_values.contains(value), "{name}: {value} left");
            }
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen} messages");
}

fn rename(home: Home, brin: &str) -> Home {
    let agreement = std::fs::read_to_string(home.path("agreements/99DE-noordzee-rekenroute.toml")).unwrap();
    let other = Home::of_school(brin);
    other.edit("agreements/99DE-noordzee-rekenroute.toml", |_| agreement.replace("99DE", brin));
    other
}

/// Tokens and pseudonyms are random to the eye: any short value may stand in one by chance.
fn strip_pseudonyms(output: &str) -> String {
    let mut rest = output;
    let mut plain = String::new();
    while let Some(at) = rest.find("key=\"").into_iter().chain(rest.find("eckid=\"")).min() {
        plain.push_str(&rest[..at]);
        let value = &rest[at..];
        let open = value.find('"').unwrap() + 1;
        let close = value[open..].find('"').unwrap() + open;
        rest = &value[close + 1..];
    }
    plain + rest
}
