//! The keys of the window. Pausing works wherever the focus is, in dialogs and in the captions too.

use egui::{InputState, Key, KeyboardShortcut, Modifiers};

use super::HearkenApp;
use super::actions::{Action, Actions, Dialog};
use super::file_dialog::FileQuestion;
use crate::protocol::Command;

/// Keys that switch the first nine modes on or off, in the order of the modes.
pub(super) const MODE_KEYS: [Key; 9] = [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7, Key::Num8, Key::Num9];
/// Shortcut that opens the export dialog.
const EXPORT: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::E);
/// Shortcut that opens the history window.
const HISTORY: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::F);
/// Shortcut that opens the file dialog for audio files that are to be heard.
const LISTEN: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::O);
/// Shortcut that opens or closes the settings window.
const SETTINGS: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::Comma);
/// Shortcut that deletes the running conversation, which can be undone.
const DELETE: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::Delete);

/// Takes a press of F9 or Ctrl+Space, which pause and resume in every window of Hearken, from `input`; returns true if there was one.
pub(super) fn take_pause_key(input: &mut InputState) -> bool {
    input.consume_key(Modifiers::NONE, Key::F9) || input.consume_key(Modifiers::CTRL, Key::Space)
}

impl HearkenApp {
    /// Turns the keys pressed in this frame into intents.
    pub(super) fn handle_keys(&mut self, ui: &egui::Ui, actions: &mut Actions) {
        // On the first card nothing is captured yet, and only its button changes that.
        if ui.input_mut(take_pause_key) && !self.asks_consent() {
            actions.push(Action::TogglePause);
        }
        for (shortcut, action) in [
            (EXPORT, Action::Open(Dialog::Export)),
            (SETTINGS, Action::Toggle(Dialog::Settings)),
            (HISTORY, Action::Open(Dialog::History)),
            (LISTEN, Action::AskFile(FileQuestion::Recordings)),
            (DELETE, Action::DeleteConversation),
        ] {
            if ui.input_mut(|i| i.consume_shortcut(&shortcut)) {
                actions.push(action);
            }
        }
        let pressed = |key| ui.input(|i| i.key_pressed(key) && i.modifiers.is_none());
        for (key, overlay) in [(Key::F10, Dialog::Pill), (Key::F11, Dialog::Captions)] {
            if pressed(key) {
                actions.push(Action::Toggle(overlay));
            }
        }
        // A question and the first card handle Escape themselves.
        let asks = ui.ctx().memory(|m| m.top_modal_layer().is_some());
        if pressed(Key::Escape) && !asks && !self.close_topmost() {
            actions.push(if self.first_minute.is_some() { Action::EndFirstMinute } else { Action::Send(Command::CutReply) });
        }
        // Letters and the space bar belong to the widget that has the focus.
        if asks || ui.ctx().memory(|m| m.focused().is_some()) {
            return;
        }
        if pressed(Key::Space) {
            actions.push(Action::TogglePause);
        }
        if pressed(Key::M) {
            actions.push(Action::ToggleMute);
        }
        for (mode, _) in self.settings.modes.iter().zip(MODE_KEYS).filter(|(_, key)| pressed(*key)) {
            actions.push(Action::ToggleMode(mode.name.clone()));
        }
    }

    /// Closes the topmost open window above the main one (not the captions); returns false if none was open.
    fn close_topmost(&mut self) -> bool {
        self.models.close() || self.history.close() || self.settings_window.close() || self.file_sheet.close()
    }
}
