//! Deliveries that differ so much from the one before that somebody has to decide. Nothing of them has left, unless they
//! were too large to be kept whole while they were judged.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Standing;
use crate::plausibility::Difference;

/// What was decided on a delivery that is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Decision {
    /// The next like it passes.
    Approved(Because),
    /// Nobody has decided yet.
    Open,
    /// It was wrong; the next like it is held again.
    Rejected(Because),
}

/// Who decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, ms since 1970.
    pub at_ms: u64,
    /// The transaction of the leaf that says so.
    pub reference: Uuid,
}

/// A delivery that is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The transaction of the exchange that was held first.
    pub id: Uuid,
    /// Who was to get it.
    pub recipient: String,
    /// Of which vestiging, where it was of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependance: Option<String>,
    /// Under which agreement.
    pub agreement: String,
    /// When, ms since 1970.
    pub at_ms: u64,
    /// How it differs.
    pub difference: Difference,
    /// SHA-256 over its pupils: another exchange with the same is the same.
    #[serde(with = "hex")]
    pub hash: [u8; 32],
    /// What was decided.
    pub decision: Decision,
}

impl Hold {
    fn is_of(&self, other: &Self) -> bool {
        (&self.recipient, &self.dependance) == (&other.recipient, &other.dependance)
    }
}

/// Why nothing can be decided on a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// It was decided on before.
    #[error("this was decided on before")]
    Decided,
    /// There is none with this id.
    #[error("nothing is held under this id")]
    Unknown,
}

impl Standing {
    /// What is or was held, of each recipient and vestiging the newest.
    pub fn holds(&self) -> &[Hold] {
        &self.holds
    }

    /// Holds a delivery, in the place of whatever was held of its vestiging for its recipient.
    pub(super) fn hold(&mut self, hold: Hold) {
        self.holds.retain(|known| !known.is_of(&hold));
        self.holds.push(hold);
    }

    /// Whether the same is held already, or was rejected: another leaf would say nothing new.
    pub fn knows_hold(&self, hold: &Hold) -> bool {
        let known = self.holds.iter().find(|known| known.is_of(hold));
        known.is_some_and(|known| known.hash == hold.hash && !matches!(known.decision, Decision::Approved(_)))
    }

    /// Decides on what is held, and says for whom and of which vestiging it is.
    ///
    /// # Errors
    ///
    /// [`HoldError`].
    pub fn decide(&mut self, id: Uuid, decision: Decision) -> Result<(String, Option<String>), HoldError> {
        let hold = self.holds.iter_mut().find(|known| known.id == id).ok_or(HoldError::Unknown)?;
        if hold.decision != Decision::Open {
            return Err(HoldError::Decided);
        }
        hold.decision = decision;
        Ok((hold.recipient.clone(), hold.dependance.clone()))
    }
}
