//! What is kept of an exchange: its place among those at once, what the log lines about it carry, and how it ended.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::StatusCode;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tracing::{Span, field::Empty};
use uuid::Uuid;

use super::fault::Stop;
use crate::{
    disclosure::Log,
    fault::FaultCode,
    metrics::{ExchangeOutcome, Matter, Metrics},
};

/// Where exchanges are recorded and counted.
pub(super) struct Books {
    pub(super) log: Log,
    pub(super) metrics: Arc<Metrics>,
    said: AtomicBool,
}

impl Books {
    pub(super) fn new(log: Log, metrics: Arc<Metrics>) -> Self {
        Self { log, metrics, said: AtomicBool::new(false) }
    }

    /// Every exchange fails once the log cannot be written; that is said once.
    fn look_at_log(&self) {
        if !self.log.is_writable() && !self.said.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "the disclosure log cannot be written, so nothing is released; free or mend the disk and restart sluis"
            );
        }
    }
}

/// The account of one exchange. All who work on it hold it, and when the last lets go the exchange has ended: only
/// then is it counted, timed, and its place free. Work that goes on after the supplier hung up still has its place.
pub(super) struct Account {
    pub(super) books: Arc<Books>,
    pub(super) transaction: Uuid,
    /// What every log line about the exchange carries: transaction, operation, school, recipient.
    pub(super) span: Span,
    began: Instant,
    told: Mutex<Told>,
    _place: Option<OwnedSemaphorePermit>,
}

struct Told {
    matter: Option<Matter>,
    status: u16,
    /// Failed until somebody knows better: an exchange that was abandoned has failed.
    outcome: ExchangeOutcome,
}

impl Account {
    pub(super) fn open(
        books: Arc<Books>,
        transaction: Uuid,
        place: Option<OwnedSemaphorePermit>,
    ) -> Arc<Self> {
        // At the level of errors, so that their lines carry it whatever else is silenced.
        let span = tracing::error_span!(
            "exchange",
            %transaction,
            operation = Empty,
            school = Empty,
            recipient = Empty
        );
        let told = Told { matter: None, status: 0, outcome: ExchangeOutcome::Failed };
        Arc::new(Self {
            books,
            transaction,
            span,
            began: Instant::now(),
            told: Mutex::new(told),
            _place: place,
        })
    }

    /// When it has lasted so long.
    pub(super) fn until(&self, longest: Duration) -> Instant {
        self.began + longest
    }

    pub(super) fn asks(&self, matter: Matter) {
        self.span.record("operation", matter.label());
        self.told().matter = Some(matter);
    }

    /// The status of the answer.
    pub(super) fn answered(&self, status: StatusCode) {
        self.told().status = status.as_u16();
    }

    pub(super) fn stopped(&self, stop: &Stop) {
        self.told().outcome = match stop {
            Stop::Fault(fault)
                if matches!(fault.code, FaultCode::InterneFout | FaultCode::TijdelijkNietBeschikbaar) =>
            {
                ExchangeOutcome::Failed
            }
            Stop::Problem(_, "internal" | "unavailable") => ExchangeOutcome::Failed,
            Stop::Fault(_) | Stop::Problem(..) => ExchangeOutcome::Refused,
        };
    }

    pub(super) fn sent(&self) {
        self.told().outcome = ExchangeOutcome::Sent;
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let told = self.told.get_mut().unwrap_or_else(PoisonError::into_inner);
        let metrics = &self.books.metrics;
        metrics.exchange(told.matter, told.outcome);
        metrics.exchange_seconds.observe(self.began.elapsed().as_secs_f64());
        let _entered = self.span.enter();
        self.books.look_at_log();
        let operation = told.matter.map_or("unknown", Matter::label);
        let transaction = self.transaction;
        tracing::info!(%transaction, operation, status = told.status, outcome = told.outcome.label(), "exchange");
    }
}
