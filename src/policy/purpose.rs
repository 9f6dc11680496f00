//! The purposes an agreement can have. They are data, `schemas/purposes.toml`, compiled into the binary.

use std::sync::LazyLock;

use serde::Deserialize;

/// A purpose (doel).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// Id, as agreements write it.
    pub id: String,
    /// What it is, in Dutch, for people.
    pub name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    purpose: Vec<Purpose>,
}

static PURPOSES: LazyLock<Vec<Purpose>> = LazyLock::new(|| {
    let file: File =
        toml::from_str(include_str!("../../schemas/purposes.toml")).expect("the purposes are in order");
    file.purpose
});

/// All purposes.
pub fn purposes() -> &'static [Purpose] {
    &PURPOSES
}

/// The purpose with an id.
pub fn find(id: &str) -> Option<&'static Purpose> {
    PURPOSES.iter().find(|purpose| purpose.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_has_an_id_of_its_own() {
        for (place, purpose) in purposes().iter().enumerate() {
            assert!(!purpose.name.is_empty());
            assert!(
                purpose.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{}",
                purpose.id
            );
            assert!(!purposes()[..place].iter().any(|other| other.id == purpose.id), "{}", purpose.id);
        }
    }
}
