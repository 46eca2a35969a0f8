//! The voice's thread: takes replies while they are being generated, says them sentence by sentence, and stops at a word.
//!
//! Responsible for the order in which replies are said, for when one begins, and for what is done about a voice or an
//! output that fails. Not responsible for which replies are to be spoken ([`super::conductor`] orders that).

mod handle;

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};

use super::floor::{Floor, may_begin};
use super::watchdog::Pulse;
use crate::audio::playback::{Flow, Player};
use crate::error::{Error, ErrorKind, Fall, Falls};
use crate::protocol::{DeviceChoice, Emotion, ReplyId, VoiceChoice, VoiceConduct};
use crate::speech::sentences::Sentences;
use crate::speech::{Manner, NullVoice, Spoken, Tongue, Utterance, Voice, Words, spoken_form, system_voices};

pub(super) use handle::{Cast, MouthHandle, Stalled};

/// Orders that may wait: every piece of the longest replies of some seconds.
const ORDERS: usize = 4_096;
/// Reports that may wait: more than a person hears in a minute.
const REPORTS: usize = 64;
/// Replies that wait behind the one that is being said; an older one is left as text, for nobody wants to hear it any more.
const WAITING: usize = 3;
/// How long the thread sleeps while the loudspeaker has enough, or while somebody else speaks.
const NAP: Duration = Duration::from_millis(15);
/// How often an idle thread looks whether the output may be closed.
const IDLE: Duration = Duration::from_secs(5);
/// Work that takes the voice's thread so long has stalled: a lost output is asked for eight times, 3 s each, before that is
/// given up.
pub(super) const STALLED: Duration = Duration::from_secs(30);
/// Failures in a row after which a voice is not tried any more, until another is chosen.
const STRIKES: u32 = 2;

/// What the voice's thread is told.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// A reply begins; its text follows.
    Begin { reply: ReplyId, emotion: Option<Emotion> },
    /// The next piece of its text.
    Text { reply: ReplyId, text: String },
    /// It is complete.
    End { reply: ReplyId },
    /// Says nothing more of what it has.
    Cut,
    /// Speaks like this from now on.
    Conduct(VoiceConduct),
    /// Plays there from now on.
    Output(DeviceChoice),
}

/// What the voice's thread reports. Every reply that was begun ends in `Finished` or `Unsaid`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Report {
    Started(ReplyId),
    Finished {
        reply: ReplyId,
        cut: bool,
    },
    /// It stays text.
    Unsaid(ReplyId),
    Trouble(Error),
    /// It has been at one piece of work for so long; the watchdog says so.
    Stalled(Duration),
}

/// The voice's thread.
pub(super) struct Mouth {
    orders: Receiver<Order>,
    reports: Sender<Report>,
    player: Player,
    floor: Arc<Floor>,
    conduct: VoiceConduct,
    voices: Vec<(Box<dyn Voice>, u32)>,
    /// The first is being said.
    turns: VecDeque<Turn>,
    /// Troubles that were told and not overcome since.
    told: BTreeSet<String>,
    pulse: Arc<Pulse>,
    gone: bool,
}

/// A reply that is said, or waits.
struct Turn {
    reply: ReplyId,
    emotion: Option<Emotion>,
    cutter: Sentences,
    sentences: VecDeque<String>,
    complete: bool,
    started: bool,
    tongue: Tongue,
    begun: Instant,
    saying: Option<Saying>,
}

/// A sentence that is being said.
struct Saying {
    words: Words,
    /// Which of the voices says it.
    voice: usize,
    utterance: Box<dyn Utterance>,
    /// Came from the voice and not yet played.
    block: Vec<f32>,
    given: bool,
}

/// The voices that a choice means.
pub(super) fn voices_of(choice: VoiceChoice) -> Vec<Box<dyn Voice>> {
    match choice {
        VoiceChoice::System => system_voices(),
        VoiceChoice::None => vec![Box::new(NullVoice)],
    }
}

impl Mouth {
    fn new(
        (orders, reports): (Receiver<Order>, Sender<Report>),
        player: Player,
        floor: Arc<Floor>,
        conduct: VoiceConduct,
        voices: Vec<Box<dyn Voice>>,
        pulse: Arc<Pulse>,
    ) -> Self {
        let voices = voices.into_iter().map(|voice| (voice, 0)).collect();
        Self { orders, reports, player, floor, conduct, voices, turns: VecDeque::new(), told: BTreeSet::new(), pulse, gone: false }
    }

    fn run(mut self) {
        let mut falls = Falls::default();
        while !self.gone {
            if catch_unwind(AssertUnwindSafe(|| self.turn())).is_err() {
                let fall = falls.fell(Instant::now());
                // The conductor learns that the thread has ended, and says so.
                if fall == Fall::Last || catch_unwind(AssertUnwindSafe(|| self.get_up(fall))).is_err() {
                    return;
                }
            }
        }
        self.player.cut();
    }

    /// After a panic: what was being said stays text, and the voice that said it has one chance less.
    fn get_up(&mut self, fall: Fall) {
        if let Some(saying) = self.turns.front_mut().and_then(|turn| turn.saying.take())
            && let Some((_, strikes)) = self.voices.get_mut(saying.voice)
        {
            *strikes += 1;
        }
        self.cut_all();
        if fall == Fall::First {
            let why = "the voice failed and begins again; what it was saying is shown as text";
            self.report(Report::Trouble(Error::new(ErrorKind::Voice, why)));
        }
    }

    fn turn(&mut self) {
        self.pulse.begin();
        self.take_orders();
        let pace = if self.turns.is_empty() { Pace::Rest } else { self.step() };
        self.pulse.end();
        let nap = match pace {
            Pace::GoOn => return,
            Pace::Wait => NAP,
            Pace::Rest => IDLE,
        };
        match self.orders.recv_timeout(nap) {
            Ok(order) => {
                self.pulse.begin();
                self.obey(order);
                self.pulse.end();
            }
            Err(RecvTimeoutError::Timeout) if pace == Pace::Rest => self.player.rest(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.gone = true,
        }
    }

    fn take_orders(&mut self) {
        loop {
            match self.orders.try_recv() {
                Ok(order) => self.obey(order),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.gone = true;
                    return;
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Begin { reply, emotion } => self.begin(reply, emotion),
            Order::Text { reply, text } => {
                if let Some(turn) = self.turns.iter_mut().find(|turn| turn.reply == reply && !turn.complete) {
                    let sentences = turn.cutter.push(&text);
                    turn.sentences.extend(sentences);
                }
            }
            Order::End { reply } => {
                if let Some(turn) = self.turns.iter_mut().find(|turn| turn.reply == reply && !turn.complete) {
                    turn.complete = true;
                    let last = turn.cutter.finish();
                    turn.sentences.extend(last);
                }
            }
            Order::Cut => self.cut_all(),
            Order::Conduct(conduct) => {
                if conduct.voice != self.conduct.voice || self.voices.iter().any(|(_, strikes)| *strikes >= STRIKES) {
                    self.voices = voices_of(conduct.voice).into_iter().map(|voice| (voice, 0)).collect();
                    self.told.clear();
                }
                self.conduct = conduct;
            }
            Order::Output(choice) => {
                self.told.clear();
                if self.turns.front().is_some_and(|turn| turn.started) {
                    self.end_first(Ending::Cut);
                }
                self.player.choose(choice);
            }
        }
    }

    fn begin(&mut self, reply: ReplyId, emotion: Option<Emotion>) {
        let urgent = emotion == Some(Emotion::Urgent);
        let interrupts = urgent && self.turns.front().is_some_and(|first| first.emotion != Some(Emotion::Urgent));
        if interrupts {
            self.end_first(Ending::Cut);
        }
        while self.turns.len() > WAITING {
            if let Some(turn) = self.turns.remove(1) {
                self.report(Report::Unsaid(turn.reply));
            }
        }
        if self.turns.is_empty() && self.player.is_cut() {
            // Somebody spoke when nothing was being said any more.
            self.player.settle();
        }
        let turn = Turn {
            reply,
            emotion,
            cutter: Sentences::default(),
            sentences: VecDeque::new(),
            complete: false,
            started: false,
            tongue: Tongue::English,
            begun: Instant::now(),
            saying: None,
        };
        if interrupts {
            self.turns.push_front(turn);
        } else {
            self.turns.push_back(turn);
        }
        // The output is opened while the first sentence is still being generated.
        if self.turns.len() == 1 || interrupts {
            self.open_output();
        }
    }

    fn open_output(&mut self) {
        match self.player.prepare() {
            Ok(()) => drop(self.told.remove(OUTPUT)),
            Err(error) => self.complain(OUTPUT, error),
        }
    }

    /// Brings the first reply on by a little.
    fn step(&mut self) -> Pace {
        if self.player.is_cut() {
            // Somebody spoke over it: the capture thread faded it out already.
            self.cut_all();
            return Pace::GoOn;
        }
        if !self.player.is_open() {
            self.open_output();
            if !self.player.is_open() {
                self.end_first(Ending::Cut);
                return Pace::GoOn;
            }
        }
        match self.player.pump() {
            Ok(Flow::Hungry) => {}
            Ok(Flow::Full) => return Pace::Wait,
            Err(error) => {
                self.complain(OUTPUT, error);
                if !self.player.is_open() {
                    self.end_first(Ending::Cut);
                }
                return Pace::GoOn;
            }
        }
        let Some(turn) = self.turns.front_mut() else { return Pace::Wait };
        if turn.saying.is_some() {
            return self.say_on();
        }
        if let Some(sentence) = turn.sentences.pop_front() {
            self.begin_sentence(&sentence);
            return Pace::GoOn;
        }
        let finished = turn.complete && self.player.is_done();
        if finished {
            self.end_first(Ending::Whole);
        }
        if finished { Pace::GoOn } else { Pace::Wait }
    }

    fn begin_sentence(&mut self, sentence: &str) {
        let Some(turn) = self.turns.front_mut() else { return };
        turn.tongue = Tongue::of(sentence).unwrap_or(turn.tongue);
        let text = spoken_form(sentence, turn.tongue);
        if !text.is_empty() {
            let words = Words { text, tongue: turn.tongue, manner: Manner::of(turn.emotion, self.conduct.speed) };
            self.say(words, 0);
        }
    }

    /// Has the first voice from number `from` on that works say `words`; where none does, they stay text.
    fn say(&mut self, words: Words, from: usize) {
        for at in from..self.voices.len() {
            let (voice, strikes) = &mut self.voices[at];
            if *strikes >= STRIKES {
                continue;
            }
            // A panic in here counts as well.
            *strikes += 1;
            match voice.say(&words) {
                Ok(utterance) => {
                    *strikes -= 1;
                    if let Some(turn) = self.turns.front_mut() {
                        turn.saying = Some(Saying { words, voice: at, utterance, block: Vec::new(), given: false });
                    }
                    return;
                }
                Err(error) => {
                    let name = voice.name();
                    self.complain(&name, error);
                }
            }
        }
    }

    /// Plays what the voice has said by now, and asks it for more.
    fn say_on(&mut self) -> Pace {
        let Some(turn) = self.turns.front_mut() else { return Pace::Wait };
        let Some(saying) = &mut turn.saying else { return Pace::Wait };
        if saying.block.is_empty() {
            match saying.utterance.next(&mut saying.block) {
                Ok(Spoken::Samples(_)) => saying.given = true,
                Ok(Spoken::Nothing) => return Pace::GoOn,
                Ok(Spoken::End) => {
                    if let Some((_, strikes)) = self.voices.get_mut(saying.voice) {
                        *strikes = 0;
                    }
                    turn.saying = None;
                    if let Err(error) = self.player.end_sentence() {
                        self.complain(OUTPUT, error);
                    }
                    return Pace::GoOn;
                }
                Err(error) => {
                    self.voice_failed(error);
                    return Pace::GoOn;
                }
            }
        }
        if !turn.started && !may_begin(self.floor.quiet_for(), turn.begun.elapsed()) {
            return Pace::Wait;
        }
        let (reply, first) = (turn.reply, !std::mem::replace(&mut turn.started, true));
        let taken = self.player.take(&saying.block, saying.utterance.rate_hz());
        saying.block.clear();
        if first {
            self.report(Report::Started(reply));
        }
        if let Err(error) = taken {
            self.complain(OUTPUT, error);
            self.end_first(Ending::Cut);
        }
        Pace::GoOn
    }

    /// The next voice says the sentence, unless a part of it was said already.
    fn voice_failed(&mut self, error: Error) {
        let Some(saying) = self.turns.front_mut().and_then(|turn| turn.saying.take()) else { return };
        let Saying { words, voice: at, given, utterance, .. } = saying;
        drop(utterance);
        if let Some((voice, strikes)) = self.voices.get_mut(at) {
            *strikes += 1;
            let name = voice.name();
            self.complain(&name, error);
        }
        if !given {
            self.say(words, at + 1);
        }
    }

    fn cut_all(&mut self) {
        self.end_first(Ending::Cut);
        for turn in std::mem::take(&mut self.turns) {
            self.report(Report::Unsaid(turn.reply));
        }
    }

    fn end_first(&mut self, ending: Ending) {
        let Some(turn) = self.turns.pop_front() else {
            if self.player.is_cut() {
                self.player.settle();
            }
            return;
        };
        drop(turn.saying);
        if ending == Ending::Cut {
            self.player.cut();
            self.player.settle();
        }
        self.report(match turn.started {
            true => Report::Finished { reply: turn.reply, cut: ending == Ending::Cut },
            false => Report::Unsaid(turn.reply),
        });
    }

    /// Tells a trouble once, until it is overcome.
    fn complain(&mut self, about: &str, error: Error) {
        if self.told.insert(about.to_owned()) {
            self.report(Report::Trouble(error));
        }
    }

    fn report(&mut self, report: Report) {
        self.gone |= self.reports.send(report).is_err();
    }
}

/// What troubles of the output are told about.
const OUTPUT: &str = "the output";

/// When there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// At once.
    GoOn,
    /// In a moment.
    Wait,
    /// When there is another reply.
    Rest,
}

/// How a reply ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Whole,
    Cut,
}

#[cfg(test)]
mod tests;
