//! `chunkflow doctor`: what this machine offers, and whether the fast form is right on it.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::arguments::{GlobalArgs, ModelArgs, load_model, set_up};
use super::bench::sample_texts;
use crate::Error;
use crate::compute::{CudaDevice, Dtype};
use crate::embeddings::{Backend, DeviceChoice, EmbedOptions, LoadedModel};

/// The largest difference of two components that rounding explains: the fast form and candle's
/// are each within 2e-6 of the exact value.
const MAX_DIFFERENCE: f32 = 4e-6;
/// The same on CUDA, whose products add in another order.
const MAX_DIFFERENCE_CUDA: f32 = 1e-5;

/// The least cosine of a text's vector to that of f32, by dtype.
const MIN_COSINE_16_BITS: f64 = 0.9995;
const MIN_COSINE_INT8: f64 = 0.99;

/// Print device, kernels and model; with --verify, compare the fast form with candle's.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Embed sample texts with both forms and print the largest difference.
    #[arg(long, conflicts_with = "engine")]
    verify: bool,
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn run(global: &GlobalArgs, args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let config = set_up(global, args.model.flags()?, "warn")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "chunkflow  {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "system     {} {}", std::env::consts::OS, std::env::consts::ARCH)?;
    let loaded = load_model(global, &config)?;
    let model = loaded.model();
    writeln!(out, "device     {}", loaded.device())?;
    let chosen = loaded.dtype();
    writeln!(out, "dtype      {}: {}", chosen.dtype, chosen.reason)?;
    match CudaDevice::count() {
        Ok(count) => writeln!(out, "cuda       {count} devices")?,
        Err(error) => writeln!(out, "cuda       {error}")?,
    }
    writeln!(
        out,
        "model      {}, {} dimensions, {} tokens, loaded in {} ms",
        model.name(),
        model.dimensions(),
        model.tokenizer().max_tokens(),
        loaded.load_time().as_millis()
    )?;
    if !args.verify {
        return Ok(ExitCode::SUCCESS);
    }
    let mut options = config.model_options();
    options.backend = Backend::Candle;
    options.device = DeviceChoice::Cpu;
    let oracle = LoadedModel::load(&config.model.name, &options).map_err(Error::from)?;
    let (passed, finding) = compare(&loaded, &oracle)?;
    let verdict = if passed { "ok" } else { "WRONG" };
    writeln!(out, "verify     {verdict}: {finding}")?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the model's vectors are near enough to the oracle's for its dtype, in words too.
fn compare(loaded: &LoadedModel, oracle: &LoadedModel) -> Result<(bool, String), Error> {
    let texts = sample_texts();
    let texts: Vec<&str> = texts.iter().take(64).map(String::as_str).collect();
    let options = EmbedOptions::default();
    let embed = |on: &LoadedModel| on.model().embed(&texts, &options)?.run(on);
    let (ours, theirs) = (embed(loaded)?, embed(oracle)?);
    let (device, is_cuda) = (oracle.device(), loaded.devices().are_cuda());
    let limit = match loaded.dtype().dtype {
        Dtype::F32 => {
            let differences = ours.data.iter().zip(&theirs.data).map(|(a, b)| (a - b).abs());
            // `max` drops NaN, which the engine refuses to return.
            let difference = differences.fold(0.0, f32::max);
            let limit = if is_cuda { MAX_DIFFERENCE_CUDA } else { MAX_DIFFERENCE };
            let finding =
                format!("largest difference to {device} is {difference:.1e}, limit {limit:.0e}");
            return Ok((difference <= limit, finding));
        }
        Dtype::F16 | Dtype::Bf16 => MIN_COSINE_16_BITS,
        Dtype::Int8 => MIN_COSINE_INT8,
    };
    let min_cosine = ours.rows().zip(theirs.rows()).map(|(a, b)| cosine(a, b)).fold(1.0, f64::min);
    Ok((min_cosine >= limit, format!("least cosine to {device} is {min_cosine:.5}, limit {limit}")))
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
