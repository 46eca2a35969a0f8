//! A whole transcript as one document. Pure: transcript in, text out.

use super::{Cue, CueBuilder, VTT_HEADER, escaped, srt_cue, vtt_cue};
use crate::error::{Error, Result};
use crate::protocol::{Event, Panel, ReplyId, StopReason};
use crate::text::one_line;
use crate::time::StreamTime;
use crate::transcript::{ReplyTrigger, SpeechLine, Transcript};

/// The format of a document that holds a whole transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentFormat {
    /// Plain text.
    Text,
    /// Markdown.
    Markdown,
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
}

impl DocumentFormat {
    /// All document formats.
    pub const ALL: [Self; 4] = [Self::Text, Self::Markdown, Self::Srt, Self::Vtt];

    /// Returns the extension of files in this format, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Markdown => "md",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
        }
    }
}

/// Returns the transcript as a document in the format `form`. `clock` returns a time as text, for plain text and Markdown.
#[must_use]
pub fn document(transcript: &Transcript, form: DocumentFormat, clock: impl Fn(StreamTime) -> String) -> String {
    match form {
        DocumentFormat::Srt => cues(transcript).iter().enumerate().map(|(n, cue)| srt_cue(n + 1, cue)).collect(),
        DocumentFormat::Vtt => std::iter::once(VTT_HEADER.to_owned()).chain(cues(transcript).iter().map(vtt_cue)).collect(),
        DocumentFormat::Text => lines(transcript).into_iter().map(|(at, who, text)| format!("{}  {who}{text}\n", clock(at))).collect(),
        DocumentFormat::Markdown => lines(transcript)
            .into_iter()
            .map(|(at, who, text)| {
                let text = escaped(&text, form);
                if who.is_empty() {
                    format!("`{}` {text}\n\n", clock(at))
                } else {
                    format!("`{}` **{}** {text}\n\n", clock(at), who.trim_end())
                }
            })
            .collect(),
    }
}

/// Returns events as JSON Lines, as `listen --format jsonl` prints them.
///
/// # Errors
/// When an event cannot be serialised, which is a fault of the program.
pub fn jsonl<'a>(events: impl Iterator<Item = &'a Event>) -> Result<String> {
    let line = |event| serde_json::to_string(event).map(|line| line + "\n");
    let lines: serde_json::Result<String> = events.map(line).collect();
    lines.map_err(|e| Error::internal(format_args!("an event cannot be written: {e}")))
}

/// Returns the subtitles of a transcript, made by passing its lines as events to a [`CueBuilder`].
fn cues(t: &Transcript) -> Vec<Cue> {
    let modes = [("said", Panel::Transcript), ("meant", Panel::Translation), ("talk", Panel::Conversation)];
    let line = |mode: &str, line: &SpeechLine| Event::ReplyFinished {
        at: line.to,
        reply: ReplyId(0),
        mode: mode.to_owned(),
        text: line.text.clone(),
        from_secs: line.from,
        to_secs: line.to,
        stop: StopReason::End,
    };
    let talk = |at: StreamTime, text: &str| line("talk", &SpeechLine { from: at, to: at, text: text.to_owned() });
    let mut events: Vec<Event> =
        t.utterances.iter().map(|l| line("said", l)).chain(t.translations.iter().map(|l| line("meant", l))).collect();
    events.extend(t.replies.iter().map(|reply| talk(reply.at, &reply.text)));
    events.extend(t.sounds.iter().map(|s| Event::Sound { at: s.first, reply: ReplyId(0), name: s.name.clone(), count: 1 }));
    events.sort_by_key(Event::at);
    events.push(Event::SessionFinished { at: t.now, chunks: 0, replies: 0, audio_secs: 0.0, problems: 0 });
    let mut cues = CueBuilder::new(modes.map(|(mode, panel)| (mode.to_owned(), panel)));
    events.iter().flat_map(|event| cues.apply(event)).collect()
}

/// Returns the lines of speech, replies and sounds in the order of time: time, speaker (only for replies), text in one line. A line "…"
/// stands before a reply without a known trigger.
fn lines(t: &Transcript) -> Vec<(StreamTime, &'static str, String)> {
    let mut all = Vec::new();
    for row in &t.rows {
        let words = [row.utterance.map(|n| &t.utterances[n]), row.translation.map(|n| &t.translations[n])];
        all.push((row.from, "", words.into_iter().flatten().map(|line| line.text.as_str()).collect::<Vec<_>>().join(" / ")));
    }
    for (n, reply) in t.replies.iter().enumerate().filter(|(_, reply)| !reply.text.is_empty()) {
        if t.trigger_of(n) == ReplyTrigger::Unknown {
            all.push((reply.at, "", "…".into()));
        }
        all.push((reply.at, "Hearken: ", reply.text.clone()));
    }
    for sound in &t.sounds {
        let count = if sound.count > 1 { format!(" ×{}", sound.count) } else { String::new() };
        all.push((sound.first, "", format!("[{}{count}]", sound.name)));
    }
    all.sort_by_key(|(at, _, _)| *at);
    all.into_iter().map(|(at, who, text)| (at, who, one_line(&text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Event, ReplyId, StopReason};

    #[test]
    fn every_format_contains_all_lines() {
        let modes = [("transcribe", Panel::Transcript), ("translate", Panel::Translation), ("dialog", Panel::Conversation)];
        let mut t = Transcript::new(modes.into_iter().map(|(m, s)| (m.to_owned(), s)).collect());
        for (n, (mode, text)) in
            [("transcribe", "what is your name"), ("translate", "你叫什么名字"), ("dialog", "Hearken")].into_iter().enumerate()
        {
            let (at, reply, mode) = (StreamTime::from_samples(16_000), ReplyId(n as u64), mode.to_owned());
            t.apply(&Event::ReplyStarted { at, reply, chunk: crate::time::ChunkIdx(1), mode: mode.clone(), emotion: None });
            let (from_secs, to_secs, stop) = (StreamTime::ZERO, at, StopReason::End);
            t.apply(&Event::ReplyFinished { at, reply, mode, text: text.into(), from_secs, to_secs, stop });
        }
        let of = |form| document(&t, form, |at| at.to_string());
        assert_eq!(of(DocumentFormat::Text), "0:00.0  what is your name / 你叫什么名字\n0:01.0  Hearken: Hearken\n");
        assert_eq!(of(DocumentFormat::Markdown), "`0:00.0` what is your name / 你叫什么名字\n\n`0:01.0` **Hearken:** Hearken\n\n");
        assert!(of(DocumentFormat::Srt).starts_with("1\n00:00:00,000 --> ") && of(DocumentFormat::Srt).contains("你叫什么名字"));
        assert!(of(DocumentFormat::Vtt).starts_with("WEBVTT\n"));
    }
}
