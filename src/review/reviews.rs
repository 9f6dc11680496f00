//! The monthly review: a sample that nobody chooses, a mark on each of it, and an attestation in the log.
//!
//! The seed is the root of the tree over every leaf that was recorded before the month ended. A month has one such root,
//! and it is there as soon as the month is over: nobody can draw again until a sample pleases.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Span, civil::Date};
use maud::{Markup, html};
use serde::Serialize;
use uuid::Uuid;

use super::{
    account::Permission,
    disclosures::{self, Row},
    http::Pairs,
    page::{alert, badge, csrf, table},
    texts::fill,
    visitor::{View, Wrong},
};
use crate::{
    answers::{
        Reading,
        index::{By, Ending, Entry, Filter},
    },
    clock::{day_start_ms, local_minute},
    config::School,
    control::Request,
    disclosure::rollup::Month,
    standing::{Attestation, Mark, MonthReview, Reviewed, Seed},
};

/// Deliveries of a sample.
const SAMPLE: usize = 20;
/// Months that are shown, this one included.
const MONTHS: i32 = 13;

/// How a month of a school stands.
#[derive(Serialize)]
pub(super) struct MonthState {
    school: String,
    month: String,
    deliveries: u64,
    reviews: Vec<ReviewedBy>,
    /// Whether it is over, so that it can be reviewed.
    over: bool,
}

/// A review that was attested.
#[derive(Serialize)]
struct ReviewedBy {
    name: Option<String>,
    at_ms: u64,
    sample: usize,
    findings: usize,
    overall: Mark,
    conclusion: String,
    reference: Uuid,
}

impl MonthState {
    /// As rows of a table: one for each review, or one without.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let row = |review: Option<&ReviewedBy>| {
            let mut row = vec![self.month.clone(), self.school.clone(), self.deliveries.to_string()];
            row.extend(match review {
                Some(one) => [
                    one.name.clone().unwrap_or_default(),
                    local_minute(one.at_ms),
                    one.sample.to_string(),
                    one.findings.to_string(),
                    one.conclusion.clone(),
                ],
                None => Default::default(),
            });
            row
        };
        if self.reviews.is_empty() {
            return vec![row(None)];
        }
        self.reviews.iter().map(|one| row(Some(one))).collect()
    }
}

fn first_shown(today: Date) -> Date {
    today.first_of_month().saturating_sub(Span::new().months(MONTHS - 1))
}

/// Deliveries by school and month.
fn deliveries(
    view: &View<'_>,
    schools: Option<BTreeSet<[u8; 4]>>,
) -> Result<BTreeMap<([u8; 4], Date), u64>, Wrong> {
    let today = view.today();
    let filter = Filter { schools, days: Some(first_shown(today)..=today), ..Filter::default() };
    let sums = view.index.sums(&filter, By::SchoolMonth)?;
    let counted = sums.iter().filter_map(|(key, sum)| {
        let all = sum.deliveries() + sum.refused;
        Some(((key.school?, key.day?), all))
    });
    Ok(counted.collect())
}

/// Months that are over, in which something was disclosed and that nobody has reviewed.
pub(super) fn unreviewed(view: &View<'_>) -> Result<usize, Wrong> {
    let this = view.today().first_of_month();
    let mut count = 0;
    let mut known: Option<([u8; 4], Vec<Month>)> = None;
    for ((brin, month), _) in deliveries(view, view.scope(&Pairs::default())?)? {
        let name = String::from_utf8_lossy(&brin).into_owned();
        if month >= this || view.school(&name).is_err() {
            continue;
        }
        if known.as_ref().is_none_or(|(own, _)| *own != brin) {
            let standing = view.standing(&name)?;
            known = Some((brin, standing.reviews().iter().map(|one| one.review.month).collect()));
        }
        count += usize::from(known.as_ref().is_some_and(|(_, done)| !done.contains(&Month::of(month))));
    }
    Ok(count)
}

/// Months of the visitor's schools, newest first.
pub(super) fn months(view: &View<'_>, query: &Pairs) -> Result<Vec<MonthState>, Wrong> {
    view.demand(Permission::Read)?;
    let counts = deliveries(view, view.scope(query)?)?;
    let names = view.names();
    let this = view.today().first_of_month();
    let mut all = Vec::new();
    for school in view.schools() {
        if query.get("school").is_some_and(|brin| brin != school.brin) {
            continue;
        }
        let Some(code) = school.brin.as_bytes().first_chunk().copied() else { continue };
        let standing = view.standing(&school.brin)?;
        for back in 0..MONTHS {
            let month = this.saturating_sub(Span::new().months(back));
            let count = counts.get(&(code, month)).copied().unwrap_or(0);
            let done: Vec<_> = standing
                .reviews()
                .iter()
                .filter(|one| one.review.month == Month::of(month))
                .map(|one| reviewed_by(one, &names))
                .collect();
            if count > 0 || !done.is_empty() {
                all.push(MonthState {
                    school: school.brin.clone(),
                    month: Month::of(month).to_string(),
                    deliveries: count,
                    reviews: done,
                    over: month < this,
                });
            }
        }
    }
    all.sort_by(|one, other| (&other.month, &one.school).cmp(&(&one.month, &other.school)));
    Ok(all)
}

fn reviewed_by(one: &Attestation, names: &super::visitor::Names) -> ReviewedBy {
    ReviewedBy {
        name: names.of(one.account),
        at_ms: one.at_ms,
        sample: one.review.sample.len(),
        findings: one.review.findings(),
        overall: one.review.overall,
        conclusion: one.review.conclusion.clone(),
        reference: one.reference,
    }
}

/// The list as a page.
pub(super) fn show(view: &View<'_>, months: &[MonthState]) -> Markup {
    let t = view.texts();
    let name = |brin: &str| view.config.school(brin).map_or(brin.to_owned(), |school| school.name.clone());
    let state = |month: &MonthState| {
        html! {
            @if month.reviews.is_empty() {
                @if month.over { (badge("let-op", t.not_reviewed)) } @else { (badge("stil", t.month_running)) }
            }
            @for one in &month.reviews {
                p {
                    (badge(if one.overall == Mark::InOrde { "goed" } else { "fout" }, if one.overall == Mark::InOrde { t.in_order } else { t.finding }))
                    " " (one.name.as_deref().unwrap_or(t.unknown)) ", " (local_minute(one.at_ms)) "; "
                    (t.findings) ": " (one.findings) " / " (one.sample)
                    @if !one.conclusion.is_empty() { ". " (one.conclusion) }
                }
            }
        }
    };
    html! {
        p.sluis-lead { (t.review_intro) }
        @if months.is_empty() { p { (t.no_deliveries) } }
        @else {
            (table(t.review, &[t.month, t.school, t.deliveries, t.status], months.iter().map(|month| vec![
                html! {
                    @if month.over { a href={ "/controle/" (month.school) "/" (month.month) } { (month.month) } }
                    @else { (month.month) }
                },
                html! { (name(&month.school)) },
                html! { (month.deliveries) },
                state(month),
            ])))
            @if view.visitor.may(Permission::Export) {
                p.sluis-actions { a.sluis-button.sluis-button--second href="/controle.csv" { (t.download_csv) } }
            }
        }
    }
}

/// What is to be judged of a month.
#[derive(Serialize)]
pub(super) struct Sample {
    school: String,
    month: String,
    deliveries: u64,
    size: u64,
    root: String,
    sample: Vec<Row>,
    #[serde(skip)]
    entries: Vec<Entry>,
    #[serde(skip)]
    seed: Seed,
    #[serde(skip)]
    of: Month,
}

/// Draws the sample of a month that is over.
pub(super) fn sample(view: &View<'_>, brin: &str, month: &str) -> Result<Sample, Wrong> {
    view.demand(Permission::Read)?;
    let school = view.school(brin)?;
    let first: Date = format!("{month}-01").parse().map_err(|_| Wrong::NotFound)?;
    let this = view.today().first_of_month();
    if month.len() != 7 || first >= this || first < first_shown(view.today()) {
        return Err(Wrong::NotFound);
    }
    let last = first.last_of_month();
    let end = last.tomorrow().map_err(|_| Wrong::NotFound)?;
    let reader = view.reader()?;
    let size = reader.size_before(day_start_ms(end))?;
    let root = reader.root_at(size)?;
    let code = school.brin.as_bytes().try_into().map_err(|_| Wrong::NotFound)?;
    let filter = Filter { days: Some(first..=last), ..Filter::of_school(code) };
    let entries = view.index.sample(&filter, &root, SAMPLE)?;
    let deliveries = view.index.count(&filter)?;
    Ok(Sample {
        school: school.brin.clone(),
        month: month.to_owned(),
        deliveries,
        size,
        root: hex::encode(root),
        sample: entries.iter().map(|entry| disclosures::row(view, entry)).collect(),
        entries,
        seed: Seed { root, size },
        of: Month::of(first),
    })
}

/// The form to judge it with.
pub(super) fn show_sample(
    view: &View<'_>,
    sample: &Sample,
    said: Option<(&'static str, String)>,
) -> Result<Markup, Wrong> {
    let t = view.texts();
    let school: &School = view.school(&sample.school)?;
    let standing = view.standing(&school.brin)?;
    let names = view.names();
    let done: Vec<ReviewedBy> = standing
        .reviews()
        .iter()
        .filter(|one| one.review.month == sample.of)
        .map(|one| reviewed_by(one, &names))
        .collect();
    let may = view.visitor.may(Permission::Attest) && done.is_empty();
    let path = format!("/controle/{}/{}", sample.school, sample.month);
    let count = sample.entries.len();
    Ok(html! {
        @if let Some((kind, said)) = &said { (alert(kind, said)) }
        @if !done.is_empty() {
            (alert("goed", t.already_reviewed))
            @for one in &done {
                p { (t.reviewed_by) ": " (one.name.as_deref().unwrap_or(t.unknown)) ", " (local_minute(one.at_ms)) ". "
                    (t.reference) ": " span.sluis-code { (one.reference) } }
            }
        }
        p { (school.name) ", " (sample.month) ". " (fill(t.sample_of, &[&count, &sample.deliveries])) "." }
        p.sluis-hint { (fill(t.seed, &[&sample.size])) ": " span.sluis-code { (sample.root) } }
        @if count == 0 { p { (t.nothing_to_review) } }
        form method="post" action=(path) data-progress=[may.then_some(t.progress)] {
            (csrf(view.visitor))
            input type="hidden" name="wortel" value=(sample.root);
            @if may && count > 0 { p { (t.remark_hint) } }
            @for (row, entry) in sample.sample.iter().zip(&sample.entries) {
                @let position = entry.first.0;
                @let title = if entry.ended == Ending::Refused { t.refusal } else { t.disclosure };
                article.sluis-card {
                    h2.sluis-card__title { (local_minute(entry.start_ms)) " – " (view.party(&entry.recipient).shown()) }
                    p { (disclosures::summary(view, row)) " " a href={ "/verstrekkingen/" (position) } { (fill(title, &[&position])) } }
                    @if may {
                        fieldset {
                            legend { (t.verdict) span.sluis-visually-hidden { " " (fill(title, &[&position])) } }
                            div.sluis-marks {
                                @for (value, text) in [("in-orde", t.in_order), ("bevinding", t.finding)] {
                                    @let id = format!("{value}-{position}");
                                    div.sluis-choice {
                                        input type="radio" id=(id) name={ "oordeel-" (position) } value=(value) required data-mark;
                                        label for=(id) { (text) }
                                    }
                                }
                            }
                        }
                        div.sluis-field.sluis-field--short {
                            label for={ "opmerking-" (position) } { (t.remark) }
                            input type="text" id={ "opmerking-" (position) } name={ "opmerking-" (position) } maxlength="500" autocomplete="off";
                        }
                    }
                }
            }
            @if may {
                div.sluis-field.sluis-field--short {
                    label for="conclusie" { (t.conclusion) }
                    textarea id="conclusie" name="conclusie" maxlength="2000" {}
                }
                p role="status" data-progress-shown {}
                button.sluis-button type="submit" { (t.attest) }
            }
        }
    })
}

/// Answers the form.
pub(super) fn attest(view: &View<'_>, brin: &str, month: &str, form: &Pairs) -> Result<Markup, Wrong> {
    view.demand(Permission::Attest)?;
    let t = view.texts();
    let sample = sample(view, brin, month)?;
    let marks = sample.entries.iter().filter_map(|entry| {
        let position = entry.first.0;
        let mark = match form.get(&format!("oordeel-{position}"))? {
            "bevinding" => Mark::Bevinding,
            "in-orde" => Mark::InOrde,
            _ => return None,
        };
        let remark = form.get(&format!("opmerking-{position}")).unwrap_or_default().to_owned();
        Some(Reviewed { mark, position, remark })
    });
    let marks = marks.collect();
    let root = form.get("wortel").unwrap_or_default();
    let said = match attest_to(view, &sample, root, marks, form.get("conclusie").unwrap_or_default()) {
        Ok(reference) => ("goed", fill(t.attested, &[&reference])),
        Err(Wrong::Refused(what)) => ("fout", fill(t.refused, &[&what])),
        Err(wrong) => return Err(wrong),
    };
    show_sample(view, &sample, Some(said))
}

/// Attests to a sample, judged whole, and gives the reference. The root is of what was shown: what is judged must be what
/// is attested to.
pub(super) fn attest_to(
    view: &View<'_>,
    sample: &Sample,
    root: &str,
    mut marks: Vec<Reviewed>,
    conclusion: &str,
) -> Result<Uuid, Wrong> {
    view.demand(Permission::Attest)?;
    let t = view.texts();
    if root != sample.root {
        return Err(Wrong::Stale);
    }
    if view.standing(&sample.school)?.reviews().iter().any(|one| one.review.month == sample.of) {
        return Err(Wrong::Refused(t.already_reviewed.into()));
    }
    marks.sort_by_key(|one| one.position);
    let mut drawn: Vec<u64> = sample.entries.iter().map(|entry| entry.first.0).collect();
    drawn.sort_unstable();
    if !marks.iter().map(|one| one.position).eq(drawn) {
        return Err(Wrong::Refused(fill(t.judge_all, &[&sample.entries.len()])));
    }
    let found = marks.iter().any(|one| one.mark == Mark::Bevinding);
    let review = MonthReview {
        checkpoint: sample.seed,
        conclusion: conclusion.trim().to_owned(),
        deliveries: sample.deliveries,
        month: sample.of,
        overall: if found { Mark::Bevinding } else { Mark::InOrde },
        sample: marks,
    };
    view.done(Request::Attest { brin: sample.school.clone(), review })
}

/// Puts on record that the sample of a month is looked at.
pub(super) fn looked(view: &View<'_>, brin: &str) -> Result<(), Wrong> {
    view.read(Reading::Review, Some(brin), None, 0).map(drop)
}
