//! The frame around every page, and the parts that pages are made of.
//!
//! Pages work without scripts; what the script adds is named by `data-` attributes. Text enters through maud, which
//! escapes it; [`finished`](crate::report::html::finished) takes out what could make a text read as another.

use maud::{DOCTYPE, Markup, html};

use super::{
    account::{Language, Permission},
    texts::{Texts, fill},
    visitor::Visitor,
};
use crate::report;

/// The parts of the app, as the menu has them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Breach,
    Decisions,
    Disclosures,
    Overview,
    Pupil,
    Review,
    Suppliers,
    /// In no room of the menu.
    Elsewhere,
}

impl Room {
    const MENU: [Self; 7] = [
        Self::Overview,
        Self::Disclosures,
        Self::Suppliers,
        Self::Pupil,
        Self::Breach,
        Self::Review,
        Self::Decisions,
    ];

    fn path(self) -> &'static str {
        match self {
            Self::Breach => "/datalek",
            Self::Decisions => "/besluiten",
            Self::Disclosures => "/verstrekkingen",
            Self::Elsewhere | Self::Overview => "/",
            Self::Pupil => "/leerling",
            Self::Review => "/controle",
            Self::Suppliers => "/leveranciers",
        }
    }

    fn name(self, t: &Texts) -> &'static str {
        match self {
            Self::Breach => t.breach,
            Self::Decisions => t.decisions,
            Self::Disclosures => t.disclosures,
            Self::Elsewhere | Self::Overview => t.overview,
            Self::Pupil => t.pupil,
            Self::Review => t.review,
            Self::Suppliers => t.suppliers,
        }
    }

    /// Whether it is of use to a visitor.
    fn is_for(self, visitor: &Visitor) -> bool {
        match self {
            Self::Breach | Self::Pupil => visitor.may(Permission::Person),
            Self::Decisions
            | Self::Disclosures
            | Self::Elsewhere
            | Self::Overview
            | Self::Review
            | Self::Suppliers => visitor.may(Permission::Read),
        }
    }
}

/// A page for someone who is logged in.
pub(super) fn page(visitor: &Visitor, room: Room, path: &str, title: &str, main: &Markup) -> String {
    let t = visitor.texts();
    let nav = html! {
        nav.sluis-menu aria-label=(t.menu) {
            ul {
                @for own in Room::MENU.into_iter().filter(|own| own.is_for(visitor)) {
                    li { a href=(own.path()) aria-current=[(own == room).then_some("page")] { (own.name(t)) } }
                }
            }
        }
    };
    let who = html! {
        p.sluis-who { (fill(t.logged_in_as, &[&visitor.name(), &visitor.role_name()])) }
        form method="post" action="/uitloggen" {
            (csrf(visitor))
            button.sluis-button.sluis-button--quiet type="submit" { (t.log_out) }
        }
    };
    frame(visitor.language(), path, title, &nav, &who, main)
}

/// A page for anybody: log-in, and what went wrong before it.
pub(super) fn open_page(language: Language, title: &str, main: &Markup) -> String {
    frame(language, "/inloggen", title, &html! {}, &html! {}, main)
}

fn frame(language: Language, path: &str, title: &str, nav: &Markup, who: &Markup, main: &Markup) -> String {
    let t = language.texts();
    report::html::finished(html! {
        (DOCTYPE)
        html lang=(language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) " – " (t.brand) }
                link rel="stylesheet" href="/assets/app.css";
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                script src="/assets/app.js" defer {}
            }
            body {
                a.sluis-skip href="#inhoud" { (t.skip) }
                header.sluis-header {
                    div.sluis-header__bar {
                        a.sluis-brand href="/" {
                            (mark())
                            span { (t.brand) }
                            small { (t.tagline) }
                        }
                        div.sluis-header__tools {
                            (who)
                            form method="post" action="/taal" {
                                input type="hidden" name="terug" value=(path);
                                button.sluis-button.sluis-button--quiet type="submit" lang=(t.other_language_lang)
                                    name="taal" value=(t.other_language_lang) { (t.other_language) }
                            }
                        }
                    }
                    (nav)
                }
                main #inhoud tabindex="-1" {
                    h1 { (title) }
                    (main)
                }
                footer.sluis-footer { p { (t.foot) } }
            }
        }
    })
}

/// A lock, seen from the side: two gates, and water at two heights.
fn mark() -> Markup {
    html! {
        svg.sluis-mark viewBox="0 0 32 32" width="32" height="32" aria-hidden="true" focusable="false" {
            path d="M0 10h15v4H0zM0 16h15v4H0zM0 22h15v4H0z" {}
            path d="M17 22h15v4H17z" {}
            path d="M13 2h6v28h-6z" {}
        }
    }
}

/// What ties a form to the session.
pub(super) fn csrf(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="csrf" value=(visitor.csrf()); }
}

/// Something that is said once, above a page.
pub(super) fn alert(kind: &'static str, text: &str) -> Markup {
    let role = if kind == "fout" { "alert" } else { "status" };
    html! { div class={ "sluis-alert sluis-alert--" (kind) } role=(role) { p { (text) } } }
}

/// A word with a colour; the word says it all.
pub(super) fn badge(kind: &'static str, text: &str) -> Markup {
    html! { span class={ "sluis-badge sluis-badge--" (kind) } { (text) } }
}

/// A number with what it counts.
pub(super) fn figure(number: &str, what: &str, hint: Option<&str>) -> Markup {
    html! {
        div.sluis-figure {
            dt { (what) @if let Some(hint) = hint { small { (hint) } } }
            dd { (number) }
        }
    }
}

/// Names with what there is to say about each.
pub(super) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl.sluis-facts {
            @for (name, value) in facts {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// A table: on a narrow screen each row becomes a card, with the heads before its cells.
pub(super) fn table(caption: &str, heads: &[&str], rows: impl IntoIterator<Item = Vec<Markup>>) -> Markup {
    html! {
        div.sluis-table-around role="group" tabindex="0" aria-label=(caption) {
            table.sluis-table {
                // What stands above the table says it to those who see it.
                caption.sluis-visually-hidden { (caption) }
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (place, (cell, head)) in row.iter().zip(heads).enumerate() {
                                @if place == 0 { th scope="row" data-head=(head) { div { (cell) } } }
                                @else { td data-head=(head) { div { (cell) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A choice of one.
pub(super) fn select<'o>(
    id: &str,
    label: &str,
    options: impl IntoIterator<Item = (&'o str, &'o str)>,
    chosen: Option<&str>,
) -> Markup {
    html! {
        div.sluis-field {
            label for=(id) { (label) }
            select id=(id) name=(id) {
                @for (value, text) in options {
                    option value=(value) selected[chosen.unwrap_or_default() == value] { (text) }
                }
            }
        }
    }
}

/// A day.
pub(super) fn day(id: &str, label: &str, value: Option<&str>) -> Markup {
    html! {
        div.sluis-field {
            label for=(id) { (label) }
            input type="date" id=(id) name=(id) value=[value];
        }
    }
}

/// A number as people read it: with a point after each three digits, or a comma.
pub(super) fn number(number: u64, language: Language) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(match language {
                Language::En => ',',
                Language::Nl => '.',
            });
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (given, nl) in [(0, "0"), (999, "999"), (1000, "1.000"), (24_000_000, "24.000.000")] {
            assert_eq!(number(given, Language::Nl), nl);
        }
        assert_eq!(number(1_234_567, Language::En), "1,234,567");
    }
}
