//! Names that are no names: of schools, suppliers, products and people, and what people write.

use serde_json::json;
use sluis::review::account::Role;

use super::App;

const SCRIPT: &str = "<script>alert(1)</script>";
const IMAGE: &str = "\"'><img src=x onerror=alert(1)>";
/// Agreements take no author with an opening bracket.
const AUTHOR: &str = "Auteur \"'>&lt;script&gt;";
const FORMULA: &str = "=HYPERLINK(\"https://evil.example\",\"x\")";

#[test]
fn a_text_is_never_more_than_a_text() {
    let (school, product) = (format!("School {SCRIPT}"), format!("Boot {IMAGE}"));
    let app = App::with([&school, FORMULA, &product, AUTHOR]);
    let fg = app.someone("<b onclick=alert(1)>fg</b>", Role::Fg, &[]);
    let decides = app.someone("<b onclick=alert(1)>gk</b>", Role::Goedkeurder, &[]);
    let place = app.place(&fg, "99KK", "zuidzee");
    let reason = format!("reden {IMAGE}{SCRIPT}");
    let path = format!("/api/v1/holds/99KK/{}", place.hold);
    assert_eq!(decides.json("POST", &path, &json!({ "approve": false, "reason": reason })).status, 200);
    let path = format!("/api/v1/reviews/99KK/{}", place.month);
    let conclusion = json!({ "root": place.root, "sample": [], "conclusion": format!("slot {IMAGE}") });
    assert_eq!(fg.json("POST", &path, &conclusion).status, 200);

    let mut found = String::new();
    let position = format!("/verstrekkingen/{}", place.position);
    let sample = format!("/controle/99KK/{}", place.month);
    let query =
        format!("/verstrekkingen?school=99KK&veld=&afloop=&x={}", "%3Cscript%3Ealert(1)%3C/script%3E%22%27");
    let unknown = "/%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for path in [
        "/",
        "/verstrekkingen",
        &query,
        &position,
        "/leveranciers",
        "/leveranciers/zuidzee",
        "/leerling",
        "/datalek",
        "/controle",
        &sample,
        "/besluiten",
        "/inloggen?melding=%3Cscript%3E",
        unknown,
        "/leveranciers/%3Cscript%3E",
    ] {
        for client in [&fg, &decides] {
            let got = client.get(path);
            if got.header("content-type").starts_with("text/html") {
                let text = got.text();
                for raw in ["<script>", "<img", "<b on", "\"'>", "onerror=alert(1)>"] {
                    assert!(!text.contains(raw), "{raw} in {path}");
                }
                found += &text;
            }
        }
    }
    for shown in [
        "School &lt;script&gt;alert(1)&lt;/script&gt;",
        "Boot &quot;'&gt;&lt;img src=x onerror=alert(1)&gt;",
        "=HYPERLINK(&quot;https://evil.example&quot;",
        "Auteur &quot;'&gt;&amp;lt;script&amp;gt;",
        "reden &quot;'&gt;&lt;img",
        "slot &quot;'&gt;&lt;img",
        "&lt;b onclick=alert(1)&gt;gk&lt;/b&gt;",
    ] {
        assert!(found.contains(shown), "{shown} is on no page, so nothing was looked for");
    }
    let sheet = fg.get("/verstrekkingen.csv").text();
    assert!(
        sheet.starts_with('\u{feff}') && sheet.contains(",\"'=HYPERLINK(\"\"https://evil.example\"\""),
        "{sheet}"
    );
    for line in sheet.trim_start_matches('\u{feff}').lines() {
        for cell in line.split(',') {
            assert!(!cell.trim_start_matches('"').starts_with(['=', '+', '-', '@']), "{line}");
        }
    }
    app.stop();
}

/// What turns writing around, or cannot be seen, shows as a replacement.
#[test]
fn no_text_reads_as_another() {
    let app = App::start();
    let fg = app.someone("fg", Role::Fg, &[]);
    let decides = app.someone("gk", Role::Goedkeurder, &[]);
    let place = app.place(&fg, "99KK", "zuidzee");
    let path = format!("/api/v1/holds/99KK/{}", place.hold);
    let reason = "goed\u{202e}tfihcs\u{2066}.";
    assert_eq!(decides.json("POST", &path, &json!({ "approve": false, "reason": reason })).status, 200);
    let text = fg.get("/besluiten").text();
    assert!(text.contains("goed\u{fffd}tfihcs"), "{text}");
    assert!(!text.contains(['\u{202e}', '\u{2066}']));
    app.stop();
}
