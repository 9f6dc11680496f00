//! Results on their way to the LAS: to the school they are of, whole, or not at all.

use sluis::{
    catalogue::catalogue,
    decode::Limits,
    fault::FaultCode,
    ingress::{self, RequestError},
    keys::{IdentitySource, RootKey},
    pseudonym::{KeyKind, LogKeys, PseudonymDomain, Pseudonymiser, PupilKey, TokenOpener},
    record::Record,
    results::{Refused, Scope, turn_back},
};

use crate::{
    documents::feed,
    home::Home,
    served::{ASK, FakeLas, Served, attribute, post, request},
};

const SCHOOL: &str = "<schooljaar>2026-2027</schooljaar><brincode>99DE</brincode>\
     <aanmaakdatum>2026-11-11T00:05:46</aanmaakdatum><auteur>Jan</auteur><xsdversie>2.2</xsdversie>\
     <commentaar>over Jan</commentaar>";
const SCORE: &str = "<score>17</score>";
const RESULT: &str = "<resultaten><resultaat key=\"R1\"><afnamedatum>2026-11-10</afnamedatum><toetscode>T1</toetscode>\
     <score>17</score></resultaat></resultaten>";
const TOETSEN: &str = "<toetsen><toets><toetscode>T1</toetscode><toetsnaam>Rekenen</toetsnaam><toetsnormering>\
     <wegingsfactor>1.5</wegingsfactor></toetsnormering></toets></toetsen>";

/// What stands inside `leerresultaten_verzoek`.
pub(crate) fn inside(pupil: &str) -> String {
    format!(
        "<school>{SCHOOL}</school><toetsafnames><toetsafname><leerlingid>{pupil}</leerlingid>{RESULT}</toetsafname>\
         </toetsafnames>{TOETSEN}"
    )
}

/// What became of a message.
#[derive(Debug, PartialEq)]
enum Became {
    Forwarded(String),
    /// Refused when it was read.
    Malformed,
    /// Refused when it was turned back, with this code.
    Refused(FaultCode),
}

/// `change` is made to a message that is in order, with one pupil of key 100001.
fn bring(change: impl FnOnce(String) -> String) -> Became {
    let root = RootKey::new([7; 32]);
    let domain = PseudonymDomain::Recipient;
    let pseudonyms =
        [Pseudonymiser::new(&root, 1, "99DE", &domain, "noordzee", "sluis.example").ok().unwrap()];
    let mut token = String::new();
    pseudonyms[0].token(KeyKind::Leerling, &PupilKey::parse("100001").ok().unwrap(), &mut token);
    let message = format!(
        "<leerresultaten_verzoek xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerresultaten\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">{}</leerresultaten_verzoek>",
        change(inside(&token))
    );
    let read = match ingress::read(message.as_bytes(), None, &Limits::default()) {
        Ok(read) => read,
        Err(RequestError::Form(_)) => return Became::Malformed,
        Err(error) => panic!("{error} in {message}"),
    };
    let log_keys = LogKeys::new(&RootKey::new([8; 32]), 1, "99DE");
    let scope = Scope {
        opener: TokenOpener(&pseudonyms),
        pseudonyms: &pseudonyms,
        pass_eckid: false,
        identity: IdentitySource::LasKey,
        log_keys: &log_keys,
        recipient: "noordzee",
    };
    let kind = catalogue().record_named("autorisatie");
    let header = Record::new(kind, catalogue().place_of_record(kind).unwrap());
    match turn_back(&scope, &header, &read.results) {
        Ok(results) => Became::Forwarded(results.document),
        Err(refused) => Became::Refused(refused.code()),
    }
}

#[test]
fn what_a_supplier_writes_about_the_school_is_not_passed_on() {
    let Became::Forwarded(sent) = bring(|message| message) else { panic!("it is in order") };
    let school = "<school><schooljaar>2026-2027</schooljaar><brincode>99DE</brincode><dependancecode>00</dependancecode>\
                  <aanmaakdatum>2026-11-11T00:05:46</aanmaakdatum><xsdversie>2.2</xsdversie></school>";
    assert!(sent.contains(school), "{sent}");
    assert!(sent.contains("<leerlingid>100001</leerlingid>") && sent.contains(RESULT), "{sent}");
    assert!(sent.contains("<wegingsfactor>1.5</wegingsfactor>"), "{sent}");
    // A key that came with a BRIN is not passed on: it is the BRIN that was checked.
    let both = bring(|message| message.replace("<brincode>", "<schoolkey>sk-88AB</schoolkey><brincode>"));
    assert_eq!(both, Became::Forwarded(sent));
}

#[test]
fn whatever_may_stand_once_stands_once() {
    let second = "<school><schooljaar>2026-2027</schooljaar><brincode>88AB</brincode></school>";
    for (what, from, to) in [
        ("a second school", "<toetsafnames>", format!("{second}<toetsafnames>")),
        ("a second school behind", "</toetsen>", format!("</toetsen>{second}")),
        ("two BRINs", "<brincode>", "<brincode>99DE</brincode><brincode>".into()),
        ("two school years", "<schooljaar>", "<schooljaar>2026-2027</schooljaar><schooljaar>".into()),
        ("two pupils", "<resultaten>", "<leerlingid>x</leerlingid><resultaten>".into()),
        ("two lists of results", "<resultaten>", format!("{RESULT}<resultaten>")),
        ("two scores", SCORE, SCORE.repeat(2)),
        ("two names of a test", "<toetsnaam>", "<toetsnaam>Taal</toetsnaam><toetsnaam>".into()),
        ("an unknown part of the message", "<toetsafnames>", "<foo/><toetsafnames>".into()),
        ("an unknown part of a list", "<toetsafnames>", "<toetsafnames><foo/>".into()),
        ("no school year", "<schooljaar>2026-2027</schooljaar>", String::new()),
        ("no moment", "2026-11-11T00:05:46", String::new()),
        ("no date", "2026-11-11T00:05:46", "gisteren".into()),
        ("no vestiging", "<brincode>", "<dependancecode>Jan</dependancecode><brincode>".into()),
        ("no version", ">2.2<", ">Jan Jansen<".into()),
        ("a number as a version", ">2.2<", ">111222333<".into()),
        (
            "a long key of a school",
            "<brincode>",
            format!("<schoolkey>{}</schoolkey><brincode>", "k".repeat(257)),
        ),
    ] {
        let became = bring(|message| {
            assert!(message.contains(from), "{what}");
            message.replacen(from, &to, 1)
        });
        assert_eq!(became, Became::Malformed, "{what}");
    }
}

#[test]
fn results_arrive_whole_and_well_formed_or_not_at_all() {
    let other = "<anderresultaat xsi:type=\"MijnType\"><andere_score>8</andere_score></anderresultaat>";
    let oso = "<osoresultaat><o:toetsscore xmlns:o=\"http://www.edustandaard.nl/oso_gegevensset/1.2/dossier\">\
               <o:aantalgoed>17</o:aantalgoed></o:toetsscore></osoresultaat>";
    let toetscode = "<toetscode>T1</toetscode><score>";
    for (what, from, to, code) in [
        ("a token of no one", "<leerlingid>", "<leerlingid>x", FaultCode::LeerlingOngeldig),
        ("a score in words", SCORE, "<score>X</score>", FaultCode::ScoreOngeldig),
        ("a score below zero", SCORE, "<score>-1</score>", FaultCode::ScoreOngeldig),
        ("no score", SCORE, "<score/>", FaultCode::ScoreOngeldig),
        ("a result of a type of one's own", SCORE, other, FaultCode::EldResultaatOngeldig),
        (
            "the same without its type",
            SCORE,
            &other.replace(" xsi:type=\"MijnType\"", ""),
            FaultCode::EldResultaatOngeldig,
        ),
        (
            "an unknown part of a result",
            SCORE,
            "<score>17</score><foo>1</foo>",
            FaultCode::EldResultaatOngeldig,
        ),
        (
            "an unknown part of an afname",
            "<resultaten>",
            "<foo/><resultaten>",
            FaultCode::EldResultaatOngeldig,
        ),
        ("a number that is none", SCORE, &oso.replace(">17<", ">Jan<"), FaultCode::EldResultaatOngeldig),
        ("a date that is none", "2026-11-10", "10-11-2026", FaultCode::OngeldigBericht),
        ("no code", toetscode, "<toetscode/><score>", FaultCode::OngeldigBericht),
        ("a long code", toetscode, &toetscode.replace("T1", &"T".repeat(257)), FaultCode::OngeldigBericht),
        ("an unknown part of a test", "<toetsnaam>", "<foo/><toetsnaam>", FaultCode::OngeldigBericht),
        ("a weight that is none", "1.5", "zwaar", FaultCode::ToetsNormeringOngeldig),
    ] {
        let became = bring(|message| {
            assert!(message.contains(from), "{what}");
            message.replacen(from, to, 1)
        });
        assert_eq!(became, Became::Refused(code), "{what}");
    }
    let Became::Forwarded(sent) = bring(|message| message.replace(SCORE, oso)) else {
        panic!("it is in order")
    };
    assert!(sent.contains("aantalgoed") && sent.contains(">17<"), "{sent}");
    for refused in [Refused::Identifier, Refused::Message, Refused::Norm, Refused::Result, Refused::Score] {
        assert!(refused.text().ends_with("Er is niets doorgegeven."));
    }
}

#[test]
fn results_for_another_school_go_nowhere() {
    let home = Home::new();
    let las = FakeLas::answering(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><leerresultaten_bevestiging \
         xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerresultaten\"/></s:Body></s:Envelope>",
    );
    let pupil = "<leerlingen><leerling key=\"100001\"><roepnaam>Jip</roepnaam></leerling></leerlingen>";
    let ran = home.minimise("99DE", feed(pupil).as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let message = inside(attribute(&ran.out, "leerling", "key"));
    home.edit("sluis.toml", |text| {
        text.replace("brin = \"99DE\"", "brin = \"99DE\"\nschoolkey = \"sk-99DE\"\ndependance = \"00\"")
    });
    let served = Served::start(&home, &las);
    let second = "<school><schooljaar>2026-2027</schooljaar><brincode>88AB</brincode></school><toetsafnames>";
    let brins = "<brincode>99DE</brincode><brincode>88AB</brincode><schoolkey>sk-88AB</schoolkey>";
    let key = "<schoolkey>sk-88AB</schoolkey><brincode>";
    for (message, code) in [
        (message.replace("<toetsafnames>", second), "OngeldigBericht"),
        (message.replace("<brincode>99DE</brincode>", brins), "OngeldigBericht"),
        (message.replace("<resultaten>", "<leerlingid>x</leerlingid><resultaten>"), "OngeldigBericht"),
        (message.replace("<brincode>", key), "AutorisatieOngeldig"),
        (message.replace("<leerlingid>", "<leerlingid>x"), "LeerlingOngeldig"),
        (message.replace(SCORE, "<anderresultaat><foo>Jan</foo></anderresultaat>"), "EldResultaatOngeldig"),
        (message.replace(SCORE, "<score>X</score>"), "ScoreOngeldig"),
    ] {
        let got = post(&home, &served, &request(&home, "leerresultaten_verzoek", &message));
        assert_eq!(got.status, 500, "{}", got.text);
        assert!(got.text.contains(&format!("<faultcode>soapenv:Client.{code}<")), "{code}: {}", got.text);
    }
    for to in [key, "<dependancecode>77</dependancecode><brincode>"] {
        let asked = request(&home, "leerlinggegevens_verzoek", &ASK.replace("<brincode>", to));
        let got = post(&home, &served, &asked);
        assert!(got.text.contains("<faultcode>soapenv:Client.AutorisatieOngeldig<"), "{to}: {}", got.text);
    }
    for (from, to) in [
        ("<xsdversie>2.2", "<dependancecode>Jan Jansen</dependancecode><xsdversie>2.2"),
        ("<xsdversie>2.2", "<xsdversie>Jan Jansen"),
        ("<brincode>", "<brincode>88AB</brincode><brincode>"),
        ("</xsdversie>", &format!("</xsdversie><gegevenssetid>{}</gegevenssetid>", "x".repeat(65))),
    ] {
        let asked = request(&home, "leerlinggegevens_verzoek", &ASK.replace(from, to));
        let got = post(&home, &served, &asked);
        assert!(got.text.contains("<faultcode>soapenv:Client.OngeldigBericht<"), "{to}: {}", got.text);
    }
    assert!(las.requests.lock().unwrap().is_empty(), "the pupil administration hears nothing of it");
    let got = post(&home, &served, &request(&home, "leerresultaten_verzoek", &message));
    assert_eq!(got.status, 200, "{}", got.text);
    let sent = las.requests.lock().unwrap().last().unwrap().clone();
    assert!(!sent.contains("Jan") && sent.contains("<dependancecode>00</dependancecode>"), "{sent}");
    served.stop();
}
