//! Runs the fuzz targets of `tests/fuzz` on mutations of valid inputs, seeded, so that every run is the same.
//!
//! `HEARKEN_FUZZ_SECS=600 cargo test --test fuzzing -- --nocapture` is the long run: 600 s of each target, from the seed
//! `HEARKEN_FUZZ_SEED`. An input that breaks a target is written to a file, and the failure names the file.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod history_bench;
#[path = "fuzz/targets.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hearken::config::{HistoryPrefs, Precision};
use history_bench::{Bench, said, started};
use targets::{CHECKPOINT_FILES, SETTINGS_FILES, SOUNDS};

/// Inputs per share in a short run; fast targets get more shares.
const SHORT: u64 = 150;
/// Time limit of one input, on a loaded machine.
const SLOW: Duration = Duration::from_secs(20);

/// The SplitMix64 generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Integers at the edges of their types.
const EDGE_INTEGERS: [u64; 12] = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];
/// Tokens of the formats.
const TOKENS: [&str; 14] =
    ["null", "-1", "1e999", "NaN", "{", "[", "\"", "\\u0000", "=", "[[mode]]", "\n", "999999999999999999999", "data", "true"];

/// Applies one to four changes to `base` after its first byte, mostly near the beginning, where the headers are.
fn mutate(base: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for _ in 0..1 + random.below(4) {
        let len = bytes.len();
        if len < 3 {
            return bytes;
        }
        let near = if random.below(3) > 0 { len.min(512) } else { len };
        let at = 1 + random.below(near - 1);
        match random.below(9) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => {
                let number = EDGE_INTEGERS[random.below(EDGE_INTEGERS.len())];
                let (width, number) = (1 << random.below(4), if random.below(2) == 0 { number } else { number.swap_bytes() });
                for (to, from) in bytes[at..].iter_mut().zip(number.to_le_bytes().iter().take(width)) {
                    *to = *from;
                }
            }
            4 => {
                let end = (at + 1 + random.below(64)).min(len);
                bytes.drain(at..end);
            }
            5 => {
                let end = (at + 1 + random.below(256)).min(len);
                let part = bytes[at..end].to_vec();
                let to = 1 + random.below(len - 1);
                bytes.splice(to..to, part);
            }
            6 => {
                let word = TOKENS[random.below(TOKENS.len())];
                bytes.splice(at..at, word.bytes());
            }
            7 => {
                let (from, count) = (1 + random.below(len - 1), random.below(128));
                let part: Vec<u8> = bytes[from..].iter().take(count).copied().collect();
                for (to, from) in bytes[at..].iter_mut().zip(part) {
                    *to = from;
                }
            }
            _ => {
                // Changes a digit, such as one of a size in a text.
                if let Some(digit) = bytes[at..].iter_mut().find(|b| b.is_ascii_digit()) {
                    *digit = b'0' + random.below(10) as u8;
                }
            }
        }
    }
    bytes
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn with_kind(kind: usize, bytes: &[u8]) -> Vec<u8> {
    [&[kind as u8], bytes].concat()
}

/// Runs `target` on the `bases` and then on mutations of them.
fn fuzz(name: &str, target: fn(&[u8]), bases: &[Vec<u8>], shares: u64) {
    let long = std::env::var("HEARKEN_FUZZ_SECS").ok().and_then(|secs| secs.parse::<u64>().ok()).map(Duration::from_secs);
    let seed = std::env::var("HEARKEN_FUZZ_SEED").ok().and_then(|seed| seed.parse::<u64>().ok()).unwrap_or(0);
    let (begun, mut count, mut slowest) = (Instant::now(), 0u64, Duration::ZERO);
    let most = SHORT * shares;
    while long.map_or(count < most, |long| begun.elapsed() < long) {
        let input = match bases.get(count as usize) {
            Some(base) => base.clone(),
            None => {
                let mut random = Random(seed << 32 ^ count);
                let base = random.below(bases.len());
                mutate(&bases[base], &mut random)
            }
        };
        let moment = Instant::now();
        let broken = catch_unwind(AssertUnwindSafe(|| target(&input))).is_err();
        let took = moment.elapsed();
        if broken || took > SLOW {
            let file = std::env::temp_dir().join(format!("hearken-fuzz-{name}-{seed}-{count}"));
            fs::write(&file, &input).unwrap();
            panic!("{name}: input {count} of seed {seed} ({}): {}", if broken { "panic" } else { "too slow" }, file.display());
        }
        (count, slowest) = (count + 1, slowest.max(took));
    }
    println!("{name}: {count} inputs in {:.0} s, the slowest {:.2} s", begun.elapsed().as_secs_f64(), slowest.as_secs_f64());
}

#[test]
fn no_sound_file_breaks_the_decoders() {
    let audio = |file: &str| fs::read(root().join("tests/golden/audio").join(file)).unwrap();
    let mut bases: Vec<Vec<u8>> =
        SOUNDS.iter().enumerate().map(|(kind, ending)| with_kind(kind, &audio(&format!("speech.{ending}")))).collect();
    for (kind, file) in [(2, "speech.mp2"), (4, "ac3_then_aac.mp4"), (4, "faststart.m4a"), (4, "speech_alac.m4a")] {
        bases.push(with_kind(kind, &audio(file)));
    }
    fuzz("audio", targets::audio, &bases, 2);
}

/// Returns WAVs of every kind.
fn wavs() -> Vec<Vec<u8>> {
    let files = ["8bit.wav", "speech.wav", "rf64.wav", "speech.w64", "adpcm_ms.wav", "adpcm_ima.wav", "alaw.wav", "mp3_inside.wav"];
    files.map(|file| with_kind(0, &fs::read(root().join("tests/golden/audio").join(file)).unwrap())).to_vec()
}

#[test]
fn no_header_of_a_wav_breaks_its_repair() {
    fuzz("wav", targets::audio, &wavs(), 2);
}

#[test]
fn no_pipe_breaks_the_reader() {
    let audio = |file: &str| fs::read(root().join("tests/golden/audio").join(file)).unwrap();
    let others = ["speech.flac", "speech.mp3", "speech.opus", "speech.webm", "speech.au", "speech.aiff", "faststart.m4a"];
    let bases: Vec<_> = wavs().into_iter().chain(others.map(|file| with_kind(0, &audio(file)))).collect();
    fuzz("pipe", targets::audio_pipe, &bases, 2);
}

#[test]
fn no_sound_without_a_header_breaks_the_reader() {
    let mut random = Random(11);
    let bases: Vec<Vec<u8>> = (0..60).map(|_| (0..4_000).map(|_| random.next() as u8).collect()).collect();
    fuzz("raw", targets::audio_raw, &bases, 2);
}

#[test]
fn no_checkpoint_file_breaks_the_loader() {
    let fixture = root().join("models/fixture");
    let mut bases: Vec<Vec<u8>> =
        CHECKPOINT_FILES.iter().enumerate().map(|(kind, file)| with_kind(kind, &fs::read(fixture.join(file)).unwrap())).collect();
    // A malformed decoder makes the parser of the tokenizers crate panic.
    let tokenizer = fs::read_to_string(fixture.join("tokenizer.json")).unwrap();
    let (before, decoder) = tokenizer.split_once("\"decoder\"").unwrap();
    let damaged = format!("{before}\"decoder\"{}", decoder.replacen("ByteLevel", "Byte\nLevel", 1));
    assert_ne!(damaged, tokenizer);
    bases.push(with_kind(CHECKPOINT_FILES.iter().position(|file| *file == "tokenizer.json").unwrap(), damaged.as_bytes()));
    let dir = tempfile::tempdir().unwrap();
    for precision in [Precision::Q8, Precision::Q4] {
        let file = hearken::model::quantise(&fixture, precision, dir.path(), |_, _| std::ops::ControlFlow::Continue(())).unwrap();
        bases.push(with_kind(CHECKPOINT_FILES.len(), &fs::read(file).unwrap()));
    }
    fuzz("checkpoint", targets::checkpoint, &bases, 2);
}

#[test]
fn no_settings_file_breaks_the_parsers() {
    // Examples of settings, modes and a catalogue.
    let readmes = ["src/config/README.md", "models/README.md"].map(|path| fs::read_to_string(root().join(path)).unwrap()).concat();
    let examples: Vec<&str> = readmes.split("```toml\n").skip(1).filter_map(|part| part.split("```").next()).collect();
    assert!(examples.len() > 3);
    let bases: Vec<Vec<u8>> =
        examples.iter().flat_map(|text| (0..SETTINGS_FILES.len()).map(|kind| with_kind(kind, text.as_bytes()))).collect();
    fuzz("settings", targets::settings, &bases, 5);
}

#[test]
fn no_history_file_breaks_the_reader() {
    let mut bench = Bench::start(HistoryPrefs { keep: true, days: 30, audio: false });
    let told: Vec<_> = std::iter::once(started()).chain((1..30).map(|n| said(3 * n, &format!("the quick brown fox {n}")))).collect();
    told.iter().for_each(|event| bench.sink.record(event));
    bench.end();
    let lines: Vec<String> = told.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    let golden = fs::read_to_string(Path::new("README.md")).unwrap_or_default();
    let bases = [
        with_kind(0, lines.join("\n").as_bytes()),
        with_kind(1, &fs::read(bench.paths.history_file()).unwrap()),
        with_kind(0, golden.as_bytes()),
    ];
    fuzz("history", targets::history, &bases, 2);
}

#[test]
fn no_tokens_break_a_lane() {
    let mut random = Random(7);
    let bases: Vec<Vec<u8>> = (0..16).map(|_| (0..400).map(|_| random.next() as u8).collect()).collect();
    fuzz("lane", targets::lane, &bases, 40);
}
