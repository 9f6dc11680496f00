//! Entering an agreement, or a new version of one: checked as any file of agreements is, shown as what it changes, then put
//! in the folder of agreements. Who enters it is its author, so somebody else has to approve of whatever it gives more.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use maud::{Markup, html};

use super::{
    account::Permission,
    app::Reload,
    decisions::{changes_of, difference},
    http::Pairs,
    page::{alert, csrf},
    texts::fill,
    visitor::{View, Wrong},
};
use crate::policy::agreement::{Agreement, parse};

/// Bytes of an agreement at most.
const LONGEST: usize = 64 * 1024;

/// The form, empty or with the text of an agreement to begin from.
pub(super) fn form(view: &View<'_>, from: Option<&str>) -> Result<Markup, Wrong> {
    view.demand(Permission::Enter)?;
    let newest = |id: &str| view.agreements().filter(|one| one.id == id).max_by_key(|one| one.version);
    let text = match from {
        None => "",
        Some(id) => newest(id).ok_or(Wrong::NotFound)?.text.as_str(),
    };
    Ok(asked(view, text, &html! {}))
}

fn asked(view: &View<'_>, text: &str, said: &Markup) -> Markup {
    let t = view.texts();
    html! {
        (said)
        p.sluis-lead { (t.agreement_intro) }
        form.sluis-form method="post" action="/overeenkomst" {
            (csrf(view.visitor))
            div.sluis-field {
                label for="tekst" { (t.agreement_text) }
                // A browser leaves out the first line break of what is in it.
                textarea.sluis-code id="tekst" name="tekst" rows="24" required spellcheck="false" { "\n" (text) }
            }
            button.sluis-button type="submit" { (t.agreement_check) }
        }
    }
}

/// What was written, as an agreement that can be entered.
struct Entered {
    agreement: Agreement,
    /// The file it takes the place of.
    replaced: Option<PathBuf>,
}

/// Why a text cannot be entered, in words.
type NotEntered = Vec<String>;

fn read(view: &View<'_>, text: &str) -> Result<Entered, NotEntered> {
    let t = view.texts();
    let schools = view.schools();
    let schools: Vec<&str> = schools.iter().map(|school| school.brin.as_str()).collect();
    let recipients: Vec<&str> = view.config.recipients.iter().map(|one| one.id.as_str()).collect();
    let mut agreement = parse(text, Path::new(""), &schools, &recipients).map_err(|problems| {
        let line = |line: Option<usize>| {
            line.map(|line| format!("{}: ", fill(t.line, &[&line]))).unwrap_or_default()
        };
        problems.iter().map(|one| format!("{}{}; {}", line(one.line), one.what, one.mend)).collect::<Vec<_>>()
    })?;
    let name = view.visitor.name();
    let own =
        agreement.terms.author.as_ref().is_some_and(|author| author.to_lowercase() == name.to_lowercase());
    if !own {
        return Err(vec![fill(t.agreement_author, &[&name])]);
    }
    // The file of an id may be another's business: an id is of one school.
    let known = view.config.agreements.all().iter().filter(|one| one.id == agreement.id);
    let newest = known.max_by_key(|one| one.version);
    if newest.is_some_and(|newest| newest.school != agreement.school) {
        return Err(vec![t.not_found.into()]);
    }
    if let Some(newest) = newest.filter(|newest| newest.version >= agreement.version) {
        return Err(vec![fill(t.agreement_older, &[&newest.version])]);
    }
    // One that goes on where the other ends stands beside it; any other takes its place.
    let beside = newest.is_none_or(|newest| newest.until < agreement.from);
    let replaced = newest.filter(|_| !beside).map(|newest| newest.file.clone());
    let name = format!("{}-v{}.toml", agreement.id, agreement.version);
    agreement.file = replaced.clone().unwrap_or_else(|| view.config.agreements_directory.join(name));
    let against = view.config.agreements.against(&agreement, replaced.as_deref());
    if !against.is_empty() {
        return Err(against.iter().map(|one| format!("{}; {}", one.what, one.mend)).collect());
    }
    Ok(Entered { agreement, replaced })
}

/// The text of a form, with the line ends that files have.
fn text_of(form: &Pairs) -> Result<String, Wrong> {
    let text = form.get("tekst").ok_or(Wrong::Bad)?.replace("\r\n", "\n");
    if text.len() > LONGEST { Err(Wrong::Bad) } else { Ok(text + "\n") }
}

fn wrong(view: &View<'_>, text: &str, problems: &NotEntered) -> Markup {
    let said = html! {
        (alert("fout", view.texts().agreement_wrong))
        ul { @for problem in problems { li { (problem) } } }
    };
    asked(view, text, &said)
}

/// Shows what is wrong with a text, or what it changes.
pub(super) fn check(view: &View<'_>, form: &Pairs) -> Result<Markup, Wrong> {
    view.demand(Permission::Enter)?;
    let t = view.texts();
    let text = text_of(form)?;
    let Entered { agreement, .. } = match read(view, &text) {
        Ok(entered) => entered,
        Err(problems) => return Ok(wrong(view, &text, &problems)),
    };
    let standing = view.standing(&agreement.school)?;
    Ok(html! {
        p {
            span.sluis-code { (agreement.id) } ", " (fill(t.version, &[&agreement.version])) ": "
            (agreement.product) " – " (view.supplier_name(&agreement.recipient))
        }
        h2 { (t.agreement_changes) }
        (difference(t, &changes_of(&standing, &agreement)))
        details { summary { (t.agreement_text) } pre tabindex="0" { (text) } }
        form.sluis-form method="post" action="/overeenkomst/vastleggen" {
            (csrf(view.visitor))
            input type="hidden" name="tekst" value=(text);
            button.sluis-button type="submit" { (t.agreement_save) }
        }
    })
}

/// Puts a text in the folder of agreements and takes it into force, as far as it needs no approval.
pub(super) fn enter(view: &View<'_>, form: &Pairs, reload: &Reload) -> Result<Markup, Wrong> {
    view.demand(Permission::Enter)?;
    let t = view.texts();
    let text = text_of(form)?;
    let Entered { agreement, replaced } = match read(view, &text) {
        Ok(entered) => entered,
        Err(problems) => return Ok(wrong(view, &text, &problems)),
    };
    let before = replaced.as_deref().map(fs::read).transpose();
    let written = before.and_then(|before| put(&agreement.file, text.as_bytes()).map(|()| before));
    let before = match written {
        Ok(before) => before,
        Err(error) => {
            let said = alert("fout", &fill(t.agreement_not_saved, &[&error.kind()]));
            return Ok(asked(view, &text, &said));
        }
    };
    if reload() {
        return Ok(alert("goed", t.agreement_saved));
    }
    // What stood before stands again, on disk as it does in force.
    let back = match before {
        Some(before) => put(&agreement.file, &before),
        None => fs::remove_file(&agreement.file),
    };
    if back.is_err() {
        tracing::error!("an agreement that was not taken into force could not be taken back");
    }
    Ok(asked(view, &text, &alert("fout", t.agreement_not_taken)))
}

/// Under its name at once or not at all.
fn put(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
    let new = folder.join(format!(".{}.new", uuid::Uuid::now_v7()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&new)
        .and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.and_then(|()| fs::File::open(folder)?.sync_all())
}
