//! Who a command is about. The identifier comes in on standard input alone: what stands on a command line is seen by
//! all who are on the machine.

use std::{
    io::{self, Read},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use super::{ConfigFile, FAILED, USAGE};
use crate::{
    answers::{Answers, Given, Known, Person, Unresolved, Who},
    catalogue,
    clock::Clock,
    config::{Config, School},
    disclosure::rowfile::Handle,
};

/// The longest identifier that is read.
const LONGEST: u64 = 4096;

/// The person, whose identifier is read from standard input.
#[derive(Args)]
pub(super) struct WhoArguments {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// BRIN of the school
    #[arg(long, value_name = "BRIN")]
    pub(super) school: String,
    /// What stands on standard input
    #[arg(long, value_enum)]
    by: By,
    /// It is a teacher's
    #[arg(long)]
    leerkracht: bool,
    /// A feed of the school, to look the person up in
    #[arg(long, value_name = "FILE")]
    pub(super) feed: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    /// An ECK iD, of the feed or of a recipient
    Eckid,
    /// What stands for the person in the log, in hexadecimal
    Handle,
    /// The key of the pupil administration
    Key,
    /// BSN or onderwijsnummer
    Pgn,
}

/// Who is asked about, read before anything is put on record.
pub(super) struct Asked {
    pub(super) config: Config,
    identifier: Zeroizing<String>,
}

impl WhoArguments {
    pub(super) fn read(&self, clock: &Arc<dyn Clock>) -> Result<Asked, ExitCode> {
        let config = self.config.load(clock.as_ref())?;
        let text = standard_input(LONGEST)?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        match (lines.next(), lines.next()) {
            (Some(line), None) => Ok(Asked { config, identifier: Zeroizing::new(line.to_owned()) }),
            _ => Err(usage("give one identifier on standard input, and nothing else")),
        }
    }
}

impl Asked {
    pub(super) fn resolve(
        &self,
        answers: &Answers<'_>,
        school: &School,
        who: &WhoArguments,
    ) -> Result<Person, ExitCode> {
        answers.resolve(&self.who(school, who)?).map_err(|error| unresolved(&error))
    }
}

impl Asked {
    /// What stands for the person under the newest log key.
    pub(super) fn subject(
        &self,
        answers: &Answers<'_>,
        school: &School,
        who: &WhoArguments,
    ) -> Result<(u16, Vec<Handle>), ExitCode> {
        answers.subject(&self.who(school, who)?).map_err(|error| unresolved(&error))
    }

    /// The same, with whatever the person can be named by.
    pub(super) fn known(
        &self,
        answers: &Answers<'_>,
        school: &School,
        who: &WhoArguments,
    ) -> Result<Known, ExitCode> {
        answers.known(&self.who(school, who)?).map_err(|error| unresolved(&error))
    }

    fn who<'a>(&self, school: &'a School, who: &'a WhoArguments) -> Result<Who<'a>, ExitCode> {
        let given = self.identifier.clone();
        let given = match who.by {
            By::Eckid => Given::EckId(given),
            By::Handle => {
                let mut handle = [0; 16];
                hex::decode_to_slice(given.as_bytes(), &mut handle)
                    .map_err(|_| usage("what was given is not of the form that --by says"))?;
                Given::Handle(handle)
            }
            By::Key => Given::Key(given),
            By::Pgn => Given::Pgn(given),
        };
        let person = if who.leerkracht { catalogue::Person::Leerkracht } else { catalogue::Person::Leerling };
        Ok(Who { school, person, given, feed: who.feed.as_deref() })
    }
}

fn unresolved(error: &Unresolved) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(match error {
        Unresolved::NotGivenOut | Unresolved::NotInFeed => FAILED,
        _ => USAGE,
    })
}

pub(super) fn find_school<'c>(config: &'c Config, brin: &str) -> Result<&'c Arc<School>, ExitCode> {
    let known = || config.schools.iter().map(|school| school.brin.as_str()).collect::<Vec<_>>().join(", ");
    let unknown = || usage(&format!("--school: not configured; there is {}", known()));
    config.school(brin).ok_or_else(unknown)
}

/// Reads standard input whole. What is in it is never shown.
pub(super) fn standard_input(limit: u64) -> Result<Zeroizing<String>, ExitCode> {
    let mut text = Zeroizing::new(String::new());
    let read = io::stdin().lock().take(limit + 1).read_to_string(&mut text);
    match read {
        Ok(read) if read as u64 <= limit => Ok(text),
        Ok(_) => Err(usage("standard input: too long")),
        Err(error) => Err(usage(&format!("standard input cannot be read ({})", error.kind()))),
    }
}

/// Says what was wrong with the call, and gives the status to end with.
pub(super) fn usage(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::from(USAGE)
}
