//! What is counted. Labels come from enums, so that nothing of a message can become one, and start at 0.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::{
    fault::FaultCode,
    ingress::Operation,
    las::LasError,
    minimise::{Event, Summary},
};

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeOutcome {
    /// Broke off after something had left, or for a fault on our side or the LAS's.
    Failed,
    /// Refused before anything left.
    Refused,
    /// Handed over whole.
    Sent,
}

impl ExchangeOutcome {
    const ALL: [Self; 3] = [Self::Failed, Self::Refused, Self::Sent];

    /// A bounded label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Sent => "sent",
        }
    }
}

/// What an exchange is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// Notices of corrections, erasures and restrictions.
    Notices,
    /// An operation of the UWLR standard.
    Uwlr(Operation),
}

impl Matter {
    /// A bounded label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Notices => "notices",
            Self::Uwlr(operation) => operation.as_str(),
        }
    }
}

/// Why a connection came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionRefusal {
    /// More connections with one client certificate than `limits.connections_per_certificate`.
    Certificate,
    /// A request that is ambiguous, that is no HTTP of version 1, or whose head is too large.
    Framing,
    /// No TLS, no client certificate, an unknown or an expired one.
    Handshake,
}

impl ConnectionRefusal {
    const ALL: [Self; 3] = [Self::Certificate, Self::Framing, Self::Handshake];

    fn label(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Framing => "framing",
            Self::Handshake => "handshake",
        }
    }
}

/// All metrics of the process.
pub struct Metrics {
    exchanges: IntCounterVec,
    refusals: IntCounterVec,
    pupils: IntCounterVec,
    events: IntCounterVec,
    las_errors: IntCounterVec,
    webhooks: IntCounterVec,
    connection_refusals: IntCounterVec,
    /// Requests about a school that is not in the configuration.
    pub school_unknown: IntCounter,
    /// Parts that a feed never held before.
    pub drift: IntCounter,
    agreements_ending: IntGaugeVec,
    /// Connections open.
    pub connections: IntGauge,
    /// Bytes of answers and results handed over.
    pub bytes_out: IntCounter,
    /// Seconds an exchange took.
    pub exchange_seconds: Histogram,
    /// Whether the last reload of the configuration succeeded.
    pub reload_success: IntGauge,
    /// Records of the log.
    pub log_records: IntGauge,
    /// Rows of the log.
    pub log_rows: IntGauge,
    /// Syncs of the log.
    pub log_commits: IntGauge,
    /// Whether the log can be written.
    pub log_writable: IntGauge,
}

impl Metrics {
    /// Registers all of them.
    ///
    /// # Errors
    ///
    /// When the registry has one of these names already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let bytes_out =
            IntCounter::new("sluis_bytes_out_total", "Bytes handed over on record, whole or not")?;
        registry.register(Box::new(bytes_out.clone()))?;
        let school_unknown = IntCounter::new(
            "sluis_school_unknown_total",
            "Requests about a school that is not in the configuration",
        )?;
        registry.register(Box::new(school_unknown.clone()))?;
        let help = "Agreements in force that end within so many days, with none to follow";
        let agreements_ending = IntGaugeVec::new(Opts::new("sluis_agreements_ending", help), &["days"])?;
        registry.register(Box::new(agreements_ending.clone()))?;
        let drift = IntCounter::new("sluis_drift_total", "Parts that a feed never held before")?;
        registry.register(Box::new(drift.clone()))?;
        let buckets = prometheus::exponential_buckets(0.001, 2.5, 12)?;
        let options =
            HistogramOpts::new("sluis_exchange_seconds", "From request to outcome, successful or not");
        let exchange_seconds = Histogram::with_opts(options.buckets(buckets))?;
        registry.register(Box::new(exchange_seconds.clone()))?;
        let build = IntGaugeVec::new(
            Opts::new("sluis_build_info", "Always 1; the version is in the label"),
            &["version"],
        )?;
        registry.register(Box::new(build.clone()))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            exchanges: counters(
                "sluis_exchanges_total",
                "Exchanges, by operation and how they ended",
                &["operation", "outcome"],
            )?,
            refusals: counters(
                "sluis_refusals_total",
                "Requests refused before anything left, by UWLR fault code",
                &["reason"],
            )?,
            pupils: counters(
                "sluis_pupils_total",
                "Pupils of whom something left, or nothing did",
                &["outcome"],
            )?,
            events: counters("sluis_events_total", "What was noticed in documents, by kind", &["kind"])?,
            las_errors: counters(
                "sluis_las_errors_total",
                "Failed calls to pupil administrations, by kind",
                &["kind"],
            )?,
            webhooks: counters(
                "sluis_webhook_notices_total",
                "Notices brought to recipients, by whether they were taken",
                &["outcome"],
            )?,
            connection_refusals: counters(
                "sluis_connection_refusals_total",
                "Connections that came to nothing, by reason",
                &["reason"],
            )?,
            connections: gauge("sluis_connections", "Connections open")?,
            bytes_out,
            drift,
            agreements_ending,
            school_unknown,
            exchange_seconds,
            reload_success: gauge(
                "sluis_config_last_reload_success",
                "1 when the last load of the configuration succeeded",
            )?,
            log_records: gauge("sluis_log_records", "Records written to the disclosure log since start")?,
            log_rows: gauge("sluis_log_rows", "Rows written to the disclosure log since start")?,
            log_commits: gauge("sluis_log_commits", "Syncs of the disclosure log since start")?,
            log_writable: gauge("sluis_log_writable", "1 when the disclosure log can be written")?,
        };
        metrics.start_at_zero();
        Ok(metrics)
    }

    fn start_at_zero(&self) {
        for outcome in ExchangeOutcome::ALL {
            for operation in Operation::ALL {
                self.exchanges.with_label_values(&[operation.as_str(), outcome.label()]);
            }
            for other in [Matter::Notices.label(), "unknown"] {
                self.exchanges.with_label_values(&[other, outcome.label()]);
            }
        }
        for code in FaultCode::ALL {
            self.refusals.with_label_values(&[code.as_str()]);
        }
        for outcome in ["released", "withheld"] {
            self.pupils.with_label_values(&[outcome]);
        }
        for event in Event::ALL {
            self.events.with_label_values(&[event.label()]);
        }
        for error in LasError::ALL {
            self.las_errors.with_label_values(&[error.label()]);
        }
        for outcome in ["failed", "taken"] {
            self.webhooks.with_label_values(&[outcome]);
        }
        for refusal in ConnectionRefusal::ALL {
            self.connection_refusals.with_label_values(&[refusal.label()]);
        }
    }

    /// An exchange ended.
    pub fn exchange(&self, matter: Option<Matter>, outcome: ExchangeOutcome) {
        let operation = matter.map_or("unknown", Matter::label);
        self.exchanges.with_label_values(&[operation, outcome.label()]).inc();
    }

    /// A request was refused.
    pub fn refused(&self, code: FaultCode) {
        self.refusals.with_label_values(&[code.as_str()]).inc();
    }

    /// A document was disclosed, whole or not.
    pub fn disclosed(&self, summary: &Summary, bytes: u64) {
        self.pupils.with_label_values(&["released"]).inc_by(summary.released);
        self.pupils.with_label_values(&["withheld"]).inc_by(summary.withheld);
        for (event, times) in summary.events.iter() {
            self.events.with_label_values(&[event.label()]).inc_by(times);
        }
        self.bytes_out.inc_by(bytes);
    }

    /// So many agreements end within so many days.
    pub fn agreements_ending(&self, days: i64, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.agreements_ending.with_label_values(&[days.to_string()]).set(count);
    }

    /// A call to a pupil administration failed.
    pub fn las_failed(&self, error: LasError) {
        self.las_errors.with_label_values(&[error.label()]).inc();
    }

    /// A notice was brought, and taken or not.
    pub fn webhook(&self, taken: bool) {
        self.webhooks.with_label_values(&[if taken { "taken" } else { "failed" }]).inc();
    }

    /// A connection came to nothing.
    pub fn connection_refused(&self, refusal: ConnectionRefusal) {
        self.connection_refusals.with_label_values(&[refusal.label()]).inc();
    }
}
