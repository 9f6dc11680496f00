//! The same as JSON, under `/api/v1`: what pages show, for programs. `assets/openapi.json` says what there is.
//!
//! A program logs in as a person does, and holds the same cookie; what changes or asks about a person needs the token of
//! the session in `X-CSRF-Token` besides. Names are English, words of the law are Dutch, as on the pages.

use hyper::StatusCode;
use jiff::civil::Date;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    account::{Language, Permission, Role},
    app::said,
    breach, decisions, disclosures,
    http::{Answer, Pairs},
    kept::{Kept, Subject},
    overview,
    person::{self, Question},
    reviews, suppliers,
    visitor::{View, Visitor, Wrong, period},
};
use crate::{
    answers::{ALWAYS, Inzage, Leak},
    plausibility::Difference,
    report::datalek,
    standing::{DecidedBy, Decision, Reviewed, Right, RightKind, Scope},
};

/// What there is, in OpenAPI 3.1.
pub(super) const OPENAPI: &str = include_str!("assets/openapi.json");

/// What somebody logs in with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    pub(super) name: String,
    pub(super) passphrase: Zeroizing<String>,
    pub(super) code: String,
}

/// Reads a body. What is wrong with it is not said: that would quote it.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Wrong> {
    serde_json::from_slice(body).map_err(|_| Wrong::Bad)
}

fn answer<T: Serialize>(value: &T) -> Result<Answer, Wrong> {
    let mut bytes = serde_json::to_vec(value).map_err(|_| Wrong::Bad)?;
    bytes.push(b'\n');
    Ok(Answer::new(StatusCode::OK, "application/json", bytes))
}

fn problem_of(status: StatusCode, code: &str, detail: &str) -> Answer {
    let title = status.canonical_reason().unwrap_or("Error");
    let problem = json!({
        "type": "about:blank", "title": title, "status": status.as_u16(), "code": code, "detail": detail,
    });
    let mut bytes = problem.to_string().into_bytes();
    bytes.push(b'\n');
    Answer::new(status, "application/problem+json", bytes)
}

/// What went wrong. Codes are part of the interface.
pub(super) fn problem(wrong: &Wrong) -> Answer {
    let (status, text) = said(Language::En.texts(), wrong);
    let code = match wrong {
        Wrong::Bad => "bad-request",
        Wrong::Closed | Wrong::Unreadable(_) => "unavailable",
        Wrong::Forbidden => "forbidden",
        Wrong::NotFound => "not-found",
        Wrong::Refused(_) => "refused",
        Wrong::Stale => "csrf",
    };
    problem_of(status, code, &text)
}

pub(super) fn unauthorized() -> Answer {
    problem_of(StatusCode::UNAUTHORIZED, "unauthorized", "Log in with POST /api/v1/session.")
}

pub(super) fn method_not_allowed(methods: &str) -> Answer {
    let answer = problem_of(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "See /api/openapi.json.");
    answer.allow(methods)
}

pub(super) fn no_json() -> Answer {
    let detail = "Send application/json.";
    problem_of(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)
}

pub(super) fn wait(seconds: u64) -> Answer {
    problem_of(StatusCode::TOO_MANY_REQUESTS, "wait", "Too many attempts.").retry_after(seconds)
}

/// It is done, and there is nothing to say of it.
pub(super) fn nothing() -> Answer {
    Answer::new(StatusCode::NO_CONTENT, "application/json", Vec::new())
}

/// Who is logged in.
pub(super) fn session(visitor: &Visitor) -> Result<Answer, Wrong> {
    #[derive(Serialize)]
    struct Session<'v> {
        name: &'v str,
        role: Role,
        /// None: all.
        schools: &'v [String],
        language: Language,
        csrf: &'v str,
    }
    answer(&Session {
        name: visitor.name(),
        role: visitor.role,
        schools: &visitor.schools,
        language: visitor.language(),
        csrf: visitor.csrf(),
    })
}

/// Names in a query, and those of the pages.
const SCHOOL: (&str, &str) = ("school", "school");
const DAYS: [(&str, &str); 2] = [("from", "van"), ("until", "tot")];
const LIST: [(&str, &str); 9] = [
    SCHOOL,
    DAYS[0],
    DAYS[1],
    ("recipient", "leverancier"),
    ("field", "veld"),
    ("outcome", "afloop"),
    ("basis", "grondslag"),
    ("cursor", "vanaf"),
    ("limit", "aantal"),
];

/// Answers a question that is about no one person.
pub(super) fn get(view: &View<'_>, path: &str, query: &Pairs) -> Result<Answer, Wrong> {
    let named = |known: &[(&str, &str)]| query.renamed(known).ok_or(Wrong::Bad);
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        ["disclosures"] => return answer(&disclosures::list(view, &named(&LIST)?)?),
        ["recipients", id] => {
            return answer(&suppliers::look_up(view, id, &named(&[SCHOOL, DAYS[0], DAYS[1]])?)?);
        }
        ["reviews"] => return answer(&reviews::months(view, &named(&[SCHOOL])?)?),
        _ => {}
    }
    let _ = named(&[])?;
    match parts[..] {
        ["overview"] => answer(&overview::overview(view)?),
        ["disclosures", position] => answer(&disclosures::one(view, position)?),
        ["disclosures", position, "proof"] => disclosures::proof_file(disclosures::one(view, position)?),
        ["recipients"] => answer(&suppliers::listed(view)?),
        ["reviews", brin, month] => {
            let sample = reviews::sample(view, brin, month)?;
            reviews::looked(view, brin)?;
            answer(&sample)
        }
        ["holds"] => answer(&holds(view)?),
        ["approvals"] => answer(&approvals(view)?),
        _ => Err(Wrong::NotFound),
    }
}

/// A delivery that is or was held. Nothing that is made of its pupils is told, though the hold has a hash of them.
#[derive(Serialize)]
struct Held {
    id: Uuid,
    school: String,
    recipient: String,
    dependance: Option<String>,
    agreement: String,
    at_ms: u64,
    difference: Difference,
    open: bool,
    decision: Option<Decided>,
}

#[derive(Serialize)]
struct Decided {
    approved: bool,
    by: String,
    reason: String,
    at_ms: u64,
    reference: Uuid,
}

fn holds(view: &View<'_>) -> Result<Vec<Held>, Wrong> {
    view.demand(Permission::Read)?;
    let mut all = Vec::new();
    for school in view.schools() {
        let standing = view.standing(&school.brin)?;
        all.extend(standing.holds().iter().cloned().map(|hold| {
            let decided = match hold.decision {
                Decision::Approved(because) => Some((true, because)),
                Decision::Open => None,
                Decision::Rejected(because) => Some((false, because)),
            };
            Held {
                id: hold.id,
                school: school.brin.clone(),
                recipient: hold.recipient,
                dependance: hold.dependance,
                agreement: hold.agreement,
                at_ms: hold.at_ms,
                difference: hold.difference,
                open: decided.is_none(),
                decision: decided.map(|(approved, because)| Decided {
                    approved,
                    by: because.by,
                    reason: because.reason,
                    at_ms: because.at_ms,
                    reference: because.reference,
                }),
            }
        }));
    }
    Ok(all)
}

/// A version of an agreement that waits for approval.
#[derive(Serialize)]
struct Waiting<'a> {
    agreement: &'a str,
    version: u32,
    sha256: String,
    school: &'a str,
    recipient: &'a str,
    product: &'a str,
    author: Option<&'a str>,
    changes: Vec<ChangeOf>,
}

/// A point on which it differs from the version in force.
#[derive(Serialize)]
struct ChangeOf {
    widens: bool,
    text: String,
}

fn approvals<'a>(view: &View<'a>) -> Result<Vec<Waiting<'a>>, Wrong> {
    view.demand(Permission::Read)?;
    let mut all = Vec::new();
    for school in view.schools() {
        let standing = view.standing(&school.brin)?;
        for agreement in decisions::waiting(view, &standing, school) {
            let changes = decisions::changes_of(&standing, agreement).into_iter();
            all.push(Waiting {
                agreement: &agreement.id,
                version: agreement.version,
                sha256: hex::encode(agreement.hash),
                school: &school.brin,
                recipient: &agreement.recipient,
                product: &agreement.product,
                author: agreement.terms.author.as_deref(),
                changes: changes
                    .map(|change| ChangeOf { widens: change.widens, text: change.text })
                    .collect(),
            });
        }
    }
    Ok(all)
}

/// It is done, and on record.
#[derive(Serialize)]
struct Done {
    reference: Uuid,
}

fn done(reference: Uuid) -> Result<Answer, Wrong> {
    answer(&Done { reference })
}

/// Does what is asked, or answers a question about a person.
pub(super) fn post(view: &View<'_>, kept: &Kept, path: &str, body: &[u8]) -> Result<Answer, Wrong> {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        ["subjects"] => look_up(view, kept, body),
        ["subjects", reference, "rights"] => {
            let Entering { kind, scope, decided_by } = parse(body)?;
            done(person::enter(view, &*subject(view, kept, reference)?, (kind, scope, decided_by))?)
        }
        ["subjects", reference, "rights", right, "lift"] => {
            let right = right.parse().map_err(|_| Wrong::NotFound)?;
            let Nothing {} = parse(body)?;
            done(person::lift(view, &*subject(view, kept, reference)?, right)?)
        }
        ["subjects", reference, "erase"] => {
            let Erasing { confirm: true } = parse(body)? else { return Err(Wrong::Bad) };
            answer(&person::erase(view, &*subject(view, kept, reference)?)?)
        }
        ["breach"] => ask(view, body),
        ["reviews", brin, month] => {
            let Attesting { root, sample: marks, conclusion } = parse(body)?;
            let sample = reviews::sample(view, brin, month)?;
            done(reviews::attest_to(view, &sample, &root, marks, &conclusion)?)
        }
        ["holds", brin, id] => {
            let Deciding { approve, reason } = parse(body)?;
            let id = id.parse().map_err(|_| Wrong::NotFound)?;
            done(decisions::decide_on(view, brin, id, approve, &reason)?)
        }
        ["approvals"] => {
            let Approving { agreement, sha256 } = parse(body)?;
            done(decisions::approve_of(view, &agreement, &sha256)?)
        }
        _ => Err(Wrong::NotFound),
    }
}

/// Who is asked about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subjected {
    school: String,
    by: String,
    number: Zeroizing<String>,
    reason: String,
    #[serde(default)]
    staff: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entering {
    kind: RightKind,
    scope: Scope,
    decided_by: DecidedBy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Erasing {
    confirm: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    recipient: String,
    #[serde(default)]
    school: Option<String>,
    #[serde(default)]
    from: Option<Date>,
    #[serde(default)]
    until: Option<Date>,
    #[serde(default)]
    pseudonyms: Option<Vec<Zeroizing<String>>>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attesting {
    root: String,
    sample: Vec<Reviewed>,
    #[serde(default)]
    conclusion: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deciding {
    approve: bool,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approving {
    agreement: String,
    sha256: String,
}

/// A person that this session looked up.
fn subject(view: &View<'_>, kept: &Kept, reference: &str) -> Result<std::sync::Arc<Subject>, Wrong> {
    let reference = reference.parse().map_err(|_| Wrong::NotFound)?;
    kept.subject(view.visitor, reference).ok_or(Wrong::NotFound)
}

/// An entry that stands for a person, without the handles it is kept under.
#[derive(Serialize)]
struct Stands {
    reference: Uuid,
    kind: RightKind,
    scope: Scope,
    decided_by: DecidedBy,
    entered_ms: u64,
}

fn look_up(view: &View<'_>, kept: &Kept, body: &[u8]) -> Result<Answer, Wrong> {
    #[derive(Serialize)]
    struct Found {
        reference: Uuid,
        #[serde(flatten)]
        inzage: Inzage,
        rights: Vec<Stands>,
    }
    let Subjected { school, by, number, reason, staff } = parse(body)?;
    let question = Question { school: &school, by: &by, number: &number, reason: &reason, staff };
    let subject = kept.keep(view.visitor, person::look_up(view, &question)?);
    let inzage = view.answers()?.inzage(&subject.brin, &subject.person, &ALWAYS)?;
    let rights = person::rights_of(view, &subject)?.into_iter().map(|right| {
        let Right { reference, kind, scope, decided_by, entered_ms, .. } = right;
        Stands { reference, kind, scope, decided_by, entered_ms }
    });
    answer(&Found { reference: subject.reference, inzage, rights: rights.collect() })
}

fn ask(view: &View<'_>, body: &[u8]) -> Result<Answer, Wrong> {
    #[derive(Serialize)]
    struct Known<'k> {
        reference: Uuid,
        breach: datalek::Told<'k>,
        /// Who is affected, where pseudonyms were given.
        leak: Option<Leak>,
    }
    let Asking { recipient, school, from, until, pseudonyms, reason } = parse(body)?;
    let lines = pseudonyms.map(|all| {
        // One that broke off a line would count as two.
        let whole = all.iter().all(|one| !one.is_empty() && !one.contains(char::is_control));
        let lines: Vec<&str> = all.iter().map(|one| one.as_str()).collect();
        if whole && !lines.is_empty() { Ok(Zeroizing::new(lines.join("\n"))) } else { Err(Wrong::Bad) }
    });
    let lines = lines.transpose()?;
    let breach = breach::begin(
        view,
        &breach::Question {
            recipient: &recipient,
            school: school.as_deref(),
            days: period(from.unwrap_or(*ALWAYS.start()), until.unwrap_or(*ALWAYS.end()))?,
            pseudonyms: lines.as_ref().map(|lines| lines.as_str()),
            reason: &reason,
        },
    )?;
    let found = breach::found(view, &breach)?;
    let leak = breach::leak(view, &breach)?;
    answer(&Known { reference: breach.reference, breach: breach::told(view, &found)?, leak })
}
