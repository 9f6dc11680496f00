//! Pupils and teachers: who they are, whether they may leave, and their row in the log.

use super::{Event, Minimiser, Outlet, rule::Context};
use crate::{
    catalogue::{Kind, Person, catalogue},
    disclosure::{Row, RowOutcome, Subject},
    keys::IdentitySource,
    pseudonym::{EckId, Identity, KeyKind, Pgn, PupilKey, digits, official_digits},
    record::Record,
};

/// What is known of a person whose record waits for the rest of the chunk.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    /// Place among its kind in the document, from 0.
    number: u32,
    /// Known already not to leave.
    withheld: bool,
}

impl<O: Outlet> Minimiser<'_, O> {
    /// Notes a person's identifiers, so that whatever else is in the chunk can be held against them.
    pub(super) fn pending(&mut self, record: &Record, person: Person) -> Pending {
        let kind = self.catalogue.record(record.kind);
        let number = &mut self.numbers[usize::from(person == Person::Leerkracht)];
        let mut pending = Pending { number: *number, withheld: false };
        *number = number.saturating_add(1);
        let key_kind = key_kind(person);
        let mut before = false;
        if let Some(key) = kind.key.and_then(|key| record.find(key)) {
            let key = digits::normalise(key);
            if !self.seen.insert(key_kind.label(), &key) {
                self.summary.events.count(Event::DuplicateKey, 1);
                pending.withheld = true;
            }
            let reading = self.reading.read(&key);
            before |= self.ruler.has_released(reading);
            self.seen.insert_identifier(reading);
        }
        if let Some(eckid) = kind.eckid.and_then(|eckid| record.find(eckid)) {
            let fresh = match official_digits(eckid).filter(|_| self.ruler.has_released_no_eckid()) {
                Some(digits) => self.seen.insert_eckid_digits(digits),
                None => {
                    let reading = self.reading.read(eckid);
                    before |= self.ruler.has_released(reading);
                    self.seen.insert_eckid(eckid, reading)
                }
            };
            if !fresh {
                self.summary.events.count(Event::DuplicateEckId, 1);
                // Elsewhere the duplicate does no harm: what leaves is made from the key.
                pending.withheld |= self.scope.pass_eckid || self.scope.identity == IdentitySource::EckId;
            }
        }
        for item in record.items() {
            if let Some(field) = item.field
                && self.catalogue.field(field).kind == Kind::Pgn
            {
                let reading = self.reading.read(record.value(item));
                before |= self.ruler.has_released(reading);
                self.seen.insert_identifier(reading);
            }
        }
        if before {
            self.summary.events.count(Event::IdentifierBefore, 1);
        }
        if self.staff_flushed && person == Person::Leerling {
            self.summary.events.count(Event::LatePart, 1);
            pending.withheld = true;
        }
        pending
    }

    /// Rules on a person, writes what may leave, and adds the row.
    ///
    /// Where the standard wants pupils and none has left, no teacher leaves either: the answer will be that there is
    /// no data. Teachers are ruled on after the last pupil, so by then that is known.
    pub(super) fn emit_person(&mut self, record: &Record, pending: Pending, person: Person) {
        let Pending { number, withheld } = pending;
        let subject = match person {
            Person::Leerkracht => Subject::Leerkracht,
            Person::Leerling => Subject::Leerling,
        };
        let mut row = Row::new(subject, number);
        let identity = identity_of(self.scope.identity, record, person);
        if identity.is_none() {
            self.summary.events.count(Event::IdentityMissing, 1);
        }
        let emitted = match identity {
            Some(identity) => {
                row.handle = self.scope.log_keys.subject_handle(&identity);
                row.kept_out = self.scope.rights.keep_out(record, person);
                self.summary.kept_out += u64::from(row.kept_out.is_some());
                !withheld
                    && row.kept_out.is_none()
                    && (person == Person::Leerling || self.content || !self.pupils_required())
                    && self.scope.rulings.covers(record.kind)
                    && self.emit_known(record, &identity, &mut row)
            }
            None => false,
        };
        if emitted {
            row.outcome = RowOutcome::Released;
            match person {
                Person::Leerkracht => self.summary.staff += 1,
                Person::Leerling => self.summary.released += 1,
            }
            self.content |= person == Person::Leerling || !self.pupils_required();
        } else {
            row.outcome = RowOutcome::Withheld;
            row.released = 0;
            row.withheld |= self.note_withheld(record);
            self.summary.withheld += u64::from(person == Person::Leerling);
        }
        self.rows.push(row);
    }

    fn emit_known(&mut self, record: &Record, identity: &Identity, row: &mut Row) -> bool {
        let key = self.catalogue.record(record.kind).key.and_then(|key| record.find(key));
        if !key.is_some_and(PupilKey::is_one) {
            self.summary.events.count(Event::KeyMissing, 1);
            return false;
        }
        let pseudonym = self.scope.pseudonyms.pseudonym(identity);
        let official = self.catalogue.record(record.kind).eckid.filter(|_| self.scope.pass_eckid);
        let official = official.and_then(|field| record.find(field));
        let official = official.filter(|eckid| official_digits(eckid).is_some());
        let context = Context {
            scope: &self.scope,
            feed: self.feed.expect("persons stand in a feed"),
            seen: &self.seen,
            groups: &self.groups,
            pseudonym: Some(&pseudonym),
            eckid: official,
        };
        let ruled = self.ruler.rule(&context, record, &mut self.ruled, &mut self.summary);
        row.released = ruled.released;
        row.withheld = ruled.withheld;
        debug_assert!(ruled.complete, "the key is there, and all else that is required has a constant");
        if !ruled.complete {
            return false;
        }
        row.tag = self.scope.log_keys.recipient_tag(self.scope.recipient, &pseudonym);
        let from = self.encoder.as_mut().expect("the document is open").record(&self.ruled, &mut self.out);
        let mut mac = self.scope.log_keys.content_mac();
        mac.update(&self.out.as_bytes()[from..]);
        row.mac = mac.finish();
        self.mac.update(&self.out.as_bytes()[self.mac_at..from]);
        self.mac.update(&row.mac);
        self.mac_at = self.out.len();
        true
    }
}

/// What a person is known by: teachers have no PGN in these standards.
pub(crate) fn source_of(source: IdentitySource, person: Person) -> IdentitySource {
    match (source, person) {
        (IdentitySource::Pgn, Person::Leerkracht) => IdentitySource::LasKey,
        (source, _) => source,
    }
}

/// The identifier of the configured kind; there is no falling back on another.
pub(crate) fn identity_of(source: IdentitySource, record: &Record, person: Person) -> Option<Identity> {
    let catalogue = catalogue();
    let kind = catalogue.record(record.kind);
    match source_of(source, person) {
        IdentitySource::LasKey => {
            let key = PupilKey::parse(record.find(kind.key?)?).ok()?;
            Some(Identity::LasKey(key_kind(person), key))
        }
        IdentitySource::EckId => Some(Identity::EckId(EckId::parse(record.find(kind.eckid?)?).ok()?)),
        IdentitySource::Pgn => {
            let number = PGN_FIELDS.into_iter().find_map(|name| record.find(catalogue.field_named(name)))?;
            Some(Identity::Pgn(Pgn::parse(number).ok()?))
        }
    }
}

/// Every identifier a record has of a person: an objection may have been entered by any of them.
pub(crate) fn all_identities(record: &Record, person: Person) -> Vec<Identity> {
    let catalogue = catalogue();
    let kind = catalogue.record(record.kind);
    let key = kind.key.and_then(|key| PupilKey::parse(record.find(key)?).ok());
    let eckid = kind.eckid.and_then(|eckid| EckId::parse(record.find(eckid)?).ok());
    let mut all: Vec<Identity> = key.map(|key| Identity::LasKey(key_kind(person), key)).into_iter().collect();
    all.extend(eckid.map(Identity::EckId));
    if person == Person::Leerling {
        let numbers = PGN_FIELDS.into_iter().filter_map(|name| record.find(catalogue.field_named(name)));
        all.extend(numbers.filter_map(|number| Pgn::parse(number).ok()).map(Identity::Pgn));
    }
    all
}

/// Where a pupil's PGN stands, in the order in which they are looked at.
pub(crate) const PGN_FIELDS: [&str; 3] = ["leerling.bsn", "leerling.onderwijsnummer", "leerling.sofinummer"];

pub(crate) fn key_kind(person: Person) -> KeyKind {
    match person {
        Person::Leerkracht => KeyKind::Leerkracht,
        Person::Leerling => KeyKind::Leerling,
    }
}
