//! The status bar and the line at the foot: what Hearken is doing, and the controls over it.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use egui::{Button, Color32, RichText, Role, Sense, Ui, WidgetInfo, vec2};

use super::HearkenApp;
use super::icons::{self, Icon};
use super::strings::fill;
use super::theme;
use super::view::Advice;
use crate::audio::{DeviceDirection, devices};
use crate::config::modes::{DIALOG, SOUNDS, TRANSCRIBE, TRANSLATE, language_of};
use crate::config::prefs::SavedChoice;
use crate::config::{Mode, all_modes};
use crate::protocol::{Command, DeviceChoice, Language, ModelChoice, Panel};
use crate::transcript::Transcript;

/// A window at least so wide has its controls in one row, in points.
const ONE_ROW: f32 = 1_330.0;
/// Width of the longest words of the state, and the least that they are cut to, in points.
const WORDS: [f32; 2] = [168.0, 60.0];
/// Width of what stands beside them in a small window: dot, three buttons and what is between, the meter left out.
const BESIDE: f32 = 180.0;
/// A window narrower than this has a short meter, and no room for the time in its state, in points.
const NARROW_WORDS: f32 = 400.0;
/// A window at least so wide, in points, has room for words beside the meter, whatever stands in its bar.
const ROOMY: f32 = 960.0;
/// A low window at least so wide has the modes in its bar, in points.
const LOW_ROW: f32 = 880.0;
/// A chunk that cost less, in milliseconds, cost nothing that could be read.
const LEAST_MS: f32 = 0.5;
/// What of the window's height a menu cannot have: the bar that it hangs from, and its frame.
const ABOVE_MENU: f32 = 64.0;
/// Side of the mark that opens the options of a mode.
const MARK: f32 = 20.0;
/// Behind by more than this is worth a word.
const LATE_SECS: f32 = 2.0;
/// The bias at either end of a slider: beyond it a mode answers everything, or nothing.
const EAGER: f32 = 10.0;

impl HearkenApp {
    pub(super) fn status_ui(&mut self, ui: &mut Ui, transcript: &Transcript) {
        if theme::is_compact(ui.ctx()) {
            ui.horizontal(|ui| {
                self.state_ui(ui, transcript);
                self.meter_ui(ui, transcript);
                if modes_in_bar(ui) {
                    ui.separator();
                    self.modes_ui(ui, transcript);
                }
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| self.few_tools_ui(ui, transcript));
            });
            if !theme::is_low(ui.ctx()) {
                ui.horizontal_wrapped(|ui| self.modes_ui(ui, transcript));
            }
            return;
        }
        if ui.available_width() < ONE_ROW {
            ui.horizontal(|ui| {
                self.state_ui(ui, transcript);
                self.meter_ui(ui, transcript);
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| self.tools_ui(ui, transcript));
            });
            ui.horizontal_wrapped(|ui| {
                self.modes_ui(ui, transcript);
                self.source_ui(ui, transcript);
            });
            return;
        }
        ui.horizontal(|ui| {
            self.state_ui(ui, transcript);
            self.meter_ui(ui, transcript);
            self.source_ui(ui, transcript);
            ui.separator();
            self.modes_ui(ui, transcript);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| self.tools_ui(ui, transcript));
        });
    }

    /// A dot and words: never colour alone.
    fn state_ui(&self, ui: &mut Ui, transcript: &Transcript) {
        let (text, colour) = self.state(transcript, ui.visuals(), ui.ctx().content_rect().width());
        ui.horizontal(|ui| {
            let (dot, _) = ui.allocate_exact_size(vec2(16.0, 24.0), Sense::hover());
            ui.painter().circle_filled(dot.center(), 6.0, colour);
            // The widest words fix the place, so that nothing beside them jumps.
            let room = ui.ctx().content_rect().width();
            let width = (room - BESIDE - meter_width(room)).clamp(WORDS[1], WORDS[0]);
            ui.allocate_ui_with_layout(vec2(width, 24.0), egui::Layout::left_to_right(egui::Align::Center), |ui| {
                ui.set_min_width(width);
                ui.add(egui::Label::new(RichText::new(text).color(colour).strong().size(theme::LARGE)).truncate());
            });
        });
    }

    /// In words as short as a window of this width needs them.
    fn state(&self, transcript: &Transcript, visuals: &egui::Visuals, window_width: f32) -> (String, Color32) {
        let (s, colours) = (self.s, theme::states(visuals));
        let readings = self.session.engine.meters().read();
        if transcript.finished {
            (s.ended.into(), colours.fault)
        } else if transcript.no_input {
            (s.no_input.into(), colours.fault)
        } else if transcript.paused {
            (s.paused.into(), colours.fault)
        } else if readings.loading {
            (s.loading.into(), colours.quiet)
        } else if readings.lag_secs > LATE_SECS {
            (fill(s.behind, format_args!("{:.0}", readings.lag_secs)), colours.fault)
        } else if transcript.speaking.is_some() {
            (s.speaking.into(), colours.replying)
        } else if readings.replying {
            (s.replying.into(), colours.replying)
        } else if let Some(since) = transcript.quiet_since {
            let narrow = window_width < NARROW_WORDS;
            let words = if narrow { s.quiet_short.to_owned() } else { fill(s.quiet, self.session.heard.time(since)) };
            (words, colours.quiet)
        } else {
            (s.listening.into(), colours.listening)
        }
    }

    fn meter_ui(&mut self, ui: &mut Ui, transcript: &Transcript) {
        let readings = self.session.engine.meters().read();
        let advice = if transcript.paused { Advice::None } else { self.view.loudness.take(&readings, Instant::now()) };
        let (s, colours) = (self.s, theme::states(ui.visuals()));
        let hint = match advice {
            Advice::None => s.level,
            Advice::TooLoud => s.clipping,
            Advice::TooQuiet => s.too_quiet,
        };
        let (rect, response) = ui.allocate_exact_size(vec2(meter_width(ui.ctx().content_rect().width()), 24.0), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, hint));
        // -60 dBFS is a quiet room, 0 the loudest there is.
        let quiet = transcript.paused || transcript.no_input || transcript.quiet_since.is_some();
        let share = if quiet { 0.0 } else { ((readings.level_dbfs + 60.0) / 60.0).clamp(0.0, 1.0) };
        const BARS: usize = 14;
        for bar in 0..BARS {
            let x = rect.left() + (bar as f32 + 0.5) * rect.width() / BARS as f32;
            let lit = share * BARS as f32 > bar as f32;
            let colour = match advice {
                _ if !lit => ui.visuals().widgets.inactive.weak_bg_fill,
                Advice::TooLoud => colours.fault,
                _ => colours.listening,
            };
            let height = 6.0 + 12.0 * bar as f32 / BARS as f32;
            ui.painter().rect_filled(egui::Rect::from_center_size(egui::pos2(x, rect.center().y), vec2(3.5, height)), 1.5, colour);
        }
        response.on_hover_text(hint);
        self.view.advice = if advice == Advice::None { "" } else { hint };
        if ui.ctx().content_rect().width() >= ROOMY {
            self.advice_ui(ui);
        }
    }

    /// What the level calls for: beside the meter where there is room, else at the foot.
    fn advice_ui(&self, ui: &mut Ui) {
        let hint = self.view.advice;
        if !hint.is_empty() {
            let words = hint.split([':', '：']).next().unwrap_or(hint);
            ui.label(RichText::new(words).color(theme::states(ui.visuals()).fault).small()).on_hover_text(hint);
        }
    }

    fn source_ui(&mut self, ui: &mut Ui, transcript: &Transcript) {
        let s = self.s;
        let name = short(if transcript.source.is_empty() { s.input } else { &transcript.source }, 22);
        let menu = ui.menu_button(name, |ui| self.devices_ui(ui, DeviceDirection::Input));
        menu.response.on_hover_text(format!("{}: {}", s.input_hint, transcript.source));
        if ui.button(RichText::new(short(&transcript.model, 18)).weak()).on_hover_text(format!("{}: {}", s.model, s.models_hint)).clicked()
        {
            self.models.toggle();
        }
    }

    /// The inputs or the outputs; they are looked for when the list is opened.
    pub(super) fn devices_ui(&mut self, ui: &mut Ui, direction: DeviceDirection) {
        let s = self.s;
        let looked_for = ui.scope_id().with("looked for devices");
        let pass = ui.ctx().cumulative_pass_nr();
        if ui.data(|d| d.get_temp::<u64>(looked_for)).is_none_or(|last| last + 2 < pass) {
            let (found, ctx) = (Arc::clone(&self.view.devices), ui.ctx().clone());
            let look = move || {
                // Without a sound system there is nothing to choose from; the state of the window says that.
                let list = devices().unwrap_or_default();
                *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(list);
                ctx.request_repaint();
            };
            // Without a thread the list stays empty.
            let _ = std::thread::Builder::new().name("hearken-devices".into()).spawn(look);
        }
        ui.data_mut(|d| d.insert_temp(looked_for, pass));
        let mut chosen = ui.button(s.default_input).clicked().then_some(DeviceChoice::Default);
        let devices = self.view.devices.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match devices {
            None => drop(ui.label(s.looking)),
            Some(list) => {
                for device in list.iter().filter(|d| d.direction == direction) {
                    if ui.button(&device.name).on_hover_text(&device.id).clicked() {
                        chosen = Some(DeviceChoice::Named(device.id.clone()));
                    }
                }
            }
        }
        if let Some(choice) = chosen {
            match direction {
                DeviceDirection::Input => {
                    self.session.engine.send(Command::ChooseInput(choice.clone()));
                    self.save(&SavedChoice::Input(choice));
                }
                DeviceDirection::Output => {
                    self.session.engine.send(Command::ChooseOutput(choice.clone()));
                    self.save(&SavedChoice::Output(choice));
                }
            }
            ui.close();
        }
    }

    fn modes_ui(&mut self, ui: &mut Ui, transcript: &Transcript) {
        for (number, mode) in self.settings.modes.clone().iter().enumerate() {
            let on = transcript.modes.contains(&mode.name);
            // Toggle and mark stand in one line together, whatever the width.
            let name = egui::WidgetText::from(self.s.mode(&mode.name));
            let name = name.into_galley(ui, Some(egui::TextWrapMode::Extend), f32::INFINITY, egui::TextStyle::Button);
            let size = vec2(name.size().x + 2.0 * ui.spacing().button_padding.x + MARK, ui.spacing().interact_size.y);
            ui.allocate_ui_with_layout(size, egui::Layout::left_to_right(egui::Align::Center), |ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                let key = if number < super::MODE_KEYS.len() { format!(" ({})", number + 1) } else { String::new() };
                let mut text = RichText::new(self.s.mode(&mode.name));
                if !on {
                    text = text.weak();
                }
                let toggle = ui.add(Button::selectable(on, text).frame_when_inactive(true));
                if toggle.on_hover_text(format!("{}{key}", self.hint(mode))).clicked() {
                    self.toggle_mode(mode, transcript);
                }
                let more = icons::small(ui, Icon::More, &fill(self.s.mode_menu, self.s.mode(&mode.name)), self.s.eagerness_hint);
                egui::Popup::menu(&more)
                    .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
                    .show(|ui| self.mode_menu_ui(ui, mode));
            });
        }
    }

    fn hint(&self, mode: &Mode) -> String {
        match mode.name.as_str() {
            DIALOG => self.s.dialog_hint.into(),
            TRANSCRIBE => self.s.transcribe_hint.into(),
            TRANSLATE => self.s.translate_hint.into(),
            SOUNDS => self.s.sounds_hint.into(),
            _ => mode.instruction.clone().unwrap_or_default(),
        }
    }

    /// Which is popped up from a mode's button, and stands in the settings.
    pub(super) fn mode_menu_ui(&mut self, ui: &mut Ui, mode: &Mode) {
        let s = self.s;
        ui.set_min_width(220.0);
        let mut bias = mode.eagerness;
        let slider = egui::Slider::new(&mut bias, -EAGER..=EAGER).step_by(0.5).text(s.eagerness);
        let response = ui.add(slider).on_hover_text(s.eagerness_hint);
        if response.changed() {
            self.set_eagerness(&mode.name, bias);
        }
        if mode.name == TRANSLATE {
            let mut language = language_of(&self.settings.modes);
            ui.horizontal(|ui| {
                ui.label(s.into);
                let zh = ui.radio_value(&mut language, Language::Chinese, s.chinese).clicked();
                let starter = self.settings.model == ModelChoice::Starter;
                let english = ui.add_enabled(!starter, egui::RadioButton::new(language == Language::English, s.english));
                let english = english.on_disabled_hover_text(s.starter_chinese).clicked();
                if english || zh {
                    self.translate_to(if english { Language::English } else { language });
                }
            });
        }
    }

    pub(super) fn set_eagerness(&mut self, name: &str, bias: f32) {
        self.session.engine.send(Command::Eagerness { mode: name.to_owned(), bias });
        for mode in self.settings.modes.iter_mut().filter(|m| m.name == name) {
            mode.eagerness = bias;
        }
        self.save(&SavedChoice::Eagerness(name.to_owned(), bias));
    }

    fn translate_to(&mut self, language: Language) {
        self.session.engine.send(Command::TranslateTo(language));
        self.take_modes(language);
        self.save(&SavedChoice::TranslateTo(language));
    }

    /// Reads the modes as they are defined now, as the engine does.
    pub(super) fn take_modes(&mut self, language: Language) {
        let Ok(mut modes) = all_modes(&self.settings.paths, language) else { return };
        for mode in &mut modes {
            if let Some(known) = self.settings.modes.iter().find(|known| known.name == mode.name) {
                mode.eagerness = known.eagerness;
            }
        }
        self.settings.modes = modes;
    }

    /// The tools, from the right.
    fn tools_ui(&mut self, ui: &mut Ui, transcript: &Transcript) {
        let s = self.s;
        if icons::button(ui, Icon::Settings, s.settings, s.settings_hint).clicked() {
            self.view.settings_open = !self.view.settings_open;
        }
        if icons::button(ui, Icon::Captions, s.captions, s.captions_hint).clicked() {
            self.view.captions_open = !self.view.captions_open;
        }
        if icons::button(ui, Icon::History, s.history, s.history_hint).clicked() {
            self.open_history(ui.ctx());
        }
        if icons::button(ui, Icon::Export, s.export, s.export_hint).clicked() {
            self.open_export();
        }
        if icons::button(ui, Icon::Forget, s.forget, s.forget_hint).clicked() {
            self.view.forgetting = true;
        }
        self.first_tools_ui(ui, transcript);
        self.voice_menu_ui(ui, transcript);
        self.view_menu_ui(ui);
    }

    /// What must be at hand at any moment, from the right.
    fn first_tools_ui(&self, ui: &mut Ui, transcript: &Transcript) {
        let s = self.s;
        if icons::button(ui, Icon::Cut, s.cut, s.cut_hint).clicked() {
            self.session.engine.send(Command::CutReply);
        }
        let (icon, label) = if transcript.paused { (Icon::Play, s.resume) } else { (Icon::Pause, s.pause) };
        if icons::button(ui, icon, label, s.pause_hint).clicked() {
            self.toggle_pause(transcript);
        }
    }

    /// The tools of a small window, from the right: the rarer ones stand in a menu.
    fn few_tools_ui(&mut self, ui: &mut Ui, transcript: &Transcript) {
        let s = self.s;
        let all = icons::button(ui, Icon::All, s.more, s.more_hint);
        egui::Popup::menu(&all).show(|ui| {
            ui.set_min_width(180.0);
            // A menu that is higher than the window is scrolled.
            let height = (ui.ctx().content_rect().height() - ABOVE_MENU).max(60.0);
            egui::ScrollArea::vertical().max_height(height).show(ui, |ui| self.menu_ui(ui, transcript));
        });
        self.first_tools_ui(ui, transcript);
    }

    fn menu_ui(&mut self, ui: &mut Ui, transcript: &Transcript) {
        let s = self.s;
        if theme::is_low(ui.ctx()) && !modes_in_bar(ui) {
            self.mode_toggles_ui(ui, transcript);
            ui.separator();
        }
        self.source_ui(ui, transcript);
        self.voice_menu_ui(ui, transcript);
        self.view_menu_ui(ui);
        ui.separator();
        if ui.button(s.history).on_hover_text(s.history_hint).clicked() {
            self.open_history(ui.ctx());
        }
        if ui.button(s.export).on_hover_text(s.export_hint).clicked() {
            self.open_export();
        }
        if ui.button(s.captions).on_hover_text(s.captions_hint).clicked() {
            self.view.captions_open = !self.view.captions_open;
        }
        if ui.button(s.forget).on_hover_text(s.forget_hint).clicked() {
            self.view.forgetting = true;
        }
        if ui.button(s.settings).on_hover_text(s.settings_hint).clicked() {
            self.view.settings_open = !self.view.settings_open;
        }
    }

    /// The modes in a menu, two in a row; their options stand in the settings.
    fn mode_toggles_ui(&mut self, ui: &mut Ui, transcript: &Transcript) {
        for pair in self.settings.modes.clone().chunks(2) {
            ui.horizontal(|ui| {
                for mode in pair {
                    let on = transcript.modes.contains(&mode.name);
                    let toggle = Button::selectable(on, self.s.mode(&mode.name)).frame_when_inactive(true).min_size(vec2(86.0, 0.0));
                    if ui.add(toggle).on_hover_text(self.hint(mode)).clicked() {
                        self.toggle_mode(mode, transcript);
                    }
                }
            });
        }
    }

    fn view_menu_ui(&mut self, ui: &mut Ui) {
        let s = self.s;
        ui.menu_button(s.view, |ui| {
            for panel in [Panel::Transcript, Panel::Translation, Panel::Conversation, Panel::Sounds] {
                let mut shown = !self.is_hidden(panel);
                if ui.checkbox(&mut shown, self.panel_title(panel)).clicked() {
                    self.toggle_panel(panel);
                }
            }
        })
        .response
        .on_hover_text(s.show_panel);
    }

    pub(super) fn health_ui(&mut self, ui: &mut Ui, transcript: &Transcript) {
        let s = self.s;
        let readings = self.session.engine.meters().read();
        let pace = if readings.lag_secs > LATE_SECS { fill(s.behind, format_args!("{:.0}", readings.lag_secs)) } else { s.on_time.into() };
        // Before the first chunk, and while silence is kept from the model, there is nothing to say of it.
        let health = if readings.chunk_ms >= LEAST_MS { format!("{}, {pace}", fill(s.chunk_cost, cost(readings.chunk_ms))) } else { pace };
        let audio = if readings.recording { String::new() } else { format!(" · {}", s.audio_not) };
        let privacy = format!("{} · {}{audio}", s.privacy, self.kept());
        let recording = |ui: &mut Ui| {
            if ui.ctx().content_rect().width() < ROOMY {
                self.advice_ui(ui);
            }
            if readings.recording {
                ui.label(RichText::new(format!("• {}", s.recording)).color(theme::states(ui.visuals()).fault).small());
            }
        };
        if theme::is_compact(ui.ctx()) {
            // One line with what is said elsewhere in a larger window; the newest notice matters most.
            ui.horizontal(|ui| {
                recording(ui);
                let notice = transcript.notices.back().map(|notice| format!("{}  {} · ", self.session.heard.time(notice.at), notice.text));
                let text = format!("{}{} · {} · {privacy} · {health}", notice.unwrap_or_default(), transcript.source, transcript.model);
                ui.add(egui::Label::new(RichText::new(&text).weak().small()).truncate()).on_hover_text(&text);
            });
            return;
        }
        ui.horizontal_wrapped(|ui| {
            recording(ui);
            ui.label(RichText::new(format!("{privacy} · {health}")).weak().small());
            if let Some(notice) = transcript.notices.back() {
                ui.separator();
                let text = format!("{}  {}", self.session.heard.time(notice.at), notice.text);
                ui.add(egui::Label::new(RichText::new(&text).small()).truncate()).on_hover_text(&text);
            }
        });
    }
}

/// Width of the meter in a window so wide.
const fn meter_width(room: f32) -> f32 {
    if room < NARROW_WORDS { 50.0 } else { 84.0 }
}

/// Whether a low window has the modes in its bar.
fn modes_in_bar(ui: &Ui) -> bool {
    theme::is_low(ui.ctx()) && ui.ctx().content_rect().width() >= LOW_ROW
}

/// What a chunk costs, in seconds with as many digits as say something.
fn cost(ms: f32) -> String {
    if ms < 9.5 { format!("{:.3}", ms / 1e3) } else { format!("{:.2}", ms / 1e3) }
}

/// The text, cut after `most` characters.
fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}
