//! `chunkflow serve`: the HTTP service.

use std::process::ExitCode;

use clap::Args;

use super::arguments::{GlobalArgs, ModelArgs, flag, layers, load_model, start};
use crate::{Error, api};

/// Serve embeddings and chunks over HTTP.
#[derive(Debug, Args)]
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
    let mut flags = args.model.flags()?;
    flags.extend(flag("server.host", "--host", args.host.as_ref())?);
    flags.extend(flag("server.port", "--port", args.port)?);
    let layers = layers(global, flags)?;
    let config = start(&layers, "info")?;
    // Before a model is loaded for it.
    if let Err(error) = config.server.addresses() {
        let problem = format!("`{}` is no host that is known here: {error}", config.server.host);
        return Err(Error::from(layers.refuse("server.host", &problem)).into());
    }
    let loaded = load_model(global, &config)?;
    loaded.warm_up().map_err(Error::from)?;
    api::serve(&config, loaded, |address| {
        tracing::info!(%address, "listening on http://{address}");
    })?;
    Ok(ExitCode::SUCCESS)
}
