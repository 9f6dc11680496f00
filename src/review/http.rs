//! What a request holds, and how an answer leaves: forms, cookies, and the headers that every answer has.
//!
//! Nothing of a person is ever in an address: queries hold days, schools, recipients and positions in the log, and what
//! is about a person comes as a form.

use std::io::{self, Write};

use hyper::{
    HeaderMap, Method, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue,
        LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE,
    },
};

use super::visitor::Wrong;
use crate::{bridge::Body, report::PdfError};

/// The cookie that holds a session. The prefix has browsers refuse it unless it is of this host alone and came over TLS.
pub(super) const SESSION: &str = "__Host-sluis";
/// The cookie that holds the language.
pub(super) const LANGUAGE: &str = "__Host-taal";

/// What browsers are told to hold every page to. Nothing is fetched from elsewhere, nothing runs that is not a file of
/// this program, and no other page can hold this one in a frame.
const HEADERS: [(&str, &str); 9] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    ("strict-transport-security", "max-age=31536000"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Forms of this page must have an origin to be known by: with `no-referrer` they would have none.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("x-robots-tag", "noindex, nofollow"),
];

/// Puts on what every answer has.
pub(super) fn dress(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// Names with values, as a query or a form has them.
#[derive(Default, Clone)]
pub(super) struct Pairs(Vec<(String, String)>);

impl Pairs {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// What is given under a name; nothing where it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// The same under other names, each known and each given once, and never empty.
    pub(super) fn renamed(&self, known: &[(&str, &str)]) -> Option<Self> {
        let renamed = self.0.iter().enumerate().map(|(place, (name, value))| {
            let (_, other) = known.iter().find(|(known, _)| known == name)?;
            let once = self.0[..place].iter().all(|(before, _)| before != name);
            (once && !value.trim().is_empty()).then(|| ((*other).to_owned(), value.clone()))
        });
        renamed.collect::<Option<_>>().map(Self)
    }

    /// The same pairs, with some of them left out or put in another's place.
    pub(super) fn with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let mut out = form_urlencoded::Serializer::new(String::new());
        let kept = |name: &str| !changes.iter().any(|(changed, _)| *changed == name);
        out.extend_pairs(self.0.iter().filter(|(name, value)| kept(name) && !value.is_empty()));
        out.extend_pairs(changes.iter().filter_map(|(name, value)| Some((name, (*value)?))));
        out.finish()
    }
}

/// A request, read whole.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Pairs,
    pub(super) headers: HeaderMap,
    pub(super) body: bytes::Bytes,
}

impl Request {
    /// A cookie.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        cookie(&self.headers, name)
    }

    /// A header, where it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether it was made by a page of this host: browsers say so themselves, and no page can make them say otherwise.
    pub(super) fn is_same_origin(&self) -> bool {
        match (
            self.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()),
            self.header("sec-fetch-site"),
        ) {
            (Some(origin), site) => {
                let host = self.headers.get(HOST).and_then(|host| host.to_str().ok());
                let same = host.is_some_and(|host| origin.strip_prefix("https://") == Some(host));
                same && site.is_none_or(|site| site == "same-origin")
            }
            (None, Some(site)) => site == "same-origin",
            (None, None) => false,
        }
    }

    /// The same, or by what is no browser: that says nothing about where it comes from.
    pub(super) fn is_same_origin_or_no_browser(&self) -> bool {
        let none = self.headers.get(ORIGIN).is_none() && self.header("sec-fetch-site").is_none();
        none || self.is_same_origin()
    }

    /// Whether its body is said to be JSON.
    pub(super) fn is_json(&self) -> bool {
        let kind = self.header("content-type").unwrap_or_default();
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    }

    /// The form that was sent.
    pub(super) fn form(&self) -> Pairs {
        Pairs::parse(&self.body)
    }
}

/// A cookie, among the headers of a request.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Whether a browser can be sent to a path: only where it is one of this app. A second slash would make it another host,
/// and so would what browsers leave out or take for a slash.
pub(super) fn is_own_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// Writes a download.
pub(super) type WriteAll = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// What an answer holds.
pub(super) enum Content {
    /// Bytes of a type.
    Whole(&'static str, Vec<u8>),
    /// Something to be saved under a name, as it is written.
    Download { kind: &'static str, name: String, write: WriteAll },
}

/// An answer, before it is one of the HTTP library.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content: Content,
    headers: Vec<(HeaderName, String)>,
    /// Whether browsers may keep it: only what is the same for everybody.
    lasting: bool,
}

impl Answer {
    pub(super) fn new(status: StatusCode, kind: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { status, content: Content::Whole(kind, bytes.into()), headers: Vec::new(), lasting: false }
    }

    pub(super) fn html(page: String) -> Self {
        Self::new(StatusCode::OK, "text/html; charset=utf-8", page)
    }

    /// To be looked for elsewhere, with GET.
    pub(super) fn see(location: impl Into<String>) -> Self {
        let mut answer = Self::new(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Vec::new());
        answer.headers.push((LOCATION, location.into()));
        answer
    }

    /// A file of this program.
    pub(super) fn asset(kind: &'static str, bytes: &'static [u8]) -> Self {
        Self { lasting: true, ..Self::new(StatusCode::OK, kind, bytes) }
    }

    pub(super) fn download(kind: &'static str, name: impl Into<String>, write: WriteAll) -> Self {
        let content = Content::Download { kind, name: name.into(), write };
        Self { status: StatusCode::OK, content, headers: Vec::new(), lasting: false }
    }

    /// A file that is known whole.
    pub(super) fn file(kind: &'static str, name: &str, bytes: Vec<u8>) -> Self {
        Self::download(kind, name, Box::new(move |out| out.write_all(&bytes)))
    }

    /// A report as a document.
    pub(super) fn pdf(name: &str, made: Result<Vec<u8>, PdfError>) -> Result<Self, Wrong> {
        let bytes = made.map_err(|error| Wrong::Refused(error.to_string()))?;
        Ok(Self::file("application/pdf", name, bytes))
    }

    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With a cookie; without a value it goes.
    pub(super) fn cookie(mut self, name: &str, value: Option<&str>, seconds: Option<u64>) -> Self {
        let life = match (value, seconds) {
            (None, _) => "; Max-Age=0".to_owned(),
            (Some(_), Some(seconds)) => format!("; Max-Age={seconds}"),
            (Some(_), None) => String::new(),
        };
        let value = value.unwrap_or_default();
        let text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{life}");
        self.headers.push((SET_COOKIE, text));
        self
    }

    /// What it can be asked for with.
    pub(super) fn allow(mut self, methods: &str) -> Self {
        self.headers.push((ALLOW, methods.to_owned()));
        self
    }

    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.headers.push((RETRY_AFTER, seconds.to_string()));
        self
    }

    /// Head and content.
    pub(super) fn into_parts(self) -> (Response<()>, Content) {
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        dress(headers);
        if self.lasting {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=300"));
        }
        let kind = match &self.content {
            Content::Whole(kind, _) => kind,
            Content::Download { kind, name, .. } => {
                debug_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)));
                if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
                    headers.insert(CONTENT_DISPOSITION, value);
                }
                kind
            }
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(name, value);
            }
        }
        (response, self.content)
    }
}

/// An answer that is known whole.
pub(super) fn whole(head: Response<()>, bytes: Vec<u8>) -> Response<Body> {
    head.map(|()| Body::full(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&'static str, &str)]) -> Request {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).expect("a header"));
        }
        Request {
            method: Method::POST,
            path: "/".into(),
            query: Pairs::default(),
            headers: map,
            body: bytes::Bytes::new(),
        }
    }

    #[test]
    fn only_pages_of_this_host_may_send_forms() {
        for (headers, same) in [
            (&[("host", "sluis.example:8444"), ("origin", "https://sluis.example:8444")][..], true),
            (
                &[
                    ("host", "sluis.example"),
                    ("origin", "https://sluis.example"),
                    ("sec-fetch-site", "same-origin"),
                ],
                true,
            ),
            (&[("host", "sluis.example"), ("origin", "http://sluis.example")], false),
            (&[("host", "sluis.example"), ("origin", "https://sluis.example.evil")], false),
            (&[("host", "sluis.example"), ("origin", "null")], false),
            (
                &[
                    ("host", "sluis.example"),
                    ("origin", "https://sluis.example"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("host", "sluis.example")], false),
        ] {
            assert_eq!(request(headers).is_same_origin(), same, "{headers:?}");
        }
    }

    #[test]
    fn cookies_are_told_apart() {
        let request = request(&[("cookie", "a=1; __Host-sluis=abc"), ("cookie", "__Host-taal=en")]);
        assert_eq!(request.cookie(SESSION), Some("abc"));
        assert_eq!(request.cookie(LANGUAGE), Some("en"));
        assert_eq!(request.cookie("b"), None);
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        for path in ["/", "/controle/99DE/2026-08", "/verstrekkingen?van=2026-01-01&school=99DE#x", "/a//b"] {
            assert!(is_own_path(path), "{path}");
        }
        for path in [
            "",
            "x",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\u{e9}",
            "/ x",
        ] {
            assert!(!is_own_path(path), "{path:?}");
        }
    }

    #[test]
    fn what_a_query_holds_is_known_and_said_once() {
        let renamed = |text: &str| {
            let pairs = Pairs::parse(text.as_bytes()).renamed(&[("from", "van"), ("until", "tot")]);
            pairs.map(|pairs| pairs.with(&[]))
        };
        assert_eq!(renamed("until=2&from=1").as_deref(), Some("tot=2&van=1"));
        assert_eq!(renamed("").as_deref(), Some(""));
        for wrong in ["x=1", "from=1&from=1", "from=", "from=%20", "van=1"] {
            assert_eq!(renamed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_query_can_be_changed() {
        let query = Pairs::parse(b"school=99DE&voor=12&veld=");
        assert_eq!(query.with(&[("voor", None), ("na", Some("1&2"))]), "school=99DE&na=1%262");
        assert_eq!((query.get("school"), query.get("veld")), (Some("99DE"), None));
    }
}
