//! One line per leaf of a delivery, an outcome or a refusal, and one per row.
//!
//! | column | in | |
//! |---|---|---|
//! | `record` | all | `delivery` (one for each chunk), `outcome`, `refusal` or `row` |
//! | `position` | all | of the leaf in the log; a row has that of its chunk |
//! | `recorded` | all | instant in UTC |
//! | `school` | all | BRIN and vestiging |
//! | `recipient` | all | id by the configuration; the code where it is not there |
//! | `direction` | all | `out`, or `in` for results |
//! | `transaction` | all | UUID |
//! | `delivery` | all | the delivery's span id |
//! | `chunk` | delivery, row | number in the delivery |
//! | `agreement`, `version` | all | id and version; the hash where the id is not known |
//! | `rows` | delivery | persons in the chunk |
//! | `outcome` | outcome, row | `sent`, `failed`, `unknown`; for a row `released` or `withheld` |
//! | `refusal` | refusal | its number |
//! | `index` | row | in the chunk |
//! | `handle`, `epoch` | row | stands for the person, under the log key of this epoch |
//! | `subject` | row | `leerling` or `leerkracht` |
//! | `released`, `withheld` | row | names of fields; in CSV with spaces between them |
//! | `kept_out` | row | `bezwaar`, `beperking` or `geen-toestemming`, where that kept the person out |
//! | `rules` | delivery, outcome, refusal | the five rules in order, each `1` kept, `2` broken or `0` not judged |
//! | `reason` | refusal | why, in words |
//!
//! CSV is that of RFC 4180. A cell that a spreadsheet would take for a formula gets an apostrophe before it.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::super::{Answers, Ended, Fields, person::outcome_of};
use crate::{
    disclosure::{KeptOut, Leaf, LeafKind, Position, RowOutcome, Subject, rowfile::Located},
    policy::rules::{Reason, Rule},
};

/// The columns, in the order of CSV.
pub const COLUMNS: [&str; 23] = [
    "record",
    "position",
    "recorded",
    "school",
    "recipient",
    "direction",
    "transaction",
    "delivery",
    "chunk",
    "agreement",
    "version",
    "rows",
    "outcome",
    "refusal",
    "index",
    "handle",
    "epoch",
    "subject",
    "released",
    "withheld",
    "kept_out",
    "rules",
    "reason",
];

/// One line.
#[derive(Clone, Serialize)]
pub(super) struct Line {
    record: &'static str,
    position: u64,
    recorded: String,
    school: String,
    recipient: String,
    direction: &'static str,
    transaction: String,
    delivery: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk: Option<u32>,
    agreement: String,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    person: Option<PersonLine>,
}

#[derive(Clone, Serialize)]
struct PersonLine {
    index: u32,
    handle: String,
    epoch: u16,
    subject: &'static str,
    released: Vec<&'static str>,
    withheld: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_out: Option<&'static str>,
}

impl Line {
    /// In the order of [`COLUMNS`].
    pub(super) fn cells(&self) -> [String; 23] {
        fn text(value: Option<impl ToString>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        let person = self.person.as_ref();
        [
            self.record.into(),
            self.position.to_string(),
            self.recorded.clone(),
            self.school.clone(),
            self.recipient.clone(),
            self.direction.into(),
            self.transaction.clone(),
            self.delivery.clone(),
            text(self.chunk),
            self.agreement.clone(),
            self.version.to_string(),
            text(self.rows),
            text(self.outcome),
            text(self.refusal),
            text(person.map(|person| person.index)),
            text(person.map(|person| &person.handle)),
            text(person.map(|person| person.epoch)),
            text(person.map(|person| person.subject)),
            text(person.map(|person| person.released.join(" "))),
            text(person.map(|person| person.withheld.join(" "))),
            text(person.and_then(|person| person.kept_out)),
            text(self.rules.as_ref()),
            text(self.reason),
        ]
    }
}

/// An instant as RFC 3339 writes it.
pub(in crate::answers) fn instant(ms: u64) -> String {
    let found = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    found.unwrap_or(Timestamp::MAX).to_string()
}

impl Answers<'_> {
    /// The lines of a leaf and its rows.
    pub(super) fn lines<'l>(
        &self,
        position: Position,
        leaf: &'l Leaf,
        rows: &'l [Located],
    ) -> impl Iterator<Item = Line> + use<'l> {
        let under = self.under(leaf);
        let party = self.party(&leaf.recipient);
        let delivery = leaf.kind == LeafKind::Disclosure;
        let head = Line {
            record: match leaf.kind {
                LeafKind::Outcome => "outcome",
                LeafKind::Withheld => "refusal",
                _ => "delivery",
            },
            position: position.0,
            recorded: instant(leaf.end_ms),
            school: leaf.controller.iter().filter(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect(),
            recipient: party.id.unwrap_or(party.code),
            direction: if leaf.flags & Leaf::INBOUND == 0 { "out" } else { "in" },
            transaction: Uuid::from_bytes(leaf.transaction).to_string(),
            delivery: hex::encode(leaf.span_id),
            chunk: delivery.then_some(leaf.chunk),
            agreement: under.id.unwrap_or(under.sha256),
            version: under.version,
            rows: delivery.then_some(leaf.rows),
            outcome: outcome_of(leaf).map(|status| Ended::from(Some(status)).as_str()),
            refusal: (leaf.kind == LeafKind::Withheld).then_some(leaf.status),
            rules: Some(Rule::ALL.map(|rule| (leaf.verdicts.of(rule) as u8).to_string()).concat()),
            reason: (leaf.kind == LeafKind::Withheld)
                .then(|| Reason::from_number(leaf.status).map_or("onbekend", Reason::text)),
            person: None,
        };
        let of_row = Line { record: "row", rows: None, rules: None, ..head.clone() };
        let rows = rows.iter().map(move |Located { index, row, .. }| {
            let fields = Fields::of(leaf, row.subject);
            let person = PersonLine {
                index: *index,
                handle: hex::encode(row.handle),
                epoch: leaf.log_epoch,
                subject: match row.subject {
                    Subject::Leerkracht => "leerkracht",
                    Subject::Leerling => "leerling",
                },
                released: fields.names(row.released),
                withheld: fields.names(row.withheld),
                kept_out: row.kept_out.map(KeptOut::as_str),
            };
            let outcome = match row.outcome {
                RowOutcome::Released => "released",
                RowOutcome::Withheld => "withheld",
            };
            Line { outcome: Some(outcome), person: Some(person), ..of_row.clone() }
        });
        std::iter::once(head).chain(rows)
    }
}

/// Writes cells as a line of CSV.
///
/// # Errors
///
/// When it cannot be written.
pub(in crate::answers) fn csv_line(cells: &[String], out: &mut dyn Write) -> io::Result<()> {
    for (number, cell) in cells.iter().enumerate() {
        if number > 0 {
            out.write_all(b",")?;
        }
        out.write_all(csv_cell(cell).as_bytes())?;
    }
    out.write_all(b"\r\n")
}

/// A cell, safe for readers of CSV and for spreadsheets.
fn csv_cell(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let safe = if formula { format!("'{cell}") } else { cell.to_owned() };
    if safe.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
}

#[cfg(test)]
mod tests {
    use super::csv_cell;

    #[test]
    fn a_cell_is_no_formula() {
        for (cell, expected) in [
            ("", ""),
            ("noordzee", "noordzee"),
            ("=1+1", "'=1+1"),
            ("+31", "'+31"),
            ("-1", "'-1"),
            ("@naam", "'@naam"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            ("a,b", "\"a,b\""),
            ("=\"x\"", "\"'=\"\"x\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("a=b", "a=b"),
        ] {
            assert_eq!(csv_cell(cell), expected, "{cell:?}");
        }
    }
}
