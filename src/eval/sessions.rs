//! Runs items through the product's own sessions, several of them in one batched pass.
//!
//! As in `hearken listen FILE`, the file waits for the model, and silence follows each sound. Not responsible for scoring.

mod active;

use std::sync::Arc;

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

use super::items::{EvalItem, Prediction};
use crate::config::{ContextChoice, Mode};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::session::front_end::{Analysis, encode_batch};
use crate::session::prompt::PromptCache;
use crate::session::{SessionConfig, pass_batch};
use active::ActiveSession;

/// The items that one session of the model hears one after the other, without a reset between them.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalSession {
    /// Condition of the run that the session belongs to: for `streaming` the number of items, followed by the context policy if it
    /// is not the default; [`super::grouping::BACKGROUND`]; otherwise empty.
    pub condition: String,
    /// Context policy and size of the context window.
    pub context: ContextChoice,
    /// Items in the order in which they are heard.
    pub items: Vec<EvalItem>,
}

/// The choice to record [`Prediction::margins`] or not, by a second lane (a second context of the model) that never responds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Margins {
    /// Margins of every chunk that the lane decides on, those of the silence after the sound included.
    WholeSound,
    /// No margins; the second lane does not exist.
    None,
}

/// The measurement of the time to a reply's first text ([`super::items::PredictedReply::first_text_ms`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstTextLatency {
    /// Measured by the clock; predictions therefore differ between runs.
    Measured,
    /// Not measured; predictions of equal runs are equal.
    NotMeasured,
}

/// The settings shared by all sessions that [`SessionRunner::run`] runs.
#[derive(Clone, Debug)]
pub struct SessionRunner {
    /// Model that hears the items.
    pub model: Arc<Model>,
    /// Behaviour of the sessions; its `when_full` is replaced by [`EvalSession::context`].
    pub config: SessionConfig,
    /// Mode in which all items are heard and whose replies are recorded.
    pub mode: Mode,
    /// Prompt cache of the mode, from which each session starts.
    pub prompt: Arc<PromptCache>,
    /// Recording of margins, or none.
    pub margins: Margins,
    /// Measurement of the time to first text, or none.
    pub first_text_latency: FirstTextLatency,
    /// Silence after each sound file, a spoken question included, in seconds.
    pub gap_secs: f64,
    /// True if the quiet gate withholds silence from the model.
    pub gate: bool,
    /// Maximum number of sessions that run at the same time and share a batched pass; 0 counts as 1.
    pub lanes: usize,
}

impl SessionRunner {
    /// Runs `sessions` and calls `done` when one ends, with a prediction for each of its items. Sessions may end in another order
    /// than they were given in, but in the same order in every run.
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

    /// Encodes the next chunk of every session of `active` that is idle and queues it there. Returns the number of sessions that had one.
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
