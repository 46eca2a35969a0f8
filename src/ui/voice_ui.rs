//! The controls of the voice: its menu in the bar, and its section of the settings.

use egui::{Checkbox, RichText, Slider, Ui};

use super::actions::{Action, Actions};
use super::alerts::DoNotDisturb;
use super::controls;
use super::frame::FrameData;
use super::icons::{self, Icon};
use super::strings::Strings;
use crate::protocol::{Command, EchoChoice, Interrupt, ReplyId, Speak, Switch, VoiceChoice, VoiceSettings};
use crate::transcript::Reply;

/// Range of the slider of the voice's speed; 1 is normal.
const SPEEDS: std::ops::RangeInclusive<f32> = 0.5..=2.0;
/// Step of the slider of the voice's speed.
const SPEED_STEP: f64 = 0.05;
/// Reply id under which the engine speaks the trial sentence of the voice settings, which belongs to no reply.
const TRIAL: ReplyId = ReplyId(0);

/// Paints the voice menu: the choice of which replies are spoken, "Do not disturb", a button that repeats the last reply, and a
/// button that stops the speech.
pub(super) fn voice_menu_ui(ui: &mut Ui, data: &FrameData<'_>, do_not_disturb: DoNotDisturb, actions: &mut Actions) {
    let (s, t) = (data.s, data.transcript);
    let (icon, hint) = look(s, data.settings.voice, do_not_disturb);
    let button = icons::button(ui, icon, s.voice, hint);
    egui::Popup::menu(&button).close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside).show(|ui| {
        speak_ui(ui, s, data.settings.voice, actions);
        let muted = data.settings.voice.speak == Speak::Asked;
        if ui.button(if muted { s.unmute_voice } else { s.mute }).clicked() {
            actions.push(Action::ToggleMute);
        }
        ui.separator();
        let mut undisturbed = do_not_disturb == DoNotDisturb::On;
        if ui.checkbox(&mut undisturbed, s.do_not_disturb).on_hover_text(s.do_not_disturb_hint).clicked() {
            actions.push(Action::SetDoNotDisturb(if undisturbed { DoNotDisturb::On } else { DoNotDisturb::Off }));
        }
        ui.separator();
        let last = t.replies.iter().rev().find(|reply| !reply.text.is_empty());
        if ui.add_enabled(last.is_some(), egui::Button::new(s.say_last)).clicked()
            && let Some(reply) = last
        {
            actions.send(repeat_command(reply));
            ui.close();
        }
        if ui.add_enabled(t.speaking.is_some(), egui::Button::new(s.be_quiet)).clicked() {
            actions.send(Command::CutReply);
            ui.close();
        }
    });
}

/// Returns icon and tooltip of the voice: spoken, spoken if urgent, or silent.
const fn look(s: &Strings, voice: VoiceSettings, do_not_disturb: DoNotDisturb) -> (Icon, &'static str) {
    match (voice.voice, do_not_disturb, voice.speak) {
        (VoiceChoice::None, ..) | (_, DoNotDisturb::On, _) | (.., Speak::Asked) => (Icon::VoiceOff, s.voice_muted),
        (.., Speak::Urgent) => (Icon::VoiceLow, s.voice_urgent),
        (.., Speak::Always) => (Icon::Voice, s.voice_on),
    }
}

/// Paints the choice between speaking all replies, urgent ones only, or only when asked.
fn speak_ui(ui: &mut Ui, s: &Strings, mut voice: VoiceSettings, actions: &mut Actions) {
    ui.label(s.speak_label);
    for (value, label) in [(Speak::Always, s.speak_always), (Speak::Urgent, s.speak_urgent), (Speak::Asked, s.speak_asked)] {
        if ui.radio_value(&mut voice.speak, value, label).clicked() {
            actions.push(Action::SetVoice(voice));
        }
    }
}

/// Returns the command that makes the engine speak the text of `reply` again.
pub(super) fn repeat_command(reply: &Reply) -> Command {
    Command::Say { reply: reply.id, text: reply.text.clone(), emotion: reply.emotion }
}

/// Paints the settings of voice, interruption, echo cancellation and input processing. A change becomes an [`Action::SetVoice`].
/// `dragged_speed` keeps the voice's speed while the user drags the slider, so that only the final speed is set.
pub(super) fn voice_settings_ui(ui: &mut Ui, data: &FrameData<'_>, dragged_speed: &mut Option<f32>, actions: &mut Actions) {
    let s = data.s;
    speak_ui(ui, s, data.settings.voice, actions);
    let mut voice = data.settings.voice;
    ui.horizontal_wrapped(|ui| {
        ui.label(s.voice);
        ui.selectable_value(&mut voice.voice, VoiceChoice::System, s.voice_system);
        ui.selectable_value(&mut voice.voice, VoiceChoice::None, s.voice_none);
        if ui.add_enabled(voice.voice != VoiceChoice::None, egui::Button::new(s.voice_try)).clicked() {
            actions.send(Command::Say { reply: TRIAL, text: s.voice_trial.into(), emotion: None });
        }
    });
    let mut speed = dragged_speed.unwrap_or(voice.speed);
    let slider = controls::slider(ui, Slider::new(&mut speed, SPEEDS).step_by(SPEED_STEP).text(s.voice_speed));
    *dragged_speed = slider.dragged().then_some(speed);
    if dragged_speed.is_none() {
        voice.speed = speed;
    }
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
    if voice != data.settings.voice {
        actions.push(Action::SetVoice(voice));
    }
}

fn switch_ui(ui: &mut Ui, switch: Switch, label: &str) -> Switch {
    let mut on = switch == Switch::On;
    ui.add(Checkbox::new(&mut on, label));
    if on { Switch::On } else { Switch::Off }
}
