//! Exchanges that end otherwise than they should: each leaves the record it should, and room for the next.

use std::{
    io::{Read, Write},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use sluis::{
    clock::{Clock, SystemClock},
    config::Config,
    delivery::{Asked, Delivery},
    disclosure::{LeafKind, Log, OutcomeStatus},
    exchange::disclose,
    standing::Ledger,
};

use crate::{
    documents::feed,
    home::Home,
    served::{
        ASK, FakeLas, PUPILS, Served, attribute, begin, connect, held_back, many_pupils, post, read_all,
        request, send, write_xml,
    },
};

const PATIENT: &str = "las_response_ms = 20000\nlas_idle_ms = 20000\n";
const WAIT: Duration = Duration::from_secs(20);

#[test]
fn results_have_an_outcome_when_the_supplier_hangs_up() {
    let home = Home::new();
    let (arrived, arrives) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let (arrived, held) = (Mutex::new(arrived), Mutex::new(held));
    let las = FakeLas::at_once(move |request, stream| {
        if request.contains("leerresultaten_verzoek") {
            arrived.lock().unwrap().send(()).unwrap();
            let _ = held.lock().unwrap().recv();
            write_xml(
                stream,
                "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><leerresultaten_bevestiging \
                 xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerresultaten\"/></s:Body></s:Envelope>",
            );
        } else {
            write_xml(stream, &feed(PUPILS));
        }
    });
    let served = Served::with(&home, &las, PATIENT, home.sluis(&["serve"]));
    let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
    let pupil = attribute(&got.text, "leerling", "key");
    let results = format!(
        "<school><schooljaar>2026-2027</schooljaar><brincode>99DE</brincode>\
         <aanmaakdatum>2026-11-11T00:05:46</aanmaakdatum><xsdversie>2.2</xsdversie></school><toetsafnames><toetsafname>\
         <leerlingid>{pupil}</leerlingid><resultaten><resultaat key=\"R1\"><afnamedatum>2026-11-10</afnamedatum>\
         <toetscode>T1</toetscode><score>17</score></resultaat></resultaten></toetsafname></toetsafnames>"
    );
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &request(&home, "leerresultaten_verzoek", &results), "text/xml");
    arrives.recv_timeout(WAIT).unwrap();
    drop(stream);
    // Only the connection that asks is left: the gateway knows that the supplier has gone.
    served.until("/metrics", "sluis_connections 1");
    // It is drained, and waits for what no connection stands for any more.
    served.signal("-TERM");
    served.wait_for("draining");
    release.send(()).unwrap();
    served.ended();
    assert_eq!(home.outcomes(), [OutcomeStatus::Sent, OutcomeStatus::Sent]);
}

#[test]
fn clients_that_do_not_read_make_room_for_others() {
    let home = Home::new();
    let pupils: String = (0..12_000)
        .map(|i| format!("<leerling key=\"{}\"><roepnaam>Jip</roepnaam></leerling>", 200_000 + i))
        .collect();
    let document = feed(&format!("<leerlingen>{pupils}</leerlingen>"));
    let las = FakeLas::at_once(move |_, stream| write_xml(stream, &document));
    let limits = format!("{PATIENT}connections = 3\nsend_idle_ms = 300\n");
    let served = Served::with(&home, &las, &limits, home.sluis(&["serve"]));
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    let idle: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = connect(&home, &served, Some("noordzee"));
            send(&mut stream, &ask, "text/xml");
            stream
        })
        .collect();
    let got = post(&home, &served, &ask.replace("99DE", "99DF"));
    assert_eq!(got.status, 500, "{}", got.text);
    drop(idle);
    served.stop();
    assert_eq!(home.outcomes(), [OutcomeStatus::Failed; 3]);
}

#[test]
fn one_certificate_does_not_get_all_connections() {
    let home = Home::new();
    let served = Served::with(
        &home,
        &FakeLas::answering(feed(PUPILS)),
        "connections_per_certificate = 1\n",
        home.sluis(&["serve"]),
    );
    let mut first = connect(&home, &served, Some("noordzee"));
    // Its answer shows that the gateway has come to know it; the handshake alone does not.
    write!(first, "GET /anders HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}\n") {
        let mut byte = [0];
        first.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let mut second = connect(&home, &served, Some("noordzee"));
    let _ = write!(second, "GET /anders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(read_all(&mut second), "");
    served.until("/metrics", "sluis_connection_refusals_total{reason=\"certificate\"} 1");
    write!(first, "GET /anders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert!(read_all(&mut first).starts_with("HTTP/1.1 404 "));
    served.stop();
}

#[test]
fn a_las_is_left_when_whoever_asked_has_gone() {
    let home = Home::new();
    let (asked, asks) = mpsc::channel();
    let (left, leaves) = mpsc::channel();
    let told = Mutex::new((asked, left));
    let first = Mutex::new(true);
    let las = FakeLas::at_once(move |_, stream| {
        if !std::mem::take(&mut *first.lock().unwrap()) {
            return write_xml(stream, &feed(PUPILS));
        }
        let document = many_pupils();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 1000000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        told.lock().unwrap().0.send(()).unwrap();
        // Never enough for a chunk, and never idle.
        for byte in document.as_bytes() {
            if stream.write_all(&[*byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        told.lock().unwrap().1.send(()).unwrap();
    });
    let limits = format!("{PATIENT}exchanges = 1\nqueue = 0\n");
    let served = Served::with(&home, &las, &limits, home.sluis(&["serve"]));
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &ask, "text/xml");
    asks.recv_timeout(WAIT).unwrap();
    let busy = post(&home, &served, &ask);
    assert!(busy.status == 503 && busy.text.contains("\"busy\""), "{}", busy.text);
    assert!(busy.text.to_lowercase().contains("retry-after: "), "{}", busy.text);
    drop(stream);
    leaves.recv_timeout(WAIT).expect("the LAS is not read to its end");
    served
        .until("/metrics", "sluis_exchanges_total{operation=\"HaalLeerlinggegevens\",outcome=\"failed\"} 1");
    assert_eq!(post(&home, &served, &ask).status, 200, "its place is free");
    served.stop();
}

#[test]
fn a_las_is_left_when_the_supplier_goes_in_the_middle() {
    let home = Home::new();
    let document = many_pupils();
    let (las, _release) = held_back(document.clone(), document.len() - 200);
    let limits = "las_response_ms = 20000\nlas_idle_ms = 600000\n";
    let served = Served::with(&home, &las, limits, home.sluis(&["serve"]));
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &request(&home, "leerlinggegevens_verzoek", ASK), "text/xml");
    let _ = begin(&mut stream);
    drop(stream);
    served
        .until("/metrics", "sluis_exchanges_total{operation=\"HaalLeerlinggegevens\",outcome=\"failed\"} 1");
    served.stop();
    assert_eq!(home.outcomes(), [OutcomeStatus::Failed]);
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let home = Home::new();
    let las = FakeLas::answering(feed(PUPILS));
    let served = Served::with(&home, &las, "request_bytes = 65536\n", home.sluis(&["serve"]));
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &"x".repeat(4_000_000), "text/xml");
    let text = read_all(&mut stream);
    assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("\"request-too-large\""), "{text}");
    served.stop();
}

#[test]
fn a_file_that_may_not_grow_is_a_refusal_and_not_the_end() {
    let home = Home::new();
    let las = FakeLas::answering(many_pupils());
    let binary = home.sluis(&[]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -f 128; exec \"$0\" serve"]).arg(binary.get_program());
    command.current_dir(home.path(""));
    let served = Served::with(&home, &las, PATIENT, command);
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    let full = (0..10).any(|_| {
        let mut stream = connect(&home, &served, Some("noordzee"));
        send(&mut stream, &ask, "text/xml");
        !read_all(&mut stream).ends_with("\r\n0\r\n\r\n")
    });
    assert!(full, "the limit was reached");
    for _ in 0..2 {
        let got = post(&home, &served, &ask);
        assert!(got.text.contains(":Server.TijdelijkNietBeschikbaar<"), "{}", got.text);
    }
    let (status, ready) = served.operations("/ready");
    assert!(status == 503 && ready.contains("\"log\":false"), "{ready}");
    let said = served.stop();
    assert_eq!(said.matches("the disclosure log cannot be written").count(), 1, "said once: {said}");
    assert_eq!(said.matches("ERROR").count(), 1, "{said}");
}

#[test]
fn a_request_about_another_vestiging_is_on_record_as_withheld() {
    let home = Home::new();
    home.edit("sluis.toml", |text| text.replace("[[school]]\n", "[[school]]\ndependance = \"01\"\n"));
    let served = Served::start(&home, &FakeLas::answering(feed(PUPILS)));
    let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
    assert!(got.text.contains(":Client.AutorisatieOngeldig<"), "{}", got.text);
    let planted = format!("{ASK}<dependancecode>Jansen</dependancecode>");
    let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", &planted));
    assert!(got.text.contains(":Client.OngeldigBericht<"), "{}", got.text);
    served.stop();
    let withheld = home.leaves().iter().filter(|leaf| leaf.kind == LeafKind::Withheld).count();
    assert_eq!(withheld, 1);
}

/// A receiver in which something is wrong.
struct Panics;

impl Write for Panics {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        panic!("a fault of ours")
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_in_the_middle_is_on_record_as_failed() {
    let home = Home::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = Config::load(&home.path("sluis.toml"), clock.as_ref()).unwrap();
    let log = Log::open(config.log_site(), Arc::clone(&clock)).unwrap();
    let asked = Asked {
        school: config.school("99DE").unwrap(),
        dependance: None,
        recipient: config.recipient("noordzee").unwrap(),
        expected: None,
        transaction: uuid::Uuid::nil(),
        certificate: [0; 32],
    };
    let delivery = Delivery::decide(&config, &Ledger::reading(&config.data), &asked, &clock).unwrap();
    let document = feed(PUPILS);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = disclose(&delivery, &log, document.as_bytes(), None, Panics);
    }));
    assert!(panicked.is_err());
    log.close();
    assert_eq!(home.outcomes(), [OutcomeStatus::Failed]);
}
