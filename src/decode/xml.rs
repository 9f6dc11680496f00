//! XML → tokens: SOAP envelopes, EDEXML files and bare messages, in one pass and constant memory.
//!
//! Tolerant in order and content, strict in form: what is not well-formed, and every construct the standards have
//! no use for (DOCTYPE, entities beyond the five), stops the document.

use std::{fmt, io::Read};

use quick_xml::{
    Reader, XmlVersion,
    errors::{Error as XmlError, IllFormedError},
    escape::resolve_predefined_entity,
    events::{BytesStart, Event},
};

use super::input::{Charset, Input, Limits, Stop};
use crate::{
    catalogue::{Kind as FieldKind, Namespace, NodeId, Role, Tree, catalogue},
    record::Item,
    token::{Sink, Token},
};

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
const XSI_NAMESPACE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Why a document was refused. None of them holds anything of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// More attributes on an element than the limit.
    Attributes,
    /// A character XML does not allow, as itself or by reference.
    Character,
    /// More elements inside one another than the limit.
    Depth,
    /// A document type declaration.
    Doctype,
    /// Bytes that contradict the declared encoding, or are none of it.
    Encoding,
    /// An encoding other than UTF-8, UTF-16 and ISO-8859-1.
    EncodingUnsupported,
    /// An entity beyond `amp`, `lt`, `gt`, `apos` and `quot`.
    Entity,
    /// The source failed: connection lost, time out, unreadable file.
    Io(std::io::ErrorKind),
    /// A name longer than the limit.
    Name,
    /// Not the root element of a message Sluis knows.
    NotAMessage,
    /// Not well-formed.
    NotWellFormed,
    /// A record larger than the limit.
    Record,
    /// A second element or text after the document element, or a second message in a SOAP body.
    SecondRoot,
    /// Larger than the limit.
    Size,
    /// A value, comment or tag longer than the limit.
    Text,
    /// Ends before it is complete.
    Truncated,
}

/// Why a document was refused, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// Why.
    pub kind: Kind,
    /// The line reached, counted from 1.
    pub line: u64,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Attributes => "an element has more attributes than limits.attributes allows",
            Kind::Character => "a character that XML 1.0 does not allow",
            Kind::Depth => "elements are nested deeper than limits.depth allows",
            Kind::Doctype => "a DOCTYPE; remove it, the standards use none",
            Kind::Encoding => {
                "bytes contradict the declared character encoding; declare the encoding that is used"
            }
            Kind::EncodingUnsupported => "an unsupported character encoding; use UTF-8, UTF-16 or ISO-8859-1",
            Kind::Entity => "an entity other than the five of XML; write the character itself",
            Kind::Io(_) => "the source broke off or could not be read",
            Kind::Name => "a name is longer than limits.name_bytes allows",
            Kind::NotAMessage => {
                "not a UWLR message or EDEXML file: the document element or SOAP body is unknown"
            }
            Kind::NotWellFormed => "not well-formed XML",
            Kind::Record => "a record takes more than limits.record_bytes allows",
            Kind::SecondRoot => "content after the document element, or a second message in the SOAP body",
            Kind::Size => "larger than limits.total_bytes allows",
            Kind::Text => "a value, comment or tag is longer than limits.text_bytes allows",
            Kind::Truncated => "the document ends before it is complete",
        };
        write!(f, "line {}: {what}", self.line)
    }
}

impl std::error::Error for DecodeError {}

/// Either half of a decoding can end it.
#[derive(Debug)]
pub enum Error<E> {
    /// The document.
    Decode(DecodeError),
    /// The sink.
    Sink(E),
}

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
    let mut reader = Reader::from_reader(Input::new(source, charset, limits));
    reader.config_mut().check_comments = false;
    let mut walk = Walk::new(limits, sink);
    let mut buffer = Vec::with_capacity(1024);
    loop {
        buffer.clear();
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(error) => {
                let kind = kind_of(&error);
                return Err(Error::Decode(DecodeError { kind, line: reader.get_ref().line() }));
            }
        };
        let ended = matches!(event, Event::Eof);
        let done = if let Event::Decl(declaration) = event {
            walk.declaration(&declaration, reader.get_ref())
        } else {
            walk.event(event)
        };
        if let Err(stop) = done {
            return Err(match stop {
                Halt::Decode(kind) => Error::Decode(DecodeError { kind, line: reader.get_ref().line() }),
                Halt::Sink(error) => Error::Sink(error),
            });
        }
        if ended {
            return Ok(());
        }
        reader.get_mut().event_done();
    }
}

/// The text of an [`XmlError`] quotes the document; only its kind goes on.
fn kind_of(error: &XmlError) -> Kind {
    match error {
        XmlError::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<Stop>()) {
            Some(Stop::Contradiction | Stop::Undecodable) => Kind::Encoding,
            Some(Stop::Stretch) => Kind::Text,
            Some(Stop::Total) => Kind::Size,
            Some(Stop::Unsupported) => Kind::EncodingUnsupported,
            None => Kind::Io(error.kind()),
        },
        XmlError::Syntax(_) | XmlError::IllFormed(IllFormedError::MissingEndTag(_)) => Kind::Truncated,
        XmlError::Encoding(_) => Kind::Encoding,
        XmlError::Escape(error) => escape_kind(error),
        XmlError::IllFormed(_) | XmlError::InvalidAttr(_) | XmlError::Namespace(_) => Kind::NotWellFormed,
    }
}

fn escape_kind(error: &quick_xml::escape::EscapeError) -> Kind {
    use quick_xml::escape::EscapeError;
    match error {
        EscapeError::InvalidCharRef(_) => Kind::Character,
        EscapeError::UnrecognizedEntity(..) => Kind::Entity,
        EscapeError::TooManyNestedEntities | EscapeError::UnterminatedEntity(_) => Kind::NotWellFormed,
    }
}

enum Halt<E> {
    Decode(Kind),
    Sink(E),
}

/// An element the tree knows and that is open.
struct Open {
    node: NodeId,
    /// Where among the children to look first.
    next: usize,
    /// Whether a token closes it.
    ends: bool,
}

struct Binding {
    depth: usize,
    prefix: Box<str>,
    namespace: Bound,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Catalogue(Namespace),
    Xml,
    Xsi,
}

struct Walk<'s, S> {
    tree: &'static Tree,
    limits: Limits,
    sink: &'s mut S,
    open: Vec<Open>,
    /// Elements open inside one that the tree does not know.
    ignored: usize,
    bindings: Vec<Binding>,
    text: String,
    values: String,
    /// Bytes that the record takes of whoever collects it, so far.
    record: usize,
    started: bool,
    root_done: bool,
    message_seen: bool,
    first: bool,
}

impl<'s, S: Sink> Walk<'s, S> {
    fn new(limits: &Limits, sink: &'s mut S) -> Self {
        Self {
            tree: catalogue().tree(),
            limits: *limits,
            sink,
            open: vec![Open { node: Tree::DOCUMENT, next: 0, ends: false }],
            ignored: 0,
            bindings: vec![Binding { depth: 0, prefix: "xml".into(), namespace: Bound::Xml }],
            text: String::new(),
            values: String::new(),
            record: 0,
            started: false,
            root_done: false,
            message_seen: false,
            first: true,
        }
    }

    fn declaration<R: Read>(
        &mut self,
        declaration: &quick_xml::events::BytesDecl<'_>,
        input: &Input<R>,
    ) -> Result<(), Halt<S::Error>> {
        if !std::mem::replace(&mut self.first, false) {
            return Err(Halt::Decode(Kind::NotWellFormed));
        }
        declaration.xml_version().map_err(|_| Halt::Decode(Kind::NotWellFormed))?;
        match declaration.encoding() {
            None => Ok(()),
            Some(Err(_)) => Err(Halt::Decode(Kind::NotWellFormed)),
            Some(Ok(label)) => match input.declared(&label) {
                Ok(()) => Ok(()),
                Err(Stop::Unsupported) => Err(Halt::Decode(Kind::EncodingUnsupported)),
                Err(Stop::Contradiction | Stop::Stretch | Stop::Total | Stop::Undecodable) => {
                    Err(Halt::Decode(Kind::Encoding))
                }
            },
        }
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Halt<S::Error>> {
        self.first = false;
        match event {
            Event::Start(start) => self.element(&start),
            Event::Empty(start) => {
                self.element(&start)?;
                self.close()
            }
            Event::End(_) => self.close(),
            Event::Text(text) => self.characters(&text.xml10_content()),
            Event::CData(data) => {
                if self.depth() == 0 {
                    return Err(Halt::Decode(Kind::NotWellFormed));
                }
                self.characters(&data.xml10_content())
            }
            Event::GeneralRef(reference) => {
                if self.depth() == 0 {
                    return Err(Halt::Decode(Kind::NotWellFormed));
                }
                match reference.resolve_char_ref() {
                    Ok(Some(character)) => {
                        let mut bytes = [0; 4];
                        self.characters(character.encode_utf8(&mut bytes))
                    }
                    Ok(None) => match resolve_predefined_entity(&reference) {
                        Some(text) => self.characters(text),
                        None => Err(Halt::Decode(Kind::Entity)),
                    },
                    Err(_) => Err(Halt::Decode(Kind::Character)),
                }
            }
            Event::Comment(_) | Event::PI(_) => Ok(()),
            Event::DocType(_) => Err(Halt::Decode(Kind::Doctype)),
            Event::Decl(_) => Err(Halt::Decode(Kind::NotWellFormed)),
            Event::Eof => {
                if self.root_done {
                    Ok(())
                } else {
                    Err(Halt::Decode(Kind::Truncated))
                }
            }
        }
    }

    fn depth(&self) -> usize {
        self.open.len() - 1 + self.ignored
    }

    fn characters(&mut self, text: &str) -> Result<(), Halt<S::Error>> {
        if !text.bytes().all(is_plain) && !text.chars().all(is_xml_character) {
            return Err(Halt::Decode(Kind::Character));
        }
        if self.ignored > 0 {
            return Ok(());
        }
        let top = self.open.last().expect("the document is always open").node;
        let node = self.tree.node(top);
        if matches!(node.role, Role::Field | Role::FaultCode) {
            if self.text.len() + text.len() > self.limits.text_bytes {
                return Err(Halt::Decode(Kind::Text));
            }
            self.text.push_str(text);
            return Ok(());
        }
        if text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            return Ok(());
        }
        if node.role == Role::Document {
            return Err(Halt::Decode(if self.root_done { Kind::SecondRoot } else { Kind::NotWellFormed }));
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
            return Err(Halt::Decode(Kind::Record));
        }
        self.sink.token(token).map_err(Halt::Sink)
    }

    fn element(&mut self, start: &BytesStart<'_>) -> Result<(), Halt<S::Error>> {
        if self.root_done {
            return Err(Halt::Decode(Kind::SecondRoot));
        }
        self.started = true;
        if self.depth() >= self.limits.depth {
            return Err(Halt::Decode(Kind::Depth));
        }
        let depth = self.depth() + 1;
        let name = start.name();
        if name.as_ref().len() > self.limits.name_bytes {
            return Err(Halt::Decode(Kind::Name));
        }
        self.bind(start, depth)?;
        let (prefix, local) = split(name.as_ref());
        let namespace = self.resolve(prefix.unwrap_or(""), prefix.is_some())?;
        if self.ignored > 0 {
            self.ignored += 1;
            return Ok(());
        }
        let top = self.open.last_mut().expect("the document is always open");
        let parent = top.node;
        let found = match namespace {
            Bound::Catalogue(namespace) => self.tree.descend(parent, namespace, local, top.next),
            Bound::Xml | Bound::Xsi => None,
        };
        let Some((at, node)) = found else { return self.unknown(parent) };
        // A repeating element is most likely followed by its like.
        top.next = at;
        self.enter(node, start)
    }

    fn unknown(&mut self, parent: NodeId) -> Result<(), Halt<S::Error>> {
        self.ignored = 1;
        match self.tree.node(parent).role {
            Role::Body | Role::Document => Err(Halt::Decode(Kind::NotAMessage)),
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
        self.tree.node(node).text.is_some_and(|field| catalogue().field(field).kind == FieldKind::Opaque)
    }

    fn enter(&mut self, id: NodeId, start: &BytesStart<'_>) -> Result<(), Halt<S::Error>> {
        let node = self.tree.node(id);
        let mut ends = false;
        let parent = self.tree.node(self.open.last().expect("the document is always open").node).role;
        let message = matches!(parent, Role::Body | Role::Document) && node.role != Role::Envelope;
        if message && std::mem::replace(&mut self.message_seen, true) {
            return Err(Halt::Decode(Kind::SecondRoot));
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
        self.open.push(Open { node: id, next: 0, ends });
        self.attributes(id, start)
    }

    /// Fields among the attributes; the rest is namespaces, schema hints, or unknown.
    fn attributes(&mut self, id: NodeId, start: &BytesStart<'_>) -> Result<(), Halt<S::Error>> {
        if start.attributes_raw().is_empty() {
            return Ok(());
        }
        let node = self.tree.node(id);
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| Halt::Decode(Kind::NotWellFormed))?;
            let name: &str = attribute.key.as_ref();
            let (prefix, local) = split(name);
            if name == "xmlns" || prefix == Some("xmlns") {
                continue;
            }
            if let Some(prefix) = prefix {
                match self.resolve(prefix, true)? {
                    Bound::Xml | Bound::Xsi => continue,
                    Bound::Catalogue(_) => {
                        self.push(Token::Unknown(id))?;
                        continue;
                    }
                }
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| Halt::Decode(kind_of(&error)))?;
            if !value.bytes().all(is_plain) && !value.chars().all(is_xml_character) {
                return Err(Halt::Decode(Kind::Character));
            }
            let Some(at) = node.attributes.iter().position(|known| *known.name == *local) else {
                self.push(Token::Unknown(id))?;
                continue;
            };
            if value.len() > self.limits.text_bytes {
                return Err(Halt::Decode(Kind::Text));
            }
            self.values.clear();
            self.values.push_str(value.trim());
            let values = std::mem::take(&mut self.values);
            let token = Token::Field {
                node: id,
                attribute: Some(u8::try_from(at).expect("few attributes")),
                field: node.attributes[at].field,
                value: &values,
            };
            let pushed = self.push(token);
            self.values = values;
            pushed?;
        }
        Ok(())
    }

    /// Namespace declarations of this element, and the limits on its attributes.
    fn bind(&mut self, start: &BytesStart<'_>, depth: usize) -> Result<(), Halt<S::Error>> {
        if start.attributes_raw().is_empty() {
            return Ok(());
        }
        for (count, attribute) in start.attributes().enumerate() {
            if count == self.limits.attributes {
                return Err(Halt::Decode(Kind::Attributes));
            }
            let attribute = attribute.map_err(|_| Halt::Decode(Kind::NotWellFormed))?;
            let name: &str = attribute.key.as_ref();
            if name.len() > self.limits.name_bytes {
                return Err(Halt::Decode(Kind::Name));
            }
            let (prefix, local) = split(name);
            let declared = match (prefix, local) {
                (None, "xmlns") => "",
                (Some("xmlns"), declared) => declared,
                _ => {
                    // Values of attributes that are dropped must be well-formed too.
                    attribute
                        .normalized_value(XmlVersion::Implicit1_0)
                        .map_err(|error| Halt::Decode(kind_of(&error)))?;
                    continue;
                }
            };
            let uri = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| Halt::Decode(kind_of(&error)))?;
            if matches!(declared, "xml" | "xmlns") || (uri.is_empty() && !declared.is_empty()) {
                return Err(Halt::Decode(Kind::NotWellFormed));
            }
            let namespace = match uri.as_ref() {
                XML_NAMESPACE => Bound::Xml,
                XSI_NAMESPACE => Bound::Xsi,
                uri => Bound::Catalogue(self.tree.namespace(uri)),
            };
            self.bindings.push(Binding { depth, prefix: declared.into(), namespace });
        }
        Ok(())
    }

    fn resolve(&self, prefix: &str, must: bool) -> Result<Bound, Halt<S::Error>> {
        match self.bindings.iter().rev().find(|binding| *binding.prefix == *prefix) {
            Some(binding) => Ok(binding.namespace),
            None if must => Err(Halt::Decode(Kind::NotWellFormed)),
            None => Ok(Bound::Catalogue(Namespace::NONE)),
        }
    }

    fn close(&mut self) -> Result<(), Halt<S::Error>> {
        let depth = self.depth();
        while self.bindings.last().is_some_and(|binding| binding.depth == depth && depth > 0) {
            self.bindings.pop();
        }
        if self.ignored > 0 {
            self.ignored -= 1;
            return Ok(());
        }
        let Open { node: id, ends, .. } =
            self.open.pop().expect("the reader matches end tags with start tags");
        let node = self.tree.node(id);
        match node.role {
            Role::Field => {
                let text = std::mem::take(&mut self.text);
                let field = node.text.expect("an element with role Field holds one");
                let value = if self.is_opaque(id) { "" } else { text.trim() };
                let token = Token::Field { node: id, attribute: None, field, value };
                let pushed = self.push(token);
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
                return Err(Halt::Decode(Kind::NotAMessage));
            }
        }
        Ok(())
    }
}

fn split(name: &str) -> (Option<&str>, &str) {
    match name.split_once(':') {
        Some((prefix, local)) => (Some(prefix), local),
        None => (None, name),
    }
}

/// A byte that needs no closer look: all of ASCII that XML allows, and UTF-8 that cannot be U+FFFE or U+FFFF.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0xEE)
}

/// XML 1.0, production 2.
fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}
