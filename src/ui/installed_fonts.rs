//! Fonts of the system for letters that the built-in ones lack: looked for when such a letter is to be shown, by a thread, so that a
//! window without such letters reads no font and no frame waits for the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use egui::{FallbackRequest, FontData, FontFamily, FontInsert, FontPriority, FontProvider, InsertFontFamily};

use crate::supervise;

/// Number of letters of a block; a font that has one letter of a script mostly has its neighbours, too.
const BLOCK_CHARS: u32 = 128;
/// Most searches for the letters of one block.
const MAX_SEARCHES: usize = 3;
/// Largest font file that is read, in bytes; the largest common ones, with all of Chinese, Japanese and Korean, have 20 MB.
const MAX_FONT_BYTES: u64 = 64 * 1024 * 1024;

/// File names of fonts by the letters that they have, the best first: for systems without fontconfig.
const BY_NAME: [(RangeInclusive<char>, &[&str]); 7] = [
    ('\u{0e00}'..='\u{0e7f}', &["LeelawUI.ttf", "Thonburi.ttc", "NotoSansThai-Regular.ttf"]),
    ('\u{0590}'..='\u{08ff}', &["segoeui.ttf", "GeezaPro.ttc", "ArialHB.ttc", "NotoSansArabic-Regular.ttf", "DejaVuSans.ttf"]),
    ('\u{0900}'..='\u{0dff}', &["Nirmala.ttc", "Nirmala.ttf", "Kohinoor.ttc", "NotoSansDevanagari-Regular.ttf"]),
    ('\u{ac00}'..='\u{d7ff}', &["malgun.ttf", "AppleSDGothicNeo.ttc", "NotoSansCJK-Regular.ttc", "NanumGothic.ttf"]),
    ('\u{2e80}'..='\u{9fff}', &["msyh.ttc", "PingFang.ttc", "STHeiti Light.ttc", "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc"]),
    ('\u{2600}'..='\u{27bf}', &["seguisym.ttf", "Apple Symbols.ttf", "DejaVuSans.ttf"]),
    ('\u{1f000}'..='\u{1faff}', &["seguiemj.ttf", "NotoEmoji-Regular.ttf"]),
];
/// Folders that are searched for them, and the number of levels of folders below each.
const FONT_FOLDERS: [&str; 5] =
    ["/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts", "C:/Windows/Fonts"];
const DEPTH: usize = 4;

/// Adds the fonts of the system to `ctx`, for the font families `families`: each is read when a letter is to be shown that the others
/// lack. A letter that no installed font has stays a box.
pub(super) fn use_installed_fonts(ctx: &egui::Context, families: &[FontFamily]) {
    ctx.add_font_provider(Arc::new(InstalledFonts {
        ctx: ctx.clone(),
        families: families.to_vec(),
        searches: Mutex::default(),
        read: Arc::default(),
    }));
}

/// The fonts of the system, as egui asks for them while it lays text out.
struct InstalledFonts {
    /// The context that holds these fonts; it lives as long as the program.
    ctx: egui::Context,
    families: Vec<FontFamily>,
    /// Number of searches for letters of each block.
    searches: Mutex<BTreeMap<u32, usize>>,
    /// Font files that have been read.
    read: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl FontProvider for InstalledFonts {
    /// Has a font looked for and returns None: it is added to the context when it has been read.
    fn font_for(&self, request: &FallbackRequest<'_>) -> Option<FontInsert> {
        let letter = request.cluster.chars().next()?;
        let mut searches = self.searches.lock().unwrap_or_else(PoisonError::into_inner);
        let count = searches.entry(u32::from(letter) / BLOCK_CHARS).or_default();
        if *count < MAX_SEARCHES {
            *count += 1;
            let (ctx, families, read) = (self.ctx.clone(), self.families.clone(), Arc::clone(&self.read));
            // Without a thread the letter stays a box.
            let _ = supervise::spawn("hearken-fonts", move || {
                if let Some(font) = font_with(letter, &families, &read) {
                    ctx.add_font(font);
                    ctx.request_repaint();
                }
            });
        }
        None
    }
}

/// Reads the best installed font that has `letter` and is not in `read` yet, and enters it there. None if there is no other one.
fn font_with(letter: char, families: &[FontFamily], read: &Mutex<BTreeSet<PathBuf>>) -> Option<FontInsert> {
    let (path, index) = by_fontconfig(letter).or_else(|| by_name(letter).map(|path| (path, 0)))?;
    if !read.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone()) {
        return None;
    }
    if std::fs::metadata(&path).ok()?.len() > MAX_FONT_BYTES {
        return None;
    }
    let data = FontData { index, ..FontData::from_owned(std::fs::read(&path).ok()?) };
    let families = families.iter().map(|family| InsertFontFamily { family: family.clone(), priority: FontPriority::Lowest }).collect();
    Some(FontInsert::new(&path.to_string_lossy(), data, families))
}

/// Returns the file that fontconfig likes best among those with outlines for `letter`, and the number of the font in the file. None
/// without fontconfig, or if no font has the letter.
fn by_fontconfig(letter: char) -> Option<(PathBuf, u32)> {
    let charset = format!(":charset={:x}:outline=true:color=false", u32::from(letter));
    let lines = |program: &str, args: &[&str], pattern: &str| {
        let output = Command::new(program).args(args).args(["-f", "%{file}\t%{index}\n", pattern]).stdin(Stdio::null()).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let having = lines("fc-list", &[], &charset)?;
    // The sorted list also names fonts without the letter.
    let sorted = lines("fc-match", &["-s"], &format!("sans-serif{charset}")).unwrap_or_default();
    let best = sorted.iter().find(|line| having.contains(line)).or_else(|| having.iter().min())?;
    let (path, index) = best.split_once('\t')?;
    // The upper half of the number chooses a variant of a variable font.
    Some((path.into(), index.parse::<u32>().unwrap_or(0) & 0xffff))
}

/// Returns the best font file of [`BY_NAME`] for `letter` that is installed; None if there is none.
fn by_name(letter: char) -> Option<PathBuf> {
    let (_, names) = BY_NAME.iter().find(|(letters, _)| letters.contains(&letter))?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let own = home.iter().flat_map(|home| [home.join(".fonts"), home.join(".local/share/fonts"), home.join("Library/Fonts")]);
    let mut found = Vec::new();
    for folder in FONT_FOLDERS.iter().map(PathBuf::from).chain(own) {
        search(&folder, names, DEPTH, &mut found);
    }
    found.into_iter().min().map(|(_, path)| path)
}

/// Appends the files of `names` in `folder` and `depth` levels below it to `found`, each with the place of its name.
fn search(folder: &Path, names: &[&str], depth: usize, found: &mut Vec<(usize, PathBuf)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if let Some(rank) = names.iter().position(|name| entry.file_name().to_str() == Some(name)) {
            found.push((rank, path));
        } else if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            search(&path, names, depth - 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use egui::FontId;

    use super::*;
    use crate::ui::{fonts, theme};

    /// A letter of each script that the built-in fonts lack: Hebrew, Arabic, Thai, Devanagari, Korean, Lao, Japanese, an emoji.
    const LETTERS: [char; 8] = ['ש', 'ع', 'ท', 'न', '한', 'ລ', 'あ', '😀'];

    fn frame(ctx: &egui::Context, text: &str) {
        let mut output = ctx.run_ui(egui::RawInput::default(), |ui| {
            ui.label(text);
            ui.label(theme::bold(text, theme::BODY));
        });
        output.textures_delta.clear();
    }

    #[test]
    fn a_letter_that_the_built_in_fonts_lack_comes_from_an_installed_font_that_has_it() {
        let ctx = egui::Context::default();
        fonts::set_fonts(&ctx);
        fonts::use_installed_fonts(&ctx);
        frame(&ctx, "plain words, 你好");
        let has = |letter: char, font: &FontId| ctx.fonts_mut(|fonts| fonts.has_glyph(font, letter));
        let installed: Vec<char> = LETTERS.into_iter().filter(|letter| by_fontconfig(*letter).is_some()).collect();
        let all: String = LETTERS.iter().collect();
        let begun = Instant::now();
        for font in [FontId::proportional(14.0), FontId::monospace(14.0), fonts::semibold(14.0)] {
            while !installed.iter().all(|letter| has(*letter, &font)) {
                frame(&ctx, &all);
                assert!(begun.elapsed() < Duration::from_secs(30), "{installed:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        // Words of Arabic are shaped from right to left; the digits between them keep their order.
        let text = "موعد 10:30 غدا".to_owned();
        let line = ctx.fonts_mut(|fonts| fonts.layout_no_wrap(text, FontId::proportional(14.0), egui::Color32::WHITE));
        let mut glyphs: Vec<_> = line.rows[0].row.glyphs.iter().filter(|glyph| ":0123456789".contains(glyph.chr)).collect();
        glyphs.sort_by(|one, other| one.pos.x.total_cmp(&other.pos.x));
        assert_eq!(glyphs.iter().map(|glyph| glyph.chr).collect::<String>(), "10:30");
    }

    #[test]
    fn each_block_of_letters_is_looked_for_a_few_times_and_each_file_is_read_once() {
        let ctx = egui::Context::default();
        let fonts = InstalledFonts { ctx, families: vec![FontFamily::Proportional], searches: Mutex::default(), read: Arc::default() };
        for n in 0..1_000 {
            let letter = char::from_u32(0xac00 + n).unwrap().to_string();
            assert!(fonts.font_for(&FallbackRequest { cluster: &letter, family: &FontFamily::Proportional }).is_none());
        }
        let searches = fonts.searches.lock().unwrap();
        assert!(searches.len() == 8 && searches.values().all(|count| *count <= MAX_SEARCHES), "{searches:?}");
        let read = Mutex::default();
        if let Some((path, _)) = by_fontconfig('ש') {
            let families = [FontFamily::Proportional];
            assert_eq!(font_with('ש', &families, &read).map(|font| font.name), Some(path.to_string_lossy().into_owned()));
            assert!(font_with('ש', &families, &read).is_none());
        }
    }
}
