//! Configuration: `sluis.toml` as written, and as checked.
//!
//! `File` is what serde reads, and refuses what it does not know. [`Config`] is what everything else sees: parsed,
//! ranges checked, every file it names present. All problems are reported at once.

mod file;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    clock::Clock,
    decode,
    disclosure::{self, Retention},
    keys::{IdentitySource, KeyRing, NO_SCHOOL, Purpose},
    party::{CertificateMatch, PeerCertificate},
    policy::agreement::Agreements,
    problem::Problem,
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
    /// The agreements.
    pub agreements: Agreements,
    /// Where suppliers connect.
    pub gateway: Option<Gateway>,
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
    /// Bounds.
    pub limits: Limits,
    /// Schools.
    pub schools: Vec<Arc<School>>,
    /// Recipients.
    pub recipients: Vec<Arc<Recipient>>,
}

/// The listener for suppliers.
#[derive(Debug)]
pub struct Gateway {
    /// Address and port.
    pub listen: SocketAddr,
    /// TLS, with client certificates demanded.
    pub tls: Arc<rustls::ServerConfig>,
}

/// A school whose pupils' data pass.
#[derive(Debug)]
pub struct School {
    /// BRIN.
    pub brin: String,
    /// Name, for people.
    pub name: String,
    /// Its vestiging; none: any.
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

/// Bounds on everything that comes from outside, with what holds when nothing is said.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Elements inside one another: 32.
    pub depth: usize,
    /// Bytes of a name: 256.
    pub name_bytes: usize,
    /// Attributes of an element: 64.
    pub attributes: usize,
    /// Bytes of a value: 65,536.
    pub text_bytes: usize,
    /// Bytes of an answer or file: 16 GiB.
    pub total_bytes: u64,
    /// Bytes of a request, results included: 16 MiB.
    pub request_bytes: usize,
    /// Records in a document: 2,000,000.
    pub records: u64,
    /// Exchanges at once: 256.
    pub exchanges: usize,
    /// Connections at once: 1,024.
    pub connections: usize,
    /// To connect to a pupil administration: 5 s.
    pub las_connect: Duration,
    /// Until its answer begins: 60 s.
    pub las_response: Duration,
    /// Between two parts of its answer: 30 s.
    pub las_idle: Duration,
    /// For TLS and the head of a request: 10 s.
    pub header_read: Duration,
    /// For the body of a request: 30 s.
    pub request_read: Duration,
    /// Without a receiver taking anything: 30 s.
    pub send_idle: Duration,
    /// For exchanges under way when Sluis stops: 30 s.
    pub drain: Duration,
}

impl Limits {
    /// What the decoder is to hold an answer or file to.
    pub fn decode(&self) -> decode::Limits {
        decode::Limits {
            depth: self.depth,
            name_bytes: self.name_bytes,
            attributes: self.attributes,
            text_bytes: self.text_bytes,
            total_bytes: self.total_bytes,
            records: self.records,
        }
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
        let (_, seed) = self.keys.current(NO_SCHOOL, Purpose::Checkpoint).expect("loading makes sure of it");
        disclosure::Site {
            directory: self.data.clone(),
            copy: self.checkpoint_copy.clone(),
            signer: seed.signer(&self.origin).expect("loading checks the name"),
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
