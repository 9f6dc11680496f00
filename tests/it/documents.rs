//! Golden documents, and what must make no difference.

use std::{convert::Infallible, io::Read, path::Path};

use sluis::{
    decode::{Charset, DecodeError, Error as DecodeFailure, Kind, Limits, decode},
    disclosure::{Row, RowOutcome, Subject},
    ingress::RequestError,
    keys::{IdentitySource, RootKey},
    minimise::{Chunk, Error, Event, Minimiser, Nobody, Outlet, Refusal, School, Scope, Summary},
    policy::{Rulings, agreement},
    pseudonym::{LogKeys, PseudonymDomain, Pseudonymiser},
};

/// Everything fixed that a document is minimised with.
pub(crate) struct Bench {
    pub(crate) rulings: Rulings,
    pub(crate) pseudonyms: Pseudonymiser,
    pub(crate) log_keys: LogKeys,
    pub(crate) school: School,
    pub(crate) identity: IdentitySource,
    pub(crate) pass_eckid: bool,
    pub(crate) limits: Limits,
}

pub(crate) const SMALL: &[(&str, &str)] = &[
    ("leerling.achternaam", "pass"),
    ("leerling.voorvoegsel", "pass"),
    ("leerling.roepnaam", "pass"),
    ("leerling.geboortedatum", "year"),
    ("leerling.jaargroep", "pass"),
    ("leerling.groep", "pass"),
    ("leerling.samengestelde_groepen", "pass"),
    ("leerling.gebruikersnaam", "pass"),
    ("leerling.emailadres", "pass"),
    ("leerling.postcodenl", "pc4"),
    ("groep.naam", "pass"),
    ("groep.jaargroep", "pass"),
    ("samengestelde_groep.naam", "pass"),
    ("leerkracht.achternaam", "initial"),
    ("leerkracht.groepen", "pass"),
    ("leerkracht.groepen.rol", "pass"),
];

pub(crate) fn agreement_text(release: &[(&str, &str)]) -> String {
    let lines: String = release.iter().map(|(field, how)| format!("\"{field}\" = \"{how}\"\n")).collect();
    format!(
        "id = \"a\"\nversion = 1\nschool = \"99DE\"\nrecipient = \"noordzee\"\nproduct = \"P\"\nannex = \"a.pdf\"\n\
         purpose = \"leermiddelen\"\nbasis = \"overeenkomst\"\nvalid = {{ from = 2020-08-01, until = 2099-07-31 }}\n\
         pseudonym = {{ domain = \"recipient\" }}\nspecial = {{ ground = \"speciale-begeleiding\" }}\n[release]\n{lines}"
    )
}

impl Bench {
    pub(crate) fn new(release: &[(&str, &str)]) -> Self {
        let text = agreement_text(release);
        let agreement = agreement::parse(&text, Path::new("a.toml"), &["99DE"], &["noordzee"]).unwrap();
        let root = RootKey::new(std::array::from_fn(|i| u8::try_from(i).unwrap()));
        let domain = PseudonymDomain::Recipient;
        Self {
            rulings: Rulings::compile(&agreement),
            pseudonyms: Pseudonymiser::new(&root, 1, "99DE", &domain, "noordzee", "sluis.example").unwrap(),
            log_keys: LogKeys::new(&root, 1, "99DE"),
            school: School { brin: "99DE".into(), dependance: None, schoolkey: Some("sleutel".into()) },
            identity: IdentitySource::LasKey,
            pass_eckid: false,
            limits: Limits::default(),
        }
    }

    pub(crate) fn minimise(
        &self,
        source: impl Read,
        charset: Option<Charset>,
    ) -> Result<(String, Summary), Failure> {
        self.collect(source, charset).map(|(collected, summary)| (collected.document, summary))
    }

    fn collect(&self, source: impl Read, charset: Option<Charset>) -> Result<(Collect, Summary), Failure> {
        let scope = Scope {
            rulings: &self.rulings,
            pseudonyms: &self.pseudonyms,
            pass_eckid: self.pass_eckid,
            log_keys: &self.log_keys,
            recipient: "noordzee",
            school: &self.school,
            identity: self.identity,
            expected: None,
            records: self.limits.records,
            rights: &Nobody,
            fresh: None,
        };
        let mut minimiser = Minimiser::new(scope, Collect::default());
        decode(source, charset, &self.limits, &mut minimiser)?;
        minimiser.finish()?;
        let (summary, collected) = minimiser.into_parts();
        let staff = collected.rows.iter().filter(|row| row.subject == Subject::Leerkracht).count();
        assert_eq!(collected.rows.len() as u64, summary.released + summary.withheld + staff as u64);
        Ok((collected, summary))
    }

    pub(crate) fn text(&self, document: &str) -> String {
        self.minimise(document.as_bytes(), None).unwrap().0
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Decode(DecodeError),
    Refused(Refusal),
}

impl From<Error<Infallible>> for Failure {
    fn from(error: Error<Infallible>) -> Self {
        match error {
            Error::Outlet(never) => match never {},
            Error::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

impl From<DecodeFailure<Error<Infallible>>> for Failure {
    fn from(error: DecodeFailure<Error<Infallible>>) -> Self {
        match error {
            DecodeFailure::Decode(error) => Self::Decode(error),
            DecodeFailure::Sink(error) => error.into(),
        }
    }
}

#[derive(Default)]
struct Collect {
    document: String,
    rows: Vec<Row>,
}

impl Outlet for Collect {
    type Error = Infallible;

    fn chunk(&mut self, chunk: Chunk) -> Result<(), Infallible> {
        assert!(chunk.rows.len() <= 256);
        // The masks of a chunk's leaf mean fields of the one kind of person, or of the other.
        assert!(chunk.rows.windows(2).all(|pair| pair[0].subject == pair[1].subject));
        self.document.push_str(&chunk.document);
        self.rows.extend(chunk.rows);
        Ok(())
    }
}

pub(crate) const ENVELOPE: (&str, &str) = (
    "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
     <leerlinggegevens_antwoord xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens\"><leerlinggegevens>",
    "</leerlinggegevens></leerlinggegevens_antwoord></s:Body></s:Envelope>",
);
pub(crate) const SCHOOL: &str =
    "<school><schooljaar>2026-2027</schooljaar><brincode>99DE</brincode></school>";

pub(crate) fn feed(inside: &str) -> String {
    format!("{}{SCHOOL}{inside}{}", ENVELOPE.0, ENVELOPE.1)
}

fn one_pupil(inside: &str) -> String {
    feed(&format!(
        "<leerlingen><leerling key=\"100001\"><roepnaam>Jip</roepnaam>{inside}</leerling></leerlingen>"
    ))
}

/// `tests/documents/<name>.in.xml` gives `<name>.out.xml`. With SLUIS_BLESS set, what comes out is written there.
#[test]
fn golden_documents() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(stem) = name.strip_suffix(".in.xml") else { continue };
        seen += 1;
        let (out, _) = Bench::new(SMALL).minimise(std::fs::File::open(&path).unwrap(), None).unwrap();
        let golden = folder.join(format!("{stem}.out.xml"));
        if std::env::var_os("SLUIS_BLESS").is_some() {
            std::fs::write(&golden, &out).unwrap();
        }
        assert_eq!(out, std::fs::read_to_string(&golden).unwrap(), "{stem}");
    }
    assert!(seen >= 4, "the golden documents are there");
}

/// A reader that gives at most so many bytes at a time.
struct Dribble<'a>(&'a [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(self.1).min(self.0.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn any_chunking_gives_the_same_bytes() {
    let document = include_str!("../documents/tolerant.in.xml");
    let bench = Bench::new(SMALL);
    let whole = bench.text(document);
    let utf16: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(document.replace("UTF-8", "UTF-16").encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    for size in (1..70).chain([255, 256, 257, 4096]) {
        assert_eq!(bench.minimise(Dribble(document.as_bytes(), size), None).unwrap().0, whole, "{size}");
        assert_eq!(bench.minimise(Dribble(&utf16, size), None).unwrap().0, whole, "UTF-16 by {size}");
    }
}

/// A read that ended inside a character of UTF-8 was waited on for ever, without another being made.
#[test]
fn a_character_may_come_in_two_reads() {
    let document = include_str!("../documents/tolerant.in.xml").replace("Jip", "Zoë’s 🦉");
    let bench = Bench::new(SMALL);
    let whole = bench.text(&document);
    assert!(whole.contains("Zoë’s 🦉"));
    for size in (1..70).chain([255, 256, 257, 4096]) {
        assert_eq!(bench.minimise(Dribble(document.as_bytes(), size), None).unwrap().0, whole, "{size}");
    }
}

/// A declaration longer than is looked at to tell the encoding by: once it was found in whole, and once it was not.
#[test]
fn an_encoding_declared_too_late_is_refused_however_it_comes() {
    let document = format!(
        "<?xml version=\"1.0\"{}encoding=\"ISO-8859-1\"?>{}",
        " ".repeat(300),
        feed("<leerlingen><leerling key=\"1\"><roepnaam>Jip</roepnaam></leerling></leerlingen>")
    );
    let bench = Bench::new(SMALL);
    for size in [1, 100, 256, 257, 4096] {
        let failure = bench.minimise(Dribble(document.as_bytes(), size), None).unwrap_err();
        let refused = matches!(failure, Failure::Decode(DecodeError { kind: Kind::Encoding, .. }));
        assert!(refused, "{size}: {failure:?}");
    }
}

#[test]
fn any_encoding_gives_the_same_bytes() {
    let bench = Bench::new(SMALL);
    let body = |encoding: &str| {
        let declaration = format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>");
        declaration
            + &feed("<leerlingen><leerling key=\"1\"><roepnaam>Zoë’s</roepnaam></leerling></leerlingen>")
    };
    let plain = bench.text(&body("UTF-8"));
    assert!(plain.contains("Zoë’s"));
    let marked = [b"\xEF\xBB\xBF", body("utf-8").as_bytes()].concat();
    let latin: Vec<u8> = body("ISO-8859-1").chars().map(|c| if c == '’' { 0x92 } else { c as u8 }).collect();
    let big: Vec<u8> =
        [0xFE, 0xFF].into_iter().chain(body("UTF-16").encode_utf16().flat_map(u16::to_be_bytes)).collect();
    for (document, hint) in [
        (&marked, None),
        (&latin, None),
        (&latin, Some(Charset::Latin1)),
        (&big, None),
        (&big, Some(Charset::Utf16)),
    ] {
        assert_eq!(bench.minimise(document.as_slice(), hint).unwrap().0, plain);
    }
    for (document, hint) in [
        (body("UTF-16").into_bytes(), None),
        (body("UTF-8").into_bytes(), Some(Charset::Latin1)),
        (latin.iter().map(|&b| if b == b'I' { b'I' } else { b }).collect(), Some(Charset::Utf8)),
        (body("ISO-8859-1").replace("ISO-8859-1", "UTF-8").chars().map(|c| c as u8).collect(), None),
        ([b"\xEF\xBB\xBF", body("ISO-8859-1").as_bytes()].concat(), None),
        (big[2..].to_vec(), None),
    ] {
        let failure = bench.minimise(document.as_slice(), hint).unwrap_err();
        assert!(matches!(failure, Failure::Decode(DecodeError { kind: Kind::Encoding, .. })), "{failure:?}");
    }
    let failure = bench.minimise(body("EBCDIC-NL").as_bytes(), None).unwrap_err();
    assert!(matches!(failure, Failure::Decode(DecodeError { kind: Kind::EncodingUnsupported, .. })));
}

#[test]
fn any_spelling_gives_the_same_pseudonym() {
    let eckid = |bench: &Bench, document: &str| {
        let out = bench.text(document);
        let (_, after) = out.split_once("eckid=\"").expect("a pupil");
        after.split_once('"').unwrap().0.to_owned()
    };
    let mut bench = Bench::new(SMALL);
    let pupil = |attributes: &str, inside: &str| {
        feed(&format!(
            "<leerlingen><leerling {attributes}><roepnaam>J</roepnaam>{inside}</leerling></leerlingen>"
        ))
    };
    let plain = eckid(&bench, &pupil("key=\"111222333\"", ""));
    for key in ["  111222333 ", "&#49;11222333", "&#x31;11222333", "１１１２２２３３３", "111222333&#10;"]
    {
        assert_eq!(eckid(&bench, &pupil(&format!("key='{key}'"), "")), plain, "{key}");
    }
    bench.identity = IdentitySource::Pgn;
    let plain = eckid(&bench, &pupil("key=\"7\"", "<bsn>111222333</bsn>"));
    for spelling in [
        "<bsn> 111222333 </bsn>",
        "<bsn>111<!-- -->222333</bsn>",
        "<bsn><![CDATA[111222]]>333</bsn>",
        "<bsn>&#49;11222333</bsn>",
        "<bsn>１１１２２２３３３</bsn>",
        "<bsn>111222<?pi 999?>333</bsn>",
        "<bsn\n>111222333</bsn\n>",
        "<x:bsn xmlns:x=\"http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens\">111222333</x:bsn>",
        "<bsn>111222<onbekend>9</onbekend>333</bsn>",
    ] {
        assert_eq!(eckid(&bench, &pupil("key=\"7\"", spelling)), plain, "{spelling}");
    }
    assert_ne!(eckid(&bench, &pupil("key=\"7\"", "<sofinummer>123456782</sofinummer>")), plain);
    bench.identity = IdentitySource::LasKey;
    assert_ne!(eckid(&bench, &pupil("key=\"111222333\"", "")), plain, "a key is no BSN, whatever its digits");
}

/// A pupil that cannot be identified as configured is left out: no falling back on another identifier.
#[test]
fn there_is_no_falling_back_on_another_identifier() {
    for (identity, pupil) in [
        (IdentitySource::Pgn, "<leerling key=\"1\"><roepnaam>J</roepnaam></leerling>"),
        (IdentitySource::Pgn, "<leerling key=\"1\"><roepnaam>J</roepnaam><bsn>111222334</bsn></leerling>"),
        (IdentitySource::EckId, "<leerling key=\"1\"><roepnaam>J</roepnaam></leerling>"),
        (IdentitySource::LasKey, "<leerling eckid=\"x\"><roepnaam>J</roepnaam></leerling>"),
        (IdentitySource::LasKey, "<leerling key=\"  \"><roepnaam>J</roepnaam></leerling>"),
    ] {
        let mut bench = Bench::new(SMALL);
        bench.identity = identity;
        let document = feed(&format!("<leerlingen>{pupil}</leerlingen>"));
        let (out, summary) = bench.minimise(document.as_bytes(), None).unwrap();
        assert!(out.contains("<geengegevens/>"), "{identity:?}: {out}");
        assert_eq!((summary.released, summary.withheld), (0, 1));
    }
}

#[test]
fn bad_documents_are_refused_by_name() {
    let deep = format!("{}x{}", "<a>".repeat(40), "</a>".repeat(40));
    let many: String = (0..70).map(|i| format!(" a{i}=\"\"")).collect();
    let long = "x".repeat(70_000);
    let name = "n".repeat(300);
    for (document, expected) in [
        (format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{}", one_pupil("")), Kind::Doctype),
        (one_pupil("<voornamen>&naam;</voornamen>"), Kind::Entity),
        (one_pupil("<voornamen x=\"&naam;\"/>"), Kind::Entity),
        (one_pupil("<voornamen>&#0;</voornamen>"), Kind::Character),
        (one_pupil("<voornamen>\u{1}</voornamen>"), Kind::Character),
        (one_pupil("<voornamen>&#xFFFE;</voornamen>"), Kind::Character),
        (one_pupil("<!-- \0 -->"), Kind::Character),
        (one_pupil("<!-- \u{FFFF} -->"), Kind::Character),
        (one_pupil("<?pi \u{1}?>"), Kind::Character),
        (one_pupil("<!-- a -- b -->"), Kind::NotWellFormed),
        (one_pupil("<!-- a --->"), Kind::NotWellFormed),
        (one_pupil("<voornamen>Jip]]></voornamen>"), Kind::NotWellFormed),
        (one_pupil("<b\u{2150}\u{2C2F}\u{2190}/>"), Kind::NotWellFormed),
        (one_pupil("<\u{B2}/>"), Kind::NotWellFormed),
        (one_pupil("<vreemd onbekend:a=\"1\"/>"), Kind::NotWellFormed),
        (one_pupil("<vreemd><b onbekend:a=\"1\"/></vreemd>"), Kind::NotWellFormed),
        (one_pupil("<?XML version=\"1.0\"?>"), Kind::NotWellFormed),
        ("<?xml version=\"1.0\" encoding=\"\u{C}UTF-8\"?>".to_owned() + &one_pupil(""), Kind::NotWellFormed),
        ("<?xml version=\"1.0\" encoding=\" UTF-8\"?>".to_owned() + &one_pupil(""), Kind::NotWellFormed),
        (one_pupil("<a xmlns:b=\"urn:b\" xmlns:c=\"urn:b\" b:x=\"\" c:x=\"\"/>"), Kind::NotWellFormed),
        (one_pupil("<a xmlns:b=\"http://www.w3.org/XML/1998/namespace\"/>"), Kind::NotWellFormed),
        (one_pupil("<a xmlns=\"http://www.w3.org/2000/xmlns/\"/>"), Kind::NotWellFormed),
        (one_pupil("<a xmlns:xml=\"urn:b\"/>"), Kind::NotWellFormed),
        (one_pupil(&deep), Kind::Depth),
        (one_pupil(&format!("<a{many}/>")), Kind::Attributes),
        (one_pupil(&format!("<voornamen>{long}</voornamen>")), Kind::Text),
        (one_pupil(&format!("<voornamen>{}</voornamen>", "<![CDATA[xxxxxxxxxx]]>".repeat(7000))), Kind::Text),
        (one_pupil(&format!("<!--{}-->", "x".repeat(300_000))), Kind::Text),
        (one_pupil(&format!("<{name}/>")), Kind::Name),
        (one_pupil(&"<voornamen>xxxx</voornamen>".repeat(50_000)), Kind::Record),
        (one_pupil(&"<voornamen/>".repeat(60_000)), Kind::Record),
        (
            one_pupil(&format!(
                "<samengestelde_groepen>{}</samengestelde_groepen>",
                "<samengestelde_groep/>".repeat(60_000)
            )),
            Kind::Record,
        ),
        (one_pupil("<a></b>"), Kind::NotWellFormed),
        (one_pupil("<a x=\"1\" x=\"2\"/>"), Kind::NotWellFormed),
        (one_pupil("<onbekend:a/>"), Kind::NotWellFormed),
        (one_pupil("") + "<leerling/>", Kind::SecondRoot),
        (one_pupil("") + "tekst", Kind::SecondRoot),
        (format!("{}</s:Body><s:Body>{}", ENVELOPE.0, ENVELOPE.1), Kind::NotWellFormed),
        ("<html><body>Storing</body></html>".into(), Kind::NotAMessage),
        ("<EDEX xmlns=\"urn:iets-anders\"/>".into(), Kind::NotAMessage),
        (String::new(), Kind::Truncated),
        ("<?xml version=\"1.0\"?>".into(), Kind::Truncated),
    ] {
        match Bench::new(SMALL).minimise(document.as_bytes(), None) {
            Err(Failure::Decode(error)) => {
                assert_eq!(error.kind, expected, "{}", &document[..document.len().min(400)])
            }
            other => panic!("{expected:?} expected, got {:?}", other.map(|(out, _)| out)),
        }
    }
}

#[test]
fn names_that_differ_by_their_namespace_are_two() {
    let plain = Bench::new(SMALL).minimise(one_pupil("").as_bytes(), None).expect("a whole document").0;
    for inside in [
        "<a xmlns:b=\"urn:b\" xmlns:c=\"urn:c\" b:x=\"\" c:x=\"\" x=\"\"/>",
        "<a xmlns:xml=\"http://www.w3.org/XML/1998/namespace\" xml:lang=\"nl\"/>",
    ] {
        let (out, _) = Bench::new(SMALL).minimise(one_pupil(inside).as_bytes(), None).expect(inside);
        assert_eq!(out, plain, "{inside}");
    }
}

/// Decoders look first for what came in the same place the last time.
#[test]
fn a_pupil_is_read_the_same_whoever_came_before() {
    const FEED: &str = "http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens";
    let key = "key=\"100002\"";
    for (pupil, leaves) in [
        (format!("<leerling {key}><roepnaam>Kanarie</roepnaam></leerling>"), true),
        (format!("<leerling {key}><roepnaam\n>Kanarie</roepnaam ></leerling>"), true),
        (format!("<leerling {key}><l:roepnaam xmlns:l=\"{FEED}\">Kanarie</l:roepnaam></leerling>"), true),
        (
            format!("<leerling {key}><achternaam>Vogel</achternaam><roepnaam>Kanarie</roepnaam></leerling>"),
            true,
        ),
        (format!("<leerling {key}><roepnaam>Kana<!---->rie</roepnaam></leerling>"), true),
        (format!("<leerling {key}><roepnaam><![CDATA[Kanarie]]></roepnaam></leerling>"), true),
        (format!("<leerling {key}><roepnaam xmlns=\"urn:anders\">Kanarie</roepnaam></leerling>"), false),
        (format!("<leerling {key}><roepnaamx>Kanarie</roepnaamx></leerling>"), false),
        (format!("<leerling {key}><roepnaam/>Kanarie</leerling>"), false),
        (format!("<leerling {key}><adres><roepnaam>Kanarie</roepnaam></adres></leerling>"), false),
        (
            format!(
                "<l:leerling xmlns:l=\"{FEED}\" xmlns=\"urn:anders\" {key}><roepnaam>Kanarie</roepnaam></l:leerling>"
            ),
            false,
        ),
    ] {
        for before in ["", "<leerling key=\"100001\"><roepnaam>Jip</roepnaam></leerling>"] {
            let document = feed(&format!("<leerlingen>{before}{pupil}</leerlingen>"));
            let (out, summary) = Bench::new(SMALL).minimise(document.as_bytes(), None).expect(&pupil);
            assert_eq!(out.contains("<roepnaam>Kanarie</roepnaam>"), leaves, "{before}{pupil}: {out}");
            assert_eq!(out.contains("Kanarie"), leaves, "{before}{pupil}: {out}");
            assert_eq!(summary.released, 1 + u64::from(!before.is_empty()), "{before}{pupil}");
        }
    }
}

#[test]
fn a_document_cut_short_is_never_taken_for_whole() {
    let document =
        feed("<leerlingen><leerling key=\"100001\"><roepnaam>Jip</roepnaam></leerling></leerlingen>");
    for end in 0..document.len() {
        let failure = Bench::new(SMALL).minimise(&document.as_bytes()[..end], None);
        assert!(failure.is_err(), "cut at {end}");
    }
}

#[test]
fn documents_about_another_school_or_none_are_refused() {
    let pupil = "<leerlingen><leerling key=\"1\"><roepnaam>J</roepnaam></leerling></leerlingen>";
    for (school, expected) in [
        (
            "<school><schooljaar>2026-2027</schooljaar><brincode>99DF</brincode></school>",
            Refusal::SchoolOther,
        ),
        ("<school><schoolkey>andere</schoolkey></school>", Refusal::SchoolOther),
        ("<school><schooljaar>2026-2027</schooljaar></school>", Refusal::SchoolMissing),
        ("", Refusal::SchoolMissing),
    ] {
        let document = format!("{}{school}{pupil}{}", ENVELOPE.0, ENVELOPE.1);
        let failure = Bench::new(SMALL).minimise(document.as_bytes(), None).unwrap_err();
        assert_eq!(failure, Failure::Refused(expected), "{school}");
    }
    let by_key = "<school><schooljaar>2026-2027</schooljaar><schoolkey>sleutel</schoolkey></school>";
    assert!(
        Bench::new(SMALL)
            .minimise(format!("{}{by_key}{pupil}{}", ENVELOPE.0, ENVELOPE.1).as_bytes(), None)
            .is_ok()
    );
    let mut bench = Bench::new(SMALL);
    bench.school.dependance = Some("01".into());
    let failure = bench.minimise(feed(pupil).as_bytes(), None).unwrap_err();
    assert_eq!(failure, Failure::Refused(Refusal::SchoolOther), "no vestiging means 00");
}

#[test]
fn what_is_required_and_not_released_is_neutralised() {
    let document = feed(
        "<groepen><groep key=\"G1\"><naam>4A</naam><jaargroep>4</jaargroep></groep></groepen>\
         <leerlingen><leerling key=\"1\"><achternaam>Geheim</achternaam><voorvoegsel>van</voorvoegsel>\
         <roepnaam>Ook</roepnaam><groep key=\"G1\"/></leerling></leerlingen>",
    );
    let bench = Bench::new(&[("leerling.groep", "pass")]);
    let out = bench.text(&document);
    assert!(out.contains("<naam>-</naam><jaargroep>C</jaargroep>"), "{out}");
    assert!(out.contains("<roepnaam>-</roepnaam><groep key="), "{out}");
    assert!(!out.contains("Geheim") && !out.contains(">Ook<") && !out.contains(">4A<"));
    let out = Bench::new(&[("leerling.voorvoegsel", "pass")]).text(&document);
    assert!(out.contains("<achternaam>-</achternaam><voorvoegsel>van</voorvoegsel>"), "{out}");
    assert!(!out.contains("<groepen>"), "no line leads to a group: {out}");
}

#[test]
fn nothing_agreed_on_pupils_means_no_data() {
    let document = feed(
        "<groepen><groep key=\"G1\"><naam>4A</naam><jaargroep>4</jaargroep></groep></groepen>\
         <leerlingen><leerling key=\"1\"><roepnaam>Jip</roepnaam></leerling></leerlingen>",
    );
    let (out, summary) = Bench::new(&[("groep.naam", "pass")]).minimise(document.as_bytes(), None).unwrap();
    assert!(out.contains("<geengegevens/>") && !out.contains("4A"), "{out}");
    assert_eq!(summary.withheld, 1);
    let edex = "<EDEX><school><schooljaar>2026-2027</schooljaar><brincode>99DE</brincode></school><leerlingen><leerling key=\"1\"/></leerlingen></EDEX>";
    let failure = Bench::new(&[("groep.naam", "pass")]).minimise(edex.as_bytes(), None).unwrap_err();
    assert_eq!(failure, Failure::Refused(Refusal::Nothing));
}

#[test]
fn an_official_eckid_passes_only_where_the_agreement_says_so() {
    let official = format!("https://ketenid.nl/201703/{}", "ab".repeat(64));
    let document = |eckid: &str| {
        feed(&format!(
            "<leerlingen><leerling key=\"1\" eckid=\"{eckid}\"><roepnaam>J</roepnaam></leerling></leerlingen>"
        ))
    };
    let mut bench = Bench::new(SMALL);
    assert!(!bench.text(&document(&official)).contains("ketenid.nl"));
    bench.pass_eckid = true;
    assert!(bench.text(&document(&official)).contains(&official));
    let out = bench.text(&document("leerlingnummer-100001"));
    assert!(!out.contains("eckid") && out.contains("<leerling key="), "{out}");
}

/// The groups of a large school leave before most of its pupils have been read.
#[test]
fn a_number_that_is_still_to_come_does_not_leave_in_a_groups_name() {
    let pupils: String = (0..700)
        .map(|i| {
            format!("<leerling key=\"{}\"><roepnaam>Jip</roepnaam><groep key=\"G\"/></leerling>", 41_000 + i)
        })
        .collect();
    let groups =
        "<groepen><groep key=\"G\"><naam>Maatwerk 41690</naam><jaargroep>4</jaargroep></groep></groepen>";
    let (out, summary) = Bench::new(SMALL)
        .minimise(feed(&format!("{groups}<leerlingen>{pupils}</leerlingen>")).as_bytes(), None)
        .unwrap();
    assert!(!out.contains("41690") && out.contains("<naam>-</naam>"), "{}", &out[..600]);
    assert_eq!(summary.released, 700);
    assert_eq!(summary.events.of(Event::IdentifierInText), 1);
}

const WIDE: &[(&str, &str)] = &[
    ("leerling.roepnaam", "pass"),
    ("leerling.gebruikersnaam", "pass"),
    ("leerling.emailadres", "pass"),
    ("leerling.fotourl", "pass"),
    ("leerling.groep", "pass"),
    ("leerling.samengestelde_groepen", "pass"),
    ("leerkracht.achternaam", "pass"),
    ("leerkracht.gebruikersnaam", "pass"),
    ("groep.naam", "pass"),
    ("groep.omschrijving", "pass"),
    ("groep.mutatiedatum", "pass"),
    ("samengestelde_groep.naam", "pass"),
    ("school.commentaar", "pass"),
    ("school.instellingsnummer", "pass"),
];

fn pupils(count: usize) -> String {
    (0..count)
        .map(|i| format!("<leerling key=\"{}\"><roepnaam>J</roepnaam></leerling>", 100_000 + i))
        .collect()
}

/// Each value with whether it may leave. `place` puts it in a document.
fn check_values(place: impl Fn(&str) -> String, rows: &[(&str, bool)]) {
    for (value, expected) in rows {
        let (out, summary) = Bench::new(WIDE).minimise(place(value).as_bytes(), None).unwrap();
        // One or two characters stand in a token by chance.
        assert!(value.len() < 3 || out.contains(value) == *expected, "{value} in {out}");
        assert_eq!(summary.events.of(Event::IdentifierInText), u64::from(!expected), "{value}");
    }
}

/// The user name of a pupil in the first chunk can be the number of one in the third.
#[test]
fn a_number_that_is_still_to_come_leaves_in_no_persons_text() {
    let place = |value: &str| {
        feed(&format!(
            "<leerlingen><leerling key=\"1a\"><roepnaam>J</roepnaam><gebruikersnaam>{value}</gebruikersnaam></leerling>{}</leerlingen>",
            pupils(700)
        ))
    };
    check_values(
        place,
        &[
            ("100599", false),
            ("l123456", false),
            ("jansen2012", true),
            ("jip.jansen", true),
            ("jip1-2026", true),
        ],
    );
    let place = |value: &str| {
        feed(&format!(
            "<leerlingen><leerling key=\"1a\"><roepnaam>{value}</roepnaam></leerling>{}</leerlingen>",
            pupils(700)
        ))
    };
    check_values(place, &[("Jip 100599", false), ("Jip 2", true)]);
}

/// What cannot be known in time is at least counted.
#[test]
fn an_identifier_that_left_before_it_was_known_is_noticed() {
    let document = |login: &str, count: usize| {
        feed(&format!(
            "<leerlingen><leerling key=\"1a\"><roepnaam>Tch9001</roepnaam><gebruikersnaam>{login}</gebruikersnaam></leerling>\
             {}</leerlingen><leerkrachten><leerkracht key=\"tch9001\"><achternaam>X</achternaam></leerkracht></leerkrachten>",
            pupils(count)
        ))
    };
    for (login, count, before, inside) in
        [("tch9001", 300, 1, 0), ("TCH9001", 300, 1, 0), ("jip", 300, 0, 0), ("tch9001", 20, 0, 1)]
    {
        let document = document(login, count);
        let release = &WIDE[1..];
        let (_, summary) = Bench::new(release).minimise(document.as_bytes(), None).unwrap();
        assert_eq!(summary.events.of(Event::IdentifierBefore), before, "{login} before {count}");
        assert_eq!(summary.events.of(Event::IdentifierInText), inside, "{login} before {count}");
    }
}

#[test]
fn a_groups_name_holds_no_key_of_a_group() {
    let place = |key: &str, name: &str| {
        feed(&format!(
            "<groepen><samengestelde_groep key=\"{key}\"><naam>{name}</naam></samengestelde_groep></groepen>\
             <leerlingen>{}</leerlingen>",
            pupils(1)
        ))
    };
    for (key, name, expected) in [
        ("100300", "Individueel 100300", false),
        ("100300", "Individueel 100.300", false),
        ("100300", "100300", false),
        ("G1234", "Plus g-1234", false),
        ("6f1c2d3e-4a5b-4c6d-8e9f-0a1b2c3d4e5f", "6F1C2D3E4A5B4C6D8E9F0A1B2C3D4E5F", false),
        ("4a", "4a", true),
        ("4a", "Groep 4a 2026-2027", true),
        ("groep4a2026", "Groep 4a 2026", true),
        ("groep5b", "Groep 5b rekenen", true),
        ("Kikkers", "Kikkers", true),
        ("7", "Groep 7 2024-2025", true),
        ("x", "Groep 4 2026-2027", true),
        ("x", "Groep 5/6/7, lokaal 1204", true),
    ] {
        let (out, summary) = Bench::new(WIDE).minimise(place(key, name).as_bytes(), None).unwrap();
        assert_eq!(out.contains(name), expected, "{key}: {out}");
        assert_eq!(summary.events.of(Event::IdentifierInText), u64::from(!expected), "{key}: {name}");
    }
}

#[test]
fn ones_own_key_never_leaves_in_ones_own_text() {
    for (key, values) in [
        ("123", &[("123", false), ("l123", false), ("jip1234", true)][..]),
        ("000123", &[("000123", false), ("123", false)]),
        ("3", &[("3", false), ("takkie3", true)]),
        ("100200", &[("12100200", false), ("100.200", false)]),
        ("L10020", &[("10020", false)]),
        ("#1002", &[("1002", false)]),
        ("jip", &[("jip", false), ("jippie", true)]),
    ] {
        let place = |value: &str| {
            feed(&format!(
                "<leerlingen><leerling key=\"{key}\"><roepnaam>J</roepnaam><gebruikersnaam>{value}</gebruikersnaam></leerling></leerlingen>"
            ))
        };
        check_values(place, values);
        let place = |value: &str| {
            feed(&format!(
                "<leerlingen><leerling key=\"{key}\"><roepnaam>J</roepnaam><emailadres>{value}@s.nl</emailadres></leerling></leerlingen>"
            ))
        };
        check_values(place, values);
        let place = |value: &str| {
            feed(&format!(
                "<leerlingen><leerling key=\"{key}\"><roepnaam>J</roepnaam><fotourl>https://s.nl/{value}.jpg?s=1</fotourl></leerling></leerlingen>"
            ))
        };
        check_values(place, values);
    }
    let named = one_pupil("").replace("100001", "Jip");
    assert!(Bench::new(WIDE).text(&named).contains("<roepnaam>Jip</roepnaam>"), "a name is a name");
}

#[test]
fn a_number_is_found_however_it_is_written() {
    let place = |value: &str| {
        feed(&format!(
            "<groepen><groep key=\"x\"><naam>{value}</naam><jaargroep>3</jaargroep></groep></groepen>\
             <leerlingen><leerling key=\"LL1002\"><roepnaam>J</roepnaam></leerling></leerlingen>"
        ))
    };
    check_values(
        place,
        &[
            ("111 - 222 - 333", false),
            ("111:222:333", false),
            ("111\u{ad}222\u{ad}333", false),
            ("①①①②②②③③③", false),
            ("63138219", false),
            ("85.07.30-033.28", false),
            ("voor ll 1002", false),
            ("Start 01-09-2026", true),
            ("di 13:00-14:30", true),
        ],
    );
    let place = |value: &str| {
        feed(&format!(
            "<groepen><groep key=\"x\"><naam>a</naam><jaargroep>3</jaargroep><mutatiedatum>{value}</mutatiedatum></groep></groepen>\
             <leerlingen>{}</leerlingen>",
            pupils(1)
        ))
    };
    let out = Bench::new(WIDE).text(&place("2020-01-01T00:00:00.111222333Z"));
    assert!(out.contains("00.111Z") && !out.contains("111222"), "{out}");
}

/// What did not leave is not on record as if it had.
#[test]
fn no_teacher_is_released_where_no_pupil_is() {
    let teachers = |count: usize| -> String {
        (0..count)
            .map(|i| format!("<leerkracht key=\"t{i}\"><achternaam>X</achternaam></leerkracht>"))
            .collect()
    };
    let groups = "<groepen><groep key=\"x\"><naam>a</naam><jaargroep>3</jaargroep></groep></groepen>";
    for count in [3, 700] {
        let document = feed(&format!(
            "{groups}<leerlingen><leerling><roepnaam>J</roepnaam></leerling></leerlingen><leerkrachten>{}</leerkrachten>",
            teachers(count)
        ));
        let (collected, summary) = Bench::new(WIDE).collect(document.as_bytes(), None).unwrap();
        assert!(collected.document.contains("<geengegevens/>"), "{}", collected.document);
        assert_eq!(collected.rows.len(), count + 1);
        assert!(
            collected.rows.iter().all(|row| row.outcome == RowOutcome::Withheld && row.released == 0),
            "nothing left"
        );
        assert_eq!((summary.released, summary.staff), (0, 0));
        assert!(summary.fields_released.iter().chain(&summary.fields_neutralised).all(|&count| count == 0));
    }
    let alone = format!(
        "<leerkrachten_antwoord xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens\">\
         <leerlinggegevens-leerkrachten>{SCHOOL}<leerkrachten>{}</leerkrachten></leerlinggegevens-leerkrachten></leerkrachten_antwoord>",
        teachers(3)
    );
    let (collected, summary) = Bench::new(WIDE).collect(alone.as_bytes(), None).unwrap();
    assert_eq!(summary.staff, 3, "{}", collected.document);
}

/// Pupils behind the teachers are withheld, and their rows come in chunks like all others.
#[test]
fn pupils_behind_many_teachers_do_not_overfill_a_chunk() {
    let teachers: String = (0..256)
        .map(|i| format!("<leerkracht key=\"t{i}\"><achternaam>X</achternaam></leerkracht>"))
        .collect();
    let late = pupils(300).replace("key=\"1", "key=\"2");
    let document = feed(&format!(
        "<leerlingen>{}</leerlingen><leerkrachten>{teachers}</leerkrachten><leerlingen>{late}</leerlingen>",
        pupils(1)
    ));
    let (_, summary) = Bench::new(WIDE).minimise(document.as_bytes(), None).unwrap();
    assert_eq!((summary.released, summary.withheld, summary.staff), (1, 300, 256));
    // Teachers that fill no chunk wait for more of them, not for pupils.
    let one_too_many = document.replace(
        "<leerkracht key=\"t0\"",
        "<leerkracht key=\"t256\"><achternaam>X</achternaam></leerkracht><leerkracht key=\"t0\"",
    );
    let (_, summary) = Bench::new(WIDE).minimise(one_too_many.as_bytes(), None).unwrap();
    assert_eq!((summary.released, summary.withheld, summary.staff), (1, 300, 257));
}

#[test]
fn the_schooljaar_is_made_good_or_the_document_refused() {
    let pupil = format!("<leerlingen>{}</leerlingen>", pupils(1));
    for (school, expected) in [
        ("<schooljaar>2024 / 2025</schooljaar>", Some("2024-2025")),
        ("<schooljaar>2024/2025</schooljaar>", Some("2024-2025")),
        ("<schooljaar/><schooljaar>2024-2025</schooljaar>", Some("2024-2025")),
        ("<peildatum>2026-07-31</peildatum>", Some("2025-2026")),
        ("<aanmaakdatum>2026-08-01T00:00:00</aanmaakdatum>", Some("2026-2027")),
        ("<schooljaar>dit jaar</schooljaar><peildatum>2026-10-01</peildatum>", Some("2026-2027")),
        ("<schooljaar>dit jaar</schooljaar>", None),
        ("<schooljaar>1112-2233</schooljaar>", None),
        ("", None),
    ] {
        let document =
            format!("{}<school>{school}<brincode>99DE</brincode></school>{pupil}{}", ENVELOPE.0, ENVELOPE.1);
        match (Bench::new(SMALL).minimise(document.as_bytes(), None), expected) {
            (Ok((out, _)), Some(year)) => {
                let wanted =
                    format!("<school><schooljaar>{year}</schooljaar><brincode>99DE</brincode></school>");
                assert!(out.contains(&wanted), "{school}: {out}");
            }
            (Err(failure), None) => {
                assert_eq!(failure, Failure::Refused(Refusal::SchooljaarMissing), "{school}");
            }
            (other, _) => panic!("{school}: {:?}", other.map(|(out, _)| out)),
        }
    }
}

/// What is checked is what leaves, however often it is said.
#[test]
fn the_school_that_leaves_is_the_one_that_was_checked() {
    let pupil = format!("<leerlingen>{}</leerlingen>", pupils(1));
    let year = "<schooljaar>2026-2027</schooljaar>";
    let minimise = |bench: &Bench, school: &str| {
        let document = format!("{}<school>{year}{school}</school>{pupil}{}", ENVELOPE.0, ENVELOPE.1);
        bench.minimise(document.as_bytes(), None).map(|(out, _)| out)
    };
    let mut bench = Bench::new(WIDE);
    bench.school.dependance = Some("00".into());
    for school in [
        "<brincode>99DE</brincode><dependancecode/><dependancecode>07</dependancecode>",
        "<brincode>99DE</brincode><dependancecode>00</dependancecode><dependancecode>07</dependancecode>",
        "<brincode>99DE</brincode><brincode>99DF</brincode>",
        "<brincode/><brincode>99DF</brincode><schoolkey>sleutel</schoolkey>",
        "<schoolkey/><schoolkey>andere</schoolkey>",
        "<schoolkey>sleutel</schoolkey><schoolkey>andere</schoolkey>",
    ] {
        assert_eq!(minimise(&bench, school).unwrap_err(), Failure::Refused(Refusal::SchoolOther), "{school}");
    }
    bench.school.schoolkey = Some("100000".into());
    for (school, expected) in [
        (
            "<instellingsnummer>123456</instellingsnummer><brincode>99de</brincode><dependancecode>00</dependancecode>\
             <schoolkey>100000</schoolkey>",
            "<brincode>99DE</brincode><dependancecode>00</dependancecode>",
        ),
        (
            "<dependancecode>00</dependancecode><instellingsnummer>123456</instellingsnummer><schoolkey>100000</schoolkey>",
            "<instellingsnummer>123456</instellingsnummer><schoolkey>100000</schoolkey>",
        ),
        ("<schoolkey/><schoolkey>100000</schoolkey>", "<schoolkey>100000</schoolkey>"),
    ] {
        let out = minimise(&bench, school).unwrap();
        assert!(out.contains(&format!("<school>{year}{expected}</school>")), "{out}");
    }
}

/// A key that no token can hold is no key; what refers to it refers to nothing.
#[test]
fn a_group_whose_key_is_too_long_is_left_out_and_noticed() {
    let key = "k".repeat(200);
    let document = feed(&format!(
        "<groepen><groep key=\"{key}\"><naam>a</naam><jaargroep>3</jaargroep></groep></groepen>\
         <leerlingen><leerling key=\"1\"><roepnaam>J</roepnaam><groep key=\"{key}\"/></leerling></leerlingen>"
    ));
    let (out, summary) = Bench::new(WIDE).minimise(document.as_bytes(), None).unwrap();
    assert!(!out.contains("<groep"), "{out}");
    assert_eq!(summary.events.of(Event::KeyMissing), 2);
    assert_eq!(summary.fields_released.iter().sum::<u64>(), 5, "year, BRIN, key, ECK iD, name");
}

/// Of two keys the first counted, and of two headers the last: a proxy before Sluis could have checked the other.
#[test]
fn a_request_presents_one_autorisatie() {
    let part = |name: &str, value: &str| format!("<{name}>{value}</{name}>");
    let rest = part("klantcode", "c") + &part("klantnaam", "n");
    let header = |inside: &str| {
        format!(
            "<autorisatie xmlns=\"http://www.edustandaard.nl/leerresultaten/2/autorisatie\">{inside}</autorisatie>"
        )
    };
    let read = |headers: &str| {
        let request = format!(
            "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Header>{headers}</s:Header><s:Body>\
             <leerlinggegevens_verzoek xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens\">\
             <brincode>99DE</brincode></leerlinggegevens_verzoek></s:Body></s:Envelope>"
        );
        let read = sluis::ingress::read(request.as_bytes(), None, &Limits::default());
        read.map(|request| request.presented.map(|presented| presented.sleutel.to_string()))
    };
    let one = header(&(part("autorisatiesleutel", "a") + &rest));
    let other = header(&(part("autorisatiesleutel", "b") + &rest));
    let both = header(&(part("autorisatiesleutel", "a") + &part("autorisatiesleutel", "b") + &rest));
    assert_eq!(read(&one), Ok(Some("a".into())));
    assert_eq!(read(&(one.clone() + &other)), Err(RequestError::Form("a second autorisatie")));
    assert_eq!(read(&both), Err(RequestError::Form("a part that stands twice")));
}
