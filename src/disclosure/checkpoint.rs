//! What a log commits itself to, after c2sp.org/tlog-checkpoint: so many entries, and the root over them.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use super::{
    merkle::Hash,
    note::{self, NoteError, Signer, Verifier},
};

/// A log at one size. Printed, it is the text that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log. Its keys have the same name.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// Signs it. The first key is that of the log.
    ///
    /// # Errors
    ///
    /// [`NoteError::Foreign`] when the first key has another name than the log, [`NoteError::MalformedCheckpoint`] when
    /// the origin is not one line, and as [`note::sign`].
    pub fn sign(&self, signers: &[&Signer]) -> Result<String, NoteError> {
        if signers.first().is_some_and(|signer| signer.verifier().name() != self.origin) {
            return Err(NoteError::Foreign);
        }
        let text = self.to_string();
        if text.parse().as_ref() != Ok(self) {
            return Err(NoteError::MalformedCheckpoint);
        }
        note::sign(&text, signers)
    }

    /// Opens a signed one. The log itself must have signed it: it is not enough that one of the keys has, which may be
    /// that of a witness, or of another log.
    ///
    /// # Errors
    ///
    /// As [`note::open`]; [`NoteError::MalformedCheckpoint`]; [`NoteError::Foreign`].
    pub fn open(note: &[u8], verifiers: &[Verifier]) -> Result<Self, NoteError> {
        let opened = note::open(note, verifiers)?;
        let checkpoint: Self = opened.text.parse()?;
        let own = opened.signed_by.iter().any(|verifier| verifier.name() == checkpoint.origin);
        if own { Ok(checkpoint) } else { Err(NoteError::Foreign) }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, encode_hash(&self.root))
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    /// Reads the text, without signatures. Lines after the third are allowed and left out.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        parse(text).ok_or(NoteError::MalformedCheckpoint)
    }
}

fn parse(text: &str) -> Option<Checkpoint> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let origin = lines.next().filter(|line| !line.is_empty() && !line.contains(|c| c < ' '))?;
    let size = parse_number(lines.next()?)?;
    let root = decode_hash(lines.next()?)?;
    lines.all(|line| !line.is_empty()).then(|| Checkpoint { origin: origin.to_owned(), size, root })
}

/// A number as it is written here: without leading zeros, spaces or signs.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// A hash as it is written here.
pub(super) fn encode_hash(hash: &Hash) -> String {
    BASE64.encode(hash)
}

/// A hash, from the one way in which it is written here.
pub(super) fn decode_hash(text: &str) -> Option<Hash> {
    BASE64.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    const TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    const ORIGIN: &str = "example.com/behind-the-sofa";

    fn signer(name: &str, seed: u8) -> Signer {
        Signer::new(name, Zeroizing::new([seed; 32])).unwrap()
    }

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let checkpoint: Checkpoint = TEXT.parse().unwrap();
        assert_eq!((checkpoint.origin.as_str(), checkpoint.size), (ORIGIN, 20_852_163));
        assert_eq!(checkpoint.root[..4], [0x0a, 0xc5, 0x18, 0x6a]);
        assert_eq!(checkpoint.to_string(), TEXT);
        let extended: Checkpoint = format!("{TEXT}an extension\nanother\n").parse().unwrap();
        assert_eq!(extended, checkpoint);
    }

    #[test]
    fn other_spellings_are_no_checkpoints() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        for text in [
            "",
            "\n\n\n",
            "log\n1\n",
            &TEXT[..TEXT.len() - 1],
            &format!("{TEXT}\n"),
            &format!("{TEXT}\nmore\n"),
            &format!("\n1\n{root}\n"),
            &format!("lo\tg\n1\n{root}\n"),
            &format!("log\n01\n{root}\n"),
            &format!("log\n+1\n{root}\n"),
            &format!("log\n-1\n{root}\n"),
            &format!("log\n 1\n{root}\n"),
            &format!("log\n\n{root}\n"),
            &format!("log\n18446744073709551616\n{root}\n"),
            &format!("log\n1\n{}\n", root.trim_end_matches('=')),
            // The last letter has bits that say nothing; they are zero.
            &format!("log\n1\n{}\n", root.replace("2I=", "2J=")),
            &format!("log\n1\nAAAA{root}\n"),
            &format!("log\n1\n{root} \n"),
            "log\n1\nAAAA\n",
        ] {
            assert_eq!(text.parse::<Checkpoint>(), Err(NoteError::MalformedCheckpoint), "{text}");
        }
        assert!(format!("log\n18446744073709551615\n{root}\n").parse::<Checkpoint>().is_ok());
    }

    #[test]
    fn a_checkpoint_is_signed_by_its_log() {
        let (log, witness) = (signer(ORIGIN, 1), signer("witness.example", 2));
        let known = [log.verifier().clone(), witness.verifier().clone()];
        let checkpoint: Checkpoint = TEXT.parse().unwrap();
        let note = checkpoint.sign(&[&log, &witness]).unwrap();
        assert_eq!(Checkpoint::open(note.as_bytes(), &known), Ok(checkpoint.clone()));
        assert_eq!(Checkpoint::open(note.as_bytes(), &known[1..]), Err(NoteError::Foreign));
        assert_eq!(checkpoint.sign(&[&witness]), Err(NoteError::Foreign));
        assert_eq!(checkpoint.sign(&[]), Err(NoteError::Unsigned));
        let note = note::sign("something else\n", &[&log]).unwrap();
        assert_eq!(Checkpoint::open(note.as_bytes(), &known), Err(NoteError::MalformedCheckpoint));
        let extended = note::sign(&format!("{TEXT}extension\n"), &[&log]).unwrap();
        assert_eq!(Checkpoint::open(extended.as_bytes(), &known), Ok(checkpoint));
    }
}
