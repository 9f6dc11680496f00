//! Signed notes after c2sp.org/signed-note, with Ed25519: a text, an empty line, and who signed it.
//!
//! ```text
//! the text
//!
//! — name base64(key id ‖ signature)
//! ```
//!
//! Of the other kinds of signatures, such as those of witnesses with a time in them, none is verified: they are signed
//! by keys that are unknown here, and ignored.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::merkle;

/// The longest note that is looked at: sixteen of the largest signatures there are fit in.
const MAX_NOTE: usize = 256 * 1024;
/// A note with more signatures than this is refused.
const MAX_SIGNATURES: usize = 16;
/// The identifier of Ed25519 in key ids and encoded keys.
const TYPE_ED25519: u8 = 1;

/// Why a note is not signed, or not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// A signature of a known key does not fit the text.
    #[error("a signature of a known key does not verify")]
    BadSignature,
    /// It is not signed by the log that it is about.
    #[error("the checkpoint is not signed in the name of its origin")]
    Foreign,
    /// It has not the form of a note.
    #[error("not a signed note")]
    Malformed,
    /// Its text has not the form of a checkpoint.
    #[error("not a checkpoint")]
    MalformedCheckpoint,
    /// It is longer, or has more signatures, than any note that is looked at.
    #[error("the note is too long or has too many signatures")]
    TooLarge,
    /// No known key has signed it.
    #[error("no known key has signed the note")]
    Unsigned,
}

/// Why there is no such key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The id in an encoded key is not the one of that key.
    #[error("the id is not that of the key")]
    Id,
    /// It has not the form of an encoded key.
    #[error("not a verifier key")]
    Malformed,
    /// Names are not empty and have no spaces, control characters or plus signs.
    #[error("not the name of a key")]
    Name,
    /// It is a key for something else than Ed25519.
    #[error("not a key for Ed25519")]
    Type,
}

/// The private half of a key. Not printable, and in memory that is wiped.
pub struct Signer {
    /// Kept in place of the key pair of *ring*, which wipes nothing; one is made for each signature.
    seed: Zeroizing<[u8; 32]>,
    verifier: Verifier,
}

impl Signer {
    /// The key of this name that has this seed.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`].
    pub fn new(name: &str, seed: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).expect("any 32 bytes are a seed");
        let public = pair.public_key().as_ref().try_into().expect("a public key has 32 bytes");
        Ok(Self { verifier: Verifier::new(name, public)?, seed })
    }

    /// The public half.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The line that signs a text.
    fn line(&self, text: &str) -> String {
        let Verifier { name, id, public } = &self.verifier;
        // Checks that the two halves belong together: with another public half, a signature would tell the key.
        let pair = Ed25519KeyPair::from_seed_and_public_key(self.seed.as_slice(), public)
            .expect("the public half was made of this seed");
        let signature = pair.sign(text.as_bytes());
        format!("— {name} {}\n", BASE64.encode([id, signature.as_ref()].concat()))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("name", &self.verifier.name).finish_non_exhaustive()
    }
}

/// The public half of a key. Written and read as `name+id+key`, the id in hexadecimal and the key in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl Verifier {
    /// The key of this name that has this public half.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`].
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name);
        }
        let hash = merkle::hash(&[name.as_bytes(), b"\n", &[TYPE_ED25519], &public]);
        let id = *hash.first_chunk().expect("a hash has more than four bytes");
        Ok(Self { name: name.to_owned(), id, public })
    }

    /// Whose key it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells it from other keys of the same name. Not a secret, and not hard to forge.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    fn verify(&self, text: &str, signature: &[u8]) -> Result<(), NoteError> {
        UnparsedPublicKey::new(&ED25519, &self.public)
            .verify(text.as_bytes(), signature)
            .map_err(|_| NoteError::BadSignature)
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[TYPE_ED25519], self.public.as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), BASE64.encode(key))
    }
}

impl FromStr for Verifier {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        // The key is in base64 and can have a plus sign of its own; the name cannot.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Malformed);
        };
        let key = BASE64.decode(key).map_err(|_| KeyError::Malformed)?;
        let public = match key.split_first().ok_or(KeyError::Malformed)? {
            (&TYPE_ED25519, public) => public.try_into().map_err(|_| KeyError::Malformed)?,
            _ => return Err(KeyError::Type),
        };
        let verifier = Self::new(name, public)?;
        if id == hex::encode(verifier.id) { Ok(verifier) } else { Err(KeyError::Id) }
    }
}

/// Signs a text, once with each key.
///
/// # Errors
///
/// [`NoteError::Malformed`] when the text has control characters, or does not end in a newline;
/// [`NoteError::TooLarge`] when nobody would read the note; [`NoteError::Unsigned`] without a key.
pub fn sign(text: &str, signers: &[&Signer]) -> Result<String, NoteError> {
    if !is_text(text) || !text.ends_with('\n') {
        return Err(NoteError::Malformed);
    }
    if signers.is_empty() {
        return Err(NoteError::Unsigned);
    }
    let mut note = format!("{text}\n");
    note.extend(signers.iter().map(|signer| signer.line(text)));
    if note.len() > MAX_NOTE || signers.len() > MAX_SIGNATURES { Err(NoteError::TooLarge) } else { Ok(note) }
}

/// A note that is signed by at least one of the keys it was opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened<'n, 'k> {
    /// The text, with its last newline.
    pub text: &'n str,
    /// The keys that have signed it.
    pub signed_by: Vec<&'k Verifier>,
}

/// Opens a note. Signatures of other keys are ignored.
///
/// # Errors
///
/// When it is malformed or too large; when one of the keys is said to have signed it and has not; when none has.
pub fn open<'n, 'k>(note: &'n [u8], verifiers: &'k [Verifier]) -> Result<Opened<'n, 'k>, NoteError> {
    if note.len() > MAX_NOTE {
        return Err(NoteError::TooLarge);
    }
    let note = std::str::from_utf8(note).ok().filter(|note| is_text(note)).ok_or(NoteError::Malformed)?;
    // The text can have empty lines; the last one in the note ends it.
    let end = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
    let (text, lines) = (&note[..=end], &note[end + 2..]);
    let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
    let mut signed_by = Vec::new();
    for (number, line) in lines.split('\n').enumerate() {
        if number == MAX_SIGNATURES {
            return Err(NoteError::TooLarge);
        }
        let (name, id, signature) = parse_line(line).ok_or(NoteError::Malformed)?;
        let Some(verifier) = verifiers.iter().find(|known| known.name == name && known.id == id) else {
            continue;
        };
        verifier.verify(text, &signature)?;
        if !signed_by.contains(&verifier) {
            signed_by.push(verifier);
        }
    }
    if signed_by.is_empty() { Err(NoteError::Unsigned) } else { Ok(Opened { text, signed_by }) }
}

/// Name, key id and signature.
fn parse_line(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, blob) = line.strip_prefix("— ")?.split_once(' ')?;
    let blob = BASE64.decode(blob).ok()?;
    let (id, signature) = blob.split_first_chunk()?;
    (is_name(name) && !signature.is_empty()).then(|| (name, *id, signature.to_vec()))
}

fn is_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c < ' ' || c == '+';
    !name.is_empty() && !name.contains(forbidden)
}

/// Whether a text has no control characters of ASCII but newlines.
fn is_text(text: &str) -> bool {
    text.bytes().all(|byte| byte >= b' ' || byte == b'\n')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Key and note of the tests of Go's `sumdb/note`.
    const SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n\
                        \n\
                        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdng\
                        otpRZb6KE6RyyBwJnAM=\n";

    fn peter() -> Signer {
        let seed = BASE64.decode(SEED).unwrap()[1..].try_into().unwrap();
        Signer::new("PeterNeumann", Zeroizing::new(seed)).unwrap()
    }

    fn signer(name: &str, seed: u8) -> Signer {
        Signer::new(name, Zeroizing::new([seed; 32])).unwrap()
    }

    #[test]
    fn keys_and_notes_are_those_of_sumdb() {
        assert_eq!(peter().verifier().to_string(), KEY);
        assert_eq!(KEY.parse().as_ref(), Ok(peter().verifier()));
        assert_eq!(sign(TEXT, &[&peter()]).unwrap(), NOTE);
        let known = [KEY.parse().unwrap()];
        let opened = open(NOTE.as_bytes(), &known).unwrap();
        assert_eq!(opened, Opened { text: TEXT, signed_by: vec![&known[0]] });
    }

    #[test]
    fn a_signer_prints_its_name_only() {
        assert_eq!(format!("{:?}", peter()), r#"Signer { name: "PeterNeumann", .. }"#);
    }

    #[test]
    fn other_spellings_are_no_keys() {
        let check = |text: &str, error| assert_eq!(text.parse::<Verifier>(), Err(error), "{text}");
        let key = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        check("", KeyError::Malformed);
        check("PeterNeumann+c74f20a3", KeyError::Malformed);
        check("PeterNeumann+c74f20a3+", KeyError::Malformed);
        check(&format!("PeterNeumann+c74f20a3+{}", &key[..40]), KeyError::Malformed);
        check(&format!("{KEY}\n"), KeyError::Malformed);
        check(&format!("+c74f20a3+{key}"), KeyError::Name);
        check(&format!("Peter Neumann+c74f20a3+{key}"), KeyError::Name);
        check(&format!("Peter\u{a0}Neumann+c74f20a3+{key}"), KeyError::Name);
        check(&format!("PeterNeumann\x01+c74f20a3+{key}"), KeyError::Name);
        check(&format!("PeterNeumann+c74f20a4+{key}"), KeyError::Id);
        check(&format!("PeterNeumann+C74F20A3+{key}"), KeyError::Id);
        check(&format!("PeterNeuman+c74f20a3+{key}"), KeyError::Id);
        check(&format!("PeterNeumann+c74f20a3+A{}", &key[1..].replace("Rpc", "hpc")), KeyError::Type);
    }

    #[test]
    fn unknown_signatures_are_ignored_and_false_ones_are_not() {
        let (log, witness, other) = (signer("log", 1), signer("witness", 2), signer("log", 3));
        let note = sign("text\n", &[&other, &log, &witness]).unwrap();
        let known = [witness.verifier().clone(), log.verifier().clone()];
        assert_eq!(open(note.as_bytes(), &known).unwrap().signed_by, [&known[1], &known[0]]);
        assert_eq!(open(note.as_bytes(), &known[1..]).unwrap().signed_by, [&known[1]]);
        assert_eq!(open(note.as_bytes(), &[]), Err(NoteError::Unsigned));
        assert_eq!(open(note.as_bytes(), &[signer("log", 4).verifier().clone()]), Err(NoteError::Unsigned));
        // The right signature of one key does not make up for the false one of another.
        let forged = sign("other\n", &[&witness]).unwrap();
        let forged = format!("{}{}", sign("text\n", &[&log]).unwrap(), forged.lines().last().unwrap());
        assert_eq!(open(format!("{forged}\n").as_bytes(), &known), Err(NoteError::BadSignature));
        assert!(open(format!("{forged}\n").as_bytes(), &known[1..]).is_ok());
        let twice = format!("{NOTE}{}\n", NOTE.lines().last().unwrap());
        assert_eq!(open(twice.as_bytes(), &[KEY.parse().unwrap()]).unwrap().signed_by.len(), 1);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let known = [KEY.parse().unwrap()];
        for place in 0..NOTE.len() {
            for flip in [1, 0x20, 0x80] {
                let mut note = NOTE.as_bytes().to_vec();
                note[place] ^= flip;
                assert!(open(&note, &known).is_err(), "{place} {flip}");
            }
        }
    }

    #[test]
    fn other_forms_are_no_notes() {
        let known = [KEY.parse().unwrap()];
        let check = |note: &str| {
            assert_eq!(open(note.as_bytes(), &known), Err(NoteError::Malformed), "{note}");
        };
        let line = NOTE.lines().last().unwrap();
        check("");
        check(TEXT);
        check(&format!("{TEXT}\n"));
        check(&format!("{TEXT}{line}\n"));
        check(&format!("{TEXT}\n{line}"));
        check(&format!("{TEXT}\n{line}\n\n"));
        check(&format!("{TEXT}\n{line}\nmore\n"));
        check(&format!("{TEXT}\n {line}\n"));
        check(&format!("{TEXT}\n{line} \n"));
        check(&format!("{TEXT}\n{}\n", line.replace('—', "–")));
        check(&format!("{TEXT}\n{}\n", line.replace("PeterNeumann ", "PeterNeumann  ")));
        check(&format!("{TEXT}\n{}\n", line.trim_end_matches('=')));
        check(&format!("{TEXT}\n{line}\n— name AAAAAA==\n"));
        check(&format!("{TEXT}\n{line}\n— na+me AAAAAAA=\n"));
        check(&NOTE.replace('\n', "\r\n"));
        check(&NOTE.replace("think", "th\tnk"));
        assert_eq!(open(b"\xff\n\n", &known), Err(NoteError::Malformed));
    }

    #[test]
    fn a_text_can_have_empty_lines() {
        let peter = peter();
        for text in ["\n", "a\n\n", "\n\n", "a\n\nb\n"] {
            let note = sign(text, &[&peter]).unwrap();
            assert_eq!(open(note.as_bytes(), &[peter.verifier().clone()]).unwrap().text, text);
        }
        for text in ["", "a", "a\n\nb", "a\r\n", "\0\n"] {
            assert_eq!(sign(text, &[&peter]), Err(NoteError::Malformed));
        }
    }

    #[test]
    fn sixteen_signatures_are_enough() {
        let known = [KEY.parse().unwrap()];
        let mut note = NOTE.to_owned();
        for _ in 1..MAX_SIGNATURES {
            note.push_str("— witness.example/1 AAAAAAA=\n");
        }
        assert!(open(note.as_bytes(), &known).is_ok());
        note.push_str("— witness.example/1 AAAAAAA=\n");
        assert_eq!(open(note.as_bytes(), &known), Err(NoteError::TooLarge));
        let long = format!("{}\n", "a".repeat(MAX_NOTE));
        assert_eq!(sign(&long, &[&peter()]), Err(NoteError::TooLarge));
        assert_eq!(open(format!("{long}{NOTE}").as_bytes(), &known), Err(NoteError::TooLarge));
        assert_eq!(sign("a\n", &[&peter(); 17]), Err(NoteError::TooLarge));
        assert_eq!(sign("a\n", &[]), Err(NoteError::Unsigned));
    }
}
