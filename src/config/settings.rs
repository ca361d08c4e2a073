//! The settings of every section, with their ranges.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::chunking::ChunkOptions;
use crate::compute::{DtypeChoice, Isa, Numerics};
use crate::embeddings::{Backend, DeviceChoice, ModelOptions, Truncate, Unknown};
use crate::models::{Places, Task};

/// All settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which model.
    #[garde(dive)]
    pub model: ModelSettings,
    /// Where models come from.
    #[garde(dive)]
    pub hub: HubSettings,
    /// How it runs.
    #[garde(dive)]
    pub compute: ComputeSettings,
    /// How texts are embedded.
    #[garde(skip)]
    pub embed: EmbedSettings,
    /// How documents are cut.
    #[garde(skip)]
    pub chunk: ChunkOptions,
    /// The HTTP service.
    #[garde(dive)]
    pub server: ServerSettings,
    /// What is logged, and how.
    #[garde(skip)]
    pub log: LogSettings,
}

/// Section `model`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// A known name, `owner/name` on the hub, or a folder.
    #[garde(length(min = 1))]
    pub name: String,
    /// Branch, tag or commit, in place of the registry's or of `main`.
    #[garde(skip)]
    pub revision: Option<String>,
    /// Where known models stand, before the hub's cache is looked into.
    #[garde(skip)]
    pub dir: PathBuf,
    /// A file with more models, in the form of `models.toml`.
    #[garde(skip)]
    pub registry: Option<PathBuf>,
    /// What the model is to give, where its files leave it open.
    #[garde(skip)]
    pub kind: Option<Task>,
    /// Whether files beside the weights may have keys that nothing is known of.
    #[garde(skip)]
    pub allow_unknown: bool,
}

/// Section `hub`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct HubSettings {
    /// URL of the hub or of a mirror of it.
    #[garde(length(min = 1))]
    pub endpoint: String,
    /// The cache of Hugging Face's libraries.
    #[garde(skip)]
    pub cache: Option<PathBuf>,
    /// Whether the network may not be used.
    #[garde(skip)]
    pub offline: bool,
}

/// Section `compute`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ComputeSettings {
    /// Where the model runs.
    #[garde(skip)]
    pub device: DeviceChoice,
    /// Working precision; the registry's, or else f32, where `None`.
    #[garde(skip)]
    pub dtype: Option<DtypeChoice>,
    /// Instruction set of the kernels, or `auto`.
    #[garde(custom(check_isa))]
    pub isa: String,
    /// Which form of the operations.
    #[garde(skip)]
    pub engine: Backend,
    /// Whether a vector's bits may depend on its batch, on CUDA.
    #[garde(skip)]
    pub numerics: Numerics,
    /// CPU threads, 0 for all.
    #[garde(range(max = 1024))]
    pub threads: usize,
    /// Tokens that run together, on a CPU in forward passes of at most 512; as many as suit the
    /// device where `None`.
    #[garde(inner(range(min = 1, max = 1_048_576)))]
    pub max_batch_tokens: Option<usize>,
}

/// The instruction set that is chosen by what the processor has.
const AUTO: &str = "auto";

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature of garde")]
fn check_isa(name: &str, (): &()) -> garde::Result {
    if name == AUTO || Isa::by_name(name).is_some() {
        return Ok(());
    }
    let what = if Isa::names().any(|known| known == name) {
        "is not what this processor has"
    } else {
        "is no instruction set"
    };
    let available: Vec<&str> = Isa::available().map(Isa::name).collect();
    Err(garde::Error::new(format!("`{name}` {what}: {AUTO}, {}", available.join(", "))))
}

/// Section `embed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedSettings {
    /// Which end of a too long text is dropped.
    pub truncate: Truncate,
}

/// Section `server`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Address to listen on, or a name that stands for one.
    #[garde(custom(check_host))]
    pub host: String,
    /// Port to listen on, 0 for any free one.
    #[garde(skip)]
    pub port: u16,
    /// Largest request body.
    #[garde(range(min = 1024, max = 1_073_741_824))]
    pub max_body_bytes: usize,
    /// Bytes of all bodies above 64 KiB that may be in flight, at least one of the largest.
    #[garde(range(min = self.max_body_bytes, max = 1_099_511_627_776))]
    pub max_bytes_in_flight: usize,
    /// Longest time in which not a byte of a body comes.
    #[garde(range(min = 1, max = 86_400))]
    pub body_timeout_s: u64,
    /// Requests that may be in flight.
    #[garde(range(min = 1, max = 1_048_576))]
    pub max_requests: usize,
    /// Texts of a request.
    #[garde(range(min = 1, max = 100_000_000))]
    pub max_texts: usize,
    /// Longest time for a request.
    #[garde(range(min = 1, max = 86_400))]
    pub request_timeout_s: u64,
    /// A socket of the file system to listen on, in place of host and port.
    #[garde(skip)]
    pub unix_socket: Option<PathBuf>,
    /// Connections that may be open; as many as the system allows files, if that is less.
    #[garde(range(min = 1, max = 1_000_000))]
    pub max_connections: usize,
    /// Connections from one address; 0 for no limit.
    #[garde(skip)]
    pub max_connections_per_peer: usize,
    /// Longest time for the head of a request, from its first byte, and for the first request.
    #[garde(range(min = 1, max = 3_600))]
    pub header_timeout_s: u64,
    /// Longest time that a connection waits for its next request.
    #[garde(range(min = 1, max = 86_400))]
    pub idle_timeout_s: u64,
    /// Longest time for a client to read a part of its answer.
    #[garde(range(min = 1, max = 86_400))]
    pub write_timeout_s: u64,
    /// How long the port stays open after a signal to stop, while `/readyz` answers 503.
    #[garde(range(max = 3_600))]
    pub drain_delay_s: u64,
    /// Longest time that requests in flight have after a signal to stop.
    #[garde(range(max = 86_400))]
    pub shutdown_grace_s: u64,
    /// Tokens that may wait; a request that alone has more is refused.
    #[garde(range(min = 1))]
    pub max_queued_tokens: usize,
    /// How long a batch of the device may take, unless one that keeps its kernels at speed takes
    /// longer.
    #[garde(range(min = 1, max = 60_000))]
    pub max_batch_ms: u64,
}

impl ServerSettings {
    /// Where to listen: the address, or those of the name, IPv4 first as most clients expect it.
    ///
    /// # Errors
    /// When the name stands for no address.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let mut addresses: Vec<SocketAddr> =
            (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        Ok(addresses)
    }
}

/// The longest name of a host, and of a part of it.
const MAX_HOST_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// Refuses what is neither an address nor a name, such as a URL or a port with it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature of garde")]
fn check_host(host: &str, (): &()) -> garde::Result {
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // What ends in a number would be an address.
    let ends_in_number = |host: &str| {
        host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let bare = host.strip_suffix('.').unwrap_or(host);
    let is_name =
        bare.len() <= MAX_HOST_BYTES && bare.split('.').all(is_label) && !ends_in_number(bare);
    if is_name || host.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(garde::Error::new(format!("`{host}` is no address or name of a host, without a port")))
}

/// Section `log`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// A level or a filter.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Where models are looked for under these settings.
    #[must_use]
    pub fn places(&self) -> Places {
        Places {
            models_dir: self.model.dir.clone(),
            cache_dir: self.hub.cache.clone(),
            registry: self.model.registry.clone(),
        }
    }

    /// How models are loaded under these settings.
    #[must_use]
    pub fn model_options(&self) -> ModelOptions {
        ModelOptions {
            places: self.places(),
            revision: self.model.revision.clone(),
            device: self.compute.device,
            backend: self.compute.engine,
            dtype: self.compute.dtype,
            isa: Isa::by_name(&self.compute.isa).unwrap_or_default(),
            numerics: self.compute.numerics,
            max_batch_tokens: self.compute.max_batch_tokens,
            kind: self.model.kind,
            unknown: if self.model.allow_unknown { Unknown::Allowed } else { Unknown::Refused },
        }
    }
}
