//! The real binary, mutual TLS, and a pupil administration that does as it is told.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use sluis::tls;

use crate::{
    documents::{ENVELOPE, SCHOOL, feed},
    home::Home,
    served::{
        ASK, FakeLas, PUPILS, Served, attribute, begin, connect, held_back, many_pupils, post, read_all,
        request, send, write_xml,
    },
};

#[test]
fn a_feed_passes_and_results_find_their_way_back() {
    let home = Home::new();
    let las = FakeLas::new(Box::new(|request, stream| {
        if request.contains("leerresultaten_verzoek") {
            write_xml(
                stream,
                "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><leerresultaten_bevestiging \
                 xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerresultaten\"/></s:Body></s:Envelope>",
            );
        } else {
            let leerlingen = "leerlinggegevens-leerlingen";
            let document = match request.contains("leerlingen_verzoek") {
                false => feed(PUPILS),
                true => feed(
                    "<leerlingen><leerling key=\"100001\"><roepnaam>Jip</roepnaam></leerling></leerlingen>",
                )
                .replace("<leerlinggegevens>", &format!("<{leerlingen}>"))
                .replace("</leerlinggegevens>", &format!("</{leerlingen}>"))
                .replace("leerlinggegevens_antwoord", "leerlingen_antwoord"),
            };
            write_xml(stream, &document);
        }
    }));
    let served = Served::start(&home, &las);
    assert_eq!(served.operations("/live").0, 200);
    assert_eq!(served.operations("/ready").0, 200);
    assert_eq!(served.operations("/etc/passwd").0, 404);

    let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
    assert_eq!(got.status, 200, "{}", got.text);
    assert!(got.text.contains("fsc-transaction-id: "));
    for gone in ["100001", "999990019", "\"G1\"", "\"LK1\""] {
        assert!(!got.text.contains(gone), "{gone} in {}", got.text);
    }
    let pupil = attribute(&got.text, "leerling", "key").to_owned();
    let eckid = attribute(&got.text, "leerling", "eckid").to_owned();
    let teacher = attribute(&got.text, "leerkracht", "key").to_owned();
    let group = attribute(&got.text, "groep", "key").to_owned();

    let sent = las.requests.lock().unwrap().last().unwrap().clone();
    assert!(sent.to_lowercase().contains("soapaction: \"haalleerlinggegevens\""), "{sent}");
    assert!(
        sent.contains("<klantcode>SLUIS</klantcode>") && !sent.contains("NOORDZEE"),
        "the school's own autorisatie"
    );

    let groups = format!("{ASK}<groepen><groep key=\"{group}\"/><groep/></groepen>");
    let got = post(&home, &served, &request(&home, "leerlingen_verzoek", &groups));
    assert_eq!(got.status, 200, "{}", got.text);
    assert_eq!(attribute(&got.text, "leerling", "key"), pupil, "the same token in every feed");
    let sent = las.requests.lock().unwrap().last().unwrap().clone();
    assert!(sent.contains("<groepen><groep key=\"G1\"/><groep/></groepen>"), "{sent}");

    let results = |leerling: &str, eckid: &str, leerkracht: &str| {
        let inside = format!(
            "<school><schooljaar>2026-2027</schooljaar><brincode>99DE</brincode>\
             <aanmaakdatum>2026-11-11T00:05:46</aanmaakdatum><xsdversie>2.2</xsdversie></school><toetsafnames><toetsafname>\
             <leerlingid>{leerling}</leerlingid><eckid>{eckid}</eckid><resultaatverwerkerid>{leerkracht}\
             </resultaatverwerkerid><resultaten><resultaat key=\"R1\"><afnamedatum>2026-11-10</afnamedatum>\
             <toetscode>T1</toetscode><score>17</score></resultaat></resultaten></toetsafname></toetsafnames><toetsen><toets>\
             <toetscode vocabulaire=\"urn:x\">T1</toetscode><toetsnaam>Rekenen</toetsnaam></toets></toetsen>"
        );
        request(&home, "leerresultaten_verzoek", &inside)
    };
    let got = post(&home, &served, &results(&pupil, &eckid, &teacher));
    assert_eq!(got.status, 200, "{}", got.text);
    assert!(got.text.contains("leerresultaten_bevestiging"));
    let sent = las.requests.lock().unwrap().last().unwrap().clone();
    assert!(
        sent.contains("<leerlingid>100001</leerlingid><resultaatverwerkerid>LK1</resultaatverwerkerid>"),
        "{sent}"
    );
    assert!(
        sent.contains("<toetscode vocabulaire=\"urn:x\">T1</toetscode>") && !sent.contains("sluis.example"),
        "{sent}"
    );

    let before = las.requests.lock().unwrap().len();
    let other = eckid.replace(&eckid[eckid.len() - 4..], "0000");
    for (leerling, eckid, leerkracht) in
        [("100001", "", ""), (&pupil, &other, ""), (&pupil, "", "LK1"), (&teacher, "", ""), ("", "", "")]
    {
        let got = post(&home, &served, &results(leerling, eckid, leerkracht));
        assert_eq!(got.status, 500);
        assert!(got.text.contains(":Client.LeerlingOngeldig<"), "{}", got.text);
    }
    assert_eq!(las.requests.lock().unwrap().len(), before, "nothing was forwarded");
    served.stop();
    let verified = home.run(&["log", "verify", "data"]);
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(verified.out.contains("3 deliveries") && !verified.out.contains("unknown"), "{}", verified.out);
}

#[test]
fn whoever_may_not_ask_is_refused_and_the_las_hears_nothing() {
    let home = Home::new();
    let las = FakeLas::answering(feed(PUPILS));
    // Certificates of the authority the gateway trusts, and of one it does not.
    let ca = tls::DevelopmentCa::new().unwrap();
    let put = |name: &str, issued: tls::Issued| {
        std::fs::write(home.path(&format!("certs/{name}.pem")), issued.certificate).unwrap();
        let key = home.path(&format!("certs/{name}.key"));
        std::fs::write(&key, issued.private_key).unwrap();
        std::fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    let own = std::fs::read_to_string(home.path("certs/ca.pem")).unwrap();
    std::fs::write(home.path("certs/clients.pem"), own + ca.certificate()).unwrap();
    put("zuidzee", ca.client("zuidzee.example").unwrap());
    put("verlopen", ca.expired_client("noordzee.example").unwrap());
    put("vreemd", tls::DevelopmentCa::new().unwrap().client("noordzee.example").unwrap());
    home.edit("sluis.toml", |text| {
        text.replace("client_ca   = \"certs/ca.pem\"", "client_ca = \"certs/clients.pem\"")
    });
    let served = Served::start(&home, &las);
    let good = request(&home, "leerlinggegevens_verzoek", ASK);

    for client in [None, Some("verlopen"), Some("vreemd")] {
        let mut stream = connect(&home, &served, client);
        let _ = write!(stream, "POST /uwlr HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.flush();
        assert_eq!(read_all(&mut stream), "", "{client:?}: nothing is said before the handshake is whole");
    }
    let mut stream = connect(&home, &served, Some("zuidzee"));
    send(&mut stream, &good, "text/xml");
    assert!(read_all(&mut stream).contains(":Client.AutorisatieOngeldig<"), "a certificate of no recipient");

    for (body, code) in [
        (good.replace("99DE", "99DF"), "Client.AutorisatieOngeldig"),
        (good.replace("<klantcode>NOORDZEE", "<klantcode>ANDERS"), "Client.AutorisatieOngeldig"),
        (good.replace("autorisatiesleutel", "sleutel"), "Client.AutorisatieOngeldig"),
        (good.replace("<brincode>99DE</brincode>", ""), "Client.OngeldigBericht"),
        (good.replace("<brincode>99DE", "<brincode>9DE"), "Client.OngeldigBericht"),
        (good.replace("2026-2027", "volgend jaar"), "Client.OngeldigBericht"),
        (good.replace("leerlinggegevens_verzoek", "alles_verzoek"), "Client.OngeldigBericht"),
        (good.replace("s:Body", "s:Buik"), "Client.OngeldigBericht"),
        (good[..good.len() - 30].to_owned(), "Client.OngeldigBericht"),
        (format!("<!DOCTYPE x>{good}"), "Client.OngeldigBericht"),
        (feed(PUPILS), "Client.OngeldigBericht"),
    ] {
        let got = post(&home, &served, &body);
        assert_eq!(got.status, 500, "{}", got.text);
        assert!(got.text.contains(&format!("<faultcode>soapenv:{code}</faultcode>")), "{body}\n{}", got.text);
    }
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &good, "application/soap+xml");
    let text = read_all(&mut stream);
    assert!(
        text.starts_with("HTTP/1.1 415 ") && text.contains("\"code\":\"unsupported-media-type\""),
        "{text}"
    );
    for (head, status) in [
        ("GET /uwlr HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405"),
        ("POST /anders HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "404"),
        ("POST /uwlr HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        ("GET /uwlr HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", "400"),
        ("CONNECT las:443 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        (
            "POST /uwlr HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 99999999\r\n\r\n",
            "413",
        ),
    ] {
        let mut stream = connect(&home, &served, Some("noordzee"));
        stream.write_all(head.as_bytes()).unwrap();
        let text = read_all(&mut stream);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {text}");
    }
    // Two lengths: whatever either reader makes of it, nothing after it is taken for a request.
    let mut stream = connect(&home, &served, Some("noordzee"));
    let two = "POST /anders HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
               GET /uwlr HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(two.as_bytes()).unwrap();
    let text = read_all(&mut stream);
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    assert!(las.requests.lock().unwrap().is_empty());
    home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
        text.lines()
            .map(|l| {
                if l.starts_with("valid") {
                    "valid = { from = 2090-08-01, until = 2091-07-31 }\n".to_owned()
                } else {
                    format!("{l}\n")
                }
            })
            .collect()
    });
    served.signal("-HUP");
    served.wait_for("configuration reloaded");
    let got = post(&home, &served, &good);
    assert!(
        got.text.contains(":Client.AutorisatieOngeldig<"),
        "an agreement that has not begun: {}",
        got.text
    );
    assert!(las.requests.lock().unwrap().is_empty());
    home.edit("sluis.toml", |text| format!("onbekend = 1\n{text}"));
    served.signal("-HUP");
    served.wait_for("the configuration in force stays");
    assert_eq!(served.operations("/live").0, 200);
    let (status, ready) = served.operations("/ready");
    assert!(status == 200 && ready.contains("\"agreements\":true"), "what is in force still serves: {ready}");
    assert!(served.operations("/metrics").1.contains("sluis_school_unknown_total 1"));
    assert!(served.operations("/metrics").1.contains("sluis_config_last_reload_success 0"));
    home.edit("sluis.toml", |text| {
        text.replace("onbekend = 1\n", "").replace("[limits]", "[limits]\nexchanges = 7\ndrain_ms = 20000")
    });
    served.signal("-HUP");
    served.wait_for("\"settings\":\"limits.exchanges, limits.drain_ms\"");
    let said = served.stop();
    let unknown =
        said.split("{\"timestamp\"").find(|line| line.contains("not in the configuration")).unwrap();
    assert!(unknown.contains("WARN") && unknown.contains("noordzee"), "{unknown}");
}

#[test]
fn a_pupil_administration_that_misbehaves_gives_a_fault_and_nothing_else() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n";
    let pupil = "<leerlingen><leerling key=\"100001\"><roepnaam>Jip</roepnaam></leerling></leerlingen>";
    let other = format!("{}{}{pupil}{}", ENVELOPE.0, SCHOOL.replace("99DE", "99DF"), ENVELOPE.1);
    let xml = |document: &str| format!("{head}Content-Length: {}\r\n\r\n{document}", document.len());
    let fault = |code: &str| {
        let document = format!(
            "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><s:Fault><faultcode>s:{code}</faultcode>\
             <faultstring>leerling 100001 Jip</faultstring></s:Fault></s:Body></s:Envelope>"
        );
        format!(
            "HTTP/1.1 500 X\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{document}",
            document.len()
        )
    };
    let busy = "Server.TijdelijkNietBeschikbaar";
    for (what, answer, code) in [
        ("hangs up", String::new(), busy),
        (
            "HTML",
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>".into(),
            busy,
        ),
        ("HTML that says it is XML", xml("<html>100001</html>"), busy),
        ("not found", "HTTP/1.1 404 X\r\nContent-Type: text/xml\r\nContent-Length: 0\r\n\r\n".into(), busy),
        (
            "redirect",
            "HTTP/1.1 302 X\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n".into(),
            busy,
        ),
        ("compressed", format!("{head}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx"), busy),
        ("oversized header", format!("{head}X: {}\r\n\r\n", "x".repeat(200_000)), busy),
        (
            "a header that fits the buffer twice over",
            format!(
                "{head}X: {}\r\nContent-Length: {}\r\n\r\n{}",
                "x".repeat(100_000),
                feed(pupil).len(),
                feed(pupil)
            ),
            busy,
        ),
        ("another school", xml(&other), busy),
        (
            "another operation's answer",
            xml(&feed(pupil).replace("leerlinggegevens_antwoord", "leerlingen_antwoord")),
            busy,
        ),
        ("a DOCTYPE", xml(&format!("<!DOCTYPE x>{}", feed(pupil))), busy),
        ("cut short", format!("{head}Content-Length: 100000\r\n\r\n{}", feed(pupil)), busy),
        ("truncated XML", xml(&feed(pupil)[..300]), busy),
        ("its own credentials refused", fault("Client.AutorisatieOngeldig"), busy),
        ("an unknown fault", fault("Client.100001"), busy),
        ("a version it does not know", fault("Client.XsdVersieOngeldig"), "Client.XsdVersieOngeldig"),
    ] {
        let home = Home::new();
        let las = FakeLas::raw(answer);
        let served = Served::start(&home, &las);
        let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
        assert_eq!(got.status, 500, "{what}: {}", got.text);
        assert!(got.text.contains(&format!("<faultcode>soapenv:{code}</faultcode>")), "{what}: {}", got.text);
        let said = served.stop();
        if what == "its own credentials refused" {
            let line = said.split("{\"timestamp\"").find(|line| line.contains("own credentials")).unwrap();
            let id = got.text.split_once("fsc-transaction-id: ").unwrap().1.split_once('\r').unwrap().0;
            for part in ["WARN", "Client.AutorisatieOngeldig", "99DE", "noordzee", "HaalLeerlinggegevens", id]
            {
                assert!(line.contains(part), "{part} in {line}");
            }
        }
        for leak in ["100001", "Jip"] {
            assert!(!got.text.contains(leak) && !said.contains(leak), "{what}: {leak}");
        }
        assert!(home.run(&["log", "verify", "data"]).out.contains("0 deliveries"), "{what}");
    }
}

#[test]
fn a_pupil_administration_that_is_slow_or_down_is_not_waited_for() {
    let home = Home::new();
    let (release, held) = mpsc::channel::<()>();
    let las = FakeLas::new(Box::new(move |_, _| {
        let _ = held.recv();
    }));
    let served = Served::start(&home, &las);
    let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
    assert!(got.text.contains(":Server.TijdelijkNietBeschikbaar<"), "{}", got.text);
    drop(release);
    assert!(served.operations("/metrics").1.contains("sluis_las_errors_total{kind=\"timed_out\"} 1"));
    served.stop();
    let home = Home::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let las = FakeLas::at(gone, std::thread::spawn(|| {}));
    let served = Served::start(&home, &las);
    let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
    assert!(got.text.contains(":Server.TijdelijkNietBeschikbaar<"), "{}", got.text);
    assert!(served.operations("/metrics").1.contains("sluis_las_errors_total{kind=\"connect\"} 1"));
}

#[test]
fn sigterm_in_mid_exchange_lets_it_end() {
    let home = Home::new();
    let document = many_pupils();
    let (las, release) = held_back(document.clone(), document.len() - 200);
    let served = Served::start(&home, &las);
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &request(&home, "leerlinggegevens_verzoek", ASK), "text/xml");
    let mut text = begin(&mut stream);
    served.signal("-TERM");
    served.wait_for("draining");
    assert_eq!(served.operations("/ready").0, 503);
    while TcpStream::connect(("127.0.0.1", served.gateway)).is_ok() {} // until nothing new is accepted
    release.send(true).unwrap();
    stream.read_to_end(&mut text).ok();
    let text = String::from_utf8(text).unwrap();
    assert!(text.ends_with("\r\n0\r\n\r\n"), "the exchange ended as it should");
    assert_eq!(text.matches("<leerling ").count(), 600);
    let mut served = served;
    assert!(served.wait().success());
    let verified = home.run(&["log", "verify", "data"]);
    assert!(
        verified.out.contains("600 rows, 1 deliveries") && !verified.out.contains("unknown"),
        "{}",
        verified.out
    );
}

#[test]
fn an_exchange_that_breaks_off_is_broken_for_the_receiver_too() {
    let home = Home::new();
    let document = many_pupils();
    let (las, release) = held_back(document.clone(), document.len() - 200);
    let served = Served::start(&home, &las);
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &request(&home, "leerlinggegevens_verzoek", ASK), "text/xml");
    let mut text = begin(&mut stream);
    release.send(false).unwrap();
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains("\r\n0\r\n\r\n") && !text.contains("</leerlingen>"), "it does not look whole");
    served
        .until("/metrics", "sluis_exchanges_total{operation=\"HaalLeerlinggegevens\",outcome=\"failed\"} 1");
    let metrics = served.operations("/metrics").1;
    assert!(metrics.contains("sluis_exchange_seconds_count 1"), "{metrics}");
    assert!(metrics.contains("sluis_pupils_total{outcome=\"released\"} 512"), "whole or not: {metrics}");
    assert!(!metrics.contains("sluis_bytes_out_total 0"), "{metrics}");
    let said = served.stop();
    let line = said.split("{\"timestamp\"").find(|line| line.contains("was refused")).unwrap();
    for part in ["WARN", "\"chunks\":2", "99DE", "noordzee", "HaalLeerlinggegevens", "transaction"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert_eq!(home.outcomes(), [sluis::disclosure::OutcomeStatus::Failed]);
}

#[test]
fn kill_leaves_a_log_that_opens_and_tells() {
    let home = Home::new();
    let document = many_pupils();
    let (las, _release) = held_back(document.clone(), document.len() - 200);
    let served = Served::start(&home, &las);
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &request(&home, "leerlinggegevens_verzoek", ASK), "text/xml");
    let _ = begin(&mut stream);
    served.kill();
    let ran = home.minimise("99DE", feed(PUPILS).as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let verified = home.run(&["log", "verify", "data"]);
    assert_eq!(verified.code, 0, "{}", verified.err);
    assert!(verified.out.contains("1 deliveries with unknown outcome"), "{}", verified.out);
}
