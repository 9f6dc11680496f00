//! The commands. Each returns the status the process ends with: 0 done, 1 failed or found wanting, 2 usage or
//! unreadable input, 3 refused by policy.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what a command line talks through")]

mod access;
mod agreements;
mod check;
mod demo;
mod dumps;
mod feeds;
mod holds;
pub mod init;
mod interrupt;
mod keys;
mod log;
mod minimise;
mod notices;
mod preview;
mod progress;
mod report;
mod retention;
mod rights;
mod serve;
mod supervisor;
mod users;
mod who;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::{Parser, Subcommand};

use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    problem::Problem,
};

/// The gateway between a school's pupil administration and its suppliers.
#[derive(Parser)]
#[command(name = "sluis", version, about, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Agreements: templates, what a version changes, approval
    Agreements {
        #[command(subcommand)]
        command: agreements::Command,
    },
    /// Read configuration, agreements, certificates and keys, and print every problem
    Check(ConfigFile),
    /// Everything on this machine in one process: a pupil administration, the gateway, two suppliers
    Demo(demo::Arguments),
    /// What the feeds of a school began to hold that they never held before
    Feeds(feeds::Arguments),
    /// Deliveries that are held because they differ too much from the one before
    Holds {
        #[command(subcommand)]
        command: holds::Command,
    },
    /// Write a working directory to start from
    Init {
        /// The directory; must not exist yet, or be empty
        dir: PathBuf,
    },
    /// Make, list and destroy keys
    Keys {
        #[command(subcommand)]
        command: keys::Command,
    },
    /// Verify the disclosure log, or evidence from it; export it; let go of what is due
    Log {
        #[command(subcommand)]
        command: log::Command,
    },
    /// Cut one feed file down to what a recipient may have, on record
    Minimise(minimise::Arguments),
    /// Notices to who holds something of a person: it was corrected, erased or restricted
    Notices {
        #[command(subcommand)]
        command: notices::Command,
    },
    /// Show what would become of each field of a feed file; nothing is disclosed or logged
    Preview(preview::Arguments),
    /// What the log and the agreements answer: inzage, datalek, ontvangers, verwerkingsregister, …
    Report {
        #[command(subcommand)]
        command: report::Command,
    },
    /// Objections, restrictions and consents
    Rights {
        #[command(subcommand)]
        command: rights::Command,
    },
    /// Serve suppliers until SIGTERM; SIGHUP reloads
    Serve(ConfigFile),
    /// Accounts of the review app
    Users {
        #[command(subcommand)]
        command: users::Command,
    },
}

/// Where the configuration is.
#[derive(clap::Args)]
pub(crate) struct ConfigFile {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "sluis.toml")]
    config: PathBuf,
}

impl ConfigFile {
    /// The one of this name.
    fn at(config: PathBuf) -> Self {
        Self { config }
    }

    /// Loads it, or prints every problem.
    fn load(&self, clock: &dyn Clock) -> Result<Config, ExitCode> {
        Config::load(&self.config, clock).map_err(|problems| {
            report(&problems);
            ExitCode::from(FAILED)
        })
    }
}

pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const REFUSED: u8 = 3;

/// Prints problems, one a line. Whoever started the process may have stopped listening: that is no reason to stop.
pub(crate) fn report(problems: &[Problem]) {
    let mut out = io::stderr().lock();
    for problem in problems {
        let _ = writeln!(out, "{problem}");
    }
    if problems.len() > 1 {
        let _ = writeln!(out, "{} problems", problems.len());
    }
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    if let Err(error) = dumps::refuse() {
        let why = error.kind();
        eprintln!(
            "a core dump of this process would hold pupils' data, and cannot be ruled out ({why}); let the sandbox it runs \
             in, such as a seccomp profile, allow setrlimit and prctl(PR_SET_DUMPABLE)"
        );
        return ExitCode::from(FAILED);
    }
    // The usual words of a panic may quote the text it stumbled over; the place says enough.
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
        eprintln!("a fault in sluis itself{at}; please report it");
    }));
    let Arguments { command } = Arguments::parse();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    interrupt::outlive_file_size_limit();
    let ended = match command {
        Command::Agreements { command } => agreements::run(&command, &clock),
        Command::Check(config) => check::run(&config, clock.as_ref()),
        Command::Demo(arguments) => demo::run(&arguments, &clock),
        Command::Feeds(arguments) => feeds::run(&arguments, &clock),
        Command::Holds { command } => holds::run(&command, &clock),
        Command::Init { dir } => init::run(&dir, clock.as_ref()),
        Command::Keys { command } => keys::run(&command, &clock),
        Command::Log { command } => log::run(&command, &clock),
        Command::Minimise(arguments) => minimise::run(&arguments, &clock),
        Command::Notices { command } => notices::run(&command, &clock),
        Command::Preview(arguments) => preview::run(&arguments, &clock),
        Command::Report { command } => report::run(&command, &clock),
        Command::Rights { command } => rights::run(&command, &clock),
        Command::Serve(config) => serve::run(&config, &clock),
        Command::Users { command } => users::run(&command, &clock),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}
