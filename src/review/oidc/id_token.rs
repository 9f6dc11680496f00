//! An ID token, and whether it is what it says: signed by a key of the provider, for this client, for this log-in, now,
//! and after two factors. Knows no network.
//!
//! | | |
//! |---|---|
//! | `alg` | RS256 or ES256, and nothing else: what says `none`, or HS256 with a public key for a secret, is refused |
//! | key | by `kid`, of the type that `alg` needs; without a `kid`, the only one of its type |
//! | `crit` | refused: no extension is understood |
//! | `iss`, `nonce` | as expected, letter by letter |
//! | `aud`, `azp` | has the client; where there is `azp`, it is the client, and there is one where `aud` has others too |
//! | `exp`, `iat`, `nbf` | now, give or take a minute; issued since the log-in began |
//! | `amr`, `acr` | `amr` has `mfa`, or `acr` is one that the configuration names; not looked at where the configuration says that the provider always demands two factors |

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, de::DeserializeOwned};
use subtle::ConstantTimeEq;

use super::super::account::Subject;
use crate::config::{Oidc, SecondFactor};

/// Bytes of a token at most.
const LARGEST: usize = 32 * 1024;
/// Keys of a provider at most.
const KEYS: usize = 64;
/// How far clocks may differ, in seconds.
const SKEW: f64 = 60.0;

/// Whom an identity provider logged in, with two factors: its token was verified. Only the verifier makes one, and
/// [`Logins::admit`](super::super::login::Logins::admit) takes it.
///
/// ```compile_fail
/// # use sluis::review::{account::Subject, oidc::VerifiedSubject};
/// let subject = Subject { issuer: String::new(), sub: String::new() };
/// let verified = VerifiedSubject(subject);
/// ```
pub struct VerifiedSubject(Subject);

impl VerifiedSubject {
    /// How the provider knows the person.
    pub fn subject(&self) -> &Subject {
        &self.0
    }

    #[cfg(test)]
    pub(in super::super) fn of_test(issuer: &str, sub: &str) -> Self {
        Self(Subject { issuer: issuer.to_owned(), sub: sub.to_owned() })
    }
}

impl fmt::Debug for VerifiedSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedSubject(..)")
    }
}

/// Why a token proves nothing. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotVerified {
    /// Signed in a way that is not taken.
    #[error("the ID token is signed by neither RS256 nor ES256; have the provider sign with one of these")]
    Algorithm,
    /// For another client.
    #[error("the ID token is for another client; compare review.oidc.client_id with what the provider has")]
    Audience,
    /// Too old, or not yet.
    #[error("the ID token is not of now; compare the clocks of both machines")]
    Expired,
    /// Of another issuer.
    #[error("the ID token is of another issuer; write review.oidc.issuer as the provider says it")]
    Issuer,
    /// Signed by a key that the provider does not show.
    #[error("the ID token is signed by a key that the provider does not show")]
    Key,
    /// For another log-in.
    #[error("the ID token is not of this log-in")]
    Nonce,
    /// Nothing says that two factors were used.
    #[error(
        "the ID token does not say that two factors were used: `amr` lacks `mfa`, and `acr` is none of review.oidc.acr"
    )]
    OneFactor,
    /// No token.
    #[error("there is no ID token that can be read in the answer of the provider")]
    Shape,
    /// The signature is not of the key.
    #[error("the signature of the ID token is not right")]
    Signature,
}

/// The keys of a provider that can be used: RSA of 2048 bits and more, and P-256.
pub(super) struct Keys(Vec<Key>);

struct Key {
    kid: Option<String>,
    material: Material,
}

enum Material {
    P256([u8; 65]),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// As RFC 7517 has it; what else stands there is for others.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// Reads a set of keys. What cannot be used is passed over, as a set may hold keys for anything.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(text).ok()?;
        let of = |jwk: serde_json::Value| Key::of(serde_json::from_value(jwk).ok()?);
        Some(Self(set.keys.into_iter().take(KEYS).filter_map(of).collect()))
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let bytes = |part: Option<String>| URL_SAFE_NO_PAD.decode(part?).ok();
        let is = |own: &Option<String>, word: &str| own.as_deref().is_none_or(|own| own == word);
        if !is(&jwk.purpose, "sig") {
            return None;
        }
        let material = match jwk.kty.as_str() {
            "EC" if jwk.crv.as_deref() == Some("P-256") && is(&jwk.alg, "ES256") => {
                let point = [vec![4], bytes(jwk.x)?, bytes(jwk.y)?];
                let fits = point[1].len() == 32 && point[2].len() == 32;
                Material::P256(point.concat().try_into().ok().filter(|_| fits)?)
            }
            "RSA" if is(&jwk.alg, "RS256") => {
                let number = |part| {
                    let bytes = bytes(part)?;
                    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                    Some(bytes[zeros..].to_vec())
                };
                Material::Rsa { n: number(jwk.n)?, e: number(jwk.e)? }
            }
            _ => return None,
        };
        Some(Self { kid: jwk.kid, material })
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            Material::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
        }
    }
}

/// What a token has to be of.
pub(super) struct Expected<'e> {
    pub(super) settings: &'e Oidc,
    pub(super) nonce: &'e str,
    /// When the log-in began.
    pub(super) begun_ms: u64,
    pub(super) now_ms: u64,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: OneOrMore,
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    nonce: String,
    acr: Option<String>,
    amr: Option<OneOrMore>,
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, NotVerified> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotVerified::Shape)?;
    serde_json::from_slice(&bytes).map_err(|_| NotVerified::Shape)
}

/// Whom a token is of.
///
/// # Errors
///
/// [`NotVerified`]; with [`NotVerified::Key`], newer keys of the provider may say otherwise.
pub(super) fn verify(
    token: &str,
    keys: &Keys,
    expected: &Expected<'_>,
) -> Result<VerifiedSubject, NotVerified> {
    if token.len() > LARGEST {
        return Err(NotVerified::Shape);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(NotVerified::Shape)?;
    let (head, body) = message.split_once('.').ok_or(NotVerified::Shape)?;
    let header: Header = part(head)?;
    if header.crit.is_some() {
        return Err(NotVerified::Shape);
    }
    // The token says which of two it is, and the key has to be of that type: a public key is never a secret here.
    let of_type = |key: &&Key| match &key.material {
        Material::P256(_) => header.alg == "ES256",
        Material::Rsa { .. } => header.alg == "RS256",
    };
    if !matches!(header.alg.as_str(), "ES256" | "RS256") {
        return Err(NotVerified::Algorithm);
    }
    let mut fitting: Vec<&Key> = keys.0.iter().filter(of_type).collect();
    match &header.kid {
        Some(kid) => fitting.retain(|key| key.kid.as_ref() == Some(kid)),
        None if fitting.len() > 1 => fitting.clear(),
        None => {}
    }
    if fitting.is_empty() {
        return Err(NotVerified::Key);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| NotVerified::Shape)?;
    if !fitting.iter().any(|key| key.verifies(message.as_bytes(), &signature)) {
        return Err(NotVerified::Signature);
    }
    // Nothing of the body is looked at before this.
    check(part(body)?, expected)
}

fn check(claims: Claims, expected: &Expected<'_>) -> Result<VerifiedSubject, NotVerified> {
    let Expected { settings, nonce, begun_ms, now_ms } = expected;
    if claims.iss != settings.issuer {
        return Err(NotVerified::Issuer);
    }
    let audience = claims.aud.as_slice();
    let own = |id: &String| *id == settings.client_id;
    let party = match &claims.azp {
        Some(party) => own(party),
        None => audience.len() == 1,
    };
    if !audience.iter().any(own) || !party {
        return Err(NotVerified::Audience);
    }
    if !bool::from(claims.nonce.as_bytes().ct_eq(nonce.as_bytes())) {
        return Err(NotVerified::Nonce);
    }
    let seconds = |ms: u64| std::time::Duration::from_millis(ms).as_secs_f64();
    let (now, begun) = (seconds(*now_ms), seconds(*begun_ms));
    let lasts = now < claims.exp + SKEW;
    let begins = claims.nbf.is_none_or(|from| from <= now + SKEW);
    let recent = (begun - SKEW..=now + SKEW).contains(&claims.iat);
    if !(lasts && begins && recent) {
        return Err(NotVerified::Expired);
    }
    let proven = match settings.second_factor {
        SecondFactor::Idp => true,
        SecondFactor::Token => {
            let mfa = claims.amr.as_ref().is_some_and(|amr| amr.as_slice().iter().any(|way| way == "mfa"));
            mfa || claims.acr.is_some_and(|acr| settings.acr.contains(&acr))
        }
    };
    if !proven {
        return Err(NotVerified::OneFactor);
    }
    if !Subject::is_sub(&claims.sub) {
        return Err(NotVerified::Shape);
    }
    Ok(VerifiedSubject(Subject { issuer: claims.iss, sub: claims.sub }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };
    use serde_json::{Value, json};
    use zeroize::Zeroizing;

    use super::*;
    use crate::config::ClientSecret;

    /// When the log-in of the vectors began, in seconds.
    const BEGUN: u64 = 1_790_000_000;

    pub(in super::super) fn settings() -> Oidc {
        Oidc {
            issuer: "https://idp.example/school".into(),
            discovery: "https://idp.example/school/.well-known/openid-configuration".parse().unwrap(),
            tls: None,
            client_id: "sluis".into(),
            client_secret: ClientSecret(Zeroizing::new("geheim".into())),
            scopes: Vec::new(),
            acr: vec!["two".into()],
            second_factor: SecondFactor::Token,
            redirect_uri: "https://sluis.example/inloggen/oidc/terug".into(),
        }
    }

    struct Signer(EcdsaKeyPair);

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random);
            Self(key.unwrap())
        }

        fn jwk(&self, kid: &str) -> Value {
            let point = self.0.public_key().as_ref();
            let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": part(&point[1..33]), "y": part(&point[33..])})
        }

        fn token(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let message = format!("{}.{}", part(header), part(claims));
            let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    fn keys(jwks: &[Value]) -> Keys {
        Keys::parse(json!({ "keys": jwks }).to_string().as_bytes()).unwrap()
    }

    fn verify_at(token: &str, keys: &Keys, settings: &Oidc, now: u64) -> Result<String, NotVerified> {
        let expected = Expected { settings, nonce: "n-1", begun_ms: BEGUN * 1000, now_ms: now * 1000 };
        verify(token, keys, &expected).map(|verified| verified.subject().sub.clone())
    }

    fn claims() -> Value {
        json!({
            "iss": "https://idp.example/school", "sub": "anna", "aud": "sluis", "nonce": "n-1",
            "iat": BEGUN + 5, "exp": BEGUN + 305, "amr": ["pwd", "mfa"],
        })
    }

    fn header() -> Value {
        json!({"alg": "ES256", "kid": "one", "typ": "JWT"})
    }

    /// The claims of a token that is in order, with one of them changed, are answered so.
    #[test]
    fn every_claim_counts() {
        let signer = Signer::new();
        let keys = keys(&[signer.jwk("one")]);
        let check = |name: &str, value: Value, expected: Result<&str, NotVerified>| {
            let mut claims = claims();
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value,
            }
            let verified = verify_at(&signer.token(&header(), &claims), &keys, &settings(), BEGUN + 10);
            assert_eq!(verified, expected.map(str::to_owned), "{claims}");
        };
        let now = BEGUN + 10;
        check("more", json!({"is": "for others"}), Ok("anna"));
        check("iss", json!("https://idp.example/school/"), Err(NotVerified::Issuer));
        check("iss", json!("https://IDP.example/school"), Err(NotVerified::Issuer));
        check("iss", Value::Null, Err(NotVerified::Shape));
        check("aud", json!("other"), Err(NotVerified::Audience));
        check("aud", json!([]), Err(NotVerified::Audience));
        check("aud", json!(["sluis"]), Ok("anna"));
        check("aud", json!(["sluis", "other"]), Err(NotVerified::Audience));
        check("aud", Value::Null, Err(NotVerified::Shape));
        check("azp", json!("sluis"), Ok("anna"));
        check("azp", json!("other"), Err(NotVerified::Audience));
        check("nonce", json!("n-2"), Err(NotVerified::Nonce));
        check("nonce", json!(""), Err(NotVerified::Nonce));
        check("nonce", Value::Null, Err(NotVerified::Shape));
        check("exp", json!(now - 59), Ok("anna"));
        check("exp", json!(now - 60), Err(NotVerified::Expired));
        check("exp", json!(format!("{}", now + 300)), Err(NotVerified::Shape));
        check("exp", Value::Null, Err(NotVerified::Shape));
        check("iat", json!(BEGUN - 60), Ok("anna"));
        check("iat", json!(BEGUN - 61), Err(NotVerified::Expired));
        check("iat", json!(now + 61), Err(NotVerified::Expired));
        check("iat", Value::Null, Err(NotVerified::Shape));
        check("nbf", json!(now + 60), Ok("anna"));
        check("nbf", json!(now + 61), Err(NotVerified::Expired));
        check("sub", json!(""), Err(NotVerified::Shape));
        check("sub", json!("a".repeat(256)), Err(NotVerified::Shape));
        check("sub", json!("a\nb"), Err(NotVerified::Shape));
        check("amr", json!("mfa"), Ok("anna"));
        check("amr", json!(["pwd"]), Err(NotVerified::OneFactor));
        check("amr", Value::Null, Err(NotVerified::OneFactor));
        check("acr", json!("two"), Ok("anna"));
    }

    #[test]
    fn two_factors_are_what_the_configuration_says() {
        let signer = Signer::new();
        let keys = keys(&[signer.jwk("one")]);
        let check = |settings: &Oidc, acr: Value, expected: Result<&str, NotVerified>| {
            let mut claims = claims();
            (claims["amr"], claims["acr"]) = (json!(["pwd"]), acr);
            let verified = verify_at(&signer.token(&header(), &claims), &keys, settings, BEGUN);
            assert_eq!(verified, expected.map(str::to_owned));
        };
        check(&settings(), json!("two"), Ok("anna"));
        check(&settings(), json!("one"), Err(NotVerified::OneFactor));
        let none = Oidc { acr: Vec::new(), ..settings() };
        check(&none, json!("two"), Err(NotVerified::OneFactor));
        let trusted = Oidc { second_factor: SecondFactor::Idp, ..none };
        check(&trusted, json!("one"), Ok("anna"));
    }

    #[test]
    fn only_a_signature_of_a_shown_key_counts() {
        let (signer, other) = (Signer::new(), Signer::new());
        let shown = keys(&[json!({"kty": "oct", "k": "AAAA"}), signer.jwk("one"), other.jwk("two")]);
        let check = |token: &str, keys: &Keys| verify_at(token, keys, &settings(), BEGUN);
        let good = signer.token(&header(), &claims());
        assert_eq!(check(&good, &shown), Ok("anna".into()));
        // Another key under the name of this one; another body and another head under its signature.
        assert_eq!(check(&other.token(&header(), &claims()), &shown), Err(NotVerified::Signature));
        let mut changed = claims();
        changed["sub"] = json!("beatrix");
        let parts: Vec<&str> = good.split('.').collect();
        let body = URL_SAFE_NO_PAD.encode(changed.to_string());
        assert_eq!(check(&format!("{}.{body}.{}", parts[0], parts[2]), &shown), Err(NotVerified::Signature));
        let cut = &good[..good.len() - 2];
        assert_eq!(check(cut, &shown), Err(NotVerified::Signature));
        let padded = format!("{good}=");
        assert_eq!(check(&padded, &shown), Err(NotVerified::Shape));
        for (change, expected) in [
            (json!({"alg": "none"}), NotVerified::Algorithm),
            (json!({"alg": "None"}), NotVerified::Algorithm),
            (json!({"alg": "es256"}), NotVerified::Algorithm),
            (json!({"alg": "ES384"}), NotVerified::Algorithm),
            (json!({"alg": "HS256"}), NotVerified::Algorithm),
            (json!({"alg": "RS256"}), NotVerified::Key),
            (json!({"kid": "three"}), NotVerified::Key),
            (json!({"kid": "two"}), NotVerified::Signature),
            (json!({"kid": null}), NotVerified::Key),
            (json!({"crit": ["exp"]}), NotVerified::Shape),
        ] {
            let mut header = header();
            header.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            assert_eq!(check(&signer.token(&header, &claims()), &shown), Err(expected), "{header}");
        }
        let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), parts[1]);
        assert_eq!(check(&unsigned, &shown), Err(NotVerified::Algorithm));
        // Without a name, the only key there is.
        let unnamed = signer.token(&json!({"alg": "ES256"}), &claims());
        assert_eq!(check(&unnamed, &keys(&[signer.jwk("one")])), Ok("anna".into()));
        // A key for something else is no key.
        let mut sealing = signer.jwk("one");
        sealing["use"] = json!("enc");
        assert_eq!(check(&good, &keys(&[sealing])), Err(NotVerified::Key));
        for none in ["", ".", "..", "a.b", "a.b.c.d", &"a".repeat(LARGEST + 1)] {
            assert_eq!(check(none, &shown), Err(NotVerified::Shape), "{none:.20}");
        }
    }

    /// Made by another implementation; the second is signed with the public key as a secret.
    #[test]
    fn rsa_verifies_and_is_never_a_secret() {
        let vectors: Value = serde_json::from_str(include_str!("../../../tests/vectors/oidc.json")).unwrap();
        let keys = Keys::parse(vectors["keys"].to_string().as_bytes()).unwrap();
        let check = |name: &str| verify_at(vectors[name].as_str().unwrap(), &keys, &settings(), BEGUN + 10);
        assert_eq!(check("rs256"), Ok("anna".into()));
        assert_eq!(check("hs256"), Err(NotVerified::Algorithm));
        assert_eq!(check("rs384"), Err(NotVerified::Algorithm));
        let token = vectors["rs256"].as_str().unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[100] ^= 1;
        let wrong = format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes));
        assert_eq!(verify_at(&wrong, &keys, &settings(), BEGUN + 10), Err(NotVerified::Signature));
    }

    #[test]
    fn nothing_of_a_person_is_printed() {
        assert_eq!(format!("{:?}", VerifiedSubject::of_test("i", "anna")), "VerifiedSubject(..)");
        assert!(!format!("{:?}", settings()).contains("geheim"));
    }
}
