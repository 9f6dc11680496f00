//! `sluis report`: what the log answers, for an FG and for whom it is about. In Dutch: these are read by parents.

mod text;

use std::{io, ops::RangeInclusive, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Subcommand, ValueEnum};
use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

use super::{
    ConfigFile, FAILED, USAGE,
    access::Access,
    who::{WhoArguments, find_school, standard_input, usage},
};
use crate::{
    answers::{ALWAYS, Answers, Reading, evidence::EvidenceError},
    clock::Clock,
    config::{Config, Recipient},
    control::{Answer, Request},
};

/// The longest list of pseudonyms that is read.
const LONGEST_LIST: u64 = 64 * 1024 * 1024;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Who must be told of a correction: the recipients that hold something of a person
    Correctie {
        #[command(flatten)]
        who: WhoArguments,
        #[command(flatten)]
        format: Format,
    },
    /// What went where about a person
    Inzage {
        #[command(flatten)]
        who: WhoArguments,
        #[command(flatten)]
        period: Period,
        /// A new folder for evidence that others can check: `sluis log verify-proof`
        #[arg(long, value_name = "DIR")]
        proof: Option<PathBuf>,
        #[command(flatten)]
        format: Format,
    },
    /// Who is affected by a leak at a recipient; its pseudonyms on standard input, one a line
    Lek {
        #[command(flatten)]
        config: ConfigFile,
        /// Id of the recipient
        #[arg(long, value_name = "ID")]
        recipient: String,
        /// BRIN of the school; all when left out
        #[arg(long, value_name = "BRIN")]
        school: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Everything a recipient received
    Leverancier {
        #[command(flatten)]
        config: ConfigFile,
        /// Id of the recipient
        #[arg(long, value_name = "ID")]
        recipient: String,
        #[command(flatten)]
        period: Period,
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Args)]
pub(super) struct Period {
    /// First day, such as 2026-08-01
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Last day
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
}

#[derive(Args)]
pub(super) struct Format {
    /// Text to read, or JSON for other tools
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Json,
    Text,
}

impl Period {
    /// The days from the first to the last.
    pub(super) fn days(&self) -> Result<RangeInclusive<Date>, ExitCode> {
        let (from, until) = (self.from.unwrap_or(*ALWAYS.start()), self.until.unwrap_or(*ALWAYS.end()));
        if from > until {
            return Err(usage("--until is before --from"));
        }
        Ok(from..=until)
    }
}

/// What stands at the head of every report.
pub(super) struct Head {
    /// The reading's own transaction, in the log and on the report.
    reference: Uuid,
    days: RangeInclusive<Date>,
    made: Date,
}

pub(super) fn run(command: &Command, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    match command {
        Command::Correctie { who, format } => {
            let asked = who.read(clock)?;
            let school = find_school(&asked.config, &who.school)?;
            let reference = on_record(&asked.config, Reading::Correction, Some(&who.school), None, clock)?;
            let answers = open(&asked.config)?;
            let person = asked.resolve(&answers, school, who)?;
            let feed = who.feed.as_deref();
            let list = answers.worklist(school, &person, feed, clock).map_err(|error| unreadable(&error))?;
            let head = Head { reference, days: ALWAYS, made: clock.today() };
            format.print(&list, &head, || text::worklist(&list, feed.is_some()))
        }
        Command::Inzage { who, period, proof, format } => {
            let days = period.days()?;
            let asked = who.read(clock)?;
            let school = find_school(&asked.config, &who.school)?;
            let reference = on_record(&asked.config, Reading::Inzage, Some(&who.school), None, clock)?;
            let answers = open(&asked.config)?;
            let person = asked.resolve(&answers, school, who)?;
            let inzage = answers.inzage(&school.brin, &person, &days).map_err(|error| unreadable(&error))?;
            if let Some(folder) = proof {
                let written = answers.write_evidence(&school.brin, &person, &days, folder, text::README);
                let manifest = written.map_err(|error| {
                    eprintln!("{error}");
                    ExitCode::from(match error {
                        EvidenceError::Altered { .. } => FAILED,
                        EvidenceError::Unusable { .. } => USAGE,
                    })
                })?;
                eprintln!("bewijs van {} dagen in {}", manifest.days.len(), folder.display());
                for day in &manifest.unsealed {
                    eprintln!("  {day} is nog niet verzegeld: daarvan is er nog geen bewijs");
                }
            }
            let head = Head { reference, days, made: clock.today() };
            format.print(&inzage, &head, || text::inzage(&answers, &inzage))
        }
        Command::Lek { config, recipient, school, format } => {
            let config = config.load(clock.as_ref())?;
            let recipient = find_recipient(&config, recipient)?;
            let school = school.as_deref().map(|brin| find_school(&config, brin)).transpose()?;
            let given = standard_input(LONGEST_LIST)?;
            let brin = school.map(|school| school.brin.as_str());
            let reference = on_record(&config, Reading::Leak, brin, Some(&recipient.id), clock)?;
            let answers = open(&config)?;
            let leak = answers.leak(recipient, school.map(AsRef::as_ref), given.lines());
            let leak = leak.map_err(|error| unreadable(&error))?;
            let head = Head { reference, days: ALWAYS, made: clock.today() };
            format.print(&leak, &head, || text::leak(&leak))
        }
        Command::Leverancier { config, recipient, period, format } => {
            let days = period.days()?;
            let config = config.load(clock.as_ref())?;
            let recipient = find_recipient(&config, recipient)?;
            let reference = on_record(&config, Reading::Received, None, Some(&recipient.id), clock)?;
            let answers = open(&config)?;
            let received = answers.received(&recipient.id, &days).map_err(|error| unreadable(&error))?;
            let head = Head { reference, days, made: clock.today() };
            format.print(&received, &head, || text::received(&received))
        }
    }
}

impl Format {
    fn print<T: Serialize>(
        &self,
        answer: &T,
        head: &Head,
        body: impl FnOnce() -> String,
    ) -> Result<(), ExitCode> {
        if self.format == Form::Text {
            print!("{}{}", text::head(head), body());
            return Ok(());
        }
        #[derive(Serialize)]
        struct Document<'a, T> {
            reference: Uuid,
            made: Date,
            from: Option<Date>,
            until: Option<Date>,
            report: &'a T,
        }
        let document = Document {
            reference: head.reference,
            made: head.made,
            from: Some(*head.days.start()).filter(|from| from != ALWAYS.start()),
            until: Some(*head.days.end()).filter(|until| until != ALWAYS.end()),
            report: answer,
        };
        println!("{}", serde_json::to_string_pretty(&document).expect("texts, numbers and lists"));
        Ok(())
    }
}

/// Puts on record that the log is about to be read, and closes it again: where no other process has it, what is read
/// then stands still, and whatever day is over has been sealed.
pub(super) fn on_record(
    config: &Config,
    reading: Reading,
    school: Option<&str>,
    recipient: Option<&str>,
    clock: &Arc<dyn Clock>,
) -> Result<Uuid, ExitCode> {
    let access = Access::open(config, clock)?;
    let request =
        Request::Read { reading, school: school.map(str::to_owned), recipient: recipient.map(str::to_owned) };
    let answer = access.ask(request);
    access.close();
    match answer? {
        Answer::Done { reference } => Ok(reference),
        Answer::Erased { .. } | Answer::Refused { .. } => Err(ExitCode::from(FAILED)),
    }
}

fn open(config: &Config) -> Result<Answers<'_>, ExitCode> {
    Answers::open(config).map_err(|error| unreadable(&error))
}

pub(super) fn unreadable(error: &io::Error) -> ExitCode {
    eprintln!("the log cannot be read ({}); run `sluis log verify`", error.kind());
    ExitCode::from(FAILED)
}

fn find_recipient<'c>(config: &'c Config, id: &str) -> Result<&'c Arc<Recipient>, ExitCode> {
    let known = || config.recipients.iter().map(|known| known.id.as_str()).collect::<Vec<_>>().join(", ");
    let unknown = || usage(&format!("--recipient: not configured; there is {}", known()));
    config.recipient(id).ok_or_else(unknown)
}
