//! Sums over deliveries.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{Entry, How};
use crate::{
    answers::{Fields, parties::bits_of},
    clock::day_of,
    disclosure::Leaf,
};

/// What there is one sum for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// All together.
    All,
    /// Each day.
    Day,
    /// Each recipient.
    Recipient,
    /// Each recipient and day.
    RecipientDay,
    /// Each school and month, without fields: there can be many.
    SchoolMonth,
}

/// A key: day, recipient and school. Of it, what sums are not made by is nothing.
type Key = (Option<Date>, Option<[u8; 12]>, Option<[u8; 4]>);

/// Bits that fields can have, three kinds of them.
const BITS: usize = 3 * 64;

/// The sum of some deliveries.
#[derive(Debug, Clone)]
pub struct Sum {
    key: Key,
    /// Handed over whole.
    pub sent: u64,
    /// Broken off.
    pub failed: u64,
    /// Nobody knows.
    pub unknown: u64,
    /// Not ended yet.
    pub open: u64,
    /// Refused; nothing left.
    pub refused: u64,
    /// Pupils, counted in each delivery.
    pub pupils: u64,
    /// Teachers, counted in each delivery.
    pub staff: u64,
    /// The first, ms since 1970.
    pub first_ms: Option<u64>,
    /// The last, ms since 1970.
    pub last_ms: Option<u64>,
    /// Deliveries in which a field left, and in which it stayed, by kind and bit.
    times: Box<[(u64, u64)]>,
}

impl Sum {
    fn new(key: Key, bits: usize) -> Self {
        Self {
            key,
            sent: 0,
            failed: 0,
            unknown: 0,
            open: 0,
            refused: 0,
            pupils: 0,
            staff: 0,
            first_ms: None,
            last_ms: None,
            times: vec![(0, 0); bits].into(),
        }
    }

    /// The day it is of, where sums were made by day; where they were made by month, its first.
    pub fn day(&self) -> Option<Date> {
        self.key.0
    }

    /// The recipient it is of, where sums were made by recipient.
    pub fn recipient(&self) -> Option<[u8; 12]> {
        self.key.1
    }

    /// Whether it is of a recipient, by its id.
    pub fn is_of(&self, recipient: &str) -> bool {
        self.key.1 == Some(Leaf::recipient_code(recipient))
    }

    /// The school it is of, where sums were made by school.
    pub fn school(&self) -> Option<[u8; 4]> {
        self.key.2
    }

    /// Deliveries of which something left or may have.
    pub fn deliveries(&self) -> u64 {
        self.sent + self.failed + self.unknown + self.open
    }

    /// Persons, counted in each delivery.
    pub fn persons(&self) -> u64 {
        self.pupils + self.staff
    }

    /// Deliveries in which a field left, and in which it was present and stayed.
    pub fn times(&self, fields: Fields, bit: u32) -> (u64, u64) {
        self.times.get(offset(fields) + bit as usize).copied().unwrap_or_default()
    }

    /// Fields that left in any of them, and that stayed in any.
    pub fn masks(&self, fields: Fields) -> (u64, u64) {
        let own = self.times.get(offset(fields)..offset(fields) + 64).unwrap_or_default();
        own.iter().enumerate().fold((0, 0), |(released, withheld), (bit, times)| {
            (released | u64::from(times.0 > 0) << bit, withheld | u64::from(times.1 > 0) << bit)
        })
    }

    fn add(&mut self, entry: &Entry) {
        match entry.how {
            How::Failed => self.failed += 1,
            How::Open => self.open += 1,
            How::Refused => self.refused += 1,
            How::Sent => self.sent += 1,
            How::Unknown => self.unknown += 1,
        }
        self.pupils += u64::from(entry.pupils);
        self.staff += u64::from(entry.staff);
        if entry.how != How::Refused {
            self.first_ms = Some(self.first_ms.map_or(entry.start_ms, |first| first.min(entry.start_ms)));
            self.last_ms = Some(self.last_ms.map_or(entry.start_ms, |last| last.max(entry.start_ms)));
        }
        if self.times.is_empty() {
            return;
        }
        for fields in [Fields::Leerkracht, Fields::Leerling, Fields::Results] {
            let (released, withheld) = entry.masks(fields);
            bits_of(released).for_each(|bit| self.times[offset(fields) + bit as usize].0 += 1);
            bits_of(withheld).for_each(|bit| self.times[offset(fields) + bit as usize].1 += 1);
        }
    }
}

fn offset(fields: Fields) -> usize {
    match fields {
        Fields::Leerkracht => 0,
        Fields::Leerling => 64,
        Fields::Results => 128,
    }
}

/// Sums under construction.
pub(super) struct Sums {
    by: By,
    /// The day of the last entry, with the instants it is between.
    day: Option<(std::ops::Range<u64>, Date)>,
    sums: BTreeMap<Key, Sum>,
}

impl Sums {
    pub(super) fn new(by: By) -> Self {
        Self { by, day: None, sums: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, entry: &Entry) {
        let mut key: Key = (None, None, None);
        if matches!(self.by, By::Day | By::RecipientDay) {
            key.0 = Some(self.day_of(entry.start_ms));
        }
        if matches!(self.by, By::Recipient | By::RecipientDay) {
            key.1 = Some(entry.recipient);
        }
        let mut bits = BITS;
        if self.by == By::SchoolMonth {
            key = (Some(self.day_of(entry.start_ms).first_of_month()), None, Some(entry.brin()));
            bits = 0;
        }
        self.sums.entry(key).or_insert_with(|| Sum::new(key, bits)).add(entry);
    }

    /// The day of an instant; most are of the same as the one before, and a calendar is slow to ask.
    fn day_of(&mut self, ms: u64) -> Date {
        if let Some((range, day)) = &self.day
            && range.contains(&ms)
        {
            return *day;
        }
        let day = day_of(ms);
        let end = day.tomorrow().map_or(u64::MAX, crate::clock::day_start_ms);
        self.day = Some((crate::clock::day_start_ms(day)..end, day));
        day
    }

    pub(super) fn finish(self) -> Vec<Sum> {
        self.sums.into_values().collect()
    }
}
