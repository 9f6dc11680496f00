//! A report as a document to keep, to send and to print: A4, in the colours of the page.
//!
//! It conforms to PDF/UA-1 as far as that can be checked here: the writer refuses a document that does not. Headings,
//! lists, tables and paragraphs are tagged, in the order in which they are read; what is on every page is not part of
//! that. The same report makes the same bytes: no clock, no name of a machine and nothing random is in it.
//!
//! Deliberately absent: letters beyond Latin, Greek and Cyrillic, and the shaping that other scripts need. The font has
//! none (`font/README.md`): U+FFFD stands in their place, as it does for control characters and for what reverses the
//! direction of text. The other forms have every letter.

mod face;
mod layout;

use krilla::{
    Document, SerializeSettings,
    color::rgb,
    configure::{Configuration, Validator},
    destination::XyzDestination,
    error::KrillaError,
    geom::{PathBuilder, Point, Rect},
    metadata::{DateTime, Metadata},
    num::NormalizedF32,
    outline::{Outline, OutlineNode},
    page::PageSettings,
    paint::Fill,
    surface::Surface,
    tagging::{ArtifactType, ContentTag, Identifier, Node, Tag, TagGroup, TagTree},
};

use super::{Head, Part, words};
use face::{Face, Faces};
use layout::{
    FOOT, HEIGHT, Heading, Ink, LEFT, Layout, Mark, Meaning, Page, RIGHT, Rule, SMALL, Style, WIDTH,
};

/// The first sentence of the foot line.
const FOOT_WIDTH: f32 = 318.0;

/// A report cannot be written as a document. What is in the report is not in the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PdfError {
    /// The font cannot be embedded.
    #[error("the document cannot be written: its font cannot be embedded")]
    Font,
    /// It would not be for everybody to read.
    #[error("the document cannot be written: it would not conform to PDF/UA-1")]
    Inaccessible,
    /// It would not hold together.
    #[error("the document cannot be written: its structure does not hold")]
    Structure,
}

/// The document of a report.
///
/// # Errors
///
/// It cannot be written; a report without a heading, for one.
pub fn pdf(head: &Head, report: &Part) -> Result<Vec<u8>, PdfError> {
    let faces = Faces::new();
    let (layout, meanings) = Layout::of(head, report, &faces);
    let Layout { pages, headings, leaves, .. } = layout;
    let mut document = Document::new_with(SerializeSettings {
        configuration: Configuration::new_with_validator(Validator::UA1),
        enable_tagging: true,
        ..SerializeSettings::default()
    });
    document.set_metadata(metadata(head, headings.first().map_or("", |title| &title.text)));
    document.set_outline(outline(&headings));
    let mut identifiers = vec![None; leaves];
    let mut foot = None;
    let count = pages.len();
    for (number, page) in (1..).zip(pages) {
        let size = PageSettings::from_wh(WIDTH, HEIGHT).expect("A4 is a size");
        let mut drawn = document.start_page_with(size);
        let mut pen = Pen { surface: drawn.surface(), faces: &faces };
        pen.page(&page, &mut identifiers);
        foot = pen.foot(number, count);
    }
    let mut tree = TagTree::new().with_lang(Some("nl".into()));
    meanings.into_iter().filter_map(|meaning| grown(meaning, &identifiers)).for_each(|node| tree.push(node));
    if let Some(foot) = foot {
        tree.push(TagGroup::with_children(Tag::P, vec![foot.into()]));
    }
    document.set_tag_tree(tree);
    document.finish().map_err(|error| match error {
        KrillaError::Font(..) => PdfError::Font,
        KrillaError::Validation(..) => PdfError::Inaccessible,
        KrillaError::DuplicateTagId(..) | KrillaError::UnknownTagId(..) => PdfError::Structure,
    })
}

fn metadata(head: &Head, title: &str) -> Metadata {
    let number = |number: i8| number.unsigned_abs();
    let day = DateTime::new(head.made.year().unsigned_abs());
    let day = day.month(number(head.made.month())).day(number(head.made.day()));
    Metadata::new().title(title.to_owned()).language("nl".into()).creation_date(day)
}

/// The headings, each under the nearest one of a higher level before it.
fn outline(headings: &[Heading]) -> Outline {
    let mut outline = Outline::new();
    let mut open: Vec<(u16, OutlineNode)> = Vec::new();
    let mut close = |open: &mut Vec<(u16, OutlineNode)>, level: u16| {
        while open.last().is_some_and(|(last, _)| *last >= level) {
            let Some((_, done)) = open.pop() else { return };
            match open.last_mut() {
                Some((_, above)) => above.push_child(done),
                None => outline.push_child(done),
            }
        }
    };
    for heading in headings {
        close(&mut open, heading.level);
        let place = XyzDestination::new(heading.page, Point::from_xy(LEFT, heading.y));
        open.push((heading.level, OutlineNode::new(heading.text.clone(), place)));
    }
    close(&mut open, 0);
    outline
}

/// What the marks mean, with what the marks became.
fn grown(meaning: Meaning, identifiers: &[Option<Identifier>]) -> Option<Node> {
    match meaning {
        Meaning::Branch(tag, children) => {
            let children = children.into_iter().filter_map(|child| grown(child, identifiers)).collect();
            Some(TagGroup::with_children(tag, children).into())
        }
        Meaning::Leaf(leaf) => identifiers.get(leaf).copied().flatten().map(Node::from),
    }
}

/// What draws a page.
struct Pen<'p> {
    surface: Surface<'p>,
    faces: &'p Faces,
}

impl Pen<'_> {
    fn page(&mut self, page: &Page, identifiers: &mut [Option<Identifier>]) {
        self.surface.start_tagged(ContentTag::Artifact(ArtifactType::Other));
        page.rules.iter().for_each(|rule| self.rule(rule));
        self.surface.end_tagged();
        for mark in &page.marks {
            let tag = match mark.leaf {
                Some(_) => ContentTag::Other,
                None => ContentTag::Artifact(ArtifactType::Other),
            };
            let identifier = self.surface.start_tagged(tag);
            if let Some(place) = mark.leaf.and_then(|leaf| identifiers.get_mut(leaf)) {
                *place = Some(identifier);
            }
            self.mark(mark);
            self.surface.end_tagged();
        }
    }

    /// What is under every page. It is read once, at the end.
    fn foot(&mut self, number: usize, count: usize) -> Option<Identifier> {
        let counted = format!("bladzijde {number} van {count}");
        let face = &self.faces.regular;
        let x = RIGHT - face.width(&counted, SMALL.size);
        let lines = face.wrap(words::FOOT, SMALL.size, FOOT_WIDTH);
        self.surface.start_tagged(ContentTag::Artifact(ArtifactType::Footer));
        self.rule(&Rule { x: LEFT, y: FOOT, width: RIGHT - LEFT, thick: 0.5, ink: Ink::Line });
        self.text(&counted, x, FOOT + 13.0, SMALL);
        self.surface.end_tagged();
        let last = number == count;
        let tag = if last { ContentTag::Other } else { ContentTag::Artifact(ArtifactType::Footer) };
        let identifier = self.surface.start_tagged(tag);
        self.mark(&Mark { leaf: None, style: SMALL, x: LEFT, y: FOOT + 13.0, lines });
        self.surface.end_tagged();
        last.then_some(identifier)
    }

    fn mark(&mut self, mark: &Mark) {
        let mut y = mark.y;
        for line in &mark.lines {
            self.text(&line.text, mark.x, y, mark.style);
            y += mark.style.leading;
        }
    }

    fn text(&mut self, text: &str, x: f32, y: f32, style: Style) {
        if text.is_empty() {
            return;
        }
        let face: &Face = if style.bold { &self.faces.bold } else { &self.faces.regular };
        self.surface.set_fill(Some(fill(style.ink)));
        let glyphs = face.glyphs(text);
        self.surface.draw_glyphs(Point::from_xy(x, y), &glyphs, face.font.clone(), text, style.size, false);
    }

    fn rule(&mut self, rule: &Rule) {
        let Some(line) = Rect::from_xywh(rule.x, rule.y - rule.thick / 2.0, rule.width, rule.thick) else {
            return;
        };
        let mut path = PathBuilder::new();
        path.push_rect(line);
        if let Some(path) = path.finish() {
            self.surface.set_fill(Some(fill(rule.ink)));
            self.surface.draw_path(&path);
        }
    }
}

fn fill(ink: Ink) -> Fill {
    let color = match ink {
        Ink::Accent => rgb::Color::new(0x0b, 0x4a, 0x6f),
        Ink::Line => rgb::Color::new(0xc9, 0xd1, 0xd9),
        Ink::Soft => rgb::Color::new(0x4c, 0x55, 0x60),
        Ink::Text => rgb::Color::new(0x1b, 0x1f, 0x24),
    };
    Fill { paint: color.into(), opacity: NormalizedF32::ONE, ..Fill::default() }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const HEAD: Head = Head { reference: None, days: None, made: date(2026, 9, 7) };
    const HEADS: &[&str] = &["wanneer", "ontvanger", "handle", "gegevens", "leeg"];

    fn rows(count: usize) -> impl Iterator<Item = Vec<String>> {
        let row = |number: usize| {
            let handle = format!("{number:064x}");
            vec![
                number.to_string(),
                "Uitgeverij Noordzee".into(),
                handle,
                "Achternaam, ".repeat(20),
                String::new(),
            ]
        };
        (0..count).map(row)
    }

    fn count(document: &[u8], text: &str) -> usize {
        document.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
    }

    #[test]
    fn the_same_report_makes_the_same_bytes() {
        let mut report = Part::new("Een verslag");
        report.facts(vec![("school", "De Sluis".into())]);
        report.list(["een", "twee"]);
        report.table("Alles", HEADS, rows(40));
        report.part(Part::new("Een deel"));
        let document = pdf(&HEAD, &report).expect("a document");
        assert_eq!(pdf(&HEAD, &report).as_ref(), Ok(&document));
        assert_eq!(count(&document, "/CreationDate (D:20260907000000Z)"), 1);
        assert!(count(&document, "/S /TH") >= 45, "every head of a column and of a row");
    }

    /// A school has thousands of pupils; what is in a cell may be longer than a page.
    #[test]
    fn a_table_may_be_long_and_so_may_a_cell() {
        let mut report = Part::new("Een lange tabel");
        report.table("Alles", HEADS, rows(3000));
        report.table("Een rij", &["wat"], [vec!["woord ".repeat(20_000)]]);
        report.facts(vec![("alles", "woord ".repeat(20_000))]);
        report.say("woord ".repeat(20_000));
        let faces = Faces::new();
        let (layout, _) = Layout::of(&HEAD, &report, &faces);
        let repeated = |page: &&Page| page.marks.first().is_some_and(|mark| mark.leaf.is_none());
        assert!(layout.pages.iter().filter(repeated).count() > 100);
        let low = |mark: &Mark| mark.y + mark.style.leading * (mark.lines.len() - 1) as f32;
        for mark in layout.pages.iter().flat_map(|page| &page.marks) {
            assert!(low(mark) < FOOT);
            let face = if mark.style.bold { &faces.bold } else { &faces.regular };
            for line in &mark.lines {
                assert!(
                    mark.x + face.width(line.text.trim_end(), mark.style.size) < RIGHT + 0.1,
                    "{}",
                    line.text
                );
            }
        }
        assert!(pdf(&HEAD, &report).is_ok());
    }

    #[test]
    fn whatever_a_report_holds_there_is_a_document() {
        let odd = "\u{0}\u{7f}\u{85}\u{ad}\u{202e}\u{2066}\u{feff}\u{ffff}\u{e000}\u{1f600}\u{5d0}\u{4e2d}e\u{301}\r\n(\\)";
        for text in [odd, "", " ", "n", &"n".repeat(5000)] {
            let mut report = Part::new(format!("Over {text}"));
            report.say(text);
            report.list([text]);
            report.list([""; 0]);
            report.facts(vec![("naam", text.into())]);
            report.facts(Vec::new());
            report.table("Geen kolom", &[], [Vec::new()]);
            report.table("Geen rij", &["a", "b"], []);
            report.table("Een rij", &["a", "b"], [vec![text.to_owned(), text.to_owned()]]);
            let mut part = Part::new(text);
            part.part(Part::new(text));
            report.part(part);
            assert_eq!(pdf(&HEAD, &report).map(|_| ()), Ok(()), "{text:?}");
        }
        assert_eq!(pdf(&HEAD, &Part::new("")), Err(PdfError::Inaccessible));
    }
}
