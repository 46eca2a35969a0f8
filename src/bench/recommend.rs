//! Which precision and which modes this machine runs as fast as sound comes in.

use serde_json::{Value, json};

use super::{load, round};
use crate::config::{BenchOptions, BenchSubject, Precision, modes};
use crate::error::{Error, ErrorKind, Result};
use crate::model::precision_choice::{Candidate, best};
use crate::model::speed::Costs;

/// Times that each cost is measured.
const RUNS: usize = 5;
/// Modes in the order in which they are given up last.
const MODES: [&str; 4] = [modes::DIALOG, modes::TRANSCRIBE, modes::TRANSLATE, modes::SOUNDS];

pub(super) fn run(options: &BenchOptions) -> Result<Value> {
    // More bits first: they are taken when all modes run in them.
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
            // What has no room is no candidate; anything else is the user's to know.
            Err(error) if error.kind() == ErrorKind::Memory => {
                refused = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        model.name().clone_into(&mut name);
        let costs = Costs::measure(&model, options.context, RUNS)?;
        candidates.push(Candidate::new(model.precision(), costs, MODES.len()));
        if candidates.last().is_some_and(|c| c.lanes == MODES.len()) {
            break;
        }
    }
    match best(&candidates) {
        Some(chosen) => Ok(report(&name, chosen, &candidates, options)),
        None => Err(refused.unwrap_or_else(|| Error::internal("nothing was measured"))),
    }
}

fn report(name: &str, chosen: &Candidate, candidates: &[Candidate], options: &BenchOptions) -> Value {
    let on = &MODES[..chosen.lanes];
    let precision = chosen.precision.name();
    let one_ms = chosen.costs.chunk_ms(1);
    let advice = if chosen.lanes == 0 {
        format!("a chunk of 400 ms takes {one_ms:.0} ms at best: this model is too slow for this machine; use the starter")
    } else if chosen.costs.keeps_up_with_speech(chosen.lanes) {
        format!("--precision {precision} --modes {}", on.join(","))
    } else {
        format!("--precision {precision} --modes {}; continuous speech is written down with a lag that its pauses make good", on.join(","))
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
