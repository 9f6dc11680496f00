//! HTML, written so that no text can become anything but text.
//!
//! Names of elements and attributes, and style, are words of this program (`&'static str`). All else enters through
//! [`Html::text`] and attribute values, and both escape it.

/// HTML under construction.
pub(super) struct Html(String);

impl Html {
    /// The beginning of a document.
    pub(super) fn new() -> Self {
        Self("<!DOCTYPE html>\n".into())
    }

    /// Text, as it is read.
    pub(super) fn text(&mut self, text: &str) {
        escape(text, &mut self.0);
    }

    /// An element with what is in it.
    pub(super) fn element(
        &mut self,
        name: &'static str,
        attributes: &[(&'static str, &str)],
        inside: impl FnOnce(&mut Self),
    ) {
        self.open(name, attributes);
        inside(self);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// An element with nothing but text.
    pub(super) fn short(&mut self, name: &'static str, text: &str) {
        self.element(name, &[], |html| html.text(text));
    }

    /// An element that holds nothing, such as `meta`.
    pub(super) fn void(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.open(name, attributes);
    }

    /// The style of the document.
    pub(super) fn style(&mut self, style: &'static str) {
        self.element("style", &[], |html| html.0.push_str(style));
    }

    /// A new line, for whoever reads the source.
    pub(super) fn line(&mut self) {
        self.0.push('\n');
    }

    /// The document.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn open(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.0.push('<');
        self.0.push_str(name);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            escape(value, &mut self.0);
            self.0.push('"');
        }
        self.0.push('>');
    }
}

/// Control characters are not allowed in HTML in any spelling; what reverses the direction of text could make a name
/// read as another.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Html;

    #[test]
    fn text_stays_text() {
        for (text, expected) in [
            ("Noordzee & Zn.", "Noordzee &amp; Zn."),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload='x'", "&quot; onload=&#39;x&#39;"),
            ("&lt;", "&amp;lt;"),
            ("a\nb\u{0}c", "a b\u{fffd}c"),
            ("\u{202e}gnp", "\u{fffd}gnp"),
        ] {
            let mut html = Html(String::new());
            html.element("p", &[("title", text)], |html| html.text(text));
            assert_eq!(html.finish(), format!("<p title=\"{expected}\">{expected}</p>"));
        }
    }
}
