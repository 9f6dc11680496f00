//! The app: from a request to an answer, for somebody who is logged in and for what that person may see.
//!
//! Everything after the head and the body have been read happens on a thread that may wait: the log is files.

mod door;

use std::{io, sync::Arc, time::Duration};

use hyper::{Method, Request as HttpRequest, Response, StatusCode, body::Incoming};
use maud::{Markup, html};
use tokio::sync::Semaphore;

use super::{
    account::{AccountError, Accounts, Language, Permission},
    agreements, api, breach, decisions, disclosures, exports,
    http::{Answer, Content, LANGUAGE, Pairs, Request, SESSION, cookie, dress, is_own_path, whole},
    integrity::Integrity,
    kept::Kept,
    login::Logins,
    oidc::{self, Oidc},
    overview,
    page::{Room, alert, open_page, page},
    person, reviews,
    routes::{self, Access, Asked},
    session::{self, OneTime, SessionLimits, Sessions},
    suppliers,
    texts::{Texts, fill},
    visitor::{View, Visitor, Wrong},
};
use crate::{
    answers::{Reading, index::DeliveryIndex},
    bridge::{self, Body, BodyError, Patience, read_body},
    config::{Config, Review as Settings},
    control::Desk,
    disclosure::Reader,
    gateway::Gateway,
    ingress::listener::Handler,
    problem_details,
};

/// Bytes of a form at most: a review with a long remark on each delivery.
const FORM_BYTES: usize = 256 << 10;
/// The same of somebody who is not in, and of whom a log-in is all that is looked at.
const STRANGER_BYTES: usize = 64 << 10;
/// Fields of a form or an address at most.
const FIELDS: usize = 4096;
/// The same where a list can be pasted: pseudonyms of all pupils of a large board.
const PASTED_BYTES: usize = 8 << 20;
/// For a form to arrive, and between two parts of it.
const FORM_READ: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// Bytes a second of it at least.
const FORM_BYTES_PER_SECOND: u64 = 1024;
/// Pages that are made at once; more wait.
const AT_ONCE: usize = 8;
/// Downloads at once; nobody waits for one of these.
const DOWNLOADS: usize = 16;
/// How long a page may wait for its turn.
const TURN: Duration = Duration::from_secs(10);
/// The longest that somebody who downloads may take nothing, and all of it may take.
const DOWNLOAD: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));

/// Where the configuration in force is found: it may be another after a reload.
pub type InForce = Arc<Gateway>;

/// Takes the configuration as it is on disk into force, and says whether it was in order.
pub type Reload = Box<dyn Fn() -> bool + Send + Sync>;

/// The review app.
pub struct Review {
    in_force: InForce,
    reload: Reload,
    desk: Arc<Desk>,
    index: DeliveryIndex,
    accounts: Arc<Accounts>,
    logins: Logins,
    sessions: Sessions,
    oidc: Oidc,
    kept: Kept,
    integrity: Arc<Integrity>,
    turns: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
}

/// Why there is no app.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewUnavailable {
    /// Accounts.
    #[error("{0}")]
    Accounts(#[from] AccountError),
    /// The index of deliveries.
    #[error("there can be no index of deliveries in the folder of the log ({})", .0.kind())]
    Index(#[from] io::Error),
}

impl Review {
    /// One for the holder of the log.
    ///
    /// # Errors
    ///
    /// [`ReviewUnavailable`].
    pub fn new(
        settings: &Settings,
        in_force: InForce,
        desk: Desk,
        reload: Reload,
    ) -> Result<Self, ReviewUnavailable> {
        let accounts = Arc::new(Accounts::new(settings.accounts.clone()));
        let sessions =
            Sessions::new(Arc::clone(&accounts), SessionLimits::from(settings), Arc::clone(&desk.clock));
        Self::with(accounts, sessions, in_force, desk, reload)
    }

    /// The same for `sluis demo`, which logs somebody in once without passphrase or code.
    ///
    /// # Errors
    ///
    /// [`ReviewUnavailable`].
    pub fn for_demonstration(
        settings: &Settings,
        in_force: InForce,
        desk: Desk,
        reload: Reload,
    ) -> Result<(Self, OneTime), ReviewUnavailable> {
        let accounts = Arc::new(Accounts::new(settings.accounts.clone()));
        let limits = SessionLimits::from(settings);
        let (sessions, once) =
            Sessions::for_demonstration(Arc::clone(&accounts), limits, Arc::clone(&desk.clock));
        Ok((Self::with(accounts, sessions, in_force, desk, reload)?, once))
    }

    fn with(
        accounts: Arc<Accounts>,
        sessions: Sessions,
        in_force: InForce,
        desk: Desk,
        reload: Reload,
    ) -> Result<Self, ReviewUnavailable> {
        let logins = Logins::new(Arc::clone(&accounts), desk.log.clone(), Arc::clone(&desk.clock))?;
        Ok(Self {
            in_force,
            reload,
            index: DeliveryIndex::new(&desk.data)?,
            kept: Kept::new(Arc::clone(&desk.clock)),
            oidc: Oidc::new(Arc::clone(&desk.clock)),
            desk: Arc::new(desk),
            accounts,
            logins,
            sessions,
            integrity: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            downloads: Arc::new(Semaphore::new(DOWNLOADS)),
        })
    }

    /// Verifies the log in the background, unless that is under way.
    pub fn verify(&self, config: &Config) {
        self.integrity.begin(config, &self.desk);
    }

    /// Reads what is new of the log into the index. Waits; not for async contexts.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn catch_up(&self) -> io::Result<()> {
        self.index.catch_up(&Reader::open(&self.desk.data)?)
    }

    /// Answers a request. Waits; not for async contexts.
    fn answer(self: &Arc<Self>, request: &Request) -> Answer {
        let path = request.path.as_str();
        let language = self.language(request);
        let access = match routes::find(request.method.as_str(), path) {
            Asked::Nothing if path.starts_with("/api/") => return api::problem(&Wrong::NotFound),
            Asked::Nothing => return self.wrong(request, language, &Wrong::NotFound),
            Asked::Otherwise(methods) => return api::method_not_allowed(&methods),
            Asked::Route(access) => access,
        };
        match path {
            "/assets/app.css" => {
                return Answer::asset("text/css; charset=utf-8", include_bytes!("assets/app.css"));
            }
            "/assets/app.js" => {
                return Answer::asset("text/javascript; charset=utf-8", include_bytes!("assets/app.js"));
            }
            "/assets/icon.svg" => return Answer::asset("image/svg+xml", include_bytes!("assets/icon.svg")),
            "/api/openapi.json" => return Answer::asset("application/json", api::OPENAPI.as_bytes()),
            _ => {}
        }
        if let Some(path) = path.strip_prefix("/api/v1/") {
            return self.api(request, path, access).unwrap_or_else(|wrong| {
                Self::report(&wrong);
                api::problem(&wrong)
            });
        }
        let made = match request.method {
            Method::POST if !request.is_same_origin() => Err(Wrong::Stale),
            Method::POST => self.post(request, access),
            _ => self.get(request, access),
        };
        made.unwrap_or_else(|wrong| {
            Self::report(&wrong);
            self.wrong(request, language, &wrong)
        })
    }

    /// Says what somebody has to look at.
    fn report(wrong: &Wrong) {
        if let Wrong::Unreadable(kind) = wrong {
            tracing::error!(%kind, "the log could not be read for the review app");
        }
    }

    /// The language of whoever is not known yet: the cookie, or else what the browser says first.
    fn language(&self, request: &Request) -> Language {
        let chosen = request.cookie(LANGUAGE).and_then(Language::parse);
        let asked = || {
            let said = request.header("accept-language")?.split([',', ';', '-']).next()?.trim();
            Language::parse(said)
        };
        chosen.or_else(asked).unwrap_or_default()
    }

    /// Whoever makes a request, if that is known.
    fn visitor(&self, request: &Request) -> Result<Option<Visitor>, Wrong> {
        let Some(token) = request.cookie(SESSION) else { return Ok(None) };
        self.known(token, request.cookie(LANGUAGE).and_then(Language::parse))
    }

    /// Whose session a token is of.
    fn known(&self, token: &str, language: Option<Language>) -> Result<Option<Visitor>, Wrong> {
        let session = self.sessions.find(token).map_err(|error| {
            // What is wrong with the file is not for whoever asks.
            tracing::warn!(reason = %error, "accounts cannot be read");
            Wrong::Closed
        })?;
        Ok(session.map(|session| Visitor {
            code: session.account.code(),
            name: session.account.name.clone(),
            role: session.account.role,
            schools: session.account.schools.clone(),
            language: language.unwrap_or(session.language),
            csrf: session::csrf(token),
            session: super::visitor::session_of(token),
        }))
    }

    fn view<'a>(&'a self, config: &'a Config, visitor: &'a Visitor) -> Result<View<'a>, Wrong> {
        self.catch_up()?;
        Ok(View {
            config,
            desk: &self.desk,
            index: &self.index,
            accounts: &self.accounts,
            integrity: &self.integrity,
            visitor,
        })
    }

    fn get(self: &Arc<Self>, request: &Request, access: Access) -> Result<Answer, Wrong> {
        let path = request.path.as_str();
        let visitor = self.visitor(request)?;
        if let Some(token) = path.strip_prefix("/eenmalig/") {
            return self.once(request, token);
        }
        if path == "/inloggen" {
            if visitor.is_some() {
                return Ok(Answer::see("/"));
            }
            let said = request.query.get("melding");
            return Ok(self.log_in_page(self.language(request), said));
        }
        if let (oidc::BEGIN | oidc::BACK, Some(settings)) = (path, self.provider()) {
            return match path {
                oidc::BEGIN if visitor.is_some() => Ok(Answer::see("/")),
                oidc::BEGIN => Ok(self.sent_to_provider(request, &settings)),
                _ => self.back_from_provider(request, &settings),
            };
        }
        let Some(visitor) = visitor else {
            let ended = request.cookie(SESSION).is_some();
            let answer = Answer::see(if ended { "/inloggen?melding=verlopen" } else { "/inloggen" });
            return Ok(if ended { answer.cookie(SESSION, None, None) } else { answer });
        };
        visitor.admit(access)?;
        let state = self.in_force.state();
        let view = self.view(state.config(), &visitor)?;
        let t = view.texts();
        let query = &request.query;
        let shown = |room: Room, title: &str, main: Markup| {
            Ok(Answer::html(page(&visitor, room, &with_query(path, query), title, &main)))
        };
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts[..] {
            [""] => {
                let found = overview::overview(&view)?;
                shown(Room::Overview, t.overview, overview::show(&view, &found))
            }
            ["verstrekkingen"] => {
                let list = disclosures::list(&view, query)?;
                shown(Room::Disclosures, t.disclosures, disclosures::show(&view, query, &list)?)
            }
            ["verstrekkingen.csv"] => self.disclosures_csv(&view, query),
            ["verstrekkingen", position] => {
                let one = disclosures::one(&view, position)?;
                let (title, main) = disclosures::show_one(&view, &one);
                shown(Room::Disclosures, &title, main)
            }
            ["verstrekkingen", position, "bewijs"] => {
                disclosures::proof_file(disclosures::one(&view, position)?)
            }
            ["leveranciers"] => shown(Room::Suppliers, t.suppliers, suppliers::list(&view)?),
            ["leveranciers", id] => {
                let (title, main) = suppliers::one(&view, id, query)?;
                shown(Room::Suppliers, &title, main)
            }
            ["besluiten.csv"] => exports::table(&view, "besluiten.csv", None, query),
            ["controle.csv"] => exports::table(&view, "controle.csv", None, query),
            ["leveranciers.csv"] => exports::table(&view, "leveranciers.csv", None, query),
            ["nieuw.csv"] => exports::table(&view, "nieuw.csv", None, query),
            ["leveranciers", id, "meldingen.csv"] => exports::table(&view, "meldingen.csv", Some(id), query),
            ["leveranciers", id, "omvang.csv"] => exports::table(&view, "omvang.csv", Some(id), query),
            ["rapporten", brin, name] => exports::published(&view, brin, name),
            ["leveranciers", id, "gegevens.csv"] => suppliers::csv(&view, id, query),
            ["leveranciers", id, "rapport.pdf"] => suppliers::pdf(&view, id, query),
            ["leerling"] => shown(Room::Pupil, t.pupil, person::form(&view, None, &Pairs::default())?),
            ["datalek"] => shown(Room::Breach, t.breach, breach::form(&view, None)?),
            ["controle"] => {
                let months = reviews::months(&view, query)?;
                shown(Room::Review, t.review, reviews::show(&view, &months))
            }
            ["controle", brin, month] => {
                let sample = reviews::sample(&view, brin, month)?;
                reviews::looked(&view, brin)?;
                shown(Room::Review, t.review, reviews::show_sample(&view, &sample, None)?)
            }
            ["overeenkomst"] => {
                shown(Room::Suppliers, t.agreement_enter, agreements::form(&view, query.get("van"))?)
            }
            ["besluiten"] => shown(Room::Decisions, t.decisions, decisions::show(&view, None)?),
            _ => Err(Wrong::NotFound),
        }
    }

    fn post(self: &Arc<Self>, request: &Request, access: Access) -> Result<Answer, Wrong> {
        let path = request.path.as_str();
        let form = request.form();
        match path {
            "/inloggen" => return self.log_in(request, &form),
            "/taal" => {
                let language = form.get("taal").and_then(Language::parse).ok_or(Wrong::Bad)?;
                let back = form.get("terug").filter(|path| is_own_path(path));
                if let Some(token) = request.cookie(SESSION) {
                    self.sessions.speak(token, language);
                }
                let year = 365 * 24 * 60 * 60;
                return Ok(Answer::see(back.unwrap_or("/")).cookie(
                    LANGUAGE,
                    Some(language.code()),
                    Some(year),
                ));
            }
            _ => {}
        }
        let (Some(token), Some(visitor)) = (request.cookie(SESSION), self.visitor(request)?) else {
            return Ok(Answer::see("/inloggen?melding=verlopen").cookie(SESSION, None, None));
        };
        if !form.get("csrf").is_some_and(|given| session::csrf_matches(token, given)) {
            return Err(Wrong::Stale);
        }
        visitor.admit(access)?;
        if path == "/uitloggen" {
            self.leave(token, &visitor);
            return Ok(Answer::see("/inloggen?melding=uit").cookie(SESSION, None, None));
        }
        let state = self.in_force.state();
        let view = self.view(state.config(), &visitor)?;
        let t = view.texts();
        let shown = |room: Room, back: &str, title: &str, main: Markup| {
            Ok(Answer::html(page(&visitor, room, back, title, &main)))
        };
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts[..] {
            ["leerling"] => person::post(&view, &self.kept, "", &form),
            ["leerling", what] => person::post(&view, &self.kept, what, &form),
            ["datalek"] => breach::post(&view, &self.kept, "", &form),
            ["datalek", what] => breach::post(&view, &self.kept, what, &form),
            ["besluiten", what] => {
                shown(Room::Decisions, "/besluiten", t.decisions, decisions::post(&view, what, &form)?)
            }
            ["controle", brin, month] => {
                shown(Room::Review, path, t.review, reviews::attest(&view, brin, month, &form)?)
            }
            ["overeenkomst"] => {
                shown(Room::Suppliers, "/overeenkomst", t.agreement_enter, agreements::check(&view, &form)?)
            }
            ["overeenkomst", "vastleggen"] => {
                let main = agreements::enter(&view, &form, &self.reload)?;
                shown(Room::Suppliers, "/overeenkomst", t.agreement_enter, main)
            }
            ["nagaan"] => {
                view.demand(Permission::Read)?;
                self.integrity.begin(view.config, &self.desk);
                Ok(Answer::see("/"))
            }
            _ => Err(Wrong::NotFound),
        }
    }

    /// Puts on record that a list is taken along, and writes it as it is read.
    fn disclosures_csv(self: &Arc<Self>, view: &View<'_>, query: &Pairs) -> Result<Answer, Wrong> {
        view.demand(Permission::Export)?;
        let filter = disclosures::filter(view, query)?;
        view.read(Reading::Export, query.get("school"), query.get("leverancier"), 0)?;
        let (own, state, visitor) = (Arc::clone(self), self.in_force.state(), view.visitor.clone());
        let write = move |out: &mut dyn io::Write| {
            let broken = |_| io::Error::from(io::ErrorKind::Other);
            let view = own.view(state.config(), &visitor).map_err(broken)?;
            disclosures::write_csv(&view, &filter, out)
        };
        Ok(Answer::download(super::csv::KIND, "verstrekkingen.csv", Box::new(write)))
    }

    fn wrong(&self, request: &Request, language: Language, wrong: &Wrong) -> Answer {
        let t = language.texts();
        let (status, text) = said(t, wrong);
        let main = html! {
            (alert("fout", &text))
            p { a href="/" { (t.overview) } }
        };
        let page = match self.visitor(request) {
            Ok(Some(visitor)) => page(&visitor, Room::Elsewhere, "/", visitor.texts().error_title, &main),
            Ok(None) | Err(_) => open_page(language, t.error_title, &main),
        };
        Answer::html(page).status(status)
    }

    fn api(self: &Arc<Self>, request: &Request, path: &str, access: Access) -> Result<Answer, Wrong> {
        let changes = !matches!(request.method, Method::GET | Method::HEAD);
        if changes && !request.is_same_origin_or_no_browser() {
            return Err(Wrong::Stale);
        }
        // A page of elsewhere can send a form or plain text without asking, and never this.
        if request.method == Method::POST && !request.body.is_empty() && !request.is_json() {
            return Ok(api::no_json());
        }
        if access == Access::Open {
            return self.api_log_in(request);
        }
        let (Some(token), Some(visitor)) = (request.cookie(SESSION), self.visitor(request)?) else {
            return Ok(api::unauthorized());
        };
        let given = request.header("x-csrf-token");
        if changes && !given.is_some_and(|given| session::csrf_matches(token, given)) {
            return Err(Wrong::Stale);
        }
        visitor.admit(access)?;
        match (path, &request.method) {
            ("session", &Method::DELETE) => {
                self.leave(token, &visitor);
                return Ok(api::nothing().cookie(SESSION, None, None));
            }
            ("session", _) => return api::session(&visitor),
            _ => {}
        }
        let state = self.in_force.state();
        let view = self.view(state.config(), &visitor)?;
        if changes {
            api::post(&view, &self.kept, path, &request.body)
        } else {
            api::get(&view, path, &request.query)
        }
    }

    /// The most that is read of a body. Long lists are pasted in one place alone, by somebody who is in.
    fn most(&self, head: &hyper::http::request::Parts) -> usize {
        let pasted = matches!(head.uri.path(), "/datalek" | "/api/v1/breach");
        let known = cookie(&head.headers, SESSION).is_some_and(|token| self.sessions.may_know(token));
        match (known, pasted) {
            (true, true) => PASTED_BYTES,
            (true, false) => FORM_BYTES,
            (false, _) => STRANGER_BYTES,
        }
    }
}

/// What went wrong, for people, and the status of the answer.
pub(super) fn said(t: &Texts, wrong: &Wrong) -> (StatusCode, String) {
    match wrong {
        Wrong::Bad => (StatusCode::BAD_REQUEST, t.bad_request.into()),
        Wrong::Closed => (StatusCode::SERVICE_UNAVAILABLE, t.unreadable.into()),
        Wrong::Forbidden => (StatusCode::FORBIDDEN, t.forbidden.into()),
        Wrong::NotFound => (StatusCode::NOT_FOUND, t.not_found.into()),
        Wrong::Refused(what) => (StatusCode::CONFLICT, fill(t.refused, &[what])),
        Wrong::Stale => (StatusCode::FORBIDDEN, t.stale_form.into()),
        Wrong::Unreadable(_) => (StatusCode::SERVICE_UNAVAILABLE, t.unreadable.into()),
    }
}

fn with_query(path: &str, query: &Pairs) -> String {
    let query = query.with(&[]);
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Fields of a form or an address, of which each becomes two texts in memory, whatever is in it.
fn fields(text: &[u8]) -> usize {
    text.split(|&byte| byte == b'&').count()
}

fn dressed(mut response: Response<Body>) -> Response<Body> {
    dress(response.headers_mut());
    response
}

impl Handler for Arc<Review> {
    async fn handle(&self, _: Option<Arc<[u8]>>, request: HttpRequest<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let (all, idle) = FORM_READ;
        let until = tokio::time::Instant::now() + all;
        let patience = Patience { idle, bytes_per_second: FORM_BYTES_PER_SECOND, until };
        let body = match read_body(body, self.most(&head), patience).await {
            Ok(body) => body,
            Err(error) => {
                let (status, code) = match error {
                    BodyError::Broken => (StatusCode::BAD_REQUEST, "body-broken"),
                    BodyError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
                    BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "body-too-slow"),
                };
                return dressed(problem_details::closing(status, code));
            }
        };
        let query = head.uri.query().unwrap_or_default();
        if fields(query.as_bytes()) > FIELDS || fields(&body) > FIELDS {
            return dressed(problem_details::response(StatusCode::PAYLOAD_TOO_LARGE, "too-many-fields"));
        }
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return dressed(problem_details::retry(StatusCode::SERVICE_UNAVAILABLE, "busy"));
        };
        let request = Request {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: Pairs::parse(query.as_bytes()),
            headers: head.headers,
            body,
        };
        let own = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || {
            let answer = own.answer(&request);
            drop(turn);
            answer
        });
        let Ok(answer) = made.await else {
            return dressed(problem_details::response(StatusCode::INTERNAL_SERVER_ERROR, "internal"));
        };
        let (head, content) = answer.into_parts();
        match content {
            Content::Whole(_, bytes) => whole(head, bytes),
            Content::Download { write, .. } => {
                // Each holds a thread for as long as it is taken.
                let Ok(place) = Arc::clone(&self.downloads).try_acquire_owned() else {
                    return dressed(problem_details::retry(StatusCode::SERVICE_UNAVAILABLE, "busy"));
                };
                let (idle, all) = DOWNLOAD;
                let (writer, body) = bridge::answer(idle, tokio::time::Instant::now() + all);
                tokio::task::spawn_blocking(move || {
                    let _place = place;
                    let mut out = io::BufWriter::with_capacity(64 * 1024, writer);
                    // Broken off, it never looks whole.
                    if write(&mut out).is_ok()
                        && let Ok(writer) = out.into_inner()
                    {
                        writer.finish();
                    }
                });
                head.map(|()| Body::Stream(body))
            }
        }
    }
}
