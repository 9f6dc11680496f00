//! Decimal digits of any script.
//!
//! The schemas of UWLR and EDEXML ask for `\p{Nd}`, so `１１１２２２３３３` is a valid `bsn`. Before anything is checked
//! or hashed, digits become ASCII: the same number must not have two pseudonyms.

use std::borrow::Cow;

/// The zero of each run of ten decimal digits in Unicode, ASCII's apart (general category Nd, Unicode 14).
const ZEROS: [u32; 65] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6,
    0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0,
    0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30,
    0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x11730, 0x118E0,
    0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0, 0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC,
    0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
];

/// The ASCII digit a character stands for, if it is a decimal digit of any script.
pub fn ascii(character: char) -> Option<u8> {
    if character.is_ascii() {
        return character.is_ascii_digit().then_some(character as u8);
    }
    let code = u32::from(character);
    let run = ZEROS.partition_point(|&zero| zero <= code).checked_sub(1)?;
    let digit = code - ZEROS[run];
    (digit < 10).then(|| b'0' + u8::try_from(digit).expect("less than ten"))
}

/// The text without white space at its ends and with ASCII digits. Nothing else is cleaned.
pub fn normalise(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.is_ascii() || text.chars().all(|c| c.is_ascii() || ascii(c).is_none()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| ascii(c).map_or(c, char::from)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_any_script_become_ascii() {
        for (given, expected) in [
            ("111222333", "111222333"),
            ("  111222333\u{a0}", "111222333"),
            ("１１１２２２３３３", "111222333"),
            ("١١١٢٢٢٣٣٣", "111222333"),
            ("𝟏𝟏𝟏222333", "111222333"),
            ("Zoë 3", "Zoë 3"),
            ("²½Ⅷ", "²½Ⅷ"),
        ] {
            assert_eq!(normalise(given), expected);
        }
    }

    #[test]
    fn the_runs_are_sorted_and_apart() {
        assert!(ZEROS.windows(2).all(|pair| pair[0] + 10 <= pair[1]));
    }
}
