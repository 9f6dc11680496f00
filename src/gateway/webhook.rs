//! Notices that are brought to recipients who asked for that, signed as Standard Webhooks say.
//!
//! | header | |
//! |---|---|
//! | `webhook-id` | the id of the notice; the same each time it is tried |
//! | `webhook-timestamp` | seconds since 1970 |
//! | `webhook-signature` | `v1,` and the HMAC-SHA-256 of `<id>.<timestamp>.<body>` in base64 |
//!
//! That a notice was made for this recipient is on record before it is brought; an answer of 2xx makes it delivered. What is
//! not taken is tried again, less and less often, for three days from when it was made; it can be fetched all along.
//! When it is to be tried again is kept in memory alone: after a start, everything that is open is tried at once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::header::HeaderValue;
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

use super::{Gateway, notices::message};
use crate::{
    config::{Recipient, Webhook},
    las::{CollectorError, Messenger},
    standing::{Ledger, Notice, NoticeBy, NoticeState},
};

/// How long after a notice was made it is no longer brought.
const LONGEST_MS: u64 = 3 * 24 * 60 * 60 * 1000;

/// How long after so many attempts the next is made.
fn pause(attempts: u32) -> Duration {
    Duration::from_secs(match attempts {
        0 | 1 => 5,
        2 => 30,
        3 => 5 * 60,
        _ => 60 * 60,
    })
}

/// An open notice that is to be brought.
struct Due {
    brin: String,
    recipient: Arc<Recipient>,
    notice: Notice,
}

/// When a notice is tried next, and how many times it was.
struct Plan {
    next: Instant,
    attempts: u32,
}

impl Gateway {
    /// Brings notices to whoever asked for that, until there is no new work to be taken.
    pub async fn bring_notices(self: Arc<Self>) {
        let mut plans: HashMap<Uuid, Plan> = HashMap::new();
        let mut under_way: JoinSet<(String, Uuid, bool)> = JoinSet::new();
        let mut busy: HashSet<String> = HashSet::new();
        loop {
            let open = self.open_for_webhooks();
            plans.retain(|id, _| open.iter().any(|due| due.notice.id == *id));
            let now = Instant::now();
            let mut next = None;
            for due in open {
                let plan = plans.entry(due.notice.id).or_insert(Plan { next: now, attempts: 0 });
                // One at a time to each: one that is down does not keep the others waiting, nor is it overrun.
                if busy.contains(&due.recipient.id) {
                    continue;
                }
                if plan.next > now {
                    next = Some(next.map_or(plan.next, |other: Instant| other.min(plan.next)));
                    continue;
                }
                plan.attempts += 1;
                busy.insert(due.recipient.id.clone());
                let gateway = Arc::clone(&self);
                under_way.spawn(async move {
                    let taken = gateway.bring_notice(&due).await;
                    (due.recipient.id.clone(), due.notice.id, taken)
                });
            }
            tokio::select! {
                () = self.shutdown.draining() => return,
                () = self.ledger.noticed() => {}
                Some(ended) = under_way.join_next() => {
                    // One that panicked took its place with it; whatever is open is looked at anew.
                    let Ok((recipient, id, taken)) = ended else {
                        busy.clear();
                        continue;
                    };
                    busy.remove(&recipient);
                    if let (false, Some(plan)) = (taken, plans.get_mut(&id)) {
                        plan.next = Instant::now() + pause(plan.attempts);
                    }
                }
                () = until(next) => {}
            }
        }
    }

    /// What nobody has fetched yet, oldest first.
    fn open_for_webhooks(&self) -> Vec<Due> {
        let state = self.state.load_full();
        let config = state.config();
        if config.recipients.iter().all(|recipient| recipient.webhook.is_none()) {
            return Vec::new();
        }
        let too_old = self.clock.now_ms().saturating_sub(LONGEST_MS);
        let mut open = Vec::new();
        for school in &config.schools {
            let Ok(register) = self.ledger.school(&school.brin) else { continue };
            for notice in register.load().notices() {
                let recipient = config.recipient(&notice.recipient).filter(|known| known.webhook.is_some());
                if let Some(recipient) = recipient
                    && notice.state == NoticeState::Open
                    && notice.created_ms >= too_old
                {
                    let (brin, recipient) = (school.brin.clone(), Arc::clone(recipient));
                    open.push(Due { brin, recipient, notice: notice.clone() });
                }
            }
        }
        open.sort_by_key(|due| (due.notice.created_ms, due.notice.id));
        open
    }

    /// Brings one, and says whether it was taken and that is on record.
    async fn bring_notice(&self, due: &Due) -> bool {
        let recipient = due.recipient.id.as_str();
        let Some(webhook) = &due.recipient.webhook else { return false };
        let state = self.state.load_full();
        let Some(body) = message(state.config(), &[(&due.brin, &due.notice)]) else { return false };
        let brought = self.post_notice(webhook, due.notice.id, body).await;
        self.books.metrics.webhook(brought.is_ok());
        if let Err(error) = brought {
            tracing::warn!(recipient, reason = %error, "a notice was not taken; it is tried again, and can be fetched");
            return false;
        }
        let (ledger, clock) = (Arc::clone(&self.ledger), Arc::clone(&self.clock));
        let (brin, id, to) = (due.brin.clone(), due.notice.id, due.recipient.id.clone());
        let recorded = self.tasks.spawn_blocking(move || {
            let by = NoticeBy { transaction: Uuid::now_v7(), certificate: [0; 32], clock: clock.as_ref() };
            Ledger::deliver_notices(&ledger, &brin, &to, &[id], &by).map(drop)
        });
        match recorded.await {
            Ok(Ok(())) => {
                tracing::info!(recipient, "a notice was taken");
                true
            }
            Ok(Err(error)) => {
                tracing::warn!(recipient, reason = %error, "that a notice was taken could not be put on record");
                false
            }
            Err(_) => false,
        }
    }

    async fn post_notice(&self, webhook: &Webhook, id: Uuid, body: String) -> Result<(), CollectorError> {
        let (id, seconds) = (id.to_string(), (self.clock.now_ms() / 1000).to_string());
        let tag = webhook.secret.sign(format!("{id}.{seconds}.{body}").as_bytes());
        let header = |text: &str| HeaderValue::from_str(text).map_err(|_| CollectorError::Connect);
        let headers = [
            ("webhook-id", header(&id)?),
            ("webhook-timestamp", header(&seconds)?),
            ("webhook-signature", header(&format!("v1,{}", STANDARD.encode(tag)))?),
        ];
        Messenger::new(webhook.url.clone(), webhook.tls.clone()).post(headers, body).await
    }
}

/// Returns at an instant; without one, never.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
