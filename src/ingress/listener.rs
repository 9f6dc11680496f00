//! Connections: accepted, bounded, handed to a handler, drained.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, HeaderMap, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{HandshakeKind, ServerConnection, pki_types::CertificateDer};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    socket::{Presence, Socket},
    stall::Stall,
};
use crate::{
    bridge::Body,
    framing::{Framed, MAX_HEAD, MAX_HEADERS, Refusal},
    metrics::{ConnectionRefusal, Metrics},
    party::PeerCertificate,
    problem_details,
    shutdown::Shutdown,
    tls,
};

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one. `peer` is the client's certificate in DER, checked by the handshake; none on a port without TLS. Among
    /// the request's extensions are a [`Presence`] and what the certificate says, read once for the connection, as an
    /// `Arc<PeerCertificate>`.
    fn handle(
        &self,
        peer: Option<Arc<[u8]>>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Bounds on connections.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// For the handshake, and for the head of each request.
    pub header_read: Duration,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Of these, with one client certificate; more are closed after the handshake.
    pub connections_per_certificate: usize,
    /// The longest a client may take nothing of what is sent to it.
    pub send_idle: Duration,
    /// The least it takes while it is waited for, over each `send_idle`.
    pub send_bytes_per_second: u64,
}

/// Bytes on their way to a client that the kernel holds. It would let that grow to megabytes, and a slow client would
/// show no progress for as long as those last.
pub(super) const SEND_BUFFER: u32 = 128 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// How often it is said that none can be accepted.
const SAID_EACH: Duration = Duration::from_secs(10);

/// Binds a listener.
///
/// # Errors
///
/// When the address cannot be had.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether a body comes as it is. None is ever decompressed, so none can grow.
pub(crate) fn is_uncompressed(headers: &HeaderMap) -> bool {
    let identity = |line: &HeaderValue| {
        let mut codings = line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
    };
    // Of two lines, no one sees the first alone.
    headers.get_all(CONTENT_ENCODING).iter().all(identity)
}

/// Connections per client certificate.
#[derive(Default)]
struct Seats(Mutex<HashMap<Arc<[u8]>, usize>>);

struct Seat {
    seats: Arc<Seats>,
    certificate: Arc<[u8]>,
}

impl Seats {
    fn take(self: &Arc<Self>, certificate: &Arc<[u8]>, most: usize) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(Arc::clone(certificate)).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat { seats: Arc::clone(self), certificate: Arc::clone(certificate) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.certificate) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.certificate);
            }
        }
    }
}

/// Counts a connection for as long as it is open, however it ends.
struct Counted(Arc<Metrics>);

impl Counted {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.connections.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

/// How long what was found of a client's certificate holds, while the configuration is the same.
const CHECKED: Duration = Duration::from_secs(60);

/// The certificate a client came in with, and when it was last looked at.
struct Peer {
    chain: Vec<CertificateDer<'static>>,
    own: Option<Arc<[u8]>>,
    tls: Arc<ArcSwap<tls::Server>>,
    checked: Mutex<Option<(Arc<tls::Server>, Instant)>>,
}

impl Peer {
    fn new(connection: &ServerConnection, at: Arc<tls::Server>, tls: Arc<ArcSwap<tls::Server>>) -> Self {
        let chain = connection.peer_certificates().unwrap_or_default();
        let chain: Vec<_> = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let own = chain.first().map(|certificate| Arc::from(certificate.as_ref()));
        // A session that is resumed brings its certificates along, and nobody looks at them.
        let looked_at = connection.handshake_kind() != Some(HandshakeKind::Resumed);
        let checked = Mutex::new(looked_at.then(|| (at, Instant::now())));
        Self { chain, own, tls, checked }
    }

    /// Whether it would still come in: authorities, revocation lists and certificates change while it is connected.
    fn is_accepted(&self) -> bool {
        let now = self.tls.load_full();
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let holds =
            |(under, at): &(Arc<tls::Server>, Instant)| Arc::ptr_eq(under, &now) && at.elapsed() < CHECKED;
        if !checked.as_ref().is_some_and(holds) {
            *checked = now.accepts(&self.chain).then(|| (now, Instant::now()));
        }
        checked.is_some()
    }
}

/// That the client of a request was let in, to be asked again for as long as its answer is under way.
#[derive(Clone)]
pub(crate) struct Admission(Arc<Peer>);

impl Admission {
    /// Whether it would be let in now.
    pub(crate) fn holds(&self) -> bool {
        self.0.is_accepted()
    }
}

/// Serves a listener until it is told to drain, and returns when the last connection has ended.
///
/// With `tls`, a connection begins with a handshake under the configuration of that moment. Connections that are open
/// when it is told to drain are served on: until their next answer, which is their last, or until they are idle and
/// told to hang up.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    tls: Option<Arc<ArcSwap<tls::Server>>>,
    settings: Settings,
    handler: Arc<H>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
) {
    let places = Arc::new(Semaphore::new(settings.connections));
    let seats = Arc::new(Seats::default());
    let connections = TaskTracker::new();
    let open = |stream: TcpStream, place: OwnedSemaphorePermit| {
        let (tls, handler) = (tls.clone(), Arc::clone(&handler));
        let (metrics, shutdown, seats) = (Arc::clone(&metrics), shutdown.clone(), Arc::clone(&seats));
        connections.spawn(async move {
            let _place = place;
            let _counted = Counted::new(&metrics);
            tokio::select! {
                () = connection(stream, tls, settings, &seats, handler, &metrics, &shutdown) => {}
                () = shutdown.stopped() => {}
            }
        });
    };
    let mut said: Option<Instant> = None;
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
            () = shutdown.draining() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.draining() => break,
        };
        match accepted {
            Ok((stream, _)) => open(stream, place),
            Err(error) => {
                // Out of file descriptors, most likely: others have to end first. Strangers can hold them, and are not
                // given a line for each attempt.
                if said.is_none_or(|last| last.elapsed() >= SAID_EACH) {
                    tracing::warn!(kind = %error.kind(), "connections cannot be accepted");
                    said = Some(Instant::now());
                }
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(100)) => continue,
                    () = shutdown.draining() => break,
                }
            }
        }
    }
    // A connection that waits to be accepted is reset when its listener closes, with the request in it.
    for stream in waiting(listener) {
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { break };
        open(stream, place);
    }
    connections.close();
    connections.wait().await;
}

/// What the kernel has let in and nobody has accepted yet. Closes the listener.
fn waiting(listener: TcpListener) -> impl Iterator<Item = TcpStream> {
    let listener = listener.into_std().ok();
    let accepted = std::iter::from_fn(move || {
        let (stream, _) = listener.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    });
    accepted.take(BACKLOG as usize)
}

async fn connection<H: Handler>(
    stream: TcpStream,
    tls: Option<Arc<ArcSwap<tls::Server>>>,
    settings: Settings,
    seats: &Arc<Seats>,
    handler: Arc<H>,
    metrics: &Arc<Metrics>,
    shutdown: &Shutdown,
) {
    // Small answers must not wait for more to come.
    let _ = stream.set_nodelay(true);
    let stream = Socket::new(stream);
    let presence = stream.presence();
    let stream = Stall::new(stream, settings.send_idle, settings.send_bytes_per_second);
    let Some(tls) = tls else {
        return requests(stream, None, presence, settings, handler, metrics, shutdown).await;
    };
    let at = tls.load_full();
    let handshake = TlsAcceptor::from(at.config()).accept(stream);
    let Ok(Ok(stream)) = timeout(settings.header_read, handshake).await else {
        metrics.connection_refused(ConnectionRefusal::Handshake);
        return;
    };
    let peer = Peer::new(stream.get_ref().1, at, tls);
    // One client must not have all connections to itself.
    let seat = peer.own.as_ref().map(|own| seats.take(own, settings.connections_per_certificate));
    if matches!(seat, Some(None)) {
        metrics.connection_refused(ConnectionRefusal::Certificate);
        return;
    }
    requests(stream, Some(Arc::new(peer)), presence, settings, handler, metrics, shutdown).await;
}

async fn requests<H, S>(
    stream: S,
    peer: Option<Arc<Peer>>,
    presence: Presence,
    settings: Settings,
    handler: Arc<H>,
    metrics: &Arc<Metrics>,
    shutdown: &Shutdown,
) where
    H: Handler,
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let broken = CancellationToken::new();
    let own = peer.as_ref().and_then(|peer| peer.own.as_deref());
    let known = own.and_then(PeerCertificate::from_der).map(Arc::new);
    let service = service_fn(|mut request: Request<Incoming>| {
        let (handler, peer, metrics) = (Arc::clone(&handler), peer.clone(), Arc::clone(metrics));
        let (broken, shutdown) = (broken.clone(), shutdown.clone());
        request.extensions_mut().insert(presence.clone());
        if let Some(known) = &known {
            request.extensions_mut().insert(Arc::clone(known));
        }
        if let Some(peer) = &peer {
            request.extensions_mut().insert(Admission(Arc::clone(peer)));
        }
        async move {
            if let Some(refusal) = Refusal::of(&request) {
                return Ok::<_, io::Error>(problem_details::closing(refusal.status(), refusal.code()));
            }
            if peer.as_ref().is_some_and(|peer| !peer.is_accepted()) {
                metrics.connection_refused(ConnectionRefusal::Withdrawn);
                tracing::warn!(
                    "a client certificate that was accepted no longer is: its connection is closed"
                );
                return Ok(problem_details::closing(StatusCode::FORBIDDEN, "certificate-not-accepted"));
            }
            if !is_uncompressed(request.headers()) {
                metrics.connection_refused(ConnectionRefusal::Compressed);
                let mut response =
                    problem_details::closing(StatusCode::UNSUPPORTED_MEDIA_TYPE, "compressed-request");
                response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
                return Ok(response);
            }
            let own = peer.and_then(|peer| peer.own.clone());
            let mut response = handler.handle(own, request).await;
            response.body().break_with(&broken);
            if shutdown.is_leaving() {
                // The process is about to stop: the next request goes to another.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_read)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .half_close(false)
        .serve_connection(TokioIo::new(Framed::requests(stream, Arc::clone(metrics))), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // A transfer that was broken off ends here too; it has been accounted for where it broke.
        ended = connection.as_mut() => {
            match ended {
                Err(error) if error.is_timeout() => metrics.connection_refused(ConnectionRefusal::Late),
                Err(error) if error.is_parse() => metrics.connection_refused(ConnectionRefusal::Framing),
                Ok(()) | Err(_) => {}
            }
            return;
        }
        () = broken.cancelled() => return,
        // An idle connection that is closed meets the next request halfway, and who sent it cannot know what became of
        // it. So they stay open at first: see `Shutdown`.
        () = shutdown.hanging_up() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        () = broken.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_per_certificate_and_given_back() {
        let seats = Arc::new(Seats::default());
        let (one, other): (Arc<[u8]>, Arc<[u8]>) = (Arc::from(&b"one"[..]), Arc::from(&b"other"[..]));
        let first = seats.take(&one, 2).expect("the first");
        let _second = seats.take(&one, 2).expect("the second");
        assert!(seats.take(&one, 2).is_none());
        assert!(seats.take(&other, 2).is_some());
        drop(first);
        assert!(seats.take(&one, 2).is_some());
        assert_eq!(seats.0.lock().expect("nothing panicked").len(), 1);
    }
}
