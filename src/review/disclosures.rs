//! Deliveries and refusals: the list, and one of them with its proof.

use std::io;

use maud::{Markup, html};
use serde::Serialize;
use uuid::Uuid;

use super::{
    account::Permission,
    csv,
    http::{Answer, Pairs},
    page::{badge, day, facts, number, select, table},
    suppliers,
    texts::{Texts, fill},
    visitor::{View, Wrong, days},
};
use crate::{
    answers::{
        Fields, Party, Under,
        index::{Cursor, Entry, Filter, How},
    },
    catalogue::{Field, catalogue},
    clock::local_minute,
    disclosure::Position,
    policy::{
        Rulings,
        agreement::{Agreement, Basis, treated},
        rules::{Rule, Verdict},
    },
    report::words,
};

/// Rows of a page.
const ROWS: usize = 50;
/// Rows of an answer of the API, at most.
pub(super) const MOST_ROWS: usize = 500;
const BASES: [Basis; 6] = [
    Basis::Overeenkomst,
    Basis::WettelijkeVerplichting,
    Basis::AlgemeenBelang,
    Basis::GerechtvaardigdBelang,
    Basis::Toestemming,
    Basis::VitaalBelang,
];

/// A row of the list.
#[derive(Serialize)]
pub(super) struct Row {
    position: u64,
    start_ms: u64,
    end_ms: u64,
    school: String,
    dependance: Option<String>,
    recipient: Party,
    agreement: Under,
    results: bool,
    pub(super) outcome: &'static str,
    reason: Option<&'static str>,
    pupils: u32,
    staff: u32,
    released: Vec<&'static str>,
    withheld: Vec<&'static str>,
    transaction: Uuid,
    #[serde(skip)]
    how: How,
}

/// A part of the list.
#[derive(Serialize)]
pub(super) struct List {
    disclosures: Vec<Row>,
    newer: bool,
    older: bool,
}

pub(super) fn row(view: &View<'_>, entry: &Entry) -> Row {
    let school = String::from_utf8_lossy(&entry.brin()).into_owned();
    let place = String::from_utf8_lossy(&entry.controller[4..]).trim_end_matches('\0').to_owned();
    let (released, withheld) = names(entry);
    Row {
        position: entry.first.0,
        start_ms: entry.start_ms,
        end_ms: entry.end_ms,
        school,
        dependance: Some(place).filter(|place| !place.is_empty()),
        recipient: view.party(&entry.recipient),
        agreement: view.under(entry),
        results: entry.inbound,
        outcome: entry.how.as_str(),
        reason: entry.reason.map(|reason| reason.text()),
        pupils: entry.pupils,
        staff: entry.staff,
        released,
        withheld,
        transaction: Uuid::from_bytes(entry.transaction),
        how: entry.how,
    }
}

const KINDS: [Fields; 3] = [Fields::Leerling, Fields::Leerkracht, Fields::Results];

fn names(entry: &Entry) -> (Vec<&'static str>, Vec<&'static str>) {
    let mut names = (Vec::new(), Vec::new());
    for fields in KINDS {
        let (released, withheld) = entry.masks(fields);
        names.0.extend(fields.names(released));
        names.1.extend(fields.names(withheld));
    }
    names
}

/// The filter of a query.
pub(super) fn filter(view: &View<'_>, query: &Pairs) -> Result<Filter, Wrong> {
    let field =
        query.get("veld").map(|name| catalogue().find(name).map(|_| name.to_owned()).ok_or(Wrong::Bad));
    let how = query
        .get("afloop")
        .map(|word| How::ALL.into_iter().find(|how| how.as_str() == word).ok_or(Wrong::Bad));
    let basis = query
        .get("grondslag")
        .map(|word| BASES.into_iter().find(|basis| basis.as_str() == word).ok_or(Wrong::Bad));
    let recipient = query.get("leverancier").map(|id| suppliers::find(view, id).map(|one| one.id.clone()));
    let of_basis = |basis: Basis| {
        view.agreements().filter(|one| one.basis == basis).map(|one| one.id.clone()).collect::<Vec<_>>()
    };
    Ok(Filter {
        schools: view.scope(query)?,
        days: days(query, view.today(), 31)?,
        recipient: recipient.transpose()?,
        field: field.transpose()?,
        how: how.transpose()?,
        agreements: basis.transpose()?.map(of_basis),
    })
}

fn cursor(query: &Pairs) -> Result<Cursor, Wrong> {
    let position = |name: &str| query.get(name).map(str::parse::<u64>).transpose().map_err(|_| Wrong::Bad);
    Ok(match (position("voor")?, position("na")?) {
        (Some(before), None) => Cursor::Before(Position(before)),
        (None, Some(after)) => Cursor::After(Position(after)),
        (None, None) => Cursor::Newest,
        (Some(_), Some(_)) => return Err(Wrong::Bad),
    })
}

/// A part of the list that a query asks for.
pub(super) fn list(view: &View<'_>, query: &Pairs) -> Result<List, Wrong> {
    view.demand(Permission::Read)?;
    let rows = query.get("aantal").map(str::parse::<usize>).transpose().map_err(|_| Wrong::Bad)?;
    let rows = rows.unwrap_or(ROWS);
    if !(1..=MOST_ROWS).contains(&rows) {
        return Err(Wrong::Bad);
    }
    let found = view.index.page(&filter(view, query)?, cursor(query)?, rows)?;
    Ok(List {
        disclosures: found.entries.iter().map(|entry| row(view, entry)).collect(),
        newer: found.newer,
        older: found.older,
    })
}

/// How it ended, as a word with a colour.
pub(super) fn outcome(t: &Texts, how: How) -> Markup {
    match how {
        How::Failed => badge("let-op", t.broken_off),
        How::Open => badge("stil", t.still_open),
        How::Refused => badge("fout", t.refused_short),
        How::Sent => badge("goed", t.sent),
        How::Unknown => badge("let-op", t.outcome_unknown),
    }
}

fn outcome_text(t: &Texts, how: How) -> &'static str {
    match how {
        How::Failed => t.broken_off,
        How::Open => t.still_open,
        How::Refused => t.refused_short,
        How::Sent => t.sent,
        How::Unknown => t.outcome_unknown,
    }
}

/// A delivery in one line.
pub(super) fn summary(view: &View<'_>, row: &Row) -> Markup {
    let t = view.texts();
    html! {
        (outcome(t, row.how))
        @if let Some(reason) = row.reason { " " span lang="nl" { (reason) } "." }
        " " (words::under(&row.agreement)) ". " (t.persons) ": " (u64::from(row.pupils) + u64::from(row.staff)) ". "
        @if row.how != How::Refused {
            (t.released) ": " span lang="nl" { (words::or_none(row.released.iter().map(|name| words::field_left(name)))) } "."
        }
    }
}

/// Fields that can be asked for: those of persons.
fn fields() -> impl Iterator<Item = &'static Field> {
    catalogue().fields().iter().filter(|field| field.bit.is_some())
}

/// The list as a page.
pub(super) fn show(view: &View<'_>, query: &Pairs, list: &List) -> Result<Markup, Wrong> {
    let t = view.texts();
    let schools = view.schools();
    let schools = schools.iter().map(|school| (school.brin.as_str(), school.name.as_str()));
    let own = suppliers::own(view)?;
    let suppliers = own.iter().map(|one| (one.id.as_str(), one.name.as_str()));
    let outcomes = How::ALL.into_iter().map(|how| (how.as_str(), outcome_text(t, how)));
    let bases = BASES.into_iter().map(|basis| (basis.as_str(), words::basis(basis)));
    let period = days(query, view.today(), 31)?;
    let (from, until) = (period.start().to_string(), period.end().to_string());
    let any = |text| std::iter::once(("", text));
    let first = list.disclosures.first().map(|row| row.position.to_string());
    let last = list.disclosures.last().map(|row| row.position.to_string());
    let link = |name: &str, value: Option<&str>| {
        format!("/verstrekkingen?{}", query.with(&[("voor", None), ("na", None), (name, value)]))
    };
    Ok(html! {
        form.sluis-filter method="get" action="/verstrekkingen" data-filter aria-label=(t.filter) {
            (day("van", t.from, Some(&from)))
            (day("tot", t.until, Some(&until)))
            (select("school", t.school, any(t.all).chain(schools), query.get("school")))
            (select("leverancier", t.supplier, any(t.all).chain(suppliers), query.get("leverancier")))
            (select("veld", t.field, any(t.all).chain(fields().map(|field| (field.name.as_str(), field.label.as_str()))), query.get("veld")))
            (select("afloop", t.outcome, any(t.all).chain(outcomes), query.get("afloop")))
            (select("grondslag", t.basis, any(t.all).chain(bases), query.get("grondslag")))
            button.sluis-button type="submit" { (t.show) }
        }
        @if list.disclosures.is_empty() { p { (t.nothing_found) } }
        @else {
            (table(t.disclosures, &[t.when, t.supplier, t.school, t.outcome, t.persons, t.released, t.withheld, t.agreement], list.disclosures.iter().map(|row| vec![
                html! { a href={ "/verstrekkingen/" (row.position) } { (local_minute(row.start_ms)) } },
                html! { (row.recipient.shown()) @if row.results { " (" (t.results_in) ")" } },
                html! { (row.school) @if let Some(place) = &row.dependance { " " (place) } },
                html! { (outcome(t, row.how)) },
                html! { (number(u64::from(row.pupils) + u64::from(row.staff), view.visitor.language())) },
                html! { (row.released.len()) },
                html! { (row.withheld.len()) },
                html! { (words::under(&row.agreement)) },
            ])))
        }
        nav.sluis-pages aria-label=(t.pages) {
            @if list.newer && first.is_some() { a.sluis-button.sluis-button--second rel="prev" href=(link("na", first.as_deref())) { "← " (t.newer) } } @else { span {} }
            @if list.older && last.is_some() { a.sluis-button.sluis-button--second rel="next" href=(link("voor", last.as_deref())) { (t.older) " →" } }
        }
        p.sluis-actions {
            a.sluis-button.sluis-button--second href={ "/verstrekkingen.csv?" (query.with(&[("voor", None), ("na", None)])) } { (t.download_csv) }
        }
    })
}

/// A field that left or stayed, with the line that decided.
#[derive(Serialize)]
pub(super) struct FieldLine {
    field: &'static str,
    #[serde(skip)]
    label: String,
    treatment: Option<&'static str>,
    line: Option<usize>,
}

/// A verdict.
#[derive(Serialize)]
struct Judged {
    rule: &'static str,
    verdict: &'static str,
    #[serde(skip)]
    found: Verdict,
}

/// One delivery or refusal.
#[derive(Serialize)]
pub(super) struct One {
    #[serde(flatten)]
    pub(super) row: Row,
    chunks: u32,
    bytes: u64,
    purpose: Option<String>,
    basis: Option<Basis>,
    verdicts: Vec<Judged>,
    released_lines: Vec<FieldLine>,
    withheld_lines: Vec<FieldLine>,
    /// The first leaf in the form of C2SP tlog-proof; none while it is not published.
    proof: Option<String>,
}

/// The one that begins with a leaf.
pub(super) fn one(view: &View<'_>, position: &str) -> Result<One, Wrong> {
    view.demand(Permission::Read)?;
    let position = position.parse().map_err(|_| Wrong::NotFound)?;
    let entry = view.index.one(Position(position))?.ok_or(Wrong::NotFound)?;
    let brin = String::from_utf8_lossy(&entry.brin()).into_owned();
    if !view.visitor.sees(&brin) {
        return Err(Wrong::NotFound);
    }
    let row = row(view, &entry);
    let agreement = view.agreement(&row.agreement);
    let rulings = agreement.map(Rulings::compile);
    let lines = |mask: fn((u64, u64)) -> u64| {
        let all = KINDS.into_iter().flat_map(|fields| fields.fields(mask(entry.masks(fields))));
        all.map(|field| line(field, agreement, rulings.as_ref())).collect()
    };
    let judged = |rule: Rule| {
        let found = entry.verdicts.of(rule);
        let verdict = match found {
            Verdict::Broken => "broken",
            Verdict::Kept => "kept",
            Verdict::Unjudged => "unjudged",
        };
        Judged { rule: rule.as_str(), verdict, found }
    };
    Ok(One {
        chunks: entry.chunks,
        bytes: entry.bytes,
        purpose: agreement.map(|one| words::purpose_name(&one.purpose).to_owned()),
        basis: agreement.map(|one| one.basis),
        verdicts: Rule::ALL.into_iter().map(judged).collect(),
        released_lines: lines(|masks| masks.0),
        withheld_lines: lines(|masks| masks.1),
        proof: proof(view, entry.first)?,
        row,
    })
}

fn line(field: &'static Field, agreement: Option<&Agreement>, rulings: Option<&Rulings>) -> FieldLine {
    let release = agreement.and_then(|one| one.release.get(&field.name));
    FieldLine {
        field: &field.name,
        label: words::as_left(&field.label, Some(field)),
        treatment: release.map(|release| treated(release.treatment)),
        line: rulings.and_then(|rulings| rulings.line(field.id)),
    }
}

fn proof(view: &View<'_>, position: Position) -> Result<Option<String>, Wrong> {
    let reader = view.reader()?;
    if position.0 >= reader.published() {
        return Ok(None);
    }
    let proofs = reader.prove([position])?;
    Ok(proofs.first().map(|(_, proof)| proof.to_string()))
}

/// One of them as a page.
pub(super) fn show_one(view: &View<'_>, one: &One) -> (String, Markup) {
    let t = view.texts();
    let row = &one.row;
    let refused = row.how == How::Refused;
    let title = fill(if refused { t.refusal } else { t.disclosure }, &[&row.position]);
    let count = |number: u32, what: &str| {
        format!("{} {what}", super::page::number(number.into(), view.visitor.language()))
    };
    let listed = |lines: &[FieldLine], with_line: bool| {
        html! {
            @if lines.is_empty() { (t.none) }
            @else {
                ul lang="nl" {
                    @for own in lines {
                        li {
                            (own.label)
                            @if with_line {
                                @if let Some(treatment) = own.treatment { ": " (treatment) }
                                span.sluis-hint lang=(view.visitor.language().code()) {
                                    " (" @if let Some(line) = own.line { (fill(t.line, &[&line])) } @else { (t.no_line) } ")"
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    let main = html! {
        section aria-labelledby="kern" {
            h2 #kern { (t.what) }
            (facts(&[
                (t.outcome, html! { (outcome(t, row.how)) @if let Some(reason) = row.reason { " " span lang="nl" { (reason) } } }),
                (t.who, html! {
                    @if let Some(id) = &row.recipient.id { a href={ "/leveranciers/" (id) } { (row.recipient.shown()) } }
                    @else { (row.recipient.shown()) }
                    @if row.results { " (" (t.results_in) ")" }
                }),
                (t.school, html! { (row.school) @if let Some(place) = &row.dependance { " " (place) } }),
                (t.started, html! { (local_minute(row.start_ms)) }),
                (t.ended, html! { (local_minute(row.end_ms)) }),
                (t.persons, html! { (count(row.pupils, t.pupils)) ", " (count(row.staff, t.staff)) }),
                (t.bytes, html! { (number(one.bytes, view.visitor.language())) " bytes" }),
                (t.transaction, html! { span.sluis-code { (row.transaction) } }),
            ]))
        }
        section aria-labelledby="waarom" {
            h2 #waarom { (t.why) }
            (facts(&[
                (t.agreement, html! {
                    span.sluis-code { (words::under(&row.agreement)) }
                    @if !row.agreement.on_file { ". " (t.agreement_gone) }
                }),
                (t.purpose, html! { span lang="nl" { (one.purpose.as_deref().unwrap_or(t.unknown)) } }),
                (t.basis, html! { span lang="nl" { (one.basis.map_or(t.unknown, words::basis)) } }),
            ]))
            @if !refused {
                p.sluis-hint { (t.masks_hint) }
                (facts(&[
                    (t.released, listed(&one.released_lines, true)),
                    (t.withheld, listed(&one.withheld_lines, false)),
                ]))
            }
        }
        section aria-labelledby="regels" {
            h2 #regels { (t.five_rules) }
            (table(t.five_rules, &[t.rule, t.verdict], one.verdicts.iter().map(|own| vec![
                html! { span lang="nl" { (own.rule) } },
                match own.found {
                    Verdict::Broken => badge("fout", t.broken),
                    Verdict::Kept => badge("goed", t.kept),
                    Verdict::Unjudged => badge("stil", t.unjudged),
                },
            ])))
        }
        section aria-labelledby="bewijs" {
            h2 #bewijs { (t.proof) }
            @if let Some(proof) = &one.proof {
                p { (t.proof_hint) }
                details { summary { (t.proof) } pre tabindex="0" { (proof) } }
                p.sluis-actions {
                    a.sluis-button.sluis-button--second href={ "/verstrekkingen/" (row.position) "/bewijs" } { (t.proof_download) }
                }
            } @else { p { (t.proof_pending) } }
        }
    };
    (title, main)
}

/// Its proof, as a file.
pub(super) fn proof_file(one: One) -> Result<Answer, Wrong> {
    let name = format!("{}.tlog-proof", one.row.position);
    let proof = one.proof.ok_or(Wrong::NotFound)?;
    Ok(Answer::file("text/plain; charset=utf-8", &name, proof.into_bytes()))
}

/// The whole list, as CSV.
pub(super) fn write_csv(view: &View<'_>, filter: &Filter, out: &mut dyn io::Write) -> io::Result<()> {
    csv::begin(out)?;
    csv::row(
        out,
        &[
            "logregel",
            "begonnen",
            "geeindigd",
            "school",
            "vestiging",
            "leverancier",
            "naam",
            "afloop",
            "reden",
            "leerlingen",
            "leerkrachten",
            "overeenkomst",
            "versie",
            "verstrekt",
            "achtergehouden",
            "transactie",
        ],
    )?;
    view.index.list(filter, &mut |entry| {
        let row = row(view, entry);
        csv::row(
            out,
            &[
                &row.position.to_string(),
                &local_minute(row.start_ms),
                &local_minute(row.end_ms),
                &row.school,
                row.dependance.as_deref().unwrap_or_default(),
                row.recipient.id.as_deref().unwrap_or_default(),
                row.recipient.shown(),
                row.outcome,
                row.reason.unwrap_or_default(),
                &row.pupils.to_string(),
                &row.staff.to_string(),
                row.agreement.id.as_deref().unwrap_or_default(),
                &row.agreement.version.to_string(),
                &row.released.join(" "),
                &row.withheld.join(" "),
                &row.transaction.to_string(),
            ],
        )
    })
}
