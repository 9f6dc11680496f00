//! The commands, as an operator types them.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use sluis::{
    clock::SystemClock,
    config::Config,
    disclosure::{LeafKind, Log, OutcomeStatus},
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
        "sluis.toml:36: plain HTTP is accepted on loopback only",
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
    assert_eq!(partials(&home), 0);
    let verified = home.run(&["log", "verify", "data"]);
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(
        verified.out.contains("2 deliveries"),
        "what left before the break is on record: {}",
        verified.out
    );
}

/// Files that are not complete.
fn partials(home: &Home) -> usize {
    let names = fs::read_dir(home.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().ends_with(".partial")).count()
}

/// Bytes in files that are not complete.
fn partial_bytes(home: &Home) -> u64 {
    let entries = fs::read_dir(home.path("")).unwrap().map(|entry| entry.unwrap());
    let partials = entries.filter(|entry| entry.file_name().to_str().unwrap().ends_with(".partial"));
    partials.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

const MINIMISE: &[&str] = &["minimise", "--school", "99DE", "--recipient", "noordzee", "--output"];

#[test]
fn only_a_file_is_replaced_by_the_output() {
    let home = Home::new();
    fs::write(home.path("in.xml"), feed(PUPIL)).unwrap();
    assert!(Command::new("mkfifo").arg(home.path("pijp")).status().unwrap().success());
    std::os::unix::fs::symlink("elders", home.path("link")).unwrap();
    std::os::unix::fs::symlink("in.xml", home.path("link-in")).unwrap();
    for (output, says) in [
        ("pijp", "pijp exists and is no regular file; to write to a pipe or a device use `--output -`"),
        ("link", "link exists and is no regular file"),
        ("link-in", "link-in exists and is no regular file"),
        ("data", "data exists and is no regular file"),
        ("..", ".. is no name of a file"),
        ("in.xml", "in.xml is the input"),
        ("nergens/uit.xml", "cannot be written there (entity not found)"),
    ] {
        let ran = home.run(&[MINIMISE, &[output, "--input", "in.xml"]].concat());
        assert_eq!(ran.code, 2, "{output}: {}", ran.err);
        assert!(ran.err.contains(says), "{output}: {}", ran.err);
    }
    assert!(fs::metadata(home.path("pijp")).unwrap().file_type().is_fifo());
    assert!(!home.path("elders").exists());
    assert_eq!(fs::read_to_string(home.path("in.xml")).unwrap(), feed(PUPIL));
    fs::write(home.path("uit.xml"), "gisteren").unwrap();
    let ran = home.run(&[MINIMISE, &["uit.xml", "--input", "in.xml"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(fs::read_to_string(home.path("uit.xml")).unwrap().contains("Jip"));
    assert_eq!(fs::metadata(home.path("uit.xml")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(partials(&home), 0);
}

#[test]
fn a_signal_leaves_nothing_behind_but_the_record() {
    for (signal, code, flows) in [("-INT", 130, true), ("-TERM", 143, true), ("-TERM", 143, false)] {
        let home = Home::new();
        let mut child = home.sluis(&[MINIMISE, &["uit.xml"]].concat());
        let mut child = child.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let whole = feed("<leerlingen></leerlingen>");
        input.write_all(whole.split_once("</leerlingen>").unwrap().0.as_bytes()).unwrap();
        // Pupils for as long as they are taken; or some, and then nothing for as long as it takes.
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let feeding = std::thread::spawn(move || {
            for pupil in 200_000.. {
                let pupil = format!("<leerling key=\"{pupil}\"><roepnaam>Jip</roepnaam></leerling>");
                if input.write_all(pupil.as_bytes()).is_err() {
                    return;
                }
                if !flows && pupil.contains("202000") {
                    let _ = stopped.recv();
                    return;
                }
            }
        });
        let began = Instant::now();
        while partial_bytes(&home) == 0 {
            assert!(began.elapsed() < Duration::from_secs(20), "it never began");
            std::thread::yield_now();
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        drop(stop);
        feeding.join().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(status.code(), Some(code), "{signal}: {said}");
        assert_eq!(partials(&home), 0, "{signal}");
        assert!(!home.path("uit.xml").exists());
        assert!(said.contains("stopped by a signal; nothing more has left"), "{said}");
        if flows {
            assert_eq!(home.outcomes(), [OutcomeStatus::Failed]);
        }
        assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_a_failure_like_any_other() {
    let home = Home::new();
    let pupils: String = (0..1200)
        .map(|i| format!("<leerling key=\"{}\"><roepnaam>J</roepnaam></leerling>", 200_000 + i))
        .collect();
    fs::write(home.path("in.xml"), feed(&format!("<leerlingen>{pupils}</leerlingen>"))).unwrap();
    let sluis = home.sluis(&[]);
    let script = format!(
        "ulimit -f 200; exec {} {} uit.xml --input in.xml",
        sluis.get_program().to_str().unwrap(),
        MINIMISE.join(" ")
    );
    let ran = Command::new("sh").args(["-c", &script]).current_dir(home.path("")).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{:?} {said}", ran.status);
    assert!(said.contains("file too large"), "{said}");
    assert_eq!((partials(&home), home.path("uit.xml").exists()), (0, false));
    assert_eq!(home.outcomes(), [OutcomeStatus::Failed]);
}

#[test]
fn one_process_writes_the_log() {
    let home = Home::new();
    let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
    let log = Log::open(config.log_site(), Arc::new(SystemClock)).unwrap();
    let ran = home.minimise("99DE", feed(PUPIL).as_bytes());
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert!(
        ran.err.contains("such as `sluis serve`") && ran.err.contains("let the supplier ask the gateway"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("another data directory"), "that would split the record: {}", ran.err);
    fs::remove_file(home.path("agreements/99DE-noordzee-rekenroute.toml")).unwrap();
    let ran = home.minimise("99DE", feed(PUPIL).as_bytes());
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    assert!(ran.err.contains("this refusal is not on record"), "{}", ran.err);
    log.close();
}

#[test]
fn input_that_is_no_feed_is_named_with_its_mend() {
    let home = Home::new();
    for (document, says) in [
        ("\n<?xml version=\"1.0\"?><EDEX/>", "in.xml: line 2: "),
        ("{\"users\": []}", "give the file as it was exported"),
        ("<html/>", "give a file as the pupil administration exports it"),
        ("<EDEX><school>", "export it again"),
    ] {
        fs::write(home.path("in.xml"), document).unwrap();
        for command in ["minimise", "preview"] {
            let ran =
                home.run(&[command, "--school", "99DE", "--recipient", "noordzee", "--input", "in.xml"]);
            assert_eq!(ran.code, 2, "{document}: {}", ran.err);
            assert!(ran.err.contains("in.xml: line ") && ran.err.contains(says), "{document}: {}", ran.err);
            let ran = home.run(&[command, "--school", "99DE", "--recipient", "noordzee", "--input", "data"]);
            assert_eq!(ran.code, 2);
            assert_eq!(ran.err, "--input: data is a directory; name the file with the feed\n");
        }
    }
}

#[test]
fn schools_are_told_apart() {
    let home = Home::new();
    let (line, second) = ("brin = \"99DE\"", "[[school]]\nbrin = \"88AB\"\nname = \"De Dijk\"\n");
    home.edit("sluis.toml", |text| {
        text.replace(line, &format!("{line}\nschoolkey = \"sk-1\""))
            + second
            + "schoolkey = \"sk-1\"\n[[school]]\nbrin = \"99DE\"\nname = \"De Sluis\"\ndependance = \"01\"\n\
               schoolkey = \" \"\n"
    });
    let ran = home.run(&["check"]);
    assert_eq!(ran.code, 1);
    for expected in [
        "school 88AB has the schoolkey of 99DE; ask the LAS which key is whose",
        "school 99DE is there twice; keep one [[school]] for each BRIN",
        "the schoolkey is none; write the key as the LAS gives it",
    ] {
        assert!(ran.err.contains(expected), "{expected}\nin\n{}", ran.err);
    }
}

#[test]
fn the_operations_port_stays_on_this_machine() {
    let home = Home::new();
    for (listen, code) in [
        ("[::1]:9464", 0),
        ("127.8.9.1:9464", 0),
        ("0.0.0.0:9464", 1),
        ("[::]:9464", 1),
        ("192.0.2.1:9464", 1),
        ("[2001:db8::1]:9464", 1),
    ] {
        let was = fs::read_to_string(home.path("sluis.toml")).unwrap();
        home.edit("sluis.toml", |text| text.replace("127.0.0.1:9464", listen));
        let ran = home.run(&["check"]);
        assert_eq!(ran.code, code, "{listen}: {}", ran.err);
        assert_eq!(
            ran.err.contains("plain HTTP is accepted on loopback only"),
            code == 1,
            "{listen}: {}",
            ran.err
        );
        fs::write(home.path("sluis.toml"), was).unwrap();
    }
}

#[test]
fn folders_in_which_others_can_write_are_refused() {
    let home = Home::new();
    let mode = |folder: &str, mode: u32| {
        fs::set_permissions(home.path(folder), fs::Permissions::from_mode(mode)).unwrap();
    };
    for (folder, open, shut) in [
        ("keys", 0o777, 0o700),
        ("keys", 0o1777, 0o700),
        ("keys", 0o720, 0o700),
        ("secrets", 0o777, 0o700),
        ("secrets", 0o702, 0o1702),
        ("certs", 0o775, 0o755),
        ("agreements", 0o777, 0o775),
        ("data", 0o770, 0o750),
    ] {
        mode(folder, open);
        let ran = home.run(&["check"]);
        assert_eq!(ran.code, 1, "{folder} {open:o}");
        let says =
            format!("{folder}: others may put files in it (mode {open:04o}); run `chmod go-w {folder}`\n");
        assert_eq!(ran.err, says);
        mode(folder, shut);
        assert_eq!(home.run(&["check"]).code, 0, "{folder} {shut:o}");
    }
}

#[test]
fn files_that_say_who_gets_what_are_not_for_others_to_change() {
    let home = Home::new();
    for file in ["sluis.toml", "agreements/99DE-noordzee-rekenroute.toml", "certs/ca.pem", "certs/las-ca.pem"]
    {
        fs::set_permissions(home.path(file), fs::Permissions::from_mode(0o666)).unwrap();
        let ran = home.run(&["check"]);
        let says = format!("{file}: others may change it (mode 0666); run `chmod o-w {file}`\n");
        assert_eq!((ran.code, ran.err), (1, says));
        fs::set_permissions(home.path(file), fs::Permissions::from_mode(0o664)).unwrap();
        assert_eq!(home.run(&["check"]).code, 0, "{file}");
    }
}

#[test]
fn check_says_that_no_log_can_be_kept() {
    let home = Home::new();
    fs::remove_dir(home.path("data")).unwrap();
    assert_eq!(home.run(&["check"]).code, 0, "it is made when it is needed");
    assert!(!home.path("data").exists());
    fs::write(home.path("data"), "geen map").unwrap();
    let ran = home.run(&["check"]);
    assert_eq!((ran.code, ran.err.contains("data: is no directory")), (1, true), "{}", ran.err);
    fs::remove_file(home.path("data")).unwrap();
    fs::create_dir(home.path("data")).unwrap();
    fs::write(home.path("data/wal"), "geen map").unwrap();
    let ran = home.run(&["check"]);
    assert_eq!((ran.code, ran.err.contains("data/wal: is no directory")), (1, true), "{}", ran.err);
    // Nothing can be made in /proc, not even by root.
    home.edit("sluis.toml", |text| text.replace("\"data\"", "\"/proc/sluis/data\""));
    let ran = home.run(&["check"]);
    assert_eq!((ran.code, ran.err.contains("/proc: the log cannot be kept here")), (1, true), "{}", ran.err);
    let left = fs::read_dir(home.path(""))
        .unwrap()
        .any(|e| e.unwrap().path().extension().is_some_and(|e| e == "check"));
    assert!(!left);
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
    home.edit("sluis.toml", |text| text.replace("detail_days = 800", "detail_days = 400\nleaf_days = 399"));
    let ran = home.run(&["check"]);
    let expected = "sluis.toml:27: leaves would go before the rows they answer for";
    assert!(ran.code == 1 && ran.err.contains(expected), "{}", ran.err);
    home.edit("sluis.toml", |text| text.replace("leaf_days = 399", "leaf_days = 400"));
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
    // What the log cannot look up is no success: whoever asked would think that it is gone.
    let ran = erase("99DE", "pgn", "999990019");
    assert!(ran.code == 2 && ran.err.contains("--feed"), "{ran:?}");
    assert_eq!(erase("99DE", "eckid", "100001").code, 2);
    assert_eq!(erase("99DE", "pgn", "100001").code, 2, "not a PGN");
    assert_eq!(erase("99DE", "key", "").code, 2);
    assert_eq!(erase("99XX", "key", "100001").code, 2);
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

#[test]
fn the_key_that_signs_the_log_can_be_rotated() {
    let home = Home::new();
    assert_eq!(home.minimise("99DE", feed(PUPIL).as_bytes()).code, 0);
    let before = fs::read_to_string(home.path("data/log.vkey")).unwrap();
    assert_eq!(home.run(&["keys", "rotate", "--purpose", "checkpoint"]).code, 0);
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0, "what the old key signed is still what it was");
    let ran = home.minimise("99DE", feed(PUPIL).as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_ne!(fs::read_to_string(home.path("data/log.vkey")).unwrap(), before);
    let ran = home.run(&["log", "verify", "data", "--copy", "keys/checkpoint"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
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

    let leaves = home.leaves();
    let epochs = leaves.iter().filter(|leaf| leaf.kind == LeafKind::KeyEpoch);
    let mut epochs: Vec<_> = epochs.map(|leaf| (leaf.pseudonym_epoch, leaf.log_epoch, leaf.status)).collect();
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
