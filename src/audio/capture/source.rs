//! [`CaptureSource`]: the open stream, resampled, and what happens when it is lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};

use super::devices::is_monitor;
use super::pace::{Lost, Pace};
use super::ring::ReadOutcome;
use super::stream::InputStream;
use super::trouble::{is_fatal, what};
use super::watch::{Seen, watch};
use crate::audio::resample::Resampler;
use crate::audio::{Heard, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{DeviceChoice, GapCause};
use crate::time::SAMPLE_RATE_HZ;

/// How long `next` waits at most.
const WAIT: Duration = Duration::from_millis(100);
/// How often the ring is looked at while waiting: half of a callback's 20 ms.
const LOOK: Duration = Duration::from_millis(10);
/// A running device that delivers nothing for so long is lost (CRATES.md 3.4: callbacks may just stop).
const STALL: Duration = Duration::from_millis(1_500);
/// The first samples may take longer: an idle PulseAudio source wakes after up to 1.9 s (CRATES.md 3.2).
const FIRST_FRAMES: Duration = Duration::from_secs(3);
/// Pause before the first attempt to open again; it doubles up to `LAST_RETRY`.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// The longest pause between two attempts.
const LAST_RETRY: Duration = Duration::from_secs(2);

/// Streams that an attempt to open yields.
const ATTEMPTS: usize = 1;

/// A microphone.
pub struct CaptureSource {
    choice: DeviceChoice,
    name: String,
    state: State,
    seen: Receiver<Seen>,
    switching: Option<Receiver<Result<InputStream>>>,
    raw: Vec<f32>,
    pending: VecDeque<Heard>,
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
}

struct Loss {
    since: Instant,
    was_monitor: bool,
    retry_at: Instant,
    pause: Duration,
    attempt: Option<Receiver<Result<InputStream>>>,
    /// Opened again, but nothing was heard from it yet.
    candidate: Option<Live>,
}

impl Live {
    fn new(stream: InputStream) -> Result<Self> {
        let resampler = Resampler::new(stream.rate_hz())?;
        let (now, pace) = (Instant::now(), Pace::new(stream.rate_hz()));
        Ok(Self { stream, resampler, opened_at: now, frames: 0, last_frames_at: now, pace, dead: None })
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
    fn lost(&mut self) -> Option<Heard> {
        Some(match self.pace.lost(self.opened_at.elapsed().as_secs_f64())? {
            Lost::Secs(secs) => Heard::Gap { samples: (secs * f64::from(SAMPLE_RATE_HZ)).round() as u64, cause: GapCause::Overrun },
            Lost::Unmeasured => {
                let message = format!("{}: the sound system lost a little sound, too little to measure", self.stream.name());
                Heard::Trouble(Error::new(ErrorKind::Busy, message))
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
    /// Opens the input that `choice` means and starts it.
    ///
    /// # Errors
    /// When there is no such input, or it is in use, forbidden or fails; the message names it.
    pub fn open(choice: &DeviceChoice) -> Result<Self> {
        let live = Live::new(InputStream::open(choice)?)?;
        Ok(Self {
            choice: choice.clone(),
            name: live.stream.name().to_owned(),
            state: State::Listening(live),
            seen: watch(),
            switching: None,
            raw: Vec::new(),
            pending: VecDeque::new(),
        })
    }

    /// Opens the input that `choice` means; where that fails it says so, and goes on trying as after a loss.
    #[must_use]
    pub fn open_patiently(choice: &DeviceChoice) -> Self {
        Self::open(choice).unwrap_or_else(|error| {
            let now = Instant::now();
            Self {
                choice: choice.clone(),
                name: "no input yet".to_owned(),
                state: State::Lost(Loss {
                    since: now,
                    was_monitor: false,
                    retry_at: now + FIRST_RETRY,
                    pause: FIRST_RETRY,
                    attempt: None,
                    candidate: None,
                }),
                seen: watch(),
                switching: None,
                raw: Vec::new(),
                pending: VecDeque::from([Heard::Trouble(error)]),
            }
        })
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
        self.pending.push_back(Heard::InputChanged { device: self.name.clone(), rate_hz: stream.rate_hz(), channels: stream.channels() });
        self.state = State::Listening(live);
    }

    fn listen(&mut self, out: &mut Vec<f32>) -> Heard {
        let State::Listening(live) = &mut self.state else { return Heard::Nothing };
        let start = out.len();
        self.raw.clear();
        live.look();
        if let Some(lost) = live.lost() {
            note(live.resampler.finish(out), &mut self.pending);
            self.pending.push_back(lost);
            return self.deliver(start, out);
        }
        match live.stream.reader().read(&mut self.raw) {
            ReadOutcome::Samples(_) => note(live.resampler.step(&self.raw, out), &mut self.pending),
            ReadOutcome::Lost(lost) => {
                note(live.resampler.finish(out), &mut self.pending);
                let samples = (lost * u64::from(SAMPLE_RATE_HZ)).div_ceil(u64::from(live.stream.rate_hz().max(1)));
                self.pending.push_back(Heard::Gap { samples, cause: GapCause::Overrun });
            }
            ReadOutcome::Empty => {
                if let Some(why) = live.failure() {
                    return self.lose(&why, out);
                }
                if let Some(heard) = self.follow(out) {
                    return heard;
                }
            }
        }
        self.deliver(start, out)
    }

    /// Bounds what was appended since `start`, and says so.
    fn deliver(&mut self, start: usize, out: &mut [f32]) -> Heard {
        for sample in &mut out[start..] {
            *sample = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        }
        match out.len() - start {
            0 => self.pending.pop_front().unwrap_or(Heard::Nothing),
            n => Heard::Samples(n),
        }
    }

    /// Gives up the stream; what it delivered comes first, then the trouble.
    fn lose(&mut self, why: &str, out: &mut Vec<f32>) -> Heard {
        let now = Instant::now();
        let State::Listening(mut live) = std::mem::replace(&mut self.state, State::Paused) else { return Heard::Nothing };
        let start = out.len();
        note(live.resampler.finish(out), &mut self.pending);
        self.switching = None;
        self.state = State::Lost(Loss {
            since: live.last_frames_at,
            was_monitor: is_monitor(live.stream.id()),
            retry_at: now + FIRST_RETRY,
            pause: FIRST_RETRY,
            attempt: None,
            candidate: None,
        });
        let message = format!("{}: the input is lost: {why}; Hearken tries to open it again", self.name);
        self.pending.push_back(Heard::Trouble(Error::new(ErrorKind::InputDevice, message)));
        self.deliver(start, out)
    }

    /// Follows the system's default, and notices that the chosen input is gone although its stream was moved elsewhere.
    fn follow(&mut self, out: &mut Vec<f32>) -> Option<Heard> {
        let State::Listening(live) = &mut self.state else { return None };
        if let Some(opening) = &self.switching {
            match opening.try_recv() {
                Ok(Ok(stream)) => {
                    self.switching = None;
                    let start = out.len();
                    note(live.resampler.finish(out), &mut self.pending);
                    if let Ok(live) = Live::new(stream) {
                        self.take_over(live);
                    }
                    return Some(self.deliver(start, out));
                }
                Err(TryRecvError::Empty) => return None,
                Ok(Err(_)) | Err(TryRecvError::Disconnected) => self.switching = None,
            }
        }
        let seen = self.seen.try_recv().ok()?;
        let id = live.stream.id();
        let here = seen.ids.iter().any(|other| other == id);
        match (&self.choice, seen.default_id) {
            (DeviceChoice::Named(_), _) if !here => Some(self.lose("it is gone", out)),
            (DeviceChoice::Default, None) if !here => Some(self.lose("it is gone", out)),
            // The echo of a loudspeaker is never taken for a microphone unasked.
            (DeviceChoice::Default, Some(new)) if !here && is_monitor(&new) && !is_monitor(id) => Some(self.lose("it is gone", out)),
            (DeviceChoice::Default, Some(new)) if new != id => {
                self.switching = Some(open_aside(self.choice.clone()));
                None
            }
            _ => None,
        }
    }

    fn recover(&mut self) -> Heard {
        let State::Lost(loss) = &mut self.state else { return Heard::Nothing };
        if let Some(live) = &mut loss.candidate {
            let failed = live.failure().is_some();
            if live.frames > 0 {
                let waiting = live.stream.reader().waiting() as f64 / f64::from(live.stream.rate_hz().max(1));
                let secs = (loss.since.elapsed().as_secs_f64() - waiting).max(0.0);
                let samples = (secs * f64::from(SAMPLE_RATE_HZ)).round() as u64;
                self.pending.push_back(Heard::Gap { samples, cause: GapCause::DeviceLost });
                if let Some(live) = loss.candidate.take() {
                    self.take_over(live);
                }
            } else if failed {
                loss.fail();
            }
        } else if let Some(attempt) = &loss.attempt {
            match attempt.try_recv() {
                Ok(opened) => {
                    loss.attempt = None;
                    // A monitor that became the default because the microphone went is not what the user asked for.
                    let wanted =
                        |stream: &InputStream| self.choice != DeviceChoice::Default || loss.was_monitor || !is_monitor(stream.id());
                    match opened.ok().filter(wanted).and_then(|stream| Live::new(stream).ok()) {
                        Some(live) => loss.candidate = Some(live),
                        None => loss.fail(),
                    }
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => loss.fail(),
            }
        } else if Instant::now() >= loss.retry_at {
            loss.attempt = Some(open_aside(self.choice.clone()));
        }
        self.pending.pop_front().unwrap_or(Heard::Nothing)
    }
}

/// Trouble of the resampler is told, and listening goes on.
fn note(done: Result<()>, pending: &mut VecDeque<Heard>) {
    pending.extend(done.err().map(Heard::Trouble));
}

impl Loss {
    fn fail(&mut self) {
        self.attempt = None;
        self.candidate = None;
        self.pause = (self.pause * 2).min(LAST_RETRY);
        self.retry_at = Instant::now() + self.pause;
    }
}

/// Opens on a thread of its own, because a sound server that is going down may never answer.
fn open_aside(choice: DeviceChoice) -> Receiver<Result<InputStream>> {
    let (tx, rx) = crossbeam_channel::bounded(ATTEMPTS);
    // Where no thread can be made the channel is closed at once, which counts as a failed attempt. When nobody wants the
    // stream any more, the send fails and closes it.
    let _ = std::thread::Builder::new().name("hearken-mic-open".to_owned()).spawn(move || drop(tx.send(InputStream::open(&choice))));
    rx
}

impl Source for CaptureSource {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<Heard> {
        let deadline = Instant::now() + WAIT;
        loop {
            if let Some(heard) = self.pending.pop_front() {
                return Ok(heard);
            }
            let heard = match self.state {
                State::Paused => Heard::Nothing,
                State::Listening(_) => self.listen(out),
                State::Lost(_) => self.recover(),
            };
            if heard != Heard::Nothing || Instant::now() >= deadline {
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
            let live = Live::new(InputStream::open(&self.choice)?)?;
            self.take_over(live);
        }
        Ok(())
    }
}
