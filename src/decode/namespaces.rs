//! Which namespace a prefix stands for: Namespaces in XML 1.0.

use super::error::Kind;
use crate::catalogue::{Namespace, Tree};

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";
const XSI_NAMESPACE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// What a name stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// A namespace of the catalogue, none, or one that it does not know.
    Catalogue(Namespace),
    /// That of `xml:lang`.
    Xml,
    /// That of `xsi:schemaLocation`.
    Xsi,
}

struct Binding {
    /// Of the element that declares it.
    depth: usize,
    /// Empty for what has no prefix.
    prefix: Box<str>,
    uri: Box<str>,
    bound: Bound,
}

/// The declarations in force.
pub(super) struct Namespaces {
    /// The innermost last.
    bindings: Vec<Binding>,
    unprefixed: Bound,
}

impl Namespaces {
    pub(super) fn new() -> Self {
        let xml = Binding { depth: 0, prefix: "xml".into(), uri: XML_NAMESPACE.into(), bound: Bound::Xml };
        Self { bindings: vec![xml], unprefixed: Bound::Catalogue(Namespace::NONE) }
    }

    /// `xmlns:prefix="uri"`, or `xmlns="uri"` where `prefix` is empty, on an element at `depth`, counted from 1.
    ///
    /// Sections 3 and 5: neither `xml` nor `xmlns` can be given away, and only what has no prefix can be unbound.
    pub(super) fn declare(&mut self, depth: usize, prefix: &str, uri: &str, tree: &Tree) -> Result<(), Kind> {
        let bound = match (prefix, uri) {
            ("xml", XML_NAMESPACE) => return Ok(()),
            ("xml" | "xmlns", _) | (_, XML_NAMESPACE | XMLNS_NAMESPACE) => return Err(Kind::NotWellFormed),
            (prefix, "") if !prefix.is_empty() => return Err(Kind::NotWellFormed),
            (_, XSI_NAMESPACE) => Bound::Xsi,
            (_, uri) => Bound::Catalogue(tree.namespace(uri)),
        };
        self.bindings.push(Binding { depth, prefix: prefix.into(), uri: uri.into(), bound });
        if prefix.is_empty() {
            self.unprefixed = bound;
        }
        Ok(())
    }

    /// Lets through attributes of which no two have the same name in the same namespace, by whatever prefixes: section
    /// 6.3. Names come as prefix and local part; no two are written the same.
    pub(super) fn differ<'t>(
        &self,
        names: impl Iterator<Item = (Option<&'t str>, &'t str)> + Clone,
    ) -> Result<(), Kind> {
        let prefixed =
            names.filter_map(|(prefix, local)| Some((prefix.filter(|&prefix| prefix != "xmlns")?, local)));
        for (at, (prefix, local)) in prefixed.clone().enumerate() {
            for (other, _) in prefixed.clone().take(at).filter(|&(_, other)| other == local) {
                let uri = |prefix| self.binding(prefix).map(|binding| &binding.uri);
                if uri(prefix) == uri(other) {
                    return Err(Kind::NotWellFormed);
                }
            }
        }
        Ok(())
    }

    /// The element at `depth` ends, and what it declared with it.
    pub(super) fn leave(&mut self, depth: usize) {
        if depth > 0 && self.bindings.last().is_some_and(|binding| binding.depth == depth) {
            self.bindings.retain(|binding| binding.depth < depth);
            let outer = self.binding("").map(|binding| binding.bound);
            self.unprefixed = outer.unwrap_or(Bound::Catalogue(Namespace::NONE));
        }
    }

    /// What an element without prefix stands in.
    pub(super) fn unprefixed(&self) -> Bound {
        self.unprefixed
    }

    /// What a name with this prefix stands in.
    pub(super) fn resolve(&self, prefix: &str) -> Result<Bound, Kind> {
        // One that is empty would find what stands for no prefix at all.
        let binding = if prefix.is_empty() { None } else { self.binding(prefix) };
        binding.map(|binding| binding.bound).ok_or(Kind::NotWellFormed)
    }

    fn binding(&self, prefix: &str) -> Option<&Binding> {
        self.bindings.iter().rev().find(|binding| *binding.prefix == *prefix)
    }
}
