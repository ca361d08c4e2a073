//! `chunkflow serve`: the HTTP service.

use std::process::ExitCode;

use clap::Args;

use super::arguments::{GlobalArgs, ModelArgs, flag, layers, load_model, start};
use crate::config::Flag;
use crate::{Error, api, telemetry};

/// Serve embeddings and chunks over HTTP.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  chunkflow serve --port 8080
  curl localhost:8080/v1/embeddings -H 'content-type: application/json' -d '{\"input\": \"hello\"}'")]
pub(super) struct ServeArgs {
    /// Address or name to listen on.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Port to listen on, 0 for any free one.
    #[arg(short, long)]
    port: Option<u16>,
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn run(global: &GlobalArgs, args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let layers = layers(global, args.flags()?)?;
    let config = start(&layers, "info")?;
    // Before a model is loaded for it.
    if let Err(error) = config.server.addresses() {
        let problem = format!("`{}` is no host that is known here: {error}", config.server.host);
        return Err(Error::from(layers.refuse("server.host", &problem)).into());
    }
    let loaded = load_model(global, &config)?;
    loaded.warm_up().map_err(Error::from)?;
    let listening = |place: &api::Listening| match place {
        api::Listening::Tcp(address) => tracing::info!(%address, "listening on {place}"),
        api::Listening::Unix(path) => {
            tracing::info!(path = %path.display(), "listening on {place}");
        }
    };
    let (global, again) = (global.clone(), args.clone());
    api::serve(&config, loaded, listening, move || reload(&global, &again))?;
    Ok(ExitCode::SUCCESS)
}

impl ServeArgs {
    /// The settings given as flags.
    fn flags(&self) -> anyhow::Result<Vec<Flag>> {
        let mut flags = self.model.flags()?;
        flags.extend(flag("server.host", "--host", self.host.as_ref())?);
        flags.extend(flag("server.port", "--port", self.port)?);
        Ok(flags)
    }
}

/// Reads the settings again for the level of the log; what is wrong with them is said, and nothing
/// changes.
fn reload(global: &GlobalArgs, args: &ServeArgs) {
    let read = || {
        let config = layers(global, args.flags()?)?.config().map_err(Error::from)?;
        telemetry::set_level(&config.log, "info").map_err(Error::from)?;
        anyhow::Ok(config.log.level)
    };
    match read() {
        Ok(level) => tracing::warn!(level, "settings were read again: the level of the log"),
        Err(error) => tracing::error!(%error, "settings were read again and are wrong"),
    }
}
