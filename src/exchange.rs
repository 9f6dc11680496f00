//! THE PATH: one disclosure, from the bytes of a pupil administration to the bytes a recipient gets.
//!
//! ```text
//! source → decode → policy → pseudonym → encode → log → egress → recipient
//! ```
//!
//! The only file that knows every stage. Who asks, and how the answer travels, is [`gateway`](crate::gateway)'s
//! business, or that of the command that reads a file.

use std::{
    fmt,
    io::{self, Read, Write},
    sync::Arc,
};

use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

use crate::{
    catalogue::{FeedId, catalogue},
    clock::Clock,
    config::{Config, Recipient, School},
    decode::{self, Charset, DecodeError, decode},
    disclosure::{self, Disclosure, Leaf, LeafKind, Log, Outcome, OutcomeStatus},
    egress::Egress,
    keys::Purpose,
    minimise::{self, Chunk, Minimiser, Outlet, Refusal, Scope, Summary},
    policy::{
        Rulings,
        agreement::{Agreement, NotInForce},
    },
    pseudonym::{LogKeys, PseudonymDomain, Pseudonymiser},
};

/// Sends what `delivery` allows of `source` to `receiver`, each part on record before it leaves.
///
/// # Errors
///
/// Whatever goes wrong ends in nothing more leaving: the receiver is dropped unfinished, and a delivery of which
/// something had left is on record as failed.
pub fn disclose<R: Read, W: Write>(
    delivery: &Delivery,
    log: &Log,
    source: R,
    charset: Option<Charset>,
    receiver: W,
) -> Result<Disclosed<W>, Error> {
    let recorder = Recorder { log, delivery, egress: Egress::new(receiver), chunks: 0 };
    let mut minimiser = Minimiser::new(delivery.scope(), recorder);
    let done = decode(source, charset, &delivery.limits, &mut minimiser)
        .map_err(Error::from)
        .and_then(|()| Ok(minimiser.finish()?));
    let (summary, recorder) = minimiser.into_parts();
    let (chunks, bytes) = (recorder.chunks, recorder.egress.bytes());
    if let Err(error) = done {
        if chunks > 0 {
            let outcome = Outcome { status: OutcomeStatus::Failed, http_status: 0, chunks, bytes };
            // If even this cannot be written, the next start records the outcome as unknown.
            let _ = log.note_blocking(delivery.leaf(LeafKind::Outcome).with_outcome(outcome));
        }
        return Err(error);
    }
    Ok(Disclosed { summary, receiver: recorder.egress.into_receiver(), chunks, bytes })
}

/// Puts each chunk on record, and only then lets it out.
struct Recorder<'d, W> {
    log: &'d Log,
    delivery: &'d Delivery,
    egress: Egress<W>,
    chunks: u32,
}

impl<W: Write> Outlet for Recorder<'_, W> {
    type Error = Error;

    fn chunk(&mut self, chunk: Chunk) -> Result<(), Error> {
        let mut leaf = self.delivery.leaf(LeafKind::Disclosure);
        leaf.chunk = self.chunks;
        leaf.flags = if chunk.last { Leaf::LAST } else { 0 };
        let mut mac = self.delivery.log_keys.content_mac();
        mac.update(chunk.document.as_bytes());
        leaf.payload_mac = mac.finish();
        let disclosure = Disclosure { leaf, rows: chunk.rows };
        let recorded = self.log.record_blocking(disclosure, chunk.document).map_err(Error::Log)?;
        self.chunks += 1;
        self.egress.deliver(recorded).map_err(|error| Error::Receiver(error.kind()))
    }
}

/// A document that was disclosed whole.
pub struct Disclosed<W> {
    /// What it came to.
    pub summary: Summary,
    /// To be finished by the caller, who then calls [`Delivery::ended`].
    pub receiver: W,
    /// Chunks that left.
    pub chunks: u32,
    /// Bytes that left.
    pub bytes: u64,
}

impl<W> Disclosed<W> {
    /// The receiver, and all else.
    pub fn split(self) -> (W, Disclosed<()>) {
        let Self { summary, receiver, chunks, bytes } = self;
        (receiver, Disclosed { summary, receiver: (), chunks, bytes })
    }
}

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
    certificate: [u8; 32],
    clock: Arc<dyn Clock>,
    start_ms: u64,
}

/// Why there will be no delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDelivery {
    /// No agreement applies today.
    Agreement(NotInForce),
    /// The school's keys are not there. Loading the configuration makes sure they are.
    Keys,
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
    pub fn refusal(&self, clock: &dyn Clock) -> Leaf {
        let mut leaf = Leaf::new(LeafKind::Withheld);
        let dependance = self.dependance.as_deref().unwrap_or_default();
        leaf.controller = Leaf::controller_code(&self.school.brin, dependance);
        leaf.recipient = Leaf::recipient_code(&self.recipient.id);
        leaf.start_ms = clock.now_ms();
        leaf.end_ms = leaf.start_ms;
        leaf.trace_id = *self.transaction.as_bytes();
        leaf.transaction = *self.transaction.as_bytes();
        leaf.certificate = self.certificate;
        leaf.status = 1;
        leaf
    }
}

impl Delivery {
    /// Decides on a delivery: the agreement in force today, its rulings, the keys.
    ///
    /// # Errors
    ///
    /// [`NoDelivery`]: nothing may be released.
    pub fn decide(config: &Config, asked: &Asked<'_>, clock: &Arc<dyn Clock>) -> Result<Self, NoDelivery> {
        let &Asked { school, ref dependance, recipient, expected, transaction, certificate } = asked;
        let brin = &school.brin;
        let agreement =
            config.agreements.in_force(brin, &recipient.id, clock.today()).map_err(NoDelivery::Agreement)?;
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
        let mut span = [0; 8];
        SystemRandom::new().fill(&mut span).map_err(|_| NoDelivery::Keys)?;
        Ok(Self {
            rulings: Rulings::compile(agreement),
            agreement: Arc::clone(agreement),
            pseudonyms,
            log_keys: LogKeys::new(log_root, log_epoch, brin),
            address: minimise::School {
                brin: brin.clone(),
                dependance: dependance.clone().or_else(|| school.dependance.clone()),
                schoolkey: school.schoolkey.clone(),
            },
            school: Arc::clone(school),
            recipient: Arc::clone(recipient),
            expected,
            limits: config.limits.decode(),
            transaction,
            span,
            certificate,
            start_ms: clock.now_ms(),
            clock: Arc::clone(clock),
        })
    }

    /// Records how a delivery ended that [`disclose`] completed.
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
        log.note_blocking(self.leaf(LeafKind::Outcome).with_outcome(outcome)).map(|_| ())
    }

    /// The agreement it is under.
    pub fn agreement(&self) -> &Agreement {
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
        }
    }

    /// A leaf of this delivery.
    pub fn leaf(&self, kind: LeafKind) -> Leaf {
        let mut leaf = Leaf::new(kind);
        let activity = ring::digest::digest(&ring::digest::SHA256, self.agreement.id.as_bytes());
        let dependance = self.address.dependance.as_deref().unwrap_or_default();
        leaf.controller = Leaf::controller_code(&self.school.brin, dependance);
        leaf.recipient = Leaf::recipient_code(&self.recipient.id);
        leaf.trace_id = *self.transaction.as_bytes();
        leaf.span_id = self.span;
        leaf.start_ms = self.start_ms;
        leaf.end_ms = self.clock.now_ms();
        leaf.activity.copy_from_slice(&activity.as_ref()[..16]);
        leaf.activity_version = self.agreement.version;
        leaf.agreement = self.agreement.hash;
        leaf.catalogue = catalogue().version();
        leaf.pseudonym_epoch = self.pseudonyms[0].epoch();
        leaf.log_epoch = self.log_keys.epoch();
        leaf.status = 1;
        leaf.transaction = *self.transaction.as_bytes();
        leaf.certificate = self.certificate;
        leaf
    }
}

/// What ended a disclosure. None holds anything of the document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The document is not as it should be.
    #[error(transparent)]
    Decode(DecodeError),
    /// It could not be put on record.
    #[error("the disclosure could not be put on record: {0}")]
    Log(disclosure::Error),
    /// The recipient takes no more.
    #[error("the receiver broke off ({0})")]
    Receiver(io::ErrorKind),
    /// The document is one of which nothing may leave.
    #[error(transparent)]
    Refused(Refusal),
}

impl From<minimise::Error<Error>> for Error {
    fn from(error: minimise::Error<Error>) -> Self {
        match error {
            minimise::Error::Outlet(error) => error,
            minimise::Error::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

impl From<decode::Error<minimise::Error<Error>>> for Error {
    fn from(error: decode::Error<minimise::Error<Error>>) -> Self {
        match error {
            decode::Error::Decode(error) => Self::Decode(error),
            decode::Error::Sink(error) => error.into(),
        }
    }
}
