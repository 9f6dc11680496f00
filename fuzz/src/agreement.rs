//! What parses as an agreement and compiles releases no more than its lines name.

use std::{collections::BTreeSet, path::Path};

use sluis::{
    catalogue::{Kind, Sensitivity, Treatment, catalogue},
    policy::{
        Ruling, Rulings,
        agreement::{changes, only_narrows, parse, parse_recorded},
    },
};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = parse(text, Path::new("overeenkomst.toml"), &["99DE"], &["noordzee"]);
    let agreement = match read {
        Ok(agreement) => agreement,
        Err(problems) => {
            assert!(!problems.is_empty(), "a refusal says why");
            let lines = text.lines().count().max(1);
            for problem in problems {
                let shown = problem.to_string();
                let line = shown.strip_prefix("overeenkomst.toml:").and_then(|rest| rest.split(':').next());
                if let Some(line) = line.and_then(|line| line.parse::<usize>().ok()) {
                    assert!((1..=lines + 1).contains(&line), "line {line} of {lines}");
                }
            }
            return;
        }
    };
    assert_eq!((agreement.school.as_str(), agreement.recipient.as_str()), ("99DE", "noordzee"));
    assert!(agreement.from <= agreement.until);
    // The file once more, as TOML and no more.
    let table: toml::Table = text.parse().expect("what is an agreement is TOML");
    let release = table["release"].as_table().expect("a table");
    let text_of = |name: &str| table.get(name).and_then(toml::Value::as_str);
    let legal = text_of("basis") == Some("wettelijke-verplichting");
    let catalogue = catalogue();
    let mut named = BTreeSet::new();
    for (name, how) in release {
        let field = catalogue.find(name).expect("a line names a field");
        let how = Treatment::parse(how.as_str().expect("a word")).expect("a treatment");
        assert!(field.treatments.contains(&how), "{name} has no such treatment");
        assert!(field.kind != Kind::Pgn || legal, "{name} without a legal duty");
        assert!(
            field.sensitivity != Sensitivity::Special || table.contains_key("special"),
            "{name} without a ground"
        );
        if let (Some(category), Some(ids)) = (field.category, table.get("categories")) {
            let id = &catalogue.categories()[category].id;
            let ids = ids.as_array().expect("a list");
            assert!(ids.iter().any(|named| named.as_str() == Some(id)), "{name} of no category named");
        }
        assert!(named.insert(field.id), "{name} twice");
        assert_eq!(agreement.release[&field.name].treatment, how);
    }
    assert_eq!(agreement.release.len(), release.len());

    let rulings = Rulings::compile(&agreement);
    for field in catalogue.fields() {
        let ruling = rulings.ruling(field.id);
        if ruling == Ruling::Withhold {
            assert!(
                !named.contains(&field.id) || field.treatments.is_empty(),
                "{} is named and stays",
                field.name
            );
            continue;
        }
        let kind = catalogue.record(field.record);
        let own = kind.key == Some(field.id) || kind.eckid == Some(field.id);
        if named.contains(&field.id) {
            let asked = agreement.release[&field.name].treatment;
            let whole = ruling == Ruling::Pass;
            assert!(!whole || asked == Treatment::Pass || field.sensitivity == Sensitivity::Addressing);
            assert!(!matches!(field.kind, Kind::Key | Kind::Eckid) || ruling == Ruling::Pseudonymise);
            let line = rulings.line(field.id).expect("a line");
            let shown = text.lines().nth(line - 1).expect("a line of the file");
            // Keys may be written with escapes; most are not.
            assert!(
                shown.contains('"') || shown.contains('\'') || shown.contains('='),
                "line {line} is none of [release]"
            );
        } else if own {
            assert_eq!(ruling, Ruling::Pseudonymise, "{} leaves as it is", field.name);
            assert!(rulings.covers(field.record));
        } else {
            assert!(field.sensitivity == Sensitivity::Addressing, "{} leaves without a line", field.name);
        }
    }

    let again = parse_recorded(text).expect("what is in force can be read again");
    assert_eq!((again.hash, &again.release), (agreement.hash, &agreement.release));
    assert!(only_narrows(&agreement, &again), "the same gives no more");
    assert!(changes(Some(&agreement), &again).is_empty(), "the same is no change");
}
