//! Files of TOML as trees: written out in both ways that TOML has for tables, with the line of each place, and changed at
//! one place.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use toml::{Table, Value};

/// What follows one another to a place in a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    At(usize),
    Key(String),
}

pub(super) type Place = Vec<Step>;

/// A tree as a file, with the line of each place in it.
pub(super) struct Written {
    pub(super) text: String,
    pub(super) lines: BTreeMap<Place, usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Style {
    /// Tables with headers, each key on a line of its own.
    Headers,
    /// Each key of the file on one line, with all that is in it.
    Inline,
}

impl Written {
    pub(super) fn new(tree: &Table, style: Style) -> Self {
        let mut written = Self { text: String::new(), lines: BTreeMap::new() };
        match style {
            Style::Headers => written.table(tree, &mut Vec::new()),
            Style::Inline => {
                for (key, value) in tree {
                    let line = written.line();
                    written.text += &format!("{} = {}\n", name(key), inline(value));
                    let at = vec![Step::Key(key.clone())];
                    written.note(value, at, line);
                }
            }
        }
        written
    }

    fn line(&self) -> usize {
        self.text.matches('\n').count() + 1
    }

    /// All that is in a value stands on its line.
    fn note(&mut self, value: &Value, at: Place, line: usize) {
        let with = |step| at.iter().cloned().chain([step]).collect();
        match value {
            Value::Table(table) => {
                table.iter().for_each(|(key, value)| self.note(value, with(Step::Key(key.clone())), line));
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, value)| self.note(value, with(Step::At(i)), line));
            }
            _ => {}
        }
        self.lines.insert(at, line);
    }

    fn table(&mut self, table: &Table, at: &mut Place) {
        let (tables, plain): (Vec<_>, Vec<_>) = table.iter().partition(|(_, value)| has_header(value));
        for (key, value) in plain {
            at.push(Step::Key(key.clone()));
            let line = self.line();
            self.note(value, at.clone(), line);
            self.text += &format!("{} = {}\n", name(key), inline(value));
            at.pop();
        }
        for (key, value) in tables {
            at.push(Step::Key(key.clone()));
            let keys = at.iter().filter_map(|step| match step {
                Step::At(_) => None,
                Step::Key(key) => Some(name(key)),
            });
            let header = keys.collect::<Vec<_>>().join(".");
            self.lines.insert(at.clone(), self.line());
            match value {
                Value::Array(items) => {
                    for (i, item) in items.iter().enumerate() {
                        at.push(Step::At(i));
                        self.lines.insert(at.clone(), self.line());
                        self.text += &format!("[[{header}]]\n");
                        self.table(item.as_table().unwrap(), at);
                        at.pop();
                    }
                }
                inner => {
                    self.text += &format!("[{header}]\n");
                    self.table(inner.as_table().unwrap(), at);
                }
            }
            at.pop();
        }
    }
}

fn has_header(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_table),
        value => value.is_table(),
    }
}

pub(super) fn name(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if bare { key.to_owned() } else { quoted(key) }
}

pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(plain).collect::<String>())
}

pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Boolean(truth) => truth.to_string(),
        Value::Datetime(date) => date.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Integer(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Table(table) => {
            let pairs = table.iter().map(|(key, value)| format!("{} = {}", name(key), inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A tree as JSON Schema sees it.
pub(super) fn json(value: &Value) -> Json {
    match value {
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Boolean(truth) => (*truth).into(),
        Value::Datetime(date) => date.to_string().into(),
        Value::Float(number) => (*number).into(),
        Value::Integer(number) => (*number).into(),
        Value::String(text) => text.as_str().into(),
        Value::Table(table) => table.iter().map(|(key, inner)| (key.clone(), json(inner))).collect(),
    }
}

/// All places of a tree, from the top.
fn places(value: &Value, at: Place, found: &mut Vec<Place>) {
    let with = |step| at.iter().cloned().chain([step]).collect();
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| places(item, with(Step::At(i)), found));
        }
        Value::Table(table) => {
            table.iter().for_each(|(key, inner)| places(inner, with(Step::Key(key.clone())), found));
        }
        _ => {}
    }
    if !at.is_empty() {
        found.push(at);
    }
}

pub(super) fn all_places(tree: &Table) -> Vec<Place> {
    let mut found = Vec::new();
    places(&Value::Table(tree.clone()), Vec::new(), &mut found);
    found
}

pub(super) fn at<'t>(tree: &'t mut Value, place: &[Step]) -> &'t mut Value {
    place.iter().fold(tree, |value, step| match step {
        Step::At(index) => &mut value.as_array_mut().unwrap()[*index],
        Step::Key(key) => value.as_table_mut().unwrap().get_mut(key).unwrap(),
    })
}

/// A copy of a tree in which one place was changed.
pub(super) fn changed(tree: &Table, place: &[Step], change: impl FnOnce(&mut Value)) -> Table {
    let mut tree = Value::Table(tree.clone());
    change(at(&mut tree, place));
    let Value::Table(tree) = tree else { panic!("the file itself stays a table") };
    tree
}

/// A key by its place in a schema: items of an array stand at `[]`.
pub(super) fn by_schema(place: &[Step]) -> String {
    let steps = place.iter().map(|step| match step {
        Step::At(_) => "[]",
        Step::Key(key) => key,
    });
    steps.collect::<Vec<_>>().join("/")
}
