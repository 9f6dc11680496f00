//! Identifiers that slip through sideways: in a group's name, a user name, a remark.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::{digits, pgn::passes_elfproef};

/// Whether a text holds nine digits in a row that are a valid BSN or onderwijsnummer, digits of any script, with at
/// most one separator between two of them.
///
/// One in about six random numbers of nine digits passes, so a hit is a suspicion, not proof; the value is withheld
/// all the same.
pub fn holds_elfproef_number(text: &str) -> bool {
    let mut window = [0u8; 9];
    let mut run = 0usize;
    let mut separators = 0;
    for character in text.chars() {
        match digits::ascii(character) {
            Some(digit) => {
                window.rotate_left(1);
                window[8] = digit - b'0';
                run += 1;
                separators = 0;
                if run >= 9 && passes_elfproef(&window) {
                    return true;
                }
            }
            None if run > 0 && separators == 0 && is_separator(character) => separators = 1,
            None => {
                run = 0;
                separators = 0;
            }
        }
    }
    false
}

/// Whether a text holds a run of as many digits as a pupil's number has: five or more, of any script.
///
/// For texts about no person that stand before the pupils, whose numbers are therefore not known yet: a year or a
/// classroom has fewer digits.
pub fn holds_long_number(text: &str) -> bool {
    let mut run = 0;
    text.chars().any(|character| {
        run = if digits::ascii(character).is_some() { run + 1 } else { 0 };
        run >= 5
    })
}

fn is_separator(character: char) -> bool {
    matches!(character, '.' | '-' | '/' | '_' | '\u{2010}'..='\u{2015}') || character.is_whitespace()
}

/// Shortest identifier that is looked for inside other values: shorter ones are everywhere by chance.
const SHORTEST: usize = 4;

/// What one document has held so far, as keyed 48-bit fingerprints: enough to find a duplicate or a stray
/// identifier, useless to whoever gets hold of it.
///
/// Six bytes a slot in 64 tables that grow on their own, so that 500,000 entries stay below 6 MiB and growing never
/// holds two copies of it all. Two different entries collide with a chance of about n²/2⁴⁹.
pub struct Seen {
    state: RandomState,
    shards: Vec<Shard>,
}

#[derive(Default)]
struct Shard {
    slots: Vec<[u8; 6]>,
    used: usize,
}

const EMPTY: [u8; 6] = [0; 6];

impl Shard {
    fn find(slots: &[[u8; 6]], print: [u8; 6]) -> Result<usize, usize> {
        let hash = u32::from_le_bytes([print[1], print[2], print[3], print[4]]) as usize;
        let mut at = hash % slots.len();
        loop {
            if slots[at] == print {
                return Ok(at);
            }
            if slots[at] == EMPTY {
                return Err(at);
            }
            at = (at + 1) % slots.len();
        }
    }

    fn contains(&self, print: [u8; 6]) -> bool {
        !self.slots.is_empty() && Self::find(&self.slots, print).is_ok()
    }

    fn insert(&mut self, print: [u8; 6]) -> bool {
        if self.used * 10 >= self.slots.len() * 8 {
            let mut larger = vec![EMPTY; (self.slots.len() * 3 / 2).max(8)];
            for &slot in self.slots.iter().filter(|&&slot| slot != EMPTY) {
                if let Err(free) = Self::find(&larger, slot) {
                    larger[free] = slot;
                }
            }
            self.slots = larger;
        }
        match Self::find(&self.slots, print) {
            Ok(_) => false,
            Err(free) => {
                self.slots[free] = print;
                self.used += 1;
                true
            }
        }
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self::new()
    }
}

impl Seen {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self { state: RandomState::new(), shards: (0..64).map(|_| Shard::default()).collect() }
    }

    fn print(&self, label: &str, parts: impl Iterator<Item = char>) -> (usize, [u8; 6]) {
        let mut hasher = self.state.build_hasher();
        hasher.write(label.as_bytes());
        hasher.write_u8(0xFF);
        for part in parts {
            hasher.write_u32(part.into());
        }
        let hash = hasher.finish().to_le_bytes();
        let mut print = [hash[0], hash[1], hash[2], hash[3], hash[4], hash[5]];
        if print == EMPTY {
            print[0] = 1;
        }
        (usize::from(hash[7] & 63), print)
    }

    /// Notes a value of a kind; false when it was there already.
    pub fn insert(&mut self, label: &str, value: &str) -> bool {
        let (shard, print) = self.print(label, value.chars());
        self.shards[shard].insert(print)
    }

    /// Whether a value of a kind was noted.
    pub fn contains(&self, label: &str, value: &str) -> bool {
        let (shard, print) = self.print(label, value.chars());
        self.shards[shard].contains(print)
    }

    fn word(&self, word: &str) -> Option<(usize, [u8; 6])> {
        let word = digits::normalise(word);
        let word =
            if word.bytes().all(|byte| byte.is_ascii_digit()) { word.trim_start_matches('0') } else { &word };
        (word.len() >= SHORTEST).then(|| self.print("", word.chars().flat_map(char::to_lowercase)))
    }

    /// Notes an identifier, to be looked for inside other values.
    pub fn insert_identifier(&mut self, identifier: &str) {
        if let Some((shard, print)) = self.word(identifier) {
            self.shards[shard].insert(print);
        }
    }

    /// Whether a value is, or holds as a word or a run of digits, an identifier noted before.
    ///
    /// Upper and lower case, scripts of digits and leading zeros make no difference. Identifiers of fewer than four
    /// characters are not looked for.
    pub fn contains_identifier(&self, value: &str) -> bool {
        let known =
            |word: &str| self.word(word).is_some_and(|(shard, print)| self.shards[shard].contains(print));
        if known(value) {
            return true;
        }
        // Words by three readings of what separates them: `jan.100001`, `jan_de-wit@school.example`, `l100001x`.
        let separated = |is_part: fn(char) -> bool| {
            value.split(|c: char| !is_part(c)).filter(|word| !word.is_empty()).any(known)
        };
        separated(|c| !c.is_whitespace() && !matches!(c, '@' | ',' | ';' | '(' | ')' | '<' | '>' | '"'))
            || separated(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '#'))
            || separated(char::is_alphanumeric)
            || separated(|c| digits::ascii(c).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_pass_the_elfproef_are_found() {
        for (text, expected) in [
            ("111222333", true),
            ("bsn:111222333!", true),
            ("111 222 333", true),
            ("1112.22.333", true),
            ("１１１２２２３３３", true),
            ("x0111222333", true),
            ("101222331", true),
            ("111222334", false),
            ("11122 en 2333", false),
            ("111  222333", false),
            ("Groep 4a, lokaal 12", false),
            ("000000000", false),
            ("", false),
        ] {
            assert_eq!(holds_elfproef_number(text), expected, "{text}");
        }
    }

    #[test]
    fn long_numbers_are_told_from_years_and_rooms() {
        for (text, expected) in [
            ("Groep 4a 2026-2027", false),
            ("lokaal 1.204", false),
            ("Plus 41323", true),
            ("x１２３４５", true),
        ] {
            assert_eq!(holds_long_number(text), expected, "{text}");
        }
    }

    #[test]
    fn identifiers_are_found_in_other_values() {
        let mut seen = Seen::new();
        seen.insert_identifier("100001");
        seen.insert_identifier("fictie.testman");
        seen.insert_identifier("L1");
        seen.insert_identifier("00042");
        seen.insert_identifier("12345");
        for (value, expected) in [
            ("100001", true),
            ("0100001", true),
            ("https://example.org/foto/100001.jpg", true),
            ("l100001x", true),
            ("１００００１", true),
            ("Fictie.Testman@example.org", true),
            ("groep van fictie.testman", true),
            ("1000012", false),
            ("L1", false),
            ("42", false),
            ("klas 12345", true),
            ("Plusgroep rekenen", false),
        ] {
            assert_eq!(seen.contains_identifier(value), expected, "{value}");
        }
    }

    #[test]
    fn duplicates_are_told_from_new_values_at_scale() {
        let mut seen = Seen::new();
        for number in 0..50_000 {
            assert!(seen.insert("leerling", &number.to_string()));
        }
        assert!(seen.insert("groep", "7"), "another kind");
        for number in 0..50_000 {
            assert!(!seen.insert("leerling", &number.to_string()));
            assert!(seen.contains("leerling", &number.to_string()));
        }
        assert!(!seen.contains("leerling", "50000"));
        let bytes: usize = seen.shards.iter().map(|shard| shard.slots.capacity() * 6).sum();
        assert!(bytes < 50_000 * 13, "{bytes} bytes for 50,000 entries");
    }
}
