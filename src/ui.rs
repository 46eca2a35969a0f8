//! The window: reads what the engine reports, sends commands, owns no truth.
//!
//! [`fold`] takes the events on a thread of its own; everything else here paints what it has gathered and sends commands.
//! What the user does with the view of it ([`view::View`]) and remembers of it ([`WindowPrefs`]) is all the state there is. Not
//! responsible for anything that is heard or decided.

mod captions;
mod dialogs;
mod display;
mod fold;
mod history_ui;
mod icons;
mod instance;
mod list;
mod models_ui;
mod modes_ui;
mod notify;
mod panels;
mod past;
mod session;
mod settings_ui;
mod spoken;
mod status;
mod strings;
mod strip;
mod theme;
mod view;
mod voice_ui;
mod welcome;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use egui::{Key, KeyboardShortcut, Modifiers, Panel, RichText};

use crate::config::prefs::{SavedChoice, save_choice};
use crate::config::{HistoryPrefs, Mode, Settings, WindowPrefs, settings_problems};
use crate::engine::EngineHandle;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::Command;
use crate::transcript::Transcript;
pub use display::resumed_settings;
pub use instance::SingleInstance;
use session::Session;
use settings_ui::outcome_ui;
use strings::Strings;
use view::View;

/// How often the level meter moves while there is something to hear: 10 a second.
const METER: Duration = Duration::from_millis(100);
/// Keys of the modes, in their order.
const MODE_KEYS: [Key; 9] = [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7, Key::Num8, Key::Num9];

const EXPORT: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::E);
const HISTORY: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::F);
const SETTINGS: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::Comma);

/// Opens the window and shows `engine` until it is closed. Where its display goes away, listening goes on without a window until
/// there is one again ([`display`]).
///
/// # Errors
/// When no window can be opened, for instance because there is no display.
pub fn run(engine: EngineHandle, settings: Settings, instance: &SingleInstance) -> Result<()> {
    let (keep, _) = HistoryPrefs::read(&settings.paths);
    let session = Arc::new(Session::start(engine, &settings, keep));
    let stood = display::Stood::before();
    stood.restore(&session);
    display::guard(&session);
    let why = match catch_unwind(AssertUnwindSafe(|| show(&session, settings, instance))) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error,
        // The window's own fault, and not the display's.
        Err(panic) if display::is_there() => resume_unwind(panic),
        Err(_) => Error::new(ErrorKind::Display, "the window's display is gone").with_remedy(Remedy::StartDesktopSession),
    };
    if display::CAN_COME_BACK && (session.heard.was_shown() || stood.was_without()) {
        return Err(display::go_on_without(&session));
    }
    Err(why)
}

fn show(session: &Arc<Session>, settings: Settings, instance: &SingleInstance) -> Result<()> {
    let icon = egui::IconData { rgba: view::icon_rgba(), width: view::ICON, height: view::ICON };
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title(strings::TITLE)
            .with_app_id("hearken")
            .with_icon(icon)
            .with_min_inner_size([320.0, 240.0])
            .with_inner_size([1_180.0, 740.0]),
        ..Default::default()
    };
    let open = |cc: &eframe::CreationContext<'_>| {
        let ctx = cc.egui_ctx.clone();
        instance.listen(move |from| {
            for command in [egui::ViewportCommand::Minimized(false), egui::ViewportCommand::Visible(true), egui::ViewportCommand::Focus] {
                ctx.send_viewport_cmd_to(egui::ViewportId::ROOT, command);
            }
            ctx.request_repaint_of(egui::ViewportId::ROOT);
            display::offer(from);
        });
        HearkenApp::over(Arc::clone(session), settings, &cc.egui_ctx)
    };
    eframe::run_native("hearken", options, Box::new(|cc| Ok(Box::new(open(cc)))))
        .map_err(|e| Error::new(ErrorKind::Display, format!("no window can be opened ({e})")).with_remedy(Remedy::StartDesktopSession))
}

/// The window's state: what the user did with the view of what was reported.
pub struct HearkenApp {
    session: Arc<Session>,
    settings: Settings,
    prefs: WindowPrefs,
    saved: WindowPrefs,
    /// What is kept, as the user has it, and as the recorder was told.
    keep: HistoryPrefs,
    saved_keep: HistoryPrefs,
    view: View,
    models: models_ui::Page,
    s: &'static Strings,
}

impl std::fmt::Debug for HearkenApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HearkenApp").finish_non_exhaustive()
    }
}

impl HearkenApp {
    /// A window onto `engine`, which was started with `settings`. The session ends with it.
    #[must_use]
    pub fn new(engine: EngineHandle, settings: Settings, ctx: &egui::Context) -> Self {
        let (keep, _) = HistoryPrefs::read(&settings.paths);
        let session = Session::start(engine, &settings, keep);
        Self::over(Arc::new(session), settings, ctx)
    }

    /// A window onto a session, which was started with `settings`.
    fn over(session: Arc<Session>, settings: Settings, ctx: &egui::Context) -> Self {
        let (prefs, _) = WindowPrefs::read(&settings.paths);
        let (keep, _) = HistoryPrefs::read(&settings.paths);
        let mut messages = settings_problems(&settings.paths);
        theme::apply(ctx, prefs.theme);
        theme::look_for_system_font(ctx);
        ctx.set_zoom_factor(prefs.zoom);
        session.heard.show_in(ctx);
        let s = strings::table(prefs.language);
        let models = models_ui::Page::new(&settings.paths);
        messages.extend(session.trouble());
        // The engine listens with the starter instead.
        messages.extend(models.missing(&settings.model));
        let stood = display::Stood::before();
        if stood.was_without() {
            messages.push((if keep.keep { s.display_back } else { s.display_back_unkept }).to_owned());
        }
        let view = View { messages, do_not_disturb: stood.do_not_disturb, ..View::default() };
        let app = Self { session, models, settings, saved: prefs.clone(), prefs, keep, saved_keep: keep, view, s };
        if stood.do_not_disturb {
            app.tell_voice();
        }
        app.tell_alerts();
        app
    }

    /// Paints the window.
    pub fn ui(&mut self, ui: &mut egui::Ui) {
        let heard = Arc::clone(&self.session.heard);
        let transcript = heard.transcript();
        self.keys(ui, &transcript);
        self.dropped_files(ui);
        let above = theme::margin(ui.ctx());
        let bar = egui::Frame::side_top_panel(ui.style()).inner_margin(egui::Margin::symmetric(12, above));
        let middle = egui::Frame::central_panel(ui.style()).inner_margin(egui::Margin::symmetric(12, above));
        Panel::top("status").frame(bar).show(ui, |ui| self.status_ui(ui, &transcript));
        self.messages_ui(ui);
        Panel::top("strip").frame(bar).show(ui, |ui| self.strip_ui(ui, &transcript));
        Panel::bottom("health").frame(bar).show(ui, |ui| self.health_ui(ui, &transcript));
        egui::CentralPanel::default().frame(middle).show(ui, |ui| self.panels_ui(ui, &transcript));
        self.dialogs_ui(ui, &transcript);
        let readings = self.session.engine.meters().read();
        let deaf = transcript.no_input || transcript.paused || transcript.finished || transcript.model.is_empty();
        let sounding = transcript.quiet_since.is_none() && !deaf;
        drop(transcript);
        self.settings_window(ui);
        self.models_window(ui);
        self.history_window(ui);
        self.take_history_news(ui.ctx());
        self.captions_ui(ui);
        self.remember(ui);
        // A closed gate moves nothing, so nothing is painted until the next event.
        if sounding || readings.loading {
            ui.ctx().request_repaint_after(METER);
        }
    }

    fn keys(&mut self, ui: &egui::Ui, transcript: &Transcript) {
        if ui.input_mut(|i| i.consume_shortcut(&EXPORT)) {
            self.open_export();
        }
        if ui.input_mut(|i| i.consume_shortcut(&SETTINGS)) {
            self.view.settings_open = !self.view.settings_open;
        }
        if ui.input_mut(|i| i.consume_shortcut(&HISTORY)) {
            self.open_history(ui.ctx());
        }
        let pressed = |key| ui.input(|i| i.key_pressed(key) && i.modifiers.is_none());
        if pressed(Key::F11) {
            self.view.captions_open = !self.view.captions_open;
        }
        if pressed(Key::Escape) {
            // The first card closes itself.
            let closed = !self.prefs.welcomed || self.models.close() || self.view.close_dialog();
            if !closed {
                self.session.engine.send(Command::CutReply);
            }
        }
        // Keys that are letters or the space bar belong to whatever has the focus.
        if ui.ctx().memory(|m| m.focused().is_some()) {
            return;
        }
        if pressed(Key::Space) {
            self.toggle_pause(transcript);
        }
        for (mode, _) in self.settings.modes.clone().iter().zip(MODE_KEYS).filter(|(_, key)| pressed(*key)) {
            self.toggle_mode(mode, transcript);
        }
    }

    /// What the user should read once: what is wrong with the settings.
    fn messages_ui(&mut self, ui: &mut egui::Ui) {
        if self.view.messages.is_empty() {
            return;
        }
        let frame = egui::Frame::side_top_panel(ui.style()).inner_margin(egui::Margin::symmetric(12, 6)).fill(ui.visuals().faint_bg_color);
        Panel::top("messages").frame(frame).show(ui, |ui| {
            let colour = theme::states(ui.visuals()).urgent;
            // However much there is to say, most of the window stays what it is.
            let most = ui.ctx().content_rect().height() / 4.0;
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Min), |ui| {
                let dismissed = ui.button(self.s.dismiss).clicked();
                ui.with_layout(egui::Layout::top_down(egui::Align::Min), |ui| {
                    egui::ScrollArea::vertical().max_height(most).show(ui, |ui| {
                        for text in &self.view.messages {
                            ui.label(RichText::new(text).color(colour));
                        }
                    });
                });
                if dismissed {
                    self.view.messages.clear();
                }
            });
        });
    }

    fn toggle_mode(&mut self, mode: &Mode, transcript: &Transcript) {
        let name = mode.name.clone();
        let mut on = transcript.modes.clone();
        if on.contains(&name) {
            on.retain(|other| *other != name);
            self.session.engine.send(Command::ModeOff(name));
        } else {
            on.push(name.clone());
            self.session.engine.send(Command::ModeOn(name));
        }
        self.save(&SavedChoice::ModesOn(on));
    }

    fn toggle_pause(&self, transcript: &Transcript) {
        self.session.engine.send(if transcript.paused { Command::Resume } else { Command::Pause });
    }

    /// Saves a choice about the session; what hinders that is said once.
    fn save(&mut self, choice: &SavedChoice) {
        if let Err(error) = save_choice(&self.settings.paths, choice) {
            self.say_unsaved(&error);
        }
    }

    fn say_unsaved(&mut self, error: &Error) {
        let text = strings::fill(self.s.not_saved, error);
        if !self.view.messages.contains(&text) {
            self.view.messages.push(text);
        }
    }

    /// Saves what the window remembers once nothing is being dragged any more.
    fn remember(&mut self, ui: &egui::Ui) {
        self.prefs.zoom = ui.ctx().zoom_factor();
        if ui.input(|i| i.pointer.any_down()) {
            return;
        }
        self.remember_keep();
        if self.prefs == self.saved {
            return;
        }
        self.saved = self.prefs.clone();
        self.s = strings::table(self.prefs.language);
        self.tell_alerts();
        if let Err(error) = self.prefs.save(&self.settings.paths) {
            self.say_unsaved(&error);
        }
    }

    fn tell_alerts(&self) {
        let mut alerts = self.session.heard.alerts();
        alerts.on = self.prefs.notify;
        alerts.do_not_disturb = self.view.do_not_disturb;
        alerts.marked.clone_from(&self.prefs.marked_sounds);
        alerts.titles = [self.s.urgent_title, self.s.sound_title];
    }
}

impl eframe::App for HearkenApp {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        Self::ui(self, ui);
    }
}
