//! What is kept for a visitor between two forms, so that no identifier has to travel again: handles of a person that was
//! looked up, pseudonyms that were pasted. In memory, for some minutes, for the session that asked and no other.

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::civil::Date;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::visitor::Visitor;
use crate::{answers::Person, clock::Clock, standing::HexHandle};

/// How long, in milliseconds: a quarter of an hour.
const LIFE_MS: u64 = 15 * 60 * 1000;
/// Things kept at once, of all sessions; the oldest goes first.
const MOST: usize = 256;

/// A person that was looked up.
pub(super) struct Subject {
    /// The reading, in the log.
    pub(super) reference: Uuid,
    /// The school.
    pub(super) brin: String,
    /// Why the person was looked up.
    pub(super) why: u8,
    /// The handles.
    pub(super) person: Person,
    /// Those that something new is entered under, with the log key; none: nothing can be entered.
    pub(super) under: Option<(u16, Vec<HexHandle>)>,
}

/// A breach that was asked about.
pub(super) struct Breach {
    /// The reading, in the log.
    pub(super) reference: Uuid,
    /// Id of the recipient.
    pub(super) recipient: String,
    /// The school; none: all.
    pub(super) brin: Option<String>,
    /// The days.
    pub(super) days: RangeInclusive<Date>,
    /// The pseudonyms that are out; none: all that was sent.
    pub(super) pseudonyms: Option<Zeroizing<String>>,
    /// Why.
    pub(super) why: u8,
}

enum Thing {
    Breach(Arc<Breach>),
    Subject(Arc<Subject>),
}

struct Entry {
    session: [u8; 32],
    reference: Uuid,
    until_ms: u64,
    thing: Thing,
}

/// All that is kept.
pub(super) struct Kept {
    clock: Arc<dyn Clock>,
    entries: Mutex<VecDeque<Entry>>,
}

impl Kept {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, entries: Mutex::default() }
    }

    fn put(&self, visitor: &Visitor, reference: Uuid, thing: Thing) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now_ms();
        entries.retain(|entry| entry.until_ms > now);
        while entries.len() >= MOST {
            entries.pop_front();
        }
        entries.push_back(Entry { session: visitor.session, reference, until_ms: now + LIFE_MS, thing });
    }

    fn get<T>(&self, visitor: &Visitor, reference: Uuid, take: impl Fn(&Thing) -> Option<T>) -> Option<T> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now_ms();
        let own = |entry: &&Entry| {
            entry.session == visitor.session && entry.reference == reference && entry.until_ms > now
        };
        entries.iter().find(own).and_then(|entry| take(&entry.thing))
    }

    /// Lets go of all that is kept for a session, which has ended.
    pub(super) fn forget(&self, session: &[u8; 32]) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).retain(|entry| entry.session != *session);
    }

    /// Keeps a person.
    pub(super) fn keep(&self, visitor: &Visitor, subject: Subject) -> Arc<Subject> {
        let subject = Arc::new(subject);
        self.put(visitor, subject.reference, Thing::Subject(Arc::clone(&subject)));
        subject
    }

    /// A person that this session looked up.
    pub(super) fn subject(&self, visitor: &Visitor, reference: Uuid) -> Option<Arc<Subject>> {
        self.get(visitor, reference, |thing| match thing {
            Thing::Subject(subject) => Some(Arc::clone(subject)),
            Thing::Breach(_) => None,
        })
    }

    /// Keeps a breach.
    pub(super) fn keep_breach(&self, visitor: &Visitor, breach: Breach) -> Arc<Breach> {
        let breach = Arc::new(breach);
        self.put(visitor, breach.reference, Thing::Breach(Arc::clone(&breach)));
        breach
    }

    /// A breach that this session asked about.
    pub(super) fn breach(&self, visitor: &Visitor, reference: Uuid) -> Option<Arc<Breach>> {
        self.get(visitor, reference, |thing| match thing {
            Thing::Breach(breach) => Some(Arc::clone(breach)),
            Thing::Subject(_) => None,
        })
    }
}
