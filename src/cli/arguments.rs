//! Arguments that several commands share, and the settings that they override.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use figment::value::Value;
use serde::Serialize;

use crate::Error;
use crate::config::{Config, Device, Dtype, Flag, Layers};
use crate::embeddings::{Engine, Model};
use crate::results::Destination;
use crate::telemetry;

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Every command")]
pub(super) struct GlobalArgs {
    /// Settings file (YAML); see `chunkflow config show`.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Log level or filter (error, warn, info, debug, trace).
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(super) log_level: Option<String>,
    /// More logs: -v for info, -vv for debug.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with_all = ["quiet", "log_level"])]
    pub(super) verbose: u8,
    /// No progress and no warnings, errors only.
    #[arg(short, long, global = true, conflicts_with = "log_level")]
    pub(super) quiet: bool,
}

/// Which model runs, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ModelArgs {
    /// Known model or folder of one.
    #[arg(short, long, value_name = "NAME|DIR")]
    model: Option<String>,
    /// Folder of known models.
    #[arg(long, value_name = "DIR")]
    models_dir: Option<PathBuf>,
    /// Where the model runs.
    #[arg(long, value_name = "auto|cpu", hide_possible_values = true)]
    device: Option<Device>,
    /// Working precision.
    #[arg(long, value_name = "f32", hide_possible_values = true)]
    dtype: Option<Dtype>,
    /// Form of the operations: fast, or candle's plain tensors.
    #[arg(long, value_name = "native|candle", hide_possible_values = true)]
    engine: Option<Engine>,
    /// CPU threads, 0 for all.
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
}

impl ModelArgs {
    /// The settings given as flags.
    pub(super) fn flags(&self) -> anyhow::Result<Vec<Flag>> {
        let flags = [
            flag("model.name", "--model", self.model.as_ref())?,
            flag("model.dir", "--models-dir", self.models_dir.as_ref())?,
            flag("compute.device", "--device", self.device.as_ref())?,
            flag("compute.dtype", "--dtype", self.dtype.as_ref())?,
            flag("compute.engine", "--engine", self.engine.as_ref())?,
            flag("compute.threads", "--threads", self.threads.as_ref())?,
        ];
        Ok(flags.into_iter().flatten().collect())
    }
}

/// Where results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Write to a file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Replace an existing output.
    #[arg(long)]
    force: bool,
}

impl OutputArgs {
    /// Opens the output; nothing appears under its name before it is complete.
    pub(super) fn open(&self) -> Result<Destination, Error> {
        Ok(match &self.output {
            Some(path) => Destination::file(path, self.force)?,
            None => Destination::stdout(),
        })
    }
}

/// A setting from a flag, if it was given.
pub(super) fn flag<T: Serialize>(
    key: &'static str,
    name: &'static str,
    value: Option<T>,
) -> anyhow::Result<Option<Flag>> {
    let Some(value) = value else { return Ok(None) };
    let value = Value::serialize(value);
    let value = value.with_context(|| format!("cannot use the value of {name}"))?;
    Ok(Some(Flag { key, name, value }))
}

/// Collects the settings, then sets up threads and logging, at `auto_level` unless set otherwise.
pub(super) fn set_up(
    global: &GlobalArgs,
    flags: Vec<Flag>,
    auto_level: &str,
) -> anyhow::Result<Config> {
    let config = layers(global, flags)?.config().map_err(Error::from)?;
    telemetry::install(&config.log, auto_level).map_err(Error::from)?;
    rayon::ThreadPoolBuilder::new()
        .num_threads(config.compute.threads)
        .build_global()
        .context("cannot start threads")?;
    Ok(config)
}

/// Collects the settings, with the flags of every command.
pub(super) fn layers(global: &GlobalArgs, mut flags: Vec<Flag>) -> anyhow::Result<Layers> {
    let (name, level) = match (global.quiet, global.verbose) {
        (true, _) => ("--quiet", Some("error")),
        (false, 0) => ("--log-level", global.log_level.as_deref()),
        (false, 1) => ("--verbose", Some("info")),
        (false, _) => ("--verbose", Some("debug")),
    };
    flags.extend(flag("log.level", name, level)?);
    Ok(Layers::collect(global.config.as_deref(), &flags).map_err(Error::from)?)
}

/// Loads the model that the settings name.
pub(super) fn load_model(config: &Config) -> Result<Model, Error> {
    Ok(Model::load(&config.model.name, &config.model_options())?)
}
