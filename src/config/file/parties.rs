//! `[[school]]` and `[[recipient]]`: who sends, who receives, and how either is reached.

use std::{path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;
use serde::Deserialize;
use toml::Spanned;
use zeroize::Zeroizing;

use super::{Check, File, reach::Far};
use crate::{
    config::{Authorisation, Las, Recipient, School, Webhook, WebhookSecret},
    expiry::Which,
    keys::{IdentitySource, is_brin},
    party::CertificateMatch,
    problem::{Lines, Problem},
    strict::{FilePath, Table, filled, word},
    tls,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSchool {
    pub(super) brin: Spanned<String>,
    #[serde(deserialize_with = "filled")]
    pub(super) name: String,
    pub(super) dependance: Option<Spanned<String>>,
    pub(super) schoolkey: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "word")]
    pub(super) identity: IdentitySource,
    pub(super) las: Option<Table<FileLas>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileLas {
    pub(super) url: Spanned<String>,
    pub(super) ca: Option<FilePath>,
    pub(super) authorisation: FilePath,
    pub(super) client_certificate: Option<FilePath>,
    pub(super) client_key: Option<FilePath>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRecipient {
    pub(super) id: Spanned<String>,
    #[serde(deserialize_with = "filled")]
    pub(super) name: String,
    pub(super) certificate: Spanned<Table<FileCertificate>>,
    pub(super) authorisation: Option<FilePath>,
    pub(super) webhook: Option<Table<FileWebhook>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileWebhook {
    pub(super) url: Spanned<String>,
    pub(super) ca: Option<FilePath>,
    pub(super) secret: FilePath,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileCertificate {
    pub(super) subject_alt_name: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) oin: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileAuthorisation {
    pub(super) autorisatiesleutel: String,
    pub(super) klantcode: String,
    pub(super) klantnaam: String,
}

impl Check<'_> {
    pub(super) fn school(&mut self, school: FileSchool) -> Option<Arc<School>> {
        if !is_brin(school.brin.get_ref()) {
            self.wrong(
                school.brin.span(),
                "the brin is none",
                "write two digits and two capitals, such as 99DE",
            );
        }
        if let Some(dependance) = &school.dependance {
            let digits = dependance.get_ref();
            if digits.len() != 2 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                self.wrong(dependance.span(), "the dependance is none", "write two digits, such as 00");
            }
        }
        if let Some(key) = &school.schoolkey {
            let text = key.get_ref();
            if text.trim() != text || !(1..=256).contains(&text.chars().count()) {
                let mend = "write the key as the LAS gives it: 1 to 256 characters, no spaces around it";
                self.wrong(key.span(), "the schoolkey is none", mend);
            }
        }
        let las = match school.las {
            None => None,
            Some(las) => Some(self.las(las.0)?),
        };
        Some(Arc::new(School {
            brin: school.brin.into_inner(),
            name: school.name,
            dependance: school.dependance.map(Spanned::into_inner),
            schoolkey: school.schoolkey.map(Spanned::into_inner),
            identity: school.identity,
            las,
        }))
    }

    fn las(&mut self, las: FileLas) -> Option<Las> {
        let before = self.problems.len();
        let span = las.url.span();
        let url = address(las.url.get_ref());
        let identity = match (las.client_certificate, las.client_key) {
            (None, None) => None,
            (Some(certificate), Some(private_key)) => Some(tls::Identity {
                certificate: self.base.join(certificate),
                private_key: self.base.join(private_key),
            }),
            _ => {
                let mend = "give both client_certificate and client_key, or neither";
                self.wrong(span.clone(), "half a client certificate for the LAS", mend);
                None
            }
        };
        if let Some(identity) = &identity {
            self.secret(&identity.private_key);
            self.ends(Which::LasClient, &identity.certificate);
        }
        let far = Far {
            who: "the LAS",
            key: "las.url",
            mend: "write it like https://las.example/uwlr",
            ca: las.ca.as_ref(),
            identity: identity.as_ref(),
            ends: Some(Which::LasCa),
        };
        let tls = self.reach(span, url.as_ref(), &far);
        let authorisation = self.authorisation(las.authorisation.as_ref());
        if self.problems.len() > before {
            return None;
        }
        Some(Las { url: url?, tls: tls?, authorisation: authorisation? })
    }

    fn webhook(&mut self, webhook: &FileWebhook) -> Option<Webhook> {
        let before = self.problems.len();
        let span = webhook.url.span();
        let url = address(webhook.url.get_ref());
        let far = Far {
            who: "the webhook",
            key: "webhook.url",
            mend: "write it like https://noordzee.example/sluis",
            ca: webhook.ca.as_ref(),
            identity: None,
            ends: Some(Which::WebhookCa),
        };
        let tls = self.reach(span, url.as_ref(), &far);
        let secret = self.webhook_secret(webhook.secret.as_ref());
        if self.problems.len() > before {
            return None;
        }
        Some(Webhook { url: url?, tls: tls?, secret: secret? })
    }

    /// As Standard Webhooks write one: `whsec_` and 24 to 64 bytes in base64.
    fn webhook_secret(&mut self, path: &Path) -> Option<WebhookSecret> {
        let (path, secret) = self.one_secret(path)?;
        let bytes = secret
            .as_deref()
            .and_then(|secret| STANDARD.decode(secret.strip_prefix("whsec_")?).ok())
            .map(Zeroizing::new)
            .filter(|bytes| (24..=64).contains(&bytes.len()));
        if bytes.is_none() {
            let mend = "write secret = \"whsec_…\", with 24 to 64 random bytes in base64, and nothing else";
            self.problems.push(Problem::new(path, "is no secret of a webhook", mend));
        }
        bytes.map(|bytes| WebhookSecret(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// A file of secrets: what is wrong with it is said without any of its text.
    fn authorisation(&mut self, path: &Path) -> Option<Authorisation> {
        let (path, text) = self.secret_text(path)?;
        let mend =
            "write autorisatiesleutel, klantcode and klantnaam, each of 1 to 64 characters, and nothing else";
        let parsed: FileAuthorisation = match toml::from_str(&text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let problem = Problem::new(path, "is no file of autorisatie", mend);
                let line = error.span().map(|span| Lines::new(&text).of(span.start));
                self.problems.push(match line {
                    Some(line) => problem.at(line),
                    None => problem,
                });
                return None;
            }
        };
        let FileAuthorisation { autorisatiesleutel, klantcode, klantnaam } = parsed;
        let authorisation = Authorisation {
            sleutel: Zeroizing::new(autorisatiesleutel),
            klantcode: Zeroizing::new(klantcode),
            klantnaam: Zeroizing::new(klantnaam),
        };
        let fits = |part: &str| (1..=64).contains(&part.chars().count());
        if !(fits(&authorisation.sleutel) && fits(&authorisation.klantcode) && fits(&authorisation.klantnaam))
        {
            self.problems.push(Problem::new(path, "a part of the autorisatie is empty or too long", mend));
            return None;
        }
        Some(authorisation)
    }

    pub(super) fn recipient(&mut self, recipient: FileRecipient) -> Option<Arc<Recipient>> {
        let before = self.problems.len();
        let id = recipient.id.get_ref();
        let word = (1..=64).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !word {
            let mend = "use lower-case letters, digits and hyphens";
            self.wrong(recipient.id.span(), "the id of a recipient is no such word", mend);
        }
        let span = recipient.certificate.span();
        let FileCertificate { subject_alt_name, sha256, oin } = recipient.certificate.into_inner().0;
        let certificate = match (subject_alt_name, sha256, oin) {
            (Some(name), None, None) if !name.is_empty() && !name.contains('*') => {
                Some(CertificateMatch::SubjectAltName(name.to_ascii_lowercase()))
            }
            (None, Some(digits), None) => {
                let mut bytes = [0; 32];
                // As openssl prints it, with a colon after each byte but the last, or the digits alone.
                let pairs: Vec<&str> = digits.split(':').collect();
                let shape =
                    pairs.len() == 1 || (pairs.len() == 32 && pairs.iter().all(|pair| pair.len() == 2));
                let read = shape.then(|| hex::decode_to_slice(pairs.concat(), &mut bytes).ok());
                read.flatten().map(|()| CertificateMatch::Sha256(bytes))
            }
            (None, None, Some(oin)) => {
                let shape =
                    oin.len() == 20 && oin.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
                shape.then_some(CertificateMatch::Oin(oin))
            }
            _ => None,
        };
        if certificate.is_none() {
            let mend = "give one of subject_alt_name (a DNS name), sha256 (64 hexadecimal digits), oin (20 characters)";
            self.wrong(span, "the certificate of a recipient cannot be recognised by this", mend);
        }
        let authorisation = match &recipient.authorisation {
            None => None,
            Some(path) => Some(self.authorisation(path.as_ref())?),
        };
        let webhook = match &recipient.webhook {
            None => None,
            Some(webhook) => Some(self.webhook(webhook)?),
        };
        if self.problems.len() > before {
            return None;
        }
        Some(Arc::new(Recipient {
            id: recipient.id.into_inner(),
            name: recipient.name,
            certificate: certificate?,
            authorisation,
            webhook,
        }))
    }

    /// What stands twice where one is meant. Keys, agreements and the log know a school by its BRIN alone, so there
    /// is one `[[school]]` for each.
    pub(super) fn duplicates(&mut self, file: &File) {
        for (index, school) in file.school.iter().enumerate() {
            let before = &file.school[..index];
            let brin = school.brin.get_ref();
            if before.iter().any(|other| other.brin.get_ref() == brin) {
                let what = format!("school {brin} is there twice");
                let mend = "keep one [[school]] for each BRIN; without `dependance` it stands for all its vestigingen";
                self.wrong(school.brin.span(), what, mend);
            }
            let same = |other: &&Table<FileSchool>| {
                other.schoolkey.as_ref().map(Spanned::get_ref)
                    == school.schoolkey.as_ref().map(Spanned::get_ref)
            };
            if let (Some(key), Some(other)) = (&school.schoolkey, before.iter().find(same)) {
                let what = format!("school {brin} has the schoolkey of {}", other.brin.get_ref());
                self.wrong(key.span(), what, "ask the LAS which key is whose; a key names one school");
            }
        }
        for (index, recipient) in file.recipient.iter().enumerate() {
            let id = recipient.id.get_ref();
            if file.recipient[..index].iter().any(|other| other.id.get_ref() == id) {
                let what = format!("recipient {id} is there twice");
                self.wrong(recipient.id.span(), what, "remove one of the [[recipient]] tables");
            }
        }
    }

    pub(super) fn same_certificates(&mut self, recipients: &[Arc<Recipient>]) {
        for (index, recipient) in recipients.iter().enumerate() {
            let before = &recipients[..index];
            if before.iter().any(|o| o.id != recipient.id && o.certificate == recipient.certificate) {
                let what = format!("recipient {} has the certificate of another", recipient.id);
                self.problems.push(Problem::new(
                    self.file,
                    what,
                    "give each recipient a certificate of its own",
                ));
            }
        }
    }
}

/// An address of a host; its path and query may be anything, but it says nothing of who asks.
fn address(text: &str) -> Option<http::Uri> {
    let url: http::Uri = text.parse().ok()?;
    url.authority().is_some_and(|authority| !authority.as_str().contains('@')).then_some(url)
}
