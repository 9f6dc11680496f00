//! Objections, restrictions and consents: entered for one person, they hold from the next person of a feed on.

use std::{
    fs,
    io::{Read, Write},
    sync::{Arc, Mutex, mpsc},
};

use sluis::{
    clock::{Clock, SystemClock},
    config::Config,
    delivery::{Asked, Delivery},
    disclosure::{KeptOut, Leaf, LeafKind, Log, Position, Reader, Row, RowOutcome},
    exchange::{Error, disclose},
    keys::Purpose,
    pseudonym::{Identity, KeyKind, LogKeys, PupilKey},
    standing::{DecidedBy, HexHandle, Ledger, Right, RightKind, Scope},
};

use crate::{
    documents::{ENVELOPE, SCHOOL, feed},
    home::{Home, Ran},
    samples::unchunked,
    served::{ASK, FakeLas, Served, begin, connect, post, read_all, request, send},
};

const JIP: &str = "<leerling key=\"100001\" eckid=\"https://ketenid.nl/pilot/aa\"><roepnaam>Jip</roepnaam>\
                   <bsn>999990019</bsn></leerling>";
const JANNEKE: &str = "<leerling key=\"100002\"><roepnaam>Janneke</roepnaam></leerling>";

fn both() -> String {
    feed(&format!("<leerlingen>{JIP}{JANNEKE}</leerlingen>"))
}

fn rights(home: &Home, words: &[&str], input: &str) -> Ran {
    home.run_with(&[&["rights"], words, &["--school", "99DE"]].concat(), input)
}

fn add(home: &Home, kind: &str, input: &str, more: &[&str]) -> Ran {
    let words = ["add", "--kind", kind, "--decided-by", "ouder", "--by", "key"];
    rights(home, &[&words, more].concat(), input)
}

fn lift(home: &Home, kind: &str, input: &str, more: &[&str]) -> Ran {
    rights(home, &[&["lift", "--kind", kind, "--by", "key"], more].concat(), input)
}

/// Who is in the feed that noordzee gets.
fn released(home: &Home) -> Vec<&'static str> {
    let ran = home.minimise("99DE", both().as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
    ["Jip", "Janneke"].into_iter().filter(|name| ran.out.contains(name)).collect()
}

/// All rows of the log with the positions of their chunks, as long as nothing is sealed.
fn rows(home: &Home) -> Vec<(Position, Row)> {
    let mut rows = Vec::new();
    let reader = Reader::open(&home.path("data")).unwrap();
    let always = jiff::civil::Date::MIN..=jiff::civil::Date::MAX;
    reader.rows("99DE", &always, None, &mut |located| rows.push((located.position, located.row))).unwrap();
    rows
}

fn assert_verifies(home: &Home) {
    let ran = home.run(&["log", "verify", "data", "--copy", "keys/checkpoint"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

#[test]
fn whoever_objects_stays_out_until_it_is_lifted() {
    let home = Home::new();
    assert_eq!(released(&home), ["Jip", "Janneke"]);
    let ran = add(&home, "bezwaar", "100001", &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(released(&home), ["Janneke"]);
    let kept_out: Vec<_> = rows(&home).into_iter().filter_map(|(_, row)| row.kept_out).collect();
    assert_eq!(kept_out, [KeptOut::Bezwaar]);
    let lines = home.run(&["log", "export", "data", "--format", "jsonl"]).out;
    assert_eq!(lines.matches("\"kept_out\":\"bezwaar\"").count(), 1, "{lines}");
    let again = add(&home, "bezwaar", "100001", &[]);
    assert!(again.code == 1 && again.err.contains("already on record"), "{}", again.err);

    let told = home.run_with(&["report", "inzage", "--school", "99DE", "--by", "key"], "100001");
    assert!(told.out.contains("niets verstrekt op") && told.out.contains("(bezwaar)"), "{}", told.out);

    let listed = home.run(&["rights", "list", "--school", "99DE"]);
    assert!(listed.out.contains("bezwaar") && listed.out.contains("alle overeenkomsten"), "{}", listed.out);
    assert!(!listed.out.contains("100001"), "no identifier: {}", listed.out);
    let standing = fs::read_to_string(home.path("data/standing/99DE.json")).unwrap();
    assert!(!standing.contains("100001"), "{standing}");

    assert_eq!(lift(&home, "bezwaar", "100002", &[]).code, 1, "she never objected");
    assert_eq!(lift(&home, "beperking", "100001", &[]).code, 1, "that is another right");
    assert_eq!(lift(&home, "bezwaar", "100001", &[]).code, 0);
    assert_eq!(released(&home), ["Jip", "Janneke"]);
    let said: Vec<_> = home.leaves().into_iter().filter(|leaf| leaf.kind == LeafKind::Right).collect();
    let entered: Vec<_> = said.iter().map(|leaf| (leaf.status, leaf.released)).collect();
    assert_eq!(entered, [(1, 1), (1, 0)], "entered and lifted, and no person");
    assert_verifies(&home);
}

#[test]
fn a_right_holds_for_what_it_is_about() {
    let home = Home::new();
    let agreement = ["--agreement", "99DE-noordzee-rekenroute"];
    for (more, out) in [
        (&["--purpose", "begeleiding"][..], false),
        (&["--purpose", "leermiddelen"], true),
        (&agreement, true),
    ] {
        assert_eq!(add(&home, "beperking", "100001", more).code, 0);
        assert_eq!(released(&home) == ["Janneke"], out, "{more:?}");
        assert_eq!(lift(&home, "beperking", "100001", more).code, 0);
    }
    for (more, said) in [
        (["--agreement", "99DE-zuidzee"], "there is 99DE-noordzee-rekenroute"),
        (["--purpose", "reclame"], "choose from bekostiging"),
    ] {
        let ran = add(&home, "bezwaar", "100001", &more);
        assert!(ran.code == 2 && ran.err.contains(said), "{}", ran.err);
    }
    // What the law commands goes on, and whoever enters an objection is told.
    home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
        text.replace("\"overeenkomst\"", "\"wettelijke-verplichting\"")
    });
    let ran = add(&home, "bezwaar", "100001", &agreement);
    assert!(ran.code == 2 && ran.err.contains("wettelijke-verplichting"), "{}", ran.err);
    assert_eq!(add(&home, "bezwaar", "100001", &[]).code, 0);
    assert_eq!(released(&home), ["Jip", "Janneke"]);
}

#[test]
fn without_consent_a_pupil_is_left_out() {
    let home = Home::new();
    home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
        text.replace("\"overeenkomst\"", "\"toestemming\"")
    });
    assert_eq!(released(&home), [""; 0]);
    assert_eq!(add(&home, "toestemming", "100002", &[]).code, 0);
    assert_eq!(released(&home), ["Janneke"]);
    assert_eq!(add(&home, "toestemming", "100001", &["--purpose", "leermiddelen"]).code, 0);
    assert_eq!(released(&home), ["Jip", "Janneke"]);
    assert_eq!(add(&home, "bezwaar", "100001", &[]).code, 0, "an objection goes before a consent");
    assert_eq!(released(&home), ["Janneke"]);
    assert_eq!(lift(&home, "toestemming", "100002", &[]).code, 0);
    assert_eq!(released(&home), [""; 0], "a consent that is withdrawn is gone");
    let why: Vec<_> = rows(&home).into_iter().filter_map(|(_, row)| row.kept_out).collect();
    let (none, objection) = (KeptOut::GeenToestemming, KeptOut::Bezwaar);
    assert_eq!(why, [none, none, none, objection, objection, none]);
}

/// Whatever identifier an objection was entered by, and whatever the school makes its pseudonyms from later.
#[test]
fn a_right_follows_the_person() {
    let home = Home::new();
    fs::write(home.path("feed.xml"), both()).unwrap();
    let by = |kind: &str| {
        ["add", "--kind", "bezwaar", "--decided-by", "betrokkene", "--by", kind].map(str::to_owned)
    };
    let enter = |kind: &str, given: &str, more: &[&str]| {
        let words = by(kind);
        let words: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
        rights(&home, &words, given)
    };
    let ran = enter("pgn", "999990019", &[]);
    assert!(ran.code == 2 && ran.err.contains("--feed"), "{}", ran.err);
    assert_eq!(enter("pgn", "999990019", &["--feed", "feed.xml"]).code, 0);
    assert_eq!(released(&home), ["Janneke"]);
    // The log's keys are rotated, and so is what persons are known by.
    assert_eq!(home.run(&["keys", "rotate", "--school", "99DE", "--purpose", "log"]).code, 0);
    assert_eq!(released(&home), ["Janneke"]);
    home.edit("sluis.toml", |text| text.replace("[[school]]\n", "[[school]]\nidentity = \"eckid\"\n"));
    assert_eq!(released(&home), [""; 0], "she has none");
    home.edit("sluis.toml", |text| text.replace("\"eckid\"", "\"las-key\""));
    assert_eq!(released(&home), ["Janneke"]);
    // A key that objections stand under is not destroyed by the way.
    let destroy = ["keys", "destroy", "--school", "99DE", "--purpose", "log", "--epoch", "1"];
    let ran = home.run(&destroy);
    assert!(ran.code != 0 && ran.err.contains("stand under this key"), "{}", ran.err);
    // Where it is gone all the same, nothing leaves: nobody can tell who objected.
    fs::rename(home.path("keys/99DE.log.1.key"), home.path("weg")).unwrap();
    let ran = home.minimise("99DE", both().as_bytes());
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    assert!(ran.err.contains("(grondslag)"), "{}", ran.err);
    fs::rename(home.path("weg"), home.path("keys/99DE.log.1.key")).unwrap();
    assert_eq!(released(&home), ["Janneke"]);
    assert_verifies(&home);
}

/// A pupil administration that sends its first 700 pupils, and the others once it is told to.
fn paused(pupils: usize, waits: mpsc::Receiver<()>) -> FakeLas {
    let waits = Mutex::new(waits);
    FakeLas::at_once(move |_, stream| {
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let mut part = |text: &str| {
            let _ = write!(stream, "{:x}\r\n{text}\r\n", text.len());
        };
        part(&format!("{}{SCHOOL}<leerlingen>", ENVELOPE.0));
        for number in 0..pupils {
            part(&format!("<leerling key=\"{}\"><roepnaam>Pupil</roepnaam></leerling>", 500_000 + number));
            if number == 700 {
                let () = waits.lock().unwrap().recv().unwrap();
            }
        }
        part(&format!("</leerlingen>{}", ENVELOPE.1));
        let _ = write!(stream, "0\r\n\r\n");
    })
}

const PATIENT: &str =
    "las_response_ms = 60000\nlas_idle_ms = 60000\nlas_connect_ms = 5000\nheader_read_ms = 500\n";

/// `SLUIS_PUPILS=250000` makes it a feed of that many.
#[test]
fn an_objection_holds_within_a_running_feed() {
    let pupils: usize = std::env::var("SLUIS_PUPILS").map_or(1500, |pupils| pupils.parse().unwrap());
    let home = Home::new();
    let (go_on, waits) = mpsc::channel::<()>();
    let las = paused(pupils, waits);
    let served = Served::with(&home, &las, PATIENT, home.sluis(&["serve"]));
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &request(&home, "leerlinggegevens_verzoek", ASK), "text/xml");
    let first = begin(&mut stream);
    // Two chunks are out or on their way; the last pupil of the feed objects now, and the process is told.
    let last = format!("{}", 500_000 + pupils - 1);
    let ran = add(&home, "bezwaar", &last, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // The same for one in the chunk that is being filled.
    assert_eq!(add(&home, "bezwaar", "500690", &[]).code, 0);
    go_on.send(()).unwrap();
    let answer = String::from_utf8(first).unwrap() + &read_all(&mut stream);
    assert_eq!(unchunked(&answer).matches("<leerling ").count(), pupils - 2);
    served.stop();

    let mut said = Vec::new();
    let reader = Reader::open(&home.path("data")).unwrap();
    reader
        .leaves(Position(0), &mut |position, leaf: &Leaf| {
            if leaf.kind == LeafKind::Right {
                said.push(position);
            }
        })
        .unwrap();
    let rows = rows(&home);
    assert_eq!(rows.len(), pupils);
    let out: Vec<_> = rows.iter().filter(|(_, row)| row.kept_out.is_some()).collect();
    assert_eq!(out.iter().map(|(_, row)| row.number as usize).collect::<Vec<_>>(), [690, pupils - 1]);
    assert!(out.iter().all(|(at, row)| *at > said[1] && row.outcome == RowOutcome::Withheld));
    // Chunks before the entry are there too, and the very next one respects it.
    let before = rows.iter().filter(|(at, _)| *at < said[0]).count();
    assert!((256..=700).contains(&before), "{before}");
    let next = rows.iter().map(|(at, _)| *at).find(|at| *at > said[1]).unwrap();
    assert_eq!(out[0].0, next);
    assert_verifies(&home);
}

#[test]
fn what_stands_cannot_be_altered_unseen() {
    let home = Home::new();
    assert_eq!(released(&home), ["Jip", "Janneke"]);
    assert_eq!(add(&home, "bezwaar", "100002", &[]).code, 0);
    let path = home.path("data/standing/99DE.json");
    let before = fs::read(&path).unwrap();
    assert_eq!(add(&home, "bezwaar", "100001", &[]).code, 0);
    let now = fs::read(&path).unwrap();
    let finds = |what: &str| {
        let ran = home.run(&["log", "verify", "data"]);
        assert!(ran.code == 1 && ran.err.contains("standing/99DE") && ran.err.contains(what), "{}", ran.err);
        // And nothing leaves, whatever is left of it.
        let ran = home.minimise("99DE", both().as_bytes());
        assert!(ran.code != 0 && ran.out.is_empty(), "{}", ran.err);
    };
    fs::write(&path, &before).unwrap();
    finds("altered");
    fs::write(&path, String::from_utf8(now.clone()).unwrap().replace("bezwaar", "toestemming")).unwrap();
    finds("altered");
    fs::remove_file(&path).unwrap();
    finds("missing");
    fs::write(&path, &now).unwrap();
    fs::write(home.path("data/standing/99XX.json"), &now).unwrap();
    let ran = home.run(&["log", "verify", "data"]);
    assert!(ran.code == 1 && ran.err.contains("foreign"), "{}", ran.err);
    fs::remove_file(home.path("data/standing/99XX.json")).unwrap();
    assert_eq!(released(&home), [""; 0]);
    assert_verifies(&home);
}

/// Reports need not wait for the gateway to stop: it puts on record that they read.
#[test]
fn commands_go_through_the_process_that_has_the_log() {
    let home = Home::new();
    let las = FakeLas::answering(both());
    let served = Served::start(&home, &las);
    let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
    assert!(got.text.contains("Jip"), "{}", got.text);
    served.wait_for("outcome");
    let ran = home.run_with(&["report", "inzage", "--school", "99DE", "--by", "key"], "100001");
    assert!(ran.code == 0 && ran.out.contains("Noordzee"), "{}{}", ran.out, ran.err);
    assert_eq!(add(&home, "bezwaar", "100001", &[]).code, 0);
    let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
    assert!(got.text.contains("Janneke") && !got.text.contains("Jip"), "{}", got.text);
    let mode = fs::metadata(home.path("data/control")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    served.stop();
    assert!(!home.path("data/control").exists());
    let read = home.leaves().into_iter().filter(|leaf| leaf.kind == LeafKind::LogRead).count();
    assert_eq!(read, 1);
    assert_verifies(&home);
}

#[test]
fn what_stood_long_enough_goes() {
    let home = Home::new();
    home.edit("sluis.toml", |text| {
        text.replace(
            "rollup_days = 730",
            "rollup_days = 800\nrights_days = 31\ndrift_days = 31\n\n[[retention.term]]\nwhat = \"leerlingdossier\"\nmonths = 24\n\
             after = \"uitschrijving\"\n#",
        )
    });
    assert_eq!(released(&home), ["Jip", "Janneke"]);
    // Of Jip there are rows; of the other nothing is known.
    assert_eq!(add(&home, "bezwaar", "100001", &[]).code, 0);
    assert_eq!(add(&home, "bezwaar", "777777", &[]).code, 0);
    let ran = home.run(&["log", "retain"]);
    assert!(ran.code == 0 && ran.out.contains("0 old entries"), "{}{}", ran.out, ran.err);
    // Two months on.
    let config = sluis::config::Config::load(&home.path("sluis.toml"), &sluis::clock::SystemClock).unwrap();
    let later = |months| {
        let today = sluis::clock::Clock::today(&sluis::clock::SystemClock);
        today.saturating_add(jiff::Span::new().months(months))
    };
    let hands = crate::world::Hands::at(later(5));
    let clock: std::sync::Arc<dyn sluis::clock::Clock> = std::sync::Arc::<crate::world::Hands>::clone(&hands);
    let log = sluis::disclosure::Log::open(config.log_site(), std::sync::Arc::clone(&clock)).unwrap();
    let ledger = std::sync::Arc::new(sluis::standing::Ledger::of(log.clone()));
    let desk = sluis::control::Desk { data: home.path("data"), log, ledger, clock };
    // A clock that says five months may have jumped; two are a summer.
    assert_eq!(desk.let_go_by_itself(&config.schools, &config.terms).unwrap(), 0);
    hands.put(later(2));
    assert_eq!(desk.let_go_by_itself(&config.schools, &config.terms).unwrap(), 1);
    assert_eq!(desk.let_go(&config.schools, &config.terms).unwrap(), 0);
    desk.log.close();
    let listed = home.run(&["rights", "list", "--school", "99DE"]);
    assert!(listed.out.contains("1 entries"), "{}", listed.out);
    let last = home.leaves().into_iter().rfind(|leaf| leaf.kind == LeafKind::Right).unwrap();
    assert_eq!((last.status, last.released), (4, 1));
    let register = home.run(&["report", "verwerkingsregister", "--school", "99DE"]);
    assert!(
        register.out.contains("leerlingdossier") && register.out.contains("de school"),
        "{}",
        register.out
    );
    assert!(register.out.contains("800 dagen na de laatste"), "{}", register.out);
}

/// A document whose first pupils have been read when somebody objects, and the others not.
struct Interrupted<F> {
    parts: [std::io::Cursor<Vec<u8>>; 2],
    between: Option<F>,
}

impl<F: FnOnce()> Read for Interrupted<F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.parts[0].read(buffer)? {
            0 => {
                if let Some(between) = self.between.take() {
                    between();
                }
                self.parts[1].read(buffer)
            }
            read => Ok(read),
        }
    }
}

/// Chunks that wait to be judged beside the delivery before were ruled on before somebody objected.
#[test]
fn what_waits_does_not_leave_after_an_objection() {
    let home = Home::new();
    let pupils: String = (0..700)
        .map(|number| format!("<leerling key=\"{}\"><roepnaam>Pupil</roepnaam></leerling>", 500_000 + number))
        .collect();
    let document = feed(&format!("<leerlingen>{pupils}</leerlingen>"));
    assert_eq!(home.minimise("99DE", document.as_bytes()).code, 0, "the next is compared with it");

    let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log = Log::open(config.log_site(), Arc::clone(&clock)).unwrap();
    let ledger = Ledger::of(log.clone());
    let asked = Asked {
        school: config.school("99DE").unwrap(),
        dependance: None,
        recipient: config.recipient("noordzee").unwrap(),
        expected: None,
        transaction: uuid::Uuid::now_v7(),
        certificate: [0; 32],
    };
    let keys = LogKeys::new(config.keys.current("99DE", Purpose::Log).unwrap().1, 1, "99DE");
    let handle = |number: u32| {
        let key = PupilKey::parse(&format!("{}", 500_000 + number)).ok().unwrap();
        HexHandle(keys.subject_handle(&Identity::LasKey(KeyKind::Leerling, key)))
    };
    let right = |number: u32| Right {
        kind: RightKind::Bezwaar,
        scope: Scope::All,
        handles: vec![handle(number)],
        epoch: 1,
        decided_by: DecidedBy::Ouder,
        entered_ms: 0,
        reference: uuid::Uuid::nil(),
    };
    let at = document.find("key=\"500650\"").unwrap();
    let attempt = |between: &dyn Fn()| {
        let delivery = Delivery::decide(&config, &ledger, &asked, &clock).unwrap_or_else(|no| panic!("{no}"));
        let (first, rest) = document.as_bytes().split_at(at);
        let parts = [first, rest].map(|part| std::io::Cursor::new(part.to_vec()));
        let mut out = Vec::new();
        let source = Interrupted { parts, between: Some(between) };
        let error = disclose(&delivery, &log, source, None, &mut out).err();
        (out.len(), error)
    };
    let enter = |number: u32| {
        let leaf = Leaf::new(LeafKind::Right);
        ledger.change("99DE", leaf, |standing| Ok(standing.enter(right(number))?)).unwrap();
    };
    let (left, error) = attempt(&|| enter(10));
    assert!(matches!(error, Some(Error::RightsChanged)), "{error:?}");
    assert_eq!(left, 0);
    // What stood before it began is respected, and what changes nothing about persons ends nothing.
    let (left, error) = attempt(&|| {
        let leaf = Leaf::new(LeafKind::Drift);
        ledger.change("99DE", leaf, |_| Ok(())).unwrap();
    });
    assert!(error.is_none() && left > 0, "{error:?}");
    log.close();
    let own: Vec<_> = rows(&home).into_iter().filter(|(_, row)| row.number == 10).collect();
    assert_eq!(
        own.iter().map(|(_, row)| row.outcome).collect::<Vec<_>>(),
        [RowOutcome::Released, RowOutcome::Withheld]
    );
    assert_verifies(&home);
}

/// The process that serves has not read the new key yet: it cannot tell whose the entry is, so it lets nobody out.
#[test]
fn an_entry_under_a_key_that_is_not_known_yet_keeps_all_in() {
    let home = Home::new();
    let (go_on, waits) = mpsc::channel::<()>();
    let las = paused(1500, waits);
    let served = Served::with(&home, &las, PATIENT, home.sluis(&["serve"]));
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &ask, "text/xml");
    let first = begin(&mut stream);
    assert_eq!(home.run(&["keys", "rotate", "--school", "99DE", "--purpose", "log"]).code, 0);
    assert_eq!(add(&home, "bezwaar", "501499", &[]).code, 0);
    go_on.send(()).unwrap();
    let answer = String::from_utf8(first).unwrap() + &read_all(&mut stream);
    let left = unchunked(&answer).matches("<leerling ").count();
    assert!((256..=768).contains(&left), "{left}: nothing after the chunk that was under way");
    assert!(post(&home, &served, &ask).text.contains("grondslag"), "and nothing of the next");
    served.signal("-HUP");
    served.wait_for("configuration reloaded");
    go_on.send(()).unwrap();
    let got = post(&home, &served, &ask);
    assert_eq!(unchunked(&got.text).matches("<leerling ").count(), 1499);
    served.stop();
    assert_verifies(&home);
}
