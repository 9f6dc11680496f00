//! What well-formed values look like, and how a tolerated spelling becomes the strict one.

use std::borrow::Cow;

use super::Kind;
use crate::pseudonym::digits;

/// The check a value of a field has to pass before it may leave.
#[derive(Debug, Clone)]
pub struct Form {
    /// What the value is.
    pub kind: Kind,
    /// Longest value in characters, where the standard sets one.
    pub max: Option<usize>,
    /// Shape of the value, where the standard sets one.
    pub pattern: Option<Pattern>,
}

/// Shapes the standards use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// BRIN: two digits, two capitals.
    Brin,
    /// A decimal number.
    Decimal,
    /// Between so many and so many digits.
    Digits(usize, usize),
    /// One of these words.
    In(Vec<String>),
    /// A whole number.
    Int,
    /// Dutch postcode without a space: `1234AB`.
    PostcodeNl,
    /// Two years with a hyphen: `2026-2027`.
    Schooljaar,
    /// A whole number without a sign.
    Uint,
}

impl Pattern {
    /// Reads a pattern as the catalogue file writes it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text.split_once(':') {
            None => match text {
                "brin" => Self::Brin,
                "decimal" => Self::Decimal,
                "int" => Self::Int,
                "postcodenl" => Self::PostcodeNl,
                "schooljaar" => Self::Schooljaar,
                "uint" => Self::Uint,
                _ => return None,
            },
            Some(("digits", range)) => {
                let (low, high) = range.split_once('-').unwrap_or((range, range));
                Self::Digits(low.parse().ok()?, high.parse().ok()?)
            }
            Some(("in", words)) => Self::In(words.split('|').map(str::to_owned).collect()),
            Some(_) => return None,
        })
    }
}

impl Form {
    /// The value in the standard's strict spelling, or nothing when it has none.
    ///
    /// `value` has been trimmed. Decimal digits of any script count as digits: the schemas' `\p{Nd}` lets them
    /// through, so real messages may hold them.
    pub fn strict<'v>(&self, value: &'v str) -> Option<Cow<'v, str>> {
        if value.is_empty() {
            return None;
        }
        let value = match self.kind {
            Kind::Date => date(&digits::normalise(value)).map(Cow::Owned)?,
            Kind::Datetime => datetime(&digits::normalise(value)).map(Cow::Owned)?,
            Kind::Opaque => return None,
            _ => match &self.pattern {
                None => Cow::Borrowed(value),
                Some(pattern) => pattern.strict(value)?,
            },
        };
        // Bytes bound characters from above, so short values need no count.
        let fits = self.max.is_none_or(|max| value.len() <= max || value.chars().count() <= max);
        fits.then_some(value)
    }
}

impl Pattern {
    fn strict<'v>(&self, value: &'v str) -> Option<Cow<'v, str>> {
        match self {
            Self::In(words) => words.iter().any(|word| word == value).then_some(Cow::Borrowed(value)),
            Self::PostcodeNl => {
                let compact: String = digits::normalise(value)
                    .chars()
                    .filter(|c| !c.is_whitespace())
                    .map(|c| c.to_ascii_uppercase())
                    .collect();
                let shape = compact.len() == 6
                    && compact.bytes().take(4).all(|b| b.is_ascii_digit())
                    && compact.bytes().skip(4).all(|b| b.is_ascii_uppercase());
                shape.then_some(Cow::Owned(compact))
            }
            Self::Brin => {
                let upper = digits::normalise(value).to_ascii_uppercase();
                let bytes = upper.as_bytes();
                let shape = bytes.len() == 4
                    && bytes[..2].iter().all(u8::is_ascii_digit)
                    && bytes[2..].iter().all(u8::is_ascii_uppercase);
                shape.then_some(Cow::Owned(upper))
            }
            _ => {
                let value = digits::normalise(value);
                self.holds_for(value.as_bytes()).then_some(value)
            }
        }
    }

    fn holds_for(&self, value: &[u8]) -> bool {
        let all_digits = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
        let unsigned = |bytes: &[u8]| -> bool { all_digits(bytes) && bytes.len() <= 18 };
        let sign = usize::from(matches!(value.first(), Some(b'-' | b'+')));
        match self {
            Self::Digits(low, high) => all_digits(value) && (*low..=*high).contains(&value.len()),
            Self::Uint => unsigned(value),
            Self::Int => unsigned(&value[sign..]),
            Self::Decimal => {
                let mut parts = value[sign..].splitn(2, |&b| b == b'.');
                parts.next().is_some_and(unsigned) && parts.next().is_none_or(unsigned)
            }
            Self::Schooljaar => {
                value.len() == 9 && value[4] == b'-' && all_digits(&value[..4]) && all_digits(&value[5..])
            }
            Self::Brin | Self::In(_) | Self::PostcodeNl => unreachable!("handled where the value may change"),
        }
    }
}

/// `xs:date`, without its time zone: a birthday is the same day everywhere.
fn date(value: &str) -> Option<String> {
    // A date may come as the start of a dateTime (seen from exports that format all dates alike).
    let day = value.get(..10)?;
    let rest = &value[10..];
    let tail = rest.is_empty() || is_zone(rest) || (rest.starts_with('T') && datetime(value).is_some());
    let parsed: jiff::civil::Date = day.parse().ok()?;
    (tail && day.as_bytes()[4] == b'-' && parsed.year() > 0).then(|| day.to_owned())
}

/// `xs:dateTime` with an optional fraction and zone, kept as written.
fn datetime(value: &str) -> Option<String> {
    let bytes = value.as_bytes();
    if bytes.len() < 19 || bytes.len() > 40 || !value.is_ascii() || bytes[10] != b'T' {
        return None;
    }
    let (clock, rest) = value[11..].split_at(8);
    let seconds_and_before: jiff::civil::Time = clock.parse().ok()?;
    let day: jiff::civil::Date = value[..10].parse().ok()?;
    let rest = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return None;
            }
            &fraction[digits..]
        }
    };
    let _ = seconds_and_before;
    ((rest.is_empty() || is_zone(rest)) && day.year() > 0 && bytes[13] == b':').then(|| value.to_owned())
}

fn is_zone(text: &str) -> bool {
    let bytes = text.as_bytes();
    text == "Z"
        || (bytes.len() == 6
            && matches!(bytes[0], b'+' | b'-')
            && bytes[3] == b':'
            && [1, 2, 4, 5].iter().all(|&i| bytes[i].is_ascii_digit())
            && (bytes[1] == b'0' || (bytes[1] == b'1' && bytes[2] <= b'4'))
            && bytes[4] <= b'5')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(kind: Kind, pattern: Option<&str>, max: Option<usize>) -> Form {
        Form { kind, max, pattern: pattern.map(|text| Pattern::parse(text).expect("a known pattern")) }
    }

    fn check(form: &Form, rows: &[(&str, Option<&str>)]) {
        for (given, expected) in rows {
            assert_eq!(form.strict(given).as_deref(), *expected, "{given:?} as {form:?}");
        }
    }

    #[test]
    fn dates() {
        check(
            &form(Kind::Date, None, None),
            &[
                ("2016-04-02", Some("2016-04-02")),
                ("2016-04-02Z", Some("2016-04-02")),
                ("2016-04-02+02:00", Some("2016-04-02")),
                ("2016-04-02T00:00:00", Some("2016-04-02")),
                ("２０１６-04-02", Some("2016-04-02")),
                ("2016-02-30", None),
                ("2-4-2016", None),
                ("2016-04-02 of zo", None),
                ("20160402", None),
                ("", None),
            ],
        );
        check(
            &form(Kind::Datetime, None, None),
            &[
                ("2019-01-04T20:00:00Z", Some("2019-01-04T20:00:00Z")),
                ("2014-09-07T08:47:34.123+01:00", Some("2014-09-07T08:47:34.123+01:00")),
                ("2014-09-07", None),
                ("2014-09-07T25:00:00", None),
                ("2014-09-07T08:47:34 Jip", None),
            ],
        );
    }

    #[test]
    fn codes_and_numbers() {
        check(&form(Kind::Code, Some("in:0|0,3|1,2"), None), &[("0,3", Some("0,3")), ("0.3", None)]);
        check(
            &form(Kind::Pgn, Some("digits:9"), None),
            &[("１１１222333", Some("111222333")), ("11122233", None)],
        );
        check(
            &form(Kind::Postcode, Some("postcodenl"), None),
            &[("6971 vb", Some("6971VB")), ("6971", None)],
        );
        check(&form(Kind::Code, Some("brin"), None), &[("99de", Some("99DE")), ("9DE", None)]);
        check(
            &form(Kind::Code, Some("schooljaar"), None),
            &[("2026-2027", Some("2026-2027")), ("2026/27", None)],
        );
        check(
            &form(Kind::Number, Some("decimal"), None),
            &[("-1.5", Some("-1.5")), ("1,5", None), (".5", None)],
        );
    }

    #[test]
    fn lengths_count_characters() {
        check(&form(Kind::Text, None, Some(4)), &[("Zoëë", Some("Zoëë")), ("Zoëëe", None)]);
    }
}
