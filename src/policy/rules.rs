//! The five rules (vijf vuistregels) that schools promise to hold every exchange against: doel en doelbinding,
//! grondslag, dataminimalisatie, transparantie, data-integriteit. One verdict each, in this order, in every leaf about a
//! delivery; the first that is broken ends the exchange, and those after it are not judged.

use std::fmt;

/// One of the five.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rule {
    /// As little as the purpose needs.
    Dataminimalisatie = 2,
    /// A stated purpose, and nothing beside it.
    Doelbinding = 0,
    /// A legal basis, and what it asks of consent and objection.
    Grondslag = 1,
    /// Complete, correct, of the school that was asked about, up to date.
    Integriteit = 4,
    /// It can be accounted for: on record, under keys that are there.
    Transparantie = 3,
}

impl Rule {
    /// All of them, in the order in which they are judged.
    pub const ALL: [Self; 5] =
        [Self::Doelbinding, Self::Grondslag, Self::Dataminimalisatie, Self::Transparantie, Self::Integriteit];

    /// Its name, in Dutch.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dataminimalisatie => "dataminimalisatie",
            Self::Doelbinding => "doelbinding",
            Self::Grondslag => "grondslag",
            Self::Integriteit => "data-integriteit",
            Self::Transparantie => "transparantie",
        }
    }
}

/// What was found of a rule. Numbers are part of the log's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// It is not kept.
    Broken = 2,
    /// It is kept.
    Kept = 1,
    /// An earlier rule ended it.
    Unjudged = 0,
}

/// A verdict on each rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdicts([Verdict; 5]);

impl Verdicts {
    /// Nothing was judged: the leaf is not about a delivery.
    pub const NONE: Self = Self([Verdict::Unjudged; 5]);
    /// All five are kept.
    pub const KEPT: Self = Self([Verdict::Kept; 5]);

    /// One is broken: those before it are kept, those after it not judged.
    pub fn broken(rule: Rule) -> Self {
        let mut verdicts = Self::NONE;
        verdicts.0[..rule as usize].fill(Verdict::Kept);
        verdicts.0[rule as usize] = Verdict::Broken;
        verdicts
    }

    /// What was found of one.
    pub fn of(&self, rule: Rule) -> Verdict {
        self.0[rule as usize]
    }

    /// The one that is broken.
    pub fn first_broken(&self) -> Option<Rule> {
        Rule::ALL.into_iter().find(|&rule| self.of(rule) == Verdict::Broken)
    }

    /// Two bits for each, the first rule lowest.
    pub fn to_bits(self) -> u16 {
        self.0.iter().rev().fold(0, |bits, &verdict| bits << 2 | verdict as u16)
    }

    /// Reads bits; nothing where two of them stand for no verdict.
    pub fn from_bits(bits: u16) -> Option<Self> {
        let mut verdicts = Self::NONE;
        for (place, verdict) in verdicts.0.iter_mut().enumerate() {
            *verdict = match bits >> (2 * place) & 3 {
                0 => Verdict::Unjudged,
                1 => Verdict::Kept,
                2 => Verdict::Broken,
                _ => return None,
            };
        }
        (bits >> 10 == 0).then_some(verdicts)
    }
}

/// Why an exchange was stopped. Numbers are part of the log's format, in the status of a `withheld` leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The agreement has ended.
    AgreementEnded = 2,
    /// The agreement has not begun.
    AgreementFuture = 3,
    /// There is no agreement.
    AgreementMissing = 1,
    /// The agreement waits for somebody to approve of it.
    AgreementUnapproved = 4,
    /// The document is not well-formed, or not what it should be.
    DocumentInvalid = 9,
    /// The document is older than the school allows.
    DocumentStale = 10,
    /// The delivery differs so much from the one before that somebody has to look at it.
    Held = 11,
    /// Keys of the school are missing.
    KeysMissing = 8,
    /// Nothing of the document may be released.
    Nothing = 6,
    /// The certificate that the recipient came with no longer shows who it is.
    RecipientUnknown = 15,
    /// Objections or consents changed while the delivery was made.
    RightsChanged = 14,
    /// Objections or consents cannot be told apart any more, or what stands cannot be read.
    RightsUntraceable = 7,
    /// The document does not say which school it is about.
    SchoolMissing = 12,
    /// The request or the document is about another school or vestiging.
    SchoolOther = 5,
    /// The school has no pupil administration to ask.
    SourceMissing = 13,
}

impl Reason {
    const ALL: [Self; 15] = [
        Self::AgreementMissing,
        Self::AgreementEnded,
        Self::AgreementFuture,
        Self::AgreementUnapproved,
        Self::SchoolOther,
        Self::Nothing,
        Self::RightsUntraceable,
        Self::KeysMissing,
        Self::DocumentInvalid,
        Self::DocumentStale,
        Self::Held,
        Self::SchoolMissing,
        Self::SourceMissing,
        Self::RightsChanged,
        Self::RecipientUnknown,
    ];

    /// The reason with a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&reason| reason as u8 == number)
    }

    /// The rule it breaks.
    pub fn rule(self) -> Rule {
        match self {
            Self::AgreementEnded
            | Self::AgreementFuture
            | Self::AgreementMissing
            | Self::AgreementUnapproved
            | Self::RecipientUnknown => Rule::Doelbinding,
            Self::RightsChanged | Self::RightsUntraceable => Rule::Grondslag,
            Self::Nothing => Rule::Dataminimalisatie,
            Self::KeysMissing => Rule::Transparantie,
            Self::DocumentInvalid
            | Self::DocumentStale
            | Self::Held
            | Self::SchoolMissing
            | Self::SchoolOther
            | Self::SourceMissing => Rule::Integriteit,
        }
    }

    /// In words, in Dutch, for whoever was refused.
    pub fn text(self) -> &'static str {
        match self {
            Self::AgreementEnded => "de overeenkomst is verlopen",
            Self::AgreementFuture => "de overeenkomst is nog niet ingegaan",
            Self::AgreementMissing => "er is geen overeenkomst",
            Self::AgreementUnapproved => "de overeenkomst is nog niet goedgekeurd",
            Self::DocumentInvalid => "het bericht uit de leerlingadministratie is niet geldig",
            Self::DocumentStale => "de gegevens uit de leerlingadministratie zijn te oud",
            Self::Held => "de levering wijkt sterk af van de vorige en wacht op een besluit van de school",
            Self::KeysMissing => "de sleutels van de school ontbreken",
            Self::Nothing => "van dit bestand mag niets worden verstrekt",
            Self::RecipientUnknown => "het certificaat van de afnemer geldt niet meer",
            Self::RightsChanged => {
                "bezwaren of toestemmingen zijn intussen gewijzigd; vraag de gegevens opnieuw op"
            }
            Self::RightsUntraceable => "bezwaren en toestemmingen zijn niet meer te herleiden",
            Self::SchoolMissing => "het bericht zegt niet over welke school het gaat",
            Self::SchoolOther => "het gaat over een andere school of vestiging",
            Self::SourceMissing => "de school heeft geen leerlingadministratie om te vragen",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule().as_str(), self.text())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_come_back() {
        assert_eq!(Verdicts::KEPT.to_bits(), 0b01_0101_0101);
        for rule in Rule::ALL {
            let verdicts = Verdicts::broken(rule);
            assert_eq!(Verdicts::from_bits(verdicts.to_bits()), Some(verdicts));
            assert_eq!(verdicts.first_broken(), Some(rule));
            let judged = Rule::ALL.map(|rule| verdicts.of(rule));
            assert!(judged.iter().take(rule as usize).all(|verdict| *verdict == Verdict::Kept));
            assert!(judged.iter().skip(rule as usize + 1).all(|verdict| *verdict == Verdict::Unjudged));
        }
        assert_eq!(Verdicts::from_bits(3), None);
        assert_eq!(Verdicts::from_bits(1 << 10), None);
    }

    #[test]
    fn numbers_of_reasons_are_their_own() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(Reason::from_number(reason as u8), Some(reason));
            assert_eq!(reason as usize, place + 1);
        }
        assert_eq!(Reason::from_number(0), None);
    }
}
