//! Entry point of cargo-fuzz for `targets::lane`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::lane(data));
