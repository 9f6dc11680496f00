//! Makes what the fuzzers begin with: seeds in `fuzz/corpus`, words in `fuzz/dictionaries`, the log in `fuzz/log`.
//!
//! To be run when a standard gains a field or a format changes; `tests/fuzz` needs no more than its outcome.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use sluis::catalogue::catalogue;
use sluis_fuzz::log_recover;

const LEERLINGGEGEVENS: &str = "http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens";
const LEERRESULTATEN: &str = "http://www.edustandaard.nl/leerresultaten/2/leerresultaten";
const AUTORISATIE: &str = "http://www.edustandaard.nl/leerresultaten/2/autorisatie";
const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";

struct Corpus(PathBuf);

impl Corpus {
    fn of(root: &Path, target: &str) -> io::Result<Self> {
        let folder = root.join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    fn add(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.0.join(format!("seed-{name}")), bytes)
    }
}

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    documents(root)?;
    requests(root)?;
    agreements(root)?;
    tapes(root)?;
    http(root)?;
    dictionaries(root)?;
    let log = root.join("log");
    if !log.exists() {
        fs::create_dir_all(&log)?;
        log_recover::make(&log);
        fs::remove_file(log.join("data/lock"))?;
    }
    Ok(())
}

fn documents(root: &Path) -> io::Result<()> {
    let corpus = Corpus::of(root, "decode_xml")?;
    for entry in fs::read_dir(root.join("../tests/documents"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".in.xml") else { continue };
        let text = fs::read_to_string(&path)?;
        corpus.add(stem, &[text.as_bytes(), &[0, 30]].concat())?;
        corpus.add(&format!("{stem}-narrow"), &[text.as_bytes(), &[4, 5]].concat())?;
        let sixteen = text.replace("UTF-8", "UTF-16");
        let sixteen: Vec<u8> =
            [0xFF, 0xFE].into_iter().chain(sixteen.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        corpus.add(&format!("{stem}-utf16"), &[&sixteen[..], &[3, 2]].concat())?;
    }
    let answer = |inside: &str| {
        format!(
            "<leerlinggegevens_antwoord xmlns=\"{LEERLINGGEGEVENS}\">{inside}</leerlinggegevens_antwoord>"
        )
    };
    let latin: Vec<u8> = "<?xml version='1.0' encoding='ISO-8859-1'?>"
        .chars()
        .chain(answer("<leerlinggegevens><leerlingen><leerling key='1'><roepnaam>Zoë</roepnaam></leerling></leerlingen></leerlinggegevens>").chars())
        .map(|c| u8::try_from(u32::from(c)).expect("in ISO-8859-1"))
        .collect();
    corpus.add("latin", &[&latin[..], &[2, 1]].concat())?;
    for (name, text) in [
        ("geengegevens", answer("<geengegevens/>")),
        ("geenwijzigingen", answer("<geenwijzigingen>true</geenwijzigingen>")),
        (
            "fault",
            format!(
                "<s:Envelope xmlns:s=\"{SOAP}\"><s:Body><s:Fault><faultcode>s:Client.AutorisatieOngeldig</faultcode>\
                 <faultstring>nee</faultstring></s:Fault></s:Body></s:Envelope>"
            ),
        ),
        (
            "spellings",
            answer(
                "<leerlinggegevens><leerlingen><leerling key='&#49;1'><bsn>111<!-- -->222<![CDATA[333]]></bsn><bsn \n>１１１&#x31;\
                 <?x 9?><onbekend>9</onbekend></bsn ><x:bsn xmlns:x='http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens'\
                 >&lt;&amp;&gt;&apos;&quot;</x:bsn></leerling></leerlingen></leerlinggegevens>",
            ),
        ),
    ] {
        corpus.add(name, &[text.as_bytes(), &[0, 3]].concat())?;
    }
    Ok(())
}

fn requests(root: &Path) -> io::Result<()> {
    let corpus = Corpus::of(root, "soap_request")?;
    let ask = "<schooljaar>2026-2027</schooljaar><brincode>99DE</brincode><dependancecode>00</dependancecode><xsdversie>2.2</xsdversie>";
    let results = "<school><schooljaar>2026-2027</schooljaar><brincode>99DE</brincode><aanmaakdatum>2026-11-11T00:05:46</aanmaakdatum>\
        <auteur>Jan</auteur><xsdversie>2.2</xsdversie></school><toetsafnames><toetsafname><leerlingid>100001</leerlingid><resultaten>\
        <resultaat key=\"R1\"><afnamedatum>2026-11-10</afnamedatum><toetscode>T1</toetscode><score>17</score></resultaat></resultaten>\
        </toetsafname></toetsafnames><toetsen><toets><toetscode>T1</toetscode><toetsnaam>Rekenen</toetsnaam><toetsnormering>\
        <wegingsfactor>1.5</wegingsfactor></toetsnormering></toets></toetsen>";
    for (operation, namespace, inside) in [
        ("leerlinggegevens_verzoek", LEERLINGGEGEVENS, ask.to_owned()),
        (
            "leerlingen_verzoek",
            LEERLINGGEGEVENS,
            format!("{ask}<groepen><groep key=\"G1\"/><samengestelde_groep key=\"SG\"/><groep/></groepen>"),
        ),
        ("leerkrachten_verzoek", LEERLINGGEGEVENS, format!("{ask}<groep key=\"G1\"/>")),
        (
            "structuur_verzoek",
            LEERLINGGEGEVENS,
            "<schoolkey>1234</schoolkey><schooljaar></schooljaar><gegevenssetid>1</gegevenssetid>\
             <laatstontvangengegevens>2026-11-11T00:05:46</laatstontvangengegevens><xsdversie>2.3</xsdversie>"
                .to_owned(),
        ),
        ("leerresultaten_verzoek", LEERRESULTATEN, results.to_owned()),
    ] {
        let message = format!("<{operation} xmlns=\"{namespace}\">{inside}</{operation}>");
        let whole = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><s:Envelope xmlns:s=\"{SOAP}\"><s:Header><autorisatie xmlns=\"{AUTORISATIE}\">\
             <autorisatiesleutel>sleutel</autorisatiesleutel><klantcode>code</klantcode><klantnaam>naam</klantnaam></autorisatie>\
             </s:Header><s:Body>{message}</s:Body></s:Envelope>"
        );
        corpus.add(operation, &[whole.as_bytes(), &[0]].concat())?;
        corpus.add(&format!("{operation}-bare"), &[message.as_bytes(), &[1]].concat())?;
    }
    Ok(())
}

fn agreements(root: &Path) -> io::Result<()> {
    let corpus = Corpus::of(root, "agreement")?;
    let fill = |text: &str| {
        text.replace("RECIPIENT", "noordzee")
            .replace("SCHOOL", "99DE")
            .replace("FIRST", "2026")
            .replace("SECOND", "2027")
    };
    for folder in ["../src/cli/agreements/templates", "../src/cli/init"] {
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if name != "sluis" {
                corpus.add(&name, fill(&fs::read_to_string(path)?).as_bytes())?;
            }
        }
    }
    Ok(())
}

/// Bytes that decide: of these it does not matter which they are, only that there are enough.
fn tapes(root: &Path) -> io::Result<()> {
    for (target, lengths) in [("exchange", [300, 800, 1600, 3000]), ("log_recover", [0, 12, 30, 60])] {
        let corpus = Corpus::of(root, target)?;
        for (seed, length) in lengths.into_iter().enumerate() {
            let mut state = u32::try_from(seed).expect("few").wrapping_mul(0x9E37_79B9).wrapping_add(1);
            let tape: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .take(length)
            .collect();
            corpus.add(&length.to_string(), &tape)?;
        }
    }
    Ok(())
}

fn http(root: &Path) -> io::Result<()> {
    let corpus = Corpus::of(root, "http_framing")?;
    for (name, text) in [
        ("get", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            "length",
            "POST /uwlr HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (
            "chunked",
            "POST /uwlr HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nTrailer: x\r\n\r\n",
        ),
        (
            "ten",
            "POST /uwlr HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.0\r\n\r\n",
        ),
        (
            "both",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
        ),
        (
            "pipelined",
            "GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        ),
        ("expect", "POST /uwlr HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok"),
        ("options", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nHEAD http://a/b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        corpus.add(name, text.as_bytes())?;
    }
    Ok(())
}

fn dictionaries(root: &Path) -> io::Result<()> {
    let folder = root.join("dictionaries");
    fs::create_dir_all(&folder)?;
    let catalogue = catalogue();
    let mut xml = BTreeSet::new();
    for node in catalogue.tree().nodes() {
        if !node.name.is_empty() {
            xml.insert(format!("<{}>", node.name));
            xml.insert(format!("</{}>", node.name));
        }
        xml.extend(node.attributes.iter().map(|attribute| format!(" {}=\"", attribute.name)));
        let uri = catalogue.tree().uri(node.namespace);
        if !uri.is_empty() {
            xml.insert(format!("xmlns=\"{uri}\""));
            xml.insert(format!("xmlns:x=\"{uri}\""));
        }
    }
    for part in [
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?x ",
        "?>",
        "<?xml version=\"1.0\" encoding=\"",
        "UTF-8",
        "UTF-16",
        "ISO-8859-1",
        "<!DOCTYPE x [",
        "<!ENTITY a \"b\">",
        "&#x31;",
        "&#49;",
        "&amp;",
        "&lt;",
        "&a;",
        "&#0;",
        "/>",
        "<x:",
        "</x:",
        "xmlns=\"\"",
        "xml:space=\"preserve\"",
        "xsi:nil=\"true\"",
        "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"",
        "111222333",
        "\u{FF11}",
        "\u{FEFF}",
        "\u{85}",
        "\r\n",
        "\r",
    ] {
        xml.insert(part.to_owned());
    }
    write(&folder.join("xml.dict"), &xml)?;
    let mut toml = BTreeSet::new();
    toml.extend(catalogue.fields().iter().map(|field| format!("\"{}\" = \"pass\"\n", field.name)));
    toml.extend(catalogue.categories().iter().map(|category| format!("\"{}\"", category.id)));
    for word in [
        "\"initial\"",
        "\"month\"",
        "\"pass\"",
        "\"pc4\"",
        "\"pseudonym\"",
        "\"year\"",
        "\"wettelijke-verplichting\"",
        "\"overeenkomst\"",
        "\"toestemming\"",
        "\"chain\"",
        "\"pass-eckid\"",
        "special = { ground = \"speciale-begeleiding\" }\n",
        "categories = [",
        "keeps = [{ what = \"x\", months = 1, after = \"uitschrijving\" }]\n",
        "location = [\"NL\"]\n",
        "sub_processors = [",
        "safeguard = {",
        "annex_sha256 = \"",
        "[release]\n",
        "'''",
        "\"\"\"",
        "\\u0041",
        "2026-08-01",
        "[[release]]",
        "release.",
        " = {",
        "}\n",
    ] {
        toml.insert(word.to_owned());
    }
    write(&folder.join("toml.dict"), &toml)?;
    let http: BTreeSet<String> = [
        "GET ",
        "POST ",
        "HEAD ",
        "CONNECT ",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        "\r\n\r\n",
        "Content-Length: ",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "Upgrade: h2c\r\n",
        "Expect: 100-continue\r\n",
        "Host: a\r\n",
        "0\r\n\r\n",
        "5\r\nabcde\r\n",
        "5;a=b\r\nabcde\r\n",
        "5 \r\nabcde\r\n",
        "5\nabcde\n",
        "\n",
        "\r",
        "\0",
        " : ",
        "\n ",
        "\t",
        "FFFFFFFFFFFFFFFF\r\n",
        "00000000000000005\r\n",
        "18446744073709551615",
        "#",
    ]
    .map(str::to_owned)
    .into();
    write(&folder.join("http.dict"), &http)
}

fn write(path: &Path, words: &BTreeSet<String>) -> io::Result<()> {
    let mut text = String::new();
    for word in words {
        text.push('"');
        for byte in word.bytes() {
            match byte {
                b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
                b' '..=b'~' => text.push(char::from(byte)),
                _ => text.push_str(&format!("\\x{byte:02X}")),
            }
        }
        text.push_str("\"\n");
    }
    fs::write(path, text)
}
