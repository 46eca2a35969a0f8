//! The menu of the view: one conversation or columns, and the panels that are shown.

use egui::{Popup, PopupCloseBehavior, Ui};

use super::actions::{Action, Actions, Dialog};
use super::controls::{Control, Look};
use super::frame::FrameData;
use super::icons::{self, Icon};
use super::panels::{PANELS, is_hidden, is_used, toggle_hidden};
use super::strings::{Strings, fill};
use crate::config::WindowPrefs;
use crate::config::modes::{DIALOG, SOUNDS, TRANSCRIBE, TRANSLATE};
use crate::config::prefs::PanelView;
use crate::protocol::Panel;

/// Smallest width of the menu, in points.
const WIDTH: f32 = 200.0;

/// Paints the button of the menu. A tick is set for a panel that can be seen now; one that no mode writes to is grey.
pub(super) fn view_menu_ui(ui: &mut Ui, data: &FrameData<'_>, prefs: &mut WindowPrefs, actions: &mut Actions) {
    let s = data.s;
    let icon = if prefs.view == PanelView::Columns { Icon::Columns } else { Icon::List };
    let button = icons::button(ui, icon, s.view, s.show_panel);
    Popup::menu(&button).close_behavior(PopupCloseBehavior::CloseOnClickOutside).show(|ui| {
        ui.set_min_width(WIDTH);
        for (view, label) in [(PanelView::Conversation, s.view_conversation), (PanelView::Columns, s.view_columns)] {
            ui.radio_value(&mut prefs.view, view, label);
        }
        ui.separator();
        for panel in PANELS {
            let used = is_used(panel, data.transcript);
            let mut shown = used && !is_hidden(prefs, panel);
            let tick = ui.add_enabled(used, egui::Checkbox::new(&mut shown, s.panel(panel)));
            let tick = tick.on_disabled_hover_text(fill(s.turn_on_mode, mode_of(s, panel)));
            if tick.clicked() {
                toggle_hidden(prefs, panel);
            }
        }
        ui.separator();
        ui.checkbox(&mut prefs.decisions_open, s.show_decisions);
        ui.separator();
        for (icon, label, hint, dialog) in
            [(Icon::Captions, s.captions, s.captions_hint, Dialog::Captions), (Icon::Window, s.pill, s.pill_hint, Dialog::Pill)]
        {
            if Control::new(icon, label).look(Look::Bare).show(ui).on_hover_text(hint).clicked() {
                actions.push(Action::Toggle(dialog));
                ui.close();
            }
        }
    });
}

/// Returns the label of the built-in mode that writes to `panel`.
fn mode_of(s: &Strings, panel: Panel) -> String {
    s.mode(match panel {
        Panel::Conversation => DIALOG,
        Panel::Transcript => TRANSCRIBE,
        Panel::Translation => TRANSLATE,
        Panel::Sounds => SOUNDS,
    })
}
