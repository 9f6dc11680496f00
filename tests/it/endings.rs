//! Exchanges that end otherwise than they should: each leaves the record it should, and room for the next.

use std::{io::Write, sync::Arc};

use sluis::{
    clock::{Clock, SystemClock},
    config::Config,
    delivery::{Asked, Delivery},
    disclosure::{Log, OutcomeStatus, read},
    exchange::disclose,
};

use crate::{documents::feed, gateway::PUPILS, home::Home};

fn outcomes(home: &Home) -> Vec<OutcomeStatus> {
    let mut outcomes = Vec::new();
    read(&home.path("data"), &mut |_, _| {}, &mut |_, leaf, _| {
        outcomes.extend(leaf.outcome().map(|outcome| outcome.status))
    })
    .unwrap();
    outcomes
}

/// A receiver in which something is wrong.
struct Panics;

impl Write for Panics {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        panic!("a fault of ours")
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_in_the_middle_is_on_record_as_failed() {
    let home = Home::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = Config::load(&home.path("sluis.toml"), clock.as_ref()).unwrap();
    let log = Log::open(&home.path("data"), Arc::clone(&clock)).unwrap();
    let asked = Asked {
        school: config.school("99DE").unwrap(),
        dependance: None,
        recipient: config.recipient("noordzee").unwrap(),
        expected: None,
        transaction: uuid::Uuid::nil(),
        certificate: [0; 32],
    };
    let delivery = Delivery::decide(&config, &asked, &clock).unwrap();
    let document = feed(PUPILS);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = disclose(&delivery, &log, document.as_bytes(), None, Panics);
    }));
    assert!(panicked.is_err());
    log.close();
    assert_eq!(outcomes(&home), [OutcomeStatus::Failed]);
}
