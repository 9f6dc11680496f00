//! Bytes of whatever encoding → UTF-8, with limits on everything.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Bounds on one document. Passing one is an error; nothing is cut off.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Elements inside one another.
    pub depth: usize,
    /// Bytes in the name of an element or attribute.
    pub name_bytes: usize,
    /// Attributes of one element.
    pub attributes: usize,
    /// Bytes of one value; a tag, a comment or the text between two tags may have four times as many.
    pub text_bytes: usize,
    /// Bytes of the whole document, as UTF-8.
    pub total_bytes: u64,
    /// Records in one document.
    pub records: u64,
    /// Bytes of one record as it is held in memory, some per element besides the values.
    pub record_bytes: usize,
}

impl Limits {
    /// Bytes of a tag, a comment, or text between two tags.
    pub(super) fn stretch(&self) -> usize {
        self.text_bytes.saturating_mul(4)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 32,
            name_bytes: 256,
            attributes: 64,
            text_bytes: 64 * 1024,
            total_bytes: 16 << 30,
            records: 2_000_000,
            record_bytes: 1 << 20,
        }
    }
}

/// The character encodings a document may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// ISO-8859-1, read as its superset windows-1252: files labelled so in the field hold curly quotes from
    /// Windows where ISO-8859-1 has unused control characters.
    Latin1,
    /// UTF-16 of either byte order; the byte order mark is obligatory.
    Utf16,
    /// UTF-8, with or without byte order mark.
    Utf8,
}

impl Charset {
    /// The encoding of an XML declaration or `charset` parameter; nothing for one Sluis does not take.
    pub fn parse(label: &str) -> Option<Self> {
        match label.trim().trim_matches('"').to_ascii_lowercase().as_str() {
            "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "windows-1252" | "cp1252" => {
                Some(Self::Latin1)
            }
            "utf-16" | "utf-16le" | "utf-16be" => Some(Self::Utf16),
            "utf-8" | "utf8" | "us-ascii" | "ascii" => Some(Self::Utf8),
            _ => None,
        }
    }
}

/// Why no more can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The encoding contradicts the declaration, the byte order mark or the Content-Type.
    Contradiction,
    /// The source failed.
    Io(io::ErrorKind),
    /// A stretch without end: a tag, comment or text longer than the limit.
    Stretch,
    /// The whole is too large.
    Total,
    /// An encoding Sluis does not take.
    Unsupported,
    /// Bytes that do not exist in the encoding.
    Undecodable,
}

/// Bytes read at a time.
const BUFFER: usize = 16 * 1024;
/// The XML declaration has to end within so many bytes.
const DECLARATION: usize = 256;
/// The longest character of UTF-8, less one byte.
const CARRY: usize = 3;

/// A document as UTF-8, of which a stretch is held: what has been read and not been consumed.
pub(super) struct Input<R> {
    source: R,
    raw: Box<[u8]>,
    raw_start: usize,
    raw_end: usize,
    /// The source has no more.
    ended: bool,
    /// What the document has no more after.
    stopped: Option<Stop>,
    /// Only for encodings other than UTF-8.
    transcoder: Option<Decoder>,
    charset: Charset,
    hint: Option<Charset>,
    started: bool,
    text: String,
    start: usize,
    stretch: usize,
    total: u64,
    total_limit: u64,
    /// Line ends in what is no longer held.
    lines: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R, hint: Option<Charset>, limits: &Limits) -> Self {
        Self {
            source,
            raw: vec![0; BUFFER].into_boxed_slice(),
            raw_start: 0,
            raw_end: 0,
            ended: false,
            stopped: None,
            transcoder: None,
            charset: Charset::Utf8,
            hint,
            started: false,
            text: String::with_capacity(2 * BUFFER),
            start: 0,
            stretch: limits.stretch(),
            total: 0,
            total_limit: limits.total_bytes,
            lines: 0,
        }
    }

    /// What is held.
    pub(super) fn text(&self) -> &str {
        &self.text[self.start..]
    }

    /// Lets go of the first bytes of it.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// The line, counted from 1, of a place in what is held.
    pub(super) fn line(&self, at: usize) -> u64 {
        self.lines + line_ends(&self.text.as_bytes()[..self.start + at]) + 1
    }

    /// Whether what the document declares is what it is.
    pub(super) fn declared(&self, label: &str) -> Result<(), Stop> {
        match Charset::parse(label) {
            None => Err(Stop::Unsupported),
            Some(charset) if charset == self.charset => Ok(()),
            Some(_) => Err(Stop::Contradiction),
        }
    }

    /// Holds more of the document; false when there is no more.
    ///
    /// What is held grows by half at least, or to the end: whoever looks again at what was not complete does not do so
    /// for each byte of a source that drips.
    pub(super) fn more(&mut self) -> Result<bool, Stop> {
        self.lines += line_ends(&self.text.as_bytes()[..self.start]);
        self.text.drain(..self.start);
        self.start = 0;
        let before = self.text.len();
        if !self.started {
            self.start()?;
        }
        if before > self.stretch {
            return Err(Stop::Stretch);
        }
        while self.text.len() <= before + before / 2 {
            if let Some(stop) = self.stopped {
                return if self.text.len() > before { Ok(true) } else { Err(stop) };
            }
            if self.ended && self.raw_start == self.raw_end && self.transcoder.is_none() {
                return Ok(self.text.len() > before);
            }
            let from = self.text.len();
            // What was read to tell the encoding by is decoded before more is.
            let read = if self.raw_end - self.raw_start > CARRY { Ok(()) } else { self.read() };
            if let Err(stop) = read.and_then(|()| self.decode()) {
                self.stopped = Some(stop);
            }
            self.total += (self.text.len() - from) as u64;
            if self.total > self.total_limit {
                self.stopped = Some(Stop::Total);
            }
        }
        Ok(true)
    }

    /// Reads from the source, behind what was read before and not decoded.
    fn read(&mut self) -> Result<(), Stop> {
        self.raw.copy_within(self.raw_start..self.raw_end, 0);
        self.raw_end -= self.raw_start;
        self.raw_start = 0;
        while !self.ended {
            match self.source.read(&mut self.raw[self.raw_end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => {
                    self.raw_end += read;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Io(error.kind())),
            }
        }
        Ok(())
    }

    /// Turns what was read into text.
    fn decode(&mut self) -> Result<(), Stop> {
        let raw = &self.raw[self.raw_start..self.raw_end];
        if let Some(decoder) = &mut self.transcoder {
            let room = decoder.max_utf8_buffer_length_without_replacement(raw.len());
            self.text.reserve(room.ok_or(Stop::Total)?);
            let (result, read) =
                decoder.decode_to_string_without_replacement(raw, &mut self.text, self.ended);
            self.raw_start += read;
            return match result {
                DecoderResult::InputEmpty => {
                    if self.ended {
                        self.transcoder = None;
                    }
                    Ok(())
                }
                DecoderResult::Malformed(..) => Err(Stop::Undecodable),
                DecoderResult::OutputFull => Ok(()),
            };
        }
        match std::str::from_utf8(raw) {
            Ok(text) => {
                self.text.push_str(text);
                self.raw_start = self.raw_end;
                Ok(())
            }
            Err(error) => {
                let (whole, rest) = raw.split_at(error.valid_up_to());
                self.text.push_str(std::str::from_utf8(whole).map_err(|_| Stop::Undecodable)?);
                self.raw_start += whole.len();
                // The rest of the last character is still to come.
                let incomplete = error.error_len().is_none() && rest.len() <= CARRY && !self.ended;
                if incomplete { Ok(()) } else { Err(Stop::Undecodable) }
            }
        }
    }

    /// Reads until the first bytes tell the encoding.
    fn start(&mut self) -> Result<(), Stop> {
        self.started = true;
        while self.raw_end < DECLARATION && !self.ended {
            self.read()?;
        }
        let head = &self.raw[..self.raw_end];
        let (marked, mark) = match head {
            [0xEF, 0xBB, 0xBF, ..] => (Some(Charset::Utf8), 3),
            [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => return Err(Stop::Unsupported),
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => (Some(Charset::Utf16), 2),
            // UTF-16 without its mark: which byte order is a guess, and Sluis does not guess.
            [0, b'<', ..] | [b'<', 0, ..] => return Err(Stop::Contradiction),
            _ => (None, 0),
        };
        self.charset = match (marked, self.hint) {
            (Some(marked), None) => marked,
            (Some(marked), Some(hint)) if marked == hint => marked,
            (Some(_), Some(_)) | (None, Some(Charset::Utf16)) => return Err(Stop::Contradiction),
            (None, Some(hint)) => hint,
            // Beyond the bound nothing is looked at: how much there is of it depends on who sent it how.
            (None, None) => match declared_encoding(&head[..head.len().min(DECLARATION)]) {
                None => Charset::Utf8,
                Some(label) => match Charset::parse(label) {
                    None => return Err(Stop::Unsupported),
                    Some(Charset::Utf16) => return Err(Stop::Contradiction),
                    Some(charset) => charset,
                },
            },
        };
        let encoding = match (self.charset, head) {
            (Charset::Utf8, _) => None,
            (Charset::Latin1, _) => Some(WINDOWS_1252),
            (Charset::Utf16, [0xFE, 0xFF, ..]) => Some(UTF_16BE),
            (Charset::Utf16, _) => Some(UTF_16LE),
        };
        self.transcoder = encoding.map(|encoding| encoding.new_decoder_without_bom_handling());
        self.raw_start = mark;
        Ok(())
    }
}

fn line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// The `encoding` of an XML declaration in bytes that are a superset of ASCII.
fn declared_encoding(head: &[u8]) -> Option<&str> {
    let head = head.strip_prefix(b"<?xml")?;
    let end = head.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(&head[..end]).ok()?;
    let (_, after) = declaration.split_once("encoding")?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    after[1..].split_once(quote).map(|(label, _)| label)
}
