//! Who a record is about, as types that cannot be printed.

use std::{borrow::Cow, fmt};

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{digits, pgn::Pgn};

/// What a key of the pupil administration points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// `groep`.
    Groep,
    /// `leerkracht`.
    Leerkracht,
    /// `leerling`.
    Leerling,
    /// `samengestelde_groep`.
    SamengesteldeGroep,
    /// `vestiging`.
    Vestiging,
}

impl KeyKind {
    /// A stable name; part of what pseudonyms and tokens are made from.
    pub fn label(self) -> &'static str {
        match self {
            Self::Groep => "groep",
            Self::Leerkracht => "leerkracht",
            Self::Leerling => "leerling",
            Self::SamengesteldeGroep => "samengestelde_groep",
            Self::Vestiging => "vestiging",
        }
    }
}

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefused {
    /// Nothing but white space.
    #[error("the key is empty")]
    Empty,
    /// More than [`PupilKey::LONGEST`] bytes: no token of 256 characters can hold it.
    #[error("the key is longer than a token can hold")]
    TooLong,
}

/// A key of the pupil administration, white space trimmed and digits in ASCII: the EDEXML handbook says that white
/// space at its ends is not significant.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PupilKey(String);

impl PupilKey {
    /// Longest key in bytes of UTF-8 that a token can hold.
    pub const LONGEST: usize = 174;

    /// Reads a key.
    ///
    /// # Errors
    ///
    /// [`KeyRefused`], without the key.
    pub fn parse(text: &str) -> Result<Self, KeyRefused> {
        Self::read(text).map(|key| Self(key.into_owned()))
    }

    /// Whether a text is a key.
    pub fn is_one(text: &str) -> bool {
        Self::read(text).is_ok()
    }

    fn read(text: &str) -> Result<Cow<'_, str>, KeyRefused> {
        let key = digits::normalise(text);
        match key.len() {
            0 => Err(KeyRefused::Empty),
            length if length > Self::LONGEST => Err(KeyRefused::TooLong),
            _ => Ok(key),
        }
    }

    /// The key itself, for the pupil administration alone.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PupilKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PupilKey(..)")
    }
}

/// An ECK iD as a feed gives it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct EckId(String);

impl EckId {
    /// Reads one; any text of 1 to 256 characters, as the standard allows.
    ///
    /// # Errors
    ///
    /// [`KeyRefused`], without the text.
    pub fn parse(text: &str) -> Result<Self, KeyRefused> {
        let text = text.trim();
        if text.is_empty() {
            return Err(KeyRefused::Empty);
        }
        if text.chars().count() > 256 {
            return Err(KeyRefused::TooLong);
        }
        Ok(Self(text.to_owned()))
    }

    /// The ECK iD itself, for recipients whose agreement lets it pass.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it has the form the Nummervoorziening gives out, in production or pilot.
    pub fn is_official(&self) -> bool {
        official_digits(&self.0).is_some()
    }
}

/// The hexadecimal digits of an ECK iD that has the form the Nummervoorziening gives out, in production or pilot.
pub(crate) fn official_digits(eckid: &str) -> Option<&str> {
    let rest = eckid.strip_prefix("https://ketenid.nl/")?;
    let digits = rest.strip_prefix("201703/").or_else(|| rest.strip_prefix("pilot/"))?;
    let hexadecimal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (digits.len() == 128 && hexadecimal).then_some(digits)
}

impl fmt::Debug for EckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EckId(..)")
    }
}

/// The identifier a pseudonym is made from.
#[derive(Debug)]
pub enum Identity {
    /// The ECK iD of the feed.
    EckId(EckId),
    /// The key of the pupil administration.
    LasKey(KeyKind, PupilKey),
    /// A government number.
    Pgn(Pgn),
}

impl Identity {
    /// Kind and value. Different kinds with equal digits are different identities.
    pub(super) fn with_parts<T>(&self, use_parts: impl FnOnce(&str, &[u8]) -> T) -> T {
        match self {
            Self::EckId(EckId(eckid)) => use_parts("eckid", eckid.as_bytes()),
            Self::LasKey(kind, PupilKey(key)) => use_parts(kind.label(), key.as_bytes()),
            Self::Pgn(pgn) => {
                let label = match pgn {
                    Pgn::Bsn(_) => "bsn",
                    Pgn::Onderwijsnummer(_) => "onderwijsnummer",
                };
                let mut digits = pgn.digits();
                let result = use_parts(label, &digits);
                digits.zeroize();
                result
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_lose_their_white_space_and_nothing_else() {
        assert_eq!(PupilKey::parse("  #003 ").unwrap().expose(), "#003");
        assert_eq!(PupilKey::parse("００１").unwrap().expose(), "001");
        assert_eq!(PupilKey::parse(" \t").unwrap_err(), KeyRefused::Empty);
        assert!(PupilKey::parse(&"x".repeat(174)).is_ok());
        assert_eq!(PupilKey::parse(&"x".repeat(175)).unwrap_err(), KeyRefused::TooLong);
    }

    #[test]
    fn official_eckids_are_recognised() {
        let hex = "0123456789abcdef".repeat(8);
        assert!(EckId::parse(&format!("https://ketenid.nl/201703/{hex}")).unwrap().is_official());
        assert!(EckId::parse(&format!("https://ketenid.nl/pilot/{hex}")).unwrap().is_official());
        for other in ["eckid_L1".into(), format!("https://ketenid.nl/2017/{hex}"), hex.to_uppercase()] {
            assert!(!EckId::parse(&other).unwrap().is_official());
        }
    }

    #[test]
    fn identities_do_not_print() {
        let identity = Identity::LasKey(KeyKind::Leerling, PupilKey::parse("geheim").unwrap());
        assert!(!format!("{identity:?}").contains("geheim"));
    }
}
