//! The lines of the panels: speech with its translation, replies with their prompts, and sounds.

use egui::{RichText, Ui, vec2};

use super::actions::{Action, Actions};
use super::conversation_rule::rule_ui;
use super::frame::FrameData;
use super::icons::{self, Icon, Visibility};
use super::panels::PanelsState;
use super::strings::{Strings, fill};
use super::theme;
use super::virtual_list::VirtualList;
use super::voice_ui::repeat_command;
use crate::config::WindowPrefs;
use crate::protocol::{Emotion, Panel, ReplyId, StopReason};
use crate::time::StreamTime;
use crate::transcript::{Reply, ReplyTrigger, SoundLine, SpeechLine, chunk_start};

/// Width of the column at the left of a panel's lines in which their times stand, in points.
pub(super) const TIME_WIDTH: f32 = 66.0;
/// Space before a time in its column, for the coloured bar of a reply, in points.
const TIME_INDENT: f32 = 8.0;
/// Height of the time beside a line of large text, in points.
const TIME_HEIGHT: f32 = 24.0;
/// Height of the time beside a line of normal text, in points.
pub(super) const SMALL_TIME_HEIGHT: f32 = 18.0;
/// Width of the speech panels from which each translation stands beside its utterance and not below, in points.
const TWO_COLUMNS: f32 = 440.0;
/// Width kept in a line of the sounds panel for the time at which the sound was last heard, in points.
const SOUND_TIME_WIDTH: f32 = 84.0;
/// Smallest width of a sound's name in the sounds panel, in points.
const MIN_SOUND_WIDTH: f32 = 40.0;
/// Font size of a sound's name, in points.
const SOUND_SIZE: f32 = theme::MEDIUM;
/// Font size of utterances and replies in columns, in points.
const WORDS: f32 = 18.0;
/// Time for which a sound counts as ongoing after the model has named it, in seconds.
const ONGOING_SECS: f64 = 2.5;
/// Amount by which "answer less often" in a reply's menu lowers the eagerness of the mode `dialog`.
const LESS_EAGER_STEP: f32 = 1.0;
/// Width kept for the button of a reply's menu, in points.
const MENU_WIDTH: f32 = 30.0;
/// Width of the coloured bar before a reply, in points.
const REPLY_BAR: f32 = 3.0;
/// Opacity of the coloured bar before a reply that is neither hovered, urgent nor unfinished, from 0 to 1.
const REPLY_BAR_DIM: f32 = 0.45;

/// Paints the utterances, their translations, or both, according to the panels in `visible`: both in two columns if there is room,
/// else each translation below its utterance.
pub(super) fn speech_ui(ui: &mut Ui, list: &mut VirtualList, visible: &[Panel], data: &FrameData<'_>) {
    let (s, t) = (data.s, data.transcript);
    let (original, translation) = (visible.contains(&Panel::Transcript), visible.contains(&Panel::Translation));
    if t.rows.is_empty() {
        return empty_ui(ui, if original { s.no_transcript } else { s.no_translation });
    }
    let columns = if original && translation && ui.available_width() >= TWO_COLUMNS { 2 } else { 1 };
    let end = |n: usize| {
        let (row, to) = (t.rows[n], StreamTime::ZERO);
        to.max(row.utterance.map_or(row.from, |n| t.utterances[n].to)).max(row.translation.map_or(row.from, |n| t.translations[n].to))
    };
    list.show(ui, s, s.transcript, t.rows.len(), |ui, n| {
        let row = t.rows[n];
        rule_ui(ui, data, n.checked_sub(1).map(end), Some(end(n)));
        let mut cells: Vec<Option<&SpeechLine>> = Vec::new();
        if original {
            cells.push(row.utterance.map(|n| &t.utterances[n]));
        }
        if translation {
            cells.push(row.translation.map(|n| &t.translations[n]));
        }
        ui.horizontal_top(|ui| {
            time_ui(ui, &data.time(row.from), TIME_HEIGHT);
            let width = (ui.available_width() / columns as f32 - theme::EDGE).max(0.0);
            for column in cells.chunks(cells.len().div_ceil(columns).max(1)) {
                ui.allocate_ui_with_layout(vec2(width, 0.0), egui::Layout::top_down(egui::Align::Min), |ui| {
                    ui.set_width(width);
                    for line in column.iter().flatten() {
                        let label = ui.add(egui::Label::new(RichText::new(&line.text).size(WORDS)).wrap());
                        copy_menu(&label, s, &line.text);
                    }
                });
            }
        });
        if n + 1 == t.rows.len() {
            rule_ui(ui, data, Some(end(n)), None);
        }
    });
}

/// Paints the conversation: the replies, each below its prompt. Stores in `state` which reply is under the pointer. If the user
/// hides a sound that a reply answers, changes `prefs`.
pub(super) fn conversation_ui(ui: &mut Ui, state: &mut PanelsState, prefs: &mut WindowPrefs, data: &FrameData<'_>, actions: &mut Actions) {
    let (s, t) = (data.s, data.transcript);
    if t.replies.is_empty() {
        return empty_ui(ui, s.no_conversation);
    }
    let (previous, mut hovered) = (state.hovered, None);
    state.conversation.show(ui, s, s.conversation, t.replies.len(), |ui, n| {
        rule_ui(ui, data, n.checked_sub(1).map(|n| t.replies[n].at), Some(t.replies[n].at));
        prompt_ui(ui, data, n);
        let reply = &t.replies[n];
        let sound = match t.trigger_of(n) {
            ReplyTrigger::Sound(sound) => Some(sound),
            _ => None,
        };
        let line = reply_ui(ui, reply, previous, data, |ui| {
            if reply_menu_ui(ui, reply, data, actions) {
                ui.close();
            }
            if let Some(sound) = sound
                && ui.button(fill(s.mute_sound, &sound.name)).clicked()
            {
                prefs.muted_sounds.push(sound.name.clone());
                ui.close();
            }
        });
        if line.contains_pointer() {
            hovered = Some(reply.id);
        }
        if n + 1 == t.replies.len() {
            rule_ui(ui, data, Some(reply.at), None);
        }
    });
    // The strip shows the reply that was hovered in the previous frame; one repaint passes a change on.
    if hovered.is_some() && hovered != previous {
        ui.ctx().request_repaint();
    }
    state.hovered = hovered;
}

/// Paints the prompt of the reply of index `n` in a weak colour: the utterance or the sound that the reply answers, or a text for an
/// unknown prompt.
fn prompt_ui(ui: &mut Ui, data: &FrameData<'_>, n: usize) {
    let (s, t) = (data.s, data.transcript);
    let (at, text) = match t.trigger_of(n) {
        ReplyTrigger::Speech(line) => (line.from, format!("{}  “{}”", s.you, line.text)),
        ReplyTrigger::Sound(sound) => (sound.first, fill(s.heard_sound, &sound.name)),
        ReplyTrigger::Unknown => (chunk_start(t.replies[n].at), s.heard_something.to_owned()),
    };
    ui.add_space(theme::EDGE);
    ui.horizontal_top(|ui| {
        time_ui(ui, &data.time(at), SMALL_TIME_HEIGHT);
        ui.add(egui::Label::new(RichText::new(text).weak()).wrap());
    });
}

/// Paints the entries of a reply's menu: copy, say again, answer less often, and for an urgent reply snooze. Returns true if the
/// user has chosen an entry.
pub(super) fn reply_menu_ui(ui: &mut Ui, reply: &Reply, data: &FrameData<'_>, actions: &mut Actions) -> bool {
    let s = data.s;
    if ui.button(s.copy).clicked() {
        ui.ctx().copy_text(reply.text.clone());
    } else if data.is_live && ui.button(s.say_again).clicked() {
        actions.send(repeat_command(reply));
    } else if ui.button(s.less_eager).clicked() {
        let bias = data.settings.modes.iter().find(|mode| mode.name == reply.mode).map_or(0.0, |mode| mode.eagerness);
        actions.push(Action::SetEagerness { mode: reply.mode.clone(), bias: bias - LESS_EAGER_STEP });
    } else if reply.emotion == Some(Emotion::Urgent) && ui.button(s.snooze).clicked() {
        actions.push(Action::Snooze);
    } else {
        return false;
    }
    true
}

/// Paints a reply, with a bar before it, and a button that opens `menu`. The bar stands out if the reply is `hovered`, urgent or
/// unfinished.
fn reply_ui(ui: &mut Ui, reply: &Reply, hovered: Option<ReplyId>, data: &FrameData<'_>, menu: impl FnOnce(&mut Ui)) -> egui::Response {
    let (s, colours) = (data.s, theme::Palette::of(ui.visuals()));
    let urgent = reply.emotion == Some(Emotion::Urgent);
    let line = ui.horizontal_top(|ui| {
        time_ui(ui, &data.time(reply.at), TIME_HEIGHT);
        if let Some(emotion) = reply.emotion {
            icons::emotion(ui, emotion, s.emotion(emotion), if urgent { colours.urgent } else { ui.visuals().weak_text_color() });
        }
        let width = (ui.available_width() - MENU_WIDTH).max(0.0);
        ui.allocate_ui_with_layout(vec2(width, 0.0), egui::Layout::top_down(egui::Align::Min), |ui| {
            ui.set_width(width);
            let mut text = RichText::new(if reply.text.is_empty() { "…" } else { &reply.text }).size(WORDS);
            if urgent {
                text = text.font(super::fonts::semibold(WORDS)).color(colours.urgent);
            }
            reply_text_ui(ui, s, reply, text);
        });
        let visibility = if hovered == Some(reply.id) { Visibility::Shown } else { Visibility::OnFocus };
        let more = icons::in_line(ui, Icon::More, s.less, visibility);
        egui::Popup::menu(&more).show(menu);
    });
    let rect = line.response.rect;
    let bar = egui::Rect::from_min_max(rect.left_top(), egui::pos2(rect.left() + REPLY_BAR, rect.bottom()));
    let stands_out = hovered == Some(reply.id) || urgent || reply.stop.is_none();
    let colour = if urgent { colours.urgent } else { colours.replying };
    ui.painter().rect_filled(bar, theme::RADIUS_BAR, colour.gamma_multiply(if stands_out { 1.0 } else { REPLY_BAR_DIM }));
    line.response
}

/// Paints the sounds that the user has not hidden, each with a button that marks the sound for notifications.
pub(super) fn sounds_ui(ui: &mut Ui, list: &mut VirtualList, prefs: &mut WindowPrefs, data: &FrameData<'_>) {
    let (s, t) = (data.s, data.transcript);
    let shown: Vec<&SoundLine> = t.sounds.iter().filter(|sound| !prefs.muted_sounds.contains(&sound.name)).collect();
    if shown.is_empty() {
        return empty_ui(ui, s.no_sounds);
    }
    let mut toggled = None;
    list.show(ui, s, s.sounds, shown.len(), |ui, n| {
        let sound = shown[n];
        ui.horizontal(|ui| {
            time_ui(ui, &data.time(sound.first), TIME_HEIGHT);
            let label = fill(s.mark_sound, &sound.name);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let icon = if prefs.marked_sounds.contains(&sound.name) { Icon::BellOn } else { Icon::Bell };
                if icons::small(ui, icon, &label, &label).clicked() {
                    toggled = Some(sound.name.clone());
                }
                if prefs.marked_sounds.contains(&sound.name) {
                    ui.label(RichText::new(s.marked).weak().small());
                }
                ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| sound_ui(ui, data, sound));
            });
        });
    });
    if let Some(name) = toggled {
        toggle_marked(prefs, &name);
    }
}

/// Marks the sound `name` for notifications, or takes the mark away.
pub(super) fn toggle_marked(prefs: &mut WindowPrefs, name: &str) {
    match prefs.marked_sounds.iter().position(|marked| marked == name) {
        Some(at) => drop(prefs.marked_sounds.remove(at)),
        None => prefs.marked_sounds.push(name.to_owned()),
    }
}

/// Returns true while a sound goes on: it was heard a moment ago, and nothing has stopped the listening since.
pub(super) fn is_ongoing(data: &FrameData<'_>, sound: &SoundLine) -> bool {
    let t = data.transcript;
    t.now.secs_since(sound.last) < ONGOING_SECS && t.quiet_since.is_none() && !t.finished && !t.is_paused()
}

/// Paints a line of the sounds panel: name and count of the sound, and "still" or the time at which the sound was last heard. A long
/// name is cut.
fn sound_ui(ui: &mut Ui, data: &FrameData<'_>, sound: &SoundLine) {
    let count = if sound.count > 1 { format!(" ×{}", sound.count) } else { String::new() };
    let name = RichText::new(format!("{}{count}", sound.name)).size(SOUND_SIZE);
    let label = ui.scope(|ui| {
        ui.set_max_width((ui.available_width() - SOUND_TIME_WIDTH).max(MIN_SOUND_WIDTH));
        ui.add(egui::Label::new(name).truncate())
    });
    copy_menu(&label.inner, data.s, &sound.name);
    if is_ongoing(data, sound) {
        ui.label(RichText::new(data.s.still).color(theme::Palette::of(ui.visuals()).listening));
    } else if sound.count > 1 {
        ui.label(RichText::new(format!("– {}", data.time(sound.last))).weak());
    }
}

fn empty_ui(ui: &mut Ui, text: &str) {
    ui.add_space(theme::GROUP_GAP);
    ui.label(RichText::new(text).weak().size(theme::BODY + 1.0));
}

/// Paints `text`, the text of `reply`, with a menu that copies it, and below it the end of the reply unless that is the usual one.
pub(super) fn reply_text_ui(ui: &mut Ui, s: &Strings, reply: &Reply, text: RichText) {
    let label = ui.add(egui::Label::new(text).wrap());
    copy_menu(&label, s, &reply.text);
    match reply.stop {
        None => drop(ui.label(RichText::new(s.replying).color(theme::Palette::of(ui.visuals()).replying).small())),
        Some(StopReason::End) => {}
        Some(StopReason::Cut) => drop(ui.label(RichText::new(s.cut_off).weak().small())),
        Some(StopReason::Limit | StopReason::Loop) => drop(ui.label(RichText::new(s.went_on).weak().small())),
    }
}

/// Adds a menu to a label, which copies `text`.
pub(super) fn copy_menu(label: &egui::Response, s: &Strings, text: &str) {
    label.context_menu(|ui| {
        if ui.button(s.copy).clicked() {
            ui.ctx().copy_text(text.to_owned());
            ui.close();
        }
    });
}

/// Paints the time of a line in a column of [`TIME_WIDTH`], vertically centred in a height of `height` points.
pub(super) fn time_ui(ui: &mut Ui, time: &str, height: f32) {
    ui.allocate_ui_with_layout(vec2(TIME_WIDTH, height), egui::Layout::left_to_right(egui::Align::Center), |ui| {
        ui.set_min_width(TIME_WIDTH);
        ui.add_space(TIME_INDENT);
        ui.add(egui::Label::new(RichText::new(time).weak().small()).selectable(false).extend());
    });
}
