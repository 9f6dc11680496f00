//! A log of a school year, written as exchanges would: some days, schools and suppliers, deliveries of a class each, of
//! which some fail, are refused, hold teachers too, or are results that come back.
//!
//! The same arguments give the same persons, masks and endings; positions depend on who came first. Of school 99DE, which
//! [`Home`] configures, handles are those of the pupils with keys from 200000 on, so that persons can be asked about.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use jiff::{Span, Timestamp, civil::Date};
use sluis::{
    clock::{Clock, SystemClock, day_start_ms},
    config::Config,
    disclosure::{
        Disclosure, Leaf, LeafKind, Log, Outcome, OutcomeStatus, Reader, Retention, Row, RowOutcome, Subject,
    },
    keys::Purpose,
    policy::rules::{Reason, Verdicts},
    pseudonym::{Identity, KeyKind, LogKeys, PupilKey},
};

use super::Home;

/// Exchanges at once.
const EXCHANGES: usize = 128;
/// The key of the first pupil of 99DE.
pub(crate) const FIRST_KEY: u64 = 200_000;

/// How much there is.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) days: u64,
    pub(crate) schools: u64,
    pub(crate) suppliers: u64,
    /// Classes of a school, each of which every supplier gets each day.
    pub(crate) classes: u64,
    /// Pupils of a class.
    pub(crate) pupils: u64,
}

impl Plan {
    /// 24 million rows in a million deliveries: of all ways to come to as many rows, one with very many deliveries.
    pub(crate) const FULL: Self = Self { days: 200, schools: 100, suppliers: 10, classes: 5, pupils: 24 };
    /// A hundredth of it.
    pub(crate) const SHORT: Self = Self { days: 20, schools: 10, ..Self::FULL };

    fn deliveries_a_day(&self) -> u64 {
        self.schools * self.suppliers * self.classes
    }
}

/// A clock that is put on the day that is being written.
#[derive(Debug)]
pub(crate) struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(i64::try_from(self.0.load(SeqCst)).unwrap()).unwrap()
    }
}

/// The log, still open on its last day.
pub(crate) struct Year {
    pub(crate) home: Home,
    pub(crate) config: Arc<Config>,
    pub(crate) plan: Plan,
    pub(crate) log: Log,
    pub(crate) days: Vec<Date>,
    /// Handles of the pupils of 99DE.
    own: Vec<[u8; 16]>,
    clock: Arc<Hands>,
}

impl Year {
    /// Writes it.
    pub(crate) fn write(plan: Plan) -> Self {
        let home = Home::new();
        let mut text = fs::read_to_string(home.path("sluis.toml")).unwrap();
        for number in 1..plan.suppliers {
            text += &format!(
                "\n[[recipient]]\nid = \"lev{number}\"\nname = \"Leverancier {number}\"\ncertificate = {{ subject_alt_name = \"lev{number}.example\" }}\n"
            );
        }
        let agreement = fs::read_to_string(home.path("agreements/99DE-noordzee-rekenroute.toml")).unwrap();
        fs::remove_file(home.path("agreements/99DE-noordzee-rekenroute.toml")).unwrap();
        for school in 0..plan.schools {
            let brin = Self::brin(school);
            if school > 0 {
                text += &format!("\n[[school]]\nbrin = \"{brin}\"\nname = \"School {school}\"\n");
            }
            for supplier in 0..plan.suppliers {
                let id = Self::supplier(supplier);
                let own = agreement
                    .replace("99DE-noordzee-rekenroute", &format!("{brin}-{id}"))
                    .replace("\"99DE\"", &format!("\"{brin}\""))
                    .replace("\"noordzee\"", &format!("\"{id}\""));
                fs::write(home.path(&format!("agreements/{brin}-{id}.toml")), own).unwrap();
            }
        }
        fs::write(home.path("sluis.toml"), text).unwrap();
        for school in 1..plan.schools {
            let made = home.sluis(&["keys", "new", "--school", &Self::brin(school)]).output().unwrap();
            assert!(made.status.success());
        }
        let config = Arc::new(Config::load(&home.path("sluis.toml"), &SystemClock).unwrap());
        // Up to yesterday: what the review shows first is of late.
        let days = (1..).map(|ago| SystemClock.today().saturating_sub(Span::new().days(ago)));
        let weekdays = days.filter(|day| day.weekday().to_monday_zero_offset() < 5);
        let mut days: Vec<Date> = weekdays.take(usize::try_from(plan.days).unwrap()).collect();
        days.reverse();
        let first = days[0];
        let clock = Arc::new(Hands(AtomicU64::new(day_start_ms(first))));
        let log = open(&config, &clock);
        let (epoch, root) = config.keys.current("99DE", Purpose::Log).unwrap();
        let keys = LogKeys::new(root, epoch, "99DE");
        let own = (FIRST_KEY..FIRST_KEY + plan.classes * plan.pupils).map(|key| {
            let key = PupilKey::parse(&key.to_string()).unwrap();
            keys.subject_handle(&Identity::LasKey(KeyKind::Leerling, key))
        });
        let own = own.collect();
        let year = Self { home, config, plan, log, days, own, clock };
        for (number, day) in (0..).zip(&year.days) {
            year.write_day(number, *day);
        }
        year.await_seals();
        year
    }

    /// The BRIN of a school; the first is the one that is configured.
    pub(crate) fn brin(school: u64) -> String {
        if school == 0 {
            return "99DE".into();
        }
        let letter = |number: u64| char::from(b'A' + u8::try_from(number % 26).unwrap());
        format!("{:02}{}{}", school % 90, letter(school / 90), letter(school / 2340))
    }

    /// The id of a supplier; the first is the one with an agreement.
    pub(crate) fn supplier(supplier: u64) -> String {
        if supplier == 0 { "noordzee".into() } else { format!("lev{supplier}") }
    }

    /// Waits until the rows of all days but the last are sealed: what is measured must not share the disk with that.
    fn await_seals(&self) {
        let sealed = |school| {
            let days = Reader::open(&self.config.data).unwrap().sealed_days(&Self::brin(school)).unwrap();
            days.len() + 1 >= self.days.len()
        };
        while !(0..self.plan.schools).all(sealed) {
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// Ends the last day and what was open on it, and waits until its rows are sealed.
    pub(crate) fn close_last_day(&self) {
        self.log.close();
        self.clock.0.fetch_add(24 * 3_600_000, SeqCst);
        open(&self.config, &self.clock).close();
    }

    fn write_day(&self, number: u64, day: Date) {
        self.clock.0.store(day_start_ms(day) + 3 * 3_600_000, SeqCst);
        let next = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..EXCHANGES {
                scope.spawn(|| {
                    loop {
                        let delivery = next.fetch_add(1, SeqCst);
                        if delivery >= self.plan.deliveries_a_day() {
                            return;
                        }
                        self.clock.0.fetch_add(1000, SeqCst);
                        self.deliver(number * self.plan.deliveries_a_day() + delivery);
                    }
                });
            }
        });
    }

    /// One delivery. How it ends follows from its number.
    fn deliver(&self, delivery: u64) {
        let Plan { schools, suppliers, .. } = self.plan;
        let school = delivery % schools;
        let supplier = delivery / schools % suppliers;
        let class = delivery / schools / suppliers % self.plan.classes;
        let luck = scatter(delivery) % 100;
        let (brin, id) = (Self::brin(school), Self::supplier(supplier));
        let mut leaf = Leaf::new(LeafKind::Disclosure);
        leaf.controller = Leaf::controller_code(&brin, "00");
        leaf.recipient = Leaf::recipient_code(&id);
        leaf.span_id = scatter(delivery).to_be_bytes();
        leaf.transaction = u128::from(scatter(delivery)).to_be_bytes();
        leaf.start_ms = self.clock.now_ms();
        leaf.activity = Leaf::activity_code(&format!("{brin}-{id}"));
        leaf.activity_version = 1;
        leaf.agreement[..8].copy_from_slice(&scatter(school * suppliers + supplier).to_be_bytes());
        (leaf.pseudonym_epoch, leaf.log_epoch) = (1, 1);
        leaf.verdicts = Verdicts::KEPT;
        if luck == 0 {
            leaf.kind = LeafKind::Withheld;
            leaf.refuse(Reason::AgreementMissing);
            self.log.note_blocking(leaf).unwrap();
            return;
        }
        if luck < 6 {
            leaf.flags = Leaf::INBOUND;
        }
        self.chunk(&leaf, school, Subject::Leerling, class * self.plan.pupils, self.plan.pupils);
        let mut chunks = 1;
        if luck >= 90 {
            leaf.chunk = 1;
            chunks = 2;
            self.chunk(&leaf, school, Subject::Leerkracht, class, 1);
        }
        // Some have not ended when the last day has.
        if luck == 99 && delivery / self.plan.deliveries_a_day() + 1 == self.plan.days {
            return;
        }
        (leaf.kind, leaf.rows, leaf.chunk) = (LeafKind::Outcome, 0, 0);
        let status = match luck {
            6..9 => OutcomeStatus::Failed,
            9 => OutcomeStatus::Unknown,
            _ => OutcomeStatus::Sent,
        };
        let outcome = Outcome { status, http_status: 200, chunks, bytes: 25_000 + luck };
        self.log.note_blocking(leaf.with_outcome(outcome)).unwrap();
    }

    fn chunk(&self, leaf: &Leaf, school: u64, subject: Subject, first: u64, persons: u64) {
        let supplier = u64::from(leaf.recipient[0]);
        let rows = (first..first + persons).map(|person| {
            let mut row = Row::new(subject, u32::try_from(person).unwrap());
            let seed = scatter(school << 32 | person << 1 | u64::from(subject == Subject::Leerkracht));
            let own = usize::try_from(person).unwrap();
            if school == 0 && subject == Subject::Leerling {
                row.handle = self.own[own];
            } else {
                row.handle[..8].copy_from_slice(&seed.to_be_bytes());
                row.handle[8..].copy_from_slice(&seed.rotate_left(29).to_be_bytes());
            }
            row.tag = (seed ^ supplier).to_le_bytes();
            row.released = 0x0000_0001_0080_04d7 << (supplier % 3);
            row.withheld = 0x1_0000 << (person % 3);
            row.outcome = RowOutcome::Released;
            row
        });
        let disclosure = Disclosure { leaf: leaf.clone(), rows: rows.collect() };
        self.log.record_blocking(disclosure, ()).unwrap().into_inner();
    }
}

fn open(config: &Config, clock: &Arc<Hands>) -> Log {
    let mut site = config.log_site();
    // The machine's own calendar is somewhere else, and nothing may fall due in the middle.
    site.retention = Retention { detail_days: 3650, rollup_days: 3650, leaf_days: None };
    Log::open(site, Arc::clone(clock) as Arc<dyn Clock>).unwrap()
}

/// As good as random, and another for each number.
pub(crate) fn scatter(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}
