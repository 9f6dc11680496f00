//! Review: who may look at the log and decide on what waits, and how that is known of whoever asks.
//!
//! [`account`] is the file of accounts, [`login`] the way in, [`session`] what a browser has once it is in. All three
//! know no HTTP. That somebody logged in, and for whom the log was read, is on record first.

pub mod account;
pub mod login;
pub mod session;
