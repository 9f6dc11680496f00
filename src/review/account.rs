//! Accounts of the review app: one file of JSON, beside `sluis.toml` unless the configuration says otherwise, mode 0600.
//! No file is no accounts.
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
//! Passphrases stand in the file as argon2id, secrets of authenticator apps as they are: a code can be checked no other
//! way. In the log an account is its [`AccountCode`], never a name. A removed account keeps its name and loses its
//! secrets, so that reviews of the past still tell whose they are.
//!
//! A change is made under a lock, in a new file that takes the old one's place; a running process sees it at the next
//! look ([`Accounts::roll`]).

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash,
};
use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use totp_rs::{Builder, Secret, Totp};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    disclosure::{Leaf, LeafKind},
    keys::check_private,
    problem::Problem,
};

/// Bytes of the file at most: thousands of accounts.
const LARGEST: u64 = 4 << 20;
/// How long another process may keep the lock, and how often is looked.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_AGAIN: Duration = Duration::from_millis(20);
/// Shortest and longest passphrase, in characters. NIST SP 800-63B-4 wants 15 where nothing else is asked for.
const PASSPHRASE: std::ops::RangeInclusive<usize> = 15..=256;
/// What guessers try first, of the length that is allowed, without spaces and in lower case.
const COMMON: &str = include_str!("account/common.txt");
/// Memory in KiB, passes and lanes of argon2id, as OWASP has them.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

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

/// A passphrase somebody gave. Neither printable nor comparable.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// One that was given at log-in; whatever it is, it is only compared.
    pub fn given(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// One that is to be an account's.
    ///
    /// # Errors
    ///
    /// When it is easily guessed: [`AccountError::TooShort`], [`AccountError::TooLong`], [`AccountError::Guessable`].
    pub fn chosen(text: &str, name: &str) -> Result<Self, AccountError> {
        let length = text.chars().count();
        if length < *PASSPHRASE.start() {
            return Err(AccountError::TooShort);
        }
        if length > *PASSPHRASE.end() {
            return Err(AccountError::TooLong);
        }
        let plain = |text: &str| {
            let letters = text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase);
            Zeroizing::new(letters.collect::<String>())
        };
        let (folded, name) = (plain(text), plain(name));
        // A name said over and over is the name.
        let is_name = !name.is_empty() && folded.replace(name.as_str(), "").chars().count() < 4;
        let few = {
            let mut seen: Vec<char> = folded.chars().collect();
            seen.sort_unstable();
            seen.dedup();
            let few = seen.len() < 5;
            seen.zeroize();
            few
        };
        if is_name || few || COMMON.lines().any(|common| common == folded.as_str()) {
            return Err(AccountError::Guessable);
        }
        Ok(Self::given(text))
    }

    /// A random one: 25 letters and digits that are not mistaken for one another, 124 bits.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, AccountError> {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let bytes: Zeroizing<[u8; 25]> = random()?;
        let mut text = Zeroizing::new(String::with_capacity(29));
        for (at, byte) in bytes.iter().enumerate() {
            if at > 0 && at % 5 == 0 {
                text.push('-');
            }
            text.push(char::from(LETTERS[usize::from(byte % 32)]));
        }
        Ok(Self(text))
    }

    /// The words themselves, for whoever they are shown to once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, AccountError> {
    let mut bytes = Zeroizing::new([0; N]);
    SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| AccountError::NoRandom)?;
    Ok(bytes)
}

/// What a passphrase is checked by: argon2id, as a PHC string. Not printable.
#[derive(Clone)]
pub struct PassphraseHash(Zeroizing<String>);

impl PassphraseHash {
    /// Hashes a passphrase, which takes its time.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers, or not the memory.
    pub fn of(passphrase: &Passphrase) -> Result<Self, AccountError> {
        let (memory, passes, lanes) = COST;
        let cost = Params::new(memory, passes, lanes, None).expect("in range");
        let salt: Zeroizing<[u8; 16]> = random()?;
        let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost)
            .hash_password_with_salt(passphrase.0.as_bytes(), salt.as_slice())
            .map_err(|_| AccountError::NoMemory)?;
        Ok(Self(Zeroizing::new(hash.to_string())))
    }

    /// Whether it is of this passphrase. Takes as long for a near miss as for a far one.
    pub fn matches(&self, passphrase: &Passphrase) -> bool {
        PasswordHash::new(&self.0)
            .is_ok_and(|hash| Argon2::default().verify_password(passphrase.0.as_bytes(), &hash).is_ok())
    }
}

impl fmt::Debug for PassphraseHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassphraseHash(..)")
    }
}

impl Serialize for PassphraseHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PassphraseHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let whole = PasswordHash::new(&text)
            .is_ok_and(|hash| hash.algorithm == Algorithm::Argon2id.ident() && hash.hash.is_some());
        if whole { Ok(Self(text)) } else { Err(de::Error::custom("no argon2id hash")) }
    }
}

/// What an authenticator app makes its codes from: SHA-1, six digits, 30 seconds (RFC 6238). Not printable.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<[u8; 20]>);

impl TotpSecret {
    /// A new one.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, AccountError> {
        Ok(Self(random()?))
    }

    fn totp(&self, name: &str) -> Totp {
        let builder = Builder::new().with_secret(*self.0).with_account_name(name).with_issuer(Some("Sluis"));
        builder.build_noncompliant()
    }

    /// The step that a code is of: the one it is, the one before or the one after.
    pub fn step_of(&self, code: &str, now_ms: u64) -> Option<u64> {
        self.totp("").check(code, now_ms / 1000)
    }

    /// The code of an instant.
    pub fn code_at(&self, now_ms: u64) -> Zeroizing<String> {
        Zeroizing::new(self.totp("").generate(now_ms / 1000).to_string())
    }

    /// What an app is told, once: `otpauth://…`.
    pub fn uri(&self, name: &str) -> Zeroizing<String> {
        Zeroizing::new(self.totp(name).to_url().expect("names of accounts are not empty and have no colon"))
    }

    /// Reads one out of such a text.
    pub fn from_uri(uri: &str) -> Option<Self> {
        let totp = Totp::from_url(uri).ok()?;
        Some(Self(Zeroizing::new(totp.secret().as_bytes().try_into().ok()?)))
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(..)")
    }
}

impl Serialize for TotpSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(Secret::from(*self.0).to_base32()))
    }
}

impl<'de> Deserialize<'de> for TotpSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes =
            Secret::try_from_base32(text.as_str()).ok().and_then(|secret| secret.as_bytes().try_into().ok());
        bytes
            .map(|bytes| Self(Zeroizing::new(bytes)))
            .ok_or_else(|| de::Error::custom("no secret of 20 bytes"))
    }
}

/// Both things somebody shows to log in, and what was used of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Factors {
    /// What the passphrase is checked by.
    pub passphrase: PassphraseHash,
    /// What codes are checked by.
    pub totp: TotpSecret,
    /// The step of the last code that was used: no code of this step or before it counts again.
    #[serde(default)]
    pub last_step: u64,
}

impl Factors {
    /// New ones for a passphrase.
    ///
    /// # Errors
    ///
    /// As [`PassphraseHash::of`].
    pub fn of(passphrase: &Passphrase) -> Result<Self, AccountError> {
        let totp = TotpSecret::generate()?;
        Ok(Self { passphrase: PassphraseHash::of(passphrase)?, totp, last_step: 0 })
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
        let id = uuid::Builder::from_random_bytes(*random()?).into_uuid();
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

/// Which file it was that was read: a change makes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    changed: (i64, i64),
    length: u64,
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Self { inode: metadata.ino(), changed, length: metadata.len() }
    }
}

/// The file of accounts.
#[derive(Debug)]
pub struct Accounts {
    path: PathBuf,
    /// What was read last, and of which file; none: there was none.
    read: Mutex<Option<(Option<Stamp>, Arc<Roll>)>>,
}

impl Accounts {
    /// The file of this name, which need not be there.
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it can be read.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and the mend.
    pub fn check(&self) -> Result<(), Problem> {
        self.load().map(drop)
    }

    /// The accounts as they are now. Reads the file only when it is another than before.
    ///
    /// # Errors
    ///
    /// [`AccountError::File`]: then nobody is known.
    pub fn roll(&self) -> Result<Arc<Roll>, AccountError> {
        let stamp = fs::symlink_metadata(&self.path).ok().map(|metadata| Stamp::of(&metadata));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, roll)) = read.as_ref().filter(|(known, _)| *known == stamp) {
            return Ok(Arc::clone(roll));
        }
        // Where it cannot be read, what was read before holds no longer.
        *read = None;
        let (stamp, roll) = self.load().map_err(AccountError::File)?;
        let roll = Arc::new(roll);
        *read = Some((stamp, Arc::clone(&roll)));
        Ok(roll)
    }

    fn load(&self) -> Result<(Option<Stamp>, Roll), Problem> {
        let unreadable = |error: &io::Error| {
            Problem::new(&self.path, format!("cannot be read ({})", error.kind()), "restore the file")
        };
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, Roll::default())),
            Err(error) => return Err(unreadable(&error)),
            Ok(_) => check_private(&self.path)?,
        }
        let file = File::open(&self.path).map_err(|error| unreadable(&error))?;
        let metadata = file.metadata().map_err(|error| unreadable(&error))?;
        let length = usize::try_from(metadata.len().min(LARGEST)).unwrap_or(0);
        let mut text = Zeroizing::new(Vec::with_capacity(length + 1));
        file.take(LARGEST).read_to_end(&mut text).map_err(|error| unreadable(&error))?;
        // The words of the error may quote the text.
        let roll: Option<Roll> = serde_json::from_slice(&text).ok();
        match roll.filter(|roll| roll.version == 1) {
            Some(roll) => Ok((Some(Stamp::of(&metadata)), roll)),
            None => {
                let mend = "put it back from your backup; `sluis users` makes and changes it";
                Err(Problem::new(&self.path, "is no file of accounts", mend))
            }
        }
    }

    /// Changes the accounts: on disk when this returns. `change` says no by an error, and then nothing is changed.
    /// Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// That of `change`, or why the file cannot be read or written.
    pub fn change<T, E: From<AccountError>>(
        &self,
        change: impl FnOnce(&mut Roll) -> Result<T, E>,
    ) -> Result<T, E> {
        let _alone = self.lock()?;
        let (_, mut roll) = self.load().map_err(AccountError::File)?;
        let done = change(&mut roll)?;
        self.write(&roll).map_err(|error| AccountError::Write(error.kind()))?;
        Ok(done)
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(ending);
        name.into()
    }

    /// Held until dropped: one changes the file at a time, in whatever process.
    fn lock(&self) -> Result<File, AccountError> {
        let failed = |error: io::Error| AccountError::Write(error.kind());
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(self.beside(".lock")).map_err(failed)?;
        let until = Instant::now() + LOCK_WAIT;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(LOCK_AGAIN),
                Err(TryLockError::WouldBlock) => return Err(AccountError::Locked),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    fn write(&self, roll: &Roll) -> io::Result<()> {
        // Room for all of it at once: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(1024 * (roll.accounts.len() + 1)));
        serde_json::to_writer_pretty(&mut *text, roll)?;
        text.push(b'\n');
        let new = self.beside(".new");
        // What a crash has left.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const WORDS: &str = "paard batterij nietje juist";

    fn accounts(dir: &tempfile::TempDir) -> Accounts {
        Accounts::new(dir.path().join("accounts.json"))
    }

    fn factors() -> Factors {
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
    fn what_is_written_comes_back_and_a_change_shows_at_the_next_look() {
        let dir = tempfile::tempdir().unwrap();
        let (accounts, other) = (accounts(&dir), accounts(&dir));
        assert!(accounts.roll().unwrap().all().is_empty());
        let add = |roll: &mut Roll| {
            let added = roll.add("Jo de Vries", Role::Fg, vec!["99DE".into()], factors());
            added.map(|account| account.id)
        };
        let id = other.change(add).unwrap();
        let roll = accounts.roll().unwrap();
        let account = roll.named(" JO de vries ").unwrap();
        assert_eq!((account.id, account.code()), (id, AccountCode::of(id)));
        assert!(account.sees("99DE") && !account.sees("99DF"));
        assert!(account.may(Permission::Attest) && !account.may(Permission::Enter));
        let known = account.factors.as_ref().unwrap();
        assert!(known.passphrase.matches(&Passphrase::given(WORDS)));
        assert!(!known.passphrase.matches(&Passphrase::given("paard batterij nietje")));
        assert_eq!(fs::metadata(accounts.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Arc::ptr_eq(&roll, &accounts.roll().unwrap()), "read once");

        other.change(|roll| roll.remove(id)).unwrap();
        let roll = accounts.roll().unwrap();
        assert!(roll.find(id).is_none() && roll.named("Jo de Vries").is_none());
        let kept = roll.coded(AccountCode::of(id)).unwrap();
        assert!(kept.name == "Jo de Vries" && kept.factors.is_none() && !kept.may(Permission::Read));
        let again =
            accounts.change(|roll| roll.add("jo de vries", Role::Fg, Vec::new(), factors()).map(drop));
        assert!(matches!(again, Err(AccountError::WasTaken)));
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

    #[test]
    fn what_is_easily_guessed_is_refused() {
        for (text, why) in [
            ("kort", "too short"),
            ("aaaaaaaaaaaaaaaaaaaa", "tried first"),
            ("Wachtwoord 1234567", "tried first"),
            ("correct horse battery staple", "tried first"),
            ("jo de vries jo de vries", "tried first"),
            (&"woord ".repeat(50), "too long"),
        ] {
            let said = Passphrase::chosen(text, "Jo de Vries").unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
        Passphrase::chosen(WORDS, "Jo de Vries").unwrap();
        let generated = Passphrase::generate().unwrap();
        Passphrase::chosen(generated.expose(), "Jo de Vries").unwrap();
        let (one, other) = (generated, Passphrase::generate().unwrap());
        assert_ne!(one.expose(), other.expose());
    }

    /// Test values of RFC 6238, appendix B, cut to six digits.
    #[test]
    fn codes_are_those_of_authenticator_apps() {
        let secret = TotpSecret(Zeroizing::new(*b"12345678901234567890"));
        for (second, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            assert_eq!(*secret.code_at(second * 1000), code);
            for (skew, step) in [(0, Some(second / 30)), (30, Some(second / 30)), (90, None)] {
                assert_eq!(secret.step_of(code, (second + skew) * 1000), step, "{second} {skew}");
            }
        }
        let uri = secret.uri("Jo de Vries");
        assert!(
            uri.starts_with("otpauth://totp/Sluis:Jo%20de%20Vries?secret=") && uri.contains("issuer=Sluis")
        );
        assert_eq!(*TotpSecret::from_uri(&uri).unwrap().0, *secret.0);
    }

    #[test]
    fn nothing_prints_a_secret() {
        let secrets = factors();
        let shown = format!("{secrets:?} {:?}", Passphrase::given(WORDS));
        assert_eq!(
            shown,
            "Factors { passphrase: PassphraseHash(..), totp: TotpSecret(..), last_step: 0 } Passphrase(..)"
        );
        assert!(secrets.passphrase.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_damaged_is_refused_without_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = accounts(&dir);
        accounts.change(|roll| roll.add("Anna", Role::Fg, Vec::new(), factors()).map(drop)).unwrap();
        fs::set_permissions(accounts.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let said = accounts.roll().unwrap_err().to_string();
        assert!(said.contains("chmod 600"), "{said}");
        fs::set_permissions(accounts.path(), fs::Permissions::from_mode(0o600)).unwrap();
        accounts.roll().unwrap();
        let text = fs::read_to_string(accounts.path()).unwrap();
        for wrong in [
            &text[..text.len() / 2],
            "[]",
            &text.replace("argon2id", "argon2i"),
            &text.replace("\"version\": 1", "\"version\": 2"),
        ] {
            let mut file = File::create(accounts.path()).unwrap();
            file.write_all(wrong.as_bytes()).unwrap();
            let said = accounts.roll().unwrap_err().to_string();
            assert!(said.contains("is no file of accounts") && !said.contains("Anna"), "{said}");
            assert!(accounts.change(|roll| roll.remove(Uuid::nil())).is_err());
        }
    }
}
