//! `sluis log`.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;

use super::progress::Bar;
use crate::disclosure::{VerifyError, verify};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Re-compute the whole log: 0 intact, 1 tampered or incomplete, 2 unreadable
    Verify {
        /// Folder of the log: `data` of the configuration
        data_dir: PathBuf,
    },
}

pub(super) fn run(command: &Command) -> Result<(), ExitCode> {
    let Command::Verify { data_dir } = command;
    let bar = Bar::new("verifying");
    let verified = verify(data_dir, &mut |done, total| bar.set(done, total));
    bar.finish();
    match verified {
        Ok(report) => {
            println!("{}: intact", data_dir.display());
            println!("  {} records, {} rows, {} deliveries", report.leaves, report.rows, report.deliveries);
            if report.unknown_outcomes + report.open > 0 {
                let (unknown, open) = (report.unknown_outcomes, report.open);
                println!(
                    "  {unknown} deliveries with unknown outcome, {open} without one yet: they count as disclosed"
                );
            }
            println!("  root {}", report.root);
            Ok(())
        }
        Err(error) => {
            match &error {
                VerifyError::Tampered(_) => {
                    eprintln!("{error}; keep these files, and compare them with your copy")
                }
                VerifyError::Unreadable(..) => {
                    eprintln!("{error}; name the `data` folder of the configuration")
                }
            }
            Err(ExitCode::from(error.exit_code()))
        }
    }
}
