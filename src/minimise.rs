//! Stages 3 to 5 over one document: tokens in, chunks of what may leave out.
//!
//! A chunk is up to 256 persons, pupils or teachers and never both, with their rows for the log. Nothing of a person is written out before the whole
//! chunk has been read: so a group's name can be held against the numbers of the pupils that follow it, and a
//! document that breaks off early leaves nothing behind. What is kept per document, whatever its size, is one chunk,
//! the groups, and a fingerprint per identifier.
#![warn(clippy::wildcard_enum_match_arm)]

mod events;
mod person;
mod preamble;
mod rule;

use std::{borrow::Cow, collections::BTreeSet, fmt, ops::RangeInclusive};

use jiff::civil::Date;

pub use events::{Event, Events};
use person::Pending;
pub(crate) use person::{PGN_FIELDS, all_identities, identity_of, key_kind, source_of};

use crate::{
    catalogue::{Catalogue, FeedId, Field, Kind, NodeId, Person, RecordId, Tree, catalogue},
    disclosure::{KeptOut, Row},
    encode::{Frame, XmlEncoder},
    fault::FaultCode,
    keys::IdentitySource,
    policy::{Ruling, Rulings},
    pseudonym::{ContentMac, LogKeys, Pseudonymiser, Reading, Seen},
    record::{Record, Records},
    token::{Sink, Token},
};

/// Persons in one chunk: the size of the log's inner trees.
pub const CHUNK: usize = 256;
/// Bytes of records that close a chunk before it has [`CHUNK`] persons.
const CHUNK_BYTES: usize = 512 * 1024;
/// Bytes of records that may wait for their turn: groups for the first pupils, teachers that came too early.
const WAITING_BYTES: usize = 16 * 1024 * 1024;
/// Room that is made for a pupil in the document: a text that grows is copied each time. Most of it is the pseudonym.
const PUPIL_BYTES: usize = 704;
/// A record that took more memory than this is not kept for the next.
const SPARE_BYTES: usize = 8 * 1024;
/// What stands where nothing has changed since the moment that the request named.
const NO_CHANGES: &str = "geenwijzigingen";

/// The school a document has to be about.
#[derive(Debug, Clone)]
pub struct School {
    /// BRIN, in capitals.
    pub brin: String,
    /// The vestiging; none: any of the school's.
    pub dependance: Option<String>,
    /// The key by which the pupil administration knows the school, for documents without BRIN.
    pub schoolkey: Option<String>,
}

/// All that was decided before the document began.
pub struct Scope<'a> {
    /// What may leave.
    pub rulings: &'a Rulings,
    /// Pseudonyms and tokens for this recipient.
    pub pseudonyms: &'a Pseudonymiser,
    /// Whether the feed's ECK iD passes instead of a pseudonym.
    pub pass_eckid: bool,
    /// Handles and tags for the log.
    pub log_keys: &'a LogKeys,
    /// The recipient's id.
    pub recipient: &'a str,
    /// The school the document must be about.
    pub school: &'a School,
    /// Which identifier of a person the pseudonym is made from.
    pub identity: IdentitySource,
    /// The feed that was asked for; none: any feed with pupils' data.
    pub expected: Option<FeedId>,
    /// Records allowed in the document.
    pub records: u64,
    /// Who is kept out, though the agreement covers persons like them.
    pub rights: &'a dyn KeepOut,
    /// The days on which a document may have been made that says when it was; none: any.
    pub fresh: Option<RangeInclusive<Date>>,
}

/// Knows of objections, restrictions and consents.
pub trait KeepOut {
    /// Why nothing of a person leaves, as things stand at this moment; none: no right stands in the way.
    fn keep_out(&self, record: &Record, person: Person) -> Option<KeptOut>;
}

/// Nobody is kept out.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl KeepOut for Nobody {
    fn keep_out(&self, _: &Record, _: Person) -> Option<KeptOut> {
        None
    }
}

/// A part of the document that may leave as soon as it is on record.
pub struct Chunk {
    /// Its bytes; a chunk whose persons were all withheld has none.
    pub document: String,
    /// Its MAC for the log: over its bytes, with the MAC of each record of a person in the place of the record.
    pub mac: [u8; 16],
    /// One row per person: all of pupils, or all of teachers.
    pub rows: Vec<Row>,
    /// Whether the document ends with it.
    pub last: bool,
    /// Whether the document says that nothing has changed, and nothing else.
    pub no_changes: bool,
}

/// Takes chunks, in order.
pub trait Outlet {
    /// Why it takes no more.
    type Error;

    /// Takes one chunk.
    ///
    /// # Errors
    ///
    /// When the chunk could not be put on record or delivered; the document ends there.
    fn chunk(&mut self, chunk: Chunk) -> Result<(), Self::Error>;
}

/// Why a document was refused by what is in it. Nothing more of it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A SOAP fault where data was expected.
    Fault(FaultCode),
    /// A request or a message of results where pupils' data was expected.
    NotAFeed,
    /// A file of which nothing may be released, in a format that cannot say so.
    Nothing,
    /// Teachers or groups stand so far from their place that they cannot be put in order.
    Order,
    /// More records than `limits.records`.
    Records,
    /// No school element, or it does not say which school, before the first pupils.
    SchoolMissing,
    /// The document is about another school.
    SchoolOther,
    /// The document does not say its school year, nor a date that would tell.
    SchooljaarMissing,
    /// Two feeds in one document.
    SecondFeed,
    /// The document was made too long ago, or is of a day to come.
    Stale,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fault(_) => "the document is a SOAP fault, not data",
            Self::NotAFeed => {
                "the document is not a feed of pupils' data; give a UWLR answer or an EDEXML file"
            }
            Self::Nothing => "nothing of this file may be released, and EDEXML has no way to say so",
            Self::Order => {
                "groups or teachers stand too far from their place; put school and groepen before leerlingen"
            }
            Self::Records => "more records than limits.records allows",
            Self::SchoolMissing => "the document does not say, before its pupils, which school it is about",
            Self::SchoolOther => "the document is about another school than was asked for",
            Self::SchooljaarMissing => {
                "the document does not say its schooljaar (as in 2026-2027), and has no peildatum or aanmaakdatum that tells"
            }
            Self::SecondFeed => "two feeds in one document",
            Self::Stale => {
                "the document was made longer ago than integrity.max_age_days, or on a day to come; export it anew"
            }
        })
    }
}

impl std::error::Error for Refusal {}

/// Either the document or what takes its chunks can end it.
#[derive(Debug)]
pub enum Error<E> {
    /// The outlet.
    Outlet(E),
    /// The document.
    Refused(Refusal),
}

impl<E> From<Refusal> for Error<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What a document came to.
#[derive(Debug, Default, Clone)]
pub struct Summary {
    /// Pupils of whom something left.
    pub released: u64,
    /// Pupils of whom nothing left.
    pub withheld: u64,
    /// Teachers of whom something left.
    pub staff: u64,
    /// Persons kept out by an objection, a restriction or for want of consent.
    pub kept_out: u64,
    /// Per field of the catalogue: values that left, coarser or pseudonymous ones included.
    pub fields_released: Vec<u64>,
    /// Per field of the catalogue: values that were present and stayed.
    pub fields_withheld: Vec<u64>,
    /// Per field of the catalogue: constants that stood in.
    pub fields_neutralised: Vec<u64>,
    /// What was noticed.
    pub events: Events,
    /// The feed.
    pub feed: Option<FeedId>,
    /// Places in which something stands that the catalogue does not know.
    pub unknown_in: BTreeSet<NodeId>,
    /// Whether the document said there is no data, or no change.
    pub empty: bool,
}

impl Summary {
    /// What the document held: fields by name, and what the catalogue does not know by the place it stands in.
    pub fn parts(&self) -> BTreeSet<String> {
        self.each_part().map(Cow::into_owned).collect()
    }

    /// The same, one by one.
    pub fn each_part(&self) -> impl Iterator<Item = Cow<'static, str>> {
        let catalogue = catalogue();
        let present = |field: usize| self.fields_released[field] + self.fields_withheld[field] > 0;
        let fields = catalogue.fields().iter().filter(move |field| present(field.id.index()));
        let unknown = self.unknown_in.iter().map(|&place| format!("{}/*", catalogue.tree().path(place)));
        fields.map(|field| Cow::from(field.name.as_str())).chain(unknown.map(Cow::from))
    }
}

/// Turns the tokens of one document into chunks.
pub struct Minimiser<'a, O> {
    catalogue: &'static Catalogue,
    scope: Scope<'a>,
    outlet: O,
    kinds: Kinds,
    frame: Frame,
    feed: Option<FeedId>,
    encoder: Option<XmlEncoder>,
    /// Per field, whether it is enough to know that it was there: see [`only_counted`].
    only_counted: Vec<bool>,
    current: Option<Record>,
    /// Memory for the next.
    spare: Option<Record>,
    ruled: Record,
    /// Groups and vestigingen that wait for the first pupils.
    preamble: Records<()>,
    pupils: Records<Pending>,
    staff: Records<Pending>,
    waiting: usize,
    chunk_bytes: usize,
    pupils_done: bool,
    /// Teachers have been written: pupils that still come are too late.
    staff_flushed: bool,
    opened: bool,
    /// Whether anything was emitted that makes the document worth sending.
    content: bool,
    school: Option<Record>,
    out: String,
    /// Of what is in `out`, up to here.
    mac: ContentMac,
    mac_at: usize,
    rows: Vec<Row>,
    records: u64,
    numbers: [u32; 2],
    seen: Seen,
    groups: Seen,
    reading: Reading,
    ruler: rule::Ruler,
    marker: Option<&'static str>,
    summary: Summary,
}

/// Record kinds the document's shape depends on.
#[derive(Clone, Copy)]
struct Kinds {
    groep: RecordId,
    leerkracht: RecordId,
    leerling: RecordId,
    samengestelde_groep: RecordId,
    school: RecordId,
    vestiging: RecordId,
}

impl<'a, O: Outlet> Minimiser<'a, O> {
    /// A minimiser for one document.
    pub fn new(scope: Scope<'a>, outlet: O) -> Self {
        let catalogue = catalogue();
        let kinds = Kinds {
            groep: catalogue.record_named("groep"),
            leerkracht: catalogue.record_named("leerkracht"),
            leerling: catalogue.record_named("leerling"),
            samengestelde_groep: catalogue.record_named("samengestelde_groep"),
            school: catalogue.record_named("school"),
            vestiging: catalogue.record_named("vestiging"),
        };
        let fields = catalogue.fields().len();
        let only_counted =
            catalogue.fields().iter().map(|field| only_counted(field, scope.rulings)).collect();
        let summary = Summary {
            fields_released: vec![0; fields],
            fields_withheld: vec![0; fields],
            fields_neutralised: vec![0; fields],
            ..Summary::default()
        };
        Self {
            mac: scope.log_keys.content_mac(),
            mac_at: 0,
            catalogue,
            scope,
            outlet,
            kinds,
            frame: Frame::Bare,
            feed: None,
            encoder: None,
            only_counted,
            current: None,
            spare: None,
            ruled: Record::new(kinds.school, Tree::DOCUMENT),
            preamble: Records::default(),
            pupils: Records::default(),
            staff: Records::default(),
            waiting: 0,
            chunk_bytes: 0,
            pupils_done: false,
            staff_flushed: false,
            opened: false,
            content: false,
            school: None,
            out: String::new(),
            rows: Vec::with_capacity(CHUNK),
            records: 0,
            numbers: [0; 2],
            seen: Seen::new(),
            groups: Seen::new(),
            reading: Reading::new(),
            ruler: rule::Ruler::new(),
            marker: None,
            summary,
        }
    }

    /// Ends the document. To be called only after the decoder has read it to its end without error.
    ///
    /// # Errors
    ///
    /// As [`Sink::token`]: what is still waiting is ruled on, recorded and sent here.
    pub fn finish(&mut self) -> Result<(), Error<O::Error>> {
        if let Some(marker) = self.marker {
            let feed = self.feed.ok_or(Refusal::NotAFeed)?;
            XmlEncoder::new(self.frame, feed).marker(marker, &mut self.out);
            self.summary.empty = true;
            return self.send(true);
        }
        let Some(feed) = self.feed else { return Err(Refusal::NotAFeed.into()) };
        self.flush_pupils()?;
        self.flush_staff()?;
        self.open()?;
        if self.content {
            let mut out = std::mem::take(&mut self.out);
            self.encoder.as_mut().expect("an open document has an encoder").finish(&mut out);
            self.out = out;
        } else {
            if self.catalogue.feed(feed).message.is_none() {
                return Err(Refusal::Nothing.into());
            }
            self.out.clear();
            (self.mac, self.mac_at) = (self.scope.log_keys.content_mac(), 0);
            // School and groups were ruled on, and do not leave after all.
            let summary = &mut self.summary;
            for (released, withheld) in summary.fields_released.iter_mut().zip(&mut summary.fields_withheld) {
                *withheld += std::mem::take(released);
            }
            summary.fields_neutralised.fill(0);
            XmlEncoder::new(self.frame, feed).marker("geengegevens", &mut self.out);
            self.summary.empty = true;
            self.content = true;
        }
        self.send(true)
    }

    /// What the document came to, and what took its chunks.
    pub fn into_parts(self) -> (Summary, O) {
        (self.summary, self.outlet)
    }

    /// Hands over what is ready. Before there is content, only rows go: the document may yet turn out empty.
    fn send(&mut self, last: bool) -> Result<(), Error<O::Error>> {
        let mut mac = self.scope.log_keys.content_mac();
        let mut document = String::new();
        if self.content || last {
            document = std::mem::take(&mut self.out);
            std::mem::swap(&mut mac, &mut self.mac);
            mac.update(&document.as_bytes()[std::mem::take(&mut self.mac_at)..]);
        }
        let mac = mac.finish();
        let rows = std::mem::replace(&mut self.rows, Vec::with_capacity(CHUNK));
        if document.is_empty() && rows.is_empty() && !last {
            return Ok(());
        }
        let no_changes = self.marker == Some(NO_CHANGES);
        self.outlet.chunk(Chunk { document, mac, rows, last, no_changes }).map_err(Error::Outlet)
    }

    fn begin(&mut self, feed: FeedId) -> Result<(), Refusal> {
        if self.feed.replace(feed).is_some() || self.marker.is_some() {
            return Err(Refusal::SecondFeed);
        }
        self.summary.feed = Some(feed);
        let carries_school = self
            .catalogue
            .feed(feed)
            .sections
            .iter()
            .any(|section| section.records.iter().any(|&(kind, _)| kind == self.kinds.school));
        let wanted = self.scope.expected.is_none_or(|expected| expected == feed);
        if carries_school && wanted { Ok(()) } else { Err(Refusal::NotAFeed) }
    }

    fn mark(&mut self, feed: FeedId, marker: &'static str) -> Result<(), Refusal> {
        if self.feed.replace(feed).is_some() || self.marker.replace(marker).is_some() {
            return Err(Refusal::SecondFeed);
        }
        let wanted = self.scope.expected.is_none_or(|expected| expected == feed);
        if wanted { Ok(()) } else { Err(Refusal::NotAFeed) }
    }

    fn start_record(&mut self, kind: RecordId, node: NodeId) -> Result<(), Refusal> {
        if self.feed.is_none() {
            // The SOAP header of a request, or a request itself: no feed will follow.
            return Err(Refusal::NotAFeed);
        }
        self.records += 1;
        if self.records > self.scope.records {
            return Err(Refusal::Records);
        }
        let mut record = self.empty();
        record.reset(kind, node);
        self.current = Some(record);
        Ok(())
    }

    fn accept(&mut self, record: &Record) -> Result<(), Error<O::Error>> {
        let kind = record.kind;
        if record.unknown > 0 {
            self.summary.events.count(Event::Unknown, u64::from(record.unknown));
        }
        if kind == self.kinds.school {
            self.accept_school(record)?;
        } else if kind == self.kinds.leerling {
            self.chunk_bytes += record.weight();
            let pending = self.pending(record, Person::Leerling);
            self.pupils.push(record, pending);
            if self.pupils.len() == CHUNK || self.chunk_bytes > CHUNK_BYTES {
                self.flush_pupils()?;
            }
        } else if kind == self.kinds.leerkracht {
            self.waiting += record.weight();
            let pending = self.pending(record, Person::Leerkracht);
            self.staff.push(record, pending);
            if self.pupils_done && (self.staff.len() == CHUNK || self.waiting > CHUNK_BYTES) {
                self.flush_pupils()?;
                self.flush_staff()?;
            }
            if self.waiting > WAITING_BYTES {
                return Err(Refusal::Order.into());
            }
        } else {
            self.accept_group(record)?;
        }
        Ok(())
    }

    /// A record to be filled, with the memory of one before.
    fn empty(&mut self) -> Record {
        self.spare.take().unwrap_or_else(|| Record::new(self.kinds.school, Tree::DOCUMENT))
    }

    /// Keeps a record's memory for one to come.
    fn keep(&mut self, record: Record) {
        self.spare = Some(record).filter(|record| record.capacity() <= SPARE_BYTES);
    }

    /// Writes school and groups, once.
    fn open(&mut self) -> Result<(), Error<O::Error>> {
        if self.opened {
            return Ok(());
        }
        let feed = self.feed.ok_or(Refusal::NotAFeed)?;
        let school = self.school.take().ok_or(Refusal::SchoolMissing)?;
        self.opened = true;
        let encoder = XmlEncoder::new(self.frame, feed);
        encoder.start(&mut self.out);
        self.encoder = Some(encoder);
        self.emit_plain(&school)?;
        let preamble = std::mem::take(&mut self.preamble);
        // Vestigingen stand before groups, whichever came first.
        let vestiging = self.kinds.vestiging;
        let mut record = self.empty();
        for vestigingen in [true, false] {
            for at in (0..preamble.len()).filter(|&at| (preamble.kind(at) == vestiging) == vestigingen) {
                preamble.read(at, &mut record);
                self.emit_plain(&record)?;
            }
        }
        self.keep(record);
        if !self.pupils_required() {
            self.content |= self.summary_has_groups();
        }
        Ok(())
    }

    /// Whether the standard wants pupils in this feed.
    fn pupils_required(&self) -> bool {
        let feed = self.catalogue.feed(self.feed.expect("records stand in a feed"));
        feed.sections.iter().any(|section| section.required)
    }

    fn summary_has_groups(&self) -> bool {
        ["groep.key", "samengestelde_groep.key", "vestiging.key"]
            .iter()
            .any(|name| self.summary.fields_released[self.catalogue.field_named(name).index()] > 0)
    }

    /// A record about no person.
    fn emit_plain(&mut self, record: &Record) -> Result<(), Refusal> {
        if !self.scope.rulings.covers(record.kind) {
            self.note_withheld(record);
            return Ok(());
        }
        let context = rule::Context {
            scope: &self.scope,
            feed: self.feed.expect("records stand in a feed"),
            seen: &self.seen,
            groups: &self.groups,
            pseudonym: None,
            eckid: None,
        };
        let complete = self.ruler.rule(&context, record, &mut self.ruled, &mut self.summary).complete;
        if complete {
            self.encoder.as_mut().expect("the document is open").record(&self.ruled, &mut self.out);
            return Ok(());
        }
        // Of a group, the key was looked at when it came, and all else has a constant.
        debug_assert!(
            record.kind == self.kinds.school,
            "only a school can lack what the standard insists on"
        );
        if record.kind == self.kinds.school { Err(Refusal::SchooljaarMissing) } else { Ok(()) }
    }

    fn note_withheld(&mut self, record: &Record) -> u64 {
        let mut mask = record.left_out;
        for item in record.items() {
            if let Some(field) = item.field {
                self.summary.fields_withheld[field.index()] += 1;
                mask |= self.catalogue.field(field).mask();
            }
        }
        mask
    }

    fn flush_pupils(&mut self) -> Result<(), Error<O::Error>> {
        self.chunk_bytes = 0;
        if self.pupils.is_empty() {
            return Ok(());
        }
        self.open()?;
        if !self.rows.is_empty() {
            // Teachers have left rows behind, when pupils come after them: no chunk is about both.
            self.send(false)?;
        }
        let mut pupils = std::mem::take(&mut self.pupils);
        self.out.reserve(pupils.len() * PUPIL_BYTES);
        let mut record = self.empty();
        for at in 0..pupils.len() {
            let pending = pupils.read(at, &mut record);
            self.emit_person(&record, pending, Person::Leerling);
        }
        self.keep(record);
        pupils.clear();
        self.pupils = pupils;
        self.send(false)
    }

    fn flush_staff(&mut self) -> Result<(), Error<O::Error>> {
        if self.staff.is_empty() {
            return Ok(());
        }
        self.open()?;
        self.staff_flushed = true;
        self.waiting = 0;
        let mut staff = std::mem::take(&mut self.staff);
        let mut record = self.empty();
        for at in 0..staff.len() {
            if self.rows.len() == CHUNK {
                self.send(false)?;
            }
            let pending = staff.read(at, &mut record);
            self.emit_person(&record, pending, Person::Leerkracht);
        }
        self.keep(record);
        staff.clear();
        self.staff = staff;
        Ok(())
    }
}

/// Whether a value of a person stays whatever it is, and nothing else asks what it was: then no record holds it. Decoders have
/// looked at it by then, so it is well-formed and within bounds.
fn only_counted(field: &Field, rulings: &Rulings) -> bool {
    let is_asked_for = matches!(field.kind, Kind::Eckid | Kind::Key | Kind::Pgn) || field.choice.is_some();
    let of_person = catalogue().record(field.record).person.is_some();
    of_person && !is_asked_for && rulings.ruling(field.id) == Ruling::Withhold
}

impl<O: Outlet> Sink for Minimiser<'_, O> {
    type Error = Error<O::Error>;

    fn token(&mut self, token: Token<'_>) -> Result<(), Self::Error> {
        if let Token::Unknown(place) = token {
            self.summary.unknown_in.insert(place);
        }
        if let Some(record) = &mut self.current {
            if let Token::Field { field, value, .. } = token
                && self.only_counted[field.index()]
            {
                let field = self.catalogue.field(field);
                if !value.is_empty() || field.kind == Kind::Opaque {
                    record.left_out |= field.mask();
                    self.summary.fields_withheld[field.id.index()] += 1;
                }
            } else if record.take(&token) {
                let record = self.current.take().expect("it was just there");
                self.accept(&record)?;
                self.keep(record);
            }
            return Ok(());
        }
        match token {
            Token::Envelope => self.frame = Frame::Envelope,
            Token::Fault(code) => return Err(Refusal::Fault(FaultCode::parse(code)).into()),
            Token::Feed(feed) => self.begin(feed)?,
            Token::NoChanges(feed) => self.mark(feed, NO_CHANGES)?,
            Token::NoData(feed) => self.mark(feed, "geengegevens")?,
            Token::Record(kind, node) => self.start_record(kind, node)?,
            Token::SectionEnd(section) => {
                let feed = self.feed.ok_or(Refusal::NotAFeed)?;
                let section = &self.catalogue.feed(feed).sections[usize::from(section)];
                if section.records.iter().any(|&(kind, _)| kind == self.kinds.leerling) {
                    self.pupils_done = true;
                }
            }
            Token::Unknown(_) => self.summary.events.count(Event::Unknown, 1),
            Token::End | Token::Field { .. } | Token::Group(_) => {
                debug_assert!(false, "fields stand in records");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{convert::Infallible, path::Path};

    use super::*;
    use crate::{
        decode::{Limits, decode},
        keys::RootKey,
        policy::agreement,
        pseudonym::PseudonymDomain,
    };

    struct Nowhere;

    impl Outlet for Nowhere {
        type Error = Infallible;

        fn chunk(&mut self, _: Chunk) -> Result<(), Infallible> {
            Ok(())
        }
    }

    const AGREEMENT: &str = r#"
        id = "a"
        version = 1
        school = "99DE"
        recipient = "noordzee"
        product = "P"
        annex = "a.pdf"
        purpose = "leermiddelen"
        basis = "overeenkomst"
        valid = { from = 2020-08-01, until = 2099-07-31 }
        pseudonym = { domain = "recipient" }
        [release]
        "leerling.roepnaam" = "pass"
    "#;

    const DOCUMENT: &[u8] = br#"<leerlinggegevens_antwoord
        xmlns="http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens"><leerlinggegevens>
        <school><schooljaar>2026-2027</schooljaar><brincode>99DE</brincode></school>
        <leerlingen><leerling key="L100001"><achternaam>Kanarie</achternaam><roepnaam>Jip</roepnaam>
        <emailadres>kanarie@school.example</emailadres><bsn>999990019</bsn></leerling></leerlingen>
        </leerlinggegevens></leerlinggegevens_antwoord>"#;

    #[test]
    fn what_stays_is_kept_only_where_it_says_who_somebody_is() {
        let agreement = agreement::parse(AGREEMENT, Path::new("a.toml"), &["99DE"], &["noordzee"]).unwrap();
        let rulings = Rulings::compile(&agreement);
        for field in catalogue().fields().iter().filter(|field| only_counted(field, &rulings)) {
            assert_eq!(rulings.ruling(field.id), Ruling::Withhold, "{}", field.name);
            assert!(!matches!(field.kind, Kind::Eckid | Kind::Key | Kind::Pgn), "{}", field.name);
        }
        let root = RootKey::new([7; 32]);
        let pseudonyms =
            Pseudonymiser::new(&root, 1, "99DE", &PseudonymDomain::Recipient, "noordzee", "sluis.example");
        let scope = Scope {
            rulings: &rulings,
            pseudonyms: &pseudonyms.unwrap(),
            pass_eckid: false,
            log_keys: &LogKeys::new(&root, 1, "99DE"),
            recipient: "noordzee",
            school: &School { brin: "99DE".into(), dependance: None, schoolkey: None },
            identity: IdentitySource::LasKey,
            expected: None,
            records: 10,
            rights: &Nobody,
            fresh: None,
        };
        let mut minimiser = Minimiser::new(scope, Nowhere);
        decode(DOCUMENT, None, &Limits::default(), &mut minimiser).map_err(|_| ()).unwrap();
        let mut record = minimiser.empty();
        assert_eq!(minimiser.pupils.len(), 1);
        minimiser.pupils.read(0, &mut record);
        let kept: Vec<&str> = record.items().iter().map(|item| record.value(item)).collect();
        assert_eq!(kept, ["L100001", "Jip", "999990019"]);
        minimiser.finish().map_err(|_| ()).unwrap();
        for name in ["leerling.achternaam", "leerling.emailadres", "leerling.bsn"] {
            assert_eq!(minimiser.summary.fields_withheld[catalogue().field_named(name).index()], 1, "{name}");
        }
    }
}
