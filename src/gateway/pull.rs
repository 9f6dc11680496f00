//! Pupils' data, from the LAS to the supplier.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Response, StatusCode};
use tokio::{sync::oneshot, time::timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    Gateway,
    account::{Account, Books},
    aside,
    ask::las_request,
    fault::{self, Stop, UNAVAILABLE, fault, internal},
    permit::Permitted,
    xml,
};
use crate::{
    bridge::{self, AnswerBody, Body, BodyReader, BodyWriter, Patience},
    decode::Charset,
    delivery::Delivery,
    egress::Take,
    exchange::{Attempt, Begun, Disclosed, Error, begin},
    fault::FaultCode,
    las::{LasAnswer, LasError},
    stack::cleared,
    standing::{self, Ledger},
};

/// Of a request for a group, about.
const GROUP_BYTES: usize = 256;

impl Gateway {
    pub(super) async fn pull(
        &self,
        permitted: Permitted,
        account: &Arc<Account>,
    ) -> Result<Response<Body>, Stop> {
        let Permitted { request, delivery, client, state, school } = permitted;
        let books = &account.books;
        if !books.log.is_writable() {
            return Err(fault(FaultCode::TijdelijkNietBeschikbaar, UNAVAILABLE));
        }
        let limits = &state.config().limits;
        let until = account.until(limits.exchange);
        let action = request.operation.soap_action();
        let clock = Arc::clone(&self.clock);
        // A request may name very many groups.
        let size = request.groups.len() * GROUP_BYTES;
        let asked = aside(account, size, move || {
            let message = las_request(&request, &delivery, &school, clock.as_ref());
            (message, delivery)
        });
        let (message, delivery) = asked.await?;
        let answer = timeout_at(until, client.ask(action, &account.transaction.to_string(), message?)).await;
        let answer = answer.unwrap_or(Err(LasError::TimedOut));
        let LasAnswer { charset, body } =
            answer.map_err(|error| fault::of_las_error(&books.metrics, error))?;
        // Dropped with this future or with the answer, whichever the supplier leaves: nobody waits then.
        let unwanted = CancellationToken::new();
        let wanted = unwanted.clone().drop_guard();
        let patience =
            Patience { idle: limits.las_idle, bytes_per_second: limits.las_bytes_per_second, until };
        let source = BodyReader::begin(body, patience, limits.total_bytes.saturating_mul(2), unwanted).await;
        let (writer, answer) = bridge::answer(limits.send_idle, until);
        let (started, head) = oneshot::channel();
        let receiver = Receiver { writer, begin: Some((started, answer)) };
        let pulling = Pulling { account: Arc::clone(account), delivery, ledger: Arc::clone(&self.ledger) };
        let work = pulling.run(source, charset, receiver).instrument(account.span.clone());
        // What is on record has an outcome, also when the supplier hangs up: then this future is dropped, that one not.
        let work = self.tasks.spawn(work);
        if let Ok(body) = head.await {
            return Ok(xml(StatusCode::OK, Body::Stream(body.wanted(wanted))));
        }
        // Nothing has left, so there is room for a fault.
        Err(work.await.ok().and_then(Result::err).unwrap_or_else(internal))
    }
}

/// A document on its way, from its first byte to the outcome.
struct Pulling {
    account: Arc<Account>,
    delivery: Box<Delivery>,
    ledger: Arc<Ledger>,
}

impl Pulling {
    async fn run(self, source: BodyReader, charset: Option<Charset>, receiver: Receiver) -> Result<(), Stop> {
        // The stages read and write like files, so they have a thread of their own.
        let (pulling, begun) = off_the_network(self, move |pulling| {
            let Self { account, delivery, ledger } = pulling;
            let begun = cleared(|| begin(delivery, &account.books.log, source, charset, receiver));
            if let Begun::Ended(Attempt { ended: Err(Error::Held(held)), .. }) = &begun
                && let Err(error) = delivery.hold(ledger, held)
            {
                tracing::warn!(reason = %error, "that the delivery is held could not be put on record");
            }
            begun
        })
        .await?;
        let Self { account, delivery, .. } = &pulling;
        let books = &account.books;
        let Attempt { left, ended } = match begun {
            Begun::Ended(attempt) => attempt,
            Begun::Whole(pending) => pending.let_out(delivery, &books.log).await,
        };
        books.metrics.disclosed(&left.summary, left.bytes);
        let receiver = ended.map_err(|error| {
            fault::say(&error, left.chunks, left.bytes);
            fault::of_disclosure(&error)
        })?;
        let whole = receiver.writer.end().await;
        let noted = books.log.note_soon(delivery.outcome(&left, whole, 200)).await.is_ok();
        if !whole {
            tracing::warn!(left.chunks, left.bytes, "the supplier did not take the whole answer");
        } else if noted {
            account.sent();
        }
        pulling.keep(left, whole && noted).await
    }

    /// Keeps what the next delivery is compared with, where it is not what is kept already.
    async fn keep(self, left: Disclosed<()>, whole: bool) -> Result<(), Stop> {
        let baseline = left.baseline.filter(|_| whole);
        if baseline.is_none() && self.delivery.knows_feed(&self.ledger, &left.summary) {
            return Ok(());
        }
        off_the_network(self, move |pulling| {
            let Self { account, delivery, ledger } = pulling;
            if let Some(baseline) = &baseline {
                delivery.keep_baseline(baseline);
            }
            say_drift(&account.books, delivery.note_feed(ledger, &left.summary));
        })
        .await
        .map(|_| ())
    }
}

/// Works on a thread that may wait.
async fn off_the_network<T: Send + 'static>(
    pulling: Pulling,
    work: impl FnOnce(&Pulling) -> T + Send + 'static,
) -> Result<(Pulling, T), Stop> {
    let worked = tokio::task::spawn_blocking(move || {
        let done = pulling.account.span.in_scope(|| work(&pulling));
        (pulling, done)
    });
    worked.await.map_err(|_| internal())
}

/// Says what a feed holds that it never held before; whatever it is, it was withheld.
fn say_drift(books: &Books, new: Result<Vec<String>, standing::Error>) {
    match new {
        Ok(parts) => {
            for part in parts {
                books.metrics.drift.inc();
                tracing::warn!(part, "the feed holds something that it never held before; it is withheld");
            }
        }
        Err(error) => tracing::warn!(reason = %error, "what the feed holds could not be put on record"),
    }
}

/// The answer to a supplier, which begins with the first byte that may leave.
struct Receiver {
    writer: BodyWriter,
    begin: Option<(oneshot::Sender<AnswerBody>, AnswerBody)>,
}

impl Receiver {
    fn begin(&mut self) {
        if let Some((started, answer)) = self.begin.take() {
            // Whoever asked may be gone; then the next line says so.
            let _ = started.send(answer);
        }
    }
}

impl Take for Receiver {
    async fn take(&mut self, bytes: Bytes) -> std::io::Result<()> {
        self.begin();
        self.writer.take(bytes).await
    }
}

impl std::io::Write for Receiver {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.begin();
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
