//! Compares the table of `src/protocol/README.md` "Event format" with the events of `protocol`.

#![allow(clippy::expect_used, clippy::panic, reason = "a helper of a test fails as a test does")]

use std::collections::{BTreeMap, BTreeSet};

use hearken::error::{Error, ErrorKind, Remedy};
use hearken::protocol::{Emotion, Event, GapCause, ModelChoice, PROTOCOL, ReplyId, Severity, StopReason};
use hearken::time::{ChunkIdx, StreamTime};
use serde::Serialize;
use serde_json::Value;

/// The row of the table about one event.
#[derive(Debug, Default, PartialEq)]
struct Row {
    always: BTreeSet<String>,
    optional: BTreeSet<String>,
    /// Values listed in parentheses after a field.
    values: BTreeMap<String, Vec<String>>,
}

const EMOTIONS: [Emotion; 6] = [Emotion::Happy, Emotion::Sad, Emotion::Angry, Emotion::Surprise, Emotion::Normal, Emotion::Urgent];
const STOPS: [StopReason; 4] = [StopReason::End, StopReason::Limit, StopReason::Loop, StopReason::Cut];
const CAUSES: [GapCause; 6] =
    [GapCause::Overrun, GapCause::Overload, GapCause::DeviceLost, GapCause::Zeros, GapCause::Suspended, GapCause::Stopped];
const SEVERITIES: [Severity; 2] = [Severity::Warning, Severity::Error];

#[test]
fn the_table_lists_every_event_with_exactly_its_fields() {
    let rows = readme_rows();
    let examples = examples();
    for event in &examples {
        let full = object(event);
        let name = full["type"].as_str().expect("a type");
        let row = rows.get(name).unwrap_or_else(|| panic!("the table does not list `{name}`"));
        let fields: BTreeSet<String> = full.keys().filter(|key| *key != "type" && *key != "at").cloned().collect();
        let listed: BTreeSet<String> = row.always.union(&row.optional).cloned().collect();
        assert_eq!(fields, listed, "fields of `{name}`");
        let bare: BTreeSet<String> = object(&without_options(event)).keys().filter(|key| *key != "type" && *key != "at").cloned().collect();
        assert_eq!(bare, row.always, "required fields of `{name}`");
        assert!(full.contains_key("at"), "`{name}` has a time");
    }
    let known: BTreeSet<String> = examples.iter().map(|event| object(event)["type"].as_str().expect("a type").to_owned()).collect();
    let listed: BTreeSet<String> = rows.into_keys().collect();
    assert_eq!(listed, known, "events of the table and of the code");
}

#[test]
fn the_table_lists_every_value_of_an_enumerated_field() {
    let rows = readme_rows();
    let values = |event: &str, field: &str| rows[event].values[field].clone();
    assert_eq!(values("reply_started", "emotion"), names(&EMOTIONS));
    assert_eq!(values("reply_finished", "stop"), names(&STOPS));
    assert_eq!(values("audio_gap", "cause"), names(&CAUSES));
    assert_eq!(values("problem", "severity"), names(&SEVERITIES));
}

#[test]
fn every_event_is_read_back_unchanged() {
    for event in examples().iter().flat_map(|event| [event.clone(), without_options(event)]) {
        let line = serde_json::to_string(&event).expect("JSON");
        assert!(!line.contains('\n'), "one line");
        assert_eq!(serde_json::from_str::<Event>(&line).expect(&line), event);
    }
}

#[test]
fn an_event_with_an_unknown_field_is_refused() {
    for event in examples() {
        let mut object = object(&event);
        object.insert("surprise_field".to_owned(), Value::Null);
        assert!(serde_json::from_value::<Event>(Value::Object(object)).is_err(), "{event:?}");
    }
}

/// Returns one example of each event, with every optional field set.
fn examples() -> Vec<Event> {
    let at = StreamTime::from_samples(6_400);
    let (chunk, reply, mode, text) = (ChunkIdx(1), ReplyId(1), || "dialog".to_owned(), || "text".to_owned());
    let modes = vec![mode()];
    let examples = vec![
        Event::SessionStarted { at, protocol: PROTOCOL, model: text(), source: text(), modes: modes.clone(), started_utc: Some(text()) },
        Event::Decision { at, chunk, mode: mode(), silent: true, drained: false, margin: Some(-1.5) },
        Event::ReplyStarted { at, reply, chunk, mode: mode(), emotion: Some(Emotion::Urgent) },
        Event::ReplyText { at, reply, mode: mode(), text: text() },
        Event::ReplyFinished { at, reply, mode: mode(), text: text(), from_secs: at, to_secs: at, stop: StopReason::End },
        Event::Sound { at, reply, name: text(), count: 2 },
        Event::VoiceStarted { at, reply },
        Event::VoiceFinished { at, reply, cut: true },
        Event::Gate { at, open: true, level_dbfs: -30.5 },
        Event::Paused { at },
        Event::Resumed { at },
        Event::ModesChanged { at, modes },
        Event::ModelChanged { at, model: text(), choice: Some(ModelChoice::Starter) },
        Event::ModelFailed { at, choice: ModelChoice::Dir("folder".into()), model: text() },
        Event::ContextTrimmed { at, mode: mode(), dropped_chunks: 3, positions: 1_500 },
        Event::AudioGap { at, from_secs: at, samples: 5, cause: GapCause::Overrun },
        Event::InputChanged { at, device: text(), rate_hz: 48_000, channels: 2 },
        Event::InputLost { at },
        Event::InputSilent { at, device: text() },
        Event::InputAudible { at },
        Event::NotUnderstood { at, from_secs: at, to_secs: at },
        Event::problem(at, Severity::Warning, &Error::new(ErrorKind::Output, text()).with_remedy(Remedy::FreeDisk)),
        Event::Timing { at, chunk, mel_ms: 0.5, encode_ms: 1.5, decode_ms: 2.5, lag_ms: 3.5 },
        Event::SessionFinished { at, chunks: 1, replies: 1, audio_secs: 0.4, problems: 0 },
    ];
    let places: BTreeSet<usize> = examples.iter().map(place).collect();
    assert_eq!(places, (0..24).collect(), "one example of each event");
    examples
}

/// Returns a number for each kind of event. Without an arm `_`, so that a new event does not compile until it is listed here.
const fn place(event: &Event) -> usize {
    match event {
        Event::SessionStarted { .. } => 0,
        Event::Decision { .. } => 1,
        Event::ReplyStarted { .. } => 2,
        Event::ReplyText { .. } => 3,
        Event::ReplyFinished { .. } => 4,
        Event::Sound { .. } => 5,
        Event::Gate { .. } => 6,
        Event::Paused { .. } => 7,
        Event::Resumed { .. } => 8,
        Event::ModesChanged { .. } => 9,
        Event::ModelChanged { .. } => 10,
        Event::ContextTrimmed { .. } => 11,
        Event::AudioGap { .. } => 12,
        Event::InputChanged { .. } => 13,
        Event::Problem { .. } => 14,
        Event::Timing { .. } => 15,
        Event::SessionFinished { .. } => 16,
        Event::VoiceStarted { .. } => 17,
        Event::VoiceFinished { .. } => 18,
        Event::InputLost { .. } => 19,
        Event::ModelFailed { .. } => 20,
        Event::InputSilent { .. } => 21,
        Event::InputAudible { .. } => 22,
        Event::NotUnderstood { .. } => 23,
    }
}

fn without_options(event: &Event) -> Event {
    let mut event = event.clone();
    match &mut event {
        Event::SessionStarted { started_utc, .. } => *started_utc = None,
        Event::Decision { margin, .. } => *margin = None,
        Event::ReplyStarted { emotion, .. } => *emotion = None,
        Event::Problem { remedy, .. } => *remedy = None,
        Event::ModelChanged { choice, .. } => *choice = None,
        _ => {}
    }
    event
}

fn object(event: &Event) -> serde_json::Map<String, Value> {
    match serde_json::to_value(event).expect("JSON") {
        Value::Object(object) => object,
        other => panic!("an event is an object, not {other}"),
    }
}

fn names<T: Serialize>(values: &[T]) -> Vec<String> {
    values.iter().map(|value| serde_json::to_value(value).expect("JSON").as_str().expect("a name").to_owned()).collect()
}

/// The table of `src/protocol/README.md` "Event format".
fn readme_rows() -> BTreeMap<String, Row> {
    let readme = include_str!("../src/protocol/README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with("Event format")).expect("the section");
    let mut rows = BTreeMap::new();
    for line in section.lines().filter(|line| line.starts_with("| `") && !line.starts_with("| `type`")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{line}");
        assert!(rows.insert(cells[0].trim_matches('`').to_owned(), read_row(cells[1])).is_none(), "{line} is listed twice");
    }
    rows
}

/// Parses a cell of the form ``` `a`, `b`? (`x`, `y`) ```.
fn read_row(cell: &str) -> Row {
    let mut row = Row::default();
    let (mut inside, mut last) = (false, String::new());
    let pieces: Vec<&str> = cell.split('`').collect();
    for (number, piece) in pieces.iter().enumerate() {
        if number % 2 == 0 {
            inside = if piece.contains('(') && !piece.contains(')') { true } else { inside && !piece.contains(')') };
        } else if inside {
            row.values.entry(last.clone()).or_default().push((*piece).to_owned());
        } else {
            last = (*piece).to_owned();
            let optional = pieces.get(number + 1).is_some_and(|next| next.starts_with('?'));
            if optional { &mut row.optional } else { &mut row.always }.insert(last.clone());
        }
    }
    row
}
