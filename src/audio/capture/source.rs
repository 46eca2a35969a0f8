//! [`CaptureSource`]: the open stream, resampled, and what happens when it is lost.

mod recovery;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::backend::{Backend, System};
use super::pace::{Lost, Pace};
use super::ring::ReadOutcome;
use super::stream::InputStream;
use super::trouble::{is_fatal, what};
use super::watch::Seen;
use crate::audio::resample::Resampler;
use crate::audio::{Source, SourceEvent};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::{DeviceChoice, GapCause};
use crate::time::SAMPLE_RATE_HZ;
use recovery::Loss;

/// How long `next` waits at most.
const WAIT: Duration = Duration::from_millis(100);
/// How often the ring is looked at while waiting: a callback comes every 50 ms.
const LOOK: Duration = Duration::from_millis(20);
/// A running device that delivers nothing for so long is lost (CRATES.md 3.4: callbacks may just stop).
const STALL: Duration = Duration::from_millis(1_500);
/// The first samples may take longer: an idle PulseAudio source wakes after up to 1.9 s (CRATES.md 3.2).
const FIRST_FRAMES: Duration = Duration::from_secs(3);
/// Exact zeros for so long, after sound that had none, are no silence: no room and no converter is so quiet.
const ZEROS_SECS: u64 = 30;
/// How often the clocks are looked at for a sleep of the machine.
const SLEEP_LOOK: Duration = Duration::from_secs(1);
/// What the clocks differ by without a sleep is far less.
const SLEPT_SECS: f64 = 2.0;

/// A microphone.
pub struct CaptureSource {
    backend: Arc<dyn Backend>,
    choice: DeviceChoice,
    /// Inputs that are never taken unless they are chosen by name.
    excluded: Vec<String>,
    /// The id of the chosen input, once it was open.
    chosen_id: Option<String>,
    name: String,
    state: State,
    /// Seconds that the machine had slept when that was last looked at, and when that was.
    slept: (f64, Instant),
    seen: Receiver<Seen>,
    switching: Option<Receiver<Result<InputStream>>>,
    raw: Vec<f32>,
    pending: VecDeque<SourceEvent>,
}

enum State {
    Paused,
    Listening(Live),
    Lost(Loss),
}

struct Live {
    stream: InputStream,
    resampler: Resampler,
    opened_at: Instant,
    frames: u64,
    last_frames_at: Instant,
    pace: Pace,
    /// Why the stream is dead.
    dead: Option<String>,
    /// Frames that were exactly zero, one after the other, since anything else was heard; none before that.
    zeros: Option<u64>,
    /// Whether it stands in for the chosen one, which is not there.
    standing: Standing,
}

/// What an open stream is to the user's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Chosen,
    StandIn,
}

impl Live {
    fn new(stream: InputStream, standing: Standing) -> Result<Self> {
        let resampler = Resampler::new(stream.rate_hz())?;
        let (now, pace) = (Instant::now(), Pace::new(stream.rate_hz()));
        Ok(Self { stream, resampler, opened_at: now, frames: 0, last_frames_at: now, pace, dead: None, zeros: None, standing })
    }

    /// Counts exact zeros; true when there have been too many for a microphone that has been heard before.
    fn only_zeros(&mut self, raw: &[f32]) -> bool {
        if raw.iter().any(|sample| *sample != 0.0) {
            self.zeros = Some(0);
        }
        let Some(zeros) = &mut self.zeros else { return false };
        *zeros += raw.iter().rev().take_while(|sample| **sample == 0.0).count() as u64;
        *zeros >= ZEROS_SECS * u64::from(self.stream.rate_hz())
    }

    /// Looks at what arrived and at what the sound system reported.
    fn look(&mut self) {
        while let Some(fault) = self.stream.fault() {
            if is_fatal(fault.error.kind()) {
                self.dead.get_or_insert(what(&fault.error));
            } else if fault.error.kind() == cpal::ErrorKind::Xrun {
                self.pace.lose(fault.frames);
            }
        }
        let frames = self.stream.reader().frames();
        if frames != self.frames {
            self.frames = frames;
            self.last_frames_at = Instant::now();
            self.pace.see(self.opened_at.elapsed().as_secs_f64(), frames);
        }
    }

    /// What the sound system lost before it reached the ring.
    fn lost(&mut self) -> Option<SourceEvent> {
        Some(match self.pace.lost(self.opened_at.elapsed().as_secs_f64())? {
            Lost::Secs(secs) => SourceEvent::Gap { samples: (secs * f64::from(SAMPLE_RATE_HZ)).round() as u64, cause: GapCause::Overrun },
            Lost::Unmeasured => {
                let message = format!("{}: the sound system lost a little sound, too little to measure", self.stream.name());
                SourceEvent::Problem(Error::new(ErrorKind::Busy, message).with_remedy(Remedy::CloseOtherPrograms))
            }
        })
    }

    /// Why the stream is dead, if it is.
    fn failure(&mut self) -> Option<String> {
        self.look();
        if self.dead.is_some() {
            return self.dead.clone();
        }
        let limit = if self.frames == 0 { FIRST_FRAMES } else { STALL };
        (self.last_frames_at.elapsed() > limit).then(|| "it delivers nothing any more".to_owned())
    }
}

impl CaptureSource {
    /// Opens the input that `choice` means and starts it; none of `excluded` is taken unless it is chosen by name.
    ///
    /// # Errors
    /// When there is no such input, or it is in use, forbidden or fails; the message names it.
    pub fn open(choice: &DeviceChoice, excluded: &[String]) -> Result<Self> {
        Self::open_with(System::shared(), choice, excluded)
    }

    /// Opens the input that `choice` means; where that fails it says so, and goes on trying as after a loss.
    #[must_use]
    pub fn open_or_retry(choice: &DeviceChoice, excluded: &[String]) -> Self {
        Self::open(choice, excluded).unwrap_or_else(|error| {
            let mut own = Self::closed(System::shared(), choice, excluded);
            own.state = State::Lost(Loss::new(Instant::now(), own.slept.0));
            own.pending.push_back(SourceEvent::Problem(error));
            own
        })
    }

    fn open_with(backend: Arc<dyn Backend>, choice: &DeviceChoice, excluded: &[String]) -> Result<Self> {
        let live = Live::new(backend.open(choice, excluded)?, Standing::Chosen)?;
        let mut own = Self::closed(backend, choice, excluded);
        own.take_over(live);
        // That it is open goes without saying.
        own.pending.clear();
        Ok(own)
    }

    fn closed(backend: Arc<dyn Backend>, choice: &DeviceChoice, excluded: &[String]) -> Self {
        Self {
            choice: choice.clone(),
            excluded: excluded.to_vec(),
            chosen_id: None,
            name: "no input yet".to_owned(),
            state: State::Paused,
            slept: (backend.slept_secs(), Instant::now()),
            seen: backend.watch(),
            switching: None,
            raw: Vec::new(),
            pending: VecDeque::new(),
            backend,
        }
    }

    /// Rate of the device, in Hz; 0 while it is closed.
    #[must_use]
    pub fn rate_hz(&self) -> u32 {
        if let State::Listening(live) = &self.state { live.stream.rate_hz() } else { 0 }
    }

    /// Channels of the device; 0 while it is closed.
    #[must_use]
    pub fn channels(&self) -> u16 {
        if let State::Listening(live) = &self.state { live.stream.channels() } else { 0 }
    }

    fn take_over(&mut self, live: Live) {
        let stream = &live.stream;
        stream.name().clone_into(&mut self.name);
        if live.standing == Standing::Chosen {
            self.chosen_id = Some(stream.id().to_owned());
        }
        self.pending.push_back(SourceEvent::InputChanged {
            device: self.name.clone(),
            rate_hz: stream.rate_hz(),
            channels: stream.channels(),
        });
        self.state = State::Listening(live);
    }

    fn listen(&mut self, out: &mut Vec<f32>) -> SourceEvent {
        if let Some(heard) = self.wake_up(out) {
            return heard;
        }
        let State::Listening(live) = &mut self.state else { return SourceEvent::Nothing };
        let start = out.len();
        self.raw.clear();
        live.look();
        if let Some(lost) = live.lost() {
            note(live.resampler.finish(out), &mut self.pending);
            self.pending.push_back(lost);
            return self.deliver(start, out);
        }
        match live.stream.reader().read(&mut self.raw) {
            ReadOutcome::Samples(_) => {
                note(live.resampler.step(&self.raw, out), &mut self.pending);
                if live.only_zeros(&self.raw) {
                    return self.lose("for 30 s it has delivered nothing but exact zeros", GapCause::Zeros, start, out);
                }
                if let Some(heard) = self.follow(start, out) {
                    return heard;
                }
            }
            ReadOutcome::Lost(lost) => {
                note(live.resampler.finish(out), &mut self.pending);
                let samples = (lost * u64::from(SAMPLE_RATE_HZ)).div_ceil(u64::from(live.stream.rate_hz().max(1)));
                self.pending.push_back(SourceEvent::Gap { samples, cause: GapCause::Overrun });
            }
            ReadOutcome::Empty => {
                if let Some(why) = live.failure() {
                    return self.lose(&why, GapCause::DeviceLost, start, out);
                }
                if let Some(heard) = self.follow(start, out) {
                    return heard;
                }
            }
        }
        self.deliver(start, out)
    }

    /// Bounds what was appended since `start`, and says so.
    fn deliver(&mut self, start: usize, out: &mut [f32]) -> SourceEvent {
        for sample in &mut out[start..] {
            *sample = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        }
        match out.len() - start {
            0 => self.pending.pop_front().unwrap_or(SourceEvent::Nothing),
            n => SourceEvent::Samples(n),
        }
    }
}

/// Trouble of the resampler is told, and listening goes on.
fn note(done: Result<()>, pending: &mut VecDeque<SourceEvent>) {
    pending.extend(done.err().map(SourceEvent::Problem));
}

impl Source for CaptureSource {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        let deadline = Instant::now() + WAIT;
        loop {
            if let Some(heard) = self.pending.pop_front() {
                return Ok(heard);
            }
            let heard = match self.state {
                State::Paused => SourceEvent::Nothing,
                State::Listening(_) => self.listen(out),
                State::Lost(_) => self.recover(),
            };
            if heard != SourceEvent::Nothing || Instant::now() >= deadline {
                return Ok(heard);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    /// Closes the stream.
    fn pause(&mut self) {
        self.state = State::Paused;
        self.switching = None;
        self.pending.clear();
    }

    fn resume(&mut self) -> Result<()> {
        if matches!(self.state, State::Paused) {
            let live = Live::new(self.backend.open(&self.choice, &self.excluded)?, Standing::Chosen)?;
            self.slept = (self.backend.slept_secs(), Instant::now());
            self.take_over(live);
        }
        Ok(())
    }
}
