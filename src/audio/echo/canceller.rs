//! sonora's echo canceller, noise suppression and automatic gain, in frames of 10 ms at 16 kHz.
//!
//! The canceller is driven by its blocks, not by `sonora`'s whole pipeline: only so can its filter be as long as a room
//! answers, and only so does it give what it has before its suppressor. The suppressor takes the echo away to the last, and
//! 9 to 33 % of what a person says over it; the filter alone leaves a tenth of the echo, and the person untouched.
//! Not responsible for pairing the two ends (see [`super::EchoPath`]).

use std::collections::VecDeque;

use sonora::config::{AdaptiveDigital, GainController2, NoiseSuppression};
use sonora::high_pass_filter::HighPassFilter;
use sonora::{AudioProcessing, Config, StreamConfig};
use sonora_aec3::block::Block;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::common::BLOCK_SIZE;
use sonora_aec3::config::EchoCanceller3Config;

use crate::audio::tame;
use crate::protocol::Switch;
use crate::time::{HOP_SAMPLES, SAMPLE_RATE_HZ};

/// Length of the filter: 120 ms, what a furnished room answers within. The 52 ms that are usual leave 8 dB more of the echo.
const FILTER_BLOCKS: usize = 30;
/// Its length while it has not settled: a shorter one settles sooner.
const FIRST_FILTER_BLOCKS: usize = 20;
/// Frames of 160 samples in blocks of 64: so many samples are waited for.
const FRAMING: usize = 32;
/// What the suppressor's windows cost.
const SUPPRESSING: usize = BLOCK_SIZE;
/// The canceller counts in 16-bit steps.
const STEPS: f32 = 32_768.0;
/// At this level, in steps, the microphone is taken for overdriven.
const OVERDRIVEN: f32 = 32_700.0;

/// A frame of 10 ms.
pub type Frame = [f32; HOP_SAMPLES];

/// What becomes of a frame: all of them 6 ms late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cancelled {
    /// No echo is left, nor all of a person who speaks over it.
    pub clean: Frame,
    /// All of the person is left, and some of the echo.
    pub linear: Frame,
    /// The echo as it is understood.
    pub echo: Frame,
}

/// Takes the echo of what is played out of what is heard.
pub struct Canceller {
    processor: BlockProcessor,
    high_pass: HighPassFilter,
    /// One channel that the high pass works on.
    heard: Vec<Vec<f32>>,
    near: VecDeque<f32>,
    far: VecDeque<f32>,
    clean: VecDeque<f32>,
    linear: VecDeque<f32>,
    echo: VecDeque<f32>,
}

impl Default for Canceller {
    fn default() -> Self {
        Self::new()
    }
}

impl Canceller {
    /// A canceller that knows nothing of the room yet.
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
            heard: vec![Vec::with_capacity(HOP_SAMPLES)],
            near: VecDeque::new(),
            far: VecDeque::new(),
            clean: VecDeque::new(),
            linear: VecDeque::new(),
            echo: VecDeque::new(),
        };
        new.begin();
        new
    }

    /// What comes next does not follow what came before: nothing of that may ring on. What was learnt of the room stays.
    pub fn begin(&mut self) {
        self.high_pass = high_pass();
        self.near.clear();
        self.far.clear();
        for (samples, late) in
            [(&mut self.clean, FRAMING), (&mut self.linear, FRAMING + SUPPRESSING), (&mut self.echo, FRAMING + SUPPRESSING)]
        {
            samples.clear();
            samples.resize(late, 0.0);
        }
    }

    /// Takes 10 ms of both ends.
    pub fn frame(&mut self, near: &Frame, far: &Frame) -> Cancelled {
        if let Some(heard) = self.heard.first_mut() {
            heard.clear();
            heard.extend(near.iter().map(|x| x * STEPS));
        }
        self.high_pass.process_channels(&mut self.heard);
        self.near.extend(self.heard.iter().flatten());
        self.far.extend(far.iter().map(|x| x * STEPS));
        while self.near.len() >= BLOCK_SIZE {
            self.block();
        }
        Cancelled { clean: taken(&mut self.clean), linear: taken(&mut self.linear), echo: taken(&mut self.echo) }
    }

    fn block(&mut self) {
        let (mut far, mut near, mut linear) = (Block::new(1, 1), Block::new(1, 1), Block::new(1, 1));
        for (slot, sample) in far.view_mut(0, 0).iter_mut().zip(self.far.drain(..BLOCK_SIZE)) {
            *slot = sample;
        }
        let mut heard = [0.0; BLOCK_SIZE];
        for (slot, sample) in heard.iter_mut().zip(self.near.drain(..BLOCK_SIZE)) {
            *slot = sample;
        }
        near.view_mut(0, 0).copy_from_slice(&heard);
        let overdriven = heard.iter().any(|x| x.abs() >= OVERDRIVEN);
        self.processor.buffer_render(&far);
        self.processor.process_capture(false, overdriven, Some(&mut linear), &mut near);
        self.clean.extend(near.view(0, 0).iter().map(|x| x / STEPS));
        self.linear.extend(linear.view(0, 0).iter().map(|x| x / STEPS));
        self.echo.extend(heard.iter().zip(linear.view(0, 0)).map(|(x, left)| (x - left) / STEPS));
    }

    /// The delay of the echo that it has found, in milliseconds; None before it has.
    #[must_use]
    pub fn delay_ms(&self) -> Option<i32> {
        Some(self.processor.get_metrics().delay_ms).filter(|ms| *ms > 0)
    }
}

fn high_pass() -> HighPassFilter {
    HighPassFilter::new(SAMPLE_RATE_HZ as i32, 1)
}

/// The oldest frame of `samples`; what is not there yet is silence.
fn taken(samples: &mut VecDeque<f32>) -> Frame {
    std::array::from_fn(|_| tame(samples.pop_front().unwrap_or(0.0)))
}

/// Noise suppression and automatic gain, where the user wants them: on everything that is heard.
pub(super) struct Polish {
    processing: AudioProcessing,
    wanted: (Switch, Switch),
    waiting: Vec<f32>,
}

impl Polish {
    pub(super) fn new(noise_suppression: Switch, automatic_gain: Switch) -> Self {
        let gain = GainController2 { adaptive_digital: Some(AdaptiveDigital::default()), ..GainController2::default() };
        let config = Config {
            noise_suppression: (noise_suppression == Switch::On).then(NoiseSuppression::default),
            gain_controller2: (automatic_gain == Switch::On).then_some(gain),
            ..Config::default()
        };
        let stream = StreamConfig::new(SAMPLE_RATE_HZ, 1);
        let processing = AudioProcessing::builder().config(config).capture_config(stream).render_config(stream).build();
        Self { processing, wanted: (noise_suppression, automatic_gain), waiting: Vec::new() }
    }

    pub(super) const fn wanted(&self) -> (Switch, Switch) {
        self.wanted
    }

    /// Processes whole frames of 10 ms; what is left waits for the rest of its frame.
    pub(super) fn step(&mut self, samples: &mut Vec<f32>) {
        self.waiting.append(samples);
        let (frames, rest) = self.waiting.as_chunks::<HOP_SAMPLES>();
        for frame in frames {
            let mut out = [0.0; HOP_SAMPLES];
            if self.processing.process_capture_f32(&[frame], &mut [&mut out]).is_err() {
                out = *frame;
            }
            samples.extend(out.map(tame));
        }
        self.waiting = rest.to_vec();
    }
}
