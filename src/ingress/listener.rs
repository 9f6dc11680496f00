//! Connections: accepted, bounded, handed to a handler, drained.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::Incoming,
    header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING, UPGRADE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::{
    bridge::Body,
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
}

/// Headers of a request at most.
const MAX_HEADERS: usize = 64;
/// Bytes of a request's head at most.
const MAX_HEAD: usize = 64 * 1024;

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
        let (metrics, shutdown) = (Arc::clone(&metrics), shutdown.clone());
        connections.spawn(async move {
            let _place = place;
            metrics.connections.inc();
            tokio::select! {
                () = connection(stream, tls, settings, handler, &metrics, &shutdown) => {}
                () = shutdown.stopped() => {}
            }
            metrics.connections.dec();
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
    handler: Arc<H>,
    metrics: &Arc<Metrics>,
    shutdown: &Shutdown,
) {
    // Small answers must not wait for more to come.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return requests(stream, None, settings, handler, metrics, shutdown).await;
    };
    let handshake = TlsAcceptor::from(tls.load_full()).accept(stream);
    let Ok(Ok(stream)) = timeout(settings.header_read, handshake).await else {
        metrics.connection_refused(ConnectionRefusal::Handshake);
        return;
    };
    let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer = peer.map(|certificate| Arc::from(certificate.as_ref()));
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
    let service = service_fn(|request: Request<Incoming>| {
        let (handler, peer, metrics) = (Arc::clone(&handler), peer.clone(), Arc::clone(metrics));
        async move {
            if is_ambiguous(&request) {
                metrics.connection_refused(ConnectionRefusal::Framing);
                return Ok::<_, io::Error>(problem_details::closing(
                    StatusCode::BAD_REQUEST,
                    "ambiguous-request",
                ));
            }
            let chunked = request.headers().contains_key(TRANSFER_ENCODING);
            let mut response = handler.handle(peer, request).await;
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
        () = shutdown.draining() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
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
