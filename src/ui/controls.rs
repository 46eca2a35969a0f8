//! Controls with an icon and a text: buttons, toggles and buttons of menus. Egui's own buttons have no icon beside their text that
//! stays out of their name.

use std::sync::Arc;

use egui::{Color32, CornerRadius, FontId, Galley, Rangef, Response, Role, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, pos2, vec2};

use super::icons::{self, HOVER, Icon};
use super::theme::{self, Palette};

/// Height of a control, and of the main control of the window, in points.
const HEIGHT: f32 = 30.0;
const MAIN_HEIGHT: f32 = 40.0;
/// Space at the left and right of a control, and between its icon and its text, in points.
const PADDING: f32 = 10.0;
const ICON_GAP: f32 = 6.0;
/// Largest change of a width that is taken for a rounding error, in points.
const WIDTH_TOLERANCE: f32 = 0.5;
/// Side of the icon of a control, and of the mark that it opens a menu, in points.
const ICON_SIDE: f32 = 16.0;
const MENU_SIDE: f32 = 12.0;

/// The look of a [`Control`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Look {
    /// A button with a ground and an edge.
    #[default]
    Plain,
    /// A button without ground and edge, until the pointer is over it.
    Bare,
    /// Something that is on.
    On,
    /// The main control of the window, which is larger.
    Main,
    /// The main control of the window, when it calls for no attention.
    Large,
}

/// A button with an icon and a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Control<'a> {
    icon: Icon,
    text: &'a str,
    look: Look,
    opens_menu: Option<Icon>,
    text_widths: Rangef,
    corners: CornerRadius,
    role: ControlRole,
}

impl<'a> Control<'a> {
    /// Returns a control with the look [`Look::Plain`]; `text` is its name as well.
    pub(super) fn new(icon: Icon, text: &'a str) -> Self {
        let corners = CornerRadius::same(theme::RADIUS);
        Self {
            icon,
            text,
            look: Look::Plain,
            opens_menu: None,
            text_widths: Rangef::new(0.0, f32::INFINITY),
            corners,
            role: ControlRole::Button,
        }
    }

    /// Sets the look.
    pub(super) const fn look(mut self, look: Look) -> Self {
        self.look = look;
        self
    }

    /// Adds the mark that the control opens a menu.
    pub(super) const fn opens_menu(mut self) -> Self {
        self.opens_menu = Some(Icon::Down);
        self
    }

    /// Cuts a text that is wider than `points`, with an ellipsis.
    pub(super) const fn max_text_width(mut self, points: f32) -> Self {
        self.text_widths.max = points;
        self
    }

    /// Keeps `points` for a text that is less wide, so that a change of the text moves nothing.
    pub(super) const fn min_text_width(mut self, points: f32) -> Self {
        self.text_widths.min = points;
        self
    }

    /// Sets the radius of each corner.
    pub(super) const fn corners(mut self, corners: CornerRadius) -> Self {
        self.corners = corners;
        self
    }

    /// Makes the control a toggle, which is on with the look [`Look::On`].
    pub(super) const fn toggle(mut self) -> Self {
        self.role = ControlRole::Toggle;
        self
    }

    fn text_ui(&self, ui: &Ui) -> Arc<Galley> {
        let font = if self.is_large() { super::fonts::semibold(theme::MEDIUM) } else { FontId::proportional(theme::BODY) };
        let text = egui::WidgetText::from(egui::RichText::new(self.text).font(font));
        text.into_galley(ui, Some(egui::TextWrapMode::Truncate), self.text_widths.max, egui::TextStyle::Button)
    }

    const fn is_large(&self) -> bool {
        matches!(self.look, Look::Main | Look::Large)
    }

    /// Returns the width of the control with a text of this width.
    fn width_around(&self, text: f32) -> f32 {
        let menu = if self.opens_menu.is_some() { ICON_GAP + MENU_SIDE } else { 0.0 };
        2.0 * PADDING + ICON_SIDE + ICON_GAP + text.max(self.text_widths.min) + menu
    }

    /// Returns the width of the control.
    pub(super) fn width(&self, ui: &Ui) -> f32 {
        self.width_around(self.text_ui(ui).size().x)
    }

    /// Adds the control.
    pub(super) fn show(self, ui: &mut Ui) -> Response {
        let galley = self.text_ui(ui);
        let size = vec2(self.width_around(galley.size().x), if self.is_large() { MAIN_HEIGHT } else { HEIGHT });
        let (rect, response) = ui.allocate_exact_size(size, Sense::click());
        response.widget_info(|| match self.role {
            ControlRole::Button => WidgetInfo::labeled(Role::Button, ui.is_enabled(), self.text),
            ControlRole::Toggle => WidgetInfo::selected(Role::Button, ui.is_enabled(), self.look == Look::On, self.text),
        });
        if ui.is_rect_visible(rect) {
            let ink = ground_ui(ui, &response, self.look, self.corners);
            let middle = rect.center().y;
            // Icon and text stand in the middle of the width that is kept for them.
            let begin = rect.left() + PADDING + (self.text_widths.min - galley.size().x).max(0.0) / 2.0;
            icons::paint(ui.painter(), self.icon, pos2(begin + ICON_SIDE / 2.0, middle), ICON_SIDE, ink);
            let left = begin + ICON_SIDE + ICON_GAP;
            ui.painter().galley_with_override_text_color(pos2(left, middle - galley.size().y / 2.0), galley, ink);
            if let Some(icon) = self.opens_menu {
                icons::paint(ui.painter(), icon, pos2(rect.right() - PADDING - MENU_SIDE / 2.0, middle), MENU_SIDE, ink);
            }
        }
        response
    }
}

/// The role of a [`Control`] for screen readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ControlRole {
    Button,
    Toggle,
}

/// Adds a button that shows only an icon, with ground and edge of `look`; `name` is its name for screen readers.
pub(super) fn icon_only(ui: &mut Ui, icon: Icon, name: &str, look: Look, size: Vec2, corners: CornerRadius) -> Response {
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), name));
    if ui.is_rect_visible(rect) {
        let ink = ground_ui(ui, &response, look, corners);
        icons::paint(ui.painter(), icon, rect.center(), MENU_SIDE, ink);
    }
    response
}

/// Paints ground, edge and focus ring of a control; returns the colour of icon and text.
fn ground_ui(ui: &Ui, response: &Response, look: Look, corners: CornerRadius) -> Color32 {
    let p = Palette::of(ui.visuals());
    let lively = response.hovered() || response.is_pointer_button_down_on();
    let (fill, edge, ink) = match look {
        Look::Plain | Look::Large => (if lively { p.hover } else { p.button }, p.edge, p.text),
        Look::Bare => (if lively { p.text.gamma_multiply(HOVER) } else { Color32::TRANSPARENT }, Color32::TRANSPARENT, p.text),
        Look::On | Look::Main => (p.accent_fill, if lively { p.text } else { p.accent }, p.on_accent),
    };
    ui.painter().rect(response.rect, corners, fill, Stroke::new(theme::EDGE_WIDTH, edge), StrokeKind::Inside);
    if response.has_focus() {
        let ring = if matches!(look, Look::On | Look::Main) { p.text } else { p.accent };
        ui.painter().rect_stroke(
            response.rect.expand(theme::FOCUS_WIDTH),
            corners,
            Stroke::new(theme::FOCUS_WIDTH, ring),
            StrokeKind::Inside,
        );
    }
    ink
}

/// Adds a slider whose rail stands out from its ground.
pub(super) fn slider(ui: &mut Ui, slider: egui::Slider<'_>) -> Response {
    ui.scope(|ui| {
        let edge = Palette::of(ui.visuals()).edge;
        ui.visuals_mut().widgets.inactive.bg_fill = edge;
        ui.add(slider)
    })
    .inner
}

/// Lays out `left` at the left and `right` at the right of the line, both from left to right, so that the keyboard goes through
/// them in the order in which they are read. Both are given `inputs`, and stand in the middle of the height of `height` points.
pub(super) fn spread<I: ?Sized>(
    ui: &mut Ui,
    (name, height): (&str, f32),
    inputs: &mut I,
    left: impl FnOnce(&mut Ui, &mut I),
    right: impl FnOnce(&mut Ui, &mut I),
) {
    let id = ui.scope_id().with(name);
    // Width of the right part, as in the frame before.
    let expected: f32 = ui.data(|data| data.get_temp(id)).unwrap_or(0.0);
    let layout = egui::Layout::left_to_right(egui::Align::Center);
    ui.allocate_ui_with_layout(vec2(ui.available_width(), height), layout, |ui| {
        ui.set_min_height(height);
        let room = (ui.available_width() - expected - ui.spacing().item_spacing.x).max(0.0);
        ui.allocate_ui_with_layout(vec2(room, height), layout, |ui| {
            ui.set_min_size(vec2(room, height));
            left(ui, inputs);
        });
        let width = ui.allocate_ui_with_layout(vec2(expected, height), layout, |ui| right(ui, inputs)).response.rect.width();
        if (width - expected).abs() > WIDTH_TOLERANCE {
            ui.data_mut(|data| data.insert_temp(id, width));
            ui.ctx().request_discard("the right part of a line has another width");
        }
    });
}
