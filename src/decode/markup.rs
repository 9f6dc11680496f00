//! The characters of XML 1.0, and what stands between `<` and `>`.
//!
//! Everything here looks at a stretch of text that may go on: where a construct is not complete, it says so, and is
//! asked again with more.

use std::ops::Range;

use super::error::Kind;

/// What a byte of text means to whoever looks for its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Itself.
    Plain,
    /// Itself, unless it is U+FFFE or U+FFFF that begins so, or `]]>`; a control character; a line end other than `\n`.
    Look,
    /// `&`.
    Reference,
    /// `<`.
    Markup,
}

/// Of each byte.
pub(super) static CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = Class::Look;
        byte += 1;
    }
    classes[b'\t' as usize] = Class::Plain;
    classes[b'\n' as usize] = Class::Plain;
    classes[0xEF] = Class::Look;
    classes[b']' as usize] = Class::Look;
    classes[b'&' as usize] = Class::Reference;
    classes[b'<' as usize] = Class::Markup;
    classes
};

/// XML 1.0, production 2.
pub(super) fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// XML 1.0, production 3.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Prefix and local name.
pub(super) fn split(name: &str) -> (Option<&str>, &str) {
    // Names are short: a search made for long texts takes longer.
    match name.bytes().position(|byte| byte == b':') {
        Some(at) => (Some(&name[..at]), &name[at + 1..]),
        None => (None, name),
    }
}

/// Whether a name is one: XML 1.0, production 5, with at most one colon, and not at its ends (Namespaces in XML 1.0,
/// production 7).
pub(super) fn is_name(name: &str) -> bool {
    let (prefix, local) = split(name);
    [prefix, Some(local)].into_iter().flatten().all(|part| {
        let mut characters = part.chars();
        characters.next().is_some_and(begins_name) && characters.all(continues_name)
    })
}

/// XML 1.0, production 4, without the colon.
fn begins_name(character: char) -> bool {
    matches!(
        character,
        'A'..='Z'
            | '_'
            | 'a'..='z'
            | '\u{C0}'..='\u{D6}'
            | '\u{D8}'..='\u{F6}'
            | '\u{F8}'..='\u{2FF}'
            | '\u{370}'..='\u{37D}'
            | '\u{37F}'..='\u{1FFF}'
            | '\u{200C}'..='\u{200D}'
            | '\u{2070}'..='\u{218F}'
            | '\u{2C00}'..='\u{2FEF}'
            | '\u{3001}'..='\u{D7FF}'
            | '\u{F900}'..='\u{FDCF}'
            | '\u{FDF0}'..='\u{FFFD}'
            | '\u{10000}'..='\u{EFFFF}'
    )
}

/// XML 1.0, production 4a, without the colon.
fn continues_name(character: char) -> bool {
    begins_name(character)
        || matches!(character, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// Lets through what may stand in a comment: XML 1.0, production 15.
pub(super) fn check_comment(text: &str) -> Result<(), Kind> {
    if text.contains("--") || text.ends_with('-') {
        return Err(Kind::NotWellFormed);
    }
    check_characters(text)
}

/// Lets through what may stand in a processing instruction that is no XML declaration: XML 1.0, productions 16 and 17.
pub(super) fn check_instruction(target: &str, content: &str) -> Result<(), Kind> {
    if target.eq_ignore_ascii_case("xml") || !is_name(target) {
        return Err(Kind::NotWellFormed);
    }
    check_characters(content)
}

fn check_characters(text: &str) -> Result<(), Kind> {
    if text.chars().all(is_character) { Ok(()) } else { Err(Kind::Character) }
}

/// How text is put down: as content (section 2.11) or as the value of an attribute (section 3.3.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// Line ends become `\n`, references are replaced.
    Content,
    /// The same, but nothing is a reference.
    CData,
    /// White space becomes blanks, references are replaced.
    Attribute,
}

/// Appends what a text stands for. On an error, part of it may have been.
pub(super) fn resolve(text: &str, how: As, out: &mut String) -> Result<(), Kind> {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| matches!(c, '&' | '\r' | '\t' | '\n') || !is_character(c)) {
        out.push_str(&rest[..at]);
        let mut after = rest[at..].chars();
        let found = after.next();
        rest = after.as_str();
        match found {
            Some('&') if how != As::CData => {
                let (reference, after) = rest.split_once(';').ok_or(Kind::NotWellFormed)?;
                out.push(referred(reference)?);
                rest = after;
            }
            Some('\r') => {
                out.push(if how == As::Attribute { ' ' } else { '\n' });
                rest = rest.strip_prefix('\n').unwrap_or(rest);
            }
            Some('\t' | '\n') if how == As::Attribute => out.push(' '),
            Some(itself @ ('&' | '\t' | '\n')) => out.push(itself),
            Some(_) | None => return Err(Kind::Character),
        }
    }
    out.push_str(rest);
    Ok(())
}

/// The character a reference stands for; `reference` is what stands between `&` and `;`.
fn referred(reference: &str) -> Result<char, Kind> {
    let number = |digits: &str, radix| {
        // `from_str_radix` takes a sign.
        let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let character =
            digits.and_then(|digits| u32::from_str_radix(digits, radix).ok()).and_then(char::from_u32);
        character.filter(|&character| is_character(character)).ok_or(Kind::Character)
    };
    match reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => match reference.strip_prefix('#') {
            Some(digits) => match digits.strip_prefix('x') {
                Some(digits) => number(digits, 16),
                None => number(digits, 10),
            },
            None => Err(Kind::Entity),
        },
    }
}

/// A part that has been found, or is not complete.
pub(super) type Found<T> = Result<Option<T>, Kind>;

/// An attribute in a tag, by its place in the text.
#[derive(Clone)]
pub(super) struct Attribute {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
    /// The value stands for itself.
    pub(super) plain: bool,
}

/// A start tag.
pub(super) struct Tag {
    pub(super) name: Range<usize>,
    /// `<name/>`.
    pub(super) empty: bool,
    /// Just after its `>`.
    pub(super) end: usize,
}

/// Bounds on a tag.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) name_bytes: usize,
    pub(super) attributes: usize,
}

/// Of each byte, whether a name ends before it.
static ENDS_NAME: [bool; 256] = {
    let mut ends = [false; 256];
    let those = b">/=<\"' \t\r\n";
    let mut at = 0;
    while at < those.len() {
        ends[those[at] as usize] = true;
        at += 1;
    }
    ends
};

/// The name that begins at `from`.
fn name(bytes: &[u8], from: usize, bounds: Bounds) -> Found<Range<usize>> {
    let length = bytes[from..].iter().position(|&byte| ENDS_NAME[usize::from(byte)]);
    match length {
        Some(0) => Err(Kind::NotWellFormed),
        Some(length) if length <= bounds.name_bytes => Ok(Some(from..from + length)),
        None if bytes.len() - from <= bounds.name_bytes => Ok(None),
        Some(_) | None => Err(Kind::Name),
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|&byte| is_space(byte)) {
        at += 1;
    }
    at
}

/// Reads the start tag whose name begins at `from`. Names are not checked here, beyond that they are there.
pub(super) fn tag(text: &str, from: usize, bounds: Bounds, attributes: &mut Vec<Attribute>) -> Found<Tag> {
    let bytes = text.as_bytes();
    attributes.clear();
    let Some(name) = name(bytes, from, bounds)? else { return Ok(None) };
    let mut at = name.end;
    if bytes[at] == b'>' {
        return Ok(Some(Tag { name, empty: false, end: at + 1 }));
    }
    loop {
        let next = skip_space(bytes, at);
        match bytes.get(next) {
            None => return Ok(None),
            Some(b'>') => return Ok(Some(Tag { name, empty: false, end: next + 1 })),
            Some(b'/') => {
                return match bytes.get(next + 1) {
                    None => Ok(None),
                    Some(b'>') => Ok(Some(Tag { name, empty: true, end: next + 2 })),
                    Some(_) => Err(Kind::NotWellFormed),
                };
            }
            // White space stands before each attribute.
            Some(_) if next == at => return Err(Kind::NotWellFormed),
            Some(_) => {}
        }
        if attributes.len() == bounds.attributes {
            return Err(Kind::Attributes);
        }
        let Some(attribute) = attribute(bytes, next, bounds)? else { return Ok(None) };
        let name = &text[attribute.name.clone()];
        if attributes.iter().any(|other| text[other.name.clone()] == *name) {
            return Err(Kind::NotWellFormed);
        }
        at = attribute.value.end + 1;
        attributes.push(attribute);
    }
}

fn attribute(bytes: &[u8], from: usize, bounds: Bounds) -> Found<Attribute> {
    let Some(name) = name(bytes, from, bounds)? else { return Ok(None) };
    let at = skip_space(bytes, name.end);
    match bytes.get(at) {
        None => return Ok(None),
        Some(b'=') => {}
        Some(_) => return Err(Kind::NotWellFormed),
    }
    let at = skip_space(bytes, at + 1);
    let quote = match bytes.get(at) {
        None => return Ok(None),
        Some(&quote @ (b'"' | b'\'')) => quote,
        Some(_) => return Err(Kind::NotWellFormed),
    };
    let from = at + 1;
    let length = memchr::memchr(quote, &bytes[from..]);
    let value = &bytes[from..length.map_or(bytes.len(), |length| from + length)];
    // Without a way out on the way, so that it goes many bytes at a time.
    let is_plain = |byte: u8| (byte >= b' ') & (byte != b'&') & (byte != b'<') & (byte != 0xEF);
    let plain = value.iter().fold(true, |plain, &byte| plain & is_plain(byte));
    if !plain && value.contains(&b'<') {
        return Err(Kind::NotWellFormed);
    }
    Ok(length.map(|_| Attribute { name, value: from..from + value.len(), plain }))
}

/// XML 1.0, production 81.
fn is_encoding_name(label: &str) -> bool {
    label.starts_with(|first: char| first.is_ascii_alphabetic())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// What an XML declaration says of the encoding; `declaration` is what stands between `<?xml` and `?>`.
///
/// XML 1.0, production 23: version, encoding, standalone, in that order, the first obligatory.
pub(super) fn declared_encoding(declaration: &str) -> Result<Option<&str>, Kind> {
    let mut rest = declaration;
    let mut part = |name: &str| -> Result<Option<&str>, Kind> {
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(after) = trimmed.strip_prefix(name) else { return Ok(None) };
        if trimmed.len() == rest.len() {
            return Err(Kind::NotWellFormed);
        }
        let after = after.trim_start_matches([' ', '\t', '\r', '\n']);
        let after = after.strip_prefix('=').ok_or(Kind::NotWellFormed)?;
        let after = after.trim_start_matches([' ', '\t', '\r', '\n']);
        let quote =
            ['"', '\''].into_iter().find(|&quote| after.starts_with(quote)).ok_or(Kind::NotWellFormed)?;
        let (value, after) = after[1..].split_once(quote).ok_or(Kind::NotWellFormed)?;
        rest = after;
        Ok(Some(value))
    };
    if !matches!(part("version")?, Some("1.0" | "1.1")) {
        return Err(Kind::NotWellFormed);
    }
    let encoding = part("encoding")?;
    if !encoding.is_none_or(is_encoding_name) {
        return Err(Kind::NotWellFormed);
    }
    if !matches!(part("standalone")?, None | Some("yes" | "no")) {
        return Err(Kind::NotWellFormed);
    }
    if rest.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
        Ok(encoding)
    } else {
        Err(Kind::NotWellFormed)
    }
}
