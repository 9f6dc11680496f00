//! In which form a report goes out: text, a page or a document for people, JSON or CSV for other tools.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::{
    Args, ValueEnum,
    builder::{EnumValueParser, TypedValueParser},
};
use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    answers::ALWAYS,
    cli::FAILED,
    report::{Head, Part, page, pdf, plain},
};

#[derive(Args)]
pub(in crate::cli) struct Format {
    /// Text to read, a page for a browser or for print, a document to keep, or JSON for other tools
    #[arg(long, value_parser = EnumValueParser::<Form>::new().try_map(Form::goes_out), default_value = "text")]
    format: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Html,
    Json,
    Pdf,
    Text,
}

/// The same, for a report that is data first.
#[derive(Clone, Copy, Args)]
pub(in crate::cli) struct DataFormat {
    /// JSON or CSV for other tools, text to read, a page for a browser or for print, or a document to keep
    #[arg(long, value_parser = EnumValueParser::<DataForm>::new().try_map(DataForm::goes_out), default_value = "json")]
    format: DataForm,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DataForm {
    Csv,
    Html,
    Json,
    Pdf,
    Text,
}

impl Form {
    fn goes_out(self) -> Result<Self, &'static str> {
        if self == Self::Pdf {
            not_on_a_terminal()?
        }
        Ok(self)
    }
}

impl DataForm {
    fn goes_out(self) -> Result<Self, &'static str> {
        if self == Self::Pdf {
            not_on_a_terminal()?
        }
        Ok(self)
    }
}

/// Said while what was asked is read: before anything is on record.
fn not_on_a_terminal() -> Result<(), &'static str> {
    match io::stdout().is_terminal() {
        true => Err("a document is not for a terminal: put `> report.pdf` behind the command"),
        false => Ok(()),
    }
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
            Form::Html => page(head, &report()).into(),
            Form::Json => json(answer, head).into(),
            Form::Pdf => document(head, &report())?,
            Form::Text => plain(head, &report()).into(),
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
                out
            }
            DataForm::Html => page(head, &report()).into(),
            DataForm::Json => json(answer, head).into(),
            DataForm::Pdf => document(head, &report())?,
            DataForm::Text => plain(head, &report()).into(),
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

fn document(head: &Head, report: &Part) -> Result<Vec<u8>, ExitCode> {
    pdf(head, report).map_err(|error| {
        eprintln!("{error}");
        ExitCode::from(FAILED)
    })
}

/// Whoever reads may stop early; a report that is cut off for another reason is no report.
fn print(report: Vec<u8>) -> Result<(), ExitCode> {
    let mut out = io::stdout().lock();
    match out.write_all(&report).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("standard output cannot be written ({})", error.kind());
            Err(ExitCode::from(FAILED))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
