//! The log for other tools: [lines] of JSON or CSV, and [Logboek Dataverwerkingen](ldv).
//!
//! All of it streams: what is kept is one chunk of at most 256 rows.

pub mod ldv;
pub mod lines;

use std::{
    io::{self, Write},
    ops::RangeInclusive,
};

use jiff::civil::Date;

use super::Answers;
use crate::disclosure::{Leaf, LeafKind, ShowChunk, Wanted};

/// What is exported.
pub struct Extent<'a> {
    /// On which days it was recorded.
    pub days: RangeInclusive<Date>,
    /// Of which school; all when none is given.
    pub school: Option<&'a str>,
}

impl Answers<'_> {
    /// Shows the deliveries, outcomes and refusals of an extent, in order, disclosures with their rows.
    fn exported(&self, extent: &Extent<'_>, show: &mut ShowChunk<'_>) -> io::Result<()> {
        let wanted = |leaf: &Leaf| match leaf.kind {
            _ if extent.school.is_some_and(|brin| leaf.brin() != *brin.as_bytes()) => Wanted::Nothing,
            LeafKind::Disclosure => Wanted::Rows,
            LeafKind::Outcome | LeafKind::Withheld => Wanted::Leaf,
            _ => Wanted::Nothing,
        };
        self.reader.chunks(&extent.days, &wanted, show)
    }

    /// Writes an extent as lines of JSON.
    ///
    /// # Errors
    ///
    /// When the log cannot be read, or the output not be written.
    pub fn export_jsonl(&self, extent: &Extent<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.exported(extent, &mut |position, leaf, rows| {
            for line in self.lines(position, leaf, rows) {
                serde_json::to_writer(&mut *out, &line)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })
    }

    /// Writes an extent as CSV.
    ///
    /// # Errors
    ///
    /// As [`Answers::export_jsonl`].
    pub fn export_csv(&self, extent: &Extent<'_>, out: &mut dyn Write) -> io::Result<()> {
        lines::csv_line(&lines::COLUMNS.map(str::to_owned), out)?;
        self.exported(extent, &mut |position, leaf, rows| {
            self.lines(position, leaf, rows).try_for_each(|line| lines::csv_line(&line.cells(), out))
        })
    }
}
