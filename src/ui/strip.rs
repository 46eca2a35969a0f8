//! The decision strip: one column for every 0.4 s, one row for every mode. Silence shows as patience.

use egui::{Align2, Color32, FontId, Pos2, Rect, Role, Sense, Vec2, WidgetInfo, pos2};

use super::strings::Strings;
use super::{HearkenApp, theme};
use crate::protocol::Panel;
use crate::time::{CHUNK_SAMPLES, SAMPLE_RATE_HZ, StreamTime};
use crate::transcript::{DecisionKind, DecisionTick, Transcript};

/// Height of a row; in a small window; and in one so low that it has room for neither names nor scale.
const ROW: f32 = 18.0;
const LOW_ROW: f32 = 13.0;
const BARE_ROW: f32 = 6.0;
const COLUMN: f32 = 9.0;
const NAMES: f32 = 92.0;
/// Height of the scale below the rows, and seconds from one of its marks to the next.
const SCALE: f32 = 16.0;
const MARK_SECS: u64 = 10;

/// Where times stand: the newest chunk in the last column.
#[derive(Clone, Copy)]
struct Scale {
    left: f32,
    right: f32,
    /// Where the rows end.
    bottom: f32,
    now: StreamTime,
    /// Height of a row.
    row: f32,
}

impl Scale {
    /// Middle of the column of the chunk that ends at `at`; None when it has left on the left.
    fn x(&self, at: StreamTime) -> Option<f32> {
        let ago = (self.now.0 - at.0) as f32 / CHUNK_SAMPLES as f32;
        let x = self.right - (ago + 0.5) * COLUMN;
        (x > self.left).then_some(x)
    }
}

impl HearkenApp {
    /// Paints the newest decisions of every mode that is on; time runs with the audio, not with the frames.
    pub(super) fn strip_ui(&mut self, ui: &mut egui::Ui, transcript: &Transcript) {
        let modes: Vec<String> = self.settings.modes.iter().map(|m| m.name.clone()).filter(|m| transcript.modes.contains(m)).collect();
        let bare = theme::is_low(ui.ctx());
        let row = match (bare, theme::is_compact(ui.ctx())) {
            (true, _) => BARE_ROW,
            (false, true) => LOW_ROW,
            (false, false) => ROW,
        };
        let (names, foot) = if bare { (0.0, 0.0) } else { (NAMES, SCALE) };
        let size = Vec2::new(ui.available_width().max(0.0), row * modes.len().max(1) as f32 + foot);
        let (area, response) = ui.allocate_exact_size(size, Sense::click());
        let label = describe(self.s, transcript, &modes);
        response.widget_info(|| WidgetInfo::labeled(Role::Group, true, &label));
        // While a lane replies its own time stands still, but the room's goes on.
        let lag = (f64::from(self.session.engine.meters().read().lag_secs) * f64::from(SAMPLE_RATE_HZ)) as u64;
        let now = StreamTime::from_samples(transcript.now.0.0 + lag);
        let scale = Scale { left: area.left() + names, right: area.right() - 2.0, bottom: area.bottom() - foot, now, row };
        let painter = ui.painter_at(area);
        let weak = ui.visuals().weak_text_color();
        paint_quiet(&painter, area, scale, transcript, ui.visuals().faint_bg_color);
        if !bare {
            self.paint_scale(&painter, area, scale, ui.visuals());
        }
        for (n, mode) in modes.iter().enumerate() {
            let middle = area.top() + row * (n as f32 + 0.5);
            let font = FontId::proportional(theme::SMALL);
            if !bare {
                painter.text(pos2(area.left(), middle), Align2::LEFT_CENTER, self.s.mode(mode), font, weak);
            }
            for tick in transcript.strips.get(mode).into_iter().flatten().rev().map_while(|t| scale.x(t.at).map(|x| (t, x))) {
                self.paint_tick(&painter, ui.visuals(), tick, middle, scale);
            }
        }
        if let Some((mode, tick)) = response.hover_pos().and_then(|at| hovered(at, area, &modes, transcript, scale)) {
            self.view.pointed = tick.reply.filter(|_| transcript.panel_of(mode) == Panel::Conversation);
            if response.clicked() {
                self.go_to_line(transcript, mode, tick);
            }
            let text = self.explain(mode, tick, transcript, now);
            response.on_hover_text_at_pointer(text);
        }
    }

    /// How long ago it was, every ten seconds.
    fn paint_scale(&self, painter: &egui::Painter, area: Rect, scale: Scale, visuals: &egui::Visuals) {
        let (weak, line) = (visuals.weak_text_color(), visuals.widgets.noninteractive.bg_stroke);
        let (font, foot) = (FontId::proportional(theme::SMALL - 1.0), area.bottom() - SCALE / 2.0 + 2.0);
        painter.text(pos2(scale.right, foot), Align2::RIGHT_CENTER, self.s.now, font.clone(), weak);
        let right = scale.right - 0.5 * COLUMN;
        for mark in 1.. {
            let x = right - (mark * MARK_SECS * u64::from(SAMPLE_RATE_HZ)) as f32 / CHUNK_SAMPLES as f32 * COLUMN;
            if x < scale.left + 24.0 {
                return;
            }
            painter.line_segment([pos2(x, area.top()), pos2(x, area.bottom() - SCALE)], line);
            painter.text(pos2(x, foot), Align2::CENTER_CENTER, super::strings::fill(self.s.secs_ago, mark * MARK_SECS), font.clone(), weak);
        }
    }

    fn paint_tick(&self, painter: &egui::Painter, visuals: &egui::Visuals, (tick, x): (&DecisionTick, f32), middle: f32, scale: Scale) {
        let weak = visuals.weak_text_color();
        match tick.kind {
            DecisionKind::Silent => drop(painter.circle_filled(pos2(x, middle), 1.4, weak)),
            DecisionKind::Drained => drop(painter.circle_stroke(pos2(x, middle), 1.8, (0.8, weak))),
            DecisionKind::Respond => {
                let colour = theme::states(visuals).replying;
                let pointed = tick.reply.is_some() && tick.reply == self.view.pointed;
                let end = match (tick.reply, tick.until) {
                    (Some(_), None) => scale.right,
                    (_, Some(until)) => scale.x(until).map_or(x, |end| end.max(x)),
                    (None, None) => x,
                };
                let half = COLUMN / 2.0 - 1.0;
                let thin = if scale.row < LOW_ROW { 1.0 } else { 2.0 };
                // The mark is the decision, the bar after it the reply that it started.
                let bar = Rect::from_min_max(pos2(x - half, middle - thin), pos2(end + half, middle + thin));
                painter.rect_filled(bar, 2.0, colour.gamma_multiply(if pointed { 1.0 } else { 0.55 }));
                let reach = (scale.row / 2.0 - 3.0).max(2.5);
                let mark = Rect::from_min_max(pos2(x - half, middle - reach), pos2(x + half, middle + reach));
                painter.rect_filled(if pointed { mark.expand(1.0) } else { mark }, 2.0, colour);
            }
        }
    }

    fn go_to_line(&mut self, transcript: &Transcript, mode: &str, tick: &DecisionTick) {
        self.view.tab = transcript.panel_of(mode);
        match transcript.panel_of(mode) {
            Panel::Conversation => {
                if let Some(n) = transcript.replies.iter().position(|r| Some(r.id) == tick.reply) {
                    self.view.talk.go_to(n);
                }
            }
            Panel::Transcript | Panel::Translation => {
                self.view.speech.go_to(transcript.rows.partition_point(|row| row.from < tick.at).saturating_sub(1));
            }
            Panel::Sounds => self.view.sounds.go_to(transcript.sounds.partition_point(|s| s.first <= tick.at).saturating_sub(1)),
        }
    }

    fn explain(&self, mode: &str, tick: &DecisionTick, transcript: &Transcript, now: StreamTime) -> String {
        let s = self.s;
        let what = match tick.kind {
            DecisionKind::Silent => s.stayed_silent,
            DecisionKind::Drained => s.caught_up,
            DecisionKind::Respond => s.responded,
        };
        let text = said(mode, tick, transcript);
        let gap = if text.is_empty() { "" } else { "\n" };
        let level = self.session.engine.meters().level_at(tick.at).filter(|level| level.is_finite());
        let level = level.map_or_else(String::new, |level| format!(" · {level:.0} dBFS"));
        format!("{} · {}{level}\n{}: {what}{gap}{text}", self.session.heard.time(tick.at), s.ago(tick.at, now), s.mode(mode))
    }
}

fn paint_quiet(painter: &egui::Painter, area: Rect, scale: Scale, transcript: &Transcript, colour: Color32) {
    let open = transcript.quiet_since.map(|since| (since, scale.now));
    for (from, to) in transcript.quiets.iter().copied().chain(open) {
        let Some(right) = scale.x(to) else { continue };
        let left = scale.x(from).unwrap_or(scale.left);
        if right > left {
            painter.rect_filled(Rect::from_min_max(pos2(left, area.top()), pos2(right, scale.bottom)), 3.0, colour);
        }
    }
}

fn hovered<'a>(at: Pos2, area: Rect, modes: &'a [String], transcript: &'a Transcript, scale: Scale) -> Option<(&'a str, &'a DecisionTick)> {
    let mode = modes.get(((at.y - area.top()) / scale.row) as usize)?;
    let near = |tick: &&DecisionTick| {
        let begin = scale.x(tick.at);
        let end = tick.until.and_then(|until| scale.x(until)).or(begin);
        begin.zip(end).is_some_and(|(begin, end)| (begin - COLUMN / 2.0..=end.max(begin) + COLUMN / 2.0).contains(&at.x))
    };
    // A reply's bar lies over the ticks that it delayed: the mark that began it comes first.
    let ticks = || transcript.strips.get(mode).into_iter().flatten().rev().take_while(|t| scale.x(t.at).is_some());
    let exact = |tick: &&DecisionTick| scale.x(tick.at).is_some_and(|x| (x - at.x).abs() <= COLUMN / 2.0);
    ticks().find(exact).or_else(|| ticks().find(near)).map(|tick| (mode.as_str(), tick))
}

/// The words that belong to a tick.
fn said<'a>(mode: &str, tick: &DecisionTick, t: &'a Transcript) -> &'a str {
    if tick.kind != DecisionKind::Respond {
        return "";
    }
    let inside = |lines: &'a [crate::transcript::SpeechLine]| {
        let place = lines.partition_point(|line| line.from < tick.at);
        place.checked_sub(1).map(|n| lines[n].text.as_str())
    };
    let found = match t.panel_of(mode) {
        Panel::Conversation => t.replies.iter().rev().find(|r| Some(r.id) == tick.reply).map(|r| r.text.as_str()),
        Panel::Transcript => inside(&t.utterances),
        Panel::Translation => inside(&t.translations),
        Panel::Sounds => t.sounds.iter().rev().find(|s| s.first <= tick.at && tick.at <= s.last).map(|s| s.name.as_str()),
    };
    found.unwrap_or("")
}

/// The strip in words, for those who do not see it.
fn describe(s: &Strings, transcript: &Transcript, modes: &[String]) -> String {
    let of = |mode: &String| {
        let ticks = transcript.strips.get(mode);
        let replies = ticks.into_iter().flatten().filter(|t| t.kind == DecisionKind::Respond).count();
        let all = ticks.map_or(0, std::collections::VecDeque::len);
        super::strings::fill(&super::strings::fill(&super::strings::fill(s.strip_mode, s.mode(mode)), replies), all)
    };
    format!("{} {}", s.strip_label, modes.iter().map(of).collect::<Vec<_>>().join("; "))
}
