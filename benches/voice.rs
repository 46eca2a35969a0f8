//! What hands-free listening costs on the processor: one second of a reply that is played, cancelled and judged, and the
//! time from a complete sentence to the first sample of the system's voice.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a helper of tests that is shared with this")]

#[path = "../tests/rooms/mod.rs"]
mod rooms;

use criterion::{Criterion, criterion_group, criterion_main};
use hearken::audio::echo::EchoPath;
use hearken::audio::playback::line::line;
use hearken::audio::playback::{FarSlot, Route};
use hearken::audio::resample::Resampler;
use hearken::protocol::VoiceConduct;
use hearken::speech::{Manner, Spoken, SystemVoice, Tongue, Voice, Words, spoken_form};

/// From the voice's rate to the loudspeaker's, into the line, out of it, and through the path of the microphone.
fn a_second_of_speaking(c: &mut Criterion) {
    let far = rooms::talk(30.0, 0);
    let (mut feeder, mut filler, far_end) = line(48_000);
    let slot = FarSlot::default();
    slot.put(far_end, Route::Room);
    let mut path = EchoPath::new(slot, VoiceConduct::default());
    let mut up = Resampler::between(16_000, 48_000).unwrap();
    let mut blocks = far.chunks_exact(rooms::BLOCK).cycle();
    c.bench_function("a second of a reply: resampled, played, cancelled, judged (10 % of a core is 100 ms)", |b| {
        b.iter(|| {
            for block in blocks.by_ref().take(50) {
                let (mut out, mut played) = (Vec::new(), [0.0; 960]);
                up.step(block, &mut out).unwrap();
                feeder.write(&out);
                filler.fill(&mut played, 1, |x| x);
                let mut near: Vec<f32> = block.iter().map(|x| 0.3 * x).collect();
                path.step(&mut near);
            }
        });
    });
    assert!(path.is_cancelling());
}

fn first_sample(c: &mut Criterion) {
    let text = spoken_form("It is a quarter past ten, and the kettle is boiling.", Tongue::English);
    let words = Words { text, tongue: Tongue::English, manner: Manner::of(None, 1.0) };
    let mut voice = SystemVoice::espeak("espeak-ng");
    c.bench_function("from a complete sentence to the first sample of espeak-ng", |b| {
        b.iter(|| {
            let (mut utterance, mut out) = (voice.say(&words).unwrap(), Vec::new());
            while !matches!(utterance.next(&mut out).unwrap(), Spoken::Samples(_)) {}
        });
    });
}

criterion_group!(voice, a_second_of_speaking, first_sample);
criterion_main!(voice);
