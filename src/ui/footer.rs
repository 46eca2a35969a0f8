//! The footer: where the words stay, and for how long; at the right, faults only.

use egui::{Label, RichText, Ui};

use super::actions::{Action, Actions, Dialog};
use super::controls::spread;
use super::frame::FrameData;
use super::icons::{self, Icon};
use super::input_level::LevelAdvice;
use super::status_bar::{advice_ui, is_roomy};
use super::strings::{Strings, fill};
use super::theme::{self, Palette};
use crate::history::{HistoryState, HistoryStatus};
use crate::transcript::{Notice, NoticeKind};

/// Height of the footer without its margins, in points.
const HEIGHT: f32 = 18.0;
/// Width of the footer below which it has room for one promise only, in points.
const NARROW: f32 = 340.0;
/// Side of an icon in the footer, in points.
const ICON_SIDE: f32 = 13.0;
/// Audio time for which a notice that is no fault stays, in seconds.
const NEWS_SECS: f64 = 20.0;

/// Paints the footer. `kept` is the text of [`history_text`]. Paints `advice` on the input level only where the header has no room
/// for it.
pub(super) fn footer_ui(ui: &mut Ui, data: &FrameData<'_>, kept: &str, advice: LevelAdvice, actions: &mut Actions) {
    let s = data.s;
    ui.spacing_mut().interact_size.y = HEIGHT;
    let narrow = ui.available_width() < NARROW;
    spread(
        ui,
        ("footer", HEIGHT),
        actions,
        |ui, actions| {
            if link_ui(ui, Icon::Lock, s.privacy).on_hover_text(s.privacy_hint).clicked() {
                actions.push(Action::Open(Dialog::Privacy));
            }
            if !narrow && link_ui(ui, Icon::Calendar, kept).on_hover_text(s.history_hint).clicked() {
                actions.push(Action::Open(Dialog::History));
            }
            if !data.readings.recording && !theme::is_compact(ui.ctx()) {
                ui.label(RichText::new(s.audio_not).weak().small());
            }
        },
        |ui, _| faults_ui(ui, data, advice),
    );
}

/// Paints the advice on the input level if the header has no room for it, the mark that the sound is recorded, and the newest notice
/// that is a fault or news.
fn faults_ui(ui: &mut Ui, data: &FrameData<'_>, advice: LevelAdvice) {
    let (s, p) = (data.s, Palette::of(ui.visuals()));
    if !is_roomy(ui) {
        advice_ui(ui, s, advice);
    }
    if data.readings.recording {
        let label = ui.label(RichText::new(format!("• {}", s.recording)).color(p.fault).small());
        if data.readings.kept_awake {
            label.on_hover_text(s.files.kept_awake);
        }
    }
    let Some(notice) = data.transcript.notices.iter().rev().find(|notice| is_shown(data, notice)) else { return };
    let text = format!("{}  {}", data.time(notice.at), s.notice(&notice.kind));
    let fault = is_fault(&notice.kind);
    ui.set_max_width(ui.ctx().content_rect().width() / 2.0);
    if fault {
        icons::mark(ui, Icon::Notice, ICON_SIDE, p.urgent);
    }
    let shown = RichText::new(&text).small().color(if fault { p.urgent } else { p.weak });
    ui.add(Label::new(shown).truncate()).on_hover_text(&text);
}

/// Returns true for a notice that something did not work; another model or microphone is news, and a trimmed context neither.
const fn is_fault(kind: &NoticeKind) -> bool {
    matches!(kind, NoticeKind::AudioGap { .. } | NoticeKind::Problem { .. } | NoticeKind::NotShown)
}

fn is_shown(data: &FrameData<'_>, notice: &Notice) -> bool {
    let is_news = matches!(notice.kind, NoticeKind::ModelChanged { .. } | NoticeKind::InputChanged { .. });
    is_fault(&notice.kind) || is_news && data.transcript.now.secs_since(notice.at) < NEWS_SECS
}

/// Adds an icon with a text in small letters, both of which can be clicked.
fn link_ui(ui: &mut Ui, icon: Icon, text: &str) -> egui::Response {
    icons::mark(ui, icon, ICON_SIDE, ui.visuals().weak_text_color());
    ui.spacing_mut().button_padding = [theme::EDGE, 0.0].into();
    ui.add(egui::Button::new(RichText::new(text).weak().small()).frame(false))
}

/// Returns a few words for the user on the history: not kept, failing, kept for ever, or kept for a number of days.
pub(super) fn history_text(s: &Strings, status: &HistoryStatus) -> String {
    match status.state {
        HistoryState::Off => s.kept_not.to_owned(),
        HistoryState::Failing(_) => s.kept_failing.to_owned(),
        HistoryState::On if status.prefs.days == 0 => s.kept_ever.to_owned(),
        HistoryState::On => fill(s.kept_days, status.prefs.days),
    }
}
