//! From text to vectors: tokens, packed batches, the encoder, pooling and the worker.
//!
//! Invariant: a text's vector depends on the model and the text, never on what else is in a batch.

mod batch;
mod config_file;
mod device;
mod embed;
mod encoder;
mod error;
mod form;
mod forward;
mod job;
mod model;
mod modules;
mod network;
mod prompts;
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
pub use job::{Forward, Job, Output};
pub use model::{Engine, Model, ModelOptions};
pub use tokenize::{Encoded, Prompt, Tokenizer, Truncate};
pub use worker::{Worker, WorkerHandle};
