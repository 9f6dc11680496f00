//! Notices of AVG art. 19: who holds something of a person is told of it, by what it knows the person by and nothing else.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::civil::date;
use ring::hmac;
use serde_json::Value;
use sluis::{
    clock::SystemClock,
    config::Config,
    disclosure::{Leaf, LeafKind, Log},
    keys::Purpose,
    pseudonym::NoticeKey,
    standing::{self, Ledger, NamedPerson, Notice, NoticeBy, NoticeContent, NoticeError, NoticeKind},
    tls::DevelopmentCa,
};
use uuid::Uuid;

use crate::{
    certs,
    documents::feed,
    home::{Home, Ran},
    schemas::{json, schema},
    served::{ASK, FakeLas, Got, Served, attribute, connect, post, post_as, read_all, request, write_xml},
    world::Hands,
};

fn jip(name: &str) -> String {
    format!(
        "<leerling key=\"100001\" eckid=\"https://ketenid.nl/pilot/{}\"><roepnaam>{name}</roepnaam>\
         <bsn>999990019</bsn></leerling>",
        "ab".repeat(64)
    )
}

const JANNEKE: &str = "<leerling key=\"100002\"><roepnaam>Janneke</roepnaam></leerling>";

fn pupils(pupils: &[&str]) -> String {
    feed(&format!("<leerlingen>{}</leerlingen>", pupils.concat()))
}

/// Answers each request with the next of these, and then with the last.
fn in_turn(documents: Vec<String>) -> FakeLas {
    let mut documents = documents.into_iter();
    let mut current = String::new();
    FakeLas::new(Box::new(move |_, stream| {
        current = documents.next().unwrap_or(std::mem::take(&mut current));
        write_xml(stream, &current);
    }))
}

fn add(home: &Home, kind: &str, by: &str, input: &str, more: &[&str]) -> Ran {
    let words = ["notices", "add", "--school", "99DE", "--kind", kind, "--by", by];
    home.run_with(&[&words, more].concat(), input)
}

fn list(home: &Home) -> String {
    let ran = home.run(&["notices", "list", "--school", "99DE"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

fn ask(home: &Home, served: &Served, client: &str, method: &str, path: &str) -> Got {
    let mut stream = connect(home, served, Some(client));
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    stream.flush().unwrap();
    let text = read_all(&mut stream);
    assert!(text.contains("cache-control: no-store\r\n") || !path.starts_with("/notices"), "{text}");
    Got { status: text[9..12].parse().unwrap(), text }
}

/// What a recipient is told, which fits the published schema.
fn told(home: &Home, served: &Served, client: &str) -> Vec<Value> {
    let got = ask(home, served, client, "GET", "/notices");
    assert_eq!(got.status, 200, "{}", got.text);
    assert!(got.text.contains("content-type: application/json\r\n"), "{}", got.text);
    let answer: Value = serde_json::from_str(got.text.split_once("\r\n\r\n").unwrap().1).unwrap();
    let schema = schema("notices.schema.json");
    let errors: Vec<_> = schema.iter_errors(&answer).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    answer["notices"].as_array().unwrap().clone()
}

fn acknowledge(home: &Home, served: &Served, client: &str, id: &str) -> Got {
    ask(home, served, client, "POST", &format!("/notices/{id}/acknowledge"))
}

/// The leaves about notices: step, recipient's code, how many.
fn steps(home: &Home) -> Vec<(u8, [u8; 12], u64)> {
    let leaves = home.leaves();
    let own = leaves.iter().filter(|leaf| leaf.kind == LeafKind::Notice);
    own.map(|leaf| (leaf.status, leaf.recipient, leaf.released)).collect()
}

fn assert_verifies(home: &Home) {
    let ran = home.run(&["log", "verify", "data", "--copy", "keys/checkpoint"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

fn assert_nowhere(folder: &Path, secrets: &[&str]) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_nowhere(&path, secrets);
        } else if let Ok(bytes) = fs::read(&path) {
            assert_none(&path.display().to_string(), &bytes, secrets);
        }
    }
}

fn assert_none(what: &str, bytes: &[u8], secrets: &[&str]) {
    for secret in secrets {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} in {what}");
    }
}

#[test]
fn a_correction_is_told_to_who_holds_an_older_value() {
    let home = certs::home();
    // noordzee gets the old value, oostzee the new one, and westzee never gets anything of the pupil.
    let (old, new) = (pupils(&[&jip("Jip"), JANNEKE]), pupils(&[&jip("Jippie"), JANNEKE]));
    let served = Served::start(&home, &in_turn(vec![old, new.clone(), pupils(&[JANNEKE])]));
    let question = request(&home, "leerlinggegevens_verzoek", ASK);
    let got = post(&home, &served, &question);
    let (eckid, key) = (attribute(&got.text, "leerling", "eckid"), attribute(&got.text, "leerling", "key"));
    assert!(got.text.contains("Jip") && key.len() == 64, "{}", got.text);
    assert!(post_as(&home, &served, "oostzee", &question).text.contains("Jippie"));
    assert!(!post_as(&home, &served, "westzee", &question).text.contains("Jip"));
    assert_eq!(told(&home, &served, "noordzee"), [Value::Null; 0]);

    fs::write(home.path("nieuw.xml"), new).unwrap();
    let ran = add(&home, "correctie", "key", "100001", &["--feed", "nieuw.xml"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
    assert!(ran.out.contains("  noordzee  "), "{}", ran.out);
    let again = add(&home, "correctie", "key", "100001", &["--feed", "nieuw.xml"]);
    assert!(again.code == 0 && again.out.contains("was made before"), "{}{}", again.out, again.err);
    let open = list(&home);
    assert!(open.contains("correctie") && open.contains("  open") && open.ends_with("1 notices\n"), "{open}");

    for other in ["oostzee", "westzee"] {
        assert_eq!(told(&home, &served, other), [Value::Null; 0], "{other}");
    }
    let notices = told(&home, &served, "noordzee");
    let [notice] = notices.as_slice() else { panic!("{notices:?}") };
    assert_eq!(notice["kind"], "correctie");
    assert_eq!(notice["school"], "99DE");
    assert_eq!(notice["agreement"], "99DE-noordzee-rekenroute");
    assert_eq!(notice["persons"], serde_json::json!([{ "eckid": eckid, "key": key }]));
    assert!(notice["fields"].as_array().unwrap().contains(&"leerling.roepnaam".into()), "{notice}");
    assert_eq!(told(&home, &served, "noordzee"), notices, "until it is acknowledged");
    assert!(list(&home).contains("  delivered "), "{}", list(&home));

    let id = notice["id"].as_str().unwrap();
    for (client, id, code) in [
        ("oostzee", id, "notice-unknown"),
        ("noordzee", "0190a0a0-0000-7000-8000-000000000000", "notice-unknown"),
        ("noordzee", "100001", "notice-unknown"),
    ] {
        let got = acknowledge(&home, &served, client, id);
        assert_eq!(got.status, 404, "{}", got.text);
        assert!(got.text.contains("application/problem+json") && got.text.contains(code), "{}", got.text);
    }
    for _ in 0..2 {
        let got = acknowledge(&home, &served, "noordzee", id);
        assert_eq!(got.status, 204, "{}", got.text);
    }
    assert_eq!(told(&home, &served, "noordzee"), [Value::Null; 0]);
    assert!(list(&home).contains("  acknowledged "), "{}", list(&home));

    let digits = eckid.rsplit('/').next().unwrap();
    let secrets = [digits, key, "100001", "999990019", "Jippie"];
    assert_none("what the commands said", (ran.out + &ran.err + &list(&home)).as_bytes(), &secrets);
    let metrics = served.operations("/metrics").1;
    assert!(metrics.contains("sluis_exchanges_total{operation=\"notices\",outcome=\"sent\"}"), "{metrics}");
    assert_none("metrics", metrics.as_bytes(), &secrets);
    let said = served.stop();
    assert!(said.contains("notices"), "{said}");
    assert_none("log lines", said.as_bytes(), &secrets);
    assert_nowhere(&home.path("data"), &secrets);
    let noordzee = Leaf::recipient_code("noordzee");
    assert_eq!(steps(&home), [(1, noordzee, 1), (2, noordzee, 1), (3, noordzee, 1)], "each on record, once");
    assert_verifies(&home);

    // And nobody alters what stands unseen.
    home.edit("data/standing/99DE.json", |text| text.replace("\"acknowledged\"", "\"Acknowledged\""));
    let ran = home.run(&["log", "verify", "data"]);
    assert!(ran.code == 1 && ran.err.contains("standing/99DE"), "{}", ran.err);
}

/// Without a feed nobody can tell what is older, so that whoever holds something is told.
#[test]
fn erasure_and_restriction_are_told_to_all_who_hold_something() {
    let home = certs::home();
    let served = Served::start(&home, &in_turn(vec![pupils(&[&jip("Jip")]); 3]));
    let question = request(&home, "leerlinggegevens_verzoek", ASK);
    for client in ["noordzee", "oostzee"] {
        assert_eq!(post_as(&home, &served, client, &question).status, 200);
    }
    let restrict = |more: &[&str]| {
        let words = ["rights", "add", "--school", "99DE", "--kind", "beperking", "--decided-by", "ouder"];
        home.run_with(&[&words[..], &["--by", "key"], more].concat(), "100001")
    };
    let ran = restrict(&["--agreement", "99DE-oostzee-rekenroute"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let kinds = |client: &str| -> Vec<String> {
        let notices = told(&home, &served, client);
        notices.iter().map(|notice| notice["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((kinds("noordzee").len(), kinds("oostzee")), (0, vec!["beperking".to_owned()]));
    let ran = restrict(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(kinds("noordzee"), ["beperking"]);
    assert_eq!(kinds("oostzee"), ["beperking"], "it was told of that before");

    let erase = || home.run_with(&["log", "erase", "--school", "99DE", "--by", "key"], "100001");
    let ran = erase();
    assert!(ran.code == 1 && ran.err.contains("tomorrow"), "{}{}", ran.out, ran.err);
    assert_eq!(ran.out.matches("on record under").count(), 2, "{}", ran.out);
    for client in ["noordzee", "oostzee"] {
        assert_eq!(kinds(client), ["beperking", "verwijdering"], "oldest first");
        for notice in told(&home, &served, client) {
            assert_eq!(notice["fields"], serde_json::json!([]));
        }
    }
    assert_eq!(kinds("westzee"), [""; 0]);
    let ran = erase();
    assert!(ran.code == 1 && !ran.out.contains("on record under"), "told of once: {}{}", ran.out, ran.err);
    // Of who is kept out by now a feed tells nothing, and that is not passed over.
    fs::write(home.path("nieuw.xml"), pupils(&[&jip("Jippie")])).unwrap();
    let ran = add(&home, "correctie", "key", "100001", &["--feed", "nieuw.xml"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert_eq!(ran.err.matches("would get nothing now").count(), 2, "{}", ran.err);
    let ran = add(&home, "correctie", "key", "100001", &[]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{}{}", ran.out, ran.err);
    let ran = add(&home, "correctie", "key", "100002", &[]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "no recipient has to be told\n"), "{}", ran.err);
    served.stop();
    assert_verifies(&home);
}

/// A recipient is told by the pseudonym it got, whatever the school makes them with by now.
#[test]
fn a_person_is_named_as_the_recipient_knows_it() {
    let home = Home::new();
    let document = pupils(&[&jip("Jip")]);
    let ran = home.minimise("99DE", document.as_bytes());
    let (eckid, key) = (attribute(&ran.out, "leerling", "eckid"), attribute(&ran.out, "leerling", "key"));
    fs::write(home.path("feed.xml"), pupils(&[&jip("Jippie")])).unwrap();
    for purpose in ["pseudonym", "log"] {
        assert_eq!(home.run(&["keys", "rotate", "--school", "99DE", "--purpose", purpose]).code, 0);
    }
    let named = |by: &str, input: &str, more: &[&str]| {
        let ran = add(&home, "correctie", by, input, more);
        assert!(ran.out.contains("  noordzee  on record"), "{by}: {}{}", ran.out, ran.err);
        let served = Served::spawn(home.sluis(&["serve"]));
        let notices = told(&home, &served, "noordzee");
        let id = notices[0]["id"].as_str().unwrap();
        assert_eq!(acknowledge(&home, &served, "noordzee", id).status, 204);
        served.stop();
        assert_eq!(notices.len(), 1);
        notices[0]["persons"].clone()
    };
    Served::configure(&home, &FakeLas::answering(document.clone()), "");
    let both = serde_json::json!([{ "eckid": eckid, "key": key }]);
    assert_eq!(named("key", "100001", &[]), both);
    assert_eq!(named("pgn", "999990019", &["--feed", "feed.xml"]), both);
    assert_eq!(named("eckid", eckid, &[]), serde_json::json!([{ "eckid": eckid }]), "that is all there is");

    // A handle names nobody to anyone.
    let report =
        home.run_with(&["report", "inzage", "--school", "99DE", "--by", "key", "--format", "json"], "100001");
    let report: Value = serde_json::from_str(&report.out).unwrap();
    let handles = report["report"]["handles"].as_array().unwrap();
    let handle = handles.iter().find(|handle| handle[0] == 1).unwrap()[1].as_str().unwrap();
    let ran = add(&home, "verwijdering", "handle", handle, &[]);
    assert!(ran.code == 1 && ran.err.contains("Noordzee: holds something"), "{}{}", ran.out, ran.err);

    // An ECK iD that passed is what it is known by.
    home.edit("agreements/99DE-noordzee-rekenroute.toml", |text| {
        text.replace("domain = \"recipient\"", "domain = \"pass-eckid\"")
    });
    let ran = home.minimise("99DE", document.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let (eckid, key) = (attribute(&ran.out, "leerling", "eckid"), attribute(&ran.out, "leerling", "key"));
    assert!(eckid.starts_with("https://ketenid.nl/"));
    let both = serde_json::json!([{ "eckid": eckid, "key": key }]);
    assert_eq!(named("key", "100001", &["--feed", "feed.xml"]), both);
    assert_verifies(&home);
}

#[test]
fn with_its_log_key_a_notice_is_gone() {
    let home = Home::new();
    assert_eq!(home.minimise("99DE", pupils(&[&jip("Jip")]).as_bytes()).code, 0);
    assert_eq!(add(&home, "verwijdering", "key", "100001", &[]).code, 0);
    assert!(!list(&home).contains("unreadable"));
    assert_eq!(home.run(&["keys", "rotate", "--school", "99DE", "--purpose", "log"]).code, 0);
    let ran = home.run(&["keys", "destroy", "--school", "99DE", "--purpose", "log", "--epoch", "1"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(list(&home).contains("unreadable"), "{}", list(&home));
    Served::configure(&home, &FakeLas::answering(""), "");
    let served = Served::spawn(home.sluis(&["serve"]));
    assert_eq!(told(&home, &served, "noordzee"), [Value::Null; 0]);
    served.stop();
    assert_eq!(steps(&home).len(), 1, "it was never delivered");
    assert_verifies(&home);
}

#[test]
fn whoever_is_no_recipient_is_told_nothing() {
    let home = Home::new();
    let ca = DevelopmentCa::new().unwrap();
    let issued = ca.client("zuidzee.example").unwrap();
    fs::write(home.path("certs/zuidzee.pem"), issued.certificate).unwrap();
    fs::write(home.path("certs/zuidzee.key"), issued.private_key).unwrap();
    fs::set_permissions(home.path("certs/zuidzee.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let own = fs::read_to_string(home.path("certs/ca.pem")).unwrap();
    fs::write(home.path("certs/clients.pem"), own + ca.certificate()).unwrap();
    home.edit("sluis.toml", |text| {
        text.replace("client_ca   = \"certs/ca.pem\"", "client_ca = \"certs/clients.pem\"")
    });
    let served = Served::start(&home, &FakeLas::answering(""));
    let id = "0190a0a0-0000-7000-8000-000000000000";
    let acknowledge = format!("/notices/{id}/acknowledge");
    for (client, method, path, status, code) in [
        ("zuidzee", "GET", "/notices", 403, "recipient-unknown"),
        ("zuidzee", "POST", &acknowledge, 403, "recipient-unknown"),
        ("noordzee", "POST", "/notices", 405, "method-not-allowed"),
        ("noordzee", "GET", &acknowledge, 405, "method-not-allowed"),
        ("noordzee", "GET", "/notices/", 404, "not-found"),
        ("noordzee", "GET", "/notices?school=99DE", 200, "notices"),
    ] {
        let got = ask(&home, &served, client, method, path);
        assert_eq!(got.status, status, "{method} {path}: {}", got.text);
        assert!(got.text.contains(code), "{method} {path}: {}", got.text);
        let problem = got.text.contains("content-type: application/problem+json\r\n");
        assert_eq!(problem, status != 200, "{}", got.text);
    }
    let mut stream = connect(&home, &served, None);
    let _ = write!(stream, "GET /notices HTTP/1.1\r\nHost: x\r\n\r\n");
    let _ = stream.flush();
    assert_eq!(read_all(&mut stream), "");
    served.stop();
}

const WEBHOOK: &str = "\nwebhook = { url = \"URL\", secret = \"secrets/noordzee-webhook.toml\" }\n";

/// noordzee wants to be told at an address, by messages under a secret of these bytes.
fn hook(home: &Home, url: &str, secret: &[u8]) {
    let path = home.path("secrets/noordzee-webhook.toml");
    fs::write(&path, format!("secret = \"whsec_{}\"\n", STANDARD.encode(secret))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    home.edit("sluis.toml", |text| {
        text.replace(
            "authorisation = \"secrets/noordzee.toml\"",
            &format!("authorisation = \"secrets/noordzee.toml\"{}", WEBHOOK.replace("URL", url)),
        )
    });
}

#[test]
fn a_notice_is_brought_to_a_webhook_until_it_is_taken() {
    let home = certs::home();
    let secret = [7; 32];
    let mut turn = 0;
    let receiver = FakeLas::new(Box::new(move |_, stream| {
        turn += 1;
        let status = if turn == 1 { "503 Service Unavailable" } else { "204 No Content" };
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }));
    hook(&home, &format!("http://127.0.0.1:{}/sluis", receiver.port), &secret);
    let served = Served::start(&home, &FakeLas::answering(pupils(&[&jip("Jip")])));
    let question = request(&home, "leerlinggegevens_verzoek", ASK);
    let got = post(&home, &served, &question);
    assert_eq!(post_as(&home, &served, "oostzee", &question).status, 200);
    let (eckid, key) = (attribute(&got.text, "leerling", "eckid"), attribute(&got.text, "leerling", "key"));
    let ran = add(&home, "verwijdering", "key", "100001", &[]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{}{}", ran.out, ran.err);
    served.wait_for("a notice was not taken");
    assert_eq!(list(&home).matches("  open").count(), 2, "{}", list(&home));
    served.wait_for("a notice was taken");
    let listed = list(&home);
    assert!(listed.contains("noordzee") && listed.matches("  delivered ").count() == 1, "{listed}");
    served.until("/metrics", "sluis_webhook_notices_total{outcome=\"taken\"} 1");
    served.until("/metrics", "sluis_webhook_notices_total{outcome=\"failed\"} 1");

    let requests = receiver.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 2, "and not to oostzee");
    let key_of = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let mut ids = Vec::new();
    for sent in &requests {
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_else(|| panic!("{name} in {head}"))
        };
        let (id, seconds) = (header("webhook-id"), header("webhook-timestamp"));
        let tag = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
        assert!(hmac::verify(&key_of, format!("{id}.{seconds}.{body}").as_bytes(), &tag).is_ok());
        let answer: Value = serde_json::from_str(body).unwrap();
        assert!(schema("notices.schema.json").is_valid(&answer), "{body}");
        assert_eq!(answer["notices"][0]["id"], id);
        assert_eq!(answer["notices"][0]["persons"], serde_json::json!([{ "eckid": eckid, "key": key }]));
        ids.push(id.to_owned());
    }
    assert_eq!(ids[0], ids[1], "the same notice");
    assert_eq!(acknowledge(&home, &served, "noordzee", &ids[0]).status, 204);
    assert_none("log lines", served.stop().as_bytes(), &[eckid.rsplit('/').next().unwrap(), key, "100001"]);

    let statuses = |client: &str| {
        let code = Leaf::recipient_code(client);
        let own: Vec<_> = steps(&home).into_iter().filter(|step| step.1 == code).map(|step| step.0).collect();
        own
    };
    assert_eq!((statuses("noordzee"), statuses("oostzee")), (vec![1, 2, 3], vec![1]));
    assert_verifies(&home);
}

#[test]
fn a_webhook_that_is_not_in_order_is_named() {
    let home = Home::new();
    hook(&home, "http://127.0.0.1:1/", &[7; 32]);
    assert_eq!(home.run(&["check"]).code, 0);
    let refused = |what: &str| {
        let ran = home.run(&["check"]);
        assert!(
            ran.code == 1 && ran.err.contains(what) && !ran.err.contains("whsec_BwcH"),
            "{what}: {}",
            ran.err
        );
    };
    let file = home.path("secrets/noordzee-webhook.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    refused("chmod 600");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let good = fs::read_to_string(&file).unwrap();
    for bad in [good.replace("whsec_", ""), "secret = \"whsec_BwcHBwcH\"\n".into(), format!("{good}x = 1\n")]
    {
        fs::write(&file, bad).unwrap();
        refused("is no secret of a webhook");
    }
    fs::write(&file, good).unwrap();
    let mut url = "http://127.0.0.1:1/".to_owned();
    for (other, what) in [
        ("http://noordzee.example/", "plain HTTP is accepted on loopback only"),
        ("https://noordzee.example/", "nothing says whose certificate the webhook has to show"),
        ("ftp://noordzee.example/", "webhook.url is no address"),
        ("https://wie:wat@noordzee.example/", "webhook.url is no address"),
    ] {
        home.edit("sluis.toml", |text| text.replace(&url, other));
        other.clone_into(&mut url);
        refused(what);
    }
    home.edit("sluis.toml", |text| {
        text.replace(&url, "https://noordzee.example/")
            .replace("/\", secret", "/\", ca = \"certs/ca.pem\", secret")
    });
    let ran = home.run(&["check"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let written = json(&fs::read_to_string(home.path("sluis.toml")).unwrap());
    assert!(schema("sluis.schema.json").is_valid(&written), "the published schema knows it too");
}

#[test]
fn what_was_dealt_with_is_forgotten() {
    let home = Home::new();
    let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
    let clock = Hands::at(date(2026, 9, 7));
    let log = Log::open(config.log_site(), clock.clone()).unwrap();
    let ledger = Ledger::of(log.clone());
    let (epoch, root) = config.keys.current("99DE", Purpose::Log).unwrap();
    let key = NoticeKey::new(root, epoch, "99DE");
    let by = NoticeBy { transaction: Uuid::now_v7(), certificate: [0; 32], clock: clock.as_ref() };
    let make = || {
        let persons = vec![NamedPerson { eckid: None, key: Some("token".into()) }];
        let content = NoticeContent { persons, fields: Vec::new() };
        let notice = Notice::new("noordzee", NoticeKind::Correctie, None, &content, &key).unwrap();
        let id = notice.id;
        ledger.make_notice("99DE", notice, &by).unwrap();
        id
    };
    let left = || {
        let standing = ledger.school("99DE").unwrap().load_full();
        standing.notices().iter().map(|notice| notice.id).collect::<Vec<_>>()
    };
    let (done, open) = (make(), make());
    ledger.acknowledge_notice("99DE", "noordzee", done, &by).unwrap();
    clock.put(date(2028, 9, 6));
    let later = make();
    assert_eq!(left(), [done, open, later], "730 days are not over");
    clock.put(date(2028, 9, 8));
    let last = make();
    assert_eq!(left(), [open, later, last], "what waits stays");
    let again = ledger.acknowledge_notice("99DE", "noordzee", done, &by);
    assert!(matches!(again, Err(standing::Error::Notice(NoticeError::Unknown))));
    log.close();
    assert_verifies(&home);
}
