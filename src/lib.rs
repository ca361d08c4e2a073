//! Exact local text embeddings, similarity and semantic chunking.
//!
//! Text goes in, and vectors that equal sentence-transformers' come out, whatever else is in the
//! batch; a document becomes chunks with vectors in one pass through the encoder.
//!
//! ```no_run
//! use chunkflow::embeddings::{EmbedOptions, LoadedModel, ModelOptions};
//!
//! # fn main() -> Result<(), chunkflow::Error> {
//! let loaded = LoadedModel::load("all-MiniLM-L6-v2", &ModelOptions::default())?;
//! let planned = loaded.model().embed(&["A text.", "Another one."], &EmbedOptions::default())?;
//! let vectors = planned.run(&loaded)?;
//! assert_eq!(vectors.rows().len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! The modules stand in the order in which they build on one another: a line may import only what
//! is above it, and [`cli`] is the top.
//!
//! | module | what it owns |
//! |---|---|
//! | [`compute`] | the operations of an encoder on a device, without words |
//! | [`similarity`] | Gram matrices and what is read from them |
//! | [`chunking`] | units, and the best segmentation of them |
//! | [`models`] | where a model's files come from, verified |
//! | [`embeddings`] | tokens, the encoder, pooling, the scheduler |
//! | [`files`] | every file format, in and out |
//! | [`records`] | what is written: vectors, chunks, matches, clusters, runs |
//! | [`pipeline`] | the story: a document becomes chunks with vectors |
//! | [`evaluation`] | how good chunks are: metrics, data sets, baselines |
//! | [`config`] | settings and where each came from |
//! | [`telemetry`] | logs |
//! | `api` | the HTTP service |
//! | [`cli`] | the command line |

pub mod error;

mod guard;

pub mod compute;

pub mod similarity;

pub mod chunking;

pub mod models;

pub mod embeddings;

pub mod files;

pub mod records;

pub mod pipeline;

pub mod evaluation;

pub mod config;

pub mod telemetry;

#[cfg(feature = "server")]
pub mod api;

pub mod cli;

pub use error::{Error, ErrorKind};
