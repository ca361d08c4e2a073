//! The one reader of the environment.

use super::env_vars;

/// The filter of `RUST_LOG`, which goes before `log.level`.
#[must_use]
pub fn rust_log() -> Option<String> {
    variable(env_vars::RUST_LOG)
}

/// Whether a terminal may be animated: not under CI.
#[must_use]
pub fn is_interactive() -> bool {
    variable(env_vars::CI).is_none()
}

/// Whether colour is unwanted (<https://no-color.org>).
#[must_use]
pub fn no_color() -> bool {
    variable(env_vars::NO_COLOR).is_some()
}

#[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The variables that begin with `prefix`, in capitals or not, by name: each with what follows the
/// prefix, and its value.
#[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
pub(super) fn prefixed(prefix: &str) -> Vec<(String, String, String)> {
    let mut found: Vec<(String, String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let (start, rest) = name.split_at_checked(prefix.len())?;
            let rest = start.eq_ignore_ascii_case(prefix).then(|| rest.to_owned())?;
            Some((name, rest, value.to_string_lossy().into_owned()))
        })
        .collect();
    found.sort();
    found
}
