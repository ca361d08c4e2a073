//! Layers that alternate between the whole text and a window, in the older and the newer keys.

use serde_json::json;

use super::super::spec::{Rotary, RotaryScaling};
use crate::embeddings::Error;
use crate::embeddings::config_file::ConfigFile;

/// Which layers attend to the whole text: by `layer_types` where the file has them, otherwise
/// by `is_global`.
pub(super) fn layer_kinds(
    config: &ConfigFile,
    count: &'static str,
    is_global: impl Fn(usize) -> bool,
) -> Result<Vec<bool>, Error> {
    let layers = config.layers(count)?;
    if !config.has("layer_types") {
        return Ok((0..layers).map(is_global).collect());
    }
    let kinds = config.list("layer_types");
    let kinds: Option<Vec<bool>> = kinds
        .into_iter()
        .map(|kind| match kind {
            "full_attention" => Some(true),
            "sliding_attention" => Some(false),
            _ => None,
        })
        .collect();
    kinds.filter(|kinds| kinds.len() == layers).ok_or_else(|| {
        let supported = "full_attention or sliding_attention for every layer";
        config.unsupported("layer_types", supported)
    })
}

/// The rotary positions of layers that attend to the whole text and of those with a window:
/// from `rope_parameters`, or from the older keys `bases` with their defaults.
pub(super) fn rotaries(
    config: &ConfigFile,
    bases: [(&'static str, f32); 2],
) -> Result<[Rotary; 2], Error> {
    let parameters = config.object("rope_parameters")?;
    let read = |kind: &'static str, (key, default): (&'static str, f32)| {
        let own = parameters.as_ref().map(|all| all.object(kind)).transpose()?.flatten();
        let base = match own {
            Some(own) => {
                own.require("rope_type", &[json!("default")])?;
                own.float_or("rope_theta", default)?
            }
            None => config.float_or(key, default)?,
        };
        Ok::<_, Error>(Rotary { base, scaling: RotaryScaling::None })
    };
    Ok([read("full_attention", bases[0])?, read("sliding_attention", bases[1])?])
}
