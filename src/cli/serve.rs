//! `sluis serve`: the gateway and the operations port, until SIGTERM or SIGINT.

use std::{io, process::ExitCode, sync::Arc};

use arc_swap::ArcSwap;
use prometheus::Registry;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::{ConfigFile, FAILED, report};
use crate::{
    clock::Clock,
    config::{Config, Limits},
    disclosure::{Leaf, Log},
    gateway::Gateway,
    ingress::listener::{Settings, serve},
    metrics::Metrics,
    operations::Operations,
    shutdown::Shutdown,
};

pub(super) fn run(file: &ConfigFile, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let config = file.load(clock.as_ref())?;
    let fail = |what: String| {
        eprintln!("{what}");
        ExitCode::from(FAILED)
    };
    tracing_subscriber::fmt()
        .json()
        .with_writer(io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SLUIS_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("sluis=info")),
        )
        .init();
    let Some(gateway) = &config.gateway else {
        return Err(fail(format!("{}: has no [gateway]; add one to serve", file.config.display())));
    };
    let (listen, tls) = (gateway.listen, Arc::clone(&gateway.tls));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(config.limits.exchanges * 2 + 16)
        .build()
        .map_err(|error| fail(format!("the runtime cannot be started ({})", error.kind())))?;
    let log = Log::open(config.log_site(), Arc::clone(clock))
        .map_err(|error| fail(format!("{}: {error}", config.data.display())))?;
    let epochs = (log.clone(), config.keys.in_force());
    runtime.spawn_blocking(move || put_on_record(&epochs.0, epochs.1));
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).map_err(|_| fail("metrics cannot be registered".into()))?;
    let parts = Parts {
        listen,
        operations: config.operations,
        limits: config.limits.clone(),
        tls: Arc::new(ArcSwap::new(tls)),
        metrics: Arc::new(metrics),
        registry,
        shutdown: Shutdown::new(),
        log: log.clone(),
    };
    let gateway = Arc::new(Gateway::new(
        config,
        log.clone(),
        Arc::clone(&parts.metrics),
        Arc::clone(clock),
        parts.shutdown.clone(),
    ));
    let served = runtime.block_on(parts.serve(&gateway, file, clock));
    // Exchanges that were cut leave their threads behind; they end when their channels do.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    drop(gateway);
    log.close();
    served.map_err(|error| fail(format!("cannot listen ({})", error.kind())))
}

struct Parts {
    listen: std::net::SocketAddr,
    operations: Option<std::net::SocketAddr>,
    limits: Limits,
    tls: Arc<ArcSwap<rustls::ServerConfig>>,
    metrics: Arc<Metrics>,
    registry: Registry,
    shutdown: Shutdown,
    log: Log,
}

/// Keys that came into force while the log was in use or out of reach.
fn put_on_record(log: &Log, epochs: Vec<Leaf>) {
    if let Err(error) = log.note_key_epochs(epochs) {
        tracing::warn!(reason = %error, "keys in force could not be put on record");
    }
}

impl Parts {
    async fn serve(
        self,
        gateway: &Arc<Gateway>,
        file: &ConfigFile,
        clock: &Arc<dyn Clock>,
    ) -> io::Result<()> {
        let settings =
            Settings { header_read: self.limits.header_read, connections: self.limits.connections };
        // The operations port outlives the drain, so that it can be watched.
        let operations_shutdown = Shutdown::new();
        let operations = match self.operations {
            None => None,
            Some(address) => {
                let listener = TcpListener::bind(address).await?;
                println!("operations on http://{}", listener.local_addr()?);
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
        let listener = TcpListener::bind(self.listen).await?;
        println!("gateway on https://{}/uwlr", listener.local_addr()?);
        let exchange = tokio::spawn(serve(
            listener,
            Some(Arc::clone(&self.tls)),
            settings,
            Arc::clone(gateway),
            Arc::clone(&self.metrics),
            self.shutdown.clone(),
        ));
        self.signals(gateway, file, clock).await?;
        self.shutdown.drain();
        tracing::info!("draining");
        let mut exchange = exchange;
        if tokio::time::timeout(self.limits.drain, &mut exchange).await.is_err() {
            tracing::warn!("exchanges that did not end in time are cut");
            self.shutdown.stop();
            let _ = exchange.await;
        }
        operations_shutdown.stop();
        if let Some(operations) = operations {
            let _ = operations.await;
        }
        Ok(())
    }

    /// Returns on SIGTERM or SIGINT; reloads on SIGHUP.
    async fn signals(
        &self,
        gateway: &Arc<Gateway>,
        file: &ConfigFile,
        clock: &Arc<dyn Clock>,
    ) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = hangup.recv() => {
                    match Config::load(&file.config, clock.as_ref()) {
                        Ok(config) => {
                            if let Some(gateway) = &config.gateway {
                                self.tls.store(Arc::clone(&gateway.tls));
                            }
                            let (log, epochs) = (self.log.clone(), config.keys.in_force());
                            tokio::task::spawn_blocking(move || put_on_record(&log, epochs));
                            gateway.reload(config);
                            tracing::info!("configuration reloaded");
                        }
                        Err(problems) => {
                            gateway.reload_failed();
                            report(&problems);
                            tracing::error!(problems = problems.len(), "the configuration in force stays: the new one is not in order");
                        }
                    }
                }
            }
        }
    }
}
