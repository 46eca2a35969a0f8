//! The captions overlay: a window of its own above all others, that shows the newest words and is painted only when they
//! change.

use std::sync::{Arc, Mutex, PoisonError};

use egui::{Color32, RichText, ViewportBuilder, ViewportClass, ViewportCommand, ViewportId};

use super::HearkenApp;
use super::event_thread::Heard;
use super::icons::{self, Icon};
use super::strings::Strings;
use crate::config::prefs::CaptionPrefs;
use crate::transcript::Transcript;

/// What the two windows tell each other.
#[derive(Debug, Default)]
pub(super) struct Shared {
    prefs: CaptionPrefs,
    close: bool,
    open: bool,
}

fn id() -> ViewportId {
    ViewportId::from_hash_of("hearken captions")
}

/// Paints the overlay anew, where there is one.
pub(super) fn repaint(ctx: &egui::Context) {
    ctx.request_repaint_of(id());
}

impl HearkenApp {
    pub(super) fn captions_ui(&mut self, ui: &egui::Ui) {
        let shared = Arc::clone(&self.view.captions);
        {
            let mut now = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::take(&mut now.close) {
                self.view.captions_open = false;
            }
            if now.open {
                // What the user did with the overlay itself: where it is and how large.
                (self.prefs.captions.position, self.prefs.captions.extent) = (now.prefs.position, now.prefs.extent);
            }
            now.open = self.view.captions_open;
            now.prefs = self.prefs.captions.clone();
        }
        if !self.view.captions_open {
            return;
        }
        let c = &self.saved.captions;
        let mut builder = ViewportBuilder::default()
            .with_title(self.s.captions)
            .with_app_id("hearken")
            .with_decorations(false)
            .with_transparent(true)
            .with_always_on_top()
            .with_taskbar(false)
            .with_min_inner_size([200.0, 60.0])
            .with_inner_size(c.extent);
        if let Some(position) = c.position {
            builder = builder.with_position(position);
        }
        let (heard, s) = (Arc::clone(&self.session.heard), self.s);
        ui.ctx().show_viewport_deferred(id(), builder, move |ui, class| overlay_ui(ui, class, &heard, &shared, s));
    }
}

fn overlay_ui(ui: &mut egui::Ui, class: ViewportClass, heard: &Heard, shared: &Mutex<Shared>, s: &Strings) {
    let mut now = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let own = class != ViewportClass::EmbeddedWindow;
    if own {
        remember_place(ui, &mut now.prefs);
    }
    let fill = Color32::from_black_alpha((now.prefs.opacity * 255.0) as u8);
    let frame = egui::Frame::new().fill(fill).corner_radius(10).inner_margin(14);
    frame.show(ui, |ui| {
        ui.set_min_size(if own { ui.available_size() } else { egui::vec2(now.prefs.extent[0], 60.0) });
        let whole = ui.max_rect();
        let ground = ui.interact(whole, ui.scope_id().with("move"), egui::Sense::drag());
        if own && ground.drag_started() {
            ui.ctx().send_viewport_cmd(ViewportCommand::StartDrag);
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Min), |ui| {
            if icons::small(ui, Icon::Close, s.captions_close, s.captions_close).clicked()
                || ui
                    .input(|i| own && (i.viewport().close_requested() || i.key_pressed(egui::Key::Escape) || i.key_pressed(egui::Key::F11)))
            {
                now.close = true;
                ui.ctx().request_repaint_of(ViewportId::ROOT);
            }
            // Where there is not room for all, the newest words are those that are seen: they stand at the bottom.
            let layout = if own { egui::Layout::bottom_up(egui::Align::Min) } else { egui::Layout::top_down(egui::Align::Min) };
            ui.with_layout(layout, |ui| {
                let mut lines = newest(&heard.transcript(), &now.prefs);
                if lines.is_empty() {
                    ui.label(RichText::new(s.captions_wait).color(Color32::from_gray(190)).size(now.prefs.size * 0.7));
                }
                if own {
                    lines.reverse();
                }
                for (n, (text, colour)) in lines.into_iter().enumerate() {
                    let text = egui::WidgetText::from(RichText::new(text).color(colour).size(now.prefs.size));
                    let (wrap, width) = (Some(egui::TextWrapMode::Wrap), ui.available_width());
                    let galley = text.into_galley(ui, wrap, width, egui::TextStyle::Body);
                    // Half a line says nothing; of the newest one, as much is seen as there is room for.
                    if own && n > 0 && galley.size().y > ui.available_height() {
                        break;
                    }
                    ui.add(egui::Label::new(galley));
                }
            });
        });
        if own {
            corner_ui(ui, whole);
        }
    });
}

/// The newest words, the oldest first, each translation below what it translates.
fn newest(t: &Transcript, prefs: &CaptionPrefs) -> Vec<(String, Color32)> {
    let from = t.rows.len().saturating_sub(usize::from(prefs.lines));
    let mut lines = Vec::new();
    for row in &t.rows[from..] {
        let said = row.utterance.map(|n| &t.utterances[n]);
        let meant = row.translation.map(|n| &t.translations[n]);
        lines.extend(said.map(|line| (tail(&line.text), Color32::WHITE)));
        if prefs.bilingual || said.is_none() {
            lines.extend(meant.map(|line| (tail(&line.text), Color32::from_rgb(255, 226, 150))));
        }
    }
    lines
}

/// The end of a text that is longer than a caption: what was said last matters.
fn tail(text: &str) -> String {
    const MOST: usize = 160;
    let count = text.chars().count();
    if count <= MOST { text.to_owned() } else { ['…'].into_iter().chain(text.chars().skip(count - MOST)).collect() }
}

fn remember_place(ui: &egui::Ui, prefs: &mut CaptionPrefs) {
    let (outer, inner) = ui.input(|i| (i.viewport().outer_rect, i.viewport().inner_rect));
    if let Some(outer) = outer {
        prefs.position = Some([outer.left(), outer.top()]);
    }
    if let Some(inner) = inner.filter(|r| r.width() >= 100.0) {
        prefs.extent = [inner.width(), inner.height()];
    }
}

/// A corner to pull at: a window without a frame has none.
fn corner_ui(ui: &egui::Ui, whole: egui::Rect) {
    let corner = egui::Rect::from_min_max(whole.max - egui::vec2(8.0, 8.0), whole.max + egui::vec2(12.0, 12.0));
    let response = ui.interact(corner, ui.scope_id().with("size"), egui::Sense::drag()).on_hover_cursor(egui::CursorIcon::ResizeSouthEast);
    if response.drag_started() {
        ui.ctx().send_viewport_cmd(ViewportCommand::BeginResize(egui::ResizeDirection::SouthEast));
    }
    for n in 1..=3 {
        let by = n as f32 * 4.0;
        let (a, b) = (corner.right_bottom() - egui::vec2(by + 4.0, 4.0), corner.right_bottom() - egui::vec2(4.0, by + 4.0));
        ui.painter().line_segment([a, b], (1.0, Color32::from_gray(170)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_caption_shows_its_end() {
        assert_eq!(tail("short"), "short");
        let long = tail(&format!("{}end", "你".repeat(500)));
        assert!(long.starts_with('…') && long.ends_with("end") && long.chars().count() == 161);
    }
}
