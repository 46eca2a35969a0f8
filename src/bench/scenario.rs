//! A minute of scripted listening, through the very session and front_end of the engine.
//!
//! Time is played: a chunk arrives every 0.4 s of it, and it moves on by what the work really took, so that nothing waits and
//! the figures are those of a live session on this machine. What the model says does not matter (its weights may be
//! random): the script makes it respond and ends its replies by their number of tokens.

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

/// Chunks of the script: a minute.
const CHUNKS: usize = 150;
/// Chunks that follow it at most, in which nobody speaks and the lanes catch up: two minutes.
const AFTER: usize = 300;
/// A question comes every 20 s, first after 10.
const QUESTIONS_EVERY: usize = 50;
const FIRST_QUESTION: usize = 25;
/// Tokens of an answer, its end included.
const ANSWER_TOKENS: usize = 31;
/// Of every five chunks of speech three give an entry of two tokens and its end: 3 tokens a second.
const SPEECH_PERIOD: usize = 5;
const SPEECH_ENTRIES: usize = 3;
const ENTRY_TOKENS: usize = 3;
/// Added to the respond logit it settles any decision.
const CERTAIN: f32 = 1e6;

/// What came of a script.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Outcome {
    /// Seconds that the work of the script's minute took, also where that was longer than a minute.
    work_secs: f64,
    /// The most that the lanes were behind, in seconds.
    greatest_lag_secs: f64,
    /// From the end of what made them fall behind (a reply; the minute of speech) to where they had caught up; the longest.
    catch_up_secs: Option<f64>,
    replies: usize,
    reply_tokens: usize,
}

pub(super) fn run(model: &Arc<Model>, scenario: Scenario, options: &BenchOptions) -> Result<Value> {
    let modes = modes_of(scenario, options.lanes)?;
    let outcome = Play::new(model, scenario, &modes)?.run()?;
    Ok(json!({
        "scenario": scenario.name(),
        "model": model.name(),
        "precision": model.precision().name(),
        "threads": crate::model::threads(),
        "modes": modes.iter().map(|mode| mode.name.clone()).collect::<Vec<_>>(),
        "audio_secs": CHUNKS as f64 * CHUNK_SECS,
        "replies": outcome.replies,
        "reply_tokens": outcome.reply_tokens,
        "real_time_factor": (outcome.work_secs / (CHUNKS as f64 * CHUNK_SECS) * 1e4).round() / 1e4,
        "greatest_lag_secs": round(outcome.greatest_lag_secs),
        "catch_up_secs": outcome.catch_up_secs.map(round),
        "peak_rss_mb": peak_rss_mb(),
    }))
}

/// The mode that a scenario is about, and others up to `lanes`.
fn modes_of(scenario: Scenario, lanes: usize) -> Result<Vec<Mode>> {
    let first = if scenario == Scenario::Speech { modes::TRANSCRIBE } else { modes::DIALOG };
    let mut all = modes::builtin(Language::Chinese, &Paths::find()?.instructions());
    all.sort_by_key(|mode| mode.name != first);
    all.truncate(lanes.max(1));
    // The spoken instruction is fed before a session begins and does not count here.
    all.iter_mut().for_each(|mode| mode.clip = InstructionClip::None);
    Ok(all)
}

struct Play<'a> {
    model: &'a Arc<Model>,
    scenario: Scenario,
    session: Session,
    front_end: FrontEnd,
    /// The mode that the script makes respond.
    speaker: String,
    /// Played time, in seconds.
    now: f64,
    heard: usize,
    /// Responses that the script has asked for and that have not begun.
    due: usize,
    /// Since when the lanes have nothing but catching up to do.
    behind_since: Option<f64>,
    outcome: Outcome,
}

impl<'a> Play<'a> {
    fn new(model: &'a Arc<Model>, scenario: Scenario, modes: &[Mode]) -> Result<Self> {
        let mut conduct = SessionConfig::product(SamplingChoice::GREEDY, ContextChoice::default());
        conduct.on_loop = OnLoop::GoOn;
        conduct.reply_limit = if scenario == Scenario::Speech { ENTRY_TOKENS } else { ANSWER_TOKENS };
        let mut session = Session::new(Arc::clone(model), conduct)?;
        let paths = Paths::find()?;
        for mode in modes {
            session.switch_on(mode, &PromptCache::of(model, mode, &paths)?)?;
            session.set_eagerness(&mode.name, -CERTAIN);
        }
        let gate = (scenario == Scenario::Quiet).then(QuietGate::default);
        let speaker = modes.first().map(|mode| mode.name.clone()).unwrap_or_default();
        let mut front_end = FrontEnd::new(MaxWindow::Last45Secs, gate);
        // A quiet minute begins when the gate has come to know the room.
        for at in 0..if scenario == Scenario::Quiet { CHUNKS } else { 0 } {
            if front_end.step(&chunk(scenario, at), model)?.gate_moved == Some(false) {
                break;
            }
        }
        let outcome = Outcome::default();
        Ok(Self { model, scenario, session, front_end, speaker, now: 0.0, heard: 0, due: 0, behind_since: None, outcome })
    }

    fn run(mut self) -> Result<Outcome> {
        let mut events = Vec::new();
        loop {
            let begun = Instant::now();
            let arrived = (self.now / CHUNK_SECS + 1e-9) as usize;
            let hears = self.heard < arrived && self.heard < CHUNKS + AFTER;
            // Not the silence that follows.
            let of_script = self.heard < CHUNKS || !hears && (self.session.backlog() > self.heard - CHUNKS || self.session.is_replying());
            let worked = if hears {
                self.hear()?;
                true
            } else {
                let eagerness = if self.due > 0 { CERTAIN } else { -CERTAIN };
                self.session.set_eagerness(&self.speaker, eagerness);
                self.session.pass(&mut events)?
            };
            let secs = begun.elapsed().as_secs_f64();
            self.learn(&events);
            events.clear();
            self.now += secs;
            if of_script {
                self.outcome.work_secs += secs;
            }
            let lag = (self.session.backlog() + ((self.now / CHUNK_SECS) as usize).saturating_sub(self.heard)) as f64 * CHUNK_SECS;
            self.outcome.greatest_lag_secs = self.outcome.greatest_lag_secs.max(lag);
            if !worked {
                self.caught_up();
                if self.heard >= CHUNKS {
                    return Ok(self.outcome);
                }
                self.now = (self.heard + 1) as f64 * CHUNK_SECS;
            } else if self.heard >= CHUNKS + AFTER {
                // It never catches up: the figure stays absent.
                self.outcome.catch_up_secs = None;
                return Ok(self.outcome);
            }
        }
    }

    /// Hears the next chunk of the script.
    fn hear(&mut self) -> Result<()> {
        let at = self.heard;
        for encoded in self.front_end.step(&chunk(self.scenario, at), self.model)?.encoded {
            self.session.push(encoded);
        }
        self.heard += 1;
        if at < CHUNKS {
            self.due += usize::from(responds(self.scenario, at));
        }
        if self.heard == CHUNKS && self.scenario == Scenario::Speech {
            self.behind_since = Some(self.now);
        }
        Ok(())
    }

    fn learn(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::ReplyStarted { .. } => {
                    self.due = self.due.saturating_sub(1);
                    self.outcome.replies += 1;
                }
                Event::ReplyFinished { .. } => {
                    self.outcome.reply_tokens += if self.scenario == Scenario::Speech { ENTRY_TOKENS } else { ANSWER_TOKENS } - 1;
                    if self.scenario == Scenario::Dialog {
                        self.behind_since = Some(self.now);
                    }
                }
                _ => {}
            }
        }
    }

    /// Nothing is left to do.
    fn caught_up(&mut self) {
        if let Some(since) = self.behind_since.take() {
            let took = self.now - since;
            self.outcome.catch_up_secs = Some(self.outcome.catch_up_secs.map_or(took, |longest: f64| longest.max(took)));
        }
    }
}

/// Chunk `at` of the script's sound.
fn chunk(scenario: Scenario, at: usize) -> Chunk {
    // Below the gate there is a quiet room, not nothing.
    let loudness = if scenario == Scenario::Quiet { 1e-3 } else { 1.0 };
    let end = |chunks: usize| StreamTime::from_samples((chunks * CHUNK_SAMPLES) as u64);
    Chunk { index: ChunkIdx(at as u64), begin: end(at), end: end(at + 1), samples: Box::new(noise().map(|x| x * loudness)) }
}

/// Whether the script has the model respond to chunk `at`.
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
    fn the_scripts_say_as_much_as_the_contract_has_it() {
        let count = |scenario| (0..CHUNKS).filter(|at| responds(scenario, *at)).count();
        assert_eq!(count(Scenario::Quiet), 0);
        assert_eq!(count(Scenario::Dialog), 3, "a question every 20 s");
        let tokens = count(Scenario::Speech) * (ENTRY_TOKENS - 1);
        assert_eq!(tokens as f64 / (CHUNKS as f64 * CHUNK_SECS), 3.0, "tokens a second");
    }

    #[test]
    fn a_played_minute_gives_the_replies_of_its_script_and_ends() {
        let model = starter();
        for (scenario, replies, tokens) in [(Scenario::Quiet, 0, 0), (Scenario::Dialog, 3, 90), (Scenario::Speech, 90, 180)] {
            let modes = modes_of(scenario, 2).unwrap();
            assert_eq!(modes.len(), 2);
            let outcome = Play::new(&model, scenario, &modes).unwrap().run().unwrap();
            assert_eq!((outcome.replies, outcome.reply_tokens), (replies, tokens), "{scenario:?}");
            assert_eq!(outcome.catch_up_secs.is_some(), scenario != Scenario::Quiet, "{scenario:?}: {outcome:?}");
            assert!(outcome.work_secs > 0.0, "{outcome:?}");
        }
    }
}
