//! Sounds for the tests of the reader: golden files, WAVs with any header, and what a source brings of them.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic, reason = "a helper of tests; each uses its part")]

use std::path::{Path, PathBuf};

use hearken::audio::{Source, SourceEvent};

pub fn audio(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/audio").join(name)
}

/// Returns the greatest correlation of `a` and `b` over shifts up to 100 ms, because encoders add a delay.
pub fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let at = |a: &[f32], b: &[f32]| {
        let (mut ab, mut aa, mut bb) = (0.0, 1e-12, 1e-12);
        for (x, y) in a.iter().zip(b) {
            ab += f64::from(x * y);
            aa += f64::from(x * x);
            bb += f64::from(y * y);
        }
        ab / f64::sqrt(aa * bb)
    };
    (0..1_600).flat_map(|lag| [at(a, &b[lag.min(b.len())..]), at(&a[lag.min(a.len())..], b)]).fold(-1.0, f64::max)
}

/// Returns all samples of a source, and its other events up to the end.
pub fn hear(mut source: impl Source) -> (Vec<f32>, Vec<SourceEvent>) {
    let (mut samples, mut events) = (Vec::new(), Vec::new());
    for _ in 0..100_000 {
        match source.next(&mut samples).unwrap() {
            SourceEvent::Samples(_) | SourceEvent::Nothing => {}
            SourceEvent::End => return (samples, events),
            other => events.push(other),
        }
    }
    panic!("the source does not end");
}

/// Returns a WAV whose header gives `length` as the length of `data`. `tag` is 1 for integer and 3 for float samples; larger tags
/// are written as a sub-format (0xfff1, 0xfff3).
pub fn wav(tag: u16, channels: u16, rate_hz: u32, bits: u16, length: u32, data: &[u8]) -> Vec<u8> {
    let mut fmt = Vec::new();
    fmt.extend(if tag > 3 { 0xfffe } else { tag }.to_le_bytes());
    fmt.extend(channels.to_le_bytes());
    fmt.extend(rate_hz.to_le_bytes());
    fmt.extend((rate_hz * u32::from(channels * bits / 8)).to_le_bytes());
    fmt.extend((channels * bits / 8).to_le_bytes());
    fmt.extend(bits.to_le_bytes());
    if tag > 3 {
        fmt.extend(22_u16.to_le_bytes());
        fmt.extend(bits.to_le_bytes());
        fmt.extend(0_u32.to_le_bytes());
        fmt.extend((tag - 0xfff0).to_le_bytes());
        fmt.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
    }
    let fmt_length = u32::try_from(fmt.len()).unwrap().to_le_bytes();
    [b"RIFF\xff\xff\xff\xffWAVEfmt ", &fmt_length[..], &fmt, b"data", &length.to_le_bytes(), data].concat()
}
