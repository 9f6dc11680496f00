//! Every request that reaches the handler is one that a strict reading of the same bytes gives, with the same body, and
//! nothing that follows what two readers could read in two ways reaches it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming};
use sluis::{
    bridge::Body,
    ingress::listener::{Handler, Settings, serve},
    metrics::Metrics,
    shutdown::Shutdown,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
    runtime::Runtime,
};

const SETTINGS: Settings = Settings {
    header_read: Duration::from_secs(60),
    connections: 16,
    connections_per_certificate: 16,
    send_idle: Duration::from_secs(60),
    send_bytes_per_second: 1,
};

/// A request as one reader has it.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    /// None where it did not come to its end.
    body: Option<Vec<u8>>,
}

#[derive(Default)]
struct Recorder(Mutex<Vec<Asked>>);

impl Handler for Recorder {
    async fn handle(&self, _: Option<Arc<[u8]>>, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let mut headers: Vec<_> = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()))
            .collect();
        headers.sort();
        let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
        let asked = Asked { method: head.method.to_string(), target: head.uri.to_string(), headers, body };
        self.0.lock().unwrap().push(asked);
        Response::new(Body::full("gelezen"))
    }
}

struct Stage {
    runtime: Runtime,
    address: SocketAddr,
    recorder: Arc<Recorder>,
}

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let recorder = Arc::new(Recorder::default());
    let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(serve(listener, None, SETTINGS, Arc::clone(&recorder), metrics, Shutdown::new()));
    Stage { runtime, address, recorder }
});

/// Sends these bytes on a connection of their own, and waits until it is over.
fn handled(bytes: &[u8]) -> Vec<Asked> {
    let Stage { runtime, address, recorder } = &*STAGE;
    runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        let stream = socket.connect(*address).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        // The server may close before it has read all.
        let (_, _) = tokio::join!(
            async {
                let _ = to.write_all(bytes).await;
                let _ = to.shutdown().await;
            },
            async {
                let mut answers = Vec::new();
                let _ = from.read_to_end(&mut answers).await;
            }
        );
    });
    std::mem::take(&mut recorder.0.lock().unwrap())
}

/// Reads a byte stream as RFC 9112 has it, without any of the leniences that it allows.
struct Strict<'a> {
    rest: &'a [u8],
}

impl<'a> Strict<'a> {
    /// The requests of it; after one that leaves any doubt there are no more.
    fn requests(bytes: &'a [u8]) -> Vec<Asked> {
        let mut strict = Self { rest: bytes };
        let mut requests = Vec::new();
        while let Some((request, goes_on)) = strict.request() {
            requests.push(request);
            if !goes_on {
                break;
            }
        }
        requests
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|&byte| byte == b'\n')?;
        let line = self.rest[..end].strip_suffix(b"\r")?;
        self.rest = &self.rest[end + 1..];
        (!line.contains(&b'\r')).then_some(line)
    }

    fn request(&mut self) -> Option<(Asked, bool)> {
        // Section 2.2: empty lines before a request line are passed over.
        while let Some(rest) = self.rest.strip_prefix(b"\r\n") {
            self.rest = rest;
        }
        let line = std::str::from_utf8(self.line()?).ok()?;
        let mut parts = line.split(' ');
        let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
        let shape = parts.next().is_none()
            && is_token(method.as_bytes())
            && !target.is_empty()
            && target.bytes().all(|byte| byte.is_ascii_graphic());
        if !shape {
            return None;
        }
        let newer = match version {
            "HTTP/1.0" => false,
            "HTTP/1.1" => true,
            _ => return None,
        };
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
            let clean = value.iter().all(|&byte| byte == b'\t' || byte >= b' ' && byte != 0x7F);
            if !is_token(name) || !clean {
                return None;
            }
            headers.push((String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_owned()));
        }
        let all = |name: &str| -> Vec<Vec<u8>> {
            headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.clone()).collect()
        };
        let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
        let mut goes_on = true;
        let body = match (&lengths[..], &codings[..]) {
            ([], []) => Some(Vec::new()),
            ([length], []) => {
                let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
                let length = std::str::from_utf8(length).ok().filter(|_| digits)?;
                let length: usize = length.parse().unwrap_or(usize::MAX);
                self.take(length)
            }
            (_, [coding]) if newer && coding.eq_ignore_ascii_case(b"chunked") => {
                // Section 6.3: who sends both may be smuggling, and is answered at most once.
                goes_on = lengths.is_empty();
                self.chunks()
            }
            _ => return None,
        };
        goes_on &= body.is_some();
        let connection = all("connection").concat().to_ascii_lowercase();
        let says = |word: &str| connection.windows(word.len()).any(|part| part == word.as_bytes());
        goes_on &= !says("close") && (newer || says("keep-alive"));
        headers.sort();
        Some((Asked { method: method.to_owned(), target: target.to_owned(), headers, body }, goes_on))
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let taken = self.rest.get(..length)?;
        self.rest = &self.rest[length..];
        Some(taken.to_owned())
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = line.split(|&byte| byte == b';').next().unwrap_or_default();
            if size.is_empty() || size.len() > 8 || !size.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
            if size == 0 {
                break;
            }
            body.extend(self.take(size)?);
            self.rest = self.rest.strip_prefix(b"\r\n")?;
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(body);
            }
            let colon = line.iter().position(|&byte| byte == b':')?;
            if !is_token(&line[..colon]) {
                return None;
            }
        }
    }
}

fn is_token(bytes: &[u8]) -> bool {
    let mark = |byte: &u8| b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || mark(byte))
}

fn trim(bytes: &[u8]) -> &[u8] {
    let blank = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let from = bytes.iter().position(blank).unwrap_or(bytes.len());
    let to = bytes.iter().rposition(blank).map_or(from, |at| at + 1);
    &bytes[from..to]
}

pub fn run(data: &[u8]) {
    let strict = Strict::requests(data);
    let handled = handled(data);
    for (at, asked) in handled.iter().enumerate() {
        let Some(strict) = strict.get(at) else {
            panic!("request {at} is none to a strict reader: {asked:?} after {strict:?}");
        };
        assert_eq!((&asked.method, &asked.headers), (&strict.method, &strict.headers), "request {at}");
        if strict.target.starts_with('/') {
            assert_eq!(asked.target, strict.target, "request {at}");
        }
        // Where a body does not come whole, nobody may take it for whole; the other way round costs an answer only.
        assert!(asked.body.is_none() || asked.body == strict.body, "request {at}: {asked:?} and {strict:?}");
    }
}
