//! The one canonical form in which a value is looked through: what has no shape dropped, letters small, digits of any
//! script ASCII, and what is neither letter nor digit kept as a mere break. So `111 - 222 - 333` and `(111)222333` are
//! one number, and `{6F1C2D3E-…}` is one key.

use std::ops::Range;

use super::{digits, pgn::passes_elfproef};

/// Shortest identifier that is looked for in values of others: shorter ones are everywhere by chance.
pub(super) const SHORTEST: usize = 4;
/// Shortest number that is looked for inside longer ones, and the shortest that is taken for a pupil's number by
/// its length alone: a year or a classroom has fewer digits.
pub(super) const LONG: usize = 5;
/// Longest number whose length fits the mask of lengths; a longer one is kept as a word.
pub(super) const LONGEST_NUMBER: usize = 63;
/// Between two digits of one number stand at most so many characters that are neither letter nor digit.
const WIDEST_GAP: usize = 3;
/// An identifier may be spread over so many words: a UUID has five, an ECK iD as well.
const MOST_WORDS: usize = 8;

/// Some digits that stand together.
#[derive(Clone, Copy)]
struct Group {
    from: usize,
    to: usize,
    /// Nothing but a narrow gap between this group and the one before.
    joined: bool,
}

/// A word: letters and digits without a break.
#[derive(Clone, Copy)]
struct Word {
    from: usize,
    to: usize,
    /// White space, and not just punctuation, stands before it.
    spaced: bool,
}

/// What a reading knows of the characters before the next one.
struct Reader<'r> {
    reading: &'r mut Reading,
    word: Option<Word>,
    spaced: bool,
    /// Characters since the last digit; none: a letter stands between, or there was no digit.
    gap: Option<usize>,
}

impl Reader<'_> {
    fn in_word(&mut self) {
        let (from, spaced) = (self.reading.text.len(), self.spaced);
        self.word.get_or_insert(Word { from, to: 0, spaced });
    }

    fn digit(&mut self, digit: u8) {
        self.in_word();
        let at = self.reading.text.len();
        self.reading.text.push(char::from(digit));
        match (self.gap, self.reading.groups.last_mut()) {
            (Some(0), Some(group)) => group.to += 1,
            (gap, _) => {
                let joined = gap.is_some_and(|gap| gap <= WIDEST_GAP);
                self.reading.groups.push(Group { from: at, to: at + 1, joined });
            }
        }
        self.gap = Some(0);
    }

    fn letters(&mut self, letters: impl IntoIterator<Item = char>) {
        self.in_word();
        self.reading.text.extend(letters);
        self.gap = None;
    }

    fn other(&mut self, character: char) {
        self.end_word();
        self.spaced |= character.is_whitespace();
        self.gap = self.gap.map(|gap| gap + 1);
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take() {
            self.reading.words.push(Word { to: self.reading.text.len(), ..word });
            self.spaced = false;
        }
    }
}

/// A text in canonical form. Keeps its memory, so one serves many texts.
#[derive(Default)]
pub struct Reading {
    /// All letters and digits, one after the other.
    text: String,
    words: Vec<Word>,
    groups: Vec<Group>,
    /// Numbers as they may be meant: groups with narrow gaps, as ranges of `groups`; pairs of years stand apart.
    numbers: Vec<Range<usize>>,
}

impl Reading {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a text, as it stands: percent-encoding is left alone.
    pub fn read(&mut self, text: &str) -> &Self {
        self.text.clear();
        self.words.clear();
        self.groups.clear();
        self.numbers.clear();
        let mut reader = Reader { reading: self, word: None, spaced: false, gap: None };
        if text.is_ascii() {
            for byte in text.bytes() {
                match byte {
                    b'0'..=b'9' => reader.digit(byte),
                    b'a'..=b'z' | b'A'..=b'Z' => reader.letters([char::from(byte.to_ascii_lowercase())]),
                    _ => reader.other(char::from(byte)),
                }
            }
        } else {
            for character in text.chars() {
                if is_invisible(character) {
                } else if let Some(digit) = digit(character) {
                    reader.digit(digit);
                } else if character.is_alphanumeric() {
                    reader.letters(narrow(character).to_lowercase());
                } else {
                    reader.other(character);
                }
            }
        }
        reader.end_word();
        self.find_numbers();
        self
    }

    /// Joins groups to numbers. A pair of years, `2026-2027` or `2026/27`, is none: school years stand in the names
    /// of groups everywhere, and with the digit of `Groep 4 2026-2027` they pass the elfproef.
    fn find_numbers(&mut self) {
        let mut from = 0;
        let mut at = 0;
        while at < self.groups.len() {
            if at > from && !self.groups[at].joined {
                self.numbers.push(from..at);
                from = at;
            }
            if self.are_years(at) {
                if at > from {
                    self.numbers.push(from..at);
                }
                at += 2;
                from = at;
            } else {
                at += 1;
            }
        }
        if from < self.groups.len() {
            self.numbers.push(from..self.groups.len());
        }
    }

    fn are_years(&self, at: usize) -> bool {
        let (Some(first), Some(second)) = (self.groups.get(at), self.groups.get(at + 1)) else {
            return false;
        };
        let value = |group: &Group| self.text[group.from..group.to].parse::<u16>().ok();
        let lengths = (first.to - first.from, second.to - second.from);
        if !second.joined || !matches!(lengths, (4, 4 | 2)) {
            return false;
        }
        match (value(first), value(second)) {
            (Some(first @ 1900..=2100), Some(second)) if lengths.1 == 4 => second == first + 1,
            (Some(first @ 1900..=2100), Some(second)) => second == (first + 1) % 100,
            _ => false,
        }
    }

    fn group(&self, at: usize) -> &str {
        &self.text[self.groups[at].from..self.groups[at].to]
    }

    /// Digits that stand together.
    pub(super) fn groups(&self) -> impl Iterator<Item = &str> {
        (0..self.groups.len()).map(|at| self.group(at))
    }

    fn number(&self, groups: &Range<usize>) -> &str {
        &self.text[self.groups[groups.start].from..self.groups[groups.end - 1].to]
    }

    /// Digits that may be meant as one number.
    pub(super) fn numbers(&self) -> impl Iterator<Item = &str> {
        self.numbers.iter().map(|groups| self.number(groups))
    }

    /// Digits of groups that are no years.
    pub(super) fn plain_groups(&self) -> impl Iterator<Item = &str> {
        self.numbers.iter().flat_map(Clone::clone).map(|at| self.group(at))
    }

    /// Words, and words that follow one another, as one.
    pub(super) fn sequences(&self) -> impl Iterator<Item = &str> {
        self.words.iter().enumerate().flat_map(move |(at, first)| {
            self.words[at..].iter().take(MOST_WORDS).map(move |last| &self.text[first.from..last.to])
        })
    }

    /// The letters and digits, and nothing else.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many digits stand together at most.
    pub fn longest_number(&self) -> usize {
        self.groups.iter().map(|group| group.to - group.from).max().unwrap_or(0)
    }

    /// Whether digits stand together as many as a pupil's number has: five or more.
    ///
    /// For texts that leave before all identifiers of the document are known.
    pub fn holds_long_number(&self) -> bool {
        self.longest_number() >= LONG
    }

    /// Whether digits stand together that are a valid BSN, onderwijsnummer or rijksregisternummer, whatever stands
    /// before and after. Eight digits are a BSN that lost its leading zero.
    ///
    /// One in about six random numbers of nine digits passes, so a hit is a suspicion, not proof; the value is
    /// withheld all the same.
    pub fn holds_register_number(&self) -> bool {
        self.numbers.iter().any(|groups| {
            let number = self.number(groups).as_bytes();
            let value = |window: &[u8]| -> [u8; 9] { std::array::from_fn(|i| window[i] - b'0') };
            if number.len() == 8 && !self.is_date(groups) {
                let mut nine = [0; 9];
                nine[1..].copy_from_slice(number);
                nine[1..].iter_mut().for_each(|digit| *digit -= b'0');
                if passes_elfproef(&nine) {
                    return true;
                }
            }
            number.windows(9).any(|window| passes_elfproef(&value(window)))
                || number.windows(11).any(is_rijksregisternummer)
        })
    }

    /// `01-09-2026`, `2026-09-01`, `13:00-14:30`: by their shape. As digits alone they are read as a number.
    fn is_date(&self, groups: &Range<usize>) -> bool {
        let length = |at: usize| self.groups[at].to - self.groups[at].from;
        let lengths: Vec<usize> = groups.clone().take(5).map(length).collect();
        matches!(lengths[..], [2, 2, 4] | [4, 2, 2] | [2, 2, 2, 2])
    }

    /// The forms in which an identifier is kept, and in which it may have been released before.
    pub(super) fn forms(&self, mut form: impl FnMut(Form, &str)) {
        let mut number = |digits: &str| {
            if digits.len() > LONGEST_NUMBER {
                return;
            }
            form(Form::Number, digits);
            // A leading zero comes and goes with whatever program touched the number last.
            let bare = digits.trim_start_matches('0');
            if bare.len() >= SHORTEST && bare.len() < digits.len() {
                form(Form::Number, bare);
            }
        };
        if is_number(&self.text) && self.text.len() <= LONGEST_NUMBER {
            if self.text.len() >= SHORTEST {
                number(&self.text);
            }
            return;
        }
        // `#100200`, `L100200`, `100200@school.example`: the number alone says it as well. Of a UUID or an ECK iD,
        // digits that happen to stand together say nothing.
        if self.numbers.len() <= 3 {
            for groups in &self.numbers {
                let digits = self.number(groups);
                if digits.len() >= LONG {
                    number(digits);
                }
            }
        }
        if self.text.len() >= SHORTEST {
            form(Form::Word, &self.text);
        }
        if let Some(last) = self.long_last_word() {
            form(Form::Word, last);
        }
    }

    /// What an identifier may be that this text holds: all of it, what stands between white space, words, numbers.
    pub(super) fn parts(&self, mut part: impl FnMut(Form, &str)) {
        let mut from = 0;
        for (at, word) in self.words.iter().enumerate() {
            part(Form::Word, &self.text[word.from..word.to]);
            if word.spaced {
                from = word.from;
            }
            if self.words.get(at + 1).is_none_or(|next| next.spaced) && from < word.from {
                part(Form::Word, &self.text[from..word.to]);
            }
        }
        part(Form::Word, &self.text);
        self.numbers().for_each(|number| part(Form::Number, number));
        self.plain_groups().for_each(|group| part(Form::Number, group));
    }

    /// The hexadecimal part of an ECK iD, without the address before it.
    pub(super) fn long_last_word(&self) -> Option<&str> {
        let last = self.words.last().map(|word| &self.text[word.from..word.to])?;
        (last.len() >= 32 && last.len() < self.text.len()).then_some(last)
    }
}

/// What kind of text an identifier is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Digits alone.
    Number,
    /// Letters, or letters and digits.
    Word,
}

impl Form {
    /// The kind of fingerprint it is kept as.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Number => "identifier, digits",
            Self::Word => "identifier",
        }
    }
}

/// Whether a text holds a number that passes the test of a government register; see
/// [`Reading::holds_register_number`].
pub fn holds_elfproef_number(text: &str) -> bool {
    Reading::new().read(text).holds_register_number()
}

/// The check digits are 97 minus the first nine modulo 97, with a `2` before the nine for births from 2000.
fn is_rijksregisternummer(digits: &[u8]) -> bool {
    let value = |range: Range<usize>| {
        digits[range].iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'))
    };
    let (nine, check) = (value(0..9), value(9..11));
    nine != 0 && (check == 97 - nine % 97 || check == 97 - (2_000_000_000 + nine) % 97)
}

/// The ASCII digit a character stands for: a decimal digit of any script, or one raised, lowered, in a circle, in
/// brackets, or with a full stop or comma.
fn digit(character: char) -> Option<u8> {
    if character.is_ascii() {
        return character.is_ascii_digit().then_some(character as u8);
    }
    if let Some(digit) = digits::ascii(character) {
        return Some(digit);
    }
    let code = u32::from(character);
    // The character of each 1, which eight others follow.
    const ONES: [u32; 9] = [0x2081, 0x2460, 0x2474, 0x2488, 0x24F5, 0x2776, 0x2780, 0x278A, 0x1F102];
    let value = match code {
        0xB9 => 1,
        0xB2 => 2,
        0xB3 => 3,
        0x2070 | 0x2080 | 0x24EA | 0x24FF | 0x1F100 | 0x1F101 | 0x1F10B | 0x1F10C => 0,
        0x2074..=0x2079 => code - 0x2070,
        _ => {
            let one = ONES.iter().find(|&&one| (one..one + 9).contains(&code))?;
            code - one + 1
        }
    };
    u8::try_from(value).ok().map(|value| b'0' + value)
}

/// Default_Ignorable_Code_Point: soft hyphen, zero-width characters, marks of direction, variation selectors.
fn is_invisible(character: char) -> bool {
    !character.is_ascii()
        && matches!(
            u32::from(character),
            0xAD | 0x34F
                | 0x61C
                | 0x115F..=0x1160
                | 0x17B4..=0x17B5
                | 0x180B..=0x180F
                | 0x200B..=0x200F
                | 0x202A..=0x202E
                | 0x2060..=0x206F
                | 0x3164
                | 0xFE00..=0xFE0F
                | 0xFEFF
                | 0xFFA0
                | 0x1D173..=0x1D17A
                | 0xE0000..=0xE0FFF
        )
}

/// Full-width Latin letters as ASCII.
fn narrow(character: char) -> char {
    match u32::from(character) {
        code @ (0xFF21..=0xFF3A | 0xFF41..=0xFF5A) => char::from_u32(code - 0xFEE0).unwrap_or(character),
        _ => character,
    }
}

/// Digits and nothing else.
pub(super) fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Without leading zeros, if it is a number.
pub(super) fn bare(text: &str) -> &str {
    let bare = if is_number(text) { text.trim_start_matches('0') } else { text };
    // Of nothing but zeros, one.
    if bare.is_empty() && !text.is_empty() { "0" } else { bare }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_numbers_are_found_however_they_are_written() {
        for (text, expected) in [
            ("111222333", true),
            ("bsn:111222333!", true),
            ("111 222 333", true),
            ("1112.22.333", true),
            ("１１１２２２３３３", true),
            ("x0111222333", true),
            ("101222331", true),
            ("111 - 222 - 333", true),
            ("111  222333", true),
            ("111,222,333", true),
            ("111:222:333", true),
            ("111+222+333", true),
            ("(111)222333", true),
            ("111\u{2212}222\u{2212}333", true),
            ("111\u{ad}222\u{ad}333", true),
            ("111\u{200b}222\u{200d}333", true),
            ("1\u{2060}1\u{feff}1222333", true),
            ("①①①②②②③③③", true),
            ("¹¹¹²²²³³³", true),
            ("₁₁₁₂₂₂₃₃₃", true),
            ("⑴⑴⑴⑵⑵⑵⑶⑶⑶", true),
            ("🄂🄂🄂🄃🄃🄃🄄🄄🄄", true),
            ("63138219", true),
            ("63.138.219", true),
            ("85073003328", true),
            ("10.04.21-001.24", true),
            ("111222334", false),
            ("63138218", false),
            ("85073003329", false),
            ("11122 en 2333", false),
            ("111 --- 222333", false),
            ("Groep 4a, lokaal 12", false),
            ("Groep 4 2026-2027", false),
            ("2024-2025", false),
            ("2024/25", false),
            ("Groep 5/6/7", false),
            ("000000000", false),
            ("00000000000", false),
            ("", false),
        ] {
            assert_eq!(holds_elfproef_number(text), expected, "{text}");
        }
    }

    /// Whoever asks first whether a text has digits at all asks that.
    #[test]
    fn whatever_is_read_as_a_digit_is_numeric() {
        let read = ('\0'..=char::MAX).filter(|&character| digit(character).is_some());
        assert!(read.clone().count() > 700);
        assert_eq!(read.filter(|character| !character.is_numeric()).collect::<String>(), "");
    }

    #[test]
    fn long_numbers_are_told_from_years_and_rooms() {
        for (text, expected) in [
            ("Groep 4a 2026-2027", false),
            ("lokaal 1.204", false),
            ("jansen2012", false),
            ("Plus 41323", true),
            ("l123456", true),
            ("4\u{200b}1323", true),
            ("x１２３４５", true),
        ] {
            assert_eq!(Reading::new().read(text).holds_long_number(), expected, "{text}");
        }
    }
}
