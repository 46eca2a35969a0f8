//! Hands-free listening: removes Hearken's own voice from the microphone signal and detects barge-in.
//!
//! [`EchoPath`] pairs the microphone (near end) with the sound played at the same time (far end), runs the canceller on the
//! pairs, decides whether a person speaks ([`barge_in`]), and passes on the suppressor's output, or all of a person who speaks.
//! From half a second after the last played sound, samples pass unchanged. Not responsible for playback, nor for the reaction
//! to a barge-in beyond lowering or cutting the voice.

pub mod barge_in;
pub mod canceller;
mod far_end_correlation;
mod lookahead;
pub mod voicing;

use std::collections::VecDeque;

use super::playback::ring::{FarEnd, PlaybackGain};
use super::playback::{FarEndSlot, Route};
use super::resample::Resampler;
use crate::error::Result;
use crate::level::{SILENCE_DBFS, dbfs};
use crate::protocol::{EchoChoice, Interrupt, VoiceSettings};
use crate::time::{HOP_SAMPLES, SAMPLE_RATE_HZ};
use barge_in::{BargeInDetector, Verdict};
use canceller::{CancelledFrame, Canceller, Enhancements, Enhancer};
use far_end_correlation::FarEndCorrelation;
use lookahead::{CancellerOutput, Lookahead};
use voicing::{FrameFeatures, VoicingMeter};

/// Number of frames (10 ms each) for which the canceller runs on after the last audible played sample: 0.5 s.
const HANGOVER_FRAMES: u32 = 50;
/// Lead of the played sound over the microphone in each pair of samples, in samples: 10 ms, so that the pair is causal even if a playback
/// callback is late. The canceller measures the actual delay.
const PAIRING_LEAD: i64 = HOP_SAMPLES as i64;
/// Largest number of microphone samples (16 kHz) that wait for played samples to be paired with: 150 ms; then the played sound counts as
/// silent.
const LONGEST_WAIT: usize = 15 * HOP_SAMPLES;
/// Number of microphone samples (16 kHz) in a row without any played sample after which the output counts as gone: 1 s.
const OUTPUT_GONE: usize = 100 * HOP_SAMPLES;
/// Lead of the played sound that shows lost microphone samples or drifting clocks, in samples (16 kHz): 200 ms. The lead is then dropped.
const LARGEST_LEAD: usize = 20 * HOP_SAMPLES;
/// Magnitude up to which a played sample counts as silence: half a step of 16 bits.
const SILENT: f32 = 1.5e-5;
/// Samples per millisecond.
const SAMPLES_PER_MS: i64 = SAMPLE_RATE_HZ as i64 / 1_000;

/// The speech detected in the samples of one call of [`EchoPath::step`]; of several findings the last variant in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VoiceActivity {
    /// No speech.
    Inactive,
    /// A person speaks.
    Speech,
    /// A person began to speak over a reply; the reply is cut.
    BargeIn,
}

/// The processing of the microphone's samples between capture and chunker: echo canceller, barge-in detection, enhancement.
pub struct EchoPath {
    /// Handover of the played sound of each newly opened output.
    slot: FarEndSlot,
    /// Played sound of the open output, and the place where that output is heard.
    far_end: Option<(FarEnd, Route)>,
    /// Resampler of the played sound to 16 kHz.
    resampler: Option<Resampler>,
    settings: VoiceSettings,
    /// Played samples (16 kHz) that are not paired with the microphone's yet.
    far: VecDeque<f32>,
    /// Number of future played samples (16 kHz) to drop: their partners were lost or passed on without them.
    skip: usize,
    /// Microphone samples (16 kHz) that are not paired yet.
    near: VecDeque<f32>,
    state: CancellationState,
    canceller: Canceller,
    /// Noise suppression and automatic gain; None if both are off.
    enhancer: Option<Enhancer>,
    /// Delay of the canceller's output until a person is suspected or not.
    lookahead: Lookahead,
    detector: BargeInDetector,
    /// Correlation of the canceller's output with the played sound.
    correlation: FarEndCorrelation,
    meters: VoicingMeters,
    /// Incomplete last frame of samples that passed unchanged.
    rest: Vec<f32>,
    /// Buffer of played samples at the output's rate.
    scratch: Vec<f32>,
}

/// The meters of the microphone and of the canceller's two outputs, each with its own noise floor.
#[derive(Default)]
struct VoicingMeters {
    /// Meter of the microphone.
    raw: VoicingMeter,
    /// Meter of the linear filter's output.
    linear: VoicingMeter,
    /// Meter of the suppressor's output.
    clean: VoicingMeter,
}

/// The state of echo cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CancellationState {
    /// Samples of the microphone pass unchanged.
    Idle,
    /// Samples of the microphone go through the canceller.
    Cancelling {
        /// Number of frames (10 ms each) since the last audible played sample.
        quiet_frames: u32,
        /// Number of microphone samples in a row that were paired with silence for lack of played samples.
        unpaired: usize,
    },
}

impl EchoPath {
    /// Creates a path that takes the played sound of each opened output from `slot`.
    #[must_use]
    pub fn new(slot: FarEndSlot, settings: VoiceSettings) -> Self {
        let mut path = Self {
            slot,
            far_end: None,
            resampler: None,
            settings,
            far: VecDeque::new(),
            skip: 0,
            near: VecDeque::new(),
            state: CancellationState::Idle,
            canceller: Canceller::new(),
            enhancer: None,
            lookahead: Lookahead::default(),
            detector: BargeInDetector::default(),
            correlation: FarEndCorrelation::default(),
            meters: VoicingMeters::default(),
            rest: Vec::new(),
            scratch: Vec::new(),
        };
        path.configure(settings);
        path
    }

    /// Applies new settings from the next samples on.
    pub fn configure(&mut self, settings: VoiceSettings) {
        self.settings = settings;
        let (noise_suppression, automatic_gain) = (settings.noise_suppression, settings.automatic_gain);
        let wanted = Enhancements { noise_suppression, automatic_gain };
        if wanted == Enhancements::NONE {
            self.enhancer = None;
        } else if self.enhancer.as_ref().is_none_or(|enhancer| enhancer.enhancements() != wanted) {
            self.enhancer = Some(Enhancer::new(wanted));
        }
    }

    /// Processes samples of the microphone (16 kHz) in place and returns the speech detected in them. No sample is lost; some are returned
    /// by a later call.
    pub fn step(&mut self, samples: &mut Vec<f32>) -> VoiceActivity {
        self.fetch_far();
        let was_idle = self.state == CancellationState::Idle;
        if was_idle && !self.begins() {
            let far_db = if self.far.is_empty() { SILENCE_DBFS } else { dbfs(self.far.make_contiguous()) };
            self.far.clear();
            let activity = self.detect_untouched(samples, far_db);
            self.enhance(samples);
            return activity;
        }
        self.near.extend(samples.drain(..));
        if was_idle {
            self.state = CancellationState::Cancelling { quiet_frames: 0, unpaired: 0 };
            self.detector.begin();
            self.canceller.begin();
            self.pair();
        } else if matches!(self.state, CancellationState::Cancelling { unpaired: 1.., .. }) && !self.far.is_empty() {
            // The output stalled or its callback was very late, so the pairing is known only now.
            self.pair();
        }
        let mut activity = VoiceActivity::Inactive;
        while matches!(self.state, CancellationState::Cancelling { .. }) && self.near.len() >= HOP_SAMPLES {
            let ready = self.far.len() >= HOP_SAMPLES;
            if !ready && self.near.len() < LONGEST_WAIT {
                break;
            }
            activity = activity.max(self.cancel_frame(samples));
        }
        if self.state == CancellationState::Idle {
            self.flush(samples);
        }
        self.enhance(samples);
        activity
    }

    /// Notes that `samples` samples of the microphone (16 kHz) were lost: drops the samples that were played meanwhile.
    pub fn gap(&mut self, samples: u64) {
        if self.state != CancellationState::Idle {
            let lost = usize::try_from(samples).unwrap_or(usize::MAX).min(OUTPUT_GONE);
            let available = lost.min(self.far.len());
            self.far.drain(..available);
            self.skip += lost - available;
        }
    }

    /// Appends the samples that are still held to `out` and starts again, for a closed or replaced microphone.
    pub fn reset(&mut self, out: &mut Vec<f32>) {
        self.stop();
        self.flush(out);
        self.meters = VoicingMeters::default();
        self.rest.clear();
    }

    /// Returns the measured delay from writing a sample to the output until its echo arrives, in milliseconds; None until it is
    /// known.
    #[must_use]
    pub fn delay_ms(&self) -> Option<i32> {
        self.canceller.delay_ms().map(|ms| (i64::from(ms) - PAIRING_LEAD / SAMPLES_PER_MS) as i32)
    }

    /// Returns true while the canceller runs.
    #[must_use]
    pub fn is_cancelling(&self) -> bool {
        self.state != CancellationState::Idle
    }

    /// Fetches the samples played since the last call, at 16 kHz; if some of them were lost, drops all that are not paired yet.
    fn fetch_far(&mut self) {
        if let Some((far_end, route)) = self.slot.take() {
            self.resampler = Resampler::new(far_end.rate_hz()).ok();
            self.far_end = Some((far_end, route));
            self.far.clear();
            self.skip = 0;
        }
        let (Some((far_end, _)), Some(resampler)) = (&mut self.far_end, &mut self.resampler) else { return };
        self.scratch.clear();
        let lost = far_end.read(&mut self.scratch);
        let mut at_16k = Vec::new();
        if resample(resampler, &self.scratch, &mut at_16k).is_err() {
            at_16k.clear();
        }
        let skipped = self.skip.min(at_16k.len());
        self.skip -= skipped;
        self.far.extend(&at_16k[skipped..]);
        if lost > 0 {
            // The far end overflowed, so the pairing is unknown.
            self.far.clear();
            self.skip = 0;
        }
    }

    /// Returns true if an audible sound plays on an output whose echo the settings want cancelled.
    fn begins(&self) -> bool {
        let audible = match (self.settings.echo, &self.far_end) {
            (_, None) | (EchoChoice::Off, _) => false,
            (EchoChoice::On, Some(_)) => true,
            (EchoChoice::Auto, Some((_, route))) => *route == Route::Room,
        };
        audible && self.far.iter().any(|x| x.abs() > SILENT)
    }

    /// Aligns the queue of played samples with that of microphone samples: the newest samples of both form a pair, with the played sound in
    /// the lead by 10 ms.
    fn pair(&mut self) {
        self.skip = 0;
        let surplus = self.far.len() as i64 + PAIRING_LEAD - self.near.len() as i64;
        if surplus >= 0 {
            // The oldest far-end samples were played before the oldest microphone sample.
            let available = (surplus as usize).min(self.far.len());
            self.far.drain(..available);
            self.skip = surplus as usize - available;
        } else {
            for _ in surplus..0 {
                self.far.push_front(0.0);
            }
        }
    }

    /// Cancels the echo in a frame of 10 ms, appends the frame that leaves the look-ahead to `out`, and returns the speech
    /// detected.
    fn cancel_frame(&mut self, out: &mut Vec<f32>) -> VoiceActivity {
        let CancellationState::Cancelling { quiet_frames, unpaired } = &mut self.state else { return VoiceActivity::Inactive };
        let (mut near, mut far) = ([0.0; HOP_SAMPLES], [0.0; HOP_SAMPLES]);
        for (slot, sample) in near.iter_mut().zip(self.near.drain(..HOP_SAMPLES)) {
            *slot = sample;
        }
        if self.far.len() > self.near.len() + LARGEST_LEAD {
            let surplus = self.far.len() - self.near.len();
            self.far.drain(..surplus);
        }
        if self.far.len() >= HOP_SAMPLES {
            for (slot, sample) in far.iter_mut().zip(self.far.drain(..HOP_SAMPLES)) {
                *slot = sample;
            }
            *unpaired = 0;
        } else {
            *unpaired += HOP_SAMPLES;
        }
        let audible = far.iter().any(|x| x.abs() > SILENT);
        *quiet_frames = if audible { 0 } else { *quiet_frames + 1 };
        let ends = *quiet_frames > HANGOVER_FRAMES || *unpaired >= OUTPUT_GONE;
        let cancelled = self.canceller.process(&near, &far);
        let verdict = self.judge(&near, &far, &cancelled);
        let output = if verdict == Verdict::EchoOnly { CancellerOutput::Clean } else { CancellerOutput::Linear };
        self.lookahead.push(cancelled, output, out);
        let activity = self.act_on(verdict);
        if ends {
            self.stop();
        }
        activity
    }

    /// Measures a frame before and after the canceller and returns the decision about who speaks in it.
    fn judge(&mut self, near: &[f32; HOP_SAMPLES], far: &[f32; HOP_SAMPLES], cancelled: &CancelledFrame) -> Verdict {
        self.correlation.push(&cancelled.linear, &cancelled.echo, far);
        let frame = barge_in::FrameLevels {
            raw_db: self.meters.raw.level(near),
            echo_db: dbfs(&cancelled.echo),
            linear: self.meters.linear.measure(&cancelled.linear),
            clean: self.meters.clean.measure(&cancelled.clean),
            far_db: dbfs(far),
            delay_ms: self.canceller.delay_ms(),
        };
        self.detector.step(&frame, || self.correlation.greatest())
    }

    /// Lowers, restores or cuts the spoken reply according to `verdict`, unless replies may not be interrupted or nothing is queued for
    /// playback. Returns the speech detected.
    fn act_on(&self, verdict: Verdict) -> VoiceActivity {
        let Some((far_end, _)) = &self.far_end else { return VoiceActivity::Inactive };
        if self.settings.interrupt == Interrupt::LetFinish || !far_end.is_playing() {
            return if self.detector.hears_speech() { VoiceActivity::Speech } else { VoiceActivity::Inactive };
        }
        match verdict {
            Verdict::EchoOnly => {
                far_end.set_gain(PlaybackGain::Full);
                VoiceActivity::Inactive
            }
            Verdict::Suspected => {
                far_end.set_gain(PlaybackGain::Ducked);
                VoiceActivity::Inactive
            }
            Verdict::Speech => {
                far_end.cut();
                VoiceActivity::BargeIn
            }
        }
    }

    /// Returns the speech in samples that pass unchanged: nothing plays, the output is headphones, or cancellation is off. `far_db` is the
    /// level of the played sound, in dBFS.
    fn detect_untouched(&mut self, samples: &[f32], far_db: f32) -> VoiceActivity {
        self.rest.extend_from_slice(samples);
        let mut activity = VoiceActivity::Inactive;
        let (frames, rest) = self.rest.as_chunks::<HOP_SAMPLES>();
        for frame in frames {
            let clean = self.meters.clean.measure(frame);
            let raw_db = self.meters.raw.level(frame);
            // Without the canceller there is no linear output; zero voicing makes it no evidence.
            let linear = FrameFeatures { voicing: 0.0, ..clean };
            let frame = barge_in::FrameLevels { raw_db, echo_db: f32::NEG_INFINITY, linear, clean, far_db, delay_ms: None };
            let verdict = self.detector.step(&frame, || 0.0);
            if self.detector.hears_speech() {
                activity = activity.max(VoiceActivity::Speech);
            }
            let cuts = verdict == Verdict::Speech && self.settings.interrupt == Interrupt::Cut;
            if let Some((far_end, _)) = self.far_end.as_ref().filter(|(far_end, _)| cuts && far_end.is_playing()) {
                far_end.cut();
                activity = VoiceActivity::BargeIn;
            }
        }
        self.rest = rest.to_vec();
        activity
    }

    fn enhance(&mut self, samples: &mut Vec<f32>) {
        if let Some(enhancer) = &mut self.enhancer {
            enhancer.step(samples);
        }
    }

    fn stop(&mut self) {
        self.state = CancellationState::Idle;
        self.far.clear();
        self.skip = 0;
        if let Some((far_end, _)) = &self.far_end {
            far_end.set_gain(PlaybackGain::Full);
        }
    }

    fn flush(&mut self, out: &mut Vec<f32>) {
        self.lookahead.flush(out);
        out.extend(self.near.drain(..));
    }
}

fn resample(resampler: &mut Resampler, input: &[f32], out: &mut Vec<f32>) -> Result<()> {
    if input.is_empty() { Ok(()) } else { resampler.step(input, out) }
}
