//! What Hugging Face's libraries read from the environment, read the same way
//! (<https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>).

use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::Value;

use super::env_vars;
use super::environment::variable;
use super::flag::{DEFAULT_ORIGIN, Flag};
use super::settings::HubSettings;
use crate::models::{HubOptions, Token};

/// Wait after a first failed attempt.
const BACKOFF: Duration = Duration::from_millis(500);

/// The cache where nothing is set: below the user's own cache folder.
pub(super) fn default_cache() -> Option<Flag> {
    let cache = home()?.join("hub");
    Some(flag("hub.cache", DEFAULT_ORIGIN, cache.display().to_string()))
}

/// The settings that variables of other programs give.
pub(super) fn aliases() -> Vec<Flag> {
    let mut flags = Vec::new();
    if let Some(endpoint) = variable(env_vars::HF_ENDPOINT) {
        flags.push(flag("hub.endpoint", env_vars::HF_ENDPOINT, endpoint));
    }
    if let Some(home) = variable(env_vars::HF_HOME) {
        let cache = expand(&home).join("hub");
        flags.push(flag("hub.cache", env_vars::HF_HOME, cache.display().to_string()));
    }
    for name in env_vars::HUB_CACHES {
        if let Some(cache) = variable(name) {
            flags.push(flag("hub.cache", name, expand(&cache).display().to_string()));
        }
    }
    for name in env_vars::OFFLINE_SWITCHES {
        if is_on(name) {
            flags.push(flag("hub.offline", name, true));
        }
    }
    flags
}

/// How the hub is reached: the settings, and what is no setting because it is secret or belongs
/// to the system.
#[must_use]
pub fn hub_options(settings: &HubSettings) -> HubOptions {
    let scheme = settings.endpoint.split(':').next().unwrap_or_default();
    let proxies = match scheme {
        "http" => env_vars::HTTP_PROXIES,
        _ => env_vars::HTTPS_PROXIES,
    };
    HubOptions {
        endpoint: settings.endpoint.clone(),
        token: token(),
        proxy: proxies.into_iter().find_map(variable),
        no_proxy: env_vars::NO_PROXIES.into_iter().find_map(variable),
        certificates: variable(env_vars::SSL_CERT_FILE).map(PathBuf::from),
        offline: settings.offline,
        backoff: BACKOFF,
    }
}

/// Of the variable, its older name, or the file that a login leaves.
fn token() -> Option<Token> {
    if is_on(env_vars::NO_IMPLICIT_TOKEN) {
        return None;
    }
    let named = env_vars::TOKENS.into_iter().find_map(variable);
    named.as_deref().and_then(Token::new).or_else(|| {
        let path = env_vars::TOKEN_FILES.into_iter().find_map(variable);
        let path = path.map(|path| expand(&path));
        let path = path.or_else(|| Some(home()?.join("token")))?;
        Token::new(std::fs::read_to_string(path).ok()?.trim_start_matches('\u{feff}'))
    })
}

/// The folder of Hugging Face's libraries.
fn home() -> Option<PathBuf> {
    let named = variable(env_vars::HF_HOME).map(|path| expand(&path));
    named.or_else(|| {
        let cache = variable(env_vars::XDG_CACHE_HOME).map(|path| expand(&path));
        let cache = cache.or_else(|| Some(Path::new(&variable(env_vars::HOME)?).join(".cache")))?;
        Some(cache.join("huggingface"))
    })
}

/// A leading `~` is the user's home.
fn expand(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), variable(env_vars::HOME)) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// As `huggingface_hub` understands a switch.
fn is_on(name: &str) -> bool {
    let value = variable(name).map(|value| value.to_uppercase());
    value.is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.as_str()))
}

fn flag(key: &'static str, name: &'static str, value: impl Into<Value>) -> Flag {
    Flag { key: key.into(), name: name.into(), value: value.into() }
}
