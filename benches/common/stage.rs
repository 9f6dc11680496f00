//! The stages by themselves, over one document, and what a delivery needs to pass them.

use std::{convert::Infallible, hint::black_box, sync::Arc};

use sluis::{
    clock::{Clock, SystemClock},
    config::Config,
    decode::{self, Limits, decode},
    delivery::{Asked, Delivery},
    minimise::{Chunk, Minimiser, Outlet},
    standing::Ledger,
    token::Token,
};
use uuid::Uuid;

use super::Home;

/// All that outlives an exchange.
pub(crate) struct Office {
    pub(crate) home: Home,
    config: Config,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
}

impl Office {
    pub(crate) fn new() -> Self {
        let home = Home::new();
        let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
        let ledger = Ledger::reading(&config.data);
        Self { home, config, ledger, clock: Arc::new(SystemClock) }
    }

    /// A delivery of 99DE to noordzee, of whatever feed.
    pub(crate) fn delivery(&self) -> Delivery {
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

pub(crate) fn only_decode(document: &[u8]) {
    let mut drop_it = |token: Token<'_>| {
        black_box(token);
        Ok::<_, Infallible>(())
    };
    decode(document, None, &Limits::default(), &mut drop_it).unwrap();
}

/// Decode, policy, pseudonym, encode. So many pupils have to come out.
pub(crate) fn minimise(delivery: &Delivery, document: &[u8], pupils: usize) {
    let mut minimiser = Minimiser::new(delivery.scope(), Nowhere);
    let decoded: Result<(), decode::Error<_>> = decode(document, None, delivery.limits(), &mut minimiser);
    decoded.unwrap();
    minimiser.finish().unwrap();
    assert_eq!(minimiser.into_parts().0.released, pupils as u64);
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
