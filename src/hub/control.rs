//! What the user wants of a running download, and how far it is: shared between the threads that work and the face that looks.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::protocol::models::{InstallEnd, InstallStatus, InstallStep, duration, moving_size, size};

/// A rate is that of the last so many seconds.
const RATE_SECS: f64 = 8.0;

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Run,
    Pause,
    Stop,
}

/// Pause, resume and stop, from any thread.
#[derive(Debug)]
pub struct Control {
    wish: Mutex<Wish>,
    changed: Condvar,
}

impl Default for Control {
    fn default() -> Self {
        Self { wish: Mutex::new(Wish::Run), changed: Condvar::new() }
    }
}

/// The user wants no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl Control {
    /// Holds what is running; nothing is lost.
    pub fn pause(&self) {
        self.wish_for(Wish::Pause);
    }

    /// Goes on.
    pub fn resume(&self) {
        self.wish_for(Wish::Run);
    }

    /// Ends what is running; what was fetched is kept.
    pub fn stop(&self) {
        self.wish_for(Wish::Stop);
    }

    fn wish_for(&self, wish: Wish) {
        let mut now = self.wish.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != Wish::Stop {
            *now = wish;
        }
        drop(now);
        self.changed.notify_all();
    }

    /// Whether to go on at this moment: neither held nor stopped.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        *self.look() == Wish::Run
    }

    /// Whether it is held.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        *self.look() == Wish::Pause
    }

    /// Waits while it is held.
    ///
    /// # Errors
    /// When the user wants no more.
    pub fn pass(&self) -> Result<(), Stopped> {
        let wish = self.changed.wait_while(self.look(), |wish| *wish == Wish::Pause).unwrap_or_else(PoisonError::into_inner);
        if *wish == Wish::Stop { Err(Stopped) } else { Ok(()) }
    }

    /// Waits for `long`, or less when the user wants something else.
    ///
    /// # Errors
    /// When the user wants no more.
    pub fn sleep(&self, long: Duration) -> Result<(), Stopped> {
        let slept = self.changed.wait_timeout_while(self.look(), long, |wish| *wish == Wish::Run);
        let wish = *slept.unwrap_or_else(PoisonError::into_inner).0;
        if wish == Wish::Stop { Err(Stopped) } else { Ok(()) }
    }

    fn look(&self) -> MutexGuard<'_, Wish> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the work is.
#[derive(Debug, Default)]
pub struct Board(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    step: InstallStep,
    done: u64,
    all: u64,
    note: Option<String>,
    /// A note that stays through all steps.
    warning: Option<String>,
    chosen: Option<String>,
    end: Option<InstallEnd>,
    rate: Rate,
    begun: Option<Instant>,
}

impl Board {
    /// Begins a step of `all` bytes, of which `done` are done.
    pub fn begin(&self, step: InstallStep, done: u64, all: u64) {
        let mut state = self.state();
        let (warning, chosen) = (state.warning.take(), state.chosen.take());
        *state = State { step, done, all, end: None, note: None, warning, chosen, rate: Rate::default(), begun: Some(Instant::now()) };
    }

    /// More bytes are done.
    pub fn add(&self, bytes: u64) {
        let mut state = self.state();
        state.done += bytes;
        let (secs, done) = (state.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64()), state.done);
        state.rate.note(secs, done);
    }

    /// Fewer bytes are done than was thought: some were wrong.
    pub fn take_back(&self, bytes: u64) {
        let mut state = self.state();
        state.done = state.done.saturating_sub(bytes);
        state.rate = Rate::default();
    }

    /// So many bytes of all are done.
    pub fn set(&self, done: u64, all: u64) {
        let mut state = self.state();
        (state.done, state.all) = (done, all);
        let secs = state.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
        state.rate.note(secs, done);
    }

    /// Something that the user should know, until it is over.
    pub fn note(&self, note: Option<String>) {
        self.state().note = note;
    }

    /// Something that the user should know to the end.
    pub fn warn(&self, warning: String) {
        self.state().warning = Some(warning);
    }

    /// In what the weights are prepared, and why.
    pub fn chose(&self, why: String) {
        self.state().chosen = Some(why);
    }

    /// How it ended.
    pub fn end(&self, end: InstallEnd) {
        self.state().end = Some(end);
    }

    /// How far it is now; `control` says whether it is held.
    #[must_use]
    pub fn read(&self, control: &Control) -> InstallStatus {
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
            note: state.note.clone().or_else(|| state.warning.clone()),
            end: state.end.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes a second over the last seconds.
#[derive(Debug, Default)]
struct Rate(VecDeque<(f64, u64)>);

impl Rate {
    /// `bytes` were done after `secs`.
    fn note(&mut self, secs: f64, bytes: u64) {
        // Four marks a second are plenty.
        if self.0.back().is_none_or(|(last, _)| secs - last >= 0.25) {
            self.0.push_back((secs, bytes));
        }
        while self.0.len() > 2 && self.0.front().is_some_and(|(first, _)| secs - first > RATE_SECS) {
            self.0.pop_front();
        }
    }

    /// The rate at the moment `secs`: falls when nothing comes any more.
    fn at(&self, secs: f64) -> f64 {
        match (self.0.front(), self.0.back()) {
            (Some((from, first)), Some((to, last))) if to > from => last.saturating_sub(*first) as f64 / (secs - from).max(to - from),
            _ => 0.0,
        }
    }
}

/// The work in one line.
#[must_use]
pub fn line(work: &InstallStatus) -> String {
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
    if let Some(note) = &work.note {
        text += &format!("  ({note})");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_seconds_and_falls_when_nothing_comes() {
        let mut rate = Rate::default();
        (0..=100).for_each(|i| rate.note(f64::from(i), i as u64 * 10));
        assert!((rate.at(100.0) - 10.0).abs() < 0.5, "{}", rate.at(100.0));
        (1..=20).for_each(|i| rate.note(100.0 + f64::from(i), 1_000 + i as u64 * 100));
        assert!((rate.at(120.0) - 100.0).abs() < 5.0, "{}", rate.at(120.0));
        assert!(rate.at(200.0) < 15.0);
        assert_eq!(Rate::default().at(1.0), 0.0);
    }

    #[test]
    fn a_line_says_what_is_done_how_fast_and_how_long_it_takes() {
        let work = InstallStatus {
            step: InstallStep::Fetching,
            done: 5_000_000_000,
            all: 15_000_000_000,
            rate: 50e6,
            secs_left: Some(200.0),
            chosen: None,
            note: None,
            end: None,
        };
        assert_eq!(line(&work), "downloading  33 %  5.00 GB of 15 GB  50.0 MB/s  3 min 20 s left");
        assert_eq!(duration(7_265.0), "2 h 01 min");
    }

    #[test]
    fn what_was_stopped_does_not_run_again() {
        let control = Control::default();
        control.pause();
        assert!(!control.goes_on() && control.is_paused());
        control.resume();
        assert_eq!(control.pass(), Ok(()));
        control.stop();
        control.resume();
        assert_eq!((control.pass(), control.sleep(Duration::from_secs(60))), (Err(Stopped), Err(Stopped)));
    }
}
