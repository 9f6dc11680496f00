//! Objections, restrictions and consents: AVG art. 21, 18 and 7.
//!
//! A person is known by a handle under a log key of the school and by nothing else. Each entry says which key that was,
//! and from what identifier handles were made: an entry that can no longer be told apart from others keeps everything
//! of its school in, and so shows.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Register, Standing};
use crate::{
    catalogue::Person,
    config::School,
    disclosure::{KeptOut, rowfile::Handle},
    keys::{IdentitySource, KeyRing, Purpose},
    minimise::KeepOut,
    policy::agreement::{Agreement, Basis},
    pseudonym::{Identity, LogKeys},
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
    /// Stands for the person.
    #[serde(with = "hex")]
    pub handle: Handle,
    /// The log key the handle was made with.
    pub epoch: u16,
    /// The identifier the handle was made from.
    pub identity: IdentitySource,
    /// Who decided.
    pub decided_by: DecidedBy,
    /// When it was entered, ms since 1970.
    pub entered_ms: u64,
    /// The transaction of the leaf that says so.
    pub reference: Uuid,
}

impl Right {
    fn is_about(&self, other: &Self) -> bool {
        (self.kind, self.handle, self.epoch) == (other.kind, other.handle, other.epoch)
            && self.scope == other.scope
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
        if self.rights.iter().any(|known| known.is_about(&right)) {
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
        handles: &[(u16, Handle)],
    ) -> Result<(), RightError> {
        let before = self.rights.len();
        self.rights.retain(|known| {
            let own = handles.contains(&(known.epoch, known.handle));
            !(own && known.kind == kind && known.scope == *scope)
        });
        if self.rights.len() == before { Err(RightError::Unknown) } else { Ok(()) }
    }
}

/// Entries by handle.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Index(HashMap<Handle, Vec<usize>>);

impl Index {
    pub(super) fn of(rights: &[Right]) -> Self {
        let mut index: HashMap<Handle, Vec<usize>> = HashMap::new();
        for (place, right) in rights.iter().enumerate() {
            index.entry(right.handle).or_default().push(place);
        }
        Self(index)
    }
}

/// The rights of a school's persons, as one agreement has to respect them.
pub struct Rights {
    register: Register,
    keys: Vec<LogKeys>,
    agreement: String,
    purpose: String,
    basis: Basis,
}

/// An entry cannot be told apart from others: its log key is gone, or the school's handles are made from another
/// identifier now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untraceable;

impl Rights {
    /// The rights that count under an agreement.
    ///
    /// # Errors
    ///
    /// [`Untraceable`]: whoever it is, nothing may be released before it is lifted or entered anew.
    pub fn under(
        register: Register,
        agreement: &Agreement,
        school: &School,
        keys: &KeyRing,
    ) -> Result<Self, Untraceable> {
        let standing = register.load();
        let mut epochs: BTreeSet<u16> = BTreeSet::new();
        for right in &standing.rights {
            if right.identity != school.identity {
                return Err(Untraceable);
            }
            epochs.insert(right.epoch);
        }
        let mut known = Vec::new();
        for (place, (epoch, root)) in keys.all(&school.brin, Purpose::Log).enumerate() {
            // What is entered while the exchange runs is entered under the newest.
            if epochs.remove(&epoch) || place == 0 {
                known.push(LogKeys::new(root, epoch, &school.brin));
            }
        }
        if !epochs.is_empty() {
            return Err(Untraceable);
        }
        let (id, purpose) = (agreement.id.clone(), agreement.purpose.clone());
        drop(standing);
        Ok(Self { register, keys: known, agreement: id, purpose, basis: agreement.basis })
    }
}

impl KeepOut for Rights {
    fn keep_out(&self, identity: &Identity, person: Person) -> Option<KeptOut> {
        let standing = self.register.load();
        // Consent is asked of pupils; that of staff would not be free (EDPB guidelines 05/2020, 3.1.1).
        let consent = self.basis == Basis::Toestemming && person == Person::Leerling;
        if standing.rights.is_empty() {
            return consent.then_some(KeptOut::GeenToestemming);
        }
        let mut consented = false;
        let mut out = None;
        for keys in &self.keys {
            let places = standing.index.0.get(&keys.subject_handle(identity));
            for right in places.into_iter().flatten().map(|&place| &standing.rights[place]) {
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
