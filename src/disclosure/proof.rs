//! The proof that an entry is in a log, as one file that is checked without the log: c2sp.org/tlog-proof, version 1.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64>             where there is something extra
//! index <index>
//! <hash in base64>           each hash of the path, from the entry up
//!
//! <signed checkpoint>
//! ```

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use super::{
    checkpoint::{Checkpoint, decode_hash, encode_hash, parse_number},
    merkle::{self, Hash, ProofError},
    note::{NoteError, Verifier},
};

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The longest file that is looked at: the longest note, and as much again.
const MAX_PROOF: usize = 512 * 1024;
/// The longest path there is.
const MAX_PATH: usize = 64;

/// Why a file proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogProofError {
    /// Its checkpoint is not believed.
    #[error("the checkpoint of the proof is not accepted: {0}")]
    Checkpoint(#[source] NoteError),
    /// It has not the form of a proof.
    #[error("not a proof of a transparency log")]
    Malformed,
    /// The entry is not the one in the log.
    #[error("the entry is not in the log at this place: {0}")]
    Path(#[source] ProofError),
    /// It is longer than any proof that is looked at.
    #[error("the proof is too long")]
    TooLarge,
}

/// A proof, as the file says. Nothing in it is believed before it was [verified](Self::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// The place of the entry in the log.
    pub index: u64,
    /// Whatever else a reader needs; empty when that is nothing. No signature covers it.
    pub extra: Vec<u8>,
    /// The inclusion proof.
    pub path: Vec<Hash>,
    /// The signed checkpoint, word for word.
    pub checkpoint: String,
}

impl TlogProof {
    /// Checks that the entry is in the log, and says in which and at what size.
    ///
    /// # Errors
    ///
    /// [`TlogProofError::Checkpoint`] and [`TlogProofError::Path`].
    pub fn verify(&self, entry: &[u8], verifiers: &[Verifier]) -> Result<Checkpoint, TlogProofError> {
        let checkpoint =
            Checkpoint::open(self.checkpoint.as_bytes(), verifiers).map_err(TlogProofError::Checkpoint)?;
        let Checkpoint { size, root, .. } = &checkpoint;
        merkle::verify_inclusion(&merkle::leaf_hash(entry), self.index, *size, &self.path, root)
            .map_err(TlogProofError::Path)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", BASE64.encode(&self.extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", encode_hash(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = TlogProofError;

    fn from_str(text: &str) -> Result<Self, TlogProofError> {
        if text.len() > MAX_PROOF {
            return Err(TlogProofError::TooLarge);
        }
        parse(text).ok_or(TlogProofError::Malformed)
    }
}

fn parse(text: &str) -> Option<TlogProof> {
    let (head, checkpoint) = text.split_once("\n\n")?;
    let mut lines = head.split('\n');
    if lines.next() != Some(HEADER) || checkpoint.is_empty() {
        return None;
    }
    let mut line = lines.next()?;
    let mut extra = Vec::new();
    if let Some(text) = line.strip_prefix("extra ") {
        extra = BASE64.decode(text).ok().filter(|extra| !extra.is_empty())?;
        line = lines.next()?;
    }
    let index = parse_number(line.strip_prefix("index ")?)?;
    let path: Vec<Hash> = lines.by_ref().take(MAX_PATH).map(decode_hash).collect::<Option<_>>()?;
    lines.next().is_none().then(|| TlogProof { index, extra, path, checkpoint: checkpoint.to_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::disclosure::{
        merkle::{leaf_hash, path, root_of},
        note::Signer,
    };

    fn signer() -> Signer {
        Signer::new("example.com/log", Zeroizing::new([7; 32])).unwrap()
    }

    /// The proof of entry 4 of 7, which are their own numbers.
    fn proof() -> TlogProof {
        let leaves: Vec<_> = (0..7u8).map(|number| leaf_hash(&[number])).collect();
        let checkpoint = Checkpoint { origin: "example.com/log".into(), size: 7, root: root_of(&leaves) };
        TlogProof {
            index: 4,
            extra: b"nonce".to_vec(),
            path: path(&leaves, 4).unwrap(),
            checkpoint: checkpoint.sign(&[&signer()]).unwrap(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let proof = proof();
        let text = proof.to_string();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra bm9uY2U=\nindex 4\n"));
        assert!(text.contains("=\n\nexample.com/log\n7\n"));
        assert_eq!(text.parse(), Ok(proof.clone()));
        let bare = TlogProof { extra: Vec::new(), path: Vec::new(), ..proof };
        assert!(bare.to_string().starts_with("c2sp.org/tlog-proof@v1\nindex 4\n\nexample.com/log\n"));
        assert_eq!(bare.to_string().parse(), Ok(bare));
    }

    #[test]
    fn the_entry_at_its_place_is_proven_and_nothing_else() {
        let proof = proof();
        let known = [signer().verifier().clone()];
        assert_eq!(proof.verify(&[4], &known).unwrap().size, 7);
        let refused = |proof: &TlogProof, entry: u8, error| {
            assert_eq!(proof.verify(&[entry], &known), Err(error));
        };
        refused(&proof, 5, TlogProofError::Path(ProofError::Root));
        refused(&TlogProof { index: 5, ..proof.clone() }, 4, TlogProofError::Path(ProofError::Root));
        refused(&TlogProof { index: 7, ..proof.clone() }, 4, TlogProofError::Path(ProofError::Range));
        refused(
            &TlogProof { path: Vec::new(), ..proof.clone() },
            4,
            TlogProofError::Path(ProofError::Length),
        );
        let unsigned = TlogProofError::Checkpoint(NoteError::Unsigned);
        assert_eq!(proof.verify(&[4], &[]), Err(unsigned));
        let larger = proof.checkpoint.replace("\n7\n", "\n8\n");
        let forged = TlogProofError::Checkpoint(NoteError::BadSignature);
        refused(&TlogProof { checkpoint: larger, ..proof }, 4, forged);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let known = [signer().verifier().clone()];
        let proof = TlogProof { extra: Vec::new(), ..proof() };
        let text = proof.to_string();
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            let proven = String::from_utf8(bytes).is_ok_and(|text| {
                text.parse().is_ok_and(|proof: TlogProof| proof.verify(&[4], &known).is_ok())
            });
            assert!(!proven, "{place}");
        }
    }

    #[test]
    fn other_forms_are_no_proofs() {
        let hash = encode_hash(&[1; 32]);
        for text in [
            "",
            "c2sp.org/tlog-proof@v1",
            "c2sp.org/tlog-proof@v1\n\nlog\n",
            "c2sp.org/tlog-proof@v2\nindex 1\n\nlog\n",
            "c2sp.org/tlog-proof@v1\nindex 1\n\n",
            "c2sp.org/tlog-proof@v1\nindex 1\nlog\n",
            "c2sp.org/tlog-proof@v1\nindex 01\n\nlog\n",
            "c2sp.org/tlog-proof@v1\nindex +1\n\nlog\n",
            "c2sp.org/tlog-proof@v1\nindex 1 \n\nlog\n",
            "c2sp.org/tlog-proof@v1\nindex  1\n\nlog\n",
            "c2sp.org/tlog-proof@v1\nextra \nindex 1\n\nlog\n",
            "c2sp.org/tlog-proof@v1\nextra AA\nindex 1\n\nlog\n",
            "c2sp.org/tlog-proof@v1\nindex 1\nextra AAAA\n\nlog\n",
            "c2sp.org/tlog-proof@v1\nextra AAAA\n\nlog\n",
            "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nlog\n",
            "c2sp.org/tlog-proof@v1\r\nindex 1\r\n\r\nlog\r\n",
            &format!("c2sp.org/tlog-proof@v1\nindex 1\n{}\n\nlog\n", vec![hash.as_str(); 65].join("\n")),
        ] {
            assert_eq!(text.parse::<TlogProof>(), Err(TlogProofError::Malformed), "{text}");
        }
        let longest =
            format!("c2sp.org/tlog-proof@v1\nindex 1\n{}\n\nlog\n", vec![hash.as_str(); 64].join("\n"));
        assert!(longest.parse::<TlogProof>().is_ok());
        let long = format!("c2sp.org/tlog-proof@v1\nindex 1\n\n{}\n", "a".repeat(MAX_PROOF));
        assert_eq!(long.parse::<TlogProof>(), Err(TlogProofError::TooLarge));
    }
}
