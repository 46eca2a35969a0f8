//! The fonts of the window: Inter in two weights, a font for Chinese and the icons, all embedded, and a font of the system for rarer
//! characters.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use egui::{FontData, FontDefinitions, FontFamily, FontId, RichText};

use crate::supervise;

/// Latin, Greek and Cyrillic of Inter in the weights 400 and 600 (`assets/fonts/README.md`).
const REGULAR: &[u8] = include_bytes!("../../assets/fonts/Inter-Regular.ttf");
const SEMIBOLD: &[u8] = include_bytes!("../../assets/fonts/Inter-SemiBold.ttf");
/// The icons of Lucide that [`super::icons`] names (`assets/fonts/README.md`).
const ICONS: &[u8] = include_bytes!("../../assets/fonts/Lucide.ttf");
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

/// Sets the built-in fonts up in `ctx`, followed by the data of the font `system` where there is one.
pub(super) fn set_fonts(ctx: &egui::Context, system: Option<Vec<u8>>) {
    let mut fonts = FontDefinitions::default();
    for (name, data) in [(REGULAR_NAME, REGULAR), (SEMIBOLD_NAME, SEMIBOLD), (ICONS_NAME, ICONS), ("chinese", CHINESE)] {
        fonts.font_data.insert(name.into(), Arc::new(FontData::from_static(data)));
    }
    let names = ["chinese"].into_iter().chain(system.is_some().then_some("system"));
    if let Some(system) = system {
        fonts.font_data.insert("system".into(), Arc::new(FontData::from_owned(system)));
    }
    for family in [FontFamily::Proportional, FontFamily::Monospace] {
        let list = fonts.families.entry(family).or_default();
        list.retain(|name| name != REPLACED_NAME);
        list.extend(names.clone().map(str::to_owned));
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
