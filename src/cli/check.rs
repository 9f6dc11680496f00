//! `sluis check`.

use std::process::ExitCode;

use super::ConfigFile;
use crate::{clock::Clock, policy::agreement::NotInForce};

pub(super) fn run(file: &ConfigFile, clock: &dyn Clock) -> Result<(), ExitCode> {
    let config = file.load(clock)?;
    let agreements = config.agreements.all();
    println!(
        "{}: in order: {} school(s), {} recipient(s), {} agreement(s), {} key(s)",
        file.config.display(),
        config.schools.len(),
        config.recipients.len(),
        agreements.len(),
        config.keys.list().len(),
    );
    let today = clock.today();
    for agreement in agreements {
        let shown = agreement.file.display();
        match config.agreements.in_force(&agreement.school, &agreement.recipient, today) {
            Ok(_) => {}
            Err(NotInForce::Expired) => {
                println!("{shown}: note: ended on {}; nothing is released", agreement.until)
            }
            Err(NotInForce::Future) => {
                println!("{shown}: note: begins on {}; until then nothing is released", agreement.from)
            }
            Err(NotInForce::Missing) => {}
        }
    }
    Ok(())
}
