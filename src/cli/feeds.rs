//! `sluis feeds`: what the feeds of a school began to hold that they never held before.

use std::{process::ExitCode, sync::Arc};

use jiff::Timestamp;

use super::{ConfigFile, access::standing, who::find_school};
use crate::clock::Clock;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// BRIN of the school
    #[arg(long, value_name = "BRIN")]
    school: String,
}

pub(super) fn run(arguments: &Arguments, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let config = arguments.config.load(clock.as_ref())?;
    let school = find_school(&config, &arguments.school)?;
    let standing = standing(&config, &school.brin)?;
    let standing = standing.load();
    for drift in standing.drift() {
        let at = i64::try_from(drift.at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let at = at.map(|at| at.to_string()).unwrap_or_default();
        println!("{at}  {}  {}  {}", drift.feed, drift.part, drift.reference);
    }
    println!("{} parts that were new", standing.drift().len());
    Ok(())
}
