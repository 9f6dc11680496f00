//! What somebody shows to log in: a passphrase and the code of an authenticator app.
//!
//! Passphrases are kept as argon2id, secrets of authenticator apps as they are: a code can be checked no other way.

use std::fmt;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash,
};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use totp_rs::{Builder, Secret, Totp};
use zeroize::{Zeroize, Zeroizing};

use super::AccountError;

/// Shortest and longest passphrase, in characters. NIST SP 800-63B-4 wants 15 where nothing else is asked for.
const PASSPHRASE: std::ops::RangeInclusive<usize> = 15..=256;
/// What guessers try first, of the length that is allowed, without spaces and in lower case.
const COMMON: &str = include_str!("common.txt");
/// Memory in KiB, passes and lanes of argon2id, as OWASP has them.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

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

pub(super) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, AccountError> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        super::tests::{WORDS, factors},
        *,
    };

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
}
