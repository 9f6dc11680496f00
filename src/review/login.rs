//! Logging in: a passphrase and a code of an authenticator app, both at once; or by an identity provider, which the same
//! counts hold for.
//!
//! Whether a name exists shows in nothing: not in the answer, which is one for all that can be wrong, and not in the
//! time, as an unknown name is held against a hash and a secret that are nobody's. Attempts are counted before they are
//! looked at, so that many at once are no way around the count:
//!
//! | | |
//! |---|---|
//! | of one name, known or not | from the fifth failure in a row, a wait of 30 s, that doubles with each up to 15 min |
//! | of all together | 30 a minute |
//! | hashed at once | 2, of 19 MiB each; others wait a moment |
//!
//! So whoever knows a name can keep its owner out while trying, which the log shows; the gain is that passphrases
//! cannot be tried by the thousand. A successful log-in, and every one that fails, is on record; one that succeeds is so
//! before anybody is in. That attempts have to wait is said once for each wait, so that trying fills no disk.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ring::{hmac, rand::SystemRandom};
use uuid::Uuid;

use super::{
    account::{Account, AccountCode, AccountError, AccountEvent, Accounts, Factors, Language, Passphrase},
    oidc::VerifiedSubject,
    session::{Session, Sessions},
};
use crate::{
    clock::Clock,
    disclosure::{self, Leaf, Log},
};

/// Failures in a row from which on a name waits.
const FAILURES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Names whose failures are remembered. At [`PER_MINUTE`] it takes over two hours to push one out, and none waits as long.
const NAMES: usize = 4096;
/// Attempts of all names together.
const PER_MINUTE: u32 = 30;
const MINUTE_MS: u64 = 60 * 1000;
/// Hashes at once, and how long one more waits for its turn.
const AT_ONCE: usize = 2;
const TURN: Duration = Duration::from_secs(3);

/// Why somebody is not in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The accounts cannot be read, or it cannot be put on record: nobody gets in.
    #[error("nobody can log in now; the messages of sluis say why")]
    Closed,
    /// Attempts have to wait.
    #[error("too many attempts; try again later")]
    Wait {
        /// So long: for `Retry-After`.
        seconds: u64,
    },
    /// Name, passphrase or code; which, is not said.
    #[error("name, passphrase or code is not right")]
    Wrong,
}

/// Somebody who logged in, which is on record. Only [`Logins`] makes one, and [`Sessions::begin`] takes it.
#[derive(Debug)]
#[must_use = "it is on record that somebody is in"]
pub struct LoggedIn {
    pub(super) id: Uuid,
    pub(super) revision: u64,
    pub(super) language: Language,
    pub(super) reference: Uuid,
}

impl LoggedIn {
    /// The account's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The transaction of the leaf that says so.
    pub fn reference(&self) -> Uuid {
        self.reference
    }
}

type Record = Box<dyn Fn(Leaf) -> Result<(), disclosure::Error> + Send + Sync>;

/// The way in.
pub struct Logins {
    accounts: Arc<Accounts>,
    record: Record,
    clock: Arc<dyn Clock>,
    /// Held against a name that nobody has.
    nobody: Factors,
    throttle: Mutex<Throttle>,
    hashing: Hashing,
    /// Names are kept under it: what somebody types there may be a passphrase.
    names: hmac::Key,
}

impl Logins {
    /// The way in to these accounts, by a log that is open for writing.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers, or no memory to hash with.
    pub fn new(accounts: Arc<Accounts>, log: Log, clock: Arc<dyn Clock>) -> Result<Self, AccountError> {
        Self::with(accounts, Box::new(move |leaf| log.note_blocking(leaf).map(drop)), clock)
    }

    fn with(accounts: Arc<Accounts>, record: Record, clock: Arc<dyn Clock>) -> Result<Self, AccountError> {
        let names = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self {
            accounts,
            record,
            clock,
            nobody: Factors::of(&Passphrase::generate()?)?,
            throttle: Mutex::default(),
            hashing: Hashing::default(),
            names: names.map_err(|_| AccountError::NoRandom)?,
        })
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, event: AccountEvent, code: Option<AccountCode>, reference: Uuid) -> Result<(), Refused> {
        (self.record)(event.leaf(code, reference, self.clock.now_ms())).map_err(|error| {
            tracing::warn!(reason = %error, "a log-in could not be put on record");
            Refused::Closed
        })
    }

    fn closed(error: &AccountError) -> Refused {
        tracing::warn!(reason = %error, "accounts cannot be used");
        Refused::Closed
    }

    fn key(&self, parts: &[&str]) -> Name {
        let tag = hmac::sign(&self.names, parts.join("\0").as_bytes());
        *tag.as_ref().first_chunk().expect("HMAC-SHA-256 gives 32 bytes")
    }

    /// Counts an attempt, or has it wait.
    fn count(&self, key: Name, known: Option<AccountCode>) -> Result<(), Refused> {
        let admitted = self.throttle().admit(key, self.clock.now_ms());
        let Err(Waits { ms, newly, all }) = admitted else { return Ok(()) };
        if newly {
            self.note(AccountEvent::Throttled, known.filter(|_| !all), Uuid::now_v7())?;
        }
        Err(Refused::Wait { seconds: ms.div_ceil(1000).max(1) })
    }

    /// Lets in whom an identity provider logged in, where an account is linked to that. Waits for the disk; not for
    /// async contexts.
    ///
    /// # Errors
    ///
    /// [`Refused`]: no account is made by itself.
    pub fn admit(&self, verified: &VerifiedSubject) -> Result<LoggedIn, Refused> {
        let subject = verified.subject();
        let key = self.key(&["subject", &subject.issuer, &subject.sub]);
        let roll = self.accounts.roll().map_err(|error| Self::closed(&error))?;
        let account = roll.known_as(subject);
        self.count(key, account.map(Account::code))?;
        let reference = Uuid::now_v7();
        let Some(account) = account else {
            self.note(AccountEvent::Refused, None, reference)?;
            return Err(Refused::Wrong);
        };
        let entered = self.enter(account, reference)?;
        self.throttle().succeeded(key);
        Ok(entered)
    }

    /// Refuses whoever came back from an identity provider with nothing that counts, and puts that on record. All of
    /// them are counted as one, so that trying fills no disk; others do not wait for it.
    pub fn unverified(&self) -> Refused {
        let refused = self
            .count(self.key(&["unverified"]), None)
            .and_then(|()| self.note(AccountEvent::Refused, None, Uuid::now_v7()));
        refused.err().unwrap_or(Refused::Wrong)
    }

    /// Lets somebody in, or does not. Hashes and waits for the disk; not for async contexts.
    ///
    /// # Errors
    ///
    /// [`Refused`], which tells nothing about what was given.
    pub fn attempt(&self, name: &str, passphrase: &Passphrase, code: &str) -> Result<LoggedIn, Refused> {
        let key = self.key(&["name", &name.trim().to_lowercase()]);
        let roll = self.accounts.roll().map_err(|error| Self::closed(&error))?;
        let account = roll.named(name);
        let known = account.map(Account::code);
        self.count(key, known)?;
        let Some(turn) = self.hashing.turn() else { return Err(Refused::Wait { seconds: TURN.as_secs() }) };
        let own = account.and_then(|account| account.factors.as_ref());
        let factors = own.unwrap_or(&self.nobody);
        let passphrase = factors.passphrase.matches(passphrase);
        drop(turn);
        let step = factors.totp.step_of(code.trim(), self.clock.now_ms());
        let reference = Uuid::now_v7();
        // A code that was used is as wrong as any other.
        let entered = match (account.filter(|_| own.is_some()), passphrase, step) {
            (Some(account), true, Some(step)) => {
                let use_it =
                    |roll: &mut super::account::Roll| roll.use_step(account.id, account.revision, step);
                match self.accounts.change(use_it) {
                    Ok(()) => Some(account),
                    Err(AccountError::Unknown | AccountError::Used) => None,
                    Err(error) => return Err(Self::closed(&error)),
                }
            }
            _ => None,
        };
        let Some(account) = entered else {
            self.note(AccountEvent::Refused, known, reference)?;
            return Err(Refused::Wrong);
        };
        let entered = self.enter(account, reference)?;
        self.throttle().succeeded(key);
        Ok(entered)
    }

    /// Lets in whoever has a one-time token of the demonstration. Waits for the disk; not for async contexts.
    ///
    /// # Errors
    ///
    /// [`Refused::Wrong`] when there is no such token, or it was used or is too old.
    pub fn redeem(&self, sessions: &Sessions, token: &str) -> Result<LoggedIn, Refused> {
        let id = sessions.redeem(token).ok_or(Refused::Wrong)?;
        let roll = self.accounts.roll().map_err(|error| Self::closed(&error))?;
        self.enter(roll.find(id).ok_or(Refused::Wrong)?, Uuid::now_v7())
    }

    /// On record first.
    fn enter(&self, account: &Account, reference: Uuid) -> Result<LoggedIn, Refused> {
        self.note(AccountEvent::LoggedIn, Some(account.code()), reference)?;
        Ok(LoggedIn { id: account.id, revision: account.revision, language: account.language, reference })
    }

    /// Notes that somebody logged out, whose session has ended. Waits for the disk; not for async contexts.
    ///
    /// # Errors
    ///
    /// [`Refused::Closed`] when it is not on record.
    pub fn left(&self, session: &Session) -> Result<(), Refused> {
        let mut leaf =
            AccountEvent::LoggedOut.leaf(Some(session.account.code()), Uuid::now_v7(), self.clock.now_ms());
        leaf.trace_id = *session.reference.as_bytes();
        (self.record)(leaf).map_err(|error| {
            tracing::warn!(reason = %error, "that somebody logged out could not be put on record");
            Refused::Closed
        })
    }
}

type Name = [u8; 16];

/// What is remembered of attempts.
#[derive(Default)]
struct Throttle {
    names: HashMap<Name, Failures>,
    minute: u64,
    in_minute: u32,
    /// It is said that all wait in this minute.
    said: bool,
}

#[derive(Default)]
struct Failures {
    in_a_row: u32,
    last_ms: u64,
    until_ms: u64,
    /// It is said that the name waits.
    said: bool,
}

/// An attempt has to wait.
struct Waits {
    ms: u64,
    /// Nobody was told of this wait yet.
    newly: bool,
    /// Of whatever name.
    all: bool,
}

impl Throttle {
    /// Counts an attempt, as a failure until it is none.
    fn admit(&mut self, name: Name, now_ms: u64) -> Result<(), Waits> {
        if let Some(known) = self.names.get_mut(&name).filter(|known| now_ms < known.until_ms) {
            let newly = !std::mem::replace(&mut known.said, true);
            return Err(Waits { ms: known.until_ms - now_ms, newly, all: false });
        }
        let minute = now_ms / MINUTE_MS;
        if self.minute != minute {
            (self.minute, self.in_minute, self.said) = (minute, 0, false);
        }
        if self.in_minute >= PER_MINUTE {
            let newly = !std::mem::replace(&mut self.said, true);
            return Err(Waits { ms: MINUTE_MS - now_ms % MINUTE_MS, newly, all: true });
        }
        self.in_minute += 1;
        if self.names.len() >= NAMES && !self.names.contains_key(&name) {
            let oldest = self.names.iter().min_by_key(|(_, known)| known.last_ms).map(|(name, _)| *name);
            oldest.map(|oldest| self.names.remove(&oldest));
        }
        let known = self.names.entry(name).or_default();
        known.in_a_row = known.in_a_row.saturating_add(1);
        known.last_ms = now_ms;
        if let Some(more) = known.in_a_row.checked_sub(FAILURES) {
            let wait = FIRST_WAIT.saturating_mul(1 << more.min(16)).min(LONGEST_WAIT);
            known.until_ms = now_ms + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            known.said = false;
        }
        Ok(())
    }

    fn succeeded(&mut self, name: Name) {
        self.names.remove(&name);
    }
}

/// Hashes under way.
#[derive(Default)]
struct Hashing {
    running: Mutex<usize>,
    ended: Condvar,
}

/// One of them, until it is dropped.
struct Turn<'h>(&'h Hashing);

impl Hashing {
    /// A turn; none when none came in time.
    fn turn(&self) -> Option<Turn<'_>> {
        self.turn_within(TURN)
    }

    fn turn_within(&self, patience: Duration) -> Option<Turn<'_>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ended.wait_timeout_while(running, patience, |running| *running >= AT_ONCE);
        let (mut running, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() && *running >= AT_ONCE {
            return None;
        }
        *running += 1;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_one();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use jiff::Timestamp;

    use super::{
        super::{
            account::{Role, TotpSecret},
            session::SessionLimits,
        },
        *,
    };

    /// A clock that is put forward by hand.
    #[derive(Debug)]
    pub(in super::super) struct Hand(AtomicU64);

    impl Hand {
        pub(in super::super) fn new() -> Arc<Self> {
            Arc::new(Self(AtomicU64::new(1_790_000_000_000)))
        }

        pub(in super::super) fn forward(&self, seconds: u64) {
            self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
        }
    }

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_millisecond(self.0.load(Ordering::SeqCst).try_into().unwrap()).unwrap()
        }
    }

    const WORDS: &str = "paard batterij nietje juist";

    pub(in super::super) struct World {
        pub(in super::super) clock: Arc<Hand>,
        pub(in super::super) accounts: Arc<Accounts>,
        pub(in super::super) logins: Logins,
        pub(in super::super) id: Uuid,
        totp: TotpSecret,
        leaves: Arc<Mutex<Vec<Leaf>>>,
        full: Arc<AtomicBool>,
        dir: tempfile::TempDir,
    }

    impl World {
        pub(in super::super) fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let accounts = Arc::new(Accounts::new(dir.path().join("accounts.json")));
            let factors = Factors::of(&Passphrase::given(WORDS)).unwrap();
            let totp = factors.totp.clone();
            let id = accounts
                .change(|roll| roll.add("Anna", Role::Fg, Vec::new(), factors).map(|added| added.id))
                .unwrap();
            let clock = Hand::new();
            let (leaves, full) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
            let logins = Self::logins(&accounts, &clock, &leaves, &full);
            Self { clock, accounts, logins, id, totp, leaves, full, dir }
        }

        fn logins(
            accounts: &Arc<Accounts>,
            clock: &Arc<Hand>,
            leaves: &Arc<Mutex<Vec<Leaf>>>,
            full: &Arc<AtomicBool>,
        ) -> Logins {
            let (leaves, full) = (Arc::clone(leaves), Arc::clone(full));
            let record = move |leaf| {
                if full.load(Ordering::SeqCst) {
                    return Err(disclosure::Error::Poisoned);
                }
                leaves.lock().unwrap().push(leaf);
                Ok(())
            };
            let clock = Arc::clone(clock) as Arc<dyn Clock>;
            Logins::with(Arc::clone(accounts), Box::new(record), clock).unwrap()
        }

        fn code(&self) -> String {
            self.totp.code_at(self.clock.now_ms()).to_string()
        }

        pub(in super::super) fn enter(&self) -> Result<LoggedIn, Refused> {
            self.logins.attempt(" anna ", &Passphrase::given(WORDS), &self.code())
        }

        fn fail(&self, name: &str) -> Refused {
            self.logins.attempt(name, &Passphrase::given("not the words of it"), &self.code()).unwrap_err()
        }

        pub(in super::super) fn said(&self) -> Vec<(u8, bool)> {
            self.leaves
                .lock()
                .unwrap()
                .iter()
                .map(|leaf| (leaf.status, leaf.certificate != [0; 32]))
                .collect()
        }
    }

    #[test]
    fn both_factors_let_somebody_in_once_and_it_is_on_record() {
        let world = World::new();
        let entered = world.enter().unwrap();
        assert_eq!(entered.id(), world.id);
        assert_eq!(world.enter().unwrap_err(), Refused::Wrong, "no code works twice");
        // Nor after a restart.
        let again = World::logins(&world.accounts, &world.clock, &world.leaves, &world.full);
        let attempt = again.attempt("Anna", &Passphrase::given(WORDS), &world.code());
        assert_eq!(attempt.unwrap_err(), Refused::Wrong);
        world.clock.forward(30);
        let _ = world.enter().unwrap();
        // The code of before, which its owner did not use, is older than the one that was.
        let earlier = world.totp.code_at(world.clock.now_ms() - 30_000).to_string();
        let attempt = world.logins.attempt("Anna", &Passphrase::given(WORDS), &earlier);
        assert_eq!(attempt.unwrap_err(), Refused::Wrong);
        assert_eq!(world.said(), [(4, true), (5, true), (5, true), (4, true), (5, true)]);
        let leaves = world.leaves.lock().unwrap();
        assert_eq!(leaves[0].certificate, AccountCode::of(world.id).0);
        assert_eq!(leaves[0].transaction, *entered.reference().as_bytes());
    }

    #[test]
    fn whatever_is_wrong_the_answer_is_one() {
        let world = World::new();
        let right = Passphrase::given(WORDS);
        assert_eq!(world.logins.attempt("Bea", &right, &world.code()).unwrap_err(), Refused::Wrong);
        assert_eq!(world.logins.attempt("Anna", &right, "000000").unwrap_err(), Refused::Wrong);
        assert_eq!(world.logins.attempt("Anna", &right, "").unwrap_err(), Refused::Wrong);
        assert_eq!(world.fail("Anna"), Refused::Wrong);
        world.accounts.change(|roll| roll.remove(world.id)).unwrap();
        assert_eq!(world.enter().unwrap_err(), Refused::Wrong);
        assert_eq!(world.said(), [(5, false), (5, true), (5, true), (5, true), (5, false)]);
    }

    #[test]
    fn who_cannot_be_put_on_record_is_not_let_in() {
        let world = World::new();
        world.full.store(true, Ordering::SeqCst);
        assert_eq!(world.enter().unwrap_err(), Refused::Closed);
        world.full.store(false, Ordering::SeqCst);
        std::fs::remove_file(world.dir.path().join("accounts.json")).unwrap();
        std::fs::create_dir(world.dir.path().join("accounts.json")).unwrap();
        assert_eq!(world.enter().unwrap_err(), Refused::Closed);
    }

    #[test]
    fn failures_of_a_name_make_it_wait_longer_and_longer() {
        for name in ["Anna", "nobody"] {
            let world = World::new();
            let wait = |seconds| Refused::Wait { seconds };
            (0..5).for_each(|_| assert_eq!(world.fail(name), Refused::Wrong));
            for seconds in [30, 60, 120, 240, 480, 900, 900] {
                assert_eq!(world.fail(&name.to_uppercase()), wait(seconds), "{name}");
                assert_eq!(world.fail(name), wait(seconds), "a wait is not made longer by trying");
                world.clock.forward(seconds - 1);
                assert_eq!(world.fail(name), wait(1));
                world.clock.forward(1);
                assert_eq!(world.fail(name), Refused::Wrong);
            }
            let throttled = world.said().iter().filter(|(status, _)| *status == 7).count();
            assert_eq!(throttled, 7, "once for each wait");
            let known = world.said().iter().all(|&(_, known)| known == (name == "Anna"));
            assert!(known, "{name}");
            // Others are not kept out by it.
            if name == "nobody" {
                let _ = world.enter().unwrap();
            }
        }
    }

    #[test]
    fn a_success_forgets_the_failures() {
        let world = World::new();
        for _ in 0..3 {
            (0..4).for_each(|_| assert_eq!(world.fail("Anna"), Refused::Wrong));
            let _ = world.enter().unwrap();
            world.clock.forward(60);
        }
    }

    #[test]
    fn all_names_together_have_so_many_attempts_a_minute() {
        let mut throttle = Throttle::default();
        let name = |number: u64| [number.to_le_bytes(), [0; 8]].concat().try_into().unwrap();
        let now = 90 * MINUTE_MS + 15_000;
        (0..30).for_each(|number| assert!(throttle.admit(name(number), now).is_ok()));
        let waits = throttle.admit(name(30), now).unwrap_err();
        assert_eq!((waits.ms, waits.newly, waits.all), (45_000, true, true));
        assert!(!throttle.admit(name(31), now + 1).unwrap_err().newly, "said once");
        assert!(throttle.admit(name(30), now + 45_000).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let mut throttle = Throttle::default();
        let name = |number: u64| [number.to_le_bytes(), [0; 8]].concat().try_into().unwrap();
        for number in 0..2 * NAMES as u64 {
            assert!(throttle.admit(name(number), number * MINUTE_MS).is_ok());
        }
        assert_eq!(throttle.names.len(), NAMES);
        assert!(
            throttle.names.contains_key(&name(2 * NAMES as u64 - 1))
                && !throttle.names.contains_key(&name(0))
        );
    }

    #[test]
    fn few_are_hashed_at_once() {
        let hashing = Hashing::default();
        let turns: Vec<_> = (0..AT_ONCE).map(|_| hashing.turn().unwrap()).collect();
        assert!(hashing.turn_within(Duration::ZERO).is_none());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| hashing.turn_within(Duration::from_secs(60)).is_some());
            drop(turns);
            assert!(waits.join().unwrap(), "whoever waits gets the turn that comes free");
        });
    }

    #[test]
    fn a_one_time_token_lets_in_once() {
        let world = World::new();
        let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
        let limits = SessionLimits::default();
        let (sessions, one_time) =
            Sessions::for_demonstration(Arc::clone(&world.accounts), limits, Arc::clone(&clock));
        let token = one_time.token(world.id).unwrap();
        let entered = world.logins.redeem(&sessions, token.expose()).unwrap();
        assert_eq!((entered.id(), world.said()), (world.id, vec![(4, true)]));
        assert_eq!(world.logins.redeem(&sessions, token.expose()).unwrap_err(), Refused::Wrong);
        let late = one_time.token(world.id).unwrap();
        world.clock.forward(10 * 60);
        assert_eq!(world.logins.redeem(&sessions, late.expose()).unwrap_err(), Refused::Wrong);
        let served = Sessions::new(Arc::clone(&world.accounts), limits, clock);
        let token = one_time.token(world.id).unwrap();
        assert_eq!(world.logins.redeem(&served, token.expose()).unwrap_err(), Refused::Wrong);
    }
}
