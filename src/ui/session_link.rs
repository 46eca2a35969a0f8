//! The link from overlays and tray to the session: its state, and the commands that they give. It works from any thread and while
//! the main window paints nothing.

use std::sync::Arc;

use egui::Color32;

use super::event_thread::SessionData;
use super::running_session::RunningSession;
use super::status_bar::LATE_SECS;
use super::strings::Strings;
use super::theme::StateColours;
use crate::engine::{Meters, Readings};
use crate::protocol::Command;
use crate::transcript::{InputState, Transcript};

/// The state of the session that matters most to a person, of all that apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SessionState {
    Stopped,
    NoMicrophone,
    Paused,
    Loading,
    /// The model is more than [`LATE_SECS`] behind the sound.
    Behind,
    Speaking,
    Replying,
    /// The quiet gate is closed.
    Quiet,
    #[default]
    Listening,
}

impl SessionState {
    /// Returns the state that matters most, in the order of the variants.
    pub(super) fn of(transcript: &Transcript, readings: &Readings) -> Self {
        if transcript.finished {
            Self::Stopped
        } else if transcript.input() == InputState::Lost {
            Self::NoMicrophone
        } else if transcript.is_paused() {
            Self::Paused
        } else if readings.loading {
            Self::Loading
        } else if readings.lag_secs > LATE_SECS {
            Self::Behind
        } else if transcript.speaking.is_some() {
            Self::Speaking
        } else if readings.replying {
            Self::Replying
        } else if transcript.quiet_since.is_some() {
            Self::Quiet
        } else {
            Self::Listening
        }
    }

    /// Returns the state in one or two words.
    pub(super) const fn text(self, s: &Strings) -> &'static str {
        match self {
            Self::Stopped => s.ended,
            Self::NoMicrophone => s.no_input,
            Self::Paused => s.paused,
            Self::Loading => s.loading,
            Self::Behind => s.state_behind,
            Self::Speaking => s.speaking,
            Self::Replying => s.replying,
            Self::Quiet => s.quiet_short,
            Self::Listening => s.listening,
        }
    }

    /// Returns the colour of the state.
    pub(super) const fn colour(self, colours: &StateColours) -> Color32 {
        match self {
            Self::Stopped | Self::NoMicrophone | Self::Behind => colours.fault,
            Self::Paused | Self::Loading | Self::Quiet => colours.quiet,
            Self::Speaking | Self::Replying => colours.replying,
            Self::Listening => colours.listening,
        }
    }

    /// Returns true while sound reaches the model, so that the level moves.
    pub(super) const fn has_sound(self) -> bool {
        matches!(self, Self::Listening | Self::Replying | Self::Speaking | Self::Behind)
    }
}

/// The link to a running session.
#[derive(Clone)]
pub(super) struct SessionLink {
    pub(super) data: Arc<SessionData>,
    pub(super) meters: Arc<Meters>,
    send: Arc<dyn Fn(Command) -> bool + Send + Sync>,
}

impl std::fmt::Debug for SessionLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionLink").finish_non_exhaustive()
    }
}

impl SessionLink {
    pub(super) fn of(session: &RunningSession) -> Self {
        let (data, meters) = (Arc::clone(&session.data), Arc::clone(session.engine.meters()));
        Self { data, meters, send: Arc::new(session.engine.sender()) }
    }

    /// Returns the state of the session at this moment.
    pub(super) fn state(&self) -> SessionState {
        SessionState::of(&self.data.transcript(), &self.meters.read())
    }

    /// Pauses listening, or resumes it after a pause.
    pub(super) fn toggle_pause(&self) {
        let paused = self.data.transcript().is_paused();
        (self.send)(if paused { Command::Resume } else { Command::Pause });
    }
}

/// Commands that may wait in a test.
#[cfg(test)]
const COMMANDS: usize = 8;

#[cfg(test)]
impl SessionLink {
    /// Returns a link to a session without an engine, and the commands given through it.
    pub(super) fn without_engine() -> (Self, std::sync::mpsc::Receiver<Command>) {
        let (sender, commands) = std::sync::mpsc::sync_channel(COMMANDS);
        let send = Arc::new(move |command| sender.try_send(command).is_ok());
        (Self { data: SessionData::new(Transcript::new([].into())), meters: Arc::default(), send }, commands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Event;
    use crate::time::StreamTime;

    #[test]
    fn a_lost_microphone_matters_more_than_a_pause_and_a_pause_more_than_quiet() {
        let (mut t, at, readings) = (Transcript::new([].into()), StreamTime::ZERO, Readings::default());
        assert_eq!(SessionState::of(&t, &readings), SessionState::Listening);
        for (event, state) in [
            (Event::Gate { at, open: false, level_dbfs: -70.0 }, SessionState::Quiet),
            (Event::Paused { at }, SessionState::Paused),
            (Event::InputLost { at }, SessionState::NoMicrophone),
        ] {
            t.apply(&event);
            assert_eq!(SessionState::of(&t, &readings), state);
        }
    }
}
