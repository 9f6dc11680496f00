//! Totals.

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use jiff::civil::Date;

use super::{DeliveryIndex, Ending, Filter, entry::Raw};
use crate::{
    answers::{Fields, parties::bits_of},
    clock::{day_of, day_start_ms},
    policy::rules::{Reason, Rule},
};

/// What is summed apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Each day.
    Day,
    /// Each recipient.
    Recipient,
    /// Each recipient on each day.
    RecipientDay,
    /// Each school.
    School,
    /// Each school in each month, without fields: there can be many of them.
    SchoolMonth,
    /// Nothing: one total.
    Whole,
}

/// What a total is of; parts that are not summed apart are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// See [`Leaf::recipient_code`](crate::disclosure::Leaf::recipient_code).
    pub recipient: Option<[u8; 12]>,
    /// BRIN.
    pub school: Option<[u8; 4]>,
    /// The day on which the deliveries began to be recorded; of months the first.
    pub day: Option<Date>,
}

/// A total.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    /// Deliveries that were handed over whole.
    pub sent: u64,
    /// Deliveries that were broken off.
    pub failed: u64,
    /// Deliveries of which nobody knows how they ended.
    pub unknown: u64,
    /// Deliveries that have not ended.
    pub open: u64,
    /// Refusals.
    pub refused: u64,
    /// Of these, for each reason by its number.
    reasons: [u64; REASONS],
    /// Deliveries and refusals that break a rule.
    broken: [u64; Rule::ALL.len()],
    /// By what the bits of masks mean; boxed, as few totals have results or teachers.
    fields: [Option<Box<FieldSum>>; 3],
    /// When the first of them was recorded, ms since 1970.
    pub first_ms: u64,
    /// When the last of them was recorded, ms since 1970.
    pub last_ms: u64,
}

/// More than there are numbers of reasons.
const REASONS: usize = 32;

/// What deliveries hold of one kind of persons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSum {
    /// Deliveries that hold any of them.
    pub deliveries: u64,
    /// Rows: a person counts once for each.
    pub rows: u64,
    /// Union of what left.
    pub released: u64,
    /// Union of what was present and stayed.
    pub withheld: u64,
    /// For each bit, of how many deliveries it left.
    pub released_in: [u64; 64],
    /// For each bit, in how many deliveries it was present and stayed.
    pub withheld_in: [u64; 64],
}

impl Sum {
    /// Deliveries, ended or not; refusals are none.
    pub fn deliveries(&self) -> u64 {
        self.sent + self.failed + self.unknown + self.open
    }

    /// Refusals for a reason.
    pub fn refused_for(&self, reason: Reason) -> u64 {
        self.reasons[reason as usize]
    }

    /// Deliveries and refusals that break a rule.
    pub fn breaking(&self, rule: Rule) -> u64 {
        self.broken[rule as usize]
    }

    /// What left and stayed of one kind of persons, where there are any.
    pub fn about(&self, fields: Fields) -> Option<&FieldSum> {
        self.fields[fields as usize].as_deref()
    }

    fn add(&mut self, entry: Raw<'_>) {
        let ended = entry.ended();
        for (ending, count) in [
            (Ending::Failed, &mut self.failed),
            (Ending::Open, &mut self.open),
            (Ending::Refused, &mut self.refused),
            (Ending::Sent, &mut self.sent),
            (Ending::Unknown, &mut self.unknown),
        ] {
            *count += u64::from(ended == ending as u8);
        }
        if ended == Ending::Refused as u8
            && let Some(count) = self.reasons.get_mut(usize::from(entry.reason()))
        {
            *count += 1;
        }
        for rule in Rule::ALL {
            self.broken[rule as usize] += u64::from(entry.breaks(rule));
        }
        if self.first_ms == 0 {
            self.first_ms = entry.recorded_ms();
        }
        self.last_ms = entry.recorded_ms();
    }

    fn add_fields(&mut self, entry: Raw<'_>) {
        for fields in [Fields::Leerkracht, Fields::Leerling, Fields::Results] {
            let persons = entry.persons(fields);
            if persons.rows == 0 {
                continue;
            }
            let sum = self.fields[fields as usize].get_or_insert_default();
            sum.deliveries += 1;
            sum.rows += u64::from(persons.rows);
            sum.released |= persons.released;
            sum.withheld |= persons.withheld;
            bits_of(persons.released).for_each(|bit| sum.released_in[bit as usize] += 1);
            bits_of(persons.withheld).for_each(|bit| sum.withheld_in[bit as usize] += 1);
        }
    }
}

impl Default for FieldSum {
    fn default() -> Self {
        Self { deliveries: 0, rows: 0, released: 0, withheld: 0, released_in: [0; 64], withheld_in: [0; 64] }
    }
}

impl DeliveryIndex {
    /// Totals of what a filter takes, in one pass over its days. Memory is that of the totals.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn sums(&self, filter: &Filter, by: By) -> io::Result<BTreeMap<Key, Sum>> {
        let mut places: HashMap<Key, usize> = HashMap::new();
        let mut sums: Vec<(Key, Sum)> = Vec::new();
        // Days come in order, so each is looked up in the calendar once.
        let (mut day, mut until) = (Date::MIN, 0);
        self.each(filter, &mut |entry| {
            let recorded = entry.recorded_ms();
            if recorded >= until {
                day = day_of(recorded);
                until = day.tomorrow().map_or(u64::MAX, day_start_ms);
            }
            let mut key = Key::default();
            match by {
                By::Day => key.day = Some(day),
                By::Recipient => key.recipient = Some(entry.recipient()),
                By::RecipientDay => (key.recipient, key.day) = (Some(entry.recipient()), Some(day)),
                By::School => key.school = Some(entry.brin()),
                By::SchoolMonth => {
                    (key.school, key.day) = (Some(entry.brin()), Some(day.first_of_month()));
                }
                By::Whole => {}
            }
            let place = *places.entry(key).or_insert_with(|| {
                sums.push((key, Sum::default()));
                sums.len() - 1
            });
            sums[place].1.add(entry);
            if by != By::SchoolMonth {
                sums[place].1.add_fields(entry);
            }
        })?;
        Ok(sums.into_iter().collect())
    }
}
