//! Icons drawn with the painter: egui's fonts have too few, and a missing glyph is an empty box.

use egui::{Color32, Rect, Response, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo, pos2, vec2};

use super::theme;
use crate::protocol::Emotion;

/// Width and height of a toolbar button, in points.
const SIDE: f32 = 28.0;
/// Width and height of an icon button within a line of text, in points.
const SMALL_SIDE: f32 = 20.0;
/// Width of an icon, as a share of the width of its button.
const ICON_SHARE: f32 = 0.5;
/// Width of the strokes of an icon, in points.
const LINE: f32 = 1.6;
/// Width and height of the face that shows an emotion, in points.
const FACE_SIDE: f32 = 18.0;

/// An icon on a button, named after the button's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Icon {
    Pause,
    Play,
    /// Cut a reply short.
    Cut,
    /// Begin a new conversation.
    Delete,
    Export,
    History,
    Captions,
    Settings,
    Close,
    /// Open the options of a mode.
    More,
    /// Open the menu with the rarer controls.
    All,
    /// Notify of a sound.
    Bell,
    Window,
}

/// Adds a toolbar button with an icon: `label` is its name for screen readers, `hint` its tooltip.
pub(super) fn button(ui: &mut Ui, icon: Icon, label: &str, hint: &str) -> Response {
    sized(ui, icon, label, hint, SIDE)
}

/// Adds a small icon button for use within a line of text: `label` is its name for screen readers, `hint` its tooltip.
pub(super) fn small(ui: &mut Ui, icon: Icon, label: &str, hint: &str) -> Response {
    sized(ui, icon, label, hint, SMALL_SIDE)
}

fn sized(ui: &mut Ui, icon: Icon, label: &str, hint: &str, side: f32) -> Response {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), label));
    if ui.is_rect_visible(rect) {
        let lively = response.hovered() || response.has_focus();
        if lively {
            ui.painter().rect_filled(rect, theme::RADIUS, ui.visuals().widgets.hovered.weak_bg_fill);
        }
        if response.has_focus() {
            ui.painter().rect_stroke(rect, theme::RADIUS, ui.visuals().selection.stroke, egui::StrokeKind::Inside);
        }
        let colour = if lively { ui.visuals().strong_text_color() } else { ui.visuals().weak_text_color() };
        paint(ui, icon, Rect::from_center_size(rect.center(), Vec2::splat(side * ICON_SHARE)), colour);
    }
    response.on_hover_text(hint)
}

fn paint(ui: &Ui, icon: Icon, r: Rect, colour: Color32) {
    let p = ui.painter();
    let line = Stroke::new(LINE, colour);
    let at = |x: f32, y: f32| pos2(r.left() + x * r.width(), r.top() + y * r.height());
    match icon {
        Icon::Pause => {
            for x in [0.1, 0.6] {
                p.rect_filled(Rect::from_min_max(at(x, 0.0), at(x + 0.3, 1.0)), 1.0, colour);
            }
        }
        Icon::Play => drop(p.add(Shape::convex_polygon(vec![at(0.1, 0.0), at(1.0, 0.5), at(0.1, 1.0)], colour, Stroke::NONE))),
        Icon::Cut => drop(p.rect_filled(r.shrink(1.0), 2.0, colour)),
        Icon::Delete => {
            p.line_segment([at(0.0, 0.2), at(1.0, 0.2)], line);
            p.line_segment([at(0.35, 0.02), at(0.65, 0.02)], line);
            p.add(Shape::line(vec![at(0.14, 0.2), at(0.22, 1.0), at(0.78, 1.0), at(0.86, 0.2)], line));
        }
        Icon::Export => {
            p.line_segment([at(0.5, 0.0), at(0.5, 0.65)], line);
            p.add(Shape::line(vec![at(0.22, 0.4), at(0.5, 0.68), at(0.78, 0.4)], line));
            p.add(Shape::line(vec![at(0.0, 0.72), at(0.0, 1.0), at(1.0, 1.0), at(1.0, 0.72)], line));
        }
        Icon::History => {
            p.circle_stroke(r.center(), r.width() * 0.52, line);
            p.add(Shape::line(vec![at(0.5, 0.2), at(0.5, 0.52), at(0.74, 0.66)], line));
        }
        Icon::Captions => {
            p.rect_stroke(Rect::from_min_max(at(-0.05, 0.1), at(1.05, 0.9)), 2.0, line, egui::StrokeKind::Middle);
            p.line_segment([at(0.15, 0.66), at(0.6, 0.66)], line);
            p.line_segment([at(0.7, 0.66), at(0.85, 0.66)], line);
        }
        Icon::Settings => {
            for (y, x) in [(0.12, 0.7), (0.5, 0.25), (0.88, 0.6)] {
                p.line_segment([at(0.0, y), at(1.0, y)], line);
                p.circle_filled(at(x, y), 2.6, colour);
            }
        }
        Icon::Close => {
            p.line_segment([at(0.15, 0.15), at(0.85, 0.85)], line);
            p.line_segment([at(0.85, 0.15), at(0.15, 0.85)], line);
        }
        Icon::More => drop(p.add(Shape::line(vec![at(0.15, 0.35), at(0.5, 0.7), at(0.85, 0.35)], line))),
        Icon::All => {
            for y in [0.14, 0.5, 0.86] {
                p.line_segment([at(0.0, y), at(1.0, y)], line);
            }
        }
        Icon::Window => {
            p.rect_stroke(r, 2.0, line, egui::StrokeKind::Middle);
            p.line_segment([at(0.0, 0.25), at(1.0, 0.25)], line);
        }
        Icon::Bell => {
            p.add(Shape::line(
                vec![
                    at(0.05, 0.78),
                    at(0.2, 0.6),
                    at(0.22, 0.3),
                    at(0.5, 0.05),
                    at(0.78, 0.3),
                    at(0.8, 0.6),
                    at(0.95, 0.78),
                    at(0.05, 0.78),
                ],
                line,
            ));
            p.circle_filled(at(0.5, 0.95), 1.6, colour);
        }
    }
}

/// Adds the picture of an emotion: a face, or a warning triangle for [`Emotion::Urgent`]. `label` is the picture's name for screen
/// readers and its tooltip.
pub(super) fn emotion(ui: &mut Ui, emotion: Emotion, label: &str, colour: Color32) {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(FACE_SIDE), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, label));
    let response = response.on_hover_text(label);
    if !ui.is_rect_visible(response.rect) {
        return;
    }
    let (p, c, line) = (ui.painter(), rect.center(), Stroke::new(1.4, colour));
    if emotion == Emotion::Urgent {
        let corners = vec![c + vec2(0.0, -8.0), c + vec2(8.5, 7.0), c + vec2(-8.5, 7.0)];
        p.add(Shape::closed_line(corners, Stroke::new(1.8, colour)));
        p.line_segment([c + vec2(0.0, -2.5), c + vec2(0.0, 2.0)], Stroke::new(1.8, colour));
        p.circle_filled(c + vec2(0.0, 4.6), 1.1, colour);
        return;
    }
    p.circle_stroke(c, 7.5, line);
    for x in [-2.6, 2.6] {
        p.circle_filled(c + vec2(x, -1.8), 1.1, colour);
    }
    // Distance of the middle of the mouth below its corners, in points.
    let bow = match emotion {
        Emotion::Happy => 2.4,
        Emotion::Sad => -2.2,
        Emotion::Angry => -1.2,
        Emotion::Surprise | Emotion::Normal | Emotion::Urgent => 0.0,
    };
    if emotion == Emotion::Surprise {
        p.circle_stroke(c + vec2(0.0, 3.0), 1.7, line);
    } else {
        p.add(Shape::line(vec![c + vec2(-3.2, 3.0 - bow / 2.0), c + vec2(0.0, 3.0 + bow / 2.0), c + vec2(3.2, 3.0 - bow / 2.0)], line));
    }
    if emotion == Emotion::Angry {
        p.line_segment([c + vec2(-4.4, -5.0), c + vec2(-1.4, -3.6)], line);
        p.line_segment([c + vec2(4.4, -5.0), c + vec2(1.4, -3.6)], line);
    }
}
