//! A document says what the text says, holds together for others, and is tagged.

use std::{fs, path::Path, process::Command};

use super::{JANNEKE, REPORTS, SECRETS, delivered, jip, ok, report, school, words};

/// What stands under every page.
const FOOT: &str = "Gemaakt met Sluis, de poort tussen de leerlingadministratie van de school en haar leveranciers. Dit \
    overzicht gaat over wat via Sluis gaat.";

#[test]
#[allow(clippy::print_stderr, reason = "what could not be tested has to be said")]
fn a_document_holds_what_the_text_holds() {
    if [("pdftotext", "-v"), ("qpdf", "--version")]
        .iter()
        .any(|(tool, version)| run(tool, &[version]).is_none())
    {
        eprintln!("poppler-utils and qpdf are not here: passed over");
        return;
    }
    let (home, got) = delivered();
    fs::write(home.path("feed.xml"), school(&[JANNEKE, &jip()])).unwrap();
    let eckid = got.split("eckid=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut asked: Vec<(&str, &[&str], &str)> =
        REPORTS.iter().map(|&name| (name, &[][..], "100001")).collect();
    asked.extend([
        ("correctie", &[][..], "100001"),
        ("dataportabiliteit", &["--feed", "feed.xml"], "100001"),
        ("lek", &[], eckid),
        ("leverancier", &[], ""),
    ]);
    for (name, more, input) in asked {
        let text = ok(report(&home, name, &[more, &["--format", "text"]].concat(), input));
        let output = home.output_with(&words(name, &[more, &["--format", "pdf"]].concat()), input);
        assert!(output.status.success() && output.stdout.starts_with(b"%PDF-1.7"), "{name}");
        let file = home.path(&format!("{name}.pdf"));
        fs::write(&file, &output.stdout).unwrap();
        check(name, &text, &file);
    }
}

/// Runs a tool of others.
fn run(tool: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(tool).args(arguments).output().ok()?;
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool}: {err}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn check(name: &str, text: &str, file: &Path) {
    let file = file.to_str().unwrap();
    let checked = run("qpdf", &["--check", file]).unwrap();
    assert!(checked.contains("No syntax or stream encoding errors"), "{checked}");
    let info = run("pdfinfo", &[file]).unwrap();
    for line in ["Tagged:          yes", "Page size:       595.28 x 841.89 pts (A4)", "JavaScript:      no"] {
        assert!(info.contains(line), "{name}: {info}");
    }
    for line in ["Author:", "Producer:", "Creator:"] {
        assert!(!info.contains(line), "{name}: {info}");
    }

    // Every line of the text, in order, letter for letter.
    let raw = run("pdftotext", &["-raw", file, "-"]).unwrap();
    let pages: Vec<&str> = raw.split_terminator('\u{c}').collect();
    let mut all = String::new();
    for (number, page) in (1..).zip(&pages) {
        let counted = letters(&format!("bladzijde {number} van {}", pages.len()));
        let page = letters(page);
        assert!(page.contains(&counted) && page.contains(&letters(FOOT)), "{page} in {name}");
        all.push_str(&page.replace(&counted, "").replace(&letters(FOOT), ""));
    }
    let (head, body) = text.split_once("\n\n").unwrap();
    // Each reading has its own reference.
    for word in head.split_whitespace().filter(|word| word.len() != 36) {
        assert!(all.contains(&letters(word)), "{word} in {all} of {name}");
    }
    let mut place = 0;
    for line in body.lines().filter(|line| !line.chars().all(|c| c == '-')) {
        let line = letters(line);
        let found = all[place..].find(&line);
        place += found.unwrap_or_else(|| panic!("{line} in {} of {name}", &all[place..])) + line.len();
    }

    for secret in SECRETS.iter().filter(|secret| !text.contains(*secret)) {
        assert!(!raw.contains(secret) && !info.contains(secret), "{secret} in {name}");
    }

    // Every word that is not broken is a word as it lies on the page.
    let layout = run("pdftotext", &["-layout", file, "-"]).unwrap().to_lowercase();
    let lying: Vec<&str> = layout.split_whitespace().collect();
    for word in body.to_lowercase().split_whitespace().map(|word| word.trim_end_matches(':')) {
        if word.chars().count() < 16 && !word.chars().all(|c| c == '-') {
            assert!(
                lying.iter().any(|lying| lying.trim_end_matches(':') == word),
                "{word} in {layout} of {name}"
            );
        }
    }

    // What it means is there for who does not see it.
    let tree = run("pdfinfo", &["-struct", file]).unwrap();
    let tag = |line: &str| line.trim_start().split([' ', ':']).next().unwrap_or_default().to_owned();
    let tags: Vec<String> = tree.lines().map(tag).collect();
    let count = |tag: &str| tags.iter().filter(|found| *found == tag).count();
    assert_eq!(count("H1"), 1, "{tree} of {name}");
    assert_eq!(count("LI"), count("LBody"), "{tree} of {name}");
    // A row has a head; one more has the heads of the columns.
    let (tables, rows) = (count("Table"), count("TR"));
    assert_eq!((count("THead"), count("Caption")), (tables, tables), "{tree} of {name}");
    assert_eq!(tree.matches("/Scope /Row").count(), rows - tables, "{tree} of {name}");
    assert_eq!(tree.matches("/Scope").count(), count("TH"), "{tree} of {name}");
    assert_eq!(tables > 0, !matches!(name, "privacyverklaring"), "{tree} of {name}");
}

/// The letters of a text: two forms differ in spaces, in marks of lists and of facts, and in capitals.
fn letters(text: &str) -> String {
    let text = text.to_lowercase();
    text.trim_start()
        .trim_start_matches("- ")
        .chars()
        .filter(|c| !c.is_whitespace() && !":•".contains(*c))
        .collect()
}
