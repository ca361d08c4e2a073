//! Plain rotary positions, in the older and the newer keys.

use serde_json::json;

use super::super::spec::{Rotary, RotaryScaling};
use crate::embeddings::config_file::ConfigFile;
use crate::models::Error;

/// From `rope_parameters`, or from the older key `base`; any scaling is refused.
pub(super) fn read(config: &ConfigFile, base: &'static str, default: f32) -> Result<Rotary, Error> {
    if let Some(parameters) = config.object("rope_parameters")? {
        return read_parameters(&parameters, default);
    }
    config.require("rope_scaling", &[])?;
    Ok(plain(config.float_or(base, default)?))
}

/// From the newer keys.
pub(super) fn read_parameters(parameters: &ConfigFile, default: f32) -> Result<Rotary, Error> {
    parameters.require("rope_type", &[json!("default")])?;
    Ok(plain(parameters.float_or("rope_theta", default)?))
}

pub(super) fn plain(base: f32) -> Rotary {
    Rotary { base, scaling: RotaryScaling::None }
}
