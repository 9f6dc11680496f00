//! Versions of agreements in force. A version that gives a recipient more than the one before needs the approval of
//! somebody other than its author; one that only narrows does not, nor does one of a school none of whose agreements
//! ever had an author.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Standing;
use crate::policy::agreement::{Agreement, only_narrows, parse_recorded};

/// A version of an agreement that was put in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activated {
    /// Id of the agreement.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its file.
    #[serde(with = "hex")]
    pub sha256: [u8; 32],
    /// Its file, word for word.
    pub text: String,
    /// Who drew it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Who approved of it; none: it needed no approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// Since when, ms since 1970.
    pub since_ms: u64,
    /// The transaction of the leaf that says so.
    pub reference: Uuid,
}

/// What a version of an agreement needs before anything is released under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// Nothing: it is in force.
    InForce,
    /// Somebody other than its author has to approve of it.
    Needed,
    /// No approval; that it is in force is still to be put on record.
    Unrecorded,
}

/// Why a version cannot be approved of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// Its author cannot be the one.
    #[error("its author cannot approve of it: that takes somebody else")]
    Author,
    /// It has no author, so nobody can tell whether the approver is somebody else.
    #[error("it has no author; add `author` to the file")]
    NoAuthor,
    /// It needs approval.
    #[error(
        "it gives the recipient more than the version before, so somebody other than its author has to approve of it"
    )]
    Needed,
    /// It is in force already.
    #[error("it is in force already")]
    Known,
}

impl Standing {
    /// The version of an agreement that was put in force last.
    pub fn activated(&self, id: &str) -> Option<&Activated> {
        self.agreements.iter().find(|activated| activated.id == id)
    }

    /// What a version of an agreement needs.
    pub fn approval(&self, agreement: &Agreement) -> Approval {
        // Once somebody drew one up by name, no agreement of the school gets around the second person: not by leaving the
        // author out, nor by another id.
        let authored =
            agreement.terms.author.is_some() || self.agreements.iter().any(|known| known.author.is_some());
        let Some(before) = self.activated(&agreement.id) else {
            return if authored { Approval::Needed } else { Approval::Unrecorded };
        };
        if before.sha256 == agreement.hash {
            return Approval::InForce;
        }
        if !authored {
            return Approval::Unrecorded;
        }
        let narrows = parse_recorded(&before.text).is_some_and(|before| only_narrows(&before, agreement));
        if narrows { Approval::Unrecorded } else { Approval::Needed }
    }

    /// Puts a version in force. `approver`: who approved of it; none, where it needs no approval.
    ///
    /// # Errors
    ///
    /// [`ApprovalError`].
    pub fn activate(
        &mut self,
        agreement: &Agreement,
        approver: Option<String>,
        since_ms: u64,
        reference: Uuid,
    ) -> Result<(), ApprovalError> {
        match self.approval(agreement) {
            Approval::InForce => return Err(ApprovalError::Known),
            Approval::Needed if approver.is_none() => return Err(ApprovalError::Needed),
            Approval::Needed | Approval::Unrecorded => {}
        }
        let author = agreement.terms.author.clone();
        if let Some(approver) = &approver {
            let same = |author: &String| author.trim().to_lowercase() == approver.trim().to_lowercase();
            match &author {
                None => return Err(ApprovalError::NoAuthor),
                Some(author) if same(author) => return Err(ApprovalError::Author),
                Some(_) => {}
            }
        }
        // An agreement once drawn up by somebody goes on to need a second person.
        let author = author.or_else(|| self.activated(&agreement.id)?.author.clone());
        self.agreements.retain(|activated| activated.id != agreement.id);
        self.agreements.push(Activated {
            id: agreement.id.clone(),
            version: agreement.version,
            sha256: agreement.hash,
            text: agreement.text.clone(),
            author,
            approver,
            since_ms,
            reference,
        });
        Ok(())
    }

    /// The versions in force, in the order in which they were put in force.
    pub fn agreements(&self) -> &[Activated] {
        &self.agreements
    }
}
