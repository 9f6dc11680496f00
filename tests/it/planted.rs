//! Numbers and a name that are planted in documents, and a search for every form in which something could have kept one.

use std::{collections::BTreeSet, sync::LazyLock};

/// BSNs of test ranges that pass the eleven-test, one with a leading zero. As integers they are no powers of two, sizes
/// or addresses, so that what is found in four bytes has been planted.
pub(crate) const NUMBERS: [&str; 3] = ["999990019", "063138219", "918273651"];

/// A first name that no agreement here releases, and a part of keys.
pub(crate) const NAME: &str = "Kwartelkoning";

static NEEDLES: LazyLock<Needles> = LazyLock::new(|| Needles::new(&NUMBERS, NAME));

/// Where what was planted stands in these bytes, and in which form.
pub(crate) fn find(bytes: &[u8]) -> Vec<(usize, &'static str)> {
    NEEDLES.find(bytes)
}

struct Needles {
    /// What it is, for people, and its bytes.
    all: Vec<(String, Vec<u8>)>,
    /// Whether one begins with these two bytes: the rest is compared only there.
    begins: Vec<bool>,
}

impl Needles {
    fn new(numbers: &[&str], name: &str) -> Self {
        let mut all = Vec::new();
        for number in numbers {
            all.extend(forms(number).into_iter().map(|(form, bytes)| (format!("{number} as {form}"), bytes)));
        }
        all.extend(texts(name).map(|(form, bytes)| (format!("{name} as {form}"), bytes)));
        let mut begins = vec![false; 1 << 16];
        for (_, bytes) in &all {
            begins[beginning(bytes)] = true;
        }
        Self { all, begins }
    }

    fn find(&self, bytes: &[u8]) -> Vec<(usize, &str)> {
        let mut found = Vec::new();
        for at in 0..bytes.len().saturating_sub(1) {
            if self.begins[beginning(&bytes[at..])] {
                let here = self.all.iter().filter(|(_, needle)| bytes[at..].starts_with(needle));
                found.extend(here.map(|(what, _)| (at, what.as_str())));
            }
        }
        found
    }
}

fn beginning(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

fn texts(text: &str) -> [(&'static str, Vec<u8>); 3] {
    [
        ("ASCII", text.into()),
        ("UTF-16, little-endian", text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16, big-endian", text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ]
}

/// The forms of a number of nine digits. A form that holds another has no line of its own: sixty-four bits hold the
/// thirty-two, and a number with zeros before it the one without.
fn forms(number: &str) -> Vec<(&'static str, Vec<u8>)> {
    let short = number.trim_start_matches('0');
    let integer: u32 = number.parse().unwrap();
    let values = |text: &str| text.bytes().map(|digit| digit - b'0').collect::<Vec<_>>();
    let mut forms = Vec::from(texts(short));
    forms.extend([
        ("an integer, little-endian", integer.to_le_bytes().into()),
        ("an integer, big-endian", integer.to_be_bytes().into()),
        ("a byte per digit", values(short)),
    ]);
    for digits in BTreeSet::from([values(number), values(short)]) {
        let pack = |digits: &[u8]| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<_>>();
        if digits.len() % 2 == 0 {
            forms.push(("two digits per byte", pack(&digits)));
            continue;
        }
        // The half byte that is left over holds whatever who packed it put there: a zero, a sign, all ones.
        for other in 0..16 {
            forms.push(("two digits per byte, at their end", pack(&[&[other], &digits[..]].concat())));
            forms.push(("two digits per byte, from their begin", pack(&[&digits[..], &[other]].concat())));
        }
    }
    forms
}

/// What is looked for here is written out by hand, so that a form the search makes wrongly is not sought wrongly too.
#[test]
fn every_form_is_found_where_it_was_planted() {
    let forms: &[(&str, &[u8])] = &[
        ("999990019 as ASCII", b"999990019"),
        ("999990019 as ASCII", b"0999990019"),
        ("999990019 as UTF-16, little-endian", b"9\x009\x009\x009\x009\x000\x000\x001\x009\x00"),
        ("999990019 as UTF-16, big-endian", b"\x009\x009\x009\x009\x009\x000\x000\x001\x009"),
        ("999990019 as an integer, little-endian", &[0x03, 0xA3, 0x9A, 0x3B]),
        ("999990019 as an integer, big-endian", &[0x3B, 0x9A, 0xA3, 0x03]),
        ("999990019 as an integer, little-endian", &999_990_019_u64.to_le_bytes()),
        ("999990019 as an integer, big-endian", &999_990_019_u64.to_be_bytes()),
        ("999990019 as a byte per digit", &[9, 9, 9, 9, 9, 0, 0, 1, 9]),
        ("999990019 as two digits per byte, at their end", &[0x09, 0x99, 0x99, 0x00, 0x19]),
        ("999990019 as two digits per byte, from their begin", &[0x99, 0x99, 0x90, 0x01, 0x90]),
        ("999990019 as two digits per byte, from their begin", &[0x99, 0x99, 0x90, 0x01, 0x9C]),
        ("999990019 as two digits per byte, from their begin", &[0x99, 0x99, 0x90, 0x01, 0x9F]),
        ("063138219 as ASCII", b"063138219"),
        ("063138219 as ASCII", b"63138219"),
        ("063138219 as UTF-16, little-endian", b"0\x006\x003\x001\x003\x008\x002\x001\x009\x00"),
        ("063138219 as UTF-16, big-endian", b"\x006\x003\x001\x003\x008\x002\x001\x009"),
        ("063138219 as an integer, little-endian", &[0xAB, 0x69, 0xC3, 0x03]),
        ("063138219 as an integer, big-endian", &[0x03, 0xC3, 0x69, 0xAB]),
        ("063138219 as a byte per digit", &[0, 6, 3, 1, 3, 8, 2, 1, 9]),
        ("063138219 as two digits per byte, at their end", &[0x00, 0x63, 0x13, 0x82, 0x19]),
        ("063138219 as two digits per byte, from their begin", &[0x06, 0x31, 0x38, 0x21, 0x9F]),
        ("063138219 as two digits per byte", &[0x63, 0x13, 0x82, 0x19]),
        ("918273651 as ASCII", b"918273651"),
        ("Kwartelkoning as ASCII", b"Kwartelkoning"),
        ("Kwartelkoning as UTF-16, little-endian", b"K\0w\0a\0r\0t\0e\0l\0k\0o\0n\0i\0n\0g\0"),
        ("Kwartelkoning as UTF-16, big-endian", b"\0K\0w\0a\0r\0t\0e\0l\0k\0o\0n\0i\0n\0g"),
    ];
    for &(what, form) in forms {
        // At the begin, at the end, and where what is before could be taken for a begin of it.
        for (before, after) in [(&b""[..], &b"after"[..]), (b"before", b""), (b"\0\x03\x99\x3B9", b"\0\0")] {
            let bytes = [before, form, after].concat();
            assert!(find(&bytes).iter().any(|(_, found)| *found == what), "{what} in {bytes:x?}");
        }
    }
    assert_eq!(find(b""), []);
    assert_eq!(find(b"9"), []);
    assert_eq!(find(b"99999001 9, 999990018, 63138218"), []);
}
