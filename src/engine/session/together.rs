//! Several sessions of one model in one batched pass: each hears its own sound, and the weights are read once for all.
//!
//! What `eval` batches its items with. A session on its own is the case of one ([`Session::pass`]).

use smallvec::SmallVec;

use super::{Run, Session, segment};
use crate::error::Result;
use crate::model::Model;
use crate::protocol::Event;

/// Lanes that a pass has room for without memory of its own: every mode of a session.
const USUAL_LANES: usize = 6;

/// Makes one pass of all `sessions` (each with where its events go): every lane that has something to do does it. False
/// when none had.
///
/// # Errors
/// When computing fails; every lane of every session must then be restarted.
pub fn pass_together(model: &Model, sessions: &mut [(&mut Session, &mut Vec<Event>)]) -> Result<bool> {
    let mut busy = false;
    for (session, out) in sessions.iter_mut() {
        busy |= session.plan(out)?;
    }
    if !busy {
        return Ok(false);
    }
    let mut segments: SmallVec<[_; USUAL_LANES]> = SmallVec::new();
    for (session, _) in sessions.iter_mut() {
        let Session { lanes, queue, conduct, .. } = &mut **session;
        for Run { cache, plan, .. } in lanes {
            if let Some(plan) = plan {
                segments.push(segment(plan, cache, queue, conduct.reading)?);
            }
        }
    }
    let readings = model.pass(&mut segments)?;
    drop(segments);
    let mut rest = readings.as_slice();
    for (session, out) in sessions.iter_mut() {
        let mut worked = false;
        for at in 0..session.lanes.len() {
            if let Some(plan) = session.lanes[at].plan.take() {
                let own = rest.split_off(..plan.reads.len()).unwrap_or_default();
                session.learn(at, &plan, own, out)?;
                worked = true;
            }
        }
        session.turn = session.turn.wrapping_add(usize::from(worked));
    }
    Ok(true)
}
