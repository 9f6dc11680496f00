//! Notices of AVG art. 19: who holds something of a person is told that it was corrected, erased or restricted.
//!
//! A notice names the person by what its recipient was given and by nothing else, and that is sealed until the recipient
//! asks for it: see [`NoticeKey`]. What stands readable says that there is a notice, of which kind and for whom. Each
//! step is a leaf of the kind [`LeafKind::Notice`]:
//!
//! | status | step | trace id | `released` |
//! |---|---|---|---|
//! | 1 | made | the notice | 1 |
//! | 2 | delivered | the exchange, or one of its own where a webhook took it | how many notices |
//! | 3 | acknowledged | the notice | 1 |
//!
//! Deliberately absent: what was corrected. The recipient asks for the person anew, under the agreement.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Error, Ledger, Source, Standing};
use crate::{
    clock::Clock,
    disclosure::{Leaf, LeafKind},
    keys::{KeyRing, Purpose},
    pseudonym::{NoticeKey, holds_elfproef_number},
};

/// What a notice is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum NoticeKind {
    /// Restriction: AVG art. 18.
    Beperking,
    /// Correction: AVG art. 16.
    Correctie,
    /// Erasure: AVG art. 17.
    Verwijdering,
}

impl NoticeKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Beperking => "beperking",
            Self::Correctie => "correctie",
            Self::Verwijdering => "verwijdering",
        }
    }
}

/// A step of a notice. Numbers are part of the log's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum NoticeStep {
    /// Its recipient said that it has dealt with it.
    Acknowledged = 3,
    /// Its recipient is given it.
    Delivered = 2,
    /// It was made.
    Made = 1,
}

/// How far a notice is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum NoticeState {
    /// Its recipient has dealt with it.
    Acknowledged {
        /// When it was delivered first, ms since 1970; none: as far as is known it was not.
        delivered_ms: Option<u64>,
        /// When that was said, ms since 1970.
        at_ms: u64,
    },
    /// Its recipient was given it.
    Delivered {
        /// When first, ms since 1970.
        at_ms: u64,
    },
    /// Its recipient has not asked for it yet.
    Open,
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Its id: a UUID of version 7.
    pub id: Uuid,
    /// Who is told.
    pub recipient: String,
    /// What of.
    pub kind: NoticeKind,
    /// The agreement of the last delivery, where its file or a later version of it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<String>,
    /// When it was made, ms since 1970.
    pub created_ms: u64,
    /// How far it is.
    pub state: NoticeState,
    /// The transaction of the leaf that says that it was made.
    pub reference: Uuid,
    /// The log key that its content is sealed under.
    pub epoch: u16,
    /// Its [`NoticeContent`], sealed.
    #[serde(with = "hex")]
    pub sealed: Vec<u8>,
}

/// What a notice says of a person. Not printable.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeContent {
    /// The person, as its recipient knows it.
    pub persons: Vec<NamedPerson>,
    /// Of a correction, the fields that its recipient was given last; one or more of them may have changed.
    pub fields: Vec<String>,
}

/// What a recipient knows a person by. Not printable.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedPerson {
    /// The ECK iD or pseudonym it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eckid: Option<String>,
    /// The token it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Why nothing can be done with a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoticeError {
    /// Another has this id.
    #[error("there is a notice with this id already")]
    Known,
    /// There is none with this id for this recipient.
    #[error("there is no notice with this id")]
    Unknown,
}

impl Notice {
    /// A notice that nobody knows of yet. Nothing when the system gives no random numbers.
    pub fn new(
        recipient: &str,
        kind: NoticeKind,
        agreement: Option<String>,
        content: &NoticeContent,
        key: &NoticeKey,
    ) -> Option<Self> {
        // It stands in addresses and in messages of others: no place for something that looks like a number of a person.
        let id = loop {
            let id = Uuid::now_v7();
            if !holds_elfproef_number(&id.to_string()) {
                break id;
            }
        };
        let text = zeroize::Zeroizing::new(serde_json::to_vec(content).expect("texts and lists"));
        Some(Self {
            id,
            recipient: recipient.to_owned(),
            kind,
            agreement,
            created_ms: 0,
            state: NoticeState::Open,
            reference: Uuid::nil(),
            epoch: key.epoch(),
            sealed: key.seal(id.as_bytes(), &text)?,
        })
    }

    /// What it says. Nothing when the key is gone.
    pub fn open(&self, keys: &KeyRing, brin: &str) -> Option<NoticeContent> {
        let (epoch, root) = keys.all(brin, Purpose::Log).find(|&(epoch, _)| epoch == self.epoch)?;
        let text = NoticeKey::new(root, epoch, brin).open(self.id.as_bytes(), &self.sealed)?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether its recipient still has to deal with it.
    pub fn is_waiting(&self) -> bool {
        !matches!(self.state, NoticeState::Acknowledged { .. })
    }

    fn leaf(&self, step: NoticeStep, transaction: Uuid) -> Leaf {
        let mut leaf = leaf(step, &self.recipient, transaction);
        leaf.trace_id = *self.id.as_bytes();
        leaf.activity = self.agreement.as_deref().map_or([0; 16], Leaf::activity_code);
        leaf.log_epoch = self.epoch;
        leaf.released = 1;
        leaf
    }
}

fn leaf(step: NoticeStep, recipient: &str, transaction: Uuid) -> Leaf {
    let mut leaf = Leaf::new(LeafKind::Notice);
    leaf.status = step as u8;
    leaf.recipient = Leaf::recipient_code(recipient);
    leaf.trace_id = *transaction.as_bytes();
    leaf.transaction = *transaction.as_bytes();
    leaf
}

/// On whose behalf, and when, a notice goes a step further.
pub struct NoticeBy<'a> {
    /// The exchange or command.
    pub transaction: Uuid,
    /// Thumbprint of the recipient's certificate; zeros where none was shown.
    pub certificate: [u8; 32],
    /// When it is.
    pub clock: &'a dyn Clock,
}

impl NoticeBy<'_> {
    fn signed(&self, mut leaf: Leaf) -> Leaf {
        leaf.certificate = self.certificate;
        leaf.start_ms = self.clock.now_ms();
        leaf
    }
}

/// Notices of which it is on record that they are delivered: what of notices may leave. Only [`Ledger::deliver_notices`]
/// makes one.
#[must_use = "they are on record as delivered"]
pub struct ToldNotices(Vec<Notice>);

impl ToldNotices {
    /// The notices.
    pub fn into_inner(self) -> Vec<Notice> {
        self.0
    }
}

impl Standing {
    /// All notices, in the order in which they were made.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    fn notice_of(&self, recipient: &str, id: Uuid) -> Option<&Notice> {
        self.notices.iter().find(|notice| notice.id == id && notice.recipient == recipient)
    }

    /// Forgets the notices that were dealt with so long ago.
    fn forget_notices(&mut self, before_ms: u64) {
        self.notices.retain(|notice| match notice.state {
            NoticeState::Acknowledged { at_ms, .. } => at_ms >= before_ms,
            NoticeState::Delivered { .. } | NoticeState::Open => true,
        });
    }
}

impl Ledger {
    /// Makes a notice. When, and under which reference, is said here. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When it is not on record.
    pub fn make_notice(&self, brin: &str, mut notice: Notice, by: &NoticeBy<'_>) -> Result<(), Error> {
        let now = by.clock.now_ms();
        (notice.created_ms, notice.state, notice.reference) = (now, NoticeState::Open, by.transaction);
        let leaf = by.signed(notice.leaf(NoticeStep::Made, by.transaction));
        let forgotten = self.notices_forgotten_ms(now);
        self.change(brin, leaf, |standing| {
            if standing.notices.iter().any(|known| known.id == notice.id) {
                return Err(NoticeError::Known.into());
            }
            standing.forget_notices(forgotten);
            standing.notices.push(notice);
            Ok(())
        })?;
        self.noticed.notify_one();
        Ok(())
    }

    /// Has whoever waits for notices look again: there may be others to be told.
    pub fn look_again(&self) {
        self.noticed.notify_one();
    }

    /// Returns once notices were made since it was last asked. For one who waits.
    pub async fn noticed(&self) {
        self.noticed.notified().await;
    }

    /// Has it on record that notices of a recipient are delivered, those that were not before, and gives all of them that
    /// still wait to be dealt with. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When it is not on record; then nothing of them may leave.
    pub fn deliver_notices(
        &self,
        brin: &str,
        recipient: &str,
        ids: &[Uuid],
        by: &NoticeBy<'_>,
    ) -> Result<ToldNotices, Error> {
        let register = self.school(brin)?;
        let alone = self.alone();
        let standing = register.load();
        let known = ids.iter().filter_map(|&id| standing.notice_of(recipient, id));
        let new: Vec<Uuid> =
            known.filter(|notice| notice.state == NoticeState::Open).map(|notice| notice.id).collect();
        if !new.is_empty() {
            let mut leaf = by.signed(leaf(NoticeStep::Delivered, recipient, by.transaction));
            leaf.released = new.len() as u64;
            let at_ms = by.clock.now_ms();
            let forgotten = self.notices_forgotten_ms(at_ms);
            self.change_alone(&alone, brin, leaf, |standing| {
                standing.forget_notices(forgotten);
                for notice in standing.notices.iter_mut().filter(|notice| new.contains(&notice.id)) {
                    notice.state = NoticeState::Delivered { at_ms };
                }
                Ok(())
            })?;
        }
        let standing = register.load();
        let told = ids.iter().filter_map(|&id| standing.notice_of(recipient, id));
        Ok(ToldNotices(told.filter(|notice| notice.is_waiting()).cloned().collect()))
    }

    /// Has it on record that a recipient has dealt with a notice; once is enough. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When the recipient has no such notice, or it is not on record.
    pub fn acknowledge_notice(
        &self,
        brin: &str,
        recipient: &str,
        id: Uuid,
        by: &NoticeBy<'_>,
    ) -> Result<(), Error> {
        let register = self.school(brin)?;
        let alone = self.alone();
        let standing = register.load();
        let notice = standing.notice_of(recipient, id).ok_or(NoticeError::Unknown)?;
        let delivered_ms = match notice.state {
            NoticeState::Acknowledged { .. } => return Ok(()),
            NoticeState::Delivered { at_ms } => Some(at_ms),
            NoticeState::Open => None,
        };
        let at_ms = by.clock.now_ms();
        let leaf = by.signed(notice.leaf(NoticeStep::Acknowledged, by.transaction));
        let forgotten = self.notices_forgotten_ms(at_ms);
        self.change_alone(&alone, brin, leaf, |standing| {
            standing.forget_notices(forgotten);
            for notice in standing.notices.iter_mut().filter(|notice| notice.id == id) {
                notice.state = NoticeState::Acknowledged { delivered_ms, at_ms };
            }
            Ok(())
        })
    }

    /// Notices that were dealt with before this are forgotten: as long ago as summaries of persons are.
    fn notices_forgotten_ms(&self, now_ms: u64) -> u64 {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        match &self.source {
            Source::Log(log) => now_ms.saturating_sub(u64::from(log.retention().rollup_days) * DAY_MS),
            Source::Reader(_) => 0,
        }
    }
}
