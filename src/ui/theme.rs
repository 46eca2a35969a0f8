//! Colours, sizes and fonts of the window. Each state has one colour, used for nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::{Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Stroke, TextStyle, Theme, Visuals};

use crate::config::prefs::ThemeChoice;
use crate::supervise;

/// Font size of utterances, replies and titles, in points.
pub(super) const LARGE: f32 = 18.0;
/// Font size of normal text, in points.
pub(super) const BODY: f32 = 14.0;
/// Font size of secondary text, in points.
pub(super) const SMALL: f32 = 12.0;

/// Radius of the corners of buttons and list entries, in points.
pub(super) const RADIUS: u8 = 6;
/// Radius of the corners of the outline around a list that has the keyboard focus, in points.
pub(super) const RADIUS_SMALL: u8 = 4;
/// Radius of the corners of windows above the main one, in points.
const RADIUS_WINDOW: u8 = 10;
/// Radius of the corners of the bars of the level meter and of the bars before replies, in points.
pub(super) const RADIUS_BAR: f32 = 1.5;
/// Space at the edge of a line or column, in points.
pub(super) const EDGE: f32 = 4.0;
/// Vertical space above and below the title of a section, and between the cards of a page, in points.
pub(super) const GAP: f32 = 6.0;
/// Vertical space between groups of widgets in a dialog, in points.
pub(super) const GROUP_GAP: f32 = 8.0;
/// Margin at the left and right of the main parts of the window, in points.
pub(super) const SIDE_MARGIN: i8 = 12;
/// Margin between neighbouring panels, in points.
pub(super) const PANEL_MARGIN: i8 = 8;
/// Margin inside a window that opens above the main one, in points.
pub(super) const WINDOW_MARGIN: i8 = 16;
/// Horizontal and vertical space between widgets, in points.
const ITEM_SPACING: [f32; 2] = [8.0, 6.0];
/// Horizontal and vertical padding of buttons, in points.
const BUTTON_PADDING: [f32; 2] = [9.0, 4.0];
/// Smallest height of interactive widgets, in points.
const INTERACT_HEIGHT: f32 = 26.0;
/// Smallest width of a window above the main one, in points.
pub(super) const MIN_WINDOW_WIDTH: f32 = 200.0;

/// Width of the main window below which the panels are tabs, shown one at a time, in points.
pub(super) const NARROW: f32 = 760.0;

/// Width and height below either of which the main window is compact, in points: rarer controls move into a menu and lines are
/// closer together, so that the words keep their room.
const COMPACT: [f32; 2] = [720.0, 460.0];

/// Returns true if the main window is compact: less wide or less high than [`COMPACT`]. A low window ([`is_low`]) is always compact.
pub(super) fn is_compact(ctx: &egui::Context) -> bool {
    let room = ctx.content_rect();
    room.width() < COMPACT[0] || room.height() < COMPACT[1]
}

/// Height below which the main window is low, in points: the modes have no row of their own and the decision strip has neither names
/// nor scale, so that the words keep their room.
const LOW: f32 = 340.0;
/// Height of the main window below which the panels are tabs, shown one at a time, in points.
pub(super) const FLAT: f32 = 230.0;

/// Returns true if the main window is low: less high than [`LOW`].
pub(super) fn is_low(ctx: &egui::Context) -> bool {
    ctx.content_rect().height() < LOW
}

/// Returns the margin above and below each main part of the window, in points: smaller in a compact window, smallest in a low one.
pub(super) fn margin(ctx: &egui::Context) -> i8 {
    match (is_low(ctx), is_compact(ctx)) {
        (true, _) => 2,
        (false, true) => 5,
        (false, false) => 8,
    }
}

/// A font file with the Chinese characters of GB 2312, from Droid Sans Fallback (`assets/fonts/README.md`): egui's own fonts have no
/// Chinese.
const CHINESE: &[u8] = include_bytes!("../../assets/fonts/DroidSansFallback-GB2312.ttf");

/// File names of system fonts with more characters than the built-in fonts, the best first.
const SYSTEM_FONTS: [&str; 10] = [
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
    "STHeiti Light.ttc",
    "msyh.ttc",
    "NotoSans-Regular.ttf",
];
/// Folders that are searched for system fonts.
const FONT_FOLDERS: [&str; 5] =
    ["/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts", "C:/Windows/Fonts"];
/// Number of levels of folders below each font folder that are searched.
const DEPTH: usize = 4;

/// The colours that show the states of the session and of replies.
#[derive(Clone, Copy, Debug)]
pub(super) struct StateColours {
    pub(super) listening: Color32,
    /// Colour of a session whose quiet gate is closed.
    pub(super) quiet: Color32,
    pub(super) replying: Color32,
    /// Colour of urgent replies.
    pub(super) urgent: Color32,
    /// Colour of failures and warnings.
    pub(super) fault: Color32,
}

/// Returns the colours of the states for dark or light `visuals`, each with a contrast of at least 4.5 to the window's background.
pub(super) const fn states(visuals: &Visuals) -> StateColours {
    if visuals.dark_mode {
        StateColours {
            listening: Color32::from_rgb(70, 196, 164),
            quiet: Color32::from_gray(160),
            replying: Color32::from_rgb(126, 164, 255),
            urgent: Color32::from_rgb(255, 181, 84),
            fault: Color32::from_rgb(255, 118, 118),
        }
    } else {
        StateColours {
            listening: Color32::from_rgb(8, 116, 92),
            quiet: Color32::from_gray(96),
            replying: Color32::from_rgb(40, 88, 205),
            urgent: Color32::from_rgb(156, 82, 0),
            fault: Color32::from_rgb(186, 30, 38),
        }
    }
}

/// Sets up `ctx` with the colours of both themes, the sizes, the spacing and the built-in fonts, and chooses the theme `choice`.
pub(super) fn apply(ctx: &egui::Context, choice: ThemeChoice) {
    ctx.set_visuals_of(Theme::Dark, dark());
    ctx.set_visuals_of(Theme::Light, light());
    ctx.all_styles_mut(|style| {
        for (text, size) in [(TextStyle::Small, SMALL), (TextStyle::Body, BODY), (TextStyle::Button, BODY), (TextStyle::Heading, BODY)] {
            style.text_styles.insert(text, FontId::proportional(size));
        }
        style.text_styles.insert(TextStyle::Monospace, FontId::monospace(SMALL));
        style.spacing.item_spacing = ITEM_SPACING.into();
        style.spacing.button_padding = BUTTON_PADDING.into();
        style.spacing.interact_size.y = INTERACT_HEIGHT;
        style.spacing.window_margin = egui::Margin::same(WINDOW_MARGIN);
    });
    choose(ctx, choice);
    set_fonts(ctx, None);
}

/// Switches `ctx` to the light theme, the dark theme, or the theme of the system.
pub(super) fn choose(ctx: &egui::Context, choice: ThemeChoice) {
    ctx.set_theme(match choice {
        ThemeChoice::System => egui::ThemePreference::System,
        ThemeChoice::Light => egui::ThemePreference::Light,
        ThemeChoice::Dark => egui::ThemePreference::Dark,
    });
}

fn dark() -> Visuals {
    let mut v = Visuals::dark();
    v.panel_fill = Color32::from_rgb(22, 25, 29);
    v.window_fill = Color32::from_rgb(29, 33, 38);
    v.extreme_bg_color = Color32::from_rgb(15, 17, 20);
    v.faint_bg_color = Color32::from_rgb(29, 33, 38);
    v.override_text_color = Some(Color32::from_rgb(230, 233, 236));
    v.weak_text_color = Some(Color32::from_rgb(158, 167, 175));
    shape(&mut v, Color32::from_rgb(37, 42, 48), Color32::from_rgb(62, 72, 82), Color32::from_rgb(46, 52, 59));
    v
}

fn light() -> Visuals {
    let mut v = Visuals::light();
    v.panel_fill = Color32::from_rgb(249, 249, 247);
    v.window_fill = Color32::from_rgb(255, 255, 255);
    v.extreme_bg_color = Color32::from_rgb(237, 239, 239);
    v.faint_bg_color = Color32::from_rgb(240, 241, 240);
    v.override_text_color = Some(Color32::from_rgb(26, 30, 34));
    v.weak_text_color = Some(Color32::from_rgb(90, 99, 107));
    shape(&mut v, Color32::from_rgb(234, 236, 236), Color32::from_rgb(200, 209, 217), Color32::from_rgb(222, 225, 226));
    v
}

fn shape(v: &mut Visuals, button: Color32, selected: Color32, line: Color32) {
    let radius = CornerRadius::same(RADIUS);
    v.selection.bg_fill = selected;
    v.selection.stroke = Stroke::new(1.0, v.override_text_color.unwrap_or(v.strong_text_color()));
    v.widgets.noninteractive.bg_stroke = Stroke::new(1.0, line);
    v.widgets.inactive.weak_bg_fill = button;
    v.widgets.inactive.bg_fill = line;
    // egui paints the title bar of a window as an open widget.
    (v.widgets.open.weak_bg_fill, v.widgets.open.bg_fill) = (button, button);
    (v.widgets.hovered.weak_bg_fill, v.widgets.hovered.bg_fill) = (line, line);
    (v.widgets.active.weak_bg_fill, v.widgets.active.bg_fill) = (selected, selected);
    for widget in [&mut v.widgets.inactive, &mut v.widgets.hovered, &mut v.widgets.active, &mut v.widgets.open] {
        widget.corner_radius = radius;
    }
    v.window_corner_radius = CornerRadius::same(RADIUS_WINDOW);
}

/// Starts a thread that searches for the best installed font of [`SYSTEM_FONTS`] and adds it to `ctx` after the built-in fonts. If no
/// such font is found or the thread cannot be started, only the built-in fonts are used.
pub(super) fn find_system_font(ctx: &egui::Context) {
    let ctx = ctx.clone();
    let _ = supervise::spawn("hearken-fonts", move || add_system_font(&ctx));
}

fn add_system_font(ctx: &egui::Context) {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let own = home.iter().flat_map(|home| [home.join(".fonts"), home.join(".local/share/fonts"), home.join("Library/Fonts")]);
    let mut found: Vec<(usize, PathBuf)> = Vec::new();
    for folder in FONT_FOLDERS.iter().map(PathBuf::from).chain(own) {
        search(&folder, DEPTH, &mut found);
    }
    found.sort();
    if let Some(font) = found.into_iter().find_map(|(_, path)| std::fs::read(path).ok()) {
        set_fonts(ctx, Some(font));
    }
}

fn search(folder: &Path, depth: usize, found: &mut Vec<(usize, PathBuf)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if let Some(rank) = SYSTEM_FONTS.iter().position(|name| entry.file_name().to_str() == Some(name)) {
            found.push((rank, path));
        } else if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            search(&path, depth - 1, found);
        }
    }
}

fn set_fonts(ctx: &egui::Context, system: Option<Vec<u8>>) {
    let mut fonts = FontDefinitions::default();
    fonts.font_data.insert("chinese".into(), Arc::new(FontData::from_static(CHINESE)));
    let names = ["chinese"].into_iter().chain(system.is_some().then_some("system"));
    for family in [FontFamily::Proportional, FontFamily::Monospace] {
        fonts.families.entry(family).or_default().extend(names.clone().map(str::to_owned));
    }
    if let Some(system) = system {
        fonts.font_data.insert("system".into(), Arc::new(FontData::from_owned(system)));
    }
    ctx.set_fonts(fonts);
}
