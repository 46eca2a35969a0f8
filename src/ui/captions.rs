//! The captions: a window above all others with the newest words, painted only when they change.

use std::sync::{Arc, Mutex};

use egui::{Color32, RichText, ViewportBuilder, ViewportClass, ViewportCommand, ViewportId};

use super::event_thread::{SessionData, captions_viewport};
use super::icons::{self, Icon};
use super::strings::Strings;
use crate::config::prefs::CaptionPrefs;
use crate::supervise::lock;
use crate::transcript::Transcript;

/// Longest text of a caption line, in characters; a longer text is cut to its end.
const MAX_CHARS: usize = 160;
/// Smallest width and height of the captions window, in points.
const MIN_SIZE: [f32; 2] = [200.0, 60.0];
/// Smallest width of the captions window that is stored in the preferences, in points; a window that is just opening reports
/// less.
const MIN_REPORTED_WIDTH: f32 = 100.0;
/// Margin around the text of the captions, in points.
const MARGIN: i8 = 14;
/// Radius of the corners of the captions window, in points.
const RADIUS: u8 = 10;
/// Font size of the placeholder shown before the first caption, as a share of the font size of captions.
const PLACEHOLDER_SHARE: f32 = 0.7;
/// Grey of the placeholder shown before the first caption, from 0 (black) to 255 (white).
const PLACEHOLDER_GREY: u8 = 190;
/// Text colour of translations in the captions; the original is white.
const TRANSLATION_COLOUR: Color32 = Color32::from_rgb(255, 226, 150);
/// Distance by which the area that resizes the captions window reaches from its lower right corner inwards, in points.
const CORNER_INSIDE: f32 = 8.0;
/// Distance by which the area that resizes the captions window reaches from its lower right corner outwards, in points.
const CORNER_OUTSIDE: f32 = 12.0;
/// Distance between the three diagonal lines that mark the resizing corner, in points.
const CORNER_STEP: f32 = 4.0;
/// Grey of the lines that mark the resizing corner, from 0 (black) to 255 (white).
const CORNER_GREY: u8 = 170;

/// The main window's handle of the captions window, through which it is opened and closed.
#[derive(Debug, Default)]
pub(super) struct CaptionsWindow {
    pub(super) open: bool,
    shared: Arc<Mutex<CaptionsState>>,
}

/// The data that the main window and the captions window share, behind a lock.
#[derive(Debug, Default)]
struct CaptionsState {
    prefs: CaptionPrefs,
    /// True from when the user closes the captions until the main window has noticed.
    close: bool,
    /// True while the captions are shown.
    open: bool,
}

impl CaptionsWindow {
    /// Shows the captions window if the field `open` is true, and stores the window's place and size in `prefs`; to be called in
    /// each frame of the main window. The captions window is built with the place and size in `saved`, which stay the same while
    /// the user moves it.
    pub(super) fn show(
        &mut self,
        ui: &egui::Ui,
        prefs: &mut CaptionPrefs,
        saved: &CaptionPrefs,
        session: &Arc<SessionData>,
        s: &'static Strings,
    ) {
        {
            let mut state = lock(&self.shared);
            if std::mem::take(&mut state.close) {
                self.open = false;
            }
            if state.open {
                (prefs.position, prefs.extent) = (state.prefs.position, state.prefs.extent);
            }
            state.open = self.open;
            state.prefs = prefs.clone();
        }
        if !self.open {
            return;
        }
        let mut builder = ViewportBuilder::default()
            .with_title(s.captions)
            .with_app_id("hearken")
            .with_decorations(false)
            .with_transparent(true)
            .with_always_on_top()
            .with_taskbar(false)
            .with_min_inner_size(MIN_SIZE)
            .with_inner_size(saved.extent);
        if let Some(position) = saved.position {
            builder = builder.with_position(position);
        }
        let (session, shared) = (Arc::clone(session), Arc::clone(&self.shared));
        ui.ctx().show_viewport_deferred(captions_viewport(), builder, move |ui, class| captions_ui(ui, class, &session, &shared, s));
    }
}

fn captions_ui(ui: &mut egui::Ui, class: ViewportClass, session: &SessionData, shared: &Mutex<CaptionsState>, s: &Strings) {
    let mut state = lock(shared);
    let own_window = class != ViewportClass::EmbeddedWindow;
    if own_window {
        store_place(ui, &mut state.prefs);
    }
    let fill = Color32::from_black_alpha((state.prefs.opacity * 255.0) as u8);
    let frame = egui::Frame::new().fill(fill).corner_radius(RADIUS).inner_margin(MARGIN);
    frame.show(ui, |ui| {
        ui.set_min_size(if own_window { ui.available_size() } else { egui::vec2(state.prefs.extent[0], MIN_SIZE[1]) });
        let whole = ui.max_rect();
        let ground = ui.interact(whole, ui.scope_id().with("move"), egui::Sense::drag());
        if own_window && ground.drag_started() {
            ui.ctx().send_viewport_cmd(ViewportCommand::StartDrag);
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Min), |ui| {
            let closed =
                |i: &egui::InputState| i.viewport().close_requested() || i.key_pressed(egui::Key::Escape) || i.key_pressed(egui::Key::F11);
            if icons::small(ui, Icon::Close, s.captions_close, s.captions_close).clicked() || own_window && ui.input(closed) {
                state.close = true;
                ui.ctx().request_repaint_of(ViewportId::ROOT);
            }
            // A window too small for all lines shows the newest, at its bottom.
            let layout = if own_window { egui::Layout::bottom_up(egui::Align::Min) } else { egui::Layout::top_down(egui::Align::Min) };
            ui.with_layout(layout, |ui| lines_ui(ui, &newest_lines(&session.transcript(), &state.prefs), &state.prefs, s));
        });
        if own_window {
            resize_corner_ui(ui, whole);
        }
    });
}

fn lines_ui(ui: &mut egui::Ui, lines: &[(String, Color32)], prefs: &CaptionPrefs, s: &Strings) {
    let bottom_up = ui.layout().main_dir() == egui::Direction::BottomUp;
    if lines.is_empty() {
        let text = RichText::new(s.captions_wait).color(Color32::from_gray(PLACEHOLDER_GREY));
        ui.label(text.size(prefs.size * PLACEHOLDER_SHARE));
    }
    for n in 0..lines.len() {
        let (text, colour) = &lines[if bottom_up { lines.len() - 1 - n } else { n }];
        let text = egui::WidgetText::from(RichText::new(text).color(*colour).size(prefs.size));
        let galley = text.into_galley(ui, Some(egui::TextWrapMode::Wrap), ui.available_width(), egui::TextStyle::Body);
        // Half of an older line says nothing; of the newest, as much is shown as there is room for.
        if bottom_up && n > 0 && galley.size().y > ui.available_height() {
            break;
        }
        ui.add(egui::Label::new(galley));
    }
}

/// Returns the caption lines, each as text and colour: the newest `prefs.lines` utterances, oldest first, each followed by its
/// translation if `prefs.bilingual`. A translation without an original is included in any case.
fn newest_lines(t: &Transcript, prefs: &CaptionPrefs) -> Vec<(String, Color32)> {
    let from = t.rows.len().saturating_sub(usize::from(prefs.lines));
    let mut lines = Vec::new();
    for row in &t.rows[from..] {
        let original = row.utterance.map(|n| &t.utterances[n]);
        let translation = row.translation.map(|n| &t.translations[n]);
        lines.extend(original.map(|line| (tail(&line.text), Color32::WHITE)));
        if prefs.bilingual || original.is_none() {
            lines.extend(translation.map(|line| (tail(&line.text), TRANSLATION_COLOUR)));
        }
    }
    lines
}

/// Returns the last [`MAX_CHARS`] characters of `text`, after an ellipsis if `text` is longer.
fn tail(text: &str) -> String {
    let count = text.chars().count();
    if count <= MAX_CHARS { text.to_owned() } else { ['…'].into_iter().chain(text.chars().skip(count - MAX_CHARS)).collect() }
}

fn store_place(ui: &egui::Ui, prefs: &mut CaptionPrefs) {
    let (outer, inner) = ui.input(|i| (i.viewport().outer_rect, i.viewport().inner_rect));
    if let Some(outer) = outer {
        prefs.position = Some([outer.left(), outer.top()]);
    }
    if let Some(inner) = inner.filter(|r| r.width() >= MIN_REPORTED_WIDTH) {
        prefs.extent = [inner.width(), inner.height()];
    }
}

/// Paints the lower right corner of the captions window, whose area is `whole`, and resizes the window when the user drags the
/// corner. The window has no decorations of its own.
fn resize_corner_ui(ui: &egui::Ui, whole: egui::Rect) {
    let corner = egui::Rect::from_min_max(whole.max - egui::Vec2::splat(CORNER_INSIDE), whole.max + egui::Vec2::splat(CORNER_OUTSIDE));
    let response = ui.interact(corner, ui.scope_id().with("size"), egui::Sense::drag()).on_hover_cursor(egui::CursorIcon::ResizeSouthEast);
    if response.drag_started() {
        ui.ctx().send_viewport_cmd(ViewportCommand::BeginResize(egui::ResizeDirection::SouthEast));
    }
    for n in 1..=3 {
        let by = n as f32 * CORNER_STEP + CORNER_STEP;
        let (a, b) = (corner.right_bottom() - egui::vec2(by, CORNER_STEP), corner.right_bottom() - egui::vec2(CORNER_STEP, by));
        ui.painter().line_segment([a, b], (1.0, Color32::from_gray(CORNER_GREY)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_caption_is_cut_to_its_end() {
        assert_eq!(tail("short"), "short");
        let long = tail(&format!("{}end", "你".repeat(500)));
        assert!(long.starts_with('…') && long.ends_with("end") && long.chars().count() == 161);
    }
}
