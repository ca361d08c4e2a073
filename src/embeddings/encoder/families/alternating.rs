//! Layers that alternate between the whole text and a window, in the older and the newer keys.

use super::super::spec::{LayerSpec, Rotary};
use super::rotary;
use crate::compute::Mask;
use crate::embeddings::config_file::ConfigFile;
use crate::models::Error;

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
    let [(global, global_default), (local, local_default)] = bases;
    let Some(parameters) = config.object("rope_parameters")? else {
        let base = config.float_or(global, global_default)?;
        // An explicit null means that windows turn as the whole text does.
        let local_default = if config.is_null(local) { base } else { local_default };
        return Ok([base, config.float_or(local, local_default)?].map(rotary::plain));
    };
    let read = |kind, default| {
        let Some(own) = parameters.object(kind)? else {
            let supported = "an object with full_attention and sliding_attention";
            return Err(config.unsupported("rope_parameters", supported));
        };
        rotary::read_parameters(&own, default)
    };
    Ok([read("full_attention", global_default)?, read("sliding_attention", local_default)?])
}

/// Layers of these kinds: the whole text, or keys at most `radius` positions away.
pub(super) fn layers(kinds: Vec<bool>, rotaries: [Rotary; 2], radius: usize) -> Vec<LayerSpec> {
    let [global, local] = rotaries;
    let layer = |is_global| {
        let (mask, rotary) =
            if is_global { (Mask::Full, global) } else { (Mask::Local { radius }, local) };
        LayerSpec { mask, rotary: Some(rotary) }
    };
    kinds.into_iter().map(layer).collect()
}
