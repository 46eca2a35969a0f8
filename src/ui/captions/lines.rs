//! The captions to show: the newest of speech, sounds and replies, and their words.

use std::sync::Arc;

use egui::text::LayoutJob;
use egui::{Color32, FontId, Galley, Painter, Visuals};

use crate::config::prefs::CaptionPrefs;
use crate::protocol::Emotion;
use crate::text::without_beginning;
use crate::time::StreamTime;
use crate::transcript::{SpeechRow, Transcript};
use crate::ui::strings::{Strings, fill};
use crate::ui::theme;

/// Longest text that is laid out, in characters; the end of a longer one.
const MAX_CHARS: usize = 320;
pub(super) const TRANSLATION: Color32 = Color32::from_rgb(255, 226, 150);
const SOUND: Color32 = Color32::from_rgb(168, 232, 214);
const REPLY: Color32 = Color32::from_rgb(178, 203, 255);

/// The kind of a caption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CaptionKind {
    Speech,
    /// A translation without its original.
    Translation,
    Sound,
    Reply,
    Urgent,
}

/// A caption: one utterance, one sound or one reply.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Caption {
    /// Kind, and index in the transcript's list of that kind.
    pub(super) id: (CaptionKind, usize),
    /// Time of the last word or sound.
    at: StreamTime,
    text: String,
    pub(super) translation: Option<String>,
}

impl Caption {
    fn new(kind: CaptionKind, index: usize, at: StreamTime, text: &str) -> Self {
        Self { id: (kind, index), at, text: tail(text), translation: None }
    }

    /// Returns the text as shown: a sound in brackets, a reply after the name of its speaker, an urgent one after the word for it.
    pub(super) fn words(&self, s: &Strings) -> String {
        match self.id.0 {
            CaptionKind::Speech | CaptionKind::Translation => self.text.clone(),
            CaptionKind::Sound => format!("[{}]", self.text),
            CaptionKind::Reply => fill(s.captions_reply, &self.text),
            CaptionKind::Urgent => fill(s.captions_urgent, &self.text),
        }
    }

    pub(super) const fn colour(&self, visuals: &Visuals) -> Color32 {
        match self.id.0 {
            CaptionKind::Speech => Color32::WHITE,
            CaptionKind::Translation => TRANSLATION,
            CaptionKind::Sound => SOUND,
            CaptionKind::Reply => REPLY,
            CaptionKind::Urgent => theme::Palette::of(visuals).urgent,
        }
    }
}

/// Returns the newest captions, oldest first, as many as the preferences have lines: sounds in `muted` and empty replies left out.
pub(super) fn newest(t: &Transcript, prefs: &CaptionPrefs, muted: &[String]) -> Vec<Caption> {
    let lines = usize::from(prefs.lines);
    let rows = t.rows.iter().rev().take(lines).filter_map(|row| speech(t, row, prefs));
    let sounds = t.sounds.iter().enumerate().rev().filter(|(_, sound)| !muted.contains(&sound.name)).take(lines).map(|(n, sound)| {
        let text = if sound.count > 1 { format!("{} ×{}", sound.name, sound.count) } else { sound.name.clone() };
        Caption::new(CaptionKind::Sound, n, sound.last, &text)
    });
    let replies = t.replies.iter().enumerate().rev().filter(|(_, reply)| !reply.text.trim().is_empty()).take(lines).map(|(n, reply)| {
        let kind = if reply.emotion == Some(Emotion::Urgent) { CaptionKind::Urgent } else { CaptionKind::Reply };
        Caption::new(kind, n, reply.at, reply.text.trim())
    });
    let mut all: Vec<Caption> = rows.chain(sounds).chain(replies).collect();
    // The answer comes after the words of the same time.
    all.sort_by_key(|caption| (caption.at, matches!(caption.id.0, CaptionKind::Reply | CaptionKind::Urgent)));
    all.split_off(all.len().saturating_sub(lines))
}

fn speech(t: &Transcript, row: &SpeechRow, prefs: &CaptionPrefs) -> Option<Caption> {
    let translation = row.translation.and_then(|n| Some((n, t.translations.get(n)?)));
    match row.utterance.and_then(|n| Some((n, t.utterances.get(n)?))) {
        Some((n, line)) => {
            let mut caption = Caption::new(CaptionKind::Speech, n, line.to, &line.text);
            caption.translation = translation.filter(|_| prefs.bilingual).map(|(_, line)| tail(&line.text));
            Some(caption)
        }
        None => translation.map(|(n, line)| Caption::new(CaptionKind::Translation, n, line.to, &line.text)),
    }
}

/// Returns the last [`MAX_CHARS`] characters of `text`, after an ellipsis if `text` is longer.
fn tail(text: &str) -> String {
    let count = text.chars().count();
    if count <= MAX_CHARS { text.to_owned() } else { cut(text, count - MAX_CHARS) }
}

/// Returns `text` without its first `skip` characters and the rest of the letter that they end in, after an ellipsis.
fn cut(text: &str, skip: usize) -> String {
    format!("…{}", without_beginning(text, skip))
}

/// Lays `text` out, centred, in `rows` rows of `width` points at most: of a longer text the end, after an ellipsis.
pub(crate) fn tail_galley(painter: &Painter, text: &str, font: &FontId, colour: Color32, width: f32, rows: usize) -> Arc<Galley> {
    let layout = |text: String| {
        let mut job = LayoutJob::simple(text, font.clone(), colour, width);
        job.halign = egui::Align::Center;
        painter.layout_job(job)
    };
    let (mut galley, mut skip) = (layout(text.to_owned()), 0);
    while galley.rows.len() > rows {
        let over: usize = galley.rows[..galley.rows.len() - rows].iter().map(|row| row.char_count_including_newline().0).sum();
        // The ellipsis of the round before is one of these characters.
        skip += over.saturating_sub(usize::from(skip > 0)).max(1);
        galley = layout(cut(text, skip));
    }
    galley
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_caption_is_cut_to_its_end() {
        assert_eq!(tail("short"), "short");
        let long = tail(&format!("{}end", "你".repeat(500)));
        assert!(long.starts_with('…') && long.ends_with("end") && long.chars().count() == MAX_CHARS + 1);
    }

    #[test]
    fn text_that_needs_more_rows_shows_its_newest_words() {
        let ctx = egui::Context::default();
        let mut text = String::new();
        let mut output = ctx.run_ui(egui::RawInput::default(), |ui| {
            let words: Vec<String> = (0..60).map(|n| format!("word{n}")).collect();
            let galley = tail_galley(ui.painter(), &words.join(" "), &FontId::proportional(20.0), Color32::WHITE, 300.0, 2);
            assert!(galley.rows.len() == 2 && galley.rect.width() <= 300.0);
            text = galley.text().to_owned();
        });
        output.textures_delta.clear();
        assert!(text.starts_with('…') && text.ends_with("word58 word59"), "{text}");
    }
}
