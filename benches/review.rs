//! What a page of the review costs: a million deliveries, 24 million rows, 200 days, 100 schools, 10 suppliers.
//!
//! `cargo bench --bench review`, or `-- --short` for a hundredth. Prints how long the index of deliveries takes to make,
//! what each question to it takes, what a person's inzage takes with the index and without, once with the last day in
//! the write-ahead log and once with it sealed, and the memory of the process before and after.
#![allow(clippy::print_stdout, reason = "the table is what this is for")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure may as well panic")]
#![allow(clippy::disallowed_methods, reason = "files of a bench need not last")]

mod common;

use std::{fs, time::Instant};

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
    disclosure::{Leaf, Position, Reader},
};
use zeroize::Zeroizing;

const PAGE: usize = 50;

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
