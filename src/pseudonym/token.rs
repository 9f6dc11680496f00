//! Reversible tokens that stand in for keys of the pupil administration.
//!
//! AES-256-SIV (RFC 5297) with the kind of key as associated data: deterministic, so the same key gives the same
//! token; authenticated, so nobody can make one up; and a `groep` token is no `leerling` token.
//!
//! | block | token | holds |
//! |---|---|---|
//! | 32 bytes | 64 characters: fits the keys of UWLR 2.0 and 2.1 | keys up to 31 bytes, and UUIDs |
//! | 176 bytes | 256 characters: fits the keys of UWLR 2.2 and later | keys up to 174 bytes |
//!
//! | byte | content of a block |
//! |---|---|
//! | 0 | 1–174: length of the key that follows; 250: sixteen bytes of a UUID in lower case; 251: in upper case |
//! | 1… | the key, then zeros |
//!
//! A token is the 16-byte synthetic IV and the block, in base64url with `.` for `-`: no token begins with a character
//! that a spreadsheet takes for a formula.

use std::sync::{Mutex, PoisonError};

use aes_siv::{KeyInit, siv::Aes256Siv};
use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};
use zeroize::Zeroizing;

use super::{
    derive::Pseudonymiser,
    identity::{KeyKind, PupilKey},
};

const SHORT: usize = 32;
const LONG: usize = 176;
const TAG: usize = 16;
const UUID_LOWER: u8 = 250;
const UUID_UPPER: u8 = 251;

const ENGINE: GeneralPurpose = GeneralPurpose::new(&ALPHABET, NO_PAD);
const ALPHABET: alphabet::Alphabet =
    match alphabet::Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._") {
        Ok(alphabet) => alphabet,
        Err(_) => panic!("64 different characters"),
    };

/// A text that is no token given out to this recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token that was given out to this recipient")]
pub struct UnknownToken;

/// The cipher keeps state while it works, so it is taken by one caller at a time; exchanges have one each.
pub(super) struct Siv(Mutex<Aes256Siv>);

impl Siv {
    pub(super) fn new(key: &[u8; 64]) -> Self {
        Self(Mutex::new(Aes256Siv::new(key.into())))
    }

    fn cipher(&self) -> std::sync::MutexGuard<'_, Aes256Siv> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seal(&self, kind: KeyKind, key: &PupilKey, out: &mut String) {
        // Most keys are short, and wiping what is long takes as long as the rest.
        if is_short(key.expose()) {
            self.seal_in(Zeroizing::new([0; TAG + SHORT]), kind, key, out);
        } else {
            self.seal_in(Zeroizing::new([0; TAG + LONG]), kind, key, out);
        }
    }

    fn seal_in<const N: usize>(
        &self,
        mut buffer: Zeroizing<[u8; N]>,
        kind: KeyKind,
        key: &PupilKey,
        out: &mut String,
    ) {
        let (tag, block) = buffer.split_at_mut(TAG);
        pack(key.expose(), block);
        let sealed = self
            .cipher()
            .encrypt_in_place_detached([kind.label().as_bytes()], block)
            .expect("one associated value is within what SIV takes");
        tag.copy_from_slice(&sealed);
        ENGINE.encode_string(buffer.as_slice(), out);
    }

    pub(super) fn open(&self, kind: KeyKind, token: &str) -> Result<PupilKey, UnknownToken> {
        let mut buffer = Zeroizing::new([0u8; TAG + LONG]);
        if !matches!(token.len(), 64 | 256) {
            return Err(UnknownToken);
        }
        let length = ENGINE.decode_slice(token, buffer.as_mut_slice()).map_err(|_| UnknownToken)?;
        let (tag, block) = buffer[..length].split_at_mut(TAG);
        let tag: &[u8; TAG] = (&*tag).try_into().map_err(|_| UnknownToken)?;
        self.cipher()
            .decrypt_in_place_detached([kind.label().as_bytes()], block, tag.into())
            .map_err(|_| UnknownToken)?;
        unpack(block).ok_or(UnknownToken)
    }
}

/// Whether a key fits the short block.
fn is_short(key: &str) -> bool {
    key.len() < SHORT || uuid(key).is_some()
}

/// Fills a zeroed block that is long enough.
fn pack(key: &str, block: &mut [u8]) {
    if let Some((marker, uuid)) = uuid(key) {
        block[0] = marker;
        block[1..17].copy_from_slice(&uuid);
        return;
    }
    let bytes = key.as_bytes();
    block[0] = u8::try_from(bytes.len()).expect("keys are bounded by PupilKey");
    block[1..=bytes.len()].copy_from_slice(bytes);
}

fn unpack(block: &[u8]) -> Option<PupilKey> {
    let (&marker, rest) = block.split_first()?;
    let text = match marker {
        UUID_LOWER | UUID_UPPER => {
            let mut text = Zeroizing::new(uuid::Uuid::from_slice(rest.get(..16)?).ok()?.to_string());
            if marker == UUID_UPPER {
                text.make_ascii_uppercase();
            }
            text
        }
        length => {
            let length = usize::from(length);
            let padding = rest.get(length..)?;
            if padding.iter().any(|&byte| byte != 0) {
                return None;
            }
            Zeroizing::new(std::str::from_utf8(&rest[..length]).ok()?.to_owned())
        }
    };
    PupilKey::parse(&text).ok()
}

/// A key that is a UUID in its usual spelling, all lower or all upper case.
fn uuid(key: &str) -> Option<(u8, [u8; 16])> {
    if key.len() != 36 {
        return None;
    }
    let uuid = uuid::Uuid::try_parse(key).ok()?;
    let mut buffer = uuid::Uuid::encode_buffer();
    if uuid.hyphenated().encode_lower(&mut buffer) == key {
        Some((UUID_LOWER, *uuid.as_bytes()))
    } else if uuid.hyphenated().encode_upper(&mut buffer) == key {
        Some((UUID_UPPER, *uuid.as_bytes()))
    } else {
        None
    }
}

/// Opens tokens of all epochs that the school still has the key of, newest first.
#[derive(Debug)]
pub struct TokenOpener<'p>(pub &'p [Pseudonymiser]);

impl TokenOpener<'_> {
    /// The key a token stands in for.
    ///
    /// # Errors
    ///
    /// [`UnknownToken`], when no epoch made it.
    pub fn open(&self, kind: KeyKind, token: &str) -> Result<PupilKey, UnknownToken> {
        self.0.iter().find_map(|epoch| epoch.open(kind, token).ok()).ok_or(UnknownToken)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn siv() -> Siv {
        Siv::new(&std::array::from_fn(|i| u8::try_from(i).unwrap()))
    }

    fn seal(key: &str) -> String {
        let mut token = String::new();
        siv().seal(KeyKind::Leerling, &PupilKey::parse(key).unwrap(), &mut token);
        token
    }

    #[test]
    fn keys_come_back() {
        let longest = "é".repeat(87);
        for (key, length) in [
            ("1", 64),
            ("#003", 64),
            ("a key of thirty-one bytes: 1234", 64),
            ("a key of thirty-two bytes: 12345", 256),
            ("6f1c2d3e-4a5b-4c6d-8e9f-0a1b2c3d4e5f", 64),
            ("6F1C2D3E-4A5B-4C6D-8E9F-0A1B2C3D4E5F", 64),
            ("6f1c2d3e-4A5B-4c6d-8e9f-0a1b2c3d4e5f", 256),
            (&longest, 256),
        ] {
            let token = seal(key);
            assert_eq!(token.len(), length, "{key}");
            assert_eq!(siv().open(KeyKind::Leerling, &token).unwrap().expose(), key);
            assert!(siv().open(KeyKind::Groep, &token).is_err(), "a pupil's token is no group's");
            assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_')));
        }
    }

    #[test]
    fn what_was_not_given_out_does_not_open() {
        let token = seal("100001");
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert!(siv().open(KeyKind::Leerling, std::str::from_utf8(&forged).unwrap()).is_err());
        }
        for other in ["", "100001", &token[..63], &"A".repeat(64), &"A".repeat(256), &"é".repeat(32)] {
            assert!(siv().open(KeyKind::Leerling, other).is_err());
        }
    }

    #[test]
    fn length_says_nothing_of_ordinary_keys() {
        let lengths: Vec<_> = (1..=31).map(|n| seal(&"7".repeat(n)).len()).collect();
        assert!(lengths.iter().all(|&length| length == 64));
    }
}
