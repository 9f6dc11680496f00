//! What a school agreed with whom, as data: the overview of suppliers that schools publish, and the part of the register
//! of processing (AVG art. 30) that passes through Sluis.
//!
//! All of it follows from agreements and configuration. Deliberately absent: the log, so that the overview is there while
//! deliveries go on; and anything an agreement does not say, which stays empty here.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::Serialize;

use crate::{
    catalogue::{Category, Field, Kind, Person, Sensitivity, Treatment, catalogue},
    config::{Config, School, SchoolTerm},
    disclosure::Retention,
    policy::{
        Ruling, Rulings,
        agreement::{Agreement, Basis, Keeps, Safeguard, SubProcessor, Terms, is_eea},
        purpose,
    },
    pseudonym::PseudonymDomain,
    standing::{Approval, Error, Ledger},
};

/// What a school agreed, as it stands on a day.
#[derive(Debug, Serialize)]
pub struct Register<'c> {
    /// BRIN of the school.
    pub brin: &'c str,
    /// Its name.
    pub school: &'c str,
    /// The controller by its full names, as agreements have them.
    pub controllers: BTreeSet<&'c str>,
    /// Where the controller can be reached about privacy, as agreements have it: the FG.
    pub contacts: BTreeSet<&'c str>,
    /// The day.
    pub day: Date,
    /// How long the log itself keeps what it holds of persons.
    pub log: LogTerms,
    /// Objections and consents, in days after they were entered, once nothing else is known of the person.
    pub rights_days: u16,
    /// What feeds began to hold, in days.
    pub drift_days: u16,
    /// What is for the school itself to let go of.
    pub school_terms: &'c [SchoolTerm],
    /// Those in force, then those that wait for approval or their first day, then those that ended.
    pub agreements: Vec<Entry<'c>>,
}

/// How long the log keeps what it holds of persons, in days.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LogTerms {
    /// Each disclosure, after its month.
    pub detail_days: u16,
    /// A summary per month, after the person was last in a delivery.
    pub rollup_days: u16,
    /// Records without personal data; none: they stay.
    pub leaf_days: Option<u16>,
}

/// One agreement.
#[derive(Debug, Serialize)]
pub struct Entry<'c> {
    /// Its id.
    pub agreement: &'c str,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// The document it was compiled from.
    pub annex: &'c str,
    /// Whether it is in force.
    pub validity: Validity,
    /// First day.
    pub from: Date,
    /// Last day.
    pub until: Date,
    /// Id of the recipient.
    pub recipient: &'c str,
    /// Its name.
    pub recipient_name: &'c str,
    /// The product.
    pub product: &'c str,
    /// Purpose, by its id.
    pub purpose: &'c str,
    /// What that is called.
    pub purpose_name: &'c str,
    /// Legal basis.
    pub basis: Basis,
    /// Whose data may leave.
    pub persons: BTreeSet<Persons>,
    /// Categories of what may leave.
    pub categories: Vec<CategoryName>,
    /// Categories the agreement names of which nothing leaves.
    pub unused_categories: Vec<CategoryName>,
    /// What may leave.
    pub fields: Vec<FieldTerms>,
    /// How persons are known to the recipient.
    pub known_by: KnownBy,
    /// Countries outside the EEA, of the recipient and of who works for it.
    pub third_countries: BTreeSet<&'c str>,
    /// What else it says, in its own words.
    pub terms: &'c Terms,
    /// What it says nothing about, by the keys of its file.
    pub missing: Vec<&'static str>,
}

/// What of an agreement is for everybody: neither who drew it up, nor what is for emergencies.
#[derive(Debug, Serialize)]
pub struct Published<'r> {
    recipient: &'r str,
    recipient_name: &'r str,
    /// The recipient by its full name.
    party: Option<&'r str>,
    product: &'r str,
    purpose: &'r str,
    purpose_name: &'r str,
    basis: Basis,
    interest: Option<&'r str>,
    persons: &'r BTreeSet<Persons>,
    categories: &'r [CategoryName],
    known_by: KnownBy,
    location: &'r [String],
    third_countries: &'r BTreeSet<&'r str>,
    safeguard: Option<&'r Safeguard>,
    keeps: &'r [Keeps],
    sub_processors: &'r [SubProcessor],
    agreement: &'r str,
    version: u32,
    validity: Validity,
    from: Date,
    until: Date,
}

/// Whether an agreement is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// It is. Comes first.
    InForce,
    /// Somebody has to approve of it first: until then nothing leaves under it.
    Unapproved,
    /// Its first day is yet to come.
    Future,
    /// Its last day has passed.
    Ended,
}

/// Whose data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Persons {
    /// Pupils.
    Leerlingen,
    /// Teachers and other members of staff.
    Leerkrachten,
}

/// How persons are known to a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownBy {
    /// A pseudonym that members of a chain share.
    ChainPseudonym,
    /// The ECK iD that the pupil administration has.
    EckId,
    /// A pseudonym that no other recipient has.
    OwnPseudonym,
}

/// A data category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CategoryName {
    /// Number in the model privacybijsluiter.
    pub code: u8,
    /// Id.
    pub id: &'static str,
    /// Dutch name.
    pub name: &'static str,
    /// Whether all that leaves of it is a pseudonym or a token.
    pub coded: bool,
}

/// A field that may leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldTerms {
    /// Its name.
    pub field: &'static str,
    /// What people call it.
    pub label: &'static str,
    /// What is done with it first.
    pub treatment: &'static str,
}

impl LogTerms {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        let Retention { detail_days, rollup_days, leaf_days } = config.retention;
        Self { detail_days, rollup_days, leaf_days }
    }
}

impl<'c> Register<'c> {
    /// What a school agreed, as it stands on a day.
    ///
    /// # Errors
    ///
    /// As [`Entry::of`].
    pub fn of(config: &'c Config, ledger: &Ledger, school: &'c School, day: Date) -> Result<Self, Error> {
        let own = config.agreements.all().iter().filter(|agreement| agreement.school == school.brin);
        let entries = own.map(|agreement| Entry::of(config, ledger, agreement, day));
        let mut agreements = entries.collect::<Result<Vec<Entry<'c>>, _>>()?;
        agreements.sort_by_key(|entry| (entry.validity, entry.recipient_name, entry.product, entry.from));
        let said = |part: fn(&'c Terms) -> Option<&'c str>| {
            // Of an agreement that ended, names and addresses may no longer hold.
            let current = agreements.iter().filter(|entry| entry.validity != Validity::Ended);
            current.filter_map(|entry| part(entry.terms)).collect()
        };
        Ok(Self {
            brin: &school.brin,
            school: &school.name,
            controllers: said(|terms| terms.parties.as_ref().map(|both| both.school.as_str())),
            contacts: said(|terms| terms.contact.as_ref().map(|both| both.school.as_str())),
            day,
            log: LogTerms::of(config),
            rights_days: config.terms.rights_days,
            drift_days: config.terms.drift_days,
            school_terms: &config.terms.school,
            agreements,
        })
    }
}

impl<'c> Entry<'c> {
    /// An agreement, as it stands on a day.
    ///
    /// # Errors
    ///
    /// When it cannot be read whether it needs approval.
    pub fn of(
        config: &'c Config,
        ledger: &Ledger,
        agreement: &'c Agreement,
        day: Date,
    ) -> Result<Self, Error> {
        let unapproved = ledger.school(&agreement.school)?.load().approval(agreement) == Approval::Needed;
        let recipient = config.recipient(&agreement.recipient);
        let terms = &agreement.terms;
        let fields: Vec<&'static Field> = may_leave(agreement);
        let used: BTreeSet<usize> = fields.iter().filter_map(|field| field.category).collect();
        let category = |index: usize| {
            let mut own = fields.iter().filter(|field| field.category == Some(index));
            let coded = own.all(|field| treatment(field, agreement) == Treatment::Pseudonym);
            named(&catalogue().categories()[index], coded)
        };
        let unused = terms.known_categories().map(|category| named(category, false));
        let categories: Vec<CategoryName> = used.into_iter().map(category).collect();
        let places = terms.location.iter().chain(terms.sub_processors.iter().flat_map(|sub| &sub.location));
        Ok(Self {
            agreement: &agreement.id,
            version: agreement.version,
            sha256: hex::encode(agreement.hash),
            annex: &agreement.annex,
            validity: if day < agreement.from {
                Validity::Future
            } else if unapproved && day <= agreement.until {
                Validity::Unapproved
            } else if day <= agreement.until {
                Validity::InForce
            } else {
                Validity::Ended
            },
            from: agreement.from,
            until: agreement.until,
            recipient: &agreement.recipient,
            recipient_name: recipient
                .map_or(agreement.recipient.as_str(), |recipient| recipient.name.as_str()),
            product: &agreement.product,
            purpose: &agreement.purpose,
            purpose_name: purpose::find(&agreement.purpose).map_or("", |purpose| purpose.name.as_str()),
            basis: agreement.basis,
            persons: fields
                .iter()
                .filter_map(|field| catalogue().record(field.record).person)
                .map(of)
                .collect(),
            unused_categories: unused
                .filter(|unused| categories.iter().all(|used| used.code != unused.code))
                .collect(),
            categories,
            fields: fields.iter().map(|field| terms_of(field, agreement)).collect(),
            known_by: match agreement.domain {
                PseudonymDomain::Chain { .. } => KnownBy::ChainPseudonym,
                PseudonymDomain::PassEckId => KnownBy::EckId,
                PseudonymDomain::Recipient => KnownBy::OwnPseudonym,
            },
            third_countries: places.map(String::as_str).filter(|place| !is_eea(place)).collect(),
            terms,
            missing: terms.missing(),
        })
    }
}

impl Entry<'_> {
    /// What of it is for everybody.
    pub fn published(&self) -> Published<'_> {
        let terms = self.terms;
        Published {
            recipient: self.recipient,
            recipient_name: self.recipient_name,
            party: terms.parties.as_ref().map(|both| both.recipient.as_str()),
            product: self.product,
            purpose: self.purpose,
            purpose_name: self.purpose_name,
            basis: self.basis,
            interest: terms.interest.as_deref(),
            persons: &self.persons,
            categories: &self.categories,
            known_by: self.known_by,
            location: &terms.location,
            third_countries: &self.third_countries,
            safeguard: terms.safeguard.as_ref(),
            keeps: &terms.keeps,
            sub_processors: &terms.sub_processors,
            agreement: self.agreement,
            version: self.version,
            validity: self.validity,
            from: self.from,
            until: self.until,
        }
    }
}

/// The fields that say something about a person or a group, and may leave under an agreement: what the minimiser goes by.
fn may_leave(agreement: &Agreement) -> Vec<&'static Field> {
    let rulings = Rulings::compile(agreement);
    let leaves = |field: &&Field| {
        field.sensitivity != Sensitivity::Addressing
            && rulings.covers(field.record)
            && rulings.ruling(field.id) != Ruling::Withhold
    };
    catalogue().fields().iter().filter(leaves).collect()
}

fn terms_of(field: &'static Field, agreement: &Agreement) -> FieldTerms {
    FieldTerms { field: &field.name, label: &field.label, treatment: treatment(field, agreement).as_str() }
}

/// What is done with a field that may leave. What no line names is a key or an ECK iD.
fn treatment(field: &Field, agreement: &Agreement) -> Treatment {
    let asked = agreement.release.get(&field.name).map(|release| release.treatment);
    match (field.kind, asked) {
        (Kind::Eckid, _) if agreement.domain == PseudonymDomain::PassEckId => Treatment::Pass,
        (Kind::Eckid | Kind::Key, _) | (_, None) => Treatment::Pseudonym,
        (_, Some(asked)) => asked,
    }
}

fn named(category: &'static Category, coded: bool) -> CategoryName {
    CategoryName { code: category.code, id: &category.id, name: &category.name, coded }
}

fn of(person: Person) -> Persons {
    match person {
        Person::Leerkracht => Persons::Leerkrachten,
        Person::Leerling => Persons::Leerlingen,
    }
}
