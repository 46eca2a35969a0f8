//! Tests of the database, also under failures.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::deletion::Deleted;
use super::lines::{StableCounts, lines_of};
use super::store::{EventBatch, Store};
use super::store_error::StoreError;
use crate::error::{ErrorKind, Remedy};
use crate::protocol::{Event, Panel, ReplyId, StopReason};
use crate::time::{CHUNK_SAMPLES, ChunkIdx, StreamTime};
use crate::transcript::Transcript;

/// Milliseconds in a chunk.
const CHUNK_MS: i64 = 400;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("history.db")
    }

    fn store(&self) -> Store {
        let (store, note) = Store::open(&self.path()).unwrap();
        assert_eq!(note, None);
        store
    }

    /// Counts `word` in the files of the history.
    fn count(&self, word: &str) -> usize {
        let files = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        files
            .map(|path| fs::read(path).unwrap())
            .map(|bytes| bytes.windows(word.len()).filter(|window| *window == word.as_bytes()).count())
            .sum()
    }
}

fn at(chunk: u64) -> StreamTime {
    StreamTime::from_samples(chunk * CHUNK_SAMPLES as u64)
}

fn panels() -> BTreeMap<String, Panel> {
    let modes = [("dialog", Panel::Conversation), ("transcribe", Panel::Transcript), ("sounds", Panel::Sounds)];
    modes.into_iter().map(|(mode, panel)| (mode.to_owned(), panel)).collect()
}

fn started() -> Event {
    let started_utc = Some("1970-01-01T00:00:00Z".to_owned());
    Event::SessionStarted { at: at(0), protocol: 1, model: "starter".into(), source: "mic".into(), modes: vec![], started_utc }
}

fn said(chunk: u64, text: &str) -> Event {
    let (at, reply, mode) = (at(chunk), ReplyId(chunk), "transcribe".to_owned());
    Event::ReplyFinished {
        at,
        reply,
        mode,
        text: text.into(),
        from_secs: at.before(CHUNK_SAMPLES as u64),
        to_secs: at,
        stop: StopReason::End,
    }
}

/// Stores a session that began at `began`, with an utterance every five chunks.
fn session(store: &mut Store, began: i64, texts: &[&str]) -> i64 {
    let mut events = vec![(began, started())];
    events.extend(texts.iter().enumerate().map(|(n, text)| {
        let chunk = 5 * n as u64 + 1;
        (began + chunk as i64 * CHUNK_MS, said(chunk, text))
    }));
    try_add(store, &events).unwrap()
}

fn try_add(store: &mut Store, events: &[(i64, Event)]) -> Result<i64, StoreError> {
    let mut transcript = Transcript::new(panels());
    events.iter().for_each(|(_, event)| transcript.apply(event));
    let lines = lines_of(&transcript, |kind| StableCounts::default().count(kind));
    let batch = EventBatch { session: None, name: "", panels: &panels(), first: 0, events, lines: &lines, heard: transcript.now };
    store.add(&batch).map(Option::unwrap)
}

fn found(store: &Store, text: &str) -> Vec<String> {
    store.search(text).unwrap().into_iter().map(|found| found.text).collect()
}

#[test]
fn search_finds_any_part_of_a_word_also_in_chinese() {
    let home = Home::new();
    let mut store = home.store();
    session(
        &mut store,
        1_000,
        &["今天天气很好，我们去公园吧", "What is your name?", "100% of snake_case \"quoted\" text", "Ünïcode Straße"],
    );
    for (wanted, count) in [
        ("天", 1),
        ("天气", 1),
        ("天气很", 1),
        ("去公园", 1),
        ("我们去公园吧", 1),
        ("气天", 0),
        ("猫", 0),
        ("your NAME", 1),
        ("na", 2),
        ("0%", 1),
        ("%", 1),
        ("_", 1),
        ("e_c", 1),
        ("\"quoted\"", 1),
        ("AND", 0),
        ("name OR", 0),
        ("*", 0),
        ("straße", 1),
        ("unicode STRASSE", 1),
        ("weather", 0),
        ("  \"name\"   what?", 1),
        ("ＮＡＭＥ", 1),
        ("unicode straße", 1),
        ("name what", 1),
        ("your is", 1),
        ("is straße", 0),
        ("今天 公园", 1),
        ("公园 天", 1),
        ("   ", 0),
        ("\0", 0),
        ("a\0b\0c", 0),
    ] {
        assert_eq!(found(&store, wanted).len(), count, "{wanted:?}");
    }
}

#[test]
fn search_ignores_accents_on_both_sides_and_in_short_words() {
    let home = Home::new();
    let mut store = home.store();
    session(&mut store, 1_000, &["We met at the Café Zoë", "cafe au lait", "Ça va à Łódź"]);
    for (wanted, count) in [("cafe", 2), ("café", 2), ("CAFÉ met", 1), ("zoe we", 1), ("ca a", 3), ("ça va", 1), ("a vá", 1), ("łodz", 1)]
    {
        assert_eq!(found(&store, wanted).len(), count, "{wanted:?}");
    }
}

/// The SQL commands that turn a new database into one of version 1 or 2, whose index held the lines unfolded.
const BEFORE_FOLDING: &str = "
DROP TRIGGER line_added; DROP TRIGGER line_gone; DROP TRIGGER line_changed; DROP TABLE words; ALTER TABLE lines DROP COLUMN folded;
CREATE VIRTUAL TABLE words USING fts5(text, content='lines', content_rowid='id', tokenize='trigram');
CREATE TRIGGER line_added AFTER INSERT ON lines BEGIN INSERT INTO words(rowid, text) VALUES(new.id, new.text); END;
CREATE TRIGGER line_gone AFTER DELETE ON lines BEGIN INSERT INTO words(words, rowid, text) VALUES('delete', old.id, old.text); END;
CREATE TRIGGER line_changed AFTER UPDATE ON lines BEGIN
    INSERT INTO words(words, rowid, text) VALUES('delete', old.id, old.text);
    INSERT INTO words(rowid, text) VALUES(new.id, new.text); END;
INSERT INTO words(words) VALUES('rebuild');";

#[test]
fn an_older_history_is_indexed_anew_without_losing_a_line() {
    for version in [1, 2] {
        let home = Home::new();
        session(&mut home.store(), 1_000, &["We met at the café", "on a Monday"]);
        let old = rusqlite::Connection::open(home.path()).unwrap();
        old.execute_batch(&format!("{BEFORE_FOLDING} PRAGMA user_version = {version};")).unwrap();
        drop(old);
        let read = Store::read(&home.path()).unwrap().unwrap();
        assert_eq!((found(&read, "cafe").len(), found(&read, "Monday").len()), (1, 1), "an old file can be read");
        let mut store = home.store();
        assert_eq!((found(&store, "cafe").len(), found(&store, "MONDAY").len(), found(&store, "ｍｏｎ").len()), (1, 1, 1));
        let id = session(&mut store, 9_000, &["another café"]);
        assert_eq!(found(&store, "cafe").len(), 2);
        store.delete(id).unwrap();
        assert_eq!(found(&store, "cafe").len(), 1);
        store.db.execute("INSERT INTO words(words, rank) VALUES('integrity-check', 1)", []).unwrap();
    }
}

#[test]
fn a_hit_has_the_wall_time_of_its_own_line_also_after_a_pause() {
    let home = Home::new();
    let mut store = home.store();
    let events = [(1_000, started()), (3_000, said(5, "before")), (60_000, Event::Resumed { at: at(6) }), (62_400, said(12, "after it"))];
    try_add(&mut store, &events).unwrap();
    let time = |text: &str| store.search(text).unwrap()[0].wall_ms;
    assert_eq!((time("before"), time("after")), (1_000 + 4 * CHUNK_MS, 60_000 + 5 * CHUNK_MS));
}

#[test]
fn a_session_is_listed_opened_renamed_and_deleted() {
    let home = Home::new();
    let mut store = home.store();
    let first = session(&mut store, 1_000, &["hello there", "good bye"]);
    let second = session(&mut store, 9_000_000, &["another day"]);
    assert!(store.rename(first, " Monday ").unwrap() && !store.rename(77, "x").unwrap());
    let sessions = store.sessions().unwrap();
    assert_eq!(
        sessions.iter().map(|s| (s.id, s.name.as_str(), s.first.as_str())).collect::<Vec<_>>(),
        [(second, "", "another day"), (first, "Monday", "hello there")]
    );
    assert_eq!((sessions[1].source.as_str(), sessions[1].heard, sessions[1].ended_ms), ("mic", at(6), 1_000 + 6 * CHUNK_MS));
    let opened = store.open_session(first).unwrap().unwrap();
    assert_eq!(opened.transcript.utterances.len(), 2);
    assert_eq!(opened.clock.ms(opened.transcript.utterances[1].from), Some(1_000 + 5 * CHUNK_MS));
    assert_eq!((store.delete(first).unwrap().sessions, store.delete(first).unwrap().sessions), (1, 0));
    assert!(store.open_session(first).unwrap().is_none() && store.events(first).unwrap().is_none());
    assert!(found(&store, "hello").is_empty() && found(&store, "another").len() == 1);
    assert_eq!((store.delete_all().unwrap().sessions, store.sessions().unwrap().len()), (1, 0));
}

#[test]
fn deleted_words_are_gone_from_the_files() {
    let home = Home::new();
    let mut store = home.store();
    let texts: Vec<String> = (0..400).map(|n| format!("ordinary talk number {n} and xylophone{n} and 木琴声音{n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let one = session(&mut store, 1_000, &texts);
    let other = session(&mut store, 90_000_000, &["xylophones stay", "zeppelin goes", "zeppelin too"]);
    assert!(home.count("xylophone3") > 0 && home.count("木琴声音3") > 0);
    store.delete(one).unwrap();
    assert_eq!((home.count("xylophone3"), home.count("木琴声音"), home.count("xylophones stay") > 0), (0, 0, true));
    // The trigrams of the index are gone too: nothing else contains this one.
    assert_eq!(home.count("琴声音"), 0);
    let since = 90_000_000 + 3 * CHUNK_MS;
    assert_eq!(store.forget_since(since).unwrap(), Deleted { sessions: 1, remains: None });
    assert_eq!((home.count("zeppelin"), found(&store, "xylo"), found(&store, "zeppelin").len()), (0, vec!["xylophones stay".into()], 0));
    assert_eq!(store.open_session(other).unwrap().unwrap().transcript.utterances.len(), 1);
    store.delete_all().unwrap();
    assert_eq!((home.count("xylophone"), home.count("starter")), (0, 0));
}

#[test]
fn forgetting_deletes_young_sessions_and_ends_of_older_ones() {
    let home = Home::new();
    let mut store = home.store();
    let old = session(&mut store, 1_000, &["one", "two"]);
    let cut = session(&mut store, 1_000_000, &["three", "four", "five"]);
    let young = session(&mut store, 1_003_000, &["six"]);
    let silent = session(&mut store, 1_001_000, &["seven"]);
    assert_eq!(store.forget_since(1_000_000 + 2_000).unwrap().sessions, 2);
    let left: Vec<i64> = store.sessions().unwrap().iter().map(|s| s.id).collect();
    assert!(left.contains(&old) && left.contains(&cut) && left.contains(&silent) && !left.contains(&young), "{left:?}");
    assert_eq!((found(&store, "three").len(), found(&store, "four").len(), found(&store, "five").len()), (1, 0, 0));
    assert_eq!(store.forget_since(1_001_200).unwrap().sessions, 1);
    assert!(store.session(silent).unwrap().is_none(), "a session without words is deleted");
    assert_eq!(found(&store, "two").len(), 1);
}

#[test]
fn expired_events_are_deleted_even_within_a_current_session() {
    let home = Home::new();
    let mut store = home.store();
    session(&mut store, 1_000, &["ancient words"]);
    let long = session(&mut store, 2_000_000, &["first words", "later words"]);
    let folder = store.recordings_folder();
    fs::create_dir(&folder).unwrap();
    for name in ["kept.wav", "orphan.wav"] {
        fs::write(folder.join(name), [0; 200]).unwrap();
    }
    store.add_recording(long, "kept.wav", at(0)).unwrap();
    assert_eq!(store.expire(2_000_000 + 2 * CHUNK_MS).unwrap().sessions, 2);
    assert_eq!(store.sessions().unwrap().iter().map(|s| s.id).collect::<Vec<_>>(), [long]);
    assert_eq!((found(&store, "first words").len(), found(&store, "later words").len(), home.count("ancient")), (0, 1, 0));
    assert!(folder.join("kept.wav").exists() && !folder.join("orphan.wav").exists());
    assert_eq!(store.open_session(long).unwrap().unwrap().recordings, [folder.join("kept.wav")]);
    store.delete(long).unwrap();
    assert!(!folder.join("kept.wav").exists(), "a recording goes with its session");
    assert_eq!(store.expire(i64::MAX).unwrap().sessions, 0);
}

#[test]
fn a_recording_name_never_leads_out_of_its_folder() {
    let home = Home::new();
    let mut store = home.store();
    let id = session(&mut store, 1_000, &["x"]);
    let outside = home.0.path().join("mine.wav");
    fs::write(&outside, b"mine").unwrap();
    store.add_recording(id, "../mine.wav", at(0)).unwrap();
    assert!(store.open_session(id).unwrap().unwrap().recordings.is_empty());
    store.delete_all().unwrap();
    assert!(outside.exists());
}

#[test]
fn a_full_disk_stores_no_partial_batch_and_is_recognised() {
    let home = Home::new();
    let mut store = home.store();
    session(&mut store, 1_000, &["before"]);
    let pages: i64 = store.db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    store.db.pragma_update(None, "max_page_count", pages).unwrap();
    let long = "many words ".repeat(1_000);
    let events: Vec<(i64, Event)> = (0..50).map(|n| (2_000, said(5 * n, &long))).collect();
    assert_eq!(try_add(&mut store, &events), Err(StoreError::Full));
    assert!(StoreError::Full.about(&home.path()).to_string().contains("the disk is full"));
    assert_eq!((store.sessions().unwrap().len(), found(&store, "many words").len()), (1, 0));
    store.db.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    assert!(try_add(&mut store, &events).is_ok());
}

#[test]
fn a_read_only_database_is_reported_and_can_be_read() {
    let home = Home::new();
    let mut store = home.store();
    let id = session(&mut store, 1_000, &["before"]);
    store.db.pragma_update(None, "query_only", true).unwrap();
    assert_eq!(try_add(&mut store, &[(1, started())]), Err(StoreError::ReadOnly));
    let error = store.rename(id, "x").unwrap_err();
    assert!(error.kind() == ErrorKind::History && error.remedy() == Some(Remedy::AllowAccess), "{error}");
    assert_eq!(found(&store, "before").len(), 1);
}

#[test]
fn a_locked_database_is_reported_after_the_timeout() {
    let home = Home::new();
    let mut store = home.store();
    session(&mut store, 1_000, &["before"]);
    let other = rusqlite::Connection::open(home.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.db.busy_timeout(Duration::from_millis(20)).unwrap();
    assert_eq!(try_add(&mut store, &[(1, started())]), Err(StoreError::Locked));
    assert_eq!(Store::read(&home.path()).unwrap().unwrap().search("before").unwrap().len(), 1, "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    assert!(try_add(&mut store, &[(1, started())]).is_ok());
}

#[test]
fn a_damaged_database_is_renamed_unchanged() {
    let home = Home::new();
    for content in [b"this was never a database, and it is long enough to look at".repeat(40), damaged(&home)] {
        fs::write(home.path(), &content).unwrap();
        assert!(Store::write(&home.path()).unwrap_err().to_string().contains("damaged"));
        let (mut store, note) = Store::open(&home.path()).unwrap();
        let note = note.unwrap();
        assert!(note.message().contains("damaged") && note.message().contains("a new one has begun"), "{note}");
        session(&mut store, 1_000, &["a new beginning"]);
        assert_eq!((store.sessions().unwrap().len(), found(&store, "beginning").len()), (1, 1));
        let aside = fs::read_dir(home.0.path()).unwrap().map(|entry| entry.unwrap().path());
        let aside: Vec<PathBuf> = aside.filter(|path| path.to_string_lossy().contains("damaged")).collect();
        assert!(aside.len() == 1 && fs::read(&aside[0]).unwrap() == content, "{aside:?}");
        drop(store);
        fs::remove_file(&aside[0]).unwrap();
        fs::remove_file(home.path()).unwrap();
    }
}

/// Returns a history with overwritten pages.
fn damaged(home: &Home) -> Vec<u8> {
    fs::remove_file(home.path()).ok();
    let mut store = home.store();
    let texts: Vec<String> = (0..300).map(|n| format!("words {n} that fill a page or two of the file")).collect();
    session(&mut store, 1_000, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    drop(store);
    let mut bytes = fs::read(home.path()).unwrap();
    let pages = bytes.len() / 4_096;
    assert!(pages > 8);
    for page in (2..pages).step_by(2) {
        bytes[page * 4_096..page * 4_096 + 200].fill(0xa5);
    }
    bytes
}

#[test]
fn a_newer_or_incomplete_schema_is_recognised() {
    let home = Home::new();
    drop(home.store());
    let other = rusqlite::Connection::open(home.path()).unwrap();
    other.pragma_update(None, "user_version", 4).unwrap();
    for error in [Store::open(&home.path()).unwrap_err(), Store::read(&home.path()).unwrap_err()] {
        assert!(error.to_string().contains("from a newer Hearken (version 4; this one knows 3)"), "{error}");
    }
    assert_eq!(other.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap(), 4, "the file is unchanged");
    other.pragma_update(None, "user_version", 3).unwrap();
    other.execute_batch("DROP TABLE recordings").unwrap();
    drop(other);
    assert!(Store::open(&home.path()).unwrap().1.unwrap().message().contains("tables are missing"));
}

#[test]
fn an_impossible_path_is_named_in_the_error() {
    let home = Home::new();
    fs::create_dir(home.path()).unwrap();
    fs::write(home.0.path().join("file"), "x").unwrap();
    for path in [home.path(), home.0.path().join("file/history.db"), Path::new("/proc/hearken/history.db").to_owned()] {
        let error = Store::open(&path).unwrap_err();
        assert!(error.kind() == ErrorKind::History && error.message().starts_with(&path.display().to_string()), "{error}");
        assert!(error.to_string().contains("cannot be"), "{error}");
    }
    assert!(Store::read(&home.0.path().join("none.db")).unwrap().is_none());
    fs::write(home.0.path().join("empty.db"), "").unwrap();
    assert!(Store::read(&home.0.path().join("empty.db")).unwrap().is_none(), "a file in which nothing was begun");
}

#[cfg(unix)]
#[test]
fn other_users_cannot_read_the_history() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/history.db");
    let (mut store, _) = Store::open(&path).unwrap();
    session(&mut store, 1_000, &["secret"]);
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn unknown_events_and_odd_rows_are_skipped() {
    let home = Home::new();
    let mut store = home.store();
    let id = session(&mut store, 1_000, &["known"]);
    store.db.execute("INSERT INTO events VALUES(?1, 77, 5, '{\"type\":\"teleported\",\"at\":1}')", [id]).unwrap();
    store.db.execute("UPDATE sessions SET shown = 'nonsense', heard = -5 WHERE id = ?1", [id]).unwrap();
    store
        .db
        .execute("INSERT INTO lines(session, kind, number, at, text, folded) VALUES(?1, 99, -1, -1, 'Odd line', 'odd line')", [id])
        .unwrap();
    assert_eq!(store.events(id).unwrap().unwrap().len(), 2);
    assert!(store.open_session(id).unwrap().is_some() && found(&store, "odd line").len() == 1);
    store.forget_since(0).unwrap();
}

#[test]
fn ten_thousand_lines_are_listed_and_searched_within_half_a_second() {
    let home = Home::new();
    let mut store = home.store();
    for n in 0..100 {
        let texts: Vec<String> = (0..100).map(|line| format!("line {line} of session {n}, 第{line}行内容")).collect();
        session(&mut store, n * 1_000_000, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    }
    drop(store);
    let begun = Instant::now();
    let store = Store::read(&home.path()).unwrap().unwrap();
    assert_eq!(store.sessions().unwrap().len(), 100);
    let listed = begun.elapsed();
    assert_eq!((store.search("line 42 of").unwrap().len(), store.search("行内").unwrap().len()), (199, super::MAX_HITS));
    let searched = begun.elapsed() - listed;
    assert_eq!(store.open_session(50).unwrap().unwrap().transcript.utterances.len(), 100);
    // A few milliseconds each on an idle machine; the limits allow for a busy one.
    assert!(listed < Duration::from_millis(250) && searched < Duration::from_millis(500), "{listed:?} {searched:?}");
}

#[test]
fn updated_lines_are_found_by_their_new_words_only() {
    let home = Home::new();
    let mut store = home.store();
    let mut transcript = Transcript::new(panels());
    let mut stable = StableCounts::default();
    let (mut id, mut first) = (None, 0);
    let reply = Event::ReplyStarted { at: at(2), reply: ReplyId(90), chunk: ChunkIdx(2), mode: "dialog".into(), emotion: None };
    let piece = |text: &str| Event::ReplyText { at: at(2), reply: ReplyId(90), mode: "dialog".into(), text: text.into() };
    for event in [started(), said(1, "what"), said(2, "is it"), reply, piece(" It is"), piece(" noon."), said(30, "later")] {
        transcript.apply(&event);
        let lines = lines_of(&transcript, |kind| stable.count(kind));
        let batch =
            EventBatch { session: id, name: "", panels: &panels(), first, events: &[(1_000, event)], lines: &lines, heard: transcript.now };
        id = store.add(&batch).unwrap();
        (first, stable) = (first + 1, StableCounts::of(&transcript));
    }
    assert_eq!(
        (found(&store, "what is it"), found(&store, "It is noon."), found(&store, "later").len()),
        (vec!["what is it".into()], vec!["It is noon.".into()], 1)
    );
    let sound: String = store.db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    store.db.execute("INSERT INTO words(words, rank) VALUES('integrity-check', 1)", []).unwrap();
}
