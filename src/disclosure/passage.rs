//! Whether the days went by that the clock says went by. What was erased by a clock that jumped does not come back, so that
//! nothing is erased by itself until seven days have borne out what the clock says.

use std::collections::BTreeSet;

use jiff::{Unit, civil::Date};

/// So many days without anything are more than any holiday of a school.
const SILENCE: i32 = 100;
/// A silence is believed on the seventh day after it.
const DAYS: usize = 7;

/// The last day before a silence that is not yet believed. `days` are those on which something was recorded or the process
/// ran.
pub(super) fn unbelieved(days: &BTreeSet<Date>, today: Date) -> Option<Date> {
    let mut later = today;
    for &day in days.range(..today).rev().take(DAYS - 1) {
        // Within what a calendar can hold, so there is always an answer.
        let silence = later.since((Unit::Day, day)).map_or(i32::MAX, |span| span.get_days());
        if silence > SILENCE {
            return Some(day);
        }
        later = day;
    }
    None
}

#[cfg(test)]
mod tests {
    use jiff::{Span, civil::date};

    use super::*;

    #[test]
    fn a_silence_is_believed_after_seven_days() {
        const LAST: Date = date(2026, 11, 30);
        let later = |days: i32| LAST.saturating_add(Span::new().days(days));
        for (silence, after, believed) in [
            (1, 0, true),
            (100, 0, true),
            (101, 0, false),
            (500, 0, false),
            (500, 5, false),
            (500, 6, true),
            (20_000, 5, false),
            (20_000, 6, true),
        ] {
            let days: BTreeSet<_> = (-30..=0).chain(silence..silence + after).map(later).collect();
            let today = later(silence + after);
            let expected = (!believed).then_some(LAST);
            assert_eq!(unbelieved(&days, today), expected, "{silence} days, then {after}");
            // Days that the clock has since come back from say nothing.
            assert_eq!(unbelieved(&days, later(1)), None);
        }
        assert_eq!(unbelieved(&BTreeSet::new(), LAST), None, "of nothing, nothing can be erased");
    }
}
