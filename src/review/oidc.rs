//! Logging in with an identity provider: OpenID Connect, authorization code with PKCE (S256), state and nonce.
//!
//! ```text
//! browser ── GET /inloggen/oidc ──▶ Sluis             state, nonce and verifier are kept for ten minutes, in memory
//!         ◀── 303, a cookie ───────
//!         ── authorize ──▶ provider ── 303 ──▶ GET /inloggen/oidc/terug, with code, state and the cookie
//!                                     Sluis ── code, verifier ──▶ token endpoint ──▶ ID token
//! ```
//!
//! State, nonce and verifier are used up by the first that comes back with the state, whatever comes of it; without the
//! cookie of the browser that began, nothing comes of it. The ID token is verified in `id_token`; the access token is
//! not used. The provider knows nobody here by itself: `sluis users link` says which account a person has.
//!
//! What a provider says of itself is kept for an hour, and its keys are asked for once more when a token is signed by
//! another. Answers, waits and calls at once are bounded, and no redirect is followed.

mod id_token;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use form_urlencoded::{Serializer, byte_serialize};
use hyper::{Uri, header::HeaderValue};
use ring::digest;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::{runtime::Handle, sync::Semaphore};
use zeroize::Zeroizing;

pub use id_token::{NotVerified, VerifiedSubject};

use super::{
    account::AccountError,
    http::Pairs,
    session::{Hash, Token, hash},
};
use crate::{
    clock::Clock,
    config::Oidc as Settings,
    las::{CollectorError, IdentityClient},
};
use id_token::{Expected, Keys, verify};

/// Where a log-in begins.
pub(super) const BEGIN: &str = "/inloggen/oidc";
/// Where the provider sends browsers back to.
pub(crate) const BACK: &str = "/inloggen/oidc/terug";
/// How long somebody may take at the provider.
pub(super) const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// Log-ins under way. With one more the oldest goes, so that whoever begins many keeps nobody out for long.
const MOST: usize = 1024;
/// How long what a provider says of itself is kept.
const KEPT: Duration = Duration::from_secs(60 * 60);
/// Log-ins that wait for the provider at once; one more is told to try again. Pages are made by eight at once: a
/// provider that does not answer holds up half of them.
const AT_ONCE: usize = 4;
/// Bytes of a code at most.
const CODE: usize = 8 * 1024;

/// Why nobody is logged in by a provider. Quotes nothing of what came back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum OidcError {
    /// What the provider says of itself cannot be used.
    #[error("the identity provider's {0}")]
    Discovery(&'static str),
    /// The provider says no, or the person broke off.
    #[error("the identity provider logged nobody in")]
    Declined,
    /// The system gave no random numbers.
    #[error("{0}")]
    NoRandom(#[from] AccountError),
    /// What it signed proves nothing.
    #[error("{0}")]
    NotVerified(#[from] NotVerified),
    /// No log-in of this browser is under way.
    #[error("no log-in of this browser is under way")]
    Stranger,
    /// The provider did not give what it was asked for.
    #[error("the identity provider's {what} gave nothing: {error}")]
    Unreachable {
        /// What was asked.
        what: &'static str,
        /// What became of it.
        #[source]
        error: CollectorError,
    },
    /// Others wait for the provider.
    #[error("others wait for the identity provider")]
    Wait,
}

/// What a provider says of itself (OpenID Connect Discovery 1.0).
#[derive(Deserialize)]
struct Description {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    /// RFC 9207: what comes back says whose it is.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// A provider, as it described itself.
struct Provider {
    settings: Arc<Settings>,
    until_ms: u64,
    authorize: String,
    token: Uri,
    jwks: Uri,
    names_issuer: bool,
}

/// A log-in under way.
struct Pending {
    settings: Arc<Settings>,
    browser: Hash,
    nonce: Zeroizing<String>,
    verifier: Zeroizing<String>,
    begun_ms: u64,
}

/// Where to send a browser, and what it has to show when it comes back.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) address: String,
    pub(super) cookie: Token,
}

/// Log-ins by a provider.
pub(super) struct Oidc {
    clock: Arc<dyn Clock>,
    pending: Mutex<HashMap<Hash, Pending>>,
    provider: Mutex<Option<Arc<Provider>>>,
    keys: Mutex<Option<(Arc<Provider>, Arc<Keys>)>>,
    calls: Semaphore,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Oidc {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            pending: Mutex::default(),
            provider: Mutex::default(),
            keys: Mutex::default(),
            calls: Semaphore::new(AT_ONCE),
        }
    }

    /// Waits for the provider, where not too many do; not for async contexts.
    fn wait<T>(&self, call: impl Future<Output = Result<T, OidcError>>) -> Result<T, OidcError> {
        let _turn = self.calls.try_acquire().map_err(|_| OidcError::Wait)?;
        Handle::current().block_on(call)
    }

    /// Begins a log-in. Waits for the provider; not for async contexts.
    pub(super) fn begin(&self, settings: &Arc<Settings>) -> Result<Begun, OidcError> {
        let provider = match self.known(settings) {
            Some(provider) => provider,
            None => self.wait(self.provider(settings))?,
        };
        let [state, nonce, verifier, cookie] = [Token::new()?, Token::new()?, Token::new()?, Token::new()?];
        let challenge = digest::digest(&digest::SHA256, verifier.expose().as_bytes());
        let mut query = Serializer::new(String::new());
        query.extend_pairs([
            ("response_type", "code"),
            ("client_id", &settings.client_id),
            ("redirect_uri", &settings.redirect_uri),
            ("scope", &scopes(settings)),
            ("state", state.expose()),
            ("nonce", nonce.expose()),
            ("code_challenge", &URL_SAFE_NO_PAD.encode(challenge)),
            ("code_challenge_method", "S256"),
        ]);
        if !settings.acr.is_empty() {
            query.append_pair("acr_values", &settings.acr.join(" "));
        }
        let mark = if provider.authorize.contains('?') { '&' } else { '?' };
        let address = format!("{}{mark}{}", provider.authorize, query.finish());
        let now_ms = self.clock.now_ms();
        let own = |token: &Token| Zeroizing::new(token.expose().to_owned());
        let begun = Pending {
            settings: Arc::clone(settings),
            browser: hash(cookie.expose()),
            nonce: own(&nonce),
            verifier: own(&verifier),
            begun_ms: now_ms,
        };
        let mut pending = lock(&self.pending);
        pending.retain(|_, other| now_ms < other.begun_ms + ms(PATIENCE));
        if pending.len() >= MOST {
            let oldest = pending.iter().min_by_key(|(_, other)| other.begun_ms).map(|(key, _)| *key);
            oldest.map(|oldest| pending.remove(&oldest));
        }
        pending.insert(hash(state.expose()), begun);
        Ok(Begun { address, cookie })
    }

    /// Ends a log-in with what came back, and says whom the provider logged in. Waits for the provider; not for async
    /// contexts.
    pub(super) fn finish(
        &self,
        settings: &Arc<Settings>,
        cookie: Option<&str>,
        query: &Pairs,
    ) -> Result<VerifiedSubject, OidcError> {
        let state = query.get("state").ok_or(OidcError::Stranger)?;
        // Used up, whatever comes of it.
        let pending = lock(&self.pending).remove(&hash(state)).ok_or(OidcError::Stranger)?;
        let browser = hash(cookie.unwrap_or_default());
        let same = bool::from(pending.browser.ct_eq(&browser));
        // What was begun under another configuration ends with it.
        let current = Arc::ptr_eq(&pending.settings, settings);
        if !same || !current || self.clock.now_ms() >= pending.begun_ms + ms(PATIENCE) {
            return Err(OidcError::Stranger);
        }
        self.wait(self.redeem(&pending, query))
    }

    async fn redeem(&self, pending: &Pending, query: &Pairs) -> Result<VerifiedSubject, OidcError> {
        let settings = &pending.settings;
        let provider = match self.known(settings) {
            Some(provider) => provider,
            None => self.provider(settings).await?,
        };
        let issuer = query.get("iss");
        let other = issuer.is_some_and(|issuer| issuer != settings.issuer);
        if other || (provider.names_issuer && issuer.is_none()) {
            return Err(NotVerified::Issuer.into());
        }
        let code = query.get("code").filter(|code| code.len() <= CODE).ok_or(OidcError::Declined)?;
        let mut form = Serializer::new(String::new());
        form.extend_pairs([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &settings.redirect_uri),
            ("code_verifier", &pending.verifier),
        ]);
        let client = IdentityClient::new(settings.tls.clone());
        let answer = client.post(&provider.token, basic(settings)?, form.finish()).await;
        let answer = answer.map_err(|error| OidcError::Unreachable { what: "token endpoint", error })?;
        #[derive(Deserialize)]
        struct Tokens {
            id_token: Zeroizing<String>,
        }
        let tokens: Tokens = serde_json::from_slice(&answer).map_err(|_| NotVerified::Shape)?;
        let expected = Expected {
            settings,
            nonce: &pending.nonce,
            begun_ms: pending.begun_ms,
            now_ms: self.clock.now_ms(),
        };
        let kept = lock(&self.keys).clone().filter(|(of, _)| Arc::ptr_eq(of, &provider));
        if let Some((_, keys)) = kept {
            match verify(&tokens.id_token, &keys, &expected) {
                // Keys follow one another: there may be a newer one.
                Err(NotVerified::Key) => {}
                verified => return Ok(verified?),
            }
        }
        let keys = client.get(&provider.jwks).await;
        let keys = keys.map_err(|error| OidcError::Unreachable { what: "jwks_uri", error })?;
        let keys = Keys::parse(&keys).ok_or(OidcError::Discovery("jwks_uri has no set of keys"))?;
        let keys = Arc::new(keys);
        *lock(&self.keys) = Some((provider, Arc::clone(&keys)));
        Ok(verify(&tokens.id_token, &keys, &expected)?)
    }

    /// The provider, where it is known and was asked not long ago.
    fn known(&self, settings: &Arc<Settings>) -> Option<Arc<Provider>> {
        let now_ms = self.clock.now_ms();
        let known = lock(&self.provider).clone()?;
        (Arc::ptr_eq(&known.settings, settings) && now_ms < known.until_ms).then_some(known)
    }

    /// Asks a provider what there is to know of it.
    async fn provider(&self, settings: &Arc<Settings>) -> Result<Arc<Provider>, OidcError> {
        let client = IdentityClient::new(settings.tls.clone());
        let text = client.get(&settings.discovery).await;
        let text = text.map_err(|error| OidcError::Unreachable { what: "discovery", error })?;
        let provider = Provider::of(&text, settings, self.clock.now_ms())?;
        let provider = Arc::new(provider);
        *lock(&self.provider) = Some(Arc::clone(&provider));
        Ok(provider)
    }
}

impl Provider {
    fn of(text: &[u8], settings: &Arc<Settings>, now_ms: u64) -> Result<Self, OidcError> {
        let unread = OidcError::Discovery("discovery has no description that can be read");
        let told: Description = serde_json::from_slice(text).map_err(|_| unread)?;
        if told.issuer != settings.issuer {
            let what =
                "discovery is of another issuer; write review.oidc.issuer letter by letter as it says it";
            return Err(OidcError::Discovery(what));
        }
        let address = |text: &str, what| -> Result<Uri, OidcError> {
            let url: Option<Uri> = text.parse().ok().filter(|_| !text.contains('#'));
            let fits = |url: &Uri| match url.scheme_str() {
                Some("https") => settings.tls.is_some(),
                // One on loopback: the configuration sees to that, and what it describes stays there.
                Some("http") => settings.tls.is_none() && crate::config::is_loopback(url),
                _ => false,
            };
            url.filter(fits).ok_or(OidcError::Discovery(what))
        };
        let authorize = address(&told.authorization_endpoint, "authorization_endpoint is no https address")?;
        Ok(Self {
            settings: Arc::clone(settings),
            until_ms: now_ms + ms(KEPT),
            authorize: authorize.to_string(),
            token: address(&told.token_endpoint, "token_endpoint is no https address")?,
            jwks: address(&told.jwks_uri, "jwks_uri is no https address")?,
            names_issuer: told.authorization_response_iss_parameter_supported,
        })
    }
}

fn scopes(settings: &Settings) -> String {
    let more = settings.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
    ["openid"].into_iter().chain(more).collect::<Vec<_>>().join(" ")
}

/// `client_secret_basic`: both parts as a form has them, as RFC 6749 wants it.
fn basic(settings: &Settings) -> Result<HeaderValue, OidcError> {
    let part = |text: &str| Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>());
    let (id, secret) = (part(&settings.client_id), part(&settings.client_secret.0));
    let pair = Zeroizing::new(format!("{}:{}", *id, *secret));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut header = HeaderValue::from_str(&text).map_err(|_| OidcError::Declined)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        collections::BTreeMap,
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
        thread,
    };

    use super::{
        super::login::tests::{Hand, World},
        *,
    };
    use crate::config::SecondFactor;

    /// A provider that gives the same answer to whatever is asked at a path, so often, and says what it was asked.
    fn provider(
        answers: Vec<(&'static str, String)>,
        listener: TcpListener,
    ) -> thread::JoinHandle<Vec<String>> {
        thread::spawn(move || {
            let mut asked = Vec::new();
            for (path, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let (mut head, mut length) = (String::new(), 0);
                while !head.ends_with("\r\n\r\n") {
                    assert_ne!(lines.read_line(&mut head).unwrap(), 0);
                }
                for line in head.to_ascii_lowercase().lines() {
                    if let Some(value) = line.strip_prefix("content-length: ") {
                        length = value.parse().unwrap();
                    }
                }
                let mut form = vec![0; length];
                lines.read_exact(&mut form).unwrap();
                assert!(head.split(' ').nth(1).unwrap().starts_with(path), "{head}");
                asked.push(format!("{head}{}", String::from_utf8(form).unwrap()));
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close", body.len());
                stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
            }
            asked
        })
    }

    struct There {
        clock: Arc<Hand>,
        oidc: Oidc,
        settings: Arc<Settings>,
        listener: Option<TcpListener>,
        runtime: tokio::runtime::Runtime,
        origin: String,
    }

    impl There {
        fn new() -> Self {
            let clock = Hand::new();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let origin = format!("http://{}", listener.local_addr().unwrap());
            let discovery = format!("{origin}/.well-known/openid-configuration").parse().unwrap();
            let settings = Settings {
                issuer: origin.clone(),
                discovery,
                second_factor: SecondFactor::Idp,
                acr: Vec::new(),
                ..id_token::tests::settings()
            };
            let oidc = Oidc::new(Arc::clone(&clock) as Arc<dyn Clock>);
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            Self { clock, oidc, settings: Arc::new(settings), listener: Some(listener), runtime, origin }
        }

        fn description(&self) -> String {
            let at = |path: &str| format!("{}{path}", self.origin);
            serde_json::json!({
                "issuer": self.origin,
                "authorization_endpoint": at("/auth?tenant=7"),
                "token_endpoint": at("/token"),
                "jwks_uri": at("/jwks"),
            })
            .to_string()
        }

        fn answers(&mut self, more: Vec<(&'static str, String)>) -> thread::JoinHandle<Vec<String>> {
            let first = vec![("/.well-known/openid-configuration", self.description())];
            provider([first, more].concat(), self.listener.take().unwrap())
        }

        fn begin(&self) -> (BTreeMap<String, String>, Token) {
            let _runtime = self.runtime.enter();
            let Begun { address, cookie } = self.oidc.begin(&self.settings).unwrap();
            let query = address.strip_prefix(&format!("{}/auth?", self.origin)).unwrap();
            (form_urlencoded::parse(query.as_bytes()).into_owned().collect(), cookie)
        }

        fn finish(&self, cookie: Option<&str>, query: &[(&str, &str)]) -> Result<VerifiedSubject, OidcError> {
            let _runtime = self.runtime.enter();
            let mut text = Serializer::new(String::new());
            text.extend_pairs(query);
            self.oidc.finish(&self.settings, cookie, &Pairs::parse(text.finish().as_bytes()))
        }
    }

    #[test]
    fn a_log_in_asks_for_what_it_checks_and_its_state_counts_once() {
        let mut there = There::new();
        let answers =
            vec![("/token", r#"{"id_token":"a.b.c"}"#.to_owned()), ("/jwks", r#"{"keys":[]}"#.into())];
        let provider = there.answers(answers);
        let (query, cookie) = there.begin();
        let said = |name: &str| query[name].as_str();
        assert_eq!((said("tenant"), said("response_type"), said("scope")), ("7", "code", "openid"));
        assert_eq!((said("client_id"), said("code_challenge_method")), ("sluis", "S256"));
        assert_eq!(said("redirect_uri"), "https://sluis.example/inloggen/oidc/terug");
        assert!(
            said("state") != said("nonce") && said("state").len() == 64 && !query.contains_key("acr_values")
        );
        let back = [("state", said("state")), ("code", "c0de")];
        let finished = there.finish(Some(cookie.expose()), &back);
        assert!(matches!(finished, Err(OidcError::NotVerified(NotVerified::Shape))), "{finished:?}");
        let asked = provider.join().unwrap();
        let form = asked[1].rsplit("\r\n\r\n").next().unwrap();
        let form: BTreeMap<String, String> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let challenge = digest::digest(&digest::SHA256, form["code_verifier"].as_bytes());
        assert_eq!(URL_SAFE_NO_PAD.encode(challenge), said("code_challenge"));
        assert_eq!((form["code"].as_str(), form["grant_type"].as_str()), ("c0de", "authorization_code"));
        let basic = format!("authorization: Basic {}\r\n", STANDARD.encode("sluis:geheim"));
        assert!(asked[1].contains(&basic) && !asked[0].contains("uthorization"), "{}", asked[1]);
        // The same once more: nobody is there any more to be asked, and nobody is.
        assert!(matches!(there.finish(Some(cookie.expose()), &back), Err(OidcError::Stranger)));
    }

    #[test]
    fn only_the_browser_that_began_and_in_time() {
        let mut there = There::new();
        let provider = there.answers(Vec::new());
        let (first, cookie) = there.begin();
        provider.join().unwrap();
        let stranger = |cookie: Option<&str>, query: &[(&str, &str)]| {
            assert!(matches!(there.finish(cookie, query), Err(OidcError::Stranger)), "{query:?}");
        };
        let state = first["state"].clone();
        stranger(Some(cookie.expose()), &[("code", "c")]);
        stranger(Some(cookie.expose()), &[("code", "c"), ("state", "f00d")]);
        stranger(None, &[("code", "c"), ("state", &state)]);
        // Whoever knows the state alone has used it up, and gained nothing.
        stranger(Some(cookie.expose()), &[("code", "c"), ("state", &state)]);
        let ((one, _), (_, other)) = (there.begin(), there.begin());
        stranger(Some(other.expose()), &[("code", "c"), ("state", &one["state"])]);
        let (late, cookie) = there.begin();
        there.clock.forward(10 * 60);
        stranger(Some(cookie.expose()), &[("code", "c"), ("state", &late["state"])]);
    }

    #[test]
    fn what_comes_back_is_of_this_provider() {
        let mut there = There::new();
        let provider = there.answers(Vec::new());
        let (first, cookie) = there.begin();
        provider.join().unwrap();
        let other = [("state", first["state"].as_str()), ("code", "c"), ("iss", "https://other.example")];
        let finished = there.finish(Some(cookie.expose()), &other);
        assert!(matches!(finished, Err(OidcError::NotVerified(NotVerified::Issuer))));
        let (second, cookie) = there.begin();
        let broken_off = [("state", second["state"].as_str()), ("error", "access_denied")];
        assert!(matches!(there.finish(Some(cookie.expose()), &broken_off), Err(OidcError::Declined)));
        let (third, cookie) = there.begin();
        let away = there.finish(Some(cookie.expose()), &[("state", &third["state"]), ("code", "c")]);
        assert!(matches!(away, Err(OidcError::Unreachable { what: "token endpoint", .. })), "{away:?}");
        // After another configuration nothing of the one before counts.
        let (fourth, cookie) = there.begin();
        let same = Settings { issuer: there.settings.issuer.clone(), ..id_token::tests::settings() };
        let query = Pairs::parse(format!("state={}&code=c", fourth["state"]).as_bytes());
        let finished = there.oidc.finish(&Arc::new(same), Some(cookie.expose()), &query);
        assert!(matches!(finished, Err(OidcError::Stranger)));
    }

    #[test]
    fn so_many_wait_for_the_provider_at_once() {
        let there = There::new();
        let _turns = there.oidc.calls.try_acquire_many(AT_ONCE.try_into().unwrap()).unwrap();
        let _runtime = there.runtime.enter();
        assert!(matches!(there.oidc.begin(&there.settings), Err(OidcError::Wait)));
    }

    #[test]
    fn so_many_are_under_way_at_once() {
        let mut there = There::new();
        let provider = there.answers(Vec::new());
        let (first, _) = there.begin();
        provider.join().unwrap();
        for _ in 0..MOST {
            there.begin();
        }
        assert_eq!(lock(&there.oidc.pending).len(), MOST);
        there.clock.forward(10 * 60);
        there.begin();
        assert_eq!(lock(&there.oidc.pending).len(), 1);
        assert!(!lock(&there.oidc.pending).contains_key(&hash(&first["state"])));
    }

    #[test]
    fn a_description_is_of_the_issuer_and_stays_where_it_is() {
        let there = There::new();
        let told = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut description = serde_json::from_str(&there.description()).unwrap();
            change(&mut description);
            Provider::of(description.to_string().as_bytes(), &there.settings, 0)
                .map(|known| known.names_issuer)
        };
        assert!(matches!(told(&|_| {}), Ok(false)));
        assert!(matches!(
            told(&|d| d["authorization_response_iss_parameter_supported"] = true.into()),
            Ok(true)
        ));
        for (name, value) in [
            ("issuer", "https://other.example"),
            ("token_endpoint", "http://192.0.2.7/token"),
            ("token_endpoint", "https://idp.example/token"),
            ("jwks_uri", "file:///etc/passwd"),
            ("authorization_endpoint", "javascript:alert(1)"),
            ("authorization_endpoint", "/auth"),
        ] {
            let refused = told(&|description| description[name] = value.into());
            assert!(matches!(refused, Err(OidcError::Discovery(_))), "{name} {value}");
        }
        assert!(told(&|description| description["jwks_uri"] = serde_json::Value::Null).is_err());
    }

    #[test]
    fn only_who_is_linked_is_let_in_and_it_is_on_record() {
        use super::super::{account::Subject, login::Refused};
        let world = World::new();
        let known = VerifiedSubject::of_test("https://idp.example", "anna");
        assert_eq!(world.logins.admit(&known).unwrap_err(), Refused::Wrong);
        let subject = Subject { issuer: "https://idp.example".into(), sub: "anna".into() };
        world.accounts.change(|roll| roll.link(world.id, Some(subject.clone()))).unwrap();
        assert_eq!(world.logins.admit(&known).unwrap().id(), world.id);
        for (issuer, sub) in [("https://idp.example", "Anna"), ("https://idp.example/", "anna"), ("", "")] {
            let other = VerifiedSubject::of_test(issuer, sub);
            assert_eq!(world.logins.admit(&other).unwrap_err(), Refused::Wrong);
        }
        assert_eq!(world.logins.unverified(), Refused::Wrong);
        let said = [(5, false), (4, true), (5, false), (5, false), (5, false), (5, false)];
        assert_eq!(world.said(), said);
        // Coming back with nothing has others like that wait, and not whoever is linked.
        for _ in 0..4 {
            let _ = world.logins.unverified();
        }
        assert!(matches!(world.logins.unverified(), Refused::Wait { .. }));
        assert!(world.logins.admit(&known).is_ok());
        world.accounts.change(|roll| roll.remove(world.id)).unwrap();
        assert_eq!(world.logins.admit(&known).unwrap_err(), Refused::Wrong);
    }
}
