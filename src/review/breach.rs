//! A breach at a supplier: whose data, which, since when.

use std::{io, ops::RangeInclusive, sync::Arc};

use jiff::civil::Date;
use maud::{Markup, html};
use zeroize::Zeroizing;

use super::{
    account::Permission,
    csv,
    http::{Answer, Pairs},
    kept::{Breach, Kept},
    page::{Room, alert, csrf, day, page, select},
    person, suppliers,
    visitor::{View, Wrong, days_or_all},
};
use crate::{
    answers::{self, Leak, Reading},
    clock::day_of,
    config::{Recipient, School},
    report::{self, Head, datalek::Told, lists},
};

/// The form.
pub(super) fn form(view: &View<'_>, said: Option<&str>) -> Result<Markup, Wrong> {
    view.demand(Permission::Person)?;
    let t = view.texts();
    let own = suppliers::own(view)?;
    let suppliers = own.iter().map(|one| (one.id.as_str(), one.name.as_str()));
    Ok(html! {
        @if let Some(said) = said { (alert("fout", said)) }
        p.sluis-lead { (t.breach_intro) }
        form.sluis-form method="post" action="/datalek" autocomplete="off" {
            (csrf(view.visitor))
            (select("leverancier", t.supplier, suppliers, None))
            (schools(view))
            (day("van", t.from, None))
            (day("tot", t.until, None))
            div.sluis-field {
                label for="pseudoniemen" { (t.pseudonyms) }
                textarea id="pseudoniemen" name="pseudoniemen" autocomplete="off" spellcheck="false" {}
            }
            (person::reasons(t))
            button.sluis-button type="submit" { (t.make_report) }
        }
    })
}

/// A choice of schools; all of them for whoever sees all.
fn schools(view: &View<'_>) -> Markup {
    let t = view.texts();
    let all = view.visitor.schools.is_empty().then_some(("", t.all_schools));
    let own = view.schools();
    let own = own.iter().map(|school| (school.brin.as_str(), school.name.as_str()));
    select("school", t.school, all.into_iter().chain(own), None)
}

/// What a breach is about.
pub(super) struct Question<'q> {
    pub(super) recipient: &'q str,
    /// None: all schools, for whoever sees all.
    pub(super) school: Option<&'q str>,
    pub(super) days: RangeInclusive<Date>,
    /// Pseudonyms that are out, one on a line; none: all that was sent.
    pub(super) pseudonyms: Option<&'q str>,
    pub(super) reason: &'q str,
}

fn question(form: &Pairs) -> Result<Question<'_>, Wrong> {
    Ok(Question {
        recipient: form.get("leverancier").ok_or(Wrong::Bad)?,
        school: form.get("school"),
        days: days_or_all(form)?,
        pseudonyms: form.get("pseudoniemen"),
        reason: form.get("reden").ok_or(Wrong::Bad)?,
    })
}

fn asked<'a>(
    view: &View<'a>,
    breach: &Breach,
) -> Result<(&'a Arc<Recipient>, Option<&'a Arc<School>>), Wrong> {
    let school = breach.brin.as_deref().map(|brin| view.school(brin)).transpose()?;
    Ok((view.config.recipient(&breach.recipient).ok_or(Wrong::NotFound)?, school))
}

/// Puts on record that a breach is asked about.
pub(super) fn begin(view: &View<'_>, question: &Question<'_>) -> Result<Breach, Wrong> {
    view.demand(Permission::Person)?;
    let recipient = suppliers::find(view, question.recipient)?;
    let school = question.school.map(|brin| view.school(brin)).transpose()?;
    if school.is_none() && !view.visitor.schools.is_empty() {
        return Err(Wrong::Bad);
    }
    let why = person::why(question.reason)?;
    let brin = school.map(|school| school.brin.clone());
    let reference = view.read(Reading::Leak, brin.as_deref(), Some(&recipient.id), why)?;
    let pseudonyms = question.pseudonyms.map(|text| Zeroizing::new(text.to_owned()));
    let days = question.days.clone();
    Ok(Breach { reference, recipient: recipient.id.clone(), brin, days, pseudonyms, why })
}

/// What is known of it.
pub(super) fn found<'a>(view: &View<'a>, breach: &Breach) -> Result<answers::Breach<'a>, Wrong> {
    let (recipient, school) = asked(view, breach)?;
    let given = breach.pseudonyms.as_ref().map(|given| given.lines());
    Ok(view.answers()?.breach(recipient, school.map(AsRef::as_ref), &breach.days, given)?)
}

/// With what was agreed.
pub(super) fn told<'a>(view: &'a View<'_>, found: &'a answers::Breach<'a>) -> Result<Told<'a>, Wrong> {
    Ok(Told::new(found, view.config, view.desk.ledger.as_ref(), view.today())?)
}

/// The report.
fn report_of(view: &View<'_>, breach: &Breach) -> Result<report::Part, Wrong> {
    Ok(told(view, &found(view, breach)?)?.report())
}

/// Who is affected, where pseudonyms were given.
pub(super) fn leak(view: &View<'_>, breach: &Breach) -> Result<Option<Leak>, Wrong> {
    let (recipient, school) = asked(view, breach)?;
    let Some(given) = &breach.pseudonyms else { return Ok(None) };
    Ok(Some(view.answers()?.leak(recipient, school.map(AsRef::as_ref), given.lines())?))
}

fn show(view: &View<'_>, breach: &Breach) -> Result<Markup, Wrong> {
    let t = view.texts();
    let part = report_of(view, breach)?;
    let leak = leak(view, breach)?;
    let button = |action: &'static str, text: &str| {
        html! {
            form method="post" action=(action) {
                (csrf(view.visitor))
                input type="hidden" name="kenmerk" value=(breach.reference);
                button.sluis-button.sluis-button--second type="submit" { (text) }
            }
        }
    };
    Ok(html! {
        div.sluis-actions {
            (button("/datalek/pdf", t.download_pdf))
            @if leak.is_some() { (button("/datalek/csv", t.affected_csv)) }
        }
        p.sluis-hint { (t.reference) ": " span.sluis-code { (breach.reference) } ". " (t.dutch_report) }
        section.sluis-report lang="nl" {
            h2 { (part.heading) }
            (report::fragment(&part, 3))
        }
        @if let Some(leak) = &leak {
            @let part = lists::leak(leak);
            section.sluis-report lang="nl" {
                h2 { (part.heading) }
                (report::fragment(&part, 3))
            }
        }
    })
}

/// Answers a form about a breach.
pub(super) fn post(view: &View<'_>, kept: &Kept, path: &str, form: &Pairs) -> Result<Answer, Wrong> {
    let t = view.texts();
    if path.is_empty() {
        let main = match question(form).and_then(|question| begin(view, &question)) {
            Ok(breach) => show(view, &kept.keep_breach(view.visitor, breach))?,
            Err(Wrong::Refused(what)) => self::form(view, Some(&what))?,
            Err(wrong) => return Err(wrong),
        };
        return Ok(Answer::html(page(view.visitor, Room::Breach, "/datalek", t.breach, &main)));
    }
    view.demand(Permission::Person)?;
    let Some(breach) = form.get("kenmerk").and_then(|id| kept.breach(view.visitor, id.parse().ok()?)) else {
        return Err(Wrong::Refused(t.subject_gone.into()));
    };
    let again = || view.read(Reading::Leak, breach.brin.as_deref(), Some(&breach.recipient), breach.why);
    match path {
        "csv" => {
            view.demand(Permission::Export)?;
            again()?;
            let leak = leak(view, &breach)?.ok_or(Wrong::NotFound)?;
            Ok(Answer::download(csv::KIND, "geraakt.csv", Box::new(move |out| affected(&leak, out))))
        }
        "pdf" => {
            let reference = again()?;
            let head =
                Head { reference: Some(reference), days: Some(breach.days.clone()), made: view.today() };
            Answer::pdf("datalek.pdf", report::pdf(&head, &report_of(view, &breach)?))
        }
        _ => Err(Wrong::NotFound),
    }
}

fn affected(leak: &Leak, out: &mut dyn io::Write) -> io::Result<()> {
    csv::row(
        out,
        &["school", "handle", "logsleutel", "soort", "sinds", "laatst", "verstrekkingen", "gegevens"],
    )?;
    for one in &leak.affected {
        let (epoch, deliveries) = (one.epoch.to_string(), one.deliveries.to_string());
        let (first, last) = (day_of(one.first_ms).to_string(), day_of(one.last_ms).to_string());
        let kind = if one.pupil { "leerling" } else { "leerkracht" };
        let fields = one.released.join(" ");
        csv::row(out, &[&one.school.brin, &one.handle, &epoch, kind, &first, &last, &deliveries, &fields])?;
    }
    Ok(())
}
