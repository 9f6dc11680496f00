//! What the log answers: what went where about a person, what a recipient received, who is affected by a leak, who
//! holds an older value; with evidence for whoever does not take our word, and exports for other tools.
//!
//! There is no table of persons. Who is asked about becomes a handle for each log key there is, and the handle is
//! looked up; it is forgotten with the answer. Everything reads in order of position, once, so that an answer takes as
//! long as the days it is about and not as the log.
//!
//! Deliberately absent: words for people, which are for [`crate::report`]; and the log for writing: that a reading is
//! on record, before anything is read, is up to whoever calls ([`Reading`]).

mod breach;
mod correction;
pub mod evidence;
pub mod export;
pub mod index;
mod leak;
mod naming;
mod now;
mod parties;
mod person;
pub mod portable;
mod reading;
mod received;
mod subject;

use std::{io, ops::RangeInclusive};

use jiff::civil::Date;

use crate::{config::Config, disclosure::Reader};

pub use breach::{Breach, BreachField, BreachSchool};
pub use correction::{Holder, Holds, Worklist};
pub use index::DeliveryIndex;
pub use leak::{Affected, Leak, Listed};
pub use naming::Named;
pub use now::{NoValues, Now, Value};
pub use parties::{Ended, Fields, Party, SchoolName, Under};
pub use person::{Delivered, Inzage, Summarised};
pub use portable::Portable;
pub use reading::Reading;
pub use received::{FieldCount, Received, SchoolReceived};
pub use subject::{Given, Known, Person, Unresolved, Who};

/// All days a log can have.
pub const ALWAYS: RangeInclusive<Date> = Date::constant(2000, 1, 1)..=Date::constant(9000, 1, 1);

/// A log, with what is needed to understand it.
pub struct Answers<'c> {
    config: &'c Config,
    reader: Reader,
    index: Option<&'c DeliveryIndex>,
}

impl<'c> Answers<'c> {
    /// Opens the log of an installation.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn open(config: &'c Config) -> io::Result<Self> {
        Ok(Self { config, reader: Reader::open(&config.data)?, index: None })
    }

    /// The same, with an index of the log that says where deliveries and their outcomes are. Answers are the same with it
    /// and come sooner: as far as the index has seen the log, which the caller has it do.
    #[must_use]
    pub fn with_index(self, index: &'c DeliveryIndex) -> Self {
        Self { index: Some(index), ..self }
    }

    /// The log as these answers read it, for [`DeliveryIndex::catch_up`].
    pub fn reader(&self) -> &Reader {
        &self.reader
    }
}
