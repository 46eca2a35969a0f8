//! Colours and sizes. Each state has one colour, used nowhere else.

use std::sync::Arc;

use egui::{Color32, FontData, FontDefinitions, FontFamily, Visuals};

pub(super) const LISTENING: Color32 = Color32::from_rgb(38, 150, 120);
pub(super) const REPLYING: Color32 = Color32::from_rgb(70, 120, 220);
pub(super) const URGENT: Color32 = Color32::from_rgb(205, 130, 20);
pub(super) const FAULT: Color32 = Color32::from_rgb(205, 60, 60);

/// Type sizes.
pub(super) const LARGE: f32 = 16.0;
pub(super) const BODY: f32 = 14.0;
pub(super) const SMALL: f32 = 11.0;

/// Where systems keep a font with Chinese characters; egui's own fonts have none.
const CJK_FONTS: [&str; 8] = [
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/System/Library/Fonts/PingFang.ttc",
    "/System/Library/Fonts/STHeiti Light.ttc",
    "C:/Windows/Fonts/msyh.ttc",
];

/// Grey that reads on either background.
pub(super) const fn quiet(visuals: &Visuals) -> Color32 {
    if visuals.dark_mode { Color32::from_gray(150) } else { Color32::from_gray(110) }
}

/// Follows the system's light or dark, and adds Chinese characters where the system has them.
pub(super) fn apply(ctx: &egui::Context) {
    ctx.set_theme(egui::ThemePreference::System);
    let Some(font) = CJK_FONTS.iter().find_map(|path| std::fs::read(path).ok()) else { return };
    let mut fonts = FontDefinitions::default();
    fonts.font_data.insert("cjk".into(), Arc::new(FontData::from_owned(font)));
    for family in [FontFamily::Proportional, FontFamily::Monospace] {
        fonts.families.entry(family).or_default().push("cjk".into());
    }
    ctx.set_fonts(fonts);
}
