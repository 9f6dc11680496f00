//! Who is affected when pseudonyms of a recipient are out.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    ops::RangeInclusive,
};

use jiff::civil::Date;
use serde::Serialize;

use super::{ALWAYS, Answers, Fields, Party, SchoolName};
use crate::{
    catalogue::Person,
    clock::day_start_ms,
    config::{Recipient, School},
    disclosure::{
        Leaf, LeafKind, Row, RowOutcome, Wanted,
        rollup::{About, RollUpRow},
        rowfile::Handle,
    },
    keys::{IdentitySource, Purpose},
    minimise::{key_kind, source_of},
    pseudonym::{EckId, Identity, LogKeys, Pseudonym, PseudonymDomain, Pseudonymiser},
};

/// Who is affected by a leak at a recipient.
#[derive(Debug, Serialize)]
pub struct Leak {
    /// The recipient.
    pub recipient: Party,
    /// Different pseudonyms that were given.
    pub given: usize,
    /// Those of them that the log knows for this recipient.
    pub known: usize,
    /// Those it does not.
    pub unknown: usize,
    /// Those that the recipient may well have been given, but whose persons the log knows by something else: codes for
    /// keys where pseudonyms are not made from keys, ECK iDs that passed where they are not made from ECK iDs.
    pub untraceable: usize,
    /// By school, then by handle.
    pub affected: Vec<Affected>,
}

/// How many of the pseudonyms that were given the log knows for a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Different ones that were given.
    pub given: usize,
    /// Those it knows.
    pub known: usize,
    /// Those it does not.
    pub unknown: usize,
    /// Those that the recipient may well have been given: see [`Leak::untraceable`].
    pub untraceable: usize,
}

/// One person, under one log key.
#[derive(Debug, Serialize)]
pub struct Affected {
    /// The school.
    pub school: SchoolName,
    /// What stands for the person in the log: `sluis report inzage --by handle` tells more.
    pub handle: String,
    /// The epoch of its key: under another key a person has another handle.
    pub epoch: u16,
    /// Whether it is a pupil.
    pub pupil: bool,
    /// Since when the recipient holds data of the person, ms since 1970.
    pub first_ms: u64,
    /// The last delivery with the person, ms since 1970.
    pub last_ms: u64,
    /// Deliveries with the person.
    pub deliveries: u64,
    /// Names of all fields that left in any of them.
    pub released: Vec<&'static str>,
    /// The mask, and what its bits mean.
    #[serde(skip)]
    pub mask: (Fields, u64),
}

/// What the rows of one school under one log key are held against; the values are numbers of what was given.
#[derive(Default)]
struct Marks {
    tags: HashMap<[u8; 8], Vec<usize>>,
    handles: HashMap<Handle, Vec<usize>>,
}

/// What a recipient holds of a school's persons, and how that leads back to them.
struct Held<'a> {
    recipient: &'a str,
    identity: IdentitySource,
    /// Of the codes that stood in for keys.
    openers: Vec<Pseudonymiser>,
    passed_eckid: bool,
}

/// Pseudonyms of a recipient that are out.
pub(super) struct Sought {
    given: usize,
    marks: HashMap<([u8; 4], u16), Marks>,
    known: HashSet<usize>,
    untraceable: HashSet<usize>,
    /// Handles that are theirs, by what was given or because rows have shown it, with the epoch of their key: summaries
    /// have no tags.
    found: HashMap<([u8; 4], Handle), (u16, Vec<usize>)>,
}

/// Something of a person that a recipient got.
pub(super) enum Got<'l> {
    /// In a delivery.
    Row(&'l Leaf, &'l Row),
    /// In a month whose rows have gone, at the school.
    Summary([u8; 4], &'l RollUpRow),
}

struct Tally {
    epoch: u16,
    spans: HashSet<[u8; 8]>,
    summarised: u64,
    first_ms: u64,
    last_ms: u64,
    pupil: bool,
    mask: (Fields, u64),
}

impl Answers<'_> {
    /// Who is affected when these pseudonyms of a recipient are out: ECK iDs as URI or as digits, or tokens that stood in
    /// for keys. Of one school, or of all.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn leak<'g>(
        &self,
        recipient: &Recipient,
        school: Option<&School>,
        given: impl IntoIterator<Item = &'g str>,
    ) -> io::Result<Leak> {
        let mut sought = self.sought(recipient, school, given);
        let mut affected: BTreeMap<([u8; 4], Handle), Tally> = BTreeMap::new();
        self.each_received(&recipient.id, school, &ALWAYS, &mut |got| {
            let Some(epoch) = sought.takes(&got) else { return };
            let (first_ms, last_ms) = got.when();
            let tally = affected.entry(got.person()).or_insert_with(|| Tally {
                epoch,
                spans: HashSet::new(),
                summarised: 0,
                first_ms,
                last_ms,
                pupil: got.fields() == Fields::Leerling,
                mask: (got.fields(), 0),
            });
            tally.first_ms = tally.first_ms.min(first_ms);
            tally.last_ms = tally.last_ms.max(last_ms);
            tally.mask.1 |= got.released();
            match got {
                Got::Row(leaf, _) => drop(tally.spans.insert(leaf.span_id)),
                Got::Summary(_, row) => tally.summarised += u64::from(row.count),
            }
        })?;
        let affected = affected.into_iter().map(|((brin, handle), tally)| Affected {
            school: self.school(&String::from_utf8_lossy(&brin)),
            handle: hex::encode(handle),
            epoch: tally.epoch,
            pupil: tally.pupil,
            first_ms: tally.first_ms,
            last_ms: tally.last_ms,
            deliveries: tally.spans.len() as u64 + tally.summarised,
            released: tally.mask.0.names(tally.mask.1),
            mask: tally.mask,
        });
        let affected = affected.collect();
        let Listed { given, known, unknown, untraceable } = sought.listed();
        let recipient = self.party(&Leaf::recipient_code(&recipient.id));
        Ok(Leak { recipient, given, known, unknown, untraceable, affected })
    }

    /// Shows everything of persons that a recipient got on these days: rows in order, then summaries of months.
    pub(super) fn each_received(
        &self,
        recipient: &str,
        school: Option<&School>,
        days: &RangeInclusive<Date>,
        show: &mut dyn FnMut(Got<'_>),
    ) -> io::Result<()> {
        let code = Leaf::recipient_code(recipient);
        let of_school = |brin: [u8; 4]| school.is_none_or(|school| *school.brin.as_bytes() == brin);
        let wanted = |leaf: &Leaf| {
            let own = leaf.kind == LeafKind::Disclosure
                && leaf.recipient == code
                && leaf.flags & Leaf::INBOUND == 0
                && of_school(leaf.brin());
            if own { Wanted::Rows } else { Wanted::Nothing }
        };
        self.reader.chunks(days, &wanted, &mut |_, leaf, rows| {
            let left = rows.iter().filter(|located| located.row.outcome == RowOutcome::Released);
            left.for_each(|located| show(Got::Row(leaf, &located.row)));
            Ok(())
        })?;
        for school in
            self.config.schools.iter().filter(|own| school.is_none_or(|school| school.brin == own.brin))
        {
            let Ok(brin) = school.brin.as_bytes().try_into() else { continue };
            self.reader.summarised(&school.brin, &mut |month| {
                let within = month.rows().iter().filter(|row| {
                    row.recipient == code
                        && row.about != About::Results
                        && row.released != 0
                        && row.first <= *days.end()
                        && row.last >= *days.start()
                });
                within.for_each(|row| show(Got::Summary(brin, row)));
            })?;
        }
        Ok(())
    }

    /// What rows are held against to find these pseudonyms of a recipient. Each counts once.
    pub(super) fn sought<'g>(
        &self,
        recipient: &Recipient,
        school: Option<&School>,
        given: impl IntoIterator<Item = &'g str>,
    ) -> Sought {
        let mut lines: Vec<&str> = given.into_iter().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.sort_unstable();
        lines.dedup();
        let mut marks: HashMap<([u8; 4], u16), Marks> = HashMap::new();
        let (mut found, mut untraceable) = (HashMap::new(), HashSet::new());
        let schools = self.config.schools.iter().map(AsRef::as_ref);
        for school in schools.filter(|own: &&School| school.is_none_or(|school| school.brin == own.brin)) {
            let Ok(brin) = school.brin.as_bytes().try_into() else { continue };
            let held = Held {
                recipient: &recipient.id,
                identity: school.identity,
                openers: self.openers(school, recipient),
                passed_eckid: self.passed_eckid(school, recipient),
            };
            for keys in self.log_keys(&school.brin) {
                let marks = marks.entry((brin, keys.epoch())).or_default();
                for (number, line) in lines.iter().enumerate() {
                    if !marks.add(number, line, &held, &keys) {
                        untraceable.insert(number);
                    }
                }
                for (&handle, numbers) in &marks.handles {
                    found.insert((brin, handle), (keys.epoch(), numbers.clone()));
                }
            }
        }
        Sought { given: lines.len(), marks, known: HashSet::new(), untraceable, found }
    }

    /// What opens the tokens of a recipient, whatever the epoch.
    fn openers(&self, school: &School, recipient: &Recipient) -> Vec<Pseudonymiser> {
        let keys = self.config.keys.all(&school.brin, Purpose::Pseudonym);
        keys.filter_map(|(epoch, root)| {
            let domain = PseudonymDomain::Recipient;
            Pseudonymiser::new(root, epoch, &school.brin, &domain, &recipient.id, &self.config.authority).ok()
        })
        .collect()
    }

    /// Whether the feed's own ECK iDs were passed to a recipient, as far as there are agreements.
    fn passed_eckid(&self, school: &School, recipient: &Recipient) -> bool {
        self.config.agreements.all().iter().any(|agreement| {
            agreement.school == school.brin
                && agreement.recipient == recipient.id
                && agreement.domain == PseudonymDomain::PassEckId
        })
    }
}

impl Sought {
    /// Whether it is about one of them: the epoch of the log key. Rows come first, for what a pseudonym's handle is, they
    /// alone tell.
    pub(super) fn takes(&mut self, got: &Got<'_>) -> Option<u16> {
        let (epoch, numbers) = match got {
            Got::Row(leaf, row) => {
                let marks = self.marks.get(&(leaf.brin(), leaf.log_epoch))?;
                let numbers = [marks.tags.get(&row.tag), marks.handles.get(&row.handle)];
                let numbers: Vec<usize> = numbers.into_iter().flatten().flatten().copied().collect();
                (leaf.log_epoch, numbers)
            }
            Got::Summary(..) => self.found.get(&got.person())?.clone(),
        };
        if numbers.is_empty() {
            return None;
        }
        self.known.extend(&numbers);
        self.found.insert(got.person(), (epoch, numbers));
        Some(epoch)
    }

    /// How many of them the log knows.
    pub(super) fn listed(&self) -> Listed {
        let (given, known) = (self.given, self.known.len());
        let untraceable = self.untraceable.difference(&self.known).count();
        Listed { given, known, unknown: given - known - untraceable, untraceable }
    }
}

impl Got<'_> {
    /// The school and the person.
    pub(super) fn person(&self) -> ([u8; 4], Handle) {
        match self {
            Self::Row(leaf, row) => (leaf.brin(), row.handle),
            Self::Summary(brin, row) => (*brin, row.handle),
        }
    }

    /// What the bits of its mask mean.
    pub(super) fn fields(&self) -> Fields {
        match self {
            Self::Row(leaf, row) => Fields::of(leaf, row.subject),
            Self::Summary(_, row) => Fields::about(row.about),
        }
    }

    /// Bits of the fields that left.
    pub(super) fn released(&self) -> u64 {
        match self {
            Self::Row(_, row) => row.released,
            Self::Summary(_, row) => row.released,
        }
    }

    /// The first and the last time, ms since 1970.
    pub(super) fn when(&self) -> (u64, u64) {
        match self {
            Self::Row(leaf, _) => (leaf.end_ms, leaf.end_ms),
            Self::Summary(_, row) => (day_start_ms(row.first), day_start_ms(row.last)),
        }
    }
}

impl Marks {
    /// Notes what rows are known by. Says no when the recipient may hold this of someone whom no row is known by.
    fn add(&mut self, number: usize, line: &str, held: &Held<'_>, keys: &LogKeys) -> bool {
        if let Some(pseudonym) = Pseudonym::parse(line) {
            self.tags.entry(keys.recipient_tag(held.recipient, &pseudonym)).or_default().push(number);
        }
        let mut traceable = true;
        for person in [Person::Leerling, Person::Leerkracht] {
            let kind = key_kind(person);
            let Some(key) = held.openers.iter().find_map(|opener| opener.open(kind, line).ok()) else {
                continue;
            };
            if source_of(held.identity, person) == IdentitySource::LasKey {
                self.person(number, &Identity::LasKey(kind, key), keys);
            } else {
                traceable = false;
            }
        }
        if let Ok(eckid) = EckId::parse(line)
            && eckid.is_official()
        {
            if held.identity == IdentitySource::EckId {
                self.person(number, &Identity::EckId(eckid), keys);
            } else {
                traceable &= !held.passed_eckid;
            }
        }
        traceable
    }

    fn person(&mut self, number: usize, identity: &Identity, keys: &LogKeys) {
        self.handles.entry(keys.subject_handle(identity)).or_default().push(number);
    }
}
