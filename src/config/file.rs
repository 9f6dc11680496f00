//! `sluis.toml` as written.

use std::{
    collections::HashSet,
    fs,
    net::{IpAddr, SocketAddr},
    ops::Range,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;
use serde::Deserialize;
use toml::Spanned;
use zeroize::Zeroizing;

use super::{
    Authorisation, ClientSecret, Config, Gateway, Integrity, Las, Limits, Oidc, Recipient, Review, School,
    SchoolTerm, SecondFactor, Terms, Webhook, WebhookSecret,
};
use crate::{
    catalogue::catalogue,
    clock::{Clock, amsterdam},
    disclosure::Retention,
    expiry::{Ending, Which},
    keys::{IdentitySource, KeyRing, check_private, is_brin},
    party::CertificateMatch,
    plausibility::Thresholds,
    policy::agreement::{After, Agreements},
    problem::{Lines, Problem, toml_problem},
    review::account::Accounts,
    strict::{FilePath, Table, filled, word},
    tls,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: FilePath,
    keys: FilePath,
    agreements: FilePath,
    gateway: Option<Table<FileGateway>>,
    review: Option<Table<FileReview>>,
    operations: Option<Table<FileListener>>,
    #[serde(default)]
    log: Table<FileLog>,
    #[serde(default)]
    retention: Table<FileRetention>,
    #[serde(default)]
    integrity: Table<FileIntegrity>,
    #[serde(default)]
    pseudonym: Table<FilePseudonym>,
    #[serde(default)]
    limits: Table<FileLimits>,
    #[serde(default)]
    school: Vec<Table<FileSchool>>,
    #[serde(default)]
    recipient: Vec<Table<FileRecipient>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileGateway {
    listen: Spanned<SocketAddr>,
    certificate: FilePath,
    private_key: FilePath,
    client_ca: FilePath,
    client_crl: Option<Spanned<Vec<FilePath>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileReview {
    listen: Spanned<SocketAddr>,
    certificate: Option<FilePath>,
    private_key: Option<FilePath>,
    accounts: Option<FilePath>,
    idle_minutes: Option<Spanned<u16>>,
    session_hours: Option<Spanned<u16>>,
    public_url: Option<Spanned<String>>,
    oidc: Option<Table<FileOidc>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOidc {
    issuer: Spanned<String>,
    client_id: Spanned<String>,
    client_secret: FilePath,
    ca: Option<FilePath>,
    scopes: Option<Spanned<Vec<String>>>,
    acr: Option<Spanned<Vec<String>>>,
    #[serde(default, deserialize_with = "word")]
    second_factor: SecondFactor,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileListener {
    listen: Spanned<SocketAddr>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FileLog {
    origin: Option<Spanned<String>>,
    copy: Option<FilePath>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FileRetention {
    detail_days: Option<Spanned<u16>>,
    rollup_days: Option<Spanned<u16>>,
    leaf_days: Option<Spanned<u16>>,
    rights_days: Option<Spanned<u16>>,
    drift_days: Option<Spanned<u16>>,
    #[serde(default)]
    term: Vec<Table<FileTerm>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTerm {
    what: Spanned<String>,
    category: Option<Spanned<String>>,
    months: u16,
    #[serde(deserialize_with = "word")]
    after: After,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FileIntegrity {
    changed_percent: Option<Spanned<u32>>,
    gone_percent: Option<Spanned<u32>>,
    fill_points: Option<Spanned<u32>>,
    from_pupils: Option<Spanned<u32>>,
    max_age_days: Option<Spanned<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FilePseudonym {
    authority: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSchool {
    brin: Spanned<String>,
    #[serde(deserialize_with = "filled")]
    name: String,
    dependance: Option<Spanned<String>>,
    schoolkey: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "word")]
    identity: IdentitySource,
    las: Option<Table<FileLas>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLas {
    url: Spanned<String>,
    ca: Option<FilePath>,
    authorisation: FilePath,
    client_certificate: Option<FilePath>,
    client_key: Option<FilePath>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRecipient {
    id: Spanned<String>,
    #[serde(deserialize_with = "filled")]
    name: String,
    certificate: Spanned<Table<FileCertificate>>,
    authorisation: Option<FilePath>,
    webhook: Option<Table<FileWebhook>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileWebhook {
    url: Spanned<String>,
    ca: Option<FilePath>,
    secret: FilePath,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSecret {
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCertificate {
    subject_alt_name: Option<String>,
    sha256: Option<String>,
    oin: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAuthorisation {
    autorisatiesleutel: String,
    klantcode: String,
    klantnaam: String,
}

/// One row per limit: its key, what it is when nothing is said, and its range.
macro_rules! limits {
    ($($key:ident = $default:expr, $low:expr, $high:expr;)*) => {
        #[derive(Deserialize, Default)]
        #[serde(deny_unknown_fields)]
        struct FileLimits { $($key: Option<Spanned<u64>>,)* }

        struct CheckedLimits { $($key: u64,)* }

        impl Limits {
            /// Each key of `[limits]`: what it is when nothing is said, the least and the most it can be.
            pub const KEYS: &[(&'static str, u64, u64, u64)] = &[$((stringify!($key), $default, $low, $high),)*];
        }

        impl FileLimits {
            fn check(&self, wrong: &mut dyn FnMut(Range<usize>, String, String)) -> CheckedLimits {
                CheckedLimits { $($key: match &self.$key {
                    None => $default,
                    Some(value) if ($low..=$high).contains(value.get_ref()) => *value.get_ref(),
                    Some(value) => {
                        let what = format!("limits.{} is out of range", stringify!($key));
                        wrong(value.span(), what, format!("choose from {} to {}", $low, $high));
                        $default
                    }
                },)* }
            }
        }
    };
}

limits! {
    depth = 32, 8, 256;
    name_bytes = 256, 32, 4096;
    attributes = 64, 8, 1024;
    text_bytes = 65_536, 1024, 16_777_216;
    total_bytes = 17_179_869_184, 65_536, 1_099_511_627_776_u64;
    request_bytes = 16_777_216, 65_536, 268_435_456;
    data_request_bytes = 262_144, 4096, 268_435_456;
    records = 2_000_000, 1, 100_000_000;
    record_bytes = 1_048_576, 16_384, 268_435_456;
    held_bytes = 524_288, 4096, 268_435_456;
    exchanges = 256, 1, 65_536;
    queue = 128, 0, 65_536;
    queue_per_certificate = 32, 1, 65_536;
    queue_ms = 5_000, 10, 600_000;
    connections = 1024, 1, 65_536;
    connections_per_certificate = 64, 1, 65_536;
    requests_per_second_per_certificate = 500, 1, 100_000;
    requests_burst_per_certificate = 5_000, 1, 1_000_000;
    exchange_ms = 1_800_000, 10, 86_400_000;
    las_connect_ms = 5_000, 10, 600_000;
    las_response_ms = 60_000, 10, 3_600_000;
    las_idle_ms = 30_000, 10, 3_600_000;
    las_bytes_per_second = 512, 1, 1_073_741_824;
    header_read_ms = 10_000, 10, 600_000;
    request_read_ms = 30_000, 10, 3_600_000;
    request_idle_ms = 5_000, 10, 3_600_000;
    request_bytes_per_second = 1024, 1, 1_073_741_824;
    send_idle_ms = 30_000, 10, 3_600_000;
    send_bytes_per_second = 1024, 1, 1_073_741_824;
    drain_ms = 30_000, 0, 3_600_000;
    drain_delay_ms = 0, 0, 600_000;
}

impl CheckedLimits {
    fn into_limits(self) -> Limits {
        let small = |value: u64| usize::try_from(value).expect("ranges fit the machine");
        let ms = Duration::from_millis;
        Limits {
            depth: small(self.depth),
            name_bytes: small(self.name_bytes),
            attributes: small(self.attributes),
            text_bytes: small(self.text_bytes),
            total_bytes: self.total_bytes,
            request_bytes: small(self.request_bytes),
            data_request_bytes: small(self.data_request_bytes),
            records: self.records,
            record_bytes: small(self.record_bytes),
            held_bytes: small(self.held_bytes),
            exchanges: small(self.exchanges),
            queue: small(self.queue),
            queue_per_certificate: small(self.queue_per_certificate),
            queued: ms(self.queue_ms),
            connections: small(self.connections),
            connections_per_certificate: small(self.connections_per_certificate),
            requests_per_second: self.requests_per_second_per_certificate,
            requests_burst: self.requests_burst_per_certificate,
            exchange: ms(self.exchange_ms),
            las_connect: ms(self.las_connect_ms),
            las_response: ms(self.las_response_ms),
            las_idle: ms(self.las_idle_ms),
            las_bytes_per_second: self.las_bytes_per_second,
            header_read: ms(self.header_read_ms),
            request_read: ms(self.request_read_ms),
            request_idle: ms(self.request_idle_ms),
            request_bytes_per_second: self.request_bytes_per_second,
            send_idle: ms(self.send_idle_ms),
            send_bytes_per_second: self.send_bytes_per_second,
            drain: ms(self.drain_ms),
            drain_delay: ms(self.drain_delay_ms),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        FileLimits::default().check(&mut |_, _, _| {}).into_limits()
    }
}

pub(super) fn load(path: &Path, clock: &dyn Clock) -> Result<Config, Vec<Problem>> {
    let text = fs::read_to_string(path).map_err(|error| {
        let mend = "make one with `sluis init DIR`, or give its path with --config";
        vec![Problem::new(path, format!("cannot be read ({})", error.kind()), mend)]
    })?;
    let file: File = toml::from_str(&text).map_err(|error| vec![toml_problem(path, &text, &error)])?;
    let mut check = Check {
        file: path,
        base: path.parent().unwrap_or(Path::new("")),
        lines: Lines::new(&text),
        clock,
        folders: HashSet::new(),
        endings: Vec::new(),
        problems: Vec::new(),
    };
    if amsterdam().is_none() {
        let what = "the time zone Europe/Amsterdam is unknown here, so no one can tell which day it is for an agreement";
        check.problems.push(Problem::new(path, what, "install tzdata"));
    }
    let config = check.config(file);
    match config {
        Some(config) if check.problems.is_empty() => Ok(config),
        _ => Err(check.problems),
    }
}

struct Check<'f> {
    file: &'f Path,
    base: &'f Path,
    lines: Lines,
    clock: &'f dyn Clock,
    /// Folders that were looked at.
    folders: HashSet<PathBuf>,
    endings: Vec<Ending>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, span: Range<usize>, what: impl Into<String>, mend: impl Into<String>) {
        self.problems.push(Problem::new(self.file, what, mend).at(self.lines.of(span.start)));
    }

    fn keep<T>(&mut self, result: Result<T, Vec<Problem>>) -> Option<T> {
        result.map_err(|problems| self.problems.extend(problems)).ok()
    }

    fn config(&mut self, file: File) -> Option<Config> {
        let limits = {
            let mut found = Vec::new();
            let limits = file.limits.check(&mut |span, what, mend| found.push((span, what, mend)));
            for (span, what, mend) in found {
                self.wrong(span, what, mend);
            }
            limits.into_limits()
        };
        let authority = self.authority(&file.pseudonym);
        let origin = self.origin(&file.log, &authority);
        let retention = self.retention(&file.retention);
        let terms = self.terms(&file.retention);
        let integrity = self.integrity(&file.integrity);
        let mut seen = HashSet::new();
        for listen in [
            file.gateway.as_ref().map(|gateway| &gateway.listen),
            file.review.as_ref().map(|review| &review.listen),
            file.operations.as_ref().map(|operations| &operations.listen),
        ]
        .into_iter()
        .flatten()
        {
            if listen.get_ref().port() != 0 && !seen.insert(*listen.get_ref()) {
                self.wrong(listen.span(), "another listener has this address", "give each a port of its own");
            }
        }
        if let Some(operations) = &file.operations
            && !operations.listen.get_ref().ip().is_loopback()
        {
            let mend = "listen on 127.0.0.1 or [::1], and have a proxy with TLS there for who is elsewhere";
            self.wrong(operations.listen.span(), "plain HTTP is accepted on loopback only", mend);
        }
        // What is declared counts for agreements, also where something else about it is wrong.
        let brins: Vec<String> = file.school.iter().map(|school| school.brin.get_ref().clone()).collect();
        let ids: Vec<String> =
            file.recipient.iter().map(|recipient| recipient.id.get_ref().clone()).collect();
        let brins: Vec<&str> = brins.iter().map(String::as_str).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        self.duplicates(&file);
        let schools: Vec<_> = file.school.into_iter().filter_map(|school| self.school(school.0)).collect();
        let recipients: Vec<_> = file.recipient.into_iter().filter_map(|one| self.recipient(one.0)).collect();
        self.same_certificates(&recipients);
        let keys_directory = self.base.join(&file.keys);
        let checkpoint_copy = match &file.log.copy {
            None => keys_directory.join("checkpoint"),
            Some(copy) => self.base.join(copy),
        };
        let (data, agreements) = (self.base.join(&file.data), self.base.join(&file.agreements));
        // In a sticky folder others cannot replace a file, but they can add one: here that is a key or an agreement.
        self.folder(&keys_directory, 0o022, 0);
        self.folder(&data, 0o022, 0);
        self.folder(&agreements, 0o002, 0);
        let keys = self.keep(KeyRing::load(&keys_directory, &brins));
        self.file(self.file);
        let agreements_directory = agreements;
        let agreements = self.keep(Agreements::load(&agreements_directory, &brins, &ids));
        for agreement in agreements.iter().flat_map(Agreements::all) {
            self.file(&agreement.file);
        }
        let gateway = match &file.gateway {
            None => Some(None),
            Some(gateway) => self.gateway(gateway).map(Some),
        };
        let review = match &file.review {
            None => Some(None),
            Some(review) => self.review(review, file.gateway.as_deref()).map(Some),
        };
        Some(Config {
            data,
            keys_directory,
            keys: keys?,
            agreements_directory,
            agreements: agreements?,
            gateway: gateway?,
            review: review?,
            operations: file.operations.map(|operations| operations.0.listen.into_inner()),
            authority,
            origin,
            checkpoint_copy,
            retention,
            terms,
            integrity,
            limits,
            schools,
            recipients,
            endings: std::mem::take(&mut self.endings),
        })
    }

    fn authority(&mut self, pseudonym: &FilePseudonym) -> String {
        const DEFAULT: &str = "sluis.example";
        let Some(authority) = &pseudonym.authority else { return DEFAULT.into() };
        let name = authority.get_ref().to_ascii_lowercase();
        let host = (1..=100).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
        if !host {
            self.wrong(authority.span(), "the authority is no host name", "write a host name of your own");
        } else if name == "ketenid.nl" || name.ends_with(".ketenid.nl") {
            let what =
                "pseudonyms of Sluis never stand under ketenid.nl, which belongs to the Nummervoorziening";
            self.wrong(authority.span(), what, "write a host name of your own");
        }
        name
    }

    /// The name of the log: c2sp.org/signed-note allows neither white space nor a plus sign in it.
    fn origin(&mut self, log: &FileLog, authority: &str) -> String {
        let Some(origin) = &log.origin else { return format!("{authority}/log") };
        let name = origin.get_ref();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/');
        if !(1..=128).contains(&name.len()) || !name.bytes().all(plain) {
            let mend = "write a name without scheme, such as sluis.example/log";
            self.wrong(origin.span(), "the origin is no name for a log", mend);
        }
        name.clone()
    }

    fn retention(&mut self, retention: &FileRetention) -> Retention {
        let default = Retention::default();
        let detail_days = self.days(&retention.detail_days, "detail_days", default.detail_days);
        let rollup_days = self.days(&retention.rollup_days, "rollup_days", default.rollup_days);
        let leaf_days =
            retention.leaf_days.is_some().then(|| self.days(&retention.leaf_days, "leaf_days", u16::MAX));
        let span =
            [&retention.rollup_days, &retention.detail_days].into_iter().flatten().map(Spanned::span).next();
        if let Some(span) = span.filter(|_| rollup_days < detail_days) {
            let what = "summaries would go before the rows they are made of";
            self.wrong(span, what, "choose retention.rollup_days no less than retention.detail_days");
        }
        if let Some(given) = retention.leaf_days.as_ref().filter(|_| leaf_days < Some(detail_days)) {
            let what = "leaves would go before the rows they answer for";
            self.wrong(given.span(), what, "choose retention.leaf_days no less than retention.detail_days");
        }
        Retention { detail_days, rollup_days, leaf_days }
    }

    /// A term in days.
    fn days(&mut self, given: &Option<Spanned<u16>>, key: &str, default: u16) -> u16 {
        match given {
            None => default,
            Some(days) if (31..=7320).contains(days.get_ref()) => *days.get_ref(),
            Some(days) => {
                self.wrong(days.span(), format!("retention.{key} is out of range"), "choose from 31 to 7320");
                default
            }
        }
    }

    fn terms(&mut self, retention: &FileRetention) -> Terms {
        let default = Terms::default();
        let rights_days = self.days(&retention.rights_days, "rights_days", default.rights_days);
        let drift_days = self.days(&retention.drift_days, "drift_days", default.drift_days);
        for Table(term) in &retention.term {
            let what = term.what.get_ref();
            if what.trim().is_empty() || what.chars().count() > 200 || what.contains(char::is_control) {
                self.wrong(term.what.span(), "what is kept is not said", "say it in one line");
            }
            let known = |id: &String| catalogue().categories().iter().any(|category| category.id == *id);
            if let Some(id) = term.category.as_ref().filter(|id| !known(id.get_ref())) {
                let ids: Vec<_> = catalogue().categories().iter().map(|known| known.id.as_str()).collect();
                let what = format!("there is no category {}", id.get_ref());
                self.wrong(id.span(), what, format!("choose from {}", ids.join(", ")));
            }
        }
        let school = retention.term.iter().map(|Table(term)| SchoolTerm {
            what: term.what.get_ref().clone(),
            category: term.category.as_ref().map(|id| id.get_ref().clone()),
            months: term.months,
            after: term.after,
        });
        Terms { rights_days, drift_days, school: school.collect() }
    }

    fn integrity(&mut self, integrity: &FileIntegrity) -> Integrity {
        let default = Thresholds::default();
        let mut number = |given: &Option<Spanned<u32>>, key: &str, low: u32, high: u32| {
            let given = given.as_ref()?;
            if !(low..=high).contains(given.get_ref()) {
                let what = format!("integrity.{key} is out of range");
                self.wrong(given.span(), what, format!("choose from {low} to {high}"));
                return None;
            }
            Some(*given.get_ref())
        };
        let small = |number: Option<u32>| number.and_then(|number| u8::try_from(number).ok());
        let changed_percent = small(number(&integrity.changed_percent, "changed_percent", 1, 100));
        let gone_percent = small(number(&integrity.gone_percent, "gone_percent", 1, 100));
        let fill_points = small(number(&integrity.fill_points, "fill_points", 1, 100));
        let from_pupils = number(&integrity.from_pupils, "from_pupils", 1, 20_000);
        let max_age_days = number(&integrity.max_age_days, "max_age_days", 1, 3660);
        let thresholds = Thresholds {
            changed_percent: changed_percent.unwrap_or(default.changed_percent),
            gone_percent: gone_percent.unwrap_or(default.gone_percent),
            fill_points: fill_points.unwrap_or(default.fill_points),
            from_pupils: from_pupils.unwrap_or(default.from_pupils),
        };
        Integrity { thresholds, max_age_days: max_age_days.and_then(|days| u16::try_from(days).ok()) }
    }

    fn gateway(&mut self, gateway: &FileGateway) -> Option<Gateway> {
        let identity = tls::Identity {
            certificate: self.base.join(&gateway.certificate),
            private_key: self.base.join(&gateway.private_key),
        };
        self.secret(&identity.private_key);
        let client_ca = self.base.join(&gateway.client_ca);
        self.file(&client_ca);
        let client_crl = gateway
            .client_crl
            .as_ref()
            .map_or_else(Vec::new, |lists| lists.get_ref().iter().map(|list| self.base.join(list)).collect());
        if let Some(none) = gateway.client_crl.as_ref().filter(|_| client_crl.is_empty()) {
            let mend = "name the files of the revocation lists, or remove it: then nothing is looked up";
            self.wrong(none.span(), "client_crl names no list", mend);
        }
        for list in &client_crl {
            self.file(list);
            self.endings.extend(Ending::of_revocations(list));
        }
        self.ends(Which::Gateway, &identity.certificate);
        self.ends(Which::ClientCa, &client_ca);
        let config = tls::server_config(&identity, &client_ca, &client_crl, self.clock);
        let tls = Arc::new(self.keep(config)?);
        Some(Gateway { listen: *gateway.listen.get_ref(), tls })
    }

    fn review(&mut self, review: &FileReview, gateway: Option<&FileGateway>) -> Option<Review> {
        let mut number = |given: &Option<Spanned<u16>>, key: &str, default: u16, high: u16| match given {
            None => default,
            Some(given) if (1..=high).contains(given.get_ref()) => *given.get_ref(),
            Some(given) => {
                let what = format!("review.{key} is out of range");
                self.wrong(given.span(), what, format!("choose from 1 to {high}"));
                default
            }
        };
        let idle = number(&review.idle_minutes, "idle_minutes", Review::IDLE_MINUTES, 60);
        let session = number(&review.session_hours, "session_hours", Review::SESSION_HOURS, 24);
        let pair = match (&review.certificate, &review.private_key) {
            (Some(certificate), Some(private_key)) => Some((certificate, private_key)),
            (None, None) => gateway.map(|gateway| (&gateway.certificate, &gateway.private_key)),
            _ => {
                let mend =
                    "give both certificate and private_key, or neither: then those of [gateway] are used";
                self.wrong(review.listen.span(), "half a certificate for the review app", mend);
                return None;
            }
        };
        let Some((certificate, private_key)) = pair else {
            let what = "the review app has no certificate";
            self.wrong(review.listen.span(), what, "give certificate and private_key in [review]");
            return None;
        };
        let identity = tls::Identity {
            certificate: self.base.join(certificate),
            private_key: self.base.join(private_key),
        };
        // What is wrong with the pair of the gateway is said there.
        let own = review.certificate.is_some();
        if own {
            self.secret(&identity.private_key);
            self.ends(Which::Review, &identity.certificate);
        }
        let tls = match tls::open_server_config(&identity, self.clock) {
            Err(_) if !own => None,
            config => self.keep(config),
        };
        let accounts = match &review.accounts {
            None => self.base.join("accounts.json"),
            Some(accounts) => self.base.join(accounts),
        };
        let public = self.public_url(review.public_url.as_ref());
        let oidc = match &review.oidc {
            None => None,
            Some(oidc) => Some(Arc::new(self.oidc(oidc, public.as_deref())?)),
        };
        self.secret(&accounts);
        let read = Accounts::new(accounts.clone()).check();
        self.keep(read.map_err(|problem| vec![problem]))?;
        let tls = tls?;
        Some(Review {
            listen: *review.listen.get_ref(),
            tls: Arc::new(tls),
            accounts,
            idle: Duration::from_secs(u64::from(idle) * 60),
            session: Duration::from_secs(u64::from(session) * 60 * 60),
            oidc,
        })
    }

    /// The address by which browsers know the review app, without a slash at its end. What is wrong with it is said.
    fn public_url(&mut self, given: Option<&Spanned<String>>) -> Option<String> {
        let text = given?.get_ref();
        let own = text.strip_suffix('/').unwrap_or(text);
        let url: Option<http::Uri> = own.parse().ok();
        let host = url.as_ref().filter(|url| url.scheme_str() == Some("https")).and_then(http::Uri::host);
        // An address and no more: cookies are of the whole host, and pages name one another from its root.
        let bare = own.get("https://".len()..).is_some_and(|rest| !rest.contains(['/', '?', '#', '@']));
        if host.is_none_or(str::is_empty) || !bare {
            let mend = "write what browsers show, such as https://sluis.example:8444, and no path";
            self.wrong(given?.span(), "review.public_url is no address of the review app", mend);
            return None;
        }
        Some(own.to_owned())
    }

    fn oidc(&mut self, oidc: &FileOidc, public: Option<&str>) -> Option<Oidc> {
        let before = self.problems.len();
        let (issuer, span) = (oidc.issuer.get_ref(), oidc.issuer.span());
        let plain = |url: &http::Uri| {
            let host = url.host().is_some_and(|host| !host.is_empty());
            host && !issuer.contains(['?', '#']) && !url.authority().is_some_and(|a| a.as_str().contains('@'))
        };
        let discovery = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovery: Option<http::Uri> = discovery.parse().ok().filter(plain);
        let tls = match (discovery.as_ref().map(|url| (url, url.scheme_str())), &oidc.ca) {
            (Some((_, Some("https"))), Some(ca)) => {
                let ca = self.base.join(ca);
                self.file(&ca);
                let config = tls::client_config(&ca, None, self.clock);
                self.keep(config).map(|config| Some(Arc::new(config)))
            }
            (Some((_, Some("https"))), None) => {
                let what = "nothing says whose certificate the identity provider has to show";
                let mend = "add `ca`: the PEM file of the authority that issued it, or of all that this machine trusts, such \
                            as /etc/ssl/certs/ca-certificates.crt";
                self.wrong(span, what, mend);
                None
            }
            (Some((url, Some("http"))), _) if is_loopback(url) => Some(None),
            (Some((_, Some("http"))), _) => {
                self.wrong(span, "plain HTTP is accepted on loopback only", "write https:// and add `ca`");
                None
            }
            _ => {
                let mend = "write it as the provider says it, such as https://idp.example/school; discovery is found under it";
                self.wrong(span, "review.oidc.issuer is no address", mend);
                None
            }
        };
        if public.is_none() {
            let what = "there is no address for the identity provider to send browsers back to";
            let mend = "give public_url in [review], and tell the provider <public_url>/inloggen/oidc/terug";
            self.wrong(oidc.issuer.span(), what, mend);
        }
        let words = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let client_id = oidc.client_id.get_ref();
        if !words(client_id, 256) {
            let mend = "write it as the provider gave it: 1 to 256 characters, no spaces";
            self.wrong(oidc.client_id.span(), "the client_id is none", mend);
        }
        for (key, given) in [("scopes", &oidc.scopes), ("acr", &oidc.acr)] {
            let Some(given) = given else { continue };
            let fits = |text: &String| words(text, 256) && (key == "acr" || !text.contains(['"', '\\']));
            if given.get_ref().len() > 16 || !given.get_ref().iter().all(fits) {
                let what = format!("review.oidc.{key} holds what is none");
                self.wrong(given.span(), what, "write at most 16 words, without spaces in them");
            }
        }
        let list = |given: &Option<Spanned<Vec<String>>>| {
            given.as_ref().map(|given| given.get_ref().clone()).unwrap_or_default()
        };
        if let Some(acr) = oidc.acr.as_ref().filter(|_| oidc.second_factor == SecondFactor::Idp) {
            let what = "acr is never looked at where second_factor = \"idp\"";
            self.wrong(acr.span(), what, "remove one of the two");
        }
        let client_secret = self.client_secret(oidc.client_secret.as_ref());
        if self.problems.len() > before {
            return None;
        }
        Some(Oidc {
            issuer: issuer.clone(),
            discovery: discovery?,
            tls: tls?,
            client_id: client_id.clone(),
            client_secret: client_secret?,
            scopes: list(&oidc.scopes),
            acr: list(&oidc.acr),
            second_factor: oidc.second_factor,
            redirect_uri: format!("{}{}", public?, crate::review::oidc::BACK),
        })
    }

    fn client_secret(&mut self, path: &Path) -> Option<ClientSecret> {
        let (path, text) = self.secret_text(path)?;
        let parsed: Option<FileSecret> = toml::from_str(&text).ok();
        let secret = parsed.map(|parsed| Zeroizing::new(parsed.secret));
        let secret = secret.filter(|secret| {
            (1..=512).contains(&secret.len()) && secret.bytes().all(|b| (b' '..=b'~').contains(&b))
        });
        if secret.is_none() {
            let mend = "write secret = \"…\", as the identity provider gave it, and nothing else";
            self.problems.push(Problem::new(path, "is no secret of a client", mend));
        }
        secret.map(ClientSecret)
    }

    fn school(&mut self, school: FileSchool) -> Option<Arc<School>> {
        if !is_brin(school.brin.get_ref()) {
            self.wrong(
                school.brin.span(),
                "the brin is none",
                "write two digits and two capitals, such as 99DE",
            );
        }
        if let Some(dependance) = &school.dependance {
            let digits = dependance.get_ref();
            if digits.len() != 2 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                self.wrong(dependance.span(), "the dependance is none", "write two digits, such as 00");
            }
        }
        if let Some(key) = &school.schoolkey {
            let text = key.get_ref();
            if text.trim() != text || !(1..=256).contains(&text.chars().count()) {
                let mend = "write the key as the LAS gives it: 1 to 256 characters, no spaces around it";
                self.wrong(key.span(), "the schoolkey is none", mend);
            }
        }
        let las = match school.las {
            None => None,
            Some(las) => Some(self.las(las.0)?),
        };
        Some(Arc::new(School {
            brin: school.brin.into_inner(),
            name: school.name,
            dependance: school.dependance.map(Spanned::into_inner),
            schoolkey: school.schoolkey.map(Spanned::into_inner),
            identity: school.identity,
            las,
        }))
    }

    fn las(&mut self, las: FileLas) -> Option<Las> {
        let before = self.problems.len();
        let span = las.url.span();
        let url: Option<http::Uri> = las.url.get_ref().parse().ok();
        let url =
            url.filter(|url| url.authority().is_some_and(|authority| !authority.as_str().contains('@')));
        let Some(url) = url else {
            self.wrong(span, "las.url is no address", "write it like https://las.example/uwlr");
            return None;
        };
        let identity = match (las.client_certificate, las.client_key) {
            (None, None) => None,
            (Some(certificate), Some(private_key)) => Some(tls::Identity {
                certificate: self.base.join(certificate),
                private_key: self.base.join(private_key),
            }),
            _ => {
                let mend = "give both client_certificate and client_key, or neither";
                self.wrong(span.clone(), "half a client certificate for the LAS", mend);
                None
            }
        };
        if let Some(identity) = &identity {
            self.secret(&identity.private_key);
            self.ends(Which::LasClient, &identity.certificate);
        }
        let tls = match (url.scheme_str(), las.ca) {
            (Some("https"), Some(ca)) => {
                let ca = self.base.join(ca);
                self.file(&ca);
                self.ends(Which::LasCa, &ca);
                let config = tls::client_config(&ca, identity.as_ref(), self.clock);
                self.keep(config).map(|config| Some(Arc::new(config)))
            }
            (Some("https"), None) => {
                let mend = "add `ca`: the PEM file of the authority that issued the LAS's certificate";
                self.wrong(span, "nothing says whose certificate the LAS has to show", mend);
                None
            }
            (Some("http"), _) if is_loopback(&url) => Some(None),
            (Some("http"), _) => {
                self.wrong(span, "plain HTTP is accepted on loopback only", "write https:// and add `ca`");
                None
            }
            _ => {
                self.wrong(
                    span,
                    "las.url is neither https nor http",
                    "write it like https://las.example/uwlr",
                );
                None
            }
        };
        let authorisation = self.authorisation(las.authorisation.as_ref());
        if self.problems.len() > before {
            return None;
        }
        Some(Las { url, tls: tls?, authorisation: authorisation? })
    }

    fn webhook(&mut self, webhook: &FileWebhook) -> Option<Webhook> {
        let before = self.problems.len();
        let span = webhook.url.span();
        let url: Option<http::Uri> = webhook.url.get_ref().parse().ok();
        let url =
            url.filter(|url| url.authority().is_some_and(|authority| !authority.as_str().contains('@')));
        let mend = "write it like https://noordzee.example/sluis";
        let tls = match (&url, &webhook.ca) {
            (Some(url), Some(ca)) if url.scheme_str() == Some("https") => {
                let ca = self.base.join(ca);
                self.file(&ca);
                self.ends(Which::WebhookCa, &ca);
                let config = tls::client_config(&ca, None, self.clock);
                self.keep(config).map(|config| Some(Arc::new(config)))
            }
            (Some(url), None) if url.scheme_str() == Some("https") => {
                let mend = "add `ca`: the PEM file of the authority that issued the webhook's certificate";
                self.wrong(span, "nothing says whose certificate the webhook has to show", mend);
                None
            }
            (Some(url), _) if url.scheme_str() == Some("http") && is_loopback(url) => Some(None),
            (Some(url), _) if url.scheme_str() == Some("http") => {
                self.wrong(span, "plain HTTP is accepted on loopback only", "write https:// and add `ca`");
                None
            }
            _ => {
                self.wrong(span, "webhook.url is no address", mend);
                None
            }
        };
        let secret = self.webhook_secret(webhook.secret.as_ref());
        if self.problems.len() > before {
            return None;
        }
        Some(Webhook { url: url?, tls: tls?, secret: secret? })
    }

    /// As Standard Webhooks write one: `whsec_` and 24 to 64 bytes in base64.
    fn webhook_secret(&mut self, path: &Path) -> Option<WebhookSecret> {
        let (path, text) = self.secret_text(path)?;
        let parsed: Option<FileSecret> = toml::from_str(&text).ok();
        let secret = parsed.map(|parsed| Zeroizing::new(parsed.secret));
        let bytes = secret
            .as_deref()
            .and_then(|secret| STANDARD.decode(secret.strip_prefix("whsec_")?).ok())
            .map(Zeroizing::new)
            .filter(|bytes| (24..=64).contains(&bytes.len()));
        if bytes.is_none() {
            let mend = "write secret = \"whsec_…\", with 24 to 64 random bytes in base64, and nothing else";
            self.problems.push(Problem::new(path, "is no secret of a webhook", mend));
        }
        bytes.map(|bytes| WebhookSecret(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The text of a file that nobody else may read.
    fn secret_text(&mut self, path: &Path) -> Option<(PathBuf, Zeroizing<String>)> {
        let path = self.base.join(path);
        self.secret(&path);
        if let Err(problem) = check_private(&path) {
            self.problems.push(problem);
            return None;
        }
        match fs::read_to_string(&path) {
            Ok(text) => Some((path, Zeroizing::new(text))),
            Err(error) => {
                let what = format!("cannot be read ({})", error.kind());
                self.problems.push(Problem::new(path, what, "restore the file"));
                None
            }
        }
    }

    /// A file of secrets: what is wrong with it is said without any of its text.
    fn authorisation(&mut self, path: &Path) -> Option<Authorisation> {
        let (path, text) = self.secret_text(path)?;
        let mend =
            "write autorisatiesleutel, klantcode and klantnaam, each of 1 to 64 characters, and nothing else";
        let parsed: FileAuthorisation = match toml::from_str(&text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let problem = Problem::new(path, "is no file of autorisatie", mend);
                let line = error.span().map(|span| Lines::new(&text).of(span.start));
                self.problems.push(match line {
                    Some(line) => problem.at(line),
                    None => problem,
                });
                return None;
            }
        };
        let FileAuthorisation { autorisatiesleutel, klantcode, klantnaam } = parsed;
        let authorisation = Authorisation {
            sleutel: Zeroizing::new(autorisatiesleutel),
            klantcode: Zeroizing::new(klantcode),
            klantnaam: Zeroizing::new(klantnaam),
        };
        let fits = |part: &str| (1..=64).contains(&part.chars().count());
        if !(fits(&authorisation.sleutel) && fits(&authorisation.klantcode) && fits(&authorisation.klantnaam))
        {
            self.problems.push(Problem::new(path, "a part of the autorisatie is empty or too long", mend));
            return None;
        }
        Some(authorisation)
    }

    fn recipient(&mut self, recipient: FileRecipient) -> Option<Arc<Recipient>> {
        let before = self.problems.len();
        let id = recipient.id.get_ref();
        let word = (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !word {
            let mend = "use lower-case letters, digits and hyphens";
            self.wrong(recipient.id.span(), "the id of a recipient is no such word", mend);
        }
        let span = recipient.certificate.span();
        let FileCertificate { subject_alt_name, sha256, oin } = recipient.certificate.into_inner().0;
        let certificate = match (subject_alt_name, sha256, oin) {
            (Some(name), None, None) if !name.is_empty() && !name.contains('*') => {
                Some(CertificateMatch::SubjectAltName(name.to_ascii_lowercase()))
            }
            (None, Some(digits), None) => {
                let mut bytes = [0; 32];
                // As openssl prints it, with a colon after each byte but the last, or the digits alone.
                let pairs: Vec<&str> = digits.split(':').collect();
                let shape =
                    pairs.len() == 1 || (pairs.len() == 32 && pairs.iter().all(|pair| pair.len() == 2));
                let read = shape.then(|| hex::decode_to_slice(pairs.concat(), &mut bytes).ok());
                read.flatten().map(|()| CertificateMatch::Sha256(bytes))
            }
            (None, None, Some(oin)) => {
                let shape =
                    oin.len() == 20 && oin.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
                shape.then_some(CertificateMatch::Oin(oin))
            }
            _ => None,
        };
        if certificate.is_none() {
            let mend = "give one of subject_alt_name (a DNS name), sha256 (64 hexadecimal digits), oin (20 characters)";
            self.wrong(span, "the certificate of a recipient cannot be recognised by this", mend);
        }
        let authorisation = match &recipient.authorisation {
            None => None,
            Some(path) => Some(self.authorisation(path.as_ref())?),
        };
        let webhook = match &recipient.webhook {
            None => None,
            Some(webhook) => Some(self.webhook(webhook)?),
        };
        if self.problems.len() > before {
            return None;
        }
        Some(Arc::new(Recipient {
            id: recipient.id.into_inner(),
            name: recipient.name,
            certificate: certificate?,
            authorisation,
            webhook,
        }))
    }

    /// The folder of a secret: whoever can write in it can put another secret in its place, whatever its own mode.
    fn secret(&mut self, path: &Path) {
        if let Some(folder) = path.parent() {
            self.folder(folder, 0o022, 0o1000);
        }
    }

    /// Refuses a folder in which more people can write than `mask` lets, unless it has one of the bits of `unless`.
    fn folder(&mut self, folder: &Path, mask: u32, unless: u32) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if !self.folders.insert(folder.to_owned()) {
            return;
        }
        // A folder that is not there is a problem of whoever reads it.
        let mode = fs::metadata(folder).map_or(0, |metadata| metadata.mode());
        if mode & mask != 0 && mode & unless == 0 {
            let what = format!("others may put files in it (mode {:04o})", mode & 0o7777);
            let mend = format!("run `chmod go-w {}`", folder.display());
            self.problems.push(Problem::new(folder, what, mend));
        }
    }

    /// Takes note of when a file of certificates ends; once, whoever else uses it for the same.
    fn ends(&mut self, which: Which, file: &Path) {
        if !self.endings.iter().any(|known| known.which == which && known.file == file) {
            self.endings.extend(Ending::of_certificates(which, file));
        }
    }

    /// Refuses a file that says who gets what, when others than its owner and group can change it.
    fn file(&mut self, file: &Path) {
        let mode = fs::metadata(file).map_or(0, |metadata| metadata.mode());
        if mode & 0o002 != 0 {
            let what = format!("others may change it (mode {:04o})", mode & 0o7777);
            self.problems.push(Problem::new(file, what, format!("run `chmod o-w {}`", file.display())));
        }
    }

    /// What stands twice where one is meant. Keys, agreements and the log know a school by its BRIN alone, so there
    /// is one `[[school]]` for each.
    fn duplicates(&mut self, file: &File) {
        for (index, school) in file.school.iter().enumerate() {
            let before = &file.school[..index];
            let brin = school.brin.get_ref();
            if before.iter().any(|other| other.brin.get_ref() == brin) {
                let what = format!("school {brin} is there twice");
                let mend = "keep one [[school]] for each BRIN; without `dependance` it stands for all its vestigingen";
                self.wrong(school.brin.span(), what, mend);
            }
            let same = |other: &&Table<FileSchool>| {
                other.schoolkey.as_ref().map(Spanned::get_ref)
                    == school.schoolkey.as_ref().map(Spanned::get_ref)
            };
            if let (Some(key), Some(other)) = (&school.schoolkey, before.iter().find(same)) {
                let what = format!("school {brin} has the schoolkey of {}", other.brin.get_ref());
                self.wrong(key.span(), what, "ask the LAS which key is whose; a key names one school");
            }
        }
        for (index, recipient) in file.recipient.iter().enumerate() {
            let id = recipient.id.get_ref();
            if file.recipient[..index].iter().any(|other| other.id.get_ref() == id) {
                let what = format!("recipient {id} is there twice");
                self.wrong(recipient.id.span(), what, "remove one of the [[recipient]] tables");
            }
        }
    }

    fn same_certificates(&mut self, recipients: &[Arc<Recipient>]) {
        for (index, recipient) in recipients.iter().enumerate() {
            let before = &recipients[..index];
            if before.iter().any(|o| o.id != recipient.id && o.certificate == recipient.certificate) {
                let what = format!("recipient {} has the certificate of another", recipient.id);
                self.problems.push(Problem::new(
                    self.file,
                    what,
                    "give each recipient a certificate of its own",
                ));
            }
        }
    }
}

/// Whether an address is of this machine.
pub(crate) fn is_loopback(url: &http::Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
