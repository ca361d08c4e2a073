//! Where a model's files come from: a folder, the models folder, the cache of Hugging Face's
//! libraries, and over the network the hub itself, into that cache.
//!
//! Invariant: finding is local and never touches the network, only [`Hub::pull`] does; and no byte
//! of a file is used that is not what was published or seen first.

mod cache;
mod error;
mod folder;
#[cfg_attr(feature = "hub", path = "hub/enabled.rs")]
#[cfg_attr(not(feature = "hub"), path = "hub/disabled.rs")]
mod hub;
pub(crate) mod layout;
mod located;
mod lock;
mod options;
mod pooling;
mod registry;
mod repository;
mod store;
mod task;

pub use error::{Error, HubError};
pub(crate) use folder::{Folder, Map};
pub use hub::Hub;
pub use located::{Located, Place, Verdict};
pub use options::{HubOptions, Pulled, Token};
pub(crate) use pooling::{POOLINGS, name_pooling, parse_pooling};
pub use registry::{ModelSpec, Registry};
pub use repository::Repository;
pub use store::{Entry, Places, Removed, Store};
pub use task::Task;
