//! Objections, restrictions and consents: AVG art. 21, 18 and 7.
//!
//! A person is known by handles under a log key of the school and by nothing else: one for each identifier that was known
//! when the entry was made. Each person of a feed is held against them by every identifier the feed has, so that an
//! objection goes on to hold when the school makes its pseudonyms from another, or a pupil gets a BSN. An entry whose
//! log key is gone can no longer be told apart from others: it keeps everything of its school in, and so shows.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Register, Standing};
use crate::{
    catalogue::Person,
    disclosure::{KeptOut, rowfile::Handle},
    minimise::{KeepOut, all_identities},
    policy::agreement::{Agreement, Basis},
    pseudonym::LogKeys,
    record::Record,
};

/// What was asked for, or agreed to. Numbers are those of the leaf that says so, and of rows kept in by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum RightKind {
    /// Restriction: AVG art. 18.
    Beperking = 2,
    /// Objection: AVG art. 21.
    Bezwaar = 1,
    /// Consent: AVG art. 6(1)(a) and 7.
    Toestemming = 3,
}

/// Who decided. From sixteen on it is the pupil, before that a parent or guardian (UAVG art. 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DecidedBy {
    /// The person, a pupil of sixteen or older or a member of staff.
    Betrokkene,
    /// A parent or guardian.
    Ouder,
}

/// A handle, in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HexHandle(#[serde(with = "hex")] pub Handle);

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One agreement, by its id.
    Agreement(String),
    /// Every agreement of the school.
    All,
    /// Every agreement with this purpose.
    Purpose(String),
}

impl Scope {
    fn covers(&self, agreement: &str, purpose: &str) -> bool {
        match self {
            Self::Agreement(id) => id == agreement,
            Self::All => true,
            Self::Purpose(id) => id == purpose,
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Right {
    /// What it is.
    pub kind: RightKind,
    /// What it is about.
    pub scope: Scope,
    /// Stand for the person, one for each identifier that was known when it was entered.
    pub handles: Vec<HexHandle>,
    /// The log key they were made with.
    pub epoch: u16,
    /// Who decided.
    pub decided_by: DecidedBy,
    /// When it was entered, ms since 1970.
    pub entered_ms: u64,
    /// The transaction of the leaf that says so.
    pub reference: Uuid,
}

impl Right {
    fn is_about(&self, epoch: u16, handle: HexHandle) -> bool {
        self.epoch == epoch && self.handles.contains(&handle)
    }

    fn is_like(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.scope == other.scope
            && other.handles.iter().any(|&handle| self.is_about(other.epoch, handle))
    }
}

/// Why an entry cannot be made or lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RightError {
    /// The same stands already.
    #[error("this is already on record for this person")]
    Known,
    /// There is nothing like it to be lifted.
    #[error("nothing like this is on record for this person")]
    Unknown,
}

impl Standing {
    /// Enters a right.
    ///
    /// # Errors
    ///
    /// [`RightError::Known`].
    pub fn enter(&mut self, right: Right) -> Result<(), RightError> {
        if self.rights.iter().any(|known| known.is_like(&right)) {
            return Err(RightError::Known);
        }
        self.rights.push(right);
        Ok(())
    }

    /// Lifts whatever of a kind and scope stands for a person, under any log key.
    ///
    /// # Errors
    ///
    /// [`RightError::Unknown`].
    pub fn lift(
        &mut self,
        kind: RightKind,
        scope: &Scope,
        handles: &[(u16, HexHandle)],
    ) -> Result<(), RightError> {
        let before = self.rights.len();
        self.rights.retain(|known| {
            let own = handles.iter().any(|&(epoch, handle)| known.is_about(epoch, handle));
            !(own && known.kind == kind && known.scope == *scope)
        });
        if self.rights.len() == before { Err(RightError::Unknown) } else { Ok(()) }
    }
}

/// Entries by handle.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Index {
    places: HashMap<Handle, Vec<usize>>,
    /// Log keys that handles were made with.
    epochs: BTreeSet<u16>,
}

impl Index {
    pub(super) fn of(rights: &[Right]) -> Self {
        let mut index = Self::default();
        for (place, right) in rights.iter().enumerate() {
            for handle in &right.handles {
                index.places.entry(handle.0).or_default().push(place);
            }
        }
        index.epochs = rights.iter().map(|right| right.epoch).collect();
        index
    }
}

/// The rights of a school's persons, as one agreement has to respect them.
pub struct Rights {
    register: Register,
    /// Of all epochs.
    keys: Arc<[LogKeys]>,
    agreement: String,
    purpose: String,
    basis: Basis,
}

/// An entry cannot be told apart from others: its log key is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untraceable;

impl Rights {
    /// The rights that count under an agreement, told apart by the log keys that the school has.
    ///
    /// # Errors
    ///
    /// [`Untraceable`]: whoever it is, nothing may be released before it is lifted or entered anew.
    pub fn under(
        register: Register,
        agreement: &Agreement,
        keys: Arc<[LogKeys]>,
    ) -> Result<Self, Untraceable> {
        let traceable = register.load().index.epochs.iter().all(|epoch| known(&keys, *epoch));
        if !traceable {
            return Err(Untraceable);
        }
        let (id, purpose) = (agreement.id.clone(), agreement.purpose.clone());
        Ok(Self { register, keys, agreement: id, purpose, basis: agreement.basis })
    }
}

fn known(keys: &[LogKeys], epoch: u16) -> bool {
    keys.iter().any(|keys| keys.epoch() == epoch)
}

/// What persons had asked for at a moment. Two are equal when nothing changed between.
pub struct RightsAt(Arc<Standing>);

impl PartialEq for RightsAt {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.rights == other.0.rights
    }
}

impl Rights {
    /// What persons have asked for now.
    pub fn now(&self) -> RightsAt {
        RightsAt(self.register.load_full())
    }
}

impl KeepOut for Rights {
    fn keep_out(&self, record: &Record, person: Person) -> Option<KeptOut> {
        let standing = self.register.load();
        // Consent is asked of pupils; that of staff would not be free (EDPB guidelines 05/2020, 3.1.1).
        let consent = self.basis == Basis::Toestemming && person == Person::Leerling;
        if standing.rights.is_empty() {
            return consent.then_some(KeptOut::GeenToestemming);
        }
        // Of an entry under a key that came while the exchange ran nobody can tell here whose it is.
        let epochs = &standing.index.epochs;
        if !epochs.iter().all(|epoch| known(&self.keys, *epoch)) {
            return Some(KeptOut::Beperking);
        }
        let identities = all_identities(record, person);
        let mut consented = false;
        let mut out = None;
        for keys in self.keys.iter().filter(|keys| epochs.contains(&keys.epoch())) {
            let handles = identities.iter().map(|identity| keys.subject_handle(identity));
            let places = handles.filter_map(|handle| standing.index.places.get(&handle)).flatten();
            for right in places.map(|&place| &standing.rights[place]) {
                if right.epoch != keys.epoch() || !right.scope.covers(&self.agreement, &self.purpose) {
                    continue;
                }
                match right.kind {
                    RightKind::Bezwaar if self.basis.yields() => out = Some(KeptOut::Bezwaar),
                    RightKind::Beperking if self.basis.yields() => out = out.or(Some(KeptOut::Beperking)),
                    RightKind::Toestemming => consented = true,
                    RightKind::Beperking | RightKind::Bezwaar => {}
                }
            }
        }
        out.or((consent && !consented).then_some(KeptOut::GeenToestemming))
    }
}
