//! Whatever the document and whatever the agreement: what leaves is named by a line, on record before it leaves, and
//! holds nothing of what was planted elsewhere.
//!
//! The bytes decide which lines the agreement has, and what stands where in the document: words and numbers that each
//! occur in one place only, in fields, attributes, comments, CDATA and what the catalogue does not know.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::{self, Cursor, Write},
    path::Path,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use arbitrary::Unstructured;
use jiff::civil::date;
use roxmltree::Document;
use sluis::{
    catalogue::{Field, FieldId, Kind, NodeId, Pattern, SOAP_NAMESPACE, Sensitivity, Treatment, catalogue},
    cli::init::init,
    clock::{Clock, FixedClock, SystemClock, day_start_ms},
    config::Config,
    delivery::{Asked, Delivery},
    disclosure::{
        Leaf, LeafKind, Log, Row, RowOutcome, Subject,
        storage::{Source, Storage},
    },
    exchange::{Attempt, attempt},
    keys::IdentitySource,
    policy::agreement::Agreements,
    standing::Ledger,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    log_recover::{FRAME, SALT, frames},
    second::{Second, Seen},
};

const FEEDS: [&str; 5] = ["leerlinggegevens", "leerlingen", "edexml", "leerkrachten", "structuur"];
const MOST_RECORDS: usize = 4;
/// A log of so many bytes is put away for a new one.
const LOG_BYTES: usize = 4 * 1024 * 1024;

/// A gateway as `sluis init` makes one.
struct Stage {
    home: TempDir,
    config: Config,
    clock: Arc<dyn Clock>,
    log: Option<(Log, Arc<Disk>)>,
}

static STAGE: LazyLock<Mutex<Stage>> = LazyLock::new(|| {
    let home = TempDir::new().expect("a folder");
    let ms = i64::try_from(day_start_ms(date(2026, 11, 24))).expect("this century") + 8 * 3_600_000;
    let clock = FixedClock(jiff::Timestamp::from_millisecond(ms).expect("this century"));
    let folder = home.path().join("home");
    init(&folder, &SystemClock).expect("a home");
    fs::remove_dir_all(folder.join("agreements")).expect("it is there");
    fs::create_dir(folder.join("agreements")).expect("a folder");
    let config = Config::load(&folder.join("sluis.toml"), &SystemClock).expect("a home is in order");
    Mutex::new(Stage { home, config, clock: Arc::new(clock), log: None })
});

impl Stage {
    fn log(&mut self) -> (Log, Arc<Disk>) {
        if self
            .log
            .as_ref()
            .is_none_or(|(_, disk)| disk.files().values().map(Vec::len).sum::<usize>() > LOG_BYTES)
        {
            if let Some((log, _)) = self.log.take() {
                log.close();
            }
            let disk = Arc::new(Disk::default());
            let site = crate::log_recover::site(&self.home.path().join("log"));
            let _ = fs::remove_dir_all(&site.directory);
            fs::create_dir_all(&site.directory).expect("a folder");
            let _ = fs::remove_file(&site.copy);
            let log =
                Log::open_on(Arc::<Disk>::clone(&disk), site, Arc::clone(&self.clock)).expect("a new log");
            self.log = Some((log, disk));
        }
        let (log, disk) = self.log.as_ref().expect("it was just made");
        (log.clone(), Arc::clone(disk))
    }
}

/// A disk in memory that knows what of it is durable.
#[derive(Default)]
struct Disk {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    segment: Mutex<Option<String>>,
    /// Bytes of each segment that were synced.
    synced: Mutex<BTreeMap<String, usize>>,
}

impl Disk {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn synced(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> io::Result<String> {
        let segment = self.segment.lock().unwrap_or_else(PoisonError::into_inner);
        segment.clone().ok_or_else(|| io::Error::other("no segment is open"))
    }

    /// Leaves of a delivery that are durable, with their rows.
    fn recorded(&self, transaction: Uuid) -> Vec<(Leaf, Vec<Row>)> {
        let (files, synced) = (self.files(), self.synced());
        let mut recorded = Vec::new();
        for (name, &length) in synced.iter() {
            let Some(bytes) = files.get(name) else { continue };
            for frame in frames(&bytes[..length]) {
                let body = &bytes[frame.start + FRAME..frame.end];
                let leaf =
                    Leaf::from_bytes(body[..Leaf::SIZE].try_into().expect("its size")).expect("a leaf");
                if leaf.transaction == *transaction.as_bytes() {
                    let rows = body.get(Leaf::SIZE + SALT..).unwrap_or_default().chunks_exact(Row::SIZE);
                    let row = |row: &[u8]| Row::from_bytes(row.try_into().expect("its size")).expect("a row");
                    recorded.push((leaf, rows.map(row).collect()));
                }
            }
        }
        recorded
    }

    fn released(&self, transaction: Uuid, subject: Subject) -> usize {
        let recorded = self.recorded(transaction);
        let rows = recorded.iter().flat_map(|(_, rows)| rows);
        rows.filter(|row| row.subject == subject && row.outcome == RowOutcome::Released).count()
    }
}

impl Storage for Disk {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let inside = format!("{folder}/");
        let mut names: Vec<String> = self
            .files()
            .keys()
            .filter_map(|name| name.strip_prefix(&inside))
            .map(|name| name.split('/').next().unwrap_or_default().to_owned())
            .collect();
        names.dedup();
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        let bytes = self.files().get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn create(&self, name: &str) -> io::Result<()> {
        self.files().insert(name.to_owned(), Vec::new());
        self.resume(name, 0)
    }

    fn resume(&self, name: &str, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.files().get_mut(name).ok_or(io::ErrorKind::NotFound)?.truncate(length);
        *self.segment.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_owned());
        Ok(())
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let name = self.current()?;
        self.files().get_mut(&name).ok_or(io::ErrorKind::NotFound)?.extend(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let name = self.current()?;
        let length = self.files().get(&name).map_or(0, Vec::len);
        self.synced().insert(name, length);
        Ok(())
    }

    fn put(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        self.files().extend(files.iter().cloned());
        Ok(())
    }

    fn write(&self, name: &str, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut bytes = Vec::new();
        fill(&mut bytes)?;
        self.files().insert(name.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let inside = format!("{name}/");
        self.files().retain(|other, _| other != name && !other.starts_with(&inside));
        Ok(())
    }
}

/// Where something unique was planted.
#[derive(Debug, Clone, Copy)]
struct Site {
    /// None: in what is no field.
    field: Option<FieldId>,
    /// It may not leave, whatever lines there are.
    never: bool,
}

/// What an agreement says.
#[derive(Debug)]
struct Lines {
    legal: bool,
    domain: &'static str,
    release: BTreeMap<FieldId, Treatment>,
}

impl Lines {
    fn draw(bytes: &mut Unstructured<'_>) -> Self {
        let how = bytes.arbitrary().unwrap_or(0u8);
        let legal = how & 1 != 0;
        let domain = ["recipient", "recipient", "pass-eckid", "chain"][usize::from(how >> 1 & 3)];
        // All, half or few of the fields.
        let often = [255, 128, 24, 200][usize::from(how >> 3 & 3)];
        let mut release = BTreeMap::new();
        for field in catalogue().fields() {
            let Some(last) = field.treatments.len().checked_sub(1) else { continue };
            if field.kind == Kind::Pgn && !legal || bytes.arbitrary().unwrap_or(0u8) > often {
                continue;
            }
            let treatment = field.treatments[bytes.int_in_range(0..=last).unwrap_or(0)];
            release.insert(field.id, treatment);
        }
        Self { legal, domain, release }
    }

    fn text(&self) -> String {
        let basis = if self.legal { "wettelijke-verplichting" } else { "overeenkomst" };
        let domain = match self.domain {
            "chain" => "domain = \"chain\", chain = \"leermiddelen\", sector = \"po\"".to_owned(),
            domain => format!("domain = \"{domain}\""),
        };
        let mut text = format!(
            "id = \"a\"\nversion = 1\nschool = \"99DE\"\nrecipient = \"noordzee\"\nproduct = \"P\"\nannex = \"a.pdf\"\n\
             purpose = \"leermiddelen\"\nbasis = \"{basis}\"\nspecial = {{ ground = \"speciale-begeleiding\" }}\n\
             valid = {{ from = 2020-08-01, until = 2099-07-31 }}\npseudonym = {{ {domain} }}\n[release]\n"
        );
        for (&field, treatment) in &self.release {
            let name = &catalogue().field(field).name;
            writeln!(text, "\"{name}\" = \"{}\"", treatment.as_str()).expect("a string takes all");
        }
        text
    }
}

/// Writes a document and remembers what was put where.
struct Writer<'b, 'd> {
    bytes: &'b mut Unstructured<'d>,
    out: String,
    sites: Vec<Site>,
    /// Values that stand in fields, as a reader has them.
    values: BTreeMap<FieldId, BTreeSet<String>>,
    keys: Vec<String>,
    /// The key of the record that is being written.
    own: Option<String>,
}

const WORD: &str = "Kwartel";

impl Writer<'_, '_> {
    fn byte(&mut self) -> u8 {
        self.bytes.arbitrary().unwrap_or(0)
    }

    fn plant(&mut self, field: Option<FieldId>, never: bool) -> usize {
        self.sites.push(Site { field, never });
        self.sites.len() - 1
    }

    fn word(&mut self, field: Option<FieldId>) -> String {
        let site = self.plant(field, false);
        let letter = |by: usize| char::from(b'a' + u8::try_from(site / by % 26).expect("a letter"));
        format!("{WORD}{}{}{}q", letter(676), letter(26), letter(1))
    }

    /// A BSN that stands in one place.
    fn number(&mut self, field: Option<&Field>) -> String {
        // In free text a register number is never let through. Where the form is that of a number, it may be one.
        let never = field
            .is_none_or(|field| matches!(field.kind, Kind::Text | Kind::Url) && field.form.pattern.is_none());
        let site = self.plant(field.map(|field| field.id), never);
        bsn(site)
    }

    /// A number in one of the spellings of which each is the same number to who looks for it.
    fn spelled(&mut self, number: &str) -> (String, String) {
        let (head, tail) = number.split_at(4);
        let same = |text: String| (text.clone(), text);
        match self.byte() % 10 {
            0 => same(format!("{head} {tail}")),
            1 => same(format!("{head}.{tail}")),
            2 => same(format!("{head}-{tail}")),
            3 => same(
                number.chars().map(|digit| char::from_u32(digit as u32 + 0xFEE0).expect("a digit")).collect(),
            ),
            4 => same(number.bytes().map(|digit| format!("%{digit:x}")).collect()),
            5 => (number.bytes().map(|digit| format!("&#{digit};")).collect(), number.to_owned()),
            6 => (format!("{head}<![CDATA[{tail}]]>"), number.to_owned()),
            7 => (format!("{head}<!-- x -->{tail}"), number.to_owned()),
            8 => same(format!("x{number}y")),
            _ => same(number.to_owned()),
        }
    }

    /// What stands in a field: as written in XML, and as it is read.
    fn value(&mut self, field: &Field, attribute: bool) -> Option<(String, String)> {
        let choice = self.byte();
        let same = |text: String| Some((text.clone(), text));
        if field.sensitivity == Sensitivity::Addressing && choice >= 8 {
            return match field.name.rsplit('.').next().unwrap_or_default() {
                "brincode" => same("99DE".into()),
                "dependancecode" => same("00".into()),
                "schooljaar" => same("2026-2027".into()),
                "xsdversie" => same("2.3".into()),
                "schoolkey" | "instellingsnummer" => None,
                _ => same(well_formed(field, self.sites.len())),
            };
        }
        if field.kind == Kind::Key {
            let at = self.byte();
            return match self.keys.len() {
                known if known > 0 && !at.is_multiple_of(4) => {
                    same(self.keys[usize::from(at) % known].clone())
                }
                _ => same(self.word(Some(field.id))),
            };
        }
        match choice % 8 {
            0 => None,
            1 => same(String::new()),
            2 | 3 => same(well_formed(field, self.sites.len())),
            4 => {
                let number = self.number(Some(field));
                let (mut written, read) = self.spelled(&number);
                if attribute {
                    written.clone_from(&read);
                }
                Some((written, read))
            }
            5 if matches!(field.kind, Kind::Text | Kind::Url) && field.form.pattern.is_none() => {
                // Its own key, in a text: with a digit in it, for who bears a name may have a key that is that name.
                match &self.own {
                    Some(own) => same(format!("zie {own}")),
                    None => same(self.word(Some(field.id))),
                }
            }
            _ if field.kind == Kind::Pgn => same(self.number(Some(field))),
            _ => same(self.word(Some(field.id))),
        }
    }

    fn noise(&mut self) {
        let choice = self.byte();
        if choice < 160 {
            return;
        }
        let planted = if choice & 1 == 0 { self.word(None) } else { self.number(None) };
        let text = match choice % 7 {
            0 => format!("<!-- {planted} -->"),
            1 => format!("<?{WORD} {planted}?>"),
            2 => format!("<onbekend a=\"{planted}\"/>"),
            3 => format!("<v:roepnaam xmlns:v=\"urn:v\">{planted}</v:roepnaam>"),
            4 => format!(
                "<onbekend><leerling key=\"{planted}\"><roepnaam>{planted}</roepnaam></leerling></onbekend>"
            ),
            5 => planted,
            _ => format!("<![CDATA[{planted}]]>"),
        };
        self.out += &text;
    }

    fn record(&mut self, node: NodeId, root: bool) {
        let place = catalogue().tree().node(node);
        self.out += &format!("<{}", place.name);
        for attribute in &place.attributes {
            let field = catalogue().field(attribute.field);
            let own = catalogue().record(field.record).key == Some(field.id);
            let value = if own && root {
                let key = format!("K{:05}", 10_000 + self.plant(Some(field.id), true));
                self.keys.push(key.clone());
                if catalogue().record(field.record).person.is_some() {
                    self.own = Some(key.clone());
                }
                Some((key.clone(), key))
            } else if field.kind == Kind::Eckid && self.byte().is_multiple_of(2) {
                let eckid = format!("https://ketenid.nl/201703/{:0128x}", 0xabc_0000 + self.sites.len());
                Some((eckid.clone(), eckid))
            } else {
                self.value(field, true)
            };
            if let Some((written, read)) = value {
                self.out += &format!(" {}=\"{written}\"", attribute.name);
                self.values.entry(field.id).or_default().insert(read);
            }
        }
        let odd = self.byte();
        if odd > 200 {
            let planted = if odd & 1 == 0 { self.word(None) } else { self.number(None) };
            self.out += &format!(" onbekend=\"{planted}\"");
        }
        self.out += ">";
        self.noise();
        for &child in &place.children {
            let inside = catalogue().tree().node(child);
            let times = if inside.many { self.byte() % 3 } else { 1 };
            for _ in 0..times {
                let Some(field) = inside.text.map(|field| catalogue().field(field)) else {
                    if self.byte() >= 64 {
                        self.record(child, false);
                    }
                    continue;
                };
                if let Some((written, read)) = self.value(field, false) {
                    self.out += &format!("<{0}>{written}</{0}>", inside.name);
                    self.values.entry(field.id).or_default().insert(read);
                }
            }
        }
        self.noise();
        self.out += &format!("</{}>", place.name);
    }

    fn document(&mut self) {
        let catalogue = catalogue();
        let tree = catalogue.tree();
        let how = self.byte();
        let feed = catalogue.feed(catalogue.feed_named(FEEDS[usize::from(how) % FEEDS.len()]));
        let envelope = how & 0x80 != 0 && feed.message.is_some();
        let mut sections: Vec<_> = feed.sections.iter().collect();
        if self.byte() > 220 {
            sections.reverse();
        }
        let root = tree.node(feed.root);
        if envelope {
            self.out += &format!("<e:Envelope xmlns:e=\"{SOAP_NAMESPACE}\"><e:Body>");
        }
        if let Some(message) = feed.message.map(|message| tree.node(message)) {
            self.out += &format!("<{} xmlns=\"{}\">", message.name, tree.uri(message.namespace));
        }
        self.out += &format!("<{}>", root.name);
        for section in sections {
            let wrapper = section.wrapper.map(|wrapper| &tree.node(wrapper).name);
            if let Some(wrapper) = wrapper {
                self.out += &format!("<{wrapper}>");
            }
            for &(_, node) in &section.records {
                let times = if wrapper.is_none() { 1 } else { usize::from(self.byte()) % MOST_RECORDS };
                for _ in 0..times {
                    self.own = None;
                    self.record(node, true);
                }
            }
            if let Some(wrapper) = wrapper {
                self.out += &format!("</{wrapper}>");
            }
            self.noise();
        }
        self.out += &format!("</{}>", root.name);
        if let Some(message) = feed.message {
            self.out += &format!("</{}>", tree.node(message).name);
        }
        if envelope {
            self.out += "</e:Body></e:Envelope>";
        }
    }
}

/// The BSN of a site: nine digits that pass the eleven-test, none like another.
fn bsn(site: usize) -> String {
    let mut eight = 12_345_670 + site * 100;
    loop {
        let digits = format!("{eight:08}");
        let sum: usize =
            digits.bytes().zip((2..=9).rev()).map(|(digit, by)| usize::from(digit - b'0') * by).sum();
        if sum % 11 < 10 {
            return format!("{digits}{}", sum % 11);
        }
        eight += 1;
    }
}

fn well_formed(field: &Field, number: usize) -> String {
    match (field.kind, &field.form.pattern) {
        (Kind::Date, _) => format!("20{:02}-{:02}-{:02}", number % 90 + 10, number % 12 + 1, number % 28 + 1),
        (Kind::Datetime, _) => format!("2026-11-2{}T{:02}:{:02}:00", number % 4, number % 24, number % 60),
        (Kind::Postcode, Some(Pattern::PostcodeNl)) => format!("{:04}AB", number % 9000 + 1000),
        (_, Some(Pattern::Digits(low, _))) => format!("{:0width$}", number % 10_000, width = *low),
        (_, Some(Pattern::In(words))) => words[number % words.len()].clone(),
        (_, Some(Pattern::Brin)) => "99DE".into(),
        (_, Some(Pattern::Schooljaar)) => "2026-2027".into(),
        (_, Some(_)) => format!("{}", number % 100),
        _ if field.form.max.is_some_and(|max| max < 8) => {
            format!("{}", char::from(b'A' + u8::try_from(number % 26).expect("a letter")))
        }
        _ => "Eik".into(),
    }
}

/// Takes what leaves, and holds it against what is on record at that moment.
struct Receiver<'d> {
    disk: &'d Disk,
    transaction: Uuid,
    out: Vec<u8>,
}

impl Write for Receiver<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend(bytes);
        let text = String::from_utf8_lossy(&self.out);
        for (tag, subject) in [("leerling", Subject::Leerling), ("leerkracht", Subject::Leerkracht)] {
            let begun = text.split('<').filter(|part| {
                let name = part.split([' ', '>', '/']).next().unwrap_or_default();
                name.rsplit(':').next() == Some(tag)
            });
            let released = self.disk.released(self.transaction, subject);
            assert!(begun.count() <= released, "a {tag} leaves that is not on record");
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn run(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let mut stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let identity = [IdentitySource::LasKey, IdentitySource::Pgn, IdentitySource::EckId]
        [usize::from(bytes.arbitrary().unwrap_or(0u8)) % 3];
    let lines = Lines::draw(&mut bytes);
    let mut writer = Writer {
        bytes: &mut bytes,
        out: String::new(),
        sites: Vec::new(),
        values: BTreeMap::new(),
        keys: Vec::new(),
        own: None,
    };
    writer.document();
    let Writer { out: document, sites, values, .. } = writer;

    let folder = stage.home.path().join("agreements");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("a.toml"), lines.text()).expect("a file");
    stage.config.agreements =
        Agreements::load(&folder, &["99DE"], &["noordzee"]).unwrap_or_else(|problems| panic!("{problems:?}"));
    Arc::get_mut(&mut stage.config.schools[0]).expect("nobody else has it").identity = identity;
    let (log, disk) = stage.log();
    let ledger = Ledger::reading(Path::new("/nonexistent"));
    let transaction = Uuid::now_v7();
    let delivery = {
        let asked = Asked {
            school: &stage.config.schools[0],
            dependance: None,
            recipient: stage.config.recipient("noordzee").expect("it is configured"),
            expected: None,
            transaction,
            certificate: [0; 32],
        };
        Delivery::decide(&stage.config, &ledger, &asked, &stage.clock).expect("it is in force")
    };
    let mut receiver = Receiver { disk: &disk, transaction, out: Vec::new() };
    // What left is of interest however it ended.
    let Attempt { left, ended } = attempt(&delivery, &log, document.as_bytes(), None, &mut receiver);
    let whole = ended.is_ok();
    drop(ended);
    let out = String::from_utf8(receiver.out).expect("what leaves is UTF-8");

    let recorded = disk.recorded(transaction);
    let chunks = recorded.iter().filter(|(leaf, _)| leaf.kind == LeafKind::Disclosure).count();
    assert_eq!(chunks, left.chunks as usize);
    search(&out, &sites, &lines);
    if !whole {
        return;
    }
    let released = |subject| disk.released(transaction, subject) as u64;
    assert_eq!(released(Subject::Leerling), left.summary.released);
    if !out.is_empty() {
        let parsed =
            Document::parse(&out).unwrap_or_else(|error| panic!("what left is not well-formed: {error}"));
        let second = Second::read(&parsed);
        assert!(second.unknown.is_empty(), "something left that the catalogue does not know");
        let persons = |name: &str| {
            let kind = catalogue().record_named(name).index();
            second
                .seen
                .iter()
                .filter(|seen| matches!(seen, Seen::Record(record, _) if *record == kind))
                .count() as u64
        };
        assert_eq!(persons("leerling"), released(Subject::Leerling));
        assert_eq!(persons("leerkracht"), released(Subject::Leerkracht));
        for seen in &second.seen {
            if let Seen::Field { field, value, .. } = seen {
                let field = &catalogue().fields()[*field];
                allowed(field, value, &lines, &values);
            }
        }
    }
}

/// Whether a value may stand in a field that left.
fn allowed(field: &Field, value: &str, lines: &Lines, values: &BTreeMap<FieldId, BTreeSet<String>>) {
    let name = &field.name;
    let kind = catalogue().record(field.record);
    let hexadecimal = |text: &str| text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let planted = || {
        let planted = values.get(&field.id).into_iter().flatten();
        planted.filter_map(|planted| field.form.strict(planted.trim())).any(|planted| planted == value)
    };
    if value.is_empty() || field.constant.as_deref() == Some(value) {
        return;
    }
    if field.sensitivity == Sensitivity::Addressing {
        // A school year that is not said is that of the date that is.
        let told = field.form.pattern == Some(Pattern::Schooljaar) && field.form.strict(value).is_some();
        let own = value == "99DE" || value == "00";
        return assert!(planted() || told || own, "{name} holds something else than was given");
    }
    if kind.eckid == Some(field.id) || field.kind == Kind::Eckid {
        if lines.domain == "pass-eckid" {
            return assert!(planted(), "{name} is not the ECK iD that was given");
        }
        let (_, digits) = value.rsplit_once('/').unwrap_or_default();
        return assert!(hexadecimal(digits) && !planted(), "{name} left as it was");
    }
    if field.kind == Kind::Key {
        let covered = kind.key == Some(field.id) || lines.release.contains_key(&field.id);
        assert!(covered, "{name} left without a line");
        let token = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'));
        return assert!(token && matches!(value.len(), 64 | 256) && !planted(), "{name} left as it was");
    }
    let Some(treatment) = lines.release.get(&field.id) else { panic!("{name} left without a line") };
    let shape = match treatment {
        Treatment::Initial => value.chars().count() <= 4 && value.ends_with('.'),
        Treatment::Month => value.len() == 10 && value.ends_with("-01"),
        Treatment::Pass => planted(),
        Treatment::Pc4 => value.len() == 6 && value.ends_with("XX"),
        Treatment::Pseudonym => hexadecimal(value) && !planted(),
        Treatment::Year => value.len() == 10 && value.ends_with("-01-01"),
    };
    assert!(shape, "{name} left otherwise than {treatment:?}");
}

/// Looks for all that was planted.
fn search(out: &str, sites: &[Site], lines: &Lines) {
    let may = |site: usize| {
        let Site { field, never } = sites[site];
        let passes = |field: FieldId| {
            let addressing = catalogue().field(field).sensitivity == Sensitivity::Addressing;
            addressing || lines.release.get(&field) == Some(&Treatment::Pass)
        };
        let key = field.is_some_and(|field| catalogue().field(field).kind == Kind::Key);
        !never && !key && field.is_some_and(passes)
    };
    let named =
        |site: usize| sites[site].field.map_or("no field", |field| catalogue().field(field).name.as_str());
    for (at, _) in out.match_indices(WORD) {
        let letters =
            out.as_bytes().get(at + WORD.len()..at + WORD.len() + 3).expect("a word is planted whole");
        let site = letters.iter().fold(0, |site, letter| site * 26 + usize::from(letter - b'a'));
        assert!(may(site), "a word of {} left", named(site));
    }
    // Digits of any script and spelling, as one reads them.
    let plain = plain(out);
    for site in 0..sites.len() {
        if !may(site) {
            assert!(!plain.contains(&bsn(site)), "a number of {} left", named(site));
            assert!(!out.contains(&format!("K{:05}", 10_000 + site)), "a key of {} left", named(site));
        }
    }
}

fn plain(text: &str) -> String {
    // In a few million pseudonyms any nine digits turn up.
    let parts = text.split_inclusive(|c: char| !c.is_ascii_hexdigit());
    let mut text: String = parts.filter(|part| part.len() <= 16).collect();
    for _ in 0..3 {
        for digit in 0..10 {
            text = text.replace(&format!("%3{digit}"), &digit.to_string());
        }
    }
    let ascii = |c: char| match c {
        '\u{FF10}'..='\u{FF19}' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
        c => c,
    };
    // What is between elements parts what is in them.
    text.chars().map(ascii).filter(|&c| !matches!(c, ' ' | '.' | '-')).collect()
}
