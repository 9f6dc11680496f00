//! Bytes of whatever encoding → UTF-8, with limits on everything.

use std::{
    fmt,
    io::{self, BufRead, Read},
};

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
    /// Bytes of one value; also the longest run of a document without markup is at most four times this.
    pub text_bytes: usize,
    /// Bytes of the whole document, as UTF-8.
    pub total_bytes: u64,
    /// Records in one document.
    pub records: u64,
    /// Bytes of one record as it is held in memory, some per element besides the values.
    pub record_bytes: usize,
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

/// Why no more can be read. Carried through the XML reader inside an [`io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The encoding contradicts the declaration, the byte order mark or the Content-Type.
    Contradiction,
    /// A stretch without end: no markup within the limit.
    Stretch,
    /// The whole is too large.
    Total,
    /// An encoding Sluis does not take.
    Unsupported,
    /// Bytes that do not exist in the encoding.
    Undecodable,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Stop {}

/// Size of each of the two buffers.
const BUFFER: usize = 32 * 1024;
/// The XML declaration has to end within so many bytes.
const DECLARATION: usize = 256;

/// A reader of UTF-8 over a source of any of the three encodings.
pub(super) struct Input<R> {
    source: R,
    raw: Box<[u8]>,
    raw_start: usize,
    raw_end: usize,
    ended: bool,
    /// Only for encodings other than UTF-8, whose bytes are handed on where they stand.
    transcoder: Option<Transcoder>,
    charset: Charset,
    hint: Option<Charset>,
    started: bool,
    since_event: usize,
    stretch: usize,
    total: u64,
    total_limit: u64,
    line: u64,
}

struct Transcoder {
    decoder: Decoder,
    text: Box<[u8]>,
    start: usize,
    end: usize,
    finished: bool,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R, hint: Option<Charset>, limits: &Limits) -> Self {
        Self {
            source,
            raw: vec![0; BUFFER].into_boxed_slice(),
            raw_start: 0,
            raw_end: 0,
            ended: false,
            transcoder: None,
            charset: Charset::Utf8,
            hint,
            started: false,
            since_event: 0,
            stretch: limits.text_bytes.saturating_mul(4),
            total: 0,
            total_limit: limits.total_bytes,
            line: 1,
        }
    }

    /// Says that an event is complete; what follows counts anew.
    pub(super) fn event_done(&mut self) {
        self.since_event = 0;
    }

    /// Line of the next byte, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Whether what the document declares is what it is.
    pub(super) fn declared(&self, label: &str) -> Result<(), Stop> {
        match Charset::parse(label) {
            None => Err(Stop::Unsupported),
            Some(charset) if charset == self.charset => Ok(()),
            Some(_) => Err(Stop::Contradiction),
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        while self.raw_start == self.raw_end && !self.ended {
            match self.source.read(&mut self.raw) {
                Ok(0) => self.ended = true,
                Ok(read) => {
                    self.raw_start = 0;
                    self.raw_end = read;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads until the first bytes tell the encoding.
    fn start(&mut self) -> io::Result<()> {
        self.started = true;
        while self.raw_end < DECLARATION && !self.ended {
            match self.source.read(&mut self.raw[self.raw_end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.raw_end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let head = &self.raw[..self.raw_end];
        let (marked, mark) = match head {
            [0xEF, 0xBB, 0xBF, ..] => (Some(Charset::Utf8), 3),
            [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => {
                return Err(io::Error::other(Stop::Unsupported));
            }
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => (Some(Charset::Utf16), 2),
            // UTF-16 without its mark: which byte order is a guess, and Sluis does not guess.
            [0, b'<', ..] | [b'<', 0, ..] => return Err(io::Error::other(Stop::Contradiction)),
            _ => (None, 0),
        };
        self.charset = match (marked, self.hint) {
            (Some(marked), None) => marked,
            (Some(marked), Some(hint)) if marked == hint => marked,
            (Some(_), Some(_)) | (None, Some(Charset::Utf16)) => {
                return Err(io::Error::other(Stop::Contradiction));
            }
            (None, Some(hint)) => hint,
            (None, None) => match declared_encoding(head) {
                None => Charset::Utf8,
                Some(label) => match Charset::parse(label) {
                    None => return Err(io::Error::other(Stop::Unsupported)),
                    Some(Charset::Utf16) => return Err(io::Error::other(Stop::Contradiction)),
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
        self.raw_start = mark;
        self.transcoder = encoding.map(|encoding| Transcoder {
            decoder: encoding.new_decoder_without_bom_handling(),
            text: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            finished: false,
        });
        Ok(())
    }

    fn transcode(&mut self) -> io::Result<()> {
        loop {
            self.refill()?;
            let Some(transcoder) = &mut self.transcoder else { return Ok(()) };
            if transcoder.start < transcoder.end || transcoder.finished {
                return Ok(());
            }
            let last = self.ended;
            let raw = &self.raw[self.raw_start..self.raw_end];
            let (result, read, written) =
                transcoder.decoder.decode_to_utf8_without_replacement(raw, &mut transcoder.text, last);
            self.raw_start += read;
            transcoder.start = 0;
            transcoder.end = written;
            match result {
                DecoderResult::InputEmpty => transcoder.finished = last,
                DecoderResult::Malformed(..) => return Err(io::Error::other(Stop::Undecodable)),
                DecoderResult::OutputFull => {}
            }
        }
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = ready.len().min(out.len());
        out[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if !self.started {
            self.start()?;
        }
        if self.since_event > self.stretch {
            return Err(io::Error::other(Stop::Stretch));
        }
        if self.total > self.total_limit {
            return Err(io::Error::other(Stop::Total));
        }
        if self.transcoder.is_some() {
            self.transcode()?;
        } else {
            self.refill()?;
        }
        Ok(match &self.transcoder {
            Some(transcoder) => &transcoder.text[transcoder.start..transcoder.end],
            None => &self.raw[self.raw_start..self.raw_end],
        })
    }

    fn consume(&mut self, count: usize) {
        let bytes = match &mut self.transcoder {
            Some(transcoder) => {
                let from = transcoder.start;
                transcoder.start += count;
                &transcoder.text[from..from + count]
            }
            None => {
                let from = self.raw_start;
                self.raw_start += count;
                &self.raw[from..from + count]
            }
        };
        self.line += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.since_event += count;
        self.total += count as u64;
    }
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
