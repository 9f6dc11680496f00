//! What a report says, before it is text, HTML or PDF: parts in parts, so that headings are always in order.
//!
//! All forms are made of the same words. Deliberately absent: anything about how it looks.

/// A report, or a part of one.
pub struct Part {
    /// What it is called.
    pub heading: String,
    /// What it says, in order.
    pub blocks: Vec<Block>,
}

/// What a part is made of.
pub enum Block {
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
pub struct Table {
    /// What it is about, for whoever does not see what it stands under.
    pub caption: &'static str,
    /// What each column holds.
    pub heads: &'static [&'static str],
    /// Rows, with a cell under each head.
    pub rows: Vec<Vec<String>>,
}

impl Part {
    /// A part that says nothing yet.
    pub fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), blocks: Vec::new() }
    }

    /// Adds sentences.
    pub fn say(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Say(text.into()));
    }

    /// Adds points.
    pub fn list(&mut self, points: impl IntoIterator<Item = impl Into<String>>) {
        self.blocks.push(Block::List(points.into_iter().map(Into::into).collect()));
    }

    /// Adds names with what there is to say about each.
    pub fn facts(&mut self, facts: Vec<(&'static str, String)>) {
        self.blocks.push(Block::Facts(facts));
    }

    /// Adds rows under heads.
    pub fn table(
        &mut self,
        caption: &'static str,
        heads: &'static [&'static str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) {
        let rows: Vec<_> = rows.into_iter().collect();
        debug_assert!(rows.iter().all(|row| row.len() == heads.len()), "a cell under each head");
        self.blocks.push(Block::Table(Table { caption, heads, rows }));
    }

    /// Adds a part of this part.
    pub fn part(&mut self, part: Part) {
        self.blocks.push(Block::Part(part));
    }
}

/// Whether a character is one to show. Control characters are not allowed in HTML in any spelling and mean nothing on
/// paper; what reverses the direction of text could make a name read as another.
pub(super) fn is_shown(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
