//! `hearken bench`: measures the speed of a model on this machine.
//!
//! Medians over repeated calls of the functions of a session, a minute of scripted listening, or a recommendation of precision
//! and modes.

mod recommend;
mod scenario;

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::config::{BenchOptions, BenchSubject, BenchTask, ComputeDevice, Paths, Precision, ReportFormat};
use crate::error::Result;
use crate::hub;
use crate::mel::{LogMel, MaxWindow};
use crate::model::kernels::{InstructionSet, peaks::HardwarePeaks};
use crate::model::speed::{filled_cache, median_compaction_ms, median_ms, median_pass_ms};
use crate::model::{Input, Model, Read};
use crate::time::{CHUNK_SAMPLES, CHUNK_SECS};

/// Repetitions of each measurement, an odd number: the median is reported.
const RUNS: usize = 15;

/// Runs the measurement `options.task` and prints the report to stdout.
///
/// # Errors
/// If the model cannot be loaded, the context does not fit it, inference fails, or stdout cannot be written.
pub fn run(options: &BenchOptions) -> Result<()> {
    if let Some(threads) = options.threads {
        crate::model::use_threads(threads);
    }
    let report = match options.task {
        BenchTask::Figures => figures(options)?,
        BenchTask::Scenario(which) => scenario::run(&Arc::new(load(options, options.precision)?), which, options)?,
        BenchTask::Recommend => recommend::run(options)?,
    };
    print(&with_ceilings(report), options.format)
}

/// Loads the model of `options` on the CPU, or makes random weights of the 3B's sizes. Without a `precision`: the folder's default,
/// or 4 bits for random weights.
fn load(options: &BenchOptions, precision: Option<Precision>) -> Result<Model> {
    match &options.subject {
        BenchSubject::Model(choice) => {
            let found = hub::find(choice, &Paths::find()?)?;
            Model::load(&found.folder, &found.name, precision, ComputeDevice::Cpu)
        }
        BenchSubject::Shape3b => Model::random_3b(precision.unwrap_or(Precision::Q4)),
    }
}

/// Returns a chunk of sound, always the same noise: the content does not affect the time.
fn noise() -> [f32; CHUNK_SAMPLES] {
    std::array::from_fn(|n| 0.1 * ((n * n % 977) as f32 / 488.0 - 1.0))
}

/// Measures each step of a live chunk (log-mel, encoder, listening pass, one reply token) and a trim of the context window. Returns
/// the report, times in milliseconds.
fn figures(options: &BenchOptions) -> Result<Value> {
    let begun = Instant::now();
    let model = load(options, options.precision)?;
    let load_ms = begun.elapsed().as_secs_f64() * 1e3;
    let chunk = noise();
    let mut log_mel = LogMel::new(MaxWindow::Last45Secs);
    let mel_ms = median_ms(RUNS, || {
        log_mel.step(&chunk);
        Ok(())
    })?;
    let mel = log_mel.step(&chunk);
    let encode_ms = median_ms(RUNS, || model.encode(mel.as_slice()).map(drop))?;
    let features = model.encode(mel.as_slice())?;
    let ids = model.ids();
    let filled = filled_cache(&model, options.context)?;
    let listen = [Input::Token(ids.keep_silence), Input::Token(ids.audio_begin), Input::Features(features), Input::Token(ids.assistant)];
    // A decision is read at the last row.
    let decision_row = listen.iter().map(Input::rows).sum::<usize>() - 1;
    let listen_ms = median_pass_ms(&model, &filled, options.lanes, &listen, (decision_row, Read::Decision), RUNS)?;
    let decode_ms = median_pass_ms(&model, &filled, options.lanes, &[Input::Token(ids.pad)], (0, Read::Row), RUNS)?;
    let trim_ms = median_compaction_ms(&model, &filled, RUNS)?;
    let chunk_ms = mel_ms + encode_ms + listen_ms;
    Ok(json!({
        "model": model.name(),
        "precision": model.precision().name(),
        "threads": crate::model::threads(),
        "context": options.context,
        "lanes": options.lanes,
        "mel_ms": round(mel_ms),
        "encode_ms": round(encode_ms),
        "listen_ms": round(listen_ms),
        "decode_ms": round(decode_ms),
        "chunk_ms": round(chunk_ms),
        "real_time_factor": round(chunk_ms / (CHUNK_SECS * 1e3)),
        // After the decision, two decoder steps: TEXT_BEGIN yields the emotion tag, and the tag yields the first text token.
        "first_text_ms": round(chunk_ms + 2.0 * decode_ms),
        // The window is trimmed when it is full; here it has the size `context`.
        "trim_ms": round(trim_ms),
        "load_ms": round(load_ms),
        "peak_rss_mb": peak_rss_mb(),
    }))
}

/// Adds the instruction set of the kernels and the measured peak rates of arithmetic and memory to the report.
fn with_ceilings(mut report: Value) -> Value {
    let ceilings = HardwarePeaks::measure();
    if let Some(fields) = report.as_object_mut() {
        fields.insert("kernels".into(), InstructionSet::best().name().into());
        fields.insert("int8_gops_peak".into(), ceilings.int8_gops.round().into());
        fields.insert("memory_gb_s_peak".into(), round(ceilings.memory_gb_s).into());
    }
    report
}

/// Returns `number` rounded to two decimals.
fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// Prints `report` to stdout: as one line of JSON, or as a line `name value` for each field.
fn print(report: &Value, format: ReportFormat) -> Result<()> {
    let text = match format {
        ReportFormat::Json => report.to_string(),
        ReportFormat::Text => {
            let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let line = |(name, value): (&String, &Value)| format!("{name:<18}{}\n", shown(value));
            report.as_object().map(|o| o.iter().map(line).collect::<String>()).unwrap_or_default().trim_end().to_owned()
        }
    };
    crate::console::print(&mut std::io::stdout(), text)
}

/// Returns the peak resident memory of this process, in MiB; None where the system does not report it (all but Linux).
fn peak_rss_mb() -> Option<u64> {
    crate::model::memory::peak_resident().map(|bytes| bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ModelChoice;

    /// Fields of the report, on which scripts rely.
    const FIGURES: [&str; 15] = [
        "model",
        "precision",
        "threads",
        "context",
        "lanes",
        "mel_ms",
        "encode_ms",
        "listen_ms",
        "decode_ms",
        "chunk_ms",
        "real_time_factor",
        "first_text_ms",
        "trim_ms",
        "load_ms",
        "peak_rss_mb",
    ];

    #[test]
    fn report_has_exactly_the_documented_fields() {
        let options = BenchOptions {
            subject: BenchSubject::Model(ModelChoice::Dir(concat!(env!("CARGO_MANIFEST_DIR"), "/models/fixture").into())),
            precision: Some(Precision::Q8),
            threads: None,
            context: 128,
            lanes: 2,
            task: BenchTask::Figures,
            format: ReportFormat::Json,
        };
        let report = figures(&options).unwrap();
        let mut names: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
        let mut documented = FIGURES.to_vec();
        names.sort_unstable();
        documented.sort_unstable();
        assert_eq!(names, documented);
        assert!(report["trim_ms"].as_f64().unwrap() > 0.0);
    }
}
