//! The first card, shown once: privacy, the starter's abilities and limits, and the requirements of the larger model.

use egui::{CollapsingHeader, Id, Key, Modal, RichText, ScrollArea, Ui};

use super::actions::{Action, Actions, Dialog};
use super::dialogs::DIALOG_MARGIN;
use super::frame::FrameData;
use super::strings::{Strings, fill, fill_all};
use super::theme;
use crate::model::starter_phrases;
use crate::protocol::ModelChoice;
use crate::protocol::models::{ModelCard, size};

/// Largest number of phrases that the welcome card names as examples, and largest number of sounds.
const EXAMPLES: usize = 5;
/// Largest width of the welcome card, in points.
const WIDTH: f32 = 540.0;
/// Height of the main window kept for title, buttons and margins around the text of the welcome card, in points.
const AROUND_TEXT: f32 = 150.0;
/// Smallest height of the scrolling text of the welcome card, in points.
const MIN_TEXT_HEIGHT: f32 = 40.0;
/// Font size of the title of the welcome card, in points.
const TITLE_SIZE: f32 = theme::LARGE + 4.0;
/// Smallest width of the main button of the welcome card, in points.
const START_WIDTH: f32 = 88.0;

/// Paints the welcome card, and pushes [`Action::EndWelcome`] when the user closes it. If the starter model is in use, the card also
/// tells its abilities and the requirements of the larger model `larger`. `kept` is the footer's text on how the history is kept.
pub(super) fn welcome_ui(ui: &Ui, data: &FrameData<'_>, kept: &str, larger: Option<&ModelCard>, actions: &mut Actions) {
    let s = data.s;
    let room = ui.ctx().content_rect();
    let card = Modal::new(Id::unique("welcome")).frame(egui::Frame::window(ui.style())).show(ui.ctx(), |ui| {
        ui.set_max_width(WIDTH.min(room.width() - DIALOG_MARGIN).max(0.0));
        ui.label(RichText::new(s.welcome).strong().size(TITLE_SIZE));
        ui.add_space(2.0);
        ScrollArea::vertical().max_height((room.height() - AROUND_TEXT).max(MIN_TEXT_HEIGHT)).show(ui, |ui| {
            ui.label(RichText::new(s.welcome_people).strong());
            ui.label(s.welcome_private);
            ui.label(RichText::new(format!("{kept} · {}", s.audio_not)).weak());
            ui.add_space(theme::GROUP_GAP);
            if data.settings.model == ModelChoice::Starter {
                starter_ui(ui, s);
                ui.add_space(theme::GROUP_GAP);
                larger_model_ui(ui, s, larger);
            }
        });
        ui.add_space(theme::GROUP_GAP);
        buttons_ui(ui, s, actions)
    });
    if card.inner || card.should_close() {
        actions.push(Action::EndWelcome);
    }
}

/// Paints the buttons of the welcome card. Returns true if the user goes on, by a button or by the Enter key.
fn buttons_ui(ui: &mut Ui, s: &Strings, actions: &mut Actions) -> bool {
    ui.horizontal_wrapped(|ui| {
        let start = egui::Button::new(RichText::new(s.welcome_ok).strong()).fill(ui.visuals().selection.bg_fill);
        let start = ui.add(start.min_size(egui::vec2(START_WIDTH, 0.0)));
        let models = ui.button(s.models).on_hover_text(s.models_hint);
        if models.clicked() {
            actions.push(Action::Open(Dialog::Models));
        }
        // Enter without a focus means the main button.
        let entered = ui.input(|i| i.key_pressed(Key::Enter)) && ui.memory(|m| m.focused().is_none());
        start.clicked() || models.clicked() || entered
    })
    .inner
}

/// Paints the abilities and limits of the starter, the small built-in model: the numbers of words, phrases and sounds that it
/// understands, with examples and the whole list.
pub(super) fn starter_ui(ui: &mut Ui, s: &Strings) {
    let known = starter_phrases::starter();
    ui.label(fill_all(s.starter_can, &[&known.vocabulary.len(), &known.phrases.len(), &known.sounds.len()]));
    let phrases = known.phrases.iter().filter(|p| p.say.contains(' ')).take(EXAMPLES).map(|p| format!("“{}”", p.say));
    let sounds = known.sounds.iter().take(EXAMPLES).map(|sound| sound.name.clone());
    ui.label(fill(s.starter_try, phrases.chain(sounds).collect::<Vec<_>>().join(" · ")));
    CollapsingHeader::new(s.starter_all).id_salt("starter knows").show(ui, |ui| {
        let phrases: Vec<&str> = known.phrases.iter().map(|p| p.say.as_str()).collect();
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
