//! What may happen to a value, and how a value is made coarser.

use crate::catalogue::Treatment;

/// What happens to a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// A coarser value takes its place.
    Generalise(Treatment),
    /// It leaves as it is.
    Pass,
    /// A pseudonym or token takes its place.
    Pseudonymise,
    /// It stays. Where the standard insists, a constant takes its place.
    Withhold,
}

/// The coarser form of a value that is well-formed for its field; nothing when it has none.
///
/// The result is still valid in the standards: a year is written as its first of January, a month as its first day,
/// and the four digits of a postcode are followed by the letters `XX`.
pub fn generalise(treatment: Treatment, value: &str) -> Option<String> {
    match treatment {
        Treatment::Initial => {
            let first = value.chars().find(|c| c.is_alphabetic())?;
            Some(first.to_uppercase().chain(['.']).collect())
        }
        Treatment::Month => value.get(..7).map(|month| format!("{month}-01")),
        Treatment::Pc4 => value.get(..4).map(|digits| format!("{digits}XX")),
        Treatment::Year => value.get(..4).map(|year| format!("{year}-01-01")),
        Treatment::Pass | Treatment::Pseudonym => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarser_values_say_less() {
        for (treatment, value, expected) in [
            (Treatment::Initial, "Zoë", Some("Z.")),
            (Treatment::Initial, "'t Hooft", Some("T.")),
            (Treatment::Initial, "élan", Some("É.")),
            (Treatment::Initial, "123", None),
            (Treatment::Month, "2016-04-02", Some("2016-04-01")),
            (Treatment::Year, "2016-04-02", Some("2016-01-01")),
            (Treatment::Pc4, "6971VB", Some("6971XX")),
            (Treatment::Pass, "anything", None),
        ] {
            assert_eq!(generalise(treatment, value).as_deref(), expected, "{treatment:?} {value}");
        }
    }
}
