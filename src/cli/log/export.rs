//! `sluis log export`: the log for other tools.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::{
    answers::{
        Answers, Reading,
        export::{Extent, ldv::Register},
    },
    cli::{ConfigFile, FAILED, USAGE, report, who::find_school},
    clock::Clock,
    config::Config,
    las::{Collector, CollectorError},
    tls,
};

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// Folder of the log: `data` of the configuration
    data_dir: PathBuf,
    /// Lines of JSON, CSV, or Logboek Dataverwerkingen 1.0 as OTLP in JSON
    #[arg(long, value_enum)]
    format: Format,
    /// The configuration; when left out, the sluis.toml beside the folder or here
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    period: report::Period,
    /// BRIN of the school; all when left out
    #[arg(long, value_name = "BRIN")]
    school: Option<String>,
    /// Send it to this collector, at /v1/traces, instead of standard output
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
    /// The certificates the collector is known by, for https
    #[arg(long, value_name = "FILE", requires = "otlp")]
    ca: Option<PathBuf>,
    /// Address of the register of processing activities, before an activity's id
    #[arg(long, value_name = "URL")]
    register: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
    Ldv,
}

pub(super) fn run(arguments: &Arguments, clock: &Arc<dyn Clock>) -> Result<(), ExitCode> {
    let days = arguments.period.days()?;
    let ldv = arguments.format == Format::Ldv;
    if !ldv && (arguments.otlp.is_some() || arguments.register.is_some()) {
        return Err(usage("--otlp and --register go with --format ldv"));
    }
    let config = find_config(arguments)?.load(clock.as_ref())?;
    let same = |path: &Path| fs::canonicalize(path).ok();
    if same(&config.data).is_none() || same(&config.data) != same(&arguments.data_dir) {
        let what = format!("{}: is not the log of the configuration", arguments.data_dir.display());
        return Err(usage(&format!("{what}; name its `data` folder, or give another with --config")));
    }
    let school = arguments.school.as_deref();
    school.map(|brin| find_school(&config, brin)).transpose()?;
    let collector = arguments.otlp.as_deref().map(|url| collector(url, arguments, clock)).transpose()?;
    report::on_record(&config, Reading::Export, school, None, clock)?;
    let answers = Answers::open(&config).map_err(|error| report::unreadable(&error))?;
    let extent = Extent { days, school };
    let mut out = BufWriter::with_capacity(256 * 1024, io::stdout().lock());
    let done = match arguments.format {
        Format::Csv => answers.export_csv(&extent, &mut out),
        Format::Jsonl => answers.export_jsonl(&extent, &mut out),
        Format::Ldv => {
            let register = register(arguments, &config);
            let mut sent = 0;
            let done = answers.export_ldv(&extent, &register, &mut |request, spans| match &collector {
                None => writeln!(out, "{request}"),
                Some(collector) => {
                    collector.post(request, spans)?;
                    sent += spans;
                    Ok(())
                }
            });
            if collector.is_some() {
                eprintln!("{sent} spans taken by the collector");
            }
            done
        }
    };
    done.and_then(|()| out.flush()).map_err(|error| match error.get_ref() {
        Some(refused) if refused.is::<CollectorError>() => {
            eprintln!("--otlp: {refused}; nothing is sent again by itself: mend it and export anew, the ids are the same");
            ExitCode::from(FAILED)
        }
        _ if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(FAILED),
        _ => report::unreadable(&error),
    })
}

fn usage(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::from(USAGE)
}

/// The log is signed for when it is read, so its configuration has to be there.
fn find_config(arguments: &Arguments) -> Result<ConfigFile, ExitCode> {
    let beside = fs::canonicalize(&arguments.data_dir).ok();
    let beside = beside.as_deref().and_then(Path::parent).map(|folder| folder.join("sluis.toml"));
    let places = arguments.config.clone().map_or_else(
        || beside.into_iter().chain([PathBuf::from("sluis.toml")]).filter(|path| path.is_file()).collect(),
        |given| vec![given],
    );
    let found = places.into_iter().next();
    found.map(ConfigFile::at).ok_or_else(|| {
        usage("that the log is read is put on record, which takes its keys: name its configuration with --config")
    })
}

fn register(arguments: &Arguments, config: &Config) -> Register {
    let own = || format!("https://{}/verwerkingsactiviteiten", config.authority);
    Register::at(&arguments.register.clone().unwrap_or_else(own), &config.authority)
}

/// A collector, and what it takes to wait for it.
struct Posting {
    runtime: tokio::runtime::Runtime,
    collector: Collector,
}

fn collector(url: &str, arguments: &Arguments, clock: &Arc<dyn Clock>) -> Result<Posting, ExitCode> {
    let tls = match &arguments.ca {
        None => None,
        Some(ca) => Some(Arc::new(tls::client_config(ca, None, clock.as_ref()).map_err(|problems| {
            crate::cli::report(&problems);
            ExitCode::from(USAGE)
        })?)),
    };
    let collector = Collector::new(url, tls).map_err(|what| usage(&format!("--otlp: {what}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| usage(&format!("no runtime ({})", error.kind())))?;
    Ok(Posting { runtime, collector })
}

impl Posting {
    /// Posts a request and reads what became of it. Nothing is retried: a collector that rejected a part must not get
    /// it again, and whatever else went wrong is for people.
    fn post(&self, request: String, spans: usize) -> io::Result<()> {
        let answer = self.runtime.block_on(self.collector.post(request)).map_err(io::Error::other)?;
        let rejected = serde_json::from_slice::<Value>(&answer).ok().and_then(|answer| {
            let rejected = &answer["partialSuccess"]["rejectedSpans"];
            rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok())
        });
        match rejected {
            Some(rejected) if rejected > 0 => {
                Err(io::Error::other(CollectorError::Rejected { rejected, spans }))
            }
            _ => Ok(()),
        }
    }
}
