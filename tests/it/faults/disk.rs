//! A disk that is full, or may not be written: a file system of its own, made for the test. That takes root.

use std::{fs, path::PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::calls::{LIMITS, PUPILS, Received, assert_clean, assert_intact, pupils};
use crate::{
    home::Home,
    served::{ASK, FakeLas, Served, request, write_xml},
};

/// A file system in memory in the place of the folder of the log, for as long as this lives.
struct Disk(PathBuf);

impl Disk {
    fn new(home: &Home, size: &str) -> Self {
        let place = home.path("data");
        fs::create_dir_all(&place).unwrap();
        let disk = Self(place);
        disk.mount(MsFlags::empty(), size)
            .expect("a file system can be mounted here: it takes root, or CAP_SYS_ADMIN");
        disk
    }

    fn mount(&self, flags: MsFlags, size: &str) -> nix::Result<()> {
        let options = format!("mode=700,size={size}");
        mount(Some("sluis-test"), &self.0, Some("tmpfs"), flags, Some(options.as_str()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_disk_that_fills_up_or_may_not_be_written() {
    let home = Home::new();
    let disk = Disk::new(&home, "640k");
    let document = pupils();
    let las = FakeLas::at_once(move |_, stream| write_xml(stream, &document));
    let served = Served::with(&home, &las, LIMITS, home.sluis(&["serve"]));
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    let whole = Received::ask(&home, served.gateway, &ask);
    assert!(whole.whole && whole.pupils() == PUPILS, "{} {}", whole.status, whole.body);
    let mut wholes = 1;
    let last = loop {
        let (got, mut wrong) = (Received::ask(&home, served.gateway, &ask), Vec::new());
        got.judge(&whole.body, &home.leaves(), &mut wrong);
        assert!(wrong.is_empty(), "after {wholes}: {wrong:?}");
        if !got.whole || got.status != 200 {
            break got;
        }
        wholes += 1;
        assert!(wholes < 100, "the disk never fills up");
    };
    assert!(last.pupils() < PUPILS);
    for _ in 0..3 {
        let got = Received::ask(&home, served.gateway, &ask);
        assert!(got.status == 500 && got.body.contains(":Server.TijdelijkNietBeschikbaar<"), "{}", got.body);
    }
    let (status, ready) = served.operations("/ready");
    assert!(status == 503 && ready.contains("\"log\":false"), "{ready}");
    assert_clean("what it said", &served.stop(), &whole.body);
    // Still full: it does not serve, or serves and refuses, and says why; either way nothing is lost.
    disk.mount(MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, "640k").unwrap();
    let ran = home.run(&["serve"]);
    assert!(ran.code == 1 && ran.err.contains("data: "), "{} {}", ran.code, ran.err);
    let ran = home.run(&[
        "minimise",
        "--school",
        "99DE",
        "--recipient",
        "noordzee",
        "--input",
        "sluis.toml",
        "--output",
        "out",
    ]);
    assert!(ran.code != 0 && !home.path("out").exists(), "{} {}", ran.code, ran.err);
    disk.mount(MsFlags::MS_REMOUNT, "16m").unwrap();
    let served = Served::spawn(home.sluis(&["serve"]));
    let got = Received::ask(&home, served.gateway, &ask);
    assert!(got.whole && got.body == whole.body, "{} {}", got.status, got.body);
    served.stop();
    assert_intact(&home);
}

/// Whoever read what the process says is gone: it goes on, and it goes on without saying more.
#[test]
fn nobody_reads_what_it_says() {
    let home = Home::new();
    let document = pupils();
    let las = FakeLas::at_once(move |_, stream| write_xml(stream, &document));
    Served::configure(&home, &las, LIMITS);
    let binary = home.sluis(&[]);
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "exec \"$0\" serve 2>/dev/full"])
        .arg(binary.get_program())
        .current_dir(home.path(""));
    let mut served = Served::spawn(command);
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    for _ in 0..3 {
        let got = Received::ask(&home, served.gateway, &ask);
        assert!(got.whole && got.pupils() == PUPILS, "{} {}", got.status, got.body);
    }
    // Neither does a configuration that is not in order end it, which it would say.
    home.edit("sluis.toml", |text| format!("onbekend = 1\n{text}"));
    served.signal("-HUP");
    served.until("/metrics", "sluis_config_last_reload_success 0");
    let got = Received::ask(&home, served.gateway, &ask);
    assert!(got.whole && served.has_ended().is_none(), "{} {}", got.status, got.body);
    served.stop();
    assert_intact(&home);
}
