//! The window: shows what the engine reports and sends commands to it. The architecture is in `src/ui/README.md`.
//!
//! `event_thread` takes the events on a thread of its own. Each part of the window is a function or a type that paints its inputs
//! and pushes the user's intents to `Actions`; [`HearkenApp`] carries them out after the frame. The window decides nothing about
//! audio or replies; its state is the user's view of the session and the [`WindowPrefs`].

mod actions;
mod alerts;
mod announce;
mod app_icon;
mod background;
mod captions;
mod choices;
mod clip_synthesis;
mod confirm;
mod controls;
mod conversation;
mod conversation_rule;
mod desktop_motion;
mod device_menu;
mod dialogs;
mod display_loss;
mod empty_states;
mod event_thread;
mod export_dialog;
mod file_actions;
mod file_answers;
mod file_dialog;
mod file_queue;
mod file_session;
mod file_sheet;
mod first_minute;
mod fonts;
mod footer;
mod frame;
mod history_data;
mod history_list;
mod history_session;
mod history_window;
mod icons;
mod input_level;
mod installed_fonts;
mod keys;
mod messages;
mod mode_controls;
mod mode_editor;
mod models_card;
mod models_page;
mod models_worker;
mod news;
mod notify;
mod overlay;
mod panel_lines;
mod panels;
mod pill;
mod ribbon;
mod running_session;
mod session_link;
mod session_state;
mod settings_about;
mod settings_rows;
mod settings_sections;
mod settings_window;
mod sheet;
mod signals;
mod single_instance;
mod state_mark;
mod status_bar;
mod strings;
mod strip;
mod theme;
mod tokens;
mod toolbar;
mod tray;
mod undo;
mod urgent_banner;
mod view_menu;
mod virtual_list;
mod voice_ui;
mod welcome;
mod zoom;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use egui::Panel as EguiPanel;

use crate::audio::DeviceDirection;
use crate::config::{HistoryPrefs, Settings, WindowPrefs, settings_problems};
use crate::engine::EngineHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{Command, ModelChoice};
use actions::{Action, Actions};
use alerts::DoNotDisturb;
pub use display_loss::starting_settings;
use empty_states::{EmptyState, empty_state, empty_state_ui};
pub use file_dialog::{FileAnswer, FileQuestion};
use first_minute::{FirstMinute, Progress};
use frame::FrameData;
use running_session::RunningSession;
pub use single_instance::SingleInstance;
use strings::Strings;

/// Interval at which the window is repainted while sound passes the quiet gate or a model is loading, to keep the status bar and
/// its level meter current.
const METER_INTERVAL: Duration = Duration::from_millis(100);
/// Default width and height of the main window, in points.
const DEFAULT_SIZE: [f32; 2] = [1_180.0, 740.0];
/// Smallest width and height of the main window, in points.
const MIN_SIZE: [f32; 2] = [320.0, 240.0];
/// Opens the window on `engine`, which was started with `settings`, and returns when the user closes the window and the session
/// has ended. If the display is lost on Linux, listening goes on without a window until there is a display again; then this
/// process executes itself anew.
///
/// # Errors
/// When no window can be opened, for instance because there is no display, or the display was lost for good.
pub fn run(engine: EngineHandle, settings: Settings, instance: &SingleInstance) -> Result<()> {
    let (keep, _) = HistoryPrefs::read(&settings.paths);
    let session = Arc::new(RunningSession::start(engine, &settings, keep));
    let resumed = display_loss::ResumeState::from_environment();
    display_loss::guard(&session);
    let prefs = WindowPrefs::read(&settings.paths).0;
    let tray = tray::Tray::start(session_link::SessionLink::of(&session), strings::table(prefs.language));
    signals::end_at_a_signal(&session, &tray);
    let data = Arc::clone(&session.data);
    instance.listen(move |from| {
        data.show_window();
        display_loss::offer_display(from);
    });
    if settings.hidden && prefs.welcomed && !display_loss::replaces_another() && !background::wait_in_tray(&session, &tray) {
        return Ok(());
    }
    let error = match catch_unwind(AssertUnwindSafe(|| show(&session, settings, &tray))) {
        // Wayland cannot hide the window, so it has ended.
        Ok(Ok(())) if session.data.is_window_hidden() => return background::run_in_tray(&session, &tray),
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error,
        // The display is there, so the panic is a fault of the window.
        Err(panic) if display_loss::is_available() => resume_unwind(panic),
        Err(_) => Error::new(ErrorKind::Display, "the window's display is gone"),
    };
    if display_loss::CAN_RETURN && (session.data.was_shown() || resumed.follows_a_loss()) {
        return Err(display_loss::run_without_window(&session));
    }
    Err(error)
}

fn show(session: &Arc<RunningSession>, settings: Settings, tray: &tray::Tray) -> Result<()> {
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title(strings::TITLE)
            .with_app_id("hearken")
            .with_icon(app_icon::icon())
            // The overlays get their transparency from the main window, which paints all of its own ground.
            .with_transparent(true)
            .with_min_inner_size(MIN_SIZE)
            .with_inner_size(DEFAULT_SIZE),
        ..Default::default()
    };
    let open = |cc: &eframe::CreationContext<'_>| {
        tray.wake(&cc.egui_ctx);
        HearkenApp::with_session(Arc::clone(session), settings, tray.clone(), &cc.egui_ctx)
    };
    eframe::run_native("hearken", options, Box::new(|cc| Ok(Box::new(open(cc)))))
        .map_err(|e| Error::new(ErrorKind::Display, format!("no window can be opened ({e})")))
}

/// The main window: the running session, the preferences, and the state of each part of the window between frames.
pub struct HearkenApp {
    session: Arc<RunningSession>,
    settings: Settings,
    prefs: WindowPrefs,
    /// Preferences as stored on the disk; `prefs` are saved when they differ.
    saved_prefs: WindowPrefs,
    history_prefs: HistoryPrefs,
    /// History preferences as stored on the disk; `history_prefs` are saved when they differ.
    saved_history_prefs: HistoryPrefs,
    /// Texts in the language of the window.
    s: &'static Strings,
    messages: messages::Messages,
    pending: choices::PendingChoices,
    told: news::Told,
    do_not_disturb: DoNotDisturb,
    desktop_motion: desktop_motion::DesktopMotion,
    bar: status_bar::StatusBar,
    panels: panels::PanelsState,
    captions: captions::CaptionsWindow,
    pill: pill::Pill,
    background: background::Background,
    /// Open export dialog; `None` while closed.
    export: Option<export_dialog::ExportDialog>,
    /// Direction of the devices that the open dialog offers; `None` while that dialog is closed.
    device_dialog: Option<DeviceDirection>,
    /// True once the user has put the first card away without starting.
    welcome_postponed: bool,
    /// First minute after the consent; `None` before it, and once it is over.
    first_minute: Option<FirstMinute>,
    /// File dialogs of the system.
    files: file_dialog::FileDialogs,
    /// File of the last export.
    last_export: Option<PathBuf>,
    /// Model whose download has ended last, unless it was chosen.
    downloaded: Option<ModelChoice>,
    settings_window: settings_window::SettingsWindow,
    history: history_window::HistoryWindow,
    models: models_page::ModelsPage,
    file_sheet: file_sheet::FileSheet,
    /// Number of the newest file that was heard when others were added, until the sheet opens for the first of them.
    sheet_waits_for: Option<usize>,
}

impl std::fmt::Debug for HearkenApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HearkenApp").finish_non_exhaustive()
    }
}

impl HearkenApp {
    /// Returns the window on `engine`, which was started with `settings`, to be painted in `ctx`; for tests and benchmarks.
    /// Dropping the window ends the session.
    #[must_use]
    pub fn new(engine: EngineHandle, settings: Settings, ctx: &egui::Context) -> Self {
        let (keep, _) = HistoryPrefs::read(&settings.paths);
        let session = RunningSession::start(engine, &settings, keep);
        let tray =
            tray::Tray::hidden(session_link::SessionLink::of(&session), strings::table(WindowPrefs::read(&settings.paths).0.language)).0;
        let mut app = Self::with_session(Arc::new(session), settings, tray, ctx);
        // Nobody is there to answer a dialog of the system.
        app.answer_file_dialogs(|_| FileAnswer::Missing);
        app
    }

    /// Returns the window on `session`, which was started with `settings`, with the saved preferences applied to `ctx`.
    fn with_session(session: Arc<RunningSession>, settings: Settings, tray: tray::Tray, ctx: &egui::Context) -> Self {
        let (prefs, _) = WindowPrefs::read(&settings.paths);
        let (history_prefs, _) = HistoryPrefs::read(&settings.paths);
        theme::apply(ctx, prefs.theme);
        theme::use_installed_fonts(ctx);
        zoom::start(ctx, prefs.zoom);
        session.data.show_in(ctx);
        if settings.save_audio.is_some() {
            // A window that fails to open records nothing.
            session.engine.send(Command::RecordSession);
        }
        let s = strings::table(prefs.language);
        let models = models_page::ModelsPage::of(&settings.paths, ctx);
        let resumed = display_loss::ResumeState::from_environment();
        let link = session_link::SessionLink::of(&session);
        let mut app = Self {
            captions: captions::CaptionsWindow::new(link.clone(), &prefs.captions, s),
            pill: pill::Pill::new(link, prefs.pill_place, s),
            background: background::Background::new(tray),
            session,
            saved_prefs: prefs.clone(),
            prefs,
            history_prefs,
            saved_history_prefs: history_prefs,
            s,
            messages: messages::Messages::default(),
            pending: choices::PendingChoices::default(),
            told: news::Told::default(),
            do_not_disturb: resumed.do_not_disturb,
            desktop_motion: desktop_motion::DesktopMotion::ask(ctx),
            bar: status_bar::StatusBar::default(),
            panels: panels::PanelsState::default(),
            export: None,
            device_dialog: None,
            welcome_postponed: false,
            first_minute: None,
            files: file_dialog::FileDialogs::default(),
            last_export: None,
            downloaded: None,
            settings_window: settings_window::SettingsWindow::default(),
            history: history_window::HistoryWindow::default(),
            models,
            file_sheet: file_sheet::FileSheet::default(),
            sheet_waits_for: None,
            settings,
        };
        let faults = settings_problems(&app.settings.paths);
        app.show_first_messages(&faults, resumed);
        if app.do_not_disturb == DoNotDisturb::On {
            app.send_voice();
        }
        app.update_alerts();
        app
    }

    /// Paints one frame of the window, carries out the user's intents, and saves changed preferences.
    pub fn ui(&mut self, ui: &mut egui::Ui) {
        theme::set_motion(ui.ctx(), self.prefs.motion, &self.desktop_motion);
        let mut actions = Actions::default();
        if let Some(news) = self.models.update(self.s) {
            self.end_download(news);
        }
        if !self.run_in_background(ui) {
            self.handle_keys(ui, &mut actions);
            let _ = zoom::handle_keys(ui);
            self.take_dropped_files(ui, &mut actions);
            self.paint(ui, &mut actions);
            self.drop_hint_ui(ui);
            self.closing_ui(ui);
        }
        self.perform_all(actions, ui.ctx());
        self.take_news(ui.ctx());
        self.take_file_news(ui.ctx());
        self.captions.show(ui, &mut self.prefs.captions, &self.prefs.muted_sounds, self.s);
        self.pill.show(ui, &mut self.prefs.pill_place, self.s);
        self.save_prefs(ui);
        self.report_autostart();
    }

    fn paint(&mut self, ui: &mut egui::Ui, actions: &mut Actions) {
        let session = Arc::clone(&self.session);
        let transcript = session.data.transcript();
        let readings = session.engine.meters().read();
        let download = self.models.download_text(ui.ctx());
        let files = session.files.view();
        let file = file_sheet::progress_text(&files);
        let data = FrameData {
            s: self.s,
            transcript: &transcript,
            session: &session.data,
            meters: session.engine.meters(),
            readings: &readings,
            settings: &self.settings,
            download: download.as_deref(),
            file: file.as_deref(),
            is_live: true,
        };
        let kept = footer::history_text(self.s, &session.history.status());
        let margin = egui::Margin::symmetric(theme::SIDE_MARGIN, theme::margin(ui.ctx()));
        let bar = egui::Frame::side_top_panel(ui.style()).inner_margin(margin);
        let middle = egui::Frame::central_panel(ui.style()).inner_margin(margin);
        let mut controls = toolbar::Controls { prefs: &mut self.prefs, do_not_disturb: self.do_not_disturb, actions };
        let below = self.bar.show(ui, &data, &mut controls);
        EguiPanel::top("strip").frame(bar).show(ui, |ui| ribbon::ribbon_ui(ui, &mut self.panels, &mut self.prefs, &data));
        EguiPanel::bottom("health").frame(bar).show(ui, |ui| footer::footer_ui(ui, &data, &kept, self.bar.advice(), actions));
        let empty = empty_state(&transcript, &self.prefs);
        let asks_consent = self.asks_consent();
        egui::CentralPanel::default().frame(middle).show(ui, |ui| match (empty, &mut self.first_minute) {
            // Nothing looks out from behind the card.
            _ if asks_consent => {}
            (Some(state), _) => empty_state_ui(ui, state, &data, &mut self.prefs, &mut self.bar.devices, actions),
            (None, Some(first)) => {
                if first.ui(ui, &data, &mut self.prefs, self.models.larger_model(), actions) == Progress::Ends {
                    actions.push(Action::EndFirstMinute);
                }
            }
            (None, None) => panels::panels_ui(ui, &mut self.panels, &mut self.prefs, &data, actions),
        });
        if asks_consent {
            welcome::welcome_ui(ui, &data, &mut self.history_prefs, &mut self.bar.devices, actions);
        } else {
            dialogs::devices_ui(ui, self.s, &mut self.device_dialog, &mut self.bar.devices, actions);
            export_dialog::export_ui(ui, &data, &mut self.export, actions);
        }
        let inputs = settings_window::SettingsInputs {
            prefs: &mut self.prefs,
            history_prefs: &mut self.history_prefs,
            captions_open: &mut self.captions.open,
            background: &mut self.background,
            devices: &mut self.bar.devices,
            kept: &kept,
            larger_model: self.models.larger_model(),
        };
        self.settings_window.show(ui, &data, inputs, actions);
        let askers = file_answers::Askers {
            files: &mut self.files,
            export: self.export.as_mut(),
            history: &mut self.history,
            settings: &mut self.settings_window,
        };
        file_answers::hand_out(ui, &data, askers, actions);
        self.models.show(ui, self.s, &transcript.model, actions);
        self.history.show(ui, self.s, &session.data.zone(), &kept, actions);
        self.file_sheet.show(ui, &data, &files, &mut self.prefs, actions);
        // The middle says the same in larger letters.
        let said = (empty == Some(EmptyState::WithoutInput)).then_some(messages::Topic::Input);
        self.messages.ui(ui, self.s, below, said, actions);
        request_next_frame(ui, &data);
    }

    /// Returns true while the first card asks for the consent to listen.
    const fn asks_consent(&self) -> bool {
        !self.prefs.welcomed && !self.welcome_postponed
    }

    /// Saves changed preferences on the disk, but only while no mouse button is down: a slider that is dragged passes values that
    /// nobody chose, and fewer days of history delete sessions. A failure to save becomes a message.
    fn save_prefs(&mut self, ui: &egui::Ui) {
        self.prefs.zoom = ui.ctx().zoom_factor();
        if ui.input(|i| i.pointer.any_down()) {
            return;
        }
        if self.history_prefs != self.saved_history_prefs {
            self.saved_history_prefs = self.history_prefs;
            self.session.history.set_prefs(self.history_prefs);
            self.session.files.set_history_prefs(self.history_prefs);
            self.report_unsaved(self.history_prefs.save(&self.settings.paths));
        }
        if self.prefs != self.saved_prefs {
            self.saved_prefs = self.prefs.clone();
            self.s = strings::table(self.prefs.language);
            self.background.tray.set_strings(self.s);
            self.update_alerts();
            self.report_unsaved(self.prefs.save(&self.settings.paths));
        }
    }
}

/// Requests the frame that shows the next level while something moves. While the gate is closed nothing does, so nothing is painted
/// until the next event.
fn request_next_frame(ui: &egui::Ui, data: &FrameData<'_>) {
    let has_sound = data.is_capturing() && data.transcript.quiet_since.is_none() && !data.transcript.model.is_empty();
    if has_sound || data.readings.loading {
        ui.ctx().request_repaint_after(if theme::moves(ui) { theme::MOVE_INTERVAL } else { METER_INTERVAL });
    }
}

impl eframe::App for HearkenApp {
    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        overlay::note_screens(ui.ctx(), frame);
        Self::ui(self, ui);
    }

    /// Returns a transparent ground: main window and overlays paint their own.
    fn clear_color(&self, _visuals: &egui::Visuals) -> [f32; 4] {
        [0.0; 4]
    }
}
