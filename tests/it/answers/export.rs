//! The log for other tools: lines, and Logboek Dataverwerkingen.

use std::{collections::HashSet, fs};

use serde_json::Value;

use super::{JIP, assert_no_secrets, pupils, readings, three_days};
use crate::home::{Home, Ran};

pub(super) fn export(home: &Home, format: &str, more: &[&str]) -> Ran {
    home.run(&[&["log", "export", "data", "--format", format], more].concat())
}

#[test]
fn the_log_is_exported_as_lines() {
    let (home, _) = three_days();
    // A recipient whose id a spreadsheet would take for a formula cannot be configured; a refusal is in the log too.
    fs::write(home.path("other.xml"), pupils(&[JIP]).replace("99DE", "99DF")).unwrap();
    assert_eq!(home.minimise_file("99DE", &home.path("other.xml")).code, 3);
    let lines = export(&home, "jsonl", &[]);
    assert_eq!(lines.code, 0, "{}", lines.err);
    assert_no_secrets(&lines.out);
    let records: Vec<Value> = lines.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |kind: &str| records.iter().filter(|record| record["record"] == kind).count();
    assert_eq!(count("row"), 5);
    assert_eq!((count("outcome"), count("refusal")), (3, 1));
    let delivered = records.iter().filter(|record| record["record"] == "delivery");
    assert_eq!(delivered.map(|record| record["rows"].as_u64().unwrap()).sum::<u64>(), 5);
    let positions: Vec<_> = records.iter().map(|record| record["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted(), "in the order of the log");
    let row = records.iter().find(|record| record["record"] == "row").unwrap();
    assert_eq!((&row["recipient"], &row["subject"]), (&"noordzee".into(), &"leerling".into()));
    assert!(row["released"].as_array().unwrap().contains(&"leerling.roepnaam".into()));
    assert!(row["recorded"].as_str().unwrap().starts_with("2026-09-07T"), "{row}");

    let csv = export(&home, "csv", &[]);
    assert_eq!(csv.code, 0, "{}", csv.err);
    let table: Vec<Vec<&str>> =
        csv.out.split_terminator("\r\n").map(|line| line.split(',').collect()).collect();
    assert_eq!(table.len(), records.len() + 1);
    assert!(table.iter().all(|line| line.len() == 20), "no cell here needs quotes");
    for (line, record) in table[1..].iter().zip(&records) {
        assert_eq!(line[0], record["record"]);
        assert_eq!(line[15], record["handle"].as_str().unwrap_or_default());
    }
    let tuesday =
        export(&home, "jsonl", &["--from", "2026-09-08", "--until", "2026-09-08", "--school", "99DE"]);
    assert_eq!(tuesday.out.matches("\"record\":\"row\"").count(), 1, "{}", tuesday.out);
    assert_eq!(readings(&home), [5; 3]);
    assert_eq!(export(&home, "jsonl", &["--school", "99XX"]).code, 2);
    assert_eq!(export(&home, "jsonl", &["--otlp", "http://127.0.0.1:1"]).code, 2);
}

#[test]
fn an_export_needs_the_configuration_of_its_log() {
    let (home, _) = three_days();
    let (other, elsewhere) = (Home::new(), tempfile::tempdir().unwrap());
    let data = home.path("data").display().to_string();
    let run =
        |arguments: &[&str]| Ran::from(home.sluis(arguments).current_dir(elsewhere.path()).output().unwrap());
    assert_eq!(run(&["log", "export", &data, "--format", "csv"]).code, 0, "the one beside it is found");
    let config = other.path("sluis.toml").display().to_string();
    let ran = run(&["log", "export", &data, "--format", "csv", "--config", &config]);
    assert!(ran.code == 2 && ran.err.contains("is not the log of the configuration"), "{}", ran.err);
    fs::rename(home.path("data"), elsewhere.path().join("bare")).unwrap();
    let ran = run(&["log", "export", "bare", "--format", "csv"]);
    assert!(ran.code == 2 && ran.err.contains("--config"), "{}", ran.err);
}

/// All spans of requests, one request a line.
pub(super) fn spans(requests: &str) -> Vec<Value> {
    let requests = requests.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    requests
        .flat_map(|request| request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone())
        .collect()
}

fn attribute_of<'s>(span: &'s Value, key: &str) -> Option<&'s str> {
    let attributes = span["attributes"].as_array().unwrap();
    attributes.iter().find(|one| one["key"] == key)?["value"]["stringValue"].as_str()
}

#[test]
fn there_is_a_line_for_each_data_subject() {
    let (home, _) = three_days();
    let ran = export(&home, "ldv", &["--register", "https://school.example/register/"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_no_secrets(&ran.out);
    let found = spans(&ran.out);
    let ids: HashSet<&str> = found.iter().map(|span| span["spanId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), found.len(), "each id once");
    let mut subjects = 0;
    for span in &found {
        let hex = |key: &str, digits: usize| {
            let text = span[key].as_str().unwrap();
            text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        assert!(hex("traceId", 32) && hex("spanId", 16), "{span}");
        if let Some(parent) = span["parentSpanId"].as_str() {
            assert!(ids.contains(parent), "a parent that is there: {span}");
        }
        let start: u64 = span["startTimeUnixNano"].as_str().unwrap().parse().unwrap();
        let end: u64 = span["endTimeUnixNano"].as_str().unwrap().parse().unwrap();
        assert!(start > 0 && start <= end && start.is_multiple_of(1_000_000));
        assert!(span["kind"].is_u64() && span["status"].is_object());
        assert!(!span["name"].as_str().unwrap().is_empty());
        let activity = attribute_of(span, "dpl.core.processing_activity_id").unwrap();
        assert!(
            activity.starts_with("https://school.example/register/") && activity.ends_with("/1"),
            "{activity}"
        );
        let known =
            ["dpl.core.processing_activity_id", "dpl.core.data_subject_id", "dpl.core.data_subject_id_type"];
        let attributes = span["attributes"].as_array().unwrap();
        assert!(
            attributes.iter().all(|one| known.contains(&one["key"].as_str().unwrap())),
            "nothing unadopted"
        );
        if let Some(subject) = attribute_of(span, "dpl.core.data_subject_id") {
            subjects += 1;
            assert_eq!(subject.len(), 32);
            let kind = attribute_of(span, "dpl.core.data_subject_id_type").unwrap();
            assert_eq!(kind, "https://sluis.example/betrokkene");
        }
    }
    assert_eq!(subjects, 5);
    assert_eq!(spans(&export(&home, "ldv", &["--register", "https://school.example/register"]).out), found);
}
