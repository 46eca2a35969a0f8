//! Several sessions of one model in one batched pass: each hears its own sound, and the weights are read once for all.
//!
//! What `eval` batches its items with. A session on its own is the case of one ([`Session::pass`]).

use super::{Session, segment};
use crate::error::Result;
use crate::model::Model;
use crate::protocol::Event;

/// Makes one pass of all `sessions` (each with where its events go): every lane that has something to do does it. False
/// when none had.
///
/// # Errors
/// When computing fails; every lane of every session must then be restarted.
pub fn pass_together(model: &Model, sessions: &mut [(&mut Session, &mut Vec<Event>)]) -> Result<bool> {
    let mut plans = Vec::with_capacity(sessions.len());
    for (session, out) in sessions.iter_mut() {
        plans.push(session.plan(out)?);
    }
    if plans.iter().flatten().all(Option::is_none) {
        return Ok(false);
    }
    let mut segments = Vec::new();
    for ((session, _), plans) in sessions.iter_mut().zip(&plans) {
        let Session { lanes, queue, conduct, .. } = &mut **session;
        for (run, plan) in lanes.iter_mut().zip(plans) {
            if let Some(plan) = plan {
                segments.push(segment(plan, &mut run.cache, queue, conduct.reading)?);
            }
        }
    }
    let mut logits = model.pass(&mut segments)?.into_iter();
    for ((session, out), plans) in sessions.iter_mut().zip(&plans) {
        let mut worked = false;
        for (at, plan) in plans.iter().enumerate() {
            if let (Some(plan), Some(logits)) = (plan, plan.as_ref().and_then(|_| logits.next())) {
                session.learn(at, plan, &logits, out)?;
                worked = true;
            }
        }
        session.turn = session.turn.wrapping_add(usize::from(worked));
    }
    Ok(true)
}
