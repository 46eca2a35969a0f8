//! Tests of reports on synthetic predictions: every figure is compared with its expected value.
#![allow(clippy::expect_used, reason = "a failed expectation fails the test")]

use super::*;
use crate::config::ProactiveStyle;
use crate::eval::bleu::{chrf, chrf_counts};
use crate::eval::compare::compare;
use crate::eval::items::{Expected, PredictedReply};
use crate::eval::streams::DueOutput;
use crate::protocol::{Language, StopReason};

fn prediction(id: usize, expected: Expected, text: Option<&str>, margins: &[f32]) -> Prediction {
    let reply = |text: &str| PredictedReply { at_secs: 1.2, text: text.into(), emotion: None, stop: StopReason::End, first_text_ms: None };
    Prediction {
        condition: String::new(),
        id: id.to_string(),
        class: vec!["all".into(), if id.is_multiple_of(2) { "even" } else { "odd" }.into()],
        expected,
        answers: Vec::new(),
        audio_secs: 1.6,
        left_out_secs: None,
        onset_secs: Some(0.2),
        question_secs: None,
        replies: text.map(reply).into_iter().collect(),
        margins: margins.to_vec(),
        trims: 0,
        unheard: None,
    }
}

fn blank(task: EvalTask, rows: usize) -> EvalReport {
    EvalReport {
        hearken: String::new(),
        task,
        settings: BTreeMap::new(),
        rows,
        chosen: rows,
        scored: 0,
        skipped: Vec::new(),
        figures: Vec::new(),
        tables: Vec::new(),
        notes: Vec::new(),
    }
}

fn value(report: &EvalReport, key: &str) -> f64 {
    report.figures.iter().find(|figure| figure.key == key).and_then(|figure| figure.value).expect(key)
}

/// 10 RESPOND clips, of which 6 get a response, and 30 IGNORE clips, of which 3 get one, with matching margins.
fn clips() -> Vec<Prediction> {
    let clip = |id: usize| {
        let (expected, said) = if id < 10 { (Expected::Respond, id < 6) } else { (Expected::Ignore, id < 13) };
        let margin = if said { 1.0 + id as f32 } else { -1.0 - id as f32 };
        prediction(id, expected, said.then_some("oh"), &[-50.0, margin, -60.0])
    };
    (0..40).map(clip).collect()
}

#[test]
fn proactive_figures_match_the_confusion_table() {
    let (report, picture) = report(blank(EvalTask::PROACTIVE, 40), &clips());
    assert_eq!((value(&report, "recall"), value(&report, "false_alarm_rate")), (0.6, 0.1));
    assert_eq!((value(&report, "accuracy"), value(&report, "balanced_accuracy")), (33.0 / 40.0, 0.75));
    assert_eq!(value(&report, "delay_secs"), 1.0);
    let beside = report.tables.iter().find(|t| t.title == "Beside it").expect("baselines");
    let cells: Vec<&str> = beside.rows.iter().map(|row| row[2].as_str()).collect();
    assert_eq!(cells, ["82.50 %", "75.00 %", "25.00 %"], "this, mute, always");
    let classes = report.tables.iter().find(|t| t.title == "By class").expect("classes");
    assert_eq!(classes.rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["all › even", "all › odd"]);
    // The run's own operating point is marked in the chart.
    assert!(value(&report, "auc") > 0.7 && picture.expect("a curve").contains("as it is"));
    let recall = report.figures.iter().find(|f| f.key == "recall").expect("recall");
    let (low, high) = recall.interval.expect("Wilson");
    assert!((low - 0.3127).abs() < 1e-3 && (high - 0.8318).abs() < 1e-3, "{low} {high}");
}

#[test]
fn unreadable_items_are_listed_and_left_out_of_the_denominator() {
    let mut all = clips();
    all[0].unheard = Some("the file is empty".into());
    let (report, _) = report(blank(EvalTask::PROACTIVE, 40), &all);
    assert_eq!((report.scored, report.skipped.len()), (39, 1));
    assert_eq!(value(&report, "strict_accuracy"), 32.0 / 40.0);
    let text = report.text();
    assert!(text.contains("39 of 40 rows scored") && text.contains("0: the file is empty"), "{text}");
    assert!(report.markdown().contains("* 0: the file is empty"));
}

#[test]
fn background_counts_only_towards_false_alarms_per_hour() {
    let mut all = clips();
    let mut long = prediction(99, Expected::Ignore, Some("what"), &[]);
    (long.condition, long.audio_secs) = (BACKGROUND.into(), 7_200.0);
    all.push(long);
    let (report, _) = report(blank(EvalTask::PROACTIVE, 40), &all);
    assert_eq!((report.scored, value(&report, "alarms_an_hour"), value(&report, "false_alarm_rate")), (40, 0.5, 0.1));
}

#[test]
fn replies_are_compared_with_the_nearest_standard_answer() {
    let mut all = clips();
    for (p, said) in all.iter_mut().zip(["Call an ambulance.", "nothing like it"]) {
        p.answers = vec!["Are you well?".into(), "Call an ambulance.".into()];
        p.replies[0].text = said.into();
    }
    all[9].answers = vec!["Missed, so not compared.".into()];
    let (report, _) = report(blank(EvalTask::PROACTIVE, 40), &all);
    let one = chrf(&chrf_counts("nothing like it", "Call an ambulance."));
    assert!(value(&report, "content") > one && value(&report, "content") < 100.0);
    let table = report.tables.iter().find(|t| t.title.starts_with("What was said: 2 of 2")).expect("what was said");
    assert_eq!(table.rows[0], ["0", "Call an ambulance.", "Call an ambulance."]);
    let beside = report.tables.iter().find(|t| t.title == "Beside it").expect("baselines");
    assert!(beside.rows.iter().all(|row| row.len() == beside.columns.len()));
    assert!(super::report(blank(EvalTask::PROACTIVE, 40), &clips()).0.figures.iter().all(|f| f.key != "content"));
}

#[test]
fn streaming_report_has_a_row_per_session_size_and_policy_and_a_picture() {
    let counts = vec![1, 50];
    let contexts = vec!["keep_replies".to_owned(), "recent_only".to_owned()];
    let mut all = Vec::new();
    for context in &contexts {
        for count in &counts {
            let heard = clips().into_iter().map(|p| Prediction { condition: EvalTask::condition(*count, context), ..p });
            all.extend(heard.map(|mut p| {
                p.replies.iter_mut().for_each(|reply| reply.first_text_ms = Some(*count as f64));
                p
            }));
        }
    }
    all.iter_mut().filter(|p| p.condition == "50 recent_only").for_each(|p| p.replies.clear());
    let task = EvalTask::Streaming { of: Box::new(EvalTask::PROACTIVE), counts, contexts };
    let (report, picture) = report(blank(task, 40), &all);
    let table = &report.tables[0];
    let names: Vec<String> = table.rows.iter().map(|row| row[..3].join(" ")).collect();
    assert_eq!(names, ["keep_replies 1 40", "keep_replies 50 40", "recent_only 1 40", "recent_only 50 40"]);
    assert_eq!((value(&report, "recall_50"), value(&report, "recall_50_recent_only"), report.scored), (0.6, 0.0, 40));
    assert_eq!((value(&report, "first_text_ms_50"), value(&report, "delay_secs_1_recent_only")), (50.0, 1.0));
    assert_eq!(picture.expect("a picture").matches("<polyline").count(), 2);
    assert!(report.text().contains("recall, 50 in a session, recent_only"), "{}", report.text());
}

#[test]
fn transcripts_have_all_three_kinds_of_errors_counted() {
    let said = |text: &str| Expected::Text(text.into());
    let mut all = vec![
        prediction(0, said("HE HOPED THERE WOULD BE STEW"), Some("he hoped there'd be a stew"), &[]),
        prediction(1, said("Two colours"), Some("2 colors"), &[]),
        prediction(2, said("nothing"), None, &[]),
    ];
    all[1].replies[0].stop = StopReason::Loop;
    let (report, picture) = report(blank(EvalTask::Asr { language: Language::English }, 3), &all);
    // "there'd" is "there would": the "a" is an insertion, and "nothing" a deletion.
    assert_eq!(value(&report, "wer"), 2.0 / 9.0);
    assert_eq!(["substitutions", "deletions", "insertions", "silent", "loops"].map(|key| value(&report, key)), [0.0, 1.0, 1.0, 1.0, 1.0]);
    assert!(picture.is_none() && report.text().contains("openai-whisper"));
    let (report, _) =
        super::report(blank(EvalTask::Asr { language: Language::Chinese }, 1), &[prediction(0, said("你好，世界"), Some("你好世"), &[])]);
    assert_eq!(value(&report, "cer"), 0.25);
}

#[test]
fn labelled_streams_have_quotient_figures_and_tables_of_errors_by_name() {
    let due = |text: &str, kind: Option<&str>| DueOutput { text: text.into(), kind: kind.map(str::to_owned), ..DueOutput::default() };
    let of = |id: usize, group: &str, expected: Expected, text: Option<&str>| Prediction {
        class: vec![group.into()],
        audio_secs: 1_800.0,
        ..prediction(id, expected, text, &[])
    };
    let all = [
        of(0, "digits", Expected::Words(vec![due("one", None), due("two", None), due("nine", None)]), Some("one too")),
        of(1, "digits", Expected::Words(vec![due("nine", Some("alone"))]), Some("five nine")),
        of(2, "sounds", Expected::Replies(vec![due("cough", None), due("knock", None)]), Some("cough")),
        of(3, "sounds", Expected::Replies(vec![due("knock", None)]), Some("clap")),
        of(4, "counting", Expected::Sequence(vec!["one".into()]), Some("one")),
    ];
    let (report, _) = report(blank(EvalTask::Streams { to: Language::Chinese }, 5), &all);
    let quotient = |key: &str| {
        let figure = report.figures.iter().find(|figure| figure.key == key).expect(key);
        (figure.counted.expect("a quotient"), figure.of.expect("a quotient"))
    };
    assert_eq!((quotient("wer_digits"), quotient("recall_sounds")), ((3.0, 4.0), (1.0, 3.0)));
    assert_eq!((quotient("precision_sounds"), quotient("exact_counting")), ((1.0, 2.0), (1.0, 1.0)));
    assert_eq!((quotient("stray_an_hour_sounds"), value(&report, "stray_an_hour_sounds")), ((1.0, 1.0), 1.0));
    assert!(report.figures.iter().all(|f| !f.key.starts_with("recall_digits") && !f.key.starts_with("wer_sounds")));
    let text = report.text();
    assert!(text.contains("75.00 %  (3 of 4; 95 %") && text.contains("1.00  (1 in 1.00 h"), "{text}");
    let rows = |title: &str| {
        let table = report.tables.iter().find(|table| table.title == title).expect(title);
        table.rows.iter().map(|row| row.join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(rows("Word errors"), ["digits 4 1 1 1"]);
    assert_eq!(rows("What was missed"), ["sounds knock 2 2", "digits nine 1 1", "digits two 1 1"]);
    assert_eq!(rows("Words that were mistaken"), ["(nothing) five 1", "nine (nothing) 1", "two too 1"]);
    assert_eq!(rows("Replies that were not due"), ["sounds clap 1"]);
    let alone = [Prediction { class: Vec::new(), ..all[0].clone() }];
    let (report, _) = super::report(blank(EvalTask::Streams { to: Language::Chinese }, 1), &alone);
    let table = report.tables.iter().find(|table| table.title == "Word errors").expect("word errors");
    assert_eq!(
        (table.columns[0].as_str(), table.rows[0].join(" ")),
        ("words", "3 1 1 0".to_owned()),
        "without groups there is no group column"
    );
}

#[test]
fn report_survives_a_json_round_trip() {
    let (report, _) = report(blank(EvalTask::Proactive { style: ProactiveStyle::Multi }, 40), &clips());
    let json = serde_json::to_string(&report).expect("JSON");
    let read: EvalReport = serde_json::from_str(&json).expect("a report");
    assert_eq!((read.text(), read.markdown()), (report.text(), report.markdown()));
    assert_eq!((read.task, read.figures.len()), (report.task, report.figures.len()));
}

#[test]
fn two_runs_are_compared_item_by_item() {
    let task = EvalTask::PROACTIVE;
    let before = clips();
    let mut after = clips();
    after.iter_mut().filter(|p| p.expected == Expected::Ignore).for_each(|p| p.replies.clear());
    let old = report(blank(task.clone(), 40), &before).0;
    let new = report(blank(task.clone(), 40), &after).0;
    let same = compare((&old, &before), (&old, &before)).expect("comparable");
    assert!(same.text().contains("the same") && !same.text().contains("better"), "{}", same.text());
    let changed = compare((&old, &before), (&new, &after)).expect("comparable");
    assert!((value(&changed, "false_alarm_rate") + 0.1).abs() < 1e-12);
    let table = changed.tables.iter().find(|t| t.title == "What changed").expect("the table");
    let verdicts: Vec<&str> = table.rows.iter().map(|row| row[6].as_str()).collect();
    assert_eq!(verdicts[2], "the same", "recall");
    assert!(changed.tables.iter().any(|t| t.title.contains("3 of 40")), "{}", changed.text());
    let error = compare((&old, &before), (&blank(EvalTask::Asr { language: Language::English }, 1), &[])).expect_err("different tasks");
    assert!(error.message().contains("asr"), "{error}");
    assert!(compare((&old, &before), (&new, &[])).is_err());
}
