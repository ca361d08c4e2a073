//! The engine against its oracles: golden vectors, plain loops, and the promises of its design.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// No layer allocates.
mod allocations;
/// The routes of Cohere, Jina and Ollama.
mod apis;
/// Judged retrieval is BEIR's.
mod beir;
/// What is computed from a band is the reference's.
mod boundaries;
/// Every wrong setting is told with its place, in words of a settings file.
mod broken_settings;
/// A byte order mark is no text.
mod byte_order_marks;
/// Every format of chunks holds the same records.
mod chunk_formats;
/// A specification is the same wherever it comes from.
mod chunk_options;
/// Chunks partition their text and keep their limit.
mod chunks;
/// Exit codes, messages and files left behind are what a user is promised.
mod cli;
/// A wrong setting names its source, and of two right ones the nearer wins.
mod config;
/// The CUDA form, on the emulated driver or a device.
#[cfg(feature = "cuda")]
mod cuda;
/// Cuts keep limits and joins.
mod cuts;
/// Documents to be cut, a model to cut them with, and specifications.
mod documents;
/// bf16 and int8 on the real model, and who chooses them.
mod dtypes;
/// Vectors of units and chunks, from the document or alone.
mod encodings;
/// Metrics, baselines and retrieval from the command line.
mod evaluation;
/// Every operation of every form against loops in f64.
mod exec;
mod exec_families;
/// Every family equals its reference.
mod families;
/// What a config may say, and what it may not.
mod family_configs;
/// Every format holds the same texts and the same bits.
mod formats;
/// The fuzz targets' bodies over seeded inputs.
mod fuzz;
/// Other outputs than one vector a text.
mod heads;
/// Files that make a reader wait or panic are refused.
mod hostile_files;
/// Models come from a hub verified and whole, or not at all.
#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "hub")]
mod hub_server;
/// A vector has the same bits in any company and on any number of threads.
mod invariance;
/// Every kernel that this processor can run, in every dtype.
mod kernels;
/// Memory does not follow the size of the input.
mod memory;
/// A wrong model is a clear error, never a panic.
mod model_files;
/// A process that may not connect.
mod no_network;
/// Another implementation of the same models finds the same states and vectors.
mod oracle;
/// Tokens and vectors are those of sentence-transformers.
mod parity;
/// Parquet as others write it.
mod parquet_files;
/// The binary under test, and what a run of it left.
mod process;
/// The queue answers everything once, and nobody takes from another.
mod scheduler;
/// Segmentations are the exact optimum.
mod segmentation;
/// The service keeps the contract that clients and operators rely on.
mod serve;
/// Connections, and the end of serving.
mod serve_edge;
/// What may be in flight, and what becomes of the rest.
mod serve_limits;
/// Cosines over HTTP.
mod serve_similarity;
/// A running service, and a small client of it.
mod server_support;
/// What the files beside the weights say is obeyed, or refused by name.
mod settings;
/// Vectors are found by cosine, in every format.
mod similar;
/// Similarities, what is selected from them, and files of rows.
mod similarity;
/// A tensor's other names give the same bits.
mod spellings;
/// What several modules share.
mod support;
/// The routes of text-embeddings-inference.
mod tei;
/// The house rules that no compiler checks.
mod tidy;
/// A build for CUDA needs no CUDA.
#[cfg(feature = "cuda")]
mod without_driver;
