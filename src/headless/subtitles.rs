//! Subtitles: cues as utterances become complete. (The least that lets this branch compile until `export` is merged.)

use std::io::{self, Write};

use crate::protocol::Event;

pub(super) struct Subtitles(&'static str);

impl Subtitles {
    pub(super) fn srt() -> Self {
        Self("srt")
    }
    pub(super) fn vtt() -> Self {
        Self("vtt")
    }
    pub(super) fn print(&mut self, event: &Event, out: &mut impl Write) -> io::Result<()> {
        if let Event::ReplyFinished { text, .. } = event { writeln!(out, "{} {text}", self.0) } else { Ok(()) }
    }
}
