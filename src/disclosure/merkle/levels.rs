//! A tree with all its nodes in memory.

use super::{Hash, node_hash, root_of};

/// A tree with all its nodes, for paths of many leaves.
pub struct Levels(Vec<Vec<Hash>>);

impl Levels {
    /// The tree over these leaf hashes.
    pub fn new(leaves: Vec<Hash>) -> Self {
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
    pub fn root(&self) -> Hash {
        self.0.last().and_then(|top| top.first()).copied().unwrap_or_else(|| root_of(&[]))
    }

    /// The siblings on the way from a leaf to the root, lowest first; see [`path`](super::path) for one leaf of a tree.
    pub fn path(&self, index: usize) -> Vec<Hash> {
        let siblings = self.0.iter().enumerate().filter_map(|(up, level)| level.get((index >> up) ^ 1));
        siblings.copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{leaf_hash, path, verify_inclusion},
        *,
    };

    #[test]
    fn every_leaf_has_the_path_it_has_otherwise() {
        for size in 1..70_u64 {
            let leaves: Vec<_> = (0..size).map(|index| leaf_hash(&index.to_le_bytes())).collect();
            let levels = Levels::new(leaves.clone());
            assert_eq!(levels.root(), root_of(&leaves));
            for (index, leaf) in leaves.iter().enumerate() {
                let found = levels.path(index);
                assert_eq!(Some(&found), path(&leaves, index).as_ref());
                assert!(verify_inclusion(leaf, index as u64, size, &found, &levels.root()).is_ok());
            }
        }
        assert_eq!(Levels::new(Vec::new()).root(), root_of(&[]));
    }
}
