use std::{fs, path::Path};

use serde_json::Value;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

pub(crate) fn schema(name: &str) -> jsonschema::Validator {
    let text = fs::read_to_string(folder().join(name)).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    assert!(jsonschema::meta::is_valid(&schema), "{name} is no JSON Schema");
    jsonschema::validator_for(&schema).unwrap()
}

/// TOML as JSON: dates become strings.
pub(crate) fn json(text: &str) -> Value {
    fn value(given: toml::Value) -> Value {
        match given {
            toml::Value::String(text) => text.into(),
            toml::Value::Integer(number) => number.into(),
            toml::Value::Float(number) => number.into(),
            toml::Value::Boolean(truth) => truth.into(),
            toml::Value::Datetime(date) => date.to_string().into(),
            toml::Value::Array(items) => items.into_iter().map(value).collect(),
            toml::Value::Table(table) => table.into_iter().map(|(key, inner)| (key, value(inner))).collect(),
        }
    }
    value(toml::from_str(text).unwrap())
}

#[test]
fn every_schema_is_loaded_here() {
    let mut names: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let tested = [
        "README.md",
        "agreement.schema.json",
        "catalogue.schema.json",
        "catalogue.toml",
        "notices.schema.json",
        "purposes.toml",
        "sluis.schema.json",
    ];
    assert_eq!(names, tested);
}

#[test]
fn the_catalogue_fits_its_schema() {
    let catalogue = json(&fs::read_to_string(folder().join("catalogue.toml")).unwrap());
    let schema = schema("catalogue.schema.json");
    let errors: Vec<_> = schema.iter_errors(&catalogue).map(|error| error.to_string()).take(3).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn what_init_writes_fits_the_schemas() {
    let home = crate::home::Home::new();
    for (file, name) in [
        ("sluis.toml", "sluis.schema.json"),
        ("agreements/99DE-noordzee-rekenroute.toml", "agreement.schema.json"),
    ] {
        let schema = schema(name);
        let written = json(&fs::read_to_string(home.path(file)).unwrap());
        let errors: Vec<_> = schema.iter_errors(&written).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        let mut wrong = written;
        wrong["onbekend"] = true.into();
        assert!(!schema.is_valid(&wrong), "{name} lets an unknown key pass");
    }
}

/// Every field and treatment the catalogue knows can be completed in an editor, and no other.
#[test]
fn the_agreement_schema_knows_the_catalogue() {
    let text = fs::read_to_string(folder().join("agreement.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let release = schema["properties"]["release"]["properties"].as_object().unwrap();
    for field in sluis::catalogue::catalogue().fields() {
        let record = field.name.split('.').next().unwrap();
        let in_feeds = ["school", "vestiging", "groep", "samengestelde_groep", "leerling", "leerkracht"];
        let listed = release.get(&field.name);
        if field.treatments.is_empty() || !in_feeds.contains(&record) {
            assert!(listed.is_none(), "{} cannot be released", field.name);
            continue;
        }
        let words: Vec<&str> = listed.unwrap_or_else(|| panic!("{} is missing", field.name))["enum"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        let expected: Vec<&str> = field.treatments.iter().map(|treatment| treatment.as_str()).collect();
        assert_eq!(words, expected, "{}", field.name);
    }
}
