//! Accounts of the review app: made by a command, also beside a process that serves, and on record without a name.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use sluis::{
    answers::Reading,
    clock::{Clock, SystemClock},
    config::Config,
    control::{Answer, Desk, Request},
    disclosure::{Leaf, LeafKind, Log, Month},
    review::{
        account::{AccountCode, Accounts, Passphrase, Role, TotpSecret},
        login::{Logins, Refused},
        session::{SessionLimits, Sessions},
    },
    standing::{
        Before, DecidedBy, HexHandle, Ledger, Mark, MonthReview, Reviewed, Right, RightKind, Scope, Seed,
    },
};
use uuid::Uuid;

use crate::{
    home::{Home, Ran},
    served::{FakeLas, Served},
};

const WORDS: &str = "paard batterij nietje juist";
const NAME: &str = "Wilhelmina Kanarie";

fn users(home: &Home, words: &[&str], input: &str) -> Ran {
    home.run_with(&[&["users"], words].concat(), input)
}

fn add(home: &Home, name: &str, more: &[&str]) -> Ran {
    users(home, &[&["add", name], more].concat(), &format!("{WORDS}\n"))
}

fn accounts(home: &Home) -> Accounts {
    Accounts::new(home.path("accounts.json"))
}

/// What the log says of accounts.
fn said(home: &Home) -> Vec<(u8, [u8; 32])> {
    let leaves = home.leaves();
    let of = leaves.iter().filter(|leaf| leaf.kind == LeafKind::Account);
    of.map(|leaf| (leaf.status, leaf.certificate)).collect()
}

fn code_of(home: &Home, name: &str) -> [u8; 32] {
    let roll = accounts(home).roll().unwrap();
    roll.all().iter().find(|account| account.name == name).unwrap().code().0
}

fn uri(ran: &Ran) -> &str {
    ran.out.lines().find(|line| line.starts_with("otpauth://")).unwrap()
}

fn assert_verifies(home: &Home) {
    let ran = home.run(&["log", "verify", "data", "--copy", "keys/checkpoint"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

/// Every file of a folder.
fn files(folder: PathBuf, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(path, found) } else { found.push(path) }
    }
}

/// Neither a name nor a secret of an account stands in the folder of the log.
fn assert_nothing_in_the_log(home: &Home, planted: &[&str]) {
    let mut found = Vec::new();
    files(home.path("data"), &mut found);
    assert!(found.len() > 3);
    // The socket is none that can be read.
    for (path, bytes) in found.iter().filter_map(|path| Some((path, fs::read(path).ok()?))) {
        for text in planted {
            let there = bytes.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(!there, "{} holds what was planted", path.display());
        }
    }
}

#[test]
fn an_account_is_added_listed_changed_and_removed() {
    let home = Home::new();
    assert_eq!(users(&home, &["list"], "").out, "0 accounts\n");
    let ran = add(&home, NAME, &["--role", "fg", "--school", "99DE"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains('\u{2588}') && !ran.out.contains(WORDS), "{}", ran.out);
    let first = uri(&ran).to_owned();
    assert_eq!(fs::metadata(home.path("accounts.json")).unwrap().permissions().mode() & 0o777, 0o600);
    let code = code_of(&home, NAME);
    assert_eq!(said(&home), [(1, code)]);
    let factors = |home: &Home| accounts(home).roll().unwrap().named(NAME).unwrap().factors.clone().unwrap();
    let now = SystemClock.now_ms();
    let shown = TotpSecret::from_uri(&first).unwrap();
    assert_eq!(*shown.code_at(now), *factors(&home).totp.code_at(now), "what was shown is what counts");
    assert!(factors(&home).passphrase.matches(&Passphrase::given(WORDS)));

    let ran = users(&home, &["list"], "");
    assert!(ran.out.contains("fg") && ran.out.contains(NAME) && ran.out.contains("99DE"), "{}", ran.out);
    let ran = add(&home, "wilhelmina kanarie", &["--role", "beheerder"]);
    assert!(ran.code == 1 && ran.err.contains("choose another name"), "{}", ran.err);

    let ran = users(&home, &["role", NAME, "--role", "goedkeurder"], "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let roll = accounts(&home).roll().unwrap();
    let account = roll.named(NAME).unwrap();
    assert_eq!((account.role, account.schools.len(), account.revision), (Role::Goedkeurder, 0, 1));

    let ran = users(&home, &["reset", NAME, "--only-code"], "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_ne!(uri(&ran), first);
    assert!(factors(&home).passphrase.matches(&Passphrase::given(WORDS)), "the passphrase stays");
    let ran = users(&home, &["reset", NAME, "--generate"], "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let generated = ran.out.lines().find_map(|line| line.strip_prefix("passphrase: ")).unwrap();
    assert!(generated.len() > 20 && factors(&home).passphrase.matches(&Passphrase::given(generated)));

    let ran = users(&home, &["remove", NAME], "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let ran = users(&home, &["list"], "");
    assert!(ran.out.contains("removed") && ran.out.ends_with("0 accounts\n"), "{}", ran.out);
    for words in [&["remove", NAME][..], &["reset", NAME], &["role", NAME, "--role", "fg"]] {
        let ran = users(&home, words, WORDS);
        assert!(ran.code == 1 && ran.err.contains("there is no account of this name"), "{}", ran.err);
    }
    assert_eq!(said(&home), [(1, code), (2, code), (2, code), (2, code), (3, code)]);
    let text = fs::read_to_string(home.path("accounts.json")).unwrap();
    assert!(text.contains(NAME) && !text.contains("argon2id"), "a name without secrets stays");
    assert_nothing_in_the_log(&home, &[NAME, WORDS, generated]);
    assert_verifies(&home);
}

#[test]
fn what_is_refused_is_refused_before_anything_is_done() {
    let home = Home::new();
    let ran = add(&home, NAME, &["--role", "fg", "--school", "99ZZ"]);
    assert!(ran.code == 2 && ran.err.contains("not configured; there is 99DE"), "{}", ran.err);
    assert_eq!(add(&home, NAME, &["--role", "directeur"]).code, 2);
    assert_eq!(add(&home, "a:b", &["--role", "fg"]).code, 2);
    for (input, said) in [
        ("", "too short"),
        ("te kort\n", "too short"),
        (&"x".repeat(3000), "too long"),
        ("Wilhelmina Kanarie\n", "tried first"),
        ("correct horse battery staple\n", "tried first"),
        ("paard batterij nietje\njuist\n", "nothing else"),
    ] {
        let ran = users(&home, &["add", NAME, "--role", "fg"], input);
        assert!(ran.code == 2 && ran.err.contains(said), "{input:?}: {} {}", ran.code, ran.err);
        let quoted = input.trim();
        assert!(quoted.is_empty() || !ran.err.contains(quoted), "{}", ran.err);
    }
    assert!(!home.path("accounts.json").exists());
    home.edit("sluis.toml", |text| {
        let (head, rest) = text.split_once("[review]").unwrap();
        let (_, tail) = rest.split_once("[operations]").unwrap();
        format!("{head}[operations]{tail}")
    });
    let ran = users(&home, &["list"], "");
    assert!(ran.code == 1 && ran.err.contains("has no [review]"), "{}", ran.err);
}

#[test]
fn a_file_that_is_not_as_it_was_written_is_a_problem_of_the_configuration() {
    let home = Home::new();
    assert_eq!(add(&home, NAME, &["--role", "fg"]).code, 0);
    let path = home.path("accounts.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let ran = home.run(&["check"]);
    assert!(ran.code == 1 && ran.err.contains("chmod 600"), "{}", ran.err);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    home.edit("accounts.json", |text| text.replace("\"role\"", "\"rol\""));
    let ran = home.run(&["check"]);
    assert!(ran.code == 1 && ran.err.contains("is no file of accounts"), "{}", ran.err);
    assert!(!ran.err.contains(NAME) && !ran.err.contains("argon2"), "{}", ran.err);
}

#[test]
fn without_a_certificate_there_is_no_review_app() {
    let home = Home::new();
    let whole = fs::read_to_string(home.path("sluis.toml")).unwrap();
    let (_, review) = whole.split_once("[review]").unwrap();
    let listen = format!("[review]{}", review.split_once("\n\n").unwrap().0);
    for (more, said) in [
        ("certificate = \"certs/gateway.pem\"", "half a certificate for the review app"),
        ("certificate = \"certs/gateway.pem\"\nprivate_key = \"certs/noordzee.key\"", "is not the key of"),
        ("idle_minutes = 61", "choose from 1 to 60"),
        ("session_hours = 0", "choose from 1 to 24"),
    ] {
        home.edit("sluis.toml", |_| whole.replace(&listen, &format!("{listen}\n{more}")));
        let ran = home.run(&["check"]);
        assert!(ran.code == 1 && ran.err.contains(said), "{more}: {}", ran.err);
    }
    let (head, rest) = whole.split_once("[gateway]").unwrap();
    let (_, tail) = rest.split_once("[review]").unwrap();
    home.edit("sluis.toml", |_| format!("{head}[review]{tail}"));
    let ran = home.run(&["check"]);
    assert!(ran.code == 1 && ran.err.contains("has no certificate"), "{}", ran.err);
}

#[test]
fn beside_a_process_that_serves_it_is_that_which_writes_the_log() {
    let home = Home::new();
    let las = FakeLas::at_once(|_, _| {});
    let served = Served::start(&home, &las);
    let ran = add(&home, NAME, &["--role", "beheerder"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let secret = uri(&ran).split("secret=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert_eq!(users(&home, &["role", NAME, "--role", "fg"], "").code, 0);
    assert_eq!(users(&home, &["remove", NAME], "").code, 0);
    let errors = served.stop();
    let code = code_of(&home, NAME);
    assert_eq!(said(&home), [(1, code), (2, code), (3, code)]);
    let planted = [NAME, WORDS, &secret];
    planted.iter().for_each(|text| assert!(!errors.contains(text) && !ran.err.contains(text)));
    assert_nothing_in_the_log(&home, &planted);
    assert_verifies(&home);
}

/// What the app is served by: the log and what stands, in this process.
struct InProcess {
    desk: Desk,
    clock: Arc<dyn Clock>,
}

impl InProcess {
    fn open(home: &Home) -> Self {
        let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
        let config = Config::load(&home.path("sluis.toml"), clock.as_ref()).unwrap();
        let log = Log::open(config.log_site(), Arc::clone(&clock)).unwrap();
        let ledger = Arc::new(Ledger::of(log.clone()));
        let desk = Desk { data: config.data.clone(), log, ledger, clock: Arc::clone(&clock) };
        Self { desk, clock }
    }
}

#[test]
fn who_logs_in_and_what_is_done_for_whom_is_on_record() {
    let home = Home::new();
    let ran = add(&home, NAME, &["--role", "fg"]);
    let totp = TotpSecret::from_uri(uri(&ran)).unwrap();
    let secret = uri(&ran).split("secret=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let InProcess { desk, clock } = InProcess::open(&home);
    let accounts = Arc::new(accounts(&home));
    let logins = Logins::new(Arc::clone(&accounts), desk.log.clone(), Arc::clone(&clock)).unwrap();
    let sessions = Sessions::new(Arc::clone(&accounts), SessionLimits::default(), Arc::clone(&clock));
    let wrong = logins.attempt(NAME, &Passphrase::given(WORDS), "no code");
    assert_eq!(wrong.unwrap_err(), Refused::Wrong);
    let code = totp.code_at(clock.now_ms());
    let entered = logins.attempt(NAME, &Passphrase::given(WORDS), &code).unwrap();
    let reference = entered.reference();
    let token = sessions.begin(entered).unwrap();
    let session = sessions.find(token.expose()).unwrap().unwrap();
    assert_eq!(session.reference, reference);
    let who = session.account.code();

    let read =
        Request::Read { reading: Reading::Review, school: Some("99DE".into()), recipient: None, why: 6 };
    assert!(matches!(desk.perform_for(read, Some(who)), Answer::Done { .. }));
    let review = || MonthReview {
        checkpoint: Seed { root: [7; 32], size: 9 },
        conclusion: "een veld te veel".into(),
        deliveries: 3,
        month: Month::of(clock.today()),
        overall: Mark::Bevinding,
        sample: vec![
            Reviewed { mark: Mark::InOrde, position: 2, remark: String::new() },
            Reviewed { mark: Mark::Bevinding, position: 5, remark: "geslacht".into() },
        ],
    };
    let attest = || Request::Attest { brin: "99DE".into(), review: review() };
    let Answer::Refused { what } = desk.perform(attest()) else { panic!("nobody attests") };
    assert!(what.contains("logged in"), "{what}");
    let Answer::Done { reference: attested } = desk.perform_for(attest(), Some(who)) else {
        panic!("refused")
    };
    let Answer::Refused { what } = desk.perform_for(attest(), Some(who)) else { panic!("twice") };
    assert!(what.contains("already"), "{what}");
    let standing = desk.ledger.school("99DE").unwrap().load_full();
    let [attestation] = standing.reviews() else { panic!("one") };
    assert_eq!((attestation.account, attestation.reference), (who, attested));
    assert_eq!(attestation.review, review());

    // A command may say that an account changed, and not that somebody logged in.
    let forged: Request = serde_json::from_value(serde_json::json!({
        "do": "account", "event": "logged-in", "code": hex::encode(who.0),
    }))
    .unwrap();
    assert!(matches!(desk.perform(forged), Answer::Refused { .. }));

    sessions.end(token.expose());
    logins.left(&session).unwrap();
    let hash = attestation.hash();
    desk.log.close();
    let of = |kind: LeafKind| home.leaves().into_iter().filter(move |leaf: &Leaf| leaf.kind == kind);
    let events: Vec<_> = of(LeafKind::Account).map(|leaf| (leaf.status, leaf.certificate == who.0)).collect();
    assert_eq!(events, [(1, true), (5, true), (4, true), (6, true)]);
    let left = of(LeafKind::Account).next_back().unwrap();
    assert_eq!(left.trace_id, *reference.as_bytes());
    let read = of(LeafKind::LogRead).next().unwrap();
    assert_eq!((read.status, read.certificate), (7, who.0));
    let leaf = of(LeafKind::ReviewAttestation).next().unwrap();
    assert_eq!((leaf.status, leaf.rows, leaf.released, leaf.certificate), (2, 2, 1, who.0));
    assert_eq!((leaf.agreement, leaf.brin()), (hash, *b"99DE"));
    assert_nothing_in_the_log(&home, &[NAME, WORDS, &secret]);
    assert_verifies(&home);
    // It stands as it is on record.
    home.edit("data/standing/99DE.json", |text| text.replace("geslacht", "niets"));
    let ran = home.run(&["log", "verify", "data", "--copy", "keys/checkpoint"]);
    assert_eq!(ran.code, 1, "{}", ran.out);
}

/// Attestations are kept as long as leaves are; what is entered for somebody says for whom.
#[test]
fn attestations_go_when_leaves_do() {
    let home = Home::new();
    let InProcess { desk, clock } = InProcess::open(&home);
    let who = AccountCode([3; 32]);
    let review = MonthReview {
        checkpoint: Seed { root: [7; 32], size: 9 },
        conclusion: String::new(),
        deliveries: 0,
        month: Month::of(clock.today()),
        overall: Mark::InOrde,
        sample: Vec::new(),
    };
    let attest = Request::Attest { brin: "99DE".into(), review };
    assert!(matches!(desk.perform_for(attest, Some(who)), Answer::Done { .. }));
    let right = Right {
        kind: RightKind::Bezwaar,
        scope: Scope::All,
        handles: vec![HexHandle([8; 16])],
        epoch: 1,
        decided_by: DecidedBy::Ouder,
        entered_ms: 0,
        reference: Uuid::nil(),
    };
    let lift = Request::Lift {
        brin: "99DE".into(),
        kind: RightKind::Bezwaar,
        scope: Scope::All,
        handles: vec![(1, HexHandle([8; 16]))],
    };
    for request in [Request::Enter { brin: "99DE".into(), right }, lift] {
        assert!(matches!(desk.perform_for(request, Some(who)), Answer::Done { .. }));
    }
    let go = |reviews_ms| {
        let before = Before { drift_ms: 0, reviews_ms, rights_ms: 0 };
        desk.ledger.let_go("99DE", &before, &|_| true).unwrap()
    };
    let now = clock.now_ms();
    assert_eq!((go(0), go(now - 60_000), go(now + 60_000), go(now + 60_000)), (0, 0, 1, 0));
    assert!(desk.ledger.school("99DE").unwrap().load().reviews().is_empty());
    desk.log.close();
    let entered = home.leaves().into_iter().filter(|leaf| leaf.kind == LeafKind::Right);
    let entered: Vec<_> =
        entered.map(|leaf| (leaf.status, leaf.released, leaf.certificate == who.0)).collect();
    assert_eq!(entered, [(1, 1, true), (1, 0, true), (4, 1, false)]);
    assert_verifies(&home);
}
