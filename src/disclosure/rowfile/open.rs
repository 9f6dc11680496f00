//! Reads a file: all of it, or the rows of one person.

use std::{
    collections::HashSet,
    io::{Read, Seek, SeekFrom},
};

use jiff::civil::Date;

use super::{
    Block, Foot, Handle, Head, Located, Place, Position, RowFileError,
    block::{BlockHead, lengths},
    u32_at,
};
use crate::disclosure::merkle::Hash;

/// A file of rows, open for reading. Holds its index, not its rows.
///
/// Reads are large or placed, so that the source needs no buffer of its own.
pub struct RowFile<R> {
    source: R,
    pub(super) head: Head,
    pub(super) foot: Foot,
    pub(super) directory: Vec<Place>,
    pub(super) order: Vec<u32>,
    /// Offset of the byte after the last block.
    end: u64,
    /// The bytes of the block that was read last.
    loaded: Vec<u8>,
}

impl<R: Read + Seek> RowFile<R> {
    /// Opens a file and checks its head, index and foot, and that they account for every byte. The blocks are checked
    /// when they are read.
    ///
    /// # Errors
    ///
    /// What is wrong, or that it cannot be read.
    pub fn open(mut source: R) -> Result<Self, RowFileError> {
        let length = source.seek(SeekFrom::End(0)).map_err(RowFileError::Read)?;
        let mut head = [0; Head::SIZE];
        if length < (Head::SIZE + Foot::SIZE) as u64 {
            // Too short for either; the magic tells a torn file from one that never was.
            let short = length.min(head.len() as u64) as usize;
            read_at(&mut source, 0, &mut head[..short])?;
            let ours = short >= 8 && head[..8] == *super::MAGIC;
            return Err(if ours { RowFileError::Foot } else { RowFileError::Foreign });
        }
        read_at(&mut source, 0, &mut head)?;
        let head = Head::from_bytes(&head)?;
        let mut foot = [0; Foot::SIZE];
        let index_end = length - Foot::SIZE as u64;
        read_at(&mut source, index_end, &mut foot)?;
        let foot = Foot::from_bytes(&foot).ok_or(RowFileError::Foot)?;

        let directory_bytes = u64::from(foot.blocks) * Place::SIZE as u64;
        let index_bytes = directory_bytes + u64::from(foot.rows) * foot.width() as u64;
        let end = index_end.checked_sub(index_bytes).ok_or(RowFileError::Foot)?;
        // From here on the counts are bounded by the length of the file.
        let mut index = vec![0; usize::try_from(index_bytes).map_err(|_| RowFileError::Foot)?];
        read_at(&mut source, end, &mut index)?;
        if crc32fast::hash(&index) != foot.index_crc {
            return Err(RowFileError::Index);
        }
        let (directory, order) = index.split_at(foot.blocks as usize * Place::SIZE);
        let directory: Vec<_> = directory.chunks_exact(Place::SIZE).map(Place::from_bytes).collect();
        let order: Vec<_> = order
            .chunks_exact(foot.width())
            .map(|bytes| match *bytes {
                [low, high] => u32::from(u16::from_le_bytes([low, high])),
                _ => u32_at(bytes, 0),
            })
            .collect();
        if !is_directory(&directory, foot.rows, end) || !is_permutation(&order) {
            return Err(RowFileError::Index);
        }
        Ok(Self { source, head, foot, directory, order, end, loaded: Vec::new() })
    }

    /// BRIN of the school.
    pub fn brin(&self) -> &str {
        std::str::from_utf8(&self.head.brin).expect("checked to be digits and capitals")
    }

    /// The day.
    pub fn day(&self) -> Date {
        self.head.day
    }

    /// Number of rows, erased ones too.
    pub fn len(&self) -> u32 {
        self.foot.rows
    }

    /// Whether there are no rows, not even erased ones.
    pub fn is_empty(&self) -> bool {
        self.foot.rows == 0
    }

    /// Number of rows that are erased.
    pub fn erased(&self) -> u32 {
        self.foot.erased
    }

    /// The seal root, as the file gives it. [`RowFile::verify`] says whether the rows lead to it; whether it is the
    /// one in the log is up to the caller.
    pub fn root(&self) -> Hash {
        self.foot.root
    }

    /// All blocks, by position, each checked against its checksum.
    pub fn blocks(&mut self) -> impl Iterator<Item = Result<Block, RowFileError>> + '_ {
        (0..self.directory.len()).map(move |number| self.block(number))
    }

    /// All rows that are not erased, as they stand.
    pub fn rows(&mut self) -> impl Iterator<Item = Result<Located, RowFileError>> + '_ {
        self.blocks().flat_map(|block| match block {
            Ok(block) => block.rows().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    }

    /// The rows of a person, as they stand.
    ///
    /// Looks up the handle in the order, of which open checked that it is the one that was written. Whether that one
    /// is right says [`RowFile::verify`].
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a block with such a row is not what was written.
    pub fn find(&mut self, handle: &Handle) -> Result<Vec<Located>, RowFileError> {
        let count = self.order.len();
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            // Where rows are erased, the next one that is not decides.
            match self.next_handle(middle, high)? {
                Some((at, found)) if found < *handle => low = at + 1,
                _ => high = middle,
            }
        }
        let mut found = Vec::new();
        let mut loaded: Option<(usize, BlockHead)> = None;
        while let Some((at, next)) = self.next_handle(low, count)?
            && next == *handle
        {
            let (number, index) = self.locate(self.order[at]);
            // The order goes through the rows of a person block by block.
            let head = match loaded.take() {
                Some((loaded, head)) if loaded == number => head,
                _ => self.load(number)?,
            };
            let position = head.position;
            let row = head.row(index, &self.loaded).filter(|row| row.handle == *handle);
            let row = row.ok_or(RowFileError::Block(position))?;
            found.push(Located { position, index: u32::try_from(index).expect("at most 256"), row });
            loaded = Some((number, head));
            low = at + 1;
        }
        Ok(found)
    }

    /// The rows of one leaf that are not erased.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the block is not what was written.
    pub fn at(&mut self, position: Position) -> Result<Vec<Located>, RowFileError> {
        let Ok(number) = self.directory.binary_search_by_key(&position, |place| place.position) else {
            return Ok(Vec::new());
        };
        let head = self.load(number)?;
        let rows = (0..).zip(0..head.rows);
        Ok(rows
            .filter_map(|(index, at)| Some(Located { position, index, row: head.row(at, &self.loaded)? }))
            .collect())
    }

    /// The rows that carry one of these tags. Reads all rows.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a block is not what was written.
    pub fn find_tag(&mut self, tags: &[[u8; 8]]) -> Result<Vec<Located>, RowFileError> {
        let tags: HashSet<_> = tags.iter().collect();
        self.rows()
            .filter(|located| located.as_ref().map_or(true, |located| tags.contains(&located.row.tag)))
            .collect()
    }

    /// The first row in the order from `from` up to `to` that is not erased: its place there, and its handle.
    fn next_handle(&mut self, from: usize, to: usize) -> Result<Option<(usize, Handle)>, RowFileError> {
        for at in from..to {
            if let Some(handle) = self.handle(self.order[at])? {
                return Ok(Some((at, handle)));
            }
        }
        Ok(None)
    }

    /// The handle of a row by its number; nothing for an erased one.
    fn handle(&mut self, number: u32) -> Result<Option<Handle>, RowFileError> {
        let (block, index) = self.locate(number);
        let Place { position, offset, .. } = self.directory[block];
        let mut head = [0; BlockHead::SIZE];
        read_at(&mut self.source, offset, &mut head)?;
        let head = BlockHead::from_bytes(&head)
            .filter(|head| head.position == position && index < head.rows)
            .ok_or(RowFileError::Block(position))?;
        let Some(at) = head.row_at(index) else { return Ok(None) };
        let mut handle = Handle::default();
        read_at(&mut self.source, offset + at as u64, &mut handle)?;
        Ok(Some(handle))
    }

    /// The block that has the row with this number, and its index there.
    pub(in crate::disclosure) fn locate(&self, number: u32) -> (usize, usize) {
        let block = self.directory.partition_point(|place| place.first <= number) - 1;
        (block, (number - self.directory[block].first) as usize)
    }

    /// One block, checked as [`RowFile::load`] does.
    pub(in crate::disclosure) fn block(&mut self, number: usize) -> Result<Block, RowFileError> {
        let head = self.load(number)?;
        Block::decode(&head, &self.loaded).ok_or(RowFileError::Block(head.position))
    }

    /// Reads the bytes of a block, and checks them against its checksum and the directory.
    fn load(&mut self, number: usize) -> Result<BlockHead, RowFileError> {
        let place = self.directory[number];
        let (end, after) = self
            .directory
            .get(number + 1)
            .map_or((self.end, self.foot.rows), |next| (next.offset, next.first));
        let length = usize::try_from(end - place.offset).expect("open checked that it is one of a block");
        self.loaded.resize(length, 0);
        read_at(&mut self.source, place.offset, &mut self.loaded)?;
        BlockHead::check(&self.loaded)
            .filter(|head| head.position == place.position && head.rows == (after - place.first) as usize)
            .ok_or(RowFileError::Block(place.position))
    }

    /// The numbers of all rows, by handle.
    pub(in crate::disclosure) fn order(&self) -> &[u32] {
        &self.order
    }
}

fn read_at(source: &mut (impl Read + Seek), offset: u64, bytes: &mut [u8]) -> Result<(), RowFileError> {
    source.seek(SeekFrom::Start(offset)).and_then(|_| source.read_exact(bytes)).map_err(RowFileError::Read)
}

/// Whether blocks follow each other without gaps, by position, each of a size that a block can have.
fn is_directory(directory: &[Place], rows: u32, end: u64) -> bool {
    let after = Place { position: super::Position(u64::MAX), offset: end, first: rows };
    let begins = directory.first().unwrap_or(&after);
    let follows = |place: &Place, next: &Place| {
        let rows = next.first.checked_sub(place.first).filter(|rows| (1..=256).contains(rows));
        let length = next.offset.checked_sub(place.offset);
        rows.zip(length).is_some_and(|(rows, length)| lengths(rows).contains(&length))
    };
    begins.offset == Head::SIZE as u64
        && begins.first == 0
        && directory.windows(2).all(|pair| pair[0].position < pair[1].position && follows(&pair[0], &pair[1]))
        && directory.last().is_none_or(|last| follows(last, &after))
}

/// Whether each row is named once.
fn is_permutation(order: &[u32]) -> bool {
    let mut seen = vec![false; order.len()];
    order
        .iter()
        .all(|&number| seen.get_mut(number as usize).is_some_and(|seen| !std::mem::replace(seen, true)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Cursor;

    use super::{
        super::samples::{DAY, chunk, open, sealed},
        *,
    };
    use crate::disclosure::record::Position;

    fn places(found: &[Located]) -> Vec<(u64, u32)> {
        found.iter().map(|located| (located.position.0, located.index)).collect()
    }

    #[test]
    fn a_file_says_what_it_is() {
        let (bytes, sealed) = sealed(&[chunk(3, &[7, 1]), chunk(5, &[1])]);
        let file = open(&bytes);
        assert_eq!((file.brin(), file.day(), file.len(), file.erased()), ("99DE", DAY, 3, 0));
        assert_eq!(file.root(), sealed.root);
        assert!(!file.is_empty());
    }

    #[test]
    fn a_person_is_found_by_handle_and_by_tag() {
        let (bytes, _) = sealed(&[chunk(3, &[7, 1, 7]), chunk(5, &[1]), chunk(9, &[7])]);
        let mut file = open(&bytes);
        assert_eq!(places(&file.find(&[7; 16]).unwrap()), [(3, 0), (3, 2), (9, 0)]);
        assert_eq!(places(&file.find(&[1; 16]).unwrap()), [(3, 1), (5, 0)]);
        for absent in [0, 5, 8] {
            assert_eq!(file.find(&[absent; 16]).unwrap(), []);
        }
        assert_eq!(places(&file.find_tag(&[[7 ^ 0xff; 8], [0; 8]]).unwrap()), [(3, 0), (3, 2), (9, 0)]);
        assert_eq!(file.find_tag(&[]).unwrap(), []);
    }

    #[test]
    fn a_day_without_rows_opens() {
        let (bytes, _) = sealed(&[]);
        let mut file = open(&bytes);
        assert!(file.is_empty());
        assert_eq!(file.find(&[1; 16]).unwrap(), []);
        assert_eq!(file.blocks().count(), 0);
    }

    #[test]
    fn a_file_that_is_cut_or_grows_does_not_open() {
        let (bytes, _) = sealed(&[chunk(3, &[7, 1]), chunk(5, &[1])]);
        for length in 0..bytes.len() {
            let error = RowFile::open(Cursor::new(&bytes[..length])).err().unwrap();
            let expected =
                if length < 8 { "not a row file of this version" } else { "the end of the row file" };
            assert!(error.to_string().starts_with(expected), "{length}: {error}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(RowFile::open(Cursor::new(longer)).err(), Some(RowFileError::Foot)));
    }

    #[test]
    fn the_index_is_held_to_what_it_means() {
        let (bytes, _) = sealed(&[chunk(3, &[7, 1]), chunk(5, &[1])]);
        let index = 24 + 48 + 2 * 64 + 48 + 64..bytes.len() - 52;
        // Each with its checksums mended: first offset, second position, a row twice, a row too many.
        for (at, value) in [(8, 25), (20, 3), (40, 0), (40, 3)] {
            let mut bytes = bytes.clone();
            bytes[index.start + at] = value;
            let crc = crc32fast::hash(&bytes[index.clone()]).to_le_bytes();
            bytes[index.end + 12..index.end + 16].copy_from_slice(&crc);
            let crc = crc32fast::hash(&bytes[index.end..index.end + 48]).to_le_bytes();
            bytes[index.end + 48..].copy_from_slice(&crc);
            assert!(matches!(RowFile::open(Cursor::new(bytes)).err(), Some(RowFileError::Index)), "{at}");
        }
    }

    #[test]
    fn a_damaged_block_is_named() {
        let (mut bytes, _) = sealed(&[chunk(3, &[7, 1]), chunk(5, &[1])]);
        bytes[24 + 48 + 20] ^= 1;
        let mut file = open(&bytes);
        assert!(matches!(file.find(&[7; 16]), Err(RowFileError::Block(Position(3)))));
        assert_eq!(
            file.rows().filter_map(Result::err).filter_map(|error| error.position()).collect::<Vec<_>>(),
            [Position(3)]
        );
        assert!(file.find_tag(&[]).is_err());
    }
}
