//! Proofs of inclusion and consistency.
//!
//! Both go up from one node, level by level. Its sibling there is a full subtree, or what there is of one at the right
//! edge, or absent, in which case the node moves up as it is. Who makes a proof and who checks it take the same steps.

use std::io;

use super::{Hash, Hashes, Leaves, fold, node_hash, outside, peaks};

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// It has another number of hashes than trees of these sizes ask for.
    #[error("the proof has too few hashes or too many")]
    Length,
    /// The entry, or the earlier tree, lies outside the tree.
    #[error("the proof is about something outside the tree")]
    Range,
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// The levels from `first` to below the root of a tree, each with the place in it of the sibling that an entry's node
/// has there. No sibling, no level.
fn siblings(first: u32, index: u64, size: u64) -> impl Iterator<Item = (u32, u64)> {
    let last = size - 1;
    let root = u64::BITS - last.leading_zeros();
    (first..root)
        .map(move |level| (level, (index >> level) ^ 1))
        .filter(move |&(level, sibling)| sibling <= last >> level)
}

fn sibling_hashes(hashes: &dyn Hashes, first: u32, index: u64, size: u64) -> io::Result<Vec<Hash>> {
    siblings(first, index, size)
        .map(|(level, sibling)| {
            let start = sibling << level;
            let end = start.saturating_add(1 << level).min(size);
            Ok(fold(&peaks(hashes, start, end)?))
        })
        .collect()
}

/// Proves that the tree of this size has the entry at `index`: the path of RFC 6962, section 2.1.1.
///
/// # Errors
///
/// When a hash cannot be read; [`io::ErrorKind::InvalidInput`] when the tree has no such entry.
pub fn inclusion_proof(hashes: &dyn Hashes, index: u64, size: u64) -> io::Result<Vec<Hash>> {
    if index >= size {
        return Err(outside());
    }
    sibling_hashes(hashes, 0, index, size)
}

/// Checks that a tree has an entry with the hash `leaf` at `index`.
///
/// # Errors
///
/// When the proof does not show it.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    let mut proof = proof.iter();
    let mut node = *leaf;
    for (level, sibling) in siblings(0, index, size) {
        let hash = proof.next().ok_or(ProofError::Length)?;
        node = if sibling < index >> level { node_hash(hash, &node) } else { node_hash(&node, hash) };
    }
    match proof.next() {
        Some(_) => Err(ProofError::Length),
        None if node == *root => Ok(()),
        None => Err(ProofError::Root),
    }
}

/// Proves that the tree of `size` begins with all of the tree of size `old`: the proof of RFC 6962, section 2.1.2.
/// It is empty when the trees are the same, and when the earlier one is empty.
///
/// # Errors
///
/// When a hash cannot be read; [`io::ErrorKind::InvalidInput`] when the earlier tree is the larger one.
pub fn consistency_proof(hashes: &dyn Hashes, old: u64, size: u64) -> io::Result<Vec<Hash>> {
    if old > size {
        return Err(outside());
    }
    if old == 0 || old == size {
        return Ok(Vec::new());
    }
    // Both trees have the last full subtree of the earlier one; the proof goes up from there.
    let level = old.trailing_zeros();
    let mut proof = Vec::new();
    if !old.is_power_of_two() {
        proof.push(hashes.hash(level as u8, (old - 1) >> level)?);
    }
    proof.extend(sibling_hashes(hashes, level, old - 1, size)?);
    Ok(proof)
}

/// Checks that the tree of `size` begins with all of the tree of size `old`.
///
/// # Errors
///
/// When the proof does not show it.
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    size: u64,
    root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > size {
        return Err(ProofError::Range);
    }
    if old == 0 || old == size {
        let known = if old == 0 { fold(&[]) } else { *root };
        return match proof {
            [] if *old_root == known => Ok(()),
            [] => Err(ProofError::Root),
            [_, ..] => Err(ProofError::Length),
        };
    }
    let mut proof = proof.iter();
    let level = old.trailing_zeros();
    // A tree that is one full subtree is known by its root.
    let start = if old.is_power_of_two() { old_root } else { proof.next().ok_or(ProofError::Length)? };
    let (mut before, mut after) = (*start, *start);
    for (level, sibling) in siblings(level, old - 1, size) {
        let hash = proof.next().ok_or(ProofError::Length)?;
        if sibling < (old - 1) >> level {
            before = node_hash(hash, &before);
            after = node_hash(hash, &after);
        } else {
            // What is to the right came later.
            after = node_hash(&after, hash);
        }
    }
    match proof.next() {
        Some(_) => Err(ProofError::Length),
        None if before == *old_root && after == *root => Ok(()),
        None => Err(ProofError::Root),
    }
}

/// The inclusion proof of one of the entries; none when there is no such entry. Takes as long as [`root_of`](super::root_of).
pub fn path(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    inclusion_proof(&Leaves(leaves), index as u64, leaves.len() as u64).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{cell::RefCell, collections::HashMap};

    use super::{
        super::{Tree, leaf_hash, root_at, root_of, tests::ENTRIES},
        *,
    };

    /// Paths and proofs of the reference tests of Certificate Transparency.
    #[test]
    fn proofs_are_those_of_rfc_6962() {
        let leaves = ENTRIES.map(leaf_hash);
        let check = |proof: Vec<Hash>, expected: &[&str]| {
            assert_eq!(proof.iter().map(hex::encode).collect::<Vec<_>>(), expected);
        };
        let (ab, cd, ef) = (
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        );
        let (a, b, e, gh, abcd, efgh) = (
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        );
        check(path(&leaves[..1], 0).unwrap(), &[]);
        check(path(&leaves, 0).unwrap(), &[b, cd, efgh]);
        check(path(&leaves, 5).unwrap(), &[e, gh, abcd]);
        check(path(&leaves[..3], 2).unwrap(), &[ab]);
        check(path(&leaves[..5], 1).unwrap(), &[a, cd, e]);
        let consistency = |old, size| consistency_proof(&Leaves(&leaves), old, size).unwrap();
        check(consistency(1, 1), &[]);
        check(consistency(1, 8), &[b, cd, efgh]);
        check(consistency(6, 8), &[ef, gh, abcd]);
        check(consistency(2, 5), &[cd, e]);
    }

    /// The definitions of RFC 6962, word for word, remembering what was computed.
    struct Naive {
        leaves: Vec<Hash>,
        known: RefCell<HashMap<(usize, usize), Hash>>,
    }

    impl Naive {
        fn new(size: u32) -> Self {
            let leaves = (0..size).map(|number| leaf_hash(&number.to_be_bytes())).collect();
            Self { leaves, known: RefCell::default() }
        }

        /// MTH(D[start:end]).
        fn root(&self, start: usize, end: usize) -> Hash {
            if start == end {
                return fold(&[]);
            }
            if start + 1 == end {
                return self.leaves[start];
            }
            if let Some(known) = self.known.borrow().get(&(start, end)) {
                return *known;
            }
            let middle = start + split(end - start);
            let hash = node_hash(&self.root(start, middle), &self.root(middle, end));
            self.known.borrow_mut().insert((start, end), hash);
            hash
        }

        /// PATH(index, D[start:end]).
        fn path(&self, index: usize, start: usize, end: usize) -> Vec<Hash> {
            if start + 1 == end {
                return Vec::new();
            }
            let middle = start + split(end - start);
            let (mut path, other) = if index < middle {
                (self.path(index, start, middle), self.root(middle, end))
            } else {
                (self.path(index, middle, end), self.root(start, middle))
            };
            path.push(other);
            path
        }

        /// SUBPROOF(old, D[start:end], whole), with `old` counted from the first entry.
        fn subproof(&self, old: usize, start: usize, end: usize, whole: bool) -> Vec<Hash> {
            if old == end {
                return if whole { Vec::new() } else { vec![self.root(start, end)] };
            }
            let middle = start + split(end - start);
            let (mut proof, other) = if old <= middle {
                (self.subproof(old, start, middle, whole), self.root(middle, end))
            } else {
                (self.subproof(old, middle, end, false), self.root(start, middle))
            };
            proof.push(other);
            proof
        }
    }

    impl Hashes for Naive {
        fn hash(&self, level: u8, index: u64) -> io::Result<Hash> {
            let start = (index as usize) << level;
            Ok(self.root(start, start + (1 << level)))
        }
    }

    /// The largest power of two below `n`.
    fn split(n: usize) -> usize {
        1 << (n - 1).ilog2()
    }

    fn altered(hash: &Hash) -> Hash {
        let mut hash = *hash;
        hash[31] ^= 1;
        hash
    }

    /// Proofs with a hash too few, one too many, and one altered.
    fn broken(proof: &[Hash]) -> Vec<(Vec<Hash>, ProofError)> {
        let mut broken = vec![([proof, &[[0; 32]]].concat(), ProofError::Length)];
        for index in 0..proof.len() {
            let mut changed = proof.to_vec();
            changed[index] = altered(&changed[index]);
            broken.push((changed, ProofError::Root));
        }
        if let [short @ .., _] = proof {
            broken.push((short.to_vec(), ProofError::Length));
        }
        broken
    }

    #[test]
    fn every_entry_of_every_tree_up_to_600_is_proven() {
        let naive = Naive::new(600);
        let mut tree = Tree::default();
        for size in 0..=600 {
            let root = naive.root(0, size);
            assert_eq!(tree.root(), root);
            assert_eq!(root_of(&naive.leaves[..size]), root);
            assert_eq!(root_at(&naive, size as u64).unwrap(), root);
            for index in 0..size {
                let (leaf, at, of) = (naive.leaves[index], index as u64, size as u64);
                let proof = inclusion_proof(&naive, at, of).unwrap();
                assert_eq!(verify_inclusion(&leaf, at, of, &proof, &root), Ok(()));
                if size > 40 {
                    continue;
                }
                assert_eq!(proof, naive.path(index, 0, size));
                assert_eq!(path(&naive.leaves[..size], index).as_ref(), Some(&proof));
                let refused = Err(ProofError::Root);
                assert_eq!(verify_inclusion(&altered(&leaf), at, of, &proof, &root), refused);
                assert_eq!(verify_inclusion(&leaf, at, of, &proof, &altered(&root)), refused);
                for other in (0..of).filter(|&other| other != at) {
                    assert!(verify_inclusion(&leaf, other, of, &proof, &root).is_err());
                }
                for (proof, error) in broken(&proof) {
                    assert_eq!(verify_inclusion(&leaf, at, of, &proof, &root), Err(error));
                }
            }
            if size < 600 {
                tree.push(naive.leaves[size]);
            }
        }
        assert_eq!(path(&naive.leaves, 600), None);
        assert_eq!(inclusion_proof(&naive, 600, 600).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(verify_inclusion(&[0; 32], 0, 0, &[], &[0; 32]), Err(ProofError::Range));
    }

    #[test]
    fn every_pair_of_trees_up_to_130_is_proven() {
        let naive = Naive::new(130);
        for size in 0..=130u64 {
            let root = naive.root(0, size as usize);
            for old in 0..=size {
                let old_root = naive.root(0, old as usize);
                let proof = consistency_proof(&naive, old, size).unwrap();
                if old > 0 {
                    assert_eq!(proof, naive.subproof(old as usize, 0, size as usize, true));
                }
                assert_eq!(verify_consistency(old, &old_root, size, &root, &proof), Ok(()));
                let refused = Err(ProofError::Root);
                assert_eq!(verify_consistency(old, &altered(&old_root), size, &root, &proof), refused);
                if old > 0 {
                    assert_eq!(verify_consistency(old, &old_root, size, &altered(&root), &proof), refused);
                }
                for (proof, error) in broken(&proof) {
                    assert_eq!(verify_consistency(old, &old_root, size, &root, &proof), Err(error));
                }
            }
        }
        assert_eq!(verify_consistency(2, &[0; 32], 1, &[0; 32], &[]), Err(ProofError::Range));
        assert_eq!(consistency_proof(&naive, 2, 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_tree_grows_on_from_stored_hashes() {
        let naive = Naive::new(300);
        for size in 0..300 {
            let mut tree = Tree::restore(&naive, size).unwrap();
            assert_eq!(tree.size(), size);
            tree.push(naive.leaves[size as usize]);
            assert_eq!(tree.root(), naive.root(0, size as usize + 1));
        }
    }

    #[test]
    fn the_largest_trees_there_are_overflow_nothing() {
        struct Endless;
        impl Hashes for Endless {
            fn hash(&self, level: u8, _: u64) -> io::Result<Hash> {
                Ok((0..level).fold([7; 32], |hash, _| node_hash(&hash, &hash)))
            }
        }
        let size = u64::MAX;
        let root = root_at(&Endless, size).unwrap();
        for index in [0, 1 << 63, size - 1] {
            let proof = inclusion_proof(&Endless, index, size).unwrap();
            assert_eq!(verify_inclusion(&[7; 32], index, size, &proof, &root), Ok(()));
        }
        for old in [1, 1 << 63, size - 1] {
            let proof = consistency_proof(&Endless, old, size).unwrap();
            let old_root = root_at(&Endless, old).unwrap();
            assert_eq!(verify_consistency(old, &old_root, size, &root, &proof), Ok(()));
        }
    }
}
