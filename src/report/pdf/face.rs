//! Letters: which the font has, how wide they are, and where a line ends.

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::{
    FontRef, MetadataProvider,
    instance::{LocationRef, Size},
};

use crate::report::document::is_shown;

const REGULAR: &[u8] = include_bytes!("../font/DejaVuSansCondensed.ttf");
const BOLD: &[u8] = include_bytes!("../font/DejaVuSansCondensed-Bold.ttf");
/// All that the fonts have lies before this, but for U+FFFD.
const END: u32 = 0x2800;
/// Letters in a word from which on it may end a line at a mark such as a hyphen: dates are shorter.
const LONG: usize = 17;

/// Both weights.
pub(super) struct Faces {
    pub(super) regular: Face,
    pub(super) bold: Face,
}

/// A font, with all its letters measured.
pub(super) struct Face {
    pub(super) font: Font,
    letters: Vec<Option<Letter>>,
    replacement: Letter,
}

#[derive(Clone, Copy)]
struct Letter {
    glyph: u32,
    /// In parts of the size of the font.
    advance: f32,
}

/// A piece of text on one line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Line {
    /// Of letters the font has. Where a line ended between words, the space is still there: whoever copies or hears the
    /// text needs it.
    pub(super) text: String,
}

impl Faces {
    pub(super) fn new() -> Self {
        Self { regular: Face::new(REGULAR), bold: Face::new(BOLD) }
    }
}

impl Face {
    fn new(data: &'static [u8]) -> Self {
        let reader = FontRef::new(data).expect("a font of this program");
        let charmap = reader.charmap();
        let metrics = reader.glyph_metrics(Size::new(1.0), LocationRef::default());
        let letter = |code: u32| {
            let glyph = charmap.map(code).filter(|glyph| glyph.to_u32() != 0)?;
            Some(Letter { glyph: glyph.to_u32(), advance: metrics.advance_width(glyph)? })
        };
        let shown = |code: &u32| char::from_u32(*code).is_some_and(is_shown);
        Self {
            font: Font::new(data.into(), 0).expect("a font of this program"),
            letters: (0..END).map(|code| Some(code).filter(shown).and_then(letter)).collect(),
            replacement: letter(u32::from(char::REPLACEMENT_CHARACTER)).expect("the font has it"),
        }
    }

    fn letter(&self, c: char) -> Option<Letter> {
        self.letters.get(c as usize).copied().flatten()
    }

    /// How wide a text is that stays on one line.
    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        text.chars().map(|c| self.advance(c)).sum::<f32>() * size
    }

    fn advance(&self, c: char) -> f32 {
        self.letter(c).unwrap_or(self.replacement).advance
    }

    /// How wide the widest piece of a text is that is not broken.
    pub(super) fn widest_piece(&self, text: &str, size: f32) -> f32 {
        let pieces = text.split_whitespace().flat_map(pieces);
        pieces.map(|piece| self.width(piece, size)).fold(0.0, f32::max)
    }

    /// A text in lines that are no wider than this: broken between words, else after a mark in a long word, else
    /// anywhere. There is always a line.
    pub(super) fn wrap(&self, text: &str, size: f32, width: f32) -> Vec<Line> {
        let space = self.advance(' ') * size;
        let mut lines = Vec::new();
        let (mut line, mut used) = (Line::default(), 0.0);
        for word in text.split_whitespace() {
            let mut before = if line.text.is_empty() { 0.0 } else { space };
            for piece in pieces(word) {
                let wide = self.width(piece, size);
                if used > 0.0 && used + before + wide > width {
                    if before > 0.0 {
                        line.text.push(' ');
                    }
                    lines.push(std::mem::take(&mut line));
                    (used, before) = (0.0, 0.0);
                }
                if before > 0.0 {
                    line.text.push(' ');
                    used += std::mem::take(&mut before);
                }
                for c in piece.chars() {
                    let advance = self.advance(c) * size;
                    if used > 0.0 && used + advance > width + 0.01 {
                        lines.push(std::mem::take(&mut line));
                        used = 0.0;
                    }
                    line.text.push(if self.letter(c).is_some() { c } else { char::REPLACEMENT_CHARACTER });
                    used += advance;
                }
            }
        }
        lines.push(line);
        lines
    }

    /// The glyphs of a line.
    pub(super) fn glyphs(&self, text: &str) -> Vec<KrillaGlyph> {
        let glyph = |(at, c): (usize, char)| {
            let Letter { glyph, advance } = self.letter(c).unwrap_or(self.replacement);
            let range = at..at + c.len_utf8();
            KrillaGlyph::new(GlyphId::new(glyph), advance, 0.0, 0.0, 0.0, range, None)
        };
        text.char_indices().map(glyph).collect()
    }
}

/// The parts of a word that a line may end after.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let long = word.chars().nth(LONG).is_some();
    word.split_inclusive(move |c: char| long && matches!(c, '-' | '/' | '_' | '.' | ':' | '@' | '='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_may() {
        let face = Faces::new().regular;
        let check = |text: &str, letters: f32, expected: &[&str]| {
            let lines = face.wrap(text, 10.0, face.width("n", 10.0) * letters);
            let lines: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
            assert_eq!(lines, expected, "{text}");
        };
        check("", 10.0, &[""]);
        check(" nnn \n\t nnn ", 10.0, &["nnn nnn"]);
        check("nnnn nnnn nnnn", 9.0, &["nnnn nnnn ", "nnnn"]);
        check("nn nnnnnnnnnnnnnnn nn", 10.0, &["nn ", "nnnnnnnnnn", "nnnnn nn"]);
        check("nnnn-nnnn", 5.0, &["nnnn-", "nnnn"]);
        check("nnnnn-nnnnn-nnnnn-nnnnn", 13.0, &["nnnnn-nnnnn-", "nnnnn-nnnnn"]);
        check("n", 0.0, &["n"]);
        // What is not to be shown, or not there, has a sign in its place.
        check("n\u{0}\u{202e}\u{4e2d}\u{200b}n", 20.0, &["n\u{fffd}\u{fffd}\u{fffd}\u{fffd}n"]);
        check("Łukasz Müller Ευα Иван – ✓ ‘’ Nguyễn", 50.0, &["Łukasz Müller Ευα Иван – ✓ ‘’ Nguyễn"]);
    }

    #[test]
    fn both_weights_have_the_same_letters() {
        let Faces { regular, bold } = Faces::new();
        let same = |(a, b): (&Option<Letter>, &Option<Letter>)| a.is_some() == b.is_some();
        assert!(regular.letters.iter().zip(&bold.letters).all(same));
    }
}
