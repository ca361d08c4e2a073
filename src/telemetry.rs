//! The tracing subscriber: pretty on a terminal, JSON lines otherwise. No text of a document is
//! ever logged.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{self, Error, LogFormat, LogSettings};

/// Installs the subscriber for this process; logs go to standard error. `auto_level` is what
/// `log.level: auto` means to the command that runs.
///
/// # Errors
/// When the level is neither a level nor a filter, or a subscriber is installed already.
pub fn install(settings: &LogSettings, auto_level: &str) -> Result<(), Error> {
    let filter = filter(settings, auto_level)?;
    let terminal = std::io::stderr().is_terminal();
    let pretty = match settings.format {
        LogFormat::Auto => terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let subscriber = tracing_subscriber::registry().with(filter);
    let installed = if pretty {
        subscriber.with(lines.with_ansi(terminal && !config::no_color())).try_init()
    } else {
        subscriber.with(lines.json().flatten_event(true).with_span_list(false)).try_init()
    };
    installed.map_err(|error| Error::Invalid(format!("log: {error}")))?;
    // Installed once a process.
    let _ = FILTER.set(handle);
    Ok(())
}

/// The filter that is installed.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Takes another level for what is logged from now on.
///
/// # Errors
/// When it is neither a level nor a filter, or nothing is installed.
pub fn set_level(settings: &LogSettings, auto_level: &str) -> Result<(), Error> {
    let filter = filter(settings, auto_level)?;
    if FILTER.get().is_some_and(|installed| installed.reload(filter).is_ok()) {
        return Ok(());
    }
    Err(Error::Invalid("log.level: no log is written".to_owned()))
}

fn filter(settings: &LogSettings, auto_level: &str) -> Result<EnvFilter, Error> {
    let level = if settings.level == "auto" { auto_level } else { &settings.level };
    let (key, filter) = match config::rust_log() {
        Some(filter) => ("RUST_LOG", filter),
        None => ("log.level", level.to_owned()),
    };
    EnvFilter::builder().parse(&filter).map_err(|error| {
        Error::Invalid(format!("{key}: `{filter}` is no level or filter: {error}"))
    })
}
