//! `POST /uwlr`: who asks what, and how the answer travels. `/notices`: what recipients are told of those whose data they
//! hold.
//!
//! A request of the standard passes, in this order: certificate → recipient, form, autorisatie, school, agreement. Each can end it
//! with a UWLR fault, and until the last is passed the pupil administration does not hear of it. What it is sent is
//! built anew; nothing of the supplier's request is passed on as it came.

mod account;
mod ask;
mod bring;
mod fault;
mod notices;
mod permit;
mod pull;
mod webhook;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use account::{Account, Books};
use arc_swap::ArcSwap;
use fault::Stop;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    bridge::Body,
    clock::Clock,
    config::{Config, Las, Recipient, School},
    disclosure::Log,
    ingress::{Operation, listener::Handler},
    las::LasClient,
    metrics::Metrics,
    operations::Readiness,
    problem_details,
    pseudonym::holds_elfproef_number,
    shutdown::Shutdown,
    standing::Ledger,
};

/// What is asked for, by path and method.
enum Route {
    Notices(notices::Asked),
    Uwlr,
}

impl Route {
    fn of(method: &Method, path: &str) -> Result<Self, Stop> {
        let acknowledged = || path.strip_prefix("/notices/")?.strip_suffix("/acknowledge");
        let (route, wanted) = match path {
            "/notices" => (Self::Notices(notices::Asked::All), Method::GET),
            "/uwlr" => (Self::Uwlr, Method::POST),
            _ => match acknowledged().map(Uuid::try_parse) {
                Some(Ok(id)) => (Self::Notices(notices::Asked::Acknowledge(id)), Method::POST),
                Some(Err(_)) => return Err(Stop::Problem(StatusCode::NOT_FOUND, "notice-unknown")),
                None => return Err(Stop::Problem(StatusCode::NOT_FOUND, "not-found")),
            },
        };
        if *method != wanted {
            return Err(Stop::Problem(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"));
        }
        Ok(route)
    }
}

/// The configuration in force, and what was built from it.
pub struct State {
    config: Config,
    clients: Mutex<HashMap<(String, String), Arc<LasClient>>>,
}

impl State {
    /// Takes a configuration into force.
    pub fn new(config: Config) -> Self {
        Self { config, clients: Mutex::default() }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The client for a school on behalf of a recipient: each pair has connections of its own.
    fn client(&self, school: &School, las: &Las, recipient: &Recipient) -> Arc<LasClient> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = &self.config.limits;
        let client = clients.entry((school.brin.clone(), recipient.id.clone())).or_insert_with(|| {
            let (connect, response) = (limits.las_connect, limits.las_response);
            Arc::new(LasClient::new(las.url.clone(), las.tls.clone(), connect, response))
        });
        Arc::clone(client)
    }
}

/// Everything an exchange needs.
pub struct Gateway {
    state: Arc<ArcSwap<State>>,
    books: Arc<Books>,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    places: Arc<Semaphore>,
    /// Work that goes on when whoever asked for it has gone.
    tasks: TaskTracker,
}

impl Gateway {
    /// A gateway with a configuration, an open log and what stands by it.
    pub fn new(
        config: Config,
        log: Log,
        ledger: Arc<Ledger>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Self {
        let places = Arc::new(Semaphore::new(config.limits.exchanges));
        metrics.reload_success.set(1);
        let state = Arc::new(ArcSwap::from_pointee(State::new(config)));
        let books = Arc::new(Books::new(log, metrics));
        Self { state, books, ledger, clock, shutdown, places, tasks: TaskTracker::new() }
    }

    /// The configuration in force.
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Takes another configuration into force. Exchanges under way keep what they were decided by, as long as it names the
    /// same recipient for their certificate and the same agreement: else nothing more of them leaves.
    pub fn reload(&self, config: Config) {
        self.state.store(Arc::new(State::new(config)));
        // It may name webhooks that were not there before.
        self.ledger.look_again();
        self.books.metrics.reload_success.set(1);
    }

    /// Says that a reload failed; what was in force stays so.
    pub fn reload_failed(&self) {
        self.books.metrics.reload_success.set(0);
    }

    /// Returns once no exchange has work left, also none whose supplier has gone.
    pub async fn settled(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// A place among the exchanges at once.
    fn admit(&self, request: &Request<Incoming>) -> Result<(OwnedSemaphorePermit, Route), Stop> {
        let route = Route::of(request.method(), request.uri().path())?;
        if self.shutdown.is_draining() {
            return Err(Stop::Problem(StatusCode::SERVICE_UNAVAILABLE, "stopping"));
        }
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Stop::Problem(StatusCode::SERVICE_UNAVAILABLE, "busy"))?;
        Ok((place, route))
    }

    /// One exchange.
    async fn exchange(
        &self,
        peer: Option<Arc<[u8]>>,
        request: Request<Incoming>,
        account: &Arc<Account>,
    ) -> Result<Response<Body>, Stop> {
        let permitted = self.permit(peer, request, account).await?;
        match permitted.request.operation {
            Operation::BrengLeerresultaten => self.bring(permitted, account).await,
            Operation::HaalLeerkrachten
            | Operation::HaalLeerlinggegevens
            | Operation::HaalLeerlingen
            | Operation::HaalStructuur => self.pull(permitted, account).await,
        }
    }
}

impl Handler for Gateway {
    async fn handle(&self, peer: Option<Arc<[u8]>>, request: Request<Incoming>) -> Response<Body> {
        let transaction = transaction_id(request.headers(), self.clock.as_ref());
        let books = Arc::clone(&self.books);
        // Nothing about notices is kept on the way, and neither is that there are none.
        let private = request.uri().path().starts_with("/notices");
        let (account, answered) = match self.admit(&request) {
            Ok((place, route)) => {
                let account = Account::open(books, transaction, Some(place));
                let answered = async {
                    match route {
                        Route::Notices(asked) => self.notices(peer, request, asked, &account).await,
                        Route::Uwlr => self.exchange(peer, request, &account).await,
                    }
                };
                let answered = answered.instrument(account.span.clone()).await;
                (account, answered)
            }
            Err(stop) => (Account::open(books, transaction, None), Err(stop)),
        };
        let mut response = answered.unwrap_or_else(|stop| {
            account.stopped(&stop);
            match stop {
                Stop::Fault(fault) => {
                    self.books.metrics.refused(fault.code);
                    xml(StatusCode::INTERNAL_SERVER_ERROR, Body::full(fault::message(fault)))
                }
                Stop::Problem(status, code) => match status {
                    StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                        problem_details::closing(status, code)
                    }
                    StatusCode::SERVICE_UNAVAILABLE => problem_details::retry(status, code),
                    _ => problem_details::response(status, code),
                },
            }
        });
        account.answered(response.status());
        if private {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if let Ok(value) = HeaderValue::from_str(&transaction.to_string()) {
            response.headers_mut().insert("fsc-transaction-id", value);
        }
        response
    }
}

impl Readiness for Gateway {
    fn checks(&self) -> Vec<(&'static str, bool)> {
        let state = self.state.load();
        let config = state.config();
        let keys = config.schools.iter().all(|school| {
            [crate::keys::Purpose::Log, crate::keys::Purpose::Pseudonym]
                .into_iter()
                .all(|purpose| config.keys.current(&school.brin, purpose).is_some())
        });
        vec![
            ("keys", keys),
            ("log", self.books.log.is_writable()),
            // A configuration with an agreement that is not in order is never taken into force; the one before it
            // goes on to serve. `sluis_config_last_reload_success` tells of the other.
            ("agreements", true),
            ("serving", !self.shutdown.is_draining()),
        ]
    }

    fn refresh(&self) {
        let Books { log, metrics, .. } = self.books.as_ref();
        let stats = log.stats();
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.log_records.set(gauge(stats.records));
        metrics.log_rows.set(gauge(stats.rows));
        metrics.log_commits.set(gauge(stats.commits));
        metrics.log_writable.set(i64::from(log.is_writable()));
        let state = self.state.load();
        for days in ENDING {
            let count = state.config().agreements.ending_within(days, self.clock.today());
            metrics.agreements_ending(days, count);
        }
    }
}

/// Days ahead of its end that an agreement is counted.
const ENDING: [i64; 3] = [7, 30, 60];
/// How far a supplier's clock may be from ours.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The id a supplier gave the exchange, if it is one: made by a clock, not long ago, and no place where a number was
/// hidden to have it written into our logs. Otherwise one of our own.
fn transaction_id(headers: &HeaderMap, clock: &dyn Clock) -> Uuid {
    let given = headers.get("fsc-transaction-id").and_then(|value| value.to_str().ok());
    let given = given.and_then(|text| Uuid::try_parse(text).ok());
    given.filter(|id| is_plausible(id, clock)).unwrap_or_else(|| {
        loop {
            let own = Uuid::now_v7();
            if !holds_elfproef_number(&own.to_string()) {
                return own;
            }
        }
    })
}

fn is_plausible(id: &Uuid, clock: &dyn Clock) -> bool {
    let made = id.get_timestamp().map(|made| made.to_unix());
    let made_ms = made.map(|(seconds, nanos)| seconds.saturating_mul(1000) + u64::from(nanos / 1_000_000));
    id.get_version_num() == 7
        && made_ms.is_some_and(|made_ms| made_ms.abs_diff(clock.now_ms()) <= DAY_MS)
        && !holds_elfproef_number(&id.to_string())
}

fn xml(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FixedClock;

    #[test]
    fn a_transaction_id_is_one_or_is_ours() {
        let clock = FixedClock("2026-11-25T12:00:00Z".parse().expect("an instant"));
        let of = |ms: u64, rest: &str| format!("{:08x}-{:04x}-{rest}", ms >> 16, ms & 0xffff);
        let now = clock.now_ms();
        let rest = "7abc-8abc-abcdefabcdef";
        for (given, taken) in [
            (of(now, rest), true),
            (of(now - DAY_MS + 1000, rest), true),
            (of(now + DAY_MS - 1000, rest), true),
            (of(now - DAY_MS - 1000, rest), false),
            (of(now + DAY_MS + 1000, rest), false),
            (of(now, "4abc-8abc-abcdefabcdef"), false),
            (of(now, "7abc-8abc-000111222333"), false),
            ("00000000-0000-0000-0000-000111222333".into(), false),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6".into(), false),
            ("111222333".into(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("fsc-transaction-id", HeaderValue::from_str(&given).expect("ASCII"));
            let id = transaction_id(&headers, &clock).to_string();
            assert_eq!(id == given, taken, "{given}");
        }
    }
}
