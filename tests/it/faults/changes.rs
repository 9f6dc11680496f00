//! What changes while an exchange is under way: the configuration, and the clock.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use sluis::{
    disclosure::OutcomeStatus,
    policy::rules::{Rule, Verdict},
    tls::DevelopmentCa,
};

use super::calls::{Received, assert_intact};
use crate::{
    home::Home,
    served::{ASK, Served, begin, connect, held_back, many_pupils, request, send},
};

/// With no room to hold chunks until all of them can be held against the delivery before.
const PATIENT: &str = "las_response_ms = 20000\nlas_idle_ms = 20000\nheld_bytes = 4096\n";
const AGREEMENT: &str = "agreements/99DE-noordzee-rekenroute.toml";

/// An exchange of which the last of three chunks is held back until `change` has been. What the supplier got, and the
/// whole answer.
fn exchange_with(
    home: &Home,
    command: Command,
    change: impl FnOnce(&Served),
) -> (Received, Received, Served) {
    let document = many_pupils();
    let (las, release) = held_back(document.clone(), document.len() - 200);
    let served = Served::with(home, &las, PATIENT, command);
    let ask = request(home, "leerlinggegevens_verzoek", ASK);
    release.send(true).unwrap();
    let whole = Received::ask(home, served.gateway, &ask);
    assert!(whole.whole && whole.pupils() == 600, "{} {}", whole.status, whole.body);
    let mut stream = connect(home, &served, Some("noordzee"));
    send(&mut stream, &ask, "text/xml");
    let mut bytes = begin(&mut stream);
    change(&served);
    release.send(true).unwrap();
    let _ = stream.read_to_end(&mut bytes);
    (Received::parse(&String::from_utf8(bytes).unwrap()), whole, served)
}

/// What must hold of one that was cut: no more than what came before the change, and on record as failed by this rule.
fn assert_cut(home: &Home, what: &str, got: &Received, whole: &Received) {
    let mut wrong = Vec::new();
    got.judge(&whole.body, &home.leaves(), &mut wrong);
    assert!(wrong.is_empty(), "{what}: {wrong:?}");
    assert!(!got.whole && (1..=512).contains(&got.pupils()), "{what}: {} pupils", got.pupils());
    let leaves = home.leaves();
    let outcome = leaves.iter().rfind(|leaf| leaf.outcome().is_some()).unwrap();
    assert_eq!(outcome.outcome().unwrap().status, OutcomeStatus::Failed, "{what}");
    assert_eq!(outcome.verdicts.of(Rule::Doelbinding), Verdict::Broken, "{what}");
}

#[test]
fn what_was_withdrawn_in_the_middle_does_not_go_on() {
    type Change = fn(&Home);
    let changes: [(&str, bool, Change); 10] = [
        ("nothing", true, |_| {}),
        ("the certificate of the gateway", true, |home| {
            let ca = DevelopmentCa::new().unwrap();
            let issued = ca.server(&["localhost"]).unwrap();
            fs::write(home.path("certs/gateway.pem"), issued.certificate).unwrap();
            fs::write(home.path("certs/gateway.key"), issued.private_key).unwrap();
        }),
        ("another recipient is added", true, |home| {
            home.edit("sluis.toml", |text| {
                text + "\n[[recipient]]\nid = \"zuidzee\"\nname = \"Zuidzee\"\ncertificate = { subject_alt_name = \"zuidzee.example\" }\n"
            });
        }),
        ("no agreement", false, |home| fs::remove_file(home.path(AGREEMENT)).unwrap()),
        ("an agreement that ended", false, |home| {
            home.edit(AGREEMENT, |text| {
                text.replace("valid     = {", "valid = { from = 2020-08-01, until = 2021-07-31 } #")
            });
        }),
        ("an agreement that has not begun", false, |home| {
            home.edit(AGREEMENT, |text| {
                text.replace("valid     = {", "valid = { from = 2090-08-01, until = 2091-07-31 } #")
            });
        }),
        ("an agreement that gives less", false, |home| {
            home.edit(AGREEMENT, |text| {
                text.replace("version   = 1", "version = 2")
                    .replace("\"leerling.roepnaam\"              = \"pass\"\n", "")
            });
        }),
        ("a recipient of another certificate", false, |home| {
            home.edit("sluis.toml", |text| text.replace("noordzee.example", "elders.example"));
        }),
        ("an authority that issued no certificate of the recipient", false, |home| {
            fs::write(home.path("certs/other.pem"), DevelopmentCa::new().unwrap().certificate()).unwrap();
            home.edit("sluis.toml", |text| {
                text.replace("client_ca   = \"certs/ca.pem\"", "client_ca = \"certs/other.pem\"")
            });
        }),
        ("no recipient", false, |home| {
            home.edit("sluis.toml", |text| {
                text.replace("id   = \"noordzee\"", "id = \"zuidzee\"")
                    .replace("noordzee.example", "zuidzee.example")
            });
            home.edit(AGREEMENT, |text| text.replace("\"noordzee\"", "\"zuidzee\""));
        }),
    ];
    for (what, goes_on, change) in changes {
        let home = Home::new();
        let (got, whole, served) = exchange_with(&home, home.sluis(&["serve"]), |served| {
            change(&home);
            served.signal("-HUP");
            served.wait_for("configuration reloaded");
        });
        if goes_on {
            assert!(got.whole && got.body == whole.body, "{what}: {} pupils", got.pupils());
        } else {
            assert_cut(&home, what, &got, &whole);
        }
        served.stop();
        assert_intact(&home);
    }
}

#[test]
fn who_is_revoked_in_the_middle_gets_no_further() {
    let home = Home::new();
    let ca = DevelopmentCa::new().unwrap();
    let issued = ca.client("noordzee.example").unwrap();
    for (name, text) in [
        ("clients.pem", ca.certificate()),
        ("noordzee.pem", &issued.certificate),
        ("noordzee.key", &issued.private_key),
        ("clients.crl", &ca.revocations(&[], 7).unwrap()),
    ] {
        fs::write(home.path(&format!("certs/{name}")), text).unwrap();
    }
    home.edit("sluis.toml", |text| {
        let lists = "client_ca = \"certs/clients.pem\"\nclient_crl = [\"certs/clients.crl\"]";
        text.replace("client_ca   = \"certs/ca.pem\"", lists)
    });
    let (got, whole, served) = exchange_with(&home, home.sluis(&["serve"]), |served| {
        fs::write(home.path("certs/clients.crl"), ca.revocations(&[&issued], 7).unwrap()).unwrap();
        served.signal("-HUP");
        served.wait_for("configuration reloaded");
    });
    assert_cut(&home, "a certificate that was revoked", &got, &whole);
    served.stop();
    assert_intact(&home);
}

/// libfaketime, wherever this machine has it.
fn faketime() -> PathBuf {
    let folders =
        ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime"];
    let found = folders
        .map(|folder| Path::new(folder).join("libfaketimeMT.so.1"))
        .into_iter()
        .find(|path| path.exists());
    found.expect("install faketime: tests/run does")
}

#[test]
fn a_clock_that_jumps_in_the_middle() {
    // So many seconds ahead or behind, and whether the exchange goes on: the agreement is of one school year.
    for (jump, goes_on) in [
        (7_200, true),
        (-7_200, true),
        (86_400, true),
        (-86_400, true),
        (500 * 86_400, false),
        (-500 * 86_400, false),
    ] {
        let home = Home::new();
        let hands = home.path("clock");
        // Renamed into place: whoever reads it sees the one or the other.
        let put = |seconds: i64| {
            fs::write(home.path("clock.new"), format!("{seconds:+}\n")).unwrap();
            fs::rename(home.path("clock.new"), &hands).unwrap();
        };
        put(0);
        let mut command = home.sluis(&["serve"]);
        command
            .env("LD_PRELOAD", faketime())
            .env("FAKETIME_TIMESTAMP_FILE", &hands)
            .env("FAKETIME_NO_CACHE", "1")
            // As it is on a machine: what counts time passed does not jump.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        let what = format!("{jump} seconds");
        let (got, whole, served) = exchange_with(&home, command, |_| put(jump));
        if goes_on {
            assert!(got.whole && got.body == whole.body, "{what}: {} pupils", got.pupils());
        } else {
            assert_cut(&home, &what, &got, &whole);
        }
        let ready = served.operations("/ready");
        assert_eq!(ready.0, 200, "{what}: {}", ready.1);
        put(0);
        let said = served.stop();
        assert!(!said.contains("ERROR"), "{what}: {said}");
        let times: Vec<_> = home.leaves().iter().map(|leaf| leaf.end_ms).collect();
        assert!(times.is_sorted(), "{what}: times of leaves go back: {times:?}");
        assert_intact(&home);
        // Put back, it serves on.
        let ran = home.minimise("99DE", many_pupils().as_bytes());
        assert_eq!(ran.code, 0, "{what}: {}", ran.err);
    }
}
