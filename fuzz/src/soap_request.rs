//! A SOAP request means to Sluis what another XML parser reads in it, and leaves no doubt which of two values counts.
//!
//! The last byte is no part of it: it says the charset of the Content-Type.

use roxmltree::{Document, Node};
use sluis::{
    catalogue::SOAP_NAMESPACE,
    decode::{Charset, Limits},
    ingress::{self, Request, RequestError},
};

use crate::{memory, second::text};

/// What reading a request may take besides its bytes and the records of results in it.
const MEMORY: usize = 4 * 1024 * 1024;

pub fn run(data: &[u8]) {
    let (body, how) = data.split_at(data.len().saturating_sub(1));
    let how = how.first().copied().unwrap_or_default();
    let hint = [None, Some(Charset::Utf8), Some(Charset::Latin1), Some(Charset::Utf16)][usize::from(how & 3)];
    let limits = Limits { records: 64, ..Limits::default() };
    let read = memory::within(MEMORY, || ingress::read(body, hint, &limits));
    match read {
        Ok(request) => {
            let text = text(body, hint).expect("a request is text");
            let document = Document::parse(&text).expect("a request is well-formed");
            check(&request, &document);
        }
        Err(error) => {
            // Nothing of what was sent goes into the answer.
            assert!(error.to_string().len() < 200);
            if let RequestError::Form(field) = error {
                assert!(field.is_ascii());
            }
        }
    }
}

/// The values of all elements of this name below `element`, as a reader sees them.
fn values(element: Node<'_, '_>, name: &str) -> Vec<String> {
    let named = element.descendants().filter(|node| node.is_element() && node.tag_name().name() == name);
    let value = |node: Node<'_, '_>| {
        let own: String = node.children().filter(Node::is_text).filter_map(|child| child.text()).collect();
        own.trim().trim_matches('"').trim().to_owned()
    };
    named.map(value).collect()
}

fn check(request: &Request, document: &Document<'_>) {
    let root = document.root_element();
    let envelope = root.tag_name().namespace() == Some(SOAP_NAMESPACE);
    let part = |name: &str| {
        let found = root.children().find(|node| {
            node.is_element()
                && node.tag_name().name() == name
                && node.tag_name().namespace() == Some(SOAP_NAMESPACE)
        });
        found.filter(|_| envelope)
    };
    let body = if envelope { part("Body").expect("a request has a body") } else { root };
    let messages: Vec<_> =
        if envelope { body.children().filter(Node::is_element).collect() } else { vec![root] };
    let message =
        messages.iter().find(|node| node.tag_name().name().ends_with("_verzoek")).expect("a message");
    // What goes on to the pupil administration stands in the message, and where it may stand once it stands once.
    let parts = [
        ("schooljaar", &request.schooljaar),
        ("brincode", &request.brin),
        ("schoolkey", &request.schoolkey),
        ("gegevenssetid", &request.gegevenssetid),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            let told = values(*message, name);
            assert!(told.iter().any(|told| same(told, value)), "{name} is not what was said");
        }
    }
    for group in &request.groups {
        if let Some(token) = &group.token {
            let keys = message.descendants().filter_map(|node| node.attribute("key"));
            assert!(keys.clone().any(|key| key.trim() == token), "a group is not one that was asked for");
        }
    }
    if let Some(presented) = &request.presented {
        for (name, value) in [
            ("autorisatiesleutel", &presented.sleutel),
            ("klantcode", &presented.klantcode),
            ("klantnaam", &presented.klantnaam),
        ] {
            let header = part("Header").expect("what was presented stands in a header");
            let own = header.descendants().filter(|node| {
                let above = node.parent_element().map(|above| above.tag_name());
                node.is_element()
                    && node.tag_name().name() == name
                    && above.is_some_and(|above| {
                        above.name() == "autorisatie" && above.namespace() == node.tag_name().namespace()
                    })
                    && node
                        .tag_name()
                        .namespace()
                        .is_some_and(|uri| uri.starts_with("http://www.edustandaard.nl/leerresultaten"))
            });
            let told: Vec<String> = own
                .map(|node| {
                    node.children().filter(Node::is_text).filter_map(|child| child.text()).collect::<String>()
                })
                .collect();
            assert!(told.iter().any(|told| told.trim() == value.as_str()), "{name} is not what was said");
            assert_eq!(told.len(), 1, "{name} was said {} times, and one of them counts", told.len());
        }
    }
}

/// The same value, in whatever spelling: digits of any script, capitals, blanks.
fn same(told: &str, value: &str) -> bool {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric() && c.is_ascii()).flat_map(char::to_lowercase).collect()
    };
    !told.is_ascii() || plain(told) == plain(value)
}
