//! One record of a feed: a pupil, a teacher, a group. Read by decoders, cut down by policy, written by encoders.

use std::ops::Range;

use crate::{
    catalogue::{FieldId, NodeId, RecordId},
    token::Token,
};

/// One thing in a record: an element that holds others, or a value.
#[derive(Clone, Copy)]
pub struct Item {
    /// Where it stands.
    pub node: NodeId,
    /// Which attribute of the node holds the value; none: its text.
    pub attribute: Option<u8>,
    /// The field; none for an element that holds others.
    pub field: Option<FieldId>,
    /// Index just after the last item inside this one.
    pub end: u32,
    from: u32,
    to: u32,
}

impl Item {
    /// Bytes one takes, its value apart.
    pub const BYTES: usize = size_of::<Self>();
}

/// A record as a list of items in document order; what is inside an item follows it at once.
///
/// Not printable: it holds a person's data.
#[derive(Clone)]
pub struct Record {
    /// What kind it is.
    pub kind: RecordId,
    /// The element it stands at.
    pub root: NodeId,
    /// How many parts of it the catalogue did not know.
    pub unknown: u32,
    /// Bits of the fields that were there and are not among the items.
    pub left_out: u64,
    items: Vec<Item>,
    text: String,
    open: Vec<usize>,
}

impl Record {
    /// An empty record.
    pub fn new(kind: RecordId, root: NodeId) -> Self {
        Self { kind, root, unknown: 0, left_out: 0, items: Vec::new(), text: String::new(), open: Vec::new() }
    }

    /// Takes a token between [`Token::Record`] and its end. Returns whether the record is complete.
    pub fn take(&mut self, token: &Token<'_>) -> bool {
        match *token {
            Token::Field { node, attribute, field, value } => self.push(node, attribute, field, value),
            Token::Group(node) => self.open(node),
            Token::Unknown(_) => self.unknown = self.unknown.saturating_add(1),
            Token::End if self.open.is_empty() => return true,
            Token::End => self.close(),
            Token::Envelope
            | Token::Fault(_)
            | Token::Feed(_)
            | Token::NoChanges(_)
            | Token::NoData(_)
            | Token::Record(..)
            | Token::SectionEnd(_) => {}
        }
        false
    }

    /// Adds a value.
    pub fn push(&mut self, node: NodeId, attribute: Option<u8>, field: FieldId, value: &str) {
        let from = self.text.len();
        self.text.push_str(value);
        let end = index(self.items.len() + 1);
        self.items.push(Item {
            node,
            attribute,
            field: Some(field),
            end,
            from: index(from),
            to: index(self.text.len()),
        });
    }

    /// Adds a value that `write` appends to the text it is given.
    pub fn push_with(
        &mut self,
        node: NodeId,
        attribute: Option<u8>,
        field: FieldId,
        write: impl FnOnce(&mut String),
    ) {
        let from = self.text.len();
        write(&mut self.text);
        let end = index(self.items.len() + 1);
        self.items.push(Item {
            node,
            attribute,
            field: Some(field),
            end,
            from: index(from),
            to: index(self.text.len()),
        });
    }

    /// Opens an element that holds others.
    pub fn open(&mut self, node: NodeId) {
        self.open.push(self.items.len());
        let at = index(self.text.len());
        self.items.push(Item { node, attribute: None, field: None, end: u32::MAX, from: at, to: at });
    }

    /// Closes the element opened last.
    pub fn close(&mut self) {
        let at = self.open.pop().expect("only what is open is closed");
        self.items[at].end = index(self.items.len());
    }

    /// Removes the element opened last, with all that is inside.
    pub fn discard(&mut self) {
        let at = self.open.pop().expect("only what is open is discarded");
        self.text.truncate(self.items[at].from as usize);
        self.items.truncate(at);
    }

    /// Index of the element opened last.
    pub fn open_item(&self) -> usize {
        *self.open.last().expect("an element is open")
    }

    /// Empties it, keeping its memory.
    pub fn reset(&mut self, kind: RecordId, root: NodeId) {
        self.kind = kind;
        self.root = root;
        self.unknown = 0;
        self.left_out = 0;
        self.items.clear();
        self.text.clear();
        self.open.clear();
    }

    /// All items.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// An item's value; empty for an element that holds others.
    pub fn value(&self, item: &Item) -> &str {
        &self.text[item.from as usize..item.to as usize]
    }

    /// The first value of a field that is not empty: an empty one is not said, and the next may be.
    pub fn find(&self, field: FieldId) -> Option<&str> {
        self.values(field).next()
    }

    /// All values of a field that are not empty.
    pub fn values(&self, field: FieldId) -> impl Iterator<Item = &str> {
        let values = self.items.iter().filter(move |item| item.field == Some(field));
        values.map(|item| self.value(item)).filter(|value| !value.is_empty())
    }

    /// Bytes it holds on to, whatever is in it.
    pub fn capacity(&self) -> usize {
        self.text.capacity() + self.items.capacity() * Item::BYTES
    }

    /// Bytes it takes, roughly: what bounds on buffers count.
    pub fn weight(&self) -> usize {
        self.text.len() + self.items.len() * Item::BYTES + size_of::<Self>()
    }
}

/// Records that wait, one after the other in one piece of memory: each takes as much as is in it. With each stands a note.
///
/// Not printable, as a record is not.
pub struct Records<N> {
    kept: Vec<(Kept, N)>,
    items: Vec<Item>,
    text: String,
}

/// Where a record is, and what is not among its items.
struct Kept {
    kind: RecordId,
    root: NodeId,
    unknown: u32,
    left_out: u64,
    items: Range<usize>,
    text: Range<usize>,
}

impl<N> Default for Records<N> {
    fn default() -> Self {
        Self { kept: Vec::new(), items: Vec::new(), text: String::new() }
    }
}

impl<N: Copy> Records<N> {
    /// Memory that is kept, in bytes, when they go: one large record would else take its room for as long as others come.
    const SPARE: usize = 512 * 1024;

    /// Adds a copy of a complete record.
    pub fn push(&mut self, record: &Record, note: N) {
        let (items, text) = (self.items.len(), self.text.len());
        self.items.extend_from_slice(&record.items);
        self.text.push_str(&record.text);
        let kept = Kept {
            kind: record.kind,
            root: record.root,
            unknown: record.unknown,
            left_out: record.left_out,
            items: items..self.items.len(),
            text: text..self.text.len(),
        };
        self.kept.push((kept, note));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// What kind the one at `at` is, counted from 0.
    pub fn kind(&self, at: usize) -> RecordId {
        self.kept[at].0.kind
    }

    /// Makes `record` what the one at `at` is, and returns its note.
    pub fn read(&self, at: usize, record: &mut Record) -> N {
        let (kept, note) = &self.kept[at];
        record.reset(kept.kind, kept.root);
        record.unknown = kept.unknown;
        record.left_out = kept.left_out;
        record.items.extend_from_slice(&self.items[kept.items.clone()]);
        record.text.push_str(&self.text[kept.text.clone()]);
        *note
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.items.clear();
        self.text.clear();
        if self.text.capacity() + self.items.capacity() * Item::BYTES > Self::SPARE {
            (self.items, self.text) = (Vec::new(), String::new());
        }
    }
}

/// The decoder's `record_bytes` bounds records to far less than this.
fn index(at: usize) -> u32 {
    u32::try_from(at).expect("a record is smaller than 4 GiB")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::catalogue::{Tree, catalogue};

    fn record(kind: &str, values: &[(&str, &str)]) -> Record {
        let mut record = Record::new(catalogue().record_named(kind), Tree::DOCUMENT);
        for (field, value) in values {
            record.push(Tree::DOCUMENT, None, catalogue().field_named(field), value);
        }
        record
    }

    #[test]
    fn records_come_back_as_they_were_whatever_they_are_read_into() {
        let mut pupil = record("leerling", &[("leerling.roepnaam", "Jip"), ("leerling.achternaam", "")]);
        (pupil.unknown, pupil.left_out) = (3, 0b101);
        let group = record("groep", &[("groep.naam", "4a")]);
        let mut records = Records::default();
        assert!(records.is_empty());
        records.push(&pupil, 'p');
        records.push(&group, 'g');
        assert_eq!((records.len(), records.kind(1)), (2, group.kind));
        let mut out = record("leerkracht", &[("leerkracht.achternaam", "longer than all that comes")]);
        for (at, (wanted, note)) in [(&pupil, 'p'), (&group, 'g'), (&pupil, 'p')].into_iter().enumerate() {
            assert_eq!(records.read(at % 2, &mut out), note);
            assert_eq!((out.kind, out.unknown, out.left_out), (wanted.kind, wanted.unknown, wanted.left_out));
            let values = |record: &Record| -> Vec<_> {
                record.items().iter().map(|item| (item.field, record.value(item).to_owned())).collect()
            };
            assert_eq!(values(&out), values(wanted));
        }
        records.clear();
        assert!(records.is_empty());
    }

    #[test]
    fn one_large_record_does_not_keep_its_room() {
        let long = "a".repeat(Records::<()>::SPARE);
        let mut records = Records::default();
        records.push(&record("leerling", &[("leerling.roepnaam", "Jip")]), ());
        records.clear();
        assert!(records.text.capacity() > 0);
        records.push(&record("leerling", &[("leerling.roepnaam", &long)]), ());
        records.clear();
        assert_eq!(records.text.capacity(), 0);
    }
}
