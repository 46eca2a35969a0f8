//! The voice in the window: its menu in the bar, and its section of the settings.

use egui::{Checkbox, RichText, Slider, Ui};

use super::HearkenApp;
use crate::config::prefs::SavedChoice;
use crate::protocol::{Command, EchoChoice, Interrupt, ReplyId, Speak, Switch, VoiceChoice, VoiceSettings};
use crate::transcript::{Reply, Transcript};

impl HearkenApp {
    /// What is wanted of the voice at any moment.
    pub(super) fn voice_menu_ui(&mut self, ui: &mut Ui, transcript: &Transcript) {
        let s = self.s;
        let menu = ui.menu_button(s.voice, |ui| {
            self.speak_ui(ui);
            ui.separator();
            let mut quiet = self.view.do_not_disturb;
            if ui.checkbox(&mut quiet, s.do_not_disturb).on_hover_text(s.do_not_disturb_hint).clicked() {
                self.view.do_not_disturb = quiet;
                self.tell_voice();
                self.tell_alerts();
            }
            ui.separator();
            let last = transcript.replies.iter().rev().find(|reply| !reply.text.is_empty());
            if ui.add_enabled(last.is_some(), egui::Button::new(s.say_last)).clicked()
                && let Some(reply) = last
            {
                self.say_again(reply);
                ui.close();
            }
            if ui.add_enabled(transcript.speaking.is_some(), egui::Button::new(s.be_quiet)).clicked() {
                self.session.engine.send(Command::CutReply);
                ui.close();
            }
        });
        menu.response.on_hover_text(s.voice_hint);
    }

    /// Which replies are spoken.
    fn speak_ui(&mut self, ui: &mut Ui) {
        let (s, mut voice) = (self.s, self.settings.voice);
        ui.label(s.speak_label);
        let mut clicked = false;
        for (value, label) in [(Speak::Always, s.speak_always), (Speak::Urgent, s.speak_urgent), (Speak::Asked, s.speak_asked)] {
            clicked |= ui.radio_value(&mut voice.speak, value, label).clicked();
        }
        if clicked {
            self.choose_voice(voice);
        }
    }

    pub(super) fn say_again(&self, reply: &Reply) {
        self.session.engine.send(Command::Say { reply: reply.id, text: reply.text.clone(), emotion: reply.emotion });
    }

    pub(super) fn voice_settings_ui(&mut self, ui: &mut Ui) {
        self.speak_ui(ui);
        let (s, mut voice) = (self.s, self.settings.voice);
        ui.horizontal_wrapped(|ui| {
            ui.label(s.voice_who);
            ui.selectable_value(&mut voice.voice, VoiceChoice::System, s.voice_system);
            ui.selectable_value(&mut voice.voice, VoiceChoice::None, s.voice_none);
            if ui.add_enabled(voice.voice != VoiceChoice::None, egui::Button::new(s.voice_try)).clicked() {
                self.session.engine.send(Command::Say { reply: ReplyId(0), text: s.voice_trial.into(), emotion: None });
            }
        });
        let slider = ui.add(Slider::new(&mut voice.speed, 0.5..=2.0).step_by(0.05).text(s.voice_speed));
        let settled = !slider.dragged();
        let mut cuts = voice.interrupt == Interrupt::Cut;
        ui.checkbox(&mut cuts, s.interrupt).on_hover_text(s.interrupt_hint);
        voice.interrupt = if cuts { Interrupt::Cut } else { Interrupt::LetFinish };
        ui.horizontal_wrapped(|ui| {
            ui.label(s.echo);
            for (value, label) in [(EchoChoice::Auto, s.echo_auto), (EchoChoice::On, s.echo_on), (EchoChoice::Off, s.echo_off)] {
                ui.selectable_value(&mut voice.echo, value, label);
            }
        });
        voice.noise_suppression = switch_ui(ui, voice.noise_suppression, s.noise_suppression);
        voice.automatic_gain = switch_ui(ui, voice.automatic_gain, s.automatic_gain);
        ui.label(RichText::new(s.untouched).weak());
        if voice != self.settings.voice && settled {
            self.choose_voice(voice);
        } else {
            // A slider that is being dragged shows where it is.
            self.settings.voice.speed = voice.speed;
        }
    }

    fn choose_voice(&mut self, voice: VoiceSettings) {
        self.settings.voice = voice;
        self.tell_voice();
        self.save(&SavedChoice::Voice(voice));
    }

    /// Tells the engine what is wanted now.
    pub(super) fn tell_voice(&self) {
        let mut voice = self.settings.voice;
        if self.view.do_not_disturb {
            voice.speak = Speak::Asked;
        }
        self.session.engine.send(Command::Voice(voice));
    }
}

fn switch_ui(ui: &mut Ui, switch: Switch, label: &str) -> Switch {
    let mut on = switch == Switch::On;
    ui.add(Checkbox::new(&mut on, label));
    if on { Switch::On } else { Switch::Off }
}
