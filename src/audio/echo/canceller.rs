//! sonora's echo canceller, noise suppression and automatic gain, in frames of 10 ms at 16 kHz.
//!
//! Not responsible for pairing the two ends (see [`super::EchoPath`]).

use sonora::config::{AdaptiveDigital, EchoCanceller as EchoConfig, GainController2, NoiseSuppression};
use sonora::{AudioProcessing, Config, StreamConfig};

use crate::protocol::Switch;
use crate::time::{HOP_SAMPLES, SAMPLE_RATE_HZ};

/// Takes the echo of what is played out of what is heard. Its output is 8 ms late (CRATES.md section 5).
pub struct Canceller {
    processing: AudioProcessing,
}

impl Default for Canceller {
    fn default() -> Self {
        Self::new()
    }
}

fn processing(config: Config) -> AudioProcessing {
    let stream = StreamConfig::new(SAMPLE_RATE_HZ, 1);
    AudioProcessing::builder().config(config).capture_config(stream).render_config(stream).build()
}

impl Canceller {
    /// A canceller that knows nothing of the room yet.
    #[must_use]
    pub fn new() -> Self {
        Self { processing: processing(Config { echo_canceller: Some(EchoConfig::default()), ..Config::default() }) }
    }

    /// Takes 10 ms of both ends; `out` is what is left of the near one.
    pub fn frame(&mut self, near: &[f32; HOP_SAMPLES], far: &[f32; HOP_SAMPLES], out: &mut [f32; HOP_SAMPLES]) {
        let mut scratch = [0.0; HOP_SAMPLES];
        // Frames of this size at this rate are never refused; if one were, the near end would pass as it is.
        let done = self.processing.process_render_f32(&[far], &mut [&mut scratch]);
        let done = done.and_then(|()| self.processing.process_capture_f32(&[near], &mut [&mut out[..]]));
        if done.is_err() {
            *out = *near;
        }
        for sample in out.iter_mut() {
            *sample = super::super::tame(*sample);
        }
    }

    /// The delay of the echo that it has found, in milliseconds; None before it has.
    #[must_use]
    pub fn delay_ms(&self) -> Option<i32> {
        self.processing.statistics().delay_ms.filter(|ms| *ms > 0)
    }
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
        Self { processing: processing(config), wanted: (noise_suppression, automatic_gain), waiting: Vec::new() }
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
            samples.extend(out.map(super::super::tame));
        }
        self.waiting = rest.to_vec();
    }
}
