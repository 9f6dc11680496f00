//! Each way a recipient's certificate can be known, with the certificates of `certs/`, over real handshakes.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use ring::digest;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    documents::feed,
    home::Home,
    served::{ASK, FakeLas, Served, attribute, post_as, request},
};

const PUPIL: &str = "<leerlingen><leerling key=\"100001\"><roepnaam>Jip</roepnaam></leerling></leerlingen>";

/// A working directory that trusts the authority of `certs/`, with three recipients that are known in three ways.
pub(crate) fn home() -> Home {
    let home = Home::new();
    let certs = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs");
    for name in ["ca", "gateway", "noordzee", "oostzee", "westzee"] {
        fs::copy(certs.join(format!("{name}.pem")), home.path(&format!("certs/{name}.pem"))).unwrap();
        if name != "ca" {
            let key = home.path(&format!("certs/{name}.key"));
            let _ = fs::remove_file(&key);
            fs::copy(certs.join(format!("{name}.key")), &key).unwrap();
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    let westzee = CertificateDer::from_pem_file(certs.join("westzee.pem")).unwrap();
    let thumbprint = hex::encode(digest::digest(&digest::SHA256, &westzee));
    home.edit("sluis.toml", |text| {
        text + &format!(
            "\n[[recipient]]\nid = \"oostzee\"\nname = \"Oostzee\"\ncertificate = {{ oin = \"00000007000990099000\" }}\n\
             \n[[recipient]]\nid = \"westzee\"\nname = \"Westzee\"\ncertificate = {{ sha256 = \"{thumbprint}\" }}\n"
        )
    });
    let agreement = fs::read_to_string(home.path("agreements/99DE-noordzee-rekenroute.toml")).unwrap();
    for other in ["oostzee", "westzee"] {
        fs::write(home.path(&format!("agreements/{other}.toml")), agreement.replace("noordzee", other))
            .unwrap();
    }
    home
}

#[test]
fn a_recipient_is_known_by_name_oin_or_thumbprint() {
    let home = home();
    let served = Served::start(&home, &FakeLas::answering(feed(PUPIL)));
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    let mut eckids: Vec<_> = ["noordzee", "oostzee", "westzee"]
        .into_iter()
        .map(|client| {
            let got = post_as(&home, &served, client, &ask);
            assert_eq!(got.status, 200, "{client}: {}", got.text);
            attribute(&got.text, "leerling", "eckid").to_owned()
        })
        .collect();
    eckids.sort();
    eckids.dedup();
    assert_eq!(eckids.len(), 3, "to each a pseudonym of its own");
    served.stop();
}
