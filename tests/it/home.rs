//! A working directory to test in, as `sluis init` makes one.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use sluis::{
    cli::init::init,
    clock::SystemClock,
    disclosure::{Leaf, OutcomeStatus, Position, Reader},
};

pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// A school 99DE, a supplier noordzee, an agreement for a smalle set.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        init(&dir.path().join("home"), &SystemClock).unwrap();
        let home = Self { dir };
        // Each process has a review port of its own.
        home.edit("sluis.toml", |text| text.replace("127.0.0.1:8444", "127.0.0.1:0"));
        home
    }

    /// The same for another school.
    pub(crate) fn of_school(brin: &str) -> Self {
        let home = Self::new();
        home.edit("sluis.toml", |text| text.replace("99DE", brin));
        home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| text.replace("99DE", brin));
        for file in ["keys/99DE.pseudonym.1.key", "keys/99DE.log.1.key", "secrets/99DE-las.toml"] {
            if brin != "99DE" {
                fs::rename(home.path(file), home.path(&file.replace("99DE", brin))).unwrap();
            }
        }
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("home").join(name)
    }

    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.path(name);
        let text = change(fs::read_to_string(&path).unwrap());
        fs::write(path, text).unwrap();
    }

    /// Replaces what the agreement releases.
    pub(crate) fn release(&self, lines: &[(&str, &str)]) {
        let lines: String = lines.iter().map(|(field, how)| format!("\"{field}\" = \"{how}\"\n")).collect();
        self.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
            let (head, _) = text.split_once("[release]").unwrap();
            format!("{head}[release]\n{lines}")
        });
    }

    /// The leaves of the log, in order.
    pub(crate) fn leaves(&self) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        let reader = Reader::open(&self.path("data")).unwrap();
        reader.leaves(Position(0), &mut |_, leaf| leaves.push(leaf.clone())).unwrap();
        leaves
    }

    /// How deliveries ended, as the log has it.
    pub(crate) fn outcomes(&self) -> Vec<OutcomeStatus> {
        self.leaves().iter().filter_map(|leaf| leaf.outcome().map(|outcome| outcome.status)).collect()
    }

    /// The command, in this directory.
    pub(crate) fn sluis(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluis"));
        command.args(arguments).current_dir(self.path("")).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.sluis(arguments).output().unwrap())
    }

    /// The same, with something to read on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        self.output_with(arguments, input).into()
    }

    /// The same, of a command whose output is no text.
    pub(crate) fn output_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.sluis(arguments);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that refuses before it reads is no failure here.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Minimises a document for noordzee.
    pub(crate) fn minimise(&self, brin: &str, document: &[u8]) -> Ran {
        let input = self.path("input.xml");
        fs::write(&input, document).unwrap();
        self.minimise_file(brin, &input)
    }

    pub(crate) fn minimise_file(&self, brin: &str, input: &Path) -> Ran {
        self.run(&[
            "minimise",
            "--school",
            brin,
            "--recipient",
            "noordzee",
            "--input",
            input.to_str().unwrap(),
        ])
    }
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
