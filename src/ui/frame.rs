//! The read-only inputs that most parts of the window share in one frame.

use super::event_thread::SessionData;
use super::strings::Strings;
use crate::config::Settings;
use crate::engine::{Meters, Readings};
use crate::time::StreamTime;
use crate::transcript::{InputState, Transcript};

/// The read-only inputs of one frame: texts, session, meters and settings.
#[derive(Clone, Copy)]
pub(super) struct FrameData<'a> {
    /// Texts in the language of the window.
    pub(super) s: &'static Strings,
    pub(super) transcript: &'a Transcript,
    pub(super) session: &'a SessionData,
    /// The engine's meters, which the engine goes on updating during the frame.
    pub(super) meters: &'a Meters,
    /// Values of the meters at the beginning of the frame.
    pub(super) readings: &'a Readings,
    pub(super) settings: &'a Settings,
    /// Download of a model that runs or is paused, as a short text for the bar; `None` without one.
    pub(super) download: Option<&'a str>,
    /// Progress of the audio file that is being heard, as a short text for the bar; `None` without one.
    pub(super) file: Option<&'a str>,
    /// True for the live session, false for one that hears a file, whose replies nobody speaks.
    pub(super) is_live: bool,
}

impl FrameData<'_> {
    /// Returns a stream time as text: local time of day in a live session, else the time since the start of the stream.
    pub(super) fn time(&self, at: StreamTime) -> String {
        self.session.time(at)
    }

    /// Returns true while the engine processes sound from the source: the input is not lost, and the session is neither paused nor
    /// ended.
    pub(super) fn is_capturing(&self) -> bool {
        self.transcript.input() == InputState::Open && !self.transcript.finished
    }
}
