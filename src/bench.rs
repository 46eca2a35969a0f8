//! `hearken bench`: how fast this machine runs a model (CONTRACT.md).
//!
//! Medians over repeated calls of the very functions that a session uses. Not responsible for judging them.

use std::time::Instant;

use serde_json::json;

use crate::config::{BenchOptions, BenchSubject, ComputeDevice, Paths, Precision, ReportFormat};
use crate::error::{Error, ErrorKind, Result};
use crate::hub;
use crate::mel::{LogMel, MaxOver};
use crate::model::kernels::{Path, ceilings::Ceilings};
use crate::model::{Input, LaneCache, Model, Read, Segment};
use crate::time::{CHUNK_SAMPLES, CHUNK_SECS};

/// Times that each figure is measured at least.
const RUNS: usize = 5;
/// A figure is measured until this much time has passed, but at least [`RUNS`] times.
const SECS: f64 = 2.0;
/// Rows that the context is filled with at a time.
const FILL_ROWS: usize = 64;

/// Measures what `options` ask for and prints it.
///
/// # Errors
/// When the model cannot be loaded, the context does not fit it, or computing fails.
pub fn run(options: &BenchOptions) -> Result<()> {
    if let Some(threads) = options.threads {
        crate::model::use_threads(threads);
    }
    let begun = Instant::now();
    let model = match &options.subject {
        BenchSubject::Model(choice) => {
            let found = hub::find(choice, &Paths::find()?)?;
            Model::load(&found.folder, &found.name, options.precision, ComputeDevice::Cpu)?
        }
        BenchSubject::Shape3b => Model::random_3b(options.precision.unwrap_or(Precision::Q4))?,
    };
    let load_ms = begun.elapsed().as_secs_f64() * 1e3;
    let figures = Figures::measure(&model, options.context, options.lanes, load_ms)?;
    figures.print(&model, options)
}

struct Figures {
    mel_ms: f64,
    encode_ms: f64,
    listen_ms: f64,
    decode_ms: f64,
    first_text_ms: f64,
    load_ms: f64,
}

impl Figures {
    fn measure(model: &Model, context: usize, lanes: usize, load_ms: f64) -> Result<Self> {
        // A sound that is never the same and never silent; what it is does not matter to the time.
        let chunk: [f32; CHUNK_SAMPLES] = std::array::from_fn(|n| 0.1 * ((n * n % 977) as f32 / 488.0 - 1.0));
        let mut log_mel = LogMel::new(MaxOver::Newest45Secs);
        let mel_ms = median(|| {
            log_mel.step(&chunk);
            Ok(())
        })?;
        let mel = log_mel.step(&chunk);
        let encode_ms = median(|| model.encode(mel.as_slice()).map(drop))?;
        let features = model.encode(mel.as_slice())?;
        let ids = model.ids();
        if context + FILL_ROWS > model.block_size() {
            let why = format!("a context of {context} does not fit the {} positions of {}", model.block_size(), model.name());
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        let filled = fill(model, context)?;
        let listen =
            [Input::Token(ids.keep_silence), Input::Token(ids.audio_begin), Input::Features(features), Input::Token(ids.assistant)];
        let listen_ms = pass(model, &filled, lanes, &listen, (12, Read::Decision))?;
        let decode_ms = pass(model, &filled, lanes, &[Input::Token(ids.pad)], (0, Read::Row))?;
        // After the decision come TEXT_BEGIN, which gives the emotion tag, and the tag, which gives the first text token.
        let first_text_ms = mel_ms + encode_ms + listen_ms + 2.0 * decode_ms;
        Ok(Self { mel_ms, encode_ms, listen_ms, decode_ms, first_text_ms, load_ms })
    }

    fn print(&self, model: &Model, options: &BenchOptions) -> Result<()> {
        let chunk_ms = self.mel_ms + self.encode_ms + self.listen_ms;
        let round = |ms: f64| (ms * 100.0).round() / 100.0;
        let peak_rss_mb = peak_rss_mb();
        let ceilings = Ceilings::measure();
        let figures = json!({
            "model": model.name(),
            "precision": model.precision().name(),
            "threads": options.threads.unwrap_or_else(crate::model::threads),
            "context": options.context,
            "lanes": options.lanes,
            "mel_ms": round(self.mel_ms),
            "encode_ms": round(self.encode_ms),
            "listen_ms": round(self.listen_ms),
            "decode_ms": round(self.decode_ms),
            "chunk_ms": round(chunk_ms),
            "real_time_factor": round(chunk_ms / (CHUNK_SECS * 1e3)),
            "first_text_ms": round(self.first_text_ms),
            "load_ms": round(self.load_ms),
            "peak_rss_mb": peak_rss_mb,
            "kernels": Path::best().name(),
            "int8_gops_peak": ceilings.int8_gops.round(),
            "memory_gb_s_peak": round(ceilings.memory_gb_s),
        });
        let text = match options.format {
            ReportFormat::Json => figures.to_string(),
            ReportFormat::Text => {
                let line = |(name, value): (&String, &serde_json::Value)| format!("{name:<18}{value}\n");
                figures.as_object().map(|o| o.iter().map(line).collect::<String>()).unwrap_or_default().trim_end().to_owned()
            }
        };
        use std::io::Write;
        writeln!(std::io::stdout(), "{text}").map_err(|e| Error::new(ErrorKind::Output, format!("stdout cannot be written: {e}")))
    }
}

/// A cache of `context` positions.
fn fill(model: &Model, context: usize) -> Result<LaneCache> {
    let mut cache = model.new_cache();
    let mut left = context;
    while left > 0 {
        let rows = left.min(FILL_ROWS);
        model.pass(&mut [Segment { cache: &mut cache, inputs: vec![Input::Token(model.ids().pad); rows], reads: Vec::new() }])?;
        left -= rows;
    }
    Ok(cache)
}

/// Median time of one pass of `inputs` in each of `lanes` lanes that hold `filled`.
fn pass(model: &Model, filled: &LaneCache, lanes: usize, inputs: &[Input], read: (usize, Read)) -> Result<f64> {
    let fork = || filled.fork().map_err(|e| Error::new(ErrorKind::Memory, format!("no room for a lane's cache: {e}")));
    let mut times = Vec::new();
    let begun = Instant::now();
    while times.len() < RUNS || begun.elapsed().as_secs_f64() < SECS {
        let mut caches: Vec<LaneCache> = (0..lanes).map(|_| fork()).collect::<Result<_>>()?;
        let mut segments: Vec<Segment<'_>> =
            caches.iter_mut().map(|cache| Segment { cache, inputs: inputs.to_vec(), reads: vec![read] }).collect();
        let at = Instant::now();
        model.pass(&mut segments)?;
        times.push(at.elapsed().as_secs_f64() * 1e3);
    }
    Ok(middle(times))
}

fn median(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    let begun = Instant::now();
    while times.len() < RUNS || begun.elapsed().as_secs_f64() < SECS {
        let at = Instant::now();
        work()?;
        times.push(at.elapsed().as_secs_f64() * 1e3);
    }
    Ok(middle(times))
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The most memory that this process has held, in MB, where the system says (Linux).
fn peak_rss_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok().map(|kb| kb / 1_024)
}
