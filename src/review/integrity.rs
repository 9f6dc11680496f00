//! Whether the log is intact: verified by this process once a day and whenever somebody asks, with the outcome on record.

use std::{
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::UNIX_EPOCH,
};

use serde::Serialize;
use uuid::Uuid;

use super::visitor::{View, Wrong};
use crate::{
    answers::Reading,
    config::Config,
    control::Desk,
    disclosure::{self, Against, LeafKind, Reader, VerifyError},
};

/// A verification that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Checked {
    /// When, ms since 1970.
    pub(super) at_ms: u64,
    /// Leaves that were recomputed.
    pub(super) entries: u64,
    /// 0: intact. What follows damage cannot be judged, so there is never more than one.
    pub(super) findings: u64,
}

/// How the checkpoint in the second place stands to the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(super) enum Copy {
    /// It speaks of leaves that the log does not have: the log was put back, or the next moment it has them.
    Ahead { size: u64, at_ms: u64 },
    /// It is of an earlier state.
    Behind { size: u64, at_ms: u64 },
    /// It is of another log, or of another state of the same size.
    Differs,
    /// It is not there.
    Missing,
    /// It is the same.
    Same { at_ms: u64 },
}

/// How the log stands.
#[derive(Serialize)]
pub(super) struct State {
    pub(super) size: u64,
    pub(super) root: String,
    pub(super) checked: Option<Checked>,
    pub(super) running: bool,
    pub(super) copy: Copy,
}

/// Verifies the log.
#[derive(Default)]
pub(super) struct Integrity {
    running: AtomicBool,
    /// The last one of this process: what is on record shows in the index some seconds later.
    last: Mutex<Option<Checked>>,
}

impl Integrity {
    /// The last verification, as it is on record.
    fn last(&self, view: &View<'_>, reader: &Reader) -> Result<Option<Checked>, Wrong> {
        let own = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let status = Some(Reading::Verification as u8);
        let recorded = match view.index.latest(LeafKind::LogRead, status, None) {
            Some(mark) => reader.leaf(mark.position)?.map(|leaf| Checked {
                at_ms: leaf.end_ms,
                entries: leaf.released,
                findings: leaf.withheld,
            }),
            None => None,
        };
        Ok(own.into_iter().chain(recorded).max_by_key(|checked| checked.at_ms))
    }

    /// Begins, unless it is under way.
    pub(super) fn begin(self: &Arc<Self>, config: &Config, desk: &Arc<Desk>) {
        if self.running.swap(true, SeqCst) {
            return;
        }
        let (own, desk) = (Arc::clone(self), Arc::clone(desk));
        let against = Against {
            key: Some(config.log_site().signer.verifier().clone()),
            copy: Some(config.checkpoint_copy.clone()),
        };
        let verified = thread::Builder::new().name("verify".into()).spawn(move || {
            own.verify(&desk, &against);
            own.running.store(false, SeqCst);
        });
        if verified.is_err() {
            self.running.store(false, SeqCst);
        }
    }

    fn verify(&self, desk: &Desk, against: &Against) {
        let verified = disclosure::verify(&desk.data, against, &mut |_, _| {});
        let (entries, findings) = match &verified {
            Ok(report) => (report.leaves, 0),
            Err(VerifyError::Tampered(finding)) => {
                tracing::error!(
                    position = finding.position.0,
                    "the log is not what was written; run `sluis log verify`"
                );
                (finding.position.0, 1)
            }
            Err(error) => {
                tracing::warn!(reason = %error, "the log could not be verified");
                (0, 1)
            }
        };
        let mut leaf = Reading::Verification.leaf(None, None, None, Uuid::now_v7(), desk.clock.as_ref());
        (leaf.released, leaf.withheld) = (entries, findings);
        let at_ms = desk.clock.now_ms();
        if desk.log.note_blocking(leaf).is_ok() {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Checked { at_ms, entries, findings });
        }
    }

    /// How the log stands.
    pub(super) fn state(&self, view: &View<'_>) -> Result<State, Wrong> {
        let reader = view.reader()?;
        let own = reader.checkpoint()?;
        let path = &view.config.checkpoint_copy;
        let modified = fs::metadata(path).and_then(|known| known.modified()).ok();
        let at_ms = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let at_ms = at_ms.map_or(0, |at| u64::try_from(at.as_millis()).unwrap_or(0));
        let copy = match fs::read(path) {
            Err(_) => Copy::Missing,
            // What was published meanwhile is no difference: the log is read once more after its copy.
            Ok(note) => stands(own.size, &note, &view.reader()?, at_ms)?,
        };
        Ok(State {
            size: own.size,
            root: hex::encode(own.root),
            checked: self.last(view, &reader)?,
            running: self.running.load(SeqCst),
            copy,
        })
    }
}

/// How a copy stands to a log that had `before` leaves before it was read, and is read now. All that it speaks of has to be
/// in the log, under the same root.
fn stands(before: u64, note: &[u8], log: &Reader, at_ms: u64) -> Result<Copy, Wrong> {
    let own = log.checkpoint()?;
    let Ok(copy) = Reader::parse_checkpoint(&String::from_utf8_lossy(note)) else { return Ok(Copy::Differs) };
    Ok(if copy.origin != own.origin {
        Copy::Differs
    } else if copy.size > own.size {
        Copy::Ahead { size: copy.size, at_ms }
    } else if log.root_at(copy.size)? != copy.root {
        Copy::Differs
    } else if copy.size < before {
        Copy::Behind { size: copy.size, at_ms }
    } else {
        Copy::Same { at_ms }
    })
}
