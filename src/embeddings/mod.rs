//! From text to vectors: tokens, packed batches, the encoder, pooling, engines and the scheduler.
//!
//! Invariant: a text's vector depends on the model and the text, never on what else is in a batch.

mod answer;
mod batch;
mod config_file;
mod device;
mod devices;
mod document;
mod encoder;
mod engine;
mod error;
mod job;
mod known_keys;
mod lane_threads;
mod loaded;
mod model;
mod modules;
mod network;
mod on_device;
mod options;
mod pace;
mod pieces;
mod planned;
mod prompts;
mod scheduler;
mod sentence_config;
mod spellings;
mod steps;
mod together;
mod tokenize;
mod tokenizer_class;
mod tokenizer_json;
mod tokenizer_names;
mod tokenizer_settings;
mod warm_up;
mod weights;

pub use answer::{
    EmbedOptions, Embeddings, ScoreReader, Scores, SparseEmbeddings, SparseEntry, SparseReader,
};
pub use batch::{Packed, plan_batches};
pub use device::DeviceChoice;
pub use devices::Devices;
pub use document::{DocumentPlan, EncodedUnits, Held, UnitPlan};
pub use encoder::{
    AttentionSpec, DistanceBias, EmbeddingSpec, Encoder, EncoderSpec, FeedForwardSpec, Gate,
    LayerSpec, NormPlacement, NormSpec, Positions, Rotary, RotaryScaling,
};
pub use engine::{Cancel, Engine, RowSink, RowWork, Submission, Work};
pub use error::Error;
pub use job::{Job, Output};
pub use known_keys::Unknown;
pub use loaded::LoadedModel;
pub use model::Model;
pub use options::{Backend, ModelOptions, Truncate};
pub use pieces::Encoded;
pub use planned::{Planned, ReadRows};
pub use scheduler::{Queued, Scheduler, SchedulerHandle, SchedulerOptions};
pub use tokenize::{Pair, Prompt, Token, Tokenizer};
