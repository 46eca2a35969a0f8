//! The settings of the captions.

use egui::Slider;

use crate::config::prefs::{AfterSpeech, CaptionPrefs};
use crate::ui::overlay;
use crate::ui::settings_rows::Rows;
use crate::ui::strings::Strings;

/// Range of the slider of the text size, in points.
const SIZES: std::ops::RangeInclusive<f32> = 14.0..=48.0;
/// Range of the slider of the largest width, in points.
const WIDTHS: std::ops::RangeInclusive<f32> = 400.0..=1_600.0;
/// Step of the slider of the largest width, in points.
const WIDTH_STEP: f64 = 20.0;
/// Step of the slider of the opacity.
const OPACITY_STEP: f64 = 0.05;
/// Range of the slider of the number of lines.
const LINES: std::ops::RangeInclusive<u8> = 1..=2;

/// Paints the preferences of the captions, and the way to keep them on top where the desktop does not allow a window to ask for it.
pub(crate) fn settings_ui(rows: &mut Rows<'_>, s: &Strings, prefs: &mut CaptionPrefs) {
    rows.slider(s.captions_size, "", Slider::new(&mut prefs.size, SIZES).step_by(1.0));
    rows.slider(s.captions_width, "", Slider::new(&mut prefs.width, WIDTHS).step_by(WIDTH_STEP));
    rows.slider(s.captions_opacity, "", Slider::new(&mut prefs.opacity, 0.0..=1.0).step_by(OPACITY_STEP));
    rows.slider(s.captions_lines, "", Slider::new(&mut prefs.lines, LINES));
    rows.switch(s.captions_bilingual, "", &mut prefs.bilingual);
    rows.choice(
        s.captions_after,
        "",
        &mut prefs.after_speech,
        &[(AfterSpeech::Fade, s.captions_fade), (AfterSpeech::Stay, s.captions_stay)],
    );
    let was_moved = prefs.place.is_some();
    rows.whole(|ui| {
        if ui.add_enabled(was_moved, egui::Button::new(s.captions_place)).clicked() {
            prefs.place = None;
        }
    });
    if overlay::is_wayland() {
        rows.note(top_hint(s, &std::env::var("XDG_CURRENT_DESKTOP").unwrap_or_default()));
    }
}

/// Returns the way to keep a window on top of the others on `desktop`, a value of `XDG_CURRENT_DESKTOP`.
fn top_hint(s: &Strings, desktop: &str) -> &'static str {
    let is = |name: &str| desktop.split(':').any(|part| part.eq_ignore_ascii_case(name));
    if is("KDE") {
        s.captions_top_kde
    } else if is("GNOME") || is("Unity") {
        s.captions_top_gnome
    } else {
        s.captions_top
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::prefs::UiLanguage;

    #[test]
    fn each_desktop_has_its_way_to_keep_a_window_on_top() {
        let s = crate::ui::strings::table(UiLanguage::English);
        assert!(top_hint(s, "KDE").contains("Alt+F3") && top_hint(s, "ubuntu:GNOME").contains("Alt+Space"));
        assert_eq!(top_hint(s, "sway"), s.captions_top);
    }
}
