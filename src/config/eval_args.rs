//! The command line of `hearken eval`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::long_running::{ContextPolicy, DEFAULT_POSITIONS};
use super::values::{self, arguments_error};
use super::{ComputeDevice, ContextChoice, Precision};
use crate::error::Result;
use crate::files::Existing;
use crate::protocol::{Language, ModelChoice};

/// Default of `--lanes`, the number of sessions that run at the same time, for all tasks but `streaming`.
const DEFAULT_LANES: usize = 8;
/// Default of `--gap-secs`, the silence after each sound, in seconds: as in `listen` and in Proactive-Sound-Bench.
const GAP_SECS: f64 = 1.0;
/// Largest number of items in one session that `--items` accepts.
const MAX_ITEMS: usize = 1_000;

/// A parsed and checked command `hearken eval …`.
#[derive(Clone, Debug, PartialEq)]
pub enum EvalRequest {
    /// Score a model on a data set.
    Run(Box<EvalOptions>),
    /// Compare the stored results of two runs.
    Compare {
        /// Folder of the first run (its `--out`).
        before: PathBuf,
        /// Folder of the second run (its `--out`).
        after: PathBuf,
        /// Folder for the comparison as files; absent: printed only.
        out: Option<PathBuf>,
        /// Treatment of a report that is there already.
        existing: Existing,
    },
}

/// The checked options of one evaluation run (`hearken eval TASK`).
#[derive(Clone, Debug, PartialEq)]
pub struct EvalOptions {
    /// Task whose scores are calculated.
    pub task: EvalTask,
    /// Path of the data set: its folder or its manifest.
    pub data: PathBuf,
    /// Folder for the report, the predictions and the pictures.
    pub out: PathBuf,
    /// Model to be scored.
    pub model: ModelChoice,
    /// Numeric precision of the model; absent: chosen for the model and the machine.
    pub precision: Option<Precision>,
    /// Compute device.
    pub device: ComputeDevice,
    /// Compute threads; absent: the number of physical cores.
    pub threads: Option<usize>,
    /// Maximum number of items to score, spread evenly over the data set; absent: all.
    pub limit: Option<usize>,
    /// Handling of predictions that are already in `out`.
    pub resume: ResumePolicy,
    /// Maximum number of sessions (typed questions: of items) that run at the same time in batched passes.
    pub lanes: usize,
    /// Bias on the respond logit, added to that of each mode; 0 leaves the decision to the model. Always 0 with typed questions.
    pub eagerness: f32,
    /// File or folder of background recordings, which call for no response, for the rate of false alarms; only with `proactive`.
    pub background: Option<PathBuf>,
    /// Context policies with the size of the window, at least one; `streaming` runs all items under each of them, other tasks have
    /// exactly one.
    pub contexts: Vec<ContextChoice>,
    /// Silence that the model hears after each sound, in seconds.
    pub gap_secs: f64,
    /// True if the quiet gate withholds silence from the model, as with a microphone.
    pub gate: bool,
}

/// The handling of predictions that an earlier run left in the folder of `--out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumePolicy {
    /// Keep the predictions and run only the missing items (`--resume`); fail unless the earlier run had the same options and items.
    Continue,
    /// Fail if the folder has predictions.
    Refuse,
}

/// The task of a run: the meaning of the data set, the way in which the items are heard, and the metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalTask {
    /// Responses to sounds that call for a response (RESPOND), and silence at other sounds (IGNORE).
    Proactive {
        /// Number of clips in a session.
        style: ProactiveStyle,
    },
    /// Transcription of speech, scored by errors in words or characters.
    Asr {
        /// Spoken language: words are counted in English, characters in Chinese.
        language: Language,
    },
    /// Translation of speech, scored by BLEU and chrF.
    Translate {
        /// Language of the translation.
        to: Language,
    },
    /// Answers to questions about sounds, or to spoken questions, for which the right answers are known.
    Qa {
        /// Form in which the model gets the question.
        instruction: QuestionInput,
    },
    /// Words or replies that are due in labelled audio streams. The label of a stream names the mode in which it is heard.
    Streams {
        /// Language into which the mode `translate` translates.
        to: Language,
    },
    /// Another task, with several items heard one after the other in the same session.
    Streaming {
        /// Task that the items belong to and are scored as; any but `Streams`, `Streaming` and typed questions.
        of: Box<Self>,
        /// Numbers of items in a session, ascending; all items are run for each number.
        counts: Vec<usize>,
        /// Names of the context policies, for each of which all items are run; empty stands for the default policy.
        #[serde(default)]
        contexts: Vec<String>,
    },
}

/// The number of clips in a session of the task `proactive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProactiveStyle {
    /// One clip; the report has the whole recall / false-alarm curve.
    Single,
    /// Up to three clips of one class, one after the other.
    Multi,
}

/// The form in which the model gets a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionInput {
    /// Spoken: in the item's sound, or in a second sound file that is heard after the item's sound.
    Spoken,
    /// Typed, in the offline prompt layout (`src/model/README.md` section 5.5); the model does not listen and always replies.
    Typed,
}

impl EvalTask {
    /// The task `proactive` with one clip in a session.
    pub const PROACTIVE: Self = Self::Proactive { style: ProactiveStyle::Single };

    /// Returns the task that the items belong to and are scored as: that of the items for `Streaming`, otherwise `self`.
    #[must_use]
    pub fn inner(&self) -> &Self {
        if let Self::Streaming { of, .. } = self { of } else { self }
    }

    /// Returns the name of the condition with `count` items in a session under the context policy of name `context`: `5`, or `5
    /// recent_only` for a policy that is not the default.
    #[must_use]
    pub fn condition(count: usize, context: &str) -> String {
        if context == ContextPolicy::default().name() { count.to_string() } else { format!("{count} {context}") }
    }

    /// Returns the title of the task in reports, with its language or form: `asr, en`.
    #[must_use]
    pub fn title(&self) -> String {
        let code = |language: &Language| if *language == Language::Chinese { "zh" } else { "en" };
        match self {
            Self::Proactive { style: ProactiveStyle::Single } => "proactive, single".to_owned(),
            Self::Proactive { style: ProactiveStyle::Multi } => "proactive, multi".to_owned(),
            Self::Asr { language } => format!("asr, {}", code(language)),
            Self::Translate { to } => format!("translate into {}", code(to)),
            Self::Qa { instruction: QuestionInput::Spoken } => "qa, spoken questions".to_owned(),
            Self::Qa { instruction: QuestionInput::Typed } => "qa, typed questions".to_owned(),
            Self::Streams { .. } => "labelled streams".to_owned(),
            Self::Streaming { of, .. } => format!("streaming, {}", of.title()),
        }
    }
}

/// The subcommands of `hearken eval`.
#[derive(Debug, Subcommand)]
pub(super) enum EvalArgs {
    /// Score responses to sounds that call for one, and silence at others (Proactive-Sound-Bench, or folders RESPOND and IGNORE)
    Proactive {
        #[command(flatten)]
        run: RunArgs,
        /// Clips in a session: one, or up to three of one class
        #[arg(long, value_name = "single|multi", value_parser = style, default_value = "single")]
        style: ProactiveStyle,
        /// File or folder of recordings that call for no response, to count false alarms per hour
        #[arg(long, value_name = "PATH")]
        background: Option<PathBuf>,
    },
    /// Score transcripts (LibriSpeech, or a manifest with `path` and `text`): word error rate, or character error rate for Chinese
    Asr {
        #[command(flatten)]
        run: RunArgs,
        /// Spoken language
        #[arg(long, value_name = "en|zh", value_parser = values::language, default_value = "en")]
        language: Language,
    },
    /// Score translations: BLEU and chrF (CoVoST 2)
    Translate {
        #[command(flatten)]
        run: RunArgs,
        /// Target language
        #[arg(long, value_name = "zh|en", value_parser = values::language, default_value = "zh")]
        translate_to: Language,
    },
    /// Score answers: multiple choice about sounds (MMAU), or spoken questions with known answers
    Qa {
        #[command(flatten)]
        run: RunArgs,
        /// Form of the questions: spoken, after the sound if the manifest has `question_audio`, or typed (`question`)
        #[arg(long, value_name = "audio|text", value_parser = instruction, default_value = "audio")]
        instruction: QuestionInput,
    },
    /// Score another task with several items in one session
    Streaming {
        #[command(flatten)]
        run: RunArgs,
        /// Task that the items of a session belong to and are scored as
        #[arg(long, value_name = "proactive|asr|translate|qa", value_parser = ["proactive", "asr", "translate", "qa"])]
        of: String,
        /// Numbers of items in a session; all items are run for each number
        #[arg(long, value_name = "N,…", value_parser = counts, default_value = "1,2,5,10,20,50")]
        items: Counts,
        /// Spoken language (asr)
        #[arg(long, value_name = "en|zh", value_parser = values::language, default_value = "en")]
        language: Language,
        /// Target language (translate)
        #[arg(long, value_name = "zh|en", value_parser = values::language, default_value = "zh")]
        translate_to: Language,
        /// Form of the questions (qa): only audio is possible with several items in a session
        #[arg(long, value_name = "audio|text", value_parser = instruction, default_value = "audio")]
        instruction: QuestionInput,
        #[command(flatten)]
        quiet: QuietArgs,
    },
    /// Score streams of your own, labelled with the words, replies or sequence that are due (a manifest: see `src/eval/README.md`)
    Streams {
        #[command(flatten)]
        run: RunArgs,
        /// Language into which the mode `translate` translates
        #[arg(long, value_name = "zh|en", value_parser = values::language, default_value = "zh")]
        translate_to: Language,
        #[command(flatten)]
        quiet: QuietArgs,
    },
    /// Compare two runs, with the significance of each difference
    Compare {
        /// Folder of the first run (its --out)
        before: PathBuf,
        /// Folder of the second run (its --out)
        after: PathBuf,
        /// Folder for the comparison as Markdown and JSON [default: only printed]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Replace a report in the folder of --out if there is one
        #[arg(long, requires = "out")]
        force: bool,
    },
}

/// The options on silence and the quiet gate, which only `streaming` and `streams` have.
#[derive(Debug, Args)]
pub(super) struct QuietArgs {
    /// Silence after each sound, in seconds
    #[arg(long, value_name = "S", value_parser = values::gap_secs, allow_negative_numbers = true, default_value_t = GAP_SECS)]
    gap_secs: f64,
    /// Quiet gate: withhold silence from the model, as with a microphone
    #[arg(long, value_name = "on|off", value_parser = values::on_off, action = ArgAction::Set, default_value = "off")]
    gate: bool,
}

/// The options that every subcommand of `hearken eval` except `compare` has.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Data set: its folder, or its manifest (.jsonl, .json, .tsv)
    #[arg(long, value_name = "DIR|FILE")]
    data: PathBuf,
    /// Folder for report.json, report.md, predictions.jsonl and pictures
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Model: starter, 3b, or a checkpoint folder
    #[arg(long, value_name = "starter|3b|DIR", value_parser = values::model, default_value = "starter")]
    model: ModelChoice,
    /// Numeric precision [default: as for `listen`]
    #[arg(long, value_name = "f32|bf16|q8|q4", value_parser = values::precision)]
    precision: Option<Precision>,
    /// Compute device
    #[arg(long, value_name = "cpu|cuda|metal", value_parser = values::device, default_value = "cpu")]
    device: ComputeDevice,
    /// Compute threads [default: the number of physical cores]
    #[arg(long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    threads: Option<usize>,
    /// Number of items to score, spread evenly over the data set [default: all]
    #[arg(long, value_name = "N", value_parser = limit, allow_negative_numbers = true)]
    limit: Option<usize>,
    /// Continue the run whose predictions are in the folder of --out; it must have had the same options
    #[arg(long)]
    resume: bool,
    /// Maximum number of sessions that run at the same time [default: 8; 1 for streaming, which measures latency]
    #[arg(long, value_name = "N", value_parser = values::lanes, allow_negative_numbers = true)]
    lanes: Option<usize>,
    /// Bias on the respond logit, added to that of the mode: larger values respond more often
    #[arg(long, value_name = "B", value_parser = values::one_eagerness, default_value = "0", allow_hyphen_values = true)]
    eagerness: f32,
    /// Context policy when the window is full: keep_replies, recent_only, reset_when_quiet or reference (streaming: one or several)
    #[arg(long, value_name = "POLICY,…", value_parser = contexts, default_value = "keep_replies")]
    context: Contexts,
    /// Context window in tokens (32.5 per second of audio)
    #[arg(long, value_name = "N", value_parser = values::window, default_value_t = DEFAULT_POSITIONS, allow_negative_numbers = true)]
    context_positions: usize,
}

/// The parsed value of `--context`: policies without repetitions, with the default window size.
#[derive(Clone, Debug)]
pub(super) struct Contexts(Vec<ContextChoice>);

/// The parsed value of `--items`, ascending without repetitions. A type of its own, because clap reads a `Vec` as a repeatable
/// option.
#[derive(Clone, Debug)]
pub(super) struct Counts(Vec<usize>);

/// Converts the arguments of `hearken eval` to a request, with defaults filled in.
///
/// # Errors
/// If options contradict each other or have no effect on the task.
pub(super) fn request(typed: EvalArgs) -> Result<EvalRequest> {
    let (mut background, mut quiet) = (None, QuietArgs { gap_secs: GAP_SECS, gate: false });
    let (run, task) = match typed {
        EvalArgs::Proactive { run, style, background: path } => {
            background = path;
            (run, EvalTask::Proactive { style })
        }
        EvalArgs::Asr { run, language } => (run, EvalTask::Asr { language }),
        EvalArgs::Translate { run, translate_to } => (run, EvalTask::Translate { to: translate_to }),
        EvalArgs::Qa { run, instruction } => (run, EvalTask::Qa { instruction }),
        EvalArgs::Streams { run, translate_to, quiet: given } => {
            quiet = given;
            (run, EvalTask::Streams { to: translate_to })
        }
        EvalArgs::Streaming { run, of, items, language, translate_to, instruction, quiet: given } => {
            quiet = given;
            let of = Box::new(match of.as_str() {
                "proactive" => EvalTask::PROACTIVE,
                "asr" => EvalTask::Asr { language },
                "translate" => EvalTask::Translate { to: translate_to },
                _ => EvalTask::Qa { instruction },
            });
            let contexts = run.context.0.iter().map(|context| context.policy.name().to_owned()).collect();
            (run, EvalTask::Streaming { of, counts: items.0, contexts })
        }
        EvalArgs::Compare { before, after, out, force } => {
            let existing = if force { Existing::Replaced } else { Existing::Kept };
            return Ok(EvalRequest::Compare { before, after, out, existing });
        }
    };
    if matches!(&task, EvalTask::Streaming { of, .. } if **of == EvalTask::Qa { instruction: QuestionInput::Typed }) {
        let why = "a typed question is about one recording; several items in one session need --instruction audio";
        return Err(arguments_error(why));
    }
    if run.eagerness != 0.0 && task == (EvalTask::Qa { instruction: QuestionInput::Typed }) {
        let why = "a typed question is always answered, so --eagerness has no effect on it";
        return Err(arguments_error(why));
    }
    let streaming = matches!(task, EvalTask::Streaming { .. });
    let contexts = contexts_of(&run, &task, &quiet)?;
    Ok(EvalRequest::Run(Box::new(EvalOptions {
        task,
        data: run.data,
        out: run.out,
        model: run.model,
        precision: run.precision,
        device: run.device,
        threads: run.threads,
        limit: run.limit,
        resume: if run.resume { ResumePolicy::Continue } else { ResumePolicy::Refuse },
        lanes: run.lanes.unwrap_or(if streaming { 1 } else { DEFAULT_LANES }),
        eagerness: run.eagerness,
        background,
        contexts,
        gap_secs: quiet.gap_secs,
        gate: quiet.gate,
    })))
}

/// Returns the policies of `--context` with the window size of `--context-positions`.
///
/// # Errors
/// If several policies are given to a task other than `streaming`, or `reset_when_quiet` without the quiet gate.
fn contexts_of(run: &RunArgs, task: &EvalTask, quiet: &QuietArgs) -> Result<Vec<ContextChoice>> {
    if run.context.0.len() > 1 && !matches!(task, EvalTask::Streaming { .. }) {
        return Err(arguments_error("this task takes one --context; `eval streaming` compares several"));
    }
    let resets = |context: &&ContextChoice| context.policy == ContextPolicy::ResetWhenQuiet;
    if let Some(context) = run.context.0.iter().find(resets).filter(|_| !quiet.gate) {
        let why = "resets the context after the quiet gate was closed: it needs `eval streaming --gate on` and --gap-secs above 6";
        return Err(arguments_error(format!("--context {} {why}", context.policy.name())));
    }
    Ok(run.context.0.iter().map(|context| ContextChoice { positions: run.context_positions, ..*context }).collect())
}

fn style(text: &str) -> Result<ProactiveStyle, String> {
    match text {
        "single" => Ok(ProactiveStyle::Single),
        "multi" => Ok(ProactiveStyle::Multi),
        _ => Err("expected single or multi".to_owned()),
    }
}

fn instruction(text: &str) -> Result<QuestionInput, String> {
    match text {
        "audio" => Ok(QuestionInput::Spoken),
        "text" => Ok(QuestionInput::Typed),
        _ => Err("expected audio or text".to_owned()),
    }
}

fn contexts(text: &str) -> Result<Contexts, String> {
    let mut all: Vec<ContextChoice> = Vec::new();
    for name in text.split(',') {
        let policy = values::context(name.trim())?;
        if all.iter().all(|context| context.policy != policy) {
            all.push(ContextChoice { policy, ..ContextChoice::default() });
        }
    }
    Ok(Contexts(all))
}

fn limit(text: &str) -> Result<usize, String> {
    values::count(text, usize::MAX, "items")
}

fn counts(text: &str) -> Result<Counts, String> {
    let one = |part: &str| part.trim().parse::<usize>().ok().filter(|n| (1..=MAX_ITEMS).contains(n));
    let mut all: Vec<usize> =
        text.split(',').map(one).collect::<Option<_>>().ok_or(format!("expected numbers from 1 to {MAX_ITEMS}, with commas"))?;
    all.sort_unstable();
    all.dedup();
    Ok(Counts(all))
}
