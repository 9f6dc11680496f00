//! Planted values appear in nothing the process emits: answers, logs, metrics, messages, exports, reports, and all that
//! is in its working directory.

use std::{ffi::OsStr, fs, path::Path};

use crate::{
    documents::{ENVELOPE, SCHOOL},
    home::Home,
    planted::find,
    served::{ASK, FakeLas, Served, post, request},
};

/// A pupil whose every value is one of ours, in every spelling that came to mind, and in all places where nothing
/// belongs.
const CANARIES: &[&str] = &[
    "999990019",
    "LL763412",
    "kanarie",
    "Kanarie",
    "９９９９９００１９",
    "1999999900191",
    "deadbeefdeadbeef",
];

fn poisoned(school: &str, damage: &str) -> String {
    format!(
        "<!-- 999990019 kanarie --><?pi kanarie?>{}{school}<groepen><groep key=\"LL763412\"><naam>kanarie LL763412</naam>\
         <jaargroep>4</jaargroep><omschrijving>kanarie</omschrijving><kanarie>999990019</kanarie></groep></groepen>\
         <leerlingen kanarie=\"999990019\"><leerling key=\"LL763412\" eckid=\"https://ketenid.nl/pilot/deadbeefdeadbeef\" \
         kanarie=\"kanarie\"><voornamen>Kanarie</voornamen><roepnaam>Jip 063138219</roepnaam>\
         <geboortedatum>918273651</geboortedatum><groep key=\"LL763412\"/><jaargroep>kanarie</jaargroep>\
         <gebruikersnaam>kanarieLL763412</gebruikersnaam><emailadres>LL763412@kanarie.example</emailadres>\
         <bsn>９９９９９００１９</bsn><toevoegingen><blok><bsn>063138219</bsn></blok></toevoegingen>kanarie\
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
    assert_eq!(find(bytes), [], "in {what}");
}

/// Every file of a working directory, but for the document that a test put there. Gives how many.
fn assert_directory_clean(folder: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += assert_directory_clean(&path);
        } else if path.file_name() != Some(OsStr::new("input.xml")) {
            assert_clean(&path.display().to_string(), &fs::read(&path).unwrap());
            files += 1;
        }
    }
    files
}

/// What is kept, and what other tools are told of it. With `delivered`, a pupil has been.
fn assert_all_that_is_kept_clean(home: &Home, delivered: bool) {
    for (format, person) in [("csv", "99DE"), ("jsonl", "99DE"), ("ldv", "data_subject_id")] {
        let ran = home.run(&["log", "export", "data", "--format", format]);
        assert!(ran.code == 0 && (ran.out.contains(person) || !delivered), "{format}: {}", ran.err);
        assert_clean(format, (ran.out + &ran.err).as_bytes());
    }
    let ran = home.run(&["log", "verify", "data", "--copy", "keys/checkpoint"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_clean("the verification", (ran.out + &ran.err).as_bytes());
    assert!(home.path("keys/checkpoint").is_file() && home.path("data/checkpoint").is_file());
    assert!(assert_directory_clean(&home.path("")) > 10);
}

/// Every report on the pupil who has been delivered, and evidence.
fn assert_reports_clean(home: &Home) {
    let elsewhere = tempfile::tempdir().unwrap();
    let feed = elsewhere.path().join("feed.xml");
    fs::write(&feed, poisoned(SCHOOL, "")).unwrap();
    let feed = feed.to_str().unwrap();
    let leaked = "kanarie\n999990019\nhttps://ketenid.nl/pilot/deadbeefdeadbeef\n";
    for (report, input) in [
        (&["correctie", "--school", "99DE", "--by", "key"][..], "LL763412"),
        (&["correctie", "--school", "99DE", "--by", "pgn", "--feed", feed], "999990019"),
        (&["inzage", "--school", "99DE", "--by", "key"], "LL763412"),
        (&["inzage", "--school", "99DE", "--by", "pgn", "--feed", feed], "999990019"),
        (&["lek", "--recipient", "noordzee"], leaked),
        (&["leverancier", "--recipient", "noordzee"], ""),
    ] {
        for format in ["json", "text"] {
            let ran = home.run_with(&[&["report"], report, &["--format", format]].concat(), input);
            assert!(ran.code == 0 && ran.out.contains("Noordzee"), "{report:?}: {}", ran.err);
            assert_clean(&format!("{report:?}"), (ran.out + &ran.err).as_bytes());
        }
    }
    let proof = ["report", "inzage", "--school", "99DE", "--by", "key", "--proof", "bewijs"];
    let ran = home.run_with(&proof, "LL763412");
    assert!(ran.code == 0 && home.path("bewijs").is_dir(), "{}", ran.err);
    assert_clean("what is said of evidence", (ran.out + &ran.err).as_bytes());
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
    let marked = format!("\u{FEFF}{}", poisoned(SCHOOL, ""));
    let wide: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let ran = home.minimise("99DE", &wide);
    assert!(ran.err.contains("1 pupils released"), "{}", ran.err);
    assert_clean("standard output", ran.out.as_bytes());
    assert_clean("standard error", ran.err.as_bytes());
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
    assert_reports_clean(&home);
    assert_all_that_is_kept_clean(&home, true);
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
                "<school>{ASK}</school><toetsafnames><toetsafname><leerlingid>LL763412</leerlingid></toetsafname></toetsafnames>{damage}"
            ),
        );
        assert_clean("a fault", post(&home, &served, &results).text.as_bytes());
        assert_clean("the metrics", served.operations("/metrics").1.as_bytes());
        assert_clean("what the process said", served.stop().as_bytes());
        assert_all_that_is_kept_clean(&home, damage.is_empty());
    }
}
