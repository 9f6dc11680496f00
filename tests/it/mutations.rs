//! Each key of the configuration and of agreements, misspelt, left out and with values that are none: `check` says so,
//! at its line, and never goes on with a default.
//!
//! Which keys there are, the schemas say: a key without an example here fails the first test. Files are mutated as
//! trees and written out in both ways that TOML has for tables, so that each mutation is one thing and its line known.

mod tree;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value as Json;
use sluis::{
    clock::SystemClock,
    config::Config,
    policy::agreement::{self, Agreement},
    problem::Problem,
    tls::DevelopmentCa,
};
use toml::{Table, Value};

use self::tree::{Place, Step, Style, Written, all_places, at, by_schema, changed, inline, json};
use crate::home::Home;

/// Every key of `sluis.toml`. What excludes one another stands in tables of the same kind.
const CONFIG: &str = include_str!("mutations/sluis.toml");

/// Every key of an agreement beside the lines of `[release]`, which are added from the catalogue's schema.
const AGREEMENT: &str = include_str!("mutations/agreement.toml");

/// The keys a schema knows at each depth, and those it insists on.
#[derive(Default)]
struct Keys {
    all: BTreeSet<String>,
    required: BTreeSet<String>,
}

impl Keys {
    fn walk(&mut self, schema: &Json, at: &str) {
        let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}/{key}") };
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            self.all.insert(below(key));
            self.walk(inner, &below(key));
        }
        for pattern in schema["patternProperties"].as_object().into_iter().flatten() {
            let words = pattern.0.trim_start_matches("^(").trim_end_matches(")$");
            self.all.extend(words.split('|').map(|word| below(&word.replace('\\', ""))));
        }
        if schema["items"].is_object() {
            self.walk(&schema["items"], &below("[]"));
        }
        let choices = schema["oneOf"].as_array().into_iter().flatten();
        choices.for_each(|choice| self.walk(choice, at));
        let required = schema["required"].as_array().into_iter().flatten();
        self.required.extend(required.map(|key| below(key.as_str().unwrap())));
    }
}

/// A schema, and what reads the files it is of.
struct Subject {
    schema: Json,
    validator: jsonschema::Validator,
    keys: Keys,
    home: Home,
    file: PathBuf,
}

impl Subject {
    fn config() -> Self {
        Self::new("sluis.schema.json", "sluis.toml")
    }

    fn agreement() -> Self {
        let subject = Self::new("agreement.schema.json", "agreements/99DE-noordzee-rekenroute.toml");
        // The binary reads agreements with the parties that are configured.
        fs::write(subject.home.path("sluis.toml"), CONFIG).unwrap();
        subject
    }

    fn new(schema: &str, file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(schema);
        let schema: Json = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let mut keys = Keys::default();
        keys.walk(&schema, "");
        let home = Home::new();
        for (file, secret) in [
            ("secrets/noordzee-webhook.toml", "whsec_c2VjcmV0IG9mIG5vb3JkemVlLCBub2JvZHkgZWxzZQ=="),
            ("secrets/oidc.toml", "what sluis shows"),
        ] {
            let path = home.path(file);
            fs::write(&path, format!("secret = \"{secret}\"\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        // The issuer of nobody here: a list of its own kind is all that is looked for.
        let revoked = DevelopmentCa::new().unwrap().revocations(&[], 7).unwrap();
        fs::write(home.path("certs/ca.crl"), revoked).unwrap();
        let file = home.path(file);
        Self { schema, validator, keys, home, file }
    }

    /// What the command would say of a file, and what it would go on with.
    fn read(&self, text: &str) -> Result<String, Vec<Problem>> {
        if self.is_config() {
            fs::write(&self.file, text).unwrap();
            let config = Config::load(&self.file, &SystemClock)?;
            Ok(format!("{config:?}"))
        } else {
            let read = agreement::parse(text, &self.file, &["99DE"], &["noordzee", "oostzee", "westzee"])?;
            // What is read, without the text it was read from.
            let Agreement { id, version, school, recipient, product, annex, .. } = &read;
            let Agreement { purpose, basis, from, until, domain, release, terms, .. } = &read;
            let release: Vec<_> = release.iter().map(|(name, line)| (name, line.treatment)).collect();
            Ok(format!(
                "{:?}",
                (
                    (id, version, school, recipient, product, annex),
                    (purpose, basis, from, until, domain, release, terms)
                )
            ))
        }
    }

    fn is_config(&self) -> bool {
        self.file.ends_with("sluis.toml")
    }

    fn fits_schema(&self, tree: &Table) -> bool {
        self.validator.is_valid(&json(&Value::Table(tree.clone())))
    }

    /// What the schema says of a place.
    fn schema_of(&self, place: &[Step]) -> Json {
        fn find(schema: &Json, place: &[Step]) -> Option<Json> {
            let Some((step, rest)) = place.split_first() else { return Some(schema.clone()) };
            let inner = match step {
                Step::At(_) => schema.get("items").and_then(|items| find(items, rest)),
                Step::Key(key) => schema["properties"].get(key).and_then(|inner| find(inner, rest)),
            };
            let choices = schema["oneOf"].as_array().into_iter().flatten();
            inner.or_else(|| choices.filter_map(|choice| find(choice, place)).next())
        }
        find(&self.schema, place).unwrap_or(Json::Null)
    }

    /// The command, on a file: what it ends with, and what it says.
    fn check(&self, text: &str) -> (i32, String) {
        fs::write(&self.file, text).unwrap();
        let ran = self.home.run(&["check", "--config", self.home.path("sluis.toml").to_str().unwrap()]);
        (ran.code, ran.err)
    }

    /// The command says what the library says, and nothing else.
    fn assert_same(&self, text: &str, problems: &[Problem]) {
        let (code, said) = self.check(text);
        let mut expected: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        if problems.len() > 1 {
            expected += &format!("{} problems\n", problems.len());
        }
        assert_eq!((code, said), (1, expected), "{text}");
    }
}

fn configuration() -> Vec<Table> {
    vec![CONFIG.parse().unwrap()]
}

/// Agreements that have every key between them: the domains of pseudonyms exclude one another, and so do two names of
/// one field.
fn agreements(keys: &Keys) -> Vec<Table> {
    let names = keys.all.iter().filter_map(|key| key.strip_prefix("release/"));
    let catalogue = sluis::catalogue::catalogue();
    let (own, also): (Vec<_>, Vec<_>) = names.partition(|name| catalogue.find(name).unwrap().name == *name);
    let with = |names: &[&str]| -> Table {
        let mut seen = BTreeSet::new();
        let mut lines = String::new();
        for name in names {
            let field = catalogue.find(name).unwrap();
            if seen.insert(field.id) {
                lines += &format!("\"{name}\" = \"{}\"\n", field.treatments[0].as_str());
            }
        }
        format!("{AGREEMENT}{lines}").parse().unwrap()
    };
    let mut chain = "domain = \"chain\"\nchain = \"leermiddelen\"\nsector = \"po\"".parse().unwrap();
    let mut trees = vec![with(&own)];
    for name in also {
        let mut tree = with(&[name]);
        tree.insert("pseudonym".into(), Value::Table(std::mem::take(&mut chain)));
        chain = tree["pseudonym"].as_table().unwrap().clone();
        trees.push(tree);
    }
    trees
}

/// Both files, each with the trees that have every key between them.
fn subjects() -> Vec<(Subject, Vec<Table>)> {
    let (config, agreement) = (Subject::config(), Subject::agreement());
    let trees = agreements(&agreement.keys);
    vec![(config, configuration()), (agreement, trees)]
}

/// Without this the rest could pass for want of anything to mutate.
#[test]
fn the_examples_are_in_order_and_have_every_key() {
    for (subject, trees) in subjects() {
        let mut used = BTreeSet::new();
        for tree in &trees {
            assert!(subject.fits_schema(tree), "{:?}", tree);
            for style in [Style::Headers, Style::Inline] {
                let written = Written::new(tree, style);
                assert_eq!(written.text.parse::<Table>().unwrap(), *tree, "{}", written.text);
                subject.read(&written.text).unwrap();
                let (code, said) = subject.check(&written.text);
                assert_eq!(code, 0, "{said}");
            }
            used.extend(all_places(tree).iter().map(|place| by_schema(place)));
        }
        let missing: Vec<_> = subject.keys.all.difference(&used).collect();
        assert!(missing.is_empty(), "no example of {missing:?}");
    }
}

/// Misspellings of a key: a letter less, one more, two that changed places, another case.
fn misspellings(key: &str) -> BTreeSet<String> {
    let letters: Vec<char> = key.chars().collect();
    let mut found = BTreeSet::new();
    for i in 0..letters.len() {
        let mut put = |change: &dyn Fn(&mut Vec<char>)| {
            let mut letters = letters.clone();
            change(&mut letters);
            found.insert(letters.into_iter().collect::<String>());
        };
        put(&|word| {
            word.remove(i);
        });
        put(&|word| word.insert(i, 'x'));
        put(&|word| word.insert(i, word[i]));
        put(&|word| {
            if i > 0 {
                word.swap(i - 1, i);
            }
        });
        put(&|word| word[i] = word[i].to_ascii_uppercase());
        put(&|word| {
            word[i] = match word[i] {
                '_' => '-',
                '-' => '_',
                other => other,
            }
        });
    }
    found.insert(format!("{key}s"));
    found.insert(format!("{key} "));
    found.insert(key.to_ascii_uppercase());
    found.remove(key);
    found
}

/// The key at a place under another name.
fn renamed(tree: &Table, place: &[Step], name: &str) -> Table {
    let (Step::Key(key), above) = place.split_last().unwrap() else { panic!("only keys have names") };
    changed(tree, above, |table| {
        let table = table.as_table_mut().unwrap();
        let value = table.remove(key).unwrap();
        assert!(table.insert(name.to_owned(), value).is_none(), "{name} is another key");
    })
}

fn key_places(tree: &Table) -> Vec<Place> {
    let keys = |place: &Place| matches!(place.last(), Some(Step::Key(_)));
    all_places(tree).into_iter().filter(keys).collect()
}

fn is_release(place: &[Step]) -> bool {
    matches!(place, [Step::Key(release), Step::Key(_)] if release == "release")
}

/// Lines of `[release]` are many and alike: each is mutated in an agreement that has no other.
fn alone(tree: &Table, place: &[Step]) -> Table {
    let kept = match place {
        [_, Step::Key(name)] if is_release(place) => name,
        _ => "leerling.roepnaam",
    };
    let mut tree = tree.clone();
    if let Some(release) = tree.get_mut("release") {
        release.as_table_mut().unwrap().retain(|name, _| name == kept);
    }
    tree
}

#[test]
fn a_misspelt_key_is_an_error_at_its_line() {
    let (mut tried, mut through) = (0, 0);
    for (subject, trees) in subjects() {
        let mut seen = BTreeSet::new();
        for tree in &trees {
            for place in key_places(tree) {
                if !seen.insert(by_schema(&place)) {
                    continue;
                }
                let Some((Step::Key(key), above)) = place.split_last() else { unreachable!() };
                let tree = alone(tree, &place);
                // A name of a field is held against all others, to say which was meant; that takes its time.
                let most = if is_release(&place) { 6 } else { 24 };
                let step = misspellings(key).len() / most + 1;
                for (turn, wrong) in misspellings(key).into_iter().step_by(step).enumerate() {
                    let mut at = above.to_vec();
                    at.push(Step::Key(wrong.clone()));
                    if subject.keys.all.contains(&by_schema(&at)) {
                        continue;
                    }
                    let tree = renamed(&tree, &place, &wrong);
                    assert!(!subject.fits_schema(&tree), "the schema lets {wrong} pass");
                    let style = if turn % 2 == 0 { Style::Headers } else { Style::Inline };
                    let written = Written::new(&tree, style);
                    let Err(problems) = subject.read(&written.text) else {
                        panic!("{wrong} passes for {key}:\n{}", written.text)
                    };
                    let line = written.lines[&at];
                    let said = problems.iter().any(|p| p.file == subject.file && p.line == Some(line));
                    assert!(said, "{wrong} for {key}, at line {line} of\n{}\n{problems:#?}", written.text);
                    tried += 1;
                    // Each key once through the command, the lines of `[release]` apart.
                    if turn == 0 && !is_release(&place) {
                        subject.assert_same(&written.text, &problems);
                        through += 1;
                    }
                }
            }
        }
    }
    assert!(tried > 2_200 && through > 80, "{tried} {through}");
}

/// One key twice, at any depth: neither value counts.
#[test]
fn a_key_that_stands_twice_is_an_error() {
    let mut tried = 0;
    for (subject, trees) in subjects() {
        for tree in &trees {
            let written = Written::new(&alone(tree, &[]), Style::Headers);
            let lines: Vec<_> = written.text.lines().collect();
            for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.starts_with("[[")) {
                let text = [&lines[..=at], &[line], &lines[at + 1..]].concat().join("\n");
                let Err(problems) = subject.read(&text) else { panic!("{line} passes twice") };
                let there = |p: &Problem| p.file == subject.file && p.line == Some(at + 2);
                assert!(problems.iter().any(there), "{line}: {problems:#?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

/// What is left out of what the schema insists on is missed, in the file and the table that lack it.
#[test]
fn a_key_that_is_needed_is_missed() {
    let mut tried = 0;
    for (subject, trees) in subjects() {
        let mut missed = BTreeSet::new();
        for tree in &trees {
            for place in key_places(tree) {
                let key = by_schema(&place);
                let Some((Step::Key(last), above)) = place.split_last() else { unreachable!() };
                let tree = changed(&alone(tree, &place), above, |table| {
                    table.as_table_mut().unwrap().remove(last).unwrap();
                });
                for style in [Style::Headers, Style::Inline] {
                    let written = Written::new(&tree, style);
                    let read = subject.read(&written.text);
                    if subject.fits_schema(&tree) {
                        continue;
                    }
                    let Err(problems) = read else { panic!("{key} is not missed:\n{}", written.text) };
                    let line = written.lines.get(above).copied();
                    let at = |p: &&Problem| {
                        p.file == subject.file && p.line.is_some() && (above.is_empty() || p.line == line)
                    };
                    assert!(
                        problems.iter().find(at).is_some(),
                        "{key}, line {line:?}:\n{}\n{problems:#?}",
                        written.text
                    );
                    tried += 1;
                    if missed.insert(key.clone()) {
                        subject.assert_same(&written.text, &problems);
                    }
                }
            }
        }
        let unmissed: Vec<_> = subject.keys.required.difference(&missed).collect();
        assert!(unmissed.is_empty(), "never left out: {unmissed:?}");
    }
    assert!(tried > 80, "{tried}");
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn date(text: &str) -> Value {
    Value::Datetime(text.parse().unwrap())
}

/// What may stand where a value is expected, and mostly means nothing there.
fn substitutes(value: &Value, schema: &Json) -> Vec<Value> {
    let mut all = vec![
        text("tekst"),
        text(""),
        text(" "),
        text("-"),
        text("Zoë"),
        text("regel\nregel"),
        text("\u{0}"),
        text("<naam>"),
        text(&"a".repeat(64)),
        text(&"a".repeat(65)),
        text(&"a".repeat(501)),
        text(&"a".repeat(10_000)),
        text("7"),
        text("true"),
        text("2026-08-01"),
        Value::Integer(0),
        Value::Integer(-1),
        Value::Integer(7),
        Value::Integer(65_536),
        Value::Integer(4_294_967_296),
        Value::Integer(i64::MAX),
        Value::Integer(i64::MIN),
        Value::Float(1.5),
        Value::Float(33.0),
        Value::Float(f64::INFINITY),
        Value::Boolean(true),
        Value::Boolean(false),
        date("2026-08-01"),
        date("2026-08-01T00:00:00Z"),
        date("2026-08-01T00:00:00"),
        date("00:00:00"),
        date("0000-01-01"),
        date("9999-12-31"),
        Value::Array(Vec::new()),
        Value::Array(vec![text("")]),
        Value::Array(vec![text("tekst")]),
        Value::Array(vec![Value::Integer(7)]),
        Value::Array(vec![Value::Table(Table::new())]),
        Value::Array(vec![value.clone()]),
        Value::Table(Table::new()),
        Value::Table(Table::from_iter([("tekst".to_owned(), text("tekst"))])),
        Value::Table(Table::from_iter([("tekst".to_owned(), value.clone())])),
    ];
    match value {
        Value::Array(items) => {
            let with = |item| Value::Array(items.iter().cloned().chain([item]).collect());
            all.extend([text(""), text("tekst"), Value::Integer(7), Value::Table(Table::new())].map(with));
            let numbered = items.iter().enumerate().map(|(i, item)| (i.to_string(), item.clone()));
            all.push(Value::Table(numbered.collect()));
        }
        Value::Integer(number) => {
            all.extend([number + 1, -number].map(Value::Integer));
            all.push(text(&number.to_string()));
            for bound in ["minimum", "maximum"] {
                let bound = schema[bound].as_i64().unwrap();
                all.extend([bound - 1, bound, bound + 1].map(Value::Integer));
            }
        }
        Value::String(word) => {
            let longest = schema["maxLength"].as_u64().map_or(64, |most| usize::try_from(most).unwrap());
            all.extend([text(&"b".repeat(longest)), text(&"b".repeat(longest + 1))]);
            let wrong = misspellings(word);
            let step = if schema["enum"].is_array() { 1 } else { wrong.len() / 16 + 1 };
            all.extend(wrong.iter().step_by(step).map(|word| text(word)));
            all.extend([format!(" {word}"), format!("{word}:"), word.repeat(2)].map(|word| text(&word)));
            // serde takes a table of this shape for the word.
            all.push(Value::Table(Table::from_iter([(word.clone(), Value::Table(Table::new()))])));
            all.push(Value::Table(Table::from_iter([(word.clone(), Value::Array(Vec::new()))])));
            all.extend(
                schema["enum"].as_array().into_iter().flatten().map(|word| text(word.as_str().unwrap())),
            );
        }
        Value::Table(table) => {
            // And an array of its values, in the right order, for a table.
            let values: Vec<_> = table.values().cloned().collect();
            all.extend(orders(&values).into_iter().map(Value::Array));
            all.push(Value::Array(vec![value.clone(), value.clone()]));
        }
        Value::Datetime(day) => all.push(text(&day.to_string())),
        Value::Boolean(_) | Value::Float(_) => {}
    }
    all.retain(|other| other != value);
    all
}

/// All orders of a few values; of many, the one they are in.
fn orders(values: &[Value]) -> Vec<Vec<Value>> {
    if values.is_empty() || values.len() > 5 {
        return vec![values.to_vec()];
    }
    let each = values.iter().enumerate().flat_map(|(i, first)| {
        let mut rest = values.to_vec();
        rest.remove(i);
        let rest = if rest.is_empty() { vec![Vec::new()] } else { orders(&rest) };
        rest.into_iter().map(move |rest| [vec![first.clone()], rest].concat())
    });
    each.collect()
}

/// Whether a problem with a value is told at the line of what it names: the file that is not there, or the agreement
/// that speaks of a school or recipient of another name.
fn told_elsewhere(place: &str) -> bool {
    let last = place.trim_end_matches("/[]").rsplit('/').next().unwrap();
    let paths = [
        "accounts",
        "agreements",
        "authorisation",
        "ca",
        "certificate",
        "client_ca",
        "client_crl",
        "client_certificate",
        "client_key",
        "client_secret",
        "secret",
    ];
    let more_paths = ["keys", "private_key"];
    let named = ["school", "school/[]/brin", "recipient", "recipient/[]/id"];
    paths.contains(&last) || more_paths.contains(&last) || named.contains(&place)
}

/// Whether two values mean the same: host names and hexadecimal digits have no case.
fn mean_the_same(place: &str, one: &Value, other: &Value) -> bool {
    let caseless = ["authority", "sha256", "subject_alt_name", "url"];
    let lower = |value: &Value| value.as_str().map(str::to_ascii_lowercase);
    caseless.iter().any(|key| place.ends_with(key)) && lower(one) == lower(other)
}

#[test]
fn what_the_schema_refuses_check_refuses_and_what_passes_counts() {
    let (mut tried, mut refused, mut through) = (0, 0, 0);
    for (subject, trees) in subjects() {
        let mut seen = BTreeSet::new();
        for tree in &trees {
            for place in all_places(tree) {
                let key = by_schema(&place);
                if !seen.insert(key.clone()) {
                    continue;
                }
                let tree = alone(tree, &place);
                let before = subject.read(&Written::new(&tree, Style::Headers).text).unwrap();
                let value = at(&mut Value::Table(tree.clone()), &place).clone();
                // Lines of `[release]` share what is tried, each the sixth part of it.
                let (skip, step) = if is_release(&place) { (seen.len() % 6, 6) } else { (0, 1) };
                let others =
                    substitutes(&value, &subject.schema_of(&place)).into_iter().skip(skip).step_by(step);
                for (turn, other) in others.enumerate() {
                    let tree = changed(&tree, &place, |value| *value = other.clone());
                    let style = if turn % 2 == 0 { Style::Headers } else { Style::Inline };
                    let written = Written::new(&tree, style);
                    let shown = || format!("{key} = {:.80} for {:.80}", inline(&other), inline(&value));
                    // JSON has no dates, and lets 33.0 pass for a whole number.
                    let same_type = value.same_type(&other);
                    tried += 1;
                    match subject.read(&written.text) {
                        Ok(after) => {
                            assert!(same_type && subject.fits_schema(&tree), "{} passes", shown());
                            let counts = after != before || mean_the_same(&key, &value, &other);
                            assert!(counts, "{} passes and changes nothing", shown());
                        }
                        Err(problems) => {
                            refused += 1;
                            let here = problems.iter().any(|p| p.file == subject.file && p.line.is_some());
                            let there = same_type && told_elsewhere(&key);
                            assert!(here || there, "{}: no line in {problems:#?}", shown());
                            if refused % 100 == 0 {
                                subject.assert_same(&written.text, &problems);
                                through += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(
        tried > 6_000 && refused > 5_000 && tried > refused && through > 50,
        "{tried} {refused} {through}"
    );
}

/// The files of autorisatie have no schema, and nothing of what stands in them may be said.
#[test]
fn files_of_autorisatie_are_held_to_their_keys_too() {
    let home = Home::new();
    let path = home.path("secrets/noordzee.toml");
    let good = fs::read_to_string(&path).unwrap();
    let tree: Table = good.parse().unwrap();
    let mut wrong: Vec<(Table, Option<Place>)> = Vec::new();
    for place in key_places(&tree) {
        let Some(Step::Key(key)) = place.last() else { unreachable!() };
        wrong.extend(misspellings(key).into_iter().map(|name| {
            let renamed = renamed(&tree, &place, &name);
            (renamed, Some(vec![Step::Key(name)]))
        }));
        wrong.push((changed(&tree, &[], |file| drop(file.as_table_mut().unwrap().remove(key))), None));
        let values = [text(""), text(&"a".repeat(65)), Value::Integer(7), Value::Array(vec![text("a")])];
        wrong.extend(values.map(|value| {
            let place = Some(place.clone()).filter(|_| !value.is_str());
            (changed(&tree, &[Step::Key(key.clone())], |was| *was = value), place)
        }));
    }
    assert!(wrong.len() > 100);
    for (turn, (tree, place)) in wrong.iter().enumerate() {
        let written = Written::new(tree, Style::Headers);
        fs::write(&path, &written.text).unwrap();
        let problems = Config::load(&home.path("sluis.toml"), &SystemClock).unwrap_err();
        let line = place.as_ref().map(|place| written.lines[place]);
        let [problem] = &problems[..] else { panic!("{problems:#?}") };
        assert_eq!(problem.file, path);
        assert!(line.is_none() || problem.line == line, "{}\n{problem}", written.text);
        let secrets = tree.values().filter_map(Value::as_str).filter(|secret| secret.len() > 8);
        let named = problem.to_string().replace("noordzee.toml", "");
        secrets.for_each(|secret| assert!(!named.contains(secret), "{named}"));
        if turn % 40 == 0 {
            let ran = home.run(&["check"]);
            assert_eq!(ran.code, 1);
            assert!(ran.err.contains("secrets/noordzee.toml"), "{}", ran.err);
        }
    }
    fs::write(&path, good).unwrap();
    Config::load(&home.path("sluis.toml"), &SystemClock).unwrap();
}
