//! Tests of the captions, painted without a window of their own.

use std::collections::BTreeMap;

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

use super::*;
use crate::config::prefs::UiLanguage;
use crate::protocol::{Command, Emotion, Event, Panel, ReplyId, StopReason};
use crate::time::{ChunkIdx, StreamTime};
use crate::ui::strings;

/// Returns the end of chunk `n`.
fn at(n: u64) -> StreamTime {
    StreamTime::from_samples(n * 6_400)
}

fn link() -> (SessionLink, std::sync::mpsc::Receiver<Command>) {
    let (link, commands) = SessionLink::without_engine();
    let panels = [("transcribe", Panel::Transcript), ("translate", Panel::Translation)];
    link.data.transcript().set_panels(panels.into_iter().map(|(mode, panel)| (mode.to_owned(), panel)).collect::<BTreeMap<_, _>>());
    (link, commands)
}

fn say(link: &SessionLink, mode: &str, n: u64, text: &str, emotion: Option<Emotion>) {
    let (reply, mode) = (ReplyId(n), mode.to_owned());
    let mut transcript = link.data.transcript();
    transcript.apply(&Event::ReplyStarted { at: at(n), reply, chunk: ChunkIdx(n), mode: mode.clone(), emotion });
    let (from_secs, to_secs, stop) = (at(n - 1), at(n), StopReason::End);
    transcript.apply(&Event::ReplyFinished { at: at(n), reply, mode, text: text.into(), from_secs, to_secs, stop });
}

fn shared(prefs: CaptionPrefs) -> Arc<Mutex<CaptionsState>> {
    let look = Look { prefs, muted_sounds: vec!["traffic".into()], s: strings::table(UiLanguage::English) };
    let placement = Placement::new(FirstPlace::BottomCentre);
    Arc::new(Mutex::new(CaptionsState { look, placement, close: false, presence: Presence::new() }))
}

fn captions(link: &SessionLink, shared: &Arc<Mutex<CaptionsState>>) -> Harness<'static> {
    let (link, shared) = (link.clone(), Arc::clone(shared));
    let size = vec2(1_000.0, 300.0);
    let mut frames = 0;
    let mut harness = Harness::builder().with_size(size).build_ui(move |ui| {
        frames += 1;
        // The fonts are there from the second frame on.
        if frames == 1 {
            theme::apply(ui.ctx(), crate::config::prefs::ThemeChoice::Light);
        } else {
            captions_ui(ui, ViewportClass::EmbeddedWindow, &link, &shared);
        }
    });
    harness.run();
    harness
}

fn shows(harness: &Harness<'_>, text: &str) -> bool {
    harness.query_all_by_label(text).next().is_some()
}

#[test]
fn speech_sounds_and_replies_follow_each_other_in_two_lines() {
    let (link, _commands) = link();
    let mut harness = captions(&link, &shared(CaptionPrefs::default()));
    assert!(shows(&harness, "Captions appear here."));
    say(&link, "transcribe", 3, "what is your name", None);
    say(&link, "dialog", 5, " My name is Hearken.", None);
    harness.run();
    assert!(shows(&harness, "what is your name") && shows(&harness, "Hearken: My name is Hearken."));
    link.data.transcript().apply(&Event::Sound { at: at(9), reply: ReplyId(9), name: "cough".into(), count: 2 });
    link.data.transcript().apply(&Event::Sound { at: at(10), reply: ReplyId(10), name: "traffic".into(), count: 1 });
    harness.run();
    assert!(shows(&harness, "[cough ×2]") && shows(&harness, "Hearken: My name is Hearken."));
    assert!(!shows(&harness, "what is your name") && !shows(&harness, "[traffic]"), "two lines, and no hidden sound");
}

#[test]
fn an_urgent_reply_is_marked_in_words_and_in_orange() {
    let (link, _commands) = link();
    say(&link, "dialog", 5, "Leave the house!", Some(Emotion::Urgent));
    let harness = captions(&link, &shared(CaptionPrefs::default()));
    assert!(shows(&harness, "Urgent: Leave the house!"));
    let urgent = &newest(&link.data.transcript(), &CaptionPrefs::default(), &[])[0];
    let visuals = egui::Visuals::dark();
    assert_eq!(urgent.colour(&visuals), theme::Palette::of(&visuals).urgent);
}

#[test]
fn a_translation_stands_below_its_words_and_alone_without_them() {
    let (link, _commands) = link();
    say(&link, "transcribe", 3, "good morning", None);
    say(&link, "translate", 4, "早上好", None);
    let shared = shared(CaptionPrefs::default());
    let mut harness = captions(&link, &shared);
    assert!(shows(&harness, "good morning") && shows(&harness, "早上好"));
    let place = |text: &str| harness.get_by_label(text).rect().top();
    assert!(place("早上好") > place("good morning"));
    lock(&shared).look.prefs.bilingual = false;
    harness.run();
    assert!(!shows(&harness, "早上好"));
    say(&link, "translate", 40, "再见", None);
    harness.run();
    assert!(shows(&harness, "再见"), "a translation without its original");
}

#[test]
fn pause_and_close_work_on_the_captions_and_a_pause_is_shown() {
    let (link, commands) = link();
    let shared = shared(CaptionPrefs::default());
    let mut harness = captions(&link, &shared);
    harness.get_by_label("Pause listening (Space)").click();
    harness.run();
    assert_eq!(commands.try_recv(), Ok(Command::Pause));
    link.data.transcript().apply(&Event::Paused { at: at(3) });
    harness.run();
    assert!(shows(&harness, "Paused"));
    harness.get_by_label("Resume listening (Space)").click();
    harness.run();
    assert_eq!(commands.try_recv(), Ok(Command::Resume));
    harness.get_by_label("Close the captions").click();
    harness.run();
    assert!(lock(&shared).close);
}

#[test]
fn captions_fade_after_six_seconds_unless_they_stay_or_listening_is_paused() {
    let (begin, secs) = (Instant::now(), Duration::from_secs_f32);
    let caption = |text: &str| {
        let (link, _commands) = link();
        say(&link, "transcribe", 3, text, None);
        newest(&link.data.transcript(), &CaptionPrefs::default(), &[])
    };
    let mut presence = Presence::new();
    presence.update(&caption("hello"), SessionState::Listening, begin);
    assert_eq!(presence.opacity(AfterSpeech::Fade, begin + secs(2.0)), (1.0, Some(secs(4.0))));
    let (fading, _) = presence.opacity(AfterSpeech::Fade, begin + secs(6.25));
    assert!(fading > 0.0 && fading < 1.0, "{fading}");
    assert_eq!(presence.opacity(AfterSpeech::Fade, begin + secs(7.0)), (0.0, None), "nothing is painted any more");
    assert_eq!(presence.opacity(AfterSpeech::Stay, begin + secs(60.0)), (1.0, None));
    presence.update(&caption("hello"), SessionState::Quiet, begin + secs(7.0));
    assert_eq!(presence.opacity(AfterSpeech::Fade, begin + secs(8.0)).0, 0.0, "quiet is no news");
    presence.update(&caption("hello you"), SessionState::Listening, begin + secs(9.0));
    assert_eq!(presence.opacity(AfterSpeech::Fade, begin + secs(10.0)).0, 1.0);
    presence.update(&caption("hello you"), SessionState::Paused, begin + secs(20.0));
    assert_eq!(presence.opacity(AfterSpeech::Fade, begin + secs(90.0)).0, 1.0, "a pause stays in sight");
}

#[test]
fn the_overlay_grows_with_its_text_and_shrinks_with_the_next_caption_only() {
    let (link, _commands) = link();
    let shared = shared(CaptionPrefs::default());
    let mut harness = captions(&link, &shared);
    let width = || lock(&shared).presence.width;
    say(&link, "transcribe", 3, "this is a sentence of some length", None);
    harness.run();
    let wide = width();
    assert!(wide > MIN_WIDTH && wide <= CaptionPrefs::default().width, "{wide}");
    say(&link, "transcribe", 60, "yes", None);
    say(&link, "transcribe", 90, "no", None);
    harness.run();
    assert_eq!(width(), MIN_WIDTH);
}

/// Returns the contrast of two opaque colours (WCAG 2.1).
fn contrast(a: Color32, b: Color32) -> f32 {
    let luminance = |c: Color32| {
        let [r, g, b, _] = egui::Rgba::from(c).to_array();
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
    (a / b).max(b / a)
}

#[test]
fn every_colour_is_readable_over_white_and_over_black() {
    let (link, _commands) = link();
    say(&link, "transcribe", 3, "words", None);
    say(&link, "dialog", 5, "reply", None);
    say(&link, "dialog", 7, "urgent", Some(Emotion::Urgent));
    link.data.transcript().apply(&Event::Sound { at: at(9), reply: ReplyId(9), name: "cough".into(), count: 1 });
    let all = newest(&link.data.transcript(), &CaptionPrefs { lines: 9, ..CaptionPrefs::default() }, &[]);
    assert_eq!(all.len(), 4);
    let visuals = egui::Visuals::dark();
    for ground in [Color32::WHITE, Color32::BLACK] {
        let over = ground.lerp_to_gamma(Color32::BLACK, CaptionPrefs::default().opacity);
        for colour in all.iter().map(|caption| caption.colour(&visuals)).chain([lines::TRANSLATION, Color32::from_gray(STATE_GREY)]) {
            let older = over.lerp_to_gamma(colour, OLDER);
            assert!(contrast(colour, over) >= 7.0, "{colour:?} over {ground:?}: {}", contrast(colour, over));
            assert!(contrast(older, over) >= 3.0, "older {colour:?} over {ground:?}: {}", contrast(older, over));
        }
    }
}
