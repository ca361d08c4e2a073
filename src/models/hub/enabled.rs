//! The hub over the network, into the cache of Hugging Face's libraries.

mod blob;
mod client;
mod destination;
mod pull;

pub use pull::Hub;
