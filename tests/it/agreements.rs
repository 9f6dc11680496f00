//! Agreements: templates, what a version changes, the second person; and the five rules that every exchange is held
//! against.

use std::fs;

use sluis::{
    disclosure::{Leaf, LeafKind},
    policy::rules::{Reason, Rule, Verdict},
};

use crate::{
    documents::feed,
    home::{Home, Ran},
    served::{ASK, FakeLas, PUPILS, Served, post, request},
};

const FILE: &str = "agreements/99DE-noordzee-rekenroute.toml";
const ID: &str = "99DE-noordzee-rekenroute";

fn minimise(home: &Home) -> Ran {
    home.minimise("99DE", feed(PUPILS).as_bytes())
}

fn activations(home: &Home) -> Vec<Leaf> {
    let leaves = home.leaves().into_iter();
    leaves.filter(|leaf| leaf.kind == LeafKind::AgreementActivated).collect()
}

fn approve(home: &Home, approver: &str) -> Ran {
    home.run(&["agreements", "approve", ID, "--approver", approver])
}

#[test]
fn every_template_is_in_order_once_it_is_filled_in() {
    for name in [
        "hub",
        "lvs-set-2.2",
        "platform",
        "smalle-set-2.2",
        "smalle-set-2.3",
        "toestemming",
        "wettelijke-ontvanger",
    ] {
        let home = Home::new();
        let ran = home.run(&["agreements", "template", name, "--school", "99DE", "--recipient", "noordzee"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        fs::write(home.path(FILE), &ran.out).unwrap();
        let unfilled = home.run(&["check"]);
        assert!(
            unfilled.code == 1 && unfilled.err.contains("still to be filled in"),
            "{name}: {}",
            unfilled.err
        );
        let filled: String = ran.out.chars().filter(|c| !matches!(c, '<' | '>')).collect();
        fs::write(home.path(FILE), filled).unwrap();
        let ran = home.run(&["check"]);
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
    }
}

#[test]
fn what_is_put_in_force_is_on_record_once() {
    let home = Home::new();
    assert_eq!(minimise(&home).code, 0);
    assert_eq!(minimise(&home).code, 0);
    let [one] = &activations(&home)[..] else { panic!("once") };
    let agreement =
        sluis::config::Config::load(&home.path("sluis.toml"), &sluis::clock::SystemClock).unwrap();
    assert_eq!(one.agreement, agreement.agreements.all()[0].hash);
    home.edit(FILE, |text| text.replace("version   = 1", "version   = 2"));
    assert_eq!(minimise(&home).code, 0);
    assert_eq!(activations(&home).iter().map(|leaf| leaf.activity_version).collect::<Vec<_>>(), [1, 2]);
    let las = FakeLas::answering(feed(PUPILS));
    let served = Served::start(&home, &las);
    served.wait_for("keys in force are on record");
    post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
    served.stop();
    assert_eq!(activations(&home).len(), 2);
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

#[test]
fn what_widens_takes_a_second_person() {
    let home = Home::new();
    home.edit(FILE, |text| text.replace("version   = 1", "version   = 1\nauthor    = \"A. de Vries\""));
    let ran = minimise(&home);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    assert!(ran.err.contains("(doelbinding)"), "{}", ran.err);
    assert!(home.run(&["agreements", "list"]).out.contains("waits for approval"));
    for own in ["A. de Vries", " a. DE vries "] {
        let ran = approve(&home, own);
        assert!(ran.code == 1 && ran.err.contains("somebody else"), "{}", ran.err);
    }
    assert_eq!(approve(&home, "").code, 2);
    assert_eq!(approve(&home, "B. Bakker").code, 0);
    assert_eq!(approve(&home, "B. Bakker").code, 1, "it is in force already");
    assert_eq!(minimise(&home).code, 0);
    let standing = fs::read_to_string(home.path("data/standing/99DE.json")).unwrap();
    assert!(standing.contains("A. de Vries") && standing.contains("B. Bakker"), "{standing}");

    // Less needs nobody, and what it leaves out is left out at once.
    home.edit(FILE, |text| text.replace("\"leerling.roepnaam\"              = \"pass\"\n", ""));
    let ran = home.run(&["agreements", "diff", ID]);
    assert!(ran.out.contains("- Vervalt: Roepnaam") && ran.out.contains("nergens meer"), "{}", ran.out);
    let ran = minimise(&home);
    assert!(ran.code == 0 && !ran.out.contains("Jip"), "{}", ran.err);
    // More does, also when the author is left out or the version stays the same.
    home.edit(FILE, |text| text + "\"leerling.geslacht\" = \"pass\"\n");
    let ran = home.run(&["agreements", "diff", ID]);
    assert!(ran.out.contains("+ Nieuw: Geslacht (leerling.geslacht) – zoals het is"), "{}", ran.out);
    assert!(ran.out.contains("op 1 punt(en) meer"), "{}", ran.out);
    assert_eq!(minimise(&home).code, 3);
    home.edit(FILE, |text| text.replace("author    = \"A. de Vries\"", ""));
    assert_eq!(minimise(&home).code, 3);
    let ran = approve(&home, "B. Bakker");
    assert!(ran.code == 1 && ran.err.contains("has no author"), "{}", ran.err);
    // Nor does another id lead around it.
    let kept = fs::read_to_string(home.path(FILE)).unwrap();
    home.edit(FILE, |text| text.replace(ID, "99DE-noordzee-anders"));
    assert_eq!(minimise(&home).code, 3);
    fs::write(home.path(FILE), kept).unwrap();
    home.edit(FILE, |text| text.replace("version   = 1", "version   = 2\nauthor    = \"B. Bakker\""));
    assert_eq!(approve(&home, "B. Bakker").code, 1);
    assert_eq!(approve(&home, "A. de Vries").code, 0);
    assert_eq!(minimise(&home).code, 0);
    let stamps: Vec<_> = activations(&home).iter().map(|leaf| leaf.status).collect();
    assert_eq!(stamps, [2, 1, 2], "approved, narrowed, approved");
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

/// The gateway takes an approval while it runs.
#[test]
fn an_approval_holds_from_the_next_request_on() {
    let home = Home::new();
    home.edit(FILE, |text| text.replace("version   = 1", "version   = 1\nauthor    = \"A. de Vries\""));
    let las = FakeLas::answering(feed(PUPILS));
    let served = Served::start(&home, &las);
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    let got = post(&home, &served, &ask);
    assert!(got.text.contains("Client.AutorisatieOngeldig"), "{}", got.text);
    assert!(got.text.contains("doelbinding: de overeenkomst is nog niet goedgekeurd"), "{}", got.text);
    assert_eq!(approve(&home, "B. Bakker").code, 0);
    let got = post(&home, &served, &ask);
    assert!(got.status == 200 && got.text.contains("Jip"), "{}", got.text);
    served.stop();
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

/// What the newest leaf about an exchange says of the five rules, and why it was stopped.
fn verdicts(home: &Home) -> ([Verdict; 5], Option<Reason>) {
    let about = [LeafKind::Disclosure, LeafKind::Outcome, LeafKind::Withheld];
    let leaves = home.leaves();
    let leaf = leaves.iter().rfind(|leaf| about.contains(&leaf.kind)).unwrap();
    let stopped = leaf.kind == LeafKind::Withheld;
    (Rule::ALL.map(|rule| leaf.verdicts.of(rule)), Reason::from_number(leaf.status).filter(|_| stopped))
}

#[test]
fn each_rule_stops_what_breaks_it() {
    const { assert!(Rule::ALL.len() == 5) };
    let kept = |count: usize| {
        let mut verdicts = [Verdict::Unjudged; 5];
        verdicts[..count].fill(Verdict::Kept);
        if count < 5 {
            verdicts[count] = Verdict::Broken;
        }
        verdicts
    };
    let home = Home::new();
    assert_eq!(minimise(&home).code, 0);
    assert_eq!(verdicts(&home), (kept(5), None));
    let stopped = |home: &Home, ran: &Ran, count: usize, reason: Reason| {
        assert!(ran.code != 0 && ran.out.is_empty(), "{reason}: {}{}", ran.out, ran.err);
        assert_eq!(verdicts(home), (kept(count), Some(reason)), "{reason}");
    };

    // Doel en doelbinding: the agreement is over.
    let agreement = fs::read_to_string(home.path(FILE)).unwrap();
    home.edit(FILE, |text| {
        let (head, tail) = text.split_once("valid     =").unwrap();
        let tail = tail.split_once('\n').unwrap().1;
        format!("{head}valid     = {{ from = 2020-08-01, until = 2021-07-31 }}\n{tail}")
    });
    stopped(&home, &minimise(&home), 0, Reason::AgreementEnded);
    fs::write(home.path(FILE), &agreement).unwrap();

    // Grondslag: who objected cannot be told any more.
    let words =
        ["rights", "add", "--school", "99DE", "--by", "key", "--kind", "bezwaar", "--decided-by", "ouder"];
    assert_eq!(home.run_with(&words, "100001").code, 0);
    assert_eq!(home.run(&["keys", "rotate", "--school", "99DE", "--purpose", "log"]).code, 0);
    fs::rename(home.path("keys/99DE.log.1.key"), home.path("weg")).unwrap();
    stopped(&home, &minimise(&home), 1, Reason::RightsUntraceable);
    fs::rename(home.path("weg"), home.path("keys/99DE.log.1.key")).unwrap();

    // Dataminimalisatie: nothing of the file is agreed on.
    home.release(&[("leerkracht.rol", "pass")]);
    let edexml = include_str!("../documents/edexml.in.xml");
    let ran = home.minimise("99DE", edexml.as_bytes());
    assert!(ran.code == 3 && ran.out.is_empty(), "{}{}", ran.out, ran.err);
    // That its persons were kept in is on record already, so it is the outcome that says so.
    assert_eq!(verdicts(&home), (kept(2), None));
    fs::write(home.path(FILE), &agreement).unwrap();

    // Data-integriteit: another school, and a document that is broken.
    let other = feed(PUPILS).replace("<brincode>99DE", "<brincode>99DX");
    stopped(&home, &home.minimise("99DE", other.as_bytes()), 4, Reason::SchoolOther);
    let broken = feed(PUPILS).replace("</leerlingen>", "</leerling>");
    stopped(&home, &home.minimise("99DE", broken.as_bytes()), 4, Reason::DocumentInvalid);

    // Transparantie: what cannot be put on record does not leave, and then there is nothing on record either.
    let before = home.leaves().len();
    let copy = fs::read(home.path("keys/checkpoint")).unwrap();
    fs::write(home.path("keys/checkpoint"), "of another log").unwrap();
    let ran = minimise(&home);
    assert!(ran.code == 1 && ran.out.is_empty(), "{}", ran.err);
    fs::write(home.path("keys/checkpoint"), copy).unwrap();
    assert_eq!(home.leaves().len(), before);

    assert_eq!(home.minimise("99DE", feed(PUPILS).replace("100001", "100002").as_bytes()).code, 0);
    assert_eq!(verdicts(&home), (kept(5), None));
    let ran = home.run(&["preview", "--school", "99DE", "--recipient", "noordzee", "--input", "input.xml"]);
    for rule in Rule::ALL {
        assert!(ran.out.contains(&format!("{:17} kept", rule.as_str())), "{rule:?} in {}", ran.out);
    }
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

/// A document that breaks after a part has left: the transfer is broken off, and the outcome says which rule it was.
#[test]
fn what_breaks_on_the_way_is_said_in_the_outcome() {
    let home = Home::new();
    let pupils: String = (0..600)
        .map(|n| format!("<leerling key=\"{}\"><roepnaam>P</roepnaam></leerling>", 300_000 + n))
        .collect();
    let document = feed(&format!("<leerlingen>{pupils}<leerling></leerlingen>"));
    let ran = home.minimise("99DE", document.as_bytes());
    assert_ne!(ran.code, 0);
    let (verdicts, stopped) = verdicts(&home);
    assert_eq!((verdicts[3], verdicts[4], stopped), (Verdict::Kept, Verdict::Broken, None));
}
