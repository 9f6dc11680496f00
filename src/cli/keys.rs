//! `sluis keys`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Subcommand, ValueEnum};
use serde::Deserialize;

use super::{FAILED, USAGE, report};
use crate::{
    keys::{KeyRing, NO_SCHOOL, Purpose, is_brin},
    problem::{Problem, toml_problem},
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the keys there are: school, purpose, epoch and check value, never the key
    List(Directory),
    /// Make the next key of a school
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

pub(super) fn run(command: &Command) -> Result<(), ExitCode> {
    match command {
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
            let usage = |what: &str| {
                eprintln!("{what}");
                ExitCode::from(USAGE)
            };
            let brin = school.as_deref().unwrap_or(NO_SCHOOL);
            if school.is_some() && !is_brin(brin) {
                return Err(usage("--school: no BRIN; write two digits and two capitals, such as 99DE"));
            }
            let directory = directory.path()?;
            let mut wanted = match (purpose, &school) {
                (Some(PurposeWord::Checkpoint), None) => vec![(NO_SCHOOL, Purpose::Checkpoint)],
                (Some(PurposeWord::Checkpoint), Some(_)) => {
                    return Err(usage("--purpose checkpoint: a key of no school; leave out --school"));
                }
                (_, None) => return Err(usage("--school is missing: the BRIN of the school the key is for")),
                (Some(PurposeWord::Log), _) => vec![(brin, Purpose::Log)],
                (Some(PurposeWord::Pseudonym), _) => vec![(brin, Purpose::Pseudonym)],
                (None, _) => vec![(brin, Purpose::Pseudonym), (brin, Purpose::Log)],
            };
            // The first school brings the key that signs the log.
            let unsigned = |directory: &Path| {
                KeyRing::load(directory, &[]).is_ok_and(|ring| ring.current(NO_SCHOOL, Purpose::Checkpoint).is_none())
            };
            if purpose.is_none() && unsigned(&directory) {
                wanted.push((NO_SCHOOL, Purpose::Checkpoint));
            }
            for (brin, purpose) in wanted {
                let made = KeyRing::create(&directory, brin, purpose).map_err(|error| {
                    let what = format!("no key could be written ({})", error.kind());
                    report(&[Problem::new(&directory, what, "make the directory, with mode 0700")]);
                    ExitCode::from(FAILED)
                })?;
                println!("{}", made.display());
            }
        }
    }
    Ok(())
}
