//! What the feeds of a school were seen to hold. Something new in one is drift: the pupil administration sends more than
//! it did, which no agreement covers yet. It is withheld, like all that no line names, and somebody should know.
//!
//! Parts are named by field of the catalogue. A part that the catalogue does not know has a name of the sender's own
//! choosing, which may hold anything: it is named by the known place it stands in, and `*`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Standing;

/// Events that are kept of a school; older ones are in the log.
const KEPT: usize = 500;

/// A part that a feed did not hold before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The feed.
    pub feed: String,
    /// The part.
    pub part: String,
    /// When it was first seen, ms since 1970.
    pub at_ms: u64,
    /// The transaction of the exchange.
    pub reference: Uuid,
}

/// What feeds were seen to hold, by feed.
pub(super) type Seen = BTreeMap<String, BTreeSet<String>>;

impl Standing {
    /// What feeds began to hold, oldest first.
    pub fn drift(&self) -> &[Drift] {
        &self.drift
    }

    /// The parts of a feed that it never held before. Of a feed that is seen for the first time every known field is new,
    /// and that is no drift.
    pub fn unseen<'p>(&self, feed: &str, parts: &'p BTreeSet<String>) -> Vec<&'p String> {
        match self.seen.get(feed) {
            None => parts.iter().filter(|part| part.ends_with('*')).collect(),
            Some(seen) => parts.iter().filter(|part| !seen.contains(*part)).collect(),
        }
    }

    /// Whether anything about a feed is to be noted.
    pub fn knows<P: AsRef<str>>(&self, feed: &str, mut parts: impl Iterator<Item = P>) -> bool {
        self.seen.get(feed).is_some_and(|seen| parts.all(|part| seen.contains(part.as_ref())))
    }

    /// Notes what a feed holds, and gives what it never held before.
    pub(super) fn note_feed(&mut self, feed: &str, parts: &BTreeSet<String>, at_ms: u64, reference: Uuid) {
        let new: Vec<String> = self.unseen(feed, parts).into_iter().cloned().collect();
        let drift = new.into_iter().map(|part| Drift { feed: feed.to_owned(), part, at_ms, reference });
        self.drift.extend(drift);
        let beyond = self.drift.len().saturating_sub(KEPT);
        self.drift.drain(..beyond);
        self.seen.entry(feed.to_owned()).or_default().extend(parts.iter().cloned());
    }
}
