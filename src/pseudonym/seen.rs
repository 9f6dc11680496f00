//! What one document has held, and what has left of it, as fingerprints.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::{
    prints::{EMPTY, Print, Prints},
    reading::{Form, LONG, LONGEST_NUMBER, Reading, SHORTEST, bare, is_number},
};

/// What one document has held so far, as keyed fingerprints: enough to find a duplicate or a stray identifier, useless
/// to whoever gets hold of it.
///
/// Five bytes a slot in 64 tables that grow on their own, so that a million entries stay below 7 MiB and growing never
/// holds two copies of it all. With the table a fingerprint has 46 bits: among n entries, two that differ are taken for
/// the same with a chance of about n²/2⁴⁷.
pub struct Seen {
    state: RandomState,
    shards: Vec<Prints>,
    /// Per length in digits, whether there is a number of it: only then is it worth looking for.
    numbers: u64,
    /// The same for words, by bytes; the last bit stands for all longer ones.
    words: u128,
}

impl Default for Seen {
    fn default() -> Self {
        Self::new()
    }
}

impl Seen {
    /// Nothing seen yet.
    pub fn new() -> Self {
        let shards = (0..64).map(|_| Prints::default()).collect();
        Self { state: RandomState::new(), shards, numbers: 0, words: 0 }
    }

    fn print(&self, label: &str, value: &str) -> (usize, Print) {
        let mut hasher = self.state.build_hasher();
        hasher.write(label.as_bytes());
        hasher.write_u8(0xFF);
        hasher.write(value.as_bytes());
        let hash = hasher.finish().to_le_bytes();
        let mut print = [hash[0], hash[1], hash[2], hash[3], hash[4]];
        if print == EMPTY {
            print[0] = 1;
        }
        (usize::from(hash[7] & 63), print)
    }

    /// Notes a value of a kind; false when it was there already.
    pub fn insert(&mut self, label: &str, value: &str) -> bool {
        let (shard, print) = self.print(label, value);
        self.shards[shard].insert(print)
    }

    /// Whether a value of a kind was noted.
    pub fn contains(&self, label: &str, value: &str) -> bool {
        let (shard, print) = self.print(label, value);
        self.shards[shard].contains(print)
    }

    /// Notes an identifier, to be looked for inside other values.
    ///
    /// A register number of nine digits needs no place here: [`Scanner::finds`](super::Scanner::finds) finds every such number, noted or not,
    /// in all that holds its nine digits.
    pub fn insert_identifier(&mut self, identifier: &Reading) {
        let digits = identifier.text();
        if digits.len() == 9
            && is_number(digits)
            && !digits.starts_with('0')
            && identifier.holds_register_number()
        {
            return;
        }
        identifier.forms(|form, text| {
            match form {
                Form::Number => self.numbers |= 1 << text.len(),
                Form::Word => self.words |= 1 << text.len().min(127),
            }
            self.insert(form.label(), text);
        });
    }

    /// Notes an ECK iD, to be looked for inside other values; false when it was there already.
    ///
    /// Of one with the shape of the Nummervoorziening's, the digits alone are kept: whatever holds the address holds
    /// them, and there is no other with the same.
    pub fn insert_eckid(&mut self, eckid: &str, reading: &Reading) -> bool {
        if let Some(digits) = reading.long_last_word() {
            return self.insert_eckid_digits(digits);
        }
        self.insert_identifier(reading);
        self.insert("eckid", eckid)
    }

    /// The same, of one of which it is known that it has that shape: of its digits.
    pub fn insert_eckid_digits(&mut self, digits: &str) -> bool {
        self.words |= 1 << digits.len().min(127);
        self.insert(Form::Word.label(), digits)
    }

    fn knows(&self, form: Form, text: &str) -> bool {
        let length = match form {
            Form::Number => text.len() <= LONGEST_NUMBER && self.numbers & (1 << text.len()) != 0,
            Form::Word => self.words & (1 << text.len().min(127)) != 0,
        };
        length && self.contains(form.label(), text)
    }

    /// Whether a value without register numbers is, or holds, an identifier noted before.
    ///
    /// Numbers are found inside longer ones and whatever stands between their digits; those of four digits only as a
    /// whole. Words are found as a word, or as words that follow one another. Identifiers of fewer than four
    /// characters are not looked for.
    pub(super) fn holds_identifier(&self, value: &Reading) -> bool {
        let inside = |number: &str| {
            (LONG..=number.len().min(LONGEST_NUMBER)).filter(|length| self.numbers & (1 << length) != 0).any(
                |length| {
                    (0..=number.len() - length).any(|at| self.knows(Form::Number, &number[at..at + length]))
                },
            )
        };
        let four = |number: &str| {
            (number.len() == SHORTEST && self.knows(Form::Number, number))
                || (number.starts_with('0')
                    && bare(number).len() == SHORTEST
                    && self.knows(Form::Number, bare(number)))
        };
        if self.numbers != 0
            && (value.numbers().any(|number| inside(number) || four(number))
                || value.plain_groups().any(four))
        {
            return true;
        }
        // A number as a word has been looked for already, save one that is too long.
        self.words != 0
            && value
                .sequences()
                .any(|text| (text.len() > LONGEST_NUMBER || !is_number(text)) && self.knows(Form::Word, text))
    }
}

/// What has left of texts that may hold an identifier, as far as it fits: some are known only when a later person
/// turns out to have it.
pub struct Released {
    seen: Seen,
    room: usize,
    /// A word as long as an ECK iD was among it.
    eckid_like: bool,
}

/// Hexadecimal digits of an ECK iD.
const ECKID_DIGITS: usize = 128;
/// So many words are kept, about 0.4 MiB; after that, no more are.
const MOST_RELEASED: usize = 60_000;

impl Default for Released {
    fn default() -> Self {
        Self { seen: Seen::new(), room: MOST_RELEASED, eckid_like: false }
    }
}

impl Released {
    /// Notes a value that leaves: whole, by white space, by word, and its numbers.
    pub fn note(&mut self, value: &Reading) {
        let Self { seen, room, eckid_like } = self;
        *eckid_like |= value.text().len() >= ECKID_DIGITS;
        value.parts(|form, text| {
            let worth = text.len() >= SHORTEST && *room > 0 && (form == Form::Number || !is_number(text));
            if worth && seen.insert(form.label(), text) {
                *room -= 1;
            }
        });
    }

    /// Whether nothing has left that is long enough to hold an ECK iD of the Nummervoorziening.
    pub fn holds_no_eckid(&self) -> bool {
        !self.eckid_like
    }

    /// Whether an identifier was in what left.
    pub fn holds(&self, identifier: &Reading) -> bool {
        if self.room == MOST_RELEASED {
            return false;
        }
        let mut held = false;
        identifier.forms(|form, text| held |= self.seen.contains(form.label(), text));
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_left_is_known_again() {
        let mut released = Released::default();
        for value in ["tch9001", "p.de-vries@school.example", "van jip@s.nl", "jansen2012", "4 1 3 2 3"] {
            released.note(Reading::new().read(value));
        }
        for (identifier, expected) in [
            ("TCH9001", true),
            ("p.de-vries@school.example", true),
            ("vries", true),
            ("jip@s.nl", true),
            ("2012", true),
            ("41323", true),
            ("jansen2013", false),
            ("tch", false),
        ] {
            assert_eq!(released.holds(Reading::new().read(identifier)), expected, "{identifier}");
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
        let bytes: usize = seen.shards.iter().map(|shard| shard.bytes()).sum();
        assert!(bytes < 50_000 * 13, "{bytes} bytes for 50,000 entries");
    }
}
