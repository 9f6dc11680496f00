//! What stands for a school until something else is said: objections and consents, agreements in force, holds. One file
//! per school, `standing/<BRIN>.json`, and its SHA-256 in the leaf of the kind that changed it.
//!
//! Here the file is bytes; [`standing`](crate::standing) says what is in it. It begins with a salt that each change draws
//! anew, so that the hash, which stays in the log, confirms no guess at what was in it.
//!
//! A change makes a new file, so that one of two is the one on record, whenever a crash comes: it is written as
//! `<BRIN>.next`; its leaf is recorded; it takes the old one's place. At the next start the one that is on record takes
//! its place, and a place that has another is damage.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
};

use super::{
    Error,
    merkle::{Hash, hash},
    record::{Leaf, LeafKind},
    storage::{Storage, read_small},
};

/// Bytes of such a file at most.
const LARGEST: u64 = 64 << 20;

impl LeafKind {
    /// Whether a leaf of this kind carries the hash of what stands for its school.
    pub(super) fn carries_standing(self) -> bool {
        match self {
            Self::AgreementActivated
            | Self::Drift
            | Self::Hold
            | Self::Notice
            | Self::ReviewAttestation
            | Self::Right => true,
            Self::Account
            | Self::DaySeal
            | Self::Disclosure
            | Self::KeyEpoch
            | Self::LogRead
            | Self::Outcome
            | Self::Pruned
            | Self::Recovery
            | Self::RetentionErase
            | Self::RollUp
            | Self::Start
            | Self::Withheld => false,
        }
    }
}

/// The storage, for whoever reads or replaces what stands, one at a time; none once the log is closed.
pub(super) type Replacing = Arc<Mutex<Option<Arc<dyn Storage>>>>;

/// Newest hashes on record, by school.
pub(super) type OnRecord = HashMap<[u8; 4], Hash>;

/// Takes a leaf into account.
pub(super) fn note(known: &mut OnRecord, leaf: &Leaf) {
    if leaf.kind.carries_standing() {
        known.insert(leaf.brin(), leaf.inner_root);
    }
}

/// The file of a school.
pub(super) fn standing_name(brin: &str) -> String {
    format!("standing/{brin}.json")
}

/// The one that is to take its place.
pub(super) fn next_name(brin: &str) -> String {
    format!("standing/{brin}.next")
}

/// The school of a file, by its name, and whether the file is to take another's place.
pub(super) fn school_of(name: &str) -> Option<(&str, bool)> {
    match name.split_once('.')? {
        (brin, "json") => Some((brin, false)),
        (brin, "next") => Some((brin, true)),
        _ => None,
    }
}

/// Reads a file whole; nothing when there is none.
pub(super) fn read(storage: &dyn Storage, name: &str) -> io::Result<Option<Vec<u8>>> {
    match read_small(storage, name, LARGEST) {
        // There is no folder of a log at all; whoever opens the log says so.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        read => read,
    }
}

/// The hash of a file; nothing when there is none.
pub(super) fn hash_of(storage: &dyn Storage, name: &str) -> io::Result<Option<Hash>> {
    Ok(read(storage, name)?.map(|bytes| hash(&[&bytes])))
}

/// Puts bytes in the place of what stands for the school of a leaf. `record` puts the leaf on record.
///
/// # Errors
///
/// When they are not on record; or when they are and the file is not in its place, which [`Replaced::Half`] tells.
pub(super) fn replace(
    storage: &dyn Storage,
    brin: &str,
    bytes: &[u8],
    mut leaf: Leaf,
    record: impl FnOnce(Leaf) -> Result<(), Error>,
) -> Result<(), Replaced> {
    let failed = |error: io::Error| Error::Write(error.kind());
    leaf.controller = Leaf::controller_code(brin, "");
    leaf.inner_root = hash(&[bytes]);
    storage.put(&[(next_name(brin), bytes.to_vec())]).map_err(|error| Replaced::Not(failed(error)))?;
    record(leaf).map_err(Replaced::Not)?;
    storage
        .put(&[(standing_name(brin), bytes.to_vec())])
        .and_then(|()| storage.remove(&next_name(brin)))
        .map_err(|error| Replaced::Half(failed(error)))
}

/// Why something does not stand.
pub(super) enum Replaced {
    /// It is on record, and its file is not in place: only a start puts that in order.
    Half(Error),
    /// It is not on record.
    Not(Error),
}

/// Puts in order what a crash has left, and holds what stands against the newest that the write-ahead log says of it.
///
/// # Errors
///
/// [`Error::Damaged`] where a file is not the one on record.
pub(super) fn settle(storage: &dyn Storage, known: &OnRecord) -> Result<(), Error> {
    let failed = |error: io::Error| Error::Write(error.kind());
    for name in storage.list("standing").map_err(Error::Open)? {
        let Some((brin, true)) = school_of(&name) else { continue };
        let next = read(storage, &next_name(brin)).map_err(Error::Open)?.unwrap_or_default();
        let recorded = known.iter().any(|(code, root)| code == brin.as_bytes() && *root == hash(&[&next]));
        if recorded {
            storage.put(&[(standing_name(brin), next)]).map_err(failed)?;
        }
        storage.remove(&next_name(brin)).map_err(failed)?;
    }
    for (code, root) in known {
        let name = standing_name(&String::from_utf8_lossy(code));
        if hash_of(storage, &name).map_err(Error::Open)? != Some(*root) {
            return Err(Error::Damaged { file: name, offset: 0 });
        }
    }
    Ok(())
}
