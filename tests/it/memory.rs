//! What the memory of a served gateway gives away: it is never dumped.

use std::{fs, os::unix::process::ExitStatusExt, path::Path, process::Command};

use crate::{
    documents::feed,
    gateway::{ASK, Served, begin, connect, held_back, request, send},
    home::Home,
    planted::NUMBERS,
};

/// As patient as a machine that does much else at once may need.
const PATIENT: &str = "las_response_ms = 20000\nlas_idle_ms = 20000\n";

/// Six hundred pupils, so that something leaves before the end is read, with the planted numbers among them.
fn many_planted() -> String {
    let pupils: String = (0..600)
        .map(|i| {
            let number = NUMBERS.get(i % 100).map_or(String::new(), |number| format!("<bsn>{number}</bsn>"));
            format!("<leerling key=\"{}\"><roepnaam>Jip</roepnaam>{number}</leerling>", 200_000 + i)
        })
        .collect();
    feed(&format!("<leerlingen>{pupils}</leerlingen>"))
}

/// Files in a folder that are named as core dumps are.
fn dumps(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("core") || name.ends_with(".core")).collect()
}

#[test]
#[allow(clippy::print_stderr, reason = "what could not be tested has to be said")]
fn no_core_dump_is_left_by_a_process_that_is_aborted() {
    // Where this leaves none either, as on a machine whose hard limit is 0, only the limits below tell.
    let elsewhere = tempfile::tempdir().unwrap();
    let script = "ulimit -c unlimited; kill -ABRT $$";
    let other = Command::new("sh").args(["-c", script]).current_dir(elsewhere.path()).status().unwrap();
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if !other.core_dumped() {
        eprintln!("nothing leaves a core dump on this machine");
    } else if pattern.trim() == "core" {
        assert_eq!(dumps(elsewhere.path()).len(), 1, "another process leaves one here");
    }

    let home = Home::new();
    let document = many_planted();
    let (las, _release) = held_back(document.clone(), document.len() - 200);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited; exec \"$0\" serve"]).arg(home.sluis(&[]).get_program());
    command.current_dir(home.path(""));
    let served = Served::with(&home, &las, PATIENT, command);
    let mut stream = connect(&home, &served, Some("noordzee"));
    send(&mut stream, &request(&home, "leerlinggegevens_verzoek", ASK), "text/xml");
    begin(&mut stream);
    if cfg!(target_os = "linux") {
        let limits = fs::read_to_string(format!("/proc/{}/limits", served.id())).unwrap();
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        assert_eq!(limit.split_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"]);
    }
    let ended = served.abort();
    assert_eq!(ended.signal(), Some(6), "{ended}");
    assert!(!ended.core_dumped(), "{ended}");
    assert_eq!(dumps(&home.path("")), [""; 0]);
}
