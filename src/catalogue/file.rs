//! Reads `schemas/catalogue.toml` and builds the tree of places from it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::Deserialize;

use super::{
    Catalogue, Category, Feed, FeedId, Field, FieldId, Form, Kind, NodeId, Pattern, Person, RecordId,
    RecordKind, Required, Section, Sensitivity, Treatment, Tree, UNKNOWN_BIT,
    tree::{Attribute, Namespace, Role},
};
use crate::pseudonym::KeyKind;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    namespaces: BTreeMap<String, String>,
    category: Vec<FileCategory>,
    feed: Vec<FileFeed>,
    record: Vec<FileRecord>,
    field: Vec<FileField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCategory {
    code: u8,
    id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFeed {
    id: String,
    standard: String,
    message: Option<String>,
    root: Option<String>,
    record: Option<String>,
    namespace: String,
    #[serde(default)]
    sections: Vec<FileSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSection {
    path: String,
    records: Vec<String>,
    #[serde(default)]
    required: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRecord {
    id: String,
    element: String,
    #[serde(default)]
    namespace: Option<String>,
    person: Option<Person>,
    #[serde(default)]
    many: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<String>),
    One(String),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::Many(many) => many,
            Self::One(one) => vec![one],
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FileRequired {
    With { with: Vec<String> },
    Without { without: Vec<String> },
    Word(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileField {
    id: String,
    record: String,
    path: OneOrMany,
    #[serde(default)]
    also: Vec<String>,
    name: String,
    category: Option<String>,
    sensitivity: Sensitivity,
    kind: Kind,
    key_of: Option<OneOrMany>,
    max: Option<usize>,
    pattern: Option<String>,
    bit: Option<u8>,
    #[serde(default)]
    treatments: Vec<Treatment>,
    required: Option<FileRequired>,
    constant: Option<String>,
    choice: Option<String>,
    mixes_with: Option<String>,
    since: Option<String>,
}

/// Why the file does not make a catalogue. It is built in, so only a developer ever sees one.
#[derive(Debug)]
pub(super) struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault<T>(text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault(text.into()))
}

pub(super) fn load(text: &str) -> Result<Catalogue, Fault> {
    let file: File = toml::from_str(text).map_err(|error| Fault(error.to_string()))?;
    let categories: Vec<Category> = file
        .category
        .into_iter()
        .map(|FileCategory { code, id, name }| Category { code, id, name })
        .collect();

    let mut records: Vec<RecordKind> = Vec::new();
    for record in &file.record {
        let person = record.person;
        records.push(RecordKind {
            name: record.id.clone(),
            person,
            fields: Vec::new(),
            required: Vec::new(),
            key: None,
            eckid: None,
        });
    }
    let record_id = |name: &str| match file.record.iter().position(|record| record.id == name) {
        Some(index) => Ok(RecordId(u8::try_from(index).expect("few records"))),
        None => fault(format!("record {name} is not declared")),
    };

    let mut by_name = BTreeMap::new();
    for (index, field) in file.field.iter().enumerate() {
        let id = FieldId(u16::try_from(index).expect("few fields"));
        for name in std::iter::once(&field.id).chain(&field.also) {
            if by_name.insert(name.clone(), id).is_some() {
                return fault(format!("two fields are called {name}"));
            }
        }
    }
    let field_id = |name: &String| match by_name.get(name) {
        Some(&id) => Ok(id),
        None => fault(format!("field {name} is named but not declared")),
    };

    let mut fields = Vec::new();
    let mut placed: Vec<Placed> = Vec::new();
    let mut choices: HashMap<String, u8> = HashMap::new();
    let mut bits: HashMap<(RecordId, u8), String> = HashMap::new();
    for (index, entry) in file.field.into_iter().enumerate() {
        let id = FieldId(u16::try_from(index).expect("few fields"));
        let name = entry.id;
        let record = record_id(&entry.record)?;
        let pattern = match entry.pattern.as_deref() {
            None => None,
            Some(text) => match Pattern::parse(text) {
                Some(pattern) => Some(pattern),
                None => return fault(format!("{name}: pattern {text} is none")),
            },
        };
        let category = match &entry.category {
            None => None,
            Some(wanted) => match categories.iter().position(|category| category.id == *wanted) {
                Some(at) => Some(at),
                None => return fault(format!("{name}: category {wanted} is not declared")),
            },
        };
        if let Some(bit) = entry.bit {
            if bit >= UNKNOWN_BIT {
                return fault(format!("{name}: bit {bit} is out of range"));
            }
            if let Some(other) = bits.insert((record, bit), name.clone()) {
                return fault(format!("{name} and {other} share bit {bit}"));
            }
        } else if records[record.index()].person.is_some() {
            return fault(format!("{name} is about a person and has no bit"));
        }
        let required = match entry.required {
            None => Required::No,
            Some(FileRequired::Word(word)) if word == "always" => Required::Always,
            Some(FileRequired::Word(word)) => {
                return fault(format!("{name}: required = {word:?} means nothing"));
            }
            Some(FileRequired::With { with }) => {
                Required::With(with.iter().map(field_id).collect::<Result<_, _>>()?)
            }
            Some(FileRequired::Without { without }) => {
                Required::Without(without.iter().map(field_id).collect::<Result<_, _>>()?)
            }
        };
        let choice = entry.choice.map(|choice| {
            let next = u8::try_from(choices.len()).expect("few choices");
            *choices.entry(format!("{}/{choice}", entry.record)).or_insert(next)
        });
        let paths = entry.path.into_vec();
        let kinds = key_kinds(&name, entry.kind, entry.key_of.map(OneOrMany::into_vec), paths.len())?;
        let mixes_with = entry.mixes_with.as_ref().map(field_id).transpose()?;
        let kind = &mut records[record.index()];
        kind.fields.push(id);
        if required != Required::No {
            kind.required.push(id);
        }
        if paths.iter().any(|path| path == "@key") {
            kind.key = Some(id);
        }
        if entry.kind == Kind::Eckid {
            kind.eckid = Some(id);
        }
        placed.push(Placed { record, kinds, mixes_with, text: entry.kind != Kind::Opaque });
        fields.push(Field {
            id,
            name,
            label: entry.name,
            record,
            category,
            sensitivity: entry.sensitivity,
            kind: entry.kind,
            form: Form { kind: entry.kind, max: entry.max, pattern },
            bit: entry.bit,
            treatments: entry.treatments,
            required,
            constant: entry.constant,
            choice,
            since: entry.since,
            paths,
        });
    }

    let mut tree = Tree::new();
    let mut namespaces = HashMap::from([(String::new(), Namespace::NONE)]);
    for (short, uri) in &file.namespaces {
        if !short.is_empty() {
            namespaces.insert(short.clone(), Namespace(u8::try_from(tree.namespaces.len()).expect("few")));
            tree.namespaces.push(uri.clone());
        }
    }
    let mut builder = Builder { tree, namespaces, records: &file.record, fields: &fields, placed: &placed };
    let mut feeds = Vec::new();
    for (index, feed) in file.feed.iter().enumerate() {
        let id = FeedId(u8::try_from(index).expect("few feeds"));
        feeds.push(builder.feed(id, feed, &record_id)?);
    }
    builder.header_records(&record_id)?;
    let tree = builder.tree;
    Ok(Catalogue { version: file.version, categories, fields, by_name, records, feeds, tree })
}

/// What only the building of the tree needs to know of a field.
struct Placed {
    record: RecordId,
    kinds: Vec<Option<KeyKind>>,
    mixes_with: Option<FieldId>,
    text: bool,
}

fn key_kinds(
    name: &str,
    kind: Kind,
    key_of: Option<Vec<String>>,
    paths: usize,
) -> Result<Vec<Option<KeyKind>>, Fault> {
    let Some(key_of) = key_of else {
        return if kind == Kind::Key {
            fault(format!("{name}: a key of what?"))
        } else {
            Ok(vec![None; paths])
        };
    };
    if key_of.len() != paths {
        return fault(format!("{name}: key_of and path differ in length"));
    }
    let kinds = key_of.iter().map(|word| match word.as_str() {
        "groep" => Ok(Some(KeyKind::Groep)),
        "leerkracht" => Ok(Some(KeyKind::Leerkracht)),
        "leerling" => Ok(Some(KeyKind::Leerling)),
        "samengestelde_groep" => Ok(Some(KeyKind::SamengesteldeGroep)),
        "vestiging" => Ok(Some(KeyKind::Vestiging)),
        _ => fault(format!("{name}: key_of {word} means nothing")),
    });
    kinds.collect()
}

struct Builder<'f> {
    tree: Tree,
    namespaces: HashMap<String, Namespace>,
    records: &'f [FileRecord],
    fields: &'f [Field],
    placed: &'f [Placed],
}

impl Builder<'_> {
    fn namespace(&self, short: &str) -> Result<Namespace, Fault> {
        match self.namespaces.get(short) {
            Some(&namespace) => Ok(namespace),
            None => fault(format!("namespace {short} is not declared")),
        }
    }

    fn feed(
        &mut self,
        id: FeedId,
        feed: &FileFeed,
        record_id: &impl Fn(&str) -> Result<RecordId, Fault>,
    ) -> Result<Feed, Fault> {
        let namespace = self.namespace(&feed.namespace)?;
        let name = feed.id.clone();
        let standard = feed.standard.clone();
        // A message stands in a SOAP body, and may stand alone in a file: the same subtree serves both.
        let message = match &feed.message {
            None => None,
            Some(element) => {
                let role = match (&feed.record, &feed.root) {
                    (Some(record), _) => Role::Record(record_id(record)?),
                    (None, None) => Role::Root(id),
                    (None, Some(_)) => Role::Message(id),
                };
                let body = self.body();
                let message = self.tree.child(body, element, namespace, role);
                self.tree.adopt(Tree::DOCUMENT, message);
                Some(message)
            }
        };
        if let (Some(record), Some(message)) = (&feed.record, message) {
            self.record_fields(message, record_id(record)?, namespace)?;
            return Ok(Feed { name, standard, sections: Vec::new(), message: Some(message), root: message });
        }
        let root = match (message, &feed.root) {
            (Some(message), None) => message,
            (None, None) => return fault(format!("feed {name} has neither message nor root")),
            (parent, Some(element)) => {
                if let Some(message) = parent {
                    self.tree.child(message, "geenwijzigingen", namespace, Role::NoChanges);
                    self.tree.child(message, "geengegevens", namespace, Role::NoData);
                }
                self.tree.child(parent.unwrap_or(Tree::DOCUMENT), element, namespace, Role::Root(id))
            }
        };
        let mut sections = Vec::new();
        for (number, section) in feed.sections.iter().enumerate() {
            let number = u8::try_from(number).expect("few sections");
            let alone = section.records.len() == 1
                && self.records[record_id(&section.records[0])?.index()].element == section.path;
            let wrapper =
                (!alone).then(|| self.tree.child(root, &section.path, namespace, Role::Section(number)));
            let mut records = Vec::new();
            for record in &section.records {
                let record = record_id(record)?;
                let element = &self.records[record.index()].element;
                let node = self.tree.child(wrapper.unwrap_or(root), element, namespace, Role::Record(record));
                self.record_fields(node, record, namespace)?;
                records.push((record, node));
            }
            sections.push(Section { wrapper, records, required: section.required });
        }
        Ok(Feed { name, standard, sections, message, root })
    }

    /// Records that no feed holds stand in the SOAP header, in a namespace of their own.
    fn header_records(&mut self, record_id: &impl Fn(&str) -> Result<RecordId, Fault>) -> Result<(), Fault> {
        let header = self.find(Role::Header);
        for record in self.records {
            if let Some(namespace) = &record.namespace {
                let id = record_id(&record.id)?;
                let namespace = self.namespace(namespace)?;
                let node = self.tree.child(header, &record.element, namespace, Role::Record(id));
                self.record_fields(node, id, namespace)?;
            }
        }
        Ok(())
    }

    fn body(&self) -> NodeId {
        self.find(Role::Body)
    }

    fn find(&self, role: Role) -> NodeId {
        let at = self.tree.nodes.iter().position(|node| node.role == role).expect("made by Tree::new");
        NodeId(u16::try_from(at).expect("few nodes"))
    }

    /// Puts a record's fields below its element, in the catalogue's order.
    fn record_fields(
        &mut self,
        element: NodeId,
        record: RecordId,
        namespace: Namespace,
    ) -> Result<(), Fault> {
        let mut order = 0;
        let mut turn_of: HashMap<FieldId, u16> = HashMap::new();
        for (field, placed) in self.fields.iter().zip(self.placed) {
            if placed.record != record {
                continue;
            }
            order += 1;
            let turn = match placed.mixes_with.and_then(|other| turn_of.get(&other)) {
                Some(&turn) => turn,
                None => order,
            };
            turn_of.insert(field.id, turn);
            for (path, &key_of) in field.paths.iter().zip(&placed.kinds) {
                let (steps, attribute) = match path.split_once('@') {
                    Some((steps, attribute)) => (steps, Some(attribute)),
                    None => (path.as_str(), None),
                };
                let mut node = element;
                for step in steps.split('/').filter(|step| !step.is_empty()) {
                    let (namespace, name) = match step.split_once(':') {
                        Some((short, name)) => (self.namespace(short)?, name),
                        None => (namespace, step),
                    };
                    let before = self.tree.nodes.len();
                    node = self.tree.child_named(node, name, namespace, Role::Group);
                    if self.tree.nodes.len() > before {
                        self.tree.nodes[node.index()].order = turn;
                    }
                }
                if let Some(name) = attribute {
                    let attribute = Attribute { name: name.into(), field: field.id, key_of };
                    self.tree.nodes[node.index()].attributes.push(attribute);
                } else if placed.text {
                    let node = &mut self.tree.nodes[node.index()];
                    if node.text.replace(field.id).is_some() {
                        return fault(format!("{}: another field stands there", field.name));
                    }
                    node.key_of = key_of;
                    node.role = Role::Field;
                } else {
                    let node = &mut self.tree.nodes[node.index()];
                    node.text = Some(field.id);
                    node.role = Role::Field;
                }
            }
        }
        for path in &self.records[record.index()].many {
            let mut node = element;
            for step in path.split('/') {
                let (namespace, name) = match step.split_once(':') {
                    Some((short, name)) => (self.namespace(short)?, name),
                    None => (namespace, step),
                };
                let Some((_, child)) = self.tree.descend(node, namespace, name, 0) else {
                    return fault(format!("{path} repeats but is no place"));
                };
                node = child;
            }
            self.tree.nodes[node.index()].many = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue;
    use super::*;

    #[test]
    fn the_built_in_catalogue_loads() {
        let catalogue = catalogue();
        let roepnaam = catalogue.find("leerling.roepnaam").expect("a pupil has a first name");
        assert_eq!(roepnaam.treatments, [Treatment::Pass, Treatment::Initial]);
        assert_eq!(catalogue.nearest("leerling.roepnam"), Some("leerling.roepnaam"));
        assert_eq!(catalogue.nearest("schoenmaat van de juf"), None);
    }

    #[test]
    fn what_is_required_can_be_met() {
        let catalogue = catalogue();
        for field in catalogue.fields() {
            let person = matches!(field.kind, Kind::Key | Kind::Eckid);
            let addressing = field.sensitivity == Sensitivity::Addressing;
            let results = field.name.starts_with("to") || field.name.starts_with("results_school");
            let secret = field.sensitivity == Sensitivity::Secret;
            if field.required != Required::No && !person && !addressing && !results && !secret {
                let constant =
                    field.constant.as_deref().unwrap_or_else(|| panic!("{} has no constant", field.name));
                assert_eq!(field.form.strict(constant).as_deref(), Some(constant), "{}", field.name);
            }
        }
    }

    #[test]
    fn numbers_of_persons_are_never_plain_fields() {
        for field in catalogue().fields() {
            let own_key = field.kind == Kind::Key && field.paths == ["@key"];
            if field.kind == Kind::Pgn || field.kind == Kind::Eckid || own_key {
                assert_eq!(field.sensitivity, Sensitivity::Identifier, "{}", field.name);
            }
            if field.kind == Kind::Opaque {
                assert!(field.treatments.is_empty(), "{}", field.name);
            }
        }
    }
}
