//! What was sent about one person, for that person to take along (AVG art. 20).

use serde::Serialize;

use super::{
    Part,
    words::{self, UNSAID},
};
use crate::answers::{
    Portable,
    portable::{PortableProduct, PortableRecipient},
};

/// What cannot be had here, and where it can.
const NOTE: &str = "Sluis bewaart niet wat er in de gegevens stond. Het weet alleen wanneer welke gegevens naar wie zijn \
    gegaan. De gegevens zelf heeft de leerlingadministratie van de school. Een ontvanger heeft ze ook, met wat hij \
    er zelf aan heeft toegevoegd, zoals resultaten. Vraag ze daar.";
const NOW: &str = "De waarden hieronder komen uit het bestand van de school dat nu is opgegeven. Het zijn de waarden die \
    deze ontvanger vandaag zou krijgen. Eerder kan er iets anders zijn verstrekt.";

/// What was sent, and what that is and is not.
#[derive(Serialize)]
pub struct Told<'a> {
    note: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note_now: Option<&'static str>,
    #[serde(flatten)]
    portable: &'a Portable,
}

impl<'a> Told<'a> {
    /// With the note about values when a feed was given.
    pub fn new(portable: &'a Portable, with_feed: bool) -> Self {
        Self { note: NOTE, note_now: with_feed.then_some(NOW), portable }
    }

    /// For people.
    pub fn report(&self) -> Part {
        let mut report = Part::new("Gegevens om mee te nemen (AVG art. 20)");
        report.facts(vec![("school", words::school(&self.portable.school))]);
        report.say(self.note);
        report.say("Dit overzicht is er ook als bestand voor computers: met --format json of --format csv.");
        if self.portable.partial {
            report.part(words::partial());
        }
        if self.portable.recipients.is_empty() {
            report.say("Over deze persoon is in deze periode niets verstrekt.");
        }
        for recipient in &self.portable.recipients {
            report.part(self.recipient(recipient));
        }
        report
    }

    fn recipient(&self, recipient: &PortableRecipient) -> Part {
        let mut part = Part::new(recipient.recipient.shown());
        for product in &recipient.products {
            part.part(deliveries(product));
        }
        match &recipient.now {
            None => {}
            Some(None) => part.say(
                "Deze ontvanger zou nu niets van deze persoon krijgen: er geldt geen overeenkomst, of de persoon staat \
                 niet in het bestand.",
            ),
            Some(Some(now)) => {
                let mut values = Part::new("Wat nu zou worden verstrekt");
                values.facts(vec![
                    ("product", now.product.clone()),
                    ("doel", words::purpose_name(&now.purpose).into()),
                    ("overeenkomst", format!("{} v{}", now.agreement, now.version)),
                ]);
                values.say(NOW);
                values.table(
                    "Elk gegeven met zijn waarde",
                    &["gegeven", "waarde"],
                    now.values.iter().map(|value| vec![value.label.into(), value.value.clone()]),
                );
                part.part(values);
            }
        }
        part
    }
}

fn deliveries(product: &PortableProduct) -> Part {
    let mut part = Part::new(match &product.product {
        Some(name) => format!("Verstrekt voor {name}"),
        None => format!("Verstrekt voor een product dat {UNSAID} is"),
    });
    if let Some(purpose) = &product.purpose {
        part.facts(vec![("doel", words::purpose_name(purpose).into())]);
    }
    let way = |direction: &str| if direction == "in" { "naar de school" } else { "naar de ontvanger" };
    if !product.deliveries.is_empty() {
        part.table(
            "Elke verstrekking waarin iets over deze persoon stond",
            &["wanneer", "richting", "overeenkomst", "afloop", "gegevens"],
            product.deliveries.iter().map(|one| {
                vec![
                    words::moment(one.recorded_ms),
                    way(one.direction).into(),
                    words::under(&one.agreement),
                    words::ended(one.outcome).into(),
                    words::or_none(one.fields.iter().map(|name| words::field_left(name))),
                ]
            }),
        );
    }
    if !product.months.is_empty() {
        part.table(
            "Eerdere maanden, waarvan alleen een samenvatting is bewaard",
            &["maand", "richting", "keren", "gegevens"],
            product.months.iter().map(|one| {
                let span = words::span(one.first, one.last);
                let fields = one.fields.iter().map(|name| words::field_left(name));
                vec![span, way(one.direction).into(), one.times.to_string(), words::or_none(fields)]
            }),
        );
    }
    part
}
