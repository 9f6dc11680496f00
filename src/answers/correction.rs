//! Who must be told that something about a person was corrected (AVG art. 19).

use std::{collections::BTreeMap, convert::Infallible, io, ops::RangeInclusive, path::Path, sync::Arc};

use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

use super::{ALWAYS, Answers, Ended, Fields, Party, Person, SchoolName, Under, now, person::outcome_of};
use crate::{
    clock::Clock,
    config::{Recipient, School},
    delivery::{Asked, Delivery},
    disclosure::{Leaf, Position, Row, RowOutcome, rowfile::Handle},
    keys::Purpose,
    minimise::{Chunk, Outlet, Scope},
    pseudonym::LogKeys,
    standing::Ledger,
};

/// The recipients that hold something of a person.
#[derive(Debug, Serialize)]
pub struct Worklist {
    /// The school.
    pub school: SchoolName,
    /// Whether the log may have more of the person: see [`Person::partial`].
    pub partial: bool,
    /// By recipient.
    pub holders: Vec<Holder>,
}

/// A recipient, and what it got last.
#[derive(Debug, Serialize)]
pub struct Holder {
    /// The recipient.
    pub recipient: Party,
    /// Under which agreement.
    pub agreement: Under,
    /// When, ms since 1970.
    pub last_ms: u64,
    /// How that delivery ended.
    pub outcome: Ended,
    /// In every log it passed.
    pub transaction: Uuid,
    /// Its leaf.
    pub position: u64,
    /// Names of the fields it got last.
    pub released: Vec<&'static str>,
    /// Whether that is what it would get now.
    pub holds: Holds,
    /// The mask, and what its bits mean.
    #[serde(skip)]
    pub mask: (Fields, u64),
}

/// Whether what a recipient got last is what it would get now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Holds {
    /// It is.
    Current,
    /// It would get nothing of the person now: no agreement in force, or no longer in the feed.
    Nothing,
    /// It is not: a field was changed, came or went, or the feed is of another standard than the one of that delivery.
    Older,
    /// No feed to hold it against, or one that cannot be used.
    Unknown,
}

/// The last row of a person that a recipient got.
pub(super) struct Last {
    pub(super) leaf: Leaf,
    position: Position,
    pub(super) row: Row,
    outcome: Ended,
}

impl Answers<'_> {
    /// The recipients that hold something of a person, with what would be released of a feed now, where one is given.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn worklist(
        &self,
        school: &Arc<School>,
        person: &Person,
        feed: Option<&Path>,
        clock: &Arc<dyn Clock>,
    ) -> io::Result<Worklist> {
        let last = self.last_of(&school.brin, person)?;
        let holders = last.iter().map(|last| self.holder(school, last, person, feed, clock));
        let holders = holders.collect();
        Ok(Worklist { school: self.school(&school.brin), partial: person.partial, holders })
    }

    /// The last row of a person that each recipient got.
    pub(super) fn last_of(&self, brin: &str, person: &Person) -> io::Result<Vec<Last>> {
        let days: RangeInclusive<Date> = ALWAYS;
        let mut rows: BTreeMap<Position, Row> = BTreeMap::new();
        for handle in person.distinct() {
            self.reader.rows(brin, &days, Some(&handle), &mut |located| {
                if located.row.outcome == RowOutcome::Released {
                    rows.insert(located.position, located.row);
                }
            })?;
        }
        let mut last: BTreeMap<[u8; 12], Last> = BTreeMap::new();
        if !rows.is_empty() {
            self.each_with_outcome(brin, &days, rows.keys().copied(), &mut |position, leaf| {
                if let Some(status) = outcome_of(leaf) {
                    let own = last.get_mut(&leaf.recipient).filter(|last| last.leaf.span_id == leaf.span_id);
                    own.into_iter().for_each(|last| last.outcome = Some(status).into());
                } else if leaf.flags & Leaf::INBOUND == 0
                    && let Some(row) = rows.get(&position)
                {
                    let (leaf, row) = (leaf.clone(), row.clone());
                    last.insert(leaf.recipient, Last { leaf, position, row, outcome: Ended::Unknown });
                }
            })?;
        }
        Ok(last.into_values().collect())
    }

    /// Who got a row, and whether it would get the same now.
    pub(super) fn holder(
        &self,
        school: &Arc<School>,
        last: &Last,
        person: &Person,
        feed: Option<&Path>,
        clock: &Arc<dyn Clock>,
    ) -> Holder {
        let fields = Fields::of(&last.leaf, last.row.subject);
        Holder {
            recipient: self.party(&last.leaf.recipient),
            agreement: self.under(&last.leaf),
            last_ms: last.leaf.end_ms,
            outcome: last.outcome,
            transaction: Uuid::from_bytes(last.leaf.transaction),
            position: last.position.0,
            released: fields.names(last.row.released),
            holds: feed.map_or(Holds::Unknown, |feed| self.holds(school, last, person, feed, clock)),
            mask: (fields, last.row.released),
        }
    }

    fn holds(
        &self,
        school: &Arc<School>,
        last: &Last,
        person: &Person,
        feed: &Path,
        clock: &Arc<dyn Clock>,
    ) -> Holds {
        let code = last.leaf.recipient;
        let recipient = self.config.recipients.iter().find(|known| Leaf::recipient_code(&known.id) == code);
        let Some(recipient) = recipient else { return Holds::Unknown };
        match self.released_now(school, recipient, last, person, feed, clock) {
            Err(()) => Holds::Unknown,
            Ok(Some(row)) if row.mac == last.row.mac => Holds::Current,
            Ok(Some(_)) => Holds::Older,
            Ok(None) => Holds::Nothing,
        }
    }

    /// The row the person would have in a delivery of this feed today, under the keys of the last one: a key that was
    /// rotated since is not a correction.
    fn released_now(
        &self,
        school: &Arc<School>,
        recipient: &Arc<Recipient>,
        last: &Last,
        person: &Person,
        feed: &Path,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Row>, ()> {
        let asked = Asked {
            school,
            dependance: None,
            recipient,
            expected: None,
            transaction: Uuid::nil(),
            certificate: [0; 32],
        };
        let Ok(delivery) = Delivery::decide(self.config, &Ledger::reading(&self.config.data), &asked, clock)
        else {
            return Ok(None);
        };
        let epoch = last.leaf.log_epoch;
        let root = self.config.keys.all(&school.brin, Purpose::Log).find(|&(known, _)| known == epoch);
        let log_keys = LogKeys::new(root.ok_or(())?.1, epoch, &school.brin);
        let epoch = last.leaf.pseudonym_epoch;
        let pseudonyms = delivery.pseudonyms().iter().find(|known| known.epoch() == epoch).ok_or(())?;
        let scope = Scope { log_keys: &log_keys, pseudonyms, ..delivery.scope() };
        let handles: Vec<Handle> = person.distinct().into_iter().collect();
        let only = now::run(scope, delivery.limits(), feed, Only { handles, found: None });
        only.map(|only| only.found).map_err(drop)
    }
}

/// Keeps one person's row; everything else ends here.
struct Only {
    handles: Vec<Handle>,
    found: Option<Row>,
}

impl Outlet for Only {
    type Error = Infallible;

    fn chunk(&mut self, chunk: Chunk) -> Result<(), Infallible> {
        let own = |row: &Row| row.outcome == RowOutcome::Released && self.handles.contains(&row.handle);
        if let Some(row) = chunk.rows.into_iter().find(own) {
            self.found = Some(row);
        }
        Ok(())
    }
}
