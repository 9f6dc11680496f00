//! `sluis minimise`: one feed file in, its minimised form out, on record.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use uuid::Uuid;

use super::{
    ConfigFile, FAILED, REFUSED, USAGE,
    interrupt::{Interrupt, Stoppable},
    progress::{Bar, Watched},
};
use crate::{
    clock::Clock,
    config::Config,
    control::Desk,
    decode,
    delivery::{Asked, Delivery, NoDelivery},
    disclosure::{self, Log},
    exchange::{Error, disclose},
    minimise::{Refusal, Summary},
    standing::Ledger,
};

/// Which feed for whom.
#[derive(clap::Args)]
pub(super) struct Feed {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// BRIN of the school the feed is of
    #[arg(long, value_name = "BRIN")]
    school: String,
    /// Id of the recipient it is for
    #[arg(long, value_name = "ID")]
    recipient: String,
    /// The feed; `-` or nothing: standard input
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    feed: Feed,
    /// Where its minimised form goes; `-` or nothing: standard output. Appears under this name only when complete
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Feed {
    /// What is asked; for a school or recipient that is not configured, the status to end with.
    pub(super) fn asked<'c>(&self, config: &'c Config) -> Result<Asked<'c>, ExitCode> {
        let unknown = |what: String| {
            eprintln!("{what}");
            ExitCode::from(USAGE)
        };
        let school = config.school(&self.school);
        let school = school.ok_or_else(|| {
            let known: Vec<_> = config.schools.iter().map(|school| school.brin.as_str()).collect();
            unknown(format!("--school: {} is not configured; there is {}", self.school, known.join(", ")))
        })?;
        let recipient = config.recipient(&self.recipient).ok_or_else(|| {
            let known: Vec<_> = config.recipients.iter().map(|recipient| recipient.id.as_str()).collect();
            unknown(format!(
                "--recipient: {} is not configured; there is {}",
                self.recipient,
                known.join(", ")
            ))
        })?;
        Ok(Asked {
            school,
            dependance: None,
            recipient,
            expected: None,
            transaction: Uuid::now_v7(),
            certificate: [0; 32],
        })
    }

    /// The feed, and its size where it has one.
    pub(super) fn open(&self) -> Result<(Box<dyn Read>, u64), ExitCode> {
        match self.input.as_deref().filter(|path| *path != Path::new("-")) {
            None => Ok((Box::new(io::stdin().lock()), 0)),
            Some(path) => {
                let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
                let (metadata, file) = opened.map_err(|error| {
                    eprintln!("--input: {} cannot be read ({})", path.display(), error.kind());
                    ExitCode::from(USAGE)
                })?;
                if metadata.is_dir() {
                    eprintln!("--input: {} is a directory; name the file with the feed", path.display());
                    return Err(ExitCode::from(USAGE));
                }
                Ok((Box::new(file), metadata.len()))
            }
        }
    }

    /// The name of the input, for messages.
    pub(super) fn name(&self) -> String {
        let path = self.input.as_deref().filter(|path| *path != Path::new("-"));
        path.map_or_else(|| "standard input".into(), |path| path.display().to_string())
    }
}

pub(super) fn run(arguments: &Arguments, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let feed = &arguments.feed;
    let config = feed.config.load(clock.as_ref())?;
    let log_failed = |error: &disclosure::Error| {
        let data = config.data.display();
        match error {
            disclosure::Error::Locked => eprintln!(
                "{data}: another sluis process, such as `sluis serve`, is writing this log, and one writes at a time; stop \
                 it for as long as this takes, or let the supplier ask the gateway for its feed; nothing has left"
            ),
            error => eprintln!("{data}: {error}; nothing has left"),
        }
        ExitCode::from(FAILED)
    };
    let asked = feed.asked(&config)?;
    let open_log = || Log::open(config.log_site(), Arc::clone(clock));
    let decided = Delivery::decide(&config, &Ledger::reading(&config.data), &asked, clock);
    decided.map_err(|reason| {
        // A refusal by policy is on record too. If it cannot be, it is refused all the same.
        let recorded =
            open_log().and_then(|log| log.note_blocking(asked.refusal(reason.reason(), clock.as_ref())));
        let status = refused(reason);
        if recorded.is_err() {
            eprintln!(
                "{}: the log cannot be written, so this refusal is not on record",
                config.data.display()
            );
        }
        status
    })?;
    let (source, size) = feed.open()?;
    let interrupt = Interrupt::watch().map_err(|error| {
        eprintln!("signals cannot be watched ({})", error.kind());
        ExitCode::from(FAILED)
    })?;
    let destination =
        Destination::check(arguments.output.as_deref(), feed.input.as_deref()).map_err(|what| {
            eprintln!("--output: {what}");
            ExitCode::from(USAGE)
        })?;
    let log = open_log().map_err(|error| log_failed(&error))?;
    // What stands may have changed since; from now on nobody else changes it.
    let ledger = Arc::new(Ledger::of(log.clone()));
    let delivery = Delivery::decide(&config, &ledger, &asked, clock).map_err(refused)?;
    let desk = Desk { data: config.data.clone(), log: log.clone(), ledger, clock: Arc::clone(clock) };
    desk.activate_all(std::slice::from_ref(delivery.shared_agreement())).map_err(|error| {
        eprintln!("{}: {error}; nothing has left", config.data.display());
        ExitCode::from(FAILED)
    })?;
    let destination = destination.open(&interrupt).map_err(|error| {
        eprintln!("--output: cannot be written there ({})", error.kind());
        ExitCode::from(USAGE)
    })?;
    let bar = Bar::new("minimising");
    let source = Watched::new(Stoppable::new(source, &interrupt), size, &bar);
    let done = disclose(&delivery, &log, source, None, destination);
    bar.finish();
    let mut disclosed = match done {
        Ok(disclosed) => disclosed,
        Err(_) if let Some(status) = interrupt.status() => {
            log.close();
            eprintln!("{}: stopped by a signal; nothing more has left", feed.name());
            return Err(ExitCode::from(status));
        }
        Err(error) => {
            if let Error::Held(held) = &error
                && let Err(error) = delivery.hold(&desk.ledger, held)
            {
                eprintln!("{}: {error}; that it is held is not on record", config.data.display());
            }
            eprintln!("{}: {error}{}; nothing more has left", feed.name(), mend(&error));
            return Err(ExitCode::from(status(&error)));
        }
    };
    let whole = disclosed.receiver.finish();
    let ended = delivery.ended(&log, &disclosed, whole.is_ok(), 0);
    let new = delivery.note_feed(&desk.ledger, &disclosed.summary);
    log.close();
    if let Err(error) = whole {
        eprintln!("the output could not be completed ({})", error.kind());
        return Err(ExitCode::from(FAILED));
    }
    ended.map_err(|error| log_failed(&error))?;
    summarise(&disclosed.summary);
    match new {
        Ok(parts) => {
            for part in parts {
                eprintln!(
                    "  {part}: the feed never held this before; withheld, unless the agreement names it"
                );
            }
            Ok(())
        }
        Err(error) => {
            eprintln!("{}: {error}; what is new in the feed is not on record", config.data.display());
            Err(ExitCode::from(FAILED))
        }
    }
}

/// Says why there is no delivery, and gives the status to end with.
pub(super) fn refused(reason: NoDelivery) -> ExitCode {
    eprintln!("refused: {reason} ({})", reason.reason().rule().as_str());
    ExitCode::from(REFUSED)
}

/// The status a failed disclosure ends with.
pub(super) fn status(error: &Error) -> u8 {
    match error {
        error if error.is_by_policy() => REFUSED,
        Error::Decode(_) | Error::Refused(Refusal::NotAFeed | Refusal::SecondFeed) => USAGE,
        Error::Held(_)
        | Error::Log(_)
        | Error::Receiver(_)
        | Error::Refused(_)
        | Error::RightsChanged
        | Error::Withdrawn(_) => FAILED,
    }
}

/// What to do about a document that cannot be read, where its message does not say so.
pub(super) fn mend(error: &Error) -> &'static str {
    let Error::Decode(error) = error else { return "" };
    match error.kind {
        decode::Kind::NotAMessage => "; give a file as the pupil administration exports it, UWLR or EDEXML",
        decode::Kind::NotWellFormed => {
            "; give the file as it was exported: XML, with its declaration, if any, as the very first thing"
        }
        decode::Kind::Truncated => "; export it again, and see that all of it arrives",
        _ => "",
    }
}

fn summarise(summary: &Summary) {
    eprintln!(
        "{} pupils released, {} withheld, {} teachers; on record",
        summary.released, summary.withheld, summary.staff
    );
    if summary.kept_out > 0 {
        eprintln!("  {} kept out by an objection, a restriction or for want of consent", summary.kept_out);
    }
    for (event, times) in summary.events.iter() {
        eprintln!("  {times} × {}", event.describe());
    }
}

/// Where the output is to go, of which nothing has been touched yet.
enum Destination<'p> {
    File(&'p Path),
    Stdout,
}

impl<'p> Destination<'p> {
    /// Refuses what cannot be replaced by a file: a rename puts one in the place of a device, a pipe or a link too.
    fn check(path: Option<&'p Path>, input: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else { return Ok(Self::Stdout) };
        let shown = path.display();
        if path.file_name().is_none() {
            return Err(format!("{shown} is no name of a file; give one"));
        }
        let existing = match fs::symlink_metadata(path) {
            Ok(existing) => existing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::File(path)),
            Err(error) => return Err(format!("{shown} cannot be looked at ({})", error.kind())),
        };
        if !existing.is_file() {
            return Err(format!(
                "{shown} exists and is no regular file; to write to a pipe or a device use `--output -` and let the shell \
                 lead it there"
            ));
        }
        let same = |input: fs::Metadata| (input.dev(), input.ino()) == (existing.dev(), existing.ino());
        if input.and_then(|input| fs::metadata(input).ok()).is_some_and(same) {
            return Err(format!("{shown} is the input; give the output a name of its own"));
        }
        Ok(Self::File(path))
    }

    fn open(self, interrupt: &Arc<Interrupt>) -> io::Result<Output> {
        let (out, names): (Box<dyn Write>, _) = match self {
            Self::Stdout => (Box::new(io::stdout()), None),
            Self::File(name) => {
                // A name that no one can have put a file or a link at; on the same file system, for the rename.
                let partial = name.with_file_name(format!(".sluis-{}.partial", Uuid::now_v7()));
                interrupt.hold(&partial);
                let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
                let names = Names { file: file.try_clone()?, partial, name: name.to_owned() };
                (Box::new(file), Some(names))
            }
        };
        Ok(Output { out: BufWriter::new(out), names, interrupt: Arc::clone(interrupt) })
    }
}

/// A file that gets its name when it is complete.
struct Names {
    file: File,
    partial: PathBuf,
    name: PathBuf,
}

/// Standard output, or such a file.
struct Output {
    out: BufWriter<Box<dyn Write>>,
    names: Option<Names>,
    interrupt: Arc<Interrupt>,
}

impl Output {
    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()?;
        let Some(Names { file, partial, name }) = &self.names else {
            return self.interrupt.complete(|| Ok(()));
        };
        file.sync_all()?;
        self.interrupt.complete(|| fs::rename(partial, name))?;
        let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupt.check()?;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.interrupt.discard();
    }
}
