//! A report as a page: one file that asks for nothing else, for a screen of any width, for paper and for a screen
//! reader; or as a part of another page.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Block, Head, Part, Table, html::finished, words};

/// Colours keep a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3).
const STYLE: PreEscaped<&str> = PreEscaped(include_str!("page.css"));
/// Nothing is fetched and nothing runs, whatever is in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
/// A new line, for whoever reads the source.
const LINE: PreEscaped<&str> = PreEscaped("\n");

/// The page of a report, whole.
#[must_use]
pub fn page(head: &Head, report: &Part) -> String {
    finished(html! {
        (DOCTYPE) (LINE)
        html lang="nl" {
            (LINE)
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="robots" content="noindex";
                title { (report.heading) }
                style { (STYLE) }
            }
            (LINE)
            body {
                header {
                    h1 { (report.heading) }
                    (facts(&words::head(head)))
                }
                (LINE)
                main { (blocks(&report.blocks, 2)) }
                (LINE)
                footer { p { (words::FOOT) } }
            }
        }
        (LINE)
    })
}

/// A report as a section of another page, whose heading is of this level. That page goes through
/// [`finished`].
#[must_use]
pub fn fragment(report: &Part, level: u8) -> Markup {
    html! {
        section {
            (heading(&report.heading, level))
            (blocks(&report.blocks, level.saturating_add(1)))
        }
    }
}

fn blocks(all: &[Block], level: u8) -> Markup {
    html! {
        @for block in all {
            @match block {
                Block::Facts(all) => (facts(all)),
                Block::List(points) => ul { @for point in points { li { (point) } } },
                Block::Part(part) => (fragment(part, level)),
                Block::Say(text) => p { (text) },
                Block::Table(found) => (table(found)),
            }
            (LINE)
        }
    }
}

/// HTML has six levels; what lies deeper is of the last.
fn heading(text: &str, level: u8) -> Markup {
    html! {
        @match level {
            0 | 1 => h1 { (text) },
            2 => h2 { (text) },
            3 => h3 { (text) },
            4 => h4 { (text) },
            5 => h5 { (text) },
            6.. => h6 { (text) },
        }
    }
}

fn facts(facts: &[(&'static str, String)]) -> Markup {
    html! {
        dl { @for (name, value) in facts { div { dt { (words::capital(name)) } dd { (value) } } } }
    }
}

/// A table wider than the screen is moved by itself, with a finger or with the keys.
fn table(table: &Table) -> Markup {
    // Few columns fit on a telephone.
    let many = if table.heads.len() > 3 { "many" } else { "few" };
    html! {
        div class="wide" role="region" tabindex="0" aria-label=(table.caption) {
            table class=(many) {
                caption { span { (table.caption) } }
                thead {
                    tr { @for head in table.heads { th scope="col" { (words::capital(head)) } } }
                }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (place, cell) in row.iter().enumerate() {
                                @if place == 0 { th scope="row" { (cell) } }
                                @else { td class=[is_long(cell).then_some("long")] { (cell) } }
                            }
                        }
                        (LINE)
                    }
                }
            }
        }
    }
}

/// Whether there is a code in it that would push a column off the page: it may break anywhere.
fn is_long(cell: &str) -> bool {
    cell.split_whitespace().any(|word| word.chars().count() > 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_begins_at_the_level_it_is_given() {
        let mut report = Part::new("Een & ander");
        report.part(Part::new("Deel"));
        let check = |level, expected: &str| {
            let text = fragment(&report, level).into_string().replace('\n', "");
            assert_eq!(text, expected);
        };
        check(3, "<section><h3>Een &amp; ander</h3><section><h4>Deel</h4></section></section>");
        check(6, "<section><h6>Een &amp; ander</h6><section><h6>Deel</h6></section></section>");
    }
}
