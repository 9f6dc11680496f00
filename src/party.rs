//! Who is at the other end of a connection: its certificate, and the recipient that certificate stands for.

use ring::digest;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

use crate::expiry::Validity;

/// How a recipient's certificate is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateMatch {
    /// OIN: the subject's serial number, as PKIoverheid has it.
    Oin(String),
    /// SHA-256 of the certificate.
    Sha256([u8; 32]),
    /// A DNS name among its subject alternative names, compared without regard to case; wildcards match nothing.
    SubjectAltName(String),
}

/// The certificate of a client whose key and chain the handshake has checked.
#[derive(Debug, Clone)]
pub struct PeerCertificate {
    thumbprint: [u8; 32],
    validity: Validity,
    names: Vec<String>,
    serial: Option<String>,
}

impl PeerCertificate {
    /// Reads it; nothing when it is no X.509 certificate.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok()?.map_or_else(Vec::new, |extension| {
            let names = extension.value.general_names.iter();
            names
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some((*name).to_owned()),
                    _ => None,
                })
                .collect()
        });
        let serial = certificate.subject().iter_attributes().find_map(|attribute| {
            let is_serial = *attribute.attr_type() == x509_parser::oid_registry::OID_X509_SERIALNUMBER;
            is_serial.then(|| attribute.as_str().ok().map(str::to_owned)).flatten()
        });
        let thumbprint = digest::digest(&digest::SHA256, der).as_ref().try_into().ok()?;
        Some(Self { thumbprint, validity: Validity::of(&certificate), names, serial })
    }

    /// When it holds.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// SHA-256 of the certificate.
    pub fn thumbprint(&self) -> [u8; 32] {
        self.thumbprint
    }

    /// Whether it is the one a recipient is known by.
    pub fn matches(&self, wanted: &CertificateMatch) -> bool {
        match wanted {
            CertificateMatch::Oin(oin) => self.serial.as_deref() == Some(oin),
            CertificateMatch::Sha256(thumbprint) => self.thumbprint == *thumbprint,
            CertificateMatch::SubjectAltName(name) => {
                self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_known_by_what_it_says() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["Noordzee.example".into()]).unwrap();
        let serial = rcgen::DnType::CustomDnType(vec![2, 5, 4, 5]);
        params.distinguished_name.push(serial, "0000000700099ZZ00000");
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let peer = PeerCertificate::from_der(&der).unwrap();
        for (wanted, expected) in [
            (CertificateMatch::SubjectAltName("noordzee.example".into()), true),
            (CertificateMatch::SubjectAltName("*.example".into()), false),
            (CertificateMatch::SubjectAltName("www.noordzee.example".into()), false),
            (CertificateMatch::Oin("0000000700099ZZ00000".into()), true),
            (CertificateMatch::Oin("0000000700099ZZ00001".into()), false),
            (CertificateMatch::Sha256(peer.thumbprint()), true),
            (CertificateMatch::Sha256([0; 32]), false),
        ] {
            assert_eq!(peer.matches(&wanted), expected, "{wanted:?}");
        }
        assert!(PeerCertificate::from_der(b"no certificate").is_none());
    }
}
