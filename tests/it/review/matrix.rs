//! Every route the app has, for every role, about schools of one's own and of others. A route without a row fails.

use serde_json::{Value, json};
use sluis::{
    disclosure::LeafKind,
    review::{
        account::Role,
        routes::{Access, ROUTES, Route},
    },
};

use super::{App, Client, Got, KEY, Place};

/// What is sent.
pub(crate) enum Body {
    Form(Vec<(&'static str, String)>),
    Json(Value),
    Nothing,
}

/// Something to ask.
pub(crate) struct Ask {
    method: &'static str,
    path: String,
    body: Body,
    /// The status where it is of no school the account sees; none: it is about no school.
    missing: Option<u16>,
}

impl Ask {
    pub(crate) fn send(&self, client: &Client<'_>) -> Got {
        match &self.body {
            Body::Form(pairs) => {
                let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
                client.form(&self.path, &pairs)
            }
            Body::Json(value) => client.json(self.method, &self.path, value),
            Body::Nothing => client.ask(self.method, &self.path, &[("X-CSRF-Token", &client.csrf)], b""),
        }
    }

    /// The same with these headers and no token but what is given.
    pub(crate) fn send_from(&self, client: &Client<'_>, csrf: Option<&str>, headers: &[(&str, &str)]) -> Got {
        let mut headers = headers.to_vec();
        match &self.body {
            Body::Form(pairs) => {
                let mut pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
                pairs.extend(csrf.map(|csrf| ("csrf", csrf)));
                client.form_from(&self.path, &pairs, &headers)
            }
            Body::Json(value) => {
                headers.extend(csrf.map(|csrf| ("X-CSRF-Token", csrf)));
                client.json_from(self.method, &self.path, value, &headers)
            }
            Body::Nothing => {
                headers.extend(csrf.map(|csrf| ("X-CSRF-Token", csrf)));
                client.ask(self.method, &self.path, &headers, b"")
            }
        }
    }
}

/// An agreement of a century that no other is about, by the administrator.
fn next(brin: &str, recipient: &str) -> String {
    format!(
        "id = \"{brin}-nieuw\"\nversion = 1\nschool = \"{brin}\"\nrecipient = \"{recipient}\"\nproduct = \"Nieuw\"\n\
         annex = \"bijsluiter.pdf\"\npurpose = \"leermiddelen\"\nbasis = \"overeenkomst\"\nauthor = \"beheerder\"\n\
         valid = {{ from = 2100-08-01, until = 2101-07-31 }}\npseudonym = {{ domain = \"recipient\" }}\n\
         [release]\n\"leerling.roepnaam\" = \"pass\"\n"
    )
}

/// What to ask of a route about a place.
pub(crate) fn asks(route: &Route, place: &Place) -> Vec<Ask> {
    let Place { brin, recipient, agreement, sha256, position, hold, month, root, looked, breach, rights } =
        place;
    let method = route.method;
    let path = route
        .path
        .replace("{school}", brin)
        .replace("{recipient}", recipient)
        .replace("{position}", position)
        .replace("{hold}", hold)
        .replace("{month}", month)
        .replace("{reference}", &looked[1])
        .replace("{right}", &rights[1])
        .replace("{token}", &"0".repeat(64));
    let ask = |path: &str, body: Body, missing| Ask { method, path: path.to_owned(), body, missing };
    let plain = || ask(&path, Body::Nothing, None);
    let of_place = || ask(&path, Body::Nothing, Some(404));
    let query = |text: String| ask(&format!("{path}?{text}"), Body::Nothing, Some(404));
    let by_school = || query(format!("school={brin}"));
    let form = |pairs: &[(&'static str, &str)], missing| {
        let pairs = pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        vec![ask(&path, Body::Form(pairs), missing)]
    };
    let json = |value: Value| vec![ask(&path, Body::Json(value), Some(404))];
    let kenmerk = ("kenmerk", looked[0].as_str());
    match (method, route.path) {
        ("GET", "/" | "/leerling" | "/datalek" | "/besluiten" | "/inloggen" | "/eenmalig/{token}")
        | ("GET", "/inloggen/oidc" | "/inloggen/oidc/terug")
        | ("GET", "/assets/app.css" | "/assets/app.js" | "/assets/icon.svg" | "/api/openapi.json")
        | ("GET" | "DELETE", "/api/v1/session")
        | ("GET", "/api/v1/overview" | "/api/v1/holds" | "/api/v1/approvals") => vec![plain()],
        ("GET", "/leveranciers" | "/api/v1/recipients") => vec![plain()],
        ("GET", "/verstrekkingen" | "/verstrekkingen.csv") => {
            vec![plain(), by_school(), query(format!("leverancier={recipient}"))]
        }
        ("GET", "/api/v1/disclosures") => vec![plain(), by_school(), query(format!("recipient={recipient}"))],
        ("GET", "/controle" | "/api/v1/reviews") => vec![plain(), by_school()],
        ("GET", "/leveranciers/{recipient}" | "/api/v1/recipients/{recipient}") => {
            vec![of_place(), by_school()]
        }
        ("GET", "/leveranciers.csv" | "/besluiten.csv" | "/nieuw.csv") => vec![plain()],
        ("GET", "/controle.csv") => vec![plain(), by_school()],
        ("GET", "/leveranciers/{recipient}/omvang.csv" | "/leveranciers/{recipient}/meldingen.csv") => {
            vec![of_place(), by_school()]
        }
        ("GET", "/rapporten/{school}/ontvangers.pdf" | "/rapporten/{school}/verwerkingsregister.pdf")
        | ("GET", "/rapporten/{school}/privacyverklaring.pdf") => vec![of_place()],
        ("GET", "/leveranciers/{recipient}/gegevens.csv" | "/leveranciers/{recipient}/rapport.pdf") => {
            vec![of_place(), by_school()]
        }
        ("GET", "/verstrekkingen/{position}" | "/verstrekkingen/{position}/bewijs")
        | ("GET", "/api/v1/disclosures/{position}" | "/api/v1/disclosures/{position}/proof")
        | ("GET", "/controle/{school}/{month}" | "/api/v1/reviews/{school}/{month}") => vec![of_place()],
        ("POST", "/inloggen") => form(&[("naam", "x"), ("wachtwoordzin", "x"), ("code", "x")], None),
        ("POST", "/taal") => form(&[("taal", "nl")], None),
        ("POST", "/uitloggen" | "/nagaan") => form(&[], None),
        ("POST", "/leerling") => {
            form(&[("school", brin), ("soort", "key"), ("nummer", KEY), ("reden", "inzage")], Some(404))
        }
        ("POST", "/leerling/pdf") => form(&[kenmerk], Some(409)),
        ("POST", "/leerling/vastleggen") => {
            form(&[kenmerk, ("recht", "beperking"), ("door", "ouder"), ("waarover", "alles")], Some(409))
        }
        ("POST", "/leerling/intrekken") => form(&[kenmerk, ("recht", &rights[0])], Some(409)),
        ("POST", "/leerling/wissen") => form(&[kenmerk, ("zeker", "ja")], Some(409)),
        ("POST", "/datalek") => form(
            &[("leverancier", recipient), ("school", brin), ("pseudoniemen", "x"), ("reden", "datalek")],
            Some(404),
        ),
        ("POST", "/datalek/pdf" | "/datalek/csv") => form(&[("kenmerk", breach)], Some(409)),
        ("POST", "/controle/{school}/{month}") => form(&[("wortel", root)], Some(404)),
        ("POST", "/besluiten/verstrekking") => {
            form(&[("school", brin), ("id", hold), ("besluit", "goed"), ("reden", "klopt")], Some(404))
        }
        ("POST", "/besluiten/overeenkomst") => {
            form(&[("overeenkomst", agreement), ("tekst", sha256)], Some(404))
        }
        ("GET", "/overeenkomst") => vec![plain(), query(format!("van={agreement}"))],
        ("POST", "/overeenkomst" | "/overeenkomst/vastleggen") => {
            form(&[("tekst", &next(brin, recipient))], None)
        }
        ("POST", "/api/v1/session") => {
            let body = Body::Json(json!({ "name": "x", "passphrase": "x", "code": "x" }));
            vec![ask(&path, body, None)]
        }
        ("POST", "/api/v1/subjects") => {
            json(json!({ "school": brin, "by": "key", "number": KEY, "reason": "inzage" }))
        }
        ("POST", "/api/v1/subjects/{reference}/rights") => {
            json(json!({ "kind": "bezwaar", "scope": "all", "decided_by": "ouder" }))
        }
        ("POST", "/api/v1/subjects/{reference}/rights/{right}/lift") => json(json!({})),
        ("POST", "/api/v1/subjects/{reference}/erase") => json(json!({ "confirm": true })),
        ("POST", "/api/v1/breach") => {
            let mut all = json(json!({ "recipient": recipient, "school": brin, "reason": "datalek" }));
            all.extend(json(
                json!({ "recipient": recipient, "school": brin, "pseudonyms": ["x"], "reason": "datalek" }),
            ));
            all
        }
        ("POST", "/api/v1/reviews/{school}/{month}") => json(json!({ "root": root, "sample": [] })),
        ("POST", "/api/v1/holds/{school}/{hold}") => json(json!({ "approve": true, "reason": "klopt" })),
        ("POST", "/api/v1/approvals") => json(json!({ "agreement": agreement, "sha256": sha256 })),
        _ => panic!("{route:?} has no row here: who may have it, and about which school?"),
    }
}

/// What would end the session of whoever asks.
fn ends(route: &Route) -> bool {
    matches!((route.method, route.path), ("POST", "/uitloggen") | ("DELETE", "/api/v1/session"))
}

/// What can be done only once.
fn once(route: &Route) -> bool {
    let parts = ["besluiten/", "controle/", "/approvals", "/holds/", "/reviews/"];
    route.method == "POST" && parts.iter().any(|part| route.path.contains(part))
}

/// What leaf says that it was asked or done, with the account's code.
fn on_record(route: &Route) -> Option<LeafKind> {
    let path = route.path;
    let has = |parts: &[&str]| parts.iter().any(|part| path.contains(part));
    match route.method {
        // These follow from agreements alone.
        "GET" if path.starts_with("/rapporten/") => None,
        "GET" if has(&[".csv", ".pdf", "{month}"]) => Some(LeafKind::LogRead),
        "GET" => None,
        // What is entered is on record once it is in force.
        _ if path.starts_with("/overeenkomst") => None,
        // What is of today cannot go yet, and nothing else is there to go; tests of retention erase more.
        _ if has(&["wissen", "erase"]) => None,
        _ if has(&["vastleggen", "intrekken", "/rights"]) => Some(LeafKind::Right),
        _ if has(&["leerling", "datalek", "subjects", "breach"]) => Some(LeafKind::LogRead),
        _ if has(&["{month}"]) => Some(LeafKind::ReviewAttestation),
        _ if has(&["verstrekking", "holds"]) => Some(LeafKind::Hold),
        _ if has(&["overeenkomst", "approvals"]) => Some(LeafKind::AgreementActivated),
        _ => None,
    }
}

fn may(role: Role, access: Access) -> bool {
    match access {
        Access::For(permission) => role.may(permission),
        Access::LoggedIn | Access::Open => true,
    }
}

/// Of the other school; none of it may be told to whoever does not see it.
const MARKS: [&str; 4] = ["99KK", "zuidzee", "Zuidzee", "De Tweede School"];

const ROLES: [Role; 3] = [Role::Beheerder, Role::Fg, Role::Goedkeurder];

#[test]
fn nobody_sees_or_does_what_is_not_theirs() {
    let app = App::start();
    let all = app.someone("allen", Role::Fg, &[]);
    let theirs = app.place(&all, "99KK", "zuidzee");
    let nowhere = theirs.nowhere();
    let stranger = app.stranger();
    let before = app.home.leaves().len();
    for route in ROUTES.iter().filter(|route| route.access != Access::Open) {
        for ask in asks(route, &theirs) {
            let got = ask.send(&stranger);
            if route.path.starts_with("/api/") {
                assert_eq!(got.status, 401, "{route:?}");
            } else {
                let sent = got.header("location");
                assert!(
                    got.status == 303 && sent.starts_with("/inloggen"),
                    "{route:?} {} {sent}",
                    got.status
                );
            }
        }
    }
    assert_eq!(app.home.leaves().len(), before, "a stranger leaves nothing behind");

    let clients: Vec<_> = ROLES.map(|role| (role, app.someone(role.as_str(), role, &["99DE"]))).into();
    // References of somebody else's look-ups are nobody else's.
    let looked = all.json(
        "POST",
        "/api/v1/subjects",
        &json!({
            "school": "99KK", "by": "key", "number": KEY, "reason": "inzage",
        }),
    );
    let looked = looked.value()["reference"].as_str().unwrap().to_owned();
    let theirs = Place { looked: [looked.clone(), looked.clone()], breach: looked, ..theirs };
    let leaves = app.home.leaves().len();
    for route in ROUTES.iter().filter(|route| route.access != Access::Open && !ends(route)) {
        for (role, client) in &clients {
            let (other, none) = (asks(route, &theirs), asks(route, &nowhere));
            for (ask, none) in other.iter().zip(&none) {
                let what = format!("{role:?} {} {}", ask.method, ask.path);
                if !may(*role, route.access) {
                    let got = ask.send(client);
                    assert_eq!(got.status, 403, "{what}");
                    assert_eq!(
                        got.text(),
                        none.send(client).text(),
                        "{what}: no more than of what is not there"
                    );
                } else if let Some(missing) = ask.missing {
                    let got = ask.send(client);
                    assert_eq!(got.status, missing, "{what} {}", got.text());
                    assert_eq!(
                        got.text(),
                        none.send(client).text(),
                        "{what}: no more than of what is not there"
                    );
                } else if route.method == "GET" {
                    let text = ask.send(client).text();
                    let told: Vec<_> = MARKS.iter().filter(|mark| text.contains(**mark)).collect();
                    assert!(told.is_empty(), "{what} tells {told:?}");
                }
            }
        }
    }
    let exports = app.home.leaves().len() - leaves;
    let whole = |route: &&Route| route.path.ends_with(".csv") && !route.path.contains('{');
    let kinds = ROUTES.iter().filter(whole).count();
    assert!(exports <= kinds, "one export of each kind that is about no school, and nothing else: {exports}");
    // Where it shows at all, it shows to whoever sees all: the search above can find something.
    let shows = |path: &str| MARKS.iter().filter(|mark| all.get(path).text().contains(**mark)).count();
    for path in [
        "/",
        "/verstrekkingen",
        "/verstrekkingen.csv",
        "/leveranciers",
        "/datalek",
        "/leerling",
        "/besluiten",
        "/api/v1/overview",
        "/api/v1/disclosures",
        "/api/v1/recipients",
        "/api/v1/holds",
        "/api/v1/approvals",
        "/controle",
        "/api/v1/reviews",
    ] {
        assert!(shows(path) > 0, "{path}");
    }
    let (_, errors) = app.stop();
    assert!(!errors.contains(KEY) && !errors.contains("panicked"), "{errors}");
}

#[test]
fn everybody_has_what_is_theirs_and_it_is_on_record() {
    let app = App::start();
    let all = app.someone("allen", Role::Fg, &[]);
    let place = app.place(&all, "99DE", "noordzee");
    for role in ROLES {
        let client = app.someone(role.as_str(), role, &["99DE"]);
        let mut own = place.clone();
        if role != Role::Goedkeurder {
            let look = || {
                let subject = json!({ "school": "99DE", "by": "key", "number": KEY, "reason": "inzage" });
                let got = client.json("POST", "/api/v1/subjects", &subject).value();
                assert_eq!(got["deliveries"].as_array().unwrap().len(), 1, "{got}");
                got["reference"].as_str().unwrap().to_owned()
            };
            own.looked = [look(), look()];
            let lost = [
                ("leverancier", "noordzee"),
                ("school", "99DE"),
                ("pseudoniemen", "x"),
                ("reden", "datalek"),
            ];
            let page = client.form("/datalek", &lost).text();
            own.breach = page.split("name=\"kenmerk\" value=\"").nth(1).unwrap()[..36].to_owned();
        }
        if role == Role::Beheerder {
            for (place, scope) in [json!("all"), json!({ "purpose": "leermiddelen" })].iter().enumerate() {
                let entry = json!({ "kind": "toestemming", "scope": scope, "decided_by": "ouder" });
                let path = format!("/api/v1/subjects/{}/rights", own.looked[1]);
                let got = client.json("POST", &path, &entry).value();
                own.rights[place] = got["reference"].as_str().unwrap().to_owned();
            }
        }
        let code = app.home.leaves().iter().rfind(|leaf| leaf.kind == LeafKind::Account).unwrap().certificate;
        for route in ROUTES.iter().filter(|route| route.access != Access::Open && may(role, route.access)) {
            if ends(route) {
                continue;
            }
            for ask in asks(route, &own) {
                let before = app.home.leaves().len();
                let got = ask.send(&client);
                let what = format!("{role:?} {} {}: {} {}", ask.method, ask.path, got.status, got.text());
                // What can be done once, a page has done when the API comes to it.
                if once(route) && route.path.starts_with("/api/") {
                    assert!(matches!(got.status, 404 | 409), "{what}");
                    continue;
                }
                assert_eq!(got.status, if route.path == "/nagaan" { 303 } else { 200 }, "{what}");
                assert!(!got.text().contains("sluis-alert--fout"), "{what}");
                let told: Vec<_> = MARKS.iter().filter(|mark| got.text().contains(**mark)).collect();
                assert!(told.is_empty(), "{what} tells {told:?}");
                // A verification that somebody began ends when it does, and is nobody's.
                let leaves = app.home.leaves();
                let made = leaves[before..].iter().filter(|leaf| leaf.certificate != [0; 32]);
                let made: Vec<_> = made.map(|leaf| (leaf.kind, leaf.certificate)).collect();
                match on_record(route) {
                    Some(kind) => assert_eq!(made, [(kind, code)], "{what}"),
                    None => assert_eq!(made, [], "{what}"),
                }
            }
        }
        for route in ROUTES.iter().filter(|route| ends(route)) {
            let client = app.enter(role.as_str());
            let got = asks(route, &own)[0].send(&client);
            assert!(matches!(got.status, 204 | 303), "{route:?}");
            assert_eq!(client.get("/api/v1/session").status, 401, "{route:?}");
        }
    }
    let (home, errors) = app.stop();
    assert!(!errors.contains(KEY) && !errors.contains("panicked"), "{errors}");
    let ran = home.run(&["log", "verify", "data", "--copy", "keys/checkpoint"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

/// Every route that changes or asks something, with a token or from a place that is not the page's own.
#[test]
fn no_form_of_elsewhere_does_anything() {
    let app = App::start();
    let all = app.someone("allen", Role::Fg, &[]);
    let place = app.place(&all, "99DE", "noordzee");
    let clients: Vec<_> = ROLES.map(|role| (role, app.someone(role.as_str(), role, &[]))).into();
    let (before, origin) = (app.home.leaves().len(), app.origin());
    let own = [("Origin", origin.as_str()), ("Sec-Fetch-Site", "same-origin")];
    for route in ROUTES.iter().filter(|route| route.method != "GET") {
        let (_, client) = clients.iter().find(|(role, _)| may(*role, route.access)).unwrap();
        let is_api = route.path.starts_with("/api/");
        for ask in asks(route, &place) {
            let refused = |csrf: Option<&str>, headers: &[(&str, &str)], what: &str| {
                let got = ask.send_from(client, csrf, headers);
                assert_eq!(got.status, 403, "{route:?} {what}");
            };
            let csrf = Some(client.csrf.as_str());
            if route.access != Access::Open {
                refused(None, &own, "without a token");
                refused(Some(""), &own, "with an empty token");
                refused(Some(&all.csrf), &own, "with the token of somebody else");
                refused(Some(&client.csrf[..62]), &own, "with a part of the token");
                refused(client.cookie.as_deref(), &own, "with the cookie as a token");
            }
            refused(csrf, &[("Origin", "https://evil.example")], "from elsewhere");
            refused(csrf, &[("Origin", "null")], "from a page without a place");
            refused(csrf, &[("Origin", &origin.replace("https", "http"))], "without TLS");
            refused(
                csrf,
                &[("Origin", &origin), ("Sec-Fetch-Site", "cross-site")],
                "as the browser says, from elsewhere",
            );
            refused(csrf, &[("Sec-Fetch-Site", "same-site")], "from a neighbour");
            if !is_api {
                refused(csrf, &[], "from nowhere");
            }
        }
    }
    assert_eq!(app.home.leaves().len(), before, "nothing was done, asked or tried");
    for (_, client) in &clients {
        assert_eq!(client.get("/api/v1/session").status, 200, "nobody was logged out");
    }
    app.stop();
}

/// A supplier of two schools: whoever sees one is told of that one, in lists, sums, reports and a breach.
#[test]
fn of_a_supplier_of_two_schools_each_is_told_its_own() {
    let app = App::start();
    let first = app.someone("een", Role::Fg, &["99DE"]);
    let second = app.someone("twee", Role::Fg, &["99KK"]);
    let all = app.someone("allen", Role::Fg, &[]);
    for (client, schools, deliveries, pupils) in
        [(&first, &["99DE"][..], 1, 40), (&second, &["99KK"], 1, 30), (&all, &["99DE", "99KK"], 2, 70)]
    {
        let listed = client.get("/api/v1/recipients").value();
        let listed = listed.as_array().unwrap().iter().find(|one| one["id"] == "noordzee").cloned();
        assert_eq!(listed.expect("also where the agreement has gone")["deliveries"], deliveries);
        let one = client.get("/api/v1/recipients/noordzee").value();
        let months = one["months"].as_object().unwrap().values();
        assert_eq!(months.map(|month| month["persons"].as_u64().unwrap()).sum::<u64>(), pupils);
        let list = client.get("/api/v1/disclosures?recipient=noordzee&outcome=sent").value();
        assert_eq!(list["disclosures"].as_array().unwrap().len(), schools.len());
        let sheet = client.get("/verstrekkingen.csv?leverancier=noordzee&afloop=sent").text();
        assert_eq!(sheet.lines().count(), 1 + schools.len(), "{sheet}");
        let mut question = json!({ "recipient": "noordzee", "reason": "datalek" });
        if let [school] = schools {
            // Whoever does not see all schools says which: there is no answer about all of them.
            assert_eq!(client.json("POST", "/api/v1/breach", &question).status, 400);
            question["school"] = json!(school);
        }
        let breach = client.json("POST", "/api/v1/breach", &question).value()["breach"].clone();
        assert_eq!(breach["pupils"], pupils);
        let told = breach["schools"].as_array().unwrap().iter().map(|one| one["school"]["brin"].clone());
        assert_eq!(told.collect::<Vec<_>>(), schools);
        for other in ["99DE", "99KK"].iter().filter(|brin| !schools.contains(brin)) {
            question["school"] = json!(other);
            assert_eq!(client.json("POST", "/api/v1/breach", &question).status, 404);
            let pages = ["/leveranciers/noordzee", "/api/v1/recipients/noordzee", "/", "/api/v1/overview"];
            for path in pages {
                assert!(!client.get(path).text().contains(other), "{path}");
            }
        }
    }
    app.stop();
}
