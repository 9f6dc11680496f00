//! Log-in by an identity provider: what the configuration may say of it, and which account is whose. The log-in itself is
//! in `tests/peers/oidc`, with a provider of others.

use std::{fs, os::unix::fs::PermissionsExt};

use sluis::{disclosure::LeafKind, review::account::Accounts};

use crate::home::{Home, Ran};

const SECRET: &str = "geheim van niemand anders";
const PUBLIC: &str = "public_url = \"https://sluis.example\"";
const PROVIDER: &str =
    "issuer = \"http://127.0.0.1:1/school\"\nclient_id = \"sluis\"\nclient_secret = \"secrets/oidc.toml\"";

/// A home whose `[review]` says these two more things.
fn home_with(review: &str, oidc: &str) -> Home {
    let home = Home::new();
    say(&home, review, oidc);
    let path = home.path("secrets/oidc.toml");
    fs::write(&path, format!("secret = \"{SECRET}\"\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    home
}

fn say(home: &Home, review: &str, oidc: &str) {
    home.edit("sluis.toml", |text| {
        let (head, rest) = text.split_once("[review]").unwrap();
        let (_, tail) = rest.split_once("[operations]").unwrap();
        format!("{head}[review]\nlisten = \"127.0.0.1:0\"\n{review}\n{oidc}\n[operations]{tail}")
    });
}

fn users(home: &Home, words: &[&str]) -> Ran {
    home.run_with(&[&["users"], words].concat(), "paard batterij nietje juist\n")
}

#[test]
fn what_is_wrong_with_a_provider_is_said() {
    let home = home_with(PUBLIC, &format!("[review.oidc]\n{PROVIDER}"));
    assert_eq!(home.run(&["check"]).code, 0);
    let https = PROVIDER.replace("http://127.0.0.1:1", "https://idp.example");
    for (review, oidc, said) in [
        ("", PROVIDER.to_owned(), "no address for the identity provider to send browsers back to"),
        ("public_url = \"https://sluis.example/app\"", PROVIDER.to_owned(), "and no path"),
        ("public_url = \"http://sluis.example\"", PROVIDER.to_owned(), "public_url is no address"),
        ("public_url = \"https://jo@sluis.example\"", PROVIDER.to_owned(), "public_url is no address"),
        (PUBLIC, PROVIDER.replace("127.0.0.1:1", "idp.example"), "plain HTTP is accepted on loopback only"),
        (PUBLIC, https.clone(), "nothing says whose certificate the identity provider has to show"),
        (PUBLIC, format!("{https}\nca = \"certs/none.pem\""), "certs/none.pem: cannot be read"),
        (PUBLIC, PROVIDER.replace("/school", "/school?a=b"), "review.oidc.issuer is no address"),
        (PUBLIC, PROVIDER.replace("/school", "/school#a"), "review.oidc.issuer is no address"),
        (
            PUBLIC,
            format!("{PROVIDER}\nscopes = [\"profile email\"]"),
            "review.oidc.scopes holds what is none",
        ),
        (PUBLIC, format!("{PROVIDER}\nacr = [\"\"]"), "review.oidc.acr holds what is none"),
        (PUBLIC, format!("{PROVIDER}\nacr = [\"two\"]\nsecond_factor = \"idp\""), "remove one of the two"),
        (PUBLIC, format!("{PROVIDER}\nsecond_factor = \"none\""), "unknown variant"),
        (PUBLIC, format!("{PROVIDER}\nredirect = \"x\""), "unknown field"),
    ] {
        say(&home, review, &format!("[review.oidc]\n{oidc}"));
        let ran = home.run(&["check"]);
        assert!(ran.code == 1 && ran.err.contains(said), "{review} {oidc}: {}", ran.err);
    }
    say(&home, PUBLIC, &format!("[review.oidc]\n{PROVIDER}"));
    for (text, mode, said) in [
        (format!("secret = \"{SECRET}\"\n"), 0o640, "chmod 600"),
        (format!("geheim = \"{SECRET}\"\n"), 0o600, "is no secret of a client"),
        (format!("secret = \"{}\"\n", SECRET.repeat(30)), 0o600, "is no secret of a client"),
        ("secret = \"\"\n".to_owned(), 0o600, "is no secret of a client"),
    ] {
        let path = home.path("secrets/oidc.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let ran = home.run(&["check"]);
        assert!(ran.code == 1 && ran.err.contains(said) && !ran.err.contains(SECRET), "{}", ran.err);
    }
}

#[test]
fn an_account_is_linked_to_one_person_and_no_other_is() {
    let home = Home::new();
    assert_eq!(users(&home, &["add", "Anna", "--role", "fg"]).code, 0);
    assert_eq!(users(&home, &["add", "Bea", "--role", "beheerder"]).code, 0);
    let ran = users(&home, &["link", "Anna", "--subject", "4f1c"]);
    assert!(ran.code == 1 && ran.err.contains("has no [review.oidc]"), "{}", ran.err);
    let with = home_with(PUBLIC, &format!("[review.oidc]\n{PROVIDER}"));
    fs::copy(with.path("secrets/oidc.toml"), home.path("secrets/oidc.toml")).unwrap();
    say(&home, PUBLIC, &format!("[review.oidc]\n{PROVIDER}"));

    let ran = users(&home, &["link", "anna", "--subject", "4f1c"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let roll = Accounts::new(home.path("accounts.json")).roll().unwrap();
    let anna = roll.named("Anna").unwrap();
    let subject = anna.subject.as_ref().unwrap();
    assert_eq!((subject.issuer.as_str(), subject.sub.as_str()), ("http://127.0.0.1:1/school", "4f1c"));
    assert!(anna.revision == 1 && roll.known_as(subject).is_some_and(|known| known.id == anna.id));
    assert!(users(&home, &["list"]).out.contains("Anna  all schools  linked"));

    let ran = users(&home, &["link", "Bea", "--subject", "4f1c"]);
    assert!(ran.code == 1 && ran.err.contains("another account has this subject"), "{}", ran.err);
    for none in ["", "Zoë", &"a".repeat(256)] {
        let ran = users(&home, &["link", "Bea", "--subject", none]);
        assert!(ran.code == 2 && ran.err.contains("the subject is none"), "{}", ran.err);
    }
    let ran = users(&home, &["link", "Cor", "--subject", "77"]);
    assert!(ran.code == 1 && ran.err.contains("no account of this name"), "{}", ran.err);
    assert_eq!(users(&home, &["unlink", "Anna"]).code, 0);
    assert_eq!(users(&home, &["link", "Bea", "--subject", "4f1c"]).code, 0);
    let leaves = home.leaves();
    let events = leaves.iter().filter(|leaf| leaf.kind == LeafKind::Account).map(|leaf| leaf.status);
    assert_eq!(events.collect::<Vec<_>>(), [1, 1, 2, 2, 2]);
}
