//! The batched pass: every lane of one or several sessions in one forward pass, so that the weights are read once for all.
//!
//! `eval` batches its items this way; a session alone is a batch of one ([`Session::pass`]).

use smallvec::SmallVec;

use super::lanes::SessionLane;
use super::queue::EncodedQueue;
use super::{Call, Reading, Session};
use crate::error::{Error, Result};
use crate::lane::{CHUNKS_PER_PASS, Choice, Decision, Goal, Item, LaneEvent, Plan};
use crate::model::sampler::argmax;
use crate::model::{Input, Inputs, LaneCache, Logits, Model, Read, Segment};
use crate::protocol::Event;

/// Lanes of a pass for which no memory is allocated: every built-in mode and two more.
const USUAL_LANES: usize = 6;

/// Makes one pass of the model over the lanes of all `sessions`, each with the list that receives its events. Returns false when no lane
/// had anything to do.
///
/// # Errors
/// When computing fails; every lane of every session must then be rolled back or restarted.
pub fn pass_batch(model: &Model, sessions: &mut [(&mut Session, &mut Vec<Event>)]) -> Result<bool> {
    let mut busy = false;
    for (session, out) in sessions.iter_mut() {
        busy |= session.plan(out)?;
    }
    if !busy {
        return Ok(false);
    }
    let mut segments: SmallVec<[_; USUAL_LANES]> = SmallVec::new();
    for (session, _) in sessions.iter_mut() {
        let Session { lanes, queue, config, .. } = &mut **session;
        for SessionLane { cache, plan, .. } in lanes {
            if let Some(plan) = plan {
                segments.push(segment(plan, cache, queue, config.reading)?);
            }
        }
    }
    let logits = model.pass(&mut segments)?;
    drop(segments);
    let mut rest = logits.as_slice();
    for (session, out) in sessions.iter_mut() {
        let mut worked = false;
        for at in 0..session.lanes.len() {
            if let Some(plan) = session.lanes[at].plan.take() {
                let own = rest.split_off(..plan.reads.len()).unwrap_or_default();
                session.take_logits(at, &plan, own, out)?;
                worked = true;
            }
        }
        session.first_lane = session.first_lane.wrapping_add(usize::from(worked));
    }
    Ok(true)
}

impl Session {
    /// Advances lane number `at` by the logits that its `plan` read; appends the events that follow to `out`.
    fn take_logits(&mut self, at: usize, plan: &Plan, logits: &[Logits], out: &mut Vec<Event>) -> Result<()> {
        let lane = &mut self.lanes[at];
        if let Some(last) = plan.last_chunk() {
            lane.next = last.next();
        }
        lane.context.feed(plan);
        let events = match plan.goal {
            Goal::Decide => {
                let decisions: SmallVec<[Decision; CHUNKS_PER_PASS]> = logits.iter().map(|l| decision(l, &self.model)).collect();
                let events = lane.lane.heard(plan, &decisions);
                if lane.lane.is_speaking() {
                    lane.context.answer();
                }
                events
            }
            Goal::Speak => {
                let token = match logits.first() {
                    Some(Logits::Row(row)) => Some(self.sampler.sample(row)?),
                    _ => None,
                };
                if let (Reading::Every, Some(token), Some(Logits::Row(row))) = (self.config.reading, token, logits.first()) {
                    let chunk = lane.lane.answered_chunk().unwrap_or_default();
                    self.calls.push(Call { goal: Goal::Speak, chunk, logits: row.clone(), token });
                }
                lane.lane.spoke(plan, token)
            }
        };
        let mut rows = logits.iter();
        for event in &events {
            if let (Reading::Every, LaneEvent::Decided { chunk, choice, .. }, Some(Logits::Row(row))) =
                (self.config.reading, event, rows.next())
            {
                let token = if *choice == Choice::Respond { self.model.ids().text_begin } else { self.model.ids().keep_silence };
                self.calls.push(Call { goal: Goal::Decide, chunk: *chunk, logits: row.clone(), token });
            }
            self.replies.push(&lane.mode, event, self.model.vocabulary(), out);
        }
        Ok(())
    }
}

/// Returns the segment of the model's pass that feeds `plan` to the lane's `cache`.
fn segment<'a>(plan: &Plan, cache: &'a mut LaneCache, queue: &EncodedQueue, reading: Reading) -> Result<Segment<'a>> {
    let mut inputs = Inputs::new();
    for item in &plan.items {
        inputs.push(match item {
            Item::Token(id) => Input::Token(*id),
            Item::Chunk(chunk) => {
                let encoded = queue.from(*chunk).next().filter(|encoded| encoded.meta.chunk == *chunk);
                let gone = || Error::internal(format_args!("chunk {} left the queue before it was heard", chunk.0));
                Input::Features(encoded.ok_or_else(gone)?.features.clone())
            }
        });
    }
    let read = if plan.goal == Goal::Decide && reading == Reading::Chosen { Read::Decision } else { Read::Row };
    Ok(Segment { cache, inputs, reads: plan.reads.iter().map(|row| (*row, read)).collect() })
}

/// Returns the two logits of a decision. If the logits of all tokens are given and a third token has the largest, that token stands for
/// silence.
fn decision(logits: &Logits, model: &Model) -> Decision {
    match logits {
        Logits::Decision { silent, respond } => Decision { silent: *silent, respond: *respond },
        Logits::Row(row) => {
            let (silent, respond) = (model.ids().keep_silence as usize, model.ids().text_begin as usize);
            let best = argmax(row);
            let third = best != silent && best != respond;
            Decision { silent: if third { row[best] } else { row[silent] }, respond: row[respond] }
        }
    }
}
