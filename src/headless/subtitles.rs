//! Subtitles: prints a cue as soon as its utterance is complete.

use std::io::{self, Write};

use crate::config::modes::{SOUNDS, TRANSCRIBE, TRANSLATE};
use crate::export::{CueBuilder, VTT_HEADER, srt_cue, vtt_cue};
use crate::protocol::{Event, Panel};

/// The file format of subtitles.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SubtitleFormat {
    /// SubRip.
    Srt,
    /// WebVTT.
    Vtt,
}

/// The printer of subtitles: cues of the modes `transcribe` and `translate`, with sounds and the replies of other modes in
/// brackets.
pub(super) struct Subtitles {
    format: SubtitleFormat,
    cues: CueBuilder,
    /// Number of cues printed so far.
    printed: usize,
}

impl Subtitles {
    /// Returns a printer of SubRip cues.
    pub(super) fn srt() -> Self {
        Self::new(SubtitleFormat::Srt)
    }

    /// Returns a printer of WebVTT cues.
    pub(super) fn vtt() -> Self {
        Self::new(SubtitleFormat::Vtt)
    }

    fn new(format: SubtitleFormat) -> Self {
        let panels = [(TRANSCRIBE, Panel::Transcript), (TRANSLATE, Panel::Translation), (SOUNDS, Panel::Sounds)];
        Self { format, cues: CueBuilder::new(panels.map(|(mode, panel)| (mode.to_owned(), panel))), printed: 0 }
    }

    /// Prints the cues that `event` completes, in the printer's format; for WebVTT also the header, at the start of the session.
    pub(super) fn print(&mut self, event: &Event, out: &mut impl Write) -> io::Result<()> {
        if self.format == SubtitleFormat::Vtt && matches!(event, Event::SessionStarted { .. }) {
            out.write_all(VTT_HEADER.as_bytes())?;
        }
        for cue in self.cues.apply(event) {
            self.printed += 1;
            let text = if self.format == SubtitleFormat::Srt { srt_cue(self.printed, &cue) } else { vtt_cue(&cue) };
            out.write_all(text.as_bytes())?;
        }
        Ok(())
    }
}
