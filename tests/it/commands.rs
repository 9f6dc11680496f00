//! The commands, as an operator types them.

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc};

use sluis::{
    clock::SystemClock,
    config::Config,
    disclosure::{Leaf, LeafKind, Log, Position, Reader},
};

use crate::{
    documents::{ENVELOPE, feed},
    home::{Home, Ran},
};

const PUPIL: &str = "<leerlingen><leerling key=\"100001\"><achternaam>Jansen</achternaam><roepnaam>Jip</roepnaam>\
                     <bsn>999990019</bsn></leerling></leerlingen>";

#[test]
fn a_fresh_directory_is_in_order() {
    let home = Home::new();
    let ran = home.run(&["check"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for file in
        ["certs/ca.pem", "certs/gateway.pem", "certs/gateway.key", "certs/noordzee.pem", "certs/noordzee.key"]
    {
        assert!(home.path(file).exists(), "{file}");
    }
    for secret in ["certs/gateway.key", "certs/noordzee.key", "secrets/noordzee.toml", "keys/99DE.log.1.key"]
    {
        assert_eq!(fs::metadata(home.path(secret)).unwrap().permissions().mode() & 0o777, 0o600, "{secret}");
    }
    let again = home.run(&["init", "."]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("is not empty"), "{}", again.err);
}

#[test]
fn check_names_every_problem_with_file_line_and_mend() {
    let home = Home::new();
    home.edit("sluis.toml", |text| {
        text.replace("certs/ca.pem", "certs/weg.pem").replace("https://las", "http://las")
    });
    home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
        text.replace("leerling.roepnaam", "leerling.roepnam")
    });
    fs::set_permissions(home.path("keys/99DE.log.1.key"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(home.path("secrets/noordzee.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    let ran = home.run(&["check"]);
    assert_eq!(ran.code, 1);
    for expected in [
        "certs/weg.pem: cannot be read",
        "sluis.toml:35: plain HTTP is accepted on loopback only",
        "rekenroute.toml:18: field leerling.roepnam does not exist; did you mean leerling.roepnaam?",
        "keys/99DE.log.1.key: others may read it (mode 0644); run `chmod 600",
        "secrets/noordzee.toml: others may read it (mode 0640)",
    ] {
        assert!(ran.err.contains(expected), "{expected}\nin\n{}", ran.err);
    }
    assert!(ran.err.ends_with("5 problems\n"), "and no problem that is none: {}", ran.err);
}

#[test]
fn unknown_keys_are_errors_everywhere() {
    for (file, from, to) in [
        ("sluis.toml", "[gateway]", "[gateway]\nopen = true"),
        ("sluis.toml", "[operations]", "debug = 1\n[operations]"),
        ("sluis.toml", "[pseudonym]", "[limits]\ndiepte = 3\n[pseudonym]"),
        ("sluis.toml", "name = \"Basisschool", "naam = \"x\"\nname = \"Basisschool"),
        ("sluis.toml", "subject_alt_name = \"noordzee.example\"", "subject_alt_name = \"a\", any = true"),
        ("secrets/noordzee.toml", "klantcode ", "extra = \"1\"\nklantcode "),
        ("agreements/99DE-noordzee-rekenroute.toml", "version ", "exclude = []\nversion "),
    ] {
        let home = Home::new();
        home.edit(file, |text| {
            assert!(text.contains(from), "{file} holds {from}");
            text.replacen(from, to, 1)
        });
        let ran = home.run(&["check"]);
        assert_eq!(ran.code, 1, "{file}: {to}");
        assert!(ran.err.contains(file.rsplit('/').next().unwrap()), "{}", ran.err);
        assert_eq!(home.run(&["serve"]).code, 1, "nothing starts on it");
    }
}

#[test]
fn secrets_are_never_quoted() {
    let home = Home::new();
    let secret = fs::read_to_string(home.path("secrets/noordzee.toml")).unwrap();
    let secret = secret.split('"').nth(1).unwrap().to_owned();
    home.edit("secrets/noordzee.toml", |text| {
        text.replace("autorisatiesleutel = \"", "autorisatiesleutel = 7\"")
    });
    let ran = home.run(&["check"]);
    assert_eq!(ran.code, 1);
    assert!(!ran.err.contains(&secret), "{}", ran.err);
    let home = Home::new();
    let key = fs::read_to_string(home.path("keys/99DE.log.1.key")).unwrap();
    home.edit("keys/99DE.log.1.key", |text| text[..40].to_owned());
    let ran = home.run(&["check"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("is not a key") && !ran.err.contains(&key[..20]), "{}", ran.err);
}

#[test]
fn keys_are_made_and_listed_and_never_shown() {
    let home = Home::new();
    // What is there is left alone: another key is another pseudonym for every pupil.
    let ran = home.run(&["keys", "new", "--school", "99DE"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    fs::remove_file(home.path("keys/99DE.log.1.key")).unwrap();
    let ran = home.run(&["check"]);
    assert!(ran.err.contains("`sluis keys new --school 99DE --purpose log`"), "{}", ran.err);
    let ran = home.run(&["keys", "new", "--school", "99DE"]);
    assert_eq!((ran.code, ran.out.trim()), (0, "keys/99DE.log.1.key"));
    let ran = home.run(&["keys", "rotate", "--school", "99DE", "--purpose", "pseudonym"]);
    assert_eq!((ran.code, ran.out.trim()), (0, "keys/99DE.pseudonym.2.key"));
    let key = fs::read_to_string(home.path("keys/99DE.pseudonym.2.key")).unwrap();
    let ran = home.run(&["keys", "list"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 5));
    assert!(!ran.out.contains(&key[..12]));
    assert_eq!(home.run(&["keys", "new", "--school", "school"]).code, 2);
    assert_eq!(home.run(&["keys", "rotate", "--purpose", "log"]).code, 2);
}

#[test]
fn a_file_appears_only_when_it_is_complete() {
    let home = Home::new();
    let whole = feed(PUPIL);
    fs::write(home.path("in.xml"), &whole).unwrap();
    let arguments = [
        "minimise",
        "--school",
        "99DE",
        "--recipient",
        "noordzee",
        "--input",
        "in.xml",
        "--output",
        "uit.xml",
    ];
    let ran = home.run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let out = fs::read_to_string(home.path("uit.xml")).unwrap();
    assert!(out.contains("Jip") && !out.contains("999990019") && !out.contains("100001"));
    fs::remove_file(home.path("uit.xml")).unwrap();

    let pupils: String = (0..600)
        .map(|i| format!("<leerling key=\"{}\"><roepnaam>J</roepnaam></leerling>", 200_000 + i))
        .collect();
    let long = feed(&format!("<leerlingen>{pupils}</leerlingen>"));
    fs::write(home.path("in.xml"), &long[..long.len() - 40]).unwrap();
    let ran = home.run(&arguments);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("ends before it is complete"), "{}", ran.err);
    assert!(!home.path("uit.xml").exists());
    assert!(!home.path(".uit.xml.partial").exists());
    let verified = home.run(&["log", "verify", "data"]);
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(
        verified.out.contains("2 deliveries"),
        "what left before the break is on record: {}",
        verified.out
    );
}

#[test]
fn the_status_says_what_happened() {
    let home = Home::new();
    let other = format!("{}<school><brincode>99DF</brincode></school>{PUPIL}{}", ENVELOPE.0, ENVELOPE.1);
    let fault = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><s:Fault><faultcode>s:Server\
                 </faultcode><faultstring>100001</faultstring></s:Fault></s:Body></s:Envelope>";
    for (document, code) in [(feed(PUPIL).as_str(), 0), (&other, 3), ("<html/>", 2), ("", 2), (fault, 1)] {
        let ran = home.minimise("99DE", document.as_bytes());
        assert_eq!(ran.code, code, "{document}: {}", ran.err);
        assert!(code == 0 || ran.out.is_empty(), "{}", ran.out);
        assert!(!ran.err.contains("100001"), "{}", ran.err);
    }
    assert_eq!(home.minimise("99XX", b"").code, 2, "a school that is not configured");
    assert_eq!(home.run(&["minimise", "--school", "99DE"]).code, 2);
    home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
        text.lines()
            .map(|l| {
                if l.starts_with("valid") {
                    "valid = { from = 2020-08-01, until = 2021-07-31 }\n".to_owned()
                } else {
                    format!("{l}\n")
                }
            })
            .collect()
    });
    let ran = home.minimise("99DE", feed(PUPIL).as_bytes());
    assert_eq!(ran.code, 3);
    assert!(ran.out.is_empty() && ran.err.contains("has expired"), "{}", ran.err);
    assert_eq!(home.run(&["check"]).code, 0, "an agreement that has ended is no mistake");
    fs::remove_file(home.path("agreements/99DE-noordzee-rekenroute.toml")).unwrap();
    let ran = home.minimise("99DE", feed(PUPIL).as_bytes());
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
}

#[test]
fn preview_says_what_and_why_and_leaves_no_trace() {
    let home = Home::new();
    fs::write(home.path("in.xml"), feed(PUPIL)).unwrap();
    let ran = home.run(&["preview", "--school", "99DE", "--recipient", "noordzee", "--input", "in.xml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let line = |field: &str| {
        let found = ran.out.lines().find(|line| line.split_whitespace().next() == Some(field));
        found.unwrap_or_else(|| panic!("{field} in {}", ran.out)).to_owned()
    };
    assert!(
        line("leerling.roepnaam").contains("released")
            && line("leerling.roepnaam").contains("rekenroute.toml:18")
    );
    assert!(
        line("leerling.bsn").contains("withheld")
            && line("leerling.bsn").contains("no line in the agreement")
    );
    assert!(line("leerling.key").contains("pseudonymised"));
    assert!(!ran.out.contains("Jip") && !ran.out.contains("999990019"), "no values: {}", ran.out);
    assert!(!home.path("data/wal").exists());
}

#[test]
fn a_log_that_cannot_be_written_refuses() {
    let home = Home::new();
    fs::remove_dir(home.path("data")).unwrap();
    fs::write(home.path("data"), "no folder").unwrap();
    let ran = home.minimise("99DE", feed(PUPIL).as_bytes());
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
}

#[test]
fn tampering_shows_in_the_status_of_verify() {
    let home = Home::new();
    assert_eq!(home.minimise("99DE", feed(PUPIL).as_bytes()).code, 0);
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
    let segment = home.path("data/wal/00000000000000000000.wal");
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&segment, bytes).unwrap();
    let ran = home.run(&["log", "verify", "data"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("record ") && ran.err.contains("altered"), "{}", ran.err);
    assert_eq!(home.run(&["log", "verify", "nergens"]).code, 2);
}

#[test]
fn retention_is_checked_and_says_what_is_due() {
    let home = Home::new();
    for (days, expected) in [
        ("detail_days = 30", "sluis.toml:26: retention.detail_days is out of range; choose from 31 to 7320"),
        ("detail_days = 800", "summaries would go before the rows they are made of"),
    ] {
        home.edit("sluis.toml", |text| {
            let (head, tail) = text.split_once("detail_days").unwrap();
            format!("{head}{days}\n{}", tail.split_once('\n').unwrap().1)
        });
        let ran = home.run(&["check"]);
        assert!(ran.code == 1 && ran.err.contains(expected), "{}", ran.err);
    }
    home.edit("sluis.toml", |text| text.replace("detail_days = 800", "detail_days = 400"));
    assert_eq!(home.minimise("99DE", feed(PUPIL).as_bytes()).code, 0);
    for arguments in [&["log", "retain", "--dry-run"][..], &["log", "retain"]] {
        let ran = home.run(arguments);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.contains("0 rows, 0 summaries"), "{}", ran.out);
    }
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

#[test]
fn a_person_is_named_on_standard_input_and_nowhere_else() {
    let home = Home::new();
    assert_eq!(home.minimise("99DE", feed(PUPIL).as_bytes()).code, 0);
    let erase = |school: &str, by: &str, who: &str| {
        fs::write(home.path("who"), who).unwrap();
        let mut command = home.sluis(&["log", "erase", "--school", school, "--by", by]);
        let ran = Ran::from(command.stdin(fs::File::open(home.path("who")).unwrap()).output().unwrap());
        assert!(!ran.err.contains("100001") && !ran.out.contains("100001"), "{ran:?}");
        ran
    };
    let ran = erase("99DE", "key", "100001\n");
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("1 rows are of a day") && ran.err.contains("tomorrow"), "{}", ran.err);
    let ran = erase("99DE", "key", "100002");
    assert_eq!((ran.code, ran.out.as_str()), (0, "0 rows and 0 summaries erased\n"), "{}", ran.err);
    assert_eq!(erase("99DE", "eckid", "100001").code, 0);
    assert_eq!(erase("99DE", "pgn", "100001").code, 2, "not a PGN");
    assert_eq!(erase("99DE", "key", "").code, 2);
    assert_eq!(erase("99XX", "key", "100001").code, 2);
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

#[test]
fn an_old_key_of_the_log_is_destroyed_on_record() {
    let home = Home::new();
    assert_eq!(home.minimise("99DE", feed(PUPIL).as_bytes()).code, 0);
    let destroy = |purpose: &str, epoch: &str| {
        home.run(&["keys", "destroy", "--school", "99DE", "--purpose", purpose, "--epoch", epoch])
    };
    assert_eq!(destroy("log", "1").code, 2, "the current one");
    let ran = home.run(&["keys", "rotate", "--school", "99DE", "--purpose", "log"]);
    assert!(ran.code == 0 && !ran.err.contains("not on record"), "{}", ran.err);
    for (purpose, epoch) in
        [("log", "0"), ("log", "2"), ("log", "3"), ("pseudonym", "1"), ("checkpoint", "1")]
    {
        assert_eq!(destroy(purpose, epoch).code, 2, "{purpose} {epoch}");
    }
    for expected in ["destroyed", "was gone already"] {
        let ran = destroy("log", "1");
        assert!(ran.code == 0 && ran.out.contains(expected), "{ran:?}");
        assert!(!home.path("keys/99DE.log.1.key").exists());
    }
    assert_eq!(home.run(&["check"]).code, 0);
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);

    let mut epochs = Vec::new();
    let reader = Reader::open(&home.path("data")).unwrap();
    let mut show = |_: Position, leaf: &Leaf| {
        if leaf.kind == LeafKind::KeyEpoch {
            epochs.push((leaf.pseudonym_epoch, leaf.log_epoch, leaf.status));
        }
    };
    reader.leaves(Position(0), &mut show).unwrap();
    epochs.sort_unstable();
    assert_eq!(epochs, [(0, 1, 2), (0, 2, 1), (1, 0, 1)], "each once");

    // While another has the log, nothing is destroyed, and a rotation is left to the next start.
    let site = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap().log_site();
    let log = Log::open(site, Arc::new(SystemClock)).unwrap();
    let ran = home.run(&["keys", "rotate", "--school", "99DE", "--purpose", "log"]);
    assert!(ran.code == 0 && ran.err.contains("the next start or reload does that"), "{}", ran.err);
    let ran = destroy("log", "2");
    assert!(ran.code == 1 && ran.err.contains("another sluis process has the log open"), "{}", ran.err);
    assert!(home.path("keys/99DE.log.2.key").exists());
    log.close();
}
