//! What tests of the gateway stand on: the real binary, a pupil administration that does as it is told, and a client with
//! mutual TLS.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    thread::JoinHandle,
};

use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use sluis::{clock::SystemClock, tls};

use crate::{documents::feed, home::Home};

/// What the pupil administration does with a request.
type Answer = Box<dyn FnMut(&str, &mut TcpStream) + Send>;

/// A pupil administration on loopback: reads a request whole, keeps it, and lets `answer` write what it likes.
pub(crate) struct FakeLas {
    pub(crate) port: u16,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    _thread: JoinHandle<()>,
}

impl FakeLas {
    /// Answers requests one after the other.
    pub(crate) fn new(mut answer: Answer) -> Self {
        Self::listening(move |stream, kept| answered(stream, kept, &mut answer))
    }

    /// Answers all requests at once, each on a thread of its own.
    pub(crate) fn at_once(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Self::listening(move |stream, kept| {
            let (answer, kept) = (Arc::clone(&answer), Arc::clone(kept));
            std::thread::spawn(move || {
                answered(stream, &kept, &mut |request, stream| answer(request, stream))
            });
        })
    }

    fn listening(mut take: impl FnMut(TcpStream, &Arc<Mutex<Vec<String>>>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::default();
        let kept = Arc::clone(&requests);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                take(stream, &kept);
            }
        });
        Self { port, requests, _thread: thread }
    }

    /// Answers each request with this document.
    pub(crate) fn answering(document: impl Into<String>) -> Self {
        let document = document.into();
        Self::new(Box::new(move |_, stream| write_xml(stream, &document)))
    }

    /// One that another has made.
    pub(crate) fn at(port: u16, thread: JoinHandle<()>) -> Self {
        Self { port, requests: Arc::default(), _thread: thread }
    }

    /// Writes these bytes, whatever they are.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(Box::new(move |_, stream| {
            let _ = stream.write_all(&bytes);
        }))
    }
}

/// Reads a request whole, keeps it, and has it answered.
fn answered(mut stream: TcpStream, kept: &Mutex<Vec<String>>, answer: &mut dyn FnMut(&str, &mut TcpStream)) {
    if let Some(request) = read_request(&mut stream) {
        kept.lock().unwrap().push(request.clone());
        answer(&request, &mut stream);
    }
    let _ = stream.shutdown(Shutdown::Both);
}

pub(crate) fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(head + std::str::from_utf8(&body).unwrap())
}

pub(crate) fn write_xml(stream: &mut TcpStream, document: &str) {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        document.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(document.as_bytes());
}

/// The gateway as a process of its own.
pub(crate) struct Served {
    child: Child,
    pub(crate) gateway: u16,
    /// Of the review app; 0 where there is none.
    pub(crate) review: u16,
    pub(crate) operations: u16,
    errors: Arc<Mutex<String>>,
    lines: Receiver<String>,
    reader: Option<JoinHandle<()>>,
}

impl Served {
    pub(crate) fn start(home: &Home, las: &FakeLas) -> Self {
        let limits = "las_response_ms = 400\nlas_idle_ms = 400\nlas_connect_ms = 400\nheader_read_ms = 500\n";
        Self::with(home, las, limits, home.sluis(&["serve"]))
    }

    /// With other limits, or started in another way.
    pub(crate) fn with(home: &Home, las: &FakeLas, limits: &str, command: Command) -> Self {
        Self::configure(home, las, limits);
        Self::spawn(command)
    }

    /// Ports of its own choosing, and this pupil administration.
    pub(crate) fn configure(home: &Home, las: &FakeLas, limits: &str) {
        home.edit("sluis.toml", |text| {
            let las = format!("las = {{ url = \"http://127.0.0.1:{}/uwlr\", authorisation", las.port);
            let (before, after) = text.split_once("las  = {").unwrap();
            let (_, after) = after.split_once("authorisation").unwrap();
            format!("{before}{las}{after}")
                .replace("127.0.0.1:8443", "127.0.0.1:0")
                .replace("127.0.0.1:9464", "127.0.0.1:0")
                .replace("[pseudonym]", &format!("[limits]\n{limits}\n[pseudonym]"))
        });
    }

    /// Starts in a directory that was configured before.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut operations, mut review) = (0, 0);
        // The gateway comes last.
        let gateway = loop {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            let port = line.rsplit("127.0.0.1:").next().and_then(|rest| rest.trim().split('/').next());
            let port = port.and_then(|digits| digits.parse().ok());
            let port: u16 = port.unwrap_or_else(|| panic!("no port in {line:?}"));
            match line.split_once(" on ").map(|(what, _)| what) {
                Some("operations") => operations = port,
                Some("review") => review = port,
                Some("gateway") => break port,
                _ => panic!("{line:?}"),
            }
        };
        let errors = Arc::new(Mutex::new(String::new()));
        let (kept, err) = (Arc::clone(&errors), child.stderr.take().unwrap());
        let (sender, lines): (Sender<String>, _) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&line);
                let _ = sender.send(line);
            }
        });
        Self { child, gateway, review, operations, errors, lines, reader: Some(reader) }
    }

    /// SIGKILL: nothing is finished, nothing is said.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it has ended, or for so long.
    pub(crate) fn ends_within(&mut self, time: std::time::Duration) -> bool {
        let late = std::time::Instant::now() + time;
        loop {
            match self.lines.recv_timeout(late.saturating_duration_since(std::time::Instant::now())) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => return self.has_ended().is_some(),
                // It has nothing to say any more.
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    self.child.wait().unwrap();
                    return true;
                }
            }
        }
    }

    /// Waits until it has ended, and until all it said is there.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status
    }

    /// Everything it said so far.
    pub(crate) fn said(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGABRT, as a fault in the process would send it, and how it ended.
    pub(crate) fn abort(mut self) -> ExitStatus {
        self.signal("-ABRT");
        self.child.wait().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the process says something.
    pub(crate) fn wait_for(&self, words: &str) {
        while let Ok(line) = self.lines.recv_timeout(std::time::Duration::from_secs(20)) {
            if line.contains(words) {
                return;
            }
        }
        panic!("it never said {words}: {}", self.errors.lock().unwrap());
    }

    /// Waits until the operations port says something at a path.
    pub(crate) fn until(&self, path: &str, words: &str) {
        let late = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !self.operations(path).1.contains(words) {
            assert!(std::time::Instant::now() < late, "{words} never came: {}", self.operations(path).1);
        }
    }

    /// SIGTERM, and everything it said.
    pub(crate) fn stop(self) -> String {
        self.signal("-TERM");
        self.ended()
    }

    /// Everything it said, once it has ended as it should.
    pub(crate) fn ended(mut self) -> String {
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let errors = self.errors.lock().unwrap().clone();
        assert!(status.success(), "{errors}");
        errors
    }

    pub(crate) fn operations(&self, path: &str) -> (u16, String) {
        self.try_operations(path).unwrap()
    }

    /// The same of a process that may be ending.
    pub(crate) fn try_operations(&self, path: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.operations))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let status = text.get(9..12).and_then(|digits| digits.parse().ok());
        Ok((status.ok_or(std::io::ErrorKind::UnexpectedEof)?, text))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

pub(crate) fn connect(home: &Home, served: &Served, client: Option<&str>) -> Tls {
    try_connect(home, served.gateway, client).unwrap()
}

/// A connection whose handshake is still to come; none when nobody listens.
pub(crate) fn try_connect(home: &Home, port: u16, client: Option<&str>) -> Option<Tls> {
    let identity = client.map(|name| tls::Identity {
        certificate: home.path(&format!("certs/{name}.pem")),
        private_key: home.path(&format!("certs/{name}.key")),
    });
    // An expired client does not know that it has expired.
    let clock: &dyn sluis::clock::Clock = if client == Some("verlopen") { &LongAgo } else { &SystemClock };
    let config = tls::client_config(&home.path("certs/ca.pem"), identity.as_ref(), clock).unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    Some(StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream))
}

/// A clock that is two days behind.
#[derive(Debug)]
struct LongAgo;

impl sluis::clock::Clock for LongAgo {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now() - jiff::SignedDuration::from_hours(48)
    }
}

pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// Posts as noordzee and reads the answer to its end; the end must be a proper one.
pub(crate) fn post(home: &Home, served: &Served, body: &str) -> Got {
    post_as(home, served, "noordzee", body)
}

/// The same, as another client.
pub(crate) fn post_as(home: &Home, served: &Served, client: &str, body: &str) -> Got {
    let mut stream = connect(home, served, Some(client));
    send(&mut stream, body, "text/xml; charset=utf-8");
    let text = read_all(&mut stream);
    if text.contains("transfer-encoding: chunked") {
        assert!(text.ends_with("\r\n0\r\n\r\n"), "the transfer was broken off: {text}");
    }
    Got { status: text[9..12].parse().unwrap(), text }
}

pub(crate) fn send(stream: &mut Tls, body: &str, content_type: &str) {
    write!(
        stream,
        "POST /uwlr HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    stream.flush().unwrap();
}

pub(crate) fn read_all(stream: &mut Tls) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// A request with the autorisatie that noordzee was given.
pub(crate) fn request(home: &Home, operation: &str, inside: &str) -> String {
    let secrets: toml::Table =
        toml::from_str(&std::fs::read_to_string(home.path("secrets/noordzee.toml")).unwrap()).unwrap();
    let part = |name: &str| format!("<{name}>{}</{name}>", secrets[name].as_str().unwrap());
    let namespace =
        if operation.starts_with("leerresultaten") { "leerresultaten" } else { "leerlinggegevens" };
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Header>\
         <autorisatie xmlns=\"http://www.edustandaard.nl/leerresultaten/2/autorisatie\">{}{}{}</autorisatie></s:Header>\
         <s:Body><{operation} xmlns=\"http://www.edustandaard.nl/leerresultaten/2/{namespace}\">{inside}</{operation}>\
         </s:Body></s:Envelope>",
        part("autorisatiesleutel"),
        part("klantcode"),
        part("klantnaam")
    )
}

pub(crate) const ASK: &str =
    "<schooljaar>2026-2027</schooljaar><brincode>99DE</brincode><xsdversie>2.2</xsdversie>";
pub(crate) const PUPILS: &str = "<groepen><groep key=\"G1\"><naam>4A</naam><jaargroep>4</jaargroep></groep></groepen>\
     <leerlingen><leerling key=\"100001\"><achternaam>Jansen</achternaam><roepnaam>Jip</roepnaam><groep key=\"G1\"/>\
     <bsn>999990019</bsn></leerling></leerlingen><leerkrachten><leerkracht key=\"LK1\"><achternaam>Testina</achternaam>\
     </leerkracht></leerkrachten>";

pub(crate) fn attribute<'t>(text: &'t str, element: &str, name: &str) -> &'t str {
    let (_, after) =
        text.split_once(&format!("<{element} ")).unwrap_or_else(|| panic!("{element} in {text}"));
    let (_, after) = after.split_once(&format!("{name}=\"")).unwrap();
    after.split_once('"').unwrap().0
}

/// Six hundred pupils, of which the LAS holds back the last part until it is told.
pub(crate) fn held_back(document: String, at: usize) -> (FakeLas, Sender<bool>) {
    let (release, held) = mpsc::channel();
    let las = FakeLas::new(Box::new(move |_, stream| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            document.len()
        );
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&document.as_bytes()[..at]);
        if held.recv() == Ok(true) {
            let _ = stream.write_all(&document.as_bytes()[at..]);
        }
    }));
    (las, release)
}

pub(crate) fn many_pupils() -> String {
    let pupils: String = (0..600)
        .map(|i| format!("<leerling key=\"{}\"><roepnaam>Jip</roepnaam></leerling>", 200_000 + i))
        .collect();
    feed(&format!("<leerlingen>{pupils}</leerlingen>"))
}

/// Reads until the first pupil has arrived.
pub(crate) fn begin(stream: &mut Tls) -> Vec<u8> {
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    while !String::from_utf8_lossy(&text).contains("<leerling ") {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&buffer[..read]);
    }
    text
}
