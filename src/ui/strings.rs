//! All text of the window, in one place: a table per language.

use std::fmt::Display;

use crate::config::ExportForm;
use crate::config::prefs::UiLanguage;
use crate::error::{Error, ErrorKind, Remedy};
use crate::export::DocumentFormat;
use crate::protocol::{Emotion, GapCause, Panel};
use crate::time::StreamTime;
use crate::transcript::NoticeKind;

/// Title of the main window and name of the program.
pub(super) const TITLE: &str = "Hearken";

macro_rules! strings {
    ($(#[$doc:meta])* $table:ident; $($name:ident),* $(,)?) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(in crate::ui) struct $table {
            $(pub(in crate::ui) $name: &'static str,)*
        }

        impl $table {
            /// Returns all texts, for the tests.
            #[cfg(test)]
            pub(super) fn all(&self) -> Vec<&'static str> {
                vec![$(self.$name),*]
            }
        }
    };
    ($($name:ident),* $(,)?) => {
        /// All text of the window in one language, but for that of the models page and of audio files. Each `{}` stands for a value that [`fill`] or
        /// [`fill_all`] puts in.
        #[derive(Debug)]
        pub(super) struct Strings {
            $(pub(super) $name: &'static str,)*
            /// One word per [`Emotion`], in its order.
            emotions: [&'static str; 6],
            /// One reason per [`GapCause`], in its order.
            gap_causes: [&'static str; 6],
            /// Names of the days of the week, from Monday.
            weekdays: [&'static str; 7],
            /// Names of the months, from January.
            months: [&'static str; 12],
            /// Returns the sentence for a kind of error, without a full stop: a colon and the technical message follow.
            error: fn(ErrorKind) -> &'static str,
            /// Returns the sentence that tells the user of the window what to do.
            remedy: fn(Remedy) -> &'static str,
            /// Text of the models page.
            pub(super) models_page: &'static models::ModelStrings,
            /// Text on audio files that are heard.
            pub(super) files: &'static files::FileStrings,
            /// Language of the texts in the table.
            pub(super) language_of_table: UiLanguage,
        }

        impl Strings {
            /// All texts, for the tests.
            #[cfg(test)]
            fn all(&self) -> Vec<&'static str> {
                let mut all = vec![$(self.$name),*];
                all.extend(self.models_page.all());
                all.extend(self.files.all());
                all.extend(self.emotions);
                all.extend(self.gap_causes);
                all.extend(self.weekdays);
                all.extend(self.months);
                all
            }
        }
    };
}

pub(super) mod dates;
mod en;
mod files;
mod models;
mod zh;

strings! {
    listening, replying, paused, no_input, loading, ended, behind, quiet_short, pause, resume, pause_hint, cut, cut_hint,
    cancel, dismiss, level, clipping, too_quiet, model, input,
    edit, edit_mode, remove, remove_mode, mode_example, record_clip, record_hint, record_deaf, record_stop,
    recording_clip, clip_spoken, clip_unspoken, mode_saved, mode_removed, output_hint, starter_can,
    starter_try, starter_all, starter_phrases, starter_words, bigger_can, bigger_takes, bigger_licence,
    recording, now, secs_ago,
    history, history_hint, search, search_hint, no_history, with_sound, no_words, nothing_found, back, choose_session,
    session_name, rename, delete, today, yesterday, day_and_time, seconds, minutes, hours, one_reply, many_replies, one_match,
    many_matches, sessions, sound, delete_ask, delete_yes, delete_all, delete_all_ask, delete_all_yes,
    forget_lately, forget_lately_ask, forgotten, deleted_all, kept_again, kept_not, kept_failing, kept_ever,
    kept_days, keep_history, keep_ever, keep_days, keep_audio, history_lies, audio_not,
    default_input, all_channels, one_channel, looking, dialog, transcribe, translate, sounds_mode, dialog_hint, transcribe_hint,
    translate_hint, sounds_hint, mode_menu, eagerness, eagerness_hint, into, chinese, english, conversation,
    transcript, translation, sounds, hide_panel, view, show_panel, no_conversation, no_transcript, no_translation,
    more, models, models_hint,                             details,
    no_sounds, nothing_on, nothing_shown, jump, you, heard_something, heard_sound, copy, less, less_eager, mute_sound,
    cut_off, went_on, still, mark_sound, marked, unmute, strip_label, strip_mode, stayed_silent, responded, caught_up,
    ago, section, settings_search, choose, zoom_help, echo_help, voice_help, pause_notifications, privacy_section,
    keep_audio_help, history_open, model_in_use, starter_help, use_starter, model_folder_help, diagnostics,
    diagnostics_copy, diagnostics_help, figure_chunk, figure_lag, figure_trims, figure_level, figure_heard, figure_log,
    notices, no_notices, key_pause, key_pause_anywhere, key_escape, key_modes, key_zoom, key_zoom_reset, key_scroll, key_ends, licence,
    licence_apache, third_party,
    settings, settings_hint, general, language, system, theme, light, dark, text_size, listen_section, gate,
    gate_hint, modes_section, notifications, notify, notify_hint, snooze, snoozed, marked_sounds, muted_sounds,
    no_marks, captions, captions_hint, captions_size, captions_opacity, captions_lines, captions_bilingual,
    captions_wait, captions_close, captions_reply, captions_urgent, captions_width, captions_fade, captions_after, captions_stay,
    captions_place, captions_top, captions_top_kde, captions_top_gnome, overlay_pause, overlay_resume, pill, pill_hint, pill_open,
    pill_close, tray_open, tray_quit, close_ask, close_hint, close_tray, close_quit, close_label, close_asks, close_keeps,
    close_quits, autostart, autostart_hint, settings_file, about, version, new_mode, new_mode_hint, mode_name,
    mode_instruction, mode_clip, mode_clip_hint, mode_panel, add, added, export, export_hint, export_path,
    export_title, form_text, form_markdown, form_srt, form_vtt, form_events, save_as, copy_to_clipboard, copied, show_in_folder,
    save, replace, exists, saved, failed, welcome, welcome_cannot,
    welcome_people, welcome_ok, privacy, chunk_cost, starter, starter_chinese,
    model_folder, load, urgent_title, sound_title, keys,
    voice, speak_label, speak_always, speak_urgent, speak_asked, speaking, do_not_disturb, do_not_disturb_hint,
    say_last, say_again, be_quiet, voice_system, voice_none, voice_try, voice_trial, voice_speed,
    display_gone_title, display_gone, display_back, display_back_unkept,
    notice_model, notice_trimmed, notice_gap, notice_input, notice_not_shown,
    nothing_on_state, since, paused_detail, title_state, title_listening, title_paused, title_no_input, title_ended,
    title_nothing_on, title_urgent, urgent_word, no_alarm, eagerness_low, eagerness_normal, eagerness_high, eagerness_fine,
    computer_audio, voice_on, voice_urgent, voice_muted, mute, unmute_voice, view_conversation, view_columns, show_decisions,
    hide_decisions, decision_rows, nearness, turn_on_mode, new_lines, motion, motion_help, motion_on, motion_off, privacy_hint,
    interrupt, interrupt_hint, echo, echo_auto, echo_on, echo_off, noise_suppression, automatic_gain, untouched,
    new_conversation, new_conversation_hint, conversation_rule, conversation_begun, delete_conversation, delete_conversation_hint,
    conversation_deleted, conversation_going, conversation_restored, conversation_restored_hint, undo,
    choose_microphone, choose_speaker, try_again, open_settings, open_history, dismiss_message, settings_unsaved,
    mode_remove_ask,
    welcome_local, welcome_keep, not_now, say_this, say_name, now_cough, next_step, skip, skip_hint, alert_me_ask, alert_me, no_alert, first_done, first_try, first_pause, first_model, first_close,
    full_model, heard_you, heard_you_hint,
    plug_one_in, listen_to_computer, switch_on, nothing_on_hint, show_all, input_silent, input_silent_hint,
    model_fails, still_using, input_fails, output_fails,
}

/// Returns the table of the window's texts in `language`. For `System` returns the Chinese table if the locale (`LC_ALL`,
/// `LC_MESSAGES`, `LANG`) begins with `zh`, else the English table.
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

/// Returns `text` with its first `{}` replaced by `value`; returns `text` unchanged if it has no `{}`.
pub(super) fn fill(text: &str, value: impl Display) -> String {
    text.replacen("{}", &value.to_string(), 1)
}

/// Returns `text` with its first `{}` replaced by the first of `values`, the next by the second, and so on. A value must not
/// contain `{}`.
pub(super) fn fill_all(text: &str, values: &[&dyn Display]) -> String {
    values.iter().fold(text.to_owned(), |text, value| fill(&text, value))
}

impl Strings {
    /// Returns the word for an emotion in the language of the table.
    pub(super) const fn emotion(&self, emotion: Emotion) -> &'static str {
        self.emotions[emotion as usize]
    }

    /// Returns the name of the format of an export.
    pub(super) const fn export_form_name(&self, form: ExportForm) -> &'static str {
        match form {
            ExportForm::Document(DocumentFormat::Text) => self.form_text,
            ExportForm::Document(DocumentFormat::Markdown) => self.form_markdown,
            ExportForm::Document(DocumentFormat::Srt) => self.form_srt,
            ExportForm::Document(DocumentFormat::Vtt) => self.form_vtt,
            ExportForm::Events => self.form_events,
        }
    }

    /// Returns the title of a panel in the language of the table.
    pub(super) const fn panel(&self, panel: Panel) -> &'static str {
        match panel {
            Panel::Conversation => self.conversation,
            Panel::Transcript => self.transcript,
            Panel::Translation => self.translation,
            Panel::Sounds => self.sounds,
        }
    }

    /// Returns the label of the mode `name`: for a built-in mode a word in the language of the table, for a mode of the user's the
    /// name with a capital first letter.
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

    /// Returns the text of the model catalogue that is in the language of the window, `english` or `chinese`; `english` if `chinese`
    /// is empty.
    pub(super) fn pick<'a>(&self, english: &'a str, chinese: &'a str) -> &'a str {
        if self.language_of_table == UiLanguage::Chinese && !chinese.is_empty() { chinese } else { english }
    }

    /// Returns the list of the model catalogue that is in the language of the window, `english` or `chinese`; `english` if `chinese`
    /// is empty.
    pub(super) fn pick_list<'a>(&self, english: &'a [String], chinese: &'a [String]) -> &'a [String] {
        if self.language_of_table == UiLanguage::Chinese && !chinese.is_empty() { chinese } else { english }
    }

    /// Returns the time from `at` to `now` as text in the language of the table, for example "3.2 s ago"; "0.0 s ago" if `at` is later.
    pub(super) fn ago(&self, at: StreamTime, now: StreamTime) -> String {
        fill(self.ago, format_args!("{:.1}", now.secs_since(at)))
    }

    /// Returns the text of an error for the user: the sentence for its kind, its technical message (in English), and the remedy if
    /// one is known.
    pub(super) fn error(&self, error: &Error) -> String {
        self.problem(error.kind(), error.message(), error.remedy())
    }

    /// Returns the text of a problem for the user: the sentence for its kind, the technical `message` (in English), and the remedy if
    /// one is known.
    pub(super) fn problem(&self, kind: ErrorKind, message: &str, remedy: Option<Remedy>) -> String {
        format!("{}: {}", (self.error)(kind), self.reason(message, remedy))
    }

    /// Returns the sentence for a kind of error, the title of a message.
    pub(super) fn title(&self, kind: ErrorKind) -> &'static str {
        (self.error)(kind)
    }

    /// Returns the reason of a problem: its technical message and the remedy, as [`Strings::detail`] does. A technical message that
    /// names a command or an option is left out, because nothing in the window sends people to a terminal.
    pub(super) fn reason(&self, message: &str, remedy: Option<Remedy>) -> String {
        if names_a_command(message) {
            remedy.map_or_else(String::new, |remedy| (self.remedy)(remedy).to_owned())
        } else {
            self.detail(message, remedy)
        }
    }

    /// Returns the technical `message`, ended by a full stop, followed by the remedy for the user if one is known.
    pub(super) fn detail(&self, message: &str, remedy: Option<Remedy>) -> String {
        let stop = if message.ends_with(['.', '!', '?', '。']) { "" } else { "." };
        let remedy = remedy.map_or_else(String::new, |remedy| format!(" {}", (self.remedy)(remedy)));
        format!("{message}{stop}{remedy}")
    }

    /// Returns the text of a notice of the session, such as a gap in the audio or another model.
    pub(super) fn notice(&self, notice: &NoticeKind) -> String {
        match notice {
            NoticeKind::ModelChanged { model } => fill(self.notice_model, model),
            NoticeKind::ContextTrimmed { mode, secs } => fill_all(self.notice_trimmed, &[&self.mode(mode), &format_args!("{secs:.0}")]),
            NoticeKind::AudioGap { secs, cause } => fill_all(self.notice_gap, &[&format_args!("{secs:.1}"), &self.gap_cause(*cause)]),
            NoticeKind::InputChanged { device } => fill(self.notice_input, device),
            NoticeKind::Problem { kind, message, remedy } => self.problem(*kind, message, *remedy),
            NoticeKind::NotShown => self.notice_not_shown.to_owned(),
        }
    }

    const fn gap_cause(&self, cause: GapCause) -> &'static str {
        self.gap_causes[cause as usize]
    }
}

/// Returns true if a technical message names a command of Hearken or an option of one.
fn names_a_command(message: &str) -> bool {
    message.contains("`hearken ")
        || message.split_whitespace().any(|word| {
            let option = word.trim_start_matches(['(', '`']).strip_prefix("--");
            option.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_have_the_same_texts_with_the_same_number_of_places_to_fill() {
        let (en, zh) = (en::TABLE.all(), zh::TABLE.all());
        for (english, chinese) in en.iter().zip(&zh) {
            assert!(!english.is_empty() && !chinese.is_empty(), "{english:?} {chinese:?}");
            assert_eq!(english.matches("{}").count(), chinese.matches("{}").count(), "{english:?} {chinese:?}");
        }
    }

    #[test]
    fn mode_labels_are_in_the_language_of_the_window() {
        assert_eq!(
            (en::TABLE.mode("dialog"), zh::TABLE.mode("dialog"), en::TABLE.mode("birds")),
            ("Answer".into(), "回答".into(), "Birds".into())
        );
    }

    #[test]
    fn notices_are_in_the_language_of_the_window() {
        let gap = NoticeKind::AudioGap { secs: 0.5, cause: GapCause::DeviceLost };
        assert_eq!(en::TABLE.notice(&gap), "Missed 0.5 s of sound: microphone disconnected");
        assert!(zh::TABLE.notice(&gap).is_ascii().eq(&false) && !zh::TABLE.notice(&gap).contains("sound"));
    }

    #[test]
    fn an_error_is_a_sentence_with_its_technical_message() {
        let error = Error::new(ErrorKind::Output, "/x: disk full");
        assert_eq!(en::TABLE.error(&error), "The file can't be written: /x: disk full.");
        assert_eq!(zh::TABLE.error(&error), "无法写入文件: /x: disk full.");
    }

    #[test]
    fn a_reason_names_no_command() {
        let remedy = Some(Remedy::ReplaceModel);
        assert_eq!(en::TABLE.reason("/m: holds no tensor", None), "/m: holds no tensor.");
        let told = en::TABLE.reason("/m: was not made by `hearken model quantize`", remedy);
        assert_eq!(told, "Download the model again, or choose another one under Models.");
        assert!(names_a_command("use --model x") && names_a_command("(`--force`)") && !names_a_command("a -- b, -12 dB"));
    }

    #[test]
    fn no_text_names_a_command_line_option() {
        for table in [include_str!("strings/en.rs"), include_str!("strings/zh.rs")] {
            assert!(!table.contains("--") && !table.contains("`hearken"));
        }
    }
}
