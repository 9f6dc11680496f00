//! Real messages against the official schemas, where `SLUIS_REFERENCE` names a folder that holds both.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    home::Home,
    served::{ASK, FakeLas, Served, attribute, post, request, write_xml},
};

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

/// The feeds among the samples, with the school each is about; the other messages where `feeds` is false.
fn samples(reference: &Path, feeds: bool) -> Vec<(PathBuf, &'static str)> {
    let mut samples = Vec::new();
    for folder in ["samples/uwlr", "samples/edexml"] {
        for entry in std::fs::read_dir(reference.join(folder)).unwrap() {
            let sample = entry.unwrap().path();
            let name = sample.file_name().unwrap().to_str().unwrap();
            let brin = if name.contains("testcorrect") { "99DE" } else { "99ZZ" };
            if (name.contains("antwoord") || name.starts_with("EDEXML")) == feeds {
                samples.push((sample, brin));
            }
        }
    }
    samples
}

/// A working directory of the school, with an agreement for the smalle set.
fn smalle_set(brin: &str) -> Home {
    let home = Home::new();
    home.release(SMALLE_SET);
    if brin == "99DE" { home } else { rename(home, brin) }
}

/// Valid by the official schemas, and nothing in it that the agreement does not name.
fn assert_small(output: &str, reference: &Path, sample: &Path) {
    let schemas = reference.join("reference/uwlr-2.2/Schemas");
    let message = message(output);
    assert_valid(&message, &schemas.join("UWLR_Leerlinggegevens_v2p2.xsd"), sample);
    if message.contains("leerlinggegevens_antwoord") {
        let profile = "Profiel smalle set/Profiel_Smalle_set_UWLR_Leerlinggegevens_v2p2.xsd";
        assert_valid(&message, &schemas.join(profile), sample);
    }
    let plain_values = strip_pseudonyms(output);
    for value in UNNAMED {
        assert!(!plain_values.contains(value), "{}: {value} left", sample.display());
    }
}

#[test]
fn real_messages_come_out_valid_and_small() {
    let Some(reference) = reference() else {
        return; // tests/run says so
    };
    let feeds = samples(&reference, true);
    assert!(feeds.len() >= 10, "{} messages", feeds.len());
    for (sample, brin) in feeds {
        let ran = smalle_set(brin).minimise_file(brin, &sample);
        assert_eq!(ran.code, 0, "{}: {}", sample.display(), ran.err);
        assert_small(&ran.out, &reference, &sample);
    }
    for (sample, brin) in samples(&reference, false) {
        let ran = Home::of_school(brin).minimise_file(brin, &sample);
        assert!(ran.code != 0 && ran.out.is_empty(), "{} is no feed: {ran:?}", sample.display());
    }
}

#[test]
fn real_messages_pass_the_gateway_valid_and_small() {
    let Some(reference) = reference() else {
        return; // tests/run says so
    };
    let feeds = samples(&reference, true);
    for (sample, brin) in &feeds {
        let document = std::fs::read_to_string(sample).unwrap();
        if !document.contains("Envelope") {
            continue; // a file, which nobody asks for
        }
        let operation = ["structuur", "leerlingen", "leerkrachten"]
            .into_iter()
            .find(|name| document.contains(&format!("{name}_antwoord")))
            .unwrap_or("leerlinggegevens");
        let home = smalle_set(brin);
        let served = Served::start(&home, &FakeLas::answering(document));
        let asked = request(&home, &format!("{operation}_verzoek"), &ASK.replace("99DE", brin));
        let got = post(&home, &served, &asked);
        assert_eq!(got.status, 200, "{}: {}", sample.display(), got.text);
        assert_small(&unchunked(&got.text), &reference, sample);
    }
}

/// A real message of results, with the pseudonyms that its supplier was given: the LAS gets it as it was, and valid.
#[test]
fn real_results_find_their_way_back() {
    let Some(reference) = reference() else {
        return; // tests/run says so
    };
    let read = |name: &str| std::fs::read_to_string(reference.join("samples/uwlr").join(name)).unwrap();
    let home = smalle_set("99ZZ");
    let feed = read("03-antwoord-smalle-set-2.2.xml");
    let confirmation = read("14-brengleerresultaten-bevestiging.xml");
    let las = FakeLas::at_once(move |request, stream| {
        let results = request.contains("leerresultaten_verzoek");
        write_xml(stream, if results { &confirmation } else { &feed });
    });
    let served = Served::start(&home, &las);
    let asked = request(&home, "leerlinggegevens_verzoek", &ASK.replace("99DE", "99ZZ"));
    let got = unchunked(&post(&home, &served, &asked).text);
    let results = read("13-brengleerresultaten-verzoek.xml");
    let (_, inside) = results.split_once("leerresultaten\">").unwrap();
    let (inside, _) = inside.split_once("</leerresultaten_verzoek>").unwrap();
    let (before, after) = inside.split_once("<eckid>").unwrap();
    let (_, after) = after.split_once("</eckid>").unwrap();
    let eckid = format!("<eckid>{}</eckid>", attribute(&got, "leerling", "eckid"));
    let given = format!("{before}{eckid}{after}")
        .replace(">100001<", &format!(">{}<", attribute(&got, "leerling", "key")))
        .replace(">LK1<", &format!(">{}<", attribute(&got, "leerkracht", "key")));
    let got = post(&home, &served, &request(&home, "leerresultaten_verzoek", &given));
    assert_eq!(got.status, 200, "{}", got.text);
    let sent = las.requests.lock().unwrap().last().unwrap().clone();
    for back in
        [">100001<", ">LK1<", "<score>17</score>", "aantalgoed>17<", ">https://example.org/resultaat/R-1<"]
    {
        assert!(sent.contains(back), "{back} in {sent}");
    }
    let (_, body) = sent.split_once("<soapenv:Body>").unwrap_or_else(|| panic!("{sent}"));
    let (body, _) = body.split_once("</soapenv:Body>").unwrap();
    let schema = reference.join("reference/uwlr-2.2/Schemas/UWLR_Leerresultaten_v2p2.xsd");
    assert_valid(body, &schema, Path::new("13-brengleerresultaten-verzoek.xml"));
}

/// The body of an answer, whether or not it came in chunks.
pub(crate) fn unchunked(answer: &str) -> String {
    let (head, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    if !head.contains("transfer-encoding: chunked") {
        return rest.to_owned();
    }
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").unwrap();
        if size == 0 {
            break;
        }
    }
    body
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
