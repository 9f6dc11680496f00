//! What an answer costs: a school-year of a school with 2,000 pupils and 10 suppliers, 4 million rows.
//!
//! `cargo bench --bench answers`, or `-- --short` for a twentieth. Prints the time of each answer; the first of a kind
//! reads what the system has in its cache of files, as the log was just written.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods)]

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Instant,
};

use jiff::civil::{Date, date};
use sluis::{
    answers::{ALWAYS, Answers, Given, Who},
    catalogue::Person,
    cli::init::init,
    clock::{Clock, SystemClock, day_start_ms},
    config::Config,
    disclosure::{Disclosure, Leaf, LeafKind, Log, Outcome, OutcomeStatus, Row, RowOutcome, Subject},
    keys::Purpose,
    pseudonym::{Identity, KeyKind, LogKeys, Pseudonym, PseudonymDomain, Pseudonymiser, PupilKey},
};
use zeroize::Zeroizing;

/// A clock that is put on the day that is being written.
#[derive(Debug)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(i64::try_from(self.0.load(SeqCst)).unwrap()).unwrap()
    }
}

struct Pupil {
    handle: [u8; 16],
    /// By recipient.
    tags: Vec<[u8; 8]>,
    eckid: String,
}

fn main() {
    let short = std::env::args().any(|argument| argument == "--short");
    let (days, pupils) = if short { (50, 400) } else { (200, 2000) };
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    init(&home, &SystemClock).unwrap();
    let mut text = fs::read_to_string(home.join("sluis.toml")).unwrap();
    for number in 1..10 {
        text += &format!(
            "\n[[recipient]]\nid = \"lev{number}\"\nname = \"Leverancier {number}\"\ncertificate = {{ subject_alt_name = \"lev{number}.example\" }}\n"
        );
    }
    fs::write(home.join("sluis.toml"), text).unwrap();
    let config = Config::load(&home.join("sluis.toml"), &SystemClock).unwrap();
    let school = config.school("99DE").unwrap();
    let (epoch, root) = config.keys.current("99DE", Purpose::Log).unwrap();
    let keys = LogKeys::new(root, epoch, "99DE");
    let (_, root) = config.keys.current("99DE", Purpose::Pseudonym).unwrap();
    let people: Vec<Pupil> = (0..pupils).map(|number| pupil(&config, &keys, root, number)).collect();

    let started = Instant::now();
    let rows = write(&config, &people, days);
    println!("{rows} rows on {days} days written and sealed in {:.1} s", started.elapsed().as_secs_f64());

    let opened = Instant::now();
    let answers = Answers::open(&config).unwrap();
    println!("{:44} {:8.1} ms", "open", opened.elapsed().as_secs_f64() * 1e3);
    let who = |given| Who { school, person: Person::Leerling, given, feed: None };
    let timed = |what: &str, answer: &mut dyn FnMut() -> usize| {
        for again in ["", ", again"] {
            let started = Instant::now();
            let found = answer();
            let took = started.elapsed().as_secs_f64() * 1e3;
            println!("{:44} {took:8.1} ms  {found}", format!("{what}{again}"));
        }
    };
    timed("inzage of a year, by key", &mut || {
        let person = answers.resolve(&who(Given::Key(Zeroizing::new("200007".into())))).unwrap();
        answers.inzage("99DE", &person, &ALWAYS).unwrap().deliveries.len()
    });
    timed("a pseudonym that was given out, to its handle", &mut || {
        let eckid = Zeroizing::new(people.last().unwrap().eckid.clone());
        answers.resolve(&who(Given::EckId(eckid))).unwrap().handles.len()
    });
    timed("a pseudonym that never was", &mut || {
        let mut eckid = people[0].eckid.clone();
        eckid.replace_range(eckid.len() - 128.., &"0".repeat(128));
        usize::from(answers.resolve(&who(Given::EckId(Zeroizing::new(eckid)))).is_ok())
    });
    timed("leverancier, a year", &mut || {
        let received = answers.received("lev1", &ALWAYS).unwrap();
        received.schools[0].pupils
    });
    let day = date(2025, 9, 1)..=date(2025, 9, 30);
    timed("leverancier, a month", &mut || answers.received("lev1", &day).unwrap().schools[0].pupils);
    let noordzee = config.recipient("noordzee").unwrap();
    timed("lek, all pseudonyms of a recipient", &mut || {
        let all = people.iter().map(|pupil| pupil.eckid.as_str());
        answers.leak(noordzee, None, all).unwrap().affected.len()
    });
    timed("correctie, without a feed", &mut || {
        let person = answers.resolve(&who(Given::Key(Zeroizing::new("200007".into())))).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        answers.worklist(school, &person, None, &clock).unwrap().holders.len()
    });
    let started = Instant::now();
    let person = answers.resolve(&who(Given::Key(Zeroizing::new("200007".into())))).unwrap();
    let folder = dir.path().join("bewijs");
    let manifest = answers.write_evidence("99DE", &person, &ALWAYS, &folder, "").unwrap();
    let took = started.elapsed().as_secs_f64();
    println!("{:44} {:8.1} ms  {}", "evidence of a year", took * 1e3, manifest.days.len());
    let started = Instant::now();
    let shown = sluis::answers::evidence::verify(&folder, None).unwrap();
    let took = started.elapsed().as_secs_f64();
    println!("{:44} {:8.1} ms  {}", "the same, verified", took * 1e3, shown.days.len());
}

fn pupil(config: &Config, keys: &LogKeys, root: &sluis::keys::RootKey, number: usize) -> Pupil {
    let key = PupilKey::parse(&(200_000 + number).to_string()).unwrap();
    let identity = Identity::LasKey(KeyKind::Leerling, key);
    let mut eckid = String::new();
    let tags = config.recipients.iter().map(|recipient| {
        let domain = PseudonymDomain::Recipient;
        let made = Pseudonymiser::new(root, 1, "99DE", &domain, &recipient.id, &config.authority).unwrap();
        let pseudonym: Pseudonym = made.pseudonym(&identity);
        if recipient.id == "noordzee" {
            made.write_uri(&pseudonym, &mut eckid);
        }
        keys.recipient_tag(&recipient.id, &pseudonym)
    });
    let tags = tags.collect();
    Pupil { handle: keys.subject_handle(&identity), tags, eckid }
}

/// One delivery of all pupils to each recipient on each school day.
fn write(config: &Config, people: &[Pupil], days: usize) -> u64 {
    let first = date(2025, 8, 18);
    let school_days = (0..).map(|day| first.saturating_add(jiff::Span::new().days(day)));
    let school_days: Vec<Date> =
        school_days.filter(|day| day.weekday().to_monday_zero_offset() < 5).take(days).collect();
    let clock = Arc::new(Hands(AtomicU64::new(day_start_ms(first))));
    let log = Log::open(config.log_site(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let mut span = 0u64;
    let mut rows = 0;
    for day in school_days {
        clock.0.store(day_start_ms(day) + 3 * 3_600_000, SeqCst);
        for (at, recipient) in config.recipients.iter().enumerate() {
            span += 1;
            let mut leaf = Leaf::new(LeafKind::Disclosure);
            leaf.controller = Leaf::controller_code("99DE", "00");
            leaf.recipient = Leaf::recipient_code(&recipient.id);
            leaf.span_id = span.to_le_bytes();
            (leaf.pseudonym_epoch, leaf.log_epoch) = (1, 1);
            for (chunk, people) in (0..).zip(people.chunks(256)) {
                leaf.chunk = chunk;
                let of = |(number, pupil): (u32, &Pupil)| {
                    let mut row = Row::new(Subject::Leerling, number);
                    (row.handle, row.tag) = (pupil.handle, pupil.tags[at]);
                    (row.released, row.withheld) = (0x0000_0001_0080_04d7, 0x1_0000 << (number % 3));
                    row.outcome = RowOutcome::Released;
                    row
                };
                let made: Vec<Row> = (chunk * 256..).zip(people).map(of).collect();
                rows += made.len() as u64;
                let _ = log.record_blocking(Disclosure { leaf: leaf.clone(), rows: made }, ()).unwrap();
            }
            leaf.kind = LeafKind::Outcome;
            let chunks = leaf.chunk + 1;
            let outcome = Outcome { status: OutcomeStatus::Sent, http_status: 200, chunks, bytes: 1 };
            log.note_blocking(leaf.with_outcome(outcome)).unwrap();
        }
    }
    // On the next day the last one is sealed.
    clock.0.fetch_add(24 * 3_600_000, SeqCst);
    log.note_blocking(Leaf::new(LeafKind::LogRead)).unwrap();
    log.close();
    rows
}
