//! What a version of an agreement changes, in words for those who decide on it (Dutch), and whether it widens: whether
//! on any point the recipient gets more, longer, elsewhere or for something else than before.

use std::fmt::Display;

use jiff::civil::Date;

use super::{Agreement, Keeps, SubProcessor};
use crate::{
    catalogue::{Treatment, catalogue},
    policy::purpose,
    pseudonym::PseudonymDomain,
};

/// One point on which two versions differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whether the recipient gets more by it.
    pub widens: bool,
    /// In words.
    pub text: String,
}

/// What becomes different when one version takes the place of another; all of it is new where there was none.
pub fn changes(old: Option<&Agreement>, new: &Agreement) -> Vec<Change> {
    let mut found = Found(Vec::new());
    found.release(old, new);
    let Some(old) = old else { return found.0 };
    found.when(old, new);
    found.differs(true, "De school", &old.school, &new.school);
    found.differs(true, "De ontvanger", &old.recipient, &new.recipient);
    let name = |id: &str| purpose::find(id).map_or_else(|| id.to_owned(), |purpose| purpose.name.clone());
    found.differs(true, "Het doel", &name(&old.purpose), &name(&new.purpose));
    found.differs(true, "De grondslag", old.basis.as_str(), new.basis.as_str());
    if old.domain != new.domain {
        let text = format!("Pseudoniemen: {} (was: {})", domain(&new.domain), domain(&old.domain));
        found.0.push(Change { widens: new.domain != PseudonymDomain::Recipient, text });
    }
    found.differs(false, "Het product", &old.product, &new.product);
    found.differs(false, "De privacybijsluiter", &old.annex, &new.annex);
    found.terms(old, new);
    found.0
}

/// Whether a version gives the recipient nothing that the other did not.
pub fn only_narrows(old: &Agreement, new: &Agreement) -> bool {
    !changes(Some(old), new).iter().any(|change| change.widens)
}

struct Found(Vec<Change>);

impl Found {
    fn add(&mut self, widens: bool, text: String) {
        self.0.push(Change { widens, text });
    }

    fn differs<T: PartialEq + Display + ?Sized>(&mut self, widens: bool, what: &str, old: &T, new: &T) {
        if old != new {
            self.add(widens, format!("{what}: {new} (was: {old})"));
        }
    }

    fn release(&mut self, old: Option<&Agreement>, new: &Agreement) {
        for (name, release) in &new.release {
            let now = treated(release.treatment);
            match old.and_then(|old| old.release.get(name)) {
                None => self.add(true, format!("Nieuw: {} – {now}", label(name))),
                Some(before) if before.treatment == release.treatment => {}
                Some(before) => {
                    let finer = !is_coarser(release.treatment, before.treatment);
                    let word = if finer { "Preciezer" } else { "Minder precies" };
                    let was = treated(before.treatment);
                    self.add(finer, format!("{word}: {} – {now} (was: {was})", label(name)));
                }
            }
        }
        for name in old.iter().flat_map(|old| old.release.keys()) {
            if !new.release.contains_key(name) {
                self.add(false, format!("Vervalt: {}", label(name)));
            }
        }
    }

    fn when(&mut self, old: &Agreement, new: &Agreement) {
        let mut day = |what: &str, widens: bool, old: Date, new: Date| {
            if old != new {
                self.add(widens, format!("{what} {new} (was: {old})"));
            }
        };
        day("Eerste dag:", new.from < old.from, old.from, new.from);
        day("Laatste dag:", new.until > old.until, old.until, new.until);
    }

    fn terms(&mut self, old: &Agreement, new: &Agreement) {
        let (before, now) = (&old.terms, &new.terms);
        let none = Vec::new();
        let (had, has) =
            (before.categories.as_ref().unwrap_or(&none), now.categories.as_ref().unwrap_or(&none));
        // An agreement that names no category is bound by none.
        let freed = before.categories.is_some() && now.categories.is_none();
        self.list("Categorieën", had, has, Clone::clone);
        if freed {
            self.add(true, "De overeenkomst noemt geen categorieën meer".into());
        }
        self.list("Landen", &before.location, &now.location, Clone::clone);
        let sub = |sub: &SubProcessor| format!("{}, {} ({})", sub.name, sub.does, sub.location.join(", "));
        self.list("Subverwerkers", &before.sub_processors, &now.sub_processors, sub);
        let kept = |keeps: &Keeps| format!("{}, {} maanden", keeps.what, keeps.months);
        self.list("Bewaard", &before.keeps, &now.keeps, kept);
        if before.special != now.special {
            self.add(now.special.is_some(), "De grond voor bijzondere persoonsgegevens is anders".into());
        }
        if before.safeguard != now.safeguard {
            let widens = now.safeguard.is_some();
            self.add(widens, "De waarborg voor gegevens buiten de EER is anders".into());
        }
        if before.interest != now.interest {
            self.add(true, "Het gerechtvaardigd belang is anders beschreven".into());
        }
        if (&before.parties, &before.contact, &before.breach_contact)
            != (&now.parties, &now.contact, &now.breach_contact)
        {
            self.add(false, "Partijen of contactgegevens zijn anders".into());
        }
    }

    fn list<T: PartialEq>(&mut self, what: &str, old: &[T], new: &[T], shown: impl Fn(&T) -> String) {
        for item in new.iter().filter(|item| !old.contains(item)) {
            self.add(true, format!("{what}: nieuw: {}", shown(item)));
        }
        for item in old.iter().filter(|item| !new.contains(item)) {
            self.add(false, format!("{what}: vervalt: {}", shown(item)));
        }
    }
}

/// A field in words, with its id.
fn label(name: &str) -> String {
    match catalogue().find(name) {
        Some(field) => format!("{} ({name})", field.label),
        None => name.to_owned(),
    }
}

/// What becomes of a value, in words.
pub fn treated(treatment: Treatment) -> &'static str {
    match treatment {
        Treatment::Initial => "alleen de eerste letter",
        Treatment::Month => "alleen jaar en maand",
        Treatment::Pass => "zoals het is",
        Treatment::Pc4 => "alleen de vier cijfers",
        Treatment::Pseudonym => "als pseudoniem",
        Treatment::Year => "alleen het jaar",
    }
}

/// Whether one treatment says less than another, of the same value.
fn is_coarser(one: Treatment, other: Treatment) -> bool {
    match other {
        Treatment::Pass => one != Treatment::Pass,
        Treatment::Month => one == Treatment::Year,
        Treatment::Initial | Treatment::Pc4 | Treatment::Pseudonym | Treatment::Year => false,
    }
}

fn domain(domain: &PseudonymDomain) -> String {
    match domain {
        PseudonymDomain::Chain { chain, sector } => format!("gedeeld in keten {chain}, sector {sector}"),
        PseudonymDomain::PassEckId => "het ECK iD van de leerling zelf".into(),
        PseudonymDomain::Recipient => "alleen voor deze ontvanger".into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::{super::parse, *};

    const OLD: &str = r#"
id        = "99DE-noordzee-rekenroute"
version   = 1
school    = "99DE"
recipient = "noordzee"
product   = "Rekenroute"
annex     = "bijsluiter.pdf"
purpose   = "leermiddelen"
basis     = "overeenkomst"
valid     = { from = 2026-08-01, until = 2027-07-31 }
pseudonym = { domain = "recipient" }
location  = ["NL"]
categories = ["contactgegevens", "docent"]

[release]
"leerling.roepnaam"      = "pass"
"leerling.geboortedatum" = "month"
"#;

    fn agreement(text: &str) -> Agreement {
        parse(text, Path::new("a.toml"), &["99DE"], &["noordzee", "zuidzee"])
            .unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    #[test]
    fn what_a_recipient_would_newly_receive_is_said() {
        let old = agreement(OLD);
        assert_eq!(changes(Some(&old), &old), []);
        for (from, to, widens, said) in [
            (
                "\"month\"",
                "\"year\"",
                false,
                "Minder precies: Geboortedatum (leerling.geboortedatum) – alleen het jaar (was: alleen jaar en maand)",
            ),
            (
                "\"month\"",
                "\"pass\"",
                true,
                "Preciezer: Geboortedatum (leerling.geboortedatum) – zoals het is",
            ),
            ("\"leerling.roepnaam\"      = \"pass\"", "", false, "Vervalt: Roepnaam (leerling.roepnaam)"),
            ("[release]", "[release]\n\"leerling.achternaam\" = \"initial\"", true, "Nieuw: Achternaam"),
            ("2027-07-31", "2027-12-31", true, "Laatste dag: 2027-12-31 (was: 2027-07-31)"),
            ("2027-07-31", "2027-01-31", false, "Laatste dag:"),
            ("2026-08-01", "2026-07-01", true, "Eerste dag:"),
            ("\"leermiddelen\"", "\"publiciteit\"", true, "Het doel: Bekendmaken"),
            ("\"overeenkomst\"", "\"toestemming\"", true, "De grondslag: toestemming (was: overeenkomst)"),
            ("\"noordzee\"", "\"zuidzee\"", true, "De ontvanger: zuidzee"),
            ("\"recipient\" }", "\"pass-eckid\" }", true, "Pseudoniemen: het ECK iD van de leerling zelf"),
            ("[\"NL\"]", "[\"NL\", \"DE\"]", true, "Landen: nieuw: DE"),
            ("[\"NL\"]", "[]", false, "Landen: vervalt: NL"),
            (", \"docent\"]", "]", false, "Categorieën: vervalt: docent"),
            ("categories = [\"contactgegevens\", \"docent\"]", "", true, "noemt geen categorieën meer"),
            ("\"Rekenroute\"", "\"Rekenroute 2\"", false, "Het product: Rekenroute 2"),
        ] {
            let new = agreement(&OLD.replacen(from, to, 1));
            let found = changes(Some(&old), &new);
            let change = found.iter().find(|change| change.text.contains(said));
            assert_eq!(change.map(|change| change.widens), Some(widens), "{said} in {found:?}");
            assert_eq!(only_narrows(&old, &new), !widens, "{said}");
        }
        assert!(changes(None, &old).iter().all(|change| change.widens));
    }
}
