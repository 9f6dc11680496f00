//! Questions that walk over entries.

use std::{fmt, io, ops::Range, str::FromStr};

use super::{DeliveryIndex, Entry, Filter, entry::Raw};
use crate::{
    clock::day_start_ms,
    disclosure::{Leaf, Position},
};

/// Entries read at once, at first: enough for a page of which most entries are.
const FEW: u64 = 128;
/// Entries read at once in the end.
const MANY: u64 = 4096;
/// How much a delivery may seem to have been recorded before it began, where the clock was put back.
const CLOCK_MS: u64 = 24 * 3_600_000;

/// Where a page goes on. It stays good whatever is recorded later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// With what comes right after this position, to the newer side.
    Newer(Position),
    /// With what comes right before this position, to the older side.
    Older(Position),
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(position) => write!(f, "newer-{}", position.0),
            Self::Older(position) => write!(f, "older-{}", position.0),
        }
    }
}

/// A text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (side, position) = text.split_once('-').ok_or(NoCursor)?;
        let position = Position(position.parse().map_err(|_| NoCursor)?);
        match side {
            "newer" => Ok(Self::Newer(position)),
            "older" => Ok(Self::Older(position)),
            _ => Err(NoCursor),
        }
    }
}

/// Some deliveries, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The deliveries.
    pub entries: Vec<Entry>,
    /// Leads to those before them on the list, where there are any.
    pub newer: Option<Cursor>,
    /// Leads to those after them on the list, where there are any.
    pub older: Option<Cursor>,
}

impl DeliveryIndex {
    /// A page of deliveries, newest first: the newest, or from a cursor on. Entries are looked at until the page is full;
    /// of a filter that takes few, that may be all of its days.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn page(&self, filter: &Filter, cursor: Option<Cursor>, count: usize) -> io::Result<Page> {
        let range = self.range(filter)?;
        // One more than asked for tells whether there is more.
        let mut entries = Vec::new();
        let mut more = false;
        let mut take = |entry: Raw<'_>| {
            if !filter.takes(entry) {
                return true;
            }
            more = entries.len() == count;
            if !more {
                entries.push(entry.entry());
            }
            !more
        };
        match cursor {
            Some(Cursor::Newer(position)) => {
                let after = self.first_entry(|entry| entry.first() <= position.0)?;
                self.forwards(after.max(range.start)..range.end, &mut take)?;
                entries.reverse();
                let last = entries.last().map_or(position.0.saturating_add(1), |entry| entry.first.0);
                let newer = entries.first().filter(|_| more).map(|entry| Cursor::Newer(entry.first));
                Ok(Page { entries, newer, older: Some(Cursor::Older(Position(last))) })
            }
            Some(Cursor::Older(position)) => {
                let before = self.first_entry(|entry| entry.first() < position.0)?;
                self.backwards(range.start..before.min(range.end), &mut take)?;
                let older = entries.last().filter(|_| more).map(|entry| Cursor::Older(entry.first));
                // Whoever comes from there wants to go back there, also where nothing is left in between.
                let first = entries.first().map_or(position.0.checked_sub(1), |entry| Some(entry.first.0));
                Ok(Page { entries, newer: first.map(|first| Cursor::Newer(Position(first))), older })
            }
            None => {
                self.backwards(range, &mut take)?;
                let older = entries.last().filter(|_| more).map(|entry| Cursor::Older(entry.first));
                Ok(Page { entries, newer: None, older })
            }
        }
    }

    /// The delivery or refusal that begins at a position.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn one(&self, first: Position) -> io::Result<Option<Entry>> {
        let number = self.first_entry(|entry| entry.first() < first.0)?;
        let count = self.known().count;
        let mut found = None;
        self.forwards(number..count.min(number + 1), &mut |entry| {
            found = Some(entry.entry()).filter(|entry| entry.first == first);
            false
        })?;
        Ok(found)
    }

    /// The deliveries and refusals with a transaction id, newest first. Looks at every entry.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn of_transaction(&self, transaction: &[u8; 16]) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        self.each(&Filter::default(), &mut |entry| {
            if entry.transaction() == *transaction {
                found.push(entry.entry());
            }
        })?;
        found.reverse();
        Ok(found)
    }

    /// How many deliveries and refusals there are. Looks at all of the filter's days.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn count(&self, filter: &Filter) -> io::Result<u64> {
        let mut count = 0;
        self.each(filter, &mut |_| count += 1)?;
        Ok(count)
    }

    /// Shows, oldest first, all that a filter takes.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or one cannot be shown.
    pub fn list(&self, filter: &Filter, show: &mut dyn FnMut(&Entry) -> io::Result<()>) -> io::Result<()> {
        let mut shown = Ok(());
        self.forwards(self.range(filter)?, &mut |entry| {
            if filter.takes(entry) {
                shown = show(&entry.entry());
            }
            shown.is_ok()
        })?;
        shown
    }

    /// The delivery that a chunk is of; none where it does not show.
    pub(in crate::answers) fn of_chunk(&self, position: Position, leaf: &Leaf) -> io::Result<Option<Entry>> {
        if leaf.chunk == 0 {
            return self.one(position);
        }
        let before = self.first_entry(|entry| entry.first() < position.0)?;
        let gone = self.known().gone;
        let mut found = None;
        self.backwards(gone..before, &mut |entry| {
            if entry.span() == leaf.span_id {
                found = Some(entry.entry());
            }
            found.is_none() && entry.recorded_ms().saturating_add(CLOCK_MS) >= leaf.start_ms
        })?;
        Ok(found)
    }

    /// Shows, in order, what a filter takes.
    pub(super) fn each(&self, filter: &Filter, show: &mut dyn FnMut(Raw<'_>)) -> io::Result<()> {
        self.forwards(self.range(filter)?, &mut |entry| {
            if filter.takes(entry) {
                show(entry);
            }
            true
        })
    }

    /// Where the entries of a filter's days are.
    fn range(&self, filter: &Filter) -> io::Result<Range<u64>> {
        let Some(days) = &filter.days else {
            let known = self.known();
            return Ok(known.gone..known.count);
        };
        let from = day_start_ms(*days.start());
        let until = days.end().tomorrow().map_or(u64::MAX, day_start_ms);
        let start = self.first_entry(|entry| entry.recorded_ms() < from)?;
        let end = self.first_entry(|entry| entry.recorded_ms() < until)?;
        Ok(start..end.max(start))
    }

    /// The number of the first entry that is no longer before what is sought: positions and times go the way of numbers.
    pub(super) fn first_entry(&self, is_before: impl Fn(Raw<'_>) -> bool) -> io::Result<u64> {
        let (mut low, mut high) = {
            let known = self.known();
            (known.gone, known.count)
        };
        let mut bytes = [0; Entry::SIZE];
        while low < high {
            let middle = low + (high - low) / 2;
            {
                let _still = self.known();
                self.scratch.read(middle, &mut bytes)?;
            }
            if is_before(Raw(&bytes)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Shows entries in order, until told that it is enough.
    fn forwards(&self, range: Range<u64>, show: &mut dyn FnMut(Raw<'_>) -> bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        let (mut at, mut many) = (range.start, FEW);
        while at < range.end {
            let until = (at + many).min(range.end);
            for entry in self.read(at..until, &mut bytes)? {
                if !Raw(entry).is_blank() && !show(Raw(entry)) {
                    return Ok(());
                }
            }
            (at, many) = (until, (many * 4).min(MANY));
        }
        Ok(())
    }

    /// Shows entries from the last to the first, until told that it is enough.
    fn backwards(&self, range: Range<u64>, show: &mut dyn FnMut(Raw<'_>) -> bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        let (mut at, mut many) = (range.end, FEW);
        while at > range.start {
            let from = at.saturating_sub(many).max(range.start);
            for entry in self.read(from..at, &mut bytes)?.iter().rev() {
                if !Raw(entry).is_blank() && !show(Raw(entry)) {
                    return Ok(());
                }
            }
            (at, many) = (from, (many * 4).min(MANY));
        }
        Ok(())
    }

    /// Reads entries. Nobody changes one meanwhile, so that each is whole.
    fn read<'b>(&self, range: Range<u64>, bytes: &'b mut Vec<u8>) -> io::Result<&'b [[u8; Entry::SIZE]]> {
        bytes.resize((range.end - range.start) as usize * Entry::SIZE, 0);
        let _still = self.known();
        self.scratch.read(range.start, bytes)?;
        Ok(bytes.as_chunks().0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_written_and_read() {
        for cursor in [Cursor::Newer(Position(0)), Cursor::Older(Position(u64::MAX))] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", "12", "older", "older-", "older--1", "oldest-1", "newer-1x"] {
            assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text}");
        }
    }
}
