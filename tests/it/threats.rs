//! `docs/threats.md` says which test shows what: each of them is there, and each threat has one or says what is left.

use std::{fs, path::Path};

/// A row of a table under a heading: what each column is called, and what stands in it.
struct Row {
    line: usize,
    cells: Vec<(String, String)>,
}

impl Row {
    fn cell(&self, name: &str) -> Option<&str> {
        self.cells.iter().find_map(|(column, text)| (column == name).then_some(text.as_str()))
    }

    fn first(&self) -> &str {
        &self.cells[0].1
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let (mut rows, mut head) = (Vec::new(), Vec::<String>::new());
    for (number, line) in text.lines().enumerate() {
        let Some(inside) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else {
            if !line.starts_with('|') {
                head.clear();
            }
            continue;
        };
        let cells: Vec<String> = inside.split(" | ").map(|cell| cell.trim().to_owned()).collect();
        if head.is_empty() {
            head = cells;
            continue;
        }
        assert_eq!(cells.len(), head.len(), "line {}: as many cells as columns", number + 1);
        rows.push(Row { line: number + 1, cells: head.iter().cloned().zip(cells).collect() });
    }
    rows
}

/// What stands between back quotes.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether a file has a test of this name: a function right below what makes it one.
fn has_test(file: &Path, name: &str) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let named = line
            .trim_start_matches("async ")
            .strip_prefix("fn ")
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('('));
        let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        named
            && above.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

/// Whether what a row names is there: `module::name` of these tests, `src/file.rs::name`, or a file.
fn is_there(named: &str) -> bool {
    match named.rsplit_once("::") {
        None => root().join(named).is_file(),
        Some((file, name)) if file.starts_with("src/") => has_test(&root().join(file), name),
        Some((module, name)) => {
            has_test(&root().join("tests/it").join(module.replace("::", "/")).with_extension("rs"), name)
        }
    }
}

#[test]
fn every_test_and_file_that_is_named_is_there() {
    let mut missing = Vec::new();
    let mut tests = 0;
    for row in rows() {
        let shown = row.cell("shown by").unwrap_or_default();
        missing.extend(
            spans(shown).filter(|named| !is_there(named)).map(|named| format!("line {}: {named}", row.line)),
        );
        tests += spans(shown).count();
        for column in ["against it", "kept by"] {
            let files = spans(row.cell(column).unwrap_or_default()).filter(|named| named.contains('/'));
            missing.extend(
                files.filter(|named| !is_there(named)).map(|named| format!("line {}: {named}", row.line)),
            );
        }
    }
    assert!(missing.is_empty(), "docs/threats.md names what is not there:\n{}", missing.join("\n"));
    assert!(tests > 100, "{tests} tests were found in it: is it still read as it is written?");
}

#[test]
fn every_threat_is_shown_or_says_what_is_left() {
    let threats: Vec<Row> = rows().into_iter().filter(|row| row.cell("threat").is_some()).collect();
    assert!(threats.len() > 50, "{} threats", threats.len());
    for row in threats {
        let shown = row.cell("shown by").is_some_and(|shown| spans(shown).count() > 0);
        let left = row.cell("what is left").is_some_and(|left| left.len() > "—".len());
        assert!(shown || left, "line {}: no test, and nothing is left?", row.line);
    }
}

#[test]
fn each_of_the_ten_promises_is_shown() {
    let promises: Vec<Row> = rows().into_iter().filter(|row| row.cell("promise").is_some()).collect();
    let numbers: Vec<&str> = promises.iter().filter_map(|row| row.first().split('.').next()).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
    for row in promises {
        assert!(spans(row.cell("shown by").unwrap_or_default()).count() > 0, "line {}", row.line);
    }
}

#[test]
fn a_name_that_is_no_test_is_noticed() {
    assert!(is_there("threats::a_name_that_is_no_test_is_noticed") && is_there("deny.toml"));
    for absent in [
        "threats::rows",
        "threats::is_there",
        "gateway::there_is_no_such_test",
        "src/keys.rs::check",
        "docs/none",
    ] {
        assert!(!is_there(absent), "{absent}");
    }
}
