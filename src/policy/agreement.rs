//! Agreement files: what a school and a recipient agreed on, compiled from the privacybijsluiter.

mod diff;
mod terms;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::{
    catalogue::{Kind, Sensitivity, Treatment, catalogue},
    policy::purpose,
    problem::{Lines, Problem, toml_problem},
    pseudonym::PseudonymDomain,
    strict::{Table, word},
};

pub use diff::{Change, changes, only_narrows, treated};
use terms::FileTerms;
pub use terms::{After, Both, Keeps, Safeguard, SafeguardKind, SpecialGround, SubProcessor, Terms, is_eea};

/// The six legal bases of AVG art. 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// A task of general interest or public authority.
    AlgemeenBelang,
    /// Legitimate interest.
    GerechtvaardigdBelang,
    /// A contract with the person.
    Overeenkomst,
    /// Consent.
    Toestemming,
    /// Vital interest.
    VitaalBelang,
    /// A legal obligation.
    WettelijkeVerplichting,
}

impl Basis {
    /// The word an agreement uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlgemeenBelang => "algemeen-belang",
            Self::GerechtvaardigdBelang => "gerechtvaardigd-belang",
            Self::Overeenkomst => "overeenkomst",
            Self::Toestemming => "toestemming",
            Self::VitaalBelang => "vitaal-belang",
            Self::WettelijkeVerplichting => "wettelijke-verplichting",
        }
    }

    /// Whether an objection or a restriction keeps a person out of what rests on it. What the law commands, or what
    /// saves a life, goes on.
    pub fn yields(self) -> bool {
        !matches!(self, Self::VitaalBelang | Self::WettelijkeVerplichting)
    }
}

/// One line of `[release]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// What may be done with the field.
    pub treatment: Treatment,
    /// Its line in the file, from 1.
    pub line: usize,
}

/// An agreement whose every part is in order.
#[derive(Debug)]
pub struct Agreement {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// BRIN of the school.
    pub school: String,
    /// Id of the recipient.
    pub recipient: String,
    /// The product it is about.
    pub product: String,
    /// The document it was compiled from.
    pub annex: String,
    /// Purpose, by its id.
    pub purpose: String,
    /// Legal basis.
    pub basis: Basis,
    /// First day.
    pub from: Date,
    /// Last day.
    pub until: Date,
    /// Among whom pseudonyms are the same.
    pub domain: PseudonymDomain,
    /// What may leave, by field.
    pub release: BTreeMap<String, Release>,
    /// What else it says.
    pub terms: Terms,
    /// The file, word for word.
    pub text: String,
    /// Where it stands.
    pub file: PathBuf,
    /// SHA-256 of the file.
    pub hash: [u8; 32],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: Spanned<String>,
    version: u32,
    school: Spanned<String>,
    recipient: Spanned<String>,
    product: String,
    annex: String,
    purpose: Spanned<String>,
    #[serde(deserialize_with = "word")]
    basis: Basis,
    valid: Spanned<Table<Valid>>,
    pseudonym: Spanned<Table<Domain>>,
    parties: Option<Spanned<Table<Both>>>,
    contact: Option<Spanned<Table<Both>>>,
    breach_contact: Option<Spanned<String>>,
    categories: Option<Spanned<Vec<String>>>,
    special: Option<Table<terms::FileSpecial>>,
    interest: Option<Spanned<String>>,
    keeps: Option<Spanned<Vec<Table<Keeps>>>>,
    sub_processors: Option<Spanned<Vec<Table<SubProcessor>>>>,
    location: Option<Spanned<Vec<String>>>,
    safeguard: Option<Spanned<Table<Safeguard>>>,
    annex_sha256: Option<Spanned<String>>,
    author: Option<Spanned<String>>,
    release: BTreeMap<Spanned<String>, Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Valid {
    from: toml::value::Datetime,
    until: toml::value::Datetime,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Domain {
    #[serde(deserialize_with = "word")]
    domain: DomainKind,
    chain: Option<String>,
    sector: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DomainKind {
    Chain,
    PassEckid,
    Recipient,
}

/// Why no agreement applies today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotInForce {
    /// There was one; its last day has passed.
    Expired,
    /// There is one; its first day is yet to come.
    Future,
    /// There is none for this school and recipient.
    Missing,
}

/// All agreements of an installation.
#[derive(Debug, Default)]
pub struct Agreements {
    all: Vec<Arc<Agreement>>,
    /// Places of those between a school and a recipient: an exchange takes as long whatever their number.
    between: HashMap<String, HashMap<String, Vec<usize>>>,
}

impl Agreements {
    /// Reads every `*.toml` of a directory.
    ///
    /// # Errors
    ///
    /// Every problem in every file, and each file that could be taken for an agreement and is not read.
    pub fn load(directory: &Path, schools: &[&str], recipients: &[&str]) -> Result<Self, Vec<Problem>> {
        let entries = fs::read_dir(directory).map_err(|error| {
            let what = format!("the directory of agreements cannot be read ({})", error.kind());
            vec![Problem::new(directory, what, "make it, or mend `agreements` in the configuration")]
        })?;
        let mut files = Vec::new();
        let mut problems = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) if is_agreement(&entry.file_name().to_string_lossy()) => files.push(entry.path()),
                Ok(entry) if is_beside(&entry.file_name().to_string_lossy()) => {}
                // Folders are where old agreements are kept; none is read.
                Ok(entry) if entry.path().is_dir() => {}
                Ok(entry) => {
                    let what = "is not read: agreements end in .toml";
                    let mend = "rename it if it is one, or else move it out of this directory";
                    problems.push(Problem::new(entry.path(), what, mend));
                }
                Err(error) => {
                    let what = format!("the directory of agreements cannot be read ({})", error.kind());
                    problems.push(Problem::new(directory, what, "give Sluis access to it"));
                }
            }
        }
        files.sort();
        let mut all: Vec<Arc<Agreement>> = Vec::new();
        for file in files {
            match read(&file, schools, recipients) {
                Err(more) => problems.extend(more),
                Ok(agreement) => {
                    problems.extend(all.iter().filter_map(|other| contradiction(&agreement, other)));
                    all.push(Arc::new(agreement));
                }
            }
        }
        if problems.is_empty() { Ok(Self::of(all)) } else { Err(problems) }
    }

    fn of(all: Vec<Arc<Agreement>>) -> Self {
        let mut between: HashMap<String, HashMap<String, Vec<usize>>> = HashMap::new();
        for (place, agreement) in all.iter().enumerate() {
            let of_school = between.entry(agreement.school.clone()).or_default();
            of_school.entry(agreement.recipient.clone()).or_default().push(place);
        }
        Self { all, between }
    }

    /// What keeps an agreement from being added to these, or from taking the place of one of them.
    pub fn against(&self, new: &Agreement, replaced: Option<&Path>) -> Vec<Problem> {
        let others = self.all.iter().filter(|other| Some(other.file.as_path()) != replaced);
        others.filter_map(|other| contradiction(new, other)).collect()
    }

    /// The agreement that applies on a day.
    ///
    /// # Errors
    ///
    /// [`NotInForce`]: nothing may be released.
    pub fn in_force(
        &self,
        school: &str,
        recipient: &str,
        today: Date,
    ) -> Result<&Arc<Agreement>, NotInForce> {
        let mut reason = NotInForce::Missing;
        let places = self.between.get(school).and_then(|of_school| of_school.get(recipient));
        for agreement in places.into_iter().flatten().map(|&place| &self.all[place]) {
            if today < agreement.from {
                reason = NotInForce::Future;
            } else if today <= agreement.until {
                return Ok(agreement);
            } else if reason == NotInForce::Missing {
                reason = NotInForce::Expired;
            }
        }
        Err(reason)
    }

    /// How many of those in force today end within so many days, with no other to follow.
    pub fn ending_within(&self, days: i64, today: Date) -> usize {
        self.all.iter().filter(|agreement| self.ends_within(agreement, days, today)).count()
    }

    /// Whether one that is in force today ends within so many days, with no other to follow.
    pub fn ends_within(&self, agreement: &Agreement, days: i64, today: Date) -> bool {
        let last = today.saturating_add(jiff::Span::new().days(days));
        let after = agreement.until.tomorrow().unwrap_or(Date::MAX);
        (agreement.from..=agreement.until).contains(&today)
            && agreement.until <= last
            && self.in_force(&agreement.school, &agreement.recipient, after).is_err()
    }

    /// All of them, by file name.
    pub fn all(&self) -> &[Arc<Agreement>] {
        &self.all
    }
}

fn is_agreement(name: &str) -> bool {
    name.ends_with(".toml") && !name.starts_with('.')
}

/// What may lie beside agreements and is none: hidden files, a README, the documents they were compiled from.
fn is_beside(name: &str) -> bool {
    let readme = name.split('.').next().is_some_and(|stem| matches!(stem, "README" | "LEESMIJ"));
    // An agreement of this name would be taken for something else by whoever looks for it.
    let agreement = name.to_ascii_lowercase().ends_with(".toml");
    name.starts_with('.') || name.ends_with(".md") || name.ends_with(".pdf") || (readme && !agreement)
}

fn contradiction(new: &Agreement, other: &Agreement) -> Option<Problem> {
    let shown = other.file.display();
    if new.id == other.id && new.version == other.version {
        let what = format!("has the same id and version as {shown}");
        return Some(Problem::new(&new.file, what, "give the newer one the next version"));
    }
    let parties = new.school == other.school && new.recipient == other.recipient;
    (parties && new.from <= other.until && other.from <= new.until).then(|| {
        let what =
            format!("contradicts {shown}: both are in force for the same school and recipient on some day");
        Problem::new(
            &new.file,
            what,
            "let the older one end the day before the newer begins, or make them one",
        )
    })
}

/// The annex is the one that was signed, where it lies beside the agreement.
fn check_annex(agreement: &Agreement) -> Result<(), Problem> {
    let Some(expected) = &agreement.terms.annex_sha256 else { return Ok(()) };
    let name = Path::new(&agreement.annex);
    let annex = agreement.file.with_file_name(name.file_name().unwrap_or_default());
    if name.components().count() != 1 || !annex.is_file() {
        return Ok(());
    }
    let problem =
        |what: String| Problem::new(&annex, what, "put back the signed annex, or compile the agreement anew");
    let bytes = fs::read(&annex).map_err(|error| problem(format!("cannot be read ({})", error.kind())))?;
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    if hex::encode(hash) == *expected {
        Ok(())
    } else {
        Err(problem(format!("is not the annex that {} was compiled from", agreement.file.display())))
    }
}

fn read(path: &Path, schools: &[&str], recipients: &[&str]) -> Result<Agreement, Vec<Problem>> {
    let text = fs::read_to_string(path).map_err(|error| {
        vec![Problem::new(
            path,
            format!("cannot be read ({})", error.kind()),
            "give Sluis access to the file",
        )]
    })?;
    let agreement = parse(&text, path, schools, recipients)?;
    check_annex(&agreement).map_err(|problem| vec![problem])?;
    Ok(agreement)
}

/// Reads an agreement that was in force once, whatever parties are configured now; nothing where it would not be
/// accepted any more.
pub fn parse_recorded(text: &str) -> Option<Agreement> {
    #[derive(Deserialize)]
    struct Parties {
        school: String,
        recipient: String,
    }
    let parties: Parties = toml::from_str(text).ok()?;
    parse(text, Path::new(""), &[&parties.school], &[&parties.recipient]).ok()
}

/// Reads an agreement from its text.
///
/// # Errors
///
/// Every problem in it.
pub fn parse(
    text: &str,
    path: &Path,
    schools: &[&str],
    recipients: &[&str],
) -> Result<Agreement, Vec<Problem>> {
    let file: File = toml::from_str(text).map_err(|error| vec![toml_problem(path, text, &error)])?;
    let lines = Lines::new(text);
    let mut problems = Vec::new();
    let mut wrong = |span: std::ops::Range<usize>, what: String, mend: String| {
        problems.push(Problem::new(path, what, mend).at(lines.of(span.start)));
    };
    if !schools.contains(&file.school.get_ref().as_str()) {
        let what = format!("school {} is not configured", file.school.get_ref());
        wrong(file.school.span(), what, "add a [[school]] with this brin, or correct it".into());
    }
    if !recipients.contains(&file.recipient.get_ref().as_str()) {
        let what = format!("recipient {} is not configured", file.recipient.get_ref());
        wrong(file.recipient.span(), what, "add a [[recipient]] with this id, or correct it".into());
    }
    let word = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if !word(file.id.get_ref()) {
        wrong(
            file.id.span(),
            "the id is no word of letters, digits and hyphens".into(),
            "shorten or mend it".into(),
        );
    }
    if purpose::find(file.purpose.get_ref()).is_none() {
        let ids: Vec<_> = purpose::purposes().iter().map(|purpose| purpose.id.as_str()).collect();
        let mend = format!("choose from {}", ids.join(", "));
        wrong(file.purpose.span(), format!("there is no purpose \"{}\"", file.purpose.get_ref()), mend);
    }
    let day = |value: &toml::value::Datetime| {
        let date = value.date.filter(|_| value.time.is_none())?;
        Date::new(
            i16::try_from(date.year).ok()?,
            i8::try_from(date.month).ok()?,
            i8::try_from(date.day).ok()?,
        )
        .ok()
    };
    let valid = (day(&file.valid.get_ref().from), day(&file.valid.get_ref().until));
    match valid {
        (Some(from), Some(until)) if from <= until => {}
        (Some(_), Some(_)) => {
            wrong(file.valid.span(), "it ends before it begins".into(), "let `until` be the last day".into());
        }
        _ => wrong(file.valid.span(), "a date is none".into(), "write dates as 2026-08-01".into()),
    }
    let named = |part: &Option<String>| part.clone().filter(|name| word(name));
    let given = file.pseudonym.get_ref();
    let domain = match (&given.domain, &given.chain, &given.sector) {
        (DomainKind::Chain, chain, sector) => match (named(chain), named(sector)) {
            (Some(chain), Some(sector)) => PseudonymDomain::Chain { chain, sector },
            _ => {
                let mend = "write { domain = \"chain\", chain = \"leermiddelen\", sector = \"po\" }".into();
                wrong(file.pseudonym.span(), "a chain needs a name and a sector".into(), mend);
                PseudonymDomain::Recipient
            }
        },
        (DomainKind::PassEckid, None, None) => PseudonymDomain::PassEckId,
        (DomainKind::Recipient, None, None) => PseudonymDomain::Recipient,
        (DomainKind::PassEckid | DomainKind::Recipient, ..) => {
            let mend = "remove chain and sector, or write domain = \"chain\"".into();
            wrong(file.pseudonym.span(), "chain and sector mean nothing in this domain".into(), mend);
            PseudonymDomain::Recipient
        }
    };
    let terms = FileTerms {
        parties: file.parties,
        contact: file.contact,
        breach_contact: file.breach_contact,
        categories: file.categories,
        special: file.special,
        interest: file.interest,
        keeps: file.keeps,
        sub_processors: file.sub_processors,
        location: file.location,
        safeguard: file.safeguard,
        annex_sha256: file.annex_sha256,
        author: file.author,
    };
    let terms = terms.check(&mut wrong);
    let mut release = BTreeMap::new();
    for (name, asked) in &file.release {
        match line(name.get_ref(), asked.get_ref(), file.basis, &terms) {
            Ok((field, treatment)) => {
                let again = release.insert(field, Release { treatment, line: lines.of(name.span().start) });
                if again.is_some() {
                    wrong(
                        name.span(),
                        "another line names the same field".into(),
                        "remove one of them".into(),
                    );
                }
            }
            Err((what, mend)) => wrong(name.span(), what, mend),
        }
    }
    let (Some(from), Some(until)) = valid else { return Err(problems) };
    if !problems.is_empty() {
        return Err(problems);
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    Ok(Agreement {
        id: file.id.into_inner(),
        version: file.version,
        school: file.school.into_inner(),
        recipient: file.recipient.into_inner(),
        product: file.product,
        annex: file.annex,
        purpose: file.purpose.into_inner(),
        basis: file.basis,
        from,
        until,
        domain,
        release,
        terms,
        text: text.to_owned(),
        file: path.to_owned(),
        hash: hash.as_ref().try_into().expect("SHA-256 gives 32 bytes"),
    })
}

fn line(
    name: &str,
    asked: &str,
    basis: Basis,
    terms: &Terms,
) -> Result<(String, Treatment), (String, String)> {
    let catalogue = catalogue();
    let Some(field) = catalogue.find(name) else {
        let mend = match catalogue.nearest(name) {
            Some(near) => format!("did you mean {near}?"),
            None => "see schemas/catalogue.toml for the fields there are".into(),
        };
        return Err((format!("field {name} does not exist"), mend));
    };
    let words = |treatments: &[Treatment]| {
        treatments
            .iter()
            .map(|treatment| format!("\"{}\"", treatment.as_str()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if field.treatments.is_empty() {
        return Err((format!("field {name} is never released"), "remove the line".into()));
    }
    let Some(treatment) = Treatment::parse(asked).filter(|treatment| field.treatments.contains(treatment))
    else {
        let what = format!("field {name} cannot be treated as \"{asked}\"");
        return Err((what, format!("choose from {}", words(&field.treatments))));
    };
    if field.kind == Kind::Pgn && basis != Basis::WettelijkeVerplichting {
        let what = format!("field {name} is a PGN, which only a legal duty lets you release");
        return Err((what, "remove the line, or base the agreement on wettelijke-verplichting".into()));
    }
    if field.sensitivity == Sensitivity::Special && terms.special.is_none() {
        let what = format!("field {name} is a special category, which needs a ground of its own");
        let mend = "add special = { ground = \"…\" } (AVG art. 9, UAVG art. 22-30), or remove the line";
        return Err((what, mend.into()));
    }
    let category = field.category.map(|index| &catalogue.categories()[index]);
    if let (Some(category), Some(named)) = (category, &terms.categories)
        && !named.contains(&category.id)
    {
        let what = format!("field {name} is of category {}, which the agreement does not name", category.id);
        return Err((what, "remove the line, or add the category if the signed annex has it".into()));
    }
    Ok((field.name.clone(), treatment))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::unwrap_used)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
id        = "99DE-noordzee-rekenroute"
version   = 1
school    = "99DE"
recipient = "noordzee"
product   = "Rekenroute"
annex     = "privacybijsluiter-rekenroute-2026.pdf"
purpose   = "leermiddelen"
basis     = "overeenkomst"
valid     = { from = 2026-08-01, until = 2027-07-31 }
pseudonym = { domain = "recipient" }

[release]
"leerling.roepnaam"      = "pass"
"leerling.geboortedatum" = "year"
"#;

    fn check(text: &str) -> Result<Agreement, Vec<String>> {
        parse(text, Path::new("a.toml"), &["99DE"], &["noordzee"])
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_sample_of_the_contract_is_read() {
        let agreement = check(GOOD).unwrap();
        assert_eq!(
            agreement.release["leerling.geboortedatum"],
            Release { treatment: Treatment::Year, line: 15 }
        );
        assert_eq!(agreement.domain, PseudonymDomain::Recipient);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (from, to, expected) in [
            ("\"99DE\"", "\"99DX\"", "a.toml:4: school 99DX is not configured"),
            ("\"noordzee\"", "\"noordze\"", "a.toml:5: recipient noordze is not configured"),
            (
                "roepnaam\"",
                "roepnam\"",
                "a.toml:14: field leerling.roepnam does not exist; did you mean leerling.roepnaam?",
            ),
            (
                "\"year\"",
                "\"initial\"",
                "a.toml:15: field leerling.geboortedatum cannot be treated as \"initial\"",
            ),
            ("\"leerling.roepnaam\"      =", "\"leerling.bsn\" =", "a.toml:14: field leerling.bsn is a PGN"),
            ("\"leerling.roepnaam\"      =", "\"leerling.toevoegingen\" =", "is never released"),
            ("2027-07-31", "2025-07-31", "a.toml:10: it ends before it begins"),
            ("version   = 1", "version = 1\nvolgende = 2", "unknown field `volgende`"),
            ("\"overeenkomst\"", "\"contract\"", "unknown variant `contract`"),
            ("domain = \"recipient\"", "domain = \"chain\"", "a.toml:11: a chain needs a name and a sector"),
            ("product   = \"Rekenroute\"", "", "missing field `product`"),
            (
                "\"leermiddelen\"",
                "\"reclame\"",
                "a.toml:8: there is no purpose \"reclame\"; choose from bekostiging",
            ),
            ("roepnaam\"", "etniciteit\"", "a.toml:14: field leerling.etniciteit is a special category"),
            (
                "version   = 1",
                "version = 1\ncategories = [\"docent\"]",
                "a.toml:15: field leerling.roepnaam is of category contactgegevens, which the agreement does not name",
            ),
            (
                "version   = 1",
                "version = 1\ncategories = [\"docenten\"]",
                "a.toml:4: there is no category docenten",
            ),
            (
                "version   = 1",
                "version = 1\nlocation = [\"NL\", \"US\"]",
                "a.toml:4: US is outside the EEA, and no safeguard is stated",
            ),
            (
                "version   = 1",
                "version = 1\nsub_processors = [{ name = \"Wolk\", does = \"hosting\", location = [\"GB\"] }]",
                "a.toml:4: GB is outside the EEA",
            ),
            (
                "version   = 1",
                "version = 1\nlocation = [\"Nederland\"]",
                "a.toml:4: a location is no country code",
            ),
            ("version   = 1", "version = 1\nsafeguard = { kind = \"beloofd\" }", "unknown variant `beloofd`"),
            ("version   = 1", "version = 1\nannex_sha256 = \"abc\"", "a.toml:4: annex_sha256 is no SHA-256"),
            (
                "version   = 1",
                "version = 1\nauthor = \"<naam>\"",
                "a.toml:4: author is still to be filled in",
            ),
            ("version   = 1", "version = 1\nkeeps = [{ what = \"a\", months = 1 }]", "missing field `after`"),
        ] {
            let problems = check(&GOOD.replace(from, to)).unwrap_err();
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected} in {problems:?}");
        }
    }

    #[test]
    fn terms_that_fit_are_read() {
        let terms = r#"version = 1
parties = { school = "Stichting", recipient = "Noordzee B.V." }
categories = ["contactgegevens", "studievoortgang"]
special = { ground = "speciale-begeleiding" }
keeps = [{ what = "resultaten", months = 24, after = "uitschrijving" }]
sub_processors = [{ name = "Wolk", does = "hosting", location = ["US"] }]
location = ["NL", "IS"]
safeguard = { kind = "standaardbepalingen" }
author = "A. de Vries""#;
        let agreement = check(&GOOD.replace("version   = 1", terms)).unwrap();
        assert_eq!(agreement.terms.missing(), ["contact", "breach_contact", "annex_sha256"]);
        assert_eq!(agreement.terms.special, Some(SpecialGround::SpecialeBegeleiding));
        assert_eq!(agreement.terms.keeps[0].after, After::Uitschrijving);
        let gewicht = terms.replace("author", "interest");
        let special = GOOD.replace("version   = 1", &gewicht).replace("roepnaam\"", "gewicht_nieuw\"");
        assert!(check(&special).is_ok(), "{:?}", check(&special));
    }

    #[test]
    fn a_pgn_needs_a_legal_duty() {
        let text = GOOD.replace("overeenkomst", "wettelijke-verplichting").replace("roepnaam\"", "bsn\"");
        assert!(check(&text).is_ok());
    }

    #[test]
    fn only_the_days_agreed_on_count() {
        let agreements = Agreements::of(vec![Arc::new(check(GOOD).unwrap())]);
        let on = |y, m, d| agreements.in_force("99DE", "noordzee", Date::constant(y, m, d)).map(|_| ());
        assert_eq!(on(2026, 7, 31), Err(NotInForce::Future));
        assert_eq!(on(2026, 8, 1), Ok(()));
        assert_eq!(on(2027, 7, 31), Ok(()));
        assert_eq!(on(2027, 8, 1), Err(NotInForce::Expired));
        let today = Date::constant(2026, 11, 1);
        assert_eq!(agreements.in_force("99DE", "zuidzee", today).unwrap_err(), NotInForce::Missing);
        let ending = |days, y, m, d| agreements.ending_within(days, Date::constant(y, m, d));
        assert_eq!((ending(60, 2027, 6, 1), ending(60, 2027, 6, 2)), (1, 1));
        assert_eq!((ending(30, 2027, 6, 30), ending(30, 2027, 7, 1)), (0, 1));
        assert_eq!((ending(7, 2027, 7, 31), ending(7, 2027, 8, 1)), (1, 0));
        let next = GOOD.replace("2027-07-31", "2028-07-31").replace("2026-08-01", "2027-08-01");
        let both = [GOOD.to_owned(), next.replace("version   = 1", "version = 2")];
        let followed = Agreements::of(both.iter().map(|text| Arc::new(check(text).unwrap())).collect());
        assert_eq!(followed.ending_within(60, Date::constant(2027, 7, 1)), 0);
    }

    #[test]
    fn contradictions_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("a.toml", GOOD);
        write("b.toml", &GOOD.replace("version   = 1", "version = 2"));
        for beside in ["README", "LEESMIJ.txt", "over.md", "privacybijsluiter.pdf", ".a.toml.swp"] {
            write(beside, "no agreement");
        }
        fs::create_dir(dir.path().join("oud")).unwrap();
        let problems = Agreements::load(dir.path(), &["99DE"], &["noordzee"]).unwrap_err();
        assert!(problems[0].to_string().contains("contradicts"), "{problems:?}");
        write(
            "b.toml",
            &GOOD
                .replace("version   = 1", "version = 2")
                .replace("2026-08-01", "2027-08-01")
                .replace("2027-07-31", "2028-07-31"),
        );
        assert_eq!(Agreements::load(dir.path(), &["99DE"], &["noordzee"]).unwrap().all().len(), 2);
        for unread in ["c.TOML", "c", "c.toml~", "c.toml.bak", "README.TOML"] {
            write(unread, GOOD);
            let problems = Agreements::load(dir.path(), &["99DE"], &["noordzee"]).unwrap_err();
            assert_eq!(problems.len(), 1, "{unread}");
            assert!(problems[0].to_string().contains(&format!("{unread}: is not read")), "{problems:?}");
            fs::remove_file(dir.path().join(unread)).unwrap();
        }
    }
}
