//! What a school agreed with its suppliers: the overview it publishes, its register of processing, the paragraph of its
//! privacy statement.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::Serialize;

use super::{
    Part,
    words::{self, UNSAID},
};
use crate::{
    config::Config,
    policy::agreement::Basis,
    register::{Entry, LogTerms, Published, Register, Validity},
};

/// What a school publishes, as data.
#[derive(Serialize)]
pub struct Public<'r> {
    brin: &'r str,
    school: &'r str,
    day: Date,
    contacts: &'r BTreeSet<&'r str>,
    supervisor: &'static str,
    log: LogTerms,
    agreements: Vec<Published<'r>>,
}

impl<'r> Public<'r> {
    /// What may be told to everybody.
    pub fn new(register: &'r Register<'_>) -> Self {
        Self {
            brin: register.brin,
            school: register.school,
            day: register.day,
            contacts: &register.contacts,
            supervisor: words::SUPERVISOR,
            log: register.log,
            agreements: register.agreements.iter().map(Entry::published).collect(),
        }
    }
}

/// The overview of suppliers that a school publishes.
pub fn recipients(register: &Register<'_>) -> Part {
    let mut report = Part::new(format!("Leveranciers van {}", register.school));
    report.say(format!(
        "{} ({}) werkt met de leveranciers hieronder. Zij krijgen via Sluis gegevens van leerlingen of leerkrachten. \
         Met elke leverancier is vastgelegd waarvoor dat is en om welke gegevens het gaat. Alles wat daar niet bij \
         staat, houdt Sluis tegen.",
        register.school, register.brin
    ));
    if register.agreements.is_empty() {
        report.say("Er zijn geen overeenkomsten. Via Sluis gaan geen gegevens naar leveranciers.");
        return report;
    }
    let mut overview = Part::new("In het kort");
    overview.table(
        "Leveranciers, producten en tot wanneer de overeenkomst geldt",
        &["leverancier", "product", "geldig"],
        register.agreements.iter().map(|entry| {
            vec![
                entry.recipient_name.to_owned(),
                entry.product.to_owned(),
                match entry.validity {
                    Validity::Ended => format!("beëindigd op {}", words::day(entry.until)),
                    Validity::Future => format!("gaat in op {}", words::day(entry.from)),
                    Validity::InForce => format!("geldt nu, tot en met {}", words::day(entry.until)),
                    Validity::Unapproved => "wacht op goedkeuring".into(),
                },
            ]
        }),
    );
    report.part(overview);
    for (validity, heading) in [
        (Validity::InForce, "Overeenkomsten die nu gelden"),
        (Validity::Unapproved, "Overeenkomsten die wachten op goedkeuring"),
        (Validity::Future, "Overeenkomsten die nog ingaan"),
        (Validity::Ended, "Overeenkomsten die zijn beëindigd"),
    ] {
        let mut part = Part::new(heading);
        let own = register.agreements.iter().filter(|entry| entry.validity == validity);
        for entry in own {
            let mut one = Part::new(format!("{}: {}", entry.recipient_name, entry.product));
            one.facts(published(entry));
            part.part(one);
        }
        match (validity, part.blocks.is_empty()) {
            (_, false) => {}
            (Validity::InForce, true) => {
                part.say("Er geldt nu geen overeenkomst. Via Sluis gaan nu geen gegevens naar leveranciers.");
            }
            (_, true) => continue,
        }
        report.part(part);
    }
    report.part(questions(register));
    report
}

/// What the overview says of an agreement.
fn published(entry: &Entry<'_>) -> Vec<(&'static str, String)> {
    let terms = entry.terms;
    vec![
        ("ontvanger", party(entry)),
        ("product", entry.product.to_owned()),
        ("doel", entry.purpose_name.to_owned()),
        ("grondslag", words::basis_with(entry.basis, terms.interest.as_deref())),
        ("van wie", words::or_none(entry.persons.iter().map(|&persons| words::persons(persons)))),
        ("soorten gegevens", words::categories(&entry.categories)),
        ("bekend onder", words::known_by(entry.known_by).to_owned()),
        ("land van opslag", words::countries(&terms.location)),
        ("buiten de EER", outside(entry)),
        ("bewaren", words::keeps(&terms.keeps)),
        ("werken mee", sub_processors(entry)),
        ("geldig", format!("{} ({})", words::span(entry.from, entry.until), words::validity(entry.validity))),
        ("overeenkomst", format!("{} versie {}", entry.agreement, entry.version)),
    ]
}

/// The register of processing, as far as it passes through Sluis.
pub fn register(register: &Register<'_>, config: &Config) -> Part {
    let mut report = Part::new("Register van verwerkingen");
    report.say(
        "Dit is het deel van het verwerkingsregister (AVG art. 30) over de gegevens die via Sluis naar leveranciers \
         gaan. Andere verwerkingen van de school staan hier niet in. Wat in geen overeenkomst staat, heet hier \
         ‘niet vastgelegd’: vul het aan in de overeenkomst.",
    );
    let mut school = Part::new("Wie verantwoordelijk is");
    let controllers = if register.controllers.is_empty() {
        format!("{} (volledige naam {UNSAID})", register.school)
    } else {
        words::and(&register.controllers)
    };
    school.facts(vec![
        ("verwerkingsverantwoordelijke", controllers),
        ("school", format!("{} (BRIN {})", register.school, register.brin)),
        ("contact en functionaris gegevensbescherming", words::and(&register.contacts)),
    ]);
    report.part(school);
    let mut all = Part::new("Verwerkingen");
    if register.agreements.is_empty() {
        all.say("Er zijn geen overeenkomsten. Via Sluis worden geen gegevens verwerkt.");
    }
    for entry in &register.agreements {
        let mut one = Part::new(format!(
            "{}: {} ({})",
            entry.recipient_name,
            entry.product,
            words::validity(entry.validity)
        ));
        one.facts(processing(entry));
        all.part(one);
    }
    report.part(all);
    report.part(terms(register));
    report.part(measures(register, config));
    report
}

/// What is kept how long, and who lets go of it.
fn terms(register: &Register<'_>) -> Part {
    let mut part = Part::new("Bewaartermijnen");
    part.say(
        "Wat Sluis bewaart, verwijdert Sluis zelf. De andere termijnen heeft de school opgegeven; die gegevens staan \
         niet in Sluis, en de school verwijdert ze.",
    );
    let LogTerms { detail_days, rollup_days, .. } = register.log;
    let (rights, drift) = (register.rights_days, register.drift_days);
    let own = [
        ("Elke verstrekking over een persoon", format!("{detail_days} dagen na het einde van de maand")),
        ("Samenvatting per maand", format!("{rollup_days} dagen na de laatste verstrekking over de persoon")),
        (
            "Bezwaar, beperking, toestemming",
            format!(
                "tot het wordt ingetrokken; anders {rights} dagen, als over de persoon verder niets bekend is"
            ),
        ),
        ("Wat nieuw was in een levering", format!("{drift} dagen")),
    ];
    let own = own.map(|(what, how_long)| vec![what.to_owned(), how_long, "Sluis".to_owned()]);
    let school = register
        .school_terms
        .iter()
        .map(|term| vec![term.what.clone(), words::term(term.months, term.after), "de school".to_owned()]);
    part.table("Bewaartermijnen", &["wat", "hoe lang", "wie verwijdert"], own.into_iter().chain(school));
    part
}

fn processing(entry: &Entry<'_>) -> Vec<(&'static str, String)> {
    let terms = entry.terms;
    let mut facts = vec![
        ("doel", entry.purpose_name.to_owned()),
        ("grondslag", words::basis_with(entry.basis, terms.interest.as_deref())),
        ("betrokkenen", words::or_none(entry.persons.iter().map(|&persons| words::persons(persons)))),
        ("soorten gegevens", words::categories(&entry.categories)),
        ("bekend onder", words::known_by(entry.known_by).to_owned()),
        (
            "bijzondere gegevens",
            match terms.special {
                Some(ground) => format!("uitzondering: {}", words::special(ground)),
                None => "worden niet verstrekt".into(),
            },
        ),
        ("ontvanger", party(entry)),
        ("contact van de ontvanger", words::said(terms.contact.as_ref().map(|both| both.recipient.as_str()))),
        ("contact bij een datalek", words::said(terms.breach_contact.as_deref())),
        ("werken mee", sub_processors(entry)),
        ("land van opslag", words::countries(&terms.location)),
        ("buiten de EER", outside(entry)),
        ("wissen door de ontvanger", words::keeps(&terms.keeps)),
        ("leerresultaten", "de ontvanger mag resultaten terugsturen naar de school".into()),
        ("geldig", words::span(entry.from, entry.until)),
        ("overeenkomst", format!("{} versie {}; bijlage {}", entry.agreement, entry.version, entry.annex)),
        ("vingerafdruk", format!("SHA-256 {}", entry.sha256)),
    ];
    let mut kinds = Vec::new();
    for (name, records) in [
        ("gegevens van leerlingen", &["leerling"][..]),
        ("gegevens van leerkrachten", &["leerkracht"]),
        ("gegevens van groepen", &["groep", "samengestelde_groep", "vestiging"]),
    ] {
        let own = entry
            .fields
            .iter()
            .filter(|field| field.field.split_once('.').is_some_and(|(record, _)| records.contains(&record)));
        let own: Vec<_> = own.map(words::field_terms).collect();
        if !own.is_empty() {
            kinds.push((name, own.join(", ")));
        }
    }
    if !entry.unused_categories.is_empty() {
        let unused = words::categories(&entry.unused_categories);
        kinds.push(("ook afgesproken", format!("{unused}; daarvan gaat niets via Sluis")));
    }
    let after = facts.iter().position(|(name, _)| *name == "soorten gegevens").map_or(0, |place| place + 1);
    facts.splice(after..after, kinds);
    facts
}

/// What Sluis does, and nothing that it does not.
fn measures(register: &Register<'_>, config: &Config) -> Part {
    let mut part = Part::new("Beveiliging");
    part.say(
        "Dit doet Sluis bij elke verstrekking. Wat de ontvanger zelf doet, staat in de overeenkomst met hem.",
    );
    let mut points = vec![
        "Zo min mogelijk gegevens: alleen wat de overeenkomst met naam noemt, gaat door. De rest blijft bij de \
         school. Zonder geldige overeenkomst gaat er niets door."
            .to_owned(),
        "Pseudoniemen: in plaats van de sleutel uit de leerlingadministratie krijgt de ontvanger een code. Ook de \
         ECK iD is vervangen door een pseudoniem, tenzij hierboven staat dat de ECK iD zelf doorgaat. Een BSN gaat \
         alleen door als de wet dat eist."
            .to_owned(),
        "Bewijsbaar logboek: elke verstrekking staat in het logboek voordat er iets vertrekt. Het logboek is \
         ondertekend. Als iemand er iets in verandert of weghaalt, blijkt dat bij een controle."
            .to_owned(),
        "Toezicht: elk overzicht dat uit het logboek wordt gemaakt, staat zelf ook in het logboek.".to_owned(),
        "Sleutels: de bestanden met geheime sleutels mogen alleen leesbaar zijn voor Sluis zelf. Anders start Sluis \
         niet."
            .to_owned(),
        log_terms(register.log),
    ];
    if config.gateway.is_some() {
        points.insert(
            2,
            "Beveiligde verbinding: leveranciers halen gegevens op over een versleutelde verbinding (TLS). Beide kanten \
             laten met een certificaat zien wie zij zijn. Bestanden die de school zelf verstuurt, vallen hier buiten."
                .to_owned(),
        );
    }
    part.list(points);
    part
}

/// How long the log keeps what it holds of persons.
pub(super) fn log_terms(log: LogTerms) -> String {
    let leaves = match log.leaf_days {
        Some(days) => format!("Regels zonder persoonsgegevens gaan na {days} dagen weg."),
        None => "Regels zonder persoonsgegevens blijven.".into(),
    };
    format!(
        "Bewaartermijn van het logboek: regels over een persoon gaan {} dagen na het einde van hun maand weg. Daarna \
         is er nog een samenvatting per maand, tot {} dagen na de laatste verstrekking over die persoon. {leaves}",
        log.detail_days, log.rollup_days
    )
}

/// The paragraph about suppliers for the privacy statement of a school.
pub fn statement(register: &Register<'_>) -> Part {
    let mut report = Part::new("Leveranciers van leermiddelen");
    let in_force: Vec<_> =
        register.agreements.iter().filter(|entry| entry.validity == Validity::InForce).collect();
    if in_force.is_empty() {
        report.say(format!(
            "{} geeft op dit moment via Sluis geen gegevens aan leveranciers.",
            register.school
        ));
        return report;
    }
    report.say(format!(
        "{} gebruikt producten van leveranciers, zoals digitale leermiddelen. Zij krijgen gegevens uit onze \
         leerlingadministratie. Met elke leverancier hebben wij afspraken gemaakt. Een leverancier krijgt alleen wat \
         daarin staat. Een programma, Sluis, houdt de rest tegen en vervangt nummers door een code.",
        register.school
    ));
    for entry in &in_force {
        let mut one = Part::new(format!("{}, voor {}", party(entry), entry.product));
        let terms = entry.terms;
        let who = entry.persons.iter().map(|&persons| words::persons(persons));
        let mut points = vec![
            format!("Waarvoor: {}.", entry.purpose_name),
            format!("Grondslag: {}.", words::basis_with(entry.basis, terms.interest.as_deref())),
            format!("Van wie: {}.", words::and(who)),
            format!("Soorten gegevens: {}.", words::categories(&entry.categories)),
            format!("Bewaren: {}.", words::keeps(&terms.keeps)),
            format!("Waar de gegevens staan: {}.", words::countries(&terms.location)),
            format!("Buiten de Europese Economische Ruimte (EER): {}.", outside(entry)),
        ];
        if let Some(ground) = terms.special {
            points.push(format!("Bijzondere persoonsgegevens mogen vanwege: {}.", words::special(ground)));
        }
        if !terms.sub_processors.is_empty() {
            points.push(format!("Werken mee voor deze leverancier: {}.", sub_processors(entry)));
        }
        one.list(points);
        report.part(one);
    }
    let mut record = Part::new("Wat wij bijhouden");
    record.say(
        "Wij houden bij welke gegevens wanneer naar welke leverancier zijn gegaan. Daarin staan geen namen of nummers \
         van leerlingen, maar een code. U kunt ons vragen wat er over u of uw kind is verstrekt.",
    );
    record.say(log_terms(register.log));
    report.part(record);
    report.part(rights(in_force.iter().any(|entry| entry.basis == Basis::Toestemming)));
    report.part(questions(register));
    report
}

fn rights(consent: bool) -> Part {
    let mut part = Part::new("Uw rechten");
    part.say(
        "U mag uw gegevens inzien, laten verbeteren en laten wissen. U mag vragen om ze minder te gebruiken (beperking) \
         en om ze over te dragen. U mag bezwaar maken als de grondslag een taak van algemeen belang of een \
         gerechtvaardigd belang is. Wij antwoorden binnen een maand. Sluis neemt geen besluiten over mensen.",
    );
    if consent {
        part.say(
            "Hebt u toestemming gegeven? Die mag u altijd intrekken. Wat daarvoor gebeurde, blijft geldig.",
        );
    }
    part
}

fn questions(register: &Register<'_>) -> Part {
    let mut part = Part::new("Vragen en klachten");
    part.facts(vec![
        ("vragen over privacy", words::and(&register.contacts)),
        ("klacht indienen", words::SUPERVISOR.into()),
    ]);
    part
}

/// The recipient by its full name, where the agreement has it.
fn party(entry: &Entry<'_>) -> String {
    match &entry.terms.parties {
        Some(both) if both.recipient != entry.recipient_name => {
            format!("{} ({})", entry.recipient_name, both.recipient)
        }
        _ => entry.recipient_name.to_owned(),
    }
}

pub(super) fn sub_processors(entry: &Entry<'_>) -> String {
    let subs = entry.terms.sub_processors.iter();
    let shown: Vec<_> =
        subs.map(|sub| format!("{} ({}; {})", sub.name, sub.does, words::countries(&sub.location))).collect();
    if shown.is_empty() { "niemand genoemd in de overeenkomst".into() } else { shown.join("; ") }
}

/// Countries outside the EEA, and what makes up for that.
pub(super) fn outside(entry: &Entry<'_>) -> String {
    let safeguard = entry.terms.safeguard.as_ref().map(words::safeguard);
    match (entry.third_countries.is_empty(), entry.terms.location.is_empty()) {
        (true, true) => UNSAID.into(),
        (true, false) => "nee".into(),
        (false, _) => {
            let countries = words::countries(&entry.third_countries);
            format!("ja, {countries}; waarborg: {}", safeguard.as_deref().unwrap_or(UNSAID))
        }
    }
}
