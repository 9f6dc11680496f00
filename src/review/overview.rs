//! Today and this month at a glance, and what waits for somebody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Span, civil::Date};
use maud::{Markup, html};
use serde::Serialize;

use super::{
    account::Permission,
    chart,
    decisions::waiting,
    http::Pairs,
    integrity::{Checked, Copy},
    page::{badge, csrf, facts, figure, number, table},
    reviews,
    texts::{Texts, fill},
    visitor::{View, Wrong},
};
use crate::{
    answers::{
        Fields,
        index::{By, Filter, Key, Sum},
    },
    clock::local_minute,
    standing::{Decision, NoticeState},
};

/// Days that charts show.
const CHART_DAYS: i64 = 30;
/// An agreement is said to end so many days ahead.
const ENDING_DAYS: i64 = 60;

/// Everything on the page.
#[derive(Serialize)]
pub(super) struct Overview {
    today: Totals,
    month: Totals,
    waits: Waits,
    log: super::integrity::State,
    suppliers: Vec<Supplier>,
    #[serde(skip)]
    days: Vec<Date>,
    #[serde(skip)]
    per_day: BTreeMap<(Date, usize), u64>,
}

/// Sums over a period.
#[derive(Default, Serialize)]
struct Totals {
    deliveries: u64,
    failed: u64,
    refused: u64,
    persons: u64,
    /// Different fields that stayed, of anybody.
    withheld_fields: usize,
}

/// What waits for somebody.
#[derive(Default, Serialize)]
struct Waits {
    holds: usize,
    approvals: usize,
    drift: usize,
    ending: Vec<Ending>,
    notices: usize,
    unreviewed: usize,
}

#[derive(Serialize)]
struct Ending {
    agreement: String,
    recipient: String,
    until: Date,
}

/// What a supplier got of what there was.
#[derive(Serialize)]
struct Supplier {
    id: Option<String>,
    name: String,
    released: usize,
    present: usize,
}

impl Totals {
    fn of(sums: &BTreeMap<Key, Sum>) -> Self {
        let mut totals = Self::default();
        let mut stayed = BTreeSet::new();
        for sum in sums.values() {
            totals.deliveries += sum.deliveries();
            totals.failed += sum.failed;
            totals.refused += sum.refused;
            for fields in [Fields::Leerling, Fields::Leerkracht, Fields::Results] {
                let Some(about) = sum.about(fields) else { continue };
                totals.persons += about.rows;
                stayed.extend(fields.fields(about.withheld).map(|field| field.id.index()));
            }
        }
        totals.withheld_fields = stayed.len();
        totals
    }
}

/// Looks everything up.
pub(super) fn overview(view: &View<'_>) -> Result<Overview, Wrong> {
    view.demand(Permission::Read)?;
    let schools = view.scope(&Pairs::default())?;
    let today = view.today();
    let over = |days| Filter { schools: schools.clone(), days: Some(days), ..Filter::default() };
    let day = view.index.sums(&over(today..=today), By::Whole)?;
    let month = view.index.sums(&over(today.first_of_month()..=today), By::Whole)?;
    let from = today.saturating_sub(Span::new().days(CHART_DAYS - 1));
    let last = over(from..=today);
    let mut suppliers = Vec::new();
    let mut places = BTreeMap::new();
    for (key, sum) in view.index.sums(&last, By::Recipient)? {
        let Some(code) = key.recipient else { continue };
        if sum.deliveries() == 0 {
            continue;
        }
        let party = view.party(&code);
        let (released, present) = share(&sum);
        places.insert(code, suppliers.len());
        suppliers.push(Supplier { id: party.id.clone(), name: party.shown().to_owned(), released, present });
    }
    let mut per_day = BTreeMap::new();
    for (key, sum) in view.index.sums(&last, By::RecipientDay)? {
        if let (Some(day), Some(code)) = (key.day, key.recipient)
            && let Some(&place) = places.get(&code)
        {
            *per_day.entry((day, place)).or_default() += sum.deliveries();
        }
    }
    let days = (0..CHART_DAYS).map(|after| from.saturating_add(Span::new().days(after))).collect();
    Ok(Overview {
        today: Totals::of(&day),
        month: Totals::of(&month),
        waits: waits(view)?,
        log: view.integrity.state(view)?,
        suppliers,
        days,
        per_day,
    })
}

/// How many fields left, of those there were.
fn share(sum: &Sum) -> (usize, usize) {
    let mut found = (BTreeSet::new(), BTreeSet::new());
    for fields in [Fields::Leerling, Fields::Leerkracht] {
        let Some(about) = sum.about(fields) else { continue };
        found.0.extend(fields.fields(about.released).map(|field| field.id.index()));
        found.1.extend(fields.fields(about.released | about.withheld).map(|field| field.id.index()));
    }
    (found.0.len(), found.1.len())
}

fn waits(view: &View<'_>) -> Result<Waits, Wrong> {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let recent = view.desk.clock.now_ms().saturating_sub(30 * DAY_MS);
    let mut waits = Waits::default();
    for school in view.schools() {
        let standing = view.standing(&school.brin)?;
        waits.holds += standing.holds().iter().filter(|hold| hold.decision == Decision::Open).count();
        waits.approvals += waiting(view, &standing, school).len();
        waits.drift += standing.drift().iter().filter(|drift| drift.at_ms >= recent).count();
        let undone = |state: &NoticeState| !matches!(state, NoticeState::Acknowledged { .. });
        waits.notices += standing.notices().iter().filter(|notice| undone(&notice.state)).count();
    }
    waits.unreviewed = reviews::unreviewed(view)?;
    let last = view.today().saturating_add(Span::new().days(ENDING_DAYS));
    let ending = view.agreements().filter(|one| one.until >= view.today() && one.until <= last);
    waits.ending = ending
        .map(|one| Ending {
            agreement: one.id.clone(),
            recipient: view.supplier_name(&one.recipient).to_owned(),
            until: one.until,
        })
        .collect();
    waits.ending.sort_by_key(|ending| ending.until);
    Ok(waits)
}

/// The page.
pub(super) fn show(view: &View<'_>, overview: &Overview) -> Markup {
    let t = view.texts();
    html! {
        div.sluis-cards {
            (totals(view, t.today, &overview.today))
            (totals(view, t.this_month, &overview.month))
        }
        div.sluis-cards.sluis-cards--later {
            (attention(t, &overview.waits))
            (log(view, &overview.log))
        }
        section aria-labelledby="per-dag" {
            h2 #per-dag { (t.per_day) }
            @if overview.per_day.is_empty() { p { (t.no_deliveries) } }
            @else {
                @let names: Vec<String> = overview.suppliers.iter().map(|one| one.name.clone()).collect();
                (chart::stacks(t.per_day, &overview.days, &names, &overview.per_day))
                details {
                    summary { (t.as_table) }
                    (table(t.per_day, &[t.date, t.supplier, t.deliveries], overview.per_day.iter().rev().map(|((day, place), count)| vec![
                        html! { (day) },
                        html! { (names[*place]) },
                        html! { (number(*count, view.visitor.language())) },
                    ])))
                }
            }
        }
        section aria-labelledby="per-leverancier" {
            h2 #per-leverancier { (t.per_supplier) }
            @if overview.suppliers.is_empty() { p { (t.no_deliveries) } }
            @else {
                p.sluis-hint { (t.fields_hint) }
                ul.sluis-shares {
                    @for one in &overview.suppliers {
                        @let text = fill(t.fields_of, &[&one.released, &one.present]);
                        li.sluis-share {
                            @if let Some(id) = &one.id { a href={ "/leveranciers/" (id) } { (one.name) } }
                            @else { span { (one.name) } }
                            div { (chart::share(one.released, one.present, &text)) p { (text) } }
                        }
                    }
                }
            }
        }
    }
}

fn totals(view: &View<'_>, heading: &str, totals: &Totals) -> Markup {
    let t = view.texts();
    let shown = |count: u64| number(count, view.visitor.language());
    html! {
        section.sluis-card {
            h2 { (heading) }
            dl.sluis-figures {
                (figure(&shown(totals.deliveries), t.deliveries, None))
                (figure(&shown(totals.persons), t.persons_in, Some(t.persons_hint)))
                (figure(&shown(totals.withheld_fields as u64), t.withheld_fields, None))
                (figure(&shown(totals.refused), t.refusals, None))
                (figure(&shown(totals.failed), t.failed, None))
            }
        }
    }
}

fn attention(t: &Texts, waits: &Waits) -> Markup {
    let points = [
        (waits.holds, t.open_holds, "/besluiten#vastgehouden"),
        (waits.approvals, t.open_approvals, "/besluiten#goedkeuren"),
        (waits.unreviewed, t.unreviewed, "/controle"),
        (waits.notices, t.open_notices, "/leveranciers"),
        (waits.drift, t.drift, "/besluiten#nieuw"),
        (waits.ending.len(), t.expiring, "/leveranciers"),
    ];
    let open = points.iter().any(|(count, ..)| *count > 0);
    html! {
        section class={ "sluis-card sluis-card--" (if open { "let-op" } else { "goed" }) } {
            h2 { (t.attention) }
            @if open {
                ul.sluis-todo {
                    @for (count, text, path) in points.iter().filter(|(count, ..)| *count > 0) {
                        li { a href=(path) { (text) } (badge("let-op", &count.to_string())) }
                    }
                }
                @if !waits.ending.is_empty() {
                    ul {
                        @for ending in &waits.ending {
                            li { (ending.recipient) " – " span.sluis-code { (ending.agreement) } ": " (ending.until) }
                        }
                    }
                }
            } @else { p { (t.nothing_open) } }
        }
    }
}

fn log(view: &View<'_>, state: &super::integrity::State) -> Markup {
    let t = view.texts();
    let shown = |count: u64| number(count, view.visitor.language());
    let (kind, word) = match &state.checked {
        _ if state.copy == Copy::Differs => ("fout", t.log_broken),
        Some(Checked { findings: 1.., .. }) => ("fout", t.log_broken),
        None => ("let-op", t.log_unverified),
        Some(_) if !matches!(state.copy, Copy::Same { .. }) => ("let-op", t.copy_attention),
        Some(_) => ("goed", t.log_intact),
    };
    let copy = match &state.copy {
        Copy::Ahead { size, at_ms } => fill(t.copy_ahead, &[&shown(*size), &local_minute(*at_ms)]),
        Copy::Behind { size, at_ms } => fill(t.copy_behind, &[&shown(*size), &local_minute(*at_ms)]),
        Copy::Differs => t.copy_differs.into(),
        Copy::Missing => t.copy_missing.into(),
        Copy::Same { at_ms } => fill(t.copy_same, &[&local_minute(*at_ms)]),
    };
    html! {
        section class={ "sluis-card sluis-card--" (kind) } {
            h2 { (t.integrity) }
            p { (badge(kind, word)) }
            @if state.running { p { (t.log_verifying) } }
            (facts(&[
                (t.last_verified, html! {
                    @if let Some(checked) = &state.checked {
                        (local_minute(checked.at_ms)) ". " (fill(t.verified_entries, &[&shown(checked.entries), &checked.findings]))
                    } @else { (t.log_unverified) }
                }),
                (t.copy_checkpoint, html! { (copy) }),
                (t.log_size, html! { (shown(state.size)) }),
                (t.log_root, html! { span.sluis-code { (state.root) } }),
            ]))
            @if !state.running {
                form method="post" action="/nagaan" {
                    (csrf(view.visitor))
                    button.sluis-button.sluis-button--second type="submit" { (t.verify_now) }
                }
            }
        }
    }
}
