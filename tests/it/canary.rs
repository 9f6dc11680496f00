//! Planted values appear in nothing the process emits: answers, logs, metrics, messages, the log on disk.

use std::{fs, path::Path};

use crate::{
    documents::{ENVELOPE, SCHOOL},
    gateway::{ASK, FakeLas, Served, post, request},
    home::Home,
};

/// A pupil whose every value is one of ours, in every spelling that came to mind, and in all places where nothing
/// belongs.
const CANARIES: &[&str] =
    &["999990019", "763412", "kanarie", "Kanarie", "９９９９９００１９", "1999999900191", "deadbeefdeadbeef"];

fn poisoned(school: &str, damage: &str) -> String {
    format!(
        "<!-- 999990019 kanarie --><?pi kanarie?>{}{school}<groepen><groep key=\"763412\"><naam>kanarie 763412</naam>\
         <jaargroep>4</jaargroep><omschrijving>kanarie</omschrijving><kanarie>999990019</kanarie></groep></groepen>\
         <leerlingen kanarie=\"999990019\"><leerling key=\"763412\" eckid=\"https://ketenid.nl/pilot/deadbeefdeadbeef\" \
         kanarie=\"kanarie\"><voornamen>Kanarie</voornamen><roepnaam>Jip 999990019</roepnaam>\
         <geboortedatum>999990019</geboortedatum><groep key=\"763412\"/><jaargroep>kanarie</jaargroep>\
         <gebruikersnaam>kanarie763412</gebruikersnaam><emailadres>763412@kanarie.example</emailadres>\
         <bsn>９９９９９００１９</bsn><toevoegingen><blok><bsn>999990019</bsn></blok></toevoegingen>kanarie\
         <k:k xmlns:k=\"urn:kanarie\">999990019</k:k>{damage}</leerling></leerlingen>{}",
        ENVELOPE.0, ENVELOPE.1
    )
}

fn assert_clean(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} in {what}:\n{text}");
        let wide: Vec<u8> = canary.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(!bytes.windows(wide.len()).any(|window| window == wide), "{canary} as UTF-16 in {what}");
    }
    let packed = 999_990_019u32;
    for number in [packed.to_le_bytes(), packed.to_be_bytes()] {
        assert!(!bytes.windows(4).any(|window| window == number), "the number in binary, in {what}");
    }
}

fn assert_directory_clean(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_directory_clean(&path);
        } else {
            assert_clean(&path.display().to_string(), &fs::read(&path).unwrap());
        }
    }
}

/// What can be wrong with a document, each at the canary's side.
const DAMAGE: &[&str] = &[
    "",
    "<kanarie>",
    "</kanarie>",
    "&kanarie;",
    "<x kanarie=\"1\" kanarie=\"2\"/>",
    "<kanarie:x/>",
    "<bsn>999990019</bsn><bsn>999990019</bsn>",
    "\u{1}",
    "&#x1;",
    "]]>",
    "<![CDATA[999990019",
];

#[test]
fn nothing_planted_comes_out_of_the_commands() {
    let home = Home::new();
    // These pass as they are, and hold a pupil's number here: they must stay all the same.
    home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
        text + "\"leerling.gebruikersnaam\" = \"pass\"\n\"leerling.emailadres\" = \"pass\"\n"
    });
    for school in [SCHOOL, "<school><brincode>99KK</brincode><schoolkey>kanarie</schoolkey></school>", ""] {
        for damage in DAMAGE {
            let document = poisoned(school, damage);
            let ran = home.minimise("99DE", document.as_bytes());
            assert_clean("standard output", ran.out.as_bytes());
            assert_clean("standard error", ran.err.as_bytes());
            let ran =
                home.run(&["preview", "--school", "99DE", "--recipient", "noordzee", "--input", "input.xml"]);
            assert_clean("the preview", ran.out.as_bytes());
            assert_clean("what preview says", ran.err.as_bytes());
        }
    }
    assert_directory_clean(&home.path("data"));
}

#[test]
fn nothing_planted_comes_out_of_the_gateway() {
    for damage in DAMAGE {
        let home = Home::new();
        let las = FakeLas::answering(poisoned(SCHOOL, damage));
        let served = Served::start(&home, &las);
        let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
        assert_clean("the answer", got.text.as_bytes());
        // A supplier can plant values too.
        let body =
            request(&home, "leerlinggegevens_verzoek", &format!("{ASK}<kanarie>999990019</kanarie>{damage}"));
        assert_clean("a fault", post(&home, &served, &body).text.as_bytes());
        let results = request(
            &home,
            "leerresultaten_verzoek",
            &format!(
                "<school>{ASK}</school><toetsafnames><toetsafname><leerlingid>763412</leerlingid></toetsafname></toetsafnames>{damage}"
            ),
        );
        assert_clean("a fault", post(&home, &served, &results).text.as_bytes());
        assert_clean("the metrics", served.operations("/metrics").1.as_bytes());
        assert_clean("what the process said", served.stop().as_bytes());
        assert_directory_clean(&home.path("data"));
    }
}
