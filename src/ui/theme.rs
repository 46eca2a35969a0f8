//! The look of the window: sets the design tokens up in egui, and decides on the room for the parts of the window. Each state has
//! one colour, used for nothing else.

use egui::{CornerRadius, FontId, Stroke, TextStyle, Theme, Visuals};

use super::desktop_motion::DesktopMotion;
pub(super) use super::fonts::{bold, use_installed_fonts};
pub(super) use super::tokens::*;
use crate::config::prefs::{Motion, ThemeChoice};

/// Horizontal and vertical space between widgets, in points.
const ITEM_SPACING: [f32; 2] = [8.0, 6.0];
/// Horizontal and vertical padding of buttons, in points.
const BUTTON_PADDING: [f32; 2] = [10.0, 4.0];
/// Smallest height of interactive widgets, in points.
const INTERACT_HEIGHT: f32 = 28.0;
/// Side of a check box or a radio button, and of the mark in it, in points.
const CHECK_SIDES: [f32; 2] = [16.0, 10.0];
/// Width and height of the rail of a slider, in points.
const SLIDER: [f32; 2] = [140.0, 4.0];
/// Smallest width of a window above the main one, in points.
pub(super) const MIN_WINDOW_WIDTH: f32 = 200.0;

/// Width of the main window below which the panels are tabs, shown one at a time, in points.
pub(super) const NARROW: f32 = 760.0;

/// Width and height below either of which the main window is compact, in points: rarer controls move into a menu and lines are
/// closer together, so that the words keep their room.
const COMPACT: [f32; 2] = [720.0, 460.0];

/// Returns true if the main window is compact: less wide or less high than [`COMPACT`]. A low window ([`is_low`]) is always compact.
pub(super) fn is_compact(ctx: &egui::Context) -> bool {
    let room = ctx.content_rect();
    room.width() < COMPACT[0] || room.height() < COMPACT[1]
}

/// Height below which the main window is low, in points: the modes have no row of their own and the decision strip has neither names
/// nor scale, so that the words keep their room.
const LOW: f32 = 340.0;
/// Height of the main window below which the panels are tabs, shown one at a time, in points.
pub(super) const FLAT: f32 = 230.0;

/// Returns true if the main window is low: less high than [`LOW`].
pub(super) fn is_low(ctx: &egui::Context) -> bool {
    ctx.content_rect().height() < LOW
}

/// Returns the margin above and below each main part of the window, in points: smaller in a compact window, smallest in a low one.
pub(super) fn margin(ctx: &egui::Context) -> i8 {
    match (is_low(ctx), is_compact(ctx)) {
        (true, _) => 2,
        (false, true) => 5,
        (false, false) => 8,
    }
}

/// Sets up `ctx` with the colours of both themes, the sizes, the spacing and the built-in fonts, and chooses the theme `choice`.
pub(super) fn apply(ctx: &egui::Context, choice: ThemeChoice) {
    ctx.set_visuals_of(Theme::Dark, visuals(Visuals::dark(), &DARK));
    ctx.set_visuals_of(Theme::Light, visuals(Visuals::light(), &LIGHT));
    ctx.all_styles_mut(|style| {
        for (text, size) in [(TextStyle::Small, SMALL), (TextStyle::Body, BODY), (TextStyle::Button, BODY)] {
            style.text_styles.insert(text, FontId::proportional(size));
        }
        style.text_styles.insert(TextStyle::Heading, super::fonts::semibold(MEDIUM));
        style.text_styles.insert(TextStyle::Monospace, FontId::monospace(SMALL));
        style.spacing.item_spacing = ITEM_SPACING.into();
        style.spacing.button_padding = BUTTON_PADDING.into();
        style.spacing.interact_size.y = INTERACT_HEIGHT;
        (style.spacing.icon_width, style.spacing.icon_width_inner) = (CHECK_SIDES[0], CHECK_SIDES[1]);
        (style.spacing.slider_width, style.spacing.slider_rail_height) = (SLIDER[0], SLIDER[1]);
        style.spacing.window_margin = egui::Margin::same(WINDOW_MARGIN);
        style.visuals.slider_trailing_fill = true;
    });
    choose(ctx, choice);
    super::fonts::set_fonts(ctx);
}

/// Chooses the light theme, the dark one, or that of the system.
pub(super) fn choose(ctx: &egui::Context, choice: ThemeChoice) {
    ctx.set_theme(match choice {
        ThemeChoice::System => egui::ThemePreference::System,
        ThemeChoice::Light => egui::ThemePreference::Light,
        ThemeChoice::Dark => egui::ThemePreference::Dark,
    });
}

/// Interval at which the window is painted anew while sound passes the quiet gate, for the mark of the state to follow the level.
pub(super) const MOVE_INTERVAL: std::time::Duration = std::time::Duration::from_millis(50);

/// Sets the duration of all movements of the window: [`FADE_SECS`], or none for `motion` off or where the desktop, which is
/// `desktop`, reduces motion.
pub(super) fn set_motion(ctx: &egui::Context, motion: Motion, desktop: &DesktopMotion) {
    let reduced = motion == Motion::Off || motion == Motion::System && desktop.is_reduced();
    let secs = if reduced { 0.0 } else { FADE_SECS };
    if ctx.global_style().animation_time != secs {
        ctx.all_styles_mut(|style| style.animation_time = secs);
    }
}

/// Returns true if parts of the window may move or fade.
pub(super) fn moves(ui: &egui::Ui) -> bool {
    ui.style().animation_time > 0.0
}

/// Returns the visuals of egui with the colours of `p`.
fn visuals(mut v: Visuals, p: &Palette) -> Visuals {
    let radius = CornerRadius::same(RADIUS);
    (v.panel_fill, v.window_fill, v.extreme_bg_color, v.faint_bg_color) = (p.ground, p.raised, p.sunken, p.raised);
    v.text_edit_bg_color = Some(p.sunken);
    v.code_bg_color = p.sunken;
    v.weak_text_color = Some(p.weak);
    (v.warn_fg_color, v.error_fg_color, v.hyperlink_color) = (p.urgent, p.fault, p.accent);
    (v.window_corner_radius, v.menu_corner_radius) = (CornerRadius::same(RADIUS_WINDOW), radius);
    v.window_stroke = Stroke::new(EDGE_WIDTH, p.line);
    v.selection.bg_fill = p.selected();
    v.selection.stroke = Stroke::new(FOCUS_WIDTH, p.accent);
    v.text_cursor.stroke.color = p.accent;
    let (edge, text) = (Stroke::new(EDGE_WIDTH, p.edge), Stroke::new(1.5, p.text));
    let w = &mut v.widgets;
    (w.noninteractive.bg_stroke, w.noninteractive.fg_stroke) = (Stroke::new(EDGE_WIDTH, p.line), Stroke::new(EDGE_WIDTH, p.text));
    (w.noninteractive.bg_fill, w.noninteractive.weak_bg_fill) = (p.ground, p.ground);
    for (widget, fill, edge) in [
        (&mut w.inactive, p.button, edge),
        (&mut w.hovered, p.hover, Stroke::new(EDGE_WIDTH, p.text)),
        (&mut w.active, p.selected(), Stroke::new(FOCUS_WIDTH, p.accent)),
        // Egui paints the title bar of a window as an open widget.
        (&mut w.open, p.raised, edge),
    ] {
        (widget.weak_bg_fill, widget.bg_stroke, widget.fg_stroke) = (fill, edge, text);
        (widget.corner_radius, widget.expansion) = (radius, 0.0);
    }
    (w.inactive.bg_fill, w.hovered.bg_fill, w.active.bg_fill, w.open.bg_fill) = (p.sunken, p.hover, p.selected(), p.sunken);
    v
}
