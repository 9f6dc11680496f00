//! What has to leave, worked out from the text of the catalogue and the lines of an agreement; and whether it did.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::LazyLock,
};

use serde::Deserialize;
use sluis::{
    catalogue::catalogue,
    decode::{Limits, decode},
    policy::{Rulings, agreement},
    record::Record,
    token::Token,
};

use super::documents::{Document, GivenRecord};
use crate::documents::Bench;

/// The catalogue as it is written.
#[derive(Deserialize)]
pub(super) struct Book {
    pub(super) field: Vec<Entry>,
}

#[derive(Deserialize)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) record: String,
    pub(super) path: OneOrMore,
    pub(super) category: Option<String>,
    pub(super) sensitivity: String,
    pub(super) kind: String,
    pub(super) key_of: Option<OneOrMore>,
    pub(super) treatments: Vec<String>,
    pub(super) required: Option<Needed>,
    pub(super) constant: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub(super) fn all(&self) -> Vec<&str> {
        match self {
            Self::More(all) => all.iter().map(String::as_str).collect(),
            Self::One(one) => vec![one],
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Needed {
    With { with: Vec<String> },
    Without { without: Vec<String> },
    Word(String),
}

pub(super) const RECORDS: [&str; 6] =
    ["school", "vestiging", "groep", "samengestelde_groep", "leerling", "leerkracht"];

pub(super) static BOOK: LazyLock<Book> = LazyLock::new(|| {
    let mut book: Book = toml::from_str(include_str!("../../../schemas/catalogue.toml")).unwrap();
    book.field.retain(|field| RECORDS.contains(&field.record.as_str()));
    book
});

impl Book {
    pub(super) fn find(&self, id: &str) -> &Entry {
        self.field.iter().find(|entry| entry.id == id).unwrap()
    }

    pub(super) fn releasable(&self) -> impl Iterator<Item = &Entry> {
        self.field.iter().filter(|entry| !entry.treatments.is_empty())
    }
}

impl Entry {
    pub(super) fn is_attribute(&self, name: &str) -> bool {
        matches!(&self.path, OneOrMore::One(path) if path == name)
    }

    /// A reference to a record of another kind.
    pub(super) fn is_reference(&self) -> bool {
        self.kind == "key" && !self.is_attribute("@key")
    }
}

/// What an agreement says, as far as it decides what leaves.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    pub(super) legal: bool,
    pub(super) special: bool,
    pub(super) pass_eckid: bool,
    pub(super) categories: Option<BTreeSet<String>>,
    pub(super) release: BTreeMap<String, String>,
}

impl Lines {
    pub(super) fn of(release: &[(&str, &str)]) -> Self {
        let release = release.iter().map(|(field, how)| ((*field).to_owned(), (*how).to_owned())).collect();
        Self { legal: true, special: true, release, ..Self::default() }
    }

    /// Whether the other lines let it have one for this field.
    pub(super) fn may_name(&self, entry: &Entry) -> bool {
        let category = entry.category.as_ref();
        let named = self.categories.as_ref().is_none_or(|named| category.is_none_or(|id| named.contains(id)));
        named && (self.legal || entry.kind != "pgn") && (self.special || entry.sensitivity != "special")
    }

    pub(super) fn text(&self, recipient: &str, version: u32) -> String {
        let basis = if self.legal { "wettelijke-verplichting" } else { "overeenkomst" };
        let domain = if self.pass_eckid { "pass-eckid" } else { "recipient" };
        let special = if self.special { "special = { ground = \"speciale-begeleiding\" }\n" } else { "" };
        let categories = self.categories.as_ref().map(Vec::from_iter);
        let categories = categories.map(|ids| format!("categories = {ids:?}\n")).unwrap_or_default();
        let lines: String =
            self.release.iter().map(|(field, how)| format!("\"{field}\" = \"{how}\"\n")).collect();
        format!(
            "id = \"99DE-{recipient}\"\nversion = {version}\nschool = \"99DE\"\nrecipient = \"{recipient}\"\nproduct = \"P\"\n\
             annex = \"a.pdf\"\npurpose = \"leermiddelen\"\nbasis = \"{basis}\"\n{special}{categories}\
             valid = {{ from = 2020-08-01, until = 2099-07-31 }}\npseudonym = {{ domain = \"{domain}\" }}\n[release]\n{lines}"
        )
    }

    pub(super) fn bench(&self) -> Bench {
        let text = self.text("noordzee", 1);
        let read = agreement::parse(&text, Path::new("a.toml"), &["99DE"], &["noordzee"]);
        let read = read.unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"));
        Bench { rulings: Rulings::compile(&read), pass_eckid: self.pass_eckid, ..Bench::new(&[]) }
    }

    /// Records that leave at all: of which a field has a line, and to which a reference has one.
    pub(super) fn covers(&self, record: &str) -> bool {
        record == "school"
            || self.release.keys().map(|name| BOOK.find(name)).any(|entry| {
                let points = entry.key_of.as_ref().filter(|_| entry.is_reference());
                entry.record == record || points.is_some_and(|kinds| kinds.all().contains(&record))
            })
    }
}

/// What a value has to be in the output.
#[derive(Debug, Clone)]
pub(super) enum Want {
    Constant(String),
    EckId,
    Exactly(String),
    Pseudonym,
    Token(String, String),
}

pub(super) type Fields<V> = BTreeMap<String, Vec<V>>;

/// The records that have to leave, with their values by field; none: the answer has to be that there is nothing.
pub(super) fn allowed(lines: &Lines, document: &Document) -> Option<Vec<(String, Fields<Want>)>> {
    let records: Vec<_> = document
        .records
        .iter()
        .filter(|record| lines.covers(&record.kind))
        .map(|record| (record.kind.clone(), allowed_of(lines, record)))
        .collect();
    // An answer with pupils needs one; the others need something beside the school.
    let needed = |kind: &str| match document.feed {
        "leerkrachten" | "structuur" => kind != "school",
        _ => kind == "leerling",
    };
    records.iter().any(|(kind, _)| needed(kind)).then_some(records)
}

/// Whether something of a field leaves, and not a constant.
pub(super) fn leaves(records: &[(String, Fields<Want>)], field: &str) -> bool {
    let values = records.iter().filter_map(|(_, fields)| fields.get(field)).flatten();
    values.into_iter().any(|want| !matches!(want, Want::Constant(_)))
}

pub(super) fn allowed_of(lines: &Lines, record: &GivenRecord) -> Fields<Want> {
    let mut fields = Fields::new();
    let mut put = |name: &str, want| fields.entry(name.to_owned()).or_insert_with(Vec::new).push(want);
    let has = |name: &str| record.values.iter().any(|given| given.field == name);
    for given in &record.values {
        let entry = BOOK.find(&given.field);
        let exactly = Want::Exactly(given.value.clone());
        let token = |kinds: &OneOrMore| {
            let kinds = kinds.all();
            // Where a field refers to several kinds, keys here begin with the letters of theirs.
            let kind = kinds.iter().find(|kind| given.value.starts_with(&kind[..2].to_uppercase())).unwrap();
            Want::Token((*kind).to_owned(), given.value.clone())
        };
        if entry.is_attribute("@eckid") {
            continue;
        }
        if entry.is_attribute("@key") {
            put(&entry.id, token(entry.key_of.as_ref().unwrap()));
            continue;
        }
        // What is in a reference goes with it.
        let reference = entry.id.rsplit_once('.').filter(|_| given.inside.is_some() && !entry.is_reference());
        if reference.is_some_and(|(reference, _)| !lines.release.contains_key(reference)) {
            continue;
        }
        // A school is named by its BRIN and vestiging, or else by its number or key.
        let brin = has("school.brincode");
        let says_no_more = match entry.id.as_str() {
            "school.dependancecode" => !brin,
            "school.instellingsnummer" | "school.schoolkey" => brin,
            _ => false,
        };
        let treatment = match entry.sensitivity.as_str() {
            "addressing" => Some("pass"),
            _ => lines.release.get(&entry.id).map(String::as_str),
        };
        let Some(treatment) = treatment.filter(|_| !says_no_more) else { continue };
        let value = &given.value;
        let want = match treatment {
            "pass" if entry.is_reference() => token(entry.key_of.as_ref().unwrap()),
            "pass" => exactly,
            "year" => Want::Exactly(format!("{}-01-01", &value[..4])),
            "month" => Want::Exactly(format!("{}-01", &value[..7])),
            "pc4" => Want::Exactly(format!("{}XX", &value[..4])),
            "initial" => {
                let first = value.chars().find(|letter| letter.is_alphabetic()).unwrap();
                Want::Exactly(format!("{}.", first.to_uppercase()))
            }
            "pseudonym" => Want::Pseudonym,
            other => panic!("no example of {other}"),
        };
        put(&entry.id, want);
    }
    // Persons have an ECK iD of Sluis, whether or not the feed had one; or the feed's own, where that was agreed on.
    let own = format!("{}.eckid", record.kind);
    if BOOK.field.iter().any(|entry| entry.id == own) {
        let official = record.values.iter().find(|given| given.field == own);
        match (lines.pass_eckid, official) {
            (false, _) => put(&own, Want::EckId),
            (true, Some(official)) => put(&own, Want::Exactly(official.value.clone())),
            (true, None) => {}
        }
    }
    // What the standard insists on, in its order.
    for entry in BOOK.field.iter().filter(|entry| entry.record == record.kind) {
        let any = |names: &[String]| names.iter().any(|name| fields.contains_key(name));
        let wanted = match &entry.required {
            None => false,
            Some(Needed::With { with }) => any(with),
            Some(Needed::Without { without }) => !any(without),
            Some(Needed::Word(word)) => word == "always",
        };
        if wanted && !fields.contains_key(&entry.id) {
            let constant = entry.constant.clone().unwrap_or_else(|| panic!("{} is always there", entry.id));
            fields.insert(entry.id.clone(), vec![Want::Constant(constant)]);
        }
    }
    fields
}

/// The records of a document, as the decoder reads them; none when it says that there is no data.
pub(super) fn read(document: &str) -> Option<Vec<(String, Fields<String>)>> {
    let catalogue = catalogue();
    let mut records = Vec::new();
    let mut current: Option<Record> = None;
    let mut empty = false;
    decode(document.as_bytes(), None, &Limits::default(), &mut |token: Token<'_>| {
        if let Some(record) = &mut current {
            assert!(!matches!(token, Token::Unknown(_)), "something the catalogue does not know");
            if record.take(&token) {
                records.extend(current.take());
            }
            return Ok::<_, ()>(());
        }
        match token {
            Token::Record(kind, node) => current = Some(Record::new(kind, node)),
            Token::NoData(_) => empty = true,
            Token::Unknown(_) => panic!("something the catalogue does not know"),
            _ => {}
        }
        Ok(())
    })
    .unwrap();
    assert!(!empty || records.is_empty());
    let fields = |record: &Record| {
        let mut fields = Fields::new();
        for item in record.items() {
            if let Some(field) = item.field {
                let name = catalogue.field(field).name.clone();
                fields.entry(name).or_insert_with(Vec::new).push(record.value(item).to_owned());
            }
        }
        fields
    };
    let read = records.iter().map(|record| (catalogue.record(record.kind).name.clone(), fields(record)));
    (!empty).then(|| read.collect())
}

/// Whether what left is what had to, value by value.
pub(super) fn compare(
    wanted: &Option<Vec<(String, Fields<Want>)>>,
    got: &Option<Vec<(String, Fields<String>)>>,
) -> Result<(), String> {
    let (wanted, got) = match (wanted, got) {
        (None, None) => return Ok(()),
        (Some(wanted), Some(got)) => (wanted, got),
        (wanted, _) => return Err(format!("there should be data: {}", wanted.is_some())),
    };
    let kinds = |records: Vec<&String>| records.into_iter().cloned().collect::<Vec<_>>();
    let (kinds_wanted, kinds_got) = (
        kinds(wanted.iter().map(|(kind, _)| kind).collect()),
        kinds(got.iter().map(|(kind, _)| kind).collect()),
    );
    if kinds_wanted != kinds_got {
        return Err(format!("records {kinds_got:?} instead of {kinds_wanted:?}"));
    }
    // One token for each key, and one key for each token.
    let mut tokens: HashMap<(&String, &String), &String> = HashMap::new();
    let mut keys: HashMap<&String, (&String, &String)> = HashMap::new();
    for ((kind, wanted), (_, got)) in wanted.iter().zip(got) {
        let (names_wanted, names_got): (Vec<_>, Vec<_>) = (wanted.keys().collect(), got.keys().collect());
        if names_wanted != names_got {
            return Err(format!("{kind} with {names_got:?} instead of {names_wanted:?}"));
        }
        let eckid = got.get(&format!("{kind}.eckid")).map(|values| values[0].as_str()).unwrap_or_default();
        for ((name, wanted), values) in wanted.iter().zip(got.values()) {
            if wanted.len() != values.len() {
                return Err(format!("{name}: {values:?} instead of {wanted:?}"));
            }
            for (want, value) in wanted.iter().zip(values) {
                let hex =
                    |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
                let right = match want {
                    Want::Constant(text) | Want::Exactly(text) => text == value,
                    Want::EckId => {
                        value.strip_prefix("https://sluis.example/1/").is_some_and(|rest| hex(rest, 128))
                    }
                    Want::Pseudonym => {
                        hex(value, 64) && (!eckid.contains("sluis.example") || eckid.contains(value))
                    }
                    Want::Token(kind, key) => {
                        let whole = (kind, key);
                        value.len() == 64
                            && *tokens.entry(whole).or_insert(value) == value
                            && *keys.entry(value).or_insert(whole) == whole
                    }
                };
                if !right {
                    return Err(format!("{name}: {value} instead of {want:?}"));
                }
            }
        }
    }
    Ok(())
}
