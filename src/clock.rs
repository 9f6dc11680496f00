//! What time it is. Everything that decides by the calendar takes a [`Clock`], so that a test can stand on any day.

use std::fmt::Debug;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// The wall clock of the process. Implementations never go backwards by design of the caller: nothing in
/// Sluis orders records by time, positions in the log do that.
pub trait Clock: Debug + Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// Milliseconds since 1970-01-01T00:00:00Z, as log records hold them.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.now().as_millisecond()).unwrap_or(0)
    }

    /// The day it is in the Netherlands: agreements begin and end at midnight there.
    fn today(&self) -> Date {
        let amsterdam = TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC);
        self.now().to_zoned(amsterdam).date()
    }
}

/// The clock of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands where it was put.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}
