//! Stopping and starting while suppliers ask: nothing that was begun is lost, and what does not end in time is cut and on
//! record.
//!
//! The supervisor is played by the test: it opens the socket, and hands it to every process.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    process::{Command, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use sluis::{clock::SystemClock, disclosure::OutcomeStatus, tls};

use crate::{
    documents::feed,
    home::{Home, Ran},
    served::{
        ASK, FakeLas, PUPILS, Served, Tls, begin, connect, held_back, many_pupils, read_all, request, send,
        write_xml,
    },
};

const PATIENT: &str = "las_response_ms = 60000\nlas_idle_ms = 60000\nlas_connect_ms = 60000\n";
const WAIT: Duration = Duration::from_secs(20);

/// `serve`, with standard input as the socket of this name: a shell moves it to where `sd_listen_fds(3)` has it, and
/// becomes the process.
fn handed(home: &Home, config: &str, names: &str, socket: OwnedFd) -> Command {
    const MOVE: &str = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", MOVE, "sh", env!("CARGO_BIN_EXE_sluis"), "serve", "--config", config]);
    command.current_dir(home.path("")).env("LISTEN_FDNAMES", names).stdin(Stdio::from(socket));
    command
}

/// A request as a client that keeps its connection sends it.
pub(crate) fn keeping(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /uwlr HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

pub(crate) fn client_config(home: &Home, client: &str) -> Arc<ClientConfig> {
    let identity = tls::Identity {
        certificate: home.path(&format!("certs/{client}.pem")),
        private_key: home.path(&format!("certs/{client}.key")),
    };
    Arc::new(tls::client_config(&home.path("certs/ca.pem"), Some(&identity), &SystemClock).unwrap())
}

/// What came back, whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether it was the last on its connection.
    pub(crate) last: bool,
    pub(crate) text: String,
}

/// A connection on which one request follows another.
pub(crate) struct Line(pub(crate) BufReader<Tls>);

impl Line {
    pub(crate) fn open(config: &Arc<ClientConfig>, port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(WAIT * 3))?;
        stream.set_nodelay(true)?;
        Ok(Self::over(config, stream))
    }

    fn over(config: &Arc<ClientConfig>, stream: TcpStream) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        Self(BufReader::new(StreamOwned::new(connection, stream)))
    }

    /// One exchange. Anything but a whole answer is an error.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> std::io::Result<Answer> {
        self.0.get_mut().write_all(request)?;
        self.0.get_mut().flush()?;
        let status = self.line()?;
        let status = status.get(9..12).and_then(|digits| digits.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other("no answer"))?;
        let (mut last, mut length) = (false, None);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("connection", value)) => last |= value.trim() == "close",
                Some(("content-length", value)) => length = value.trim().parse().ok(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => self.take(length, &mut body)?,
            None => loop {
                let size = self.line()?;
                let size = usize::from_str_radix(&size, 16).map_err(std::io::Error::other)?;
                self.take(size, &mut body)?;
                self.line()?;
                if size == 0 {
                    break;
                }
            },
        }
        Ok(Answer { status, last, text: String::from_utf8(body).unwrap() })
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn take(&mut self, bytes: usize, body: &mut Vec<u8>) -> std::io::Result<()> {
        let before = body.len();
        body.resize(before + bytes, 0);
        self.0.read_exact(&mut body[before..])
    }

    /// Whether the other side has closed it, and said nothing more.
    fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        matches!(self.0.read_to_end(&mut rest), Ok(0)) && rest.is_empty()
    }
}

/// What the clients have seen so far.
#[derive(Default)]
struct Tally {
    seen: Mutex<Seen>,
    more: Condvar,
    enough: AtomicBool,
}

#[derive(Default, Clone)]
struct Seen {
    exchanges: usize,
    pupils: usize,
    connections: usize,
    told_to_close: usize,
    failed: Vec<String>,
}

impl Tally {
    /// Waits until there are so many exchanges more, or one failed.
    fn after(&self, more: usize) {
        let seen = self.seen.lock().unwrap();
        let until = seen.exchanges + more;
        let waited = self
            .more
            .wait_timeout_while(seen, WAIT * 6, |seen| seen.exchanges < until && seen.failed.is_empty());
        let (seen, late) = waited.unwrap();
        assert!(!late.timed_out(), "{} of {until} exchanges came", seen.exchanges);
    }

    /// A supplier that asks again and again, on connections of so many requests, and never tries anything twice.
    fn supplier(&self, config: &Arc<ClientConfig>, port: u16, request: &[u8], each: usize) {
        let mut line: Option<(Line, usize)> = None;
        while !self.enough.load(SeqCst) {
            let asked = (|| {
                let (mut open, used) = match line.take() {
                    Some(kept) => kept,
                    None => {
                        self.seen.lock().unwrap().connections += 1;
                        (Line::open(config, port)?, 0)
                    }
                };
                let answer = open.exchange(request)?;
                if !answer.last && used + 1 < each {
                    line = Some((open, used + 1));
                }
                Ok::<_, std::io::Error>(answer)
            })();
            let mut seen = self.seen.lock().unwrap();
            match asked {
                Ok(answer) if answer.status == 200 => {
                    seen.exchanges += 1;
                    seen.pupils += answer.text.matches("<leerling ").count();
                    seen.told_to_close += usize::from(answer.last);
                }
                Ok(answer) => seen.failed.push(format!("{}: {}", answer.status, answer.text)),
                Err(error) => seen.failed.push(error.to_string()),
            }
            self.more.notify_all();
        }
    }
}

/// Two configurations that share everything but what each instance has of its own.
fn two_instances(home: &Home) -> [&'static str; 2] {
    let text = std::fs::read_to_string(home.path("sluis.toml")).unwrap();
    let other = text
        .replace("data       = \"data\"", "data       = \"data-b\"")
        .replace("sluis.example/log", "sluis.example/log-b")
        .replace("keys/checkpoint", "data-b/checkpoint");
    std::fs::write(home.path("b.toml"), other).unwrap();
    ["sluis.toml", "b.toml"]
}

/// `SLUIS_RESTARTS` says how many times one instance takes over from the other: 6 when nothing is said.
#[test]
#[expect(clippy::print_stdout, reason = "the figures of the long form")]
fn a_rolling_restart_under_load_loses_nothing() {
    let restarts = std::env::var("SLUIS_RESTARTS").map_or(6, |count| count.parse().unwrap());
    let home = Home::new();
    let pupils: String = (0..40)
        .map(|i| format!("<leerling key=\"{}\"><roepnaam>Jip</roepnaam></leerling>", 200_000 + i))
        .collect();
    let document = feed(&format!("<leerlingen>{pupils}</leerlingen>"));
    let las = FakeLas::at_once(move |_, stream| write_xml(stream, &document));
    Served::configure(&home, &las, &format!("{PATIENT}header_read_ms = 60000\ndrain_ms = 120000\n"));
    let instances = two_instances(&home);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let start = |turn: usize| {
        let fd = socket.try_clone().unwrap().into();
        let served = Served::spawn(handed(&home, instances[turn % 2], "gateway", fd));
        assert_eq!(served.gateway, port);
        assert_eq!(served.operations("/ready").0, 200);
        served
    };
    let config = client_config(&home, "noordzee");
    let ask = keeping(&request(&home, "leerlinggegevens_verzoek", ASK));
    let tally = Tally::default();
    let mut current = start(0);
    std::thread::scope(|scope| {
        // Some keep their connections for ever, some for a while, some for one request.
        for each in [usize::MAX, usize::MAX, 7, 1, 1] {
            let (tally, config, ask) = (&tally, &config, &ask);
            scope.spawn(move || tally.supplier(config, port, ask, each));
        }
        let rolled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for turn in 1..=restarts {
                tally.after(20);
                let next = start(turn);
                tally.after(20);
                std::mem::replace(&mut current, next).stop();
            }
            tally.after(20);
        }));
        tally.enough.store(true, SeqCst);
        rolled.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    current.stop();
    let seen = tally.seen.lock().unwrap().clone();
    println!(
        "{restarts} restarts: {} exchanges over {} connections, {} told to close, {} failed",
        seen.exchanges,
        seen.connections,
        seen.told_to_close,
        seen.failed.len()
    );
    assert_eq!(seen.failed, Vec::<String>::new());
    assert!(seen.told_to_close >= restarts, "of those that keep their connections each was told");
    let (mut rows, mut deliveries) = (0, 0);
    for data in ["data", "data-b"] {
        let verified = home.run(&["log", "verify", data]);
        assert_eq!(verified.code, 0, "{}", verified.err);
        assert!(!verified.out.contains("unknown"), "{}", verified.out);
        let number = |what: &str| -> usize {
            let (before, _) = verified.out.split_once(what).unwrap_or_else(|| panic!("{}", verified.out));
            before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
        };
        rows += number(" rows");
        deliveries += number(" deliveries");
    }
    assert_eq!((deliveries, rows), (seen.exchanges, seen.pupils), "what was received is on record");
}

#[test]
fn whoever_is_connected_is_served_once_more() {
    let home = Home::new();
    let las = FakeLas::at_once(|_, stream| write_xml(stream, &feed(PUPILS)));
    let served = Served::with(&home, &las, PATIENT, home.sluis(&["serve"]));
    let (config, body) = (client_config(&home, "noordzee"), request(&home, "leerlinggegevens_verzoek", ASK));
    let ask = keeping(&body);
    let mut idle = Line::open(&config, served.gateway).unwrap();
    let first = idle.exchange(&ask).unwrap();
    assert!(first.status == 200 && !first.last);
    // And one that has said nothing yet.
    let mut silent = Line::open(&config, served.gateway).unwrap();
    served.signal("-TERM");
    served.wait_for("draining");
    assert_eq!(served.operations("/ready").0, 503);
    while TcpStream::connect(("127.0.0.1", served.gateway)).is_ok() {}
    for line in [&mut idle, &mut silent] {
        let answer = line.exchange(&ask).unwrap();
        assert!(answer.status == 200 && answer.last, "{}: {}", answer.status, answer.text);
        assert!(line.is_closed());
    }
    served.ended();
    assert_eq!(home.outcomes(), [OutcomeStatus::Sent; 3]);
}

#[test]
fn whoever_stays_idle_is_let_go_of_without_a_cut() {
    let home = Home::new();
    let las = FakeLas::at_once(|_, stream| write_xml(stream, &feed(PUPILS)));
    // Idle connections would stay open for longer than it drains.
    let limits = format!("{PATIENT}header_read_ms = 600000\ndrain_ms = 6000\n");
    let served = Served::with(&home, &las, &limits, home.sluis(&["serve"]));
    let ask = keeping(&request(&home, "leerlinggegevens_verzoek", ASK));
    let mut idle = Line::open(&client_config(&home, "noordzee"), served.gateway).unwrap();
    assert_eq!(idle.exchange(&ask).unwrap().status, 200);
    served.signal("-TERM");
    assert!(idle.is_closed());
    drop(idle);
    let said = served.ended();
    assert!(said.contains("draining") && !said.contains("are cut"), "{said}");
}

#[test]
fn what_waits_to_be_accepted_is_served() {
    let home = Home::new();
    let las = FakeLas::at_once(|_, stream| write_xml(stream, &feed(PUPILS)));
    let served = Served::with(&home, &las, PATIENT, home.sluis(&["serve"]));
    let config = client_config(&home, "noordzee");
    let ask = keeping(&request(&home, "leerlinggegevens_verzoek", ASK));
    served.signal("-STOP");
    let lines: Vec<_> = (0..8).map(|_| Line::open(&config, served.gateway).unwrap()).collect();
    served.signal("-TERM");
    served.signal("-CONT");
    for mut line in lines {
        let answer = line.exchange(&ask).unwrap();
        assert!(answer.status == 200, "{}: {}", answer.status, answer.text);
    }
    served.ended();
    assert_eq!(home.outcomes(), [OutcomeStatus::Sent; 8]);
}

#[test]
fn with_a_delay_it_is_unready_before_it_accepts_no_more() {
    let home = Home::new();
    let las = FakeLas::at_once(|_, stream| write_xml(stream, &feed(PUPILS)));
    let limits = format!("{PATIENT}drain_delay_ms = 600000\n");
    let served = Served::with(&home, &las, &limits, home.sluis(&["serve"]));
    let config = client_config(&home, "noordzee");
    served.signal("-TERM");
    served.wait_for("draining");
    let (status, ready) = served.operations("/ready");
    assert!(status == 503 && ready.contains("\"serving\":false"), "{ready}");
    let mut line = Line::open(&config, served.gateway).unwrap();
    let ask = keeping(&request(&home, "leerlinggegevens_verzoek", ASK));
    let answer = line.exchange(&ask).unwrap();
    assert!(answer.status == 200 && answer.last, "{}", answer.text);
    // Whoever does not want to wait says so.
    let said = served.stop();
    assert!(said.contains("told to stop once more"), "{said}");
    assert_eq!(home.outcomes(), [OutcomeStatus::Sent]);
}

#[test]
fn what_does_not_end_in_time_is_cut_and_on_record() {
    for (limits, again) in [("drain_ms = 300\n", false), ("drain_ms = 3600000\n", true)] {
        let home = Home::new();
        let document = many_pupils();
        let (las, release) = held_back(document.clone(), document.len() - 200);
        let served = Served::with(&home, &las, &format!("{PATIENT}{limits}"), home.sluis(&["serve"]));
        let mut stream = connect(&home, &served, Some("noordzee"));
        send(&mut stream, &request(&home, "leerlinggegevens_verzoek", ASK), "text/xml");
        begin(&mut stream);
        served.signal("-TERM");
        served.wait_for("draining");
        if again {
            served.signal("-TERM");
        }
        served.wait_for("are cut");
        let rest = read_all(&mut stream);
        assert!(!rest.contains("\r\n0\r\n\r\n") && !rest.contains("</leerlingen>"), "it does not look whole");
        // It was asked to stop, and has: what was cut is in the log, not in how the process ends.
        let said = served.ended();
        assert!(said.contains("\"outcome\":\"failed\""), "{said}");
        assert_eq!(home.outcomes(), [OutcomeStatus::Failed]);
        let verified = home.run(&["log", "verify", "data"]);
        assert!(verified.code == 0 && !verified.out.contains("unknown"), "{}{}", verified.out, verified.err);
        drop(release);
    }
}

#[test]
fn a_socket_that_is_not_what_the_configuration_says_is_refused() {
    let home = Home::new();
    let las = FakeLas::answering(feed(PUPILS));
    Served::configure(&home, &las, "");
    let socket = || TcpListener::bind("127.0.0.1:0").unwrap();
    let ends = |names: &str, socket: OwnedFd, words: &str| {
        let ran = Ran::from(handed(&home, "sluis.toml", names, socket).output().unwrap());
        assert!(ran.code == 1 && ran.err.contains(words), "{words}: {}{}", ran.out, ran.err);
    };
    ends("sluis.socket", socket().into(), "\"sluis.socket\" that was handed over is for no listener");
    ends("", socket().into(), "1 socket(s) were handed over with 0 name(s)");
    ends("gateway:review", socket().into(), "1 socket(s) were handed over with 2 name(s)");
    let listening = socket();
    let connected = TcpStream::connect(listening.local_addr().unwrap()).unwrap();
    ends("gateway", connected.into(), "gateway that was handed over is no listening TCP socket");
    let file = std::fs::File::open(home.path("sluis.toml")).unwrap();
    ends("gateway", file.into(), "gateway that was handed over is no listening TCP socket");
    home.edit("sluis.toml", |text| {
        text.replacen("listen      = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\"", 1)
    });
    let here = listening.local_addr().unwrap();
    let words =
        format!("gateway that was handed over listens on {here}, the configuration says 127.0.0.1:1;");
    ends("gateway", listening.into(), &words);
    // One of another listener is taken for that one.
    home.edit("sluis.toml", |text| text.replace("127.0.0.1:1\"", "127.0.0.1:0\""));
    let operations = socket();
    let port = operations.local_addr().unwrap().port();
    let served = Served::spawn(handed(&home, "sluis.toml", "operations", operations.into()));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("live\n"), "{text}");
    served.stop();
}

#[test]
fn a_service_manager_is_told() {
    let home = Home::new();
    let las = FakeLas::answering(feed(PUPILS));
    let manager = UnixDatagram::bind(home.path("notify")).unwrap();
    manager.set_read_timeout(Some(WAIT)).unwrap();
    let told = || {
        let mut message = [0; 512];
        let read = manager.recv(&mut message).unwrap();
        String::from_utf8(message[..read].to_vec()).unwrap()
    };
    let mut command = home.sluis(&["serve"]);
    command.env("NOTIFY_SOCKET", home.path("notify"));
    let served = Served::with(&home, &las, "drain_ms = 7000\n", command);
    assert!(told().starts_with("READY=1\n"));
    served.signal("-HUP");
    let reloading = told();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told(), "READY=1\nSTATUS=serving\n");
    home.edit("sluis.toml", |text| format!("onbekend = 1\n{text}"));
    served.signal("-HUP");
    assert!(told().starts_with("RELOADING=1\n"));
    let reloaded = told();
    assert!(
        reloaded.starts_with("READY=1\nSTATUS=serving; the new configuration is not in order"),
        "{reloaded}"
    );
    served.stop();
    assert_eq!(told(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=12000000\nSTATUS=draining\n");
}
