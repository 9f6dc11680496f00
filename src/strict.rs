//! Values of files that operators write, read as TOML means them. serde takes more: an array of a table's values for
//! the table, and a table of one empty table for a word. What somebody meant by that nobody knows, and the schemas
//! refuse it.

use std::{
    fmt,
    marker::PhantomData,
    ops::Deref,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{
        Error, IntoDeserializer, MapAccess, Unexpected, Visitor,
        value::{MapAccessDeserializer, StringDeserializer},
    },
};

/// A table with named values, and nothing else.
#[derive(Default)]
pub(crate) struct Table<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Named<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Named(PhantomData)).map(Self)
    }
}

impl<T> Deref for Table<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A path that names something and stands on one line.
pub(crate) struct FilePath(PathBuf);

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || text.contains(char::is_control) {
            return Err(D::Error::invalid_value(Unexpected::Str(&text), &"a path"));
        }
        Ok(Self(text.into()))
    }
}

impl AsRef<Path> for FilePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

/// A word of an enumeration: for `deserialize_with`.
pub(crate) fn word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    let word: StringDeserializer<D::Error> = String::deserialize(deserializer)?.into_deserializer();
    T::deserialize(word)
}

/// A text that is not empty: for `deserialize_with`.
pub(crate) fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Err(D::Error::invalid_value(Unexpected::Str(""), &"a text"));
    }
    Ok(text)
}
