//! The numbers a pupil has in government registers, and the eleven-test that tells them from other numbers.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::digits;

/// The text is no such number. What it was is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid number of this kind")]
pub struct NotAPgn;

/// Weighted sum of the eleven-test: 9, 8, … 2 and −1, modulo 11.
pub(super) fn eleven(digits: &[u8; 9]) -> i32 {
    let weights = [9, 8, 7, 6, 5, 4, 3, 2, -1];
    let sum: i32 = digits.iter().zip(weights).map(|(&digit, weight)| i32::from(digit) * weight).sum();
    sum.rem_euclid(11)
}

fn nine(text: &str) -> Result<[u8; 9], NotAPgn> {
    let text = digits::normalise(text);
    let bytes: &[u8; 9] = text.as_bytes().try_into().map_err(|_| NotAPgn)?;
    if bytes.iter().all(u8::is_ascii_digit) { Ok(bytes.map(|byte| byte - b'0')) } else { Err(NotAPgn) }
}

/// Whether nine digits are a valid BSN or onderwijsnummer.
pub(super) fn passes_elfproef(digits: &[u8; 9]) -> bool {
    match eleven(digits) {
        0 => digits.iter().any(|&digit| digit != 0),
        5 => digits[..2] == [1, 0],
        _ => false,
    }
}

/// A citizen service number that passed the eleven-test (remainder 0, not all zeros).
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Bsn([u8; 9]);

impl Bsn {
    /// Reads nine digits of any script. A leading zero counts: eight digits are no BSN.
    ///
    /// # Errors
    ///
    /// [`NotAPgn`], for anything else.
    pub fn parse(text: &str) -> Result<Self, NotAPgn> {
        let digits = nine(text)?;
        let valid = eleven(&digits) == 0 && digits.iter().any(|&digit| digit != 0);
        if valid { Ok(Self(digits)) } else { Err(NotAPgn) }
    }
}

/// The number of a pupil without BSN (remainder 5, begins with 10). No number is both this and a BSN.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Onderwijsnummer([u8; 9]);

impl Onderwijsnummer {
    /// Reads nine digits of any script.
    ///
    /// # Errors
    ///
    /// [`NotAPgn`], for anything else.
    pub fn parse(text: &str) -> Result<Self, NotAPgn> {
        let digits = nine(text)?;
        let valid = eleven(&digits) == 5 && digits[..2] == [1, 0];
        if valid { Ok(Self(digits)) } else { Err(NotAPgn) }
    }
}

impl fmt::Debug for Bsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bsn(..)")
    }
}

impl fmt::Debug for Onderwijsnummer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Onderwijsnummer(..)")
    }
}

/// A persoonsgebonden nummer: one or the other.
#[derive(Debug)]
pub enum Pgn {
    /// A citizen service number.
    Bsn(Bsn),
    /// The number of a pupil without one.
    Onderwijsnummer(Onderwijsnummer),
}

impl Pgn {
    /// Reads nine digits of any script.
    ///
    /// # Errors
    ///
    /// [`NotAPgn`], when they are neither.
    pub fn parse(text: &str) -> Result<Self, NotAPgn> {
        Bsn::parse(text).map(Self::Bsn).or_else(|_| Onderwijsnummer::parse(text).map(Self::Onderwijsnummer))
    }

    pub(super) fn digits(&self) -> [u8; 9] {
        let digits = match self {
            Self::Bsn(Bsn(digits)) | Self::Onderwijsnummer(Onderwijsnummer(digits)) => digits,
        };
        digits.map(|digit| digit + b'0')
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_eleven_test() {
        for valid in [
            "063138219",
            "999990019",
            "111222333",
            "999990020",
            "999999990",
            "123456782",
            "１１１２２２３３３",
        ] {
            assert!(Bsn::parse(valid).is_ok(), "{valid}");
            assert!(Onderwijsnummer::parse(valid).is_err(), "{valid}");
        }
        for valid in ["100000004", "101222331"] {
            assert!(Onderwijsnummer::parse(valid).is_ok(), "{valid}");
            assert!(Bsn::parse(valid).is_err(), "{valid}");
        }
        for wrong in ["000000000", "63138219", "133456785", "11122233a", "1112223333", "", "200000004"] {
            assert!(Pgn::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_do_not_print() {
        let shown = format!("{:?} {:?}", Pgn::parse("111222333").unwrap(), Bsn::parse("11122233"));
        assert!(!shown.contains("222"), "{shown}");
    }
}
