//! Subtitles: cues as utterances become complete.

use std::io::{self, Write};

use crate::config::modes::{SOUNDS, TRANSCRIBE, TRANSLATE};
use crate::export::{CueBuilder, VTT_HEADER, shown_of, srt_cue, vtt_cue};
use crate::protocol::{Event, Panel};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Srt,
    Vtt,
}

pub(super) struct Subtitles {
    kind: Kind,
    cues: CueBuilder,
    printed: usize,
}

impl Subtitles {
    pub(super) fn srt() -> Self {
        Self::of(Kind::Srt)
    }

    pub(super) fn vtt() -> Self {
        Self::of(Kind::Vtt)
    }

    fn of(kind: Kind) -> Self {
        let shown = [(TRANSCRIBE, Panel::Transcript), (TRANSLATE, Panel::Translation), (SOUNDS, Panel::Sounds)];
        Self { kind, cues: CueBuilder::new(shown_of(shown.map(|(mode, shown)| (mode.to_owned(), shown)))), printed: 0 }
    }

    pub(super) fn print(&mut self, event: &Event, out: &mut impl Write) -> io::Result<()> {
        if self.kind == Kind::Vtt && matches!(event, Event::SessionStarted { .. }) {
            out.write_all(VTT_HEADER.as_bytes())?;
        }
        for cue in self.cues.apply(event) {
            self.printed += 1;
            let text = if self.kind == Kind::Srt { srt_cue(self.printed, &cue) } else { vtt_cue(&cue) };
            out.write_all(text.as_bytes())?;
        }
        Ok(())
    }
}
