//! A setting that is given by hand, as a layer of its own.

use std::borrow::Cow;

use figment::providers::Serialized;
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::env_vars::SETTING_PREFIX;
use super::sections::check_sections;

/// What the embedded defaults are called.
pub(super) const DEFAULT_ORIGIN: &str = "default";

/// A setting given on the command line or by a variable.
#[derive(Debug, Clone)]
pub struct Flag {
    /// Its place, such as `compute.threads`.
    pub key: Cow<'static, str>,
    /// What the user typed, such as `--threads`, or the variable.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: Value,
}

impl Provider for &Flag {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        // Without a section, the value would stand for all of them.
        if self.key.is_empty() || self.key.starts_with('.') {
            let problem = format!("`{}` names no setting, expected", self.name);
            return Err(format!("{problem} {SETTING_PREFIX}SECTION__KEY").into());
        }
        let data = Serialized::default(&self.key, &self.value).data()?;
        data.values().try_for_each(check_sections)?;
        Ok(data)
    }
}
