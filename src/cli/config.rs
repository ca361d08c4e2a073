//! `chunkflow config`: the settings in force and where each came from.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::arguments::{GlobalArgs, layers};
use crate::Error;

/// Show or check the settings.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting with its origin.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say nothing and succeed if all settings are valid.
    Check,
}

pub(super) fn run(global: &GlobalArgs, args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let layers = layers(global, Vec::new())?;
    let config = layers.config().map_err(Error::from)?;
    let ConfigCommand::Show { json } = args.command else { return Ok(ExitCode::SUCCESS) };
    let settings = layers.settings(&config).map_err(Error::from)?;
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&settings)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = settings.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    for setting in settings {
        let value = match &setting.value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        writeln!(out, "{:width$} = {value:<24} # {}", setting.key, setting.origin)?;
    }
    Ok(ExitCode::SUCCESS)
}
