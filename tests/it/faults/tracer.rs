//! Makes one system call of a process fail: the n-th of its kind, whichever thread makes it.
//!
//! A process of its own does the tracing, for whoever waits for a child that is traced in the same process is told of
//! its stops too. The test binary starts itself again for that: see [`the_tracer_makes_one_call_fail`], which also
//! checks the instrument.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStderr, ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use syscalls::Sysno;

/// Names the process to trace, for a test binary that is to be the tracer.
const TRACED: &str = "SLUIS_TRACED";
/// Calls that return nothing, or cannot fail.
const SURE: [Sysno; 4] = [Sysno::exit, Sysno::exit_group, Sysno::restart_syscall, Sysno::rt_sigreturn];
/// Calls that may have done their work when they say that they failed.
const DONE: [Sysno; 10] = [
    Sysno::fdatasync,
    Sysno::fsync,
    Sysno::ftruncate,
    Sysno::mkdir,
    Sysno::rename,
    Sysno::sendto,
    Sysno::shutdown,
    Sysno::unlink,
    Sysno::write,
    Sysno::writev,
];
/// FUTEX_WAKE.
const WAKE: u64 = 1;
/// Calls that take a number of bytes as their third argument, and may do less.
const COUNTED: [Sysno; 6] =
    [Sysno::read, Sysno::write, Sysno::pread64, Sysno::pwrite64, Sysno::recvfrom, Sysno::sendto];

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fails {
    /// It does nothing, and fails.
    Not(Errno),
    /// It is done, and said to have failed.
    Done(Errno),
    /// The process is killed before it is done.
    Killed,
    /// It is done half a second later, and everything else of the process is too.
    Late,
    /// It is done for half of the bytes.
    Short,
}

impl Fails {
    /// Whether a call of this kind can end so.
    pub(crate) fn suits(self, call: Sysno) -> bool {
        match self {
            Self::Done(_) => DONE.contains(&call),
            Self::Killed | Self::Late | Self::Not(_) => true,
            Self::Short => COUNTED.contains(&call),
        }
    }
}

impl fmt::Display for Fails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Not(errno) => write!(f, "{errno:?}"),
            Self::Done(errno) => write!(f, "done+{errno:?}"),
            Self::Killed => f.write_str("killed"),
            Self::Late => f.write_str("late"),
            Self::Short => f.write_str("short"),
        }
    }
}

/// The n-th call of a kind, counted from 1, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) call: Sysno,
    pub(crate) at: usize,
    pub(crate) fails: Fails,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.call.name(), self.at, self.fails)
    }
}

/// How often a process made each kind of call, since it was last asked.
pub(crate) type Calls = BTreeMap<Sysno, usize>;

/// A process under a tracer.
pub(crate) struct Tracer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStderr>,
}

impl Tracer {
    /// Traces a process and all threads it has or will have, until it ends. It stands still until the first
    /// [`Tracer::arm`].
    pub(crate) fn attach(id: u32) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "faults::tracer::the_tracer_makes_one_call_fail", "--nocapture"])
            .env(TRACED, id.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stderr.take().unwrap());
        let mut tracer = Self { child, to, from };
        tracer.expect("attached");
        tracer
    }

    /// Has a call fail from now on, or none; counts either way.
    pub(crate) fn arm(&mut self, fault: Option<Fault>) {
        let line = fault.map_or_else(|| "count".into(), |fault| fault.to_string());
        writeln!(self.to, "{line}").unwrap();
        self.expect("armed");
    }

    /// No call fails any more. What was counted, and where the one that failed was.
    pub(crate) fn disarm(&mut self) -> (Calls, Option<String>) {
        writeln!(self.to, "stop").unwrap();
        let (mut calls, mut hit) = (Calls::new(), None);
        loop {
            let mut line = String::new();
            self.from.read_line(&mut line).unwrap();
            match line.trim_end().split_once(' ') {
                Some(("hit", at)) => hit = Some(at.to_owned()),
                Some((call, times)) => {
                    let call = call.parse().unwrap_or_else(|_| panic!("the tracer says {line}"));
                    calls.insert(call, times.parse().unwrap());
                }
                None if line == "stopped\n" => return (calls, hit),
                None => panic!("the tracer says {line}"),
            }
        }
    }

    fn expect(&mut self, word: &str) {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        if line.trim_end() != word {
            let _ = io::Read::read_to_string(&mut self.from, &mut line);
            panic!("a process cannot be traced here; it takes root, or CAP_SYS_PTRACE: {line}");
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that waits to be traced before it begins; [`Tracer::attach`] lets it go on.
pub(crate) fn waiting(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        shell.current_dir(directory);
    }
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

/// Returns once a process that was started so is there to be traced.
pub(crate) fn until_waiting(id: u32) {
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        if stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')) {
            return;
        }
        thread::yield_now();
    }
}

/// What the tracer is asked to do, and what it has seen.
#[derive(Default)]
struct Told {
    counting: bool,
    fault: Option<Fault>,
    calls: Calls,
    hit: Option<String>,
}

/// Traces the process until it has ended. Asked on standard input, answers on standard error: the harness has the other.
fn trace(id: i32) {
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACEEXEC;
    let mut threads = BTreeMap::new();
    // Until there is no thread that another made in the meantime.
    loop {
        let found = std::fs::read_dir(format!("/proc/{id}/task")).expect("the process is there");
        let found = found.map(|entry| entry.expect("a thread").file_name().into_string().expect("a number"));
        let new: Vec<i32> = found
            .map(|name| name.parse().expect("a number"))
            .filter(|id| !threads.contains_key(id))
            .collect();
        if new.is_empty() {
            break;
        }
        for id in new {
            let thread = Pid::from_raw(id);
            if ptrace::seize(thread, options).is_ok() {
                let _ = ptrace::interrupt(thread);
            }
            threads.insert(id, None);
        }
    }
    let told = Arc::new((Mutex::new(Told::default()), Condvar::new()));
    let asked = Arc::clone(&told);
    let asker = thread::spawn(move || answer(&asked.0, &asked.1));
    say("attached");
    drop(told.1.wait_while(told.0.lock().unwrap(), |told| !told.counting).unwrap());
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::PtraceSyscall(thread)) => {
                let under_way = threads.entry(thread.as_raw()).or_default();
                // A thread may be gone at any moment.
                let _ = match under_way.take() {
                    None => begins(thread, &mut told.0.lock().unwrap()).map(|fails| *under_way = Some(fails)),
                    Some(fails) => ends(thread, fails),
                };
                let _ = ptrace::syscall(thread, None);
            }
            // The first stop of a thread, one that was asked for, or one at an `exec`: none is in a call after it.
            Ok(WaitStatus::PtraceEvent(thread, _, event)) => {
                if event == ptrace::Event::PTRACE_EVENT_STOP as i32 {
                    threads.insert(thread.as_raw(), None);
                }
                let _ = ptrace::syscall(thread, None);
            }
            Ok(WaitStatus::Stopped(thread, signal)) => {
                let _ = ptrace::syscall(thread, Some(signal).filter(|signal| *signal != Signal::SIGSTOP));
            }
            Ok(_) | Err(Errno::EINTR | Errno::EINVAL) => {}
            // Nothing is left to trace. What was counted may still be asked for.
            Err(_) => return asker.join().unwrap(),
        }
    }
}

/// What a thread is to be told at the end of the call it makes.
type Returns = Option<i64>;

fn begins(thread: Pid, told: &mut Told) -> nix::Result<Returns> {
    let mut registers = ptrace::getregs(thread)?;
    let Some(call) = usize::try_from(registers.orig_rax).ok().and_then(Sysno::new) else { return Ok(None) };
    // Whoever wakes a thread is told how many it woke; only to wait for that can fail.
    let wakes = call == Sysno::futex && registers.rsi & 0x7f == WAKE;
    if !told.counting || wakes || SURE.contains(&call) {
        return Ok(None);
    }
    let count = told.calls.entry(call).or_default();
    *count += 1;
    let Some(fault) = told.fault.filter(|fault| fault.call == call && fault.at == *count) else {
        return Ok(None);
    };
    told.fault = None;
    let name = std::fs::read_to_string(format!("/proc/{thread}/comm")).unwrap_or_default();
    let file = std::fs::read_link(format!("/proc/{thread}/fd/{}", registers.rdi)).unwrap_or_default();
    told.hit = Some(format!("{} of {} on {}", call.name(), name.trim_end(), file.display()));
    let returns = match fault.fails {
        Fails::Not(errno) => {
            registers.orig_rax = u64::MAX;
            Some(-i64::from(errno as i32))
        }
        Fails::Done(errno) => Some(-i64::from(errno as i32)),
        Fails::Killed => {
            let process = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
            let process = process.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
            kill(Pid::from_raw(process.expect("a process")), Signal::SIGKILL)?;
            return Ok(None);
        }
        Fails::Late => {
            thread::sleep(Duration::from_millis(500));
            None
        }
        Fails::Short => {
            registers.rdx = registers.rdx.div_ceil(2);
            None
        }
    };
    ptrace::setregs(thread, registers)?;
    Ok(returns)
}

fn ends(thread: Pid, returns: Returns) -> nix::Result<()> {
    let Some(returns) = returns else { return Ok(()) };
    let mut registers = ptrace::getregs(thread)?;
    registers.rax = returns.cast_unsigned();
    ptrace::setregs(thread, registers)
}

fn answer(told: &Mutex<Told>, armed: &Condvar) {
    for line in io::stdin().lines() {
        let line = line.expect("a line");
        let mut told = told.lock().unwrap();
        if line == "stop" {
            let Told { calls, hit, .. } = std::mem::take(&mut *told);
            calls.iter().for_each(|(call, times)| say(&format!("{} {times}", call.name())));
            hit.iter().for_each(|hit| say(&format!("hit {hit}")));
            say("stopped");
        } else {
            *told = Told { counting: true, fault: parse(&line), ..Told::default() };
            armed.notify_all();
            say("armed");
        }
    }
}

fn parse(line: &str) -> Option<Fault> {
    let mut words = line.split(' ');
    let (call, at, fails) = (words.next()?, words.next()?, words.next()?);
    let errno = |name: &str| {
        (1..134).map(Errno::from_raw).find(|errno| format!("{errno:?}") == name).expect("a known error")
    };
    let fails = match fails.split_once('+') {
        Some((_, name)) => Fails::Done(errno(name)),
        None => match fails {
            "killed" => Fails::Killed,
            "late" => Fails::Late,
            "short" => Fails::Short,
            name => Fails::Not(errno(name)),
        },
    };
    Some(Fault { call: call.parse().ok()?, at: at.parse().ok()?, fails })
}

fn say(line: &str) {
    // Whoever asked may be gone.
    let _ = writeln!(io::stderr(), "{line}");
}

#[test]
fn the_tracer_makes_one_call_fail() {
    if let Ok(id) = std::env::var(TRACED) {
        return trace(id.parse().unwrap());
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("written");
    let run = |fault: Option<Fault>| {
        let _ = std::fs::remove_file(&path);
        let mut command = Command::new("dd");
        command.args(["if=/dev/zero", "bs=8", "count=3"]).arg(format!("of={}", path.display()));
        let mut child = waiting(&command).stderr(Stdio::piped()).spawn().unwrap();
        until_waiting(child.id());
        let mut tracer = Tracer::attach(child.id());
        tracer.arm(fault);
        let ended = child.wait().unwrap();
        let length = Path::new(&path).metadata().map_or(0, |file| file.len());
        (ended.success(), length)
    };
    assert_eq!(run(None), (true, 24));
    let write = |at, fails| Some(Fault { call: Sysno::write, at, fails });
    assert_eq!(run(write(2, Fails::Not(Errno::ENOSPC))), (false, 8), "the second is not done");
    assert_eq!(run(write(2, Fails::Done(Errno::ENOSPC))), (false, 16), "the second is done");
    assert_eq!(run(write(2, Fails::Killed)), (false, 8), "nothing is done after the first");
    assert_eq!(run(write(2, Fails::Late)), (true, 24));
    assert_eq!(run(write(2, Fails::Short)), (true, 24), "what was not written is written after it");
}
