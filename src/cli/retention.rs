//! `sluis log retain` and `sluis log erase`: what the log lets go of.

use std::{
    io::{self, Read},
    process::ExitCode,
    sync::Arc,
};

use clap::ValueEnum;
use zeroize::Zeroizing;

use super::{ConfigFile, FAILED, USAGE};
use crate::{
    clock::Clock,
    config::Config,
    disclosure::{self, Due, Log, due},
    keys::Purpose,
    pseudonym::{EckId, Identity, KeyKind, LogKeys, Pgn, PupilKey},
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
    config: ConfigFile,
    /// BRIN of the school of the pupil
    #[arg(long, value_name = "BRIN")]
    school: String,
    /// What the identifier on standard input is: what the school's pseudonyms are made from (`identity`)
    #[arg(long, value_enum)]
    by: By,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    /// The pupil's ECK iD
    Eckid,
    /// The pupil's key in the pupil administration
    Key,
    /// BSN or onderwijsnummer
    Pgn,
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
    let config = arguments.config.load(clock.as_ref())?;
    let brin = arguments.school.as_str();
    if config.school(brin).is_none() {
        let known: Vec<_> = config.schools.iter().map(|school| school.brin.as_str()).collect();
        eprintln!("--school: {brin} is not configured; there is {}", known.join(", "));
        return Err(ExitCode::from(USAGE));
    }
    let identity = identity(arguments.by)?;
    let keys = config.keys.all(brin, Purpose::Log);
    let handles = keys.map(|(epoch, key)| LogKeys::new(key, epoch, brin).subject_handle(&identity)).collect();
    let log = open(&config, clock)?;
    let erased = log.erase_person(brin, handles);
    log.close();
    let erased = erased.map_err(|error| failed(&config, &error))?;
    println!("{} rows and {} summaries erased", erased.rows, erased.summaries);
    if erased.unsealed > 0 {
        let rows = erased.unsealed;
        eprintln!(
            "{rows} rows are of a day that is not over and sealed yet, and still there; run this again tomorrow"
        );
        return Err(ExitCode::from(FAILED));
    }
    Ok(())
}

/// Who it is about. Of what cannot be read nothing is shown.
fn identity(by: By) -> Result<Identity, ExitCode> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    let read = io::stdin().lock().take(1024).read_to_string(&mut text).ok();
    let text = read.map(|_| text.trim());
    let identity = text.and_then(|text| match by {
        By::Eckid => EckId::parse(text).ok().map(Identity::EckId),
        By::Key => PupilKey::parse(text).ok().map(|key| Identity::LasKey(KeyKind::Leerling, key)),
        By::Pgn => Pgn::parse(text).ok().map(Identity::Pgn),
    });
    identity.ok_or_else(|| {
        eprintln!("standard input: no identifier of the kind that --by says; give one, and nothing else");
        ExitCode::from(USAGE)
    })
}

fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Log, ExitCode> {
    Log::open(config.log_site(), Arc::clone(clock)).map_err(|error| failed(config, &error))
}

fn failed(config: &Config, error: &disclosure::Error) -> ExitCode {
    eprintln!("{}: {error}", config.data.display());
    ExitCode::from(FAILED)
}
