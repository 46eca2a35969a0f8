//! The speech thread with artificial voices and a loudspeaker that plays ten times faster than real time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::audio::playback::ring::{FarEnd, playback_ring};
use crate::audio::playback::{AudioOutput, FarEndSlot, OpenOutput, OutputStream, Route};
use crate::engine::SpeechBackend;
use crate::error::{ErrorKind, Result};

/// Timeout of a report.
const LONG: Duration = Duration::from_secs(5);
/// Stall limit of these tests: longer than any wait in them, shorter than a test.
const STALLS: Duration = Duration::from_millis(1_500);

/// A voice that takes 50 ms a letter and records the text that it is given.
struct Letters {
    name: &'static str,
    said: Arc<Mutex<Vec<String>>>,
    /// A sentence with this word fails: before its first sample (false) or in its middle (true).
    fails_at: Option<(&'static str, bool)>,
    /// Releases a sentence that hangs.
    freed: Arc<AtomicBool>,
}

struct LetterSound {
    left: usize,
    breaks: bool,
}

impl Voice for Letters {
    fn name(&self) -> String {
        self.name.into()
    }

    fn say(&mut self, words: &SpeechText) -> Result<Box<dyn Utterance>> {
        assert!(!words.text.contains("panic"), "this voice panics");
        self.said.lock().unwrap().push(format!("{}: {}", self.name, words.text));
        while words.text.contains("hang") && !self.freed.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let left = words.text.chars().filter(|c| c.is_alphanumeric()).count();
        match self.fails_at {
            Some((word, midway)) if words.text.contains(word) => {
                Ok(Box::new(LetterSound { left: if midway { left / 2 } else { 0 }, breaks: true }))
            }
            _ => Ok(Box::new(LetterSound { left, breaks: false })),
        }
    }
}

impl Utterance for LetterSound {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<UtteranceEvent> {
        if self.left == 0 {
            return if self.breaks { Err(Error::new(ErrorKind::Voice, "it broke")) } else { Ok(UtteranceEvent::End) };
        }
        self.left -= 1;
        out.extend([0.5; 400]);
        Ok(UtteranceEvent::Samples(400))
    }

    fn rate_hz(&self) -> u32 {
        8_000
    }
}

/// A loudspeaker that plays ten times faster than real time.
#[derive(Default)]
struct Fast {
    there: Arc<AtomicBool>,
}

struct Runs(Arc<AtomicBool>);

impl OutputStream for Runs {
    fn failure(&mut self) -> Option<String> {
        (!self.0.load(Ordering::Relaxed)).then(|| "it is unplugged".into())
    }

    fn is_outdated(&mut self) -> bool {
        false
    }
}

impl AudioOutput for Fast {
    fn open(&mut self, _: &DeviceChoice) -> Result<(OpenOutput, FarEnd)> {
        if !self.there.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::OutputDevice, "there is no loudspeaker"));
        }
        let (sender, mut filler, far_end) = playback_ring(16_000);
        let there = Arc::clone(&self.there);
        std::thread::spawn(move || {
            while there.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(2));
                filler.fill(&mut [0.0_f32; 320], 1, |x| x);
            }
        });
        let stream = Box::new(Runs(Arc::clone(&self.there)));
        Ok((OpenOutput { writer: sender, route: Route::Room, name: "fast".into(), stream }, far_end))
    }
}

struct Bench {
    handle: SpeechHandle,
    said: Arc<Mutex<Vec<String>>>,
    turn_taking: Arc<TurnTaking>,
    there: Arc<AtomicBool>,
    freed: Arc<AtomicBool>,
    far: FarEndSlot,
}

impl Bench {
    fn new(fails: &[Option<(&'static str, bool)>]) -> Self {
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let (turn_taking, far, freed, there) = (Arc::default(), FarEndSlot::default(), Arc::default(), Arc::new(AtomicBool::new(true)));
        let letters = {
            let (said, freed) = (Arc::clone(&said), Arc::clone(&freed));
            move |(name, fails_at): (&'static str, &Option<(&'static str, bool)>)| -> Box<dyn Voice> {
                Box::new(Letters { name, said: Arc::clone(&said), fails_at: *fails_at, freed: Arc::clone(&freed) })
            }
        };
        let fails = fails.to_vec();
        let output = Arc::clone(&there);
        let backend = SpeechBackend {
            output: Box::new(move || Box::new(Fast { there: Arc::clone(&output) })),
            voices: Box::new(move |_| ["first", "second"].into_iter().zip(&fails).map(&letters).collect()),
            stall_limit: STALLS,
        };
        let config = SpeechConfig { backend, far: far.clone(), turn_taking: Arc::clone(&turn_taking) };
        let handle = SpeechHandle::start(config, VoiceSettings::default(), DeviceChoice::Default).unwrap();
        Self { handle, said, turn_taking, there, freed, far }
    }

    fn reply(&mut self, number: u64, emotion: Option<Emotion>, text: &str) {
        self.handle.begin(ReplyId(number), emotion);
        self.handle.text(ReplyId(number), text);
        self.handle.end(ReplyId(number));
    }

    fn next(&self) -> SpeechReport {
        self.handle.reports.recv_timeout(LONG).expect("a report")
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// Ends the thread, which must not take long.
    fn end(self) {
        let begun = Instant::now();
        self.handle.finish();
        assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
    }

    /// Replaces a stalled thread as the inference thread does.
    fn replace(&mut self) -> (Option<ReplyId>, Replacement) {
        assert!(matches!(self.next(), SpeechReport::Stalled(busy) if busy >= STALLS));
        let said = self.handle.abandon();
        (said, self.handle.replace(VoiceSettings::default(), DeviceChoice::Default).unwrap())
    }
}

const ONE: ReplyId = ReplyId(1);
const TWO: ReplyId = ReplyId(2);

#[test]
fn a_reply_is_spoken_sentence_by_sentence_while_it_is_generated() {
    let mut bench = Bench::new(&[None]);
    bench.handle.begin(ONE, None);
    bench.handle.text(ONE, " Hello there. And");
    assert_eq!(bench.next(), SpeechReport::Started(ONE), "speech starts before the end of the reply is known");
    bench.handle.text(ONE, " good night");
    bench.handle.end(ONE);
    assert_eq!(bench.next(), SpeechReport::Finished { reply: ONE, cut: false });
    assert_eq!(bench.said(), ["first: Hello there.", "first: And good night"]);
    bench.end();
}

#[test]
fn a_reply_without_words_stays_unspoken_and_the_next_one_follows() {
    let mut bench = Bench::new(&[None]);
    bench.reply(1, None, "** …");
    bench.reply(2, None, "Yes.");
    assert_eq!(
        [bench.next(), bench.next(), bench.next()],
        [SpeechReport::Unspoken(ONE), SpeechReport::Started(TWO), SpeechReport::Finished { reply: TWO, cut: false }]
    );
    bench.end();
}

#[test]
fn a_cut_ends_every_reply_within_300_ms() {
    let mut bench = Bench::new(&[None]);
    bench.reply(1, None, &"A long reply goes on and on. ".repeat(200));
    bench.reply(2, None, "Another.");
    assert_eq!(bench.next(), SpeechReport::Started(ONE));
    let begun = Instant::now();
    bench.handle.command(SpeechCommand::Cut).unwrap();
    assert_eq!([bench.next(), bench.next()], [SpeechReport::Finished { reply: ONE, cut: true }, SpeechReport::Unspoken(TWO)]);
    assert!(begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
    bench.reply(3, None, "Ok.");
    assert_eq!(bench.next(), SpeechReport::Started(ReplyId(3)), "the next reply is spoken");
    bench.end();
}

#[test]
fn barge_in_ends_a_reply_from_the_far_end() {
    let mut bench = Bench::new(&[None]);
    bench.reply(1, None, &"A long reply goes on and on. ".repeat(200));
    assert_eq!(bench.next(), SpeechReport::Started(ONE));
    let (far_end, _) = bench.far.take().expect("the far end");
    far_end.cut();
    assert_eq!(bench.next(), SpeechReport::Finished { reply: ONE, cut: true });
    far_end.cut();
    bench.reply(2, None, "Ok.");
    assert_eq!(
        [bench.next(), bench.next()],
        [SpeechReport::Started(TWO), SpeechReport::Finished { reply: TWO, cut: false }],
        "an interruption between replies cuts none"
    );
    bench.end();
}

#[test]
fn an_urgent_reply_goes_first_and_old_replies_stay_text() {
    let mut bench = Bench::new(&[None]);
    bench.reply(1, None, &"A long reply goes on and on. ".repeat(200));
    assert_eq!(bench.next(), SpeechReport::Started(ONE));
    for number in 2..8 {
        bench.reply(number, None, "Waits.");
    }
    bench.reply(9, Some(Emotion::Urgent), "Fire!");
    let reports: Vec<SpeechReport> = (0..13).map_while(|_| bench.handle.reports.recv_timeout(Duration::from_secs(2)).ok()).collect();
    let place = |wanted: &SpeechReport| reports.iter().position(|report| report == wanted);
    let cut = place(&SpeechReport::Finished { reply: ONE, cut: true }).expect("the urgent reply cuts the first one");
    assert!(
        place(&SpeechReport::Started(ReplyId(9))) > Some(cut)
            && place(&SpeechReport::Started(ReplyId(9))) < place(&SpeechReport::Started(ReplyId(7))),
        "{reports:?}"
    );
    assert!(place(&SpeechReport::Unspoken(TWO)).is_some() && place(&SpeechReport::Started(ReplyId(7))).is_some(), "{reports:?}");
    bench.end();
}

#[test]
fn a_failing_voice_is_reported_once_and_the_next_voice_takes_over() {
    let mut bench = Bench::new(&[Some(("bad", false)), None]);
    bench.reply(1, None, "A bad one. A good one. One more bad one. Fine.");
    assert!(matches!(bench.next(), SpeechReport::Problem(e) if e.message() == "it broke"));
    assert_eq!([bench.next(), bench.next()], [SpeechReport::Started(ONE), SpeechReport::Finished { reply: ONE, cut: false }]);
    let said = bench.said();
    assert_eq!(
        said,
        [
            "first: A bad one.",
            "second: A bad one.",
            "first: A good one.",
            "first: One more bad one.",
            "second: One more bad one.",
            "first: Fine."
        ]
    );
    bench.end();
}

#[test]
fn a_sentence_that_breaks_off_is_not_repeated_and_without_a_voice_replies_stay_text() {
    let mut bench = Bench::new(&[Some(("bad", true))]);
    bench.reply(1, None, "A bad one. Another.");
    assert_eq!(bench.next(), SpeechReport::Started(ONE));
    assert!(matches!(bench.next(), SpeechReport::Problem(_)));
    assert_eq!(bench.next(), SpeechReport::Finished { reply: ONE, cut: false });
    bench.end();
    let mut bench = Bench::new(&[Some(("", false))]);
    bench.reply(1, None, "One. Two. Three.");
    assert!(matches!(bench.next(), SpeechReport::Problem(_)));
    assert_eq!(bench.next(), SpeechReport::Unspoken(ONE));
    assert_eq!(bench.said().len() as u32, MAX_STRIKES, "a voice is given up after two failures");
    bench.end();
}

#[test]
fn a_panicking_voice_is_reported_once_and_given_up_after_two_strikes() {
    let mut bench = Bench::new(&[None]);
    bench.reply(1, None, "I panic.");
    assert_eq!(bench.next(), SpeechReport::Unspoken(ONE));
    assert!(matches!(bench.next(), SpeechReport::Problem(e) if e.message().contains("begins again")));
    bench.reply(2, None, "I am well.");
    assert_eq!([bench.next(), bench.next()], [SpeechReport::Started(TWO), SpeechReport::Finished { reply: TWO, cut: false }]);
    for number in 3..8 {
        bench.reply(number, None, "I panic.");
        assert_eq!(bench.next(), SpeechReport::Unspoken(ReplyId(number)), "no further report, and no endless loop");
    }
    assert_eq!(bench.said(), ["first: I am well."]);
    bench.end();
}

#[test]
fn a_stalled_thread_is_replaced_and_reported_once() {
    let mut bench = Bench::new(&[None]);
    bench.reply(1, None, "I am well. I hang.");
    assert_eq!(bench.next(), SpeechReport::Started(ONE));
    bench.handle.note_started(ONE);
    assert_eq!(bench.replace(), (Some(ONE), Replacement::Started), "the reply in progress is known");
    assert!(!bench.handle.is_busy());
    bench.reply(2, None, "I am better.");
    assert_eq!([bench.next(), bench.next()], [SpeechReport::Started(TWO), SpeechReport::Finished { reply: TWO, cut: false }]);
    bench.handle.note_spoken(TWO);
    bench.freed.store(true, Ordering::Relaxed);
    assert!(bench.handle.reports.recv_timeout(STALLS + Duration::from_millis(600)).is_err(), "an idle thread does not stall");
    assert_eq!(bench.said(), ["first: I am well.", "first: I hang.", "first: I am better."], "the abandoned thread speaks no more");
    bench.end();
}

#[test]
fn a_thread_that_stalls_three_times_is_given_up_until_the_user_revives_it() {
    let mut bench = Bench::new(&[None]);
    let mut outcomes = Vec::new();
    for number in 1..=3 {
        bench.reply(number, None, "I hang.");
        outcomes.push(bench.replace().1);
    }
    assert_eq!(outcomes, [Replacement::Started, Replacement::StartedAgain, Replacement::GivenUp]);
    bench.reply(4, None, "I am well.");
    assert!(!bench.handle.is_busy() && bench.handle.command(SpeechCommand::Cut).is_err(), "commands fail and nothing waits for them");
    bench.handle.revive(VoiceSettings::default(), DeviceChoice::Default).unwrap();
    bench.reply(5, None, "I am well.");
    assert_eq!([bench.next(), bench.next()], [SpeechReport::Started(ReplyId(5)), SpeechReport::Finished { reply: ReplyId(5), cut: false }]);
    bench.freed.store(true, Ordering::Relaxed);
    bench.end();
}

#[test]
fn without_a_loudspeaker_replies_stay_text_and_one_problem_is_reported() {
    let mut bench = Bench::new(&[None]);
    bench.there.store(false, Ordering::Relaxed);
    bench.reply(1, None, "One.");
    bench.reply(2, None, "Two.");
    assert!(matches!(bench.next(), SpeechReport::Problem(e) if e.kind() == ErrorKind::OutputDevice));
    assert_eq!([bench.next(), bench.next()], [SpeechReport::Unspoken(ONE), SpeechReport::Unspoken(TWO)]);
    bench.there.store(true, Ordering::Relaxed);
    bench.reply(3, None, "Three.");
    assert_eq!(bench.next(), SpeechReport::Started(ReplyId(3)), "the loudspeaker is back");
    bench.end();
}

#[test]
fn a_loudspeaker_that_vanishes_ends_the_reply_and_is_named() {
    let mut bench = Bench::new(&[None]);
    bench.reply(1, None, &"A long reply goes on and on. ".repeat(200));
    assert_eq!(bench.next(), SpeechReport::Started(ONE));
    bench.there.store(false, Ordering::Relaxed);
    assert!(matches!(bench.next(), SpeechReport::Problem(e) if e.message().contains("fast")));
    assert_eq!(bench.next(), SpeechReport::Finished { reply: ONE, cut: true });
    bench.end();
}

#[test]
fn a_reply_waits_until_the_person_has_finished_speaking() {
    let mut bench = Bench::new(&[None]);
    let begun = Instant::now();
    bench.turn_taking.note_speech();
    bench.reply(1, None, "Yes.");
    while begun.elapsed() < Duration::from_millis(400) {
        bench.turn_taking.note_speech();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(bench.next(), SpeechReport::Started(ONE));
    assert!(begun.elapsed() > Duration::from_millis(800), "half a second after the last word: {:?}", begun.elapsed());
    bench.end();
}
