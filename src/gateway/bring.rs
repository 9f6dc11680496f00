//! Results, from the supplier to the LAS.

use std::sync::Arc;

use hyper::{Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::{
    Gateway, State,
    account::Account,
    ask::authorisation_header,
    fault::{self, Stop, UNAVAILABLE, fault, internal},
    permit::Permitted,
    xml,
};
use crate::{
    bridge::{Body, BodyReader, Patience},
    catalogue::catalogue,
    decode::{self, decode},
    delivery::Delivery,
    disclosure::{self, Disclosure, Leaf, LeafKind, Outcome, OutcomeStatus, wal::MAX_ROWS},
    egress::OnRecord,
    fault::FaultCode,
    ingress::Operation,
    las::{LasAnswer, LasClient, LasError},
    pseudonym::TokenOpener,
    results::{self, Results, turn_back},
    shutdown::Shutdown,
    stack::cleared,
    token::Token,
};

impl Gateway {
    pub(super) async fn bring(
        &self,
        permitted: Permitted,
        account: &Arc<Account>,
    ) -> Result<Response<Body>, Stop> {
        let Permitted { request, delivery, client, state, school } = permitted;
        let header = authorisation_header(&school).ok_or_else(internal)?;
        let held = Arc::clone(account);
        let turned = tokio::task::spawn_blocking(move || {
            let _held = held;
            let scope = results::Scope {
                opener: TokenOpener(delivery.pseudonyms()),
                pseudonyms: delivery.pseudonyms(),
                pass_eckid: delivery.passes_eckid(),
                identity: school.identity,
                log_keys: delivery.log_keys(),
                recipient: delivery.scope().recipient,
            };
            let turned = cleared(|| turn_back(&scope, &header, &request.results));
            (turned, delivery)
        });
        let (turned, delivery) = turned.await.map_err(|_| internal())?;
        let results = turned.map_err(|refused| fault(refused.code(), refused.text()))?;
        let bringing = Bringing {
            account: Arc::clone(account),
            delivery,
            client,
            state,
            shutdown: self.shutdown.clone(),
        };
        // What is on record has an outcome, also when the supplier hangs up: then this future is dropped, that one not.
        let brought = self.tasks.spawn(bringing.run(results).instrument(account.span.clone()));
        brought.await.map_err(|_| internal())??;
        Ok(xml(StatusCode::OK, Body::full(confirmation_message())))
    }
}

/// Results on their way, from the first record about them to the last.
struct Bringing {
    account: Arc<Account>,
    delivery: Box<Delivery>,
    client: Arc<LasClient>,
    state: Arc<State>,
    shutdown: Shutdown,
}

impl Bringing {
    async fn run(self, results: Results) -> Result<(), Stop> {
        let log = &self.account.books.log;
        let bytes = results.document.len() as u64;
        let mut chunks = 0;
        let answer = match self.record(results, &mut chunks).await {
            Ok(results) => self.hand_over(results, bytes).await,
            Err(_) => Err(fault(FaultCode::TijdelijkNietBeschikbaar, UNAVAILABLE)),
        };
        if chunks > 0 {
            let status = if answer.is_ok() { OutcomeStatus::Sent } else { OutcomeStatus::Failed };
            let outcome = Outcome { status, http_status: 0, chunks, bytes };
            let mut leaf = self.delivery.leaf(LeafKind::Outcome);
            leaf.flags = Leaf::INBOUND;
            // If it cannot be written, the next start records it as unknown.
            let _ = log.note(leaf.with_outcome(outcome)).await;
        }
        match &answer {
            Ok(()) => self.account.sent(),
            Err(stop) => self.account.stopped(stop),
        }
        answer
    }

    /// Puts the message on record, `chunks` of it so far.
    async fn record(&self, results: Results, chunks: &mut u32) -> Result<OnRecord, disclosure::Error> {
        let log = &self.account.books.log;
        let mut leaf = self.delivery.leaf(LeafKind::Disclosure);
        leaf.flags = Leaf::INBOUND;
        let mut mac = self.delivery.log_keys().content_mac();
        mac.update(results.document.as_bytes());
        leaf.payload_mac = mac.finish();
        // Chunks of rows before the one that carries the message; with the last of them on record, all are.
        let mut rows = results.rows;
        while rows.len() > MAX_ROWS {
            let rest = rows.split_off(MAX_ROWS);
            let disclosure = Disclosure { leaf: leaf.clone(), rows: std::mem::replace(&mut rows, rest) };
            let _ = log.record(disclosure, ()).await?;
            leaf.chunk += 1;
            *chunks += 1;
        }
        leaf.flags |= Leaf::LAST;
        let recorded = log.record(Disclosure { leaf, rows }, results.document).await?;
        *chunks += 1;
        Ok(OnRecord::new(recorded))
    }

    /// Hands the results over, and waits for the LAS to confirm them.
    async fn hand_over(&self, results: OnRecord, bytes: u64) -> Result<(), Stop> {
        let metrics = &self.account.books.metrics;
        let limits = &self.state.config().limits;
        let until: Instant = self.account.until(limits.exchange);
        let action = Operation::BrengLeerresultaten.soap_action();
        let transaction = self.account.transaction.to_string();
        let brought = tokio::select! {
            brought = timeout_at(until, self.client.bring(action, &transaction, results)) => {
                brought.unwrap_or(Err(LasError::TimedOut))
            }
            () = self.shutdown.stopped() => Err(LasError::Broken),
        };
        if brought.as_ref().err() != Some(&LasError::Connect) {
            metrics.bytes_out.inc_by(bytes);
        }
        let LasAnswer { charset, body } = brought.map_err(|error| fault::of_las_error(metrics, error))?;
        let patience =
            Patience { idle: limits.las_idle, bytes_per_second: limits.las_bytes_per_second, until };
        let source = BodyReader::new(body, patience, limits.request_bytes as u64, self.shutdown.stop_token());
        let (decode, account) = (limits.decode(), Arc::clone(&self.account));
        let read = tokio::task::spawn_blocking(move || {
            let _entered = account.span.enter();
            cleared(|| confirmation(source, charset, &decode))
        });
        read.await.map_err(|_| internal())?
    }
}

fn confirmation_message() -> String {
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
     <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body>\
     <leerresultaten_bevestiging xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerresultaten\"/>\
     </soapenv:Body></soapenv:Envelope>\n"
        .into()
}

/// Reads the LAS's answer to results: a confirmation, or a fault.
fn confirmation(
    source: BodyReader,
    charset: Option<decode::Charset>,
    limits: &decode::Limits,
) -> Result<(), Stop> {
    let expected = catalogue().record_named("bevestiging");
    let mut confirmed = false;
    let read = decode(source, charset, limits, &mut |token: Token<'_>| match token {
        Token::Fault(code) => {
            let code = FaultCode::parse(code);
            fault::say_las_fault(code);
            Err(fault::of_las_fault(code))
        }
        Token::Record(kind, _) => {
            confirmed |= kind == expected;
            Ok(())
        }
        _ => Ok(()),
    });
    match read {
        Ok(()) if confirmed => Ok(()),
        Err(decode::Error::Sink(fault)) => Err(Stop::Fault(fault)),
        Ok(()) | Err(decode::Error::Decode(_)) => {
            Err(fault(FaultCode::TijdelijkNietBeschikbaar, UNAVAILABLE))
        }
    }
}
