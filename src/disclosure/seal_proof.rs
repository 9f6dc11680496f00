//! Evidence, for use without the gateway, of the rows a person has on one day: that they are what was logged, and that
//! there are no more.
//!
//! That they are what was logged: each row comes with the path to the inner root of its leaf. That there are no more:
//! all rows of the day stand sorted by handle under the seal root, and the proof shows the run of them from the last
//! before the person's to the first after. Both roots are in leaves of the log, and that these are in the log is
//! another proof.
//!
//! An erased row in that run has no handle any more, so nobody can say whether it was one of the person's; it is shown
//! as a bare hash, the run goes on to the next row that is there, and [`Completeness`] says so.
//!
//! It takes the seal at its word in two things that show only in the whole file: that all rows of the day were sealed,
//! and that they were sorted. [`RowFile::verify`] checks both.
//!
//! Whoever gets a proof sees the handles of two other persons, which mean nothing without the log key, and hashes of
//! their rows under nonces it does not get.
//!
//! As a file it is JSON, in one spelling: numbers are decimal, bytes are lower-case hexadecimal.
//!
//! | field | |
//! |---|---|
//! | `format` | `sluis-seal-proof/1` |
//! | `first` | index of the first of `leaves` under the seal root |
//! | `leaves` | the run: each `kept` with seal `nonce`, `handle` and `inner` leaf hash, or `erased` with its `leaf` hash; and the audit `path` to the seal root |
//! | `rows` | the person's rows in the same order: `inner_root`, `index` and `count` of the chunk, inner `nonce`, the `row`, and the audit `path` to the inner root |

use std::io::{Read, Seek};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    merkle::{self, Hash},
    record::Row,
    rowfile::{Entry, Handle, RowFile, RowFileError, inner_leaf, seal_leaf},
};

/// Evidence of the rows of one person on one day of one school.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealProof {
    format: Format,
    first: u32,
    leaves: Vec<SealLeaf>,
    rows: Vec<InnerRow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "sluis-seal-proof/1")]
    V1,
}

/// One in the run under the seal root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum SealLeaf {
    Erased { leaf: Hex<32>, path: Vec<Hex<32>> },
    Kept { nonce: Hex<16>, handle: Hex<16>, inner: Hex<32>, path: Vec<Hex<32>> },
}

/// A row under the inner root of its leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InnerRow {
    inner_root: Hex<32>,
    index: u32,
    count: u32,
    nonce: Hex<16>,
    row: Hex<{ Row::SIZE }>,
    path: Vec<Hex<32>>,
}

/// What a proof has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The person's rows, as they stand in the log.
    pub rows: Vec<ProvenRow>,
    /// Whether there can be others.
    pub completeness: Completeness,
}

/// Whether the rows shown are all there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// They are.
    All,
    /// So many rows where others of the person would stand were erased; whether they were the person's cannot be known.
    AllButErased(u32),
}

/// A row that a leaf answers for. The caller checks that a leaf of the log has this inner root *and* this number of
/// rows: a path alone does not fix how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRow {
    /// Root in the leaf.
    pub inner_root: Hash,
    /// Rows of the leaf.
    pub count: u32,
    /// Which of them this is, from 0.
    pub index: u32,
    /// The row.
    pub row: Row,
}

/// Why a proof shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The text is not a proof, or not in the one spelling.
    #[error("not a proof of this form")]
    Form,
    /// One of the run is not under the seal root.
    #[error("number {0} of the day is not what was sealed")]
    Leaf(u32),
    /// The run does not reach from before the person to after.
    #[error("the run of the day is not the one around this handle")]
    Run,
    /// A row is not the one that was sealed, or not under its inner root.
    #[error("row {0} of the proof is not what was logged")]
    Row(usize),
}

impl SealProof {
    /// Gathers the evidence for one person. Reads the whole file and checks that it leads to its seal root.
    ///
    /// The rows are those of [`RowFile::find`], in the same order, which says which leaves they are from.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is not what was written.
    pub fn of<R: Read + Seek>(file: &mut RowFile<R>, handle: &Handle) -> Result<Self, RowFileError> {
        let mut by_number = Vec::new();
        for block in file.blocks() {
            let block = block?;
            by_number.extend(
                block.entries().iter().map(|entry| (entry.row().map(|row| row.handle), entry.seal_leaf())),
            );
        }
        let order = file.order().to_vec();
        let handles: Vec<_> = order.iter().map(|&number| by_number[number as usize].0).collect();
        let seals = order.iter().map(|&number| by_number[number as usize].1).collect();
        let tree = merkle::Levels::new(seals);
        if tree.root() != file.root() {
            return Err(RowFileError::SealRoot);
        }

        let known = |test: fn(&Handle, &Handle) -> bool| {
            move |found: &Option<Handle>| found.is_some_and(|found| test(&found, handle))
        };
        let first = handles.iter().rposition(known(|found, handle| found < handle)).unwrap_or(0);
        let after = handles.iter().position(known(|found, handle| found > handle));
        let end = after.map_or(order.len(), |after| after + 1);
        let mut proof = Self {
            format: Format::V1,
            first: u32::try_from(first).expect("rows are counted in 32 bits"),
            leaves: Vec::new(),
            rows: Vec::new(),
        };
        for (at, &number) in order.iter().enumerate().take(end).skip(first) {
            let (block, index) = file.locate(number);
            let block = file.block(block)?;
            let entries = block.entries();
            let entry = entries.get(index).ok_or(RowFileError::Block(block.position))?;
            let path = hexes(tree.path(at));
            proof.leaves.push(match entry {
                Entry::Erased { seal, .. } => SealLeaf::Erased { leaf: Hex(*seal), path },
                Entry::Kept { seal_nonce, row, .. } => SealLeaf::Kept {
                    nonce: Hex(*seal_nonce),
                    handle: Hex(row.handle),
                    inner: Hex(entry.inner_leaf()),
                    path,
                },
            });
            if let Entry::Kept { inner_nonce, row, .. } = entry
                && row.handle == *handle
            {
                let inner = merkle::Levels::new(entries.iter().map(Entry::inner_leaf).collect());
                proof.rows.push(InnerRow {
                    inner_root: Hex(inner.root()),
                    index: u32::try_from(index).expect("at most 256"),
                    count: u32::try_from(entries.len()).expect("at most 256"),
                    nonce: Hex(*inner_nonce),
                    row: Hex(row.to_bytes()),
                    path: hexes(inner.path(index)),
                });
            }
        }
        Ok(proof)
    }

    /// Checks the proof for a person, against the root and the number of rows that the day's seal in the log gives.
    ///
    /// # Errors
    ///
    /// When it does not show which rows the person has.
    pub fn verify(&self, handle: &Handle, seal_root: &Hash, row_count: u32) -> Result<Proven, ProofError> {
        let end = u32::try_from(self.leaves.len()).ok().and_then(|run| self.first.checked_add(run));
        let end = end.filter(|&end| end <= row_count).ok_or(ProofError::Run)?;
        if row_count == 0 && *seal_root != merkle::root_of(&[]) {
            return Err(ProofError::Run);
        }
        for (at, leaf) in (self.first..).zip(&self.leaves) {
            let under = leaf.is_under(at, row_count, seal_root);
            under.then_some(()).ok_or(ProofError::Leaf(at))?;
        }

        // The run: at most one handle before, the person's own, at most one after. Without the one before it has to
        // begin where the day begins, and without the one after to end where the day ends.
        let handles = || self.leaves.iter().map(SealLeaf::handle);
        let starts = matches!(handles().next(), Some(Some(first)) if first < handle);
        let ends = matches!(handles().next_back(), Some(Some(last)) if last > handle);
        let inside = &self.leaves[usize::from(starts)..self.leaves.len() - usize::from(ends)];
        let own = inside.iter().filter_map(SealLeaf::handle).all(|found| found == handle);
        if !own || !(starts || self.first == 0) || !(ends || end == row_count) {
            return Err(ProofError::Run);
        }

        let erased = inside.iter().filter(|leaf| leaf.handle().is_none()).count();
        let inner: Vec<_> = inside.iter().filter_map(SealLeaf::inner).collect();
        if inner.len() != self.rows.len() {
            return Err(ProofError::Run);
        }
        let rows = inner.into_iter().zip(&self.rows).enumerate();
        let rows = rows.map(|(at, (leaf, row))| row.check(handle, leaf).ok_or(ProofError::Row(at)));
        Ok(Proven {
            rows: rows.collect::<Result<_, _>>()?,
            completeness: match u32::try_from(erased).expect("no more than rows") {
                0 => Completeness::All,
                erased => Completeness::AllButErased(erased),
            },
        })
    }

    /// Its text.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("numbers, hexadecimal and lists");
        text.push('\n');
        text
    }

    /// Reads its text, byte for byte as [`SealProof::to_json`] gives it.
    ///
    /// # Errors
    ///
    /// When it is anything else.
    pub fn from_json(text: &str) -> Result<Self, ProofError> {
        // The error would quote the text.
        let proof: Self = serde_json::from_str(text).map_err(|_| ProofError::Form)?;
        if proof.to_json() == text { Ok(proof) } else { Err(ProofError::Form) }
    }
}

impl SealLeaf {
    fn handle(&self) -> Option<&Handle> {
        match self {
            Self::Erased { .. } => None,
            Self::Kept { handle, .. } => Some(&handle.0),
        }
    }

    fn inner(&self) -> Option<&Hash> {
        match self {
            Self::Erased { .. } => None,
            Self::Kept { inner, .. } => Some(&inner.0),
        }
    }

    fn is_under(&self, index: u32, count: u32, root: &Hash) -> bool {
        let (leaf, path) = match self {
            Self::Erased { leaf, path } => (leaf.0, path),
            Self::Kept { nonce, handle, inner, path } => (seal_leaf(&nonce.0, &handle.0, &inner.0), path),
        };
        merkle::verify_inclusion(&leaf, index.into(), count.into(), &hashes(path), root).is_ok()
    }
}

impl InnerRow {
    /// The row, if it is the person's, hashes to this leaf, and is under its root.
    fn check(&self, handle: &Handle, leaf: &Hash) -> Option<ProvenRow> {
        let Self { inner_root, index, count, nonce, row, path } = self;
        let (at, size) = (u64::from(*index), u64::from(*count));
        let under = merkle::verify_inclusion(leaf, at, size, &hashes(path), &inner_root.0).is_ok();
        let row = Row::from_bytes(&row.0)
            .filter(|found| under && found.handle == *handle && inner_leaf(&nonce.0, &row.0) == *leaf)?;
        Some(ProvenRow { inner_root: inner_root.0, count: *count, index: *index, row })
    }
}

fn hexes(hashes: Vec<Hash>) -> Vec<Hex<32>> {
    hashes.into_iter().map(Hex).collect()
}

fn hashes(hexes: &[Hex<32>]) -> Vec<Hash> {
    hexes.iter().map(|hash| hash.0).collect()
}

/// Bytes that are written in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let mut bytes = [0; N];
        hex::decode_to_slice(text.as_bytes(), &mut bytes)
            .map_err(|_| D::Error::custom("not bytes in hexadecimal"))?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        super::rowfile::samples::{chunk, log, open, sealed},
        *,
    };

    /// Handles 2 (twice), 4 (three times), 6, 8.
    fn day() -> Vec<u8> {
        sealed(&[chunk(3, &[8, 4, 2]), chunk(5, &[4]), chunk(7, &[6, 4, 2])]).0
    }

    fn erased(bytes: &[u8], handle: u8) -> Vec<u8> {
        let mut out = Vec::new();
        open(bytes).erase(&[handle; 16], &mut out).unwrap();
        out
    }

    fn proof(bytes: &[u8], handle: u8) -> SealProof {
        SealProof::of(&mut open(bytes), &[handle; 16]).unwrap()
    }

    /// Number of rows and completeness that a proof shows.
    fn shown(bytes: &[u8], handle: u8) -> (usize, Completeness) {
        let file = open(bytes);
        let proven = proof(bytes, handle).verify(&[handle; 16], &file.root(), file.len()).unwrap();
        (proven.rows.len(), proven.completeness)
    }

    #[test]
    fn rows_and_their_absence_are_shown() {
        for (handle, rows) in [(1, 0), (2, 2), (3, 0), (4, 3), (5, 0), (6, 1), (7, 0), (8, 1), (9, 0)] {
            assert_eq!(shown(&day(), handle), (rows, Completeness::All), "{handle}");
        }
        assert_eq!(shown(&sealed(&[]).0, 1), (0, Completeness::All));
        assert_eq!(shown(&sealed(&[chunk(1, &[4])]).0, 4), (1, Completeness::All));
        assert_eq!(shown(&sealed(&[chunk(1, &[4])]).0, 1), (0, Completeness::All));
        assert_eq!(shown(&sealed(&[chunk(1, &[4])]).0, 9), (0, Completeness::All));
    }

    #[test]
    fn what_is_shown_is_what_was_logged() {
        let bytes = day();
        let log = log(&[chunk(3, &[8, 4, 2]), chunk(5, &[4]), chunk(7, &[6, 4, 2])]);
        let mut file = open(&bytes);
        let proven = proof(&bytes, 4).verify(&[4; 16], &file.root(), file.len()).unwrap();
        let found = file.find(&[4; 16]).unwrap();
        assert_eq!(found.len(), 3);
        for (proven, found) in proven.rows.iter().zip(found) {
            let leaf = log[&found.position];
            assert_eq!((proven.inner_root, proven.count), (leaf.inner_root, leaf.rows));
            assert_eq!((proven.index, &proven.row), (found.index, &found.row));
        }
    }

    #[test]
    fn where_rows_were_erased_is_said() {
        use Completeness::{All, AllButErased};
        let bytes = erased(&day(), 4);
        // 2 2 x x x 6 8
        for (handle, shows) in [
            (1, (0, All)),
            (2, (2, AllButErased(3))),
            (3, (0, AllButErased(3))),
            (4, (0, AllButErased(3))),
            (6, (1, AllButErased(3))),
            (7, (0, All)),
            (8, (1, All)),
        ] {
            assert_eq!(shown(&bytes, handle), shows, "{handle}");
        }
        // x x x x x 6 x
        let bytes = erased(&erased(&bytes, 2), 8);
        assert_eq!(shown(&bytes, 1), (0, AllButErased(5)));
        assert_eq!(shown(&bytes, 6), (1, AllButErased(6)));
        assert_eq!(shown(&bytes, 9), (0, AllButErased(1)));
    }

    #[test]
    fn a_proof_for_one_is_none_for_another() {
        let bytes = day();
        let file = open(&bytes);
        for handle in 1..=9 {
            for other in (1..=9).filter(|&other| other != handle) {
                let verified = proof(&bytes, handle).verify(&[other; 16], &file.root(), file.len());
                // Between the same two neighbours, the absence of one is that of another; here no two are.
                assert!(verified.is_err(), "{handle} for {other}");
            }
        }
    }

    #[test]
    fn nothing_can_be_left_out() {
        let bytes = day();
        let file = open(&bytes);
        let verify = |proof: &SealProof| proof.verify(&[4; 16], &file.root(), file.len()).unwrap_err();
        let whole = proof(&bytes, 4);
        let altered = |change: fn(&mut SealProof)| {
            let mut proof = whole.clone();
            change(&mut proof);
            verify(&proof)
        };
        assert_eq!(altered(|proof| drop(proof.rows.pop())), ProofError::Run);
        assert_eq!(altered(|proof| proof.rows.swap(0, 1)), ProofError::Row(0));
        assert_eq!(altered(|proof| drop(proof.leaves.remove(2))), ProofError::Leaf(3));
        assert_eq!(altered(|proof| drop(proof.leaves.pop())), ProofError::Run);
        assert_eq!(
            altered(|proof| {
                proof.leaves.remove(0);
                proof.first += 1;
            }),
            ProofError::Run
        );
        assert_eq!(altered(|proof| proof.first = u32::MAX), ProofError::Run);
        // One of the person's own, shown as erased.
        assert_eq!(
            altered(|proof| {
                let SealLeaf::Kept { nonce, handle, inner, path } = proof.leaves[2].clone() else {
                    unreachable!()
                };
                let leaf = Hex(seal_leaf(&nonce.0, &handle.0, &inner.0));
                proof.leaves[2] = SealLeaf::Erased { leaf, path };
            }),
            ProofError::Run
        );
        let empty = SealProof { format: Format::V1, first: 0, leaves: Vec::new(), rows: Vec::new() };
        assert_eq!(verify(&empty), ProofError::Run);
        assert_eq!(empty.verify(&[4; 16], &file.root(), 0), Err(ProofError::Run));
    }

    #[test]
    fn every_byte_of_the_text_counts() {
        let bytes = sealed(&[chunk(3, &[8, 4]), chunk(5, &[2])]).0;
        let file = open(&bytes);
        let text = proof(&bytes, 4).to_json();
        for at in 0..text.len() {
            // Another digit where there is one: what still is of the form is the hard case.
            let other = match text.as_bytes()[at] {
                b'0' => "1",
                byte if byte.is_ascii_hexdigit() => "0",
                _ => "?",
            };
            let mut altered = text.clone();
            altered.replace_range(at..=at, other);
            let Ok(proof) = SealProof::from_json(&altered) else { continue };
            assert!(proof.verify(&[4; 16], &file.root(), file.len()).is_err(), "byte {at}: {altered}");
        }
    }

    #[test]
    fn the_text_has_one_spelling() {
        let proof = proof(&day(), 4);
        let text = proof.to_json();
        assert_eq!(SealProof::from_json(&text), Ok(proof));
        assert!(text.starts_with("{\n  \"format\": \"sluis-seal-proof/1\",\n  \"first\": 1,"));
        for other in [
            text.replace("proof/1", "proof/2"),
            text.replace("\"first\": 1", "\"first\": 01"),
            text.replace("\"first\": 1", "\"first\": -1"),
            text.replace("\"first\": 1", "\"more\": 1, \"first\": 1"),
            text.replace("  \"first\"", " \"first\""),
            text.replace("04040404", "040404"),
            text.to_uppercase(),
            format!("{text}\n"),
            text.trim_end().to_owned(),
            String::new(),
        ] {
            assert_eq!(SealProof::from_json(&other), Err(ProofError::Form));
        }
    }
}
