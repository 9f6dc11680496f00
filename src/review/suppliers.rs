//! What a supplier was promised, and what it got.

use std::collections::BTreeMap;

use jiff::{Span, civil::Date};
use maud::{Markup, html};

use super::{
    decisions::{changes_of, difference},
    http::Pairs,
    page::{badge, facts, number, table},
    texts::fill,
    visitor::{View, Wrong, days},
};
use crate::{
    answers::{Fields, index::{By, Filter}},
    catalogue::catalogue,
    clock::local_minute,
    config::Recipient,
    register::{Entry, Validity},
    report::words,
    standing::{Notice, NoticeState},
};

/// Suppliers with something of the visitor's schools: an agreement, or a delivery.
fn own<'a>(view: &View<'a>) -> Result<Vec<&'a Recipient>, Wrong> {
    if view.visitor.schools.is_empty() {
        return Ok(view.config.recipients.iter().map(AsRef::as_ref).collect());
    }
    let agreed = |id: &str| view.agreements().any(|agreement| agreement.recipient == id);
    Ok(view.config.recipients.iter().map(AsRef::as_ref).filter(|one: &&Recipient| agreed(&one.id)).collect())
}

/// All suppliers, with what they got in a year.
pub(super) fn list(view: &View<'_>) -> Result<Markup, Wrong> {
    let t = view.texts();
    let filter = Filter {
        schools: view.scope(&Pairs::default())?,
        days: view.today().saturating_sub(Span::new().days(364))..=view.today(),
        ..Filter::default()
    };
    let sums = view.index.sums(&filter, By::Recipient)?;
    let language = view.visitor.language();
    let rows = own(view)?.into_iter().map(|supplier| {
        let sum = sums.iter().find(|sum| sum.is_of(&supplier.id));
        let agreements = view.agreements().filter(|agreement| agreement.recipient == supplier.id);
        let products: std::collections::BTreeSet<&str> =
            agreements.filter(|one| one.until >= view.today()).map(|one| one.product.as_str()).collect();
        let products: Vec<&str> = products.into_iter().collect();
        vec![
            html! { a href={ "/leveranciers/" (supplier.id) } { (supplier.name) } },
            html! { @if products.is_empty() { (t.none) } @else { (products.join(", ")) } },
            html! { (number(sum.map_or(0, |sum| sum.deliveries()), language)) },
            html! { (number(sum.map_or(0, |sum| sum.refused), language)) },
            html! { @if let Some(ms) = sum.and_then(|sum| sum.last_ms) { (local_minute(ms)) } @else { (t.none) } },
        ]
    });
    let rows: Vec<_> = rows.collect();
    Ok(html! {
        @if rows.is_empty() { p { (t.no_suppliers) } }
        @else { (table(t.suppliers, &[t.supplier, t.agreements, t.deliveries, t.refusals, t.when], rows)) }
    })
}

/// How a field stands: what was agreed, and what came of it.
struct FieldUse {
    label: String,
    agreed: Vec<String>,
    sent: u64,
    withheld: u64,
}

/// One supplier.
pub(super) fn one(view: &View<'_>, id: &str, query: &Pairs) -> Result<(String, Markup), Wrong> {
    let t = view.texts();
    let supplier = own(view)?.into_iter().find(|known| known.id == id).ok_or(Wrong::NotFound)?;
    let days = days(query, view.today(), 365)?;
    let filter = Filter {
        schools: view.scope(query)?,
        days: days.clone(),
        recipient: Some(supplier.id.clone()),
        ..Filter::default()
    };
    let mut entries = Vec::new();
    for agreement in view.agreements().filter(|agreement| agreement.recipient == supplier.id) {
        entries.push((agreement, Entry::of(view.config, &view.desk.ledger, agreement, view.today())?));
    }
    entries.sort_by_key(|(_, entry)| (entry.validity, entry.product, entry.version));
    let uses = uses(view, &filter, entries.iter().map(|(_, entry)| entry))?;
    let months = months(view, &filter)?;
    let mut notices = Vec::new();
    for school in view.schools() {
        let standing = view.standing(&school.brin)?;
        let own = standing.notices().iter().filter(|notice| notice.recipient == supplier.id);
        notices.extend(own.map(|notice| (school.name.clone(), notice.clone())));
    }
    let language = view.visitor.language();
    let main = html! {
        section aria-labelledby="overeenkomsten" {
            h2 #overeenkomsten { (t.agreements) }
            @if entries.is_empty() { p { (t.none) } }
            @for (agreement, entry) in &entries {
                article class={ "sluis-card sluis-card--" (validity(entry.validity).0) } {
                    h3 { (entry.product) " – " (view.config.school(&agreement.school).map_or(agreement.school.as_str(), |school| school.name.as_str())) }
                    p { (badge(validity(entry.validity).0, validity_text(view, entry.validity))) }
                    (agreed(view, entry))
                    @if entry.validity == Validity::Unapproved || entry.validity == Validity::Future {
                        @let standing = view.standing(&agreement.school)?;
                        (difference(t, &changes_of(&standing, agreement)))
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
                    html! { (number(own.sent, language)) },
                    html! { (number(own.withheld, language)) },
                    html! {
                        @if own.sent > 0 { (badge("goed", t.released)) }
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
                    html! { (number(sum.0, language)) },
                    html! { (number(sum.1, language)) },
                    html! { (number(sum.2, language)) },
                    html! { (number(sum.3, language)) },
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
            a.sluis-button.sluis-button--second href={ "/leveranciers/" (supplier.id) "/gegevens.csv" } { (t.download_csv) }
        }
    };
    Ok((supplier.name.clone(), main))
}

fn validity(validity: Validity) -> (&'static str, ()) {
    (
        match validity {
            Validity::Ended => "stil",
            Validity::Future | Validity::Unapproved => "let-op",
            Validity::InForce => "goed",
        },
        (),
    )
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
        (t.agreement, html! { span.sluis-code { (entry.agreement) } ", " (fill(t.version, &[&entry.version])) }),
        (t.valid, nl(words::span(entry.from, entry.until))),
        (t.purpose, nl(entry.purpose_name.to_owned())),
        (t.basis, nl(words::basis_with(entry.basis, terms.interest.as_deref()))),
        (t.known_by, nl(words::known_by(entry.known_by).to_owned())),
        (t.recipient_keeps, nl(words::keeps(&terms.keeps))),
        (t.countries, nl(words::countries(&terms.location))),
        (t.outside_eea, nl(words::or_none(entry.third_countries.iter()))),
        (t.sub_processors, nl(words::or_none(terms.sub_processors.iter().map(|sub| format!("{} ({})", sub.name, sub.does))))),
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
    let place = |name: &str| catalogue().find(name).map(|field| field.id.index());
    let blank = |name: &str| FieldUse { label: words::field_left(name), agreed: Vec::new(), sent: 0, withheld: 0 };
    for entry in entries.filter(|entry| entry.validity == Validity::InForce) {
        for field in &entry.fields {
            let Some(place) = place(field.field) else { continue };
            let own = uses.entry(place).or_insert_with(|| blank(field.field));
            let version = format!("{} v{}", entry.agreement, entry.version);
            if !own.agreed.contains(&version) {
                own.agreed.push(version);
            }
        }
    }
    for sum in view.index.sums(filter, By::Recipient)? {
        for fields in [Fields::Leerling, Fields::Leerkracht, Fields::Results] {
            for bit in 0..u64::BITS {
                let (sent, withheld) = sum.times(fields, bit);
                let Some(field) = fields.field(bit).filter(|_| sent + withheld > 0) else { continue };
                let own = uses.entry(field.id.index()).or_insert_with(|| blank(&field.name));
                own.sent += sent;
                own.withheld += withheld;
            }
        }
    }
    Ok(uses.into_values().collect())
}

/// Deliveries, broken off, refused and persons, by month.
fn months(view: &View<'_>, filter: &Filter) -> Result<BTreeMap<String, (u64, u64, u64, u64)>, Wrong> {
    let mut months: BTreeMap<String, (u64, u64, u64, u64)> = BTreeMap::new();
    for sum in view.index.sums(filter, By::Day)? {
        let Some(day) = sum.day() else { continue };
        let own = months.entry(month_of(day)).or_default();
        own.0 += sum.deliveries();
        own.1 += sum.failed;
        own.2 += sum.refused;
        own.3 += sum.persons();
    }
    Ok(months)
}

fn month_of(day: Date) -> String {
    format!("{:04}-{:02}", day.year(), day.month())
}
