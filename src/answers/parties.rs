//! From codes, hashes and masks in the log to names.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Serialize;

use super::Answers;
use crate::{
    catalogue::{Field, UNKNOWN_BIT, catalogue},
    config::Config,
    disclosure::{Leaf, OutcomeStatus, Subject, rollup::About},
    policy::agreement::Agreement,
};

/// A school.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SchoolName {
    /// BRIN.
    pub brin: String,
    /// Its name, where the configuration has it.
    pub name: Option<String>,
}

/// A recipient, as far as the configuration knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Party {
    /// Id.
    pub id: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Its code in the log, in hexadecimal.
    pub code: String,
}

impl Party {
    /// The one of a code.
    pub fn of(config: &Config, code: &[u8; 12]) -> Self {
        let known = config.recipients.iter().find(|known| Leaf::recipient_code(&known.id) == *code);
        Self {
            id: known.map(|known| known.id.clone()),
            name: known.map(|known| known.name.clone()),
            code: hex::encode(code),
        }
    }

    /// The best there is to call it by.
    pub fn shown(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.code)
    }
}

/// The agreement something left under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Under {
    /// Its id, where its file or a later version of it is there.
    pub id: Option<String>,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its file, in hexadecimal; its first digits, where no more is known of a file that is gone.
    pub sha256: String,
    /// Whether the file with this hash is there.
    pub on_file: bool,
}

impl Under {
    /// Whether nothing had been agreed on: such a delivery is refused.
    pub fn is_none(&self) -> bool {
        self.sha256.bytes().all(|digit| digit == b'0')
    }

    /// The one that leaves hold. A file that was changed since still tells its id: leaves hold that of the activity too.
    ///
    /// `hash`: that of the file, or as much of its beginning as is known.
    pub fn of(config: &Config, hash: &[u8], activity: &[u8; 16], version: u32) -> Self {
        let all = config.agreements.all();
        let exact = all.iter().find(|agreement| agreement.hash.starts_with(hash));
        let same = || all.iter().find(|agreement| Leaf::activity_code(&agreement.id) == *activity);
        Self {
            id: exact.or_else(same).map(|agreement| agreement.id.clone()),
            version: exact.map_or(version, |agreement| agreement.version),
            sha256: exact.map_or_else(|| hex::encode(hash), |agreement| hex::encode(agreement.hash)),
            on_file: exact.is_some(),
        }
    }

    /// Its file, or the newest of the same id.
    pub fn file<'c>(&self, config: &'c Config) -> Option<&'c Agreement> {
        let all = config.agreements.all();
        let exact = all.iter().find(|agreement| hex::encode(agreement.hash) == self.sha256);
        let same = || {
            let same = all.iter().filter(|agreement| Some(&agreement.id) == self.id.as_ref());
            same.max_by_key(|agreement| agreement.version)
        };
        exact.or_else(same).map(AsRef::as_ref)
    }
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// Broken off; what was sent before stays disclosed.
    Failed,
    /// Handed over whole.
    Sent,
    /// Nobody knows; counts as disclosed.
    Unknown,
}

impl Ended {
    /// The word for it in exports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Sent => "sent",
            Self::Unknown => "unknown",
        }
    }
}

impl From<Option<OutcomeStatus>> for Ended {
    fn from(status: Option<OutcomeStatus>) -> Self {
        match status {
            Some(OutcomeStatus::Failed) => Self::Failed,
            Some(OutcomeStatus::Sent) => Self::Sent,
            Some(OutcomeStatus::Unknown) | None => Self::Unknown,
        }
    }
}

/// The names behind the bits of a mask: those of pupils, of teachers, or of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fields {
    /// `leerkracht`.
    Leerkracht,
    /// `leerling`.
    Leerling,
    /// `toetsafname`.
    Results,
}

type Bits = [Option<&'static Field>; 64];

impl Fields {
    /// Those that the rows of a leaf are about.
    pub fn of(leaf: &Leaf, subject: Subject) -> Self {
        match subject {
            _ if leaf.flags & Leaf::INBOUND != 0 => Self::Results,
            Subject::Leerkracht => Self::Leerkracht,
            Subject::Leerling => Self::Leerling,
        }
    }

    /// Those that a summary is about.
    pub(super) fn about(about: About) -> Self {
        match about {
            About::Leerkracht => Self::Leerkracht,
            About::Leerling => Self::Leerling,
            About::Results => Self::Results,
        }
    }

    fn bits(self) -> &'static Bits {
        static BITS: LazyLock<BTreeMap<Fields, Bits>> = LazyLock::new(|| {
            let of = |record: &str| {
                let mut bits: Bits = [None; 64];
                for &field in &catalogue().record(catalogue().record_named(record)).fields {
                    let field = catalogue().field(field);
                    if let Some(bit) = field.bit {
                        bits[usize::from(bit)].get_or_insert(field);
                    }
                }
                bits
            };
            BTreeMap::from([
                (Fields::Leerkracht, of("leerkracht")),
                (Fields::Leerling, of("leerling")),
                (Fields::Results, of("toetsafname")),
            ])
        });
        &BITS[&self]
    }

    /// The field a bit stands for.
    pub fn field(self, bit: u32) -> Option<&'static Field> {
        self.bits()[bit as usize]
    }

    /// The fields of a mask, by their bits.
    pub fn fields(self, mask: u64) -> impl Iterator<Item = &'static Field> {
        bits_of(mask).filter_map(move |bit| self.field(bit))
    }

    /// The names of a mask; what the catalogue does not know is called `onbekend`.
    pub fn names(self, mask: u64) -> Vec<&'static str> {
        bits_of(mask).map(|bit| self.field(bit).map_or("onbekend", |field| field.name.as_str())).collect()
    }

    /// What people call the fields of a mask.
    pub fn labels(self, mask: u64) -> Vec<&'static str> {
        let unknown = |bit| if bit == u32::from(UNKNOWN_BIT) { "onbekende onderdelen" } else { "onbekend" };
        bits_of(mask)
            .map(|bit| self.field(bit).map_or_else(|| unknown(bit), |field| field.label.as_str()))
            .collect()
    }
}

/// The bits of a mask, lowest first.
pub(super) fn bits_of(mut mask: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros())?;
        mask &= mask - 1;
        Some(bit)
    })
}

impl Answers<'_> {
    /// A school by its BRIN.
    pub(super) fn school(&self, brin: &str) -> SchoolName {
        let name = self.config.school(brin).map(|school| school.name.clone());
        SchoolName { brin: brin.to_owned(), name }
    }

    /// A recipient by its code.
    pub fn party(&self, code: &[u8; 12]) -> Party {
        Party::of(self.config, code)
    }

    /// The agreement of a leaf.
    pub fn under(&self, leaf: &Leaf) -> Under {
        Under::of(self.config, &leaf.agreement, &leaf.activity, leaf.activity_version)
    }

    /// The agreement file that something left under, or the newest of the same id.
    pub fn agreement(&self, under: &Under) -> Option<&Agreement> {
        under.file(self.config)
    }

    /// The agreement of a summary, which holds no more than the first bytes of its hash, in hexadecimal.
    pub fn agreement_summarised(&self, first: &str) -> Option<&Agreement> {
        let mut all = self.config.agreements.all().iter();
        all.find(|agreement| hex::encode(agreement.hash).starts_with(first)).map(AsRef::as_ref)
    }
}
