//! The thread that takes events as they come, so that a hidden window never holds the engine up and an idle one paints
//! nothing: it folds them into the transcript, notes the time on the wall, and decides what the desktop should be told.

use std::collections::BTreeMap;
use std::process::Command as Process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{captions, notify, theme};
use crate::config::Mode;
use crate::engine::EngineHandle;
use crate::history::Tap;
use crate::protocol::{Emotion, Event};
use crate::time::StreamTime;
use crate::transcript::{Shown, Transcript};

/// A sound that goes on notifies once in so long.
const AGAIN: Duration = Duration::from_secs(60);

/// What the thread and the window share.
#[derive(Debug)]
pub(super) struct Heard {
    transcript: Mutex<Transcript>,
    clock: Mutex<Clock>,
    alerts: Mutex<Alerts>,
}

/// What the desktop should be told of.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    pub(super) on: bool,
    pub(super) snoozed_until: Option<Instant>,
    pub(super) marked: Vec<String>,
    pub(super) titles: [&'static str; 2],
    told: BTreeMap<String, Instant>,
}

/// From audio time to the time on the wall: a session with a microphone begins and goes on at known times.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Audio time, and the second of the day in local time at that moment.
    anchors: Vec<(StreamTime, f64)>,
    offset_secs: i64,
}

impl Heard {
    pub(super) fn new(transcript: Transcript) -> Arc<Self> {
        Arc::new(Self { transcript: Mutex::new(transcript), clock: Mutex::default(), alerts: Mutex::default() })
    }

    pub(super) fn transcript(&self) -> MutexGuard<'_, Transcript> {
        self.transcript.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn alerts(&self) -> MutexGuard<'_, Alerts> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes away what was heard and said since then, in milliseconds since 1970; everything where time is not known.
    pub(super) fn forget_since(&self, ms: i64) {
        let at = self.clock().wall.at(ms).unwrap_or(StreamTime::ZERO);
        self.transcript().forget_since(at);
    }

    /// A time as a person reads it: on the wall where that is known, else since the start.
    pub(super) fn time(&self, at: StreamTime) -> String {
        self.clock().read(at)
    }
}

impl Clock {
    fn anchor(&mut self, at: StreamTime) {
        let utc = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        self.anchors.push((at, utc + self.offset_secs as f64));
    }

    fn read(&self, at: StreamTime) -> String {
        let place = self.anchors.partition_point(|(from, _)| *from <= at).saturating_sub(1);
        let Some((from, wall)) = self.anchors.get(place) else { return at.to_string() };
        let second = (wall + at.secs_since(*from)).rem_euclid(86_400.0) as u64;
        format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
    }
}

impl Alerts {
    /// What to tell the desktop about `event`: title and text.
    fn about(&mut self, event: &Event, transcript: &Transcript, now: Instant) -> Option<(&'static str, String)> {
        if !self.on || self.snoozed_until.is_some_and(|until| now < until) {
            return None;
        }
        match event {
            Event::ReplyFinished { reply, text, .. } => {
                let urgent = transcript.replies.iter().rev().any(|r| r.id == *reply && r.emotion == Some(Emotion::Urgent));
                (urgent && !text.trim().is_empty()).then(|| (self.titles[0], text.trim().to_owned()))
            }
            Event::Sound { name, .. } if self.marked.contains(name) => {
                let due = self.told.get(name).is_none_or(|told| now.duration_since(*told) >= AGAIN);
                due.then(|| {
                    self.told.insert(name.clone(), now);
                    (self.titles[1], name.clone())
                })
            }
            _ => None,
        }
    }
}

/// Where the responses of each mode are shown.
pub(super) fn shown(modes: &[Mode]) -> BTreeMap<String, Shown> {
    use crate::config::Panel;
    let of = |panel| match panel {
        Panel::Conversation => Shown::Conversation,
        Panel::Transcript => Shown::Transcript,
        Panel::Translation => Shown::Translation,
        Panel::Sounds => Shown::Sounds,
    };
    modes.iter().map(|m| (m.name.clone(), of(m.panel))).collect()
}

/// Starts the thread.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(engine: &EngineHandle, heard: &Arc<Heard>, ctx: &egui::Context, tap: Tap) -> std::io::Result<()> {
    let (events, heard, ctx) = (engine.events().clone(), Arc::clone(heard), ctx.clone());
    let fold = move || {
        theme::add_system_font(&ctx);
        heard.clock().offset_secs = local_offset_secs();
        for event in events {
            tap.note(&event);
            let telling = {
                let mut transcript = heard.transcript();
                transcript.apply(&event);
                heard.alerts().about(&event, &transcript, Instant::now())
            };
            match event {
                Event::SessionStarted { at, started_utc: Some(_), .. } => heard.clock().anchor(at),
                Event::Resumed { at } | Event::AudioGap { at, .. } if !heard.clock().anchors.is_empty() => heard.clock().anchor(at),
                _ => {}
            }
            if let Some((title, text)) = telling {
                notify::tell(title, &text);
            }
            ctx.request_repaint();
            captions::repaint(&ctx);
        }
    };
    std::thread::Builder::new().name("hearken-view".into()).spawn(fold).map(drop)
}

/// Seconds by which local time is ahead of UTC, as the system's own `date` says; 0 where there is none.
fn local_offset_secs() -> i64 {
    let said = Process::new("date").arg("+%z").output().ok().filter(|out| out.status.success());
    said.and_then(|out| parse_offset(String::from_utf8_lossy(&out.stdout).trim())).unwrap_or(0)
}

/// `+0130` in seconds.
fn parse_offset(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    Some((number / 100 * 60 + number % 100) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ReplyId, Stop};

    #[test]
    fn time_on_the_wall_goes_on_after_a_pause() {
        assert_eq!((parse_offset("+0130"), parse_offset("-0800"), parse_offset("Z")), (Some(5_400), Some(-28_800), None));
        let secs = |s: u64| StreamTime::from_samples(s * 16_000);
        let mut clock = Clock::default();
        assert_eq!(clock.read(secs(5)), "0:05.0");
        clock.anchors = vec![(secs(0), 50_531.0), (secs(10), 51_000.0)];
        assert_eq!((clock.read(secs(9)), clock.read(secs(10))), ("14:02:20".into(), "14:10:00".into()));
    }

    #[test]
    fn the_desktop_hears_of_urgent_replies_and_marked_sounds_unless_it_sleeps() {
        let (at, reply, now) = (StreamTime::ZERO, ReplyId(1), Instant::now());
        let mut t = Transcript::new(BTreeMap::new());
        let mut alerts = Alerts { on: true, marked: vec!["alarm".into()], titles: ["urgent", "sound"], ..Alerts::default() };
        let sound = |name: &str| Event::Sound { at, reply, name: name.into(), count: 1 };
        assert_eq!(alerts.about(&sound("alarm"), &t, now), Some(("sound", "alarm".into())));
        assert_eq!(alerts.about(&sound("alarm"), &t, now), None, "once a minute");
        assert_eq!(alerts.about(&sound("alarm"), &t, now + AGAIN), Some(("sound", "alarm".into())));
        assert_eq!(alerts.about(&sound("dog"), &t, now), None);
        let end =
            Event::ReplyFinished { at, reply, mode: "dialog".into(), text: " Fire? ".into(), from_secs: at, to_secs: at, stop: Stop::End };
        t.apply(&Event::ReplyStarted { at, reply, chunk: crate::time::ChunkIdx(1), mode: "dialog".into(), emotion: Some(Emotion::Urgent) });
        t.apply(&end);
        assert_eq!(alerts.about(&end, &t, now), Some(("urgent", "Fire?".into())));
        alerts.snoozed_until = Some(now + Duration::from_secs(1));
        assert_eq!(alerts.about(&end, &t, now), None);
    }
}
