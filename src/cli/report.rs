//! `sluis report`: what the log and the agreements answer, for an FG and for whom it is about. What they say is made in
//! [`crate::report`]; here is what was asked, that it is on record, and how it goes out.

mod print;

use std::{io, ops::RangeInclusive, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use jiff::civil::Date;
use uuid::Uuid;

use super::{
    ConfigFile, FAILED, USAGE,
    access::Access,
    who::{WhoArguments, find_school, standard_input, usage},
};
use crate::{
    answers::{ALWAYS, Answers, Now, Reading, evidence::EvidenceError},
    clock::Clock,
    config::{Config, Recipient},
    control::{Answer, Request},
    register::Register,
    report::{Head, agreed, datalek, inzage, lists, portable},
    standing::{self, Ledger},
};
use print::{DataFormat, Format};

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
    /// What a breach at a recipient is about: how many, which data, since when; for the notices within 24 and 72 hours
    Datalek {
        #[command(flatten)]
        config: ConfigFile,
        /// Id of the recipient
        #[arg(long, value_name = "ID")]
        recipient: String,
        /// BRIN of the school; all when left out
        #[arg(long, value_name = "BRIN")]
        school: Option<String>,
        /// Only what is about the pseudonyms on standard input, one a line; all that was sent when left out
        #[arg(long)]
        pseudonyms: bool,
        #[command(flatten)]
        period: Period,
        #[command(flatten)]
        format: Format,
    },
    /// What was sent about a person, as data to take along
    Dataportabiliteit {
        #[command(flatten)]
        who: WhoArguments,
        #[command(flatten)]
        period: Period,
        #[command(flatten)]
        format: DataFormat,
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
    /// The overview of suppliers that a school publishes; reads no log
    Ontvangers(Agreed),
    /// The paragraph about suppliers for a school's privacy statement; reads no log
    Privacyverklaring(Agreed),
    /// The register of processing, as far as it passes here; reads no log
    Verwerkingsregister(Agreed),
}

/// A report that follows from the agreements of a school.
#[derive(Args)]
pub(super) struct Agreed {
    #[command(flatten)]
    config: ConfigFile,
    /// BRIN of the school
    #[arg(long, value_name = "BRIN")]
    school: String,
    #[command(flatten)]
    format: Format,
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

/// The head of a report on what the log was just read for.
fn head(reference: Uuid, days: RangeInclusive<Date>, clock: &Arc<dyn Clock>) -> Head {
    Head { reference: Some(reference), days: Some(days), made: clock.today() }
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
            let head = head(reference, ALWAYS, clock);
            format.print(&list, &head, || lists::worklist(&list, feed.is_some()))
        }
        Command::Datalek { config, recipient, school, pseudonyms, period, format } => {
            let days = period.days()?;
            let config = config.load(clock.as_ref())?;
            let recipient = find_recipient(&config, recipient)?;
            let school = school.as_deref().map(|brin| find_school(&config, brin)).transpose()?;
            let given = pseudonyms.then(|| standard_input(LONGEST_LIST)).transpose()?;
            let brin = school.map(|school| school.brin.as_str());
            let reference = on_record(&config, Reading::Leak, brin, Some(&recipient.id), clock)?;
            let answers = open(&config)?;
            let given = given.as_ref().map(|given| given.lines());
            let breach = answers.breach(recipient, school.map(AsRef::as_ref), &days, given);
            let breach = breach.map_err(|error| unreadable(&error))?;
            let head = head(reference, days, clock);
            let told = datalek::Told::new(&breach, &config, &Ledger::reading(&config.data), head.made);
            let told = told.map_err(|error| unknown(&error))?;
            format.print(&told, &head, || told.report())
        }
        Command::Dataportabiliteit { who, period, format } => {
            let days = period.days()?;
            portable(who, days, *format, clock)
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
                let written = answers.write_evidence(&school.brin, &person, &days, folder, inzage::README);
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
            let head = head(reference, days, clock);
            let ledger = Ledger::reading(&asked.config.data);
            let register = Register::of(&asked.config, &ledger, school, head.made);
            let register = register.map_err(|error| unknown(&error))?;
            let told = inzage::Told::new(&inzage, &answers, &asked.config, &ledger, &register);
            let told = told.map_err(|error| unknown(&error))?;
            format.print(&told, &head, || told.report())
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
            let head = head(reference, ALWAYS, clock);
            format.print(&leak, &head, || lists::leak(&leak))
        }
        Command::Leverancier { config, recipient, period, format } => {
            let days = period.days()?;
            let config = config.load(clock.as_ref())?;
            let recipient = find_recipient(&config, recipient)?;
            let reference = on_record(&config, Reading::Received, None, Some(&recipient.id), clock)?;
            let answers = open(&config)?;
            let received = answers.received(&recipient.id, &days).map_err(|error| unreadable(&error))?;
            let head = head(reference, days, clock);
            format.print(&received, &head, || lists::received(&received))
        }
        Command::Ontvangers(asked) => asked.print(clock, |register, _, head| {
            asked.format.print(&agreed::Public::new(register), head, || agreed::recipients(register))
        }),
        Command::Privacyverklaring(asked) => asked.print(clock, |register, _, head| {
            asked.format.print(&agreed::Public::new(register), head, || agreed::statement(register))
        }),
        Command::Verwerkingsregister(asked) => asked.print(clock, |register, config, head| {
            asked.format.print(register, head, || agreed::register(register, config))
        }),
    }
}

impl Agreed {
    fn print(
        &self,
        clock: &Arc<dyn Clock>,
        print: impl FnOnce(&Register<'_>, &Config, &Head) -> Result<(), ExitCode>,
    ) -> Result<(), ExitCode> {
        let config = self.config.load(clock.as_ref())?;
        let school = find_school(&config, &self.school)?;
        let head = Head { reference: None, days: None, made: clock.today() };
        let register = Register::of(&config, &Ledger::reading(&config.data), school, head.made);
        let register = register.map_err(|error| unknown(&error))?;
        print(&register, &config, &head)
    }
}

fn portable(
    who: &WhoArguments,
    days: RangeInclusive<Date>,
    format: DataFormat,
    clock: &Arc<dyn Clock>,
) -> Result<(), ExitCode> {
    let asked = who.read(clock)?;
    let school = find_school(&asked.config, &who.school)?;
    let reference = on_record(&asked.config, Reading::Portability, Some(&who.school), None, clock)?;
    let answers = open(&asked.config)?;
    let person = asked.resolve(&answers, school, who)?;
    let inzage = answers.inzage(&school.brin, &person, &days).map_err(|error| unreadable(&error))?;
    let now = |feed: &PathBuf| {
        let mut all: Vec<(String, Now)> = Vec::new();
        for recipient in &asked.config.recipients {
            let now = answers.now(school, recipient, &person, feed, clock);
            let now = now.map_err(|error| usage(&error.to_string()))?;
            all.extend(now.map(|now| (recipient.id.clone(), now)));
        }
        Ok::<_, ExitCode>(all)
    };
    let now = who.feed.as_ref().map(now).transpose()?;
    let portable = answers.portable(&inzage, now);
    let told = portable::Told::new(&portable, who.feed.is_some());
    let head = head(reference, days, clock);
    format.print(&told, &head, || told.report(), &|out| portable.write_csv(out))
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
    let request = Request::Read {
        reading,
        school: school.map(str::to_owned),
        recipient: recipient.map(str::to_owned),
        why: 0,
    };
    let answer = access.ask(request);
    access.close();
    match answer? {
        Answer::Done { reference } => Ok(reference),
        Answer::Erased { .. } | Answer::Refused { .. } => Err(ExitCode::from(FAILED)),
    }
}

/// What stands, such as which agreements are in force, cannot be told.
fn unknown(error: &standing::Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(FAILED)
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
