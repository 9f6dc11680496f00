//! Invented pupils, as a pupil administration would send them: every field filled, numbers from test ranges.

use std::fmt::Write;

use crate::{
    clock::{Clock, school_year},
    encode::escape,
};

const FIRST_NAMES: [&str; 16] = [
    "Fenna", "Daan", "Zoë", "Ayoub", "Jip", "Sjoerd", "Ümmü", "Łukasz", "Saar", "Noël", "Nynke", "Ilyas",
    "Mees", "Loïs", "Boaz", "Ravi",
];
const LAST_NAMES: [(&str, &str); 12] = [
    ("van der", "Meer"),
    ("", "Jansen"),
    ("de", "Vries"),
    ("", "El Idrissi"),
    ("van 't", "Hof"),
    ("", "Öztürk"),
    ("", "Müller-Örnek"),
    ("in 't", "Veld"),
    ("", "Nguyễn"),
    ("van den", "Berg"),
    ("", "Kowalczyk"),
    ("d'", "Hondt"),
];

/// The nth number of the range customarily used for testing that passes the eleven-test.
fn test_bsns() -> impl Iterator<Item = u32> {
    (900_000_000..=999_999_999).rev().filter(|number| {
        let digit = |place: u32| i64::from(number / 10u32.pow(place) % 10);
        let sum = (1..9).map(|place| i64::from(place + 1) * digit(place)).sum::<i64>() - digit(0);
        sum % 11 == 0
    })
}

/// An answer to HaalLeerlinggegevens with so many pupils.
pub(super) fn answer(pupils: usize, clock: &dyn Clock) -> String {
    let year = school_year(clock);
    let mut out = String::with_capacity(pupils * 1100 + 4096);
    out.push_str(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soapenv:Envelope \
         xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body><leerlinggegevens_antwoord \
         xmlns=\"http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens\"><leerlinggegevens>",
    );
    let groups = pupils.div_ceil(25);
    let mut put = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("a String takes everything");
    put(format_args!(
        "<school><schooljaar>{year}-{}</schooljaar><brincode>99DE</brincode><dependancecode>00</dependancecode>\
         <aanmaakdatum>{year}-10-01T08:00:00</aanmaakdatum><auteur>Voorbeeld-LAS</auteur><xsdversie>2.2</xsdversie>\
         </school><groepen>",
        year + 1
    ));
    for group in 0..groups {
        let (level, letter) =
            (group % 8 + 1, char::from(b'a' + u8::try_from(group / 8 % 26).expect("under 26")));
        put(format_args!(
            "<groep key=\"G{group}\"><naam>Groep {level}{letter}</naam><jaargroep>{level}</jaargroep>\
             <omschrijving>lokaal {}</omschrijving></groep>",
            group % 40 + 1
        ));
    }
    put(format_args!("</groepen><leerlingen>"));
    for (index, bsn) in test_bsns().take(pupils).enumerate() {
        let group = index * groups / pupils;
        let level = i16::try_from(group % 8 + 1).expect("at most 8");
        let first = FIRST_NAMES[index % FIRST_NAMES.len()];
        let (prefix, last) = LAST_NAMES[index * 7 % LAST_NAMES.len()];
        let key = 100_001 + index;
        let mut escaped = String::new();
        escape(last, &mut escaped);
        let prefix = match prefix {
            "" => String::new(),
            prefix => format!("<voorvoegsel>{prefix}</voorvoegsel>"),
        };
        put(format_args!(
            "<leerling key=\"{key}\"><achternaam>{escaped}</achternaam>{prefix}<voornamen>{first} Voorbeeld</voornamen>\
             <voorletters-1>{}V</voorletters-1><roepnaam>{first}</roepnaam><geboortedatum>{}-{:02}-{:02}</geboortedatum>\
             <geslacht>{}</geslacht><jaargroep>{level}</jaargroep><groep key=\"G{group}\"/>\
             <gebruikersnaam>leerling{key}</gebruikersnaam><emailadres>leerling{key}@school.example</emailadres>\
             <fotourl>https://las.example/foto/{key}.jpg</fotourl><land>NL</land><bsn>{bsn:09}</bsn>\
             <postcodenl>9999XX</postcodenl><instroomdatum>{}-08-20</instroomdatum>\
             <mutatiedatum>{year}-09-30T12:00:00</mutatiedatum></leerling>",
            first.chars().next().unwrap_or('X'),
            year - level - 4,
            (index + 4) % 12 + 1,
            (index + 12) % 28 + 1,
            index % 2 + 1,
            year - level,
        ));
    }
    put(format_args!(
        "</leerlingen><leerkrachten><leerkracht key=\"LK1\"><achternaam>Testina</achternaam><roepnaam>Juf</roepnaam>\
         <emailadres>juf@school.example</emailadres><groepen><groep key=\"G0\"/></groepen></leerkracht></leerkrachten>\
         </leerlinggegevens></leerlinggegevens_antwoord></soapenv:Body></soapenv:Envelope>\n"
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_of_the_test_range_and_valid() {
        let numbers: Vec<_> = test_bsns().take(3).collect();
        assert_eq!(numbers[0], 999_999_990);
        for number in numbers {
            assert!(crate::pseudonym::Bsn::parse(&number.to_string()).is_ok());
        }
    }
}
