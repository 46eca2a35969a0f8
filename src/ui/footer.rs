//! The footer: privacy, history, speed, and the newest notice.

use egui::{RichText, Ui};

use super::frame::FrameData;
use super::input_level::LevelAdvice;
use super::status_bar::{LATE_SECS, advice_ui, is_roomy};
use super::strings::{Strings, fill};
use super::theme;
use crate::history::{HistoryState, HistoryStatus};

/// Shortest computing time per chunk that the footer shows, in milliseconds.
const MIN_SHOWN_MS: f32 = 0.5;
/// Computing time per chunk below which the footer shows three decimals of a second instead of two, in milliseconds.
const THREE_DECIMALS_MS: f32 = 9.5;

/// Paints the footer: privacy, the model's computing time and lag, and the newest notice. `kept` is the text of [`history_text`].
/// Paints `advice` on the input level only if the status bar has no room for the advice.
pub(super) fn footer_ui(ui: &mut Ui, data: &FrameData<'_>, kept: &str, advice: LevelAdvice) {
    let (s, t, readings) = (data.s, data.transcript, data.readings);
    let speed = if readings.lag_secs > LATE_SECS { fill(s.behind, format_args!("{:.0}", readings.lag_secs)) } else { s.on_time.into() };
    // There is no cost before the first chunk, nor while the gate is closed.
    let speed =
        if readings.chunk_ms >= MIN_SHOWN_MS { format!("{}, {speed}", fill(s.chunk_cost, seconds(readings.chunk_ms))) } else { speed };
    let audio = if readings.recording { String::new() } else { format!(" · {}", s.audio_not) };
    let privacy = format!("{} · {kept}{audio}", s.privacy);
    let notice = t.notices.back().map(|notice| format!("{}  {}", data.time(notice.at), s.notice(&notice.kind)));
    if theme::is_compact(ui.ctx()) {
        // One line, the newest notice first, and the source and model that a larger window shows in its bar.
        ui.horizontal(|ui| {
            warnings_ui(ui, data, advice);
            let notice = notice.map_or_else(String::new, |notice| format!("{notice} · "));
            let text = format!("{notice}{} · {} · {privacy} · {speed}", t.source, t.model);
            ui.add(egui::Label::new(RichText::new(&text).weak().small()).truncate()).on_hover_text(&text);
        });
        return;
    }
    ui.horizontal_wrapped(|ui| {
        warnings_ui(ui, data, advice);
        ui.label(RichText::new(format!("{privacy} · {speed}")).weak().small());
        if let Some(text) = notice {
            ui.separator();
            ui.add(egui::Label::new(RichText::new(&text).small()).truncate()).on_hover_text(&text);
        }
    });
}

/// Paints `advice` on the input level if the status bar has no room for the advice, and a mark while the session's audio is being
/// recorded.
fn warnings_ui(ui: &mut Ui, data: &FrameData<'_>, advice: LevelAdvice) {
    if !is_roomy(ui) {
        advice_ui(ui, data.s, advice);
    }
    if data.readings.recording {
        ui.label(RichText::new(format!("• {}", data.s.recording)).color(theme::states(ui.visuals()).fault).small());
    }
}

/// Returns a short text for the user on how the history is kept: not at all, failing, for ever, or for a number of days.
pub(super) fn history_text(s: &Strings, status: &HistoryStatus) -> String {
    match status.state {
        HistoryState::Off => s.kept_not.to_owned(),
        HistoryState::Failing(_) => s.kept_failing.to_owned(),
        HistoryState::On if status.prefs.days == 0 => s.kept_ever.to_owned(),
        HistoryState::On => fill(s.kept_days, status.prefs.days),
    }
}

/// Returns `ms` milliseconds as a number of seconds in text form, with three decimals below [`THREE_DECIMALS_MS`], else two.
fn seconds(ms: f32) -> String {
    if ms < THREE_DECIMALS_MS { format!("{:.3}", ms / 1e3) } else { format!("{:.2}", ms / 1e3) }
}
