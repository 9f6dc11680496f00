//! What leaves is what the agreement allows of what there is: all of it, and nothing else.
//!
//! What is allowed is worked out here, from the text of the catalogue and the lines of the agreement, by none of the
//! code that decides it for Sluis. Feeds hold well-formed values without identifiers, so nothing stays for another
//! reason than the agreement.

mod documents;
mod expected;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
};

use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};
use sluis::{
    minimise::{Event, Refusal},
    tls,
};

use self::{
    documents::{Document, FEEDS, Writer, tape},
    expected::{BOOK, Fields, Lines, allowed, compare, leaves, read},
};
use crate::{
    documents::{Bench, Failure},
    home::Home,
    served::{
        ASK, FakeLas, Served, begin, connect, held_back, read_all, request, send, try_connect, write_xml,
    },
};

/// What a document comes to under an agreement; none: there is nothing.
fn minimised(bench: &Bench, document: &Document) -> Option<Vec<(String, Fields<String>)>> {
    match bench.minimise(document.text.as_bytes(), None) {
        Ok((out, summary)) => {
            // Nothing stays for another reason than the agreement; content of the vendor's own is what is unknown.
            let noted = summary.events.iter().filter(|(event, count)| *count > 0 && *event != Event::Unknown);
            assert_eq!(
                noted.map(|(event, _)| event.label()).collect::<Vec<_>>(),
                [""; 0],
                "{}",
                document.text
            );
            read(&out)
        }
        // EDEXML cannot say that there is no data.
        Err(Failure::Refused(Refusal::Nothing)) if document.feed == "edexml" => None,
        Err(failure) => panic!("{failure:?}: {}", document.text),
    }
}

/// Agreements of every kind: from no line to a line for each field, with any treatment the field has.
fn lines() -> impl Strategy<Value = Lines> {
    let fields = BOOK.releasable().count();
    let categories: BTreeSet<String> = BOOK.field.iter().filter_map(|entry| entry.category.clone()).collect();
    let count = categories.len();
    let some =
        proptest::option::weighted(0.3, proptest::sample::subsequence(Vec::from_iter(categories), 0..=count));
    let flags = (any::<bool>(), any::<bool>(), proptest::bool::weighted(0.2));
    let chosen = proptest::collection::vec((any::<u8>(), any::<proptest::sample::Index>()), fields);
    (flags, some, any::<u8>(), chosen).prop_map(
        |((legal, special, pass_eckid), categories, density, chosen)| {
            let categories = categories.map(BTreeSet::from_iter);
            let mut lines = Lines { legal, special, pass_eckid, categories, release: BTreeMap::new() };
            for (entry, (chance, treatment)) in BOOK.releasable().zip(chosen) {
                if chance <= density && lines.may_name(entry) {
                    lines.release.insert(entry.id.clone(), treatment.get(&entry.treatments).clone());
                }
            }
            lines
        },
    )
}

#[test]
fn what_leaves_is_what_is_allowed_of_what_there_is() {
    let cases = 256;
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let feeds = proptest::sample::select(FEEDS.to_vec());
    let tape = proptest::collection::vec(any::<u8>(), 32..400);
    let (left, stayed, answers) = (Cell::new(0), Cell::new(0), RefCell::new(BTreeMap::new()));
    TestRunner::new(config)
        .run(&(lines(), feeds, tape), |(lines, feed, tape)| {
            let document = Writer::document(feed, &tape);
            let wanted = allowed(&lines, &document);
            let got = minimised(&lines.bench(), &document);
            compare(&wanted, &got).map_err(|what| {
                TestCaseError::fail(format!("{what}\n{}\n{}", lines.text("noordzee", 1), document.text))
            })?;
            let count =
                wanted.iter().flatten().flat_map(|(_, fields)| fields.values()).map(Vec::len).sum::<usize>();
            let there = document.records.iter().map(|record| record.values.len()).sum::<usize>();
            left.set(left.get() + count);
            stayed.set(stayed.get() + there.saturating_sub(count));
            *answers.borrow_mut().entry((feed, wanted.is_some())).or_insert(0) += 1;
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    // Not one kind of answer alone, whatever the dice.
    assert!(left.get() > 1_000 && stayed.get() > 1_000, "{} {}", left.get(), stayed.get());
    assert_eq!(answers.borrow().values().sum::<u32>(), cases);
    for feed in FEEDS {
        let with = answers.borrow().get(&(feed, true)).copied();
        assert!(with.is_some_and(|with| with > 3), "{feed}: {answers:?}");
    }
}

/// Each line opens its own field, and the others open it in no case: for every field that has a treatment.
#[test]
fn each_line_opens_its_field_and_no_other_does() {
    let pupil = ("leerling.roepnaam", "pass");
    let mut seen = 0;
    for entry in BOOK.releasable().filter(|entry| entry.sensitivity != "addressing") {
        let id = entry.id.as_str();
        if entry.is_attribute("@key") || entry.is_attribute("@eckid") {
            continue;
        }
        for how in &entry.treatments {
            let mut with = vec![pupil];
            with.retain(|(name, _)| *name != id);
            // Without a pupil there is no answer, and without a reference nothing that is in it.
            if id == pupil.0 {
                with.push(("leerling.geslacht", "pass"));
            }
            if id.starts_with("leerkracht.groepen.") {
                with.push(("leerkracht.groepen", "pass"));
            }
            with.push((id, how.as_str()));
            let without = BOOK.releasable().filter(|other| other.id != id);
            let without: Vec<_> =
                without.map(|other| (other.id.as_str(), other.treatments[0].as_str())).collect();
            let (with, without) = (Lines::of(&with), Lines::of(&without));
            let (bench_with, bench_without) = (with.bench(), without.bench());
            // The first document that has the field, of a few.
            let found = (0..200_u32).find_map(|seed| {
                let tape = tape(seed);
                let document = Writer::document("leerlinggegevens", &tape);
                let (wanted, withheld) = (allowed(&with, &document), allowed(&without, &document)?);
                assert!(!leaves(&withheld, id), "{id} needs a line of its own");
                leaves(wanted.as_ref()?, id).then_some((document, wanted, withheld))
            });
            let (document, wanted, withheld) = found.unwrap_or_else(|| panic!("no document has {id}"));
            compare(&wanted, &minimised(&bench_with, &document))
                .unwrap_or_else(|what| panic!("{id}: {what}"));
            let got = minimised(&bench_without, &document);
            compare(&Some(withheld), &got).unwrap_or_else(|what| panic!("without {id}: {what}"));
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen}");
}

const NARROW: &[(&str, &str)] = &[
    ("leerling.roepnaam", "pass"),
    ("leerling.geboortedatum", "year"),
    ("leerling.groep", "pass"),
    ("leerling.gebruikersnaam", "pseudonym"),
    ("groep.naam", "pass"),
    ("leerkracht.achternaam", "initial"),
];
const OTHER: &[(&str, &str)] = &[
    ("school.peildatum", "month"),
    ("leerling.achternaam", "pass"),
    ("leerling.geboortedatum", "month"),
    ("leerling.geslacht", "pass"),
    ("leerling.samengestelde_groepen", "pass"),
    ("leerling.emailadres", "pass"),
    ("samengestelde_groep.omschrijving", "pass"),
    ("leerkracht.groepen", "pass"),
    ("leerkracht.groepen.rol", "pass"),
];

/// Two agreements that have hardly a line in common, and an answer of a pupil administration in which there is
/// something for each line of both.
fn two_agreements(pupils: usize) -> ([Lines; 2], Document) {
    let lines = [NARROW, OTHER].map(Lines::of);
    let has_all = |document: &Document| {
        let said = |name: &str| document.records[0].values.iter().any(|given| given.field == name);
        // In the envelope that an answer comes in, and of the vestiging that is asked for when none is named.
        let fits =
            document.text.contains("Envelope") && said("school.brincode") && !said("school.dependancecode");
        fits && lines.iter().all(|lines| {
            let records = allowed(lines, document).unwrap();
            lines.release.keys().all(|field| leaves(&records, field))
        })
    };
    let documents = (0..200_u32).map(|seed| {
        Writer::document_of("leerlinggegevens", &tape(seed), &|_, kind| {
            if kind == "leerling" { pupils } else { 4 }
        })
    });
    let document = documents.into_iter().find(has_all).expect("a document with all of it");
    (lines, document)
}

/// Puts an agreement in the place of another, in one step.
fn agree(home: &Home, recipient: &str, lines: &Lines, version: u32) {
    let (new, file) = (home.path("agreements/.nieuw"), home.path(&format!("agreements/{recipient}.toml")));
    fs::write(&new, lines.text(recipient, version)).unwrap();
    fs::rename(new, file).unwrap();
}

fn home() -> Home {
    let home = Home::new();
    fs::remove_file(home.path("agreements/99DE-noordzee-rekenroute.toml")).unwrap();
    home
}

/// Asks the gateway as a supplier, and reads its answer to the end.
fn ask(home: &Home, port: u16, client: &str) -> Option<Vec<(String, Fields<String>)>> {
    answer(&ask_for_text(home, port, client))
}

fn ask_for_text(home: &Home, port: u16, client: &str) -> String {
    let mut stream = try_connect(home, port, Some(client)).unwrap();
    send(&mut stream, &request(home, "leerlinggegevens_verzoek", ASK), "text/xml");
    read_all(&mut stream)
}

/// The records of an answer that came whole.
fn answer(text: &str) -> Option<Vec<(String, Fields<String>)>> {
    let (head, mut body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{text}");
    if !head.contains("transfer-encoding: chunked") {
        return read(body);
    }
    let mut whole = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n").expect("a chunk");
        let length = usize::from_str_radix(length, 16).unwrap();
        whole += &rest[..length];
        body = rest[length..].strip_prefix("\r\n").expect("the end of a chunk");
        if length == 0 {
            return read(&whole);
        }
    }
}

/// Tells others to stop, also when whoever holds it fails.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Agreements change while suppliers ask: each answer is of the one or of the other, or refused where what it was of was
/// taken back before it left; and whoever asks after the change gets the new one.
#[test]
fn an_answer_is_never_of_two_agreements() {
    let (home, (lines, document)) = (home(), two_agreements(5));
    agree(&home, "noordzee", &lines[0], 1);
    let wanted = [0, 1].map(|which| allowed(&lines[which], &document));
    let which = |got| match [0, 1].map(|which| compare(&wanted[which], &got)) {
        [Ok(()), Err(_)] => 0,
        [Err(_), Ok(())] => 1,
        [one, other] => panic!("of neither agreement: {one:?}, {other:?}"),
    };
    let text = document.text.clone();
    let las = FakeLas::at_once(move |_, stream| write_xml(stream, &text));
    let served = Served::with(&home, &las, "", home.sluis(&["serve"]));
    let (port, stop, asked) = (served.gateway, AtomicBool::new(false), AtomicUsize::new(0));
    assert_eq!(which(ask(&home, port, "noordzee")), 0);
    let (sender, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for _ in 0..2 {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                while !stop.load(SeqCst) && asked.fetch_add(1, SeqCst) < 2_000 {
                    let text = ask_for_text(&home, port, "noordzee");
                    if !text.starts_with("HTTP/1.1 500 ") {
                        let _ = sender.send(which(answer(&text)));
                    }
                }
            });
        }
        drop(sender);
        for turn in 1..=24 {
            agree(&home, "noordzee", &lines[turn % 2], u32::try_from(turn % 2).unwrap() + 1);
            served.signal("-HUP");
            served.wait_for("configuration reloaded");
            assert_eq!(which(ask(&home, port, "noordzee")), turn % 2, "what is in force counts");
            // And for those that go on asking: after some answers of the one before, its own come.
            while answers.recv().expect("suppliers that ask") != turn % 2 {}
        }
    });
    served.stop();
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

/// An answer that is under way when the agreement changes ends as it began, though most of it is still to come: if what
/// it is of is still agreed on. If not, nothing more of it leaves.
#[test]
fn an_answer_under_way_keeps_its_agreement_or_breaks_off() {
    let (home, (lines, document)) = (home(), two_agreements(600));
    let wanted = [0, 1].map(|which| allowed(&lines[which], &document));
    let (las, release) = held_back(document.text.clone(), document.text.find("</leerlingen>").unwrap() - 9);
    agree(&home, "noordzee", &lines[0], 1);
    // Chunks leave as they come, also where there is a delivery before to hold them against.
    let served = Served::with(&home, &las, "held_bytes = 4096\n", home.sluis(&["serve"]));
    for (before, then, goes_on) in [(&lines[0], &lines[0], true), (&lines[0], &lines[1], false)] {
        agree(&home, "noordzee", before, 1);
        served.signal("-HUP");
        served.wait_for("configuration reloaded");
        let mut stream = connect(&home, &served, Some("noordzee"));
        send(&mut stream, &request(&home, "leerlinggegevens_verzoek", ASK), "text/xml");
        let begun = begin(&mut stream);
        agree(&home, "noordzee", then, 2);
        served.signal("-HUP");
        served.wait_for("configuration reloaded");
        release.send(true).unwrap();
        let text = String::from_utf8(begun).unwrap() + &read_all(&mut stream);
        if goes_on {
            compare(&wanted[0], &answer(&text)).unwrap();
        } else {
            assert!(!text.ends_with("0\r\n\r\n") && !text.contains("</leerlinggegevens>"), "it looks whole");
        }
    }
    release.send(true).unwrap();
    compare(&wanted[1], &ask(&home, served.gateway, "noordzee")).unwrap();
    served.stop();
}

/// Two suppliers ask at the same time: each gets what its own agreement allows, under names of its own.
#[test]
fn suppliers_at_once_each_get_their_own() {
    let (home, (lines, document)) = (home(), two_agreements(5));
    let clients = ["noordzee", "zuidzee"];
    let ca = tls::DevelopmentCa::new().unwrap();
    let zuidzee = ca.client("zuidzee.example").unwrap();
    fs::write(home.path("certs/zuidzee.pem"), zuidzee.certificate).unwrap();
    fs::write(home.path("certs/zuidzee.key"), zuidzee.private_key).unwrap();
    fs::set_permissions(home.path("certs/zuidzee.key"), fs::Permissions::from_mode(0o600)).unwrap();
    home.edit("certs/ca.pem", |own| own + ca.certificate());
    home.edit("sluis.toml", |text| {
        text + "\n[[recipient]]\nid = \"zuidzee\"\nname = \"Zuidzee\"\n\
                certificate = { subject_alt_name = \"zuidzee.example\" }\n"
    });
    for (client, lines) in clients.into_iter().zip(&lines) {
        agree(&home, client, lines, 1);
    }
    let wanted = [0, 1].map(|which| allowed(&lines[which], &document));
    let text = document.text.clone();
    let las = FakeLas::at_once(move |_, stream| write_xml(stream, &text));
    let served = Served::with(&home, &las, "", home.sluis(&["serve"]));
    let (port, turns) = (served.gateway, Barrier::new(4));
    let names = std::thread::scope(|scope| {
        let asking = [0, 1, 0, 1].map(|which| {
            let (home, wanted, turns) = (&home, &wanted, &turns);
            scope.spawn(move || {
                let answers: Vec<_> = (0..12)
                    .map(|_| {
                        turns.wait();
                        ask(home, port, clients[which])
                    })
                    .collect();
                let mut names = BTreeSet::new();
                for got in answers {
                    compare(&wanted[which], &got).unwrap_or_else(|what| panic!("{}: {what}", clients[which]));
                    compare(&wanted[1 - which], &got).expect_err("it is not what the other gets");
                    let persons = got.unwrap().into_iter().filter(|(kind, _)| kind.starts_with("leer"));
                    names.extend(persons.map(|(kind, fields)| fields[&format!("{kind}.key")][0].clone()));
                }
                names
            })
        });
        asking.map(|asking| asking.join().unwrap())
    });
    assert_eq!((&names[0], &names[1]), (&names[2], &names[3]), "the same each time");
    assert_eq!(names[0].len(), 9);
    assert!(names[0].is_disjoint(&names[1]), "and to each other ones");
    served.stop();
}
