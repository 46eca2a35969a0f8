//! The speech thread: takes replies while they are generated, speaks them sentence by sentence, and stops at once when told to.
//!
//! Responsible for the order of spoken replies, for the moment at which one begins, and for a voice or an output that fails. Not
//! responsible for which replies are spoken ([`super::inference`] decides that).

mod handle;
pub(super) mod stop_phrase;
pub(super) mod turn_taking;

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};

use super::watchdog::Heartbeat;
use crate::audio::playback::{Player, PumpStatus};
use crate::error::{Error, ErrorKind};
use crate::protocol::{DeviceChoice, Emotion, ReplyId, VoiceChoice, VoiceSettings};
use crate::speech::sentences::SentenceSplitter;
use crate::speech::{Language, NullVoice, Prosody, SpeechText, Utterance, UtteranceEvent, Voice, language_of, spoken_form, system_voices};
use crate::supervise::{Restart, RestartPolicy};
use turn_taking::{TurnTaking, may_begin};

pub(super) use handle::{Replacement, SpeechConfig, SpeechHandle};

/// Number of commands that may wait: every piece of the longest replies of some seconds.
const COMMANDS: usize = 4_096;
/// Number of reports that may wait: more than a person hears in a minute.
const REPORTS: usize = 64;
/// Number of replies that may wait behind the one that is spoken. An older reply stays text: nobody wants to hear it any more.
const WAITING: usize = 3;
/// Sleep of the thread while the loudspeaker has enough samples, while the next sentence is generated, or while somebody speaks.
const NAP: Duration = Duration::from_millis(15);
/// Interval at which an idle thread checks whether the output may be closed.
const IDLE: Duration = Duration::from_secs(5);
/// Time that one step of the thread may take before it counts as stalled: a lost output is retried eight times for 3 s each.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(30);
/// Failures in a row after which a voice is not tried again until the user changes the voice's settings.
const MAX_STRIKES: u32 = 2;
/// Name under which a problem of the sound output is reported, beside the names of voices.
const OUTPUT: &str = "the output";

/// A command to the speech thread.
#[derive(Clone, Debug)]
pub(super) enum SpeechCommand {
    /// A reply begins; its text follows.
    Begin { reply: ReplyId, emotion: Option<Emotion> },
    /// The next piece of the reply's text.
    Text { reply: ReplyId, text: String },
    /// The reply's text is complete.
    End { reply: ReplyId },
    /// Drop every reply: the spoken one fades out, the others stay text.
    Cut,
    /// Use these voice settings from now on.
    Conduct(VoiceSettings),
    /// Play on this output from now on.
    Output(DeviceChoice),
}

/// A report of the speech thread. Every reply that was begun ends in `Finished` or `Unspoken`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SpeechReport {
    /// The voice begins to speak this reply.
    Started(ReplyId),
    /// The reply is over: spoken to its end, or cut.
    Finished {
        reply: ReplyId,
        /// True if the reply was cut before its end.
        cut: bool,
    },
    /// The reply was never heard and stays text.
    Unspoken(ReplyId),
    /// A voice or the output failed.
    Problem(Error),
    /// One step of the speech thread has taken this long; sent by the watchdog.
    Stalled(Duration),
}

/// The speech thread's ends of the channels to the inference thread.
struct SpeechChannels {
    commands: Receiver<SpeechCommand>,
    reports: Sender<SpeechReport>,
}

/// The speech thread: speaks replies, one after the other, sentence by sentence, through a voice and a player.
struct SpeechThread {
    channels: SpeechChannels,
    player: Player,
    turn_taking: Arc<TurnTaking>,
    conduct: VoiceSettings,
    /// Voices in order of preference, each with its number of failures in a row.
    voices: Vec<(Box<dyn Voice>, u32)>,
    /// Replies in the order in which they are spoken; the first is being spoken or waits for a pause.
    replies: VecDeque<SpokenReply>,
    /// Names of the voices, or [`OUTPUT`], whose problem was reported and not overcome since.
    reported: BTreeSet<String>,
    heartbeat: Arc<Heartbeat>,
    /// True once the other side of the channels is gone.
    closed: bool,
}

/// A reply that is being spoken or waits to be spoken.
struct SpokenReply {
    reply: ReplyId,
    /// Emotion tag of the reply, which sets rate and pitch; an urgent reply interrupts others.
    emotion: Option<Emotion>,
    splitter: SentenceSplitter,
    /// Complete sentences that wait for the one being spoken.
    sentences: VecDeque<String>,
    /// True once the whole text of the reply has arrived.
    complete: bool,
    /// True once samples of the reply were given to the player.
    started: bool,
    /// Language of the sentence begun last.
    language: Language,
    /// Time at which the reply began to arrive.
    begun: Instant,
    /// Sentence that is being spoken; None between sentences.
    current: Option<SpokenSentence>,
}

/// The sentence that is being spoken.
struct SpokenSentence {
    /// Text in its spoken form, with language, rate and pitch.
    text: SpeechText,
    /// Index in `voices` of the voice that speaks.
    voice: usize,
    utterance: Box<dyn Utterance>,
    /// Samples of the voice that the player has not taken yet.
    block: Vec<f32>,
    /// True once the voice has delivered samples of this sentence.
    audible: bool,
}

/// The time of the speech thread's next step, as a step returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepOutcome {
    /// At once.
    GoOn,
    /// After 15 ms, or when a command comes.
    Wait,
    /// When the next command comes; meanwhile an idle output may be closed.
    Rest,
}

/// The way a reply ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The reply was spoken to its end.
    Whole,
    /// The reply fades out, or was never heard.
    Cut,
}

/// Returns the voices for `choice`, in order of preference: the system's programs, or a silent voice for none.
pub(super) fn voices_of(choice: VoiceChoice) -> Vec<Box<dyn Voice>> {
    match choice {
        VoiceChoice::System => system_voices(),
        VoiceChoice::None => vec![Box::new(NullVoice)],
    }
}

impl SpeechThread {
    fn new(
        channels: SpeechChannels,
        player: Player,
        turn_taking: Arc<TurnTaking>,
        conduct: VoiceSettings,
        voices: Vec<Box<dyn Voice>>,
        heartbeat: Arc<Heartbeat>,
    ) -> Self {
        let voices = voices.into_iter().map(|voice| (voice, 0)).collect();
        let (replies, reported) = (VecDeque::new(), BTreeSet::new());
        Self { channels, player, turn_taking, conduct, voices, replies, reported, heartbeat, closed: false }
    }

    fn run(mut self) {
        let mut policy = RestartPolicy::default();
        while !self.closed {
            if catch_unwind(AssertUnwindSafe(|| self.turn())).is_err() {
                let restart = policy.after_panic(Instant::now());
                // The inference thread sees the closed channel and reports it.
                if restart == Restart::GiveUp || catch_unwind(AssertUnwindSafe(|| self.restart(restart))).is_err() {
                    return;
                }
            }
        }
        self.player.cut();
    }

    /// Restarts the speech thread after a panic: every reply is dropped and stays text, and the voice that was speaking gets a failure.
    fn restart(&mut self, restart: Restart) {
        if let Some(sentence) = self.replies.front_mut().and_then(|reply| reply.current.take())
            && let Some((_, strikes)) = self.voices.get_mut(sentence.voice)
        {
            *strikes += 1;
        }
        self.cut_all();
        if restart == Restart::AndReport {
            let why = "the voice failed and begins again; the reply that it was saying is shown as text";
            self.report(SpeechReport::Problem(Error::new(ErrorKind::Voice, why)));
        }
    }

    /// Carries out the commands that wait, advances the first reply by a step, and waits for the next command if the step says so.
    fn turn(&mut self) {
        self.heartbeat.begin();
        self.take_commands();
        let outcome = if self.replies.is_empty() { StepOutcome::Rest } else { self.step() };
        self.heartbeat.end();
        let nap = match outcome {
            StepOutcome::GoOn => return,
            StepOutcome::Wait => NAP,
            StepOutcome::Rest => IDLE,
        };
        match self.channels.commands.recv_timeout(nap) {
            Ok(command) => {
                self.heartbeat.begin();
                self.obey(command);
                self.heartbeat.end();
            }
            Err(RecvTimeoutError::Timeout) if outcome == StepOutcome::Rest => self.player.close_if_idle(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.closed = true,
        }
    }

    fn take_commands(&mut self) {
        loop {
            match self.channels.commands.try_recv() {
                Ok(command) => self.obey(command),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }

    fn obey(&mut self, command: SpeechCommand) {
        match command {
            SpeechCommand::Begin { reply, emotion } => self.begin(reply, emotion),
            SpeechCommand::Text { reply, text } => {
                if let Some(open) = self.open_reply(reply) {
                    let sentences = open.splitter.push(&text);
                    open.sentences.extend(sentences);
                }
            }
            SpeechCommand::End { reply } => {
                if let Some(open) = self.open_reply(reply) {
                    open.complete = true;
                    let last = open.splitter.finish();
                    open.sentences.extend(last);
                }
            }
            SpeechCommand::Cut => self.cut_all(),
            SpeechCommand::Conduct(conduct) => {
                if conduct.voice != self.conduct.voice || self.voices.iter().any(|(_, strikes)| *strikes >= MAX_STRIKES) {
                    self.voices = voices_of(conduct.voice).into_iter().map(|voice| (voice, 0)).collect();
                    self.reported.clear();
                }
                self.conduct = conduct;
            }
            SpeechCommand::Output(choice) => {
                self.reported.clear();
                if self.replies.front().is_some_and(|first| first.started) {
                    self.end_first(Ending::Cut);
                }
                self.player.choose(choice);
            }
        }
    }

    /// Returns the reply with the id `reply` while its text is incomplete; None once the text is complete or the reply was dropped.
    fn open_reply(&mut self, reply: ReplyId) -> Option<&mut SpokenReply> {
        self.replies.iter_mut().find(|open| open.reply == reply && !open.complete)
    }

    fn begin(&mut self, reply: ReplyId, emotion: Option<Emotion>) {
        let urgent = emotion == Some(Emotion::Urgent);
        let interrupts = urgent && self.replies.front().is_some_and(|first| first.emotion != Some(Emotion::Urgent));
        if interrupts {
            self.end_first(Ending::Cut);
        }
        while self.replies.len() > WAITING {
            if let Some(dropped) = self.replies.remove(1) {
                self.report(SpeechReport::Unspoken(dropped.reply));
            }
        }
        if self.replies.is_empty() && self.player.is_cut() {
            // The interruption came after the end of the last reply.
            self.player.finish_cut();
        }
        let new = SpokenReply {
            reply,
            emotion,
            splitter: SentenceSplitter::default(),
            sentences: VecDeque::new(),
            complete: false,
            started: false,
            language: Language::English,
            begun: Instant::now(),
            current: None,
        };
        if interrupts {
            self.replies.push_front(new);
        } else {
            self.replies.push_back(new);
        }
        // The output is opened while the first sentence is still being generated.
        if self.replies.len() == 1 || interrupts {
            self.open_output();
        }
    }

    fn open_output(&mut self) {
        match self.player.prepare() {
            Ok(()) => drop(self.reported.remove(OUTPUT)),
            Err(error) => self.report_once(OUTPUT, error),
        }
    }

    /// Advances the first reply by one step: opens the output, plays samples, begins or continues a sentence, or ends the reply.
    fn step(&mut self) -> StepOutcome {
        if self.player.is_cut() {
            // Barge-in: the capture thread has faded the sound out already.
            self.cut_all();
            return StepOutcome::GoOn;
        }
        if !self.player.is_open() {
            self.open_output();
            if !self.player.is_open() {
                self.end_first(Ending::Cut);
                return StepOutcome::GoOn;
            }
        }
        match self.player.pump() {
            Ok(PumpStatus::NeedsMore) => {}
            Ok(PumpStatus::Full) => return StepOutcome::Wait,
            Err(error) => {
                self.report_once(OUTPUT, error);
                if !self.player.is_open() {
                    self.end_first(Ending::Cut);
                }
                return StepOutcome::GoOn;
            }
        }
        let Some(first) = self.replies.front_mut() else { return StepOutcome::Wait };
        if first.current.is_some() {
            return self.continue_sentence();
        }
        if let Some(sentence) = first.sentences.pop_front() {
            self.begin_sentence(&sentence);
            return StepOutcome::GoOn;
        }
        let finished = first.complete && self.player.is_done();
        if finished {
            self.end_first(Ending::Whole);
        }
        if finished { StepOutcome::GoOn } else { StepOutcome::Wait }
    }

    fn begin_sentence(&mut self, sentence: &str) {
        let Some(first) = self.replies.front_mut() else { return };
        first.language = language_of(sentence).unwrap_or(first.language);
        let text = spoken_form(sentence, first.language);
        if !text.is_empty() {
            let text = SpeechText { text, language: first.language, prosody: Prosody::new(first.emotion, self.conduct.speed) };
            self.speak(text, 0);
        }
    }

    /// Begins to speak `text` with the first voice from index `from` on that works; without one the sentence is not spoken.
    fn speak(&mut self, text: SpeechText, from: usize) {
        for at in from..self.voices.len() {
            let (voice, strikes) = &mut self.voices[at];
            if *strikes >= MAX_STRIKES {
                continue;
            }
            // Counted before the call, so that a panic counts as well.
            *strikes += 1;
            match voice.say(&text) {
                Ok(utterance) => {
                    *strikes -= 1;
                    if let Some(first) = self.replies.front_mut() {
                        first.current = Some(SpokenSentence { text, voice: at, utterance, block: Vec::new(), audible: false });
                    }
                    return;
                }
                Err(error) => {
                    let name = voice.name();
                    self.report_once(&name, error);
                }
            }
        }
    }

    /// Asks the voice for samples and gives them to the player, once the person in the room has finished speaking.
    fn continue_sentence(&mut self) -> StepOutcome {
        let Some(first) = self.replies.front_mut() else { return StepOutcome::Wait };
        let Some(sentence) = &mut first.current else { return StepOutcome::Wait };
        if sentence.block.is_empty() {
            match sentence.utterance.next(&mut sentence.block) {
                Ok(UtteranceEvent::Samples(_)) => sentence.audible = true,
                Ok(UtteranceEvent::Nothing) => return StepOutcome::GoOn,
                Ok(UtteranceEvent::End) => {
                    if let Some((_, strikes)) = self.voices.get_mut(sentence.voice) {
                        *strikes = 0;
                    }
                    first.current = None;
                    if let Err(error) = self.player.end_sentence() {
                        self.report_once(OUTPUT, error);
                    }
                    return StepOutcome::GoOn;
                }
                Err(error) => {
                    self.voice_failed(error);
                    return StepOutcome::GoOn;
                }
            }
        }
        if !first.started && !may_begin(self.turn_taking.quiet_for(), first.begun.elapsed()) {
            return StepOutcome::Wait;
        }
        let (reply, starts) = (first.reply, !std::mem::replace(&mut first.started, true));
        let taken = self.player.take(&sentence.block, sentence.utterance.rate_hz());
        sentence.block.clear();
        if starts {
            self.report(SpeechReport::Started(reply));
        }
        if let Err(error) = taken {
            self.report_once(OUTPUT, error);
            self.end_first(Ending::Cut);
        }
        StepOutcome::GoOn
    }

    /// Notes that the voice that speaks has failed. The next voice says the sentence, unless a part of the sentence has been heard already.
    fn voice_failed(&mut self, error: Error) {
        let Some(sentence) = self.replies.front_mut().and_then(|first| first.current.take()) else { return };
        let SpokenSentence { text, voice: at, audible, utterance, .. } = sentence;
        drop(utterance);
        if let Some((voice, strikes)) = self.voices.get_mut(at) {
            *strikes += 1;
            let name = voice.name();
            self.report_once(&name, error);
        }
        if !audible {
            self.speak(text, at + 1);
        }
    }

    fn cut_all(&mut self) {
        self.end_first(Ending::Cut);
        for dropped in std::mem::take(&mut self.replies) {
            self.report(SpeechReport::Unspoken(dropped.reply));
        }
    }

    fn end_first(&mut self, ending: Ending) {
        let Some(ended) = self.replies.pop_front() else {
            if self.player.is_cut() {
                self.player.finish_cut();
            }
            return;
        };
        drop(ended.current);
        if ending == Ending::Cut {
            self.player.cut();
            self.player.finish_cut();
        }
        self.report(match ended.started {
            true => SpeechReport::Finished { reply: ended.reply, cut: ending == Ending::Cut },
            false => SpeechReport::Unspoken(ended.reply),
        });
    }

    /// Reports `error` of `about`, a voice or the output, unless an earlier error of the same was reported and not overcome since.
    fn report_once(&mut self, about: &str, error: Error) {
        if self.reported.insert(about.to_owned()) {
            self.report(SpeechReport::Problem(error));
        }
    }

    fn report(&mut self, report: SpeechReport) {
        self.closed |= self.channels.reports.send(report).is_err();
    }
}

#[cfg(test)]
mod tests;
