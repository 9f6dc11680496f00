//! What each recipient knows a person by, to tell it something about the person (AVG art. 19).
//!
//! A row says nothing of the pseudonym but its tag. So what could have been given is made anew, from every identifier
//! that is known and under the key of that delivery, and the tag says which of it was: also where the school makes its
//! pseudonyms from something else by now. The token that stood in for the key has no tag; it is made from the key as it
//! is now.

use std::{collections::BTreeSet, io, path::Path, sync::Arc};

use super::{Answers, Holder, Known, Party, correction::Last};
use crate::{
    catalogue::{FieldId, catalogue},
    clock::Clock,
    config::{Recipient, School},
    disclosure::{Leaf, Row, Subject, rollup::About},
    keys::Purpose,
    minimise::key_kind,
    pseudonym::{Identity, LogKeys, PseudonymDomain, Pseudonymiser},
    standing::NamedPerson,
};

/// A recipient that holds something of a person, and what it knows the person by.
pub struct Named {
    /// The recipient, and what it got last.
    pub holder: Holder,
    /// What it knows the person by; none: that can no longer be told, or not from what is known of the person.
    pub person: Option<NamedPerson>,
}

impl Answers<'_> {
    /// The recipients that hold something of a person, as [`Answers::worklist`] has them, and what each knows the person
    /// by.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn named(
        &self,
        school: &Arc<School>,
        known: &Known,
        feed: Option<&Path>,
        clock: &Arc<dyn Clock>,
    ) -> io::Result<Vec<Named>> {
        let last = self.last_of(&school.brin, &known.person)?;
        let named = last.iter().map(|last| Named {
            holder: self.holder(school, last, &known.person, feed, clock),
            person: self.name(school, known, last),
        });
        Ok(named.collect())
    }

    /// The recipients of which no more is known than that they held something of a person once: the rows have gone by the
    /// retention rule, and with them what the person was known by.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn held_before(&self, school: &School, known: &Known) -> io::Result<BTreeSet<Party>> {
        let mut before = BTreeSet::new();
        for handle in known.person.distinct() {
            for row in self.reader.summaries(&school.brin, &handle)? {
                if row.released != 0 && row.about != About::Results {
                    before.insert(self.party(&row.recipient));
                }
            }
        }
        for last in self.last_of(&school.brin, &known.person)? {
            before.remove(&self.party(&last.leaf.recipient));
        }
        Ok(before)
    }

    fn name(&self, school: &School, known: &Known, last: &Last) -> Option<NamedPerson> {
        let Last { leaf, row, .. } = last;
        let recipients = &self.config.recipients;
        let recipient = recipients.iter().find(|one| Leaf::recipient_code(&one.id) == leaf.recipient)?;
        let record = catalogue().record(catalogue().record_named(match row.subject {
            Subject::Leerkracht => "leerkracht",
            Subject::Leerling => "leerling",
        }));
        let eckid = got(row, record.eckid).then(|| self.eckid(school, recipient, known, leaf, row)).flatten();
        let key = got(row, record.key).then(|| self.token(school, recipient, known, leaf)).flatten();
        (eckid.is_some() || key.is_some()).then_some(NamedPerson { eckid, key })
    }

    /// The ECK iD that was given: one of the feed's that passed, or the pseudonym whose tag is in the row.
    fn eckid(
        &self,
        school: &School,
        recipient: &Recipient,
        known: &Known,
        leaf: &Leaf,
        row: &Row,
    ) -> Option<String> {
        let agreement = self.under(leaf);
        let agreement = self.agreement(&agreement);
        if agreement.is_some_and(|agreement| agreement.domain == PseudonymDomain::PassEckId) {
            return known.identities.iter().find_map(|identity| match identity {
                Identity::EckId(eckid) if eckid.is_official() => Some(eckid.expose().to_owned()),
                Identity::EckId(_) | Identity::LasKey(..) | Identity::Pgn(_) => None,
            });
        }
        let mut keys = self.config.keys.all(&school.brin, Purpose::Log);
        let (_, root) = keys.find(|&(epoch, _)| epoch == leaf.log_epoch)?;
        let log_keys = LogKeys::new(root, leaf.log_epoch, &school.brin);
        if let Some((uri, pseudonym)) = &known.own
            && log_keys.recipient_tag(&recipient.id, pseudonym) == row.tag
        {
            return Some(uri.to_string());
        }
        // Its own agreement first; the file may have gone, but pseudonyms are made in few ways.
        let of_pair = self
            .config
            .agreements
            .all()
            .iter()
            .map(AsRef::as_ref)
            .filter(|agreement| agreement.school == school.brin && agreement.recipient == recipient.id);
        let domains = agreement.into_iter().chain(of_pair).map(|agreement| &agreement.domain);
        for domain in domains.chain([&PseudonymDomain::Recipient]) {
            let maker = self.maker(school, recipient, domain, leaf.pseudonym_epoch)?;
            for identity in &known.identities {
                let pseudonym = maker.pseudonym(identity);
                if log_keys.recipient_tag(&recipient.id, &pseudonym) == row.tag {
                    let mut uri = String::new();
                    maker.write_uri(&pseudonym, &mut uri);
                    return Some(uri);
                }
            }
        }
        None
    }

    /// The token that stands in for the key.
    fn token(&self, school: &School, recipient: &Recipient, known: &Known, leaf: &Leaf) -> Option<String> {
        let key = known.identities.iter().find_map(|identity| match identity {
            Identity::LasKey(_, key) => Some(key),
            Identity::EckId(_) | Identity::Pgn(_) => None,
        })?;
        // Tokens are of one recipient, whatever the domain.
        let maker = self.maker(school, recipient, &PseudonymDomain::Recipient, leaf.pseudonym_epoch)?;
        let mut token = String::new();
        maker.token(key_kind(known.kind), key, &mut token);
        Some(token)
    }

    fn maker(
        &self,
        school: &School,
        recipient: &Recipient,
        domain: &PseudonymDomain,
        epoch: u16,
    ) -> Option<Pseudonymiser> {
        let mut keys = self.config.keys.all(&school.brin, Purpose::Pseudonym);
        let (_, root) = keys.find(|&(known, _)| known == epoch)?;
        Pseudonymiser::new(root, epoch, &school.brin, domain, &recipient.id, &self.config.authority).ok()
    }
}

/// Whether a field was in what left, as far as rows tell.
fn got(row: &Row, field: Option<FieldId>) -> bool {
    field.is_some_and(|field| {
        let mask = catalogue().field(field).mask();
        mask == 0 || row.released & mask != 0
    })
}
