//! A collector takes the export, or it is said that it did not.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    thread,
};

use super::{
    MONDAY, always, deliver,
    export::{export, spans},
};
use crate::{documents::feed, home::Home};

/// A collector that answers each request in turn, and gives what it was posted.
fn collector(
    answers: Vec<(&'static str, &'static str)>,
) -> (String, thread::JoinHandle<Vec<(String, String)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let mut posted = Vec::new();
        for (status, answer) in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
            }
            let length = head
                .to_ascii_lowercase()
                .split("content-length: ")
                .nth(1)
                .map(|rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            let mut body = vec![0; length.unwrap()];
            reader.read_exact(&mut body).unwrap();
            posted.push((head, String::from_utf8(body).unwrap()));
            let length = answer.len();
            write!(
                reader.into_inner(),
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
            )
            .unwrap();
        }
        posted
    });
    (url, thread)
}

#[test]
fn a_collector_gets_every_span_or_it_is_said() {
    let home = Home::new();
    always(&home);
    let many: String = (0..1500)
        .map(|i| format!("<leerling key=\"{}\"><roepnaam>J</roepnaam></leerling>", 300_000 + i))
        .collect();
    deliver(&home, MONDAY, &feed(&format!("<leerlingen>{many}</leerlingen>")));
    let printed = spans(&export(&home, "ldv", &[]).out);
    assert!(printed.len() > 1500);

    let (url, thread) = collector(vec![("200 OK", "{}"), ("200 OK", "{\"partialSuccess\":{}}")]);
    let ran = export(&home, "ldv", &["--otlp", &url]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    assert!(ran.err.contains(&format!("{} spans taken", printed.len())), "{}", ran.err);
    let posted = thread.join().unwrap();
    for (head, _) in &posted {
        assert!(head.starts_with("POST /v1/traces HTTP/1.1") && head.contains("application/json"), "{head}");
    }
    let bodies: Vec<_> = posted.into_iter().map(|(_, body)| body).collect();
    assert_eq!(spans(&bodies.join("\n")), printed);
    assert!(bodies.iter().all(|body| spans(body).len() <= 1000));

    for (status, answer, expected) in [
        ("200 OK", "{\"partialSuccess\":{\"rejectedSpans\":\"7\"}}", "rejected 7 of"),
        ("200 OK", "{\"partialSuccess\":{\"rejectedSpans\":7}}", "rejected 7 of"),
        ("503 Service Unavailable", "", "status 503"),
        ("302 Found", "", "status 302"),
    ] {
        // One request: what failed is not tried again, and nothing follows it.
        let (url, thread) = collector(vec![(status, answer)]);
        let ran = export(&home, "ldv", &["--otlp", &url]);
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains(expected), "{expected} in {}", ran.err);
        assert_eq!(thread.join().unwrap().len(), 1);
    }
    for (url, expected) in [
        ("http://collector.example", "loopback only"),
        ("https://collector.example", "--ca"),
        ("ftp://127.0.0.1", "neither http"),
    ] {
        let ran = export(&home, "ldv", &["--otlp", url]);
        assert!(ran.code == 2 && ran.err.contains(expected), "{}", ran.err);
    }
    assert_eq!(export(&home, "ldv", &["--otlp", "http://127.0.0.1:1"]).code, 1);
}
