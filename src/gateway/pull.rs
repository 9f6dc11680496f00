//! Pupils' data, from the LAS to the supplier.

use std::sync::Arc;

use hyper::{Response, StatusCode};
use tokio::{sync::oneshot, time::timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    Gateway,
    account::{Account, Books},
    ask::las_request,
    fault::{self, Stop, UNAVAILABLE, fault, internal},
    permit::Permitted,
    xml,
};
use crate::{
    bridge::{self, AnswerBody, Body, BodyReader, BodyWriter, Patience},
    exchange::{Attempt, Error, attempt},
    fault::FaultCode,
    las::{LasAnswer, LasError},
    stack::cleared,
    standing,
};

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
        let (clock, held) = (Arc::clone(&self.clock), Arc::clone(account));
        // A request may name very many groups.
        let asked = tokio::task::spawn_blocking(move || {
            let _held = held;
            let message = las_request(&request, &delivery, &school, clock.as_ref());
            (message, delivery)
        });
        let (message, delivery) = asked.await.map_err(|_| internal())?;
        let answer = timeout_at(until, client.ask(action, &account.transaction.to_string(), message?)).await;
        let answer = answer.unwrap_or(Err(LasError::TimedOut));
        let LasAnswer { charset, body } =
            answer.map_err(|error| fault::of_las_error(&books.metrics, error))?;
        // Dropped with this future or with the answer, whichever the supplier leaves: nobody waits then.
        let unwanted = CancellationToken::new();
        let wanted = unwanted.clone().drop_guard();
        let patience =
            Patience { idle: limits.las_idle, bytes_per_second: limits.las_bytes_per_second, until };
        let source = BodyReader::new(body, patience, limits.total_bytes.saturating_mul(2), unwanted);
        let (writer, answer) = bridge::answer(limits.send_idle, until);
        let (started, head) = oneshot::channel();
        let receiver = Receiver { writer, begin: Some((started, answer)) };
        let account = Arc::clone(account);
        let ledger = Arc::clone(&self.ledger);
        // The stages read and write like files, so they have a thread of their own.
        let work = self.tasks.spawn_blocking(move || {
            let _entered = account.span.enter();
            let books = &account.books;
            let attempt = || attempt(&delivery, &books.log, source, charset, receiver);
            let Attempt { left, ended } = cleared(attempt);
            books.metrics.disclosed(&left.summary, left.bytes);
            let receiver = ended.inspect_err(|error| {
                fault::say(error, left.chunks, left.bytes);
                if let Error::Held(held) = error
                    && let Err(error) = delivery.hold(&ledger, held)
                {
                    tracing::warn!(reason = %error, "that the delivery is held could not be put on record");
                }
            })?;
            let whole = receiver.writer.finish();
            let ended = delivery.ended(&books.log, &left, whole, 200);
            say_drift(books, delivery.note_feed(&ledger, &left.summary));
            if !whole {
                tracing::warn!(left.chunks, left.bytes, "the supplier did not take the whole answer");
            } else if ended.is_ok() {
                account.sent();
            }
            Ok(())
        });
        if let Ok(body) = head.await {
            return Ok(xml(StatusCode::OK, Body::Stream(body.wanted(wanted))));
        }
        // Nothing has left, so there is room for a fault.
        Err(match work.await {
            Ok(Err(error)) => fault::of_disclosure(&error),
            Ok(Ok(())) | Err(_) => internal(),
        })
    }
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

impl std::io::Write for Receiver {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some((started, answer)) = self.begin.take() {
            // Whoever asked may be gone; then the next line says so.
            let _ = started.send(answer);
        }
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
