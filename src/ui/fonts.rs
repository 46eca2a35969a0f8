//! The fonts of the window: Inter in two weights, a font for Chinese and the icons, all embedded. Fonts of the system for other letters:
//! [`super::installed_fonts`].

use std::sync::{Arc, OnceLock};

use egui::{FontData, FontDefinitions, FontFamily, FontId, RichText};

/// Latin, Greek and Cyrillic of Inter in the weights 400 and 600 (`assets/fonts/README.md`).
const REGULAR: &[u8] = include_bytes!("../../assets/fonts/Inter-Regular.ttf");
const SEMIBOLD: &[u8] = include_bytes!("../../assets/fonts/Inter-SemiBold.ttf");
/// The icons of Lucide that [`super::icons`] names (`assets/fonts/README.md`).
const ICONS: &[u8] = include_bytes!("../../assets/fonts/Lucide.ttf");
/// A font file with the Chinese characters of GB 2312, from Droid Sans Fallback (`assets/fonts/README.md`): egui's own fonts have no
/// Chinese.
const CHINESE: &[u8] = include_bytes!("../../assets/fonts/DroidSansFallback-GB2312.ttf");

/// Names of the fonts in egui.
const REGULAR_NAME: &str = "inter";
const SEMIBOLD_NAME: &str = "inter semibold";
const ICONS_NAME: &str = "icons";
/// Egui's own font for text, which Inter replaces.
const REPLACED_NAME: &str = "Ubuntu-Light";

/// Returns the semi-bold font of `size` points.
pub(super) fn semibold(size: f32) -> FontId {
    static FAMILY: OnceLock<FontFamily> = OnceLock::new();
    FontId::new(size, FAMILY.get_or_init(|| FontFamily::Name(SEMIBOLD_NAME.into())).clone())
}

/// Returns the font of the icons, each of which fills a square of `size` points.
pub(super) fn icon_font(size: f32) -> FontId {
    static FAMILY: OnceLock<FontFamily> = OnceLock::new();
    FontId::new(size, FAMILY.get_or_init(|| FontFamily::Name(ICONS_NAME.into())).clone())
}

/// Returns `text` in semi-bold letters of `size` points.
pub(super) fn bold(text: impl Into<String>, size: f32) -> RichText {
    RichText::new(text).font(semibold(size))
}

/// Adds the fonts of the system to `ctx`, behind the built-in ones.
pub(super) fn use_installed_fonts(ctx: &egui::Context) {
    let families = [FontFamily::Proportional, FontFamily::Monospace, FontFamily::Name(SEMIBOLD_NAME.into())];
    super::installed_fonts::use_installed_fonts(ctx, &families);
}

/// Sets the built-in fonts up in `ctx`.
pub(super) fn set_fonts(ctx: &egui::Context) {
    let mut fonts = FontDefinitions::default();
    for (name, data) in [(REGULAR_NAME, REGULAR), (SEMIBOLD_NAME, SEMIBOLD), (ICONS_NAME, ICONS), ("chinese", CHINESE)] {
        fonts.font_data.insert(name.into(), Arc::new(FontData::from_static(data)));
    }
    for family in [FontFamily::Proportional, FontFamily::Monospace] {
        let list = fonts.families.entry(family).or_default();
        list.retain(|name| name != REPLACED_NAME);
        list.push("chinese".into());
    }
    fonts.font_data.remove(REPLACED_NAME);
    let text = fonts.families.entry(FontFamily::Proportional).or_default();
    let mut semibold = text.clone();
    text.insert(0, REGULAR_NAME.into());
    semibold.splice(0..0, [SEMIBOLD_NAME.to_owned(), REGULAR_NAME.into()]);
    fonts.families.insert(FontFamily::Name(SEMIBOLD_NAME.into()), semibold);
    fonts.families.insert(FontFamily::Name(ICONS_NAME.into()), vec![ICONS_NAME.into()]);
    ctx.set_fonts(fonts);
}
