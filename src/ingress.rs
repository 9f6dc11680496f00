//! Stage 1: what a supplier asks, from its certificate to a [`Request`] whose every part has been checked.

pub mod handed;
pub mod listener;
mod request;
mod socket;
mod stall;

pub use request::{GroupAsked, Operation, Presented, Request, RequestError, brings_results, read};
pub use socket::Presence;
