//! The round mark of the session's state: a disc with the icon of the state, and a ring around it that follows the level while sound
//! passes the quiet gate.

use egui::{Painter, Pos2, Rect, Sense, Shape, Stroke, Ui, Vec2, pos2};

use super::icons;
use super::session_state::SessionState;
use super::theme::{self, Palette};

/// Radius of the disc in silence and its growth at full level, as shares of the mark's side.
const DISC_RADIUS: f32 = 0.34;
const DISC_GROWTH: f32 = 0.05;
/// Largest radius of the ring around the disc, as a share of the mark's side, and the ring's opacity.
const RING_RADIUS: f32 = 0.5;
const RING_OPACITY: f32 = 0.35;
/// Side of the icon, as a share of the mark's side.
const ICON_SHARE: f32 = 0.36;
/// Seconds in which the ring follows a rise of the level, and a fall, to about two thirds.
const RISE_SECS: f32 = 0.05;
const FALL_SECS: f32 = 0.25;

/// The mark between frames.
#[derive(Debug, Default)]
pub(super) struct StateMark {
    /// Level that the ring shows, from 0 to 1.
    shown: f32,
}

impl StateMark {
    /// Adds the mark, `side` points wide and high. `level` is the level from 0 to 1, None while no sound passes the quiet gate.
    pub(super) fn show(&mut self, ui: &mut Ui, state: SessionState, level: Option<f32>, side: f32) {
        let (rect, _) = ui.allocate_exact_size(Vec2::splat(side), Sense::hover());
        self.follow(level, theme::moves(ui).then(|| ui.input(|i| i.stable_dt)));
        let p = Palette::of(ui.visuals());
        let (painter, colour, centre) = (ui.painter(), state.colour(ui.visuals()), rect.center());
        if self.shown > 0.0 {
            let radius = side * (DISC_RADIUS + (RING_RADIUS - DISC_RADIUS) * self.shown);
            painter.circle_filled(centre, radius, colour.gamma_multiply(RING_OPACITY));
        }
        let radius = side * (DISC_RADIUS + DISC_GROWTH * self.shown);
        if matches!(state, SessionState::Quiet | SessionState::Loading | SessionState::NothingOn) {
            painter.circle(centre, radius, p.ground, Stroke::new(theme::FOCUS_WIDTH, colour));
            icons::paint(painter, state.icon(), centre, side * ICON_SHARE, colour);
        } else {
            painter.circle_filled(centre, radius, colour);
            icons::paint(painter, state.icon(), centre, side * ICON_SHARE, p.ground);
        }
    }

    /// Moves the shown level towards `level` in the `dt` seconds since the frame before; at once without `dt`.
    fn follow(&mut self, level: Option<f32>, dt: Option<f32>) {
        let Some(level) = level else {
            self.shown = 0.0;
            return;
        };
        let Some(dt) = dt else {
            self.shown = level;
            return;
        };
        let secs = if level > self.shown { RISE_SECS } else { FALL_SECS };
        self.shown += (level - self.shown) * (1.0 - (-dt / secs).exp());
    }
}

/// Distance between the lines of a hatched area, and their width, in points.
const HATCH_GAP: f32 = 9.0;
const HATCH_WIDTH: f32 = 2.0;
/// Opacity of the lines of a hatched area.
const HATCH_OPACITY: f32 = 0.28;

/// Paints slanted lines over `area`.
pub(super) fn hatch(painter: &Painter, area: Rect, colour: egui::Color32) {
    let stroke = Stroke::new(HATCH_WIDTH, colour.gamma_multiply(HATCH_OPACITY));
    painter.extend(slants(area, HATCH_GAP).map(|line| Shape::line_segment(line, stroke)));
}

/// Returns the parts within `area` of the lines on which the sum of both coordinates is a multiple of `gap` times √2.
fn slants(area: Rect, gap: f32) -> impl Iterator<Item = [Pos2; 2]> {
    let step = gap * std::f32::consts::SQRT_2;
    let (first, last) = ((area.left() + area.top()) / step, (area.right() + area.bottom()) / step);
    (first.ceil() as i32..=last.floor() as i32).map(move |n| {
        let sum = n as f32 * step;
        let from = (sum - area.bottom()).max(area.left());
        let to = (sum - area.top()).min(area.right());
        [pos2(from, sum - from), pos2(to, sum - to)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_follows_the_level_and_is_still_without_sound() {
        let mut mark = StateMark::default();
        mark.follow(Some(0.8), Some(0.1));
        let risen = mark.shown;
        assert!(risen > 0.6 && risen < 0.8, "{risen}");
        mark.follow(Some(0.0), Some(0.1));
        assert!(mark.shown > 0.3 && mark.shown < risen, "{}", mark.shown);
        mark.follow(None, Some(0.1));
        assert_eq!(mark.shown, 0.0);
        mark.follow(Some(0.5), None);
        assert_eq!(mark.shown, 0.5, "without motion the ring shows the level at once");
    }

    #[test]
    fn hatching_stays_within_its_area() {
        let area = Rect::from_min_max(pos2(3.0, 5.0), pos2(103.0, 33.0));
        let lines: Vec<[Pos2; 2]> = slants(area, 9.0).collect();
        assert!(lines.len() > 8);
        assert!(lines.iter().flatten().all(|point| area.expand(0.01).contains(*point)), "{lines:?}");
    }
}
