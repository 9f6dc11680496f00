//! `sluis log`.

mod export;
mod proof;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Subcommand;

use super::{
    USAGE,
    progress::Bar,
    retention::{self, Erase, Retain},
};
use crate::{
    clock::Clock,
    disclosure::{
        Against, VerifyError,
        note::{KeyError, Verifier},
        verify,
    },
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Erase all there is of one person, named on standard input
    Erase(Erase),
    /// Write deliveries, refusals and rows for other tools
    Export(Box<export::Arguments>),
    /// Summarise and erase the rows that are due, as a running gateway does by itself
    Retain(Retain),
    /// Re-compute the whole log: 0 intact, 1 tampered or incomplete, 2 unreadable
    Verify {
        /// Folder of the log: `data` of the configuration
        data_dir: PathBuf,
        /// A file with the public key it must be signed with; the log.vkey in the folder when left out
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// A checkpoint kept elsewhere, all of which the log must still hold: `log.copy` of the configuration
        #[arg(long, value_name = "FILE")]
        copy: Option<PathBuf>,
    },
    /// Check a folder of evidence, without the log: 0 proven, 1 not, 2 unreadable
    VerifyProof {
        /// The folder that `sluis report inzage --proof` wrote
        dir: PathBuf,
        /// A file with the public key of the log; the one in the folder when left out
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

pub(super) fn run(command: &Command, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    match command {
        Command::Erase(arguments) => retention::erase(arguments, clock),
        Command::Export(arguments) => export::run(arguments, clock),
        Command::Retain(arguments) => retention::retain(arguments, clock),
        Command::Verify { data_dir, key, copy } => {
            let key = key.as_deref().map(read_key).transpose()?;
            verify_log(data_dir, &Against { key, copy: copy.clone() })
        }
        Command::VerifyProof { dir, key } => proof::run(dir, key.as_deref()),
    }
}

fn verify_log(data_dir: &Path, against: &Against) -> Result<(), ExitCode> {
    let bar = Bar::new("verifying");
    let verified = verify(data_dir, against, &mut |done, total| bar.set(done, total));
    bar.finish();
    match verified {
        Ok(report) => {
            println!("{}: intact", data_dir.display());
            println!("  {} records, {} rows, {} deliveries", report.leaves, report.rows, report.deliveries);
            if report.seals + report.erased > 0 {
                println!("  {} days of schools sealed, {} rows erased", report.seals, report.erased);
            }
            if report.pruned > 0 {
                println!("  records before {} have gone by rule", report.pruned);
            }
            if report.summaries > 0 {
                println!("  {} summaries of what was erased", report.summaries);
            }
            if report.unknown_outcomes + report.open > 0 {
                let (unknown, open) = (report.unknown_outcomes, report.open);
                println!(
                    "  {unknown} deliveries with unknown outcome, {open} without one yet: they count as disclosed"
                );
            }
            println!("  {} signed the first {}", report.origin, report.signed);
            println!("  root {}", report.root);
            Ok(())
        }
        Err(error) => {
            match &error {
                VerifyError::Tampered(_) => {
                    eprintln!("{error}; keep these files, and compare them with your copy")
                }
                VerifyError::TooOld { .. } => eprintln!("{error}"),
                VerifyError::Unreadable(..) => {
                    eprintln!("{error}; name the `data` folder of the configuration")
                }
            }
            Err(ExitCode::from(error.exit_code()))
        }
    }
}

fn read_key(path: &Path) -> Result<Verifier, ExitCode> {
    let text = fs::read_to_string(path).map_err(|error| error.kind().to_string());
    text.and_then(|text| text.trim_end().parse().map_err(|error: KeyError| error.to_string())).map_err(
        |why| {
            eprintln!("{}: holds no public key of a log ({why})", path.display());
            ExitCode::from(USAGE)
        },
    )
}
