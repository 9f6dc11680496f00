//! Writes the man pages, one of each command, to a folder: `cargo run --example man -- FOLDER`.
#![allow(clippy::disallowed_methods, reason = "files that are made anew at each build")]

use std::{error::Error, fs, path::PathBuf};

use clap::CommandFactory;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("name the folder to write to")?);
    fs::create_dir_all(&folder)?;
    Ok(clap_mangen::generate_to(sluis::cli::Arguments::command(), folder)?)
}
