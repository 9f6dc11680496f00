//! THE PATH: one disclosure, from the bytes of a pupil administration to the bytes a recipient gets.
//!
//! ```text
//! source → decode → policy → pseudonym → encode → log → egress → recipient
//! ```
//!
//! The only file that knows every stage. Who asks, and how the answer travels, is [`gateway`](crate::gateway)'s
//! business, or that of the command that reads a file.

use std::io::{self, Read, Write};

use crate::{
    decode::{self, Charset, DecodeError, decode},
    delivery::Delivery,
    disclosure::{self, Disclosure, Leaf, LeafKind, Log, Outcome, OutcomeStatus, Row, RowOutcome, Subject},
    egress::Egress,
    minimise::{self, Chunk, Minimiser, Outlet, Refusal, Summary},
    plausibility::{Baseline, Difference, Judge},
    policy::rules::{Reason, Verdicts},
    standing::RightsAt,
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
    let Attempt { left, ended } = attempt(delivery, log, source, charset, receiver);
    let Disclosed { summary, receiver: (), chunks, bytes, baseline } = left;
    Ok(Disclosed { summary, receiver: ended?, chunks, bytes, baseline })
}

/// As [`disclose`]; tells what left also where it was not all.
pub fn attempt<R: Read, W: Write>(
    delivery: &Delivery,
    log: &Log,
    source: R,
    charset: Option<Charset>,
    receiver: W,
) -> Attempt<W> {
    let waiting = Waiting { judge: delivery.judge(), ..Waiting::default() };
    let recorder = Recorder { open: Open::new(log, delivery), egress: Egress::new(receiver), waiting };
    // Policy, pseudonym and encode: tokens in, chunks of what may leave out.
    let mut minimiser = Minimiser::new(delivery.scope(), recorder);
    let done = decode(source, charset, delivery.limits(), &mut minimiser)
        .map_err(Error::from)
        .and_then(|()| Ok(minimiser.finish()?));
    let (mut summary, Recorder { open, egress, waiting }) = minimiser.into_parts();
    let (chunks, bytes) = (open.chunks, open.bytes);
    let mut baseline = None;
    let ended = match done {
        Ok(()) => {
            baseline = waiting.judge.and_then(Judge::into_baseline);
            open.all_left();
            Ok(egress.into_receiver())
        }
        Err(error) => {
            (summary.released, summary.withheld) = open.pupils;
            if let (0, Some(reason)) = (chunks, error.reason()) {
                let mut leaf = delivery.leaf(LeafKind::Withheld);
                leaf.refuse(reason);
                // If even this cannot be written, it is refused all the same.
                let _ = log.note_blocking(leaf);
            }
            open.broken_off(&error);
            Err(error)
        }
    };
    Attempt { left: Disclosed { summary, receiver: (), chunks, bytes, baseline }, ended }
}

/// A delivery under way. Dropped after something has left and before all has, which a panic in a stage does too, it
/// goes on record as failed.
struct Open<'d> {
    log: &'d Log,
    delivery: &'d Delivery,
    chunks: u32,
    bytes: u64,
    /// Pupils of whom something left, and of whom nothing did.
    pupils: (u64, u64),
    /// Which rule was broken on the way.
    broken: Option<Reason>,
}

impl<'d> Open<'d> {
    fn new(log: &'d Log, delivery: &'d Delivery) -> Self {
        Self { log, delivery, chunks: 0, bytes: 0, pupils: (0, 0), broken: None }
    }

    /// Something ended it before all had left.
    fn broken_off(mut self, error: &Error) {
        self.broken = error.reason();
    }

    /// The outcome is for the caller to record, who knows whether it arrived.
    fn all_left(mut self) {
        self.chunks = 0;
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.chunks > 0 {
            let (chunks, bytes) = (self.chunks, self.bytes);
            let outcome = Outcome { status: OutcomeStatus::Failed, http_status: 0, chunks, bytes };
            // If even this cannot be written, the next start records the outcome as unknown.
            let mut leaf = self.delivery.leaf(LeafKind::Outcome).with_outcome(outcome);
            if let Some(reason) = self.broken {
                leaf.verdicts = Verdicts::broken(reason.rule());
            }
            let _ = self.log.note_blocking(leaf);
        }
    }
}

/// Puts each chunk on record, and only then lets it out. Where there is a delivery before to hold this one against,
/// chunks wait until it has been judged: as long as they are not too many.
struct Recorder<'d, W> {
    open: Open<'d>,
    egress: Egress<W>,
    waiting: Waiting,
}

/// Chunks that wait for the judge.
#[derive(Default)]
struct Waiting {
    judge: Option<Judge>,
    chunks: Vec<Chunk>,
    bytes: usize,
    /// What persons had asked for when the first of them was ruled on.
    ruled_by: Option<RightsAt>,
    /// They were too many: from here on each goes out at once, and is judged as it goes.
    full: bool,
}

impl<W: Write> Outlet for Recorder<'_, W> {
    type Error = Error;

    fn chunk(&mut self, chunk: Chunk) -> Result<(), Error> {
        let delivery = self.open.delivery;
        let Waiting { judge, chunks, bytes, ruled_by, full } = &mut self.waiting;
        if chunk.no_changes {
            // It says nothing of any pupil, so there is nothing to compare.
            *judge = None;
        }
        if let Some(judge) = judge {
            judge.see(&chunk.rows);
        }
        let last = chunk.last;
        *bytes += chunk.document.len() + chunk.rows.len() * Row::SIZE;
        chunks.push(chunk);
        let compares = judge.as_ref().is_some_and(Judge::compares);
        if compares && !last && !*full && *bytes <= delivery.held_bytes() {
            ruled_by.get_or_insert_with(|| delivery.rights_now());
            return Ok(());
        }
        if let Some(difference) = judge.as_ref().and_then(|judge| judge.judge(last)) {
            let baseline = judge.take().map(Judge::into_held).expect("it has just judged");
            return Err(Error::Held(Box::new(Held { difference, baseline })));
        }
        // What was ruled on before somebody objected must not leave after it.
        if ruled_by.take().is_some_and(|ruled_by| ruled_by != delivery.rights_now()) {
            return Err(Error::RightsChanged);
        }
        *full = true;
        std::mem::take(chunks).into_iter().try_for_each(|chunk| self.let_out(chunk))
    }
}

impl<W: Write> Recorder<'_, W> {
    fn let_out(&mut self, chunk: Chunk) -> Result<(), Error> {
        let Open { log, delivery, .. } = self.open;
        if let Some(reason) = delivery.withdrawn() {
            return Err(Error::Withdrawn(reason));
        }
        let mut leaf = delivery.leaf(LeafKind::Disclosure);
        leaf.chunk = self.open.chunks;
        leaf.flags = if chunk.last { Leaf::LAST } else { 0 };
        let mut mac = delivery.log_keys().content_mac();
        mac.update(chunk.document.as_bytes());
        leaf.payload_mac = mac.finish();
        let pupils = chunk.rows.iter().filter(|row| row.subject == Subject::Leerling);
        let released = pupils.clone().filter(|row| row.outcome == RowOutcome::Released).count() as u64;
        let withheld = pupils.count() as u64 - released;
        let disclosure = Disclosure { leaf, rows: chunk.rows };
        let recorded = log.record_blocking(disclosure, chunk.document).map_err(Error::Log)?;
        self.open.chunks += 1;
        // From here on something may have left.
        self.open.pupils = (self.open.pupils.0 + released, self.open.pupils.1 + withheld);
        self.egress.deliver(recorded).map_err(|error| Error::Receiver(error.kind()))?;
        self.open.bytes = self.egress.bytes();
        Ok(())
    }
}

/// What became of a disclosure.
pub struct Attempt<W> {
    /// What left of it.
    pub left: Disclosed<()>,
    /// The receiver, to be finished by the caller, or what ended it before.
    pub ended: Result<W, Error>,
}

/// What was disclosed.
pub struct Disclosed<W> {
    /// What it came to.
    pub summary: Summary,
    /// To be finished by the caller, who then calls [`Delivery::ended`].
    pub receiver: W,
    /// Chunks that left.
    pub chunks: u32,
    /// Bytes that left.
    pub bytes: u64,
    /// What the next delivery is held against, once this one is known to have arrived.
    pub baseline: Option<Baseline>,
}

/// A delivery that differs too much from the one before.
#[derive(Debug)]
pub struct Held {
    /// How.
    pub difference: Difference,
    /// What it came to.
    pub baseline: Baseline,
}

/// What ended a disclosure. None holds anything of the document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The document is not as it should be.
    #[error(transparent)]
    Decode(DecodeError),
    /// It differs too much from the delivery before.
    #[error(
        "it differs too much from the delivery before: {} of {} pupils gone, {} of {} new or different; decide on it with `sluis holds`",
        .0.difference.gone, .0.difference.before, .0.difference.changed, .0.difference.now
    )]
    Held(Box<Held>),
    /// It could not be put on record.
    #[error("the disclosure could not be put on record: {0}")]
    Log(disclosure::Error),
    /// Somebody objected, consented or took that back while it waited to be judged.
    #[error("objections or consents changed while it was made; ask for it again")]
    RightsChanged,
    /// The recipient takes no more.
    #[error("the receiver broke off ({0})")]
    Receiver(io::ErrorKind),
    /// The document is one of which nothing may leave.
    #[error(transparent)]
    Refused(Refusal),
    /// What it was decided by does not hold any more.
    #[error("it may not go on: the agreement ended, changed or was withdrawn while it was made")]
    Withdrawn(Reason),
}

impl Error {
    /// Which of the five rules it breaks, and why; none where a machine failed, not the exchange.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Decode(error) if matches!(error.kind, decode::Kind::Io(_)) => None,
            Self::Decode(_) => Some(Reason::DocumentInvalid),
            Self::Held(_) => Some(Reason::Held),
            Self::RightsChanged => Some(Reason::RightsChanged),
            Self::Log(_) | Self::Receiver(_) | Self::Refused(Refusal::Fault(_)) => None,
            Self::Refused(Refusal::Nothing) => Some(Reason::Nothing),
            Self::Refused(Refusal::SchoolMissing) => Some(Reason::SchoolMissing),
            Self::Refused(Refusal::Stale) => Some(Reason::DocumentStale),
            Self::Refused(Refusal::SchoolOther) => Some(Reason::SchoolOther),
            Self::Refused(_) => Some(Reason::DocumentInvalid),
            Self::Withdrawn(reason) => Some(*reason),
        }
    }

    /// Whether it was policy that refused, not a fault of the document or of a machine.
    pub fn is_by_policy(&self) -> bool {
        matches!(
            self,
            Self::Held(_)
                | Self::RightsChanged
                | Self::Withdrawn(_)
                | Self::Refused(
                    Refusal::Nothing | Refusal::SchoolMissing | Refusal::SchoolOther | Refusal::Stale
                )
        )
    }
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
