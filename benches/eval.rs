//! How much faster `hearken eval` hears items together than one after the other: `cargo bench --bench eval`.
//!
//! Both ways are timed in turn on the same sounds with the starter, so that what else the machine does meets both; the
//! median of the ratios is what counts (issue: at least 1.5).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hearken::config::{ComputeDevice, ContextChoice, Paths, Precision, SamplingChoice};
use hearken::eval::hear::{Clock, Hearer, Margins, Sitting};
use hearken::eval::items::{Expected, Item};
use hearken::model::Model;
use hearken::session::prompt::PromptCache;
use hearken::session::{SessionConfig, dialog_mode};

/// Sounds, of 4 s each.
const SOUNDS: usize = 16;
/// Times that both ways are timed.
const ROUNDS: usize = 7;
/// Items that are heard together when nobody says otherwise.
const TOGETHER: usize = 8;

/// A tone that comes and goes, in a little noise.
fn write_sound(path: &Path, number: usize) {
    let spec = hound::WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).expect("a file");
    for n in 0..4 * 16_000usize {
        let t = n as f32 / 16_000.0;
        let on = f32::from(u8::from((2.0 * t) as usize % 2 == number % 2));
        let tone = (std::f32::consts::TAU * (200 + 150 * number) as f32 * t).sin() * on;
        writer.write_sample((6_000.0 * tone + ((n * n) % 977) as f32 / 20.0) as i16).expect("a sample");
    }
    writer.finalize().expect("a file");
}

fn sittings(folder: &Path) -> Vec<Sitting> {
    let sitting = |number: usize| {
        let audio = folder.join(format!("{number}.wav"));
        write_sound(&audio, number);
        let item = Item { id: number.to_string(), audio, expected: Expected::Ignore, ..Item::default() };
        Sitting { condition: String::new(), context: ContextChoice::default(), items: vec![item] }
    };
    (0..SOUNDS).map(sitting).collect()
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let sittings = sittings(folder.path());
    let at = |name: &str| folder.path().join(name);
    let paths = Paths { config: at("config"), cache: at("cache"), data: at("data") };
    for precision in [Precision::F32, Precision::Q8] {
        let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
        let model = Arc::new(Model::load(&starter, "starter", Some(precision), ComputeDevice::Cpu).expect("the starter"));
        let mode = dialog_mode();
        let opening = PromptCache::of(&model, &mode, &paths).expect("an opening");
        let hear = |lanes: usize| {
            let hearer = Hearer {
                model: Arc::clone(&model),
                conduct: SessionConfig::product(SamplingChoice::GREEDY, ContextChoice::default()),
                mode: mode.clone(),
                opening: Arc::clone(&opening),
                margins: Margins::None,
                clock: Clock::Unread,
                gap_secs: 1.0,
                gate: false,
                lanes,
            };
            let begun = Instant::now();
            hearer.hear(sittings.clone(), |_| Ok(())).expect("heard");
            begun.elapsed().as_secs_f64()
        };
        hear(TOGETHER);
        let mut times: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (hear(1), hear(TOGETHER))).collect();
        times.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (alone, together) = times[ROUNDS / 2];
        let name = precision.name();
        println!(
            "{name}: {SOUNDS} sounds of 4 s, one at a time {alone:.2} s, {TOGETHER} together {together:.2} s: {:.2} times",
            alone / together
        );
    }
}
