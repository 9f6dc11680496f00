//! Identifiers that slip through sideways: in a group's name, a user name, a remark.
//!
//! A value is looked through in one canonical form, its [`Reading`], as it stands and with percent-encoding
//! undone: `(111)222333` and `%31%31%31222333` are one number.
//!
//! What is still to come in a document cannot be known: of that, only the shape is (a long number), and that it had
//! left is at least noticed afterwards, by [`Released`](super::Released).

use std::borrow::Cow;

use super::{
    reading::{Reading, bare},
    seen::Seen,
};

/// How often percent-encoding is undone.
const MOST_LAYERS: usize = 3;

/// The identifiers of the record a value stands in, whatever their length.
#[derive(Default)]
pub struct Own(Vec<String>);

impl Own {
    /// Forgets whose they were.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds one.
    pub fn add(&mut self, identifier: &Reading) {
        let text = bare(identifier.text());
        if !text.is_empty() {
            self.0.push(text.to_owned());
        }
    }

    fn is(&self, text: &str) -> bool {
        let text = bare(text);
        self.0.iter().any(|own| own == text)
    }

    fn is_in(&self, reading: &Reading) -> bool {
        if self.0.is_empty() {
            return false;
        }
        // One or two characters are everywhere by chance, so these only count as the whole of something.
        let long = |text: &str| bare(text).len() > 2 && self.is(text);
        self.is(reading.text())
            || reading.numbers().any(long)
            || reading.groups().any(long)
            || reading.sequences().any(long)
    }
}

/// Looks values through. Keeps its memory between them.
#[derive(Default)]
pub struct Scanner {
    reading: Reading,
    part: Reading,
}

impl Scanner {
    /// Whether a value is, or holds, an identifier of the document, one of the record's own, or a number that passes
    /// the test of a government register; or, where `long` says that those to come count as well, any long number.
    pub fn finds(&mut self, value: &str, seen: &Seen, own: &Own, long: bool) -> bool {
        if self.finds_in(value, seen, own, long) {
            return true;
        }
        let mut text = Cow::Borrowed(value);
        for _ in 0..MOST_LAYERS {
            let Some(layer) = percent_decoded(&text) else { break };
            if self.finds_in(&layer, seen, own, long) {
                return true;
            }
            text = Cow::Owned(layer);
        }
        false
    }

    fn finds_in(&mut self, value: &str, seen: &Seen, own: &Own, long: bool) -> bool {
        let reading = self.reading.read(value);
        if (long && reading.holds_long_number())
            || reading.holds_register_number()
            || seen.holds_identifier(reading)
            || own.is_in(reading)
        {
            return true;
        }
        if own.0.is_empty() {
            return false;
        }
        let mut is_own = |part: &str| own.is(self.part.read(part).text());
        let local = value.split_once('@').is_some_and(|(local, _)| is_own(local));
        local
            || value.trim_end_matches('/').rsplit_once('/').is_some_and(|(_, segment)| {
                let segment = segment.split(['?', '#']).next().unwrap_or(segment);
                is_own(segment) || segment.rsplit_once('.').is_some_and(|(name, _)| is_own(name))
            })
    }

    /// Reads an identifier.
    pub fn read(&mut self, identifier: &str) -> &Reading {
        self.reading.read(identifier)
    }

    /// The value looked through last.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }
}

/// The text with `%XX` undone where it stands for something; none when nothing changes.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let bytes = text.as_bytes();
    let nibble = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::new();
    let mut at = 0;
    let mut some = false;
    while at < bytes.len() {
        match (bytes[at], nibble(at + 1), nibble(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits"));
                some = true;
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    some.then(|| String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(identifiers: &[&str]) -> Seen {
        let mut seen = Seen::new();
        for identifier in identifiers {
            seen.insert_identifier(Reading::new().read(identifier));
        }
        seen
    }

    fn check(identifiers: &[&str], rows: &[(&str, bool)]) {
        let seen = seen(identifiers);
        for (value, expected) in rows {
            let found = Scanner::default().finds(value, &seen, &Own::default(), false);
            assert_eq!(found, *expected, "{value} with {identifiers:?}");
        }
    }

    #[test]
    fn identifiers_are_found_in_other_values() {
        check(
            &["100001", "fictie.testman", "L1", "00042", "12345"],
            &[
                ("100001", true),
                ("0100001", true),
                ("https://example.org/foto/100001.jpg", true),
                ("l100001x", true),
                ("１００００１", true),
                ("Fictie.Testman@example.org", true),
                ("ＦＩＣＴＩＥ.testman", true),
                ("groep van fictie testman", true),
                ("100.001@school.example", true),
                ("12100001", true),
                ("1000012", true),
                ("https://x/%31%30%30%30%30%31.jpg", true),
                ("https://x/%2531%2530%2530%2530%2530%2531.jpg", true),
                ("100\u{200b}001", true),
                ("L1", false),
                ("42", false),
                ("klas 12345", true),
                ("100 en 001", false),
                ("50% korting, 100%", false),
                ("Plusgroep rekenen", false),
            ],
        );
        check(
            &["000123"],
            &[("000123", true), ("000123@school.example", true), ("0000123", true), ("123", false)],
        );
        check(
            &["2012", "02015"],
            &[("jansen2012", true), ("2015", true), ("02012", true), ("120125", false)],
        );
        check(&["2026"], &[("Groep 4a 2026-2027", false), ("Groep 2026", true)]);
        check(&["202620"], &[("Groep 4a 2026-2027", false), ("Groep 4a 2026/20", true)]);
    }

    #[test]
    fn keys_with_letters_are_found_by_their_number_too() {
        for key in ["L100200", "#100200", "LL100200", "100200@school.example", "{100200}"] {
            check(&[key], &[("100200", true), ("vanLL100200", true), ("l100201", false)]);
        }
        check(&["jip@s.nl"], &[("van jip@s.nl", true), ("jip@s.nl.", true), ("jip@x.nl", false)]);
        let uuid = "6f1c2d3e-4a5b-4c6d-8e9f-0a1b2c3d4e5f";
        for key in [uuid.to_owned(), format!("{{{uuid}}}"), uuid.to_uppercase(), uuid.replace('-', "")] {
            check(
                &[&key],
                &[
                    (&format!("https://x/{uuid}.jpg"), true),
                    (&format!("https://x/{}.jpg", uuid.replace('-', "")), true),
                    (&format!("https://x/?id=%7B{uuid}%7D&maat=3"), true),
                    ("https://x/6f1c2d3e-4a5b.jpg", false),
                ],
            );
        }
        let hex = "0123456789abcdef".repeat(8);
        let eckid = format!("https://ketenid.nl/201703/{hex}");
        check(&[&eckid], &[(&eckid, true), (&hex, true), (&format!("foto-{hex}"), true), ("201703", false)]);
    }

    #[test]
    fn ones_own_identifier_is_found_whatever_its_length() {
        let own = |key: &str, value: &str| {
            let mut own = Own::default();
            own.add(Reading::new().read(key));
            Scanner::default().finds(value, &Seen::new(), &own, false)
        };
        for (key, value, expected) in [
            ("123", "123", true),
            ("123", "l00123", true),
            ("123", "123@s.nl", true),
            ("000123", "123", true),
            ("3", "3", true),
            ("3", "03", true),
            ("3", "3@s.nl", true),
            ("3", "https://s.nl/foto/3.jpg?maat=1", true),
            ("3", "https://s.nl/foto/3/", true),
            ("ab", "AB@s.nl", true),
            ("jip", "jip.jansen@s.nl", true),
            ("3", "takkie3", false),
            ("123", "1234", false),
            ("jip", "jippie", false),
            ("0", "Groep 1", false),
        ] {
            assert_eq!(own(key, value), expected, "{value} of {key}");
        }
    }
}
