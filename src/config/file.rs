//! `sluis.toml` as written, and checked.

mod parties;
mod reach;
mod review;

pub(crate) use reach::is_loopback;

use std::{
    collections::HashSet,
    fs,
    net::SocketAddr,
    ops::Range,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;
use toml::Spanned;
use zeroize::Zeroizing;

use self::{
    parties::{FileRecipient, FileSchool},
    review::FileReview,
};
use super::{Config, Gateway, Integrity, SchoolTerm, Terms, limits::FileLimits};
use crate::{
    catalogue::catalogue,
    clock::{Clock, amsterdam},
    disclosure::Retention,
    expiry::{Ending, Which},
    keys::{KeyRing, check_private},
    plausibility::Thresholds,
    policy::agreement::{After, Agreements},
    problem::{Lines, Problem, toml_problem},
    strict::{FilePath, Table, word},
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
struct FileSecret {
    secret: String,
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
            limits
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

    /// What `secret` is in a file that nobody else may read; an inner none where the file is no such file.
    fn one_secret(&mut self, path: &Path) -> Option<(PathBuf, Option<Zeroizing<String>>)> {
        let (path, text) = self.secret_text(path)?;
        let parsed: Option<FileSecret> = toml::from_str(&text).ok();
        Some((path, parsed.map(|parsed| Zeroizing::new(parsed.secret))))
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
}
