//! What leaves is what the agreement allows of what there is: all of it, and nothing else.
//!
//! What is allowed is worked out here, from the text of the catalogue and the lines of the agreement, by none of the
//! code that decides it for Sluis. Feeds hold well-formed values without identifiers, so nothing stays for another
//! reason than the agreement.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Barrier, LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
};

use proptest::{
    prelude::*,
    test_runner::{TestCaseError, TestRunner},
};
use serde::Deserialize;
use sluis::{
    catalogue::{Field, Kind, NodeId, Pattern, SOAP_NAMESPACE, catalogue},
    decode::{Limits, decode},
    minimise::{Event, Refusal},
    policy::{Rulings, agreement},
    pseudonym::KeyKind,
    record::Record,
    tls,
    token::Token,
};

use crate::{
    documents::{Bench, Failure},
    home::Home,
    served::{
        ASK, FakeLas, Served, begin, connect, held_back, read_all, request, send, try_connect, write_xml,
    },
};

/// The catalogue as it is written.
#[derive(Deserialize)]
struct Book {
    field: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    record: String,
    path: OneOrMore,
    category: Option<String>,
    sensitivity: String,
    kind: String,
    key_of: Option<OneOrMore>,
    treatments: Vec<String>,
    required: Option<Needed>,
    constant: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn all(&self) -> Vec<&str> {
        match self {
            Self::More(all) => all.iter().map(String::as_str).collect(),
            Self::One(one) => vec![one],
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Needed {
    With { with: Vec<String> },
    Without { without: Vec<String> },
    Word(String),
}

const RECORDS: [&str; 6] = ["school", "vestiging", "groep", "samengestelde_groep", "leerling", "leerkracht"];

static BOOK: LazyLock<Book> = LazyLock::new(|| {
    let mut book: Book = toml::from_str(include_str!("../../schemas/catalogue.toml")).unwrap();
    book.field.retain(|field| RECORDS.contains(&field.record.as_str()));
    book
});

impl Book {
    fn find(&self, id: &str) -> &Entry {
        self.field.iter().find(|entry| entry.id == id).unwrap()
    }

    fn releasable(&self) -> impl Iterator<Item = &Entry> {
        self.field.iter().filter(|entry| !entry.treatments.is_empty())
    }
}

impl Entry {
    fn is_attribute(&self, name: &str) -> bool {
        matches!(&self.path, OneOrMore::One(path) if path == name)
    }

    /// A reference to a record of another kind.
    fn is_reference(&self) -> bool {
        self.kind == "key" && !self.is_attribute("@key")
    }
}

/// What an agreement says, as far as it decides what leaves.
#[derive(Debug, Clone, Default)]
struct Lines {
    legal: bool,
    special: bool,
    pass_eckid: bool,
    categories: Option<BTreeSet<String>>,
    release: BTreeMap<String, String>,
}

impl Lines {
    fn of(release: &[(&str, &str)]) -> Self {
        let release = release.iter().map(|(field, how)| ((*field).to_owned(), (*how).to_owned())).collect();
        Self { legal: true, special: true, release, ..Self::default() }
    }

    /// Whether the other lines let it have one for this field.
    fn may_name(&self, entry: &Entry) -> bool {
        let category = entry.category.as_ref();
        let named = self.categories.as_ref().is_none_or(|named| category.is_none_or(|id| named.contains(id)));
        named && (self.legal || entry.kind != "pgn") && (self.special || entry.sensitivity != "special")
    }

    fn text(&self, recipient: &str, version: u32) -> String {
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

    fn bench(&self) -> Bench {
        let text = self.text("noordzee", 1);
        let read = agreement::parse(&text, Path::new("a.toml"), &["99DE"], &["noordzee"]);
        let read = read.unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"));
        Bench { rulings: Rulings::compile(&read), pass_eckid: self.pass_eckid, ..Bench::new(&[]) }
    }

    /// Records that leave at all: of which a field has a line, and to which a reference has one.
    fn covers(&self, record: &str) -> bool {
        record == "school"
            || self.release.keys().map(|name| BOOK.find(name)).any(|entry| {
                let points = entry.key_of.as_ref().filter(|_| entry.is_reference());
                entry.record == record || points.is_some_and(|kinds| kinds.all().contains(&record))
            })
    }
}

/// Bytes that decide what stands in a document, over and over.
struct Tape<'t>(&'t [u8], usize);

impl Tape<'_> {
    fn byte(&mut self) -> usize {
        self.1 += 1;
        usize::from(self.0[(self.1 - 1) % self.0.len()])
    }

    /// More often than not.
    fn some(&mut self) -> bool {
        self.byte() >= 96
    }
}

/// A tape for a number.
fn tape(seed: u32) -> Vec<u8> {
    // Numbers that follow one another begin far apart.
    let mut state = seed.wrapping_mul(0x9E37_79B9);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(301).collect()
}

/// A value that stands in a document, and the reference that it stands in.
#[derive(Debug, Clone)]
struct Given {
    field: String,
    value: String,
    inside: Option<String>,
}

#[derive(Debug, Clone)]
struct GivenRecord {
    kind: String,
    values: Vec<Given>,
}

/// A feed, and what stands in it.
#[derive(Debug)]
struct Document {
    feed: &'static str,
    text: String,
    records: Vec<GivenRecord>,
}

const FEEDS: [&str; 5] = ["leerlinggegevens", "structuur", "leerlingen", "leerkrachten", "edexml"];

/// Writes a document of what the catalogue knows, each part of it there or not.
struct Writer<'t> {
    tape: Tape<'t>,
    number: usize,
    keys: BTreeMap<&'static str, Vec<String>>,
    choices: BTreeSet<u8>,
    has_groups: bool,
    out: String,
    values: Vec<Given>,
}

impl<'t> Writer<'t> {
    /// A document with none to three records of each kind.
    fn document(feed: &'static str, bytes: &'t [u8]) -> Document {
        Self::document_of(feed, bytes, &|tape, _| tape.byte() % 4)
    }

    /// The same, with as many records of a kind as `count` says.
    fn document_of(
        feed: &'static str,
        bytes: &'t [u8],
        count: &dyn Fn(&mut Tape<'_>, &str) -> usize,
    ) -> Document {
        let catalogue = catalogue();
        let tree = catalogue.tree();
        let of = catalogue.feed(catalogue.feed_named(feed));
        let groep = catalogue.record_named("groep");
        let has_groups =
            of.sections.iter().any(|section| section.records.iter().any(|&(kind, _)| kind == groep));
        let mut writer = Self {
            tape: Tape(bytes, 0),
            number: 0,
            keys: BTreeMap::new(),
            choices: BTreeSet::new(),
            has_groups,
            out: String::new(),
            values: Vec::new(),
        };
        let envelope = of.message.is_some() && writer.tape.some();
        let mut records = Vec::new();
        let mut inside = String::new();
        for section in &of.sections {
            let wrapper = section.wrapper.map(|wrapper| tree.node(wrapper).name.clone());
            for &(kind, node) in &section.records {
                let kind = &catalogue.record(kind).name;
                let times = if wrapper.is_none() { 1 } else { count(&mut writer.tape, kind) };
                for _ in 0..times {
                    writer.choices.clear();
                    writer.record(kind, node);
                    let values = std::mem::take(&mut writer.values);
                    records.push(GivenRecord { kind: kind.clone(), values });
                }
            }
            let written = std::mem::take(&mut writer.out);
            inside += &match wrapper {
                None => written,
                Some(name) => format!("<{name}>{written}</{name}>"),
            };
        }
        let root = tree.node(of.root);
        inside = format!("<{0}>{inside}</{0}>", root.name);
        if let Some(message) = of.message.map(|message| tree.node(message)) {
            let uri = tree.uri(message.namespace);
            inside = format!("<{0} xmlns=\"{uri}\">{inside}</{0}>", message.name);
        }
        if envelope {
            inside =
                format!("<e:Envelope xmlns:e=\"{SOAP_NAMESPACE}\"><e:Body>{inside}</e:Body></e:Envelope>");
        }
        Document { feed, text: inside, records }
    }

    fn give(&mut self, field: &Field, value: &str, inside: Option<&String>) {
        let given = Given { field: field.name.clone(), value: value.to_owned(), inside: inside.cloned() };
        self.values.push(given);
    }

    fn record(&mut self, kind: &str, node: NodeId) {
        let catalogue = catalogue();
        let place = catalogue.tree().node(node);
        self.out += &format!("<{}", place.name);
        for attribute in &place.attributes {
            let field = catalogue.field(attribute.field);
            self.number += 1;
            let value = match field.kind {
                Kind::Key => {
                    let key = format!("{}{:05}", &kind[..2].to_uppercase(), 70_000 + self.number);
                    let label = RECORDS.into_iter().find(|record| *record == kind).unwrap();
                    self.keys.entry(label).or_default().push(key.clone());
                    key
                }
                _ if !self.tape.some() => continue,
                _ => format!("https://ketenid.nl/201703/{:0128x}", 0xabc_0000 + self.number),
            };
            self.out += &format!(" {}=\"{value}\"", attribute.name);
            self.give(field, &value, None);
        }
        self.out += ">";
        self.children(node, None);
        self.out += &format!("</{}>", place.name);
    }

    fn children(&mut self, node: NodeId, inside: Option<&String>) {
        let catalogue = catalogue();
        for &child in &catalogue.tree().node(node).children {
            let place = catalogue.tree().node(child);
            let times = if place.many { self.tape.byte() % 3 } else { 1 };
            for _ in 0..times {
                match place.text.map(|field| catalogue.field(field)) {
                    Some(field) => {
                        if let Some(value) = self.value(field) {
                            let text = value.replace('&', "&amp;");
                            self.out += &match field.kind {
                                Kind::Opaque => format!("<{0}><eigen>{text}</eigen></{0}>", place.name),
                                _ => format!("<{0}>{text}</{0}>", place.name),
                            };
                            self.give(field, &value, inside);
                        }
                    }
                    None => self.element(child, inside),
                }
            }
        }
    }

    /// An element that holds others, or refers to another record.
    fn element(&mut self, node: NodeId, inside: Option<&String>) {
        let catalogue = catalogue();
        let place = catalogue.tree().node(node);
        if !self.tape.some() {
            return;
        }
        let Some(attribute) = place.attributes.first() else {
            self.out += &format!("<{}>", place.name);
            self.children(node, inside);
            self.out += &format!("</{}>", place.name);
            return;
        };
        let kind = match attribute.key_of.unwrap() {
            KeyKind::Groep => "groep",
            KeyKind::SamengesteldeGroep => "samengestelde_groep",
            KeyKind::Vestiging => "vestiging",
            KeyKind::Leerkracht | KeyKind::Leerling => panic!("nothing refers to persons"),
        };
        // A feed without groups refers to those of another; one that has them to its own, for what dangles stays.
        let elsewhere = vec![format!("{}99999", kind[..2].to_uppercase())];
        let keys = match self.keys.get(kind) {
            Some(keys) => keys,
            None if self.has_groups => return,
            None => &elsewhere,
        };
        let key = keys[self.tape.1 % keys.len()].clone();
        self.out += &format!("<{} key=\"{key}\">", place.name);
        self.give(catalogue.field(attribute.field), &key, inside);
        self.children(node, Some(&key));
        self.out += &format!("</{}>", place.name);
    }

    /// A well-formed value for a field that is there; none where it is not.
    fn value(&mut self, field: &Field) -> Option<String> {
        self.number += 1;
        let there = self.tape.some();
        let has_brin = self.values.iter().any(|given| given.field == "school.brincode");
        match field.name.as_str() {
            "school.schooljaar" => return Some("2026-2027".into()),
            "school.brincode" => return there.then(|| "99DE".into()),
            "school.schoolkey" => return (there || !has_brin).then(|| "sleutel".into()),
            _ if !there => return None,
            _ => {}
        }
        // Of a choice the standard lets one stand: any of them, and not always the first.
        if let Some(choice) = field.choice
            && (self.tape.byte().is_multiple_of(3) || !self.choices.insert(choice))
        {
            return None;
        }
        let pick = self.tape.byte();
        Some(match (field.kind, &field.form.pattern) {
            (Kind::Date, _) => format!("20{:02}-{:02}-{:02}", pick % 20 + 5, pick % 12 + 1, pick % 27 + 2),
            (Kind::Datetime, _) => format!("2026-{:02}-02T08:{:02}:00", pick % 12 + 1, pick % 60),
            (_, Some(Pattern::In(words))) => words[pick % words.len()].clone(),
            (_, Some(Pattern::PostcodeNl)) => format!("{}AB", 1000 + pick * 7),
            (_, Some(Pattern::Digits(low, _))) => {
                let digits = format!("{:0>11}", 10_007 * self.number);
                digits[digits.len() - low..].to_owned()
            }
            (_, Some(pattern)) => panic!("no example of {pattern:?}"),
            (Kind::Url, None) => format!("https://foto.example/{}", self.letters("")),
            (_, None) => self.letters(["ë", "zo & zo ", "É", "de ", "w"][pick % 5]),
        })
        .map(|value| match field.form.max {
            Some(max) if field.form.pattern.is_none() => {
                value.chars().take(max).collect::<String>().trim().to_owned()
            }
            _ => value,
        })
    }

    /// Letters that no other value has: in no order of digits, so that they are nobody's number.
    fn letters(&self, before: &str) -> String {
        let mut number = self.number;
        let mut text = before.to_owned();
        while number > 0 {
            text.push(char::from(b'a' + u8::try_from(number % 26).unwrap()));
            number /= 26;
        }
        text
    }
}

/// What a value has to be in the output.
#[derive(Debug, Clone)]
enum Want {
    Constant(String),
    EckId,
    Exactly(String),
    Pseudonym,
    Token(String, String),
}

type Fields<V> = BTreeMap<String, Vec<V>>;

/// The records that have to leave, with their values by field; none: the answer has to be that there is nothing.
fn allowed(lines: &Lines, document: &Document) -> Option<Vec<(String, Fields<Want>)>> {
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
fn leaves(records: &[(String, Fields<Want>)], field: &str) -> bool {
    let values = records.iter().filter_map(|(_, fields)| fields.get(field)).flatten();
    values.into_iter().any(|want| !matches!(want, Want::Constant(_)))
}

fn allowed_of(lines: &Lines, record: &GivenRecord) -> Fields<Want> {
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
fn read(document: &str) -> Option<Vec<(String, Fields<String>)>> {
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
fn compare(
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

/// What a document comes to under an agreement; none: there is nothing.
fn minimised(bench: &Bench, document: &Document) -> Option<Vec<(String, Fields<String>)>> {
    match bench.minimise(document.text.as_bytes(), None) {
        Ok((out, summary)) => {
            // Nothing stays for another reason than the agreement; content of the vendor's own is what is unknown.
            let noted = summary.events.iter().filter(|(event, count)| *count > 0 && *event != Event::Unknown);
            assert_eq!(
                noted.map(|(event, _)| event.label()).collect::<Vec<_>>(),
                [""; 0],
                "{}",
                document.text
            );
            read(&out)
        }
        // EDEXML cannot say that there is no data.
        Err(Failure::Refused(Refusal::Nothing)) if document.feed == "edexml" => None,
        Err(failure) => panic!("{failure:?}: {}", document.text),
    }
}

/// Agreements of every kind: from no line to a line for each field, with any treatment the field has.
fn lines() -> impl Strategy<Value = Lines> {
    let fields = BOOK.releasable().count();
    let categories: BTreeSet<String> = BOOK.field.iter().filter_map(|entry| entry.category.clone()).collect();
    let count = categories.len();
    let some =
        proptest::option::weighted(0.3, proptest::sample::subsequence(Vec::from_iter(categories), 0..=count));
    let flags = (any::<bool>(), any::<bool>(), proptest::bool::weighted(0.2));
    let chosen = proptest::collection::vec((any::<u8>(), any::<proptest::sample::Index>()), fields);
    (flags, some, any::<u8>(), chosen).prop_map(
        |((legal, special, pass_eckid), categories, density, chosen)| {
            let categories = categories.map(BTreeSet::from_iter);
            let mut lines = Lines { legal, special, pass_eckid, categories, release: BTreeMap::new() };
            for (entry, (chance, treatment)) in BOOK.releasable().zip(chosen) {
                if chance <= density && lines.may_name(entry) {
                    lines.release.insert(entry.id.clone(), treatment.get(&entry.treatments).clone());
                }
            }
            lines
        },
    )
}

#[test]
fn what_leaves_is_what_is_allowed_of_what_there_is() {
    let cases = 256;
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let feeds = proptest::sample::select(FEEDS.to_vec());
    let tape = proptest::collection::vec(any::<u8>(), 32..400);
    let (left, stayed, answers) = (Cell::new(0), Cell::new(0), RefCell::new(BTreeMap::new()));
    TestRunner::new(config)
        .run(&(lines(), feeds, tape), |(lines, feed, tape)| {
            let document = Writer::document(feed, &tape);
            let wanted = allowed(&lines, &document);
            let got = minimised(&lines.bench(), &document);
            compare(&wanted, &got).map_err(|what| {
                TestCaseError::fail(format!("{what}\n{}\n{}", lines.text("noordzee", 1), document.text))
            })?;
            let count =
                wanted.iter().flatten().flat_map(|(_, fields)| fields.values()).map(Vec::len).sum::<usize>();
            let there = document.records.iter().map(|record| record.values.len()).sum::<usize>();
            left.set(left.get() + count);
            stayed.set(stayed.get() + there.saturating_sub(count));
            *answers.borrow_mut().entry((feed, wanted.is_some())).or_insert(0) += 1;
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    // Not one kind of answer alone, whatever the dice.
    assert!(left.get() > 1_000 && stayed.get() > 1_000, "{} {}", left.get(), stayed.get());
    assert_eq!(answers.borrow().values().sum::<u32>(), cases);
    for feed in FEEDS {
        let with = answers.borrow().get(&(feed, true)).copied();
        assert!(with.is_some_and(|with| with > 3), "{feed}: {answers:?}");
    }
}

/// Each line opens its own field, and the others open it in no case: for every field that has a treatment.
#[test]
fn each_line_opens_its_field_and_no_other_does() {
    let pupil = ("leerling.roepnaam", "pass");
    let mut seen = 0;
    for entry in BOOK.releasable().filter(|entry| entry.sensitivity != "addressing") {
        let id = entry.id.as_str();
        if entry.is_attribute("@key") || entry.is_attribute("@eckid") {
            continue;
        }
        for how in &entry.treatments {
            let mut with = vec![pupil];
            with.retain(|(name, _)| *name != id);
            // Without a pupil there is no answer, and without a reference nothing that is in it.
            if id == pupil.0 {
                with.push(("leerling.geslacht", "pass"));
            }
            if id.starts_with("leerkracht.groepen.") {
                with.push(("leerkracht.groepen", "pass"));
            }
            with.push((id, how.as_str()));
            let without = BOOK.releasable().filter(|other| other.id != id);
            let without: Vec<_> =
                without.map(|other| (other.id.as_str(), other.treatments[0].as_str())).collect();
            let (with, without) = (Lines::of(&with), Lines::of(&without));
            let (bench_with, bench_without) = (with.bench(), without.bench());
            // The first document that has the field, of a few.
            let found = (0..200_u32).find_map(|seed| {
                let tape = tape(seed);
                let document = Writer::document("leerlinggegevens", &tape);
                let (wanted, withheld) = (allowed(&with, &document), allowed(&without, &document)?);
                assert!(!leaves(&withheld, id), "{id} needs a line of its own");
                leaves(wanted.as_ref()?, id).then_some((document, wanted, withheld))
            });
            let (document, wanted, withheld) = found.unwrap_or_else(|| panic!("no document has {id}"));
            compare(&wanted, &minimised(&bench_with, &document))
                .unwrap_or_else(|what| panic!("{id}: {what}"));
            let got = minimised(&bench_without, &document);
            compare(&Some(withheld), &got).unwrap_or_else(|what| panic!("without {id}: {what}"));
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen}");
}

const NARROW: &[(&str, &str)] = &[
    ("leerling.roepnaam", "pass"),
    ("leerling.geboortedatum", "year"),
    ("leerling.groep", "pass"),
    ("leerling.gebruikersnaam", "pseudonym"),
    ("groep.naam", "pass"),
    ("leerkracht.achternaam", "initial"),
];
const OTHER: &[(&str, &str)] = &[
    ("school.peildatum", "month"),
    ("leerling.achternaam", "pass"),
    ("leerling.geboortedatum", "month"),
    ("leerling.geslacht", "pass"),
    ("leerling.samengestelde_groepen", "pass"),
    ("leerling.emailadres", "pass"),
    ("samengestelde_groep.omschrijving", "pass"),
    ("leerkracht.groepen", "pass"),
    ("leerkracht.groepen.rol", "pass"),
];

/// Two agreements that have hardly a line in common, and an answer of a pupil administration in which there is
/// something for each line of both.
fn two_agreements(pupils: usize) -> ([Lines; 2], Document) {
    let lines = [NARROW, OTHER].map(Lines::of);
    let has_all = |document: &Document| {
        let said = |name: &str| document.records[0].values.iter().any(|given| given.field == name);
        // In the envelope that an answer comes in, and of the vestiging that is asked for when none is named.
        let fits =
            document.text.contains("Envelope") && said("school.brincode") && !said("school.dependancecode");
        fits && lines.iter().all(|lines| {
            let records = allowed(lines, document).unwrap();
            lines.release.keys().all(|field| leaves(&records, field))
        })
    };
    let documents = (0..200_u32).map(|seed| {
        Writer::document_of("leerlinggegevens", &tape(seed), &|_, kind| {
            if kind == "leerling" { pupils } else { 4 }
        })
    });
    let document = documents.into_iter().find(has_all).expect("a document with all of it");
    (lines, document)
}

/// Puts an agreement in the place of another, in one step.
fn agree(home: &Home, recipient: &str, lines: &Lines, version: u32) {
    let (new, file) = (home.path("agreements/.nieuw"), home.path(&format!("agreements/{recipient}.toml")));
    fs::write(&new, lines.text(recipient, version)).unwrap();
    fs::rename(new, file).unwrap();
}

fn home() -> Home {
    let home = Home::new();
    fs::remove_file(home.path("agreements/99DE-noordzee-rekenroute.toml")).unwrap();
    home
}

/// Asks the gateway as a supplier, and reads its answer to the end.
fn ask(home: &Home, port: u16, client: &str) -> Option<Vec<(String, Fields<String>)>> {
    answer(&ask_for_text(home, port, client))
}

fn ask_for_text(home: &Home, port: u16, client: &str) -> String {
    let mut stream = try_connect(home, port, Some(client)).unwrap();
    send(&mut stream, &request(home, "leerlinggegevens_verzoek", ASK), "text/xml");
    read_all(&mut stream)
}

/// The records of an answer that came whole.
fn answer(text: &str) -> Option<Vec<(String, Fields<String>)>> {
    let (head, mut body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{text}");
    if !head.contains("transfer-encoding: chunked") {
        return read(body);
    }
    let mut whole = String::new();
    loop {
        let (length, rest) = body.split_once("\r\n").expect("a chunk");
        let length = usize::from_str_radix(length, 16).unwrap();
        whole += &rest[..length];
        body = rest[length..].strip_prefix("\r\n").expect("the end of a chunk");
        if length == 0 {
            return read(&whole);
        }
    }
}

/// Tells others to stop, also when whoever holds it fails.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Agreements change while suppliers ask: each answer is of the one or of the other, or refused where what it was of was
/// taken back before it left; and whoever asks after the change gets the new one.
#[test]
fn an_answer_is_never_of_two_agreements() {
    let (home, (lines, document)) = (home(), two_agreements(5));
    agree(&home, "noordzee", &lines[0], 1);
    let wanted = [0, 1].map(|which| allowed(&lines[which], &document));
    let which = |got| match [0, 1].map(|which| compare(&wanted[which], &got)) {
        [Ok(()), Err(_)] => 0,
        [Err(_), Ok(())] => 1,
        [one, other] => panic!("of neither agreement: {one:?}, {other:?}"),
    };
    let text = document.text.clone();
    let las = FakeLas::at_once(move |_, stream| write_xml(stream, &text));
    let served = Served::with(&home, &las, "", home.sluis(&["serve"]));
    let (port, stop, asked) = (served.gateway, AtomicBool::new(false), AtomicUsize::new(0));
    assert_eq!(which(ask(&home, port, "noordzee")), 0);
    let (sender, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for _ in 0..2 {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                while !stop.load(SeqCst) && asked.fetch_add(1, SeqCst) < 2_000 {
                    let text = ask_for_text(&home, port, "noordzee");
                    if !text.starts_with("HTTP/1.1 500 ") {
                        let _ = sender.send(which(answer(&text)));
                    }
                }
            });
        }
        drop(sender);
        for turn in 1..=24 {
            agree(&home, "noordzee", &lines[turn % 2], u32::try_from(turn % 2).unwrap() + 1);
            served.signal("-HUP");
            served.wait_for("configuration reloaded");
            assert_eq!(which(ask(&home, port, "noordzee")), turn % 2, "what is in force counts");
            // And for those that go on asking: after some answers of the one before, its own come.
            while answers.recv().expect("suppliers that ask") != turn % 2 {}
        }
    });
    served.stop();
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
}

/// An answer that is under way when the agreement changes ends as it began, though most of it is still to come: if what
/// it is of is still agreed on. If not, nothing more of it leaves.
#[test]
fn an_answer_under_way_keeps_its_agreement_or_breaks_off() {
    let (home, (lines, document)) = (home(), two_agreements(600));
    let wanted = [0, 1].map(|which| allowed(&lines[which], &document));
    let (las, release) = held_back(document.text.clone(), document.text.find("</leerlingen>").unwrap() - 9);
    agree(&home, "noordzee", &lines[0], 1);
    // Chunks leave as they come, also where there is a delivery before to hold them against.
    let served = Served::with(&home, &las, "held_bytes = 4096\n", home.sluis(&["serve"]));
    for (before, then, goes_on) in [(&lines[0], &lines[0], true), (&lines[0], &lines[1], false)] {
        agree(&home, "noordzee", before, 1);
        served.signal("-HUP");
        served.wait_for("configuration reloaded");
        let mut stream = connect(&home, &served, Some("noordzee"));
        send(&mut stream, &request(&home, "leerlinggegevens_verzoek", ASK), "text/xml");
        let begun = begin(&mut stream);
        agree(&home, "noordzee", then, 2);
        served.signal("-HUP");
        served.wait_for("configuration reloaded");
        release.send(true).unwrap();
        let text = String::from_utf8(begun).unwrap() + &read_all(&mut stream);
        if goes_on {
            compare(&wanted[0], &answer(&text)).unwrap();
        } else {
            assert!(!text.ends_with("0\r\n\r\n") && !text.contains("</leerlinggegevens>"), "it looks whole");
        }
    }
    release.send(true).unwrap();
    compare(&wanted[1], &ask(&home, served.gateway, "noordzee")).unwrap();
    served.stop();
}

/// Two suppliers ask at the same time: each gets what its own agreement allows, under names of its own.
#[test]
fn suppliers_at_once_each_get_their_own() {
    let (home, (lines, document)) = (home(), two_agreements(5));
    let clients = ["noordzee", "zuidzee"];
    let ca = tls::DevelopmentCa::new().unwrap();
    let zuidzee = ca.client("zuidzee.example").unwrap();
    fs::write(home.path("certs/zuidzee.pem"), zuidzee.certificate).unwrap();
    fs::write(home.path("certs/zuidzee.key"), zuidzee.private_key).unwrap();
    fs::set_permissions(home.path("certs/zuidzee.key"), fs::Permissions::from_mode(0o600)).unwrap();
    home.edit("certs/ca.pem", |own| own + ca.certificate());
    home.edit("sluis.toml", |text| {
        text + "\n[[recipient]]\nid = \"zuidzee\"\nname = \"Zuidzee\"\n\
                certificate = { subject_alt_name = \"zuidzee.example\" }\n"
    });
    for (client, lines) in clients.into_iter().zip(&lines) {
        agree(&home, client, lines, 1);
    }
    let wanted = [0, 1].map(|which| allowed(&lines[which], &document));
    let text = document.text.clone();
    let las = FakeLas::at_once(move |_, stream| write_xml(stream, &text));
    let served = Served::with(&home, &las, "", home.sluis(&["serve"]));
    let (port, turns) = (served.gateway, Barrier::new(4));
    let names = std::thread::scope(|scope| {
        let asking = [0, 1, 0, 1].map(|which| {
            let (home, wanted, turns) = (&home, &wanted, &turns);
            scope.spawn(move || {
                let answers: Vec<_> = (0..12)
                    .map(|_| {
                        turns.wait();
                        ask(home, port, clients[which])
                    })
                    .collect();
                let mut names = BTreeSet::new();
                for got in answers {
                    compare(&wanted[which], &got).unwrap_or_else(|what| panic!("{}: {what}", clients[which]));
                    compare(&wanted[1 - which], &got).expect_err("it is not what the other gets");
                    let persons = got.unwrap().into_iter().filter(|(kind, _)| kind.starts_with("leer"));
                    names.extend(persons.map(|(kind, fields)| fields[&format!("{kind}.key")][0].clone()));
                }
                names
            })
        });
        asking.map(|asking| asking.join().unwrap())
    });
    assert_eq!((&names[0], &names[1]), (&names[2], &names[3]), "the same each time");
    assert_eq!(names[0].len(), 9);
    assert!(names[0].is_disjoint(&names[1]), "and to each other ones");
    served.stop();
}
