//! Reports as plain text, in Dutch.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::Head;
use crate::{
    answers::{
        ALWAYS, Answers, Delivered, Ended, FieldCount, Fields, Holds, Inzage, Leak, Party, Received,
        Summarised, Under, Worklist,
    },
    catalogue::{Field, Kind, catalogue},
    clock::{day_of, local_minute},
    policy::agreement::Basis,
};

/// What goes into a folder of evidence, for whoever opens it.
pub(super) const README: &str = "\
Bewijs uit het verstrekkingenlogboek
====================================

Deze map bewijst welke regels over een persoon op welke dag in het logboek van de school staan, en dat er op die dag
niet meer staan. De bestanden bevatten geen namen, nummers of andere gegevens van de persoon: alleen een code
('handle') die zonder de sleutel van de school niets zegt.

  manifest.json       welke dagen, welke bestanden
  log.vkey            de openbare sleutel waarmee het logboek is ondertekend
  *.tlog-proof        een regel van het logboek, met het bewijs dat die onder een ondertekende stand valt
                      (c2sp.org/tlog-proof; de regel zelf staat in 'extra')
  *.seal.json         de regels van de persoon op een dag, met het bewijs dat er niet meer zijn

Controleren, zonder toegang tot de school of het logboek:

  sluis log verify-proof DEZE-MAP --key SLEUTELBESTAND

Gebruik als SLEUTELBESTAND een openbare sleutel die u langs een andere weg hebt gekregen, bijvoorbeeld van de
functionaris gegevensbescherming. Met de sleutel uit deze map zelf blijkt alleen dat de bestanden bij elkaar passen.

Van een dag zonder verstrekkingen bestaat geen zegel, en dus ook geen bewijs. Een dag die nog niet voorbij is, is nog
niet verzegeld; die dagen staan in manifest.json onder 'unsealed'.
";

pub(super) fn head(head: &Head) -> String {
    let (from, until) = (*head.days.start(), *head.days.end());
    let period = match (from == *ALWAYS.start(), until == *ALWAYS.end()) {
        (true, true) => "alles wat het logboek bevat".to_owned(),
        (true, false) => format!("tot en met {until}"),
        (false, true) => format!("vanaf {from}"),
        (false, false) => format!("{from} tot en met {until}"),
    };
    let Head { made, reference, .. } = head;
    format!(
        "Gemaakt op  {made}\nPeriode     {period}\nKenmerk     {reference} (deze raadpleging staat zelf in het \
         logboek)\n"
    )
}

fn ended(ended: Ended) -> &'static str {
    match ended {
        Ended::Failed => "afgebroken",
        Ended::Sent => "verzonden",
        Ended::Unknown => "onbekend",
    }
}

fn under(under: &Under) -> String {
    match &under.id {
        Some(id) => format!("{id} v{}", under.version),
        None => format!("onbekend ({}…)", &under.sha256[..12]),
    }
}

fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::AlgemeenBelang => "taak van algemeen belang (AVG art. 6 lid 1 e)",
        Basis::GerechtvaardigdBelang => "gerechtvaardigd belang (AVG art. 6 lid 1 f)",
        Basis::Overeenkomst => "uitvoering van een overeenkomst (AVG art. 6 lid 1 b)",
        Basis::Toestemming => "toestemming (AVG art. 6 lid 1 a)",
        Basis::VitaalBelang => "vitaal belang (AVG art. 6 lid 1 d)",
        Basis::WettelijkeVerplichting => "wettelijke verplichting (AVG art. 6 lid 1 c)",
    }
}

fn or_none<S: AsRef<str>>(labels: &[S]) -> String {
    let labels: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
    if labels.is_empty() { "niets".into() } else { labels.join(", ") }
}

/// What people call the fields of a mask that left. A key never leaves as it is, and an ECK iD only where the agreement
/// says so: their names alone would say otherwise.
fn given(fields: Fields, mask: u64) -> String {
    let as_left = |(label, field): (&str, Option<&Field>)| match field.map(|field| field.kind) {
        Some(Kind::Key) => format!("{label} (als code)"),
        Some(Kind::Eckid) => format!("{label} of pseudoniem"),
        _ => label.to_owned(),
    };
    let bits = (0..u64::BITS).filter(|bit| mask >> bit & 1 == 1);
    let labels = fields.labels(mask).into_iter().zip(bits.map(|bit| fields.field(bit)));
    or_none(&labels.map(as_left).collect::<Vec<_>>())
}

/// The data categories of the fields of a mask.
fn categories(fields: Fields, mask: u64) -> BTreeSet<usize> {
    fields.fields(mask).filter_map(|field| field.category).collect()
}

/// A table whose columns are as wide as what is in them.
fn table(out: &mut String, heads: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::from(" ");
        for (cell, width) in cells.zip(&widths) {
            let _ = write!(text, " {cell:width$} ");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&mut heads.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

pub(super) fn inzage(answers: &Answers<'_>, inzage: &Inzage) -> String {
    let mut out = String::new();
    let name = inzage.school.name.as_deref().unwrap_or_default();
    let _ = writeln!(out, "School      {} {name}\n", inzage.school.brin);
    out.push_str("INZAGE IN VERSTREKTE GEGEVENS (AVG art. 15)\n\n");
    if inzage.deliveries.is_empty() && inzage.summaries.is_empty() {
        out.push_str("Het logboek bevat over deze persoon in deze periode geen verstrekkingen.\n\n");
    }
    if !inzage.deliveries.is_empty() {
        recipients(&mut out, answers, &inzage.deliveries);
        deliveries(&mut out, &inzage.deliveries);
    }
    if !inzage.summaries.is_empty() {
        summaries(&mut out, &inzage.summaries);
    }
    if inzage.partial {
        out.push_str(PARTIAL);
    }
    out.push_str(RIGHTS);
    out
}

/// Who got what, in sum: purposes, bases, categories.
fn recipients(out: &mut String, answers: &Answers<'_>, deliveries: &[Delivered]) {
    out.push_str("1. Wie kreeg wat, waarvoor\n\n");
    let mut by_party: BTreeMap<(bool, &Party), Vec<&Delivered>> = BTreeMap::new();
    for delivery in deliveries {
        by_party.entry((delivery.results, &delivery.recipient)).or_default().push(delivery);
    }
    for ((results, party), deliveries) in by_party {
        let how = if results { ": leerresultaten aan de school" } else { "" };
        let _ = writeln!(out, "{}{how}", party.shown());
        let (first, last) = (deliveries[0].day, deliveries[deliveries.len() - 1].day);
        let _ = writeln!(out, "  {} keer, van {first} tot en met {last}", deliveries.len());
        let mut agreements: Vec<&Under> = deliveries.iter().map(|delivery| &delivery.agreement).collect();
        agreements.sort();
        agreements.dedup();
        for found in agreements {
            let _ = write!(out, "  overeenkomst {}", under(found));
            match answers.agreement(found) {
                Some(agreement) => {
                    let (product, purpose) = (&agreement.product, &agreement.purpose);
                    let _ =
                        writeln!(out, ": {product}; doel: {purpose}; grondslag: {}", basis(agreement.basis));
                }
                None => out.push_str(
                    ": de tekst is hier niet meer aanwezig; vraag de school om doel en grondslag\n",
                ),
            }
        }
        let fields = deliveries[0].masks.0;
        let union = |mask: fn(&Delivered) -> u64| deliveries.iter().fold(0, |all, one| all | mask(one));
        let (released, withheld) = (union(|one| one.masks.1), union(|one| one.masks.2));
        let names: Vec<&str> = categories(fields, released)
            .into_iter()
            .map(|category| catalogue().categories()[category].name.as_str())
            .collect();
        let _ = writeln!(out, "  soorten gegevens: {}", or_none(&names));
        let _ = writeln!(out, "  verstrekt: {}", given(fields, released));
        let _ = writeln!(out, "  achtergehouden: {}\n", or_none(&fields.labels(withheld & !released)));
    }
    out.push_str(
        "Sleutels van de leerlingadministratie gaan nooit zelf naar een ontvanger: daarvoor komt een code in de plaats.\n\n",
    );
}

fn deliveries(out: &mut String, deliveries: &[Delivered]) {
    let _ = writeln!(out, "2. Alle verstrekkingen ({})\n", deliveries.len());
    // Most deliveries hold the same fields: each set is written out once.
    let mut sets: Vec<(Fields, u64, u64)> = Vec::new();
    let mut rows = Vec::new();
    for delivery in deliveries {
        let set = sets.iter().position(|set| *set == delivery.masks).unwrap_or_else(|| {
            sets.push(delivery.masks);
            sets.len() - 1
        });
        rows.push(vec![
            local_minute(delivery.recorded_ms),
            delivery.recipient.shown().to_owned(),
            under(&delivery.agreement),
            (set + 1).to_string(),
            ended(delivery.outcome).to_owned(),
            delivery.position.to_string(),
            delivery.transaction.to_string(),
        ]);
    }
    let heads = ["wanneer", "ontvanger", "overeenkomst", "set", "afloop", "logregel", "transactie"];
    table(out, &heads, &rows);
    out.push_str("\n  De gegevens per set:\n");
    for (number, (fields, released, withheld)) in (1..).zip(sets) {
        let _ = writeln!(out, "  {number}  verstrekt: {}", given(fields, released));
        let _ = writeln!(out, "     achtergehouden: {}", or_none(&fields.labels(withheld)));
    }
    out.push_str(
        "\n  Afloop 'onbekend' telt als verstrekt. 'Afgebroken': wat al onderweg was, is verstrekt.\n\n",
    );
}

/// Months of which the deliveries themselves have gone.
fn summaries(out: &mut String, summaries: &[Summarised]) {
    out.push_str("Eerdere maanden, samengevat\n\n");
    out.push_str(
        "  De afzonderlijke verstrekkingen zijn volgens de bewaartermijn van het logboek gewist.\n\n",
    );
    for month in summaries {
        let Summarised { first, last, recipient, results, count, .. } = month;
        let (fields, released, withheld) = month.masks;
        let how = if *results { ": leerresultaten aan de school" } else { "" };
        let _ = writeln!(out, "  {}{how}: {count} keer, van {first} tot en met {last}", recipient.shown());
        let _ = writeln!(out, "    verstrekt: {}", given(fields, released));
        let _ = writeln!(out, "    achtergehouden: {}\n", or_none(&fields.labels(withheld & !released)));
    }
}

/// What was given does not tell all that the log may know the person by.
const PARTIAL: &str = "\
Niet volledig
  Gezocht is op wat is opgegeven. Wat het logboek over deze persoon onder een andere code heeft, staat hier niet bij:
  leerresultaten, verstrekkingen onder een andere logsleutel, of van toen de leerling een ander nummer had. Met --feed,
  een bestand uit de leerlingadministratie waarin de persoon staat, wordt ook daarop gezocht.

";

const RIGHTS: &str = "\
Bron
  De gegevens komen uit de leerlingadministratie van de school, of, bij leerresultaten, van de leverancier.

Verder
  Dit overzicht gaat over wat via Sluis is verstrekt. Sluis neemt geen besluiten over personen. Of de school of een
  ontvanger geautomatiseerd besluit, hoe lang zij gegevens bewaren, en of een ontvanger ze buiten de Europese
  Economische Ruimte verwerkt en met welke waarborgen, staat in de privacyverklaring van de school en in de
  verwerkersovereenkomst.

Uw rechten
  U kunt de school vragen om gegevens te verbeteren, aan te vullen of te wissen, en om het gebruik te beperken. U kunt
  bezwaar maken als het gebruik berust op een taak van algemeen belang of op een gerechtvaardigd belang. Berust het op
  toestemming of een overeenkomst, dan kunt u uw gegevens laten overdragen; toestemming kunt u altijd intrekken. De
  school antwoordt binnen een maand. De ontvangers krijgen bericht van een verbetering, wissing of beperking.

Klacht
  Bent u het niet eens met hoe uw gegevens worden gebruikt, dan kunt u terecht bij de functionaris
  gegevensbescherming van de school, en een klacht indienen bij de Autoriteit Persoonsgegevens:
  autoriteitpersoonsgegevens.nl.
";

pub(super) fn received(received: &Received) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "Ontvanger   {}\n\nONTVANGEN DOOR EEN LEVERANCIER", received.recipient.shown());
    if received.schools.is_empty() {
        out.push_str("\nHet logboek bevat in deze periode geen verstrekkingen aan deze ontvanger.\n");
    }
    for school in &received.schools {
        let name = school.school.name.as_deref().unwrap_or_default();
        let _ = writeln!(out, "\n{} {name}", school.school.brin);
        let all = school.sent + school.failed + school.unknown;
        let _ = writeln!(
            out,
            "  {all} verstrekkingen: {} verzonden, {} afgebroken, {} onbekend (telt als verstrekt)",
            school.sent, school.failed, school.unknown
        );
        let _ = writeln!(out, "  {} leerlingen, {} leerkrachten", school.pupils, school.staff);
        if school.withheld_persons > 0 {
            let _ = writeln!(out, "  {} keer is van een persoon niets verstrekt", school.withheld_persons);
        }
        let rows = school.fields.iter().map(|count| {
            let FieldCount { field, label, released, withheld } = count;
            vec![(*field).to_owned(), (*label).to_owned(), released.to_string(), withheld.to_string()]
        });
        out.push('\n');
        let rows: Vec<_> = rows.collect();
        table(&mut out, &["veld", "gegeven", "verstrekt", "achtergehouden"], &rows);
    }
    out
}

pub(super) fn leak(leak: &Leak) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "Ontvanger   {}\n\nWIE IS GERAAKT DOOR EEN LEK\n", leak.recipient.shown());
    let (all, known, unknown) = (leak.given, leak.known, leak.unknown);
    let _ = writeln!(
        out,
        "Opgegeven pseudoniemen: {all}; bij deze ontvanger bekend: {known}, onbekend: {unknown}\n"
    );
    if leak.untraceable > 0 {
        let _ = writeln!(
            out,
            "Niet te herleiden: {}. Deze codes of ECK iD's kan de ontvanger wel hebben gekregen, maar het logboek kent de\n\
             personen van die school onder iets anders. Geef de pseudoniemen (eckid) die erbij stonden.\n",
            leak.untraceable
        );
    }
    let rows = leak.affected.iter().map(|one| {
        vec![
            one.school.brin.clone(),
            one.handle.clone(),
            one.epoch.to_string(),
            if one.pupil { "leerling" } else { "leerkracht" }.to_owned(),
            day_of(one.first_ms).to_string(),
            day_of(one.last_ms).to_string(),
            one.deliveries.to_string(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        table(&mut out, &["school", "handle", "logsleutel", "soort", "sinds", "laatst", "keren"], &rows);
        let mut fields: BTreeMap<Fields, (u64, u64)> = BTreeMap::new();
        for one in &leak.affected {
            let (union, persons) = fields.entry(one.mask.0).or_default();
            *union |= one.mask.1;
            *persons += 1;
        }
        out.push('\n');
        for (fields, (mask, persons)) in fields {
            let _ = writeln!(out, "Van {persons} handles heeft de ontvanger: {}", given(fields, mask));
        }
        out.push_str(
            "\nOnder elke logsleutel heeft een persoon een andere handle.\n\
             Wie achter een handle schuilgaat, weet alleen de school: `sluis report inzage --by handle` geeft wat er is\n\
             verstrekt. Een lek wordt binnen 72 uur gemeld bij de Autoriteit Persoonsgegevens, tenzij er waarschijnlijk\n\
             geen risico is (AVG art. 33), en bij een hoog risico ook aan de betrokkenen (AVG art. 34).\n",
        );
    }
    out
}

pub(super) fn worklist(list: &Worklist, with_feed: bool) -> String {
    let mut out = String::new();
    let name = list.school.name.as_deref().unwrap_or_default();
    let _ = writeln!(out, "School      {} {name}\n", list.school.brin);
    out.push_str("WIE MOET VAN EEN CORRECTIE HOREN (AVG art. 19)\n\n");
    if list.partial {
        out.push_str(PARTIAL);
    }
    if list.holders.is_empty() {
        out.push_str("Geen ontvanger heeft iets van deze persoon gekregen.\n");
        return out;
    }
    let rows = list.holders.iter().map(|holder| {
        let holds = match holder.holds {
            Holds::Current => "gelijk aan nu",
            Holds::Nothing => "zou nu niets krijgen",
            Holds::Older => "ANDERS dan nu",
            Holds::Unknown => "niet vergeleken",
        };
        vec![
            holder.recipient.shown().to_owned(),
            local_minute(holder.last_ms),
            ended(holder.outcome).to_owned(),
            under(&holder.agreement),
            holds.to_owned(),
            holder.position.to_string(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    table(&mut out, &["ontvanger", "laatst", "afloop", "overeenkomst", "inhoud", "logregel"], &rows);
    out.push('\n');
    for holder in &list.holders {
        let (fields, mask) = holder.mask;
        let _ = writeln!(out, "  {} heeft: {}", holder.recipient.shown(), given(fields, mask));
    }
    out.push_str(if with_feed {
        "\n'Anders dan nu': een gegeven is sindsdien gewijzigd, bijgekomen of vervallen, of de laatste verstrekking volgde een\n\
         andere standaard (UWLR of EDEXML) dan het bestand waarmee is vergeleken.\n"
    } else {
        "\nMet --feed, een actueel bestand uit de leerlingadministratie, blijkt ook wie een oudere waarde heeft.\n"
    });
    out
}
