//! From text to vectors: model files, tokens, packed batches, the encoder, pooling and the worker.
//!
//! Invariant: a text's vector depends on the model and the text, never on what else is in a batch.

mod batch;
mod config_file;
mod device;
mod embed;
mod encoder;
mod error;
mod folder;
mod form;
mod forward;
mod hub;
mod job;
mod model;
mod modules;
mod network;
mod prompts;
mod registry;
mod tokenize;
mod warm_up;
mod weights;
mod worker;

pub use batch::{Packed, plan_batches};
pub use device::DeviceChoice;
pub use embed::{EmbedOptions, Embeddings, Scores, SparseEmbeddings, SparseEntry};
pub use encoder::{
    AttentionSpec, DistanceBias, EmbeddingSpec, Encoder, EncoderSpec, FeedForwardSpec, Gate,
    LayerSpec, NormPlacement, NormSpec, Positions, Rotary, RotaryScaling,
};
pub use error::Error;
pub use hub::{
    Entry, Hub, HubError, HubOptions, Located, Place, Pulled, Repository, Store, Token, Verdict,
};
pub use job::{Forward, Job, Output};
pub use model::{DtypeChoice, Engine, Model, ModelOptions};
pub use modules::Kind;
pub use registry::{ModelSpec, Registry};
pub use tokenize::{Encoded, Prompt, Tokenizer, Truncate};
pub use worker::{Worker, WorkerHandle};
