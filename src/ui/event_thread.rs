//! The event thread, which takes events from the engine as they come: a hidden window never holds the engine up, and an idle window
//! paints nothing.
//!
//! For each event the thread updates the transcript, the list of events for an export as JSON Lines and the wall clock, and shows a
//! desktop notification where [`Alerts`] asks for one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use egui::{ViewportCommand, ViewportId};

use super::alerts::Alerts;
use super::notify;
use super::pill::pill_viewport;
use crate::clock::{local_zone, now_ms};
use crate::config::Mode;
use crate::engine::EngineHandle;
use crate::error::Result;
use crate::history::{EventSink, is_anchor, is_stored};
use crate::protocol::{Event, Panel};
use crate::supervise::{self, lock};
use crate::time::wall::{TimeZone, WallClock, time_of_day};
use crate::time::{SAMPLE_RATE_HZ, StreamTime};
use crate::transcript::{Notice, NoticeKind, Transcript};

/// Number of events kept for an export as JSON Lines: a day of talk, some 20 MB. When it is reached, the older half is dropped,
/// except for the first event; the history has all.
const MAX_EVENTS: usize = 100_000;
/// Number of events kept for the window to answer, more than an hour of trouble without a window gives; the oldest are dropped.
const MAX_NEWS: usize = 256;

/// The data of a session that the event thread writes and the window reads: transcript, events, clock and notification settings,
/// each behind a lock of its own.
#[derive(Debug)]
pub(super) struct SessionData {
    transcript: Mutex<Transcript>,
    /// Events kept for an export as JSON Lines.
    events: Mutex<Vec<Event>>,
    clock: Mutex<SessionClock>,
    alerts: Mutex<Alerts>,
    /// Events that the window has not answered yet, oldest first, at most [`MAX_NEWS`].
    news: Mutex<Vec<Event>>,
    /// Number of the first sample that the user has not deleted; 0 before a deletion. Readable while the transcript is locked.
    deleted_until: AtomicU64,
    /// True while the main window is hidden in the tray.
    hidden: AtomicBool,
    /// Function that is called after each event; empty without a tray icon.
    on_change: OnceLock<OnChange>,
    /// Egui context of the main window; empty until a window shows the session.
    window: OnceLock<egui::Context>,
}

/// The function that is called after each event.
struct OnChange(Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for OnChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnChange")
    }
}

/// The mapping from stream time to local time of day. Gives no time of day before a live session has started, nor for audio files.
#[derive(Debug)]
struct SessionClock {
    wall: WallClock,
    /// Time zone of the times of day.
    zone: TimeZone,
}

impl Default for SessionClock {
    fn default() -> Self {
        Self { wall: WallClock::default(), zone: TimeZone::UTC }
    }
}

impl SessionClock {
    fn format(&self, at: StreamTime) -> String {
        self.wall.ms(at).map_or_else(|| at.to_string(), |ms| time_of_day(ms, &self.zone))
    }
}

/// Returns egui's id of the captions window.
pub(super) fn captions_viewport() -> ViewportId {
    ViewportId::from_hash_of("hearken captions")
}

impl SessionData {
    pub(super) fn new(transcript: Transcript) -> Arc<Self> {
        Arc::new(Self {
            transcript: Mutex::new(transcript),
            events: Mutex::default(),
            clock: Mutex::default(),
            alerts: Mutex::default(),
            news: Mutex::default(),
            deleted_until: AtomicU64::new(0),
            hidden: AtomicBool::new(false),
            on_change: OnceLock::new(),
            window: OnceLock::new(),
        })
    }

    /// Attaches the egui context of the window that shows the session, so that the window is repainted after events. Only the
    /// first call has an effect: there is one window per process.
    pub(super) fn show_in(&self, ctx: &egui::Context) {
        let _ = self.window.set(ctx.clone());
    }

    /// Returns true once a window has shown the session.
    pub(super) fn was_shown(&self) -> bool {
        self.window.get().is_some()
    }

    /// Requests a repaint of the main window and of the overlays. Does nothing before a window shows the session.
    pub(super) fn repaint(&self) {
        if let Some(OnChange(on_change)) = self.on_change.get() {
            on_change();
        }
        if let Some(ctx) = self.window.get() {
            if !self.is_window_hidden() {
                ctx.request_repaint();
            }
            ctx.request_repaint_of(captions_viewport());
            ctx.request_repaint_of(pill_viewport());
        }
    }

    /// Calls `on_change` after each event, for the tray icon. Only the first call has an effect.
    pub(super) fn on_change(&self, on_change: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_change.set(OnChange(Box::new(on_change)));
    }

    /// Returns true while the main window is hidden in the tray, and nothing of it is painted.
    pub(super) fn is_window_hidden(&self) -> bool {
        self.hidden.load(Ordering::Relaxed)
    }

    /// Notes that the main window is hidden in the tray, or that there is none yet.
    pub(super) fn hide_window(&self) {
        self.hidden.store(true, Ordering::Relaxed);
    }

    /// Notes that the main window is in the tray no longer, without showing it: Hearken ends.
    pub(super) fn leave_tray(&self) {
        self.hidden.store(false, Ordering::Relaxed);
    }

    /// Brings the main window to the front, from any thread, wherever it is.
    pub(super) fn show_window(&self) {
        self.hidden.store(false, Ordering::Relaxed);
        let Some(ctx) = self.window.get() else { return };
        for command in [ViewportCommand::Minimized(false), ViewportCommand::Visible(true), ViewportCommand::Focus] {
            ctx.send_viewport_cmd_to(ViewportId::ROOT, command);
        }
        ctx.request_repaint_of(ViewportId::ROOT);
    }

    pub(super) fn transcript(&self) -> MutexGuard<'_, Transcript> {
        lock(&self.transcript)
    }

    pub(super) fn alerts(&self) -> MutexGuard<'_, Alerts> {
        lock(&self.alerts)
    }

    /// Returns the session's events for an export, locked: the newest, at most [`MAX_EVENTS`], without decisions, timings, gate
    /// events and the text pieces of finished replies.
    pub(super) fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        lock(&self.events)
    }

    /// Returns the stream time of the newest event, or zero if the transcript is locked: does not wait for the lock, since after
    /// a loss of the display the thread that holds the lock may never go on.
    pub(super) fn now(&self) -> StreamTime {
        self.transcript.try_lock().map_or(StreamTime::ZERO, |transcript| transcript.now)
    }

    fn clock(&self) -> MutexGuard<'_, SessionClock> {
        lock(&self.clock)
    }

    /// Removes the lines and events since the wall time `ms` (milliseconds since 1970) from screen and export, and those that will
    /// be reported late of sound heard so far; `lag_secs` is the time by which the model is behind. If the session has no wall time,
    /// removes all. The event `session_started` stays.
    pub(super) fn forget_since(&self, ms: i64, lag_secs: f32) {
        let at = self.clock().wall.at(ms).unwrap_or(StreamTime::ZERO);
        {
            let mut transcript = self.transcript();
            self.ignore_until(heard_until(&transcript, lag_secs));
            transcript.forget_since(at);
        }
        self.events().retain(|event| event.at() < at || matches!(event, Event::SessionStarted { .. }));
    }

    /// Removes all lines and events from screen and export, as [`SessionData::forget_since`] does, and returns them with the stream
    /// time up to which they were heard.
    pub(super) fn take_conversation(&self, lag_secs: f32) -> (Transcript, Vec<Event>, StreamTime) {
        let (lines, until) = {
            let mut transcript = self.transcript();
            let until = heard_until(&transcript, lag_secs);
            self.ignore_until(until);
            (transcript.take_all(), until)
        };
        let mut events = self.events();
        let started = events.iter().rfind(|event| matches!(event, Event::SessionStarted { .. })).cloned();
        let taken = std::mem::replace(&mut *events, started.into_iter().collect());
        (lines, taken, until)
    }

    /// Puts what [`SessionData::take_conversation`] has removed before what came since.
    pub(super) fn restore_conversation(&self, lines: Transcript, mut events: Vec<Event>) {
        self.transcript().restore(lines);
        let mut now = self.events();
        let copied = usize::from(matches!(now.first(), Some(Event::SessionStarted { .. })));
        events.extend(now.drain(..).skip(copied));
        *now = events;
    }

    /// Ignores from now on what is reported late of sound heard up to `until`.
    fn ignore_until(&self, until: StreamTime) {
        self.deleted_until.fetch_max(until.0.0 + 1, Ordering::Relaxed);
    }

    /// Returns true if `event` reports something heard or said in the part that the user has deleted.
    fn is_deleted(&self, event: &Event) -> bool {
        let is_content = matches!(
            event,
            Event::Decision { .. }
                | Event::ReplyStarted { .. }
                | Event::ReplyText { .. }
                | Event::ReplyFinished { .. }
                | Event::Sound { .. }
        );
        is_content && event.at().0.0 < self.deleted_until.load(Ordering::Relaxed)
    }

    /// Returns the events since the last call that the window answers with messages, oldest first.
    pub(super) fn take_news(&self) -> Vec<Event> {
        std::mem::take(&mut *lock(&self.news))
    }

    /// Returns the time zone of the system when the event thread started.
    pub(super) fn zone(&self) -> TimeZone {
        self.clock().zone.clone()
    }

    /// Returns a stream time as text: local time of day in a live session, else the time since the start of the stream.
    pub(super) fn time(&self, at: StreamTime) -> String {
        self.clock().format(at)
    }
}

/// Returns the stream time up to which sound has been heard, the part included that the model has not decided on yet: `lag_secs`.
fn heard_until(transcript: &Transcript, lag_secs: f32) -> StreamTime {
    let lag = (f64::from(lag_secs.max(0.0)) * f64::from(SAMPLE_RATE_HZ)) as u64;
    StreamTime(transcript.now.0 + lag)
}

/// Returns true for the events that the window answers with messages, or that tell it that a choice has worked.
const fn is_news(event: &Event) -> bool {
    matches!(
        event,
        Event::Problem { .. }
            | Event::ModelChanged { .. }
            | Event::ModelFailed { .. }
            | Event::NotUnderstood { .. }
            | Event::InputChanged { .. }
            | Event::InputLost { .. }
            | Event::VoiceStarted { .. }
    )
}

/// Returns the panel to which each mode in `modes` writes, by the mode's name.
pub(super) fn panels_of(modes: &[Mode]) -> BTreeMap<String, Panel> {
    modes.iter().map(|mode| (mode.name.clone(), mode.panel)).collect()
}

/// Starts the event thread, which takes every event of `engine` until the engine ends, updates `data`, and passes each event to
/// the history through `sink`.
///
/// # Errors
/// When the system refuses another thread.
pub(super) fn start(engine: &EngineHandle, data: &Arc<SessionData>, sink: EventSink) -> Result<JoinHandle<()>> {
    let (events, data) = (engine.events().clone(), Arc::clone(data));
    let run = move || {
        data.clock().zone = local_zone();
        for event in events {
            // Words of a deleted part that are reported late are not stored either.
            if data.is_deleted(&event) {
                continue;
            }
            sink.record(&event);
            // The engine stands still once nobody takes its events, so an event that cannot be shown is skipped.
            let applied = supervise::catch(|| {
                apply(&data, &event);
                Ok(())
            });
            if applied.is_err() {
                data.transcript().notices.push_back(Notice { at: event.at(), kind: NoticeKind::NotShown });
            }
            data.repaint();
        }
    };
    supervise::spawn("hearken-view", run)
}

fn apply(data: &SessionData, event: &Event) {
    let notification = {
        let mut transcript = data.transcript();
        // The user may have deleted it while this thread waited for the lock.
        if data.is_deleted(event) {
            return;
        }
        transcript.apply(event);
        data.alerts().notification(event, &transcript, Instant::now())
    };
    store_event(&mut data.events(), event);
    if is_news(event) {
        let mut news = lock(&data.news);
        if news.len() >= MAX_NEWS {
            news.remove(0);
        }
        news.push(event.clone());
    }
    match event {
        Event::SessionStarted { at, started_utc: Some(_), .. } => data.clock().wall.anchor(*at, now_ms()),
        Event::SessionStarted { .. } => {}
        // The same events as in the history, which else shows other times.
        _ if is_anchor(event) && data.clock().wall.ms(event.at()).is_some() => data.clock().wall.anchor(event.at(), now_ms()),
        _ => {}
    }
    if let Some(notification) = notification {
        notify::show(&notification);
    }
}

/// Adds `event` to the events kept for an export, except for kinds that the history does not store either. A finished reply
/// replaces the pieces of its text.
fn store_event(events: &mut Vec<Event>, event: &Event) {
    if !is_stored(event) {
        return;
    }
    if events.len() >= MAX_EVENTS {
        // The first event is `session_started`, which names model and source.
        events.drain(1..MAX_EVENTS / 2);
    }
    if let Event::ReplyFinished { reply: finished, .. } = event
        && let Some(start) = events.iter().rposition(|e| matches!(e, Event::ReplyStarted { reply, .. } if reply == finished))
    {
        let since = events.split_off(start);
        events.extend(since.into_iter().filter(|e| !matches!(e, Event::ReplyText { reply, .. } if reply == finished)));
    }
    events.push(event.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ReplyId, StopReason};

    #[test]
    fn time_is_local_where_known_and_else_since_the_start() {
        let at = StreamTime::from_samples(5 * 16_000);
        let mut clock = SessionClock::default();
        assert_eq!(clock.format(at), "0:05.0");
        clock.wall.anchor(StreamTime::ZERO, 50_531_000);
        assert_eq!(clock.format(at), "14:02:16");
    }

    #[test]
    fn words_of_a_deleted_part_that_are_reported_late_are_ignored() {
        let data = SessionData::new(Transcript::new(BTreeMap::from([("transcribe".to_owned(), Panel::Transcript)])));
        let said = |secs: u64, text: &str| {
            let at = StreamTime::from_samples(secs * u64::from(SAMPLE_RATE_HZ));
            let (mode, stop) = ("transcribe".to_owned(), StopReason::End);
            Event::ReplyFinished { at, reply: ReplyId(secs), mode, text: text.into(), from_secs: at, to_secs: at, stop }
        };
        apply(&data, &said(5, "a secret"));
        // The model is two seconds behind.
        let (lines, events, until) = data.take_conversation(2.0);
        assert_eq!((lines.utterances.len(), events.len(), until.secs()), (1, 1, 7.0));
        apply(&data, &said(7, "in two parts"));
        assert!(data.is_deleted(&said(7, "")) && data.transcript().utterances.is_empty() && data.events().is_empty());
        apply(&data, &said(9, "good morning"));
        assert_eq!((data.transcript().utterances.len(), data.events().len()), (1, 1));
        data.restore_conversation(lines, events);
        assert_eq!(data.transcript().utterances.len(), 2);
    }

    #[test]
    fn stored_events_hold_each_reply_once_and_stay_bounded() {
        let (at, mode) = (StreamTime::ZERO, "dialog".to_owned());
        let mut events = Vec::new();
        let started = Event::SessionStarted { at, protocol: 1, model: "m".into(), source: "s".into(), modes: vec![], started_utc: None };
        store_event(&mut events, &started);
        for n in 0..MAX_EVENTS as u64 {
            let (reply, chunk) = (ReplyId(n), crate::time::ChunkIdx(n));
            store_event(&mut events, &Event::Decision { at, chunk, mode: mode.clone(), silent: false, drained: false, margin: None });
            store_event(&mut events, &Event::ReplyStarted { at, reply, chunk, mode: mode.clone(), emotion: None });
            store_event(&mut events, &Event::ReplyText { at, reply, mode: mode.clone(), text: "a".into() });
            let (text, stop) = ("a b".to_owned(), StopReason::End);
            store_event(&mut events, &Event::ReplyFinished { at, reply, mode: mode.clone(), text, from_secs: at, to_secs: at, stop });
        }
        assert!(events.len() <= MAX_EVENTS && events.len() > MAX_EVENTS / 3 && events[0] == started);
        let last = &events[events.len() - 2..];
        assert!(matches!(last, [Event::ReplyStarted { .. }, Event::ReplyFinished { .. }]), "{last:?}");
        assert!(!events.iter().any(|event| matches!(event, Event::ReplyText { .. } | Event::Decision { .. })));
    }
}
