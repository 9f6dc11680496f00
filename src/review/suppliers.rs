//! What a supplier was promised, and what it got.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::RangeInclusive,
};

use jiff::{Span, civil::Date};
use maud::{Markup, html};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use uuid::Uuid;

use super::{
    account::Permission,
    csv,
    decisions::{changes_of, difference},
    exports::heads,
    http::{Answer, Pairs},
    page::{badge, facts, number, table},
    texts::fill,
    visitor::{View, Wrong, days},
};
use crate::{
    answers::{
        Fields, Reading,
        index::{By, Filter, Key, Sum},
    },
    catalogue::{Field, Person, catalogue},
    clock::local_minute,
    config::Recipient,
    disclosure::Leaf,
    policy::agreement::Agreement,
    register::{Entry, Validity},
    report::{self, Head, words},
    standing::{Notice, NoticeKind, NoticeState},
};

/// Suppliers with something of the visitor's schools: an agreement, or a delivery. What others have is nothing to tell:
/// not even that there is such a supplier.
pub(super) fn own<'a>(view: &View<'a>) -> Result<Vec<&'a Recipient>, Wrong> {
    let all = view.config.recipients.iter().map(AsRef::as_ref);
    let Some(schools) = view.scope(&Pairs::default())? else { return Ok(all.collect()) };
    // Also those whose agreement has gone.
    let sums = view.index.sums(&Filter { schools: Some(schools), ..Filter::default() }, By::Recipient)?;
    let is_own = |one: &&Recipient| {
        view.agreements().any(|agreement| agreement.recipient == one.id)
            || sums.contains_key(&Key { recipient: Some(Leaf::recipient_code(&one.id)), ..Key::default() })
    };
    Ok(all.filter(is_own).collect())
}

/// One of them.
pub(super) fn find<'a>(view: &View<'a>, id: &str) -> Result<&'a Recipient, Wrong> {
    own(view)?.into_iter().find(|known| known.id == id).ok_or(Wrong::NotFound)
}

/// A supplier in the list, with what it got in a year.
#[derive(Serialize)]
pub(super) struct Listed<'a> {
    id: &'a str,
    name: &'a str,
    /// Products that an agreement which has not ended is about.
    products: Vec<&'a str>,
    deliveries: u64,
    refused: u64,
    last_ms: Option<u64>,
}

impl Listed<'_> {
    /// As a row of a table.
    pub(super) fn row(&self) -> Vec<String> {
        vec![
            self.id.to_owned(),
            self.name.to_owned(),
            self.products.join(", "),
            self.deliveries.to_string(),
            self.refused.to_string(),
            self.last_ms.map(local_minute).unwrap_or_default(),
        ]
    }
}

/// All suppliers.
pub(super) fn listed<'a>(view: &View<'a>) -> Result<Vec<Listed<'a>>, Wrong> {
    view.demand(Permission::Read)?;
    let filter = Filter {
        schools: view.scope(&Pairs::default())?,
        days: Some(view.today().saturating_sub(Span::new().days(364))..=view.today()),
        ..Filter::default()
    };
    let sums = view.index.sums(&filter, By::Recipient)?;
    let listed = own(view)?.into_iter().map(|supplier| {
        let key = Key { recipient: Some(Leaf::recipient_code(&supplier.id)), ..Key::default() };
        let sum = sums.get(&key);
        let agreements = view.agreements().filter(|agreement| agreement.recipient == supplier.id);
        let current = agreements.filter(|one| one.until >= view.today());
        let products: BTreeSet<&str> = current.map(|one| one.product.as_str()).collect();
        Listed {
            id: &supplier.id,
            name: &supplier.name,
            products: products.into_iter().collect(),
            deliveries: sum.map_or(0, Sum::deliveries),
            refused: sum.map_or(0, |sum| sum.refused),
            last_ms: sum.filter(|sum| sum.deliveries() > 0).map(|sum| sum.last_ms),
        }
    });
    Ok(listed.collect())
}

/// The same as a page.
pub(super) fn list(view: &View<'_>) -> Result<Markup, Wrong> {
    let t = view.texts();
    let language = view.visitor.language();
    let listed = listed(view)?;
    Ok(html! {
        @if listed.is_empty() { p { (t.no_suppliers) } }
        @else {
            (table(t.suppliers, &[t.supplier, t.product, t.deliveries, t.refusals, t.last_delivery], listed.iter().map(|one| vec![
                html! { a href={ "/leveranciers/" (one.id) } { (one.name) } },
                html! { @if one.products.is_empty() { (t.none) } @else { (one.products.join(", ")) } },
                html! { (number(one.deliveries, language)) },
                html! { (number(one.refused, language)) },
                html! { @if let Some(ms) = one.last_ms { (local_minute(ms)) } @else { (t.none) } },
            ])))
        }
        @if view.visitor.may(Permission::Export) {
            p.sluis-actions { a.sluis-button.sluis-button--second href="/leveranciers.csv" { (t.download_csv) } }
        }
        section aria-labelledby="rapporten" {
            h2 #rapporten { (t.published) }
            p { (t.published_hint) }
            @for school in view.schools() {
                p.sluis-actions {
                    span { (school.name) }
                    @for (name, text) in [
                        ("ontvangers", t.report_recipients), ("verwerkingsregister", t.report_register), ("privacyverklaring", t.report_statement),
                    ] {
                        a href={ "/rapporten/" (school.brin) "/" (name) ".pdf" } {
                            (text) span.sluis-visually-hidden { " " (school.name) } " (PDF)"
                        }
                    }
                }
            }
        }
    })
}

/// How a field stands: what was agreed, and what came of it.
#[derive(Serialize)]
struct FieldUse {
    field: &'static str,
    #[serde(skip)]
    label: String,
    agreed: Vec<String>,
    /// Whether the log says when it left: of groups and schools it does not.
    counted: bool,
    /// Deliveries in which it left.
    sent: u64,
    /// Deliveries in which it was present and stayed.
    withheld: u64,
}

/// What went to a supplier in a month.
#[derive(Default, Serialize)]
struct Volume {
    deliveries: u64,
    failed: u64,
    refused: u64,
    persons: u64,
}

/// Everything there is to say about a supplier.
pub(super) struct Found<'a> {
    supplier: &'a Recipient,
    days: RangeInclusive<Date>,
    agreements: Vec<(&'a Agreement, Entry<'a>)>,
    uses: Vec<FieldUse>,
    months: BTreeMap<String, Volume>,
    notices: Vec<(String, Notice)>,
}

impl Found<'_> {
    /// What went out by month, as a table.
    pub(super) fn month_rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![heads(&["maand", "verstrekkingen", "afgebroken", "geweigerd", "personen"])];
        rows.extend(self.months.iter().map(|(month, volume)| {
            let Volume { deliveries, failed, refused, persons } = volume;
            let numbers = [deliveries, failed, refused, persons];
            std::iter::once(month.clone()).chain(numbers.map(|number| number.to_string())).collect()
        }));
        rows
    }

    /// Notices, as a table.
    pub(super) fn notice_rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![heads(&["melding", "soort", "school", "gemaakt", "opgehaald", "verwerkt"])];
        rows.extend(self.notices.iter().map(|(school, notice)| {
            let (delivered, done) = match &notice.state {
                NoticeState::Acknowledged { delivered_ms, at_ms } => (*delivered_ms, Some(*at_ms)),
                NoticeState::Delivered { at_ms } => (Some(*at_ms), None),
                NoticeState::Open => (None, None),
            };
            let at = |ms: Option<u64>| ms.map(local_minute).unwrap_or_default();
            vec![
                notice.id.to_string(),
                notice.kind.as_str().to_owned(),
                school.clone(),
                local_minute(notice.created_ms),
                at(delivered),
                at(done),
            ]
        }));
        rows
    }
}

impl Serialize for Found<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct NoticeOf<'n> {
            id: Uuid,
            school: &'n str,
            kind: NoticeKind,
            created_ms: u64,
            state: &'n NoticeState,
        }
        let notices = self.notices.iter().map(|(school, notice)| {
            let Notice { id, kind, created_ms, state, .. } = notice;
            NoticeOf { id: *id, school, kind: *kind, created_ms: *created_ms, state }
        });
        let notices: Vec<_> = notices.collect();
        let agreements: Vec<&Entry<'_>> = self.agreements.iter().map(|(_, entry)| entry).collect();
        let mut found = serializer.serialize_struct("Found", 8)?;
        found.serialize_field("id", &self.supplier.id)?;
        found.serialize_field("name", &self.supplier.name)?;
        found.serialize_field("from", self.days.start())?;
        found.serialize_field("until", self.days.end())?;
        found.serialize_field("agreements", &agreements)?;
        found.serialize_field("fields", &self.uses)?;
        found.serialize_field("months", &self.months)?;
        found.serialize_field("notices", &notices)?;
        found.end()
    }
}

/// Looks a supplier up.
pub(super) fn look_up<'a>(view: &View<'a>, id: &str, query: &Pairs) -> Result<Found<'a>, Wrong> {
    view.demand(Permission::Read)?;
    let supplier = find(view, id)?;
    let days = days(query, view.today(), 365)?;
    let filter = Filter {
        schools: view.scope(query)?,
        days: Some(days.clone()),
        recipient: Some(Leaf::recipient_code(&supplier.id)),
        ..Filter::default()
    };
    let mut agreements = Vec::new();
    for agreement in view.agreements().filter(|agreement| agreement.recipient == supplier.id) {
        let entry = Entry::of(view.config, &view.desk.ledger, agreement, view.today())?;
        agreements.push((agreement.as_ref(), entry));
    }
    agreements.sort_by_key(|(_, entry)| (entry.validity, entry.product, entry.version));
    let uses = uses(view, &filter, agreements.iter().map(|(_, entry)| entry))?;
    let months = months(view, &filter)?;
    let mut notices = Vec::new();
    for school in view.schools() {
        let standing = view.standing(&school.brin)?;
        let own = standing.notices().iter().filter(|notice| notice.recipient == supplier.id);
        notices.extend(own.map(|notice| (school.brin.clone(), notice.clone())));
    }
    Ok(Found { supplier, days, agreements, uses, months, notices })
}

/// One supplier, as a page.
pub(super) fn one(view: &View<'_>, id: &str, query: &Pairs) -> Result<(String, Markup), Wrong> {
    let t = view.texts();
    let Found { supplier, days, agreements: entries, uses, months, notices } = look_up(view, id, query)?;
    let mut differences = Vec::new();
    for (agreement, entry) in &entries {
        let waits = matches!(entry.validity, Validity::Unapproved | Validity::Future);
        let standing = view.standing(&agreement.school)?;
        differences.push(waits.then(|| difference(t, &changes_of(&standing, agreement))));
    }
    let language = view.visitor.language();
    let main = html! {
        section aria-labelledby="overeenkomsten" {
            h2 #overeenkomsten { (t.agreements) }
            @if entries.is_empty() { p { (t.none) } }
            @for ((agreement, entry), different) in entries.iter().zip(&differences) {
                article class={ "sluis-card sluis-card--" (colour(entry.validity)) } {
                    h3 { (entry.product) " – " (view.config.school(&agreement.school).map_or(agreement.school.as_str(), |school| school.name.as_str())) }
                    p { (badge(colour(entry.validity), validity_text(view, entry.validity))) }
                    (agreed(view, entry))
                    @if let Some(different) = different { (different) }
                    @if view.visitor.may(Permission::Enter) {
                        p.sluis-actions {
                            a.sluis-button.sluis-button--second href={ "/overeenkomst?van=" (agreement.id) } { (t.agreement_next) }
                        }
                    }
                }
            }
        }
        section aria-labelledby="gegevens" {
            h2 #gegevens { (t.agreed_fields) }
            p.sluis-hint { (words::span(*days.start(), *days.end())) }
            @if uses.is_empty() { p { (t.no_deliveries) } }
            @else {
                (table(t.agreed_fields, &[t.field, t.agreed, t.times_sent, t.times_withheld, t.status], uses.iter().map(|own| vec![
                    html! { (own.label) },
                    html! { @if own.agreed.is_empty() { (t.no) } @else { (own.agreed.join(", ")) } },
                    html! { @if own.counted { (number(own.sent, language)) } @else { "–" } },
                    html! { @if own.counted { (number(own.withheld, language)) } @else { "–" } },
                    html! {
                        @if !own.counted { (badge("stil", t.not_counted)) }
                        @else if own.sent > 0 { (badge("goed", t.released)) }
                        @else if !own.agreed.is_empty() { (badge("let-op", t.never_used)) }
                        @else { (badge("stil", t.withheld)) }
                    },
                ])))
            }
        }
        section aria-labelledby="omvang" {
            h2 #omvang { (t.volumes) }
            @if months.is_empty() { p { (t.no_deliveries) } }
            @else {
                (table(t.volumes, &[t.month, t.deliveries, t.failed, t.refusals, t.persons], months.iter().rev().map(|(month, sum)| vec![
                    html! { (month) },
                    html! { (number(sum.deliveries, language)) },
                    html! { (number(sum.failed, language)) },
                    html! { (number(sum.refused, language)) },
                    html! { (number(sum.persons, language)) },
                ])))
            }
        }
        section aria-labelledby="meldingen" {
            h2 #meldingen { (t.notices) }
            @if notices.is_empty() { p { (t.none) } }
            @else {
                (table(t.notices, &[t.when, t.rights_kind, t.school, t.status], notices.iter().rev().map(|(school, notice)| vec![
                    html! { (local_minute(notice.created_ms)) },
                    html! { (notice.kind.as_str()) },
                    html! { (school) },
                    html! { (notice_state(view, notice)) },
                ])))
            }
        }
        p.sluis-actions {
            a.sluis-button.sluis-button--second href={ "/verstrekkingen?leverancier=" (supplier.id) } { (t.disclosures) }
            a.sluis-button.sluis-button--second href={ "/leveranciers/" (supplier.id) "/rapport.pdf" } { (t.download_pdf) }
            a.sluis-button.sluis-button--second href={ "/leveranciers/" (supplier.id) "/gegevens.csv" } { (t.download_csv) ": " (t.field) }
                a.sluis-button.sluis-button--second href={ "/leveranciers/" (supplier.id) "/omvang.csv" } { (t.download_csv) ": " (t.month) }
                a.sluis-button.sluis-button--second href={ "/leveranciers/" (supplier.id) "/meldingen.csv" } { (t.download_csv) ": " (t.notices) }
        }
    };
    Ok((supplier.name.clone(), main))
}

fn colour(validity: Validity) -> &'static str {
    match validity {
        Validity::Ended => "stil",
        Validity::Future | Validity::Unapproved => "let-op",
        Validity::InForce => "goed",
    }
}

fn validity_text(view: &View<'_>, validity: Validity) -> &'static str {
    let t = view.texts();
    match validity {
        Validity::Ended => t.ended_state,
        Validity::Future => t.future,
        Validity::InForce => t.in_force,
        Validity::Unapproved => t.unapproved,
    }
}

fn notice_state(view: &View<'_>, notice: &Notice) -> String {
    let t = view.texts();
    match &notice.state {
        NoticeState::Acknowledged { at_ms, .. } => fill(t.notice_done, &[&local_minute(*at_ms)]),
        NoticeState::Delivered { at_ms } => fill(t.notice_delivered, &[&local_minute(*at_ms)]),
        NoticeState::Open => t.notice_open.into(),
    }
}

/// An agreement in plain words.
fn agreed(view: &View<'_>, entry: &Entry<'_>) -> Markup {
    let t = view.texts();
    let terms = entry.terms;
    let nl = |text: String| html! { span lang="nl" { (text) } };
    facts(&[
        (
            t.agreement,
            html! { span.sluis-code { (entry.agreement) } ", " (fill(t.version, &[&entry.version])) },
        ),
        (t.valid, nl(words::span(entry.from, entry.until))),
        (t.purpose, nl(entry.purpose_name.to_owned())),
        (t.basis, nl(words::basis_with(entry.basis, terms.interest.as_deref()))),
        (t.known_by, nl(words::known_by(entry.known_by).to_owned())),
        (t.recipient_keeps, nl(words::keeps(&terms.keeps))),
        (t.countries, nl(words::countries(&terms.location))),
        (t.outside_eea, nl(words::or_none(entry.third_countries.iter()))),
        (
            t.sub_processors,
            nl(words::or_none(terms.sub_processors.iter().map(|sub| format!("{} ({})", sub.name, sub.does)))),
        ),
        (t.contact, nl(words::said(terms.contact.as_ref().map(|both| both.recipient.as_str())))),
        (t.annex, html! { (entry.annex) }),
        (t.agreed_fields, nl(words::or_none(entry.fields.iter().map(words::field_terms)))),
    ])
}

/// Every field that was agreed on, sent or withheld.
fn uses<'e>(
    view: &View<'_>,
    filter: &Filter,
    entries: impl Iterator<Item = &'e Entry<'e>>,
) -> Result<Vec<FieldUse>, Wrong> {
    let mut uses: BTreeMap<usize, FieldUse> = BTreeMap::new();
    let blank = |field: &'static Field| FieldUse {
        field: &field.name,
        label: match catalogue().record(field.record).person {
            Some(Person::Leerkracht) => format!("{} – leerkracht", words::as_left(&field.label, Some(field))),
            Some(Person::Leerling) | None => words::as_left(&field.label, Some(field)),
        },
        counted: field.bit.is_some(),
        agreed: Vec::new(),
        sent: 0,
        withheld: 0,
    };
    for entry in entries.filter(|entry| entry.validity == Validity::InForce) {
        for field in &entry.fields {
            let Some(known) = catalogue().find(field.field) else { continue };
            let own = uses.entry(known.id.index()).or_insert_with(|| blank(known));
            let version = format!("{} v{}", entry.agreement, entry.version);
            if !own.agreed.contains(&version) {
                own.agreed.push(version);
            }
        }
    }
    for sum in view.index.sums(filter, By::Whole)?.values() {
        for fields in [Fields::Leerling, Fields::Leerkracht, Fields::Results] {
            let Some(about) = sum.about(fields) else { continue };
            for bit in 0..u64::BITS {
                let at = bit as usize;
                let (sent, withheld) = (about.released_in[at], about.withheld_in[at]);
                let Some(field) = fields.field(bit).filter(|_| sent + withheld > 0) else { continue };
                let own = uses.entry(field.id.index()).or_insert_with(|| blank(field));
                own.sent += sent;
                own.withheld += withheld;
            }
        }
    }
    Ok(uses.into_values().collect())
}

/// Deliveries, broken off, refused and persons, by month.
fn months(view: &View<'_>, filter: &Filter) -> Result<BTreeMap<String, Volume>, Wrong> {
    let mut months: BTreeMap<String, Volume> = BTreeMap::new();
    for (key, sum) in view.index.sums(filter, By::Day)? {
        let Some(day) = key.day else { continue };
        let own = months.entry(month_of(day)).or_default();
        own.deliveries += sum.deliveries();
        own.failed += sum.failed;
        own.refused += sum.refused;
        let rows = |fields| sum.about(fields).map_or(0, |about| about.rows);
        own.persons += rows(Fields::Leerling) + rows(Fields::Leerkracht) + rows(Fields::Results);
    }
    Ok(months)
}

/// What was agreed on and what came of it, as CSV.
pub(super) fn csv(view: &View<'_>, id: &str, query: &Pairs) -> Result<Answer, Wrong> {
    view.demand(Permission::Export)?;
    let found = look_up(view, id, query)?;
    view.read(Reading::Export, query.get("school"), Some(id), 0)?;
    let write = move |out: &mut dyn io::Write| {
        csv::begin(out)?;
        csv::row(out, &["gegeven", "veld", "afgesproken", "verstrekt_in", "achtergehouden_in"])?;
        for own in &found.uses {
            let agreed = own.agreed.join(" ");
            csv::row(
                out,
                &[&own.label, own.field, &agreed, &own.sent.to_string(), &own.withheld.to_string()],
            )?;
        }
        Ok(())
    };
    Ok(Answer::download(csv::KIND, "gegevens.csv", Box::new(write)))
}

/// Everything the supplier received, as a report. Of one school, or of all for whoever sees all.
pub(super) fn pdf(view: &View<'_>, id: &str, query: &Pairs) -> Result<Answer, Wrong> {
    view.demand(Permission::Export)?;
    let supplier = find(view, id)?;
    let days = days(query, view.today(), 365)?;
    let scope = view.scope(query)?;
    let reference = view.read(Reading::Received, query.get("school"), Some(id), 0)?;
    let mut received = view.answers()?.received(&supplier.id, &days)?;
    received.schools.retain(|school| {
        scope.as_ref().is_none_or(|own| {
            school.school.brin.as_bytes().first_chunk().is_some_and(|code| own.contains(code))
        })
    });
    let head = Head { reference: Some(reference), days: Some(days), made: view.today() };
    Answer::pdf("leverancier.pdf", report::pdf(&head, &report::lists::received(&received)))
}

fn month_of(day: Date) -> String {
    format!("{:04}-{:02}", day.year(), day.month())
}
