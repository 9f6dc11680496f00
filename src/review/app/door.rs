//! How somebody comes in, and goes: by a passphrase and a code, by an identity provider, or with a token of the
//! demonstration.

use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::Review;
use crate::{
    config::Oidc as Settings,
    review::{
        account::{Language, Passphrase},
        api,
        http::{Answer, OIDC, Pairs, Request, SESSION},
        login::{LoggedIn, Refused},
        oidc::{self, OidcError},
        page::{alert, open_page},
        session::Token,
        texts::{Texts, fill},
        visitor::{Visitor, Wrong},
    },
};

impl Review {
    pub(super) fn log_in_page(&self, language: Language, said: Option<&str>) -> Answer {
        let t = language.texts();
        let alert = match said {
            Some("uit") => alert("goed", t.logged_out),
            Some("verlopen") => alert("let-op", t.session_ended),
            _ => html! {},
        };
        Answer::html(open_page(language, t.log_in, &log_in_form(t, &alert, self.provider().is_some())))
    }

    /// The identity provider, where the configuration in force has one.
    pub(super) fn provider(&self) -> Option<Arc<Settings>> {
        self.in_force.state().config().review.as_ref()?.oidc.clone()
    }

    /// Sends a browser to the identity provider. That is a link and no form: browsers hold what follows a form to
    /// `form-action`, and the provider is elsewhere.
    pub(super) fn sent_to_provider(&self, request: &Request, settings: &Arc<Settings>) -> Answer {
        match self.oidc.begin(settings) {
            Ok(begun) => {
                Answer::see(begun.address).oidc_cookie(begun.cookie.expose(), oidc::PATIENCE.as_secs())
            }
            Err(error) => self.not_by_provider(request, &error),
        }
    }

    /// Logs in whoever is back from there.
    pub(super) fn back_from_provider(
        &self,
        request: &Request,
        settings: &Arc<Settings>,
    ) -> Result<Answer, Wrong> {
        let language = self.language(request);
        let answer = match self.oidc.finish(settings, request.cookie(OIDC), &request.query) {
            Ok(verified) => match self.logins.admit(&verified) {
                Ok(entered) => self.enter_by_page(request, entered)?,
                Err(refused) => self.refused(language, refused),
            },
            Err(error) => self.not_by_provider(request, &error),
        };
        Ok(answer.cookie(OIDC, None, None))
    }

    fn not_by_provider(&self, request: &Request, error: &OidcError) -> Answer {
        let language = self.language(request);
        let t = language.texts();
        match error {
            OidcError::Stranger => self.log_in_page(language, Some("verlopen")),
            OidcError::Wait => self.refused(language, Refused::Wait { seconds: 5 }),
            OidcError::Declined | OidcError::NotVerified(_) => {
                tracing::warn!(reason = %error, "a log-in by the identity provider was refused");
                self.refused(language, self.logins.unverified())
            }
            OidcError::Discovery(_) | OidcError::NoRandom(_) | OidcError::Unreachable { .. } => {
                tracing::warn!(reason = %error, "the identity provider cannot be used");
                let main = log_in_form(t, &alert("fout", t.log_in_oidc_closed), true);
                Answer::html(open_page(language, t.log_in, &main)).status(StatusCode::BAD_GATEWAY)
            }
        }
    }

    /// As [`Self::enter`], with a page between: a redirect would still be a part of the way that the identity provider
    /// began, on which a strict cookie stays behind, and the first page would ask to log in again. What the page leads to
    /// is asked for by this app itself.
    fn enter_by_page(&self, request: &Request, entered: LoggedIn) -> Result<Answer, Wrong> {
        let language = self.language(request);
        let t = language.texts();
        let main = html! { p { a.sluis-button href="/" { (t.overview) } } };
        let token = self.begin(request, entered)?;
        let answer = Answer::html(open_page(language, t.log_in, &main)).leave_for("/");
        Ok(answer.cookie(SESSION, Some(token.expose()), None))
    }

    pub(super) fn log_in(&self, request: &Request, form: &Pairs) -> Result<Answer, Wrong> {
        let language = self.language(request);
        let given = |name: &str| form.get(name).unwrap_or_default();
        let passphrase = Passphrase::given(given("wachtwoordzin"));
        match self.logins.attempt(given("naam"), &passphrase, given("code")) {
            Ok(entered) => self.enter(request, entered),
            Err(refused) => Ok(self.refused(language, refused)),
        }
    }

    fn refused(&self, language: Language, refused: Refused) -> Answer {
        let t = language.texts();
        let (status, text, wait) = match refused {
            Refused::Closed => (StatusCode::SERVICE_UNAVAILABLE, t.unreadable.to_owned(), None),
            Refused::Wait { seconds } => {
                (StatusCode::TOO_MANY_REQUESTS, fill(t.log_in_wait, &[&seconds]), Some(seconds))
            }
            Refused::Wrong => (StatusCode::UNAUTHORIZED, t.log_in_failed.to_owned(), None),
        };
        let main = log_in_form(t, &alert("fout", &text), self.provider().is_some());
        let answer = Answer::html(open_page(language, t.log_in, &main)).status(status);
        match wait {
            Some(seconds) => answer.retry_after(seconds),
            None => answer,
        }
    }

    /// Ends a session, with all that is kept for it.
    pub(super) fn leave(&self, token: &str, visitor: &Visitor) {
        let ended = self.sessions.find(token).ok().flatten();
        self.sessions.end(token);
        self.kept.forget(&visitor.session);
        if let Some(session) = ended {
            // It has ended, on record or not; what went wrong is said where it did.
            let _ = self.logins.left(&session);
        }
    }

    /// Begins a session. Whatever session there was is of somebody else's making, or over.
    fn begin(&self, request: &Request, entered: LoggedIn) -> Result<Token, Wrong> {
        if let Some(token) = request.cookie(SESSION) {
            self.sessions.end(token);
        }
        self.sessions.begin(entered).map_err(|_| Wrong::Closed)
    }

    fn enter(&self, request: &Request, entered: LoggedIn) -> Result<Answer, Wrong> {
        let token = self.begin(request, entered)?;
        Ok(Answer::see("/").cookie(SESSION, Some(token.expose()), None))
    }

    /// Logs in with a token of the demonstration.
    pub(super) fn once(&self, request: &Request, token: &str) -> Result<Answer, Wrong> {
        match self.logins.redeem(&self.sessions, token) {
            Ok(entered) => self.enter(request, entered),
            Err(_) => Ok(self.log_in_page(self.language(request), Some("verlopen"))),
        }
    }

    pub(super) fn api_log_in(&self, request: &Request) -> Result<Answer, Wrong> {
        let given: api::Credentials = api::parse(&request.body)?;
        match self.logins.attempt(&given.name, &Passphrase::given(&given.passphrase), &given.code) {
            Ok(entered) => {
                let token = self.begin(request, entered)?;
                let visitor = self.known(token.expose(), None)?.ok_or(Wrong::Closed)?;
                Ok(api::session(&visitor)?.cookie(SESSION, Some(token.expose()), None))
            }
            Err(Refused::Wait { seconds }) => Ok(api::wait(seconds)),
            Err(Refused::Closed) => Err(Wrong::Closed),
            Err(Refused::Wrong) => Ok(api::unauthorized()),
        }
    }
}

fn log_in_form(t: &Texts, said: &Markup, provider: bool) -> Markup {
    html! {
        div.sluis-login {
            (said)
            p { (t.log_in_intro) }
            form.sluis-form method="post" action="/inloggen" {
                div.sluis-field {
                    label for="naam" { (t.account_name) }
                    input id="naam" name="naam" type="text" required maxlength="64" autocomplete="username" autocapitalize="off" spellcheck="false";
                }
                div.sluis-field {
                    label for="wachtwoordzin" { (t.passphrase) }
                    input id="wachtwoordzin" name="wachtwoordzin" type="password" required maxlength="256" autocomplete="current-password";
                }
                div.sluis-field {
                    label for="code" { (t.code) }
                    input id="code" name="code" type="text" required inputmode="numeric" pattern="[0-9]{6}" maxlength="6" autocomplete="one-time-code";
                }
                button.sluis-button type="submit" { (t.log_in) }
            }
            @if provider {
                p { a.sluis-button.sluis-button--second href=(oidc::BEGIN) { (t.log_in_oidc) } }
            }
        }
    }
}
