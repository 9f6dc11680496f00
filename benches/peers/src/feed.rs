//! Writes a feed of so many pupils to standard output: `feed PUPILS >FILE`. The same number gives the same bytes.

#[allow(dead_code, reason = "the other benches use the rest")]
#[path = "../../common/feed.rs"]
mod feed;

use std::io::{self, BufWriter};

use feed::{Encoding, Feed, Form};

fn main() -> io::Result<()> {
    let pupils = std::env::args().nth(1).and_then(|pupils| pupils.parse().ok());
    let pupils = pupils.ok_or_else(|| io::Error::other("usage: feed PUPILS"))?;
    let feed = Feed { form: Form::Uwlr, encoding: Encoding::Utf8, pupils };
    feed.write(BufWriter::new(io::stdout().lock()))
}
