//! Answers are as `assets/openapi.json` says, and it says all there is.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluis::review::{account::Role, routes::ROUTES};

use super::{App, Client, Got, KEY};

const FILE: &str = include_str!("../../../src/review/assets/openapi.json");

fn file() -> Value {
    serde_json::from_str(FILE).unwrap()
}

#[test]
fn the_file_has_every_route_and_every_route_is_in_the_file() {
    let file = file();
    let mut said = BTreeSet::new();
    for (path, operations) in file["paths"].as_object().unwrap() {
        said.extend(
            operations
                .as_object()
                .unwrap()
                .keys()
                .map(|method| (method.to_uppercase(), format!("/api/v1{path}"))),
        );
    }
    let own = ROUTES.iter().filter(|route| route.path.starts_with("/api/v1/"));
    let own: BTreeSet<_> = own.map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    assert_eq!(said, own);
    assert!(said.len() > 20);
}

/// Every object of the file says all it can hold.
#[test]
fn the_file_is_strict() {
    fn look(value: &Value, at: &str) {
        match value {
            Value::Array(all) => all.iter().for_each(|one| look(one, at)),
            Value::Object(all) => {
                if all.get("type") == Some(&json!("object")) {
                    assert!(all.contains_key("additionalProperties"), "{at}");
                }
                all.iter().for_each(|(name, one)| look(one, &format!("{at}/{name}")));
            }
            _ => {}
        }
    }
    look(&file(), "");
}

/// Holds an answer against what the file says of it.
fn assert_as_said(file: &Value, method: &str, pattern: &str, got: &Got) {
    let escaped = pattern.replace('/', "~1");
    let operation = file.pointer(&format!("/paths/{escaped}/{}", method.to_lowercase())).unwrap();
    let mut response = &operation["responses"][got.status.to_string()];
    assert!(response.is_object(), "{method} {pattern} does not say {}: {}", got.status, got.text());
    if let Some(name) = response["$ref"].as_str() {
        response = file.pointer(&name[1..]).unwrap();
    }
    let Some(content) = response["content"].as_object() else {
        assert!(got.body.is_empty(), "{method} {pattern}");
        return;
    };
    let kind = got.header("content-type").split(';').next().unwrap();
    let said = content.get(kind).unwrap_or_else(|| panic!("{method} {pattern} does not say {kind}"));
    let value =
        if kind == "text/plain" { json!(got.text()) } else { serde_json::from_slice(&got.body).unwrap() };
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": file["components"], "allOf": [said["schema"]],
    });
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let wrong: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{method} {pattern}: {wrong:?} in {value}");
}

#[test]
fn answers_are_as_the_file_says() {
    let app = App::start();
    let file = file();
    let served = app.stranger().get("/api/openapi.json");
    assert_eq!((served.text().as_str(), served.header("content-type")), (FILE, "application/json"));
    let fg = app.someone("fg", Role::Fg, &[]);
    let enters = app.someone("bh", Role::Beheerder, &[]);
    let decides = app.someone("gk", Role::Goedkeurder, &["99DE"]);
    let place = app.place(&fg, "99DE", "noordzee");
    let asked = std::cell::RefCell::new(BTreeSet::new());
    let ask =
        |client: &Client<'_>, method: &str, pattern: &str, path: &str, body: Option<Value>, status: u16| {
            let path = format!("/api/v1{path}");
            let got = match &body {
                Some(body) => client.json(method, &path, body),
                None => client.ask(method, &path, &[("X-CSRF-Token", &client.csrf)], b""),
            };
            assert_eq!(got.status, status, "{method} {path}: {}", got.text());
            assert_as_said(&file, method, pattern, &got);
            asked.borrow_mut().insert((method.to_owned(), format!("/api/v1{pattern}")));
            got
        };
    let get = |pattern: &str, path: &str| ask(&fg, "GET", pattern, path, None, 200);
    let (position, month) = (&place.position, &place.month);
    get("/session", "/session");
    get("/overview", "/overview");
    let list =
        get("/disclosures", "/disclosures?school=99DE&outcome=sent&limit=2&field=leerling.roepnaam").value();
    assert_eq!(list["disclosures"].as_array().unwrap().len(), 1);
    assert_eq!(list["disclosures"][0]["pupils"], 40);
    get("/disclosures/{position}", &format!("/disclosures/{position}"));
    let proof = get("/disclosures/{position}/proof", &format!("/disclosures/{position}/proof"));
    assert!(proof.text().starts_with("c2sp.org/tlog-proof@v1\n"));
    let recipients = get("/recipients", "/recipients").value();
    assert_eq!(recipients.as_array().unwrap().len(), 2);
    let one = get("/recipients/{recipient}", "/recipients/noordzee?school=99DE").value();
    assert!(
        !one["agreements"].as_array().unwrap().is_empty() && !one["months"].as_object().unwrap().is_empty()
    );
    get("/reviews", "/reviews");
    let sample = get("/reviews/{school}/{month}", &format!("/reviews/99DE/{month}")).value();
    let holds = get("/holds", "/holds").value();
    assert_eq!(holds.as_array().unwrap().len(), 2);
    let waiting = get("/approvals", "/approvals").value();
    assert!(!waiting[0]["changes"].as_array().unwrap().is_empty(), "{waiting}");

    let subject = json!({ "school": "99DE", "by": "key", "number": KEY, "reason": "inzage" });
    ask(&fg, "POST", "/subjects", "/subjects", Some(subject.clone()), 200);
    let looked = ask(&enters, "POST", "/subjects", "/subjects", Some(subject.clone()), 200).value();
    assert_eq!(looked["deliveries"].as_array().unwrap().len(), 1);
    let reference = looked["reference"].as_str().unwrap();
    let rights = "/subjects/{reference}/rights";
    let path = format!("/subjects/{reference}/rights");
    let entry = json!({ "kind": "bezwaar", "scope": { "agreement": "99DE-noordzee-rekenroute" }, "decided_by": "ouder" });
    let entered = ask(&enters, "POST", rights, &path, Some(entry.clone()), 200).value();
    ask(&enters, "POST", rights, &path, Some(entry), 409);
    let elsewhere = json!({ "kind": "bezwaar", "scope": { "agreement": place.agreement.replace("99DE", "99KK") }, "decided_by": "ouder" });
    ask(&enters, "POST", rights, &path, Some(elsewhere), 404);
    ask(
        &fg,
        "POST",
        rights,
        &path,
        Some(json!({ "kind": "bezwaar", "scope": "all", "decided_by": "ouder" })),
        403,
    );
    let again = ask(&enters, "POST", "/subjects", "/subjects", Some(subject), 200).value();
    assert_eq!(again["rights"][0]["reference"], entered["reference"], "what was entered stands");
    let lift = format!("{path}/{}/lift", entered["reference"].as_str().unwrap());
    ask(&enters, "POST", "/subjects/{reference}/rights/{right}/lift", &lift, Some(json!({})), 200);
    ask(&enters, "POST", "/subjects/{reference}/rights/{right}/lift", &lift, Some(json!({})), 404);
    let erase = format!("/subjects/{reference}/erase");
    ask(&enters, "POST", "/subjects/{reference}/erase", &erase, Some(json!({ "confirm": false })), 400);
    ask(&enters, "POST", "/subjects/{reference}/erase", &erase, Some(json!({ "confirm": true })), 200);

    let breach = json!({ "recipient": "noordzee", "reason": "datalek", "pseudonyms": ["x", "y"], "from": "2026-01-01" });
    let known = ask(&fg, "POST", "/breach", "/breach", Some(breach), 200).value();
    assert_eq!(known["leak"]["unknown"], 2);
    let whole = ask(
        &fg,
        "POST",
        "/breach",
        "/breach",
        Some(json!({ "recipient": "zuidzee", "reason": "datalek" })),
        200,
    )
    .value();
    assert!(whole["breach"]["pupils"] == 40 && whole["leak"].is_null());
    ask(
        &fg,
        "POST",
        "/breach",
        "/breach",
        Some(json!({ "recipient": "zuidzee", "reason": "datalek", "pseudonyms": ["x\ny"] })),
        400,
    );

    let attest = format!("/reviews/99DE/{month}");
    let pattern = "/reviews/{school}/{month}";
    ask(&fg, "POST", pattern, &attest, Some(json!({ "root": "0".repeat(64), "sample": [] })), 403);
    let judged = json!({ "root": sample["root"], "sample": [{ "position": 1, "mark": "in-orde" }] });
    ask(&fg, "POST", pattern, &attest, Some(judged), 409);
    ask(
        &fg,
        "POST",
        pattern,
        &attest,
        Some(json!({ "root": sample["root"], "sample": [], "conclusion": "goed" })),
        200,
    );
    ask(&fg, "POST", pattern, &attest, Some(json!({ "root": sample["root"], "sample": [] })), 409);
    assert_eq!(get("/reviews", "/reviews?school=99DE").value()[1]["reviews"][0]["name"], "fg");

    let path = format!("/holds/99DE/{}", place.hold);
    let decision = json!({ "approve": true, "reason": "nieuw schooljaar" });
    ask(&decides, "POST", "/holds/{school}/{hold}", &path, Some(decision.clone()), 200);
    ask(&decides, "POST", "/holds/{school}/{hold}", &path, Some(decision), 409);
    let held = get("/holds", "/holds").value();
    let decided = held.as_array().unwrap().iter().find(|hold| hold["school"] == "99DE").unwrap();
    assert!(decided["open"] == false && decided["decision"]["by"] == "gk", "{decided}");
    let approve = json!({ "agreement": place.agreement, "sha256": place.sha256 });
    ask(&decides, "POST", "/approvals", "/approvals", Some(approve.clone()), 200);
    ask(
        &decides,
        "POST",
        "/approvals",
        "/approvals",
        Some(json!({ "agreement": place.agreement, "sha256": "0".repeat(64) })),
        404,
    );

    ask(&app.stranger(), "GET", "/overview", "/overview", None, 401);
    ask(
        &app.stranger(),
        "POST",
        "/session",
        "/session",
        Some(json!({ "name": "fg", "passphrase": "x", "code": "x" })),
        401,
    );
    let body = json!({ "name": "fg", "passphrase": super::WORDS, "code": app.code("fg") });
    let got = ask(&app.stranger(), "POST", "/session", "/session", Some(body), 200);
    let fresh = app.stranger().with_cookies_of(&got);
    ask(&fresh, "DELETE", "/session", "/session", None, 204);
    ask(&fresh, "GET", "/session", "/session", None, 401);

    let own = ROUTES.iter().filter(|route| route.path.starts_with("/api/v1/"));
    let own: BTreeSet<_> = own.map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    assert_eq!(*asked.borrow(), own, "a route was not asked");
    let (_, errors) = app.stop();
    assert!(!errors.contains(KEY), "{errors}");
}
