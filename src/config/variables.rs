//! Variables of the environment that stand for settings, each a layer of its own.

use std::borrow::Cow;

use figment::Figment;
use figment::value::Value;

use super::env_vars::SETTING_PREFIX;
use super::environment::prefixed;
use super::flag::Flag;
use super::settings::Config;

/// The settings of all variables `CHUNKFLOW__SECTION__KEY`, by name; `defaults` hold every key.
pub(super) fn settings(defaults: &Figment) -> Vec<Flag> {
    let variables = prefixed(SETTING_PREFIX).into_iter();
    let settings = variables.map(|(name, rest, text)| {
        let key: Cow<'static, str> = rest.to_lowercase().replace("__", ".").into();
        let value = value(defaults, &key, text);
        Flag { key, name: name.into(), value }
    });
    settings.collect()
}

/// What `text` says to the setting `key`: a number or another value, unless the setting takes it as
/// text alone, such as a revision of digits.
fn value(defaults: &Figment, key: &str, text: String) -> Value {
    let parsed: Value = match text.parse() {
        Ok(value) => value,
        Err(never) => match never {},
    };
    if parsed.as_str().is_some() {
        return parsed;
    }
    let is_taken = |value: &Value| {
        let flag = Flag { key: key.to_owned().into(), name: "".into(), value: value.clone() };
        defaults.clone().merge(&flag).extract::<Config>().is_ok()
    };
    let text = Value::from(text);
    if !is_taken(&parsed) && is_taken(&text) { text } else { parsed }
}
