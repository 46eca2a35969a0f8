//! `hearken bench --recommend`: the precision and the number of modes that this machine runs in real time.

use serde_json::{Value, json};

use super::{load, round};
use crate::config::modes::BUILT_IN;
use crate::config::{BenchOptions, BenchSubject, Precision};
use crate::error::{Error, ErrorKind, Result};
use crate::model::precision_choice::{Candidate, best};
use crate::model::speed::Costs;

/// Repetitions of each measurement, an odd number: the median counts.
const RUNS: usize = 5;

/// Measures the precisions that come into question (only that of `options`, if given), highest first until one runs all modes in
/// real time, and returns the report with the best. A precision that does not fit into memory is skipped.
pub(super) fn run(options: &BenchOptions) -> Result<Value> {
    // Highest precision first: it is chosen if all modes run in real time.
    let precisions: &[Option<Precision>] = match (&options.subject, options.precision) {
        (_, Some(precision)) => &[Some(precision)],
        (BenchSubject::Shape3b, None) => &[Some(Precision::Q8), Some(Precision::Q4)],
        (BenchSubject::Model(_), None) => &[None, Some(Precision::Q8), Some(Precision::Q4)],
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut name = String::new();
    let mut refused = None;
    for precision in precisions {
        let model = match load(options, *precision) {
            Ok(model) => model,
            // A precision that does not fit into memory is no candidate; other errors end the run.
            Err(error) if error.kind() == ErrorKind::Memory => {
                refused = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        model.name().clone_into(&mut name);
        let costs = Costs::measure(&model, options.context, RUNS)?;
        candidates.push(Candidate::new(model.precision(), costs, BUILT_IN.len()));
        if candidates.last().is_some_and(|c| c.lanes == BUILT_IN.len()) {
            break;
        }
    }
    match best(&candidates) {
        Some(chosen) => Ok(report(&name, chosen, &candidates, options)),
        None => Err(refused.unwrap_or_else(|| Error::internal("nothing was measured"))),
    }
}

/// Returns the report: the `chosen` precision with its modes, advice for the command line, and the figures of all `candidates`.
fn report(name: &str, chosen: &Candidate, candidates: &[Candidate], options: &BenchOptions) -> Value {
    let on = &BUILT_IN[..chosen.lanes];
    let precision = chosen.precision.name();
    let one_ms = chosen.costs.chunk_ms(1);
    let advice = if chosen.lanes == 0 {
        format!("a chunk of 400 ms takes {one_ms:.0} ms at best: this machine is too slow for this model; use the starter")
    } else if chosen.costs.keeps_up_with_speech(chosen.lanes) {
        format!("--precision {precision} --modes {}", on.join(","))
    } else {
        format!("--precision {precision} --modes {}; during continuous speech the transcript lags, and catches up in pauses", on.join(","))
    };
    let measured: Vec<Value> = candidates
        .iter()
        .map(|c| {
            json!({
                "precision": c.precision.name(), "chunk_ms": round(c.costs.chunk_ms(1)), "further_mode_ms": round(c.costs.further_ms),
                "decode_ms": round(c.costs.decode_ms), "modes_in_real_time": c.lanes,
            })
        })
        .collect();
    json!({
        "model": name,
        "precision": precision,
        "modes": on,
        "threads": crate::model::threads(),
        "context": options.context,
        "advice": advice,
        "measured": measured,
    })
}
