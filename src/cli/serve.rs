//! `sluis serve`: the gateway and the operations port, until SIGTERM or SIGINT.
//!
//! Stopping goes in steps. `/ready` says no and each answer is the last on its connection; after `limits.drain_delay_ms`
//! nothing new is accepted; half of `limits.drain_ms` later idle connections are closed; at its end, or at a second
//! signal, what is still under way is cut and put on record as failed. A stop that was asked for is no failure of the
//! process, also where it cut: it ends with 0, as nginx and HAProxy do, and the log tells what was cut.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use prometheus::Registry;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::Instant,
};

use super::{ConfigFile, FAILED, report, supervisor};
use crate::{
    clock::Clock,
    config::{Config, Limits},
    control::{Control, Desk},
    disclosure::{Leaf, Log},
    gateway::Gateway,
    ingress::{
        handed::{self, Handed},
        listener::{Settings, serve},
    },
    metrics::Metrics,
    operations::Operations,
    policy::agreement::Agreement,
    review::{Review, ReviewUnavailable},
    shutdown::Shutdown,
    standing::Ledger,
    tls,
};

/// SIGXFSZ: a write would make a file larger than the process may. The same number on every Unix that Sluis runs on.
const FILE_TOO_LARGE: SignalKind = SignalKind::from_raw(25);
/// How often what stood long enough is let go of.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);
/// After a start, before the log is verified for the first time: then whoever waited has been served.
const SETTLED: Duration = Duration::from_secs(15 * 60);
/// For what was cut to write down how it ended.
const CUT: Duration = Duration::from_secs(4);
/// For threads to end, after that.
const THREADS: Duration = Duration::from_secs(1);

pub(super) fn run(file: &ConfigFile, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let config = file.load(clock.as_ref())?;
    let fail = |what: String| {
        eprintln!("{what}");
        ExitCode::from(FAILED)
    };
    tracing_subscriber::fmt()
        .json()
        .with_writer(io::stderr)
        // Nobody may be left to read it; to say that there of all places is to panic.
        .log_internal_errors(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SLUIS_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("sluis=info")),
        )
        .init();
    let Some(gateway) = &config.gateway else {
        return Err(fail(format!("{}: has no [gateway]; add one to serve", file.config.display())));
    };
    let (listen, tls) = (gateway.listen, Arc::clone(&gateway.tls));
    let handed = Handed::from_env().map_err(|error| fail(error.to_string()))?;
    let mut asked = vec!["gateway"];
    asked.extend(config.review.as_ref().map(|_| "review"));
    asked.extend(config.operations.map(|_| "operations"));
    handed.only(&asked).map_err(|error| fail(error.to_string()))?;
    // A thread that cannot be had is a panic in there, which then waits without end for those it did get.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(i32::from(FAILED));
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Pages of the review app wait on threads of their own: none is taken from an exchange.
        .max_blocking_threads(config.limits.exchanges * 2 + 64)
        .build()
        .map_err(|error| fail(format!("the runtime cannot be started ({})", error.kind())))?;
    {
        // Left alone it kills the process in the middle of a write. With a handler, which stays when this is dropped,
        // the write fails like any other, and the log refuses what it cannot put on record.
        let _entered = runtime.enter();
        let _ = signal(FILE_TOO_LARGE)
            .map_err(|error| fail(format!("signals cannot be had ({})", error.kind())))?;
    }
    std::panic::set_hook(Box::new(|panic| {
        // Its own words may quote what it stumbled over.
        let at = panic.location().map(|at| format!("{}:{}", at.file(), at.line()));
        tracing::error!(at, "a fault in sluis itself; please report it");
        // One exchange must not take others down; but a runtime that cannot wake whoever waits lets all of them wait.
        let driver = |file: &str| file.contains("/tokio-1.") && file.contains("/runtime/io/");
        if panic.location().is_some_and(|at| driver(at.file())) {
            std::process::abort();
        }
    }));
    let log = Log::open(config.log_site(), Arc::clone(clock))
        .map_err(|error| fail(format!("{}: {error}", config.data.display())))?;
    let ledger = Arc::new(Ledger::of(log.clone()));
    ledger.check(&config).map_err(|error| fail(format!("{}: {error}", config.data.display())))?;
    let desk = || Desk {
        data: config.data.clone(),
        log: log.clone(),
        ledger: Arc::clone(&ledger),
        clock: Arc::clone(clock),
    };
    // Commands beside this process ask it for what only the holder of the log can do.
    let control = Control::open(&config.data, desk());
    if let Err(error) = &control {
        tracing::warn!(reason = %error.kind(), "commands beside this process cannot reach it: the path of `data` may be too long");
    }
    let (clerk, keys, agreements) = (desk(), config.keys.in_force(), config.agreements.all().to_vec());
    runtime.spawn_blocking(move || put_on_record(&clerk, keys, &agreements));
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).map_err(|_| fail("metrics cannot be registered".into()))?;
    let review = config.review.as_ref().map(|review| (review.listen, Arc::clone(&review.tls)));
    let parts = Parts {
        started: Started {
            data: config.data.clone(),
            listen,
            review: review.as_ref().map(|(listen, _)| *listen),
            accounts: config.review.as_ref().map(|review| review.accounts.clone()),
            operations: config.operations,
            limits: config.limits.clone(),
        },
        tls: Arc::new(ArcSwap::new(tls)),
        review_tls: review.map(|(_, tls)| Arc::new(ArcSwap::new(tls))),
        metrics: Arc::new(metrics),
        registry,
        shutdown: Shutdown::new(),
        log: log.clone(),
        ledger: Arc::clone(&ledger),
    };
    let gateway = Arc::new(Gateway::new(
        config,
        log.clone(),
        ledger,
        Arc::clone(&parts.metrics),
        Arc::clone(clock),
        parts.shutdown.clone(),
    ));
    let served = runtime.block_on(Arc::new(parts).serve(handed, &gateway, file, clock));
    // Exchanges that were cut leave their threads behind; they end when their channels do.
    runtime.shutdown_timeout(THREADS);
    drop(gateway);
    drop(control);
    log.close();
    served.map_err(|error| fail(error.to_string()))
}

/// Says something on standard output. Whoever started the process may have stopped listening: that is no reason to stop.
fn say(what: &str) {
    let _ = writeln!(io::stdout(), "{what}");
}

/// The review app, and the task that ends when its listener has.
type ReviewServed = (Arc<Review>, JoinHandle<()>);

/// Where a listener is, with the port that it was given.
fn address_of(listener: &TcpListener, configured: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(configured)
}

/// What stays as it was at the start, whatever is reloaded.
struct Started {
    data: PathBuf,
    listen: SocketAddr,
    review: Option<SocketAddr>,
    accounts: Option<PathBuf>,
    operations: Option<SocketAddr>,
    limits: Limits,
}

impl Started {
    /// The settings that another configuration has changed without effect.
    fn differs(&self, config: &Config) -> Vec<&'static str> {
        let (was, is) = (&self.limits, &config.limits);
        [
            ("data", self.data != config.data),
            ("gateway.listen", config.gateway.as_ref().is_none_or(|gateway| gateway.listen != self.listen)),
            ("review.listen", self.review != config.review.as_ref().map(|review| review.listen)),
            (
                "review.accounts",
                self.accounts != config.review.as_ref().map(|review| review.accounts.clone()),
            ),
            ("operations.listen", self.operations != config.operations),
            ("limits.exchanges", was.exchanges != is.exchanges),
            ("limits.connections", was.connections != is.connections),
            (
                "limits.connections_per_certificate",
                was.connections_per_certificate != is.connections_per_certificate,
            ),
            ("limits.header_read_ms", was.header_read != is.header_read),
            // Of an answer it is taken at once, of the connection below it not.
            ("limits.send_idle_ms", was.send_idle != is.send_idle),
            ("limits.send_bytes_per_second", was.send_bytes_per_second != is.send_bytes_per_second),
            ("limits.drain_ms", was.drain != is.drain),
            ("limits.drain_delay_ms", was.drain_delay != is.drain_delay),
        ]
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect()
    }
}

/// What the process can be told while it serves.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.hangup.recv() => Told::Reload,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
        }
    }
}

enum Told {
    Reload,
    Stop,
}

/// Why it does not serve.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Listen(#[from] handed::Error),
    #[error("the review app cannot be started: {0}")]
    Review(#[from] ReviewUnavailable),
    #[error("signals cannot be had ({})", .0.kind())]
    Signals(io::Error),
}

struct Parts {
    started: Started,
    tls: Arc<ArcSwap<tls::Server>>,
    review_tls: Option<Arc<ArcSwap<tls::Server>>>,
    metrics: Arc<Metrics>,
    registry: Registry,
    shutdown: Shutdown,
    log: Log,
    ledger: Arc<Ledger>,
}

/// Keys and agreements that came into force while the log was in use or out of reach.
fn put_on_record(desk: &Desk, epochs: Vec<Leaf>, agreements: &[Arc<Agreement>]) {
    match desk.log.note_key_epochs(epochs) {
        Ok(()) => tracing::info!("keys in force are on record"),
        Err(error) => tracing::warn!(reason = %error, "keys in force could not be put on record"),
    }
    if let Err(error) = desk.activate_all(agreements) {
        tracing::warn!(reason = %error, "agreements in force could not be put on record");
    }
}

/// Lets go of what stood long enough.
fn let_go(desk: &Desk, config: &Config) {
    if let Err(error) = desk.let_go_by_itself(&config.schools, &config.terms) {
        tracing::warn!(reason = %error, "what stood long enough could not be let go of");
    }
}

impl Parts {
    fn desk(&self, clock: &Arc<dyn Clock>) -> Desk {
        Desk {
            data: self.started.data.clone(),
            log: self.log.clone(),
            ledger: Arc::clone(&self.ledger),
            clock: Arc::clone(clock),
        }
    }

    async fn serve(
        self: Arc<Self>,
        mut handed: Handed,
        gateway: &Arc<Gateway>,
        file: &ConfigFile,
        clock: &Arc<dyn Clock>,
    ) -> Result<(), Error> {
        let Started { listen, operations, ref limits, .. } = self.started;
        // Before anything is said: whoever reads that it listens may tell it to stop.
        let mut signals = Signals::new().map_err(Error::Signals)?;
        let settings = Settings {
            header_read: limits.header_read,
            connections: limits.connections,
            connections_per_certificate: limits.connections_per_certificate,
            send_idle: limits.send_idle,
            send_bytes_per_second: limits.send_bytes_per_second,
        };
        // The operations port outlives the drain, so that it can be watched.
        let operations_shutdown = Shutdown::new();
        let operations = match operations {
            None => None,
            Some(address) => {
                let listener = handed.listener("operations", address)?;
                say(&format!("operations on http://{}", address_of(&listener, address)));
                let handler = Arc::new(Operations::new(self.registry.clone(), Arc::clone(gateway)));
                let metrics = Arc::clone(&self.metrics);
                Some(tokio::spawn(serve(
                    listener,
                    None,
                    settings,
                    handler,
                    metrics,
                    operations_shutdown.clone(),
                )))
            }
        };
        let review = self.review(&mut handed, gateway, settings, file, clock)?;
        let listener = handed.listener("gateway", listen)?;
        say(&format!("gateway on https://{}/uwlr", address_of(&listener, listen)));
        let exchange = tokio::spawn(serve(
            listener,
            Some(Arc::clone(&self.tls)),
            settings,
            Arc::clone(gateway),
            Arc::clone(&self.metrics),
            self.shutdown.clone(),
        ));
        tokio::spawn(Arc::clone(gateway).bring_notices());
        supervisor::ready();
        self.until_told(&mut signals, gateway, review.as_ref().map(|(app, _)| app), file, clock).await;
        let ended = async {
            let _ = exchange.await;
            // Work whose supplier has gone has no connection any more.
            gateway.settled().await;
            // Browsers ask again by themselves.
            self.shutdown.hang_up();
            if let Some((_, served)) = review {
                let _ = served.await;
            }
        };
        self.stop(ended, &mut signals).await;
        operations_shutdown.stop();
        if let Some(operations) = operations {
            let _ = operations.await;
        }
        Ok(())
    }

    /// Stops step by step, until all has ended or was cut.
    async fn stop(&self, ended: impl Future<Output = ()>, signals: &mut Signals) {
        let Limits { drain, drain_delay, .. } = self.started.limits;
        let mut ended = std::pin::pin!(ended);
        self.shutdown.leave();
        supervisor::stopping(drain_delay + drain + CUT + THREADS);
        tracing::info!("draining");
        let drained = async {
            tokio::time::sleep(drain_delay).await;
            self.shutdown.drain();
            // A request that comes in on a connection that was idle still has half of the time.
            if tokio::time::timeout(drain / 2, ended.as_mut()).await.is_ok() {
                return true;
            }
            self.shutdown.hang_up();
            tokio::time::timeout(drain - drain / 2, ended.as_mut()).await.is_ok()
        };
        let drained = tokio::select! {
            drained = drained => drained,
            () = async { while !matches!(signals.next().await, Told::Stop) {} } => {
                tracing::warn!("told to stop once more");
                false
            }
        };
        if !drained {
            tracing::warn!("exchanges that did not end in time are cut");
            self.shutdown.stop();
            let _ = tokio::time::timeout(CUT, ended).await;
        }
    }

    /// The review app, where the configuration has one.
    fn review(
        self: &Arc<Self>,
        handed: &mut Handed,
        gateway: &Arc<Gateway>,
        settings: Settings,
        file: &ConfigFile,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<ReviewServed>, Error> {
        let state = gateway.state();
        let Some((own, tls)) = state.config().review.as_ref().zip(self.review_tls.clone()) else {
            return Ok(None);
        };
        let (parts, in_force, file) =
            (Arc::clone(self), Arc::clone(gateway), ConfigFile::at(file.config.clone()));
        let at = Arc::clone(clock);
        let reload = Box::new(move || parts.reload(&in_force, &file, &at));
        let app = Review::new(own, Arc::clone(gateway), self.desk(clock), reload)?;
        let app = Arc::new(app);
        let first = Arc::clone(&app);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = first.catch_up() {
                tracing::warn!(kind = %error.kind(), "the index of deliveries could not be made");
            }
        });
        let listener = handed.listener("review", own.listen)?;
        say(&format!("review on https://{}/", address_of(&listener, own.listen)));
        let (metrics, shutdown) = (Arc::clone(&self.metrics), self.shutdown.clone());
        let served =
            tokio::spawn(serve(listener, Some(tls), settings, Arc::new(Arc::clone(&app)), metrics, shutdown));
        Ok(Some((app, served)))
    }

    /// Takes the configuration as it is now into force, unless it is not in order; says whether it was.
    fn reload(&self, gateway: &Gateway, file: &ConfigFile, clock: &Arc<dyn Clock>) -> bool {
        supervisor::reloading();
        let taken = self.take(gateway, file, clock);
        supervisor::reloaded(taken);
        taken
    }

    fn take(&self, gateway: &Gateway, file: &ConfigFile, clock: &Arc<dyn Clock>) -> bool {
        let config = match Config::load(&file.config, clock.as_ref()) {
            Ok(config) => config,
            Err(problems) => {
                gateway.reload_failed();
                report(&problems);
                tracing::error!(
                    problems = problems.len(),
                    "the configuration in force stays: the new one is not in order"
                );
                return false;
            }
        };
        if let Some(gateway) = &config.gateway {
            self.tls.store(Arc::clone(&gateway.tls));
        }
        if let (Some(own), Some(tls)) = (&config.review, &self.review_tls) {
            tls.store(Arc::clone(&own.tls));
        }
        let unchanged = self.started.differs(&config);
        let (clerk, keys) = (self.desk(clock), config.keys.in_force());
        let agreements = config.agreements.all().to_vec();
        tokio::task::spawn_blocking(move || put_on_record(&clerk, keys, &agreements));
        gateway.reload(config);
        gateway.warn_of_endings();
        if !unchanged.is_empty() {
            let settings = unchanged.join(", ");
            tracing::warn!(settings, "changes that need a restart have no effect yet");
        }
        tracing::info!("configuration reloaded");
        true
    }

    /// Returns on SIGTERM or SIGINT; reloads on SIGHUP.
    async fn until_told(
        &self,
        signals: &mut Signals,
        gateway: &Arc<Gateway>,
        review: Option<&Arc<Review>>,
        file: &ConfigFile,
        clock: &Arc<dyn Clock>,
    ) {
        let mut daily = tokio::time::interval(DAILY);
        let mut verification = tokio::time::interval_at(Instant::now() + SETTLED, DAILY);
        loop {
            tokio::select! {
                _ = daily.tick() => {
                    gateway.warn_of_endings();
                    let (clerk, state) = (self.desk(clock), gateway.state());
                    tokio::task::spawn_blocking(move || let_go(&clerk, state.config()));
                }
                _ = verification.tick() => {
                    if let Some(review) = review {
                        review.verify(gateway.state().config());
                    }
                }
                told = signals.next() => match told {
                    Told::Reload => {
                        self.reload(gateway, file, clock);
                    }
                    Told::Stop => return,
                }
            }
        }
    }
}
