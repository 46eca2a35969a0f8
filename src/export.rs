//! Writers of what was heard: subtitles. Pure: events in, text out.
//!
//! Responsible for cues that a person can read and that lose no word: what comes late or never stops growing is given a cue
//! of its own instead of being dropped. Deliberately not the transcript: a cue is cut where a reader needs it, not where an
//! utterance ends.

mod document;
mod lines;

use std::collections::VecDeque;

use crate::protocol::{Event, Panel};
use crate::time::{SAMPLE_RATE_HZ, StreamTime};
use crate::transcript::{JOIN_SAMPLES, Transcript, append, chunk_start};
use lines::{one_line, width, wrap};

pub use document::{DocumentFormat, document, jsonl};

/// What a WebVTT file begins with.
pub const VTT_HEADER: &str = "WEBVTT\n";
/// Lines of a subtitle in one language.
const LINES: usize = 2;
/// Lines of a subtitle in all: what was said and its translation stand together.
const ALL_LINES: usize = 2 * LINES;
/// Shortest time that a subtitle stands, in samples: 0.4 s.
const SHORTEST_SAMPLES: u64 = 2 * SAMPLE_RATE_HZ as u64 / 5;
/// Longest time that a subtitle stands, in samples: 7 s (Netflix timed text guidelines).
const LONGEST_SAMPLES: u64 = 7 * SAMPLE_RATE_HZ as u64;
/// Columns that are read in a second (Netflix timed text guidelines: 20 Latin or 9 wide characters).
const COLUMNS_PER_SEC: u64 = 20;

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
pub struct CueBuilder {
    /// Says where the responses of each mode are shown; nothing is kept in it.
    shown: Transcript,
    group: Option<Group>,
    /// CueBuilder of the newest group: they stand for as long as they are read, less when the next one comes sooner.
    held: VecDeque<Cue>,
    /// End of the last cue that was handed out.
    last: StreamTime,
    now: StreamTime,
}

/// What a line of a cue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Said,
    Translated,
    Noted,
}

impl Part {
    /// A piece after those `before`: words go on as their script does, notes are separate things.
    fn joined(self, before: &str, text: &str) -> String {
        let mut joined = before.to_owned();
        if self == Self::Noted && !joined.is_empty() {
            joined.push(' ');
            joined.push_str(text);
        } else {
            append(&mut joined, text);
        }
        joined
    }
}

/// What will stand in one cue, and may still grow.
#[derive(Debug)]
struct Group {
    from: StreamTime,
    to: StreamTime,
    /// When the newest piece came, which is later than `to` where a lane is behind the others.
    grown_at: StreamTime,
    /// By [`Part`].
    texts: [String; 3],
}

impl Group {
    fn lines(&self) -> Vec<String> {
        self.texts.iter().flat_map(|text| wrap(text)).collect()
    }

    /// Whether the piece belongs in here: close enough, and it all can be read at once. A piece that comes late does not
    /// end the group, or lanes that lag behind each other would tear everything to shreds.
    fn takes(&self, part: Part, from: StreamTime, to: StreamTime, text: &str) -> bool {
        let before = &self.texts[part as usize];
        let joined = part.joined(before, text);
        let others: usize = self.texts.iter().map(|text| wrap(text).len()).sum::<usize>() - wrap(before).len();
        let lines = wrap(&joined).len();
        let sentence_over = wrap(before).len() == LINES && before.ends_with(['.', '!', '?', '。', '！', '？']);
        from.0 - self.to.0 < JOIN_SAMPLES
            && to.0 - self.from.0 <= LONGEST_SAMPLES
            && lines <= LINES
            && lines + others <= ALL_LINES
            && !sentence_over
    }
}

impl CueBuilder {
    /// CueBuilder of a session whose modes are shown as `transcript` says.
    #[must_use]
    pub const fn new(transcript: Transcript) -> Self {
        Self { shown: transcript, group: None, held: VecDeque::new(), last: StreamTime::ZERO, now: StreamTime::ZERO }
    }

    /// Takes the next event; returns the cues that are complete now.
    pub fn apply(&mut self, event: &Event) -> Vec<Cue> {
        let mut done = Vec::new();
        self.now = self.now.max(event.at());
        match event {
            Event::ReplyFinished { at, mode, text, from_secs, to_secs, .. } => match self.shown.panel_of(mode) {
                Panel::Transcript => self.add(Part::Said, *from_secs, *to_secs, text, &mut done),
                Panel::Translation => self.add(Part::Translated, *from_secs, *to_secs, text, &mut done),
                Panel::Conversation if !text.trim().is_empty() => {
                    self.add(Part::Noted, *at, *at, &format!("[Hearken] {text}"), &mut done);
                }
                Panel::Conversation | Panel::Sounds => {}
            },
            // The same sound again is no news.
            Event::Sound { at, name, count, .. } if *count <= 1 => {
                self.add(Part::Noted, chunk_start(*at), *at, &format!("[{}]", one_line(name)), &mut done);
            }
            _ => {}
        }
        let finished = matches!(event, Event::SessionFinished { .. });
        if finished || self.group.as_ref().is_some_and(|group| self.now.0 - group.grown_at.0 >= JOIN_SAMPLES) {
            self.close();
        }
        let now = self.now;
        while let Some(cue) = self.held.pop_front_if(|cue| finished || cue.to <= now) {
            self.hand_out(cue, &mut done);
        }
        done
    }

    fn add(&mut self, part: Part, from: StreamTime, to: StreamTime, text: &str, done: &mut Vec<Cue>) {
        let text = one_line(text);
        if text.is_empty() {
            return;
        }
        if self.group.as_ref().is_some_and(|group| !group.takes(part, from, to, &text)) {
            self.close();
        }
        if self.group.is_none() {
            self.make_room(from, done);
        }
        let now = self.now;
        let group = self.group.get_or_insert_with(|| Group { from, to, grown_at: now, texts: Default::default() });
        group.texts[part as usize] = part.joined(&group.texts[part as usize], &text);
        (group.to, group.grown_at) = (group.to.max(to), now);
        // More than fits on a screen: nothing can join it.
        if wrap(&text).len() > LINES {
            self.close();
        }
    }

    /// Makes the cues of the open group; they are held until their time is over or another group shortens it.
    fn close(&mut self) {
        let Some(group) = self.group.take() else { return };
        let lines = group.lines();
        let together = group.texts.iter().all(|text| wrap(text).len() <= LINES);
        let screens: Vec<&[String]> = lines.chunks(if together { ALL_LINES } else { LINES }).collect();
        let reading: Vec<u64> = screens.iter().map(|lines| reading_samples(lines)).collect();
        let needed: u64 = reading.iter().sum();
        let from = group.from.max(self.last);
        let longest = LONGEST_SAMPLES * screens.len() as u64;
        let whole = needed.max(group.to.0 - from.0).min(longest);
        let mut read = 0;
        for (lines, reading) in screens.iter().zip(reading) {
            let at = |read: u64| StreamTime::from_samples(from.0.0 + share(whole, read, needed));
            self.held.push_back(Cue { from: at(read), to: at(read + reading), lines: lines.to_vec() });
            read += reading;
        }
    }

    /// Hands out what is held, shortened where it would reach past `next`, but never to less than its shortest time.
    fn make_room(&mut self, next: StreamTime, done: &mut Vec<Cue>) {
        let (Some(first), Some(last)) = (self.held.front(), self.held.back()) else { return };
        let (start, least) = (first.from.0.0, SHORTEST_SAMPLES * self.held.len() as u64);
        let spare = (last.to.0.0 - start).saturating_sub(least);
        let left = (next.0.0.saturating_sub(start)).saturating_sub(least).min(spare);
        for (n, mut cue) in std::mem::take(&mut self.held).into_iter().enumerate() {
            let moved = |at: StreamTime, n: u64| {
                let least = SHORTEST_SAMPLES * n;
                StreamTime::from_samples(start + least + share(left, (at.0.0 - start).saturating_sub(least), spare))
            };
            (cue.from, cue.to) = (moved(cue.from, n as u64), moved(cue.to, n as u64 + 1));
            self.hand_out(cue, done);
        }
    }

    fn hand_out(&mut self, cue: Cue, done: &mut Vec<Cue>) {
        self.last = cue.to;
        done.push(cue);
    }
}

/// The cue as SubRip, `number` counting from 1.
#[must_use]
pub fn srt_cue(number: usize, cue: &Cue) -> String {
    // SubRip has no escapes, and a reader takes this arrow for the times of another cue.
    let text = cue.lines.join("\n").replace("-->", "→");
    format!("{number}\n{} --> {}\n{text}\n\n", clock(cue.from, ','), clock(cue.to, ','))
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

/// How long it takes to read these lines, in samples.
fn reading_samples(lines: &[String]) -> u64 {
    let columns: usize = lines.iter().map(|line| width(line)).sum();
    (columns as u64 * u64::from(SAMPLE_RATE_HZ) / COLUMNS_PER_SEC).max(SHORTEST_SAMPLES)
}

/// `part` of `parts` of `whole`; nothing where there are no parts.
fn share(whole: u64, part: u64, parts: u64) -> u64 {
    (u128::from(whole) * u128::from(part)).checked_div(u128::from(parts)).map_or(0, |shared| shared as u64)
}

/// Where the responses of the built-in modes are shown.
#[must_use]
pub fn shown_of(panels: impl IntoIterator<Item = (String, Panel)>) -> Transcript {
    Transcript::new(panels.into_iter().collect())
}

#[cfg(test)]
mod tests;
