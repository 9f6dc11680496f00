//! What waits for somebody to decide: deliveries that are held, agreements that need a second person; and what feeds began
//! to hold.

use maud::{Markup, html};
use uuid::Uuid;

use super::{
    account::Permission,
    http::Pairs,
    page::{alert, badge, csrf, table},
    texts::{Texts, fill},
    visitor::{View, Wrong},
};
use crate::{
    clock::local_minute,
    config::School,
    control::Request,
    plausibility::Difference,
    policy::agreement::{Agreement, Change, changes, parse_recorded},
    report::words,
    standing::{Approval, Decision, Hold, Standing},
};

/// A delivery that is or was held.
pub(super) fn hold_words(t: &Texts, difference: &Difference) -> String {
    let mut parts = vec![
        fill(t.gone_of, &[&difference.gone, &difference.before]),
        fill(t.changed_of, &[&difference.changed, &difference.now]),
    ];
    if !difference.fields.is_empty() {
        let labels: Vec<String> = difference.fields.iter().map(|field| words::field_left(field)).collect();
        parts.push(fill(t.fill_of, &[&labels.join(", ")]));
    }
    parts.join("; ")
}

/// What a version changes, in two lists.
pub(super) fn difference(t: &Texts, found: &[Change]) -> Markup {
    let list = |widens: bool, heading: &str, class: &'static str| {
        let own: Vec<&Change> = found.iter().filter(|change| change.widens == widens).collect();
        html! {
            @if !own.is_empty() {
                h4 { (heading) }
                ul class={ "sluis-changes sluis-changes--" (class) } lang="nl" {
                    @for change in own { li { (change.text) } }
                }
            }
        }
    };
    html! {
        @if found.is_empty() { p { (t.no_change) } }
        (list(true, t.newly_received, "plus"))
        (list(false, t.no_longer, "min"))
    }
}

/// What a version changes beside the one in force.
pub(super) fn changes_of(standing: &Standing, agreement: &Agreement) -> Vec<Change> {
    let before = standing.activated(&agreement.id).and_then(|activated| parse_recorded(&activated.text));
    changes(before.as_ref(), agreement)
}

/// Agreements of a school that wait for approval.
pub(super) fn waiting<'a>(view: &View<'a>, standing: &Standing, school: &School) -> Vec<&'a Agreement> {
    let own = view.agreements().filter(|agreement| agreement.school == school.brin);
    let own = own.filter(|agreement| {
        agreement.until >= view.today() && standing.approval(agreement) == Approval::Needed
    });
    own.map(AsRef::as_ref).collect()
}

/// The page.
pub(super) fn show(view: &View<'_>, said: Option<(&'static str, String)>) -> Result<Markup, Wrong> {
    let t = view.texts();
    let may = view.visitor.may(Permission::Approve);
    let (mut open, mut decided, mut approvals, mut drift) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for school in view.schools() {
        let standing = view.standing(&school.brin)?;
        for hold in standing.holds() {
            match &hold.decision {
                Decision::Open => open.push((school, hold.clone())),
                Decision::Approved(_) | Decision::Rejected(_) => decided.push((school, hold.clone())),
            }
        }
        for agreement in waiting(view, &standing, school) {
            approvals.push((school, agreement, changes_of(&standing, agreement)));
        }
        drift.extend(standing.drift().iter().rev().take(100).map(|drift| (school, drift.clone())));
    }
    Ok(html! {
        @if let Some((kind, said)) = &said { (alert(kind, said)) }
        section aria-labelledby="vastgehouden" {
            h2 #vastgehouden { (t.holds) }
            @if open.is_empty() { p { (t.no_holds) } } @else { p { (t.holds_intro) } }
            @for (school, hold) in &open { (held(view, school, hold, may)) }
            @if !decided.is_empty() {
                details {
                    summary { (t.decided) }
                    (table(t.decided, &[t.when, t.school, t.supplier, t.what, t.status], decided.iter().map(|(school, hold)| vec![
                        html! { (local_minute(hold.at_ms)) },
                        html! { (school.name) },
                        html! { (view.supplier_name(&hold.recipient)) },
                        html! { (hold_words(t, &hold.difference)) },
                        html! { (decision(t, &hold.decision)) },
                    ])))
                }
            }
        }
        @if view.visitor.may(Permission::Export) {
            p.sluis-actions {
                a.sluis-button.sluis-button--second href="/besluiten.csv" { (t.download_csv) ": " (t.holds) }
                a.sluis-button.sluis-button--second href="/nieuw.csv" { (t.download_csv) ": " (t.drift_list) }
            }
        }
        section aria-labelledby="goedkeuren" {
            h2 #goedkeuren { (t.approvals) }
            @if approvals.is_empty() { p { (t.no_approvals) } }
            @for (school, agreement, found) in &approvals {
                article.sluis-card.sluis-card--let-op {
                    h3 { (agreement.product) " – " (view.supplier_name(&agreement.recipient)) }
                    p {
                        (school.name) ", " span.sluis-code { (agreement.id) } ", " (fill(t.version, &[&agreement.version]))
                        @if let Some(author) = &agreement.terms.author { ". " (fill(t.drawn_up_by, &[author])) "." }
                    }
                    (difference(t, found))
                    @if may {
                        form method="post" action="/besluiten/overeenkomst" {
                            (csrf(view.visitor))
                            input type="hidden" name="overeenkomst" value=(agreement.id);
                            input type="hidden" name="versie" value=(agreement.version);
                            input type="hidden" name="tekst" value=(hex::encode(agreement.hash));
                            button.sluis-button type="submit" { (t.approve) }
                        }
                    }
                }
            }
        }
        section aria-labelledby="nieuw" {
            h2 #nieuw { (t.drift_list) }
            @if drift.is_empty() { p { (t.nothing_open) } }
            @else {
                p { (t.drift_hint) }
                (table(t.drift_list, &[t.part, t.feed, t.school, t.when], drift.iter().map(|(school, drift)| vec![
                    html! { (words::field_left(&drift.part)) },
                    html! { (drift.feed) },
                    html! { (school.name) },
                    html! { (local_minute(drift.at_ms)) },
                ])))
            }
        }
    })
}

fn decision(t: &Texts, decision: &Decision) -> String {
    match decision {
        Decision::Approved(because) => fill(t.decided_approved, &[&because.by, &because.reason]),
        Decision::Open => t.status.into(),
        Decision::Rejected(because) => fill(t.decided_rejected, &[&because.by, &because.reason]),
    }
}

fn held(view: &View<'_>, school: &School, hold: &Hold, may: bool) -> Markup {
    let t = view.texts();
    let reason = format!("reden-{}", hold.id);
    html! {
        article.sluis-card.sluis-card--let-op {
            h3 { (view.supplier_name(&hold.recipient)) " – " (school.name) @if let Some(place) = &hold.dependance { " " (place) } }
            p { (badge("let-op", &local_minute(hold.at_ms))) " " (hold_words(t, &hold.difference)) }
            @if may {
                form.sluis-form method="post" action="/besluiten/verstrekking" {
                    (csrf(view.visitor))
                    input type="hidden" name="school" value=(school.brin);
                    input type="hidden" name="id" value=(hold.id);
                    div.sluis-field {
                        label for=(reason) { (t.reason) }
                        input id=(reason) name="reden" type="text" required maxlength="500" autocomplete="off";
                        p.sluis-hint { (t.remark_hint) }
                    }
                    div.sluis-actions {
                        button.sluis-button type="submit" name="besluit" value="goed" { (t.approve) }
                        button.sluis-button.sluis-button--second type="submit" name="besluit" value="af" { (t.reject) }
                    }
                }
            }
        }
    }
}

/// Decides.
pub(super) fn post(view: &View<'_>, path: &str, form: &Pairs) -> Result<Markup, Wrong> {
    view.demand(Permission::Approve)?;
    let done = match path {
        "overeenkomst" => approve(view, form),
        "verstrekking" => decide(view, form),
        _ => return Err(Wrong::NotFound),
    };
    match done {
        Ok(said) => show(view, Some(("goed", said))),
        Err(Wrong::Refused(what)) => show(view, Some(("fout", fill(view.texts().refused, &[&what])))),
        Err(wrong) => Err(wrong),
    }
}

fn decide(view: &View<'_>, form: &Pairs) -> Result<String, Wrong> {
    let t = view.texts();
    let id: Uuid = form.get("id").and_then(|id| id.parse().ok()).ok_or(Wrong::Bad)?;
    let approve = match form.get("besluit") {
        Some("af") => false,
        Some("goed") => true,
        _ => return Err(Wrong::Bad),
    };
    let brin = form.get("school").ok_or(Wrong::Bad)?;
    let reference = decide_on(view, brin, id, approve, form.get("reden").unwrap_or_default())?;
    Ok(fill(if approve { t.approved } else { t.rejected }, &[&reference]))
}

/// Decides on a delivery that is held, and gives the reference.
pub(super) fn decide_on(
    view: &View<'_>,
    brin: &str,
    id: Uuid,
    approve: bool,
    reason: &str,
) -> Result<Uuid, Wrong> {
    view.demand(Permission::Approve)?;
    let school = view.school(brin)?;
    let reason = reason.trim();
    if !(1..=500).contains(&reason.chars().count()) || reason.contains(char::is_control) {
        return Err(Wrong::Refused(view.texts().give_reason.into()));
    }
    let (by, reason) = (view.visitor.name().to_owned(), reason.to_owned());
    view.done(Request::Decide { brin: school.brin.clone(), id, approve, by, reason })
}

fn approve(view: &View<'_>, form: &Pairs) -> Result<String, Wrong> {
    let (id, hash) = (form.get("overeenkomst").ok_or(Wrong::Bad)?, form.get("tekst").ok_or(Wrong::Bad)?);
    Ok(fill(view.texts().approved, &[&approve_of(view, id, hash)?]))
}

/// Approves of an agreement, and gives the reference. What was shown is what is approved of: the text of this hash, and
/// not whatever the file has become since.
pub(super) fn approve_of(view: &View<'_>, id: &str, hash: &str) -> Result<Uuid, Wrong> {
    view.demand(Permission::Approve)?;
    let own = view.agreements().find(|known| known.id == id && hex::encode(known.hash) == hash);
    let agreement = own.ok_or(Wrong::NotFound)?;
    let approver = Some(view.visitor.name().to_owned());
    view.done(Request::Approve { text: agreement.text.clone(), approver })
}
