//! What was noticed in a document: counts only, never a value.

/// Something that deserves a look. A document with events is still handled; each kind says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A reference to a group or vestiging that the document does not hold; it is withheld.
    DanglingReference,
    /// An ECK iD that another person in the document has too; whoever comes second is withheld where pseudonyms are
    /// made from it.
    DuplicateEckId,
    /// An element that may stand once and stood again, or two alternatives at once; the first counts.
    DuplicateElement,
    /// A key that another record of its kind has too; the second record is withheld.
    DuplicateKey,
    /// A person without the identifier pseudonyms are made from, or an invalid one; withheld.
    IdentityMissing,
    /// An identifier that stood in a text which had left before the person it belongs to was read. It has left: the
    /// school should look at that text.
    IdentifierBefore,
    /// A value that holds an identifier of the document, a number that passes the test of a government register, or
    /// so long a number that it may be that of a person still to come; withheld.
    IdentifierInText,
    /// A value that is not what its field calls for; withheld.
    InvalidValue,
    /// A record without key, or with one too long to be turned into a token; withheld.
    KeyMissing,
    /// A part so far behind its place that it could not be put in order; withheld.
    LatePart,
    /// Something the catalogue does not know; withheld.
    Unknown,
}

impl Event {
    /// All kinds, in the order of [`Events`].
    pub const ALL: [Self; 11] = [
        Self::DanglingReference,
        Self::DuplicateEckId,
        Self::DuplicateElement,
        Self::DuplicateKey,
        Self::IdentityMissing,
        Self::IdentifierBefore,
        Self::IdentifierInText,
        Self::InvalidValue,
        Self::KeyMissing,
        Self::LatePart,
        Self::Unknown,
    ];

    /// A bounded label, for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::DanglingReference => "dangling_reference",
            Self::DuplicateEckId => "duplicate_eckid",
            Self::DuplicateElement => "duplicate_element",
            Self::DuplicateKey => "duplicate_key",
            Self::IdentityMissing => "identity_missing",
            Self::IdentifierBefore => "identifier_before",
            Self::IdentifierInText => "identifier_in_text",
            Self::InvalidValue => "invalid_value",
            Self::KeyMissing => "key_missing",
            Self::LatePart => "late_part",
            Self::Unknown => "unknown",
        }
    }

    /// What it means, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::DanglingReference => {
                "reference to a group or vestiging that is not in the document: withheld"
            }
            Self::DuplicateEckId => "ECK iD that another person in the document has too",
            Self::DuplicateElement => {
                "element that may stand only once: the first counts, the rest is withheld"
            }
            Self::DuplicateKey => "key that another record has too: the second record is withheld",
            Self::IdentityMissing => "person without a valid identifier to make a pseudonym from: withheld",
            Self::IdentifierBefore => {
                "identifier that an earlier text held before it was known to be one: that text has left"
            }
            Self::IdentifierInText => "value that holds an identifier, or a number like one: withheld",
            Self::InvalidValue => "value that is not well-formed for its field: withheld",
            Self::KeyMissing => "record without a usable key: withheld",
            Self::LatePart => "part that came too late to be put in order: withheld",
            Self::Unknown => "element, attribute or text the standard does not know: withheld",
        }
    }
}

/// How often each kind of [`Event`] happened.
#[derive(Debug, Default, Clone)]
pub struct Events([u64; Event::ALL.len()]);

impl Events {
    /// Adds to a kind.
    pub fn count(&mut self, event: Event, times: u64) {
        self.0[event as usize] += times;
    }

    /// How often a kind happened.
    pub fn of(&self, event: Event) -> u64 {
        self.0[event as usize]
    }

    /// The kinds that happened, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Event, u64)> + '_ {
        Event::ALL.into_iter().map(|event| (event, self.of(event))).filter(|&(_, times)| times > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_place_of_its_own() {
        let mut events = Events::default();
        for (at, event) in Event::ALL.into_iter().enumerate() {
            events.count(event, at as u64 + 1);
        }
        for (at, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(events.of(event), at as u64 + 1);
        }
        assert_eq!(events.iter().count(), Event::ALL.len());
    }
}
