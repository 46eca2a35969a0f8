//! The panels: transcript, translation, conversation, sounds. Each follows its newest line until the user scrolls up.

use egui::{RichText, ScrollArea, Ui};

use super::{strings, theme};
use crate::config::{Mode, Panel as Shows};
use crate::protocol::{Emotion, Stop};
use crate::transcript::{Line, Transcript};

/// Lines that a panel lays out at most; older ones are in the session's events.
const LINES: usize = 300;

/// Paints a column for each panel that some active mode fills.
pub(super) fn panels_ui(ui: &mut Ui, transcript: &Transcript, modes: &[Mode]) {
    let active = |panel| modes.iter().any(|m| m.panel == panel && transcript.modes.contains(&m.name));
    let order = [Shows::Transcript, Shows::Translation, Shows::Conversation, Shows::Sounds];
    let on: Vec<Shows> = order.into_iter().filter(|p| active(*p)).collect();
    if on.is_empty() {
        ui.centered_and_justified(|ui| ui.label(strings::NOTHING_ON));
        return;
    }
    ui.columns(on.len(), |columns| {
        for (ui, panel) in columns.iter_mut().zip(&on) {
            match panel {
                Shows::Transcript => {
                    panel_ui(ui, strings::TRANSCRIPT, strings::NO_TRANSCRIPT, transcript.utterances.len(), |ui, n| {
                        line_ui(ui, &transcript.utterances[n]);
                    });
                }
                Shows::Translation => {
                    panel_ui(ui, strings::TRANSLATION, strings::NO_TRANSLATION, transcript.translations.len(), |ui, n| {
                        line_ui(ui, &transcript.translations[n]);
                    });
                }
                Shows::Conversation => {
                    panel_ui(ui, strings::CONVERSATION, strings::NO_CONVERSATION, transcript.replies.len(), |ui, n| {
                        reply_ui(ui, transcript, n);
                    });
                }
                Shows::Sounds => {
                    panel_ui(ui, strings::SOUNDS, strings::NO_SOUNDS, transcript.sounds.len(), |ui, n| sound_ui(ui, transcript, n));
                }
            }
        }
    });
}

fn panel_ui(ui: &mut Ui, title: &str, empty: &str, count: usize, mut line: impl FnMut(&mut Ui, usize)) {
    ui.heading(title);
    ui.separator();
    if count == 0 {
        ui.label(RichText::new(empty).weak().size(theme::BODY));
        return;
    }
    let room = (ui.available_height() - 30.0).max(20.0);
    let jump = ui.scope_id().with((title, "jump"));
    let mut area = ScrollArea::vertical().id_salt(title).auto_shrink(false).max_height(room).stick_to_bottom(true);
    if ui.data_mut(|data| data.remove_temp::<()>(jump)).is_some() {
        // More than there is: the area stops at its end.
        area = area.vertical_scroll_offset(f32::MAX);
    }
    let output = area.show(ui, |ui| {
        for n in count.saturating_sub(LINES)..count {
            line(ui, n);
        }
    });
    let bottom = (output.content_size.y - output.inner_rect.height()).max(0.0);
    if bottom - output.state.clamped_offset().y > 4.0 && ui.button(strings::JUMP).clicked() {
        ui.data_mut(|data| data.insert_temp(jump, ()));
        ui.ctx().request_repaint();
    }
}

fn line_ui(ui: &mut Ui, line: &Line) {
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(line.from.to_string()).weak().size(theme::SMALL));
        ui.label(RichText::new(&line.text).size(theme::LARGE));
    });
}

fn reply_ui(ui: &mut Ui, transcript: &Transcript, n: usize) {
    let reply = &transcript.replies[n];
    let text = RichText::new(&reply.text).size(theme::LARGE);
    let text = if reply.emotion == Some(Emotion::Urgent) { text.color(theme::URGENT).strong() } else { text };
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(reply.at.to_string()).weak().size(theme::SMALL));
        if let Some(emotion) = reply.emotion {
            let urgent = emotion == Emotion::Urgent;
            let tag = RichText::new(strings::emotion(emotion)).size(theme::SMALL);
            ui.label(if urgent { tag.color(theme::URGENT).strong() } else { tag.weak() });
        }
        ui.label(text);
        match reply.stop {
            None => drop(ui.label(RichText::new("…").color(theme::REPLYING))),
            Some(Stop::End) => {}
            Some(stop) => drop(ui.label(RichText::new(format!("({stop:?})").to_lowercase()).weak())),
        }
    });
}

fn sound_ui(ui: &mut Ui, transcript: &Transcript, n: usize) {
    let sound = &transcript.sounds[n];
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(sound.first.to_string()).weak().size(theme::SMALL));
        let count = if sound.count > 1 { format!(" ×{}", sound.count) } else { String::new() };
        ui.label(RichText::new(format!("{}{count}", sound.name)).size(theme::LARGE));
    });
}
