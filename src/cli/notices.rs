//! `sluis notices`: who holds something of a person is told that it was corrected, erased or restricted (AVG art. 19).

use std::{process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{
    ConfigFile, FAILED,
    access::{Access, standing},
    report,
    who::{Asked, WhoArguments, find_school},
};
use crate::{
    answers::{Answers, Holder, Holds, Reading},
    clock::Clock,
    config::School,
    control::{Answer, Request},
    keys::Purpose,
    pseudonym::NoticeKey,
    standing::{NamedPerson, Notice, NoticeContent, NoticeKind, NoticeState},
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make one for each recipient that holds something of a person; the person's identifier on standard input
    Add(Add),
    /// All notices of a school, without a word about whom they are about
    List {
        #[command(flatten)]
        config: ConfigFile,
        /// BRIN of the school
        #[arg(long, value_name = "BRIN")]
        school: String,
    },
}

#[derive(Args)]
pub(super) struct Add {
    #[command(flatten)]
    who: WhoArguments,
    /// What was done. With --feed, a correction is told to those alone that hold something else than they would get now
    #[arg(long, value_enum)]
    kind: NoticeKind,
}

pub(super) fn run(command: &Command, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    match command {
        Command::Add(arguments) => add(arguments, clock),
        Command::List { config, school } => list(config, school, clock),
    }
}

fn add(arguments: &Add, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let asked = arguments.who.read(clock)?;
    let school = find_school(&asked.config, &arguments.who.school)?;
    let access = Access::open(&asked.config, clock)?;
    let told = tell(&Telling {
        kind: arguments.kind,
        about: &|_| true,
        asked: &asked,
        who: &arguments.who,
        school,
        access: &access,
        clock,
    });
    access.close();
    let told = told?;
    if told.made == 0 && told.waiting == 0 && told.untold == 0 {
        println!("no recipient has to be told");
    }
    told.all()
}

/// What recipients are to be told, and of whom.
pub(super) struct Telling<'a> {
    pub(super) kind: NoticeKind,
    /// Which of those that hold something it is about.
    pub(super) about: &'a dyn Fn(&Holder) -> bool,
    pub(super) asked: &'a Asked,
    pub(super) who: &'a WhoArguments,
    pub(super) school: &'a Arc<School>,
    pub(super) access: &'a Access,
    pub(super) clock: &'a Arc<dyn Clock>,
}

/// How many were.
#[must_use = "somebody may have to be told otherwise"]
pub(super) struct Told {
    made: usize,
    /// The same notice waits for them already.
    waiting: usize,
    /// Have to be told otherwise.
    untold: usize,
    partial: bool,
}

impl Told {
    /// Whether nobody is left that has to be told.
    pub(super) fn all(&self) -> Result<(), ExitCode> {
        if self.partial {
            eprintln!(
                "the log may know this person by something else too, and so of more recipients: run `sluis notices add` \
                 with --feed, a feed of the school that has the person"
            );
        }
        if self.untold > 0 || self.partial { Err(ExitCode::from(FAILED)) } else { Ok(()) }
    }
}

/// Makes the notices. That the log is read for them is on record before it is.
pub(super) fn tell(telling: &Telling<'_>) -> Result<Told, ExitCode> {
    let &Telling { kind, about, asked, who, school, access, clock } = telling;
    let config = &asked.config;
    let school_asked = Some(school.brin.clone());
    access.ask(Request::Read {
        reading: Reading::Correction,
        school: school_asked,
        recipient: None,
        why: 0,
    })?;
    let answers = Answers::open(config).map_err(|error| report::unreadable(&error))?;
    let known = asked.known(&answers, school, who)?;
    let feed = who.feed.as_deref().filter(|_| kind == NoticeKind::Correctie);
    let named = answers.named(school, &known, feed, clock).map_err(|error| report::unreadable(&error))?;
    let before = answers.held_before(school, &known).map_err(|error| report::unreadable(&error))?;
    let standing = standing(config, &school.brin)?;
    let standing = standing.load();
    let Some((epoch, root)) = config.keys.current(&school.brin, Purpose::Log) else {
        return Err(ExitCode::from(FAILED));
    };
    let key = NoticeKey::new(root, epoch, &school.brin);
    let mut told = Told { made: 0, waiting: 0, untold: 0, partial: known.person.partial };
    let mut notices = Vec::new();
    for one in named.into_iter().filter(|one| about(&one.holder)) {
        let Holder { recipient, agreement, last_ms, released, holds, .. } = one.holder;
        match (kind, holds) {
            (NoticeKind::Correctie, Holds::Current) => continue,
            (NoticeKind::Correctie, Holds::Nothing) => {
                eprintln!(
                    "{}: holds something of the person and would get nothing now, so that a feed does not tell whether it \
                     is correct; tell it yourself, or run this again without --feed, which tells all who hold something",
                    recipient.shown()
                );
                told.untold += 1;
                continue;
            }
            (NoticeKind::Correctie, Holds::Older | Holds::Unknown)
            | (NoticeKind::Beperking | NoticeKind::Verwijdering, _) => {}
        }
        let (Some(id), Some(person)) = (&recipient.id, one.person) else {
            let why = match recipient.id {
                None => "it is not in the configuration any more",
                Some(_) => "what it knows the person by cannot be made any more, or not without --feed",
            };
            eprintln!("{}: holds something of the person; tell it yourself: {why}", recipient.shown());
            told.untold += 1;
            continue;
        };
        let fields = match kind {
            NoticeKind::Correctie => released.iter().map(|&field| field.to_owned()).collect(),
            NoticeKind::Beperking | NoticeKind::Verwijdering => Vec::new(),
        };
        let content = NoticeContent { persons: vec![person], fields };
        let same = |notice: &&Notice| {
            notice.recipient == *id && notice.kind == kind && stands(notice, kind, last_ms) && {
                let other = notice.open(&config.keys, &school.brin);
                other.is_some_and(|other| same_person(&other.persons, &content.persons))
            }
        };
        if let Some(notice) = standing.notices().iter().rev().find(same) {
            println!("{}  {id}  was made before", notice.id);
            told.waiting += 1;
            continue;
        }
        let Some(notice) = Notice::new(id, kind, agreement.id, &content, &key) else {
            eprintln!("the system gives no random numbers; no notice was made");
            return Err(ExitCode::from(FAILED));
        };
        notices.push(notice);
    }
    for recipient in before {
        eprintln!(
            "{}: held something of the person, so long ago that the log has the sum of it alone; tell it yourself",
            recipient.shown()
        );
        told.untold += 1;
    }
    if notices.is_empty() {
        return Ok(told);
    }
    let made: Vec<_> = notices.iter().map(|notice| (notice.id, notice.recipient.clone())).collect();
    told.made = made.len();
    if let Answer::Done { reference } = access.ask(Request::Notify { brin: school.brin.clone(), notices })? {
        for (id, recipient) in made {
            println!("{id}  {recipient}  on record under {reference}");
        }
    }
    Ok(told)
}

/// Whether a notice goes for what is to be told now. One that its recipient has not seen yet does. One that it has seen
/// does too, unless something was corrected, or delivered, since.
fn stands(notice: &Notice, kind: NoticeKind, last_ms: u64) -> bool {
    notice.state == NoticeState::Open || (kind != NoticeKind::Correctie && notice.created_ms >= last_ms)
}

fn same_person(one: &[NamedPerson], other: &[NamedPerson]) -> bool {
    let same = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
    one.iter().zip(other).any(|(one, other)| same(&one.eckid, &other.eckid) || same(&one.key, &other.key))
}

fn list(config: &ConfigFile, school: &str, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let config = config.load(clock.as_ref())?;
    let school = find_school(&config, school)?;
    let standing = standing(&config, &school.brin)?;
    let standing = standing.load();
    for notice in standing.notices() {
        let Notice { id, kind, recipient, created_ms, .. } = notice;
        let state = match notice.state {
            NoticeState::Acknowledged { at_ms, .. } => format!("acknowledged {}", instant(at_ms)),
            NoticeState::Delivered { at_ms } => format!("delivered {}", instant(at_ms)),
            NoticeState::Open => "open".into(),
        };
        // Whoever it was for can no longer be told by it.
        let gone = notice.open(&config.keys, &school.brin).is_none();
        let gone = if gone { "  unreadable: its log key is gone" } else { "" };
        println!("{id}  {:12}  {recipient}  made {}  {state}{gone}", kind.as_str(), instant(*created_ms));
    }
    println!("{} notices", standing.notices().len());
    Ok(())
}

fn instant(ms: u64) -> String {
    let instant = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    instant.map(|instant| instant.to_string()).unwrap_or_default()
}
