//! The log for a command: its own, or that of the process that has it open.

use std::{io, path::PathBuf, process::ExitCode, sync::Arc};

use super::FAILED;
use crate::{
    clock::Clock,
    config::Config,
    control::{self, Answer, Desk, Request},
    disclosure::{self, Log},
    standing::{Ledger, Register},
};

/// Where a command has things done.
pub(super) enum Access {
    /// By itself.
    Own(Desk),
    /// By the process that has the log open.
    Other(PathBuf),
}

impl Access {
    pub(super) fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, ExitCode> {
        match Log::open(config.log_site(), Arc::clone(clock)) {
            Ok(log) => {
                let ledger = Arc::new(Ledger::of(log.clone()));
                Ok(Self::Own(Desk { data: config.data.clone(), log, ledger, clock: Arc::clone(clock) }))
            }
            Err(disclosure::Error::Locked) => Ok(Self::Other(config.data.clone())),
            Err(error) => {
                eprintln!("{}: {error}; nothing was done", config.data.display());
                Err(ExitCode::from(FAILED))
            }
        }
    }

    /// Has it done. What was refused has been said.
    pub(super) fn ask(&self, request: Request) -> Result<Answer, ExitCode> {
        let answer = match self {
            Self::Own(desk) => desk.perform(request),
            Self::Other(data) => control::ask(data, &request).map_err(|error| {
                let what = match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                        "another sluis process has the log open that takes no requests; wait for it to end"
                    }
                    _ => "the sluis process that has the log open gave no answer; look at its messages",
                };
                eprintln!("{}: {what} ({})", data.display(), error.kind());
                ExitCode::from(FAILED)
            })?,
        };
        if let Answer::Refused { what } = answer {
            eprintln!("{what}");
            return Err(ExitCode::from(FAILED));
        }
        Ok(answer)
    }

    /// Lets go of the log.
    pub(super) fn close(self) {
        if let Self::Own(desk) = self {
            desk.log.close();
        }
    }
}

/// What stands for a school, beside whoever has the log open.
pub(super) fn standing(config: &Config, brin: &str) -> Result<Register, ExitCode> {
    Ledger::reading(&config.data).school(brin).map_err(|error| {
        eprintln!("{}: {error}", config.data.display());
        ExitCode::from(FAILED)
    })
}
