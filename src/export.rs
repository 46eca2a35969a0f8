//! Writers of what was heard: subtitles. Pure: text in, text out.

use crate::protocol::Event;
use crate::time::{SAMPLE_RATE_HZ, StreamTime};
use crate::transcript::{Line, Shown, Transcript};

/// What a WebVTT file begins with.
pub const VTT_HEADER: &str = "WEBVTT\n";
/// Characters on a line of a subtitle (BBC subtitle guidelines: 37 to 42).
const LINE_CHARS: usize = 42;
/// Lines of a subtitle.
const LINES: usize = 2;
/// Shortest time that a subtitle stands, in samples: 0.4 s.
const SHORTEST_SAMPLES: u64 = 2 * SAMPLE_RATE_HZ as u64 / 5;

/// One subtitle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// From when.
    pub from: StreamTime,
    /// Until when.
    pub to: StreamTime,
    /// Its lines.
    pub lines: Vec<String>,
}

/// Makes cues of events as soon as they can no longer change, in order and never overlapping.
#[derive(Debug)]
pub struct Cues {
    transcript: Transcript,
    utterances: usize,
    translations: usize,
    replies: usize,
    sounds: usize,
    last: StreamTime,
}

impl Cues {
    /// Cues of a session whose modes are shown as `transcript` says.
    #[must_use]
    pub const fn new(transcript: Transcript) -> Self {
        Self { transcript, utterances: 0, translations: 0, replies: 0, sounds: 0, last: StreamTime::ZERO }
    }

    /// Takes the next event; returns the cues that are complete now.
    pub fn apply(&mut self, event: &Event) -> Vec<Cue> {
        self.transcript.apply(event);
        let t = &self.transcript;
        let settled = |line: &Line| t.finished || t.now.0 - line.to.0 > 12 * u64::from(SAMPLE_RATE_HZ) / 10;
        let mut spans: Vec<(StreamTime, StreamTime, String)> = Vec::new();
        while let Some(line) = t.utterances.get(self.utterances).filter(|l| settled(l)) {
            spans.push((line.from, line.to, line.text.clone()));
            self.utterances += 1;
        }
        while let Some(line) = t.translations.get(self.translations).filter(|l| settled(l)) {
            match spans.iter_mut().find(|(from, to, _)| line.from < *to && line.to > *from) {
                Some((_, _, text)) => *text = format!("{text}\n{}", line.text),
                None => spans.push((line.from, line.to, line.text.clone())),
            }
            self.translations += 1;
        }
        while let Some(reply) = t.replies.get(self.replies).filter(|r| t.finished || r.stop.is_some()) {
            if !reply.text.is_empty() {
                spans.push((reply.at, reply.at, format!("[Hearken] {}", reply.text)));
            }
            self.replies += 1;
        }
        while let Some(sound) = t.sounds.get(self.sounds) {
            spans.push((crate::transcript::chunk_start(sound.first), sound.first, format!("[{}]", sound.name)));
            self.sounds += 1;
        }
        spans.sort_by_key(|(from, _, _)| *from);
        spans.into_iter().flat_map(|(from, to, text)| self.place(from, to, &text)).collect()
    }

    /// Cues of one text: after those before it, each of two lines at most, the time shared out by their length.
    fn place(&mut self, from: StreamTime, to: StreamTime, text: &str) -> Vec<Cue> {
        let lines: Vec<String> = text.lines().flat_map(wrap).collect();
        let screens: Vec<&[String]> = lines.chunks(LINES).collect();
        let from = from.max(self.last);
        // Half a second for every ten characters when the sound itself was shorter.
        let least = SHORTEST_SAMPLES.max(text.chars().count() as u64 * u64::from(SAMPLE_RATE_HZ) / 20)
            * u64::from(to.0 - from.0 < SHORTEST_SAMPLES);
        let end = to.0.0.max(from.0.0 + least).max(from.0.0 + SHORTEST_SAMPLES * screens.len() as u64);
        let each = (end - from.0.0) / screens.len().max(1) as u64;
        let mut cues = Vec::with_capacity(screens.len());
        for (n, lines) in screens.iter().enumerate() {
            let begin = StreamTime::from_samples(from.0.0 + n as u64 * each);
            self.last = StreamTime::from_samples(begin.0.0 + each);
            cues.push(Cue { from: begin, to: self.last, lines: lines.to_vec() });
        }
        cues
    }
}

/// The cue as SubRip, `number` counting from 1.
#[must_use]
pub fn srt_cue(number: usize, cue: &Cue) -> String {
    format!("{number}\n{} --> {}\n{}\n\n", clock(cue.from, ','), clock(cue.to, ','), cue.lines.join("\n"))
}

/// The cue as WebVTT.
#[must_use]
pub fn vtt_cue(cue: &Cue) -> String {
    let escaped = cue.lines.join("\n").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("\n{} --> {}\n{escaped}\n", clock(cue.from, '.'), clock(cue.to, '.'))
}

fn clock(at: StreamTime, point: char) -> String {
    let ms = at.0.0 * 1_000 / u64::from(SAMPLE_RATE_HZ);
    format!("{:02}:{:02}:{:02}{point}{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

/// Breaks a text into lines at spaces where it has them; control characters are left out.
fn wrap(text: &str) -> Vec<String> {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in clean.split_inclusive(' ') {
        let mut word: Vec<char> = word.chars().collect();
        while !word.is_empty() {
            let fits = LINE_CHARS - length;
            let bare = word.iter().rev().skip_while(|c| **c == ' ').count();
            if bare > fits && length > 0 && bare <= LINE_CHARS {
                lines.push(String::new());
                length = 0;
                continue;
            }
            let taken: Vec<char> = word.drain(..word.len().min(fits.max(1))).collect();
            length += taken.len();
            if let Some(line) = lines.last_mut() {
                line.extend(taken);
            }
            if length >= LINE_CHARS {
                lines.push(String::new());
                length = 0;
            }
        }
    }
    lines.into_iter().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Where the responses of the built-in modes are shown.
#[must_use]
pub fn shown_of(panels: impl IntoIterator<Item = (String, Shown)>) -> Transcript {
    Transcript::new(panels.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ReplyId, Stop};

    fn heard(text: &str, from: u64, to: u64) -> Event {
        let time = |tenths| StreamTime::from_samples(tenths * 1_600);
        Event::ReplyFinished {
            at: time(to),
            reply: ReplyId(from + 1),
            mode: "transcribe".into(),
            text: text.into(),
            from_secs: time(from),
            to_secs: time(to),
            stop: Stop::End,
        }
    }

    fn end() -> Event {
        Event::SessionFinished { at: StreamTime::from_samples(0), chunks: 1, replies: 1, audio_secs: 0.4, problems: 0 }
    }

    fn cues(events: &[Event]) -> Vec<Cue> {
        let mut cues = Cues::new(shown_of([("transcribe".to_owned(), Shown::Transcript)]));
        events.iter().flat_map(|e| cues.apply(e)).collect()
    }

    #[test]
    fn an_utterance_becomes_a_cue_once_it_cannot_grow() {
        let got = cues(&[heard("what is", 0, 4), heard("your name", 4, 8), heard("yes", 40, 44), end()]);
        assert_eq!(srt_cue(1, &got[0]), "1\n00:00:00,000 --> 00:00:00,800\nwhat is your name\n\n");
        assert_eq!(vtt_cue(&got[1]), "\n00:00:04.000 --> 00:00:04.400\nyes\n");
    }

    #[test]
    fn long_text_is_broken_into_lines_and_cues_that_never_overlap() {
        for text in ["word ".repeat(60), "你".repeat(200), "x".repeat(300)] {
            let got = cues(&[heard(&text, 0, 100), heard("next", 120, 124), end()]);
            assert!(got.len() > 3);
            assert!(got.iter().all(|c| c.to > c.from && c.lines.len() <= LINES && c.lines.iter().all(|l| l.chars().count() <= LINE_CHARS)));
            assert!(got.windows(2).all(|w| w[0].to <= w[1].from));
            let all: String =
                got[..got.len() - 1].iter().flat_map(|c| c.lines.concat().chars().collect::<Vec<_>>()).filter(|c| *c != ' ').collect();
            assert_eq!(all, text.replace(' ', ""));
        }
    }

    #[test]
    fn markup_is_escaped_and_control_characters_are_dropped() {
        let got = cues(&[heard("a <b> & --> \u{7} c", 0, 4), end()]);
        assert!(vtt_cue(&got[0]).contains("a &lt;b&gt; &amp; --&gt;  c"));
        assert!(cues(&[end()]).is_empty());
    }
}
