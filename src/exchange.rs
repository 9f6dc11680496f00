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
    disclosure::{
        self, Disclosure, Leaf, LeafKind, Log, Outcome, OutcomeStatus, Recorded, Row, RowOutcome, Subject,
        Submitted,
    },
    egress::{Egress, Take},
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
    match stages(delivery, log, source, charset, receiver, false) {
        Begun::Ended(attempt) => attempt,
        Begun::Whole(_) => unreachable!("nothing waits for the caller"),
    }
}

/// As [`attempt`], for a caller that can wait for the log without a thread: a document of which nothing had left when its
/// end was reached is handed to the log, and the rest is for the caller to do.
pub fn begin<R: Read, W: Write>(
    delivery: &Delivery,
    log: &Log,
    source: R,
    charset: Option<Charset>,
    receiver: W,
) -> Begun<W> {
    stages(delivery, log, source, charset, receiver, true)
}

fn stages<R: Read, W: Write>(
    delivery: &Delivery,
    log: &Log,
    source: R,
    charset: Option<Charset>,
    receiver: W,
    hands_over: bool,
) -> Begun<W> {
    let waiting = Waiting { judge: delivery.judge(), hands_over, ..Waiting::default() };
    let recorder = Recorder { open: Open::new(log, delivery), egress: Egress::new(receiver), waiting };
    // Policy, pseudonym and encode: tokens in, chunks of what may leave out.
    let mut minimiser = Minimiser::new(delivery.scope(), recorder);
    let done = decode(source, charset, delivery.limits(), &mut minimiser)
        .map_err(Error::from)
        .and_then(|()| Ok(minimiser.finish()?));
    let (mut summary, Recorder { mut open, egress, waiting }) = minimiser.into_parts();
    let (chunks, bytes) = (open.chunks, open.bytes);
    let mut baseline = None;
    let ended = match done {
        Ok(()) => {
            baseline = waiting.judge.and_then(Judge::into_baseline);
            let pupils = open.pupils;
            open.all_left();
            if let Some(submitted) = waiting.submitted {
                return Begun::Whole(Pending { submitted, egress, summary, baseline, chunks, pupils });
            }
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
    Begun::Ended(Attempt { left: Disclosed { summary, receiver: (), chunks, bytes, baseline }, ended })
}

/// What [`begin`] came to.
pub enum Begun<W> {
    /// It has ended.
    Ended(Attempt<W>),
    /// All of it waits to be on record.
    Whole(Pending<W>),
}

/// A whole document that the log was handed, and of which nothing has left. Dropped, nothing of it ever does; the next
/// start records what became of it as unknown.
#[must_use]
pub struct Pending<W> {
    submitted: Submitted<String>,
    egress: Egress<W>,
    summary: Summary,
    baseline: Option<Baseline>,
    chunks: u32,
    pupils: (u64, u64),
}

impl<W: Take> Pending<W> {
    /// Lets it out once it is on record. Where this is dropped before it has ended, the delivery goes on record as failed.
    pub async fn let_out(self, delivery: &Delivery, log: &Log) -> Attempt<W> {
        let Self { submitted, mut egress, mut summary, baseline, chunks, pupils } = self;
        let mut open = Open { may_wait: false, chunks, pupils, ..Open::new(log, delivery) };
        let sent = match submitted.recorded().await {
            Ok(documents) => send_all(&mut egress, &mut open, documents).await,
            Err(error) => {
                // It is not on record, so nothing was disclosed.
                (open.chunks, open.pupils) = (0, (0, 0));
                Err(Error::Log(error))
            }
        };
        let (chunks, bytes, pupils) = (open.chunks, open.bytes, open.pupils);
        let (ended, baseline) = match sent {
            Ok(()) => {
                open.all_left();
                (Ok(egress.into_receiver()), baseline)
            }
            Err(error) => {
                (summary.released, summary.withheld) = pupils;
                if let Some(leaf) = open.into_failed(&error) {
                    // If even this cannot be written, the next start records the outcome as unknown.
                    let _ = log.note(leaf).await;
                }
                (Err(error), None)
            }
        };
        Attempt { left: Disclosed { summary, receiver: (), chunks, bytes, baseline }, ended }
    }
}

async fn send_all<W: Take>(
    egress: &mut Egress<W>,
    open: &mut Open<'_>,
    documents: Vec<Recorded<String>>,
) -> Result<(), Error> {
    for document in documents {
        let sent = egress.send(document).await;
        open.bytes = egress.bytes();
        sent.map_err(|error| Error::Receiver(error.kind()))?;
    }
    Ok(())
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
    /// Whether it is dropped on a thread that may wait for the log.
    may_wait: bool,
}

impl<'d> Open<'d> {
    fn new(log: &'d Log, delivery: &'d Delivery) -> Self {
        Self { log, delivery, chunks: 0, bytes: 0, pupils: (0, 0), broken: None, may_wait: true }
    }

    /// Hands chunks to the log. Says of how many pupils something leaves with them, and of how many nothing does.
    fn submit(&self, chunks: Vec<Chunk>) -> Result<(Submitted<String>, (u64, u64)), disclosure::Error> {
        let (mut released, mut pupils) = (0, 0);
        let disclosures = (self.chunks..).zip(chunks).map(|(number, chunk)| {
            let mut leaf = self.delivery.leaf(LeafKind::Disclosure);
            leaf.chunk = number;
            leaf.flags = if chunk.last { Leaf::LAST } else { 0 };
            leaf.payload_mac = chunk.mac;
            for row in chunk.rows.iter().filter(|row| row.subject == Subject::Leerling) {
                pupils += 1;
                released += u64::from(row.outcome == RowOutcome::Released);
            }
            (Disclosure { leaf, rows: chunk.rows }, chunk.document)
        });
        let submitted = self.log.submit(disclosures.collect())?;
        Ok((submitted, (released, pupils - released)))
    }

    /// So many chunks are on record, or may be.
    fn took(&mut self, chunks: usize, (released, withheld): (u64, u64)) {
        self.chunks += u32::try_from(chunks).expect("chunks that wait in memory are few");
        self.pupils = (self.pupils.0 + released, self.pupils.1 + withheld);
    }

    /// Something ended it before all had left.
    fn broken_off(mut self, error: &Error) {
        self.broken = error.reason();
    }

    /// The same, where the caller puts it on record.
    fn into_failed(mut self, error: &Error) -> Option<Leaf> {
        self.broken = error.reason();
        self.take_failed()
    }

    /// The outcome is for the caller to record, who knows whether it arrived.
    fn all_left(&mut self) {
        self.chunks = 0;
    }

    fn take_failed(&mut self) -> Option<Leaf> {
        let chunks = std::mem::take(&mut self.chunks);
        let outcome = Outcome { status: OutcomeStatus::Failed, http_status: 0, chunks, bytes: self.bytes };
        let mut leaf = self.delivery.leaf(LeafKind::Outcome).with_outcome(outcome);
        if let Some(reason) = self.broken {
            leaf.verdicts = Verdicts::broken(reason.rule());
        }
        (chunks > 0).then_some(leaf)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // If even this cannot be written, the next start records the outcome as unknown.
        match self.take_failed() {
            Some(leaf) if self.may_wait => drop(self.log.note_blocking(leaf)),
            Some(leaf) => drop(self.log.submit(vec![(Disclosure { leaf, rows: Vec::new() }, ())])),
            None => {}
        }
    }
}

/// Puts each chunk on record, and only then lets it out. Where there is a delivery before to hold this one against,
/// chunks wait until it has been judged: as long as they are not too many. Of a small document they wait for its end.
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
    /// Whether a document that waited whole is left to the caller, and what the log was handed then.
    hands_over: bool,
    submitted: Option<Submitted<String>>,
}

/// Bytes that wait for the end of a document that need not be judged: less than a full chunk has, so that of a long
/// document nothing waits.
const SMALL: usize = 16 * 1024;

impl<W: Write> Outlet for Recorder<'_, W> {
    type Error = Error;

    fn chunk(&mut self, chunk: Chunk) -> Result<(), Error> {
        let delivery = self.open.delivery;
        let Waiting { judge, chunks, bytes, ruled_by, full, hands_over, submitted } = &mut self.waiting;
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
        let wait = match (compares, *hands_over) {
            (true, _) => delivery.held_bytes(),
            (false, true) => SMALL,
            (false, false) => 0,
        };
        if !last && !*full && *bytes <= wait {
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
        if let Some(reason) = delivery.withdrawn() {
            return Err(Error::Withdrawn(reason));
        }
        let (handed_in, pupils) = self.open.submit(std::mem::take(chunks)).map_err(Error::Log)?;
        let leave = last && *hands_over && !*full;
        *full = true;
        if leave {
            self.open.took(handed_in.len(), pupils);
            *submitted = Some(handed_in);
            return Ok(());
        }
        let recorded = handed_in.recorded_blocking().map_err(Error::Log)?;
        // From here on something may have left.
        self.open.took(recorded.len(), pupils);
        for document in recorded {
            let sent = self.egress.deliver(document);
            self.open.bytes = self.egress.bytes();
            sent.map_err(|error| Error::Receiver(error.kind()))?;
        }
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
    #[error(
        "it may not go on: the agreement ended, changed or was withdrawn while it was made, or who receives it is not let in any more"
    )]
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
