//! What a page of the review costs: a million deliveries, 24 million rows, 200 days, 100 schools, 10 suppliers.
//!
//! `cargo bench --bench review`, or `-- --short` for a hundredth. Prints how long the index of deliveries takes to make,
//! what each question to it takes, what a person's inzage takes with the index and without, once with the last day in
//! the write-ahead log and once with it sealed, and the memory of the process before and after.
#![allow(clippy::print_stdout, reason = "the table is what this is for")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure may as well panic")]
#![allow(clippy::disallowed_methods, reason = "files of a bench need not last")]

mod common;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Instant,
};

use common::{
    is_short, mib, peak,
    year::{FIRST_KEY, Plan, Year, scatter},
};
use sluis::{
    answers::{
        ALWAYS, Answers, DeliveryIndex, Fields, Given, Who,
        index::{Agreements, By, Cursor, Ending, FieldFilter, Filter, How},
    },
    catalogue::Person,
    clock::{Clock, SystemClock},
    disclosure::{Leaf, Position, Reader},
    review::account::TotpSecret,
};
use zeroize::Zeroizing;

const PAGE: usize = 50;
const JSON: &str = "Content-Type: application/json";

fn main() {
    let plan = if is_short() { Plan::SHORT } else { Plan::FULL };
    let began = Instant::now();
    let year = Year::write(plan);
    let stats = year.log.stats();
    println!(
        "{} rows in {} leaves on {} days, written and sealed in {:.0} s",
        stats.rows,
        stats.records,
        year.days.len(),
        began.elapsed().as_secs_f64()
    );
    // What is published is what pages show.
    std::thread::sleep(std::time::Duration::from_secs(6));
    forget_peak();
    let before = peak();
    let began = Instant::now();
    let index = DeliveryIndex::new(&year.config.data).unwrap();
    index.catch_up(&Reader::open(&year.config.data).unwrap()).unwrap();
    let whole = index.count(&Filter::default()).unwrap();
    println!(
        "index of {whole} deliveries and refusals made in {:.2} s; peak {:.1} MiB before, {:.1} after",
        began.elapsed().as_secs_f64(),
        mib(before),
        mib(peak())
    );

    println!("\n| question | found | p50 ms | p95 ms | max ms |\n|---|--:|--:|--:|--:|");
    forget_peak();
    let before = peak();
    let asked = ask(&year, &index);
    let after = peak();
    person(&year, &index, "last day in the write-ahead log");
    year.close_last_day();
    let began = Instant::now();
    index.catch_up(&Reader::open(&year.config.data).unwrap()).unwrap();
    let caught_up = began.elapsed().as_secs_f64() * 1e3;
    person(&year, &index, "all days sealed");
    println!("\n{asked} questions to the index: peak {:.1} MiB before, {:.1} after", mib(before), mib(after));
    println!("catching up with the end of a day: {caught_up:.1} ms");
    drop(index);
    pages(&year);
}

/// The pages themselves, as a browser gets them: the real binary, over TLS, one connection.
fn pages(year: &Year) {
    let added = year.home.sluis(&["users", "add", "fg", "--role", "fg", "--generate"]).output().unwrap();
    let said = String::from_utf8(added.stdout).unwrap() + &String::from_utf8(added.stderr).unwrap();
    let uri = said.split_whitespace().find(|word| word.starts_with("otpauth://")).unwrap();
    let words = |word: &&str| word.len() == 29 && word.matches('-').count() == 4;
    let passphrase = said.split_whitespace().find(words).unwrap();
    let config = fs::read_to_string(year.home.path("sluis.toml")).unwrap();
    let config = ["8443", "8444", "9464"]
        .iter()
        .fold(config, |text, port| text.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:0"));
    fs::write(year.home.path("sluis.toml"), config).unwrap();
    let mut server = Served(year.home.sluis(&["serve"]).stdout(Stdio::piped()).spawn().unwrap());
    // Kept open: what is said later has to go somewhere.
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let found = lines.by_ref().find_map(|line| line.strip_prefix("review on ").map(str::to_owned)).unwrap();
    let site = found.trim_end_matches('/');

    let code = TotpSecret::from_uri(uri).unwrap().code_at(SystemClock.now_ms());
    let who = format!("{{\"name\":\"fg\",\"passphrase\":\"{passphrase}\",\"code\":\"{}\"}}", code.as_str());
    let cookies = year.home.path("cookies");
    let cookies = cookies.to_str().unwrap();
    let log_in = format!("{site}/api/v1/session");
    let logged_in = curl(&["-f", "-c", cookies, "-H", JSON, "-d", &who, &log_in]);
    let csrf = logged_in.split("\"csrf\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let csrf = format!("X-CSRF-Token: {csrf}");
    // The first page waits for the index, which the start makes.
    let timed = |runs: usize, url: &dyn Fn(usize) -> String, more: &dyn Fn(usize) -> Vec<String>| {
        let mut took = Vec::new();
        let mut statuses = BTreeSet::new();
        for run in 0..runs {
            let mut arguments = vec!["-b".to_owned(), cookies.to_owned(), "-o".into(), "/dev/null".into()];
            arguments.extend(["-w".into(), "%{http_code} %{time_starttransfer} %{time_pretransfer}".into()]);
            arguments.extend(more(run));
            arguments.push(url(run));
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let said = curl(&arguments);
            let mut parts = said.split(' ');
            statuses.insert(parts.next().unwrap().to_owned());
            let times: Vec<f64> = parts.map(|part| part.parse().unwrap()).collect();
            // From the request to the first byte of the answer; TLS was there before.
            took.push((times[0] - times[1]) * 1e3);
        }
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize];
        (statuses.into_iter().collect::<Vec<_>>().join(" "), at(0.5), at(0.95), at(1.0))
    };
    let first = timed(1, &|_| format!("{site}/"), &|_| Vec::new());
    println!("\nfirst page after a start: {:.0} ms", first.3);
    let before = memory(server.0.id());
    println!("\n| page | status | p50 ms | p95 ms | max ms |\n|---|---|--:|--:|--:|");
    let days = &year.days;
    let period = |run: usize| {
        let first = run * 7 % days.len().saturating_sub(20).max(1);
        format!("van={}&tot={}", days[first], days[(first + 20).min(days.len() - 1)])
    };
    let school = |run: usize| Year::brin(scatter(run as u64) % year.plan.schools);
    let supplier = |run: usize| Year::supplier(scatter(run as u64) % year.plan.suppliers);
    let month = SystemClock.today().first_of_month().yesterday().unwrap();
    let month = format!("{:04}-{:02}", month.year(), month.month());
    let all = format!("van={}&tot={}", days[0], days[days.len() - 1]);
    let size = Reader::open(&year.config.data).unwrap().published();
    type Url<'u> = Box<dyn Fn(usize) -> String + 'u>;
    let gets: Vec<(&str, Url<'_>)> = vec![
        ("overview", Box::new(|_| format!("{site}/"))),
        ("disclosures, the last month", Box::new(|_| format!("{site}/verstrekkingen"))),
        (
            "disclosures, a month of a school",
            Box::new(|run| format!("{site}/verstrekkingen?{}&school={}", period(run), school(run))),
        ),
        (
            "disclosures, all of a field that failed",
            Box::new(|_| format!("{site}/verstrekkingen?{all}&afloop=failed&veld=leerling.roepnaam")),
        ),
        (
            "disclosures, all on a basis there is none of",
            Box::new(|_| format!("{site}/verstrekkingen?{all}&grondslag=vitaal-belang")),
        ),
        (
            "disclosures, further on",
            Box::new(|run| format!("{site}/verstrekkingen?{all}&vanaf=older-{}", scatter(run as u64) % size)),
        ),
        ("suppliers", Box::new(|_| format!("{site}/leveranciers"))),
        ("a supplier", Box::new(|run| format!("{site}/leveranciers/{}", supplier(run)))),
        ("pupil, the form", Box::new(|_| format!("{site}/leerling"))),
        ("breach, the form", Box::new(|_| format!("{site}/datalek"))),
        ("review, the months", Box::new(|_| format!("{site}/controle"))),
        ("review, a sample", Box::new(|run| format!("{site}/controle/{}/{month}", school(run)))),
        ("decisions", Box::new(|_| format!("{site}/besluiten"))),
    ];
    for (what, url) in &gets {
        let (statuses, p50, p95, most) = timed(40, url, &|_| Vec::new());
        println!("| {what} | {statuses} | {p50:.1} | {p95:.1} | {most:.1} |");
    }
    let pupils = year.plan.classes * year.plan.pupils;
    let (statuses, p50, p95, most) = timed(40, &|_| format!("{site}/api/v1/subjects"), &|run| {
        let key = FIRST_KEY + scatter(run as u64) % pupils;
        let asked =
            format!("{{\"school\":\"99DE\",\"by\":\"key\",\"number\":\"{key}\",\"reason\":\"controle\"}}");
        vec!["-H".into(), csrf.clone(), "-H".into(), JSON.into(), "-d".into(), asked]
    });
    println!("| a pupil | {statuses} | {p50:.1} | {p95:.1} | {most:.1} |");
    let after = memory(server.0.id());
    println!(
        "\nmemory of the process: {:.1} MiB resident and {:.1} at most before these pages, {:.1} and {:.1} after",
        mib(before.0),
        mib(before.1),
        mib(after.0),
        mib(after.1)
    );
}

/// A process that ends with this.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn curl(arguments: &[&str]) -> String {
    let ran = Command::new("curl").args(["-s", "-k"]).args(arguments).output().unwrap();
    assert!(ran.status.success(), "curl ended with {}", ran.status);
    String::from_utf8(ran.stdout).unwrap()
}

/// What a process has resident, and had at most.
fn memory(pid: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// Questions to the index; how many were asked.
fn ask(year: &Year, index: &DeliveryIndex) -> usize {
    let brin = |school| <[u8; 4]>::try_from(Year::brin(school).as_bytes()).unwrap();
    let supplier = |number| Leaf::recipient_code(&Year::supplier(number));
    let size = index.covered();
    let days = year.days.len();
    let month = |run: usize| {
        let first = run * 7 % days.saturating_sub(20).max(1);
        year.days[first]..=year.days[(first + 20).min(days - 1)]
    };
    let quarter = year.days[0]..=year.days[days / 3];
    let of = Filter::default;
    let mut agreements = Agreements::default();
    for school in 0..year.plan.schools / 2 {
        agreements.add_id(&format!("{}-{}", Year::brin(school), Year::supplier(school % 3)));
    }
    let schools = |count| (0..count).map(brin).collect();
    let name = Fields::Leerling.names(1)[0];
    let staff = Fields::Leerkracht.names(1 << 2)[0];
    let filters = [
        ("all", of()),
        ("a school", Filter::of_school(brin(7))),
        ("half of the schools", Filter { schools: Some(schools(year.plan.schools / 2)), ..of() }),
        ("a supplier", Filter { recipient: Some(supplier(3)), ..of() }),
        ("a supplier at a school", Filter { recipient: Some(supplier(3)), ..Filter::of_school(brin(7)) }),
        ("a field", Filter { field: FieldFilter::named(name, How::Released), ..of() }),
        ("a field of teachers", Filter { field: FieldFilter::named(staff, How::Either), ..of() }),
        ("failed", Filter { ended: Some(Ending::Failed), ..of() }),
        ("open", Filter { ended: Some(Ending::Open), ..of() }),
        ("on a basis: 50 agreements", Filter { agreements: Some(agreements), ..of() }),
        ("results of a school", Filter { inbound: Some(true), ..Filter::of_school(brin(7)) }),
        ("a school that is none", Filter::of_school(*b"00ZZ")),
        (
            "failed results of a supplier that is none",
            Filter { ended: Some(Ending::Failed), inbound: Some(true), recipient: Some([0; 12]), ..of() },
        ),
    ];
    let mut asked = 0;
    let mut timed = |question: String, runs: usize, ask: &mut dyn FnMut(usize) -> usize| {
        asked += runs;
        table_row(&question, runs, ask);
    };
    for (what, filter) in &filters {
        timed(format!("page: {what}"), 30, &mut |run| {
            // The newest, and from wherever somebody has come to.
            let at = Position(scatter(run as u64) % size);
            let cursor = match run % 3 {
                0 => None,
                1 => Some(Cursor::Older(at)),
                _ => Some(Cursor::Newer(at)),
            };
            index.page(filter, cursor, PAGE).unwrap().entries.len()
        });
    }
    for (what, filter) in &filters[..5] {
        timed(format!("page: {what}, a month"), 30, &mut |run| {
            let filter = Filter { days: Some(month(run)), ..filter.clone() };
            index.page(&filter, None, PAGE).unwrap().entries.len()
        });
    }
    let known = index.page(&of(), Some(Cursor::Older(Position(size / 2))), PAGE).unwrap().entries;
    timed("one, by position".into(), 100, &mut |run| {
        usize::from(index.one(known[run % PAGE].first).unwrap().is_some())
    });
    timed("by transaction".into(), 30, &mut |run| {
        index.of_transaction(&known[run % PAGE].transaction).unwrap().len()
    });
    timed("count: a school".into(), 30, &mut |_| {
        usize::try_from(index.count(&filters[1].1).unwrap()).unwrap()
    });
    for (what, by) in [
        ("day", By::Day),
        ("recipient", By::Recipient),
        ("school", By::School),
        ("recipient and day", By::RecipientDay),
    ] {
        timed(format!("sums by {what}: all"), 20, &mut |_| index.sums(&of(), by).unwrap().len());
        timed(format!("sums by {what}: a school"), 20, &mut |_| index.sums(&filters[1].1, by).unwrap().len());
        timed(format!("sums by {what}: a month"), 20, &mut |run| {
            index.sums(&Filter { days: Some(month(run)), ..of() }, by).unwrap().len()
        });
    }
    for (what, filter) in [
        ("all", of()),
        ("a quarter", Filter { days: Some(quarter.clone()), ..of() }),
        ("a quarter of a school", Filter { days: Some(quarter), ..Filter::of_school(brin(7)) }),
    ] {
        timed(format!("sample of {PAGE}: {what}"), 20, &mut |run| {
            let seed = [u8::try_from(run).unwrap(); 32];
            index.sample(&filter, &seed, PAGE).unwrap().len()
        });
    }
    asked
}

/// What a person is told, from opening the log on.
fn person(year: &Year, index: &DeliveryIndex, when: &str) {
    let school = year.config.school("99DE").unwrap();
    let pupils = year.plan.classes * year.plan.pupils;
    for (with, runs) in [(true, 20), (false, 3)] {
        let named = if with { "with the index" } else { "without" };
        table_row(&format!("inzage of a pupil, {when}, {named}"), runs, &mut |run| {
            let mut answers = Answers::open(&year.config).unwrap();
            if with {
                answers = answers.with_index(index);
            }
            let key = FIRST_KEY + scatter(run as u64) % pupils;
            let given = Given::Key(Zeroizing::new(key.to_string()));
            let who = Who { school, person: Person::Leerling, given, feed: None };
            let person = answers.resolve(&who).unwrap();
            answers.inzage("99DE", &person, &ALWAYS).unwrap().deliveries.len()
        });
    }
    table_row(&format!("rows of a pupil alone, {when}"), 5, &mut |_| {
        let mut found = 0;
        let reader = Reader::open(&year.config.data).unwrap();
        reader.rows("99DE", &ALWAYS, Some(&[1; 16]), &mut |_| found += 1).unwrap();
        found
    });
}

fn table_row(question: &str, runs: usize, ask: &mut dyn FnMut(usize) -> usize) {
    let mut found = 0;
    let mut took: Vec<f64> = (0..runs)
        .map(|run| {
            let began = Instant::now();
            found = ask(run);
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize];
    println!("| {question} | {found} | {:.1} | {:.1} | {:.1} |", at(0.5), at(0.95), at(1.0));
}

/// From here on the highest memory counts anew.
fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}
