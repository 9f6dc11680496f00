//! Every system call of the process is made to fail, one at a time: while it serves, starts, reloads, stops, and while
//! `sluis minimise` reads a file.
//!
//! The matrix is generated: what is done is counted, call by call, and done again for every call of every kind and every
//! way to fail. `SLUIS_FAULTS=all cargo test --test it faults::calls -- --nocapture` for all of it; without, a
//! few places of each kind, and at each place another way.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sluis::{
    clock::{Clock, SystemClock},
    config::Config,
    disclosure::{Against, Leaf, LeafKind, Log, OutcomeStatus, verify},
};
use syscalls::Sysno;

use super::tracer::{Calls, Fails, Fault, Tracer, until_waiting, waiting};
use crate::{
    documents::feed,
    home::Home,
    planted::{NAME, NUMBERS, find},
    served::{ASK, FakeLas, Served, attribute, request, try_connect, write_xml},
};

/// What a call can be told.
const ERRORS: [Errno; 12] = [
    Errno::EIO,
    Errno::ENOSPC,
    Errno::EROFS,
    Errno::EDQUOT,
    Errno::EMFILE,
    Errno::ENOMEM,
    Errno::EACCES,
    Errno::ECONNRESET,
    Errno::EPIPE,
    Errno::ETIMEDOUT,
    Errno::EINTR,
    Errno::EAGAIN,
];
/// Times that what is done is counted: no two are alike.
const COUNTED: usize = 3;

/// Two chunks of pupils, each with what must not leave and must not be said.
pub(super) const PUPILS: usize = 300;
pub(super) const LIMITS: &str = "las_response_ms = 400\nlas_idle_ms = 800\nlas_connect_ms = 800\nheader_read_ms = 400\n\
                      request_read_ms = 400\nsend_idle_ms = 400\nexchanges = 4\n\
                      held_bytes = 4096\n";

/// A document with them.
pub(super) fn pupils() -> String {
    let pupils: String = (0..PUPILS)
        .map(|i| {
            format!(
                "<leerling key=\"{}\"><voornamen>{NAME}</voornamen><roepnaam>Jip</roepnaam><bsn>{}</bsn></leerling>",
                200_000 + i,
                NUMBERS[i % NUMBERS.len()]
            )
        })
        .collect();
    feed(&format!("<leerlingen>{pupils}</leerlingen>"))
}

/// What became of one run.
struct Ran {
    /// A bounded word for it.
    became: &'static str,
    /// What must not be.
    wrong: Vec<String>,
    calls: Calls,
    /// Where the call that failed was, when it was reached.
    hit: Option<String>,
}

/// Counts a run, and repeats it with each fault. Fails when anything was wrong.
///
/// In the short form, of each kind of call it takes `places`.
fn matrix(what: &str, places: usize, mut run: impl FnMut(Option<Fault>) -> Ran) {
    let all = std::env::var("SLUIS_FAULTS").is_ok_and(|form| form == "all");
    let mut most = Calls::new();
    for _ in 0..COUNTED {
        let Ran { wrong, calls, became, .. } = run(None);
        assert!(wrong.is_empty() && became == "whole", "{what}, and nothing fails: {became}, {wrong:?}");
        for (&call, &times) in &calls {
            let most = most.entry(call).or_default();
            *most = times.max(*most);
        }
    }
    let others = [Fails::Done(Errno::EIO), Fails::Killed, Fails::Late, Fails::Short];
    let ways = ERRORS.map(Fails::Not).into_iter().chain(others);
    let mut faults = Vec::new();
    for (&call, &times) in &most {
        let ways: Vec<_> = ways.clone().filter(|way| way.suits(call)).collect();
        if all {
            faults
                .extend((1..=times).flat_map(|at| ways.iter().map(move |&fails| Fault { call, at, fails })));
        } else {
            let places = times.min(places);
            // In the middle of each stretch.
            let at = |place: usize| 1 + (2 * place + 1) * times / (2 * places + 1);
            faults.extend((0..places).map(|n| Fault {
                call,
                at: at(n),
                fails: ways[(n + call as usize) % ways.len()],
            }));
        }
    }
    assert!(!faults.is_empty(), "{what}: no call was counted");
    let mut rows: BTreeMap<Sysno, BTreeMap<String, usize>> = BTreeMap::new();
    let (mut wrong, mut hits) = (Vec::new(), 0);
    for &fault in &faults {
        let ran = run(Some(fault));
        hits += usize::from(ran.hit.is_some());
        let became = if ran.hit.is_some() { ran.became } else { "not reached" };
        *rows.entry(fault.call).or_default().entry(format!("{} {became}", fault.fails)).or_default() += 1;
        for what in ran.wrong {
            wrong.push(format!("{fault} ({}): {what}", ran.hit.as_deref().unwrap_or("not reached")));
        }
    }
    println!("{what}: {} faults, {hits} reached", faults.len());
    for (call, row) in &rows {
        let row: Vec<_> = row.iter().map(|(became, times)| format!("{became} {times}")).collect();
        println!("  {:12} of {:4}: {}", call.name(), most[call], row.join(", "));
    }
    assert!(wrong.is_empty(), "{what}: {} wrong\n{}", wrong.len(), wrong.join("\n"));
    // No two runs are alike: a call that was made in one may not be made in another.
    assert!(hits * 3 > faults.len(), "{what}: {hits} of {} came about", faults.len());
}

/// What a supplier got, whatever became of it.
#[derive(Default)]
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) transaction: String,
    pub(super) body: String,
    /// It looks like the whole of an answer.
    pub(super) whole: bool,
    /// Neither answer nor end came.
    pub(super) left_waiting: bool,
}

impl Received {
    /// Asks, and reads until nothing more comes.
    pub(super) fn ask(home: &Home, port: u16, body: &str) -> Self {
        let Some(mut stream) = try_connect(home, port, Some("noordzee")) else { return Self::default() };
        let _ = write!(
            stream,
            "POST /uwlr HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        let (mut bytes, mut left_waiting) = (Vec::new(), false);
        let mut buffer = [0; 16 * 1024];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                Err(error) => {
                    left_waiting = error.kind() == ErrorKind::WouldBlock;
                    break;
                }
            }
        }
        Self { left_waiting, ..Self::parse(&String::from_utf8(bytes).unwrap()) }
    }

    pub(super) fn parse(text: &str) -> Self {
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { return Self::default() };
        let status = head[9..12].parse().unwrap();
        let header = |name: &str| head.split(name).nth(1).and_then(|rest| rest.lines().next()).map(str::trim);
        let transaction = header("fsc-transaction-id:").unwrap_or_default().to_owned();
        let got = Self { status, transaction, ..Self::default() };
        if let Some(length) = header("content-length:") {
            let whole = rest.len() == length.parse::<usize>().unwrap();
            return Self { body: rest.to_owned(), whole, ..got };
        }
        let (mut body, mut rest, mut whole) = (String::new(), rest, false);
        while let Some((size, after)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).unwrap();
            body.push_str(&after[..size.min(after.len())]);
            whole = size == 0 && after == "\r\n";
            rest = after.get(size + 2..).unwrap_or_default();
        }
        Self { body, whole, ..got }
    }

    pub(super) fn pupils(&self) -> usize {
        self.body.matches("</leerling>").count()
    }

    /// What must hold, whatever went wrong: what came is a beginning of `answer`, is whole only when all of it is, and
    /// is on record. What does not hold is added to `wrong`.
    pub(super) fn judge(&self, answer: &str, leaves: &[Leaf], wrong: &mut Vec<String>) {
        let mut is = |holds: bool, what: &str| {
            if !holds {
                wrong.push(what.to_owned());
            }
        };
        is(!self.left_waiting, "the supplier was left waiting");
        if self.status == 200 {
            is(answer.starts_with(&self.body), "what came is no beginning of the answer");
            is(!self.whole || self.body == answer, "it looks whole and is not");
        } else {
            is(self.pupils() == 0, "a fault that holds pupils");
        }
        let of_this = |leaf: &&Leaf| uuid::Uuid::from_bytes(leaf.transaction).to_string() == self.transaction;
        let disclosures = leaves.iter().filter(of_this).filter(|leaf| leaf.kind == LeafKind::Disclosure);
        let on_record: usize = disclosures.map(|leaf| leaf.rows as usize).sum();
        is(self.pupils() <= on_record, "pupils that are not on record");
        let outcome = leaves.iter().filter(of_this).find_map(Leaf::outcome);
        let failed = outcome.is_some_and(|outcome| outcome.status == OutcomeStatus::Failed);
        is(!(self.whole && self.status == 200 && failed), "it came whole, and is on record as failed");
    }
}

/// Nothing planted, and no pseudonym of the answer.
pub(super) fn assert_clean(what: &str, text: &str, answer: &str) {
    assert_eq!(find(text.as_bytes()), [], "in {what}: {text}");
    for part in answer.split("key=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(!text.contains(part), "a pseudonym in {what}: {text}");
    }
}

pub(super) fn assert_intact(home: &Home) {
    let against = Against { key: None, copy: Some(home.path("keys/checkpoint")) };
    verify(&home.path("data"), &against, &mut |_, _| {}).unwrap();
}

/// A school with a gateway that serves it under a tracer.
struct World {
    home: Home,
    ask: String,
    /// The answer when nothing fails.
    answer: String,
    served: Served,
    tracer: Tracer,
    las: FakeLas,
}

const CONFIRMED: &str = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
    <leerresultaten_bevestiging xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerresultaten\"/></s:Body></s:Envelope>";

impl World {
    fn new() -> Self {
        let home = Home::new();
        let document = pupils();
        let las = FakeLas::at_once(move |request, stream| {
            let results = request.contains("leerresultaten_verzoek");
            write_xml(stream, if results { CONFIRMED } else { &document });
        });
        Served::configure(&home, &las, LIMITS);
        let ask = request(&home, "leerlinggegevens_verzoek", ASK);
        let (served, tracer, answer) = Self::start(&home, &ask);
        Self { home, ask, answer, served, tracer, las }
    }

    /// One that brings results of a pupil.
    fn bringing() -> Self {
        let mut world = Self::new();
        let pupil = attribute(&world.answer, "leerling", "key");
        let results = format!(
            "<school><schooljaar>2026-2027</schooljaar><brincode>99DE</brincode>\
             <aanmaakdatum>2026-11-11T00:05:46</aanmaakdatum><xsdversie>2.2</xsdversie></school><toetsafnames><toetsafname>\
             <leerlingid>{pupil}</leerlingid><resultaten><resultaat key=\"R1\"><afnamedatum>2026-11-10</afnamedatum>\
             <toetscode>T1</toetscode><score>17</score></resultaat></resultaten></toetsafname></toetsafnames>"
        );
        world.ask = request(&world.home, "leerresultaten_verzoek", &results);
        world.answer = Received::ask(&world.home, world.served.gateway, &world.ask).body;
        assert!(world.answer.contains("leerresultaten_bevestiging"), "{}", world.answer);
        world
    }

    /// Started, and with one exchange behind it.
    fn start(home: &Home, ask: &str) -> (Served, Tracer, String) {
        let served = Served::spawn(home.sluis(&["serve"]));
        served.wait_for("keys in force are on record");
        let got = Received::ask(home, served.gateway, ask);
        assert!(got.status == 200 && got.whole, "{} {}", got.status, got.body);
        let mut tracer = Tracer::attach(served.id());
        tracer.arm(None);
        (served, tracer, got.body)
    }

    /// Starts anew after the process has ended, or has closed its log.
    fn restart(&mut self) {
        while self.served.has_ended().is_none() {
            self.served.signal("-TERM");
            self.served.ends_within(AGAIN);
        }
        self.served.wait();
        assert_clean("what the process said", &self.served.said(), &self.answer);
        let (served, tracer, answer) = Self::start(&self.home, &self.ask);
        assert_eq!(answer, self.answer);
        (self.served, self.tracer) = (served, tracer);
        assert_intact(&self.home);
    }

    /// One exchange, and the one after it.
    fn exchange(&mut self, fault: Option<Fault>) -> Ran {
        let mut wrong = Vec::new();
        self.tracer.arm(fault);
        let got = Received::ask(&self.home, self.served.gateway, &self.ask);
        let (calls, hit) = self.tracer.disarm();
        got.judge(&self.answer, &self.home.leaves(), &mut wrong);
        self.judge_las(&mut wrong);
        if self.served.has_ended().is_some() {
            self.restart();
            return Ran { became: "ended", wrong, calls, hit };
        }
        let next = Received::ask(&self.home, self.served.gateway, &self.ask);
        next.judge(&self.answer, &self.home.leaves(), &mut wrong);
        let mut became = match got.status {
            200 if got.whole => "whole",
            200 => "broken off",
            0 => "no answer",
            _ => "refused",
        };
        if next.status != 200 || !next.whole {
            became = "closed";
            match self.served.try_operations("/ready") {
                Err(_) => became = "ended",
                Ok((503, ready)) if ready.contains("\"log\":false") => {}
                Ok((_, ready)) => {
                    wrong.push(format!(
                        "the next was answered with {} {}, and {ready}",
                        next.status, next.body
                    ));
                }
            }
            self.restart();
        } else {
            assert_clean("the metrics", &self.served.operations("/metrics").1, &self.answer);
        }
        Ran { became, wrong, calls, hit }
    }

    /// What the pupil administration was brought is on record.
    fn judge_las(&self, wrong: &mut Vec<String>) {
        let leaves = self.home.leaves();
        let requests = std::mem::take(&mut *self.las.requests.lock().unwrap());
        for request in requests.iter().filter(|request| request.contains("leerresultaten_verzoek")) {
            let transaction =
                request.split("fsc-transaction-id: ").nth(1).and_then(|rest| rest.get(..36)).unwrap();
            let on_record = leaves.iter().any(|leaf| {
                leaf.kind == LeafKind::Disclosure
                    && uuid::Uuid::from_bytes(leaf.transaction).to_string() == transaction
            });
            if !on_record {
                wrong.push("results that are not on record".into());
            }
        }
    }

    /// SIGHUP, and an exchange after it.
    fn reload(&mut self, fault: Option<Fault>) -> Ran {
        let said = |served: &Served, words: &str| served.said().matches(words).count();
        let told = |served: &Served| (said(served, RELOADED), said(served, STAYS));
        let before = told(&self.served);
        self.tracer.arm(fault);
        self.served.signal("-HUP");
        // What is to say so may be what fails.
        let late = Instant::now() + Duration::from_secs(3);
        while told(&self.served) == before && self.served.has_ended().is_none() && Instant::now() < late {
            std::thread::yield_now();
        }
        let after = told(&self.served);
        let (calls, hit) = self.tracer.disarm();
        let ran = self.exchange(None);
        let became = match ran.became {
            "whole" if after.0 > before.0 => "whole",
            "whole" if after.1 > before.1 => "what was in force stays",
            "whole" => "unsaid",
            _ => "ended",
        };
        // When it has ended there is nobody to ask.
        let wrong = if became == "ended" { Vec::new() } else { ran.wrong };
        Ran { became, wrong, calls, hit }
    }
}

const RELOADED: &str = "\"configuration reloaded\"";
const STAYS: &str = "the configuration in force stays";
/// Between one signal to stop and the next.
const AGAIN: Duration = Duration::from_millis(200);
/// Neither a start nor a command takes so long.
const LATE: Duration = Duration::from_secs(30);

/// A command under a tracer from its first call on.
struct Run {
    child: Child,
    tracer: Tracer,
    lines: mpsc::Receiver<String>,
    errors: JoinHandle<String>,
}

impl Run {
    fn start(command: &Command, fault: Option<Fault>) -> Self {
        let mut child = waiting(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let errors = thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).unwrap();
            text
        });
        until_waiting(child.id());
        let mut tracer = Tracer::attach(child.id());
        tracer.arm(fault);
        Self { child, tracer, lines, errors }
    }

    /// Whether it said this on standard output before it ended.
    fn says(&mut self, words: &str, wrong: &mut Vec<String>) -> bool {
        loop {
            match self.lines.recv_timeout(LATE) {
                Ok(line) if line.contains(words) => return true,
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {
                    wrong.push("it neither goes on nor ends".into());
                    self.child.kill().unwrap();
                    return false;
                }
            }
        }
    }

    /// What it ended with, and all it said on standard error.
    fn end(mut self) -> (ExitStatus, String, Calls, Option<String>) {
        let status = self.child.wait().unwrap();
        let (calls, hit) = self.tracer.disarm();
        (status, self.errors.join().unwrap(), calls, hit)
    }
}

#[test]
fn an_exchange_in_which_a_call_fails() {
    let mut world = World::new();
    matrix("an exchange", 5, |fault| world.exchange(fault));
    world.restart();
}

#[test]
fn results_in_which_a_call_fails() {
    let mut world = World::bringing();
    matrix("results", 2, |fault| world.exchange(fault));
    world.restart();
}

#[test]
fn a_reload_in_which_a_call_fails() {
    let mut world = World::new();
    matrix("a reload", 1, |fault| world.reload(fault));
    world.restart();
}

/// What an aborted start or stop left is put in order by the next.
fn reopen(home: &Home) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = Config::load(&home.path("sluis.toml"), clock.as_ref()).unwrap();
    Log::open(config.log_site(), clock).unwrap().close();
    assert_intact(home);
}

#[test]
fn a_start_and_a_stop_in_which_a_call_fails() {
    let home = Home::new();
    let document = pupils();
    let las = FakeLas::answering(document.clone());
    Served::configure(&home, &las, LIMITS);
    assert_eq!(home.minimise("99DE", document.as_bytes()).code, 0);
    matrix("a start and a stop", 1, |fault| {
        let mut wrong = Vec::new();
        let mut run = Run::start(&home.sluis(&["serve"]), fault);
        let serves = run.says("gateway on", &mut wrong);
        // What is to hear of the signal may be what fails: whoever stops a process tells it again.
        while serves && run.child.try_wait().unwrap().is_none() {
            kill(Pid::from_raw(i32::try_from(run.child.id()).unwrap()), Signal::SIGTERM).unwrap();
            // Until it has nothing to say any more.
            let _ = run.lines.recv_timeout(AGAIN);
        }
        let (status, said, calls, hit) = run.end();
        assert_clean("what it said", &said, "");
        if hit.as_deref().is_some_and(|hit| hit.contains(" on pipe:")) {
            // That it serves is what could not be said. It serves all the same, and nobody can be told.
            wrong.clear();
        }
        let became = match (serves, status.code()) {
            (true, Some(0)) => "whole",
            (false, Some(0)) => {
                wrong.push("it did not serve, and says that all is well".into());
                "nothing"
            }
            (true, Some(_)) => "served and failed",
            (false, Some(_)) => "did not start",
            (_, None) => "ended",
        };
        reopen(&home);
        Ran { became, wrong, calls, hit }
    });
}

#[test]
fn a_command_in_which_a_call_fails() {
    let home = Home::new();
    let document = pupils();
    let reference = home.minimise("99DE", document.as_bytes());
    assert_eq!(reference.code, 0, "{}", reference.err);
    let (name, parts) =
        (home.path("output.xml"), ["minimise", "--school", "99DE", "--recipient", "noordzee"]);
    let command = home.sluis(&[&parts[..], &["--input", "input.xml", "--output", "output.xml"]].concat());
    let whole = |text: &str| text.matches("</leerling>").count();
    matrix("a command", 1, |fault| {
        let mut wrong = Vec::new();
        let before = home.leaves().len();
        let mut run = Run::start(&command, fault);
        let _ = run.says("nothing of the kind", &mut wrong);
        let (status, said, calls, hit) = run.end();
        assert_clean("what it said", &said, &reference.out);
        let leaves = &home.leaves()[before..];
        let on_record: usize = leaves
            .iter()
            .filter(|leaf| leaf.kind == LeafKind::Disclosure)
            .map(|leaf| leaf.rows as usize)
            .sum();
        let output = fs::read_to_string(&name).ok();
        if output.as_ref().is_some_and(|output| *output != reference.out) {
            wrong.push("something incomplete has the name of the output".into());
        }
        if status.success() && output.is_none() {
            wrong.push("no output, and it says that all is well".into());
        }
        for entry in fs::read_dir(home.path("")).unwrap() {
            let path = entry.unwrap().path();
            let partial = path.extension().is_some_and(|ending| ending == "partial");
            if partial || path == name {
                if whole(&fs::read_to_string(&path).unwrap()) > on_record {
                    wrong.push("pupils that are not on record".into());
                }
                fs::remove_file(path).unwrap();
            }
        }
        let became = match (status.code(), output.is_some()) {
            (Some(0), _) => "whole",
            (Some(_), true) => "there, and failed",
            (Some(_), false) => "failed",
            (None, _) => "ended",
        };
        reopen(&home);
        Ran { became, wrong, calls, hit }
    });
}
