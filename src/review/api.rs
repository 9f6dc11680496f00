//! The same as JSON, under `/api/v1`: what pages show, for programs. `assets/openapi.json` says what there is.
//!
//! A program logs in as a person does, and holds the same cookie; what changes or asks about a person needs the token of
//! the session in `X-CSRF-Token` besides.

use hyper::StatusCode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    account::Permission,
    app::said,
    disclosures,
    http::{Answer, Pairs},
    overview, person, reviews, suppliers,
    visitor::{View, Wrong},
};
use crate::{
    answers::ALWAYS,
    standing::{Decision, Hold},
};

/// What there is, in OpenAPI 3.1.
pub(super) const OPENAPI: &str = include_str!("assets/openapi.json");

/// What somebody logs in with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    pub(super) name: String,
    pub(super) passphrase: zeroize::Zeroizing<String>,
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

/// What went wrong.
pub(super) fn problem(wrong: &Wrong) -> Answer {
    let (status, text) = said(super::account::Language::En.texts(), wrong);
    let code = match wrong {
        Wrong::Bad => "bad-request",
        Wrong::Forbidden => "forbidden",
        Wrong::NotFound => "not-found",
        Wrong::Refused(_) => "refused",
        Wrong::Stale => "csrf",
        Wrong::Unreadable(_) => "log-unreadable",
    };
    problem_of(status, code, &text)
}

pub(super) fn unauthorized() -> Answer {
    problem_of(StatusCode::UNAUTHORIZED, "unauthorized", "Log in with POST /api/v1/session.")
}

pub(super) fn method_not_allowed() -> Answer {
    problem_of(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "See /api/openapi.json.")
}

pub(super) fn wait(seconds: u64) -> Answer {
    problem_of(StatusCode::TOO_MANY_REQUESTS, "wait", "Too many attempts.").retry_after(seconds)
}

pub(super) fn session(csrf: &str) -> Answer {
    let text = json!({ "csrf": csrf }).to_string();
    Answer::new(StatusCode::OK, "application/json", text.into_bytes())
}

/// Answers a question that is about no one person.
pub(super) fn get(view: &View<'_>, path: &str, query: &Pairs) -> Result<Answer, Wrong> {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        ["overview"] => answer(&overview::overview(view)?),
        ["disclosures"] => answer(&disclosures::list(view, query)?),
        ["disclosures", position] => answer(&disclosures::one(view, position)?),
        ["recipients"] => answer(&suppliers::listed(view)?),
        ["recipients", id] => answer(&suppliers::look_up(view, id, query)?),
        ["reviews"] => answer(&reviews::months(view, query)?),
        ["reviews", brin, month] => {
            let sample = reviews::sample(view, brin, month)?;
            reviews::looked(view, brin)?;
            answer(&sample)
        }
        ["holds"] => answer(&holds(view)?),
        ["subjects" | "session"] => Ok(method_not_allowed()),
        _ => Err(Wrong::NotFound),
    }
}

/// A delivery that is or was held.
#[derive(Serialize)]
struct Held {
    school: String,
    #[serde(flatten)]
    hold: Hold,
    open: bool,
}

fn holds(view: &View<'_>) -> Result<Vec<Held>, Wrong> {
    view.demand(Permission::Read)?;
    let mut all = Vec::new();
    for school in view.schools() {
        let standing = view.standing(&school.brin)?;
        all.extend(standing.holds().iter().map(|hold| Held {
            school: school.brin.clone(),
            open: hold.decision == Decision::Open,
            hold: hold.clone(),
        }));
    }
    Ok(all)
}

/// Who is asked about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    school: String,
    by: String,
    number: zeroize::Zeroizing<String>,
    reason: String,
    #[serde(default)]
    staff: bool,
}

/// Answers a question about a person.
pub(super) fn post(view: &View<'_>, path: &str, body: &[u8]) -> Result<Answer, Wrong> {
    match path {
        "subjects" => {
            let Subject { school, by, number, reason, staff } = parse(body)?;
            let form = Pairs::of([
                ("school", school.as_str()),
                ("soort", by.as_str()),
                ("nummer", number.as_str()),
                ("reden", reason.as_str()),
                ("leerkracht", if staff { "ja" } else { "" }),
            ]);
            let subject = person::look_up(view, &form)?;
            let school = view.school(&subject.brin)?;
            answer(&view.answers()?.inzage(&school.brin, &subject.person, &ALWAYS)?)
        }
        _ => Err(Wrong::NotFound),
    }
}
