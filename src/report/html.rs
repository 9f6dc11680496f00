//! The door every finished page goes through.
//!
//! Pages are written with [`maud`], which makes text of all that is no markup of this program. What may not be in a page
//! in any spelling, escaped or not, is taken out here. `PreEscaped` is for constants of this program alone.

use maud::Markup;

use super::document::is_shown;

/// The page, as it may be sent.
#[must_use]
pub fn finished(markup: Markup) -> String {
    let page = markup.into_string();
    let fits = |c: char| is_shown(c) || matches!(c, '\n' | '\t');
    if page.chars().all(fits) {
        return page;
    }
    page.chars().map(|c| if fits(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use maud::html;

    use super::finished;

    #[test]
    fn text_stays_text() {
        for (text, expected) in [
            ("Noordzee & Zn.", "Noordzee &amp; Zn."),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload='x'", "&quot; onload='x'"),
            ("&lt;", "&amp;lt;"),
            ("a\nb\u{0}c", "a\nb\u{fffd}c"),
            ("a\rb\u{85}c\u{7f}", "a\u{fffd}b\u{fffd}c\u{fffd}"),
            ("\u{202e}gnp", "\u{fffd}gnp"),
            ("\u{2066}gnp\u{2069}", "\u{fffd}gnp\u{fffd}"),
        ] {
            let page = finished(html! { p title=(text) { (text) } });
            assert_eq!(page, format!("<p title=\"{expected}\">{expected}</p>"));
        }
    }
}
