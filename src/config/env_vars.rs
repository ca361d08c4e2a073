//! Every variable of the environment that the program reads, beside `CHUNKFLOW__SECTION__KEY`, which
//! stands for a setting. Nothing else reads the environment.

/// Begins the variables that stand for settings: `CHUNKFLOW__COMPUTE__THREADS`.
pub(super) const SETTING_PREFIX: &str = "CHUNKFLOW__";
/// Names the profile: `config/NAME.yaml`, or one that the binary carries.
pub(super) const CHUNKFLOW_ENV: &str = "CHUNKFLOW_ENV";

/// A filter of logs, in place of `log.level`.
pub(super) const RUST_LOG: &str = "RUST_LOG";
/// Set where nobody watches: no progress bars.
pub(super) const CI: &str = "CI";
/// Set where colour is unwanted (<https://no-color.org>).
pub(super) const NO_COLOR: &str = "NO_COLOR";

/// URL of the hub or of a mirror of it, as `hub.endpoint`.
pub(super) const HF_ENDPOINT: &str = "HF_ENDPOINT";
/// The folder of Hugging Face's libraries, with the cache and the login's token in it.
pub(super) const HF_HOME: &str = "HF_HOME";
/// The cache, as `hub.cache`; the first is the old name, the later goes before.
pub(super) const HUB_CACHES: [&str; 2] = ["HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE"];
/// Switches that keep off the network, as `hub.offline`.
pub(super) const OFFLINE_SWITCHES: [&str; 2] = ["TRANSFORMERS_OFFLINE", "HF_HUB_OFFLINE"];
/// A token for the hub; the first goes before its older name.
pub(super) const TOKENS: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];
/// A file with a token; the first goes before its older name.
pub(super) const TOKEN_FILES: [&str; 2] = ["HF_TOKEN_FILE", "HF_TOKEN_PATH"];
/// A switch that keeps tokens unused.
pub(super) const NO_IMPLICIT_TOKEN: &str = "HF_HUB_DISABLE_IMPLICIT_TOKEN";

/// Proxies for a hub behind `http:`, the first that is set.
pub(super) const HTTP_PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
/// Proxies for a hub behind `https:`, the first that is set.
pub(super) const HTTPS_PROXIES: [&str; 4] =
    ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
/// Hosts that are reached without a proxy, the first that is set.
pub(super) const NO_PROXIES: [&str; 2] = ["no_proxy", "NO_PROXY"];
/// A file of certificates to trust, in place of those that the binary carries.
pub(super) const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// The user's cache folder.
pub(super) const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
/// The user's home.
pub(super) const HOME: &str = "HOME";
