//! Messages that two readers may take differently (`tests/framing/`), on every port of the real binary, and from a pupil
//! administration; and connections to one, which serve one school and one recipient.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
};

use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use sluis::{
    clock::SystemClock,
    disclosure::{LeafKind, OutcomeStatus},
    tls,
};

use crate::{
    documents::feed,
    home::Home,
    served::{ASK, FakeLas, PUPILS, Served, post, read_all, read_request, request, send, try_connect},
};

/// One of the corpus.
struct Case {
    name: String,
    keys: HashMap<String, String>,
    message: Vec<u8>,
}

impl Case {
    fn key(&self, key: &str) -> &str {
        self.keys.get(key).map_or("", String::as_str)
    }
}

/// All cases of a file, in which `\{word}` stands for one of `words`.
fn corpus(file: &str, words: &[(&str, String)]) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/framing").join(file);
    let text = fs::read_to_string(path).unwrap();
    let cases = text.strip_prefix("== ").unwrap().split("\n\n== ").map(|case| {
        let (head, message) = case.split_once("\n\n").unwrap_or_else(|| panic!("no message: {case}"));
        let (name, keys) = head.split_once('\n').unwrap();
        let keys = keys.lines().map(|line| {
            let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("{name}: {line}"));
            assert!(["alone", "answers", "ends", "kind", "on", "why"].contains(&key), "{name}: {key}");
            (key.to_owned(), value.trim().to_owned())
        });
        let (name, keys) = (name.to_owned(), HashMap::from_iter(keys));
        Case { name, keys, message: unescape(&message.replace('\n', ""), words) }
    });
    let cases: Vec<_> = cases.collect();
    assert_eq!(cases.len(), text.lines().filter(|line| line.starts_with("== ")).count(), "all are read");
    let names: HashSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "no name is there twice");
    assert!(cases.iter().all(|case| !case.key("why").is_empty()));
    cases
}

fn unescape(text: &str, words: &[(&str, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (what, mut after) = after.split_at(1);
        match what {
            "r" => bytes.push(b'\r'),
            "n" => bytes.push(b'\n'),
            "t" => bytes.push(b'\t'),
            "0" => bytes.push(0),
            "\\" => bytes.push(b'\\'),
            "x" => {
                let (digits, then) = after.split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                after = then;
            }
            "{" => {
                let (inside, then) = after.split_once('}').unwrap();
                match inside.split_once(' ') {
                    Some((times, what)) => {
                        bytes.extend(unescape(what, words).repeat(times.parse().unwrap()));
                    }
                    None => {
                        let word = words.iter().find(|(word, _)| *word == inside);
                        bytes.extend_from_slice(word.unwrap_or_else(|| panic!("{inside}")).1.as_bytes());
                    }
                }
                after = then;
            }
            _ => panic!("an escape that is none: \\{what}"),
        }
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// A port of the gateway, and how it is spoken to.
struct Port {
    name: &'static str,
    number: u16,
    tls: Option<Arc<rustls::ClientConfig>>,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Port {
    /// Says something, in pieces of so many bytes, and reads until the other side closes.
    fn ask(&self, message: &[u8], pieces: usize, end: bool) -> Vec<u8> {
        let stream = TcpStream::connect(("127.0.0.1", self.number)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let mut wire = match &self.tls {
            None => Wire::Plain(stream),
            Some(tls) => {
                let name = ServerName::try_from("localhost").unwrap();
                let client = ClientConnection::new(Arc::clone(tls), name).unwrap();
                Wire::Tls(Box::new(StreamOwned::new(client, stream)))
            }
        };
        for piece in message.chunks(pieces) {
            let written = match &mut wire {
                Wire::Plain(stream) => stream.write_all(piece),
                Wire::Tls(stream) => stream.write_all(piece).and_then(|()| stream.flush()),
            };
            // It may have been refused before it was all said.
            if written.is_err() {
                break;
            }
        }
        if end {
            match &mut wire {
                Wire::Plain(stream) => stream.shutdown(Shutdown::Write).unwrap(),
                Wire::Tls(stream) => {
                    stream.conn.send_close_notify();
                    stream.conn.complete_io(&mut stream.sock).unwrap();
                }
            }
        }
        let mut answers = Vec::new();
        let read = match &mut wire {
            Wire::Plain(stream) => stream.read_to_end(&mut answers),
            Wire::Tls(stream) => stream.read_to_end(&mut answers),
        };
        assert!(
            !matches!(&read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
            "it was not closed: {}",
            String::from_utf8_lossy(&answers)
        );
        answers
    }
}

/// The statuses of the answers in these bytes, which are theirs to the last.
fn statuses(mut bytes: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head ends");
        let head = std::str::from_utf8(&bytes[..end]).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        statuses.push(head.strip_prefix("http/1.").expect(&head)[2..5].parse().unwrap());
        bytes = &bytes[end + 4 + length.parse::<usize>().unwrap()..];
    }
    statuses
}

/// Whoever takes this for a request answers it with 404.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn ambiguous_requests_are_refused_and_nothing_after_them_is_a_request() {
    let home = Home::new();
    let las = FakeLas::answering(feed(PUPILS));
    let served = Served::with(&home, &las, "header_read_ms = 20000\n", home.sluis(&["serve"]));
    let identity = tls::Identity {
        certificate: home.path("certs/noordzee.pem"),
        private_key: home.path("certs/noordzee.key"),
    };
    let client = |identity| tls::client_config(&home.path("certs/ca.pem"), identity, &SystemClock).unwrap();
    let ports = [
        Port { name: "gateway", number: served.gateway, tls: Some(Arc::new(client(Some(&identity)))) },
        Port { name: "review", number: served.review, tls: Some(Arc::new(client(None))) },
        Port { name: "operations", number: served.operations, tls: None },
    ];
    let cases = corpus("requests.txt", &[]);
    let (mut refused, mut taken, mut wrong) = (0, 0, Vec::new());
    for case in &cases {
        let wanted: Vec<u16> =
            case.key("answers").split_whitespace().map(|status| status.parse().unwrap()).collect();
        let alone = case.key("alone") == "yes";
        let on = case.key("on");
        let message = if alone { case.message.clone() } else { [&case.message, SMUGGLED].concat() };
        // One that is long says the same in pieces that are less small.
        let small = if message.len() > 4096 { 1000 } else { 1 };
        for port in ports.iter().filter(|port| on.is_empty() || on.split(' ').any(|name| name == port.name)) {
            for pieces in [message.len(), small] {
                let answers = port.ask(&message, pieces, alone);
                let got = statuses(&answers);
                if got != wanted {
                    let text = String::from_utf8_lossy(&answers);
                    wrong.push(format!("{} on {} by {pieces}: {got:?} {text}", case.name, port.name));
                }
            }
        }
        match wanted.last() {
            Some(404 | 405) => taken += 1,
            _ => refused += 1,
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(refused + taken, cases.len());
    assert!(refused >= 80 && taken >= 15, "{refused} refused, {taken} taken");
    assert!(las.requests.lock().unwrap().is_empty(), "the pupil administration hears nothing");
    served.stop();
    assert!(home.leaves().iter().all(|leaf| leaf.kind != LeafKind::Disclosure));
}

#[test]
fn ambiguous_answers_of_a_pupil_administration_are_faults_and_nothing_leaves() {
    let home = Home::new();
    let document = feed(PUPILS);
    let words = [
        ("length", document.len().to_string()),
        ("chunk", format!("{:x}\r\n{document}\r\n", document.len())),
        ("feed", document),
    ];
    let cases = corpus("answers.txt", &words);
    let answer = Arc::new(Mutex::new((Vec::new(), 1)));
    let given = Arc::clone(&answer);
    let las = FakeLas::new(Box::new(move |_, stream| {
        let (bytes, pieces) = given.lock().unwrap().clone();
        stream.set_nodelay(true).unwrap();
        for piece in bytes.chunks(pieces) {
            if stream.write_all(piece).is_err() {
                break;
            }
        }
    }));
    let served = Served::with(&home, &las, "", home.sluis(&["serve"]));
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    let errors = || {
        let text = served.operations("/metrics").1;
        let counts = text.lines().filter_map(|line| {
            let (kind, count) = line.strip_prefix("sluis_las_errors_total{kind=\"")?.split_once("\"} ")?;
            Some((kind.to_owned(), count.parse::<u32>().unwrap()))
        });
        counts.collect::<HashMap<_, _>>()
    };
    let (mut faults, mut feeds, mut wrong) = (0, 0, Vec::new());
    for case in &cases {
        for pieces in [case.message.len(), if case.message.len() > 4096 { 1000 } else { 1 }] {
            *answer.lock().unwrap() = (case.message.clone(), pieces);
            let before = errors();
            let got = post(&home, &served, &ask);
            let mut counted = errors();
            counted.retain(|kind, count| *count > before[kind]);
            let name = format!("{} by {pieces}", case.name);
            let kinds: Vec<_> = counted.keys().map(String::as_str).collect();
            let kinds = kinds.first().copied().unwrap_or("none");
            match case.key("ends") {
                "feed" => {
                    feeds += 1;
                    if got.status != 200 || !got.text.contains("<roepnaam>Jip") {
                        wrong.push(format!("{name}: {kinds} {}", got.text));
                    }
                }
                "fault" => {
                    faults += 1;
                    let told = got.text.contains(":Server.TijdelijkNietBeschikbaar<");
                    let leaked = ["Jip", "100001", "eckid"].iter().any(|part| got.text.contains(part));
                    if got.status != 500 || !told || leaked || kinds != case.key("kind") {
                        wrong.push(format!("{name}: {kinds} {}", got.text));
                    }
                }
                other => panic!("{name}: {other}"),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(feeds + faults, 2 * cases.len());
    assert!(faults >= 2 * 40 && feeds >= 2 * 5, "{faults} faults, {feeds} feeds");
    let said = served.stop();
    assert!(!said.contains("Jip") && !said.contains("100001"));
    assert_eq!(home.outcomes(), vec![OutcomeStatus::Sent; feeds]);
    let leaves = home.leaves();
    let disclosed = leaves.iter().filter(|leaf| leaf.kind == LeafKind::Disclosure);
    let disclosed = disclosed.map(|leaf| leaf.span_id).collect::<HashSet<_>>().len();
    assert_eq!(disclosed, feeds);
}

#[test]
fn what_a_pupil_administration_is_asked_is_built_anew() {
    let home = Home::new();
    let las = FakeLas::answering(feed(PUPILS));
    let served = Served::with(&home, &las, "", home.sluis(&["serve"]));
    let body = request(&home, "leerlinggegevens_verzoek", ASK);
    let remarks = body.replace("<brincode>", "<!-- Kanarie --><onbekend>Kanarie</onbekend><brincode>");
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let extra = "User-Agent: Kanarie\r\nCookie: kanarie=1\r\nAuthorization: Basic S2FuYXJpZQ==\r\nVia: 1.1 kanarie\r\n\
                 X-Forwarded-For: 192.0.2.1\r\nForwarded: for=kanarie\r\nAccept: kanarie/*\r\nAccept-Encoding: gzip\r\n\
                 SOAPAction: \"HaalLeerlinggegevens\"\r\nTE: trailers\r\nConnection: TE\r\n";
    for (target, version, headers, body) in [
        ("/uwlr", "1.1", format!("Content-Length: {}", body.len()), &body),
        ("/uwlr", "1.0", format!("Content-Length: {}", body.len()), &body),
        ("/uwlr?kanarie=1", "1.1", format!("Content-Length: {}", body.len()), &body),
        ("https://localhost/uwlr", "1.1", format!("{extra}Content-Length: {}", body.len()), &body),
        ("/uwlr", "1.1", format!("{extra}Content-Length: {}", remarks.len()), &remarks),
        ("/uwlr", "1.1", format!("{extra}Transfer-Encoding: chunked"), &chunk),
    ] {
        let mut stream = try_connect(&home, served.gateway, Some("noordzee")).unwrap();
        write!(
            stream,
            "POST {target} HTTP/{version}\r\nHost: localhost\r\nContent-Type: text/xml\r\n{headers}\r\n\
             Connection: close\r\n\r\n{body}"
        )
        .unwrap();
        let text = read_all(&mut stream);
        assert!(
            text.split('\r').next().unwrap().ends_with(" 200 OK"),
            "{target} {version} {headers}: {text}"
        );
    }
    let asked = las.requests.lock().unwrap();
    let same: HashSet<_> = asked.iter().map(|request| request.replace(transaction(request), "")).collect();
    assert_eq!((asked.len(), same.len()), (6, 1), "{same:?}");
    assert!(!asked.iter().any(|request| request.to_lowercase().contains("kanarie")));
    served.stop();
}

/// Requests that were heard, with the connection each came over.
type Heard = Mutex<Vec<(usize, String)>>;

/// A pupil administration that keeps its connections: `answer` is told which one it is, and writes to it.
fn keeps(answer: impl Fn(usize, &str, &mut TcpStream) + Send + Sync + 'static) -> (FakeLas, Arc<Heard>) {
    let heard = Arc::<Heard>::default();
    let (kept, connections) = (Arc::clone(&heard), Mutex::new(0));
    let las = FakeLas::at_once(move |request, stream| {
        let connection = {
            let mut connections = connections.lock().unwrap();
            *connections += 1;
            *connections
        };
        let mut next = Some(request.to_owned());
        while let Some(request) = next {
            kept.lock().unwrap().push((connection, request.clone()));
            answer(connection, &request, stream);
            next = read_request(stream);
        }
    });
    (las, heard)
}

/// The id that a request to the pupil administration and the answer to the supplier have in common.
fn transaction(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("fsc-transaction-id: ")).unwrap()
}

/// An answer that does not end its connection.
fn kept_alive(document: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{document}",
        document.len()
    )
}

#[test]
fn an_answer_that_nobody_asked_for_reaches_nobody() {
    let pupil = |name: &str| feed(&PUPILS.replace("Jip", name));
    let poison = "Gifbeker";
    // Together with the answer, or after the supplier has it.
    for together in [true, false] {
        let home = Home::new();
        let (said, says) = std::sync::mpsc::channel::<TcpStream>();
        let said = Mutex::new(said);
        let (whole, poisoned) = (kept_alive(&pupil("Jip")), kept_alive(&pupil(poison)));
        let twice = format!("{whole}{poisoned}");
        let (las, heard) = keeps(move |_, _, stream| {
            stream.write_all(if together { twice.as_bytes() } else { whole.as_bytes() }).unwrap();
            said.lock().unwrap().send(stream.try_clone().unwrap()).unwrap();
        });
        let served = Served::with(&home, &las, "", home.sluis(&["serve"]));
        let ask = request(&home, "leerlinggegevens_verzoek", ASK);
        for exchange in 1..=3 {
            let got = post(&home, &served, &ask);
            assert_eq!(got.status, 200, "{}", got.text);
            assert!(got.text.contains("<roepnaam>Jip") && !got.text.contains(poison), "{}", got.text);
            let mut stream = says.recv().unwrap();
            if !together {
                // It is in the gateway's hands before anything else is asked.
                let _ = stream.write_all(poisoned.as_bytes());
            }
            let connections: Vec<_> =
                heard.lock().unwrap().iter().map(|(connection, _)| *connection).collect();
            assert_eq!(connections, (1..=exchange).collect::<Vec<_>>(), "none is used again");
        }
        served.stop();
    }
}

#[test]
fn a_connection_to_a_pupil_administration_serves_one_school_and_one_recipient() {
    let home = Home::new();
    let schools = ["99DE", "99DF"];
    let recipients = ["noordzee", "oostzee"];
    let ca = fs::read_to_string(home.path("certs/ca.pem")).unwrap();
    let other = tls::DevelopmentCa::new().unwrap();
    fs::write(home.path("certs/clients.pem"), ca + other.certificate()).unwrap();
    let issued = other.client("oostzee.example").unwrap();
    for (ending, text) in [("pem", issued.certificate), ("key", issued.private_key)] {
        let path = home.path(&format!("certs/oostzee.{ending}"));
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let agreement = fs::read_to_string(home.path("agreements/99DE-noordzee-rekenroute.toml")).unwrap();
    for school in schools {
        for recipient in recipients {
            let text = agreement.replace("99DE", school).replace("noordzee", recipient);
            fs::write(home.path(&format!("agreements/{school}-{recipient}-rekenroute.toml")), text).unwrap();
        }
    }
    assert_eq!(home.run(&["keys", "new", "--school", "99DF"]).code, 0);
    let (las, heard) = keeps(|_, request, stream| {
        let school = if request.contains("<brincode>99DF") { "99DF" } else { "99DE" };
        stream.write_all(kept_alive(&feed(PUPILS).replace("99DE", school)).as_bytes()).unwrap();
    });
    Served::configure(&home, &las, "");
    home.edit("sluis.toml", |text| {
        let school =
            text.split_once("[[school]]").unwrap().1.split_once("[[recipient]]").unwrap().0.to_owned();
        let recipient = text.split_once("[[recipient]]").unwrap().1.to_owned();
        text.replace("client_ca   = \"certs/ca.pem\"", "client_ca = \"certs/clients.pem\"")
            + "\n[[school]]"
            + &school.replace("brin = \"99DE\"", "brin = \"99DF\"")
            + "\n[[recipient]]"
            + &recipient.replace("noordzee.example", "oostzee.example").replace("\"noordzee\"", "\"oostzee\"")
    });
    let served = Served::spawn(home.sluis(&["serve"]));
    let (asked, port) = (Mutex::new(HashMap::new()), served.gateway);
    let ask = |school: &'static str, recipient: &'static str| {
        let body = request(&home, "leerlinggegevens_verzoek", ASK).replace("99DE", school);
        let mut stream = try_connect(&home, port, Some(recipient)).unwrap();
        send(&mut stream, &body, "text/xml");
        let text = read_all(&mut stream);
        assert!(text.starts_with("HTTP/1.1 200 ") && text.contains(school), "{text}");
        asked.lock().unwrap().insert(transaction(&text).to_owned(), (school, recipient));
    };
    // One after another, so that a connection that waits could be taken; then all at once.
    for _ in 0..3 {
        for school in schools {
            for recipient in recipients {
                ask(school, recipient);
            }
        }
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            for school in schools {
                for recipient in recipients {
                    let ask = &ask;
                    scope.spawn(move || (0..3).for_each(|_| ask(school, recipient)));
                }
            }
        }
    });
    let heard = heard.lock().unwrap();
    let mut pairs: HashMap<usize, HashSet<(&str, &str)>> = HashMap::new();
    for (connection, request) in heard.iter() {
        let (school, recipient) = asked.lock().unwrap()[transaction(request)];
        assert!(request.contains(&format!("<brincode>{school}")));
        pairs.entry(*connection).or_default().insert((school, recipient));
    }
    assert_eq!(heard.len(), 4 * 3 + 4 * 4 * 3);
    assert!(pairs.len() < heard.len(), "connections are used again");
    assert!(pairs.values().all(|pairs| pairs.len() == 1), "{pairs:?}");
    served.stop();
}
