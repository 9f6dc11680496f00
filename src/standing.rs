//! What stands until something else is said: objections, restrictions and consents of persons, versions of agreements in
//! force, deliveries that are held, notices to recipients, attestations of reviews, and what feeds were seen to hold. Of each school one file,
//! every change of which is a record in the log first ([`Log::stand`]).
//!
//! A [`Ledger`] holds what stands in memory and changes it; a [`Register`] is that of one school, which exchanges look at
//! while they run, so that what is entered holds from the next person on.

mod approval;
mod drift;
mod hold;
mod notice;
mod review;
mod rights;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    config::Config,
    disclosure::{self, Leaf, LeafKind, Log, Reader},
};

pub use approval::{Activated, Approval, ApprovalError};
pub use drift::Drift;
pub use hold::{Because, Decision, Hold, HoldError};
pub use notice::{
    NamedPerson, Notice, NoticeBy, NoticeContent, NoticeError, NoticeKind, NoticeState, NoticeStep,
    ToldNotices,
};
pub use review::{Attestation, Mark, MonthReview, ReviewError, Reviewed, Seed};
pub use rights::{DecidedBy, HexHandle, Right, RightError, RightKind, Rights, RightsAt, Scope, Untraceable};

/// What the leaf says when old entries were let go of by rule; the numbers before it are those of [`RightKind`].
const LET_GO: u8 = 4;

/// All that stands for one school.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Drawn anew with each change: the hash in the log confirms no guess at what stood.
    salt: String,
    /// What persons asked for, or agreed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rights: Vec<Right>,
    /// Versions of agreements in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    agreements: Vec<Activated>,
    /// Deliveries that are or were held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    holds: Vec<Hold>,
    /// Who is told of a correction, an erasure or a restriction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notices: Vec<Notice>,
    /// Months that somebody reviewed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reviews: Vec<Attestation>,
    /// What feeds were seen to hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    seen: drift::Seen,
    /// What they began to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    drift: Vec<Drift>,
    #[serde(skip)]
    index: rights::Index,
}

/// What stands for one school, as it is now: every look at it sees the newest.
pub type Register = Arc<ArcSwap<Standing>>;

/// Why nothing can be said or read of what stands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An agreement cannot be put in force.
    #[error("{0}")]
    Approval(#[from] ApprovalError),
    /// Nothing can be decided on a hold.
    #[error("{0}")]
    Hold(#[from] HoldError),
    /// Nothing can be done with a notice.
    #[error("{0}")]
    Notice(#[from] NoticeError),
    /// A month cannot be attested.
    #[error("{0}")]
    Review(#[from] ReviewError),
    /// An entry cannot be made or lifted.
    #[error("{0}")]
    Right(#[from] RightError),
    /// The log.
    #[error("{0}")]
    Log(#[from] disclosure::Error),
    /// The file of a school is not as it was written.
    #[error("standing/{0}.json is damaged; run `sluis log verify` and put it back from a copy")]
    Damaged(String),
    /// The file of a school cannot be read.
    #[error("standing/{0}.json cannot be read ({1})")]
    Read(String, io::ErrorKind),
}

impl Standing {
    fn read(brin: &str, bytes: Option<Vec<u8>>) -> Result<Self, Error> {
        let Some(bytes) = bytes else { return Ok(Self::default()) };
        let damaged = || Error::Damaged(brin.into());
        let mut standing: Self = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        standing.index = rights::Index::of(&standing.rights);
        Ok(standing)
    }

    /// Its bytes, under a new salt.
    fn seal(&mut self) -> Result<Vec<u8>, Error> {
        let mut salt = [0; 16];
        let random = SystemRandom::new().fill(&mut salt);
        random.map_err(|_| disclosure::Error::Write(io::ErrorKind::Other))?;
        self.salt = hex::encode(salt);
        self.index = rights::Index::of(&self.rights);
        Ok(serde_json::to_vec_pretty(self).expect("texts, numbers and lists"))
    }

    /// What persons asked for, or agreed to, in the order in which it was entered.
    pub fn rights(&self) -> &[Right] {
        &self.rights
    }
}

/// What stands for all schools, and the way to change it.
pub struct Ledger {
    source: Source,
    schools: Mutex<HashMap<String, Register>>,
    /// Held while one change is made.
    change: Mutex<()>,
    /// Notices were made.
    noticed: tokio::sync::Notify,
}

/// From before which instants what stands is let go of, in ms since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    /// What feeds began to hold.
    pub drift_ms: u64,
    /// Attestations.
    pub reviews_ms: u64,
    /// Objections, restrictions and consents.
    pub rights_ms: u64,
}

enum Source {
    /// The log, to be written.
    Log(Log),
    /// Beside whoever writes it.
    Reader(std::path::PathBuf),
}

impl Ledger {
    /// What stands by a log that is open for writing.
    pub fn of(log: Log) -> Self {
        Self::new(Source::Log(log))
    }

    /// What stands by a log that another may be writing. It cannot be changed, and changes of others do not show.
    pub fn reading(data: &Path) -> Self {
        Self::new(Source::Reader(data.to_owned()))
    }

    fn new(source: Source) -> Self {
        let noticed = tokio::sync::Notify::new();
        Self { source, schools: Mutex::default(), change: Mutex::default(), noticed }
    }

    fn schools(&self) -> MutexGuard<'_, HashMap<String, Register>> {
        self.schools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands for a school.
    ///
    /// # Errors
    ///
    /// When it cannot be read: nothing may be released then.
    pub fn school(&self, brin: &str) -> Result<Register, Error> {
        let mut schools = self.schools();
        if let Some(known) = schools.get(brin) {
            return Ok(Arc::clone(known));
        }
        let bytes = match &self.source {
            Source::Log(log) => log.standing(brin)?,
            Source::Reader(data) => {
                Reader::standing(data, brin).map_err(|error| Error::Read(brin.into(), error.kind()))?
            }
        };
        let register = Arc::new(ArcSwap::from_pointee(Standing::read(brin, bytes)?));
        schools.insert(brin.to_owned(), Arc::clone(&register));
        Ok(register)
    }

    /// Changes what stands for a school. The change is on record when this returns, and from then on every look at the
    /// register sees it. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When the change was refused or is not on record; then what stood before still stands.
    pub fn change<T>(
        &self,
        brin: &str,
        leaf: Leaf,
        change: impl FnOnce(&mut Standing) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let alone = self.alone();
        self.change_alone(&alone, brin, leaf, change)
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_alone<T>(
        &self,
        _: &MutexGuard<'_, ()>,
        brin: &str,
        leaf: Leaf,
        change: impl FnOnce(&mut Standing) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Source::Log(log) = &self.source else { return Err(disclosure::Error::Poisoned.into()) };
        let register = self.school(brin)?;
        let mut standing = Standing::clone(&register.load());
        let done = change(&mut standing)?;
        log.stand(brin, &standing.seal()?, leaf)?;
        register.store(Arc::new(standing));
        Ok(done)
    }

    /// Holds a delivery, unless the same is held already. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When it is not on record.
    pub fn hold(&self, brin: &str, leaf: Leaf, hold: Hold) -> Result<(), Error> {
        let alone = self.alone();
        if self.school(brin)?.load().knows_hold(&hold) {
            return Ok(());
        }
        self.change_alone(&alone, brin, leaf, |standing| {
            standing.hold(hold);
            Ok(())
        })
    }

    /// Notes what a feed of a school holds, and gives what it never held before. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When it is not on record; then it will be noted with the next.
    pub fn note_feed(
        &self,
        brin: &str,
        mut leaf: Leaf,
        feed: &str,
        parts: &BTreeSet<String>,
    ) -> Result<Vec<String>, Error> {
        let register = self.school(brin)?;
        if register.load().knows(feed, parts.iter()) {
            return Ok(Vec::new());
        }
        // Of exchanges that end at the same time, one says it.
        let alone = self.alone();
        if register.load().knows(feed, parts.iter()) {
            return Ok(Vec::new());
        }
        let new: Vec<String> = register.load().unseen(feed, parts).into_iter().cloned().collect();
        leaf.released = new.len() as u64;
        let (at_ms, reference) = (leaf.start_ms, Uuid::from_bytes(leaf.transaction));
        self.change_alone(&alone, brin, leaf, |standing| {
            standing.note_feed(feed, parts, at_ms, reference);
            Ok(())
        })?;
        Ok(new)
    }

    /// Lets go of what stood long enough; of rights, of those of persons of whom `gone` says that nothing else is known.
    /// Says how much went. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When it is not on record; then it still stands.
    pub fn let_go(&self, brin: &str, before: &Before, gone: &dyn Fn(&Right) -> bool) -> Result<usize, Error> {
        let alone = self.alone();
        let standing = self.school(brin)?.load_full();
        let old = |right: &&Right| right.entered_ms < before.rights_ms && gone(right);
        let rights: Vec<Uuid> = standing.rights.iter().filter(old).map(|right| right.reference).collect();
        let drift = standing.drift.iter().filter(|drift| drift.at_ms < before.drift_ms).count();
        let reviews = standing.reviews.iter().filter(|review| review.at_ms < before.reviews_ms).count();
        let went = rights.len() + drift + reviews;
        if went == 0 {
            return Ok(0);
        }
        let mut leaf = Leaf::new(LeafKind::Right);
        leaf.status = LET_GO;
        leaf.released = went as u64;
        self.change_alone(&alone, brin, leaf, |standing| {
            standing.rights.retain(|right| !rights.contains(&right.reference));
            standing.drift.retain(|drift| drift.at_ms >= before.drift_ms);
            standing.reviews.retain(|review| review.at_ms >= before.reviews_ms);
            Ok(went)
        })
    }

    /// Reads what stands for each school of a configuration, so that whatever is damaged shows at once.
    ///
    /// # Errors
    ///
    /// As [`Ledger::school`].
    pub fn check(&self, config: &Config) -> Result<(), Error> {
        config.schools.iter().try_for_each(|school| self.school(&school.brin).map(drop))
    }
}
