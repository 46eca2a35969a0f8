//! Which precision and which modes this machine runs as fast as sound comes in.

use serde_json::{Value, json};

use super::{load, round};
use crate::config::{BenchOptions, BenchSubject, Precision, modes};
use crate::error::{Error, ErrorKind, Result};
use crate::model::speed::Costs;

/// Times that each cost is measured.
const RUNS: usize = 5;
/// Modes in the order in which they are given up last.
const MODES: [&str; 4] = [modes::DIALOG, modes::TRANSCRIBE, modes::TRANSLATE, modes::SOUNDS];

/// What was measured in one precision.
struct Candidate {
    precision: Precision,
    costs: Costs,
    lanes: usize,
}

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
        let lanes = costs.lanes_in_real_time(MODES.len());
        candidates.push(Candidate { precision: model.precision(), costs, lanes });
        if lanes == MODES.len() {
            break;
        }
    }
    match best(&candidates) {
        Some(chosen) => Ok(report(&name, chosen, &candidates, options)),
        None => Err(refused.unwrap_or_else(|| Error::new(ErrorKind::Internal, "nothing was measured"))),
    }
}

/// The one with most lanes in real time; among equals the one that was measured first, which has more bits. Where none keeps
/// up, the fastest.
fn best(candidates: &[Candidate]) -> Option<&Candidate> {
    let most = candidates.iter().map(|c| c.lanes).max()?;
    if most == 0 {
        return candidates.iter().min_by(|a, b| a.costs.chunk_ms(1).total_cmp(&b.costs.chunk_ms(1)));
    }
    candidates.iter().find(|c| c.lanes == most)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(precision: Precision, listen_ms: f64) -> Candidate {
        let costs = Costs { encode_ms: 40.0, listen_ms, further_ms: 80.0, decode_ms: 60.0 };
        Candidate { precision, costs, lanes: costs.lanes_in_real_time(4) }
    }

    #[test]
    fn more_bits_are_taken_only_where_they_cost_no_mode() {
        let (eight, four) = (candidate(Precision::Q8, 200.0), candidate(Precision::Q4, 120.0));
        assert_eq!((eight.lanes, four.lanes), (1, 2));
        assert_eq!(best(&[eight, four]).unwrap().precision, Precision::Q4);
        let equal = [candidate(Precision::Q8, 130.0), candidate(Precision::Q4, 120.0)];
        assert_eq!(best(&equal).unwrap().precision, Precision::Q8);
        let slow = [candidate(Precision::Q8, 900.0), candidate(Precision::Q4, 500.0)];
        assert_eq!(best(&slow).unwrap().precision, Precision::Q4);
        assert!(best(&[]).is_none());
    }
}
