//! What a breach at a recipient is about, in sum: what its notification has to tell (AVG art. 33).
//!
//! It counts and names no person: who is affected tells [`Leak`](super::Leak).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    ops::RangeInclusive,
};

use jiff::civil::Date;
use serde::Serialize;

use super::{
    Answers, Fields, Listed, Party, SchoolName,
    leak::{Got, Sought},
    parties::bits_of,
};
use crate::{
    catalogue::{Field, Sensitivity, catalogue},
    config::{Recipient, School},
    disclosure::{Leaf, rowfile::Handle},
    policy::agreement::Agreement,
};

/// What a breach at a recipient is about.
#[derive(Debug, Serialize)]
pub struct Breach<'c> {
    /// The recipient.
    pub recipient: Party,
    /// How many of the pseudonyms that were given are known; none: it is about all the recipient got.
    pub listed: Option<Listed>,
    /// Pupils. With a new log key a pupil counts anew.
    pub pupils: usize,
    /// Teachers.
    pub staff: usize,
    /// Deliveries that held something of them; those of months that are summarised are not among them.
    pub deliveries: usize,
    /// The first time something of them left, ms since 1970.
    pub first_ms: Option<u64>,
    /// The last time, ms since 1970.
    pub last_ms: Option<u64>,
    /// Whether a part follows from summaries of months, of which only days are known.
    pub summarised: bool,
    /// By school.
    pub schools: Vec<BreachSchool>,
    /// Ids of the data categories.
    pub categories: Vec<&'static str>,
    /// Whether special categories of personal data are among them.
    pub special: bool,
    /// Per field, of how many persons.
    pub fields: Vec<BreachField>,
    /// Under which agreements, as far as their files are there: newest versions last.
    #[serde(skip)]
    pub agreements: Vec<&'c Agreement>,
    /// Agreements whose file is not there, by the first digits of its SHA-256.
    pub agreements_gone: Vec<String>,
}

/// What it is about at one school.
#[derive(Debug, Serialize)]
pub struct BreachSchool {
    /// The school.
    pub school: SchoolName,
    /// Pupils.
    pub pupils: usize,
    /// Teachers.
    pub staff: usize,
    /// The first time, ms since 1970.
    pub first_ms: u64,
    /// The last time, ms since 1970.
    pub last_ms: u64,
}

/// A field that left.
#[derive(Debug, Serialize)]
pub struct BreachField {
    /// Its name.
    pub field: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// Whether it is a teacher's.
    pub staff: bool,
    /// Id of its data category.
    pub category: Option<&'static str>,
    /// Persons of whom it left, each counted once.
    pub persons: usize,
    /// The field itself.
    #[serde(skip)]
    pub known: Option<&'static Field>,
}

#[derive(Default)]
struct Tally {
    persons: HashMap<([u8; 4], Handle), (Fields, u64)>,
    spans: HashSet<[u8; 8]>,
    schools: BTreeMap<[u8; 4], (u64, u64)>,
    /// First bytes of the hashes of agreements.
    agreements: BTreeSet<[u8; 7]>,
    summarised: bool,
}

impl<'c> Answers<'c> {
    /// What a breach at a recipient is about: all it got on these days, or only what is about the pseudonyms given.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn breach<'g>(
        &self,
        recipient: &Recipient,
        school: Option<&School>,
        days: &RangeInclusive<Date>,
        given: Option<impl IntoIterator<Item = &'g str>>,
    ) -> io::Result<Breach<'c>> {
        let mut sought = given.map(|given| self.sought(recipient, school, given));
        let mut tally = Tally::default();
        self.each_received(&recipient.id, school, days, &mut |got| {
            if sought.as_mut().is_none_or(|sought| sought.takes(&got).is_some()) {
                tally.add(&got);
            }
        })?;
        Ok(self.summed(recipient, sought.as_ref().map(Sought::listed), &tally))
    }

    fn summed(&self, recipient: &Recipient, listed: Option<Listed>, tally: &Tally) -> Breach<'c> {
        let mut fields: BTreeMap<(Fields, u32), usize> = BTreeMap::new();
        let mut persons: BTreeMap<[u8; 4], (usize, usize)> = BTreeMap::new();
        for ((brin, _), &(kind, mask)) in &tally.persons {
            let (pupils, staff) = persons.entry(*brin).or_default();
            *if kind == Fields::Leerkracht { staff } else { pupils } += 1;
            bits_of(mask).for_each(|bit| *fields.entry((kind, bit)).or_default() += 1);
        }
        let schools = tally.schools.iter().map(|(brin, &(first_ms, last_ms))| {
            let (pupils, staff) = persons.get(brin).copied().unwrap_or_default();
            let school = self.school(&String::from_utf8_lossy(brin));
            BreachSchool { school, pupils, staff, first_ms, last_ms }
        });
        let schools: Vec<_> = schools.collect();
        let known: Vec<&Field> = fields.keys().filter_map(|(kind, bit)| kind.field(*bit)).collect();
        let category = |index: usize| catalogue().categories()[index].id.as_str();
        let categories: BTreeSet<usize> = known.iter().filter_map(|field| field.category).collect();
        let all = self.config.agreements.all();
        let used = |agreement: &&Agreement| tally.agreements.contains(&first_bytes(&agreement.hash));
        let mut agreements: Vec<&Agreement> = all.iter().map(AsRef::as_ref).filter(used).collect();
        agreements.sort_by_key(|agreement| (&agreement.id, agreement.version));
        let gone = tally
            .agreements
            .iter()
            .filter(|first| !agreements.iter().any(|agreement| first_bytes(&agreement.hash) == **first));
        Breach {
            recipient: self.party(&Leaf::recipient_code(&recipient.id)),
            listed,
            pupils: schools.iter().map(|school| school.pupils).sum(),
            staff: schools.iter().map(|school| school.staff).sum(),
            deliveries: tally.spans.len(),
            first_ms: schools.iter().map(|school| school.first_ms).min(),
            last_ms: schools.iter().map(|school| school.last_ms).max(),
            summarised: tally.summarised,
            special: known.iter().any(|field| field.sensitivity == Sensitivity::Special),
            categories: categories.into_iter().map(category).collect(),
            fields: fields
                .iter()
                .map(|(&(kind, bit), &persons)| BreachField {
                    field: kind.names(1 << bit)[0],
                    label: kind.labels(1 << bit)[0],
                    staff: kind == Fields::Leerkracht,
                    category: kind.field(bit).and_then(|field| field.category).map(category),
                    persons,
                    known: kind.field(bit),
                })
                .collect(),
            agreements_gone: gone.map(hex::encode).collect(),
            agreements,
            schools,
        }
    }
}

impl Tally {
    fn add(&mut self, got: &Got<'_>) {
        let person = got.person();
        self.persons.entry(person).or_insert_with(|| (got.fields(), 0)).1 |= got.released();
        let (first_ms, last_ms) = got.when();
        let (first, last) = self.schools.entry(person.0).or_insert((first_ms, last_ms));
        *first = first_ms.min(*first);
        *last = last_ms.max(*last);
        match got {
            Got::Row(leaf, _) => {
                self.spans.insert(leaf.span_id);
                self.agreements.insert(first_bytes(&leaf.agreement));
            }
            Got::Summary(_, row) => {
                self.agreements.insert(row.agreement);
                self.summarised = true;
            }
        }
    }
}

/// As much of an agreement's hash as a summary has.
fn first_bytes(hash: &[u8; 32]) -> [u8; 7] {
    *hash.first_chunk().expect("SHA-256 gives 32 bytes")
}
