//! What time it is. Everything that decides by the calendar takes a [`Clock`], so that a test can stand on any day.

use std::{fmt::Debug, sync::LazyLock};

use jiff::{
    Timestamp,
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};

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
        self.now().to_zoned(zone()).date()
    }
}

/// The time zone of the Netherlands: as the machine knows it, which follows new rules, or else as it is built in.
/// Another zone in its place would let an agreement run on after midnight.
pub fn amsterdam() -> Option<TimeZone> {
    const NAME: &str = "Europe/Amsterdam";
    TimeZone::get(NAME).or_else(|_| TimeZoneDatabase::bundled().get(NAME)).ok()
}

/// The same, looked up once: that reads a file.
fn zone() -> TimeZone {
    static ZONE: LazyLock<TimeZone> =
        LazyLock::new(|| amsterdam().expect("it is built in, and no configuration loads without it"));
    ZONE.clone()
}

/// The clock of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
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

/// The day in the Netherlands of an instant in milliseconds since 1970.
pub fn day_of(ms: u64) -> Date {
    let instant = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    instant.unwrap_or(Timestamp::MAX).to_zoned(zone()).date()
}

/// The instant a day begins in the Netherlands, in milliseconds since 1970.
pub fn day_start_ms(day: Date) -> u64 {
    let start = day.to_zoned(zone()).map(|zoned| zoned.timestamp().as_millisecond());
    start.ok().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
}

/// Day and minute in the Netherlands of an instant in milliseconds since 1970, for people: `2026-11-25 08:00`.
pub fn local_minute(ms: u64) -> String {
    let instant = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let local = instant.unwrap_or(Timestamp::MAX).to_zoned(zone());
    format!("{} {:02}:{:02}", local.date(), local.hour(), local.minute())
}

/// The first year of the school year it is: school years begin on 1 August.
pub fn school_year(clock: &dyn Clock) -> i16 {
    let today = clock.today();
    if today.month() >= 8 { today.year() } else { today.year() - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_netherlands_are_known_without_the_help_of_the_machine() {
        assert!(TimeZoneDatabase::bundled().get("Europe/Amsterdam").is_ok());
    }

    #[test]
    fn days_and_school_years_are_those_of_the_netherlands() {
        for (instant, day, year) in [
            ("2026-07-31T21:59:59Z", Date::constant(2026, 7, 31), 2025),
            ("2026-07-31T22:00:00Z", Date::constant(2026, 8, 1), 2026),
            ("2026-12-31T23:00:00Z", Date::constant(2027, 1, 1), 2026),
        ] {
            let clock = FixedClock(instant.parse().expect("an instant"));
            assert_eq!((clock.today(), school_year(&clock)), (day, year), "{instant}");
        }
    }
}
