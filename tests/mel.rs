//! The log-mel compared with recorded values of the reference, and with itself. The values in `tests/golden` were recorded from
//! the published Python reference in float32.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a helper of a test fails as a test does, and says what it measured")]

use std::fs;
use std::path::PathBuf;

use hearken::level::amplitude;
use hearken::mel::{LogMel, LogMelChunk, MaxWindow, N_MELS, recording_chunks};
use hearken::time::{CHUNK_FRAMES, CHUNK_SAMPLES};
use safetensors::SafeTensors;

/// Largest difference of a scaled log-mel value from the reference; an implementation in f64 differs by 6e-5.
const TOLERANCE: f32 = 2e-4;
const WAVS: [&str; 3] = ["d1_speech_7p3s", "d2_late_burst_11p4s", "d3_mixed_60s"];

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn wav(name: &str) -> Vec<f32> {
    let mut reader = hound::WavReader::open(golden(&format!("wav/{name}.wav"))).expect("a WAV file");
    reader.samples::<i16>().map(|s| f32::from(s.expect("a sample")) / 32_768.0).collect()
}

/// Splits `samples` into chunks, the last one padded with zeros.
fn chunks(samples: &[f32]) -> Vec<[f32; CHUNK_SAMPLES]> {
    let pad = |part: &[f32]| {
        let mut chunk = [0.0; CHUNK_SAMPLES];
        chunk[..part.len()].copy_from_slice(part);
        chunk
    };
    samples.chunks(CHUNK_SAMPLES).map(pad).collect()
}

fn f32s(tensors: &SafeTensors, name: &str) -> Vec<f32> {
    let (values, rest) = tensors.tensor(name).expect("a tensor").data().as_chunks::<4>();
    assert!(rest.is_empty());
    values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Returns the largest difference between the chunks, joined in time, and `[128, frames]` values.
fn largest_difference(ours: &[LogMelChunk], theirs: &[f32]) -> f32 {
    let frames = ours.len() * CHUNK_FRAMES;
    assert_eq!(theirs.len(), N_MELS * frames);
    let value = |bin: usize, t: usize| ours[t / CHUNK_FRAMES].as_slice()[bin * CHUNK_FRAMES + t % CHUNK_FRAMES];
    let pairs = (0..N_MELS).flat_map(|bin| (0..frames).map(move |t| (bin, t)));
    pairs.map(|(bin, t)| (value(bin, t) - theirs[bin * frames + t]).abs()).fold(0.0, f32::max)
}

#[test]
fn log_mel_of_whole_files_matches_the_offline_goldens() {
    for name in WAVS {
        let bytes = fs::read(golden(&format!("{name}.offline.safetensors"))).expect("golden tensors");
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        for (segment, samples) in [wav(name), vec![0.0; 16_000]].iter().enumerate() {
            let ours = recording_chunks(samples);
            let first = f32s(&tensors, &format!("mel_first.{segment}"));
            let start = largest_difference(&ours[..first.len() / (N_MELS * CHUNK_FRAMES)], &first);
            let end = largest_difference(&ours[ours.len() - 1..], &f32s(&tensors, &format!("mel_last.{segment}")));
            println!("{name} offline segment {segment}: {start:.2e} at the start, {end:.2e} at the end");
            assert!(start <= TOLERANCE && end <= TOLERANCE, "{name}, segment {segment}: {start:e} and {end:e}");
        }
    }
}

#[test]
fn log_mel_of_each_segment_has_the_recorded_size_and_range() {
    for (session, names) in [("two_files_d1_d2", &WAVS[..2]), (WAVS[0], &WAVS[..1]), (WAVS[1], &WAVS[1..2]), (WAVS[2], &WAVS[2..])] {
        let text = fs::read_to_string(golden(&format!("{session}.offline.json"))).expect("golden steps");
        let recorded: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let recorded = recorded["segments"].as_array().expect("segments");
        let segments = names.iter().flat_map(|name| [wav(name), vec![0.0; 16_000]]);
        assert_eq!(recorded.len(), 2 * names.len());
        for (segment, samples) in recorded.iter().zip(segments) {
            let ours = recording_chunks(&samples);
            assert_eq!(segment["chunks"], ours.len());
            let values = || ours.iter().flat_map(|chunk| chunk.as_slice()).copied();
            let (max, min) = (values().fold(f32::MIN, f32::max), values().fold(f32::MAX, f32::min));
            assert!((f64::from(max) - segment["mel_max"].as_f64().expect("a number")).abs() <= f64::from(TOLERANCE), "{session}: {max}");
            assert!((f64::from(min) - segment["mel_min"].as_f64().expect("a number")).abs() <= f64::from(TOLERANCE), "{session}: {min}");
        }
    }
}

#[test]
fn log_mel_of_live_steps_matches_the_live_goldens() {
    for name in WAVS {
        let bytes = fs::read(golden(&format!("{name}.live_continuous.safetensors"))).expect("golden tensors");
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        let mut mel = LogMel::new(MaxWindow::WholeStream);
        let (mut compared, mut largest) = (0, 0.0_f32);
        for (frame, chunk) in chunks(&wav(name)).iter().enumerate() {
            let ours = mel.step(chunk);
            let key = format!("mel_last40.frame{frame}");
            if tensors.tensor(&key).is_ok() {
                compared += 1;
                largest = largest.max(largest_difference(&[ours], &f32s(&tensors, &key)));
            }
        }
        println!("{name} live: {largest:.2e} over {compared} chunks");
        assert!(compared >= 5 && largest <= TOLERANCE, "{name}: {largest:e} over {compared} chunks");
    }
}

#[test]
fn live_step_equals_the_last_chunk_of_the_whole_recording_so_far() {
    for name in &WAVS[..2] {
        let samples = wav(name);
        let padded = chunks(&samples).concat();
        let mut mel = LogMel::new(MaxWindow::WholeStream);
        for (k, chunk) in chunks(&samples).iter().enumerate() {
            let all = recording_chunks(&padded[..(k + 1) * CHUNK_SAMPLES]);
            assert_eq!(mel.step(chunk), all[k], "{name}, chunk {k}");
        }
    }
}

#[test]
fn reset_stream_equals_a_new_one() {
    let heard = chunks(&wav(WAVS[1]));
    let mut used = LogMel::new(MaxWindow::Last45Secs);
    for chunk in &heard {
        used.step(chunk);
    }
    used.reset();
    let mut fresh = LogMel::new(MaxWindow::Last45Secs);
    for chunk in &heard {
        assert_eq!(used.step(chunk), fresh.step(chunk));
    }
}

#[test]
fn both_max_windows_agree_for_45_seconds() {
    let (mut everything, mut newest) = (LogMel::new(MaxWindow::WholeStream), LogMel::new(MaxWindow::Last45Secs));
    for chunk in chunks(&wav(WAVS[2])).iter().take(112) {
        assert_eq!(everything.step(chunk), newest.step(chunk));
    }
}

/// Returns white noise of this root mean square, from a xorshift generator.
fn noise(seed: u64, rms: f32) -> [f32; CHUNK_SAMPLES] {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::array::from_fn(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Uniform in -1 .. 1 has a root mean square of 1/sqrt 3.
        ((state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0) * rms * 3.0_f32.sqrt()
    })
}

#[test]
fn bang_has_no_effect_after_45_seconds_except_on_the_maximum_of_the_whole_stream() {
    let bang = [[1.0, -1.0]; CHUNK_SAMPLES / 2];
    let recovers_after = |max_window: MaxWindow, quiet_chunks: u64| {
        let (mut mel, mut undisturbed) = (LogMel::new(max_window), LogMel::new(max_window));
        mel.step(bang.as_flattened().try_into().expect("a chunk"));
        undisturbed.step(&noise(0, 1e-4));
        let mut last = None;
        for i in 1..=quiet_chunks {
            last = Some((mel.step(&noise(i, 1e-4)), undisturbed.step(&noise(i, 1e-4))));
        }
        let (disturbed, undisturbed) = last.expect("a chunk");
        disturbed == undisturbed
    };
    assert!(!recovers_after(MaxWindow::Last45Secs, 111));
    // The first frame of the chunk after the bang contains its end.
    assert!(recovers_after(MaxWindow::Last45Secs, 113));
    assert!(!recovers_after(MaxWindow::WholeStream, 200));
}

#[test]
fn nan_samples_count_as_zero_and_infinite_ones_are_clamped() {
    let mut mel = LogMel::new(MaxWindow::WholeStream);
    let mut broken = noise(1, 0.01);
    (broken[0], broken[6_399], broken[99]) = (f32::NAN, f32::NEG_INFINITY, f32::NAN);
    assert!(mel.step(&broken).as_slice().iter().all(|value| value.is_finite()));
    let mut silenced = broken.map(|s| if s.is_nan() { 0.0 } else { s });
    silenced[6_399] = -32.0;
    mel.reset();
    let expected = mel.step(&silenced);
    mel.reset();
    assert_eq!(mel.step(&broken), expected);
    assert!(mel.step(&noise(2, 0.01)).as_slice().iter().all(|value| value.is_finite()));
}

#[test]
fn level_of_a_chunk_is_its_root_mean_square_and_silence_is_scaled_to_the_floor() {
    let mut mel = LogMel::new(MaxWindow::WholeStream);
    assert_eq!(mel.step(&[0.0; CHUNK_SAMPLES]).level_dbfs(), -120.0);
    // A constant offset is no sound.
    let square = std::array::from_fn(|n| if n % 2 == 0 { 0.4 } else { 0.2 });
    assert!((mel.step(&square).level_dbfs() + 20.0).abs() < 1e-3);
    assert!(mel.step(&[0.0; CHUNK_SAMPLES]).as_slice().iter().all(|value| value.is_finite()));
    assert!(recording_chunks(&[]).is_empty());
    assert_eq!(recording_chunks(&[0.0]).len(), 1);
    assert!(recording_chunks(&[0.0]).iter().all(|chunk| chunk.as_slice().iter().all(|value| *value == -1.5)));
}

/// Returns a chunk of a gliding voice with formants at `level_dbfs` over white noise at `room_dbfs`.
fn voice_in_a_room(number: u64, level_dbfs: f32, room_dbfs: f32) -> [f32; CHUNK_SAMPLES] {
    let mut chunk = noise(number + 1, amplitude(room_dbfs));
    let mut voice = [0.0f32; CHUNK_SAMPLES];
    for (i, v) in voice.iter_mut().enumerate() {
        let t = i as f32 / 16_000.0;
        let pitch = 120.0 + 20.0 * (number as f32 + 3.0 * t).sin();
        *v = (1..30)
            .map(|h| {
                let hz = h as f32 * pitch;
                let gain: f32 = [600.0, 1_700.0, 2_600.0].iter().map(|f| 1.0 / (1.0 + ((hz - f) / 150.0).powi(2))).sum();
                gain * (std::f32::consts::TAU * hz * t).sin()
            })
            .sum();
    }
    let rms = (voice.iter().map(|v| v * v).sum::<f32>() / CHUNK_SAMPLES as f32).sqrt();
    chunk.iter_mut().zip(voice).for_each(|(sample, v)| *sample += v / rms * amplitude(level_dbfs));
    chunk
}

/// A bang at 0 dBFS in a room of -65 dBFS, then speech 15 dB over the room. Under the maximum of the whole stream the bang hides
/// the weak half of the speech for the rest of the session.
#[test]
fn soft_speech_recovers_45_seconds_after_a_bang_but_not_under_the_maximum_of_the_whole_stream() {
    let heard = |max_window: MaxWindow, bang: bool| -> Vec<f32> {
        let mut mel = LogMel::new(max_window);
        for n in 0..5 {
            mel.step(&voice_in_a_room(n, -50.0, -65.0));
        }
        // A slammed door: a low thump at full scale that decays.
        let slam = std::array::from_fn(|i| (std::f32::consts::TAU * 80.0 * i as f32 / 16_000.0).sin() * (-(i as f32) / 1_600.0).exp());
        mel.step(&if bang { slam } else { voice_in_a_room(5, -50.0, -65.0) });
        let mut last = Vec::new();
        for n in 6..130 {
            last = mel.step(&voice_in_a_room(n, -50.0, -65.0)).as_slice().to_vec();
        }
        last
    };
    let hidden = |values: &[f32]| {
        let floor = values.iter().copied().fold(f32::INFINITY, f32::min);
        values.iter().filter(|v| **v - floor < 1e-6).count() as f32 / values.len() as f32
    };
    let quiet = heard(MaxWindow::Last45Secs, false);
    assert_eq!(heard(MaxWindow::Last45Secs, true), quiet, "the bang has no effect after 45 s");
    let deafened = heard(MaxWindow::WholeStream, true);
    println!(
        "values at the floor: {:.1} % after 45 s, {:.1} % under the maximum of the whole stream",
        100.0 * hidden(&quiet),
        100.0 * hidden(&deafened)
    );
    assert!(hidden(&quiet) < 0.01, "{}", hidden(&quiet));
    assert!(hidden(&deafened) > 0.3, "{}", hidden(&deafened));
}
