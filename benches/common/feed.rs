//! Invented feeds of any size, written as they are made: what is benched must be the only thing that could
//! hold one.
//!
//! The same arguments give the same bytes. Every element a Dutch primary school fills is filled, and all
//! pupils and teachers have an ECK iD; numbers come from test ranges.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

/// Which standard's document.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// An EDEXML file.
    Edexml,
    /// The SOAP answer to HaalLeerlinggegevens.
    Uwlr,
}

impl Form {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Edexml => "EDEXML",
            Self::Uwlr => "UWLR",
        }
    }

    /// What every document of this form ends with, minimised or not.
    pub(crate) fn end(self) -> &'static str {
        match self {
            Self::Edexml => "</EDEX>\n",
            Self::Uwlr => "</soapenv:Envelope>\n",
        }
    }
}

/// In which character encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Little-endian, with byte order mark.
    Utf16,
    Utf8,
}

impl Encoding {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Utf16 => "UTF-16",
            Self::Utf8 => "UTF-8",
        }
    }

    /// Adds a text's bytes.
    pub(crate) fn encode(self, text: &str, bytes: &mut Vec<u8>) {
        match self {
            Self::Utf16 => bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
            Self::Utf8 => bytes.extend_from_slice(text.as_bytes()),
        }
    }
}

/// One document.
#[derive(Clone, Copy)]
pub(crate) struct Feed {
    pub(crate) form: Form,
    pub(crate) encoding: Encoding,
    pub(crate) pupils: usize,
}

const FIRST_NAMES: [&str; 8] = ["Anouk", "Bilal", "Céline", "Dewi", "Esra", "Floris", "Gülay", "Hidde"];
const LAST_NAMES: [(&str, &str); 7] = [
    ("van", "Achterberg"),
    ("de", "Bruijn"),
    ("van der", "Dößel"),
    ("ten", "Eerenbeemt"),
    ("op 't", "Hoog"),
    ("el", "Kaddouri"),
    ("van den", "Nieuwenhuijzen-Smit"),
];

impl Feed {
    /// Groups, and as many teachers.
    pub(crate) fn groups(&self) -> usize {
        self.pupils.div_ceil(25)
    }

    /// Pupils take turns in joining one of these.
    fn mixed_groups(&self) -> usize {
        self.pupils.div_ceil(100)
    }

    pub(crate) fn write(&self, out: impl Write) -> io::Result<()> {
        let mut page = Page { out, encoding: self.encoding, text: String::new(), bytes: Vec::new() };
        if self.encoding == Encoding::Utf16 {
            page.text.push('\u{FEFF}');
        }
        page.put(format_args!("<?xml version=\"1.0\" encoding=\"{}\"?>\n", self.encoding.name()))?;
        page.put(format_args!("{}", self.head()))?;
        page.put(format_args!(
            "<school><schooljaar>2026-2027</schooljaar><brincode>99DE</brincode>\
             <dependancecode>00</dependancecode><schoolkey>S1</schoolkey>\
             <aanmaakdatum>2026-10-01T08:00:00</aanmaakdatum><auteur>Voorbeeld-LAS</auteur>\
             <xsdversie>2.2</xsdversie></school>\n\
             <vestigingen><vestiging key=\"V1\"><naam>Hoofdlocatie</naam></vestiging></vestigingen>\n\
             <groepen>\n"
        ))?;
        for group in 0..self.groups() {
            page.put(format_args!(
                "<groep key=\"G{group}\"><naam>Groep {level}{letter}</naam><jaargroep>{level}</jaargroep>\
                 <omschrijving>lokaal {room}</omschrijving><mutatiedatum>2026-09-30T12:00:00</mutatiedatum>\
                 </groep>\n",
                level = level(group),
                letter = ["a", "b", "c", "d"][group / 8 % 4],
                room = group % 60 + 1,
            ))?;
        }
        for group in 0..self.mixed_groups() {
            page.put(format_args!(
                "<samengestelde_groep key=\"M{group}\"><naam>Plusgroep</naam>\
                 <omschrijving>dinsdag</omschrijving></samengestelde_groep>\n"
            ))?;
        }
        page.put(format_args!("</groepen>\n<leerlingen>\n"))?;
        for (index, bsn) in test_bsns().take(self.pupils).enumerate() {
            self.pupil(index, bsn, &mut page)?;
        }
        page.put(format_args!("</leerlingen>\n<leerkrachten>\n"))?;
        for index in 0..self.groups() {
            teacher(index, &mut page)?;
        }
        page.put(format_args!("</leerkrachten>\n{}", self.tail()))?;
        page.out.flush()
    }

    fn head(&self) -> &'static str {
        match self.form {
            Form::Edexml => {
                "<EDEX xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
                 xsi:noNamespaceSchemaLocation=\"EDEXML.structuur.xsd\">\n"
            }
            Form::Uwlr => {
                "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body>\
                 <leerlinggegevens_antwoord \
                 xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens\"><leerlinggegevens>\n"
            }
        }
    }

    fn tail(&self) -> String {
        let inner = match self.form {
            Form::Edexml => "",
            Form::Uwlr => "</leerlinggegevens></leerlinggegevens_antwoord></soapenv:Body>",
        };
        format!("{inner}{}", self.form.end())
    }

    fn pupil<W: Write>(&self, index: usize, bsn: u32, page: &mut Page<W>) -> io::Result<()> {
        let key = 100_001 + index;
        let first = FIRST_NAMES[index % FIRST_NAMES.len()];
        let (prefix, last) = LAST_NAMES[index % LAST_NAMES.len()];
        let level = level(index / 25);
        page.put(format_args!(
            "<leerling key=\"{key}\" eckid=\"{eckid}\"><achternaam>{last}</achternaam>\
             <voorvoegsel>{prefix}</voorvoegsel><voornamen>{first} Voorbeeld</voornamen>\
             <voorletters-1>{initial}V</voorletters-1><roepnaam>{first}</roepnaam>\
             <geboortedatum>{born}-{month:02}-{day:02}</geboortedatum><geslacht>{sex}</geslacht>\
             <start_ondw_jgr3>{third}-08-01</start_ondw_jgr3><jaargroep>{level}</jaargroep>\
             <groep key=\"G{group}\"/><samengestelde_groepen><samengestelde_groep key=\"M{mixed}\"/>\
             </samengestelde_groepen><vestiging key=\"V1\"/><gebruikersnaam>leerling{key}</gebruikersnaam>\
             <emailadres>leerling{key}@school.example</emailadres>\
             <fotourl>https://las.example/foto/{key}.jpg</fotourl><etniciteit>0</etniciteit><land>NL</land>\
             <land_vader>NL</land_vader><land_moeder>BE</land_moeder><bsn>{bsn:09}</bsn>\
             <gewicht_nieuw>0</gewicht_nieuw><postcodenl>9999XX</postcodenl>\
             <instroomdatum>{first_day}-08-20</instroomdatum>\
             <mutatiedatum>2026-09-30T12:00:00</mutatiedatum></leerling>\n",
            eckid = eckid("leerling", index),
            initial = first.chars().next().unwrap_or('X'),
            born = 2022 - level,
            month = index % 12 + 1,
            day = index % 28 + 1,
            sex = index % 2 + 1,
            third = 2029 - level,
            group = index / 25,
            mixed = index % self.mixed_groups(),
            first_day = 2026 - level,
        ))
    }
}

fn teacher<W: Write>(index: usize, page: &mut Page<W>) -> io::Result<()> {
    let first = FIRST_NAMES[index % FIRST_NAMES.len()];
    let (prefix, last) = LAST_NAMES[index % LAST_NAMES.len()];
    page.put(format_args!(
        "<leerkracht key=\"LK{index}\" eckid=\"{eckid}\"><achternaam>{last}</achternaam>\
         <voorvoegsel>{prefix}</voorvoegsel><roepnaam>{first}</roepnaam>\
         <gebruikersnaam>leerkracht{index}</gebruikersnaam>\
         <emailadres>leerkracht{index}@school.example</emailadres>\
         <groepen><groep key=\"G{index}\"><rol>STA</rol></groep></groepen></leerkracht>\n",
        eckid = eckid("leerkracht", index),
    ))
}

/// Groep 1 to 8.
fn level(group: usize) -> usize {
    group % 8 + 1
}

/// Of the form that the Nummervoorziening gives out.
fn eckid(kind: &str, index: usize) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA512, format!("{kind} {index}").as_bytes());
    format!("https://ketenid.nl/201703/{}", hex::encode(digest))
}

/// Numbers of the range that is customary for testing which pass the eleven-test.
fn test_bsns() -> impl Iterator<Item = u32> {
    (900_000_000..=999_999_999).rev().filter(|number| {
        let digit = |place: u32| i64::from(number / 10u32.pow(place) % 10);
        let sum = (1..9).map(|place| i64::from(place + 1) * digit(place)).sum::<i64>() - digit(0);
        sum % 11 == 0
    })
}

/// Where the document is written, record by record.
struct Page<W> {
    out: W,
    encoding: Encoding,
    text: String,
    bytes: Vec<u8>,
}

impl<W: Write> Page<W> {
    fn put(&mut self, text: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.text.write_fmt(text).expect("a String takes everything");
        self.encoding.encode(&self.text, &mut self.bytes);
        let written = self.out.write_all(&self.bytes);
        self.text.clear();
        self.bytes.clear();
        written
    }
}
