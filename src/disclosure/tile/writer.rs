//! From entries to tiles.

use std::{io, mem};

use super::{TileError, TileKind, TileName, WIDTH, bundle_entry, read_bundle, read_tile};
use crate::disclosure::merkle::{self, Hash, Tree};

/// What a checkpoint needs beside itself.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TileFiles {
    /// Files to write before the checkpoint is published, by name: full ones first, then those at the right edge.
    pub files: Vec<(String, Vec<u8>)>,
    /// Folders of partial files that full ones replace. They may go once the checkpoint is published; until then, an
    /// earlier checkpoint needs them.
    pub superseded: Vec<String>,
}

/// Makes tiles and bundles of the entries of a log. Holds one unfinished tile for each level, one unfinished bundle,
/// and what was finished until it is asked for.
#[derive(Debug, Default)]
pub struct TileWriter {
    size: u64,
    /// The size of the last checkpoint, whose partial files exist.
    published: u64,
    /// The unfinished bundle.
    bundle: Vec<u8>,
    /// The unfinished tiles, by level.
    edge: Vec<Vec<Hash>>,
    full: Vec<(TileName, Vec<u8>)>,
}

impl TileWriter {
    /// Goes on where a log of `size` entries ended. Its files are read as those of the log at a size for which a
    /// checkpoint was made: `size` itself, or a later one.
    ///
    /// What it reads is not compared with the checkpoint: the caller does that, with the root of
    /// [`TileWriter::tree`].
    ///
    /// # Errors
    ///
    /// When a file at the right edge cannot be read or is malformed.
    pub fn resume(size: u64, published: u64, read: impl Fn(&str) -> io::Result<Vec<u8>>) -> io::Result<Self> {
        let mut writer = Self { size, published: size, ..Self::default() };
        let mut leaves = Vec::new();
        for kind in TileKind::all(size) {
            let edge = TileName::edge(kind, size);
            let width = edge.map_or(0, |edge| edge.width().into());
            let edge = edge.and_then(|edge| TileName::of(kind, edge.index(), published));
            match kind {
                TileKind::Entries => {
                    let entries = edge.map(|name| read_bundle(&read, name)).transpose()?.unwrap_or_default();
                    for entry in entries.into_iter().take(width) {
                        bundle_entry(&mut writer.bundle, &entry)?;
                        leaves.push(merkle::leaf_hash(&entry));
                    }
                }
                TileKind::Hashes(_) => {
                    let mut hashes = edge.map(|name| read_tile(&read, name)).transpose()?.unwrap_or_default();
                    hashes.truncate(width);
                    writer.edge.push(hashes);
                }
            }
        }
        // Entries and hashes go on side by side for good: they have to belong together now.
        if writer.edge.first().is_some_and(|hashes| *hashes != leaves) {
            return Err(TileError::MalformedBundle.into());
        }
        Ok(writer)
    }

    /// Entries so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tree over all entries so far.
    pub fn tree(&self) -> Tree {
        let tiles = self.edge.iter().rev();
        // The full subtrees of a tile's unfinished hashes are those of the whole tree at these levels.
        let peaks = tiles.flat_map(|hashes| hashes.iter().copied().collect::<Tree>().into_peaks());
        Tree::from_peaks(self.size, peaks.collect())
    }

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// [`TileError::EntryTooLong`]; nothing was added.
    pub fn push(&mut self, entry: &[u8]) -> Result<(), TileError> {
        bundle_entry(&mut self.bundle, entry)?;
        self.size += 1;
        if self.size.is_multiple_of(WIDTH.into()) {
            let bundle = mem::take(&mut self.bundle);
            self.finish(TileKind::Entries, bundle);
        }
        let mut hash = merkle::leaf_hash(entry);
        for level in 0.. {
            if self.edge.len() == level {
                self.edge.push(Vec::with_capacity(WIDTH.into()));
            }
            let tile = &mut self.edge[level];
            tile.push(hash);
            if tile.len() < WIDTH.into() {
                break;
            }
            // A tile that is full stands for one hash in the level above.
            hash = merkle::root_of(tile);
            let bytes = tile.concat();
            tile.clear();
            self.finish(TileKind::Hashes(level as u8), bytes);
        }
        Ok(())
    }

    /// Takes the full files that nobody has taken yet. They can be written any time before the next checkpoint.
    pub fn take_full(&mut self) -> Vec<(String, Vec<u8>)> {
        self.full.drain(..).map(|(name, bytes)| (name.to_string(), bytes)).collect()
    }

    /// What a checkpoint at the present size needs: the full files that nobody has taken yet, and those at the right
    /// edge that the checkpoint before did not need already.
    pub fn checkpoint(&mut self) -> TileFiles {
        let mut files = self.take_full();
        let mut superseded = Vec::new();
        for kind in TileKind::all(self.size) {
            let before = TileName::edge(kind, self.published);
            if let Some(before) = before
                && before.index() < kind.count(self.size) / u64::from(WIDTH)
            {
                superseded.push(before.partials());
            }
            if let Some(edge) = TileName::edge(kind, self.size)
                && before != Some(edge)
            {
                let bytes = match kind {
                    TileKind::Entries => self.bundle.clone(),
                    TileKind::Hashes(level) => self.edge[usize::from(level)].concat(),
                };
                files.push((edge.to_string(), bytes));
            }
        }
        self.published = self.size;
        TileFiles { files, superseded }
    }

    /// Keeps the file that the last entry has filled.
    fn finish(&mut self, kind: TileKind, bytes: Vec<u8>) {
        let index = kind.count(self.size) / u64::from(WIDTH) - 1;
        let name = TileName::of(kind, index, self.size).expect("an entry was added");
        self.full.push((name, bytes));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::disclosure::{
        merkle::{
            consistency_proof, inclusion_proof, leaf_hash, path, root_at, root_of, verify_consistency,
            verify_inclusion,
        },
        tile::TileReader,
    };

    /// A log on a disk that is a map.
    #[derive(Default, Clone, PartialEq)]
    struct Disk(BTreeMap<String, Vec<u8>>);

    impl Disk {
        fn publish(&mut self, TileFiles { files, superseded }: TileFiles) {
            self.write(files);
            for folder in superseded {
                let before = self.0.len();
                self.0.retain(|name, _| !name.starts_with(&format!("{folder}/")));
                assert!(self.0.len() < before, "{folder} was there");
                assert!(self.0.contains_key(folder.strip_suffix(".p").unwrap()));
            }
        }

        fn write(&mut self, files: Vec<(String, Vec<u8>)>) {
            for (name, bytes) in files {
                assert!(!bytes.is_empty());
                let name_again: TileName = name.parse().unwrap();
                assert_eq!(name_again.to_string(), name);
                assert!(self.0.insert(name, bytes).is_none(), "a file is written once");
            }
        }

        fn read(&self, name: &str) -> io::Result<Vec<u8>> {
            self.0.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    fn entry(number: u32) -> Vec<u8> {
        number.to_be_bytes().repeat(number as usize % 9)
    }

    /// Sizes at which something begins or ends, and some in between.
    const CHECKPOINTS: [u32; 15] =
        [0, 1, 2, 255, 256, 257, 300, 511, 512, 5000, 65_535, 65_536, 65_537, 65_800, 70_000];

    /// The disk at each checkpoint.
    fn written(mut between: impl FnMut(&mut TileWriter, &mut Disk)) -> Vec<(u32, Disk)> {
        let (mut writer, mut disk) = (TileWriter::default(), Disk::default());
        let mut disks = Vec::new();
        for size in CHECKPOINTS {
            for number in writer.size() as u32..size {
                writer.push(&entry(number)).unwrap();
            }
            between(&mut writer, &mut disk);
            disk.publish(writer.checkpoint());
            assert_eq!(writer.checkpoint(), TileFiles::default(), "there is nothing more to write");
            disks.push((size, disk.clone()));
        }
        disks
    }

    #[test]
    fn what_is_written_is_read_back() {
        let leaves: Vec<_> = (0..70_000).map(|number| leaf_hash(&entry(number))).collect();
        let disks = written(|_, _| {});
        let last = &disks.last().unwrap().1;
        let mut earlier = (0, root_of(&[]));
        for (size, disk) in &disks {
            let (size, leaves) = (u64::from(*size), &leaves[..*size as usize]);
            let root = root_of(leaves);
            // Both on the disk of its day and on that of the last day, where partial files are gone.
            for disk in [disk, last] {
                let reader = TileReader::new(size, |name: &str| disk.read(name));
                assert_eq!(root_at(&reader, size).unwrap(), root);
                for index in [0, 1, 255, 256, 4999, 65_535, 69_887, 69_888, 69_999] {
                    let Some(leaf) = leaves.get(index as usize) else { continue };
                    let proof = inclusion_proof(&reader, index, size).unwrap();
                    assert_eq!(verify_inclusion(leaf, index, size, &proof, &root), Ok(()));
                }
                let proof = consistency_proof(&reader, earlier.0, size).unwrap();
                assert_eq!(verify_consistency(earlier.0, &earlier.1, size, &root, &proof), Ok(()));
            }
            earlier = (size, root);
        }
        let reader = TileReader::new(70_000, |name: &str| last.read(name));
        let bundles = (0..274).flat_map(|index| reader.bundle(index).unwrap());
        assert!(bundles.eq((0..70_000).map(entry)));
        for number in [0, 255, 256, 69_999] {
            assert_eq!(reader.entry(number.into()).unwrap(), entry(number));
        }
        assert_eq!(reader.entry(70_000).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(inclusion_proof(&reader, 54_321, 70_000).ok(), path(&leaves, 54_321));
    }

    #[test]
    fn only_superseded_files_go() {
        let (_, disk) = written(|_, _| {}).pop().unwrap();
        let partial: Vec<_> = disk.0.keys().filter(|name| name.contains(".p/")).collect();
        // The checkpoint at 65,800 needs its tile of level 1 until the full one is there.
        let expected = [
            "tile/0/273.p/112",
            "tile/1/001.p/1",
            "tile/1/001.p/17",
            "tile/2/000.p/1",
            "tile/entries/273.p/112",
        ];
        assert_eq!(partial, expected);
        assert_eq!(disk.0.len(), 2 * 273 + 1 + expected.len());
        assert_eq!(disk.0["tile/1/000"].len(), 8192);
    }

    #[test]
    fn taking_full_files_early_changes_nothing() {
        let early = written(|writer, disk| {
            let full = writer.take_full();
            assert!(full.iter().all(|(name, _)| !name.contains(".p/")));
            disk.write(full);
            assert!(writer.take_full().is_empty());
        });
        assert!(early == written(|_, _| {}));
    }

    #[test]
    fn a_writer_that_resumes_writes_the_same() {
        let resumed = written(|writer, disk| {
            if writer.published > 0 {
                // What was not published is written again, as after a crash.
                let mut again =
                    TileWriter::resume(writer.published, writer.published, |name| disk.read(name)).unwrap();
                for number in again.size() as u32..writer.size() as u32 {
                    again.push(&entry(number)).unwrap();
                }
                assert_eq!(again.tree().root(), writer.tree().root());
                *writer = again;
            }
        });
        assert!(resumed == written(|_, _| {}));
    }

    #[test]
    fn the_tree_of_a_writer_is_that_of_its_entries() {
        let (mut writer, mut tree) = (TileWriter::default(), Tree::default());
        for number in 0..1000 {
            assert_eq!(writer.tree().root(), tree.root());
            assert_eq!(writer.tree().size(), tree.size());
            writer.push(&entry(number)).unwrap();
            tree.push(leaf_hash(&entry(number)));
        }
        assert_eq!(writer.push(&[0; 65_536]), Err(TileError::EntryTooLong));
        assert_eq!(writer.tree().root(), tree.root());
    }

    #[test]
    fn damage_at_the_right_edge_is_noticed() {
        let (size, disk) = written(|_, _| {}).pop().unwrap();
        let resume =
            |disk: &Disk| TileWriter::resume(size.into(), size.into(), |name| disk.read(name)).map(drop);
        assert!(resume(&disk).is_ok());
        for name in ["tile/entries/273.p/112", "tile/0/273.p/112"] {
            let mut altered = disk.clone();
            altered.0.get_mut(name).unwrap()[100] ^= 1;
            assert_eq!(resume(&altered).unwrap_err().kind(), io::ErrorKind::InvalidData);
            let mut short = disk.clone();
            short.0.get_mut(name).unwrap().pop();
            assert_eq!(resume(&short).unwrap_err().kind(), io::ErrorKind::InvalidData);
            let mut gone = disk.clone();
            gone.0.remove(name);
            assert_eq!(resume(&gone).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}
