//! Tests of data set layouts, intact and damaged.
#![allow(clippy::expect_used, reason = "a failed expectation fails the test")]

use std::fs;

use super::*;
use crate::protocol::Language;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }
    dir
}

const QA: EvalTask = EvalTask::Qa { instruction: QuestionInput::Typed };

#[test]
fn published_proactive_manifest_gives_classes_and_lists_every_bad_row() {
    let manifest = [
        r#"{"id": "a", "path": "./set/Human Sounds/Body/RESPOND/a.wav", "description": "x", "decision": "RESPOND"}"#,
        r#"{"id": "b", "path": "./set/Human Sounds/Body/IGNORE/b.wav", "decision": "IGNORE"}"#,
        r#"{"id": "a", "path": "./set/Human Sounds/Body/IGNORE/b.wav", "decision": "IGNORE"}"#,
        r#"{"id": "c", "path": "./set/Human Sounds/Body/IGNORE/gone.wav", "decision": "IGNORE"}"#,
        r#"{"id": "d", "path": "../../etc/passwd", "decision": "IGNORE"}"#,
        r#"{"id": "e", "path": "./set/Human Sounds/Body/IGNORE/b.wav", "decision": "PERHAPS"}"#,
        r#"{"id": "f""#,
    ];
    let dir = folder(&[
        (PROACTIVE_MANIFEST, &manifest.join("\n")),
        ("set/Human Sounds/Body/RESPOND/a.wav", ""),
        ("set/Human Sounds/Body/IGNORE/b.wav", ""),
    ]);
    let set = read(&EvalTask::PROACTIVE, dir.path()).expect("a set");
    assert_eq!((set.rows, set.items.len(), set.skipped.len()), (7, 2, 5));
    assert_eq!(set.items[0].class, ["Human Sounds", "Body"]);
    assert_eq!((&set.items[0].expected, &set.items[1].expected), (&Expected::Respond, &Expected::Ignore));
    for (skipped, words) in set.skipped.iter().zip(["already", "gone.wav", "passwd", "PERHAPS", "not JSON"]) {
        assert!(skipped.why.contains(words) && skipped.row.contains(".jsonl:"), "{skipped:?}");
    }
    assert!(set.skipped[2].why.contains("outside"), "{:?}", set.skipped[2]);
}

#[test]
fn standard_answers_belong_to_respond_clips_only() {
    let manifest = [
        r#"{"id": "a", "path": "./set/H/B/RESPOND/a.wav", "decision": "RESPOND"}"#,
        r#"{"id": "b", "path": "./set/H/B/IGNORE/b.wav", "decision": "IGNORE"}"#,
        r#"{"id": "c", "path": "./set/H/B/RESPOND/a.wav", "decision": "RESPOND"}"#,
    ];
    let answers = [
        r#"{"id": "a", "path": "./set/H/B/RESPOND/a.wav", "decision": "RESPOND", "standard_answers": ["Call help.", "Are you well?"]}"#,
        r#"{"id": "b", "standard_answers": "never used"}"#,
        r#"{"id": "c"}"#,
    ];
    let files = [(PROACTIVE_MANIFEST, manifest.join("\n")), (PROACTIVE_ANSWERS, answers.join("\n"))];
    let dir = folder(&[(files[0].0, &files[0].1), (files[1].0, &files[1].1), ("set/H/B/RESPOND/a.wav", ""), ("set/H/B/IGNORE/b.wav", "")]);
    for data in [dir.path().to_owned(), dir.path().join(PROACTIVE_MANIFEST)] {
        let set = read(&EvalTask::PROACTIVE, &data).expect("a set");
        let counts: Vec<usize> = set.items.iter().map(|item| item.answers.len()).collect();
        assert_eq!((counts.as_slice(), set.skipped.len()), (&[2, 0, 0][..], 0));
        assert!(
            set.notes.len() == 1 && set.notes[0].contains("response.jsonl:3") && set.notes[0].contains("standard_answers"),
            "{:?}",
            set.notes
        );
    }
}

#[test]
fn folders_of_labelled_clips_are_a_data_set() {
    let dir = folder(&[("home/alarm/Respond/x.wav", ""), ("home/IGNORE/y.flac", ""), ("notes.txt", ""), ("z.wav", "")]);
    let set = read(&EvalTask::PROACTIVE, dir.path()).expect("a set");
    assert_eq!(set.rows, 2);
    assert_eq!((set.items[1].id.as_str(), set.items[1].class.join(" > ")), ("home/alarm/Respond/x.wav", "home > alarm".to_owned()));
}

#[test]
fn librispeech_is_read_from_its_transcripts() {
    let task = EvalTask::Asr { language: Language::English };
    let trans = "1-2-0000 HELLO THERE\n1-2-0001 GONE\n1-2-0002\n";
    let dir = folder(&[("1/2/1-2.trans.txt", trans), ("1/2/1-2-0000.flac", "")]);
    let set = read(&task, dir.path()).expect("a set");
    assert_eq!((set.rows, set.items.len(), set.skipped.len()), (3, 1, 2));
    assert_eq!(set.items[0].expected, Expected::Text("HELLO THERE".into()));
    assert!(set.skipped[0].row.contains("trans.txt:2") && set.skipped[0].why.contains("1-2-0001"));
}

#[test]
fn covost_and_mmau_are_read_in_their_published_layout() {
    let dir = folder(&[
        ("covost_v2.en_zh-CN.test.tsv", "path\tsentence\ttranslation\tclient_id\na.mp3\tHi\t你好\tx\n"),
        ("clips/a.mp3", ""),
        (
            "mmau.json",
            r#"[{"id": "q", "audio_id": "./test-mini-audios/a.wav", "question": "What? ", "choices": ["dog", "cat"], "answer": "cat", "dataset": "AudioSet",
                            "task": "sound", "split": "test-mini", "category": "Reasoning", "sub-category": "Source", "difficulty": "easy"},
                          {"id": "r", "audio_id": "./test-mini-audios/a.wav", "choices": ["dog", "cat"], "answer": "cow"},
                          {"id": "s", "audio_id": "./test-mini-audios/a.wav", "question": " ", "choices": ["dog", "cat"], "answer": "cat"}]"#,
        ),
        ("test-mini-audios/a.wav", ""),
    ]);
    let set = read(&EvalTask::Translate { to: Language::Chinese }, &dir.path().join("covost_v2.en_zh-CN.test.tsv")).expect("a set");
    assert_eq!(set.items[0].expected, Expected::Text("你好".into()));
    let set = read(&QA, &dir.path().join("mmau.json")).expect("a set");
    let asked = "What? Please choose the answer from the following options: dog; cat.";
    assert_eq!((set.items[0].question.as_deref(), set.items[0].class.join(" ")), (Some(asked), "sound easy".to_owned()));
    assert!(set.skipped[0].why.contains("cow") && set.skipped[1].why.contains("no question"), "{:?}", set.skipped);
    let error = read(&QA, dir.path()).expect_err("two manifests");
    assert!(error.message().contains("mmau.json") && error.message().contains("covost"), "{error}");
}

#[test]
fn labelled_stream_with_a_mode_or_group_that_is_not_text_is_skipped() {
    let rows = [r#"{"path": "a.wav", "mode": ["sounds"], "replies": []}"#, r#"{"id": 2, "path": "a.wav", "group": {}, "replies": []}"#];
    let dir = folder(&[("m.jsonl", &[rows[0], rows[1], r#"{"id": 3, "path": "a.wav", "replies": []}"#].join("\n")), ("a.wav", "")]);
    let set = read(&EvalTask::Streams { to: Language::Chinese }, dir.path()).expect("a set");
    let whys: Vec<&str> = set.skipped.iter().map(|skipped| skipped.why.as_str()).collect();
    assert_eq!((whys, set.items.len()), (vec!["the mode is not text", "the group is not text"], 1));
}

#[test]
fn empty_data_set_is_an_error_that_names_the_expected_files() {
    let dir = folder(&[("readme.txt", "")]);
    for (task, word) in [(EvalTask::PROACTIVE, "RESPOND"), (EvalTask::Asr { language: Language::English }, "trans.txt"), (QA, "manifest")] {
        let error = read(&task, dir.path()).expect_err("empty");
        assert!(error.message().contains(word), "{error}");
    }
    let error = read(&QA, &dir.path().join("readme.txt")).expect_err("no manifest");
    assert!(error.message().contains("a folder or a manifest"), "{error}");
    let error = read(&QA, &dir.path().join("gone")).expect_err("missing");
    assert!(error.message().contains("gone"), "{error}");
    let dir = folder(&[("m.jsonl", "{}\n{}\n")]);
    assert!(read(&QA, dir.path()).expect_err("no usable row").message().contains("none of its 2 rows"));
}
