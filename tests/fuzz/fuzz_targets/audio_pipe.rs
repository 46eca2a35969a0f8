//! Entry point of cargo-fuzz for `targets::audio_pipe`.
#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::audio_pipe(data));
