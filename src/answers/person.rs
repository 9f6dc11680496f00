//! What went where about one person (AVG art. 15).

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    io,
    ops::RangeInclusive,
};

use jiff::{Span, civil::Date};
use serde::Serialize;
use uuid::Uuid;

use super::{Answers, DeliveryIndex, Ended, Fields, Party, Person, SchoolName, Under};
use crate::{
    clock::{day_of, day_start_ms},
    disclosure::{
        KeptOut, Leaf, LeafKind, OutcomeStatus, Position, Row, Wanted,
        rollup::{About, RollUpRow},
    },
};

/// What went where about one person.
#[derive(Debug, Serialize)]
pub struct Inzage {
    /// The school.
    pub school: SchoolName,
    /// The handles that stand for the person, with the epoch of their key.
    pub handles: Vec<(Option<u16>, String)>,
    /// Whether the log may have more of the person: see [`Person::partial`].
    pub partial: bool,
    /// By position in the log.
    pub deliveries: Vec<Delivered>,
    /// What is left of the months whose rows have gone by the retention rule.
    pub summaries: Vec<Summarised>,
}

/// Deliveries of one month of which only the sum is kept.
#[derive(Debug, Serialize)]
pub struct Summarised {
    /// The first day.
    pub first: Date,
    /// The last day.
    pub last: Date,
    /// Who received it; for results, who sent them.
    pub recipient: Party,
    /// Results, from recipient to school.
    pub results: bool,
    /// First bytes of the SHA-256 of the agreement, in hexadecimal.
    pub agreement: String,
    /// How many times something of the person was in a delivery.
    pub count: u32,
    /// Names of the fields that left.
    pub released: Vec<&'static str>,
    /// Names of the fields that were present and stayed.
    pub withheld: Vec<&'static str>,
    /// The masks, and what their bits mean.
    #[serde(skip)]
    pub masks: (Fields, u64, u64),
}

/// What one delivery held of the person.
#[derive(Debug, Serialize)]
pub struct Delivered {
    /// When it was put on record, ms since 1970.
    pub recorded_ms: u64,
    /// The day of that, in the Netherlands.
    pub day: Date,
    /// Who received it; for results, who sent them.
    pub recipient: Party,
    /// Results, from recipient to school.
    pub results: bool,
    /// Under which agreement.
    pub agreement: Under,
    /// Names of the fields that left.
    pub released: Vec<&'static str>,
    /// Names of the fields that were present and stayed.
    pub withheld: Vec<&'static str>,
    /// `bezwaar`, `beperking` or `geen-toestemming`, where that kept the person out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_out: Option<&'static str>,
    /// How it ended.
    pub outcome: Ended,
    /// In every log it passed.
    pub transaction: Uuid,
    /// Its first leaf with the person.
    pub position: u64,
    /// The masks, and what their bits mean.
    #[serde(skip)]
    pub masks: (Fields, u64, u64),
}

impl Answers<'_> {
    /// What went where about a person on these days.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn inzage(&self, brin: &str, person: &Person, days: &RangeInclusive<Date>) -> io::Result<Inzage> {
        let mut rows: HashMap<Position, Vec<Row>> = HashMap::new();
        for handle in person.distinct() {
            self.reader.rows(brin, days, Some(&handle), &mut |located| {
                rows.entry(located.position).or_default().push(located.row);
            })?;
        }
        let mut deliveries: BTreeMap<Position, Delivered> = BTreeMap::new();
        let mut spans: HashMap<[u8; 8], Position> = HashMap::new();
        if !rows.is_empty() {
            self.each_with_outcome(brin, days, rows.keys().copied(), &mut |position, leaf| {
                if let Some(status) = outcome_of(leaf) {
                    let delivery = spans.get(&leaf.span_id).and_then(|first| deliveries.get_mut(first));
                    delivery.into_iter().for_each(|delivery| delivery.outcome = Some(status).into());
                    return;
                }
                let Some(rows) = rows.get(&position) else { return };
                let first = *spans.entry(leaf.span_id).or_insert(position);
                let delivery =
                    deliveries.entry(first).or_insert_with(|| self.delivered(position, leaf, &rows[0]));
                for row in rows {
                    delivery.masks.1 |= row.released;
                    delivery.masks.2 |= row.withheld;
                    delivery.kept_out = delivery.kept_out.or(row.kept_out.map(KeptOut::as_str));
                }
            })?;
        }
        let mut deliveries: Vec<_> = deliveries.into_values().collect();
        for delivery in &mut deliveries {
            let (fields, released, withheld) = delivery.masks;
            delivery.released = fields.names(released);
            delivery.withheld = fields.names(withheld);
        }
        let mut summaries = Vec::new();
        for handle in person.distinct() {
            let rows = self.reader.summaries(brin, &handle)?;
            let within = rows.iter().filter(|row| row.first <= *days.end() && row.last >= *days.start());
            summaries.extend(within.map(|row| self.summarised(row)));
        }
        summaries.sort_by(|one, other| (one.first, &one.recipient).cmp(&(other.first, &other.recipient)));
        let handles = person.handles.iter().map(|(epoch, handle)| (*epoch, hex::encode(handle))).collect();
        Ok(Inzage { school: self.school(brin), handles, partial: person.partial, deliveries, summaries })
    }

    fn summarised(&self, row: &RollUpRow) -> Summarised {
        let fields = Fields::about(row.about);
        Summarised {
            first: row.first,
            last: row.last,
            recipient: self.party(&row.recipient),
            results: row.about == About::Results,
            agreement: hex::encode(row.agreement),
            count: row.count,
            released: fields.names(row.released),
            withheld: fields.names(row.withheld),
            masks: (fields, row.released, row.withheld),
        }
    }

    fn delivered(&self, position: Position, leaf: &Leaf, row: &Row) -> Delivered {
        Delivered {
            recorded_ms: leaf.end_ms,
            day: day_of(leaf.end_ms),
            recipient: self.party(&leaf.recipient),
            results: leaf.flags & Leaf::INBOUND != 0,
            agreement: self.under(leaf),
            released: Vec::new(),
            withheld: Vec::new(),
            kept_out: None,
            outcome: Ended::Unknown,
            transaction: Uuid::from_bytes(leaf.transaction),
            position: position.0,
            masks: (Fields::of(leaf, row.subject), 0, 0),
        }
    }

    /// Shows, in order, these disclosures of a school on these days and their outcomes, of which the last come a little
    /// later; and others of the school among them.
    pub(super) fn each_with_outcome(
        &self,
        brin: &str,
        days: &RangeInclusive<Date>,
        disclosures: impl Iterator<Item = Position>,
        show: &mut dyn FnMut(Position, &Leaf),
    ) -> io::Result<()> {
        let days = with_outcomes(days);
        let own = |leaf: &Leaf| {
            leaf.brin() == *brin.as_bytes() && matches!(leaf.kind, LeafKind::Disclosure | LeafKind::Outcome)
        };
        if let Some(index) = self.index
            && let Some(found) = self.looked_up(index, disclosures)?
        {
            let from = day_start_ms(*days.start());
            let until = days.end().tomorrow().map_or(u64::MAX, day_start_ms);
            let within = |leaf: &Leaf| own(leaf) && (from..until).contains(&leaf.end_ms);
            for (position, leaf) in found.leaves.iter().filter(|(_, leaf)| within(leaf)) {
                show(*position, leaf);
            }
            return self.reader.leaves(found.covered, &mut |position, leaf| {
                if within(leaf) {
                    show(position, leaf);
                }
            });
        }
        let wanted = |leaf: &Leaf| if own(leaf) { Wanted::Leaf } else { Wanted::Nothing };
        self.reader.chunks(&days, &wanted, &mut |position, leaf, _| {
            show(position, leaf);
            Ok(())
        })
    }

    /// Disclosures and their outcomes, as far as an index covers them; none where it does not know one of them.
    fn looked_up(
        &self,
        index: &DeliveryIndex,
        disclosures: impl Iterator<Item = Position>,
    ) -> io::Result<Option<LookedUp>> {
        let covered = Position(index.covered().min(self.reader.published()));
        let mut leaves = BTreeMap::new();
        for position in disclosures.filter(|&position| position < covered) {
            let Some(leaf) = self.reader.published_leaf(position)? else { return Ok(None) };
            let Some(entry) = index.of_chunk(position, &leaf)? else { return Ok(None) };
            leaves.insert(position, leaf);
            // One that came after the reader was opened would show, or not, without an index too.
            if let Some(outcome) = entry.outcome.filter(|&outcome| outcome < covered)
                && let Entry::Vacant(place) = leaves.entry(outcome)
                && let Some(leaf) = self.reader.published_leaf(outcome)?
            {
                place.insert(leaf);
            }
        }
        Ok(Some(LookedUp { leaves, covered }))
    }
}

/// Leaves that an index has led to.
struct LookedUp {
    leaves: BTreeMap<Position, Leaf>,
    /// From here on they have to be looked for.
    covered: Position,
}

/// These days, and those on which the outcome of their deliveries may have come.
pub(super) fn with_outcomes(days: &RangeInclusive<Date>) -> RangeInclusive<Date> {
    *days.start()..=days.end().saturating_add(Span::new().days(2))
}

/// How a delivery ended, of an outcome leaf.
pub(super) fn outcome_of(leaf: &Leaf) -> Option<OutcomeStatus> {
    leaf.outcome().map(|outcome| outcome.status)
}
