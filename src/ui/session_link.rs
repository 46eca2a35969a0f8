//! The link from overlays and tray to the session: its state, and the commands that they give. It works from any thread and while
//! the main window paints nothing.

use std::sync::Arc;

use super::event_thread::SessionData;
use super::running_session::RunningSession;
use super::session_state::SessionState;
use crate::engine::Meters;
use crate::protocol::Command;
#[cfg(test)]
use crate::transcript::Transcript;

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

    /// Returns the name of the microphone.
    pub(super) fn source(&self) -> String {
        self.data.transcript().source.clone()
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
