//! The vocabulary decoders and what follows them share.

use crate::catalogue::{FeedId, FieldId, NodeId, RecordId};

/// One recognised thing in a document, in document order.
///
/// There is no token for what the catalogue does not know, except [`Token::Unknown`], which carries no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// Closes the last [`Token::Group`] or [`Token::Record`].
    End,
    /// The document is a SOAP envelope.
    Envelope,
    /// The code of a SOAP fault, without prefix: `Client.AutorisatieOngeldig`.
    Fault(&'a str),
    /// The feed begins.
    Feed(FeedId),
    /// A value: whole, as the reader of the document would see it, white space at its ends removed.
    Field {
        /// Where it stands.
        node: NodeId,
        /// Which attribute of the node holds it; none: its text.
        attribute: Option<u8>,
        /// What it is.
        field: FieldId,
        /// The value.
        value: &'a str,
    },
    /// An element inside a record that holds other fields.
    Group(NodeId),
    /// `geenwijzigingen`.
    NoChanges(FeedId),
    /// `geengegevens`.
    NoData(FeedId),
    /// A record begins.
    Record(RecordId, NodeId),
    /// A section of the feed ends.
    SectionEnd(u8),
    /// Something the catalogue does not know, inside this place. Its whole content is gone.
    Unknown(NodeId),
}

/// What a decoder pushes tokens into.
pub trait Sink {
    /// Why it takes no more.
    type Error;

    /// Takes one token.
    ///
    /// # Errors
    ///
    /// When the sink refuses; the decoder stops at once.
    fn token(&mut self, token: Token<'_>) -> Result<(), Self::Error>;
}

impl<E, F: FnMut(Token<'_>) -> Result<(), E>> Sink for F {
    type Error = E;

    fn token(&mut self, token: Token<'_>) -> Result<(), E> {
        self(token)
    }
}
