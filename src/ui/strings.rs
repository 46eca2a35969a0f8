//! What the window says, in one place: a table for each language.

mod en;
mod zh;

use crate::config::prefs::UiLanguage;
use crate::protocol::Emotion;
use crate::time::StreamTime;

pub(super) const TITLE: &str = "Hearken";

macro_rules! strings {
    ($($name:ident),* $(,)?) => {
        /// Everything that the window says in one language. `{}` stands for what is filled in.
        #[derive(Debug)]
        pub(super) struct Strings {
            $(pub(super) $name: &'static str,)*
            pub(super) emotions: [&'static str; 6],
            pub(super) speaks: UiLanguage,
        }

        impl Strings {
            /// Every text, for the tests.
            #[cfg(test)]
            fn all(&self) -> Vec<&'static str> {
                let mut all = vec![$(self.$name),*];
                all.extend(self.emotions);
                all
            }
        }
    };
}

strings! {
    listening, replying, paused, no_input, loading, ended, behind, quiet, quiet_short, pause, resume, pause_hint, cut, cut_hint,
    forget, forget_hint, forget_ask, forget_yes, cancel, close, dismiss, level, clipping, too_quiet, model, input,
    edit, edit_mode, remove, remove_mode, mode_example, record_clip, record_hint, record_deaf, record_stop,
    recording_clip, clip_spoken, clip_unspoken, mode_saved, mode_removed, output_hint, starter_can,
    starter_try, starter_all, starter_phrases, starter_words, bigger_can, bigger_takes, bigger_licence,
    recording, now, secs_ago,
    notice_model, notice_trimmed, notice_gap, notice_input, notice_not_shown,
    gap_overrun, gap_overload, gap_device_lost, gap_zeros, gap_suspended,
    history, history_hint, search, search_hint, no_history, with_sound, no_words, nothing_found, back, choose_session,
    session_name, rename, delete, minutes, sound, delete_ask, delete_yes, delete_all, delete_all_ask, delete_all_yes,
    forget_lately, forget_lately_ask, forgotten, deleted_all, kept_again, kept_not, kept_failing, kept_ever,
    kept_days, keep_history, keep_ever, keep_days, keep_audio, history_lies, audio_not,
    default_input, looking, input_hint, dialog, transcribe, translate, sounds_mode, dialog_hint, transcribe_hint,
    translate_hint, sounds_hint, mode_menu, eagerness, eagerness_hint, into, chinese, english, conversation,
    transcript, translation, sounds, hide_panel, view, show_panel, no_conversation, no_transcript, no_translation,
    more, more_hint, models, models_hint, models_listen, models_listening, models_download, models_go_on, models_again, models_stop,
    models_remove, models_remove_ask, models_removed, models_here, models_begun, models_absent, models_memory, models_needs, models_terms,
    models_text, models_accept, models_originals, models_asking, models_checking, models_fetching, models_preparing,
    models_chosen, models_left, models_built_in, models_done, models_stopped, models_keep_using,
    no_sounds, nothing_on, nothing_shown, jump, you, heard_something, heard_sound, copy, less, less_eager, mute_sound,
    cut_off, went_on, still, mark_sound, marked, unmute, strip_label, strip_mode, stayed_silent, responded, caught_up,
    ago, settings, settings_hint, general, language, system, theme, light, dark, text_size, listen_section, gate,
    gate_hint, modes_section, notifications, notify, notify_hint, snooze, snoozed, marked_sounds, muted_sounds,
    no_marks, captions, captions_hint, captions_size, captions_opacity, captions_lines, captions_bilingual,
    captions_wait, captions_close, settings_file, about, version, new_mode, new_mode_hint, mode_name,
    mode_instruction, mode_clip, mode_clip_hint, mode_panel, add, added, export, export_hint, export_path,
    export_form, save, replace, exists, saved, failed, welcome, welcome_cannot,
    welcome_people, welcome_private, welcome_ok, privacy, chunk_cost, on_time, not_saved, model_choice, starter, starter_chinese,
    model_folder, load, urgent_title, sound_title, keys, keys_list,
    voice, voice_hint, speak_label, speak_always, speak_urgent, speak_asked, speaking, do_not_disturb, do_not_disturb_hint,
    say_last, say_again, be_quiet, voice_who, voice_system, voice_none, voice_try, voice_trial, voice_speed,
    display_gone_title, display_gone, display_back, display_back_unkept,
    interrupt, interrupt_hint, echo, echo_auto, echo_on, echo_off, noise_suppression, automatic_gain, untouched,
}

/// The table for a language; the system's where the window speaks it, else English.
pub(super) fn table(language: UiLanguage) -> &'static Strings {
    match language {
        UiLanguage::English => &en::TABLE,
        UiLanguage::Chinese => &zh::TABLE,
        UiLanguage::System => {
            let first = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok()).find(|v| !v.is_empty());
            if first.is_some_and(|locale| locale.starts_with("zh")) { &zh::TABLE } else { &en::TABLE }
        }
    }
}

/// The text with `what` in place of its `{}`.
pub(super) fn fill(text: &str, what: impl std::fmt::Display) -> String {
    text.replacen("{}", &what.to_string(), 1)
}

impl Strings {
    /// An emotion in a word.
    pub(super) const fn emotion(&self, emotion: Emotion) -> &'static str {
        self.emotions[emotion as usize]
    }

    /// A mode's name as a button shows it; the user's own modes have the names that they were given.
    pub(super) fn mode(&self, name: &str) -> String {
        match name {
            crate::config::modes::DIALOG => self.dialog.into(),
            crate::config::modes::TRANSCRIBE => self.transcribe.into(),
            crate::config::modes::TRANSLATE => self.translate.into(),
            crate::config::modes::SOUNDS => self.sounds_mode.into(),
            own => {
                let mut letters = own.chars();
                letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
            }
        }
    }

    /// What is said in the language of the window: `own` words where there are no `chinese` ones, too.
    pub(super) fn pick<'a>(&self, own: &'a str, chinese: &'a str) -> &'a str {
        if self.speaks == UiLanguage::Chinese && !chinese.is_empty() { chinese } else { own }
    }

    /// The same of a list.
    pub(super) fn pick_list<'a>(&self, own: &'a [String], chinese: &'a [String]) -> &'a [String] {
        if self.speaks == UiLanguage::Chinese && !chinese.is_empty() { chinese } else { own }
    }

    /// How long ago something was.
    pub(super) fn ago(&self, at: StreamTime, now: StreamTime) -> String {
        fill(self.ago, format_args!("{:.1}", now.secs_since(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_there_in_every_language_with_the_same_places_to_fill() {
        let (en, zh) = (en::TABLE.all(), zh::TABLE.all());
        for (english, chinese) in en.iter().zip(&zh) {
            assert!(!english.is_empty() && !chinese.is_empty(), "{english:?} {chinese:?}");
            assert_eq!(english.matches("{}").count(), chinese.matches("{}").count(), "{english:?} {chinese:?}");
        }
    }

    #[test]
    fn modes_have_names_in_the_language_of_the_window() {
        assert_eq!(
            (en::TABLE.mode("dialog"), zh::TABLE.mode("dialog"), en::TABLE.mode("birds")),
            ("Dialog".into(), "对话".into(), "Birds".into())
        );
    }
}
