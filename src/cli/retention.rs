//! `sluis log retain` and `sluis log erase`: what the log lets go of.

use std::{process::ExitCode, sync::Arc};

use super::{
    ConfigFile, FAILED,
    access::Access,
    notices::{Telling, tell},
    who::{WhoArguments, find_school},
};
use crate::{
    answers::Answers,
    clock::Clock,
    config::Config,
    control::{Answer, Desk, Request},
    disclosure::{self, Due, Log, due},
    standing::{HexHandle, Ledger, NoticeKind},
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
    let ledger = Arc::new(Ledger::of(log.clone()));
    let desk = Desk { data: config.data.clone(), log: log.clone(), ledger, clock: Arc::clone(clock) };
    let gone = log.retain();
    let old = desk.let_go(&config.schools, &config.terms);
    log.close();
    say(&gone.map_err(|error| failed(&config, &error))?, "erased");
    let old = old.map_err(|error| {
        eprintln!("{}: {error}", config.data.display());
        ExitCode::from(FAILED)
    })?;
    println!("{old} old entries of what stands");
    Ok(())
}

fn say(due: &Due, word: &str) {
    for month in &due.months {
        println!("{} {}: {} rows of {} days", month.brin, month.month, month.rows, month.days.len());
    }
    let rows: u64 = due.months.iter().map(|month| month.rows).sum();
    println!(
        "{word}: {rows} rows, {} summaries of persons who have long gone, {} of the oldest leaves",
        due.summaries, due.leaves
    );
}

pub(super) fn erase(arguments: &Erase, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let asked = arguments.who.read(clock)?;
    let config = &asked.config;
    let school = find_school(config, &arguments.who.school)?;
    let answers = Answers::open(config).map_err(|error| failed(config, &disclosure::Error::Open(error)))?;
    let person = asked.resolve(&answers, school, &arguments.who)?;
    let access = Access::open(config, clock)?;
    // The rows say who holds something of the person, so whoever does is told before they go.
    let told = tell(&Telling {
        kind: NoticeKind::Verwijdering,
        about: &|_| true,
        asked: &asked,
        who: &arguments.who,
        school,
        access: &access,
        clock,
    })?;
    let handles = person.distinct().into_iter().map(HexHandle).collect();
    let answer = access.ask(Request::Erase { brin: school.brin.clone(), handles });
    access.close();
    let Answer::Erased { rows, summaries, unsealed } = answer? else { return Err(ExitCode::from(FAILED)) };
    println!("{rows} rows and {summaries} summaries erased");
    if unsealed > 0 {
        eprintln!(
            "{unsealed} rows are of a day that is not over and sealed yet, and still there; run this again tomorrow"
        );
    }
    if person.partial {
        eprintln!(
            "the log may have more of this person under another identifier or log key: run this again with --feed, a \
             feed of the school that has the person"
        );
    }
    if unsealed > 0 || person.partial { Err(ExitCode::from(FAILED)) } else { told.all() }
}

fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Log, ExitCode> {
    Log::open(config.log_site(), Arc::clone(clock)).map_err(|error| failed(config, &error))
}

fn failed(config: &Config, error: &disclosure::Error) -> ExitCode {
    eprintln!("{}: {error}", config.data.display());
    ExitCode::from(FAILED)
}
