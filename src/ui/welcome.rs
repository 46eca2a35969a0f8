//! The first card: what listens, what it can and cannot do, and what the larger model would take. It is shown once.

use egui::{CollapsingHeader, Id, Key, Modal, RichText, ScrollArea, Ui};

use super::strings::{Strings, fill};
use super::{HearkenApp, theme};
use crate::model::starter_phrases;
use crate::protocol::ModelChoice;
use crate::protocol::models::{ModelCard, size};

/// Phrases and sounds that are named as examples.
const EXAMPLES: usize = 5;

impl HearkenApp {
    pub(super) fn welcome_ui(&mut self, ui: &Ui) {
        let s = self.s;
        let room = ui.ctx().content_rect();
        let frame = egui::Frame::window(ui.style());
        let card = Modal::new(Id::unique("welcome")).frame(frame).show(ui.ctx(), |ui| {
            ui.set_max_width(540.0_f32.min(room.width() - 48.0).max(0.0));
            ui.label(RichText::new(s.welcome).strong().size(theme::LARGE + 4.0));
            ui.add_space(2.0);
            ScrollArea::vertical().max_height((room.height() - 150.0).max(40.0)).show(ui, |ui| {
                ui.label(RichText::new(s.welcome_people).strong());
                ui.label(s.welcome_private);
                ui.label(RichText::new(format!("{} · {}", self.kept(), s.audio_not)).weak());
                ui.add_space(8.0);
                if self.settings.model == ModelChoice::Starter {
                    starter_ui(ui, s);
                    ui.add_space(8.0);
                    bigger_ui(ui, s, self.models.bigger());
                }
            });
            ui.add_space(8.0);
            ui.horizontal_wrapped(|ui| {
                let start = egui::Button::new(RichText::new(s.welcome_ok).strong()).fill(ui.visuals().selection.bg_fill);
                let start = ui.add(start.min_size(egui::vec2(88.0, 0.0)));
                let more = ui.button(s.models).on_hover_text(s.models_hint);
                if more.clicked() {
                    self.models.toggle();
                }
                // Whoever has not gone to another button with Tab means the one that stands out.
                let entered = ui.input(|i| i.key_pressed(Key::Enter)) && ui.memory(|m| m.focused().is_none());
                start.clicked() || more.clicked() || entered
            })
            .inner
        });
        if card.inner || card.should_close() {
            self.prefs.welcomed = true;
        }
    }
}

/// What the starter can and cannot do, as its own list has it.
pub(super) fn starter_ui(ui: &mut Ui, s: &Strings) {
    let known = starter_phrases::starter();
    let can = fill(&fill(&fill(s.starter_can, known.vocabulary.len()), known.phrases.len()), known.sounds.len());
    ui.label(can);
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

/// The offer of the larger model as the catalogue has it: what it takes and under which licences, once and without a question.
pub(super) fn bigger_ui(ui: &mut Ui, s: &Strings, card: Option<&ModelCard>) {
    let Some(card) = card else { return };
    let takes = [card.memory_bytes, card.download_bytes, card.prepared_bytes].map(size);
    let takes = takes.iter().fold(s.bigger_takes.to_owned(), |text, size| fill(&text, size));
    let licences = card.licences.iter().map(|licence| s.pick(&licence.name, &licence.zh.name)).collect::<Vec<_>>().join(" · ");
    egui::Frame::group(ui.style()).show(ui, |ui| {
        ui.label(RichText::new(&card.title).strong());
        for line in [s.bigger_can, &takes, &fill(s.bigger_licence, licences)] {
            ui.label(RichText::new(line).weak());
        }
    });
}
