//! `sluis preview`: what would become of each field, and why. Nothing is disclosed or logged.

use std::{convert::Infallible, process::ExitCode, sync::Arc};

use super::{
    REFUSED,
    minimise::{Feed, mend, refused as not_delivered, status},
    progress::{Bar, Watched},
};
use crate::{
    catalogue::{Field, Required, Sensitivity, catalogue},
    clock::Clock,
    decode::{self, decode},
    delivery::Delivery,
    exchange::Error,
    minimise::{self, Chunk, Minimiser, Outlet, Summary},
    plausibility::{Difference, Judge},
    policy::{Ruling, purpose, rules::Rule},
    standing::Ledger,
};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    feed: Feed,
}

/// Chunks end here, judged beside the delivery before.
struct Nowhere {
    judge: Option<Judge>,
}

impl Outlet for Nowhere {
    type Error = Infallible;

    fn chunk(&mut self, chunk: Chunk) -> Result<(), Infallible> {
        if chunk.no_changes {
            self.judge = None;
        }
        if let Some(judge) = &mut self.judge {
            judge.see(&chunk.rows);
        }
        Ok(())
    }
}

pub(super) fn run(arguments: &Arguments, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let feed = &arguments.feed;
    let config = feed.config.load(clock.as_ref())?;
    let ledger = Ledger::reading(&config.data);
    let delivery = Delivery::decide(&config, &ledger, &feed.asked(&config)?, clock).map_err(not_delivered)?;
    let (source, size) = feed.open()?;
    let bar = Bar::new("reading");
    let mut minimiser = Minimiser::new(delivery.scope(), Nowhere { judge: delivery.judge() });
    let source = Watched::new(source, size, &bar);
    let done = decode(source, None, delivery.limits(), &mut minimiser)
        .map_err(|error| match error {
            decode::Error::Decode(error) => Error::Decode(error),
            decode::Error::Sink(error) => refused(error),
        })
        .and_then(|()| minimiser.finish().map_err(refused));
    bar.finish();
    if let Err(error) = done {
        eprintln!("{}: {error}{}", feed.name(), mend(&error));
        return Err(ExitCode::from(status(&error)));
    }
    let (summary, Nowhere { judge }) = minimiser.into_parts();
    let difference = judge.and_then(|judge| judge.judge(true));
    rules(&delivery, &summary, difference.as_ref());
    table(&delivery, &summary);
    if difference.is_some() { Err(ExitCode::from(REFUSED)) } else { Ok(()) }
}

fn refused(error: minimise::Error<Infallible>) -> Error {
    match error {
        minimise::Error::Outlet(never) => match never {},
        minimise::Error::Refused(refusal) => Error::Refused(refusal),
    }
}

/// The five rules, each with why it is kept or not; one that is broken before the document is read to its end has ended
/// the preview.
fn rules(delivery: &Delivery, summary: &Summary, difference: Option<&Difference>) {
    let agreement = delivery.agreement();
    let file = agreement.file.display();
    let purpose = purpose::find(&agreement.purpose).map_or("", |purpose| purpose.name.as_str());
    let lines = agreement.release.len();
    for rule in Rule::ALL {
        let why = match rule {
            Rule::Dataminimalisatie => format!("{lines} fields have a line in {file}; all else is withheld"),
            Rule::Doelbinding => {
                format!("{} version {}, {}: {purpose}", agreement.id, agreement.version, agreement.purpose)
            }
            Rule::Grondslag => {
                format!("{}; {} persons kept out by their rights", agreement.basis.as_str(), summary.kept_out)
            }
            Rule::Integriteit if let Some(difference) = difference => {
                let Difference { before, now, gone, changed, .. } = difference;
                format!("would be held: {gone} of {before} pupils gone, {changed} of {now} new or different")
            }
            Rule::Integriteit => "well-formed, of this school, complete, and like the delivery before".into(),
            Rule::Transparantie => "keys are there; a delivery is on record before it leaves".into(),
        };
        let broken = rule == Rule::Integriteit && difference.is_some();
        println!("{:17} {:6}  {why}", rule.as_str(), if broken { "broken" } else { "kept" });
    }
}

fn table(delivery: &Delivery, summary: &Summary) {
    let agreement = delivery.agreement();
    let file = agreement.file.display();
    println!(
        "agreement {} version {}, {} to {}",
        agreement.id, agreement.version, agreement.from, agreement.until
    );
    println!("{:36} {:>8} {:>8}  {:14} why", "field", "released", "withheld", "ruling");
    for field in catalogue().fields() {
        let released = summary.fields_released[field.id.index()];
        let withheld = summary.fields_withheld[field.id.index()];
        let constant = summary.fields_neutralised[field.id.index()];
        if released + withheld + constant == 0 {
            continue;
        }
        let (ruling, why) = explain(delivery, field, constant > 0);
        let why = why.replace("{file}", &file.to_string());
        println!("{:36} {:>8} {:>8}  {:14} {why}", field.name, released + constant, withheld, ruling);
    }
    println!(
        "{} pupils released, {} withheld, {} teachers",
        summary.released, summary.withheld, summary.staff
    );
    for (event, times) in summary.events.iter() {
        println!("  {times} × {}", event.describe());
    }
}

/// The ruling on a field in a word, and the reason.
fn explain(delivery: &Delivery, field: &Field, constant: bool) -> (&'static str, String) {
    let rulings = delivery.rulings();
    let line = rulings.line(field.id).map(|line| format!("{{file}}:{line}"));
    let ruling = match rulings.ruling(field.id) {
        Ruling::Generalise(_) => "generalised",
        Ruling::Pass => "released",
        Ruling::Pseudonymise => "pseudonymised",
        Ruling::Withhold if constant => "neutralised",
        Ruling::Withhold => "withheld",
    };
    let why = match line {
        Some(line) => line,
        None if field.sensitivity == Sensitivity::Addressing => {
            "names school and year, as the request does".into()
        }
        None if ruling == "pseudonymised" => "keys and ECK iDs never leave as they are".into(),
        None if ruling == "neutralised" && field.required != Required::No => {
            "no line in the agreement; the standard wants something here".into()
        }
        None if field.treatments.is_empty() => "never released".into(),
        None => "no line in the agreement names it".into(),
    };
    (ruling, why)
}
