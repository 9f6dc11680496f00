//! Reports for people: what the log and the agreements answer, in Dutch that is easy to read, for an FG and for whom it is
//! about.
//!
//! A report is a [`Part`], made by the builders ([`agreed`], [`datalek`], [`inzage`], [`lists`], [`portable`]) from what
//! [`crate::answers`] and [`crate::register`] have. It goes out under a [`Head`] as [`plain()`] text, as a [`page()`] or
//! as a [`pdf()`]; without one it is a [`fragment`] of another page, which leaves through [`html::finished`].
//!
//! Deliberately absent: reading the log and putting that on record, which is up to whoever calls; and how a form is asked
//! for and printed, which is for [`crate::cli`].

pub mod agreed;
pub mod datalek;
mod document;
pub mod html;
pub mod inzage;
pub mod lists;
mod page;
mod pdf;
mod plain;
pub mod portable;
pub mod words;

use std::ops::RangeInclusive;

use jiff::civil::Date;
use uuid::Uuid;

pub use document::{Block, Part, Table};
pub use page::{fragment, page};
pub use pdf::{PdfError, pdf};
pub use plain::plain;

/// What stands at the head of every report.
#[derive(Debug, Clone)]
pub struct Head {
    /// The reading's own transaction, in the log and on the report; none: the log was not read.
    pub reference: Option<Uuid>,
    /// What it is about; none: how things stand on the day it was made.
    pub days: Option<RangeInclusive<Date>>,
    /// The day it was made.
    pub made: Date,
}
