//! `chunkflow doctor`: what this machine offers, and whether the fast form is right on it.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::arguments::{GlobalArgs, ModelArgs, load_model, set_up};
use super::bench::sample_texts;
use crate::Error;
use crate::embeddings::{EmbedOptions, Engine, Model};

/// The largest difference of two components that rounding explains: the fast form and candle's
/// are each within 2e-6 of the exact value.
const MAX_DIFFERENCE: f32 = 4e-6;

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
    let model = load_model(global, &config)?;
    writeln!(out, "device     {}", model.device())?;
    writeln!(
        out,
        "model      {}, {} dimensions, {} tokens, loaded in {} ms",
        model.name(),
        model.dimensions(),
        model.tokenizer().max_tokens(),
        model.load_time().as_millis()
    )?;
    if !args.verify {
        return Ok(ExitCode::SUCCESS);
    }
    let mut options = config.model_options();
    options.engine = Engine::Candle;
    let oracle = Model::load(&config.model.name, &options).map_err(Error::from)?;
    let difference = largest_difference(&model, &oracle)?;
    let passed = difference <= MAX_DIFFERENCE;
    let verdict = if passed { "ok" } else { "WRONG" };
    writeln!(
        out,
        "verify     {verdict}: largest difference to {} is {difference:.1e}, limit {MAX_DIFFERENCE:.0e}",
        oracle.device()
    )?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn largest_difference(model: &Model, oracle: &Model) -> Result<f32, Error> {
    let texts = sample_texts();
    let texts: Vec<&str> = texts.iter().take(64).map(String::as_str).collect();
    let options = EmbedOptions::default();
    let (ours, theirs) = (model.embed(&texts, &options)?, oracle.embed(&texts, &options)?);
    let differences = ours.data.iter().zip(&theirs.data).map(|(a, b)| (a - b).abs());
    // `max` drops NaN, which the engine refuses to return.
    Ok(differences.fold(0.0, f32::max))
}
