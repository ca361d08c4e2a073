//! The CUDA tests of `tests/it` alone, in a binary small enough for the device pack: `make device-pack`
//! carries it to a machine with a GPU, `make test-cuda` runs the same tests from `tests/it`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, unused_imports, reason = "what the processor's tests share with these")]

#[path = "it/cuda/mod.rs"]
mod cuda;
#[path = "it/exec.rs"]
mod exec;
#[path = "it/exec_families.rs"]
mod exec_families;
#[path = "it/families.rs"]
mod families;
#[path = "it/memory.rs"]
mod memory;
#[path = "it/no_network.rs"]
mod no_network;
#[path = "it/process.rs"]
mod process;
#[path = "it/server_support.rs"]
mod server_support;
#[path = "it/support/mod.rs"]
mod support;
