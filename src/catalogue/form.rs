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
    /// Two years that follow one another, with a hyphen: `2026-2027`. ParnasSys writes `2026 / 2027`.
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
            Self::Schooljaar => schooljaar(&digits::normalise(value)).map(Cow::Owned),
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
            Self::Brin | Self::In(_) | Self::PostcodeNl | Self::Schooljaar => {
                unreachable!("handled where the value may change")
            }
        }
    }
}

/// Any two numbers would do for the schemas; that they are years leaves no room for a number of something else.
fn schooljaar(value: &str) -> Option<String> {
    let (first, second) = value.split_once(['-', '/'])?;
    let year = |text: &str| -> Option<u16> {
        let text = text.trim();
        let four = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        if four { text.parse().ok() } else { None }
    };
    let (first, second) = (year(first)?, year(second)?);
    (second == first + 1).then(|| format!("{first:04}-{second:04}"))
}

/// `xs:date`, without its time zone: a birthday is the same day everywhere.
fn date(value: &str) -> Option<String> {
    // A date may come as the start of a dateTime (seen from exports that format all dates alike).
    let day = value.get(..10)?;
    let rest = &value[10..];
    let tail = rest.is_empty() || is_zone(rest) || (rest.starts_with('T') && datetime(value).is_some());
    (tail && is_day(day)).then(|| day.to_owned())
}

/// `xs:dateTime` with an optional fraction and zone. Of the fraction, milliseconds stay: a longer one has room for
/// a number of something else.
fn datetime(value: &str) -> Option<String> {
    if value.len() < 19 || value.len() > 40 || !value.is_ascii() || value.as_bytes()[10] != b'T' {
        return None;
    }
    let (moment, rest) = value.split_at(19);
    if !is_day(&moment[..10]) || !is_clock(&moment[11..]) {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix('.') {
        None => ("", rest),
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return None;
            }
            (&rest[..1 + digits.min(3)], &fraction[digits..])
        }
    };
    (zone.is_empty() || is_zone(zone)).then(|| format!("{moment}{fraction}{zone}"))
}

/// `2026-08-31`, a day that exists.
fn is_day(text: &str) -> bool {
    let shape = matches!(text.as_bytes(), [_, _, _, _, b'-', _, _, b'-', _, _]);
    shape && text.parse().is_ok_and(|day: jiff::civil::Date| day.year() > 0)
}

/// `23:59:59`. XML Schema knows no leap seconds.
fn is_clock(text: &str) -> bool {
    let part = |range: std::ops::Range<usize>, below: u8| {
        let digits = &text.as_bytes()[range];
        digits.iter().all(u8::is_ascii_digit) && (digits[0] - b'0') * 10 + (digits[1] - b'0') < below
    };
    matches!(text.as_bytes(), [_, _, b':', _, _, b':', _, _])
        && part(0..2, 24)
        && part(3..5, 60)
        && part(6..8, 60)
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
                ("2020-01-01T00:00:00.111222333Z", Some("2020-01-01T00:00:00.111Z")),
                ("2020-01-01T00:00:00.111222333", Some("2020-01-01T00:00:00.111")),
                ("2020-01-01T00:00:00.1+14:00", Some("2020-01-01T00:00:00.1+14:00")),
                ("2020-01-01T23:59:59", Some("2020-01-01T23:59:59")),
                ("2016-12-31T23:59:60Z", None),
                ("2020-01-01T24:00:00", None),
                ("2020-01-01T00:60:00", None),
                ("2020-01-01T00.00.00", None),
                ("2020-01-01T00:00:00.", None),
                ("2020-01-01T+0:00:00", None),
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
            &[
                ("2026-2027", Some("2026-2027")),
                ("2024 / 2025", Some("2024-2025")),
                ("2024/2025", Some("2024-2025")),
                (" 2024 -2025", Some("2024-2025")),
                ("2026/27", None),
                ("2026-2026", None),
                ("1112-2233", None),
                ("+202-0203", None),
                ("2024-2025-2026", None),
            ],
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
