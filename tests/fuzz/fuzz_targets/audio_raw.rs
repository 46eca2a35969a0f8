//! Entry point of cargo-fuzz for `targets::audio_raw`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::audio_raw(data));
