//! Configuration: `sluis.toml` as written, and as checked.
//!
//! `File` is what serde reads, and refuses what it does not know. [`Config`] is what everything else sees: parsed,
//! ranges checked, every file it names present. All problems are reported at once.

mod file;
mod limits;

pub(crate) use file::is_loopback;
pub use limits::Limits;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ring::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    clock::Clock,
    disclosure::{self, Retention},
    expiry::Ending,
    keys::{IdentitySource, KeyRing, NO_SCHOOL, Purpose},
    party::{CertificateMatch, PeerCertificate},
    plausibility::Thresholds,
    policy::agreement::{After, Agreements},
    problem::Problem,
    tls,
};

/// Everything an operator decided, checked.
#[derive(Debug)]
pub struct Config {
    /// Folder of the disclosure log.
    pub data: PathBuf,
    /// Folder of the key files.
    pub keys_directory: PathBuf,
    /// The keys.
    pub keys: KeyRing,
    /// Folder of the agreements.
    pub agreements_directory: PathBuf,
    /// The agreements.
    pub agreements: Agreements,
    /// Where suppliers connect.
    pub gateway: Option<Gateway>,
    /// Where reviewers log in.
    pub review: Option<Review>,
    /// Where `/live`, `/ready` and `/metrics` are.
    pub operations: Option<SocketAddr>,
    /// Host name under which pseudonyms stand.
    pub authority: String,
    /// Name under which the log's checkpoints are signed.
    pub origin: String,
    /// Second place of the log's last checkpoint.
    pub checkpoint_copy: PathBuf,
    /// How long the log keeps what it holds of persons.
    pub retention: Retention,
    /// How long what stands is kept, and what the school keeps itself.
    pub terms: Terms,
    /// What the integrity of a delivery is judged by.
    pub integrity: Integrity,
    /// Bounds.
    pub limits: Limits,
    /// Schools.
    pub schools: Vec<Arc<School>>,
    /// Recipients.
    pub recipients: Vec<Arc<Recipient>>,
    /// Files among all these that end by themselves.
    pub endings: Vec<Ending>,
}

/// How long what stands is kept, and what the school keeps itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Objections and consents, in days after they were entered, once the person is in no delivery that is still known:
    /// 1826, the five years after leaving that schools keep objections.
    pub rights_days: u16,
    /// What feeds began to hold, in days: 180, the half year that schools keep logs of the use of ICT.
    pub drift_days: u16,
    /// What is for the school itself to let go of, as its own table says. Sluis reports it.
    pub school: Vec<SchoolTerm>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { rights_days: 1826, drift_days: 180, school: Vec::new() }
    }
}

/// A term of the school's own table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SchoolTerm {
    /// What is kept, in words.
    pub what: String,
    /// Data category of the privacybijsluiter, by its id, where it is about one.
    pub category: Option<String>,
    /// So many months,
    pub months: u16,
    /// after this.
    pub after: After,
}

/// What the integrity of a delivery is judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Integrity {
    /// How much a delivery may differ from the one before.
    pub thresholds: Thresholds,
    /// Days since a document was made after which it is too old; none: its age is not judged.
    pub max_age_days: Option<u16>,
}

/// The listener for suppliers.
#[derive(Debug)]
pub struct Gateway {
    /// Address and port.
    pub listen: SocketAddr,
    /// TLS, with client certificates demanded.
    pub tls: Arc<tls::Server>,
}

/// The review app.
#[derive(Debug)]
pub struct Review {
    /// Address and port.
    pub listen: SocketAddr,
    /// TLS: its own certificate, or that of the gateway. Nobody is asked for one.
    pub tls: Arc<tls::Server>,
    /// The file of accounts, which need not be there.
    pub accounts: PathBuf,
    /// How long a session may be idle: 30 min.
    pub idle: Duration,
    /// How long it lasts at most: 8 h.
    pub session: Duration,
    /// An identity provider that logs people in, beside passphrase and code.
    pub oidc: Option<Arc<Oidc>>,
}

/// An identity provider, by OpenID Connect.
#[derive(Debug)]
pub struct Oidc {
    /// Its address, as it says it itself: compared letter by letter.
    pub issuer: String,
    /// Where it says what else there is to know of it.
    pub discovery: http::Uri,
    /// TLS; none for plain HTTP on loopback.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// What it calls Sluis.
    pub client_id: String,
    /// What Sluis shows to it.
    pub client_secret: ClientSecret,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// Values of `acr` that say that two factors were used. They are asked for, too.
    pub acr: Vec<String>,
    /// Who says that two factors were used.
    pub second_factor: SecondFactor,
    /// Where it sends browsers back to.
    pub redirect_uri: String,
}

/// Who says that two factors were used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecondFactor {
    /// The school answers for it: its identity provider always demands two, and Sluis looks no further.
    Idp,
    /// Each ID token: `amr` has `mfa`, or `acr` is one of [`Oidc::acr`].
    #[default]
    Token,
}

/// What Sluis shows to an identity provider. Not printable.
pub struct ClientSecret(pub(crate) Zeroizing<String>);

impl std::fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

impl Review {
    pub(crate) const IDLE_MINUTES: u16 = 30;
    pub(crate) const SESSION_HOURS: u16 = 8;
}

/// A school whose pupils' data pass.
#[derive(Debug)]
pub struct School {
    /// BRIN.
    pub brin: String,
    /// Name, for people.
    pub name: String,
    /// Its vestiging; none: all of the BRIN.
    pub dependance: Option<String>,
    /// The key by which its pupil administration knows it.
    pub schoolkey: Option<String>,
    /// What pseudonyms are made from.
    pub identity: IdentitySource,
    /// Its pupil administration; a school that only uses files has none here.
    pub las: Option<Las>,
}

/// A pupil administration.
#[derive(Debug)]
pub struct Las {
    /// Its address.
    pub url: http::Uri,
    /// TLS; none for plain HTTP on loopback.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// What Sluis presents to it.
    pub authorisation: Authorisation,
}

/// A supplier or other recipient.
#[derive(Debug)]
pub struct Recipient {
    /// Id.
    pub id: String,
    /// Name, for people.
    pub name: String,
    /// How its certificate is known.
    pub certificate: CertificateMatch,
    /// What it must present besides.
    pub authorisation: Option<Authorisation>,
    /// Where it wants to be told of notices; none: it fetches them.
    pub webhook: Option<Webhook>,
}

/// Where a recipient wants to be told.
#[derive(Debug)]
pub struct Webhook {
    /// Its address.
    pub url: http::Uri,
    /// TLS; none for plain HTTP on loopback.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// What messages are signed with.
    pub secret: WebhookSecret,
}

/// What messages to a webhook are signed with. Not printable.
pub struct WebhookSecret(pub(crate) hmac::Key);

impl WebhookSecret {
    /// HMAC-SHA-256 of a text.
    pub fn sign(&self, text: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.0, text);
        *tag.as_ref().first_chunk().expect("HMAC-SHA-256 gives 32 bytes")
    }
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

/// The three parts of the autorisatie header of UWLR. Neither printed nor compared in a way that tells how far.
pub struct Authorisation {
    pub(crate) sleutel: Zeroizing<String>,
    pub(crate) klantcode: Zeroizing<String>,
    pub(crate) klantnaam: Zeroizing<String>,
}

impl Authorisation {
    /// Whether these are the three parts. Takes as long for a near miss as for a far one; only lengths show.
    pub fn matches(&self, sleutel: &str, klantcode: &str, klantnaam: &str) -> bool {
        let same = |own: &str, given: &str| own.as_bytes().ct_eq(given.as_bytes());
        (same(&self.sleutel, sleutel) & same(&self.klantcode, klantcode) & same(&self.klantnaam, klantnaam))
            .into()
    }
}

impl std::fmt::Debug for Authorisation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorisation(..)")
    }
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    ///
    /// Every problem there is, in `sluis.toml` and in each file it names.
    pub fn load(path: &Path, clock: &dyn Clock) -> Result<Self, Vec<Problem>> {
        file::load(path, clock)
    }

    /// Where the log lives, and who signs for it.
    pub fn log_site(&self) -> disclosure::Site {
        let seeds = self.keys.all(NO_SCHOOL, Purpose::Checkpoint);
        let mut signers = seeds.map(|(_, seed)| seed.signer(&self.origin).expect("loading checks the name"));
        disclosure::Site {
            directory: self.data.clone(),
            copy: self.checkpoint_copy.clone(),
            signer: signers.next().expect("loading makes sure of it"),
            earlier: signers.map(|signer| signer.verifier().clone()).collect(),
            retention: self.retention,
        }
    }

    /// The school of this BRIN.
    pub fn school(&self, brin: &str) -> Option<&Arc<School>> {
        self.schools.iter().find(|school| school.brin == brin)
    }

    /// The school its pupil administration knows by this key.
    pub fn school_by_key(&self, key: &str) -> Option<&Arc<School>> {
        self.schools.iter().find(|school| school.schoolkey.as_deref() == Some(key))
    }

    /// The school that is addressed. Each part that is said has to be its own: a BRIN with the key or the vestiging of
    /// another school names no school.
    ///
    /// A school without `dependance` stands for all vestigingen of its BRIN. Without `schoolkey` it has no key to
    /// compare; a key beside a BRIN never goes on to the LAS.
    pub fn addressed(
        &self,
        brin: Option<&str>,
        dependance: &str,
        schoolkey: Option<&str>,
    ) -> Option<&Arc<School>> {
        let of_key = schoolkey.and_then(|key| self.school_by_key(key));
        let school = match brin {
            Some(brin) => self.school(brin)?,
            None => of_key?,
        };
        let key = schoolkey.is_none()
            || of_key.map_or(school.schoolkey.is_none(), |other| Arc::ptr_eq(other, school));
        // A key names a school by itself; `00` is what a vestiging is when nothing is said.
        let said = brin.is_some() || dependance != "00";
        let vestiging = !said || school.dependance.as_ref().is_none_or(|own| own == dependance);
        (key && vestiging).then_some(school)
    }

    /// The recipient of this id.
    pub fn recipient(&self, id: &str) -> Option<&Arc<Recipient>> {
        self.recipients.iter().find(|recipient| recipient.id == id)
    }

    /// The recipient a certificate stands for. Matchers do not overlap: loading refuses equal ones, and a certificate
    /// that fits two different recipients stands for neither.
    pub fn recipient_of(&self, peer: &PeerCertificate) -> Option<&Arc<Recipient>> {
        let mut fitting = self.recipients.iter().filter(|recipient| peer.matches(&recipient.certificate));
        fitting.next().filter(|_| fitting.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_address_is_of_the_same_school() {
        let school = |brin: &str, dependance: Option<&str>, schoolkey: Option<&str>| {
            Arc::new(School {
                brin: brin.into(),
                name: String::new(),
                dependance: dependance.map(str::to_owned),
                schoolkey: schoolkey.map(str::to_owned),
                identity: IdentitySource::LasKey,
                las: None,
            })
        };
        let config = Config {
            data: PathBuf::new(),
            keys_directory: PathBuf::new(),
            keys: KeyRing::default(),
            agreements_directory: PathBuf::new(),
            agreements: Agreements::default(),
            gateway: None,
            review: None,
            operations: None,
            authority: String::new(),
            origin: String::new(),
            checkpoint_copy: PathBuf::new(),
            retention: disclosure::Retention::default(),
            terms: Terms::default(),
            integrity: Integrity::default(),
            limits: Limits::default(),
            schools: vec![
                school("99DE", Some("03"), Some("sk-99DE")),
                school("88AB", None, Some("sk-88AB")),
                school("77XY", None, None),
            ],
            recipients: Vec::new(),
            endings: Vec::new(),
        };
        for (brin, dependance, key, expected) in [
            (Some("99DE"), "03", None, Some("99DE")),
            (Some("99DE"), "03", Some("sk-99DE"), Some("99DE")),
            (Some("99DE"), "03", Some("sk-88AB"), None),
            (Some("99DE"), "03", Some("sk-none"), None),
            (Some("99DE"), "00", None, None),
            (Some("99DE"), "77", Some("sk-99DE"), None),
            (None, "00", Some("sk-99DE"), Some("99DE")),
            (None, "03", Some("sk-99DE"), Some("99DE")),
            (None, "77", Some("sk-99DE"), None),
            (Some("88AB"), "77", None, Some("88AB")),
            (Some("77XY"), "00", Some("sk-other"), Some("77XY")),
            (Some("77XY"), "00", Some("sk-88AB"), None),
            (Some("66QQ"), "00", Some("sk-88AB"), None),
            (None, "00", Some("sk-none"), None),
            (None, "00", None, None),
        ] {
            let found = config.addressed(brin, dependance, key).map(|school| school.brin.as_str());
            assert_eq!(found, expected, "{brin:?} {dependance} {key:?}");
        }
    }
}
