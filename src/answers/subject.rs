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
    disclosure::{LeafKind, Subject, Wanted, rowfile::Handle},
    keys::{IdentitySource, Purpose},
    minimise::{PGN_FIELDS, identity_of, key_kind},
    pseudonym::{EckId, Identity, LogKeys, Pgn, Pseudonym, PupilKey, digits},
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
    /// The identity that handles are made from, where it can be told without more.
    fn identity(
        &self,
        source: IdentitySource,
        person: catalogue::Person,
    ) -> Result<Option<Identity>, Unresolved> {
        let by_key = source == IdentitySource::LasKey
            || (source == IdentitySource::Pgn && person == catalogue::Person::Leerkracht);
        Ok(match self {
            Self::Key(key) => {
                let key = PupilKey::parse(key).map_err(|_| Unresolved::Form)?;
                by_key.then(|| Identity::LasKey(key_kind(person), key))
            }
            Self::EckId(eckid) => {
                let eckid = EckId::parse(eckid).map_err(|_| Unresolved::Form)?;
                (source == IdentitySource::EckId).then_some(Identity::EckId(eckid))
            }
            Self::Pgn(pgn) => {
                let pgn = Pgn::parse(pgn).map_err(|_| Unresolved::Form)?;
                (source == IdentitySource::Pgn && !by_key).then_some(Identity::Pgn(pgn))
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

    /// The handles of a person.
    ///
    /// # Errors
    ///
    /// [`Unresolved`]: what more is needed, or that there is no such person.
    pub fn resolve(&self, who: &Who<'_>) -> Result<Person, Unresolved> {
        if let Given::Handle(handle) = who.given {
            return Ok(Person { handles: vec![(None, handle)] });
        }
        let source = who.school.identity;
        let own = format!("https://{}/", self.config.authority);
        if let Given::EckId(uri) = &who.given
            && let Some(rest) = uri.trim().strip_prefix(&own)
        {
            return self.given_out(&who.school.brin, rest);
        }
        let mut identities = Vec::new();
        match who.given.identity(source, who.person)? {
            Some(identity) => identities.push(identity),
            None => {
                let feed = who.feed.ok_or(Unresolved::NeedsFeed(source))?;
                let record = self.look_up(who, feed)?;
                identities.extend(identity_of(source, &record, who.person));
                // Results come back under the key, whatever else pseudonyms are made from.
                if source != IdentitySource::LasKey {
                    identities.extend(identity_of(IdentitySource::LasKey, &record, who.person));
                }
                if identities.is_empty() {
                    return Err(Unresolved::NotInFeed);
                }
            }
        }
        let mut handles = Vec::new();
        for keys in self.log_keys(&who.school.brin) {
            for identity in &identities {
                handles.push((Some(keys.epoch()), keys.subject_handle(identity)));
            }
        }
        Ok(Person { handles })
    }

    /// What stands for a person from now on: the handle under the newest log key, made from the identifier that the
    /// school's handles are made from. Of a pseudonym that was given out, the handle under the newest key it was given out
    /// under.
    ///
    /// # Errors
    ///
    /// As [`Answers::resolve`]; [`Unresolved::Form`] for a handle, of which nobody can tell under which key it was made.
    pub fn subject(&self, who: &Who<'_>) -> Result<(u16, Handle), Unresolved> {
        let own = format!("https://{}/", self.config.authority);
        if let Given::EckId(uri) = &who.given
            && let Some(rest) = uri.trim().strip_prefix(&own)
        {
            let known = self.given_out(&who.school.brin, rest)?.handles;
            let newest = known
                .into_iter()
                .filter_map(|(epoch, handle)| Some((epoch?, handle)))
                .max_by_key(|known| known.0);
            return newest.ok_or(Unresolved::NotGivenOut);
        }
        let source = who.school.identity;
        let identity = match who.given.identity(source, who.person)? {
            Some(identity) => identity,
            None if matches!(who.given, Given::Handle(_)) => return Err(Unresolved::Form),
            None => {
                let record = self.look_up(who, who.feed.ok_or(Unresolved::NeedsFeed(source))?)?;
                identity_of(source, &record, who.person).ok_or(Unresolved::NotInFeed)?
            }
        };
        let newest = self.log_keys(&who.school.brin).into_iter().next().ok_or(Unresolved::Form)?;
        Ok((newest.epoch(), newest.subject_handle(&identity)))
    }

    /// The person behind a pseudonym that was given out: `<epoch>/<digits>` of its URI.
    fn given_out(&self, brin: &str, rest: &str) -> Result<Person, Unresolved> {
        let (epoch, digits) = rest.split_once('/').ok_or(Unresolved::Form)?;
        let epoch: u16 = epoch.parse().map_err(|_| Unresolved::Form)?;
        let pseudonym = Pseudonym::parse(digits).ok_or(Unresolved::Form)?;
        let code: [u8; 4] = brin.as_bytes().try_into().map_err(|_| Unresolved::Form)?;
        let mut tags = HashMap::new();
        for keys in self.log_keys(brin) {
            for recipient in &self.config.recipients {
                let tag = keys.recipient_tag(&recipient.id, &pseudonym);
                let code = crate::disclosure::Leaf::recipient_code(&recipient.id);
                tags.insert((code, keys.epoch()), tag);
            }
        }
        // One row tells the handle of its log key; after that only rows under another key can tell more.
        let found = RefCell::new(BTreeMap::new());
        let wanted = |leaf: &crate::disclosure::Leaf| {
            let candidate = leaf.kind == LeafKind::Disclosure
                && leaf.brin() == code
                && leaf.pseudonym_epoch == epoch
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
        Ok(Person { handles: found.into_iter().map(|(epoch, handle)| (Some(epoch), handle)).collect() })
    }

    /// The person's record in a feed of the school. Of the feed, one record at a time is in memory.
    fn look_up(&self, who: &Who<'_>, feed: &Path) -> Result<Record, Unresolved> {
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
                    if person && found.is_none() && who.given.is_of(&record) {
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
        found.ok_or(Unresolved::NotInFeed)
    }
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
