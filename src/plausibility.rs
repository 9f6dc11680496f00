//! Whether a delivery is plausible beside the one before it: an export that went wrong shows in how many pupils are
//! gone, how many are different, and which fields are suddenly there or not.
//!
//! Of the last whole delivery to each recipient of a school there is a *baseline* beside the log:
//! `baseline/<BRIN>/<recipient>-<vestiging>.base`, of a delivery that is held `….held`. It holds shortened handles and MACs of the log
//! and no more. It is no record: without one, the next delivery is compared with nothing, as a first one is.
//!
//! | baseline | bytes | |
//! |---|---|---|
//! | 0 | 8, 4, 4 | `SLUISBAS`, version 1, CRC-32 of what follows |
//! | 16 | 32, 4, 2, 2 | agreement, catalogue, epochs of pseudonym and log key: what MACs and handles depend on |
//! | 56 | 4, 64 × 4 | pupils; of how many of them each field left, by its bit |
//! | 316 | 8 + 4 each | pupils: first bytes of handle and MAC, sorted |

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::catalogue,
    disclosure::{Leaf, Row, RowOutcome, Subject},
};

const MAGIC: &[u8; 8] = b"SLUISBAS";
const VERSION: u32 = 1;
const HEAD: usize = 316;
const PUPIL: usize = 12;
const BITS: usize = 64;
/// More pupils than any school has: a feed of more is not held against one of before.
const MOST: usize = 20_000;
/// Room is made for so many pupils at a time.
const ROOM: usize = 1024;

/// From where on a difference is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Pupils that are new or different, in percent of those there are now.
    pub changed_percent: u8,
    /// Pupils that are gone, in percent of those there were.
    pub gone_percent: u8,
    /// Percentage points by which the share of pupils that have a field may differ.
    pub fill_points: u8,
    /// A delivery before of fewer pupils tells nothing: of a handful, one is a large part.
    pub from_pupils: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { changed_percent: 75, gone_percent: 10, fill_points: 50, from_pupils: 25 }
    }
}

/// What a delivery came to, for the next to be held against.
#[derive(Clone, PartialEq)]
pub struct Baseline {
    agreement: [u8; 32],
    catalogue: u32,
    pseudonym_epoch: u16,
    log_epoch: u16,
    fill: [u32; BITS],
    /// Sorted by handle.
    pupils: Vec<([u8; 8], [u8; 4])>,
}

/// How a delivery differs from the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Pupils there were.
    pub before: u32,
    /// Pupils there are.
    pub now: u32,
    /// Pupils that are gone.
    pub gone: u32,
    /// Pupils that are new or different.
    pub changed: u32,
    /// Fields of which the share of pupils that have them jumps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Which of these is too much; the other numbers are for whoever decides.
    pub too_much: Vec<TooMuch>,
}

/// What is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TooMuch {
    /// Pupils that are new or different.
    Changed,
    /// How many pupils have a field.
    Fill,
    /// Pupils that are gone.
    Gone,
}

impl Baseline {
    /// One for a delivery that begins, by a leaf of it.
    fn begin(leaf: &Leaf) -> Self {
        Self {
            agreement: leaf.agreement,
            catalogue: leaf.catalogue,
            pseudonym_epoch: leaf.pseudonym_epoch,
            log_epoch: leaf.log_epoch,
            fill: [0; BITS],
            pupils: Vec::new(),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.pupils.len() * PUPIL);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.agreement);
        bytes.extend_from_slice(&self.catalogue.to_le_bytes());
        bytes.extend_from_slice(&self.pseudonym_epoch.to_le_bytes());
        bytes.extend_from_slice(&self.log_epoch.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.pupils.len()).expect("at most MOST").to_le_bytes());
        self.fill.iter().for_each(|count| bytes.extend_from_slice(&count.to_le_bytes()));
        for (handle, mac) in &self.pupils {
            bytes.extend_from_slice(handle);
            bytes.extend_from_slice(mac);
        }
        let crc = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let whole = bytes.get(..8)? == MAGIC
            && number(8)? == VERSION
            && number(12)? == crc32fast::hash(bytes.get(16..)?)
            && bytes.len() == HEAD + number(56)? as usize * PUPIL;
        if !whole {
            return None;
        }
        let mut fill = [0; BITS];
        for (bit, count) in fill.iter_mut().enumerate() {
            *count = number(60 + 4 * bit)?;
        }
        let pupils = bytes[HEAD..].chunks_exact(PUPIL).filter_map(|pupil| {
            let (handle, mac) = pupil.split_first_chunk::<8>()?;
            Some((*handle, mac.try_into().ok()?))
        });
        Some(Self {
            agreement: bytes[16..48].try_into().ok()?,
            catalogue: number(48)?,
            pseudonym_epoch: half(52)?,
            log_epoch: half(54)?,
            fill,
            pupils: pupils.collect(),
        })
    }

    fn find(&self, handle: &[u8; 8]) -> Option<usize> {
        self.pupils.binary_search_by_key(&handle, |(known, _)| known).ok()
    }

    /// SHA-256 of its bytes: two deliveries of the same have the same.
    pub fn hash(&self) -> [u8; 32] {
        let hash = ring::digest::digest(&ring::digest::SHA256, &self.to_bytes());
        hash.as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }

    /// Puts it in the place of the one there is, unless that is the same: a new file waits for the disk, and mostly nothing
    /// has changed.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        let bytes = self.to_bytes();
        if fs::read(path).is_ok_and(|known| known == bytes) {
            return Ok(());
        }
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Exchanges of the same school and recipient may end at the same time.
        let partial = path.with_extension(format!("{}.partial", uuid::Uuid::now_v7()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(&bytes)?;
        drop(file);
        fs::rename(&partial, path)
    }
}

impl fmt::Debug for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Baseline({} pupils)", self.pupils.len())
    }
}

/// Where the baselines of a school and recipient are: of the last whole delivery, and of one that is held.
#[derive(Debug, Clone)]
pub struct Places {
    /// Of the last whole delivery.
    pub base: PathBuf,
    /// Of one that is held.
    pub held: PathBuf,
}

impl Places {
    /// Beside the log in a folder.
    pub fn of(data: &Path, brin: &str, dependance: Option<&str>, recipient: &str) -> Self {
        let folder = data.join("baseline").join(brin);
        // Two vestigingen have not one pupil in common.
        let name = hex::encode(Leaf::recipient_code(recipient));
        let name = format!("{name}-{}", dependance.unwrap_or("alle"));
        Self { base: folder.join(format!("{name}.base")), held: folder.join(format!("{name}.held")) }
    }
}

/// Follows a delivery, beside the one before.
#[derive(Debug)]
pub struct Judge {
    thresholds: Thresholds,
    before: Option<Baseline>,
    /// What is kept, where it tells nothing about the delivery.
    apart: Option<Baseline>,
    now: Baseline,
    /// Which of the pupils there were have been seen again, and how many that are.
    again: Vec<bool>,
    came_again: u32,
    changed: u32,
    /// There are more pupils than a school has.
    beyond: bool,
}

impl Judge {
    /// One for a delivery that begins, by a leaf of it.
    pub fn begin(thresholds: Thresholds, places: &Places, leaf: &Leaf) -> Self {
        let before = fs::read(&places.base).ok().and_then(|bytes| Baseline::from_bytes(&bytes));
        // Handles under another key tell nothing about the same pupils.
        let comparable = |before: &Baseline| {
            before.log_epoch == leaf.log_epoch && before.pupils.len() >= thresholds.from_pupils as usize
        };
        let (before, apart) = match before {
            Some(before) if comparable(&before) => (Some(before), None),
            other => (None, other),
        };
        let again = vec![false; before.as_ref().map_or(0, |before| before.pupils.len())];
        let now = Baseline::begin(leaf);
        Self { thresholds, before, apart, now, again, came_again: 0, changed: 0, beyond: false }
    }

    /// Whether there is something to hold the delivery against: then nothing of it should leave before it is judged.
    pub fn compares(&self) -> bool {
        self.before.is_some() && !self.beyond
    }

    /// Takes the rows of a chunk into account.
    pub fn see(&mut self, rows: &[Row]) {
        let pupils = rows.iter().filter(|row| row.subject == Subject::Leerling && row.handle != [0; 16]);
        for row in pupils {
            if self.now.pupils.len() == MOST {
                self.beyond = true;
                self.now.pupils = Vec::new();
            }
            if self.beyond {
                return;
            }
            if self.now.pupils.len() == self.now.pupils.capacity() {
                // Twice as much would be too much: there is one of these for each delivery under way.
                self.now.pupils.reserve_exact(ROOM);
            }
            let handle: [u8; 8] = *row.handle.first_chunk().expect("a handle has 16 bytes");
            let left = row.outcome == RowOutcome::Released;
            let mac: [u8; 4] =
                if left { *row.mac.first_chunk().expect("a MAC has 16 bytes") } else { [0; 4] };
            if left {
                for (bit, count) in self.now.fill.iter_mut().enumerate() {
                    *count += u32::from(row.released >> bit & 1 == 1);
                }
            }
            if let Some(before) = &self.before {
                let place = before.find(&handle);
                if let Some(place) = place {
                    self.came_again += u32::from(!std::mem::replace(&mut self.again[place], true));
                }
                let known = place.map(|place| &before.pupils[place].1);
                // What leaves of a pupil is different too where the agreement is, or the key of its pseudonym.
                let same_terms = before.agreement == self.now.agreement
                    && before.catalogue == self.now.catalogue
                    && before.pseudonym_epoch == self.now.pseudonym_epoch;
                let different = |known: &[u8; 4]| same_terms && *known != [0; 4] && left && *known != mac;
                self.changed += u32::from(known.is_none_or(different));
            }
            self.now.pupils.push((handle, mac));
        }
    }

    /// How the delivery differs too much from the one before; nothing where it does not. `whole`: it has been seen to its
    /// end; before that, pupils that are not there may still come.
    pub fn judge(&self, whole: bool) -> Option<Difference> {
        let before = self.before.as_ref().filter(|_| !self.beyond)?;
        let Thresholds { changed_percent, gone_percent, fill_points, from_pupils } = self.thresholds;
        let (was, now) = (count(&before.pupils), count(&self.now.pupils));
        let gone = if whole { was - self.came_again } else { 0 };
        let over =
            |part: u32, all: u32, percent: u8| u64::from(part) * 100 > u64::from(all) * u64::from(percent);
        let mut too_much = Vec::new();
        if over(gone, was, gone_percent) {
            too_much.push(TooMuch::Gone);
        }
        if now >= from_pupils.min(was) && over(self.changed, now, changed_percent) {
            too_much.push(TooMuch::Changed);
        }
        let fields =
            if whole && before.agreement == self.now.agreement { self.jumps(before) } else { Vec::new() };
        if !fields.is_empty() && fill_points < 100 {
            too_much.push(TooMuch::Fill);
        }
        if too_much.is_empty() {
            return None;
        }
        Some(Difference { before: was, now, gone, changed: self.changed, fields, too_much })
    }

    fn jumps(&self, before: &Baseline) -> Vec<String> {
        let share = |count: u32, all: i64| i64::from(count) * 100 / all.max(1);
        // Of whoever is kept out by an objection no field leaves, and no field is missing.
        let released = |pupils: &[([u8; 8], [u8; 4])]| {
            i64::try_from(pupils.iter().filter(|(_, mac)| *mac != [0; 4]).count()).expect("at most MOST")
        };
        let (was, now) = (released(&before.pupils), released(&self.now.pupils));
        let limit = i64::from(self.thresholds.fill_points);
        let fields = catalogue().fields().iter().filter(|field| {
            let kind = catalogue().record(field.record);
            let Some(bit) = field.bit.filter(|_| kind.person == Some(crate::catalogue::Person::Leerling))
            else {
                return false;
            };
            let (before, after) = (before.fill[usize::from(bit)], self.now.fill[usize::from(bit)]);
            was > 0 && now > 0 && (share(before, was) - share(after, now)).abs() > limit
        });
        fields.map(|field| field.name.clone()).collect()
    }

    /// What the next delivery is held against, when this one was whole; nothing where it has more pupils than a school, or
    /// where it is what is kept already.
    pub fn into_baseline(mut self) -> Option<Baseline> {
        let comparable = !self.beyond && !self.now.pupils.is_empty();
        let kept = self.before.take().or(self.apart.take());
        comparable.then(|| self.into_held()).filter(|now| kept.as_ref() != Some(now))
    }

    /// What a delivery that is held came to. With none of the pupils left it is empty, and once approved the next is
    /// compared with nothing.
    pub fn into_held(self) -> Baseline {
        let Self { mut now, .. } = self;
        now.pupils.sort_unstable();
        now.pupils.dedup_by_key(|pupil| pupil.0);
        now
    }
}

fn count(pupils: &[([u8; 8], [u8; 4])]) -> u32 {
    u32::try_from(pupils.len()).expect("at most MOST")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::disclosure::LeafKind;

    fn row(number: u32, mac: u8, released: u64) -> Row {
        let mut row = Row::new(Subject::Leerling, number);
        row.handle[4..8].copy_from_slice(&(number + 1).to_be_bytes());
        row.mac = [mac; 16];
        row.released = released;
        row.outcome = RowOutcome::Released;
        row
    }

    fn places(dir: &Path) -> Places {
        Places::of(dir, "99DE", None, "noordzee")
    }

    fn judge(dir: &Path, leaf: &Leaf, rows: &[Row]) -> Judge {
        let mut judge = Judge::begin(Thresholds::default(), &places(dir), leaf);
        rows.chunks(7).for_each(|rows| judge.see(rows));
        judge
    }

    fn hundred() -> Vec<Row> {
        (0..100).map(|number| row(number, 1, 0b11)).collect()
    }

    #[test]
    fn a_baseline_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let leaf = Leaf::new(LeafKind::Disclosure);
        let rows: Vec<_> = hundred().into_iter().rev().collect();
        let baseline = judge(dir.path(), &leaf, &rows).into_baseline().unwrap();
        let bytes = baseline.to_bytes();
        assert_eq!(Baseline::from_bytes(&bytes), Some(baseline.clone()));
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert_eq!(Baseline::from_bytes(&altered), None, "byte {at}");
        }
        assert_eq!(Baseline::from_bytes(&bytes[..bytes.len() - 1]), None);
        baseline.write(&places(dir.path()).base).unwrap();
        assert!(judge(dir.path(), &leaf, &[]).compares());
    }

    #[test]
    fn only_what_differs_is_written() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let (leaf, base) = (Leaf::new(LeafKind::Disclosure), places(dir.path()).base);
        let write = |rows: &[Row]| {
            let baseline = judge(dir.path(), &leaf, rows).into_held();
            baseline.write(&base).unwrap();
            assert_eq!(fs::read(&base).unwrap(), baseline.to_bytes());
            fs::metadata(&base).unwrap().ino()
        };
        let first = write(&hundred());
        assert_eq!(write(&hundred()), first, "the same file");
        assert_ne!(write(&hundred()[1..]), first);
        fs::OpenOptions::new().write(true).open(&base).unwrap().set_len(3).unwrap();
        write(&hundred()[1..]);
    }

    #[test]
    fn what_differs_too_much_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let leaf = Leaf::new(LeafKind::Disclosure);
        let first = judge(dir.path(), &leaf, &hundred());
        assert!(!first.compares());
        assert_eq!(first.judge(true), None, "there was none before");
        first.into_baseline().unwrap().write(&places(dir.path()).base).unwrap();

        let too_much = |rows: &[Row]| {
            judge(dir.path(), &leaf, rows).judge(true).map_or(Vec::new(), |difference| difference.too_much)
        };
        assert_eq!(too_much(&hundred()), []);
        let ninety = &hundred()[..90];
        assert_eq!(too_much(ninety), []);
        assert_eq!(too_much(&ninety[..89]), [TooMuch::Gone]);
        let different = |count: usize| {
            let rows = hundred().into_iter().enumerate();
            rows.map(|(place, mut row)| {
                row.mac = [if place < count { 2 } else { 1 }; 16];
                row
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(too_much(&different(75)), []);
        assert_eq!(too_much(&different(76)), [TooMuch::Changed]);
        let without = |count: usize| {
            let rows = hundred().into_iter().enumerate();
            rows.map(|(place, mut row)| {
                row.released = if place < count { 0b01 } else { 0b11 };
                row
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(too_much(&without(50)), []);
        assert_eq!(too_much(&without(51)), [TooMuch::Fill]);
        assert_eq!(judge(dir.path(), &leaf, &[]).judge(true).unwrap().gone, 100);
        // Before its end, whoever is not there may still come.
        assert_eq!(judge(dir.path(), &leaf, &ninety[..10]).judge(false), None);

        // Another agreement makes every record different, which is nobody's fault; another log key every handle.
        let mut other = leaf.clone();
        other.agreement = [7; 32];
        assert_eq!(judge(dir.path(), &other, &different(100)).judge(true), None);
        other.log_epoch = 2;
        assert!(!judge(dir.path(), &other, &hundred()).compares());
    }

    #[test]
    fn few_pupils_and_too_many_are_not_judged() {
        let dir = tempfile::tempdir().unwrap();
        let leaf = Leaf::new(LeafKind::Disclosure);
        let few = judge(dir.path(), &leaf, &hundred()[..24]);
        few.into_baseline().unwrap().write(&places(dir.path()).base).unwrap();
        assert!(!judge(dir.path(), &leaf, &[]).compares());
        let rows: Vec<_> = (0..20_001).map(|number| row(number, 1, 1)).collect();
        let many = judge(dir.path(), &leaf, &rows);
        assert!(!many.compares());
        assert_eq!(many.into_baseline(), None);
    }
}
