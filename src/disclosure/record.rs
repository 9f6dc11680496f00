//! Leaves and rows, byte by byte. All numbers are little-endian.

use jiff::civil::Date;
use ring::digest;

use crate::{
    clock::day_of,
    policy::rules::{Reason, Verdicts},
};

/// Index of a leaf in the log, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub u64);

/// What a leaf says. Numbers are part of the format and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum LeafKind {
    /// An account of the review app was made, changed or removed; or somebody logged in, or could not.
    Account = 18,
    /// An agreement became active or changed.
    AgreementActivated = 4,
    /// Root over a day's rows of a school.
    DaySeal = 6,
    /// A chunk is about to leave.
    Disclosure = 1,
    /// A feed held something that it never held before.
    Drift = 17,
    /// A delivery was held, or what was held was decided on.
    Hold = 16,
    /// A key became current, or was destroyed.
    KeyEpoch = 5,
    /// The log was read or exported.
    LogRead = 10,
    /// A notice of correction, erasure or restriction.
    Notice = 9,
    /// How a delivery ended.
    Outcome = 2,
    /// Leaves from before an index have gone.
    Pruned = 14,
    /// The log was opened after a stop that was not clean.
    Recovery = 13,
    /// Rows were erased by a retention rule, or of one person.
    RetentionErase = 8,
    /// Someone's objection, restriction or consent was entered or lifted.
    Right = 15,
    /// Someone reviewed the log.
    ReviewAttestation = 11,
    /// Rows were summarised.
    RollUp = 7,
    /// The log was opened.
    Start = 12,
    /// A request was refused by policy.
    Withheld = 3,
}

impl LeafKind {
    const ALL: [Self; 18] = [
        Self::Disclosure,
        Self::Outcome,
        Self::Withheld,
        Self::AgreementActivated,
        Self::KeyEpoch,
        Self::DaySeal,
        Self::RollUp,
        Self::RetentionErase,
        Self::Notice,
        Self::LogRead,
        Self::ReviewAttestation,
        Self::Start,
        Self::Recovery,
        Self::Pruned,
        Self::Right,
        Self::Hold,
        Self::Drift,
        Self::Account,
    ];
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum OutcomeStatus {
    /// Broken off; what was sent before stays disclosed.
    Failed = 2,
    /// Handed over whole.
    Sent = 1,
    /// The process stopped before it knew. Counts as disclosed.
    Unknown = 3,
}

/// What an outcome leaf adds to its delivery. It stands where a disclosure has its inner root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: OutcomeStatus,
    /// Status of the HTTP answer; 0 for files.
    pub http_status: u16,
    /// Chunks handed over.
    pub chunks: u32,
    /// Bytes handed over.
    pub bytes: u64,
}

/// An outer leaf: 256 bytes, nothing of a person.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 2, 1, 1, 4 | version, kind, flags, chunk number in the delivery |
/// | 8 | 8, 12 | controller (BRIN and vestiging, ASCII), recipient (see [`Leaf::recipient_code`]) |
/// | 28 | 16, 8, 8 | trace id, span id (one per delivery), parent span id |
/// | 60 | 8, 8 | start and end, ms since 1970 |
/// | 76 | 16, 4 | processing activity, its version |
/// | 96 | 32 | SHA-256 of the agreement in force |
/// | 128 | 4, 2, 2, 4 | catalogue version, pseudonym key epoch, log key epoch, rows |
/// | 140 | 1, 2, 1 | status, two bits for each of the five rules ([`Verdicts`]), zero |
/// | 144 | 8, 8 | union of the rows' released and withheld masks |
/// | 160 | 32 | root over the rows; for an outcome: status 1, zero 1, HTTP status 2, chunks 4, bytes 8, zeros 16 |
/// | 192 | 16 | keyed MAC of the payload |
/// | 208 | 16 | transaction id |
/// | 224 | 32 | SHA-256 thumbprint of the peer's certificate; or the code of the account it was done for |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// What it says.
    pub kind: LeafKind,
    /// [`Leaf::INBOUND`], [`Leaf::LAST`], [`Leaf::PERSON`], [`Leaf::STAFF`].
    pub flags: u8,
    /// Number of the chunk in its delivery, from 0.
    pub chunk: u32,
    /// BRIN and vestiging.
    pub controller: [u8; 8],
    /// See [`Leaf::recipient_code`].
    pub recipient: [u8; 12],
    /// Trace the exchange belongs to.
    pub trace_id: [u8; 16],
    /// The delivery.
    pub span_id: [u8; 8],
    /// The caller's span.
    pub parent_span_id: [u8; 8],
    /// Start, ms since 1970.
    pub start_ms: u64,
    /// When it was recorded, ms since 1970. Filled in by the log, and never before that of an earlier leaf.
    pub end_ms: u64,
    /// Processing activity in the register.
    pub activity: [u8; 16],
    /// Its version; the agreement's.
    pub activity_version: u32,
    /// SHA-256 of the agreement in force.
    pub agreement: [u8; 32],
    /// Version of the field catalogue.
    pub catalogue: u32,
    /// Epoch of the pseudonym key.
    pub pseudonym_epoch: u16,
    /// Epoch of the log key.
    pub log_epoch: u16,
    /// Number of rows.
    pub rows: u32,
    /// 0 unset, 1 done, 2 internal error (Logboek Dataverwerkingen 1.0, §3.2.2); for `withheld`: the refusal's number;
    /// for a key epoch: 1 current, 2 destroyed; for an account: [the event](crate::review::account::AccountEvent).
    pub status: u8,
    /// What was found of the five rules.
    pub verdicts: Verdicts,
    /// Union of the rows' released masks.
    pub released: u64,
    /// Union of the rows' withheld masks.
    pub withheld: u64,
    /// Root over the rows.
    pub inner_root: [u8; 32],
    /// Keyed MAC of the payload; of a delivery, with the MAC of each person's record in the place of that record.
    pub payload_mac: [u8; 16],
    /// Transaction id.
    pub transaction: [u8; 16],
    /// Thumbprint of the peer's certificate, or [the code of an account](crate::review::account::AccountCode).
    pub certificate: [u8; 32],
}

const VERSION: u16 = 1;

impl Leaf {
    /// Bytes of a leaf.
    pub const SIZE: usize = 256;
    /// Flag: results, from supplier to school.
    pub const INBOUND: u8 = 1;
    /// Flag: the last chunk of its delivery.
    pub const LAST: u8 = 2;
    /// Flag: of an erasure, that it is of the rows of one person on one day; which person, it does not say.
    pub const PERSON: u8 = 4;
    /// Flag: its rows are about teachers, and so are its masks; without it they are about pupils, for no chunk is about
    /// both. Filled in by the log.
    pub const STAFF: u8 = 8;

    /// Whether its rows are about such a person. One with none is about nobody.
    pub(super) fn is_about(&self, subject: Subject) -> bool {
        (self.flags & Self::STAFF != 0) == (subject == Subject::Leerkracht)
    }

    /// A leaf of a kind, all else zero.
    pub fn new(kind: LeafKind) -> Self {
        Self {
            kind,
            flags: 0,
            chunk: 0,
            controller: [0; 8],
            recipient: [0; 12],
            trace_id: [0; 16],
            span_id: [0; 8],
            parent_span_id: [0; 8],
            start_ms: 0,
            end_ms: 0,
            activity: [0; 16],
            activity_version: 0,
            agreement: [0; 32],
            catalogue: 0,
            pseudonym_epoch: 0,
            log_epoch: 0,
            rows: 0,
            status: 0,
            verdicts: Verdicts::NONE,
            released: 0,
            withheld: 0,
            inner_root: [0; 32],
            payload_mac: [0; 16],
            transaction: [0; 16],
            certificate: [0; 32],
        }
    }

    /// Says that a delivery was stopped, why, and which rule that breaks.
    pub fn refuse(&mut self, reason: Reason) {
        self.status = reason as u8;
        self.verdicts = Verdicts::broken(reason.rule());
    }

    /// An agreement's code: the first sixteen bytes of the SHA-256 of its id.
    pub fn activity_code(id: &str) -> [u8; 16] {
        let hash = digest::digest(&digest::SHA256, id.as_bytes());
        hash.as_ref()[..16].try_into().expect("SHA-256 gives 32 bytes")
    }

    /// A recipient's code: the first twelve bytes of the SHA-256 of its id.
    pub fn recipient_code(id: &str) -> [u8; 12] {
        let hash = digest::digest(&digest::SHA256, id.as_bytes());
        hash.as_ref()[..12].try_into().expect("SHA-256 gives 32 bytes")
    }

    /// A controller's code: BRIN and vestiging in ASCII, padded with zeros.
    pub fn controller_code(brin: &str, dependance: &str) -> [u8; 8] {
        let mut code = [0; 8];
        for (to, from) in code.iter_mut().zip(brin.bytes().chain(dependance.bytes())) {
            *to = from;
        }
        code
    }

    /// The school it is about, without its vestiging.
    pub fn brin(&self) -> [u8; 4] {
        *self.controller.first_chunk().expect("a controller has eight bytes")
    }

    /// Whether it answers for rows of a school on a day.
    pub(super) fn has_rows_of(&self, brin: [u8; 4], day: Date) -> bool {
        self.kind == LeafKind::Disclosure
            && self.rows > 0
            && self.brin() == brin
            && day_of(self.end_ms) == day
    }

    /// The same leaf, carrying an outcome.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.inner_root = [0; 32];
        self.inner_root[0] = outcome.status as u8;
        self.inner_root[2..4].copy_from_slice(&outcome.http_status.to_le_bytes());
        self.inner_root[4..8].copy_from_slice(&outcome.chunks.to_le_bytes());
        self.inner_root[8..16].copy_from_slice(&outcome.bytes.to_le_bytes());
        self
    }

    /// The outcome an outcome leaf carries.
    pub fn outcome(&self) -> Option<Outcome> {
        if self.kind != LeafKind::Outcome {
            return None;
        }
        let status = [OutcomeStatus::Sent, OutcomeStatus::Failed, OutcomeStatus::Unknown]
            .into_iter()
            .find(|&status| status as u8 == self.inner_root[0])?;
        let root = &self.inner_root;
        Some(Outcome {
            status,
            http_status: u16::from_le_bytes(root[2..4].try_into().ok()?),
            chunks: u32::from_le_bytes(root[4..8].try_into().ok()?),
            bytes: u64::from_le_bytes(root[8..16].try_into().ok()?),
        })
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = Writer { bytes: [0; Self::SIZE], at: 0 };
        bytes.put(&VERSION.to_le_bytes());
        bytes.put(&[self.kind as u8, self.flags]);
        bytes.put(&self.chunk.to_le_bytes());
        bytes.put(&self.controller);
        bytes.put(&self.recipient);
        bytes.put(&self.trace_id);
        bytes.put(&self.span_id);
        bytes.put(&self.parent_span_id);
        bytes.put(&self.start_ms.to_le_bytes());
        bytes.put(&self.end_ms.to_le_bytes());
        bytes.put(&self.activity);
        bytes.put(&self.activity_version.to_le_bytes());
        bytes.put(&self.agreement);
        bytes.put(&self.catalogue.to_le_bytes());
        bytes.put(&self.pseudonym_epoch.to_le_bytes());
        bytes.put(&self.log_epoch.to_le_bytes());
        bytes.put(&self.rows.to_le_bytes());
        bytes.put(&[self.status]);
        bytes.put(&self.verdicts.to_bits().to_le_bytes());
        bytes.put(&[0]);
        bytes.put(&self.released.to_le_bytes());
        bytes.put(&self.withheld.to_le_bytes());
        bytes.put(&self.inner_root);
        bytes.put(&self.payload_mac);
        bytes.put(&self.transaction);
        bytes.put(&self.certificate);
        debug_assert_eq!(bytes.at, Self::SIZE);
        bytes.bytes
    }

    /// Reads its bytes; nothing for a version or kind that is unknown, or where zeros are not.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        if u16::from_le_bytes(reader.take()) != VERSION {
            return None;
        }
        let [kind, flags] = reader.take();
        let kind = LeafKind::ALL.into_iter().find(|&known| known as u8 == kind)?;
        let leaf = Self {
            kind,
            flags,
            chunk: u32::from_le_bytes(reader.take()),
            controller: reader.take(),
            recipient: reader.take(),
            trace_id: reader.take(),
            span_id: reader.take(),
            parent_span_id: reader.take(),
            start_ms: u64::from_le_bytes(reader.take()),
            end_ms: u64::from_le_bytes(reader.take()),
            activity: reader.take(),
            activity_version: u32::from_le_bytes(reader.take()),
            agreement: reader.take(),
            catalogue: u32::from_le_bytes(reader.take()),
            pseudonym_epoch: u16::from_le_bytes(reader.take()),
            log_epoch: u16::from_le_bytes(reader.take()),
            rows: u32::from_le_bytes(reader.take()),
            status: reader.take::<1>()[0],
            verdicts: Verdicts::from_bits(u16::from_le_bytes(reader.take()))?,
            released: match reader.take() {
                [0] => u64::from_le_bytes(reader.take()),
                _ => return None,
            },
            withheld: u64::from_le_bytes(reader.take()),
            inner_root: reader.take(),
            payload_mac: reader.take(),
            transaction: reader.take(),
            certificate: reader.take(),
        };
        (kind != LeafKind::Outcome || leaf.outcome().is_some()).then_some(leaf)
    }
}

/// Whether anything of a person left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RowOutcome {
    /// Something left.
    Released = 1,
    /// Nothing left.
    Withheld = 2,
}

/// Why a person was kept out of a delivery though the agreement covers it. Numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum KeptOut {
    /// A restriction (AVG art. 18).
    Beperking = 2,
    /// An objection (AVG art. 21).
    Bezwaar = 1,
    /// The agreement rests on consent, and there is none.
    GeenToestemming = 3,
}

impl KeptOut {
    const ALL: [Self; 3] = [Self::Bezwaar, Self::Beperking, Self::GeenToestemming];

    /// A word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Beperking => "beperking",
            Self::Bezwaar => "bezwaar",
            Self::GeenToestemming => "geen-toestemming",
        }
    }
}

/// Whose data a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Subject {
    /// A teacher or other member of staff.
    Leerkracht = 2,
    /// A pupil.
    Leerling = 1,
}

/// One person in one delivery: 64 bytes, pseudonymous.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 16 | subject handle |
/// | 16 | 8 | recipient tag |
/// | 24 | 8 | released-field mask |
/// | 32 | 8 | withheld-field mask: present at the source, and stayed |
/// | 40 | 16 | keyed MAC of what was released |
/// | 56 | 1, 1, 1, 1 | outcome, subject, why the person was kept out (0: was not), zero |
/// | 60 | 4 | number in the source document |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Stands for the person.
    pub handle: [u8; 16],
    /// Stands for the pseudonym the recipient got.
    pub tag: [u8; 8],
    /// Bits of the fields that left.
    pub released: u64,
    /// Bits of the fields that stayed.
    pub withheld: u64,
    /// Keyed MAC of what was released.
    pub mac: [u8; 16],
    /// Whether anything left.
    pub outcome: RowOutcome,
    /// Whose data it is about.
    pub subject: Subject,
    /// Why the person was kept out; none: nobody asked for that.
    pub kept_out: Option<KeptOut>,
    /// Number among its kind in the source document, from 0.
    pub number: u32,
}

impl Row {
    /// Bytes of a row.
    pub const SIZE: usize = 64;

    /// A row of which nothing left yet.
    pub fn new(subject: Subject, number: u32) -> Self {
        Self {
            handle: [0; 16],
            tag: [0; 8],
            released: 0,
            withheld: 0,
            mac: [0; 16],
            outcome: RowOutcome::Withheld,
            subject,
            kept_out: None,
            number,
        }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = Writer { bytes: [0; Self::SIZE], at: 0 };
        bytes.put(&self.handle);
        bytes.put(&self.tag);
        bytes.put(&self.released.to_le_bytes());
        bytes.put(&self.withheld.to_le_bytes());
        bytes.put(&self.mac);
        let kept_out = self.kept_out.map_or(0, |why| why as u8);
        bytes.put(&[self.outcome as u8, self.subject as u8, kept_out, 0]);
        bytes.put(&self.number.to_le_bytes());
        bytes.bytes
    }

    /// Reads its bytes; nothing where a code is unknown or zeros are not.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let (handle, tag) = (reader.take(), reader.take());
        let released = u64::from_le_bytes(reader.take());
        let withheld = u64::from_le_bytes(reader.take());
        let mac = reader.take();
        let (outcome, subject, kept_out) = match reader.take() {
            [outcome, subject, kept_out, 0] => (outcome, subject, kept_out),
            _ => return None,
        };
        let outcome = match outcome {
            1 => RowOutcome::Released,
            2 => RowOutcome::Withheld,
            _ => return None,
        };
        let subject = match subject {
            1 => Subject::Leerling,
            2 => Subject::Leerkracht,
            _ => return None,
        };
        let number = u32::from_le_bytes(reader.take());
        let kept_out = match kept_out {
            0 => None,
            code => Some(KeptOut::ALL.into_iter().find(|&why| why as u8 == code)?),
        };
        // Nothing leaves of whoever is kept out.
        if kept_out.is_some() && outcome == RowOutcome::Released {
            return None;
        }
        Some(Self { handle, tag, released, withheld, mac, outcome, subject, kept_out, number })
    }
}

struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    fn put(&mut self, part: &[u8]) {
        self.bytes[self.at..self.at + part.len()].copy_from_slice(part);
        self.at += part.len();
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const M: usize>(&mut self) -> [u8; M] {
        let part = self.bytes[self.at..self.at + M].try_into().expect("the layout adds up to the size");
        self.at += M;
        part
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_has_its_fields_where_the_table_says() {
        let mut leaf = Leaf::new(LeafKind::Disclosure);
        leaf.flags = 2;
        leaf.chunk = 0x0403_0201;
        leaf.controller = Leaf::controller_code("99DE", "00");
        leaf.recipient = [0x11; 12];
        leaf.start_ms = 0x22;
        leaf.agreement = [0x33; 32];
        leaf.rows = 0x44;
        leaf.status = 0x55;
        leaf.released = 0x66;
        leaf.inner_root = [0x77; 32];
        leaf.certificate = [0x88; 32];
        let bytes = leaf.to_bytes();
        assert_eq!(bytes[..8], [1, 0, 1, 2, 1, 2, 3, 4]);
        assert_eq!(&bytes[8..16], b"99DE00\0\0");
        assert_eq!(bytes[16..28], [0x11; 12]);
        assert_eq!(
            (bytes[60], bytes[96], bytes[136], bytes[140], bytes[144]),
            (0x22, 0x33, 0x44, 0x55, 0x66)
        );
        assert_eq!((bytes[160], bytes[191], bytes[224], bytes[255]), (0x77, 0x77, 0x88, 0x88));
        assert_eq!(Leaf::from_bytes(&bytes).unwrap(), leaf);
    }

    #[test]
    fn an_outcome_comes_back() {
        for status in [OutcomeStatus::Failed, OutcomeStatus::Sent, OutcomeStatus::Unknown] {
            let outcome = Outcome { status, http_status: 200, chunks: 7, bytes: 1 << 40 };
            let leaf = Leaf::new(LeafKind::Outcome).with_outcome(outcome);
            assert_eq!(Leaf::from_bytes(&leaf.to_bytes()).unwrap().outcome(), Some(outcome));
        }
        assert_eq!(Leaf::new(LeafKind::Start).outcome(), None);
    }

    #[test]
    fn what_is_not_of_the_format_is_refused() {
        let good = Leaf::new(LeafKind::Start).to_bytes();
        for (at, value) in [(0, 2), (2, 0), (2, 19), (141, 3), (142, 4), (143, 1)] {
            let mut bad = good;
            bad[at] = value;
            assert!(Leaf::from_bytes(&bad).is_none(), "byte {at}");
        }
        let good = Row::new(Subject::Leerling, 7).to_bytes();
        assert_eq!(Row::from_bytes(&good).unwrap(), Row::new(Subject::Leerling, 7));
        for (at, value) in [(56, 0), (57, 3), (58, 4), (59, 1)] {
            let mut bad = good;
            bad[at] = value;
            assert!(Row::from_bytes(&bad).is_none(), "byte {at}");
        }
    }
}
