//! TLS: certificates and keys from files, and the development CA.
//!
//! One provider, ring, named at each builder: nothing depends on a process-wide default.
//!
//! TLS 1.3, and 1.2 with forward secrecy and authenticated encryption alone, over X25519, P-256 and P-384: what Mozilla
//! calls intermediate and the guidelines of the Dutch NCSC allow. Not 1.3 alone, which Mozilla calls modern: pupil
//! administrations and suppliers run on platforms that do not speak it, such as the .NET Framework on Windows Server 2019.
//! No early data, which could be sent again by others, and no renegotiation; rustls has neither renegotiation nor
//! compression. `tests/peers/tls` has all of it checked by a scanner of others.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring as provider},
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::{clock::Clock, keys::check_private, problem::Problem};

fn ring() -> Arc<CryptoProvider> {
    Arc::new(provider::default_provider())
}

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// PEM: the certificate, then its chain.
    pub certificate: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1; mode 0600.
    pub private_key: PathBuf,
}

/// The side that is called.
#[derive(Debug)]
pub struct Server {
    config: Arc<ServerConfig>,
    /// None where no client is asked for a certificate.
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Server {
    /// What handshakes go by.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Whether a client may come in with this chain, as things are now. A handshake asks the same once; a connection
    /// outlives the answer, and a session that is resumed never asks.
    pub fn accepts(&self, chain: &[CertificateDer<'_>]) -> bool {
        match (&self.clients, chain) {
            (None, _) => true,
            (Some(_), []) => false,
            (Some(clients), [own, issuers @ ..]) => {
                clients.verify_client_cert(own, issuers, UnixTime::now()).is_ok()
            }
        }
    }
}

/// The gateway's side: its own certificate, and a client certificate of `client_ca` from everyone.
///
/// With `client_crl`, every certificate below those of `client_ca` has to be vouched for by a list of its issuer that
/// has not run out: a client that no list speaks for is refused as one that is revoked.
///
/// # Errors
///
/// Every problem with the files.
pub fn server_config(
    identity: &Identity,
    client_ca: &Path,
    client_crl: &[PathBuf],
    clock: &dyn Clock,
) -> Result<Server, Vec<Problem>> {
    let mut problems = Vec::new();
    let certified = load_identity(identity, clock).map_err(|more| problems.extend(more)).ok();
    let roots = load_roots(client_ca).map_err(|problem| problems.push(problem)).ok();
    let mut lists = Vec::new();
    for path in client_crl {
        load_revocations(path).map_or_else(|problem| problems.push(problem), |more| lists.push((path, more)));
    }
    let (Some((chain, key)), Some(roots), []) = (certified, roots, &*problems) else { return Err(problems) };
    let roots = Arc::new(roots);
    let demand = |lists: Vec<CertificateRevocationListDer<'static>>| {
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), ring())
            .with_crls(lists)
            .enforce_revocation_expiration()
            .build()
    };
    for (path, lists) in &lists {
        if let Err(VerifierBuilderError::InvalidCrl(_)) = demand(lists.clone()) {
            let mend = "give whole lists of version 2 that the authority signed itself; delta lists are none";
            problems.push(Problem::new(*path, "holds a revocation list of an unknown kind", mend));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let clients = demand(lists.into_iter().flat_map(|(_, lists)| lists).collect()).map_err(|_| {
        vec![Problem::new(
            client_ca,
            "holds no usable certificate authority",
            "put the CA's PEM certificate there",
        )]
    })?;
    let mut config = ServerConfig::builder_with_provider(ring())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring offers both versions")
        .with_client_cert_verifier(Arc::clone(&clients))
        .with_single_cert(chain, key)
        .map_err(|_| vec![mismatch(identity)])?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Server { config: Arc::new(config), clients: Some(clients) })
}

/// A server that asks no client for a certificate: the review app, and the pupil administration of the demonstration.
///
/// # Errors
///
/// Every problem with the files.
pub fn open_server_config(identity: &Identity, clock: &dyn Clock) -> Result<Server, Vec<Problem>> {
    let (chain, key) = load_identity(identity, clock)?;
    let mut config = ServerConfig::builder_with_provider(ring())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring offers both versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|_| vec![mismatch(identity)])?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Server { config: Arc::new(config), clients: None })
}

/// The side that calls a pupil administration: trusts `ca` alone.
///
/// # Errors
///
/// Every problem with the files.
pub fn client_config(
    ca: &Path,
    identity: Option<&Identity>,
    clock: &dyn Clock,
) -> Result<ClientConfig, Vec<Problem>> {
    let roots = load_roots(ca).map_err(|problem| vec![problem])?;
    let builder = ClientConfig::builder_with_provider(ring())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring offers both versions")
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = load_identity(identity, clock)?;
            builder.with_client_auth_cert(chain, key).map_err(|_| vec![mismatch(identity)])?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn mismatch(identity: &Identity) -> Problem {
    let what = format!("is not the key of {}", identity.certificate.display());
    Problem::new(&identity.private_key, what, "put the key there that the certificate was issued for")
}

fn load_roots(ca: &Path) -> Result<RootCertStore, Problem> {
    let mut roots = RootCertStore::empty();
    for certificate in load_certificates(ca)? {
        roots.add(certificate).map_err(|_| {
            Problem::new(ca, "holds a certificate that cannot be read", "put PEM certificates there")
        })?;
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path)
        .map_err(|error| Problem::new(path, format!("cannot be read ({})", error.kind()), "restore the file"))
}

/// The certificates of a PEM file, in order.
pub(crate) fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let text = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(Problem::new(path, "holds no PEM certificate", "put the certificate there, in PEM form")),
    }
}

/// The revocation lists of a file: PEM, or the DER of one, as authorities publish it.
pub(crate) fn load_revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, Problem> {
    let text = read(path)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
    let lists = match lists {
        Ok(lists) if lists.is_empty() => vec![CertificateRevocationListDer::from(text)],
        Ok(lists) => lists,
        Err(_) => Vec::new(),
    };
    let whole = |list: &CertificateRevocationListDer<'_>| {
        CertificateRevocationList::from_der(list).is_ok_and(|(rest, _)| rest.is_empty())
    };
    if lists.is_empty() || !lists.iter().all(whole) {
        return Err(Problem::new(
            path,
            "holds no revocation list",
            "put the list there that the authority publishes, in PEM or DER form",
        ));
    }
    Ok(lists)
}

type Loaded = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn load_identity(identity: &Identity, clock: &dyn Clock) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Vec::new();
    let chain = load_certificates(&identity.certificate).map_err(|problem| problems.push(problem)).ok();
    let key_file = &identity.private_key;
    let key = check_private(key_file).and_then(|()| {
        PrivateKeyDer::from_pem_file(key_file)
            .map_err(|_| Problem::new(key_file, "holds no PEM private key", "put the key there, in PEM form"))
    });
    let key = key.map_err(|problem| problems.push(problem)).ok();
    let (Some(chain), Some(key)) = (chain, key) else { return Err(problems) };
    if let Ok((_, certificate)) = X509Certificate::from_der(&chain[0]) {
        let now = clock.now().as_second();
        let validity = certificate.validity();
        if now > validity.not_after.timestamp() {
            problems.push(Problem::new(
                &identity.certificate,
                "has expired",
                "replace it by a new certificate",
            ));
        } else if now < validity.not_before.timestamp() {
            problems.push(Problem::new(
                &identity.certificate,
                "is not valid yet",
                "check the clock of this machine",
            ));
        }
    }
    match CertifiedKey::from_der(chain.clone(), key.clone_key(), &ring()) {
        Ok(certified) if certified.keys_match().is_ok() => {}
        _ => problems.push(mismatch(identity)),
    }
    if problems.is_empty() { Ok((chain, key)) } else { Err(problems) }
}

/// A certificate authority for development and tests. Real connections use PKIoverheid or the school's own.
pub struct DevelopmentCa {
    certificate: rcgen::CertificateParams,
    key: rcgen::KeyPair,
    pem: String,
    from: i64,
    days: i64,
}

/// What a [`DevelopmentCa`] issues: PEM texts.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub private_key: String,
}

/// Days that certificates of a [`DevelopmentCa`] are valid: no longer than is advised for real ones.
const DEVELOPMENT_DAYS: i64 = 365;

impl DevelopmentCa {
    /// A new authority.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn new() -> Result<Self, rcgen::Error> {
        Self::valid_for(DEVELOPMENT_DAYS)
    }

    /// A new authority that is valid for so many days, as is all that it issues.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn valid_for(days: i64) -> Result<Self, rcgen::Error> {
        Self::between(0, days)
    }

    /// An authority that began a year ago and ends in so many days, as does all that it issues.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn ending_in(days: i64) -> Result<Self, rcgen::Error> {
        Self::between(-365, days)
    }

    fn between(from: i64, days: i64) -> Result<Self, rcgen::Error> {
        let key = rcgen::KeyPair::generate()?;
        let mut certificate = rcgen::CertificateParams::default();
        certificate.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        certificate.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        certificate.distinguished_name.push(rcgen::DnType::CommonName, "Sluis development CA");
        valid(&mut certificate, from, days);
        let pem = certificate.self_signed(&key)?.pem();
        Ok(Self { certificate, key, pem, from, days })
    }

    /// Its certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.pem
    }

    /// Its key, PEM.
    pub fn private_key(&self) -> String {
        self.key.serialize_pem()
    }

    /// A certificate for a server of these names and addresses.
    ///
    /// # Errors
    ///
    /// When a name is none.
    pub fn server(&self, names: &[&str]) -> Result<Issued, rcgen::Error> {
        self.issue(names, None, rcgen::ExtendedKeyUsagePurpose::ServerAuth, self.from, self.days)
    }

    /// A certificate for a client of this name.
    ///
    /// # Errors
    ///
    /// When the name is none.
    pub fn client(&self, name: &str) -> Result<Issued, rcgen::Error> {
        self.issue(&[name], None, rcgen::ExtendedKeyUsagePurpose::ClientAuth, self.from, self.days)
    }

    /// The same, with an OIN where PKIoverheid has it: the serial number of the subject.
    ///
    /// # Errors
    ///
    /// When the name is none.
    pub fn client_with_oin(&self, name: &str, oin: &str) -> Result<Issued, rcgen::Error> {
        self.issue(&[name], Some(oin), rcgen::ExtendedKeyUsagePurpose::ClientAuth, self.from, self.days)
    }

    /// A client's certificate that expired yesterday.
    ///
    /// # Errors
    ///
    /// When the name is none.
    pub fn expired_client(&self, name: &str) -> Result<Issued, rcgen::Error> {
        self.issue(&[name], None, rcgen::ExtendedKeyUsagePurpose::ClientAuth, -30, -1)
    }

    /// A list that revokes these, PEM; the next one comes after so many days, or was to come so many days ago.
    ///
    /// # Errors
    ///
    /// When one of them is no certificate.
    pub fn revocations(&self, revoked: &[&Issued], days: i64) -> Result<String, rcgen::Error> {
        let now = time::OffsetDateTime::now_utc();
        let next_update = now + time::Duration::days(days);
        let revoked_certs = revoked.iter().map(|issued| {
            let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes());
            let der = der.map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
            let (_, certificate) =
                X509Certificate::from_der(&der).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
            Ok(rcgen::RevokedCertParams {
                serial_number: rcgen::SerialNumber::from_slice(certificate.raw_serial()),
                revocation_time: now - time::Duration::minutes(1),
                reason_code: Some(rcgen::RevocationReason::KeyCompromise),
                invalidity_date: None,
            })
        });
        let list = rcgen::CertificateRevocationListParams {
            this_update: now.min(next_update) - time::Duration::days(7),
            next_update,
            crl_number: rcgen::SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect::<Result<_, rcgen::Error>>()?,
            key_identifier_method: self.certificate.key_identifier_method.clone(),
        };
        list.signed_by(&rcgen::Issuer::from_params(&self.certificate, &self.key))?.pem()
    }

    fn issue(
        &self,
        names: &[&str],
        oin: Option<&str>,
        usage: rcgen::ExtendedKeyUsagePurpose,
        from_days: i64,
        until_days: i64,
    ) -> Result<Issued, rcgen::Error> {
        let key = rcgen::KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names.clone())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, names[0].clone());
        if let Some(oin) = oin {
            params.distinguished_name.push(rcgen::DnType::CustomDnType(SERIAL_NUMBER.to_vec()), oin);
        }
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        valid(&mut params, from_days, until_days);
        let issuer = rcgen::Issuer::from_params(&self.certificate, &self.key);
        let certificate = params.signed_by(&key, &issuer)?.pem();
        Ok(Issued { certificate, private_key: key.serialize_pem() })
    }
}

/// `id-at-serialNumber` (X.520).
const SERIAL_NUMBER: [u64; 4] = [2, 5, 4, 5];

fn valid(params: &mut rcgen::CertificateParams, from_days: i64, until_days: i64) {
    let now = time::OffsetDateTime::now_utc();
    // An hour earlier, for clocks that are behind.
    params.not_before = now + time::Duration::days(from_days) - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(until_days);
}
