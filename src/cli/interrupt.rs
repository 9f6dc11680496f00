//! What a signal does to a command that writes pupils' data: nothing more leaves, what is partial is removed, and the
//! record says that it failed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// How long a command that was told to stop gets to say so in the log. It may be waiting for input that never comes.
const GRACE: Duration = Duration::from_secs(2);

/// SIGXFSZ, on Linux and macOS.
const FILE_SIZE_LIMIT: i32 = 25;

/// Lets a write past `ulimit -f` fail like any other. Without a handler the signal that comes with it kills the
/// process, which then removes nothing and records nothing.
pub(super) fn outlive_file_size_limit() {
    if let Ok(runtime) = Builder::new_current_thread().enable_io().build() {
        let _context = runtime.enter();
        // The handler stays when its receiver is gone. If there can be none, the process ends as it would have.
        let _ = signal(SignalKind::from_raw(FILE_SIZE_LIMIT));
    }
}

/// SIGINT and SIGTERM, for as long as the process lives.
pub(super) struct Interrupt {
    caught: AtomicU8,
    work: Mutex<Work>,
}

#[derive(Default)]
struct Work {
    partial: Option<PathBuf>,
    complete: bool,
}

impl Interrupt {
    /// Watches from now on.
    pub(super) fn watch() -> io::Result<Arc<Self>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate) = {
            let _context = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let this = Arc::new(Self { caught: AtomicU8::new(0), work: Mutex::default() });
        let watched = Arc::clone(&this);
        thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async move {
                let mut told = async || {
                    tokio::select! {
                        _ = interrupt.recv() => 2,
                        _ = terminate.recv() => 15,
                    }
                };
                let number = told().await;
                // From here on the command ends by itself, unless it waits for input or for a reader.
                watched.caught.store(number, Ordering::SeqCst);
                let _ = tokio::time::timeout(GRACE, told()).await;
                watched.end(number);
                // The output is whole, and only the record of that is still to be written.
                let number = told().await;
                exit(number);
            });
        })?;
        Ok(this)
    }

    /// The status to end with, once told to stop: 128 and the number of the signal, as shells have it.
    pub(super) fn status(&self) -> Option<u8> {
        match self.caught.load(Ordering::SeqCst) {
            0 => None,
            number => Some(128 + number),
        }
    }

    /// An error once told to stop.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.status() {
            None => Ok(()),
            // Not `Interrupted`: readers and writers try again after that.
            Some(_) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// A file that is to be removed unless [`Interrupt::complete`] is reached.
    pub(super) fn hold(&self, partial: &Path) {
        self.work().partial = Some(partial.to_owned());
    }

    /// Does the last of the work, after which nothing is partial. Nothing that may wait belongs in `finish`.
    pub(super) fn complete(&self, finish: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut work = self.work();
        finish()?;
        *work = Work { partial: None, complete: true };
        Ok(())
    }

    /// Removes what is held.
    pub(super) fn discard(&self) {
        if let Some(partial) = self.work().partial.take() {
            // A file that is not whole must not be taken for one that is.
            let _ = fs::remove_file(partial);
        }
    }

    fn end(&self, number: u8) {
        self.discard();
        if !self.work().complete {
            eprintln!("stopped by a signal; nothing more has left");
            exit(number);
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the process from a thread beside the one that does the work, which is waiting for what may never come.
fn exit(number: u8) -> ! {
    process::exit(128 + i32::from(number))
}

/// Reads until told to stop.
pub(super) struct Stoppable<'i, R> {
    source: R,
    interrupt: &'i Interrupt,
}

impl<'i, R> Stoppable<'i, R> {
    pub(super) fn new(source: R, interrupt: &'i Interrupt) -> Self {
        Self { source, interrupt }
    }
}

impl<R: io::Read> io::Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt.check()?;
        self.source.read(buffer)
    }
}
