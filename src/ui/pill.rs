//! The pill: an overlay for the whole day with the state, the level, the last line, and the buttons that pause and open the window.

use std::sync::{Arc, Mutex};

use egui::{Color32, Key, RichText, Role, Sense, Stroke, Ui, Vec2, ViewportClass, ViewportId, WidgetInfo, pos2, vec2};

use super::METER_INTERVAL;
use super::captions::pause_ui;
use super::icons::{self, Icon};
use super::overlay::{self, FirstPlace, OverlayKey, Placement};
use super::session_link::SessionLink;
use super::session_state::SessionState;
use super::state_mark::StateMark;
use super::status_bar::share_of_level;
use super::strings::Strings;
use super::theme;
use crate::supervise::lock;
use crate::transcript::Transcript;

/// Width and height, in unzoomed points.
const SIZE: Vec2 = vec2(320.0, 64.0);
/// Margin inside the pill, and radius of its corners, in points.
const MARGIN: Vec2 = vec2(14.0, 8.0);
const RADIUS: u8 = 18;
/// Side of the mark of the state, in points.
const MARK_SIDE: f32 = 36.0;
/// Width of the buttons, in points.
const BUTTONS: f32 = 72.0;

/// Returns egui's id of the pill.
pub(super) fn pill_viewport() -> ViewportId {
    ViewportId::from_hash_of("hearken pill")
}

/// The main window's handle of the pill.
#[derive(Debug)]
pub(super) struct Pill {
    pub(super) open: bool,
    link: SessionLink,
    shared: Arc<Mutex<PillState>>,
}

/// The state that main window and pill share.
#[derive(Debug)]
struct PillState {
    placement: Placement,
    mark: StateMark,
    s: &'static Strings,
    /// True from when the user closes the pill until the main window has noticed.
    close: bool,
}

impl Pill {
    pub(super) fn new(link: SessionLink, place: Option<[f32; 2]>, s: &'static Strings) -> Self {
        let mut placement = Placement::new(FirstPlace::TopRight);
        placement.anchor = place;
        Self { open: false, link, shared: Arc::new(Mutex::new(PillState { placement, mark: StateMark::default(), s, close: false })) }
    }

    /// Shows the pill while `open` is true, to be called in each frame of the main window, and stores its place in `place`.
    pub(super) fn show(&mut self, ui: &Ui, place: &mut Option<[f32; 2]>, s: &'static Strings) {
        let mut state = lock(&self.shared);
        if std::mem::take(&mut state.close) {
            self.open = false;
        }
        *place = state.placement.anchor;
        state.s = s;
        if !self.open {
            state.placement.closed();
            return;
        }
        let builder = state.placement.builder(ui, s.pill, SIZE);
        drop(state);
        let (link, shared) = (self.link.clone(), Arc::clone(&self.shared));
        ui.ctx().show_viewport_deferred(pill_viewport(), builder, move |ui, class| pill_ui(ui, class, &link, &shared));
    }
}

fn pill_ui(ui: &mut Ui, class: ViewportClass, link: &SessionLink, shared: &Mutex<PillState>) {
    let mut state = lock(shared);
    let (s, session, own_window) = (state.s, link.state(), class != ViewportClass::EmbeddedWindow);
    overlay::darken(ui);
    let whole = if own_window { ui.max_rect() } else { ui.allocate_space(SIZE / ui.ctx().zoom_factor()).1 };
    let urgent = last_line(&link.data.transcript()).is_some_and(|line| line.urgent);
    let edge = if urgent { theme::Palette::of(ui.visuals()).urgent } else { ui.visuals().widgets.noninteractive.bg_stroke.color };
    ui.painter().rect(whole.shrink(1.0), RADIUS, ui.visuals().panel_fill, Stroke::new(1.5, edge), egui::StrokeKind::Inside);
    let ground = ui.interact(whole, ui.scope_id().with("move"), Sense::drag());
    let place = egui::UiBuilder::new().max_rect(whole.shrink2(MARGIN)).layout(egui::Layout::left_to_right(egui::Align::Center));
    let mut close = ui.scope_builder(place, |ui| content_ui(ui, link, session, &mut state.mark, s)).inner;
    if own_window {
        match overlay::key(ui, Key::F10) {
            Some(OverlayKey::TogglePause) => link.toggle_pause(),
            key => close |= key == Some(OverlayKey::Close),
        }
        state.placement.move_ui(ui, &ground);
        // The state of a session that computes nothing changes with an event only.
        if session.has_sound() || session == SessionState::Loading {
            ui.ctx().request_repaint_after(METER_INTERVAL);
        }
    }
    if close {
        state.close = true;
        ui.ctx().request_repaint_of(ViewportId::ROOT);
    }
}

/// Paints mark, words and buttons; returns true if the user closes the pill.
fn content_ui(ui: &mut Ui, link: &SessionLink, session: SessionState, mark: &mut StateMark, s: &Strings) -> bool {
    let readings = link.meters.read();
    let level = session.has_sound().then(|| share_of_level(readings.level_dbfs));
    mark.show(ui, session, level, MARK_SIDE);
    let width = ui.available_width() - BUTTONS;
    ui.allocate_ui_with_layout(vec2(width, ui.available_height()), egui::Layout::top_down(egui::Align::Min), |ui| {
        ui.set_width(width);
        ui.spacing_mut().item_spacing.y = 0.0;
        let colour = session.colour(ui.visuals());
        ui.label(RichText::new(session.word(s, &readings)).color(colour).strong());
        let transcript = link.data.transcript();
        if let Some(line) = last_line(&transcript) {
            let colour = if line.urgent { theme::Palette::of(ui.visuals()).urgent } else { ui.visuals().text_color() };
            let words = if line.urgent { super::strings::fill(s.captions_urgent, line.text) } else { line.text.to_owned() };
            last_words_ui(ui, &words, colour);
        }
    });
    ui.spacing_mut().item_spacing.x = theme::EDGE;
    pause_ui(ui, link, session, s);
    if icons::small(ui, Icon::Window, s.pill_open, s.pill_open).clicked() {
        link.data.show_window();
    }
    icons::small(ui, Icon::Close, s.pill_close, s.pill_close).clicked()
}

/// Paints one row with the end of `words`.
fn last_words_ui(ui: &mut Ui, words: &str, colour: Color32) {
    let font = egui::FontId::proportional(theme::SMALL);
    let width = ui.available_width();
    let galley = super::captions::lines::tail_galley(ui.painter(), words, &font, colour, width, 1);
    let (rect, response) = ui.allocate_exact_size(vec2(width, galley.rect.height()), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
    // The galley is centred around its place.
    ui.painter().galley(pos2(rect.left() + galley.rect.width() / 2.0, rect.top()), galley, colour);
}

/// The newest line of the session: speech, reply or sound.
struct LastLine<'a> {
    text: &'a str,
    urgent: bool,
}

fn last_line(t: &Transcript) -> Option<LastLine<'_>> {
    let speech = t.utterances.last().map(|line| (line.to, line.text.as_str(), false));
    let sound = t.sounds.iter().max_by_key(|sound| sound.last).map(|sound| (sound.last, sound.name.as_str(), false));
    let reply = t.replies.iter().rev().find(|reply| !reply.text.trim().is_empty());
    let reply = reply.map(|reply| (reply.at, reply.text.trim(), reply.emotion == Some(crate::protocol::Emotion::Urgent)));
    let newest = [speech, sound, reply].into_iter().flatten().max_by_key(|(at, _, _)| *at);
    newest.map(|(_, text, urgent)| LastLine { text, urgent })
}
