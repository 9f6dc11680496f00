//! `sluis minimise`: one feed file in, its minimised form out, on record.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use uuid::Uuid;

use super::{
    ConfigFile, FAILED, REFUSED, USAGE,
    progress::{Bar, Watched},
};
use crate::{
    clock::Clock,
    config::Config,
    delivery::{Asked, Delivery, NoDelivery},
    disclosure::Log,
    exchange::{Error, disclose},
    minimise::{Refusal, Summary},
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
                let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
                let (size, file) = opened.map_err(|error| {
                    eprintln!("{}: cannot be read ({})", path.display(), error.kind());
                    ExitCode::from(USAGE)
                })?;
                Ok((Box::new(file), size))
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
    let log_failed = |error: &crate::disclosure::Error| {
        eprintln!("{}: {error}; nothing has left", config.data.display());
        ExitCode::from(FAILED)
    };
    let asked = feed.asked(&config)?;
    let open_log = || Log::open(config.log_site(), Arc::clone(clock));
    let delivery = Delivery::decide(&config, &asked, clock).map_err(|reason| {
        // A refusal by policy is on record too. If it cannot be, it is refused all the same.
        let _ = open_log().and_then(|log| log.note_blocking(asked.refusal(clock.as_ref())));
        refused(reason)
    })?;
    let (source, size) = feed.open()?;
    let log = open_log().map_err(|error| log_failed(&error))?;
    let destination = Destination::open(arguments.output.as_deref()).map_err(|error| {
        eprintln!("the output cannot be written ({})", error.kind());
        ExitCode::from(USAGE)
    })?;
    let bar = Bar::new("minimising");
    let done = disclose(&delivery, &log, Watched::new(source, size, &bar), None, destination);
    bar.finish();
    let mut disclosed = match done {
        Ok(disclosed) => disclosed,
        Err(error) => {
            eprintln!("{}: {error}; nothing more has left", feed.name());
            return Err(ExitCode::from(status(&error)));
        }
    };
    let whole = disclosed.receiver.finish();
    let ended = delivery.ended(&log, &disclosed, whole.is_ok(), 0);
    log.close();
    if let Err(error) = whole {
        eprintln!("the output could not be completed ({})", error.kind());
        return Err(ExitCode::from(FAILED));
    }
    ended.map_err(|error| log_failed(&error))?;
    summarise(&disclosed.summary);
    Ok(())
}

/// Says why there is no delivery, and gives the status to end with.
pub(super) fn refused(reason: NoDelivery) -> ExitCode {
    eprintln!("refused: {reason}");
    ExitCode::from(REFUSED)
}

/// The status a failed disclosure ends with.
pub(super) fn status(error: &Error) -> u8 {
    match error {
        error if error.is_by_policy() => REFUSED,
        Error::Decode(_) | Error::Refused(Refusal::NotAFeed | Refusal::SecondFeed) => USAGE,
        Error::Log(_) | Error::Receiver(_) | Error::Refused(_) => FAILED,
    }
}

fn summarise(summary: &Summary) {
    eprintln!(
        "{} pupils released, {} withheld, {} teachers; on record",
        summary.released, summary.withheld, summary.staff
    );
    for (event, times) in summary.events.iter() {
        eprintln!("  {times} × {}", event.describe());
    }
}

/// Standard output, or a file that gets its name when it is complete.
enum Destination {
    File { file: BufWriter<File>, partial: PathBuf, name: PathBuf, finished: bool },
    Stdout(BufWriter<io::Stdout>),
}

impl Destination {
    fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self::Stdout(BufWriter::new(io::stdout())));
        };
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let partial = path.with_file_name(format!(".{}.partial", name.to_string_lossy()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        Ok(Self::File { file: BufWriter::new(file), partial, name: path.to_owned(), finished: false })
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File { file, partial, name, finished } => {
                file.flush()?;
                file.get_ref().sync_all()?;
                fs::rename(&*partial, &*name)?;
                *finished = true;
                let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty());
                File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
            }
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.write(bytes),
            Self::Stdout(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.flush(),
            Self::Stdout(out) => out.flush(),
        }
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Self::File { partial, finished: false, .. } = self {
            // A file that is not whole must not be taken for one that is.
            let _ = fs::remove_file(partial);
        }
    }
}
