//! `GET /notices` and `POST /notices/<id>/acknowledge`: what a recipient is told of AVG art. 19.
//!
//! Who asks is known by the certificate; nothing in a request names a recipient, so there is no other's to ask for. What
//! is fetched is on record as delivered first: the answer is made of [`ToldNotices`] and of nothing else.

use std::sync::Arc;

use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{
    Gateway, State,
    account::Account,
    fault::Stop,
    permit::{of_body_error, patience},
};
use crate::{
    bridge::{Body, read_body},
    clock::Clock,
    config::{Config, Recipient},
    keys::Purpose,
    metrics::Matter,
    party::PeerCertificate,
    stack::cleared,
    standing::{self, Ledger, Notice, NoticeBy, NoticeContent, NoticeError, ToldNotices},
};

/// Notices in an answer; a recipient that has dealt with these gets the next.
const MOST: usize = 1000;
/// Bytes a request may have, of which none are looked at.
const REQUEST: usize = 4096;

/// What is asked about notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Acknowledge(Uuid),
    All,
}

#[derive(Serialize)]
struct Message<'n> {
    notices: Vec<Item<'n>>,
}

#[derive(Serialize)]
struct Item<'n> {
    id: Uuid,
    kind: &'static str,
    school: &'n str,
    created: Timestamp,
    agreement: Option<&'n str>,
    #[serde(flatten)]
    content: NoticeContent,
}

/// A notice as its recipient reads it. Nothing when its key is gone.
fn item<'n>(config: &Config, brin: &'n str, notice: &'n Notice) -> Option<Item<'n>> {
    let content = notice.open(&config.keys, brin)?;
    Some(Item {
        id: notice.id,
        kind: notice.kind.as_str(),
        school: brin,
        created: i64::try_from(notice.created_ms)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .unwrap_or_default(),
        agreement: notice.agreement.as_deref(),
        content,
    })
}

/// Notices as their recipient reads them. Nothing when none of them can be read any more.
pub(super) fn message(config: &Config, notices: &[(&str, &Notice)]) -> Option<String> {
    let notices: Vec<_> = notices.iter().filter_map(|(brin, notice)| item(config, brin, notice)).collect();
    (!notices.is_empty()).then(|| text(notices))
}

fn text(notices: Vec<Item<'_>>) -> String {
    serde_json::to_string(&Message { notices }).expect("texts and lists")
}

/// Who asks, and what is known of the exchange.
struct Caller {
    state: Arc<State>,
    recipient: Arc<Recipient>,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    transaction: Uuid,
    certificate: [u8; 32],
}

impl Caller {
    fn by(&self) -> NoticeBy<'_> {
        NoticeBy { transaction: self.transaction, certificate: self.certificate, clock: self.clock.as_ref() }
    }

    /// All that waits for the recipient, oldest first, on record as delivered.
    fn all(&self) -> Result<String, standing::Error> {
        let config = self.state.config();
        let mut waiting: Vec<(u64, Uuid, &str)> = Vec::new();
        for school in &config.schools {
            let register = self.ledger.school(&school.brin)?.load_full();
            let own = register.notices().iter().filter(|notice| {
                notice.recipient == self.recipient.id
                    && notice.is_waiting()
                    && config.keys.all(&school.brin, Purpose::Log).any(|(epoch, _)| epoch == notice.epoch)
            });
            waiting.extend(own.map(|notice| (notice.created_ms, notice.id, school.brin.as_str())));
        }
        waiting.sort_unstable();
        waiting.truncate(MOST);
        let mut told: Vec<(&str, Notice)> = Vec::new();
        for school in &config.schools {
            let own = waiting.iter().filter(|(_, _, brin)| *brin == school.brin);
            let ids: Vec<Uuid> = own.map(|&(_, id, _)| id).collect();
            if ids.is_empty() {
                continue;
            }
            let notices: ToldNotices =
                self.ledger.deliver_notices(&school.brin, &self.recipient.id, &ids, &self.by())?;
            told.extend(notices.into_inner().into_iter().map(|notice| (school.brin.as_str(), notice)));
        }
        told.sort_by_key(|(_, notice)| (notice.created_ms, notice.id));
        Ok(text(told.iter().filter_map(|(brin, notice)| item(config, brin, notice)).collect()))
    }

    /// That the recipient has dealt with a notice, of whatever school.
    fn acknowledge(&self, id: Uuid) -> Result<(), standing::Error> {
        for school in &self.state.config().schools {
            let done = self.ledger.acknowledge_notice(&school.brin, &self.recipient.id, id, &self.by());
            if !matches!(done, Err(standing::Error::Notice(NoticeError::Unknown))) {
                return done;
            }
        }
        Err(NoticeError::Unknown.into())
    }
}

impl Gateway {
    pub(super) async fn notices(
        &self,
        peer: Option<Arc<[u8]>>,
        request: Request<Incoming>,
        asked: Asked,
        account: &Arc<Account>,
    ) -> Result<Response<Body>, Stop> {
        account.asks(Matter::Notices);
        let state = self.state.load_full();
        let peer = peer.and_then(|der| PeerCertificate::from_der(&der));
        let recipient = peer.as_ref().and_then(|peer| state.config().recipient_of(peer)).cloned();
        let (Some(peer), Some(recipient)) = (peer, recipient) else {
            return Err(Stop::Problem(StatusCode::FORBIDDEN, "recipient-unknown"));
        };
        self.known(&recipient, &peer);
        account.span.record("recipient", &*recipient.id);
        let patience = patience(&state.config().limits);
        read_body(request.into_body(), REQUEST, patience).await.map_err(of_body_error)?;
        let caller = Caller {
            state,
            recipient,
            ledger: Arc::clone(&self.ledger),
            clock: Arc::clone(&self.clock),
            transaction: account.transaction,
            certificate: peer.thumbprint(),
        };
        let held = Arc::clone(account);
        // What is on record waits for the disk.
        let work = self.tasks.spawn_blocking(move || {
            let _entered = held.span.enter();
            cleared(|| match asked {
                Asked::Acknowledge(id) => caller.acknowledge(id).map(|()| None),
                Asked::All => caller.all().map(Some),
            })
        });
        let done = work.await.map_err(|_| Stop::Problem(StatusCode::INTERNAL_SERVER_ERROR, "internal"))?;
        let body = done.map_err(|error| match error {
            standing::Error::Notice(NoticeError::Unknown) => {
                Stop::Problem(StatusCode::NOT_FOUND, "notice-unknown")
            }
            error => {
                tracing::warn!(reason = %error, "notices could not be told of");
                Stop::Problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
        })?;
        account.sent();
        let Some(text) = body else {
            let mut response = Response::new(Body::full(""));
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        };
        account.books.metrics.bytes_out.inc_by(text.len() as u64);
        let mut response = Response::new(Body::full(text));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
}
