//! The client side: towards a pupil administration, a collector of traces, recipients that want to be told, and an
//! identity provider.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Incoming,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
        HeaderValue, TRANSFER_ENCODING,
    },
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    decode::Charset,
    egress::OnRecord,
    ingress::listener::{MAX_HEAD, head_bytes},
};

/// Why a pupil administration gave no answer that can be read. Nothing it said is in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LasError {
    /// The connection broke, or its framing was wrong.
    Broken,
    /// No connection, or no TLS.
    Connect,
    /// A compressed answer, which was not asked for.
    ContentEncoding,
    /// More headers than it may have.
    Head,
    /// An answer that is no XML.
    NotXml,
    /// Another status than 200 and 500.
    Status,
    /// No answer in time.
    TimedOut,
}

impl LasError {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Broken,
        Self::Connect,
        Self::ContentEncoding,
        Self::Head,
        Self::NotXml,
        Self::Status,
        Self::TimedOut,
    ];

    /// A bounded label, for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Connect => "connect",
            Self::ContentEncoding => "content_encoding",
            Self::Head => "head",
            Self::NotXml => "not_xml",
            Self::Status => "status",
            Self::TimedOut => "timed_out",
        }
    }
}

/// The head of an answer, checked, and its body.
pub struct LasAnswer {
    /// What the head says of the encoding.
    pub charset: Option<Charset>,
    /// The body.
    pub body: Incoming,
}

/// How long a connection waits for its next use. One that waits holds on to the last it read, which is of pupils, and
/// there is no way to wipe it but to end the connection: so long enough for one request to follow another, and no longer.
const POOL_IDLE: Duration = Duration::from_secs(1);

/// A client for one pupil administration and one recipient: connections are never shared between recipients.
pub struct LasClient {
    url: Uri,
    response: Duration,
    client: Client<Connector, Full<Bytes>>,
}

impl LasClient {
    /// A client. Without `tls`, plain HTTP; the configuration allows that on loopback alone.
    pub fn new(
        url: Uri,
        tls: Option<Arc<rustls::ClientConfig>>,
        connect: Duration,
        response: Duration,
    ) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(4)
            .http1_max_buf_size(MAX_HEAD)
            .build(Connector { tls: tls.map(TlsConnector::from), connect });
        Self { url, response, client }
    }

    /// Posts a request that holds nothing of a person, and checks the head of the answer.
    ///
    /// # Errors
    ///
    /// [`LasError`].
    pub async fn ask(&self, action: &str, transaction: &str, request: String) -> Result<LasAnswer, LasError> {
        self.post(action, transaction, request.into()).await
    }

    /// Posts results, which are on record, and checks the head of the answer.
    ///
    /// # Errors
    ///
    /// [`LasError`].
    pub async fn bring(
        &self,
        action: &str,
        transaction: &str,
        results: OnRecord,
    ) -> Result<LasAnswer, LasError> {
        self.post(action, transaction, results.into_bytes()).await
    }

    async fn post(&self, action: &str, transaction: &str, body: Bytes) -> Result<LasAnswer, LasError> {
        let header = |text: &str| HeaderValue::from_str(text).map_err(|_| LasError::Broken);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        headers.insert(HOST, header(authority)?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert("soapaction", header(&format!("\"{action}\""))?);
        headers.insert("fsc-transaction-id", header(transaction)?);
        let answer =
            timeout(self.response, self.client.request(request)).await.map_err(|_| LasError::TimedOut)?;
        let answer =
            answer.map_err(|error| if error.is_connect() { LasError::Connect } else { LasError::Broken })?;
        if head_bytes(answer.headers()) > MAX_HEAD {
            return Err(LasError::Head);
        }
        if !matches!(answer.status(), StatusCode::OK | StatusCode::INTERNAL_SERVER_ERROR) {
            return Err(LasError::Status);
        }
        let charset = check_head(answer.headers())?;
        Ok(LasAnswer { charset, body: answer.into_body() })
    }
}

fn check_head(headers: &HeaderMap) -> Result<Option<Charset>, LasError> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(LasError::ContentEncoding);
    }
    // Without `chunked` at its end the body goes on to the end of the connection, whatever else it says it is.
    let mut transfers = headers.get_all(TRANSFER_ENCODING).iter();
    if transfers.any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Err(LasError::ContentEncoding);
    }
    let content_type =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or(LasError::NotXml)?;
    xml_charset(content_type).ok_or(LasError::NotXml)
}

/// The charset of a Content-Type for XML: nothing for another type or an encoding Sluis does not take, nothing inside
/// when it says none.
pub fn xml_charset(content_type: &str) -> Option<Option<Charset>> {
    let mut parts = content_type.split(';');
    let media = parts.next()?.trim();
    if !media.eq_ignore_ascii_case("text/xml") && !media.eq_ignore_ascii_case("application/xml") {
        return None;
    }
    for part in parts {
        let Some((name, value)) = part.split_once('=') else { continue };
        if name.trim().eq_ignore_ascii_case("charset") {
            return Charset::parse(value).map(Some);
        }
    }
    Some(None)
}

/// Why a collector, or another that is sent something, did not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectorError {
    /// No connection, no TLS, or a broken one.
    #[error("the other side cannot be reached, or broke off")]
    Connect,
    /// It took a part and rejected the rest.
    #[error("the collector rejected {rejected} of {spans} spans")]
    Rejected {
        /// Spans it rejected.
        rejected: u64,
        /// Spans it was sent.
        spans: usize,
    },
    /// Another status than one that says it was taken.
    #[error("the other side answered with status {0}")]
    Status(u16),
    /// No answer in time.
    #[error("the other side did not answer in time")]
    TimedOut,
}

/// A client for a collector of traces.
pub struct Collector {
    url: Uri,
    client: Client<Connector, Full<Bytes>>,
}

impl Collector {
    /// Bytes of an answer that are read.
    const ANSWER: usize = 64 * 1024;
    const CONNECT: Duration = Duration::from_secs(5);
    const RESPONSE: Duration = Duration::from_secs(30);

    /// The collector at an address, without its `/v1/traces`.
    ///
    /// # Errors
    ///
    /// What is wrong with the address: https takes certificates to know the other by, and plain http stays on this
    /// machine.
    pub fn new(url: &str, tls: Option<Arc<rustls::ClientConfig>>) -> Result<Self, &'static str> {
        let url: Uri =
            format!("{}/v1/traces", url.trim_end_matches('/')).parse().map_err(|_| "is no address")?;
        let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let address: Option<std::net::IpAddr> = host.parse().ok();
        let loopback = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        match (url.scheme_str(), &tls) {
            (Some("http"), None) if loopback => {}
            (Some("http"), None) => return Err("plain http is accepted on loopback only; write https"),
            (Some("http"), Some(_)) => return Err("--ca goes with https"),
            (Some("https"), Some(_)) => {}
            (Some("https"), None) => return Err("give the certificates it is known by with --ca"),
            _ => return Err("begins with neither http:// nor https://"),
        }
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(MAX_HEAD)
            .build(Connector { tls: tls.map(TlsConnector::from), connect: Self::CONNECT });
        Ok(Self { url, client })
    }

    /// Posts a request in JSON, and gives the answer.
    ///
    /// # Errors
    ///
    /// [`CollectorError`].
    pub async fn post(&self, request: String) -> Result<Bytes, CollectorError> {
        let mut post = Request::new(Full::new(Bytes::from(request)));
        *post.method_mut() = Method::POST;
        *post.uri_mut() = self.url.clone();
        post.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answered = async {
            let answer = self.client.request(post).await.map_err(|_| CollectorError::Connect)?;
            if !answer.status().is_success() {
                return Err(CollectorError::Status(answer.status().as_u16()));
            }
            let body = Limited::new(answer.into_body(), Self::ANSWER).collect().await;
            Ok(body.map_err(|_| CollectorError::Connect)?.to_bytes())
        };
        timeout(Self::RESPONSE, answered).await.map_err(|_| CollectorError::TimedOut)?
    }
}

/// A client for the webhook of a recipient, for one message.
pub struct Messenger {
    url: Uri,
    client: Client<Connector, Full<Bytes>>,
}

impl Messenger {
    /// A client. Without `tls`, plain HTTP; the configuration allows that on loopback alone.
    pub fn new(url: Uri, tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(MAX_HEAD)
            .build(Connector { tls: tls.map(TlsConnector::from), connect: Collector::CONNECT });
        Self { url, client }
    }

    /// Posts a message in JSON. Any status of success means that it was taken; what else is said is not read.
    ///
    /// # Errors
    ///
    /// [`CollectorError`].
    pub async fn post(
        &self,
        headers: [(&'static str, HeaderValue); 3],
        message: String,
    ) -> Result<(), CollectorError> {
        let mut post = Request::new(Full::new(Bytes::from(message)));
        *post.method_mut() = Method::POST;
        *post.uri_mut() = self.url.clone();
        post.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        post.headers_mut().extend(headers.map(|(name, value)| (HeaderName::from_static(name), value)));
        let answer = timeout(Collector::RESPONSE, self.client.request(post)).await;
        let answer = answer.map_err(|_| CollectorError::TimedOut)?.map_err(|_| CollectorError::Connect)?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(CollectorError::Status(answer.status().as_u16()))
        }
    }
}

/// A client for an identity provider. What it is sent on to is never followed: addresses come from its discovery alone.
pub struct IdentityClient {
    client: Client<Connector, Full<Bytes>>,
}

impl IdentityClient {
    /// Bytes of an answer that are read: a description, some keys or a token.
    const ANSWER: usize = 256 * 1024;
    const RESPONSE: Duration = Duration::from_secs(8);

    /// A client. Without `tls`, plain HTTP; the configuration allows that on loopback alone.
    pub fn new(tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(MAX_HEAD)
            .build(Connector { tls: tls.map(TlsConnector::from), connect: Collector::CONNECT });
        Self { client }
    }

    /// What stands at an address.
    ///
    /// # Errors
    ///
    /// [`CollectorError`].
    pub async fn get(&self, url: &Uri) -> Result<Bytes, CollectorError> {
        let mut get = Request::new(Full::default());
        *get.uri_mut() = url.clone();
        self.ask(get).await
    }

    /// Posts a form, and gives the answer.
    ///
    /// # Errors
    ///
    /// [`CollectorError`].
    pub async fn post(
        &self,
        url: &Uri,
        authorization: HeaderValue,
        form: String,
    ) -> Result<Bytes, CollectorError> {
        let mut post = Request::new(Full::new(Bytes::from(form)));
        *post.method_mut() = Method::POST;
        *post.uri_mut() = url.clone();
        let headers = post.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(AUTHORIZATION, authorization);
        self.ask(post).await
    }

    async fn ask(&self, mut request: Request<Full<Bytes>>) -> Result<Bytes, CollectorError> {
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let answered = async {
            let answer = self.client.request(request).await.map_err(|_| CollectorError::Connect)?;
            if answer.status() != StatusCode::OK {
                return Err(CollectorError::Status(answer.status().as_u16()));
            }
            let body = Limited::new(answer.into_body(), Self::ANSWER).collect().await;
            Ok(body.map_err(|_| CollectorError::Connect)?.to_bytes())
        };
        timeout(Self::RESPONSE, answered).await.map_err(|_| CollectorError::TimedOut)?
    }
}

#[derive(Clone)]
struct Connector {
    tls: Option<TlsConnector>,
    connect: Duration,
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let Self { tls, connect } = self.clone();
        Box::pin(async move {
            let connecting = async {
                let host =
                    url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
                let port = url.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
                let stream = TcpStream::connect((host.as_str(), port)).await?;
                stream.set_nodelay(true)?;
                match tls {
                    None => Ok(Stream::Plain(TokioIo::new(stream))),
                    Some(tls) => {
                        let name = ServerName::try_from(host).map_err(io::Error::other)?;
                        Ok(Stream::Tls(Box::new(TokioIo::new(tls.connect(name, stream).await?))))
                    }
                }
            };
            timeout(connect, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        })
    }
}

/// A connection with or without TLS.
enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
