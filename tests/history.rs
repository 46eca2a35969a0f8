//! The history as the window and the command line use it: storing, forgetting, querying.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod history_bench;

use std::fs;
use std::path::PathBuf;
use std::process::{Command as Process, Output, Stdio};
use std::time::Duration;

use hearken::config::{ExportForm, HistoryPrefs, Paths};
use hearken::export::DocumentFormat;
use hearken::history::{HistoryCallbacks, HistoryHandle, HistoryNotice, HistoryQuery, HistoryReader, HistoryState, QueryResult, Store};
use hearken::protocol::{Command, Event, Panel};
use history_bench::{Bench, at, said, started, within};

const KEEP: HistoryPrefs = HistoryPrefs { keep: true, days: 30, audio: false };

#[test]
fn events_are_on_the_disk_half_a_second_later() {
    let bench = Bench::start(KEEP);
    for event in [started(), Event::Gate { at: at(1), open: false, level_dbfs: -60.0 }, said(3, "the quick brown fox")] {
        bench.sink.record(&event);
    }
    // The promise is one second; a busy machine gets more.
    within(Duration::from_secs(3), || bench.found("brown fox") == 1);
    let session = bench.history.status().session.unwrap();
    let events = bench.store().events(session).unwrap().unwrap();
    assert_eq!(events.iter().map(|(_, event)| event).collect::<Vec<_>>(), [&started(), &said(3, "the quick brown fox")]);
    assert_eq!(bench.history.status().state, HistoryState::On);
}

#[test]
fn dropping_the_handle_stores_waiting_events() {
    let mut bench = Bench::start(KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(3, "last words"));
    bench.end();
    assert_eq!(bench.found("last words"), 1);
}

#[test]
fn a_session_without_a_word_leaves_no_trace() {
    let mut bench = Bench::start(KEEP);
    bench.sink.record(&started());
    bench.sink.record(&Event::Paused { at: at(4) });
    bench.end();
    assert!(Store::read(&bench.paths.history_file()).unwrap().is_none_or(|store| store.sessions().unwrap().is_empty()));
}

#[test]
fn nothing_is_stored_while_the_history_is_off() {
    let mut bench = Bench::start(HistoryPrefs { keep: false, ..KEEP });
    bench.sink.record(&started());
    bench.sink.record(&said(3, "not for the record"));
    std::thread::sleep(Duration::from_secs(1));
    assert!(!bench.paths.history_file().exists() && bench.history.status().state == HistoryState::Off);
    bench.history.set_prefs(KEEP);
    within(Duration::from_secs(3), || bench.history.status().state == HistoryState::On);
    bench.sink.record(&said(30, "for the record"));
    within(Duration::from_secs(3), || bench.found("for the record") == 1);
    let session = bench.history.status().session.unwrap();
    let events = bench.store().events(session).unwrap().unwrap();
    assert!(matches!(&events[0].1, Event::SessionStarted { source, at: begun, .. } if source == "mic" && *begun == at(30)), "{events:?}");
    assert_eq!(bench.found("not for"), 0);
    bench.history.set_prefs(HistoryPrefs { keep: false, ..KEEP });
    within(Duration::from_secs(3), || bench.history.status().state == HistoryState::Off);
    bench.sink.record(&said(60, "off again"));
    bench.end();
    assert_eq!((bench.found("off again"), bench.found("for the record")), (0, 1), "what was kept stays");
}

#[test]
fn a_file_is_stored_as_a_session_of_its_own_beside_the_running_one() {
    let mut bench = Bench::start(HistoryPrefs { audio: true, ..KEEP });
    let of_file = || {
        let panels = [("transcribe".to_owned(), Panel::Transcript)].into();
        HistoryHandle::start_for_file(&bench.paths, HistoryPrefs { audio: true, ..KEEP }, panels, "talk.wav", || ())
    };
    let (file, mut begun) = (of_file(), started());
    if let Event::SessionStarted { started_utc, source, .. } = &mut begun {
        (*started_utc, *source) = (None, "/home/a/talk.wav".into());
    }
    for (sink, start, text) in [(&bench.sink, &started(), "said in the room"), (&file.sink(), &begun, "said in the file")] {
        sink.record(start);
        sink.record(&said(3, text));
    }
    within(Duration::from_secs(5), || bench.found("said in the") == 2);
    let sessions = bench.store().sessions().unwrap();
    let named: Vec<(&str, usize)> = sessions.iter().map(|session| (session.name.as_str(), session.recordings)).collect();
    assert!(named.contains(&("talk.wav", 0)) && named.contains(&("", 1)), "the sound of a file is not copied: {named:?}");
    let stored = sessions.iter().find(|session| session.name == "talk.wav").unwrap().id;
    assert_eq!(bench.store().open_session(stored).unwrap().unwrap().clock.ms(at(3)), None, "its times are those in the file");

    file.sink().record(&said(9, "not stored yet"));
    file.begin_anew();
    bench.history.delete_all();
    within(Duration::from_secs(5), || bench.found("said in the") == 0);
    file.sink().record(&said(30, "heard afterwards"));
    drop(file);
    assert_eq!((bench.found("heard afterwards"), bench.found("not stored yet")), (1, 0));
    assert!(bench.store().sessions().unwrap().iter().any(|session| session.name == "talk.wav"), "what follows has the name too");
    bench.end();
    let log = fs::read_to_string(bench.paths.log_file()).unwrap();
    assert!(!log.contains("talk.wav") && log.matches("started").count() == 1, "{log}");
}

#[test]
fn a_locked_history_is_reported_once_and_loses_no_event() {
    let mut bench = Bench::start(KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(1, "before the lock"));
    within(Duration::from_secs(3), || bench.found("before the lock") == 1);
    let lock = rusqlite::Connection::open(bench.paths.history_file()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    for n in 1..=20 {
        bench.sink.record(&said(10 * n, &format!("during the lock {n}")));
    }
    within(Duration::from_secs(15), || matches!(bench.history.status().state, HistoryState::Failing(_)));
    let HistoryState::Failing(error) = bench.history.status().state else { panic!("storing still fails") };
    assert!(error.message().contains("another program holds the history"), "{error}");
    lock.execute_batch("ROLLBACK").unwrap();
    within(Duration::from_secs(15), || bench.history.status().state == HistoryState::On);
    assert_eq!(bench.history.take_notices(), [HistoryNotice::Problem(error), HistoryNotice::Recovered]);
    bench.end();
    assert_eq!(bench.found("during the lock"), 20);
}

#[test]
fn a_history_that_cannot_be_opened_is_reported_once() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("data"), "a file where the folder should be").unwrap();
    let mut bench = Bench::start_in(home, KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(1, "words"));
    within(Duration::from_secs(5), || matches!(bench.history.status().state, HistoryState::Failing(_)));
    std::thread::sleep(Duration::from_millis(2_500));
    let news = bench.history.take_notices();
    assert!(matches!(news.as_slice(), [HistoryNotice::Problem(error)] if error.message().contains("cannot be opened")), "{news:?}");
    fs::remove_file(bench.paths.data.clone()).unwrap();
    within(Duration::from_secs(15), || bench.found("words") == 1);
    bench.end();
}

#[test]
fn a_damaged_history_is_renamed_and_reported() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("data")).unwrap();
    fs::write(home.path().join("data/history.db"), "garbage ".repeat(1_000)).unwrap();
    let bench = Bench::start_in(home, KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(1, "words"));
    within(Duration::from_secs(5), || bench.paths.history_file().exists() && bench.try_found("words") == Some(1));
    let news = bench.history.take_notices();
    assert!(
        matches!(news.as_slice(), [HistoryNotice::Problem(error)] if error.message().contains("damaged") && error.message().contains("a new one has begun")),
        "{news:?}"
    );
}

#[test]
fn the_last_minutes_are_deleted_and_storing_continues() {
    let mut bench = Bench::start(KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(1, "early bird"));
    within(Duration::from_secs(3), || bench.found("early bird") == 1);
    let begun = std::time::Instant::now();
    std::thread::sleep(Duration::from_millis(300));
    bench.sink.record(&said(20, "embarrassing secret"));
    within(Duration::from_secs(3), || bench.found("embarrassing") == 1);
    bench.sink.record(&said(40, "embarrassing and still in memory"));
    bench.history.forget_last(begun.elapsed() - Duration::from_millis(150));
    within(Duration::from_secs(5), || bench.history.take_notices().contains(&HistoryNotice::Forgotten));
    bench.sink.record(&said(60, "afterwards"));
    bench.end();
    assert_eq!((bench.found("early bird"), bench.found("afterwards"), bench.bytes("embarrassing")), (1, 1, 0));
    let sessions = bench.store().sessions().unwrap();
    assert_eq!(sessions.len(), 1);
}

#[test]
fn everything_is_deleted_while_listening_and_a_new_session_begins() {
    let mut bench = Bench::start(KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(1, "gone with the wind"));
    within(Duration::from_secs(3), || bench.found("gone with") == 1);
    bench.history.delete_all();
    within(Duration::from_secs(5), || bench.history.take_notices().contains(&HistoryNotice::DeletedAll));
    assert_eq!((bench.store().sessions().unwrap().len(), bench.bytes("gone with")), (0, 0));
    bench.sink.record(&said(20, "a new day"));
    bench.end();
    let sessions = bench.store().sessions().unwrap();
    assert!(sessions.len() == 1 && sessions[0].source == "mic" && bench.found("a new day") == 1, "{sessions:?}");
}

#[test]
fn the_running_session_is_deleted_while_it_goes_on_and_earlier_sessions_stay() {
    let mut bench = Bench::start(KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(1, "yesterday"));
    bench.end();
    let mut bench = bench.again(KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(1, "embarrassing begin"));
    within(Duration::from_secs(3), || bench.found("embarrassing begin") == 1);
    // Switching the history off and on begins another session in the file.
    bench.history.set_prefs(HistoryPrefs { keep: false, ..KEEP });
    bench.history.set_prefs(KEEP);
    bench.sink.record(&said(20, "embarrassing part"));
    bench.sink.record(&said(40, "heard after the click"));
    within(Duration::from_secs(3), || bench.found("after the click") == 1);
    // A reply that began before the click ends after it.
    bench.sink.record(&said(21, "embarrassing end"));
    bench.history.delete_running_session(at(21));
    within(Duration::from_secs(5), || bench.history.take_notices().contains(&HistoryNotice::DeletedRunning));
    within(Duration::from_secs(3), || bench.found("after the click") == 1);
    bench.sink.record(&said(60, "afterwards"));
    bench.end();
    assert_eq!((bench.found("embarrassing"), bench.bytes("embarrassing"), bench.bytes("barras")), (0, 0, 0));
    assert_eq!((bench.found("yesterday"), bench.found("after the click"), bench.found("afterwards")), (1, 1, 1));
    let sessions = bench.store().sessions().unwrap();
    assert!(sessions.len() == 2 && sessions[0].source == "mic", "{sessions:?}");
}

#[test]
fn recordings_of_the_running_session_are_deleted_with_it() {
    let mut bench = Bench::start(HistoryPrefs { audio: true, ..KEEP });
    bench.sink.record(&started());
    bench.sink.record(&said(1, "on the record"));
    let Command::RecordTo(path) = bench.commands.recv_timeout(Duration::from_secs(3)).unwrap() else { panic!("a recording") };
    within(Duration::from_secs(3), || bench.history.status().recording.as_ref() == Some(&path));
    fs::write(&path, vec![1_u8; 16_000]).unwrap();
    bench.history.delete_running_session(at(1));
    assert_eq!(bench.commands.recv_timeout(Duration::from_secs(3)).unwrap(), Command::StopRecording);
    within(Duration::from_secs(5), || bench.history.take_notices().contains(&HistoryNotice::DeletedRunning));
    assert!(!path.exists());
    let Command::RecordTo(next) = bench.commands.recv_timeout(Duration::from_secs(5)).unwrap() else { panic!("another recording") };
    assert_ne!(path, next);
    bench.end();
    assert_eq!((bench.found("on the record"), bench.bytes("on the record")), (0, 0));
}

#[test]
fn a_session_deleted_by_another_program_continues_as_a_new_one() {
    let mut bench = Bench::start(KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(1, "one half"));
    within(Duration::from_secs(3), || bench.found("one half") == 1);
    assert_eq!(bench.hearken(&["delete", "last"]).status.code(), Some(0));
    bench.sink.record(&said(20, "other half"));
    bench.end();
    assert_eq!((bench.found("one half"), bench.found("other half")), (0, 1));
}

#[test]
fn sessions_older_than_the_chosen_days_are_deleted() {
    let mut bench = Bench::start(HistoryPrefs { days: 0, ..KEEP });
    bench.sink.record(&started());
    bench.sink.record(&said(1, "long ago"));
    bench.end();
    let db = rusqlite::Connection::open(bench.paths.history_file()).unwrap();
    db.execute_batch("UPDATE sessions SET started = started - 3 * 86400000, ended = ended - 3 * 86400000").unwrap();
    drop(db);
    for (days, left) in [(0, 1), (4, 1), (2, 0)] {
        bench = bench.again(HistoryPrefs { days, ..KEEP });
        within(Duration::from_secs(5), || bench.found("long ago") == left);
        bench.end();
        assert_eq!(bench.found("long ago"), left, "{days} days");
    }
}

#[test]
fn recordings_are_optional_and_deleted_with_their_session() {
    let mut bench = Bench::start(KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(1, "on the record"));
    within(Duration::from_secs(3), || bench.found("on the record") == 1);
    assert!(bench.commands.try_recv().is_err() && bench.history.status().recording.is_none());
    bench.history.set_prefs(HistoryPrefs { audio: true, ..KEEP });
    let Command::RecordTo(path) = bench.commands.recv_timeout(Duration::from_secs(3)).unwrap() else { panic!("a recording") };
    within(Duration::from_secs(3), || bench.history.status().recording.as_ref() == Some(&path));
    fs::write(&path, vec![1_u8; 16_000 * 4 * 2]).unwrap();
    bench.history.forget_last(Duration::from_millis(500));
    assert_eq!(bench.commands.recv_timeout(Duration::from_secs(3)).unwrap(), Command::StopRecording);
    let Command::RecordTo(next) = bench.commands.recv_timeout(Duration::from_secs(5)).unwrap() else { panic!("another recording") };
    assert_ne!(path, next);
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.iter().rev().take(1_000).all(|byte| *byte == 0) && bytes[..1_000].iter().all(|byte| *byte == 1), "its end is silent");
    bench.history.set_prefs(KEEP);
    assert_eq!(bench.commands.recv_timeout(Duration::from_secs(3)).unwrap(), Command::StopRecording);
    let session = bench.history.status().session.unwrap();
    bench.end();
    assert_eq!(bench.store().session(session).unwrap().unwrap().recordings, 2);
    assert_eq!(bench.hearken(&["delete", &session.to_string()]).status.code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_panicking_writer_restarts_without_loss_and_is_given_up_after_five_panics() {
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::inside(home.path());
    // An engine whose callback panics when a recording starts, in the middle of storing.
    let callbacks = HistoryCallbacks { send_command: Box::new(|_| panic!("the engine's end fails")), on_change: Box::new(|| ()) };
    let panels = [("transcribe".to_owned(), Panel::Transcript)];
    let history = HistoryHandle::start(&paths, HistoryPrefs { audio: true, ..KEEP }, panels.into(), callbacks);
    let sink = history.sink();
    sink.record(&started());
    let mut n = 0;
    within(Duration::from_secs(20), || {
        n += 10;
        sink.record(&said(n, "words that are kept"));
        std::thread::sleep(Duration::from_millis(300));
        matches!(history.status().state, HistoryState::Failing(_))
    });
    let news = history.take_notices();
    let told =
        |what: &str| news.iter().filter(|piece| matches!(piece, HistoryNotice::Problem(error) if error.message().contains(what))).count();
    assert_eq!((told("was restarted"), told("again and again"), news.len()), (1, 1, 2), "{news:?}");
    history.delete_all();
    assert!(
        matches!(history.take_notices().as_slice(), [HistoryNotice::Problem(error)] if error.message().contains("again and again")),
        "and says so when asked"
    );
    drop(history);
    let found = Store::read(&paths.history_file()).unwrap().unwrap().search("words that").unwrap().len();
    assert!(found >= 4, "{found}");
}

#[test]
fn the_reader_answers_in_order_and_reports_failures() {
    let mut bench = Bench::start(KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(1, "今天天气很好"));
    bench.end();
    let reader = HistoryReader::start(&bench.paths, || ());
    let next = || {
        let mut answer = None;
        within(Duration::from_secs(5), || {
            answer = reader.try_recv();
            answer.is_some()
        });
        answer.unwrap()
    };
    for question in [
        HistoryQuery::Sessions,
        HistoryQuery::Search("天气".into()),
        HistoryQuery::Rename(1, "weather".into()),
        HistoryQuery::Open(1),
        HistoryQuery::Render { session: 1, form: ExportForm::Document(DocumentFormat::Srt) },
        HistoryQuery::Render { session: 9, form: ExportForm::Events },
        HistoryQuery::Open(9),
        HistoryQuery::Delete(1),
        HistoryQuery::Sessions,
    ] {
        assert!(reader.request(question));
    }
    assert!(matches!(next(), QueryResult::Sessions(sessions) if sessions.len() == 1 && sessions[0].first == "今天天气很好"));
    assert!(matches!(next(), QueryResult::Found { text, lines } if text == "天气" && lines.len() == 1 && lines[0].at == at(0)));
    assert!(matches!(next(), QueryResult::Changed { remains: None }));
    assert!(matches!(next(), QueryResult::Opened(opened) if opened.session.name == "weather" && opened.transcript.utterances.len() == 1));
    assert!(matches!(next(), QueryResult::Rendered(text) if text.contains(" --> ") && text.contains("今天天气很好")));
    assert!(matches!(next(), QueryResult::Failed(error) if error.message().contains("there is no session 9")));
    assert!(matches!(next(), QueryResult::Failed(error) if error.message().contains("there is no session 9")));
    assert!(matches!(next(), QueryResult::Changed { remains: None }));
    assert!(matches!(next(), QueryResult::Sessions(sessions) if sessions.is_empty()));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_command_line_lists_shows_searches_exports_and_deletes() {
    let mut bench = Bench::start(KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(1, "what is your\u{1b}[31m name"));
    bench.sink.record(&said(20, "今天天气很好"));
    bench.end();
    let listed = text(&bench.hearken(&["list"]).stdout);
    assert!(listed.lines().count() == 1 && listed.contains("what is your") && !listed.contains('\u{1b}'), "{listed:?}");
    let sessions = json(&bench.hearken(&["list", "--json"]));
    assert_eq!((&sessions[0]["session"], &sessions[0]["source"], sessions.as_array().unwrap().len()), (&1.into(), &"mic".into(), 1));
    let shown = text(&bench.hearken(&["show", "last"]).stdout);
    assert!(shown.contains("今天天气很好") && shown.contains("mic") && !shown.contains('\u{1b}'), "{shown}");
    let whole = json(&bench.hearken(&["show", "1", "--json"]));
    assert_eq!((&whole["lines"][1]["text"], &whole["lines"][1]["kind"]), (&"今天天气很好".into(), &"said".into()));
    let found = bench.hearken(&["search", "天气"]);
    assert!(text(&found.stdout).contains("今天天气很好") && found.status.code() == Some(0));
    assert_eq!(json(&bench.hearken(&["search", "what", "is", "--json"]))[0]["session"], 1);
    let nothing = bench.hearken(&["search", "elephant"]);
    assert!(nothing.stdout.is_empty() && nothing.status.code() == Some(0) && text(&nothing.stderr).contains("elephant"));
    assert!(text(&bench.hearken(&["search", "\\%"]).stderr).contains("\"\\%\""), "what was searched for is quoted as it is");
    for (name, word) in
        [("a.txt", "mic"), ("a.md", "# "), ("a.srt", " --> "), ("a.vtt", "WEBVTT"), ("a.jsonl", "\"type\":\"reply_finished\"")]
    {
        let to = bench.home.path().join(name).display().to_string();
        let output = bench.hearken(&["export", "1", "--out", &to]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let written = fs::read_to_string(&to).unwrap();
        assert!(written.contains(word) && written.contains("今天天气很好"), "{name}: {written}");
        assert_eq!(text(&bench.hearken(&["export", "1", "--format", name.split_once('.').unwrap().1]).stdout), written);
    }
    let deleted = bench.hearken(&["delete", "1", "1"]);
    assert_eq!((deleted.status.code(), text(&deleted.stderr).trim()), (Some(0), "Session 1 is deleted."));
    assert!(bench.hearken(&["list"]).stdout.is_empty());
}

#[test]
fn impossible_requests_exit_2_with_one_sentence() {
    let mut bench = Bench::start(KEEP);
    let none = bench.hearken(&["show", "last"]);
    assert!(none.status.code() == Some(2) && text(&none.stderr).contains("there is no history yet"));
    assert_eq!(json(&bench.hearken(&["list", "--json"])), serde_json::json!([]));
    bench.sink.record(&started());
    bench.sink.record(&said(1, "words"));
    bench.end();
    let taken = bench.home.path().join("taken.txt");
    fs::write(&taken, "mine").unwrap();
    let taken = taken.display().to_string();
    for (line, words) in [
        (&["show", "7"][..], &["there is no session 7", "hearken history list"][..]),
        (&["show", "-1"], &["-1"]),
        (&["show", "newest"], &["newest", "last"]),
        (&["export", "7"], &["no session 7"]),
        (&["export", "1", "--out", &taken], &["exists already", "--force"]),
        (&["export", "1", "--out", "/dev/null/a.txt"], &["/dev/null/a.txt", "cannot be written"]),
        (&["export", "1", "--out", "/dev/full", "--force"], &["/dev/full", "cannot be written"]),
        (&["export", "1", "--format", "pdf"], &["pdf", "jsonl"]),
        (&["export", "1", "--out", "a.docx"], &["docx", "jsonl", "--format"]),
        (&["export", "1", "--force"], &["--out"]),
        (&["delete"], &["--all"]),
        (&["delete", "1", "--all"], &["--all"]),
        (&["delete", "--last-minutes", "0"], &["--last-minutes"]),
        (&["delete", "1", "7"], &["no session 7"]),
        (&["search", " "], &["nothing to search for"]),
    ] {
        let output = bench.hearken(line);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && output.stdout.is_empty() && !said.contains("panicked"), "{line:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{line:?}: {said}");
    }
    assert_eq!(bench.found("words"), 1, "nothing was deleted when one of two was unknown");
    assert_eq!(bench.hearken(&["export", "1", "--out", &taken, "--force"]).status.code(), Some(0));
    assert!(fs::read_to_string(&taken).unwrap().contains("words"));
    fs::write(bench.paths.history_file(), "garbage ".repeat(1_000)).unwrap();
    let damaged = bench.hearken(&["list"]);
    assert!(damaged.status.code() == Some(2) && text(&damaged.stderr).contains("damaged"), "{}", text(&damaged.stderr));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut bench = Bench::start(KEEP);
    bench.sink.record(&started());
    for n in 0..400 {
        bench.sink.record(&said(10 * n + 1, &"a long line of words that fills the pipe ".repeat(20)));
    }
    bench.end();
    let mut child: std::process::Child = Process::new(env!("CARGO_BIN_EXE_hearken"))
        .args(["history", "show", "last"])
        .env("HEARKEN_HOME", bench.home.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_log_lists_events_without_words() {
    let mut bench = Bench::start(KEEP);
    bench.sink.record(&started());
    bench.sink.record(&said(1, "a private matter"));
    bench.end();
    let log: PathBuf = bench.paths.log_file();
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("started") && log.contains("listening to mic with starter") && !log.contains("private"), "{log}");
}
