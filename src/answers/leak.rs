//! Who is affected when pseudonyms of a recipient are out.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
};

use serde::Serialize;

use super::{ALWAYS, Answers, Fields, Party, SchoolName, subject::person_of};
use crate::{
    catalogue::Person,
    config::{Recipient, School},
    disclosure::{Leaf, LeafKind, RowOutcome, Wanted, rowfile::Handle},
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

struct Tally {
    epoch: u16,
    spans: HashSet<[u8; 8]>,
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
        let mut lines: Vec<&str> = given.into_iter().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.sort_unstable();
        lines.dedup();
        let mut marks: HashMap<([u8; 4], u16), Marks> = HashMap::new();
        let mut untraceable = HashSet::new();
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
            }
        }

        let code = Leaf::recipient_code(&recipient.id);
        let wanted = |leaf: &Leaf| {
            let own = leaf.kind == LeafKind::Disclosure
                && leaf.recipient == code
                && leaf.flags & Leaf::INBOUND == 0
                && marks.contains_key(&(leaf.brin(), leaf.log_epoch));
            if own { Wanted::Rows } else { Wanted::Nothing }
        };
        let mut known = HashSet::new();
        let mut affected: BTreeMap<([u8; 4], Handle), Tally> = BTreeMap::new();
        self.reader.chunks(&ALWAYS, &wanted, &mut |_, leaf, rows| {
            let Some(marks) = marks.get(&(leaf.brin(), leaf.log_epoch)) else { return Ok(()) };
            for located in rows {
                let row = &located.row;
                let numbers = [marks.tags.get(&row.tag), marks.handles.get(&row.handle)];
                let mut numbers = numbers.into_iter().flatten().flatten().peekable();
                if row.outcome != RowOutcome::Released || numbers.peek().is_none() {
                    continue;
                }
                known.extend(numbers);
                let tally = affected.entry((leaf.brin(), row.handle)).or_insert_with(|| Tally {
                    epoch: leaf.log_epoch,
                    spans: HashSet::new(),
                    first_ms: leaf.end_ms,
                    last_ms: leaf.end_ms,
                    pupil: person_of(row.subject) == Person::Leerling,
                    mask: (Fields::of(leaf, row.subject), 0),
                });
                tally.spans.insert(leaf.span_id);
                tally.last_ms = leaf.end_ms;
                tally.mask.1 |= row.released;
            }
            Ok(())
        })?;
        let affected = affected.into_iter().map(|((brin, handle), tally)| Affected {
            school: self.school(&String::from_utf8_lossy(&brin)),
            handle: hex::encode(handle),
            epoch: tally.epoch,
            pupil: tally.pupil,
            first_ms: tally.first_ms,
            last_ms: tally.last_ms,
            deliveries: tally.spans.len() as u64,
            released: tally.mask.0.names(tally.mask.1),
            mask: tally.mask,
        });
        let untraceable = untraceable.difference(&known).count();
        Ok(Leak {
            recipient: self.party(&code),
            given: lines.len(),
            known: known.len(),
            unknown: lines.len() - known.len() - untraceable,
            untraceable,
            affected: affected.collect(),
        })
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
