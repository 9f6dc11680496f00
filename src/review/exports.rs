//! What can be taken along: each table as CSV, and the reports that schools publish as PDF. That a table is taken along is
//! on record first; what follows from agreements alone reads no log.
//!
//! Deliveries ([`disclosures`](super::disclosures)) and what is about persons ([`breach`](super::breach)) are exported where
//! they are shown.

use super::{
    account::Permission,
    csv,
    decisions::hold_words,
    http::{Answer, Pairs},
    reviews, suppliers,
    visitor::{View, Wrong},
};
use crate::{
    answers::Reading,
    clock::local_minute,
    register::Register,
    report::{self, Head, agreed, words},
    standing::Decision,
};

/// A table: its heads, then its rows.
type Rows = Vec<Vec<String>>;

/// A table of the app, by the name of its file.
pub(super) fn table(
    view: &View<'_>,
    name: &'static str,
    id: Option<&str>,
    query: &Pairs,
) -> Result<Answer, Wrong> {
    view.demand(Permission::Export)?;
    let rows = match (name, id) {
        ("besluiten.csv", _) => holds(view)?,
        ("controle.csv", _) => months(view, query)?,
        ("leveranciers.csv", _) => listed(view)?,
        ("nieuw.csv", _) => drift(view)?,
        ("meldingen.csv", Some(id)) => suppliers::look_up(view, id, query)?.notice_rows(),
        ("omvang.csv", Some(id)) => suppliers::look_up(view, id, query)?.month_rows(),
        _ => return Err(Wrong::NotFound),
    };
    view.read(Reading::Export, query.get("school"), id, 0)?;
    let write = move |out: &mut dyn std::io::Write| {
        csv::begin(out)?;
        for row in &rows {
            csv::row(out, &row.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        Ok(())
    };
    Ok(Answer::download(csv::KIND, name, Box::new(write)))
}

pub(super) fn heads(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn listed(view: &View<'_>) -> Result<Rows, Wrong> {
    let mut rows = vec![heads(&["id", "naam", "producten", "verstrekkingen", "geweigerd", "laatste"])];
    rows.extend(suppliers::listed(view)?.iter().map(suppliers::Listed::row));
    Ok(rows)
}

fn months(view: &View<'_>, query: &Pairs) -> Result<Rows, Wrong> {
    let mut rows = vec![heads(&[
        "maand",
        "school",
        "verstrekkingen",
        "gecontroleerd_door",
        "op",
        "steekproef",
        "bevindingen",
        "conclusie",
    ])];
    for month in reviews::months(view, query)? {
        rows.extend(month.rows());
    }
    Ok(rows)
}

fn holds(view: &View<'_>) -> Result<Rows, Wrong> {
    let t = view.texts();
    let mut rows = vec![heads(&[
        "vastgehouden_op",
        "school",
        "vestiging",
        "leverancier",
        "verschil",
        "besluit",
        "door",
        "reden",
    ])];
    for school in view.schools() {
        for hold in view.standing(&school.brin)?.holds() {
            let (decision, because) = match &hold.decision {
                Decision::Approved(because) => ("goedgekeurd", Some(because)),
                Decision::Open => ("open", None),
                Decision::Rejected(because) => ("afgewezen", Some(because)),
            };
            rows.push(vec![
                local_minute(hold.at_ms),
                school.brin.clone(),
                hold.dependance.clone().unwrap_or_default(),
                hold.recipient.clone(),
                hold_words(t, &hold.difference),
                decision.into(),
                because.map(|because| because.by.clone()).unwrap_or_default(),
                because.map(|because| because.reason.clone()).unwrap_or_default(),
            ]);
        }
    }
    Ok(rows)
}

fn drift(view: &View<'_>) -> Result<Rows, Wrong> {
    let mut rows = vec![heads(&["onderdeel", "veld", "bestand", "school", "op"])];
    for school in view.schools() {
        for drift in view.standing(&school.brin)?.drift() {
            rows.push(vec![
                words::field_left(&drift.part),
                drift.part.clone(),
                drift.feed.clone(),
                school.brin.clone(),
                local_minute(drift.at_ms),
            ]);
        }
    }
    Ok(rows)
}

/// What a school publishes, as a document: it follows from the agreements.
pub(super) fn published(view: &View<'_>, brin: &str, name: &str) -> Result<Answer, Wrong> {
    view.demand(Permission::Read)?;
    let school = view.school(brin)?;
    let register = Register::of(view.config, &view.desk.ledger, school, view.today())?;
    let part = match name {
        "ontvangers.pdf" => agreed::recipients(&register),
        "privacyverklaring.pdf" => agreed::statement(&register),
        "verwerkingsregister.pdf" => agreed::register(&register, view.config),
        _ => return Err(Wrong::NotFound),
    };
    let head = Head { reference: None, days: None, made: view.today() };
    Answer::pdf(name, report::pdf(&head, &part))
}
