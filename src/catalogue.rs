//! The field catalogue: every element and attribute the standards know, and what may be done with it.
//!
//! The catalogue is data (`schemas/catalogue.toml`), compiled into the binary. This module reads it once and offers
//! two views: *fields* by id, for agreements and reports, and a *tree* of places, for decoders and encoders. What
//! is not in the tree does not exist for Sluis: a decoder cannot name it, so no later stage can let it through.

mod file;
mod form;
mod tree;

use std::sync::LazyLock;

pub use form::{Form, Pattern};
pub use tree::{Attribute, Namespace, Node, NodeId, Role, SOAP_NAMESPACE, Tree};

use crate::pseudonym::KeyKind;

/// A field of the catalogue, by its place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(pub(crate) u16);

/// A kind of record: pupil, teacher, group, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId(pub(crate) u8);

/// A message of a standard that carries records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FeedId(pub(crate) u8);

impl FieldId {
    /// Index into tables with one entry per field of the catalogue.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl RecordId {
    /// Index into tables with one entry per record kind.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl FeedId {
    /// Index into tables with one entry per feed.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The bit of a row's masks that stands for parts the catalogue does not know.
pub const UNKNOWN_BIT: u8 = 63;

/// What an agreement may ask to be done with a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Treatment {
    /// The first letter of a name, with a full stop.
    Initial,
    /// A date cut to its month: the day becomes 01.
    Month,
    /// The value as it is.
    Pass,
    /// The four digits of a Dutch postcode.
    Pc4,
    /// A keyed pseudonym.
    Pseudonym,
    /// A date cut to its year: month and day become 01-01.
    Year,
}

impl Treatment {
    /// All treatments, as agreements write them.
    pub const ALL: [Self; 6] =
        [Self::Initial, Self::Month, Self::Pass, Self::Pc4, Self::Pseudonym, Self::Year];

    /// The word an agreement uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Month => "month",
            Self::Pass => "pass",
            Self::Pc4 => "pc4",
            Self::Pseudonym => "pseudonym",
            Self::Year => "year",
        }
    }

    /// The treatment an agreement's word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|treatment| treatment.as_str() == word)
    }
}

/// How much a field says about a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    /// School, school year, version: what the request already named. Needs no line in an agreement.
    Addressing,
    /// Points at one person.
    Identifier,
    /// Personal data without a heightened regime.
    Ordinary,
    /// A credential; never part of a feed.
    Secret,
    /// Special category of personal data, or treated as one.
    Special,
}

/// What a value is, for whoever has to check or replace it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A value from a code list.
    Code,
    /// `xs:date`.
    Date,
    /// `xs:dateTime`.
    Datetime,
    /// The ECK iD of a person; a pseudonym of Sluis takes its place.
    Eckid,
    /// The LAS's key of something, or a reference to one; a token takes its place.
    Key,
    /// A number.
    Number,
    /// Content a supplier defines; never carried.
    Opaque,
    /// A person's number in a government register.
    Pgn,
    /// A postcode.
    Postcode,
    /// Free text.
    Text,
    /// An address on the web.
    Url,
}

/// When the standard insists on a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Required {
    /// In each record.
    Always,
    /// Not at all.
    No,
    /// When one of these is present.
    With(Vec<FieldId>),
    /// When none of these is present.
    Without(Vec<FieldId>),
}

/// Whose data a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Person {
    /// A teacher or other member of staff.
    Leerkracht,
    /// A pupil.
    Leerling,
}

/// A data category of the privacybijsluiter.
#[derive(Debug, Clone)]
pub struct Category {
    /// Number in the model privacybijsluiter.
    pub code: u8,
    /// Id, as agreements and reports use it.
    pub id: String,
    /// Dutch name, for people.
    pub name: String,
}

/// One field.
#[derive(Debug)]
pub struct Field {
    /// Its own id.
    pub id: FieldId,
    /// Record and name, as agreements write it: `leerling.roepnaam`.
    pub name: String,
    /// Dutch label, for people.
    pub label: String,
    /// The record it belongs to.
    pub record: RecordId,
    /// Index into [`Catalogue::categories`]; protocol fields have none.
    pub category: Option<usize>,
    /// How much it says about a person.
    pub sensitivity: Sensitivity,
    /// What the value is.
    pub kind: Kind,
    /// What well-formed values look like.
    pub form: Form,
    /// Its bit in a row's masks, for records about persons.
    pub bit: Option<u8>,
    /// What an agreement may ask for; empty: never released.
    pub treatments: Vec<Treatment>,
    /// Whether the standard insists on it.
    pub required: Required,
    /// What stands in when the standard insists and nothing may be released.
    pub constant: Option<String>,
    /// At most one field of the same choice stands in a record.
    pub choice: Option<u8>,
    /// UWLR version that introduced it, where that is known.
    pub since: Option<String>,
    /// Where it stands, as the file writes it.
    pub paths: Vec<String>,
}

impl Field {
    /// The bit in a row's masks as a mask; zero for fields that are not about a person.
    pub fn mask(&self) -> u64 {
        self.bit.map_or(0, |bit| 1 << bit)
    }
}

/// One kind of record.
#[derive(Debug)]
pub struct RecordKind {
    /// Id, the first part of its fields' names.
    pub name: String,
    /// Whose data it holds, if a person's.
    pub person: Option<Person>,
    /// Its fields, in the standard's order.
    pub fields: Vec<FieldId>,
    /// Those of them that the standard insists on, always or sometimes.
    pub required: Vec<FieldId>,
    /// The field that holds its own key, where it has one.
    pub key: Option<FieldId>,
    /// The field that holds its ECK iD, where it has one.
    pub eckid: Option<FieldId>,
}

/// One message that carries records.
#[derive(Debug)]
pub struct Feed {
    /// Id: `leerlinggegevens`, `edexml`, …
    pub name: String,
    /// The standard and its versions, for people.
    pub standard: String,
    /// Sections in the standard's order.
    pub sections: Vec<Section>,
    /// Element in the SOAP body, where the feed travels in one.
    pub message: Option<NodeId>,
    /// The element that holds the sections.
    pub root: NodeId,
}

/// A part of a feed that holds records of certain kinds.
#[derive(Debug)]
pub struct Section {
    /// Element around the records; none for a record that stands alone.
    pub wrapper: Option<NodeId>,
    /// The kinds it holds, with the node each stands at.
    pub records: Vec<(RecordId, NodeId)>,
    /// Whether the standard insists on at least one record.
    pub required: bool,
}

/// All of it.
#[derive(Debug)]
pub struct Catalogue {
    version: u32,
    categories: Vec<Category>,
    fields: Vec<Field>,
    by_name: std::collections::BTreeMap<String, FieldId>,
    records: Vec<RecordKind>,
    feeds: Vec<Feed>,
    tree: Tree,
}

/// The catalogue this binary was built with.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
        file::load(include_str!("../schemas/catalogue.toml"))
            .unwrap_or_else(|fault| panic!("the catalogue built into this binary does not load: {fault}"))
    });
    &CATALOGUE
}

impl Catalogue {
    /// Version of the catalogue, as log records hold it.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Data categories in the order of the privacybijsluiter.
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// All fields, in file order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// One field.
    pub fn field(&self, id: FieldId) -> &Field {
        &self.fields[id.index()]
    }

    /// The field of this name, or of another accepted spelling of it.
    pub fn find(&self, name: &str) -> Option<&Field> {
        self.by_name.get(name).map(|&id| self.field(id))
    }

    /// The known name nearest to a wrong one, for error messages.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        self.by_name
            .keys()
            .map(|known| (edit_distance(known, name), known.as_str()))
            .min()
            .filter(|(distance, known)| *distance <= known.len() / 2)
            .map(|(_, known)| known)
    }

    /// All record kinds.
    pub fn records(&self) -> &[RecordKind] {
        &self.records
    }

    /// One record kind.
    pub fn record(&self, id: RecordId) -> &RecordKind {
        &self.records[id.index()]
    }

    /// The record kind of this name. Panics for a name the catalogue does not hold: callers name constants.
    pub fn record_named(&self, name: &str) -> RecordId {
        let index = self.records.iter().position(|record| record.name == name);
        RecordId(u8::try_from(index.expect("the catalogue holds this record")).expect("few records"))
    }

    /// The field of this name. Panics for a name the catalogue does not hold: callers name constants.
    pub fn field_named(&self, name: &str) -> FieldId {
        self.find(name).expect("the catalogue holds this field").id
    }

    /// The feed of this name. Panics for a name the catalogue does not hold: callers name constants.
    pub fn feed_named(&self, name: &str) -> FeedId {
        let index = self.feeds.iter().position(|feed| feed.name == name);
        FeedId(u8::try_from(index.expect("the catalogue holds this feed")).expect("few feeds"))
    }

    /// The place below `parent` whose text is this field.
    pub fn place_of(&self, parent: NodeId, field: FieldId) -> Option<NodeId> {
        let children = &self.tree.node(parent).children;
        children.iter().copied().find(|&child| self.tree.node(child).text == Some(field))
    }

    /// The child of this name, in whatever namespace.
    pub fn child_named(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        let children = &self.tree.node(parent).children;
        children.iter().copied().find(|&child| *self.tree.node(child).name == *name)
    }

    /// The first place where records of a kind stand.
    pub fn place_of_record(&self, kind: RecordId) -> Option<NodeId> {
        let at = self.tree.nodes().iter().position(|node| node.role == Role::Record(kind))?;
        u16::try_from(at).ok().map(NodeId)
    }

    /// One feed.
    pub fn feed(&self, id: FeedId) -> &Feed {
        &self.feeds[id.index()]
    }

    /// All feeds.
    pub fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// Where everything stands.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What a key field's value points at, by the node it stands at.
    pub fn key_kind(&self, node: NodeId, attribute: usize) -> Option<KeyKind> {
        self.tree.node(node).attributes.get(attribute).and_then(|attribute| attribute.key_of)
    }
}

/// Levenshtein's distance; names are short, so the plain table does.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}
