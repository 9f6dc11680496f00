//! Keeps the memory of the process from everyone but root.
//!
//! While it works, a process of Sluis holds what it withholds from others: numbers and names of pupils, and the keys that
//! pseudonyms are made with. A core dump would put that in a file which nobody counts among those with pupils' data, and
//! so would another process of the same user that attaches to this one. Neither setting does the work of the other:
//!
//! - The limit on core files is what an operator sees (`/proc/<pid>/limits`), works on every Unix, and stays with what
//!   this process would start. Linux does not heed it where `core_pattern` names a program, as systemd's and Ubuntu's
//!   do.
//! - A process that is not dumpable leaves no dump there either, and only root may attach to it or read its memory.
//!   macOS has no such setting.

use rustix::{
    io,
    process::{Resource, Rlimit, setrlimit},
};

/// Sees to it that this process never leaves a core dump. To be called before it holds anything.
pub(super) fn refuse() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
