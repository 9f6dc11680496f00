//! Evidence for whoever does not take our word.

use std::fs;

use serde_json::Value;

use super::{JIP, always, assert_no_secrets, inzage, pupils, three_days};
use crate::home::{Home, Ran};

fn verify_proof(home: &Home, folder: &str, key: bool) -> Ran {
    let key: &[&str] = if key { &["--key", "data/log.vkey"] } else { &[] };
    home.run(&[&["log", "verify-proof", folder], key].concat())
}

#[test]
fn evidence_convinces_without_the_log() {
    let (home, _) = three_days();
    let ran = inzage(&home, "key", "100001", &["--proof", "bewijs"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("bewijs van 3 dagen"), "{}", ran.err);
    // Elsewhere, with nothing but the folder and a key.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(home.path("bewijs"), elsewhere.path().join("bewijs")).unwrap();
    let folder = elsewhere.path().join("bewijs");
    let ran = verify_proof(&home, folder.to_str().unwrap(), true);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for expected in [
        "logboek sluis.example/log",
        "2026-09-07  1 regel over deze persoon, en niet meer",
        "2026-09-08  geen regels over deze persoon, en niet meer",
        "2026-09-09  1 regel over deze persoon, en niet meer",
    ] {
        assert!(ran.out.contains(expected), "{expected} in {}", ran.out);
    }
    assert!(!ran.out.contains("sleutel uit de map zelf"));
    let own = verify_proof(&home, folder.to_str().unwrap(), false);
    assert!(own.code == 0 && own.out.contains("sleutel uit de map zelf"), "{}", own.out);
    assert_no_secrets(
        &fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path().display().to_string()).collect::<String>(),
    );

    // Any byte of any proof, and any proof left out.
    let mut proofs = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let good = fs::read(&path).unwrap();
        assert_no_secrets(&String::from_utf8_lossy(&good));
        if name == "LEESMIJ.txt" || name == "log.vkey" {
            continue;
        }
        proofs += 1;
        fs::remove_file(&path).unwrap();
        assert_eq!(verify_proof(&home, folder.to_str().unwrap(), true).code, 2, "{name}");
        // In a proof of a leaf, what follows the log's own signature may be that of anyone.
        for at in (0..good.len()).step_by(good.len() / 6) {
            let mut bad = good.clone();
            bad[at] = if bad[at] == b'0' { b'1' } else { b'0' };
            fs::write(&path, &bad).unwrap();
            let code = verify_proof(&home, folder.to_str().unwrap(), true).code;
            assert!(code == 1 || code == 2 || name == "manifest.json", "{name} at {at}");
        }
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(proofs, 1 + 3 + 3 + 2, "manifest, rows and seal of each day, two disclosures");
    // Of another handle, nothing is shown to be absent.
    let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
    let handle = serde_json::from_str::<Value>(&manifest).unwrap()["handles"][0].as_str().unwrap().to_owned();
    fs::write(folder.join("manifest.json"), manifest.replace(&handle, &"0".repeat(32))).unwrap();
    assert_eq!(verify_proof(&home, folder.to_str().unwrap(), true).code, 1);
    fs::write(folder.join("manifest.json"), manifest.replace(".tlog-proof", "/../../x")).unwrap();
    assert_eq!(verify_proof(&home, folder.to_str().unwrap(), true).code, 2, "files elsewhere are not opened");
    // Another log's key.
    let other = Home::new();
    assert_eq!(other.minimise("99DE", pupils(&[JIP]).as_bytes()).code, 0);
    fs::write(folder.join("manifest.json"), &manifest).unwrap();
    assert_eq!(verify_proof(&other, folder.to_str().unwrap(), true).code, 1);
    assert_eq!(verify_proof(&home, "nergens", true).code, 2);
}

#[test]
fn a_day_that_is_not_over_has_no_evidence_yet() {
    let home = Home::new();
    always(&home);
    assert_eq!(home.minimise("99DE", pupils(&[JIP]).as_bytes()).code, 0);
    let ran = inzage(&home, "key", "100001", &["--proof", "bewijs"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("is nog niet verzegeld"), "{}", ran.err);
    assert!(ran.out.contains("2. Alle verstrekkingen (1)"), "though it is told: {}", ran.out);
    let ran = verify_proof(&home, "bewijs", true);
    assert!(ran.code == 0 && ran.out.contains("nog niet verzegeld"), "{} {}", ran.out, ran.err);
    let again = inzage(&home, "key", "100001", &["--proof", "bewijs"]);
    assert!(again.code == 2 && again.err.contains("is not empty"), "{}", again.err);
}
