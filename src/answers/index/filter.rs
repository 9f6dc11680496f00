//! Which deliveries are asked for.

use std::{
    collections::{BTreeSet, HashSet},
    ops::RangeInclusive,
};

use jiff::civil::Date;

use super::{Ending, entry::Raw};
use crate::{answers::Fields, catalogue::catalogue, disclosure::Leaf, policy::rules::Rule};

/// Which deliveries are asked for: those that are all that is said here. The default is all there are.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of these schools, by BRIN; none: of all. A reviewer of some schools must never get another here.
    pub schools: Option<BTreeSet<[u8; 4]>>,
    /// Begun to be recorded on these days.
    pub days: Option<RangeInclusive<Date>>,
    /// To this recipient, or from it; see [`Leaf::recipient_code`].
    pub recipient: Option<[u8; 12]>,
    /// With this field.
    pub field: Option<FieldFilter>,
    /// That ended so.
    pub ended: Option<Ending>,
    /// Under one of these agreements: those that rest on a legal basis, as the caller knows them.
    pub agreements: Option<Agreements>,
    /// Results from suppliers, or what went to them.
    pub inbound: Option<bool>,
    /// That break this rule.
    pub breaks: Option<Rule>,
}

/// Some agreements: by file, or in all versions.
#[derive(Debug, Clone, Default)]
pub struct Agreements {
    /// By the first bytes of the SHA-256 of their files: versions, each by itself.
    pub files: HashSet<[u8; 8]>,
    /// By the code of their ids ([`Leaf::activity_code`]): all versions.
    pub activities: HashSet<[u8; 16]>,
}

impl Agreements {
    /// Adds one version, by the hash of its file.
    pub fn add_file(&mut self, hash: &[u8; 32]) {
        self.files.insert(*hash.first_chunk().expect("SHA-256 gives 32 bytes"));
    }

    /// Adds all versions of one, by its id.
    pub fn add_id(&mut self, id: &str) {
        self.activities.insert(Leaf::activity_code(id));
    }
}

/// A field that left, or was present and stayed, of at least one person in the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldFilter {
    fields: Fields,
    mask: u64,
    how: How,
}

/// What became of a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum How {
    /// It left or stayed.
    #[default]
    Either,
    /// It left.
    Released,
    /// It was present and stayed.
    Withheld,
}

impl FieldFilter {
    /// A field by its name in the catalogue, as in `leerling.roepnaam`; none when it is not one of a person.
    pub fn named(name: &str, how: How) -> Option<Self> {
        let field = catalogue().fields().iter().find(|field| field.name == name)?;
        let fields = [
            ("leerkracht", Fields::Leerkracht),
            ("leerling", Fields::Leerling),
            ("toetsafname", Fields::Results),
        ]
        .into_iter()
        .find(|(record, _)| catalogue().record_named(record) == field.record)?
        .1;
        (field.mask() != 0).then_some(Self { fields, mask: field.mask(), how })
    }

    fn takes(&self, entry: Raw<'_>) -> bool {
        let persons = entry.persons(self.fields);
        let mask = match self.how {
            How::Either => persons.released | persons.withheld,
            How::Released => persons.released,
            How::Withheld => persons.withheld,
        };
        mask & self.mask != 0
    }
}

impl Filter {
    /// All there is of one school.
    pub fn of_school(brin: [u8; 4]) -> Self {
        Self { schools: Some(BTreeSet::from([brin])), ..Self::default() }
    }

    /// All but the days, which say where to look.
    pub(super) fn takes(&self, entry: Raw<'_>) -> bool {
        self.ended.is_none_or(|ended| ended as u8 == entry.ended())
            && self.inbound.is_none_or(|inbound| inbound == entry.inbound())
            && self.recipient.is_none_or(|recipient| recipient == entry.recipient())
            && self.breaks.is_none_or(|rule| entry.breaks(rule))
            && self.schools.as_ref().is_none_or(|schools| schools.contains(&entry.brin()))
            && self.field.is_none_or(|field| field.takes(entry))
            && self.agreements.as_ref().is_none_or(|agreements| {
                agreements.files.contains(&entry.agreement())
                    || agreements.activities.contains(&entry.activity())
            })
    }
}
