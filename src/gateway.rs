//! `POST /uwlr`: who asks what, and how the answer travels.
//!
//! A request passes, in this order: certificate → recipient, form, autorisatie, school, agreement. Each can end it
//! with a UWLR fault, and until the last is passed the pupil administration does not hear of it. What it is sent is
//! built anew; nothing of the supplier's request is passed on as it came.

mod ask;
mod fault;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use arc_swap::ArcSwap;
use ask::{authorisation_header, las_request};
use fault::{REFUSED, Stop, UNAVAILABLE, fault};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

use crate::{
    bridge::{self, AnswerBody, Body, BodyError, BodyReader, BodyWriter, read_body},
    catalogue::catalogue,
    clock::Clock,
    config::{Config, Las, Recipient, School},
    decode::{self, decode},
    delivery::{Asked, Delivery},
    disclosure::{Disclosure, Leaf, LeafKind, Log, Outcome, OutcomeStatus},
    egress::OnRecord,
    exchange::{Error as ExchangeError, disclose},
    fault::FaultCode,
    ingress::{self, Operation, RequestError, listener::Handler},
    las::{LasAnswer, LasClient, LasError, xml_charset},
    metrics::{ExchangeOutcome, Metrics},
    operations::Readiness,
    party::PeerCertificate,
    problem_details,
    pseudonym::TokenOpener,
    results::{self, turn_back},
    shutdown::Shutdown,
    token::Token,
};

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
    state: ArcSwap<State>,
    log: Log,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    places: Arc<Semaphore>,
}

/// A request that may be answered.
struct Permitted {
    request: ingress::Request,
    delivery: Delivery,
    client: Arc<LasClient>,
    state: Arc<State>,
    school: Arc<School>,
    transaction: Uuid,
}

impl Gateway {
    /// A gateway with a configuration and an open log.
    pub fn new(
        config: Config,
        log: Log,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Self {
        let places = Arc::new(Semaphore::new(config.limits.exchanges));
        metrics.reload_success.set(1);
        Self { state: ArcSwap::from_pointee(State::new(config)), log, metrics, clock, shutdown, places }
    }

    /// Takes another configuration into force. Exchanges under way keep theirs.
    pub fn reload(&self, config: Config) {
        self.state.store(Arc::new(State::new(config)));
        self.metrics.reload_success.set(1);
    }

    /// Says that a reload failed; what was in force stays so.
    pub fn reload_failed(&self) {
        self.metrics.reload_success.set(0);
    }

    /// One exchange.
    async fn exchange(
        &self,
        peer: Option<Arc<[u8]>>,
        request: Request<Incoming>,
        operation: &mut Option<Operation>,
        transaction: Uuid,
        place: OwnedSemaphorePermit,
    ) -> Result<Response<Body>, Stop> {
        let permitted = self.permit(peer, request, operation, transaction).await?;
        match permitted.request.operation {
            Operation::BrengLeerresultaten => self.bring(permitted).await,
            Operation::HaalLeerkrachten
            | Operation::HaalLeerlinggegevens
            | Operation::HaalLeerlingen
            | Operation::HaalStructuur => self.pull(permitted, place).await,
        }
    }

    /// Certificate, form, autorisatie, school, agreement.
    async fn permit(
        &self,
        peer: Option<Arc<[u8]>>,
        request: Request<Incoming>,
        operation: &mut Option<Operation>,
        transaction: Uuid,
    ) -> Result<Permitted, Stop> {
        let state = self.state.load_full();
        let config = state.config();
        let peer = peer.and_then(|der| PeerCertificate::from_der(&der));
        let recipient = peer.as_ref().and_then(|peer| config.recipient_of(peer)).cloned();
        let (Some(peer), Some(recipient)) = (peer, recipient) else {
            return Err(fault(
                FaultCode::AutorisatieOngeldig,
                "Het certificaat is van geen bekende afnemer.",
            ));
        };
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let Some(charset) = content_type.and_then(xml_charset) else {
            return Err(Stop::Problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"));
        };
        let action = request.headers().get("soapaction").and_then(|value| value.to_str().ok());
        let action = action.map(|action| action.trim().trim_matches('"').to_owned());
        let limits = &config.limits;
        let body = read_body(request.into_body(), limits.request_bytes, limits.request_read).await;
        let body = body.map_err(|error| match error {
            BodyError::Broken => Stop::Problem(StatusCode::BAD_REQUEST, "incomplete-request"),
            BodyError::TooLarge => Stop::Problem(StatusCode::PAYLOAD_TOO_LARGE, "request-too-large"),
            BodyError::TooSlow => Stop::Problem(StatusCode::REQUEST_TIMEOUT, "request-too-slow"),
        })?;
        let request = ingress::read(&body, charset, &limits.decode()).map_err(|error| {
            let text = match error {
                RequestError::Form(_) => "Een datum, schooljaar, BRIN of versie is ongeldig.",
                RequestError::Operation => "Geen bekende UWLR-operatie.",
                RequestError::Records => "Het bericht bevat te veel resultaten.",
                RequestError::School => "Het bericht noemt geen school: brincode of schoolkey ontbreekt.",
                RequestError::Xml(_) => "Het bericht is geen geldige XML.",
            };
            fault(FaultCode::OngeldigBericht, text)
        })?;
        *operation = Some(request.operation);
        let other = Operation::ALL
            .iter()
            .any(|known| *known != request.operation && action.as_deref() == Some(known.soap_action()));
        if other {
            return Err(fault(FaultCode::OngeldigBericht, "SOAPAction en bericht spreken elkaar tegen."));
        }
        if let Some(expected) = &recipient.authorisation {
            let presented = request.presented.as_ref();
            let matches = presented.is_some_and(|p| expected.matches(&p.sleutel, &p.klantcode, &p.klantnaam));
            if !matches {
                return Err(fault(
                    FaultCode::AutorisatieOngeldig,
                    "De autorisatie ontbreekt of is ongeldig.",
                ));
            }
        }
        let school = match (&request.brin, &request.schoolkey) {
            (Some(brin), _) => config.school(brin),
            (None, Some(key)) => config.school_by_key(key),
            (None, None) => None,
        };
        let school =
            school.filter(|school| school.dependance.as_ref().is_none_or(|own| *own == request.dependance));
        let (Some(school), Some(las)) = (school.cloned(), school.and_then(|school| school.las.as_ref()))
        else {
            return Err(fault(FaultCode::AutorisatieOngeldig, REFUSED));
        };
        let asked = Asked {
            school: &school,
            dependance: Some(request.dependance.clone()),
            recipient: &recipient,
            expected: request.operation.answer(catalogue()),
            transaction,
            certificate: peer.thumbprint(),
        };
        let Ok(delivery) = Delivery::decide(config, &asked, &self.clock) else {
            // A refusal by policy is on record too. If it cannot be, it is refused all the same.
            let _ = self.log.note(asked.refusal(self.clock.as_ref())).await;
            return Err(fault(FaultCode::AutorisatieOngeldig, REFUSED));
        };
        let client = state.client(&school, las, &recipient);
        Ok(Permitted { request, delivery, client, state, school, transaction })
    }

    /// Pupils' data, from the LAS to the supplier.
    async fn pull(&self, permitted: Permitted, place: OwnedSemaphorePermit) -> Result<Response<Body>, Stop> {
        let Permitted { request, delivery, client, state, school, transaction } = permitted;
        if !self.log.is_writable() {
            return Err(fault(FaultCode::TijdelijkNietBeschikbaar, UNAVAILABLE));
        }
        let message = las_request(&request, &delivery, &school, self.clock.as_ref())?;
        let action = request.operation.soap_action();
        let answer = client.ask(action, &transaction.to_string(), message).await;
        let LasAnswer { charset, body } = answer.map_err(|error| self.las_failed(error))?;
        let limits = &state.config().limits;
        let source = BodyReader::new(body, limits.las_idle, limits.total_bytes.saturating_mul(2));
        let (writer, answer) = bridge::answer(limits.send_idle);
        let (started, head) = oneshot::channel();
        let receiver = Receiver { writer, begin: Some((started, answer)) };
        let (log, metrics) = (self.log.clone(), Arc::clone(&self.metrics));
        let operation = request.operation;
        // The stages read and write like files, so they have a thread of their own.
        let work = tokio::task::spawn_blocking(move || {
            let _place = place;
            let disclosed = disclose(&delivery, &log, source, charset, receiver)?;
            metrics.disclosed(&disclosed.summary, disclosed.bytes);
            let (receiver, rest) = disclosed.split();
            let whole = receiver.writer.finish();
            let ended = delivery.ended(&log, &rest, whole, 200);
            let sent = whole && ended.is_ok();
            metrics.exchange(
                Some(operation),
                if sent { ExchangeOutcome::Sent } else { ExchangeOutcome::Failed },
            );
            Ok::<_, ExchangeError>(())
        });
        if let Ok(body) = head.await {
            let metrics = Arc::clone(&self.metrics);
            tokio::spawn(async move {
                // What ends it after something has left shows in the log and here; the receiver sees the break.
                if !matches!(work.await, Ok(Ok(()))) {
                    metrics.exchange(Some(operation), ExchangeOutcome::Failed);
                }
            });
            return Ok(xml(StatusCode::OK, Body::Stream(body)));
        }
        // Nothing has left, so there is room for a fault.
        Err(match work.await {
            Ok(Err(error)) => fault::of_disclosure(&error),
            Ok(Ok(())) | Err(_) => fault(FaultCode::InterneFout, "Interne fout."),
        })
    }

    /// Results, from the supplier to the LAS.
    async fn bring(&self, permitted: Permitted) -> Result<Response<Body>, Stop> {
        let Permitted { request, delivery, client, state, school, transaction } = permitted;
        let internal = || fault(FaultCode::InterneFout, "Interne fout.");
        let identity = school.identity;
        let header = authorisation_header(&school).ok_or_else(internal)?;
        let operation = request.operation;
        let turned = tokio::task::spawn_blocking(move || {
            let scope = results::Scope {
                opener: TokenOpener(delivery.pseudonyms()),
                pseudonyms: delivery.pseudonyms(),
                pass_eckid: delivery.passes_eckid(),
                identity,
                log_keys: delivery.log_keys(),
                recipient: delivery.scope().recipient,
            };
            let turned = turn_back(&scope, &header, &request.results);
            (turned, delivery)
        });
        let (turned, delivery) = turned.await.map_err(|_| internal())?;
        let results = turned.map_err(|_| {
            let text = "Een leerling of leerkracht in het bericht is niet bekend onder deze sleutel.";
            fault(FaultCode::LeerlingOngeldig, text)
        })?;
        let bytes = results.document.len() as u64;
        let unavailable = |_| fault(FaultCode::TijdelijkNietBeschikbaar, UNAVAILABLE);
        let mut leaf = delivery.leaf(LeafKind::Disclosure);
        leaf.flags = Leaf::INBOUND;
        let mut mac = delivery.log_keys().content_mac();
        mac.update(results.document.as_bytes());
        leaf.payload_mac = mac.finish();
        // Chunks of rows before the one that carries the message; with the last of them on record, all are.
        let mut rows = results.rows;
        while rows.len() > crate::disclosure::wal::MAX_ROWS {
            let rest = rows.split_off(crate::disclosure::wal::MAX_ROWS);
            let disclosure = Disclosure { leaf: leaf.clone(), rows: std::mem::replace(&mut rows, rest) };
            self.log.record(disclosure, ()).await.map(|_| ()).map_err(unavailable)?;
            leaf.chunk += 1;
        }
        leaf.flags |= Leaf::LAST;
        let chunks = leaf.chunk + 1;
        let recorded =
            self.log.record(Disclosure { leaf, rows }, results.document).await.map_err(unavailable)?;
        let action = operation.soap_action();
        let brought = client.bring(action, &transaction.to_string(), OnRecord::new(recorded)).await;
        let answer = match brought {
            Ok(LasAnswer { charset, body }) => {
                let limits = state.config().limits.clone();
                let source = BodyReader::new(body, limits.las_idle, limits.request_bytes as u64);
                let read =
                    tokio::task::spawn_blocking(move || confirmation(source, charset, &limits.decode()));
                read.await.map_err(|_| internal())?
            }
            Err(error) => Err(self.las_failed(error)),
        };
        let status = if answer.is_ok() { OutcomeStatus::Sent } else { OutcomeStatus::Failed };
        let outcome = Outcome { status, http_status: 0, chunks, bytes };
        let mut leaf = delivery.leaf(LeafKind::Outcome);
        leaf.flags = Leaf::INBOUND;
        let _ = self.log.note(leaf.with_outcome(outcome)).await;
        answer?;
        self.metrics.bytes_out.inc_by(bytes);
        self.metrics.exchange(Some(operation), ExchangeOutcome::Sent);
        Ok(xml(StatusCode::OK, Body::full(confirmation_message())))
    }

    fn las_failed(&self, error: LasError) -> Stop {
        self.metrics.las_failed(error);
        fault::of_las_error(error)
    }
}

impl Handler for Gateway {
    async fn handle(&self, peer: Option<Arc<[u8]>>, request: Request<Incoming>) -> Response<Body> {
        let began = Instant::now();
        let transaction = transaction_id(&request);
        let mut operation = None;
        let answered = if request.uri().path() != "/uwlr" {
            Err(Stop::Problem(StatusCode::NOT_FOUND, "not-found"))
        } else if request.method() != Method::POST {
            Err(Stop::Problem(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"))
        } else if self.shutdown.is_draining() {
            Err(Stop::Problem(StatusCode::SERVICE_UNAVAILABLE, "stopping"))
        } else {
            match Arc::clone(&self.places).try_acquire_owned() {
                Err(_) => Err(Stop::Problem(StatusCode::SERVICE_UNAVAILABLE, "busy")),
                Ok(place) => self.exchange(peer, request, &mut operation, transaction, place).await,
            }
        };
        let mut response = match answered {
            Ok(response) => response,
            Err(Stop::Problem(status, code)) => {
                self.metrics.exchange(operation, ExchangeOutcome::Refused);
                if matches!(
                    status,
                    StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT | StatusCode::BAD_REQUEST
                ) {
                    problem_details::closing(status, code)
                } else {
                    problem_details::response(status, code)
                }
            }
            Err(Stop::Fault(fault)) => {
                let ours = matches!(fault.code, FaultCode::InterneFout | FaultCode::TijdelijkNietBeschikbaar);
                let outcome = if ours { ExchangeOutcome::Failed } else { ExchangeOutcome::Refused };
                self.metrics.exchange(operation, outcome);
                self.metrics.refused(fault.code);
                xml(StatusCode::INTERNAL_SERVER_ERROR, Body::full(fault::message(fault)))
            }
        };
        self.metrics.exchange_seconds.observe(began.elapsed().as_secs_f64());
        let operation = operation.map_or("unknown", Operation::as_str);
        tracing::info!(%transaction, operation, status = response.status().as_u16(), "exchange");
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
            ("log", self.log.is_writable()),
            // A configuration with an agreement that is not in order is never taken into force.
            ("agreements", self.metrics.reload_success.get() == 1),
            ("serving", !self.shutdown.is_draining()),
        ]
    }

    fn refresh(&self) {
        let stats = self.log.stats();
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.log_records.set(gauge(stats.records));
        self.metrics.log_rows.set(gauge(stats.rows));
        self.metrics.log_commits.set(gauge(stats.commits));
        self.metrics.log_writable.set(i64::from(self.log.is_writable()));
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

fn transaction_id(request: &Request<Incoming>) -> Uuid {
    let given = request.headers().get("fsc-transaction-id").and_then(|value| value.to_str().ok());
    given.and_then(|text| Uuid::try_parse(text).ok()).unwrap_or_else(Uuid::now_v7)
}

fn xml(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
    response
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
        Token::Fault(code) => Err(fault::of_las_fault(FaultCode::parse(code))),
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
