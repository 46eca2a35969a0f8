//! Control and progress of an installation, shared between its threads and the user interface.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::protocol::models::{
    ChosenPrecision, FaultPlace, InstallEnd, InstallNote, InstallStatus, InstallStep, RetryWait, duration, moving_size, size,
};
use crate::supervise;

/// The time over which the transfer rate is averaged, in seconds.
const RATE_SECS: f64 = 8.0;

/// The state of an installation that the user, or a failed download thread, has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunState {
    /// The installation goes on.
    Run,
    /// The installation waits until it is resumed or stopped.
    Pause,
    /// The installation ends.
    Stop,
}

/// The switch by which any thread pauses, resumes or stops an installation; its threads obey at their next check.
#[derive(Debug)]
pub struct InstallControl {
    state: Mutex<RunState>,
    /// Condition that wakes the threads that wait for another state.
    changed: Condvar,
    /// Number of times that the user has asked for an attempt at once; each ends the waits that began before.
    hurries: AtomicU64,
}

impl Default for InstallControl {
    fn default() -> Self {
        Self { state: Mutex::new(RunState::Run), changed: Condvar::new(), hurries: AtomicU64::new(0) }
    }
}

/// The error of a wait that ended because the installation was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserStopped;

impl InstallControl {
    /// Pauses the installation; downloaded bytes are kept. Without effect after a stop.
    pub fn pause(&self) {
        self.set(RunState::Pause);
    }

    /// Resumes the paused installation. Without effect after a stop.
    pub fn resume(&self) {
        self.set(RunState::Run);
    }

    /// Stops the installation for good; downloaded bytes are kept.
    pub fn stop(&self) {
        self.set(RunState::Stop);
    }

    /// Ends all waits between two attempts, so that each thread tries again at once.
    pub fn retry_now(&self) {
        // Changed under the lock, or a thread that is about to wait would miss the notification.
        let state = self.lock_state();
        self.hurries.fetch_add(1, Ordering::Relaxed);
        drop(state);
        self.changed.notify_all();
    }

    /// Sets the state, unless the user has stopped the installation.
    fn set(&self, state: RunState) {
        let mut now = supervise::lock(&self.state);
        if *now != RunState::Stop {
            *now = state;
        }
        drop(now);
        self.changed.notify_all();
    }

    /// Returns true if the installation is neither paused nor stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        *self.lock_state() == RunState::Run
    }

    /// Returns true if the installation is paused and not stopped.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        *self.lock_state() == RunState::Pause
    }

    /// Blocks while the installation is paused; returns at once if it is not.
    ///
    /// # Errors
    /// When it is or gets stopped.
    pub fn wait_while_paused(&self) -> Result<(), UserStopped> {
        let state = self.changed.wait_while(self.lock_state(), |state| *state == RunState::Pause).unwrap_or_else(PoisonError::into_inner);
        if *state == RunState::Stop { Err(UserStopped) } else { Ok(()) }
    }

    /// Sleeps for `long`, or less if the installation is paused or stopped meanwhile, or is to try again at once.
    ///
    /// # Errors
    /// When it is or gets stopped.
    pub fn sleep(&self, long: Duration) -> Result<(), UserStopped> {
        let state = self.lock_state();
        let hurries = self.hurries.load(Ordering::Relaxed);
        let waits = |state: &mut RunState| *state == RunState::Run && self.hurries.load(Ordering::Relaxed) == hurries;
        let slept = self.changed.wait_timeout_while(state, long, waits);
        let state = *slept.unwrap_or_else(PoisonError::into_inner).0;
        if state == RunState::Stop { Err(UserStopped) } else { Ok(()) }
    }

    fn lock_state(&self) -> MutexGuard<'_, RunState> {
        supervise::lock(&self.state)
    }
}

/// The progress of an installation, written by its threads and read by the user interface.
#[derive(Debug, Default)]
pub struct InstallProgress(Mutex<ProgressState>);

/// The content of an [`InstallProgress`].
#[derive(Debug, Default)]
struct ProgressState {
    step: InstallStep,
    /// Number of bytes of the step that are done.
    done: u64,
    /// Number of bytes of the step; 0 if unknown.
    all: u64,
    /// Note for the user on the step.
    note: Option<InstallNote>,
    /// Wait for the next attempt: place and reason of the failure, and the end of the wait.
    wait: Option<(FaultPlace, String, Instant)>,
    /// Path of a file that differs from the catalogue.
    changed_file: Option<String>,
    /// Precision of the prepared weights, chosen by measurement.
    chosen: Option<ChosenPrecision>,
    /// Result of the installation; None while it goes on.
    end: Option<InstallEnd>,
    rate: TransferRate,
    /// Time at which the step began.
    begun: Option<Instant>,
}

impl InstallProgress {
    /// Begins a step of `all` bytes (0: unknown), of which `done` are done. Clears note, wait and rate, keeps precision and
    /// changed file.
    pub fn begin_step(&self, step: InstallStep, done: u64, all: u64) {
        let mut state = self.state();
        let (changed_file, chosen) = (state.changed_file.take(), state.chosen.take());
        *state = ProgressState {
            step,
            done,
            all,
            end: None,
            note: None,
            wait: None,
            changed_file,
            chosen,
            rate: TransferRate::default(),
            begun: Some(Instant::now()),
        };
    }

    /// Adds `bytes` to the bytes of this step that are done.
    pub fn add(&self, bytes: u64) {
        let mut state = self.state();
        state.done += bytes;
        let (secs, done) = (state.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64()), state.done);
        state.rate.note(secs, done);
    }

    /// Subtracts bytes that have turned out to be wrong from those done, and restarts the measurement of the rate.
    pub fn subtract(&self, bytes: u64) {
        let mut state = self.state();
        state.done = state.done.saturating_sub(bytes);
        state.rate = TransferRate::default();
    }

    /// Sets the bytes of this step that are done and their total.
    pub fn set(&self, done: u64, all: u64) {
        let mut state = self.state();
        (state.done, state.all) = (done, all);
        let secs = state.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
        state.rate.note(secs, done);
    }

    /// Sets the note for the user in place of the last note, or clears it (None).
    pub fn set_note(&self, note: Option<InstallNote>) {
        self.state().note = note;
    }

    /// Records that a failure has happened, and that the next attempt comes after `wait`.
    pub fn begin_wait(&self, place: FaultPlace, why: String, wait: Duration) {
        self.state().wait = Some((place, why, Instant::now() + wait));
    }

    /// Records that the wait is over.
    pub fn end_wait(&self) {
        self.state().wait = None;
    }

    /// Sets the path of a file that is not the one in the catalogue, which is shown to the end.
    pub fn set_changed_file(&self, path: String) {
        self.state().changed_file = Some(path);
    }

    /// Sets the precision that was chosen for the prepared weights, shown to the user.
    pub fn set_precision(&self, chosen: ChosenPrecision) {
        self.state().chosen = Some(chosen);
    }

    /// Records the result of the installation.
    pub fn finish(&self, end: InstallEnd) {
        self.state().end = Some(end);
    }

    /// Returns the progress at this moment; the step is [`InstallStep::Paused`] if `control` is paused during the download.
    #[must_use]
    pub fn status(&self, control: &InstallControl) -> InstallStatus {
        let state = self.state();
        let now = state.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
        let held = control.is_paused() && state.step == InstallStep::Fetching;
        let rate = if held { 0.0 } else { state.rate.at(now) };
        let left = state.all.saturating_sub(state.done) as f64;
        InstallStatus {
            step: if held { InstallStep::Paused } else { state.step },
            done: state.done,
            all: state.all,
            rate,
            secs_left: (rate > 0.0 && state.all > 0).then(|| left / rate),
            chosen: state.chosen.clone(),
            note: state.note,
            wait: state.wait.as_ref().map(|(place, why, end)| {
                let secs_left = end.saturating_duration_since(Instant::now()).as_secs_f64();
                RetryWait { place: *place, why: why.clone(), secs_left }
            }),
            changed_file: state.changed_file.clone(),
            end: state.end.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, ProgressState> {
        supervise::lock(&self.0)
    }
}

/// The meter of the transfer rate: samples of (seconds, bytes done) from the last [`RATE_SECS`] seconds.
#[derive(Debug, Default)]
struct TransferRate(VecDeque<(f64, u64)>);

impl TransferRate {
    /// Records that `bytes` bytes were done in all, `secs` seconds after the start of the step.
    fn note(&mut self, secs: f64, bytes: u64) {
        // Four samples a second are enough.
        if self.0.back().is_none_or(|(last, _)| secs - last >= 0.25) {
            self.0.push_back((secs, bytes));
        }
        while self.0.len() > 2 && self.0.front().is_some_and(|(first, _)| secs - first > RATE_SECS) {
            self.0.pop_front();
        }
    }

    /// Returns the transfer rate in bytes per second at `secs` after the start of the step; 0 before two samples. The rate falls while
    /// nothing arrives.
    fn at(&self, secs: f64) -> f64 {
        match (self.0.front(), self.0.back()) {
            (Some((from, first)), Some((to, last))) if to > from => last.saturating_sub(*first) as f64 / (secs - from).max(to - from),
            _ => 0.0,
        }
    }
}

/// Formats the progress of an installation as one line of English text: step, percentage, sizes, rate, time left, note.
#[must_use]
pub fn status_line(work: &InstallStatus) -> String {
    let doing = match work.step {
        InstallStep::Asking => "asking the hub",
        InstallStep::Checking => "checking",
        InstallStep::Fetching => "downloading",
        InstallStep::Paused => "paused",
        InstallStep::Preparing => "preparing",
    };
    let mut text = doing.to_owned();
    if work.all > 0 {
        let percent = (work.done.min(work.all) as f64 * 100.0 / work.all as f64).floor();
        text += &format!("  {percent:.0} %  {} of {}", moving_size(work.done), size(work.all));
    }
    if work.rate > 0.0 {
        text += &format!("  {}/s", moving_size(work.rate as u64));
    }
    if let Some(secs) = work.secs_left.filter(|_| work.done < work.all) {
        text += &format!("  {} left", duration(secs));
    }
    let changed = work.changed_file.as_ref().map(|path| format!("{path} differs from the catalogue: the release has changed"));
    let wait = work.wait.as_ref().map(|wait| format!("{}; trying again in {:.0} s", wait.why, wait.secs_left.ceil()));
    if let Some(note) = wait.or(work.note.map(|note| note.to_string())).or(changed) {
        text += &format!("  ({note})");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_covers_the_last_seconds_and_falls_while_nothing_arrives() {
        let mut rate = TransferRate::default();
        (0..=100).for_each(|i| rate.note(f64::from(i), i as u64 * 10));
        assert!((rate.at(100.0) - 10.0).abs() < 0.5, "{}", rate.at(100.0));
        (1..=20).for_each(|i| rate.note(100.0 + f64::from(i), 1_000 + i as u64 * 100));
        assert!((rate.at(120.0) - 100.0).abs() < 5.0, "{}", rate.at(120.0));
        assert!(rate.at(200.0) < 15.0);
        assert_eq!(TransferRate::default().at(1.0), 0.0);
    }

    #[test]
    fn the_status_line_shows_bytes_rate_and_remaining_time() {
        let work = InstallStatus {
            step: InstallStep::Fetching,
            done: 5_000_000_000,
            all: 15_000_000_000,
            rate: 50e6,
            secs_left: Some(200.0),
            chosen: None,
            note: None,
            wait: None,
            changed_file: None,
            end: None,
        };
        assert_eq!(status_line(&work), "downloading  33 %  5.00 GB of 15 GB  50.0 MB/s  3 min 20 s left");
        let wait = RetryWait { place: FaultPlace::Connection, why: "no route".into(), secs_left: 7.2 };
        let asking = InstallStatus { step: InstallStep::Asking, all: 0, rate: 0.0, wait: Some(wait), ..work };
        assert_eq!(status_line(&asking), "asking the hub  (no route; trying again in 8 s)");
        assert_eq!(duration(7_265.0), "2 h 01 min");
    }

    #[test]
    fn a_stopped_installation_never_resumes() {
        let control = InstallControl::default();
        control.pause();
        assert!(!control.is_running() && control.is_paused());
        control.resume();
        assert_eq!(control.wait_while_paused(), Ok(()));
        control.stop();
        control.resume();
        assert_eq!((control.wait_while_paused(), control.sleep(Duration::from_secs(60))), (Err(UserStopped), Err(UserStopped)));
    }

    #[test]
    fn a_wait_ends_when_the_user_wants_an_attempt_at_once() {
        let control = InstallControl::default();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| control.sleep(Duration::from_secs(3_600)));
            while !waits.is_finished() {
                control.retry_now();
                std::thread::yield_now();
            }
        });
        assert!(control.is_running());
    }
}
