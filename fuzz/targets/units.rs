//! Any text with any of the ways in which tokenizers cover one.
#![no_main]

#[path = "../checks/units.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::units(input));
