//! What is counted. Labels come from enums, so that nothing of a message can become one, and start at 0.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::{
    expiry::Ending,
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
    /// A request with a compressed body.
    Compressed,
    /// A request whose end is ambiguous, or whose head is too large or none.
    Framing,
    /// No TLS, no client certificate, an unknown or an expired one, or none of it in time.
    Handshake,
    /// The head of a request was not there in time. So end connections that are kept open and not used, too.
    Late,
    /// A client certificate that was accepted and no longer is: expired, revoked, or of an authority that was dropped.
    Withdrawn,
}

impl ConnectionRefusal {
    const ALL: [Self; 6] =
        [Self::Certificate, Self::Compressed, Self::Framing, Self::Handshake, Self::Late, Self::Withdrawn];

    fn label(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Compressed => "compressed",
            Self::Framing => "framing",
            Self::Handshake => "handshake",
            Self::Late => "late",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Why a request came no further than the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// It waited as long as it may.
    Busy,
    /// As many with its certificate wait as may.
    CertificateQueueFull,
    /// Its client hung up while it waited.
    Gone,
    /// As many wait as may.
    QueueFull,
    /// Sluis takes no new work.
    Stopping,
    /// More requests with its certificate than `limits.requests_per_second_per_certificate`.
    TooManyRequests,
}

impl NotAdmitted {
    const ALL: [Self; 6] = [
        Self::Busy,
        Self::CertificateQueueFull,
        Self::Gone,
        Self::QueueFull,
        Self::Stopping,
        Self::TooManyRequests,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::CertificateQueueFull => "certificate_queue_full",
            Self::Gone => "gone",
            Self::QueueFull => "queue_full",
            Self::Stopping => "stopping",
            Self::TooManyRequests => "too_many_requests",
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
    not_admitted: IntCounterVec,
    /// Requests that wait for an exchange to end.
    pub queued: IntGauge,
    /// Seconds a request waited for that, whatever came of it.
    pub queued_seconds: Histogram,
    /// Requests about a school that is not in the configuration.
    pub school_unknown: IntCounter,
    /// Parts that a feed never held before.
    pub drift: IntCounter,
    agreements_ending: IntGaugeVec,
    expiry: IntGaugeVec,
    recipient_expiry: IntGaugeVec,
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
        let help = "When the first file of a kind ends by itself, in seconds since 1970: certificates, and revocation \
                    lists of which the next is due";
        let expiry = IntGaugeVec::new(Opts::new("sluis_expiry_timestamp_seconds", help), &["which"])?;
        registry.register(Box::new(expiry.clone()))?;
        let help = "When the first certificate ends that a recipient came with in the last day, in seconds since 1970";
        let name = "sluis_recipient_certificate_expiry_timestamp_seconds";
        let recipient_expiry = IntGaugeVec::new(Opts::new(name, help), &["recipient"])?;
        registry.register(Box::new(recipient_expiry.clone()))?;
        let drift = IntCounter::new("sluis_drift_total", "Parts that a feed never held before")?;
        registry.register(Box::new(drift.clone()))?;
        let seconds = |name: &str, help: &str| {
            let buckets = prometheus::exponential_buckets(0.001, 2.5, 12)?;
            let seconds = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(seconds.clone()))?;
            Ok::<_, prometheus::Error>(seconds)
        };
        let exchange_seconds =
            seconds("sluis_exchange_seconds", "From request to outcome, successful or not")?;
        let queued_seconds =
            seconds("sluis_queue_seconds", "How long requests waited for a place, whatever came of it")?;
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
            not_admitted: counters(
                "sluis_not_admitted_total",
                "Requests that came no further than the door, by reason",
                &["reason"],
            )?,
            queued: gauge("sluis_queue", "Requests that wait for an exchange to end")?,
            queued_seconds,
            connections: gauge("sluis_connections", "Connections open")?,
            bytes_out,
            drift,
            agreements_ending,
            expiry,
            recipient_expiry,
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
        for reason in NotAdmitted::ALL {
            self.not_admitted.with_label_values(&[reason.label()]);
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

    /// These files end by themselves. A kind of which there is none has no gauge: 0 would be long ago.
    pub fn endings(&self, endings: &[Ending]) {
        self.expiry.reset();
        for ending in endings {
            let gauge = self.expiry.with_label_values(&[ending.which.label()]);
            let until = ending.validity.until;
            gauge.set(if gauge.get() == 0 { until } else { until.min(gauge.get()) });
        }
    }

    /// The first certificate of a recipient ends then. Its id is a label: there are as many as the configuration has.
    pub fn recipient_ends(&self, recipient: &str, until: i64) {
        self.recipient_expiry.with_label_values(&[recipient]).set(until);
    }

    /// A recipient is there no more.
    pub fn recipient_gone(&self, recipient: &str) {
        let _ = self.recipient_expiry.remove_label_values(&[recipient]);
    }

    /// A call to a pupil administration failed.
    pub fn las_failed(&self, error: LasError) {
        self.las_errors.with_label_values(&[error.label()]).inc();
    }

    /// A notice was brought, and taken or not.
    pub fn webhook(&self, taken: bool) {
        self.webhooks.with_label_values(&[if taken { "taken" } else { "failed" }]).inc();
    }

    /// A request came no further than the door.
    pub fn not_admitted(&self, reason: NotAdmitted) {
        self.not_admitted.with_label_values(&[reason.label()]).inc();
    }

    /// A connection came to nothing.
    pub fn connection_refused(&self, refusal: ConnectionRefusal) {
        self.connection_refusals.with_label_values(&[refusal.label()]).inc();
    }
}
