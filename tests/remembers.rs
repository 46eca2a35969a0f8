//! An instruction at the start of a lane is still followed after hours of chatter and silence: the starter, instruction to translate, in a
//! live session with gate, encoder and a context window of one minute.
//!
//! `HEARKEN_REMEMBERS_HOURS=2 cargo test --test remembers -- --nocapture` is the long run. Speech comes from espeak-ng.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use std::io::Cursor;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;
use hearken::audio::file::FileSource;
use hearken::audio::{Source, SourceEvent};
use hearken::config::{Cli, FileSpeed, Paths, Request, Settings, Stdout};
use hearken::engine::start_hearing;
use hearken::error::Result;
use hearken::model::starter_phrases::starter;
use hearken::protocol::{Event, ModelChoice, Speak};
use hearken::time::SAMPLE_RATE_HZ;

const SECOND: usize = SAMPLE_RATE_HZ as usize;
/// Silence after a question, for the answer.
const ANSWER_SECS: usize = 8;
const VOICES: [&str; 3] = ["en-us", "en-gb", "en-us+f3"];

/// Returns `text` as espeak-ng speaks it.
fn speech(text: &str, voice: &str) -> Vec<f32> {
    let spoken = Command::new("espeak-ng").args(["-v", voice, "-s", "150", "--stdout", text]).output();
    let spoken = spoken.expect("espeak-ng is installed").stdout;
    let mut source = FileSource::stream(Cursor::new(spoken), "espeak-ng", None).unwrap();
    let mut samples = Vec::new();
    while !matches!(source.next(&mut samples).unwrap(), SourceEvent::End) {}
    samples
}

/// A source that generates a day's sound while it is heard.
struct Day {
    /// The sound to come, scene by scene.
    scenes: Box<dyn Iterator<Item = Vec<f32>> + Send>,
    noise: u64,
}

impl Source for Day {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        let Some(mut scene) = self.scenes.next() else { return Ok(SourceEvent::End) };
        for sample in &mut scene {
            self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *sample += ((self.noise >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * 1e-4;
        }
        out.extend(&scene);
        Ok(SourceEvent::Samples(scene.len()))
    }

    fn name(&self) -> String {
        "a day".into()
    }
}

fn settings(home: &Path, instruction: Instruction) -> Settings {
    let paths = Paths::inside(home);
    let mut settings = match Cli::try_parse_from(["hearken"]).unwrap().request(&paths, Stdout::Redirected).unwrap() {
        Request::Window(settings) => *settings,
        other => panic!("{other:?}"),
    };
    settings.model = ModelChoice::Dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter"));
    settings.modes_on = vec![if instruction == Instruction::Translate { "translate" } else { "dialog" }.into()];
    settings.gate = true;
    settings.voice.speak = Speak::Asked;
    settings
}

/// Returns a scene of chatter: known words in random order and at random levels, then a pause, sometimes a long one.
fn chatter(said: &[Vec<f32>], draw: &mut impl FnMut(usize) -> usize) -> Vec<f32> {
    let mut scene = Vec::new();
    let level = 0.3 + 0.1 * draw(6) as f32;
    for _ in 0..1 + draw(3) {
        scene.extend(said[draw(said.len())].iter().map(|x| x * level));
        scene.resize(scene.len() + SECOND / 4, 0.0);
    }
    let pause = if draw(12) == 0 { 120 + draw(120) } else { 3 + draw(12) };
    scene.resize(scene.len() + pause * SECOND, 0.0);
    scene
}

/// The instruction at the start of the lane.
#[derive(Clone, Copy, PartialEq)]
enum Instruction {
    None,
    Translate,
}

/// Returns the answers to `questions` after this many hours of chatter and silence, and the number of context trims before them.
fn answers(instruction: Instruction, hours: f64, questions: &[Vec<f32>], said: &[Vec<f32>]) -> (Vec<String>, usize) {
    let until = (hours * 3_600.0) as usize * SECOND;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (note, said, mut questions_left) = (Arc::clone(&asked), said.to_vec(), Vec::from(questions).into_iter());
    let (mut at, mut begun, mut random) = (0usize, false, 0x9e37_79b9_7f4a_7c15u64);
    let mut draw = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        ((random >> 11) % below as u64) as usize
    };
    let scenes = std::iter::from_fn(move || {
        let scene = if !std::mem::replace(&mut begun, true) {
            vec![0.0; 4 * SECOND]
        } else if at < until {
            chatter(&said, &mut draw)
        } else {
            let mut scene = questions_left.next()?;
            note.lock().unwrap_or_else(PoisonError::into_inner).push(at as f64 / SECOND as f64);
            scene.resize(scene.len() + ANSWER_SECS * SECOND, 0.0);
            scene
        };
        at += scene.len();
        Some(scene)
    });
    let home = tempfile::tempdir().unwrap();
    let day = Box::new(Day { scenes: Box::new(scenes), noise: 1 });
    let engine = start_hearing(settings(home.path(), instruction), day, FileSpeed::Unthrottled).unwrap();
    let (mut replies, mut trims, mut end) = (Vec::new(), Vec::new(), 0.0);
    for event in engine.events() {
        match event {
            Event::ReplyFinished { from_secs, text, .. } => replies.push((from_secs.secs(), text)),
            Event::ContextTrimmed { at, .. } => trims.push(at.secs()),
            Event::Problem { message, .. } => panic!("{message}"),
            Event::SessionFinished { at, .. } => end = at.secs(),
            _ => {}
        }
    }
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), questions.len());
    let ends = asked.iter().skip(1).copied().chain([end]);
    let within = |from: f64, to: f64| -> String {
        replies.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" ")
    };
    let trims = trims.iter().filter(|at| **at < asked[0]).count();
    println!("{hours:.2} hours: {} replies, {trims} context trims before the questions", replies.len());
    (asked.iter().zip(ends).map(|(from, to)| within(*from, to)).collect(), trims)
}

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..'\u{a000}').contains(&c))
}

#[test]
fn an_initial_instruction_is_followed_after_hours_of_chatter_and_silence() {
    let hours = std::env::var("HEARKEN_REMEMBERS_HOURS").ok().and_then(|hours| hours.parse().ok()).unwrap_or(0.1);
    // Enough that one in twenty is significant.
    let count = 40;
    let say = |texts: &mut dyn Iterator<Item = &str>| -> Vec<Vec<f32>> {
        texts.enumerate().map(|(n, text)| speech(text, VOICES[n % VOICES.len()])).collect()
    };
    let questions = say(&mut starter().phrases.iter().map(|phrase| phrase.say.as_str()).take(count));
    let said = say(&mut starter().vocabulary.iter().map(String::as_str).step_by(4));
    let chinese = |answers: &[String]| answers.iter().filter(|answer| is_chinese(answer)).count();
    // Without the instruction nothing is translated: the control.
    let (untold, _) = answers(Instruction::None, 0.0, &questions, &said);
    let (at_once, _) = answers(Instruction::Translate, 0.0, &questions, &said);
    let (later, trims) = answers(Instruction::Translate, hours, &questions, &said);
    println!("{}, {} and {} of {count} are answered in Chinese", chinese(&untold), chinese(&at_once), chinese(&later));
    let same = at_once.iter().zip(&later).filter(|(a, b)| a == b).count();
    println!("{same} of {count} answers are the same as right after the instruction");
    assert_eq!(chinese(&untold), 0, "{untold:?}");
    assert!(chinese(&at_once) * 4 > count * 3, "the starter follows the instruction at all: {at_once:?}");
    assert!(trims >= 3, "{trims} context trims");
    // Among the answers that are translated right after the instruction.
    let kept = at_once.iter().zip(&later).filter(|(a, b)| is_chinese(a) && is_chinese(b)).count();
    assert!(kept as f64 >= 0.95 * chinese(&at_once) as f64, "{kept} of {}: {later:?}", chinese(&at_once));
}
