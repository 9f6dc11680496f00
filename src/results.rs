//! Results on their way back: a supplier's `BrengLeerresultaten`, with the LAS's own keys put back in.
//!
//! The whole message is read and turned back before a byte of it goes on: one identifier that is not ours, one score
//! that is none, one part that could not be passed on, and nothing is forwarded. A supplier that is told its results
//! arrived must be able to rely on all of them having arrived.
//!
//! The school in the message is made by [`ingress`](crate::ingress) of what was checked; nothing of it is copied.

use crate::{
    catalogue::{Catalogue, Field, FieldId, Kind, Required, catalogue},
    disclosure::{Row, RowOutcome, Subject},
    encode::{Frame, XmlEncoder},
    fault::FaultCode,
    keys::IdentitySource,
    pseudonym::{Identity, KeyKind, LogKeys, Pseudonymiser, PupilKey, TokenOpener},
    record::Record,
};

/// Why results are not passed on. None holds anything of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// An identifier in the message is none that was given to this recipient for this school.
    #[error("an identifier in the results was not given to this recipient for this school")]
    Identifier,
    /// A date, code or text that is not as the standard wants it, or a part of a test that is unknown.
    #[error("a part of the results is not well-formed or unknown")]
    Message,
    /// A norm that is none.
    #[error("a norm of a test is not well-formed")]
    Norm,
    /// A result that cannot be passed on whole: a part of it is unknown, or not well-formed.
    #[error("a part of a result is unknown or not well-formed")]
    Result,
    /// A score that is no number.
    #[error("a score is not a whole number of zero or more")]
    Score,
}

impl Refused {
    /// The fault it is to a supplier.
    pub fn code(self) -> FaultCode {
        match self {
            Self::Identifier => FaultCode::LeerlingOngeldig,
            Self::Message => FaultCode::OngeldigBericht,
            Self::Norm => FaultCode::ToetsNormeringOngeldig,
            Self::Result => FaultCode::EldResultaatOngeldig,
            Self::Score => FaultCode::ScoreOngeldig,
        }
    }

    /// What a supplier is told.
    pub fn text(self) -> &'static str {
        match self {
            Self::Identifier => {
                "Een leerling of leerkracht in het bericht is niet bekend onder deze sleutel. Er is niets doorgegeven."
            }
            Self::Message => {
                "Een datum, code of tekst in het bericht is ongeldig, of een onderdeel is onbekend. Er is niets doorgegeven."
            }
            Self::Norm => "Een normering is ongeldig. Er is niets doorgegeven.",
            Self::Result => {
                "Een resultaat heeft een onderdeel dat onbekend of ongeldig is. Er is niets doorgegeven."
            }
            Self::Score => "Een score is geen geheel getal van 0 of hoger. Er is niets doorgegeven.",
        }
    }

    /// What it is that a field does not have its strict form.
    fn form(field: &Field) -> Self {
        match field.name.strip_prefix("toetsafname.resultaten.resultaat.") {
            Some("score") => Self::Score,
            Some(name) if name.starts_with("osoresultaat.") => Self::Result,
            None if field.name.contains("normering.") => Self::Norm,
            _ => Self::Message,
        }
    }
}

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
/// [`Refused`], for the first thing that cannot be passed on.
pub fn turn_back(scope: &Scope<'_>, header: &Record, records: &[Record]) -> Result<Results, Refused> {
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
    score: FieldId,
}

/// A result of a type that a supplier defines. The standard has it abstract, so that it says nothing without its
/// `xsi:type` and what that type holds, and neither is known here.
const ANDERRESULTAAT: &str = "anderresultaat";

impl Fields {
    fn new(catalogue: &'static Catalogue) -> Self {
        Self {
            catalogue,
            leerlingid: catalogue.field_named("toetsafname.leerlingid"),
            eckid: catalogue.field_named("toetsafname.eckid"),
            score: catalogue.field_named("toetsafname.resultaten.resultaat.score"),
        }
    }

    fn turn(
        &self,
        scope: &Scope<'_>,
        record: &Record,
        number: usize,
    ) -> Result<(Record, Option<Row>), Refused> {
        let catalogue = self.catalogue;
        let mut turned = Record::new(record.kind, record.root);
        let mut row = None;
        let of_pupil = catalogue.record(record.kind).person.is_some();
        if record.unknown > 0 {
            return Err(if of_pupil { Refused::Result } else { Refused::Message });
        }
        if of_pupil {
            let token = record.find(self.leerlingid).ok_or(Refused::Identifier)?;
            let key = scope.opener.open(KeyKind::Leerling, token).map_err(|_| Refused::Identifier)?;
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
                if *catalogue.tree().node(item.node).name == *ANDERRESULTAAT {
                    return Err(Refused::Result);
                }
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
                    let key: PupilKey = scope.opener.open(kind, value).map_err(|_| Refused::Identifier)?;
                    turned.push(item.node, item.attribute, field.id, key.expose());
                }
                (_, None) if value.is_empty() && field.required == Required::No && field.id != self.score => {
                    continue;
                }
                (_, None) => {
                    let value = field.form.strict(value).ok_or_else(|| Refused::form(field))?;
                    turned.push(item.node, item.attribute, field.id, &value);
                }
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
/// then it must at least be a pseudonym of this recipient's domain. Where the feed's own ECK iD passes, it was not made
/// here and there is no table of which pupil has which: the LAS is sent both, and is the one that can compare them.
/// What is on record is who the key says it is.
fn check_eckid(scope: &Scope<'_>, identity: &Identity, eckid: &str) -> Result<(), Refused> {
    if scope.pass_eckid {
        return Ok(());
    }
    let known = scope.pseudonyms.iter().any(|pseudonyms| match scope.identity {
        IdentitySource::LasKey => pseudonyms.is_uri_of(&pseudonyms.pseudonym(identity), eckid),
        IdentitySource::EckId | IdentitySource::Pgn => pseudonyms.parse_uri(eckid).is_some(),
    });
    if known { Ok(()) } else { Err(Refused::Identifier) }
}
