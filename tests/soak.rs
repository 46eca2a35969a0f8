//! Soak test: a generated stream of speech, sounds and silence with injected faults runs through the ring buffer, the queue, the
//! gate, the encoder and the lanes of a live session, faster than real time. Memory must not grow, and every sample must be either
//! processed or reported as lost.
//!
//! `HEARKEN_SOAK_HOURS=24 cargo test --release --test soak -- --nocapture` is the long run; it prints a line per simulated hour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a failed step fails the test")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hearken::audio::capture::ring::{ReadOutcome, RingReader, RingWriter, ring};
use hearken::audio::mix::Mixer;
use hearken::audio::{Source, SourceEvent, read_wav};
use hearken::config::{Cli, FileSpeed, Paths, Request, Settings, Stdout};
use hearken::engine::start_hearing;
use hearken::error::{Error, ErrorKind, Result};
use hearken::protocol::{ChannelChoice, Command, Event, GapCause, ModelChoice, Speak};
use hearken::time::SAMPLE_RATE_HZ;

/// Samples of an audio callback: 20 ms.
const BLOCK: usize = 320;
/// Size of the ring buffer in samples: 2 s, as in capture.
const RING: usize = 2 * SAMPLE_RATE_HZ as usize;
/// Interval between two faults.
const FAULT_EVERY_SECS: u64 = 97;
/// Amplitudes of the background noise.
const LOW_NOISE: f32 = 2e-4;
const HIGH_NOISE: f32 = 2e-3;
/// Speech: two spoken instructions of the product.
const SPEECH: [&[u8]; 2] = [include_bytes!("../assets/instructions/sounds.wav"), include_bytes!("../assets/instructions/transcribe.wav")];

/// The counter shared by the producer and the test.
#[derive(Default)]
struct Counts {
    /// Samples produced, including lost ones.
    made: AtomicU64,
}

/// A deterministic sound source that feeds capture's ring buffer as fast as the session reads it.
struct World {
    writer: RingWriter,
    reader: RingReader,
    counts: Arc<Counts>,
    speech: Vec<Vec<f32>>,
    random: u64,
    /// Sound that is being played; empty for silence.
    scene: Vec<f32>,
    /// Samples of the scene still to be played.
    left: u64,
    /// Number of samples after which the stream ends.
    end: u64,
    /// Number of samples after which the next fault comes.
    next_fault: u64,
    /// Amplitude of the background noise.
    noise: f32,
    /// Faults to be reported.
    pending: Vec<SourceEvent>,
}

impl World {
    fn new(hours: f64, counts: Arc<Counts>) -> Self {
        let (writer, reader) = ring(RING, Mixer::new(SAMPLE_RATE_HZ, ChannelChoice::All));
        let end = (hours * 3_600.0 * f64::from(SAMPLE_RATE_HZ)) as u64;
        let speech = SPEECH.iter().map(|bytes| read_wav(bytes).unwrap()).collect();
        let next_fault = FAULT_EVERY_SECS * u64::from(SAMPLE_RATE_HZ);
        Self {
            writer,
            reader,
            counts,
            speech,
            random: 0x9e37_79b9_7f4a_7c15,
            scene: Vec::new(),
            left: 0,
            end,
            next_fault,
            noise: LOW_NOISE,
            pending: Vec::new(),
        }
    }

    /// Returns a pseudo-random number below `below` (xorshift64).
    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % below
    }

    /// Starts the next scene: speech, a sound, or, most often, silence.
    fn new_scene(&mut self) {
        let secs = u64::from(SAMPLE_RATE_HZ);
        (self.scene, self.left) = match self.draw(10) {
            0..=2 => {
                let which = self.draw(self.speech.len() as u64) as usize;
                (self.speech[which].clone(), self.speech[which].len() as u64)
            }
            3 => {
                // Three knocks.
                let knock = |i: u64| (-((i % 4_800) as f32) / 300.0).exp() * 0.5 * ((i as f32) * 0.09).sin();
                ((0..3 * 4_800).map(knock).collect(), 3 * 4_800)
            }
            _ => (Vec::new(), (5 + self.draw(40)) * secs),
        };
    }

    /// Writes one block into the ring buffer.
    fn callback(&mut self) {
        let mut block = [0.0f32; BLOCK];
        for sample in &mut block {
            if self.left == 0 {
                self.new_scene();
            }
            let at = self.scene.len().wrapping_sub(self.left as usize);
            let noise = (self.draw(2_001) as f32 / 1_000.0 - 1.0) * self.noise;
            *sample = self.scene.get(at).copied().unwrap_or(0.0) + noise;
            self.left -= 1;
        }
        self.writer.write(&block, 1, |x| x);
        self.counts.made.fetch_add(BLOCK as u64, Ordering::Relaxed);
    }

    /// Loses samples and reports them as a gap.
    fn lose(&mut self, samples: u64, cause: GapCause) {
        self.counts.made.fetch_add(samples, Ordering::Relaxed);
        self.pending.push(SourceEvent::Gap { samples, cause });
    }

    /// Injects a fault, reported as capture reports it.
    fn fault(&mut self) {
        match self.draw(5) {
            // The reader stalls for 3 s, and the ring buffer overruns.
            0 => (0..3 * SAMPLE_RATE_HZ as usize / BLOCK).for_each(|_| self.callback()),
            1 => {
                self.pending.push(SourceEvent::InputLost(Error::new(ErrorKind::InputDevice, "the input is lost")));
                self.lose(70_000, GapCause::DeviceLost);
                self.pending.push(SourceEvent::InputChanged { device: "world".into(), rate_hz: 16_000, channels: 1 });
            }
            2 => self.lose(16_000 * 3_600 / 4, GapCause::Suspended),
            3 => self.noise = if self.noise > LOW_NOISE { LOW_NOISE } else { HIGH_NOISE },
            _ => panic!("a fault of the source"),
        }
    }
}

impl Source for World {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        if !self.pending.is_empty() {
            return Ok(self.pending.remove(0));
        }
        let made = self.counts.made.load(Ordering::Relaxed);
        if self.reader.waiting() == 0 {
            if made >= self.end {
                return Ok(SourceEvent::End);
            }
            if made >= self.next_fault {
                self.next_fault = made + FAULT_EVERY_SECS * u64::from(SAMPLE_RATE_HZ);
                self.fault();
            } else {
                self.callback();
            }
        }
        Ok(match self.reader.read(out) {
            ReadOutcome::Samples(n) => SourceEvent::Samples(n),
            ReadOutcome::Lost(samples) => SourceEvent::Gap { samples, cause: GapCause::Overrun },
            ReadOutcome::Empty => SourceEvent::Nothing,
        })
    }

    fn name(&self) -> String {
        "world".into()
    }
}

fn settings(home: &Path, model: &str) -> Settings {
    use clap::Parser;
    let paths = Paths::inside(home);
    let mut settings = match Cli::try_parse_from(["hearken"]).unwrap().request(&paths, Stdout::Redirected).unwrap() {
        Request::Window(settings) => *settings,
        other => panic!("{other:?}"),
    };
    settings.model = ModelChoice::Dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(model));
    settings.modes_on = ["dialog", "transcribe"].map(str::to_owned).to_vec();
    settings.gate = true;
    settings.event_options.timing = true;
    // Speech output would report a missing loudspeaker as a problem.
    settings.voice.speak = Speak::Asked;
    settings
}

/// Returns the resident memory of this process in MB; 0 where the system does not report it.
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or(0.0) / 1_024.0
}

/// The figures of one simulated hour.
#[derive(Debug, Default, Clone)]
struct Hour {
    resident_mb: f64,
    costs_ms: Vec<f64>,
    chunks: u64,
    decisions: u64,
    replies: u64,
    trims: u64,
    lost: u64,
    gates: u64,
}

impl Hour {
    fn cost_ms(&self) -> f64 {
        let mut sorted = self.costs_ms.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }

    fn print(&self, number: usize) {
        println!(
            "hour {number:>3}: {:>6.1} MB, {:>6.2} ms a chunk (median of {}), {} decisions, {} replies, {} trims, gate moved {} times, {:.1} s lost",
            self.resident_mb,
            self.cost_ms(),
            self.chunks,
            self.decisions,
            self.replies,
            self.trims,
            self.gates,
            self.lost as f64 / f64::from(SAMPLE_RATE_HZ),
        );
    }
}

/// The hours of a run, and the samples that neither were heard nor are said to be lost.
fn soak(hours: f64, model: &str) -> (Vec<Hour>, i64, f64) {
    let home = tempfile::tempdir().unwrap();
    let counts = Arc::new(Counts::default());
    let world = Box::new(World::new(hours, Arc::clone(&counts)));
    let begun = Instant::now();
    // The producer waits for the session, so that its clock is the script's and nothing is lost but what the script loses.
    let engine = start_hearing(settings(home.path(), model), world, FileSpeed::Unthrottled).unwrap();
    let mut all: Vec<Hour> = Vec::new();
    let (mut lost, mut end, mut heard_chunks) = (0, 0, 0);
    for event in engine.events() {
        let hour = (event.at().secs() / 3_600.0) as usize;
        if all.len() <= hour {
            if let (Some(done), number) = (all.last(), all.len()) {
                done.print(number);
            }
            all.resize(hour + 1, Hour::default());
        }
        let own = &mut all[hour];
        match event {
            Event::Timing { mel_ms, encode_ms, decode_ms, .. } => {
                own.chunks += 1;
                if encode_ms > 0.05 {
                    own.costs_ms.push(mel_ms + encode_ms + decode_ms);
                }
                own.resident_mb = resident_mb();
            }
            Event::Decision { .. } => own.decisions += 1,
            Event::ReplyStarted { .. } => own.replies += 1,
            Event::ContextTrimmed { .. } => own.trims += 1,
            Event::Gate { .. } => own.gates += 1,
            Event::AudioGap { samples, .. } => {
                own.lost += samples;
                lost += samples;
            }
            Event::Problem { message, severity, .. } => {
                assert!(message.contains("the input is lost") || message.contains("a fault of the source"), "{severity:?}: {message}");
            }
            Event::SessionFinished { at, chunks, .. } => {
                end = at.0.0;
                heard_chunks = chunks;
            }
            _ => {}
        }
    }
    if let (Some(done), number) = (all.last(), all.len()) {
        done.print(number);
    }
    let made = counts.made.load(Ordering::Relaxed);
    // The last chunk is padded with silence.
    let filled = (heard_chunks * 6_400 + lost) as i64 - made as i64;
    println!("{:.2} hours in {:.0} s; {lost} samples reported as lost", hours, begun.elapsed().as_secs_f64());
    assert_eq!(end, heard_chunks * 6_400 + lost, "stream time is the sum of processed and lost samples");
    (all, if (0..6_400).contains(&filled) { 0 } else { filled }, begun.elapsed().as_secs_f64())
}

#[test]
fn hours_of_listening_with_faults_report_every_loss_and_do_not_grow() {
    let long = std::env::var("HEARKEN_SOAK_HOURS").ok().and_then(|hours| hours.parse::<f64>().ok());
    let model = std::env::var("HEARKEN_SOAK_MODEL").unwrap_or_else(|_| if long.is_some() { "starter".into() } else { "fixture".into() });
    let (hours, unaccounted, _) = soak(long.unwrap_or(1.5), &model);
    println!("{unaccounted} samples unaccounted for");
    assert_eq!(unaccounted, 0);
    assert!(hours.iter().map(|hour| hour.lost).sum::<u64>() > 16_000 * 60, "the injected faults lose samples");
    assert!(hours.iter().map(|hour| hour.trims).sum::<u64>() > 5, "the context windows fill up");
    // The last hour may be incomplete.
    let whole: Vec<&Hour> = hours.iter().filter(|hour| hour.costs_ms.len() > 500).collect();
    if let (Some(_), [first, .., last]) = (long, &whole[..]) {
        let (memory, cost) = (last.resident_mb / first.resident_mb, last.cost_ms() / first.cost_ms());
        println!("memory of the last hour ÷ the first: {memory:.3}; cost of a chunk: {cost:.3}");
        assert!(memory <= 1.05, "{memory}");
    }
}

/// A source that delivers samples faster than the model processes them.
struct FastSource {
    made: u64,
    end: u64,
    counts: Arc<Counts>,
}

impl Source for FastSource {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        if self.made >= self.end {
            return Ok(SourceEvent::End);
        }
        out.extend((0..3_200).map(|n| 0.05 * ((n * n % 97) as f32 / 48.0 - 1.0)));
        self.made += 3_200;
        self.counts.made.fetch_add(3_200, Ordering::Relaxed);
        Ok(SourceEvent::Samples(3_200))
    }

    fn name(&self) -> String {
        "fast source".into()
    }
}

#[test]
fn overload_is_reported_as_gaps_at_the_lost_positions() {
    let home = tempfile::tempdir().unwrap();
    let counts = Arc::new(Counts::default());
    let source = Box::new(FastSource { made: 0, end: 16_000 * 900, counts: Arc::clone(&counts) });
    let mut settings = settings(home.path(), "fixture");
    settings.gate = false;
    let engine = start_hearing(settings, source, FileSpeed::Realtime).unwrap();
    let (mut lost, mut now, mut gaps, mut rests, mut finished) = (0, 0.0, 0, 0, None);
    let mut largest_lag = 0.0f32;
    for event in engine.events() {
        largest_lag = largest_lag.max(engine.meters().read().lag_secs);
        match event {
            Event::AudioGap { at, from_secs, samples, cause } => {
                assert_eq!(cause, GapCause::Overload);
                assert!((from_secs.secs() - now).abs() < 1e-9, "the gap starts where processing stopped: {} after {now}", from_secs.secs());
                assert!((at.secs() - from_secs.secs() - samples as f64 / 16_000.0).abs() < 1e-9);
                (lost, gaps, now) = (lost + samples, gaps + 1, at.secs());
            }
            Event::Timing { at, .. } => now = at.secs(),
            Event::Problem { message, .. } => {
                let rests_now = message.contains("transcribe rests");
                assert!(rests_now || message.contains("s behind"), "{message}");
                rests += u32::from(rests_now);
            }
            Event::SessionFinished { at, chunks, .. } => finished = Some((at.0.0, chunks)),
            _ => {}
        }
    }
    let (end, chunks) = finished.unwrap();
    println!("{gaps} gaps, {lost} samples lost of {}; lag {largest_lag} s at most; {rests} rests", counts.made.load(Ordering::Relaxed));
    assert!(gaps > 0 && lost > 0);
    assert_eq!(chunks * 6_400 + lost, counts.made.load(Ordering::Relaxed), "every sample is processed or reported as lost");
    assert_eq!(end, counts.made.load(Ordering::Relaxed));
    assert!(largest_lag <= 61.0, "{largest_lag}");
    assert!(rests >= 1, "modes rest in the given order");
    assert!(!engine.send(Command::Pause), "the session has ended");
}
