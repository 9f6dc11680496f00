//! One delivery, decided: who gets what of which school, under which agreement, with which keys. Without one, nothing
//! passes [`exchange`](crate::exchange).

use std::{
    collections::VecDeque,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

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
    prepared: Lent,
    address: minimise::School,
    expected: Option<FeedId>,
    limits: decode::Limits,
    transaction: Uuid,
    /// What each of its leaves says.
    leaf: Leaf,
    rights: Rights,
    thresholds: Thresholds,
    /// Days a document may be old; none: any.
    fresh_from: Option<Date>,
    places: Places,
    held_bytes: usize,
    clock: Arc<dyn Clock>,
    watch: Option<Watch>,
}

/// What deliveries under one agreement have in common as long as the configuration stands.
struct Prepared {
    agreement: Arc<Agreement>,
    school: Arc<School>,
    recipient: Arc<Recipient>,
    rulings: Rulings,
    /// Of all epochs, newest first.
    pseudonyms: Vec<Pseudonymiser>,
    /// Of all epochs, newest first.
    log_keys: Arc<[LogKeys]>,
}

impl Prepared {
    fn new(
        config: &Config,
        agreement: &Arc<Agreement>,
        school: &Arc<School>,
        recipient: &Arc<Recipient>,
    ) -> Result<Self, NoDelivery> {
        let brin = &school.brin;
        let pseudonyms: Result<Vec<_>, _> = config
            .keys
            .all(brin, Purpose::Pseudonym)
            .map(|(epoch, root)| {
                Pseudonymiser::new(root, epoch, brin, &agreement.domain, &recipient.id, &config.authority)
            })
            .collect();
        let pseudonyms = pseudonyms.map_err(|_| NoDelivery::Keys)?;
        let log_keys = config.keys.all(brin, Purpose::Log);
        let log_keys: Arc<[_]> = log_keys.map(|(epoch, root)| LogKeys::new(root, epoch, brin)).collect();
        if pseudonyms.is_empty() || log_keys.is_empty() {
            return Err(NoDelivery::Keys);
        }
        Ok(Self {
            rulings: Rulings::compile(agreement),
            agreement: Arc::clone(agreement),
            school: Arc::clone(school),
            recipient: Arc::clone(recipient),
            pseudonyms,
            log_keys,
        })
    }

    fn is_for(&self, agreement: &Arc<Agreement>, school: &Arc<School>, recipient: &Arc<Recipient>) -> bool {
        Arc::ptr_eq(&self.agreement, agreement)
            && Arc::ptr_eq(&self.school, school)
            && Arc::ptr_eq(&self.recipient, recipient)
    }
}

/// What was prepared for deliveries that have ended, for those that follow. It belongs to one configuration: with new
/// keys or agreements all is made anew. A cipher serves one delivery at a time, so each takes one away and brings it
/// back.
#[derive(Default)]
pub struct Preparations(Mutex<VecDeque<Box<Prepared>>>);

impl Preparations {
    /// Those that are kept. Each has the keys of a school in hand.
    const MOST: usize = 256;

    fn shelf(&self) -> std::sync::MutexGuard<'_, VecDeque<Box<Prepared>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, is_wanted: impl Fn(&Prepared) -> bool) -> Option<Box<Prepared>> {
        let mut shelf = self.shelf();
        let place = shelf.iter().rposition(|prepared| is_wanted(prepared))?;
        shelf.remove(place)
    }

    fn put(&self, prepared: Box<Prepared>) {
        let mut shelf = self.shelf();
        shelf.push_back(prepared);
        let oldest = if shelf.len() > Self::MOST { shelf.pop_front() } else { None };
        drop(shelf);
        drop(oldest);
    }
}

/// Something prepared, as long as a delivery has it.
struct Lent {
    prepared: Option<Box<Prepared>>,
    back_to: Option<Arc<Preparations>>,
}

impl Deref for Lent {
    type Target = Prepared;

    fn deref(&self) -> &Prepared {
        self.prepared.as_ref().expect("it goes back when this is dropped")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(prepared), Some(shelf)) = (self.prepared.take(), &self.back_to) {
            shelf.put(prepared);
        }
    }
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
        Self::decide_with(None, config, ledger, asked, clock)
    }

    /// The same, with what was prepared before under this configuration.
    ///
    /// # Errors
    ///
    /// [`NoDelivery`]: nothing may be released.
    pub fn decide_with(
        preparations: Option<&Arc<Preparations>>,
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
        let known = preparations
            .and_then(|shelf| shelf.take(|prepared| prepared.is_for(agreement, school, recipient)));
        let prepared = match known {
            Some(prepared) => prepared,
            None => Box::new(Prepared::new(config, agreement, school, recipient)?),
        };
        let prepared = Lent { prepared: Some(prepared), back_to: preparations.cloned() };
        let rights = Rights::under(register, agreement, Arc::clone(&prepared.log_keys));
        let rights = rights.map_err(|Untraceable| NoDelivery::Rights)?;
        let address = minimise::School {
            brin: brin.clone(),
            dependance: dependance.clone().or_else(|| school.dependance.clone()),
            schoolkey: school.schoolkey.clone(),
        };
        let places = Places::of(&config.data, brin, address.dependance.as_deref(), &recipient.id);
        let mut span = [0; 8];
        SystemRandom::new().fill(&mut span).map_err(|_| NoDelivery::Keys)?;
        let mut leaf = Leaf::new(LeafKind::Disclosure);
        leaf.controller = Leaf::controller_code(brin, address.dependance.as_deref().unwrap_or_default());
        leaf.recipient = Leaf::recipient_code(&recipient.id);
        leaf.trace_id = *transaction.as_bytes();
        leaf.span_id = span;
        leaf.start_ms = clock.now_ms();
        leaf.activity = Leaf::activity_code(&agreement.id);
        leaf.activity_version = agreement.version;
        leaf.agreement = agreement.hash;
        leaf.catalogue = catalogue().version();
        leaf.pseudonym_epoch = prepared.pseudonyms[0].epoch();
        leaf.log_epoch = prepared.log_keys[0].epoch();
        leaf.status = 1;
        leaf.verdicts = Verdicts::KEPT;
        leaf.transaction = *transaction.as_bytes();
        leaf.certificate = certificate;
        Ok(Self {
            prepared,
            address,
            expected,
            limits: config.limits.decode(),
            transaction,
            leaf,
            rights,
            thresholds: config.integrity.thresholds,
            fresh_from: config
                .integrity
                .max_age_days
                .map(|days| clock.today().saturating_sub(jiff::Span::new().days(days))),
            places,
            held_bytes: config.limits.held_bytes,
            clock: Arc::clone(clock),
            watch: None,
        })
    }

    /// Has `watch` asked before each part of it leaves.
    pub fn watch(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// Why nothing more of it may leave, though it was decided that it might: the agreement has ended since, or is not in
    /// force any more.
    pub fn withdrawn(&self) -> Option<Reason> {
        let today = self.clock.today();
        let agreement = &self.prepared.agreement;
        if today > agreement.until {
            return Some(Reason::AgreementEnded);
        }
        // A clock was put back; nobody knows what day it is.
        if today < agreement.from {
            return Some(Reason::AgreementFuture);
        }
        self.watch.as_ref().and_then(|watch| watch(self))
    }

    /// Whether an agreement allows all that the one allows by which it was decided, on the same terms.
    pub fn is_allowed_by(&self, agreement: &Agreement) -> bool {
        let own = &self.prepared.agreement;
        own.hash == agreement.hash
            || (own.id == agreement.id
                && own.domain == agreement.domain
                && own.basis == agreement.basis
                && own.purpose == agreement.purpose
                && Rulings::compile(agreement).allow_all_of(&self.prepared.rulings))
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
        log.note_blocking(self.outcome(disclosed, whole, http_status))?;
        if let Some(baseline) = disclosed.baseline.as_ref().filter(|_| whole) {
            self.keep_baseline(baseline);
        }
        Ok(())
    }

    /// The record of how such a delivery ended.
    pub fn outcome<W>(&self, disclosed: &Disclosed<W>, whole: bool, http_status: u16) -> Leaf {
        let status = if whole { OutcomeStatus::Sent } else { OutcomeStatus::Failed };
        let outcome = Outcome { status, http_status, chunks: disclosed.chunks, bytes: disclosed.bytes };
        self.leaf(LeafKind::Outcome).with_outcome(outcome)
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
        ledger.note_feed(&self.prepared.school.brin, leaf, &catalogue().feed(feed).name, &summary.parts())
    }

    /// Whether nothing is to be noted of what the document held.
    pub fn knows_feed(&self, ledger: &Ledger, summary: &Summary) -> bool {
        let Some(feed) = summary.feed else { return true };
        let register = ledger.school(&self.prepared.school.brin);
        register
            .is_ok_and(|register| register.load().knows(&catalogue().feed(feed).name, summary.each_part()))
    }

    /// Puts on record that it is held, for somebody to decide on. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When it is not on record; it is refused all the same.
    pub fn hold(&self, ledger: &Ledger, held: &Held) -> Result<(), standing::Error> {
        let hold = Hold {
            id: self.transaction,
            recipient: self.prepared.recipient.id.clone(),
            dependance: self.address.dependance.clone(),
            agreement: self.prepared.agreement.id.clone(),
            at_ms: self.clock.now_ms(),
            difference: held.difference.clone(),
            hash: held.baseline.hash(),
            decision: Decision::Open,
        };
        let mut leaf = self.leaf(LeafKind::Hold);
        leaf.refuse(Reason::Held);
        ledger.hold(&self.prepared.school.brin, leaf, hold)?;
        let written = held.baseline.write(&self.places.held);
        written.map_err(|error| disclosure::Error::Write(error.kind()).into())
    }

    /// The agreement it is under.
    pub fn agreement(&self) -> &Agreement {
        &self.prepared.agreement
    }

    /// The same, to be shared.
    pub fn shared_agreement(&self) -> &Arc<Agreement> {
        &self.prepared.agreement
    }

    /// What may leave.
    pub fn rulings(&self) -> &Rulings {
        &self.prepared.rulings
    }

    /// The keys of what stands for persons in the log.
    pub fn log_keys(&self) -> &LogKeys {
        &self.prepared.log_keys[0]
    }

    /// Pseudonyms of all epochs, newest first.
    pub fn pseudonyms(&self) -> &[Pseudonymiser] {
        &self.prepared.pseudonyms
    }

    /// What its documents are held to.
    pub fn limits(&self) -> &decode::Limits {
        &self.limits
    }

    /// Whether the feed's own ECK iD passes.
    pub fn passes_eckid(&self) -> bool {
        self.prepared.agreement.domain == PseudonymDomain::PassEckId
    }

    /// What the minimiser needs to know of it.
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            rulings: &self.prepared.rulings,
            pseudonyms: &self.prepared.pseudonyms[0],
            pass_eckid: self.passes_eckid(),
            log_keys: &self.prepared.log_keys[0],
            recipient: &self.prepared.recipient.id,
            school: &self.address,
            identity: self.prepared.school.identity,
            expected: self.expected,
            records: self.limits.records,
            rights: &self.rights,
            fresh: self.fresh_from.map(|from| from..=self.clock.today().tomorrow().unwrap_or(Date::MAX)),
        }
    }

    /// A leaf of this delivery.
    pub fn leaf(&self, kind: LeafKind) -> Leaf {
        let mut leaf = self.leaf.clone();
        leaf.kind = kind;
        leaf.end_ms = self.clock.now_ms();
        leaf
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{cli::init::init, clock::SystemClock};

    #[test]
    fn what_was_prepared_serves_one_delivery_at_a_time_under_one_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        init(&home, &SystemClock).unwrap();
        let load = || Config::load(&home.join("sluis.toml"), &SystemClock).unwrap();
        let (config, reloaded) = (load(), load());
        let ledger = Ledger::reading(&config.data);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let shelf: Arc<Preparations> = Arc::default();
        let decide = |config: &Config| {
            let asked = Asked {
                school: config.school("99DE").unwrap(),
                dependance: None,
                recipient: config.recipient("noordzee").unwrap(),
                expected: None,
                transaction: Uuid::nil(),
                certificate: [0; 32],
            };
            let delivery = Delivery::decide_with(Some(&shelf), config, &ledger, &asked, &clock);
            delivery.unwrap_or_else(|reason| panic!("{reason}"))
        };
        let of = |delivery: &Delivery| std::ptr::from_ref::<Prepared>(&delivery.prepared);
        let (first, second) = (decide(&config), decide(&config));
        let (one, other) = (of(&first), of(&second));
        assert_ne!(one, other, "at the same time each has its own");
        drop(first);
        assert_eq!(of(&decide(&config)), one);
        assert_eq!(of(&decide(&config)), one);
        drop(second);
        assert_eq!(shelf.shelf().len(), 2);
        let _third = decide(&reloaded);
        assert_eq!(shelf.shelf().len(), 2, "what was prepared before a reload is not for after it");
    }
}
