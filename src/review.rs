//! Review: who may look at the log and decide on what waits, and what they see. A web app for FGs, administrators and
//! approvers on the `[review]` port, and the same as JSON.
//!
//! [`account`] is the file of accounts, [`login`] the way in, [`session`] what a browser has once it is in. All three
//! know no HTTP. [`oidc`] asks an identity provider who somebody is, where the configuration names one. That somebody logged in, and for whom the log was read, is on record first.
//!
//! [`routes`] says what there is and who may have it; [`app`] leads from a request to an answer. Each page is a file: it looks things up (`visitor::View`), which JSON
//! shows as they are, and makes a page of them. Pages work without scripts, ask for nothing from elsewhere, and hold
//! nothing of a person except the one that was asked about that person.

pub mod account;
mod agreements;
mod api;
pub mod app;
mod breach;
mod chart;
mod csv;
mod decisions;
mod disclosures;
mod exports;
mod http;
mod integrity;
mod kept;
pub mod login;
pub mod oidc;
mod overview;
mod page;
mod person;
mod reviews;
pub mod routes;
pub mod session;
mod suppliers;
mod texts;
mod visitor;

pub use app::{Review, ReviewUnavailable};
