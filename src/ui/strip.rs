//! The decision strip: one column for every 0.4 s, one row for every mode. Silence shows as patience.

use egui::{Align2, FontId, Pos2, Rect, Sense, Vec2};

use super::{strings, theme};
use crate::time::{CHUNK_SAMPLES, StreamTime};
use crate::transcript::{ChunkTick, Kind, Transcript};

const ROW: f32 = 20.0;
const COLUMN: f32 = 9.0;
const NAMES: f32 = 90.0;

/// Paints the newest decisions of every mode that is on; time runs with the audio, not with the frames.
pub(super) fn strip_ui(ui: &mut egui::Ui, transcript: &Transcript) {
    let modes: Vec<&String> = transcript.modes.iter().collect();
    let size = Vec2::new(ui.available_width(), ROW * modes.len().max(1) as f32);
    let (area, response) = ui.allocate_exact_size(size, Sense::hover());
    let columns = ((area.width() - NAMES) / COLUMN).max(0.0) as u64;
    let label = describe(transcript);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &label));
    let painter = ui.painter_at(area);
    for (row, mode) in modes.iter().enumerate() {
        let middle = area.top() + ROW * (row as f32 + 0.5);
        let colour = ui.visuals().weak_text_color();
        painter.text(
            Pos2::new(area.left() + 4.0, middle),
            Align2::LEFT_CENTER,
            strings::mode(mode),
            FontId::proportional(theme::SMALL),
            colour,
        );
        for tick in transcript.strips.get(*mode).into_iter().flatten().rev().take(columns as usize) {
            let Some(x) = place(tick.at, transcript.now, columns) else { continue };
            let centre = Pos2::new(area.left() + NAMES + x, middle);
            match tick.kind {
                Kind::Silent => drop(painter.circle_filled(centre, 1.5, colour)),
                Kind::Drained => drop(painter.circle_stroke(centre, 2.0, (1.0, colour))),
                Kind::Respond => {
                    painter.rect_filled(Rect::from_center_size(centre, Vec2::new(COLUMN - 2.0, ROW - 6.0)), 2.0, theme::REPLYING);
                }
            }
        }
    }
    if let Some((mode, tick)) = response.hover_pos().and_then(|at| hovered(at, area, &modes, transcript, columns)) {
        response.on_hover_text(explain(mode, tick, transcript));
    }
}

/// Distance from the names at which the chunk that ends at `at` stands; None when it has left on the left.
fn place(at: StreamTime, now: StreamTime, columns: u64) -> Option<f32> {
    let ago = (now.0 - at.0) / CHUNK_SAMPLES as u64;
    columns.checked_sub(ago + 1).map(|column| (column as f32 + 0.5) * COLUMN)
}

fn hovered<'a>(at: Pos2, area: Rect, modes: &[&'a String], transcript: &'a Transcript, columns: u64) -> Option<(&'a str, &'a ChunkTick)> {
    let mode = *modes.get(((at.y - area.top()) / ROW) as usize)?;
    let column = ((at.x - area.left() - NAMES) / COLUMN).floor();
    let near = |tick: &&ChunkTick| place(tick.at, transcript.now, columns).is_some_and(|x| (x / COLUMN).floor() == column);
    transcript.strips.get(mode)?.iter().rev().find(near).map(|tick| (mode.as_str(), tick))
}

fn explain(mode: &str, tick: &ChunkTick, transcript: &Transcript) -> String {
    let what = match tick.kind {
        Kind::Silent => "stayed silent",
        Kind::Drained => "caught up",
        Kind::Respond => "responded",
    };
    let text = transcript.replies.iter().find(|r| Some(r.id) == tick.reply).map_or("", |r| r.text.as_str());
    format!("{}  {mode} {what}  {text}", tick.at)
}

/// The strip in words, for those who do not see it.
fn describe(transcript: &Transcript) -> String {
    let of = |mode: &String| {
        let replies = transcript.strips.get(mode).into_iter().flatten().filter(|t| t.kind == Kind::Respond).count();
        format!("{mode}: {replies} responses in {} decisions", transcript.strips.get(mode).map_or(0, |s| s.len()))
    };
    format!("Decisions. {}", transcript.modes.iter().map(of).collect::<Vec<_>>().join("; "))
}
