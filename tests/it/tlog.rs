//! The log in the formats of C2SP, read by code that is not ours: `signed_note` and `tlog_tiles`, of Cloudflare.

use std::{cell::RefCell, collections::HashMap, io, sync::LazyLock};

use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use sluis::disclosure::{
    checkpoint::Checkpoint,
    merkle::{consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion},
    note::{self, NoteError, Signer, Verifier},
    proof::TlogProof,
    tile::{TileKind, TileName, TileReader, TileWriter},
};
use tlog_tiles::{Hash, Tile, TileHashReader};
use zeroize::Zeroizing;

const ORIGIN: &str = "sluis.example/99DE/2026";
/// Both need three levels of tiles, partial ones among them.
const SIZES: [u64; 2] = [66_000, 70_000];
/// At the edges of tiles and of the trees.
const INDEXES: [u64; 10] = [0, 1, 255, 256, 300, 65_535, 65_536, 65_999, 69_888, 69_999];

fn entry(number: u64) -> Vec<u8> {
    format!("entry {number}").into_bytes()
}

fn signer() -> Signer {
    Signer::new(ORIGIN, Zeroizing::new([42; 32])).unwrap()
}

static LOG: LazyLock<Published> = LazyLock::new(Published::new);

/// A log of the larger size, with a checkpoint at both.
struct Published {
    files: HashMap<String, Vec<u8>>,
    checkpoints: [Checkpoint; 2],
}

impl Published {
    fn new() -> Self {
        let mut files = HashMap::new();
        let mut writer = TileWriter::default();
        let checkpoints = SIZES.map(|size| {
            for number in writer.size()..size {
                writer.push(&entry(number)).unwrap();
            }
            files.extend(writer.checkpoint().files);
            Checkpoint { origin: ORIGIN.into(), size, root: writer.tree().root() }
        });
        Self { files, checkpoints }
    }

    fn reader(&self, size: u64) -> TileReader<impl Fn(&str) -> io::Result<Vec<u8>>> {
        TileReader::new(size, |name: &str| {
            self.files.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }
}

/// The files, as `tlog_tiles` asks for them.
struct Tiles<'f> {
    files: &'f HashMap<String, Vec<u8>>,
    asked: RefCell<Vec<String>>,
}

impl<'f> Tiles<'f> {
    fn of(files: &'f HashMap<String, Vec<u8>>) -> Self {
        Self { files, asked: RefCell::default() }
    }
}

impl tlog_tiles::TileReader for Tiles<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        tiles
            .iter()
            .map(|tile| {
                // The height is in the names of the checksum database of Go, and not in those of C2SP.
                let name = tile.path().replacen("tile/8/", "tile/", 1);
                let bytes = self.files.get(&name).cloned().ok_or(tlog_tiles::Error::InvalidTile);
                self.asked.borrow_mut().push(name);
                bytes
            })
            .collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn theirs(proof: &[[u8; 32]]) -> Vec<Hash> {
    proof.iter().copied().map(Hash).collect()
}

fn ours(proof: &[Hash]) -> Vec<[u8; 32]> {
    proof.iter().map(|hash| hash.0).collect()
}

#[test]
fn signed_note_opens_our_checkpoint() {
    let [checkpoint, _] = &LOG.checkpoints;
    let signer = signer();
    let signed = checkpoint.sign(&[&signer]).unwrap();
    let verify = |note: &[u8]| -> Option<Vec<u8>> {
        let known = StandardVerifier::new(&signer.verifier().to_string()).unwrap();
        let note = Note::from_bytes(note).ok()?;
        note.verify(&VerifierList::new(vec![Box::new(known)])).ok()?;
        Some(note.text().to_vec())
    };
    let text = verify(signed.as_bytes()).unwrap();
    let read = tlog_tiles::Checkpoint::from_bytes(&text).unwrap();
    assert_eq!((read.origin(), read.size(), read.extension()), (ORIGIN, SIZES[0], ""));
    assert_eq!(read.hash().0, checkpoint.root);
    for place in 0..signed.len() {
        let mut changed = signed.clone().into_bytes();
        changed[place] ^= 1;
        assert_eq!(verify(&changed), None, "byte {place}");
    }
}

#[test]
fn we_open_a_checkpoint_of_signed_note() {
    let key = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    let known: [Verifier; 1] =
        ["PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap()];
    let written = tlog_tiles::Checkpoint::new("PeterNeumann", 7, Hash([9; 32]), "extension\n").unwrap();
    let mut note = Note::new(&written.to_bytes(), &[]).unwrap();
    note.add_sigs(&[&StandardSigner::new(key).unwrap()]).unwrap();
    let signed = note.to_bytes();
    let expected = Checkpoint { origin: "PeterNeumann".into(), size: 7, root: [9; 32] };
    assert_eq!(Checkpoint::open(&signed, &known), Ok(expected));
    let opened = note::open(&signed, &known).unwrap();
    assert_eq!(opened.text.as_bytes(), written.to_bytes());
    for place in 0..signed.len() {
        let mut changed = signed.clone();
        changed[place] ^= 1;
        let error = Checkpoint::open(&changed, &known).unwrap_err();
        assert!(
            matches!(error, NoteError::BadSignature | NoteError::Malformed | NoteError::Unsigned),
            "byte {place}"
        );
    }
}

#[test]
fn tlog_tiles_proves_the_same_from_our_tiles() {
    let log = &*LOG;
    let tiles = Tiles::of(&log.files);
    for checkpoint in &log.checkpoints {
        let (size, root) = (checkpoint.size, Hash(checkpoint.root));
        let reader = TileHashReader::new(size, root, &tiles);
        assert!(tlog_tiles::tree_hash(size, &reader).unwrap() == root);
        for index in INDEXES.into_iter().filter(|&index| index < size) {
            let leaf = tlog_tiles::record_hash(&entry(index));
            let proof = tlog_tiles::prove_record(size, index, &reader).unwrap();
            assert_eq!(ours(&proof), inclusion_proof(&log.reader(size), index, size).unwrap());
            tlog_tiles::check_record(&proof, size, root, index, leaf).unwrap();
            verify_inclusion(&leaf_hash(&entry(index)), index, size, &ours(&proof), &root.0).unwrap();
        }
    }
    let [earlier, later] = &log.checkpoints;
    let (roots, reader) = ((Hash(earlier.root), Hash(later.root)), log.reader(later.size));
    let theirs_of = TileHashReader::new(later.size, roots.1, &tiles);
    let proof = tlog_tiles::prove_tree(later.size, earlier.size, &theirs_of).unwrap();
    assert_eq!(ours(&proof), consistency_proof(&reader, earlier.size, later.size).unwrap());
    tlog_tiles::check_tree(&proof, later.size, roots.1, earlier.size, roots.0).unwrap();
    verify_consistency(earlier.size, &earlier.root, later.size, &later.root, &ours(&proof)).unwrap();
    for name in ["tile/0/257.p/208", "tile/1/001.p/1", "tile/1/001.p/17", "tile/2/000.p/1", "tile/0/255"] {
        assert!(tiles.asked.borrow().iter().any(|asked| asked == name), "{name} was not needed");
    }
}

/// Without the files that a log may refuse once it has this minimum index, by the letter of the specification.
fn pruned(files: &HashMap<String, Vec<u8>>, minimum: u64) -> HashMap<String, Vec<u8>> {
    let ends = |name: &str| {
        let name: TileName = name.parse().unwrap();
        let level = if let TileKind::Hashes(level) = name.kind() { u32::from(level) } else { 0 };
        (name.index() + 1) * 256_u64.pow(level + 1)
    };
    files
        .iter()
        .filter(|(name, _)| ends(name) > minimum)
        .map(|(name, file)| (name.clone(), file.clone()))
        .collect()
}

#[test]
fn tlog_tiles_proves_what_is_left_of_a_pruned_log() {
    let later = &LOG.checkpoints[1];
    let (size, root) = (later.size, Hash(later.root));
    for minimum in [256, 65_536, 69_632] {
        let files = pruned(&LOG.files, minimum);
        assert!(files.len() < LOG.files.len());
        let log = Published { files, checkpoints: LOG.checkpoints.clone() };
        let tiles = Tiles::of(&log.files);
        let reader = TileHashReader::new(size, root, &tiles);
        assert!(tlog_tiles::tree_hash(size, &reader).unwrap() == root);
        let resumed = TileWriter::resume(minimum, size, |name| {
            log.files.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        });
        let mut resumed = resumed.unwrap();
        for index in (minimum..size).step_by(997).chain([minimum, size - 1]) {
            let proof = tlog_tiles::prove_record(size, index, &reader).unwrap();
            assert_eq!(ours(&proof), inclusion_proof(&log.reader(size), index, size).unwrap());
            let leaf = tlog_tiles::record_hash(&entry(index));
            tlog_tiles::check_record(&proof, size, root, index, leaf).unwrap();
        }
        for number in minimum..size {
            resumed.push(&entry(number)).unwrap();
        }
        assert_eq!(resumed.tree().root(), later.root);
    }
}

#[test]
fn tlog_tiles_refuses_our_proofs_with_a_changed_byte() {
    let log = &*LOG;
    let [earlier, later] = &log.checkpoints;
    let reader = log.reader(later.size);
    let flipped = |proof: &[[u8; 32]], hash: usize, byte: usize| {
        let mut proof = theirs(proof);
        proof[hash].0[byte] ^= 1;
        proof
    };
    let (size, root) = (later.size, Hash(later.root));
    let (index, leaf) = (65_999, tlog_tiles::record_hash(&entry(65_999)));
    let inclusion = inclusion_proof(&reader, index, size).unwrap();
    tlog_tiles::check_record(&theirs(&inclusion), size, root, index, leaf).unwrap();
    let consistency = consistency_proof(&reader, earlier.size, size).unwrap();
    let old_root = Hash(earlier.root);
    tlog_tiles::check_tree(&theirs(&consistency), size, root, earlier.size, old_root).unwrap();
    for byte in [0, 13, 31] {
        for hash in 0..inclusion.len() {
            let changed = flipped(&inclusion, hash, byte);
            assert!(tlog_tiles::check_record(&changed, size, root, index, leaf).is_err());
        }
        for hash in 0..consistency.len() {
            let changed = flipped(&consistency, hash, byte);
            assert!(tlog_tiles::check_tree(&changed, size, root, earlier.size, old_root).is_err());
        }
        let mut other = leaf;
        other.0[byte] ^= 1;
        assert!(tlog_tiles::check_record(&theirs(&inclusion), size, root, index, other).is_err());
    }
}

#[test]
fn a_changed_byte_of_a_tile_is_refused() {
    let log = &*LOG;
    let [_, later] = &log.checkpoints;
    let (size, root) = (later.size, later.root);
    let leaf = leaf_hash(&entry(65_000));
    let proven = |log: &Published| {
        let tiles = Tiles::of(&log.files);
        // The reader compares most tiles with the root by itself; the proof made of them has to be checked all the same.
        let theirs = tlog_tiles::prove_record(size, 65_000, &TileHashReader::new(size, Hash(root), &tiles))
            .is_ok_and(|proof| {
                tlog_tiles::check_record(&proof, size, Hash(root), 65_000, Hash(leaf)).is_ok()
            });
        let ours = inclusion_proof(&log.reader(size), 65_000, size).unwrap();
        (theirs, verify_inclusion(&leaf, 65_000, size, &ours, &root).is_ok())
    };
    assert_eq!(proven(log), (true, true));
    // Each tile that the proof is made of, at a hash that it is made of.
    for (name, place) in
        [("tile/0/253", 7), ("tile/1/000", 7), ("tile/0/273.p/112", 40), ("tile/1/001.p/17", 500)]
    {
        let mut altered = Published { files: log.files.clone(), checkpoints: log.checkpoints.clone() };
        altered.files.get_mut(name).unwrap()[place] ^= 1;
        assert_eq!(proven(&altered), (false, false), "{name}");
    }
}

#[test]
fn a_proof_in_a_file_convinces_both() {
    let log = &*LOG;
    let [checkpoint, _] = &log.checkpoints;
    let proof = TlogProof {
        index: 300,
        extra: Vec::new(),
        path: inclusion_proof(&log.reader(checkpoint.size), 300, checkpoint.size).unwrap(),
        checkpoint: checkpoint.sign(&[&signer()]).unwrap(),
    };
    let read: TlogProof = proof.to_string().parse().unwrap();
    let known = [signer().verifier().clone()];
    let proven = read.verify(&entry(300), &known).unwrap();
    assert_eq!(&proven, checkpoint);
    assert!(read.verify(&entry(301), &known).is_err());
    let (leaf, root) = (tlog_tiles::record_hash(&entry(300)), Hash(proven.root));
    tlog_tiles::check_record(&theirs(&read.path), proven.size, root, read.index, leaf).unwrap();
}
