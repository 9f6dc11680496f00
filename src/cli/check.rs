//! `sluis check`.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use uuid::Uuid;

use super::{ConfigFile, FAILED, report};
use crate::{clock::Clock, policy::agreement::NotInForce, problem::Problem};

pub(super) fn run(file: &ConfigFile, clock: &dyn Clock) -> Result<(), ExitCode> {
    let config = file.load(clock)?;
    check_data(&config.data).map_err(|problem| {
        report(&[problem]);
        ExitCode::from(FAILED)
    })?;
    let agreements = config.agreements.all();
    println!(
        "{}: in order: {} school(s), {} recipient(s), {} agreement(s), {} key(s)",
        file.config.display(),
        config.schools.len(),
        config.recipients.len(),
        agreements.len(),
        config.keys.list().len(),
    );
    for ending in &config.endings {
        let (shown, validity, now) = (ending.file.display(), ending.validity, clock.now());
        match validity.days_left(now) {
            left if left < 0 => println!(
                "{shown}: note: ended on {}; what it is for fails, so put a new one there",
                validity.last_day()
            ),
            left if validity.ends_soon(now) => {
                println!("{shown}: note: ends on {}, in {left} days", validity.last_day());
            }
            _ => {}
        }
    }
    let today = clock.today();
    for agreement in agreements {
        let shown = agreement.file.display();
        match config.agreements.in_force(&agreement.school, &agreement.recipient, today) {
            Ok(in_force) if Arc::ptr_eq(in_force, agreement) => {
                if config.agreements.ends_within(agreement, 60, today) {
                    let left = today.until(agreement.until).map_or(0, |left| left.get_days());
                    println!("{shown}: note: ends on {}, in {left} days", agreement.until);
                }
                let missing = agreement.terms.missing();
                if !missing.is_empty() {
                    let missing = missing.join(", ");
                    println!("{shown}: note: says nothing of {missing}; reports will say that it does not");
                }
            }
            Ok(_) | Err(NotInForce::Missing) => {}
            // Of one that ended, another may be about to begin.
            Err(NotInForce::Expired | NotInForce::Future) if agreement.until < today => {
                println!("{shown}: note: ended on {}; nothing is released", agreement.until)
            }
            Err(NotInForce::Expired | NotInForce::Future) => {
                println!("{shown}: note: begins on {}; until then nothing is released", agreement.from)
            }
        }
    }
    Ok(())
}

/// Whether a log can be kept in this folder, which is made when the first record is. A log that is there is left alone:
/// `sluis log verify` reads it, and a process may be writing it.
fn check_data(data: &Path) -> Result<(), Problem> {
    for folder in [data.to_owned(), data.join("wal")] {
        if fs::symlink_metadata(&folder).is_ok() && !fs::metadata(&folder).is_ok_and(|found| found.is_dir()) {
            return Err(Problem::new(
                folder,
                "is no directory",
                "move it away, or mend `data` in the configuration",
            ));
        }
    }
    let nearest = data.ancestors().find(|folder| folder.as_os_str().is_empty() || folder.exists());
    let nearest = nearest.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Whether one may write is for the system to say: it depends on more than the mode.
    let probe = nearest.join(format!(".sluis-{}.check", Uuid::now_v7()));
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe);
    made.and_then(|_| fs::remove_file(&probe)).map_err(|error: io::Error| {
        let what = format!("the log cannot be kept here ({})", error.kind());
        Problem::new(
            nearest,
            what,
            "let the user that runs sluis write in it, or mend `data` in the configuration",
        )
    })
}
