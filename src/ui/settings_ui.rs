//! The settings window.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use egui::{RichText, Slider, Ui};

use super::strings::{TITLE, fill};
use super::{HearkenApp, theme};
use crate::audio::DeviceDirection;
use crate::config::prefs::{SavedChoice, ThemeChoice, UiLanguage};
use crate::protocol::{Command, ModelChoice, Switch};

/// How long "snooze" lasts.
const SNOOZE: Duration = Duration::from_secs(5 * 60);

impl HearkenApp {
    pub(super) fn settings_window(&mut self, ui: &Ui) {
        if !self.view.settings_open {
            return;
        }
        let (mut open, s) = (true, self.s);
        let room = ui.ctx().content_rect();
        // A low window gives what it has.
        let (above, beside) = if theme::is_low(ui.ctx()) { (4.0, 84.0) } else { (40.0, 120.0) };
        let height = (room.height() - beside).max(100.0);
        let width = (room.width() - 60.0).clamp(200.0, 480.0);
        egui::Window::new(s.settings)
            .open(&mut open)
            .default_size([width, height.min(620.0)])
            .default_pos(room.center_top() + egui::vec2(-width / 2.0 - 16.0, above))
            .max_width((room.width() - 40.0).max(200.0))
            .collapsible(false)
            .show(ui.ctx(), |ui| {
                egui::ScrollArea::vertical().max_height(height).auto_shrink(false).show(ui, |ui| {
                    section(ui, s.general, |ui| self.general_ui(ui));
                    section(ui, s.listen_section, |ui| self.listening_ui(ui));
                    section(ui, s.voice, |ui| self.voice_settings_ui(ui));
                    section(ui, s.modes_section, |ui| self.mode_settings_ui(ui));
                    section(ui, s.notifications, |ui| self.notifications_ui(ui));
                    section(ui, s.captions, |ui| self.caption_settings_ui(ui));
                    section(ui, s.history, |ui| self.history_settings_ui(ui));
                    section(ui, s.about, |ui| self.about_ui(ui));
                });
            });
        self.view.settings_open &= open;
    }

    fn general_ui(&mut self, ui: &mut Ui) {
        let s = self.s;
        ui.horizontal_wrapped(|ui| {
            ui.label(s.language);
            for (value, label) in [(UiLanguage::System, s.system), (UiLanguage::English, "English"), (UiLanguage::Chinese, "中文")] {
                ui.selectable_value(&mut self.prefs.language, value, label);
            }
        });
        ui.horizontal_wrapped(|ui| {
            ui.label(s.theme);
            for (value, label) in [(ThemeChoice::System, s.system), (ThemeChoice::Light, s.light), (ThemeChoice::Dark, s.dark)] {
                if ui.selectable_value(&mut self.prefs.theme, value, label).clicked() {
                    theme::choose(ui.ctx(), self.prefs.theme);
                }
            }
        });
        let mut zoom = ui.ctx().zoom_factor();
        let response = ui.add(Slider::new(&mut zoom, 0.7..=2.5).step_by(0.1).text(s.text_size));
        if response.drag_stopped() || response.changed() && !response.dragged() {
            ui.ctx().set_zoom_factor(zoom);
        }
        ui.label(RichText::new(s.keys).strong());
        ui.label(RichText::new(s.keys_list).weak());
    }

    fn listening_ui(&mut self, ui: &mut Ui) {
        let s = self.s;
        ui.horizontal_wrapped(|ui| {
            ui.menu_button(s.input_hint, |ui| self.devices_ui(ui, DeviceDirection::Input));
            ui.menu_button(s.output_hint, |ui| self.devices_ui(ui, DeviceDirection::Output));
        });
        let mut gate = self.settings.gate;
        if ui.checkbox(&mut gate, s.gate).on_hover_text(s.gate_hint).clicked() {
            self.settings.gate = gate;
            self.session.engine.send(if gate { Command::GateOn } else { Command::GateOff });
            self.save(&SavedChoice::Gate(if gate { Switch::On } else { Switch::Off }));
        }
        ui.horizontal_wrapped(|ui| {
            ui.label(s.model_choice);
            if ui.button(s.starter).clicked() {
                self.choose_model(ModelChoice::Starter);
            }
            if ui.button(s.models).on_hover_text(s.models_hint).clicked() {
                self.models.open();
            }
        });
        ui.horizontal_wrapped(|ui| {
            let label = ui.label(s.model_folder);
            ui.add(egui::TextEdit::singleline(&mut self.view.model_folder).desired_width(180.0)).labelled_by(label.id);
            let folder = PathBuf::from(self.view.model_folder.trim());
            if ui.add_enabled(folder.is_absolute(), egui::Button::new(s.load)).clicked() {
                self.choose_model(ModelChoice::Dir(folder));
            }
        });
        if self.settings.model == ModelChoice::Starter {
            super::welcome::starter_ui(ui, s);
        }
        super::welcome::bigger_ui(ui, s, self.models.bigger());
    }

    pub(super) fn choose_model(&mut self, choice: ModelChoice) {
        self.session.engine.send(Command::ChooseModel(choice.clone()));
        self.settings.model = choice.clone();
        self.save(&SavedChoice::Model(choice));
    }

    fn notifications_ui(&mut self, ui: &mut Ui) {
        let s = self.s;
        ui.checkbox(&mut self.prefs.notify, s.notify).on_hover_text(s.notify_hint);
        let snoozed = self.session.heard.alerts().snoozed_until.is_some_and(|until| Instant::now() < until);
        ui.horizontal(|ui| {
            if ui.button(s.snooze).clicked() {
                self.snooze();
            }
            if snoozed {
                ui.label(RichText::new(s.snoozed).weak());
            }
        });
        ui.label(s.marked_sounds);
        if self.prefs.marked_sounds.is_empty() {
            ui.label(RichText::new(s.no_marks).weak());
        }
        names_ui(ui, &mut self.prefs.marked_sounds, s.mark_sound);
        if !self.prefs.muted_sounds.is_empty() {
            ui.label(s.muted_sounds);
            names_ui(ui, &mut self.prefs.muted_sounds, s.unmute);
        }
    }

    /// The desktop hears of nothing for five minutes.
    pub(super) fn snooze(&self) {
        self.session.heard.alerts().snoozed_until = Some(Instant::now() + SNOOZE);
    }

    fn caption_settings_ui(&mut self, ui: &mut Ui) {
        let (s, c) = (self.s, &mut self.prefs.captions);
        ui.checkbox(&mut self.view.captions_open, s.captions_hint);
        ui.add(Slider::new(&mut c.size, 14.0..=48.0).step_by(1.0).text(s.captions_size));
        ui.add(Slider::new(&mut c.opacity, 0.0..=1.0).step_by(0.05).text(s.captions_opacity));
        ui.add(Slider::new(&mut c.lines, 1..=2).text(s.captions_lines));
        ui.checkbox(&mut c.bilingual, s.captions_bilingual);
    }

    fn about_ui(&self, ui: &mut Ui) {
        let s = self.s;
        ui.label(format!("{} · {}", s.privacy, self.kept()));
        ui.label(RichText::new(s.welcome_people).weak());
        ui.label(RichText::new(fill(s.settings_file, self.settings.paths.settings_file().display())).weak());
        ui.label(RichText::new(fill(s.version, env!("CARGO_PKG_VERSION"))).weak()).on_hover_text(TITLE);
    }
}

fn section(ui: &mut Ui, title: &str, content: impl FnOnce(&mut Ui)) {
    ui.add_space(6.0);
    ui.label(RichText::new(title).strong().size(theme::LARGE));
    ui.separator();
    content(ui);
    ui.add_space(6.0);
}

/// Names with a box before each; a box that is emptied takes its name away. `question` names the box.
fn names_ui(ui: &mut Ui, names: &mut Vec<String>, question: &str) {
    names.retain(|name| {
        let mut kept = true;
        ui.checkbox(&mut kept, fill(question, name));
        kept
    });
}

/// How something went, in words.
pub(super) fn outcome_ui(ui: &mut Ui, outcome: Option<&Result<String, String>>) {
    match outcome {
        None => {}
        Some(Ok(text)) => drop(ui.label(text)),
        Some(Err(text)) => drop(ui.label(RichText::new(text).color(theme::states(ui.visuals()).fault))),
    }
}
