//! Where everything stands in the XML of the standards.
//!
//! One tree holds every message: a SOAP envelope, an EDEXML file, a bare answer. A decoder walks it downwards and
//! can reach nothing that is not in it.

use super::{Catalogue, FeedId, FieldId, RecordId};
use crate::pseudonym::KeyKind;

/// A place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u16);

impl NodeId {
    /// Index into tables with one entry per place.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A namespace by its index in `Tree::namespaces`; 0 is "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespace(pub(crate) u8);

impl Namespace {
    /// No namespace.
    pub const NONE: Self = Self(0);
    /// SOAP 1.1.
    pub const SOAP: Self = Self(1);
    /// A namespace the catalogue does not know.
    pub const FOREIGN: Self = Self(u8::MAX);
}

/// SOAP 1.1, section 3.
pub const SOAP_NAMESPACE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// What an element is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `soap:Body`.
    Body,
    /// The place above the document element.
    Document,
    /// `soap:Envelope`.
    Envelope,
    /// `soap:Fault`.
    Fault,
    /// `faultcode` inside a fault.
    FaultCode,
    /// An element with a value, inside a record.
    Field,
    /// An element inside a record that holds others, or attributes.
    Group,
    /// `soap:Header`.
    Header,
    /// The element of the SOAP body that a standard names.
    Message(FeedId),
    /// `geenwijzigingen`: nothing changed since the moment named in the request.
    NoChanges,
    /// `geengegevens`: nothing to send.
    NoData,
    /// An element that is a record.
    Record(RecordId),
    /// The element that holds the sections of a feed.
    Root(FeedId),
    /// The wrapper around the records of a section, by its number in the feed.
    Section(u8),
}

/// An attribute that holds a field.
#[derive(Debug)]
pub struct Attribute {
    /// Its name; none of the standards qualifies one.
    pub name: Box<str>,
    /// The field.
    pub field: FieldId,
    /// What the field points at, when it is a key.
    pub key_of: Option<KeyKind>,
}

/// An element.
#[derive(Debug)]
pub struct Node {
    /// Local name.
    pub name: Box<str>,
    /// Namespace it must stand in.
    pub namespace: Namespace,
    /// What it is for.
    pub role: Role,
    /// Its turn among its siblings, in the standard's order; equal turns may alternate.
    pub order: u16,
    /// Whether the standard lets it repeat.
    pub many: bool,
    /// The field its text holds.
    pub text: Option<FieldId>,
    /// What the text points at, when it is a key.
    pub key_of: Option<KeyKind>,
    /// Attributes that hold fields.
    pub attributes: Vec<Attribute>,
    /// Elements inside.
    pub children: Vec<NodeId>,
    /// Of each of them, what tells its name from most others.
    stamps: Vec<Stamp>,
}

/// All places.
#[derive(Debug)]
pub struct Tree {
    pub(super) namespaces: Vec<String>,
    pub(super) nodes: Vec<Node>,
}

impl Tree {
    /// The place above the document element.
    pub const DOCUMENT: NodeId = NodeId(0);

    pub(super) fn new() -> Self {
        let mut tree = Self { namespaces: vec![String::new(), SOAP_NAMESPACE.to_owned()], nodes: Vec::new() };
        tree.nodes.push(Node::new("", Namespace::NONE, Role::Document));
        let envelope = tree.child(Self::DOCUMENT, "Envelope", Namespace::SOAP, Role::Envelope);
        tree.child(envelope, "Header", Namespace::SOAP, Role::Header);
        let body = tree.child(envelope, "Body", Namespace::SOAP, Role::Body);
        let fault = tree.child(body, "Fault", Namespace::SOAP, Role::Fault);
        tree.child(fault, "faultcode", Namespace::NONE, Role::FaultCode);
        tree
    }

    /// One place.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The elements that lead to a place from the section it is in, with `/` between them.
    pub fn path(&self, id: NodeId) -> String {
        let mut names = Vec::new();
        let mut place = Some(id);
        while let Some(id) = place {
            let node = self.node(id);
            match node.role {
                Role::Field | Role::Group | Role::Record(_) | Role::Section(_) => names.push(&*node.name),
                _ if names.is_empty() => names.push(&*node.name),
                _ => break,
            }
            let parent = self.nodes.iter().position(|node| node.children.contains(&id));
            place = parent.and_then(|parent| u16::try_from(parent).ok()).map(NodeId);
        }
        names.reverse();
        names.join("/")
    }

    /// All places, by id.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The URI of a namespace of the tree.
    pub fn uri(&self, namespace: Namespace) -> &str {
        &self.namespaces[usize::from(namespace.0)]
    }

    /// The namespace of a URI, [`Namespace::FOREIGN`] when the catalogue does not know it.
    pub fn namespace(&self, uri: &str) -> Namespace {
        let index = self.namespaces.iter().position(|known| known == uri);
        index.and_then(|index| u8::try_from(index).ok()).map_or(Namespace::FOREIGN, Namespace)
    }

    /// The child of `parent` with this name, trying `hint` first: real documents mostly follow the order.
    pub(crate) fn descend(
        &self,
        parent: NodeId,
        namespace: Namespace,
        name: &str,
        hint: usize,
    ) -> Option<(usize, NodeId)> {
        let Node { children, stamps, .. } = self.node(parent);
        let wanted = Stamp::of(name);
        let (before, after) = stamps.split_at(hint.min(stamps.len()));
        let turns = after.iter().zip(before.len()..).chain(before.iter().zip(0..));
        for (stamp, at) in turns {
            if *stamp == wanted {
                let node = self.node(children[at]);
                if node.namespace == namespace && (wanted.is_all() || *node.name == *name) {
                    return Some((at, children[at]));
                }
            }
        }
        None
    }

    pub(super) fn child(&mut self, parent: NodeId, name: &str, namespace: Namespace, role: Role) -> NodeId {
        let id = NodeId(u16::try_from(self.nodes.len()).expect("the catalogue has fewer than 65,536 places"));
        self.nodes.push(Node::new(name, namespace, role));
        self.adopt(parent, id);
        id
    }

    /// Has an element stand inside another, whatever it stands in already.
    pub(super) fn adopt(&mut self, parent: NodeId, id: NodeId) {
        let stamp = Stamp::of(&self.node(id).name);
        let parent = &mut self.nodes[parent.index()];
        parent.children.push(id);
        parent.stamps.push(stamp);
    }

    /// The child of this name, made when it is not there yet.
    pub(super) fn child_named(
        &mut self,
        parent: NodeId,
        name: &str,
        namespace: Namespace,
        role: Role,
    ) -> NodeId {
        match self.descend(parent, namespace, name, 0) {
            Some((_, id)) => id,
            None => self.child(parent, name, namespace, role),
        }
    }
}

/// The ends of a name: of one of at most sixteen bytes, all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    first: u64,
    last: u64,
    length: usize,
}

impl Stamp {
    fn of(name: &str) -> Self {
        let bytes = name.as_bytes();
        let (first, last) = match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => (bytes.iter().fold(0, |all, &byte| all << 8 | u64::from(byte)), 0),
        };
        Self { first, last, length: bytes.len() }
    }

    fn is_all(&self) -> bool {
        self.length <= 2 * size_of::<u64>()
    }
}

impl Node {
    fn new(name: &str, namespace: Namespace, role: Role) -> Self {
        Self {
            name: name.into(),
            namespace,
            role,
            order: 0,
            many: false,
            text: None,
            key_of: None,
            attributes: Vec::new(),
            children: Vec::new(),
            stamps: Vec::new(),
        }
    }
}

impl Catalogue {
    /// The fields that stand at a node: its text's and its attributes'.
    pub fn fields_at(&self, node: NodeId) -> impl Iterator<Item = FieldId> {
        let node = self.tree.node(node);
        node.text.into_iter().chain(node.attributes.iter().map(|attribute| attribute.field))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::catalogue::catalogue;

    #[test]
    fn no_two_in_one_place_have_the_same_name() {
        let tree = catalogue().tree();
        for node in tree.nodes() {
            let mut names = HashSet::new();
            for child in node.children.iter().map(|&child| tree.node(child)) {
                assert!(names.insert((child.namespace.0, &child.name)), "{} in {}", child.name, node.name);
            }
        }
    }
}
