//! A second reading of a document, by an XML parser of others and none of the code under test.

use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};
use roxmltree::{Document, Node, NodeType};
use sluis::{
    catalogue::{Kind, NodeId, Role, Tree, catalogue},
    decode::Charset,
};

/// The document as text, where its bytes are what it says they are, with the line ends of XML 1.0, section 2.11: roxmltree
/// itself leaves a carriage return before a reference as it is.
pub fn text(bytes: &[u8], hint: Option<Charset>) -> Option<String> {
    Some(decoded(bytes, hint)?.replace("\r\n", "\n").replace('\r', "\n"))
}

fn decoded(bytes: &[u8], hint: Option<Charset>) -> Option<String> {
    let (encoding, from) = match bytes {
        [0xEF, 0xBB, 0xBF, ..] => (None, 3),
        [0xFF, 0xFE, ..] => (Some(UTF_16LE), 2),
        [0xFE, 0xFF, ..] => (Some(UTF_16BE), 2),
        _ => {
            let charset = hint.or_else(|| Charset::parse(declared(bytes)?)).unwrap_or(Charset::Utf8);
            ((charset == Charset::Latin1).then_some(WINDOWS_1252), 0)
        }
    };
    let bytes = &bytes[from..];
    match encoding {
        None => Some(std::str::from_utf8(bytes).ok()?.to_owned()),
        Some(encoding) => {
            encoding.decode_without_bom_handling_and_without_replacement(bytes).map(|text| text.into_owned())
        }
    }
}

fn declared(bytes: &[u8]) -> Option<&str> {
    let end = bytes.windows(2).position(|pair| pair == b"?>")?;
    let (_, after) = std::str::from_utf8(&bytes[..end]).ok()?.split_once("encoding")?;
    after.split(['"', '\'']).nth(1)
}

/// What a reader of the catalogue's tree should see, in document order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    End,
    Envelope,
    Fault(String),
    Feed(usize),
    Field { node: NodeId, attribute: Option<u8>, field: usize, value: String },
    Group(NodeId),
    NoChanges(usize),
    NoData(usize),
    Record(usize, NodeId),
    SectionEnd(u8),
}

/// Reads a document whole.
#[derive(Default)]
pub struct Second {
    pub seen: Vec<Seen>,
    /// Places in which something stands that the catalogue does not know.
    pub unknown: Vec<NodeId>,
}

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
const XML: &str = "http://www.w3.org/XML/1998/namespace";

impl Second {
    pub fn read(document: &Document<'_>) -> Self {
        let mut second = Self::default();
        second.children(document.root(), Tree::DOCUMENT);
        second
    }

    fn place(parent: NodeId, element: Node<'_, '_>) -> Option<NodeId> {
        let tree = catalogue().tree();
        let name = element.tag_name();
        tree.node(parent).children.iter().copied().find(|&child| {
            let place = tree.node(child);
            *place.name == *name.name() && tree.uri(place.namespace) == name.namespace().unwrap_or("")
        })
    }

    fn children(&mut self, element: Node<'_, '_>, at: NodeId) {
        let place = catalogue().tree().node(at);
        let opaque = is_opaque(at);
        for child in element.children() {
            match child.node_type() {
                NodeType::Element => match Self::place(at, child) {
                    Some(found) => self.element(child, found),
                    None => match place.role {
                        Role::Header | Role::Envelope | Role::Fault => {}
                        Role::Field if opaque => {}
                        _ => self.unknown.push(at),
                    },
                },
                NodeType::Text => {
                    let blank =
                        child.text().unwrap_or("").chars().all(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
                    if !blank && !matches!(place.role, Role::Field | Role::FaultCode) {
                        self.unknown.push(at);
                    }
                }
                NodeType::Comment | NodeType::PI | NodeType::Root => {}
            }
        }
    }

    fn element(&mut self, element: Node<'_, '_>, at: NodeId) {
        let place = catalogue().tree().node(at);
        let mut ends = false;
        match place.role {
            Role::Envelope => self.seen.push(Seen::Envelope),
            Role::Field if !place.attributes.is_empty() => {
                self.seen.push(Seen::Group(at));
                ends = true;
            }
            Role::Group => {
                self.seen.push(Seen::Group(at));
                ends = true;
            }
            Role::Record(record) => {
                self.seen.push(Seen::Record(record.index(), at));
                ends = true;
            }
            Role::Root(feed) => self.seen.push(Seen::Feed(feed.index())),
            _ => {}
        }
        for attribute in element.attributes() {
            match attribute.namespace() {
                Some(XML | XSI) => continue,
                Some(_) => self.unknown.push(at),
                None => match place.attributes.iter().position(|known| *known.name == *attribute.name()) {
                    None => self.unknown.push(at),
                    Some(index) => self.seen.push(Seen::Field {
                        node: at,
                        attribute: Some(u8::try_from(index).unwrap()),
                        field: place.attributes[index].field.index(),
                        value: attribute.value().trim().to_owned(),
                    }),
                },
            }
        }
        self.children(element, at);
        let own: String = element.children().filter(Node::is_text).filter_map(|child| child.text()).collect();
        let own = own.trim();
        match place.role {
            Role::Field => self.seen.push(Seen::Field {
                node: at,
                attribute: None,
                field: place.text.unwrap().index(),
                value: if is_opaque(at) { String::new() } else { own.to_owned() },
            }),
            Role::FaultCode => {
                let code = own.split_once(':').map_or(own, |(_, code)| code);
                self.seen.push(Seen::Fault(code.to_owned()));
            }
            Role::NoChanges | Role::NoData => {
                let parent =
                    catalogue().tree().nodes().iter().find(|node| node.children.contains(&at)).unwrap();
                if let Role::Message(feed) = parent.role {
                    let no_data = place.role == Role::NoData;
                    let feed = feed.index();
                    self.seen.push(if no_data { Seen::NoData(feed) } else { Seen::NoChanges(feed) });
                }
            }
            Role::Section(number) => self.seen.push(Seen::SectionEnd(number)),
            _ => {}
        }
        if ends {
            self.seen.push(Seen::End);
        }
    }
}

fn is_opaque(at: NodeId) -> bool {
    let text = catalogue().tree().node(at).text;
    text.is_some_and(|field| catalogue().field(field).kind == Kind::Opaque)
}
