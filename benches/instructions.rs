//! One stage, so many times, and nothing else: for a tool that counts instructions. `tests/instructions` runs it.
//!
//! `instructions STAGE TIMES`, where STAGE is `decode`, `minimise` or `disclose`, over an answer of 250 pupils.
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure may as well panic")]

mod common;

use std::io;

use common::{
    feed::{Encoding, Feed, Form},
    stage::{Office, minimise, only_decode},
};
use sluis::exchange::disclose;

const PUPILS: usize = 250;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [stage, times] = &arguments[..] else { panic!("instructions STAGE TIMES") };
    let times: usize = times.parse().unwrap();
    let mut document = Vec::new();
    Feed { form: Form::Uwlr, encoding: Encoding::Utf8, pupils: PUPILS }.write(&mut document).unwrap();
    match stage.as_str() {
        "decode" => (0..times).for_each(|_| only_decode(&document)),
        "minimise" => {
            let office = Office::new();
            let delivery = office.delivery();
            (0..times).for_each(|_| minimise(&delivery, &document, PUPILS));
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
