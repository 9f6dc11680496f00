//! Makes the development certificates in this folder anew: `cargo run --example certs`.
//!
//! They are valid for a hundred years, so that no test breaks on a birthday, and for nothing but development: their
//! keys are public.
#![allow(clippy::disallowed_methods, reason = "files under version control, made by hand")]

use std::{error::Error, fs, path::Path};

use sluis::tls::{DevelopmentCa, Issued};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs");
    let ca = DevelopmentCa::valid_for(36_500)?;
    fs::write(folder.join("ca.pem"), ca.certificate())?;
    for (name, issued) in [
        ("gateway", ca.server(&["localhost", "127.0.0.1", "::1"])?),
        ("noordzee", ca.client("noordzee.example")?),
        ("oostzee", ca.client_with_oin("oostzee.example", "00000007000990099000")?),
        ("westzee", ca.client("westzee.example")?),
    ] {
        let Issued { certificate, private_key } = issued;
        fs::write(folder.join(format!("{name}.pem")), certificate)?;
        fs::write(folder.join(format!("{name}.key")), private_key)?;
    }
    Ok(())
}
