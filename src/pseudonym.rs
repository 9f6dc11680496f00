//! Stage 4: identifiers + key → pseudonyms.
//!
//! Synchronous, and knows neither format nor policy. Identifiers come in as types that cannot be printed, and leave
//! only as what a key made of them.

pub mod digits;

mod derive;
mod identity;
mod pgn;
mod prints;
mod reading;
mod scan;
mod sealed;
mod seen;
mod token;

pub use derive::{AuthorityRefused, ContentMac, LogKeys, Pseudonym, PseudonymDomain, Pseudonymiser};
pub(crate) use identity::official_digits;
pub use identity::{EckId, Identity, KeyKind, KeyRefused, PupilKey};
pub use pgn::{Bsn, NotAPgn, Onderwijsnummer, Pgn};
pub use reading::{Reading, holds_elfproef_number};
pub use scan::{Own, Scanner};
pub use sealed::NoticeKey;
pub use seen::{Released, Seen};
pub use token::{TokenOpener, UnknownToken};
