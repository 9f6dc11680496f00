//! Others that Sluis connects to: by address, and by whose certificate they have to show.

use std::{net::IpAddr, ops::Range, sync::Arc};

use http::Uri;
use rustls::ClientConfig;

use super::Check;
use crate::{expiry::Which, strict::FilePath, tls};

/// How one of them is spoken of, and what is given of it beside its address.
pub(super) struct Far<'a> {
    /// Such as `the LAS`.
    pub(super) who: &'static str,
    /// The key its address stands at.
    pub(super) key: &'static str,
    /// How to write one.
    pub(super) mend: &'static str,
    pub(super) ca: Option<&'a FilePath>,
    /// What Sluis shows it.
    pub(super) identity: Option<&'a tls::Identity>,
    /// As which the authority's end is watched.
    pub(super) ends: Option<Which>,
}

impl Check<'_> {
    /// How to connect to an address: with TLS by the authority given, or plainly (an inner none) on this machine.
    pub(super) fn reach(
        &mut self,
        span: Range<usize>,
        url: Option<&Uri>,
        far: &Far<'_>,
    ) -> Option<Option<Arc<ClientConfig>>> {
        match (url, url.and_then(Uri::scheme_str), far.ca) {
            (_, Some("https"), Some(ca)) => {
                let ca = self.base.join(ca);
                self.file(&ca);
                if let Some(which) = far.ends {
                    self.ends(which, &ca);
                }
                let config = tls::client_config(&ca, far.identity, self.clock);
                self.keep(config).map(|config| Some(Arc::new(config)))
            }
            (_, Some("https"), None) => {
                let what = format!("nothing says whose certificate {} has to show", far.who);
                let mend = "add `ca`: the PEM file of the authority that issued it, or of all that this machine trusts, such \
                            as /etc/ssl/certs/ca-certificates.crt";
                self.wrong(span, what, mend);
                None
            }
            (Some(url), Some("http"), _) if is_loopback(url) => Some(None),
            (_, Some("http"), _) => {
                self.wrong(span, "plain HTTP is accepted on loopback only", "write https:// and add `ca`");
                None
            }
            _ => {
                self.wrong(span, format!("{} is no address", far.key), far.mend);
                None
            }
        }
    }
}

/// Whether an address is of this machine.
pub(crate) fn is_loopback(url: &http::Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
