//! What a good afternoon with quick-xml gives: the sample agreement by hand, with pseudonyms and tokens, for one kind
//! of document. `quick_xml buffered|slice KEYS INPUT >OUTPUT`.
//!
//! Its output is that of `sluis minimise`, byte for byte, on documents that `feed` makes. It has no log, no other
//! agreement, no look at what slips through sideways, no limits, and takes prefixes as they come.
//!
//! `buffered` reads on in a buffer and needs little memory whatever comes; `slice` has the whole file in memory first,
//! so that events borrow from it.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write},
};

use aes_siv::{KeyInit, siv::Aes256Siv};
use base64::{
    Engine,
    alphabet::Alphabet,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};
use ring::hmac;

const NAMESPACE: &str = "http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens";
const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [how, keys, input] = arguments.as_slice() else {
        return Err(io::Error::other("usage: quick_xml buffered|slice KEYS INPUT >OUTPUT"));
    };
    let out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let mut strip = Strip::new(Pseudonyms::load(keys)?, out);
    match how.as_str() {
        "slice" => {
            let text = fs::read_to_string(input)?;
            let mut reader = Reader::from_str(&text);
            while strip.event(reader.read_event().map_err(io::Error::other)?)? {}
        }
        _ => {
            let mut reader = Reader::from_reader(BufReader::with_capacity(64 * 1024, File::open(input)?));
            let mut buffer = Vec::new();
            while strip.event(reader.read_event_into(&mut buffer).map_err(io::Error::other)?)? {
                buffer.clear();
            }
        }
    }
    strip.out.flush()?;
    eprintln!("{} pupils", strip.pupils);
    Ok(())
}

/// An element that is let through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    Envelope,
    Body,
    Answer,
    Data,
    School,
    Groups,
    Group,
    MixedGroup,
    Pupils,
    Pupil,
    PupilGroups,
    Teachers,
    Teacher,
    TeacherGroups,
    TeacherGroup,
    /// Holds text that passes.
    Text,
    /// Holds a date of which the year passes.
    Year,
    /// Has a key and nothing else.
    Reference,
}

impl Place {
    /// Where `name` leads from here; nowhere: the agreement does not name it.
    fn child(self, name: &str) -> Option<Self> {
        Some(match (self, name) {
            (Self::Document, "soapenv:Envelope") => Self::Envelope,
            (Self::Envelope, "soapenv:Body") => Self::Body,
            (Self::Body, "leerlinggegevens_antwoord") => Self::Answer,
            (Self::Answer, "leerlinggegevens") => Self::Data,
            (Self::Data, "school") => Self::School,
            (Self::Data, "groepen") => Self::Groups,
            (Self::Data, "leerlingen") => Self::Pupils,
            (Self::Data, "leerkrachten") => Self::Teachers,
            (Self::School, "schooljaar" | "brincode" | "dependancecode" | "xsdversie") => Self::Text,
            (Self::Groups, "groep") => Self::Group,
            (Self::Groups, "samengestelde_groep") => Self::MixedGroup,
            (Self::Group, "naam" | "jaargroep") | (Self::MixedGroup, "naam") => Self::Text,
            (Self::Pupils, "leerling") => Self::Pupil,
            (Self::Pupil, "achternaam" | "voorvoegsel" | "roepnaam" | "jaargroep") => Self::Text,
            (Self::Pupil, "geboortedatum") => Self::Year,
            (Self::Pupil, "groep") | (Self::PupilGroups, "samengestelde_groep") => Self::Reference,
            (Self::Pupil, "samengestelde_groepen") => Self::PupilGroups,
            (Self::Teachers, "leerkracht") => Self::Teacher,
            (Self::Teacher, "achternaam" | "voorvoegsel" | "roepnaam" | "emailadres") => Self::Text,
            (Self::Teacher, "groepen") => Self::TeacherGroups,
            (Self::TeacherGroups, "groep" | "samengestelde_groep") => Self::TeacherGroup,
            (Self::TeacherGroup, "rol") => Self::Text,
            _ => return None,
        })
    }

    /// Whether it begins a line.
    fn has_line(self) -> bool {
        matches!(
            self,
            Self::School
                | Self::Groups
                | Self::Group
                | Self::MixedGroup
                | Self::Pupils
                | Self::Pupil
                | Self::Teachers
                | Self::Teacher
        )
    }
}

struct Strip<W> {
    pseudonyms: Pseudonyms,
    out: W,
    path: Vec<Place>,
    /// How deep in an element that is left out.
    skipped: usize,
    pupils: usize,
}

impl<W: Write> Strip<W> {
    fn new(pseudonyms: Pseudonyms, out: W) -> Self {
        Self { pseudonyms, out, path: vec![Place::Document], skipped: 0, pupils: 0 }
    }

    fn place(&self) -> Place {
        *self.path.last().expect("the document is never left")
    }

    /// Takes one event; whether more are to come.
    fn event(&mut self, event: Event<'_>) -> io::Result<bool> {
        match event {
            Event::Start(_) if self.skipped > 0 => self.skipped += 1,
            Event::End(_) if self.skipped > 0 => self.skipped -= 1,
            Event::Start(start) => match self.place().child(start.name().as_ref()) {
                Some(place) => {
                    self.start(place, &start)?;
                    self.out.write_all(b">")?;
                    self.path.push(place);
                }
                None => self.skipped = 1,
            },
            Event::Empty(start) if self.skipped == 0 => {
                if let Some(place) = self.place().child(start.name().as_ref()) {
                    self.start(place, &start)?;
                    self.out.write_all(b"/>")?;
                }
            }
            Event::End(end) => {
                let place = self.path.pop().expect("quick-xml matches tags");
                if matches!(place, Place::Groups | Place::Pupils | Place::Teachers | Place::Data) {
                    self.out.write_all(b"\n")?;
                }
                self.out.write_all(b"</")?;
                self.out.write_all(end.name().as_ref().as_bytes())?;
                self.out.write_all(b">")?;
                if place == Place::Envelope {
                    self.out.write_all(b"\n")?;
                }
            }
            // What was escaped stays so.
            Event::Text(text) if self.skipped == 0 => match self.place() {
                Place::Text => self.out.write_all(text.as_bytes())?,
                Place::Year => {
                    let year = text.get(..4).filter(|year| year.bytes().all(|digit| digit.is_ascii_digit()));
                    self.out.write_all(year.ok_or_else(|| io::Error::other("not a date"))?.as_bytes())?;
                    self.out.write_all(b"-01-01")?;
                }
                _ => {}
            },
            Event::GeneralRef(name) if self.skipped == 0 && self.place() == Place::Text => {
                self.out.write_all(b"&")?;
                self.out.write_all(name.as_bytes())?;
                self.out.write_all(b";")?;
            }
            Event::CData(text) if self.skipped == 0 && self.place() == Place::Text => {
                self.out.write_all(text.escape().map_err(io::Error::other)?.as_bytes())?;
            }
            Event::Decl(_) => self.out.write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")?,
            Event::DocType(_) => return Err(io::Error::other("a document type")),
            Event::Eof => return Ok(false),
            _ => {}
        }
        Ok(true)
    }

    /// A start tag without its end.
    fn start(&mut self, place: Place, start: &BytesStart<'_>) -> io::Result<()> {
        if place.has_line() {
            self.out.write_all(b"\n")?;
        }
        self.out.write_all(b"<")?;
        self.out.write_all(start.name().as_ref().as_bytes())?;
        match place {
            Place::Envelope => write!(self.out, " xmlns:soapenv=\"{SOAP}\""),
            Place::Answer => write!(self.out, " xmlns=\"{NAMESPACE}\""),
            Place::Pupil | Place::Teacher => {
                self.pupils += usize::from(place == Place::Pupil);
                let key = key(start)?;
                let kind = if place == Place::Pupil { "leerling" } else { "leerkracht" };
                self.out.write_all(b" eckid=\"")?;
                self.pseudonyms.eckid(kind, key.trim(), &mut self.out)?;
                self.out.write_all(b"\" key=\"")?;
                self.out.write_all(self.pseudonyms.token(kind, key.trim())?.as_bytes())?;
                self.out.write_all(b"\"")
            }
            Place::Group | Place::MixedGroup | Place::Reference | Place::TeacherGroup => {
                let key = key(start)?;
                self.out.write_all(b" key=\"")?;
                let kind = if start.name().as_ref() == "groep" { "groep" } else { "samengestelde_groep" };
                self.out.write_all(self.pseudonyms.group_token(kind, key.trim())?.as_bytes())?;
                self.out.write_all(b"\"")
            }
            _ => Ok(()),
        }
    }
}

fn key<'a>(start: &'a BytesStart<'_>) -> io::Result<std::borrow::Cow<'a, str>> {
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(io::Error::other)?;
        if attribute.key.as_ref() == "key" {
            return attribute.normalized_value(XmlVersion::Implicit1_0).map_err(io::Error::other);
        }
    }
    Err(io::Error::other("no key"))
}

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    match &Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._") {
        Ok(alphabet) => alphabet,
        Err(_) => panic!("64 different characters"),
    },
    NO_PAD,
);

/// Pseudonyms and tokens, of the same keys as the gateway's.
struct Pseudonyms {
    eckid: hmac::Key,
    siv: Aes256Siv,
    prefix: String,
    message: Vec<u8>,
    /// Groups come again and again.
    groups: HashMap<String, String>,
    mixed_groups: HashMap<String, String>,
}

impl Pseudonyms {
    fn load(keys: &str) -> io::Result<Self> {
        let text = fs::read_to_string(keys)?;
        let [eckid, token, prefix] = text.lines().collect::<Vec<_>>()[..] else {
            return Err(io::Error::other("three lines of keys"));
        };
        let eckid = hex::decode(eckid).map_err(io::Error::other)?;
        let token = hex::decode(token).map_err(io::Error::other)?;
        Ok(Self {
            eckid: hmac::Key::new(hmac::HMAC_SHA512, &eckid),
            siv: Aes256Siv::new_from_slice(&token).map_err(|_| io::Error::other("64 bytes of key"))?,
            prefix: prefix.to_owned(),
            message: Vec::new(),
            groups: HashMap::new(),
            mixed_groups: HashMap::new(),
        })
    }

    fn eckid(&mut self, kind: &str, key: &str, out: &mut impl Write) -> io::Result<()> {
        self.message.clear();
        for part in [kind, key] {
            let length = u32::try_from(part.len()).expect("keys are short");
            self.message.extend_from_slice(&length.to_be_bytes());
            self.message.extend_from_slice(part.as_bytes());
        }
        let tag = hmac::sign(&self.eckid, &self.message);
        let mut digits = [0; 128];
        hex::encode_to_slice(tag.as_ref(), &mut digits).expect("64 bytes are 128 digits");
        out.write_all(self.prefix.as_bytes())?;
        out.write_all(&digits)
    }

    /// For keys of up to 31 bytes that are no UUIDs: those that `feed` makes.
    fn token(&mut self, kind: &str, key: &str) -> io::Result<String> {
        let length = u8::try_from(key.len()).ok().filter(|length| (1..32).contains(length));
        let mut bytes = [0; 48];
        bytes[16] = length.ok_or_else(|| io::Error::other("a key of another length"))?;
        bytes[17..17 + key.len()].copy_from_slice(key.as_bytes());
        let tag = self
            .siv
            .encrypt_in_place_detached([kind.as_bytes()], &mut bytes[16..])
            .map_err(|_| io::Error::other("sealing failed"))?;
        bytes[..16].copy_from_slice(&tag);
        Ok(ENGINE.encode(bytes))
    }

    fn group_token(&mut self, kind: &str, key: &str) -> io::Result<&str> {
        let known = if kind == "groep" { &self.groups } else { &self.mixed_groups };
        if !known.contains_key(key) {
            let token = self.token(kind, key)?;
            let known = if kind == "groep" { &mut self.groups } else { &mut self.mixed_groups };
            known.insert(key.to_owned(), token);
        }
        Ok(if kind == "groep" { &self.groups[key] } else { &self.mixed_groups[key] })
    }
}
