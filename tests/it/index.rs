//! The index of deliveries is held against a naive walk over the leaves: logs of several days whose deliveries interleave,
//! stay open, fail, are refused, and whose front is pruned.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use jiff::{
    Span,
    civil::{Date, date},
};
use ring::digest::{SHA256, digest};
use sluis::{
    answers::{
        ALWAYS, Answers, DeliveryIndex, Fields, Person,
        index::{Agreements, By, Cursor, Ending, Entry, FieldFilter, Filter, How, Key, Persons},
    },
    clock::{Clock, SystemClock, day_of},
    config::Config,
    disclosure::{
        Disclosure, Leaf, LeafKind, Log, Outcome, OutcomeStatus, Position, Reader, Retention, Row,
        RowOutcome, Subject,
    },
    policy::rules::{Reason, Rule, Verdict, Verdicts},
};

use crate::{home::Home, world::Hands};

const MONDAY: Date = date(2026, 9, 7);
const SCHOOLS: [&str; 3] = ["99DE", "99DF", "00AB"];
const SUPPLIERS: [&str; 3] = ["noordzee", "lev1", "lev2"];

/// As good as random, and the same each time.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn of<T: Copy>(&mut self, these: &[T]) -> T {
        these[usize::try_from(self.throw(these.len() as u64)).unwrap()]
    }
}

/// A log, and whoever writes whatever into it.
struct Scribe {
    home: Home,
    config: Config,
    clock: Arc<Hands>,
    day: Date,
    retention: Retention,
    log: Log,
    dice: Dice,
    /// Deliveries under way, by their next leaf.
    open: Vec<Leaf>,
    spans: u64,
}

impl Scribe {
    fn new(seed: u64) -> Self {
        Self::keeping(seed, Retention { detail_days: 3650, rollup_days: 3650, leaf_days: None })
    }

    fn keeping(seed: u64, retention: Retention) -> Self {
        let home = Home::new();
        let config = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
        let clock = Hands::at(MONDAY);
        let log = open(&config, &clock, retention);
        let dice = Dice(seed);
        Self { home, config, clock, day: MONDAY, retention, log, dice, open: Vec::new(), spans: 0 }
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.config.data).unwrap()
    }

    fn index(&self) -> DeliveryIndex {
        let index = DeliveryIndex::new(&self.config.data).unwrap();
        index.catch_up(&self.reader()).unwrap();
        index
    }

    fn next_day(&mut self) {
        self.day = self.day.tomorrow().unwrap();
        self.clock.put(self.day);
    }

    /// Stops and starts: what was open ends as unknown.
    fn restart(&mut self) {
        self.log.close();
        self.open.clear();
        self.log = open(&self.config, &self.clock, self.retention);
    }

    fn leaf(&mut self, kind: LeafKind) -> Leaf {
        self.spans += 1;
        let mut leaf = Leaf::new(kind);
        let supplier = self.dice.of(&SUPPLIERS);
        let school = self.dice.of(&SCHOOLS);
        leaf.controller = Leaf::controller_code(school, self.dice.of(&["", "00", "01"]));
        leaf.recipient = Leaf::recipient_code(supplier);
        leaf.span_id = self.spans.to_be_bytes();
        leaf.start_ms = self.clock.now_ms() - self.dice.throw(5000);
        leaf.activity = Leaf::activity_code(&format!("{school}-{supplier}"));
        leaf.activity_version = 1 + u32::try_from(self.dice.throw(2)).unwrap();
        leaf.agreement = [u8::try_from(leaf.activity_version).unwrap(); 32];
        leaf.transaction = u128::from(self.spans).to_be_bytes();
        leaf.verdicts = Verdicts::KEPT;
        leaf
    }

    /// Something happens.
    fn step(&mut self) {
        match self.dice.throw(12) {
            0..3 => {
                let mut leaf = self.leaf(LeafKind::Disclosure);
                leaf.flags = if self.dice.throw(5) == 0 { Leaf::INBOUND } else { 0 };
                self.open.push(leaf);
            }
            3 => {
                let mut leaf = self.leaf(LeafKind::Withheld);
                leaf.refuse(self.dice.of(&[Reason::AgreementMissing, Reason::Held, Reason::SchoolOther]));
                self.log.note_blocking(leaf).unwrap();
            }
            4 => {
                let kind = self.dice.of(&[LeafKind::LogRead, LeafKind::Account]);
                let mut leaf = self.leaf(kind);
                leaf.status = u8::try_from(self.dice.throw(3)).unwrap();
                self.log.note_blocking(leaf).unwrap();
            }
            5..9 => self.chunk(),
            _ => self.end(),
        }
    }

    fn chunk(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = usize::try_from(self.dice.throw(self.open.len() as u64)).unwrap();
        let mut leaf = self.open[at].clone();
        self.open[at].chunk += 1;
        if self.dice.throw(8) == 0 {
            // The end of a document, which is about nobody.
            leaf.flags |= Leaf::LAST;
            let _ = self.log.record_blocking(Disclosure { leaf, rows: Vec::new() }, ()).unwrap();
            return;
        }
        let staff = leaf.flags & Leaf::INBOUND == 0 && self.dice.throw(3) == 0;
        let subject = if staff { Subject::Leerkracht } else { Subject::Leerling };
        let rows = (0..1 + u32::try_from(self.dice.throw(4)).unwrap()).map(|number| {
            let mut row = Row::new(subject, number);
            row.handle = [u8::try_from(self.dice.throw(6)).unwrap() + if staff { 100 } else { 0 }; 16];
            row.withheld = 1 << self.dice.throw(20);
            if self.dice.throw(4) > 0 {
                row.outcome = RowOutcome::Released;
                row.released = 1 << self.dice.throw(20) | 1 << self.dice.throw(20);
            }
            row
        });
        let rows = rows.collect();
        let _ = self.log.record_blocking(Disclosure { leaf, rows }, ()).unwrap();
    }

    fn end(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = usize::try_from(self.dice.throw(self.open.len() as u64)).unwrap();
        if self.open[at].chunk == 0 {
            return;
        }
        let mut leaf = self.open.swap_remove(at);
        let chunks = leaf.chunk;
        (leaf.kind, leaf.chunk) = (LeafKind::Outcome, 0);
        let sent = self.dice.throw(3) > 0;
        let status = if sent { OutcomeStatus::Sent } else { OutcomeStatus::Failed };
        if !sent && self.dice.throw(2) == 0 {
            leaf.verdicts = Verdicts::broken(Rule::Integriteit);
        }
        let (http_status, bytes) = (if sent { 200 } else { 0 }, self.dice.throw(10_000));
        self.log.note_blocking(leaf.with_outcome(Outcome { status, http_status, chunks, bytes })).unwrap();
    }

    /// Several days, the last of which is not over.
    fn days(&mut self, days: usize, steps: usize) {
        for _ in 0..days {
            for _ in 0..steps {
                self.step();
            }
            if self.dice.throw(3) == 0 {
                self.restart();
            }
            self.next_day();
        }
        for _ in 0..steps {
            self.step();
        }
    }
}

fn open(config: &Config, clock: &Arc<Hands>, retention: Retention) -> Log {
    let mut site = config.log_site();
    site.retention = retention;
    Log::open(site, Arc::clone(clock) as Arc<dyn Clock>).unwrap()
}

/// What the leaves say, in the plainest way: all leaves of a delivery, then what they come to.
fn naive(reader: &Reader) -> Vec<Entry> {
    let mut leaves = BTreeMap::new();
    let mut keep = |position: Position, leaf: &Leaf| {
        leaves.insert(position, leaf.clone());
    };
    reader.leaves(Position(0), &mut keep).unwrap();
    leaves.retain(|position, _| position.0 < reader.published());
    let mut spans: HashMap<[u8; 8], Vec<(Position, Leaf)>> = HashMap::new();
    let mut entries = Vec::new();
    for (&position, leaf) in &leaves {
        let own = (position, leaf.clone());
        match leaf.kind {
            LeafKind::Disclosure | LeafKind::Outcome => spans.entry(leaf.span_id).or_default().push(own),
            LeafKind::Withheld => entries.push(entry(&[own])),
            _ => {}
        }
    }
    let whole =
        |leaves: &&Vec<(Position, Leaf)>| leaves[0].1.kind == LeafKind::Disclosure && leaves[0].1.chunk == 0;
    entries.extend(spans.values().filter(whole).map(|leaves| entry(leaves)));
    entries.sort_by_key(|entry| entry.first);
    entries
}

fn entry(leaves: &[(Position, Leaf)]) -> Entry {
    let (first, leaf) = &leaves[0];
    let chunks = || leaves.iter().filter(|(_, leaf)| leaf.kind == LeafKind::Disclosure);
    let outcome = leaves.iter().find(|(_, leaf)| leaf.kind == LeafKind::Outcome);
    let said = outcome.and_then(|(_, leaf)| leaf.outcome());
    let refused = leaf.kind == LeafKind::Withheld;
    let persons = |staff: bool| {
        let mut persons = Persons::default();
        for (_, leaf) in chunks().filter(|(_, leaf)| (leaf.flags & Leaf::STAFF != 0) == staff) {
            persons.rows += leaf.rows;
            persons.released |= leaf.released;
            persons.withheld |= leaf.withheld;
        }
        persons
    };
    Entry {
        first: *first,
        last: chunks().next_back().map_or(*first, |(position, _)| *position),
        outcome: outcome.map(|(position, _)| *position),
        start_ms: leaf.start_ms,
        recorded_ms: leaf.end_ms,
        ended_ms: outcome.map(|(_, leaf)| leaf.end_ms),
        controller: leaf.controller,
        recipient: leaf.recipient,
        agreement: leaf.agreement[..8].try_into().unwrap(),
        activity_version: leaf.activity_version,
        pupils: persons(false),
        staff: persons(true),
        chunks: u32::try_from(chunks().count()).unwrap(),
        handed_over: said.map_or(0, |said| said.chunks),
        bytes: said.map_or(0, |said| said.bytes),
        span: leaf.span_id,
        activity: leaf.activity,
        transaction: leaf.transaction,
        ended: match said.map(|said| said.status) {
            None if refused => Ending::Refused,
            None => Ending::Open,
            Some(OutcomeStatus::Failed) => Ending::Failed,
            Some(OutcomeStatus::Sent) => Ending::Sent,
            Some(OutcomeStatus::Unknown) => Ending::Unknown,
        },
        reason: if refused { Reason::from_number(leaf.status) } else { None },
        inbound: leaf.flags & Leaf::INBOUND != 0,
        verdicts: outcome.map_or(leaf.verdicts, |(_, leaf)| leaf.verdicts),
        http_status: said.map_or(0, |said| said.http_status),
    }
}

fn all(index: &DeliveryIndex) -> Vec<Entry> {
    let mut entries = index.page(&Filter::default(), None, usize::MAX).unwrap().entries;
    entries.reverse();
    entries
}

/// Filters, and the same in the words of an entry.
type Taken = (Filter, Box<dyn Fn(&Entry) -> bool>);

fn filters() -> Vec<Taken> {
    let brin = |brin: &str| <[u8; 4]>::try_from(brin.as_bytes()).unwrap();
    let noordzee = Leaf::recipient_code("noordzee");
    let tuesday = MONDAY.tomorrow().unwrap();
    let name = |mask: u64| Fields::Leerling.names(mask)[0];
    let mut agreements = Agreements::default();
    agreements.add_file(&[2; 32]);
    agreements.add_id("99DE-lev1");
    let activity = Leaf::activity_code("99DE-lev1");
    let of = |change: fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    vec![
        (Filter::default(), Box::new(|_| true)),
        (Filter::of_school(brin("99DF")), Box::new(move |entry| entry.brin() == *b"99DF")),
        (of(|filter| filter.schools = Some(BTreeSet::new())), Box::new(|_| false)),
        (of(|filter| filter.ended = Some(Ending::Open)), Box::new(|entry| entry.ended == Ending::Open)),
        (of(|filter| filter.ended = Some(Ending::Refused)), Box::new(|entry| entry.reason.is_some())),
        (of(|filter| filter.inbound = Some(true)), Box::new(|entry| entry.inbound)),
        (
            of(|filter| filter.breaks = Some(Rule::Integriteit)),
            Box::new(|entry| entry.verdicts.of(Rule::Integriteit) == Verdict::Broken),
        ),
        (
            Filter { days: Some(tuesday..=tuesday), recipient: Some(noordzee), ..Filter::default() },
            Box::new(move |entry| entry.recipient == noordzee && day_of(entry.recorded_ms) == tuesday),
        ),
        (
            Filter { field: FieldFilter::named(name(1 << 3), How::Released), ..Filter::default() },
            Box::new(|entry| !entry.inbound && entry.pupils.released & 1 << 3 != 0),
        ),
        (
            Filter {
                field: FieldFilter::named("leerkracht.achternaam", How::Either),
                ended: Some(Ending::Sent),
                ..Filter::default()
            },
            Box::new(|entry| {
                let staff = entry.staff.released | entry.staff.withheld;
                let names = Fields::Leerkracht.names(staff);
                entry.ended == Ending::Sent && names.contains(&"leerkracht.achternaam")
            }),
        ),
        (
            Filter { agreements: Some(agreements), ..Filter::default() },
            Box::new(move |entry| entry.agreement == [2; 8] || entry.activity == activity),
        ),
    ]
}

#[test]
fn an_index_is_what_the_leaves_say() {
    for seed in 0..6 {
        let mut scribe = Scribe::new(seed);
        scribe.days(4, 60);
        scribe.log.close();
        let reader = scribe.reader();
        let expected = naive(&reader);
        let index = scribe.index();
        assert_eq!(all(&index), expected, "{seed}");
        assert_eq!(index.covered(), reader.published());
        // Nothing is left of it in the folder, and the log does not mind.
        assert!(
            fs::read_dir(&scribe.config.data).unwrap().all(|file| file.unwrap().file_name() != "index.new")
        );
        assert_eq!(scribe.home.run(&["log", "verify", "data"]).code, 0);

        for entry in &expected {
            assert_eq!(index.one(entry.first).unwrap().as_ref(), Some(entry));
            assert_eq!(index.of_transaction(&entry.transaction).unwrap(), std::slice::from_ref(entry));
        }
        let firsts: BTreeSet<Position> = expected.iter().map(|entry| entry.first).collect();
        for position in (0..reader.published() + 9).map(Position) {
            assert_eq!(index.one(position).unwrap().is_some(), firsts.contains(&position));
        }
        for (at, (filter, takes)) in filters().iter().enumerate() {
            let taken: Vec<Entry> = expected.iter().filter(|entry| takes(entry)).cloned().collect();
            assert_eq!(index.count(filter).unwrap(), taken.len() as u64, "filter {at}");
            pages_visit_each_once(&index, filter, &taken);
            sums_are_those_of(&index, filter, &taken);
            for count in [0, 1, 7, 10_000] {
                let sample = index.sample(filter, &[7; 32], count).unwrap();
                assert_eq!(sample, drawn(&taken, &[7; 32], count), "filter {at}");
            }
        }
        for kind in [LeafKind::DaySeal, LeafKind::LogRead, LeafKind::Account] {
            for (status, school) in [(None, None), (Some(1), None), (None, Some(*b"99DE"))] {
                let mut last = None;
                let mut follow = |position, leaf: &Leaf| {
                    let own = leaf.kind == kind
                        && status.is_none_or(|status| status == leaf.status)
                        && school.is_none_or(|school| school == leaf.brin());
                    last = if own { Some((position, leaf.end_ms)) } else { last };
                };
                reader.leaves(Position(0), &mut follow).unwrap();
                let latest = index.latest(kind, status, school);
                assert_eq!(latest.map(|mark| (mark.position, mark.recorded_ms)), last, "{kind:?}");
            }
        }
    }
}

fn pages_visit_each_once(index: &DeliveryIndex, filter: &Filter, taken: &[Entry]) {
    for count in [1, 7, 1000] {
        let mut page = index.page(filter, None, count).unwrap();
        assert_eq!(page.newer, None);
        let mut down = page.entries.clone();
        while let Some(older) = page.older {
            page = index.page(filter, Some(older), count).unwrap();
            assert!(!page.entries.is_empty() && page.entries.len() <= count);
            down.extend(page.entries.iter().cloned());
        }
        down.reverse();
        assert_eq!(down, taken);
        // And back again, from the page that was last.
        let mut up = page.entries.clone();
        up.reverse();
        while let Some(newer) = page.newer {
            page = index.page(filter, Some(newer), count).unwrap();
            up.extend(page.entries.iter().rev().cloned());
        }
        assert_eq!(up, taken);
    }
    // Off both ends there is a way back.
    let beyond = index.page(filter, Some(Cursor::Newer(Position(u64::MAX - 1))), 7).unwrap();
    assert!(beyond.entries.is_empty() && beyond.newer.is_none());
    let back = index.page(filter, beyond.older, 7).unwrap();
    assert_eq!(back.entries, index.page(filter, None, 7).unwrap().entries);
}

fn sums_are_those_of(index: &DeliveryIndex, filter: &Filter, taken: &[Entry]) {
    for by in [By::Day, By::Recipient, By::RecipientDay, By::School, By::SchoolMonth, By::Whole] {
        let mut groups: BTreeMap<Key, Vec<&Entry>> = BTreeMap::new();
        for entry in taken {
            let day = Some(day_of(entry.recorded_ms));
            let recipient = Some(entry.recipient);
            let key = match by {
                By::Day => Key { day, ..Key::default() },
                By::Recipient => Key { recipient, ..Key::default() },
                By::RecipientDay => Key { recipient, day, school: None },
                By::School => Key { school: Some(entry.brin()), ..Key::default() },
                By::SchoolMonth => {
                    let month = day.map(|day| day.first_of_month());
                    Key { school: Some(entry.brin()), day: month, recipient: None }
                }
                By::Whole => Key::default(),
            };
            groups.entry(key).or_default().push(entry);
        }
        let sums = index.sums(filter, by).unwrap();
        assert!(sums.keys().eq(groups.keys()));
        for (sum, entries) in sums.values().zip(groups.values()) {
            let count =
                |wanted: &dyn Fn(&Entry) -> bool| entries.iter().filter(|entry| wanted(entry)).count() as u64;
            let ended = |ending| count(&|entry| entry.ended == ending);
            assert_eq!((sum.sent, sum.failed), (ended(Ending::Sent), ended(Ending::Failed)));
            assert_eq!((sum.unknown, sum.open), (ended(Ending::Unknown), ended(Ending::Open)));
            assert_eq!(
                (sum.refused, sum.deliveries()),
                (ended(Ending::Refused), count(&|e| e.reason.is_none()))
            );
            assert_eq!(sum.refused_for(Reason::Held), count(&|entry| entry.reason == Some(Reason::Held)));
            for rule in Rule::ALL {
                assert_eq!(sum.breaking(rule), count(&|entry| entry.verdicts.of(rule) == Verdict::Broken));
            }
            assert_eq!(sum.first_ms, entries[0].recorded_ms);
            assert_eq!(sum.last_ms, entries[entries.len() - 1].recorded_ms);
            for fields in [Fields::Leerkracht, Fields::Leerling, Fields::Results] {
                if by == By::SchoolMonth {
                    assert!(sum.about(fields).is_none());
                    continue;
                }
                let own: Vec<Persons> = entries
                    .iter()
                    .flat_map(|entry| entry.about())
                    .filter(|(about, _)| *about == fields)
                    .map(|(_, persons)| persons)
                    .collect();
                let Some(about) = sum.about(fields) else {
                    assert!(own.is_empty());
                    continue;
                };
                assert_eq!(about.deliveries, own.len() as u64);
                assert_eq!(about.rows, own.iter().map(|persons| u64::from(persons.rows)).sum::<u64>());
                assert_eq!(about.released, own.iter().fold(0, |union, persons| union | persons.released));
                assert_eq!(about.withheld, own.iter().fold(0, |union, persons| union | persons.withheld));
                for bit in 0..64 {
                    let left = own.iter().filter(|persons| persons.released >> bit & 1 == 1).count();
                    let stayed = own.iter().filter(|persons| persons.withheld >> bit & 1 == 1).count();
                    assert_eq!(
                        (about.released_in[bit], about.withheld_in[bit]),
                        (left as u64, stayed as u64)
                    );
                }
            }
        }
    }
}

/// The sample, as its documentation has a third party draw it.
fn drawn(taken: &[Entry], seed: &[u8; 32], count: usize) -> Vec<Entry> {
    let rank = |entry: &&Entry| {
        let text = format!("{}{:016x}", hex::encode(seed), entry.first.0);
        hex::encode(digest(&SHA256, &hex::decode(text).unwrap()))
    };
    let mut ranked: Vec<&Entry> = taken.iter().collect();
    ranked.sort_by_key(rank);
    ranked.truncate(count);
    ranked.sort_by_key(|entry| entry.first);
    ranked.into_iter().cloned().collect()
}

#[test]
fn a_sample_is_drawn_evenly_and_never_twice_the_same() {
    let mut scribe = Scribe::new(1);
    scribe.days(3, 80);
    scribe.log.close();
    let index = scribe.index();
    let whole = all(&index);
    let mut drawn: HashMap<Position, u32> = HashMap::new();
    for seed in 0..400_u16 {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&seed.to_le_bytes());
        let sample = index.sample(&Filter::default(), &bytes, whole.len() / 4).unwrap();
        assert_eq!(sample.len(), whole.len() / 4);
        assert!(sample.is_sorted_by(|one, next| one.first < next.first));
        sample.iter().for_each(|entry| *drawn.entry(entry.first).or_default() += 1);
    }
    // A hundred times each on average; five standard deviations to either side.
    assert!(whole.iter().all(|entry| drawn.get(&entry.first).is_some_and(|times| (56..145).contains(times))));
}

/// Deliveries end after they were seen open, and the index says so from then on.
#[test]
fn what_was_open_ends_where_it_stands() {
    let mut scribe = Scribe::new(2);
    let index = DeliveryIndex::new(&scribe.config.data).unwrap();
    let mut seen_open = 0;
    for round in 0..3 {
        for _ in 0..150 {
            scribe.step();
        }
        if round == 1 {
            scribe.restart();
        }
        let begun = Instant::now();
        // A checkpoint comes after five seconds at most.
        let reader = loop {
            let reader = scribe.reader();
            let mut last = 0;
            reader.leaves(Position(0), &mut |position, _| last = position.0).unwrap();
            if reader.published() == last + 1 {
                break reader;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint");
            thread::sleep(Duration::from_millis(100));
        };
        index.catch_up(&reader).unwrap();
        index.catch_up(&reader).unwrap();
        let expected = naive(&reader);
        assert_eq!(all(&index), expected);
        seen_open += expected.iter().filter(|entry| entry.ended == Ending::Open).count();
        assert_eq!(expected.iter().any(|entry| entry.ended == Ending::Unknown), round > 0);
    }
    assert!(seen_open > 3);
}

/// Readers see each entry whole while another thread follows the log.
#[test]
fn many_ask_while_one_follows() {
    let mut scribe = Scribe::new(3);
    scribe.days(6, 200);
    scribe.log.close();
    let expected = naive(&scribe.reader());
    let index = DeliveryIndex::new(&scribe.config.data).unwrap();
    let size = scribe.reader().published();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while index.covered() < size {
                    for entry in all(&index) {
                        let whole = expected.iter().find(|other| other.first == entry.first).unwrap();
                        assert_eq!((entry.recipient, entry.span), (whole.recipient, whole.span));
                        assert!(entry.ended == Ending::Open || entry == *whole);
                    }
                }
            });
        }
        index.catch_up(&scribe.reader()).unwrap();
    });
    assert_eq!(all(&index), expected);
}

#[test]
fn what_has_gone_by_rule_does_not_show() {
    let retention = Retention { detail_days: 3, rollup_days: 4, leaf_days: Some(5) };
    let mut scribe = Scribe::keeping(4, retention);
    scribe.days(3, 400);
    scribe.restart();
    let index = scribe.index();
    let before = all(&index);
    for days in [38, 3] {
        scribe.day = scribe.day.saturating_add(Span::new().days(days));
        scribe.clock.put(scribe.day);
        for _ in 0..400 {
            scribe.step();
        }
    }
    scribe.log.retain().unwrap();
    scribe.restart();
    let reader = scribe.reader();
    assert!(reader.minimum() > before[before.len() / 2].first.0, "the test prunes nothing");
    index.catch_up(&reader).unwrap();
    let expected = naive(&reader);
    assert_eq!(all(&scribe.index()), expected, "one that never saw what has gone");
    assert_eq!(all(&index), expected, "one that did");
    assert_eq!(index.one(before[0].first).unwrap(), None);
    assert!(
        index.sums(&Filter::default(), By::Whole).unwrap()[&Key::default()].first_ms > before[0].recorded_ms
    );
}

/// What a person is told, and who is told of a correction, is the same with an index and without.
#[test]
fn answers_are_the_same_with_an_index() {
    for seed in 10..14 {
        let mut scribe = Scribe::new(seed);
        scribe.days(5, 80);
        scribe.log.erase_person("99DE", vec![[3; 16]]).unwrap();
        // One that has seen half of it, one that has seen all, and leaves in the write-ahead log that neither has.
        let half = scribe.index();
        for _ in 0..40 {
            scribe.step();
        }
        scribe.restart();
        let whole = scribe.index();
        for _ in 0..40 {
            scribe.step();
        }
        let plain = Answers::open(&scribe.config).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut deliveries = 0;
        for index in [&half, &whole] {
            let indexed = Answers::open(&scribe.config).unwrap().with_index(index);
            for handle in (0..6).chain(100..106) {
                let person = Person { handles: vec![(None, [handle; 16])], partial: false };
                for days in [ALWAYS, MONDAY..=MONDAY, MONDAY.tomorrow().unwrap()..=scribe.day] {
                    let told = plain.inzage("99DE", &person, &days).unwrap();
                    deliveries += told.deliveries.len();
                    let expected = serde_json::to_value(&told).unwrap();
                    let told = indexed.inzage("99DE", &person, &days).unwrap();
                    assert_eq!(serde_json::to_value(&told).unwrap(), expected);
                }
                let school = scribe.config.school("99DE").unwrap();
                let expected = plain.worklist(school, &person, None, &clock).unwrap();
                let list = indexed.worklist(school, &person, None, &clock).unwrap();
                assert_eq!(serde_json::to_value(&list).unwrap(), serde_json::to_value(&expected).unwrap());
            }
        }
        assert!(deliveries > 100, "{deliveries}");
    }
}
