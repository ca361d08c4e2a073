//! Any lengths and budget.
#![no_main]

#[path = "../checks/batches.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::batches(input));
