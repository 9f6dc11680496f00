//! Sluis.
#![forbid(unsafe_code)]
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decode;
pub mod disclosure;
pub mod egress;
pub mod encode;
pub mod exchange;
pub mod keys;
pub mod minimise;
pub mod party;
pub mod policy;
pub mod problem;
pub mod pseudonym;
pub mod record;
pub mod tls;
pub mod token;
