//! The icons of the window: glyphs of one font, and buttons and marks made of them.

use egui::{Align2, Color32, Painter, Pos2, Rect, Response, Role, Sense, Ui, Vec2, WidgetInfo};

use super::fonts::icon_font;
use super::theme::{self, Palette};
use crate::protocol::Emotion;

/// Side of a toolbar button, in points.
pub(super) const SIDE: f32 = 32.0;
/// Side of a button within a line, in points.
const SMALL_SIDE: f32 = 24.0;
/// Side of an icon, as a share of its button's side.
const ICON_SHARE: f32 = 0.56;
/// Side of the icon of an emotion, in points.
const FACE_SIDE: f32 = 18.0;

macro_rules! icons {
    ($($name:ident $glyph:literal,)*) => {
        /// An icon, named after what it stands for in this window.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(dead_code, reason = "all icons of the font have a name")]
        pub(super) enum Icon {
            $(#[allow(missing_docs)] $name,)*
        }

        impl Icon {
            /// All icons, for the tests.
            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the character of the icon in its font (`assets/fonts/README.md`).
            pub(super) const fn glyph(self) -> char {
                match self {
                    $(Self::$name => $glyph,)*
                }
            }
        }
    };
}

icons! {
    Pause '\u{e12e}',
    Play '\u{e13c}',
    Stop '\u{e167}',
    Microphone '\u{e118}',
    MicrophoneOff '\u{e119}',
    Voice '\u{e1ab}',
    VoiceLow '\u{e1aa}',
    VoiceOff '\u{e1ac}',
    Delete '\u{e18e}',
    NewConversation '\u{e40c}',
    Export '\u{e156}',
    History '\u{e1f5}',
    Captions '\u{e3a4}',
    Settings '\u{e154}',
    Window '\u{e098}',
    Close '\u{e1b2}',
    More '\u{e0b6}',
    Menu '\u{e115}',
    Down '\u{e06d}',
    Up '\u{e070}',
    Check '\u{e06c}',
    Bell '\u{e059}',
    BellOn '\u{e224}',
    Lock '\u{e10b}',
    Calendar '\u{e2b9}',
    Reply '\u{e116}',
    Words '\u{e130}',
    Languages '\u{e0fe}',
    Sound '\u{e55a}',
    Ear '\u{e382}',
    DeafEar '\u{e383}',
    Columns '\u{e098}',
    List '\u{e1d9}',
    Warning '\u{e193}',
    Notice '\u{e077}',
    Info '\u{e0f9}',
    Smile '\u{e164}',
    Frown '\u{e0db}',
    Angry '\u{e2fc}',
    Sparkles '\u{e412}',
    Copy '\u{e09e}',
    Computer '\u{e210}',
    Speaker '\u{e166}',
    ArrowDown '\u{e042}',
    Hourglass '\u{e296}',
    Power '\u{e140}',
    Moon '\u{e11e}',
    Model '\u{e0a9}',
    Search '\u{e151}',
    Folder '\u{e0d7}',
    Download '\u{e0b2}',
    Keyboard '\u{e284}',
    Edit '\u{e1f9}',
    Plus '\u{e13d}',
    Undo '\u{e2a1}',
    Privacy '\u{e1ff}',
    Back '\u{e048}',
    Refresh '\u{e145}',
    Star '\u{e176}',
    Disk '\u{e0ed}',
    Memory '\u{e445}',
    Speed '\u{e1bf}',
    Link '\u{e0b9}',
    Done '\u{e226}',
    Look '\u{e1dd}',
    Quote '\u{e239}',
    Tag '\u{e17f}',
    Help '\u{e082}',
    Offline '\u{e1af}',
    Pin '\u{e259}',
}

/// Adds a toolbar button with an icon: `label` is its name for screen readers, `hint` its tooltip.
pub(super) fn button(ui: &mut Ui, icon: Icon, label: &str, hint: &str) -> Response {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(SIDE), Sense::click());
    button_ui(ui, rect, &response, icon, label, Palette::of(ui.visuals()).weak);
    response.on_hover_text(hint)
}

/// Adds a small icon button for use within a line of text; otherwise as [`button`].
pub(super) fn small(ui: &mut Ui, icon: Icon, label: &str, hint: &str) -> Response {
    in_line(ui, icon, label, Visibility::Shown).on_hover_text(hint)
}

/// The visibility of a button within a line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visibility {
    Shown,
    /// Only while the pointer is over the button or the button has the keyboard focus.
    OnFocus,
}

/// Adds a small icon button, which keeps its place while it cannot be seen; `label` is its name for screen readers.
pub(super) fn in_line(ui: &mut Ui, icon: Icon, label: &str, visibility: Visibility) -> Response {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(SMALL_SIDE), Sense::click());
    let colour = if visibility == Visibility::Shown { Palette::of(ui.visuals()).weak } else { Color32::TRANSPARENT };
    button_ui(ui, rect, &response, icon, label, colour);
    response
}

/// Adds an icon button at the place `rect` within the widget `parent`; `label` is its name for screen readers, `colour` that of the
/// icon at rest.
pub(super) fn placed(ui: &Ui, parent: &Response, rect: Rect, icon: Icon, label: &str, colour: Color32) -> Response {
    let response = ui.interact(rect, parent.id.with("button"), Sense::click());
    button_ui(ui, rect, &response, icon, label, colour);
    response
}

fn button_ui(ui: &Ui, rect: Rect, response: &Response, icon: Icon, label: &str, at_rest: Color32) {
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), label));
    if !ui.is_rect_visible(rect) {
        return;
    }
    let p = Palette::of(ui.visuals());
    let lively = response.hovered() || response.has_focus();
    if lively {
        ui.painter().rect_filled(rect, theme::RADIUS, p.text.gamma_multiply(HOVER));
    }
    if response.has_focus() {
        ui.painter().rect_stroke(rect, theme::RADIUS, ui.visuals().selection.stroke, egui::StrokeKind::Inside);
    }
    paint(ui.painter(), icon, rect.center(), rect.height() * ICON_SHARE, if lively { p.text } else { at_rest });
}

/// Opacity of the text colour behind a control without a frame under the pointer.
pub(super) const HOVER: f32 = 0.12;

/// Paints an icon of `size` points around `centre`.
pub(super) fn paint(painter: &Painter, icon: Icon, centre: Pos2, size: f32, colour: Color32) {
    painter.text(centre, Align2::CENTER_CENTER, icon.glyph(), icon_font(size), colour);
}

/// Adds an icon of `size` points that does nothing; the text beside it says what it shows.
pub(super) fn mark(ui: &mut Ui, icon: Icon, size: f32, colour: Color32) {
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(size), Sense::hover());
    paint(ui.painter(), icon, rect.center(), size, colour);
}

/// Returns the icon of an emotion; None for [`Emotion::Normal`], of which there is nothing to say.
const fn face(emotion: Emotion) -> Option<Icon> {
    match emotion {
        Emotion::Happy => Some(Icon::Smile),
        Emotion::Sad => Some(Icon::Frown),
        Emotion::Angry => Some(Icon::Angry),
        Emotion::Surprise => Some(Icon::Sparkles),
        Emotion::Urgent => Some(Icon::Warning),
        Emotion::Normal => None,
    }
}

/// Adds the icon of an emotion, if it has one; `label` is its name for screen readers and its tooltip.
pub(super) fn emotion(ui: &mut Ui, emotion: Emotion, label: &str, colour: Color32) {
    let Some(icon) = face(emotion) else { return };
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(FACE_SIDE), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, label));
    if ui.is_rect_visible(rect) {
        paint(ui.painter(), icon, rect.center(), FACE_SIDE, colour);
    }
    response.on_hover_text(label);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_icon_has_a_glyph_in_the_embedded_font() {
        let ctx = egui::Context::default();
        theme::apply(&ctx, crate::config::prefs::ThemeChoice::Dark);
        let mut missing = Vec::new();
        let mut output = ctx.run_ui(egui::RawInput::default(), |ui| {
            missing =
                ui.fonts_mut(|fonts| Icon::ALL.iter().filter(|icon| !fonts.has_glyph(&icon_font(16.0), icon.glyph())).copied().collect());
        });
        output.textures_delta.clear();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
