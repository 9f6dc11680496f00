//! One delivery, decided: who gets what of which school, under which agreement, with which keys. Without one, nothing
//! passes [`exchange`](crate::exchange).

use std::{fmt, sync::Arc};

use jiff::civil::Date;
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

use crate::{
    catalogue::{FeedId, catalogue},
    clock::Clock,
    config::{Config, Recipient, School},
    decode,
    disclosure::{self, Leaf, LeafKind, Log, Outcome, OutcomeStatus},
    exchange::{Disclosed, Held},
    keys::Purpose,
    minimise::{self, Scope, Summary},
    plausibility::{Baseline, Judge, Places, Thresholds},
    policy::{
        Rulings,
        agreement::{Agreement, NotInForce},
        rules::{Reason, Verdicts},
    },
    pseudonym::{LogKeys, PseudonymDomain, Pseudonymiser},
    standing::{self, Approval, Decision, Hold, Ledger, Rights, RightsAt, Untraceable},
};

/// One delivery, decided: who gets what of which school, under which agreement, with which keys.
pub struct Delivery {
    agreement: Arc<Agreement>,
    rulings: Rulings,
    pseudonyms: Vec<Pseudonymiser>,
    log_keys: LogKeys,
    school: Arc<School>,
    recipient: Arc<Recipient>,
    address: minimise::School,
    expected: Option<FeedId>,
    limits: decode::Limits,
    transaction: Uuid,
    span: [u8; 8],
    rights: Rights,
    thresholds: Thresholds,
    /// Days a document may be old; none: any.
    fresh_from: Option<Date>,
    places: Places,
    held_bytes: usize,
    certificate: [u8; 32],
    clock: Arc<dyn Clock>,
    start_ms: u64,
    watch: Option<Watch>,
}

/// Says why a delivery may not go on, when what it was decided by has changed.
pub type Watch = Box<dyn Fn(&Delivery) -> Option<Reason> + Send + Sync>;

/// Why there will be no delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDelivery {
    /// No agreement applies today.
    Agreement(NotInForce),
    /// Somebody has to approve of the agreement first.
    Unapproved,
    /// The school's keys are not there. Loading the configuration makes sure they are.
    Keys,
    /// What stands of objections and consents cannot be read, or cannot be told apart any more.
    Rights,
}

impl NoDelivery {
    /// As the log says it.
    pub fn reason(self) -> Reason {
        match self {
            Self::Agreement(NotInForce::Expired) => Reason::AgreementEnded,
            Self::Agreement(NotInForce::Future) => Reason::AgreementFuture,
            Self::Agreement(NotInForce::Missing) => Reason::AgreementMissing,
            Self::Keys => Reason::KeysMissing,
            Self::Rights => Reason::RightsUntraceable,
            Self::Unapproved => Reason::AgreementUnapproved,
        }
    }
}

impl fmt::Display for NoDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agreement(NotInForce::Expired) => {
                "the agreement between this school and this recipient has expired; conclude the next and add its file"
            }
            Self::Agreement(NotInForce::Future) => {
                "the agreement between this school and this recipient has not begun yet"
            }
            Self::Agreement(NotInForce::Missing) => {
                "there is no agreement between this school and this recipient; without one nothing is released"
            }
            Self::Keys => "the keys of this school are missing",
            Self::Rights => {
                "objections or consents of this school cannot be told apart any more: its identity was changed, a log key was \
                 destroyed, or standing/ is damaged; put that back, or lift them and enter them anew"
            }
            Self::Unapproved => {
                "this version of the agreement gives more than the one before and waits for approval: `sluis agreements \
                 approve`"
            }
        })
    }
}

/// What a delivery is about.
pub struct Asked<'a> {
    /// The school.
    pub school: &'a Arc<School>,
    /// The vestiging the document must be about; none: any of the school's.
    pub dependance: Option<String>,
    /// Who gets it.
    pub recipient: &'a Arc<Recipient>,
    /// The feed asked for; none: any with pupils' data.
    pub expected: Option<FeedId>,
    /// Transaction id, in every log it passes.
    pub transaction: Uuid,
    /// Thumbprint of the peer's certificate; zeros for files.
    pub certificate: [u8; 32],
}

impl Asked<'_> {
    /// The record of a refusal by policy.
    pub fn refusal(&self, reason: Reason, clock: &dyn Clock) -> Leaf {
        let mut leaf = Leaf::new(LeafKind::Withheld);
        let dependance = self.dependance.as_deref().unwrap_or_default();
        leaf.controller = Leaf::controller_code(&self.school.brin, dependance);
        leaf.recipient = Leaf::recipient_code(&self.recipient.id);
        leaf.start_ms = clock.now_ms();
        leaf.end_ms = leaf.start_ms;
        leaf.trace_id = *self.transaction.as_bytes();
        leaf.transaction = *self.transaction.as_bytes();
        leaf.certificate = self.certificate;
        leaf.refuse(reason);
        leaf
    }
}

impl Delivery {
    /// Decides on a delivery: the agreement in force today, its rulings, the keys.
    ///
    /// Results that a supplier brings are decided on here too. They need no line in the agreement, for nothing is
    /// released to the supplier with them; that it has one in force is what lets it return results to the school.
    ///
    /// # Errors
    ///
    /// [`NoDelivery`]: nothing may be released.
    pub fn decide(
        config: &Config,
        ledger: &Ledger,
        asked: &Asked<'_>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, NoDelivery> {
        let &Asked { school, ref dependance, recipient, expected, transaction, certificate } = asked;
        let brin = &school.brin;
        let agreement =
            config.agreements.in_force(brin, &recipient.id, clock.today()).map_err(NoDelivery::Agreement)?;
        let register = ledger.school(brin).map_err(|_| NoDelivery::Rights)?;
        if register.load().approval(agreement) == Approval::Needed {
            return Err(NoDelivery::Unapproved);
        }
        let rights = Rights::under(register, agreement, school, &config.keys);
        let rights = rights.map_err(|Untraceable| NoDelivery::Rights)?;
        let pseudonyms: Result<Vec<_>, _> = config
            .keys
            .all(brin, Purpose::Pseudonym)
            .map(|(epoch, root)| {
                Pseudonymiser::new(root, epoch, brin, &agreement.domain, &recipient.id, &config.authority)
            })
            .collect();
        let pseudonyms = pseudonyms.map_err(|_| NoDelivery::Keys)?;
        let (log_epoch, log_root) = config.keys.current(brin, Purpose::Log).ok_or(NoDelivery::Keys)?;
        if pseudonyms.is_empty() {
            return Err(NoDelivery::Keys);
        }
        let address = minimise::School {
            brin: brin.clone(),
            dependance: dependance.clone().or_else(|| school.dependance.clone()),
            schoolkey: school.schoolkey.clone(),
        };
        let places = Places::of(&config.data, brin, address.dependance.as_deref(), &recipient.id);
        let mut span = [0; 8];
        SystemRandom::new().fill(&mut span).map_err(|_| NoDelivery::Keys)?;
        Ok(Self {
            rulings: Rulings::compile(agreement),
            agreement: Arc::clone(agreement),
            pseudonyms,
            log_keys: LogKeys::new(log_root, log_epoch, brin),
            address,
            school: Arc::clone(school),
            recipient: Arc::clone(recipient),
            expected,
            limits: config.limits.decode(),
            transaction,
            span,
            rights,
            thresholds: config.integrity.thresholds,
            fresh_from: config
                .integrity
                .max_age_days
                .map(|days| clock.today().saturating_sub(jiff::Span::new().days(days))),
            places,
            held_bytes: config.limits.held_bytes,
            certificate,
            start_ms: clock.now_ms(),
            clock: Arc::clone(clock),
            watch: None,
        })
    }

    /// The same, with `watch` asked before each part of it leaves.
    #[must_use]
    pub fn watched(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Why nothing more of it may leave, though it was decided that it might: the agreement has ended since, or is not in
    /// force any more.
    pub fn withdrawn(&self) -> Option<Reason> {
        let today = self.clock.today();
        if today > self.agreement.until {
            return Some(Reason::AgreementEnded);
        }
        // A clock was put back; nobody knows what day it is.
        if today < self.agreement.from {
            return Some(Reason::AgreementFuture);
        }
        self.watch.as_ref().and_then(|watch| watch(self))
    }

    /// Records how a delivery ended that [`disclose`](crate::exchange::disclose) completed.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the next start records it as unknown.
    pub fn ended<W>(
        &self,
        log: &Log,
        disclosed: &Disclosed<W>,
        whole: bool,
        http_status: u16,
    ) -> Result<(), disclosure::Error> {
        let status = if whole { OutcomeStatus::Sent } else { OutcomeStatus::Failed };
        let outcome = Outcome { status, http_status, chunks: disclosed.chunks, bytes: disclosed.bytes };
        log.note_blocking(self.leaf(LeafKind::Outcome).with_outcome(outcome))?;
        if let Some(baseline) = disclosed.baseline.as_ref().filter(|_| whole) {
            self.keep_baseline(baseline);
        }
        Ok(())
    }

    /// What the delivery is judged by beside the one before; none where it is not of all pupils.
    pub fn judge(&self) -> Option<Judge> {
        let whole = catalogue().feed_named("leerlinggegevens");
        let all = self.expected.is_none_or(|feed| feed == whole);
        all.then(|| Judge::begin(self.thresholds, &self.places, &self.leaf(LeafKind::Disclosure)))
    }

    /// What persons have asked for now.
    pub fn rights_now(&self) -> RightsAt {
        self.rights.now()
    }

    /// Bytes that may wait until it is judged.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Has the next delivery held against this one, which was whole. That there is nothing to compare with is no reason to
    /// fail: the next is a first one then.
    pub fn keep_baseline(&self, baseline: &Baseline) {
        if let Err(error) = baseline.write(&self.places.base) {
            tracing::warn!(reason = %error.kind(), "the next delivery will not be compared with this one");
        }
    }

    /// Notes what the document held, and says what it never held before. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When something new is not on record; it will be noted with the next.
    pub fn note_feed(&self, ledger: &Ledger, summary: &Summary) -> Result<Vec<String>, standing::Error> {
        let Some(feed) = summary.feed else { return Ok(Vec::new()) };
        let mut leaf = self.leaf(LeafKind::Drift);
        (leaf.released, leaf.withheld) = (0, 0);
        ledger.note_feed(&self.school.brin, leaf, &catalogue().feed(feed).name, &summary.parts())
    }

    /// Puts on record that it is held, for somebody to decide on. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When it is not on record; it is refused all the same.
    pub fn hold(&self, ledger: &Ledger, held: &Held) -> Result<(), standing::Error> {
        let hold = Hold {
            id: self.transaction,
            recipient: self.recipient.id.clone(),
            dependance: self.address.dependance.clone(),
            agreement: self.agreement.id.clone(),
            at_ms: self.clock.now_ms(),
            difference: held.difference.clone(),
            hash: held.baseline.hash(),
            decision: Decision::Open,
        };
        let mut leaf = self.leaf(LeafKind::Hold);
        leaf.refuse(Reason::Held);
        ledger.hold(&self.school.brin, leaf, hold)?;
        let written = held.baseline.write(&self.places.held);
        written.map_err(|error| disclosure::Error::Write(error.kind()).into())
    }

    /// The agreement it is under.
    pub fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// The same, to be shared.
    pub fn shared_agreement(&self) -> &Arc<Agreement> {
        &self.agreement
    }

    /// What may leave.
    pub fn rulings(&self) -> &Rulings {
        &self.rulings
    }

    /// The keys of what stands for persons in the log.
    pub fn log_keys(&self) -> &LogKeys {
        &self.log_keys
    }

    /// Pseudonyms of all epochs, newest first.
    pub fn pseudonyms(&self) -> &[Pseudonymiser] {
        &self.pseudonyms
    }

    /// What its documents are held to.
    pub fn limits(&self) -> &decode::Limits {
        &self.limits
    }

    /// Whether the feed's own ECK iD passes.
    pub fn passes_eckid(&self) -> bool {
        self.agreement.domain == PseudonymDomain::PassEckId
    }

    /// What the minimiser needs to know of it.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            rulings: &self.rulings,
            pseudonyms: &self.pseudonyms[0],
            pass_eckid: self.passes_eckid(),
            log_keys: &self.log_keys,
            recipient: &self.recipient.id,
            school: &self.address,
            identity: self.school.identity,
            expected: self.expected,
            records: self.limits.records,
            rights: &self.rights,
            fresh: self.fresh_from.map(|from| from..=self.clock.today().tomorrow().unwrap_or(Date::MAX)),
        }
    }

    /// A leaf of this delivery.
    pub fn leaf(&self, kind: LeafKind) -> Leaf {
        let mut leaf = Leaf::new(kind);
        let dependance = self.address.dependance.as_deref().unwrap_or_default();
        leaf.controller = Leaf::controller_code(&self.school.brin, dependance);
        leaf.recipient = Leaf::recipient_code(&self.recipient.id);
        leaf.trace_id = *self.transaction.as_bytes();
        leaf.span_id = self.span;
        leaf.start_ms = self.start_ms;
        leaf.end_ms = self.clock.now_ms();
        leaf.activity = Leaf::activity_code(&self.agreement.id);
        leaf.activity_version = self.agreement.version;
        leaf.agreement = self.agreement.hash;
        leaf.catalogue = catalogue().version();
        leaf.pseudonym_epoch = self.pseudonyms[0].epoch();
        leaf.log_epoch = self.log_keys.epoch();
        leaf.status = 1;
        leaf.verdicts = Verdicts::KEPT;
        leaf.transaction = *self.transaction.as_bytes();
        leaf.certificate = self.certificate;
        leaf
    }
}
