//! The panels: one conversation, or columns with transcript and translation side by side and replies and sounds at the right. In a
//! narrow or low window the columns are tabs.

use egui::{Panel as EguiPanel, RichText, Ui, vec2};

use super::actions::Actions;
use super::conversation::Stream;
use super::frame::FrameData;
use super::icons::{self, Icon};
use super::mode_controls::{icon_of_panel, mode_menu_ui};
use super::panel_lines::{TIME_WIDTH, conversation_ui, sounds_ui, speech_ui};
use super::strings::fill;
use super::theme;
use super::virtual_list::VirtualList;
use crate::config::WindowPrefs;
use crate::config::prefs::PanelView;
use crate::protocol::{Panel, ReplyId};
use crate::transcript::Transcript;

/// All panels, in the order of the tabs and of the menu that shows and hides them.
pub(super) const PANELS: [Panel; 4] = [Panel::Transcript, Panel::Translation, Panel::Conversation, Panel::Sounds];

/// Smallest width of the transcript and translation panels at the left, and of the other panels at the right, in points.
const MIN_WIDTH: f32 = 220.0;
/// Smallest height of the sounds panel, in points.
const MIN_SOUNDS_HEIGHT: f32 = 110.0;
/// Smallest height of the conversation panel, in points.
const MIN_CONVERSATION_HEIGHT: f32 = 80.0;
/// Height of a panel's title, in points.
const TITLE_HEIGHT: f32 = 22.0;
/// Horizontal and vertical padding of a panel's tab in a low window, in points.
const LOW_TAB_PADDING: [f32; 2] = [6.0, 2.0];
/// Height of a panel's tab in a low window, in points.
const LOW_TAB_HEIGHT: f32 = 20.0;
/// Largest change of a panel's share of the window that is taken for a rounding error and not stored.
const SHARE_EPSILON: f32 = 0.01;

/// Opacity of the panels while listening is paused.
const PAUSED_OPACITY: f32 = 0.5;
/// Side of the icon of an empty window, in points, and the place of its text, as shares of width and height.
const EMPTY_ICON: f32 = 40.0;
const EMPTY_LEFT: f32 = 0.3;
const EMPTY_TOP: f32 = 0.3;

/// The state of the panels between frames.
#[derive(Debug)]
pub(super) struct PanelsState {
    /// Panel whose tab is shown while the panels are tabs.
    pub(super) tab: Panel,
    /// The one conversation.
    pub(super) stream: Stream,
    /// List of the utterances and translations.
    pub(super) speech: VirtualList,
    /// List of the replies.
    pub(super) conversation: VirtualList,
    /// List of the sounds.
    pub(super) sounds: VirtualList,
    /// Reply whose line, or whose decision in the strip, was under the pointer in the previous frame.
    pub(super) hovered: Option<ReplyId>,
}

impl Default for PanelsState {
    fn default() -> Self {
        Self {
            tab: Panel::Conversation,
            stream: Stream::default(),
            speech: VirtualList::default(),
            conversation: VirtualList::default(),
            sounds: VirtualList::default(),
            hovered: None,
        }
    }
}

/// The panels in one frame: their state, their inputs, and the panels to paint.
struct PanelsFrame<'a, 'd> {
    state: &'a mut PanelsState,
    prefs: &'a mut WindowPrefs,
    data: &'a FrameData<'d>,
    actions: &'a mut Actions,
    /// Panels to paint: used and not hidden by the user.
    visible: Vec<Panel>,
}

/// Returns true if the user has hidden `panel`, even if the panel has content.
pub(super) fn is_hidden(prefs: &WindowPrefs, panel: Panel) -> bool {
    prefs.hidden.iter().any(|name| name == panel.name())
}

/// Hides `panel` in the preferences, or shows it again if it is hidden.
pub(super) fn toggle_hidden(prefs: &mut WindowPrefs, panel: Panel) {
    if is_hidden(prefs, panel) {
        prefs.hidden.retain(|name| name != panel.name());
    } else {
        prefs.hidden.push(panel.name().to_owned());
    }
}

/// Returns true if an active mode writes to `panel`, or if `panel` has content.
pub(super) fn is_used(panel: Panel, t: &Transcript) -> bool {
    let has_content = match panel {
        Panel::Conversation => !t.replies.is_empty(),
        Panel::Transcript => !t.utterances.is_empty(),
        Panel::Translation => !t.translations.is_empty(),
        Panel::Sounds => !t.sounds.is_empty(),
    };
    has_content || t.modes.iter().any(|mode| t.panel_of(mode) == panel)
}

/// Paints all panels that are used and not hidden by the user: as tabs in a small window, else side by side. If there is none,
/// paints a text that says so.
pub(super) fn panels_ui(ui: &mut Ui, state: &mut PanelsState, prefs: &mut WindowPrefs, data: &FrameData<'_>, actions: &mut Actions) {
    let visible: Vec<Panel> = PANELS.into_iter().filter(|panel| is_used(*panel, data.transcript) && !is_hidden(prefs, *panel)).collect();
    if visible.is_empty() {
        return nothing_ui(ui, prefs, data, actions);
    }
    if data.transcript.is_paused() {
        ui.multiply_opacity(PAUSED_OPACITY);
    }
    let columns = prefs.view == PanelView::Columns;
    let mut frame = PanelsFrame { state, prefs, data, actions, visible };
    if !columns {
        frame.stream_ui(ui);
    } else if ui.available_width() < theme::NARROW || ui.available_height() < theme::FLAT {
        frame.tabs_ui(ui);
    } else {
        frame.columns_ui(ui);
    }
}

/// Says why there is nothing to see, with the controls that change it.
fn nothing_ui(ui: &mut Ui, prefs: &mut WindowPrefs, data: &FrameData<'_>, actions: &mut Actions) {
    let s = data.s;
    let off = data.transcript.modes.is_empty();
    let (icon, text) = if off { (Icon::DeafEar, s.nothing_on) } else { (Icon::List, s.nothing_shown) };
    centred_ui(ui, |ui| {
        icons::mark(ui, icon, EMPTY_ICON, ui.visuals().weak_text_color());
        ui.label(theme::bold(text, theme::MEDIUM));
        if off {
            mode_menu_ui(ui, data, actions);
        } else if ui.button(s.show_all).clicked() {
            prefs.hidden.clear();
        }
    });
}

/// Says what will appear in the conversation, and how to begin.
fn hints_ui(ui: &mut Ui, data: &FrameData<'_>, visible: &[Panel]) {
    let s = data.s;
    centred_ui(ui, |ui| {
        ui.spacing_mut().item_spacing.y = theme::GROUP_GAP;
        for (panel, text, size) in [
            (Panel::Conversation, s.no_conversation, theme::LARGE),
            (Panel::Transcript, s.no_transcript, theme::BODY),
            (Panel::Translation, s.no_translation, theme::BODY),
            (Panel::Sounds, s.no_sounds, theme::BODY),
        ] {
            if !visible.contains(&panel) {
                continue;
            }
            ui.horizontal(|ui| {
                icons::mark(ui, icon_of_panel(panel), size, theme::Palette::of(ui.visuals()).accent);
                let text = if size > theme::BODY { theme::bold(text, size) } else { RichText::new(text).weak().size(size) };
                ui.add(egui::Label::new(text).wrap());
            });
        }
    });
}

/// Paints `content` in the middle of the height, at the left of the middle third of the width.
fn centred_ui(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    let room = ui.available_size();
    ui.horizontal_top(|ui| {
        ui.add_space((room.x * EMPTY_LEFT - ui.spacing().item_spacing.x).max(0.0));
        ui.allocate_ui_with_layout(vec2((room.x * (1.0 - EMPTY_LEFT)).max(0.0), room.y), egui::Layout::top_down(egui::Align::Min), |ui| {
            ui.add_space(room.y * EMPTY_TOP);
            content(ui);
        });
    });
}

impl PanelsFrame<'_, '_> {
    fn shows(&self, panel: Panel) -> bool {
        self.visible.contains(&panel)
    }

    fn stream_ui(&mut self, ui: &mut Ui) {
        if self.state.stream.is_empty(self.data.transcript, self.prefs) {
            return hints_ui(ui, self.data, &self.visible);
        }
        let before = self.state.hovered;
        let hovered = self.state.stream.show(ui, self.prefs, before, self.data, self.actions);
        // The ribbon and the line show the reply that was hovered in the previous frame; one repaint passes a change on.
        if hovered != before {
            ui.ctx().request_repaint();
        }
        self.state.hovered = hovered;
    }

    fn columns_ui(&mut self, ui: &mut Ui) {
        if !self.shows(Panel::Transcript) && !self.shows(Panel::Translation) {
            return self.right_ui(ui);
        }
        if self.shows(Panel::Conversation) || self.shows(Panel::Sounds) {
            let width = ui.available_width();
            let range = MIN_WIDTH..=(width - MIN_WIDTH).max(MIN_WIDTH + 1.0);
            let shown = EguiPanel::right("right")
                .frame(egui::Frame::NONE.inner_margin(egui::Margin { left: theme::SIDE_MARGIN, ..egui::Margin::ZERO }))
                .resizable(true)
                .default_size(width * self.prefs.shares[0])
                .size_range(range_of_share(ui, self.prefs.shares[0] * width, range))
                .show(ui, |ui| self.right_ui(ui));
            store_share(ui, &mut self.prefs.shares[0], shown.response.rect.width() / width);
        }
        egui::CentralPanel::no_frame().show(ui, |ui| {
            let titles: Vec<Panel> = [Panel::Transcript, Panel::Translation].into_iter().filter(|panel| self.shows(*panel)).collect();
            self.titles_ui(ui, &titles);
            self.content_ui(ui, Panel::Transcript);
        });
    }

    /// Paints the panels at the right: the conversation above the sounds, or the only visible panel of the two.
    fn right_ui(&mut self, ui: &mut Ui) {
        if !self.shows(Panel::Conversation) || !self.shows(Panel::Sounds) {
            let panel = if self.shows(Panel::Conversation) { Panel::Conversation } else { Panel::Sounds };
            return self.titled_ui(ui, panel);
        }
        let height = ui.available_height();
        let range = MIN_SOUNDS_HEIGHT..=(height - MIN_CONVERSATION_HEIGHT).max(MIN_SOUNDS_HEIGHT + 1.0);
        let shown = EguiPanel::bottom("sounds")
            .frame(egui::Frame::NONE.inner_margin(egui::Margin { top: theme::PANEL_MARGIN, ..egui::Margin::ZERO }))
            .resizable(true)
            .default_size(height * self.prefs.shares[1])
            .size_range(range_of_share(ui, self.prefs.shares[1] * height, range))
            .show(ui, |ui| {
                // A panel shrinks to its content, of which there is little at first.
                ui.set_min_height(ui.available_height());
                self.titled_ui(ui, Panel::Sounds);
            });
        store_share(ui, &mut self.prefs.shares[1], shown.response.rect.height() / height);
        egui::CentralPanel::no_frame().show(ui, |ui| self.titled_ui(ui, Panel::Conversation));
    }

    fn tabs_ui(&mut self, ui: &mut Ui) {
        // The translation shares the tab of the transcript.
        let joined = self.shows(Panel::Transcript);
        let tabs: Vec<Panel> = self.visible.iter().copied().filter(|panel| *panel != Panel::Translation || !joined).collect();
        if !tabs.contains(&self.state.tab) {
            self.state.tab = tabs[0];
        }
        let low = theme::is_low(ui.ctx());
        ui.horizontal_wrapped(|ui| {
            if low {
                (ui.spacing_mut().item_spacing.x, ui.spacing_mut().button_padding) = (theme::EDGE, LOW_TAB_PADDING.into());
                ui.spacing_mut().interact_size.y = LOW_TAB_HEIGHT;
            }
            for tab in tabs {
                let title = RichText::new(self.data.s.panel(tab)).size(if low { theme::SMALL } else { theme::BODY });
                ui.selectable_value(&mut self.state.tab, tab, title);
            }
        });
        if !low {
            ui.separator();
        }
        self.content_ui(ui, self.state.tab);
    }

    fn titled_ui(&mut self, ui: &mut Ui, panel: Panel) {
        self.titles_ui(ui, &[panel]);
        self.content_ui(ui, panel);
    }

    fn titles_ui(&mut self, ui: &mut Ui, panels: &[Panel]) {
        ui.horizontal(|ui| {
            for (n, panel) in panels.iter().enumerate() {
                // Two titles stand over the two halves of the lines, which follow the column of times.
                let halves = n == 0 && panels.len() == 2;
                let width = if halves { (ui.available_width() + TIME_WIDTH) / 2.0 } else { ui.available_width() - theme::EDGE }.max(0.0);
                ui.allocate_ui_with_layout(vec2(width, TITLE_HEIGHT), egui::Layout::left_to_right(egui::Align::Center), |ui| {
                    ui.set_min_width(width);
                    ui.label(theme::bold(self.data.s.panel(*panel), theme::BODY));
                    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                        let label = fill(self.data.s.hide_panel, self.data.s.panel(*panel));
                        if icons::small(ui, Icon::Close, &label, &label).clicked() {
                            toggle_hidden(self.prefs, *panel);
                        }
                    });
                });
            }
        });
        ui.separator();
    }

    /// Paints the lines of `panel`. For transcript or translation paints the lines of all visible panels of the two.
    fn content_ui(&mut self, ui: &mut Ui, panel: Panel) {
        match panel {
            Panel::Transcript | Panel::Translation => speech_ui(ui, &mut self.state.speech, &self.visible, self.data),
            Panel::Conversation => conversation_ui(ui, self.state, self.prefs, self.data, self.actions),
            Panel::Sounds => sounds_ui(ui, &mut self.state.sounds, self.prefs, self.data),
        }
    }
}

/// Returns the sizes that a panel may have: while the user drags, all in `range`; else only `size`, which follows from the panel's
/// share of the window, so that the panel grows and shrinks with the window.
fn range_of_share(ui: &Ui, size: f32, range: std::ops::RangeInclusive<f32>) -> std::ops::RangeInclusive<f32> {
    if ui.input(|i| i.pointer.any_down()) {
        return range;
    }
    let size = size.clamp(*range.start(), *range.end());
    size..=size
}

/// Stores the share `now` of the window that a panel takes in the preference `share`, but only while a mouse button is down, so that
/// only the user and not the layout changes a panel's stored share.
fn store_share(ui: &Ui, share: &mut f32, now: f32) {
    if now.is_finite() && (now - *share).abs() > SHARE_EPSILON && ui.input(|i| i.pointer.any_down()) {
        *share = now;
    }
}
