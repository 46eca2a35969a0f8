//! The captions: an overlay with the newest words, sounds and replies, as large as its text, painted only when that changes.

pub(super) mod lines;
mod settings;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use egui::{Align2, Color32, FontId, Galley, Key, Pos2, Rect, Role, Sense, Ui, Vec2, ViewportClass, ViewportId, WidgetInfo, vec2};

use super::event_thread::captions_viewport;
use super::icons::{self, Icon};
use super::overlay::{self, FirstPlace, OverlayKey, Placement, Visibility};
use super::session_link::SessionLink;
use super::session_state::SessionState;
use super::strings::Strings;
use super::theme;
use crate::config::prefs::{AfterSpeech, CaptionPrefs};
use crate::engine::Readings;
use crate::supervise::lock;
use lines::{Caption, newest, tail_galley};
pub(super) use settings::settings_ui;

/// Smallest width, and the step in which the width grows with the text, in unzoomed points.
const MIN_WIDTH: f32 = 240.0;
const WIDTH_STEP: f32 = 40.0;
/// Margin around the text, and radius of the window's corners, in points.
const MARGIN: Vec2 = vec2(18.0, 10.0);
const RADIUS: u8 = 14;
/// Space between an utterance and its translation, and between captions, in points.
const ROW_GAP: f32 = 2.0;
/// Size of the state and of the text before the first caption, as a share of the size of captions.
const STATE_SHARE: f32 = 0.7;
const STATE_GREY: u8 = 205;
/// Opacity of captions that are older than the newest.
const OLDER: f32 = 0.6;
/// Width of the dark edge around letters, in points: text stays readable where the ground is transparent.
const OUTLINE: f32 = 1.5;
const OUTLINE_ALPHA: u8 = 170;
/// Time for which captions stay after the last change, and time in which they fade then.
const HOLD: Duration = Duration::from_secs(6);
const FADE: Duration = Duration::from_millis(500);
/// Interval of the repaints while the captions fade.
const FADE_STEP: Duration = Duration::from_millis(40);
/// Width and height of the ground under the controls, and their distance from the edge, in points.
const CONTROLS: Vec2 = vec2(60.0, 28.0);
const CONTROLS_EDGE: f32 = 4.0;

/// The main window's handle of the captions.
#[derive(Debug)]
pub(super) struct CaptionsWindow {
    pub(super) open: bool,
    link: SessionLink,
    shared: Arc<Mutex<CaptionsState>>,
}

/// The preferences and texts that the captions follow.
#[derive(Clone, Debug)]
struct Look {
    prefs: CaptionPrefs,
    muted_sounds: Vec<String>,
    s: &'static Strings,
}

/// The state that main window and captions share.
#[derive(Debug)]
struct CaptionsState {
    look: Look,
    placement: Placement,
    /// True from when the user closes the captions until the main window has noticed.
    close: bool,
    presence: Presence,
}

/// The captions as painted last, and the time of their last change.
#[derive(Debug)]
struct Presence {
    shown: Vec<Caption>,
    state: SessionState,
    changed: Instant,
    /// Width of the overlay, which grows with its newest caption and shrinks only with the next.
    width: f32,
    /// True while the captions have faded and let clicks through.
    gone: bool,
}

impl Presence {
    fn new() -> Self {
        Self { shown: Vec::new(), state: SessionState::Listening, changed: Instant::now(), width: 0.0, gone: false }
    }

    /// Takes the captions and the state of this frame; notes the time if they have changed.
    fn update(&mut self, captions: &[Caption], state: SessionState, now: Instant) {
        if self.shown == captions && has_state_line(self.state) == has_state_line(state) {
            return;
        }
        if self.shown.last().map(|c| c.id) != captions.last().map(|c| c.id) {
            self.width = 0.0;
        }
        self.shown = captions.to_vec();
        (self.state, self.changed) = (state, now);
    }

    /// Returns the opacity at `now`, and the time after which it changes; None if it does not.
    fn opacity(&self, after: AfterSpeech, now: Instant) -> (f32, Option<Duration>) {
        if after == AfterSpeech::Stay || has_state_line(self.state) {
            return (1.0, None);
        }
        let age = now.saturating_duration_since(self.changed);
        match age.checked_sub(HOLD) {
            None => (1.0, Some(HOLD - age)),
            Some(fading) if fading < FADE => (1.0 - fading.as_secs_f32() / FADE.as_secs_f32(), Some(FADE_STEP)),
            Some(_) => (0.0, None),
        }
    }
}

/// Returns true for a state that the captions show as long as it lasts.
const fn has_state_line(state: SessionState) -> bool {
    matches!(state, SessionState::Paused | SessionState::NoMicrophone | SessionState::Ended)
}

impl CaptionsWindow {
    pub(super) fn new(link: SessionLink, prefs: &CaptionPrefs, s: &'static Strings) -> Self {
        let mut placement = Placement::new(FirstPlace::BottomCentre);
        placement.anchor = prefs.place;
        let look = Look { prefs: prefs.clone(), muted_sounds: Vec::new(), s };
        let state = CaptionsState { look, placement, close: false, presence: Presence::new() };
        Self { open: false, link, shared: Arc::new(Mutex::new(state)) }
    }

    /// Shows the captions while `open` is true, to be called in each frame of the main window, and stores their place in `prefs`.
    pub(super) fn show(&mut self, ui: &Ui, prefs: &mut CaptionPrefs, muted_sounds: &[String], s: &'static Strings) {
        let mut state = lock(&self.shared);
        if std::mem::take(&mut state.close) {
            self.open = false;
        }
        if prefs.place.is_none() && state.look.prefs.place.is_some() {
            state.placement.reset(ui.ctx(), captions_viewport());
        }
        prefs.place = state.placement.anchor;
        state.look = Look { prefs: prefs.clone(), muted_sounds: muted_sounds.to_vec(), s };
        if !self.open {
            state.placement.closed();
            state.presence = Presence::new();
            return;
        }
        let size = vec2(MIN_WIDTH, prefs.size * 1.4 + 2.0 * MARGIN.y);
        let builder = state.placement.builder(ui, s.captions, size);
        drop(state);
        let (link, shared) = (self.link.clone(), Arc::clone(&self.shared));
        ui.ctx().show_viewport_deferred(captions_viewport(), builder, move |ui, class| captions_ui(ui, class, &link, &shared));
    }
}

fn captions_ui(ui: &mut Ui, class: ViewportClass, link: &SessionLink, shared: &Mutex<CaptionsState>) {
    let mut guard = lock(shared);
    let state = &mut *guard;
    let (now, session) = (Instant::now(), link.state());
    let captions = newest(&link.data.transcript(), &state.look.prefs, &state.look.muted_sounds);
    state.presence.update(&captions, session, now);
    let own_window = class != ViewportClass::EmbeddedWindow;
    let pointed_at = !own_window || ui.input(|i| i.pointer.has_pointer());
    if pointed_at {
        state.presence.changed = now;
    }
    let (opacity, next) = state.presence.opacity(state.look.prefs.after_speech, now);
    if let Some(next) = next {
        ui.ctx().request_repaint_after(next);
    }
    overlay::darken(ui);
    ui.set_opacity(opacity);
    let text = layout(ui, &captions, session, &state.look);
    let size = size_of(&text, &state.look.prefs, &mut state.presence.width, ui.ctx().zoom_factor());
    if own_window {
        state.placement.resize(ui, size);
        if state.presence.gone != (opacity <= 0.0) {
            state.presence.gone = opacity <= 0.0;
            let visible = if state.presence.gone { Visibility::Gone } else { Visibility::Shown };
            state.placement.set_visibility(ui, visible);
        }
    }
    let whole = if own_window { ui.max_rect() } else { ui.allocate_space(size / ui.ctx().zoom_factor()).1 };
    ui.painter().rect_filled(whole, RADIUS, Color32::from_black_alpha((state.look.prefs.opacity * 255.0) as u8));
    let ground = ui.interact(whole, ui.scope_id().with("move"), Sense::drag());
    text_ui(ui, whole, &text);
    let mut close = own_window && handle_keys(ui, link);
    if pointed_at || session == SessionState::Paused {
        close |= controls_ui(ui, whole, link, session, state.look.s);
    }
    if own_window {
        state.placement.move_ui(ui, &ground);
    }
    if close {
        state.close = true;
        ui.ctx().request_repaint_of(ViewportId::ROOT);
    }
}

/// Carries out a key that pauses; returns true for one that closes.
fn handle_keys(ui: &Ui, link: &SessionLink) -> bool {
    match overlay::key(ui, Key::F11) {
        Some(OverlayKey::TogglePause) => {
            link.toggle_pause();
            false
        }
        key => key == Some(OverlayKey::Close),
    }
}

/// A row of text, laid out, with its opacity.
struct Row {
    galley: Arc<Galley>,
    text: String,
    opacity: f32,
}

/// Lays out as much of the captions as there is room for: the rows of the newest that the preferences allow, those of its translation,
/// then older ones. A state that lasts has a row of its own below them.
fn layout(ui: &Ui, captions: &[Caption], session: SessionState, look: &Look) -> Vec<Row> {
    let (s, prefs) = (look.s, &look.prefs);
    let width = prefs.width / ui.ctx().zoom_factor() - 2.0 * MARGIN.x;
    let font = FontId::proportional(prefs.size);
    let mut rows = Vec::new();
    let mut left = usize::from(prefs.lines);
    for (age, caption) in captions.iter().rev().enumerate() {
        if left == 0 {
            break;
        }
        let opacity = if age == 0 { 1.0 } else { OLDER };
        let row = |text: String, colour: Color32| {
            let galley = tail_galley(ui.painter(), &text, &font, colour, width, left);
            let used = galley.rows.len();
            (Row { galley, text, opacity }, used)
        };
        let (main, used) = row(caption.words(s), caption.colour(ui.visuals()));
        if let Some(translation) = &caption.translation {
            rows.push(row(translation.clone(), lines::TRANSLATION).0);
        }
        rows.push(main);
        left -= used.min(left);
    }
    rows.reverse();
    let waits = rows.is_empty().then(|| s.captions_wait.to_owned());
    if let Some(text) = if has_state_line(session) { Some(session.word(s, &Readings::default())) } else { waits } {
        let font = FontId::proportional(prefs.size * STATE_SHARE);
        let galley = tail_galley(ui.painter(), &text, &font, Color32::from_gray(STATE_GREY), width, 1);
        rows.push(Row { galley, text, opacity: 1.0 });
    }
    rows
}

/// Returns the size of the overlay for `text`, in unzoomed points; `width` is that of the frames before with the same newest caption.
fn size_of(text: &[Row], prefs: &CaptionPrefs, width: &mut f32, zoom: f32) -> Vec2 {
    let widest = text.iter().map(|row| row.galley.rect.width()).fold(0.0, f32::max) + 2.0 * MARGIN.x;
    let stepped = (widest * zoom / WIDTH_STEP).ceil() * WIDTH_STEP;
    *width = width.max(stepped).clamp(MIN_WIDTH, prefs.width.max(MIN_WIDTH));
    let gaps = ROW_GAP * text.len().saturating_sub(1) as f32;
    let height = text.iter().map(|row| row.galley.rect.height()).sum::<f32>() + gaps + 2.0 * MARGIN.y;
    vec2(*width, height * zoom).ceil()
}

/// Paints the rows, centred, the last at the bottom.
fn text_ui(ui: &mut Ui, whole: Rect, text: &[Row]) {
    let mut bottom = whole.bottom() - MARGIN.y;
    for row in text.iter().rev() {
        let size = row.galley.rect.size();
        let rect = Align2::CENTER_BOTTOM.anchor_size(Pos2::new(whole.center().x, bottom), size);
        let response = ui.interact(rect, ui.scope_id().with(("row", bottom as i32)), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &row.text));
        let mut painter = ui.painter().clone();
        painter.multiply_opacity(row.opacity);
        // A galley that is centred lies on both sides of its place.
        let at = rect.center_top();
        for edge in [vec2(1.0, 0.0), vec2(0.7, 0.7), vec2(0.0, 1.0), vec2(-0.7, 0.7)] {
            for by in [edge * OUTLINE, -edge * OUTLINE] {
                painter.galley_with_override_text_color(at + by, Arc::clone(&row.galley), Color32::from_black_alpha(OUTLINE_ALPHA));
            }
        }
        painter.galley(at, Arc::clone(&row.galley), Color32::WHITE);
        bottom = rect.top() - ROW_GAP;
    }
}

/// Paints pause and close in the upper right corner; returns true if the user closes.
fn controls_ui(ui: &mut Ui, whole: Rect, link: &SessionLink, session: SessionState, s: &Strings) -> bool {
    let corner = whole.right_top() + vec2(-CONTROLS_EDGE, CONTROLS_EDGE);
    let rect = Align2::RIGHT_TOP.anchor_size(corner, CONTROLS);
    ui.painter().rect_filled(rect, RADIUS, ui.visuals().window_fill);
    let place =
        egui::UiBuilder::new().max_rect(rect.shrink2(vec2(theme::EDGE, 0.0))).layout(egui::Layout::left_to_right(egui::Align::Center));
    ui.scope_builder(place, |ui| {
        pause_ui(ui, link, session, s);
        icons::small(ui, Icon::Close, s.captions_close, s.captions_close).clicked()
    })
    .inner
}

/// Paints the button that pauses or resumes, for every overlay.
pub(super) fn pause_ui(ui: &mut Ui, link: &SessionLink, session: SessionState, s: &Strings) {
    let (icon, label) = if session == SessionState::Paused { (Icon::Play, s.overlay_resume) } else { (Icon::Pause, s.overlay_pause) };
    if icons::small(ui, icon, label, label).clicked() {
        link.toggle_pause();
    }
}

#[cfg(test)]
mod tests;
