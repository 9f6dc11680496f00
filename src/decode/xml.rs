//! XML → tokens: SOAP envelopes, EDEXML files and bare messages, in one pass and constant memory.
//!
//! Tolerant in order and content, strict in form: what is not well-formed, and every construct the standards have
//! no use for (DOCTYPE, entities beyond the five), stops the document.
//!
//! A stretch of the document is held at a time, and tokens lend their values from it. A value is put together elsewhere
//! only where it does not stand in the document as it is: where it is in pieces, or holds references.

use std::{io::Read, ops::Range};

use super::{
    error::{DecodeError, Error, Kind},
    input::{Charset, Input, Limits},
    markup::{self, As, Attribute, Bounds, CLASSES, Class, is_name, split},
    namespaces::{Bound, Namespaces},
};
use crate::{
    catalogue::{Catalogue, Kind as FieldKind, NodeId, Role, Tree, catalogue},
    record::Item,
    token::{Sink, Token},
};

/// Reads one document to its end and pushes its tokens.
///
/// `charset` is what the transport said of the encoding, if anything.
///
/// # Errors
///
/// [`Error::Decode`] for the document, [`Error::Sink`] for what the sink refused. After either, what was pushed is
/// not a whole document and must not be treated as one.
pub fn decode<R: Read, S: Sink>(
    source: R,
    charset: Option<Charset>,
    limits: &Limits,
    sink: &mut S,
) -> Result<(), Error<S::Error>> {
    let mut input = Input::new(source, charset, limits);
    let mut walk = Walk::new(limits, sink);
    let failed = |input: &Input<R>, kind, at| Error::Decode(DecodeError { kind, line: input.line(at) });
    loop {
        let whole = !input.more().map_err(|stop| failed(&input, stop.into(), 0))?;
        let mut at = 0;
        let halted = loop {
            match walk.step(input.text(), &mut at, whole) {
                Ok(Step::More) => break Ok(()),
                Ok(Step::Declaration(label)) => {
                    // It says so of itself, where the input can tell.
                    let declared = input.text()[label.clone()].to_owned();
                    if let Err(stop) = input.declared(&declared) {
                        break Err(Halt::Decode(stop.into()));
                    }
                }
                Err(halt) => break Err(halt),
            }
        };
        match halted {
            Ok(()) => {}
            Err(Halt::Decode(kind)) => return Err(failed(&input, kind, at)),
            Err(Halt::Sink(error)) => return Err(Error::Sink(error)),
        }
        input.consume(at);
        if whole {
            // What is left over is the beginning of something.
            return if input.text().is_empty() && walk.root_done {
                Ok(())
            } else {
                Err(failed(&input, Kind::Truncated, 0))
            };
        }
    }
}

enum Halt<E> {
    Decode(Kind),
    Sink(E),
}

impl<E> From<Kind> for Halt<E> {
    fn from(kind: Kind) -> Self {
        Self::Decode(kind)
    }
}

/// Where a walk over what is held stops.
enum Step {
    /// The document declares an encoding: here.
    Declaration(Range<usize>),
    /// What follows is not complete.
    More,
}

/// An element the tree knows and that is open.
struct Open {
    node: NodeId,
    /// Where among the children to look first.
    next: usize,
    /// Where it is remembered what came next the last time.
    turn: usize,
    /// Whether a token closes it.
    ends: bool,
    /// Written with a prefix: its name is among the names.
    named: bool,
}

impl Open {
    fn new(node: NodeId, ends: bool, named: bool) -> Self {
        Self { node, next: 0, turn: 2 * node.index(), ends, named }
    }
}

struct Walk<'s, S> {
    catalogue: &'static Catalogue,
    tree: &'static Tree,
    limits: Limits,
    sink: &'s mut S,
    open: Vec<Open>,
    /// Which child came first in each place the last time, and which came next after each place: by its number among the
    /// children. Records are much like one another.
    turns: Vec<usize>,
    /// Elements open inside one that the tree does not know.
    ignored: usize,
    /// Names of open elements that are not those of their places, one after the other, and where each begins.
    names: String,
    named: Vec<usize>,
    namespaces: Namespaces,
    attributes: Vec<Attribute>,
    text: String,
    value: String,
    /// Bytes that the record takes of whoever collects it, so far.
    record: usize,
    root_done: bool,
    message_seen: bool,
    /// Nothing has been read yet.
    first: bool,
}

impl<'s, S: Sink> Walk<'s, S> {
    fn new(limits: &Limits, sink: &'s mut S) -> Self {
        let catalogue = catalogue();
        Self {
            catalogue,
            tree: catalogue.tree(),
            limits: *limits,
            sink,
            open: vec![Open::new(Tree::DOCUMENT, false, false)],
            turns: vec![0; 2 * catalogue.tree().nodes().len()],
            ignored: 0,
            names: String::new(),
            named: Vec::new(),
            namespaces: Namespaces::new(),
            attributes: Vec::new(),
            text: String::new(),
            value: String::new(),
            record: 0,
            root_done: false,
            message_seen: false,
            first: true,
        }
    }

    /// Goes on from `at`, as far as constructs are complete; `whole` when nothing follows. After an error, `at` is
    /// where it was noticed.
    fn step(&mut self, text: &str, at: &mut usize, whole: bool) -> Result<Step, Halt<S::Error>> {
        let bytes = text.as_bytes();
        loop {
            let (end, plain) = run_of_text(bytes, *at);
            if end == bytes.len() && !whole {
                return Ok(Step::More);
            }
            if end > *at {
                self.first = false;
                self.is_short(end - *at)?;
                self.characters(&text[*at..end], plain)?;
                *at = end;
            }
            let rest = &bytes[*at..];
            let Some(&next) = rest.get(1) else { return Ok(Step::More) };
            let taken = match next {
                b'/' => self.end_tag(text, *at)?,
                b'!' => self.declaration_or_comment(&text[*at..])?,
                b'?' => match self.instruction(text, *at)? {
                    Some((end, Some(label))) => {
                        *at = end;
                        return Ok(Step::Declaration(label));
                    }
                    instruction => instruction.map(|(end, _)| end - *at),
                },
                _ => self.start_tag(text, *at)?,
            };
            match taken {
                None => return Ok(Step::More),
                Some(length) => {
                    self.is_short(length)?;
                    *at += length;
                }
            }
            self.first = false;
        }
    }

    /// How much of it is held depends on how it was read; whether it is too long must not.
    fn is_short(&self, length: usize) -> Result<(), Kind> {
        if length > self.limits.stretch() { Err(Kind::Text) } else { Ok(()) }
    }

    fn depth(&self) -> usize {
        self.open.len() - 1 + self.ignored
    }

    /// `<!…`: how long it is; none when it is not complete.
    fn declaration_or_comment(&mut self, rest: &str) -> Result<Option<usize>, Halt<S::Error>> {
        const COMMENT: &str = "<!--";
        const CDATA: &str = "<![CDATA[";
        const DOCTYPE: &str = "<!DOCTYPE";
        if let Some(comment) = rest.strip_prefix(COMMENT) {
            let Some(length) = comment.find("-->") else { return Ok(None) };
            markup::check_comment(&comment[..length])?;
            return Ok(Some(COMMENT.len() + length + 3));
        }
        if let Some(data) = rest.strip_prefix(CDATA) {
            if self.depth() == 0 {
                return Err(Kind::NotWellFormed.into());
            }
            let Some(length) = data.find("]]>") else { return Ok(None) };
            self.pieces(&data[..length], As::CData)?;
            return Ok(Some(CDATA.len() + length + 3));
        }
        if rest.get(..DOCTYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(DOCTYPE)) {
            return Err(Kind::Doctype.into());
        }
        let may_be = [COMMENT, CDATA, DOCTYPE].iter().any(|whole| whole.starts_with(rest));
        if may_be { Ok(None) } else { Err(Kind::NotWellFormed.into()) }
    }

    /// `<?…?>` from `at`: where it ends, and where an encoding is declared.
    #[expect(clippy::type_complexity, reason = "used once")]
    fn instruction(
        &mut self,
        text: &str,
        at: usize,
    ) -> Result<Option<(usize, Option<Range<usize>>)>, Halt<S::Error>> {
        let Some(length) = text[at + 2..].find("?>") else { return Ok(None) };
        let content = &text[at + 2..at + 2 + length];
        let end = at + length + 4;
        let target =
            content.split(|c: char| c.is_ascii() && markup::is_space(c as u8)).next().unwrap_or_default();
        if target != "xml" {
            markup::check_instruction(target, content)?;
            return Ok(Some((end, None)));
        }
        // At the very beginning, or nowhere.
        if !self.first {
            return Err(Kind::NotWellFormed.into());
        }
        self.first = false;
        let label = markup::declared_encoding(&content[target.len()..])?;
        let place = label.and_then(|label| {
            let from = content.find(label)?;
            Some(at + 2 + from..at + 2 + from + label.len())
        });
        Ok(Some((end, place)))
    }

    /// Text between tags.
    fn characters(&mut self, text: &str, plain: bool) -> Result<(), Halt<S::Error>> {
        if plain {
            return self.piece(text);
        }
        // XML 1.0, production 14.
        if text.contains("]]>") {
            return Err(Kind::NotWellFormed.into());
        }
        self.pieces(text, As::Content)
    }

    /// Text that does not stand for itself.
    fn pieces(&mut self, text: &str, how: As) -> Result<(), Halt<S::Error>> {
        if self.depth() == 0 && text.contains('&') {
            return Err(Kind::NotWellFormed.into());
        }
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        let resolved = markup::resolve(text, how, &mut value);
        let done = resolved.map_err(Halt::from).and_then(|()| self.piece(&value));
        self.value = value;
        done
    }

    /// Text as its reader sees it.
    fn piece(&mut self, text: &str) -> Result<(), Halt<S::Error>> {
        if self.ignored > 0 {
            return Ok(());
        }
        let top = self.open.last().expect("the document is always open").node;
        let node = self.tree.node(top);
        if matches!(node.role, Role::Field | Role::FaultCode) {
            if self.text.len() + text.len() > self.limits.text_bytes {
                return Err(Kind::Text.into());
            }
            self.text.push_str(text);
            return Ok(());
        }
        if text.bytes().all(markup::is_space) {
            return Ok(());
        }
        if node.role == Role::Document {
            let kind = if self.root_done { Kind::SecondRoot } else { Kind::NotWellFormed };
            return Err(kind.into());
        }
        self.push(Token::Unknown(top))
    }

    fn push(&mut self, token: Token<'_>) -> Result<(), Halt<S::Error>> {
        // Whoever takes tokens has to hold a record whole before anything can be said of it: so it is bounded here.
        match token {
            Token::Record(..) => self.record = 0,
            Token::Field { value, .. } => self.record += Item::BYTES + value.len(),
            Token::Group(_) => self.record += Item::BYTES,
            Token::End
            | Token::Envelope
            | Token::Fault(_)
            | Token::Feed(_)
            | Token::NoChanges(_)
            | Token::NoData(_)
            | Token::SectionEnd(_)
            | Token::Unknown(_) => {}
        }
        if self.record > self.limits.record_bytes {
            return Err(Kind::Record.into());
        }
        self.sink.token(token).map_err(Halt::Sink)
    }

    /// `<name …>` from `at`, with the whole element where that is a value and nothing else.
    fn start_tag(&mut self, text: &str, at: usize) -> Result<Option<usize>, Halt<S::Error>> {
        if let Some((place, id, tag)) = self.foretold(text.as_bytes(), at) {
            self.is_shallow()?;
            self.follow(place, id);
            return self.known(text, &tag, &[], id, None).map(|end| Some(end - at));
        }
        let bounds = Bounds { name_bytes: self.limits.name_bytes, attributes: self.limits.attributes };
        let mut attributes = std::mem::take(&mut self.attributes);
        let tag = markup::tag(text, at + 1, bounds, &mut attributes);
        let done = match tag {
            Err(kind) => Err(kind.into()),
            Ok(None) => Ok(None),
            Ok(Some(tag)) => self.element(text, &tag, &attributes).map(|end| Some(end - at)),
        };
        self.attributes = attributes;
        done
    }

    /// The element that came here the last time, where it does so again: as `<name>`, and nothing else. It is what
    /// [`element`](Self::element) would find.
    fn foretold(&self, bytes: &[u8], at: usize) -> Option<(usize, NodeId, markup::Tag)> {
        let top = self.open.last().expect("the document is always open");
        if self.ignored > 0 || top.node == Tree::DOCUMENT {
            return None;
        }
        let place = self.turns[top.turn];
        let &id = self.tree.node(top.node).children.get(place)?;
        let node = self.tree.node(id);
        let name = at + 1..at + 1 + node.name.len();
        let here = bytes.get(name.clone())? == node.name.as_bytes()
            && bytes.get(name.end) == Some(&b'>')
            && self.namespaces.unprefixed() == Bound::Catalogue(node.namespace)
            && name.len() <= self.limits.name_bytes;
        let end = name.end + 1;
        here.then_some((place, id, markup::Tag { name, empty: false, end }))
    }

    /// A child that the tree knows is in its turn.
    fn follow(&mut self, place: usize, id: NodeId) {
        let top = self.open.last_mut().expect("the document is always open");
        // What may repeat is most likely followed by its like, all else by what comes after it.
        top.next = place + usize::from(!self.tree.node(id).many);
        self.turns[std::mem::replace(&mut top.turn, 2 * id.index() + 1)] = place;
    }

    fn is_shallow(&self) -> Result<(), Kind> {
        if self.depth() < self.limits.depth { Ok(()) } else { Err(Kind::Depth) }
    }

    /// An element begins. Returns where to go on.
    fn element(
        &mut self,
        text: &str,
        tag: &markup::Tag,
        attributes: &[Attribute],
    ) -> Result<usize, Halt<S::Error>> {
        if self.root_done {
            return Err(Kind::SecondRoot.into());
        }
        self.is_shallow()?;
        if !attributes.is_empty() {
            self.bind(text, attributes)?;
        }
        let name = &text[tag.name.clone()];
        let (prefix, local) = split(name);
        let namespace = match prefix {
            None => self.namespaces.unprefixed(),
            Some(prefix) => self.namespaces.resolve(prefix)?,
        };
        let mut found = None;
        if self.ignored == 0 {
            let &Open { node: parent, next, .. } = self.open.last().expect("the document is always open");
            if let Bound::Catalogue(namespace) = namespace {
                found = self.tree.descend(parent, namespace, local, next);
            }
            match found {
                Some((place, id)) => self.follow(place, id),
                None => self.unknown(parent)?,
            }
        }
        let Some((_, id)) = found else {
            if !is_name(name) {
                return Err(Kind::NotWellFormed.into());
            }
            for attribute in attributes {
                if let (Some(prefix), _) = split(&text[attribute.name.clone()])
                    && prefix != "xmlns"
                {
                    self.namespaces.resolve(prefix)?;
                }
            }
            self.ignored += 1;
            if !tag.empty {
                self.name(name);
            }
            return self.entered(tag);
        };
        self.known(text, tag, attributes, id, prefix.map(|_| name))
    }

    /// An element that the tree knows begins, `named` where it is written otherwise than in the tree. Returns where to go on.
    fn known(
        &mut self,
        text: &str,
        tag: &markup::Tag,
        attributes: &[Attribute],
        id: NodeId,
        named: Option<&str>,
    ) -> Result<usize, Halt<S::Error>> {
        if attributes.is_empty()
            && !tag.empty
            && let Some(end) = self.leaf(text, tag, id)?
        {
            return Ok(end);
        }
        self.enter(id, named.filter(|_| !tag.empty))?;
        self.attributes(id, text, attributes)?;
        self.entered(tag)
    }

    fn entered(&mut self, tag: &markup::Tag) -> Result<usize, Halt<S::Error>> {
        if tag.empty {
            self.close()?;
        }
        Ok(tag.end)
    }

    /// `<name>value</name>`, where that is all and all of it is here; most of a document is.
    fn leaf(&mut self, text: &str, tag: &markup::Tag, id: NodeId) -> Result<Option<usize>, Halt<S::Error>> {
        let node = self.tree.node(id);
        if node.role != Role::Field || !node.attributes.is_empty() {
            return Ok(None);
        }
        let bytes = text.as_bytes();
        let (end, plain) = run_of_text(bytes, tag.end);
        let Some(close) = bytes[end..].strip_prefix(b"</") else { return Ok(None) };
        let name = &bytes[tag.name.clone()];
        if !plain || !close.starts_with(name) || close.get(name.len()) != Some(&b'>') {
            return Ok(None);
        }
        if end - tag.end > self.limits.text_bytes {
            return Err(Kind::Text.into());
        }
        self.field(id, &text[tag.end..end])?;
        Ok(Some(end + 2 + name.len() + 1))
    }

    fn name(&mut self, name: &str) {
        self.named.push(self.names.len());
        self.names.push_str(name);
    }

    fn unknown(&mut self, parent: NodeId) -> Result<(), Halt<S::Error>> {
        match self.tree.node(parent).role {
            Role::Body | Role::Document => Err(Kind::NotAMessage.into()),
            Role::Header | Role::Envelope | Role::Fault => Ok(()),
            // What a vendor puts in its own block is expected to be unknown.
            Role::Field if self.is_opaque(parent) => Ok(()),
            Role::FaultCode
            | Role::Field
            | Role::Group
            | Role::Message(_)
            | Role::NoChanges
            | Role::NoData
            | Role::Record(_)
            | Role::Root(_)
            | Role::Section(_) => self.push(Token::Unknown(parent)),
        }
    }

    fn is_opaque(&self, node: NodeId) -> bool {
        self.tree.node(node).text.is_some_and(|field| self.catalogue.field(field).kind == FieldKind::Opaque)
    }

    /// An element that the tree knows begins; `name` where it is written otherwise than in the tree.
    fn enter(&mut self, id: NodeId, name: Option<&str>) -> Result<(), Halt<S::Error>> {
        let node = self.tree.node(id);
        let mut ends = false;
        let parent = self.tree.node(self.open.last().expect("the document is always open").node).role;
        let message = matches!(parent, Role::Body | Role::Document) && node.role != Role::Envelope;
        if message && std::mem::replace(&mut self.message_seen, true) {
            return Err(Kind::SecondRoot.into());
        }
        match node.role {
            Role::Body
            | Role::Document
            | Role::Fault
            | Role::Header
            | Role::Message(_)
            | Role::Section(_) => {}
            Role::Envelope => self.push(Token::Envelope)?,
            Role::FaultCode => self.text.clear(),
            Role::Field => {
                self.text.clear();
                if !node.attributes.is_empty() {
                    self.push(Token::Group(id))?;
                    ends = true;
                }
            }
            Role::Group => {
                self.push(Token::Group(id))?;
                ends = true;
            }
            Role::NoChanges | Role::NoData => {}
            Role::Record(record) => {
                self.push(Token::Record(record, id))?;
                ends = true;
            }
            Role::Root(feed) => self.push(Token::Feed(feed))?,
        }
        if let Some(name) = name {
            self.name(name);
        }
        self.open.push(Open::new(id, ends, name.is_some()));
        Ok(())
    }

    /// Fields among the attributes; the rest is namespaces, schema hints, or unknown.
    fn attributes(&mut self, id: NodeId, text: &str, attributes: &[Attribute]) -> Result<(), Halt<S::Error>> {
        let node = self.tree.node(id);
        for attribute in attributes {
            let (prefix, local) = split(&text[attribute.name.clone()]);
            match prefix {
                None if local == "xmlns" => continue,
                None => {}
                Some("xmlns") => continue,
                Some(prefix) => match self.namespaces.resolve(prefix)? {
                    Bound::Xml | Bound::Xsi => continue,
                    Bound::Catalogue(_) => {
                        self.push(Token::Unknown(id))?;
                        continue;
                    }
                },
            }
            let Some(at) = node.attributes.iter().position(|known| *known.name == *local) else {
                self.push(Token::Unknown(id))?;
                continue;
            };
            let mut resolved = std::mem::take(&mut self.value);
            let value = value_of(text, attribute, &mut resolved)?;
            if value.len() > self.limits.text_bytes {
                return Err(Kind::Text.into());
            }
            let token = Token::Field {
                node: id,
                attribute: Some(u8::try_from(at).expect("few attributes")),
                field: node.attributes[at].field,
                value: trimmed(value),
            };
            self.push(token)?;
            self.value = resolved;
        }
        Ok(())
    }

    /// Namespace declarations of the element that begins. All other attributes have to be well-formed too, those that
    /// are dropped included.
    fn bind(&mut self, text: &str, attributes: &[Attribute]) -> Result<(), Halt<S::Error>> {
        let depth = self.depth() + 1;
        for attribute in attributes {
            let name = &text[attribute.name.clone()];
            if !is_name(name) {
                return Err(Kind::NotWellFormed.into());
            }
            let prefix = match split(name) {
                (None, "xmlns") => "",
                (Some("xmlns"), prefix) => prefix,
                _ => {
                    if !attribute.plain {
                        value_of(text, attribute, &mut self.value)?;
                    }
                    continue;
                }
            };
            let uri = value_of(text, attribute, &mut self.value)?;
            self.namespaces.declare(depth, prefix, uri, self.tree)?;
        }
        if attributes.len() > 1 {
            let names = attributes.iter().map(|attribute| split(&text[attribute.name.clone()]));
            self.namespaces.differ(names)?;
        }
        Ok(())
    }

    /// `</name>` from `at`.
    fn end_tag(&mut self, text: &str, at: usize) -> Result<Option<usize>, Halt<S::Error>> {
        let rest = &text[at + 2..];
        if self.depth() == 0 {
            return Err(Kind::NotWellFormed.into());
        }
        let top = self.open.last().expect("the document is always open");
        let named = self.ignored > 0 || top.named;
        let name = if named {
            &self.names[*self.named.last().expect("an element that is named has a name")..]
        } else {
            &*self.tree.node(top.node).name
        };
        let Some(after) = rest.strip_prefix(name) else {
            let may_be = name.starts_with(rest);
            return if may_be { Ok(None) } else { Err(Kind::NotWellFormed.into()) };
        };
        let close = after.bytes().position(|byte| !markup::is_space(byte));
        let length = match close.map(|close| (close, after.as_bytes()[close])) {
            None => return Ok(None),
            Some((space, b'>')) => 2 + name.len() + space + 1,
            Some(_) => return Err(Kind::NotWellFormed.into()),
        };
        if named {
            let from = self.named.pop().expect("it was just there");
            self.names.truncate(from);
        }
        self.close()?;
        Ok(Some(length))
    }

    /// The element opened last ends.
    fn close(&mut self) -> Result<(), Halt<S::Error>> {
        let depth = self.depth();
        self.namespaces.leave(depth);
        if self.ignored > 0 {
            self.ignored -= 1;
            return Ok(());
        }
        let Open { node: id, ends, .. } =
            self.open.pop().expect("end tags have been matched with start tags");
        let node = self.tree.node(id);
        match node.role {
            Role::Field => {
                let text = std::mem::take(&mut self.text);
                let pushed = self.field(id, &text);
                self.text = text;
                pushed?;
            }
            Role::FaultCode => {
                let text = std::mem::take(&mut self.text);
                let (_, code) = split(text.trim());
                self.push(Token::Fault(code))?;
                self.text = text;
            }
            Role::NoChanges | Role::NoData => {
                let parent = self.open.last().expect("a marker stands in a message").node;
                if let Role::Message(feed) = self.tree.node(parent).role {
                    let no_data = node.role == Role::NoData;
                    self.push(if no_data { Token::NoData(feed) } else { Token::NoChanges(feed) })?;
                }
            }
            Role::Section(number) => self.push(Token::SectionEnd(number))?,
            Role::Body
            | Role::Document
            | Role::Envelope
            | Role::Fault
            | Role::Group
            | Role::Header
            | Role::Message(_)
            | Role::Record(_)
            | Role::Root(_) => {}
        }
        if ends {
            self.push(Token::End)?;
        }
        if self.open.len() == 1 {
            self.root_done = true;
            if !self.message_seen {
                return Err(Kind::NotAMessage.into());
            }
        }
        Ok(())
    }

    /// The text of an element with role Field.
    fn field(&mut self, id: NodeId, text: &str) -> Result<(), Halt<S::Error>> {
        let field = self.tree.node(id).text.expect("an element with role Field holds one");
        let value = if self.is_opaque(id) { "" } else { trimmed(text) };
        self.push(Token::Field { node: id, attribute: None, field, value })
    }
}

/// Where the text from `at` ends, and whether it stands for itself.
fn run_of_text(bytes: &[u8], at: usize) -> (usize, bool) {
    let mut plain = true;
    for (length, &byte) in bytes[at..].iter().enumerate() {
        match CLASSES[usize::from(byte)] {
            Class::Plain => {}
            Class::Look | Class::Reference => plain = false,
            Class::Markup => return (at + length, plain),
        }
    }
    (bytes.len(), plain)
}

/// As [`str::trim`]; of most values, both ends tell at once that there is nothing to do.
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// The value of an attribute, put together in `resolved` where it does not stand for itself.
fn value_of<'t>(text: &'t str, attribute: &Attribute, resolved: &'t mut String) -> Result<&'t str, Kind> {
    let value = &text[attribute.value.clone()];
    if attribute.plain {
        return Ok(value);
    }
    resolved.clear();
    markup::resolve(value, As::Attribute, resolved)?;
    Ok(resolved)
}
