//! A page is one file that asks for nothing, runs nothing, and reads well.

use std::{fs, process::Command};

use super::{JANNEKE, REPORTS, delivered, jip, ok, report, report_page, school};

/// The pages of all reports, by name.
fn pages() -> Vec<(&'static str, String)> {
    let (home, _) = delivered();
    fs::write(home.path("feed.xml"), school(&[JANNEKE, &jip()])).unwrap();
    let mut pages: Vec<(&str, String)> =
        REPORTS.iter().map(|&name| (name, ok(report_page(&home, name, "100001")))).collect();
    let with_feed = ["--feed", "feed.xml", "--format", "html"];
    pages.push((
        "dataportabiliteit met waarden",
        ok(report(&home, "dataportabiliteit", &with_feed, "100001")),
    ));
    for (name, more) in [("leverancier", "--recipient"), ("lek", "--recipient")] {
        let out = ok(home.run(&["report", name, more, "noordzee", "--format", "html"]));
        pages.push((name, out));
    }
    let with_feed = ["--feed", "feed.xml", "--school", "99DE", "--by", "key", "--format", "html"];
    let ran = home.run_with(&[&["report", "correctie"], &with_feed[..]].concat(), "100001");
    pages.push(("correctie", ok(ran)));
    pages
}

#[test]
fn a_page_asks_for_nothing_and_runs_nothing() {
    for (name, page) in pages() {
        assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"nl\">"), "{name}");
        for part in
            ["<meta charset=\"utf-8\">", "name=\"viewport\"", "default-src 'none'", "<main>", "<title>"]
        {
            assert!(page.contains(part), "{part} in {name}");
        }
        for part in ["<script", "<b>Actief", "src=", "href=", "url(", "@import", "<img", "<link", "onload"] {
            assert!(!page.contains(part), "{part} in {name}");
        }
        // Headings go down one level at a time; each tag that opens closes, in order.
        let (mut open, mut level) = (Vec::new(), 0);
        for tag in page.split('<').skip(2).map(|rest| rest.split('>').next().unwrap()) {
            let word = tag.split(' ').next().unwrap();
            if let Some(word) = word.strip_prefix('/') {
                assert_eq!(open.pop(), Some(word), "{name}");
                continue;
            }
            if let Some(digit) = word.strip_prefix('h').and_then(|digit| digit.parse::<u32>().ok()) {
                assert!(digit <= level + 1, "{word} after h{level} in {name}");
                level = digit;
            }
            assert!(word != "th" || tag.contains("scope="), "{tag} in {name}");
            if word != "meta" {
                open.push(word);
            }
        }
        assert!(open.is_empty(), "{open:?} in {name}");
        assert_eq!(page.matches("<h1>").count(), 1, "{name}");
    }
    let (_, overview) = pages().into_iter().find(|(name, _)| *name == "ontvangers").unwrap();
    assert!(overview.contains("Zuidzee &amp; Zn. &lt;script&gt;alert('x')&lt;/script&gt;"), "{overview}");
    assert!(overview.contains("Taal &lt;b&gt;Actief&lt;/b&gt;"), "{overview}");
}

/// A browser reads each page as it was meant.
#[test]
#[allow(clippy::print_stderr, reason = "what could not be tested has to be said")]
fn a_browser_opens_each_page() {
    if Command::new("chromium").arg("--version").output().is_err() {
        eprintln!("chromium is not here: passed over");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, page) in pages() {
        let file = folder.path().join("page.html");
        fs::write(&file, &page).unwrap();
        let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
        let ran = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", &profile])
            .arg(&file)
            .output()
            .unwrap();
        let dom = String::from_utf8(ran.stdout).unwrap();
        let heading =
            |text: &str| text.split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap().to_owned();
        assert_eq!(heading(&dom), heading(&page), "{name}");
        assert!(dom.contains("<html lang=\"nl\">") && !dom.contains("<script"), "{name}");
        for tag in ["<h2>", "<h3>", "<tr>", "<dt>", "<li>", "scope=\"col\"", "scope=\"row\""] {
            assert_eq!(dom.matches(tag).count(), page.matches(tag).count(), "{tag} in {name}");
        }
    }
}
