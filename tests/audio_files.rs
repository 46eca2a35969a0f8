//! Every format that is read gives the same sound; cut and damaged files never panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use hearken::audio::file::FileSource;
use hearken::audio::stdin::StreamSource;
use hearken::audio::{Heard, Source, read_file};

fn audio(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/audio").join(name)
}

/// The greatest correlation within 100 ms of shift: encoders add a delay of their own.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
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

#[test]
fn every_format_gives_the_same_sound() {
    let original = read_file(&audio("speech.wav")).unwrap();
    assert_eq!(original.len(), 19_200);
    for (name, least) in [
        ("stereo_24bit_44k1.wav", 0.999),
        ("8bit.wav", 0.99),
        ("speech.flac", 0.999_999),
        ("speech.mp3", 0.95),
        ("speech.ogg", 0.95),
        ("speech.m4a", 0.95),
    ] {
        let heard = read_file(&audio(name)).unwrap();
        let found = correlation(&original, &heard);
        println!("{name}: {} samples, correlation {found:.6}", heard.len());
        assert!(found >= least, "{name}: correlation {found}");
        assert!(heard.len().abs_diff(original.len()) < 2_400, "{name}: {} samples", heard.len());
    }
}

#[test]
fn sixteen_bit_samples_are_exact() {
    let path = audio("speech.wav");
    let exact: Vec<f32> = hound::WavReader::open(&path).unwrap().samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect();
    assert_eq!(read_file(&path).unwrap(), exact);
    let mut source = StreamSource::new(std::fs::File::open(&path).unwrap(), "stdin").unwrap();
    let mut heard = Vec::new();
    while source.next(&mut heard).unwrap() != Heard::End {}
    assert_eq!(heard, exact);
}

#[test]
fn cut_and_damaged_files_give_sound_or_an_error_that_names_them_and_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["speech.wav", "speech.flac", "speech.mp3", "speech.ogg", "speech.m4a"] {
        let whole = std::fs::read(audio(name)).unwrap();
        let path = dir.path().join(name);
        for step in 0..60 {
            let mut bytes = whole[..whole.len() * step / 60].to_vec();
            if step % 2 == 1 {
                bytes = whole.clone();
                let at = (step * 7_919) % whole.len().min(4_000);
                bytes[at] ^= 0x55;
            }
            std::fs::write(&path, &bytes).unwrap();
            match FileSource::open(std::slice::from_ref(&path)) {
                Err(error) => assert!(error.message().contains(name), "{error}"),
                Ok(mut source) => {
                    let mut heard = Vec::new();
                    for _ in 0..10_000 {
                        if source.next(&mut heard).unwrap() == Heard::End {
                            break;
                        }
                    }
                    assert!(heard.iter().all(|s| s.is_finite() && s.abs() <= 1.0));
                }
            }
        }
    }
}

#[test]
fn files_are_heard_in_order_and_a_list_is_expanded() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(audio("speech.wav"), dir.path().join("a.wav")).unwrap();
    let list = dir.path().join("sequence.json");
    std::fs::write(&list, r#"["a.wav", "a.wav"]"#).unwrap();
    let mut source = FileSource::open(&[list]).unwrap();
    let (mut heard, mut ends) = (Vec::new(), Vec::new());
    loop {
        match source.next(&mut heard).unwrap() {
            Heard::EndOfFile => ends.push(heard.len()),
            Heard::End => break,
            _ => {}
        }
    }
    assert_eq!(ends, [19_200, 38_400]);
}
