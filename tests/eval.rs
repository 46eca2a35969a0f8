//! `hearken eval` from the command line with the starter, on small generated data sets: report structure, resuming, and agreement
//! with `hearken listen`. The starter's scores are not tested here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A temporary folder with data sets, settings and runs.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn hearken(&self, line: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
        command.args(line).env("HEARKEN_HOME", self.0.path().join("home")).stdin(Stdio::null()).current_dir(self.0.path());
        command.output().unwrap()
    }

    /// Runs `eval`, checks the exit code, and returns the report.
    fn eval(&self, line: &[&str], out: &str, code: i32) -> Value {
        let words: Vec<&str> = ["eval"].into_iter().chain(line.iter().copied()).chain(["--out", out, "--threads", "2"]).collect();
        let output = self.hearken(&words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line:?}: {said}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("rows scored"), "the summary is on stdout");
        assert!(said.contains("items"), "progress is on stderr: {said}");
        let markdown = fs::read_to_string(self.path(out).join("report.md")).unwrap();
        assert!(markdown.starts_with("# ") && markdown.contains("## Settings"));
        serde_json::from_str(&fs::read_to_string(self.path(out).join("report.json")).unwrap()).unwrap()
    }

    fn predictions(&self, out: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(out).join("predictions.jsonl")).unwrap();
        text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Writes half a second of background noise, `secs` of a sound, and half a second of noise.
    fn sound(&self, name: &str, secs: f32, wave: impl Fn(f32) -> f32) {
        let spec = hound::WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
        let mut writer = hound::WavWriter::create(self.path(name), spec).unwrap();
        let edge = 8_000_i32;
        let inside = (secs * 16_000.0) as i32;
        let mut noise = 1_u32;
        for n in 0..2 * edge + inside {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let room = (noise >> 16) as f32 / 65_536.0 - 0.5;
            let heard = if (edge..edge + inside).contains(&n) { wave((n - edge) as f32 / 16_000.0) } else { 0.0 };
            writer.write_sample((20_000.0 * heard + 10.0 * room) as i16).unwrap();
        }
        writer.finalize().unwrap();
    }

    fn speech(&self, name: &str) {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/audio/speech.flac"), self.path(name)).unwrap();
    }

    /// Copies the fixture with the `lm_head` row of TEXT_END set to zero: among 768 random logits it is never the largest.
    fn model_without_an_end(&self, name: &str) {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
        let folders = ["", "qwen25OmniConfig"];
        for file in folders.iter().flat_map(|folder| fs::read_dir(fixture.join(folder)).unwrap()).map(|e| e.unwrap().path()) {
            if file.is_file() {
                fs::copy(&file, self.path(&format!("{name}/{}", file.strip_prefix(&fixture).unwrap().display()))).unwrap();
            }
        }
        let shard = self.path(name).join("model-00002-of-00002.safetensors");
        let mut bytes = fs::read(&shard).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let about: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
        let number = |value: &Value| value.as_u64().unwrap() as usize;
        let (from, row) = (number(&about["lm_head.weight"]["data_offsets"][0]), 4 * number(&about["lm_head.weight"]["shape"][1]));
        let ids: Value = serde_json::from_slice(&fs::read(fixture.join("token_ids.json")).unwrap()).unwrap();
        bytes[8 + header + from + row * number(&ids["ids"]["TEXT_END"])..][..row].fill(0);
        fs::write(&shard, bytes).unwrap();
    }

    /// Writes RESPOND and IGNORE clips.
    fn clips(&self) {
        let tone = |hz: f32| move |t: f32| (std::f32::consts::TAU * hz * t).sin();
        self.sound("set/home/RESPOND/siren.wav", 1.5, |t| (std::f32::consts::TAU * (900.0 * t + 200.0 * (4.0 * t).sin())).sin());
        self.sound("set/home/RESPOND/beep.wav", 1.0, |t| if (t * 4.0) as i32 % 2 == 0 { tone(2_000.0)(t) } else { 0.0 });
        self.sound("set/home/IGNORE/hum.wav", 1.5, tone(100.0));
        self.sound("set/street/IGNORE/click.wav", 0.1, tone(3_000.0));
        self.sound("set/street/RESPOND/horn.wav", 0.8, |t| tone(440.0)(t) * 0.5 + tone(554.0)(t) * 0.4);
        self.speech("set/street/IGNORE/speech.flac");
    }
}

fn figure(report: &Value, key: &str) -> f64 {
    let figures = report["figures"].as_array().unwrap();
    figures.iter().find(|f| f["key"] == key).unwrap_or_else(|| panic!("no {key} in {report}"))["value"].as_f64().unwrap()
}

fn margins(prediction: &Value) -> Vec<f64> {
    prediction["margins"].as_array().unwrap().iter().map(|m| m.as_f64().unwrap()).collect()
}

#[test]
fn proactive_predictions_match_listen_and_the_curve_passes_through_them() {
    let bench = Bench::new();
    bench.clips();
    let report = bench.eval(&["proactive", "--data", "set", "--lanes", "3"], "run", 0);
    assert_eq!((&report["rows"], &report["scored"]), (&6.into(), &6.into()));
    let predictions = bench.predictions("run");
    assert_eq!(predictions.len(), 6);
    for prediction in &predictions {
        let id = prediction["id"].as_str().unwrap();
        let file = format!("set/{id}");
        let heard = bench.hearken(&["listen", &file, "--modes", "dialog", "--format", "jsonl", "--margins"]);
        let events: Vec<Value> = String::from_utf8(heard.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let of = |kind: &str| events.iter().filter(|e| e["type"] == kind).cloned().collect::<Vec<_>>();
        let replies = prediction["replies"].as_array().unwrap();
        let texts = |list: &[Value]| list.iter().map(|r| r["text"].clone()).collect::<Vec<_>>();
        assert_eq!(texts(replies), texts(&of("reply_finished")), "{id}");
        let times = of("reply_started").iter().map(|e| e["at"].as_f64().unwrap()).collect::<Vec<_>>();
        assert_eq!(replies.iter().map(|r| r["at_secs"].as_f64().unwrap()).collect::<Vec<_>>(), times, "{id}");
        // The silent lane has the same context as the device up to its first response.
        let decisions = of("decision");
        assert_eq!(margins(prediction).len(), decisions.len(), "a margin for each chunk of {id}");
        let first = decisions.iter().position(|d| d["silent"] == false).map_or(decisions.len(), |at| at + 1);
        for (own, decision) in margins(prediction)[..first].iter().zip(&decisions) {
            assert!((own - decision["margin"].as_f64().unwrap()).abs() < 1e-3, "{id}: {own} and {decision}");
        }
        let largest = margins(prediction).into_iter().fold(f64::NEG_INFINITY, f64::max);
        assert_eq!(largest > 0.0, !replies.is_empty(), "{id}");
        // The sounds start after half a second of noise.
        if id != "street/IGNORE/speech.flac" {
            assert!((prediction["onset_secs"].as_f64().unwrap() - 0.5).abs() < 0.05, "{prediction}");
        }
    }
    assert!(fs::read_to_string(bench.path("run").join("curve.svg")).unwrap().starts_with("<svg"));
    assert!((0.0..=1.0).contains(&figure(&report, "auc")));
    let alone = bench.eval(&["proactive", "--data", "set", "--lanes", "1"], "alone", 0);
    assert_eq!(figure(&alone, "accuracy"), figure(&report, "accuracy"), "items do not influence each other");
}

#[test]
fn repeated_run_gives_equal_files_and_eagerness_moves_along_the_curve() {
    let bench = Bench::new();
    bench.clips();
    bench.eval(&["proactive", "--data", "set"], "a", 0);
    bench.eval(&["proactive", "--data", "set"], "b", 0);
    for name in ["predictions.jsonl", "report.json", "report.md", "curve.svg"] {
        assert!(fs::read(bench.path("a").join(name)).unwrap() == fs::read(bench.path("b").join(name)).unwrap(), "{name}");
    }
    let eager = bench.eval(&["proactive", "--data", "set", "--eagerness", "900"], "eager", 0);
    assert_eq!((figure(&eager, "recall"), figure(&eager, "false_alarm_rate")), (1.0, 1.0));
    let mute = bench.eval(&["proactive", "--data", "set", "--eagerness", "-900"], "mute", 0);
    assert_eq!((figure(&mute, "recall"), figure(&mute, "false_alarm_rate"), figure(&mute, "accuracy")), (0.0, 0.0, 0.5));
    let output = bench.hearken(&["eval", "compare", "mute", "eager", "--out", "compared"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for word in ["recall", "+100.00", "eagerness", "-900", "6 of 6"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(bench.path("compared").join("report.md").is_file());
    let again = bench.hearken(&["eval", "compare", "mute", "eager", "--out", "mute"]);
    assert!(
        again.status.code() == Some(2) && String::from_utf8_lossy(&again.stderr).contains("exists already"),
        "the run keeps its report"
    );
    assert_eq!(bench.hearken(&["eval", "compare", "mute", "eager", "--out", "compared", "--force"]).status.code(), Some(0));
}

#[test]
fn multi_style_shares_sessions_and_background_is_counted_per_hour() {
    let bench = Bench::new();
    bench.clips();
    bench.sound("rooms/kitchen.wav", 6.0, |t| 0.02 * (std::f32::consts::TAU * 50.0 * t).sin());
    let report = bench.eval(&["proactive", "--data", "set", "--style", "multi", "--background", "rooms"], "run", 0);
    assert_eq!(report["scored"], 6);
    let predictions = bench.predictions("run");
    assert_eq!(predictions.iter().filter(|p| p["condition"] == "background").count(), 1);
    assert!(figure(&report, "alarms_an_hour") >= 0.0);
    assert!(predictions.iter().all(|p| p.get("margins").is_none()), "margins are recorded for single clips only");
}

#[test]
fn resumed_run_gives_the_same_files_as_an_uninterrupted_one() {
    let bench = Bench::new();
    bench.clips();
    let whole = bench.eval(&["proactive", "--data", "set", "--lanes", "1"], "run", 0);
    let again = bench.hearken(&["eval", "proactive", "--data", "set", "--out", "run"]);
    assert_eq!(again.status.code(), Some(2), "existing predictions are not overwritten");
    assert!(String::from_utf8_lossy(&again.stderr).contains("--resume"));
    let file = bench.path("run").join("predictions.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&file, format!("{}\n{}\n{}\n{}", lines[0], lines[1], lines[2], &lines[3][..20])).unwrap();
    let report = bench.path("run").join("report.json");
    fs::remove_file(&report).unwrap();
    fs::create_dir(&report).unwrap();
    let unwritten = bench.hearken(&["eval", "proactive", "--data", "set", "--lanes", "1", "--resume", "--out", "run"]);
    let said = String::from_utf8_lossy(&unwritten.stderr).into_owned();
    assert!(unwritten.status.code() == Some(2) && said.contains("all 6 predictions are kept; --resume"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "predictions survive a report that cannot be written");
    fs::remove_dir(&report).unwrap();
    let resumed = bench.eval(&["proactive", "--data", "set", "--lanes", "1", "--resume"], "run", 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "no item was repeated or lost");
    assert_eq!(resumed, whole);
    let other = bench.hearken(&["eval", "proactive", "--data", "set", "--out", "run", "--resume", "--limit", "2"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another items"), "{}", String::from_utf8_lossy(&other.stderr));
}

#[test]
fn silent_and_endless_models_are_told_apart_and_both_runs_end() {
    let bench = Bench::new();
    bench.sound("set/a.wav", 0.1, |t| (900.0 * t).sin());
    fs::write(bench.path("set/m.jsonl"), r#"{"path": "a.wav", "text": "hello"}"#).unwrap();
    bench.model_without_an_end("random");
    let line = |eagerness: &'static str| ["asr", "--data", "set", "--model", "random", "--eagerness", eagerness];
    let mute = bench.eval(&line("-900"), "mute", 0);
    assert_eq!(["wer", "deletions", "silent", "loops", "endless"].map(|key| figure(&mute, key)), [1.0, 1.0, 1.0, 0.0, 0.0]);
    // Every reply ends as a repetition or at the limit.
    let endless = bench.eval(&line("900"), "endless", 0);
    let stopped = figure(&endless, "loops") + figure(&endless, "endless");
    let replies = bench.predictions("endless")[0]["replies"].as_array().unwrap().len();
    assert!(stopped == replies as f64 && replies >= 1, "{endless}");
    assert!(figure(&endless, "wer") >= 1.0 && figure(&endless, "silent") == 0.0);
}

/// Draws a number below `below` (xorshift64*).
fn drawn(state: &mut u64, below: u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % below.max(1)
}

/// The process is killed at random moments, from before the model is loaded to after the report. A kill in the middle of a line cannot
/// be timed, so some rounds also truncate the file.
#[cfg(unix)]
#[test]
fn run_killed_at_any_moment_repeats_no_item_and_loses_no_stored_one() {
    let bench = Bench::new();
    bench.clips();
    let line = ["proactive", "--data", "set", "--lanes", "2"];
    let begun = std::time::Instant::now();
    let undisturbed = bench.eval(&line, "whole", 0);
    let lasts_ms = begun.elapsed().as_millis() as u64;
    let by_id = |out: &str| {
        let mut all = bench.predictions(out);
        all.sort_by_key(|p| p["id"].as_str().unwrap().to_owned());
        all
    };
    let whole = by_id("whole");
    let folder = bench.path("run");
    let file = folder.join("predictions.jsonl");
    let kept = |file: &Path| fs::read(file).map(|text| text[..text.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1)].to_vec());
    let mut seed = 20_261_126;
    let mut rounds = 0;
    while rounds < 16 {
        rounds += 1;
        let before = kept(&file).unwrap_or_default();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
        command.arg("eval").args(line).args(["--threads", "2", "--resume", "--out", "run"]);
        command.env("HEARKEN_HOME", bench.0.path().join("home")).current_dir(bench.0.path());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(drawn(&mut seed, lasts_ms + lasts_ms / 4)));
        // SIGKILL cannot be handled.
        let _ = child.kill();
        child.wait().unwrap();
        let after = kept(&file).unwrap_or_default();
        assert!(after.starts_with(&before), "round {rounds}: stored predictions stay unchanged");
        if rounds % 3 == 0 && !after.is_empty() {
            let cut = after.len() - drawn(&mut seed, 200.min(after.len() as u64)) as usize;
            fs::write(&file, &after[..cut]).unwrap();
        }
        if rounds % 5 == 0 {
            // A report as a power failure may leave it.
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("report.json"), "{\"hearken\": \"0.").unwrap();
            fs::write(folder.join("report.md"), "# pro").unwrap();
        }
    }
    let report = bench.eval(&[&line[..], &["--resume"]].concat(), "run", 0);
    assert_eq!(by_id("run"), whole, "each item once, as in an uninterrupted run");
    assert_eq!(report, undisturbed);
}

#[test]
fn unscorable_rows_are_listed_and_the_exit_code_is_1() {
    let bench = Bench::new();
    bench.clips();
    fs::write(bench.path("set/home/RESPOND/noise.wav"), b"RIFF....WAVEfmt nothing").unwrap();
    fs::write(bench.path("set/home/IGNORE/empty.wav"), b"").unwrap();
    let report = bench.eval(&["proactive", "--data", "set"], "run", 1);
    assert_eq!((&report["rows"], &report["scored"]), (&8.into(), &6.into()));
    let skipped = report["skipped"].as_array().unwrap();
    assert!(skipped.iter().any(|s| s["row"] == "home/IGNORE/empty.wav" && s["why"].as_str().unwrap().contains("empty")), "{skipped:?}");
    assert!(figure(&report, "strict_accuracy") <= figure(&report, "accuracy"));
    // A question longer than the context window skips its own row only.
    bench.speech("asked/a.flac");
    let row = |id: &str, question: &str| {
        serde_json::json!({"id": id, "path": "a.flac", "question": question, "choices": ["hello", "a dog"], "answer": "hello"}).to_string()
    };
    fs::write(bench.path("asked/m.jsonl"), [row("short", "what is it"), row("long", &"how are you ".repeat(900))].join("\n")).unwrap();
    let asked = bench.eval(&["qa", "--data", "asked", "--instruction", "text"], "asked-run", 1);
    assert_eq!((&asked["scored"], &asked["skipped"][0]["row"]), (&1.into(), &"long".into()));
    assert!(asked["skipped"][0]["why"].as_str().unwrap().contains("its question takes"), "{asked}");
    // A damaged file in the middle of a session does not shift the results of the other items.
    let multi = bench.eval(&["proactive", "--data", "set", "--style", "multi"], "multi", 1);
    assert_eq!(multi["scored"], 6);
    for (line, word) in [
        (&["eval", "asr", "--data", "gone", "--out", "x"][..], "gone"),
        (&["eval", "asr", "--data", "set", "--out", "x"], "trans.txt"),
        (&["eval", "compare", "run", "gone"], "gone"),
        (&["eval", "streaming", "--of", "qa", "--instruction", "text", "--data", "set", "--out", "x"], "--instruction audio"),
        (&["eval", "proactive", "--data", "set", "--out", "set/home/IGNORE/empty.wav"], "empty.wav"),
    ] {
        let output = bench.hearken(line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{line:?}: {said}");
        assert!(said.contains(word) && !said.contains("panicked"), "{line:?}: {said}");
    }
}

#[test]
fn every_task_reads_its_published_layout_and_writes_a_report() {
    let bench = Bench::new();
    for name in ["libri/1/2/1-2-0000.flac", "libri/1/2/1-2-0001.flac", "covost/clips/a.flac", "mmau/a.flac"] {
        bench.speech(name);
    }
    bench.sound("mmau/ask.wav", 0.5, |t| (std::f32::consts::TAU * 300.0 * t).sin());
    fs::write(bench.path("libri/1/2/1-2.trans.txt"), "1-2-0000 HELLO\n1-2-0001 HELLO HELLO\n1-2-0002 GONE\n").unwrap();
    let asr = bench.eval(&["asr", "--data", "libri"], "asr", 1);
    assert_eq!((&asr["rows"], &asr["scored"]), (&3.into(), &2.into()));
    assert_eq!(figure(&asr, "said"), 3.0);
    fs::write(bench.path("covost/covost_v2.en_zh-CN.test.tsv"), "path\tsentence\ttranslation\tclient_id\na.flac\tHello.\t你好。\tx\n")
        .unwrap();
    let translate = bench.eval(&["translate", "--data", "covost"], "translate", 0);
    assert!((0.0..=100.0).contains(&figure(&translate, "bleu")) && (0.0..=100.0).contains(&figure(&translate, "chrf")));
    assert!(translate["notes"].to_string().contains("tok:zh"));
    let rows = [
        r#"{"id": "1", "audio_id": "a.flac", "question": "what is it", "question_audio": "ask.wav", "choices": ["hello", "a dog"], "answer": "hello", "task": "speech"}"#,
        r#"{"id": "2", "audio_id": "a.flac", "answers": ["hello"]}"#,
    ];
    fs::write(bench.path("mmau/set.jsonl"), rows.join("\n")).unwrap();
    for instruction in ["audio", "text"] {
        let qa = bench.eval(&["qa", "--data", "mmau", "--instruction", instruction], instruction, 0);
        assert_eq!(qa["scored"], 2);
        assert!([0.0, 1.0].contains(&figure(&qa, "choice")) && [0.0, 1.0].contains(&figure(&qa, "contained")));
    }
    let asked = bench.predictions("audio").into_iter().find(|p| p["id"] == "1").unwrap();
    assert!(asked["question_secs"].as_f64().unwrap() > 1.0, "{asked}");
    let streaming = bench.eval(&["streaming", "--of", "asr", "--data", "libri", "--items", "1,2"], "streaming", 1);
    assert_eq!(bench.predictions("streaming").len(), 4, "each item once per session size");
    assert_eq!(figure(&streaming, "wer_1"), figure(&asr, "wer"), "one item in a session equals the task asr");
    assert_eq!(streaming["tables"][0]["rows"].as_array().unwrap().len(), 2);
    assert!(fs::read_to_string(bench.path("streaming").join("streaming.svg")).unwrap().contains("<polyline"));
}

#[test]
fn context_policies_are_compared_and_trims_are_counted() {
    let bench = Bench::new();
    bench.clips();
    let line = ["streaming", "--of", "proactive", "--data", "set", "--items", "1,6", "--context", "keep_replies,reference,recent_only"];
    let report = bench.eval(&[&line[..], &["--context-positions", "512"]].concat(), "run", 0);
    let table = &report["tables"][0];
    let rows: Vec<Vec<&str>> =
        table["rows"].as_array().unwrap().iter().map(|row| row.as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect()).collect();
    assert_eq!(rows.len(), 6, "each policy with each session size");
    let trims = |at: usize| rows[at].last().unwrap().parse::<usize>().unwrap();
    // Six clips with their silences are about 50 chunks of 13 tokens: more than 512, while one clip fits.
    assert!(trims(0) == 0 && trims(1) > 0 && trims(5) > 0, "{rows:?}");
    assert_eq!(figure(&report, "accuracy_1"), figure(&report, "accuracy_1_recent_only"), "without trimming the policies agree");
    for (line, word) in [
        (&["eval", "asr", "--data", "set", "--out", "x", "--context", "reference,recent_only"][..], "eval streaming"),
        (&["eval", "streaming", "--of", "asr", "--data", "set", "--out", "x", "--context", "reset_when_quiet"], "--gate on"),
        (&["eval", "asr", "--data", "set", "--out", "x", "--context", "forget"], "keep_replies"),
    ] {
        let output = bench.hearken(line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(word), "{line:?}: {said}");
    }
}

#[test]
fn labelled_streams_run_in_their_mode_and_count_in_their_group() {
    let bench = Bench::new();
    bench.speech("streams/a.flac");
    bench.sound("streams/b.wav", 2.0, |_| 0.0);
    let heard = bench.hearken(&["listen", "streams/a.flac", "--modes", "transcribe", "--format", "jsonl"]);
    let finished = String::from_utf8(heard.stdout).unwrap();
    let texts: Vec<String> = finished
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["type"] == "reply_finished")
        .map(|event| event["text"].as_str().unwrap().to_owned())
        .collect();
    let words: Vec<Value> = texts.iter().flat_map(|t| t.split_whitespace()).map(|w| serde_json::json!({"text": w})).collect();
    let rows = [
        serde_json::json!({"id": "1", "path": "a.flac", "mode": "transcribe", "group": "words", "words": words}),
        serde_json::json!({"id": "2", "path": "a.flac", "mode": "transcribe", "group": "order", "sequence": texts}),
        serde_json::json!({"id": "3", "path": "a.flac", "mode": "transcribe", "group": "order", "sequence": ["never said"]}),
        serde_json::json!({"id": "4", "path": "b.wav", "mode": "sounds", "group": "quiet", "replies": []}),
        serde_json::json!({"id": "5", "path": "b.wav", "mode": "sounds", "group": "quiet"}),
    ];
    let manifest: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(bench.path("streams/m.jsonl"), manifest.join("\n")).unwrap();
    let report = bench.eval(&["streams", "--data", "streams"], "run", 1);
    assert_eq!((&report["rows"], &report["scored"]), (&5.into(), &4.into()));
    assert_eq!(figure(&report, "exact_order"), 0.5, "replies equal those of `listen`");
    if !words.is_empty() {
        assert_eq!(figure(&report, "wer_words"), 0.0);
    }
    assert_eq!(figure(&report, "stray_an_hour_quiet"), 0.0, "silence gets no reply");
    let rows = [r#"{"id": "1", "path": "b.wav", "mode": "purring", "replies": []}"#, r#"{"id": "2", "path": "b.wav", "replies": []}"#];
    fs::write(bench.path("streams/m.jsonl"), rows.join("\n")).unwrap();
    let report = bench.eval(&["streams", "--data", "streams"], "half", 1);
    assert_eq!(figure(&report, "stray_an_hour"), 0.0, "without groups the figures cover all streams");
    assert!(report["scored"] == 1 && report["skipped"][0]["why"].as_str().unwrap().contains("purring"), "{report}");
    fs::write(bench.path("streams/m.jsonl"), rows[0]).unwrap();
    let output = bench.hearken(&["eval", "streams", "--data", "streams", "--out", "other"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("purring") && said.contains("transcribe"), "{said}");
    assert!(!bench.path("other").exists(), "no run is started");
}

#[test]
fn readme_explains_every_option_of_eval() {
    let bench = Bench::new();
    let section = include_str!("../src/eval/README.md");
    for task in ["proactive", "asr", "translate", "qa", "streaming", "streams", "compare"] {
        assert!(section.contains(&format!("`{task}`")), "{task}");
        let help = String::from_utf8(bench.hearken(&["eval", task, "--help"]).stdout).unwrap();
        for option in help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 3 && *word != "--help") {
            let option = option.trim_end_matches(|c: char| !c.is_ascii_lowercase());
            assert!(section.contains(option), "the README does not explain {option} of {task}");
        }
    }
}
