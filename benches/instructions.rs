//! One stage, so many times, and nothing else: for a tool that counts instructions. `benches/instructions` runs it.
//!
//! `instructions STAGE TIMES`, where STAGE is `decode`, `minimise` or `disclose`, over an answer of 250 pupils.
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure may as well panic")]

mod common;

use std::{convert::Infallible, hint::black_box, io, sync::Arc};

use common::{
    Home,
    feed::{Encoding, Feed, Form},
};
use sluis::{
    clock::{Clock, SystemClock},
    config::Config,
    decode::{self, Limits, decode},
    delivery::{Asked, Delivery},
    exchange::disclose,
    minimise::{Chunk, Minimiser, Outlet},
    standing::Ledger,
    token::Token,
};
use uuid::Uuid;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [stage, times] = &arguments[..] else { panic!("instructions STAGE TIMES") };
    let times: usize = times.parse().unwrap();
    let mut document = Vec::new();
    Feed { form: Form::Uwlr, encoding: Encoding::Utf8, pupils: 250 }.write(&mut document).unwrap();
    match stage.as_str() {
        "decode" => (0..times).for_each(|_| only_decode(&document)),
        "minimise" => {
            let office = Office::new();
            let delivery = office.delivery();
            (0..times).for_each(|_| minimise(&delivery, &document));
        }
        "disclose" => {
            let office = Office::new();
            let log = office.home.log();
            for _ in 0..times {
                let delivery = office.delivery();
                let disclosed = disclose(&delivery, &log, &document[..], None, io::sink()).unwrap();
                delivery.ended(&log, &disclosed, true, 200).unwrap();
            }
        }
        other => panic!("{other}: no such stage"),
    }
}

/// All that outlives an exchange.
struct Office {
    home: Home,
    config: Config,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
}

impl Office {
    fn new() -> Self {
        let home = Home::new();
        let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
        let ledger = Ledger::reading(&config.data);
        Self { home, config, ledger, clock: Arc::new(SystemClock) }
    }

    fn delivery(&self) -> Delivery {
        let Self { config, ledger, clock, .. } = self;
        let asked = Asked {
            school: config.school("99DE").unwrap(),
            dependance: None,
            recipient: config.recipient("noordzee").unwrap(),
            expected: None,
            transaction: Uuid::now_v7(),
            certificate: [0; 32],
        };
        Delivery::decide(config, ledger, &asked, clock).unwrap()
    }
}

fn only_decode(document: &[u8]) {
    let mut drop_it = |token: Token<'_>| {
        black_box(token);
        Ok::<_, Infallible>(())
    };
    decode(document, None, &Limits::default(), &mut drop_it).unwrap();
}

fn minimise(delivery: &Delivery, document: &[u8]) {
    let mut minimiser = Minimiser::new(delivery.scope(), Nowhere);
    let decoded: Result<(), decode::Error<_>> = decode(document, None, delivery.limits(), &mut minimiser);
    decoded.unwrap();
    minimiser.finish().unwrap();
    assert_eq!(minimiser.into_parts().0.released, 250);
}

/// Takes chunks and forgets them.
struct Nowhere;

impl Outlet for Nowhere {
    type Error = Infallible;

    fn chunk(&mut self, chunk: Chunk) -> Result<(), Infallible> {
        black_box(chunk.document);
        black_box(chunk.rows);
        Ok(())
    }
}
