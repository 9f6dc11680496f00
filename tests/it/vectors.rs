use serde::Deserialize;
use sluis::{
    keys::RootKey,
    pseudonym::{EckId, Identity, KeyKind, LogKeys, Pgn, PseudonymDomain, Pseudonymiser, PupilKey},
};

#[derive(Deserialize)]
struct File {
    root: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    what: String,
    kind: String,
    value: String,
    brin: String,
    epoch: u16,
    authority: String,
    recipient: Option<String>,
    chain: Option<String>,
    sector: Option<String>,
    expected: String,
}

fn key_kind(word: &str) -> Option<KeyKind> {
    use KeyKind::{Groep, Leerkracht, Leerling, SamengesteldeGroep, Vestiging};
    [Groep, Leerkracht, Leerling, SamengesteldeGroep, Vestiging].into_iter().find(|kind| kind.label() == word)
}

impl Vector {
    fn identity(&self) -> Identity {
        match self.kind.as_str() {
            "bsn" | "onderwijsnummer" => Identity::Pgn(Pgn::parse(&self.value).unwrap()),
            "eckid" => Identity::EckId(EckId::parse(&self.value).unwrap()),
            kind => Identity::LasKey(key_kind(kind).unwrap(), PupilKey::parse(&self.value).unwrap()),
        }
    }

    fn pseudonymiser(&self, root: &RootKey) -> Pseudonymiser {
        let domain = match (&self.chain, &self.sector) {
            (Some(chain), Some(sector)) => {
                PseudonymDomain::Chain { chain: chain.clone(), sector: sector.clone() }
            }
            _ => PseudonymDomain::Recipient,
        };
        let recipient = self.recipient.as_deref().unwrap();
        Pseudonymiser::new(root, self.epoch, &self.brin, &domain, recipient, &self.authority).unwrap()
    }

    fn compute(&self, root: &RootKey) -> String {
        let mut out = String::new();
        match self.what.as_str() {
            "pseudonym" => {
                let pseudonyms = self.pseudonymiser(root);
                let pseudonym = pseudonyms.pseudonym(&self.identity());
                pseudonyms.write_uri(&pseudonym, &mut out);
                assert!(pseudonyms.is_uri_of(&pseudonym, &out));
            }
            "token" => {
                let (kind, key) = (key_kind(&self.kind).unwrap(), PupilKey::parse(&self.value).unwrap());
                let pseudonyms = self.pseudonymiser(root);
                pseudonyms.token(kind, &key, &mut out);
                assert!(pseudonyms.open(kind, &out).is_ok());
            }
            "handle" => {
                let keys = LogKeys::new(root, self.epoch, &self.brin);
                out = hex::encode(keys.subject_handle(&self.identity()));
            }
            "tag" => {
                let pseudonym = self.pseudonymiser(root).pseudonym(&self.identity());
                let keys = LogKeys::new(root, self.epoch, &self.brin);
                out = hex::encode(keys.recipient_tag(self.recipient.as_deref().unwrap(), &pseudonym));
            }
            other => panic!("a vector of an unknown kind: {other}"),
        }
        out
    }
}

fn file() -> (RootKey, Vec<Vector>) {
    let file: File = serde_json::from_str(include_str!("../vectors/pseudonym.json")).unwrap();
    let mut root = [0; 32];
    hex::decode_to_slice(file.root, &mut root).unwrap();
    (RootKey::new(root), file.vectors)
}

#[test]
fn every_vector_is_met() {
    let (root, vectors) = file();
    assert!(vectors.len() > 150);
    for vector in vectors {
        let made = vector.compute(&root);
        assert_eq!(made, vector.expected, "{} of {} {:?}", vector.what, vector.kind, vector.value);
    }
}

/// Two recipients cannot link what they were given, unless a chain says so; and a chain shares the ECK iD alone.
#[test]
fn only_a_chain_links() {
    let (_, vectors) = file();
    let all: Vec<_> = vectors.iter().filter(|vector| vector.what == "pseudonym").collect();
    for one in &all {
        for other in &all {
            let same_person = sluis::pseudonym::digits::normalise(&one.value)
                == sluis::pseudonym::digits::normalise(&other.value)
                && one.kind == other.kind;
            let same_domain = match (&one.chain, &other.chain) {
                (None, None) => one.recipient == other.recipient,
                (one_chain, other_chain) => one_chain == other_chain && one.sector == other.sector,
            };
            let linked = one.expected == other.expected;
            assert_eq!(
                linked,
                same_person && same_domain && one.epoch == other.epoch,
                "{} {}",
                one.value,
                other.value
            );
        }
    }
    let tokens = |recipient: &str| -> Vec<String> {
        let mine = vectors.iter().filter(|v| v.what == "token" && v.recipient.as_deref() == Some(recipient));
        mine.map(|vector| vector.expected.clone()).collect()
    };
    let south = tokens("zuidzee");
    assert!(tokens("noordzee").iter().all(|token| !south.contains(token)));
}

#[test]
fn nothing_stands_under_ketenid_nl() {
    let root = RootKey::new(std::array::from_fn(|i| u8::try_from(i).unwrap()));
    for authority in ["ketenid.nl", "www.KetenID.nl"] {
        assert!(Pseudonymiser::new(&root, 1, "99DE", &PseudonymDomain::Recipient, "x", authority).is_err());
    }
}
