//! What [`CaptureSource`] does when its input is lost, when the machine has slept, and when another input is the right one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};

use super::{CaptureSource, Live, SLEEP_LOOK, SLEPT_SECS, Standing, State, note};
use crate::audio::SourceEvent;
use crate::audio::capture::backend::Backend;
use crate::audio::capture::devices::{is_monitor, means};
use crate::audio::capture::stream::InputStream;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::{DeviceChoice, GapCause};
use crate::time::SAMPLE_RATE_HZ;

/// Pause before the first attempt to open again; it doubles up to `LAST_RETRY`.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// The longest pause between two attempts: a device that is there again is heard within 2 s.
const LAST_RETRY: Duration = Duration::from_secs(1);
/// A chosen input that is gone for so long is stood in for by the default one, if that may be.
const STAND_IN_AFTER: Duration = Duration::from_secs(2);
/// Streams that an attempt to open yields.
const ATTEMPTS: usize = 1;

/// An input that was lost.
pub(super) struct Loss {
    since: Instant,
    /// Seconds that the machine had slept before.
    slept: f64,
    cause: GapCause,
    was_monitor: bool,
    retry_at: Instant,
    pause: Duration,
    attempt: Option<(Standing, Receiver<Result<InputStream>>)>,
    /// Opened again, but nothing was heard from it yet.
    candidate: Option<Live>,
    /// What the next attempt opens.
    next: Standing,
}

impl Loss {
    /// Nothing has been heard since `since`, when the machine had slept for `slept` seconds.
    pub(super) fn new(since: Instant, slept: f64) -> Self {
        Self {
            since,
            slept,
            cause: GapCause::DeviceLost,
            was_monitor: false,
            retry_at: Instant::now() + FIRST_RETRY,
            pause: FIRST_RETRY,
            attempt: None,
            candidate: None,
            next: Standing::Chosen,
        }
    }

    fn fail(&mut self, choice: &DeviceChoice) {
        self.attempt = None;
        self.candidate = None;
        self.pause = (self.pause * 2).min(LAST_RETRY);
        self.retry_at = Instant::now() + self.pause;
        // A chosen input and its stand-in are tried by turns.
        self.next = match self.next {
            Standing::Chosen if *choice != DeviceChoice::Default && self.since.elapsed() >= STAND_IN_AFTER => Standing::StandIn,
            _ => Standing::Chosen,
        };
    }
}

impl CaptureSource {
    /// Gives up the stream; what it delivered (in `out` from `start` on) comes first, then the trouble.
    pub(super) fn lose(&mut self, why: &str, cause: GapCause, start: usize, out: &mut Vec<f32>) -> SourceEvent {
        let State::Listening(mut live) = std::mem::replace(&mut self.state, State::Paused) else { return SourceEvent::Nothing };
        note(live.resampler.finish(out), &mut self.pending);
        self.switching = None;
        let mut loss = Loss::new(live.last_frames_at, self.slept.0);
        loss.cause = cause;
        loss.was_monitor = is_monitor(live.stream.id());
        self.state = State::Lost(loss);
        let message = format!("{}: the input is lost: {why}; Hearken tries to open it again", self.name);
        self.pending.push_back(SourceEvent::Problem(Error::new(ErrorKind::InputDevice, message).with_remedy(Remedy::CheckDevice)));
        self.deliver(start, out)
    }

    /// Notices that the machine has slept: what was not heard is a gap, and the input is opened anew beside the old stream,
    /// which may be dead without saying so.
    pub(super) fn wake_up(&mut self, out: &mut Vec<f32>) -> Option<SourceEvent> {
        if self.slept.1.elapsed() < SLEEP_LOOK {
            return None;
        }
        let slept = self.backend.slept_secs();
        let secs = slept - self.slept.0;
        self.slept = (slept, Instant::now());
        let State::Listening(live) = &mut self.state else { return None };
        if secs < SLEPT_SECS {
            return None;
        }
        let start = out.len();
        note(live.resampler.finish(out), &mut self.pending);
        let samples = (secs * f64::from(SAMPLE_RATE_HZ)).round() as u64;
        self.pending.push_back(SourceEvent::Gap { samples, cause: GapCause::Suspended });
        self.switching = Some(self.open_aside(Standing::Chosen));
        Some(self.deliver(start, out))
    }

    /// Follows the system's default, returns to the chosen input when it is back, and notices that it is gone although its
    /// stream was moved elsewhere. What was read lies in `out` from `start` on.
    pub(super) fn follow(&mut self, start: usize, out: &mut Vec<f32>) -> Option<SourceEvent> {
        let State::Listening(live) = &mut self.state else { return None };
        if let Some(opening) = &self.switching {
            match opening.try_recv() {
                Ok(Ok(stream)) => {
                    self.switching = None;
                    note(live.resampler.finish(out), &mut self.pending);
                    if let Ok(live) = Live::new(stream, Standing::Chosen) {
                        self.take_over(live);
                    }
                    return Some(self.deliver(start, out));
                }
                Err(TryRecvError::Empty) => return None,
                Ok(Err(_)) | Err(TryRecvError::Disconnected) => self.switching = None,
            }
        }
        let seen = self.seen.try_recv().ok()?;
        let (id, standing) = (live.stream.id(), live.standing);
        let here = |id: &str| seen.ids.iter().any(|other| other == id);
        let gone = match (&self.choice, &seen.default_id) {
            (DeviceChoice::Named(_), _) | (DeviceChoice::Default, None) => !here(id),
            // The echo of a loudspeaker is never taken for a microphone unasked.
            (DeviceChoice::Default, Some(new)) => !here(id) && is_monitor(new) && !is_monitor(id),
        };
        if gone {
            return Some(self.lose("it is gone", GapCause::DeviceLost, start, out));
        }
        let better = match (&self.choice, &seen.default_id) {
            (DeviceChoice::Named(_), _) => standing == Standing::StandIn && self.chosen_id.as_deref().is_none_or(here),
            (DeviceChoice::Default, Some(new)) => {
                new != id && !self.excluded.iter().any(|excluded| means(excluded, new, &seen.default_name))
            }
            (DeviceChoice::Default, None) => false,
        };
        if better {
            self.switching = Some(self.open_aside(Standing::Chosen));
        }
        None
    }

    pub(super) fn recover(&mut self) -> SourceEvent {
        let slept = self.backend.slept_secs();
        let State::Lost(loss) = &mut self.state else { return SourceEvent::Nothing };
        if let Some(live) = &mut loss.candidate {
            let failed = live.failure().is_some();
            if live.frames > 0 {
                let waiting = live.stream.reader().waiting() as f64 / f64::from(live.stream.rate_hz().max(1));
                let secs = (loss.since.elapsed().as_secs_f64() + (slept - loss.slept).max(0.0) - waiting).max(0.0);
                let samples = (secs * f64::from(SAMPLE_RATE_HZ)).round() as u64;
                self.pending.push_back(SourceEvent::Gap { samples, cause: loss.cause });
                self.slept = (slept, Instant::now());
                if let Some(live) = loss.candidate.take() {
                    self.take_over(live);
                }
            } else if failed {
                loss.fail(&self.choice);
            }
        } else if let Some((standing, attempt)) = &loss.attempt {
            let standing = *standing;
            match attempt.try_recv() {
                Ok(opened) => {
                    loss.attempt = None;
                    // A monitor that became the default because the microphone went is not what the user asked for.
                    let asked_for = standing == Standing::Chosen && (self.choice != DeviceChoice::Default || loss.was_monitor);
                    let wanted = |stream: &InputStream| asked_for || !is_monitor(stream.id());
                    match opened.ok().filter(wanted).and_then(|stream| Live::new(stream, standing).ok()) {
                        Some(live) => loss.candidate = Some(live),
                        None => loss.fail(&self.choice),
                    }
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => loss.fail(&self.choice),
            }
        } else if Instant::now() >= loss.retry_at {
            let standing = loss.next;
            let attempt = self.open_aside(standing);
            if let State::Lost(loss) = &mut self.state {
                loss.attempt = Some((standing, attempt));
            }
        }
        self.pending.pop_front().unwrap_or(SourceEvent::Nothing)
    }

    /// Opens on a thread of its own, because a sound server that is going down may never answer.
    fn open_aside(&self, standing: Standing) -> Receiver<Result<InputStream>> {
        let (tx, rx) = crossbeam_channel::bounded(ATTEMPTS);
        let choice = if standing == Standing::Chosen { self.choice.clone() } else { DeviceChoice::Default };
        let (backend, excluded) = (Arc::<dyn Backend>::clone(&self.backend), self.excluded.clone());
        // Where no thread can be made the channel is closed at once, which counts as a failed attempt. When nobody wants the
        // stream any more, the send fails and closes it.
        let open = move || drop(tx.send(backend.open(&choice, &excluded)));
        let _ = std::thread::Builder::new().name("hearken-mic-open".to_owned()).spawn(open);
        rx
    }
}
