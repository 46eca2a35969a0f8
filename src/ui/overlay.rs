//! Overlays, the small windows above all others: building, place on the screen, moving, keys. Captions and pill paint their content.
//!
//! An overlay never takes the keyboard focus when it opens or changes: it is inactive on Windows and macOS, and on X11 it has the type
//! of a splash screen, which window managers do not focus. Under Wayland the desktop decides about focus, place and level.
//!
//! Places and sizes are in unzoomed points: points of egui times the zoom factor.

use std::time::{Duration, Instant};

use egui::{Key, Modifiers, Pos2, Rect, Ui, Vec2, ViewportBuilder, ViewportCommand, ViewportId, X11WindowType, pos2, vec2};

use super::keys::take_pause_key;

/// Distance of an overlay from the edges of the screen where it first opens, in unzoomed points: above the panels of most desktops.
const EDGE: f32 = 56.0;
/// Time without movement after which a drag counts as finished: the window manager may move the window and swallow the release.
const SETTLED: Duration = Duration::from_millis(600);
/// Interval of the repaints while an overlay is moved.
const MOVE_POLL: Duration = Duration::from_millis(80);
/// Differences of place and size below which two windows are at the same place, in unzoomed points.
const SAME: f32 = 2.0;

/// The corner or edge of the screen at which an overlay first opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstPlace {
    BottomCentre,
    TopRight,
}

impl FirstPlace {
    /// Returns the middle of the lower edge of an overlay of `size` at this place of `screen`.
    fn anchor(self, screen: Rect, size: Vec2) -> Pos2 {
        match self {
            Self::BottomCentre => screen.center_bottom() - vec2(0.0, EDGE),
            Self::TopRight => screen.right_top() + vec2(-EDGE - size.x / 2.0, EDGE + size.y),
        }
    }
}

/// The presence of an overlay that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visibility {
    Shown,
    /// Nothing of it is seen, and clicks reach what is behind it.
    Gone,
}

/// The place and size of an overlay on the screen.
#[derive(Debug)]
pub(super) struct Placement {
    first: FirstPlace,
    /// Middle of the lower edge; None until the overlay was moved, or where the desktop tells no places.
    pub(super) anchor: Option<[f32; 2]>,
    /// The screen of the main window.
    screen: Option<Rect>,
    /// All screens of the desktop; empty where they are not known.
    screens: Vec<Rect>,
    /// Place and size with which the open overlay was built.
    built: Option<(Option<Pos2>, Vec2)>,
    /// The size that was asked for last.
    size: Vec2,
    /// Time of the last movement by the user; None once it has settled.
    moved: Option<Instant>,
    /// Place of the pointer in the overlay where a drag began, in points.
    grip: Option<Pos2>,
    last_outer: Option<Rect>,
}

impl Placement {
    pub(super) const fn new(first: FirstPlace) -> Self {
        Self {
            first,
            anchor: None,
            screen: None,
            screens: Vec::new(),
            built: None,
            size: Vec2::ZERO,
            moved: None,
            grip: None,
            last_outer: None,
        }
    }

    /// Returns the builder of the overlay, to be called in each frame of the main window while the overlay is open. Place and size in
    /// it stay those of the first call since [`Placement::closed`], so that the overlay is not moved back.
    pub(super) fn builder(&mut self, ui: &Ui, title: &str, size: Vec2) -> ViewportBuilder {
        let zoom = ui.ctx().zoom_factor();
        let (window, guessed) = ui.input(|i| {
            let (window, monitor) = (i.viewport().outer_rect, i.viewport().monitor_size);
            (window, window.zip(monitor).and_then(|(window, monitor)| screen_of(window, monitor)))
        });
        self.screens = ui.ctx().data(|data| data.get_temp(screens_id())).unwrap_or_default();
        let middle = window.map(|window| window.center() * zoom);
        let of_window = middle.and_then(|middle| self.screens.iter().copied().find(|screen| screen.contains(middle)));
        self.screen = of_window.or(self.screens.first().copied()).or(guessed.map(|screen| screen * zoom));
        let (origin, size) = match self.built {
            Some(built) => built,
            None => {
                self.size = size;
                *self.built.insert((self.origin(size), size))
            }
        };
        let builder = ViewportBuilder::default()
            .with_title(title)
            .with_app_id("hearken")
            .with_decorations(false)
            .with_transparent(true)
            .with_resizable(true)
            .with_always_on_top()
            .with_taskbar(false)
            .with_active(false)
            .with_window_type(X11WindowType::Splash)
            .with_inner_size(size / zoom);
        match origin {
            Some(origin) => builder.with_position(origin / zoom),
            None => builder,
        }
    }

    /// Forgets place and size of a window that is gone; the anchor stays.
    pub(super) fn closed(&mut self) {
        (self.built, self.moved, self.grip, self.last_outer) = (None, None, None, None);
    }

    /// Gives the overlay another size around its anchor, unless the user is moving it.
    pub(super) fn resize(&mut self, ui: &Ui, size: Vec2) {
        if self.moved.is_some() || (size - self.size).abs().max_elem() < SAME {
            return;
        }
        self.size = size;
        let zoom = ui.ctx().zoom_factor();
        ui.ctx().send_viewport_cmd(ViewportCommand::InnerSize(size / zoom));
        if let Some(origin) = self.origin(size) {
            ui.ctx().send_viewport_cmd(ViewportCommand::OuterPosition(origin / zoom));
        }
    }

    /// Returns the upper left corner of the overlay at `size`.
    fn origin(&self, size: Vec2) -> Option<Pos2> {
        origin(self.anchor, self.first, size, self.screen, &self.screens)
    }

    /// Hides the overlay or shows it again. Wayland hides no window: there an overlay that paints nothing lets clicks through.
    pub(super) fn set_visibility(&self, ui: &Ui, visibility: Visibility) {
        let (ctx, shown) = (ui.ctx(), visibility == Visibility::Shown);
        if is_wayland() {
            ctx.send_viewport_cmd(ViewportCommand::MousePassthrough(!shown));
            return;
        }
        ctx.send_viewport_cmd(ViewportCommand::Visible(shown));
        // A window manager may place a window anew that is shown again.
        if let (true, Some(origin)) = (shown, self.origin(self.size)) {
            ctx.send_viewport_cmd(ViewportCommand::OuterPosition(origin / ctx.zoom_factor()));
        }
    }

    /// Lets the user move the overlay by its ground, which is all of it that is no control, and follows the place.
    pub(super) fn move_ui(&mut self, ui: &Ui, ground: &egui::Response) {
        let outer = ui.input(|i| i.viewport().outer_rect);
        let now = Instant::now();
        if ground.drag_started() {
            self.moved = Some(now);
            // Window managers move no splash screen, so the overlay moves itself where the desktop tells its place.
            if outer.is_none() {
                ui.ctx().send_viewport_cmd(ViewportCommand::StartDrag);
            } else {
                self.grip = ground.interact_pointer_pos();
            }
        }
        if let (Some(grip), Some(pointer), Some(outer), true) = (self.grip, ground.interact_pointer_pos(), outer, ground.dragged()) {
            self.moved = Some(now);
            ui.ctx().send_viewport_cmd(ViewportCommand::OuterPosition(outer.min + (pointer - grip)));
        } else if !ground.dragged() {
            self.grip = None;
        }
        self.follow(outer, ui.ctx().zoom_factor(), now);
        if self.moved.is_some() {
            ui.ctx().request_repaint_after(MOVE_POLL);
        }
    }

    /// Takes the place of a window that the user moves as the new anchor, until it has settled.
    fn follow(&mut self, outer: Option<Rect>, zoom: f32, now: Instant) {
        let Some(moved) = self.moved else { return };
        if let Some(outer) = outer {
            if self.last_outer.is_some_and(|last| (last.min - outer.min).abs().max_elem() > 0.0) {
                self.moved = Some(now);
                let middle = outer.center_bottom() * zoom;
                self.anchor = Some([middle.x, middle.y]);
            }
            self.last_outer = Some(outer);
        }
        if now.duration_since(moved) > SETTLED {
            (self.moved, self.last_outer) = (None, None);
        }
    }

    /// Moves the overlay back to the place where it first opened.
    pub(super) fn reset(&mut self, ctx: &egui::Context, viewport: ViewportId) {
        self.anchor = None;
        if let Some(origin) = self.origin(self.size) {
            ctx.send_viewport_cmd_to(viewport, ViewportCommand::OuterPosition(origin / ctx.zoom_factor()));
        }
    }
}

/// Returns the rectangle of the screen of `monitor` size that holds the middle of `window`. Neither egui nor winit's Wayland tells the
/// origin of a screen, so screens side by side count as equal in size.
fn screen_of(window: Rect, monitor: Vec2) -> Option<Rect> {
    if monitor.min_elem() < 1.0 || !window.is_finite() {
        return None;
    }
    let tile = (window.center().to_vec2() / monitor).floor();
    Some(Rect::from_min_size((tile * monitor).to_pos2(), monitor))
}

/// Notes the screens of the desktop, in unzoomed points, for the overlays that open.
pub(super) fn note_screens(ctx: &egui::Context, frame: &eframe::Frame) {
    let Some(window) = frame.winit_window() else { return };
    let scale = ctx.native_pixels_per_point().unwrap_or(1.0);
    let screens: Vec<Rect> = window
        .available_monitors()
        .map(|monitor| {
            let (at, size) = (monitor.position(), monitor.size());
            Rect::from_min_size(pos2(at.x as f32, at.y as f32), vec2(size.width as f32, size.height as f32)) * (1.0 / scale)
        })
        .filter(|screen| screen.size().min_elem() >= 1.0)
        .collect();
    ctx.data_mut(|data| data.insert_temp(screens_id(), screens));
}

/// Returns the id under which egui keeps the screens.
fn screens_id() -> egui::Id {
    egui::Id::unique("screens")
}

/// Returns the upper left corner of an overlay of `size` at `anchor`, or at its first place without one; None if the screen `screen` of
/// the main window is not known either. An overlay on a known screen stays inside it. An anchor that lies on none of the screens `all`,
/// as after one was unplugged, counts as none; an empty list means that they are not known.
fn origin(anchor: Option<[f32; 2]>, first: FirstPlace, size: Vec2, screen: Option<Rect>, all: &[Rect]) -> Option<Pos2> {
    let holding = |anchor: Pos2| all.iter().chain(&screen).copied().find(|screen| screen.expand(SAME).contains(anchor));
    let anchor = anchor.map(Pos2::from).filter(|anchor| all.is_empty() || holding(*anchor).is_some());
    let anchor = anchor.or_else(|| Some(first.anchor(screen?, size)))?;
    let min = anchor - vec2(size.x / 2.0, size.y);
    Some(holding(anchor).map_or(min, |screen| {
        let most = (screen.max - size).max(screen.min);
        pos2(min.x.clamp(screen.left(), most.x), min.y.clamp(screen.top(), most.y))
    }))
}

/// The user's intent with a key in an overlay that has the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OverlayKey {
    TogglePause,
    Close,
}

/// Returns the intent of a key pressed in this frame: Space, F9 and Ctrl+Space pause, Escape and `close` close, as does the desktop.
pub(super) fn key(ui: &Ui, close: Key) -> Option<OverlayKey> {
    ui.input_mut(|i| {
        let pause = take_pause_key(i) || i.consume_key(Modifiers::NONE, Key::Space);
        if pause {
            Some(OverlayKey::TogglePause)
        } else if i.viewport().close_requested() || i.key_pressed(Key::Escape) || i.key_pressed(close) {
            Some(OverlayKey::Close)
        } else {
            None
        }
    })
}

/// Gives `ui` the dark look of every overlay, on whatever theme the main window has.
pub(super) fn darken(ui: &mut Ui) {
    let dark = ui.ctx().style_of(egui::Theme::Dark).visuals.clone();
    *ui.visuals_mut() = dark;
}

/// Returns true under Wayland, where no window can ask to stay above the others, learn its place or hide.
pub(super) fn is_wayland() -> bool {
    cfg!(target_os = "linux") && super::display_loss::current_display().contains_key("WAYLAND_DISPLAY")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCREEN: Rect = Rect { min: Pos2::ZERO, max: pos2(1_280.0, 800.0) };

    fn rect(anchor: Option<[f32; 2]>, first: FirstPlace, size: Vec2) -> Rect {
        Rect::from_min_size(origin(anchor, first, size, Some(SCREEN), &[]).unwrap(), size)
    }

    #[test]
    fn captions_open_at_the_bottom_centre_inside_the_screen_and_grow_around_it() {
        for size in [vec2(300.0, 60.0), vec2(760.0, 120.0)] {
            let at = rect(None, FirstPlace::BottomCentre, size);
            assert_eq!((at.center().x, at.bottom()), (640.0, 800.0 - EDGE));
        }
        assert_eq!(origin(None, FirstPlace::BottomCentre, vec2(300.0, 60.0), None, &[]), None, "the desktop chooses");
    }

    #[test]
    fn an_overlay_stays_inside_its_screen_at_every_anchor_and_size() {
        for anchor in [[0.0, 0.0], [1_280.0, 800.0], [640.0, 30.0], [1_200.0, 790.0]] {
            for size in [vec2(320.0, 64.0), vec2(900.0, 300.0)] {
                let at = rect(Some(anchor), FirstPlace::TopRight, size);
                assert!(SCREEN.contains_rect(at), "{anchor:?}: {at:?}");
            }
        }
    }

    #[test]
    fn a_place_on_another_screen_is_kept() {
        let at = rect(Some([2_000.0, 700.0]), FirstPlace::BottomCentre, vec2(400.0, 60.0));
        assert_eq!(at.center_bottom(), pos2(2_000.0, 700.0));
        let second = screen_of(Rect::from_min_size(pos2(1_400.0, 100.0), vec2(800.0, 600.0)), vec2(1_280.0, 800.0)).unwrap();
        assert_eq!(second.left(), 1_280.0);
    }

    #[test]
    fn a_place_off_all_screens_is_not_used() {
        let all = [SCREEN, SCREEN.translate(vec2(1_280.0, 0.0))];
        let size = vec2(400.0, 60.0);
        let at = |anchor: [f32; 2], all: &[Rect]| {
            let min = origin(Some(anchor), FirstPlace::BottomCentre, size, Some(SCREEN), all).unwrap();
            Rect::from_min_size(min, size).center_bottom()
        };
        for anchor in [[3_000.0, 3_000.0], [-3_000.0, -50.0], [640.0, 900.0]] {
            assert_eq!(at(anchor, &all), pos2(640.0, 800.0 - EDGE), "{anchor:?}");
        }
        assert_eq!(at([2_000.0, 700.0], &all), pos2(2_000.0, 700.0));
        assert_eq!(at([2_500.0, 20.0], &all), pos2(2_360.0, 60.0), "inside the second screen");
        assert_eq!(at([2_000.0, 700.0], &all[..1]), pos2(640.0, 800.0 - EDGE), "the second screen is unplugged");
    }

    #[test]
    fn only_a_move_by_the_user_changes_the_anchor() {
        let (mut placement, begin) = (Placement::new(FirstPlace::BottomCentre), Instant::now());
        let at = |x: f32| Some(Rect::from_min_size(pos2(x, 100.0), vec2(400.0, 60.0)));
        placement.follow(at(5.0), 1.0, begin);
        placement.follow(at(50.0), 1.0, begin);
        assert_eq!(placement.anchor, None, "the window manager placed it");
        placement.moved = Some(begin);
        placement.follow(at(60.0), 2.0, begin);
        placement.follow(at(70.0), 2.0, begin);
        assert_eq!(placement.anchor, Some([540.0, 320.0]));
        placement.follow(at(70.0), 2.0, begin + SETTLED * 2);
        placement.follow(at(0.0), 2.0, begin + SETTLED * 3);
        assert_eq!((placement.moved, placement.anchor), (None, Some([540.0, 320.0])));
    }
}
