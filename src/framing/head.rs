//! The head of a message, line by line (RFC 9112, 2 to 6).

use memchr::memchr;

use super::{MAX_HEAD, MAX_HEADERS, Refusal};

/// How a message goes on after its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    AfterChunks,
    AfterLength(u64),
    /// It is no answer yet: another head follows.
    Interim,
    /// With the connection; answers only.
    WithConnection,
}

/// What the first line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Awaited { of: Message },
    Request { version: Version, content: bool },
    Answer { version: Version, status: u16 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Answer,
    Request,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

/// A head as it comes: each line is checked once it is whole, and forgotten but for how the message ends.
pub(super) struct Head {
    first: First,
    /// Where the line begins that has not been read yet.
    line: usize,
    /// How far its end has been looked for.
    searched: usize,
    /// Lines after the first.
    fields: usize,
    skipped: bool,
    chunked: bool,
    typed: bool,
    length: Option<u64>,
    /// Of the target, where it names one.
    authority: Option<Box<[u8]>>,
    host: Option<Box<[u8]>>,
}

impl Head {
    pub(super) fn request() -> Self {
        Self::of(Message::Request)
    }

    pub(super) fn answer() -> Self {
        Self::of(Message::Answer)
    }

    fn of(message: Message) -> Self {
        Self {
            first: First::Awaited { of: message },
            line: 0,
            searched: 0,
            fields: 0,
            skipped: false,
            chunked: false,
            typed: false,
            length: None,
            authority: None,
            host: None,
        }
    }

    /// Reads on. `bytes` begin where the head does, each time: how many are of the head, once it is whole.
    ///
    /// # Errors
    ///
    /// [`Refusal`], for the first line that is not in order, or for all of them together.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<(usize, Ends)>, Refusal> {
        while let Some(length) = memchr(b'\n', &bytes[self.searched..]) {
            let end = self.searched + length;
            if end >= MAX_HEAD {
                return Err(self.too_large());
            }
            let line = bytes[self.line..end].strip_suffix(b"\r").ok_or(Refusal::Ambiguous)?;
            (self.line, self.searched) = (end + 1, end + 1);
            match (self.first, line) {
                // Some clients end a body with an empty line that is not of it (RFC 9112, 2.2).
                (First::Awaited { of: Message::Request }, []) if !self.skipped => self.skipped = true,
                (First::Awaited { of: Message::Request }, _) => self.request_line(line)?,
                (First::Awaited { of: Message::Answer }, _) => self.status_line(line)?,
                (_, []) => return Ok(Some((self.line, self.ends()?))),
                _ => self.field(line)?,
            }
        }
        self.searched = bytes.len();
        if bytes.len() >= MAX_HEAD { Err(self.too_large()) } else { Ok(None) }
    }

    fn too_large(&self) -> Refusal {
        match self.first {
            First::Awaited { of: Message::Request } => Refusal::TargetTooLong,
            First::Awaited { of: Message::Answer } | First::Request { .. } | First::Answer { .. } => {
                Refusal::HeadTooLarge
            }
        }
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Ambiguous);
        };
        let version = version_of(version)?;
        let content = match method {
            b"OPTIONS" | b"PATCH" | b"POST" | b"PUT" | b"QUERY" => true,
            b"DELETE" | b"GET" | b"HEAD" | b"TRACE" => false,
            // A tunnel is no message: nothing after it would have an end.
            b"CONNECT" => return Err(Refusal::Ambiguous),
            _ if is_token(method) => return Err(Refusal::Method),
            _ => return Err(Refusal::Ambiguous),
        };
        let visible = |byte: &u8| byte.is_ascii_graphic() && !b"\"#<>\\".contains(byte);
        if !target.iter().all(visible) {
            return Err(Refusal::Ambiguous);
        }
        match target {
            [b'/', ..] => {}
            b"*" if method == b"OPTIONS" => {}
            _ => self.authority = Some(authority_of(target).ok_or(Refusal::Ambiguous)?.into()),
        }
        self.first = First::Request { version, content };
        Ok(())
    }

    fn status_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let (version, rest) = line.split_at_checked(8).ok_or(Refusal::Ambiguous)?;
        let version = version_of(version)?;
        let [b' ', digits @ ..] = rest else { return Err(Refusal::Ambiguous) };
        let (digits, reason) = digits.split_at_checked(3).ok_or(Refusal::Ambiguous)?;
        // Some servers leave the space out where no reason follows it. It is the last of the line either way.
        let whole = matches!(reason, [] | [b' ', ..]) && is_text(reason);
        let status = number_of(digits).filter(|status| whole && (100..600).contains(status));
        let status = status.and_then(|status| u16::try_from(status).ok()).ok_or(Refusal::Ambiguous)?;
        self.first = First::Answer { version, status };
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.fields += 1;
        if self.fields > MAX_HEADERS {
            return Err(Refusal::HeadTooLarge);
        }
        let colon = memchr(b':', line).ok_or(Refusal::Ambiguous)?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        // No token: a fold, which begins with white space; a space before the colon; no name.
        if !is_token(name) || !is_text(value) {
            return Err(Refusal::Ambiguous);
        }
        let Some(known) = Known::of(name)? else { return Ok(()) };
        let answers = matches!(self.first, First::Answer { .. });
        let sound = match known {
            Known::Connection => value.split(|byte| *byte == b',').map(trim).all(|option| {
                [&b"close"[..], b"keep-alive", b"te"].iter().any(|known| option.eq_ignore_ascii_case(known))
                    || (answers && option.eq_ignore_ascii_case(b"upgrade"))
            }),
            Known::ContentLength => {
                let length = number_of(value);
                length.is_some() && std::mem::replace(&mut self.length, length).is_none()
            }
            Known::ContentType => !std::mem::replace(&mut self.typed, true),
            Known::Expect if !matches!(self.first, First::Request { .. }) => false,
            Known::Expect if value.eq_ignore_ascii_case(b"100-continue") => true,
            Known::Expect => return Err(Refusal::Expectation),
            Known::Host => is_host(value) && self.host.replace(value.into()).is_none(),
            Known::TransferEncoding => {
                is_chunked(value)?;
                !std::mem::replace(&mut self.chunked, true)
            }
            Known::Http2Settings => false,
            // An answer may say what else the server speaks, as Apache does, and nothing comes of it: a 101 is refused.
            Known::Upgrade => answers,
        };
        if sound { Ok(()) } else { Err(Refusal::Ambiguous) }
    }

    /// All lines are in order each: are they together?
    fn ends(&self) -> Result<Ends, Refusal> {
        let Self { chunked, length, .. } = *self;
        let (First::Request { version, .. } | First::Answer { version, .. }) = self.first else {
            return Err(Refusal::Ambiguous);
        };
        if chunked && (length.is_some() || version == Version::Http10) {
            return Err(Refusal::Ambiguous);
        }
        let bodied = chunked || length.is_some_and(|length| length > 0);
        let whole = if chunked { Ends::AfterChunks } else { Ends::AfterLength(length.unwrap_or(0)) };
        let (sound, ends) = match self.first {
            First::Awaited { .. } => (false, whole),
            First::Request { content, .. } => {
                let hosted = match (&self.authority, &self.host) {
                    (None, host) => host.is_some() || version == Version::Http10,
                    (Some(authority), host) => {
                        host.as_ref().is_some_and(|host| host.eq_ignore_ascii_case(authority))
                    }
                };
                (hosted && (content || !bodied), whole)
            }
            First::Answer { status: 101, .. } => (false, whole),
            First::Answer { status: 100..=199, .. } => (!chunked && length.is_none(), Ends::Interim),
            First::Answer { status: 204 | 304, .. } => (!bodied, Ends::AfterLength(0)),
            First::Answer { .. } if chunked || length.is_some() => (true, whole),
            First::Answer { .. } => (true, Ends::WithConnection),
        };
        if sound { Ok(ends) } else { Err(Refusal::Ambiguous) }
    }
}

/// The headers that say where a message ends, to whom it goes or how it is read.
enum Known {
    Connection,
    ContentLength,
    ContentType,
    Expect,
    Host,
    Http2Settings,
    TransferEncoding,
    Upgrade,
}

impl Known {
    /// Which one a name is. One that only some readers take for it (`Content_Length`) is refused.
    fn of(name: &[u8]) -> Result<Option<Self>, Refusal> {
        let known = match name.len() {
            4 if alike(name, b"host") => Self::Host,
            6 if alike(name, b"expect") => Self::Expect,
            7 if alike(name, b"upgrade") => Self::Upgrade,
            10 if alike(name, b"connection") => Self::Connection,
            12 if alike(name, b"content-type") => Self::ContentType,
            14 if alike(name, b"content-length") => Self::ContentLength,
            14 if alike(name, b"http2-settings") => Self::Http2Settings,
            17 if alike(name, b"transfer-encoding") => Self::TransferEncoding,
            _ => return Ok(None),
        };
        if name.contains(&b'_') { Err(Refusal::Ambiguous) } else { Ok(Some(known)) }
    }
}

fn alike(name: &[u8], known: &[u8]) -> bool {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.iter().zip(known).all(|(byte, known)| dashed(*byte) == *known)
}

fn version_of(text: &[u8]) -> Result<Version, Refusal> {
    match text {
        b"HTTP/1.0" => Ok(Version::Http10),
        b"HTTP/1.1" => Ok(Version::Http11),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Refusal::Version),
        _ => Err(Refusal::Ambiguous),
    }
}

/// The authority of `http://authority/path`.
fn authority_of(target: &[u8]) -> Option<&[u8]> {
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)))?;
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
    is_host(&rest[..end]).then_some(&rest[..end])
}

/// `host`, `host:port` or the same with an IPv6 address: without user, and never empty.
fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value {
        [b'[', rest @ ..] => {
            let Some(end) = memchr(b']', rest) else { return false };
            let address = rest[..end].iter().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte));
            if !address || end == 0 {
                return false;
            }
            (&b"x"[..], &rest[end + 1..])
        }
        _ => value.split_at(memchr(b':', value).unwrap_or(value.len())),
    };
    let port = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    port && !host.is_empty() && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte))
}

/// Decimal digits without a leading zero, as many as no reader overflows on.
fn number_of(digits: &[u8]) -> Option<u64> {
    let sound = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.len() <= 18;
    if !sound || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// # Errors
///
/// Codings that end in one `chunked` are told as unknown (RFC 9112, 6.1), others as ambiguous (6.3).
fn is_chunked(value: &[u8]) -> Result<(), Refusal> {
    let mut codings = value.split(|byte| *byte == b',').map(trim);
    match (codings.next_back(), codings.next_back()) {
        (Some(b"chunked"), None) => Ok(()),
        (Some(b"chunked"), Some(before)) => {
            let other = |coding: &[u8]| is_token(coding) && !coding.eq_ignore_ascii_case(b"chunked");
            let others = other(before) && codings.all(other);
            Err(if others { Refusal::Coding } else { Refusal::Ambiguous })
        }
        _ => Err(Refusal::Ambiguous),
    }
}

fn is_token(name: &[u8]) -> bool {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(token)
}

/// No control character but the tab.
fn is_text(value: &[u8]) -> bool {
    value.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t')
}

/// Without the white space around it: spaces and tabs, and no other.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
