//! A delivery that differs too much from the one before waits for somebody to decide, and nothing of it leaves.

use std::fs;

use sluis::{
    disclosure::LeafKind,
    policy::rules::{Reason, Rule, Verdict},
};

use crate::{
    documents::{ENVELOPE, SCHOOL},
    home::{Home, Ran},
    served::{ASK, FakeLas, Served, post, request},
};

/// Pupils by number, whose first name says which export they are of.
fn export(numbers: impl Iterator<Item = u32>, name: &str) -> String {
    let pupils: String = numbers
        .map(|number| {
            format!("<leerling key=\"{}\"><roepnaam>{name}</roepnaam></leerling>", 600_000 + number)
        })
        .collect();
    format!("{}{SCHOOL}<leerlingen>{pupils}</leerlingen>{}", ENVELOPE.0, ENVELOPE.1)
}

fn minimise(home: &Home, document: &str) -> Ran {
    home.minimise("99DE", document.as_bytes())
}

fn decide(home: &Home, what: &str, id: &str) -> Ran {
    home.run(&["holds", what, id, "--school", "99DE", "--by", "B. Bakker", "--reason", "nieuw schooljaar"])
}

fn listed(home: &Home) -> String {
    let ran = home.run(&["holds", "list", "--school", "99DE"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

fn holds(home: &Home) -> usize {
    home.leaves().iter().filter(|leaf| leaf.kind == LeafKind::Hold).count()
}

fn assert_held(home: &Home, ran: &Ran) {
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    assert!(ran.err.contains("sluis holds"), "{}", ran.err);
    let leaves = home.leaves();
    let stopped = leaves.iter().rfind(|leaf| leaf.kind == LeafKind::Withheld).unwrap();
    assert_eq!(stopped.status, Reason::Held as u8);
    assert_eq!(stopped.verdicts.of(Rule::Integriteit), Verdict::Broken);
}

#[test]
fn pupils_that_are_gone_hold_a_delivery_until_it_is_approved() {
    let home = Home::new();
    assert_eq!(minimise(&home, &export(0..100, "Jip")).code, 0);
    assert_eq!(minimise(&home, &export(5..100, "Jip")).code, 0, "five have moved");
    let half = export(5..50, "Jip");
    assert_held(&home, &minimise(&home, &half));
    assert!(listed(&home).contains("50 of 95 pupils gone, 0 of 45 new or different; waits for a decision"));
    assert_held(&home, &minimise(&home, &half));
    assert_eq!(holds(&home), 1, "the same again says nothing new");

    let list = listed(&home);
    let id = list.split_whitespace().next().unwrap();
    assert_eq!(decide(&home, "approve", "0190a0a0-0000-7000-8000-000000000000").code, 1);
    assert_eq!(home.run(&["holds", "approve", id, "--school", "99DE", "--by", " ", "--reason", "x"]).code, 2);
    let ran = decide(&home, "approve", id);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(listed(&home).contains("approved by B. Bakker: nieuw schooljaar"));
    assert_eq!(decide(&home, "reject", id).code, 1, "it was decided on");
    let ran = minimise(&home, &half);
    assert!(ran.code == 0 && ran.out.matches("<leerling ").count() == 45, "{}", ran.err);
    // What was approved is what the next is held against.
    assert_held(&home, &minimise(&home, &export(5..30, "Jip")));
    assert_eq!(minimise(&home, &half).code, 0);
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

#[test]
fn too_many_that_are_different_hold_it_too() {
    let home = Home::new();
    assert_eq!(minimise(&home, &export(0..100, "Jip")).code, 0);
    let other = export(0..100, "Janneke");
    assert_held(&home, &minimise(&home, &other));
    let list = listed(&home);
    assert!(list.contains("0 of 100 pupils gone, 100 of 100 new or different"), "{list}");
    assert_eq!(decide(&home, "reject", list.split_whitespace().next().unwrap()).code, 0);
    assert_held(&home, &minimise(&home, &other));
    assert!(listed(&home).contains("rejected by B. Bakker"), "it stays so");
    // A field that is suddenly not there: half of the names, which is not yet too many that are different.
    let without = export(0..100, "Jip");
    let mut left = 60;
    let without: String = without
        .split_inclusive("</leerling>")
        .map(|pupil| {
            left -= 1;
            if left >= 0 { pupil.replace("<roepnaam>Jip</roepnaam>", "") } else { pupil.to_owned() }
        })
        .collect();
    assert_held(&home, &minimise(&home, &without));
    assert!(listed(&home).contains("not as often there or gone: leerling.roepnaam"), "{}", listed(&home));
    assert_eq!(minimise(&home, &export(0..100, "Jip")).code, 0);
    // The other agreement makes every record different, and that is not the export's doing.
    home.release(&[("leerling.roepnaam", "initial")]);
    assert_eq!(minimise(&home, &export(0..100, "Jip")).code, 0);
}

#[test]
fn the_school_says_how_much_is_too_much() {
    let home = Home::new();
    home.edit("sluis.toml", |text| {
        text.replace("[pseudonym]", "[integrity]\ngone_percent = 60\nfrom_pupils = 10\n\n[pseudonym]")
    });
    assert_eq!(minimise(&home, &export(0..9, "Jip")).code, 0);
    assert_eq!(minimise(&home, &export(20..29, "Jip")).code, 0, "of so few, one is a large part");
    assert_eq!(minimise(&home, &export(0..10, "Jip")).code, 0);
    assert_eq!(minimise(&home, &export(0..4, "Jip")).code, 0);
    assert_eq!(minimise(&home, &export(0..10, "Jip")).code, 0);
    assert_held(&home, &minimise(&home, &export(0..3, "Jip")));
    // Whoever objects has not gone.
    let words =
        ["rights", "add", "--school", "99DE", "--by", "key", "--kind", "bezwaar", "--decided-by", "ouder"];
    for number in 0..8 {
        assert_eq!(home.run_with(&words, &format!("{}", 600_000 + number)).code, 0);
    }
    assert_eq!(minimise(&home, &export(0..10, "Jip")).code, 0);
}

/// A delivery that is too large to wait whole is judged as it goes: what shows at its end breaks the transfer off.
#[test]
fn a_large_one_is_judged_as_it_goes() {
    let home = Home::new();
    let las = FakeLas::new({
        let mut turn = 0;
        Box::new(move |_, stream| {
            turn += 1;
            let document = match turn {
                1 => export(0..3000, "Jip"),
                2 => export(0..2000, "Jip"),
                _ => export(0..3000, "Janneke"),
            };
            crate::served::write_xml(stream, &document);
        })
    });
    let limits = "held_bytes = 65536\nlas_response_ms = 5000\nlas_idle_ms = 5000\nlas_connect_ms = 400\nheader_read_ms = 500\n";
    let served = Served::with(&home, &las, limits, home.sluis(&["serve"]));
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    assert_eq!(post(&home, &served, &ask).status, 200);
    served.wait_for("outcome");
    let mut stream = crate::served::connect(&home, &served, Some("noordzee"));
    crate::served::send(&mut stream, &ask, "text/xml");
    let text = crate::served::read_all(&mut stream);
    assert!(text.contains("<leerling ") && !text.ends_with("0\r\n\r\n"), "it is broken off");
    // Where all are different, that shows before anything has left.
    let got = post(&home, &served, &ask);
    assert!(got.text.contains("Server.TijdelijkNietBeschikbaar"), "{}", got.text);
    assert!(got.text.contains("wacht op een besluit van de school"), "{}", got.text);
    served.stop();
    assert_eq!(holds(&home), 2);
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

#[test]
fn a_document_can_be_too_old() {
    let home = Home::new();
    let of = |day: &str| {
        export(0..1, "Jip")
            .replace("</brincode>", &format!("</brincode><aanmaakdatum>{day}T08:00:00</aanmaakdatum>"))
    };
    let today = sluis::clock::Clock::today(&sluis::clock::SystemClock);
    let ago = |days: i64| today.saturating_sub(jiff::Span::new().days(days)).to_string();
    assert_eq!(minimise(&home, &of("2016-01-01")).code, 0, "nobody asked");
    home.edit("sluis.toml", |text| {
        text.replace("[pseudonym]", "[integrity]\nmax_age_days = 7\n\n[pseudonym]")
    });
    assert_eq!(minimise(&home, &of(&ago(7))).code, 0);
    assert_eq!(minimise(&home, &export(0..1, "Jip")).code, 0, "it does not say");
    for day in [ago(8), ago(-3), "gisteren".into()] {
        let ran = minimise(&home, &of(&day));
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{day}: {}", ran.err);
        let stopped = home.leaves().into_iter().rfind(|leaf| leaf.kind == LeafKind::Withheld).unwrap();
        assert_eq!(stopped.status, Reason::DocumentStale as u8);
    }
}

/// What deliveries are compared with is no record: gone or damaged, the next is a first one.
#[test]
fn what_is_compared_with_can_go() {
    let home = Home::new();
    assert_eq!(minimise(&home, &export(0..100, "Jip")).code, 0);
    let folder = home.path("data/baseline/99DE");
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&file).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"600001"));
    fs::write(&file, &bytes[..100]).unwrap();
    assert_eq!(minimise(&home, &export(0..30, "Jip")).code, 0);
    assert_held(&home, &minimise(&home, &export(0..20, "Jip")));
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(minimise(&home, &export(0..30, "Jip")).code, 0);
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

/// What is asked a part at a time, or has not changed, is no delivery without pupils.
#[test]
fn only_whole_feeds_are_compared() {
    let home = Home::new();
    let las = FakeLas::new({
        let mut turn = 0;
        Box::new(move |request, stream| {
            turn += 1;
            let nobody = export(0..0, "").replace("<leerlingen></leerlingen>", "");
            let document = match turn {
                2 => nobody
                    .replace("leerlinggegevens_antwoord", "structuur_antwoord")
                    .replace("leerlinggegevens>", "leerlinggegevens-structuur>"),
                3 => nobody
                    .replace(SCHOOL, "<geenwijzigingen/>")
                    .replace("<leerlinggegevens><geenwijzigingen/></leerlinggegevens>", "<geenwijzigingen/>"),
                _ => export(0..100, "Jip"),
            };
            let expected = if turn == 2 { "structuur_verzoek" } else { "leerlinggegevens_verzoek" };
            assert!(request.contains(expected), "{request}");
            crate::served::write_xml(stream, &document);
        })
    });
    let served = Served::start(&home, &las);
    for operation in ["leerlinggegevens", "structuur", "leerlinggegevens", "leerlinggegevens"] {
        let got = post(&home, &served, &request(&home, &format!("{operation}_verzoek"), ASK));
        assert_eq!(got.status, 200, "{operation}: {}", got.text);
        assert!(!got.text.contains("Fault"), "{operation}: {}", got.text);
    }
    served.stop();
    assert_eq!(holds(&home), 0);
}

#[test]
fn a_vestiging_is_compared_with_itself() {
    let home = Home::new();
    let las = FakeLas::new(Box::new(|request, stream| {
        let one = request.contains("<dependancecode>01");
        let document = export(if one { 500..600 } else { 0..100 }, "Jip");
        let code = if one { "01" } else { "00" };
        let place = format!("</brincode><dependancecode>{code}</dependancecode>");
        crate::served::write_xml(stream, &document.replace("</brincode>", &place));
    }));
    let served = Served::start(&home, &las);
    for code in ["00", "01", "00", "01"] {
        let place = format!("</brincode><dependancecode>{code}</dependancecode>");
        let asked = ASK.replace("</brincode>", &place);
        let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", &asked));
        assert_eq!(got.status, 200, "{code}: {}", got.text);
    }
    served.stop();
    assert_eq!(holds(&home), 0);
}

#[test]
fn that_all_have_gone_can_be_approved_too() {
    let home = Home::new();
    assert_eq!(minimise(&home, &export(0..100, "Jip")).code, 0);
    let none = export(0..0, "");
    let ran = home.run(&["preview", "--school", "99DE", "--recipient", "noordzee", "--input", "input.xml"]);
    assert!(ran.code == 0 && ran.out.contains("data-integriteit  kept"), "{}", ran.out);
    assert_held(&home, &minimise(&home, &none));
    let ran = home.run(&["preview", "--school", "99DE", "--recipient", "noordzee", "--input", "input.xml"]);
    assert!(ran.code == 3 && ran.out.contains("would be held: 100 of 100 pupils gone"), "{}", ran.out);
    let list = listed(&home);
    assert_eq!(decide(&home, "approve", list.split_whitespace().next().unwrap()).code, 0);
    assert_eq!(minimise(&home, &none).code, 0);
}
