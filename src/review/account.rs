//! Accounts of the review app.
//!
//! What each role may, and no more; all may read what concerns their schools:
//!
//! | | read | look a person up | attest | enter | approve | export |
//! |---|---|---|---|---|---|---|
//! | `fg` | yes | yes | yes | – | – | yes |
//! | `beheerder` | yes | yes | – | yes | – | – |
//! | `goedkeurder` | yes | – | – | – | yes | – |
//!
//! The second person of an approval needs no persons, so it sees none; and whoever answers for the review enters nothing
//! that is reviewed.
//!
//! In the log an account is its [`AccountCode`], never a name. A removed account keeps its name and loses its secrets, so
//! that reviews of the past still tell whose they are.

mod factors;
mod file;

pub use factors::{Factors, Passphrase, PassphraseHash, TotpSecret};
pub use file::Accounts;

use std::io;

use ring::digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    disclosure::{Leaf, LeafKind},
    problem::Problem,
};

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Enters objections and agreements.
    Beheerder,
    /// The data protection officer: reads and attests.
    Fg,
    /// Approves of agreements, and decides on what is held.
    Goedkeurder,
}

/// What may be asked of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Approve of an agreement, or decide on what is held.
    Approve,
    /// Attest that a month was reviewed.
    Attest,
    /// Enter and lift objections, restrictions and consents; erase; make notices.
    Enter,
    /// Take a copy of the log away.
    Export,
    /// Look up what concerns one person.
    Person,
    /// See what concerns no one person.
    Read,
}

impl Role {
    /// Whether the role may do this: the table of this module.
    pub fn may(self, permission: Permission) -> bool {
        match permission {
            Permission::Approve => self == Self::Goedkeurder,
            Permission::Attest | Permission::Export => self == Self::Fg,
            Permission::Enter => self == Self::Beheerder,
            Permission::Person => matches!(self, Self::Beheerder | Self::Fg),
            Permission::Read => true,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Beheerder => "beheerder",
            Self::Fg => "fg",
            Self::Goedkeurder => "goedkeurder",
        }
    }
}

/// The language somebody reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Dutch.
    #[default]
    Nl,
}

/// What stands for an account in the log: the SHA-256 of its id, which is random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountCode(#[serde(with = "hex")] pub [u8; 32]);

impl AccountCode {
    /// That of an id.
    pub fn of(id: Uuid) -> Self {
        let hash = digest::digest(&digest::SHA256, id.as_bytes());
        Self(*hash.as_ref().first_chunk().expect("SHA-256 gives 32 bytes"))
    }

    /// As leaves hold it: zeros for nobody.
    pub fn bytes(code: Option<Self>) -> [u8; 32] {
        code.map_or([0; 32], |code| code.0)
    }
}

/// What a leaf of the kind [`LeafKind::Account`] says. Numbers are part of the log's format, in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum AccountEvent {
    /// It was made.
    Added = 1,
    /// It got another role, other schools, another passphrase or secret, or is known otherwise to an identity provider.
    Changed = 2,
    /// Somebody logged in.
    LoggedIn = 4,
    /// Somebody logged out.
    LoggedOut = 6,
    /// Somebody could not log in.
    Refused = 5,
    /// It logs in no more.
    Removed = 3,
    /// Attempts to log in have to wait. Said once for each wait.
    Throttled = 7,
}

impl AccountEvent {
    /// The leaf that says so; `code`: of which account, where it is known.
    pub fn leaf(self, code: Option<AccountCode>, transaction: Uuid, now_ms: u64) -> Leaf {
        let mut leaf = Leaf::new(LeafKind::Account);
        leaf.status = self as u8;
        leaf.certificate = AccountCode::bytes(code);
        leaf.start_ms = now_ms;
        (leaf.trace_id, leaf.transaction) = (*transaction.as_bytes(), *transaction.as_bytes());
        leaf
    }
}

/// How another system that logs people in (OpenID Connect) knows somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its address.
    pub issuer: String,
    /// What it calls the person.
    pub sub: String,
}

impl Subject {
    /// Whether this is what a provider may call a person: 1 to 255 printable characters of ASCII.
    pub fn is_sub(text: &str) -> bool {
        (1..=255).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b))
    }
}

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Random; see [`AccountCode`].
    pub id: Uuid,
    /// Whose it is. No other has it, in any case, also once this one is removed.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The schools it is for; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schools: Vec<String>,
    /// What is shown to log in; gone once it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factors: Option<Factors>,
    /// How another system knows the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// What the person reads.
    #[serde(default)]
    pub language: Language,
    /// Counts its changes: a session from before one has ended.
    #[serde(default)]
    pub revision: u64,
    /// It logs in no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

impl Account {
    /// What stands for it in the log.
    pub fn code(&self) -> AccountCode {
        AccountCode::of(self.id)
    }

    /// Whether it may do this.
    pub fn may(&self, permission: Permission) -> bool {
        !self.removed && self.role.may(permission)
    }

    /// Whether a school is among those it is for.
    pub fn sees(&self, brin: &str) -> bool {
        self.schools.is_empty() || self.schools.iter().any(|school| school == brin)
    }
}

/// All accounts, as they were at one look.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roll {
    version: u8,
    accounts: Vec<Account>,
}

impl Default for Roll {
    fn default() -> Self {
        Self { version: 1, accounts: Vec::new() }
    }
}

fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

impl Roll {
    /// All, removed ones too, in the order in which they were added.
    pub fn all(&self) -> &[Account] {
        &self.accounts
    }

    /// The one with this id, unless it is removed.
    pub fn find(&self, id: Uuid) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id && !account.removed)
    }

    /// The one of this name, in any case, unless it is removed.
    pub fn named(&self, name: &str) -> Option<&Account> {
        let name = folded(name);
        self.accounts.iter().find(|account| !account.removed && folded(&account.name) == name)
    }

    /// The one that another system knows so, letter by letter, unless it is removed.
    pub fn known_as(&self, subject: &Subject) -> Option<&Account> {
        let is = |account: &&Account| !account.removed && account.subject.as_ref() == Some(subject);
        self.accounts.iter().find(is)
    }

    /// The one that the log has this code of, removed or not: for its name.
    pub fn coded(&self, code: AccountCode) -> Option<&Account> {
        self.accounts.iter().find(|account| account.code() == code)
    }

    /// Adds one.
    ///
    /// # Errors
    ///
    /// [`AccountError::Name`], [`AccountError::Taken`], or when the system gives no random numbers.
    pub fn add(
        &mut self,
        name: &str,
        role: Role,
        schools: Vec<String>,
        factors: Factors,
    ) -> Result<&Account, AccountError> {
        let name = name.trim();
        let printable = |c: char| !c.is_control() && c != ':' && !INVISIBLE.contains(&c);
        if !(1..=64).contains(&name.chars().count()) || !name.chars().all(printable) {
            return Err(AccountError::Name);
        }
        let taken = self.accounts.iter().find(|account| folded(&account.name) == folded(name));
        if let Some(taken) = taken {
            return Err(if taken.removed { AccountError::WasTaken } else { AccountError::Taken });
        }
        let id = uuid::Builder::from_random_bytes(*factors::random()?).into_uuid();
        self.accounts.push(Account {
            id,
            name: name.to_owned(),
            role,
            schools,
            factors: Some(factors),
            subject: None,
            language: Language::default(),
            revision: 0,
            removed: false,
        });
        Ok(self.accounts.last().expect("it was just added"))
    }

    fn change(&mut self, id: Uuid) -> Result<&mut Account, AccountError> {
        let account = self.accounts.iter_mut().find(|account| account.id == id && !account.removed);
        let account = account.ok_or(AccountError::Unknown)?;
        account.revision += 1;
        Ok(account)
    }

    /// Removes one: its name stays.
    ///
    /// # Errors
    ///
    /// [`AccountError::Unknown`].
    pub fn remove(&mut self, id: Uuid) -> Result<(), AccountError> {
        let account = self.change(id)?;
        (account.removed, account.factors, account.subject) = (true, None, None);
        Ok(())
    }

    /// Gives one another role and other schools.
    ///
    /// # Errors
    ///
    /// [`AccountError::Unknown`].
    pub fn assign(&mut self, id: Uuid, role: Role, schools: Vec<String>) -> Result<(), AccountError> {
        let account = self.change(id)?;
        (account.role, account.schools) = (role, schools);
        Ok(())
    }

    /// Gives one something else to log in with.
    ///
    /// # Errors
    ///
    /// [`AccountError::Unknown`].
    pub fn reset(&mut self, id: Uuid, factors: Factors) -> Result<(), AccountError> {
        self.change(id)?.factors = Some(factors);
        Ok(())
    }

    /// Notes how another system knows somebody; without a subject, that none does.
    ///
    /// # Errors
    ///
    /// [`AccountError::Unknown`], [`AccountError::Sub`], and [`AccountError::Linked`] when that is another account.
    pub fn link(&mut self, id: Uuid, subject: Option<Subject>) -> Result<(), AccountError> {
        if let Some(subject) = &subject {
            if !Subject::is_sub(&subject.sub) {
                return Err(AccountError::Sub);
            }
            if self.known_as(subject).is_some_and(|account| account.id != id) {
                return Err(AccountError::Linked);
            }
        }
        self.change(id)?.subject = subject;
        Ok(())
    }

    /// Notes what somebody reads. No session ends by it.
    ///
    /// # Errors
    ///
    /// [`AccountError::Unknown`].
    pub fn speak(&mut self, id: Uuid, language: Language) -> Result<(), AccountError> {
        let account = self.accounts.iter_mut().find(|account| account.id == id && !account.removed);
        account.ok_or(AccountError::Unknown)?.language = language;
        Ok(())
    }

    /// Uses up the code of a step, of an account as it was at this revision.
    ///
    /// # Errors
    ///
    /// [`AccountError::Unknown`] when it has changed since, [`AccountError::Used`] when the code, or a later one, was used.
    pub fn use_step(&mut self, id: Uuid, revision: u64, step: u64) -> Result<(), AccountError> {
        let account = self.accounts.iter_mut().find(|account| account.id == id && !account.removed);
        let account = account.filter(|account| account.revision == revision).ok_or(AccountError::Unknown)?;
        let factors = account.factors.as_mut().ok_or(AccountError::Unknown)?;
        if step <= factors.last_step {
            return Err(AccountError::Used);
        }
        factors.last_step = step;
        Ok(())
    }
}

/// Characters that are not seen, or turn the direction of what follows: one name would look like another.
const INVISIBLE: [char; 14] = [
    '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}',
    '\u{202d}', '\u{202e}', '\u{2060}', '\u{2066}', '\u{feff}',
];

/// Why an account is not as it was to be. Never quotes a name or a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The file cannot be read, or is not as it was written.
    #[error("{0}")]
    File(Problem),
    /// The passphrase is on the list of those tried first, or is the name, or a few characters over and over.
    #[error(
        "the passphrase is one of those tried first; choose words that have nothing to do with one another"
    )]
    Guessable,
    /// Another account has the subject.
    #[error("another account has this subject; run `sluis users unlink` for that one first")]
    Linked,
    /// Another process is changing the accounts.
    #[error("another process keeps the lock of the accounts; wait for it to end")]
    Locked,
    /// The name is none.
    #[error("the name is none; give 1 to 64 printable characters, without a colon")]
    Name,
    /// There was no memory to hash with.
    #[error("there is not the memory to hash a passphrase with, 19 MiB; free some")]
    NoMemory,
    /// The system gave no random numbers.
    #[error("the system gives no random numbers")]
    NoRandom,
    /// The subject is none.
    #[error(
        "the subject is none; give the `sub` that the identity provider has: 1 to 255 printable characters of ASCII"
    )]
    Sub,
    /// Another account has the name.
    #[error("there is an account of this name; choose another name")]
    Taken,
    /// The passphrase is too long.
    #[error("the passphrase is too long; give at most 256 characters")]
    TooLong,
    /// The passphrase is too short.
    #[error("the passphrase is too short; give at least 15 characters, such as five words")]
    TooShort,
    /// There is no such account.
    #[error("there is no account of this name; `sluis users list` shows which there are")]
    Unknown,
    /// The code was used before.
    #[error("this code was used before; wait for the next")]
    Used,
    /// A removed account has the name.
    #[error("a removed account has this name, and reviews of the past are its own; choose another name")]
    WasTaken,
    /// The file could not be written.
    #[error(
        "the file of accounts could not be written ({0}); make its folder writable for the user that runs sluis"
    )]
    Write(io::ErrorKind),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    pub(super) const WORDS: &str = "paard batterij nietje juist";

    pub(super) fn factors() -> Factors {
        Factors::of(&Passphrase::given(WORDS)).unwrap()
    }

    #[test]
    fn each_role_may_what_the_table_says() {
        use Permission::{Approve, Attest, Enter, Export, Person, Read};
        for (role, may) in [
            (Role::Fg, &[Attest, Export, Person, Read][..]),
            (Role::Beheerder, &[Enter, Person, Read]),
            (Role::Goedkeurder, &[Approve, Read]),
        ] {
            for permission in [Approve, Attest, Enter, Export, Person, Read] {
                assert_eq!(role.may(permission), may.contains(&permission), "{role:?} {permission:?}");
            }
        }
    }

    #[test]
    fn names_are_seen_whole_and_are_of_one_account() {
        let mut roll = Roll::default();
        roll.add("Anna", Role::Fg, Vec::new(), factors()).unwrap();
        let long = "a".repeat(65);
        for name in ["", " ", "a\nb", "a:b", "An\u{200b}na", "\u{202e}anna", &long] {
            let added = roll.add(name, Role::Fg, Vec::new(), factors()).map(drop);
            assert!(matches!(added, Err(AccountError::Name)), "{name:?}");
        }
        let added = roll.add("ANNA", Role::Fg, Vec::new(), factors()).map(drop);
        assert!(matches!(added, Err(AccountError::Taken)));
    }
}
