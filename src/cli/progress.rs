//! A progress bar, where someone is looking.

use std::io::{self, IsTerminal, Read};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on a terminal's stderr; nothing elsewhere.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(what: &'static str) -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(0);
        let style =
            ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self(bar)
    }

    pub(super) fn set(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Reads from a source and moves a bar.
pub(super) struct Watched<'b, R> {
    source: R,
    total: u64,
    done: u64,
    bar: &'b Bar,
}

impl<'b, R> Watched<'b, R> {
    pub(super) fn new(source: R, total: u64, bar: &'b Bar) -> Self {
        Self { source, total, done: 0, bar }
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.done += read as u64;
        self.bar.set(self.done, self.total.max(self.done));
        Ok(read)
    }
}
