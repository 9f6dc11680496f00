//! Writes a working directory with a school year on record: `cargo bench --bench fill -- DIR [--short]`.
//!
//! What [`common::year`] describes: 24 million rows, or a hundredth. `benches/peers/run log` serves it beside one with an
//! empty log. `DIR/rows` says how many rows there are.
#![allow(clippy::disallowed_methods, reason = "files of a bench need not last")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot write may as well panic")]

mod common;

use std::{fs, path::PathBuf};

use common::{
    is_short,
    year::{Plan, Year},
};

fn main() {
    // Cargo passes `--bench`.
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let directory = PathBuf::from(directory.expect("name the directory to write"));
    assert!(!directory.exists(), "{} is there already", directory.display());
    let year = Year::write(if is_short() { Plan::SHORT } else { Plan::FULL });
    let rows = year.log.stats().rows;
    year.close_last_day();
    fs::write(year.home.path("rows"), rows.to_string()).unwrap();
    fs::rename(year.home.path(""), directory).unwrap();
}
