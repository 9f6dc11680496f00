//! One person: what was disclosed, what stands, and having it erased.
//!
//! The identifier comes as a form, becomes handles, and is forgotten. What a visitor does next with the answer is done
//! with those handles, which are kept in memory for some minutes under the reference of the reading.

use maud::{Markup, html};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    account::Permission,
    http::{Answer, Pairs},
    kept::{Kept, Subject},
    page::{Room, alert, csrf, page, select, table},
    texts::{Texts, fill},
    visitor::{View, Wrong},
};
use crate::{
    answers::{ALWAYS, Given, Reading, Unresolved, Who},
    catalogue,
    clock::local_minute,
    config::School,
    control::{Answer as Came, Request},
    policy::purpose,
    register::Register,
    report::{self, Head},
    standing::{DecidedBy, HexHandle, Right, RightKind, Scope},
};

/// Why a person is looked up. Numbers are part of the log's format.
const REASONS: [(u8, &str); 6] =
    [(1, "inzage"), (2, "rechten"), (3, "correctie"), (4, "klacht"), (5, "datalek"), (6, "controle")];

/// Characters of what a person is known by, at most.
const LONGEST: usize = 4096;

/// The number of a reason.
pub(super) fn why(word: &str) -> Result<u8, Wrong> {
    REASONS.iter().find(|(_, known)| *known == word).map(|(number, _)| *number).ok_or(Wrong::Bad)
}

/// A choice of reasons.
pub(super) fn reasons(t: &Texts) -> Markup {
    let text = |word: &str| match word {
        "inzage" => t.reason_inzage,
        "rechten" => t.reason_rights,
        "correctie" => t.reason_correction,
        "klacht" => t.reason_complaint,
        "datalek" => t.reason_breach,
        _ => t.reason_review,
    };
    html! {
        div.sluis-field {
            label for="reden" { (t.why_reading) }
            select id="reden" name="reden" required {
                option value="" { (t.choose) }
                @for (_, word) in REASONS { option value=(word) { (text(word)) } }
            }
        }
    }
}

/// The form.
pub(super) fn form(view: &View<'_>, said: Option<&str>) -> Result<Markup, Wrong> {
    view.demand(Permission::Person)?;
    let t = view.texts();
    let schools = view.schools();
    Ok(html! {
        @if let Some(said) = said { (alert("fout", said)) }
        p.sluis-lead { (t.pupil_intro) }
        form.sluis-form method="post" action="/leerling" autocomplete="off" {
            (csrf(view.visitor))
            (select("school", t.school, schools.iter().map(|school| (school.brin.as_str(), school.name.as_str())), None))
            (select("soort", t.by_what, [
                ("key", t.by_key), ("eckid", t.by_eckid), ("pgn", t.by_pgn), ("handle", t.by_handle),
            ], None))
            div.sluis-field {
                label for="nummer" { (t.number) }
                input id="nummer" name="nummer" type="text" required maxlength="4096" autocomplete="off" spellcheck="false"
                    autocapitalize="off" data-scan;
            }
            div.sluis-choice {
                input id="leerkracht" name="leerkracht" type="checkbox" value="ja";
                label for="leerkracht" { (t.is_staff) }
            }
            (reasons(t))
            button.sluis-button type="submit" { (t.look_up) }
        }
    })
}

/// Who is asked about, and why.
pub(super) struct Question<'q> {
    pub(super) school: &'q str,
    /// What the number is: `eckid`, `handle`, `key` or `pgn`.
    pub(super) by: &'q str,
    pub(super) number: &'q str,
    pub(super) reason: &'q str,
    /// Whether it is somebody of the staff.
    pub(super) staff: bool,
}

fn question(form: &Pairs) -> Result<Question<'_>, Wrong> {
    let given = |name: &str| form.get(name).ok_or(Wrong::Bad);
    Ok(Question {
        school: given("school")?,
        by: given("soort")?,
        number: given("nummer")?,
        reason: given("reden")?,
        staff: form.get("leerkracht").is_some(),
    })
}

/// Looks a person up.
pub(super) fn look_up(view: &View<'_>, question: &Question<'_>) -> Result<Subject, Wrong> {
    view.demand(Permission::Person)?;
    let school = view.school(question.school)?;
    let why = why(question.reason)?;
    if question.number.chars().count() > LONGEST {
        return Err(Wrong::Bad);
    }
    let number = Zeroizing::new(question.number.trim().to_owned());
    let given = match question.by {
        "eckid" => Given::EckId(number),
        "handle" => {
            let mut handle = [0; 16];
            hex::decode_to_slice(number.as_bytes(), &mut handle)
                .map_err(|_| Wrong::Refused(Unresolved::Form.to_string()))?;
            Given::Handle(handle)
        }
        "key" => Given::Key(number),
        "pgn" => Given::Pgn(number),
        _ => return Err(Wrong::Bad),
    };
    let kind = if question.staff { catalogue::Person::Leerkracht } else { catalogue::Person::Leerling };
    let reference = view.read(Reading::Inzage, Some(&school.brin), None, why)?;
    let answers = view.answers()?;
    let who = |given| Who { school, person: kind, given, feed: None };
    let person = answers.resolve(&who(given)).map_err(|error| match error {
        Unresolved::Io(error) => Wrong::Unreadable(error.kind()),
        other => Wrong::Refused(other.to_string()),
    })?;
    // What is entered for the person stands under the newest key that the person is known under.
    let newest = person.handles.iter().filter_map(|&(epoch, _)| epoch).max();
    let under = newest.map(|newest| {
        let own = person.handles.iter().filter(|&&(epoch, _)| epoch == Some(newest));
        (newest, own.map(|&(_, handle)| HexHandle(handle)).collect())
    });
    Ok(Subject { reference, brin: school.brin.clone(), why, person, under })
}

/// What was disclosed about a person, what stands, and what can be done.
pub(super) fn show(
    view: &View<'_>,
    subject: &Subject,
    said: Option<(&'static str, String)>,
) -> Result<Markup, Wrong> {
    view.demand(Permission::Person)?;
    let t = view.texts();
    let school = view.school(&subject.brin)?;
    let part = report_of(view, school, subject)?;
    let rights = rights(view, school, subject)?;
    let reference = subject.reference;
    Ok(html! {
        @if let Some((kind, said)) = said { (alert(kind, &said)) }
        div.sluis-actions {
            form method="post" action="/leerling/pdf" {
                (csrf(view.visitor))
                input type="hidden" name="kenmerk" value=(reference);
                button.sluis-button.sluis-button--second type="submit" { (t.download_pdf) }
            }
            a.sluis-button.sluis-button--second href="#rechten" { (t.rights) }
        }
        p.sluis-hint { (t.reference) ": " span.sluis-code { (reference) } ". " (t.dutch_report) }
        section.sluis-report lang="nl" {
            h2 { (part.heading) }
            (report::fragment(&part, 3))
        }
        (rights)
        @if view.visitor.may(Permission::Enter) {
            section aria-labelledby="wissen" {
                h2 #wissen { (t.erase) }
                p { (t.erase_hint) }
                form.sluis-form method="post" action="/leerling/wissen" data-confirm=(t.erase_confirm) {
                    (csrf(view.visitor))
                    input type="hidden" name="kenmerk" value=(reference);
                    div.sluis-choice {
                        input id="zeker" name="zeker" type="checkbox" value="ja" required;
                        label for="zeker" { (t.erase_confirm) }
                    }
                    button.sluis-button.sluis-button--danger type="submit" { (t.erase) }
                }
            }
        }
    })
}

/// The report, of all days.
pub(super) fn report_of(view: &View<'_>, school: &School, subject: &Subject) -> Result<report::Part, Wrong> {
    let answers = view.answers()?;
    let inzage = answers.inzage(&school.brin, &subject.person, &ALWAYS)?;
    let ledger = view.desk.ledger.as_ref();
    let register = Register::of(view.config, ledger, school, view.today())?;
    let told = report::inzage::Told::new(&inzage, &answers, view.config, ledger, &register)?;
    Ok(told.report())
}

/// The head of such a report.
pub(super) fn head(view: &View<'_>, reference: Uuid) -> Head {
    Head { reference: Some(reference), days: Some(ALWAYS), made: view.today() }
}

fn rights(view: &View<'_>, school: &School, subject: &Subject) -> Result<Markup, Wrong> {
    let t = view.texts();
    let own = rights_of(view, subject)?;
    let may = view.visitor.may(Permission::Enter);
    let lift = |right: &Right| {
        html! {
            @if may {
                form method="post" action="/leerling/intrekken" {
                    (csrf(view.visitor))
                    input type="hidden" name="kenmerk" value=(subject.reference);
                    input type="hidden" name="recht" value=(right.reference);
                    button.sluis-button.sluis-button--second type="submit" { (t.rights_lift) }
                }
            }
        }
    };
    let rows = own.iter().map(|right| {
        vec![
            html! { (kind_name(t, right.kind)) },
            html! { (scope_name(t, &right.scope)) },
            html! { (match right.decided_by { DecidedBy::Betrokkene => t.betrokkene, DecidedBy::Ouder => t.ouder }) },
            html! { (local_minute(right.entered_ms)) },
            lift(right),
        ]
    });
    let scopes = scopes(view, school);
    Ok(html! {
        section aria-labelledby="rechten" {
            h2 #rechten { (t.rights) }
            @if own.is_empty() { p { (t.rights_none) } }
            @else {
                (table(t.rights, &[t.rights_kind, t.rights_scope, t.rights_by, t.rights_entered, t.status], rows))
            }
            @if may && subject.under.is_some() {
                form.sluis-form method="post" action="/leerling/vastleggen" {
                    h3 { (t.rights_add) }
                    (csrf(view.visitor))
                    input type="hidden" name="kenmerk" value=(subject.reference);
                    (select("recht", t.rights_kind, [
                        ("bezwaar", t.bezwaar), ("beperking", t.beperking), ("toestemming", t.toestemming),
                    ], None))
                    (select("waarover", t.rights_scope, scopes.iter().map(|(value, text)| (value.as_str(), text.as_str())), None))
                    (select("door", t.rights_by, [("ouder", t.ouder), ("betrokkene", t.betrokkene)], None))
                    button.sluis-button type="submit" { (t.rights_add) }
                }
            }
        }
    })
}

/// What stands for a person.
pub(super) fn rights_of(view: &View<'_>, subject: &Subject) -> Result<Vec<Right>, Wrong> {
    let standing = view.standing(&subject.brin)?;
    Ok(standing.rights().iter().filter(|right| is_about(right, subject)).cloned().collect())
}

fn is_about(right: &Right, subject: &Subject) -> bool {
    let known = subject.person.distinct();
    right.handles.iter().any(|handle| known.contains(&handle.0))
}

fn kind_name(t: &Texts, kind: RightKind) -> &'static str {
    match kind {
        RightKind::Beperking => t.beperking,
        RightKind::Bezwaar => t.bezwaar,
        RightKind::Toestemming => t.toestemming,
    }
}

fn scope_name(t: &Texts, scope: &Scope) -> String {
    match scope {
        Scope::Agreement(id) => fill(t.scope_agreement, &[id]),
        Scope::All => t.scope_all.into(),
        Scope::Purpose(id) => fill(t.scope_purpose, &[&report::words::purpose_name(id)]),
    }
}

/// What an entry can be about, as forms have it and in words.
fn scopes(view: &View<'_>, school: &School) -> Vec<(String, String)> {
    let t = view.texts();
    let mut all = vec![("alles".to_owned(), t.scope_all.to_owned())];
    let own: Vec<_> = view.agreements().filter(|agreement| agreement.school == school.brin).collect();
    let mut ids: Vec<&str> = own.iter().map(|agreement| agreement.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    all.extend(ids.iter().map(|id| (format!("overeenkomst:{id}"), fill(t.scope_agreement, &[id]))));
    let mut purposes: Vec<&str> = own.iter().map(|agreement| agreement.purpose.as_str()).collect();
    purposes.sort_unstable();
    purposes.dedup();
    let named =
        |id: &&str| (format!("doel:{id}"), fill(t.scope_purpose, &[&report::words::purpose_name(id)]));
    all.extend(purposes.iter().map(named));
    all
}

/// An objection, a restriction or a consent, as a form has it.
fn entry(form: &Pairs) -> Result<(RightKind, Scope, DecidedBy), Wrong> {
    let kind = match form.get("recht").ok_or(Wrong::Bad)? {
        "beperking" => RightKind::Beperking,
        "bezwaar" => RightKind::Bezwaar,
        "toestemming" => RightKind::Toestemming,
        _ => return Err(Wrong::Bad),
    };
    let decided_by = match form.get("door").ok_or(Wrong::Bad)? {
        "betrokkene" => DecidedBy::Betrokkene,
        "ouder" => DecidedBy::Ouder,
        _ => return Err(Wrong::Bad),
    };
    let about = form.get("waarover").ok_or(Wrong::Bad)?;
    let scope = match about.split_once(':') {
        None if about == "alles" => Scope::All,
        Some(("doel", id)) => Scope::Purpose(id.to_owned()),
        Some(("overeenkomst", id)) => Scope::Agreement(id.to_owned()),
        _ => return Err(Wrong::Bad),
    };
    Ok((kind, scope, decided_by))
}

/// Enters an objection, a restriction or a consent, and gives the reference.
pub(super) fn enter(
    view: &View<'_>,
    subject: &Subject,
    (kind, scope, decided_by): (RightKind, Scope, DecidedBy),
) -> Result<Uuid, Wrong> {
    view.demand(Permission::Enter)?;
    let school = view.school(&subject.brin)?;
    match &scope {
        Scope::Agreement(id) => {
            let own = view.agreements().find(|known| known.school == school.brin && known.id == *id);
            let agreement = own.ok_or(Wrong::NotFound)?;
            if kind != RightKind::Toestemming && !agreement.basis.yields() {
                return Err(Wrong::Refused(fill(
                    view.texts().law_goes_on,
                    &[&report::words::basis(agreement.basis)],
                )));
            }
        }
        Scope::Purpose(id) if purpose::find(id).is_none() => return Err(Wrong::NotFound),
        Scope::All | Scope::Purpose(_) => {}
    }
    let (epoch, handles) = subject.under.clone().ok_or(Wrong::NotFound)?;
    let right = Right { kind, scope, handles, epoch, decided_by, entered_ms: 0, reference: Uuid::nil() };
    view.done(Request::Enter { brin: school.brin.clone(), right })
}

/// Lifts one, and gives the reference.
pub(super) fn lift(view: &View<'_>, subject: &Subject, wanted: Uuid) -> Result<Uuid, Wrong> {
    view.demand(Permission::Enter)?;
    let own = rights_of(view, subject)?;
    let right = own.into_iter().find(|right| right.reference == wanted).ok_or(Wrong::NotFound)?;
    let handles = right.handles.iter().map(|&handle| (right.epoch, handle)).collect();
    view.done(Request::Lift { brin: subject.brin.clone(), kind: right.kind, scope: right.scope, handles })
}

/// What was erased of a person.
#[derive(serde::Serialize)]
pub(super) struct Erased {
    rows: u64,
    summaries: u64,
    /// Still there: their day is not over, or not sealed yet.
    unsealed: u64,
}

/// Erases all there is of a person.
pub(super) fn erase(view: &View<'_>, subject: &Subject) -> Result<Erased, Wrong> {
    view.demand(Permission::Enter)?;
    let handles = subject.person.distinct().into_iter().map(HexHandle).collect();
    match view.perform(Request::Erase { brin: subject.brin.clone(), handles })? {
        Came::Erased { rows, summaries, unsealed } => Ok(Erased { rows, summaries, unsealed }),
        Came::Done { .. } | Came::Refused { .. } => Err(Wrong::Bad),
    }
}

/// Answers a form about a person.
pub(super) fn post(view: &View<'_>, kept: &Kept, path: &str, form: &Pairs) -> Result<Answer, Wrong> {
    let t = view.texts();
    let shown = |subject: &Subject, said| {
        let main = show(view, subject, said)?;
        Ok(Answer::html(page(view.visitor, Room::Pupil, "/leerling", t.pupil, &main)))
    };
    if path.is_empty() {
        return match question(form).and_then(|question| look_up(view, &question)) {
            Ok(subject) => {
                let subject = kept.keep(view.visitor, subject);
                shown(&subject, None)
            }
            Err(Wrong::Refused(what)) => {
                let main = self::form(view, Some(&what))?;
                Ok(Answer::html(page(view.visitor, Room::Pupil, "/leerling", t.pupil, &main)))
            }
            Err(wrong) => Err(wrong),
        };
    }
    let Some(subject) = form.get("kenmerk").and_then(|id| kept.subject(view.visitor, id.parse().ok()?))
    else {
        return Err(Wrong::Refused(t.subject_gone.into()));
    };
    // What was asked for is done or it is not; the page about the person comes back either way.
    let said = |done: Result<String, Wrong>| match done {
        Ok(text) => Ok(Some(("goed", text))),
        Err(Wrong::Refused(what)) => Ok(Some(("fout", fill(t.refused, &[&what])))),
        Err(wrong) => Err(wrong),
    };
    match path {
        "intrekken" => {
            let right = form.get("recht").and_then(|id| id.parse().ok()).ok_or(Wrong::Bad)?;
            let lifted = lift(view, &subject, right).map(|reference| fill(t.lifted, &[&reference]));
            shown(&subject, said(lifted)?)
        }
        "pdf" => {
            let school = view.school(&subject.brin)?;
            let reference = view.read(Reading::Inzage, Some(&subject.brin), None, subject.why)?;
            let part = report_of(view, school, &subject)?;
            Answer::pdf("inzage.pdf", report::pdf(&head(view, reference), &part))
        }
        "vastleggen" => {
            let entered = enter(view, &subject, entry(form)?).map(|reference| fill(t.entered, &[&reference]));
            shown(&subject, said(entered)?)
        }
        "wissen" => {
            if form.get("zeker") != Some("ja") {
                return Err(Wrong::Bad);
            }
            let told = |Erased { rows, summaries, unsealed }| fill(t.erased, &[&rows, &summaries, &unsealed]);
            shown(&subject, said(erase(view, &subject).map(told))?)
        }
        _ => Err(Wrong::NotFound),
    }
}
