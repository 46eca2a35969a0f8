//! Subtitles and documents from a session's events. Pure: events in, text out.
//!
//! Subtitles must be readable and lose no word: text that comes late or never stops growing gets a cue of its own. Deliberately not
//! the transcript: a cue ends where a reader needs it, not where an utterance ends.

mod document;
mod escape;
mod lines;

use std::collections::{BTreeMap, VecDeque};

use crate::protocol::{Event, Panel};
use crate::text::{one_line, width};
use crate::time::{SAMPLE_RATE_HZ, StreamTime};
use crate::transcript::{JOIN_SAMPLES, append, chunk_start};
use lines::wrap;

pub use document::{DocumentFormat, document, jsonl};
pub use escape::escaped;

/// First line of a WebVTT file, with the line break.
pub const VTT_HEADER: &str = "WEBVTT\n";
/// Largest number of lines of a subtitle in one language.
const LANGUAGE_LINES: usize = 2;
/// Largest number of lines of a subtitle: an utterance and its translation together.
const MAX_LINES: usize = 2 * LANGUAGE_LINES;
/// Shortest duration of a subtitle, in samples: 0.4 s.
const SHORTEST_SAMPLES: u64 = 2 * SAMPLE_RATE_HZ as u64 / 5;
/// Longest duration of a subtitle, in samples: 7 s (Netflix timed text guidelines).
const LONGEST_SAMPLES: u64 = 7 * SAMPLE_RATE_HZ as u64;
/// Reading speed in columns per second (Netflix timed text guidelines: 20 Latin or 9 wide characters).
const COLUMNS_PER_SEC: u64 = 20;

/// A subtitle: lines that are shown together for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// Time at which the subtitle appears.
    pub from: StreamTime,
    /// Time at which the subtitle disappears.
    pub to: StreamTime,
    /// Lines of text, top to bottom, at most four of 42 columns.
    pub lines: Vec<String>,
}

/// A builder of subtitles from the events of a session: returns each cue as soon as it can no longer change, in order and without
/// overlap.
#[derive(Debug)]
pub struct CueBuilder {
    /// Panel of each mode, by the mode's name.
    panels: BTreeMap<String, Panel>,
    /// Open group of texts, which may still grow; None between groups.
    group: Option<CueGroup>,
    /// Cues of the newest closed group that are not returned yet. A cue lasts as long as reading takes, or less if the next cue comes
    /// sooner.
    pending: VecDeque<Cue>,
    /// End of the last cue that was returned.
    last_end: StreamTime,
    /// Largest audio time of an event so far.
    now: StreamTime,
}

/// The kind of a text in a cue: an utterance, its translation, or a reply or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CuePart {
    /// An utterance.
    Said,
    /// The translation of an utterance.
    Translated,
    /// A reply or a sound, in brackets.
    Note,
}

impl CuePart {
    /// Returns `before` with `text` appended: for an utterance or translation with a space if its script separates words by spaces,
    /// for a reply or sound always with a space.
    fn joined(self, before: &str, text: &str) -> String {
        let mut joined = before.to_owned();
        if self == Self::Note && !joined.is_empty() {
            joined.push(' ');
            joined.push_str(text);
        } else {
            append(&mut joined, text);
        }
        joined
    }
}

/// The texts that are to be shown together in one cue, and may still grow.
#[derive(Debug)]
struct CueGroup {
    /// Audio time at the start of the first piece of text.
    from: StreamTime,
    /// Audio time at the end of the latest piece of text.
    to: StreamTime,
    /// Audio time at which the newest piece was added; later than `to` if the piece's lane (mode) is behind the other lanes.
    last_grown: StreamTime,
    /// Text of each kind, joined from all pieces and indexed by [`CuePart`].
    texts: [String; 3],
}

impl CueGroup {
    fn lines(&self) -> Vec<String> {
        self.texts.iter().flat_map(|text| wrap(text)).collect()
    }

    /// Returns true if the piece of text `text` from `from` to `to` belongs to this group: it is close enough in time, and all texts
    /// together can be read at once. A piece that comes late does not end the group, or lanes (modes) that lag behind each other would
    /// cut the text to pieces.
    fn accepts(&self, part: CuePart, from: StreamTime, to: StreamTime, text: &str) -> bool {
        let before = &self.texts[part as usize];
        let joined = part.joined(before, text);
        let others: usize = self.texts.iter().map(|text| wrap(text).len()).sum::<usize>() - wrap(before).len();
        let lines = wrap(&joined).len();
        let sentence_over = wrap(before).len() == LANGUAGE_LINES && before.ends_with(['.', '!', '?', '。', '！', '？']);
        from.0 - self.to.0 < JOIN_SAMPLES
            && to.0 - self.from.0 <= LONGEST_SAMPLES
            && lines <= LANGUAGE_LINES
            && lines + others <= MAX_LINES
            && !sentence_over
    }
}

impl CueBuilder {
    /// Returns a builder for a session; `panels` maps the name of each mode to its panel, other modes count as conversation.
    #[must_use]
    pub fn new(panels: impl IntoIterator<Item = (String, Panel)>) -> Self {
        Self {
            panels: panels.into_iter().collect(),
            group: None,
            pending: VecDeque::new(),
            last_end: StreamTime::ZERO,
            now: StreamTime::ZERO,
        }
    }

    /// Applies the next event and returns the cues that can no longer change. The event `session_finished` returns the last cues.
    pub fn apply(&mut self, event: &Event) -> Vec<Cue> {
        let mut done = Vec::new();
        self.now = self.now.max(event.at());
        match event {
            Event::ReplyFinished { at, mode, text, from_secs, to_secs, .. } => {
                match self.panels.get(mode).copied().unwrap_or(Panel::Conversation) {
                    Panel::Transcript => self.add_piece(CuePart::Said, *from_secs, *to_secs, text, &mut done),
                    Panel::Translation => self.add_piece(CuePart::Translated, *from_secs, *to_secs, text, &mut done),
                    Panel::Conversation if !text.trim().is_empty() => {
                        self.add_piece(CuePart::Note, *at, *at, &format!("[Hearken] {text}"), &mut done);
                    }
                    Panel::Conversation | Panel::Sounds => {}
                }
            }
            // A repeated sound gets no second cue.
            Event::Sound { at, name, count, .. } if *count <= 1 => {
                self.add_piece(CuePart::Note, chunk_start(*at), *at, &format!("[{}]", one_line(name)), &mut done);
            }
            _ => {}
        }
        let finished = matches!(event, Event::SessionFinished { .. });
        if finished || self.group.as_ref().is_some_and(|group| self.now.0 - group.last_grown.0 >= JOIN_SAMPLES) {
            self.close();
        }
        let now = self.now;
        while let Some(cue) = self.pending.pop_front_if(|cue| finished || cue.to <= now) {
            self.emit(cue, &mut done);
        }
        done
    }

    /// Adds a piece of text to the open group, or to a new group if the open group does not accept the piece. Appends the cues that can
    /// no longer change to `done`.
    fn add_piece(&mut self, part: CuePart, from: StreamTime, to: StreamTime, text: &str, done: &mut Vec<Cue>) {
        let text = one_line(text);
        if text.is_empty() {
            return;
        }
        if self.group.as_ref().is_some_and(|group| !group.accepts(part, from, to, &text)) {
            self.close();
        }
        if self.group.is_none() {
            self.release_before(from, done);
        }
        let now = self.now;
        let group = self.group.get_or_insert_with(|| CueGroup { from, to, last_grown: now, texts: Default::default() });
        group.texts[part as usize] = part.joined(&group.texts[part as usize], &text);
        (group.to, group.last_grown) = (group.to.max(to), now);
        // Longer than a screen: nothing can join it.
        if wrap(&text).len() > LANGUAGE_LINES {
            self.close();
        }
    }

    /// Turns the open group into pending cues. A cue is pending until it ends or another group shortens it.
    fn close(&mut self) {
        let Some(group) = self.group.take() else { return };
        let lines = group.lines();
        let together = group.texts.iter().all(|text| wrap(text).len() <= LANGUAGE_LINES);
        let screens: Vec<&[String]> = lines.chunks(if together { MAX_LINES } else { LANGUAGE_LINES }).collect();
        let reading: Vec<u64> = screens.iter().map(|lines| reading_samples(lines)).collect();
        let needed: u64 = reading.iter().sum();
        let from = group.from.max(self.last_end);
        let longest = LONGEST_SAMPLES * screens.len() as u64;
        let whole = needed.max(group.to.0 - from.0).min(longest);
        let mut read = 0;
        for (lines, reading) in screens.iter().zip(reading) {
            let at = |read: u64| StreamTime::from_samples(from.0.0 + proportion(whole, read, needed));
            self.pending.push_back(Cue { from: at(read), to: at(read + reading), lines: lines.to_vec() });
            read += reading;
        }
    }

    /// Appends the pending cues to `done`, shortened to end before audio time `next`, but none to less than [`SHORTEST_SAMPLES`].
    fn release_before(&mut self, next: StreamTime, done: &mut Vec<Cue>) {
        let (Some(first), Some(last)) = (self.pending.front(), self.pending.back()) else { return };
        let (start, least) = (first.from.0.0, SHORTEST_SAMPLES * self.pending.len() as u64);
        let spare = (last.to.0.0 - start).saturating_sub(least);
        let left = (next.0.0.saturating_sub(start)).saturating_sub(least).min(spare);
        for (n, mut cue) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            let moved = |at: StreamTime, n: u64| {
                let least = SHORTEST_SAMPLES * n;
                StreamTime::from_samples(start + least + proportion(left, (at.0.0 - start).saturating_sub(least), spare))
            };
            (cue.from, cue.to) = (moved(cue.from, n as u64), moved(cue.to, n as u64 + 1));
            self.emit(cue, done);
        }
    }

    fn emit(&mut self, cue: Cue, done: &mut Vec<Cue>) {
        self.last_end = cue.to;
        done.push(cue);
    }
}

/// Returns a cue as SubRip text, followed by an empty line; `number` is the number of the cue in the file, from 1.
#[must_use]
pub fn srt_cue(number: usize, cue: &Cue) -> String {
    let text = escaped_lines(cue, DocumentFormat::Srt);
    format!("{number}\n{} --> {}\n{text}\n\n", timestamp(cue.from, ','), timestamp(cue.to, ','))
}

/// Returns a cue as WebVTT text, preceded by an empty line.
#[must_use]
pub fn vtt_cue(cue: &Cue) -> String {
    let text = escaped_lines(cue, DocumentFormat::Vtt);
    format!("\n{} --> {}\n{text}\n", timestamp(cue.from, '.'), timestamp(cue.to, '.'))
}

/// Returns the lines of a cue, each escaped for the format `form`.
fn escaped_lines(cue: &Cue, form: DocumentFormat) -> String {
    cue.lines.iter().map(|line| escaped(line, form)).collect::<Vec<_>>().join("\n")
}

/// Returns a time as `01:02:03,004`, with `point` in place of the comma.
fn timestamp(at: StreamTime, point: char) -> String {
    let ms = at.0.0 * 1_000 / u64::from(SAMPLE_RATE_HZ);
    format!("{:02}:{:02}:{:02}{point}{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

/// Returns the time that a reader needs for `lines`, in samples; at least 0.4 s.
fn reading_samples(lines: &[String]) -> u64 {
    let columns: usize = lines.iter().map(|line| width(line)).sum();
    (columns as u64 * u64::from(SAMPLE_RATE_HZ) / COLUMNS_PER_SEC).max(SHORTEST_SAMPLES)
}

/// Returns `whole` × `part` / `parts`; 0 if `parts` is 0.
fn proportion(whole: u64, part: u64, parts: u64) -> u64 {
    (u128::from(whole) * u128::from(part)).checked_div(u128::from(parts)).map_or(0, |shared| shared as u64)
}

#[cfg(test)]
mod tests;
