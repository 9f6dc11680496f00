//! `sluis log retain` and `sluis log erase`: what the log lets go of.

use std::{process::ExitCode, sync::Arc};

use super::{
    ConfigFile, FAILED,
    who::{WhoArguments, find_school},
};
use crate::{
    answers::Answers,
    clock::Clock,
    config::Config,
    disclosure::{self, Due, Log, due},
};

#[derive(clap::Args)]
pub(super) struct Retain {
    #[command(flatten)]
    config: ConfigFile,
    /// Say what is due, and leave it
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
pub(super) struct Erase {
    #[command(flatten)]
    who: WhoArguments,
}

pub(super) fn retain(arguments: &Retain, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let config = arguments.config.load(clock.as_ref())?;
    if arguments.dry_run {
        let due = due(&config.data, config.retention, clock.today());
        say(&due.map_err(|error| failed(&config, &error))?, "due");
        return Ok(());
    }
    let log = open(&config, clock)?;
    let gone = log.retain();
    log.close();
    say(&gone.map_err(|error| failed(&config, &error))?, "erased");
    Ok(())
}

fn say(due: &Due, word: &str) {
    for month in &due.months {
        println!("{} {}: {} rows of {} days", month.brin, month.month, month.rows, month.days.len());
    }
    let rows: u64 = due.months.iter().map(|month| month.rows).sum();
    println!("{word}: {rows} rows, {} summaries of persons who have long gone", due.summaries);
}

pub(super) fn erase(arguments: &Erase, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let asked = arguments.who.read(clock)?;
    let config = &asked.config;
    let school = find_school(config, &arguments.who.school)?;
    let answers = Answers::open(config).map_err(|error| failed(config, &disclosure::Error::Open(error)))?;
    let person = asked.resolve(&answers, school, &arguments.who)?;
    let log = open(config, clock)?;
    let erased = log.erase_person(&school.brin, person.distinct().into_iter().collect());
    log.close();
    let erased = erased.map_err(|error| failed(config, &error))?;
    println!("{} rows and {} summaries erased", erased.rows, erased.summaries);
    if erased.unsealed > 0 {
        let rows = erased.unsealed;
        eprintln!(
            "{rows} rows are of a day that is not over and sealed yet, and still there; run this again tomorrow"
        );
    }
    if person.partial {
        eprintln!(
            "the log may have more of this person under another identifier or log key: run this again with --feed, a \
             feed of the school that has the person"
        );
    }
    if erased.unsealed > 0 || person.partial { Err(ExitCode::from(FAILED)) } else { Ok(()) }
}

fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Log, ExitCode> {
    Log::open(config.log_site(), Arc::clone(clock)).map_err(|error| failed(config, &error))
}

fn failed(config: &Config, error: &disclosure::Error) -> ExitCode {
    eprintln!("{}: {error}", config.data.display());
    ExitCode::from(FAILED)
}
