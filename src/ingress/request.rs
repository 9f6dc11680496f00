//! A SOAP request of the UWLR standard, read with the same decoder and catalogue as everything else.

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    catalogue::{Catalogue, FeedId, FieldId, NodeId, RecordId, catalogue},
    decode::{self, Charset, DecodeError, Limits, decode},
    pseudonym::{KeyKind, digits},
    record::Record,
    token::Token,
};

/// The operations of UWLR 2.0 to 2.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Results, from supplier to LAS.
    BrengLeerresultaten,
    /// Teachers of the groups named.
    HaalLeerkrachten,
    /// Everything at once.
    HaalLeerlinggegevens,
    /// Pupils of the groups named.
    HaalLeerlingen,
    /// School and groups.
    HaalStructuur,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::BrengLeerresultaten,
        Self::HaalLeerkrachten,
        Self::HaalLeerlinggegevens,
        Self::HaalLeerlingen,
        Self::HaalStructuur,
    ];

    /// Its name in the WSDL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BrengLeerresultaten => "BrengLeerresultaten",
            Self::HaalLeerkrachten => "HaalLeerkrachten",
            Self::HaalLeerlinggegevens => "HaalLeerlinggegevens",
            Self::HaalLeerlingen => "HaalLeerlingen",
            Self::HaalStructuur => "HaalStructuur",
        }
    }

    /// The SOAPAction of the WSDL.
    pub fn soap_action(self) -> &'static str {
        match self {
            Self::BrengLeerresultaten => "BrengLeerresultaten",
            Self::HaalLeerkrachten => {
                "http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens/leerkrachten_verzoek"
            }
            Self::HaalLeerlinggegevens => "HaalLeerlinggegevens",
            Self::HaalLeerlingen => {
                "http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens/leerlingen_verzoek"
            }
            Self::HaalStructuur => {
                "http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens/structuur_verzoek"
            }
        }
    }

    /// The feed that answers it.
    pub fn answer(self, catalogue: &Catalogue) -> Option<FeedId> {
        let name = match self {
            Self::BrengLeerresultaten => return None,
            Self::HaalLeerkrachten => "leerkrachten",
            Self::HaalLeerlinggegevens => "leerlinggegevens",
            Self::HaalLeerlingen => "leerlingen",
            Self::HaalStructuur => "structuur",
        };
        Some(catalogue.feed_named(name))
    }

    fn of_message(name: &str) -> Option<Self> {
        Some(match name {
            "leerresultaten_verzoek" => Self::BrengLeerresultaten,
            "leerkrachten_verzoek" => Self::HaalLeerkrachten,
            "leerlinggegevens_verzoek" => Self::HaalLeerlinggegevens,
            "leerlingen_verzoek" => Self::HaalLeerlingen,
            "structuur_verzoek" => Self::HaalStructuur,
            _ => return None,
        })
    }
}

/// The autorisatie header a supplier presented. Not printable.
pub struct Presented {
    /// `autorisatiesleutel`.
    pub sleutel: Zeroizing<String>,
    /// `klantcode`.
    pub klantcode: Zeroizing<String>,
    /// `klantnaam`.
    pub klantnaam: Zeroizing<String>,
}

/// A group a supplier asks the persons of, by the token it was given; without one: persons in no group.
pub struct GroupAsked {
    /// `groep` or `samengestelde_groep`.
    pub kind: KeyKind,
    /// The token.
    pub token: Option<String>,
}

/// A request whose form is in order. Whether it may be answered has not been decided.
pub struct Request {
    /// What is asked.
    pub operation: Operation,
    /// The header, where there was one with all three parts.
    pub presented: Option<Presented>,
    /// School year, `2026-2027`; none when the supplier left it empty, as some do.
    pub schooljaar: Option<String>,
    /// BRIN in capitals.
    pub brin: Option<String>,
    /// The vestiging, `00` when not said.
    pub dependance: String,
    /// The school's key, where it came instead of a BRIN.
    pub schoolkey: Option<String>,
    /// Version the supplier speaks.
    pub xsdversie: String,
    /// Data set it asks for.
    pub gegevenssetid: Option<String>,
    /// Moment of the last data it received.
    pub since: Option<String>,
    /// Groups it asks for.
    pub groups: Vec<GroupAsked>,
    /// The records of results.
    pub results: Vec<Record>,
    /// The message element.
    pub message: NodeId,
}

/// Why a request cannot be read. None holds anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// A date, school year or BRIN that is none.
    Form(&'static str),
    /// Not a request of these operations.
    Operation,
    /// More results than the limit.
    Records,
    /// No school named.
    School,
    /// Not XML as it should be.
    Xml(DecodeError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(field) => write!(f, "{field} is not well-formed"),
            Self::Operation => f.write_str("not one of the five operations of UWLR"),
            Self::Records => f.write_str("more records than limits.records allows"),
            Self::School => f.write_str("names no school: brincode or schoolkey is needed"),
            Self::Xml(error) => error.fmt(f),
        }
    }
}

/// Reads a request.
///
/// # Errors
///
/// [`RequestError`], for the first thing that is not in order.
pub fn read(body: &[u8], charset: Option<Charset>, limits: &Limits) -> Result<Request, RequestError> {
    let mut collector = Collector::new(limits.records);
    match decode(body, charset, limits, &mut |token: Token<'_>| collector.take(token)) {
        Ok(()) => {}
        Err(decode::Error::Decode(error)) if error.kind == decode::Kind::NotAMessage => {
            return Err(RequestError::Operation);
        }
        Err(decode::Error::Decode(error)) => return Err(RequestError::Xml(error)),
        Err(decode::Error::Sink(error)) => return Err(error),
    }
    collector.request()
}

struct Collector {
    catalogue: &'static Catalogue,
    verzoek: RecordId,
    autorisatie: RecordId,
    results_feed: FeedId,
    limit: u64,
    current: Option<Record>,
    header: Option<Record>,
    body: Option<Record>,
    results: Option<Vec<Record>>,
}

impl Collector {
    fn new(limit: u64) -> Self {
        let catalogue = catalogue();
        Self {
            catalogue,
            verzoek: catalogue.record_named("verzoek"),
            autorisatie: catalogue.record_named("autorisatie"),
            results_feed: catalogue.feed_named("leerresultaten"),
            limit,
            current: None,
            header: None,
            body: None,
            results: None,
        }
    }

    fn take(&mut self, token: Token<'_>) -> Result<(), RequestError> {
        if let Some(record) = &mut self.current {
            if record.take(&token) {
                let record = self.current.take().expect("it was just there");
                if record.kind == self.autorisatie {
                    self.header = Some(record);
                } else if record.kind == self.verzoek {
                    self.body = Some(record);
                } else {
                    let results = self.results.as_mut().ok_or(RequestError::Operation)?;
                    if results.len() as u64 >= self.limit {
                        return Err(RequestError::Records);
                    }
                    results.push(record);
                }
            }
            return Ok(());
        }
        match token {
            Token::Feed(feed) if feed == self.results_feed && self.results.is_none() => {
                self.results = Some(Vec::new());
            }
            Token::Record(kind, node) => self.current = Some(Record::new(kind, node)),
            Token::Fault(_) | Token::Feed(_) | Token::NoChanges(_) | Token::NoData(_) => {
                return Err(RequestError::Operation);
            }
            Token::End
            | Token::Envelope
            | Token::Field { .. }
            | Token::Group(_)
            | Token::SectionEnd(_)
            | Token::Unknown(_) => {}
        }
        Ok(())
    }

    fn field(&self, name: &str) -> FieldId {
        self.catalogue.field_named(name)
    }

    fn request(self) -> Result<Request, RequestError> {
        let presented = self.header.as_ref().and_then(|header| {
            let part = |name| Some(Zeroizing::new(header.find(self.field(name))?.to_owned()));
            Some(Presented {
                sleutel: part("autorisatie.autorisatiesleutel")?,
                klantcode: part("autorisatie.klantcode")?,
                klantnaam: part("autorisatie.klantnaam")?,
            })
        });
        let (record, prefix, message) = match (&self.body, &self.results) {
            (Some(body), None) => (body, "verzoek", body.root),
            (None, Some(results)) => {
                let school = self.catalogue.record_named("results_school");
                let school =
                    results.iter().find(|record| record.kind == school).ok_or(RequestError::School)?;
                (school, "results_school", self.catalogue.feed(self.results_feed).root)
            }
            _ => return Err(RequestError::Operation),
        };
        let operation = Operation::of_message(&self.catalogue.tree().node(message).name)
            .ok_or(RequestError::Operation)?;
        // Empty and `""` are what some clients send for "not said".
        let said = |name: &str| {
            let field = self.field(&format!("{prefix}.{name}"));
            record.find(field).map(|value| value.trim_matches('"').trim()).filter(|value| !value.is_empty())
        };
        let strict = |name: &'static str| match said(name) {
            None => Ok(None),
            Some(value) => {
                let field = self.catalogue.field(self.field(&format!("{prefix}.{name}")));
                match field.form.strict(value) {
                    Some(value) => Ok(Some(value.into_owned())),
                    None => Err(RequestError::Form(name)),
                }
            }
        };
        let brin = strict("brincode")?;
        let schoolkey = said("schoolkey").map(str::to_owned);
        if brin.is_none() && schoolkey.is_none() {
            return Err(RequestError::School);
        }
        let mut groups = Vec::new();
        let (mut gegevenssetid, mut since) = (None, None);
        if let Some(body) = &self.body {
            gegevenssetid = strict("gegevenssetid")?;
            since = strict("laatstontvangengegevens")?;
            groups = self.groups(body);
        }
        Ok(Request {
            operation,
            presented,
            schooljaar: strict("schooljaar")?,
            brin,
            dependance: said("dependancecode")
                .map_or_else(|| "00".into(), |value| digits::normalise(value).into()),
            schoolkey,
            xsdversie: strict("xsdversie")?.unwrap_or_else(|| "2.2".into()),
            gegevenssetid,
            since,
            groups,
            results: self.results.unwrap_or_default(),
            message,
        })
    }

    /// Each `groep` and `samengestelde_groep` of the request, with or without key.
    fn groups(&self, body: &Record) -> Vec<GroupAsked> {
        let tree = self.catalogue.tree();
        let items = body.items();
        let mut groups = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let kind = tree.node(item.node).attributes.first().and_then(|attribute| attribute.key_of);
            if let (None, Some(kind)) = (item.field, kind) {
                let inside = &items[at + 1..item.end as usize];
                let token = inside.iter().find(|item| item.attribute.is_some()).map(|item| body.value(item));
                let token = token.filter(|token| !token.is_empty()).map(str::to_owned);
                groups.push(GroupAsked { kind, token });
            }
        }
        groups
    }
}
