//! A report as a page: one file that asks for nothing else, for a screen of any width, for paper and for a screen
//! reader.

use super::{Block, Head, Part, Table, html::Html, words};

/// Colours keep a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3).
const STYLE: &str = include_str!("page.css");
/// Nothing is fetched and nothing runs, whatever is in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page of a report.
pub fn page(head: &Head, report: &Part) -> String {
    let mut html = Html::new();
    html.element("html", &[("lang", "nl")], |html| {
        html.line();
        html.element("head", &[], |html| {
            html.void("meta", &[("charset", "utf-8")]);
            html.void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", POLICY)]);
            html.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            html.void("meta", &[("name", "referrer"), ("content", "no-referrer")]);
            html.void("meta", &[("name", "robots"), ("content", "noindex")]);
            html.short("title", &report.heading);
            html.style(STYLE);
        });
        html.line();
        html.element("body", &[], |html| {
            html.element("header", &[], |html| {
                html.short("h1", &report.heading);
                facts(html, &words::head(head));
            });
            html.line();
            html.element("main", &[], |html| blocks(html, &report.blocks, 2));
            html.line();
            html.element("footer", &[], |html| html.short("p", words::FOOT));
        });
    });
    html.line();
    html.finish()
}

fn blocks(html: &mut Html, all: &[Block], level: usize) {
    for block in all {
        match block {
            Block::Facts(all) => facts(html, all),
            Block::List(points) => html.element("ul", &[], |html| {
                points.iter().for_each(|point| html.short("li", point));
            }),
            Block::Part(part) => html.element("section", &[], |html| {
                let heading = ["h2", "h3", "h4", "h5"][level.min(5) - 2];
                html.short(heading, &part.heading);
                blocks(html, &part.blocks, level + 1);
            }),
            Block::Say(text) => html.short("p", text),
            Block::Table(found) => table(html, found),
        }
        html.line();
    }
}

fn facts(html: &mut Html, facts: &[(&'static str, String)]) {
    html.element("dl", &[], |html| {
        for (name, value) in facts {
            html.element("div", &[], |html| {
                html.short("dt", &words::capital(name));
                html.short("dd", value);
            });
        }
    });
}

/// A table wider than the screen is moved by itself, with a finger or with the keys.
fn table(html: &mut Html, table: &Table) {
    let around = [("class", "wide"), ("role", "region"), ("tabindex", "0"), ("aria-label", table.caption)];
    html.element("div", &around, |html| {
        // Few columns fit on a telephone.
        let many = if table.heads.len() > 3 { "many" } else { "few" };
        html.element("table", &[("class", many)], |html| {
            html.element("caption", &[], |html| html.short("span", table.caption));
            html.element("thead", &[], |html| {
                html.element("tr", &[], |html| {
                    for head in table.heads {
                        html.element("th", &[("scope", "col")], |html| html.text(&words::capital(head)));
                    }
                });
            });
            html.element("tbody", &[], |html| {
                for row in &table.rows {
                    html.element("tr", &[], |html| {
                        for (place, cell) in row.iter().enumerate() {
                            match place {
                                0 => html.element("th", &[("scope", "row")], |html| html.text(cell)),
                                _ if is_long(cell) => {
                                    html.element("td", &[("class", "long")], |html| html.text(cell));
                                }
                                _ => html.short("td", cell),
                            }
                        }
                    });
                    html.line();
                }
            });
        });
    });
}

/// Whether there is a code in it that would push a column off the page: it may break anywhere.
fn is_long(cell: &str) -> bool {
    cell.split_whitespace().any(|word| word.chars().count() > 30)
}
