//! What can go wrong between a model's name and its files.

use std::path::PathBuf;

/// Errors of this module; every variant names the value and what would be accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither a known name nor a folder.
    #[error(
        "unknown model `{name}`: neither a folder, nor a name that `chunkflow models list` shows, \
         nor owner/name on the hub{}",
        nearest.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
    )]
    UnknownModel {
        /// As given.
        name: String,
        /// A known name that is spelt much the same.
        nearest: Option<String>,
    },
    /// A model whose files are not on this machine.
    #[error(
        "model `{name}` is not on this machine, there is no {} \
         (run `chunkflow models pull {name}`, or give the model's folder)",
        looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and no ")
    )]
    MissingModel {
        /// As given.
        name: String,
        /// The files that were looked for.
        looked: Vec<PathBuf>,
    },
    /// The file of known models that the settings name.
    #[error("model.registry: {}{}: {problem}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Registry {
        /// The file.
        path: PathBuf,
        /// The line, where there is one.
        line: Option<usize>,
        /// What is wrong with it.
        problem: String,
    },
    /// A name or the hub.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something other than it should.
    #[error("{path}: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the value.
        problem: String,
    },
    /// A model that this version cannot run.
    #[error("{path}: {field} is {value}, supported: {supported}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be accepted.
        supported: String,
    },
    /// A key that nothing is known of.
    #[error(
        "{path}: {key} is {value}, which is neither obeyed here nor known to change nothing \
         (--allow-unknown loads the model all the same)"
    )]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// A file's contents are not those that were published.
    #[error("{path} is corrupted: sha256 is {actual}, expected {expected}")]
    Digest {
        /// The file.
        path: PathBuf,
        /// As recorded.
        expected: String,
        /// As found.
        actual: String,
    },
    /// Only pickled weights were found.
    #[error("{path}: pickled weights can run code and are refused, convert them to safetensors")]
    Pickle {
        /// The file.
        path: PathBuf,
    },
}

/// Errors of the hub and of its cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A name, revision or file name that could leave its folder, or that no hub has.
    #[error("{what} `{}` {problem}", value.escape_debug())]
    Name {
        /// What the value is.
        what: &'static str,
        /// As given.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The network may not be used.
    #[error("offline: cannot pull {repository} (hub.offline, HF_HUB_OFFLINE or --offline is set)")]
    Offline {
        /// What was asked for.
        repository: String,
    },
    /// The binary was built without the feature `hub`.
    #[error("this build cannot download models (feature `hub`)")]
    NotBuilt,
    /// 401 or 403.
    #[error(
        "{url} answers {status}: the repository does not exist, is private or asks to accept its \
         terms first; a token goes into HF_TOKEN"
    )]
    Denied {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// 404.
    #[error("{url} answers 404: no such repository, revision or file")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// 429, and more patience than we have is asked for.
    #[error(
        "{url} answers 429: too many requests{}",
        retry_after_s.map(|seconds| format!(", retry after {seconds} s")).unwrap_or_default()
    )]
    Throttled {
        /// What was asked for.
        url: String,
        /// Seconds, if the server says.
        retry_after_s: Option<u64>,
    },
    /// No or no usable answer after all attempts.
    #[error("{url}: {problem}")]
    Unavailable {
        /// What was asked for.
        url: String,
        /// The last failure.
        problem: String,
    },
    /// An answer that leads where no model comes from.
    #[error("{url} redirects to `{}`, which is refused: {problem}", target.escape_debug())]
    Redirect {
        /// What was asked for.
        url: String,
        /// The answer's Location.
        target: String,
        /// Why.
        problem: String,
    },
    /// A repository that has no files this program can run.
    #[error("{repository} has no {missing}")]
    Incomplete {
        /// The repository.
        repository: String,
        /// The files it lacks.
        missing: String,
    },
    /// A file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The client could not be set up.
    #[error("{what} `{value}`: {problem}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
}
