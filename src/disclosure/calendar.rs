//! Days and months as the files of rows hold them: numbers that read as dates.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// `yyyymmdd`.
pub(super) fn day_number(day: Date) -> u32 {
    Month::of(day).0 * 100 + u32::from(day.day().unsigned_abs())
}

/// The day that a number is, where it is one.
pub(super) fn day_of_number(number: u32) -> Option<Date> {
    let part = |value: u32| i8::try_from(value).ok();
    Date::new(i16::try_from(number / 10_000).ok()?, part(number / 100 % 100)?, part(number % 100)?).ok()
}

/// A month of a year, written `2026-10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(u32);

impl Month {
    /// The month a day is in.
    pub fn of(day: Date) -> Self {
        // Years before 0 are in no log.
        let year = u32::try_from(day.year()).unwrap_or(0);
        Self(year * 100 + u32::from(day.month().unsigned_abs()))
    }

    /// Its first day.
    pub fn first(self) -> Date {
        day_of_number(self.0 * 100 + 1).unwrap_or(Date::MIN)
    }

    /// Its last day.
    pub fn last(self) -> Date {
        self.first().last_of_month()
    }

    /// The month that is written so.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let month = Self::of(format!("{text}-01").parse().ok()?);
        (month.to_string() == text).then_some(month)
    }

    /// `yyyymm`.
    pub(super) fn number(self) -> u32 {
        self.0
    }

    pub(super) fn of_number(number: u32) -> Option<Self> {
        day_of_number(number.checked_mul(100)? + 1).map(Self::of)
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("no month"))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_months_come_back() {
        let day = Date::constant(2026, 10, 5);
        assert_eq!(day_number(day), 20261005);
        assert_eq!(day_of_number(20261005), Some(day));
        assert_eq!(Month::of(day).to_string(), "2026-10");
        assert_eq!(Month::parse("2026-10"), Some(Month::of(day)));
        assert_eq!(Month::of(day).first(), Date::constant(2026, 10, 1));
        assert_eq!(Month::of(day).last(), Date::constant(2026, 10, 31));
        for text in ["2026-1", "2026-13", "202610", "2026-10-01", ""] {
            assert_eq!(Month::parse(text), None, "{text}");
        }
        assert_eq!(Month::of_number(Month::of(day).number()), Some(Month::of(day)));
        for number in [0, 20261301, 20260229, 20261000, 202610131, u32::MAX] {
            assert_eq!(day_of_number(number), None, "{number}");
        }
        for number in [0, 202600, 202613, u32::MAX, u32::MAX / 100] {
            assert_eq!(Month::of_number(number), None, "{number}");
        }
    }
}
