//! What went where about one person, for that person: all that AVG art. 15 asks for.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Part, agreed,
    words::{self, UNSAID},
};
use crate::{
    answers::{Answers, Delivered, Fields, Inzage, Party, Summarised},
    config::Config,
    policy::agreement::Agreement,
    register::{Entry, LogTerms, Register, Validity},
    standing::{self, Ledger},
};

/// An inzage with what the school agreed with those who got something.
#[derive(Serialize)]
pub struct Told<'a> {
    #[serde(flatten)]
    inzage: &'a Inzage,
    /// The agreements things left under, as far as their files are there.
    agreements: Vec<Entry<'a>>,
    /// Who may get something from now on.
    future: Vec<Future<'a>>,
    /// How long the log keeps it.
    log: LogTerms,
    /// Where the data come from.
    source: &'static str,
    /// Sluis decides nothing about anyone.
    automated_decisions: bool,
    /// Where the school can be reached about privacy, as its agreements have it.
    contacts: BTreeSet<&'a str>,
    /// Where a complaint goes.
    supervisor: &'static str,
    #[serde(skip)]
    register: &'a Register<'a>,
}

/// A recipient that may get something from now on.
#[derive(Serialize)]
struct Future<'a> {
    recipient: &'a str,
    product: &'a str,
}

impl<'a> Told<'a> {
    /// With the agreements things left under, as they stand on the day of the register.
    ///
    /// # Errors
    ///
    /// What stands cannot be told.
    pub fn new(
        inzage: &'a Inzage,
        answers: &'a Answers<'_>,
        config: &'a Config,
        ledger: &Ledger,
        register: &'a Register<'a>,
    ) -> Result<Self, standing::Error> {
        let mut used: BTreeMap<(&str, u32), &Agreement> = BTreeMap::new();
        let of_deliveries = inzage.deliveries.iter().filter_map(|one| answers.agreement(&one.agreement));
        let of_months =
            inzage.summaries.iter().filter_map(|one| answers.agreement_summarised(&one.agreement));
        for agreement in of_deliveries.chain(of_months) {
            used.insert((&agreement.id, agreement.version), agreement);
        }
        let entries = used.values().map(|agreement| Entry::of(config, ledger, agreement, register.day));
        let agreements = entries.collect::<Result<Vec<_>, _>>()?;
        // Of an agreement that ended, the address may still be the only one there is.
        let of_used = agreements.iter().filter_map(|entry| entry.terms.contact.as_ref());
        let contacts = match register.contacts.is_empty() {
            true => of_used.map(|both| both.school.as_str()).collect(),
            false => register.contacts.clone(),
        };
        let coming = register.agreements.iter().filter(|entry| entry.validity != Validity::Ended);
        Ok(Self {
            inzage,
            agreements,
            future: coming
                .map(|entry| Future { recipient: entry.recipient, product: entry.product })
                .collect(),
            log: register.log,
            source: "de leerlingadministratie van de school",
            automated_decisions: false,
            contacts,
            supervisor: words::SUPERVISOR,
            register,
        })
    }

    /// For people.
    pub fn report(&self) -> Part {
        let inzage = self.inzage;
        let mut report = Part::new("Inzage in verstrekte gegevens (AVG art. 15)");
        report.facts(vec![("school", words::school(&inzage.school))]);
        report.say(
            "Dit overzicht gaat over één persoon. Het laat zien welke gegevens via Sluis naar leveranciers van de school \
             zijn gegaan, en waarom. De gegevens zelf staan er niet in: het logboek bewaart alleen wélke gegevens \
             zijn verstrekt. De naam van de persoon staat er ook niet in.",
        );
        if inzage.deliveries.is_empty() && inzage.summaries.is_empty() {
            report.say("Het logboek bevat over deze persoon in deze periode geen verstrekkingen.");
        } else {
            report.part(self.recipients());
        }
        if !inzage.deliveries.is_empty() {
            report.part(deliveries(&inzage.deliveries));
        }
        if !inzage.summaries.is_empty() {
            report.part(summaries(&inzage.summaries));
        }
        if inzage.partial {
            report.part(words::partial());
        }
        report.part(self.terms());
        report.part(rights());
        let mut part = Part::new("Vragen en klachten");
        part.say(
            "Bent u het niet eens met hoe uw gegevens worden gebruikt? Praat dan eerst met de school of met haar \
             functionaris gegevensbescherming (FG). U mag ook een klacht indienen bij de toezichthouder.",
        );
        part.facts(vec![
            ("contact over privacy en FG", words::and(&self.contacts)),
            ("toezichthouder", words::SUPERVISOR.into()),
        ]);
        report.part(part);
        report
    }

    /// Who got what, in sum, and what was agreed about it.
    fn recipients(&self) -> Part {
        type Own<'i> = (Vec<&'i Delivered>, Vec<&'i Summarised>);
        let mut part = Part::new("1. Wie kreeg wat, waarvoor");
        let mut by_party: BTreeMap<(bool, &Party), Own<'_>> = BTreeMap::new();
        for one in &self.inzage.deliveries {
            by_party.entry((one.results, &one.recipient)).or_default().0.push(one);
        }
        for one in &self.inzage.summaries {
            by_party.entry((one.results, &one.recipient)).or_default().1.push(one);
        }
        for ((results, party), (deliveries, months)) in by_party {
            let how = if results { ": leerresultaten aan de school" } else { "" };
            let mut one = Part::new(format!("{}{how}", party.shown()));
            let masks = || {
                let masks = deliveries.iter().map(|one| one.masks);
                masks.chain(months.iter().map(|month| month.masks))
            };
            let fields = masks().next().map_or(Fields::Leerling, |masks| masks.0);
            let (released, withheld) =
                masks().fold((0, 0), |(released, withheld), masks| (released | masks.1, withheld | masks.2));
            let mut facts = vec![
                ("hoe vaak", how_often(&deliveries, &months)),
                ("soorten gegevens", words::categories_of(fields.fields(released))),
                ("verstrekt", words::given(fields, released)),
                ("achtergehouden", words::or_none(fields.labels(withheld & !released))),
            ];
            let out: BTreeSet<_> =
                deliveries.iter().filter_map(|one| Some((one.kept_out?, one.day))).collect();
            if !out.is_empty() {
                let times = out.iter().map(|(why, day)| format!("{} ({why})", words::day(*day)));
                facts.push(("niets verstrekt op", words::and(times)));
            }
            one.facts(facts);
            self.agreed(&deliveries, &months, &mut one);
            part.part(one);
        }
        part.say(
            "Sleutels van de leerlingadministratie gaan nooit zelf naar een ontvanger: daarvoor komt een code in de \
             plaats. ‘Achtergehouden’ is wat in het bestand van de school stond en niet is verstrekt.",
        );
        let parties = self.inzage.deliveries.iter().map(|one| &one.recipient);
        let parties = parties.chain(self.inzage.summaries.iter().map(|one| &one.recipient));
        let got: BTreeSet<&str> = parties.filter_map(|party| party.id.as_deref()).collect();
        let others = self
            .register
            .agreements
            .iter()
            .filter(|entry| entry.validity != Validity::Ended && !got.contains(entry.recipient));
        let others: Vec<_> =
            others.map(|entry| format!("{} ({})", entry.recipient_name, entry.product)).collect();
        if !others.is_empty() {
            part.say(format!(
                "De school heeft ook een overeenkomst met: {}. Zij kunnen later gegevens krijgen.",
                words::and(others)
            ));
        }
        part
    }

    fn agreed(&self, deliveries: &[&Delivered], months: &[&Summarised], part: &mut Part) {
        let mut under: Vec<_> = deliveries.iter().map(|one| &one.agreement).collect();
        under.sort();
        under.dedup();
        let mut shown = BTreeSet::new();
        for found in under {
            let entry = found.id.as_deref().and_then(|id| {
                let own = |entry: &&Entry<'_>| entry.agreement == id && entry.version == found.version;
                let newest = || self.agreements.iter().rfind(|entry| entry.agreement == id);
                self.agreements.iter().find(own).or_else(newest)
            });
            match entry {
                Some(entry) => {
                    shown.insert(entry.sha256.as_str());
                    let note = if found.on_file {
                        String::new()
                    } else {
                        format!(" (die tekst is hier niet meer; hieronder staat versie {})", entry.version)
                    };
                    part.facts(facts(entry, format!("{}{note}", words::under(found))));
                }
                None => gone(words::under(found), part),
            }
        }
        let of_months: BTreeSet<&str> = months.iter().map(|month| month.agreement.as_str()).collect();
        for first in of_months {
            if shown.iter().any(|sha256| sha256.starts_with(first)) {
                continue;
            }
            match self.agreements.iter().find(|entry| entry.sha256.starts_with(first)) {
                Some(entry) => part.facts(facts(entry, format!("{} v{}", entry.agreement, entry.version))),
                None => gone(format!("onbekend ({first}…)"), part),
            }
        }
    }

    fn terms(&self) -> Part {
        let mut part = Part::new("Bron, bewaren en besluiten");
        part.facts(vec![
            ("bron", format!("{}; bij leerresultaten: de leverancier die ze stuurt", self.source)),
            (
                "geautomatiseerde besluiten",
                "Sluis neemt geen besluiten over personen en maakt geen profielen. Of de \
              school of een ontvanger dat doet, weet Sluis niet: vraag het de school."
                    .into(),
            ),
        ]);
        part.say(format!(
            "Hoe lang een ontvanger de gegevens bewaart, staat bij die ontvanger. {}",
            agreed::log_terms(self.log)
        ));
        part
    }
}

/// How often and when something left. A delivery that held all of it back is no delivery to whom it is about.
fn how_often(deliveries: &[&Delivered], months: &[&Summarised]) -> String {
    let (left, kept): (Vec<&&Delivered>, Vec<&&Delivered>) =
        deliveries.iter().partition(|one| one.masks.1 != 0);
    let (left_months, kept_months): (Vec<&&Summarised>, Vec<&&Summarised>) =
        months.iter().partition(|month| month.masks.1 != 0);
    let times = |deliveries: usize, months: &[&&Summarised]| {
        deliveries as u64 + months.iter().map(|month| u64::from(month.count)).sum::<u64>()
    };
    let days = || {
        let days = left.iter().map(|one| (one.day, one.day));
        days.chain(left_months.iter().map(|month| (month.first, month.last)))
    };
    let mut text = match (days().map(|days| days.0).min(), days().map(|days| days.1).max()) {
        (Some(first), Some(last)) => {
            let days = if first == last { "op" } else { "van" };
            format!("{} keer, {days} {}", times(left.len(), &left_months), words::span(first, last))
        }
        _ => "nooit".into(),
    };
    let kept = times(kept.len(), &kept_months);
    if kept > 0 {
        text.push_str(&format!("; {kept} keer is alles over deze persoon tegengehouden"));
    }
    text
}

/// What was agreed about what a recipient got.
fn facts(entry: &Entry<'_>, agreement: String) -> Vec<(&'static str, String)> {
    let terms = entry.terms;
    vec![
        ("overeenkomst", agreement),
        ("product", entry.product.to_owned()),
        ("doel", entry.purpose_name.to_owned()),
        ("grondslag", words::basis_with(entry.basis, terms.interest.as_deref())),
        ("ontvanger bewaart", words::keeps(&terms.keeps)),
        ("land van opslag", words::countries(&terms.location)),
        ("buiten de EER", agreed::outside(entry)),
        ("werken mee voor de ontvanger", agreed::sub_processors(entry)),
        ("contact van de ontvanger", words::said(terms.contact.as_ref().map(|both| both.recipient.as_str()))),
    ]
}

/// An agreement whose file is not there.
fn gone(agreement: String, part: &mut Part) {
    part.facts(vec![("overeenkomst", agreement), ("doel en grondslag", UNSAID.into())]);
    part.say(
        "De tekst van deze overeenkomst is hier niet meer. Vraag de school om het doel en de grondslag.",
    );
}

fn deliveries(deliveries: &[Delivered]) -> Part {
    let mut part = Part::new(format!("2. Alle verstrekkingen ({})", deliveries.len()));
    // Most deliveries hold the same fields: each set is written out once.
    let mut sets: Vec<(Fields, u64, u64)> = Vec::new();
    let mut rows = Vec::new();
    for delivery in deliveries {
        let set = sets.iter().position(|set| *set == delivery.masks).unwrap_or_else(|| {
            sets.push(delivery.masks);
            sets.len() - 1
        });
        rows.push(vec![
            words::moment(delivery.recorded_ms),
            delivery.recipient.shown().to_owned(),
            words::under(&delivery.agreement),
            (set + 1).to_string(),
            words::ended(delivery.outcome).to_owned(),
            delivery.position.to_string(),
            delivery.transaction.to_string(),
        ]);
    }
    part.table(
        "Elke verstrekking waarin iets over deze persoon stond",
        &["wanneer", "ontvanger", "overeenkomst", "set", "afloop", "logregel", "transactie"],
        rows,
    );
    part.say(
        "Afloop ‘onbekend’ telt als verstrekt. ‘Afgebroken’: wat al onderweg was, is verstrekt. Met de transactie kan de \
         school of de leverancier de verstrekking terugvinden.",
    );
    for (number, (fields, released, withheld)) in (1..).zip(sets) {
        let mut set = Part::new(format!("Set {number}"));
        set.facts(vec![
            ("verstrekt", words::given(fields, released)),
            ("achtergehouden", words::or_none(fields.labels(withheld))),
        ]);
        part.part(set);
    }
    part
}

/// Months of which the deliveries themselves have gone.
fn summaries(summaries: &[Summarised]) -> Part {
    let mut part = Part::new("Eerdere maanden, samengevat");
    part.say("De afzonderlijke verstrekkingen van deze maanden zijn gewist, volgens de bewaartermijn van het logboek.");
    for month in summaries {
        let Summarised { first, last, recipient, results, count, .. } = month;
        let (fields, released, withheld) = month.masks;
        let how = if *results { ": leerresultaten aan de school" } else { "" };
        let (days, span) = (if first == last { "op" } else { "van" }, words::span(*first, *last));
        let mut one = Part::new(format!("{}{how}: {count} keer, {days} {span}", recipient.shown()));
        one.facts(vec![
            ("verstrekt", words::given(fields, released)),
            ("achtergehouden", words::or_none(fields.labels(withheld & !released))),
        ]);
        part.part(one);
    }
    part
}

fn rights() -> Part {
    let mut part = Part::new("Uw rechten");
    part.say("U kunt de school vragen om:");
    part.list([
        "Rectificatie: gegevens die niet kloppen te verbeteren of aan te vullen.",
        "Verwijdering: gegevens te wissen.",
        "Beperking: gegevens een tijd niet te gebruiken.",
        "Bezwaar: te stoppen met het gebruik. Dat kan als de grondslag een taak van algemeen belang of een \
         gerechtvaardigd belang is.",
        "Intrekken van toestemming: dat mag altijd, als de grondslag toestemming is. Wat daarvoor gebeurde, blijft \
         geldig.",
        "Overdragen: uw gegevens mee te krijgen in een bestand. Dat kan als de grondslag toestemming of een \
         overeenkomst is.",
    ]);
    part.say(
        "De school antwoordt binnen een maand. Bij een verbetering, verwijdering of beperking hoort ook elke ontvanger \
         dat.",
    );
    part
}

/// What goes into a folder of evidence, for whoever opens it.
pub const README: &str = include_str!("evidence.txt");
