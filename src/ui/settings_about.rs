//! The sections of the settings that only inform: keys, diagnostics, and the program itself.

use std::fmt::Write as _;

use egui::{CollapsingHeader, CursorIcon, Frame, RichText, ScrollArea, Stroke, Ui, vec2};

use super::frame::FrameData;
use super::settings_rows::Rows;
use super::strings::{Strings, TITLE, fill};
use super::{app_icon, theme};
use crate::transcript::NoticeKind;

/// Number of newest notices that the diagnostics list.
const NOTICES: usize = 12;
/// Width and height of the program's icon, in points.
const ICON_SIDE: f32 = 56.0;
/// Largest height of the list of third-party licences, in points.
const LICENCES_HEIGHT: f32 = 260.0;
/// Address of Hearken's licence.
const LICENCE: &str = "https://www.apache.org/licenses/LICENSE-2.0";
/// Other people's work in the program, with its licences.
const THIRD_PARTY: &str = include_str!("../../assets/THIRD-PARTY.md");

/// Paints the keys as a table: the caps at the right of what they do.
pub(super) fn keys_ui(rows: &mut Rows<'_>, s: &Strings) {
    let command = if cfg!(target_os = "macos") { "Cmd" } else { "Ctrl" };
    let keys: [(&str, &[&[&str]]); 14] = [
        (s.key_pause, &[&["Space"]]),
        (s.key_pause_anywhere, &[&["F9"], &["Ctrl", "Space"]]),
        (s.key_escape, &[&["Esc"]]),
        (s.key_modes, &[&["1"], &["9"]]),
        (s.history, &[&[command, "F"]]),
        (s.export_title, &[&[command, "E"]]),
        (s.files.listen_key, &[&[command, "O"]]),
        (s.delete_conversation, &[&[command, "Shift", "Delete"]]),
        (s.settings, &[&[command, ","]]),
        (s.captions, &[&["F11"]]),
        (s.key_zoom, &[&[command, "+"], &[command, "−"]]),
        (s.key_zoom_reset, &[&[command, "0"]]),
        (s.key_scroll, &[&["Page Up"], &["Page Down"]]),
        (s.key_ends, &[&["Home"], &["End"]]),
    ];
    for (does, chords) in keys {
        rows.row(does, "", |ui, _| {
            for (n, chord) in chords.iter().enumerate() {
                if n > 0 {
                    ui.label(RichText::new(if does == s.key_modes { "…" } else { "/" }).weak());
                }
                for key in *chord {
                    cap_ui(ui, key);
                }
            }
        });
    }
}

fn cap_ui(ui: &mut Ui, key: &str) {
    let stroke = Stroke::new(1.0, ui.visuals().weak_text_color());
    let margin = egui::Margin::symmetric(theme::GAP as i8, 1);
    Frame::NONE.stroke(stroke).corner_radius(theme::RADIUS_SMALL).inner_margin(margin).show(ui, |ui| ui.label(RichText::new(key).small()));
}

/// Paints the figures of the session for people who look for a fault, and the button that copies them.
pub(super) fn diagnostics_ui(rows: &mut Rows<'_>, data: &FrameData<'_>) {
    let s = data.s;
    for (label, value) in figures(data) {
        rows.row(label, "", |ui, _| drop(ui.add(egui::Label::new(value).selectable(true).wrap())));
    }
    rows.row(s.diagnostics_copy, s.diagnostics_help, |ui, _| {
        if ui.button(s.copy).clicked() {
            ui.ctx().copy_text(report(data));
        }
    });
    rows.whole(|ui| {
        ui.label(theme::bold(s.notices, theme::BODY));
        for notice in data.transcript.notices.iter().rev().take(NOTICES) {
            ui.label(RichText::new(format!("{}  {}", data.time(notice.at), s.notice(&notice.kind))).small());
        }
        if data.transcript.notices.is_empty() {
            ui.label(RichText::new(s.no_notices).weak());
        }
    });
}

/// Returns the figures of the session, each with its label.
fn figures(data: &FrameData<'_>) -> Vec<(&'static str, String)> {
    let (s, t, readings) = (data.s, data.transcript, data.readings);
    let trims = t.notices.iter().filter(|notice| matches!(notice.kind, NoticeKind::ContextTrimmed { .. })).count();
    vec![
        (s.figure_chunk, fill(s.chunk_cost, format_args!("{:.3}", readings.chunk_ms / 1e3))),
        (s.figure_lag, format!("{:.1} s", readings.lag_secs)),
        (s.figure_trims, trims.to_string()),
        (s.figure_level, format!("{:.0} dBFS", readings.level_dbfs)),
        (s.model, t.model.clone()),
        (s.input, t.source.clone()),
        (s.figure_heard, t.now.to_string()),
        (s.figure_log, data.settings.paths.log_file().display().to_string()),
    ]
}

/// Returns the diagnostics as a text to be sent to somebody who helps. It holds nothing that was heard or said.
fn report(data: &FrameData<'_>) -> String {
    let mut text = format!("{TITLE} {} ({} {})\n", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    for (label, value) in figures(data) {
        let _ = writeln!(text, "{label}: {value}");
    }
    let _ = writeln!(text, "{}: {}", data.s.modes_section, data.transcript.modes.join(", "));
    for notice in data.transcript.notices.iter().rev().take(NOTICES) {
        let _ = writeln!(text, "{}  {}", data.time(notice.at), data.s.notice(&notice.kind));
    }
    text
}

/// Paints the program's icon, version and licences.
pub(super) fn about_ui(rows: &mut Rows<'_>, data: &FrameData<'_>) {
    let s = data.s;
    rows.whole(|ui| {
        ui.horizontal(|ui| {
            icon_ui(ui);
            ui.vertical(|ui| {
                ui.label(theme::bold(TITLE, theme::LARGE));
                ui.label(fill(s.version, env!("CARGO_PKG_VERSION")));
                ui.label(RichText::new(s.privacy).weak());
            });
        });
    });
    rows.note(&fill(s.settings_file, data.settings.paths.settings_file().display()));
    rows.row(s.licence, "", |ui, _| drop(ui.hyperlink_to(s.licence_apache, LICENCE)));
    rows.row(s.diagnostics_copy, s.diagnostics_help, |ui, _| {
        if ui.button(s.copy).clicked() {
            ui.ctx().copy_text(report(data));
        }
    });
    rows.whole(|ui| {
        CollapsingHeader::new(s.third_party).show(ui, |ui| {
            ScrollArea::vertical().max_height(LICENCES_HEIGHT).show(ui, |ui| {
                ui.add(egui::Label::new(RichText::new(THIRD_PARTY).small()).selectable(true).wrap());
            });
        });
    });
}

/// Paints the program's icon, which is put on the graphics card once.
fn icon_ui(ui: &mut Ui) {
    let id = egui::Id::unique("about icon");
    let known = ui.data(|data| data.get_temp::<egui::TextureHandle>(id));
    let texture = known.unwrap_or_else(|| {
        let icon = app_icon::icon();
        let size = [icon.width as usize, icon.height as usize];
        let image = egui::ColorImage::from_rgba_unmultiplied(size, &icon.rgba);
        let texture = ui.ctx().load_texture("about icon", image, egui::TextureOptions::LINEAR);
        ui.data_mut(|data| data.insert_temp(id, texture.clone()));
        texture
    });
    let image = egui::Image::new((texture.id(), vec2(ICON_SIDE, ICON_SIDE))).alt_text(TITLE);
    ui.add(image).on_hover_cursor(CursorIcon::Default);
}
