//! `sluis keys`.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Subcommand, ValueEnum};
use serde::Deserialize;

use super::{FAILED, USAGE, report};
use crate::{
    clock::Clock,
    config::Config,
    disclosure::Log,
    keys::{KeyRing, KeyStatus, NO_SCHOOL, Purpose, is_brin, key_epoch},
    problem::{Problem, toml_problem},
    standing::Ledger,
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Destroy an old key of the log: what it stood for in the log can never be linked to anyone again
    Destroy {
        #[command(flatten)]
        directory: Directory,
        /// BRIN of the school
        #[arg(long)]
        school: String,
        /// What the key is for: only one of the log can be destroyed
        #[arg(long, value_enum)]
        purpose: PurposeWord,
        /// Its epoch, as `sluis keys list` shows it; not the current one
        #[arg(long)]
        epoch: u16,
    },
    /// List the keys there are: school, purpose, epoch and check value, never the key
    List(Directory),
    /// Make the keys that a school has none of yet
    New {
        #[command(flatten)]
        directory: Directory,
        /// BRIN of the school; a key for checkpoints is of none
        #[arg(long, required_unless_present = "purpose")]
        school: Option<String>,
        /// What the key is for; when left out: pseudonyms and the log
        #[arg(long, value_enum)]
        purpose: Option<PurposeWord>,
    },
    /// Make the next key: from then on each pupil has another pseudonym, or another handle in the log
    Rotate {
        #[command(flatten)]
        directory: Directory,
        /// BRIN of the school; a key for checkpoints is of none
        #[arg(long)]
        school: Option<String>,
        /// What the key is for
        #[arg(long, value_enum)]
        purpose: PurposeWord,
    },
}

#[derive(clap::Args)]
pub(super) struct Directory {
    /// The configuration that names the directory of keys
    #[arg(long, value_name = "FILE", default_value = "sluis.toml")]
    config: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum PurposeWord {
    Checkpoint,
    Log,
    Pseudonym,
}

/// Only this line of the configuration counts here: keys must be makeable before the rest is in order.
#[derive(Deserialize)]
struct KeysLine {
    keys: PathBuf,
}

impl Directory {
    fn path(&self) -> Result<PathBuf, ExitCode> {
        let fail = |problem: Problem| {
            report(&[problem]);
            ExitCode::from(USAGE)
        };
        let text = std::fs::read_to_string(&self.config).map_err(|error| {
            let what = format!("cannot be read ({})", error.kind());
            fail(Problem::new(&self.config, what, "give the configuration with --config"))
        })?;
        let line: KeysLine =
            toml::from_str(&text).map_err(|error| fail(toml_problem(&self.config, &text, &error)))?;
        Ok(self.config.parent().map_or_else(|| line.keys.clone(), |base| base.join(&line.keys)))
    }
}

pub(super) fn run(command: &Command, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    match command {
        Command::Destroy { directory, school, purpose, epoch } => {
            let (brin, purpose) = owner(*purpose, Some(school))?;
            destroy(directory, brin, purpose, *epoch, clock)?;
        }
        Command::List(directory) => {
            let ring = KeyRing::load(&directory.path()?, &[]).map_err(|problems| {
                report(&problems);
                ExitCode::from(FAILED)
            })?;
            println!("{:6} {:10} {:>5}  {:8}  file", "school", "purpose", "epoch", "check");
            for key in ring.list() {
                let file = key.file.display();
                println!(
                    "{:6} {:10} {:>5}  {:8}  {file}",
                    if key.brin == NO_SCHOOL { "–" } else { key.brin.as_str() },
                    key.purpose.as_str(),
                    key.epoch,
                    key.check_value
                );
            }
        }
        Command::New { directory, school, purpose } => {
            let mut wanted = match (purpose, school) {
                (Some(purpose), school) => vec![owner(*purpose, school.as_deref())?],
                (None, school) => vec![
                    owner(PurposeWord::Pseudonym, school.as_deref())?,
                    owner(PurposeWord::Log, school.as_deref())?,
                    // The first school brings the key that signs the log.
                    owner(PurposeWord::Checkpoint, None)?,
                ],
            };
            let directory = directory.path()?;
            let there = KeyRing::newest(&directory).map_err(|error| unwritable(&directory, &error))?;
            wanted.retain(|(brin, purpose)| !there.contains_key(&((*brin).to_owned(), *purpose)));
            if wanted.is_empty() {
                eprintln!("all of these keys are there; `sluis keys rotate` makes the next of one");
            }
            make(&directory, &wanted)?;
        }
        Command::Rotate { directory, school, purpose } => {
            let (brin, purpose) = owner(*purpose, school.as_deref())?;
            make(&directory.path()?, &[(brin, purpose)])?;
            eprintln!("in force after a reload; the old key stays, to open what it made");
            if purpose != Purpose::Checkpoint && !recorded(directory, clock) {
                eprintln!(
                    "not on record yet, as the log cannot be opened now: the next start or reload does that"
                );
            }
        }
    }
    Ok(())
}

/// Whose key it is: one for checkpoints is of no school, any other of one.
fn owner(purpose: PurposeWord, school: Option<&str>) -> Result<(&str, Purpose), ExitCode> {
    let usage = |what: &str| {
        eprintln!("{what}");
        ExitCode::from(USAGE)
    };
    let purpose = match (purpose, school) {
        (PurposeWord::Checkpoint, None) => return Ok((NO_SCHOOL, Purpose::Checkpoint)),
        (PurposeWord::Checkpoint, Some(_)) => {
            return Err(usage("--purpose checkpoint: a key of no school; leave out --school"));
        }
        (PurposeWord::Log, _) => Purpose::Log,
        (PurposeWord::Pseudonym, _) => Purpose::Pseudonym,
    };
    match school {
        Some(brin) if is_brin(brin) => Ok((brin, purpose)),
        Some(_) => Err(usage("--school: no BRIN; write two digits and two capitals, such as 99DE")),
        None => Err(usage("--school is missing: the BRIN of the school the key is for")),
    }
}

/// Puts the keys in force on record, where that can be done.
fn recorded(directory: &Directory, clock: &Arc<dyn Clock>) -> bool {
    let Ok(config) = Config::load(&directory.config, clock.as_ref()) else { return false };
    let leaves = config.keys.in_force();
    let recorded = Log::open(config.log_site(), Arc::clone(clock)).and_then(|log| {
        let noted = log.note_key_epochs(leaves);
        log.close();
        noted
    });
    recorded.is_ok()
}

fn destroy(
    directory: &Directory,
    brin: &str,
    purpose: Purpose,
    epoch: u16,
    clock: &Arc<dyn Clock>,
) -> Result<(), ExitCode> {
    let refused = |what: &str| {
        eprintln!("{what}");
        ExitCode::from(USAGE)
    };
    if purpose != Purpose::Log {
        return Err(refused(
            "--purpose: pupils' pseudonyms and tokens need all their keys; only log can be destroyed",
        ));
    }
    let config = Config::load(&directory.config, clock.as_ref()).map_err(|problems| {
        report(&problems);
        ExitCode::from(FAILED)
    })?;
    let current = config.keys.current(brin, purpose).map_or(0, |(current, _)| current);
    if !(1..current).contains(&epoch) {
        let what = "--epoch: not an old key; make the next one with `sluis keys rotate` before this one goes";
        return Err(refused(what));
    }
    let failed = |what: String| {
        eprintln!("{what}");
        ExitCode::from(FAILED)
    };
    let data = config.data.display();
    // The log first: what cannot be put on record is not done.
    let log = Log::open(config.log_site(), Arc::clone(clock))
        .map_err(|error| failed(format!("{data}: {error}")))?;
    let standing =
        Ledger::of(log.clone()).school(brin).map_err(|error| failed(format!("{data}: {error}")))?;
    let entries = standing.load().rights().iter().filter(|right| right.epoch == epoch).count();
    if entries > 0 {
        log.close();
        return Err(refused(&format!(
            "--epoch: {entries} objections or consents stand under this key, and would keep all of {brin} in without it; lift \
             them, and enter anew those that still hold: `sluis rights list`"
        )));
    }
    let there = KeyRing::destroy(&config.keys_directory, brin, purpose, epoch).map_err(|error| {
        failed(format!(
            "{}: the key could not be destroyed ({})",
            config.keys_directory.display(),
            error.kind()
        ))
    })?;
    // Also where the key was gone already: the process may have ended between the two.
    let leaf = key_epoch(brin, purpose, epoch, KeyStatus::Destroyed);
    let noted = log.note_key_epochs(vec![leaf]);
    log.close();
    noted.map_err(|error| failed(format!("{data}: {error}; run this again to put it on record")))?;
    let what = if there { "destroyed" } else { "was gone already" };
    println!("log key {epoch} of {brin} {what}; on record");
    eprintln!("destroy its copies in your backups too");
    Ok(())
}

fn make(directory: &Path, wanted: &[(&str, Purpose)]) -> Result<(), ExitCode> {
    for &(brin, purpose) in wanted {
        let made =
            KeyRing::create(directory, brin, purpose).map_err(|error| unwritable(directory, &error))?;
        println!("{}", made.display());
    }
    Ok(())
}

fn unwritable(directory: &Path, error: &io::Error) -> ExitCode {
    let what = format!("no key could be written ({})", error.kind());
    report(&[Problem::new(directory, what, "make the directory, with mode 0700")]);
    ExitCode::from(FAILED)
}
