//! Who asks, and whether there may be an answer.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Request, StatusCode, body::Incoming, header::CONTENT_TYPE};
use tokio::time::Instant;

use super::{
    Gateway, State,
    account::Account,
    aside,
    fault::{REFUSED, Stop, fault, refused},
};
use crate::{
    bridge::{BodyError, Patience, RequestBody},
    catalogue::catalogue,
    config::{Limits, Recipient, School},
    decode::Charset,
    delivery::{Asked, Delivery, NoDelivery, Watch},
    fault::FaultCode,
    ingress::{self, Operation, RequestError, listener::Admission},
    las::{LasClient, xml_charset},
    metrics::Matter,
    party::PeerCertificate,
    policy::rules::Reason,
    stack::cleared,
};

/// How slow the body of a request may be.
pub(super) fn patience(limits: &Limits) -> Patience {
    Patience {
        idle: limits.request_idle,
        bytes_per_second: limits.request_bytes_per_second,
        until: Instant::now() + limits.request_read,
    }
}

pub(super) fn of_body_error(error: BodyError) -> Stop {
    match error {
        BodyError::Broken => Stop::Problem(StatusCode::BAD_REQUEST, "incomplete-request"),
        BodyError::TooLarge => Stop::Problem(StatusCode::PAYLOAD_TOO_LARGE, "request-too-large"),
        BodyError::TooSlow => Stop::Problem(StatusCode::REQUEST_TIMEOUT, "request-too-slow"),
    }
}

/// The whole of a request. Only results are let grow beyond what a request for data needs, and what a request is says
/// its message alone: of its head anything can be said.
async fn read_request(
    mut body: RequestBody,
    charset: Option<Charset>,
    limits: &Limits,
    account: &Arc<Account>,
) -> Result<Bytes, BodyError> {
    let most = limits.request_bytes;
    if body.at_least() > most as u64 {
        return Err(BodyError::TooLarge);
    }
    if !body.read(limits.data_request_bytes.min(most)).await? {
        let (decode, held) = (limits.decode(), Arc::clone(account));
        let looked = tokio::task::spawn_blocking(move || {
            let _held = held;
            let results = cleared(|| ingress::brings_results(body.so_far(), charset, &decode));
            (body, results)
        });
        let results;
        (body, results) = looked.await.map_err(|_| BodyError::Broken)?;
        if !results || !body.read(most).await? {
            return Err(BodyError::TooLarge);
        }
    }
    Ok(body.into_bytes())
}

/// A request that may be answered.
pub(super) struct Permitted {
    pub(super) request: ingress::Request,
    pub(super) delivery: Box<Delivery>,
    pub(super) client: Arc<LasClient>,
    pub(super) state: Arc<State>,
    pub(super) school: Arc<School>,
}

impl Gateway {
    /// Certificate, form, autorisatie, school, agreement.
    pub(super) async fn permit(
        &self,
        request: Request<Incoming>,
        account: &Arc<Account>,
    ) -> Result<Permitted, Stop> {
        let state = self.state.load_full();
        let config = state.config();
        let peer = request.extensions().get::<Arc<PeerCertificate>>().cloned();
        let admission = request.extensions().get::<Admission>().cloned();
        let recipient = peer.as_deref().and_then(|peer| config.recipient_of(peer)).cloned();
        let (Some(peer), Some(recipient)) = (peer, recipient) else {
            return Err(fault(
                FaultCode::AutorisatieOngeldig,
                "Het certificaat is van geen bekende afnemer.",
            ));
        };
        self.known(&recipient, &peer);
        account.span.record("recipient", &*recipient.id);
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let Some(charset) = content_type.and_then(xml_charset) else {
            return Err(Stop::Problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"));
        };
        let action = request.headers().get("soapaction").and_then(|value| value.to_str().ok());
        let action = action.map(|action| action.trim().trim_matches('"').to_owned());
        let limits = &config.limits;
        let body = RequestBody::new(request.into_body(), patience(limits));
        let body = read_request(body, charset, limits, account).await.map_err(of_body_error)?;
        let (decode, size) = (limits.decode(), body.len());
        let read = aside(account, size, move || cleared(|| ingress::read(&body, charset, &decode)));
        let request = read.await?.map_err(|error| {
            let text = match error {
                RequestError::Form(_) => {
                    "Een datum, schooljaar, BRIN, vestiging of versie is ongeldig, of een onderdeel is onbekend of staat er dubbel."
                }
                RequestError::Operation => "Geen bekende UWLR-operatie.",
                RequestError::Records => "Het bericht bevat te veel resultaten.",
                RequestError::School => "Het bericht noemt geen school: brincode of schoolkey ontbreekt.",
                RequestError::Xml(_) => "Het bericht is geen geldige XML.",
            };
            fault(FaultCode::OngeldigBericht, text)
        })?;
        account.asks(Matter::Uwlr(request.operation));
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
        let Some(school) = school.cloned() else {
            // No school of ours, so nobody to account to; whoever runs Sluis should see it all the same.
            self.books.metrics.school_unknown.inc();
            tracing::warn!("a request about a school that is not in the configuration");
            return Err(fault(FaultCode::AutorisatieOngeldig, REFUSED));
        };
        account.span.record("school", &*school.brin);
        let asked = Asked {
            school: &school,
            // A key names a school with whatever vestiging it is.
            dependance: request.brin.as_ref().map(|_| request.dependance.clone()),
            recipient: &recipient,
            expected: request.operation.answer(catalogue()),
            transaction: account.transaction,
            certificate: peer.thumbprint(),
        };
        let (brin, key) = (request.brin.as_deref(), request.schoolkey.as_deref());
        let agrees = config.addressed(brin, &request.dependance, key).is_some();
        let decided = match (agrees, &school.las) {
            (false, _) => Err(Reason::SchoolOther),
            (true, None) => Err(Reason::SourceMissing),
            (true, Some(las)) => {
                let prepared = Some(&state.preparations);
                Delivery::decide_with(prepared, config, &self.ledger, &asked, &self.clock)
                    .map(|delivery| (Box::new(delivery), las))
                    .map_err(NoDelivery::reason)
            }
        };
        let (mut delivery, las) = match decided {
            Ok(decided) => decided,
            Err(reason) => {
                // A refusal by policy is on record too. If it cannot be, it is refused all the same.
                let _ = self.books.log.note(asked.refusal(reason, self.clock.as_ref())).await;
                tracing::info!(rule = reason.rule().as_str(), reason = reason.text(), "refused");
                return Err(refused(reason));
            }
        };
        let client = state.client(&school, las, &recipient);
        delivery.watch(self.watch(&state, (peer, admission), &school, &recipient));
        Ok(Permitted { request, delivery, client, state: Arc::clone(&state), school })
    }

    /// What a delivery is asked before each part of it leaves: whether the recipient would still be let in, and whether the
    /// configuration that is in force by then names the same one, and an agreement that allows as much.
    fn watch(
        &self,
        decided: &Arc<State>,
        (peer, admission): (Arc<PeerCertificate>, Option<Admission>),
        school: &Arc<School>,
        recipient: &Arc<Recipient>,
    ) -> Watch {
        let (state, clock) = (Arc::clone(&self.state), Arc::clone(&self.clock));
        let (decided, school, recipient) = (Arc::clone(decided), Arc::clone(school), Arc::clone(recipient));
        Box::new(move |delivery| {
            if admission.as_ref().is_some_and(|admission| !admission.holds()) {
                return Some(Reason::RecipientUnknown);
            }
            let now = state.load();
            if Arc::ptr_eq(&now, &decided) {
                return None;
            }
            let config = now.config();
            if config.recipient_of(&peer).is_none_or(|known| known.id != recipient.id) {
                return Some(Reason::RecipientUnknown);
            }
            match config.agreements.in_force(&school.brin, &recipient.id, clock.today()) {
                Ok(agreement) if delivery.is_allowed_by(agreement) => None,
                // Another has taken its place, or something of it was taken back.
                Ok(_) => Some(Reason::AgreementEnded),
                Err(none) => Some(NoDelivery::Agreement(none).reason()),
            }
        })
    }
}
