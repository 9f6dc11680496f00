//! A pupil administration and a supplier that misbehave, in every phase of an exchange.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use nix::{
    libc::linger,
    sys::socket::{setsockopt, sockopt},
};

use sluis::disclosure::{Leaf, OutcomeStatus};

use super::calls::{LIMITS, PUPILS, Received, assert_clean, assert_intact, pupils};
use crate::{
    home::Home,
    served::{ASK, FakeLas, Served, begin, connect, read_all, read_request, request},
};

/// Has the connection reset when it is closed.
fn reset(stream: &TcpStream) {
    setsockopt(stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
}

/// What a pupil administration does once it has sent so much of an answer.
#[derive(Clone)]
enum Then {
    Dies,
    Resets,
    Says(Vec<u8>),
    Stalls,
}

/// What to send, and what to do then.
type Plan = Arc<Mutex<(Vec<u8>, Then)>>;

/// A pupil administration that does as planned.
fn las(plan: &Plan) -> FakeLas {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let plan = Arc::clone(plan);
    let thread = thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let plan = Arc::clone(&plan);
            thread::spawn(move || {
                if read_request(&mut stream).is_none() {
                    return;
                }
                let (sent, then) = plan.lock().unwrap().clone();
                let _ = stream.write_all(&sent);
                match then {
                    Then::Dies => {}
                    Then::Resets => reset(&stream),
                    Then::Says(more) => drop(stream.write_all(&more)),
                    // Until the gateway has had enough.
                    Then::Stalls => drop(stream.read(&mut [0])),
                }
            });
        }
    });
    FakeLas::at(port, thread)
}

const TYPE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\n";

/// The ways in which an answer says how long it is; each with its bytes, and how many of them are the head.
fn framings(document: &str) -> [(&'static str, Vec<u8>, usize); 3] {
    let chunks: String = document
        .as_bytes()
        .chunks(1000)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()))
        .collect();
    let length = format!("{TYPE}Content-Length: {}\r\n\r\n", document.len());
    let chunked = format!("{TYPE}Transfer-Encoding: chunked\r\n\r\n");
    let closed = format!("{TYPE}Connection: close\r\n\r\n");
    [
        ("a length", format!("{length}{document}").into(), length.len()),
        ("chunks", format!("{chunked}{chunks}0\r\n\r\n").into(), chunked.len()),
        ("its end", format!("{closed}{document}").into(), closed.len()),
    ]
}

/// The beginning of a file that gzip made: were it inflated, there would be no end to it.
const GZIP: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xec, 0xc1, 1, 1, 0, 0, 0, 0x80];

#[test]
fn a_pupil_administration_that_fails_in_any_phase() {
    let home = Home::new();
    let document = pupils();
    let plan: Plan = Arc::new(Mutex::new((Vec::new(), Then::Dies)));
    let served = Served::with(&home, &las(&plan), LIMITS, home.sluis(&["serve"]));
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    let exchange = |sent: &[u8], then: Then| {
        *plan.lock().unwrap() = (sent.to_owned(), then);
        Received::ask(&home, served.gateway, &ask)
    };
    let framings = framings(&document);
    let whole = exchange(&framings[0].1, Then::Dies);
    assert!(whole.whole && whole.pupils() == PUPILS, "{} {}", whole.status, whole.body);
    let judge = |what: &str, got: &Received, may_be_whole: bool| {
        let mut wrong = Vec::new();
        got.judge(&whole.body, &home.leaves(), &mut wrong);
        assert!(wrong.is_empty(), "{what}: {wrong:?}");
        let is_whole = got.status == 200 && got.whole;
        assert!(may_be_whole || !is_whole, "{what}: it looks whole");
        // What was handed to the network and not sent goes down with the connection, the head too: then it has failed.
        let failed = || home.leaves().last().and_then(Leaf::outcome).map(|outcome| outcome.status);
        let told = got.status != 0 || failed() == Some(OutcomeStatus::Failed);
        assert!(told, "{what}: the supplier is told nothing");
        is_whole
    };
    let behaviours = [
        ("dies", Then::Dies),
        ("resets", Then::Resets),
        ("stalls", Then::Stalls),
        ("says HTML", Then::Says(b"<html><body>Storing</body></html>".into())),
        ("says it again", Then::Says(document.clone().into())),
        ("answers again", Then::Says(framings[0].1.clone())),
        ("says what is compressed", Then::Says(GZIP.into())),
    ];
    let (mut rows, mut begun) = (0, 0);
    for (framing, bytes, head) in &framings {
        let end = bytes.len();
        // Before the head, in it, after it, in the first chunk of pupils, after that, before the end, at the end.
        for at in [0, head / 2, *head, head + (end - head) / 4, head + (end - head) * 19 / 20, end - 1, end] {
            for (does, then) in &behaviours {
                let what = format!("{framing}, {does} after {at} of {end}");
                let got = exchange(&bytes[..at], then.clone());
                // Some make a whole answer of it after all: a head with the rest of another, a document after its head.
                let made_whole = match *does {
                    "answers again" => at < *head,
                    "says it again" => at == *head,
                    _ => at == end,
                };
                let is_whole = judge(&what, &got, made_whole || at == end);
                assert!(is_whole || at < end || *does != "dies", "{what}: it was all there");
                rows += 1;
                begun += usize::from(!is_whole && got.pupils() > 0);
            }
        }
    }
    assert!(begun > 20, "{begun} of {rows} broke off in the middle");
    let lies = |head: &str| format!("{TYPE}{head}\r\n\r\n{document}");
    let length = document.len();
    for head in [
        format!("Content-Length: {}", length + 1),
        format!("Content-Length: {}", length + 1_000_000),
        format!("Content-Length: {}", length - 1),
        format!("Content-Length: {}", length / 2),
        "Content-Length: 0".into(),
        "Content-Length: -1".into(),
        "Content-Length: 99999999999999999999999".into(),
        format!("Content-Length: {length}\r\nContent-Length: {}", length - 1),
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        format!("Content-Length: {length}\r\nContent-Encoding: gzip"),
        format!("Content-Length: {length}\r\nContent-Encoding: br"),
        "Transfer-Encoding: gzip".into(),
        "Transfer-Encoding: gzip, chunked".into(),
    ] {
        judge(&head, &exchange(lies(&head).as_bytes(), Then::Dies), false);
    }
    let got = exchange(&framings[1].1, Then::Dies);
    assert!(judge("the next", &got, true), "it serves on: {} {}", got.status, got.body);
    assert_clean("the metrics", &served.operations("/metrics").1, &whole.body);
    assert_clean("what it said", &served.stop(), &whole.body);
    assert_intact(&home);
    println!("{rows} rows, {begun} of them broke off after pupils had left");
}

#[test]
fn a_supplier_that_fails_in_any_phase() {
    let home = Home::new();
    let document = pupils();
    let plan: Plan = Arc::new(Mutex::new((framings(&document)[0].1.clone(), Then::Dies)));
    // Whoever stops in the middle of a request has a place until it has lasted too long.
    let limits = LIMITS
        .replace("exchanges = 4", "exchanges = 64")
        .replace("las_response_ms = 400", "las_response_ms = 20000");
    let served = Served::with(&home, &las(&plan), &limits, home.sluis(&["serve"]));
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    let whole = Received::ask(&home, served.gateway, &ask);
    assert!(whole.whole && whole.pupils() == PUPILS, "{} {}", whole.status, whole.body);
    let head = format!(
        "POST /uwlr HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        ask.len()
    );
    let message = head.clone() + &ask;
    // So many bytes of the request, and whether the answer is waited for. None: not even the handshake.
    let phases = [None, Some((0, false)), Some((head.len() / 2, false)), Some((head.len(), false))]
        .into_iter()
        .chain([Some((message.len() - 1, false)), Some((message.len(), false)), Some((message.len(), true))]);
    let mut held = Vec::new();
    for (phase, reached) in phases.enumerate() {
        for does in ["leaves", "resets", "half-closes", "stops"] {
            let what = format!("{does} in phase {phase}");
            let mut stream = connect(&home, &served, Some("noordzee"));
            let mut bytes = Vec::new();
            match reached {
                // A piece of a handshake.
                None => stream.sock.write_all(&[0x16, 3, 1]).unwrap(),
                Some((length, answered)) => {
                    while stream.conn.is_handshaking() {
                        stream.conn.complete_io(&mut stream.sock).unwrap();
                    }
                    stream.write_all(&message.as_bytes()[..length]).unwrap();
                    stream.flush().unwrap();
                    if answered {
                        bytes = begin(&mut stream);
                    }
                }
            }
            match does {
                "leaves" => drop(stream),
                "resets" => reset(&stream.sock),
                "half-closes" => {
                    stream.sock.shutdown(Shutdown::Write).unwrap();
                    bytes.extend(read_all(&mut stream).into_bytes());
                    let (got, mut wrong) = (Received::parse(&String::from_utf8(bytes).unwrap()), Vec::new());
                    if got.status != 0 {
                        got.judge(&whole.body, &home.leaves(), &mut wrong);
                    }
                    assert!(wrong.is_empty(), "{what}: {wrong:?}");
                }
                // It is there, and takes nothing.
                _ => held.push(stream),
            }
        }
    }
    // All of them are let go of, and only the connection that asks is left.
    served.until("/metrics", "sluis_connections 1");
    let next = Received::ask(&home, served.gateway, &ask);
    assert!(next.whole && next.body == whole.body, "it serves on: {} {}", next.status, next.body);
    drop(held);
    assert_clean("what it said", &served.stop(), &whole.body);
    assert_intact(&home);
}
