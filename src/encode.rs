//! Stage 5: records → bytes, in the order the standard wants.
//!
//! Synchronous, and knows neither network nor policy. What arrives here is allowed to leave; this stage only spells it.

mod xml;

pub use xml::{Frame, XmlEncoder, escape};
