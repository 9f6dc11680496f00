//! `sluis keys`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Subcommand, ValueEnum};
use serde::Deserialize;

use super::{FAILED, USAGE, report};
use crate::{
    keys::{KeyRing, Purpose, is_brin},
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
        /// BRIN of the school
        #[arg(long)]
        school: String,
        /// What the key is for; both when left out
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
                    key.brin,
                    key.purpose.as_str(),
                    key.epoch,
                    key.check_value
                );
            }
        }
        Command::New { directory, school, purpose } => {
            if !is_brin(school) {
                eprintln!("--school: {school} is no BRIN; write two digits and two capitals, such as 99DE");
                return Err(ExitCode::from(USAGE));
            }
            let directory = directory.path()?;
            let purposes: &[Purpose] = match purpose {
                None => &[Purpose::Pseudonym, Purpose::Log],
                Some(PurposeWord::Log) => &[Purpose::Log],
                Some(PurposeWord::Pseudonym) => &[Purpose::Pseudonym],
            };
            for &purpose in purposes {
                let made = KeyRing::create(&directory, school, purpose).map_err(|error| {
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
