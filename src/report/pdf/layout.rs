//! Where everything on the pages is, and what each piece of it means.
//!
//! All of a report is rows of cells: a paragraph has one cell, a point has its mark and its text, a fact its name and
//! what there is to say, a row of a table what it holds. A row is broken over pages line by line, all cells at once.
//! Pages are laid out before any is drawn: each one says how many there are.

use std::num::NonZeroU16;

use krilla::tagging::{ListNumbering, TableHeaderScope, Tag, TagKind};

use super::face::{Face, Faces, Line};
use crate::report::{Block, Head, Part, Table, words};

// A4, in points.
pub(super) const WIDTH: f32 = 595.28;
pub(super) const HEIGHT: f32 = 841.89;
pub(super) const LEFT: f32 = 48.0;
pub(super) const RIGHT: f32 = WIDTH - LEFT;
const TOP: f32 = 52.0;
const BOTTOM: f32 = HEIGHT - 72.0;
/// Under the text.
pub(super) const FOOT: f32 = HEIGHT - 54.0;
/// Sentences are no longer than is easy to read.
const TEXT: f32 = 430.0;
const NAME: f32 = 142.0;
/// A column does not get wider for a word that is longer: it is broken.
const WIDEST_PIECE: f32 = 84.0;
const GUTTER: f32 = 9.0;
/// Above and below what is in a row of a table.
const ROW: f32 = 3.0;

/// The colours of the page in a browser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ink {
    Accent,
    Line,
    Soft,
    Text,
}

/// How letters look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) bold: bool,
    pub(super) size: f32,
    /// From one line to the next.
    pub(super) leading: f32,
    pub(super) ink: Ink,
}

const fn style(bold: bool, size: f32, leading: f32, ink: Ink) -> Style {
    Style { bold, size, leading, ink }
}

const BODY: Style = style(false, 9.2, 13.2, Ink::Text);
const BULLET: Style = style(false, 9.2, 13.2, Ink::Accent);
const CAPTION: Style = style(false, 8.4, 12.0, Ink::Soft);
const CELL: Style = style(false, 7.8, 10.6, Ink::Text);
const CELL_FIRST: Style = style(true, 7.8, 10.6, Ink::Text);
const CELL_HEAD: Style = style(true, 7.8, 10.6, Ink::Accent);
const FACT: Style = style(false, 9.2, 13.2, Ink::Text);
const FACT_NAME: Style = style(false, 9.2, 13.2, Ink::Soft);
pub(super) const SMALL: Style = style(false, 7.2, 9.6, Ink::Soft);
const TITLE: Style = style(true, 18.0, 22.0, Ink::Accent);

/// A page, ready to be drawn.
#[derive(Default)]
pub(super) struct Page {
    pub(super) rules: Vec<Rule>,
    pub(super) marks: Vec<Mark>,
}

/// A line from left to right.
pub(super) struct Rule {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) thick: f32,
    pub(super) ink: Ink,
}

/// Lines that belong to one thing.
pub(super) struct Mark {
    /// The leaf of the tree they are; none: a repetition, for the eyes alone.
    pub(super) leaf: Option<usize>,
    pub(super) style: Style,
    pub(super) x: f32,
    /// Of the first line, where its letters stand.
    pub(super) y: f32,
    pub(super) lines: Vec<Line>,
}

/// What the marks mean, in the order in which they are read.
pub(super) enum Meaning {
    Branch(TagKind, Vec<Meaning>),
    Leaf(usize),
}

/// A heading, for who goes by headings.
pub(super) struct Heading {
    pub(super) text: String,
    pub(super) level: u16,
    pub(super) page: usize,
    pub(super) y: f32,
}

/// A report on its pages.
pub(super) struct Layout<'f> {
    faces: &'f Faces,
    pub(super) pages: Vec<Page>,
    pub(super) headings: Vec<Heading>,
    pub(super) leaves: usize,
    y: f32,
    /// Nothing is on this page yet but what is on every one.
    fresh: bool,
    /// What begins a page while there is more of a table.
    repeated: Option<Repeated>,
}

/// The head of a table.
#[derive(Clone)]
struct Repeated {
    cells: Vec<Cell>,
    width: f32,
}

#[derive(Clone)]
struct Cell {
    x: f32,
    style: Style,
    lines: Vec<Line>,
}

/// How a row is broken over pages.
#[derive(Clone, Copy, PartialEq)]
enum Break {
    /// Not, if it fits on one.
    Seldom,
    /// With two lines at least on either side.
    Well,
}

impl<'f> Layout<'f> {
    /// The pages of a report, and what is on them means.
    pub(super) fn of(head: &Head, report: &Part, faces: &'f Faces) -> (Self, Vec<Meaning>) {
        let mut layout = Self {
            faces,
            pages: vec![Page::default()],
            headings: Vec::new(),
            leaves: 0,
            y: TOP,
            fresh: true,
            repeated: None,
        };
        let mut all = Vec::new();
        layout.heading(&report.heading, 1, TITLE, 4.0, &mut all);
        layout.facts(&words::head(head), SMALL_FACTS, &mut all);
        layout.rule(LEFT, RIGHT - LEFT, 2.0, Ink::Accent);
        layout.y += 14.0;
        layout.blocks(&report.blocks, 2, &mut all);
        (layout, all)
    }

    fn face(&self, style: Style) -> &'f Face {
        if style.bold { &self.faces.bold } else { &self.faces.regular }
    }

    fn cell(&self, text: &str, x: f32, width: f32, style: Style) -> Cell {
        Cell { x, style, lines: self.face(style).wrap(text, style.size, width) }
    }

    fn page(&mut self) -> &mut Page {
        self.pages.last_mut().expect("there is always a page")
    }

    fn rule(&mut self, x: f32, width: f32, thick: f32, ink: Ink) {
        let y = self.y;
        self.page().rules.push(Rule { x, y, width, thick, ink });
    }

    /// Begins another page.
    fn turn(&mut self) {
        self.pages.push(Page::default());
        self.y = TOP;
        if let Some(repeated) = self.repeated.take() {
            self.head(&repeated, |_| None);
            self.y += ROW;
            self.repeated = Some(repeated);
        }
        self.fresh = true;
    }

    /// Begins another page where this one has no room for so much, so that what belongs together is seen together.
    fn keep(&mut self, height: f32) {
        if !self.fresh && self.y + height > BOTTOM {
            self.turn();
        }
    }

    /// How many of so many lines fit on this page.
    fn fit(&self, lines: usize, leading: f32, how: Break) -> usize {
        let fit = ((BOTTOM - self.y + 0.01) / leading).max(0.0) as usize;
        if lines <= fit {
            return lines;
        }
        if self.fresh {
            return fit.max(1);
        }
        match how {
            Break::Seldom if (lines as f32) * leading <= BOTTOM - TOP - 60.0 => 0,
            Break::Seldom | Break::Well => {
                let fit = if lines - fit < 2 { fit.saturating_sub(1) } else { fit };
                if fit < 2 { 0 } else { fit }
            }
        }
    }

    /// Puts a row down. Gives the leaves of each cell.
    fn row(&mut self, mut cells: Vec<Cell>, how: Break) -> Vec<Vec<usize>> {
        let mut leaves = vec![Vec::new(); cells.len()];
        let leading = cells.iter().map(|cell| cell.style.leading).fold(0.0, f32::max);
        let mut rest = cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(0);
        while rest > 0 {
            let now = self.fit(rest, leading, how);
            if now == 0 {
                self.turn();
                continue;
            }
            for (cell, leaves) in cells.iter_mut().zip(&mut leaves) {
                let lines: Vec<Line> = cell.lines.drain(..now.min(cell.lines.len())).collect();
                if lines.is_empty() {
                    continue;
                }
                leaves.push(self.leaves);
                let leaf = Some(self.leaves);
                self.leaves += 1;
                self.mark(leaf, cell.style, cell.x, lines);
            }
            self.y += leading * now as f32;
            self.fresh = false;
            rest -= now;
            if rest > 0 {
                self.turn();
            }
        }
        leaves
    }

    /// Letters stand a little above the middle between two lines.
    fn mark(&mut self, leaf: Option<usize>, style: Style, x: f32, lines: Vec<Line>) {
        let y = self.y + style.leading * 0.5 + style.size * 0.36;
        self.page().marks.push(Mark { leaf, style, x, y, lines });
    }

    fn blocks(&mut self, all: &[Block], level: u16, out: &mut Vec<Meaning>) {
        for block in all {
            match block {
                Block::Facts(facts) => self.facts(facts, FACTS, out),
                Block::List(points) => self.list(points, out),
                Block::Part(part) => {
                    let (style, above) = heading(level);
                    if !self.fresh {
                        self.y += above;
                    }
                    self.keep(beginning(part, level));
                    self.heading(&part.heading, level, style, 4.0, out);
                    self.blocks(&part.blocks, level.saturating_add(1), out);
                }
                Block::Say(text) => {
                    let cell = self.cell(text, LEFT, TEXT, BODY);
                    let leaves = self.row(vec![cell], Break::Well);
                    out.extend(branches([Tag::P.into()], leaves));
                    self.y += 7.0;
                }
                Block::Table(table) => self.table(table, out),
            }
        }
    }

    fn heading(&mut self, text: &str, level: u16, style: Style, below: f32, out: &mut Vec<Meaning>) {
        if text.trim().is_empty() {
            return;
        }
        let cell = self.cell(text, LEFT, RIGHT - LEFT, style);
        let shown: String = cell.lines.iter().map(|line| line.text.as_str()).collect();
        let leaves = self.row(vec![cell], Break::Seldom);
        let tag = Tag::Hn(NonZeroU16::new(level).unwrap_or(NonZeroU16::MIN), Some(shown.clone()));
        let page = self.pages.len() - 1;
        let y = (self.y - style.leading).max(0.0);
        self.headings.push(Heading { text: shown, level, page, y });
        out.extend(branches([tag.into()], leaves));
        self.y += below;
    }

    fn list(&mut self, points: &[String], out: &mut Vec<Meaning>) {
        let mut all = Vec::new();
        for point in points {
            let bullet = self.cell("•", LEFT + 3.0, 10.0, BULLET);
            let text = self.cell(point, LEFT + 14.0, TEXT - 14.0, BODY);
            let leaves = self.row(vec![bullet, text], Break::Well);
            all.push(item(leaves));
            self.y += 2.5;
        }
        self.y += 5.0;
        out.push(Meaning::Branch(Tag::L(ListNumbering::Disc).into(), all));
    }

    fn facts(&mut self, facts: &[(&'static str, String)], look: Facts, out: &mut Vec<Meaning>) {
        let mut all = Vec::new();
        if look.ruled && !self.fresh {
            self.keep(look.value.leading * 2.0);
            self.rule(LEFT, RIGHT - LEFT, 0.5, Ink::Line);
        }
        for (name, value) in facts {
            self.y += look.around;
            let name = self.cell(&words::capital(name), LEFT, look.name_width - 10.0, look.name);
            let x = LEFT + look.name_width;
            let value = self.cell(value, x, RIGHT - x, look.value);
            let leaves = self.row(vec![name, value], Break::Seldom);
            all.push(item(leaves));
            self.y += look.around;
            if look.ruled {
                self.rule(LEFT, RIGHT - LEFT, 0.5, Ink::Line);
            }
        }
        self.y += 10.0;
        out.push(Meaning::Branch(Tag::L(ListNumbering::None).into(), all));
    }

    fn table(&mut self, table: &Table, out: &mut Vec<Meaning>) {
        let mut all = Vec::new();
        let columns = self.columns(table);
        let width = columns.last().map_or(0.0, |(x, width)| x + width - LEFT);
        let cells: Vec<Cell> = table
            .heads
            .iter()
            .zip(&columns)
            .map(|(head, &(x, width))| self.cell(&words::capital(head), x, width, CELL_HEAD))
            .collect();
        let head = Repeated { cells, width };
        let caption = self.cell(table.caption, LEFT, RIGHT - LEFT, CAPTION);
        self.keep(caption.lines.len() as f32 * CAPTION.leading + 60.0);
        let leaves = self.row(vec![caption], Break::Seldom);
        all.extend(branches([Tag::Caption.into()], leaves));
        self.y += 2.0;
        let mut heads = Vec::new();
        self.head(&head, |leaf| {
            let tag = Tag::TH(TableHeaderScope::Column);
            heads.push(Meaning::Branch(tag.into(), vec![Meaning::Leaf(leaf)]));
            Some(leaf)
        });
        all.push(Meaning::Branch(Tag::THead.into(), vec![Meaning::Branch(Tag::TR.into(), heads)]));
        self.repeated = Some(head);
        let mut rows = Vec::new();
        for row in &table.rows {
            self.y += ROW;
            let cells = row.iter().zip(&columns).enumerate().map(|(place, (text, &(x, width)))| {
                self.cell(text, x, width, if place == 0 { CELL_FIRST } else { CELL })
            });
            let cells = cells.collect();
            let leaves = self.row(cells, Break::Seldom);
            let tags = (0..).map(|place| match place {
                0 => Tag::TH(TableHeaderScope::Row).into(),
                _ => Tag::TD.into(),
            });
            rows.push(Meaning::Branch(Tag::TR.into(), branches(tags, leaves)));
            self.y += ROW;
            self.rule(LEFT, width, 0.5, Ink::Line);
        }
        self.repeated = None;
        all.push(Meaning::Branch(Tag::TBody.into(), rows));
        out.push(Meaning::Branch(Tag::Table.into(), all));
        self.y += 12.0;
    }

    /// The head of a table, each cell of it with the leaf that it is given for a number.
    fn head(&mut self, head: &Repeated, mut leaf: impl FnMut(usize) -> Option<usize>) {
        let lines = head.cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(0);
        for cell in &head.cells {
            let leaf = leaf(self.leaves);
            self.leaves += usize::from(leaf.is_some());
            self.mark(leaf, cell.style, cell.x, cell.lines.clone());
        }
        self.y += lines as f32 * CELL_HEAD.leading + 3.0;
        self.rule(LEFT, head.width, 1.2, Ink::Accent);
        self.fresh = false;
    }

    /// From where each column is, and how wide: as wide as what is in it where that fits; else what no column can do
    /// without, and of the rest as much as each asks for.
    fn columns(&self, table: &Table) -> Vec<(f32, f32)> {
        let room = RIGHT - LEFT - GUTTER * table.heads.len().saturating_sub(1) as f32;
        let asked: Vec<(f32, f32)> = (0..table.heads.len())
            .map(|column| {
                let head = words::capital(table.heads[column]);
                let style = if column == 0 { CELL_FIRST } else { CELL };
                let cells = table.rows.iter().filter_map(|row| row.get(column));
                let texts = cells.map(|cell| (cell.as_str(), style)).chain([(head.as_str(), CELL_HEAD)]);
                texts.fold((0.0_f32, 0.0_f32), |(least, most), (text, style)| {
                    let face = self.face(style);
                    let piece = face.widest_piece(text, style.size).min(WIDEST_PIECE);
                    (least.max(piece), most.max(face.width(text, style.size) + 0.1))
                })
            })
            .collect();
        let least: f32 = asked.iter().map(|asked| asked.0).sum();
        let most: f32 = asked.iter().map(|asked| asked.1).sum();
        let width = |(needs, asks): (f32, f32)| {
            if most <= room {
                // A table that is nearly as wide as the page is as wide; a small one stays together.
                asks * (room / most).clamp(1.0, 1.5)
            } else if least <= room {
                needs + (asks - needs) * (room - least) / (most - least).max(1.0)
            } else {
                needs * room / least
            }
        };
        let place = |x: &mut f32, asked: (f32, f32)| {
            let (from, width) = (*x, width(asked));
            *x += width + GUTTER;
            Some((from, width))
        };
        asked.into_iter().scan(LEFT, place).collect()
    }
}

/// How a heading looks, and how much there is above it.
const fn heading(level: u16) -> (Style, f32) {
    let (size, above) = match level {
        ..=2 => (13.0, 16.0),
        3 => (11.0, 10.0),
        _ => (9.6, 6.0),
    };
    (style(true, size, size * 1.3, Ink::Accent), above)
}

/// The height of a heading with the beginning of what it is over, be that a heading again.
fn beginning(part: &Part, level: u16) -> f32 {
    let (style, _) = heading(level);
    let first = match part.blocks.first() {
        None => 0.0,
        Some(Block::Facts(_) | Block::List(_) | Block::Say(_)) => 36.0,
        Some(Block::Part(part)) => {
            heading(level.saturating_add(1)).1 + beginning(part, level.saturating_add(1))
        }
        Some(Block::Table(_)) => 76.0,
    };
    style.leading + 4.0 + first
}

/// How facts look.
#[derive(Clone, Copy)]
struct Facts {
    name: Style,
    name_width: f32,
    value: Style,
    around: f32,
    ruled: bool,
}

const FACTS: Facts = Facts { name: FACT_NAME, name_width: NAME, value: FACT, around: 2.2, ruled: true };
/// Those at the head.
const SMALL_FACTS: Facts = Facts {
    name: style(false, 8.4, 12.0, Ink::Soft),
    name_width: 82.0,
    value: style(false, 8.4, 12.0, Ink::Text),
    around: 0.0,
    ruled: false,
};

/// A point or a fact: its mark or name, and the rest.
fn item(leaves: Vec<Vec<usize>>) -> Meaning {
    Meaning::Branch(Tag::LI.into(), branches([Tag::Lbl.into(), Tag::LBody.into()], leaves))
}

fn branches(tags: impl IntoIterator<Item = TagKind>, leaves: Vec<Vec<usize>>) -> Vec<Meaning> {
    let branch = |(tag, leaves): (TagKind, Vec<usize>)| {
        Meaning::Branch(tag, leaves.into_iter().map(Meaning::Leaf).collect())
    };
    tags.into_iter().zip(leaves).map(branch).collect()
}
