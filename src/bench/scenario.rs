//! `hearken bench --scenario`: a minute of scripted listening through the product's session and front end.
//!
//! Time is simulated: a chunk arrives every 0.4 s, and time advances by the measured duration of the work, so nothing sleeps and
//! the figures are those of a live session on this machine. The model's weights may be random: the script forces responses and
//! ends replies after a fixed number of tokens.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::{noise, peak_rss_mb, round};
use crate::audio::chunker::Chunk;
use crate::config::{BenchOptions, ContextChoice, InstructionClip, Mode, Paths, SamplingChoice, Scenario, modes};
use crate::error::Result;
use crate::lane::OnLoop;
use crate::mel::{MaxWindow, QuietGate};
use crate::model::Model;
use crate::protocol::{Event, Language};
use crate::session::front_end::FrontEnd;
use crate::session::prompt::PromptCache;
use crate::session::{Session, SessionConfig};
use crate::time::{CHUNK_SAMPLES, CHUNK_SECS, ChunkIdx, StreamTime};

/// Number of chunks of the script: a minute.
const CHUNKS: usize = 150;
/// Largest number of chunks without forced responses that follow the script, in which the lanes catch up: two minutes.
const AFTER: usize = 300;
/// Number of chunks between two questions of the dialog script: 20 s.
const QUESTIONS_EVERY: usize = 50;
/// Number of the chunk at which the first question of the dialog script is answered, after 10 s.
const FIRST_QUESTION: usize = 25;
/// Tokens after which an answer of the dialog script ends, its end token included.
const ANSWER_TOKENS: usize = 31;
/// Number of chunks of a period of the speech script: 2 s.
const SPEECH_PERIOD: usize = 5;
/// Number of transcript entries that begin in each period of the speech script, one in each of the period's first chunks.
const SPEECH_ENTRIES: usize = 3;
/// Tokens after which a transcript entry of the speech script ends, its end token included.
const ENTRY_TOKENS: usize = 3;
/// Bias on the logit of TEXT_BEGIN that forces a response, or silence if negative.
const CERTAIN: f32 = 1e6;

/// The figures of a finished script.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct ScenarioResult {
    /// Seconds of computing for the script's minute, the part that lagged behind its end included.
    work_secs: f64,
    /// Largest lag, in seconds of sound that has arrived and is not processed.
    greatest_lag_secs: f64,
    /// Longest time in seconds from the end of a reply (or of the minute of speech) until the lanes had caught up. None if nothing
    /// made them lag (the quiet script), or if they had not caught up two minutes after the script.
    catch_up_secs: Option<f64>,
    /// Replies or transcript entries that began.
    replies: usize,
    /// Tokens of the finished replies and entries, without their end tokens.
    reply_tokens: usize,
}

/// Runs `scenario` with the front end, session and lanes of the product, and returns the report.
pub(super) fn run(model: &Arc<Model>, scenario: Scenario, options: &BenchOptions) -> Result<Value> {
    let modes = modes_of(scenario, options.lanes)?;
    let result = ScriptRun::new(model, scenario, &modes)?.run()?;
    Ok(json!({
        "scenario": scenario.name(),
        "model": model.name(),
        "precision": model.precision().name(),
        "threads": crate::model::threads(),
        "modes": modes.iter().map(|mode| mode.name.clone()).collect::<Vec<_>>(),
        "audio_secs": CHUNKS as f64 * CHUNK_SECS,
        "replies": result.replies,
        "reply_tokens": result.reply_tokens,
        "real_time_factor": (result.work_secs / (CHUNKS as f64 * CHUNK_SECS) * 1e4).round() / 1e4,
        "greatest_lag_secs": round(result.greatest_lag_secs),
        "catch_up_secs": result.catch_up_secs.map(round),
        "peak_rss_mb": peak_rss_mb(),
    }))
}

/// Returns the mode that the scenario forces to respond (transcribe for speech, else dialog), then other built-in modes: `lanes` in
/// all, at least 1.
fn modes_of(scenario: Scenario, lanes: usize) -> Result<Vec<Mode>> {
    let first = if scenario == Scenario::Speech { modes::TRANSCRIBE } else { modes::DIALOG };
    let mut all = modes::builtin(Language::Chinese, &Paths::find()?.instructions());
    all.sort_by_key(|mode| mode.name != first);
    all.truncate(lanes.max(1));
    // A spoken instruction is processed before a session starts, so it is no part of the measurement.
    all.iter_mut().for_each(|mode| mode.clip = InstructionClip::None);
    Ok(all)
}

/// A run of a script in simulated time.
struct ScriptRun<'a> {
    model: &'a Arc<Model>,
    scenario: Scenario,
    session: Session,
    front_end: FrontEnd,
    /// Name of the mode that the script forces to respond.
    speaker: String,
    /// Simulated time, in seconds.
    now: f64,
    /// Chunks fed so far.
    fed: usize,
    /// Number of forced responses that have not begun yet.
    due: usize,
    /// Simulated time, in seconds, of the end of the last reply or of the speech, since which the lanes have not caught up; else None.
    behind_since: Option<f64>,
    result: ScenarioResult,
}

impl<'a> ScriptRun<'a> {
    fn new(model: &'a Arc<Model>, scenario: Scenario, modes: &[Mode]) -> Result<Self> {
        let mut config = SessionConfig::product(SamplingChoice::GREEDY, ContextChoice::default());
        config.on_loop = OnLoop::GoOn;
        config.reply_limit = if scenario == Scenario::Speech { ENTRY_TOKENS } else { ANSWER_TOKENS };
        let mut session = Session::new(Arc::clone(model), config)?;
        let paths = Paths::find()?;
        for mode in modes {
            session.switch_on(mode, &PromptCache::of(model, mode, &paths)?)?;
            session.set_eagerness(&mode.name, -CERTAIN);
        }
        let gate = (scenario == Scenario::Quiet).then(QuietGate::default);
        let speaker = modes.first().map(|mode| mode.name.clone()).unwrap_or_default();
        let mut front_end = FrontEnd::new(MaxWindow::Last45Secs, gate);
        // A quiet minute starts when the gate has adapted to the noise floor.
        for at in 0..if scenario == Scenario::Quiet { CHUNKS } else { 0 } {
            if front_end.step(&chunk(scenario, at), model)?.gate_moved == Some(false) {
                break;
            }
        }
        let result = ScenarioResult::default();
        Ok(Self { model, scenario, session, front_end, speaker, now: 0.0, fed: 0, due: 0, behind_since: None, result })
    }

    fn run(mut self) -> Result<ScenarioResult> {
        let mut events = Vec::new();
        loop {
            let begun = Instant::now();
            let arrived = (self.now / CHUNK_SECS + 1e-9) as usize;
            let feeds = self.fed < arrived && self.fed < CHUNKS + AFTER;
            // Excludes the silence after the script.
            let of_script = self.fed < CHUNKS || !feeds && (self.session.backlog() > self.fed - CHUNKS || self.session.is_replying());
            let worked = if feeds {
                self.feed()?;
                true
            } else {
                let eagerness = if self.due > 0 { CERTAIN } else { -CERTAIN };
                self.session.set_eagerness(&self.speaker, eagerness);
                self.session.pass(&mut events)?
            };
            let secs = begun.elapsed().as_secs_f64();
            self.take_events(&events);
            events.clear();
            self.now += secs;
            if of_script {
                self.result.work_secs += secs;
            }
            let lag = (self.session.backlog() + ((self.now / CHUNK_SECS) as usize).saturating_sub(self.fed)) as f64 * CHUNK_SECS;
            self.result.greatest_lag_secs = self.result.greatest_lag_secs.max(lag);
            if !worked {
                self.caught_up();
                if self.fed >= CHUNKS {
                    return Ok(self.result);
                }
                self.now = (self.fed + 1) as f64 * CHUNK_SECS;
            } else if self.fed >= CHUNKS + AFTER {
                // The lanes never catch up.
                self.result.catch_up_secs = None;
                return Ok(self.result);
            }
        }
    }

    /// Runs the next chunk through the front end, queues it for the lanes, and notes whether the script forces a response to it.
    fn feed(&mut self) -> Result<()> {
        let at = self.fed;
        for encoded in self.front_end.step(&chunk(self.scenario, at), self.model)?.encoded {
            self.session.push(encoded);
        }
        self.fed += 1;
        if at < CHUNKS {
            self.due += usize::from(responds(self.scenario, at));
        }
        if self.fed == CHUNKS && self.scenario == Scenario::Speech {
            self.behind_since = Some(self.now);
        }
        Ok(())
    }

    /// Counts the replies and their tokens in `events`, and in the dialog script notes the end of each reply, from which catching up is
    /// timed.
    fn take_events(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::ReplyStarted { .. } => {
                    self.due = self.due.saturating_sub(1);
                    self.result.replies += 1;
                }
                Event::ReplyFinished { .. } => {
                    self.result.reply_tokens += if self.scenario == Scenario::Speech { ENTRY_TOKENS } else { ANSWER_TOKENS } - 1;
                    if self.scenario == Scenario::Dialog {
                        self.behind_since = Some(self.now);
                    }
                }
                _ => {}
            }
        }
    }

    /// Notes that the lanes have caught up, and keeps the longest time that catching up took.
    fn caught_up(&mut self) {
        if let Some(since) = self.behind_since.take() {
            let took = self.now - since;
            self.result.catch_up_secs = Some(self.result.catch_up_secs.map_or(took, |longest: f64| longest.max(took)));
        }
    }
}

/// Returns chunk number `at` of the sound: the same noise in every chunk, 60 dB lower in the quiet scenario.
fn chunk(scenario: Scenario, at: usize) -> Chunk {
    // The quiet scenario has room noise below the gate, and not digital silence.
    let gain = if scenario == Scenario::Quiet { 1e-3 } else { 1.0 };
    let end = |chunks: usize| StreamTime::from_samples((chunks * CHUNK_SAMPLES) as u64);
    Chunk { index: ChunkIdx(at as u64), begin: end(at), end: end(at + 1), samples: Box::new(noise().map(|x| x * gain)) }
}

/// Returns true if the script forces a response to chunk number `at`.
const fn responds(scenario: Scenario, at: usize) -> bool {
    match scenario {
        Scenario::Quiet => false,
        Scenario::Dialog => at % QUESTIONS_EVERY == FIRST_QUESTION,
        Scenario::Speech => at % SPEECH_PERIOD < SPEECH_ENTRIES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starter() -> Arc<Model> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter");
        let loaded = Model::load(&folder, "starter", None, crate::config::ComputeDevice::Cpu);
        Arc::new(loaded.unwrap())
    }

    #[test]
    fn scripts_have_the_documented_number_of_replies_and_tokens() {
        let count = |scenario| (0..CHUNKS).filter(|at| responds(scenario, *at)).count();
        assert_eq!(count(Scenario::Quiet), 0);
        assert_eq!(count(Scenario::Dialog), 3, "a question every 20 s");
        let tokens = count(Scenario::Speech) * (ENTRY_TOKENS - 1);
        assert_eq!(tokens as f64 / (CHUNKS as f64 * CHUNK_SECS), 3.0, "tokens a second");
    }

    #[test]
    fn simulated_minute_gives_the_replies_of_its_script_and_ends() {
        let model = starter();
        for (scenario, replies, tokens) in [(Scenario::Quiet, 0, 0), (Scenario::Dialog, 3, 90), (Scenario::Speech, 90, 180)] {
            let modes = modes_of(scenario, 2).unwrap();
            assert_eq!(modes.len(), 2);
            let result = ScriptRun::new(&model, scenario, &modes).unwrap().run().unwrap();
            assert_eq!((result.replies, result.reply_tokens), (replies, tokens), "{scenario:?}");
            assert_eq!(result.catch_up_secs.is_some(), scenario != Scenario::Quiet, "{scenario:?}: {result:?}");
            assert!(result.work_secs > 0.0, "{result:?}");
        }
    }
}
