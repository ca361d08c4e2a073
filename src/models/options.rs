//! What a hub is reached with, and what it gives.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How the hub is reached.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// URL of the hub or of a mirror of it.
    pub endpoint: String,
    /// Sent to the endpoint, and nowhere else.
    pub token: Option<Token>,
    /// URL of a proxy.
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy, separated by commas.
    pub no_proxy: Option<String>,
    /// A file of certificates in PEM form, in place of Mozilla's.
    pub certificates: Option<PathBuf>,
    /// Whether the network may not be used.
    pub offline: bool,
    /// Wait after the first failed attempt; it doubles.
    pub backoff: Duration,
}

/// A secret: its text appears in no log and no message.
#[derive(Clone)]
pub struct Token(#[cfg_attr(not(feature = "hub"), expect(dead_code, reason = "unsent"))] String);

impl Token {
    /// `text` without the white space around it; `None` where nothing is left.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    #[cfg(feature = "hub")]
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(***)")
    }
}

/// What a pull has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The commit that the files are of.
    pub commit: String,
    /// The folder that holds them.
    pub path: PathBuf,
    /// The files, relative to it.
    pub files: Vec<String>,
}
