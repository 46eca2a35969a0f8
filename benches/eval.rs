//! Speed-up of `hearken eval` from processing items together: `cargo bench --bench eval`.
//!
//! Items are processed one at a time and together in turn, on the same sounds with the starter, so that other load on the machine
//! affects both alike. The figure is the median of the ratios; at least 1.5 is expected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a failed step fails the bench")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use hearken::config::modes::builtin;
use hearken::config::{ComputeDevice, ContextChoice, Paths, Precision, SamplingChoice};
use hearken::eval::items::{EvalItem, Expected};
use hearken::eval::sessions::{EvalSession, FirstTextLatency, Margins, SessionRunner};
use hearken::model::Model;
use hearken::protocol::Language;
use hearken::session::SessionConfig;
use hearken::session::prompt::PromptCache;

/// Number of sounds, of 4 s each.
const SOUNDS: usize = 16;
/// Measurements of each kind.
const ROUNDS: usize = 7;
/// Default number of items processed together.
const TOGETHER: usize = 8;

/// Writes an intermittent tone in low noise.
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

/// Writes the sounds and returns a session for each.
fn sessions(folder: &Path) -> Vec<EvalSession> {
    let session = |number: usize| {
        let audio = folder.join(format!("{number}.wav"));
        write_sound(&audio, number);
        let item = EvalItem { id: number.to_string(), audio, expected: Expected::Ignore, ..EvalItem::default() };
        EvalSession { condition: String::new(), context: ContextChoice::default(), items: vec![item] }
    };
    (0..SOUNDS).map(session).collect()
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let sessions = sessions(folder.path());
    let paths = Paths::inside(folder.path());
    for precision in [Precision::F32, Precision::Q8] {
        let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
        let model = Arc::new(Model::load(&starter, "starter", Some(precision), ComputeDevice::Cpu).expect("the starter"));
        let mode = builtin(Language::Chinese, &paths.instructions()).remove(0);
        let prompt = PromptCache::of(&model, &mode, &paths).expect("a prompt");
        let run = |lanes: usize| {
            let runner = SessionRunner {
                model: Arc::clone(&model),
                config: SessionConfig::product(SamplingChoice::GREEDY, ContextChoice::default()),
                mode: mode.clone(),
                prompt: Arc::clone(&prompt),
                margins: Margins::None,
                first_text_latency: FirstTextLatency::NotMeasured,
                gap_secs: 1.0,
                gate: false,
                lanes,
            };
            let begun = Instant::now();
            runner.run(sessions.clone(), |_| Ok(())).expect("a run");
            begun.elapsed().as_secs_f64()
        };
        run(TOGETHER);
        let mut times: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (run(1), run(TOGETHER))).collect();
        times.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (alone, together) = times[ROUNDS / 2];
        let name = precision.name();
        println!(
            "{name}: {SOUNDS} sounds of 4 s, one at a time {alone:.2} s, {TOGETHER} together {together:.2} s: {:.2} times",
            alone / together
        );
    }
}
