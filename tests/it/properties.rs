//! Whatever the agreement and whatever the document: only what is named leaves.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sluis::catalogue::{Kind, NodeId, Sensitivity, catalogue};

use crate::documents::{Bench, SCHOOL};

const NS: &str = "http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens";

/// Fields of persons and groups that an agreement under `overeenkomst` can name.
fn releasable() -> Vec<(&'static str, Vec<&'static str>)> {
    let catalogue = catalogue();
    let wanted = ["vestiging", "groep", "samengestelde_groep", "leerling", "leerkracht"];
    catalogue
        .fields()
        .iter()
        .filter(|field| wanted.contains(&catalogue.record(field.record).name.as_str()))
        .filter(|field| field.kind != Kind::Pgn && !field.treatments.is_empty())
        .map(|field| (field.name.as_str(), field.treatments.iter().map(|how| how.as_str()).collect()))
        .collect()
}

fn agreement() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let fields = releasable();
    let count = fields.len();
    proptest::sample::subsequence(fields, 0..=count).prop_flat_map(|fields| {
        fields
            .into_iter()
            .map(|(name, treatments)| (Just(name), proptest::sample::select(treatments)))
            .collect::<Vec<_>>()
    })
}

/// A value for a place that says where it came from: `v<number>x`, or well-formed for its field where it has to be.
fn value(field: &sluis::catalogue::Field, number: usize, well_formed: bool) -> String {
    use sluis::catalogue::Pattern;
    if !well_formed {
        return format!("v{number}x");
    }
    match (field.kind, &field.form.pattern) {
        (Kind::Date, _) => format!("20{:02}-{:02}-{:02}", number % 90 + 10, number % 12 + 1, number % 28 + 1),
        (Kind::Datetime, _) => format!("2026-01-01T{:02}:{:02}:00", number % 24, number % 60),
        (Kind::Postcode, Some(Pattern::PostcodeNl)) => format!("{:04}AB", number % 9000 + 1000),
        (_, Some(Pattern::Digits(low, _))) => format!("{:0width$}", number % 10_000, width = *low),
        (_, Some(Pattern::In(words))) => words[number % words.len()].clone(),
        _ if field.form.max.is_some_and(|max| max < 8) => {
            format!("{}", char::from(b'A' + u8::try_from(number % 26).unwrap()))
        }
        _ => format!("v{number}x"),
    }
}

/// A record with every element and attribute its kind can have, plus unknown ones at every level.
fn record(node: NodeId, number: &mut usize, well_formed: bool, out: &mut String) {
    let catalogue = catalogue();
    let place = catalogue.tree().node(node);
    *number += 1;
    out.push_str(&format!("<{} onbekend=\"v{number}x\"", place.name));
    for attribute in &place.attributes {
        *number += 1;
        out.push_str(&format!(" {}=\"k{number}\"", attribute.name));
    }
    out.push('>');
    *number += 1;
    out.push_str(&format!(
        "<onbekend>v{number}x</onbekend><v:vreemd xmlns:v=\"urn:v\">v{number}y</v:vreemd><!-- v{number}z -->"
    ));
    for &child in &place.children {
        let inside = catalogue.tree().node(child);
        match inside.text {
            Some(field) => {
                *number += 1;
                let text = value(catalogue.field(field), *number, well_formed);
                out.push_str(&format!("<{0}>{text}</{0}>", inside.name));
            }
            None => record(child, number, well_formed, out),
        }
    }
    out.push_str(&format!("</{}>", place.name));
}

fn document(pupils: usize, well_formed: bool) -> String {
    let catalogue = catalogue();
    let feed = catalogue.feed(catalogue.feed_named("leerlinggegevens"));
    let mut number = 1000;
    let mut out = format!("<leerlinggegevens_antwoord xmlns=\"{NS}\"><leerlinggegevens>{SCHOOL}");
    for section in &feed.sections[1..] {
        let wrapper = &catalogue.tree().node(section.wrapper.unwrap()).name;
        out.push_str(&format!("<{wrapper}>"));
        for &(_, node) in &section.records {
            for _ in 0..pupils {
                record(node, &mut number, well_formed, &mut out);
            }
        }
        out.push_str(&format!("</{wrapper}>"));
    }
    out + "</leerlinggegevens></leerlinggegevens_antwoord>"
}

/// The fields that stand in a document, with their values, by walking it with the decoder.
fn fields_of(document: &str, strict: bool) -> Vec<(&'static str, String)> {
    use sluis::{
        decode::{Limits, decode},
        token::Token,
    };
    let mut found = Vec::new();
    decode(document.as_bytes(), None, &Limits::default(), &mut |token: Token<'_>| {
        match token {
            Token::Field { field, value, .. } => {
                found.push((catalogue().field(field).name.as_str(), value.to_owned()));
            }
            Token::Unknown(_) => assert!(!strict, "the output holds something the catalogue does not know"),
            _ => {}
        }
        Ok::<_, ()>(())
    })
    .unwrap();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_what_the_agreement_names_leaves(release in agreement(), pupils in 1usize..4, well_formed: bool) {
        let source = document(pupils, well_formed);
        let (out, _) = Bench::new(&release).minimise(source.as_bytes(), None).unwrap();
        let named: BTreeSet<&str> = release.iter().map(|(name, _)| *name).collect();
        let catalogue = catalogue();
        for (name, value) in fields_of(&out, true) {
            let field = catalogue.find(name).unwrap();
            let kind = catalogue.record(field.record);
            let own = kind.key == Some(field.id) || kind.eckid == Some(field.id);
            let constant = field.constant.as_deref() == Some(value.as_str());
            prop_assert!(
                named.contains(name) || own || constant || field.sensitivity == Sensitivity::Addressing,
                "{} left without a line", name
            );
            if matches!(field.kind, Kind::Key | Kind::Eckid) {
                let shape = value.len() == 64 || value.starts_with("https://sluis.example/1/");
                prop_assert!(shape, "{} left as it was", name);
            }
        }
        // What stood where the standard has nothing is gone, whatever the agreement.
        prop_assert!(!["onbekend", "vreemd", "urn:v", "<!--"].iter().any(|part| out.contains(part)));
        // Values of fields that are coarsened do not leave whole.
        for (name, how) in &release {
            if *how != "pass" && *how != "pseudonym" {
                let whole: Vec<_> = fields_of(&source, false).into_iter().filter(|(n, _)| n == name).map(|(_, v)| v).collect();
                for (field, value) in fields_of(&out, true) {
                    prop_assert!(field != *name || !whole.contains(&value) || value.ends_with("-01") || value.len() == 1);
                }
            }
        }
    }

    /// No input makes it panic, and what comes out is always a document the decoder takes back.
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..2000) {
        let mut source = document(1, true).into_bytes();
        let at = at.min(source.len());
        source.splice(at..at, bytes);
        if let Ok((out, _)) = Bench::new(crate::documents::SMALL).minimise(source.as_slice(), None) {
            fields_of(&out, true);
        }
    }
}
