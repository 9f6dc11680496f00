//! `sluis init`: a working directory to start from.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    process::ExitCode,
};

use ring::rand::SecureRandom;

use super::{FAILED, report};
use crate::{
    clock::{Clock, school_year},
    keys::{KeyRing, NO_SCHOOL, Purpose},
    problem::Problem,
    tls::DevelopmentCa,
};

const CONFIG: &str = include_str!("init/sluis.toml");
const AGREEMENT: &str = include_str!("init/agreement.toml");

pub(super) fn run(directory: &Path, clock: &dyn Clock) -> Result<(), ExitCode> {
    init(directory, clock).map_err(|problem| {
        report(&[problem]);
        ExitCode::from(FAILED)
    })?;
    let shown = directory.display();
    println!(
        "{shown}: configuration, one school, one supplier, an agreement, development certificates and keys"
    );
    println!("next: sluis check --config {shown}/sluis.toml");
    Ok(())
}

/// Writes a working directory: configuration, one school, one supplier, an agreement, development certificates, keys.
///
/// # Errors
///
/// When the directory is not empty, or something cannot be written; nothing that exists is overwritten.
pub fn init(directory: &Path, clock: &dyn Clock) -> Result<(), Problem> {
    write_all(directory, clock).map(|_| ()).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
            Problem::new(directory, "is not empty", "name a directory that does not exist yet")
        }
        kind => Problem::new(directory, format!("cannot be written ({kind})"), "choose another directory"),
    })
}

/// The same; gives the development CA, to issue more certificates.
pub(super) fn write_all(directory: &Path, clock: &dyn Clock) -> io::Result<DevelopmentCa> {
    if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(io::ErrorKind::DirectoryNotEmpty.into());
    }
    let make =
        |name: &str, mode: u32| DirBuilder::new().recursive(true).mode(mode).create(directory.join(name));
    make("", 0o755)?;
    make("agreements", 0o755)?;
    make("certs", 0o755)?;
    for private in ["data", "keys", "secrets"] {
        make(private, 0o700)?;
    }
    let put = |name: &str, text: &str, mode: u32| put(&directory.join(name), text, mode);
    let ca = DevelopmentCa::new().map_err(io::Error::other)?;
    put("certs/ca.pem", ca.certificate(), 0o644)?;
    put("certs/ca.key", &ca.private_key(), 0o600)?;
    put("certs/las-ca.pem", ca.certificate(), 0o644)?;
    let gateway = ca.server(&["localhost", "127.0.0.1", "::1"]).map_err(io::Error::other)?;
    put("certs/gateway.pem", &gateway.certificate, 0o644)?;
    put("certs/gateway.key", &gateway.private_key, 0o600)?;
    let supplier = ca.client("noordzee.example").map_err(io::Error::other)?;
    put("certs/noordzee.pem", &supplier.certificate, 0o644)?;
    put("certs/noordzee.key", &supplier.private_key, 0o600)?;
    put("secrets/99DE-las.toml", &authorisation("Sluis")?, 0o600)?;
    put("secrets/noordzee.toml", &authorisation("Noordzee")?, 0o600)?;
    for (brin, purpose) in
        [("99DE", Purpose::Pseudonym), ("99DE", Purpose::Log), (NO_SCHOOL, Purpose::Checkpoint)]
    {
        KeyRing::create(&directory.join("keys"), brin, purpose)?;
    }
    put("agreements/99DE-noordzee-rekenroute.toml", &this_year(AGREEMENT, clock), 0o644)?;
    put("sluis.toml", CONFIG, 0o644)?;
    Ok(ca)
}

/// A file that did not exist, on disk when this returns.
pub(super) fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// An agreement template for the school year it is.
pub(super) fn this_year(template: &str, clock: &dyn Clock) -> String {
    let first = school_year(clock);
    template.replace("FIRST", &first.to_string()).replace("SECOND", &(first + 1).to_string())
}

pub(super) fn authorisation(name: &str) -> io::Result<String> {
    let mut secret = [0u8; 24];
    ring::rand::SystemRandom::new()
        .fill(&mut secret)
        .map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(format!(
        "autorisatiesleutel = \"{}\"\nklantcode          = \"{}\"\nklantnaam          = \"{name}\"\n",
        hex::encode(secret),
        name.to_uppercase(),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{clock::SystemClock, config::Config};

    #[test]
    fn what_init_writes_is_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        init(&home, &SystemClock).unwrap();
        let config = Config::load(&home.join("sluis.toml"), &SystemClock).unwrap();
        let today = SystemClock.today();
        let agreement = config.agreements.in_force("99DE", "noordzee", today).unwrap();
        assert!(agreement.release.contains_key("leerling.roepnaam"));
        assert!(init(&home, &SystemClock).unwrap_err().to_string().contains("is not empty"));
    }
}
