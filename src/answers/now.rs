//! What would leave about a person now: a feed of the school through the minimiser, as for a delivery, of which the
//! person's own part is kept. Nothing is disclosed by it.
//!
//! The whole feed goes through, for whether a value may leave depends on the others in it. What comes out is read again
//! as a recipient would; in memory is one chunk, the groups, and the person.

use std::{
    convert::Infallible,
    fs::File,
    io::{self, Write},
    panic,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use serde::Serialize;
use uuid::Uuid;

use super::{Answers, Person, subject::person_of};
use crate::{
    catalogue::{self, catalogue},
    clock::Clock,
    config::{Recipient, School},
    decode::{self, DecodeError, Limits, decode},
    delivery::{Asked, Delivery, NoDelivery},
    disclosure::{Row, RowOutcome, rowfile::Handle},
    minimise::{self, Chunk, Minimiser, Outlet, Refusal, Scope},
    record::Record,
    standing::Ledger,
    token::Token,
};

/// What would leave about a person now. Not printable: it holds the person's data.
#[derive(Serialize)]
pub struct Now {
    /// Under which agreement.
    pub agreement: String,
    /// Its version.
    pub version: u32,
    /// For which product.
    pub product: String,
    /// For which purpose, by its id.
    pub purpose: String,
    /// In the order of the feed; those of groups the person is in after the person's own.
    pub values: Vec<Value>,
}

/// A value that would leave, as it would leave.
#[derive(Serialize)]
pub struct Value {
    /// The field.
    pub field: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// The value; a pseudonym where one takes its place.
    pub value: String,
}

/// Why there are no values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoValues {
    /// The feed is not as it should be.
    #[error("the feed cannot be used: {0}")]
    Feed(DecodeError),
    /// The feed cannot be read.
    #[error("the feed cannot be read ({})", .0.kind())]
    Io(#[from] io::Error),
    /// The keys are not there.
    #[error("the keys of this school are missing")]
    Keys,
    /// The feed would be refused.
    #[error("the feed cannot be used: {0}")]
    Refused(Refusal),
}

impl Answers<'_> {
    /// What would leave about a person of this feed to a recipient today; nothing without an agreement in force, or when
    /// nothing of the person would leave.
    ///
    /// # Errors
    ///
    /// When the feed cannot be used.
    pub fn now(
        &self,
        school: &Arc<School>,
        recipient: &Arc<Recipient>,
        person: &Person,
        feed: &Path,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Now>, NoValues> {
        let asked = Asked {
            school,
            dependance: None,
            recipient,
            expected: None,
            transaction: Uuid::nil(),
            certificate: [0; 32],
        };
        let ledger = Ledger::reading(&self.config.data);
        let delivery = match Delivery::decide(self.config, &ledger, &asked, clock) {
            Ok(delivery) => delivery,
            Err(NoDelivery::Agreement(_) | NoDelivery::Unapproved | NoDelivery::Rights) => return Ok(None),
            Err(NoDelivery::Keys) => return Err(NoValues::Keys),
        };
        // Someone who is known by a handle of an earlier log key alone is found under that key.
        for log_keys in &self.log_keys(&school.brin) {
            let own = person
                .handles
                .iter()
                .filter(|(epoch, _)| epoch.is_none_or(|epoch| epoch == log_keys.epoch()));
            let handles: Vec<Handle> = own.map(|&(_, handle)| handle).collect();
            if handles.is_empty() {
                continue;
            }
            let scope = Scope { log_keys, ..delivery.scope() };
            if let Some(values) = values(scope, delivery.limits(), feed, &handles)? {
                let agreement = delivery.agreement();
                return Ok(Some(Now {
                    agreement: agreement.id.clone(),
                    version: agreement.version,
                    product: agreement.product.clone(),
                    purpose: agreement.purpose.clone(),
                    values,
                }));
            }
        }
        Ok(None)
    }
}

/// Runs a feed through the minimiser, whole.
pub(super) fn run<O: Outlet>(
    scope: Scope<'_>,
    limits: &Limits,
    feed: &Path,
    outlet: O,
) -> Result<O, decode::Error<minimise::Error<O::Error>>> {
    let mut minimiser = Minimiser::new(scope, outlet);
    // A file that cannot be opened fails as one that cannot be read.
    let source: Box<dyn io::Read> = match File::open(feed) {
        Ok(file) => Box::new(file),
        Err(error) => Box::new(Unreadable(error.kind())),
    };
    decode(source, None, limits, &mut minimiser)?;
    minimiser.finish().map_err(decode::Error::Sink)?;
    Ok(minimiser.into_parts().1)
}

struct Unreadable(io::ErrorKind);

impl io::Read for Unreadable {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
}

/// No person has been found yet.
const NOBODY: u64 = u64::MAX;

/// The values of one person in what comes out.
fn values(
    scope: Scope<'_>,
    limits: &Limits,
    feed: &Path,
    handles: &[Handle],
) -> Result<Option<Vec<Value>>, NoValues> {
    let (out, into) = io::pipe()?;
    let place = AtomicU64::new(NOBODY);
    let (ran, (read, reader)) = thread::scope(|scoped| {
        let place = &place;
        let reading = scoped.spawn(move || {
            let mut reader = Reread { place, counts: [0; 2], current: None, groups: Vec::new(), found: None };
            let read = decode(out, None, limits, &mut |token: Token<'_>| reader.token(&token));
            (read, reader)
        });
        let outlet = Through { into, handles, place, counts: [0; 2] };
        let ran = run(scope, limits, feed, outlet).map(drop);
        (ran, reading.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)))
    });
    match ran {
        Ok(()) => {}
        // A file in a format that cannot say that there is nothing.
        Err(decode::Error::Sink(minimise::Error::Refused(Refusal::Nothing))) => return Ok(None),
        Err(decode::Error::Sink(minimise::Error::Refused(refusal))) => {
            return Err(NoValues::Refused(refusal));
        }
        Err(decode::Error::Sink(minimise::Error::Outlet(error))) => return Err(NoValues::Io(error)),
        Err(decode::Error::Decode(error)) => return Err(NoValues::Feed(error)),
    }
    match read {
        Ok(()) => {}
        Err(decode::Error::Decode(error)) => return Err(NoValues::Feed(error)),
        Err(decode::Error::Sink(never)) => match never {},
    }
    Ok(reader.values())
}

/// Hands on what comes out, and says before it does which of its persons is the one.
struct Through<'a> {
    into: io::PipeWriter,
    handles: &'a [Handle],
    place: &'a AtomicU64,
    counts: [u64; 2],
}

impl Outlet for Through<'_> {
    type Error = io::Error;

    fn chunk(&mut self, chunk: Chunk) -> io::Result<()> {
        let left = |row: &&Row| row.outcome == RowOutcome::Released;
        for row in chunk.rows.iter().filter(left) {
            let person = person_of(row.subject);
            let count = &mut self.counts[usize::from(person == catalogue::Person::Leerkracht)];
            if self.handles.contains(&row.handle) {
                self.place.store(placed(person, *count), SeqCst);
            }
            *count += 1;
        }
        self.into.write_all(chunk.document.as_bytes())
    }
}

/// The n-th pupil, or teacher, as one number.
fn placed(person: catalogue::Person, number: u64) -> u64 {
    number << 1 | u64::from(person == catalogue::Person::Leerkracht)
}

/// Reads what comes out, and keeps the person and the groups.
struct Reread<'a> {
    place: &'a AtomicU64,
    counts: [u64; 2],
    current: Option<Record>,
    groups: Vec<Record>,
    found: Option<Record>,
}

impl Reread<'_> {
    fn token(&mut self, token: &Token<'_>) -> Result<(), Infallible> {
        if let Some(record) = &mut self.current {
            if record.take(token)
                && let Some(record) = self.current.take()
            {
                self.record(record);
            }
        } else if let Token::Record(kind, node) = *token {
            self.current = Some(Record::new(kind, node));
        }
        Ok(())
    }

    fn record(&mut self, record: Record) {
        let kind = catalogue().record(record.kind);
        let Some(person) = kind.person else {
            self.groups.push(record);
            return;
        };
        let count = &mut self.counts[usize::from(person == catalogue::Person::Leerkracht)];
        if self.place.load(SeqCst) == placed(person, *count) {
            self.found = Some(record);
        }
        *count += 1;
    }

    fn values(self) -> Option<Vec<Value>> {
        let found = self.found?;
        let mut values = values_of(&found).collect::<Vec<_>>();
        let refers = |group: &&Record| {
            let key = catalogue().record(group.kind).key.and_then(|key| group.find(key));
            key.is_some_and(|key| found.items().iter().any(|item| found.value(item) == key))
        };
        values.extend(self.groups.iter().filter(refers).flat_map(values_of));
        Some(values)
    }
}

fn values_of(record: &Record) -> impl Iterator<Item = Value> {
    let items = record.items().iter().filter(|item| !record.value(item).is_empty());
    items.filter_map(|item| {
        let field = catalogue().field(item.field?);
        Some(Value { field: &field.name, label: &field.label, value: record.value(item).to_owned() })
    })
}
