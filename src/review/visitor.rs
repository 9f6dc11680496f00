//! Who is looking, and what they may see: what every page is made from and nothing beyond.

use std::{collections::BTreeSet, io, ops::RangeInclusive, sync::Arc};

use jiff::{Span, civil::Date};
use ring::digest;
use uuid::Uuid;

use super::{
    account::{AccountCode, Accounts, Language, Permission, Role, Roll},
    http::Pairs,
    integrity::Integrity,
    routes::Access,
    texts::Texts,
};
use crate::{
    answers::{
        ALWAYS, Answers, Party, Reading, Under,
        index::{DeliveryIndex, Entry},
    },
    config::{Config, School},
    control::{Answer, Desk, Request},
    disclosure::Reader,
    policy::agreement::Agreement,
    standing::{self, Standing},
};

/// Someone who is logged in.
#[derive(Clone)]
pub(super) struct Visitor {
    /// What stands for the account in the log.
    pub(super) code: AccountCode,
    pub(super) name: String,
    pub(super) role: Role,
    /// BRINs of the schools of the account; empty: all.
    pub(super) schools: Vec<String>,
    pub(super) language: Language,
    /// What forms of this session hold.
    pub(super) csrf: String,
    /// Tells this session from others.
    pub(super) session: [u8; 32],
}

impl Visitor {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn role_name(&self) -> &'static str {
        let t = self.texts();
        match self.role {
            Role::Beheerder => t.role_beheerder,
            Role::Fg => t.role_fg,
            Role::Goedkeurder => t.role_goedkeurder,
        }
    }

    pub(super) fn language(&self) -> Language {
        self.language
    }

    pub(super) fn texts(&self) -> &'static Texts {
        self.language.texts()
    }

    pub(super) fn csrf(&self) -> &str {
        &self.csrf
    }

    pub(super) fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }

    /// Whether what a route leads to is for this visitor, whatever it is about.
    pub(super) fn admit(&self, access: Access) -> Result<(), Wrong> {
        match access {
            Access::For(permission) if !self.may(permission) => Err(Wrong::Forbidden),
            Access::For(_) | Access::LoggedIn | Access::Open => Ok(()),
        }
    }

    pub(super) fn sees(&self, brin: &str) -> bool {
        self.schools.is_empty() || self.schools.iter().any(|own| own == brin)
    }
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It cannot be understood.
    Bad,
    /// Nobody can be told from another: the accounts cannot be read.
    Closed,
    /// The role may not.
    Forbidden,
    /// There is none, or it is of a school of others: the two look the same.
    NotFound,
    /// It was not done, and why.
    Refused(String),
    /// The form is of no session, or of another.
    Stale,
    /// The log cannot be read.
    Unreadable(io::ErrorKind),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.kind())
    }
}

impl From<standing::Error> for Wrong {
    fn from(error: standing::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

/// What a page is made from.
pub(super) struct View<'a> {
    pub(super) config: &'a Config,
    pub(super) desk: &'a Desk,
    pub(super) index: &'a DeliveryIndex,
    pub(super) accounts: &'a Accounts,
    pub(super) integrity: &'a Integrity,
    pub(super) visitor: &'a Visitor,
}

impl<'a> View<'a> {
    pub(super) fn texts(&self) -> &'static Texts {
        self.visitor.texts()
    }

    pub(super) fn today(&self) -> Date {
        self.desk.clock.today()
    }

    /// The schools of the visitor, by name.
    pub(super) fn schools(&self) -> Vec<&'a Arc<School>> {
        let own = self.config.schools.iter().filter(|school| self.visitor.sees(&school.brin));
        let mut own: Vec<_> = own.collect();
        own.sort_by(|one, other| (&one.name, &one.brin).cmp(&(&other.name, &other.brin)));
        own
    }

    /// A school of the visitor.
    pub(super) fn school(&self, brin: &str) -> Result<&'a Arc<School>, Wrong> {
        let seen = self.config.school(brin).filter(|school| self.visitor.sees(&school.brin));
        seen.ok_or(Wrong::NotFound)
    }

    /// The schools that a query is about: the one it names, or all the visitor sees. None: all there are, also those
    /// that are no longer configured.
    pub(super) fn scope(&self, query: &Pairs) -> Result<Option<BTreeSet<[u8; 4]>>, Wrong> {
        match query.get("school") {
            Some(brin) => Ok(Some(codes([&self.school(brin)?.brin]))),
            None if self.visitor.schools.is_empty() => Ok(None),
            None => Ok(Some(codes(&self.visitor.schools))),
        }
    }

    /// Agreements of the visitor's schools.
    pub(super) fn agreements(&self) -> impl Iterator<Item = &'a Arc<Agreement>> {
        self.config.agreements.all().iter().filter(|agreement| self.visitor.sees(&agreement.school))
    }

    /// What a supplier is called.
    pub(super) fn supplier_name<'s>(&'s self, id: &'s str) -> &'s str {
        self.config.recipient(id).map_or(id, |known| known.name.as_str())
    }

    /// A supplier by its code in the log.
    pub(super) fn party(&self, code: &[u8; 12]) -> Party {
        Party::of(self.config, code)
    }

    /// The agreement of a delivery.
    pub(super) fn under(&self, entry: &Entry) -> Under {
        Under::of(self.config, &entry.agreement, &entry.activity, entry.activity_version)
    }

    /// The file of an agreement, or of the newest of the same id.
    pub(super) fn agreement(&self, under: &Under) -> Option<&'a Agreement> {
        under.file(self.config)
    }

    /// What stands for a school.
    pub(super) fn standing(&self, brin: &str) -> Result<Arc<Standing>, Wrong> {
        Ok(self.desk.ledger.school(brin)?.load_full())
    }

    /// The log, as it is now.
    pub(super) fn answers(&self) -> Result<Answers<'a>, Wrong> {
        Ok(Answers::open(self.config)?.with_index(self.index))
    }

    pub(super) fn reader(&self) -> Result<Reader, Wrong> {
        Ok(Reader::open(&self.config.data)?)
    }

    pub(super) fn demand(&self, permission: Permission) -> Result<(), Wrong> {
        if self.visitor.may(permission) { Ok(()) } else { Err(Wrong::Forbidden) }
    }

    /// Has something done, on behalf of the visitor.
    pub(super) fn perform(&self, request: Request) -> Result<Answer, Wrong> {
        match self.desk.perform_for(request, Some(self.visitor.code)) {
            Answer::Refused { what } => Err(Wrong::Refused(what)),
            done => Ok(done),
        }
    }

    /// The same, where what comes of it is a reference.
    pub(super) fn done(&self, request: Request) -> Result<Uuid, Wrong> {
        match self.perform(request)? {
            Answer::Done { reference } => Ok(reference),
            Answer::Erased { .. } | Answer::Refused { .. } => Err(Wrong::Bad),
        }
    }

    /// Puts on record that the log is about to be read, and gives the reference.
    pub(super) fn read(
        &self,
        reading: Reading,
        school: Option<&str>,
        recipient: Option<&str>,
        why: u8,
    ) -> Result<Uuid, Wrong> {
        let request = Request::Read {
            reading,
            school: school.map(str::to_owned),
            recipient: recipient.map(str::to_owned),
            why,
        };
        self.done(request)
    }

    /// Names of accounts, by what stands for them in the log.
    pub(super) fn names(&self) -> Names {
        Names(self.accounts.roll().ok())
    }
}

/// BRINs, as the log has them.
fn codes<'b>(brins: impl IntoIterator<Item = &'b String>) -> BTreeSet<[u8; 4]> {
    brins.into_iter().filter_map(|brin| brin.as_bytes().try_into().ok()).collect()
}

/// Names of accounts, removed ones too.
pub(super) struct Names(Option<Arc<Roll>>);

impl Names {
    pub(super) fn of(&self, code: AccountCode) -> Option<String> {
        self.0.as_ref()?.coded(code).map(|account| account.name.clone())
    }
}

/// Tells a session from others, without being its token.
pub(super) fn session_of(token: &str) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    *hash.as_ref().first_chunk().expect("SHA-256 gives 32 bytes")
}

/// The days a query names; where it names none, the last so many.
pub(super) fn days(query: &Pairs, today: Date, last: i64) -> Result<RangeInclusive<Date>, Wrong> {
    let day = |name: &str| query.get(name).map(str::parse::<Date>).transpose().map_err(|_| Wrong::Bad);
    let until = day("tot")?.unwrap_or(today);
    let from = day("van")?.unwrap_or_else(|| until.saturating_sub(Span::new().days(last - 1)));
    period(from, until)
}

/// All days, unless a form names others.
pub(super) fn days_or_all(form: &Pairs) -> Result<RangeInclusive<Date>, Wrong> {
    let day = |name: &str| form.get(name).map(str::parse::<Date>).transpose().map_err(|_| Wrong::Bad);
    period(day("van")?.unwrap_or(*ALWAYS.start()), day("tot")?.unwrap_or(*ALWAYS.end()))
}

/// Years that a log cannot have would make dates that nothing can count with.
pub(super) fn period(from: Date, until: Date) -> Result<RangeInclusive<Date>, Wrong> {
    let known = |day: &Date| ALWAYS.contains(day);
    if from <= until && known(&from) && known(&until) { Ok(from..=until) } else { Err(Wrong::Bad) }
}
