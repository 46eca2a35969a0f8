//! The zoom of the window by keys, within the range in which texts stay readable. egui's own keys go down to 20 %.

use egui::gui_zoom::kb_shortcuts::{ZOOM_IN, ZOOM_IN_SECONDARY, ZOOM_OUT, ZOOM_RESET};
use egui::{Context, Ui};

use crate::config::prefs::ZOOMS;

/// Change of the zoom factor by a key press.
const STEP: f32 = 0.1;

/// Applies the saved zoom factor to `ctx`, and replaces egui's keys by those of this module.
pub(super) fn start(ctx: &Context, zoom: f32) {
    ctx.options_mut(|options| options.zoom_with_keyboard = false);
    ctx.set_zoom_factor(zoom);
}

/// Changes the zoom factor by the keys Ctrl + plus, minus and zero. Returns the new factor as text, for example `110 %`; `None` if no
/// such key was pressed.
pub(super) fn handle_keys(ui: &Ui) -> Option<String> {
    let pressed = |shortcut| ui.input_mut(|i| i.consume_shortcut(&shortcut));
    let zoom = ui.ctx().zoom_factor();
    let zoom = if pressed(ZOOM_RESET) {
        1.0
    } else if pressed(ZOOM_IN) || pressed(ZOOM_IN_SECONDARY) {
        zoom + STEP
    } else if pressed(ZOOM_OUT) {
        zoom - STEP
    } else {
        return None;
    };
    // Whole steps, so that many presses add no rounding error.
    let zoom = ((zoom / STEP).round() * STEP).clamp(ZOOMS.0, ZOOMS.1);
    ui.ctx().set_zoom_factor(zoom);
    Some(format!("{:.0} %", zoom * 100.0))
}
