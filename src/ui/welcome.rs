//! The first card: the user's consent to listening, asked before anything is captured. And what the settings say of the models.

use egui::{CollapsingHeader, Id, Key, Modal, Modifiers, RichText, ScrollArea, Ui};

use super::actions::{Action, Actions};
use super::device_menu::DeviceMenu;
use super::dialogs::DIALOG_MARGIN;
use super::first_minute::level_ui;
use super::frame::FrameData;
use super::strings::{Strings, fill, fill_all};
use super::theme;
use crate::audio::DeviceDirection;
use crate::config::HistoryPrefs;
use crate::model::starter_phrases;
use crate::protocol::models::{ModelCard, size};
use crate::transcript::InputState;

/// Largest width of the first card, in points.
const WIDTH: f32 = 420.0;
/// Height of the main window kept around the text of the first card, in points.
const AROUND_TEXT: f32 = 110.0;
/// Smallest height of the scrolling text of the first card, in points.
const MIN_TEXT_HEIGHT: f32 = 40.0;
/// Font size of the title of the first card, in points.
const TITLE_SIZE: f32 = theme::LARGE + 4.0;
/// Smallest size of the main button of the first card, in points.
const START_SIZE: [f32; 2] = [150.0, 32.0];

/// Paints the first card: what Hearken does, the microphone, whether conversations are saved, and the button that begins. Nothing is
/// captured before the user has pressed it; Esc puts the card away until the next start.
pub(super) fn welcome_ui(ui: &Ui, data: &FrameData<'_>, keep: &mut HistoryPrefs, devices: &mut DeviceMenu, actions: &mut Actions) {
    let s = data.s;
    let room = ui.ctx().content_rect();
    let card = Modal::new(Id::unique("welcome")).frame(egui::Frame::window(ui.style())).show(ui.ctx(), |ui| {
        ui.set_width(WIDTH.min(room.width() - DIALOG_MARGIN).max(0.0));
        ui.label(RichText::new(s.welcome).strong().size(TITLE_SIZE));
        ScrollArea::vertical().max_height((room.height() - AROUND_TEXT).max(MIN_TEXT_HEIGHT)).show(ui, |ui| {
            ui.label(RichText::new(s.welcome_local).size(theme::BODY + 2.0));
            ui.add_space(theme::GROUP_GAP);
            microphone_ui(ui, data, devices, actions);
            let text = if keep.days == 0 { s.keep_history.to_owned() } else { fill(s.welcome_keep, keep.days) };
            ui.checkbox(&mut keep.keep, text);
            ui.label(RichText::new(s.welcome_people).weak());
        });
        ui.add_space(theme::GROUP_GAP);
        ui.horizontal_wrapped(|ui| {
            let start = egui::Button::new(RichText::new(s.welcome_ok).strong()).fill(ui.visuals().selection.bg_fill);
            // Enter without a focus means the main button.
            let entered = ui.input(|i| i.key_pressed(Key::Enter)) && ui.memory(|m| m.focused().is_none());
            if ui.add(start.min_size(START_SIZE.into())).clicked() || entered {
                actions.push(Action::StartListening);
            }
            if ui.button(RichText::new(s.not_now).weak()).clicked() {
                actions.push(Action::PostponeWelcome);
            }
        });
    });
    if card.is_top_modal && !card.any_popup_open && ui.input_mut(|i| i.consume_key(Modifiers::NONE, Key::Escape)) {
        actions.push(Action::PostponeWelcome);
    }
}

/// Paints the name of the microphone as a menu of the others, and its level, which moves once Hearken listens.
fn microphone_ui(ui: &mut Ui, data: &FrameData<'_>, devices: &mut DeviceMenu, actions: &mut Actions) {
    let (s, t) = (data.s, data.transcript);
    ui.horizontal_wrapped(|ui| {
        ui.label(s.input);
        let name = if t.input() == InputState::Lost || t.source.is_empty() { s.no_input } else { &t.source };
        ui.menu_button(name, |ui| devices.show(ui, s, DeviceDirection::Input, actions));
        level_ui(ui, data);
    });
}

/// Paints the abilities and limits of the starter, the small built-in model: the numbers of words, phrases and sounds that it
/// understands, with examples and the whole list.
pub(super) fn starter_ui(ui: &mut Ui, s: &Strings) {
    let known = starter_phrases::starter();
    ui.label(fill_all(s.starter_can, &[&known.vocabulary.len(), &known.offered().count(), &known.sounds.len()]));
    let phrases = starter_phrases::EXAMPLES.map(|say| format!("“{say}”"));
    let sounds = starter_phrases::EXAMPLE_SOUNDS.map(str::to_owned);
    ui.label(fill(s.starter_try, phrases.into_iter().chain(sounds).collect::<Vec<_>>().join(" · ")));
    CollapsingHeader::new(s.starter_all).id_salt("starter knows").show(ui, |ui| {
        let phrases: Vec<&str> = known.offered().map(|p| p.say.as_str()).collect();
        let sounds: Vec<&str> = known.sounds.iter().map(|sound| sound.name.as_str()).collect();
        for (title, list) in
            [(s.starter_phrases, phrases.join(" · ")), (s.sounds, sounds.join(" · ")), (s.starter_words, known.vocabulary.join(" "))]
        {
            ui.label(RichText::new(title).strong());
            ui.label(RichText::new(list).weak());
        }
    });
    ui.label(s.welcome_cannot);
}

/// Paints the abilities, requirements and licences of the larger model from its `card`. Paints nothing without a card.
pub(super) fn larger_model_ui(ui: &mut Ui, s: &Strings, card: Option<&ModelCard>) {
    let Some(card) = card else { return };
    let needs = fill_all(s.bigger_takes, &[&size(card.memory_bytes), &size(card.download_bytes), &size(card.prepared_bytes)]);
    let licences = card.licences.iter().map(|licence| s.pick(&licence.name, &licence.zh.name)).collect::<Vec<_>>().join(" · ");
    egui::Frame::group(ui.style()).show(ui, |ui| {
        ui.label(RichText::new(&card.title).strong());
        for line in [s.bigger_can, &needs, &fill(s.bigger_licence, licences)] {
            ui.label(RichText::new(line).weak());
        }
    });
}
