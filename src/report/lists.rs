//! For who does the work at a school: what a supplier received, who is behind leaked pseudonyms, who must hear of a
//! correction.

use std::collections::BTreeMap;

use super::{Part, words};
use crate::{
    answers::{FieldCount, Fields, Holds, Leak, Listed, Received, Worklist},
    clock::{day_of, local_minute},
};

/// Everything a recipient received.
pub fn received(received: &Received) -> Part {
    let mut report = Part::new("Ontvangen door een leverancier");
    report.facts(vec![("ontvanger", received.recipient.shown().to_owned())]);
    if received.schools.is_empty() {
        report.say("Het logboek bevat in deze periode geen verstrekkingen aan deze ontvanger.");
    }
    for school in &received.schools {
        let mut part = Part::new(words::school(&school.school));
        let all = school.sent + school.failed + school.unknown;
        part.say(format!(
            "{all} verstrekkingen: {} verzonden, {} afgebroken, {} onbekend (telt als verstrekt).",
            school.sent, school.failed, school.unknown
        ));
        part.say(format!("{} leerlingen, {} leerkrachten.", school.pupils, school.staff));
        if school.withheld_persons > 0 {
            part.say(format!("{} keer is van een persoon niets verstrekt.", school.withheld_persons));
        }
        part.table(
            "Hoe vaak elk gegeven is verstrekt en achtergehouden",
            &["gegeven", "veld", "verstrekt", "achtergehouden"],
            school.fields.iter().map(|count| {
                let FieldCount { field, label, released, withheld } = count;
                vec![(*label).to_owned(), (*field).to_owned(), released.to_string(), withheld.to_string()]
            }),
        );
        report.part(part);
    }
    report
}

/// Who is affected by a leak, one by one.
pub fn leak(leak: &Leak) -> Part {
    let mut report = Part::new("Wie is geraakt door een lek");
    report.facts(vec![("ontvanger", leak.recipient.shown().to_owned())]);
    let Leak { given, known, unknown, untraceable, .. } = *leak;
    listed(Listed { given, known, unknown, untraceable }, &mut report);
    if leak.affected.is_empty() {
        return report;
    }
    report.table(
        "Wie geraakt is",
        &["handle", "school", "logsleutel", "soort", "sinds", "laatst", "keren"],
        leak.affected.iter().map(|one| {
            vec![
                one.handle.clone(),
                one.school.brin.clone(),
                one.epoch.to_string(),
                if one.pupil { "leerling" } else { "leerkracht" }.to_owned(),
                day_of(one.first_ms).to_string(),
                day_of(one.last_ms).to_string(),
                one.deliveries.to_string(),
            ]
        }),
    );
    let mut fields: BTreeMap<Fields, (u64, u64)> = BTreeMap::new();
    for one in &leak.affected {
        let (union, persons) = fields.entry(one.mask.0).or_default();
        *union |= one.mask.1;
        *persons += 1;
    }
    for (fields, (mask, persons)) in fields {
        report.say(format!(
            "Van {} heeft de ontvanger: {}.",
            words::count(persons, "handle", "handles"),
            words::given(fields, mask)
        ));
    }
    report.say(
        "Onder elke logsleutel heeft een persoon een andere handle. Wie achter een handle schuilgaat, weet alleen de school: `sluis report inzage --by handle` geeft wat er is \
         verstrekt. Wat er voor de melding nodig is, geeft `sluis report datalek`.",
    );
    report
}

/// How many pseudonyms were given, and how many of them are known.
pub(super) fn listed(listed: Listed, part: &mut Part) {
    let Listed { given, known, unknown, untraceable } = listed;
    part.say(format!(
        "Opgegeven pseudoniemen: {given}; bij deze ontvanger bekend: {known}, onbekend: {unknown}."
    ));
    if untraceable > 0 {
        part.say(format!(
            "Niet te herleiden: {untraceable}. Deze codes of ECK iD's kan de ontvanger wel hebben gekregen, maar het logboek \
             kent de personen van die school onder iets anders. Geef de pseudoniemen (eckid) die erbij stonden."
        ));
    }
}

/// Who must hear of a correction.
pub fn worklist(list: &Worklist, with_feed: bool) -> Part {
    let mut report = Part::new("Wie moet van een correctie horen (AVG art. 19)");
    report.facts(vec![("school", words::school(&list.school))]);
    if list.partial {
        report.part(words::partial());
    }
    if list.holders.is_empty() {
        report.say("Geen ontvanger heeft iets van deze persoon gekregen.");
        return report;
    }
    report.table(
        "Ontvangers die iets van deze persoon hebben",
        &["ontvanger", "laatst", "afloop", "overeenkomst", "inhoud", "logregel"],
        list.holders.iter().map(|holder| {
            let holds = match holder.holds {
                Holds::Current => "gelijk aan nu",
                Holds::Nothing => "zou nu niets krijgen",
                Holds::Older => "ANDERS dan nu",
                Holds::Unknown => "niet vergeleken",
            };
            vec![
                holder.recipient.shown().to_owned(),
                local_minute(holder.last_ms),
                words::ended(holder.outcome).to_owned(),
                words::under(&holder.agreement),
                holds.to_owned(),
                holder.position.to_string(),
            ]
        }),
    );
    report.list(list.holders.iter().map(|holder| {
        let (fields, mask) = holder.mask;
        format!("{} heeft: {}", holder.recipient.shown(), words::given(fields, mask))
    }));
    report.say(if with_feed {
        "‘Anders dan nu’: een gegeven is sindsdien gewijzigd, bijgekomen of vervallen. Of de laatste verstrekking volgde \
         een andere standaard (UWLR of EDEXML) dan het bestand waarmee is vergeleken."
    } else {
        "Met --feed, een actueel bestand uit de leerlingadministratie, blijkt ook wie een oudere waarde heeft."
    });
    report
}
