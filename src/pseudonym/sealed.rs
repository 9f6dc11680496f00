//! What names a person outside a feed, kept until it leaves: readable with a log key of the school, and with nothing
//! else.
//!
//! | part | bytes | |
//! |---|---|---|
//! | nonce | 12 | random |
//! | text | | AES-256-GCM; associated data: the id it is kept under |
//! | tag | 16 | |

use std::fmt;

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

use super::derive::subkey;
use crate::keys::RootKey;

const NONCE: usize = 12;

/// Seals what a notice says of a person. Its key is a subkey of a log key: with that destroyed, nobody reads it again.
pub struct NoticeKey {
    key: LessSafeKey,
    epoch: u16,
}

impl NoticeKey {
    /// Prepares the subkey of a school's log key.
    pub fn new(root: &RootKey, epoch: u16, brin: &str) -> Self {
        let era = epoch.to_be_bytes();
        let bytes: Zeroizing<[u8; 32]> = subkey(root, &[b"sluis/v1/notice", brin.as_bytes(), &era]);
        let key = UnboundKey::new(&AES_256_GCM, bytes.as_slice()).expect("AES-256 takes 32 bytes");
        Self { key: LessSafeKey::new(key), epoch }
    }

    /// The epoch of the log key.
    pub fn epoch(&self) -> u16 {
        self.epoch
    }

    /// Seals a text under an id. Nothing when the system gives no random numbers.
    ///
    /// A nonce is never drawn twice in practice: 2^32 notices under one key would be needed to be afraid of it.
    pub fn seal(&self, id: &[u8; 16], text: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = text.to_vec();
        let bound = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(bound, Aad::from(id), &mut sealed).ok()?;
        sealed.splice(0..0, nonce);
        Some(sealed)
    }

    /// Opens what was sealed under this id. Nothing when it is anything else.
    pub fn open(&self, id: &[u8; 16], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(id), &mut text)
            .ok()?
            .len();
        text.truncate(length);
        Some(text)
    }
}

impl fmt::Debug for NoticeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoticeKey(epoch {})", self.epoch)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::keys::{KeyRing, Purpose};

    #[test]
    fn it_opens_under_its_own_key_and_id_alone() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            KeyRing::create(dir.path(), "99DE", Purpose::Log).unwrap();
        }
        let ring = KeyRing::load(dir.path(), &[]).unwrap();
        let keys: Vec<_> = ring
            .all("99DE", Purpose::Log)
            .flat_map(|(epoch, root)| ["99DE", "99DF"].map(|brin| NoticeKey::new(root, epoch, brin)))
            .collect();
        let (id, other) = ([1; 16], [2; 16]);
        let sealed = keys[0].seal(&id, b"{}").unwrap();
        assert_ne!(sealed, keys[0].seal(&id, b"{}").unwrap(), "the same twice does not show");
        assert_eq!(keys[0].open(&id, &sealed).unwrap().as_slice(), b"{}");
        assert!(keys[0].open(&other, &sealed).is_none());
        assert!(keys[1..].iter().all(|key| key.open(&id, &sealed).is_none()));
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(keys[0].open(&id, &altered).is_none(), "byte {at}");
            assert!(keys[0].open(&id, &sealed[..at]).is_none(), "{at} bytes");
        }
    }
}
