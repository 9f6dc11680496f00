//! Key custody: one file a key, read once, held in memory that is wiped.
//!
//! | file | holds |
//! |---|---|
//! | `<BRIN>.pseudonym.<epoch>.key` | root key of a school's pseudonyms |
//! | `<BRIN>.log.<epoch>.key` | root key of what stands for persons in the log |
//! | `checkpoint.<epoch>.key` | seed of the Ed25519 key that signs the log's checkpoints; one for all schools |
//!
//! Each is 64 lower-case hexadecimal digits and a newline: 32 random bytes, mode 0600. The highest epoch is current;
//! older ones still open the tokens they made.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, fs,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ring::{hkdf, hmac, rand::SecureRandom};
use zeroize::Zeroizing;

use crate::{
    disclosure::{
        Leaf, LeafKind,
        note::{KeyError, Signer},
    },
    problem::Problem,
};

/// Which identifier of a person pseudonyms are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentitySource {
    /// The ECK iD of the feed.
    #[serde(rename = "eckid")]
    EckId,
    /// The key of the pupil administration.
    #[default]
    LasKey,
    /// BSN or onderwijsnummer. The law lets a PGN be used once to make a pseudonym (WPO art. 178a).
    Pgn,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Signatures under checkpoints of the log; of no school.
    Checkpoint,
    /// Handles and tags in the disclosure log.
    Log,
    /// Pseudonyms and tokens.
    Pseudonym,
}

impl Purpose {
    /// Its name in a file name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Log => "log",
            Self::Pseudonym => "pseudonym",
        }
    }
}

/// Thirty-two secret bytes. Neither printable nor comparable.
pub struct RootKey(Zeroizing<[u8; 32]>);

impl RootKey {
    /// A key of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The signer whose seed this is, under the name of a log.
    ///
    /// # Errors
    ///
    /// When a log cannot have that name.
    pub fn signer(&self, name: &str) -> Result<Signer, KeyError> {
        Signer::new(name, self.0.clone())
    }

    /// Eight hexadecimal digits that tell keys apart without telling the key: a wrong key that was restored shows.
    pub fn check_value(&self) -> String {
        let key = hmac::Key::new(hkdf::HKDF_SHA512.hmac_algorithm(), self.expose());
        hex::encode(&hmac::sign(&key, b"sluis key check v1").as_ref()[..4])
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

/// What may be said of a key.
#[derive(Debug, Clone)]
pub struct KeyInfo {
    /// The school; empty for a key of none.
    pub brin: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Its version.
    pub epoch: u16,
    /// See [`RootKey::check_value`].
    pub check_value: String,
    /// Its file.
    pub file: PathBuf,
}

/// The keys of all schools.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: BTreeMap<(String, Purpose), BTreeMap<u16, RootKey>>,
    files: Vec<KeyInfo>,
}

impl KeyRing {
    /// Reads a directory of keys and checks that the log has a key to sign with, and each of `schools` both of its
    /// keys. With no schools, nothing has to be there.
    ///
    /// # Errors
    ///
    /// Every problem there is, each with its mend; never a part of a key.
    pub fn load(directory: &Path, schools: &[&str]) -> Result<Self, Vec<Problem>> {
        let mut ring = Self::default();
        let mut problems = Vec::new();
        let mut entries: Vec<PathBuf> = match fs::read_dir(directory) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
            Err(error) => {
                let what = format!("the directory of keys cannot be read ({})", error.kind());
                return Err(vec![Problem::new(
                    directory,
                    what,
                    "make it with `sluis keys new`, or mend `keys` in the configuration",
                )]);
            }
        };
        entries.sort();
        let mut same: HashMap<String, PathBuf> = HashMap::new();
        for path in entries {
            if path.extension().is_none_or(|extension| extension != "key") {
                continue;
            }
            let Some((brin, purpose, epoch)) = parse_name(&path) else {
                problems.push(Problem::new(
                    path,
                    "a key file of this name belongs to no school and purpose",
                    "name it <BRIN>.pseudonym.<epoch>.key, <BRIN>.log.<epoch>.key or checkpoint.<epoch>.key, or remove it",
                ));
                continue;
            };
            match read(&path) {
                Err(problem) => problems.push(problem),
                Ok(key) => {
                    let check_value = key.check_value();
                    if let Some(other) = same.insert(hex::encode(key.expose()), path.clone()) {
                        problems.push(Problem::new(
                            &path,
                            format!("holds the same key as {}", other.display()),
                            "give each file a key of its own with `sluis keys new`",
                        ));
                    }
                    ring.files.push(KeyInfo { brin: brin.clone(), purpose, epoch, check_value, file: path });
                    ring.keys.entry((brin, purpose)).or_default().insert(epoch, key);
                }
            }
        }
        let own = schools.iter().flat_map(|&brin| [(brin, Purpose::Pseudonym), (brin, Purpose::Log)]);
        let wanted = own.chain((!schools.is_empty()).then_some((NO_SCHOOL, Purpose::Checkpoint)));
        for (brin, purpose) in wanted {
            let damaged = problems
                .iter()
                .any(|problem| parse_name(&problem.file).is_some_and(|(b, p, _)| b == brin && p == purpose));
            if ring.current(brin, purpose).is_none() && !damaged {
                let (what, make) = match purpose {
                    Purpose::Checkpoint => (
                        "no key to sign the log with".to_owned(),
                        "sluis keys new --purpose checkpoint".to_owned(),
                    ),
                    Purpose::Log | Purpose::Pseudonym => (
                        format!("no {} key for school {brin}", purpose.as_str()),
                        format!("sluis keys new --school {brin} --purpose {}", purpose.as_str()),
                    ),
                };
                let mend = format!("restore it from your backup, or make the first with `{make}`");
                problems.push(Problem::new(directory, what, mend));
            }
        }
        // The map was a means to compare; its strings are keys.
        for (key, _) in same.drain() {
            drop(Zeroizing::new(key));
        }
        if problems.is_empty() { Ok(ring) } else { Err(problems) }
    }

    /// The newest key, with its epoch.
    pub fn current(&self, brin: &str, purpose: Purpose) -> Option<(u16, &RootKey)> {
        self.all(brin, purpose).next()
    }

    /// All keys of a school for a purpose, newest first.
    pub fn all(&self, brin: &str, purpose: Purpose) -> impl Iterator<Item = (u16, &RootKey)> {
        let epochs = self.keys.get(&(brin.to_owned(), purpose));
        epochs.into_iter().flat_map(|epochs| epochs.iter().rev().map(|(&epoch, key)| (epoch, key)))
    }

    /// What may be said of the keys, by file name.
    pub fn list(&self) -> &[KeyInfo] {
        &self.files
    }

    /// The newest epoch of each key there is a file of, whether or not it can be read.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn newest(directory: &Path) -> io::Result<BTreeMap<(String, Purpose), u16>> {
        let mut newest = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            if let Some((brin, purpose, epoch)) = parse_name(&entry?.path()) {
                let kept = newest.entry((brin, purpose)).or_insert(epoch);
                *kept = epoch.max(*kept);
            }
        }
        Ok(newest)
    }

    /// What has to be on record of the keys in force: one leaf for each key of a school.
    pub fn in_force(&self) -> Vec<Leaf> {
        let current = self.keys.iter().filter_map(|((brin, purpose), epochs)| {
            let (&epoch, _) = epochs.last_key_value()?;
            Some((brin, *purpose, epoch))
        });
        // Which key signs the log, its checkpoints say themselves.
        current
            .filter(|&(_, purpose, _)| purpose != Purpose::Checkpoint)
            .map(|(brin, purpose, epoch)| key_epoch(brin, purpose, epoch, KeyStatus::Current))
            .collect()
    }

    /// Destroys a key of a school: its file is written over and removed. Says whether there was one.
    ///
    /// A file system that copies on write, or a disk that spreads its wear, may keep what was written over; and backups
    /// are out of reach.
    ///
    /// # Errors
    ///
    /// When the file may still be there.
    pub fn destroy(directory: &Path, brin: &str, purpose: Purpose, epoch: u16) -> io::Result<bool> {
        let path = directory.join(file_name(brin, purpose, epoch));
        let mut file = match fs::OpenOptions::new().write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        file.write_all(&vec![b'0'; length])?;
        file.sync_all()?;
        fs::remove_file(&path)?;
        fs::File::open(directory)?.sync_all()?;
        Ok(true)
    }

    /// Makes the next key of a school for a purpose; epoch 1 when there is none yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; an existing file is never overwritten.
    pub fn create(directory: &Path, brin: &str, purpose: Purpose) -> io::Result<PathBuf> {
        let newest = Self::newest(directory)?.get(&(brin.to_owned(), purpose)).copied().unwrap_or(0);
        let epoch = newest.checked_add(1).ok_or_else(|| io::Error::other("no epochs are left"))?;
        let path = directory.join(file_name(brin, purpose, epoch));
        let mut key = Zeroizing::new([0u8; 32]);
        ring::rand::SystemRandom::new()
            .fill(key.as_mut_slice())
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let text = Zeroizing::new(format!("{}\n", hex::encode(key.as_slice())));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::File::open(directory)?.sync_all()?;
        Ok(path)
    }
}

/// Stands where a key of no school would have a BRIN.
pub const NO_SCHOOL: &str = "";

/// What became of a key, as its leaf says it. Numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyStatus {
    /// It came into force.
    Current = 1,
    /// It is gone.
    Destroyed = 2,
}

/// What goes on record of a key.
pub fn key_epoch(brin: &str, purpose: Purpose, epoch: u16, status: KeyStatus) -> Leaf {
    let mut leaf = Leaf::new(LeafKind::KeyEpoch);
    leaf.controller = Leaf::controller_code(brin, "");
    leaf.status = status as u8;
    match purpose {
        Purpose::Checkpoint => {}
        Purpose::Log => leaf.log_epoch = epoch,
        Purpose::Pseudonym => leaf.pseudonym_epoch = epoch,
    }
    leaf
}

fn file_name(brin: &str, purpose: Purpose, epoch: u16) -> String {
    let school = if brin == NO_SCHOOL { String::new() } else { format!("{brin}.") };
    format!("{school}{}.{epoch}.key", purpose.as_str())
}

fn parse_name(path: &Path) -> Option<(String, Purpose, u16)> {
    let parts: Vec<&str> = path.file_name()?.to_str()?.split('.').collect();
    let (brin, purpose, epoch) = match parts[..] {
        ["checkpoint", epoch, "key"] => (NO_SCHOOL, Purpose::Checkpoint, epoch),
        [brin, "log", epoch, "key"] if is_brin(brin) => (brin, Purpose::Log, epoch),
        [brin, "pseudonym", epoch, "key"] if is_brin(brin) => (brin, Purpose::Pseudonym, epoch),
        _ => return None,
    };
    let epoch = epoch.parse().ok().filter(|&epoch| epoch > 0)?;
    Some((brin.to_owned(), purpose, epoch))
}

/// Two digits and two capitals.
pub fn is_brin(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 4
        && bytes[..2].iter().all(u8::is_ascii_digit)
        && bytes[2..].iter().all(u8::is_ascii_uppercase)
}

/// Refuses a secret file that others may read, or that is not a plain file.
///
/// # Errors
///
/// The problem, with the command that mends it.
pub fn check_private(path: &Path) -> Result<(), Problem> {
    let shown = path.display();
    let metadata = fs::symlink_metadata(path).map_err(|error| {
        Problem::new(path, format!("cannot be read ({})", error.kind()), "restore the file")
    })?;
    if !metadata.is_file() {
        return Err(Problem::new(path, "is not a regular file", "put the secret itself there, not a link"));
    }
    if metadata.mode() & 0o077 != 0 {
        let what = format!("others may read it (mode {:04o})", metadata.mode() & 0o7777);
        return Err(Problem::new(
            path,
            what,
            format!("run `chmod 600 {shown}`, and replace the secret if others had access"),
        ));
    }
    Ok(())
}

fn read(path: &Path) -> Result<RootKey, Problem> {
    check_private(path)?;
    let mut text = Zeroizing::new(Vec::with_capacity(128));
    fs::File::open(path).and_then(|file| file.take(128).read_to_end(&mut text)).map_err(|error| {
        Problem::new(path, format!("cannot be read ({})", error.kind()), "restore the file")
    })?;
    let digits = text.strip_suffix(b"\n").unwrap_or(&text);
    let lower = digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut key = Zeroizing::new([0u8; 32]);
    if !lower || hex::decode_to_slice(digits, key.as_mut_slice()).is_err() {
        return Err(Problem::new(
            path,
            format!(
                "is not a key: 64 lower-case hexadecimal digits and a newline are needed, it has {} bytes",
                text.len()
            ),
            "restore the file from your backup",
        ));
    }
    if key.iter().all(|&byte| byte == key[0]) {
        return Err(Problem::new(
            path,
            "is not random: all its bytes are alike",
            "make a key with `sluis keys new`",
        ));
    }
    Ok(RootKey(key))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn epochs_follow_one_another() {
        let dir = tempfile::tempdir().unwrap();
        KeyRing::create(dir.path(), NO_SCHOOL, Purpose::Checkpoint).unwrap();
        for purpose in [Purpose::Pseudonym, Purpose::Log, Purpose::Pseudonym] {
            KeyRing::create(dir.path(), "99DE", purpose).unwrap();
        }
        let ring = KeyRing::load(dir.path(), &["99DE"]).unwrap();
        assert_eq!(ring.current("99DE", Purpose::Pseudonym).unwrap().0, 2);
        assert_eq!(ring.all("99DE", Purpose::Pseudonym).map(|(epoch, _)| epoch).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(ring.list().len(), 4);
        assert_eq!(ring.current(NO_SCHOOL, Purpose::Checkpoint).unwrap().0, 1);
        assert!(ring.current("99DF", Purpose::Log).is_none());
    }

    #[test]
    fn every_problem_is_named_and_no_key_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let secret = "ab12".repeat(16);
        write(&at("99DE.pseudonym.1.key"), &secret, 0o644);
        write(&at("99DE.log.1.key"), "ab12\n", 0o600);
        write(&at("99DF.pseudonym.1.key"), &format!("{}\n", "00".repeat(32)), 0o600);
        write(&at("99DG.pseudonym.1.key"), &format!("{secret}\n"), 0o600);
        write(&at("99DG.log.1.key"), &format!("{secret}\n"), 0o600);
        write(&at("oud.key"), "x", 0o600);
        std::os::unix::fs::symlink(at("99DG.log.1.key"), at("99DH.log.1.key")).unwrap();
        let problems = KeyRing::load(dir.path(), &["99DE", "99DF", "99DH"]).unwrap_err();
        let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
        for expected in [
            "chmod 600",
            "it has 5 bytes",
            "all its bytes are alike",
            "the same key",
            "belongs to no school",
            "no log key for school 99DF",
            "no key to sign the log with",
            "is not a regular file",
            "no pseudonym key for school 99DH",
        ] {
            assert!(shown.iter().any(|problem| problem.contains(expected)), "{expected} in {shown:#?}");
        }
        assert!(!shown.iter().any(|problem| problem.contains("ab12ab")), "{shown:#?}");
    }
}
