//! A document decodes the same however it comes in, in bounded memory, to what another parser reads in it.
//!
//! The last two bytes are no part of the document: the first says the charset of the Content-Type (two bits), and whether
//! the limits are narrow; the second how many bytes a read gives.

use std::{collections::BTreeSet, io::Read};

use sluis::{
    decode::{Charset, DecodeError, Error, Kind, Limits, decode},
    token::Token,
};

use crate::{
    memory,
    second::{Second, Seen, text},
};

/// What decoding one document may take besides the document: buffers, one value, names and bindings.
const MEMORY: usize = 1024 * 1024;

const NARROW: Limits = Limits {
    depth: 8,
    name_bytes: 24,
    attributes: 4,
    text_bytes: 64,
    total_bytes: 2048,
    records: 3,
    record_bytes: 2048,
};

/// A source that gives a few bytes at a time.
struct Dribble<'a>(&'a [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(self.1).min(self.0.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Read1 {
    seen: Vec<Seen>,
    unknown: Vec<sluis::catalogue::NodeId>,
}

impl Read1 {
    fn take(&mut self, token: Token<'_>) {
        let seen = match token {
            Token::End => Seen::End,
            Token::Envelope => Seen::Envelope,
            Token::Fault(code) => Seen::Fault(code.to_owned()),
            Token::Feed(feed) => Seen::Feed(feed.index()),
            Token::Field { node, attribute, field, value } => {
                Seen::Field { node, attribute, field: field.index(), value: value.to_owned() }
            }
            Token::Group(node) => Seen::Group(node),
            Token::NoChanges(feed) => Seen::NoChanges(feed.index()),
            Token::NoData(feed) => Seen::NoData(feed.index()),
            Token::Record(record, node) => Seen::Record(record.index(), node),
            Token::SectionEnd(number) => Seen::SectionEnd(number),
            Token::Unknown(node) => return self.unknown.push(node),
        };
        self.seen.push(seen);
    }
}

fn read(source: impl Read, hint: Option<Charset>, limits: &Limits) -> (Read1, Result<(), DecodeError>) {
    let mut tokens = Read1::default();
    let done = decode(source, hint, limits, &mut |token: Token<'_>| {
        tokens.take(token);
        Ok::<_, ()>(())
    });
    let done = match done {
        Ok(()) => Ok(()),
        Err(Error::Decode(error)) => Err(error),
        Err(Error::Sink(())) => unreachable!("the sink takes all"),
    };
    (tokens, done)
}

pub fn run(data: &[u8]) {
    let (document, how) = data.split_at(data.len().saturating_sub(2));
    let [how, step] = how.try_into().unwrap_or([0, 0]);
    let hint = [None, Some(Charset::Utf8), Some(Charset::Latin1), Some(Charset::Utf16)][usize::from(how & 3)];
    let narrow = how & 4 != 0;
    let limits = if narrow { NARROW } else { Limits::default() };

    memory::within(MEMORY, || {
        let _ = decode(document, hint, &limits, &mut |_: Token<'_>| Ok::<_, ()>(()));
    });

    let (whole, ended) = read(document, hint, &limits);
    for size in [1, usize::from(step) + 2] {
        let (parts, parts_ended) = read(Dribble(document, size), hint, &limits);
        // How far a document without markup was read ahead when it was found too long depends on the buffer.
        let long = |ended: &Result<(), DecodeError>| {
            matches!(ended, Err(DecodeError { kind: Kind::Text | Kind::Size, .. }))
        };
        if narrow && (long(&ended) || long(&parts_ended)) {
            let shorter = whole.seen.len().min(parts.seen.len());
            assert_eq!(whole.seen[..shorter], parts.seen[..shorter], "by {size}");
            continue;
        }
        assert_eq!(parts_ended, ended, "by {size}");
        assert_eq!(parts, whole, "by {size}");
    }

    let text = text(document, hint);
    let second = text.as_deref().map(roxmltree::Document::parse);
    match (ended, second) {
        (Ok(()), Some(Ok(second))) => {
            let second = Second::read(&second);
            assert_eq!(whole.seen, second.seen);
            let places = |places: Vec<_>| places.into_iter().collect::<BTreeSet<_>>();
            assert_eq!(places(whole.unknown), places(second.unknown));
        }
        (Ok(()), None) => panic!("decoded what is not text"),
        (Ok(()), Some(Err(error))) => {
            panic!("decoded what is not well-formed: {error}");
        }
        (
            Err(DecodeError { kind: Kind::NotWellFormed | Kind::Truncated | Kind::Encoding, .. }),
            Some(Ok(_)),
        ) => {}
        (Err(_), _) => {}
    }
}
