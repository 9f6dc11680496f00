//! One delivery or refusal, and its bytes.

use std::ops::Range;

use crate::{
    answers::Fields,
    disclosure::{Leaf, OutcomeStatus, Position},
    policy::rules::{Reason, Rule, Verdict, Verdicts},
};

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Ending {
    /// Broken off; what was sent before stays disclosed.
    Failed = 2,
    /// It has not ended, as far as is published.
    Open = 0,
    /// It was refused: nothing left.
    Refused = 4,
    /// Handed over whole.
    Sent = 1,
    /// The process stopped before it knew. Counts as disclosed.
    Unknown = 3,
}

impl Ending {
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

impl From<OutcomeStatus> for Ending {
    fn from(status: OutcomeStatus) -> Self {
        match status {
            OutcomeStatus::Failed => Self::Failed,
            OutcomeStatus::Sent => Self::Sent,
            OutcomeStatus::Unknown => Self::Unknown,
        }
    }
}

/// What a delivery holds of one kind of persons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Persons {
    /// Rows: how many, each counted once for each row.
    pub rows: u32,
    /// Union of what left of them.
    pub released: u64,
    /// Union of what was present and stayed.
    pub withheld: u64,
}

impl Persons {
    fn add(&mut self, leaf: &Leaf) {
        self.rows = self.rows.saturating_add(leaf.rows);
        self.released |= leaf.released;
        self.withheld |= leaf.withheld;
    }
}

/// One delivery, all its leaves together; or one refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its first leaf, by which it is known; of a refusal, the only one.
    pub first: Position,
    /// The last leaf of what left.
    pub last: Position,
    /// The leaf that says how it ended; of a refusal none.
    pub outcome: Option<Position>,
    /// When the exchange began, ms since 1970.
    pub start_ms: u64,
    /// When its first leaf was recorded, ms since 1970. Never before that of an earlier entry.
    pub recorded_ms: u64,
    /// When its outcome was recorded, ms since 1970.
    pub ended_ms: Option<u64>,
    /// BRIN and vestiging; see [`Leaf::controller_code`].
    pub controller: [u8; 8],
    /// See [`Leaf::recipient_code`].
    pub recipient: [u8; 12],
    /// First bytes of the SHA-256 of the agreement in force; zeros where there was none.
    pub agreement: [u8; 8],
    /// The agreement's version.
    pub activity_version: u32,
    /// What it holds of pupils; where it is inbound, of their results.
    pub pupils: Persons,
    /// What it holds of teachers.
    pub staff: Persons,
    /// Chunks that were put on record.
    pub chunks: u32,
    /// Chunks that were handed over, by its outcome.
    pub handed_over: u32,
    /// Bytes that were handed over, by its outcome.
    pub bytes: u64,
    /// The delivery.
    pub span: [u8; 8],
    /// See [`Leaf::activity_code`].
    pub activity: [u8; 16],
    /// In every log it passed.
    pub transaction: [u8; 16],
    /// How it ended.
    pub ended: Ending,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// Results, from supplier to school.
    pub inbound: bool,
    /// What was found of the five rules.
    pub verdicts: Verdicts,
    /// Status of the HTTP answer, by its outcome; 0 for files.
    pub http_status: u16,
}

impl Entry {
    /// Bytes of an entry.
    pub(super) const SIZE: usize = 184;

    /// An entry with nothing in it yet.
    pub(super) fn begin(position: Position, leaf: &Leaf) -> Self {
        Self {
            first: position,
            last: position,
            outcome: None,
            start_ms: leaf.start_ms,
            recorded_ms: leaf.end_ms,
            ended_ms: None,
            controller: leaf.controller,
            recipient: leaf.recipient,
            agreement: *leaf.agreement.first_chunk().expect("SHA-256 gives 32 bytes"),
            activity_version: leaf.activity_version,
            pupils: Persons::default(),
            staff: Persons::default(),
            chunks: 0,
            handed_over: 0,
            bytes: 0,
            span: leaf.span_id,
            activity: leaf.activity,
            transaction: leaf.transaction,
            ended: Ending::Open,
            reason: None,
            inbound: leaf.flags & Leaf::INBOUND != 0,
            verdicts: leaf.verdicts,
            http_status: 0,
        }
    }

    /// A chunk.
    pub(super) fn add(&mut self, position: Position, leaf: &Leaf) {
        self.last = position;
        self.chunks = self.chunks.saturating_add(1);
        let persons = if leaf.flags & Leaf::STAFF == 0 { &mut self.pupils } else { &mut self.staff };
        persons.add(leaf);
    }

    /// Its outcome.
    pub(super) fn end(&mut self, position: Position, leaf: &Leaf) {
        let Some(outcome) = leaf.outcome() else { return };
        self.outcome = Some(position);
        self.ended_ms = Some(leaf.end_ms);
        self.ended = outcome.status.into();
        (self.http_status, self.handed_over, self.bytes) =
            (outcome.http_status, outcome.chunks, outcome.bytes);
        if leaf.verdicts != Verdicts::NONE {
            self.verdicts = leaf.verdicts;
        }
    }

    /// It is a refusal.
    pub(super) fn refuse(&mut self, leaf: &Leaf) {
        self.ended = Ending::Refused;
        self.reason = Reason::from_number(leaf.status);
    }

    /// The school, without its vestiging.
    pub fn brin(&self) -> [u8; 4] {
        *self.controller.first_chunk().expect("a controller has eight bytes")
    }

    /// What it holds, by what the bits of the masks mean; only kinds there are rows of.
    pub fn about(&self) -> impl Iterator<Item = (Fields, Persons)> {
        let pupils = if self.inbound { Fields::Results } else { Fields::Leerling };
        [(pupils, self.pupils), (Fields::Leerkracht, self.staff)]
            .into_iter()
            .filter(|(_, persons)| persons.rows > 0)
    }

    pub(super) fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut put = |place: Range<usize>, part: &[u8]| bytes[place].copy_from_slice(part);
        put(FIRST, &self.first.0.to_le_bytes());
        put(LAST, &self.last.0.to_le_bytes());
        // Whatever ends a delivery comes after its first leaf.
        put(OUTCOME, &self.outcome.map_or(0, |position| position.0).to_le_bytes());
        put(START, &self.start_ms.to_le_bytes());
        put(RECORDED, &self.recorded_ms.to_le_bytes());
        put(ENDED_AT, &self.ended_ms.unwrap_or(0).to_le_bytes());
        put(CONTROLLER, &self.controller);
        put(RECIPIENT, &self.recipient);
        put(AGREEMENT, &self.agreement);
        put(ACTIVITY_VERSION, &self.activity_version.to_le_bytes());
        put(PUPILS_RELEASED, &self.pupils.released.to_le_bytes());
        put(PUPILS_WITHHELD, &self.pupils.withheld.to_le_bytes());
        put(STAFF_RELEASED, &self.staff.released.to_le_bytes());
        put(STAFF_WITHHELD, &self.staff.withheld.to_le_bytes());
        put(PUPILS, &self.pupils.rows.to_le_bytes());
        put(STAFF, &self.staff.rows.to_le_bytes());
        put(CHUNKS, &self.chunks.to_le_bytes());
        put(HANDED_OVER, &self.handed_over.to_le_bytes());
        put(BYTES, &self.bytes.to_le_bytes());
        put(SPAN, &self.span);
        put(ACTIVITY, &self.activity);
        put(TRANSACTION, &self.transaction);
        let reason = self.reason.map_or(0, |reason| reason as u8);
        put(CODES, &[self.ended as u8, reason, u8::from(self.inbound), 0]);
        put(VERDICTS, &self.verdicts.to_bits().to_le_bytes());
        put(HTTP_STATUS, &self.http_status.to_le_bytes());
        bytes
    }
}

const FIRST: Range<usize> = 0..8;
const LAST: Range<usize> = 8..16;
const OUTCOME: Range<usize> = 16..24;
const START: Range<usize> = 24..32;
const RECORDED: Range<usize> = 32..40;
const ENDED_AT: Range<usize> = 40..48;
const CONTROLLER: Range<usize> = 48..56;
const RECIPIENT: Range<usize> = 56..68;
const AGREEMENT: Range<usize> = 68..76;
const ACTIVITY_VERSION: Range<usize> = 76..80;
const PUPILS_RELEASED: Range<usize> = 80..88;
const PUPILS_WITHHELD: Range<usize> = 88..96;
const STAFF_RELEASED: Range<usize> = 96..104;
const STAFF_WITHHELD: Range<usize> = 104..112;
const PUPILS: Range<usize> = 112..116;
const STAFF: Range<usize> = 116..120;
const CHUNKS: Range<usize> = 120..124;
const HANDED_OVER: Range<usize> = 124..128;
const BYTES: Range<usize> = 128..136;
const SPAN: Range<usize> = 136..144;
const ACTIVITY: Range<usize> = 144..160;
const TRANSACTION: Range<usize> = 160..176;
const CODES: Range<usize> = 176..180;
const VERDICTS: Range<usize> = 180..182;
const HTTP_STATUS: Range<usize> = 182..184;

/// The bytes of an entry, of which a question looks at a few: most entries are not what it asks for.
#[derive(Clone, Copy)]
pub(super) struct Raw<'b>(pub(super) &'b [u8; Entry::SIZE]);

impl Raw<'_> {
    fn at<const N: usize>(&self, place: Range<usize>) -> [u8; N] {
        self.0[place].try_into().expect("the places have these lengths")
    }

    fn number(&self, place: Range<usize>) -> u64 {
        u64::from_le_bytes(self.at(place))
    }

    fn short(&self, place: Range<usize>) -> u32 {
        u32::from_le_bytes(self.at(place))
    }

    /// Whether it has gone by rule: no leaf was recorded in 1970.
    pub(super) fn is_blank(&self) -> bool {
        self.recorded_ms() == 0
    }

    pub(super) fn first(&self) -> u64 {
        self.number(FIRST)
    }

    pub(super) fn recorded_ms(&self) -> u64 {
        self.number(RECORDED)
    }

    pub(super) fn brin(&self) -> [u8; 4] {
        self.at(CONTROLLER.start..CONTROLLER.start + 4)
    }

    pub(super) fn recipient(&self) -> [u8; 12] {
        self.at(RECIPIENT)
    }

    pub(super) fn agreement(&self) -> [u8; 8] {
        self.at(AGREEMENT)
    }

    pub(super) fn activity(&self) -> [u8; 16] {
        self.at(ACTIVITY)
    }

    pub(super) fn transaction(&self) -> [u8; 16] {
        self.at(TRANSACTION)
    }

    pub(super) fn span(&self) -> [u8; 8] {
        self.at(SPAN)
    }

    pub(super) fn ended(&self) -> u8 {
        self.0[CODES.start]
    }

    pub(super) fn reason(&self) -> u8 {
        self.0[CODES.start + 1]
    }

    pub(super) fn inbound(&self) -> bool {
        self.0[CODES.start + 2] != 0
    }

    pub(super) fn breaks(&self, rule: Rule) -> bool {
        u16::from_le_bytes(self.at(VERDICTS)) >> (2 * rule as u8) & 3 == Verdict::Broken as u16
    }

    /// What it holds of persons whose fields are these.
    pub(super) fn persons(&self, fields: Fields) -> Persons {
        match fields {
            Fields::Leerkracht => self.staff(),
            Fields::Leerling if !self.inbound() => self.pupils(),
            Fields::Results if self.inbound() => self.pupils(),
            Fields::Leerling | Fields::Results => Persons::default(),
        }
    }

    fn pupils(&self) -> Persons {
        Persons {
            rows: self.short(PUPILS),
            released: self.number(PUPILS_RELEASED),
            withheld: self.number(PUPILS_WITHHELD),
        }
    }

    fn staff(&self) -> Persons {
        Persons {
            rows: self.short(STAFF),
            released: self.number(STAFF_RELEASED),
            withheld: self.number(STAFF_WITHHELD),
        }
    }

    /// All of it.
    pub(super) fn entry(&self) -> Entry {
        let later = |place| Some(self.number(place)).filter(|&number| number > 0);
        let ended = Ending::ALL.into_iter().find(|&ending| ending as u8 == self.ended());
        Entry {
            first: Position(self.first()),
            last: Position(self.number(LAST)),
            outcome: later(OUTCOME).map(Position),
            start_ms: self.number(START),
            recorded_ms: self.recorded_ms(),
            ended_ms: later(ENDED_AT),
            controller: self.at(CONTROLLER),
            recipient: self.recipient(),
            agreement: self.agreement(),
            activity_version: self.short(ACTIVITY_VERSION),
            pupils: self.pupils(),
            staff: self.staff(),
            chunks: self.short(CHUNKS),
            handed_over: self.short(HANDED_OVER),
            bytes: self.number(BYTES),
            span: self.span(),
            activity: self.activity(),
            transaction: self.transaction(),
            ended: ended.unwrap_or(Ending::Open),
            reason: Reason::from_number(self.reason()),
            inbound: self.inbound(),
            verdicts: Verdicts::from_bits(u16::from_le_bytes(self.at(VERDICTS))).unwrap_or(Verdicts::NONE),
            http_status: u16::from_le_bytes(self.at(HTTP_STATUS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disclosure::{LeafKind, Outcome};

    #[test]
    fn an_entry_comes_back() {
        let mut leaf = Leaf::new(LeafKind::Disclosure);
        leaf.controller = Leaf::controller_code("99DE", "01");
        (leaf.recipient, leaf.span_id, leaf.transaction) = ([1; 12], [2; 8], [3; 16]);
        (leaf.activity, leaf.activity_version, leaf.agreement) = ([4; 16], 5, [6; 32]);
        (leaf.start_ms, leaf.end_ms, leaf.verdicts) = (7, 8, Verdicts::KEPT);
        (leaf.rows, leaf.released, leaf.withheld) = (9, 10, 11);
        let mut entry = Entry::begin(Position(12), &leaf);
        entry.add(Position(12), &leaf);
        (leaf.flags, leaf.rows, leaf.released, leaf.withheld) = (Leaf::STAFF, 13, 14, 15);
        entry.add(Position(16), &leaf);
        let check = |entry: &Entry| assert_eq!(Raw(&entry.to_bytes()).entry(), *entry);
        check(&entry);
        let outcome = Outcome { status: OutcomeStatus::Failed, http_status: 502, chunks: 1, bytes: 17 };
        (leaf.kind, leaf.verdicts, leaf.end_ms) =
            (LeafKind::Outcome, Verdicts::broken(Rule::Integriteit), 18);
        entry.end(Position(19), &leaf.clone().with_outcome(outcome));
        check(&entry);
        let raw = entry.to_bytes();
        assert!(Raw(&raw).breaks(Rule::Integriteit) && !Raw(&raw).breaks(Rule::Transparantie));
        assert_eq!((entry.chunks, entry.pupils.rows, entry.staff.released), (2, 9, 14));
        let mut leaf = Leaf::new(LeafKind::Withheld);
        leaf.refuse(Reason::Held);
        let mut entry = Entry::begin(Position(20), &leaf);
        entry.refuse(&leaf);
        check(&entry);
        assert_eq!((entry.ended, entry.reason), (Ending::Refused, Some(Reason::Held)));
    }
}
