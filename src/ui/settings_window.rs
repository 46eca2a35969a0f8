//! The settings: a sheet with the sections at the left, a field that searches the rows of all sections, and the rows of a section.

use std::path::Path;

use egui::{RichText, ScrollArea, TextEdit, Ui};

use super::actions::Actions;
use super::background::Background;
use super::device_menu::DeviceMenu;
use super::file_dialog::FileQuestion;
use super::frame::FrameData;
use super::mode_editor::ModeEditor;
use super::settings_rows::Rows;
use super::strings::Strings;
use super::{settings_about, settings_sections, sheet, theme};
use crate::config::{HistoryPrefs, WindowPrefs};
use crate::protocol::models::ModelCard;

/// Largest width and height of the content of the settings, in points.
const MAX_SIZE: [f32; 2] = [780.0, 560.0];
/// Width of the list of sections, in points.
const LIST_WIDTH: f32 = 168.0;
/// Width of the content below which the list of sections is a drop-down, in points.
const NARROW: f32 = 520.0;
/// Margin between the list of sections and the rows, in points.
const LIST_MARGIN: i8 = 12;

/// Height of the main window that the drop-down of sections leaves free, in points.
const MENU_SPACE: f32 = 96.0;
/// Smallest height of the drop-down of sections, in points.
const MIN_MENU_HEIGHT: f32 = 80.0;

/// A section of the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum SettingsSection {
    #[default]
    General,
    Listening,
    Voice,
    Modes,
    Captions,
    Notifications,
    Privacy,
    Model,
    Keys,
    Diagnostics,
    About,
}

impl SettingsSection {
    /// The sections in the order of the list.
    pub(super) const ALL: [Self; 11] = [
        Self::General,
        Self::Listening,
        Self::Voice,
        Self::Modes,
        Self::Captions,
        Self::Notifications,
        Self::Privacy,
        Self::Model,
        Self::Keys,
        Self::Diagnostics,
        Self::About,
    ];

    /// Returns the section's title.
    pub(super) const fn title(self, s: &Strings) -> &'static str {
        match self {
            Self::General => s.general,
            Self::Listening => s.listen_section,
            Self::Voice => s.voice,
            Self::Modes => s.modes_section,
            Self::Captions => s.captions,
            Self::Notifications => s.notifications,
            Self::Privacy => s.privacy_section,
            Self::Model => s.model,
            Self::Keys => s.keys,
            Self::Diagnostics => s.diagnostics,
            Self::About => s.about,
        }
    }
}

/// The state of the settings between frames.
#[derive(Debug, Default)]
pub(super) struct SettingsWindow {
    pub(super) open: bool,
    section: SettingsSection,
    /// Text in the search field.
    query: String,
    /// Number of times that the settings were opened or another section was chosen; each begins at the top of its rows.
    views: u32,
    state: SectionState,
}

/// The state that single sections keep between frames.
#[derive(Debug, Default)]
pub(super) struct SectionState {
    /// Path of a model folder, as typed.
    pub(super) model_folder: String,
    /// Speed of the voice while its slider is being dragged, which is set when the drag ends; `None` without a drag.
    pub(super) dragged_speed: Option<f32>,
    /// Zoom while its slider is being dragged, which is set when the drag ends; `None` without a drag.
    pub(super) dragged_zoom: Option<f32>,
    pub(super) editor: ModeEditor,
}

/// The preferences that the settings change directly, and the other inputs that they show.
pub(super) struct SettingsInputs<'a> {
    pub(super) prefs: &'a mut WindowPrefs,
    pub(super) history_prefs: &'a mut HistoryPrefs,
    /// True while the captions are shown.
    pub(super) captions_open: &'a mut bool,
    /// Closing to the tray, and the start with the session.
    pub(super) background: &'a mut Background,
    pub(super) devices: &'a mut DeviceMenu,
    /// Text of the footer on how the history is kept.
    pub(super) kept: &'a str,
    /// Card of the released 3B model.
    pub(super) larger_model: Option<&'a ModelCard>,
}

impl SettingsWindow {
    /// Opens the settings at the section that was shown last.
    pub(super) fn open(&mut self) {
        self.open_at(self.section);
    }

    /// Opens the settings at `section`.
    pub(super) fn open_at(&mut self, section: SettingsSection) {
        (self.open, self.section) = (true, section);
        self.query.clear();
        self.views += 1;
    }

    /// Closes the settings. Returns false if they were not open.
    pub(super) fn close(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    /// Returns true while the field for the clip of a mode is in sight, so that a dropped file becomes that clip.
    pub(super) const fn takes_clip(&self) -> bool {
        self.open && self.state.editor.shows_clip()
    }

    /// Takes the file or folder that the user has chosen in a file dialog.
    pub(super) fn take_file(&mut self, question: &FileQuestion, path: &Path) {
        match question {
            FileQuestion::Clip => self.state.editor.set_clip(path),
            FileQuestion::ModelFolder => self.state.model_folder = path.display().to_string(),
            FileQuestion::Export { .. } | FileQuestion::Recordings => {}
        }
    }

    /// Paints the settings; does nothing while they are closed.
    pub(super) fn show(&mut self, ui: &Ui, data: &FrameData<'_>, mut inputs: SettingsInputs<'_>, actions: &mut Actions) {
        self.state.editor.note_frame();
        if !self.open {
            return;
        }
        self.open = sheet::show(ui.ctx(), data.s.settings, MAX_SIZE, |ui| {
            if ui.available_width() < NARROW {
                self.narrow_head_ui(ui, data.s);
                ui.separator();
            } else {
                let frame = egui::Frame::NONE.inner_margin(egui::Margin { right: LIST_MARGIN, ..egui::Margin::ZERO });
                let list = egui::Panel::left("sections").frame(frame).resizable(false).exact_size(LIST_WIDTH);
                list.show(ui, |ui| self.list_ui(ui, data.s));
            }
            let margin = egui::Margin { left: LIST_MARGIN, ..egui::Margin::ZERO };
            let frame = egui::Frame::NONE.inner_margin(if ui.available_width() < NARROW { egui::Margin::ZERO } else { margin });
            egui::CentralPanel::default().frame(frame).show(ui, |ui| self.rows_ui(ui, data, &mut inputs, actions));
        });
    }

    /// Paints the search field and the list of sections.
    fn list_ui(&mut self, ui: &mut Ui, s: &Strings) {
        self.search_ui(ui, s, f32::INFINITY);
        ui.add_space(theme::GAP);
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.with_layout(egui::Layout::top_down_justified(egui::Align::Min), |ui| {
                for section in SettingsSection::ALL {
                    let chosen = self.section == section && self.query.is_empty();
                    if ui.selectable_label(chosen, section.title(s)).clicked() {
                        self.open_at(section);
                    }
                }
            });
        });
    }

    /// Paints the drop-down of sections and the search field in one row.
    fn narrow_head_ui(&mut self, ui: &mut Ui, s: &Strings) {
        ui.horizontal(|ui| {
            let mut chosen = None;
            let menu = ui.menu_button(self.section.title(s), |ui| {
                let height = (ui.ctx().content_rect().height() - MENU_SPACE).max(MIN_MENU_HEIGHT);
                ScrollArea::vertical().max_height(height).show(ui, |ui| {
                    for section in SettingsSection::ALL {
                        if ui.selectable_label(section == self.section, section.title(s)).clicked() {
                            chosen = Some(section);
                            ui.close();
                        }
                    }
                });
            });
            menu.response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, s.section));
            if let Some(section) = chosen {
                self.open_at(section);
            }
            self.search_ui(ui, s, ui.available_width());
        });
    }

    fn search_ui(&mut self, ui: &mut Ui, s: &Strings, width: f32) {
        let field = ui.add(TextEdit::singleline(&mut self.query).hint_text(s.settings_search).desired_width(width));
        field.widget_info(|| {
            let mut info = egui::WidgetInfo::labeled(egui::Role::TextInput, true, s.settings_search);
            info.current_text_value = Some(self.query.clone());
            info
        });
    }

    /// Paints the rows of the chosen section, or the found rows of all sections.
    fn rows_ui(&mut self, ui: &mut Ui, data: &FrameData<'_>, inputs: &mut SettingsInputs<'_>, actions: &mut Actions) {
        let search = !self.query.trim().is_empty();
        let area = ScrollArea::vertical().id_salt((search, self.views)).auto_shrink(false);
        area.show(ui, |ui| {
            // The scroll bar of a touch screen lies on the content.
            ui.set_max_width(ui.available_width() - theme::GAP);
            if !search {
                ui.label(theme::bold(self.section.title(data.s), theme::LARGE));
                ui.add_space(theme::GAP);
            }
            let mut found = 0;
            for section in SettingsSection::ALL {
                if search || section == self.section {
                    let mut rows = Rows::new(ui, section.title(data.s), &self.query);
                    section_ui(&mut rows, section, &mut self.state, data, inputs, actions);
                    found += rows.painted();
                }
            }
            if search && found == 0 {
                ui.label(RichText::new(data.s.nothing_found).weak());
            }
        });
    }
}

fn section_ui(
    rows: &mut Rows<'_>,
    section: SettingsSection,
    state: &mut SectionState,
    data: &FrameData<'_>,
    inputs: &mut SettingsInputs<'_>,
    actions: &mut Actions,
) {
    match section {
        SettingsSection::General => {
            settings_sections::general_ui(rows, data, inputs.prefs, &mut state.dragged_zoom);
            inputs.background.settings_ui(rows, data, &mut inputs.prefs.on_close);
        }
        SettingsSection::Listening => settings_sections::listening_ui(rows, data, inputs.devices, actions),
        SettingsSection::Voice => settings_sections::voice_ui(rows, data, &mut state.dragged_speed, actions),
        SettingsSection::Modes => rows.whole(|ui| state.editor.show(ui, data, actions)),
        SettingsSection::Captions => settings_sections::captions_ui(rows, data, inputs.captions_open, &mut inputs.prefs.captions),
        SettingsSection::Notifications => settings_sections::notifications_ui(rows, data, inputs.prefs, actions),
        SettingsSection::Privacy => settings_sections::privacy_ui(rows, data, inputs.history_prefs, inputs.kept, actions),
        SettingsSection::Model => {
            settings_sections::model_ui(rows, data, &mut state.model_folder, actions);
            settings_sections::about_models_ui(rows, data, inputs.larger_model);
        }
        SettingsSection::Keys => settings_about::keys_ui(rows, data.s),
        SettingsSection::Diagnostics => settings_about::diagnostics_ui(rows, data),
        SettingsSection::About => settings_about::about_ui(rows, data),
    }
}
