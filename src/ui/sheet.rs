//! The sheet: the window above the main one in which settings, models and history open, one at a time. Its place and size follow the
//! main window.

use egui::{Context, Ui, vec2};

use super::theme;

/// Width of the main window that a sheet leaves free, both sides together, in points.
const SIDE_SPACE: f32 = 60.0;
/// Height of the main window that a sheet leaves free, above and below together, in points.
const AROUND: f32 = 120.0;
/// Width and height that a sheet leaves free in a compact main window ([`theme::is_compact`]), both sides together, in points.
const COMPACT_SPACE: [f32; 2] = [8.0, 8.0];
/// Width and height of a sheet's frame: margins and border at both sides and the title bar, in points.
const FRAME: [f32; 2] = [2.0 * theme::WINDOW_MARGIN as f32 + 2.0, 2.0 * theme::WINDOW_MARGIN as f32 + 42.0];
/// Smallest height of the content of a sheet, in points.
const MIN_HEIGHT: f32 = 80.0;

/// Paints a sheet with the title `title` and the content `content`, at most `max_size` (width and height, in points), in the middle of
/// the main window. Returns false once the user has closed the sheet with its button.
pub(super) fn show(ctx: &Context, title: &str, max_size: [f32; 2], content: impl FnOnce(&mut Ui)) -> bool {
    let (mut open, room) = (true, ctx.content_rect());
    let [width, height] = if theme::is_compact(ctx) { COMPACT_SPACE } else { [SIDE_SPACE, AROUND] };
    let size = vec2(
        (room.width() - width - FRAME[0]).clamp(theme::MIN_WINDOW_WIDTH, max_size[0]),
        (room.height() - height - FRAME[1]).clamp(MIN_HEIGHT, max_size[1]),
    );
    let frame_size = size + vec2(FRAME[0], FRAME[1]);
    egui::Window::new(title)
        .open(&mut open)
        .fixed_size(frame_size)
        .current_pos((room.center() - frame_size / 2.0).max(room.min))
        .collapsible(false)
        .movable(false)
        .show(ctx, |ui| {
            // A sheet keeps its size, whatever it shows.
            let inner = ui.available_size();
            ui.set_min_size(inner);
            ui.set_max_size(inner);
            content(ui);
        });
    open
}
