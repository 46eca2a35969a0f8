//! The whole way: replies that come back through a room and must not be answered, and a session that speaks, is spoken over
//! and falls silent.
// A build without a voice has nothing to say here.
#![cfg(feature = "voice")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod rooms;

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use hearken::audio::paced::Paced;
use hearken::audio::playback::room::{Room, Walls, stage};
use hearken::audio::scripted::{Line, ScriptedSource};
use hearken::config::{Cli, Pace, Paths, Request, Settings, Stdout};
use hearken::engine::{EngineHandle, Stage, start_hearing, start_on};
use hearken::protocol::{Command, Event, ReplyId, VoiceConduct};
use hearken::speech::system_voices;
use rooms::{INTERRUPTIONS, RATE, REPLIES, Random, Rig, at_level, level, spoken, talk};

/// Rooms, and seconds of replies in each.
const ROOMS: u64 = 6;
const SECS: f32 = 30.0;

fn settings(home: &Path, more: &[&str]) -> Settings {
    let paths = Paths { config: home.join("config"), cache: home.join("cache"), data: home.join("data") };
    let typed = ["hearken", "listen", "--gate", "on", "--modes", "dialog"].iter().chain(more).chain(&["-"]);
    match Cli::try_parse_from(typed).unwrap().request(&paths, Stdout::Redirected).unwrap() {
        Request::Listen { settings, .. } => *settings,
        other => panic!("{other:?}"),
    }
}

/// The replies of the starter to what it hears.
fn replies_to(samples: Vec<f32>) -> usize {
    let home = tempfile::tempdir().unwrap();
    let source = ScriptedSource::new("a room", [Line::Samples(samples)]);
    let engine = start_hearing(settings(home.path(), &[]), Box::new(source), Pace::Unthrottled).unwrap();
    engine.events().iter().filter(|event| matches!(event, Event::ReplyStarted { .. })).count()
}

#[test]
fn its_own_replies_that_come_back_through_a_room_are_not_answered() {
    let mut random = Random(5);
    let (mut with, mut without) = (0, 0);
    for room in 0..ROOMS {
        let walls = Walls {
            seed: room + 1,
            delay_ms: random.between(5.0, 300.0),
            gain_db: random.between(-15.0, 0.0),
            drive: if room % 3 == 1 { 0.4 } else { 0.0 },
            drift_ppm: if room % 3 == 2 { 50.0 } else { 0.0 },
            ..Walls::default()
        };
        let mut rig = Rig::new(walls, VoiceConduct::default());
        rig.play(&talk(SECS, room as usize), &[], SECS);
        assert!(rig.interruptions.is_empty(), "and its own voice cuts nothing: {walls:?}");
        with += replies_to(rig.clean);
        without += replies_to(rig.raw);
    }
    println!(
        "{:.0} s of its own replies through {ROOMS} rooms: {with} answered with the canceller, {without} without",
        SECS * ROOMS as f32
    );
    assert_eq!(with, 0);
}

/// A session in a computed room, in which `near` is said; it speaks with the system's voice.
fn session(near: Vec<f32>, home: &Path) -> EngineHandle {
    let (output, microphone) = stage(Room::new(Walls::default()), near);
    let stage = Stage { output: Box::new(output), voices: system_voices() };
    let mut settings = settings(home, &["--speak"]);
    settings.save_audio = Some(home.join("heard.wav"));
    start_on(settings, Box::new(Paced::new(microphone)), Pace::Realtime, stage).unwrap()
}

/// Events until `wanted` comes.
fn until(engine: &EngineHandle, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let (begun, mut events) = (Instant::now(), Vec::new());
    while begun.elapsed() < Duration::from_secs(30) {
        if let Ok(event) = engine.events().recv_timeout(Duration::from_millis(100)) {
            let found = wanted(&event);
            events.push(event);
            if found {
                return events;
            }
        }
    }
    panic!("it did not come: {events:?}");
}

#[test]
fn a_reply_is_spoken_to_its_end_in_a_silent_room_and_cut_when_somebody_speaks_over_it() {
    let words = at_level(&spoken(INTERRUPTIONS[2], "en+f2", 50), -22.0);
    let silence = |secs: f32| vec![0.0; (secs * RATE as f32) as usize];
    let home = tempfile::tempdir().unwrap();
    // The first reply is said from about 2 s on, the second from 14 s on, and spoken over at 17 s.
    let near = [silence(17.0), words.clone(), silence(5.0)].concat();
    let engine = session(near, home.path());
    let say = |reply: u64, text: &str| assert!(engine.send(Command::Say { reply: ReplyId(reply), text: text.into(), emotion: None }));
    let finished = |event: &Event| matches!(event, Event::VoiceFinished { .. });
    until(&engine, |event| event.at().secs() >= 1.6 || matches!(event, Event::Gate { .. }));
    say(101, REPLIES[0]);
    let events = until(&engine, finished);
    assert!(matches!(events.last(), Some(Event::VoiceFinished { reply: ReplyId(101), cut: false, .. })), "{events:?}");
    say(102, &REPLIES[1..].join(" "));
    let begun = Instant::now();
    let events = until(&engine, finished);
    let Some(Event::VoiceFinished { reply: ReplyId(102), cut: true, .. }) = events.last() else { panic!("{events:?}") };
    println!("cut after {:?} of speaking", begun.elapsed());
    engine.send(Command::Shutdown);
    drop(engine);
    let heard: Vec<f32> = hound::WavReader::open(home.path().join("heard.wav")).unwrap().samples::<f32>().map(Result::unwrap).collect();
    let echo = level(&heard[6 * RATE..8 * RATE]);
    println!("its own voice as the model hears it: {echo:.1} dBFS");
    assert!(echo < -50.0, "{echo}");
}

#[test]
fn the_key_and_the_button_silence_it_at_once() {
    let home = tempfile::tempdir().unwrap();
    let engine = session(vec![0.0; 20 * RATE], home.path());
    assert!(engine.send(Command::Say { reply: ReplyId(7), text: REPLIES.join(" "), emotion: None }));
    until(&engine, |event| matches!(event, Event::VoiceStarted { reply: ReplyId(7), .. }));
    std::thread::sleep(Duration::from_millis(700));
    let begun = Instant::now();
    engine.send(Command::CutReply);
    until(&engine, |event| matches!(event, Event::VoiceFinished { reply: ReplyId(7), cut: true, .. }));
    println!("silent after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_millis(1_000));
    engine.send(Command::Shutdown);
}
