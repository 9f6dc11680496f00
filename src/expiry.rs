//! What ends by itself: certificates, and lists of revoked ones. Said ahead, so that nobody learns of it from an exchange
//! that fails.
//!
//! Absent: the authorities of the identity provider. That file may be all that the machine trusts, of which some has
//! always ended.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use jiff::{Timestamp, civil::Date};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::{
    clock::{Clock, day_of},
    party::PeerCertificate,
    tls,
};

const DAY: i64 = 24 * 60 * 60;
/// Seconds ahead of its end that something is warned of,
const SOON: i64 = 30 * DAY;
/// or, of what is renewed more often, this part of its life.
const LAST_PART: i64 = 4;
/// Seconds that a certificate of a client counts after it was last seen, as long as others are.
const SEEN: i64 = DAY;

/// What a file that ends is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// Authorities of `gateway.client_ca`.
    ClientCa,
    /// Lists of `gateway.client_crl`.
    ClientCrl,
    /// `gateway.certificate`.
    Gateway,
    /// Authorities of `las.ca`.
    LasCa,
    /// `las.client_certificate`.
    LasClient,
    /// `review.certificate`.
    Review,
    /// Authorities of `webhook.ca`.
    WebhookCa,
}

impl Which {
    /// A bounded label.
    pub fn label(self) -> &'static str {
        match self {
            Self::ClientCa => "client_ca",
            Self::ClientCrl => "client_crl",
            Self::Gateway => "gateway",
            Self::LasCa => "las_ca",
            Self::LasClient => "las_client",
            Self::Review => "review",
            Self::WebhookCa => "webhook_ca",
        }
    }
}

/// From when until when something holds, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: i64,
    /// The last.
    pub until: i64,
}

impl Validity {
    /// Of a certificate.
    pub fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() }
    }

    /// Whole days that are left; below 0 when it has ended.
    pub fn days_left(self, now: Timestamp) -> i64 {
        (self.until - now.as_second()).div_euclid(DAY)
    }

    /// The last day, in the Netherlands.
    pub fn last_day(self) -> Date {
        day_of(u64::try_from(self.until).unwrap_or(0).saturating_mul(1000))
    }

    /// Whether it is time to say so: 30 days ahead, or a quarter of its life where that is less.
    pub fn ends_soon(self, now: Timestamp) -> bool {
        let ahead = SOON.min((self.until - self.from) / LAST_PART);
        self.until - now.as_second() < ahead
    }
}

/// A file of the configuration that ends by itself: with the first of what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// What it is for.
    pub which: Which,
    /// Which one.
    pub file: PathBuf,
    /// When it holds.
    pub validity: Validity,
}

impl Ending {
    /// Of a file of certificates. None when it cannot be read, which is a problem of whoever uses it.
    pub(crate) fn of_certificates(which: Which, file: &Path) -> Option<Self> {
        let certificates = tls::load_certificates(file).ok()?;
        let validities = certificates.iter().filter_map(|der| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            Some(Validity::of(&certificate))
        });
        Self::first(which, file, validities)
    }

    /// Of a file of revocation lists, each of which ends when the next is due. None when it cannot be read.
    pub(crate) fn of_revocations(file: &Path) -> Option<Self> {
        let lists = tls::load_revocations(file).ok()?;
        let validities = lists.iter().filter_map(|der| {
            let (_, list) = CertificateRevocationList::from_der(der).ok()?;
            Some(Validity { from: list.last_update().timestamp(), until: list.next_update()?.timestamp() })
        });
        Self::first(Which::ClientCrl, file, validities)
    }

    fn first(which: Which, file: &Path, validities: impl Iterator<Item = Validity>) -> Option<Self> {
        let validity = validities.min_by_key(|validity| validity.until)?;
        Some(Self { which, file: file.to_owned(), validity })
    }

    /// Says in the log that it ends soon, or has.
    pub(crate) fn warn(&self, clock: &dyn Clock) {
        let now = clock.now();
        if self.validity.ends_soon(now) {
            let (file, ends, days) =
                (self.file.display(), self.validity.last_day(), self.validity.days_left(now));
            tracing::warn!(%file, which = self.which.label(), %ends, days, "a file ends soon: put a new one there and reload");
        }
    }
}

/// The certificates that recipients came with of late. They are in no file of ours, and when one ends its supplier gets
/// nothing any more.
#[derive(Default)]
pub struct Seen(Mutex<HashMap<String, HashMap<[u8; 32], (Validity, i64)>>>);

impl Seen {
    /// A recipient came with this certificate. Gives when the first ends of those that it came with in the last day.
    pub fn note(&self, recipient: &str, peer: &PeerCertificate, clock: &dyn Clock) -> i64 {
        let now = clock.now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = seen.entry(recipient.to_owned()).or_default();
        own.retain(|_, (_, last)| *last >= now.as_second() - SEEN);
        match own.entry(peer.thumbprint()) {
            Entry::Occupied(mut known) => known.get_mut().1 = now.as_second(),
            Entry::Vacant(new) => {
                new.insert((peer.validity(), now.as_second()));
                warn_of(recipient, peer.validity(), now);
            }
        }
        own.values().map(|(validity, _)| validity.until).min().unwrap_or(peer.validity().until)
    }

    /// Forgets recipients that are there no more; gives which.
    pub fn forget(&self, still_there: impl Fn(&str) -> bool) -> Vec<String> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<String> = seen.keys().filter(|id| !still_there(id)).cloned().collect();
        gone.iter().for_each(|id| drop(seen.remove(id)));
        gone
    }

    /// Says in the log which end soon.
    pub fn warn(&self, clock: &dyn Clock) {
        let now = clock.now();
        for (recipient, own) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            own.values().for_each(|(validity, _)| warn_of(recipient, *validity, now));
        }
    }
}

fn warn_of(recipient: &str, validity: Validity, now: Timestamp) {
    if validity.ends_soon(now) {
        let (ends, days) = (validity.last_day(), validity.days_left(now));
        tracing::warn!(recipient, %ends, days, "the certificate of a recipient ends soon: it needs a new one from its authority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FixedClock;

    fn at(day: i64) -> FixedClock {
        FixedClock(Timestamp::from_second(day * DAY).expect("an instant"))
    }

    #[test]
    fn soon_is_thirty_days_or_a_quarter_of_a_shorter_life() {
        for (life, left, soon) in [
            (365, 31, false),
            (365, 29, true),
            (365, -1, true),
            (90, 23, false),
            (90, 22, true),
            (7, 2, false),
            (7, 1, true),
        ] {
            let validity = Validity { from: 0, until: life * DAY };
            assert_eq!(validity.ends_soon(at(life - left).0), soon, "{left} of {life}");
        }
        let validity = Validity { from: 0, until: 10 * DAY };
        assert_eq!([at(9), at(10), at(11)].map(|now| validity.days_left(now.0)), [1, 0, -1]);
    }

    #[test]
    fn of_the_certificates_of_a_recipient_the_first_to_end_counts_until_it_is_used_no_more() {
        let ca = tls::DevelopmentCa::valid_for(90).expect("random numbers");
        let other = tls::DevelopmentCa::valid_for(400).expect("random numbers");
        let peer = |ca: &tls::DevelopmentCa| {
            let issued = ca.client("noordzee.example").expect("a name");
            let (_, pem) = x509_parser::pem::parse_x509_pem(issued.certificate.as_bytes()).expect("PEM");
            PeerCertificate::from_der(&pem.contents).expect("a certificate")
        };
        let (old, new) = (peer(&ca), peer(&other));
        let (first, last) = (old.validity().until, new.validity().until);
        assert!(first < last);
        let seen = Seen::default();
        for (day, peer, ends) in
            [(1, &new, last), (1, &old, first), (2, &new, first), (3, &new, last), (4, &new, last)]
        {
            assert_eq!(seen.note("noordzee", peer, &at(day)), ends, "{day}");
        }
        assert_eq!(seen.forget(|id| id == "noordzee"), Vec::<String>::new());
        assert_eq!(seen.forget(|_| false), ["noordzee"]);
    }
}
