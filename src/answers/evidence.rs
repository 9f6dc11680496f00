//! Evidence for whoever does not take our word: a folder that proves what the log holds of a person, checked without
//! the log.
//!
//! | file | holds |
//! |---|---|
//! | `manifest.json` | school, handles, days, names of the other files; see [`Manifest`] |
//! | `log.vkey` | the public key of the log, as the log's folder has it |
//! | `<day>.<n>.seal.json` | which rows the n-th handle has on that day, and that it has no more: [`SealProof`] |
//! | `<position>.tlog-proof` | one leaf, as what is extra, and that it is in the log: [`TlogProof`] |
//!
//! Leaves come in two kinds: seals of days, each of which the proofs of that day are held against, and disclosures,
//! which each row in such a proof has to belong to. The manifest is believed in nothing but names: what a day's proof
//! shows follows from signed leaves alone. Deliberately absent: proof that a day without a seal had no deliveries. A
//! school and day without deliveries has no seal.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    ops::RangeInclusive,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Answers, Person};
use crate::{
    clock::day_of,
    disclosure::{
        Leaf, LeafKind, Position, Row, Wanted,
        note::Verifier,
        proof::TlogProof,
        rowfile::{Handle, RowFileError},
        seal_proof::{Completeness, SealProof},
    },
};

const FORMAT: &str = "sluis-evidence/1";
/// Bytes of a file of evidence at most. A run of erased rows makes a seal proof long.
const LONGEST: u64 = 64 * 1024 * 1024;

/// What is in a folder of evidence.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `sluis-evidence/1`.
    pub format: String,
    /// The name of the log.
    pub log: String,
    /// BRIN of the school.
    pub school: String,
    /// The handles of the person, in hexadecimal.
    pub handles: Vec<String>,
    /// First day asked for.
    pub from: Date,
    /// Last day asked for.
    pub until: Date,
    /// Days with evidence.
    pub days: Vec<ManifestDay>,
    /// Names of the proofs of disclosures.
    pub disclosures: Vec<String>,
    /// Days with deliveries that have no seal yet, so that there is no evidence.
    pub unsealed: Vec<Date>,
}

/// Evidence of one day.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestDay {
    /// The day.
    pub day: Date,
    /// The proof of its seal.
    pub seal: String,
    /// For each handle, the proof of its rows.
    pub rows: Vec<String>,
}

/// What a folder proves.
#[derive(Debug)]
pub struct Shown {
    /// The name of the log.
    pub log: String,
    /// Leaves under the newest of its checkpoints.
    pub size: u64,
    /// The key the checkpoints are signed with, as it is written.
    pub key: String,
    /// BRIN of the school.
    pub school: String,
    /// Each day.
    pub days: Vec<ShownDay>,
    /// Days of which the folder says itself that they have no seal yet.
    pub unsealed: Vec<Date>,
}

/// What is proven of a day.
#[derive(Debug)]
pub struct ShownDay {
    /// The day.
    pub day: Date,
    /// Each row, with the position and the recipient's code of its leaf.
    pub rows: Vec<(u64, [u8; 12], Row)>,
    /// Rows that were erased where others of the person may have stood; none: nothing is missing.
    pub erased: u32,
}

/// Why a folder proves nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// A file does not prove what it should.
    #[error("{file}: {why}")]
    Altered {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be read or written, or is not of this form.
    #[error("{file}: {why}")]
    Unusable {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
}

impl EvidenceError {
    fn io(file: &str, error: &io::Error) -> Self {
        Self::Unusable { file: file.into(), why: error.kind().to_string() }
    }
}

/// Only plain names inside the folder: a manifest must not make its reader open anything else.
fn is_name(name: &str) -> bool {
    !name.starts_with('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
}

impl Answers<'_> {
    /// Writes evidence about a person for these days into a folder that is new or empty.
    ///
    /// # Errors
    ///
    /// When the log cannot be read, or the folder not be written.
    pub fn write_evidence(
        &self,
        brin: &str,
        person: &Person,
        days: &RangeInclusive<Date>,
        folder: &Path,
        readme: &str,
    ) -> Result<Manifest, EvidenceError> {
        let log = |error: io::Error| EvidenceError::io("the log", &error);
        let rows =
            |error: RowFileError| EvidenceError::Unusable { file: "the log".into(), why: error.to_string() };
        let handles: Vec<Handle> =
            person.distinct().into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let (seals, unsealed) = self.seals(brin, days).map_err(log)?;
        let folder = Folder::make(folder)?;
        let mut manifest = Manifest {
            format: FORMAT.into(),
            log: self.config.origin.clone(),
            school: brin.into(),
            handles: handles.iter().map(hex::encode).collect(),
            from: *days.start(),
            until: *days.end(),
            days: Vec::new(),
            disclosures: Vec::new(),
            unsealed,
        };
        let mut disclosures = BTreeSet::new();
        let mut leaves = BTreeSet::new();
        for (day, position) in seals {
            let Some(mut file) = self.reader.row_file(brin, day).map_err(log)? else { continue };
            let mut names = Vec::new();
            for (number, handle) in handles.iter().enumerate() {
                disclosures.extend(file.find(handle).map_err(rows)?.into_iter().map(|found| found.position));
                let name = format!("{day}.{number}.seal.json");
                folder.put(&name, &SealProof::of(&mut file, handle).map_err(rows)?.to_json())?;
                names.push(name);
            }
            leaves.insert(position);
            manifest.days.push(ManifestDay { day, seal: leaf_name(position), rows: names });
        }
        leaves.extend(&disclosures);
        for (_, proof) in self.reader.prove(leaves).map_err(log)? {
            folder.put(&leaf_name(Position(proof.index)), &proof.to_string())?;
        }
        manifest.disclosures = disclosures.into_iter().map(leaf_name).collect();
        folder.put("log.vkey", &format!("{}\n", self.config.log_site().signer.verifier()))?;
        folder.put("LEESMIJ.txt", readme)?;
        // Last: a folder with a manifest is whole.
        let mut text = serde_json::to_string_pretty(&manifest).expect("names, dates and lists");
        text.push('\n');
        folder.put("manifest.json", &text)?;
        Ok(manifest)
    }

    /// The seal of each day, under the published checkpoint; and the days with rows that have none.
    fn seals(
        &self,
        brin: &str,
        days: &RangeInclusive<Date>,
    ) -> io::Result<(BTreeMap<Date, Position>, Vec<Date>)> {
        let code = brin.as_bytes();
        // A day is sealed after it is over, and later still when the gateway was off.
        let until = *days.start()..=*super::ALWAYS.end();
        let wanted = |leaf: &Leaf| {
            let kind = matches!(leaf.kind, LeafKind::DaySeal | LeafKind::Disclosure);
            if kind && leaf.brin() == *code { Wanted::Leaf } else { Wanted::Nothing }
        };
        let (mut seals, mut with_rows) = (BTreeMap::new(), BTreeSet::new());
        self.reader.chunks(&until, &wanted, &mut |position, leaf, _| {
            let seal = leaf.kind == LeafKind::DaySeal;
            let day = day_of(if seal { leaf.start_ms } else { leaf.end_ms });
            if days.contains(&day) {
                if !seal {
                    let _ = leaf.rows > 0 && with_rows.insert(day);
                } else if position.0 < self.reader.published() {
                    seals.insert(day, position);
                }
            }
            Ok(())
        })?;
        let unsealed = with_rows.into_iter().filter(|day| !seals.contains_key(day)).collect();
        Ok((seals, unsealed))
    }
}

fn leaf_name(position: Position) -> String {
    format!("{}.tlog-proof", position.0)
}

/// A folder that is being filled. What is in it is about a person: nobody else may read it.
struct Folder<'p>(&'p Path);

impl<'p> Folder<'p> {
    fn make(path: &'p Path) -> Result<Self, EvidenceError> {
        let shown = || path.display().to_string();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| EvidenceError::io(&shown(), &error))?;
        let filled = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        let why = || "is not empty; name a folder that does not exist yet".into();
        if filled { Err(EvidenceError::Unusable { file: shown(), why: why() }) } else { Ok(Self(path)) }
    }

    fn put(&self, name: &str, text: &str) -> Result<(), EvidenceError> {
        debug_assert!(is_name(name));
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(self.0.join(name))?;
            // Not synced: there are thousands, all can be made again, and whoever verifies sees what is missing.
            file.write_all(text.as_bytes())
        };
        write().map_err(|error| EvidenceError::io(name, &error))
    }
}

/// Checks a folder of evidence, without the log: signatures, the leaves under them, and the rows under those. `key` is
/// the public key to believe; without it, the one in the folder, which proves no more than that it all fits together.
///
/// # Errors
///
/// [`EvidenceError`].
pub fn verify(folder: &Path, key: Option<Verifier>) -> Result<Shown, EvidenceError> {
    let read = |name: &str| read(folder, name);
    let unusable = |file: &str, why: &str| EvidenceError::Unusable { file: file.into(), why: why.into() };
    let altered =
        |file: &str, why: &dyn ToString| EvidenceError::Altered { file: file.into(), why: why.to_string() };
    // The error would quote the text.
    let manifest: Manifest = serde_json::from_str(&read("manifest.json")?)
        .ok()
        .filter(|manifest: &Manifest| manifest.format == FORMAT)
        .ok_or_else(|| unusable("manifest.json", "not a manifest of this form"))?;
    let key = match key {
        Some(key) => key,
        None => {
            let text = read("log.vkey")?;
            text.trim_end().parse().map_err(|error: crate::disclosure::note::KeyError| {
                unusable("log.vkey", &error.to_string())
            })?
        }
    };
    let shown_key = key.to_string();
    let verifiers = [key];
    let mut size = 0;
    let mut log: Option<String> = None;
    let mut leaf = |name: &str| -> Result<(u64, Leaf), EvidenceError> {
        let proof: TlogProof = read(name)?.parse().map_err(|error| altered(name, &error))?;
        let checkpoint = proof.verify(&proof.extra, &verifiers).map_err(|error| altered(name, &error))?;
        if log.get_or_insert_with(|| checkpoint.origin.clone()) != &checkpoint.origin {
            return Err(altered(name, &"is of another log than the others"));
        }
        size = size.max(checkpoint.size);
        let bytes: Option<&[u8; Leaf::SIZE]> =
            proof.extra.first_chunk().filter(|_| proof.extra.len() == Leaf::SIZE);
        let leaf =
            bytes.and_then(Leaf::from_bytes).ok_or_else(|| altered(name, &"holds no record of this form"))?;
        if leaf.brin() != *manifest.school.as_bytes() {
            return Err(altered(name, &"is of another school"));
        }
        Ok((proof.index, leaf))
    };
    // By inner root: a row says which it is under.
    let mut disclosures = HashMap::new();
    for name in &manifest.disclosures {
        let (position, leaf) = leaf(name)?;
        if leaf.kind != LeafKind::Disclosure {
            return Err(altered(name, &"is no disclosure"));
        }
        disclosures.insert(leaf.inner_root, (position, leaf));
    }
    let mut handles = Vec::new();
    for handle in &manifest.handles {
        let mut bytes = Handle::default();
        hex::decode_to_slice(handle, &mut bytes)
            .map_err(|_| unusable("manifest.json", "a handle is none"))?;
        handles.push(bytes);
    }
    let mut days = Vec::new();
    for ManifestDay { day, seal, rows: names } in &manifest.days {
        let (_, sealed) = leaf(seal)?;
        if sealed.kind != LeafKind::DaySeal || day_of(sealed.start_ms) != *day {
            return Err(altered(seal, &"is not the seal of this day"));
        }
        if names.len() != handles.len() {
            return Err(altered("manifest.json", &"a day has no proof for each handle"));
        }
        let mut shown = ShownDay { day: *day, rows: Vec::new(), erased: 0 };
        for (name, handle) in names.iter().zip(&handles) {
            let proof = SealProof::from_json(&read(name)?).map_err(|error| altered(name, &error))?;
            let proven = proof
                .verify(handle, &sealed.inner_root, sealed.rows)
                .map_err(|error| altered(name, &error))?;
            if let Completeness::AllButErased(erased) = proven.completeness {
                shown.erased += erased;
            }
            for row in proven.rows {
                let of = disclosures.get(&row.inner_root);
                let of = of.filter(|(_, leaf)| leaf.rows == row.count && day_of(leaf.end_ms) == *day);
                let (position, leaf) =
                    of.ok_or_else(|| altered(name, &"has a row of a disclosure that is not proven"))?;
                shown.rows.push((*position, leaf.recipient, row.row));
            }
        }
        shown.rows.sort_by_key(|(position, ..)| *position);
        days.push(shown);
    }
    let log = log.unwrap_or(manifest.log);
    Ok(Shown { log, size, key: shown_key, school: manifest.school, days, unsealed: manifest.unsealed })
}

fn read(folder: &Path, name: &str) -> Result<String, EvidenceError> {
    if !is_name(name) {
        return Err(EvidenceError::Unusable {
            file: "manifest.json".into(),
            why: "names a file elsewhere".into(),
        });
    }
    let path = folder.join(name);
    let sized = fs::metadata(&path).and_then(|metadata| {
        if metadata.len() > LONGEST {
            Err(io::ErrorKind::FileTooLarge.into())
        } else {
            fs::read_to_string(&path)
        }
    });
    sized.map_err(|error| EvidenceError::io(name, &error))
}
