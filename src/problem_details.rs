//! Answers to what is no UWLR message: `application/problem+json` (RFC 9457) with stable codes and nothing else.

use std::time::Duration;

use hyper::{
    Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};

use crate::bridge::Body;

/// A problem as an answer. `code` is part of the interface: suppliers may act on it.
pub fn response(status: StatusCode, code: &'static str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or("Error");
    let text = format!(
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{},\"code\":\"{code}\"}}\n",
        status.as_u16()
    );
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// The same, after which the connection is closed: what follows on it cannot be trusted to be a request.
pub fn closing(status: StatusCode, code: &'static str) -> Response<Body> {
    let mut response = response(status, code);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The same, with the advice to try again a little later.
pub fn retry(status: StatusCode, code: &'static str) -> Response<Body> {
    retry_after(status, code, Duration::from_secs(5))
}

/// The same, with the advice when to try again: not before that, in whole seconds.
pub fn retry_after(status: StatusCode, code: &'static str, wait: Duration) -> Response<Body> {
    let mut response = response(status, code);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}
