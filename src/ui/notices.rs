//! The words of the notices in the status line.

use super::strings::{Strings, fill};
use crate::error::with_remedy_text;
use crate::protocol::GapCause;
use crate::transcript::NoticeKind;

/// Returns the text of a notice in the language of the window.
pub(super) fn notice_text(s: &Strings, kind: &NoticeKind) -> String {
    match kind {
        NoticeKind::ModelChanged { model } => fill(s.notice_model, model),
        NoticeKind::ContextTrimmed { mode, secs } => fill(&fill(s.notice_trimmed, mode), format_args!("{secs:.0}")),
        NoticeKind::AudioGap { secs, cause } => fill(&fill(s.notice_gap, format_args!("{secs:.1}")), cause_text(s, *cause)),
        NoticeKind::InputChanged { device } => fill(s.notice_input, device),
        NoticeKind::Problem { message, remedy, .. } => with_remedy_text(message, *remedy),
        NoticeKind::NotShown => s.notice_not_shown.to_owned(),
    }
}

const fn cause_text(s: &Strings, cause: GapCause) -> &'static str {
    match cause {
        GapCause::Overrun => s.gap_overrun,
        GapCause::Overload => s.gap_overload,
        GapCause::DeviceLost => s.gap_device_lost,
        GapCause::Zeros => s.gap_zeros,
        GapCause::Suspended => s.gap_suspended,
    }
}

#[cfg(test)]
mod tests {
    use super::super::strings::table;
    use super::*;
    use crate::config::prefs::UiLanguage;

    #[test]
    fn notices_are_worded_in_the_language_of_the_window() {
        let gap = NoticeKind::AudioGap { secs: 0.5, cause: GapCause::DeviceLost };
        assert_eq!(notice_text(table(UiLanguage::English), &gap), "Missed 0.5 s of sound: microphone disconnected");
        let chinese = notice_text(table(UiLanguage::Chinese), &gap);
        assert!(!chinese.chars().any(|c| c.is_ascii_alphabetic()), "{chinese}");
    }
}
