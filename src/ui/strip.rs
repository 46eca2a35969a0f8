//! The decision rows below the ribbon: one column per chunk (0.4 s), one row per mode. Dots are chunks to which a mode only
//! listened.

use egui::{Align2, FontId, Painter, Pos2, Rect, Role, Sense, Ui, Vec2, Visuals, WidgetInfo, pos2};

use super::frame::FrameData;
use super::panels::PanelsState;
use super::ribbon::now;
use super::state_mark::hatch;
use super::strings::{Strings, fill, fill_all};
use super::theme;
use crate::protocol::{Panel, ReplyId};
use crate::time::{CHUNK_SAMPLES, SAMPLE_RATE_HZ, StreamTime};
use crate::transcript::{DecisionKind, DecisionTick, SpeechLine, Transcript};

/// Height of a row of the decision strip in a large window, in points.
const ROW: f32 = 18.0;
/// Height of a row of the decision strip in a compact window, in points.
const COMPACT_ROW: f32 = 13.0;
/// Width of a column of the decision strip, which stands for a chunk of sound, in points.
const COLUMN: f32 = 9.0;
/// Width of the names of the modes, before the first column of the decision strip, in points.
const NAMES: f32 = 92.0;
/// Height of the time scale below the rows of the decision strip, in points.
const SCALE: f32 = 16.0;
/// Distance between two marks of the time scale, in seconds.
const MARK_SECS: u64 = 10;
/// Smallest distance of a mark of the time scale from the left edge of the columns, in points.
const MARK_MARGIN: f32 = 24.0;
/// Space to the right of the newest column of the decision strip, in points.
const RIGHT_MARGIN: f32 = 2.0;
/// Radius of the dot of a chunk with the decision "silent", in points.
const SILENT_RADIUS: f32 = 1.4;
/// Radius of the ring of a drained chunk (fed to the model without a decision), in points.
const DRAINED_RADIUS: f32 = 1.8;
/// Line width of the ring of a drained chunk (fed to the model without a decision), in points.
const DRAINED_LINE: f32 = 0.8;
/// Half the height of the bar that shows the length of a reply, in a large or compact window, in points.
const BAR_HALF: f32 = 2.0;
/// Opacity of the bar of a reply that is not under the pointer, from 0 to 1.
const BAR_DIM: f32 = 0.55;
/// Radius of the corners of the bars of replies and of the marks of responses, in points.
const MARK_RADIUS: f32 = 2.0;
/// Space above and below the mark of a response within its row, in points.
const MARK_GAP: f32 = 3.0;
/// Smallest half height of the mark of a response, in points.
const MIN_MARK_HALF: f32 = 2.5;

/// The mapping from stream time to the horizontal position in the decision strip. The strip's last column is the chunk that ends at
/// `now`.
#[derive(Clone, Copy)]
pub(super) struct TimeScale {
    /// Left edge of the columns, in points.
    pub(super) left: f32,
    /// Right edge of the newest column, in points.
    pub(super) right: f32,
    pub(super) now: StreamTime,
    /// Height of a row, in points.
    pub(super) row_height: f32,
    /// Width of a column, in points.
    pub(super) column: f32,
}

impl TimeScale {
    /// Returns the horizontal middle, in points, of the column of the chunk that ends at `at`; `None` if the column lies to the left
    /// of the strip.
    pub(super) fn x(&self, at: StreamTime) -> Option<f32> {
        let columns = (self.now.0 - at.0) as f32 / CHUNK_SAMPLES as f32;
        let x = self.right - (columns + 0.5) * self.column;
        (x > self.left).then_some(x)
    }

    /// Returns the left and right ends of the stretches on the screen in which the quiet gate was closed.
    pub(super) fn quiets(self, t: &Transcript) -> impl Iterator<Item = (f32, f32)> {
        let current = t.quiet_since.map(|since| (since, self.now));
        t.quiets.iter().copied().chain(current).filter_map(move |(from, to)| {
            let (left, right) = (self.x(from).unwrap_or(self.left), self.x(to)?);
            (right > left).then_some((left, right))
        })
    }
}

/// Paints the rows: the newest decisions of each mode, with tooltips. A click on a decision scrolls the panel of the decision's mode
/// to the reply, or to the line of the decision's time.
pub(super) fn strip_ui(ui: &mut Ui, panels: &mut PanelsState, data: &FrameData<'_>) {
    let (s, t) = (data.s, data.transcript);
    // A row for each mode, on or off: switching one moves nothing.
    let modes: Vec<&str> = data.settings.modes.iter().map(|mode| mode.name.as_str()).collect();
    let row_height = if theme::is_compact(ui.ctx()) { COMPACT_ROW } else { ROW };
    let size = Vec2::new(ui.available_width().max(0.0), row_height * modes.len().max(1) as f32 + SCALE);
    let (area, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Group, true, s.decision_rows));
    let now = now(data);
    let (left, right, bottom) = (area.left() + NAMES, area.right() - RIGHT_MARGIN, area.bottom() - SCALE);
    let scale = TimeScale { left, right, now, row_height, column: COLUMN };
    let painter = ui.painter_at(area);
    for (left, right) in scale.quiets(t) {
        hatch(&painter, Rect::from_min_max(pos2(left, area.top()), pos2(right, bottom)), theme::Palette::of(ui.visuals()).quiet);
    }
    paint_scale(&painter, area, scale, s, ui.visuals());
    for (n, mode) in modes.iter().enumerate() {
        let middle = area.top() + row_height * (n as f32 + 0.5);
        let font = FontId::proportional(theme::SMALL);
        painter.text(pos2(area.left(), middle), Align2::LEFT_CENTER, s.mode(mode), font, ui.visuals().weak_text_color());
        for tick in t.strips.get(*mode).into_iter().flatten().rev() {
            let Some(x) = scale.x(tick.at) else { break };
            paint_tick(&painter, ui.visuals(), (tick, panels.hovered), pos2(x, middle), scale);
        }
    }
    if let Some((mode, tick)) = response.hover_pos().and_then(|at| tick_at(at, area, &modes, t, scale)) {
        panels.hovered = tick.reply.filter(|_| t.panel_of(mode) == Panel::Conversation);
        if response.clicked() {
            scroll_to_line(panels, t, mode, tick);
        }
        response.on_hover_text_at_pointer(tooltip(data, mode, tick, now));
    }
}

/// Paints the time scale of the decision strip: "now" at the right, and to the left a line every [`MARK_SECS`] with the number of
/// seconds before now.
fn paint_scale(painter: &Painter, area: Rect, scale: TimeScale, s: &Strings, visuals: &Visuals) {
    let (weak, line) = (visuals.weak_text_color(), visuals.widgets.noninteractive.bg_stroke);
    let (font, foot) = (FontId::proportional(theme::SMALL - 1.0), area.bottom() - SCALE / 2.0 + RIGHT_MARGIN);
    painter.text(pos2(scale.right, foot), Align2::RIGHT_CENTER, s.now, font.clone(), weak);
    let right = scale.right - 0.5 * COLUMN;
    for mark in 1.. {
        let x = right - (mark * MARK_SECS * u64::from(SAMPLE_RATE_HZ)) as f32 / CHUNK_SAMPLES as f32 * COLUMN;
        if x < scale.left + MARK_MARGIN {
            return;
        }
        painter.line_segment([pos2(x, area.top()), pos2(x, area.bottom() - SCALE)], line);
        painter.text(pos2(x, foot), Align2::CENTER_CENTER, fill(s.secs_ago, mark * MARK_SECS), font.clone(), weak);
    }
}

/// Paints the mark of the decision `tick` at the point `at`, and the bar of the reply that the decision has started. Mark and bar
/// stand out if that reply is `hovered`.
fn paint_tick(painter: &Painter, visuals: &Visuals, (tick, hovered): (&DecisionTick, Option<ReplyId>), at: Pos2, scale: TimeScale) {
    let weak = visuals.weak_text_color();
    match tick.kind {
        DecisionKind::Silent => drop(painter.circle_filled(at, SILENT_RADIUS, weak)),
        DecisionKind::Drained => drop(painter.circle_stroke(at, DRAINED_RADIUS, (DRAINED_LINE, weak))),
        DecisionKind::Respond => {
            let colour = theme::Palette::of(visuals).replying;
            let is_hovered = tick.reply.is_some() && tick.reply == hovered;
            let end = match (tick.reply, tick.until) {
                (Some(_), None) => scale.right,
                (_, Some(until)) => scale.x(until).map_or(at.x, |end| end.max(at.x)),
                (None, None) => at.x,
            };
            let half_width = COLUMN / 2.0 - 1.0;
            let bar = Rect::from_min_max(pos2(at.x - half_width, at.y - BAR_HALF), pos2(end + half_width, at.y + BAR_HALF));
            painter.rect_filled(bar, MARK_RADIUS, colour.gamma_multiply(if is_hovered { 1.0 } else { BAR_DIM }));
            let half = (scale.row_height / 2.0 - MARK_GAP).max(MIN_MARK_HALF);
            let mark = Rect::from_center_size(at, 2.0 * Vec2::new(half_width, half));
            painter.rect_filled(if is_hovered { mark.expand(1.0) } else { mark }, MARK_RADIUS, colour);
        }
    }
}

/// Scrolls the panels to the line of a decision of the mode `mode`.
pub(super) fn scroll_to_line(panels: &mut PanelsState, t: &Transcript, mode: &str, tick: &DecisionTick) {
    panels.tab = t.panel_of(mode);
    panels.stream.scroll_to(t, t.panel_of(mode), tick);
    match t.panel_of(mode) {
        Panel::Conversation => {
            if let Some(n) = t.replies.iter().position(|r| Some(r.id) == tick.reply) {
                panels.conversation.scroll_to(n);
            }
        }
        Panel::Transcript | Panel::Translation => {
            panels.speech.scroll_to(t.rows.partition_point(|row| row.from < tick.at).saturating_sub(1));
        }
        Panel::Sounds => panels.sounds.scroll_to(t.sounds.partition_point(|s| s.first <= tick.at).saturating_sub(1)),
    }
}

/// Returns the tooltip of a decision in the strip: time, input level, mode, kind of decision, and the text that the mode has written.
pub(super) fn tooltip(data: &FrameData<'_>, mode: &str, tick: &DecisionTick, now: StreamTime) -> String {
    let s = data.s;
    let decision = match tick.kind {
        DecisionKind::Silent => s.stayed_silent,
        DecisionKind::Drained => s.caught_up,
        DecisionKind::Respond => s.responded,
    };
    let text = text_of(mode, tick, data.transcript);
    let gap = if text.is_empty() { "" } else { "\n" };
    let level = data.meters.level_at(tick.at).filter(|level| level.is_finite());
    let level = level.map_or_else(String::new, |level| format!(" · {level:.0} dBFS"));
    format!("{} · {}{level}\n{}: {decision}{gap}{text}", data.time(tick.at), s.ago(tick.at, now), s.mode(mode))
}

/// Returns the name of the mode and the decision at the point `at` of the strip: the decision in the column there, else the decision
/// whose reply's bar covers the column; `None` if there is neither.
fn tick_at<'a>(at: Pos2, area: Rect, modes: &[&'a str], t: &'a Transcript, scale: TimeScale) -> Option<(&'a str, &'a DecisionTick)> {
    let mode = *modes.get(((at.y - area.top()) / scale.row_height) as usize)?;
    let covers = |tick: &&DecisionTick| {
        let begin = scale.x(tick.at);
        let end = tick.until.and_then(|until| scale.x(until)).or(begin);
        begin.zip(end).is_some_and(|(begin, end)| (begin - COLUMN / 2.0..=end.max(begin) + COLUMN / 2.0).contains(&at.x))
    };
    let ticks = || t.strips.get(mode).into_iter().flatten().rev().take_while(|t| scale.x(t.at).is_some());
    let in_column = |tick: &&DecisionTick| scale.x(tick.at).is_some_and(|x| (x - at.x).abs() <= COLUMN / 2.0);
    ticks().find(in_column).or_else(|| ticks().find(covers)).map(|tick| (mode, tick))
}

/// Returns the text in the panel of the mode `mode` that belongs to a decision: reply, utterance, translation or name of a sound.
/// Returns an empty text for a decision other than "respond".
fn text_of<'a>(mode: &str, tick: &DecisionTick, t: &'a Transcript) -> &'a str {
    if tick.kind != DecisionKind::Respond {
        return "";
    }
    let line_at = |lines: &'a [SpeechLine]| {
        let place = lines.partition_point(|line| line.from < tick.at);
        place.checked_sub(1).map(|n| lines[n].text.as_str())
    };
    let found = match t.panel_of(mode) {
        Panel::Conversation => t.replies.iter().rev().find(|r| Some(r.id) == tick.reply).map(|r| r.text.as_str()),
        Panel::Transcript => line_at(&t.utterances),
        Panel::Translation => line_at(&t.translations),
        Panel::Sounds => t.sounds.iter().rev().find(|s| s.first <= tick.at && tick.at <= s.last).map(|s| s.name.as_str()),
    };
    found.unwrap_or("")
}

/// Returns the name of the decision strip for screen readers, which tells the numbers of responses and decisions of each mode.
pub(super) fn description(s: &Strings, t: &Transcript, modes: &[&str]) -> String {
    let of_mode = |mode: &&str| {
        let ticks = t.strips.get(*mode);
        let responses = ticks.into_iter().flatten().filter(|tick| tick.kind == DecisionKind::Respond).count();
        let decisions = ticks.map_or(0, std::collections::VecDeque::len);
        fill_all(s.strip_mode, &[&s.mode(mode), &responses, &decisions])
    };
    format!("{} {}", s.strip_label, modes.iter().map(of_mode).collect::<Vec<_>>().join("; "))
}
