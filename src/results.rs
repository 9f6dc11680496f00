//! Results on their way back: a supplier's `BrengLeerresultaten`, with the LAS's own keys put back in.
//!
//! The whole message is read and turned back before a byte of it goes on: one identifier that is not ours, and
//! nothing is forwarded.

use crate::{
    catalogue::{Catalogue, FieldId, Kind, catalogue},
    disclosure::{Row, RowOutcome, Subject},
    encode::{Frame, XmlEncoder},
    keys::IdentitySource,
    pseudonym::{Identity, KeyKind, LogKeys, Pseudonymiser, PupilKey, TokenOpener},
    record::Record,
};

/// An identifier in the message is none that was given to this recipient for this school.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identifier in the results was not given to this recipient for this school")]
pub struct LeerlingOngeldig;

/// What it takes to turn identifiers back.
pub struct Scope<'a> {
    /// Tokens of this recipient and school, of all epochs.
    pub opener: TokenOpener<'a>,
    /// Pseudonyms as given out, of all epochs, newest first.
    pub pseudonyms: &'a [Pseudonymiser],
    /// Whether the feed's own ECK iD was passed to this recipient.
    pub pass_eckid: bool,
    /// What the pseudonyms were made from.
    pub identity: IdentitySource,
    /// Handles and tags for the log.
    pub log_keys: &'a LogKeys,
    /// The recipient's id.
    pub recipient: &'a str,
}

/// A message of results as the LAS knows it, with a row for each pupil in it.
pub struct Results {
    /// The SOAP message.
    pub document: String,
    /// One row per `toetsafname`.
    pub rows: Vec<Row>,
}

/// Turns the records of a message back.
///
/// `header` is the SOAP header for the LAS; `records` are those of the message, in order.
///
/// # Errors
///
/// [`LeerlingOngeldig`] for the first identifier that does not turn back.
pub fn turn_back(
    scope: &Scope<'_>,
    header: &Record,
    records: &[Record],
) -> Result<Results, LeerlingOngeldig> {
    let catalogue = catalogue();
    let feed = catalogue.feed_named("leerresultaten");
    let mut encoder = XmlEncoder::new(Frame::Envelope, feed);
    let mut document = String::new();
    let mut rows = Vec::new();
    encoder.start_with_header(header, &mut document);
    let fields = Fields::new(catalogue);
    for section in &catalogue.feed(feed).sections {
        for record in records {
            if !section.records.iter().any(|&(kind, _)| kind == record.kind) {
                continue;
            }
            let (turned, row) = fields.turn(scope, record, rows.len())?;
            let from = encoder.record(&turned, &mut document);
            if let Some(mut row) = row {
                let mut mac = scope.log_keys.content_mac();
                mac.update(&document.as_bytes()[from..]);
                row.mac = mac.finish();
                rows.push(row);
            }
        }
    }
    encoder.finish(&mut document);
    Ok(Results { document, rows })
}

struct Fields {
    catalogue: &'static Catalogue,
    leerlingid: FieldId,
    eckid: FieldId,
}

impl Fields {
    fn new(catalogue: &'static Catalogue) -> Self {
        Self {
            catalogue,
            leerlingid: catalogue.field_named("toetsafname.leerlingid"),
            eckid: catalogue.field_named("toetsafname.eckid"),
        }
    }

    fn turn(
        &self,
        scope: &Scope<'_>,
        record: &Record,
        number: usize,
    ) -> Result<(Record, Option<Row>), LeerlingOngeldig> {
        let catalogue = self.catalogue;
        let mut turned = Record::new(record.kind, record.root);
        let mut row = None;
        if catalogue.record(record.kind).person.is_some() {
            let token = record.find(self.leerlingid).ok_or(LeerlingOngeldig)?;
            let key = scope.opener.open(KeyKind::Leerling, token).map_err(|_| LeerlingOngeldig)?;
            let identity = Identity::LasKey(KeyKind::Leerling, key);
            if let Some(eckid) = record.find(self.eckid).filter(|eckid| !eckid.is_empty()) {
                check_eckid(scope, &identity, eckid)?;
            }
            let mut fresh = Row::new(Subject::Leerling, u32::try_from(number).unwrap_or(u32::MAX));
            fresh.handle = scope.log_keys.subject_handle(&identity);
            fresh.outcome = RowOutcome::Released;
            if let Some(pseudonyms) = scope.pseudonyms.first() {
                fresh.tag = scope.log_keys.recipient_tag(scope.recipient, &pseudonyms.pseudonym(&identity));
            }
            row = Some(fresh);
        }
        let mut ends = Vec::new();
        for (at, item) in record.items().iter().enumerate() {
            while ends.last() == Some(&at) {
                ends.pop();
                turned.close();
            }
            let Some(field) = item.field else {
                turned.open(item.node);
                ends.push(item.end as usize);
                continue;
            };
            let field = catalogue.field(field);
            let value = record.value(item);
            let key_of = match item.attribute {
                Some(attribute) => catalogue.key_kind(item.node, usize::from(attribute)),
                None => catalogue.tree().node(item.node).key_of,
            };
            match (field.kind, key_of) {
                // Checked above; the LAS's own ECK iD cannot be made from ours, and the key says who it is.
                (Kind::Eckid, _) if !scope.pass_eckid => continue,
                (_, Some(_)) if value.is_empty() => continue,
                (_, Some(kind)) => {
                    let key: PupilKey = scope.opener.open(kind, value).map_err(|_| LeerlingOngeldig)?;
                    turned.push(item.node, item.attribute, field.id, key.expose());
                }
                (_, None) => turned.push(item.node, item.attribute, field.id, value),
            }
            if let Some(row) = &mut row {
                row.released |= field.mask();
            }
        }
        for _ in ends {
            turned.close();
        }
        Ok((turned, row))
    }
}

/// An ECK iD in the results must be the one that was given out for the pupil.
///
/// Where pseudonyms are made from something else than the LAS key, the pupil cannot be told from the token alone;
/// then it must at least be a pseudonym of this recipient's domain.
fn check_eckid(scope: &Scope<'_>, identity: &Identity, eckid: &str) -> Result<(), LeerlingOngeldig> {
    if scope.pass_eckid {
        return Ok(());
    }
    let known = scope.pseudonyms.iter().any(|pseudonyms| match scope.identity {
        IdentitySource::LasKey => pseudonyms.is_uri_of(&pseudonyms.pseudonym(identity), eckid),
        IdentitySource::EckId | IdentitySource::Pgn => pseudonyms.parse_uri(eckid).is_some(),
    });
    if known { Ok(()) } else { Err(LeerlingOngeldig) }
}
