//! Audit paths of RFC 6962, section 2.1.1, in trees whose leaf hashes are all in memory.

use super::merkle::{Hash, Tree, node_hash};

/// The root of the tree over these leaf hashes.
pub(super) fn root_of(leaves: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    leaves.iter().for_each(|&leaf| tree.push(leaf));
    tree.root()
}

/// The siblings on the way from a leaf to the root, lowest first. For many leaves of one tree, see [`Levels`].
pub(super) fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    Levels::new(leaves.to_vec()).path(index)
}

/// A tree with all its nodes, for paths of many leaves.
pub(super) struct Levels(Vec<Vec<Hash>>);

impl Levels {
    /// The tree over these leaf hashes.
    pub(super) fn new(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            // A last node without a sibling moves up as it is.
            let above = level.chunks(2).map(|pair| match pair {
                [left, right] => node_hash(left, right),
                _ => pair[0],
            });
            let above = above.collect();
            levels.push(above);
        }
        Self(levels)
    }

    /// Its root.
    pub(super) fn root(&self) -> Hash {
        self.0.last().and_then(|top| top.first()).copied().unwrap_or_else(|| root_of(&[]))
    }

    /// As [`path`].
    pub(super) fn path(&self, index: usize) -> Vec<Hash> {
        let siblings = self.0.iter().enumerate().filter_map(|(up, level)| level.get((index >> up) ^ 1));
        siblings.copied().collect()
    }
}

/// Whether a path leads from a leaf hash, at its index in a tree of this size, to the root.
///
/// A path does not fix the size by itself: whoever relies on the size has to have it from where the root is from.
pub(super) fn verify(leaf: Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    // The node reached so far, and the last one on its level.
    let (mut at, mut last, mut node) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            node = node_hash(sibling, &node);
            // At the right edge a node without a sibling moves up as it is.
            while at % 2 == 0 && at != 0 {
                at /= 2;
                last /= 2;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        at /= 2;
        last /= 2;
    }
    last == 0 && node == *root
}

#[cfg(test)]
mod tests {
    use super::{super::merkle::leaf_hash, *};

    #[test]
    fn every_leaf_of_every_tree_has_a_path() {
        for size in 1..35_u64 {
            let leaves: Vec<_> = (0..size).map(|index| leaf_hash(&index.to_le_bytes())).collect();
            let root = root_of(&leaves);
            assert_eq!(Levels::new(leaves.clone()).root(), root);
            for (index, &leaf) in (0..).zip(&leaves) {
                let found = path(&leaves, usize::try_from(index).expect("small"));
                assert!(verify(leaf, index, size, &found, &root));
                for other in (0..size + 2).filter(|&other| other != index) {
                    assert!(!verify(leaf, other, size, &found, &root), "{index} as {other} of {size}");
                }
                for place in 0..found.len() {
                    let mut altered = found.clone();
                    altered[place][0] ^= 1;
                    assert!(!verify(leaf, index, size, &altered, &root));
                    assert!(!verify(leaf, index, size, &found[..place], &root));
                }
                let longer: Vec<_> = found.iter().copied().chain([root]).collect();
                assert!(!verify(leaf, index, size, &longer, &root));
            }
        }
    }

    /// From the reference tests of Certificate Transparency: leaf 5 of 8.
    #[test]
    fn a_path_is_the_one_of_rfc_6962() {
        let entries: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let leaves = entries.map(leaf_hash);
        assert_eq!(
            path(&leaves, 5).iter().map(hex::encode).collect::<Vec<_>>(),
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
        assert_eq!(path(&leaves[..1], 0), Vec::<Hash>::new());
    }
}
