//! The bytes of the write-ahead log.
//!
//! `wal/<first position, 20 digits>.wal` are segments of at most about 64 MiB, each a header and frames of one day.
//! Numbers are little-endian.
//!
//! | header | bytes | |
//! |---|---|---|
//! | 0 | 8 | `SLUISWAL` |
//! | 8 | 4, 4 | format version 1, CRC-32 of the bytes from 16 to the end of the header |
//! | 16 | 8 | position of the first frame |
//! | 24 | 32 | link of the frame before it; zeros at the very beginning |
//!
//! | frame | bytes | |
//! |---|---|---|
//! | 0 | 4 | length of the body |
//! | 4 | 4 | CRC-32 of everything after it |
//! | 8 | 8 | position |
//! | 16 | 32 | link: SHA-256 of the previous link and the body |
//! | 48 | 256 | body: the leaf |
//! | 304 | 32, 64 each | body, where the leaf has rows: salt, rows |
//!
//! A segment goes once its leaves are in tiles under a signed checkpoint and its rows are in sealed files.

use std::io::{self, Read};

use super::{
    merkle::{self, Hash, Tree},
    record::{Leaf, LeafKind, Position, Row},
};

/// Segments are closed once they are this long, and when a day is over.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Rows in one chunk at most.
pub const MAX_ROWS: usize = 256;

pub(super) const HEADER: usize = 56;
pub(super) const FRAME: usize = 48;
const MAGIC: &[u8; 8] = b"SLUISWAL";
const FORMAT: u32 = 1;
const SALT: usize = 32;
const MAX_BODY: usize = Leaf::SIZE + SALT + MAX_ROWS * Row::SIZE;

/// The name of the segment that begins with a position.
pub(super) fn segment_name(first: Position) -> String {
    format!("{:020}.wal", first.0)
}

/// Whether a name is one of a segment.
pub(super) fn is_segment(name: &str) -> bool {
    name.strip_suffix(".wal")
        .is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The state of a log at its end.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    pub(super) tree: Tree,
    pub(super) link: Hash,
}

impl End {
    /// The end of a log of which only the last link is known: links can be followed from there, the root means nothing.
    pub(super) fn at(size: u64, link: Hash) -> Self {
        Self { tree: Tree::from_peaks(size, vec![[0; 32]; size.count_ones() as usize]), link }
    }

    pub(super) fn next(&self) -> Position {
        Position(self.tree.size())
    }

    pub(super) fn header(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.tree.size().to_le_bytes());
        bytes[24..56].copy_from_slice(&self.link);
        let crc = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Appends a frame to `out` and moves on.
    pub(super) fn frame(&mut self, leaf: &Leaf, salt: &[u8; 32], rows: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let leaf = leaf.to_bytes();
        let salt: &[u8] = if rows.is_empty() { &[] } else { salt };
        let length = leaf.len() + salt.len() + rows.len();
        self.link = merkle::hash(&[&self.link, &leaf, salt, rows]);
        out.extend_from_slice(&u32::try_from(length).expect("a body is bounded").to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.tree.size().to_le_bytes());
        out.extend_from_slice(&self.link);
        out.extend_from_slice(&leaf);
        out.extend_from_slice(salt);
        out.extend_from_slice(rows);
        let crc = crc32fast::hash(&out[start + 8..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        self.tree.push(merkle::leaf_hash(&leaf));
    }
}

/// Why a segment stops being readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// Bytes are not what was written.
    Altered,
    /// It is of no segment, or does not follow the segment before.
    Foreign,
    /// Frames between here and what follows are gone.
    Missing,
    /// It ends inside a frame.
    Torn,
}

/// One frame.
pub(super) struct Frame {
    pub(super) leaf: Leaf,
    /// None after [`Scanner::follow`].
    pub(super) rows: Vec<Row>,
    /// Offset of its first byte.
    pub(super) start: u64,
    /// Offset of the byte after it.
    pub(super) end: u64,
}

/// Reads a segment frame by frame.
pub(super) struct Scanner<R> {
    source: R,
    offset: u64,
    body: Vec<u8>,
}

/// What a scanner came upon.
pub(super) enum Step {
    /// The segment ends where a frame ends.
    End,
    /// Damage, at this offset.
    Damaged(Damage, u64),
    /// A frame.
    Frame(Box<Frame>),
}

impl<R: Read> Scanner<R> {
    /// Reads the header of the oldest segment there is: the position and link it begins with.
    pub(super) fn beginning(source: &mut R) -> io::Result<Result<(u64, Hash), Damage>> {
        let mut header = [0; HEADER];
        if fill(source, &mut header)? < HEADER {
            return Ok(Err(Damage::Torn));
        }
        let crc = u32::from_le_bytes(header[12..16].try_into().expect("four bytes"));
        if header[..8] != *MAGIC
            || header[8..12] != FORMAT.to_le_bytes()
            || crc != crc32fast::hash(&header[16..])
        {
            return Ok(Err(Damage::Altered));
        }
        let first = u64::from_le_bytes(header[16..24].try_into().expect("eight bytes"));
        Ok(Ok((first, header[24..56].try_into().expect("32 bytes"))))
    }

    /// Reads the header. `end` is the state of the log before this segment.
    pub(super) fn open(mut source: R, end: &End) -> io::Result<Result<Self, Damage>> {
        let mut header = [0; HEADER];
        if fill(&mut source, &mut header)? < HEADER {
            return Ok(Err(Damage::Torn));
        }
        if header == end.header() {
            return Ok(Ok(Self { source, offset: HEADER as u64, body: Vec::new() }));
        }
        let crc = u32::from_le_bytes(header[12..16].try_into().expect("four bytes"));
        let own = header[..8] == *MAGIC && crc == crc32fast::hash(&header[16..]);
        let first = u64::from_le_bytes(header[16..24].try_into().expect("eight bytes"));
        Ok(Err(match own {
            false => Damage::Altered,
            true if first > end.tree.size() => Damage::Missing,
            true => Damage::Foreign,
        }))
    }

    /// The next frame. After damage there is no next.
    pub(super) fn step(&mut self, end: &mut End) -> io::Result<Step> {
        self.linked(end, |this| this.parse().filter(|frame| this.fits(frame)))
    }

    /// The next frame without its rows, for whoever opens a log: held against its checksum, its place and its link, which
    /// is over the rows too. Whether they lead to the root in the leaf takes several times as long to tell, and is
    /// left to sealing and verification.
    pub(super) fn follow(&mut self, end: &mut End) -> io::Result<Step> {
        self.linked(end, |this| this.leaf().map(|leaf| this.frame(leaf, Vec::new())))
    }

    fn linked(&mut self, end: &mut End, read: impl Fn(&Self) -> Option<Frame>) -> io::Result<Step> {
        let at = self.offset;
        let said = match self.body(end.tree.size())? {
            Ok(said) => said,
            Err(stop) => return Ok(stop),
        };
        let link = merkle::hash(&[&end.link, &self.body]);
        let Some(frame) = (link == said).then(|| read(self)).flatten() else {
            return Ok(Step::Damaged(Damage::Altered, at));
        };
        end.link = link;
        end.tree.push(merkle::leaf_hash(&self.body[..Leaf::SIZE]));
        Ok(Step::Frame(Box::new(frame)))
    }

    /// The next frame, for whoever reads a log and leaves it to verification whether it is what was written: checked against
    /// its checksum and its place, and not against links and roots, which take many times as long as reading does.
    pub(super) fn skim(&mut self, next: Position) -> io::Result<Step> {
        let at = self.offset;
        if let Err(stop) = self.body(next.0)? {
            return Ok(stop);
        }
        Ok(match self.parse() {
            None => Step::Damaged(Damage::Altered, at),
            Some(frame) => Step::Frame(Box::new(frame)),
        })
    }

    /// Reads the body of the next frame, which must have this position and the right checksum. Gives its link.
    fn body(&mut self, next: u64) -> io::Result<Result<Hash, Step>> {
        let at = self.offset;
        let damaged = |damage| Ok(Err(Step::Damaged(damage, at)));
        let mut head = [0; FRAME];
        match fill(&mut self.source, &mut head)? {
            0 => return Ok(Err(Step::End)),
            FRAME => {}
            _ => return damaged(Damage::Torn),
        }
        let length = u32::from_le_bytes(head[..4].try_into().expect("four bytes")) as usize;
        let rows = length.checked_sub(Leaf::SIZE + SALT);
        let shape = length == Leaf::SIZE || rows.is_some_and(|rows| rows > 0 && rows % Row::SIZE == 0);
        if !shape || length > MAX_BODY {
            return damaged(Damage::Altered);
        }
        self.body.resize(length, 0);
        if fill(&mut self.source, &mut self.body)? < length {
            return damaged(Damage::Torn);
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[8..]);
        crc.update(&self.body);
        if crc.finalize().to_le_bytes() != head[4..8] {
            return damaged(Damage::Altered);
        }
        let position = u64::from_le_bytes(head[8..16].try_into().expect("eight bytes"));
        if position != next {
            return damaged(if position > next { Damage::Missing } else { Damage::Foreign });
        }
        self.offset = at + (FRAME + length) as u64;
        Ok(Ok(head[16..48].try_into().expect("32 bytes")))
    }

    /// The leaf and its rows.
    fn parse(&self) -> Option<Frame> {
        let leaf = self.leaf()?;
        let mut rows = Vec::new();
        if let Some((_, block)) = self.body[Leaf::SIZE..].split_first_chunk::<SALT>() {
            rows.reserve_exact(block.len() / Row::SIZE);
            for row in block.chunks_exact(Row::SIZE) {
                rows.push(Row::from_bytes(row.try_into().ok()?)?);
            }
        }
        Some(self.frame(leaf, rows))
    }

    fn leaf(&self) -> Option<Leaf> {
        Leaf::from_bytes(self.body.first_chunk::<{ Leaf::SIZE }>()?)
    }

    /// What was read last.
    fn frame(&self, leaf: Leaf, rows: Vec<Row>) -> Frame {
        Frame { leaf, rows, start: self.offset - (FRAME + self.body.len()) as u64, end: self.offset }
    }

    /// Whether the leaf and its rows belong together.
    fn fits(&self, Frame { leaf, rows, .. }: &Frame) -> bool {
        // What other kinds of leaves count are not rows of their own.
        if leaf.kind != LeafKind::Disclosure {
            return rows.is_empty();
        }
        let root =
            |(salt, block): (&[u8; SALT], &[u8])| merkle::inner_root(salt, block.chunks_exact(Row::SIZE));
        let unions = rows.iter().fold((0, 0), |(r, w), row| (r | row.released, w | row.withheld));
        leaf.rows as usize == rows.len()
            && (rows.is_empty() || unions == (leaf.released, leaf.withheld))
            && rows.iter().all(|row| leaf.is_about(row.subject))
            && self.body[Leaf::SIZE..].split_first_chunk().is_none_or(|block| root(block) == leaf.inner_root)
    }
}

/// Reads the rows of a frame that was found at this offset: its salt and rows.
pub(super) fn block_at(
    source: &mut (impl Read + io::Seek),
    offset: u64,
) -> io::Result<Option<([u8; SALT], Vec<Row>)>> {
    source.seek(io::SeekFrom::Start(offset))?;
    let mut head = [0; FRAME];
    if fill(source, &mut head)? < FRAME {
        return Ok(None);
    }
    let length = u32::from_le_bytes(head[..4].try_into().expect("four bytes")) as usize;
    if !(Leaf::SIZE + SALT..=MAX_BODY).contains(&length) {
        return Ok(None);
    }
    let mut body = vec![0; length];
    if fill(source, &mut body)? < length {
        return Ok(None);
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[8..]);
    crc.update(&body);
    if crc.finalize().to_le_bytes() != head[4..8] {
        return Ok(None);
    }
    let (salt, rows) = body[Leaf::SIZE..].split_first_chunk::<SALT>().expect("checked above");
    let rows =
        rows.chunks_exact(Row::SIZE).map(|row| Row::from_bytes(row.try_into().ok()?)).collect::<Option<_>>();
    Ok(rows.map(|rows| (*salt, rows)))
}

/// Reads until the buffer is full or the source ends; says how much.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while at < buffer.len() {
        match source.read(&mut buffer[at..]) {
            Ok(0) => break,
            Ok(read) => at += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::disclosure::record::Subject;

    /// Checksums, links and roots are right, and the leaf is about others than its rows.
    #[test]
    fn a_leaf_is_held_to_whom_its_rows_are_about() {
        let row = Row::new(Subject::Leerkracht, 0).to_bytes();
        for (flags, whole) in [(Leaf::STAFF, true), (0, false)] {
            let mut leaf = Leaf::new(LeafKind::Disclosure);
            (leaf.flags, leaf.rows) = (flags, 1);
            leaf.inner_root = merkle::inner_root(&[1; SALT], row.chunks_exact(Row::SIZE));
            let mut segment = End::default().header().to_vec();
            End::default().frame(&leaf, &[1; SALT], &row, &mut segment);
            let mut end = End::default();
            let mut scanner = Scanner::open(&segment[..], &end).unwrap().ok().unwrap();
            assert_eq!(matches!(scanner.step(&mut end).unwrap(), Step::Frame(_)), whole);
        }
    }
}
