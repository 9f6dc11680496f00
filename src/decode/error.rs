//! Why a document is refused, and what is said of it.

use std::fmt;

use super::input::Stop;

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

impl From<Stop> for Kind {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Contradiction | Stop::Undecodable => Self::Encoding,
            Stop::Io(kind) => Self::Io(kind),
            Stop::Stretch => Self::Text,
            Stop::Total => Self::Size,
            Stop::Unsupported => Self::EncodingUnsupported,
        }
    }
}
