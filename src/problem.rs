//! A fault in something an operator wrote: which file, which line, what is wrong, and the mend.

use std::{fmt, path::PathBuf};

/// One thing wrong with a configuration, agreement, certificate or key file.
///
/// `what` and `mend` are sentences for the operator. They may name keys, ids and paths of the file; they never
/// hold a secret or a person's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the operator can find it.
    pub file: PathBuf,
    /// Line in that file, counted from 1, where one is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

impl Problem {
    /// A problem with a whole file.
    pub fn new(file: impl Into<PathBuf>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, what: what.into(), mend: mend.into() }
    }

    /// The same problem, at a line.
    #[must_use]
    pub fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}; {}", self.what, self.mend)
    }
}

impl std::error::Error for Problem {}

/// Where the lines of a text begin.
pub struct Lines(Vec<usize>);

impl Lines {
    /// Reads a text.
    pub fn new(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line of a byte, counted from 1.
    pub fn of(&self, byte: usize) -> usize {
        self.0.partition_point(|&end| end < byte) + 1
    }
}

/// A TOML file that is not what it should be. For files without secrets: the message may quote a value.
pub fn toml_problem(file: &std::path::Path, text: &str, error: &toml::de::Error) -> Problem {
    let message = error.message().trim().replace('\n', ", ");
    let problem = Problem::new(file, message, "correct or remove it; schemas/ says what may stand here");
    match error.span() {
        Some(span) => problem.at(Lines::new(text).of(span.start)),
        None => problem,
    }
}
