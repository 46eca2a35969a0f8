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

/// An icon, named after what it stands for in this window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "all icons of the font have a name")]
pub(super) enum Icon {
    Pause,
    Play,
    Stop,
    Microphone,
    MicrophoneOff,
    Voice,
    VoiceLow,
    VoiceOff,
    Delete,
    NewConversation,
    Export,
    History,
    Captions,
    Settings,
    Close,
    More,
    Menu,
    Down,
    Up,
    Check,
    Bell,
    Window,
    BellOn,
    Lock,
    Calendar,
    Reply,
    Words,
    Languages,
    Sound,
    Ear,
    DeafEar,
    Columns,
    List,
    Warning,
    Notice,
    Info,
    Smile,
    Frown,
    Angry,
    Sparkles,
    Copy,
    Computer,
    Speaker,
    ArrowDown,
    Hourglass,
    Power,
    Moon,
    Model,
    Search,
    Folder,
    Download,
    Keyboard,
    Edit,
    Plus,
    Undo,
    Privacy,
    Back,
    Refresh,
    Star,
    Disk,
    Memory,
    Speed,
    Link,
    Done,
    Look,
    Quote,
    Tag,
    Help,
    Offline,
    Pin,
}

impl Icon {
    /// Returns the character of the icon in its font (`assets/fonts/README.md`).
    pub(super) const fn glyph(self) -> char {
        match self {
            Self::Pause => '\u{e12e}',
            Self::Play => '\u{e13c}',
            Self::Stop => '\u{e167}',
            Self::Microphone => '\u{e118}',
            Self::MicrophoneOff => '\u{e119}',
            Self::Voice => '\u{e1ab}',
            Self::VoiceLow => '\u{e1aa}',
            Self::VoiceOff => '\u{e1ac}',
            Self::Delete => '\u{e18e}',
            Self::NewConversation => '\u{e40c}',
            Self::Export => '\u{e156}',
            Self::History => '\u{e1f5}',
            Self::Captions => '\u{e3a4}',
            Self::Settings => '\u{e154}',
            Self::Window => '\u{e098}',
            Self::Close => '\u{e1b2}',
            Self::More => '\u{e0b6}',
            Self::Menu => '\u{e115}',
            Self::Down => '\u{e06d}',
            Self::Up => '\u{e070}',
            Self::Check => '\u{e06c}',
            Self::Bell => '\u{e059}',
            Self::BellOn => '\u{e224}',
            Self::Lock => '\u{e10b}',
            Self::Calendar => '\u{e2b9}',
            Self::Reply => '\u{e116}',
            Self::Words => '\u{e130}',
            Self::Languages => '\u{e0fe}',
            Self::Sound => '\u{e55a}',
            Self::Ear => '\u{e382}',
            Self::DeafEar => '\u{e383}',
            Self::Columns => '\u{e098}',
            Self::List => '\u{e1d9}',
            Self::Warning => '\u{e193}',
            Self::Notice => '\u{e077}',
            Self::Info => '\u{e0f9}',
            Self::Smile => '\u{e164}',
            Self::Frown => '\u{e0db}',
            Self::Angry => '\u{e2fc}',
            Self::Sparkles => '\u{e412}',
            Self::Copy => '\u{e09e}',
            Self::Computer => '\u{e210}',
            Self::Speaker => '\u{e166}',
            Self::ArrowDown => '\u{e042}',
            Self::Hourglass => '\u{e296}',
            Self::Power => '\u{e140}',
            Self::Moon => '\u{e11e}',
            Self::Model => '\u{e0a9}',
            Self::Search => '\u{e151}',
            Self::Folder => '\u{e0d7}',
            Self::Download => '\u{e0b2}',
            Self::Keyboard => '\u{e284}',
            Self::Edit => '\u{e1f9}',
            Self::Plus => '\u{e13d}',
            Self::Undo => '\u{e2a1}',
            Self::Privacy => '\u{e1ff}',
            Self::Back => '\u{e048}',
            Self::Refresh => '\u{e145}',
            Self::Star => '\u{e176}',
            Self::Disk => '\u{e0ed}',
            Self::Memory => '\u{e445}',
            Self::Speed => '\u{e1bf}',
            Self::Link => '\u{e0b9}',
            Self::Done => '\u{e226}',
            Self::Look => '\u{e1dd}',
            Self::Quote => '\u{e239}',
            Self::Tag => '\u{e17f}',
            Self::Help => '\u{e082}',
            Self::Offline => '\u{e1af}',
            Self::Pin => '\u{e259}',
        }
    }
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
        let icons = [
            Icon::Pause,
            Icon::Play,
            Icon::Stop,
            Icon::Microphone,
            Icon::MicrophoneOff,
            Icon::Voice,
            Icon::VoiceLow,
            Icon::VoiceOff,
            Icon::Delete,
            Icon::NewConversation,
            Icon::Export,
            Icon::History,
            Icon::Captions,
            Icon::Settings,
            Icon::Close,
            Icon::More,
            Icon::Menu,
            Icon::Down,
            Icon::Up,
            Icon::Check,
            Icon::Bell,
            Icon::BellOn,
            Icon::Lock,
            Icon::Calendar,
            Icon::Reply,
            Icon::Words,
            Icon::Languages,
            Icon::Sound,
            Icon::Ear,
            Icon::DeafEar,
            Icon::Columns,
            Icon::List,
            Icon::Warning,
            Icon::Notice,
            Icon::Info,
            Icon::Smile,
            Icon::Frown,
            Icon::Angry,
            Icon::Sparkles,
            Icon::Copy,
            Icon::Computer,
            Icon::Speaker,
            Icon::ArrowDown,
            Icon::Hourglass,
            Icon::Power,
            Icon::Moon,
            Icon::Model,
            Icon::Search,
            Icon::Folder,
            Icon::Download,
            Icon::Keyboard,
            Icon::Edit,
            Icon::Plus,
            Icon::Undo,
            Icon::Privacy,
            Icon::Back,
            Icon::Refresh,
            Icon::Star,
            Icon::Disk,
            Icon::Memory,
            Icon::Speed,
            Icon::Link,
            Icon::Done,
            Icon::Look,
            Icon::Quote,
            Icon::Tag,
            Icon::Help,
            Icon::Offline,
            Icon::Pin,
        ];
        let mut missing = Vec::new();
        let mut output = ctx.run_ui(egui::RawInput::default(), |ui| {
            missing = ui.fonts_mut(|fonts| icons.into_iter().filter(|icon| !fonts.has_glyph(&icon_font(16.0), icon.glyph())).collect());
        });
        output.textures_delta.clear();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
