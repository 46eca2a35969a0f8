//! The panels: transcript and translation side by side, conversation, sounds. In a narrow window they become tabs.

use egui::{RichText, Ui, vec2};

use super::icons::{self, Icon};
use super::strings::fill;
use super::{HearkenApp, theme};
use crate::protocol::{Emotion, Panel, StopReason};
use crate::transcript::{Reply, ReplyTrigger, SoundLine, SpeechLine, Transcript};

/// Width of the column of times, in points.
const TIMES: f32 = 66.0;
/// Room for lines at least so wide has the translation beside the transcript, in points.
const BESIDE: f32 = 440.0;
/// Width that is kept for when a sound was heard last.
const UNTIL: f32 = 84.0;
/// A sound that was named so lately is still going on, in seconds.
const STILL_SECS: f64 = 2.5;
/// By how much "less of this" makes the dialog less eager.
const LESS: f32 = 1.0;

const ORDER: [Panel; 4] = [Panel::Transcript, Panel::Translation, Panel::Conversation, Panel::Sounds];

impl HearkenApp {
    pub(super) const fn panel_title(&self, panel: Panel) -> &'static str {
        match panel {
            Panel::Conversation => self.s.conversation,
            Panel::Transcript => self.s.transcript,
            Panel::Translation => self.s.translation,
            Panel::Sounds => self.s.sounds,
        }
    }

    pub(super) fn is_hidden(&self, panel: Panel) -> bool {
        self.prefs.hidden.iter().any(|name| name == panel.name())
    }

    pub(super) fn toggle_panel(&mut self, panel: Panel) {
        if self.is_hidden(panel) {
            self.prefs.hidden.retain(|name| name != panel.name());
        } else {
            self.prefs.hidden.push(panel.name().to_owned());
        }
    }

    /// A panel is there when a mode fills it or something stands in it, unless it was hidden.
    fn is_there(&self, panel: Panel, t: &Transcript) -> bool {
        let fed = t.modes.iter().any(|mode| t.panel_of(mode) == panel);
        let filled = match panel {
            Panel::Conversation => !t.replies.is_empty(),
            Panel::Transcript => !t.utterances.is_empty(),
            Panel::Translation => !t.translations.is_empty(),
            Panel::Sounds => !t.sounds.is_empty(),
        };
        (fed || filled) && !self.is_hidden(panel)
    }

    pub(super) fn panels_ui(&mut self, ui: &mut Ui, t: &Transcript) {
        let there: Vec<Panel> = ORDER.into_iter().filter(|panel| self.is_there(*panel, t)).collect();
        if there.is_empty() {
            let text = if t.modes.is_empty() { self.s.nothing_on } else { self.s.nothing_shown };
            ui.centered_and_justified(|ui| ui.label(RichText::new(text).weak()));
            return;
        }
        if ui.available_width() < theme::NARROW || ui.available_height() < theme::FLAT {
            return self.tabs_ui(ui, t, &there);
        }
        let speech = there.iter().any(|p| matches!(p, Panel::Transcript | Panel::Translation));
        let (talk, sounds) = (there.contains(&Panel::Conversation), there.contains(&Panel::Sounds));
        if !speech {
            return self.right_ui(ui, t, talk, sounds);
        }
        if talk || sounds {
            let width = ui.available_width();
            let shown = egui::Panel::right("right")
                .frame(egui::Frame::NONE.inner_margin(egui::Margin { left: 12, ..egui::Margin::ZERO }))
                .resizable(true)
                .default_size(width * self.prefs.shares[0])
                .size_range(220.0..=(width - 220.0).max(221.0))
                .show(ui, |ui| self.right_ui(ui, t, talk, sounds));
            dragged(ui, &mut self.prefs.shares[0], shown.response.rect.width() / width);
        }
        egui::CentralPanel::no_frame().show(ui, |ui| self.speech_ui(ui, t, &there));
    }

    fn right_ui(&mut self, ui: &mut Ui, t: &Transcript, talk: bool, sounds: bool) {
        if sounds && talk {
            let height = ui.available_height();
            let shown = egui::Panel::bottom("sounds")
                .frame(egui::Frame::NONE.inner_margin(egui::Margin { top: 8, ..egui::Margin::ZERO }))
                .resizable(true)
                .default_size(height * self.prefs.shares[1])
                .size_range(70.0..=(height - 80.0).max(71.0))
                .show(ui, |ui| {
                    // A panel is as high as what is in it, and little is in it at first.
                    ui.set_min_height(ui.available_height());
                    self.sounds_ui(ui, t);
                });
            dragged(ui, &mut self.prefs.shares[1], shown.response.rect.height() / height);
            egui::CentralPanel::no_frame().show(ui, |ui| self.talk_ui(ui, t));
        } else if talk {
            self.talk_ui(ui, t);
        } else {
            self.sounds_ui(ui, t);
        }
    }

    fn tabs_ui(&mut self, ui: &mut Ui, t: &Transcript, there: &[Panel]) {
        let tabs: Vec<Panel> = there.iter().copied().filter(|p| *p != Panel::Translation || !there.contains(&Panel::Transcript)).collect();
        if !tabs.contains(&self.view.tab) {
            self.view.tab = tabs[0];
        }
        let low = theme::is_low(ui.ctx());
        ui.horizontal_wrapped(|ui| {
            if low {
                (ui.spacing_mut().item_spacing.x, ui.spacing_mut().button_padding) = (4.0, vec2(6.0, 2.0));
            }
            for tab in &tabs {
                let title = self.panel_title(*tab);
                ui.selectable_value(&mut self.view.tab, *tab, title);
            }
        });
        if !low {
            ui.separator();
        }
        match self.view.tab {
            Panel::Transcript | Panel::Translation => self.speech_lines(ui, t, there),
            Panel::Conversation => self.talk_lines(ui, t),
            Panel::Sounds => self.sound_lines(ui, t),
        }
    }

    fn head_ui(&mut self, ui: &mut Ui, panels: &[Panel]) {
        ui.horizontal(|ui| {
            for (n, panel) in panels.iter().enumerate() {
                // Two heads stand over the two halves of the lines, whose times come before the first.
                let both = n == 0 && panels.len() == 2;
                let width = if both { (ui.available_width() + TIMES) / 2.0 } else { ui.available_width() - 4.0 }.max(0.0);
                ui.allocate_ui_with_layout(vec2(width, 22.0), egui::Layout::left_to_right(egui::Align::Center), |ui| {
                    ui.set_min_width(width);
                    ui.label(RichText::new(self.panel_title(*panel)).strong());
                    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                        let label = fill(self.s.hide_panel, self.panel_title(*panel));
                        if icons::small(ui, Icon::Close, &label, &label).clicked() {
                            self.toggle_panel(*panel);
                        }
                    });
                });
            }
        });
        ui.separator();
    }

    fn empty_ui(&self, ui: &mut Ui, text: &str) {
        ui.add_space(8.0);
        ui.label(RichText::new(text).weak().size(theme::BODY + 1.0));
    }

    fn speech_ui(&mut self, ui: &mut Ui, t: &Transcript, there: &[Panel]) {
        let heads: Vec<Panel> = there.iter().copied().filter(|p| matches!(p, Panel::Transcript | Panel::Translation)).collect();
        self.head_ui(ui, &heads);
        self.speech_lines(ui, t, there);
    }

    fn speech_lines(&mut self, ui: &mut Ui, t: &Transcript, there: &[Panel]) {
        let (said, meant) = (there.contains(&Panel::Transcript), there.contains(&Panel::Translation));
        if t.rows.is_empty() {
            return self.empty_ui(ui, if said { self.s.no_transcript } else { self.s.no_translation });
        }
        let (mut list, s) = (std::mem::take(&mut self.view.speech), self.s);
        let columns = if said && meant && ui.available_width() >= BESIDE { 2 } else { 1 };
        list.show(ui, s, s.transcript, t.rows.len(), |ui, n| {
            let row = t.rows[n];
            let halves = [(said, row.utterance.map(|n| &t.utterances[n])), (meant, row.translation.map(|n| &t.translations[n]))];
            let halves: Vec<Option<&SpeechLine>> = halves.into_iter().filter(|(shown, _)| *shown).map(|(_, line)| line).collect();
            ui.horizontal_top(|ui| {
                time_ui(ui, &self.session.heard.time(row.from));
                let width = (ui.available_width() / columns as f32 - 4.0).max(0.0);
                // In one column the translation stands below what it translates.
                for column in halves.chunks(halves.len().div_ceil(columns).max(1)) {
                    ui.allocate_ui_with_layout(vec2(width, 0.0), egui::Layout::top_down(egui::Align::Min), |ui| {
                        ui.set_width(width);
                        for line in column.iter().flatten() {
                            let label = ui.add(egui::Label::new(RichText::new(&line.text).size(theme::LARGE)).wrap());
                            self.copy_menu(&label, &line.text);
                        }
                    });
                }
            });
        });
        self.view.speech = list;
    }

    fn talk_ui(&mut self, ui: &mut Ui, t: &Transcript) {
        self.head_ui(ui, &[Panel::Conversation]);
        self.talk_lines(ui, t);
    }

    fn talk_lines(&mut self, ui: &mut Ui, t: &Transcript) {
        if t.replies.is_empty() {
            return self.empty_ui(ui, self.s.no_conversation);
        }
        let (mut list, s) = (std::mem::take(&mut self.view.talk), self.s);
        let mut less = false;
        let mut mute = None;
        let mut again = None;
        let mut pointed = None;
        list.show(ui, s, s.conversation, t.replies.len(), |ui, n| {
            let reply = &t.replies[n];
            self.prompt_ui(ui, t, n);
            let line = self.reply_ui(ui, reply, |ui| {
                if ui.button(s.copy).clicked() {
                    ui.ctx().copy_text(reply.text.clone());
                    ui.close();
                }
                if ui.button(s.say_again).clicked() {
                    again = Some(reply);
                    ui.close();
                }
                if ui.button(s.less_eager).clicked() {
                    less = true;
                    ui.close();
                }
                if reply.emotion == Some(Emotion::Urgent) && ui.button(s.snooze).clicked() {
                    self.snooze();
                    ui.close();
                }
                if let ReplyTrigger::Sound(sound) = t.trigger_of(n)
                    && ui.button(fill(s.mute_sound, &sound.name)).clicked()
                {
                    mute = Some(sound.name.clone());
                    ui.close();
                }
            });
            if line.contains_pointer() {
                pointed = Some(reply.id);
            }
        });
        self.view.talk = list;
        if let Some(reply) = again {
            self.say_again(reply);
        }
        // The strip shows what was pointed at in the frame before; it is told once, when that changes.
        if pointed.is_some() && pointed != self.view.pointed {
            ui.ctx().request_repaint();
        }
        self.view.pointed = pointed;
        if less {
            let now = self.settings.modes.iter().find(|m| m.name == crate::config::modes::DIALOG).map_or(0.0, |m| m.eagerness);
            self.set_eagerness(crate::config::modes::DIALOG, now - LESS);
        }
        self.prefs.muted_sounds.extend(mute);
    }

    /// What the reply answers, in smaller letters above it.
    fn prompt_ui(&self, ui: &mut Ui, t: &Transcript, n: usize) {
        let s = self.s;
        let (at, text) = match t.trigger_of(n) {
            ReplyTrigger::Speech(line) => (line.from, format!("{}  “{}”", s.you, line.text)),
            ReplyTrigger::Sound(sound) => (sound.first, fill(s.heard_sound, &sound.name)),
            ReplyTrigger::Unknown => (crate::transcript::chunk_start(t.replies[n].at), s.heard_something.to_owned()),
        };
        ui.add_space(4.0);
        ui.horizontal_top(|ui| {
            time_of_ui(ui, &self.session.heard.time(at), 18.0);
            ui.add(egui::Label::new(RichText::new(text).weak()).wrap());
        });
    }

    fn reply_ui(&self, ui: &mut Ui, reply: &Reply, menu: impl FnOnce(&mut Ui)) -> egui::Response {
        let (s, colours) = (self.s, theme::states(ui.visuals()));
        let urgent = reply.emotion == Some(Emotion::Urgent);
        let colour = if urgent { colours.urgent } else { colours.replying };
        let line = ui.horizontal_top(|ui| {
            time_ui(ui, &self.session.heard.time(reply.at));
            if let Some(emotion) = reply.emotion {
                icons::emotion(ui, emotion, s.emotion(emotion), if urgent { colours.urgent } else { ui.visuals().weak_text_color() });
            }
            let width = (ui.available_width() - 30.0).max(0.0);
            ui.allocate_ui_with_layout(vec2(width, 0.0), egui::Layout::top_down(egui::Align::Min), |ui| {
                ui.set_width(width);
                let mut text = RichText::new(if reply.text.is_empty() { "…" } else { &reply.text }).size(theme::LARGE);
                if urgent {
                    text = text.color(colours.urgent).strong();
                }
                let label = ui.add(egui::Label::new(text).wrap());
                self.copy_menu(&label, &reply.text);
                match reply.stop {
                    None => drop(ui.label(RichText::new(s.replying).color(colours.replying).small())),
                    Some(StopReason::End) => {}
                    Some(StopReason::Cut) => drop(ui.label(RichText::new(s.cut_off).weak().small())),
                    Some(StopReason::Limit | StopReason::Loop) => drop(ui.label(RichText::new(s.went_on).weak().small())),
                }
            });
            let more = icons::small(ui, Icon::Close, s.less, s.less);
            egui::Popup::menu(&more).show(menu);
        });
        let bar = egui::Rect::from_min_max(
            line.response.rect.left_top(),
            egui::pos2(line.response.rect.left() + 3.0, line.response.rect.bottom()),
        );
        let strong = self.view.pointed == Some(reply.id) || urgent || reply.stop.is_none();
        ui.painter().rect_filled(bar, 1.5, colour.gamma_multiply(if strong { 1.0 } else { 0.45 }));
        line.response
    }

    fn sounds_ui(&mut self, ui: &mut Ui, t: &Transcript) {
        self.head_ui(ui, &[Panel::Sounds]);
        self.sound_lines(ui, t);
    }

    fn sound_lines(&mut self, ui: &mut Ui, t: &Transcript) {
        let lines: Vec<usize> = if self.prefs.muted_sounds.is_empty() {
            Vec::new()
        } else {
            (0..t.sounds.len()).filter(|n| !self.prefs.muted_sounds.contains(&t.sounds[*n].name)).collect()
        };
        let all = self.prefs.muted_sounds.is_empty();
        let count = if all { t.sounds.len() } else { lines.len() };
        if count == 0 {
            return self.empty_ui(ui, self.s.no_sounds);
        }
        let (mut list, s) = (std::mem::take(&mut self.view.sounds), self.s);
        let mut marked = None;
        list.show(ui, s, s.sounds, count, |ui, n| {
            let sound = &t.sounds[if all { n } else { lines[n] }];
            ui.horizontal(|ui| {
                time_ui(ui, &self.session.heard.time(sound.first));
                let on = self.prefs.marked_sounds.contains(&sound.name);
                let question = fill(s.mark_sound, &sound.name);
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if icons::small(ui, Icon::Bell, &question, &question).clicked() {
                        marked = Some(sound.name.clone());
                    }
                    if on {
                        ui.label(RichText::new(s.marked).weak().small());
                    }
                    ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| self.sound_ui(ui, t, sound));
                });
            });
        });
        self.view.sounds = list;
        if let Some(name) = marked {
            let marks = &mut self.prefs.marked_sounds;
            match marks.iter().position(|m| *m == name) {
                Some(at) => drop(marks.remove(at)),
                None => marks.push(name),
            }
        }
    }

    /// Name, count and since when or until when, in one line: a name that is too long for it is cut.
    fn sound_ui(&self, ui: &mut Ui, t: &Transcript, sound: &SoundLine) {
        let count = if sound.count > 1 { format!(" ×{}", sound.count) } else { String::new() };
        let name = RichText::new(format!("{}{count}", sound.name)).size(theme::LARGE - 2.0);
        let label = ui.scope(|ui| {
            ui.set_max_width((ui.available_width() - UNTIL).max(40.0));
            ui.add(egui::Label::new(name).truncate())
        });
        self.copy_menu(&label.inner, &sound.name);
        let going = t.now.secs_since(sound.last) < STILL_SECS && t.quiet_since.is_none() && !t.finished && !t.paused;
        if going {
            ui.label(RichText::new(self.s.still).color(theme::states(ui.visuals()).listening));
        } else if sound.count > 1 {
            ui.label(RichText::new(format!("– {}", self.session.heard.time(sound.last))).weak());
        }
    }

    fn copy_menu(&self, label: &egui::Response, text: &str) {
        label.context_menu(|ui| {
            if ui.button(self.s.copy).clicked() {
                ui.ctx().copy_text(text.to_owned());
                ui.close();
            }
        });
    }
}

/// Notes the share that a panel has while something is dragged: only a person resizes a panel for good.
fn dragged(ui: &Ui, share: &mut f32, now: f32) {
    if now.is_finite() && (now - *share).abs() > 0.01 && ui.input(|i| i.pointer.any_down()) {
        *share = now;
    }
}

/// A time in a column of its own width, so that the words beside it stand in one line.
fn time_ui(ui: &mut Ui, time: &str) {
    time_of_ui(ui, time, 24.0);
}

/// The same beside words of this height.
pub(super) fn time_of_ui(ui: &mut Ui, time: &str, height: f32) {
    ui.allocate_ui_with_layout(vec2(TIMES, height), egui::Layout::left_to_right(egui::Align::Center), |ui| {
        ui.set_min_width(TIMES);
        ui.add_space(8.0);
        ui.add(egui::Label::new(RichText::new(time).weak().monospace()).selectable(false).extend());
    });
}
