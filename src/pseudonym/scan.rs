//! Identifiers that slip through sideways: in a group's name, a user name, a remark.
//!
//! A value is looked through in one canonical form, its [`Reading`]: percent-encoding undone, what has no shape
//! dropped, letters small, digits of any script ASCII, and what is neither letter nor digit kept as a mere break. So
//! `111 - 222 - 333`, `(111)222333` and `%31%31%31222333` are one number, and `{6F1C2D3E-…}` is one key.
//!
//! What is still to come in a document cannot be known: of that, only the shape is (a long number), and that it had
//! left is at least noticed afterwards, by [`Released`].

use std::{
    borrow::Cow,
    hash::{BuildHasher, Hasher, RandomState},
    ops::Range,
};

use super::{
    digits,
    pgn::passes_elfproef,
    prints::{EMPTY, Print, Prints},
};

/// Shortest identifier that is looked for in values of others: shorter ones are everywhere by chance.
const SHORTEST: usize = 4;
/// Shortest number that is looked for inside longer ones, and the shortest that is taken for a pupil's number by
/// its length alone: a year or a classroom has fewer digits.
const LONG: usize = 5;
/// Longest number whose length fits the mask of lengths; a longer one is kept as a word.
const LONGEST_NUMBER: usize = 63;
/// Between two digits of one number stand at most so many characters that are neither letter nor digit.
const WIDEST_GAP: usize = 3;
/// An identifier may be spread over so many words: a UUID has five, an ECK iD as well.
const MOST_WORDS: usize = 8;
/// How often percent-encoding is undone.
const MOST_LAYERS: usize = 3;

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

    fn number(&self, groups: &Range<usize>) -> &str {
        &self.text[self.groups[groups.start].from..self.groups[groups.end - 1].to]
    }

    /// Digits of groups that are no years.
    fn plain_groups(&self) -> impl Iterator<Item = &str> {
        self.numbers.iter().flat_map(Clone::clone).map(|at| self.group(at))
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
    fn forms(&self, mut form: impl FnMut(Form, &str)) {
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

    /// The hexadecimal part of an ECK iD, without the address before it.
    fn long_last_word(&self) -> Option<&str> {
        let last = self.words.last().map(|word| &self.text[word.from..word.to])?;
        (last.len() >= 32 && last.len() < self.text.len()).then_some(last)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Digits alone.
    Number,
    /// Letters, or letters and digits.
    Word,
}

impl Form {
    fn label(self) -> &'static str {
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
        let text = bare(&identifier.text);
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
        self.is(&reading.text)
            || reading.numbers.iter().any(|groups| long(reading.number(groups)))
            || (0..reading.groups.len()).any(|at| long(reading.group(at)))
            || sequences(reading).any(long)
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Without leading zeros, if it is a number.
fn bare(text: &str) -> &str {
    let bare = if is_number(text) { text.trim_start_matches('0') } else { text };
    // Of nothing but zeros, one.
    if bare.is_empty() && !text.is_empty() { "0" } else { bare }
}

/// Words, and words that follow one another, as one.
fn sequences(reading: &Reading) -> impl Iterator<Item = &str> {
    let words = &reading.words;
    words.iter().enumerate().flat_map(move |(at, first)| {
        words[at..].iter().take(MOST_WORDS).map(move |last| &reading.text[first.from..last.to])
    })
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
        let mut is_own = |part: &str| own.is(&self.part.read(part).text);
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
    /// A register number of nine digits needs no place here: [`Scanner::finds`] finds every such number, noted or not,
    /// in all that holds its nine digits.
    pub fn insert_identifier(&mut self, identifier: &Reading) {
        let digits = &identifier.text;
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
    fn holds_identifier(&self, value: &Reading) -> bool {
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
            && (value
                .numbers
                .iter()
                .map(|groups| value.number(groups))
                .any(|number| inside(number) || four(number))
                || value.plain_groups().any(four))
        {
            return true;
        }
        // A number as a word has been looked for already, save one that is too long.
        self.words != 0
            && sequences(value)
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
        *eckid_like |= value.text.len() >= ECKID_DIGITS;
        let mut note = |form: Form, text: &str| {
            let worth = text.len() >= SHORTEST && *room > 0 && (form == Form::Number || !is_number(text));
            if worth && seen.insert(form.label(), text) {
                *room -= 1;
            }
        };
        let mut from = 0;
        for (at, word) in value.words.iter().enumerate() {
            note(Form::Word, &value.text[word.from..word.to]);
            if word.spaced {
                from = word.from;
            }
            if value.words.get(at + 1).is_none_or(|next| next.spaced) && from < word.from {
                note(Form::Word, &value.text[from..word.to]);
            }
        }
        note(Form::Word, &value.text);
        for groups in &value.numbers {
            note(Form::Number, value.number(groups));
        }
        value.plain_groups().for_each(|group| note(Form::Number, group));
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
