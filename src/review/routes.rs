//! All there is to be asked for, and what each takes: the one list that requests are held against before anything else.
//! What is not on it is not found, whoever asks; so nothing can be added without saying here who may have it.

use super::{account::Permission, oidc};

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever is logged in, in a role that may do this.
    For(Permission),
    /// Whoever is logged in.
    LoggedIn,
    /// Anybody.
    Open,
}

/// Something that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// `GET`, which is `HEAD` too, `POST` or `DELETE`.
    pub method: &'static str,
    /// Its path, with parts in braces that vary.
    pub path: &'static str,
    /// Who may ask.
    pub access: Access,
}

const fn route(method: &'static str, path: &'static str, access: Access) -> Route {
    Route { method, path, access }
}

const ANYBODY: Access = Access::Open;
const APPROVE: Access = Access::For(Permission::Approve);
const ATTEST: Access = Access::For(Permission::Attest);
const ENTER: Access = Access::For(Permission::Enter);
const EXPORT: Access = Access::For(Permission::Export);
const PERSON: Access = Access::For(Permission::Person);
const READ: Access = Access::For(Permission::Read);

/// All of them.
pub const ROUTES: &[Route] = &[
    route("GET", "/assets/app.css", ANYBODY),
    route("GET", "/assets/app.js", ANYBODY),
    route("GET", "/assets/icon.svg", ANYBODY),
    route("GET", "/api/openapi.json", ANYBODY),
    route("GET", "/inloggen", ANYBODY),
    route("POST", "/inloggen", ANYBODY),
    route("GET", oidc::BEGIN, ANYBODY),
    route("GET", oidc::BACK, ANYBODY),
    route("GET", "/eenmalig/{token}", ANYBODY),
    route("POST", "/taal", ANYBODY),
    route("POST", "/uitloggen", Access::LoggedIn),
    route("GET", "/", READ),
    route("GET", "/verstrekkingen", READ),
    route("GET", "/verstrekkingen.csv", EXPORT),
    route("GET", "/verstrekkingen/{position}", READ),
    route("GET", "/verstrekkingen/{position}/bewijs", READ),
    route("GET", "/leveranciers", READ),
    route("GET", "/leveranciers/{recipient}", READ),
    route("GET", "/leveranciers/{recipient}/gegevens.csv", EXPORT),
    route("GET", "/leveranciers/{recipient}/rapport.pdf", EXPORT),
    route("GET", "/leveranciers/{recipient}/omvang.csv", EXPORT),
    route("GET", "/leveranciers/{recipient}/meldingen.csv", EXPORT),
    route("GET", "/leveranciers.csv", EXPORT),
    route("GET", "/controle.csv", EXPORT),
    route("GET", "/besluiten.csv", EXPORT),
    route("GET", "/nieuw.csv", EXPORT),
    route("GET", "/rapporten/{school}/ontvangers.pdf", READ),
    route("GET", "/rapporten/{school}/privacyverklaring.pdf", READ),
    route("GET", "/rapporten/{school}/verwerkingsregister.pdf", READ),
    route("GET", "/leerling", PERSON),
    route("POST", "/leerling", PERSON),
    route("POST", "/leerling/pdf", PERSON),
    route("POST", "/leerling/vastleggen", ENTER),
    route("POST", "/leerling/intrekken", ENTER),
    route("POST", "/leerling/wissen", ENTER),
    route("GET", "/datalek", PERSON),
    route("POST", "/datalek", PERSON),
    route("POST", "/datalek/pdf", PERSON),
    route("POST", "/datalek/csv", EXPORT),
    route("GET", "/controle", READ),
    route("GET", "/controle/{school}/{month}", READ),
    route("POST", "/controle/{school}/{month}", ATTEST),
    route("GET", "/overeenkomst", ENTER),
    route("POST", "/overeenkomst", ENTER),
    route("POST", "/overeenkomst/vastleggen", ENTER),
    route("GET", "/besluiten", READ),
    route("POST", "/besluiten/verstrekking", APPROVE),
    route("POST", "/besluiten/overeenkomst", APPROVE),
    route("POST", "/nagaan", READ),
    route("GET", "/api/v1/session", Access::LoggedIn),
    route("POST", "/api/v1/session", ANYBODY),
    route("DELETE", "/api/v1/session", Access::LoggedIn),
    route("GET", "/api/v1/overview", READ),
    route("GET", "/api/v1/disclosures", READ),
    route("GET", "/api/v1/disclosures/{position}", READ),
    route("GET", "/api/v1/disclosures/{position}/proof", READ),
    route("GET", "/api/v1/recipients", READ),
    route("GET", "/api/v1/recipients/{recipient}", READ),
    route("POST", "/api/v1/subjects", PERSON),
    route("POST", "/api/v1/subjects/{reference}/rights", ENTER),
    route("POST", "/api/v1/subjects/{reference}/rights/{right}/lift", ENTER),
    route("POST", "/api/v1/subjects/{reference}/erase", ENTER),
    route("POST", "/api/v1/breach", PERSON),
    route("GET", "/api/v1/reviews", READ),
    route("GET", "/api/v1/reviews/{school}/{month}", READ),
    route("POST", "/api/v1/reviews/{school}/{month}", ATTEST),
    route("GET", "/api/v1/holds", READ),
    route("POST", "/api/v1/holds/{school}/{hold}", APPROVE),
    route("GET", "/api/v1/approvals", READ),
    route("POST", "/api/v1/approvals", APPROVE),
];

/// What a request asks for.
pub(super) enum Asked {
    /// There is no such path.
    Nothing,
    /// It takes other methods: those.
    Otherwise(String),
    /// This.
    Route(Access),
}

/// Whether a path is one that a pattern stands for.
fn is_of(pattern: &str, path: &str) -> bool {
    let (mut parts, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (parts.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(given)) if part == given || (part.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

/// Finds what a request asks for.
pub(super) fn find(method: &str, path: &str) -> Asked {
    let asked = if method == "HEAD" { "GET" } else { method };
    let mut methods: Vec<&str> = Vec::new();
    for route in ROUTES.iter().filter(|route| is_of(route.path, path)) {
        if route.method == asked {
            return Asked::Route(route.access);
        }
        methods.push(route.method);
    }
    if methods.is_empty() {
        return Asked::Nothing;
    }
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    Asked::Otherwise(methods.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_with_its_methods() {
        let said = |method, path| match find(method, path) {
            Asked::Nothing => "nothing".to_owned(),
            Asked::Otherwise(methods) => methods,
            Asked::Route(access) => format!("{access:?}"),
        };
        for (method, path, found) in [
            ("GET", "/", "For(Read)"),
            ("HEAD", "/inloggen", "Open"),
            ("POST", "/", "GET, HEAD"),
            ("PUT", "/controle/99DE/2026-08", "GET, HEAD, POST"),
            ("GET", "/verstrekkingen/12", "For(Read)"),
            ("GET", "/verstrekkingen/", "nothing"),
            ("GET", "/verstrekkingen/12/bewijs/", "nothing"),
            ("GET", "//verstrekkingen", "nothing"),
            ("GET", "/leerling/pdf", "POST"),
            ("DELETE", "/api/v1/session", "LoggedIn"),
            ("GET", "/api/v1/subjects/x/erase", "POST"),
            ("GET", "", "nothing"),
        ] {
            assert_eq!(said(method, path), found, "{method} {path}");
        }
    }

    #[test]
    fn none_is_there_twice() {
        for (place, one) in ROUTES.iter().enumerate() {
            let same = |other: &&Route| other.method == one.method && is_of(other.path, one.path);
            let first = ROUTES.iter().position(|other| same(&other));
            assert_eq!(first, Some(place), "{one:?}");
        }
    }
}
