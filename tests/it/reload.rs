//! Certificates, authorities and revocation lists change while it serves, and what ends by itself is said ahead.

use std::{fs, io::Read, os::unix::fs::PermissionsExt, sync::Arc};

use rustls::{ClientConfig, HandshakeKind};
use sluis::tls::{DevelopmentCa, Issued};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{
    documents::feed,
    drain::{Line, client_config, keeping},
    home::Home,
    served::{ASK, FakeLas, PUPILS, Served, attribute, request, write_xml},
};

/// A home of which the test holds the authority.
struct World {
    home: Home,
    ca: DevelopmentCa,
    las: FakeLas,
    ask: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let (home, ca) = (Home::new(), DevelopmentCa::new().unwrap());
        fs::write(home.path("certs/ca.pem"), ca.certificate()).unwrap();
        let las = FakeLas::at_once(|_, stream| write_xml(stream, &feed(PUPILS)));
        let ask = keeping(&request(&home, "leerlinggegevens_verzoek", ASK));
        let world = Self { home, ca, las, ask };
        world.put("gateway", &world.ca.server(&["localhost"]).unwrap());
        world.put("noordzee", &world.ca.client("noordzee.example").unwrap());
        world
    }

    /// Puts a certificate and its key.
    fn put(&self, name: &str, issued: &Issued) {
        fs::write(self.home.path(&format!("certs/{name}.pem")), &issued.certificate).unwrap();
        let key = self.home.path(&format!("certs/{name}.key"));
        fs::write(&key, &issued.private_key).unwrap();
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// With a file of revocation lists.
    fn with_list(&self, name: &str) {
        self.home.edit("sluis.toml", |text| {
            let ca = "client_ca   = \"certs/ca.pem\"";
            text.replace(ca, &format!("{ca}\nclient_crl = [\"certs/{name}\"]"))
        });
    }

    fn serve(&self) -> Served {
        // Patient: connections stay open while other things are tried.
        Served::with(&self.home, &self.las, "header_read_ms = 60000\n", self.home.sluis(&["serve"]))
    }

    fn reload(&self, served: &Served) {
        served.signal("-HUP");
        served.wait_for("configuration reloaded");
    }

    /// Asks once; gives the connection with the answer, or nothing when it was not let in.
    fn ask(&self, config: &Arc<ClientConfig>, served: &Served) -> Option<Line> {
        let mut line = Line::open(config, served.gateway).unwrap();
        let answer = line.exchange(&self.ask).ok()?;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Some(line)
    }

    /// What was let in before and is so no more hears why, and is closed.
    fn turned_away(&self, mut line: Line) {
        let answer = line.exchange(&self.ask).unwrap();
        assert!(answer.status == 403 && answer.last, "{}: {}", answer.status, answer.text);
        assert!(answer.text.contains("\"code\":\"certificate-not-accepted\""), "{}", answer.text);
        let mut rest = Vec::new();
        assert_eq!(line.0.read_to_end(&mut rest).unwrap_or(0), 0);
    }
}

/// The certificate at the other end.
fn shown(line: &Line) -> Vec<u8> {
    line.0.get_ref().conn.peer_certificates().unwrap()[0].to_vec()
}

fn der(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

/// When a certificate ends, in seconds since 1970.
fn ends(pem: &str) -> i64 {
    let der = der(pem);
    X509Certificate::from_der(&der).unwrap().1.validity().not_after.timestamp()
}

#[test]
fn a_new_certificate_is_for_new_connections() {
    let world = World::new();
    let served = world.serve();
    let config = client_config(&world.home, "noordzee");
    let mut old = world.ask(&config, &served).unwrap();
    let next = world.ca.server(&["localhost"]).unwrap();
    world.put("gateway", &next);
    world.reload(&served);
    assert_eq!(old.exchange(&world.ask).unwrap().status, 200, "what is open goes on");
    let new = world.ask(&config, &served).unwrap();
    assert_eq!(shown(&new), der(&next.certificate));
    assert_ne!(shown(&old), shown(&new));
    // A key that is not of the certificate: what was in force stays so.
    let other = world.ca.server(&["localhost"]).unwrap();
    world.put("gateway", &Issued { certificate: next.certificate.clone(), private_key: other.private_key });
    served.signal("-HUP");
    served.wait_for("the configuration in force stays");
    assert_eq!(shown(&world.ask(&config, &served).unwrap()), der(&next.certificate));
}

#[test]
fn a_new_key_and_what_an_agreement_says_now_count_on_connections_that_are_open() {
    let world = World::new();
    let served = world.serve();
    let mut line = world.ask(&client_config(&world.home, "noordzee"), &served).unwrap();
    let mut pupil = || {
        let answer = line.exchange(&world.ask).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.text
    };
    let before = pupil();
    let eckid = |text: &str| attribute(text, "leerling", "eckid").to_owned();
    assert!(before.contains("<roepnaam>Jip</roepnaam>"), "{before}");
    assert_eq!(eckid(&pupil()), eckid(&before));
    world.home.run(&["keys", "rotate", "--school", "99DE", "--purpose", "pseudonym"]);
    world.reload(&served);
    assert_ne!(eckid(&pupil()), eckid(&before), "made with the new key");
    world.home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
        text.lines()
            .filter(|line| !line.contains("leerling.roepnaam"))
            .map(|line| format!("{line}\n"))
            .collect()
    });
    world.reload(&served);
    let after = pupil();
    assert!(!after.contains("<roepnaam>"), "{after}");
}

#[test]
fn an_authority_that_is_dropped_lets_nobody_in() {
    let world = World::new();
    let other = DevelopmentCa::new().unwrap();
    world.put("nieuw", &other.client("noordzee.example").unwrap());
    fs::write(world.home.path("certs/clients.pem"), world.ca.certificate()).unwrap();
    world.home.edit("sluis.toml", |text| {
        text.replace("client_ca   = \"certs/ca.pem\"", "client_ca = \"certs/clients.pem\"")
    });
    let served = world.serve();
    let (old, new) = (client_config(&world.home, "noordzee"), client_config(&world.home, "nieuw"));
    let open = world.ask(&old, &served).unwrap();
    assert!(world.ask(&new, &served).is_none());
    fs::write(world.home.path("certs/clients.pem"), other.certificate()).unwrap();
    world.reload(&served);
    world.turned_away(open);
    assert!(world.ask(&old, &served).is_none());
    assert!(world.ask(&new, &served).is_some());
    let metrics = served.operations("/metrics").1;
    assert!(metrics.contains("sluis_connection_refusals_total{reason=\"withdrawn\"} 1"), "{metrics}");
}

#[test]
fn who_is_revoked_comes_in_by_no_way() {
    let world = World::new();
    let issued = world.ca.client("noordzee.example").unwrap();
    world.put("noordzee", &issued);
    // The same recipient with another certificate: it is the certificate that is revoked.
    world.put("ander", &world.ca.client("noordzee.example").unwrap());
    let list = |revoked: &[&Issued]| world.ca.revocations(revoked, 7).unwrap();
    fs::write(world.home.path("certs/clients.crl"), list(&[])).unwrap();
    world.with_list("clients.crl");
    let served = world.serve();
    let (config, other) = (client_config(&world.home, "noordzee"), client_config(&world.home, "ander"));
    let open = world.ask(&config, &served).unwrap();
    let other_open = world.ask(&other, &served).unwrap();
    // A session can be resumed, so what follows shows something.
    let resumed = world.ask(&config, &served).unwrap();
    assert_eq!(resumed.0.get_ref().conn.handshake_kind(), Some(HandshakeKind::Resumed));

    // DER, as authorities publish it.
    fs::write(world.home.path("certs/clients.crl"), der(&list(&[&issued]))).unwrap();
    world.reload(&served);
    world.turned_away(open);
    world.turned_away(resumed);
    let before = served.operations("/metrics").1;
    assert!(before.contains("sluis_connection_refusals_total{reason=\"withdrawn\"} 2"), "{before}");
    let mut again = Line::open(&config, served.gateway).unwrap();
    assert!(again.exchange(&world.ask).is_err(), "neither with what it has of a session");
    assert_ne!(again.0.get_ref().conn.handshake_kind(), Some(HandshakeKind::Resumed));
    assert!(world.ask(&client_config(&world.home, "noordzee"), &served).is_none(), "nor anew");
    served.until("/metrics", "sluis_connection_refusals_total{reason=\"handshake\"} 2");
    let mut other_open = other_open;
    assert_eq!(other_open.exchange(&world.ask).unwrap().status, 200);
    assert!(world.ask(&other, &served).is_some());

    fs::write(world.home.path("certs/clients.crl"), list(&[])).unwrap();
    world.reload(&served);
    assert!(world.ask(&config, &served).is_some(), "and back");
    let said = served.stop();
    assert!(said.contains("a client certificate that was accepted no longer is"), "{said}");
}

#[test]
fn a_list_that_says_nothing_of_a_client_keeps_it_out() {
    let foreign = DevelopmentCa::new().unwrap();
    for (what, list) in [
        ("expired", World::new().ca.revocations(&[], -1).unwrap()),
        ("of another authority", foreign.revocations(&[], 7).unwrap()),
    ] {
        let world = World::new();
        let list = if what == "expired" { world.ca.revocations(&[], -1).unwrap() } else { list };
        fs::write(world.home.path("certs/clients.crl"), list).unwrap();
        world.with_list("clients.crl");
        let served = world.serve();
        assert!(world.ask(&client_config(&world.home, "noordzee"), &served).is_none(), "{what}");
        assert!(world.las.requests.lock().unwrap().is_empty());
        let (checked, said) = (world.home.run(&["check"]), served.stop());
        assert_eq!(checked.code, 0, "{}", checked.err);
        let expired = what == "expired";
        assert_eq!(checked.out.contains("certs/clients.crl: note: ended on"), expired, "{}", checked.out);
        assert_eq!(said.contains("\"which\":\"client_crl\""), expired, "{said}");
    }
    let world = World::new();
    world.with_list("clients.crl");
    let check = |words: &str| {
        let checked = world.home.run(&["check"]);
        assert!(checked.code == 1 && checked.err.contains(words), "{}{}", checked.out, checked.err);
    };
    check("certs/clients.crl: cannot be read");
    fs::write(world.home.path("certs/clients.crl"), world.ca.certificate()).unwrap();
    check("certs/clients.crl: holds no revocation list");
    let pem = world.ca.revocations(&[], 7).unwrap();
    fs::write(world.home.path("certs/clients.crl"), &der(&pem)[..100]).unwrap();
    check("certs/clients.crl: holds no revocation list");
    world.home.edit("sluis.toml", |text| text.replace("[\"certs/clients.crl\"]", "[]"));
    check("client_crl names no list");
}

#[test]
fn what_ends_is_said_ahead() {
    let world = World::new();
    fs::write(world.home.path("certs/clients.crl"), world.ca.revocations(&[], 200).unwrap()).unwrap();
    world.with_list("clients.crl");
    let served = world.serve();
    let config = client_config(&world.home, "noordzee");
    let read = |name: &str| fs::read_to_string(world.home.path(&format!("certs/{name}.pem"))).unwrap();
    let metrics = served.operations("/metrics").1;
    let gauge = |metrics: &str, which: &str, pem: &str| {
        let line = format!("sluis_expiry_timestamp_seconds{{which=\"{which}\"}} {}\n", ends(pem));
        assert!(metrics.contains(&line), "{line} in {metrics}");
    };
    gauge(&metrics, "gateway", &read("gateway"));
    gauge(&metrics, "client_ca", world.ca.certificate());
    assert!(metrics.contains("sluis_expiry_timestamp_seconds{which=\"client_crl\"} "), "{metrics}");
    // The review app shows the certificate of the gateway, and plain HTTP to the LAS has none.
    assert_eq!(metrics.matches("sluis_expiry_timestamp_seconds{").count(), 3, "{metrics}");
    assert!(!metrics.contains("sluis_recipient_certificate_expiry"), "nobody came yet: {metrics}");
    world.ask(&config, &served).unwrap();
    let recipient = |pem: &str| {
        let name = "sluis_recipient_certificate_expiry_timestamp_seconds{recipient=\"noordzee\"}";
        format!("{name} {}\n", ends(pem))
    };
    let metrics = served.operations("/metrics").1;
    assert!(metrics.contains(&recipient(&read("noordzee"))), "{metrics}");

    // Twenty days left: of the gateway, and of a supplier.
    let brief = DevelopmentCa::ending_in(20).unwrap();
    let both = world.ca.certificate().to_owned() + brief.certificate();
    fs::write(world.home.path("certs/clients.pem"), both).unwrap();
    world.home.edit("sluis.toml", |text| {
        let text = text.replace("client_ca   = \"certs/ca.pem\"", "client_ca = \"certs/clients.pem\"");
        text.replace("client_crl = [\"certs/clients.crl\"]", "")
    });
    let short = DevelopmentCa::ending_in(20).unwrap();
    let shown = short.server(&["localhost"]).unwrap();
    world.put("gateway", &shown);
    fs::write(world.home.path("certs/ca.pem"), short.certificate()).unwrap();
    world.put("kort", &brief.client("noordzee.example").unwrap());
    served.signal("-HUP");
    served.wait_for("configuration reloaded");
    assert!(!served.operations("/metrics").1.contains("which=\"client_crl\""), "it names none any more");
    gauge(&served.operations("/metrics").1, "gateway", &shown.certificate);
    gauge(&served.operations("/metrics").1, "client_ca", brief.certificate());
    world.ask(&client_config(&world.home, "kort"), &served).unwrap();
    world.ask(&client_config(&world.home, "noordzee"), &served).unwrap();
    let metrics = served.operations("/metrics").1;
    assert!(metrics.contains(&recipient(&read("kort"))), "the first that ends of those seen: {metrics}");
    let checked = world.home.run(&["check"]);
    for file in ["certs/gateway.pem", "certs/clients.pem"] {
        assert!(checked.out.contains(&format!("{file}: note: ends on ")), "{file} in {}", checked.out);
    }
    assert!(!checked.out.contains("clients.crl"), "{}", checked.out);

    // A recipient that is no more has no gauge.
    world.home.edit("sluis.toml", |text| text.replace("id   = \"noordzee\"", "id   = \"zuidzee\""));
    world.home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
        text.replace("recipient = \"noordzee\"", "recipient = \"zuidzee\"")
    });
    served.signal("-HUP");
    served.wait_for("configuration reloaded");
    let metrics = served.operations("/metrics").1;
    assert!(!metrics.contains("recipient=\"noordzee\""), "{metrics}");
    let said = served.stop();
    let line = |words: &[&str]| {
        let lines = said.split("{\"timestamp\"");
        let mut fitting = lines.filter(|line| words.iter().all(|word| line.contains(word)));
        assert!(fitting.next().is_some_and(|line| line.contains("WARN")), "{words:?} in {said}");
    };
    line(&["a file ends soon", "certs/gateway.pem", "\"which\":\"gateway\""]);
    line(&["a file ends soon", "certs/clients.pem", "\"which\":\"client_ca\""]);
    line(&["the certificate of a recipient ends soon", "\"recipient\":\"noordzee\""]);
    assert!(!said.contains("certs/ca.pem"), "{said}");
}
