//! The window: reads what the engine reports, sends commands, owns no truth.
//!
//! A thread of its own folds events into the [`Transcript`] and asks for a repaint, so a hidden window never holds the
//! engine up and an idle one paints nothing. Not responsible for anything that is heard or decided.

mod panels;
mod strings;
mod strip;
mod theme;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use egui::{Button, Key, Panel, RichText};

use crate::config::{Mode, Panel as Shows, Settings};
use crate::engine::EngineHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::Command;
use crate::transcript::{Shown, Transcript};

/// How often the level meter moves while there is something to hear: 10 a second.
const METER: Duration = Duration::from_millis(100);
/// Behind by more than this is worth a word.
const LATE_SECS: f32 = 2.0;

/// Opens the window and shows `engine` until it is closed.
///
/// # Errors
/// When no window can be opened, for instance because there is no display.
pub fn run(engine: EngineHandle, settings: Settings) -> Result<()> {
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default().with_title(strings::TITLE).with_app_id("hearken").with_inner_size([1_100.0, 700.0]),
        ..Default::default()
    };
    let no_window =
        |e: String| Error::new(ErrorKind::Internal, format!("no window can be opened ({e}); `hearken listen` listens without one"));
    eframe::run_native("hearken", options, Box::new(|cc| Ok(Box::new(HearkenApp::new(engine, settings.modes, &cc.egui_ctx)))))
        .map_err(|e| no_window(e.to_string()))
}

/// The window's state: what was reported, and what the user did with the view of it.
pub struct HearkenApp {
    engine: EngineHandle,
    modes: Vec<Mode>,
    transcript: Arc<Mutex<Transcript>>,
    /// The remark that the user has read.
    dismissed: Option<String>,
}

impl std::fmt::Debug for HearkenApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HearkenApp").finish_non_exhaustive()
    }
}

impl HearkenApp {
    /// A window onto `engine` with a toggle for each of `modes`.
    #[must_use]
    pub fn new(engine: EngineHandle, modes: Vec<Mode>, ctx: &egui::Context) -> Self {
        theme::apply(ctx);
        let shown: BTreeMap<String, Shown> = modes.iter().map(|m| (m.name.clone(), shown(m.panel))).collect();
        let transcript = Arc::new(Mutex::new(Transcript::new(shown)));
        let (events, folded, ctx) = (engine.events().clone(), Arc::clone(&transcript), ctx.clone());
        let fold = move || {
            for event in events {
                folded.lock().unwrap_or_else(PoisonError::into_inner).apply(&event);
                ctx.request_repaint();
            }
        };
        let view = std::thread::Builder::new().name("hearken-view".into()).spawn(fold);
        let remark = view.err().map(|e| format!("Nothing can be shown: a thread cannot be started ({e})."));
        transcript.lock().unwrap_or_else(PoisonError::into_inner).remark = remark;
        Self { engine, modes, transcript, dismissed: None }
    }

    /// Paints the window.
    pub fn ui(&mut self, ui: &mut egui::Ui) {
        let folded = Arc::clone(&self.transcript);
        let transcript = folded.lock().unwrap_or_else(PoisonError::into_inner);
        self.keys(ui, &transcript);
        Panel::top("status").show(ui, |ui| self.status_ui(ui, &transcript));
        if transcript.remark.is_some() && transcript.remark != self.dismissed {
            Panel::top("notice").show(ui, |ui| self.notice_ui(ui, &transcript));
        }
        Panel::top("strip").show(ui, |ui| strip::strip_ui(ui, &transcript));
        Panel::bottom("health").show(ui, |ui| self.health_ui(ui, &transcript));
        egui::CentralPanel::default().show(ui, |ui| panels::panels_ui(ui, &transcript, &self.modes));
        let readings = self.engine.meters().read();
        if readings.gate_open && !transcript.no_input && !transcript.paused && !transcript.finished {
            ui.ctx().request_repaint_after(METER);
        }
    }

    fn keys(&self, ui: &egui::Ui, transcript: &Transcript) {
        let pressed = |key| ui.input(|i| i.key_pressed(key));
        if ui.ctx().memory(|m| m.focused().is_none()) && pressed(Key::Space) {
            self.toggle_pause(transcript);
        }
        if pressed(Key::Escape) {
            self.engine.send(Command::CutReply);
        }
        for (mode, key) in self.modes.iter().zip([Key::Num1, Key::Num2, Key::Num3, Key::Num4]) {
            if pressed(key) {
                self.toggle_mode(mode, transcript);
            }
        }
    }

    fn status_ui(&self, ui: &mut egui::Ui, transcript: &Transcript) {
        ui.horizontal_wrapped(|ui| {
            let (text, colour) = self.state(transcript, ui.visuals());
            // The widest words fix the place, so that nothing beside them jumps.
            ui.add_sized([150.0, 24.0], egui::Label::new(RichText::new(text).color(colour).strong().size(theme::LARGE)));
            self.meter_ui(ui, transcript);
            ui.label(RichText::new(&transcript.model).weak()).on_hover_text(strings::MODEL);
            ui.separator();
            for (number, mode) in self.modes.iter().enumerate() {
                let on = transcript.modes.contains(&mode.name);
                let hover = format!("{} ({})", mode.instruction.as_deref().unwrap_or(strings::DIALOG_HINT), number + 1);
                if ui.add(Button::selectable(on, strings::mode(&mode.name))).on_hover_text(hover).clicked() {
                    self.toggle_mode(mode, transcript);
                }
            }
            ui.separator();
            let label = if transcript.paused { strings::RESUME } else { strings::PAUSE };
            if ui.button(label).on_hover_text(strings::PAUSE_HINT).clicked() {
                self.toggle_pause(transcript);
            }
            if ui.button(strings::FORGET).on_hover_text(strings::FORGET_HINT).clicked() {
                self.engine.send(Command::Forget);
            }
        });
    }

    fn meter_ui(&self, ui: &mut egui::Ui, transcript: &Transcript) {
        let readings = self.engine.meters().read();
        // -60 dBFS is a quiet room, 0 the loudest there is.
        let share = if transcript.paused { 0.0 } else { ((readings.level_dbfs + 60.0) / 60.0).clamp(0.0, 1.0) };
        let clipped = readings.peak >= 1.0;
        let bar = egui::ProgressBar::new(share).desired_width(90.0).fill(if clipped { theme::FAULT } else { theme::LISTENING });
        let response = ui.add(bar).on_hover_text(if clipped { strings::CLIPPING } else { strings::LEVEL });
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ProgressIndicator, true, strings::LEVEL));
    }

    fn state(&self, transcript: &Transcript, visuals: &egui::Visuals) -> (String, egui::Color32) {
        let readings = self.engine.meters().read();
        if transcript.finished {
            (strings::ENDED.into(), theme::FAULT)
        } else if transcript.no_input {
            (strings::NO_INPUT.into(), theme::FAULT)
        } else if transcript.paused {
            (strings::PAUSED.into(), theme::FAULT)
        } else if readings.loading {
            (strings::LOADING.into(), theme::quiet(visuals))
        } else if readings.lag_secs > LATE_SECS {
            (strings::behind(readings.lag_secs), theme::FAULT)
        } else if readings.replying {
            (strings::REPLYING.into(), theme::REPLYING)
        } else if let Some(since) = transcript.quiet_since {
            (strings::quiet(since), theme::quiet(visuals))
        } else {
            (strings::LISTENING.into(), theme::LISTENING)
        }
    }

    fn notice_ui(&mut self, ui: &mut egui::Ui, transcript: &Transcript) {
        ui.horizontal_wrapped(|ui| {
            if let Some(remark) = &transcript.remark {
                ui.label(RichText::new(remark).color(theme::URGENT));
            }
            if ui.button(strings::DISMISS).clicked() {
                self.dismissed.clone_from(&transcript.remark);
            }
        });
    }

    fn health_ui(&self, ui: &mut egui::Ui, transcript: &Transcript) {
        ui.horizontal_wrapped(|ui| {
            let readings = self.engine.meters().read();
            let pace = if readings.lag_secs > LATE_SECS { strings::behind(readings.lag_secs) } else { strings::ON_TIME.into() };
            ui.label(RichText::new(format!("{} · {:.2} s a chunk, {pace}", strings::PRIVACY, readings.chunk_ms / 1e3)).weak());
            if let Some(notice) = transcript.notices.back() {
                ui.separator();
                ui.label(RichText::new(format!("{}  {}", notice.at, notice.text)).color(theme::URGENT));
            }
        });
    }

    fn toggle_mode(&self, mode: &Mode, transcript: &Transcript) {
        let name = mode.name.clone();
        self.engine.send(if transcript.modes.contains(&mode.name) { Command::ModeOff(name) } else { Command::ModeOn(name) });
    }

    fn toggle_pause(&self, transcript: &Transcript) {
        self.engine.send(if transcript.paused { Command::Resume } else { Command::Pause });
    }
}

impl eframe::App for HearkenApp {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        Self::ui(self, ui);
    }
}

const fn shown(panel: Shows) -> Shown {
    match panel {
        Shows::Conversation => Shown::Conversation,
        Shows::Transcript => Shown::Transcript,
        Shows::Translation => Shown::Translation,
        Shows::Sounds => Shown::Sounds,
    }
}
