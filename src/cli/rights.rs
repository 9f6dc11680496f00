//! `sluis rights`: objections, restrictions and consents of pupils and staff.

use std::{process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    ConfigFile,
    access::{Access, standing},
    notices::{Telling, tell},
    report,
    who::{WhoArguments, find_school, usage},
};
use crate::{
    answers::{Answers, Holder},
    clock::Clock,
    config::{Config, School},
    control::{Answer, Request},
    policy::purpose,
    standing::{DecidedBy, HexHandle, NoticeKind, Right, RightKind, Scope},
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Enter one; the person's identifier on standard input
    Add {
        #[command(flatten)]
        what: What,
        /// Who decided: from sixteen on the pupil, before that a parent or guardian
        #[arg(long, value_enum)]
        decided_by: DecidedBy,
    },
    /// Lift one: an objection that was withdrawn, a consent too
    Lift {
        #[command(flatten)]
        what: What,
    },
    /// What stands, by what stands for the person in the log
    List {
        #[command(flatten)]
        config: ConfigFile,
        /// BRIN of the school
        #[arg(long, value_name = "BRIN")]
        school: String,
    },
}

#[derive(Args)]
pub(super) struct What {
    #[command(flatten)]
    who: WhoArguments,
    /// Which of the three
    #[arg(long, value_enum)]
    kind: RightKind,
    /// About one agreement
    #[arg(long, value_name = "ID", conflicts_with = "purpose")]
    agreement: Option<String>,
    /// About every agreement with this purpose; without either, about every agreement of the school
    #[arg(long, value_name = "ID")]
    purpose: Option<String>,
}

pub(super) fn run(command: &Command, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    match command {
        Command::Add { what, decided_by } => add(what, *decided_by, clock),
        Command::Lift { what } => lift(what, clock),
        Command::List { config, school } => {
            let config = config.load(clock.as_ref())?;
            let school = find_school(&config, school)?;
            list(&config, school)
        }
    }
}

fn add(what: &What, decided_by: DecidedBy, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let asked = what.who.read(clock)?;
    let school = find_school(&asked.config, &what.who.school)?;
    let scope = what.scope(&asked.config, school)?;
    let access = Access::open(&asked.config, clock)?;
    let answers = Answers::open(&asked.config).map_err(|error| report::unreadable(&error))?;
    let (epoch, handles) = asked.subject(&answers, school, &what.who)?;
    let right = Right {
        kind: what.kind,
        scope,
        handles: handles.into_iter().map(HexHandle).collect(),
        epoch,
        decided_by,
        entered_ms: 0,
        reference: Uuid::nil(),
    };
    let about = right.scope.clone();
    let answer = access.ask(Request::Enter { brin: school.brin.clone(), right });
    let told = match &answer {
        Ok(Answer::Done { reference }) => {
            println!("on record under {reference}; it holds from the next pupil on");
            // Whoever has something of the person already has to be told (AVG art. 19).
            (what.kind == RightKind::Beperking).then(|| {
                tell(&Telling {
                    kind: NoticeKind::Beperking,
                    about: &|holder| is_about(&about, holder, &answers),
                    asked: &asked,
                    who: &what.who,
                    school,
                    access: &access,
                    clock,
                })
            })
        }
        _ => None,
    };
    access.close();
    answer?;
    told.transpose()?.map_or(Ok(()), |told| told.all())
}

/// Whether what a recipient got last is what a restriction is about. Nobody can tell of an agreement that is gone, and
/// then it is.
fn is_about(scope: &Scope, holder: &Holder, answers: &Answers<'_>) -> bool {
    match (scope, answers.agreement(&holder.agreement)) {
        (Scope::All, _) | (_, None) => true,
        (Scope::Agreement(id), Some(agreement)) => agreement.id == *id,
        (Scope::Purpose(id), Some(agreement)) => agreement.purpose == *id,
    }
}

fn lift(what: &What, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let asked = what.who.read(clock)?;
    let school = find_school(&asked.config, &what.who.school)?;
    let scope = what.scope(&asked.config, school)?;
    let access = Access::open(&asked.config, clock)?;
    let answers = Answers::open(&asked.config).map_err(|error| report::unreadable(&error))?;
    let person = asked.resolve(&answers, school, &what.who)?;
    let handles = person.handles.iter().filter_map(|&(epoch, handle)| Some((epoch?, HexHandle(handle))));
    let request =
        Request::Lift { brin: school.brin.clone(), kind: what.kind, scope, handles: handles.collect() };
    let answer = access.ask(request);
    access.close();
    if let Answer::Done { reference } = answer? {
        println!("lifted, on record under {reference}");
    }
    Ok(())
}

impl What {
    fn scope(&self, config: &Config, school: &School) -> Result<Scope, ExitCode> {
        let of_school = || config.agreements.all().iter().filter(|agreement| agreement.school == school.brin);
        match (&self.agreement, &self.purpose) {
            (Some(id), _) => {
                let Some(agreement) = of_school().find(|agreement| agreement.id == *id) else {
                    let known: Vec<_> = of_school().map(|agreement| agreement.id.as_str()).collect();
                    return Err(usage(&format!(
                        "--agreement: there is none with this id; there is {}",
                        known.join(", ")
                    )));
                };
                if self.kind != RightKind::Toestemming && !agreement.basis.yields() {
                    let basis = agreement.basis.as_str();
                    return Err(usage(&format!(
                        "--agreement: it rests on {basis}, which goes on whatever a person objects; tell the person so"
                    )));
                }
                Ok(Scope::Agreement(id.clone()))
            }
            (None, Some(id)) if purpose::find(id).is_none() => {
                let known: Vec<_> = purpose::purposes().iter().map(|purpose| purpose.id.as_str()).collect();
                Err(usage(&format!(
                    "--purpose: there is none with this id; choose from {}",
                    known.join(", ")
                )))
            }
            (None, Some(id)) => Ok(Scope::Purpose(id.clone())),
            (None, None) => Ok(Scope::All),
        }
    }
}

fn list(config: &Config, school: &School) -> Result<(), ExitCode> {
    let standing = standing(config, &school.brin)?;
    let standing = standing.load();
    for right in standing.rights() {
        let kind = match right.kind {
            RightKind::Beperking => "beperking",
            RightKind::Bezwaar => "bezwaar",
            RightKind::Toestemming => "toestemming",
        };
        let scope = match &right.scope {
            Scope::Agreement(id) => format!("overeenkomst {id}"),
            Scope::All => "alle overeenkomsten".into(),
            Scope::Purpose(id) => format!("doel {id}"),
        };
        let decided_by = match right.decided_by {
            DecidedBy::Betrokkene => "betrokkene",
            DecidedBy::Ouder => "ouder",
        };
        let entered =
            i64::try_from(right.entered_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let entered = entered.map(|entered| entered.to_string()).unwrap_or_default();
        let handle = right.handles.first().map(|handle| hex::encode(handle.0)).unwrap_or_default();
        println!("{handle}  {kind:11}  {scope}  {decided_by}  {entered}  {}", right.reference);
    }
    println!("{} entries", standing.rights().len());
    Ok(())
}
