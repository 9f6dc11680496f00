//! One record of a feed: a pupil, a teacher, a group. Read by decoders, cut down by policy, written by encoders.

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
    items: Vec<Item>,
    text: String,
    open: Vec<usize>,
}

impl Record {
    /// Room for a pupil of whom all is filled in that schools fill in.
    const ITEMS: usize = 48;
    const TEXT: usize = 640;

    /// An empty record.
    pub fn new(kind: RecordId, root: NodeId) -> Self {
        Self { kind, root, unknown: 0, items: Vec::new(), text: String::new(), open: Vec::new() }
    }

    /// The same, with room for a pupil. Of groups, which wait by the thousand, none has more than it needs.
    pub fn of_pupil(kind: RecordId, root: NodeId) -> Self {
        let (items, text) = (Vec::with_capacity(Self::ITEMS), String::with_capacity(Self::TEXT));
        Self { items, text, ..Self::new(kind, root) }
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

/// The decoder's `record_bytes` bounds records to far less than this.
fn index(at: usize) -> u32 {
    u32::try_from(at).expect("a record is smaller than 4 GiB")
}
