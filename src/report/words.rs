//! The words reports share: dates, durations, countries, grounds. In Dutch that is easy to read.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::{Head, Part};
use crate::{
    answers::{ALWAYS, Ended, Fields, SchoolName, Under},
    catalogue::{Field, Kind, Treatment, catalogue},
    clock::{day_of, local_minute},
    policy::{
        agreement::{After, Basis, Keeps, Safeguard, SafeguardKind, SpecialGround},
        purpose,
    },
    register::{CategoryName, FieldTerms, KnownBy, Persons, Validity},
};

/// What an agreement does not say.
pub const UNSAID: &str = "niet vastgelegd";
/// Under every page.
pub const FOOT: &str = "Gemaakt met Sluis, de poort tussen de leerlingadministratie van de school en haar \
    leveranciers. Dit overzicht gaat over wat via Sluis gaat.";
/// The supervisor, where a complaint goes.
pub const SUPERVISOR: &str =
    "Autoriteit Persoonsgegevens, Postbus 93374, 2509 AJ Den Haag, autoriteitpersoonsgegevens.nl";

/// What stands at the head of a report.
pub fn head(head: &Head) -> Vec<(&'static str, String)> {
    let mut facts = vec![("gemaakt op", day(head.made))];
    if let Some(days) = &head.days {
        facts.push(("periode", period(*days.start(), *days.end())));
    }
    facts.push((
        "kenmerk",
        match head.reference {
            Some(reference) => format!("{reference} (deze raadpleging staat zelf in het logboek)"),
            None => "geen: voor dit overzicht is niet in het logboek gelezen".into(),
        },
    ));
    facts
}

/// The days a report is about.
pub fn period(from: Date, until: Date) -> String {
    match (from == *ALWAYS.start(), until == *ALWAYS.end()) {
        (true, true) => "alles wat het logboek bevat".into(),
        (true, false) => format!("tot en met {}", day(until)),
        (false, true) => format!("vanaf {}", day(from)),
        (false, false) => span(from, until),
    }
}

/// From a day to a day, or one day.
pub fn span(from: Date, until: Date) -> String {
    if from == until {
        return day(from);
    }
    format!("{} tot en met {}", day(from), day(until))
}

/// A day, such as 7 september 2026.
pub fn day(day: Date) -> String {
    const MONTHS: [&str; 12] = [
        "januari",
        "februari",
        "maart",
        "april",
        "mei",
        "juni",
        "juli",
        "augustus",
        "september",
        "oktober",
        "november",
        "december",
    ];
    let month = MONTHS[usize::from(day.month().unsigned_abs()) - 1];
    format!("{} {month} {}", day.day(), day.year())
}

/// A moment in the Netherlands.
pub fn moment(ms: u64) -> String {
    let local = local_minute(ms);
    let time = local.rsplit(' ').next().unwrap_or_default();
    format!("{}, {time}", day(day_of(ms)))
}

/// A number of things, in the right number.
pub fn count(number: impl Into<u64>, one: &str, more: &str) -> String {
    let number = number.into();
    format!("{number} {}", if number == 1 { one } else { more })
}

/// With a capital to begin with.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `a`, `a en b`, `a, b en c`.
pub fn and<S: AsRef<str>>(parts: impl IntoIterator<Item = S>) -> String {
    let parts: Vec<S> = parts.into_iter().collect();
    let Some((last, first)) = parts.split_last() else { return UNSAID.into() };
    let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
    if first.is_empty() { last.as_ref().into() } else { format!("{} en {}", first.join(", "), last.as_ref()) }
}

/// `a, b, c`, or that it is nothing.
pub fn or_none<S: AsRef<str>>(labels: impl IntoIterator<Item = S>) -> String {
    let labels: Vec<S> = labels.into_iter().collect();
    let labels: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
    if labels.is_empty() { "niets".into() } else { labels.join(", ") }
}

/// What an agreement says, or that it does not.
pub fn said(text: Option<&str>) -> String {
    text.unwrap_or(UNSAID).into()
}

/// A school by its name and BRIN.
pub fn school(school: &SchoolName) -> String {
    match &school.name {
        Some(name) => format!("{name} ({})", school.brin),
        None => school.brin.clone(),
    }
}

/// How a delivery ended.
pub fn ended(ended: Ended) -> &'static str {
    match ended {
        Ended::Failed => "afgebroken",
        Ended::Sent => "verzonden",
        Ended::Unknown => "onbekend",
    }
}

/// The agreement something left under.
pub fn under(under: &Under) -> String {
    match &under.id {
        Some(id) => format!("{id} v{}", under.version),
        None => format!("onbekend ({}…)", &under.sha256[..12]),
    }
}

/// What a purpose is called; its id when it is not known.
pub fn purpose_name(id: &str) -> &str {
    purpose::find(id).map_or(id, |purpose| &purpose.name)
}

/// A legal basis, and where the law has it.
pub fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::AlgemeenBelang => "taak van algemeen belang (AVG art. 6 lid 1 e)",
        Basis::GerechtvaardigdBelang => "gerechtvaardigd belang (AVG art. 6 lid 1 f)",
        Basis::Overeenkomst => "uitvoering van een overeenkomst (AVG art. 6 lid 1 b)",
        Basis::Toestemming => "toestemming (AVG art. 6 lid 1 a)",
        Basis::VitaalBelang => "vitaal belang (AVG art. 6 lid 1 d)",
        Basis::WettelijkeVerplichting => "wettelijke verplichting (AVG art. 6 lid 1 c)",
    }
}

/// A legal basis with the interest it rests on, where it needs one.
pub fn basis_with(found: Basis, interest: Option<&str>) -> String {
    match (found, interest) {
        (Basis::GerechtvaardigdBelang, Some(interest)) => format!("{}: {interest}", basis(found)),
        (Basis::GerechtvaardigdBelang, None) => format!("{}; welk belang is {UNSAID}", basis(found)),
        (_, _) => basis(found).into(),
    }
}

/// What makes special categories of data lawful, and where the law has it.
pub fn special(ground: SpecialGround) -> &'static str {
    match ground {
        SpecialGround::ArbeidsrechtEnSocialeZekerheid => {
            "arbeidsrecht en sociale zekerheid (AVG art. 9 lid 2 b)"
        }
        SpecialGround::Gezondheidszorg => "zorg en behandeling (AVG art. 9 lid 2 h)",
        SpecialGround::KennelijkOpenbaar => "door de persoon zelf openbaar gemaakt (AVG art. 9 lid 2 e)",
        SpecialGround::Rechtsvordering => "een rechtszaak (AVG art. 9 lid 2 f)",
        SpecialGround::SpecialeBegeleiding => {
            "speciale begeleiding van leerlingen of voorzieningen voor hun gezondheid (UAVG art. 30 lid 2 a)"
        }
        SpecialGround::UitdrukkelijkeToestemming => "uitdrukkelijke toestemming (AVG art. 9 lid 2 a)",
        SpecialGround::VitaalBelang => "vitaal belang (AVG art. 9 lid 2 c)",
        SpecialGround::Volksgezondheid => "volksgezondheid (AVG art. 9 lid 2 i)",
        SpecialGround::ZwaarwegendAlgemeenBelang => {
            "zwaarwegend algemeen belang, volgens een wet (AVG art. 9 lid 2 g)"
        }
    }
}

/// How long, in years where that is even.
fn months(months: u16) -> String {
    match (months / 12, months % 12) {
        (0, 1) => "1 maand".into(),
        (years @ 1.., 0) => format!("{years} jaar"),
        _ => format!("{months} maanden"),
    }
}

/// What a recipient keeps, and how long.
pub fn keeps(keeps: &[Keeps]) -> String {
    if keeps.is_empty() {
        return UNSAID.into();
    }
    let one = |keeps: &Keeps| format!("{}: {}", keeps.what, term(keeps.months, keeps.after));
    keeps.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// How long something is kept.
pub fn term(number: u16, after: After) -> String {
    let after = match after {
        After::EindeOvereenkomst => "het einde van de overeenkomst",
        After::EindeSchooljaar => "het einde van het schooljaar",
        After::Uitschrijving => "de dag waarop de leerling van school gaat",
        After::Verstrekking => "de verstrekking",
    };
    match number {
        0 => format!("tot {after}"),
        some => format!("tot {} na {after}", months(some)),
    }
}

/// What protects data outside the EEA.
pub fn safeguard(safeguard: &Safeguard) -> String {
    let kind = match safeguard.kind {
        SafeguardKind::Adequaatheidsbesluit => {
            "adequaatheidsbesluit: de Europese Commissie vindt de bescherming daar goed genoeg (AVG art. 45)"
        }
        SafeguardKind::BindendeBedrijfsvoorschriften => {
            "bindende bedrijfsvoorschriften: goedgekeurde regels binnen het bedrijf (AVG art. 47)"
        }
        SafeguardKind::Standaardbepalingen => {
            "standaardbepalingen: een modelcontract van de Europese Commissie (AVG art. 46)"
        }
    };
    match &safeguard.text {
        Some(text) => format!("{kind}; {text}"),
        None => kind.into(),
    }
}

/// Countries by their names.
pub fn countries<S: AsRef<str>>(codes: impl IntoIterator<Item = S>) -> String {
    and(codes.into_iter().map(|code| country(code.as_ref()).to_owned()))
}

/// Dutch names of the countries that data of schools go to most; others keep their code.
fn country(code: &str) -> &str {
    const NAMES: [(&str, &str); 44] = [
        ("AT", "Oostenrijk"),
        ("AU", "Australië"),
        ("BE", "België"),
        ("BG", "Bulgarije"),
        ("BR", "Brazilië"),
        ("CA", "Canada"),
        ("CH", "Zwitserland"),
        ("CN", "China"),
        ("CY", "Cyprus"),
        ("CZ", "Tsjechië"),
        ("DE", "Duitsland"),
        ("DK", "Denemarken"),
        ("EE", "Estland"),
        ("ES", "Spanje"),
        ("FI", "Finland"),
        ("FR", "Frankrijk"),
        ("GB", "Verenigd Koninkrijk"),
        ("GR", "Griekenland"),
        ("HR", "Kroatië"),
        ("HU", "Hongarije"),
        ("IE", "Ierland"),
        ("IL", "Israël"),
        ("IN", "India"),
        ("IS", "IJsland"),
        ("IT", "Italië"),
        ("JP", "Japan"),
        ("KR", "Zuid-Korea"),
        ("LI", "Liechtenstein"),
        ("LT", "Litouwen"),
        ("LU", "Luxemburg"),
        ("LV", "Letland"),
        ("MT", "Malta"),
        ("NL", "Nederland"),
        ("NO", "Noorwegen"),
        ("NZ", "Nieuw-Zeeland"),
        ("PL", "Polen"),
        ("PT", "Portugal"),
        ("RO", "Roemenië"),
        ("SE", "Zweden"),
        ("SG", "Singapore"),
        ("SI", "Slovenië"),
        ("SK", "Slowakije"),
        ("UA", "Oekraïne"),
        ("US", "Verenigde Staten"),
    ];
    NAMES.iter().find(|(known, _)| *known == code).map_or(code, |(_, name)| name)
}

/// Data categories of what may leave.
pub fn categories(categories: &[CategoryName]) -> String {
    or_none(categories.iter().map(|category| {
        if category.coded { format!("{} (alleen als code)", category.name) } else { category.name.to_owned() }
    }))
}

/// The data categories of fields that left.
pub fn categories_of(fields: impl IntoIterator<Item = &'static Field>) -> String {
    let mut used: BTreeMap<usize, bool> = BTreeMap::new();
    for field in fields {
        if let Some(category) = field.category {
            *used.entry(category).or_insert(true) &= field.kind == Kind::Key;
        }
    }
    or_none(used.into_iter().map(|(category, coded)| {
        let name = &catalogue().categories()[category].name;
        if coded { format!("{name} (alleen als code)") } else { name.clone() }
    }))
}

/// What people call the fields of a mask that left. A key never leaves as it is, and an ECK iD only where the agreement
/// says so: their names alone would say otherwise.
pub fn given(fields: Fields, mask: u64) -> String {
    let bits = (0..u64::BITS).filter(|bit| mask >> bit & 1 == 1);
    or_none(fields.labels(mask).into_iter().zip(bits).map(|(label, bit)| as_left(label, fields.field(bit))))
}

/// What people call a field that left.
pub fn as_left(label: &str, field: Option<&Field>) -> String {
    match field.map(|field| field.kind) {
        Some(Kind::Key) => format!("{label} (als code)"),
        Some(Kind::Eckid) => format!("{label} of pseudoniem"),
        _ => label.to_owned(),
    }
}

/// What people call the field of this name, when it left.
pub fn field_left(name: &str) -> String {
    catalogue().find(name).map_or_else(|| name.to_owned(), |field| as_left(&field.label, Some(field)))
}

/// What people call a field that may leave, with what is done with it first.
pub fn field_terms(field: &FieldTerms) -> String {
    let kind = catalogue().find(field.field).map(|field| field.kind);
    let how = match (Treatment::parse(field.treatment), kind) {
        (Some(Treatment::Initial), _) => " (alleen de eerste letter)",
        (Some(Treatment::Month), _) => " (alleen maand en jaar)",
        (Some(Treatment::Pc4), _) => " (alleen de vier cijfers)",
        (Some(Treatment::Pseudonym), Some(Kind::Eckid)) => " (vervangen door een pseudoniem)",
        (Some(Treatment::Pseudonym), _) => " (als code)",
        (Some(Treatment::Year), _) => " (alleen het jaar)",
        (Some(Treatment::Pass) | None, _) => "",
    };
    format!("{}{how}", field.label)
}

/// How persons are known to a recipient.
pub fn known_by(known_by: KnownBy) -> &'static str {
    match known_by {
        KnownBy::ChainPseudonym => {
            "een pseudoniem dat gelijk is voor alle leveranciers in dezelfde keten van leermiddelen"
        }
        KnownBy::EckId => "de ECK iD: het pseudoniem dat de school al gebruikt in de keten van leermiddelen",
        KnownBy::OwnPseudonym => "een pseudoniem dat alleen deze leverancier krijgt",
    }
}

/// Whether an agreement is in force.
pub fn validity(validity: Validity) -> &'static str {
    match validity {
        Validity::Ended => "beëindigd",
        Validity::Future => "gaat nog in",
        Validity::InForce => "geldt nu",
        Validity::Unapproved => "wacht op goedkeuring",
    }
}

/// Whose data it is.
pub fn persons(persons: Persons) -> &'static str {
    match persons {
        Persons::Leerkrachten => "leerkrachten",
        Persons::Leerlingen => "leerlingen",
    }
}

/// That what was given does not tell all that the log may know the person by.
pub fn partial() -> Part {
    let mut part = Part::new("Niet volledig");
    part.say(
        "Gezocht is op wat is opgegeven. Wat het logboek over deze persoon onder een andere code heeft, staat hier niet bij: \
         leerresultaten, verstrekkingen onder een andere logsleutel, of van toen de leerling een ander nummer had. Met \
         --feed, een bestand uit de leerlingadministratie waarin de persoon staat, wordt ook daarop gezocht.",
    );
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_fit_what_they_are_about() {
        assert_eq!(day(Date::constant(2026, 9, 7)), "7 september 2026");
        assert_eq!(and(["a"]), "a");
        assert_eq!(and(["a", "b", "c"]), "a, b en c");
        assert_eq!(and(Vec::<String>::new()), UNSAID);
        assert_eq!(count(1u32, "keer", "keren"), "1 keer");
        assert_eq!(countries(["NL", "US", "ZZ"]), "Nederland, Verenigde Staten en ZZ");
        let kept = |months, after| keeps(&[Keeps { what: "scores".into(), months, after }]);
        assert_eq!(kept(0, After::EindeSchooljaar), "scores: tot het einde van het schooljaar");
        assert_eq!(kept(24, After::Verstrekking), "scores: tot 2 jaar na de verstrekking");
        assert_eq!(kept(1, After::Verstrekking), "scores: tot 1 maand na de verstrekking");
        assert_eq!(
            kept(18, After::Uitschrijving),
            "scores: tot 18 maanden na de dag waarop de leerling van school gaat"
        );
        assert_eq!(keeps(&[]), UNSAID);
    }
}
