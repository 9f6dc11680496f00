//! `sluis minimise` of 250,000 pupils takes no more memory than of 2,500: at most 10 MiB more, or this ends
//! with 1.
//!
//! The real binary reads from a pipe and writes to a pipe. The kernel keeps a process's highest resident size
//! (`VmHWM`), and forgets it when the process ends, so the question is when to read it:
//!
//! - once when everything has been fed and the pipe is still open. After the document come comments, more
//!   than the pipe and the decoder's buffer hold together: when they have been written, the document has been
//!   read to its last tag, and the process waits for input. This reading cannot come too late.
//! - once more when the end of the output has been seen. By then also the last chunk has been dealt with; the
//!   process has an outcome to sync and a log to close, which takes it longer than the reading takes us.
//!   Should it be gone all the same, the first reading stands.
#![allow(clippy::print_stdout, reason = "the table is what this is for")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure may as well panic")]

mod common;

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    process::{ChildStdout, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{
    Home,
    feed::{Encoding, Feed, Form},
    is_short, mib,
};

/// Pupils of the larger document.
const MANY: usize = 250_000;

/// What the larger document may take more than the smaller.
const ALLOWED: u64 = 10 << 20;

const KINDS: [(Form, Encoding); 4] = [
    (Form::Uwlr, Encoding::Utf8),
    (Form::Uwlr, Encoding::Utf16),
    (Form::Edexml, Encoding::Utf8),
    (Form::Edexml, Encoding::Utf16),
];

fn main() -> ExitCode {
    // The short form is one kind and not a smaller document, on which ten times the growth would still pass.
    let kinds = if is_short() { &KINDS[..1] } else { &KINDS[..] };
    println!("| feed | encoding | pupils | input MiB | peak RSS MiB | seconds | pupils/s |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    let mut most = 0;
    for &(form, encoding) in kinds {
        let [few, many] = [2_500, MANY].map(|pupils| {
            let measured = measure(&Feed { form, encoding, pupils });
            let seconds = measured.time.as_secs_f64();
            println!(
                "| {} | {} | {pupils} | {:.1} | {:.1} | {seconds:.2} | {:.0} |",
                form.name(),
                encoding.name(),
                mib(measured.input),
                mib(measured.peak),
                pupils as f64 / seconds,
            );
            measured.peak
        });
        most = most.max(many.saturating_sub(few));
    }
    println!(
        "\nat most {:.1} MiB more for {MANY} pupils than for 2500; allowed: {:.1}",
        mib(most),
        mib(ALLOWED)
    );
    if most <= ALLOWED { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Measured {
    input: u64,
    peak: u64,
    time: Duration,
}

fn measure(feed: &Feed) -> Measured {
    let home = Home::new();
    let path = home.path("feed.xml");
    feed.write(BufWriter::new(File::create(&path).unwrap())).unwrap();
    let mut source = File::open(&path).unwrap();
    let input = source.metadata().unwrap().len();

    let began = Instant::now();
    let mut child = home
        .sluis(&["minimise", "--school", "99DE", "--recipient", "noordzee", "--input", "-", "--output", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (process, mut stdin) = (child.id(), child.stdin.take().unwrap());
    let (stdout, end) = (child.stdout.take().unwrap(), feed.form.end());
    let reader = thread::spawn(move || read_to_end(stdout, end.as_bytes(), process));
    // If it refuses the document, the pipe breaks; what it said comes out below.
    let fed = io::copy(&mut source, &mut stdin).and_then(|_| stdin.write_all(&afterword(feed.encoding)));
    let waiting = peak(process);
    drop(stdin);
    let ending = reader.join().unwrap();
    let output = child.wait_with_output().unwrap();
    let time = began.elapsed();

    let said = String::from_utf8(output.stderr).unwrap();
    let expected = format!("{} pupils released, 0 withheld, {} teachers", feed.pupils, feed.groups());
    assert!(fed.is_ok() && output.status.success() && said.starts_with(&expected), "{said}");
    let waiting = waiting.expect("it has not ended while its input is open");
    Measured { input, peak: waiting.max(ending.unwrap_or(0)), time }
}

/// 128 KiB of nothing, in pieces that stay below the limit on a comment.
fn afterword(encoding: Encoding) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < 128 * 1024 {
        encoding.encode(&format!("<!--{}-->\n", " ".repeat(4096)), &mut bytes);
    }
    bytes
}

/// Reads all, and the peak of the process when what comes last has come.
fn read_to_end(mut output: ChildStdout, end: &[u8], process: u32) -> Option<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut tail = Vec::new();
    let mut ending = None;
    loop {
        let read = output.read(&mut buffer).unwrap();
        if read == 0 {
            return ending;
        }
        tail.extend_from_slice(&buffer[..read]);
        if tail.ends_with(end) {
            ending = peak(process);
        }
        tail.drain(..tail.len().saturating_sub(end.len()));
    }
}

/// The most memory a process has had resident so far; nothing when it has ended.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    Some(kib.parse::<u64>().ok()? * 1024)
}
