//! The tracing subscriber: pretty on a terminal, JSON lines otherwise. No text of a document is
//! ever logged.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{self, Error, LogFormat, LogSettings};

/// Installs the subscriber for this process; logs go to standard error. `auto_level` is what
/// `log.level: auto` means to the command that runs.
///
/// # Errors
/// When the level is neither a level nor a filter, or a subscriber is installed already.
pub fn install(settings: &LogSettings, auto_level: &str) -> Result<(), Error> {
    let level = if settings.level == "auto" { auto_level } else { &settings.level };
    let (key, filter) = match config::rust_log() {
        Some(filter) => ("RUST_LOG", filter),
        None => ("log.level", level.to_owned()),
    };
    let invalid = |problem: String| Error::Invalid(format!("{key}: {problem}"));
    let filter = EnvFilter::builder()
        .parse(&filter)
        .map_err(|error| invalid(format!("`{filter}` is no level or filter: {error}")))?;
    let terminal = std::io::stderr().is_terminal();
    let pretty = match settings.format {
        LogFormat::Auto => terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = if pretty {
        builder.with_ansi(terminal && !config::no_color()).finish().try_init()
    } else {
        builder.json().flatten_event(true).with_span_list(false).finish().try_init()
    };
    installed.map_err(|error| invalid(error.to_string()))
}
