//! The microphone while Hearken speaks: its own voice taken out, and a person who speaks over it noticed.
//!
//! Responsible for pairing what the microphone hears with what was played just then, for the canceller that runs on such
//! pairs, for the verdict whether somebody speaks ([`barge_in`]), and for what of both is passed on: no echo while nobody
//! speaks, all of a person who does. Once nothing has been played for half a second samples pass untouched. Not responsible for what is done about the verdict, nor for playing.

pub mod barge_in;
pub mod canceller;
mod held;
mod likeness;
pub mod voicing;

use std::collections::VecDeque;

use super::playback::ring::{FarEnd, Loudness};
use super::playback::{FarEndSlot, Route};
use super::resample::Resampler;
use crate::error::Result;
use crate::protocol::{EchoChoice, Interrupt, Switch, VoiceSettings};
use crate::time::HOP_SAMPLES;
use barge_in::{BargeIn, Verdict};
use canceller::{Cancelled, Canceller, Polish};
use held::{Held, Which};
use likeness::Likeness;
use voicing::{HeardFrame, Listener};

/// The canceller runs on after the last sample that was played: 0.5 s.
const AFTER_FRAMES: u32 = 50;
/// Each sample of the microphone is paired with what was handed to the loudspeaker so much later: 10 ms. The pair is causal
/// then, also when the callback of the loudspeaker comes late; what the sound really takes is the canceller's to find.
const MARGIN: i64 = HOP_SAMPLES as i64;
/// The microphone waits for its far end at most so long (150 ms); then the far end is taken for silent.
const HOLD: usize = 15 * HOP_SAMPLES;
/// An output that stood still for so long while the microphone went on is gone: 1 s.
const GONE: usize = 100 * HOP_SAMPLES;
/// Far end that is ahead of the microphone by more than this (200 ms) shows that the microphone lost samples, or that two
/// clocks have drifted apart: it is paired anew.
const AHEAD: usize = 20 * HOP_SAMPLES;
/// Below this a played sample is silence: half a step of 16 bits.
const SILENT: f32 = 1.5e-5;

/// What was noticed in a stretch of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VoiceActivity {
    /// Nothing of interest.
    Inactive,
    /// Somebody speaks.
    Speech,
    /// Somebody began to speak over a reply.
    BargeIn,
}

/// The path of the microphone's samples.
pub struct EchoPath {
    slot: FarEndSlot,
    far_end: Option<(FarEnd, Route)>,
    resampler: Option<Resampler>,
    conduct: VoiceSettings,
    /// Played, 16 kHz, not yet paired.
    far: VecDeque<f32>,
    /// Far-end samples that are thrown away when they come: they belong to what was passed on without them.
    skip: usize,
    near: VecDeque<f32>,
    state: State,
    canceller: Canceller,
    polish: Option<Polish>,
    held: Held,
    detector: BargeIn,
    likeness: Likeness,
    listeners: Listeners,
    /// What was left of a frame when nothing was being cancelled.
    rest: Vec<f32>,
    scratch: Vec<f32>,
}

/// One for each of what is listened to: each has its own floor.
#[derive(Default)]
struct Listeners {
    raw: Listener,
    linear: Listener,
    clean: Listener,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// Something is being played, or was so many frames ago. `starved` samples were paired with no far end in a row.
    Cancelling {
        quiet_frames: u32,
        starved: usize,
    },
}

impl EchoPath {
    /// A path that finds what is played in `slot`.
    #[must_use]
    pub fn new(slot: FarEndSlot, conduct: VoiceSettings) -> Self {
        let mut path = Self {
            slot,
            far_end: None,
            resampler: None,
            conduct,
            far: VecDeque::new(),
            skip: 0,
            near: VecDeque::new(),
            state: State::Idle,
            canceller: Canceller::new(),
            polish: None,
            held: Held::default(),
            detector: BargeIn::default(),
            likeness: Likeness::default(),
            listeners: Listeners::default(),
            rest: Vec::new(),
            scratch: Vec::new(),
        };
        path.configure(conduct);
        path
    }

    /// Goes on with other settings.
    pub fn configure(&mut self, conduct: VoiceSettings) {
        self.conduct = conduct;
        let wanted = (conduct.noise_suppression, conduct.automatic_gain);
        if wanted == (Switch::Off, Switch::Off) {
            self.polish = None;
        } else if self.polish.as_ref().is_none_or(|polish| polish.wanted() != wanted) {
            self.polish = Some(Polish::new(conduct.noise_suppression, conduct.automatic_gain));
        }
    }

    /// Takes what the microphone heard (16 kHz) and leaves what the model is to hear in its place: as many samples in all,
    /// some of them later.
    pub fn step(&mut self, samples: &mut Vec<f32>) -> VoiceActivity {
        self.fetch_far();
        let was_idle = self.state == State::Idle;
        if was_idle && !self.begins() {
            let far_db = if self.far.is_empty() { voicing::SILENCE_DB } else { voicing::level_db(self.far.make_contiguous()) };
            self.far.clear();
            let noticed = self.listen(samples, far_db);
            self.polish(samples);
            return noticed;
        }
        self.near.extend(samples.drain(..));
        if was_idle {
            self.state = State::Cancelling { quiet_frames: 0, starved: 0 };
            self.detector.begin();
            self.canceller.begin();
            self.pair();
        } else if matches!(self.state, State::Cancelling { starved: 1.., .. }) && !self.far.is_empty() {
            // The loudspeaker stood still, or its callback came very late: only now is it known what belongs together.
            self.pair();
        }
        let mut noticed = VoiceActivity::Inactive;
        while matches!(self.state, State::Cancelling { .. }) && self.near.len() >= HOP_SAMPLES {
            let ready = self.far.len() >= HOP_SAMPLES;
            if !ready && self.near.len() < HOLD {
                break;
            }
            noticed = noticed.max(self.frame(samples));
        }
        if self.state == State::Idle {
            self.flush(samples);
        }
        self.polish(samples);
        noticed
    }

    /// Samples of the microphone were lost here: what was played meanwhile has no partner.
    pub fn gap(&mut self, samples: u64) {
        if self.state != State::Idle {
            let lost = usize::try_from(samples).unwrap_or(usize::MAX).min(GONE);
            let there = lost.min(self.far.len());
            self.far.drain(..there);
            self.skip += lost - there;
        }
    }

    /// Gives out what is still held, and begins anew: the microphone was closed, or another takes its place.
    pub fn reset(&mut self, out: &mut Vec<f32>) {
        self.stop();
        self.flush(out);
        self.listeners = Listeners::default();
        self.rest.clear();
    }

    /// The delay between what is handed to the loudspeaker and its echo that the canceller has found, in milliseconds.
    #[must_use]
    pub fn delay_ms(&self) -> Option<i32> {
        self.canceller.delay_ms().map(|ms| (i64::from(ms) - MARGIN / 16) as i32)
    }

    /// Whether the canceller runs.
    #[must_use]
    pub fn is_cancelling(&self) -> bool {
        self.state != State::Idle
    }

    /// Takes what was played since the last time, at 16 kHz.
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
            // Nobody took it for two seconds: what is paired now would be wrong.
            self.far.clear();
            self.skip = 0;
        }
    }

    /// Whether something has begun to be played that the microphone may hear.
    fn begins(&self) -> bool {
        let hears = match (self.conduct.echo, &self.far_end) {
            (_, None) | (EchoChoice::Off, _) => false,
            (EchoChoice::On, Some(_)) => true,
            (EchoChoice::Auto, Some((_, route))) => *route == Route::Room,
        };
        hears && self.far.iter().any(|x| x.abs() > SILENT)
    }

    /// Pairs the newest sample of the microphone with the newest that was handed to the loudspeaker, and a margin.
    fn pair(&mut self) {
        self.skip = 0;
        let surplus = self.far.len() as i64 + MARGIN - self.near.len() as i64;
        if surplus >= 0 {
            // Some of what was played came before what is held of the microphone.
            let there = (surplus as usize).min(self.far.len());
            self.far.drain(..there);
            self.skip = surplus as usize - there;
        } else {
            for _ in surplus..0 {
                self.far.push_front(0.0);
            }
        }
    }

    /// Cancels one frame of 10 ms.
    fn frame(&mut self, out: &mut Vec<f32>) -> VoiceActivity {
        let State::Cancelling { quiet_frames, starved } = &mut self.state else { return VoiceActivity::Inactive };
        let (mut near, mut far) = ([0.0; HOP_SAMPLES], [0.0; HOP_SAMPLES]);
        for (slot, sample) in near.iter_mut().zip(self.near.drain(..HOP_SAMPLES)) {
            *slot = sample;
        }
        if self.far.len() > self.near.len() + AHEAD {
            let surplus = self.far.len() - self.near.len();
            self.far.drain(..surplus);
        }
        if self.far.len() >= HOP_SAMPLES {
            for (slot, sample) in far.iter_mut().zip(self.far.drain(..HOP_SAMPLES)) {
                *slot = sample;
            }
            *starved = 0;
        } else {
            *starved += HOP_SAMPLES;
        }
        let sounds = far.iter().any(|x| x.abs() > SILENT);
        *quiet_frames = if sounds { 0 } else { *quiet_frames + 1 };
        let ends = *quiet_frames > AFTER_FRAMES || *starved >= GONE;
        let cancelled = self.canceller.frame(&near, &far);
        let verdict = self.verdict(&near, &far, &cancelled);
        let which = if verdict == Verdict::Alone { Which::Clean } else { Which::Whole };
        self.held.push(cancelled, which, out);
        let noticed = self.act_on(verdict);
        if ends {
            self.stop();
        }
        noticed
    }

    fn verdict(&mut self, near: &[f32; HOP_SAMPLES], far: &[f32; HOP_SAMPLES], cancelled: &Cancelled) -> Verdict {
        self.likeness.hear(&cancelled.linear, &cancelled.echo, far);
        let frame = barge_in::Frame {
            raw_db: self.listeners.raw.level(near),
            echo_db: voicing::level_db(&cancelled.echo),
            linear: self.listeners.linear.hear(&cancelled.linear),
            clean: self.listeners.clean.hear(&cancelled.clean),
            far_db: voicing::level_db(far),
            delay_ms: self.canceller.delay_ms(),
        };
        self.detector.step(&frame, || self.likeness.greatest())
    }

    /// Does what a verdict means while something is played.
    fn act_on(&self, verdict: Verdict) -> VoiceActivity {
        let Some((far_end, _)) = &self.far_end else { return VoiceActivity::Inactive };
        if self.conduct.interrupt == Interrupt::LetFinish || !far_end.is_playing() {
            return if self.detector.hears_speech() { VoiceActivity::Speech } else { VoiceActivity::Inactive };
        }
        match verdict {
            Verdict::Alone => {
                far_end.play_at(Loudness::Full);
                VoiceActivity::Inactive
            }
            Verdict::Perhaps => {
                far_end.play_at(Loudness::Ducked);
                VoiceActivity::Inactive
            }
            Verdict::Speaking => {
                far_end.cut();
                VoiceActivity::BargeIn
            }
        }
    }

    /// Looks for speech in what passes untouched: nothing is played, or into headphones, or so it was said.
    fn listen(&mut self, samples: &[f32], far_db: f32) -> VoiceActivity {
        self.rest.extend_from_slice(samples);
        let mut noticed = VoiceActivity::Inactive;
        let (frames, rest) = self.rest.as_chunks::<HOP_SAMPLES>();
        for frame in frames {
            let clean = self.listeners.clean.hear(frame);
            let raw_db = self.listeners.raw.level(frame);
            // No canceller runs: there is nothing that its filter could know.
            let linear = HeardFrame { voicing: 0.0, ..clean };
            let heard = barge_in::Frame { raw_db, echo_db: f32::NEG_INFINITY, linear, clean, far_db, delay_ms: None };
            let verdict = self.detector.step(&heard, || 0.0);
            if self.detector.hears_speech() {
                noticed = noticed.max(VoiceActivity::Speech);
            }
            let cuts = verdict == Verdict::Speaking && self.conduct.interrupt == Interrupt::Cut;
            if let Some((far_end, _)) = self.far_end.as_ref().filter(|(far_end, _)| cuts && far_end.is_playing()) {
                far_end.cut();
                noticed = VoiceActivity::BargeIn;
            }
        }
        self.rest = rest.to_vec();
        noticed
    }

    fn polish(&mut self, samples: &mut Vec<f32>) {
        if let Some(polish) = &mut self.polish {
            polish.step(samples);
        }
    }

    fn stop(&mut self) {
        self.state = State::Idle;
        self.far.clear();
        self.skip = 0;
        if let Some((far_end, _)) = &self.far_end {
            far_end.play_at(Loudness::Full);
        }
    }

    fn flush(&mut self, out: &mut Vec<f32>) {
        self.held.flush(out);
        out.extend(self.near.drain(..));
    }
}

fn resample(resampler: &mut Resampler, input: &[f32], out: &mut Vec<f32>) -> Result<()> {
    if input.is_empty() { Ok(()) } else { resampler.step(input, out) }
}
