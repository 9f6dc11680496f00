//! Records → XML of the UWLR and EDEXML standards.

use crate::{
    catalogue::{Catalogue, FeedId, Namespace, NodeId, SOAP_NAMESPACE, catalogue},
    record::{Item, Record},
};

/// What stands around a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// The message or file alone.
    Bare,
    /// A SOAP 1.1 envelope.
    Envelope,
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const ENVELOPE_END: &str = "</soapenv:Body></soapenv:Envelope>\n";

/// Writes one feed. The caller sees to it that sections come in order.
#[derive(Debug)]
pub struct XmlEncoder {
    catalogue: &'static Catalogue,
    frame: Frame,
    feed: FeedId,
    section: Option<usize>,
}

impl XmlEncoder {
    /// An encoder for a feed in a frame.
    pub fn new(frame: Frame, feed: FeedId) -> Self {
        Self { catalogue: catalogue(), frame, feed, section: None }
    }

    /// Everything before the first record.
    pub fn start(&self, out: &mut String) {
        self.envelope_start(out);
        let feed = self.catalogue.feed(self.feed);
        if let Some(message) = feed.message
            && message != feed.root
        {
            self.open(message, true, out);
            out.push('>');
            self.open(feed.root, false, out);
            out.push('>');
            return;
        }
        self.open(feed.root, true, out);
        if feed.message.is_none() {
            out.push_str(" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"");
            out.push_str(" xsi:noNamespaceSchemaLocation=\"EDEXML.structuur.xsd\"");
        }
        out.push('>');
    }

    /// One record, inside its section. Gives the place in `out` where the record itself begins: what opens the section
    /// before it depends on what came before, and is part of no record.
    pub fn record(&mut self, record: &Record, out: &mut String) -> usize {
        let feed = self.catalogue.feed(self.feed);
        let holds = |section: &crate::catalogue::Section| {
            section.records.iter().any(|&(kind, _)| kind == record.kind)
        };
        let section =
            feed.sections.iter().position(holds).expect("the feed has a section for each of its records");
        if self.section != Some(section) {
            self.end_section(out);
            if let Some(wrapper) = feed.sections[section].wrapper {
                out.push('\n');
                self.open(wrapper, false, out);
                out.push('>');
            }
            self.section = Some(section);
        }
        out.push('\n');
        let start = out.len();
        self.element(record, record.root, 0..record.items().len(), false, out);
        start
    }

    /// Everything after the last record.
    pub fn finish(&mut self, out: &mut String) {
        self.end_section(out);
        let feed = self.catalogue.feed(self.feed);
        out.push('\n');
        self.close(feed.root, out);
        if let Some(message) = feed.message
            && message != feed.root
        {
            self.close(message, out);
        }
        match self.frame {
            Frame::Bare => out.push('\n'),
            Frame::Envelope => out.push_str(ENVELOPE_END),
        }
    }

    /// A whole document that says there is nothing: `geengegevens` or `geenwijzigingen`.
    pub fn marker(&self, name: &str, out: &mut String) {
        self.envelope_start(out);
        let feed = self.catalogue.feed(self.feed);
        let message = feed.message.expect("only messages with a choice of answers have markers");
        self.open(message, true, out);
        out.push_str("><");
        out.push_str(name);
        out.push_str("/>");
        self.close(message, out);
        match self.frame {
            Frame::Bare => out.push('\n'),
            Frame::Envelope => out.push_str(ENVELOPE_END),
        }
    }

    /// A whole document around one record that is a message by itself, such as a request, with an optional record
    /// in the SOAP header.
    pub fn message(header: Option<&Record>, body: &Record, out: &mut String) {
        let feed = FeedId(0);
        let encoder = Self { catalogue: catalogue(), frame: Frame::Envelope, feed, section: None };
        encoder.envelope_with(header, out);
        encoder.element(body, body.root, 0..body.items().len(), true, out);
        out.push_str(ENVELOPE_END);
    }

    /// Everything before the first record, with a record in the SOAP header.
    pub fn start_with_header(&self, header: &Record, out: &mut String) {
        self.envelope_with(Some(header), out);
        self.open(self.catalogue.feed(self.feed).root, true, out);
        out.push('>');
    }

    fn envelope_with(&self, header: Option<&Record>, out: &mut String) {
        out.push_str(DECLARATION);
        out.push_str("<soapenv:Envelope xmlns:soapenv=\"");
        out.push_str(SOAP_NAMESPACE);
        out.push_str("\">");
        if let Some(header) = header {
            out.push_str("<soapenv:Header>");
            self.element(header, header.root, 0..header.items().len(), true, out);
            out.push_str("</soapenv:Header>");
        }
        out.push_str("<soapenv:Body>");
    }

    fn envelope_start(&self, out: &mut String) {
        match self.frame {
            Frame::Bare => out.push_str(DECLARATION),
            Frame::Envelope => self.envelope_with(None, out),
        }
    }

    fn end_section(&mut self, out: &mut String) {
        let feed = self.catalogue.feed(self.feed);
        if let Some(section) = self.section.take()
            && let Some(wrapper) = feed.sections[section].wrapper
        {
            out.push('\n');
            self.close(wrapper, out);
        }
    }

    /// `<name`, with its namespace when `declare` asks for it or it differs from the parent's.
    fn open(&self, node: NodeId, declare: bool, out: &mut String) {
        let node = self.catalogue.tree().node(node);
        out.push('<');
        out.push_str(&node.name);
        if declare && node.namespace != Namespace::NONE {
            out.push_str(" xmlns=\"");
            out.push_str(self.catalogue.tree().uri(node.namespace));
            out.push('"');
        }
    }

    fn close(&self, node: NodeId, out: &mut String) {
        out.push_str("</");
        out.push_str(&self.catalogue.tree().node(node).name);
        out.push('>');
    }

    /// An element with the items of `range` inside.
    fn element(
        &self,
        record: &Record,
        id: NodeId,
        range: std::ops::Range<usize>,
        declare: bool,
        out: &mut String,
    ) {
        let tree = self.catalogue.tree();
        let node = tree.node(id);
        self.open(id, declare, out);
        let items = record.items();
        let mut last_order = 0;
        let mut ordered = true;
        let mut inside = false;
        let mut at = range.start;
        while at < range.end {
            let item = &items[at];
            match item.attribute {
                Some(attribute) if item.node == id => {
                    out.push(' ');
                    out.push_str(&node.attributes[usize::from(attribute)].name);
                    out.push_str("=\"");
                    escape(record.value(item), out);
                    out.push('"');
                }
                _ => {
                    inside = true;
                    if item.node != id {
                        let order = tree.node(item.node).order;
                        ordered &= order >= last_order;
                        last_order = order;
                    }
                }
            }
            at = item.end as usize;
        }
        if !inside {
            out.push_str("/>");
            return;
        }
        out.push('>');
        if ordered {
            let mut at = range.start;
            while at < range.end {
                self.child(record, id, at, out);
                at = items[at].end as usize;
            }
        } else {
            let mut children = Vec::new();
            let mut at = range.start;
            while at < range.end {
                children.push(at);
                at = items[at].end as usize;
            }
            children.sort_by_key(|&at| tree.node(items[at].node).order);
            for at in children {
                self.child(record, id, at, out);
            }
        }
        self.close(id, out);
    }

    fn child(&self, record: &Record, parent: NodeId, at: usize, out: &mut String) {
        let tree = self.catalogue.tree();
        let item: &Item = &record.items()[at];
        if item.node == parent {
            // The parent's own text; its attributes have been written.
            if item.attribute.is_none() {
                escape(record.value(item), out);
            }
            return;
        }
        let foreign = tree.node(item.node).namespace != tree.node(parent).namespace;
        if item.field.is_none() {
            self.element(record, item.node, at + 1..item.end as usize, foreign, out);
            return;
        }
        self.open(item.node, foreign, out);
        let value = record.value(item);
        if value.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        escape(value, out);
        self.close(item.node, out);
    }
}

/// Appends text so that it reads back the same as element content and as a double-quoted attribute value.
pub fn escape(text: &str, out: &mut String) {
    // Most text has nothing to escape, and this much can be told of many bytes at once.
    let special = |byte: u8| byte < b' ' || matches!(byte, b'&' | b'<' | b'>' | b'"');
    if !text.bytes().fold(false, |any, byte| any | special(byte)) {
        out.push_str(text);
        return;
    }
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let replacement = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\t' => "&#9;",
            b'\n' => "&#10;",
            b'\r' => "&#13;",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        out.push_str(replacement);
        from = at + 1;
    }
    out.push_str(&text[from..]);
}
