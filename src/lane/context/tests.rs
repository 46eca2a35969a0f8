//! Trimming, on chunks of known priority.

use super::*;
use crate::config::{CatchUp, ContextPolicy};
use crate::lane::ResetTrigger;
use crate::lane::{Ask, ChunkMeta, Decision, Follows, Lane, LaneConfig, OnLoop};
use crate::model::token_ids::TokenIds;
use crate::time::ChunkIdx;

/// Rows of a silent chunk with its answer.
const ROWS: usize = CHUNK_ROWS + 1;

/// A lane with its context, fed one chunk after the other.
struct Fed {
    lane: Lane,
    context: Context,
    next: u64,
}

impl Fed {
    fn new(prompt: usize) -> Self {
        let config = LaneConfig { catch_up: CatchUp::EveryChunk, eagerness: 0.0, reply_limit: 1_000, on_loop: OnLoop::GoOn };
        Self { lane: Lane::new(config, TokenIds::RELEASE, vec![1; 46]), context: Context::new(prompt), next: 0 }
    }

    fn hear(&mut self, priority: Priority, chunks: u64) {
        for _ in 0..chunks {
            self.decide(priority, Decision { silent: 1.0, respond: 0.0 });
        }
    }

    /// Feeds a chunk that is answered with `tokens` tokens.
    fn answer(&mut self, tokens: usize) {
        self.decide(Priority::Heard, Decision { silent: 0.0, respond: 1.0 });
        for token in 0..=tokens {
            let plan = self.lane.plan(&[], 64).unwrap();
            self.context.feed(&plan);
            let end = TokenIds::RELEASE.text_end;
            self.lane.spoke(&plan, Some(if token == tokens { end } else { token as u32 }));
        }
    }

    fn decide(&mut self, priority: Priority, decision: Decision) {
        let at = StreamTime::from_samples((self.next + 1) * 6_400);
        let waiting = [ChunkMeta { chunk: ChunkIdx(self.next), at, ask: Ask::Decide, priority, follows: Follows::Chunk }];
        let plan = self.lane.plan(&waiting, 64).unwrap();
        self.lane.heard(&plan, &[decision]);
        self.context.feed(&plan);
        if self.lane.is_speaking() {
            self.context.answer();
        }
        self.next += 1;
    }

    fn priorities(&self) -> Vec<Priority> {
        self.context.chunks.iter().map(|chunk| chunk.priority).collect()
    }

    fn seconds(&self) -> Vec<f64> {
        self.context.chunks.iter().map(|chunk| chunk.at.secs()).collect()
    }

    fn trim(&mut self, policy: &str, window: usize) -> Option<Trim> {
        let policy = ContextPolicy::ALL.into_iter().find(|known| known.name() == policy).unwrap();
        let before = self.context.positions();
        let trim = self.context.make_room(policy, window, ROWS)?;
        let kept: usize = trim.kept.iter().map(ExactSizeIterator::len).sum();
        assert_eq!(kept, self.context.positions(), "the ranges that stay are the positions that are counted");
        assert!(trim.kept.windows(2).all(|pair| pair[0].end < pair[1].start) && trim.kept.last().unwrap().end <= before);
        Some(trim)
    }
}

#[test]
fn every_row_is_counted_with_its_chunk() {
    let mut fed = Fed::new(30);
    assert_eq!(fed.context.positions(), 30);
    fed.hear(Priority::Quiet, 1);
    assert_eq!((fed.context.positions(), fed.context.chunks()), (30 + 46 + 12, 1), "pending tokens belong to the prompt");
    fed.hear(Priority::Quiet, 2);
    assert_eq!(fed.context.positions(), 76 + 3 * ROWS - 1, "the newest answer is not fed yet");
    fed.answer(5);
    // TEXT_BEGIN and five tokens are fed; TEXT_END is with the chunk that follows.
    assert_eq!(fed.context.positions(), 76 + 4 * ROWS - 1 + 6);
    assert!(fed.context.was_answered());
    fed.hear(Priority::Quiet, 1);
    assert_eq!(fed.context.positions(), 76 + 5 * ROWS - 1 + 6);
    assert!(!fed.context.was_answered());
}

#[test]
fn trimming_drops_quiet_then_unanswered_sound_then_the_oldest_turns() {
    let mut fed = Fed::new(0);
    fed.hear(Priority::Heard, 15); // the first seconds
    fed.hear(Priority::Quiet, 20);
    fed.hear(Priority::Heard, 20);
    fed.hear(Priority::Quiet, 15);
    for _ in 0..3 {
        fed.hear(Priority::Quiet, 2);
        fed.hear(Priority::Heard, 3);
        fed.answer(10);
    }
    fed.hear(Priority::Quiet, 60);
    let held = fed.context.positions();
    let count = |fed: &Fed, priority| fed.priorities().iter().filter(|w| **w == priority).count();
    let window_for = |rows: usize| (held - rows) * 4 / 3 + 4;
    assert_eq!((count(&fed, Priority::First), count(&fed, Priority::Turn)), (15, 12));
    let quiet = count(&fed, Priority::Quiet);

    fed.trim("keep_replies", window_for(5 * ROWS)).unwrap();
    assert_eq!(count(&fed, Priority::Quiet), quiet - 5);
    assert_eq!(fed.seconds()[15], 0.4 * 21.0, "the oldest of them");

    let held = fed.context.positions();
    fed.trim("keep_replies", (held - 52 * ROWS) * 4 / 3 + 4).unwrap();
    assert_eq!(count(&fed, Priority::Quiet), RECENT_CHUNKS, "the last 20 s stay");
    assert!(count(&fed, Priority::Heard) < 20 && count(&fed, Priority::Turn) == 12 && count(&fed, Priority::First) == 15);

    let held = fed.context.positions();
    let wanted = held - count(&fed, Priority::Heard) * ROWS - 20;
    fed.trim("keep_replies", wanted * 4 / 3 + 4).unwrap();
    assert_eq!((count(&fed, Priority::Heard), count(&fed, Priority::Turn)), (0, 8), "one turn goes, as a whole");
    assert_eq!(count(&fed, Priority::First), 15);
}

#[test]
fn a_turn_holds_the_sound_since_the_previous_answer() {
    let mut fed = Fed::new(0);
    fed.hear(Priority::Heard, 15);
    fed.hear(Priority::Heard, 20);
    fed.answer(3);
    fed.hear(Priority::Heard, 2);
    fed.hear(Priority::Quiet, 1);
    fed.answer(3);
    let priorities = fed.priorities();
    assert_eq!(priorities[15..20], [Priority::Heard; 5]);
    assert_eq!(priorities[20..38], [Priority::Turn; 18]);
    assert_eq!(priorities[38..], [Priority::Quiet, Priority::Turn]);
    let turns: Vec<u64> = fed.context.chunks.iter().skip(35).map(|chunk| chunk.turn).collect();
    assert_eq!(turns, [1, 2, 2, 0, 2]);
}

#[test]
fn recent_only_drops_the_oldest_chunks() {
    let mut fed = Fed::new(46);
    fed.hear(Priority::Heard, 20);
    fed.answer(10);
    fed.hear(Priority::Quiet, 100);
    let trim = fed.trim("recent_only", 121 * ROWS).unwrap();
    let seconds = fed.seconds();
    assert!(seconds.windows(2).all(|pair| (pair[1] - pair[0] - 0.4).abs() < 1e-9) && seconds[0] > 8.4);
    assert_eq!(trim.kept.len(), 2, "the prompt and one stretch");
    assert_eq!(trim.dropped_chunks, 121 - seconds.len() as u64);
}

#[test]
fn trimming_keeps_three_quarters_and_the_prompt() {
    for window in [512, 1_024, 2_048, 4_096] {
        let mut fed = Fed::new(100);
        let mut trims = 0;
        for n in 0..3_000 {
            if fed.context.positions() + ROWS > window {
                let trim = fed.trim("keep_replies", window).unwrap();
                assert_eq!(trim.kept[0].start, 0);
                assert!(trim.kept[0].end >= 146, "{:?}", trim.kept[0]);
                assert!(fed.context.positions() + ROWS <= window);
                assert!(window < 2_048 || fed.context.positions() <= window * 3 / 4);
                trims += 1;
            }
            if n % 40 == 39 { fed.answer(20) } else { fed.hear(if n % 3 == 0 { Priority::Quiet } else { Priority::Heard }, 1) }
        }
        println!("{window}: {trims} trims in 20 minutes");
        assert!(trims > 0 && (window < 2_048 || trims < 3_000 * ROWS * 5 / window), "{window}: {trims}");
    }
}

#[test]
fn the_first_sound_outlives_hours_of_chatter() {
    let mut fed = Fed::new(0);
    fed.hear(Priority::Quiet, 30);
    fed.hear(Priority::Heard, 8);
    for _ in 0..20_000 {
        if fed.context.positions() + ROWS > 2_048 {
            fed.trim("keep_replies", 2_048).unwrap();
        }
        fed.hear(Priority::Heard, 1);
    }
    let first: Vec<f64> = fed.seconds()[..8].to_vec();
    assert!((first[0] - 0.4 * 31.0).abs() < 1e-9 && (first[7] - 0.4 * 38.0).abs() < 1e-9, "{first:?}");
}

#[test]
fn a_reply_that_fills_the_window_leaves_no_room() {
    let mut fed = Fed::new(0);
    fed.hear(Priority::Heard, 3);
    fed.answer(600);
    assert!(fed.context.clone().make_room(ContextPolicy::KeepReplies, 512, 1).is_none());
    assert!(fed.context.make_room(ContextPolicy::KeepReplies, 2_048, 1).is_some());
}

#[test]
fn the_reference_is_a_policy() {
    assert_eq!(ContextPolicy::Reference.resets(), [ResetTrigger::AfterReply, ResetTrigger::AtPosition(1_500)]);
}

/// Random tokens and decisions in random order: the positions counted are those fed minus those dropped.
#[test]
fn positions_are_counted_right_for_random_decisions() {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut draw = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    for round in 0..60 {
        let window = 400 + draw(3_000) as usize;
        let policy = ContextPolicy::ALL[draw(ContextPolicy::ALL.len() as u64) as usize];
        let catch_up = if draw(2) == 0 { CatchUp::Drain } else { CatchUp::EveryChunk };
        let config = LaneConfig { catch_up, eagerness: 0.0, reply_limit: 1 + draw(200) as usize, on_loop: OnLoop::Stop };
        let mut lane = Lane::new(config, TokenIds::RELEASE, vec![1; draw(60) as usize]);
        let mut context = Context::new(draw(100) as usize);
        let (mut positions, mut next) = (context.positions(), 0);
        for _ in 0..800 {
            let priorities = [Priority::Quiet, Priority::Heard];
            let waiting: Vec<ChunkMeta> = (next..next + draw(7))
                .map(|n| ChunkMeta {
                    chunk: ChunkIdx(n),
                    at: StreamTime::from_samples((n + 1) * 6_400),
                    ask: if draw(5) == 0 { Ask::Forced } else { Ask::Decide },
                    priority: priorities[draw(2) as usize],
                    follows: Follows::Chunk,
                })
                .collect();
            let Some(plan) = lane.plan(&waiting, draw(130) as usize) else { continue };
            if positions + plan.rows() > window {
                if let Some(trim) = context.make_room(policy, window, plan.rows()) {
                    positions = trim.kept.iter().map(ExactSizeIterator::len).sum();
                    assert!(positions + plan.rows() <= window);
                } else {
                    lane.cut(crate::protocol::StopReason::Limit);
                    lane.restart(vec![1; 20]);
                    context = Context::new(30);
                    positions = 30;
                    continue;
                }
            }
            positions += plan.rows();
            next = plan.last_chunk().map_or(next, |last| last.0 + 1);
            context.feed(&plan);
            if plan.goal == crate::lane::Goal::Decide {
                let decisions: Vec<Decision> =
                    plan.reads.iter().map(|_| Decision { silent: 1.0, respond: draw(5) as f32 / 2.0 - 0.5 }).collect();
                lane.heard(&plan, &decisions);
                if lane.is_speaking() {
                    context.answer();
                }
            } else {
                let token = if draw(20) == 0 { TokenIds::RELEASE.text_end } else { draw(152_000) as u32 };
                lane.spoke(&plan, (!plan.reads.is_empty()).then_some(token));
            }
            if draw(50) == 0 {
                lane.cut(crate::protocol::StopReason::Cut);
            }
            assert_eq!(context.positions(), positions, "round {round}");
        }
    }
}
