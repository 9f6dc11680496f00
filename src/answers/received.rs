//! Everything one recipient received.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    ops::RangeInclusive,
};

use jiff::civil::Date;
use serde::Serialize;

use super::{
    Answers, Ended, Fields, Party, SchoolName,
    parties::bits_of,
    person::{outcome_of, with_outcomes},
};
use crate::{
    clock::day_start_ms,
    disclosure::{Leaf, LeafKind, RowOutcome, Subject, Wanted, rowfile::Handle},
};

/// Everything one recipient received on some days.
#[derive(Debug, Serialize)]
pub struct Received {
    /// The recipient.
    pub recipient: Party,
    /// By school.
    pub schools: Vec<SchoolReceived>,
}

/// What it received of one school.
#[derive(Debug, Serialize)]
pub struct SchoolReceived {
    /// The school.
    pub school: SchoolName,
    /// Deliveries that were handed over whole.
    pub sent: u64,
    /// Deliveries that broke off; what had left is disclosed.
    pub failed: u64,
    /// Deliveries of which nobody knows how they ended; they count as disclosed.
    pub unknown: u64,
    /// Pupils of whom it got something. With a new log key a pupil counts anew.
    pub pupils: usize,
    /// Teachers of whom it got something.
    pub staff: usize,
    /// Persons of whom a delivery held something back entirely, counted once for each delivery.
    pub withheld_persons: u64,
    /// Per field, how often it left and how often it was present and stayed.
    pub fields: Vec<FieldCount>,
}

/// How often a field left and stayed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct FieldCount {
    /// Its name.
    pub field: &'static str,
    /// What people call it.
    #[serde(skip)]
    pub label: &'static str,
    /// Persons, counted once for each delivery, of whom it left.
    pub released: u64,
    /// Persons, counted once for each delivery, of whom it was present and stayed.
    pub withheld: u64,
}

#[derive(Default)]
struct Tally {
    spans: HashMap<[u8; 8], Ended>,
    pupils: HashSet<Handle>,
    staff: HashSet<Handle>,
    withheld_persons: u64,
    /// By kind of fields and bit: released, withheld.
    fields: BTreeMap<(Fields, u32), (u64, u64)>,
}

impl Answers<'_> {
    /// Everything a recipient received on these days; results it sent are not among it.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn received(&self, recipient: &str, days: &RangeInclusive<Date>) -> io::Result<Received> {
        let code = Leaf::recipient_code(recipient);
        let until = day_start_ms(days.end().saturating_add(jiff::Span::new().days(1)));
        let wanted = |leaf: &Leaf| match leaf.kind {
            _ if leaf.recipient != code || leaf.flags & Leaf::INBOUND != 0 => Wanted::Nothing,
            LeafKind::Disclosure if leaf.end_ms < until => Wanted::Rows,
            LeafKind::Outcome => Wanted::Leaf,
            _ => Wanted::Nothing,
        };
        let mut schools: BTreeMap<[u8; 4], Tally> = BTreeMap::new();
        self.reader.chunks(&with_outcomes(days), &wanted, &mut |_, leaf, rows| {
            if let Some(status) = outcome_of(leaf) {
                let ended =
                    schools.get_mut(&leaf.brin()).and_then(|tally| tally.spans.get_mut(&leaf.span_id));
                ended.into_iter().for_each(|ended| *ended = Some(status).into());
                return Ok(());
            }
            let tally = schools.entry(leaf.brin()).or_default();
            tally.spans.entry(leaf.span_id).or_insert(Ended::Unknown);
            let mut masks: HashMap<(Fields, u64, u64), u64> = HashMap::new();
            for located in rows {
                let row = &located.row;
                match (row.outcome, row.subject) {
                    (RowOutcome::Withheld, _) => tally.withheld_persons += 1,
                    (RowOutcome::Released, Subject::Leerkracht) => drop(tally.staff.insert(row.handle)),
                    (RowOutcome::Released, Subject::Leerling) => drop(tally.pupils.insert(row.handle)),
                }
                *masks.entry((Fields::of(leaf, row.subject), row.released, row.withheld)).or_default() += 1;
            }
            // Most persons of a chunk have the same fields.
            for ((fields, released, withheld), times) in masks {
                for bit in bits_of(released) {
                    tally.fields.entry((fields, bit)).or_default().0 += times;
                }
                for bit in bits_of(withheld) {
                    tally.fields.entry((fields, bit)).or_default().1 += times;
                }
            }
            Ok(())
        })?;
        let schools = schools.into_iter().map(|(brin, tally)| self.school_received(&brin, &tally)).collect();
        Ok(Received { recipient: self.party(&code), schools })
    }

    fn school_received(&self, brin: &[u8; 4], tally: &Tally) -> SchoolReceived {
        let ended = |wanted: Ended| tally.spans.values().filter(|&&ended| ended == wanted).count() as u64;
        let count = |(&(fields, bit), &(released, withheld)): (&(Fields, u32), &(u64, u64))| FieldCount {
            field: fields.names(1 << bit)[0],
            label: fields.labels(1 << bit)[0],
            released,
            withheld,
        };
        SchoolReceived {
            school: self.school(&String::from_utf8_lossy(brin)),
            sent: ended(Ended::Sent),
            failed: ended(Ended::Failed),
            unknown: ended(Ended::Unknown),
            pupils: tally.pupils.len(),
            staff: tally.staff.len(),
            withheld_persons: tally.withheld_persons,
            fields: tally.fields.iter().map(count).collect(),
        }
    }
}
