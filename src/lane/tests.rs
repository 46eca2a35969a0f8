//! The state machine, step by step.

use super::*;

fn config(catch_up: CatchUp) -> LaneConfig {
    LaneConfig { catch_up, eagerness: 0.0, reply_limit: 8, on_loop: OnLoop::Stop }
}

fn lane(catch_up: CatchUp) -> Lane {
    Lane::new(config(catch_up), TokenIds::RELEASE, vec![1, 2, 3])
}

fn chunk(n: u64, ask: Ask) -> ChunkMeta {
    ChunkMeta { chunk: ChunkIdx(n), at: StreamTime::from_samples((n + 1) * 6_400), ask, priority: Priority::Heard, follows: Follows::Chunk }
}

fn asks(range: std::ops::Range<u64>) -> Vec<ChunkMeta> {
    range.map(|n| chunk(n, Ask::Decide)).collect()
}

const NO: Decision = Decision { silent: 1.0, respond: 0.0 };
const YES: Decision = Decision { silent: 0.0, respond: 1.0 };

fn feed(lane: &mut Lane, waiting: &[ChunkMeta], decisions: &[Decision]) -> Vec<LaneEvent> {
    let plan = lane.plan(waiting, 64).expect("a plan");
    assert_eq!(plan.reads.len(), decisions.len());
    lane.heard(&plan, decisions).into_vec()
}

fn speak(lane: &mut Lane, token: u32) -> Vec<LaneEvent> {
    let plan = lane.plan(&[], 64).expect("a plan");
    assert_eq!((plan.goal, plan.rows(), plan.reads.len()), (Goal::Speak, 1, 1));
    lane.spoke(&plan, Some(token)).into_vec()
}

#[test]
fn the_prompt_is_fed_with_the_first_chunk_and_silent_with_the_next() {
    let mut lane = lane(CatchUp::Drain);
    let plan = lane.plan(&asks(0..1), 64).unwrap();
    assert_eq!((plan.rows(), &plan.reads[..]), (15, &[14][..]));
    lane.heard(&plan, &[NO]);
    let plan = lane.plan(&asks(1..2), 64).unwrap();
    assert_eq!(plan.rows(), 13);
    assert_eq!(plan.items[0], Item::Token(TokenIds::RELEASE.keep_silence));
}

#[test]
fn a_reply_starts_with_its_emotion_and_ends_with_the_text() {
    let mut lane = lane(CatchUp::Drain);
    assert!(matches!(feed(&mut lane, &asks(0..1), &[YES])[0], LaneEvent::Decided { choice: Choice::Respond, .. }));
    assert!(lane.is_speaking());
    let started = speak(&mut lane, 151_619);
    assert!(matches!(started[..], [LaneEvent::Started { chunk: ChunkIdx(0), emotion: Some(Emotion::Urgent), .. }]));
    assert_eq!(speak(&mut lane, 77), [LaneEvent::Token(77)]);
    assert_eq!(speak(&mut lane, 151_643), [LaneEvent::Finished(StopReason::End)]);
    let plan = lane.plan(&asks(1..2), 64).unwrap();
    assert_eq!(plan.items[0], Item::Token(151_643), "TEXT_END is fed with the next chunk");
}

#[test]
fn a_replying_lane_feeds_its_pending_tokens_and_reads_the_last_row() {
    let at = StreamTime::from_samples(320_000);
    let mut lane = Lane::replying(config(CatchUp::EveryChunk), TokenIds::RELEASE, vec![151_602, 151_644], at);
    let plan = lane.plan(&[], usize::MAX).unwrap();
    assert_eq!((plan.goal, &plan.items[..], &plan.reads[..]), (Goal::Speak, &[Item::Token(151_602), Item::Token(151_644)][..], &[1][..]));
    let events = lane.spoke(&plan, Some(151_618));
    assert_eq!(events[..], [LaneEvent::Started { chunk: ChunkIdx(0), at, emotion: Some(Emotion::Normal) }]);
    assert_eq!(speak(&mut lane, 77), [LaneEvent::Token(77)]);
    assert_eq!(speak(&mut lane, 151_643), [LaneEvent::Finished(StopReason::End)]);
}

#[test]
fn a_reply_without_an_emotion_starts_with_its_text() {
    let mut lane = lane(CatchUp::Drain);
    feed(&mut lane, &asks(0..1), &[YES]);
    let events = speak(&mut lane, 77);
    assert!(matches!(events[..], [LaneEvent::Started { emotion: None, .. }, LaneEvent::Token(77)]), "{events:?}");
}

#[test]
fn a_reply_is_cut_at_its_limit_and_when_it_loops() {
    let mut lane = lane(CatchUp::Drain);
    feed(&mut lane, &asks(0..1), &[YES]);
    let stops: Vec<LaneEvent> = (0..8).flat_map(|n| speak(&mut lane, n)).filter(|s| matches!(s, LaneEvent::Finished(_))).collect();
    assert_eq!(stops, [LaneEvent::Finished(StopReason::Limit)]);
    assert_eq!(lane.plan(&asks(1..2), 64).unwrap().items[..2], [Item::Token(7), Item::Token(151_643)]);

    lane.config.reply_limit = 512;
    feed(&mut lane, &asks(1..2), &[YES]);
    let mut spoken = 0;
    while lane.is_speaking() {
        speak(&mut lane, 9);
        spoken += 1;
    }
    assert_eq!(spoken, 24);
}

#[test]
fn a_speaking_lane_takes_no_chunks() {
    let mut lane = lane(CatchUp::EveryChunk);
    feed(&mut lane, &asks(0..1), &[YES]);
    let plan = lane.plan(&asks(1..9), 64).unwrap();
    assert_eq!((plan.goal, plan.chunks()), (Goal::Speak, 0));
}

#[test]
fn dialog_drains_waiting_chunks_and_decides_at_the_last() {
    let mut lane = lane(CatchUp::Drain);
    feed(&mut lane, &asks(0..1), &[NO]);
    let events = feed(&mut lane, &asks(1..7), &[NO, NO, NO, NO]);
    assert!(
        events.iter().all(|s| matches!(s, LaneEvent::Decided { choice: Choice::Drained, .. })),
        "two more chunks wait, so none of these four decides"
    );
    let events = feed(&mut lane, &asks(5..7), &[NO, YES]);
    assert!(matches!(events[1], LaneEvent::Decided { chunk: ChunkIdx(6), choice: Choice::Respond, .. }));
}

#[test]
fn a_question_that_ended_while_draining_is_answered_for_1_2_seconds() {
    for (asked_at, answered) in [(3, Choice::Respond), (2, Choice::Silent)] {
        let mut lane = lane(CatchUp::Drain);
        feed(&mut lane, &asks(0..1), &[NO]);
        let decision_on = |n: u64| if n == asked_at { YES } else { NO };
        feed(&mut lane, &asks(1..7), &[decision_on(1), decision_on(2), decision_on(3), decision_on(4)]);
        let events = feed(&mut lane, &asks(5..7), &[NO, NO]);
        assert!(matches!(events[1], LaneEvent::Decided { choice, .. } if choice == answered), "asked at {asked_at}: {events:?}");
    }
}

#[test]
fn modes_that_do_not_drain_decide_at_every_chunk() {
    let mut lane = lane(CatchUp::EveryChunk);
    for n in 0..3 {
        let events = feed(&mut lane, &asks(n..9), &[NO]);
        assert!(matches!(events[..], [LaneEvent::Decided { chunk, choice: Choice::Silent, .. }] if chunk == ChunkIdx(n)));
    }
}

#[test]
fn forced_chunks_are_fed_with_the_next_chunk_and_not_decided_on() {
    for catch_up in [CatchUp::Drain, CatchUp::EveryChunk] {
        let mut lane = lane(catch_up);
        let waiting = [chunk(0, Ask::Forced), chunk(1, Ask::Forced), chunk(2, Ask::Decide)];
        let plan = lane.plan(&waiting, 64).unwrap();
        assert_eq!((plan.rows(), &plan.reads[..]), (3 + 12 + 13 + 13, &[40][..]));
        assert_eq!(lane.heard(&plan, &[NO]).len(), 1);
    }
}

#[test]
fn a_plan_stays_within_its_rows() {
    let mut lane = lane(CatchUp::Drain);
    assert!(lane.plan(&asks(0..9), 14).is_none(), "the prompt and a chunk need 15 rows");
    feed(&mut lane, &asks(0..1), &[NO]);
    assert_eq!(lane.plan(&asks(1..9), 27).unwrap().rows(), 26);
    assert_eq!(lane.plan(&asks(1..9), 1_000).unwrap().chunks(), CHUNKS_PER_PASS);
    assert!(lane.plan(&[], 64).is_none());
}

#[test]
fn eagerness_changes_the_decision_and_not_the_margin() {
    let mut lane = lane(CatchUp::Drain);
    lane.set_eagerness(2.0);
    let events = feed(&mut lane, &asks(0..1), &[NO]);
    assert!(matches!(events[0], LaneEvent::Decided { choice: Choice::Respond, margin, .. } if margin == -1.0));
}

#[test]
fn a_cut_reply_is_fed_with_text_end() {
    let mut lane = lane(CatchUp::Drain);
    assert!(lane.cut(StopReason::Cut).is_empty());
    feed(&mut lane, &asks(0..1), &[YES]);
    speak(&mut lane, 77);
    assert_eq!(lane.cut(StopReason::Cut)[..], [LaneEvent::Finished(StopReason::Cut)]);
    assert_eq!(lane.plan(&asks(1..2), 64).unwrap().items[..2], [Item::Token(77), Item::Token(151_643)]);
}

#[test]
fn a_restarted_lane_listens_from_its_prompt() {
    let mut lane = lane(CatchUp::EveryChunk);
    feed(&mut lane, &asks(0..1), &[YES]);
    speak(&mut lane, 77);
    lane.restart(vec![4, 5]);
    assert!(!lane.is_speaking());
    assert_eq!(lane.plan(&asks(1..2), 64).unwrap().items[..3], [Item::Token(4), Item::Token(5), Item::Token(151_647)]);
}
