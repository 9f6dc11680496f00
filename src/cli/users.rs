//! `sluis users`: accounts of the review app.
//!
//! Passphrases come in on standard input alone, and are shown only where one was generated. What is done is on record
//! before the file changes, by whoever has the log open; names and secrets are in no leaf.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Subcommand};
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::{ConfigFile, FAILED, USAGE, access::Access, who::usage};
use crate::{
    clock::Clock,
    config::Config,
    control::Request,
    review::account::{
        AccountCode, AccountError, AccountEvent, Accounts, Factors, Passphrase, Role, Roll, Subject,
    },
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Add one; the passphrase on standard input. Prints what an authenticator app needs, once
    Add {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        assigned: Assigned,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Let whom the identity provider of [review.oidc] knows log in as one; its sessions end
    Link {
        #[command(flatten)]
        who: Who,
        /// What the provider calls the person: the claim `sub`, letter by letter
        #[arg(long, value_name = "SUB")]
        subject: String,
    },
    /// Which there are, and what for
    List(ConfigFile),
    /// Remove one: it logs in no more, and its sessions end. Its name stays, for the reviews it made
    Remove(Who),
    /// Give one another passphrase and authenticator app; its sessions end
    Reset {
        #[command(flatten)]
        who: Who,
        /// Only the authenticator app: the passphrase stays
        #[arg(long, conflicts_with = "generate")]
        only_code: bool,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Give one another role and other schools; its sessions end
    Role {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        assigned: Assigned,
    },
    /// Have one log in by no identity provider any more; its sessions end
    Unlink(Who),
}

#[derive(Args)]
pub(super) struct Who {
    #[command(flatten)]
    config: ConfigFile,
    /// The name to log in with
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Args)]
pub(super) struct Assigned {
    /// fg reads and attests, beheerder enters objections and agreements, goedkeurder approves
    #[arg(long, value_enum)]
    role: Role,
    /// BRIN of a school it is for; without any, it is for all
    #[arg(long = "school", value_name = "BRIN")]
    schools: Vec<String>,
}

#[derive(Args)]
pub(super) struct Chosen {
    /// Make a passphrase and print it, once
    #[arg(long)]
    generate: bool,
}

/// The file, and the log in which its changes are on record.
struct Book {
    config: Config,
    accounts: Accounts,
}

pub(super) fn run(command: &Command, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    match command {
        Command::Add { who, assigned, chosen } => {
            let book = Book::open(&who.config, clock)?;
            let schools = book.schools(assigned)?;
            let factors = chosen.factors(&who.name)?;
            let secrets = factors.secrets.clone();
            let add = |roll: &mut Roll| {
                let added = roll.add(&who.name, assigned.role, schools, secrets)?;
                Ok((added.code(), added.name.clone()))
            };
            let name = book.change(AccountEvent::Added, clock, add)?;
            println!("account added");
            factors.show(&name)
        }
        Command::Link { who, subject } => {
            let book = Book::open(&who.config, clock)?;
            let Some(oidc) = book.config.review.as_ref().and_then(|review| review.oidc.as_ref()) else {
                let file = who.config.config.display();
                eprintln!("{file}: has no [review.oidc]; add one to log in by an identity provider");
                return Err(ExitCode::from(FAILED));
            };
            let subject = Subject { issuer: oidc.issuer.clone(), sub: subject.clone() };
            book.link(&who.name, Some(subject), clock)?;
            println!("account linked; its sessions have ended");
            Ok(())
        }
        Command::List(config) => list(&Book::open(config, clock)?),
        Command::Remove(who) => {
            let book = Book::open(&who.config, clock)?;
            book.change(AccountEvent::Removed, clock, |roll| {
                let account = find(roll, &who.name)?;
                let (id, code, name) = (account.id, account.code(), account.name.clone());
                roll.remove(id).map(|()| (code, name))
            })?;
            println!("account removed; its name stays, for the reviews it made");
            Ok(())
        }
        Command::Reset { who, only_code, chosen } => {
            let book = Book::open(&who.config, clock)?;
            // Nobody types a passphrase for a name that is none.
            let roll = book.accounts.roll().map_err(|error| refused(&error))?;
            let name = find(&roll, &who.name).map_err(|error| refused(&error))?.name.clone();
            let factors = if *only_code { New::code()? } else { chosen.factors(&name)? };
            let secrets = factors.secrets.clone();
            let reset = |roll: &mut Roll| {
                let account = find(roll, &who.name)?;
                let (id, code, name) = (account.id, account.code(), account.name.clone());
                let mut secrets = secrets;
                if let (true, Some(kept)) = (*only_code, &account.factors) {
                    secrets.passphrase = kept.passphrase.clone();
                }
                roll.reset(id, secrets).map(|()| (code, name))
            };
            let name = book.change(AccountEvent::Changed, clock, reset)?;
            println!("account changed; its sessions have ended");
            factors.show(&name)
        }
        Command::Role { who, assigned } => {
            let book = Book::open(&who.config, clock)?;
            let schools = book.schools(assigned)?;
            book.change(AccountEvent::Changed, clock, |roll| {
                let account = find(roll, &who.name)?;
                let (id, code, name) = (account.id, account.code(), account.name.clone());
                roll.assign(id, assigned.role, schools).map(|()| (code, name))
            })?;
            println!("account changed; its sessions have ended");
            Ok(())
        }
        Command::Unlink(who) => {
            Book::open(&who.config, clock)?.link(&who.name, None, clock)?;
            println!("account linked no more; its sessions have ended");
            Ok(())
        }
    }
}

fn find<'r>(roll: &'r Roll, name: &str) -> Result<&'r crate::review::account::Account, AccountError> {
    roll.named(name).ok_or(AccountError::Unknown)
}

/// Says why not, and gives the status to end with.
fn refused(error: &AccountError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(match error {
        AccountError::Guessable
        | AccountError::Name
        | AccountError::Sub
        | AccountError::TooLong
        | AccountError::TooShort => USAGE,
        _ => FAILED,
    })
}

/// Why a change was not made; whatever is no [`AccountError`] has been said.
enum Unchanged {
    Account(AccountError),
    Said(ExitCode),
}

impl From<AccountError> for Unchanged {
    fn from(error: AccountError) -> Self {
        Self::Account(error)
    }
}

impl Book {
    fn open(file: &ConfigFile, clock: &Arc<dyn Clock>) -> Result<Self, ExitCode> {
        let config = file.load(clock.as_ref())?;
        let Some(review) = &config.review else {
            eprintln!("{}: has no [review]; add one to have accounts", file.config.display());
            return Err(ExitCode::from(FAILED));
        };
        let accounts = Accounts::new(review.accounts.clone());
        Ok(Self { config, accounts })
    }

    fn schools(&self, assigned: &Assigned) -> Result<Vec<String>, ExitCode> {
        for brin in &assigned.schools {
            super::who::find_school(&self.config, brin)?;
        }
        let mut schools = assigned.schools.clone();
        schools.sort();
        schools.dedup();
        Ok(schools)
    }

    fn link(&self, name: &str, subject: Option<Subject>, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
        let link = |roll: &mut Roll| {
            let account = find(roll, name)?;
            let (id, code, name) = (account.id, account.code(), account.name.clone());
            roll.link(id, subject).map(|()| (code, name))
        };
        self.change(AccountEvent::Changed, clock, link).map(drop)
    }

    /// Changes the accounts, on record first, and gives the name of the one that changed. Both under the lock of the
    /// file, so that what is on record is what is done.
    fn change(
        &self,
        event: AccountEvent,
        clock: &Arc<dyn Clock>,
        change: impl FnOnce(&mut Roll) -> Result<(AccountCode, String), AccountError>,
    ) -> Result<String, ExitCode> {
        let changed = self.accounts.change(|roll| {
            let (code, name) = change(roll)?;
            let access = Access::open(&self.config, clock).map_err(Unchanged::Said)?;
            let answer = access.ask(Request::Account { event, code });
            access.close();
            answer.map_err(Unchanged::Said)?;
            Ok(name)
        });
        changed.map_err(|unchanged| match unchanged {
            Unchanged::Account(error) => refused(&error),
            Unchanged::Said(code) => code,
        })
    }
}

fn list(book: &Book) -> Result<(), ExitCode> {
    let roll = book.accounts.roll().map_err(|error| refused(&error))?;
    for account in roll.all() {
        let role = if account.removed { "removed" } else { account.role.as_str() };
        let schools =
            if account.schools.is_empty() { "all schools".to_owned() } else { account.schools.join(" ") };
        // The first digits of what stands for it in the log.
        let linked = if account.subject.is_some() { "  linked" } else { "" };
        println!("{}  {role:11}  {}  {schools}{linked}", hex::encode(&account.code().0[..8]), account.name);
    }
    println!("{} accounts", roll.all().iter().filter(|account| !account.removed).count());
    Ok(())
}

/// What somebody is to log in with, and what of it is shown.
struct New {
    secrets: Factors,
    /// A passphrase that nobody has seen yet.
    generated: Option<Passphrase>,
}

impl Chosen {
    fn factors(&self, name: &str) -> Result<New, ExitCode> {
        let failed = |error: AccountError| refused(&error);
        let (passphrase, generated) = if self.generate {
            (None, Some(Passphrase::generate().map_err(failed)?))
        } else {
            (Some(ask(name)?), None)
        };
        let hashed = passphrase.as_ref().or(generated.as_ref()).expect("one of the two");
        Ok(New { secrets: Factors::of(hashed).map_err(failed)?, generated })
    }
}

impl New {
    /// Only the secret of an app; its passphrase, which nobody knows, is not used.
    fn code() -> Result<Self, ExitCode> {
        let nobody = Passphrase::generate().and_then(|passphrase| Factors::of(&passphrase));
        Ok(Self { secrets: nobody.map_err(|error| refused(&error))?, generated: None })
    }

    /// Shows what is shown once.
    fn show(&self, name: &str) -> Result<(), ExitCode> {
        let uri = self.secrets.totp.uri(name);
        let code = QrCode::with_error_correction_level(uri.as_bytes(), EcLevel::L)
            .expect("a name of 64 characters and a secret fit");
        // Light on dark, as terminals are.
        let image = code
            .render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .module_dimensions(1, 1)
            .build();
        let image = Zeroizing::new(image);
        if let Some(passphrase) = &self.generated {
            println!("passphrase: {}", passphrase.expose());
        }
        println!("scan this with an authenticator app, or give it the address below; neither is shown again");
        println!("{}\n{}", *image, *uri);
        io::stdout().flush().map_err(|error| {
            eprintln!("what is shown once could not be written ({}); run `sluis users reset`", error.kind());
            ExitCode::from(FAILED)
        })
    }
}

/// A passphrase from standard input: of a terminal twice and unseen, otherwise its first line.
fn ask(name: &str) -> Result<Passphrase, ExitCode> {
    let stdin = io::stdin();
    let chosen = |text: &str| Passphrase::chosen(text, name).map_err(|error| refused(&error));
    if !stdin.is_terminal() {
        let text = super::who::standard_input(LONGEST)?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains(['\n', '\r']) {
            return Err(usage("give one passphrase on standard input, and nothing else"));
        }
        return chosen(line);
    }
    let unseen = Unseen::new().map_err(|error| {
        usage(&format!("the terminal shows what is typed ({}); use another", error.kind()))
    })?;
    let first = unseen.line("passphrase, at least 15 characters: ")?;
    let passphrase = chosen(&first)?;
    let again = unseen.line("once more: ")?;
    if *first != *again {
        return Err(usage("the two are not the same; nothing was done"));
    }
    Ok(passphrase)
}

/// Bytes of a passphrase that are read.
const LONGEST: u64 = 2048;

/// A terminal that does not show what is typed, until this is dropped.
struct Unseen(rustix::termios::Termios);

impl Unseen {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }

    fn line(&self, prompt: &str) -> Result<Zeroizing<String>, ExitCode> {
        eprint!("{prompt}");
        let mut line = Zeroizing::new(String::with_capacity(4096));
        let read = io::stdin().read_line(&mut line);
        read.map_err(|error| usage(&format!("standard input cannot be read ({})", error.kind())))?;
        let end = line.trim_end_matches(['\n', '\r']).len();
        line.truncate(end);
        Ok(line)
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
