//! Comparison of scores with the field's reference tools (`tests/golden/eval/make.py` names their versions).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation fails the test")]

use hearken::eval::bleu::{bleu, bleu_counts, bleu_signature, chrf, chrf_counts, chrf_signature};
use hearken::eval::edit_distance::{Edits, align};
use hearken::eval::normalise::{characters, english};
use hearken::eval::stats::{area_under, roc_curve};
use hearken::eval::tokenise::Tokeniser;
use serde_json::Value;

/// Tolerance for sums in another order of operations.
const ROUNDING: f64 = 1e-9;

fn scores() -> Value {
    serde_json::from_str(include_str!("golden/eval/scores.json")).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn close(own: f64, wanted: &Value, what: &str) {
    let wanted = wanted.as_f64().unwrap();
    assert!((own - wanted).abs() < ROUNDING, "{what}: {own} instead of {wanted}");
}

#[test]
fn english_normalisation_matches_whisper() {
    let mut wrong = Vec::new();
    for case in list(&scores()["english"]) {
        let own = english(text(&case[0]));
        if own != text(&case[1]) {
            wrong.push(format!("{:?}: {own:?} instead of {:?}", text(&case[0]), text(&case[1])));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn chinese_normalisation_matches_whisper() {
    for case in list(&scores()["chinese"]) {
        assert_eq!(characters(text(&case[0])).into_iter().collect::<String>(), text(&case[1]));
    }
}

#[test]
fn edit_counts_match_jiwer() {
    let scores = scores();
    let words = |text: &Value| text.as_str().unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let chars = |text: &Value| text.as_str().unwrap().chars().map(String::from).collect::<Vec<_>>();
    let check = |case: &Value, own: Edits| {
        let wanted: Edits = serde_json::from_value(
            serde_json::json!({"hits": case["hits"], "substitutions": case["substitutions"], "deletions": case["deletions"], "insertions": case["insertions"]}),
        )
        .unwrap();
        assert_eq!(own, wanted, "{case}");
        close(own.rate().unwrap(), &case["rate"], "rate");
    };
    for case in list(&scores["words"]) {
        check(case, align(&words(&case["said"]), &words(&case["heard"])).unwrap());
    }
    for case in list(&scores["characters"]) {
        check(case, align(&chars(&case["said"]), &chars(&case["heard"])).unwrap());
    }
    let mut all = Edits::default();
    // The first nine cases form the corpus; the others are random.
    list(&scores["words"])[..9].iter().for_each(|case| all += align(&words(&case["said"]), &words(&case["heard"])).unwrap());
    close(all.rate().unwrap(), &scores["corpus_rate"], "corpus");
}

#[test]
fn bleu_and_chrf_match_sacrebleu() {
    for corpus in list(&scores()["corpora"]) {
        let tokeniser = if corpus["tok"] == "zh" { Tokeniser::Chinese } else { Tokeniser::Mteval13a };
        let (mut counts, mut chars) = ([0; 10], [0; 18]);
        for (pair, words) in list(&corpus["pairs"]).iter().zip(list(&corpus["words"])) {
            let (own, wanted) = (text(&pair[0]), text(&pair[1]));
            assert_eq!(tokeniser.words(own).join(" "), text(words), "{own:?}");
            let add = |to: &mut [u64], more: &[u64]| to.iter_mut().zip(more).for_each(|(a, b)| *a += b);
            add(&mut counts, &bleu_counts(own, wanted, tokeniser));
            add(&mut chars, &chrf_counts(own, wanted));
        }
        assert_eq!(serde_json::json!(counts), corpus["counts"]);
        close(bleu(&counts), &corpus["bleu"], "BLEU");
        close(chrf(&chars), &corpus["chrf"], "chrF");
        assert_eq!(bleu_signature(tokeniser), text(&corpus["bleu_signature"]));
        assert_eq!(chrf_signature(), text(&corpus["chrf_signature"]));
    }
}

#[test]
fn area_under_the_curve_matches_scikit_learn() {
    let roc = &scores()["roc"];
    let pairs: Vec<(f64, bool)> = list(&roc["scores"]).iter().map(|s| (s[0].as_f64().unwrap(), s[1] == 1)).collect();
    let points = roc_curve(&pairs).unwrap();
    close(area_under(&points), &roc["auc"], "area");
    // At bias 0 the curve passes through the operating point that responds to scores above 0.
    let of = |asked: bool| pairs.iter().filter(|(_, y)| *y == asked).collect::<Vec<_>>();
    let share = |of: &[&(f64, bool)]| of.iter().filter(|(score, _)| *score > 0.0).count() as f64 / of.len() as f64;
    let (recall, alarms) = (share(&of(true)), share(&of(false)));
    assert!(points.iter().any(|p| p.recall == recall && p.false_alarms == alarms));
    close(f64::midpoint(recall, 1.0 - alarms), &roc["balanced_accuracy"], "balanced accuracy");
}
