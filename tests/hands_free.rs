//! Hands-free sessions with the starter: replies that return through a simulated room must not be answered, and replies are cut by
//! speech or by the user.
// Needs a voice.
#![cfg(feature = "voice")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

mod rooms;

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use hearken::audio::playback::simulated_room::{RoomAcoustics, SimulatedRoom, speaker_and_microphone};
use hearken::audio::realtime::RealtimeSource;
use hearken::audio::scripted::{ScriptStep, ScriptedSource};
use hearken::config::{Cli, FileSpeed, Paths, Request, Settings, Stdout};
use hearken::engine::{EngineHandle, SpeechBackend, start_hearing, start_on};
use hearken::level::dbfs;
use hearken::protocol::{Command, Event, Interrupt, ReplyId, VoiceSettings};
use hearken::speech::{SpeechText, Utterance, Voice, system_voices};
use rooms::{INTERRUPTIONS, RATE, REPLIES, Random, Rig, at_level, spoken, talk};

/// Length of the replies in each room, in seconds.
const SECS: f32 = 30.0;

/// Returns the number of rooms, for three minutes of replies; `HEARKEN_OWN_VOICE_MINUTES=30` is the long run.
fn rooms() -> u64 {
    2 * std::env::var("HEARKEN_OWN_VOICE_MINUTES").ok().and_then(|n| n.parse::<u64>().ok()).unwrap_or(3)
}

fn settings(home: &Path, more: &[&str]) -> Settings {
    let paths = Paths::inside(home);
    let modes = if more.contains(&"--modes") { &[][..] } else { &["--modes", "dialog"] };
    let typed = ["hearken", "listen", "--gate", "on"].iter().chain(modes).chain(more).chain(&["-"]);
    match Cli::try_parse_from(typed).unwrap().request(&paths, Stdout::Redirected).unwrap() {
        Request::Listen { settings, .. } => *settings,
        other => panic!("{other:?}"),
    }
}

/// Returns the number of the starter's replies to `samples`, and prints them.
fn count_replies(samples: Vec<f32>) -> usize {
    let replies = texts_of(samples, "dialog");
    replies.iter().for_each(|text| println!("Hearken answers itself: {text}"));
    replies.len()
}

/// Returns the starter's output in one mode for `samples`.
fn texts_of(samples: Vec<f32>, mode: &str) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let source = ScriptedSource::new("a room", [ScriptStep::Samples(samples)]);
    let engine = start_hearing(settings(home.path(), &["--modes", mode]), Box::new(source), FileSpeed::Unthrottled).unwrap();
    let text = |event| if let Event::ReplyFinished { text, .. } = event { Some(text) } else { None };
    engine.events().iter().filter_map(text).collect()
}

/// Returns the word edit distance.
fn word_errors(heard: &[String], said: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=said.len()).collect();
    for (n, word) in heard.iter().enumerate() {
        let mut before = std::mem::replace(&mut row[0], n + 1);
        for m in 0..said.len() {
            let changed = before + usize::from(*word != said[m]);
            before = row[m + 1];
            row[m + 1] = changed.min(row[m] + 1).min(before + 1);
        }
    }
    row[said.len()]
}

#[test]
fn word_error_rate_over_a_reply_is_at_most_10_points_higher_than_without_one() {
    const SAID: [&str; 12] = [
        "what is your name",
        "what color is the sky",
        "how are you",
        "good morning",
        "tell me a joke",
        "who are you",
        "be quiet please",
        "what can you do",
        "how old are you",
        "where is the key",
        "i am hungry",
        "thank you very much",
    ];
    let plain = |text: &str| text.to_lowercase().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut random = Random(77);
    let (mut alone, mut over, mut words) = (0, 0, 0);
    for (room, said) in (0..).zip(SAID.iter().cycle().take(24)) {
        let acoustics = RoomAcoustics {
            seed: 900 + room,
            delay_ms: random.between(5.0, 300.0),
            gain_db: random.between(-20.0, -3.0),
            drive: if room % 4 == 1 { 0.4 } else { 0.0 },
            drift_ppm: if room % 4 == 2 { 50.0 } else { 0.0 },
            ..RoomAcoustics::default()
        };
        let voice = ["en", "en+f2", "en-us", "en+m3"][room as usize % 4];
        let near = at_level(&spoken(said, voice, 50), -20.0 + acoustics.gain_db + random.between(0.0, 15.0));
        let heard_over = |far: &[f32]| {
            let mut rig = Rig::new(acoustics, VoiceSettings::default());
            rig.play(far, &[], 4.0);
            rig.play(&[], &near, near.len() as f32 / RATE as f32 + 2.0);
            // Without the time before the person speaks.
            texts_of(rig.clean[3 * RATE..].to_vec(), "transcribe").iter().flat_map(|text| plain(text)).collect::<Vec<_>>()
        };
        let said = plain(said);
        words += said.len();
        alone += word_errors(&heard_over(&[]), &said);
        over += word_errors(&heard_over(&talk(8.0, room as usize)), &said);
    }
    let percent = |errors: usize| 100.0 * errors as f32 / words as f32;
    println!("word error rate of {words} words: {:.1} % without a reply, {:.1} % over one", percent(alone), percent(over));
    assert!(percent(over) <= percent(alone) + 10.0);
}

#[test]
fn own_replies_that_return_through_a_room_are_not_answered() {
    let mut random = Random(5);
    let (mut with, mut without, mut cut) = (0, 0, 0);
    for room in 0..rooms() {
        let acoustics = RoomAcoustics {
            seed: room + 1,
            delay_ms: random.between(5.0, 300.0),
            gain_db: random.between(-15.0, 0.0),
            drive: if room % 3 == 1 { 0.4 } else { 0.0 },
            drift_ppm: if room % 3 == 2 { 50.0 } else { 0.0 },
            ..RoomAcoustics::default()
        };
        let mut rig = Rig::new(acoustics, VoiceSettings::default());
        // In pieces of half a second, so that a cut loses little of the reply.
        for piece in talk(SECS, room as usize)[..SECS as usize * RATE].chunks(RATE / 2) {
            rig.play(piece, &[], piece.len() as f32 / RATE as f32);
        }
        for at in &rig.interruptions {
            println!("Hearken cuts its own reply after {:.1} s in {acoustics:?}", *at as f32 / RATE as f32);
        }
        cut += rig.interruptions.len() as u64;
        with += count_replies(rig.clean);
        without += count_replies(rig.raw);
    }
    println!(
        "{:.0} s of own replies through {} rooms: {with} answered with the canceller, {without} without; {cut} cut",
        SECS * rooms() as f32,
        rooms()
    );
    assert_eq!(with, 0);
    assert!(cut <= rooms() / 60, "at most one reply in half an hour is cut by its own echo: {cut}");
}

/// Starts a session that speaks with the system's voice in a simulated room in which a person says `near`.
fn session(near: Vec<f32>, home: &Path) -> EngineHandle {
    session_in(near, home, &["--speak"], Interrupt::Cut)
}

fn session_in(near: Vec<f32>, home: &Path, more: &[&str], interrupt: Interrupt) -> EngineHandle {
    let (output, microphone) = speaker_and_microphone(SimulatedRoom::new(RoomAcoustics::default()), near);
    let backend = SpeechBackend {
        output: Box::new(move || Box::new(output.clone())),
        voices: Box::new(|_| system_voices()),
        ..SpeechBackend::default()
    };
    let mut settings = settings(home, more);
    settings.voice.interrupt = interrupt;
    settings.save_audio = Some(home.join("heard.wav"));
    start_on(settings, Box::new(RealtimeSource::new(microphone)), FileSpeed::Realtime, backend).unwrap()
}

/// Returns the events up to `wanted`.
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
    panic!("no such event within 30 s: {events:?}");
}

#[test]
fn reply_is_spoken_to_the_end_in_a_silent_room_and_cut_when_a_person_speaks_over_it() {
    let words = at_level(&spoken(INTERRUPTIONS[2], "en+f2", 50), -22.0);
    let silence = |secs: f32| vec![0.0; (secs * RATE as f32) as usize];
    let home = tempfile::tempdir().unwrap();
    // The first reply begins at about 2 s, the second at about 14 s; a person speaks over the second at 17 s.
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
    let echo = dbfs(&heard[6 * RATE..8 * RATE]);
    println!("own voice as the model hears it: {echo:.1} dBFS");
    assert!(echo < -50.0, "{echo}");
}

/// The starter need recognise only one of three voices that say the words.
#[test]
fn spoken_stop_command_cuts_a_reply_while_barge_in_is_off() {
    let silence = |secs: f32| vec![0.0; (secs * RATE as f32) as usize];
    let ask = |voice: &str| at_level(&spoken("be quiet", voice, 50), -20.0);
    let near = [silence(6.0), ask("en"), silence(3.0), ask("en+f2"), silence(3.0), ask("en-us"), silence(8.0)].concat();
    let home = tempfile::tempdir().unwrap();
    let engine = session_in(near, home.path(), &["--speak", "--modes", "transcribe"], Interrupt::LetFinish);
    assert!(engine.send(Command::Say { reply: ReplyId(7), text: REPLIES.join(" "), emotion: None }));
    let events = until(&engine, |event| matches!(event, Event::VoiceFinished { reply: ReplyId(7), .. }));
    let Some(Event::VoiceFinished { cut: true, at, .. }) = events.last() else { panic!("{events:?}") };
    println!("silent at {:.1} s; the first command came at 6.0 s", at.secs());
    engine.send(Command::Shutdown);
}

/// A voice that hangs, longer than the test lasts, at a sentence with the word "hang".
struct Hangs(Box<dyn Voice>);

impl Voice for Hangs {
    fn name(&self) -> String {
        self.0.name()
    }

    fn say(&mut self, words: &SpeechText) -> hearken::error::Result<Box<dyn Utterance>> {
        if words.text.contains("hang") {
            std::thread::sleep(Duration::from_secs(20));
        }
        self.0.say(words)
    }
}

#[test]
fn hung_voice_is_reported_once_and_the_next_reply_is_spoken() {
    let home = tempfile::tempdir().unwrap();
    let (output, microphone) = speaker_and_microphone(SimulatedRoom::new(RoomAcoustics::default()), vec![0.0; 40 * RATE]);
    let backend = SpeechBackend {
        output: Box::new(move || Box::new(output.clone())),
        voices: Box::new(|_| system_voices().into_iter().map(|voice| Box::new(Hangs(voice)) as Box<dyn Voice>).collect()),
        stall_limit: Duration::from_secs(1),
    };
    let engine =
        start_on(settings(home.path(), &["--speak"]), Box::new(RealtimeSource::new(microphone)), FileSpeed::Realtime, backend).unwrap();
    let say = |reply: u64, text: &str| assert!(engine.send(Command::Say { reply: ReplyId(reply), text: text.into(), emotion: None }));
    say(1, "I am well. Now I hang.");
    let mut events = until(&engine, |event| matches!(event, Event::Problem { .. }));
    say(2, "I am well again.");
    events.extend(until(&engine, |event| matches!(event, Event::VoiceFinished { reply: ReplyId(2), cut: false, .. })));
    let problems: Vec<&Event> = events.iter().filter(|event| matches!(event, Event::Problem { .. })).collect();
    assert!(matches!(&problems[..], [Event::Problem { message, .. }] if message.contains("stuck")), "{problems:?}");
    let ended = events.iter().any(|event| matches!(event, Event::VoiceFinished { reply: ReplyId(1), cut: true, .. }));
    assert!(ended, "the hung reply is finished: {events:?}");
    let begun = Instant::now();
    drop(engine);
    assert!(begun.elapsed() < Duration::from_secs(5), "shutdown does not wait for the hung voice: {:?}", begun.elapsed());
}

#[test]
fn cut_command_silences_a_reply_within_a_second() {
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
