//! A process that stores events is killed with SIGKILL at any moment: at most the last second is missing, and the database is
//! intact. The process is this test binary, started again with the same test, which stores instead of looking.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod history_bench;
mod inside;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use hearken::config::{Cli, HistoryPrefs, Paths, Request, Stdout};
use hearken::history::{HistoryCallbacks, HistoryHandle, Store};
use hearken::protocol::{Event, Panel, ReplyId};
use hearken::time::ChunkIdx;
use hearken::transcript::Transcript;
use history_bench::{at, hearken, said, started};
use inside::test_of;

/// Set in the process that stores, to the folder of its history.
const INSIDE: &str = "HEARKEN_TEST_KEEPS_IN";
const LIMIT: Duration = Duration::from_secs(120);

fn panels() -> BTreeMap<String, Panel> {
    let modes = [("dialog", Panel::Conversation), ("transcribe", Panel::Transcript), ("translate", Panel::Translation)];
    modes.into_iter().chain([("sounds", Panel::Sounds)]).map(|(mode, panel)| (mode.to_owned(), panel)).collect()
}

/// The printed events, with the time of each.
type Screen = Arc<Mutex<Vec<(Instant, Event)>>>;

/// Runs `parent`, a closure of the calling test, with a function that starts `store` in a process of its own, on a folder for the
/// history: the calling test, started again. There `store` prints the events that it stores.
fn with_child<P: FnOnce(&dyn Fn(&Path) -> (Child, Screen))>(store: impl FnOnce(&Paths), parent: P) {
    match std::env::var_os(INSIDE) {
        Some(home) => store(&Paths::inside(Path::new(&home))),
        None => parent(&|home| start(test_of::<P>(), home)),
    }
}

/// Starts the test `name` in a process that stores in `home` and prints its events.
fn start(name: &str, home: &Path) -> (Child, Screen) {
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let screen = Screen::default();
    let (lines, seen) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&screen));
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            if let Some(event) = line.find('{').and_then(|at| serde_json::from_str(&line[at..]).ok()) {
                seen.lock().unwrap().push((Instant::now(), event));
            }
        }
    });
    (child, screen)
}

/// Folds events into a transcript.
fn fold<'a>(events: impl Iterator<Item = &'a Event>) -> Transcript {
    let mut transcript = Transcript::new(panels());
    events.for_each(|event| transcript.apply(event));
    transcript
}

/// Returns every line of a transcript, by panel.
fn lines(t: &Transcript) -> [Vec<&str>; 4] {
    [
        t.utterances.iter().map(|line| line.text.as_str()).collect(),
        t.translations.iter().map(|line| line.text.as_str()).collect(),
        t.replies.iter().map(|reply| reply.text.as_str()).collect(),
        t.sounds.iter().map(|sound| sound.name.as_str()).collect(),
    ]
}

/// Kills the process once `ripe`, compares the stored lines with the printed ones, and returns the number of compared lines.
fn kill_and_look(mut child: Child, screen: &Screen, home: &Path, ripe: impl Fn(&Transcript) -> bool) -> usize {
    let begun = Instant::now();
    while !ripe(&fold(screen.lock().unwrap().iter().map(|(_, event)| event))) {
        assert!(begun.elapsed() < LIMIT && child.try_wait().unwrap().is_none(), "no event in time");
        std::thread::sleep(Duration::from_millis(50));
    }
    let killed = Instant::now();
    child.kill().unwrap();
    child.wait().unwrap();
    let path = Paths::inside(home).history_file();
    let db = rusqlite::Connection::open(&path).unwrap();
    let sound: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    db.execute("INSERT INTO words(words, rank) VALUES('integrity-check', 1)", []).expect("the index fits the lines");
    drop(db);
    let store = Store::read(&path).unwrap().unwrap();
    let kept = store.open_session(store.sessions().unwrap()[0].id).unwrap().unwrap().transcript;
    let screen = screen.lock().unwrap();
    let old = fold(screen.iter().filter(|(when, _)| killed.duration_since(*when) > Duration::from_secs(1)).map(|(_, event)| event));
    let mut compared = 0;
    for (old, kept) in lines(&old).iter().zip(lines(&kept)) {
        assert!(kept.len() >= old.len(), "{} lines of {} are kept", kept.len(), old.len());
        for (old, kept) in old.iter().zip(&kept) {
            assert!(kept.starts_with(old.trim_end()), "{old:?} was on screen for a second, {kept:?} is kept");
            compared += 1;
        }
    }
    assert_eq!(hearken(home, &["show", "last"]).status.code(), Some(0), "the next start reads it");
    compared
}

#[test]
fn a_killed_listener_loses_at_most_the_last_second() {
    with_child(listen_to_a_minute_of_speech, |start| {
        let home = tempfile::tempdir().unwrap();
        let (child, screen) = start(home.path());
        let count = |t: &Transcript| lines(t).iter().map(Vec::len).sum::<usize>();
        let compared = kill_and_look(child, &screen, home.path(), |t| count(t) >= 6 && t.now.secs() > 12.0);
        assert!(compared >= 4, "{compared} lines were compared");
    });
}

/// `HEARKEN_KILLS=200` is the long run: a minute for every twenty.
#[test]
fn a_writer_killed_under_load_leaves_an_intact_history() {
    with_child(store_fifty_events_a_second, |start| {
        let kills = std::env::var("HEARKEN_KILLS").map_or(6_u32, |kills| kills.parse().expect("HEARKEN_KILLS is a number"));
        let home = tempfile::tempdir().unwrap();
        for round in 0..kills {
            let (child, screen) = start(home.path());
            // Another moment within the half second of batching each time: steps of the golden ratio never repeat.
            let secs = 1.8 + f64::from(round) * 0.618_034 % 1.0;
            let begun = std::cell::OnceCell::new();
            let ripe = |t: &Transcript| !t.utterances.is_empty() && begun.get_or_init(Instant::now).elapsed().as_secs_f64() > secs;
            let compared = kill_and_look(child, &screen, home.path(), ripe);
            assert!(compared >= 10, "{compared} lines were compared");
        }
        let sessions = Store::read(&Paths::inside(home.path()).history_file()).unwrap().unwrap().sessions().unwrap();
        assert_eq!(sessions.len(), kills as usize);
    });
}

fn history(paths: &Paths) -> HistoryHandle {
    let callbacks = HistoryCallbacks { send_command: Box::new(|_| true), on_change: Box::new(|| ()) };
    HistoryHandle::start(paths, HistoryPrefs::default(), panels(), callbacks)
}

fn show(event: &Event) {
    let line = serde_json::to_string(event).unwrap();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

/// Hears a minute of speech and sounds in real time with the real engine, in every mode.
fn listen_to_a_minute_of_speech(paths: &Paths) {
    let wav = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wav/d3_mixed_60s.wav").display().to_string();
    let line = ["hearken", "listen", "--realtime", "--modes", "dialog,transcribe,translate,sounds", &wav];
    let asked = Cli::try_parse_from(line).unwrap().request(paths, Stdout::Redirected).unwrap();
    let Request::Listen { settings, .. } = asked else { panic!("{asked:?}") };
    let history = history(paths);
    let engine = hearken::engine::start(*settings).unwrap();
    for event in engine.events() {
        history.sink().record(&event);
        show(&event);
    }
}

/// Stores fifty events a second, for ever: utterances, and replies that grow piece by piece.
fn store_fifty_events_a_second(paths: &Paths) {
    let history = history(paths);
    let tell = |event: Event| {
        history.sink().record(&event);
        show(&event);
        std::thread::sleep(Duration::from_millis(20));
    };
    tell(started());
    for n in 1.. {
        let (chunk, reply, mode) = (10 * n, ReplyId(1_000_000 + n), "dialog".to_owned());
        tell(said(chunk, &format!("utterance number {n}，第{n}句话")));
        tell(Event::ReplyStarted { at: at(chunk), reply, chunk: ChunkIdx(chunk), mode: mode.clone(), emotion: None });
        for piece in [" One", " two", " three", " 四", "五"] {
            tell(Event::ReplyText { at: at(chunk), reply, mode: mode.clone(), text: piece.into() });
        }
    }
}
