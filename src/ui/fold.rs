//! The thread that takes events as they come, so that a hidden window never holds the engine up and an idle one paints
//! nothing: it folds them into the transcript, keeps what an export as JSON Lines is made of, notes the time on the wall, and
//! decides what the desktop should be told.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::notify::Urgency;
use super::{captions, notify};
use crate::clock::{local_offset_secs, now_ms};
use crate::config::Mode;
use crate::engine::EngineHandle;
use crate::history::{EventSink, is_stored};
use crate::protocol::{Emotion, Event, Panel};
use crate::time::StreamTime;
use crate::time::wall::{WallClock, time_of_day};
use crate::transcript::{Notice, Transcript};

/// Events that are kept for an export: a day of talk, some 20 MB. Beyond that the older half goes; the history has all.
const EVENTS: usize = 100_000;
/// A sound that goes on notifies once in so long.
const AGAIN: Duration = Duration::from_secs(60);

/// What the thread and the window share.
#[derive(Debug)]
pub(super) struct Heard {
    transcript: Mutex<Transcript>,
    events: Mutex<Vec<Event>>,
    clock: Mutex<Clock>,
    alerts: Mutex<Alerts>,
    /// What shows it, once there is a window.
    window: OnceLock<egui::Context>,
}

/// What the desktop should be told of.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    pub(super) on: bool,
    /// Nothing is spoken or notified until that is switched off.
    pub(super) do_not_disturb: bool,
    pub(super) snoozed_until: Option<Instant>,
    pub(super) marked: Vec<String>,
    pub(super) titles: [&'static str; 2],
    told: BTreeMap<String, Instant>,
}

/// From audio time to the time on the wall: a session with a microphone begins and goes on at known times.
#[derive(Debug, Default)]
pub(super) struct Clock {
    wall: WallClock,
    offset_secs: i64,
}

impl Heard {
    pub(super) fn new(transcript: Transcript) -> Arc<Self> {
        Arc::new(Self {
            transcript: Mutex::new(transcript),
            events: Mutex::default(),
            clock: Mutex::default(),
            alerts: Mutex::default(),
            window: OnceLock::new(),
        })
    }

    /// From now on this window shows it.
    pub(super) fn show_in(&self, ctx: &egui::Context) {
        // There is one window in a process.
        let _ = self.window.set(ctx.clone());
    }

    /// Whether a window has shown it.
    pub(super) fn was_shown(&self) -> bool {
        self.window.get().is_some()
    }

    /// Has what shows it painted anew.
    pub(super) fn repaint(&self) {
        if let Some(ctx) = self.window.get() {
            ctx.request_repaint();
            captions::repaint(ctx);
        }
    }

    pub(super) fn transcript(&self) -> MutexGuard<'_, Transcript> {
        self.transcript.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn alerts(&self) -> MutexGuard<'_, Alerts> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was reported of the session and not forgotten, decisions left out.
    pub(super) fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the session is; its beginning where somebody holds the transcript, who may never let it go.
    pub(super) fn now(&self) -> StreamTime {
        self.transcript.try_lock().map_or(StreamTime::ZERO, |transcript| transcript.now)
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes away what was heard and said since then, in milliseconds since 1970; everything where time is not known.
    pub(super) fn forget_since(&self, ms: i64) {
        let at = self.clock().wall.at(ms).unwrap_or(StreamTime::ZERO);
        self.transcript().forget_since(at);
        self.events().retain(|event| event.at() < at || matches!(event, Event::SessionStarted { .. }));
    }

    /// Seconds by which local time is ahead of UTC.
    pub(super) fn offset_secs(&self) -> i64 {
        self.clock().offset_secs
    }

    /// A time as a person reads it: on the wall where that is known, else since the start.
    pub(super) fn time(&self, at: StreamTime) -> String {
        self.clock().read(at)
    }
}

impl Clock {
    fn read(&self, at: StreamTime) -> String {
        self.wall.ms(at).map_or_else(|| at.to_string(), |ms| time_of_day(ms, self.offset_secs))
    }
}

impl Alerts {
    /// What to tell the desktop about `event`: how urgent it is, title and text.
    fn about(&mut self, event: &Event, transcript: &Transcript, now: Instant) -> Option<(Urgency, &'static str, String)> {
        if !self.on || self.do_not_disturb || self.snoozed_until.is_some_and(|until| now < until) {
            return None;
        }
        match event {
            Event::ReplyFinished { reply, text, .. } => {
                let urgent = transcript.replies.iter().rev().any(|r| r.id == *reply && r.emotion == Some(Emotion::Urgent));
                (urgent && !text.trim().is_empty()).then(|| (Urgency::Critical, self.titles[0], text.trim().to_owned()))
            }
            Event::Sound { name, .. } if self.marked.contains(name) => {
                let due = self.told.get(name).is_none_or(|told| now.duration_since(*told) >= AGAIN);
                due.then(|| {
                    self.told.insert(name.clone(), now);
                    (Urgency::Normal, self.titles[1], name.clone())
                })
            }
            _ => None,
        }
    }
}

/// Where the responses of each mode are shown.
pub(super) fn shown(modes: &[Mode]) -> BTreeMap<String, Panel> {
    modes.iter().map(|mode| (mode.name.clone(), mode.panel)).collect()
}

/// Starts the thread; what it takes goes into the history by `sink`.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(engine: &EngineHandle, heard: &Arc<Heard>, sink: EventSink) -> std::io::Result<JoinHandle<()>> {
    let (events, heard) = (engine.events().clone(), Arc::clone(heard));
    let fold = move || {
        heard.clock().offset_secs = local_offset_secs();
        for event in events {
            sink.record(&event);
            // An engine whose events nobody takes would stand still: what cannot be shown is passed over.
            if catch_unwind(AssertUnwindSafe(|| take(&heard, &event))).is_err() {
                let text = "Something that was reported could not be shown; listening goes on.".to_owned();
                heard.transcript().notices.push_back(Notice { at: event.at(), text });
            }
            heard.repaint();
        }
    };
    std::thread::Builder::new().name("hearken-view".into()).spawn(fold)
}

/// Takes note of an event in every respect.
fn take(heard: &Heard, event: &Event) {
    let telling = {
        let mut transcript = heard.transcript();
        transcript.apply(event);
        heard.alerts().about(event, &transcript, Instant::now())
    };
    remember(&mut heard.events(), event);
    match event {
        Event::SessionStarted { at, started_utc: Some(_), .. } => heard.clock().wall.anchor(*at, now_ms()),
        Event::Resumed { at } | Event::AudioGap { at, .. } if heard.clock().wall.ms(*at).is_some() => {
            heard.clock().wall.anchor(*at, now_ms());
        }
        _ => {}
    }
    if let Some((urgency, title, text)) = telling {
        notify::tell(urgency, title, &text);
    }
}

/// Adds an event; once a reply is whole its pieces go.
fn remember(events: &mut Vec<Event>, event: &Event) {
    if !is_stored(event) {
        return;
    }
    if events.len() >= EVENTS {
        // The first says what listens.
        events.drain(1..EVENTS / 2);
    }
    if let Event::ReplyFinished { reply: whole, .. } = event
        && let Some(begun) = events.iter().rposition(|e| matches!(e, Event::ReplyStarted { reply, .. } if reply == whole))
    {
        let since = events.split_off(begun);
        events.extend(since.into_iter().filter(|e| !matches!(e, Event::ReplyText { reply, .. } if reply == whole)));
    }
    events.push(event.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ReplyId, StopReason};

    #[test]
    fn a_time_is_one_on_the_wall_where_that_is_known_and_else_since_the_start() {
        let at = StreamTime::from_samples(5 * 16_000);
        let mut clock = Clock::default();
        assert_eq!(clock.read(at), "0:05.0");
        clock.wall.anchor(StreamTime::ZERO, 50_531_000);
        assert_eq!(clock.read(at), "14:02:16");
    }

    #[test]
    fn what_an_export_is_made_of_has_every_reply_once_and_never_grows_beyond_its_bound() {
        let (at, mode) = (StreamTime::ZERO, "dialog".to_owned());
        let mut events = Vec::new();
        let started = Event::SessionStarted { at, protocol: 1, model: "m".into(), source: "s".into(), modes: vec![], started_utc: None };
        remember(&mut events, &started);
        for n in 0..EVENTS as u64 {
            let (reply, chunk) = (ReplyId(n), crate::time::ChunkIdx(n));
            remember(&mut events, &Event::Decision { at, chunk, mode: mode.clone(), silent: false, drained: false, margin: None });
            remember(&mut events, &Event::ReplyStarted { at, reply, chunk, mode: mode.clone(), emotion: None });
            remember(&mut events, &Event::ReplyText { at, reply, mode: mode.clone(), text: "a".into() });
            let (text, stop) = ("a b".to_owned(), StopReason::End);
            remember(&mut events, &Event::ReplyFinished { at, reply, mode: mode.clone(), text, from_secs: at, to_secs: at, stop });
        }
        assert!(events.len() <= EVENTS && events.len() > EVENTS / 3 && events[0] == started);
        let last = &events[events.len() - 2..];
        assert!(matches!(last, [Event::ReplyStarted { .. }, Event::ReplyFinished { .. }]), "{last:?}");
        assert!(!events.iter().any(|event| matches!(event, Event::ReplyText { .. } | Event::Decision { .. })));
    }

    #[test]
    fn the_desktop_hears_of_urgent_replies_and_marked_sounds_unless_it_sleeps() {
        let (at, reply, now) = (StreamTime::ZERO, ReplyId(1), Instant::now());
        let mut t = Transcript::new(BTreeMap::new());
        let mut alerts = Alerts { on: true, marked: vec!["alarm".into()], titles: ["urgent", "sound"], ..Alerts::default() };
        let sound = |name: &str| Event::Sound { at, reply, name: name.into(), count: 1 };
        assert_eq!(alerts.about(&sound("alarm"), &t, now), Some((Urgency::Normal, "sound", "alarm".into())));
        assert_eq!(alerts.about(&sound("alarm"), &t, now), None, "once a minute");
        assert_eq!(alerts.about(&sound("alarm"), &t, now + AGAIN), Some((Urgency::Normal, "sound", "alarm".into())));
        assert_eq!(alerts.about(&sound("dog"), &t, now), None);
        let end = Event::ReplyFinished {
            at,
            reply,
            mode: "dialog".into(),
            text: " Fire? ".into(),
            from_secs: at,
            to_secs: at,
            stop: StopReason::End,
        };
        t.apply(&Event::ReplyStarted { at, reply, chunk: crate::time::ChunkIdx(1), mode: "dialog".into(), emotion: Some(Emotion::Urgent) });
        t.apply(&end);
        assert_eq!(alerts.about(&end, &t, now), Some((Urgency::Critical, "urgent", "Fire?".into())));
        alerts.snoozed_until = Some(now + Duration::from_secs(1));
        assert_eq!(alerts.about(&end, &t, now), None);
    }
}
