//! What a feed never held before is said once, by where it stands and never by what it says.

use sluis::disclosure::LeafKind;

use crate::{
    documents::feed,
    home::Home,
    served::{ASK, FakeLas, Served, post, request},
};

fn pupil(inside: &str) -> String {
    feed(&format!(
        "<leerlingen><leerling key=\"100001\"><roepnaam>Jip</roepnaam>{inside}</leerling></leerlingen>"
    ))
}

const BSN: &str = "<bsn>999990019</bsn>";
const UNKNOWN: &str = "<Jansen999990019>kanarie</Jansen999990019>";

fn noted(home: &Home) -> Vec<u64> {
    let leaves = home.leaves().into_iter();
    leaves.filter(|leaf| leaf.kind == LeafKind::Drift).map(|leaf| leaf.released).collect()
}

#[test]
fn what_is_new_in_a_feed_is_said_once() {
    let home = Home::new();
    let new = |document: &str| {
        let ran = home.minimise("99DE", document.as_bytes());
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(!ran.out.contains("999990019") && !ran.err.contains("999990019"), "{}{}", ran.out, ran.err);
        let said = ran.err.lines().filter(|line| line.contains("never held this before"));
        said.map(|line| line.trim().split_once(':').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(new(&pupil("")), [""; 0], "all of a first feed is new");
    assert_eq!(new(&pupil(BSN)), ["leerling.bsn"]);
    assert_eq!(new(&pupil(BSN)), [""; 0]);
    assert_eq!(new(&pupil(UNKNOWN)), ["leerlingen/leerling/*"], "not by a name that is the sender's own");
    assert_eq!(new(&pupil(&(BSN.to_owned() + UNKNOWN))), [""; 0]);
    assert_eq!(noted(&home), [0, 1, 1]);
    let listed = home.run(&["feeds", "--school", "99DE"]);
    assert!(listed.out.contains("leerling.bsn") && listed.out.contains("2 parts"), "{}", listed.out);
    assert!(!listed.out.contains("Jansen"), "{}", listed.out);
    assert_eq!(home.run(&["log", "verify", "data"]).code, 0);
    // One that the catalogue does not know is new in a first feed too.
    let other = Home::new();
    assert_eq!(other.minimise("99DE", pupil(UNKNOWN).as_bytes()).code, 0);
    assert_eq!(noted(&other), [1]);
}

#[test]
fn the_gateway_says_and_counts_it() {
    let home = Home::new();
    let las = FakeLas::new({
        let mut turn = 0;
        Box::new(move |_, stream| {
            turn += 1;
            crate::served::write_xml(stream, &pupil(if turn == 1 { "" } else { BSN }));
        })
    });
    let served = Served::start(&home, &las);
    let ask = request(&home, "leerlinggegevens_verzoek", ASK);
    for _ in 0..3 {
        assert_eq!(post(&home, &served, &ask).status, 200);
    }
    served.until("/metrics", "sluis_drift_total 1");
    let errors = served.stop();
    assert_eq!(errors.matches("never held before").count(), 1, "{errors}");
    let line = errors.lines().find(|line| line.contains("never held before")).unwrap();
    assert!(line.contains("leerling.bsn") && line.contains("99DE"), "{line}");
    assert!(!errors.contains("999990019"));
    assert_eq!(noted(&home), [0, 1]);
}
