//! What a document says before its pupils: whose it is, and which vestigingen and groups there are.

use std::borrow::Cow;

use jiff::civil::Date;

use super::{Event, Minimiser, Outlet, Refusal, WAITING_BYTES};
use crate::{
    pseudonym::{KeyKind, PupilKey, Reading, digits},
    record::Record,
};

/// The month in which a school year begins.
const AUGUST: u16 = 8;

impl<O: Outlet> Minimiser<'_, O> {
    pub(super) fn accept_school(&mut self, record: &Record) -> Result<(), Refusal> {
        self.check_school(record)?;
        self.check_age(record)?;
        if self.school.is_some() || self.opened {
            self.summary.events.count(Event::DuplicateElement, 1);
            self.note_withheld(record);
        } else {
            self.school = Some(self.with_schooljaar(record.clone())?);
        }
        Ok(())
    }

    /// Whether the document is about the school. A value may be repeated, and which of them leaves is decided
    /// elsewhere: so each has to be right.
    fn check_school(&self, record: &Record) -> Result<(), Refusal> {
        let values = |name: &str| record.values(self.catalogue.field_named(name));
        let school = self.scope.school;
        let right = if values("school.brincode").next().is_some() {
            let vestiging = school.dependance.as_deref().is_none_or(|wanted| {
                let said = values("school.dependancecode").next().is_some();
                let all = values("school.dependancecode").all(|code| digits::normalise(code) == wanted);
                if said { all } else { wanted == "00" }
            });
            vestiging
                && values("school.brincode")
                    .all(|brin| digits::normalise(brin).eq_ignore_ascii_case(&school.brin))
        } else if values("school.schoolkey").next().is_some() {
            values("school.schoolkey").all(|key| school.schoolkey.as_deref() == Some(key))
        } else {
            return Err(Refusal::SchoolMissing);
        };
        if right { Ok(()) } else { Err(Refusal::SchoolOther) }
    }

    /// Whether the document was made on one of the days it may be of. One that does not say when passes.
    fn check_age(&self, record: &Record) -> Result<(), Refusal> {
        let Some(fresh) = &self.scope.fresh else { return Ok(()) };
        let made = record.values(self.catalogue.field_named("school.aanmaakdatum"));
        let mut days = made.map(|made| made.get(..10).and_then(|day| day.parse::<Date>().ok()));
        if days.all(|day| day.is_some_and(|day| fresh.contains(&day))) { Ok(()) } else { Err(Refusal::Stale) }
    }

    /// The school with the school year that the standard insists on: the document's own, or that of its dates.
    fn with_schooljaar(&self, mut record: Record) -> Result<Record, Refusal> {
        let field = self.catalogue.field(self.catalogue.field_named("school.schooljaar"));
        if record.values(field.id).any(|value| field.form.strict(value).is_some()) {
            return Ok(record);
        }
        let date = ["school.peildatum", "school.aanmaakdatum"].into_iter().find_map(|name| {
            let field = self.catalogue.field(self.catalogue.field_named(name));
            record.values(field.id).find_map(|value| field.form.strict(value)).map(Cow::into_owned)
        });
        let part = |range: std::ops::Range<usize>| -> Option<u16> { date.as_ref()?.get(range)?.parse().ok() };
        let (Some(year), Some(month)) = (part(0..4), part(5..7)) else {
            return Err(Refusal::SchooljaarMissing);
        };
        let first = if month >= AUGUST { year } else { year - 1 };
        let place = self.catalogue.place_of(record.root, field.id).ok_or(Refusal::SchooljaarMissing)?;
        record.push(place, None, field.id, &format!("{first:04}-{:04}", first + 1));
        Ok(record)
    }

    pub(super) fn accept_group(&mut self, record: &Record) -> Result<(), Refusal> {
        if self.opened {
            self.summary.events.count(Event::LatePart, 1);
            self.note_withheld(record);
            return Ok(());
        }
        let (label, key) = if record.kind == self.kinds.groep {
            (KeyKind::Groep.label(), "groep.key")
        } else if record.kind == self.kinds.samengestelde_groep {
            (KeyKind::SamengesteldeGroep.label(), "samengestelde_groep.key")
        } else {
            debug_assert!(record.kind == self.kinds.vestiging);
            (KeyKind::Vestiging.label(), "vestiging.key")
        };
        let key = record.find(self.catalogue.field_named(key));
        let fresh = match key.filter(|key| PupilKey::parse(key).is_ok()) {
            None => {
                self.summary.events.count(Event::KeyMissing, 1);
                false
            }
            Some(key) => {
                if !self.is_plain_key(key, record) {
                    self.seen.insert_identifier(self.reading.read(key));
                }
                let fresh = self.groups.insert(label, &digits::normalise(key));
                if !fresh {
                    self.summary.events.count(Event::DuplicateKey, 1);
                }
                fresh
            }
        };
        self.waiting += record.weight();
        if self.waiting > WAITING_BYTES {
            return Err(Refusal::Order);
        }
        if fresh {
            self.preamble.push(record, ());
        } else {
            self.note_withheld(record);
        }
        Ok(())
    }

    /// Whether a group's key is a name like any other, that may stand in its own name and those of other groups:
    /// `4a`, `groep5b`, `Kikkers`. All else can be a pupil's number, or leads back into the pupil administration.
    fn is_plain_key(&mut self, key: &str, record: &Record) -> bool {
        let key = self.reading.read(key);
        if key.text().len() < 5 || key.longest_number() == 0 {
            return true;
        }
        let is_uuid = key.text().len() == 32 && key.text().bytes().all(|byte| byte.is_ascii_hexdigit());
        if key.holds_long_number() || is_uuid {
            return false;
        }
        if key.longest_number() < 3 && key.text().len() < 24 {
            return true;
        }
        let name = self.catalogue.child_named(record.root, "naam");
        let name = name.and_then(|node| self.catalogue.tree().node(node).text);
        let name = name.and_then(|field| record.find(field));
        name.is_some_and(|name| Reading::new().read(name).text() == key.text())
    }
}
