//! Text for people: replies and sounds as lines, and messages about the session, which go to another stream.

use std::io::{self, Write};

use crate::error::with_remedy_text;
use crate::protocol::{Emotion, Event, GapCause, Severity};
use crate::text::one_line;

/// The printer of the format `text`: one line of time, mode and text for each reply, sound, margin and timing.
#[derive(Debug, Default)]
pub(super) struct TextPrinter {
    /// Number and emotion of each reply in progress; several modes can reply at the same time.
    emotions: Vec<(crate::protocol::ReplyId, Emotion)>,
}

impl TextPrinter {
    /// Prints a line for `event` if it is a finished reply, a sound, a decision with a margin, or a timing; else prints nothing.
    pub(super) fn print(&mut self, event: &Event, out: &mut impl Write) -> io::Result<()> {
        match event {
            Event::ReplyStarted { reply, emotion: Some(emotion), .. } => {
                self.emotions.push((*reply, *emotion));
                Ok(())
            }
            Event::ReplyFinished { reply, mode, text, from_secs, .. } => {
                let place = self.emotions.iter().position(|(of, _)| of == reply);
                let emotion = place.map_or("", |place| icon(self.emotions.swap_remove(place).1));
                let text = one_line(text);
                if text.is_empty() && emotion.is_empty() {
                    return Ok(());
                }
                line(out, *from_secs, mode, format_args!("{emotion}{text}"))
            }
            Event::Sound { at, name, count, .. } if *count > 1 => line(out, *at, "sound", format_args!("{} ×{count}", one_line(name))),
            Event::Sound { at, name, .. } => line(out, *at, "sound", format_args!("{}", one_line(name))),
            Event::Decision { at, mode, silent, margin: Some(margin), .. } => {
                let chosen = if *silent { "silent" } else { "respond" };
                line(out, *at, mode, format_args!("{chosen} ({margin:+.3})"))
            }
            Event::Timing { at, mel_ms, encode_ms, decode_ms, lag_ms, .. } => {
                let cost = format_args!("mel {mel_ms:.1} ms, encoder {encode_ms:.1} ms, decoder {decode_ms:.1} ms, behind {lag_ms:.0} ms");
                line(out, *at, "timing", cost)
            }
            _ => Ok(()),
        }
    }
}

/// Returns a message for people about an event of the session itself, such as a problem or a gap in the audio; None for replies, sounds,
/// decisions and other events.
pub(super) fn note(event: &Event) -> Option<String> {
    match event {
        Event::SessionStarted { model, source, modes, .. } => Some(format!("Listening to {source} with {model}: {}.", modes.join(", "))),
        Event::Problem { at, severity, message, remedy, .. } => {
            let what = if *severity == Severity::Error { "problem" } else { "warning" };
            Some(format!("{at} {what}: {}", with_remedy_text(message, *remedy)))
        }
        Event::AudioGap { at, samples, cause, .. } => {
            let secs = *samples as f64 / f64::from(crate::time::SAMPLE_RATE_HZ);
            Some(format!("{at} {secs:.2} s of audio were lost: {}", cause_in_words(*cause)))
        }
        Event::InputChanged { at, device, rate_hz, channels } => {
            Some(format!("{at} microphone: {device} ({rate_hz} Hz, channels: {channels})"))
        }
        Event::InputSilent { at, device } => Some(format!("{at} no sound arrives from {device}: is it muted?")),
        Event::InputAudible { at } => Some(format!("{at} sound arrives again")),
        Event::ModelChanged { at, model, .. } => Some(format!("{at} now using {model}")),
        Event::ModesChanged { at, modes } => Some(format!("{at} modes: {}", modes.join(", "))),
        Event::Paused { at } => Some(format!("{at} paused")),
        Event::Resumed { at } => Some(format!("{at} resumed")),
        Event::ContextTrimmed { at, mode, dropped_chunks, .. } => {
            Some(format!("{at} {mode}: {dropped_chunks} chunks were dropped from the context"))
        }
        Event::SessionFinished { replies, audio_secs, problems, .. } => {
            Some(format!("Finished: {audio_secs:.1} s of audio, replies: {replies}, problems: {problems}."))
        }
        Event::Decision { .. }
        | Event::ReplyStarted { .. }
        | Event::ReplyText { .. }
        | Event::ReplyFinished { .. }
        | Event::Sound { .. }
        | Event::VoiceStarted { .. }
        | Event::VoiceFinished { .. }
        | Event::Gate { .. }
        | Event::InputLost { .. }
        | Event::ModelFailed { .. }
        | Event::NotUnderstood { .. }
        | Event::Timing { .. } => None,
    }
}

fn line(out: &mut impl Write, at: impl std::fmt::Display, mode: &str, text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "{:>9}  {mode:<10}  {text}", at.to_string())
}

/// Returns the emoji of an emotion (`src/model/README.md` section 5.1), followed by a space.
const fn icon(emotion: Emotion) -> &'static str {
    match emotion {
        Emotion::Happy => "😊 ",
        Emotion::Sad => "😢 ",
        Emotion::Angry => "😠 ",
        Emotion::Surprise => "😲 ",
        Emotion::Normal => "😐 ",
        Emotion::Urgent => "⚠️ ",
    }
}

/// Returns the cause of an audio gap as an English phrase.
const fn cause_in_words(cause: GapCause) -> &'static str {
    match cause {
        GapCause::Overrun => "the machine was too busy",
        GapCause::Overload => "the model is slower than real time",
        GapCause::DeviceLost => "the input device was lost",
        GapCause::Zeros => "the input device delivered only zeros",
        GapCause::Suspended => "the machine was suspended",
        GapCause::Stopped => "Hearken was stopped, or got no time to compute",
    }
}
