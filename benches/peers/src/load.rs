//! Load on one server, over connections that stay open, and what it cost the server.
//!
//! Without `--rate` each connection asks anew as soon as it has its answer. With it, requests are due at even
//! intervals whether or not earlier ones are answered, and a time counts from when a request was due: a server that
//! stalls is charged for all who would have come meanwhile.
//!
//! Every answer is read to its end and compared, byte for byte, with the first. Prints one line of JSON.
#![allow(clippy::disallowed_methods, reason = "files of a bench need not last")]
#![allow(clippy::print_stdout, reason = "the line is what this is for")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring::{cipher_suite::TLS13_AES_256_GCM_SHA384, default_provider},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use serde_json::json;

/// `sysconf(_SC_CLK_TCK)` on every Linux that Rust runs on.
const TICKS: f64 = 100.0;
/// What one system call brings in at most.
const BUFFER: usize = 64 * 1024;
/// How long a server may be away for those who persist: Sluis reads the records of the day when it starts, and after an hour of
/// load these are a hundred million.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long they go on to ask what has fallen due, in seconds.
const GRACE: f64 = 5.0;

#[derive(Parser)]
struct Arguments {
    /// Where the server listens
    #[arg(long)]
    address: SocketAddr,
    /// File with the request, head and body
    #[arg(long)]
    request: PathBuf,
    /// The CA of the server; left out: plain HTTP
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Certificates to show; connections take turns
    #[arg(long, requires = "key", value_delimiter = ',')]
    certificate: Vec<PathBuf>,
    /// Their private keys
    #[arg(long, value_delimiter = ',')]
    key: Vec<PathBuf>,
    /// Connections
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// How long is measured, in seconds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How long to load it first, unmeasured, in seconds
    #[arg(long, default_value_t = 0.5)]
    warm: f64,
    /// Requests a second, whatever the answers do
    #[arg(long)]
    rate: Option<f64>,
    /// Each connection asks once, and nothing is asked before
    #[arg(long)]
    once: bool,
    /// Bytes a second that each connection takes
    #[arg(long)]
    pace: Option<f64>,
    /// Pupils every answer must hold
    #[arg(long)]
    pupils: usize,
    /// Count what goes wrong, connect again and go on, where otherwise the first fault ends it
    #[arg(long)]
    persist: bool,
    /// File that the transaction ids of whole answers are added to, one a line
    #[arg(long)]
    transactions: Option<PathBuf>,
    /// File that every answer must equal
    #[arg(long)]
    equal: Option<PathBuf>,
    /// Where to leave the first answer
    #[arg(long)]
    keep: Option<PathBuf>,
    /// The processes of the server
    #[arg(long, value_delimiter = ',')]
    processes: Vec<u32>,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let request = fs::read(&arguments.request)?;
    let transactions =
        arguments.transactions.as_ref().map(|path| File::options().create(true).append(true).open(path));
    let run = Run {
        arguments: &arguments,
        request: &request,
        transactions: transactions.transpose()?.map(|file| Mutex::new(BufWriter::new(file))),
        failed: AtomicU64::new(0),
        unasked: AtomicU64::new(0),
        fault: Mutex::new(None),
        warm: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        due: AtomicU64::new(0),
    };
    let parties = arguments.tls()?.into_iter().map(|tls| {
        let tls = tls.map(Arc::new);
        let mut first = Vec::new();
        if !arguments.once {
            let mut client = Client::connect(&arguments, tls.as_ref())?;
            run.note(client.exchange(&request, &mut Taken::Kept(&mut first))?)?;
            arguments.check(&first)?;
        }
        Ok(Party { tls, first })
    });
    let parties = parties.collect::<io::Result<Vec<_>>>()?;
    let ready = Barrier::new(arguments.connections + 1);
    let measured = thread::scope(|scope| {
        let turns = parties.iter().cycle().take(arguments.connections);
        let clients: Vec<_> = turns.map(|party| scope.spawn(|| run.client(party, &ready))).collect();
        ready.wait();
        thread::sleep(Duration::from_secs_f64(if arguments.once { 0.0 } else { arguments.warm }));
        run.warm.store(true, Relaxed);
        // All warm answers are in when the first measured question goes out.
        ready.wait();
        let before = usage(&arguments.processes);
        let began = Instant::now();
        ready.wait();
        if !arguments.once {
            thread::sleep(Duration::from_secs_f64(arguments.seconds));
            run.ended.store(true, Relaxed);
        }
        let mut times: Vec<Duration> = Vec::new();
        for client in clients {
            times.extend(client.join().expect("a client does not panic")?);
        }
        let elapsed = began.elapsed();
        Ok::<_, io::Error>((times, elapsed, usage(&arguments.processes).since(&before)))
    });
    let (mut times, elapsed, used) = measured?;
    times.sort_unstable();
    if let Some(transactions) = &run.transactions {
        transactions.lock().expect("no client panicked").flush()?;
    }
    println!(
        "{}",
        json!({
            "requests": times.len(),
            "seconds": elapsed.as_secs_f64(),
            "cpu": used.cpu,
            "peak_kib": used.peak_kib,
            "p50_ms": percentile(&times, 0.5),
            "p90_ms": percentile(&times, 0.9),
            "p99_ms": percentile(&times, 0.99),
            "max_ms": percentile(&times, 1.0),
            "bytes": parties[0].first.len(),
            "failed": run.failed.load(Relaxed),
            "unasked": run.unasked.load(Relaxed),
            "fault": *run.fault.lock().expect("no client panicked"),
        })
    );
    Ok(())
}

impl Arguments {
    /// How connections are made, for each certificate.
    fn tls(&self) -> io::Result<Vec<Option<ClientConfig>>> {
        let Some(ca) = &self.ca else { return Ok(vec![None]) };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).map_err(io::Error::other)?).map_err(io::Error::other)?;
        let mut provider = default_provider();
        // One suite, so that no server has the cheaper one.
        provider.cipher_suites = vec![TLS13_AES_256_GCM_SHA384];
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(roots);
        if self.certificate.is_empty() {
            return Ok(vec![Some(config.with_no_client_auth())]);
        }
        if self.certificate.len() != self.key.len() {
            return Err(io::Error::other("--certificate and --key do not come in pairs"));
        }
        let known = self.certificate.iter().zip(&self.key).map(|(certificate, key)| {
            let chain = CertificateDer::pem_file_iter(certificate)
                .and_then(Iterator::collect)
                .map_err(io::Error::other)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
            config.clone().with_client_auth_cert(chain, key).map(Some).map_err(io::Error::other)
        });
        known.collect()
    }

    /// Holds the first answer against what it must be.
    fn check(&self, body: &[u8]) -> io::Result<()> {
        if let Some(keep) = &self.keep {
            fs::write(keep, body)?;
        }
        let pupils = count_pupils(body);
        if pupils != self.pupils {
            return Err(io::Error::other(format!("{pupils} pupils in the answer, not {}", self.pupils)));
        }
        match &self.equal {
            Some(file) if fs::read(file)? != body => Err(io::Error::other("the answer differs from --equal")),
            _ => Ok(()),
        }
    }
}

fn count_pupils(body: &[u8]) -> usize {
    const START: &[u8] = b"<leerling ";
    body.split(|&byte| byte == b'<').filter(|element| element.starts_with(&START[1..])).count()
}

/// Whom a connection speaks for.
struct Party {
    tls: Option<Arc<ClientConfig>>,
    /// Its first answer, which all others must equal.
    first: Vec<u8>,
}

/// What the connections share.
struct Run<'a> {
    arguments: &'a Arguments,
    request: &'a [u8],
    transactions: Option<Mutex<BufWriter<File>>>,
    failed: AtomicU64,
    /// Requests that fell due and were never asked, as the end had come.
    unasked: AtomicU64,
    /// The first of them.
    fault: Mutex<Option<String>>,
    warm: AtomicBool,
    ended: AtomicBool,
    /// The number of the next request that falls due.
    due: AtomicU64,
}

impl Run<'_> {
    /// Asks until the time is over; how long each answer took.
    fn client(&self, party: &Party, ready: &Barrier) -> io::Result<Vec<Duration>> {
        let connected = Client::connect(self.arguments, party.tls.as_ref());
        // Also those who failed are waited for.
        ready.wait();
        let warmed = connected.and_then(|mut client| {
            while !self.arguments.once && !self.warm.load(Relaxed) {
                self.ask(&mut client, party)?;
            }
            Ok(client)
        });
        ready.wait();
        ready.wait();
        let mut client = warmed?;
        match self.arguments.rate {
            _ if self.arguments.once => self.once(&mut client),
            None => self.closed(&mut client, party),
            Some(rate) => self.open(&mut client, party, rate),
        }
    }

    fn once(&self, client: &mut Client) -> io::Result<Vec<Duration>> {
        let asked = Instant::now();
        let mut body = Taken::Counted { pupils: 0, tail: Vec::new() };
        client.exchange(self.request, &mut body)?;
        match body {
            Taken::Counted { pupils, .. } if pupils == self.arguments.pupils => Ok(vec![asked.elapsed()]),
            Taken::Counted { pupils, .. } => Err(io::Error::other(format!("{pupils} pupils in the answer"))),
            Taken::Kept(_) | Taken::Compared(_) => unreachable!("it was made above"),
        }
    }

    fn closed(&self, client: &mut Client, party: &Party) -> io::Result<Vec<Duration>> {
        let mut times = Vec::new();
        while !self.ended.load(Relaxed) {
            let asked = Instant::now();
            if self.asked(client, party)? {
                times.push(asked.elapsed());
            }
        }
        Ok(times)
    }

    fn open(&self, client: &mut Client, party: &Party, rate: f64) -> io::Result<Vec<Duration>> {
        let began = Instant::now();
        let mut times = Vec::new();
        loop {
            let number = self.due.fetch_add(1, Relaxed);
            let due = Duration::from_secs_f64(number as f64 / rate);
            if due.as_secs_f64() >= self.arguments.seconds {
                return Ok(times);
            }
            // A server that cannot keep up has no end otherwise. Those that fell due and were never asked are told.
            if self.arguments.persist && began.elapsed().as_secs_f64() > self.arguments.seconds + GRACE {
                let all = (self.arguments.seconds * rate).ceil() as u64;
                self.unasked.fetch_max(all.saturating_sub(number), Relaxed);
                return Ok(times);
            }
            thread::sleep(due.saturating_sub(began.elapsed()));
            if self.asked(client, party)? {
                times.push(began.elapsed() - due);
            }
        }
    }

    /// Whether it was answered whole. Where it was not and that is no reason to end, the connection is a new one.
    fn asked(&self, client: &mut Client, party: &Party) -> io::Result<bool> {
        let fault = match self.ask(client, party) {
            Ok(()) => return Ok(true),
            Err(fault) if self.arguments.persist => fault,
            Err(fault) => return Err(fault),
        };
        self.failed.fetch_add(1, Relaxed);
        self.fault.lock().expect("no client panicked").get_or_insert_with(|| fault.to_string());
        let over = Instant::now() + PATIENCE;
        loop {
            match Client::connect(self.arguments, party.tls.as_ref()) {
                Ok(connected) => *client = connected,
                Err(fault) if Instant::now() > over => return Err(fault),
                Err(_) => {
                    thread::sleep(Duration::from_millis(20));
                    continue;
                }
            }
            return Ok(false);
        }
    }

    fn note(&self, transaction: Option<String>) -> io::Result<()> {
        match (&self.transactions, transaction) {
            (None, _) => Ok(()),
            (Some(file), Some(id)) => writeln!(file.lock().expect("no client panicked"), "{id}"),
            (Some(_), None) => Err(io::Error::other("an answer has no transaction id")),
        }
    }

    fn ask(&self, client: &mut Client, party: &Party) -> io::Result<()> {
        let mut body = Taken::Compared(&party.first);
        let transaction = client.exchange(self.request, &mut body)?;
        match body {
            Taken::Compared([]) => self.note(transaction),
            _ => Err(io::Error::other("an answer is shorter than the first")),
        }
    }
}

/// What becomes of a body.
enum Taken<'a> {
    /// What is still expected of it.
    Compared(&'a [u8]),
    /// Pupils so far, and the last bytes: a start tag may stand on a seam.
    Counted {
        pupils: usize,
        tail: Vec<u8>,
    },
    Kept(&'a mut Vec<u8>),
}

impl Taken<'_> {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Compared(expected) => match expected.split_at_checked(bytes.len()) {
                Some((these, rest)) if these == bytes => *expected = rest,
                _ => return Err(io::Error::other("an answer differs from the first")),
            },
            Self::Counted { pupils, tail } => {
                tail.extend_from_slice(bytes);
                // All up to the last `<` is whole.
                let whole = tail.iter().rposition(|&byte| byte == b'<').unwrap_or(0);
                *pupils += count_pupils(&tail[..whole]);
                tail.drain(..whole);
            }
            Self::Kept(body) => body.extend_from_slice(bytes),
        }
        Ok(())
    }
}

/// A connection that is used again and again.
struct Client {
    stream: BufReader<Box<dyn Stream>>,
    line: String,
    /// Bytes a second, since when, and how many so far.
    pace: Option<(f64, Instant, u64)>,
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

impl Client {
    fn connect(arguments: &Arguments, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let stream = TcpStream::connect(arguments.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(300)))?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from("localhost").expect("it is a name");
                let tls = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
                Box::new(StreamOwned::new(tls, stream))
            }
        };
        let pace = arguments.pace.map(|pace| (pace, Instant::now(), 0));
        Ok(Self { stream: BufReader::with_capacity(BUFFER, stream), line: String::new(), pace })
    }

    /// The id of the transaction, where the answer tells it.
    fn exchange(&mut self, request: &[u8], body: &mut Taken<'_>) -> io::Result<Option<String>> {
        self.stream.get_mut().write_all(request)?;
        self.stream.get_mut().flush()?;
        let status = self.line()?;
        if !status.starts_with("HTTP/1.1 200 ") {
            return Err(io::Error::other(format!("answered {status}")));
        }
        let mut head = BTreeMap::new();
        while let Some((name, value)) = self.line()?.split_once(':') {
            head.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let transaction = head.remove("fsc-transaction-id");
        if let Some(length) = head.get("content-length") {
            self.body(length.parse().map_err(io::Error::other)?, body)?;
            return Ok(transaction);
        }
        loop {
            let size = usize::from_str_radix(self.line()?, 16).map_err(io::Error::other)?;
            self.body(size, body)?;
            if !self.line()?.is_empty() {
                return Err(io::Error::other("a chunk does not end where it said"));
            }
            if size == 0 {
                return Ok(transaction);
            }
        }
    }

    fn line(&mut self) -> io::Result<&str> {
        self.line.clear();
        if self.stream.read_line(&mut self.line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.line.trim_end())
    }

    fn body(&mut self, mut length: usize, body: &mut Taken<'_>) -> io::Result<()> {
        while length > 0 {
            let bytes = self.stream.fill_buf()?;
            let taken = bytes.len().min(length);
            if taken == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            body.take(&bytes[..taken])?;
            self.stream.consume(taken);
            length -= taken;
            if let Some((pace, began, so_far)) = &mut self.pace {
                *so_far += taken as u64;
                let allowed = Duration::from_secs_f64(*so_far as f64 / *pace);
                thread::sleep(allowed.saturating_sub(began.elapsed()));
            }
        }
        Ok(())
    }
}

/// What processes have used so far.
struct Usage {
    /// Seconds of the processor, user and system, of threads that have ended too.
    cpu: f64,
    /// The highest resident size since it was last forgotten.
    peak_kib: u64,
}

impl Usage {
    fn since(self, before: &Self) -> Self {
        Self { cpu: self.cpu - before.cpu, ..self }
    }
}

fn usage(processes: &[u32]) -> Usage {
    let mut usage = Usage { cpu: 0.0, peak_kib: 0 };
    for process in processes {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the server is still there");
        // The name of the command, in brackets, may hold anything; the third field comes after it.
        let (_, fields) = stat.rsplit_once(')').expect("a name stands in brackets");
        let times = fields.split_whitespace().skip(11).take(2);
        usage.cpu += times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS;
        let status =
            fs::read_to_string(format!("/proc/{process}/status")).expect("the server is still there");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        usage.peak_kib +=
            peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0);
    }
    usage
}

/// By nearest rank, in milliseconds.
fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}
