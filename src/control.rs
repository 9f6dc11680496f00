//! What is asked of the process that has the log, by commands beside it: one writes, so the others ask it to.
//!
//! A socket in the folder of the log, for the user that runs Sluis alone. A request is one line of JSON, and so is the
//! answer; then the connection is closed. Persons are handles here, as they are in the log.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    answers::{ALWAYS, Reading},
    clock::Clock,
    config::{School, Terms},
    disclosure::{self, Leaf, LeafKind, Log, Reader},
    plausibility::Places,
    policy::agreement::{Agreement, parse_recorded},
    review::account::{AccountCode, AccountEvent},
    standing::{
        self, Approval, Because, Before, Decision, HexHandle, Ledger, MonthReview, Notice, NoticeBy,
        ReviewError, Right, RightKind, Scope,
    },
};

/// The socket, in the folder of the log.
const SOCKET: &str = "control";
/// Bytes of a request or an answer at most.
const LONGEST: u64 = 16 << 20;
/// How long the other side may be silent. Erasing and retention go through the whole log of a school.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Put on record that an account was added, changed or removed. The command that asks writes the file.
    Account {
        /// What is done.
        event: AccountEvent,
        /// Which account.
        code: AccountCode,
    },
    /// Put a version of an agreement in force.
    Approve {
        /// Its file, word for word.
        text: String,
        /// Who approves of it; none: it needs no approval.
        approver: Option<String>,
    },
    /// Attest that a month of a school was reviewed. Only on behalf of an account.
    Attest {
        /// The school.
        brin: String,
        /// What was found.
        review: MonthReview,
    },
    /// Decide on a delivery that is held.
    Decide {
        /// The school.
        brin: String,
        /// The hold.
        id: Uuid,
        /// Whether the next like it passes.
        approve: bool,
        /// Who decides.
        by: String,
        /// Why.
        reason: String,
    },
    /// Enter an objection, a restriction or a consent. When and under which reference, the desk says itself.
    Enter {
        /// The school.
        brin: String,
        /// The entry.
        right: Right,
    },
    /// Erase all there is of a person.
    Erase {
        /// The school.
        brin: String,
        /// What stands for the person in the log.
        handles: Vec<HexHandle>,
    },
    /// Lift such an entry.
    Lift {
        /// The school.
        brin: String,
        /// What is lifted.
        kind: RightKind,
        /// What it is about.
        scope: Scope,
        /// What stands for the person, by log key.
        handles: Vec<(u16, HexHandle)>,
    },
    /// Make notices. What they say of a person is sealed; when and under which reference, the desk says itself.
    Notify {
        /// The school.
        brin: String,
        /// The notices, one for each recipient.
        notices: Vec<Notice>,
    },
    /// Put on record that the log is about to be read.
    Read {
        /// What for.
        reading: Reading,
        /// About which school.
        school: Option<String>,
        /// About which recipient.
        recipient: Option<String>,
        /// Why, where that was asked for: a number of the app's list of reasons, or 0.
        #[serde(default)]
        why: u8,
    },
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "came-of-it", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// It is done, and on record under this reference.
    Done {
        /// The transaction of the leaf.
        reference: Uuid,
    },
    /// So much was erased.
    Erased {
        /// Rows.
        rows: u64,
        /// Summaries.
        summaries: u64,
        /// Rows that are still there: their day is not over, or not sealed yet.
        unsealed: u64,
    },
    /// It was not done, and why.
    Refused {
        /// In words.
        what: String,
    },
}

/// Where it is done: the log, and what stands by it.
pub struct Desk {
    /// Its folder.
    pub data: PathBuf,
    /// The log.
    pub log: Log,
    /// What stands.
    pub ledger: Arc<Ledger>,
    /// When it is.
    pub clock: Arc<dyn Clock>,
}

impl Desk {
    /// Does what a command asks. Waits; not for async contexts.
    pub fn perform(&self, request: Request) -> Answer {
        self.perform_for(request, None)
    }

    /// Does what is asked on behalf of an account of the review app, whose code goes into every leaf of it. The caller has
    /// seen to it that the account may. A request at the socket never is on behalf of one. Waits; not for async contexts.
    pub fn perform_for(&self, request: Request, account: Option<AccountCode>) -> Answer {
        self.try_perform(request, account).unwrap_or_else(|error| Answer::Refused { what: error.to_string() })
    }

    fn try_perform(&self, request: Request, account: Option<AccountCode>) -> Result<Answer, standing::Error> {
        let reference = Uuid::now_v7();
        let on_behalf = AccountCode::bytes(account);
        match request {
            Request::Account { event, code } => {
                // What happens at the door, only whoever keeps it says.
                let made =
                    matches!(event, AccountEvent::Added | AccountEvent::Changed | AccountEvent::Removed);
                if !made {
                    return Ok(Answer::Refused { what: "this is not for a command to say".into() });
                }
                self.log.note_blocking(event.leaf(Some(code), reference, self.clock.now_ms()))?;
            }
            Request::Attest { brin, review } => {
                let account = account.ok_or(ReviewError::NoAccount)?;
                self.ledger.attest(&brin, review, account, reference, self.clock.as_ref())?;
            }
            Request::Approve { text, approver } => {
                let Some(agreement) = parse_recorded(&text) else {
                    return Ok(Answer::Refused { what: "the agreement is not in order".into() });
                };
                self.activate(&agreement, approver, account, reference)?;
            }
            Request::Decide { brin, id, approve, by, reason } => {
                let mut leaf = Leaf::new(LeafKind::Hold);
                leaf.status = if approve { 2 } else { 3 };
                leaf.certificate = on_behalf;
                (leaf.trace_id, leaf.transaction) = (*id.as_bytes(), *reference.as_bytes());
                let because = Because { by, reason, at_ms: self.clock.now_ms(), reference };
                let decision =
                    if approve { Decision::Approved(because) } else { Decision::Rejected(because) };
                let (recipient, dependance) =
                    self.ledger.change(&brin, leaf, |standing| Ok(standing.decide(id, decision)?))?;
                let places = Places::of(&self.data, &brin, dependance.as_deref(), &recipient);
                // Approved, it is what the next is held against; where it is gone, the next is a first one.
                let settled = match approve {
                    true if places.held.exists() => fs::rename(&places.held, &places.base),
                    true => fs::remove_file(&places.base),
                    false => fs::remove_file(&places.held),
                };
                match settled {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(disclosure::Error::Write(error.kind()).into());
                    }
                    _ => {}
                }
            }
            Request::Enter { brin, mut right } => {
                let mut leaf = Leaf::new(LeafKind::Right);
                describe(&mut leaf, right.kind, &right.scope, reference);
                leaf.released = 1;
                leaf.log_epoch = right.epoch;
                leaf.certificate = on_behalf;
                (right.entered_ms, right.reference) = (self.clock.now_ms(), reference);
                self.ledger.change(&brin, leaf, |standing| Ok(standing.enter(right)?))?;
            }
            Request::Erase { brin, handles } => {
                let handles = handles.into_iter().map(|handle| handle.0).collect();
                let erased = self.log.erase_person_for(&brin, handles, on_behalf)?;
                let (rows, summaries, unsealed) = (erased.rows, erased.summaries, erased.unsealed);
                return Ok(Answer::Erased { rows, summaries, unsealed });
            }
            Request::Lift { brin, kind, scope, handles } => {
                let mut leaf = Leaf::new(LeafKind::Right);
                describe(&mut leaf, kind, &scope, reference);
                leaf.certificate = on_behalf;
                self.ledger.change(&brin, leaf, |standing| Ok(standing.lift(kind, &scope, &handles)?))?;
            }
            Request::Notify { brin, notices } => {
                let by =
                    NoticeBy { transaction: reference, certificate: on_behalf, clock: self.clock.as_ref() };
                for notice in notices {
                    self.ledger.make_notice(&brin, notice, &by)?;
                }
            }
            Request::Read { reading, school, recipient, why } => {
                let clock = self.clock.as_ref();
                let (school, recipient) = (school.as_deref(), recipient.as_deref());
                let mut leaf = reading.leaf(school, recipient, account, reference, clock);
                leaf.activity_version = why.into();
                self.log.note_blocking(leaf)?;
            }
        }
        Ok(Answer::Done { reference })
    }

    /// Lets go of what stood long enough by the terms of a configuration. Says how much went. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When it is not on record, or the log cannot be read; then it still stands.
    pub fn let_go(&self, schools: &[Arc<School>], terms: &Terms) -> Result<usize, standing::Error> {
        const DAY_MS: u64 = 24 * 60 * 60 * 1000;
        let before = |days: u16| self.clock.now_ms().saturating_sub(u64::from(days) * DAY_MS);
        let mut went = 0;
        for school in schools {
            let brin = &school.brin;
            let reader = Reader::open(&self.data).map_err(disclosure::Error::Open)?;
            // Whatever cannot be read may be of the person: then the entry stays.
            let known = |handle: &HexHandle| {
                let mut seen = false;
                let rows = reader.rows(brin, &ALWAYS, Some(&handle.0), &mut |_| seen = true);
                rows.is_err()
                    || seen
                    || !reader.summaries(brin, &handle.0).is_ok_and(|found| found.is_empty())
            };
            let gone = |right: &Right| !right.handles.iter().any(known);
            let before = Before {
                drift_ms: before(terms.drift_days),
                rights_ms: before(terms.rights_days),
                // Attestations are kept as long as the leaves that answer for them.
                reviews_ms: self.log.retention().leaf_days.map_or(0, before),
            };
            went += self.ledger.let_go(brin, &before, &gone)?;
        }
        Ok(went)
    }

    /// As [`Desk::let_go`], by nobody's hand: nothing goes while the clock [is not believed](Log::is_clock_believed), which the
    /// log says of itself.
    ///
    /// # Errors
    ///
    /// As [`Desk::let_go`].
    pub fn let_go_by_itself(&self, schools: &[Arc<School>], terms: &Terms) -> Result<usize, standing::Error> {
        if self.log.is_clock_believed()? { self.let_go(schools, terms) } else { Ok(0) }
    }

    /// Puts in force what of these agreements needs no approval, and is not in force yet. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When one is not on record; the others are.
    pub fn activate_all(&self, agreements: &[Arc<Agreement>]) -> Result<(), standing::Error> {
        let mut failed = Ok(());
        for agreement in agreements {
            let approval = self.ledger.school(&agreement.school)?.load().approval(agreement);
            if approval == Approval::Unrecorded {
                failed = failed.and(self.activate(agreement, None, None, Uuid::now_v7()));
            } else if approval == Approval::Needed {
                tracing::warn!(
                    agreement = agreement.id,
                    version = agreement.version,
                    "waits for approval: nothing is released under it"
                );
            }
        }
        failed
    }

    /// Puts a version of an agreement in force, on behalf of an account where it was approved of in the review app.
    /// Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When it needs the approval of somebody else, or is not on record.
    pub fn activate(
        &self,
        agreement: &Agreement,
        approver: Option<String>,
        account: Option<AccountCode>,
        reference: Uuid,
    ) -> Result<(), standing::Error> {
        let mut leaf = Leaf::new(LeafKind::AgreementActivated);
        leaf.recipient = Leaf::recipient_code(&agreement.recipient);
        leaf.activity = Leaf::activity_code(&agreement.id);
        leaf.activity_version = agreement.version;
        leaf.agreement = agreement.hash;
        leaf.status = if approver.is_some() { 2 } else { 1 };
        leaf.certificate = AccountCode::bytes(account);
        (leaf.trace_id, leaf.transaction) = (*reference.as_bytes(), *reference.as_bytes());
        let since = self.clock.now_ms();
        self.ledger.change(&agreement.school, leaf, |standing| {
            Ok(standing.activate(agreement, approver, since, reference)?)
        })
    }
}

fn describe(leaf: &mut Leaf, kind: RightKind, scope: &Scope, reference: Uuid) {
    leaf.status = kind as u8;
    leaf.flags = Leaf::PERSON;
    if let Scope::Agreement(id) = scope {
        leaf.activity = Leaf::activity_code(id);
    }
    (leaf.trace_id, leaf.transaction) = (*reference.as_bytes(), *reference.as_bytes());
}

/// The socket of a log, open. Dropped, it is gone.
pub struct Control {
    path: PathBuf,
}

impl Control {
    /// Answers at the socket of a log, on threads of its own, until the process ends.
    ///
    /// # Errors
    ///
    /// When there can be no socket.
    pub fn open(data: &Path, desk: Desk) -> io::Result<Self> {
        let path = data.join(SOCKET);
        // One that a crash has left: whoever has the log is us.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let desk = Arc::new(desk);
        thread::Builder::new().name("control".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let desk = Arc::clone(&desk);
                // Whoever asked sees the connection close when there can be no thread, or the answer cannot be read.
                let _ = thread::Builder::new().name("control".into()).spawn(move || answer(&desk, &stream));
            }
        })?;
        Ok(Self { path })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn answer(desk: &Desk, mut stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let line = read_line(stream)?;
    let answer = match serde_json::from_slice(&line) {
        Ok(request) => desk.perform(request),
        Err(_) => Answer::Refused { what: "the request is none that this version of sluis knows".into() },
    };
    stream.write_all(&serde_json::to_vec(&answer)?)?;
    stream.write_all(b"\n")
}

fn read_line(stream: &UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Asks the process that has the log.
///
/// # Errors
///
/// When there is none, or it gives no answer.
pub fn ask(data: &Path, request: &Request) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(data.join(SOCKET))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&serde_json::to_vec(request)?)?;
    stream.write_all(b"\n")?;
    Ok(serde_json::from_slice(&read_line(&stream)?)?)
}
