//! What an agreement says beside what may leave: who is who, what the recipient keeps, where, and on what grounds. It
//! decides nothing about a field by itself, but what it says has to fit what is released; and it is what the reports to
//! parents and supervisors are made of.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::{
    catalogue::{Category, catalogue},
    strict::{Table, word},
};

/// Grounds for special categories of personal data: AVG art. 9(2), and what the UAVG adds for schools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpecialGround {
    /// Social security and labour law: art. 9(2)(b).
    ArbeidsrechtEnSocialeZekerheid,
    /// Care and treatment: art. 9(2)(h).
    Gezondheidszorg,
    /// Made public by the person: art. 9(2)(e).
    KennelijkOpenbaar,
    /// Legal claims: art. 9(2)(f).
    Rechtsvordering,
    /// Special guidance of pupils or provisions for their health: UAVG art. 30(2)(a).
    SpecialeBegeleiding,
    /// Explicit consent: art. 9(2)(a).
    UitdrukkelijkeToestemming,
    /// Vital interest: art. 9(2)(c).
    VitaalBelang,
    /// Public health: art. 9(2)(i).
    Volksgezondheid,
    /// Substantial public interest, by law: art. 9(2)(g).
    ZwaarwegendAlgemeenBelang,
}

/// From when a recipient's term counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum After {
    /// The end of the agreement.
    EindeOvereenkomst,
    /// The end of the school year.
    EindeSchooljaar,
    /// The day the pupil leaves the school.
    Uitschrijving,
    /// The disclosure.
    Verstrekking,
}

/// What makes up for data leaving the EEA: AVG art. 45–47.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SafeguardKind {
    /// An adequacy decision.
    Adequaatheidsbesluit,
    /// Binding corporate rules.
    BindendeBedrijfsvoorschriften,
    /// Standard contractual clauses.
    Standaardbepalingen,
}

/// A safeguard for data outside the EEA.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Safeguard {
    /// Of what kind.
    #[serde(deserialize_with = "word")]
    pub kind: SafeguardKind,
    /// Which one, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What a recipient keeps, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Keeps {
    /// What, in words.
    pub what: String,
    /// So many months,
    pub months: u16,
    /// after this.
    #[serde(deserialize_with = "word")]
    pub after: After,
}

/// Someone the recipient has do a part of the work.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SubProcessor {
    /// Name.
    pub name: String,
    /// What it does, in words.
    pub does: String,
    /// Countries in which the data are, by ISO 3166 code.
    pub location: Vec<String>,
}

/// School and recipient, each in their own words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Both {
    /// The school or its board.
    pub school: String,
    /// The recipient.
    pub recipient: String,
}

/// What an agreement says beside what may leave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// The parties by their full names.
    pub parties: Option<Both>,
    /// Where each can be reached about privacy.
    pub contact: Option<Both>,
    /// Where the recipient can be reached about a breach.
    pub breach_contact: Option<String>,
    /// Data categories that the agreement covers, by id; none: it names none.
    pub categories: Option<Vec<String>>,
    /// Ground for special categories.
    pub special: Option<SpecialGround>,
    /// The legitimate interest, where that is the basis.
    pub interest: Option<String>,
    /// What the recipient keeps.
    pub keeps: Vec<Keeps>,
    /// Who works for the recipient.
    pub sub_processors: Vec<SubProcessor>,
    /// Countries in which the recipient keeps the data, by ISO 3166 code.
    pub location: Vec<String>,
    /// What makes up for countries outside the EEA.
    pub safeguard: Option<Safeguard>,
    /// SHA-256 of the signed annex, in hexadecimal.
    pub annex_sha256: Option<String>,
    /// Who drew it up. With an author, somebody else has to approve of it.
    pub author: Option<String>,
}

/// The part of an agreement file that [`Terms`] are read from.
pub(super) struct FileTerms {
    pub(super) parties: Option<Spanned<Table<Both>>>,
    pub(super) contact: Option<Spanned<Table<Both>>>,
    pub(super) breach_contact: Option<Spanned<String>>,
    pub(super) categories: Option<Spanned<Vec<String>>>,
    pub(super) special: Option<Table<FileSpecial>>,
    pub(super) interest: Option<Spanned<String>>,
    pub(super) keeps: Option<Spanned<Vec<Table<Keeps>>>>,
    pub(super) sub_processors: Option<Spanned<Vec<Table<SubProcessor>>>>,
    pub(super) location: Option<Spanned<Vec<String>>>,
    pub(super) safeguard: Option<Spanned<Table<Safeguard>>>,
    pub(super) annex_sha256: Option<Spanned<String>>,
    pub(super) author: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSpecial {
    #[serde(deserialize_with = "word")]
    pub(super) ground: SpecialGround,
}

/// The European Economic Area: the member states of the EU, Iceland, Liechtenstein and Norway.
const EEA: [&str; 30] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT",
    "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];
/// Characters of a text for people.
const TEXT: usize = 500;

/// Whether a country is in the European Economic Area.
pub fn is_eea(country: &str) -> bool {
    EEA.contains(&country)
}

impl Terms {
    /// What it says nothing about, by the keys of the file.
    pub fn missing(&self) -> Vec<&'static str> {
        [
            ("parties", self.parties.is_none()),
            ("contact", self.contact.is_none()),
            ("breach_contact", self.breach_contact.is_none()),
            ("categories", self.categories.is_none()),
            ("keeps", self.keeps.is_empty()),
            ("location", self.location.is_empty()),
            ("annex_sha256", self.annex_sha256.is_none()),
            ("author", self.author.is_none()),
        ]
        .into_iter()
        .filter_map(|(key, missing)| missing.then_some(key))
        .collect()
    }

    /// The categories it names, as the catalogue knows them.
    pub fn known_categories(&self) -> impl Iterator<Item = &'static Category> {
        let named = self.categories.iter().flatten();
        named.filter_map(|id| catalogue().categories().iter().find(|category| category.id == *id))
    }
}

impl FileTerms {
    /// Checks what can be told from the terms alone. `wrong` takes a place, what is wrong there, and the mend.
    pub(super) fn check(self, wrong: &mut dyn FnMut(Range<usize>, String, String)) -> Terms {
        // A template has angle brackets where something is to be filled in.
        let text = |given: &str| {
            let length = given.chars().count();
            !given.trim().is_empty()
                && length <= TEXT
                && !given.contains(|c: char| c.is_control() || c == '<')
        };
        let mut line = |given: Option<Spanned<String>>, key: &str| {
            let given = given?;
            if !text(given.get_ref()) {
                wrong(
                    given.span(),
                    format!("{key} is still to be filled in, or no text of one line"),
                    "fill it in".into(),
                );
            }
            Some(given.into_inner())
        };
        let breach_contact = line(self.breach_contact, "breach_contact");
        let interest = line(self.interest, "interest");
        let author = line(self.author, "author");
        let mut both = |given: Option<Spanned<Table<Both>>>, key: &str| {
            let given = given?;
            let Both { school, recipient } = &given.get_ref().0;
            if !text(school) || !text(recipient) {
                let mend =
                    format!("write {key} = {{ school = \"…\", recipient = \"…\" }}, each a text of one line");
                wrong(given.span(), format!("{key} is still to be filled in"), mend);
            }
            Some(given.into_inner().0)
        };
        let (parties, contact) = (both(self.parties, "parties"), both(self.contact, "contact"));
        let annex_sha256 = self.annex_sha256.map(|given| {
            let digits = given.get_ref();
            if digits.len() != 64 || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
                let mend = "give the 64 lower-case digits that sha256sum prints".to_owned();
                wrong(given.span(), "annex_sha256 is no SHA-256".into(), mend);
            }
            given.into_inner()
        });
        let categories = self.categories.map(|given| {
            let known = catalogue().categories();
            for id in given.get_ref() {
                if !known.iter().any(|category| category.id == *id) {
                    let ids: Vec<_> = known.iter().map(|category| category.id.as_str()).collect();
                    wrong(
                        given.span(),
                        format!("there is no category {id}"),
                        format!("choose from {}", ids.join(", ")),
                    );
                }
            }
            given.into_inner()
        });
        let keeps = self.keeps.map_or_else(Vec::new, |given| {
            if given.get_ref().iter().any(|keeps| !text(&keeps.what)) {
                wrong(
                    given.span(),
                    "what is kept is still to be filled in".into(),
                    "say it in `what`".into(),
                );
            }
            given.into_inner().into_iter().map(|keeps| keeps.0).collect()
        });
        let mut outside = None;
        let mut countries = |places: &[String], span: Range<usize>| {
            for place in places {
                if place.len() != 2 || !place.bytes().all(|byte| byte.is_ascii_uppercase()) {
                    let mend = "write countries by the two capitals of ISO 3166, such as \"NL\"".to_owned();
                    wrong(span.clone(), "a location is no country code".into(), mend);
                } else if !is_eea(place) {
                    outside.get_or_insert((span.clone(), place.clone()));
                }
            }
        };
        let location = self.location.map_or_else(Vec::new, |given| {
            countries(given.get_ref(), given.span());
            given.into_inner()
        });
        let mut nameless = None;
        let sub_processors = self.sub_processors.map_or_else(Vec::new, |given| {
            for sub in given.get_ref() {
                countries(&sub.location, given.span());
                if !text(&sub.name) || !text(&sub.does) || sub.location.is_empty() {
                    nameless = Some(given.span());
                }
            }
            given.into_inner().into_iter().map(|sub| sub.0).collect()
        });
        if let Some(span) = nameless {
            let mend = "say of each its name, what it does and its location".to_owned();
            wrong(span, "a sub-processor is not complete".into(), mend);
        }
        let safeguard = self.safeguard.map(|given| {
            if given.get_ref().text.as_deref().is_some_and(|which| !text(which)) {
                let mend = "say which one it is in `text`, or remove `text`".to_owned();
                wrong(
                    given.span(),
                    "the safeguard is still to be filled in, or no text of one line".into(),
                    mend,
                );
            }
            given.into_inner().0
        });
        if let Some((span, place)) = outside.filter(|_| safeguard.is_none()) {
            let what = format!("{place} is outside the EEA, and no safeguard is stated");
            let mend = "add safeguard = { kind = \"adequaatheidsbesluit\" } or another that holds, or have the data kept in the EEA";
            wrong(span, what, mend.into());
        }
        Terms {
            parties,
            contact,
            breach_contact,
            categories,
            special: self.special.map(|special| special.0.ground),
            interest,
            keeps,
            sub_processors,
            location,
            safeguard,
            annex_sha256,
            author,
        }
    }
}
