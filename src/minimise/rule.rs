//! One record against the rulings: what stays of it.

use std::collections::HashMap;

use super::{Event, Scope, Summary};
use crate::{
    catalogue::{
        Catalogue, FeedId, Field, FieldId, Kind, NodeId, Required, Treatment, UNKNOWN_BIT, catalogue,
    },
    policy::{Ruling, generalise},
    pseudonym::{KeyKind, Own, Pseudonym, PupilKey, Reading, Released, Scanner, Seen, digits},
    record::Record,
};

/// What one record is ruled with.
pub(super) struct Context<'c, 'a> {
    pub(super) scope: &'c Scope<'a>,
    pub(super) feed: FeedId,
    /// Identifiers of the document, as far as it has been read.
    pub(super) seen: &'c Seen,
    /// Keys of groups and vestigingen of the document.
    pub(super) groups: &'c Seen,
    /// The pseudonym of the person the record is about.
    pub(super) pseudonym: Option<&'c Pseudonym>,
    /// The ECK iD of the feed, where that is what passes.
    pub(super) eckid: Option<&'c str>,
}

/// What came of a record.
pub(super) struct Ruled {
    /// Bits of the fields that left.
    pub(super) released: u64,
    /// Bits of the fields that were present and stayed.
    pub(super) withheld: u64,
    /// Whether it has all that the standard insists on; if not, it must not leave.
    pub(super) complete: bool,
}

/// Rules on records, one after the other; keeps its tables between them.
pub(super) struct Ruler {
    catalogue: &'static Catalogue,
    /// Per place, the last level in which it was emitted.
    stamps: Vec<u32>,
    stamp: u32,
    emitted: Vec<u32>,
    record: u32,
    choices: u64,
    schoolkey: FieldId,
    brincode: FieldId,
    dependancecode: FieldId,
    instellingsnummer: FieldId,
    scanner: Scanner,
    /// Identifiers of the person the record is about, once a text asked for them.
    own: Option<Own>,
    spare_own: Own,
    released: Released,
    /// Tokens of keys that many records refer to, and no person has: of groups, of vestigingen.
    tokens: HashMap<String, (KeyKind, String)>,
}

/// Of so many keys the tokens are kept: a school has fewer groups.
const TOKENS: usize = 512;

impl Ruler {
    pub(super) fn new() -> Self {
        let catalogue = catalogue();
        Self {
            catalogue,
            stamps: vec![0; catalogue.tree().nodes().len()],
            stamp: 0,
            emitted: vec![0; catalogue.fields().len()],
            record: 0,
            choices: 0,
            schoolkey: catalogue.field_named("school.schoolkey"),
            brincode: catalogue.field_named("school.brincode"),
            dependancecode: catalogue.field_named("school.dependancecode"),
            instellingsnummer: catalogue.field_named("school.instellingsnummer"),
            scanner: Scanner::default(),
            own: None,
            spare_own: Own::default(),
            released: Released::default(),
            tokens: HashMap::new(),
        }
    }

    /// Writes into `out` what of `record` may leave.
    pub(super) fn rule(
        &mut self,
        context: &Context<'_, '_>,
        record: &Record,
        out: &mut Record,
        summary: &mut Summary,
    ) -> Ruled {
        self.next_record();
        out.reset(record.kind, record.root);
        let mut ruled = Ruled { released: 0, withheld: record.left_out, complete: true };
        if record.unknown > 0 {
            ruled.withheld |= 1 << UNKNOWN_BIT;
        }
        self.own_eckid(context, out, &mut ruled, summary);
        self.level(context, record, 0..record.items().len(), record.root, out, &mut ruled, summary);
        self.complete(record, out, &mut ruled, summary);
        ruled
    }

    /// Whether no text has left that is long enough to hold an ECK iD.
    pub(super) fn has_released_no_eckid(&self) -> bool {
        self.released.holds_no_eckid()
    }

    /// Whether an identifier was in a text that has left already.
    pub(super) fn has_released(&self, identifier: &Reading) -> bool {
        self.released.holds(identifier)
    }

    fn next_record(&mut self) {
        self.choices = 0;
        if let Some(own) = self.own.take() {
            self.spare_own = own;
        }
        self.record = self.record.wrapping_add(1);
        if self.record == 0 {
            self.emitted.fill(0);
            self.record = 1;
        }
    }

    fn next_level(&mut self) -> u32 {
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.stamps.fill(0);
            self.stamp = 1;
        }
        self.stamp
    }

    /// The ECK iD of a person is always Sluis's to fill in, whether or not the feed had one.
    fn own_eckid(
        &mut self,
        context: &Context<'_, '_>,
        out: &mut Record,
        ruled: &mut Ruled,
        summary: &mut Summary,
    ) {
        let kind = self.catalogue.record(out.kind);
        let (Some(field), Some(pseudonym)) = (kind.eckid, context.pseudonym) else { return };
        if context.scope.rulings.ruling(field) != Ruling::Pseudonymise {
            return;
        }
        let node = self.catalogue.tree().node(out.root);
        let Some(at) = node.attributes.iter().position(|attribute| attribute.field == field) else { return };
        let at = Some(u8::try_from(at).expect("few attributes"));
        if context.scope.pass_eckid {
            let Some(eckid) = context.eckid else { return };
            out.push(out.root, at, field, eckid);
        } else {
            out.push_with(out.root, at, field, |text| context.scope.pseudonyms.write_uri(pseudonym, text));
        }
        self.note_released(self.catalogue.field(field), ruled, summary);
    }

    fn note_released(&mut self, field: &Field, ruled: &mut Ruled, summary: &mut Summary) {
        self.emitted[field.id.index()] = self.record;
        ruled.released |= field.mask();
        summary.fields_released[field.id.index()] += 1;
    }

    fn withhold(field: &Field, ruled: &mut Ruled, summary: &mut Summary) {
        ruled.withheld |= field.mask();
        summary.fields_withheld[field.id.index()] += 1;
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one recursion over one record; a struct would only rename them"
    )]
    fn level(
        &mut self,
        context: &Context<'_, '_>,
        record: &Record,
        range: std::ops::Range<usize>,
        parent: NodeId,
        out: &mut Record,
        ruled: &mut Ruled,
        summary: &mut Summary,
    ) -> bool {
        let level = self.next_level();
        let tree = self.catalogue.tree();
        let mut kept = false;
        let mut at = range.start;
        while at < range.end {
            let item = &record.items()[at];
            let inside = at + 1..item.end as usize;
            at = item.end as usize;
            let node = tree.node(item.node);
            let again = item.node != parent && !node.many && self.stamps[item.node.index()] == level;
            let Some(field) = item.field else {
                if again {
                    summary.events.count(Event::DuplicateElement, 1);
                    self.withhold_all(record, inside, ruled, summary);
                    continue;
                }
                out.open(item.node);
                let some = self.level(context, record, inside, item.node, out, ruled, summary);
                // A reference without its key refers to nothing, and what it holds belongs to nothing.
                let keyed = node
                    .attributes
                    .iter()
                    .any(|attribute| self.catalogue.field(attribute.field).kind == Kind::Key);
                let has_key = out.items()[out.open_item() + 1..].iter().any(|item| item.attribute.is_some());
                if some && (!keyed || has_key) {
                    out.close();
                    self.stamps[item.node.index()] = level;
                    kept = true;
                } else {
                    out.discard();
                }
                continue;
            };
            let field = self.catalogue.field(field);
            let value = record.value(item);
            if value.is_empty() && field.kind != Kind::Opaque {
                continue;
            }
            if self.catalogue.record(record.kind).eckid == Some(field.id) {
                // Ours stands there already; the feed's own stays, unless it is what passed.
                if !(context.scope.pass_eckid && self.emitted[field.id.index()] == self.record) {
                    summary.fields_withheld[field.id.index()] += 1;
                }
                continue;
            }
            let used = field.choice.is_some_and(|choice| self.choices & (1 << choice) != 0);
            if again || used {
                summary.events.count(Event::DuplicateElement, 1);
                Self::withhold(field, ruled, summary);
                continue;
            }
            let key_of = match item.attribute {
                Some(attribute) => node.attributes[usize::from(attribute)].key_of,
                None => node.key_of,
            };
            let emitted = match context.scope.rulings.ruling(field.id) {
                Ruling::Withhold => false,
                Ruling::Pass if self.says_no_more(record, field.id) => false,
                Ruling::Generalise(treatment) => {
                    coarser(field, treatment, value, summary).is_some_and(|value| {
                        let place = (item.node, item.attribute);
                        self.push_text(context, record, field, place, &value, out, summary)
                    })
                }
                Ruling::Pass => match field.form.strict(value) {
                    Some(value) => {
                        let place = (item.node, item.attribute);
                        self.push_text(context, record, field, place, &value, out, summary)
                    }
                    None => {
                        summary.events.count(Event::InvalidValue, 1);
                        false
                    }
                },
                Ruling::Pseudonymise => match key_of {
                    Some(kind) => {
                        let own = self.catalogue.record(record.kind).key == Some(field.id);
                        self.token(
                            context,
                            field,
                            own,
                            kind,
                            (item.node, item.attribute),
                            value,
                            out,
                            summary,
                        )
                    }
                    None => match context.pseudonym {
                        Some(pseudonym) if field.kind != Kind::Eckid => {
                            let hex = pseudonym.hex();
                            let longest = field.form.max.unwrap_or(hex.len()).min(hex.len());
                            out.push(item.node, item.attribute, field.id, &hex[..longest]);
                            true
                        }
                        _ => false,
                    },
                },
            };
            if emitted {
                self.stamps[item.node.index()] = level;
                if let Some(choice) = field.choice {
                    self.choices |= 1 << choice;
                }
                self.note_released(field, ruled, summary);
                kept = true;
            } else {
                Self::withhold(field, ruled, summary);
            }
        }
        kept
    }

    #[expect(clippy::too_many_arguments, reason = "see level")]
    fn token(
        &mut self,
        context: &Context<'_, '_>,
        field: &Field,
        own: bool,
        kind: KeyKind,
        (node, attribute): (NodeId, Option<u8>),
        value: &str,
        out: &mut Record,
        summary: &mut Summary,
    ) -> bool {
        if let Some((of, token)) = self.tokens.get(value)
            && *of == kind
        {
            out.push(node, attribute, field.id, token);
            return true;
        }
        let Ok(key) = PupilKey::parse(value) else {
            summary.events.count(Event::KeyMissing, 1);
            return false;
        };
        let refers_inside = !own && holds(self.catalogue, context.feed, kind);
        if refers_inside && !context.groups.contains(kind.label(), &digits::normalise(value)) {
            summary.events.count(Event::DanglingReference, 1);
            return false;
        }
        let shared = !own && !matches!(kind, KeyKind::Leerkracht | KeyKind::Leerling);
        out.push_with(node, attribute, field.id, |text| {
            let from = text.len();
            context.scope.pseudonyms.token(kind, &key, text);
            // Groups and vestigingen of a document are known before the first reference to one, and stay.
            if shared && self.tokens.len() < TOKENS {
                self.tokens.insert(value.to_owned(), (kind, text[from..].to_owned()));
            }
        });
        true
    }

    /// What names the school besides its BRIN. The standard has either a BRIN with its vestiging, or an
    /// instellingsnummer; its key in the LAS says no more than either, and no line asks for it.
    fn says_no_more(&self, record: &Record, field: FieldId) -> bool {
        let has_brin = || record.find(self.brincode).is_some();
        if field == self.dependancecode {
            !has_brin()
        } else {
            (field == self.schoolkey || field == self.instellingsnummer) && has_brin()
        }
    }

    /// Emits a value as it is, unless an identifier hides in it.
    #[expect(clippy::too_many_arguments, reason = "see level")]
    fn push_text(
        &mut self,
        context: &Context<'_, '_>,
        record: &Record,
        field: &Field,
        (node, attribute): (NodeId, Option<u8>),
        value: &str,
        out: &mut Record,
        summary: &mut Summary,
    ) -> bool {
        let free = field.form.pattern.is_none() && !matches!(field.kind, Kind::Date | Kind::Datetime);
        // The school's key is the one that the configuration holds, or the document would have been refused.
        if free && field.id != self.schoolkey && self.hides_identifier(context, record, field, value) {
            summary.events.count(Event::IdentifierInText, 1);
            return false;
        }
        out.push(node, attribute, field.id, value);
        true
    }

    fn hides_identifier(
        &mut self,
        context: &Context<'_, '_>,
        record: &Record,
        field: &Field,
        value: &str,
    ) -> bool {
        // A person's own name can be a key somewhere; without a digit in it, it says no more than the name does.
        let is_name = field.treatments.contains(&Treatment::Initial);
        let has_digits = value.chars().any(char::is_numeric);
        if is_name && !has_digits {
            return false;
        }
        // What has a digit is not in what has none: and most identifiers have one, most texts none.
        let may_be_own = has_digits || value.contains('%') || self.has_own_without_digits(record);
        let none = Own::default();
        if self.own.is_none() && may_be_own {
            let mut own = std::mem::take(&mut self.spare_own);
            own.clear();
            if context.pseudonym.is_some() {
                self.learn(record, &mut own);
            }
            self.own = Some(own);
        }
        let own = self.own.as_ref().filter(|_| may_be_own).unwrap_or(&none);
        // Most persons of a large school are still to come when this leaves. A postcode abroad may be long.
        let long = matches!(field.kind, Kind::Text | Kind::Url);
        if self.scanner.finds(value, context.seen, own, long) {
            return true;
        }
        if !is_name {
            self.released.note(self.scanner.reading());
        }
        false
    }

    /// The identifiers a record has of whom it is about.
    fn identifiers<'r>(catalogue: &'static Catalogue, record: &'r Record) -> impl Iterator<Item = &'r str> {
        let kind = catalogue.record(record.kind);
        let is_own = move |field: FieldId| {
            kind.key == Some(field) || matches!(catalogue.field(field).kind, Kind::Eckid | Kind::Pgn)
        };
        let own = record.items().iter().filter(move |item| item.field.is_some_and(is_own));
        own.map(|item| record.value(item))
    }

    fn has_own_without_digits(&self, record: &Record) -> bool {
        let without = |own: &str| !own.is_empty() && !own.bytes().any(|byte| byte.is_ascii_digit());
        Self::identifiers(self.catalogue, record).any(without)
    }

    fn learn(&mut self, record: &Record, own: &mut Own) {
        for identifier in Self::identifiers(self.catalogue, record) {
            own.add(self.scanner.read(identifier));
        }
    }

    fn withhold_all(
        &self,
        record: &Record,
        range: std::ops::Range<usize>,
        ruled: &mut Ruled,
        summary: &mut Summary,
    ) {
        for item in &record.items()[range] {
            if let Some(field) = item.field {
                Self::withhold(self.catalogue.field(field), ruled, summary);
            }
        }
    }

    /// Puts constants where the standard insists on a field and none is left.
    fn complete(&mut self, record: &Record, out: &mut Record, ruled: &mut Ruled, summary: &mut Summary) {
        let kind = self.catalogue.record(record.kind);
        for &id in &kind.required {
            let has = |id: FieldId| self.emitted[id.index()] == self.record;
            let field = self.catalogue.field(id);
            let wanted = match &field.required {
                Required::Always => true,
                Required::No => false,
                Required::With(others) => others.iter().any(|&other| has(other)),
                Required::Without(others) => !others.iter().any(|&other| has(other)),
            };
            if !wanted || has(id) {
                continue;
            }
            match (&field.constant, self.catalogue.place_of(record.root, id)) {
                (Some(constant), Some(node)) => {
                    out.push(node, None, id, constant);
                    self.emitted[id.index()] = self.record;
                    summary.fields_neutralised[id.index()] += 1;
                }
                _ => ruled.complete = false,
            }
        }
    }
}

/// Whether documents of this feed hold the records a reference of this kind points at.
fn holds(catalogue: &Catalogue, feed: FeedId, kind: KeyKind) -> bool {
    let record = match kind {
        KeyKind::Groep => "groep",
        KeyKind::Leerkracht | KeyKind::Leerling => return false,
        KeyKind::SamengesteldeGroep => "samengestelde_groep",
        KeyKind::Vestiging => "vestiging",
    };
    catalogue
        .feed(feed)
        .sections
        .iter()
        .any(|section| section.records.iter().any(|&(id, _)| catalogue.record(id).name == record))
}

fn coarser(field: &Field, treatment: Treatment, value: &str, summary: &mut Summary) -> Option<String> {
    let coarse = field.form.strict(value).and_then(|value| generalise(treatment, &value));
    if coarse.is_none() {
        summary.events.count(Event::InvalidValue, 1);
    }
    coarse
}
