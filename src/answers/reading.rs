//! That the log was read is itself on record, before anything is.

use uuid::Uuid;

use crate::{
    clock::Clock,
    disclosure::{Leaf, LeafKind},
    review::account::AccountCode,
};

/// What the log was read for. Numbers are part of the log's format, in the status of a [`LeafKind::LogRead`] leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Reading {
    /// Who holds an older value of someone's data.
    Correction = 4,
    /// A copy for other tools.
    Export = 5,
    /// What went where about a person.
    Inzage = 1,
    /// Who is affected by a leak.
    Leak = 3,
    /// What was sent about a person, as data.
    Portability = 6,
    /// What a recipient received.
    Received = 2,
    /// The sample of a month, for its review.
    Review = 7,
    /// The log was verified by the process that has it: `released` leaves, with `withheld` findings.
    Verification = 9,
}

impl Reading {
    /// The leaf that says so: about which school and recipient, where it is about one, and never about which person. By
    /// whom, it says of those who read in the review app. The transaction stands on the answer too, and ties the two
    /// together.
    pub fn leaf(
        self,
        school: Option<&str>,
        recipient: Option<&str>,
        account: Option<AccountCode>,
        transaction: Uuid,
        clock: &dyn Clock,
    ) -> Leaf {
        let mut leaf = Leaf::new(LeafKind::LogRead);
        leaf.controller = school.map_or([0; 8], |brin| Leaf::controller_code(brin, ""));
        leaf.recipient = recipient.map_or([0; 12], Leaf::recipient_code);
        leaf.status = self as u8;
        leaf.certificate = AccountCode::bytes(account);
        leaf.start_ms = clock.now_ms();
        leaf.trace_id = *transaction.as_bytes();
        leaf.transaction = *transaction.as_bytes();
        leaf
    }
}
