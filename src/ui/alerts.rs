//! The choice of events that become desktop notifications: urgent replies, and sounds with an alert.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::notify::{Notification, Urgency};
use super::strings::Strings;
use crate::protocol::{Emotion, Event};
use crate::transcript::Transcript;

/// Shortest time between two notifications of the same sound.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// The user's switch "Do not disturb": while on, replies are spoken only when asked for, and no notification is shown. Not saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DoNotDisturb {
    On,
    #[default]
    Off,
}

/// The user's notification settings, and the time of the last notification of each sound.
#[derive(Debug)]
pub(super) struct Alerts {
    /// True unless the user has switched notifications off in the settings.
    pub(super) enabled: bool,
    pub(super) do_not_disturb: DoNotDisturb,
    /// End of the time for which the user has snoozed notifications; `None` before a first snooze.
    pub(super) snoozed_until: Option<Instant>,
    /// Names of the sounds that the user has marked to be notified of.
    pub(super) sounds: Vec<String>,
    /// Texts in the language of the window.
    pub(super) s: &'static Strings,
    /// Time of the last notification of each sound, by the sound's name.
    last_alerts: BTreeMap<String, Instant>,
}

impl Default for Alerts {
    fn default() -> Self {
        let s = super::strings::table(crate::config::prefs::UiLanguage::System);
        Self { enabled: false, do_not_disturb: DoNotDisturb::Off, snoozed_until: None, sounds: Vec::new(), s, last_alerts: BTreeMap::new() }
    }
}

impl Alerts {
    /// Returns a notification if `event` is a finished reply with the emotion "urgent", or a sound that the user has marked and
    /// that caused no notification within [`REPEAT_INTERVAL`]. Returns `None` for other events, and while notifications are off
    /// or snoozed or "Do not disturb" is on.
    pub(super) fn notification(&mut self, event: &Event, transcript: &Transcript, now: Instant) -> Option<Notification> {
        if !self.enabled || self.do_not_disturb == DoNotDisturb::On || self.is_snoozed(now) {
            return None;
        }
        match event {
            Event::ReplyFinished { reply, text, .. } if !text.trim().is_empty() => {
                let urgent = transcript.replies.iter().rev().any(|r| r.id == *reply && r.emotion == Some(Emotion::Urgent));
                let text = text.trim().to_owned();
                urgent.then_some(Notification { urgency: Urgency::Critical, title: self.s.urgent_title, text })
            }
            Event::Sound { name, .. } if self.sounds.contains(name) => {
                if self.last_alerts.get(name).is_some_and(|last| now.duration_since(*last) < REPEAT_INTERVAL) {
                    return None;
                }
                self.last_alerts.insert(name.clone(), now);
                Some(Notification { urgency: Urgency::Normal, title: self.s.sound_title, text: name.clone() })
            }
            _ => None,
        }
    }

    /// Returns true if the user has snoozed notifications and the snooze has not ended at `now`.
    pub(super) fn is_snoozed(&self, now: Instant) -> bool {
        self.snoozed_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ReplyId, StopReason};
    use crate::time::{ChunkIdx, StreamTime};

    #[test]
    fn urgent_replies_and_chosen_sounds_notify_unless_snoozed() {
        let (at, reply, now) = (StreamTime::ZERO, ReplyId(1), Instant::now());
        let mut t = Transcript::new(BTreeMap::new());
        let mut alerts = Alerts { enabled: true, sounds: vec!["alarm".into()], ..Alerts::default() };
        let sound = |name: &str| Event::Sound { at, reply, name: name.into(), count: 1 };
        let alarm = Some(Notification { urgency: Urgency::Normal, title: alerts.s.sound_title, text: "alarm".into() });
        assert_eq!(alerts.notification(&sound("alarm"), &t, now), alarm);
        assert_eq!(alerts.notification(&sound("alarm"), &t, now), None, "at most once a minute");
        assert_eq!(alerts.notification(&sound("alarm"), &t, now + REPEAT_INTERVAL), alarm);
        assert_eq!(alerts.notification(&sound("dog"), &t, now), None);
        let mode = || "dialog".to_owned();
        let end =
            Event::ReplyFinished { at, reply, mode: mode(), text: " Fire? ".into(), from_secs: at, to_secs: at, stop: StopReason::End };
        t.apply(&Event::ReplyStarted { at, reply, chunk: ChunkIdx(1), mode: mode(), emotion: Some(Emotion::Urgent) });
        t.apply(&end);
        let fire = Some(Notification { urgency: Urgency::Critical, title: alerts.s.urgent_title, text: "Fire?".into() });
        assert_eq!(alerts.notification(&end, &t, now), fire);
        alerts.snoozed_until = Some(now + Duration::from_secs(1));
        assert_eq!(alerts.notification(&end, &t, now), None);
    }
}
