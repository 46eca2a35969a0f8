//! The icon as a StatusNotifierItem on the session bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Receiver;
use ksni::blocking::TrayMethods;
use ksni::menu::StandardItem;
use ksni::{Category, MenuItem, OfflineReason, ToolTip};

use super::{TrayCommand, TrayShared};
use crate::supervise::lock;
use crate::ui::app_icon;
use crate::ui::session_state::SessionState;
use crate::ui::strings::{Strings, TITLE};

/// Serves the icon until the program ends, and paints it anew after each change of the session. Ends at once without a session bus;
/// waits for a tray that comes later.
pub(super) fn serve(shared: &Arc<TrayShared>, changes: &Receiver<()>) {
    let look = || Look::of(shared);
    let mut shown = look();
    let missing = Arc::new(AtomicBool::new(false));
    let item = Item { look: shown.clone(), missing: Arc::clone(&missing), shared: Arc::clone(shared) };
    let Ok(handle) = item.assume_sni_available(true).spawn() else { return };
    if !missing.load(Ordering::Relaxed) {
        shared.shown.store(true, Ordering::Relaxed);
    }
    for () in changes {
        let new = look();
        if !new.is_same(&shown) {
            shown = new.clone();
            handle.update(|item| item.look = new);
        }
    }
    shared.shown.store(false, Ordering::Relaxed);
    handle.shutdown().wait();
}

/// The state that the icon shows.
#[derive(Clone)]
struct Look {
    state: SessionState,
    /// State in words.
    word: String,
    /// Name of the microphone.
    source: String,
    s: &'static Strings,
}

impl Look {
    fn of(shared: &TrayShared) -> Self {
        let (state, s) = (shared.link.state(), *lock(&shared.s));
        Self { state, word: state.word(s, &shared.link.meters.read()), source: shared.link.source(), s }
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.word, &self.source) == (&other.word, &other.source) && std::ptr::eq(self.s, other.s)
    }
}

/// The icon as the tray sees it.
struct Item {
    look: Look,
    /// True while there is no tray.
    missing: Arc<AtomicBool>,
    shared: Arc<TrayShared>,
}

impl Item {
    fn menu_item(label: &str, chosen: impl Fn(&TrayShared) + Send + 'static) -> MenuItem<Self> {
        StandardItem { label: label.to_owned(), activate: Box::new(move |item: &mut Self| chosen(&item.shared)), ..Default::default() }
            .into()
    }
}

impl ksni::Tray for Item {
    fn id(&self) -> String {
        "hearken".into()
    }

    fn title(&self) -> String {
        TITLE.into()
    }

    fn category(&self) -> Category {
        Category::ApplicationStatus
    }

    fn icon_pixmap(&self) -> Vec<ksni::Icon> {
        let icon = app_icon::icon_of(self.look.state);
        vec![argb(&icon), argb(&half(&icon))]
    }

    fn tool_tip(&self) -> ToolTip {
        let title = format!("{TITLE} · {}", self.look.word);
        ToolTip { title, description: self.look.source.clone(), ..ToolTip::default() }
    }

    fn activate(&mut self, _x: i32, _y: i32) {
        self.shared.link.data.show_window();
    }

    fn secondary_activate(&mut self, _x: i32, _y: i32) {
        self.shared.link.toggle_pause();
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let s = self.look.s;
        let pause = if self.look.state == SessionState::Paused { s.resume } else { s.pause };
        vec![
            StandardItem { label: self.look.word.clone(), enabled: false, ..Default::default() }.into(),
            MenuItem::Separator,
            Self::menu_item(pause, |shared| shared.link.toggle_pause()),
            Self::menu_item(s.tray_open, |shared| shared.link.data.show_window()),
            Self::menu_item(s.captions, |shared| shared.command(TrayCommand::ToggleCaptions)),
            MenuItem::Separator,
            Self::menu_item(s.tray_quit, |shared| shared.command(TrayCommand::Quit)),
        ]
    }

    fn watcher_online(&self) {
        self.missing.store(false, Ordering::Relaxed);
        self.shared.shown.store(true, Ordering::Relaxed);
    }

    /// Waits for another tray: the desktop's may be restarted.
    fn watcher_offline(&self, _reason: OfflineReason) -> bool {
        self.missing.store(true, Ordering::Relaxed);
        self.shared.shown.store(false, Ordering::Relaxed);
        true
    }
}

/// Returns the picture in the byte order of the bus: alpha, red, green, blue.
fn argb(icon: &egui::IconData) -> ksni::Icon {
    let data = icon.rgba.chunks_exact(4).flat_map(|pixel| [pixel[3], pixel[0], pixel[1], pixel[2]]).collect();
    ksni::Icon { width: icon.width as i32, height: icon.height as i32, data }
}

/// Returns the picture at half its size; its colours are not premultiplied, so each counts by its alpha.
fn half(icon: &egui::IconData) -> egui::IconData {
    let (width, height) = (icon.width / 2, icon.height / 2);
    let pixel = |x: u32, y: u32| &icon.rgba[((y * icon.width + x) * 4) as usize..][..4];
    let mut rgba = Vec::with_capacity((width * height * 4) as usize);
    for at in 0..width * height {
        let (x, y) = (at % width * 2, at / width * 2);
        let four = [pixel(x, y), pixel(x + 1, y), pixel(x, y + 1), pixel(x + 1, y + 1)];
        let alpha: u32 = four.iter().map(|p| u32::from(p[3])).sum();
        for channel in 0..3 {
            let sum: u32 = four.iter().map(|p| u32::from(p[channel]) * u32::from(p[3])).sum();
            rgba.push(sum.checked_div(alpha).unwrap_or(0) as u8);
        }
        rgba.push((alpha / 4) as u8);
    }
    egui::IconData { rgba, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_for_the_bus_have_alpha_first_and_keep_their_colours_when_halved() {
        let (a, b) = ([10, 20, 30, 255], [200, 100, 50, 0]);
        let icon = egui::IconData { rgba: [a, b, a, b].concat(), width: 2, height: 2 };
        assert_eq!(argb(&icon).data[..4], [255, 10, 20, 30]);
        let small = half(&icon);
        assert_eq!((small.width, small.height, &small.rgba[..]), (1, 1, &[10, 20, 30, 127][..]));
    }
}
