//! Runs items through the product's own sessions, several of them in one batched pass.
//!
//! As in `hearken listen FILE`, the file waits for the model, and silence follows each sound. Not responsible for scoring.

mod active;

use std::sync::Arc;

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

use super::items::{Item, Prediction};
use crate::config::{ContextChoice, Mode};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::session::front_end::{Analysis, encode_batch};
use crate::session::prompt::PromptCache;
use crate::session::{SessionConfig, pass_batch};
use active::ActiveSession;

/// The items of one session, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalSession {
    /// Condition, if the run has several.
    pub condition: String,
    /// Context policy and window size.
    pub context: ContextChoice,
    /// Items.
    pub items: Vec<Item>,
}

/// The recording of margins, by a second lane that never responds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Margins {
    /// Margins of every chunk of the sound.
    WholeSound,
    /// No margins.
    None,
}

/// The measurement of the time to a reply's first text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstTextLatency {
    /// Measured by the clock, so that predictions differ between runs.
    Measured,
    /// Not measured.
    NotMeasured,
}

/// The settings that all sessions share.
#[derive(Clone, Debug)]
pub struct SessionRunner {
    /// Model.
    pub model: Arc<Model>,
    /// Behaviour of the sessions, except for the context policy.
    pub config: SessionConfig,
    /// Mode whose replies are recorded.
    pub mode: Mode,
    /// Primed prompt of the mode.
    pub prompt: Arc<PromptCache>,
    /// Recording of margins.
    pub margins: Margins,
    /// Measurement of the time to first text.
    pub first_text_latency: FirstTextLatency,
    /// Silence after each sound, in seconds.
    pub gap_secs: f64,
    /// True if the quiet gate withholds silence from the model.
    pub gate: bool,
    /// Maximum number of sessions in a batched pass.
    pub lanes: usize,
}

impl SessionRunner {
    /// Runs `sessions` and calls `done` with the predictions of each when it ends. The order of these calls is deterministic.
    ///
    /// # Errors
    /// If inference or `done` fails; sessions passed to `done` earlier stay complete. An unreadable sound is no error: its
    /// prediction carries the reason.
    pub fn run(&self, sessions: impl IntoIterator<Item = EvalSession>, mut done: impl FnMut(Vec<Prediction>) -> Result<()>) -> Result<()> {
        let mut waiting = sessions.into_iter();
        let mut active: Vec<ActiveSession> = Vec::new();
        loop {
            while active.len() < self.lanes.max(1)
                && let Some(next) = waiting.next()
            {
                active.push(ActiveSession::start(self, next)?);
            }
            if active.is_empty() {
                return Ok(());
            }
            let fed = self.feed(&mut active)?;
            let mut sessions: Vec<_> = active.iter_mut().map(ActiveSession::session).collect();
            let worked = pass_batch(&self.model, &mut sessions)?;
            active.iter_mut().for_each(ActiveSession::take_events);
            let before = active.len();
            let mut at = 0;
            while at < active.len() {
                if active[at].is_done() {
                    done(active.remove(at).finish())?;
                } else {
                    at += 1;
                }
            }
            if !worked && fed == 0 && active.len() == before {
                return Err(Error::internal("no evaluation session made progress"));
            }
        }
    }

    /// Feeds the next chunk to every idle session. Returns the number of sessions fed.
    fn feed(&self, active: &mut [ActiveSession]) -> Result<usize> {
        let analysed = active.par_iter_mut().filter(|session| session.is_idle()).filter_map(|session| {
            let analysis = session.analyse_next()?;
            Some((session, analysis))
        });
        let (fed, analyses): (Vec<&mut ActiveSession>, Vec<Analysis>) = analysed.collect::<Vec<_>>().into_iter().unzip();
        let count = fed.len();
        for (session, chunks) in fed.into_iter().zip(encode_batch(analyses, &self.model)?) {
            session.push(chunks);
        }
        Ok(count)
    }
}
