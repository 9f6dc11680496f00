//! The review app over TLS, against the real binary: who may have what, and what nobody may do.
//!
//! Every answer that any test gets is held against what all answers have in common ([`Got::assert_dressed`]), and against
//! what was planted: no answer holds anything of a pupil except the one that was asked about that pupil.

mod doors; // cookies, tokens, origins, waiting, leaving
mod matrix; // every route, for every role, about schools of one's own and of others
mod openapi; // answers are as the OpenAPI file says
mod texts; // names that are no names

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Stdio,
    sync::{Arc, Mutex},
};

use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use serde_json::Value;
use sluis::{
    clock::{Clock, SystemClock},
    review::account::{Role, TotpSecret},
    tls,
};

use crate::{
    documents::ENVELOPE,
    home::Home,
    served::{FakeLas, Served},
};

pub(crate) const WORDS: &str = "paard batterij nietje juist";
/// Key and name of a pupil; nothing but an answer about the pupil may hold them.
pub(crate) const KEY: &str = "LL763412";
const NAME: &str = "Kanariepiet";

/// Something of one school, to ask about.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) brin: String,
    pub(crate) recipient: String,
    pub(crate) agreement: String,
    pub(crate) sha256: String,
    pub(crate) position: String,
    pub(crate) hold: String,
    pub(crate) month: String,
    pub(crate) root: String,
    /// References of look-ups, by a page and by the API, of the session that asks.
    pub(crate) looked: [String; 2],
    pub(crate) breach: String,
    /// Entries that stand for the person.
    pub(crate) rights: [String; 2],
}

/// A process that serves, with deliveries of two schools to a supplier each.
pub(crate) struct App {
    pub(crate) home: Home,
    served: Served,
    tls: Arc<rustls::ClientConfig>,
    secrets: Mutex<Vec<(String, TotpSecret, u64)>>,
    _las: FakeLas,
}

/// An agreement for a school's supplier.
fn agreement(home: &Home, brin: &str, recipient: &str, product: &str, author: Option<&str>) {
    let text = std::fs::read_to_string(home.path("agreements/99DE-noordzee-rekenroute.toml")).unwrap();
    let author = author.map_or_else(String::new, |author| format!("\nauthor = {}", toml_text(author)));
    let id = format!("{brin}-{recipient}-{}", product.len());
    let text = text
        .replace("99DE-noordzee-rekenroute", &id)
        .replace("\"99DE\"", &format!("\"{brin}\""))
        .replace("\"noordzee\"", &format!("\"{recipient}\""))
        .replace("\"Rekenroute\"", &toml_text(product))
        .replace("version   = 1", &format!("version   = 1{author}"));
    // Two cannot be in force at once: what waits for approval is of the years after.
    let text: String = text
        .lines()
        .map(|line| match line.strip_prefix("valid ") {
            Some(_) if !author.is_empty() => "valid = { from = 2090-08-01, until = 2099-07-31 }\n".to_owned(),
            _ => format!("{line}\n"),
        })
        .collect();
    std::fs::write(home.path(&format!("agreements/{id}.toml")), text).unwrap();
}

/// A text as TOML has it, which is as JSON has it.
fn toml_text(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn export(brin: &str, numbers: std::ops::Range<u32>) -> String {
    let pupils: String = numbers
        .map(|number| {
            let key = if number == 0 { KEY.to_owned() } else { (600_000 + number).to_string() };
            format!("<leerling key=\"{key}\"><roepnaam>{NAME}</roepnaam></leerling>")
        })
        .collect();
    format!(
        "{}<school><schooljaar>2026-2027</schooljaar><brincode>{brin}</brincode></school><leerlingen>{pupils}</leerlingen>{}",
        ENVELOPE.0, ENVELOPE.1
    )
}

/// Delivers these pupils, unless that is held.
fn deliver(home: &Home, brin: &str, recipient: &str, numbers: std::ops::Range<u32>) {
    std::fs::write(home.path("input.xml"), export(brin, numbers)).unwrap();
    let words = ["minimise", "--school", brin, "--recipient", recipient, "--input", "input.xml"];
    let ran = home.run(&words);
    assert!(ran.code == 0 || ran.err.contains("sluis holds"), "{}", ran.err);
}

impl App {
    pub(crate) fn start() -> Self {
        Self::with(["De Tweede School", "Uitgeverij Zuidzee", "Taalboot", "A. Auteur"])
    }

    /// With these names for the second school, its supplier, a product and whoever drew up an agreement.
    pub(crate) fn with([school, supplier, product, author]: [&str; 4]) -> Self {
        let home = Home::new();
        home.edit("sluis.toml", |text| {
            let more = format!(
                "\n[[school]]\nbrin = \"99KK\"\nname = {}\n\n[[recipient]]\nid = \"zuidzee\"\nname = {}\n\
                 certificate = {{ subject_alt_name = \"zuidzee.example\" }}\nauthorisation = \"secrets/noordzee.toml\"\n",
                toml_text(school),
                toml_text(supplier)
            );
            text + &more
        });
        assert_eq!(home.run(&["keys", "new", "--school", "99KK"]).code, 0);
        agreement(&home, "99KK", "zuidzee", product, None);
        for (brin, recipient) in [("99DE", "noordzee"), ("99KK", "zuidzee")] {
            agreement(&home, brin, recipient, &format!("{product} en meer"), Some(author));
            for numbers in [0..40, 0..12] {
                deliver(&home, brin, recipient, numbers);
            }
        }
        // The first supplier got something of the second school too, under an agreement that has gone.
        agreement(&home, "99KK", "noordzee", "Gedeeld", None);
        deliver(&home, "99KK", "noordzee", 0..30);
        std::fs::remove_file(home.path("agreements/99KK-noordzee-7.toml")).unwrap();
        std::fs::remove_file(home.path("input.xml")).unwrap();
        let las = FakeLas::at_once(|_, _| {});
        Served::configure(&home, &las, "");
        let served = Served::spawn({
            let mut command = home.sluis(&["serve"]);
            command.stdin(Stdio::null());
            command
        });
        let tls = Arc::new(tls::client_config(&home.path("certs/ca.pem"), None, &SystemClock).unwrap());
        Self { home, served, tls, secrets: Mutex::default(), _las: las }
    }

    /// An account, made by the command.
    pub(crate) fn add(&self, name: &str, role: Role, schools: &[&str]) {
        let mut words = vec!["users", "add", name, "--role", role.as_str()];
        schools.iter().for_each(|school| words.extend(["--school", school]));
        let ran = self.home.run_with(&words, &format!("{WORDS}\n"));
        assert_eq!(ran.code, 0, "{}", ran.err);
        let uri = ran.out.lines().find(|line| line.starts_with("otpauth://")).unwrap();
        // The code before last is the first that is used: two more are good at once.
        let secret = TotpSecret::from_uri(uri).unwrap();
        self.secrets.lock().unwrap().push((name.to_owned(), secret, SystemClock.now_ms() - 30_000));
    }

    /// A code that was not used yet.
    pub(crate) fn code(&self, name: &str) -> String {
        let mut secrets = self.secrets.lock().unwrap();
        let (_, secret, at) = secrets.iter_mut().find(|(own, ..)| own == name).unwrap();
        let code = secret.code_at(*at).to_string();
        *at += 30_000;
        code
    }

    /// Somebody with an account, who is logged in by the API.
    pub(crate) fn enter(&self, name: &str) -> Client<'_> {
        let client = self.stranger();
        let body = serde_json::json!({ "name": name, "passphrase": WORDS, "code": self.code(name) });
        let got = client.json("POST", "/api/v1/session", &body);
        assert_eq!(got.status, 200, "{}", got.text());
        client.with_cookies_of(&got)
    }

    /// An account and somebody who is logged in with it.
    pub(crate) fn someone(&self, name: &str, role: Role, schools: &[&str]) -> Client<'_> {
        self.add(name, role, schools);
        self.enter(name)
    }

    pub(crate) fn stranger(&self) -> Client<'_> {
        Client { app: self, cookie: None, csrf: String::new() }
    }

    pub(crate) fn origin(&self) -> String {
        format!("https://localhost:{}", self.served.review)
    }

    /// What the process said on standard error, once it has ended.
    pub(crate) fn stop(self) -> (Home, String) {
        (self.home, self.served.stop())
    }

    /// What there is of a school to ask about, as whoever sees all of it finds it.
    pub(crate) fn place(&self, all: &Client<'_>, brin: &str, recipient: &str) -> Place {
        let list = all.get(&format!("/api/v1/disclosures?school={brin}&outcome=sent")).value();
        let holds = all.get("/api/v1/holds").value();
        let hold = holds.as_array().unwrap().iter().find(|hold| hold["school"] == brin).unwrap();
        let waiting = all.get("/api/v1/approvals").value();
        let waiting = waiting.as_array().unwrap().iter().find(|one| one["school"] == brin).unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let month = SystemClock.today().first_of_month().yesterday().unwrap();
        let month = format!("{:04}-{:02}", month.year(), month.month());
        let sample = all.get(&format!("/api/v1/reviews/{brin}/{month}")).value();
        Place {
            brin: brin.to_owned(),
            recipient: recipient.to_owned(),
            agreement: text(&waiting["agreement"]),
            sha256: text(&waiting["sha256"]),
            position: list["disclosures"][0]["position"].to_string(),
            hold: text(&hold["id"]),
            root: text(&sample["root"]),
            month,
            looked: [NOWHERE.into(), NOWHERE.into()],
            breach: NOWHERE.into(),
            rights: [NOWHERE.into(), NOWHERE.into()],
        }
    }
}

/// A reference that is none.
const NOWHERE: &str = "0190a0a0-0000-7000-8000-000000000000";

impl Place {
    /// What is of no school at all.
    pub(crate) fn nowhere(&self) -> Self {
        Self {
            brin: "99ZZ".into(),
            recipient: "niemand".into(),
            agreement: "99ZZ-niemand-9".into(),
            sha256: "0".repeat(64),
            position: "99999".into(),
            hold: NOWHERE.into(),
            looked: [NOWHERE.into(), NOWHERE.into()],
            breach: NOWHERE.into(),
            rights: [NOWHERE.into(), NOWHERE.into()],
            ..self.clone()
        }
    }
}

/// A browser or a program, with what it has.
pub(crate) struct Client<'a> {
    pub(crate) app: &'a App,
    pub(crate) cookie: Option<String>,
    pub(crate) csrf: String,
}

/// An answer.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client<'_> {
    pub(crate) fn with_cookies_of(mut self, got: &Got) -> Self {
        let set = got.all("set-cookie");
        let session = set.iter().find(|set| set.starts_with("__Host-sluis=")).unwrap();
        self.cookie = Some(session.split(';').next().unwrap().to_owned());
        self.csrf = self.get("/api/v1/session").value()["csrf"].as_str().unwrap().to_owned();
        self
    }

    /// Sends exactly this, with the cookie.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        let port = self.app.served.review;
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(&self.app.tls), name).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n");
        if let Some(cookie) = &self.cookie {
            head += &format!("Cookie: {cookie}\r\n");
        }
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        if !body.is_empty() || method == "POST" {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        // Whoever is refused before all was read closes the connection.
        let _ = stream.write_all((head + "\r\n").as_bytes());
        let _ = stream.write_all(body).and_then(|()| stream.flush());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let got = Got::parse(&bytes);
        got.assert_dressed(method, path);
        got
    }

    pub(crate) fn get(&self, path: &str) -> Got {
        self.ask("GET", path, &[], b"")
    }

    /// Sends a form as a page of the app does.
    pub(crate) fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Got {
        let mut pairs = pairs.to_vec();
        pairs.push(("csrf", &self.csrf));
        self.form_from(path, &pairs, &[("Origin", &self.app.origin()), ("Sec-Fetch-Site", "same-origin")])
    }

    /// Sends a form with these headers.
    pub(crate) fn form_from(&self, path: &str, pairs: &[(&str, &str)], headers: &[(&str, &str)]) -> Got {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let mut headers = headers.to_vec();
        headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        self.ask("POST", path, &headers, body.as_bytes())
    }

    /// Sends JSON as a program does.
    pub(crate) fn json(&self, method: &str, path: &str, value: &Value) -> Got {
        self.json_from(method, path, value, &[("X-CSRF-Token", &self.csrf)])
    }

    /// Sends JSON with these headers.
    pub(crate) fn json_from(&self, method: &str, path: &str, value: &Value, headers: &[(&str, &str)]) -> Got {
        let mut headers = headers.to_vec();
        headers.push(("Content-Type", "application/json"));
        self.ask(method, path, &headers, value.to_string().as_bytes())
    }
}

impl Got {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut body = bytes[end + 4..].to_vec();
        if headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked")
            && !body.is_empty()
        {
            body = unchunked(&body);
        }
        Self { status, headers, body }
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn value(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    /// What every answer has, whatever it is an answer to; and what none holds.
    fn assert_dressed(&self, method: &str, path: &str) {
        let what = format!("{method} {path}: {} {:?}", self.status, self.headers);
        let csp = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; \
                   base-uri 'none'; frame-ancestors 'none'";
        let lasting = self.status == 200 && (path.starts_with("/assets/") || path == "/api/openapi.json");
        for (name, value) in [
            ("content-security-policy", csp),
            ("strict-transport-security", "max-age=31536000"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", if lasting { "private, max-age=300" } else { "no-store" }),
        ] {
            assert_eq!(self.all(name), [value], "{name} of {what}");
        }
        assert!(
            self.all("access-control-allow-origin").is_empty() && self.all("server").is_empty(),
            "{what}"
        );
        assert!(!self.header("content-type").is_empty(), "{what}");
        assert!(self.status < 500, "{what} {}", self.text());
        for cookie in self.all("set-cookie") {
            let flags = "; Path=/; Secure; HttpOnly; SameSite=Strict";
            assert!(
                cookie.starts_with("__Host-") && cookie.contains(flags) && !cookie.contains("Domain"),
                "{what}"
            );
        }
        for planted in [KEY, NAME] {
            assert!(!what.contains(planted) && !self.text().contains(planted), "{planted} in {what}");
        }
        // What stands for a person is told only to whoever asked about that person.
        let of_person = ["/leerling", "/datalek", "/api/v1/subjects", "/api/v1/breach", "/api/openapi.json"];
        if !of_person.iter().any(|prefix| path.starts_with(prefix)) {
            assert!(!self.text().contains("\"handle"), "{what}");
        }
    }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|part| part == b"\r\n").expect("a chunk was broken off");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}
