//! From a root key to everything that is made of it.
//!
//! | what | how |
//! |---|---|
//! | subkey | HKDF-SHA-512 of the root key; info = label, BRIN, domain kind, domain parts, epoch, each preceded by its length as u32 big-endian |
//! | pseudonym | HMAC-SHA-512(subkey, len ‖ identity kind ‖ len ‖ identity) |
//! | token | AES-256-SIV, see [`token`](super::token) |
//! | subject handle | first 16 bytes of HMAC-SHA-256(log subkey, as for a pseudonym) |
//! | recipient tag | first 8 bytes of HMAC-SHA-256(log subkey, len ‖ recipient ‖ pseudonym) |
//! | content MAC | first 16 bytes of HMAC-SHA-256(log subkey, bytes) |
//! | what a notice says | AES-256-GCM under a log subkey, see [`sealed`](super::sealed) |

use std::fmt;

use ring::{hkdf, hmac};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::{
    identity::{Identity, KeyKind, PupilKey},
    token::{Siv, UnknownToken},
};
use crate::keys::RootKey;

/// Among whom pseudonyms are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PseudonymDomain {
    /// All recipients whose agreements name this chain and sector.
    Chain {
        /// Name of the chain.
        chain: String,
        /// Sector: `po`, `vo`, …
        sector: String,
    },
    /// The feed's own ECK iD passes.
    PassEckId,
    /// This recipient alone.
    Recipient,
}

/// The authority is one that belongs to the Nummervoorziening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pseudonyms of Sluis never stand under ketenid.nl")]
pub struct AuthorityRefused;

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Length-prefixed, so that no two lists of parts give the same bytes.
fn context(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    for part in parts {
        bytes.extend_from_slice(&u32::try_from(part.len()).expect("labels are short").to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

pub(super) fn subkey<const N: usize>(root: &RootKey, parts: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let info = context(parts);
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA512, b"sluis");
    let mut key = Zeroizing::new([0; N]);
    salt.extract(root.expose())
        .expand(&[&info], Length(N))
        .and_then(|okm| okm.fill(key.as_mut_slice()))
        .expect("subkeys are far shorter than HKDF's limit");
    key
}

/// 64 bytes that stand for a person. Compared in constant time; what still shows is whether two are equal.
#[derive(Clone)]
pub struct Pseudonym([u8; 64]);

impl Pseudonym {
    /// Reads one as it was given out: 128 hexadecimal digits, or a URI that ends in them.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 64];
        hex::decode_to_slice(text.trim().rsplit('/').next()?, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// 128 lower-case hexadecimal digits: the shape of an ECK iD.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    fn write_hex(&self, out: &mut String) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 128];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        out.push_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"));
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonym(..)")
    }
}

impl Drop for Pseudonym {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Makes the pseudonyms and tokens of one school for one recipient, in one epoch.
pub struct Pseudonymiser {
    eckid: hmac::Key,
    siv: Siv,
    /// `https://authority/epoch/`
    prefix: String,
    epoch: u16,
}

impl Pseudonymiser {
    /// Prepares the subkeys.
    ///
    /// # Errors
    ///
    /// When `authority` is `ketenid.nl` or below it.
    pub fn new(
        root: &RootKey,
        epoch: u16,
        brin: &str,
        domain: &PseudonymDomain,
        recipient: &str,
        authority: &str,
    ) -> Result<Self, AuthorityRefused> {
        let lower = authority.to_ascii_lowercase();
        if lower == "ketenid.nl" || lower.ends_with(".ketenid.nl") {
            return Err(AuthorityRefused);
        }
        let era = epoch.to_be_bytes();
        let label: &[u8] = b"sluis/v1/eckid";
        let eckid: Zeroizing<[u8; 64]> = match domain {
            PseudonymDomain::Chain { chain, sector } => {
                subkey(root, &[label, brin.as_bytes(), b"chain", chain.as_bytes(), sector.as_bytes(), &era])
            }
            PseudonymDomain::PassEckId | PseudonymDomain::Recipient => {
                subkey(root, &[label, brin.as_bytes(), b"recipient", recipient.as_bytes(), &era])
            }
        };
        // Tokens always belong to one recipient: a chain shares the ECK iD and nothing more.
        let token: Zeroizing<[u8; 64]> =
            subkey(root, &[b"sluis/v1/token", brin.as_bytes(), b"recipient", recipient.as_bytes(), &era]);
        Ok(Self {
            eckid: hmac::Key::new(hmac::HMAC_SHA512, eckid.as_slice()),
            siv: Siv::new(&token),
            prefix: format!("https://{authority}/{epoch}/"),
            epoch,
        })
    }

    /// The epoch of the key.
    pub fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The pseudonym of a person.
    pub fn pseudonym(&self, identity: &Identity) -> Pseudonym {
        let tag = keyed(&self.eckid, identity);
        Pseudonym(tag.as_ref().try_into().expect("HMAC-SHA-512 gives 64 bytes"))
    }

    /// Appends the pseudonym in the shape of an ECK iD.
    pub fn write_uri(&self, pseudonym: &Pseudonym, out: &mut String) {
        out.push_str(&self.prefix);
        pseudonym.write_hex(out);
    }

    /// The bytes of an ECK iD that is of this authority and epoch.
    pub fn parse_uri(&self, uri: &str) -> Option<[u8; 64]> {
        let digits = uri.strip_prefix(self.prefix.as_str())?;
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let mut bytes = [0; 64];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(bytes)
    }

    /// Whether an ECK iD is this pseudonym.
    pub fn is_uri_of(&self, pseudonym: &Pseudonym, uri: &str) -> bool {
        self.parse_uri(uri).is_some_and(|bytes| bytes.ct_eq(&pseudonym.0).into())
    }

    /// Appends the token that stands in for a key.
    pub fn token(&self, kind: KeyKind, key: &PupilKey, out: &mut String) {
        self.siv.seal(kind, key, out);
    }

    /// The key a token stands in for.
    ///
    /// # Errors
    ///
    /// [`UnknownToken`], when it is not one that this pseudonymiser made for a key of this kind.
    pub fn open(&self, kind: KeyKind, token: &str) -> Result<PupilKey, UnknownToken> {
        self.siv.open(kind, token)
    }
}

impl fmt::Debug for Pseudonymiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonymiser(epoch {})", self.epoch)
    }
}

fn keyed(key: &hmac::Key, identity: &Identity) -> hmac::Tag {
    identity.with_parts(|kind, value| {
        let length = |part: &[u8]| u32::try_from(part.len()).expect("identities are short").to_be_bytes();
        let mut context = hmac::Context::with_key(key);
        // One call costs as much as the few bytes it takes.
        let mut head = [0; 32];
        let from = head.len() - (4 + kind.len() + 4);
        head[from..from + 4].copy_from_slice(&length(kind.as_bytes()));
        head[from + 4..from + 4 + kind.len()].copy_from_slice(kind.as_bytes());
        head[from + 4 + kind.len()..].copy_from_slice(&length(value));
        context.update(&head[from..]);
        context.update(value);
        context.sign()
    })
}

fn first<const N: usize>(tag: &hmac::Tag) -> [u8; N] {
    tag.as_ref()[..N].try_into().expect("HMAC-SHA-256 gives 32 bytes")
}

/// Makes what the log holds instead of persons. Its key is none of those of the pseudonyms, so that neither can be
/// linked to the other.
pub struct LogKeys {
    subject: hmac::Key,
    tag: hmac::Key,
    content: hmac::Key,
    epoch: u16,
}

impl LogKeys {
    /// Prepares the subkeys of a school's log key.
    pub fn new(root: &RootKey, epoch: u16, brin: &str) -> Self {
        let era = epoch.to_be_bytes();
        let key = |label: &[u8]| {
            let bytes: Zeroizing<[u8; 32]> = subkey(root, &[label, brin.as_bytes(), &era]);
            hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice())
        };
        Self {
            subject: key(b"sluis/v1/log-subject"),
            tag: key(b"sluis/v1/log-tag"),
            content: key(b"sluis/v1/log-content"),
            epoch,
        }
    }

    /// The epoch of the key.
    pub fn epoch(&self) -> u16 {
        self.epoch
    }

    /// What stands for a person in the log.
    pub fn subject_handle(&self, identity: &Identity) -> [u8; 16] {
        first(&keyed(&self.subject, identity))
    }

    /// What a leaked pseudonym can be looked up by.
    pub fn recipient_tag(&self, recipient: &str, pseudonym: &Pseudonym) -> [u8; 8] {
        let mut context = hmac::Context::with_key(&self.tag);
        context.update(&u32::try_from(recipient.len()).expect("ids are short").to_be_bytes());
        context.update(recipient.as_bytes());
        context.update(&pseudonym.0);
        first(&context.sign())
    }

    /// A MAC over what was released, to be fed and finished.
    pub fn content_mac(&self) -> ContentMac {
        ContentMac(hmac::Context::with_key(&self.content))
    }
}

impl fmt::Debug for LogKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKeys(epoch {})", self.epoch)
    }
}

/// A keyed MAC in the making.
pub struct ContentMac(hmac::Context);

impl ContentMac {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The MAC of all bytes.
    pub fn finish(self) -> [u8; 16] {
        first(&self.0.sign())
    }
}
