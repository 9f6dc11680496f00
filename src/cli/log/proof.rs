//! `sluis log verify-proof`: evidence, checked without the log. In Dutch, as whoever was given it reads it.

use std::{path::Path, process::ExitCode};

use super::read_key;
use crate::{
    answers::evidence::{EvidenceError, ShownDay, verify},
    cli::{FAILED, USAGE},
    disclosure::RowOutcome,
};

pub(super) fn run(folder: &Path, key: Option<&Path>) -> Result<(), ExitCode> {
    let own = key.is_none();
    let key = key.map(read_key).transpose()?;
    let shown = verify(folder, key).map_err(|error| {
        eprintln!("{}: {error}", folder.display());
        ExitCode::from(match error {
            EvidenceError::Altered { .. } => FAILED,
            EvidenceError::Unusable { .. } => USAGE,
        })
    })?;
    println!("{}: bewezen", folder.display());
    println!("  logboek {}, ondertekend bij {} regels; school {}", shown.log, shown.size, shown.school);
    if own {
        println!("  sleutel uit de map zelf: {}", shown.key);
        println!("  vergelijk die met een sleutel die u langs een andere weg hebt gekregen");
    }
    for day in &shown.days {
        println!("  {}  {}", day.day, described(day));
        for (position, recipient, row) in &day.rows {
            let what = match row.outcome {
                RowOutcome::Released => "verstrekt",
                RowOutcome::Withheld => "niets verstrekt",
            };
            println!("    logregel {position}, ontvanger {}: {what}", hex::encode(recipient));
        }
    }
    for day in &shown.unsealed {
        println!("  {day}  nog niet verzegeld: niets bewezen");
    }
    Ok(())
}

fn described(day: &ShownDay) -> String {
    let rows = match day.rows.len() {
        0 => "geen regels over deze persoon".to_owned(),
        1 => "1 regel over deze persoon".to_owned(),
        rows => format!("{rows} regels over deze persoon"),
    };
    match day.erased {
        0 => format!("{rows}, en niet meer"),
        erased => format!(
            "{rows}; en niet meer, op {erased} gewiste regels na die van deze persoon kunnen zijn geweest"
        ),
    }
}
