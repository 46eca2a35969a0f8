//! The lines that people search: one for each utterance, translation, reply and sound of a transcript. Pure.

use crate::time::StreamTime;
use crate::transcript::Transcript;

/// Replies that may still grow at the same time: those before the newest so many are taken as finished, come what may.
const GROWING: usize = 16;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineKind {
    /// Words that were said.
    Said,
    /// Their translation.
    Translated,
    /// A reply of Hearken's.
    Reply,
    /// A sound.
    Sound,
}

impl LineKind {
    pub(super) const ALL: [Self; 4] = [Self::Said, Self::Translated, Self::Reply, Self::Sound];

    /// As reports call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Said => "said",
            Self::Translated => "translated",
            Self::Reply => "reply",
            Self::Sound => "sound",
        }
    }
}

/// A line as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) kind: LineKind,
    /// Its place among the lines of its kind.
    pub(super) number: usize,
    /// Audio time of its beginning.
    pub(super) at: StreamTime,
    pub(super) text: String,
}

/// How many lines of each kind can no longer change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled([usize; 4]);

impl Settled {
    /// Those of a transcript that will go on: its last utterance may be joined, its newest replies may grow.
    pub(super) fn of(t: &Transcript) -> Self {
        let growing = t.replies.iter().rev().take(GROWING).rposition(|reply| reply.stop.is_none()).map_or(0, |place| place + 1);
        Self([t.utterances.len().saturating_sub(1), t.translations.len().saturating_sub(1), t.replies.len() - growing, t.sounds.len()])
    }

    pub(super) const fn count(self, kind: LineKind) -> usize {
        self.0[kind as usize]
    }
}

/// The lines of a transcript, of each kind from the number on that `from` gives.
pub(super) fn lines_of(transcript: &Transcript, from: impl Fn(LineKind) -> usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in LineKind::ALL {
        let all: Box<dyn Iterator<Item = (StreamTime, &str)>> = match kind {
            LineKind::Said => Box::new(transcript.utterances.iter().map(|line| (line.from, line.text.as_str()))),
            LineKind::Translated => Box::new(transcript.translations.iter().map(|line| (line.from, line.text.as_str()))),
            LineKind::Reply => Box::new(transcript.replies.iter().map(|reply| (reply.at, reply.text.as_str()))),
            LineKind::Sound => Box::new(transcript.sounds.iter().map(|sound| (sound.first, sound.name.as_str()))),
        };
        let rest = all.enumerate().skip(from(kind)).filter(|(_, (_, text))| !text.is_empty());
        rows.extend(rest.map(|(number, (at, text))| Row { kind, number, at, text: text.to_owned() }));
    }
    rows
}

/// Whether there is a line at all.
pub(super) fn has_words(t: &Transcript) -> bool {
    !(t.utterances.is_empty() && t.translations.is_empty() && t.sounds.is_empty()) || t.replies.iter().any(|reply| !reply.text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ReplyId, StopReason};
    use crate::transcript::{Reply, SpeechLine};

    #[test]
    fn what_may_still_change_is_written_again_and_nothing_else() {
        let mut t = Transcript::new([].into());
        assert_eq!((Settled::of(&t), has_words(&t)), (Settled::default(), false));
        let line = |text: &str| SpeechLine { from: StreamTime::ZERO, to: StreamTime::ZERO, text: text.into() };
        let reply = |id, stop| Reply { id: ReplyId(id), at: StreamTime::ZERO, emotion: None, text: "r".into(), stop };
        t.utterances = vec![line("one"), line("two")];
        t.replies = vec![reply(1, Some(StopReason::End)), reply(2, None), reply(3, Some(StopReason::End))];
        let settled = Settled::of(&t);
        let rows = lines_of(&t, |kind| settled.count(kind));
        assert_eq!(
            rows.iter().map(|row| (row.kind, row.number)).collect::<Vec<_>>(),
            [(LineKind::Said, 1), (LineKind::Reply, 1), (LineKind::Reply, 2)]
        );
        t.replies.extend((4..40).map(|id| reply(id, Some(StopReason::End))));
        assert_eq!(Settled::of(&t).count(LineKind::Reply), t.replies.len(), "a reply that never ends is not waited for for ever");
    }
}
