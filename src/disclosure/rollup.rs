//! What is left of the rows of a month once they are gone: `rollup/<BRIN>/<yyyy-mm>.rollup`.
//!
//! One row for each person, recipient, agreement and direction says how often and between which days something of the person was
//! in a delivery, and which fields left or stayed. A root over the rows goes into the log, salted as that of a chunk
//! is, so that it says nothing once the file is gone. Numbers are little-endian.
//!
//! | file | bytes | |
//! |---|---|---|
//! | 0 | 8 | `SLUISROL` |
//! | 8 | 4, 4 | format version 1, CRC-32 of the bytes from 16 to the end of the file |
//! | 16 | 4, 4, 4 | BRIN, month as yyyymm, rows |
//! | 28 | 32, 32 | salt, root ([`merkle::inner_root`]) |
//! | 92 | 64 each | rows, sorted by their first 36 bytes, which differ from row to row |
//!
//! | row | bytes | |
//! |---|---|---|
//! | 0 | 16, 12, 7 | subject handle, recipient code, first bytes of the agreement's SHA-256 |
//! | 35 | 1 | what the masks are about: 1 a pupil, 2 a teacher, 3 results of a pupil |
//! | 36 | 4, 4, 4 | first day and last day as yyyymmdd, number of rows summarised |
//! | 48 | 8, 8 | union of their released and withheld masks |
//!
//! A month of a school is small and read whole; how one takes the place of another is told in `retain`. Whatever changes
//! it makes a new file, with a new root under a new salt: under the old one the root that is already in the log would
//! confirm a guess at a row that was taken out. So salts have to be random and never the same twice.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    io::{self, Read, Write},
};

use jiff::civil::Date;

pub use super::calendar::Month;
use super::{
    calendar::{day_number, day_of_number},
    merkle::{self, Hash},
    record::{Leaf, Row, Subject},
    rowfile::Handle,
};
use crate::keys::is_brin;

/// What the leaf of a row says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// See [`Leaf::recipient_code`].
    pub recipient: [u8; 12],
    /// The first bytes of the agreement's SHA-256.
    pub agreement: [u8; 7],
    /// Whether it is about results, from recipient to school.
    pub inbound: bool,
    /// The day.
    pub day: Date,
}

/// What the masks of a summary are about: their bits mean something else for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum About {
    /// A teacher.
    Leerkracht = 2,
    /// A pupil.
    Leerling = 1,
    /// Results of a pupil.
    Results = 3,
}

impl About {
    fn of(inbound: bool, subject: Subject) -> Self {
        match subject {
            _ if inbound => Self::Results,
            Subject::Leerkracht => Self::Leerkracht,
            Subject::Leerling => Self::Leerling,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Leerling, Self::Leerkracht, Self::Results].into_iter().find(|&known| known as u8 == byte)
    }
}

impl Source {
    /// Of a leaf, and the day it counts for.
    pub fn new(leaf: &Leaf, day: Date) -> Self {
        let agreement = *leaf.agreement.first_chunk().expect("a hash is longer");
        Self { recipient: leaf.recipient, agreement, inbound: leaf.flags & Leaf::INBOUND != 0, day }
    }
}

/// A summary of the rows of one person, for one recipient, under one agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollUpRow {
    /// Stands for the person.
    pub handle: Handle,
    /// See [`Leaf::recipient_code`].
    pub recipient: [u8; 12],
    /// The first bytes of the agreement's SHA-256.
    pub agreement: [u8; 7],
    /// What the masks are about.
    pub about: About,
    /// The first day.
    pub first: Date,
    /// The last day.
    pub last: Date,
    /// Number of rows.
    pub count: u32,
    /// Union of their released masks.
    pub released: u64,
    /// Union of their withheld masks.
    pub withheld: u64,
}

type Key = (Handle, [u8; 12], [u8; 7], u8);

impl RollUpRow {
    /// Bytes of a row.
    pub const SIZE: usize = 64;

    fn key(&self) -> Key {
        (self.handle, self.recipient, self.agreement, self.about as u8)
    }

    fn absorb(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.count = self.count.saturating_add(other.count);
        self.released |= other.released;
        self.withheld |= other.withheld;
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..16].copy_from_slice(&self.handle);
        bytes[16..28].copy_from_slice(&self.recipient);
        bytes[28..35].copy_from_slice(&self.agreement);
        bytes[35] = self.about as u8;
        bytes[36..40].copy_from_slice(&day_number(self.first).to_le_bytes());
        bytes[40..44].copy_from_slice(&day_number(self.last).to_le_bytes());
        bytes[44..48].copy_from_slice(&self.count.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.released.to_le_bytes());
        bytes[56..].copy_from_slice(&self.withheld.to_le_bytes());
        bytes
    }

    /// Reads its bytes; nothing where a day or code is none.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        Some(Self {
            handle: array_at(bytes, 0),
            recipient: array_at(bytes, 16),
            agreement: array_at(bytes, 28),
            about: About::from_byte(bytes[35])?,
            first: day_of_number(u32_at(bytes, 36))?,
            last: day_of_number(u32_at(bytes, 40))?,
            count: u32_at(bytes, 44),
            released: u64::from_le_bytes(array_at(bytes, 48)),
            withheld: u64::from_le_bytes(array_at(bytes, 56)),
        })
    }
}

/// Summarises rows, those of which nothing left too. Each is to be given once: a row that comes twice counts twice.
pub fn roll_up(rows: impl IntoIterator<Item = (Source, Row)>) -> Vec<RollUpRow> {
    combine(rows.into_iter().map(|(Source { recipient, agreement, inbound, day }, row)| RollUpRow {
        handle: row.handle,
        recipient,
        agreement,
        about: About::of(inbound, row.subject),
        first: day,
        last: day,
        count: 1,
        released: row.released,
        withheld: row.withheld,
    }))
}

/// One row for each key, sorted.
fn combine(rows: impl IntoIterator<Item = RollUpRow>) -> Vec<RollUpRow> {
    let mut combined = BTreeMap::new();
    for row in rows {
        match combined.entry(row.key()) {
            Entry::Vacant(place) => drop(place.insert(row)),
            Entry::Occupied(mut place) => place.get_mut().absorb(&row),
        }
    }
    combined.into_values().collect()
}

/// What is wrong with a month, or kept it from being read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RollUpError {
    /// The file is not what was written, or ends early.
    #[error("the roll-up is altered")]
    Altered,
    /// The BRIN is none.
    #[error("not a BRIN")]
    Brin,
    /// It is no roll-up, or one of another version.
    #[error("not a roll-up of this version")]
    Foreign,
    /// A row has days outside the month, or the last before the first, or a count of 0.
    #[error("a row is not of this month")]
    Month,
    /// Reading failed.
    #[error("cannot read the roll-up")]
    Read(#[source] io::Error),
    /// The rows do not lead to the root.
    #[error("the rows do not lead to the root of the roll-up")]
    Root,
    /// Writing failed.
    #[error("cannot write the roll-up")]
    Write(#[source] io::Error),
}

/// The summaries of one school and month. Printed without them.
#[derive(Clone, PartialEq, Eq)]
pub struct RollUp {
    brin: [u8; 4],
    month: Month,
    salt: [u8; 32],
    root: Hash,
    rows: Vec<RollUpRow>,
}

const MAGIC: &[u8; 8] = b"SLUISROL";
const FORMAT: u32 = 1;
const HEADER: usize = 92;

impl RollUp {
    /// A month from its rows, which may come in any order and more than once for a key.
    ///
    /// # Errors
    ///
    /// When the BRIN is none, or a row is not of the month.
    pub fn build(
        brin: &str,
        month: Month,
        salt: [u8; 32],
        rows: impl IntoIterator<Item = RollUpRow>,
    ) -> Result<Self, RollUpError> {
        let brin = Some(brin).filter(|brin| is_brin(brin)).and_then(|brin| brin.as_bytes().try_into().ok());
        let brin = brin.ok_or(RollUpError::Brin)?;
        Self { brin, month, salt, root: [0; 32], rows: Vec::new() }.merge(salt, rows)
    }

    /// The month with more rows, under a new salt. Which rows are already in it the caller has to know.
    ///
    /// # Errors
    ///
    /// When a row is not of the month.
    pub fn merge(
        self,
        salt: [u8; 32],
        rows: impl IntoIterator<Item = RollUpRow>,
    ) -> Result<Self, RollUpError> {
        let month = self.month;
        let rows = combine(self.rows.into_iter().chain(rows));
        if !rows.iter().all(|row| is_of(month, row)) {
            return Err(RollUpError::Month);
        }
        Ok(Self { salt, root: root(&salt, &rows), rows, ..self })
    }

    /// The month without the rows that are not to be kept, by handle and last day, under a new salt; and how many went.
    #[must_use = "the month that was pruned is the one returned"]
    pub fn prune(mut self, salt: [u8; 32], keep: impl Fn(&Handle, Date) -> bool) -> (Self, usize) {
        let before = self.rows.len();
        self.rows.retain(|row| keep(&row.handle, row.last));
        self.salt = salt;
        self.root = root(&salt, &self.rows);
        let gone = before - self.rows.len();
        (self, gone)
    }

    /// Reads a file. Whether its rows lead to its root is for [`RollUp::verify`].
    ///
    /// # Errors
    ///
    /// When it is not what was written, or cannot be read.
    pub fn read(mut source: impl Read) -> Result<Self, RollUpError> {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).map_err(RollUpError::Read)?;
        if !bytes.starts_with(MAGIC) || bytes.get(8..12) != Some(&FORMAT.to_le_bytes()) {
            return Err(RollUpError::Foreign);
        }
        Self::parse(&bytes).ok_or(RollUpError::Altered)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, body) = bytes.split_at_checked(HEADER)?;
        if u32_at(header, 12) != crc32fast::hash(&bytes[16..])
            || body.len() as u64 != u64::from(u32_at(header, 24)) * RollUpRow::SIZE as u64
        {
            return None;
        }
        let brin = std::str::from_utf8(&header[16..20]).ok().filter(|brin| is_brin(brin))?;
        let month = Month::of_number(u32_at(header, 20))?;
        let rows = body.chunks_exact(RollUpRow::SIZE).map(|row| RollUpRow::from_bytes(&array_at(row, 0)));
        let rows = rows.collect::<Option<Vec<_>>>()?;
        let sorted = rows.is_sorted_by(|row, next| row.key() < next.key());
        (sorted && rows.iter().all(|row| is_of(month, row))).then_some(Self {
            brin: brin.as_bytes().try_into().ok()?,
            month,
            salt: array_at(header, 28),
            root: array_at(header, 60),
            rows,
        })
    }

    /// Writes the file. Syncing is up to the caller.
    ///
    /// # Errors
    ///
    /// When writing fails.
    pub fn write(&self, mut out: impl Write) -> Result<(), RollUpError> {
        let mut bytes = Vec::with_capacity(HEADER + self.rows.len() * RollUpRow::SIZE);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.brin);
        bytes.extend_from_slice(&self.month.number().to_le_bytes());
        let count = u32::try_from(self.rows.len()).expect("a school has fewer summaries in a month");
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.root);
        self.rows.iter().for_each(|row| bytes.extend_from_slice(&row.to_bytes()));
        let crc = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        out.write_all(&bytes).and_then(|()| out.flush()).map_err(RollUpError::Write)
    }

    /// Re-computes the root over the rows. Whether it is the one in the log is up to the caller.
    ///
    /// # Errors
    ///
    /// [`RollUpError::Root`].
    pub fn verify(&self) -> Result<(), RollUpError> {
        if root(&self.salt, &self.rows) == self.root { Ok(()) } else { Err(RollUpError::Root) }
    }

    /// The rows of a person.
    pub fn find(&self, handle: &Handle) -> &[RollUpRow] {
        let start = self.rows.partition_point(|row| row.handle < *handle);
        let length = self.rows[start..].partition_point(|row| row.handle == *handle);
        &self.rows[start..start + length]
    }

    /// All rows.
    pub fn rows(&self) -> &[RollUpRow] {
        &self.rows
    }

    /// BRIN of the school.
    pub fn brin(&self) -> &str {
        std::str::from_utf8(&self.brin).expect("checked to be digits and capitals")
    }

    /// The month.
    pub fn month(&self) -> Month {
        self.month
    }

    /// Root over the rows.
    pub fn root(&self) -> Hash {
        self.root
    }
}

impl fmt::Debug for RollUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RollUp({}, {}, {} rows)", self.brin(), self.month, self.rows.len())
    }
}

fn is_of(month: Month, row: &RollUpRow) -> bool {
    row.count > 0 && row.first <= row.last && Month::of(row.first) == month && Month::of(row.last) == month
}

fn root(salt: &[u8; 32], rows: &[RollUpRow]) -> Hash {
    let rows: Vec<_> = rows.iter().map(RollUpRow::to_bytes).collect();
    merkle::inner_root(salt, rows.iter().map(<[u8; RollUpRow::SIZE]>::as_slice))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range has this length")
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        super::record::{LeafKind, Subject},
        *,
    };

    fn day(day: i8) -> Date {
        Date::constant(2026, 10, day)
    }

    fn month() -> Month {
        Month::of(day(1))
    }

    /// A row of a person, in a delivery to a recipient on a day, and the bits that left.
    fn row(handle: u8, recipient: u8, on: i8, released: u64) -> (Source, Row) {
        let mut leaf = Leaf::new(LeafKind::Disclosure);
        leaf.recipient = [recipient; 12];
        leaf.agreement = [9; 32];
        let mut row = Row::new(Subject::Leerling, 0);
        row.handle = [handle; 16];
        row.released = released;
        row.withheld = 0x100;
        (Source::new(&leaf, day(on)), row)
    }

    fn rows() -> Vec<RollUpRow> {
        roll_up([row(2, 1, 7, 1), row(1, 1, 5, 1), row(2, 1, 3, 2), row(2, 2, 9, 4), row(2, 1, 5, 0)])
    }

    fn built() -> RollUp {
        RollUp::build("99DE", month(), [1; 32], rows()).unwrap()
    }

    fn bytes(month: &RollUp) -> Vec<u8> {
        let mut bytes = Vec::new();
        month.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn rows_are_summarised_by_person_recipient_and_agreement() {
        let summary = |handle, recipient, first, last, count, released| RollUpRow {
            handle: [handle; 16],
            recipient: [recipient; 12],
            agreement: [9; 7],
            about: About::Leerling,
            first: day(first),
            last: day(last),
            count,
            released,
            withheld: 0x100,
        };
        let expected = [summary(1, 1, 5, 5, 1, 1), summary(2, 1, 3, 7, 3, 3), summary(2, 2, 9, 9, 1, 4)];
        assert_eq!(rows(), expected);
        assert_eq!(built().find(&[2; 16]), &expected[1..]);
        assert_eq!(built().find(&[3; 16]), []);
    }

    #[test]
    fn everything_is_where_the_tables_say() {
        let bytes = bytes(&built());
        assert_eq!(bytes.len(), 92 + 3 * 64);
        assert_eq!(bytes[..12], *b"SLUISROL\x01\0\0\0");
        assert_eq!(bytes[16..20], *b"99DE");
        assert_eq!(bytes[20..24], 202610_u32.to_le_bytes());
        assert_eq!(bytes[24..28], [3, 0, 0, 0]);
        assert_eq!(bytes[28..60], [1; 32]);
        assert_eq!(bytes[60..92], built().root());
        let row = &bytes[92 + 64..92 + 128];
        assert_eq!((row[15], row[16], row[27], row[28], row[34], row[35]), (2, 1, 1, 9, 9, 1));
        assert_eq!(row[36..40], 20261003_u32.to_le_bytes());
        assert_eq!(row[40..44], 20261007_u32.to_le_bytes());
        assert_eq!((row[44], row[48], row[57]), (3, 3, 1));
    }

    #[test]
    fn a_month_comes_back_and_every_bit_counts() {
        let good = bytes(&built());
        let read = RollUp::read(&good[..]).unwrap();
        assert_eq!(read, built());
        read.verify().unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(RollUp::read(&bad[..]).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(RollUp::read(&good[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn right_checksums_do_not_help_a_forger() {
        let forged = |at: usize, value: u8| {
            let mut bytes = bytes(&built());
            bytes[at] = value;
            let crc = crc32fast::hash(&bytes[16..]).to_le_bytes();
            bytes[12..16].copy_from_slice(&crc);
            RollUp::read(&bytes[..])
        };
        assert!(matches!(forged(92 + 48, 0xff).unwrap().verify(), Err(RollUpError::Root)));
        // Not a BRIN, not a month, another month, out of order, no such day, nothing counted.
        for (at, value) in [(16, b'x'), (20, 0), (20, 0x73), (92, 9), (92 + 36, 0), (92 + 44, 0)] {
            assert!(matches!(forged(at, value), Err(RollUpError::Altered)), "byte {at}");
        }
    }

    #[test]
    fn more_rows_are_as_all_at_once() {
        let more = roll_up([row(2, 1, 9, 8), row(3, 1, 9, 8)]);
        let merged = built().merge([2; 32], more.clone()).unwrap();
        let at_once = RollUp::build("99DE", month(), [2; 32], rows().into_iter().chain(more)).unwrap();
        assert_eq!(merged, at_once);
        assert_ne!(merged.root(), built().root());
        assert_eq!(merged.find(&[2; 16])[0].count, 4);
    }

    #[test]
    fn what_is_not_kept_is_gone() {
        let (pruned, gone) = built().prune([2; 32], |_, last| last >= day(8));
        assert_eq!((gone, pruned.rows().len()), (2, 1));
        pruned.verify().unwrap();
        let (pruned, gone) = built().prune([2; 32], |handle, _| *handle != [2; 16]);
        assert_eq!((gone, pruned.find(&[2; 16])), (2, &[][..]));

        let (pruned, gone) = built().prune([2; 32], |_, _| true);
        assert_eq!((gone, pruned.rows()), (0, built().rows()));
        assert_ne!(pruned.root(), built().root(), "a new salt, whatever was pruned");
    }

    #[test]
    fn rows_of_another_month_and_schools_that_are_none_are_refused() {
        let (source, other) = row(1, 1, 1, 1);
        let november = roll_up([(Source { day: Date::constant(2026, 11, 1), ..source }, other)]);
        assert!(matches!(built().merge([2; 32], november), Err(RollUpError::Month)));
        assert!(matches!(RollUp::build("9DE9", month(), [1; 32], []), Err(RollUpError::Brin)));
        assert_eq!(format!("{:?}", built()), "RollUp(99DE, 2026-10, 3 rows)");
    }
}
