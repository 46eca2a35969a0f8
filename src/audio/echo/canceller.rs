//! Echo canceller, noise suppression and automatic gain of the crate `sonora` (a port of WebRTC's audio processing), in frames
//! of 10 ms at 16 kHz.
//!
//! The canceller (AEC3) is driven block by block instead of through `sonora`'s pipeline, for two reasons: its filter can be made
//! as long as a room's reverberation, and its linear filter's output is available. The suppressor behind the filter removes all
//! echo and 9 to 33 % of a person who speaks over it; the filter alone leaves a tenth of the echo and all of the person.
//! Not responsible for pairing near end and far end (see [`super::EchoPath`]).

use std::collections::VecDeque;

use sonora::config::{AdaptiveDigital, GainController2, NoiseSuppression};
use sonora::high_pass_filter::HighPassFilter;
use sonora::{AudioProcessing, Config, StreamConfig};
use sonora_aec3::block::Block;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::common::BLOCK_SIZE;
use sonora_aec3::config::EchoCanceller3Config;

use crate::audio::sanitize;
use crate::protocol::Switch;
use crate::time::{HOP_SAMPLES, SAMPLE_RATE_HZ};

/// Length of the adaptive filter, in blocks of 4 ms: 120 ms covers the reverberation of a furnished room. The default of 52 ms
/// leaves 8 dB more echo.
const FILTER_BLOCKS: usize = 30;
/// Length of the adaptive filter until it has converged, in blocks of 4 ms: a shorter filter converges sooner.
const FIRST_FILTER_BLOCKS: usize = 20;
/// Delay from splitting frames of 160 samples into blocks of 64, in samples.
const FRAMING_DELAY: usize = 32;
/// Delay of the suppressor's windows, in samples.
const SUPPRESSOR_DELAY: usize = BLOCK_SIZE;
/// Full scale of the canceller, which expects the range of 16-bit samples.
const FULL_SCALE: f32 = 32_768.0;
/// Magnitude of a sample, in the range of 16-bit samples, from which the microphone counts as saturated.
const SATURATED: f32 = 32_700.0;

/// A frame of sound: 10 ms of samples at 16 kHz, in -1 ..= 1.
pub type Frame = [f32; HOP_SAMPLES];

/// The outputs of the canceller for a frame, all delayed by 6 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CancelledFrame {
    /// Output of the suppressor: no echo, and not all of a person who speaks over the reply.
    pub clean: Frame,
    /// Output of the linear filter: all of a person, and some echo.
    pub linear: Frame,
    /// Echo in the microphone signal, as the canceller estimates it.
    pub echo: Frame,
}

/// The echo canceller: removes the echo of the played sound (far end) from the microphone signal (near end).
pub struct Canceller {
    /// The canceller of `sonora`, which works on blocks of 4 ms.
    processor: BlockProcessor,
    /// Filter that removes low frequencies from the microphone signal before the canceller.
    high_pass: HighPassFilter,
    /// The frame that the high-pass filter works on: one channel.
    filtered: Vec<Vec<f32>>,
    /// Microphone samples that do not fill a block yet, in the range of 16-bit samples.
    near: VecDeque<f32>,
    /// Played samples that do not fill a block yet, in the range of 16-bit samples.
    far: VecDeque<f32>,
    /// Samples of the suppressor's output that are not returned yet.
    clean: VecDeque<f32>,
    /// Samples of the linear filter's output that are not returned yet.
    linear: VecDeque<f32>,
    /// Samples of the estimated echo that are not returned yet.
    echo: VecDeque<f32>,
}

impl Default for Canceller {
    fn default() -> Self {
        Self::new()
    }
}

impl Canceller {
    /// Creates a canceller that has not adapted to a room.
    #[must_use]
    pub fn new() -> Self {
        let mut config = EchoCanceller3Config::default();
        let filter = &mut config.filter;
        filter.export_linear_aec_output = true;
        (filter.refined.length_blocks, filter.coarse.length_blocks) = (FILTER_BLOCKS, FILTER_BLOCKS);
        (filter.refined_initial.length_blocks, filter.coarse_initial.length_blocks) = (FIRST_FILTER_BLOCKS, FIRST_FILTER_BLOCKS);
        let mut new = Self {
            processor: BlockProcessor::new(&config, SAMPLE_RATE_HZ as usize, 1, 1),
            high_pass: high_pass(),
            filtered: vec![Vec::with_capacity(HOP_SAMPLES)],
            near: VecDeque::new(),
            far: VecDeque::new(),
            clean: VecDeque::new(),
            linear: VecDeque::new(),
            echo: VecDeque::new(),
        };
        new.begin();
        new
    }

    /// Begins a new stretch of sound: drops buffered samples, keeps the adapted filter.
    pub fn begin(&mut self) {
        self.high_pass = high_pass();
        self.near.clear();
        self.far.clear();
        // The linear output and the echo are delayed as much as the suppressor's output.
        let aligned = FRAMING_DELAY + SUPPRESSOR_DELAY;
        for (samples, delay) in [(&mut self.clean, FRAMING_DELAY), (&mut self.linear, aligned), (&mut self.echo, aligned)] {
            samples.clear();
            samples.resize(delay, 0.0);
        }
    }

    /// Cancels the echo of `far` (played by the loudspeaker) in `near` (the microphone), one frame of 10 ms each. The returned outputs are
    /// delayed by 6 ms.
    pub fn process(&mut self, near: &Frame, far: &Frame) -> CancelledFrame {
        if let Some(filtered) = self.filtered.first_mut() {
            filtered.clear();
            filtered.extend(near.iter().map(|x| x * FULL_SCALE));
        }
        self.high_pass.process_channels(&mut self.filtered);
        self.near.extend(self.filtered.iter().flatten());
        self.far.extend(far.iter().map(|x| x * FULL_SCALE));
        while self.near.len() >= BLOCK_SIZE {
            self.process_block();
        }
        CancelledFrame { clean: pop_frame(&mut self.clean), linear: pop_frame(&mut self.linear), echo: pop_frame(&mut self.echo) }
    }

    fn process_block(&mut self) {
        let (mut far, mut near, mut linear) = (Block::new(1, 1), Block::new(1, 1), Block::new(1, 1));
        for (slot, sample) in far.view_mut(0, 0).iter_mut().zip(self.far.drain(..BLOCK_SIZE)) {
            *slot = sample;
        }
        let mut input = [0.0; BLOCK_SIZE];
        for (slot, sample) in input.iter_mut().zip(self.near.drain(..BLOCK_SIZE)) {
            *slot = sample;
        }
        near.view_mut(0, 0).copy_from_slice(&input);
        let saturated = input.iter().any(|x| x.abs() >= SATURATED);
        self.processor.buffer_render(&far);
        self.processor.process_capture(false, saturated, Some(&mut linear), &mut near);
        self.clean.extend(near.view(0, 0).iter().map(|x| x / FULL_SCALE));
        self.linear.extend(linear.view(0, 0).iter().map(|x| x / FULL_SCALE));
        self.echo.extend(input.iter().zip(linear.view(0, 0)).map(|(x, left)| (x - left) / FULL_SCALE));
    }

    /// Returns the measured delay of the echo behind the played sound, in milliseconds; None until it is known.
    #[must_use]
    pub fn delay_ms(&self) -> Option<i32> {
        Some(self.processor.get_metrics().delay_ms).filter(|ms| *ms > 0)
    }
}

fn high_pass() -> HighPassFilter {
    HighPassFilter::new(SAMPLE_RATE_HZ as i32, 1)
}

/// Removes the oldest frame (10 ms) from `samples` and returns it; missing samples are 0.
fn pop_frame(samples: &mut VecDeque<f32>) -> Frame {
    std::array::from_fn(|_| sanitize(samples.pop_front().unwrap_or(0.0)))
}

/// The switches of the optional processing of the microphone signal: noise suppression and automatic gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enhancements {
    pub(super) noise_suppression: Switch,
    pub(super) automatic_gain: Switch,
}

impl Enhancements {
    /// Both switches off: the signal is not processed.
    pub(super) const NONE: Self = Self { noise_suppression: Switch::Off, automatic_gain: Switch::Off };
}

/// Noise suppression and automatic gain control of the microphone signal, each if its switch in [`Enhancements`] is on.
pub(super) struct Enhancer {
    processing: AudioProcessing,
    enhancements: Enhancements,
    /// Samples that do not fill a frame of 10 ms yet.
    waiting: Vec<f32>,
}

impl Enhancer {
    pub(super) fn new(enhancements: Enhancements) -> Self {
        let gain = GainController2 { adaptive_digital: Some(AdaptiveDigital::default()), ..GainController2::default() };
        let config = Config {
            noise_suppression: (enhancements.noise_suppression == Switch::On).then(NoiseSuppression::default),
            gain_controller2: (enhancements.automatic_gain == Switch::On).then_some(gain),
            ..Config::default()
        };
        let stream = StreamConfig::new(SAMPLE_RATE_HZ, 1);
        let processing = AudioProcessing::builder().config(config).capture_config(stream).render_config(stream).build();
        Self { processing, enhancements, waiting: Vec::new() }
    }

    /// Returns the switches that this processing was made for.
    pub(super) const fn enhancements(&self) -> Enhancements {
        self.enhancements
    }

    /// Processes `samples` (16 kHz) in place, in whole frames of 10 ms. The rest of a frame is kept for the next call.
    pub(super) fn step(&mut self, samples: &mut Vec<f32>) {
        self.waiting.append(samples);
        let (frames, rest) = self.waiting.as_chunks::<HOP_SAMPLES>();
        for frame in frames {
            let mut out = [0.0; HOP_SAMPLES];
            if self.processing.process_capture_f32(&[frame], &mut [&mut out]).is_err() {
                out = *frame;
            }
            samples.extend(out.map(sanitize));
        }
        self.waiting = rest.to_vec();
    }
}
