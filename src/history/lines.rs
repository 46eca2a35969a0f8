//! The searchable lines of a transcript: one for each utterance, translation, reply and sound. Pure functions of the transcript.

use crate::protocol::Panel;
use crate::time::StreamTime;
use crate::transcript::Transcript;

/// Number of newest replies that may still grow; older replies count as finished even without an end.
const MAX_GROWING: usize = 16;

/// The panels in the order of their codes in the database ([`code_of`]), which differs from the order of `Panel::ALL`.
pub(super) const PANELS: [Panel; 4] = [Panel::Transcript, Panel::Translation, Panel::Conversation, Panel::Sounds];

/// Returns the code of a panel in the column `lines.kind` of the database. Stored, so it must never change.
pub(super) const fn code_of(panel: Panel) -> usize {
    match panel {
        Panel::Transcript => 0,
        Panel::Translation => 1,
        Panel::Conversation => 2,
        Panel::Sounds => 3,
    }
}

/// Returns the name that `hearken history` prints for the kind of a line of this panel.
pub(super) const fn report_name(panel: Panel) -> &'static str {
    match panel {
        Panel::Transcript => "said",
        Panel::Translation => "translated",
        Panel::Conversation => "reply",
        Panel::Sounds => "sound",
    }
}

/// A row of the table `lines` of the database, without its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HistoryLine {
    /// Panel that shows the line.
    pub(super) panel: Panel,
    /// Number of the line among those of its session and panel, from 0; empty lines count but are not stored.
    pub(super) number: usize,
    /// Audio time at the start of the line; for a reply, the end of the chunk that it answers.
    pub(super) at: StreamTime,
    pub(super) text: String,
}

/// The numbers, for each panel, of leading (oldest) lines that can no longer change and need not be written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StableCounts([usize; 4]);

impl StableCounts {
    /// Returns the numbers of stable lines of a growing transcript. Stable are all utterances and all translations but the last, all
    /// sounds, and all replies before the oldest unfinished reply of the newest [`MAX_GROWING`].
    pub(super) fn of(t: &Transcript) -> Self {
        let growing = t.replies.iter().rev().take(MAX_GROWING).rposition(|reply| reply.stop.is_none()).map_or(0, |place| place + 1);
        Self([t.utterances.len().saturating_sub(1), t.translations.len().saturating_sub(1), t.replies.len() - growing, t.sounds.len()])
    }

    /// Returns the number of stable lines of a panel.
    pub(super) const fn count(self, panel: Panel) -> usize {
        self.0[code_of(panel)]
    }
}

/// Returns the lines of a transcript, panel after panel: of each panel the lines with a number of at least `from(panel)`, without empty
/// lines.
pub(super) fn lines_of(transcript: &Transcript, from: impl Fn(Panel) -> usize) -> Vec<HistoryLine> {
    let mut rows = Vec::new();
    for panel in PANELS {
        let all: Box<dyn Iterator<Item = (StreamTime, &str)>> = match panel {
            Panel::Transcript => Box::new(transcript.utterances.iter().map(|line| (line.from, line.text.as_str()))),
            Panel::Translation => Box::new(transcript.translations.iter().map(|line| (line.from, line.text.as_str()))),
            Panel::Conversation => Box::new(transcript.replies.iter().map(|reply| (reply.at, reply.text.as_str()))),
            Panel::Sounds => Box::new(transcript.sounds.iter().map(|sound| (sound.first, sound.name.as_str()))),
        };
        let rest = all.enumerate().skip(from(panel)).filter(|(_, (_, text))| !text.is_empty());
        rows.extend(rest.map(|(number, (at, text))| HistoryLine { panel, number, at, text: text.to_owned() }));
    }
    rows
}

/// Returns true if the transcript has an utterance, a translation, a sound, or a reply with text.
pub(super) fn has_words(t: &Transcript) -> bool {
    !(t.utterances.is_empty() && t.translations.is_empty() && t.sounds.is_empty()) || t.replies.iter().any(|reply| !reply.text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ReplyId, StopReason};
    use crate::transcript::{Reply, SpeechLine};

    #[test]
    fn only_lines_that_may_still_change_are_written_again() {
        let mut t = Transcript::new([].into());
        assert_eq!((StableCounts::of(&t), has_words(&t)), (StableCounts::default(), false));
        let line = |text: &str| SpeechLine { from: StreamTime::ZERO, to: StreamTime::ZERO, text: text.into() };
        let reply =
            |id, stop| Reply { id: ReplyId(id), mode: "dialog".into(), at: StreamTime::ZERO, emotion: None, text: "r".into(), stop };
        t.utterances = vec![line("one"), line("two")];
        t.replies = vec![reply(1, Some(StopReason::End)), reply(2, None), reply(3, Some(StopReason::End))];
        let stable = StableCounts::of(&t);
        let rows = lines_of(&t, |panel| stable.count(panel));
        assert_eq!(
            rows.iter().map(|row| (row.panel, row.number)).collect::<Vec<_>>(),
            [(Panel::Transcript, 1), (Panel::Conversation, 1), (Panel::Conversation, 2)]
        );
        t.replies.extend((4..40).map(|id| reply(id, Some(StopReason::End))));
        assert_eq!(StableCounts::of(&t).count(Panel::Conversation), t.replies.len(), "a reply that never ends is not waited for for ever");
    }
}
