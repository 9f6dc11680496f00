//! What the benches share: the documents, a working directory to run in, the command line.
#![allow(dead_code, reason = "each bench uses its own part")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure may as well panic")]
#![allow(clippy::disallowed_methods, reason = "files of a bench need not last")]

pub(crate) mod feed;
pub(crate) mod stage;
pub(crate) mod year;

use std::{fs, path::PathBuf, process::Command, sync::Arc};

use sluis::{cli::init::init, clock::SystemClock, config::Config, disclosure::Log};

/// Whether `--short` was asked for: less of everything, for CI.
///
/// Anything else cargo or a person may pass (`--bench`, a filter) has no meaning to a bench that is one
/// table.
pub(crate) fn is_short() -> bool {
    std::env::args().skip(1).any(|argument| argument == "--short")
}

/// MiB in so many bytes.
pub(crate) fn mib(bytes: u64) -> f64 {
    const KIB: f64 = 1024.0;
    bytes as f64 / KIB / KIB
}

/// The most memory this process has had resident.
pub(crate) fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A working directory as `sluis init` makes it: school 99DE, supplier noordzee, the agreement that comes
/// with it.
///
/// It lies in the target directory, not in `/tmp`: that may be memory, and then no sync costs anything.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let dir =
            tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target directory is writable");
        init(&dir.path().join("home"), &SystemClock).expect("the directory is new");
        Self(dir)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("home").join(name)
    }

    /// The log, open for writing.
    pub(crate) fn log(&self) -> Log {
        let config = Config::load(&self.path("sluis.toml"), &SystemClock).expect("init wrote it");
        Log::open(config.log_site(), Arc::new(SystemClock)).expect("nobody else has it open")
    }

    /// The command, in this directory.
    pub(crate) fn sluis(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluis"));
        command.args(arguments).current_dir(self.path(""));
        command
    }
}
