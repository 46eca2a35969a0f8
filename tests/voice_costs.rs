//! CPU time of speech output, and its latency. Only the time of the test's thread counts.
#![cfg(all(feature = "voice", target_os = "linux"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod rooms;

use std::time::{Duration, Instant};

use hearken::audio::echo::EchoPath;
use hearken::audio::playback::ring::playback_ring;
use hearken::audio::playback::{FarEndSlot, Route};
use hearken::audio::resample::Resampler;
use hearken::protocol::VoiceSettings;
use hearken::speech::{Language, Prosody, SpeechText, SystemVoice, UtteranceEvent, Voice, spoken_form};
use rooms::{BLOCK, REPLIES};

/// Returns the CPU time of this thread.
fn thread_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a kernel that counts");
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

fn speech_text(text: &str) -> SpeechText {
    SpeechText { text: spoken_form(text, Language::English), language: Language::English, prosody: Prosody::new(None, 1.0) }
}

#[test]
fn reply_uses_at_most_a_tenth_of_a_core_from_the_voice_to_the_echo_path() {
    let (mut writer, mut reader, far_end) = playback_ring(48_000);
    let slot = FarEndSlot::default();
    slot.put(far_end, Route::Room);
    let mut path = EchoPath::new(slot, VoiceSettings::default());
    let mut voice = SystemVoice::espeak("espeak-ng");
    let begun = thread_time();
    let mut played = 0;
    for reply in REPLIES {
        let mut utterance = voice.say(&speech_text(reply)).unwrap();
        let (mut resampler, mut out) = (None, Vec::new());
        loop {
            let mut samples = Vec::new();
            match utterance.next(&mut samples).unwrap() {
                UtteranceEvent::Samples(_) => {
                    let resampler = resampler.get_or_insert_with(|| Resampler::between(utterance.rate_hz(), 48_000).unwrap());
                    resampler.step(&samples, &mut out).unwrap();
                }
                UtteranceEvent::Nothing => {}
                UtteranceEvent::End => break,
            }
        }
        for block in out.chunks_exact(3 * BLOCK) {
            assert_eq!(writer.write(block), block.len());
            let mut at_the_speaker = [0.0; 3 * BLOCK];
            reader.fill(&mut at_the_speaker, 1, |x| x);
            // A room without delay or reverberation, which takes no CPU time.
            let mut near: Vec<f32> = at_the_speaker.iter().step_by(3).map(|x| 0.3 * x).collect();
            path.step(&mut near);
            played += BLOCK;
        }
    }
    let cost = (thread_time() - begun).as_secs_f64() / (played as f64 / 16_000.0);
    println!("{:.1} s of replies used {:.1} % of a core", played as f64 / 16_000.0, 100.0 * cost);
    assert!(path.is_cancelling() && cost <= 0.10, "{cost}");
}

#[test]
fn first_samples_come_within_100_ms_of_a_complete_sentence() {
    let text = speech_text("It is a quarter past ten, and the kettle is boiling.");
    let mut voice = SystemVoice::espeak("espeak-ng");
    // The best of several tries counts, because other programs may use the CPU in between.
    let tries = (0..8).map(|_| {
        let begun = Instant::now();
        let (mut utterance, mut out) = (voice.say(&text).unwrap(), Vec::new());
        while !matches!(utterance.next(&mut out).unwrap(), UtteranceEvent::Samples(_)) {}
        begun.elapsed()
    });
    let tries: Vec<Duration> = tries.collect();
    println!("first samples after {tries:?}");
    assert!(tries.iter().min() <= Some(&Duration::from_millis(100)), "{tries:?}");
}
