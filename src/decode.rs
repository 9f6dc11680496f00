//! Stage 2: bytes → [`Token`](crate::token::Token)s.
//!
//! Synchronous, and knows neither network nor policy. Output bytes are never made here, and input bytes never leave
//! here: what is not in the catalogue's tree has no token.
#![warn(clippy::wildcard_enum_match_arm)]

mod error;
mod input;
mod markup;
mod namespaces;
mod xml;

pub use error::{DecodeError, Error, Kind};
pub use input::{Charset, Limits};
pub use xml::decode;
