//! The ribbon: the level of the newest two minutes, one column per chunk (0.4 s). The more a column has the colour of replies, the
//! nearer the model was to speaking; a badge has the icon of a mode that responded; stretches of quiet are hatched.

use egui::epaint::Mesh;
use egui::{Color32, Painter, Rect, Role, Sense, Shape, Ui, WidgetInfo, pos2, vec2};

use super::frame::FrameData;
use super::icons::{self, Icon};
use super::mode_controls::icon_of_panel;
use super::panels::PanelsState;
use super::state_mark::hatch;
use super::status_bar::share_of_level;
use super::strip::{TimeScale, description, scroll_to_line, strip_ui, tooltip};
use super::theme::{self, Palette};
use crate::config::{Mode, WindowPrefs};
use crate::protocol::{Emotion, Panel};
use crate::time::{CHUNK_SAMPLES, SAMPLE_RATE_HZ, StreamTime};
use crate::transcript::{DecisionKind, DecisionTick, Transcript};

/// Height of the ribbon, in points: in a large window, in a compact one, and in a low one.
const HEIGHTS: [f32; 3] = [28.0, 22.0, 12.0];
/// Width of a column and of its bar, in points.
const COLUMN: f32 = 5.0;
const BAR: f32 = 4.0;
/// Smallest height of a bar, and space above and below the highest, in points.
const MIN_BAR: f32 = 2.0;
const BAR_MARGIN: f32 = 3.0;
/// Radius of a badge and side of its icon, in points, and the smallest height of a ribbon with badges.
const BADGE_RADIUS: f32 = 8.5;
const BADGE_ICON: f32 = 11.0;
const BADGE_HEIGHT: f32 = 20.0;
/// Height of the line below a reply that lasts, in points.
const REPLY_LINE: f32 = 2.0;
/// Opacity of a column of which nothing came.
const PLAIN_OPACITY: f32 = 0.45;
/// Width of the button that opens the rows, in points.
const OPEN_WIDTH: f32 = 24.0;

/// A column: the decisions of all modes on a chunk.
#[derive(Clone, Copy, Debug)]
struct Column<'a> {
    at: StreamTime,
    /// Nearness to speaking, from 0 to 1: the model's probability to respond, of the mode for which it was greatest.
    near: f32,
    /// Mode and decision of the weightiest response.
    response: Option<(&'a Mode, &'a DecisionTick)>,
    /// The mode of [`Self::response`] responded to the chunk before as well.
    goes_on: bool,
}

/// Returns the weight of a response among those on the same chunk: replies first, then sounds, then words.
const fn weight(panel: Panel) -> u8 {
    match panel {
        Panel::Conversation => 3,
        Panel::Sounds => 2,
        Panel::Translation => 1,
        Panel::Transcript => 0,
    }
}

/// Paints the ribbon, and below it the rows of the modes while they are open. A click on a response scrolls to its line; any other
/// click opens or closes the rows.
pub(super) fn ribbon_ui(ui: &mut Ui, panels: &mut PanelsState, prefs: &mut WindowPrefs, data: &FrameData<'_>) {
    let low = theme::is_low(ui.ctx());
    let height = HEIGHTS[if low { 2 } else { usize::from(theme::is_compact(ui.ctx())) }];
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        let width = (ui.available_width() - if low { 0.0 } else { OPEN_WIDTH }).max(0.0);
        let (area, response) = ui.allocate_exact_size(vec2(width, height), Sense::click());
        let names: Vec<&str> = data.transcript.modes.iter().map(String::as_str).collect();
        response.widget_info(|| WidgetInfo::labeled(Role::Group, true, description(data.s, data.transcript, &names)));
        let now = now(data);
        let scale = TimeScale { left: area.left(), right: area.right() - BAR_MARGIN, now, row_height: height, column: COLUMN };
        let columns = columns(data, scale, (width / COLUMN) as usize + 1);
        if ui.is_rect_visible(area) {
            paint(ui, data, area, scale, &columns);
        }
        if response.has_focus() {
            ui.painter().rect_stroke(area, theme::RADIUS_SMALL, ui.visuals().selection.stroke, egui::StrokeKind::Inside);
        }
        let hit =
            response.hover_pos().and_then(|at| columns.iter().find(|c| scale.x(c.at).is_some_and(|x| (x - at.x).abs() <= COLUMN / 2.0)));
        let response_hit = hit.and_then(|column| column.response);
        if let Some((mode, tick)) = response_hit {
            panels.hovered = tick.reply.filter(|_| mode.panel == Panel::Conversation);
        }
        if response.clicked() {
            match response_hit {
                Some((mode, tick)) => scroll_to_line(panels, data.transcript, &mode.name, tick),
                None => prefs.decisions_open = !prefs.decisions_open,
            }
        }
        if let Some(column) = hit {
            response.on_hover_text_at_pointer(hint(data, column, now));
        }
        if !low {
            open_button_ui(ui, data, prefs);
        }
    });
    if prefs.decisions_open && !low {
        strip_ui(ui, panels, data);
    }
}

fn open_button_ui(ui: &mut Ui, data: &FrameData<'_>, prefs: &mut WindowPrefs) {
    let (icon, text) = if prefs.decisions_open { (Icon::Up, data.s.hide_decisions) } else { (Icon::Down, data.s.show_decisions) };
    if icons::small(ui, icon, text, text).clicked() {
        prefs.decisions_open = !prefs.decisions_open;
    }
}

/// Returns the stream time at the right edge. While a reply is generated its lane stands still, but audio goes on.
pub(super) fn now(data: &FrameData<'_>) -> StreamTime {
    let lag = (f64::from(data.readings.lag_secs) * f64::from(SAMPLE_RATE_HZ)) as u64;
    StreamTime::from_samples(data.transcript.now.0.0 + lag)
}

/// Returns the columns on the screen, `count` at most, newest first, from the decisions of all modes.
fn columns<'a>(data: &FrameData<'a>, scale: TimeScale, count: usize) -> Vec<Column<'a>> {
    let mut found: Vec<Option<Column<'a>>> = vec![None; count];
    for mode in &data.settings.modes {
        let ticks = data.transcript.strips.get(&mode.name).into_iter().flatten().rev();
        let mut newer: Option<usize> = None;
        for tick in ticks {
            let n = ((scale.now.0 - tick.at.0) as f32 / CHUNK_SAMPLES as f32).round() as usize;
            let Some(place) = found.get_mut(n) else { break };
            let column = place.get_or_insert(Column { at: tick.at, near: 0.0, response: None, goes_on: false });
            let responds = tick.kind == DecisionKind::Respond;
            if mode.panel == Panel::Conversation {
                column.near = column.near.max(nearness(tick.margin, mode.eagerness));
            }
            let outweighs = column.response.is_none_or(|(other, _)| weight(mode.panel) > weight(other.panel));
            let shown = responds && outweighs;
            if shown {
                (column.response, column.goes_on) = (Some((mode, tick)), false);
            }
            // A run of responses has its badge at its first chunk.
            if responds
                && newer == n.checked_sub(1)
                && let Some(Some(after)) = newer.and_then(|n| found.get_mut(n))
            {
                after.goes_on |= after.response.is_some_and(|(other, _)| std::ptr::eq(other, mode));
            }
            newer = responds.then_some(n);
        }
    }
    found.into_iter().flatten().collect()
}

/// Returns the probability to respond that follows from the model's `margin` (respond logit minus silent logit) and the eagerness of
/// the mode; 0 without a margin.
fn nearness(margin: Option<f32>, eagerness: f32) -> f32 {
    margin.map_or(0.0, |margin| 1.0 / (1.0 + (-(margin + eagerness)).exp()))
}

fn paint(ui: &Ui, data: &FrameData<'_>, area: Rect, scale: TimeScale, columns: &[Column<'_>]) {
    let p = Palette::of(ui.visuals());
    let painter = ui.painter_at(area);
    painter.rect_filled(area, theme::RADIUS_SMALL, p.sunken);
    paint_quiet(&painter, area, scale, data.transcript, p.quiet);
    let mut bars = Mesh::default();
    bars.reserve_vertices(4 * columns.len());
    bars.reserve_triangles(2 * columns.len());
    for column in columns {
        let Some(x) = scale.x(column.at) else { continue };
        let level = data.meters.level_at(column.at).map_or(0.0, share_of_level);
        let height = MIN_BAR + level * (area.height() - 2.0 * BAR_MARGIN - MIN_BAR).max(0.0);
        bars.add_colored_rect(Rect::from_center_size(pos2(x, area.center().y), vec2(BAR, height)), colour_of(column, data.transcript, p));
    }
    painter.add(Shape::mesh(bars));
    for column in columns {
        paint_reply_line(&painter, area, scale, column, data.transcript, p);
    }
    if area.height() >= BADGE_HEIGHT {
        paint_badges(&painter, area, scale, columns, data.transcript, p);
    }
}

/// Returns the colour of a column: that of its response, else the more the colour of replies, the nearer the model was to speaking.
fn colour_of(column: &Column<'_>, t: &Transcript, p: &Palette) -> Color32 {
    match column.response {
        Some((mode, tick)) => colour_of_response(mode, tick, t, p),
        None => p.weak.gamma_multiply(PLAIN_OPACITY).lerp_to_gamma(p.replying, column.near),
    }
}

fn colour_of_response(mode: &Mode, tick: &DecisionTick, t: &Transcript, p: &Palette) -> Color32 {
    match mode.panel {
        Panel::Conversation if is_urgent(tick, t) => p.urgent,
        Panel::Conversation => p.replying,
        Panel::Sounds => p.accent,
        Panel::Transcript | Panel::Translation => p.weak,
    }
}

fn is_urgent(tick: &DecisionTick, t: &Transcript) -> bool {
    tick.reply.is_some() && t.replies.iter().rev().any(|reply| Some(reply.id) == tick.reply && reply.emotion == Some(Emotion::Urgent))
}

/// Paints a line for as long as the reply of a column lasted.
fn paint_reply_line(painter: &Painter, area: Rect, scale: TimeScale, column: &Column<'_>, t: &Transcript, p: &Palette) {
    let (Some((mode, tick)), Some(x)) = (column.response, scale.x(column.at)) else { return };
    if mode.panel == Panel::Conversation && tick.reply.is_some() {
        let end = tick.until.map_or(scale.right, |until| scale.x(until).unwrap_or(x));
        let line = Rect::from_min_max(pos2(x, area.bottom() - REPLY_LINE), pos2(end.max(x), area.bottom()));
        painter.rect_filled(line, 0.0, colour_of_response(mode, tick, t, p));
    }
}

/// Paints a badge where a run of responses begins. Of badges that would overlap, only the weightiest is painted.
fn paint_badges(painter: &Painter, area: Rect, scale: TimeScale, columns: &[Column<'_>], t: &Transcript, p: &Palette) {
    let badge = |column: &Column<'_>| {
        let (mode, tick) = column.response.filter(|_| !column.goes_on)?;
        let (mode, tick): (&Mode, DecisionTick) = (mode, *tick);
        Some((
            weight(mode.panel),
            scale.x(column.at)?,
            icon_of_panel(mode.panel),
            is_urgent(&tick, t),
            colour_of_response(mode, &tick, t, p),
        ))
    };
    let mut badges: Vec<_> = columns.iter().filter_map(badge).collect();
    badges.sort_by_key(|badge| std::cmp::Reverse(badge.0));
    let mut taken: Vec<f32> = Vec::with_capacity(badges.len());
    for (_, x, icon, urgent, colour) in badges {
        if taken.iter().any(|other| (other - x).abs() < 2.0 * BADGE_RADIUS + 1.0) {
            continue;
        }
        taken.push(x);
        let centre = pos2(x, area.center().y);
        painter.circle(centre, BADGE_RADIUS, p.ground, (theme::EDGE_WIDTH, colour));
        icons::paint(painter, if urgent { Icon::Warning } else { icon }, centre, BADGE_ICON, colour);
    }
}

/// Hatches the stretches in which the quiet gate was closed.
fn paint_quiet(painter: &Painter, area: Rect, scale: TimeScale, t: &Transcript, colour: Color32) {
    for (left, right) in scale.quiets(t) {
        hatch(painter, area.with_min_x(left).with_max_x(right), colour);
    }
}

/// Returns the tooltip of a column: its weightiest response or a decision on it, and how near the model was to speaking.
fn hint(data: &FrameData<'_>, column: &Column<'_>, now: StreamTime) -> String {
    let of = |mode: &'_ Mode| data.transcript.strips.get(&mode.name).into_iter().flatten().rev().find(|tick| tick.at == column.at).copied();
    let shown = column.response.map(|(mode, tick)| (mode, *tick));
    let Some((mode, tick)) = shown.or_else(|| data.settings.modes.iter().find_map(|mode| Some((mode, of(mode)?)))) else {
        return data.time(column.at);
    };
    let near = if tick.kind == DecisionKind::Silent && column.near > 0.0 {
        format!("\n{}", super::strings::fill(data.s.nearness, format_args!("{:.0}", 100.0 * column.near)))
    } else {
        String::new()
    };
    format!("{}{near}", tooltip(data, &mode.name, &tick, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearness_follows_margin_and_eagerness() {
        assert_eq!(nearness(None, 0.0), 0.0);
        assert_eq!(nearness(Some(0.0), 0.0), 0.5);
        assert!(nearness(Some(-6.0), 0.0) < 0.01);
        assert_eq!(nearness(Some(-2.0), 2.0), 0.5, "an eager mode is nearer to speaking");
    }
}
