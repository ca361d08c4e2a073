//! From text to vectors: model files, tokens, packed batches, the encoder, pooling and the worker.
//!
//! Invariant: a text's vector depends on the model and the text, never on what else is in a batch.

mod batch;
mod encoder;
mod error;
mod folder;
mod job;
mod model;
mod network;
mod pooling;
mod registry;
mod tokenize;
mod weights;
mod worker;

pub use batch::{Packed, plan_batches};
pub use encoder::{Activation, Encoder, EncoderSpec};
pub use error::Error;
pub use job::{Forward, Job, Output};
pub use model::{EmbedOptions, Embeddings, Engine, Model, ModelOptions};
pub use registry::{ModelSpec, Registry};
pub use tokenize::{Encoded, Prompt, Tokenizer, Truncate};
pub use worker::{Worker, WorkerHandle};
