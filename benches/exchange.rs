//! Whole exchanges on loopback: a supplier with a client certificate asks, `sluis serve` asks the pupil
//! administration, and every pupil is on record before the answer leaves.
//!
//! Beside each figure stands what the same clients get when they ask the pupil administration itself, over
//! plain HTTP: what the machine, the clients and the pupil administration allow at most.
#![allow(clippy::print_stdout, reason = "the table is what this is for")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure may as well panic")]
#![allow(clippy::disallowed_methods, reason = "the working directory need not survive a crash")]

mod common;

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use common::{
    Home,
    feed::{Encoding, Feed, Form},
    is_short,
};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use sluis::{clock::SystemClock, tls};

/// Exchanges on one connection at most, whatever the time.
const MOST: usize = 50_000;
/// `sysconf(_SC_CLK_TCK)` on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

fn main() {
    let time = Duration::from_secs(if is_short() { 1 } else { 5 });
    println!(
        "| pupils | connections | asked | exchanges/s | pupils/s | p50 ms | p99 ms | CPU s per 1,000 \
         | of direct |"
    );
    println!("|--:|--:|---|--:|--:|--:|--:|--:|--:|");
    for pupils in [25, 250] {
        let mut document = Vec::new();
        Feed { form: Form::Uwlr, encoding: Encoding::Utf8, pupils }.write(&mut document).unwrap();
        let las = serve_answer(&document);
        let home = Home::new();
        let request = request(&home);
        let gateway = Gateway::start(&home, las);
        let tls = Arc::new(client_config(&home));
        for connections in [1, 8] {
            let ask = Ask { pupils, connections, time, request: &request };
            let direct = ask.load(None, || plain(las));
            let through = ask.load(Some(gateway.child.id()), || mutual_tls(gateway.port, &tls));
            ask.print("LAS", &direct, 1.0);
            ask.print("Sluis", &through, through.per_second() / direct.per_second());
        }
        gateway.stop();
        let verified = home.sluis(&["log", "verify", "data"]).output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
}

/// What is asked, and how hard.
struct Ask<'a> {
    pupils: usize,
    connections: usize,
    time: Duration,
    request: &'a [u8],
}

struct Load {
    latencies: Vec<Duration>,
    elapsed: Duration,
    /// Seconds of the process that was asked.
    cpu: Option<f64>,
}

impl Ask<'_> {
    /// Each connection asks anew as soon as it has its answer. What sets it up, a first exchange included, is
    /// not timed.
    fn load<S: Read + Write + Send>(&self, process: Option<u32>, connect: impl Fn() -> S) -> Load {
        let clients: Vec<_> = (0..self.connections).map(|_| self.first(connect())).collect();
        let (began, before) = (Instant::now(), process.map(cpu_seconds));
        let mut latencies: Vec<_> = thread::scope(|scope| {
            let asking: Vec<_> =
                clients.into_iter().map(|client| scope.spawn(|| self.again(client, began))).collect();
            asking.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        let elapsed = began.elapsed();
        let cpu = process.map(cpu_seconds).zip(before).map(|(after, before)| after - before);
        latencies.sort();
        Load { latencies, elapsed, cpu }
    }

    fn first<S: Read + Write>(&self, stream: S) -> Client<S> {
        let mut client = Client { stream: BufReader::new(stream), line: String::new(), body: Vec::new() };
        client.exchange(self.request).unwrap();
        let text = std::str::from_utf8(&client.body).unwrap();
        assert_eq!(text.matches("<leerling ").count(), self.pupils, "{text:.400}");
        client
    }

    fn again<S: Read + Write>(&self, mut client: Client<S>, began: Instant) -> Vec<Duration> {
        let expected = client.body.len();
        let mut latencies = Vec::new();
        while began.elapsed() < self.time && latencies.len() < MOST {
            let asked = Instant::now();
            client.exchange(self.request).unwrap();
            latencies.push(asked.elapsed());
            assert_eq!(client.body.len(), expected, "the same request, the same answer");
        }
        latencies
    }

    fn print(&self, asked: &str, load: &Load, of_direct: f64) {
        let per_thousand = load.cpu.map_or_else(
            || "–".to_owned(),
            |cpu| format!("{:.2}", cpu * 1_000.0 / load.latencies.len() as f64),
        );
        println!(
            "| {} | {} | {asked} | {:.0} | {:.0} | {:.2} | {:.2} | {per_thousand} | {:.1} % |",
            self.pupils,
            self.connections,
            load.per_second(),
            load.per_second() * self.pupils as f64,
            load.percentile(50),
            load.percentile(99),
            of_direct * 100.0,
        );
    }
}

impl Load {
    fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// In milliseconds, by nearest rank.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.latencies.len() * percent).div_ceil(100);
        self.latencies[rank.saturating_sub(1)].as_secs_f64() * 1_000.0
    }
}

/// User and system time of a process so far.
fn cpu_seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name of the command, in brackets, may hold anything; the third field comes after it.
    let (_, after) = stat.rsplit_once(')').unwrap();
    let ticks: u32 =
        after.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u32>().unwrap()).sum();
    f64::from(ticks) / TICKS
}

/// A pupil administration that has its answer ready. Its threads end with the process.
fn serve_answer(document: &[u8]) -> u16 {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
        document.len()
    );
    let answer: Arc<[u8]> = [head.as_bytes(), document].concat().into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = Arc::clone(&answer);
            // Whoever hangs up ends its thread.
            thread::spawn(move || answer_all(stream?, &answer));
        }
    });
    port
}

fn answer_all(stream: TcpStream, answer: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(io::Error::other)?;
                }
                None if line == "\r\n" => break,
                Some(_) | None => {}
            }
        }
        io::copy(&mut (&mut stream).take(length), &mut io::sink())?;
        stream.get_mut().write_all(answer)?;
    }
}

/// `sluis serve` as a process of its own.
struct Gateway {
    child: Child,
    port: u16,
    /// Kept open: a process that cannot print ends.
    _out: BufReader<ChildStdout>,
}

impl Gateway {
    fn start(home: &Home, las: u16) -> Self {
        let path = home.path("sluis.toml");
        let config: String = fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| match line.split_once('=').map(|(name, _)| name.trim()) {
                Some("listen") => "listen = \"127.0.0.1:0\"\n".to_owned(),
                Some("las") => format!(
                    "las = {{ url = \"http://127.0.0.1:{las}/uwlr\", \
                     authorisation = \"secrets/99DE-las.toml\" }}\n"
                ),
                Some(_) | None => format!("{line}\n"),
            })
            .collect();
        fs::write(&path, config).unwrap();
        let mut child = home.sluis(&["serve"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "it ended before it listened");
            if let Some(address) = line.strip_prefix("gateway on https://127.0.0.1:") {
                break address.trim_end().trim_end_matches("/uwlr").parse().unwrap();
            }
        };
        Self { child, port, _out: out }
    }

    fn stop(mut self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success() && self.child.wait().unwrap().success());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Only after a panic is it still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// HaalLeerlinggegevens, with the autorisatie that noordzee was given.
fn request(home: &Home) -> Vec<u8> {
    let secrets = fs::read_to_string(home.path("secrets/noordzee.toml")).unwrap();
    let secrets: toml::Table = toml::from_str(&secrets).unwrap();
    let authorisation: String = ["autorisatiesleutel", "klantcode", "klantnaam"]
        .map(|part| format!("<{part}>{}</{part}>", secrets[part].as_str().unwrap()))
        .concat();
    let body = format!(
        "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Header>\
         <autorisatie xmlns=\"http://www.edustandaard.nl/leerresultaten/2/autorisatie\">{authorisation}\
         </autorisatie></soapenv:Header><soapenv:Body><leerlinggegevens_verzoek \
         xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens\">\
         <schooljaar>2026-2027</schooljaar><brincode>99DE</brincode><xsdversie>2.2</xsdversie>\
         </leerlinggegevens_verzoek></soapenv:Body></soapenv:Envelope>"
    );
    format!(
        "POST /uwlr HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml; charset=utf-8\r\n\
         SOAPAction: \"HaalLeerlinggegevens\"\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn client_config(home: &Home) -> ClientConfig {
    let identity = tls::Identity {
        certificate: home.path("certs/noordzee.pem"),
        private_key: home.path("certs/noordzee.key"),
    };
    tls::client_config(&home.path("certs/ca.pem"), Some(&identity), &SystemClock).unwrap()
}

fn plain(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn mutual_tls(port: u16, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), plain(port))
}

/// A connection that is used again and again.
struct Client<S> {
    stream: BufReader<S>,
    line: String,
    body: Vec<u8>,
}

impl<S: Read + Write> Client<S> {
    /// Sends a request and reads the answer, which is left in `body`.
    fn exchange(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(request)?;
        self.stream.get_mut().flush()?;
        self.body.clear();
        let status = self.line()?;
        assert!(status.starts_with("HTTP/1.1 200 "), "{status}");
        let mut length = None;
        loop {
            match self.line()?.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = Some(value.trim().parse().map_err(io::Error::other)?);
                }
                Some(_) => {}
                None => break,
            }
        }
        match length {
            Some(length) => self.take(length),
            None => loop {
                let size = usize::from_str_radix(self.line()?, 16).map_err(io::Error::other)?;
                self.take(size)?;
                assert_eq!(self.line()?, "", "a chunk ends where it said");
                if size == 0 {
                    return Ok(());
                }
            },
        }
    }

    fn line(&mut self) -> io::Result<&str> {
        self.line.clear();
        if self.stream.read_line(&mut self.line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.line.trim_end())
    }

    fn take(&mut self, length: usize) -> io::Result<()> {
        let from = self.body.len();
        self.body.resize(from + length, 0);
        self.stream.read_exact(&mut self.body[from..])
    }
}
