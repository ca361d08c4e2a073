//! Where a model's files come from: a folder, the models folder, the cache of Hugging Face's
//! libraries, and over the network the hub itself, into that cache.
//!
//! Finding is local and never touches the network; only [`Hub::pull`] does.

#[cfg(feature = "hub")]
mod blob;
mod cache;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod destination;
mod error;
mod located;
mod lock;
mod options;
#[cfg(feature = "hub")]
mod pull;
#[cfg(not(feature = "hub"))]
mod pull_disabled;
mod repository;
mod store;

pub(super) use cache::blob_digest;
pub use error::HubError;
pub use located::{Located, Place, Verdict};
pub use options::{HubOptions, Pulled, Token};
#[cfg(feature = "hub")]
pub use pull::Hub;
#[cfg(not(feature = "hub"))]
pub use pull_disabled::Hub;
pub use repository::Repository;
pub(super) use repository::{MAIN, check_file, is_hexadecimal};
pub use store::{Entry, Store};
