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
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
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
    framing::{Framed, MAX_HEAD, MAX_HEADERS, Refusal},
    metrics::{ConnectionRefusal, Metrics},
    problem_details,
    shutdown::Shutdown,
};

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one. `peer` is the client's certificate in DER, checked by the handshake; none on a port without TLS.
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
    let service = service_fn(|request: Request<Incoming>| {
        let (handler, peer, broken) = (Arc::clone(&handler), peer.clone(), broken.clone());
        async move {
            if let Some(refusal) = Refusal::of(&request) {
                return Ok::<_, io::Error>(problem_details::closing(refusal.status(), refusal.code()));
            }
            let response = handler.handle(peer, request).await;
            response.body().break_with(&broken);
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
        _ = connection.as_mut() => return,
        () = broken.cancelled() => return,
        () = shutdown.draining() => connection.as_mut().graceful_shutdown(),
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
