//! Sessions: what a browser has once somebody is in. In memory alone, so that a restart ends them all.
//!
//! A token is 32 random bytes, new at each log-in; only its SHA-256 is kept, so that what is in memory opens nothing. A
//! session ends when its owner logs out, when it is idle or old, when the account is changed or removed
//! ([`Account::revision`]), and when there are too many: then the one that was used longest ago.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ring::{
    digest, hmac,
    rand::{SecureRandom, SystemRandom},
};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    account::{Account, AccountError, Accounts, Language},
    login::LoggedIn,
};
use crate::{clock::Clock, config::Review};

/// Sessions at once, and of these of one account.
const MOST: usize = 1024;
const MOST_OF_ACCOUNT: usize = 8;
/// One-time tokens at once, and how long one holds.
const MOST_ONE_TIME: usize = 64;
const ONE_TIME: Duration = Duration::from_secs(10 * 60);

/// How long a session lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Without a request.
    pub idle: Duration,
    /// At most.
    pub absolute: Duration,
}

impl From<&Review> for SessionLimits {
    fn from(review: &Review) -> Self {
        Self { idle: review.idle, absolute: review.session }
    }
}

impl Default for SessionLimits {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self {
            idle: minutes(Review::IDLE_MINUTES.into()),
            absolute: minutes(60 * u64::from(Review::SESSION_HOURS)),
        }
    }
}

/// What a browser shows: 64 hexadecimal digits. Not printable.
pub struct Token(Zeroizing<String>);

impl Token {
    pub(super) fn new() -> Result<Self, AccountError> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| AccountError::NoRandom)?;
        Ok(Self(Zeroizing::new(hex::encode(bytes.as_slice()))))
    }

    /// The digits, for the browser they are of.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

pub(super) type Hash = [u8; 32];

/// What is kept of a token.
pub(super) fn hash(token: &str) -> Hash {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    *hash.as_ref().first_chunk().expect("SHA-256 gives 32 bytes")
}

fn csrf_key(token: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes())
}

/// Of which use of the session's token the text is.
const CSRF: &[u8] = b"sluis csrf v1";

/// What a form has to bring along, besides the cookie that the browser adds by itself: 64 hexadecimal digits that only
/// whoever has the session's token can make.
pub fn csrf(token: &str) -> String {
    hex::encode(hmac::sign(&csrf_key(token), CSRF))
}

/// Whether a form brought it along. Takes as long for a near miss as for a far one.
pub fn csrf_matches(token: &str, given: &str) -> bool {
    hex::decode(given).is_ok_and(|given| hmac::verify(&csrf_key(token), CSRF, &given).is_ok())
}

/// Somebody who is in, as of one request.
#[derive(Debug, Clone)]
pub struct Session {
    /// The account, as it is now.
    pub account: Account,
    /// What the person reads.
    pub language: Language,
    /// The transaction of the leaf of the log-in.
    pub reference: Uuid,
    /// When it ends at the latest, ms since 1970.
    pub ends_ms: u64,
}

struct Kept {
    id: Uuid,
    revision: u64,
    language: Language,
    reference: Uuid,
    begun_ms: u64,
    used_ms: u64,
}

type OneTimes = Arc<Mutex<HashMap<Hash, (Uuid, u64)>>>;

/// All sessions.
pub struct Sessions {
    accounts: Arc<Accounts>,
    limits: SessionLimits,
    clock: Arc<dyn Clock>,
    kept: Mutex<HashMap<Hash, Kept>>,
    one_time: OneTimes,
}

/// Makes tokens that log somebody in once, without passphrase or code. Only [`Sessions::for_demonstration`] gives one,
/// together with the sessions it is for; those of [`Sessions::new`] take no such token.
pub struct OneTime {
    tokens: OneTimes,
    clock: Arc<dyn Clock>,
}

impl Sessions {
    /// None yet.
    pub fn new(accounts: Arc<Accounts>, limits: SessionLimits, clock: Arc<dyn Clock>) -> Self {
        Self { accounts, limits, clock, kept: Mutex::default(), one_time: OneTimes::default() }
    }

    /// The same for `sluis demo`, which prints an address that logs somebody in once.
    pub fn for_demonstration(
        accounts: Arc<Accounts>,
        limits: SessionLimits,
        clock: Arc<dyn Clock>,
    ) -> (Self, OneTime) {
        let sessions = Self::new(accounts, limits, clock);
        let one_time = OneTime { tokens: Arc::clone(&sessions.one_time), clock: Arc::clone(&sessions.clock) };
        (sessions, one_time)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Hash, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a session ends if nobody uses it, and when it does in any case.
    fn ends(&self, kept: &Kept) -> (u64, u64) {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let latest = kept.begun_ms.saturating_add(ms(self.limits.absolute));
        (kept.used_ms.saturating_add(ms(self.limits.idle)).min(latest), latest)
    }

    /// Begins one for somebody who logged in, under a token of its own.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn begin(&self, entered: LoggedIn) -> Result<Token, AccountError> {
        let token = Token::new()?;
        let now_ms = self.clock.now_ms();
        let LoggedIn { id, revision, language, reference } = entered;
        let mut kept = self.kept();
        kept.retain(|_, session| now_ms < self.ends(session).0);
        let unused = |kept: &HashMap<Hash, Kept>, of: Option<Uuid>| {
            let of = kept.iter().filter(|(_, session)| of.is_none_or(|id| session.id == id));
            let all: Vec<_> = of.map(|(hash, session)| (session.used_ms, *hash)).collect();
            (all.len(), all.into_iter().min().map(|(_, hash)| hash))
        };
        for (of, most) in [(Some(id), MOST_OF_ACCOUNT), (None, MOST)] {
            if let (count, Some(longest)) = unused(&kept, of)
                && count >= most
            {
                kept.remove(&longest);
            }
        }
        let session = Kept { id, revision, language, reference, begun_ms: now_ms, used_ms: now_ms };
        kept.insert(hash(token.expose()), session);
        Ok(token)
    }

    /// The session of a token, used now; none when it has ended, or never was.
    ///
    /// # Errors
    ///
    /// When the accounts cannot be read: nobody is known then.
    pub fn find(&self, token: &str) -> Result<Option<Session>, AccountError> {
        let roll = self.accounts.roll()?;
        let now_ms = self.clock.now_ms();
        let key = hash(token);
        let mut kept = self.kept();
        let Some(session) = kept.get_mut(&key) else { return Ok(None) };
        let account = roll.find(session.id).filter(|account| account.revision == session.revision);
        let (ends, latest) = self.ends(session);
        let Some(account) = account.filter(|_| now_ms < ends) else {
            kept.remove(&key);
            return Ok(None);
        };
        session.used_ms = now_ms.max(session.used_ms);
        let (language, reference) = (session.language, session.reference);
        Ok(Some(Session { account: account.clone(), language, reference, ends_ms: latest }))
    }

    /// Whether a token may be one of a session, by what is in memory alone; [`Self::find`] says whether it is.
    pub fn may_know(&self, token: &str) -> bool {
        self.kept().contains_key(&hash(token))
    }

    /// Has a session in another language from now on.
    pub fn speak(&self, token: &str, language: Language) {
        if let Some(session) = self.kept().get_mut(&hash(token)) {
            session.language = language;
        }
    }

    /// Ends a session. [`Logins::left`](super::login::Logins::left) puts on record that its owner logged out.
    pub fn end(&self, token: &str) {
        self.kept().remove(&hash(token));
    }

    /// Uses up a one-time token, and says of which account it is.
    pub(super) fn redeem(&self, token: &str) -> Option<Uuid> {
        let (id, until_ms) =
            self.one_time.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(token))?;
        (self.clock.now_ms() < until_ms).then_some(id)
    }
}

impl OneTime {
    /// A token that logs an account in once, within ten minutes.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn token(&self, account: Uuid) -> Result<Token, AccountError> {
        let token = Token::new()?;
        let now_ms = self.clock.now_ms();
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, (_, until_ms)| now_ms < *until_ms);
        if tokens.len() >= MOST_ONE_TIME {
            tokens.clear();
        }
        let until_ms = now_ms + u64::try_from(ONE_TIME.as_millis()).unwrap_or(u64::MAX);
        tokens.insert(hash(token.expose()), (account, until_ms));
        Ok(token)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        super::{account::Role, login::tests::World},
        *,
    };

    fn sessions(world: &World) -> Sessions {
        let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
        Sessions::new(Arc::clone(&world.accounts), SessionLimits::default(), clock)
    }

    fn entered(world: &World) -> LoggedIn {
        let (id, reference) = (world.id, Uuid::now_v7());
        LoggedIn { id, revision: 0, language: Language::En, reference }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_or_old() {
        let world = World::new();
        let sessions = sessions(&world);
        let token = sessions.begin(world.enter().unwrap()).unwrap();
        let other = sessions.begin(entered(&world)).unwrap();
        assert_ne!(token.expose(), other.expose());
        let found = sessions.find(token.expose()).unwrap().unwrap();
        assert_eq!((found.account.id, found.language), (world.id, Language::Nl));
        for _ in 0..16 {
            world.clock.forward(30 * 60 - 1);
            assert!(sessions.find(token.expose()).unwrap().is_some());
        }
        assert!(sessions.find(other.expose()).unwrap().is_none(), "idle");
        world.clock.forward(16);
        assert!(sessions.find(token.expose()).unwrap().is_none(), "eight hours");
        let token = sessions.begin(entered(&world)).unwrap();
        world.clock.forward(30 * 60);
        assert!(sessions.find(token.expose()).unwrap().is_none(), "half an hour");
        assert!(sessions.find("").unwrap().is_none());
    }

    #[test]
    fn a_session_ends_with_a_change_of_its_account_and_when_its_owner_leaves() {
        let world = World::new();
        let sessions = sessions(&world);
        let begin = || {
            let revision = world.accounts.roll().unwrap().find(world.id).unwrap().revision;
            sessions.begin(LoggedIn { revision, ..entered(&world) }).unwrap()
        };
        let (token, left) = (begin(), begin());
        world.accounts.change(|roll| roll.speak(world.id, Language::En)).unwrap();
        sessions.speak(token.expose(), Language::En);
        let found = sessions.find(token.expose()).unwrap().unwrap();
        assert_eq!(found.language, Language::En, "what somebody reads is no such change");
        let ended = sessions.find(left.expose()).unwrap().unwrap();
        sessions.end(left.expose());
        world.logins.left(&ended).unwrap();
        assert!(sessions.find(left.expose()).unwrap().is_none());
        world.accounts.change(|roll| roll.assign(world.id, Role::Goedkeurder, Vec::new())).unwrap();
        assert!(sessions.find(token.expose()).unwrap().is_none());
        let token = begin();
        assert!(sessions.find(token.expose()).unwrap().is_some());
        world.accounts.change(|roll| roll.remove(world.id)).unwrap();
        assert!(sessions.find(token.expose()).unwrap().is_none());
    }

    #[test]
    fn there_are_so_many_of_an_account() {
        let world = World::new();
        let sessions = sessions(&world);
        let tokens: Vec<_> = (0..9)
            .map(|_| {
                world.clock.forward(1);
                sessions.begin(entered(&world)).unwrap()
            })
            .collect();
        let there: Vec<_> =
            tokens.iter().map(|token| sessions.find(token.expose()).unwrap().is_some()).collect();
        assert_eq!(there, [false, true, true, true, true, true, true, true, true]);
    }

    #[test]
    fn only_the_sessions_own_forms_count() {
        let (one, other) = (Token::new().unwrap(), Token::new().unwrap());
        let own = csrf(one.expose());
        assert!(csrf_matches(one.expose(), &own) && own.len() == 64);
        for wrong in [&csrf(other.expose()), "", "zz", &own[..62], one.expose()] {
            assert!(!csrf_matches(one.expose(), wrong));
        }
        assert_eq!(format!("{one:?}"), "Token(..)");
    }
}
