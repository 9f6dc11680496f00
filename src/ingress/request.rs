//! A SOAP request of the UWLR standard, read with the same decoder and catalogue as everything else.

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    catalogue::{Catalogue, FeedId, FieldId, NodeId, RecordId, Tree, catalogue},
    decode::{self, Charset, DecodeError, Limits, decode},
    pseudonym::KeyKind,
    record::{Item, Record},
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
    /// The records of results. The school among them is made anew of the fields above.
    pub results: Vec<Record>,
    /// The message element.
    pub message: NodeId,
}

/// Why a request cannot be read. None holds anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// A date, school year or BRIN that is none; a part that may stand once and stands twice, or that is unknown
    /// where all is to be passed on.
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

/// Whether the beginning of a body shows that it brings results. Every other request is for data, and short.
pub fn brings_results(beginning: &[u8], charset: Option<Charset>, limits: &Limits) -> bool {
    let results = catalogue().feed_named("leerresultaten");
    let read = decode(beginning, charset, limits, &mut |token: Token<'_>| match token {
        Token::Feed(feed) if feed == results => Err(()),
        _ => Ok(()),
    });
    // It breaks off where the beginning ends, which is no matter here.
    matches!(read, Err(decode::Error::Sink(())))
}

struct Collector {
    catalogue: &'static Catalogue,
    verzoek: RecordId,
    autorisatie: RecordId,
    results_school: RecordId,
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
            results_school: catalogue.record_named("results_school"),
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
                    return Ok(());
                }
                // Whoever reads the first of two and whoever reads the last must not come to different schools or pupils.
                if repeats(self.catalogue.tree(), record.items()) {
                    return Err(RequestError::Form("a part that stands twice"));
                }
                if record.kind == self.verzoek {
                    self.body = Some(record);
                    return Ok(());
                }
                let results = self.results.as_mut().ok_or(RequestError::Operation)?;
                if results.len() as u64 >= self.limit {
                    return Err(RequestError::Records);
                }
                if record.kind == self.results_school && results.iter().any(|other| other.kind == record.kind)
                {
                    return Err(RequestError::Form("a second school"));
                }
                results.push(record);
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
            // Of a question what is unknown can be left unanswered. Results that are left out are lost.
            Token::Unknown(_) if self.results.is_some() => {
                return Err(RequestError::Form("an unknown part of the message"));
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
                let school = results.iter().find(|record| record.kind == self.results_school);
                (
                    school.ok_or(RequestError::School)?,
                    "results_school",
                    self.catalogue.feed(self.results_feed).root,
                )
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
        let schoolkey = strict("schoolkey")?;
        if brin.is_none() && schoolkey.is_none() {
            return Err(RequestError::School);
        }
        let schooljaar = strict("schooljaar")?;
        let dependance = strict("dependancecode")?.unwrap_or_else(|| "00".into());
        let xsdversie = strict("xsdversie")?.unwrap_or_else(|| "2.2".into());
        if !is_version(&xsdversie) {
            return Err(RequestError::Form("xsdversie"));
        }
        let mut groups = Vec::new();
        let (mut gegevenssetid, mut since) = (None, None);
        if let Some(body) = &self.body {
            gegevenssetid = strict("gegevenssetid")?;
            since = strict("laatstontvangengegevens")?;
            groups = self.groups(body);
        }
        let mut school = None;
        if self.results.is_some() {
            // Of which year they are and when they were made is part of results, and not to be guessed.
            let must = |name: &'static str| strict(name)?.ok_or(RequestError::Form(name));
            let mut parts = vec![("schooljaar", must("schooljaar")?)];
            match (&brin, &schoolkey) {
                (Some(brin), _) => {
                    parts.push(("brincode", brin.clone()));
                    parts.push(("dependancecode", dependance.clone()));
                }
                (None, key) => parts.extend(key.clone().map(|key| ("schoolkey", key))),
            }
            parts.push(("aanmaakdatum", must("aanmaakdatum")?));
            parts.push(("xsdversie", xsdversie.clone()));
            school = Some(self.school_anew(record.root, &parts).ok_or(RequestError::School)?);
        }
        let mut results = self.results.unwrap_or_default();
        for record in &mut results {
            if record.kind == self.results_school
                && let Some(school) = school.take()
            {
                *record = school;
            }
        }
        Ok(Request {
            operation,
            presented,
            schooljaar,
            brin,
            dependance,
            schoolkey,
            xsdversie,
            gegevenssetid,
            since,
            groups,
            results,
            message,
        })
    }

    /// The school of results: where they go, and nothing else. Who wrote the message and what was remarked about it
    /// is not passed on, as it is not with a request.
    fn school_anew(&self, root: NodeId, parts: &[(&str, String)]) -> Option<Record> {
        let mut school = Record::new(self.results_school, root);
        for (name, value) in parts {
            let field = self.field(&format!("results_school.{name}"));
            school.push(self.catalogue.place_of(root, field)?, None, field, value);
        }
        Some(school)
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

/// Whether an element that may stand once stands twice in the same element.
fn repeats(tree: &Tree, items: &[Item]) -> bool {
    // Ends of items count from the beginning of the record.
    fn inside(tree: &Tree, items: &[Item], from: usize, to: usize) -> bool {
        let mut seen = Vec::new();
        let mut at = from;
        while at < to {
            let item = &items[at];
            let place = (item.node, item.attribute);
            if !tree.node(item.node).many {
                if seen.contains(&place) {
                    return true;
                }
                seen.push(place);
            }
            let end = item.end as usize;
            if inside(tree, items, at + 1, end) {
                return true;
            }
            at = end;
        }
        false
    }
    inside(tree, items, 0, items.len())
}

/// Numbers such as `2.2` or `2.2.1`. It goes on to the pupil administration, so it is not just any text.
fn is_version(text: &str) -> bool {
    let number = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    text.split('.').count() <= 4 && text.split('.').all(number)
}
