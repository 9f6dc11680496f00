//! In which form a report goes out: text or a page for people, JSON or CSV for other tools.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    answers::ALWAYS,
    cli::FAILED,
    report::{Head, Part, page, plain},
};

#[derive(Args)]
pub(in crate::cli) struct Format {
    /// Text to read, a page for a browser or for print, or JSON for other tools
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Html,
    Json,
    Text,
}

/// The same, for a report that is data first.
#[derive(Clone, Copy, Args)]
pub(in crate::cli) struct DataFormat {
    /// JSON or CSV for other tools, text to read, or a page for a browser or for print
    #[arg(long, value_enum, default_value = "json")]
    format: DataForm,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DataForm {
    Csv,
    Html,
    Json,
    Text,
}

impl Format {
    /// Prints a report in the form that was asked for.
    pub(super) fn print<T: Serialize>(
        &self,
        answer: &T,
        head: &Head,
        report: impl FnOnce() -> Part,
    ) -> Result<(), ExitCode> {
        print(match self.format {
            Form::Html => page(head, &report()),
            Form::Json => json(answer, head),
            Form::Text => plain(head, &report()),
        })
    }
}

impl DataFormat {
    /// Prints a report in the form that was asked for.
    pub(super) fn print<T: Serialize>(
        self,
        answer: &T,
        head: &Head,
        report: impl FnOnce() -> Part,
        csv: &dyn Fn(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), ExitCode> {
        print(match self.format {
            DataForm::Csv => {
                let mut out = Vec::new();
                csv(&mut out).expect("memory takes everything");
                String::from_utf8(out).expect("made of texts")
            }
            DataForm::Html => page(head, &report()),
            DataForm::Json => json(answer, head),
            DataForm::Text => plain(head, &report()),
        })
    }
}

fn json<T: Serialize>(answer: &T, head: &Head) -> String {
    #[derive(Serialize)]
    struct Document<'a, T> {
        reference: Option<Uuid>,
        made: Date,
        from: Option<Date>,
        until: Option<Date>,
        report: &'a T,
    }
    let days = head.days.as_ref();
    let document = Document {
        reference: head.reference,
        made: head.made,
        from: days.map(|days| *days.start()).filter(|from| from != ALWAYS.start()),
        until: days.map(|days| *days.end()).filter(|until| until != ALWAYS.end()),
        report: answer,
    };
    let mut text = serde_json::to_string_pretty(&document).expect("texts, numbers and lists");
    text.push('\n');
    text
}

/// Whoever reads may stop early; a report that is cut off for another reason is no report.
fn print(text: String) -> Result<(), ExitCode> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("standard output cannot be written ({})", error.kind());
            Err(ExitCode::from(FAILED))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
