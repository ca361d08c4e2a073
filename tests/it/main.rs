//! The engine against its oracles: golden vectors, plain loops, and the promises of its design.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// No layer allocates.
// LOCAL mod allocations;
/// Every format of chunks holds the same records.
// LOCAL mod chunk_formats;
/// Chunks partition their text and keep their limit.
// LOCAL mod chunks;
/// Exit codes, messages and files left behind are what a user is promised.
// LOCAL mod cli;
/// A wrong setting names its source, and of two right ones the nearer wins.
// LOCAL mod config;
/// The CUDA form, on the emulated driver or a device.
#[cfg(feature = "cuda")]
mod cuda;
/// Similarities and cuts on the device against plain loops.
#[cfg(feature = "cuda")]
mod cuda_similarity;
/// bf16 and int8 on the real model, and who chooses them.
mod dtypes;
/// Every operation of every form against loops in f64.
mod exec;
mod exec_families;
/// Every family equals its reference.
mod families;
/// What a config may say, and what it may not.
mod family_configs;
/// Every format holds the same texts and the same bits.
// LOCAL mod formats;
/// Other outputs than one vector a text.
mod heads;
/// Models come from a hub verified and whole, or not at all.
// LOCAL #[cfg(feature = "hub")]
// LOCAL mod hub;
// LOCAL #[cfg(feature = "hub")]
// LOCAL mod hub_server;
/// A vector has the same bits in any company and on any number of threads.
// LOCAL mod invariance;
/// Every kernel that this processor can run, in every dtype.
mod kernels;
/// Memory does not follow the size of the input.
// LOCAL mod memory;
/// A wrong model is a clear error, never a panic.
// LOCAL mod model_files;
/// A process that may not connect.
mod no_network;
/// Tokens and vectors are those of sentence-transformers.
// LOCAL mod parity;
/// The binary under test, and what a run of it left.
mod process;
/// The service keeps the contract that clients and operators rely on.
// LOCAL mod serve;
/// A running service, and a small client of it.
mod server_support;
/// What several modules share.
mod support;
/// The house rules that no compiler checks.
mod tidy;
/// A build for CUDA needs no CUDA.
#[cfg(feature = "cuda")]
mod without_driver;
// LOCAL /// The queue answers every job once, and refuses what it cannot hold.
