//! A collector takes the export, or it is said that it did not; and nothing is ever posted twice.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sluis::tls::DevelopmentCa;

use super::{
    MONDAY, always, deliver,
    export::{export, spans},
};
use crate::{
    documents::feed,
    home::{Home, Ran},
};

/// What a collector does with a request that it has read to its end.
#[derive(Clone, Copy)]
enum Reply {
    /// Status and body.
    Says(&'static str, &'static str),
    HangsUp,
}

use Reply::{HangsUp, Says};

const TAKEN: Reply = Says("200 OK", "{}");

/// A collector on loopback. It replies to requests in turn, to the last as to any that follow, and keeps connections
/// open: what comes when it should not is counted.
struct Collector {
    port: u16,
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    /// Head and body of each request.
    posted: Vec<(String, String)>,
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

impl Collector {
    fn start(tls: Option<ServerConfig>, replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ended = Arc::new(AtomicBool::new(false));
        let (told, tls, replies) = (Arc::clone(&ended), tls.map(Arc::new), replies.to_vec());
        let thread = thread::spawn(move || {
            let mut seen = Seen::default();
            for stream in listener.incoming().map(Result::unwrap) {
                if told.load(SeqCst) {
                    break;
                }
                seen.connections += 1;
                let mut wire: BufReader<Box<dyn Wire>> = BufReader::new(match &tls {
                    None => Box::new(stream),
                    Some(tls) => tls_stream(tls, stream),
                });
                while let Some(request) = read_request(&mut wire) {
                    let reply = replies[seen.posted.len().min(replies.len() - 1)];
                    seen.posted.push(request);
                    let Says(status, body) = reply else { break };
                    let length = body.len();
                    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
                    let _ = wire.get_mut().write_all((head + body).as_bytes());
                    let _ = wire.get_mut().flush();
                }
            }
            seen
        });
        Self { port, ended, thread }
    }

    /// Whatever came, once all that was to come has.
    fn end(self) -> Seen {
        self.ended.store(true, SeqCst);
        TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        self.thread.join().unwrap()
    }
}

fn tls_stream(config: &Arc<ServerConfig>, stream: TcpStream) -> Box<dyn Wire> {
    Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream))
}

/// A whole request; none when the other is done, or went away over our certificate.
fn read_request(wire: &mut impl BufRead) -> Option<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if wire.read_line(&mut head).ok()? == 0 {
            assert_eq!(head, "", "a request that breaks off");
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let (length, _) = lower.split_once("content-length: ").unwrap().1.split_once("\r\n").unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    wire.read_exact(&mut body).unwrap();
    Some((head, String::from_utf8(body).unwrap()))
}

fn server(certificate: &[u8], key: &[u8]) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate).unwrap()],
            PrivateKeyDer::from_pem_slice(key).unwrap(),
        )
        .unwrap()
}

/// A collector with the server's certificate of a working directory, known by its `certs/ca.pem`.
fn of_home(home: &Home, replies: &[Reply]) -> Collector {
    let read = |name: &str| fs::read(home.path(name)).unwrap();
    Collector::start(Some(server(&read("certs/gateway.pem"), &read("certs/gateway.key"))), replies)
}

/// A log whose export takes two requests.
fn home() -> Home {
    let home = Home::new();
    always(&home);
    let many: String = (0..1500)
        .map(|i| format!("<leerling key=\"{}\"><roepnaam>J</roepnaam></leerling>", 300_000 + i))
        .collect();
    deliver(&home, MONDAY, &feed(&format!("<leerlingen>{many}</leerlingen>")));
    home
}

/// Exports to a collector over TLS; gives what came of it on both sides.
fn export_to(home: &Home, collector: Collector) -> (Ran, Seen) {
    let url = format!("https://localhost:{}", collector.port);
    let ran = export(home, "ldv", &["--otlp", &url, "--ca", "certs/ca.pem"]);
    assert_eq!(ran.out, "");
    (ran, collector.end())
}

#[test]
fn a_collector_gets_every_span() {
    let home = home();
    let printed = spans(&export(&home, "ldv", &[]).out);
    assert!(printed.len() > 1500);
    let check = |ran: &Ran, seen: Seen| {
        assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
        assert!(ran.err.contains(&format!("{} spans taken", printed.len())), "{}", ran.err);
        assert_eq!(seen.connections, 1, "the second request goes over the same connection");
        for (head, _) in &seen.posted {
            let json = head.contains("content-type: application/json");
            assert!(head.starts_with("POST /v1/traces HTTP/1.1") && json, "{head}");
        }
        let bodies: Vec<_> = seen.posted.into_iter().map(|(_, body)| body).collect();
        assert_eq!(bodies.len(), 2);
        assert!(bodies.iter().all(|body| spans(body).len() <= 1000));
        assert_eq!(spans(&bodies.join("\n")), printed);
    };
    let replies = [TAKEN, Says("200 OK", "{\"partialSuccess\":{}}")];
    let (ran, seen) = export_to(&home, of_home(&home, &replies));
    check(&ran, seen);
    let plain = Collector::start(None, &replies);
    let ran = export(&home, "ldv", &["--otlp", &format!("http://127.0.0.1:{}", plain.port)]);
    check(&ran, plain.end());
}

#[test]
fn what_a_collector_does_not_take_is_said_and_not_posted_again() {
    let home = home();
    for (replies, posted, expected) in [
        (&[Says("200 OK", "{\"partialSuccess\":{\"rejectedSpans\":\"7\"}}")][..], 1, "rejected 7 of"),
        (&[Says("200 OK", "{\"partialSuccess\":{\"rejectedSpans\":7}}")], 1, "rejected 7 of"),
        (&[TAKEN, Says("200 OK", "{\"partialSuccess\":{\"rejectedSpans\":1}}")], 2, "rejected 1 of"),
        (&[Says("429 Too Many Requests", "")], 1, "status 429"),
        (&[Says("503 Service Unavailable", "")], 1, "status 503"),
        (&[TAKEN, Says("503 Service Unavailable", "")], 2, "status 503"),
        (&[Says("302 Found", "")], 1, "status 302"),
        (&[HangsUp], 1, "broke off"),
        (&[TAKEN, HangsUp], 2, "broke off"),
    ] {
        let (ran, seen) = export_to(&home, of_home(&home, replies));
        assert_eq!(ran.code, 1, "{expected}");
        assert!(ran.err.contains(expected), "{expected} in {}", ran.err);
        assert_eq!((seen.posted.len(), seen.connections), (posted, 1), "{expected}");
        let taken: usize = seen.posted[..posted - 1].iter().map(|(_, body)| spans(body).len()).sum();
        assert!(ran.err.contains(&format!("{taken} spans taken")), "{taken} in {}", ran.err);
    }
}

/// Whoever cannot show that it is the collector gets nothing, not even the first byte of a request.
#[test]
fn a_collector_that_is_not_known_gets_nothing() {
    let home = home();
    let stranger = DevelopmentCa::new().unwrap().server(&["localhost"]).unwrap();
    let stranger = server(stranger.certificate.as_bytes(), stranger.private_key.as_bytes());
    let ca = DevelopmentCa::new().unwrap();
    fs::write(home.path("certs/other-ca.pem"), ca.certificate()).unwrap();
    let misnamed = ca.server(&["elders.example"]).unwrap();
    let misnamed = server(misnamed.certificate.as_bytes(), misnamed.private_key.as_bytes());
    for (config, ca) in [(stranger, "certs/ca.pem"), (misnamed, "certs/other-ca.pem")] {
        let collector = Collector::start(Some(config), &[TAKEN]);
        let url = format!("https://localhost:{}", collector.port);
        let ran = export(&home, "ldv", &["--otlp", &url, "--ca", ca]);
        assert!(ran.code == 1 && ran.err.contains("cannot be reached"), "{}", ran.err);
        let seen = collector.end();
        assert_eq!((seen.posted.len(), seen.connections), (0, 1));
    }
    for (url, more, expected) in [
        ("http://collector.example", &[][..], "loopback only"),
        ("https://collector.example", &[], "--ca"),
        ("http://127.0.0.1:1", &["--ca", "certs/ca.pem"], "goes with https"),
        ("https://127.0.0.1:1", &["--ca", "certs/gateway.key"], "certs/gateway.key"),
        ("ftp://127.0.0.1", &[], "neither http"),
    ] {
        let ran = export(&home, "ldv", &[&["--otlp", url], more].concat());
        assert!(ran.code == 2 && ran.err.contains(expected), "{expected} in {}", ran.err);
    }
    assert_eq!(export(&home, "ldv", &["--otlp", "http://127.0.0.1:1"]).code, 1);
}
