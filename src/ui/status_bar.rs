//! The header: the state of the session, to be seen from across the room, and the controls.

use std::sync::Arc;
use std::time::Instant;

use egui::{Frame, Label, Margin, Rect, RichText, Ui, ViewportCommand, vec2};

use super::announce;
use super::app_icon;
use super::controls::spread;
use super::device_menu::DeviceMenu;
use super::frame::FrameData;
use super::input_level::{LevelAdvice, LevelMonitor, LevelReading};
use super::mode_controls::{mode_bar_ui, modes_in_bar};
use super::session_state::SessionState;
use super::state_mark::{StateMark, hatch};
use super::strings::{self, Strings, fill};
use super::theme::{self, Palette, bold};
use super::toolbar::{self, Controls};
use super::urgent_banner::UrgentBanner;
use crate::protocol::Speak;

/// Side of the mark of the state, in points: in a large window, in a compact one, and in a low one.
const MARK_SIDES: [f32; 3] = [52.0, 36.0, 32.0];
/// Font size of the state: in a large window, in a compact one, and in a low one.
const WORD_SIZES: [f32; 3] = [theme::DISPLAY, theme::LARGE, theme::MEDIUM];
/// Height of the row of modes and source in a large window, in points.
const MODES_HEIGHT: f32 = 36.0;
/// Smallest width kept for the state, in points.
const MIN_WORD_WIDTH: f32 = 48.0;
/// Width of the window from which there is room for advice beside the state, in points.
const ROOMY: f32 = 960.0;
/// Level up to which the mark stands still: that of a quiet room, in dBFS.
const FLOOR_DBFS: f32 = -60.0;
/// Margin above and below the header in a large window, in points.
const HEADER_MARGIN: i8 = 8;

/// The header between frames.
#[derive(Debug, Default)]
pub(super) struct StatusBar {
    level: LevelMonitor,
    advice: LevelAdvice,
    mark: StateMark,
    pub(super) urgent: UrgentBanner,
    pub(super) devices: DeviceMenu,
    /// Choice of the replies that were spoken before the voice was muted; None before that.
    pub(super) spoke: Option<Speak>,
    /// Area of the header in the frame painted last.
    area: Option<Rect>,
    /// Title and state that the desktop shows.
    told: Option<(String, SessionState)>,
}

impl StatusBar {
    /// Returns the advice on the input level in the frame painted last.
    pub(super) const fn advice(&self) -> LevelAdvice {
        self.advice
    }

    /// Paints the header above the other parts of the window: state, tools, modes and source; below it the banner of an urgent
    /// reply. Returns the lower edge of header and banner, in points.
    pub(super) fn show(&mut self, ui: &mut Ui, data: &FrameData<'_>, controls: &mut Controls<'_>) -> f32 {
        let state = SessionState::of(data.transcript, data.readings);
        self.tell_desktop(ui, data, state);
        let p = Palette::of(ui.visuals());
        let margin = if theme::is_compact(ui.ctx()) { theme::margin(ui.ctx()) } else { HEADER_MARGIN };
        let frame = Frame::new().fill(p.band(state.colour(ui.visuals()))).inner_margin(Margin::symmetric(theme::SIDE_MARGIN, margin));
        let shown = egui::Panel::top("status").frame(frame).show_separator_line(false).show(ui, |ui| {
            if let Some(area) = self.area.filter(|_| state == SessionState::Paused) {
                hatch(&ui.painter().with_clip_rect(area), area, p.quiet);
            }
            self.rows_ui(ui, data, state, controls);
        });
        self.area = Some(shown.response.rect);
        self.urgent.show(ui, data, shown.response.rect.bottom())
    }

    fn rows_ui(&mut self, ui: &mut Ui, data: &FrameData<'_>, state: SessionState, controls: &mut Controls<'_>) {
        let Self { level, advice, mark, devices, .. } = self;
        let passes_gate = data.is_capturing() && data.transcript.quiet_since.is_none();
        let reading = passes_gate.then_some(LevelReading {
            dbfs: data.readings.level_dbfs,
            peak: data.readings.peak,
            speech_dbfs: data.readings.speech_dbfs,
        });
        *advice = level.update(reading, Instant::now());
        let level = reading.map(|reading| share_of_level(reading.dbfs));
        let mut inputs = (controls, devices, mark);
        if theme::is_compact(ui.ctx()) {
            spread(
                ui,
                ("header", MARK_SIDES[1 + usize::from(theme::is_low(ui.ctx()))]),
                &mut inputs,
                |ui, (controls, _, mark)| {
                    state_ui(ui, data, state, mark, level);
                    if modes_in_bar(ui) {
                        mode_bar_ui(ui, data, controls.actions);
                    }
                },
                |ui, (controls, devices, _)| toolbar::compact_tools_ui(ui, data, devices, level, controls),
            );
            if !theme::is_low(ui.ctx()) {
                mode_bar_ui(ui, data, inputs.0.actions);
            }
            return;
        }
        let advice = *advice;
        spread(
            ui,
            ("header", MARK_SIDES[0]),
            &mut inputs,
            |ui, (_, _, mark)| {
                state_ui(ui, data, state, mark, level);
                if is_roomy(ui) {
                    advice_ui(ui, data.s, advice);
                }
            },
            |ui, (controls, ..)| toolbar::tools_ui(ui, data, controls),
        );
        spread(
            ui,
            ("modes and source", MODES_HEIGHT),
            &mut inputs,
            |ui, (controls, ..)| mode_bar_ui(ui, data, controls.actions),
            |ui, (controls, devices, _)| toolbar::source_ui(ui, data, devices, level, controls.actions),
        );
    }

    /// Gives the desktop a title and an icon that say the state, when they have changed.
    fn tell_desktop(&mut self, ui: &Ui, data: &FrameData<'_>, state: SessionState) {
        let s = data.s;
        let word = if self.urgent.reply(data.transcript).is_some() { Some(s.title_urgent) } else { state.title(s) };
        let title = word.map_or_else(|| strings::TITLE.to_owned(), |word| fill(s.title_state, word));
        let told = (title, state);
        if self.told.as_ref() == Some(&told) {
            return;
        }
        ui.ctx().send_viewport_cmd(ViewportCommand::Title(told.0.clone()));
        ui.ctx().send_viewport_cmd(ViewportCommand::Icon(Some(Arc::new(app_icon::icon_of(state)))));
        self.told = Some(told);
    }
}

/// Returns true if the window has room for the advice on the input level beside the state.
pub(super) fn is_roomy(ui: &Ui) -> bool {
    ui.ctx().content_rect().width() >= ROOMY
}

/// Returns a level from 0, that of a quiet room, to 1, full scale.
pub(super) fn share_of_level(dbfs: f32) -> f32 {
    ((dbfs - FLOOR_DBFS) / -FLOOR_DBFS).clamp(0.0, 1.0)
}

/// Paints mark and word of the state, and below the word, where there is room, since when or of what.
fn state_ui(ui: &mut Ui, data: &FrameData<'_>, state: SessionState, mark: &mut StateMark, level: Option<f32>) {
    let size = match (theme::is_low(ui.ctx()), theme::is_compact(ui.ctx())) {
        (true, _) => 2,
        (false, true) => 1,
        (false, false) => 0,
    };
    mark.show(ui, state, level, MARK_SIDES[size]);
    let colour = state.colour(ui.visuals());
    let word = bold(state.word(data.s, data.readings), WORD_SIZES[size]).color(colour);
    let Some(detail) = (size == 0).then(|| detail(data, state)).flatten() else {
        ui.set_min_width(MIN_WORD_WIDTH);
        announce::politely(&ui.add(Label::new(word).truncate()));
        return;
    };
    ui.allocate_ui_with_layout(vec2(ui.available_width(), MARK_SIDES[0]), egui::Layout::top_down(egui::Align::Min), |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        announce::politely(&ui.add(Label::new(word).truncate()));
        ui.add(Label::new(RichText::new(detail).small().weak()).truncate());
    });
}

/// Returns a sentence on the state, where there is one to say.
fn detail(data: &FrameData<'_>, state: SessionState) -> Option<String> {
    let (s, t) = (data.s, data.transcript);
    match state {
        SessionState::Quiet => t.quiet_since.map(|since| fill(s.since, data.time(since))),
        SessionState::Paused => Some(s.paused_detail.to_owned()),
        _ => None,
    }
}

/// Paints the first words of the advice on the input level, up to the colon, with the full text as a tooltip. Paints nothing for
/// [`LevelAdvice::None`].
pub(super) fn advice_ui(ui: &mut Ui, s: &Strings, advice: LevelAdvice) {
    if let Some(text) = advice_text(s, advice) {
        let words = text.split([':', '：']).next().unwrap_or(text);
        ui.label(RichText::new(words).color(Palette::of(ui.visuals()).urgent)).on_hover_text(text);
    }
}

const fn advice_text(s: &Strings, advice: LevelAdvice) -> Option<&'static str> {
    match advice {
        LevelAdvice::None => None,
        LevelAdvice::TooLoud => Some(s.clipping),
        LevelAdvice::TooQuiet => Some(s.too_quiet),
    }
}
