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
            let home = Home::new();
            (0..times).for_each(|_| minimise(&delivery(&home), &document));
        }
        "disclose" => {
            let home = Home::new();
            let log = home.log();
            for _ in 0..times {
                let delivery = delivery(&home);
                let disclosed = disclose(&delivery, &log, &document[..], None, io::sink()).unwrap();
                delivery.ended(&log, &disclosed, true, 200).unwrap();
            }
        }
        other => panic!("{other}: no such stage"),
    }
}

fn delivery(home: &Home) -> Delivery {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = Config::load(&home.path("sluis.toml"), clock.as_ref()).unwrap();
    let asked = Asked {
        school: config.school("99DE").unwrap(),
        dependance: None,
        recipient: config.recipient("noordzee").unwrap(),
        expected: None,
        transaction: Uuid::now_v7(),
        certificate: [0; 32],
    };
    Delivery::decide(&config, &Ledger::reading(&config.data), &asked, &clock).unwrap()
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
