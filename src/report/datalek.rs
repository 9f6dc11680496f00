//! What is known of a breach at a supplier, in the order in which it has to be told: within the school at once and in 24
//! hours, to the supervisor in 72 (AVG art. 33), and to the persons concerned (art. 34).
//!
//! Sluis knows what it sent. What happened to it, and what is done about it, people have to fill in.

use jiff::civil::Date;
use serde::Serialize;

use super::{
    Part, lists,
    words::{self, UNSAID},
};
use crate::{
    answers::Breach,
    catalogue::{Kind, catalogue},
    config::Config,
    register::{Entry, KnownBy},
    standing::{self, Ledger},
};

/// A breach with what was agreed with the supplier.
#[derive(Serialize)]
pub struct Told<'a> {
    #[serde(flatten)]
    breach: &'a Breach<'a>,
    /// The agreements things left under, as far as their files are there.
    agreements: Vec<Entry<'a>>,
}

/// What somebody has to fill in.
const FILL_IN: &str = "[zelf invullen]";

impl<'a> Told<'a> {
    /// With the agreements of the breach as they stand on a day.
    ///
    /// # Errors
    ///
    /// What stands cannot be told.
    pub fn new(
        breach: &'a Breach<'a>,
        config: &'a Config,
        ledger: &Ledger,
        day: Date,
    ) -> Result<Self, standing::Error> {
        let entries = breach.agreements.iter().map(|agreement| Entry::of(config, ledger, agreement, day));
        Ok(Self { breach, agreements: entries.collect::<Result<_, _>>()? })
    }

    /// For people.
    pub fn report(&self) -> Part {
        let breach = self.breach;
        let mut report = Part::new(format!("Datalek bij {}", breach.recipient.shown()));
        match breach.listed {
            None => report.say(
                "Wat deze leverancier in de periode hierboven via Sluis heeft gekregen. Sluis weet wat er is verstrekt, niet \
                 wat er is gelekt: het lek kan kleiner zijn.",
            ),
            Some(listed) => lists::listed(listed, &mut report),
        }
        if breach.schools.is_empty() {
            report.say("Het logboek bevat hierover geen verstrekkingen aan deze leverancier.");
            self.limits(&mut report);
            return report;
        }
        report.part(self.in_short());
        report.part(self.fields());
        let mut schools = Part::new("Per school");
        schools.table(
            "Om hoeveel mensen het per school gaat, en wanneer hun gegevens zijn verstrekt",
            &["school", "leerlingen", "leerkrachten", "eerste keer", "laatste keer"],
            breach.schools.iter().map(|school| {
                vec![
                    words::school(&school.school),
                    school.pupils.to_string(),
                    school.staff.to_string(),
                    words::moment(school.first_ms),
                    words::moment(school.last_ms),
                ]
            }),
        );
        report.part(schools);
        report.part(self.agreed());
        report.part(self.within_a_day());
        report.part(self.to_the_supervisor());
        let mut persons = Part::new("Melding aan de betrokkenen");
        persons.say(
            "Is er waarschijnlijk een hoog risico voor leerlingen of leerkrachten? Dan moeten zij het ook horen (AVG art. \
             34). Wie het zijn, geeft `sluis report lek` per handle, op grond van de gelekte pseudoniemen.",
        );
        report.part(persons);
        let mut limits = Part::new("Wat hier niet in staat");
        self.limits(&mut limits);
        report.part(limits);
        report
    }

    fn in_short(&self) -> Part {
        let mut part = Part::new("In het kort");
        part.facts(vec![
            ("leverancier", self.breach.recipient.shown().to_owned()),
            ("scholen", words::and(self.breach.schools.iter().map(|school| words::school(&school.school)))),
            ("aantal leerlingen", self.breach.pupils.to_string()),
            ("aantal leerkrachten", self.breach.staff.to_string()),
            (
                "verstrekkingen",
                match self.breach.summarised {
                    true => format!("{}, zonder die van samengevatte maanden", self.breach.deliveries),
                    false => self.breach.deliveries.to_string(),
                },
            ),
            ("eerste verstrekking", self.first()),
            ("laatste verstrekking", self.last()),
            ("soorten gegevens", self.categories()),
            ("bijzondere persoonsgegevens", self.special().into()),
        ]);
        part
    }

    fn fields(&self) -> Part {
        let mut part = Part::new("Om welke gegevens het gaat");
        part.table(
            "Elk gegeven, en van hoeveel mensen het is verstrekt",
            &["gegeven", "van", "soort", "personen"],
            self.breach.fields.iter().map(|field| {
                let category = field.known.and_then(|field| field.category);
                let category = category.map(|index| catalogue().categories()[index].name.clone());
                vec![
                    words::as_left(field.label, field.known),
                    if field.staff { "leerkracht" } else { "leerling" }.into(),
                    category.unwrap_or_else(|| "onbekend".into()),
                    field.persons.to_string(),
                ]
            }),
        );
        part
    }

    fn agreed(&self) -> Part {
        let mut part = Part::new("Overeenkomst en contact");
        for entry in &self.agreements {
            let contact = entry.terms.contact.as_ref();
            let mut one = Part::new(format!("{} v{}", entry.agreement, entry.version));
            one.facts(vec![
                ("product", entry.product.to_owned()),
                ("doel", entry.purpose_name.to_owned()),
                ("geldig", words::span(entry.from, entry.until)),
                ("meldpunt datalekken", words::said(entry.terms.breach_contact.as_deref())),
                ("contact van de leverancier", words::said(contact.map(|both| both.recipient.as_str()))),
                ("contact van de school en FG", words::said(contact.map(|both| both.school.as_str()))),
                ("land van opslag", words::countries(&entry.terms.location)),
            ]);
            part.part(one);
        }
        if !self.breach.agreements_gone.is_empty() {
            part.say(format!(
                "Van {} is de tekst hier niet meer: contact {UNSAID}.",
                words::count(self.breach.agreements_gone.len() as u64, "overeenkomst", "overeenkomsten")
            ));
        }
        part
    }

    fn within_a_day(&self) -> Part {
        let mut part = Part::new("Interne melding: binnen 24 uur");
        part.say("Meld het lek meteen aan het bestuur en aan de functionaris gegevensbescherming (FG).");
        part.facts(vec![
            ("wat is er gebeurd", FILL_IN.into()),
            ("ontdekt op", format!("{FILL_IN} (datum en tijd; vanaf dan lopen de termijnen)")),
            ("om wie het gaat", self.who()),
            ("om welke gegevens", self.categories()),
            ("bij welke leverancier", self.breach.recipient.shown().to_owned()),
            ("is het lek dicht", FILL_IN.into()),
            ("wie meldt", FILL_IN.into()),
        ]);
        part
    }

    fn to_the_supervisor(&self) -> Part {
        let mut part = Part::new("Melding aan de Autoriteit Persoonsgegevens: binnen 72 uur");
        part.say(
            "De school meldt dit via autoriteitpersoonsgegevens.nl. Melden hoeft niet als een risico niet waarschijnlijk \
             is. Dit vraagt het formulier:",
        );
        let contacts: std::collections::BTreeSet<&str> = self
            .agreements
            .iter()
            .filter_map(|entry| entry.terms.contact.as_ref().map(|both| both.school.as_str()))
            .collect();
        part.facts(vec![
            ("aard van het lek", format!("{FILL_IN} (bijvoorbeeld: gehackt, verkeerd verstuurd, kwijt)")),
            ("ontdekt op", FILL_IN.into()),
            ("gegevens bij de leverancier sinds", self.first()),
            (
                "gegevens bij de leverancier tot",
                format!("laatste verstrekking {}; of hij ze nog heeft, moet hij zelf zeggen", self.last()),
            ),
            ("aantal personen", self.who()),
            ("groep", "leerlingen van een school; zij zijn meestal minderjarig".into()),
            ("soorten gegevens", self.categories()),
            ("bijzondere persoonsgegevens", self.special().into()),
            (
                "burgerservicenummer (BSN)",
                if self.has(Kind::Pgn) { "ja" } else { "nee, niet verstrekt" }.into(),
            ),
            ("gevolgen voor de personen", FILL_IN.into()),
            ("maatregelen vooraf", self.measures()),
            ("maatregelen na het lek", FILL_IN.into()),
            ("contactpersoon", if contacts.is_empty() { FILL_IN.into() } else { words::and(contacts) }),
        ]);
        part
    }

    /// What Sluis did beforehand, as it was for these deliveries.
    fn measures(&self) -> String {
        let mut all = String::from(
            "De leverancier kreeg alleen de gegevens uit de tabel hierboven: de rest is tegengehouden. Sleutels uit de \
             leerlingadministratie zijn vervangen door een code.",
        );
        let own_eckid = self.agreements.iter().any(|entry| entry.known_by == KnownBy::EckId);
        all.push_str(match (own_eckid, self.breach.agreements_gone.is_empty()) {
            (true, _) => " De ECK iD ging zelf door, volgens de overeenkomst.",
            (false, true) => " De ECK iD is vervangen door een pseudoniem.",
            (false, false) => " Of de ECK iD zelf doorging, is niet meer na te gaan.",
        });
        let contact = catalogue().categories().iter().position(|category| category.id == "contactgegevens");
        let known: Vec<_> = self
            .breach
            .fields
            .iter()
            .filter(|field| field.known.is_some_and(|known| known.category == contact))
            .map(|field| field.label)
            .collect();
        if !known.is_empty() {
            all.push_str(" Let op: iemand kan toch herkenbaar zijn, aan: ");
            all.push_str(&words::and(known));
            all.push('.');
        }
        all
    }

    fn limits(&self, part: &mut Part) {
        let mut points = vec![
            "Leerresultaten die de leverancier zelf heeft gemaakt. Die heeft hij, maar niet van Sluis.",
            "Wat buiten Sluis om naar de leverancier ging.",
            "Wat zo lang geleden is verstrekt dat het logboek het niet meer bewaart.",
            "Na een nieuwe logsleutel telt dezelfde persoon opnieuw mee. Het aantal is dan te hoog, nooit te laag.",
        ];
        if self.breach.listed.is_some() {
            points.push(
                "Een pseudoniem is ook ‘onbekend’ als de regels erover zijn samengevat: dat wil niet zeggen dat het \
                 niet is gegeven.",
            );
        }
        if self.breach.summarised {
            points.push(
                "Een deel komt uit samenvattingen per maand. Daarvan is alleen de dag bekend, telt een maand die \
                 deels in de periode valt helemaal mee, en zijn de verstrekkingen niet meegeteld.",
            );
        }
        part.list(points);
    }

    fn first(&self) -> String {
        self.breach.first_ms.map_or_else(|| UNSAID.into(), words::moment)
    }

    fn last(&self) -> String {
        self.breach.last_ms.map_or_else(|| UNSAID.into(), words::moment)
    }

    fn who(&self) -> String {
        let (pupils, staff) = (self.breach.pupils as u64, self.breach.staff as u64);
        let pupils = words::count(pupils, "leerling", "leerlingen");
        if staff == 0 {
            pupils
        } else {
            format!("{pupils} en {}", words::count(staff, "leerkracht", "leerkrachten"))
        }
    }

    fn categories(&self) -> String {
        words::categories_of(self.breach.fields.iter().filter_map(|field| field.known))
    }

    fn special(&self) -> &'static str {
        if self.breach.special { "ja" } else { "nee" }
    }

    fn has(&self, kind: Kind) -> bool {
        self.breach.fields.iter().any(|field| field.known.is_some_and(|known| known.kind == kind))
    }
}
