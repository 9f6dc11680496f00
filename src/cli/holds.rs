//! `sluis holds`: deliveries that differ so much from the one before that somebody has to decide.

use std::{process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{
    ConfigFile,
    access::{Access, standing},
    who::{find_school, usage},
};
use crate::{
    clock::Clock,
    control::{Answer, Request},
    standing::{Decision, Hold},
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Let the next delivery like it pass
    Approve(Decided),
    /// What is or was held, of each recipient the newest
    List {
        #[command(flatten)]
        config: ConfigFile,
        /// BRIN of the school
        #[arg(long, value_name = "BRIN")]
        school: String,
    },
    /// It was wrong: the next like it is held too
    Reject(Decided),
}

#[derive(Args)]
pub(super) struct Decided {
    #[command(flatten)]
    config: ConfigFile,
    /// The hold: the first column of `sluis holds list`
    #[arg(value_name = "ID")]
    id: Uuid,
    /// BRIN of the school
    #[arg(long, value_name = "BRIN")]
    school: String,
    /// Who decides
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) fn run(command: &Command, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    match command {
        Command::Approve(decided) => decide(decided, true, clock),
        Command::List { config, school } => list(config, school, clock),
        Command::Reject(decided) => decide(decided, false, clock),
    }
}

fn decide(decided: &Decided, approve: bool, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let config = decided.config.load(clock.as_ref())?;
    let school = find_school(&config, &decided.school)?;
    for (option, text) in [("--by", &decided.by), ("--reason", &decided.reason)] {
        let length = text.trim().chars().count();
        if !(1..=500).contains(&length) || text.contains(char::is_control) {
            return Err(usage(&format!("{option}: give it in one line")));
        }
    }
    let access = Access::open(&config, clock)?;
    let (by, reason) = (decided.by.trim().to_owned(), decided.reason.trim().to_owned());
    let request = Request::Decide { brin: school.brin.clone(), id: decided.id, approve, by, reason };
    let answer = access.ask(request);
    access.close();
    if let Answer::Done { reference } = answer? {
        let came = if approve { "approved: the next like it passes" } else { "rejected" };
        println!("{came}; on record under {reference}");
    }
    Ok(())
}

fn list(config: &ConfigFile, school: &str, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let config = config.load(clock.as_ref())?;
    let school = find_school(&config, school)?;
    let standing = standing(&config, &school.brin)?;
    for Hold { id, recipient, dependance, difference, decision, .. } in standing.load().holds() {
        let place = dependance.as_deref().map(|dependance| format!(" {dependance}")).unwrap_or_default();
        let decision = match decision {
            Decision::Approved(because) => format!("approved by {}: {}", because.by, because.reason),
            Decision::Open => "waits for a decision".into(),
            Decision::Rejected(because) => format!("rejected by {}: {}", because.by, because.reason),
        };
        println!(
            "{id}  {recipient}{place}  {} of {} pupils gone, {} of {} new or different{}; {decision}",
            difference.gone,
            difference.before,
            difference.changed,
            difference.now,
            if difference.fields.is_empty() {
                String::new()
            } else {
                format!(", not as often there or gone: {}", difference.fields.join(", "))
            }
        );
    }
    Ok(())
}
