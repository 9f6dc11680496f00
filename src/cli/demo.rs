//! `sluis demo`: everything on loopback in one process, and what went in and came out side by side.
//!
//! Nothing is faked on the way: a pupil administration with TLS, the gateway with mutual TLS, two suppliers with
//! certificates of their own, a log on disk. Only the pupils are invented.

mod pupils;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use jiff::civil::Date;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{FAILED, USAGE, init, report};
use crate::{
    bridge::{Body, BodyReader, Patience, read_body},
    catalogue::{Field, catalogue},
    clock::Clock,
    config::Config,
    control::Desk,
    decode::{self, decode},
    disclosure::{Against, Leaf, LeafKind, Log, Position, Reader, Subject, rowfile::Located, verify},
    gateway::Gateway,
    ingress::{
        Operation,
        listener::{Handler, Settings, serve},
    },
    las::LasClient,
    metrics::Metrics,
    pseudonym::{Bsn, holds_elfproef_number},
    record::Record,
    review::{
        Review,
        account::{AccountError, Accounts, Factors, Passphrase, Role},
    },
    shutdown::Shutdown,
    standing::Ledger,
    tls::{self, Issued},
    token::Token,
};

/// Who looks at the log of the demonstration.
const ACCOUNT: &str = "demo-fg";
const SUPPLIERS: [&str; 2] = ["noordzee", "zuidzee"];

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// How many pupils the school has
    #[arg(long, default_value_t = 2500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=250_000))]
    pupils: u32,
    /// Stop after the exchanges, with status 0 only if all checks held
    #[arg(long)]
    exit: bool,
}

/// Why the demonstration could not be given.
#[derive(Debug)]
struct Trouble(String);

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self(error.kind().to_string())
    }
}

pub(super) fn run(arguments: &Arguments, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|_| ExitCode::from(FAILED))?;
    let home = Home::make().map_err(|error| {
        eprintln!("no temporary directory could be made ({})", error.kind());
        ExitCode::from(USAGE)
    })?;
    let given = runtime.block_on(demonstrate(arguments, &home.0, clock));
    runtime.shutdown_timeout(Duration::from_secs(5));
    match given {
        Ok(true) => Ok(()),
        Ok(false) => Err(ExitCode::from(FAILED)),
        Err(Trouble(what)) => {
            eprintln!("demo: {what}");
            Err(ExitCode::from(FAILED))
        }
    }
}

/// A directory that goes when the demonstration ends.
struct Home(PathBuf);

impl Home {
    fn make() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("sluis-demo-{}", Uuid::now_v7()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The pupil administration: one answer, ready.
struct DemoLas {
    answer: bytes::Bytes,
}

impl Handler for DemoLas {
    async fn handle(&self, _: Option<Arc<[u8]>>, request: Request<Incoming>) -> Response<Body> {
        let long = Duration::from_secs(10);
        let patience =
            Patience { idle: long, bytes_per_second: 1, until: tokio::time::Instant::now() + long };
        let _ = read_body(request.into_body(), 1 << 20, patience).await;
        let mut response = Response::new(Body::Full(self.answer.clone()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
        response
    }
}

/// What a supplier received.
struct Pulled {
    document: String,
    seconds: f64,
}

async fn demonstrate(arguments: &Arguments, home: &Path, clock: &Arc<dyn Clock>) -> Result<bool, Trouble> {
    let shutdown = Shutdown::new();
    let registry = Registry::new();
    let metrics =
        Arc::new(Metrics::new(&registry).map_err(|_| Trouble("metrics cannot be registered".into()))?);
    let source = pupils::answer(arguments.pupils as usize, clock.as_ref());
    let settings = Settings {
        header_read: Duration::from_secs(10),
        connections: 64,
        connections_per_certificate: 64,
        send_idle: Duration::from_secs(30),
        send_bytes_per_second: 1,
    };

    let las = TcpListener::bind("127.0.0.1:0").await?;
    let authorisations = write_home(home, las.local_addr()?, clock.as_ref())?;
    let certificate = tls::Identity {
        certificate: home.join("certs/gateway.pem"),
        private_key: home.join("certs/gateway.key"),
    };
    let problems = |problems: Vec<crate::problem::Problem>| {
        report(&problems);
        Trouble("the working directory is not in order".into())
    };
    let las_tls = tls::open_server_config(&certificate, clock.as_ref()).map_err(problems)?;
    let handler = Arc::new(DemoLas { answer: source.clone().into() });
    let tls = Arc::new(ArcSwap::from_pointee(las_tls));
    tokio::spawn(serve(las, Some(tls), settings, handler, Arc::clone(&metrics), shutdown.clone()));

    let config = Config::load(&home.join("sluis.toml"), clock.as_ref()).map_err(problems)?;
    let log = Log::open(config.log_site(), Arc::clone(clock)).map_err(|error| Trouble(error.to_string()))?;
    let tls = config.gateway.as_ref().map(|gateway| Arc::clone(&gateway.tls));
    let tls = tls.ok_or_else(|| Trouble("the configuration has no gateway".into()))?;
    let agreements = config.agreements.all().to_vec();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let ledger = Arc::new(Ledger::of(log.clone()));
    let desk = Desk {
        data: config.data.clone(),
        log: log.clone(),
        ledger: Arc::clone(&ledger),
        clock: Arc::clone(clock),
    };
    let gateway = Arc::new(Gateway::new(
        config,
        log.clone(),
        ledger,
        Arc::clone(&metrics),
        Arc::clone(clock),
        shutdown.clone(),
    ));
    let review = review(&gateway, desk, settings, &metrics, &shutdown).await?;
    let tls = Some(Arc::new(ArcSwap::new(tls)));
    let served = tokio::spawn(serve(listener, tls, settings, gateway, metrics, shutdown.clone()));

    println!("Sluis, demonstratie: een LAS, de gateway en twee leveranciers op deze machine.");
    println!("Basisschool De Sluis (99DE) heeft {} verzonnen leerlingen.\n", arguments.pupils);
    let mut pulled = BTreeMap::new();
    for supplier in SUPPLIERS {
        let request = request(&authorisations[supplier]);
        pulled.insert(supplier, pull(home, supplier, address, request, clock).await?);
    }
    log_settled(&log, pulled.len()).await;

    let before = records(&source)?;
    let after = [records(&pulled["noordzee"].document)?, records(&pulled["zuidzee"].document)?];
    side_by_side(&before, &after);
    for agreement in &agreements {
        let name = |id: &str| if id == "noordzee" { "Uitgeverij Noordzee" } else { "Zuidzee Toetsen" };
        withheld(&before, agreement, name(&agreement.recipient));
    }
    let entries = log_entries(&home.join("data"))?;
    show_log(&entries);
    let seconds: f64 = pulled.values().map(|pulled| pulled.seconds).sum();
    let total = f64::from(arguments.pupils) * 2.0;
    println!(
        "Snelheid: {total:.0} leerlingen in {seconds:.2} s over mutual TLS, elk op schrift: {:.0} per seconde.\n",
        total / seconds
    );

    let held = check(&before, &after, &pulled, &entries, arguments.pupils as usize);
    if !arguments.exit {
        println!("De gateway draait door op https://{address}/uwlr; werkmap {}.\n", home.display());
        println!(
            "De review-app, ingelogd als FG (één keer, binnen tien minuten; het certificaat is van deze demonstratie):"
        );
        println!("  {review}\n\nCtrl-C stopt.");
        let _ = tokio::signal::ctrl_c().await;
    }
    shutdown.hang_up();
    let _ = tokio::time::timeout(Duration::from_secs(5), served).await;
    shutdown.stop();
    drop(log);
    Ok(held)
}

/// The review app, and an address that logs a data protection officer in once.
async fn review(
    gateway: &Arc<Gateway>,
    desk: Desk,
    settings: Settings,
    metrics: &Arc<Metrics>,
    shutdown: &Shutdown,
) -> Result<String, Trouble> {
    let state = gateway.state();
    let own = state.config().review.as_ref();
    let own = own.ok_or_else(|| Trouble("the configuration has no review app".into()))?;
    let accounts = |error: AccountError| Trouble(error.to_string());
    let passphrase = Passphrase::generate().map_err(accounts)?;
    let factors = Factors::of(&passphrase).map_err(accounts)?;
    let account = Accounts::new(own.accounts.clone())
        .change(|roll| roll.add(ACCOUNT, Role::Fg, Vec::new(), factors).map(|account| account.id));
    let account = account.map_err(accounts)?;
    // Nothing of the demonstration changes while it runs.
    let reload = Box::new(|| false);
    let made = Review::for_demonstration(own, Arc::clone(gateway), desk, reload);
    let (app, once) = made.map_err(|error| Trouble(error.to_string()))?;
    let token = once.token(account).map_err(accounts)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let tls = Some(Arc::new(ArcSwap::new(Arc::clone(&own.tls))));
    let app = Arc::new(Arc::new(app));
    tokio::spawn(serve(listener, tls, settings, app, Arc::clone(metrics), shutdown.clone()));
    Ok(format!("https://{address}/eenmalig/{}", token.expose()))
}

/// Working directory with a second supplier; the autorisatie header of each supplier.
fn write_home(
    home: &Path,
    las: SocketAddr,
    clock: &dyn Clock,
) -> Result<BTreeMap<&'static str, String>, Trouble> {
    let ca = init::write_all(home, clock)?;
    let Issued { certificate, private_key } =
        ca.client("zuidzee.example").map_err(|_| Trouble("no certificate could be made".into()))?;
    init::put(&home.join("certs/zuidzee.pem"), &certificate, 0o644)?;
    init::put(&home.join("certs/zuidzee.key"), &private_key, 0o600)?;
    init::put(&home.join("secrets/zuidzee.toml"), &init::authorisation("Zuidzee")?, 0o600)?;
    let agreement = init::this_year(include_str!("demo/zuidzee.toml"), clock);
    init::put(&home.join("agreements/99DE-zuidzee-toetsmeter.toml"), &agreement, 0o644)?;
    let config = fs::read_to_string(home.join("sluis.toml"))?
        .replace("https://las.example/uwlr", &format!("https://{las}/uwlr"))
        + "\n[[recipient]]\nid   = \"zuidzee\"\nname = \"Zuidzee Toetsen\"\n\
           certificate = { subject_alt_name = \"zuidzee.example\" }\nauthorisation = \"secrets/zuidzee.toml\"\n";
    fs::remove_file(home.join("sluis.toml"))?;
    init::put(&home.join("sluis.toml"), &config, 0o644)?;
    let mut headers = BTreeMap::new();
    for supplier in SUPPLIERS {
        let secrets = fs::read_to_string(home.join(format!("secrets/{supplier}.toml")))?;
        let secrets: BTreeMap<String, String> =
            toml::from_str(&secrets).map_err(|_| Trouble("a secret cannot be read".into()))?;
        let parts = ["autorisatiesleutel", "klantcode", "klantnaam"];
        let header: String =
            parts.iter().map(|part| format!("<{part}>{}</{part}>", secrets[*part])).collect();
        headers.insert(supplier, header);
    }
    Ok(headers)
}

fn request(authorisation: &str) -> String {
    format!(
        "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Header>\
         <autorisatie xmlns=\"http://www.edustandaard.nl/leerresultaten/2/autorisatie\">{authorisation}</autorisatie>\
         </soapenv:Header><soapenv:Body>\
         <leerlinggegevens_verzoek xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens\">\
         <schooljaar/><brincode>99DE</brincode><xsdversie>2.2</xsdversie></leerlinggegevens_verzoek>\
         </soapenv:Body></soapenv:Envelope>"
    )
}

/// A supplier asks for its feed: to a supplier, Sluis is the pupil administration.
async fn pull(
    home: &Path,
    supplier: &str,
    gateway: SocketAddr,
    request: String,
    clock: &Arc<dyn Clock>,
) -> Result<Pulled, Trouble> {
    let identity = tls::Identity {
        certificate: home.join(format!("certs/{supplier}.pem")),
        private_key: home.join(format!("certs/{supplier}.key")),
    };
    let tls = tls::client_config(&home.join("certs/ca.pem"), Some(&identity), clock.as_ref())
        .map_err(|_| Trouble("a supplier's certificate is not in order".into()))?;
    let url = format!("https://{gateway}/uwlr").parse().map_err(|_| Trouble("no address".into()))?;
    let limit = Duration::from_secs(60);
    let client = LasClient::new(url, Some(Arc::new(tls)), limit, limit);
    let began = Instant::now();
    let action = Operation::HaalLeerlinggegevens.soap_action();
    let answer = client.ask(action, &Uuid::now_v7().to_string(), request).await;
    let answer = answer.map_err(|error| Trouble(format!("{supplier} got no answer ({})", error.label())))?;
    let patience =
        Patience { idle: limit, bytes_per_second: 1, until: tokio::time::Instant::now() + limit * 10 };
    let mut body = BodyReader::new(answer.body, patience, 1 << 40, CancellationToken::new());
    let read = tokio::task::spawn_blocking(move || {
        let mut document = String::new();
        body.read_to_string(&mut document).map(|_| document)
    });
    let document = read.await.map_err(|_| Trouble("reading failed".into()))??;
    Ok(Pulled { document, seconds: began.elapsed().as_secs_f64() })
}

/// Outcomes are written just after a transfer has ended: a record of our own comes after them.
async fn log_settled(log: &Log, deliveries: usize) {
    for _ in 0..deliveries {
        let _ = log.note(Leaf::new(LeafKind::LogRead)).await;
    }
}

/// The records of a document, by the decoder that the gateway uses itself.
fn records(document: &str) -> Result<Vec<Record>, Trouble> {
    let mut current: Option<Record> = None;
    let mut all = Vec::new();
    let done: Result<(), decode::Error<()>> =
        decode(document.as_bytes(), None, &decode::Limits::default(), &mut |token: Token<'_>| {
            match (&mut current, token) {
                (Some(record), token) => {
                    if record.take(&token) {
                        all.extend(current.take());
                    }
                }
                (None, Token::Record(kind, node)) => current = Some(Record::new(kind, node)),
                (None, _) => {}
            }
            Ok(())
        });
    done.map_err(|_| Trouble("a document that was received cannot be read".into()))?;
    Ok(all)
}

fn pupils_of(records: &[Record]) -> impl Iterator<Item = &Record> {
    let leerling = catalogue().record_named("leerling");
    records.iter().filter(move |record| record.kind == leerling)
}

fn shown(record: Option<&Record>, field: &Field, width: usize) -> String {
    let value = record.and_then(|record| record.find(field.id)).unwrap_or_default();
    let value = if value.is_empty() { "–" } else { value };
    let count = value.chars().count();
    if count <= width {
        return format!("{value}{}", " ".repeat(width - count));
    }
    let tail: String = value.chars().skip(count - width / 3).collect();
    let head: String = value.chars().take(width - 1 - width / 3).collect();
    format!("{head}…{tail}")
}

fn side_by_side(before: &[Record], after: &[Vec<Record>; 2]) {
    let pupil = pupils_of(before).next();
    let [noordzee, zuidzee] = after.each_ref().map(|records| pupils_of(records).next());
    println!("Eén leerling, drie gezichten:\n");
    println!(
        "  {:22} {:28} {:32} {:32}",
        "veld", "in het LAS", "bij Uitgeverij Noordzee", "bij Zuidzee Toetsen"
    );
    let catalogue = catalogue();
    for &field in &catalogue.record(catalogue.record_named("leerling")).fields {
        let field = catalogue.field(field);
        let present =
            [pupil, noordzee, zuidzee].iter().flatten().any(|record| record.find(field.id).is_some());
        if present {
            let name = field.name.trim_start_matches("leerling.");
            let (las, north, south) =
                (shown(pupil, field, 28), shown(noordzee, field, 32), shown(zuidzee, field, 32));
            println!("  {name:22} {las} {north} {south}");
        }
    }
    println!();
}

fn withheld(before: &[Record], agreement: &crate::policy::agreement::Agreement, name: &str) {
    let Some(pupil) = pupils_of(before).next() else { return };
    let rulings = crate::policy::Rulings::compile(agreement);
    let kept: Vec<_> = pupil
        .items()
        .iter()
        .filter_map(|item| item.field)
        .filter(|&field| rulings.ruling(field) == crate::policy::Ruling::Withhold)
        .map(|field| catalogue().field(field).label.as_str())
        .collect();
    let file = agreement.file.file_name().unwrap_or_default().to_string_lossy();
    println!("Niet naar {name}: {}.", kept.join(", "));
    println!("  Reden: {file} noemt deze velden niet, en wat niet genoemd is, blijft binnen.\n");
}

/// The log as it is on disk: its leaves, and the rows of the school.
struct Entries {
    leaves: Vec<(Position, Leaf)>,
    rows: Vec<Located>,
}

fn log_entries(data: &Path) -> Result<Entries, Trouble> {
    verify(data, &Against::default(), &mut |_, _| {}).map_err(|error| Trouble(error.to_string()))?;
    let reader = Reader::open(data)?;
    let mut entries = Entries { leaves: Vec::new(), rows: Vec::new() };
    reader.leaves(Position(0), &mut |position, leaf| entries.leaves.push((position, leaf.clone())))?;
    reader.rows("99DE", &(Date::MIN..=Date::MAX), None, &mut |row| entries.rows.push(row))?;
    Ok(entries)
}

fn show_log(entries: &Entries) {
    let Some(Located { position, row, .. }) = entries.rows.first() else { return };
    let Some((_, leaf)) = entries.leaves.iter().find(|(at, _)| at == position) else { return };
    println!(
        "Op schrift voor er een byte vertrok (logregel {}, transactie {}):",
        position.0,
        Uuid::from_bytes(leaf.transaction)
    );
    println!(
        "  school {}, overeenkomst sha256 {}…",
        String::from_utf8_lossy(&leaf.controller).trim_end_matches('\0'),
        hex::encode(&leaf.agreement[..8])
    );
    println!("  {} leerlingen in dit blok, wortel {}…", leaf.rows, hex::encode(&leaf.inner_root[..8]));
    println!(
        "  de leerling hierboven: {} (geen naam, geen nummer), {} velden gegeven, {} onthouden\n",
        hex::encode(row.handle),
        row.released.count_ones(),
        row.withheld.count_ones()
    );
}

/// What must hold, said and checked.
fn check(
    before: &[Record],
    after: &[Vec<Record>; 2],
    pulled: &BTreeMap<&str, Pulled>,
    entries: &Entries,
    pupils: usize,
) -> bool {
    let catalogue = catalogue();
    let field = |name: &str| catalogue.field_named(name);
    let (eckid, key, bsn) = (field("leerling.eckid"), field("leerling.key"), field("leerling.bsn"));
    let secret: Vec<&str> = pupils_of(before)
        .flat_map(|pupil| [pupil.find(key), pupil.find(bsn)])
        .flatten()
        .filter(|value| value.len() >= 6)
        .collect();
    let texts: Vec<&str> = pulled.values().map(|pulled| pulled.document.as_str()).collect();
    let values: Vec<Vec<&str>> = after
        .iter()
        .map(|records| {
            let items =
                records.iter().flat_map(|record| record.items().iter().map(move |item| record.value(item)));
            items.filter(|value| value.len() < 64).collect()
        })
        .collect();
    let ids = |records: &[Record]| -> Vec<String> {
        pupils_of(records).filter_map(|pupil| pupil.find(eckid)).map(str::to_owned).collect()
    };
    let (north, south) = (ids(&after[0]), ids(&after[1]));
    let distinct: std::collections::HashSet<_> = north.iter().chain(&south).collect();
    let rows = entries.rows.iter().filter(|located| located.row.subject == Subject::Leerling).count();
    let numbers: std::collections::HashSet<&str> = secret.iter().copied().collect();
    let checks = [
        ("elke leerling kwam aan, bij beide leveranciers", north.len() == pupils && south.len() == pupils),
        (
            "elk pseudoniem is anders, ook dat van dezelfde leerling bij de ander",
            distinct.len() == 2 * pupils,
        ),
        (
            "geen BSN en geen leerlingnummer verliet de school",
            values.iter().flatten().all(|value| !numbers.contains(value) && Bsn::parse(value).is_err())
                && values.iter().flatten().all(|value| !holds_elfproef_number(value)),
        ),
        (
            "geen veld dat de overeenkomst niet noemt",
            texts.iter().all(|text| {
                !["<bsn>", "<emailadres>leerling", "<fotourl>", "<land>", "<postcodenl>"]
                    .iter()
                    .any(|tag| text.contains(tag))
            }),
        ),
        ("elke verstrekking staat per leerling op schrift", rows == 2 * pupils),
        (
            "het logboek is ongeschonden",
            entries.leaves.iter().filter(|(_, leaf)| leaf.kind == LeafKind::Outcome).count()
                == SUPPLIERS.len(),
        ),
    ];
    for (what, holds) in &checks {
        println!("  {} {what}", if *holds { "✓" } else { "✗" });
    }
    println!();
    checks.iter().all(|&(_, holds)| holds)
}
