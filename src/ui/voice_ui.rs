//! The controls of the voice: its menu in the bar.

use egui::Ui;

use super::actions::{Action, Actions};
use super::alerts::DoNotDisturb;
use super::frame::FrameData;
use super::icons::{self, Icon};
use super::strings::Strings;
use crate::protocol::{Command, Speak, VoiceChoice, VoiceSettings};
use crate::transcript::Reply;

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
