//! The state of the session that matters most, in one word, one colour and one icon.

use egui::{Color32, Visuals};

use super::icons::Icon;
use super::strings::{Strings, fill};
use super::tokens::Palette;
use crate::engine::Readings;
use crate::transcript::{InputState, Transcript};

/// Lag of the model behind the sound above which it is shown, in seconds.
pub(super) const LATE_SECS: f32 = 2.0;

/// The state of the session. Where several apply, the first one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SessionState {
    /// The session has ended.
    Ended,
    /// No microphone delivers sound.
    NoMicrophone,
    /// The user has paused.
    Paused,
    /// A model is being loaded.
    #[default]
    Loading,
    /// Hearken decides later than it hears, by more than [`LATE_SECS`].
    Behind,
    /// A reply is spoken aloud.
    Speaking,
    /// A reply is generated.
    Replying,
    /// No mode is on.
    NothingOn,
    /// No sound passes the quiet gate.
    Quiet,
    /// Sound passes and is decided on.
    Listening,
}

impl SessionState {
    /// Returns the state of the session with the transcript `t`.
    pub(super) fn of(t: &Transcript, readings: &Readings) -> Self {
        if t.finished {
            Self::Ended
        } else if t.input() == InputState::Lost {
            Self::NoMicrophone
        } else if t.is_paused() {
            Self::Paused
        } else if readings.loading {
            Self::Loading
        } else if readings.lag_secs > LATE_SECS {
            Self::Behind
        } else if t.speaking.is_some() {
            Self::Speaking
        } else if is_replying(t, readings) {
            Self::Replying
        } else if t.modes.is_empty() && !t.model.is_empty() {
            Self::NothingOn
        } else if t.quiet_since.is_some() {
            Self::Quiet
        } else {
            Self::Listening
        }
    }

    /// Returns the state in a word or two.
    pub(super) fn word(self, s: &Strings, readings: &Readings) -> String {
        match self {
            Self::Ended => s.ended,
            Self::NoMicrophone => s.no_input,
            Self::Paused => s.paused,
            Self::Loading => s.loading,
            Self::Behind => return fill(s.behind, format_args!("{:.0}", readings.lag_secs)),
            Self::Speaking => s.speaking,
            Self::Replying => s.replying,
            Self::NothingOn => s.nothing_on_state,
            Self::Quiet => s.quiet_short,
            Self::Listening => s.listening,
        }
        .to_owned()
    }

    /// Returns the word for the title of the window; None where it is only the name of the program.
    pub(super) const fn title(self, s: &Strings) -> Option<&'static str> {
        match self {
            Self::Paused => Some(s.title_paused),
            Self::NoMicrophone => Some(s.title_no_input),
            Self::Ended => Some(s.title_ended),
            Self::NothingOn => Some(s.title_nothing_on),
            // States that pass in seconds would make the title flicker.
            Self::Listening | Self::Quiet | Self::Replying | Self::Speaking | Self::Behind => Some(s.title_listening),
            Self::Loading => None,
        }
    }

    /// Returns true while sound passes the quiet gate, so that the level moves.
    pub(super) const fn has_sound(self) -> bool {
        matches!(self, Self::Listening | Self::Replying | Self::Speaking | Self::Behind)
    }

    /// Returns the colour of the state.
    pub(super) const fn colour(self, visuals: &Visuals) -> Color32 {
        let p = Palette::of(visuals);
        match self {
            Self::Ended | Self::NoMicrophone => p.fault,
            Self::Behind => p.urgent,
            Self::Paused | Self::Loading | Self::NothingOn | Self::Quiet => p.quiet,
            Self::Speaking | Self::Replying => p.replying,
            Self::Listening => p.listening,
        }
    }

    /// Returns the icon of the state.
    pub(super) const fn icon(self) -> Icon {
        match self {
            Self::Ended => Icon::Power,
            Self::NoMicrophone => Icon::Warning,
            Self::Paused => Icon::MicrophoneOff,
            Self::Loading | Self::Behind => Icon::Hourglass,
            Self::Speaking => Icon::Voice,
            Self::Replying => Icon::Reply,
            Self::NothingOn => Icon::DeafEar,
            Self::Quiet => Icon::Moon,
            Self::Listening => Icon::Microphone,
        }
    }
}

/// Time for which a reply that is not finished counts as being generated although the engine generates none, in seconds: the events
/// of the engine arrive a moment later than its readings.
const UNFINISHED_SECS: f64 = 5.0;

/// Returns true while a reply of the conversation is generated.
pub(super) fn is_replying(t: &Transcript, readings: &Readings) -> bool {
    let unfinished = t.replies.last().filter(|reply| reply.stop.is_none() && !t.finished);
    unfinished.is_some_and(|reply| readings.replying || t.now.secs_since(reply.at) < UNFINISHED_SECS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::strings;
    use super::*;
    use crate::config::prefs::UiLanguage;
    use crate::protocol::{Event, Panel, ReplyId};
    use crate::time::{ChunkIdx, StreamTime};

    fn session(events: &[Event]) -> Transcript {
        let mut t = Transcript::new(BTreeMap::from([("dialog".to_owned(), Panel::Conversation)]));
        let (at, modes) = (StreamTime::ZERO, vec!["dialog".to_owned()]);
        t.apply(&Event::SessionStarted { at, protocol: 1, model: "m".into(), source: "s".into(), modes, started_utc: None });
        events.iter().for_each(|event| t.apply(event));
        t
    }

    #[test]
    fn the_state_that_matters_most_is_shown() {
        let (at, readings) = (StreamTime::from_samples(16_000), Readings::default());
        let state = |events: &[Event]| SessionState::of(&session(events), &readings);
        let quiet = Event::Gate { at, open: false, level_dbfs: -60.0 };
        let reply = Event::ReplyStarted { at, reply: ReplyId(1), chunk: ChunkIdx(1), mode: "dialog".into(), emotion: None };
        assert_eq!(state(&[]), SessionState::Listening);
        assert_eq!(state(std::slice::from_ref(&quiet)), SessionState::Quiet);
        assert_eq!(state(std::slice::from_ref(&reply)), SessionState::Replying);
        assert_eq!(state(&[quiet, reply, Event::Paused { at }]), SessionState::Paused);
        assert_eq!(state(&[Event::Paused { at }, Event::InputLost { at }]), SessionState::NoMicrophone);
        assert_eq!(state(&[Event::ModesChanged { at, modes: vec![] }]), SessionState::NothingOn);
    }

    #[test]
    fn a_reply_that_the_engine_has_given_up_is_not_shown_for_ever() {
        let (at, later) = (StreamTime::from_samples(16_000), StreamTime::from_samples(160_000));
        let reply = Event::ReplyStarted { at, reply: ReplyId(1), chunk: ChunkIdx(1), mode: "dialog".into(), emotion: None };
        let t = session(&[reply, Event::ModesChanged { at: later, modes: vec!["dialog".into()] }]);
        assert_eq!(SessionState::of(&t, &Readings::default()), SessionState::Listening);
        assert!(is_replying(&t, &Readings { replying: true, ..Readings::default() }));
    }

    #[test]
    fn states_differ_in_word_and_icon_not_only_in_colour() {
        let s = strings::table(UiLanguage::English);
        let states = [
            SessionState::Ended,
            SessionState::NoMicrophone,
            SessionState::Paused,
            SessionState::Loading,
            SessionState::Speaking,
            SessionState::Replying,
            SessionState::NothingOn,
            SessionState::Quiet,
            SessionState::Listening,
        ];
        for (n, one) in states.iter().enumerate() {
            for other in &states[n + 1..] {
                let readings = Readings::default();
                assert!(one.word(s, &readings) != other.word(s, &readings) && one.icon() != other.icon(), "{one:?} {other:?}");
            }
        }
    }
}
