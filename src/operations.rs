//! The operations port: `/live`, `/ready`, `/metrics`. Never personal data.

use std::sync::Arc;

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use prometheus::{Encoder, Registry, TextEncoder};

use crate::{bridge::Body, ingress::listener::Handler, problem_details};

/// What has to hold before requests are sent here.
pub trait Readiness: Send + Sync + 'static {
    /// Each check by name, and whether it holds.
    fn checks(&self) -> Vec<(&'static str, bool)>;

    /// Brings gauges up to date before they are read.
    fn refresh(&self);
}

/// Answers on the operations port.
pub struct Operations<R> {
    registry: Registry,
    readiness: Arc<R>,
}

impl<R: Readiness> Operations<R> {
    /// Answers for these.
    pub fn new(registry: Registry, readiness: Arc<R>) -> Self {
        Self { registry, readiness }
    }

    fn ready(&self) -> Response<Body> {
        let checks = self.readiness.checks();
        let all = checks.iter().all(|&(_, holds)| holds);
        let listed: Vec<_> = checks.iter().map(|(name, holds)| format!("\"{name}\":{holds}")).collect();
        let text = format!("{{\"ready\":{all},{}}}\n", listed.join(","));
        let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        answer(status, "application/json", text.into_bytes())
    }

    fn metrics(&self) -> Response<Body> {
        self.readiness.refresh();
        let encoder = TextEncoder::new();
        let mut text = Vec::new();
        match encoder.encode(&self.registry.gather(), &mut text) {
            Ok(()) => answer(StatusCode::OK, "text/plain; version=0.0.4", text),
            Err(_) => problem_details::response(StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

impl<R: Readiness> Handler for Operations<R> {
    async fn handle(&self, _: Option<Arc<[u8]>>, request: Request<Incoming>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return problem_details::response(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed");
        }
        match request.uri().path() {
            "/live" => answer(StatusCode::OK, "text/plain", b"live\n".to_vec()),
            "/metrics" => self.metrics(),
            "/ready" => self.ready(),
            _ => problem_details::response(StatusCode::NOT_FOUND, "not-found"),
        }
    }
}
