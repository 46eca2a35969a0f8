//! Typed questions in the offline task layout, against transformers on the random checkpoint (`tests/golden/typed`) and through
//! `hearken eval qa --instruction text`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot continue fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use candle_core::{Device, Tensor, safetensors};
use hearken::config::{ComputeDevice, Precision};
use hearken::eval::typed_qa::prompt;
use hearken::mel;
use hearken::model::sampler::argmax;
use hearken::model::text::StreamingText;
use hearken::model::{Features, Input, Logits, Model, Read, Segment, quantise};
use serde_json::Value;
use smallvec::smallvec;

/// The largest accepted difference of a feature (values reach 5).
const FEATURES: f32 = 2e-4;
/// The largest accepted difference of a logit, end to end (values reach 22).
const LOGITS: f32 = 1e-3;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(&fs::read_to_string(golden("typed/typed.json")).unwrap()).unwrap();
    file["cases"].as_array().unwrap().clone()
}

fn model(folder: &str, precision: Precision) -> Model {
    Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), folder, Some(precision), ComputeDevice::Cpu).unwrap()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| number(id) as u32).collect()
}

fn given(features: &Features) -> Vec<f32> {
    features.values().unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Returns the case's part of its recording, as 16-bit samples.
fn pcm(case: &Value) -> Vec<i16> {
    let path = golden("wav").join(format!("{}.wav", case["recording"].as_str().unwrap()));
    let samples = hound::WavReader::open(path).unwrap().into_samples::<i16>().map(Result::unwrap);
    samples.take(number(&case["samples"])).collect()
}

fn sound(case: &Value) -> Vec<f32> {
    pcm(case).into_iter().map(|s| f32::from(s) / 32_768.0).collect()
}

/// Replies greedily; returns the logits of the first token, the tokens without TEXT_END, and the positions fed before.
fn reply(model: &Model, features: Features, question: Option<&str>) -> (Vec<f32>, Vec<u32>, usize) {
    let (mut inputs, begin) = prompt(model, features, question).unwrap();
    inputs.extend(begin.into_iter().map(Input::Token));
    let fed = inputs.iter().map(Input::rows).sum();
    let (mut cache, mut first, mut said) = (model.new_cache(), Vec::new(), Vec::new());
    loop {
        let last = inputs.iter().map(Input::rows).sum::<usize>() - 1;
        let segment = Segment { cache: &mut cache, inputs, reads: smallvec![(last, Read::Row)] };
        let Logits::Row(row) = model.pass(&mut [segment]).unwrap().remove(0) else { panic!("a row was asked for") };
        let token = argmax(&row) as u32;
        if first.is_empty() {
            first = row;
        }
        if token == model.ids().text_end || said.len() == 64 {
            return (first, said, fed);
        }
        said.push(token);
        inputs = smallvec![Input::Token(token)];
    }
}

fn furthest(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Returns the distance of `got` from `want`, relative to the length of `want`.
fn distance(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let squares = |of: &mut dyn Iterator<Item = f32>| of.map(|v| v * v).sum::<f32>();
    (squares(&mut got.iter().zip(want).map(|(a, b)| a - b)) / squares(&mut want.iter().copied())).sqrt()
}

#[test]
fn features_and_replies_of_whole_recordings_match_transformers() {
    let model = model("models/fixture", Precision::F32);
    let recorded = safetensors::load(golden("typed/typed.safetensors"), &Device::Cpu).unwrap();
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        let blocks = mel::recording_blocks(&sound(&case));
        assert_eq!(blocks.iter().map(|block| block.len() / mel::N_MELS).sum::<usize>(), number(&case["frames"]), "{name}");
        let features = model.encode_recording(&blocks).unwrap();
        let width = model.decoder().n_embd();
        assert_eq!((features.rows(), given(&features).len()), (number(&case["features"]), number(&case["features"]) * width), "{name}");
        if let Some(want) = recorded.get(&format!("features.{name}")) {
            let got: Vec<f32> = given(&features).chunks_exact(width).step_by(number(&case["every"])).flatten().copied().collect();
            let far = furthest(&got, &numbers(want));
            println!("{name}: features differ by {far:e}");
            assert!(far <= FEATURES, "{name}: {far}");
        }
        let (first, said, fed) = reply(&model, features, case["question"].as_str());
        let far = furthest(&first, &numbers(&recorded[&format!("logits.{name}")]));
        println!("{name}: logits differ by {far:e}, {said:?}");
        assert!(far <= LOGITS, "{name}: {far}");
        assert_eq!((said, fed), (ids(&case["reply"]), number(&case["positions"])), "{name}");
    }
}

/// Rounded weights give other features; their error for whole recordings is compared with that for live chunks, which `accuracy.rs`
/// bounds.
#[test]
fn quantisation_error_of_recordings_is_that_of_live_chunks() {
    let case = &cases()[0];
    let samples = sound(case);
    let whole = |model: &Model| given(&model.encode_recording(&mel::recording_blocks(&samples)).unwrap());
    let chunks = |model: &Model| -> Vec<f32> {
        mel::recording_chunks(&samples).iter().flat_map(|chunk| given(&model.encode(chunk.as_slice()).unwrap())).collect()
    };
    for folder in ["models/fixture", "models/starter"] {
        let exact = model(folder, Precision::F32);
        for precision in [Precision::Q8, Precision::Q4] {
            let rounded = model(folder, precision);
            let (of_whole, of_chunks) = (distance(&whole(&rounded), &whole(&exact)), distance(&chunks(&rounded), &chunks(&exact)));
            println!("{folder}, {precision:?}: {of_whole} of a recording, {of_chunks} of chunks");
            assert!(of_whole <= 1.5 * of_chunks && of_chunks < 0.5, "{folder}, {precision:?}: {of_whole} and {of_chunks}");
        }
    }
}

#[test]
fn every_precision_replies_to_a_recording() {
    let case = &cases()[1];
    let blocks = mel::recording_blocks(&sound(case));
    let exact = model("models/fixture", Precision::F32);
    let (want, ..) = reply(&exact, exact.encode_recording(&blocks).unwrap(), case["question"].as_str());
    for (precision, bound) in [(Precision::Bf16, 0.1), (Precision::Q8, 0.1), (Precision::Q4, 0.6)] {
        let model = model("models/fixture", precision);
        let (first, _, fed) = reply(&model, model.encode_recording(&blocks).unwrap(), case["question"].as_str());
        let far = distance(&first, &want);
        println!("{precision:?}: logits differ by {far} of their length");
        assert!(far <= bound && fed == number(&case["positions"]), "{precision:?}: {far}");
    }
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
    quantise(&fixture, Precision::Q8, dir.path(), |_, _| std::ops::ControlFlow::Continue(())).unwrap();
    let (file, packed) = (Model::load(dir.path(), "file", None, ComputeDevice::Cpu).unwrap(), model("models/fixture", Precision::Q8));
    let of = |model: &Model| reply(model, model.encode_recording(&blocks).unwrap(), case["question"].as_str());
    assert!(of(&file) == of(&packed), "weights from a file give the same logits");
}

#[test]
fn recording_is_padded_to_whole_hops_and_one_sample_gives_one_feature() {
    let model = model("models/fixture", Precision::F32);
    let samples = sound(&cases()[0]);
    let features = |n: usize| model.encode_recording(&mel::recording_blocks(&samples[..n])).unwrap();
    // Explicit zeros equal the padding.
    let mut padded = samples[..32_001].to_vec();
    padded.resize(32_160, 0.0);
    assert_eq!(given(&features(32_001)), given(&model.encode_recording(&mel::recording_blocks(&padded)).unwrap()));
    for (n, frames, rows) in [(1, 3, 1), (480, 3, 1), (481, 4, 1), (1_120, 7, 2), (32_000, 200, 50), (32_001, 201, 50), (32_480, 203, 51)] {
        assert_eq!(mel::recording_blocks(&samples[..n]).concat().len(), frames * mel::N_MELS, "{n} samples");
        // A last block of one or two frames has one position without a partner.
        assert_eq!(features(n).rows(), rows, "{n} samples");
    }
    // Live chunks hold the same values, cut differently.
    let (chunks, blocks) = (mel::recording_chunks(&samples[..32_000]), mel::recording_blocks(&samples[..32_000]));
    for (at, chunk) in chunks.iter().enumerate() {
        for (bin, frames) in chunk.as_slice().chunks_exact(40).enumerate() {
            assert_eq!(frames, &blocks[0][bin * 200 + at * 40..][..40], "chunk {at}, bin {bin}");
        }
    }
}

/// A folder with a data set, settings and evaluation runs.
struct EvalFolder(tempfile::TempDir);

impl EvalFolder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, samples: &[i16]) {
        let spec = hound::WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
        let mut writer = hound::WavWriter::create(self.0.path().join(name), spec).unwrap();
        samples.iter().for_each(|s| writer.write_sample(*s).unwrap());
        writer.finalize().unwrap();
    }

    fn manifest(&self, rows: &[Value]) {
        fs::write(self.0.path().join("set.jsonl"), rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")).unwrap();
    }

    fn ask(&self, model: &Path, out: &str, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
        command
            .args(["eval", "qa", "--instruction", "text", "--data", "set.jsonl", "--threads", "2", "--out", out, "--model"])
            .arg(model)
            .args(more);
        command.env("HEARKEN_HOME", self.0.path().join("home")).stdin(Stdio::null()).current_dir(self.0.path());
        command.output().unwrap()
    }

    fn report(&self, out: &str) -> (Value, Vec<Value>) {
        let read = |name: &str| fs::read_to_string(self.0.path().join(out).join(name)).unwrap();
        let predictions = read("predictions.jsonl").lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        (serde_json::from_str(&read("report.json")).unwrap(), predictions)
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn figure(report: &Value, key: &str) -> f64 {
    report["figures"].as_array().unwrap().iter().find(|f| f["key"] == key).unwrap()["value"].as_f64().unwrap()
}

#[test]
fn eval_asks_typed_questions_and_counts_recordings_cut_at_20_s() {
    let bench = EvalFolder::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
    let vocabulary = model("models/fixture", Precision::F32);
    let vocabulary = vocabulary.vocabulary();
    let mut rows = Vec::new();
    for case in cases() {
        let name = case["name"].as_str().unwrap();
        let mut samples = pcm(&case);
        if name == "longest" {
            // One recording is longer: nothing after 20 s is heard.
            samples.extend((0..24_000_i32).map(|n| (n * n % 20_011) as i16));
        }
        bench.write(&format!("{name}.wav"), &samples);
        rows.push(serde_json::json!({"id": name, "path": format!("{name}.wav"), "question": case["question"], "answers": ["x"]}));
    }
    bench.write("click.wav", &[9_000]);
    rows.push(serde_json::json!({"id": "click", "path": "click.wav", "question": "What is it?", "answers": ["x"]}));
    rows.push(serde_json::json!({"id": "endless", "path": "click.wav", "question": "how are you ".repeat(900), "answers": ["x"]}));
    bench.manifest(&rows);
    for lanes in ["1", "8"] {
        let output = bench.ask(&fixture, lanes, &["--lanes", lanes, "--precision", "f32"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let (report, predictions) = bench.report(lanes);
        assert_eq!((&report["rows"], &report["scored"]), (&5.into(), &4.into()), "{report}");
        assert!(
            report["skipped"][0]["row"] == "endless" && report["skipped"][0]["why"].as_str().unwrap().contains("its question takes"),
            "{report}"
        );
        assert_eq!(figure(&report, "cut"), 1.0);
        assert!(
            report["settings"]["layout"].as_str().unwrap().contains("offline") && report["settings"]["eagerness"].is_null(),
            "{report}"
        );
        for case in cases() {
            let prediction = predictions.iter().find(|p| p["id"] == case["name"]).unwrap();
            let mut text = StreamingText::default();
            let tokens = ids(&case["reply"]);
            tokens.iter().for_each(|token| drop(text.step(*token, vocabulary)));
            text.finish(vocabulary);
            let reply = &prediction["replies"][0];
            assert_eq!((reply["text"].as_str(), reply["stop"].as_str()), (Some(text.text()), Some("end")), "{prediction}");
            assert_eq!(reply["emotion"], if tokens[0] == 617 { "surprise" } else { "normal" });
            let heard = (number(&case["samples"])).next_multiple_of(160) as f64 / 16_000.0;
            assert_eq!(prediction["audio_secs"].as_f64(), Some(heard), "{prediction}");
            assert_eq!(prediction["left_out_secs"].as_f64(), (case["name"] == "longest").then_some(1.5), "{prediction}");
        }
    }
    let again = bench.ask(&fixture, "1", &["--precision", "f32", "--resume"]);
    assert!(again.status.code() == Some(1) && said(&again).contains("5 of 5 items were finished by an earlier run"), "{}", said(&again));
}

#[test]
fn checkpoint_without_the_tokens_of_the_layout_is_refused() {
    let bench = EvalFolder::new();
    bench.write("a.wav", &[0; 16_000]);
    bench.manifest(&[serde_json::json!({"id": "a", "path": "a.wav", "question": "What is it?", "answers": ["x"]})]);
    // The folder lists its ids, but lacks one that the layout needs.
    let (fixture, folder) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture"), bench.0.path().join("without"));
    fs::create_dir_all(folder.join("qwen25OmniConfig")).unwrap();
    for inside in ["", "qwen25OmniConfig"] {
        for file in fs::read_dir(fixture.join(inside)).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            fs::copy(&file, folder.join(inside).join(file.file_name().unwrap())).unwrap();
        }
    }
    let listed = fs::read_to_string(fixture.join("token_ids.json")).unwrap();
    for name in ["OFFLINE", "USER", "AUDIO_END"] {
        fs::write(folder.join("token_ids.json"), listed.replace(&format!("\"{name}\""), "\"GONE\"")).unwrap();
        let refused = bench.ask(&folder, name, &[]);
        let why = said(&refused);
        assert!(refused.status.code() == Some(2) && why.contains(&format!("the id of {name} is missing")), "{why}");
        assert!(why.contains("token_ids.json") && why.contains("--model") && !bench.0.path().join(name).exists(), "{why}");
    }
    // The starter has the tokens but was not trained for the layout: the report notes it.
    let output = bench.ask(Path::new("starter"), "starter", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(bench.report("starter").0["notes"].to_string().contains("was not trained to answer typed questions"));
    let eager = bench.ask(&fixture, "eager", &["--eagerness", "1"]);
    assert!(eager.status.code() == Some(2) && said(&eager).contains("--eagerness"), "{}", said(&eager));
}
