//! `sluis agreements`: templates, what a version changes, and putting versions in force.

use std::{fs, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Subcommand, ValueEnum};

use super::{
    ConfigFile,
    access::{Access, standing},
    who::usage,
};
use crate::{
    clock::Clock,
    config::Config,
    control::{Answer, Request},
    policy::agreement::{Agreement, changes, parse_recorded},
    standing::Approval,
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Approve of a version that gives a recipient more than the one before
    Approve {
        #[command(flatten)]
        which: Which,
        /// Who approves of it; somebody other than its author
        #[arg(long, value_name = "NAME")]
        approver: String,
    },
    /// What a recipient would newly receive under a version, beside the one in force
    Diff {
        #[command(flatten)]
        which: Which,
        /// Beside this file instead
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// Which agreements there are, and what each needs
    List(ConfigFile),
    /// Print an agreement to start from
    Template {
        /// Which
        #[arg(value_enum)]
        name: Template,
        /// BRIN of the school
        #[arg(long, value_name = "BRIN")]
        school: String,
        /// Id of the recipient
        #[arg(long, value_name = "ID")]
        recipient: String,
    },
}

#[derive(Args)]
pub(super) struct Which {
    #[command(flatten)]
    config: ConfigFile,
    /// Id of the agreement
    #[arg(value_name = "ID")]
    id: String,
    /// Its version; the newest when left out
    #[arg(long, value_name = "N")]
    version: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Template {
    /// A hub, on gerechtvaardigd belang
    Hub,
    /// LVS set of UWLR 2.2
    #[value(name = "lvs-set-2.2")]
    LvsSet22,
    /// A platform with accounts
    Platform,
    /// Smalle set of UWLR 2.2
    #[value(name = "smalle-set-2.2")]
    SmalleSet22,
    /// Smalle set of UWLR 2.3
    #[value(name = "smalle-set-2.3")]
    SmalleSet23,
    /// A recipient by consent
    Toestemming,
    /// A recipient by law
    WettelijkeOntvanger,
}

impl Template {
    fn text(self) -> &'static str {
        match self {
            Self::Hub => include_str!("agreements/templates/hub.toml"),
            Self::LvsSet22 => include_str!("agreements/templates/lvs-set-2.2.toml"),
            Self::Platform => include_str!("agreements/templates/platform.toml"),
            Self::SmalleSet22 => include_str!("agreements/templates/smalle-set-2.2.toml"),
            Self::SmalleSet23 => include_str!("agreements/templates/smalle-set-2.3.toml"),
            Self::Toestemming => include_str!("agreements/templates/toestemming.toml"),
            Self::WettelijkeOntvanger => include_str!("agreements/templates/wettelijke-ontvanger.toml"),
        }
    }
}

pub(super) fn run(command: &Command, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    match command {
        Command::Approve { which, approver } => {
            let config = which.config.load(clock.as_ref())?;
            approve(&config, which.find(&config)?, approver, clock)
        }
        Command::Diff { which, against } => {
            let config = which.config.load(clock.as_ref())?;
            diff(&config, which.find(&config)?, against.as_ref())
        }
        Command::List(config) => list(&config.load(clock.as_ref())?),
        Command::Template { name, school, recipient } => {
            let text = name.text().replace("SCHOOL", school).replace("RECIPIENT", recipient);
            print!("{}", super::init::this_year(&text, clock.as_ref()));
            Ok(())
        }
    }
}

impl Which {
    fn find<'c>(&self, config: &'c Config) -> Result<&'c Agreement, ExitCode> {
        let all = config.agreements.all().iter().filter(|agreement| agreement.id == self.id);
        let wanted = all.filter(|agreement| self.version.is_none_or(|version| agreement.version == version));
        wanted.max_by_key(|agreement| agreement.version).map(AsRef::as_ref).ok_or_else(|| {
            let known: Vec<_> =
                config.agreements.all().iter().map(|agreement| agreement.id.as_str()).collect();
            usage(&format!("there is no such agreement; there is {}", known.join(", ")))
        })
    }
}

fn approve(
    config: &Config,
    agreement: &Agreement,
    approver: &str,
    clock: &Arc<dyn Clock>,
) -> Result<(), ExitCode> {
    if approver.trim().is_empty() || approver.chars().count() > 200 || approver.contains(char::is_control) {
        return Err(usage("--approver: give a name"));
    }
    let access = Access::open(config, clock)?;
    let request =
        Request::Approve { text: agreement.text.clone(), approver: Some(approver.trim().to_owned()) };
    let answer = access.ask(request);
    access.close();
    if let Answer::Done { reference } = answer? {
        println!("{} version {} is in force; on record under {reference}", agreement.id, agreement.version);
    }
    Ok(())
}

fn diff(config: &Config, agreement: &Agreement, against: Option<&PathBuf>) -> Result<(), ExitCode> {
    let before = match against {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| {
                usage(&format!("--against: {} cannot be read ({})", path.display(), error.kind()))
            })?;
            let parsed = parse_recorded(&text);
            Some(parsed.ok_or_else(|| usage(&format!("--against: {} is no agreement", path.display())))?)
        }
        None => {
            let standing = standing(config, &agreement.school)?;
            let standing = standing.load();
            standing.activated(&agreement.id).and_then(|activated| parse_recorded(&activated.text))
        }
    };
    match &before {
        None => println!("{} versie {}: er is nog geen versie van kracht", agreement.id, agreement.version),
        Some(before) => {
            println!("{} versie {}, naast versie {}", agreement.id, agreement.version, before.version);
        }
    }
    let found = changes(before.as_ref(), agreement);
    if found.is_empty() {
        println!("  geen verschil");
    }
    for change in &found {
        println!("  {} {}", if change.widens { '+' } else { '-' }, change.text);
    }
    let widening = found.iter().filter(|change| change.widens).count();
    if widening > 0 {
        println!("De ontvanger krijgt op {widening} punt(en) meer.");
    } else {
        println!("De ontvanger krijgt nergens meer.");
    }
    Ok(())
}

fn list(config: &Config) -> Result<(), ExitCode> {
    for agreement in config.agreements.all() {
        let standing = standing(config, &agreement.school)?;
        let approval = match standing.load().approval(agreement) {
            Approval::InForce => "in force",
            Approval::Needed => "waits for approval",
            Approval::Unrecorded => "goes in force with the next exchange",
        };
        let Agreement { id, version, from, until, .. } = agreement.as_ref();
        println!("{id} version {version}, {from} to {until}: {approval}");
    }
    Ok(())
}
