//! Documents of what the catalogue knows, each part of it there or not, and what stands in them.

use std::collections::{BTreeMap, BTreeSet};

use sluis::{
    catalogue::{Field, Kind, NodeId, Pattern, SOAP_NAMESPACE, catalogue},
    pseudonym::KeyKind,
};

use super::expected::RECORDS;

/// Bytes that decide what stands in a document, over and over.
pub(super) struct Tape<'t>(&'t [u8], usize);

impl Tape<'_> {
    pub(super) fn byte(&mut self) -> usize {
        self.1 += 1;
        usize::from(self.0[(self.1 - 1) % self.0.len()])
    }

    /// More often than not.
    pub(super) fn some(&mut self) -> bool {
        self.byte() >= 96
    }
}

/// A tape for a number.
pub(super) fn tape(seed: u32) -> Vec<u8> {
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
pub(super) struct Given {
    pub(super) field: String,
    pub(super) value: String,
    pub(super) inside: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct GivenRecord {
    pub(super) kind: String,
    pub(super) values: Vec<Given>,
}

/// A feed, and what stands in it.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) feed: &'static str,
    pub(super) text: String,
    pub(super) records: Vec<GivenRecord>,
}

pub(super) const FEEDS: [&str; 5] = ["leerlinggegevens", "structuur", "leerlingen", "leerkrachten", "edexml"];

/// Writes a document of what the catalogue knows, each part of it there or not.
pub(super) struct Writer<'t> {
    pub(super) tape: Tape<'t>,
    pub(super) number: usize,
    pub(super) keys: BTreeMap<&'static str, Vec<String>>,
    pub(super) choices: BTreeSet<u8>,
    pub(super) has_groups: bool,
    pub(super) out: String,
    pub(super) values: Vec<Given>,
}

impl<'t> Writer<'t> {
    /// A document with none to three records of each kind.
    pub(super) fn document(feed: &'static str, bytes: &'t [u8]) -> Document {
        Self::document_of(feed, bytes, &|tape, _| tape.byte() % 4)
    }

    /// The same, with as many records of a kind as `count` says.
    pub(super) fn document_of(
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

    pub(super) fn give(&mut self, field: &Field, value: &str, inside: Option<&String>) {
        let given = Given { field: field.name.clone(), value: value.to_owned(), inside: inside.cloned() };
        self.values.push(given);
    }

    pub(super) fn record(&mut self, kind: &str, node: NodeId) {
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

    pub(super) fn children(&mut self, node: NodeId, inside: Option<&String>) {
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
    pub(super) fn element(&mut self, node: NodeId, inside: Option<&String>) {
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
    pub(super) fn value(&mut self, field: &Field) -> Option<String> {
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
    pub(super) fn letters(&self, before: &str) -> String {
        let mut number = self.number;
        let mut text = before.to_owned();
        while number > 0 {
            text.push(char::from(b'a' + u8::try_from(number % 26).unwrap()));
            number /= 26;
        }
        text
    }
}
