//! Merkle trees of RFC 6962, section 2.1, with SHA-256, and what they prove: that an entry is in a tree, and that a
//! tree has grown out of an earlier one.
//!
//! Roots and proofs are made from the hashes of full subtrees, which never change once they are there: [`Hashes`] is
//! where they come from.

use std::io;

use ring::{digest, hmac};

mod levels;
mod proof;

pub use levels::Levels;
pub use proof::{ProofError, consistency_proof, inclusion_proof, path, verify_consistency, verify_inclusion};

/// A hash of a leaf, a node or a tree.
pub type Hash = [u8; 32];

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// SHA-256 of the parts, one after the other.
pub(super) fn hash(parts: &[&[u8]]) -> Hash {
    sha256(parts)
}

/// The hash of an entry.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// The hash of two subtrees.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// Where the hashes of full subtrees come from. They are believed: what is made from them is checked against a root.
pub trait Hashes {
    /// The hash over the 2^`level` entries from entry `index`·2^`level` on.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or the tree does not reach that far.
    fn hash(&self, level: u8, index: u64) -> io::Result<Hash>;
}

/// A tree that grows: the roots of its full subtrees, largest first.
#[derive(Debug, Default, Clone)]
pub struct Tree {
    size: u64,
    peaks: Vec<Hash>,
}

impl Tree {
    /// The tree of this size, from hashes that were stored when it had at least that size.
    ///
    /// # Errors
    ///
    /// When a hash cannot be read.
    pub fn restore(hashes: &dyn Hashes, size: u64) -> io::Result<Self> {
        Ok(Self { size, peaks: peaks(hashes, 0, size)? })
    }

    /// The tree with these roots of full subtrees, as many as the size has ones.
    pub(super) fn from_peaks(size: u64, peaks: Vec<Hash>) -> Self {
        debug_assert_eq!(size.count_ones() as usize, peaks.len());
        Self { size, peaks }
    }

    /// The roots of its full subtrees, largest first.
    pub(super) fn into_peaks(self) -> Vec<Hash> {
        self.peaks
    }

    /// Entries so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds the hash of an entry.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        // Each one at the low end of the size stands for a full subtree as large as what we hold.
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("a full subtree for each one in the size");
            node = node_hash(&left, &node);
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root; of an empty tree the hash of nothing.
    pub fn root(&self) -> Hash {
        fold(&self.peaks)
    }
}

impl FromIterator<Hash> for Tree {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut tree = Self::default();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }
}

/// The root over full subtrees, largest first.
fn fold(peaks: &[Hash]) -> Hash {
    let mut peaks = peaks.iter().rev();
    let Some(&last) = peaks.next() else { return sha256(&[]) };
    peaks.fold(last, |right, left| node_hash(left, &right))
}

/// The full subtrees over the entries from `start` to `end`, largest first. `start` is where a full subtree that holds
/// them all would begin.
fn peaks(hashes: &dyn Hashes, mut start: u64, end: u64) -> io::Result<Vec<Hash>> {
    let mut peaks = Vec::new();
    while start < end {
        let level = (end - start).ilog2();
        peaks.push(hashes.hash(level as u8, start >> level)?);
        start += 1 << level;
    }
    Ok(peaks)
}

/// The root of the tree when it had this size.
///
/// # Errors
///
/// When a hash cannot be read.
pub fn root_at(hashes: &dyn Hashes, size: u64) -> io::Result<Hash> {
    Ok(Tree::restore(hashes, size)?.root())
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "outside the tree")
}

/// A small tree, held as the hashes of all its entries. Each hash is computed when asked for.
#[derive(Debug, Clone, Copy)]
pub struct Leaves<'l>(pub &'l [Hash]);

impl Hashes for Leaves<'_> {
    fn hash(&self, level: u8, index: u64) -> io::Result<Hash> {
        let leaves = || {
            let width = 1usize.checked_shl(level.into())?;
            let start = usize::try_from(index).ok()?.checked_mul(width)?;
            self.0.get(start..start.checked_add(width)?)
        };
        leaves().map(root_of).ok_or_else(outside)
    }
}

/// The root over hashes of entries.
pub fn root_of(leaves: &[Hash]) -> Hash {
    leaves.iter().copied().collect::<Tree>().root()
}

/// Root over the rows of a chunk. Each row is hashed with a nonce that the salt gives, so that one row can be shown
/// without the others becoming guessable, and none is once the salt is gone.
pub fn inner_root<'r>(salt: &[u8; 32], rows: impl Iterator<Item = &'r [u8]>) -> Hash {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt);
    let mut tree = Tree::default();
    for (index, row) in rows.enumerate() {
        let index = u32::try_from(index).expect("a chunk has at most 256 rows");
        let nonce = hmac::sign(&key, &index.to_le_bytes());
        tree.push(sha256(&[&[0], &nonce.as_ref()[..16], row]));
    }
    tree.root()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Entries of the reference tests of Certificate Transparency (RFC 6962 `merkletree` test data).
    pub(super) const ENTRIES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];

    #[test]
    fn roots_are_those_of_rfc_6962() {
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::default();
        assert_eq!(hex::encode(tree.root()), roots[0]);
        for (entry, root) in ENTRIES.iter().zip(&roots[1..]) {
            tree.push(leaf_hash(entry));
            assert_eq!(hex::encode(tree.root()), *root);
        }
        assert_eq!(tree.size(), 8);
    }

    #[test]
    fn the_salt_hides_the_rows() {
        let rows = [[1u8; 64], [2; 64]];
        let root =
            |salt: u8, rows: &[[u8; 64]]| inner_root(&[salt; 32], rows.iter().map(<[u8; 64]>::as_slice));
        assert_ne!(root(1, &rows), root(2, &rows));
        assert_ne!(root(1, &rows), root(1, &[rows[1], rows[0]]));
        assert_ne!(root(1, &[rows[0], rows[0]]), root(1, &[rows[0]]));
    }
}
