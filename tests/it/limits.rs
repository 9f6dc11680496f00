//! Each bound on what comes from outside, passed; and `docs/limits.md`, which has them all.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Mutex, mpsc},
    thread::sleep,
    time::{Duration, Instant},
};

use sluis::{config::Limits, review::account::Role};

use crate::{
    certs,
    documents::feed,
    home::Home,
    results::inside,
    review::App,
    served::{
        ASK, FakeLas, PUPILS, Served, Tls, attribute, begin, connect, held_back, many_pupils, post, read_all,
        request, send, try_connect, write_xml,
    },
};

/// Nothing but the limit that a test is about ends anything.
const PATIENT: &str = "las_connect_ms = 20000\nlas_response_ms = 60000\nlas_idle_ms = 60000\nheader_read_ms = 60000\n\
     request_read_ms = 600000\nrequest_idle_ms = 60000\nrequest_bytes_per_second = 1\nsend_idle_ms = 60000\n\
     send_bytes_per_second = 1\n";
const WAIT: Duration = Duration::from_secs(20);
/// Between two bytes of somebody who takes his time.
const DRIP: Duration = Duration::from_millis(5);

/// With these limits in place of the patient ones.
fn serve(home: &Home, las: &FakeLas, limits: &str) -> Served {
    let own = |line: &&str| {
        let key = line.split(' ').next().unwrap();
        !limits.lines().any(|own| own.split(' ').next() == Some(key))
    };
    let patient: Vec<&str> = PATIENT.lines().filter(own).collect();
    Served::with(home, las, &format!("{}\n{limits}", patient.join("\n")), home.sluis(&["serve"]))
}

fn get(stream: &mut Tls, path: &str, times: usize) {
    let requests = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(times);
    stream.write_all(requests.as_bytes()).unwrap();
    stream.flush().unwrap();
}

/// So many answers of a connection that stays open, each of a problem document.
fn answers(stream: &mut Tls, count: usize) -> Vec<String> {
    let mut answers = Vec::new();
    while answers.len() < count {
        let mut answer = Vec::new();
        while !answer.ends_with(b"}\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        answers.push(String::from_utf8(answer).unwrap());
    }
    answers
}

fn header<'t>(answer: &'t str, name: &str) -> Option<&'t str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn requests_a_second_are_counted_by_certificate() {
    let home = certs::home();
    let las = FakeLas::answering(feed(PUPILS));
    let limits = "requests_per_second_per_certificate = 1\nrequests_burst_per_certificate = 3";
    let served = serve(&home, &las, limits);
    let began = Instant::now();
    let (mut one, mut two) =
        (connect(&home, &served, Some("noordzee")), connect(&home, &served, Some("noordzee")));
    let mut all = Vec::new();
    for stream in [&mut one, &mut two] {
        get(stream, "/anders", 60);
        all.extend(answers(stream, 60));
    }
    let passed = all.iter().filter(|answer| answer.starts_with("HTTP/1.1 404 ")).count();
    let refused: Vec<&String> = all.iter().filter(|answer| answer.starts_with("HTTP/1.1 429 ")).collect();
    assert_eq!(passed + refused.len(), all.len());
    let most = 3 + usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!((3..=most).contains(&passed), "two connections, one count: {passed} in {most}");
    for answer in &refused {
        assert!(answer.contains("\"code\":\"too-many-requests\""), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
        assert!(header(answer, "fsc-transaction-id").is_some(), "{answer}");
        assert_eq!(header(answer, "retry-after"), Some("1"), "{answer}");
    }
    // Notices and what is refused anyway count as much as questions do.
    get(&mut one, "/notices", 1);
    let answer = answers(&mut one, 1).remove(0);
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("no-store"), "{answer}");
    // A question is not read to find out that there are too many.
    let mut stream = connect(&home, &served, Some("noordzee"));
    write!(stream, "POST /uwlr HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 900\r\n\r\n")
        .unwrap();
    let answer = read_all(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert_eq!(header(&answer, "connection"), Some("close"), "{answer}");
    // Another certificate has a count of its own.
    let mut other = connect(&home, &served, Some("oostzee"));
    get(&mut other, "/anders", 1);
    assert!(answers(&mut other, 1)[0].starts_with("HTTP/1.1 404 "));
    // Whoever comes when told to is served.
    let wait = header(&answer, "retry-after").unwrap().parse().unwrap();
    sleep(Duration::from_secs(wait));
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &request(&home, "leerlinggegevens_verzoek", ASK), "text/xml");
    assert!(read_all(&mut stream).starts_with("HTTP/1.1 200 "));
    let refused = format!("sluis_not_admitted_total{{reason=\"too_many_requests\"}} {}", refused.len() + 2);
    assert!(served.operations("/metrics").1.contains(&refused), "{refused}");
    let said = served.stop();
    let lines: Vec<&str> =
        said.split("{\"timestamp\"").filter(|line| line.contains("too many requests")).collect();
    let most = 1 + usize::try_from(began.elapsed().as_secs() / 10).unwrap();
    assert!((1..=most).contains(&lines.len()), "{} lines", lines.len());
    assert!(lines[0].contains("noordzee"), "{}", lines[0]);
    assert!(said.matches("\"outcome\"").count() < 20, "what is refused has no line of its own");
}

/// A pupil administration that holds every answer until it is told, and says that it was asked.
fn held_las() -> (FakeLas, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (asked, asks) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let (asked, held) = (Mutex::new(asked), Mutex::new(held));
    let las = FakeLas::at_once(move |_, stream| {
        let _ = asked.lock().unwrap().send(());
        let _ = held.lock().unwrap().recv();
        write_xml(stream, &feed(PUPILS));
    });
    (las, asks, release)
}

fn ask(home: &Home, served: &Served, client: &str, version: &str) -> Tls {
    let body = request(home, "leerlinggegevens_verzoek", &ASK.replace(">2.2<", &format!(">{version}<")));
    let mut stream = connect(home, served, Some(client));
    send(&mut stream, &body, "text/xml");
    stream
}

#[test]
fn exchanges_at_once_have_a_queue_with_an_end() {
    let home = certs::home();
    let (las, asks, release) = held_las();
    let served = serve(&home, &las, "exchanges = 1\nqueue = 4\nqueue_per_certificate = 2\nqueue_ms = 600000");
    let waiting = |count: usize| served.until("/metrics", &format!("sluis_queue {count}\n"));
    let first = ask(&home, &served, "noordzee", "2.0");
    asks.recv_timeout(WAIT).unwrap();
    // One that waits with a large body, of which nothing is read, and one behind it.
    let mut leaves = connect(&home, &served, Some("noordzee"));
    write!(
        leaves,
        "POST /uwlr HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 300000\r\n\r\n{}",
        "x".repeat(50_000)
    )
    .unwrap();
    leaves.flush().unwrap();
    waiting(1);
    let second = ask(&home, &served, "noordzee", "2.1");
    waiting(2);
    let mut refused = ask(&home, &served, "noordzee", "2.2");
    let answer = read_all(&mut refused);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"code\":\"busy\""), "{answer}");
    assert_eq!((header(&answer, "retry-after"), header(&answer, "connection")), (Some("5"), Some("close")));
    served.until("/metrics", "sluis_not_admitted_total{reason=\"certificate_queue_full\"} 1");
    let third = ask(&home, &served, "oostzee", "2.3");
    waiting(3);
    let fourth = ask(&home, &served, "oostzee", "2.4");
    waiting(4);
    let mut refused = ask(&home, &served, "westzee", "2.2");
    let answer = read_all(&mut refused);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"code\":\"busy\""), "{answer}");
    served.until("/metrics", "sluis_not_admitted_total{reason=\"queue_full\"} 1");
    // Its place in the queue is free once it has gone.
    drop(leaves);
    waiting(3);
    served.until("/metrics", "sluis_not_admitted_total{reason=\"gone\"} 1");
    let fifth = ask(&home, &served, "westzee", "2.5");
    waiting(4);
    for _ in 0..5 {
        release.send(()).unwrap();
    }
    for mut stream in [first, second, third, fourth, fifth] {
        assert!(read_all(&mut stream).starts_with("HTTP/1.1 200 "));
    }
    let asked = las.requests.lock().unwrap().clone();
    let order: Vec<&str> = asked
        .iter()
        .map(|text| text.split_once("<xsdversie>").unwrap().1.split_once('<').unwrap().0)
        .collect();
    assert_eq!(order, ["2.0", "2.1", "2.3", "2.4", "2.5"], "first come, first served");
    let metrics = served.operations("/metrics").1;
    assert!(
        metrics.contains("sluis_queue 0\n") && metrics.contains("sluis_queue_seconds_count 5\n"),
        "{metrics}"
    );
    served.stop();
}

#[test]
fn whoever_waits_is_told_when_it_takes_too_long_or_when_sluis_stops() {
    let home = Home::new();
    let (las, asks, release) = held_las();
    let served = serve(&home, &las, "exchanges = 1\nqueue_ms = 50");
    let first = ask(&home, &served, "noordzee", "2.2");
    asks.recv_timeout(WAIT).unwrap();
    let answer = read_all(&mut ask(&home, &served, "noordzee", "2.2"));
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"code\":\"busy\""), "{answer}");
    assert!(served.operations("/metrics").1.contains("sluis_not_admitted_total{reason=\"busy\"} 1"));
    home.edit("sluis.toml", |text| text.replace("queue_ms = 50", "queue_ms = 600000"));
    served.signal("-HUP");
    served.wait_for("configuration reloaded");
    let mut second = ask(&home, &served, "noordzee", "2.2");
    served.until("/metrics", "sluis_queue 1\n");
    served.signal("-TERM");
    let answer = read_all(&mut second);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"code\":\"stopping\""), "{answer}");
    assert!(header(&answer, "retry-after").is_some(), "{answer}");
    release.send(()).unwrap();
    let mut first = first;
    assert!(read_all(&mut first).starts_with("HTTP/1.1 200 "), "what was under way ends");
    served.stop();
}

/// Sends a body a byte at a time, and gives the answer.
fn drip(home: &Home, served: &Served, body: &[u8], said: usize) -> String {
    let mut stream = connect(home, served, Some("noordzee"));
    write!(stream, "POST /uwlr HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: {said}\r\nConnection: close\r\n\r\n")
        .unwrap();
    stream.sock.set_read_timeout(Some(DRIP)).unwrap();
    let mut answer = Vec::new();
    for byte in body {
        let sent = stream.write_all(&[*byte]).and_then(|()| stream.flush());
        let mut part = [0; 4096];
        match sent.and_then(|()| stream.read(&mut part)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(read) => {
                answer.extend_from_slice(&part[..read]);
                break;
            }
            Err(_) => break,
        }
    }
    stream.sock.set_read_timeout(Some(WAIT)).unwrap();
    String::from_utf8(answer).unwrap() + &read_all(&mut stream)
}

#[test]
fn a_body_comes_in_time_and_at_a_pace() {
    let good = |home: &Home| request(home, "leerlinggegevens_verzoek", ASK);
    for (what, limits, whole) in [
        ("far too slow", "request_idle_ms = 300\nrequest_bytes_per_second = 100000", true),
        ("nothing more", "request_idle_ms = 300", false),
        ("too long all together", "request_read_ms = 500", true),
    ] {
        let home = Home::new();
        let las = FakeLas::answering(feed(PUPILS));
        let served = serve(&home, &las, limits);
        let body = good(&home);
        // Long enough that it cannot all have come while nobody looked.
        let long = format!("{body}<!--{}-->", "x".repeat(3000));
        let answer = match whole {
            true => drip(&home, &served, long.as_bytes(), long.len()),
            false => drip(&home, &served, b"<s:Envelope", body.len()),
        };
        assert!(answer.starts_with("HTTP/1.1 408 "), "{what}: {answer}");
        assert!(answer.contains("\"code\":\"request-too-slow\""), "{what}: {answer}");
        assert_eq!(header(&answer, "connection"), Some("close"), "{what}");
        assert!(las.requests.lock().unwrap().is_empty());
        assert_eq!(post(&home, &served, &body).status, 200, "{what}: others are served");
        served.stop();
    }
    let home = Home::new();
    let served = serve(&home, &FakeLas::answering(feed(PUPILS)), "");
    let body = good(&home);
    let answer = drip(&home, &served, body.as_bytes(), body.len());
    assert!(answer.starts_with("HTTP/1.1 200 "), "slow, but within the limits: {answer}");
    served.stop();
}

#[test]
fn an_answer_is_taken_at_a_pace() {
    let home = Home::new();
    let pupils: String = (0..12_000)
        .map(|i| format!("<leerling key=\"{}\"><roepnaam>Jip</roepnaam></leerling>", 200_000 + i))
        .collect();
    let document = feed(&format!("<leerlingen>{pupils}</leerlingen>"));
    let las = FakeLas::at_once(move |_, stream| write_xml(stream, &document));
    let served = serve(&home, &las, "send_idle_ms = 1000\nsend_bytes_per_second = 1000000000");
    let mut stream = connect(&home, &served, Some("noordzee"));
    // What the kernel takes of it tells nothing.
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream.sock, 16 * 1024).unwrap();
    send(&mut stream, &request(&home, "leerlinggegevens_verzoek", ASK), "text/xml");
    let mut text = begin(&mut stream);
    // Never as long as it may take nothing, and never as fast as it must.
    let mut part = [0; 16 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut part) {
        text.extend_from_slice(&part[..read]);
        sleep(12 * DRIP);
    }
    assert!(!text.ends_with(b"\r\n0\r\n\r\n"), "it is broken off after {} bytes", text.len());
    served
        .until("/metrics", "sluis_exchanges_total{operation=\"HaalLeerlinggegevens\",outcome=\"failed\"} 1");
    served.stop();
    assert_eq!(home.outcomes(), [sluis::disclosure::OutcomeStatus::Failed]);
}

#[test]
fn only_results_may_be_long() {
    let home = Home::new();
    let las = FakeLas::at_once(|request, stream| {
        if request.contains("leerresultaten_verzoek") {
            let bevestiging = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
                 <leerresultaten_bevestiging xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerresultaten\"/>\
                 </s:Body></s:Envelope>";
            write_xml(stream, bevestiging);
        } else {
            write_xml(stream, &feed(PUPILS));
        }
    });
    let served = serve(&home, &las, "data_request_bytes = 8192\nrequest_bytes = 200000");
    let good = request(&home, "leerlinggegevens_verzoek", ASK);
    let got = post(&home, &served, &good);
    let pupil = attribute(&got.text, "leerling", "key").to_owned();
    let before = las.requests.lock().unwrap().len();
    // Its length is not said, and most of it is never sent: it need not be, to be refused.
    let long = good.replace("<schooljaar>", &format!("<!--{}--><schooljaar>", "x".repeat(20_000)));
    let mut stream = connect(&home, &served, Some("noordzee"));
    write!(
        stream,
        "POST /uwlr HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nSOAPAction: BrengLeerresultaten\r\n\
         Transfer-Encoding: chunked\r\n\r\n186A0\r\n{}",
        &long[..10_000]
    )
    .unwrap();
    stream.flush().unwrap();
    let answer = read_all(&mut stream);
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"code\":\"request-too-large\""),
        "{answer}"
    );
    assert_eq!(las.requests.lock().unwrap().len(), before);
    let results = |padding: usize| {
        let text = inside(&pupil)
            .replace("<toetsafnames>", &format!("<!--{}--><toetsafnames>", "x".repeat(padding)));
        request(&home, "leerresultaten_verzoek", &text)
    };
    let got = post(&home, &served, &results(50_000));
    assert_eq!(got.status, 200, "{}", got.text);
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &results(250_000), "text/xml");
    let answer = read_all(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Notices are asked for without a word.
    let mut stream = connect(&home, &served, Some("noordzee"));
    write!(stream, "GET /notices HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n").unwrap();
    assert!(read_all(&mut stream).starts_with("HTTP/1.1 400 "));
    served.stop();
}

#[test]
fn nothing_compressed_is_taken() {
    let home = Home::new();
    let las = FakeLas::answering(feed(PUPILS));
    let served = serve(&home, &las, "");
    let good = request(&home, "leerlinggegevens_verzoek", ASK);
    let length = format!("Content-Length: {}", good.len());
    let chunked = format!("{:x}\r\n{good}\r\n0\r\n\r\n", good.len());
    for (headers, body, status) in [
        (format!("{length}\r\nContent-Encoding: gzip"), &good, "415"),
        (format!("{length}\r\nContent-Encoding: identity\r\nContent-Encoding: gzip"), &good, "415"),
        (format!("{length}\r\nContent-Encoding: identity, br"), &good, "415"),
        (format!("{length}\r\nContent-Encoding: Identity"), &good, "200"),
        ("Transfer-Encoding: gzip, chunked".into(), &chunked, "501"),
        ("Transfer-Encoding: chunked".into(), &chunked, "200"),
    ] {
        let before = las.requests.lock().unwrap().len();
        let mut stream = connect(&home, &served, Some("noordzee"));
        write!(stream, "POST /uwlr HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\n{headers}\r\nConnection: close\r\n\r\n{body}")
            .unwrap();
        let answer = read_all(&mut stream);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
        let asked = las.requests.lock().unwrap().len() - before;
        assert_eq!(asked, usize::from(status == "200"), "{headers}");
        if status == "415" {
            assert!(answer.contains("\"code\":\"compressed-request\""), "{answer}");
            assert_eq!(header(&answer, "accept-encoding"), Some("identity"), "{answer}");
        }
    }
    served.stop();

    let document = feed(PUPILS);
    let length = format!("Content-Length: {}", document.len());
    let chunked = format!("{:x}\r\n{document}\r\n0\r\n\r\n", document.len());
    let cases = [
        (format!("{length}\r\nContent-Encoding: gzip"), document.clone(), false),
        (
            format!("{length}\r\nContent-Encoding: identity\r\nContent-Encoding: gzip"),
            document.clone(),
            false,
        ),
        (format!("{length}\r\nContent-Encoding: identity, deflate"), document.clone(), false),
        ("Transfer-Encoding: gzip, chunked".into(), chunked.clone(), false),
        ("Transfer-Encoding: gzip".into(), document.clone(), false),
        (format!("{length}\r\nContent-Encoding: Identity"), document.clone(), true),
        ("Transfer-Encoding: chunked".into(), chunked, true),
    ];
    let home = Home::new();
    let mut turn = cases.clone().into_iter();
    let las = FakeLas::new(Box::new(move |_, stream| {
        let (headers, body, _) = turn.next().unwrap();
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n{headers}\r\nConnection: close\r\n\r\n{body}"
        );
    }));
    let served = serve(&home, &las, "");
    let good = request(&home, "leerlinggegevens_verzoek", ASK);
    for (headers, _, whole) in cases {
        let got = post(&home, &served, &good);
        assert_eq!(got.status, if whole { 200 } else { 500 }, "{headers}: {}", got.text);
        assert_eq!(got.text.contains("TijdelijkNietBeschikbaar"), !whole, "{headers}");
    }
    served.stop();
}

/// Whether the other side has closed a connection that is written to a byte at a time.
fn is_left(stream: &mut (impl Read + Write), byte: u8) -> bool {
    for _ in 0..2000 {
        if stream.write_all(&[byte]).and_then(|()| stream.flush()).is_err() {
            return true;
        }
        sleep(DRIP);
    }
    false
}

#[test]
fn a_head_is_there_in_time_however_it_comes() {
    let home = Home::new();
    let served = serve(&home, &FakeLas::answering(feed(PUPILS)), "header_read_ms = 1000");
    // A handshake: the beginning of a ClientHello that never ends.
    let mut stream = TcpStream::connect(("127.0.0.1", served.gateway)).unwrap();
    stream.write_all(&[0x16, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3]).unwrap();
    assert!(is_left(&mut stream, 0), "a handshake that drips");
    served.until("/metrics", "sluis_connection_refusals_total{reason=\"handshake\"} 1");
    // A head of which a byte comes more often than any idle time could tell.
    let mut stream = connect(&home, &served, Some("noordzee"));
    write!(stream, "GET /anders HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
    assert!(is_left(&mut stream, b'x'), "a head that drips");
    served.until("/metrics", "sluis_connection_refusals_total{reason=\"late\"} 1");
    // The next request of a connection that stays open, and one that never comes.
    let mut stream = connect(&home, &served, Some("noordzee"));
    get(&mut stream, "/anders", 1);
    answers(&mut stream, 1);
    write!(stream, "GET /anders HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
    assert!(is_left(&mut stream, b'x'), "the second head that drips");
    let mut stream = connect(&home, &served, Some("noordzee"));
    get(&mut stream, "/anders", 1);
    answers(&mut stream, 1);
    assert_eq!(read_all(&mut stream), "", "nothing more is said");
    served.until("/metrics", "sluis_connection_refusals_total{reason=\"late\"} 3");
    served.stop();
}

#[test]
fn a_head_and_a_chain_of_certificates_have_a_size() {
    let home = Home::new();
    let served = serve(&home, &FakeLas::answering(feed(PUPILS)), "");
    let long = "x".repeat(70_000);
    for (what, head, statuses) in [
        (
            "many headers",
            format!("GET /anders HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(65)),
            ["431", "431"],
        ),
        ("a long header", format!("GET /anders HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"), ["431", "431"]),
        ("a long address", format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), ["414", "431"]),
    ] {
        let mut stream = connect(&home, &served, Some("noordzee"));
        stream.write_all(head.as_bytes()).unwrap();
        let answer = read_all(&mut stream);
        assert!(statuses.contains(&&answer[9..12]), "{what}: {answer}");
    }
    served.until("/metrics", "sluis_connection_refusals_total{reason=\"framing\"} 3");
    home.edit("certs/noordzee.pem", |own| {
        own + &fs::read_to_string(home.path("certs/ca.pem")).unwrap().repeat(200)
    });
    let mut stream = connect(&home, &served, Some("noordzee"));
    let _ = write!(stream, "GET /anders HTTP/1.1\r\nHost: x\r\n\r\n").and_then(|()| stream.flush());
    assert_eq!(read_all(&mut stream), "", "a chain of 200 certificates");
    served.until("/metrics", "sluis_connection_refusals_total{reason=\"handshake\"} 1");
    served.stop();
}

#[test]
fn what_stands_between_and_after_chunks_has_a_size() {
    let home = Home::new();
    let las = FakeLas::answering(feed(PUPILS));
    let served = serve(&home, &las, "");
    let good = request(&home, "leerlinggegevens_verzoek", ASK);
    let size = format!("{:x}", good.len());
    let long = "x".repeat(20_000);
    for (what, body, taken) in [
        ("nothing", format!("{size}\r\n{good}\r\n0\r\n\r\n"), true),
        ("an extension", format!("{size};a={long}\r\n{good}\r\n0\r\n\r\n"), false),
        ("a trailer", format!("{size}\r\n{good}\r\n0\r\nX: {long}\r\n\r\n"), false),
    ] {
        let before = las.requests.lock().unwrap().len();
        let mut stream = connect(&home, &served, Some("noordzee"));
        write!(
            stream,
            "POST /uwlr HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\
             Connection: close\r\n\r\n{body}"
        )
        .unwrap();
        let answer = read_all(&mut stream);
        assert_eq!(&answer[9..12], if taken { "200" } else { "400" }, "{what}: {answer}");
        assert_eq!(las.requests.lock().unwrap().len() - before, usize::from(taken), "{what}");
    }
    served.stop();
}

#[test]
fn strangers_leave_no_lines() {
    let home = Home::new();
    let served = serve(&home, &FakeLas::answering(feed(PUPILS)), "");
    served.wait_for("keys in force");
    for _ in 0..20 {
        let mut stream = connect(&home, &served, None);
        let _ = write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").and_then(|()| stream.flush());
        assert_eq!(read_all(&mut stream), "");
        let mut plain = TcpStream::connect(("127.0.0.1", served.gateway)).unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let _ = plain.read_to_end(&mut Vec::new());
    }
    served.until("/metrics", "sluis_connection_refusals_total{reason=\"handshake\"} 40");
    let said = served.stop();
    assert!(said.matches("{\"timestamp\"").count() < 10, "forty refusals are counted, not told: {said}");
}

#[test]
fn documents_have_bounds() {
    let pupil =
        |inside: &str| feed(&format!("<leerlingen><leerling key=\"1\">{inside}</leerling></leerlingen>"));
    let two = "<leerlingen><leerling key=\"1\"><roepnaam>Jip</roepnaam></leerling><leerling key=\"2\"><roepnaam>Jan\
               </roepnaam></leerling></leerlingen>";
    let attributes: String = (0..9).map(|i| format!(" a{i}=\"1\"")).collect();
    let long = |name: &str, bytes: usize| format!("<{name}>{}</{name}>", "x".repeat(bytes));
    for (limit, document, said) in [
        ("depth = 8", pupil(&format!("{}{}", "<x>".repeat(5), "</x>".repeat(5))), "limits.depth"),
        ("name_bytes = 32", pupil(&format!("<{0}/>", "x".repeat(40))), "limits.name_bytes"),
        ("attributes = 8", pupil(&format!("<x{attributes}/>")), "limits.attributes"),
        ("text_bytes = 1024", pupil(&long("roepnaam", 1100)), "limits.text_bytes"),
        ("text_bytes = 1024", pupil(&format!("<!--{}-->", "x".repeat(100_000))), "limits.text_bytes"),
        ("total_bytes = 65536", pupil(&"<x/>".repeat(20_000)), "limits.total_bytes"),
        ("records = 2", feed(two), "limits.records"),
        (
            "record_bytes = 16384",
            pupil(&[long("achternaam", 12_000), long("roepnaam", 12_000)].concat()),
            "limits.record_bytes",
        ),
        ("depth = 32", format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{}", pupil("")), "DOCTYPE"),
        ("depth = 32", pupil("<roepnaam>&a;</roepnaam>"), "entity"),
    ] {
        let home = Home::new();
        home.edit("sluis.toml", |text| {
            text.replace("[pseudonym]", &format!("[limits]\n{limit}\n\n[pseudonym]"))
        });
        assert_eq!(home.minimise("99DE", pupil("<roepnaam>Jip</roepnaam>").as_bytes()).code, 0, "{limit}");
        let ran = home.minimise("99DE", document.as_bytes());
        assert!(ran.code != 0 && ran.out.is_empty() && ran.err.contains(said), "{limit}: {}", ran.err);
    }
    // Requests are held to the same.
    let home = Home::new();
    let las = FakeLas::answering(feed(PUPILS));
    let served = serve(&home, &las, "depth = 8\nattributes = 8\nname_bytes = 32\ntext_bytes = 1024");
    for inside in [
        format!("{}{}", "<x>".repeat(9), "</x>".repeat(9)),
        format!("<x{attributes}/>"),
        format!("<{0}/>", "x".repeat(40)),
        long("x", 100_000),
        "<x>&a;</x>".into(),
    ] {
        let got =
            post(&home, &served, &request(&home, "leerlinggegevens_verzoek", &format!("{ASK}{inside}")));
        assert!(got.text.contains(":Client.OngeldigBericht<"), "{inside}: {}", got.text);
    }
    assert!(las.requests.lock().unwrap().is_empty());
    served.stop();
}

#[test]
fn a_pupil_administration_has_its_bounds_too() {
    // It takes the connection, and never says a word of TLS.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::new();
    let las = FakeLas::answering(String::new());
    Served::configure(&home, &las, "las_connect_ms = 200\n");
    let silent_port = silent.local_addr().unwrap().port();
    home.edit("sluis.toml", |text| {
        let plain = format!("\"http://127.0.0.1:{}/uwlr\"", las.port);
        text.replace(&plain, &format!("\"https://127.0.0.1:{silent_port}/uwlr\", ca = \"certs/ca.pem\""))
    });
    let served = Served::spawn(home.sluis(&["serve"]));
    let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
    assert!(got.text.contains(":Server.TijdelijkNietBeschikbaar<"), "{}", got.text);
    assert!(served.operations("/metrics").1.contains("sluis_las_errors_total{kind=\"connect\"} 1"));
    served.stop();

    let document = many_pupils();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        document.len()
    );
    for (what, limits, drips) in [
        ("it stops", "las_idle_ms = 200", false),
        ("it drips", "las_idle_ms = 300\nlas_bytes_per_second = 1000000", true),
        ("all of it takes too long", "exchange_ms = 500", true),
    ] {
        let home = Home::new();
        let (head, document) = (head.clone(), document.clone());
        let (left, leaves) = mpsc::channel();
        let las = FakeLas::new(Box::new(move |_, stream| {
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&document.as_bytes()[..1000]);
            if drips {
                for byte in &document.as_bytes()[1000..] {
                    if stream.write_all(&[*byte]).is_err() {
                        break;
                    }
                    sleep(DRIP);
                }
            } else {
                let _ = stream.read(&mut [0]);
            }
            let _ = left.send(());
        }));
        let served = serve(&home, &las, limits);
        let got = post(&home, &served, &request(&home, "leerlinggegevens_verzoek", ASK));
        assert!(got.text.contains(":Server.TijdelijkNietBeschikbaar<"), "{what}: {}", got.text);
        leaves.recv_timeout(WAIT).unwrap_or_else(|_| panic!("{what}: it is left"));
        served.stop();
    }
}

#[test]
fn what_does_not_end_when_sluis_stops_is_cut() {
    let home = Home::new();
    let document = many_pupils();
    let (las, _release) = held_back(document.clone(), document.len() - 200);
    let served = serve(&home, &las, "drain_ms = 100");
    let mut stream = ask(&home, &served, "noordzee", "2.2");
    let mut text = begin(&mut stream);
    let said = served.stop();
    let _ = stream.read_to_end(&mut text);
    assert!(!text.ends_with(b"\r\n0\r\n\r\n"), "it does not look whole");
    assert!(said.contains("exchanges that did not end in time are cut"), "{said}");
    assert_eq!(home.outcomes(), [sluis::disclosure::OutcomeStatus::Failed]);
}

#[test]
fn connections_at_once_have_an_end() {
    let home = Home::new();
    let served = serve(&home, &FakeLas::answering(feed(PUPILS)), "connections = 2");
    let mut open: Vec<Tls> = (0..2).map(|_| connect(&home, &served, Some("noordzee"))).collect();
    for stream in &mut open {
        get(stream, "/anders", 1);
        answers(stream, 1);
    }
    // The kernel takes it; Sluis does not, until another has ended.
    let mut third = try_connect(&home, served.gateway, Some("noordzee")).unwrap();
    third.sock.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.write_all(b"GET").is_err(), "no handshake is answered");
    assert!(served.operations("/metrics").1.contains("sluis_connections 3\n"), "two, and the one that asks");
    open.pop();
    third.sock.set_read_timeout(Some(WAIT)).unwrap();
    get(&mut third, "/anders", 1);
    assert!(answers(&mut third, 1)[0].starts_with("HTTP/1.1 404 "));
    served.stop();
}

#[test]
fn the_review_app_reads_little_of_strangers_and_few_fields_of_anyone() {
    let app = App::start();
    app.add("anna", Role::Fg, &[]);
    let (client, stranger) = (app.enter("anna"), app.stranger());
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let large = vec![b'x'; 70 << 10];
    assert_eq!(stranger.ask("POST", "/inloggen", &[kind], &large).status, 413);
    assert_eq!(
        client.ask("POST", "/leerling", &[kind], &large).status,
        403,
        "it is read: a token is what is missing"
    );
    let many = "a=&".repeat(5000);
    let got = client.ask("POST", "/leerling", &[kind], many.as_bytes());
    assert!(got.status == 413 && got.text().contains("\"too-many-fields\""), "{}", got.text());
    assert_eq!(client.get(&format!("/verstrekkingen?{}", "a&".repeat(5000))).status, 413);
    // A form that never comes whole is not waited for.
    let got = stranger.ask("PUT", "/inloggen", &[kind, ("Content-Length", "100")], b"");
    assert!(got.status == 408 && got.text().contains("\"body-too-slow\""), "{}", got.text());
    let school = app.someone("bea", Role::Beheerder, &[]);
    let text = "x".repeat(65 * 1024);
    assert_eq!(school.form("/overeenkomst", &[("tekst", &text)]).status, 400);
    assert_eq!(
        school.form("/overeenkomst", &[("tekst", &text[..1024])]).status,
        200,
        "no agreement, but read"
    );
    app.stop();
}

/// The row of a key, cell by cell.
fn row<'d>(document: &'d str, key: &str) -> Option<Vec<&'d str>> {
    let begin = format!("| `{key}` |");
    let line = document.lines().find(|line| line.starts_with(&begin))?;
    Some(line.trim_matches('|').split(" | ").map(str::trim).collect())
}

/// Every key of `[limits]` has a row in the documentation, with the default of the code and a test that exists; so has
/// it in the schema, and neither has another.
#[test]
fn the_table_is_that_of_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let document = read("docs/limits.md");
    let schema: serde_json::Value = serde_json::from_str(&read("schemas/sluis.schema.json")).unwrap();
    let listed = schema["properties"]["limits"]["properties"].as_object().unwrap();
    let mut tests = String::new();
    let mut folders = vec![root.join("tests/it"), root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                tests += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let digits = |cell: &str| -> String {
        cell.split([' ', '(']).next().unwrap().chars().filter(char::is_ascii_digit).collect()
    };
    for (key, default, least, most) in Limits::KEYS {
        let own = &listed.get(*key).unwrap_or_else(|| panic!("the schema lacks {key}"));
        let of_schema = ["default", "minimum", "maximum"].map(|what| own[what].as_u64().unwrap());
        assert_eq!(of_schema, [*default, *least, *most], "{key} in the schema");
        let cells = row(&document, key).unwrap_or_else(|| panic!("docs/limits.md has no row for {key}"));
        assert_eq!(cells.len(), 6, "{key}: {cells:?}");
        assert_eq!(digits(cells[1]), default.to_string(), "{key} in docs/limits.md");
        let named = cells[5].split('`').skip(1).step_by(2);
        assert!(named.clone().count() > 0, "{key} has no test");
        for test in named {
            assert!(tests.contains(&format!("fn {test}(")), "{key}: there is no test {test}");
        }
    }
    assert_eq!(listed.len(), Limits::KEYS.len(), "the schema has a key that the code has not");
    // Rows of constants name tests too.
    for line in document.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| limit")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        for test in cells.last().unwrap().split('`').skip(1).step_by(2) {
            assert!(tests.contains(&format!("fn {test}(")), "there is no test {test}: {line}");
        }
    }
}
