//! The settings of the captions.

use egui::{RichText, Slider, Ui};

use crate::config::prefs::{AfterSpeech, CaptionPrefs};
use crate::ui::overlay;
use crate::ui::strings::Strings;

/// Ranges and steps of the sliders: text size and width (points), opacity, and lines.
const SIZES: std::ops::RangeInclusive<f32> = 14.0..=48.0;
const WIDTHS: std::ops::RangeInclusive<f32> = 400.0..=1_600.0;
const WIDTH_STEP: f64 = 20.0;
const OPACITY_STEP: f64 = 0.05;
const LINES: std::ops::RangeInclusive<u8> = 1..=2;

/// Paints the preferences of the captions, and the way to keep them on top where the desktop does not allow a window to ask for it.
pub(crate) fn settings_ui(ui: &mut Ui, s: &Strings, prefs: &mut CaptionPrefs) {
    ui.add(Slider::new(&mut prefs.size, SIZES).step_by(1.0).text(s.captions_size));
    ui.add(Slider::new(&mut prefs.width, WIDTHS).step_by(WIDTH_STEP).text(s.captions_width));
    ui.add(Slider::new(&mut prefs.opacity, 0.0..=1.0).step_by(OPACITY_STEP).text(s.captions_opacity));
    ui.add(Slider::new(&mut prefs.lines, LINES).text(s.captions_lines));
    ui.checkbox(&mut prefs.bilingual, s.captions_bilingual);
    ui.horizontal_wrapped(|ui| {
        ui.label(s.captions_after);
        for (value, label) in [(AfterSpeech::Fade, s.captions_fade), (AfterSpeech::Stay, s.captions_stay)] {
            ui.selectable_value(&mut prefs.after_speech, value, label);
        }
    });
    if ui.add_enabled(prefs.place.is_some(), egui::Button::new(s.captions_place)).clicked() {
        prefs.place = None;
    }
    if !overlay::can_stay_on_top() {
        ui.label(RichText::new(top_hint(s, &std::env::var("XDG_CURRENT_DESKTOP").unwrap_or_default())).weak());
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
