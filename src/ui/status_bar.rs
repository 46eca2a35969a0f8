//! The status bar: the state of the session in words, the level meter, and the controls.

use std::time::Instant;

use egui::{Color32, RichText, Role, Sense, Ui, WidgetInfo, vec2};

use super::device_menu::DeviceMenu;
use super::frame::FrameData;
use super::input_level::{LevelAdvice, LevelMonitor, LevelReading};
use super::mode_controls::{mode_bar_ui, modes_in_bar};
use super::strings::{Strings, fill};
use super::theme;
use super::toolbar::{self, Controls};
use crate::transcript::InputState;

/// Width from which the status bar has all controls in one row, in points.
const ONE_ROW: f32 = 1_330.0;
/// Width of the longest text of the session's state ("Listening", "Quiet since …"), in points.
const MAX_STATE_WIDTH: f32 = 168.0;
/// Smallest width that a narrow window leaves for the text of the session's state, in points.
const MIN_STATE_WIDTH: f32 = 60.0;
/// Width of all that stands beside the state text in the status bar of a compact window (dot, three buttons, space), in points.
const BESIDE_STATE: f32 = 180.0;
/// Width below which the window has a short level meter, and no time in its state text, in points.
const NARROW_STATE: f32 = 400.0;
/// Width from which the window has room for the advice on the input level beside the meter, in points.
const ROOMY: f32 = 960.0;
/// Lag of the model behind the sound above which the window shows the lag, in seconds.
pub(super) const LATE_SECS: f32 = 2.0;
/// Width and height of the space that contains the coloured dot of the session's state, in points.
const DOT_SPACE: [f32; 2] = [16.0, HEIGHT];
/// Radius of the coloured dot of the session's state, in points.
const DOT_RADIUS: f32 = 6.0;
/// Height of the state text and of the level meter, in points.
const HEIGHT: f32 = 24.0;
/// Width of the level meter, in points.
const METER_WIDTH: f32 = 84.0;
/// Width of the level meter in a narrow window, in points.
const SHORT_METER_WIDTH: f32 = 50.0;
/// Number of bars of the level meter.
const BARS: usize = 14;
/// Width of a bar of the level meter, in points.
const BAR_WIDTH: f32 = 3.5;
/// Heights of the first and of the last bar of the level meter, in points; the bars between grow evenly.
const BAR_HEIGHTS: [f32; 2] = [6.0, 18.0];
/// Input level up to which no bar of the level meter is lit, in dBFS: the level of a quiet room.
const METER_FLOOR_DBFS: f32 = -60.0;

/// The state of the status bar between frames.
#[derive(Debug, Default)]
pub(super) struct StatusBar {
    level: LevelMonitor,
    /// Advice on the input level in the frame painted last.
    advice: LevelAdvice,
    /// Menu of microphones.
    pub(super) devices: DeviceMenu,
}

impl StatusBar {
    /// Returns the advice on the input level in the frame painted last.
    pub(super) const fn advice(&self) -> LevelAdvice {
        self.advice
    }

    /// Paints the status bar: one row in a wide window, else two. A compact window has a menu for the rarer controls. A low window
    /// has only one row, with the modes in the row or in the menu.
    pub(super) fn show(&mut self, ui: &mut Ui, data: &FrameData<'_>, controls: &mut Controls<'_>) {
        let right_to_left = egui::Layout::right_to_left(egui::Align::Center);
        if theme::is_compact(ui.ctx()) {
            ui.horizontal(|ui| {
                self.state_and_meter_ui(ui, data);
                if modes_in_bar(ui) {
                    ui.separator();
                    mode_bar_ui(ui, data, controls.actions);
                }
                ui.with_layout(right_to_left, |ui| toolbar::compact_tools_ui(ui, data, &mut self.devices, controls));
            });
            if !theme::is_low(ui.ctx()) {
                ui.horizontal_wrapped(|ui| mode_bar_ui(ui, data, controls.actions));
            }
        } else if ui.available_width() < ONE_ROW {
            ui.horizontal(|ui| {
                self.state_and_meter_ui(ui, data);
                ui.with_layout(right_to_left, |ui| toolbar::tools_ui(ui, data, controls));
            });
            ui.horizontal_wrapped(|ui| {
                mode_bar_ui(ui, data, controls.actions);
                toolbar::source_ui(ui, data, &mut self.devices, controls.actions);
            });
        } else {
            ui.horizontal(|ui| {
                self.state_and_meter_ui(ui, data);
                toolbar::source_ui(ui, data, &mut self.devices, controls.actions);
                ui.separator();
                mode_bar_ui(ui, data, controls.actions);
                ui.with_layout(right_to_left, |ui| toolbar::tools_ui(ui, data, controls));
            });
        }
    }

    fn state_and_meter_ui(&mut self, ui: &mut Ui, data: &FrameData<'_>) {
        state_ui(ui, data);
        let passes_gate = data.is_capturing() && data.transcript.quiet_since.is_none();
        let reading = passes_gate.then_some(LevelReading { dbfs: data.readings.level_dbfs, peak: data.readings.peak });
        self.advice = self.level.update(reading, Instant::now());
        meter_ui(ui, data.s, reading, self.advice);
        if is_roomy(ui) {
            advice_ui(ui, data.s, self.advice);
        }
    }
}

/// Returns true if the window has room for the advice on the input level beside the level meter.
pub(super) fn is_roomy(ui: &Ui) -> bool {
    ui.ctx().content_rect().width() >= ROOMY
}

/// Paints the state of the session as a coloured dot and a word: never as a colour alone.
fn state_ui(ui: &mut Ui, data: &FrameData<'_>) {
    let window_width = ui.ctx().content_rect().width();
    let (text, colour) = state(data, ui.visuals(), window_width);
    ui.horizontal(|ui| {
        let (dot, _) = ui.allocate_exact_size(DOT_SPACE.into(), Sense::hover());
        ui.painter().circle_filled(dot.center(), DOT_RADIUS, colour);
        // A fixed width keeps everything beside the state in place.
        let width = (window_width - BESIDE_STATE - meter_width(window_width)).clamp(MIN_STATE_WIDTH, MAX_STATE_WIDTH);
        ui.allocate_ui_with_layout(vec2(width, HEIGHT), egui::Layout::left_to_right(egui::Align::Center), |ui| {
            ui.set_min_width(width);
            ui.add(egui::Label::new(RichText::new(text).color(colour).strong().size(theme::LARGE)).truncate());
        });
    });
}

/// Returns the session's state as text and colour: the first of these that applies: ended, input lost, paused, loading, late,
/// speaking, replying, quiet, listening.
fn state(data: &FrameData<'_>, visuals: &egui::Visuals, window_width: f32) -> (String, Color32) {
    let (s, t, readings, colours) = (data.s, data.transcript, data.readings, theme::states(visuals));
    if t.finished {
        (s.ended.into(), colours.fault)
    } else if t.input() == InputState::Lost {
        (s.no_input.into(), colours.fault)
    } else if t.is_paused() {
        (s.paused.into(), colours.fault)
    } else if readings.loading {
        (s.loading.into(), colours.quiet)
    } else if readings.lag_secs > LATE_SECS {
        (fill(s.behind, format_args!("{:.0}", readings.lag_secs)), colours.fault)
    } else if t.speaking.is_some() {
        (s.speaking.into(), colours.replying)
    } else if readings.replying {
        (s.replying.into(), colours.replying)
    } else if let Some(since) = t.quiet_since {
        let narrow = window_width < NARROW_STATE;
        (if narrow { s.quiet_short.to_owned() } else { fill(s.quiet, data.time(since)) }, colours.quiet)
    } else {
        (s.listening.into(), colours.listening)
    }
}

fn meter_ui(ui: &mut Ui, s: &Strings, reading: Option<LevelReading>, advice: LevelAdvice) {
    let colours = theme::states(ui.visuals());
    let hint = advice_text(s, advice).unwrap_or(s.level);
    let (rect, response) = ui.allocate_exact_size(vec2(meter_width(ui.ctx().content_rect().width()), HEIGHT), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, hint));
    let share = reading.map_or(0.0, |reading| ((reading.dbfs - METER_FLOOR_DBFS) / -METER_FLOOR_DBFS).clamp(0.0, 1.0));
    for bar in 0..BARS {
        let x = rect.left() + (bar as f32 + 0.5) * rect.width() / BARS as f32;
        let lit = share * BARS as f32 > bar as f32;
        let colour = match advice {
            _ if !lit => ui.visuals().widgets.inactive.weak_bg_fill,
            LevelAdvice::TooLoud => colours.fault,
            _ => colours.listening,
        };
        let height = BAR_HEIGHTS[0] + (BAR_HEIGHTS[1] - BAR_HEIGHTS[0]) * bar as f32 / BARS as f32;
        let bar = egui::Rect::from_center_size(egui::pos2(x, rect.center().y), vec2(BAR_WIDTH, height));
        ui.painter().rect_filled(bar, theme::RADIUS_BAR, colour);
    }
    response.on_hover_text(hint);
}

/// Paints the first words of the advice on the input level, up to the colon, with the full text as a tooltip. Paints nothing for
/// [`LevelAdvice::None`].
pub(super) fn advice_ui(ui: &mut Ui, s: &Strings, advice: LevelAdvice) {
    if let Some(text) = advice_text(s, advice) {
        let words = text.split([':', '：']).next().unwrap_or(text);
        ui.label(RichText::new(words).color(theme::states(ui.visuals()).fault).small()).on_hover_text(text);
    }
}

const fn advice_text(s: &Strings, advice: LevelAdvice) -> Option<&'static str> {
    match advice {
        LevelAdvice::None => None,
        LevelAdvice::TooLoud => Some(s.clipping),
        LevelAdvice::TooQuiet => Some(s.too_quiet),
    }
}

const fn meter_width(window_width: f32) -> f32 {
    if window_width < NARROW_STATE { SHORT_METER_WIDTH } else { METER_WIDTH }
}
