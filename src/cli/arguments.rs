//! Arguments that several commands share, and the settings that they override.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use figment::value::Value;
use serde::Serialize;

use super::progress::PullProgress;
use crate::Error;
use crate::chunking::ChunkOptions;
use crate::compute::DtypeChoice;
use crate::config::{Config, Flag, Layers, hub_options};
use crate::embeddings::{self, Backend, DeviceChoice, EmbedOptions, LoadedModel, Model, Truncate};
use crate::files::Destination;
use crate::models::{self, Hub, Pulled, Store};
use crate::telemetry;

/// Options of every command.
#[derive(Debug, Clone, Args)]
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

/// Where models come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Hub")]
pub(super) struct HubArgs {
    /// Folder of known models, before the hub's cache.
    #[arg(long, value_name = "DIR")]
    models_dir: Option<PathBuf>,
    /// Branch, tag or commit.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Never use the network.
    #[arg(long)]
    offline: bool,
}

impl HubArgs {
    /// The settings given as flags.
    pub(super) fn flags(&self) -> anyhow::Result<Vec<Flag>> {
        let flags = [
            flag("model.dir", "--models-dir", self.models_dir.as_ref())?,
            flag("model.revision", "--revision", self.revision.as_ref())?,
            flag("hub.offline", "--offline", self.offline.then_some(true))?,
        ];
        Ok(flags.into_iter().flatten().collect())
    }
}

/// Which model runs, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ModelArgs {
    /// Known model, owner/name on the hub, or folder.
    #[arg(short, long, value_name = "NAME|DIR")]
    model: Option<String>,
    /// Where the model runs; `cuda` is every CUDA device.
    #[arg(long, value_name = "auto|cpu|cuda[:N]")]
    device: Option<DeviceChoice>,
    /// Working precision.
    #[arg(long, value_name = "auto|f32|f16|bf16|int8", hide_possible_values = true)]
    dtype: Option<DtypeChoice>,
    /// Form of the operations: fast, or candle's plain tensors.
    #[arg(long, value_name = "native|candle", hide_possible_values = true)]
    engine: Option<Backend>,
    /// CPU threads, 0 for all.
    #[arg(short, long, value_name = "N")]
    threads: Option<usize>,
    /// Load a model whose files have keys that are not known, too.
    #[arg(long)]
    allow_unknown: bool,
    #[command(flatten)]
    hub: HubArgs,
}

impl ModelArgs {
    /// The settings given as flags.
    pub(super) fn flags(&self) -> anyhow::Result<Vec<Flag>> {
        let flags = [
            flag("model.name", "--model", self.model.as_ref())?,
            flag("compute.device", "--device", self.device.as_ref())?,
            flag("compute.dtype", "--dtype", self.dtype.as_ref())?,
            flag("compute.engine", "--engine", self.engine.as_ref())?,
            flag("compute.threads", "--threads", self.threads.as_ref())?,
            flag("model.allow_unknown", "--allow-unknown", self.allow_unknown.then_some(true))?,
        ];
        Ok(flags.into_iter().flatten().chain(self.hub.flags()?).collect())
    }
}

/// How texts become vectors.
#[derive(Debug, Args)]
pub(super) struct VectorArgs {
    /// Leading dimensions to keep, before normalisation.
    #[arg(long, value_name = "N")]
    pub(super) dimensions: Option<usize>,
    /// Put this before every text.
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt_name")]
    prompt: Option<String>,
    /// Put the model's prompt of this name before every text.
    #[arg(long, value_name = "NAME")]
    prompt_name: Option<String>,
}

impl VectorArgs {
    /// What was typed, for `model`.
    pub(super) fn options(&self, model: &Model, truncate: Truncate) -> Result<EmbedOptions, Error> {
        let prompt = match &self.prompt {
            Some(text) => model.prompt_text(text)?,
            None => model.prompt(self.prompt_name.as_deref())?,
        };
        Ok(EmbedOptions { dimensions: self.dimensions, normalize: None, prompt, truncate })
    }

    /// The same for queries: where nothing was typed, with the model's prompt for them.
    pub(super) fn query_options(
        &self,
        model: &Model,
        truncate: Truncate,
    ) -> Result<EmbedOptions, Error> {
        let options = self.options(model, truncate)?;
        match model.prompt(Some("query")) {
            Ok(prompt) if self.prompt.is_none() && self.prompt_name.is_none() => {
                Ok(EmbedOptions { prompt, ..options })
            }
            Ok(_) | Err(embeddings::Error::UnknownPrompt { .. }) => Ok(options),
            Err(error) => Err(error.into()),
        }
    }
}

/// The choices of section `chunk` as flags.
pub(super) fn chunk_flags(options: &ChunkOptions) -> anyhow::Result<Vec<Flag>> {
    let Value::Dict(_, choices) = Value::serialize(options)? else { return Ok(Vec::new()) };
    let given = choices.into_iter().filter(|(_, value)| !matches!(value, Value::Empty(..)));
    let flags = given.map(|(choice, value)| Flag {
        key: format!("chunk.{choice}").into(),
        name: format!("--{}", choice.replace('_', "-")).into(),
        value,
    });
    Ok(flags.collect())
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
            Some(path) => self.file(path)?,
            None => Destination::stdout(),
        })
    }

    /// The same for a file beside the output.
    pub(super) fn file(&self, path: &Path) -> Result<Destination, Error> {
        Ok(Destination::file(path, self.force)?)
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
    Ok(Some(Flag { key: key.into(), name: name.into(), value }))
}

/// Collects the settings, then sets up threads and logging, at `auto_level` unless set otherwise.
pub(super) fn set_up(
    global: &GlobalArgs,
    flags: Vec<Flag>,
    auto_level: &str,
) -> anyhow::Result<Config> {
    start(&layers(global, flags)?, auto_level)
}

/// Checks the settings, then sets up threads and logging.
pub(super) fn start(layers: &Layers, auto_level: &str) -> anyhow::Result<Config> {
    let config = layers.config().map_err(Error::from)?;
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

/// Loads the model that the settings name. One that is not on this machine is pulled first,
/// unless the network may not be used.
pub(super) fn load_model(global: &GlobalArgs, config: &Config) -> anyhow::Result<LoadedModel> {
    let options = config.model_options();
    let store = Store::open(&options.places).map_err(Error::from)?;
    let name = &config.model.name;
    let missing = match store.find(name, options.revision.as_deref()) {
        Err(error @ models::Error::MissingModel { .. }) => Some(error),
        _ => None,
    };
    if let Some(error) = missing {
        if config.hub.offline || cfg!(not(feature = "hub")) {
            return Err(Error::from(error).into());
        }
        tracing::warn!(model = name, "not on this machine, pulling it from the hub");
        pull(global, config, &store, name, false)?;
    }
    Ok(LoadedModel::load(name, &options).map_err(Error::from)?)
}

/// Warns where texts were cut, of which there should be none.
pub(super) fn warn_of_truncated(cut: usize, texts: usize, model: &Model) {
    if cut > 0 {
        tracing::warn!(
            truncated = cut,
            texts,
            max_tokens = model.tokenizer().max_tokens(),
            "texts longer than the model's limit were cut"
        );
    }
}

/// Pulls a model into the cache, with a progress bar where somebody watches.
pub(super) fn pull(
    global: &GlobalArgs,
    config: &Config,
    store: &Store,
    model: &str,
    update: bool,
) -> anyhow::Result<Pulled> {
    let hub = Hub::new(&hub_options(&config.hub)).map_err(Error::from)?;
    let mut bar = PullProgress::new(global.quiet);
    let revision = config.model.revision.as_deref();
    let pulled = hub.pull(store, model, revision, update, &mut |file, done, size| {
        bar.show(file, done, size);
    });
    let pulled = pulled.map_err(Error::from)?;
    bar.finish();
    tracing::info!(model, commit = pulled.commit, files = pulled.files.len(), "pulled");
    Ok(pulled)
}
