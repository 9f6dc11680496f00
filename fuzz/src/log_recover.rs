//! A log that somebody has been at is found wanting, or it still says what was written, to the last row.
//!
//! The log of `fuzz/log` is taken apart as the bytes say: flipped, cut, copied over one another, removed, and its frames
//! made to fit again, as who can write the files could make them. Only the copy of the checkpoint is out of reach.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use arbitrary::{Arbitrary, Unstructured};
use jiff::civil::{Date, date};
use ring::digest::{Context, SHA256};
use sluis::{
    clock::{Clock, FixedClock, day_start_ms},
    disclosure::{
        Against, Leaf, LeafKind, Log, Reader, Report, Retention, Row, Site, Subject, VerifyError, Wanted,
        merkle, note::Signer, verify,
    },
};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// The day on which the log of `fuzz/log` ends.
pub const LAST_DAY: Date = date(2026, 11, 24);
const MOST_CHANGES: usize = 8;
const LONGEST: usize = 64 * 1024;

/// One thing that is done to the log.
#[derive(Debug, Arbitrary)]
enum Change {
    Append {
        file: u8,
        bytes: [u8; 8],
        times: u8,
    },
    Bytes {
        file: u8,
        at: u16,
        bytes: [u8; 4],
    },
    Copy {
        from: u8,
        at: u16,
        length: u16,
        to: u8,
        into: u16,
    },
    Cut {
        file: u8,
        at: u16,
    },
    Flip {
        file: u8,
        at: u16,
        bit: u8,
    },
    /// Makes all frames of a segment fit: lengths stay, links, checksums and roots of rows are made anew.
    Mend {
        file: u8,
        from: u8,
    },
    MoveFrame {
        file: u8,
        from: u8,
        to: u8,
        keep: bool,
    },
    Remove {
        file: u8,
    },
    Rename {
        from: u8,
        to: u8,
    },
    Row {
        file: u8,
        frame: u8,
        row: u8,
        released: u64,
    },
    Zero {
        file: u8,
        at: u16,
        length: u16,
    },
}

type Files = BTreeMap<String, Vec<u8>>;

/// The log as it was written, and what it says.
struct Original {
    files: Files,
    copy: Vec<u8>,
    says: Vec<Said>,
}

/// A leaf, with its rows.
type Said = (Leaf, Vec<Row>);

static ORIGINAL: LazyLock<Original> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("log");
    let mut files = Files::new();
    gather(&folder.join("data"), "", &mut files);
    let copy = fs::read(folder.join("checkpoint")).expect("the log to begin with is there");
    let place = Place::new(&files, &copy);
    place.verify().expect("the log to begin with is intact");
    let says = place.says().expect("it can be read");
    Original { files, copy, says }
});

fn gather(folder: &Path, name: &str, files: &mut Files) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let own = path.file_name().expect("a name").to_string_lossy().into_owned();
        let name = if name.is_empty() { own } else { format!("{name}/{own}") };
        if path.is_dir() {
            gather(&path, &name, files);
        } else {
            files.insert(name, fs::read(&path).expect("a file"));
        }
    }
}

/// A log on disk, of which nothing survives a crash of the machine.
struct Place(TempDir);

impl Place {
    fn new(files: &Files, copy: &[u8]) -> Self {
        let place = Self(TempDir::new().expect("a folder"));
        for (name, bytes) in files {
            let path = place.0.path().join("data").join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        }
        fs::write(place.copy(), copy).expect("a file");
        place
    }

    fn copy(&self) -> PathBuf {
        self.0.path().join("checkpoint")
    }

    fn verify(&self) -> Result<Report, VerifyError> {
        let against = Against { key: Some(signer().verifier().clone()), copy: Some(self.copy()) };
        verify(&self.0.path().join("data"), &against, &mut |_, _| {})
    }

    fn says(&self) -> std::io::Result<Vec<Said>> {
        let mut says = Vec::new();
        let all = Date::new(2000, 1, 1).expect("a day")..=Date::new(2100, 1, 1).expect("a day");
        Reader::open(&self.0.path().join("data"))?.chunks(
            &all,
            &|_| Wanted::Rows,
            &mut |_, leaf, rows| {
                says.push((leaf.clone(), rows.iter().map(|located| located.row.clone()).collect()));
                Ok(())
            },
        )?;
        Ok(says)
    }
}

fn signer() -> Signer {
    Signer::new("sluis.example/log", Zeroizing::new([7; 32])).expect("a name")
}

/// A log in a folder, as the one of `fuzz/log`.
pub fn site(folder: &Path) -> Site {
    Site {
        directory: folder.join("data"),
        copy: folder.join("checkpoint"),
        signer: signer(),
        earlier: Vec::new(),
        retention: Retention::default(),
    }
}

fn clock(day: Date) -> Arc<dyn Clock> {
    let ms = i64::try_from(day_start_ms(day)).expect("this century") + 8 * 3_600_000;
    Arc::new(FixedClock(jiff::Timestamp::from_millisecond(ms).expect("this century")))
}

/// Writes a log to begin with: a day that is sealed, and one that is not.
pub fn make(folder: &Path) {
    for day in [date(2026, 11, 23), LAST_DAY] {
        let log = Log::open(site(folder), clock(day)).expect("a new log");
        for delivery in 1..=2 {
            for chunk in 0..2 {
                let mut leaf = Leaf::new(LeafKind::Disclosure);
                leaf.controller = Leaf::controller_code("99DE", "00");
                leaf.span_id = [delivery; 8];
                leaf.chunk = chunk;
                let rows = (0..3).map(|number| {
                    let mut row = Row::new(Subject::Leerling, number);
                    row.handle = [delivery * 4 + u8::try_from(number).expect("few"); 16];
                    row.released = 1 << (number % 40);
                    row
                });
                let disclosure = sluis::disclosure::Disclosure { leaf, rows: rows.collect() };
                let _ = log.record_blocking(disclosure, ()).expect("it is recorded");
            }
        }
        log.close();
    }
}

impl Change {
    fn make(self, files: &mut Files) {
        let names: Vec<String> = files.keys().cloned().collect();
        let Some(last) = names.len().checked_sub(1) else { return };
        let name = |number: u8| &names[usize::from(number).min(last)];
        let segment = |number: u8| {
            let segments: Vec<_> = names.iter().filter(|name| name.starts_with("wal/")).collect();
            segments.get(usize::from(number) % segments.len().max(1)).copied()
        };
        match self {
            Self::Append { file, bytes, times } => {
                let file = files.get_mut(name(file)).expect("it is there");
                file.extend(bytes.repeat(usize::from(times)));
                file.truncate(LONGEST);
            }
            Self::Bytes { file, at, bytes } => {
                let file = files.get_mut(name(file)).expect("it is there");
                let at = usize::from(at).min(file.len().saturating_sub(bytes.len()));
                file.iter_mut().skip(at).zip(bytes).for_each(|(old, new)| *old = new);
            }
            Self::Copy { from, at, length, to, into } => {
                let from = &files[name(from)];
                let at = usize::from(at).min(from.len());
                let part = from[at..(at + usize::from(length)).min(from.len())].to_owned();
                let to = files.get_mut(name(to)).expect("it is there");
                let into = usize::from(into).min(to.len());
                let until = (into + part.len()).min(to.len());
                to.splice(into..until, part);
            }
            Self::Cut { file, at } => files.get_mut(name(file)).expect("it is there").truncate(at.into()),
            Self::Flip { file, at, bit } => {
                let file = files.get_mut(name(file)).expect("it is there");
                let length = file.len().max(1);
                if let Some(byte) = file.get_mut(usize::from(at) % length) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Mend { file, from } => {
                if let Some(segment) = segment(file) {
                    mend(files.get_mut(segment).expect("it is there"), from.into());
                }
            }
            Self::MoveFrame { file, from, to, keep } => {
                let Some(segment) = segment(file) else { return };
                let bytes = files.get_mut(segment).expect("it is there");
                let all = frames(bytes);
                if all.is_empty() {
                    return;
                }
                let (from, to) = (&all[usize::from(from) % all.len()], &all[usize::from(to) % all.len()]);
                let frame = bytes[from.clone()].to_owned();
                let at = to.start;
                if !keep {
                    bytes.drain(from.clone());
                }
                let at = if keep || at <= from.start { at } else { at - frame.len() };
                bytes.splice(at..at, frame);
                bytes.truncate(LONGEST);
            }
            Self::Remove { file } => drop(files.remove(name(file))),
            Self::Rename { from, to } => {
                let bytes = files.remove(name(from)).expect("it is there");
                files.insert(name(to).clone(), bytes);
            }
            Self::Row { file, frame, row, released } => {
                let Some(segment) = segment(file) else { return };
                let bytes = files.get_mut(segment).expect("it is there");
                let all = frames(bytes);
                let Some(frame) = all.get(usize::from(frame) % all.len().max(1)) else { return };
                let first = frame.start + FRAME + Leaf::SIZE + SALT;
                let at = first + usize::from(row % 4) * Row::SIZE + 24;
                if at + 8 <= frame.end {
                    bytes[at..at + 8].copy_from_slice(&released.to_le_bytes());
                }
            }
            Self::Zero { file, at, length } => {
                let file = files.get_mut(name(file)).expect("it is there");
                file.iter_mut().skip(at.into()).take(length.into()).for_each(|byte| *byte = 0);
            }
        }
    }
}

const HEADER: usize = 56;
pub(crate) const FRAME: usize = 48;
pub(crate) const SALT: usize = 32;

/// Where the frames of a segment are, by their lengths.
pub(crate) fn frames(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = HEADER;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let end = at + FRAME + length;
        if length < Leaf::SIZE || end > bytes.len() {
            break;
        }
        found.push(at..end);
        at = end;
    }
    found
}

/// Makes frames fit from this one on: positions, roots of rows, links and checksums.
fn mend(bytes: &mut [u8], from: usize) {
    let all = frames(bytes);
    let Some(header) = bytes.get(16..HEADER) else { return };
    let first = u64::from_le_bytes(header[..8].try_into().expect("eight bytes"));
    let mut link: [u8; 32] = header[8..].try_into().expect("32 bytes");
    for (index, frame) in all.into_iter().enumerate() {
        let frame = &mut bytes[frame];
        if index >= from {
            frame[8..16].copy_from_slice(&(first.wrapping_add(index as u64)).to_le_bytes());
            let (head, body) = frame.split_at_mut(FRAME);
            let (leaf, block) = body.split_at_mut(Leaf::SIZE);
            if let Some(mut said) = Leaf::from_bytes((&*leaf).try_into().expect("its size"))
                && block.len() > SALT
            {
                let rows: Vec<Row> = block[SALT..]
                    .chunks_exact(Row::SIZE)
                    .filter_map(|row| Row::from_bytes(row.try_into().expect("its size")))
                    .collect();
                said.rows = u32::try_from(rows.len()).expect("few");
                said.released = rows.iter().fold(0, |all, row| all | row.released);
                said.withheld = rows.iter().fold(0, |all, row| all | row.withheld);
                let salt: [u8; SALT] = block[..SALT].try_into().expect("its size");
                said.inner_root = merkle::inner_root(&salt, block[SALT..].chunks_exact(Row::SIZE));
                leaf.copy_from_slice(&said.to_bytes());
            }
            let mut hash = Context::new(&SHA256);
            hash.update(&link);
            hash.update(body);
            head[16..48].copy_from_slice(hash.finish().as_ref());
            let crc = crc32fast::hash(&frame[8..]);
            frame[4..8].copy_from_slice(&crc.to_le_bytes());
        }
        link = frame[16..48].try_into().expect("32 bytes");
    }
}

pub fn run(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let mut files = ORIGINAL.files.clone();
    for _ in 0..MOST_CHANGES {
        if bytes.is_empty() {
            break;
        }
        let Ok(change) = Change::arbitrary(&mut bytes) else { break };
        change.make(&mut files);
    }
    let place = Place::new(&files, &ORIGINAL.copy);
    let original = &ORIGINAL.says;

    // Whoever reads it as it is must not come to grief, whatever it then says.
    let read = place.says();
    let intact = place.verify();
    if let Ok(report) = &intact {
        let says = read.expect("what is intact can be read");
        assert!(
            says.len() >= original.len() && says[..original.len()] == original[..],
            "altered, and found intact"
        );
        assert_eq!(report.leaves, says.len() as u64);
        assert_eq!(report.rows, says.iter().map(|(_, rows)| rows.len() as u64).sum::<u64>());
    }
    match Log::open(site(place.0.path()), clock(LAST_DAY)) {
        Err(error) => {
            assert!(intact.is_err(), "intact, and cannot be opened: {error}");
            assert!(!error.to_string().is_empty());
        }
        Ok(log) => {
            let noted = log.note_blocking(Leaf::new(LeafKind::LogRead));
            log.close();
            noted.expect("a log that was opened takes records");
            // Opening goes by the write-ahead log and the tiles' edge; files of rows are for verification to look at.
            match place.verify() {
                Err(error) => assert!(intact.is_err(), "intact until it was opened: {error}"),
                Ok(_) => {
                    let says = place.says().expect("what is intact can be read");
                    assert!(says[..original.len()] == original[..], "altered, and intact once it was opened");
                }
            }
        }
    }
}
