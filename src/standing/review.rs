//! Attestations: somebody looked through a sample of what was delivered in a month, and says what came of it.
//!
//! The sample is drawn from the checkpoint that the attestation names, so that whoever has the log draws the same, and
//! nobody chose what was looked at. Its leaf is of the kind [`LeafKind::ReviewAttestation`]:
//!
//! | field | holds |
//! |---|---|
//! | controller | the school |
//! | `start` | the first day of the month |
//! | status | 1 in order, 2 with findings |
//! | rows | deliveries in the sample |
//! | released | findings among them |
//! | agreement | SHA-256 of the attestation as canonical JSON (RFC 8785) |
//! | inner root | SHA-256 of all that stands for the school, as in every leaf that changes it |
//! | certificate | whoever attests |

use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Error, Ledger, Standing};
use crate::{
    clock::{Clock, day_start_ms},
    disclosure::{Leaf, LeafKind, Month},
    review::account::AccountCode,
};

/// Characters of a remark, and of a conclusion, at most.
const REMARK: usize = 500;
const CONCLUSION: usize = 2000;
/// Deliveries in a sample at most.
const SAMPLE: usize = 1000;

/// What came of looking at something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Mark {
    /// Something was found.
    Bevinding = 2,
    /// It is in order.
    InOrde = 1,
}

// Members stand in the order of the alphabet: what serde writes is canonical JSON then.

/// A delivery of the sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reviewed {
    /// What came of it.
    pub mark: Mark,
    /// Where it stands in the log.
    pub position: u64,
    /// What there is to say of it; of a finding, something.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remark: String,
}

/// What a sample was drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// Root of the log.
    #[serde(with = "hex")]
    pub root: [u8; 32],
    /// Its size.
    pub size: u64,
}

/// The review of a month of one school.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonthReview {
    /// The checkpoint that the sample was drawn from.
    pub checkpoint: Seed,
    /// What there is to say of the whole; something, where it is not in order.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub conclusion: String,
    /// Deliveries there were.
    pub deliveries: u64,
    /// The month.
    pub month: Month,
    /// What came of the whole.
    pub overall: Mark,
    /// The deliveries that were looked at, by position.
    pub sample: Vec<Reviewed>,
}

/// A review, and whoever answers for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// Who attests.
    pub account: AccountCode,
    /// When, ms since 1970.
    pub at_ms: u64,
    /// The transaction of the leaf that says so.
    pub reference: Uuid,
    /// What is attested.
    pub review: MonthReview,
    /// Random: its hash, which stays in the log, confirms no guess at what was found.
    #[serde(with = "hex")]
    pub salt: [u8; 16],
}

/// Why a month cannot be attested. Quotes nothing of what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewError {
    /// The conclusion is missing or too long.
    #[error(
        "say what the conclusion is, in at most 2000 characters; it may be empty only where all is in order"
    )]
    Conclusion,
    /// It was reviewed before.
    #[error("this month was reviewed already")]
    Known,
    /// The month has not begun.
    #[error("this month has not begun")]
    Month,
    /// Nobody attests.
    #[error("only somebody who is logged in can attest")]
    NoAccount,
    /// A remark is missing or too long.
    #[error("say what was found, in at most 500 characters for each delivery")]
    Remark,
    /// The sample is none of the log.
    #[error(
        "the sample is none: its deliveries stand in the log below its checkpoint, each once, by position"
    )]
    Sample,
}

impl MonthReview {
    /// How many findings there are in the sample.
    pub fn findings(&self) -> usize {
        self.sample.iter().filter(|reviewed| reviewed.mark == Mark::Bevinding).count()
    }

    fn check(&self, clock: &dyn Clock) -> Result<(), ReviewError> {
        let said = |text: &str, most: usize, mark: Mark| {
            let plain = text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r'));
            let enough = mark == Mark::InOrde || !text.trim().is_empty();
            plain && enough && text.chars().count() <= most
        };
        if self.month.first() > clock.today() {
            return Err(ReviewError::Month);
        }
        let ascending = self.sample.is_sorted_by(|one, next| one.position < next.position);
        let inside = self.sample.iter().all(|reviewed| reviewed.position < self.checkpoint.size);
        let few = self.sample.len() <= SAMPLE && self.sample.len() as u64 <= self.deliveries;
        // Of deliveries there were, some were looked at.
        if !(ascending && inside && few) || (self.deliveries > 0 && self.sample.is_empty()) {
            return Err(ReviewError::Sample);
        }
        if !self.sample.iter().all(|reviewed| said(&reviewed.remark, REMARK, reviewed.mark)) {
            return Err(ReviewError::Remark);
        }
        if !said(&self.conclusion, CONCLUSION, self.overall) {
            return Err(ReviewError::Conclusion);
        }
        Ok(())
    }
}

impl Attestation {
    /// As canonical JSON.
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and lists")
    }

    /// The hash of that, as its leaf has it.
    pub fn hash(&self) -> [u8; 32] {
        let hash = digest::digest(&digest::SHA256, &self.canonical());
        *hash.as_ref().first_chunk().expect("SHA-256 gives 32 bytes")
    }
}

impl Standing {
    /// Attestations, in the order in which they were made. They are kept as long as leaves are.
    pub fn reviews(&self) -> &[Attestation] {
        &self.reviews
    }
}

impl Ledger {
    /// Attests that a month of a school was reviewed. On record when this returns. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// [`ReviewError`], or when it is not on record.
    pub fn attest(
        &self,
        brin: &str,
        review: MonthReview,
        account: AccountCode,
        reference: Uuid,
        clock: &dyn Clock,
    ) -> Result<(), Error> {
        review.check(clock)?;
        let mut salt = [0; 16];
        let random = SystemRandom::new().fill(&mut salt);
        random.map_err(|_| crate::disclosure::Error::Write(std::io::ErrorKind::Other))?;
        let mut leaf = Leaf::new(LeafKind::ReviewAttestation);
        leaf.start_ms = day_start_ms(review.month.first());
        leaf.status = review.overall as u8;
        leaf.rows = u32::try_from(review.sample.len()).expect("a sample is small");
        leaf.released = review.findings() as u64;
        leaf.certificate = account.0;
        (leaf.trace_id, leaf.transaction) = (*reference.as_bytes(), *reference.as_bytes());
        let attestation = Attestation { account, at_ms: clock.now_ms(), reference, review, salt };
        leaf.agreement = attestation.hash();
        self.change(brin, leaf, |standing| {
            // Here and nowhere before: of two who sign at the same moment, one does.
            if standing.reviews.iter().any(|known| known.review.month == attestation.review.month) {
                return Err(ReviewError::Known.into());
            }
            standing.reviews.push(attestation);
            Ok(())
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::FixedClock;

    fn review() -> MonthReview {
        serde_json::from_value(serde_json::json!({
            "checkpoint": { "root": "11".repeat(32), "size": 9 },
            "deliveries": 4,
            "month": "2026-08",
            "overall": "in-orde",
            "sample": [
                { "mark": "in-orde", "position": 3 },
                { "mark": "bevinding", "position": 8, "remark": "een veld te veel: \"geslacht\"\n\u{e9}" },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn what_is_hashed_is_canonical() {
        let attestation = Attestation {
            account: AccountCode([7; 32]),
            at_ms: 1_790_000_000_000,
            reference: Uuid::nil(),
            review: MonthReview { conclusion: "goed".into(), ..review() },
            salt: [1; 16],
        };
        let text = String::from_utf8(attestation.canonical()).unwrap();
        /// The members of each object by name, and no white space.
        fn sorted(value: &serde_json::Value) -> String {
            match value {
                serde_json::Value::Array(items) => {
                    format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(","))
                }
                serde_json::Value::Object(members) => {
                    let mut members: Vec<_> =
                        members.iter().map(|(key, inner)| format!("\"{key}\":{}", sorted(inner))).collect();
                    members.sort();
                    format!("{{{}}}", members.join(","))
                }
                other => other.to_string(),
            }
        }
        assert_eq!(text, sorted(&serde_json::from_str(&text).unwrap()));
        assert_eq!(serde_json::from_str::<Attestation>(&text).unwrap(), attestation);
    }

    #[test]
    fn a_review_says_what_was_found_of_what_is_in_the_log() {
        let clock = FixedClock("2026-08-20T10:00:00Z".parse().unwrap());
        let check = |change: &dyn Fn(&mut MonthReview)| {
            let mut review = review();
            change(&mut review);
            review.check(&clock)
        };
        assert_eq!(check(&|_| {}), Ok(()));
        assert_eq!(
            check(&|review| review.month = Month::of("2026-09-01".parse().unwrap())),
            Err(ReviewError::Month)
        );
        for change in [
            &(|review: &mut MonthReview| review.sample.reverse()) as &dyn Fn(&mut MonthReview),
            &|review| review.sample[0].position = 8,
            &|review| review.sample[1].position = 9,
            &|review| review.deliveries = 1,
            &|review| review.sample.clear(),
        ] {
            assert_eq!(check(change), Err(ReviewError::Sample));
        }
        for remark in ["", " ", &"a".repeat(501), "a\u{0}"] {
            assert_eq!(check(&|review| review.sample[1].remark = remark.into()), Err(ReviewError::Remark));
        }
        assert_eq!(check(&|review| review.overall = Mark::Bevinding), Err(ReviewError::Conclusion));
        assert_eq!(check(&|review| review.conclusion = "a".repeat(2001)), Err(ReviewError::Conclusion));
    }
}
