//! One delivery or refusal, 256 bytes in the file.

use crate::{
    answers::Fields,
    disclosure::{Leaf, LeafKind, OutcomeStatus, Position},
    policy::rules::{Reason, Verdicts},
};

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum How {
    /// Broken off; what had left is disclosed.
    Failed = 2,
    /// It has not ended, as far as the log has been read.
    Open = 4,
    /// Stopped by policy; nothing left.
    Refused = 5,
    /// Handed over whole.
    Sent = 1,
    /// Nobody knows; counts as disclosed.
    Unknown = 3,
}

impl How {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Sent, Self::Failed, Self::Unknown, Self::Open, Self::Refused];

    /// The word for it in queries and exports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Open => "open",
            Self::Refused => "refused",
            Self::Sent => "sent",
            Self::Unknown => "unknown",
        }
    }
}

/// A delivery or a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its first leaf.
    pub first: Position,
    /// Its last leaf with rows.
    pub last: Position,
    /// The leaf that says how it ended; its own for a refusal, and that of the first leaf while there is none.
    pub outcome: Position,
    /// When it began, ms since 1970.
    pub start_ms: u64,
    /// When its first leaf was recorded, ms since 1970.
    pub recorded_ms: u64,
    /// When it ended, ms since 1970; when the last leaf was recorded, while it has not.
    pub end_ms: u64,
    /// BRIN and vestiging.
    pub controller: [u8; 8],
    /// See [`Leaf::recipient_code`].
    pub recipient: [u8; 12],
    /// See [`Leaf::activity_code`].
    pub activity: [u8; 16],
    /// Version of the agreement.
    pub version: u32,
    /// SHA-256 of the agreement.
    pub agreement: [u8; 32],
    /// Transaction id.
    pub transaction: [u8; 16],
    /// Verdicts on the five rules.
    pub verdicts: Verdicts,
    /// Results, from recipient to school.
    pub inbound: bool,
    /// How it ended.
    pub how: How,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// Pupils; for results, results.
    pub pupils: u32,
    /// Teachers.
    pub staff: u32,
    /// Released and withheld masks of pupils, or of results.
    pub pupil_masks: (u64, u64),
    /// The same of teachers.
    pub staff_masks: (u64, u64),
    /// Leaves with rows.
    pub chunks: u32,
    /// Bytes that were handed over.
    pub bytes: u64,
}

impl Entry {
    pub(super) const SIZE: usize = 256;

    /// One that begins with a leaf.
    pub(super) fn begin(position: Position, leaf: &Leaf) -> Self {
        let refused = leaf.kind == LeafKind::Withheld;
        let mut entry = Self {
            first: position,
            last: position,
            outcome: position,
            start_ms: leaf.start_ms,
            recorded_ms: leaf.end_ms,
            end_ms: leaf.end_ms,
            controller: leaf.controller,
            recipient: leaf.recipient,
            activity: leaf.activity,
            version: leaf.activity_version,
            agreement: leaf.agreement,
            transaction: leaf.transaction,
            verdicts: leaf.verdicts,
            inbound: leaf.flags & Leaf::INBOUND != 0,
            how: if refused { How::Refused } else { How::Open },
            reason: if refused { Reason::from_number(leaf.status) } else { None },
            pupils: 0,
            staff: 0,
            pupil_masks: (0, 0),
            staff_masks: (0, 0),
            chunks: 0,
            bytes: 0,
        };
        if !refused {
            entry.add(position, leaf);
        }
        entry
    }

    /// Another leaf of it.
    pub(super) fn add(&mut self, position: Position, leaf: &Leaf) {
        self.end_ms = leaf.end_ms;
        if let Some(outcome) = leaf.outcome() {
            self.outcome = position;
            self.bytes = outcome.bytes;
            self.how = match outcome.status {
                OutcomeStatus::Failed => How::Failed,
                OutcomeStatus::Sent => How::Sent,
                OutcomeStatus::Unknown => How::Unknown,
            };
            return;
        }
        self.last = position;
        self.chunks += 1;
        let staff = leaf.flags & Leaf::STAFF != 0;
        let (persons, masks) = if staff {
            (&mut self.staff, &mut self.staff_masks)
        } else {
            (&mut self.pupils, &mut self.pupil_masks)
        };
        *persons += leaf.rows;
        masks.0 |= leaf.released;
        masks.1 |= leaf.withheld;
    }

    /// The school, without its vestiging.
    pub fn brin(&self) -> [u8; 4] {
        *self.controller.first_chunk().expect("a controller has eight bytes")
    }

    /// Persons it held rows of.
    pub fn persons(&self) -> u64 {
        u64::from(self.pupils) + u64::from(self.staff)
    }

    /// Released and withheld masks, by what their bits mean.
    pub fn masks(&self, fields: Fields) -> (u64, u64) {
        match fields {
            Fields::Leerkracht => self.staff_masks,
            Fields::Leerling if !self.inbound => self.pupil_masks,
            Fields::Results if self.inbound => self.pupil_masks,
            Fields::Leerling | Fields::Results => (0, 0),
        }
    }

    pub(super) fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        for number in
            [self.first.0, self.last.0, self.outcome.0, self.start_ms, self.recorded_ms, self.end_ms]
        {
            put(&number.to_le_bytes());
        }
        for number in
            [self.pupil_masks.0, self.pupil_masks.1, self.staff_masks.0, self.staff_masks.1, self.bytes]
        {
            put(&number.to_le_bytes());
        }
        for number in [self.version, self.pupils, self.staff, self.chunks] {
            put(&number.to_le_bytes());
        }
        put(&self.controller);
        put(&self.recipient);
        put(&self.activity);
        put(&self.agreement);
        put(&self.transaction);
        put(&self.verdicts.to_bits().to_le_bytes());
        put(&[self.inbound.into(), self.how as u8, self.reason.map_or(0, |reason| reason as u8)]);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let mut rest = &bytes[..];
        fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
            let (part, after) = rest.split_first_chunk::<N>().expect("an entry has all its parts");
            *rest = after;
            *part
        }
        let mut long = || u64::from_le_bytes(take(&mut rest));
        let (first, last, outcome) = (Position(long()), Position(long()), Position(long()));
        let (start_ms, recorded_ms, end_ms) = (long(), long(), long());
        let (pupil_masks, staff_masks, bytes) = ((long(), long()), (long(), long()), long());
        let mut short = || u32::from_le_bytes(take(&mut rest));
        let (version, pupils, staff, chunks) = (short(), short(), short(), short());
        let (controller, recipient, activity) = (take(&mut rest), take(&mut rest), take(&mut rest));
        let (agreement, transaction) = (take(&mut rest), take(&mut rest));
        let verdicts = Verdicts::from_bits(u16::from_le_bytes(take(&mut rest))).unwrap_or(Verdicts::NONE);
        let [inbound, how, reason] = take(&mut rest);
        Self {
            first,
            last,
            outcome,
            start_ms,
            recorded_ms,
            end_ms,
            controller,
            recipient,
            activity,
            version,
            agreement,
            transaction,
            verdicts,
            inbound: inbound != 0,
            how: How::ALL.into_iter().find(|&known| known as u8 == how).unwrap_or(How::Unknown),
            reason: Reason::from_number(reason),
            pupils,
            staff,
            pupil_masks,
            staff_masks,
            chunks,
            bytes,
        }
    }
}
