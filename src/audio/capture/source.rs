//! [`CaptureSource`]: an open microphone stream, resampled to 16 kHz, with recovery from its loss.

mod recovery;
mod silence;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::backend::{Backend, System};
use super::device_error::{cause, is_fatal};
use super::device_watcher::DeviceSnapshot;
use super::devices::{find_input, is_monitor};
use super::loss_meter::{LossMeter, MeasuredLoss};
use super::ring::ReadOutcome;
use super::stream::InputStream;
use crate::audio::resample::Resampler;
use crate::audio::{Source, SourceEvent, sanitize};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::{ChannelChoice, DeviceChoice, GapCause};
use crate::time::SAMPLE_RATE_HZ;
use recovery::{Loss, Recovery};
use silence::{Reported, SilenceDetector};

/// Longest time that one call of [`Source::next`] waits for sound; the call then returns [`SourceEvent::Nothing`].
const WAIT: Duration = Duration::from_millis(100);
/// Interval at which a waiting [`Source::next`] looks for new samples; the sound system delivers some every 50 ms.
const POLL: Duration = Duration::from_millis(20);
/// Time without new frames after which a running device counts as lost: callbacks may stop without an error
/// (`src/audio/README.md`).
const STALL: Duration = Duration::from_millis(1_500);
/// Time without a first frame after which a newly opened device counts as failed: an idle PulseAudio source needs up to 1.9 s.
const FIRST_FRAMES: Duration = Duration::from_secs(3);
/// Length of digital silence after a signal, in seconds, from which the input counts as lost: noise of a room and of a converter is never
/// exactly zero.
const ZEROS_SECS: u64 = 30;
/// Time between two looks at the device from which Hearken counts as stopped; it looks every 100 ms.
const STOPPED: Duration = Duration::from_secs(1);
/// Time after a stop in which a loss counts as caused by it: longer than a device may take until it delivers.
const AFTER_STOP: Duration = Duration::from_secs(4);
/// Interval between two checks for system sleep.
const SLEEP_CHECK: Duration = Duration::from_secs(1);
/// Shortest sleep of the machine that is noticed, in seconds; without a sleep, the clock that runs in sleep and the one that stops differ
/// by far less.
const LEAST_SLEEP_SECS: f64 = 2.0;

/// A microphone that is opened again after its loss: the source of live listening.
pub struct CaptureSource {
    /// Sound system and sleep clock.
    backend: Arc<dyn Backend>,
    /// Input that the user chose.
    choice: DeviceChoice,
    /// Inputs (ids or names) that are opened only if `choice` names them.
    excluded: Vec<String>,
    /// Channels that are heard.
    channel: ChannelChoice,
    /// Readable name of the input opened last.
    name: String,
    state: InputState,
    /// Newest reading of the time spent in system sleep.
    sleep: SleepReading,
    silence: SilenceDetector,
    /// Receiver of the list of inputs, which comes every 2 s.
    snapshots: Receiver<DeviceSnapshot>,
    /// The stream that will replace the current one, while it is being opened on another thread; None unless a change is in
    /// progress.
    replacement: Option<Receiver<Result<InputStream>>>,
    /// Buffer of samples at the device's rate.
    raw: Vec<f32>,
    /// Events that the next calls of [`Source::next`] return, oldest first.
    pending: VecDeque<SourceEvent>,
}

/// The state of the input of a [`CaptureSource`].
enum InputState {
    /// No device is open, and none is wanted.
    Paused,
    /// The device is open and delivers sound.
    Listening(Box<Live>),
    /// The device was lost and is being reopened.
    Lost { loss: Loss, recovery: Recovery },
}

/// A reading of the time that the machine has slept since a fixed moment.
struct SleepReading {
    /// Time that the machine has slept since a fixed moment, in seconds.
    slept_secs: f64,
    /// Time of this reading.
    read_at: Instant,
}

impl SleepReading {
    fn now(backend: &dyn Backend) -> Self {
        Self { slept_secs: backend.slept_secs(), read_at: Instant::now() }
    }
}

/// An open stream with its resampler, its frame count and its losses.
struct Live {
    /// Open stream of the device.
    stream: InputStream,
    /// Resampler from the device's rate to 16 kHz.
    resampler: Resampler,
    /// Time at which the stream was opened.
    opened_at: Instant,
    /// Number of frames that the device had delivered at the last check.
    frames: u64,
    /// Time at which the number of frames last grew.
    last_frames_at: Instant,
    /// Time of the last check; long ago where Hearken itself was stopped.
    checked_at: Instant,
    /// Time at which Hearken was found to have been stopped, most recently.
    stopped_at: Option<Instant>,
    /// Meter of the sound that the sound system lost.
    loss_meter: LossMeter,
    /// Cause of a fatal error of the stream; None while it works.
    fatal: Option<String>,
    /// Number of consecutive zero frames at the end of the stream; None before its first non-zero frame.
    zero_frames: Option<u64>,
    /// Relation of the input to the user's choice.
    role: InputRole,
}

/// The relation of an open input to the user's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InputRole {
    /// The input that `choice` names, which may be the default.
    Chosen,
    /// The default input, used while an input chosen by name is missing.
    Fallback,
}

impl Live {
    fn new(stream: InputStream, role: InputRole) -> Result<Box<Self>> {
        let resampler = Resampler::new(stream.rate_hz())?;
        let (now, loss_meter) = (Instant::now(), LossMeter::new(stream.rate_hz()));
        Ok(Box::new(Self {
            stream,
            resampler,
            opened_at: now,
            frames: 0,
            last_frames_at: now,
            checked_at: now,
            stopped_at: None,
            loss_meter,
            fatal: None,
            zero_frames: None,
            role,
        }))
    }

    /// Counts the zero samples at the end of the stream, of which `raw` are the newest. Returns true once 30 s of zeros follow a signal.
    fn is_digital_silence(&mut self, raw: &[f32]) -> bool {
        if raw.iter().any(|sample| *sample != 0.0) {
            self.zero_frames = Some(0);
        }
        let Some(zeros) = &mut self.zero_frames else { return false };
        *zeros += raw.iter().rev().take_while(|sample| **sample == 0.0).count() as u64;
        *zeros >= ZEROS_SECS * u64::from(self.stream.rate_hz())
    }

    /// Reads the errors that the sound system reported and the number of frames delivered; keeps the cause of the first fatal error in
    /// `fatal`.
    fn check(&mut self) {
        let now = Instant::now();
        if now - std::mem::replace(&mut self.checked_at, now) >= STOPPED {
            self.stopped_at = Some(now);
        }
        while let Some(reported) = self.stream.next_error() {
            if is_fatal(reported.error.kind()) {
                self.fatal.get_or_insert(cause(&reported.error));
            } else if reported.error.kind() == cpal::ErrorKind::Xrun {
                self.loss_meter.report_loss(reported.frames);
            }
        }
        let frames = self.stream.reader().frames();
        if frames != self.frames {
            self.frames = frames;
            self.last_frames_at = Instant::now();
            self.loss_meter.observe(self.opened_at.elapsed().as_secs_f64(), frames);
        }
    }

    /// Returns [`SourceEvent::Gap`] for lost sound, once its length is measured and all sound before it is read, or
    /// [`SourceEvent::Problem`] for a loss too short to measure; None if there is no such loss.
    fn measured_loss(&mut self) -> Option<SourceEvent> {
        if self.loss_meter.loss_at()? > self.stream.reader().position() {
            return None;
        }
        let measured = self.loss_meter.measured(self.opened_at.elapsed().as_secs_f64());
        if self.loss_meter.loss_at().is_some() {
            return None;
        }
        Some(match measured? {
            MeasuredLoss::Secs(secs) => gap(secs, self.cause_of_loss(GapCause::Overrun)),
            MeasuredLoss::TooShort => {
                let message = format!("{}: the sound system lost a little sound, too short to measure", self.stream.name());
                SourceEvent::Problem(Error::new(ErrorKind::Busy, message).with_remedy(Remedy::CloseOtherPrograms))
            }
        })
    }

    /// Returns the cause if the stream has reported a fatal error or delivers nothing (for 3 s at its start, later for 1.5 s); None while
    /// it works.
    fn failure(&mut self) -> Option<String> {
        self.check();
        if self.fatal.is_some() {
            return self.fatal.clone();
        }
        let limit = if self.frames == 0 { FIRST_FRAMES } else { STALL };
        // While Hearken was stopped it could not look; the device has its time from then on.
        let since = self.stopped_at.map_or(self.last_frames_at, |at| at.max(self.last_frames_at));
        (since.elapsed() > limit).then(|| "the device delivers no more sound".to_owned())
    }

    /// Returns the cause of a loss that is found now: `cause`, unless Hearken was stopped a moment ago.
    fn cause_of_loss(&self, cause: GapCause) -> GapCause {
        if self.stopped_at.is_some_and(|at| at.elapsed() < AFTER_STOP) { GapCause::Stopped } else { cause }
    }

    /// Returns the time of the last sound that was read: what arrived behind a loss that is still being measured is given up.
    fn last_sound_at(&self) -> Instant {
        self.loss_meter.loss_since().map_or(self.last_frames_at, |secs| self.opened_at + Duration::from_secs_f64(secs))
    }
}

impl CaptureSource {
    /// Opens and starts the input that `choice` names. If that is the system's default and one of `excluded` (ids or names), opens
    /// another microphone.
    ///
    /// # Errors
    /// [`ErrorKind::InputDevice`], naming the device, when it does not exist, is in use or forbidden, or fails.
    pub fn open(choice: &DeviceChoice, excluded: &[String]) -> Result<Self> {
        Self::open_with(System::shared(), choice, excluded)
    }

    /// Opens the input that `choice` names, another microphone in place of a default that is one of `excluded` (ids or names). If that
    /// fails, the first event is the error, and opening is retried as after a loss.
    #[must_use]
    pub fn open_or_retry(choice: &DeviceChoice, excluded: &[String]) -> Self {
        Self::open(choice, excluded).unwrap_or_else(|error| {
            let mut own = Self::closed(System::shared(), choice, excluded);
            own.wait_for_input(error);
            own
        })
    }

    /// Reports `error` as the loss of the input, and begins to open it again and again.
    fn wait_for_input(&mut self, error: Error) {
        let loss = Loss::new(Instant::now(), self.sleep.slept_secs, GapCause::DeviceLost);
        self.state = InputState::Lost { loss, recovery: Recovery::begin() };
        self.pending.push_back(SourceEvent::InputLost(error));
    }

    /// Returns a source that is paused on the input that `choice` names: no device is opened before [`Source::resume`].
    ///
    /// # Errors
    /// [`ErrorKind::InputDevice`] when there is no such input.
    pub fn paused(choice: &DeviceChoice, excluded: &[String]) -> Result<Self> {
        let name = find_input(choice, excluded)?.name;
        Ok(Self { name, ..Self::closed(System::shared(), choice, excluded) })
    }

    /// Returns a paused source like [`CaptureSource::paused`], also for an input that is missing at present.
    #[must_use]
    pub fn paused_or_missing(choice: &DeviceChoice, excluded: &[String]) -> Self {
        Self::paused(choice, excluded).unwrap_or_else(|_| Self::closed(System::shared(), choice, excluded))
    }

    fn open_with(backend: Arc<dyn Backend>, choice: &DeviceChoice, excluded: &[String]) -> Result<Self> {
        let live = Live::new(backend.open(choice, excluded)?, InputRole::Chosen)?;
        let mut own = Self::closed(backend, choice, excluded);
        own.state = own.listen_to(live);
        // The first input is no change of input.
        own.pending.clear();
        Ok(own)
    }

    fn closed(backend: Arc<dyn Backend>, choice: &DeviceChoice, excluded: &[String]) -> Self {
        Self {
            choice: choice.clone(),
            excluded: excluded.to_vec(),
            channel: ChannelChoice::All,
            name: "no input yet".to_owned(),
            state: InputState::Paused,
            sleep: SleepReading::now(&*backend),
            silence: SilenceDetector::default(),
            snapshots: backend.watch(),
            replacement: None,
            raw: Vec::new(),
            pending: VecDeque::new(),
            backend,
        }
    }

    /// Returns the sample rate of the device, in Hz; 0 while it is closed.
    #[must_use]
    pub fn rate_hz(&self) -> u32 {
        if let InputState::Listening(live) = &self.state { live.stream.rate_hz() } else { 0 }
    }

    /// Returns the number of channels of the device; 0 while it is closed.
    #[must_use]
    pub fn channels(&self) -> u16 {
        if let InputState::Listening(live) = &self.state { live.stream.channels() } else { 0 }
    }

    /// Queues [`SourceEvent::InputChanged`] for the stream `live`, and returns the state of listening to this stream.
    fn listen_to(&mut self, live: Box<Live>) -> InputState {
        let stream = &live.stream;
        stream.name().clone_into(&mut self.name);
        let (rate_hz, channels) = (stream.rate_hz(), stream.channels());
        self.pending.push_back(SourceEvent::InputChanged { device: self.name.clone(), rate_hz, channels });
        self.silence.input_changed(&self.name);
        self.apply_channel(live)
    }

    /// Has the stream `live` deliver the chosen channel, and reports one that it does not have. Returns the state of listening to it.
    fn apply_channel(&mut self, mut live: Box<Live>) -> InputState {
        live.stream.reader().choose_channel(self.channel);
        let channels = live.stream.channels();
        if let ChannelChoice::Only(number) = self.channel
            && number.get() > channels
        {
            let message = format!("{}: there is no channel {number}, only {channels}; all are heard", self.name);
            self.pending.push_back(SourceEvent::Problem(Error::new(ErrorKind::InputDevice, message)));
        }
        InputState::Listening(live)
    }

    /// Reads from the open stream: appends samples, at 16 kHz, to `out` and returns their event, or the event of a loss or change.
    fn listen(&mut self, out: &mut Vec<f32>) -> SourceEvent {
        if let Some(event) = self.notice_sleep(out) {
            return event;
        }
        let InputState::Listening(live) = &mut self.state else { return SourceEvent::Nothing };
        let start = out.len();
        self.raw.clear();
        live.check();
        if let Some(loss) = live.measured_loss() {
            report_error(live.resampler.finish(out), &mut self.pending);
            self.pending.push_back(loss);
            return self.deliver(start, out);
        }
        // The sound behind a loss waits until its length is known, so that the gap stands at its place.
        let until = live.loss_meter.loss_at().unwrap_or(u64::MAX);
        match live.stream.reader().read_until(until, &mut self.raw) {
            ReadOutcome::Samples(_) => {
                report_error(live.resampler.step(&self.raw, out), &mut self.pending);
                if live.is_digital_silence(&self.raw) {
                    return self.lose("only exact zeros for 30 s", GapCause::Zeros, start, out);
                }
                // A computer may play nothing for hours.
                if !is_monitor(live.stream.id())
                    && let Some(reported) = self.silence.observe(&self.raw, live.stream.rate_hz())
                {
                    self.pending.push_back(match reported {
                        Reported::Silent => SourceEvent::InputSilent { device: self.name.clone() },
                        Reported::Deaf => SourceEvent::Problem(deaf(&self.name)),
                        Reported::Audible => SourceEvent::InputAudible,
                    });
                }
                if let Some(event) = self.follow_devices(start, out) {
                    return event;
                }
            }
            ReadOutcome::Lost(lost) => {
                report_error(live.resampler.finish(out), &mut self.pending);
                let samples = (lost * u64::from(SAMPLE_RATE_HZ)).div_ceil(u64::from(live.stream.rate_hz().max(1)));
                self.pending.push_back(SourceEvent::Gap { samples, cause: GapCause::Overrun });
            }
            ReadOutcome::Empty => {
                if let Some(why) = live.failure() {
                    return self.lose(&why, GapCause::DeviceLost, start, out);
                }
                if let Some(event) = self.follow_devices(start, out) {
                    return event;
                }
            }
        }
        self.deliver(start, out)
    }

    /// Clamps the samples in `out` from index `start` on to -1 ..= 1 and returns the event with their number; without samples returns the
    /// next queued event, or [`SourceEvent::Nothing`].
    fn deliver(&mut self, start: usize, out: &mut [f32]) -> SourceEvent {
        for sample in &mut out[start..] {
            *sample = sanitize(*sample);
        }
        match out.len() - start {
            0 => self.pending.pop_front().unwrap_or(SourceEvent::Nothing),
            n => SourceEvent::Samples(n),
        }
    }
}

/// Queues the error of a failed resampling in `pending` as [`SourceEvent::Problem`]; listening continues.
fn report_error(done: Result<()>, pending: &mut VecDeque<SourceEvent>) {
    pending.extend(done.err().map(SourceEvent::Problem));
}

/// Returns the error for the input `name` that has delivered no sound since it was opened.
fn deaf(name: &str) -> Error {
    let message = format!("{name}: no sound has arrived since it was opened, only silence as of a muted microphone");
    Error::new(ErrorKind::SilentInput, message).with_remedy(Remedy::UnmuteInput)
}

/// Returns the event for `secs` seconds of lost sound.
fn gap(secs: f64, cause: GapCause) -> SourceEvent {
    SourceEvent::Gap { samples: (secs * f64::from(SAMPLE_RATE_HZ)).round() as u64, cause }
}

impl Source for CaptureSource {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        let deadline = Instant::now() + WAIT;
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            let event = match self.state {
                InputState::Paused => SourceEvent::Nothing,
                InputState::Listening(_) => self.listen(out),
                InputState::Lost { .. } => self.recover(),
            };
            if event != SourceEvent::Nothing || Instant::now() >= deadline {
                return Ok(event);
            }
            std::thread::sleep(POLL);
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    /// Closes the stream and drops the events that have not been delivered.
    fn pause(&mut self) {
        self.state = InputState::Paused;
        self.replacement = None;
        self.pending.clear();
        self.silence.input_closed();
    }

    fn choose_channel(&mut self, channel: ChannelChoice) {
        self.channel = channel;
        self.state = match std::mem::replace(&mut self.state, InputState::Paused) {
            InputState::Listening(live) => self.apply_channel(live),
            other => other,
        };
    }

    /// Opens the input. If that fails, the next event is the error, and opening is retried as after a loss.
    fn resume(&mut self) -> Result<()> {
        if matches!(self.state, InputState::Paused) {
            let opened = self.backend.open(&self.choice, &self.excluded).and_then(|stream| Live::new(stream, InputRole::Chosen));
            self.sleep = SleepReading::now(&*self.backend);
            match opened {
                Ok(live) => self.state = self.listen_to(live),
                Err(error) => self.wait_for_input(error),
            }
        }
        Ok(())
    }
}
