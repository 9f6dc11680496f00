//! What a report says, before it is text or HTML: parts in parts, so that headings are always in order.
//!
//! Both forms are made of the same words. Deliberately absent: anything about how it looks.

/// A report, or a part of one.
pub(super) struct Part {
    pub(super) heading: String,
    pub(super) blocks: Vec<Block>,
}

/// What a part is made of.
pub(super) enum Block {
    /// Names with what there is to say about each.
    Facts(Vec<(&'static str, String)>),
    /// Points, in no order.
    List(Vec<String>),
    /// A part of this part.
    Part(Part),
    /// Sentences.
    Say(String),
    /// Rows under heads; the first cell of a row says what the row is about.
    Table(Table),
}

/// Rows under heads.
pub(super) struct Table {
    /// What it is about, for whoever does not see what it stands under.
    pub(super) caption: &'static str,
    pub(super) heads: &'static [&'static str],
    pub(super) rows: Vec<Vec<String>>,
}

impl Part {
    pub(super) fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), blocks: Vec::new() }
    }

    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Say(text.into()));
    }

    pub(super) fn list(&mut self, points: impl IntoIterator<Item = impl Into<String>>) {
        self.blocks.push(Block::List(points.into_iter().map(Into::into).collect()));
    }

    pub(super) fn facts(&mut self, facts: Vec<(&'static str, String)>) {
        self.blocks.push(Block::Facts(facts));
    }

    pub(super) fn table(
        &mut self,
        caption: &'static str,
        heads: &'static [&'static str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) {
        let rows: Vec<_> = rows.into_iter().collect();
        debug_assert!(rows.iter().all(|row| row.len() == heads.len()), "a cell under each head");
        self.blocks.push(Block::Table(Table { caption, heads, rows }));
    }

    pub(super) fn part(&mut self, part: Part) {
        self.blocks.push(Block::Part(part));
    }
}
