//! Stage 3: agreement → [`Ruling`] per field. What no line names is withheld.
//!
//! Synchronous, and knows no format.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod agreement;
mod compile;
pub mod purpose;
pub mod rules;
mod ruling;

pub use compile::Rulings;
pub use ruling::{Ruling, generalise};
