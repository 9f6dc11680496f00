//! What was sent about one person, as data (AVG art. 20): JSON, or CSV with the columns of [`COLUMNS`].
//!
//! The log holds which fields left, and no value. Values are there only where a feed was given, and then they are those
//! that would leave now.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

use super::{
    Answers, Ended, Inzage, Now, Party, SchoolName, Under,
    export::lines::{csv_line, instant},
};
use crate::{disclosure::Leaf, policy::agreement::Agreement};

/// The columns of CSV. `record` is `delivery`, `month` (what is left of a month whose deliveries have gone) or `value`
/// (that would leave now, with `fields` naming one).
pub const COLUMNS: [&str; 17] = [
    "record",
    "recipient",
    "recipient_name",
    "product",
    "purpose",
    "direction",
    "recorded",
    "until",
    "times",
    "agreement",
    "version",
    "outcome",
    "transaction",
    "position",
    "fields",
    "label",
    "value",
];

/// What was sent about one person.
#[derive(Serialize)]
pub struct Portable {
    /// The school.
    pub school: SchoolName,
    /// Whether the log may have more of the person: see [`Person::partial`](super::Person::partial).
    pub partial: bool,
    /// By recipient.
    pub recipients: Vec<PortableRecipient>,
}

/// What one recipient got of the person, or sent.
#[derive(Serialize)]
pub struct PortableRecipient {
    /// The recipient.
    pub recipient: Party,
    /// By product.
    pub products: Vec<PortableProduct>,
    /// What would leave now, where a feed was given; nothing where nothing would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Option<Now>>,
}

/// What was sent for one product.
#[derive(Default, Serialize)]
pub struct PortableProduct {
    /// The product; none: the agreement is not there any more.
    pub product: Option<String>,
    /// The purpose, by its id.
    pub purpose: Option<String>,
    /// By position in the log.
    pub deliveries: Vec<PortableDelivery>,
    /// Months of which only the sum is kept.
    pub months: Vec<PortableMonth>,
}

/// One delivery with something of the person.
#[derive(Serialize)]
pub struct PortableDelivery {
    /// When it was put on record, in UTC.
    pub recorded: String,
    /// The same, ms since 1970.
    #[serde(skip)]
    pub recorded_ms: u64,
    /// `out`, or `in` for results.
    pub direction: &'static str,
    /// Under which agreement.
    pub agreement: Under,
    /// How it ended.
    pub outcome: Ended,
    /// In every log it passed.
    pub transaction: Uuid,
    /// Its first leaf with the person.
    pub position: u64,
    /// Names of the fields that were sent.
    pub fields: Vec<&'static str>,
}

/// What is left of a month.
#[derive(Serialize)]
pub struct PortableMonth {
    /// The first day.
    pub first: Date,
    /// The last day.
    pub last: Date,
    /// `out`, or `in` for results.
    pub direction: &'static str,
    /// First bytes of the SHA-256 of the agreement, in hexadecimal.
    pub agreement: String,
    /// How many times something of the person was in a delivery.
    pub times: u32,
    /// Names of the fields that were sent.
    pub fields: Vec<&'static str>,
}

type Products = BTreeMap<Party, BTreeMap<Option<String>, PortableProduct>>;

fn product<'p>(
    all: &'p mut Products,
    party: &Party,
    agreement: Option<&Agreement>,
) -> &'p mut PortableProduct {
    let name = agreement.map(|agreement| agreement.product.clone());
    let product = all.entry(party.clone()).or_default().entry(name.clone()).or_default();
    product.product = name;
    product.purpose = agreement.map(|agreement| agreement.purpose.clone());
    product
}

fn direction(results: bool) -> &'static str {
    if results { "in" } else { "out" }
}

impl Answers<'_> {
    /// What an inzage tells of what was sent, as data; where a feed was given, with what would leave now to recipients, by
    /// their ids.
    pub fn portable(&self, inzage: &Inzage, now: Option<Vec<(String, Now)>>) -> Portable {
        let mut all = Products::new();
        for delivery in inzage.deliveries.iter().filter(|delivery| delivery.masks.1 != 0) {
            let under = &delivery.agreement;
            product(&mut all, &delivery.recipient, self.agreement(under)).deliveries.push(PortableDelivery {
                recorded: instant(delivery.recorded_ms),
                recorded_ms: delivery.recorded_ms,
                direction: direction(delivery.results),
                agreement: under.clone(),
                outcome: delivery.outcome,
                transaction: delivery.transaction,
                position: delivery.position,
                fields: delivery.released.clone(),
            });
        }
        for month in inzage.summaries.iter().filter(|month| month.masks.1 != 0) {
            let agreement = self.agreement_summarised(&month.agreement);
            product(&mut all, &month.recipient, agreement).months.push(PortableMonth {
                first: month.first,
                last: month.last,
                direction: direction(month.results),
                agreement: month.agreement.clone(),
                times: month.count,
                fields: month.released.clone(),
            });
        }
        let with_feed = now.is_some();
        let mut now: BTreeMap<Party, Now> = now
            .unwrap_or_default()
            .into_iter()
            .map(|(id, now)| (self.party(&Leaf::recipient_code(&id)), now))
            .collect();
        for party in now.keys() {
            all.entry(party.clone()).or_default();
        }
        let recipients = all.into_iter().map(|(recipient, products)| PortableRecipient {
            now: with_feed.then(|| now.remove(&recipient)),
            products: products.into_values().collect(),
            recipient,
        });
        Portable { school: inzage.school.clone(), partial: inzage.partial, recipients: recipients.collect() }
    }
}

impl Portable {
    /// Writes it as CSV.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        csv_line(&COLUMNS.map(str::to_owned), out)?;
        for PortableRecipient { recipient, products, now } in &self.recipients {
            let id = || recipient.id.clone().unwrap_or_else(|| recipient.code.clone());
            let name = || recipient.name.clone().unwrap_or_default();
            for product in products {
                let head = |record: &str, direction: &str| {
                    let text = |text: &Option<String>| text.clone().unwrap_or_default();
                    let (name_of, purpose) = (text(&product.product), text(&product.purpose));
                    [record.to_owned(), id(), name(), name_of, purpose, direction.to_owned()]
                };
                for delivery in &product.deliveries {
                    let Under { id, version, sha256, .. } = &delivery.agreement;
                    let rest = [
                        delivery.recorded.clone(),
                        String::new(),
                        "1".into(),
                        id.clone().unwrap_or_else(|| sha256.clone()),
                        version.to_string(),
                        delivery.outcome.as_str().into(),
                        delivery.transaction.to_string(),
                        delivery.position.to_string(),
                        delivery.fields.join(" "),
                    ];
                    line(&head("delivery", delivery.direction), &rest, out)?;
                }
                for month in &product.months {
                    let (first, last) = (month.first.to_string(), month.last.to_string());
                    let mut rest = [const { String::new() }; 9];
                    rest[..4].clone_from_slice(&[
                        first,
                        last,
                        month.times.to_string(),
                        month.agreement.clone(),
                    ]);
                    rest[8] = month.fields.join(" ");
                    line(&head("month", month.direction), &rest, out)?;
                }
            }
            let Some(Some(now)) = now else { continue };
            let head =
                ["value".to_owned(), id(), name(), now.product.clone(), now.purpose.clone(), "out".into()];
            for value in &now.values {
                let mut rest = [const { String::new() }; 11];
                rest[3].clone_from(&now.agreement);
                rest[4] = now.version.to_string();
                rest[8] = value.field.into();
                rest[9] = value.label.into();
                rest[10].clone_from(&value.value);
                line(&head, &rest, out)?;
            }
        }
        Ok(())
    }
}

/// A line whose last cells, where there are none, are empty.
fn line(head: &[String; 6], rest: &[String], out: &mut dyn Write) -> io::Result<()> {
    let mut cells = [&head[..], rest].concat();
    cells.resize(COLUMNS.len(), String::new());
    csv_line(&cells, out)
}
