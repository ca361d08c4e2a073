//! The sections of the settings and the keys in them, as `config/default.yaml` has them.

use std::fmt::Write as _;

use figment::error::Kind;
use figment::value::{Dict, Value};

/// Every setting with its default.
pub(super) const DEFAULT: &str = include_str!("../../config/default.yaml");

/// Refuses a section of a layer that is no mapping: merged, what remains of it would be taken for a
/// fault of the layers above.
#[expect(clippy::result_large_err, reason = "the error of a layer, once a run")]
pub(super) fn check_sections(layer: &Dict) -> Result<(), figment::Error> {
    let defaults: Dict = serde_saphyr::from_str(DEFAULT).unwrap_or_default();
    for (name, value) in layer {
        let Some(keys) = defaults.get(name).and_then(Value::as_dict) else { continue };
        if value.as_dict().is_none() {
            let mut expected = "a section with keys".to_owned();
            for key in keys.keys() {
                // Writing to a string cannot fail.
                let _ = write!(expected, " {key}");
            }
            let problem = Kind::InvalidType(value.to_actual(), expected);
            return Err(figment::Error::from(problem).with_path(name));
        }
    }
    Ok(())
}
