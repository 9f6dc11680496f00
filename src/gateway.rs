//! `POST /uwlr`: who asks what, and how the answer travels. `/notices`: what recipients are told of those whose data they
//! hold.
//!
//! A request of the standard passes, in this order: certificate → recipient, form, autorisatie, school, agreement. Each can end it
//! with a UWLR fault, and until the last is passed the pupil administration does not hear of it. What it is sent is
//! built anew; nothing of the supplier's request is passed on as it came.

mod account;
mod ask;
mod bring;
mod door;
mod fault;
mod notices;
mod permit;
mod pull;
mod webhook;

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use account::{Account, Books};
use arc_swap::ArcSwap;
use door::{Places, Rates};
use fault::Stop;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    bridge::Body,
    clock::Clock,
    config::{Config, Las, Recipient, School},
    delivery::Preparations,
    disclosure::Log,
    expiry::Seen,
    ingress::{Operation, Presence, listener::Handler},
    las::LasClient,
    metrics::{Metrics, NotAdmitted},
    operations::Readiness,
    party::PeerCertificate,
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
    preparations: Arc<Preparations>,
}

impl State {
    /// Takes a configuration into force.
    pub fn new(config: Config) -> Self {
        Self { config, clients: Mutex::default(), preparations: Arc::default() }
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
    rates: Rates,
    places: Places,
    /// The certificates that recipients came with.
    seen: Seen,
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
        let places = Places::new(config.limits.exchanges);
        metrics.reload_success.set(1);
        metrics.endings(&config.endings);
        let state = Arc::new(ArcSwap::from_pointee(State::new(config)));
        let books = Arc::new(Books::new(log, metrics));
        let (rates, seen, tasks) = (Rates::default(), Seen::default(), TaskTracker::new());
        Self { state, books, ledger, clock, shutdown, rates, places, seen, tasks }
    }

    /// The configuration in force.
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Takes another configuration into force. Exchanges under way keep what they were decided by, as long as it names the
    /// same recipient for their certificate and the same agreement: else nothing more of them leaves.
    pub fn reload(&self, config: Config) {
        let metrics = &self.books.metrics;
        metrics.endings(&config.endings);
        let gone = self.seen.forget(|id| config.recipient(id).is_some());
        gone.iter().for_each(|id| metrics.recipient_gone(id));
        self.state.store(Arc::new(State::new(config)));
        // It may name webhooks that were not there before.
        self.ledger.look_again();
        metrics.reload_success.set(1);
    }

    /// Says that a reload failed; what was in force stays so.
    pub fn reload_failed(&self) {
        self.books.metrics.reload_success.set(0);
    }

    /// Says in the log what ends soon of the configuration, and of what recipients came with.
    pub fn warn_of_endings(&self) {
        let clock = self.clock.as_ref();
        self.state.load().config().endings.iter().for_each(|ending| ending.warn(clock));
        self.seen.warn(clock);
    }

    /// A recipient is known by its certificate.
    fn known(&self, recipient: &Recipient, peer: &PeerCertificate) {
        let until = self.seen.note(&recipient.id, peer, self.clock.as_ref());
        self.books.metrics.recipient_ends(&recipient.id, until);
    }

    /// Returns once no exchange has work left, also none whose supplier has gone.
    pub async fn settled(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Says when to come again to a client that asks more than its certificate may. Nothing else is done for it: it has
    /// no place, no account, and no line of its own in what the process says.
    fn asks_too_much(&self, peer: &[u8]) -> Option<Response<Body>> {
        let (state, now) = (self.state.load(), Instant::now());
        let wait = self.rates.take(peer, &state.config().limits, now).err()?;
        self.books.metrics.not_admitted(NotAdmitted::TooManyRequests);
        if let Some(refused) = self.rates.to_be_said(now) {
            let known = PeerCertificate::from_der(peer);
            let known = known.as_ref().and_then(|peer| state.config().recipient_of(peer));
            let recipient = known.map(|recipient| recipient.id.as_str());
            tracing::warn!(recipient, refused, "too many requests a second with one certificate");
        }
        Some(problem_details::retry_after(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", wait))
    }

    /// A place among the exchanges at once.
    async fn admit(
        &self,
        peer: &[u8],
        request: &mut Request<Incoming>,
    ) -> Result<(OwnedSemaphorePermit, Route), Stop> {
        let route = Route::of(request.method(), request.uri().path())?;
        let metrics = &self.books.metrics;
        let presence = request.extensions_mut().remove::<Presence>();
        let gone = async {
            match &presence {
                Some(presence) => presence.gone().await,
                None => std::future::pending().await,
            }
        };
        let state = self.state.load_full();
        let place = self.places.take(peer, &state.config().limits, gone, &self.shutdown, metrics).await;
        place.map(|place| (place, route)).map_err(|reason| {
            metrics.not_admitted(reason);
            let code = if reason == NotAdmitted::Stopping { "stopping" } else { "busy" };
            Stop::Problem(StatusCode::SERVICE_UNAVAILABLE, code)
        })
    }

    /// What becomes of a request that has a place.
    async fn admitted(
        &self,
        request: Request<Incoming>,
        transaction: Uuid,
        place: OwnedSemaphorePermit,
        route: Route,
    ) -> Response<Body> {
        let account = Account::open(Arc::clone(&self.books), transaction, Some(place));
        let answered = async {
            match route {
                Route::Notices(asked) => self.notices(request, asked, &account).await,
                Route::Uwlr => self.exchange(request, &account).await,
            }
        };
        match answered.instrument(account.span.clone()).await {
            Ok(response) => {
                account.answered(response.status());
                response
            }
            Err(stop) => self.stopped(&account, &stop),
        }
    }

    /// The answer to a request that was ended.
    fn stopped(&self, account: &Account, stop: &Stop) -> Response<Body> {
        account.stopped(stop);
        let response = match *stop {
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
        };
        account.answered(response.status());
        response
    }

    /// One exchange.
    async fn exchange(
        &self,
        request: Request<Incoming>,
        account: &Arc<Account>,
    ) -> Result<Response<Body>, Stop> {
        let permitted = self.permit(request, account).await?;
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
    async fn handle(&self, peer: Option<Arc<[u8]>>, mut request: Request<Incoming>) -> Response<Body> {
        let transaction = transaction_id(request.headers(), self.clock.as_ref());
        // Nothing about notices is kept on the way, and neither is that there are none.
        let private = request.uri().path().starts_with("/notices");
        let has_body = !request.body().is_end_stream();
        // Without a certificate there is no connection here; what comes without one all the same shares what it gets.
        let certificate = peer.unwrap_or_default();
        let mut response = match self.asks_too_much(&certificate) {
            Some(response) => closed_if(has_body, response),
            None => match self.admit(&certificate, &mut request).await {
                Ok((place, route)) => self.admitted(request, transaction, place, route).await,
                Err(stop) => {
                    let account = Account::open(Arc::clone(&self.books), transaction, None);
                    closed_if(has_body, self.stopped(&account, &stop))
                }
            },
        };
        if private {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if let Ok(value) = HeaderValue::from_str(&transaction.to_string()) {
            response.headers_mut().insert("fsc-transaction-id", value);
        }
        response
    }
}

/// Has a connection closed after an answer to a request of which the body was not read: it stands where the next would.
fn closed_if(has_body: bool, mut response: Response<Body>) -> Response<Body> {
    if has_body {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
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
            ("serving", !self.shutdown.is_leaving()),
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

/// Up to so many bytes are read at once, where they came in; to hand them to another thread takes longer than that.
const AT_ONCE: usize = 16 * 1024;

/// Does work on so many bytes for an exchange, on another thread when there are many: the network cannot wait for that.
async fn aside<T: Send + 'static>(
    account: &Arc<Account>,
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stop> {
    if bytes <= AT_ONCE {
        return catch_unwind(AssertUnwindSafe(work)).map_err(|_| fault::internal());
    }
    let held = Arc::clone(account);
    let done = tokio::task::spawn_blocking(move || {
        let _held = held;
        work()
    });
    done.await.map_err(|_| fault::internal())
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
