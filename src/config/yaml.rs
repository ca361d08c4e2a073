//! A layer from YAML text, which knows the line of each key.

use std::collections::BTreeMap;
use std::fmt;

use figment::value::{Dict, Map};
use figment::{Metadata, Profile, Provider};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::sections::check_sections;

/// Settings in YAML.
pub(super) struct Yaml {
    /// The file, or what stands for it.
    pub(super) name: String,
    text: String,
    keys: Keys,
}

impl Yaml {
    pub(super) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        // Text that is no YAML has no keys; as a layer it says why.
        let keys = serde_saphyr::from_str(&text).unwrap_or_default();
        Self { name: name.into(), text, keys }
    }

    /// The line of `key`, such as `server.port`, or of the nearest that it stands in.
    pub(super) fn line(&self, key: &str) -> Option<u64> {
        let (mut keys, mut line) = (&self.keys, None);
        for part in key.split('.') {
            let Some((own, below)) = keys.0.get(part) else { break };
            (keys, line) = (below, Some(*own));
        }
        line
    }
}

impl Provider for &Yaml {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let dict: Option<Dict> = serde_saphyr::from_str(&self.text).map_err(|error| {
            let line = error.location().map(|at| format!(":{}", at.line())).unwrap_or_default();
            let problem = error.without_snippet();
            figment::Error::from(format!("{}{line}: {problem}", self.name))
        })?;
        let dict = dict.unwrap_or_default();
        check_sections(&dict)?;
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

/// The keys of a mapping, each with its line and the keys below it.
#[derive(Default)]
struct Keys(BTreeMap<String, (u64, Keys)>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Keys, A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let below = entries.next_value()?;
            keys.0.insert(key.value, (key.referenced.line(), below));
        }
        Ok(keys)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Keys, A::Error> {
        while entries.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Keys::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Keys, E> {
        Ok(Keys::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Keys, E> {
        Ok(Keys::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Keys, E> {
        Ok(Keys::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Keys, E> {
        Ok(Keys::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Keys, E> {
        Ok(Keys::default())
    }

    fn visit_unit<E>(self) -> Result<Keys, E> {
        Ok(Keys::default())
    }
}
