//! Recovery of [`CaptureSource`]: reopening a lost input, system sleep, and the switch to a better input.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};

use super::{CaptureSource, InputRole, InputState, LEAST_SLEEP_SECS, Live, SLEEP_CHECK, SleepReading, gap, report_error};
use crate::audio::SourceEvent;
use crate::audio::capture::backend::Backend;
use crate::audio::capture::devices::{first_match, is_monitor, is_usable_unasked};
use crate::audio::capture::stream::InputStream;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::{DeviceChoice, GapCause};
use crate::supervise;

/// Pause before the first attempt to reopen a lost input; doubled after each failed attempt, up to [`LAST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Longest pause between two attempts to reopen a lost input, so that a returned device is heard within 2 s.
const LAST_RETRY: Duration = Duration::from_secs(1);
/// Time after the loss of an input chosen by name from which the default input stands in.
const FALLBACK_AFTER: Duration = Duration::from_secs(2);
/// Capacity of the channel from a thread that opens an input: its one result.
const RESULTS: usize = 1;

/// A loss of the input, from the last sound until the input is open again.
pub(super) struct Loss {
    /// Time of the last sound.
    since: Instant,
    /// Time that the machine had slept before the loss, in seconds.
    slept_secs: f64,
    /// Cause that the gap is reported with.
    cause: GapCause,
    /// Pause before the next attempt to reopen.
    backoff: Duration,
}

impl Loss {
    /// Creates a loss of sound from `since` on, when the machine had slept for `slept_secs` seconds.
    pub(super) fn new(since: Instant, slept_secs: f64, cause: GapCause) -> Self {
        Self { since, slept_secs, cause, backoff: FIRST_RETRY }
    }
}

/// The step that the reopening of a lost input is at.
pub(super) enum Recovery {
    /// Waits until the time `until`, then opens the input of `role`.
    Waiting { until: Instant, role: InputRole },
    /// Another thread is opening the input of `role`.
    Opening { role: InputRole, opened: Receiver<Result<InputStream>> },
    /// The input is open but has not delivered a frame yet.
    Proving(Box<Live>),
}

impl Recovery {
    /// Returns the first step of a recovery: an attempt to open the chosen input after 0.25 s.
    pub(super) fn begin() -> Self {
        Self::Waiting { until: Instant::now() + FIRST_RETRY, role: InputRole::Chosen }
    }
}

impl CaptureSource {
    /// Closes the stream and begins the recovery of the input, which was lost because of `why`. Returns the event for the samples in `out`
    /// from index `start` on, or without samples the next queued event; [`SourceEvent::InputLost`] is queued.
    pub(super) fn lose(&mut self, why: &str, cause: GapCause, start: usize, out: &mut Vec<f32>) -> SourceEvent {
        let InputState::Listening(mut live) = std::mem::replace(&mut self.state, InputState::Paused) else { return SourceEvent::Nothing };
        report_error(live.resampler.finish(out), &mut self.pending);
        self.replacement = None;
        let cause = live.cause_of_loss(cause);
        let why = if cause == GapCause::Stopped { "Hearken was stopped for a while" } else { why };
        let loss = Loss::new(live.last_sound_at(), self.sleep.slept_secs, cause);
        self.state = InputState::Lost { loss, recovery: Recovery::begin() };
        let message = format!("{}: the input was lost ({why}); Hearken keeps trying to reopen it", self.name);
        self.pending.push_back(SourceEvent::InputLost(Error::new(ErrorKind::InputDevice, message).with_remedy(Remedy::CheckDevice)));
        self.deliver(start, out)
    }

    /// Detects, about once a second, that the machine has slept for 2 s or more: reports a gap and reopens the input, because the old
    /// stream may be dead without an error. The old stream stays in use until the new one is open. Returns None if there was no sleep.
    pub(super) fn notice_sleep(&mut self, out: &mut Vec<f32>) -> Option<SourceEvent> {
        if self.sleep.read_at.elapsed() < SLEEP_CHECK {
            return None;
        }
        let before_secs = self.sleep.slept_secs;
        self.sleep = SleepReading::now(&*self.backend);
        let secs = self.sleep.slept_secs - before_secs;
        let InputState::Listening(live) = &mut self.state else { return None };
        if secs < LEAST_SLEEP_SECS {
            return None;
        }
        let start = out.len();
        report_error(live.resampler.finish(out), &mut self.pending);
        self.pending.push_back(gap(secs, GapCause::Suspended));
        self.replacement = Some(self.open_on_thread(InputRole::Chosen));
        Some(self.deliver(start, out))
    }

    /// Follows the list of devices: switches to a new default, returns to the chosen input, and detects that the input has disappeared
    /// although the sound system moved its stream elsewhere. A new input opens on a thread; a later call switches to it. The samples in
    /// `out` from index `start` on have not been delivered yet: an event that is returned delivers them, with the rest of the old stream;
    /// None leaves them to the caller.
    pub(super) fn follow_devices(&mut self, start: usize, out: &mut Vec<f32>) -> Option<SourceEvent> {
        let InputState::Listening(live) = &mut self.state else { return None };
        if let Some(opening) = &self.replacement {
            match opening.try_recv() {
                Ok(Ok(stream)) => {
                    self.replacement = None;
                    report_error(live.resampler.finish(out), &mut self.pending);
                    if let Ok(live) = Live::new(stream, InputRole::Chosen) {
                        self.state = self.listen_to(live);
                    }
                    return Some(self.deliver(start, out));
                }
                Err(TryRecvError::Empty) => return None,
                Ok(Err(_)) | Err(TryRecvError::Disconnected) => self.replacement = None,
            }
        }
        let snapshot = self.snapshots.try_recv().ok()?;
        let (id, role) = (live.stream.id(), live.role);
        let inputs: Vec<(&str, &str)> = snapshot.inputs.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
        let present = |id: &str| inputs.iter().any(|(other, _)| *other == id);
        let gone = match (&self.choice, &snapshot.default_id) {
            // The monitor of a loudspeaker never replaces a microphone.
            (DeviceChoice::Default, Some(new)) => !present(id) && is_monitor(new),
            _ => !present(id),
        };
        if gone {
            return Some(self.lose("the device has disappeared", GapCause::DeviceLost, start, out));
        }
        let better = match (&self.choice, &snapshot.default_id) {
            (DeviceChoice::Default, Some(new)) => new != id && is_usable_unasked(new, &snapshot.default_name, &self.excluded),
            (DeviceChoice::Default, None) => false,
            (named, _) => first_match(named.names(), &inputs).is_some_and(|at| role == InputRole::Fallback || inputs[at].0 != id),
        };
        if better {
            self.replacement = Some(self.open_on_thread(InputRole::Chosen));
        }
        None
    }

    /// Advances the recovery of a lost input by one step. Returns the next queued event, or [`SourceEvent::Nothing`].
    pub(super) fn recover(&mut self) -> SourceEvent {
        let InputState::Lost { loss, recovery } = std::mem::replace(&mut self.state, InputState::Paused) else {
            return SourceEvent::Nothing;
        };
        self.state = match recovery {
            Recovery::Waiting { until, role } if Instant::now() >= until => {
                InputState::Lost { loss, recovery: Recovery::Opening { role, opened: self.open_on_thread(role) } }
            }
            waiting @ Recovery::Waiting { .. } => InputState::Lost { loss, recovery: waiting },
            Recovery::Opening { role, opened } => self.finish_opening(loss, role, opened),
            Recovery::Proving(live) => self.await_first_frames(loss, live),
        };
        self.pending.pop_front().unwrap_or(SourceEvent::Nothing)
    }

    /// Looks for the result `opened` of the thread that opens the input of `role`, and returns the next state: wait for the result, prove
    /// the new stream, or wait for another attempt.
    fn finish_opening(&self, loss: Loss, role: InputRole, opened: Receiver<Result<InputStream>>) -> InputState {
        let stream = match opened.try_recv() {
            Err(TryRecvError::Empty) => return InputState::Lost { loss, recovery: Recovery::Opening { role, opened } },
            Err(TryRecvError::Disconnected) => None,
            Ok(result) => result.ok(),
        };
        // A monitor that became the default when the microphone was lost is not what the user chose.
        let chosen_by_name = role == InputRole::Chosen && self.choice != DeviceChoice::Default;
        let wanted = stream.filter(|stream| chosen_by_name || !is_monitor(stream.id()));
        match wanted.and_then(|stream| Live::new(stream, role).ok()) {
            Some(live) => InputState::Lost { loss, recovery: Recovery::Proving(live) },
            None => self.retry(loss, role),
        }
    }

    /// Returns the next state of an input that is open again: reports the gap and listens once sound arrives, waits until then, or tries
    /// again if the stream fails.
    fn await_first_frames(&mut self, loss: Loss, mut live: Box<Live>) -> InputState {
        let failed = live.failure().is_some();
        if live.frames == 0 {
            return if failed { self.retry(loss, live.role) } else { InputState::Lost { loss, recovery: Recovery::Proving(live) } };
        }
        self.sleep = SleepReading::now(&*self.backend);
        let unread_secs = live.stream.reader().waiting() as f64 / f64::from(live.stream.rate_hz().max(1));
        let slept_secs = (self.sleep.slept_secs - loss.slept_secs).max(0.0);
        self.pending.push_back(gap((loss.since.elapsed().as_secs_f64() + slept_secs - unread_secs).max(0.0), loss.cause));
        self.listen_to(live)
    }

    /// Returns the state that waits, longer each time, for the next attempt to reopen the input, after the attempt with the role `tried`
    /// failed. An input chosen by name is tried alone at first; later it and its fallback, the default input, are tried in turn.
    fn retry(&self, mut loss: Loss, tried: InputRole) -> InputState {
        loss.backoff = (loss.backoff * 2).min(LAST_RETRY);
        let may_fall_back = self.choice != DeviceChoice::Default && loss.since.elapsed() >= FALLBACK_AFTER;
        let role = if tried == InputRole::Chosen && may_fall_back { InputRole::Fallback } else { InputRole::Chosen };
        InputState::Lost { recovery: Recovery::Waiting { until: Instant::now() + loss.backoff, role }, loss }
    }

    /// Opens the input of `role` on a thread of its own, because a sound server that is shutting down may never answer. Returns the channel
    /// of the result; a channel that closes without a result counts as a failure.
    fn open_on_thread(&self, role: InputRole) -> Receiver<Result<InputStream>> {
        let (tx, rx) = crossbeam_channel::bounded(RESULTS);
        let choice = if role == InputRole::Chosen { self.choice.clone() } else { DeviceChoice::Default };
        let (backend, excluded) = (Arc::<dyn Backend>::clone(&self.backend), self.excluded.clone());
        // If the thread cannot be created the channel closes, which counts as a failed attempt. If the receiver is gone, the
        // send fails and closes the stream.
        let _ = supervise::spawn("hearken-mic-open", move || drop(tx.send(backend.open(&choice, &excluded))));
        rx
    }
}
