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
    Method, Request, Response, StatusCode, Version,
    body::Incoming,
    header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::stall::Stall;
use crate::{
    bridge::Body,
    metrics::{ConnectionRefusal, Metrics},
    party::PeerCertificate,
    problem_details,
    shutdown::Shutdown,
};

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one. `peer` is the client's certificate in DER, checked by the handshake; none on a port without TLS. What it
    /// says, read once for the connection, is among the extensions of the request, as an `Arc<PeerCertificate>`.
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
}

/// Headers of a request at most.
const MAX_HEADERS: usize = 64;
/// Bytes of a request's head at most.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// Bytes on their way to a client that the kernel holds. It would let that grow to megabytes, and a slow client would
/// show no progress for as long as those last.
const SEND_BUFFER: u32 = 128 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

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

/// Bytes of a head. Hyper's own limit is on what it has read before it looks: the real one is up to twice that.
pub(crate) fn head_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
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

/// Serves a listener until it is told to drain, and returns when the last connection has ended.
///
/// With `tls`, a connection begins with a handshake under the configuration of that moment.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    settings: Settings,
    handler: Arc<H>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
) {
    let places = Arc::new(Semaphore::new(settings.connections));
    let seats = Arc::new(Seats::default());
    let connections = TaskTracker::new();
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
            () = shutdown.draining() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.draining() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: others have to end first.
                tracing::warn!(kind = %error.kind(), "a connection could not be accepted");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(100)) => continue,
                    () = shutdown.draining() => break,
                }
            }
        };
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
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection<H: Handler>(
    stream: TcpStream,
    tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    settings: Settings,
    seats: &Arc<Seats>,
    handler: Arc<H>,
    metrics: &Arc<Metrics>,
    shutdown: &Shutdown,
) {
    // Small answers must not wait for more to come.
    let _ = stream.set_nodelay(true);
    let stream = Stall::new(stream, settings.send_idle);
    let Some(tls) = tls else {
        return requests(stream, None, settings, handler, metrics, shutdown).await;
    };
    let handshake = TlsAcceptor::from(tls.load_full()).accept(stream);
    let Ok(Ok(stream)) = timeout(settings.header_read, handshake).await else {
        metrics.connection_refused(ConnectionRefusal::Handshake);
        return;
    };
    let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer: Option<Arc<[u8]>> = peer.map(|certificate| Arc::from(certificate.as_ref()));
    // One client must not have all connections to itself.
    let seat = peer.as_ref().map(|peer| seats.take(peer, settings.connections_per_certificate));
    if matches!(seat, Some(None)) {
        metrics.connection_refused(ConnectionRefusal::Certificate);
        return;
    }
    requests(stream, peer, settings, handler, metrics, shutdown).await;
}

async fn requests<H, S>(
    stream: S,
    peer: Option<Arc<[u8]>>,
    settings: Settings,
    handler: Arc<H>,
    metrics: &Arc<Metrics>,
    shutdown: &Shutdown,
) where
    H: Handler,
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let broken = CancellationToken::new();
    let known = peer.as_deref().and_then(PeerCertificate::from_der).map(Arc::new);
    let service = service_fn(|mut request: Request<Incoming>| {
        let (handler, peer, metrics) = (Arc::clone(&handler), peer.clone(), Arc::clone(metrics));
        let (broken, known) = (broken.clone(), known.clone());
        async move {
            if head_bytes(request.headers()) > MAX_HEAD {
                metrics.connection_refused(ConnectionRefusal::Framing);
                return Ok(problem_details::closing(
                    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                    "head-too-large",
                ));
            }
            if is_ambiguous(&request) {
                metrics.connection_refused(ConnectionRefusal::Framing);
                return Ok::<_, io::Error>(problem_details::closing(
                    StatusCode::BAD_REQUEST,
                    "ambiguous-request",
                ));
            }
            if let Some(known) = known {
                request.extensions_mut().insert(known);
            }
            let chunked = request.headers().contains_key(TRANSFER_ENCODING);
            let mut response = handler.handle(peer, request).await;
            response.body().break_with(&broken);
            if chunked {
                // Hyper drops a Content-Length that contradicts the chunks without a word. Whoever stands between us
                // may have believed it, so what follows on this connection is not read as a request.
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
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // A transfer that was broken off ends here too; it has been accounted for where it broke.
        _ = connection.as_mut() => return,
        () = broken.cancelled() => return,
        () = shutdown.draining() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        () = broken.cancelled() => {}
    }
}

/// Requests of which two readers could disagree where they end, or that ask for another protocol.
fn is_ambiguous(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    let encoding = headers.contains_key(TRANSFER_ENCODING);
    headers.get_all(CONTENT_LENGTH).iter().count() > 1
        || headers.get_all(TRANSFER_ENCODING).iter().count() > 1
        || (encoding && request.version() == Version::HTTP_10)
        || headers.contains_key(UPGRADE)
        || request.method() == Method::CONNECT
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
