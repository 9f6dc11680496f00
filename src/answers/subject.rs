//! From an identifier that someone gives to the handles that stand for the person in the log. Neither is kept.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io,
    path::Path,
};

use zeroize::Zeroizing;

use super::{ALWAYS, Answers};
use crate::{
    catalogue::{self, Kind, catalogue},
    config::School,
    decode::{self, DecodeError, decode},
    disclosure::{Leaf, LeafKind, Subject, Wanted, rowfile::Handle},
    keys::{IdentitySource, Purpose},
    minimise::{PGN_FIELDS, all_identities, identity_of, key_kind, source_of},
    pseudonym::{EckId, Identity, LogKeys, Pgn, Pseudonym, Pseudonymiser, PupilKey, digits},
    record::Record,
    token::Token,
};

/// An identifier of a person. Not printable.
pub enum Given {
    /// An ECK iD: the feed's, or a pseudonym that Sluis gave out.
    EckId(Zeroizing<String>),
    /// What stands for the person in the log.
    Handle(Handle),
    /// The key of the pupil administration.
    Key(Zeroizing<String>),
    /// BSN or onderwijsnummer.
    Pgn(Zeroizing<String>),
}

/// Who is asked about.
pub struct Who<'a> {
    /// The school.
    pub school: &'a School,
    /// Whether it is a pupil or a teacher.
    pub person: catalogue::Person,
    /// The identifier.
    pub given: Given,
    /// A feed of the school in which the person can be looked up.
    pub feed: Option<&'a Path>,
}

/// A person, as the log knows one: a handle for each log key.
pub struct Person {
    /// Epoch of the log key, where it is known, and handle.
    pub handles: Vec<(Option<u16>, Handle)>,
    /// Whether the log may have more of the person, under handles that cannot be told from what was given: results,
    /// which stand under the key; rows under another log key, or from when the pupil had another number.
    pub partial: bool,
}

/// What is known of a person while a question about it is answered, to name it by to others. Not printable.
pub struct Known {
    /// The handles.
    pub person: Person,
    /// Whether it is a pupil or a teacher.
    pub kind: catalogue::Person,
    /// Every identifier that is known.
    pub(super) identities: Vec<Identity>,
    /// The pseudonym that was given, where that was one of Sluis's own.
    pub(super) own: Option<(Zeroizing<String>, Pseudonym)>,
}

/// Why a person cannot be told from what was given. None of these holds the identifier.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unresolved {
    /// The feed is not as it should be.
    #[error("the feed cannot be used: {0}")]
    Feed(DecodeError),
    /// The feed is about another school.
    #[error("the feed is about another school, or does not say which")]
    FeedSchool,
    /// What was given has not the form of such an identifier.
    #[error("what was given is not of the form that --by says")]
    Form,
    /// Reading the log or the feed.
    #[error("cannot be read ({})", .0.kind())]
    Io(#[from] io::Error),
    /// Handles of this school are made from another identifier.
    #[error(
        "the log knows the persons of this school by their {}; give that, or a feed of the school with --feed \
         in which the person can be looked up",
        source_name(*.0)
    )]
    NeedsFeed(IdentitySource),
    /// No recipient was ever given this pseudonym.
    #[error("no recipient of this school was given this pseudonym, as far as the log reaches")]
    NotGivenOut,
    /// The feed does not have the person.
    #[error("the person is not in the feed, or without the identifier that the log goes by")]
    NotInFeed,
}

fn source_name(source: IdentitySource) -> &'static str {
    match source {
        IdentitySource::EckId => "ECK iD (--by eckid)",
        IdentitySource::LasKey => "key in the pupil administration (--by key)",
        IdentitySource::Pgn => "PGN (--by pgn)",
    }
}

impl Given {
    /// The identity that handles are made from, where it can be told without more; `source` is that of the person.
    fn identity(
        &self,
        source: IdentitySource,
        person: catalogue::Person,
    ) -> Result<Option<Identity>, Unresolved> {
        Ok(match self {
            Self::Key(key) => {
                let key = PupilKey::parse(key).map_err(|_| Unresolved::Form)?;
                (source == IdentitySource::LasKey).then(|| Identity::LasKey(key_kind(person), key))
            }
            Self::EckId(eckid) => {
                let eckid = EckId::parse(eckid).map_err(|_| Unresolved::Form)?;
                (source == IdentitySource::EckId).then_some(Identity::EckId(eckid))
            }
            Self::Pgn(pgn) => {
                let pgn = Pgn::parse(pgn).map_err(|_| Unresolved::Form)?;
                (source == IdentitySource::Pgn).then_some(Identity::Pgn(pgn))
            }
            Self::Handle(_) => None,
        })
    }

    /// Whether a record of a feed is the person's.
    fn is_of(&self, record: &Record) -> bool {
        let catalogue = catalogue();
        let kind = catalogue.record(record.kind);
        let same = |field: Option<catalogue::FieldId>, given: &str| {
            let value = field.and_then(|field| record.find(field)).filter(|value| !value.is_empty());
            value.is_some_and(|value| digits::normalise(value) == digits::normalise(given))
        };
        match self {
            Self::EckId(eckid) => same(kind.eckid, eckid),
            Self::Handle(_) => false,
            Self::Key(key) => same(kind.key, key),
            Self::Pgn(pgn) => {
                let fields = PGN_FIELDS.into_iter().map(|name| catalogue.field_named(name));
                debug_assert!(fields.clone().all(|field| catalogue.field(field).kind == Kind::Pgn));
                fields.into_iter().any(|field| same(Some(field), pgn))
            }
        }
    }
}

impl Answers<'_> {
    /// The keys of a school's handles, newest first.
    pub(super) fn log_keys(&self, brin: &str) -> Vec<LogKeys> {
        let keys = self.config.keys.all(brin, Purpose::Log);
        keys.map(|(epoch, root)| LogKeys::new(root, epoch, brin)).collect()
    }

    /// The handles of a person. A feed that has the person tells all there are; without one, what was given may do.
    ///
    /// # Errors
    ///
    /// [`Unresolved`]: what more is needed, or that there is no such person.
    pub fn resolve(&self, who: &Who<'_>) -> Result<Person, Unresolved> {
        Ok(self.look(who, false)?.person)
    }

    /// The same, with every identifier of the person that can be known: a feed that is given is looked at.
    ///
    /// # Errors
    ///
    /// As [`Answers::resolve`].
    pub fn known(&self, who: &Who<'_>) -> Result<Known, Unresolved> {
        self.look(who, true)
    }

    fn look(&self, who: &Who<'_>, all: bool) -> Result<Known, Unresolved> {
        let known = |person, identities, own: Option<Own<'_>>| Known {
            person,
            kind: who.person,
            identities,
            own: own.map(|own| (Zeroizing::new(own.uri.to_owned()), own.pseudonym)),
        };
        let brin = &who.school.brin;
        let source = source_of(who.school.identity, who.person);
        let log_keys = self.log_keys(brin);
        // Results stand under the key, whatever else pseudonyms are made from; they are of pupils alone.
        let one_identity = source == IdentitySource::LasKey || who.person == catalogue::Person::Leerkracht;
        if let Given::Handle(handle) = who.given {
            let partial = !one_identity || log_keys.len() > 1;
            return Ok(known(Person { handles: vec![(None, handle)], partial }, Vec::new(), None));
        }
        let own = self.own(&who.given)?;
        let direct = if own.is_none() { who.given.identity(source, who.person)? } else { None };
        let makers = own.as_ref().map(|own| self.makers(brin, own.epoch)).unwrap_or_default();
        let is_own = |record: &Record| match &own {
            None => who.given.is_of(record),
            Some(own) => identities_of(source, record, who.person).iter().any(|identity| {
                makers.iter().any(|maker| maker.is_uri_of(&maker.pseudonym(identity), own.uri))
            }),
        };
        let record = match who.feed {
            Some(feed) if all || direct.is_none() || !one_identity => self.look_up(who, feed, &is_own)?,
            _ => None,
        };
        let partial = !one_identity && record.is_none();
        let mut identities: Vec<Identity> = direct.into_iter().collect();
        identities.extend(record.iter().flat_map(|record| identities_of(source, record, who.person)));
        if identities.is_empty() {
            return match own {
                Some(own) => {
                    let handles = self.given_out(brin, &own)?;
                    let partial = !one_identity || handles.len() < log_keys.len();
                    Ok(known(Person { handles, partial }, Vec::new(), Some(own)))
                }
                None if who.feed.is_some() => Err(Unresolved::NotInFeed),
                None => Err(Unresolved::NeedsFeed(source)),
            };
        }
        let mut handles = Vec::new();
        for keys in log_keys {
            for identity in &identities {
                let handle = (Some(keys.epoch()), keys.subject_handle(identity));
                if !handles.contains(&handle) {
                    handles.push(handle);
                }
            }
        }
        if all && let Some(record) = &record {
            identities.extend(all_identities(record, who.person));
        }
        Ok(known(Person { handles, partial }, identities, own))
    }

    /// What stands for a person from now on: handles under the newest log key, one for each identifier that is known. Of a
    /// pseudonym that was given out, and without a feed, those under the newest key it was given out under.
    ///
    /// # Errors
    ///
    /// As [`Answers::resolve`]; [`Unresolved::Form`] for a handle, of which nobody can tell under which key it was made.
    pub fn subject(&self, who: &Who<'_>) -> Result<(u16, Vec<Handle>), Unresolved> {
        let known = self.resolve(who)?.handles;
        let newest = known.iter().filter_map(|&(epoch, _)| epoch).max().ok_or(Unresolved::Form)?;
        let under = known.into_iter().filter(|&(epoch, _)| epoch == Some(newest)).map(|(_, handle)| handle);
        Ok((newest, under.collect()))
    }

    /// What was given, as a pseudonym that Sluis gave out, if it has the form of one.
    fn own<'g>(&self, given: &'g Given) -> Result<Option<Own<'g>>, Unresolved> {
        let Given::EckId(uri) = given else { return Ok(None) };
        let uri = uri.trim();
        let Some(rest) = uri.strip_prefix(&format!("https://{}/", self.config.authority)) else {
            return Ok(None);
        };
        let (epoch, digits) = rest.split_once('/').ok_or(Unresolved::Form)?;
        let epoch = epoch.parse().map_err(|_| Unresolved::Form)?;
        let pseudonym = Pseudonym::parse(digits).ok_or(Unresolved::Form)?;
        Ok(Some(Own { uri, epoch, pseudonym }))
    }

    /// What makes the pseudonyms of a school under one key, for each agreement there is.
    fn makers(&self, brin: &str, epoch: u16) -> Vec<Pseudonymiser> {
        let mut keys = self.config.keys.all(brin, Purpose::Pseudonym);
        let Some((_, root)) = keys.find(|&(known, _)| known == epoch) else { return Vec::new() };
        let agreements = self.config.agreements.all().iter().filter(|agreement| agreement.school == brin);
        let maker = |domain, recipient: &str| {
            Pseudonymiser::new(root, epoch, brin, domain, recipient, &self.config.authority).ok()
        };
        agreements.filter_map(|agreement| maker(&agreement.domain, &agreement.recipient)).collect()
    }

    /// The handles of the person behind a pseudonym that was given out, as far as rows tell.
    fn given_out(&self, brin: &str, own: &Own<'_>) -> Result<Vec<(Option<u16>, Handle)>, Unresolved> {
        let Own { epoch, pseudonym, .. } = own;
        let code: [u8; 4] = brin.as_bytes().try_into().map_err(|_| Unresolved::Form)?;
        let mut tags = HashMap::new();
        for keys in self.log_keys(brin) {
            for recipient in &self.config.recipients {
                let tag = keys.recipient_tag(&recipient.id, pseudonym);
                let code = Leaf::recipient_code(&recipient.id);
                tags.insert((code, keys.epoch()), tag);
            }
        }
        // One row tells the handle of its log key; after that only rows under another key can tell more.
        let found = RefCell::new(BTreeMap::new());
        let wanted = |leaf: &Leaf| {
            let candidate = leaf.kind == LeafKind::Disclosure
                && leaf.brin() == code
                && leaf.pseudonym_epoch == *epoch
                && !found.borrow().contains_key(&leaf.log_epoch);
            if candidate { Wanted::Rows } else { Wanted::Nothing }
        };
        self.reader.chunks(&ALWAYS, &wanted, &mut |_, leaf, rows| {
            if let Some(tag) = tags.get(&(leaf.recipient, leaf.log_epoch))
                && let Some(located) = rows.iter().find(|located| located.row.tag == *tag)
            {
                found.borrow_mut().insert(leaf.log_epoch, located.row.handle);
            }
            Ok(())
        })?;
        let found = found.into_inner();
        if found.is_empty() {
            return Err(Unresolved::NotGivenOut);
        }
        Ok(found.into_iter().map(|(epoch, handle)| (Some(epoch), handle)).collect())
    }

    /// The person's record in a feed of the school, if it is there. Of the feed, one record at a time is in memory.
    fn look_up(
        &self,
        who: &Who<'_>,
        feed: &Path,
        is_own: &dyn Fn(&Record) -> bool,
    ) -> Result<Option<Record>, Unresolved> {
        let catalogue = catalogue();
        let (school, brincode) = (catalogue.record_named("school"), catalogue.field_named("school.brincode"));
        let mut current: Option<Record> = None;
        let mut found: Option<Record> = None;
        let mut of_school = false;
        let mut sink = |token: Token<'_>| -> Result<(), Unresolved> {
            if let Some(record) = &mut current {
                if record.take(&token)
                    && let Some(record) = current.take()
                {
                    if record.kind == school {
                        let brin = record.find(brincode).unwrap_or_default();
                        let key = catalogue.field_named("school.schoolkey");
                        let key =
                            record.find(key).filter(|key| Some(*key) == who.school.schoolkey.as_deref());
                        let same = digits::normalise(brin).eq_ignore_ascii_case(&who.school.brin);
                        of_school = same || (brin.is_empty() && key.is_some());
                        return if of_school { Ok(()) } else { Err(Unresolved::FeedSchool) };
                    }
                    let person = catalogue.record(record.kind).person == Some(who.person);
                    if person && found.is_none() && is_own(&record) {
                        found = Some(record);
                    }
                }
            } else if let Token::Record(kind, node) = token {
                current = Some(Record::new(kind, node));
            }
            Ok(())
        };
        let limits = self.config.limits.decode();
        decode(File::open(feed)?, None, &limits, &mut sink).map_err(|error| match error {
            decode::Error::Decode(error) => Unresolved::Feed(error),
            decode::Error::Sink(error) => error,
        })?;
        if !of_school {
            return Err(Unresolved::FeedSchool);
        }
        Ok(found)
    }
}

/// A pseudonym that Sluis gave out.
struct Own<'g> {
    uri: &'g str,
    epoch: u16,
    pseudonym: Pseudonym,
}

/// All that the log may know the person of a record by.
fn identities_of(source: IdentitySource, record: &Record, person: catalogue::Person) -> Vec<Identity> {
    let mut found: Vec<Identity> = identity_of(source, record, person).into_iter().collect();
    if source != IdentitySource::LasKey {
        found.extend(identity_of(IdentitySource::LasKey, record, person));
    }
    if source == IdentitySource::Pgn {
        // Whoever has a BSN by now was known by an onderwijsnummer before.
        let numbers = PGN_FIELDS.into_iter().filter_map(|name| record.find(catalogue().field_named(name)));
        found.extend(numbers.filter_map(|number| Pgn::parse(number).ok()).map(Identity::Pgn));
    }
    found
}

impl Person {
    /// The handles alone, each once.
    pub fn distinct(&self) -> HashSet<Handle> {
        self.handles.iter().map(|&(_, handle)| handle).collect()
    }
}

/// Whose data a row is about.
pub(super) fn person_of(subject: Subject) -> catalogue::Person {
    match subject {
        Subject::Leerkracht => catalogue::Person::Leerkracht,
        Subject::Leerling => catalogue::Person::Leerling,
    }
}
