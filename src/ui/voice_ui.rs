//! The controls of the voice: its menu in the bar.

use egui::Ui;

use super::actions::{Action, Actions};
use super::alerts::DoNotDisturb;
use super::frame::FrameData;
use super::strings::Strings;
use crate::protocol::{Command, Speak, VoiceSettings};
use crate::transcript::Reply;

/// Paints the voice menu: the choice of which replies are spoken, "Do not disturb", a button that repeats the last reply, and a
/// button that stops the speech.
pub(super) fn voice_menu_ui(ui: &mut Ui, data: &FrameData<'_>, do_not_disturb: DoNotDisturb, actions: &mut Actions) {
    let (s, t) = (data.s, data.transcript);
    let menu = ui.menu_button(s.voice, |ui| {
        speak_ui(ui, s, data.settings.voice, actions);
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
    menu.response.on_hover_text(s.voice);
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
