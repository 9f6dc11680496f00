//! The way in and out: cookies, sessions, waiting; and what is no request of this app.

use std::fs;

use serde_json::json;
use sluis::{disclosure::LeafKind, review::account::Role};

use super::{App, Client, WORDS};

fn log_in<'a>(client: &Client<'a>, name: &str, words: &str, code: &str) -> super::Got {
    let form = [("naam", name), ("wachtwoordzin", words), ("code", code)];
    client.form("/inloggen", &form)
}

#[test]
fn a_session_is_new_at_each_log_in_and_ends_with_it() {
    let app = App::start();
    app.add("anna", Role::Fg, &[]);
    // A cookie that somebody else planted is no session, before nor after.
    let planted = format!("__Host-sluis={}", "a".repeat(64));
    let mut client = app.stranger();
    client.cookie = Some(planted.clone());
    let got = client.get("/");
    assert!(got.status == 303 && got.header("location").starts_with("/inloggen"));
    assert!(got.header("set-cookie").contains("Max-Age=0"), "what is no session is taken away");
    let got = log_in(&client, "anna", WORDS, &app.code("anna"));
    assert_eq!((got.status, got.header("location")), (303, "/"));
    let set = got.all("set-cookie");
    assert_eq!(set.len(), 1);
    assert!(
        set[0].starts_with("__Host-sluis=")
            && set[0].ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict")
    );
    assert!(!set[0].starts_with(&planted));
    assert_eq!(client.get("/api/v1/session").status, 401, "the planted one opens nothing");

    // Whoever logs in while logged in has another session, and the old one is over: by a page and by the API.
    let first = app.stranger().with_cookies_of(&got);
    let second = log_in(&first, "anna", WORDS, &app.code("anna"));
    assert_eq!(first.get("/api/v1/session").status, 401, "the old session is over");
    let second = app.stranger().with_cookies_of(&second);
    assert_ne!((&first.cookie, &first.csrf), (&second.cookie, &second.csrf));
    let body = json!({ "name": "anna", "passphrase": WORDS, "code": app.code("anna") });
    let got = second.json("POST", "/api/v1/session", &body);
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(second.get("/api/v1/session").status, 401, "the old session is over");
    let third = app.stranger().with_cookies_of(&got);

    let got = third.form("/uitloggen", &[]);
    assert_eq!((got.status, got.header("location")), (303, "/inloggen?melding=uit"));
    assert!(got.header("set-cookie").contains("Max-Age=0"));
    for path in ["/", "/verstrekkingen", "/leerling"] {
        assert_eq!(third.get(path).status, 303, "{path}");
    }
    assert_eq!(third.get("/api/v1/session").status, 401);
    let left: Vec<_> = app
        .home
        .leaves()
        .iter()
        .filter(|leaf| leaf.kind == LeafKind::Account)
        .map(|leaf| leaf.status)
        .collect();
    assert_eq!(left, [1, 4, 4, 4, 6]);
    app.stop();
}

#[test]
fn a_session_ends_when_its_account_changes() {
    let app = App::start();
    let mut clients = Vec::new();
    for name in ["rol", "scholen", "weg", "code"] {
        let client = app.someone(name, Role::Fg, &["99DE"]);
        assert_eq!(client.get("/").status, 200);
        clients.push(client);
    }
    for words in [
        &["role", "rol", "--role", "goedkeurder", "--school", "99DE"][..],
        &["role", "scholen", "--role", "fg", "--school", "99KK"],
        &["remove", "weg"],
        &["reset", "code", "--only-code"],
    ] {
        let ran = app.home.run(&[&["users"], words].concat());
        assert_eq!(ran.code, 0, "{words:?} {}", ran.err);
    }
    for client in &clients {
        assert_eq!(client.get("/").status, 303);
        assert_eq!(client.get("/api/v1/overview").status, 401);
    }
    app.stop();
}

#[test]
fn who_keeps_trying_waits_and_the_log_says_so() {
    let app = App::start();
    app.add("anna", Role::Fg, &[]);
    let code = app.home.leaves().iter().rfind(|leaf| leaf.kind == LeafKind::Account).unwrap().certificate;
    let stranger = app.stranger();
    let wrong = json!({ "name": "anna", "passphrase": "not the words of it", "code": "000000" });
    let known = log_in(&stranger, "anna", "not the words of it", "000000");
    let unknown = log_in(&stranger, "niemand", "not the words of it", "000000");
    assert_eq!((known.status, known.text()), (401, unknown.text()), "whether a name exists is not told");
    for _ in 0..4 {
        assert_eq!(stranger.json("POST", "/api/v1/session", &wrong).status, 401);
    }
    let page = log_in(&stranger, "ANNA", WORDS, &app.code("anna"));
    let api = stranger.json("POST", "/api/v1/session", &wrong);
    for got in [&page, &api] {
        assert_eq!(got.status, 429, "{}", got.text());
        let seconds: u64 = got.header("retry-after").parse().unwrap();
        assert!((1..=30).contains(&seconds), "{seconds}");
        assert!(got.all("set-cookie").is_empty());
    }
    let leaves = app.home.leaves();
    let said = |status: u8| {
        leaves.iter().filter(move |leaf| leaf.kind == LeafKind::Account && leaf.status == status)
    };
    assert_eq!(said(7).map(|leaf| leaf.certificate).collect::<Vec<_>>(), [code], "once for the wait");
    assert_eq!((said(5).count(), said(4).count()), (6, 0), "five of the name, one of nobody");
    let (_, errors) = app.stop();
    assert!(!errors.contains("anna") && !errors.contains("niemand"), "{errors}");
}

#[test]
fn nobody_is_sent_to_another_host() {
    let app = App::start();
    let stranger = app.stranger();
    for (back, goes) in [
        ("/verstrekkingen?school=99DE", "/verstrekkingen?school=99DE"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("/\t/evil.example/", "/"),
        ("/\r\nSet-Cookie: x=y", "/"),
        ("/\n/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/\u{e9}", "/"),
        ("", "/"),
    ] {
        let got = stranger.form("/taal", &[("taal", "en"), ("terug", back)]);
        assert_eq!((got.status, got.header("location")), (303, goes), "{back:?}");
        let set = got.all("set-cookie");
        assert!(set.len() == 1 && set[0].starts_with("__Host-taal=en;"), "{set:?}");
    }
    assert_eq!(stranger.form("/taal", &[("taal", "xx\r\n")]).status, 400);
    // Asked for an address that begins like another host's, it is one that is not there.
    let got = stranger.get("//evil.example/");
    assert!(got.status == 404 && got.header("location").is_empty());
    app.stop();
}

#[test]
fn what_is_no_request_of_this_app_is_refused() {
    let app = App::start();
    let client = app.someone("anna", Role::Fg, &[]);
    for (path, methods) in [
        ("/", "GET, HEAD"),
        ("/inloggen", "GET, HEAD, POST"),
        ("/uitloggen", "POST"),
        ("/leerling/wissen", "POST"),
        ("/assets/app.css", "GET, HEAD"),
        ("/api/v1/overview", "GET, HEAD"),
        ("/api/v1/session", "DELETE, GET, HEAD, POST"),
        ("/api/openapi.json", "GET, HEAD"),
    ] {
        for method in ["TRACE", "PUT", "PATCH", "OPTIONS", "DELETE", "POST", "GET"] {
            if methods.split(", ").any(|known| known == method) {
                continue;
            }
            let got = client.ask(method, path, &[("X-CSRF-Token", &client.csrf)], b"");
            assert_eq!((got.status, got.header("allow")), (405, methods), "{method} {path}");
            assert_eq!(got.header("content-type"), "application/problem+json");
            assert!(!got.text().contains("__Host"), "TRACE sends nothing back");
        }
    }
    for path in ["/", "/api/v1/overview", "/assets/app.js", "/verstrekkingen.csv", "/api/openapi.json"] {
        let (head, whole) = (client.ask("HEAD", path, &[], b""), client.get(path));
        assert_eq!((head.status, head.body.len(), whole.status), (200, 0, 200), "{path}");
        assert!(
            !whole.body.is_empty() && head.header("content-type") == whole.header("content-type"),
            "{path}"
        );
    }
    for path in [
        "/niets",
        "/verstrekkingen/",
        "/verstrekkingen/0x1",
        "/api/v1/",
        "/api/v1/niets",
        "/api/",
        "/api/v2/overview",
    ] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    // Bodies that are larger than any form, and only where lists are pasted by somebody who is in, larger ones.
    let large = vec![b'x'; 300 << 10];
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let stranger = app.stranger();
    for (client, path, status) in [
        (&stranger, "/inloggen", 413),
        (&stranger, "/datalek", 413),
        (&stranger, "/api/v1/breach", 413),
        (&client, "/leerling", 413),
        (&client, "/datalek", 403),
    ] {
        assert_eq!(client.ask("POST", path, &[kind], &large).status, status, "{path}");
    }
    let larger = vec![b'x'; (8 << 20) + 1];
    assert_eq!(client.ask("POST", "/datalek", &[kind], &larger).status, 413);
    // What is no JSON is not read as such, though it be sound; and what is not sound is not quoted.
    let token = [("X-CSRF-Token", client.csrf.as_str()), ("Content-Type", "text/plain")];
    assert_eq!(client.ask("POST", "/api/v1/subjects", &token, b"{}").status, 415);
    for wrong in [
        json!({}),
        json!([]),
        json!({ "school": "99DE", "by": "key", "number": "kanarie", "reason": "inzage", "more": 1 }),
    ] {
        let got = client.json("POST", "/api/v1/subjects", &wrong);
        assert!(got.status == 400 && !got.text().contains("kanarie"), "{}", got.text());
    }
    for query in [
        "?limit=0",
        "?limit=501",
        "?limit=50&limit=51",
        "?van=2026-01-01",
        "?from=",
        "?from=2026-13-01",
        "?cursor=12",
    ] {
        assert_eq!(client.get(&format!("/api/v1/disclosures{query}")).status, 400, "{query}");
    }
    let names = ["verstrekkingen.csv", "gegevens.csv", "leverancier.pdf"];
    for (path, name) in
        ["/verstrekkingen.csv", "/leveranciers/noordzee/gegevens.csv", "/leveranciers/noordzee/rapport.pdf"]
            .iter()
            .zip(names)
    {
        assert_eq!(
            client.get(path).header("content-disposition"),
            format!("attachment; filename=\"{name}\"")
        );
    }
    app.stop();
}

/// The copy of the checkpoint is what shows that a log was put back: nothing but the log's own counts as the same.
#[test]
fn a_copy_that_is_not_of_this_log_shows() {
    let app = App::start();
    app.add("anna", Role::Fg, &[]);
    let client = app.enter("anna");
    let path = app.home.path("keys/checkpoint");
    let note = fs::read_to_string(&path).unwrap();
    let copy = || client.get("/api/v1/overview").value()["log"]["copy"]["state"].as_str().unwrap().to_owned();
    let lines: Vec<&str> = note.lines().collect();
    let size: u64 = lines[1].parse().unwrap();
    let with = |size: u64, root: &str| {
        let rest = lines[3..].join("\n");
        fs::write(&path, format!("{}\n{size}\n{root}\n{rest}\n", lines[0])).unwrap();
    };
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    with(size + 100_000, lines[2]);
    assert_eq!(copy(), "ahead");
    assert!(client.get("/").text().contains("is verder dan het logboek"));
    with(size, other);
    assert_eq!(copy(), "differs");
    with(size - 1, other);
    assert_eq!(copy(), "differs", "an earlier state of another log");
    fs::write(&path, "nothing").unwrap();
    assert_eq!(copy(), "differs");
    fs::remove_file(&path).unwrap();
    assert_eq!(copy(), "missing");
    app.stop();
}
