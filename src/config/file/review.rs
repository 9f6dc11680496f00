//! `[review]`: where reviewers log in, and by whom they are known.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::{Check, FileGateway, reach::Far};
use crate::{
    config::{ClientSecret, Oidc, Review, SecondFactor},
    expiry::Which,
    problem::Problem,
    review::account::Accounts,
    strict::{FilePath, Table, word},
    tls,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileReview {
    pub(super) listen: Spanned<SocketAddr>,
    pub(super) certificate: Option<FilePath>,
    pub(super) private_key: Option<FilePath>,
    pub(super) accounts: Option<FilePath>,
    pub(super) idle_minutes: Option<Spanned<u16>>,
    pub(super) session_hours: Option<Spanned<u16>>,
    pub(super) public_url: Option<Spanned<String>>,
    pub(super) oidc: Option<Table<FileOidc>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileOidc {
    pub(super) issuer: Spanned<String>,
    pub(super) client_id: Spanned<String>,
    pub(super) client_secret: FilePath,
    pub(super) ca: Option<FilePath>,
    pub(super) scopes: Option<Spanned<Vec<String>>>,
    pub(super) acr: Option<Spanned<Vec<String>>>,
    #[serde(default, deserialize_with = "word")]
    pub(super) second_factor: SecondFactor,
}

impl Check<'_> {
    pub(super) fn review(&mut self, review: &FileReview, gateway: Option<&FileGateway>) -> Option<Review> {
        let mut number = |given: &Option<Spanned<u16>>, key: &str, default: u16, high: u16| match given {
            None => default,
            Some(given) if (1..=high).contains(given.get_ref()) => *given.get_ref(),
            Some(given) => {
                let what = format!("review.{key} is out of range");
                self.wrong(given.span(), what, format!("choose from 1 to {high}"));
                default
            }
        };
        let idle = number(&review.idle_minutes, "idle_minutes", Review::IDLE_MINUTES, 60);
        let session = number(&review.session_hours, "session_hours", Review::SESSION_HOURS, 24);
        let pair = match (&review.certificate, &review.private_key) {
            (Some(certificate), Some(private_key)) => Some((certificate, private_key)),
            (None, None) => gateway.map(|gateway| (&gateway.certificate, &gateway.private_key)),
            _ => {
                let mend =
                    "give both certificate and private_key, or neither: then those of [gateway] are used";
                self.wrong(review.listen.span(), "half a certificate for the review app", mend);
                return None;
            }
        };
        let Some((certificate, private_key)) = pair else {
            let what = "the review app has no certificate";
            self.wrong(review.listen.span(), what, "give certificate and private_key in [review]");
            return None;
        };
        let identity = tls::Identity {
            certificate: self.base.join(certificate),
            private_key: self.base.join(private_key),
        };
        // What is wrong with the pair of the gateway is said there.
        let own = review.certificate.is_some();
        if own {
            self.secret(&identity.private_key);
            self.ends(Which::Review, &identity.certificate);
        }
        let tls = match tls::open_server_config(&identity, self.clock) {
            Err(_) if !own => None,
            config => self.keep(config),
        };
        let accounts = match &review.accounts {
            None => self.base.join("accounts.json"),
            Some(accounts) => self.base.join(accounts),
        };
        let public = self.public_url(review.public_url.as_ref());
        let oidc = match &review.oidc {
            None => None,
            Some(oidc) => Some(Arc::new(self.oidc(oidc, public.as_deref())?)),
        };
        self.secret(&accounts);
        let read = Accounts::new(accounts.clone()).check();
        self.keep(read.map_err(|problem| vec![problem]))?;
        let tls = tls?;
        Some(Review {
            listen: *review.listen.get_ref(),
            tls: Arc::new(tls),
            accounts,
            idle: Duration::from_secs(u64::from(idle) * 60),
            session: Duration::from_secs(u64::from(session) * 60 * 60),
            oidc,
        })
    }

    /// The address by which browsers know the review app, without a slash at its end. What is wrong with it is said.
    fn public_url(&mut self, given: Option<&Spanned<String>>) -> Option<String> {
        let text = given?.get_ref();
        let own = text.strip_suffix('/').unwrap_or(text);
        let url: Option<http::Uri> = own.parse().ok();
        let host = url.as_ref().filter(|url| url.scheme_str() == Some("https")).and_then(http::Uri::host);
        // An address and no more: cookies are of the whole host, and pages name one another from its root.
        let bare = own.get("https://".len()..).is_some_and(|rest| !rest.contains(['/', '?', '#', '@']));
        if host.is_none_or(str::is_empty) || !bare {
            let mend = "write what browsers show, such as https://sluis.example:8444, and no path";
            self.wrong(given?.span(), "review.public_url is no address of the review app", mend);
            return None;
        }
        Some(own.to_owned())
    }

    fn oidc(&mut self, oidc: &FileOidc, public: Option<&str>) -> Option<Oidc> {
        let before = self.problems.len();
        let (issuer, span) = (oidc.issuer.get_ref(), oidc.issuer.span());
        let plain = |url: &http::Uri| {
            let host = url.host().is_some_and(|host| !host.is_empty());
            host && !issuer.contains(['?', '#']) && !url.authority().is_some_and(|a| a.as_str().contains('@'))
        };
        let discovery = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovery: Option<http::Uri> = discovery.parse().ok().filter(plain);
        let far = Far {
            who: "the identity provider",
            key: "review.oidc.issuer",
            mend: "write it as the provider says it, such as https://idp.example/school; discovery is found under it",
            ca: oidc.ca.as_ref(),
            identity: None,
            ends: None,
        };
        let tls = self.reach(span, discovery.as_ref(), &far);
        if public.is_none() {
            let what = "there is no address for the identity provider to send browsers back to";
            let mend = "give public_url in [review], and tell the provider <public_url>/inloggen/oidc/terug";
            self.wrong(oidc.issuer.span(), what, mend);
        }
        let words = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let client_id = oidc.client_id.get_ref();
        if !words(client_id, 256) {
            let mend = "write it as the provider gave it: 1 to 256 characters, no spaces";
            self.wrong(oidc.client_id.span(), "the client_id is none", mend);
        }
        for (key, given) in [("scopes", &oidc.scopes), ("acr", &oidc.acr)] {
            let Some(given) = given else { continue };
            let fits = |text: &String| words(text, 256) && (key == "acr" || !text.contains(['"', '\\']));
            if given.get_ref().len() > 16 || !given.get_ref().iter().all(fits) {
                let what = format!("review.oidc.{key} holds what is none");
                self.wrong(given.span(), what, "write at most 16 words, without spaces in them");
            }
        }
        let list = |given: &Option<Spanned<Vec<String>>>| {
            given.as_ref().map(|given| given.get_ref().clone()).unwrap_or_default()
        };
        if let Some(acr) = oidc.acr.as_ref().filter(|_| oidc.second_factor == SecondFactor::Idp) {
            let what = "acr is never looked at where second_factor = \"idp\"";
            self.wrong(acr.span(), what, "remove one of the two");
        }
        let client_secret = self.client_secret(oidc.client_secret.as_ref());
        if self.problems.len() > before {
            return None;
        }
        Some(Oidc {
            issuer: issuer.clone(),
            discovery: discovery?,
            tls: tls?,
            client_id: client_id.clone(),
            client_secret: client_secret?,
            scopes: list(&oidc.scopes),
            acr: list(&oidc.acr),
            second_factor: oidc.second_factor,
            redirect_uri: format!("{}{}", public?, crate::review::oidc::BACK),
        })
    }

    fn client_secret(&mut self, path: &Path) -> Option<ClientSecret> {
        let (path, secret) = self.one_secret(path)?;
        let secret = secret.filter(|secret| {
            (1..=512).contains(&secret.len()) && secret.bytes().all(|b| (b' '..=b'~').contains(&b))
        });
        if secret.is_none() {
            let mend = "write secret = \"…\", as the identity provider gave it, and nothing else";
            self.problems.push(Problem::new(path, "is no secret of a client", mend));
        }
        secret.map(ClientSecret)
    }
}
